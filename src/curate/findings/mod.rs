//! What several scanners said of an image, put together: folded to one row for each thing that is wrong, put in order, grouped, filtered and compared.
//!
//! Pure. What can be many is sorted once, when it is folded; grouping and filtering pass over it, so that they follow the keys.

pub mod arrange;
pub mod difference;
pub mod ignore;
pub mod markdown;
pub mod sarif;

use std::collections::{HashMap, HashSet};

use crate::model::Foreign;
use crate::model::finding::{Finding, FindingKey, FindingKind, FixState, Origin, canonical, is_cve};

/// Ids, links and the like that one finding keeps of each: more of them say nothing more.
const MOST: usize = 100;

/// Puts together what was found, each thing once, the worst first.
///
/// Two scanners' findings are one where they have the same key, or the same but for the id and one of the ids in common. The first to say so leads; the
/// severity is the worst that anybody said, and what one doesn't know is taken from the other. What one suppresses is suppressed. Two CVEs are never
/// one, and what names both of them names neither.
#[must_use]
pub fn fold(found: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut found: Vec<Finding> = found.into_iter().collect();
    disown(&mut found);
    let mut sets = Sets::of(&found);
    let mut known: HashMap<FindingKey, usize> = HashMap::with_capacity(found.len());
    for (at, finding) in found.iter().enumerate() {
        for key in keys(finding) {
            sets.join(*known.entry(key).or_insert(at), at);
        }
    }
    drop(known);
    let firsts: Vec<usize> = (0..found.len()).map(|at| sets.first(at)).collect();
    let mut folded: Vec<Finding> = Vec::with_capacity(found.len());
    // Where the one row of each set is.
    let mut rows: HashMap<usize, usize> = HashMap::new();
    for (first, finding) in firsts.into_iter().zip(found) {
        let row = *rows.entry(first).or_insert(folded.len());
        match folded.get_mut(row) {
            Some(first) => merge(first, finding),
            None => folded.push(finding),
        }
    }
    folded.sort_by(|a, b| order(a).cmp(&order(b)));
    folded
}

/// Takes away aliases that are no other name of the same: advisories over several CVEs, and other CVEs.
fn disown(found: &mut [Finding]) {
    let mut owners: HashMap<&Foreign, &Foreign> = HashMap::new();
    let mut several: HashSet<Foreign> = HashSet::new();
    for finding in found.iter().filter(|finding| is_cve(finding.id.raw())) {
        for alias in &finding.aliases {
            if *owners.entry(alias).or_insert(&finding.id) != &finding.id {
                several.insert(alias.clone());
            }
        }
    }
    for finding in found.iter_mut().filter(|finding| finding.kind == FindingKind::Vulnerability) {
        let cves = std::iter::once(&finding.id).chain(&finding.aliases).filter(|id| is_cve(id.raw())).collect::<HashSet<_>>().len();
        finding.aliases.retain(|alias| !several.contains(alias) && (cves < 2 || !is_cve(alias.raw())));
    }
}

/// Which findings are the same: each knows one before it, and the first of a set itself.
struct Sets<'a> {
    above: Vec<usize>,
    /// Of the first of a set: the CVE that it is.
    cves: Vec<Option<&'a str>>,
}

impl<'a> Sets<'a> {
    fn of(found: &'a [Finding]) -> Self {
        let cve = |finding: &'a Finding| Some(finding.id.raw()).filter(|id| is_cve(id));
        Self { above: (0..found.len()).collect(), cves: found.iter().map(cve).collect() }
    }

    fn first(&mut self, at: usize) -> usize {
        let mut first = at;
        while let Some(&above) = self.above.get(first).filter(|above| **above != first) {
            first = above;
        }
        // The next one who asks has a short way.
        if let Some(above) = self.above.get_mut(at) {
            *above = first;
        }
        first
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        let cve = |of: usize| self.cves.get(of).copied().flatten();
        let cves = (cve(one), cve(other));
        if matches!(cves, (Some(one), Some(other)) if one != other) {
            return;
        }
        let first = one.min(other);
        if let Some(above) = self.above.get_mut(one.max(other)) {
            *above = first;
        }
        if let Some(cve) = self.cves.get_mut(first) {
            *cve = cves.0.or(cves.1);
        }
    }
}

