//! Findings as rows: let through by a filter, grouped, with what each group has.

use std::collections::BTreeMap;

use crate::model::finding::Finding;
use crate::model::findings::{Arranged, Group, Grouping, Look, Row};
use crate::model::{FindingKind, Safe, Severity, Summary};

/// What a group is known and sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key<'a> {
    Severity(std::cmp::Reverse<Severity>),
    Origin(&'static str),
    Kind(FindingKind),
    /// The lowest first, and last what is in none.
    Layer(usize),
    Package(&'a str),
    NoPackage,
}

impl<'a> Key<'a> {
    fn of(finding: &'a Finding, grouping: Grouping) -> Self {
        match grouping {
            Grouping::Severity => Self::Severity(std::cmp::Reverse(finding.severity)),
            Grouping::Origin => Self::Origin(finding.origin.word()),
            Grouping::Kind => Self::Kind(finding.kind),
            Grouping::Layer => Self::Layer(finding.layer.as_ref().and_then(|layer| layer.index).unwrap_or(usize::MAX)),
            Grouping::Package => match &finding.package {
                Some(package) => Self::Package(package.source_name.as_ref().unwrap_or(&package.name).raw()),
                None => Self::NoPackage,
            },
        }
    }

    fn name(self) -> Safe {
        match self {
            Self::Severity(std::cmp::Reverse(severity)) => Safe::new(severity.word()),
            Self::Origin(word) => Safe::new(match word {
                "base" => "from the base image",
                "app" => "from the application",
                _ => "of unknown origin",
            }),
            Self::Kind(kind) => Safe::new(kind.plural()),
            Self::Layer(usize::MAX) => Safe::new("in no layer"),
            Self::Layer(layer) => Safe::from(format!("layer {}", layer + 1)),
            Self::Package(name) => Safe::new(name),
            Self::NoPackage => Safe::new("no package"),
        }
    }
}

/// Lays findings out. They must be as [`super::fold`] gives them, the worst first: so they stay in each group, and of the packages those come first that
/// have the worst.
#[must_use]
pub fn arrange(findings: &[Finding], look: &Look) -> Arranged {
    let shows_ignored = look.ignored || look.filter.is_about_ignored();
    let seen = |finding: &Finding| (shows_ignored || finding.suppressed.is_none()) && look.filter.matches(finding);
    let mut members: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    let mut shown = Vec::new();
    for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| seen(finding)) {
        members.entry(Key::of(finding, look.grouping)).or_default().push(at);
        shown.push(finding);
    }
    let mut summary = Summary::of(shown);
    if !shows_ignored {
        summary.suppressed = findings.iter().filter(|finding| finding.suppressed.is_some()).count();
    }
    let mut sorted: Vec<(Key<'_>, Vec<usize>)> = members.into_iter().collect();
    if look.grouping == Grouping::Package {
        // Findings are sorted by severity: who has the worst has the first.
        let worst = |places: &[usize]| places.first().and_then(|at| findings.get(*at)).map(|finding| finding.severity);
        sorted.sort_by_key(|(_, places)| (std::cmp::Reverse(worst(places)), std::cmp::Reverse(places.len())));
    }
    let (mut groups, mut rows) = (Vec::with_capacity(sorted.len()), Vec::new());
    for (key, places) in sorted {
        let group = group(key, findings, &places, look);
        rows.push(Row::Group(groups.len()));
        if !group.folded {
            rows.extend(places.into_iter().map(Row::Finding));
        }
        groups.push(group);
    }
    Arranged { groups, rows, summary }
}

fn group(key: Key<'_>, findings: &[Finding], places: &[usize], look: &Look) -> Group {
    let name = key.name();
    let counted = || places.iter().filter_map(|at| findings.get(*at)).filter(|finding| finding.suppressed.is_none());
    Group {
        count: places.len(),
        fixable: counted().filter(|finding| finding.is_fixable()).count(),
        worst: counted().map(|finding| finding.severity).max().unwrap_or_default(),
        folded: look.folded.contains(&name),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::findings::fold;
    use crate::curate::findings::tests::vulnerability;
    use crate::model::finding::{FindingLayer, Suppression};
    use crate::model::finding_filter::FindingFilter;

    fn findings() -> Vec<Finding> {
        let mut hidden = vulnerability("CVE-2022-0009", "zlib", "1", Severity::Critical);
        hidden.suppressed = Some(Suppression { by: "x".into(), status: "".into(), reason: "".into(), until: None });
        let mut fixed = vulnerability("CVE-2022-0002", "bash", "5", Severity::High);
        fixed.fixed_versions.push("6".into());
        fixed.layer = Some(FindingLayer { index: Some(1), ..FindingLayer::default() });
        fold([
            vulnerability("CVE-2022-0001", "zlib", "1", Severity::Low),
            fixed,
            hidden,
            vulnerability("CVE-2022-0003", "zlib", "1", Severity::Low),
            Finding { severity: Severity::Medium, ..Finding::new(FindingKind::Lint, "sudo", None, None, "") },
        ])
    }

    fn shown(look: &Look) -> Vec<String> {
        let findings = findings();
        let arranged = arrange(&findings, look);
        let row = |row: &Row| match row {
            Row::Group(at) => format!("{} {}", arranged.groups[*at].name, arranged.groups[*at].count),
            Row::Finding(at) => format!("- {}", findings[*at].id.raw()),
        };
        arranged.rows.iter().map(row).collect()
    }

    #[test]
    fn groups_hold_what_they_have_in_common() {
        let look = |grouping| Look { grouping, ..Look::default() };
        assert_eq!(
            shown(&look(Grouping::Severity)),
            ["high 1", "- CVE-2022-0002", "medium 1", "- sudo", "low 2", "- CVE-2022-0001", "- CVE-2022-0003"]
        );
        assert_eq!(shown(&look(Grouping::Package))[..4], ["bash 1", "- CVE-2022-0002", "no package 1", "- sudo"]);
        assert_eq!(shown(&look(Grouping::Layer))[..3], ["layer 2 1", "- CVE-2022-0002", "in no layer 3"]);
        assert_eq!(shown(&look(Grouping::Kind))[0], "vulnerabilities 3");
        assert_eq!(shown(&look(Grouping::Origin))[0], "of unknown origin 4");
    }

    #[test]
    fn what_is_folded_ignored_or_filtered_does_not_show_and_counts_as_it_should() {
        let mut look = Look { folded: [Safe::new("low")].into(), ..Look::default() };
        assert_eq!(shown(&look).last().unwrap(), "low 2");
        look.ignored = true;
        assert_eq!(shown(&look)[..2], ["critical 1", "- CVE-2022-0009"]);
        look.filter = FindingFilter::parse("fixable").unwrap();
        let found = findings();
        let arranged = arrange(&found, &look);
        assert_eq!((arranged.rows.len(), arranged.summary.total, arranged.groups[0].fixable), (2, 1, 1));
        let arranged = arrange(&found, &Look::default());
        assert_eq!((arranged.summary.total, arranged.summary.suppressed, arranged.summary.packages), (4, 1, 2));
    }
}
