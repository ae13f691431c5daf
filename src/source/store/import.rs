//! Archives and layouts in and out. What comes in is read to its end and verified before the index names any of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::change::free_for;
use super::index;
use super::{Store, blocking};
use crate::model::{Copy, CopyFrom, Digest, ImageKey, ImportPreview, ImportTag, Name, Problem, ProblemKind, Safe, StepState, Transfer};
use crate::source::content::{Content, Descriptor, Packed, read_document, read_problem};
use crate::source::files::FileSource;
use crate::source::oci::{self, Manifest, descriptor_json, media};
use crate::source::picked::Picked;
use crate::source::registry::is_runnable;
use crate::source::{Ctx, ExportTo, archive, export};

/// One image of an archive, as it will be stored.
struct Incoming {
    /// What its names will stand at.
    root: Descriptor,
    id: Digest,
    /// Canonical.
    names: Vec<String>,
}

/// A document that the archive doesn't have, because classic archives know no manifests.
type Made = (Descriptor, Vec<u8>);

impl Store {
    pub(super) async fn preview_import(self: &Arc<Self>, ctx: &Ctx, file: &Path) -> Result<ImportPreview, Problem> {
        let (store, ctx, file) = (Arc::clone(self), ctx.clone(), file.to_owned());
        let doing = format!("read {}", file.display());
        blocking(&doing.clone(), move || {
            let content = archive::open_until(&file, &ctx.cancel)?;
            let mut bytes = 0_u64;
            for blob in blobs(content.images()) {
                bytes = bytes.saturating_add(blob.size);
                let step = ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
                pour(&ctx, content.as_ref(), &blob, step, &mut std::io::sink(), &doing)?;
                ctx.meter.finish(step, StepState::Done);
            }
            let (incoming, _) = incoming(content.as_ref(), &doing)?;
            let state = store.state()?;
            let mut tags = Vec::new();
            for image in &incoming {
                for name in &image.names {
                    let holders: Vec<&Digest> = state
                        .index
                        .named(name)
                        .into_iter()
                        .flat_map(|entry| state.under(&entry.digest))
                        .map(super::state::Held::id)
                        .collect();
                    let holder = holders.iter().find(|holder| **holder == &image.id).or(holders.first()).map(|holder| (*holder).clone());
                    tags.push(ImportTag { name: Name::new(name), id: image.id.clone(), holder });
                }
            }
            let untagged = incoming.iter().filter(|image| image.names.is_empty()).count();
            Ok(ImportPreview { file, tags, untagged, bytes })
        })
        .await
    }

    pub(super) async fn import(self: &Arc<Self>, ctx: &Ctx, file: &Path, moves: &[(Name, Digest)]) -> Result<Transfer, Problem> {
        let doing = format!("import {}", file.display());
        let (path, moves) = (file.to_owned(), moves.to_vec());
        let open = move |ctx: &Ctx| archive::open_until(&path, &ctx.cancel);
        let agreed = move |name: &str| moves.iter().find(|(moved, _)| same_name(moved, name)).map(|(_, holder)| holder.clone());
        self.bring(ctx, doing, open, agreed).await
    }

    /// Brings one image of a file in, under one name.
    pub(super) async fn copy(self: &Arc<Self>, ctx: &Ctx, copy: &Copy) -> Result<Transfer, Problem> {
        let doing = format!("copy to {}", copy.to.safe());
        let CopyFrom::File(locator) = &copy.from else {
            return Err(Problem::new(ProblemKind::Unsupported, doing, "the store pulls from a registry"));
        };
        let reference = copy.to.reference()?;
        if reference.digest().is_some() {
            return Err(Problem::new(ProblemKind::Usage, doing, "an image is copied to a tag").hint("write REPOSITORY:TAG"));
        }
        let file = FileSource::open(locator).await?;
        let (name, platform, expected) = (Name::new(&index::canonical(&reference)), copy.platforms.first().cloned(), copy.expected.clone());
        let words = doing.clone();
        let open = move |_: &Ctx| {
            let picked = Picked::new(file, platform.as_ref(), Some(&name), &words)?;
            let root = picked.images().first().and_then(|image| image.root.as_ref()).map(|root| &root.digest);
            match expected.filter(|expected| root.is_some_and(|root| root != expected)) {
                Some(_) => Err(Problem::new(ProblemKind::Conflict, words, "the file holds another image now").hint("look again")),
                None => Ok(Box::new(picked) as Box<dyn Content>),
            }
        };
        let replaces = copy.replaces.clone();
        self.bring(ctx, doing, open, move |_| replaces.clone()).await
    }

