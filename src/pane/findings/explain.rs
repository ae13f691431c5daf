//! What is told of one finding, and of a whole scan, as named lines: for the box below the list and for the view that shows everything.
//!
//! Pure.

use crate::model::finding::{Finding, FixState, Origin};
use crate::model::report::{Outcome, Report};
use crate::model::{Foreign, Image, Safe, Scan, dockerfile};

/// A name and what it says; without a name, a line of its own.
pub type Line = (&'static str, Safe);

/// What to do about it, and then everything else: the package and its fix first.
#[must_use]
pub fn finding(finding: &Finding, image: Option<&Image>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    if let Some(package) = &finding.package {
        let kind = if package.kind.is_empty() { String::new() } else { format!(" ({})", package.kind.safe()) };
        lines.push(("package", Safe::from(format!("{} {}{kind}", package.name.safe(), package.version.safe()))));
        if let Some(source) = package.source_name.as_ref().filter(|source| **source != package.name) {
            lines.push(("built from", source.safe()));
        }
        lines.push(("fix", fix(finding)));
    }
    if let Some(path) = &finding.path {
        let at = match finding.lines {
            Some((first, last)) if first != last => format!(", lines {first} to {last}"),
            Some((first, _)) => format!(", line {first}"),
            None => String::new(),
        };
        lines.push(("path", Safe::from(format!("/{}{at}", path.safe()))));
    }
    lines.extend(finding.evidence.as_ref().map(|evidence| ("evidence", Safe::new(evidence.as_str()))));
    lines.extend(layer(finding, image));
    lines.push(("severity", severity(finding)));
    if let Some(by) = &finding.suppressed {
        let until = by.until.map_or_else(String::new, |day| format!(", until {day}"));
        let why = [&by.status, &by.reason].into_iter().filter(|text| !text.is_empty()).map(|text| text.safe().to_string());
        lines.push(("ignored by", Safe::from(format!("{}: {}{until}", by.by.safe(), why.collect::<Vec<_>>().join(", ")))));
    }
    if !finding.aliases.is_empty() {
        lines.push(("also", joined(&finding.aliases)));
    }
    for cvss in &finding.cvss {
        let score = cvss.score.map_or_else(String::new, |score| format!("{score} "));
        lines.push(("CVSS", Safe::from(format!("{score}{} ({})", cvss.vector.safe(), cvss.source.safe()))));
    }
    if let Some(epss) = finding.epss {
        lines.push(("EPSS", Safe::from(format!("{}.{} % likely to be used within 30 days", epss / 10, epss % 10))));
    }
    if finding.known_exploited {
        lines.push(("in use", Safe::new("CISA lists it among those that are known to be used")));
    }
    for said in &finding.said {
        lines.push(("said by", Safe::from(format!("{}: {}, {}", said.by.safe(), said.id.safe(), said.severity.word()))));
    }
    lines.extend(finding.links.iter().map(|link| ("link", link.safe())));
    lines
}

/// The version that mends it, or why there is none.
#[must_use]
pub fn fix(finding: &Finding) -> Safe {
    match (finding.fixed_versions.as_slice(), finding.fix_state) {
        ([], FixState::Fixed) => Safe::new("there is one, but nobody says in which version"),
        ([], FixState::NotFixed) => Safe::new("none yet"),
        ([], FixState::WontFix) => Safe::new("its maintainers won't mend it"),
        ([], FixState::Deferred) => Safe::new("its maintainers have put it off"),
        ([], FixState::EndOfLife) => Safe::new("none: this version gets no fixes any more"),
        ([], FixState::Unknown) => Safe::new("not known"),
        (versions, _) => joined(versions),
    }
}

fn joined(all: &[Foreign]) -> Safe {
    Safe::from(all.iter().map(|one| one.safe().to_string()).collect::<Vec<_>>().join(", "))
}

fn severity(finding: &Finding) -> Safe {
    let word = finding.severity.word();
    if finding.severity_source.is_empty() { Safe::new(word) } else { Safe::from(format!("{word}, by {}", finding.severity_source.safe())) }
}

/// The layer, by what made it.
fn layer(finding: &Finding, image: Option<&Image>) -> Option<Line> {
    let layer = finding.layer.as_ref()?;
    let index = layer.index.or_else(|| {
        let layers = image?.layers.as_ref()?;
        layers.iter().position(|other| {
            layer.diff_id.is_some() && other.diff_id == layer.diff_id || layer.digest.is_some() && other.digest == layer.digest
        })
    });
    let Some(index) = index else {
        let digest = layer.digest.as_ref().or(layer.diff_id.as_ref())?;
        return Some(("layer", Safe::from(digest.short().to_owned())));
    };
    let made = image.and_then(|image| image.history.as_deref()).unwrap_or_default().iter().filter(|entry| !entry.empty_layer).nth(index);
    let step = made.and_then(|entry| entry.created_by.as_ref()).map_or_else(String::new, |by| {
        // What it says may be what must not be shown: the evidence has it masked.
        format!(", made by {}", dockerfile::instruction(by.raw()).0)
    });
    let origin = match finding.origin {
        Origin::Base => ", of the base image as its history lets one guess",
        Origin::App => ", of the application as its history lets one guess",
        Origin::Unknown => "",
    };
    Some(("layer", Safe::from(format!("{}{step}{origin}", index + 1))))
}

/// A part of what is told of a whole scan.
pub type Part = (&'static str, Vec<Line>);

/// Who looked, for what, what was not looked for and why, and how the image stands to published lists.
#[must_use]
pub fn scan(scan: &Scan) -> Vec<Part> {
    let mut parts: Vec<Part> = vec![("Who looked", scan.reports.iter().flat_map(scanner).collect())];
    let missed = scan.reports.iter().flat_map(|report| &report.not_looked_for);
    parts.push(("Not looked for", missed.map(|one| ("", Safe::from(format!("{}: {}", one.what, one.why)))).collect()));
    parts.push(("What went wrong", scan.problems.iter().map(|problem| ("", Safe::from(problem.to_string()))).collect()));
    for report in &scan.reports {
        let lines = report.card.iter().map(|check| {
            let outcome = match check.outcome {
                Outcome::Pass => "pass",
                Outcome::Fail => "fail",
                Outcome::NotEvaluated => "not evaluated",
            };
            (outcome, Safe::from(format!("{:<5} {}: {}", check.id, check.title, check.why)))
        });
        parts.push(("CIS Docker Benchmark, section 4, and NIST SP 800-190", lines.collect()));
    }
    parts.retain(|(_, lines)| !lines.is_empty());
    parts
}

fn scanner(report: &Report) -> Vec<Line> {
    let scanner = &report.scanner;
    let version = scanner.version.as_ref().map_or_else(String::new, |version| format!(" {}", version.safe()));
    let mut lines = vec![("scanner", Safe::from(format!("{}{version}", scanner.name.safe())))];
    let kinds: Vec<&str> = report.looked_for.iter().map(|kind| kind.plural()).collect();
    lines.push(("for", if kinds.is_empty() { Safe::new("nothing") } else { Safe::from(kinds.join(", ")) }));
    lines.extend(report.packages.map(|packages| ("packages", Safe::from(packages.to_string()))));
    lines.extend(scanner.db_date.map(|date| ("advisories of", Safe::from(date.to_string()))));
    lines.extend(report.made.map(|made| ("made", Safe::from(made.to_string()))));
    if report.may_be_filtered {
        lines.push(("mind", Safe::new("less severe findings may have been left out: the report doesn't say")));
    }
    lines
}
