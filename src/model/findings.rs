//! What is known of what is wrong with one image: all reports on it put together, and how that is looked at.
//!
//! Plain data; `curate::findings` makes it.

use std::collections::BTreeSet;

use super::finding::{Finding, Severity};
use super::finding_filter::FindingFilter;
use super::package::Inventory;
use super::problem::Problem;
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