/// The keys that it would have under each of its ids.
fn keys(finding: &Finding) -> Vec<FindingKey> {
    let mut keys = vec![finding.key];
    // Only ids of advisories are names that others may know it by.
    if finding.package.is_some() {
        let path = finding.path.as_ref().map(crate::model::Foreign::raw);
        let ids = std::iter::once(&finding.id).chain(&finding.aliases).take(MOST);
        keys.extend(ids.map(|id| FindingKey::new(finding.kind, id.raw(), finding.package.as_ref(), path, "")));
    }
    keys
}

/// The worst first, then by id and package.
fn order(finding: &Finding) -> impl Ord + '_ {
    let package = finding.package.as_ref().map(|package| (&package.name, &package.version));
    (std::cmp::Reverse(finding.severity), finding.kind, &finding.id, package, &finding.path, finding.key)
}

/// Adds what another scanner says of the same.
fn merge(first: &mut Finding, other: Finding) {
    if canonical([first.id.raw(), other.id.raw()]) == Some(other.id.raw()) && first.id != other.id {
        let before = std::mem::replace(&mut first.id, other.id.clone());
        add(&mut first.aliases, [before]);
        first.key = other.key;
    }
    add(&mut first.aliases, std::iter::once(other.id).chain(other.aliases));
    let own = first.id.clone();
    first.aliases.retain(|alias| *alias != own);
    if other.severity > first.severity {
        first.severity = other.severity;
        first.severity_source = other.severity_source;
    }
    for (ours, theirs) in [(&mut first.title, other.title), (&mut first.description, other.description)] {
        if ours.is_empty() {
            *ours = theirs;
        }
    }
    add(&mut first.cvss, other.cvss);
    add(&mut first.fixed_versions, other.fixed_versions);
    add(&mut first.links, other.links);
    add(&mut first.said, other.said);
    first.epss = first.epss.max(other.epss);
    first.known_exploited |= other.known_exploited;
    if first.fix_state == FixState::Unknown {
        first.fix_state = other.fix_state;
    }
    if first.origin == Origin::Unknown {
        first.origin = other.origin;
    }
    first.path = first.path.take().or(other.path);
    first.lines = first.lines.or(other.lines);
    first.layer = first.layer.take().or(other.layer);
    first.evidence = first.evidence.take().or(other.evidence);
    first.suppressed = first.suppressed.take().or(other.suppressed);
    if let (Some(ours), Some(theirs)) = (&mut first.package, other.package) {
        ours.purl = ours.purl.take().or(theirs.purl);
        ours.source_name = ours.source_name.take().or(theirs.source_name);
    }
}

