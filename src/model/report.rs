//! What a scan of one image said: what was looked for, what was not and why, and what was found.
//!
//! "Nothing found" and "not looked for" are never the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::SerializeStruct as _;

use super::digest::Digest;
use super::finding::{Finding, FindingKind, Severity};
use super::safe::{Foreign, Safe};

/// Who looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scanner {
    pub name: Foreign,
    pub version: Option<Foreign>,
    /// Of when the advisories are that it went by.
    pub db_date: Option<Timestamp>,
}

/// Something that nobody looked for, or not everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLooked {
    /// A kind's word, or that and more: "vulnerability of npm packages".
    pub what: Safe,
    pub why: Safe,
}

impl NotLooked {
    pub fn new(what: impl Into<Safe>, why: impl Into<Safe>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

impl Serialize for NotLooked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("NotLooked", 2)?;
        out.serialize_field("what", self.what.as_str())?;
        out.serialize_field("why", self.why.as_str())?;
        out.end()
    }
}

/// How an image stands to one line of a published list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    /// Nobody can tell from the image, or not from what was looked at.
    NotEvaluated,
}

/// One line of a published list of what an image should be like: of the CIS Docker Benchmark or NIST SP 800-190.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Such as "4.1".
    pub id: &'static str,
    pub title: &'static str,
    pub outcome: Outcome,
    pub why: Safe,
}

impl Serialize for Check {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Check", 4)?;
        out.serialize_field("id", self.id)?;
        out.serialize_field("title", self.title)?;
        out.serialize_field("outcome", &self.outcome)?;
        out.serialize_field("why", self.why.as_str())?;
        out.end()
    }
}

/// One scanner's report on one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The image in the words of who asked, or of the report; empty where a report doesn't say.
    pub image: Foreign,
    /// Digests that the report names its image by: of its manifest, of an index, or of its config.
    pub digests: Vec<Digest>,
    pub scanner: Scanner,
    /// When it was made; `None` where a report doesn't say.
    pub made: Option<Timestamp>,
    /// Findings under some severity or without a fix may have been left out, and the report doesn't say whether.
    pub may_be_filtered: bool,
    pub looked_for: BTreeSet<FindingKind>,
    pub not_looked_for: Vec<NotLooked>,
    pub findings: Vec<Finding>,
    /// How many packages were looked at; `None` where nobody says.
    pub packages: Option<usize>,
    /// Only of our own scanner.
    pub card: Vec<Check>,
}

impl Report {
    /// One that has looked for nothing yet.
    #[must_use]
    pub fn new(image: Foreign, scanner: Scanner) -> Self {
        Self {
            image,
            digests: Vec::new(),
            scanner,
            made: None,
            may_be_filtered: false,
            looked_for: BTreeSet::new(),
            not_looked_for: Vec::new(),
            findings: Vec::new(),
            packages: None,
            card: Vec::new(),
        }
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.findings)
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Report", 6)?;
        out.serialize_field("image", &(!self.image.is_empty()).then_some(&self.image))?;
        out.serialize_field("scanner", &self.scanner)?;
        out.serialize_field("looked_for", &self.looked_for)?;
        out.serialize_field("not_looked_for", &self.not_looked_for)?;
        out.serialize_field("findings", &self.findings)?;
        out.serialize_field("summary", &self.summary())?;
        out.end()
    }
}

/// Findings counted. Suppressed ones count nowhere but in `suppressed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    pub total: usize,
    /// Different ids among them.
    pub ids: usize,
    /// Different packages, by name and version.
    pub packages: usize,
    pub by_severity: BTreeMap<Severity, usize>,
    pub by_kind: BTreeMap<FindingKind, usize>,
    pub fixable: usize,
    pub suppressed: usize,
}

impl Summary {
    #[must_use]
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut found = Self::default();
        let (mut ids, mut packages) = (BTreeSet::new(), BTreeSet::new());
        for finding in findings {
            if finding.suppressed.is_some() {
                found.suppressed += 1;
                continue;
            }
            found.total += 1;
            ids.insert(finding.id.raw());
            packages.extend(finding.package.as_ref().map(|package| (package.name.raw(), package.version.raw())));
            *found.by_severity.entry(finding.severity).or_default() += 1;
            *found.by_kind.entry(finding.kind).or_default() += 1;
            found.fixable += usize::from(finding.is_fixable());
        }
        (found.ids, found.packages) = (ids.len(), packages.len());
        found
    }

    #[must_use]
    pub fn of_severity(&self, severity: Severity) -> usize {
        self.by_severity.get(&severity).copied().unwrap_or_default()
    }

    /// The worst severity of what counts; `None` where nothing does.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.by_severity.keys().next_back().copied()
    }
}

impl Serialize for Summary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by_severity: BTreeMap<&str, usize> = Severity::ALL.map(|severity| (severity.word(), self.of_severity(severity))).into();
        let mut out = serializer.serialize_struct("Summary", 7)?;
        out.serialize_field("total", &self.total)?;
        out.serialize_field("ids", &self.ids)?;
        out.serialize_field("packages", &self.packages)?;
        out.serialize_field("by_severity", &by_severity)?;
        out.serialize_field("by_kind", &self.by_kind)?;
        out.serialize_field("fixable", &self.fixable)?;
        out.serialize_field("suppressed", &self.suppressed)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Suppression;

    #[test]
    fn what_is_suppressed_counts_nowhere_else() {
        let finding = |id: &str, severity| Finding { severity, ..Finding::new(FindingKind::Lint, id, None, None, "") };
        let mut hidden = finding("b", Severity::Critical);
        hidden.suppressed = Some(Suppression { by: "VEX".into(), status: "not_affected".into(), reason: "".into(), until: None });
        let summary = Summary::of(&[finding("a", Severity::Low), finding("a", Severity::Low), hidden]);
        assert_eq!((summary.total, summary.ids, summary.packages, summary.suppressed), (2, 1, 0, 1));
        assert_eq!(summary.worst(), Some(Severity::Low));
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["by_severity"]["critical"], 0);
        assert_eq!(json["by_severity"]["low"], 2);
        assert_eq!(json["by_kind"]["lint"], 2);
    }
}
