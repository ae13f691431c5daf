//! Findings as SARIF 2.1.0, the form that code hosts and editors read.
//!
//! Pure. Facts: the OASIS standard, and what GitHub says of `security-severity`. A finding's key is its fingerprint, so that the same one is known again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::finding::{Evidence, Finding};
use crate::model::{Foreign, Report, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run with all findings of a report. Suppressed ones are told as suppressed.
#[must_use]
pub fn sarif(report: &Report) -> Value {
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told = Vec::new();
    for finding in &report.findings {
        let id = finding.id.raw();
        if !rules.contains_key(id) {
            rules.insert(id, told.len());
            told.push(rule(finding));
        }
    }
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &rules, &report.image)).collect();
    let driver = json!({
        "name": report.scanner.name.raw(),
        "version": report.scanner.version.as_ref().map_or("", Foreign::raw),
        "rules": told,
    });
    json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [{ "tool": { "driver": driver }, "results": results }] })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Negligible | Severity::Unknown => "note",
    }
}

/// A number by which others sort: the score where there is one, else one of its band.
fn security_severity(finding: &Finding) -> String {
    let band = match finding.severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Negligible | Severity::Unknown => "0.0",
    };
    let score = finding.score().filter(|score| Severity::of_score(*score) == finding.severity);
    score.map_or_else(|| band.to_owned(), |score| score.to_string())
}

fn rule(finding: &Finding) -> Value {
    let title = if finding.title.is_empty() { &finding.id } else { &finding.title };
    let text = if finding.description.is_empty() { title } else { &finding.description };
    let mut rule = json!({
        "id": finding.id.raw(),
        "shortDescription": { "text": title.raw() },
        "fullDescription": { "text": text.raw() },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": {
            "tags": ["security", finding.kind.word(), finding.severity.word().to_ascii_uppercase()],
            "security-severity": security_severity(finding),
        },
    });
    if let (Some(link), Some(rule)) = (finding.links.first(), rule.as_object_mut()) {
        rule.insert("helpUri".to_owned(), json!(link.raw()));
    }
    rule
}

fn result(finding: &Finding, rules: &BTreeMap<&str, usize>, image: &Foreign) -> Value {
    let place = finding.path.as_ref().map_or_else(|| image.raw(), Foreign::raw);
    let (first, last) = finding.lines.unwrap_or((1, 1));
    let mut result = json!({
        "ruleId": finding.id.raw(),
        "ruleIndex": rules.get(finding.id.raw()),
        "level": level(finding.severity),
        "message": { "text": message(finding) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(place) },
            "region": { "startLine": first.max(1), "endLine": last.max(first).max(1) },
        } }],
        "partialFingerprints": { "lighterman/v1": finding.key.to_string() },
    });
    if let (Some(by), Some(result)) = (&finding.suppressed, result.as_object_mut()) {
        let why = if by.reason.is_empty() { &by.status } else { &by.reason };
        result.insert("suppressions".to_owned(), json!([{ "kind": "external", "justification": why.raw() }]));
    }
    result
}

fn message(finding: &Finding) -> String {
    let mut parts = Vec::new();
    if let Some(package) = &finding.package {
        parts.push(format!("{} {}", package.name.raw(), package.version.raw()));
    }
    parts.push(if finding.title.is_empty() { finding.id.raw().to_owned() } else { finding.title.raw().to_owned() });
    parts.extend(finding.evidence.as_ref().map(|evidence| Evidence::as_str(evidence).to_owned()));
    if let Some(version) = finding.fixed_versions.first() {
        parts.push(format!("fixed in {}", version.raw()));
    }
    parts.join(": ")
}

/// A path as a relative reference: what is not plain in one is written as its bytes.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~@+:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::findings::tests::vulnerability;
    use crate::model::finding::{FindingKind, Suppression};
    use crate::model::report::Scanner;

    #[test]
    fn each_rule_is_told_once_and_each_result_points_at_it() {
        let scanner = Scanner { name: "lighterman".into(), version: Some("1".into()), db_date: None };
        let mut report = Report::new("api:1".into(), scanner);
        let mut hidden = vulnerability("CVE-2022-0001", "b", "1", Severity::High);
        hidden.suppressed = Some(Suppression { by: "x".into(), status: "ignored".into(), reason: "unused".into(), until: None });
        let secret = Finding {
            evidence: Some(Evidence::masked("ghp_", "abc")),
            lines: Some((3, 3)),
            ..Finding::new(FindingKind::Secret, "github-token", None, Some("srv/a b"), "0")
        };
        report.findings = vec![vulnerability("CVE-2022-0001", "a", "1", Severity::High), hidden, secret];
        let told = sarif(&report);
        let run = &told["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
        let results = run["results"].as_array().unwrap();
        let index: Vec<_> = results.iter().map(|result| result["ruleIndex"].as_u64().unwrap()).collect();
        assert_eq!(index, [0, 0, 1]);
        assert_eq!(results[1]["suppressions"][0]["justification"], "unused");
        assert_eq!(results[2]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "srv/a%20b");
        assert_eq!(results[2]["locations"][0]["physicalLocation"]["region"]["startLine"], 3);
        assert!(results[2]["message"]["text"].as_str().unwrap().contains("********"));
    }
}
