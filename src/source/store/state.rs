//! What the store holds at one moment: its index, read down to the images. Documents are immutable by digest, so what was read
//! once is not read again; the index is read again when the file is another one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::blobs::Blobs;
use super::index::{self, Index};
use crate::model::{Digest, Foreign, ImageKey, ImageSummary, Name, Platform, Problem, ProblemKind, Safe};
use crate::source::content::{Descriptor, Packed};
use crate::source::oci::{self, Config, ImageManifest, Manifest};
use crate::source::registry::pick;

/// Indexes within indexes that are followed.
const DEEPEST: usize = 4;

/// One image, under all its names.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its names are those of every root it hangs on.
    pub packed: Packed,
    /// What the index points at: this manifest or indexes over it. Never empty.
    pub roots: Vec<Descriptor>,
    pub origins: Vec<Name>,
    /// Bytes of its layers that no other image of the store has.
    pub unique: u64,
    /// The row as far as the documents tell.
    row: Arc<ImageSummary>,
}

impl Held {
    pub(super) fn id(&self) -> &Digest {
        &self.packed.config.digest
    }

    pub(super) fn summary(&self) -> ImageSummary {
        let mut row = (*self.row).clone();
        row.tags.clone_from(&self.packed.names);
        row.repo_digests.clone_from(&self.origins);
        row.unique_size = Some(self.unique);
        row
    }

    pub(super) fn platform(&self) -> Option<&Platform> {
        self.row.platform.as_ref()
    }
}

/// The whole store.
#[derive(Debug, Default)]
pub(super) struct State {
    pub index: Index,
    pub images: Vec<Held>,
    pub gaps: Vec<Foreign>,
}

impl State {
    pub(super) fn by_id(&self, id: &Digest) -> Option<&Held> {
        self.images.iter().find(|image| image.id() == id)
    }

    /// The images under a root: several for an index.
    pub(super) fn under<'a>(&'a self, root: &'a Digest) -> impl Iterator<Item = &'a Held> {
        self.images.iter().filter(move |image| image.roots.iter().any(|known| known.digest == *root))
    }

    /// The image a key means: of an index, this machine's platform, else the first.
    pub(super) fn find(&self, key: &ImageKey) -> Option<&Held> {
        let reference = match key {
            ImageKey::Id(id) => return self.by_id(id),
            ImageKey::Name(reference) => reference,
        };
        let root = match reference.digest() {
            Some(digest) => {
                let origin = format!("{}/{}@{digest}", reference.registry(), reference.repository());
                let known = self.index.entries().find(|entry| index::origins(entry).iter().any(|name| name.raw() == origin));
                known.or_else(|| {
                    let place = format!("{}/{}:", reference.registry(), reference.repository());
                    let here = |entry: &&Descriptor| index::name(entry).is_some_and(|name| name.raw().starts_with(&place));
                    self.index.entries().filter(|entry| entry.digest.as_str() == digest).find(here)
                })
            }
            None => self.index.named(&index::canonical(reference)),
        }?;
        let under: Vec<&Held> = self.under(&root.digest).collect();
        pick(&under, |image| image.platform(), &Platform::host()).or(under.first()).copied()
    }

    /// The problem of a key that means nothing here.
    pub(super) fn absent(doing: &str) -> Problem {
        Problem::new(ProblemKind::NotFound, doing, "no such image in the store")
    }
}

/// A manifest that was read.
#[derive(Debug)]
struct Known {
    manifest: ImageManifest,
    row: Arc<ImageSummary>,
}

/// Documents that were read before.
#[derive(Debug, Default)]
pub(super) struct Documents {
    images: HashMap<Digest, Arc<Known>>,
    indexes: HashMap<Digest, Arc<oci::Index>>,
}

/// A root's documents: an index over others, or an image.
enum Read {
    Index(Arc<oci::Index>),
    Image(Arc<Known>),
}

impl Documents {
    /// Reads everything the index reaches. What can't be read becomes a gap.
    pub(super) fn state(&mut self, blobs: &Blobs, index: Index) -> State {
        let mut gaps: Vec<Foreign> = index.gaps().map(Foreign::from).collect();
        let mut images: Vec<Held> = Vec::new();
        let mut places: HashMap<Digest, usize> = HashMap::new();
        for entry in index.entries() {
            let name = index::name(entry);
            let mut found = Vec::new();
            if let Err(problem) = self.images_under(blobs, entry, DEEPEST, &mut found) {
                let what = name.as_ref().map_or_else(|| Safe::new(entry.digest.short()), Name::safe);
                gaps.push(Foreign::from(format!("{what}: {}", problem.cause)));
            }
            for (at, known) in found {
                let id = known.manifest.config.digest.clone();
                let place = *places.entry(id).or_insert_with(|| {
                    images.push(hold(&at, &known));
                    images.len() - 1
                });
                let Some(held) = images.get_mut(place) else { continue };
                held.packed.names.extend(name.clone());
                if !held.roots.iter().any(|root| root.digest == entry.digest) {
                    held.roots.push(entry.clone());
                }
                for origin in index::origins(entry) {
                    if !held.origins.contains(&origin) {
                        held.origins.push(origin);
                    }
                }
            }
        }
        for image in &mut images {
            image.packed.root =
                image.roots.first().map(|root| Descriptor { annotations: std::collections::BTreeMap::new(), ..root.clone() });
            image.packed.names.sort();
            image.packed.names.dedup();
        }
        count_unique(&mut images);
        State { index, images, gaps }
    }