    /// Copies in what `open` gives, and names it. `agreed` says which image a name may be taken from.
    async fn bring(
        self: &Arc<Self>,
        ctx: &Ctx,
        doing: String,
        open: impl FnOnce(&Ctx) -> Result<Box<dyn Content>, Problem> + Send + 'static,
        agreed: impl Fn(&str) -> Option<Digest> + Send + 'static,
    ) -> Result<Transfer, Problem> {
        let _lease = self.lease(ctx, &doing).await?;
        let (store, worker, words) = (Arc::clone(self), ctx.clone(), doing.clone());
        ctx.meter.phase("reading and verifying");
        let (incoming, stored, mut sum) = blocking(&doing, move || store.take_in(&worker, open(&worker)?.as_ref(), &words)).await?;
        ctx.check(&doing)?;
        let roots: HashSet<&Digest> = incoming.iter().map(|image| &image.root.digest).collect();
        sum.digest = if roots.len() == 1 { incoming.first().map(|image| image.root.digest.clone()) } else { None };
        let (store, words) = (Arc::clone(self), doing.clone());
        ctx.meter.phase("storing");
        self.change(ctx, doing, move |locked| {
            if let Some(missing) = stored.iter().find(|blob| !store.blobs.has(blob)) {
                return Err(Problem::new(ProblemKind::Conflict, words, format!("{} went missing", missing.digest)).hint("try again"));
            }
            for image in &incoming {
                for name in &image.names {
                    free_for(&locked.state, name, &image.id, agreed(name).as_ref(), &words)?;
                }
            }
            for image in &incoming {
                for name in &image.names {
                    locked.index.set(name, &image.root);
                }
                if image.names.is_empty() {
                    locked.index.keep(&image.root);
                }
            }
            Ok(())
        })
        .await?;
        Ok(sum)
    }

    /// Copies every blob in, each verified to its end; what is here already is read all the same, since a broken archive changes nothing.
    fn take_in(&self, ctx: &Ctx, content: &dyn Content, doing: &str) -> Result<(Vec<Incoming>, Vec<Descriptor>, Transfer), Problem> {
        let (incoming, made) = incoming(content, doing)?;
        let mut stored = blobs(content.images());
        stored.extend(about(content, &incoming, doing)?);
        let mut seen = HashSet::new();
        stored.retain(|blob| seen.insert(blob.digest.clone()));
        let mut sum = Transfer::default();
        for blob in &stored {
            let step = ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
            if self.blobs.has(blob) {
                pour(ctx, content, blob, step, &mut std::io::sink(), doing)?;
                ctx.meter.finish(step, StepState::Skipped);
                sum.bytes_skipped = sum.bytes_skipped.saturating_add(blob.size);
                continue;
            }
            let mut out = self.blobs.create(&blob.digest)?;
            pour(ctx, content, blob, step, &mut out, doing)?;
            out.commit(true)?;
            ctx.meter.finish(step, StepState::Done);
            sum.bytes_transferred = sum.bytes_transferred.saturating_add(blob.size);
        }
        for (descriptor, bytes) in made {
            self.blobs.put(&bytes, &descriptor.digest)?;
            stored.push(descriptor);
        }
        Ok((incoming, stored, sum))
    }

    pub(super) fn export(&self, ctx: &Ctx, keys: &[ImageKey], to: &ExportTo) -> Result<Transfer, Problem> {
        let content = self.content(keys)?;
        export::write(&content, content.images(), to, ctx)
    }
}

fn same_name(moved: &Name, name: &str) -> bool {
    moved.raw() == name || moved.reference().is_ok_and(|reference| index::canonical(&reference) == name)
}

/// Every blob of the images, each once: roots, manifests, configurations, layers.
fn blobs(images: &[Packed]) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    let all = images.iter().flat_map(|image| image.root.iter().chain(&image.manifest).chain([&image.config]).chain(&image.layers));
    all.filter(|blob| seen.insert(blob.digest.clone())).cloned().collect()
}

/// What the indexes that will be stored have besides images and is there: attestations, with their blobs.
fn about(content: &dyn Content, incoming: &[Incoming], doing: &str) -> Result<Vec<Descriptor>, Problem> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for root in incoming.iter().map(|image| &image.root).filter(|root| media::is_index(&root.media_type) && seen.insert(&root.digest)) {
        let Manifest::Index(index) = manifest(content, root, doing)? else { continue };
        for child in index.manifests.into_iter().filter(|child| !is_runnable(child)) {
            let image = match manifest(content, &child, doing) {
                Ok(Manifest::Image(image)) => image,
                Ok(Manifest::Index(_)) => continue,
                Err(problem) if problem.kind == ProblemKind::NotFound => continue,
                Err(problem) => return Err(problem),
            };
            let parts: Vec<Descriptor> = [image.config].into_iter().chain(image.layers).collect();
            if parts.iter().all(|part| content.open(part).is_ok()) {
                found.push(child);
                found.extend(parts);
            }
        }
    }
    Ok(found)
}

