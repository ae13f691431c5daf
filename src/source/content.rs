//! Images as content-addressed blobs: the one view over layouts, archives and the store, from which they are inspected,
//! exported, imported and pushed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{self, Read};

use super::oci::LARGEST;
use crate::layer::Verified;
use crate::model::{BaseSaid, Digest, Foreign, Name, Platform, Problem, ProblemKind};

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
    /// What its manifest says that it was built on.
    pub base: Option<BaseSaid>,
}

/// A collection of images whose blobs can be read by digest. Blocking: used on blocking threads.
pub trait Content: Send + Sync + Debug {
    /// Every image, each platform of an index on its own.
    fn images(&self) -> &[Packed];

    /// Opens a blob's stored bytes as they lie, for whoever hashes them himself.
    ///
    /// # Errors
    /// A missing blob, named.
    fn stored(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Problem>;

    /// Opens a blob's stored bytes. The reader fails at its end (an `io::Error` of kind `InvalidData`) when the bytes do not match
    /// the descriptor's size or digest, so whoever reads to the end has verified.
    ///
    /// # Errors
    /// As [`Content::stored`].
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Problem> {
        Ok(Box::new(Verified::new(self.stored(blob)?, blob.digest.clone(), blob.size)))
    }

    /// Images that the collection names but that can't be read, each with its reason. The others can be used all the same.
    fn gaps(&self) -> &[Problem] {
        &[]
    }
}

/// Reads a manifest, index or configuration whole, verified.
///
/// # Errors
/// A blob that is missing, over 4 MiB or not what its digest says; `doing` should name the collection.
pub fn read_document(content: &dyn Content, blob: &Descriptor, doing: &str) -> Result<Vec<u8>, Problem> {
    read_small(content.open(blob)?, blob, doing)
}

/// Reads a document from a reader that verifies.
pub(super) fn read_small(reader: impl Read, blob: &Descriptor, doing: &str) -> Result<Vec<u8>, Problem> {
    if blob.size > LARGEST {
        let cause = format!("{} has {} bytes; at most {LARGEST} are read of a document", blob.digest, blob.size);
        return Err(Problem::new(ProblemKind::Limit, doing, cause));
    }
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| read_problem(doing, &blob.digest, &error))?;
    Ok(bytes)
}

/// A failure while reading a blob, in words: bytes that are not what they should be, or the disk.
#[must_use]
pub fn read_problem(doing: &str, blob: &Digest, error: &io::Error) -> Problem {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ProblemKind::Corrupt,
        _ => ProblemKind::Disk,
    };
    Problem::new(kind, doing, format!("the blob {blob} can't be read: {error}"))
}