    fn images_under(
        &mut self,
        blobs: &Blobs,
        at: &Descriptor,
        deepest: usize,
        found: &mut Vec<(Descriptor, Arc<Known>)>,
    ) -> Result<(), Problem> {
        let index = match self.read(blobs, at)? {
            Read::Image(known) => {
                found.push((at.clone(), known));
                return Ok(());
            }
            Read::Index(index) => index,
        };
        let doing = format!("read the index {}", at.digest.short());
        if deepest == 0 {
            return Err(Problem::new(ProblemKind::Limit, doing, "its index leads to too many others"));
        }
        let before = found.len();
        let mut problem = None;
        // The other platforms were not pulled: that is no gap.
        for child in index.manifests.iter().filter(|child| crate::source::registry::is_runnable(child) && blobs.has(child)) {
            if let Err(why) = self.images_under(blobs, child, deepest - 1, found) {
                problem.get_or_insert(why);
            }
        }
        match problem {
            Some(problem) => Err(problem),
            None if found.len() == before => Err(Problem::new(ProblemKind::NotFound, doing, "none of its platforms is in the store")),
            None => Ok(()),
        }
    }

    fn read(&mut self, blobs: &Blobs, at: &Descriptor) -> Result<Read, Problem> {
        if let Some(known) = self.images.get(&at.digest) {
            return Ok(Read::Image(Arc::clone(known)));
        }
        if let Some(index) = self.indexes.get(&at.digest) {
            return Ok(Read::Index(Arc::clone(index)));
        }
        let doing = format!("read the manifest {}", at.digest.short());
        let bytes = blobs.document(&at.digest)?;
        match oci::parse_manifest(&bytes, Some(&at.media_type)).map_err(|malformed| malformed.problem(&doing))? {
            Manifest::Index(index) => {
                let index = Arc::new(index);
                self.indexes.insert(at.digest.clone(), Arc::clone(&index));
                Ok(Read::Index(index))
            }
            Manifest::Image(manifest) => {
                if !manifest.is_image() {
                    let cause = format!("it is no image but a {}", Safe::new(&manifest.config.media_type));
                    return Err(Problem::new(ProblemKind::Unsupported, doing, cause));
                }
                let config = config(blobs, &manifest.config)?;
                let packed = packed(at, &manifest);
                let known = Arc::new(Known { row: Arc::new(oci::summary_from(&packed, &config)), manifest });
                self.images.insert(at.digest.clone(), Arc::clone(&known));
                Ok(Read::Image(known))
            }
        }
    }
}

/// Reads a configuration.
pub(super) fn config(blobs: &Blobs, at: &Descriptor) -> Result<Config, Problem> {
    let bytes = blobs.document(&at.digest)?;
    oci::parse_config(&bytes).map_err(|malformed| malformed.problem(format!("read the configuration {}", at.digest.short())))
}

fn packed(at: &Descriptor, manifest: &ImageManifest) -> Packed {
    Packed {
        names: Vec::new(),
        root: None,
        manifest: Some(Descriptor {
            media_type: manifest.media_type.clone(),
            annotations: std::collections::BTreeMap::new(),
            ..at.clone()
        }),
        config: manifest.config.clone(),
        layers: manifest.layers.clone(),
        base: manifest.base(at),
    }
}

fn hold(at: &Descriptor, known: &Known) -> Held {
    Held { packed: packed(at, &known.manifest), roots: Vec::new(), origins: Vec::new(), unique: 0, row: Arc::clone(&known.row) }
}

/// A layer counts for an image only when no other image has it; one that an image has twice is stored once.
fn count_unique(images: &mut [Held]) {
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for image in &*images {
        let own: HashSet<&Digest> = image.packed.layers.iter().map(|layer| &layer.digest).collect();
        for digest in own {
            *users.entry(digest.clone()).or_default() += 1;
        }
    }
    for image in images {
        let mut seen = HashSet::new();
        let alone = image.packed.layers.iter().filter(|layer| users.get(&layer.digest) == Some(&1) && seen.insert(&layer.digest));
        image.unique = alone.fold(0, |sum, layer| sum.saturating_add(layer.size));
    }
}
