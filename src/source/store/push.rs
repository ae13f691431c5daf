//! Pushing: blobs first, then the platforms' manifests, then what the tag stands at, under the tag. That last step is the commit.

use std::collections::HashSet;
use std::io::{Read as _, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::blobs::Blobs;
use super::index;
use super::state::{Held, State};
use super::{Store, blocking};
use crate::model::{Digest, Name, Problem, ProblemKind, Reference, Safe, StepState, Transfer};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::{self, Manifest};
use crate::source::registry::{Client, Feed, Repo, Uploaded};

const AT_ONCE: usize = 4;

/// What goes, in the order it goes.
struct Load {
    /// Each once, with a repository of the same registry that has it.
    blobs: Vec<(Descriptor, Option<Repo>)>,
    /// The manifests below the root.
    children: Vec<Descriptor>,
    root: Descriptor,
}

/// What goes instead for one image alone, and the manifests of its index that are not here.
type Alone = (Load, Vec<Descriptor>);

/// What an index leads to.
#[derive(Default)]
struct Below {
    /// Manifests that are here with all they need, the deepest first.
    here: Vec<Descriptor>,
    missing: Vec<Descriptor>,
    /// Configurations and layers.
    blobs: Vec<Descriptor>,
}

/// A blob of the store on its way out.
struct StoredBlob {
    blobs: Blobs,
    blob: Descriptor,
}

impl Feed for StoredBlob {
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem> {
        let mut reader = self.blobs.open(&self.blob)?;
        let mut buffer = vec![0; 64 * 1024];
        let doing = || format!("send {}", self.blob.digest.short());
        loop {
            let read = reader.read(&mut buffer).map_err(|error| {
                let kind = if error.kind() == std::io::ErrorKind::InvalidData { ProblemKind::Corrupt } else { ProblemKind::Disk };
                Problem::new(kind, doing(), error.to_string()).hint("the store's copy is damaged: remove the image and pull it again")
            })?;
            if read == 0 {
                return Ok(());
            }
            out.write_all(buffer.get(..read).unwrap_or_default())
                .map_err(|error| Problem::new(ProblemKind::Other, doing(), error.to_string()))?;
        }
    }
}

impl Store {
    pub(super) async fn push(self: &Arc<Self>, ctx: &Ctx, reference: &Reference, expected: &Digest) -> Result<Transfer, Problem> {
        let doing = format!("push {reference}");
        if reference.digest().is_some() {
            return Err(Problem::new(ProblemKind::Usage, doing, "an image is pushed under a tag").hint("name it REPOSITORY:TAG"));
        }
        let client = self.ready().await?;
        let repo = Repo::of(reference)?;
        let _lease = self.lease(ctx, &doing).await?;
        let (store, name, id, to) = (Arc::clone(self), index::canonical(reference), expected.clone(), repo.clone());
        let words = doing.clone();
        let (mut load, alone) = blocking(&doing, move || store.load(&words, &name, &id, &to)).await?;
        // Platforms that were never pulled may be there already; else only what is here can go.
        if let Some((alone, missing)) = alone {
            for child in missing {
                if client.stat(&repo, child.digest.as_str()).await?.is_none() {
                    ctx.meter.phase("pushing one platform: the others of its index are not in the store");
                    load = alone;
                    break;
                }
            }
        }
        let tag = reference.tag().unwrap_or("latest");
        let sum = match self.send(ctx, &client, &repo, tag, &load).await {
            // A registry that collects garbage may take a blob away before its manifest comes.
            Err(problem) if problem.cause.as_str().contains("BLOB_UNKNOWN") => self.send(ctx, &client, &repo, tag, &load).await,
            sent => sent,
        }?;
        let (digest, origin) = (load.root.digest.clone(), format!("{}@{}", repo.full(), load.root.digest));
        let noted = self.change(ctx, doing, move |locked| {
            locked.index.note_origin(&digest, Name::new(&origin).raw());
            Ok(())
        });
        noted.await?;
        Ok(sum)
    }

    async fn send(&self, ctx: &Ctx, client: &Client, repo: &Repo, tag: &str, load: &Load) -> Result<Transfer, Problem> {
        ctx.meter.phase("pushing");
        let mut sum = Transfer { digest: Some(load.root.digest.clone()), ..Transfer::default() };
        let sending = load.blobs.iter().map(|(blob, known_in)| {
            let step = ctx.meter.step_named(&Safe::new(blob.digest.short()));
            ctx.meter.edit(step, |step| step.total = Some(blob.size));
            let feed = Arc::new(StoredBlob { blobs: self.blobs.clone(), blob: blob.clone() });
            async move {
                let sent = client.push_blob(ctx, repo, blob, feed, known_in.as_ref(), step).await;
                let sent = sent.inspect_err(|_| ctx.meter.finish(step, StepState::Failed))?;
                ctx.meter.finish(step, if sent == Uploaded::Sent { StepState::Done } else { StepState::Skipped });
                Ok::<_, Problem>((sent, blob.size))
            }
        });
        let sent: Vec<(Uploaded, u64)> = stream::iter(sending.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await?;
        for (uploaded, size) in sent {
            let counter = if uploaded == Uploaded::Sent { &mut sum.bytes_transferred } else { &mut sum.bytes_skipped };
            *counter = counter.saturating_add(size);
        }
        ctx.meter.phase("pushing the manifest");
        for child in &load.children {
            self.put(client, repo, child, child.digest.as_str()).await?;
        }
        self.put(client, repo, &load.root, tag).await?;
        Ok(sum)
    }

    async fn put(&self, client: &Client, repo: &Repo, manifest: &Descriptor, target: &str) -> Result<(), Problem> {
        let (blobs, digest) = (self.blobs.clone(), manifest.digest.clone());
        let bytes = blocking("read a manifest", move || blobs.document(&digest)).await?;
        client.put_manifest(repo, target, &manifest.media_type, Bytes::from(bytes)).await.map(|_digest| ())
    }

    /// What to send for `name`, which must still be the image `expected`; and, when platforms of its index are not here, what to send
    /// instead for this image alone, with the manifests that are missing.
    fn load(&self, doing: &str, name: &str, expected: &Digest, to: &Repo) -> Result<(Load, Option<Alone>), Problem> {
        let state = self.state()?;
        let root = state.index.named(name).ok_or_else(|| State::absent(doing))?;
        let under: Vec<&Held> = state.under(&root.digest).collect();
        let image = under.iter().find(|image| image.id() == expected).ok_or_else(|| {
            Problem::new(ProblemKind::Conflict, doing, "the name stands at another image now")
                .hint("look again: it moved since it was shown")
        })?;
        let mut below = Below::default();
        self.descend(root, &mut below, 4)?;
        let Below { here: mut children, missing, blobs } = below;
        let root = bare(root, doing, &self.blobs)?;
        children.retain(|child| child.digest != root.digest);
        let whole = Load { blobs: blobs_of(&state, &blobs, to), children, root };
        let manifest = image.packed.manifest.clone().filter(|_| !missing.is_empty());
        let own: Vec<Descriptor> = image.packed.layers.iter().chain([&image.packed.config]).cloned().collect();
        let alone = manifest.map(|root| (Load { blobs: blobs_of(&state, &own, to), children: Vec::new(), root }, missing));
        Ok((whole, alone))
    }

    /// Looks at everything below `at`.
    fn descend(&self, at: &Descriptor, below: &mut Below, deepest: usize) -> Result<(), Problem> {
        if !self.blobs.has(at) {
            below.missing.push(at.clone());
            return Ok(());
        }
        let doing = format!("read the manifest {}", at.digest.short());
        let bytes = self.blobs.document(&at.digest)?;
        let media_type = Some(at.media_type.as_str()).filter(|kind| !kind.is_empty());
        let manifest = oci::parse_manifest(&bytes, media_type).map_err(|malformed| malformed.problem(&doing))?;
        let media_type = match manifest {
            Manifest::Index(index) if deepest == 0 => {
                return Err(Problem::new(ProblemKind::Limit, doing, format!("{} manifests lie too deep", index.manifests.len())));
            }
            Manifest::Index(index) => {
                for child in &index.manifests {
                    self.descend(child, below, deepest - 1)?;
                }
                index.media_type
            }
            Manifest::Image(image) => {
                let parts: Vec<Descriptor> = image.layers.into_iter().chain([image.config]).collect();
                if !parts.iter().all(|part| self.blobs.has(part)) {
                    below.missing.push(at.clone());
                    return Ok(());
                }
                below.blobs.extend(parts);
                image.media_type
            }
        };
        below.here.push(Descriptor { media_type, ..at.clone() });
        Ok(())
    }
}

/// The root as it is named by its own bytes.
fn bare(root: &Descriptor, doing: &str, blobs: &Blobs) -> Result<Descriptor, Problem> {
    let bytes = blobs.document(&root.digest)?;
    let media_type = match oci::parse_manifest(&bytes, Some(&root.media_type)).map_err(|malformed| malformed.problem(doing))? {
        Manifest::Index(index) => index.media_type,
        Manifest::Image(image) => image.media_type,
    };
    Ok(Descriptor { media_type, annotations: std::collections::BTreeMap::new(), ..root.clone() })
}

/// Each blob once, with a repository that has it.
fn blobs_of(state: &State, blobs: &[Descriptor], to: &Repo) -> Vec<(Descriptor, Option<Repo>)> {
    let mut seen = HashSet::new();
    let once = blobs.iter().filter(|blob| seen.insert(blob.digest.clone()));
    once.map(|blob| (blob.clone(), known_in(state, blob, to))).collect()
}

/// Another repository of the registry that was seen with the blob.
fn known_in(state: &State, blob: &Descriptor, to: &Repo) -> Option<Repo> {
    let holders = state
        .images
        .iter()
        .filter(|image| image.packed.layers.iter().chain([&image.packed.config]).any(|known| known.digest == blob.digest));
    let mut repos = holders.flat_map(|image| &image.origins).filter_map(|origin| Repo::of(&origin.reference().ok()?).ok());
    repos.find(|repo| repo.host() == to.host() && repo != to)
}
