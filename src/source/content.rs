//! Images as content-addressed blobs: the one view over layouts, archives and the store, from which they are inspected,
//! exported, imported and pushed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Read;

use crate::model::{Digest, Foreign, Name, Platform, Problem};

/// A typed pointer to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes as stored.
    pub size: u64,
    pub platform: Option<Platform>,
    pub annotations: BTreeMap<String, Foreign>,
}

/// One image (one platform) inside a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its tags, as full names where the collection has them (`org.opencontainers.image.ref.name`, `RepoTags`).
    pub names: Vec<Name>,
    /// The descriptor the names stand at: an index or this manifest. `None` in a classic docker-archive.
    pub root: Option<Descriptor>,
    /// `None` in a classic docker-archive, which has no manifest.
    pub manifest: Option<Descriptor>,
    /// The image ID is this digest.
    pub config: Descriptor,
    /// Bottom first. In a docker-archive the digest is the diff ID.
    pub layers: Vec<Descriptor>,
}

/// A collection of images whose blobs can be read by digest. Blocking: used on blocking threads.
pub trait Content: Send + Sync + Debug {
    /// Every image, each platform of an index on its own.
    fn images(&self) -> &[Packed];

    /// Opens a blob's stored bytes. The reader fails at its end (an `io::Error` of kind `InvalidData`) when the bytes do not match
    /// the descriptor's size or digest, so whoever reads to the end has verified.
    ///
    /// # Errors
    /// A missing blob, named.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Problem>;
}
