//! What two images' findings don't have in common.
//!
//! What is wrong with a package in both is the same, whatever its version: an update that mends nothing is no difference. Suppressed findings don't count on
//! either side.

use std::collections::BTreeMap;

use crate::model::comparison::{Changed, FindingChange};
use crate::model::finding::{Finding, FindingKind};

/// What makes two images' findings the same.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Same<'a> {
    kind: FindingKind,
    id: &'a str,
    package: Option<&'a str>,
    path: Option<&'a str>,
}

impl<'a> Same<'a> {
    fn of(finding: &'a Finding) -> Self {
        let package = finding.package.as_ref().map(|package| package.name.raw());
        // Of a package it is the package that counts, wherever it lies.
        let path = finding.path.as_ref().map(crate::model::Foreign::raw).filter(|_| package.is_none());
        Self { kind: finding.kind, id: finding.id.raw(), package, path }
    }
}

/// What only one side has, the new ones first, each side in the order it had. Of findings that are the same, each side's number counts.
#[must_use]
pub fn difference(before: &[Finding], after: &[Finding]) -> Vec<FindingChange> {
    let only = |these: &[Finding], others: &[Finding], change: Changed| {
        let mut there: BTreeMap<Same<'_>, usize> = BTreeMap::new();
        for finding in others.iter().filter(|finding| finding.suppressed.is_none()) {
            *there.entry(Same::of(finding)).or_default() += 1;
        }
        let mut found = Vec::new();
        for finding in these.iter().filter(|finding| finding.suppressed.is_none()) {
            match there.get_mut(&Same::of(finding)) {
                Some(left) if *left > 0 => *left -= 1,
                _ => found.push(FindingChange { change, finding: finding.clone() }),
            }
        }
        found
    };
    let mut changes = only(after, before, Changed::Added);
    changes.extend(only(before, after, Changed::Removed));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::findings::tests::vulnerability;
    use crate::model::Severity;

    #[test]
    fn an_update_that_mends_nothing_is_no_difference() {
        let before = [
            vulnerability("CVE-2022-0001", "zlib", "1", Severity::Low),
            vulnerability("CVE-2022-0002", "zlib", "1", Severity::Low),
            Finding::new(FindingKind::Secret, "key", None, Some("a"), "0"),
            Finding::new(FindingKind::Secret, "key", None, Some("a"), "1"),
        ];
        let after = [
            vulnerability("CVE-2022-0001", "zlib", "2", Severity::Low),
            vulnerability("CVE-2022-0003", "zlib", "2", Severity::Low),
            Finding::new(FindingKind::Secret, "key", None, Some("a"), "0"),
        ];
        let told: Vec<_> = difference(&before, &after).iter().map(|one| (one.change, one.finding.id.raw().to_owned())).collect();
        let told: Vec<_> = told.iter().map(|(change, id)| (*change, id.as_str())).collect();
        assert_eq!(told, [(Changed::Added, "CVE-2022-0003"), (Changed::Removed, "CVE-2022-0002"), (Changed::Removed, "key")]);
        assert_eq!(difference(&before, &before), []);
    }
}
