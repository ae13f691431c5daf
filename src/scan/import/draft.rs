//! A report while it is being read: bounded, each finding once, and with a word for everything that was left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::words::{digest, name};
use crate::model::finding::{Finding, FindingKey, FindingKind, FindingLayer, Said, Severity, Suppression};
use crate::model::report::{NotLooked, Report, Scanner};
use crate::model::{Digest, Foreign};

/// Most findings that are taken from one report.
pub(super) const MOST: usize = 200_000;
/// Most layers of an image that are known by their place.
const MOST_LAYERS: usize = 1_000;

pub(super) struct Draft {
    pub(super) report: Report,
    by: Foreign,
    /// Where each finding is.
    places: HashMap<FindingKey, usize>,
    /// How many of an id there were in a file.
    counts: HashMap<(FindingKind, String, String), usize>,
    /// The image's layers from the bottom, by both of their digests.
    layers: HashMap<Digest, usize>,
    wrong: usize,
    left: usize,
}

impl Draft {
    /// The report of a scanner, with the version that it tells.
    pub(super) fn new(scanner: &str, version: &str) -> Self {
        let mut by = scanner.to_owned();
        let version = version.trim().trim_start_matches('v');
        if !version.is_empty() {
            by = format!("{by} {version}");
        }
        let version = Some(name(version)).filter(|version| !version.is_empty());
        let report = Report::new("".into(), Scanner { name: name(scanner), version, db_date: None });
        let (places, counts, layers) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { report, by: name(&by), places, counts, layers, wrong: 0, left: 0 }
    }

    /// Who says so: the scanner's name and version.
    pub(super) fn by(&self) -> Foreign {
        self.by.clone()
    }

    pub(super) fn looked_for(&mut self, kind: FindingKind) {
        self.report.looked_for.insert(kind);
    }

    pub(super) fn not_looked_for(&mut self, kind: FindingKind, why: &str) {
        self.report.not_looked_for.push(NotLooked::new(kind.word(), why));
    }

    /// Counts items that can't be read.
    pub(super) fn wrong(&mut self, count: usize) {
        self.wrong += count;
    }

    /// Counts items that are more than is taken.
    pub(super) fn left(&mut self, count: usize) {
        self.left += count;
    }

    /// Notes a layer's digests, of the stored or of the unpacked bytes; to be called from the bottom on.
    pub(super) fn note_layer(&mut self, place: usize, text: &str) {
        if place < MOST_LAYERS
            && let Some(digest) = digest(text)
        {
            self.layers.entry(digest).or_insert(place);
        }
    }

    /// A layer by what an item tells of it.
    pub(super) fn layer(&self, stored: &str, diff_id: &str) -> Option<FindingLayer> {
        let (stored, diff_id) = (digest(stored), digest(diff_id));
        if stored.is_none() && diff_id.is_none() {
            return None;
        }
        let index = [&diff_id, &stored].into_iter().flatten().find_map(|digest| self.layers.get(digest)).copied();
        Some(FindingLayer { digest: stored, diff_id, index })
    }

    /// Tells apart several findings of one id in one file, which their lines can't.
    pub(super) fn nth(&mut self, kind: FindingKind, id: &str, path: &str) -> String {
        if self.counts.len() > MOST {
            return String::new();
        }
        let count = self.counts.entry((kind, id.to_owned(), path.to_owned())).or_default();
        *count += 1;
        if *count == 1 { String::new() } else { count.to_string() }
    }

    /// Takes a finding that goes by `own` id there. One that is there already under its key becomes one with it.
    pub(super) fn put(&mut self, mut finding: Finding, own: &str) {
        if finding.id.is_empty() {
            self.wrong += 1;
            return;
        }
        finding.said = vec![Said { by: self.by.clone(), id: name(own), severity: finding.severity }];
        match self.places.entry(finding.key) {
            Entry::Occupied(there) => {
                if let Some(there) = self.report.findings.get_mut(*there.get()) {
                    fold(there, finding);
                }
            }
            Entry::Vacant(_) if self.report.findings.len() >= MOST => self.left += 1,
            Entry::Vacant(free) => {
                free.insert(self.report.findings.len());
                self.report.findings.push(finding);
            }
        }
    }

