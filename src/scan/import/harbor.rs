//! Harbor's report on weaknesses, bare as its scanners give it, or under its media type as Harbor does. Facts: Harbor's `scan/vuln` and the
//! specification of pluggable scanners.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, rated, suppression};
use super::json::{Few, Keyed, Later, Number, Text, each};
use super::{Imported, Seen, Unreadable, words};
use crate::model::finding::{Finding, FindingKind};

const KINDS: [&str; 2] = ["application/vnd.security.vulnerability.report", "application/vnd.scanner.adapter.vuln.report"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    generated_at: Text,
    artifact: Option<Artifact>,
    scanner: Option<Program>,
    #[serde(borrow)]
    vulnerabilities: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifact {
    repository: Text,
    digest: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Program {
    name: Text,
    version: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Vulnerability {
    id: Text,
    package: Text,
    version: Text,
    fix_version: Text,
    severity: Text,
    status: Text,
    description: Text,
    links: Few<Text>,
    artifact_digests: Few<Text>,
    preferred_cvss: Option<Preferred>,
    vendor_attributes: Option<Attributes>,
    layer: Option<Layer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Preferred {
    score_v3: Number,
    score_v2: Number,
    vector_v3: Text,
    vector_v2: Text,
}

/// What the scanner says beyond the common form: Trivy's ratings, in its own words.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    #[serde(rename = "CVSS")]
    cvss: Option<Keyed<Rating>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Rating {
    v3_vector: Text,
    v3_score: Number,
    v2_vector: Text,
    v2_score: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Layer {
    digest: Text,
    diff_id: Text,
}

pub(super) fn is(seen: &Seen) -> bool {
    let bare = seen.object("generated_at") && (seen.object("scanner") || seen.object("vulnerabilities"));
    bare || (!seen.is_list && seen.keys.iter().any(|key| is_kind(key)))
}

fn is_kind(key: &str) -> bool {
    KINDS.iter().any(|kind| key.starts_with(kind))
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let mut all: Keyed<&RawValue> = serde_json::from_str(text)?;
    // The newer form comes first where there are both.
    all.items.sort_by_key(|(key, _)| std::cmp::Reverse(key.starts_with(KINDS[0])));
    match all.items.iter().find(|(key, _)| is_kind(key)) {
        Some((_, inner)) if inner.get() == "null" => Err(Unreadable::Other("there is no report in it: the image was not scanned")),
        Some((_, inner)) => report(inner.get()),
        None => report(text),
    }
}

fn report(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let program = document.scanner.unwrap_or_default();
    let mut draft = Draft::new(words::first([&*program.name, "Harbor"]), &program.version);
    draft.report.made = words::time(&document.generated_at);
    draft.report.may_be_filtered = true;
    draft.looked_for(FindingKind::Vulnerability);
    if let Some(artifact) = &document.artifact {
        draft.report.image = words::name(&artifact.repository);
        draft.report.digests = words::digests([&*artifact.digest]);
    }
    let wrong = each(document.vulnerabilities, |item: Vulnerability| {
        for digest in words::digests(words::texts(&item.artifact_digests)) {
            if draft.report.digests.len() < 100 && !draft.report.digests.contains(&digest) {
                draft.report.digests.push(digest);
            }
        }
        let by = draft.by();
        let finding = finding(&draft, &item, by.raw());
        draft.put(finding, &item.id);
    });
    draft.wrong(wrong);
    Ok(Imported::Report(draft.done().into()))
}

fn finding(draft: &Draft, item: &Vulnerability, by: &str) -> Finding {
    // Nothing says which kind of package it is.
    let package = words::package(&item.package, &item.version, "", "");
    let (id, aliases) = words::ids(&item.id, []);
    let mut finding = Finding::new(FindingKind::Vulnerability, id.raw(), Some(package), None, "");
    finding.aliases = aliases;
    rated(&mut finding, &item.severity, by);
    finding.description = words::text(&item.description);
    finding.title = words::name(finding.description.raw().lines().next().unwrap_or_default());
    if let Some(preferred) = &item.preferred_cvss {
        finding.cvss.extend(words::cvss(&preferred.vector_v3, preferred.score_v3, by));
        finding.cvss.extend(words::cvss(&preferred.vector_v2, preferred.score_v2, by));
    }
    for (source, rating) in item.vendor_attributes.iter().filter_map(|all| all.cvss.as_ref()).flat_map(|cvss| &cvss.items) {
        finding.cvss.extend(words::cvss(&rating.v3_vector, rating.v3_score, source));
        finding.cvss.extend(words::cvss(&rating.v2_vector, rating.v2_score, source));
    }
    finding.fixed_versions = words::versions(&item.fix_version);
    finding.fix_state = words::fix_state(&item.status, !finding.fixed_versions.is_empty());
    if &*item.status == "not_affected" {
        finding.suppressed = Some(suppression(by, &item.status, ""));
    }
    finding.layer = item.layer.as_ref().and_then(|layer| draft.layer(&layer.digest, &layer.diff_id));
    finding.links = words::links(words::texts(&item.links));
    finding
}
