//! Findings as a Markdown document: what they come to, what was not looked for, and a table of them.
//!
//! May use model. Pure.

use std::fmt::Write as _;

use crate::curate::markdown::{plain, table};
use crate::model::{Finding, Report, Safe, Severity, Summary};

/// The document on a report.
#[must_use]
pub fn document(report: &Report) -> String {
    let summary = Summary::of(&report.findings);
    let mut out = format!("# What is wrong with {}\n\n", plain(&report.image.safe()));
    let by: Vec<String> = Severity::ALL.iter().map(|severity| format!("{} {}", summary.of_severity(*severity), severity.word())).collect();
    let Summary { total, ids, packages, fixable, suppressed, .. } = summary;
    _ = writeln!(out, "{total} findings, {ids} ids, {packages} packages, {fixable} fixable, {suppressed} ignored: {}", by.join(", "));
    table(&mut out, "Not looked for", ["What", "Why"], report.not_looked_for.iter().map(|one| [one.what.clone(), one.why.clone()]));
    table(&mut out, "Findings", ["Severity", "Kind", "Id", "In", "Fixed in", "What"], report.findings.iter().map(row));
    out
}

fn row(finding: &Finding) -> [Safe; 6] {
    let place = finding.place().unwrap_or_default();
    let fixed: Vec<String> = finding.fixed_versions.iter().map(|version| version.safe().to_string()).collect();
    let ignored = if finding.suppressed.is_some() { ", ignored" } else { "" };
    let severity = Safe::from(format!("{}{ignored}", finding.severity.word()));
    [severity, finding.kind.word().into(), finding.id.safe(), place, fixed.join(", ").into(), finding.title.safe()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::findings::tests::vulnerability;
    use crate::model::report::{NotLooked, Scanner};

    #[test]
    fn foreign_text_stays_text() {
        let mut report = Report::new("a|b".into(), Scanner { name: "x".into(), version: None, db_date: None });
        let mut finding = vulnerability("CVE-2022-0001", "lib|x", "1", Severity::High);
        finding.title = "see [this](http://x) `now`\n\u{1b}[31m".into();
        report.findings = vec![finding];
        report.not_looked_for = vec![NotLooked::new("secret", "no time")];
        let text = document(&report);
        assert!(text.contains("1 findings, 1 ids, 1 packages, 0 fixable, 0 ignored: 0 critical, 1 high"), "{text}");
        assert!(text.contains("| secret | no time |") && text.contains("lib\\|x 1"), "{text}");
        assert!(!text.contains("[this]") && !text.contains('\u{1b}'), "{text}");
    }
}
