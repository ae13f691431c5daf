//! What an image or a manifest is made of, and no more of it: what is read of many to find one layer among them.

use super::digest::Digest;
use super::problem::Problem;

/// An image of this machine, or a manifest of a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Of an image of this machine its ID, of a registry the manifest's digest.
    pub digest: Digest,
    /// Of its configuration, where it was read.
    pub config: Option<Digest>,
    /// Oldest first; or why they are not known.
    pub layers: Result<Vec<StackLayer>, Problem>,
}

/// A layer's digest as stored, and that of its tar (diff ID).
pub type StackLayer = (Option<Digest>, Option<Digest>);
