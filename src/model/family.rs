//! Where an image comes from and what came of it, as far as it can be told from the images beside it.

use super::{Digest, Name, Safe};

/// An image among those of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// What it says it was built on.
    pub told: Option<Told>,
    /// The image here whose layers it begins with, the one with the most.
    pub base: Option<Base>,
    /// What its labels suggest, where nothing better is known.
    pub guess: Option<Safe>,
    /// Images here that have the same layers and no others.
    pub twins: Vec<Digest>,
    /// Images here that begin with all of its layers and have more.
    pub built_on_it: Vec<Digest>,
    /// How many other images here hold each of its layers, oldest first.
    pub shared: Vec<usize>,
    /// Bytes of its layers that no other image here holds, and of those that some do.
    pub bytes: (u64, u64),
    /// Images whose layers are known, and all there are: what is not known may be of the family too.
    pub based_on: (usize, usize),
}

/// A base as the image itself names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub name: Name,
    pub digest: Option<Digest>,
    /// Whether that name is at another digest here. `None` where the name is not here, or has no digest to compare.
    pub moved: Option<bool>,
}

/// A base that is known by its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub image: Digest,
    /// How many layers both have.
    pub layers: usize,
}
