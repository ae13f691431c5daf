//! What an image or a manifest is made of, and no more of it: what is read of many to find one layer among them.

use super::digest::Digest;
use super::problem::Problem;
use super::remote::{Completeness, TagDetails};

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

/// What is found out about a repository while it is looked through, piece by piece. The last is [`Found::Ended`], once.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its tags were listed: how many there are, without those that stand for signatures and their kin.
    Listed { tags: usize, completeness: Completeness },
    /// What some tags point at, or why that is not known.
    Tags(Vec<(String, Result<TagDetails, Problem>)>),
    /// What some of its images are made of.
    Stacks(Vec<Stack>),
    /// It was looked through to its end, or why not.
    Ended(Result<(), Problem>),
}
