//! Oci-archives: a layout in a tar, blobs as they are stored, so that digests stay. Only an image that has no manifest yet (out of a
//! docker-archive) gets one.

use std::collections::HashMap;
use std::io;

use serde_json::{Value, json};

use super::check::{Discard, Sink, copy_layer, copy_stored, read_config};
use super::tarout;
use crate::model::{Digest, Name, Platform, Problem, ProblemKind};
use crate::source::Ctx;
use crate::source::content::{Content, Descriptor, Packed, read_document};
use crate::source::layout::blob_path;
use crate::source::oci::{self, ImageManifest, Manifest, descriptor_json, media};
use crate::source::sink::AtomicFile;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const DEEPEST: usize = 10;

/// What `index.json` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) at: Descriptor,
    pub(super) names: Vec<Name>,
}

impl Named {
    /// Takes in one more image; several may stand at one descriptor.
    pub(super) fn join(all: &mut Vec<Self>, at: Descriptor, names: &[Name]) {
        if let Some(known) = all.iter_mut().find(|known| known.at.digest == at.digest) {
            for name in names {
                if !known.names.contains(name) {
                    known.names.push(name.clone());
                }
            }
        } else {
            all.push(Self { at, names: names.to_vec() });
        }
    }
}

pub(super) fn write(content: &dyn Content, images: &[Packed], out: &mut AtomicFile, ctx: &Ctx, doing: &str) -> Result<(), Problem> {
    start(out).map_err(|error| out.problem(&error))?;
    let mut writer = Writer { content, out, ctx, doing, written: HashMap::new() };
    let mut named: Vec<Named> = Vec::new();
    for image in images {
        let at = writer.image(image, images)?;
        Named::join(&mut named, at, &image.names);
    }
    finish(out, &named).map_err(|error| out.problem(&error))
}

/// Writes what comes before the blobs.
pub(super) fn start(out: &mut AtomicFile) -> io::Result<()> {
    tarout::file(out, "oci-layout", LAYOUT)
}

/// Writes what comes after the blobs.
pub(super) fn finish(out: &mut AtomicFile, named: &[Named]) -> io::Result<()> {
    tarout::file(out, "index.json", index_json(named).to_string().as_bytes())?;
    tarout::end(out)
}

fn index_json(named: &[Named]) -> Value {
    let mut entries = Vec::new();
    for Named { at, names } in named {
        let mut plain = at.clone();
        plain.annotations.clear();
        if names.is_empty() {
            entries.push(descriptor_json(&plain));
        }
        for name in names {
            let mut entry = plain.clone();
            entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), name.raw().into());
            // Containerd, and engines on it, take the whole name from here.
            if let Some(reference) = name.split().1.and_then(|_| name.reference().ok()) {
                entry.annotations.insert("io.containerd.image.name".to_owned(), reference.whole().into());
            }
            entries.push(descriptor_json(&entry));
        }
    }
    json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries})
}

/// A manifest for an image that has none; the same image always gets the same one.
pub(super) fn make_manifest(image: &Packed) -> Vec<u8> {
    let plain = |blob: &Descriptor| descriptor_json(&Descriptor { platform: None, ..blob.clone() });
    let layers: Vec<_> = image.layers.iter().map(plain).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": plain(&image.config), "layers": layers});
    manifest.to_string().into_bytes()
}

/// The descriptor of a manifest just made.
pub(super) fn describe(manifest: &[u8], platform: Option<Platform>) -> Descriptor {
    Descriptor {
        media_type: media::OCI_MANIFEST.to_owned(),
        digest: Digest::sha256(manifest),
        size: manifest.len() as u64,
        platform,
        annotations: std::collections::BTreeMap::new(),
    }
}

struct Writer<'a> {
    content: &'a dyn Content,
    out: &'a mut AtomicFile,
    ctx: &'a Ctx,
    doing: &'a str,
    /// With the diff ID that each was found to unpack to.
    written: HashMap<Digest, Option<Digest>>,
}

