//! What one layer has in it that a scan asks for: package lists, credentials, files that don't belong there, who may log in.
//!
//! Found by a [`Look`] in the pass that indexes the layer, and kept ([`FactsCache`]): a layer never changes, so what was seen of it once is known.
//! Facts hold no secret: a rule, a line and what may be shown. What depends on other layers, such as what is left of a file in the end, is no
//! fact of a layer and is left to whoever puts layers together.
//!
//! May use model, layer and source.

mod cache;
mod look;
mod memory;
mod system;

pub use cache::FactsCache;
pub use look::{Look, Looks};
pub(in crate::scan) use system::{Password, System};

use serde::{Deserialize, Serialize};

use super::inventory::FileList;
use crate::model::Foreign;

/// Changes with what is looked for in a layer, rules aside, which have a version of their own, and with the form of what is kept.
pub const ANALYZER: u32 = 3;

/// Findings that are kept of one layer, and those of them that only stand in installed software.
const MOST_SEEN: usize = 5_000;
const MOST_ASIDE: usize = 500;
/// Files that are named among those passed over.
const MOST_NAMED: usize = 20;

/// What was found in one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerFacts {
    pub(in crate::scan) lists: Vec<FileList>,
    pub(in crate::scan) seen: Vec<Seen>,
    pub(in crate::scan) system: Vec<SystemFile>,
    pub(in crate::scan) passed: Passed,
    /// Some packages were left out for what other layers list: no fact of this one, which is not kept then.
    #[serde(skip)]
    pub(in crate::scan) cut_by_others: bool,
}

/// A credential, or a file that doesn't belong there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct Seen {
    /// Normalised.
    pub(in crate::scan) path: Vec<u8>,
    /// Where its data starts in the layer's tar.
    pub(in crate::scan) offset: u64,
    pub(in crate::scan) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) enum What {
    /// By a rule of [`super::rules::SECRETS`].
    Secret {
        rule: u16,
        /// Its place among those of its rule in the file, from 0.
        nth: u32,
        lines: (u32, u32),
        /// Masked.
        evidence: String,
        /// Its place in [`crate::model::Severity::ALL`].
        severity: u8,
        note: String,
    },
    /// By a rule of [`super::rules::FILES`].
    File { rule: u16 },
}

/// A file that tells of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct SystemFile {
    pub(in crate::scan) path: Vec<u8>,
    pub(in crate::scan) offset: u64,
    pub(in crate::scan) system: System,
}

/// What was not looked at for credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::scan) struct Passed {
    /// Files that are no text.
    pub(in crate::scan) binary: u64,
    /// Texts that are too large.
    pub(in crate::scan) large: Files,
    /// Texts of which only a part was looked at, as they have too much in them.
    pub(in crate::scan) cut: Files,
    /// Files that tell of the system, and more of it than is looked at.
    pub(in crate::scan) system: Files,
    /// Files with holes, whose content is not put together.
    pub(in crate::scan) sparse: Files,
    /// Findings that were not kept, as there are too many.
    pub(in crate::scan) beyond: u64,
    /// The same of those in installed software.
    pub(in crate::scan) aside: u64,
}

/// Files by how many they are, and the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::scan) struct Files {
    pub(in crate::scan) count: u64,
    pub(in crate::scan) first: Vec<Foreign>,
}

impl Files {
    fn add(&mut self, path: &[u8]) {
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            self.first.push(Foreign::lossy(path));
        }
    }
}