fn add<T: PartialEq>(to: &mut Vec<T>, from: impl IntoIterator<Item = T>) {
    for one in from {
        if to.len() < MOST && !to.contains(&one) {
            to.push(one);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::finding::{FindingKind, FindingPackage, Said, Severity};

    pub(in crate::curate) fn vulnerability(id: &str, package: &str, version: &str, severity: Severity) -> Finding {
        let package = FindingPackage { name: package.into(), version: version.into(), kind: "deb".into(), ..FindingPackage::default() };
        Finding { severity, ..Finding::new(FindingKind::Vulnerability, id, Some(package), None, "") }
    }

    fn by(finding: Finding, who: &str) -> Finding {
        let said = vec![Said { by: who.into(), id: finding.id.clone(), severity: finding.severity }];
        Finding { said, ..finding }
    }

    #[test]
    fn two_scanners_words_on_the_same_are_one_row() {
        let ghsa = Finding {
            aliases: vec!["CVE-2022-0007".into()],
            fixed_versions: vec!["2".into()],
            ..by(vulnerability("GHSA-x", "zlib", "1", Severity::High), "Grype 0.116")
        };
        let cve = by(vulnerability("CVE-2022-0007", "zlib", "1", Severity::Medium), "Trivy 0.74");
        let other = by(vulnerability("CVE-2022-0007", "zlib", "2", Severity::Low), "Trivy 0.74");
        for found in [[ghsa.clone(), cve.clone(), other.clone()], [other.clone(), cve.clone(), ghsa.clone()]] {
            let folded = fold(found);
            assert_eq!(folded.len(), 2);
            let row = &folded[0];
            assert_eq!((row.id.raw(), row.severity, row.said.len()), ("CVE-2022-0007", Severity::High, 2));
            assert_eq!(row.key, cve.key);
            assert_eq!(row.aliases, vec!["GHSA-x".into()]);
            assert_eq!(row.fixed_versions, vec!["2".into()]);
        }
    }

    #[test]
    fn what_a_third_one_knows_both_ids_of_is_one() {
        let both = Finding { aliases: vec!["OSV-1".into()], ..vulnerability("CVE-2022-0007", "zlib", "1", Severity::Low) };
        let found = [vulnerability("OSV-1", "zlib", "1", Severity::Low), vulnerability("CVE-2022-0007", "zlib", "1", Severity::High), both];
        let folded = fold(found);
        assert_eq!(folded.iter().map(|row| row.id.raw()).collect::<Vec<_>>(), ["CVE-2022-0007"]);
    }

    #[test]
    fn an_advisory_over_two_cves_makes_neither_the_other() {
        let told = |id: &str| Finding { aliases: vec!["RHSA-2024:1".into()], ..vulnerability(id, "zlib", "1", Severity::Low) };
        let errata = || vulnerability("RHSA-2024:1", "zlib", "1", Severity::Low);
        for found in [
            vec![told("CVE-2024-0001"), told("CVE-2024-0002")],
            vec![told("CVE-2024-0001"), told("CVE-2024-0002"), errata()],
            vec![errata(), told("CVE-2024-0002"), told("CVE-2024-0001")],
        ] {
            let (all, folded) = (found.len(), fold(found));
            assert_eq!(folded.len(), all);
            assert!(folded.iter().all(|row| row.aliases.is_empty()), "what says it of one would hide the other");
        }
        let over = Finding { aliases: vec!["CVE-2024-0001".into(), "CVE-2024-0002".into()], ..errata() };
        let between = Finding { aliases: vec!["GHSA-1".into(), "GHSA-2".into()], ..vulnerability("OSV-1", "zlib", "1", Severity::Low) };
        let one = |id: &str, alias: &str| Finding { aliases: vec![alias.into()], ..vulnerability(id, "zlib", "1", Severity::Low) };
        let folded = fold([one("CVE-2024-0001", "GHSA-1"), one("CVE-2024-0002", "GHSA-2"), over, between]);
        let ids: Vec<_> = folded.iter().map(|row| row.id.raw()).collect();
        assert_eq!(ids, ["CVE-2024-0001", "CVE-2024-0002", "RHSA-2024:1"]);
    }

    #[test]
    fn the_worst_comes_first_and_nothing_is_lost() {
        let found = [Severity::Unknown, Severity::Critical, Severity::Low, Severity::High];
        let found = found.iter().enumerate().map(|(n, severity)| vulnerability(&format!("CVE-2022-000{n}"), "a", "1", *severity));
        let order: Vec<_> = fold(found).iter().map(|row| row.severity.word()).collect();
        assert_eq!(order, ["critical", "high", "low", "unknown"]);
    }

    #[test]
    fn rules_of_the_same_name_in_two_files_stay_two() {
        let secret = |path: &str, nth: &str| Finding::new(FindingKind::Secret, "github-token", None, Some(path), nth);
        assert_eq!(fold([secret("a", "0"), secret("a", "1"), secret("b", "0"), secret("a", "0")]).len(), 3);
    }
}
