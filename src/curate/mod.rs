//! Pure reasoning on what an action will do, before it is done: what goes, what stays and why, in words and bytes.
//!
//! May use model only. Nothing here reads a clock or a source: it works on the list the user was looking at, and whoever carries a
//! [`crate::model::Change`] out reads again just before each write.

pub mod cleanup;
pub mod compare;
pub mod describe;
pub mod family;
pub mod findings;
pub mod freed;
mod markdown;
pub mod mistake;
pub mod packages;
pub mod plan;
pub mod quarantine;
pub mod reclaim;
pub mod rename;
pub mod retention;
pub mod semver;
pub mod space;
pub mod words;

use crate::model::Safe;

/// How a statement is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// What stays, or is only for information.
    Quiet,
    Warning,
    /// What will be gone.
    Loss,
}

/// One sentence of a dialog.
pub type Statement = (Tone, Safe);
