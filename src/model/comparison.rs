//! What differs between two images.

use serde::Serialize;
use serde_json::Value;

use super::digest::Digest;
use super::finding::{Finding, FindingKind};
use super::package::PackageChange;
use super::safe::Foreign;

/// Everything that differs; of what is `None` it is not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Comparison {
    pub config: Vec<ConfigChange>,
    /// The layers of both, those that they share too.
    pub layers: Vec<LayerChange>,
    pub files: Option<Vec<FileChange>>,
    pub packages: Option<Vec<PackageChange>>,
    /// What one of them has and the other hasn't, by the same rules and advisories.
    pub findings: Option<Vec<FindingChange>>,
    /// Kinds of findings that nobody looked for in both.
    #[serde(skip)]
    pub not_compared: Vec<FindingKind>,
}

/// A part of a comparison that is looked through as one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Section {
    #[default]
    Settings,
    Layers,
    Files,
    Packages,
    Findings,
}

impl Section {
    pub const ALL: [Self; 5] = [Self::Settings, Self::Layers, Self::Files, Self::Packages, Self::Findings];

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Layers => "Layers",
            Self::Files => "Files",
            Self::Packages => "Packages",
            Self::Findings => "Findings",
        }
    }

    /// The one so many further on, round and round.
    #[must_use]
    pub fn beside(self, step: isize) -> Self {
        let at = Self::ALL.iter().position(|section| *section == self).unwrap_or(0);
        let len = Self::ALL.len();
        Self::ALL.get((at + len).saturating_add_signed(step) % len).copied().unwrap_or_default()
    }
}

impl Comparison {
    /// How many rows a section has; `None` where that is not known.
    #[must_use]
    pub fn rows_of(&self, section: Section) -> Option<usize> {
        match section {
            Section::Settings => Some(self.config.len()),
            Section::Layers => Some(self.layers.len()),
            Section::Files => self.files.as_ref().map(Vec::len),
            Section::Packages => self.packages.as_ref().map(Vec::len),
            Section::Findings => self.findings.as_ref().map(Vec::len),
        }
    }
}

/// One setting that differs; `None` where an image doesn't have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigChange {
    /// Such as `user`, `env.PATH`, `labels.tier`.
    pub field: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// On which side a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// In both images.
    Shared,
    /// In the first only.
    Removed,
    /// In the second only.
    Added,
}

/// A layer of one of the images or of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    pub change: Side,
    pub diff_id: Option<Digest>,
    /// Bytes as stored where it was read; of a shared layer in the first image.
    pub size: Option<u64>,
    pub created_by: Option<Foreign>,
}

/// A finding that the images don't have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// [`Changed::Removed`] for what the second image has no more.
    pub change: Changed,
    pub finding: Finding,
}

/// A path that the finished images don't have alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Without a slash before it.
    pub path: Foreign,
    pub change: Changed,
    pub before: Option<ComparedFile>,
    pub after: Option<ComparedFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    Added,
    Modified,
    Removed,
}

impl Changed {
    /// What became of something that is there before, or after, or both times.
    #[must_use]
    pub const fn between(before: bool, after: bool) -> Self {
        match (before, after) {
            (false, _) => Self::Added,
            (_, false) => Self::Removed,
            _ => Self::Modified,
        }
    }
}

/// A file as one of the images has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedFile {
    /// Such as `file`, `dir`, `symlink`.
    pub kind: &'static str,
    pub size: u64,
    /// In octal, as `0755`; `None` where the layer doesn't say.
    pub mode: Option<String>,
    pub link: Option<Foreign>,
}