    /// The report, with what had to be left out.
    pub(super) fn done(mut self) -> Report {
        if self.wrong > 0 {
            let why = format!("{} can't be read, and were left out", self.wrong);
            self.report.not_looked_for.push(NotLooked::new("items of the report", why.as_str()));
        }
        if self.left > 0 {
            let why = format!("{} more were left out: too many for one report", self.left);
            self.report.not_looked_for.push(NotLooked::new("all items of the report", why.as_str()));
        }
        self.report
    }
}

/// Takes what another one says of the same into a finding. It counts if one of them does, and is as bad as the worse says.
fn fold(into: &mut Finding, other: Finding) {
    fn add<T: PartialEq>(into: &mut Vec<T>, other: Vec<T>) {
        for item in other {
            if into.len() < 100 && !into.contains(&item) {
                into.push(item);
            }
        }
    }
    if other.severity > into.severity {
        (into.severity, into.severity_source) = (other.severity, other.severity_source);
    }
    if other.suppressed.is_none() {
        into.suppressed = None;
    }
    if into.fixed_versions.is_empty() && (!other.fixed_versions.is_empty() || into.fix_state == crate::model::finding::FixState::Unknown) {
        into.fix_state = other.fix_state;
    }
    for (mine, theirs) in [(&mut into.title, other.title), (&mut into.description, other.description)] {
        if mine.is_empty() {
            *mine = theirs;
        }
    }
    add(&mut into.fixed_versions, other.fixed_versions);
    add(&mut into.aliases, other.aliases);
    add(&mut into.cvss, other.cvss);
    add(&mut into.links, other.links);
    add(&mut into.said, other.said);
    into.layer = into.layer.take().or(other.layer);
    into.epss = into.epss.max(other.epss);
    into.known_exploited |= other.known_exploited;
}

/// What a scanner says itself of why something doesn't count.
pub(super) fn suppression(by: &str, status: &str, reason: &str) -> Suppression {
    Suppression { by: name(by), status: name(status), reason: super::words::text(reason), until: None }
}

/// A severity in words, and who says so; nobody does where it is none.
pub(super) fn rated(finding: &mut Finding, word: &str, source: &str) {
    finding.severity = Severity::from_word(word);
    finding.severity_source = if finding.severity == Severity::Unknown { "".into() } else { name(source) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, severity: Severity) -> Finding {
        Finding { severity, severity_source: "x".into(), ..Finding::new(FindingKind::Vulnerability, id, None, None, "") }
    }

    #[test]
    fn one_key_is_one_finding_that_is_as_bad_as_the_worse_says() {
        let mut draft = Draft::new("Sounder", "v2.0");
        draft.put(Finding { suppressed: Some(suppression("Sounder", "ignored", "")), ..finding("CVE-2024-1111", Severity::Low) }, "GHSA-1");
        draft.put(Finding { links: vec!["https://x".into()], ..finding("CVE-2024-1111", Severity::High) }, "CVE-2024-1111");
        draft.put(finding("", Severity::High), "");
        let report = draft.done();
        assert_eq!(report.findings.len(), 1);
        let one = &report.findings[0];
        assert_eq!((one.severity, one.suppressed.is_none(), one.links.len()), (Severity::High, true, 1));
        let said: Vec<_> = one.said.iter().map(|said| (said.by.raw(), said.id.raw())).collect();
        assert_eq!(said, [("Sounder 2.0", "GHSA-1"), ("Sounder 2.0", "CVE-2024-1111")]);
        assert_eq!(report.not_looked_for[0].why.as_str(), "1 can't be read, and were left out");
    }

    #[test]
    fn what_is_more_than_is_taken_is_said() {
        let mut draft = Draft::new("Sounder", "");
        for n in 0..MOST + 3 {
            draft.put(finding(&n.to_string(), Severity::Low), "x");
        }
        let report = draft.done();
        assert_eq!(report.findings.len(), MOST);
        assert!(report.not_looked_for[0].why.as_str().starts_with("3 more were left out"));
    }
}
