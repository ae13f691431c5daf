//! What is known of what is wrong with one image: all reports on it put together, and how that is looked at.
//!
//! Plain data; `curate::findings` makes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::finding::{Finding, Severity};
use super::finding_filter::FindingFilter;
use super::package::Inventory;
use super::problem::Problem;
use super::remote::TagDetails;
use super::report::{Report, Summary};
use super::safe::Safe;

/// All that scanners and reports said of an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scan {
    /// Each thing once, the worst first.
    pub findings: Vec<Finding>,
    /// The reports that it comes from, without their findings; our own first.
    pub reports: Vec<Report>,
    /// The packages, once all layers were read.
    pub inventory: Option<Inventory>,
    /// What went wrong with looking; the rest stands.
    pub problems: Vec<Problem>,
    /// How far it goes.
    pub reach: Reach,
}

/// What a scan of an image came to, in short: for lists of images, filters and policies. What is ignored counts nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gist {
    /// When it was looked at.
    pub at: Timestamp,
    pub total: u32,
    pub fixable: u32,
    /// `None` where nothing was found.
    pub worst: Option<Severity>,
    pub worst_fixable: Option<Severity>,
}

/// By image ID and by manifest digest.
pub type Gists = BTreeMap<Digest, Gist>;

impl Gist {
    #[must_use]
    pub fn of(findings: &[Finding], at: Timestamp) -> Self {
        let counted = || findings.iter().filter(|finding| finding.suppressed.is_none());
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            at,
            total: count(counted().count()),
            fixable: count(counted().filter(|finding| finding.is_fixable()).count()),
            worst: counted().map(|finding| finding.severity).max(),
            worst_fixable: counted().filter(|finding| finding.is_fixable()).map(|finding| finding.severity).max(),
        }
    }

    /// What a scan of what a tag points at came to; of an index, of that one of its images which was looked at last.
    #[must_use]
    pub fn of_tag<'a>(gists: &'a Gists, details: &TagDetails) -> Option<&'a Self> {
        let all = std::iter::once(&details.digest).chain(details.children.iter().map(|child| &child.digest));
        all.filter_map(|digest| gists.get(digest)).max_by_key(|gist| gist.at)
    }

    /// Whether something was found that is at least as bad, and perhaps fixable too.
    #[must_use]
    pub fn has(&self, severity: Severity, fixable: bool) -> bool {
        let worst = if fixable { self.worst_fixable } else { self.worst };
        worst.is_some_and(|worst| worst >= severity)
    }
}

/// How far a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Reach {
    /// Only what can be told without reading a layer: settings, build steps, and what was read before.
    #[default]
    Known,
    /// More is coming.
    Partly,
    /// All layers were read, as far as they can be.
    Whole,
}

/// What rows are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Grouping {
    #[default]
    Severity,
    /// The package that it was built from, where that is known: one fix mends all that came of it.
    Package,
    Layer,
    Kind,
    Origin,
}

impl Grouping {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Package => "package",
            Self::Layer => "layer",
            Self::Kind => "kind",
            Self::Origin => "base and app",
        }
    }

    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Severity => Self::Package,
            Self::Package => Self::Layer,
            Self::Layer => Self::Kind,
            Self::Kind => Self::Origin,
            Self::Origin => Self::Severity,
        }
    }
}

/// What is to be seen of findings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    pub grouping: Grouping,
    pub filter: FindingFilter,
    /// What is suppressed shows too.
    pub ignored: bool,
    /// Groups whose findings don't show, by their names.
    pub folded: BTreeSet<Safe>,
}

/// Findings that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: Safe,
    pub count: usize,
    pub fixable: usize,
    pub worst: Severity,
    pub folded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// By its place in [`Arranged::groups`].
    Group(usize),
    /// By its place among the findings.
    Finding(usize),
}

/// Rows, and what they come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arranged {
    pub groups: Vec<Group>,
    pub rows: Vec<Row>,
    /// Of what the filter lets through.
    pub summary: Summary,
}