impl Writer<'_> {
    /// Writes an image, and says what the index is to name for it.
    fn image(&mut self, image: &Packed, chosen: &[Packed]) -> Result<Descriptor, Problem> {
        let config = read_config(self.content, image, self.doing)?;
        let platform = config.platform.clone();
        let Some(manifest) = &image.manifest else {
            for (layer, diff_id) in image.layers.iter().zip(&config.diff_ids) {
                self.blob(layer, Some(diff_id))?;
            }
            self.document(&image.config)?;
            let manifest = make_manifest(image);
            let at = describe(&manifest, platform);
            self.bytes(&at.digest, &manifest)?;
            return Ok(at);
        };
        if let Some(root) = self.whole_root(image, chosen) {
            self.closure(&root, 0)?;
            return Ok(root);
        }
        self.closure(manifest, 0)?;
        Ok(Descriptor { platform: platform.or_else(|| manifest.platform.clone()), ..manifest.clone() })
    }

    /// The index the image is of, when all of its images are exported: then the index goes along.
    fn whole_root(&self, image: &Packed, chosen: &[Packed]) -> Option<Descriptor> {
        let root = image.root.as_ref().filter(|root| media::is_index(&root.media_type))?;
        let of_root = |other: &&Packed| other.root.as_ref().is_some_and(|other| other.digest == root.digest);
        let is_chosen = |other: &Packed| chosen.iter().any(|chosen| chosen.manifest == other.manifest);
        self.content.images().iter().filter(of_root).all(is_chosen).then(|| root.clone())
    }

    /// Writes a manifest or index and all it leads to; of an index's children those that aren't there are left out, as they were.
    fn closure(&mut self, at: &Descriptor, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(Problem::new(ProblemKind::Limit, self.doing, format!("its indexes are nested too deeply, at {}", at.digest)));
        }
        let bytes = read_document(self.content, at, self.doing)?;
        let parsed = oci::parse_manifest(&bytes, Some(&at.media_type));
        match parsed.map_err(|error| error.problem(format!("{} (the manifest {})", self.doing, at.digest)))? {
            Manifest::Index(index) => {
                for child in &index.manifests {
                    match self.closure(child, depth + 1) {
                        Err(problem) if problem.kind == ProblemKind::NotFound => {}
                        done => done?,
                    }
                }
            }
            Manifest::Image(manifest) => {
                // All must be there before the first is written, or a child could be left half out.
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    self.content.open(blob).map(drop)?;
                }
                let diff_ids = self.diff_ids(&manifest);
                for (at, layer) in manifest.layers.iter().enumerate() {
                    self.blob(layer, diff_ids.get(at))?;
                }
                self.blob(&manifest.config, None)?;
            }
        }
        self.bytes(&at.digest, &bytes)
    }

    fn document(&mut self, blob: &Descriptor) -> Result<(), Problem> {
        let bytes = read_document(self.content, blob, self.doing)?;
        self.bytes(&blob.digest, &bytes)
    }

    fn bytes(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), Problem> {
        if self.written.insert(digest.clone(), None).is_none() {
            tarout::file(self.out, &blob_path(digest), bytes).map_err(|error| self.out.problem(&error))?;
        }
        Ok(())
    }

    /// What the layers of a manifest unpack to. None for an artifact, which isn't unpacked, and for an image beside the chosen ones that
    /// contradicts itself: those that were asked for have been looked at.
    fn diff_ids(&self, manifest: &ImageManifest) -> Vec<Digest> {
        if !manifest.is_image() || !manifest.layers.iter().all(|layer| media::is_layer(&layer.media_type)) {
            return Vec::new();
        }
        let bytes = read_document(self.content, &manifest.config, self.doing).ok();
        let config = bytes.and_then(|bytes| oci::parse_config(&bytes).ok());
        config.filter(|config| config.contradiction(manifest.layers.len()).is_none()).map(|config| config.diff_ids).unwrap_or_default()
    }

    /// Copies a blob as it is stored. Its reader verifies it; that it unpacks to `diff_id` is checked on the way, unless its type says
    /// that it is packed or encrypted in a way this program can't undo.
    fn blob(&mut self, blob: &Descriptor, diff_id: Option<&Digest>) -> Result<(), Problem> {
        let diff_id = diff_id.filter(|_| media::compression(&blob.media_type).is_some());
        if let Some(unpacked) = self.written.get(&blob.digest) {
            // Two images may have the blob, and one of them be wrong about it.
            return match diff_id.filter(|diff_id| unpacked.as_ref() != Some(diff_id)) {
                Some(diff_id) => copy_layer(self.content, blob, diff_id, self.ctx, self.doing, &mut Discard).map(drop),
                None => Ok(()),
            };
        }
        tarout::begin(self.out, &blob_path(&blob.digest), blob.size).map_err(|error| self.out.failed(error))?;
        copy_stored(self.content, blob, diff_id, self.ctx, self.doing, self.out)?;
        tarout::end_file(self.out, blob.size).map_err(|error| self.out.failed(error))?;
        self.written.insert(blob.digest.clone(), diff_id.cloned());
        Ok(())
    }
}