fn manifest(content: &dyn Content, at: &Descriptor, doing: &str) -> Result<Manifest, Problem> {
    let bytes = read_document(content, at, doing)?;
    oci::parse_manifest(&bytes, Some(&at.media_type)).map_err(|malformed| malformed.problem(doing))
}

/// Copies one blob to its verified end.
fn pour(ctx: &Ctx, content: &dyn Content, blob: &Descriptor, step: usize, out: &mut dyn Write, doing: &str) -> Result<(), Problem> {
    let mut reader = content.open(blob)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        ctx.check(doing)?;
        let read = reader.read(&mut buffer).map_err(|error| read_problem(doing, &blob.digest, &error).hint("nothing was changed"))?;
        if read == 0 {
            return Ok(());
        }
        let written = out.write_all(buffer.get(..read).unwrap_or_default());
        written.map_err(|error| Problem::new(ProblemKind::Disk, doing, format!("the store can't be written: {error}")))?;
        ctx.meter.add(step, read as u64);
    }
}

/// What the images will stand at, and the manifests that have to be made for it.
fn incoming(content: &dyn Content, doing: &str) -> Result<(Vec<Incoming>, Vec<Made>), Problem> {
    if let Some(gap) = content.gaps().first() {
        return Err(gap.clone());
    }
    let mut images = Vec::new();
    let mut made = Vec::new();
    let mut taken: HashMap<String, Digest> = HashMap::new();
    for packed in content.images() {
        let root = match (&packed.root, &packed.manifest) {
            (Some(root), Some(manifest)) if root.digest == manifest.digest || holds(content, root, &manifest.digest, doing)? => {
                root.clone()
            }
            // An index over indexes: the image itself is enough.
            (_, Some(manifest)) => manifest.clone(),
            (_, None) => {
                let (descriptor, bytes) = manifest_of(packed);
                made.push((descriptor.clone(), bytes));
                descriptor
            }
        };
        let root = Descriptor { annotations: BTreeMap::new(), platform: None, ..root };
        let mut names = Vec::new();
        for name in packed.names.iter().filter(|name| !(packed.root.is_some() && is_bare_tag(name))) {
            let reference = name.reference().map_err(|problem| problem.detail(doing))?;
            if reference.digest().is_some() {
                continue;
            }
            let canonical = index::canonical(&reference);
            let first = taken.entry(canonical.clone()).or_insert_with(|| root.digest.clone());
            if *first != root.digest {
                let cause = format!("it gives the name {} to two images", name.safe());
                return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
            }
            if !names.contains(&canonical) {
                names.push(canonical);
            }
        }
        images.push(Incoming { root, id: packed.config.digest.clone(), names });
    }
    if images.is_empty() {
        return Err(Problem::new(ProblemKind::NotFound, doing, "there is no image in it"));
    }
    Ok((images, made))
}

/// Layouts may carry a tag alone, such as `v1`: it names no repository, so the image comes in untagged, as with `docker load`.
fn is_bare_tag(name: &Name) -> bool {
    !name.raw().contains(['/', ':', '@'])
}

/// Whether the index `root` names `child` itself.
fn holds(content: &dyn Content, root: &Descriptor, child: &Digest, doing: &str) -> Result<bool, Problem> {
    match manifest(content, root, doing)? {
        Manifest::Index(index) => Ok(index.manifests.iter().any(|one| one.digest == *child)),
        Manifest::Image(_) => Ok(false),
    }
}

/// The OCI manifest of an image that came without one: always the same bytes for the same image.
pub(crate) fn manifest_of(packed: &Packed) -> (Descriptor, Vec<u8>) {
    let bare = |blob: &Descriptor, media_type: &str| {
        descriptor_json(&Descriptor { media_type: media_type.to_owned(), platform: None, annotations: BTreeMap::new(), ..blob.clone() })
    };
    let layers: Vec<_> = packed.layers.iter().map(|layer| bare(layer, media::OCI_LAYER)).collect();
    let body = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": bare(&packed.config, media::OCI_CONFIG), "layers": layers,
    });
    let bytes = body.to_string().into_bytes();
    let digest = Digest::sha256(&bytes);
    let size = bytes.len() as u64;
    (Descriptor { media_type: media::OCI_MANIFEST.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }, bytes)
}
