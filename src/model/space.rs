//! What takes the space where images are kept: bytes that a repository or an image alone holds, and those that others hold too.

use super::{Digest, Name};

/// The space of an engine or store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Space {
    /// Bytes of everything that is held, each once.
    pub stored: u64,
    /// Bytes that one repository alone holds, over all of them, and those that several do.
    pub bytes: Bytes,
    /// Those with the most bytes of their own first.
    pub repositories: Vec<RepositorySpace>,
    /// Images of which it is known what they hold, and all there are.
    pub based_on: (usize, usize),
}

/// Bytes, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// What nothing else holds: what would be had back.
    pub own: u64,
    /// What others hold too.
    pub shared: u64,
}

impl Bytes {
    #[must_use]
    pub const fn all(self) -> u64 {
        self.own.saturating_add(self.shared)
    }
}

/// The images of a repository, or those without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositorySpace {
    /// With the registry's host; `None` for images without a tag.
    pub name: Option<Name>,
    pub bytes: Bytes,
    /// Those with the most bytes of their own first.
    pub images: Vec<ImageSpace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpace {
    pub id: Digest,
    /// One of its names in the repository, and how many more there are.
    pub name: Option<Name>,
    pub more: usize,
    /// `None` where it is not known what it holds.
    pub bytes: Option<Bytes>,
}
