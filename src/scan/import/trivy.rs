//! Trivy's JSON, of schema 1 (a bare list of results, `null` where it found nothing) and 2. Facts: its packages `types` and `fanal/types`.
//!
//! A report doesn't tell which severities it was asked for, and has no results at all where nothing was found.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, rated, suppression};
use super::json::{Few, Keyed, Later, Number, Text, each, one};
use super::{Imported, Seen, Unreadable, words};
use crate::model::Report;
use crate::model::finding::{Finding, FindingKind, FixState};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(rename = "ArtifactName")]
    artifact: Text,
    #[serde(rename = "CreatedAt")]
    created: Text,
    #[serde(rename = "Trivy")]
    program: Option<Program>,
    #[serde(rename = "Metadata")]
    metadata: Option<Metadata>,
    #[serde(rename = "Results", borrow)]
    results: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Program {
    version: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "ImageID")]
    id: Text,
    #[serde(rename = "DiffIDs")]
    diff_ids: Few<Text>,
    #[serde(rename = "RepoDigests")]
    digests: Few<Text>,
    #[serde(rename = "Layers")]
    layers: Few<Layer>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Layer {
    #[serde(rename = "Digest")]
    digest: Text,
    #[serde(rename = "DiffID")]
    diff_id: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Found<'a> {
    target: Text,
    class: Text,
    #[serde(rename = "Type")]
    kind: Text,
    #[serde(borrow)]
    packages: Later<'a>,
    #[serde(borrow)]
    vulnerabilities: Later<'a>,
    #[serde(borrow)]
    misconfigurations: Later<'a>,
    #[serde(borrow)]
    secrets: Later<'a>,
    #[serde(borrow)]
    licenses: Later<'a>,
    #[serde(borrow)]
    experimental_modified_findings: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identifier {
    #[serde(rename = "PURL")]
    purl: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Package {
    name: Text,
    src_name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: Text,
    #[serde(rename = "VendorIDs")]
    vendor_ids: Few<Text>,
    pkg_name: Text,
    pkg_path: Text,
    pkg_identifier: Option<Identifier>,
    installed_version: Text,
    fixed_version: Text,
    status: Text,
    layer: Option<Layer>,
    severity_source: Text,
    #[serde(rename = "PrimaryURL")]
    url: Text,
    title: Text,
    description: Text,
    severity: Text,
    #[serde(rename = "CVSS")]
    cvss: Keyed<Rating>,
    references: Few<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Rating {
    v2_vector: Text,
    v3_vector: Text,
    v40_vector: Text,
    v2_score: Number,
    v3_score: Number,
    v40_score: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Misconfiguration {
    #[serde(rename = "ID")]
    id: Text,
    #[serde(rename = "AVDID")]
    avd_id: Text,
    title: Text,
    message: Text,
    resolution: Text,
    severity: Text,
    #[serde(rename = "PrimaryURL")]
    url: Text,
    references: Few<Text>,
    status: Text,
    layer: Option<Layer>,
    cause_metadata: Option<Cause>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Cause {
    start_line: Number,
    end_line: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "RuleID")]
    rule: Text,
    severity: Text,
    title: Text,
    start_line: Number,
    end_line: Number,
    #[serde(rename = "Match")]
    line: Text,
    layer: Option<Layer>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct License {
    severity: Text,
    category: Text,
    pkg_name: Text,
    file_path: Text,
    name: Text,
    link: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified<'a> {
    #[serde(rename = "Type")]
    kind: Text,
    #[serde(default)]
    status: Text,
    #[serde(default)]
    statement: Text,
    #[serde(default)]
    source: Text,
    #[serde(borrow)]
    finding: &'a RawValue,
}

pub(super) fn is(seen: &Seen) -> bool {
    seen.object("SchemaVersion") || seen.list("Target") || seen.is_null
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let bare = text.trim_start();
    let document = if bare.starts_with('{') {
        serde_json::from_str(text)?
    } else {
        Document { results: serde_json::from_str(text)?, ..Document::default() }
    };
    Ok(Imported::Report(report(&document, bare.starts_with('[')).into()))
}

fn report(document: &Document<'_>, is_bare: bool) -> Report {
    let version = document.program.as_ref().map_or("", |program| &program.version);
    let mut draft = Draft::new("Trivy", version);
    draft.report.image = words::name(&document.artifact);
    draft.report.made = words::time(&document.created);
    draft.report.may_be_filtered = true;
    if let Some(metadata) = &document.metadata {
        let named = words::texts(&metadata.digests).chain([&*metadata.id]);
        draft.report.digests = words::digests(named);
        for (place, diff_id) in words::texts(&metadata.diff_ids).enumerate() {
            draft.note_layer(place, diff_id);
        }
        for (place, layer) in metadata.layers.iter().enumerate() {
            draft.note_layer(place, &layer.digest);
            draft.note_layer(place, &layer.diff_id);
        }
    }
    let wrong = each(document.results, |found: Found<'_>| Reading { draft: &mut draft, found: &found }.read());
    draft.wrong(wrong);
    // Schema 1 was of a time when it looked for nothing else. Of `null` nobody can tell who wrote it.
    if is_bare {
        draft.looked_for(FindingKind::Vulnerability);
    }
    for kind in [FindingKind::Vulnerability, FindingKind::Secret, FindingKind::Misconfiguration, FindingKind::Licence] {
        if !draft.report.looked_for.contains(&kind) {
            draft.not_looked_for(kind, "the report has no result of it, and doesn't say whether anybody looked");
        }
    }
    draft.done()
}

struct Reading<'d, 'a> {
    draft: &'d mut Draft,
    found: &'d Found<'a>,
}

impl Reading<'_, '_> {
    fn read(&mut self) {
        let found = self.found;
        match &*found.class {
            "os-pkgs" | "lang-pkgs" => self.draft.looked_for(FindingKind::Vulnerability),
            "config" => self.draft.looked_for(FindingKind::Misconfiguration),
            "secret" => self.draft.looked_for(FindingKind::Secret),
            "license" | "license-file" => self.draft.looked_for(FindingKind::Licence),
            _ => {}
        }
        let mut sources = std::collections::HashMap::new();
        let mut packages = 0;
        let mut wrong = each(found.packages, |package: Package| {
            packages += 1;
            if !package.src_name.is_empty() && *package.src_name != *package.name {
                sources.insert(package.name.0, package.src_name.0);
            }
        });
        if found.packages.is_some() {
            *self.draft.report.packages.get_or_insert_default() += packages;
        }
        wrong += each(found.vulnerabilities, |item: Vulnerability| {
            let mut finding = self.vulnerability(&item);
            if let Some(package) = &mut finding.package {
                package.source_name = sources.get(package.name.raw()).and_then(|source| words::told(source));
            }
            self.draft.put(finding, &item.id);
        });
        wrong += each(found.misconfigurations, |item: Misconfiguration| {
            if let Some(finding) = self.misconfiguration(&item) {
                self.draft.put(finding, &item.id);
            }
        });
        wrong += each(found.secrets, |item: Secret| {
            let finding = self.secret(&item);
            self.draft.put(finding, &item.rule);
        });
        wrong += each(found.licenses, |item: License| {
            let finding = licence(&item);
            self.draft.put(finding, &item.name);
        });
        wrong += each(found.experimental_modified_findings, |item: Modified<'_>| self.modified(&item));
        self.draft.wrong(wrong);
    }

    /// What was put aside by an ignore file or a VEX document.
    fn modified(&mut self, item: &Modified<'_>) {
        let made = match &*item.kind {
            "vulnerability" => one(item.finding).map(|inner: Vulnerability| (self.vulnerability(&inner), inner.id)),
            "misconfiguration" => one(item.finding).and_then(|inner: Misconfiguration| Some((self.misconfiguration(&inner)?, inner.id))),
            "secret" => one(item.finding).map(|inner: Secret| (self.secret(&inner), inner.rule)),
            "license" => one(item.finding).map(|inner: License| (licence(&inner), inner.name)),
            _ => None,
        };
        let Some((mut finding, own)) = made else { return self.draft.wrong(1) };
        let by = words::first([&*item.source, "Trivy"]);
        finding.suppressed = Some(suppression(by, &item.status, &item.statement));
        self.draft.put(finding, &own);
    }

    fn layer(&self, layer: Option<&Layer>) -> Option<crate::model::finding::FindingLayer> {
        layer.and_then(|layer| self.draft.layer(&layer.digest, &layer.diff_id))
    }

    fn vulnerability(&self, item: &Vulnerability) -> Finding {
        let purl = item.pkg_identifier.as_ref().map_or("", |identifier| &identifier.purl);
        let package = words::package(&item.pkg_name, &item.installed_version, &self.found.kind, purl);
        let (id, aliases) = words::ids(&item.id, words::texts(&item.vendor_ids));
        let path = words::told(words::first([&item.pkg_path, self.file()]));
        let mut finding =
            Finding::new(FindingKind::Vulnerability, id.raw(), Some(package), path.as_ref().map(crate::model::Foreign::raw), "");
        finding.aliases = aliases;
        rated(&mut finding, &item.severity, words::first([&item.severity_source, "Trivy"]));
        finding.title = words::name(&item.title);
        finding.description = words::text(&item.description);
        for (source, rating) in &item.cvss.items {
            let rated = [
                words::cvss(&rating.v40_vector, rating.v40_score, source),
                words::cvss(&rating.v3_vector, rating.v3_score, source),
                words::cvss(&rating.v2_vector, rating.v2_score, source),
            ];
            finding.cvss.extend(rated.into_iter().flatten());
        }
        finding.fixed_versions = words::versions(&item.fixed_version);
        finding.fix_state = words::fix_state(&item.status, !finding.fixed_versions.is_empty());
        if &*item.status == "not_affected" {
            finding.fix_state = FixState::Unknown;
            finding.suppressed = Some(suppression(words::first([&item.severity_source, "Trivy"]), &item.status, ""));
        }
        finding.layer = self.layer(item.layer.as_ref());
        finding.links = words::links(std::iter::once(&*item.url).chain(words::texts(&item.references)));
        finding
    }

    /// The file that the result is of. Packages of the system and those of one language together have a heading in its place.
    fn file(&self) -> &str {
        let together = ["", "node-pkg", "python-pkg", "gemspec", "jar", "conda-pkg"].contains(&&*self.found.kind);
        if together || matches!(&*self.found.class, "os-pkgs" | "") { "" } else { &self.found.target }
    }

    /// `None` for a check that was passed.
    fn misconfiguration(&mut self, item: &Misconfiguration) -> Option<Finding> {
        if item.status.eq_ignore_ascii_case("pass") {
            return None;
        }
        let (id, path) = (normal(&item.id), words::name(&self.found.target));
        let rest = self.draft.nth(FindingKind::Misconfiguration, &id, path.raw());
        let mut finding = Finding::new(FindingKind::Misconfiguration, words::name(&id).raw(), None, Some(path.raw()), &rest);
        let own = [&*item.id, &*item.avd_id];
        finding.aliases = words::links(own.into_iter().filter(|own| *own != id));
        rated(&mut finding, &item.severity, "rule");
        finding.title = words::name(&item.title);
        finding.description = words::text(&words::masked(&[&*item.message, &*item.resolution].join("\n")));
        if let Some(cause) = &item.cause_metadata {
            finding.lines = words::lines(cause.start_line, cause.end_line);
        }
        if item.status.eq_ignore_ascii_case("exception") {
            finding.suppressed = Some(suppression("Trivy", "exception", ""));
        }
        finding.layer = self.layer(item.layer.as_ref());
        finding.links = words::links(std::iter::once(&*item.url).chain(words::texts(&item.references)));
        Some(finding)
    }

    fn secret(&mut self, item: &Secret) -> Finding {
        let (id, path) = (words::name(&item.rule), words::name(&self.found.target));
        let rest = self.draft.nth(FindingKind::Secret, id.raw(), path.raw());
        let mut finding = Finding::new(FindingKind::Secret, id.raw(), None, Some(path.raw()), &rest);
        rated(&mut finding, &item.severity, "rule");
        finding.title = words::name(&item.title);
        finding.lines = words::lines(item.start_line, item.end_line);
        finding.evidence = Some(words::secret_line(&item.line));
        finding.layer = self.layer(item.layer.as_ref());
        finding
    }
}

fn licence(item: &License) -> Finding {
    let package = words::told(&item.pkg_name).map(|_| words::package(&item.pkg_name, "", "", ""));
    let path = words::told(&item.file_path);
    let id = words::name(&item.name);
    let mut finding = Finding::new(FindingKind::Licence, id.raw(), package, path.as_ref().map(crate::model::Foreign::raw), "");
    rated(&mut finding, &item.severity, words::first([&*item.category, "Trivy"]));
    finding.title = words::name(&[&*item.name, &*item.category].join(": "));
    finding.links = words::links([&*item.link]);
    finding
}

/// The id of a check as it is written today: `DS002` and `AVD-DS-0002` became `DS-0002`.
fn normal(id: &str) -> String {
    let id = id.trim().strip_prefix("AVD-").unwrap_or(id.trim());
    let letters = id.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(id.len());
    match id.split_at_checked(letters) {
        Some((kind, digits)) if !kind.is_empty() && digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{kind}-0{digits}")
        }
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_checks_are_written_in_one_way() {
        let ids = ["DS002", "AVD-DS-0002", "DS-0002", "KSV001", "AVD-AWS-0086", "odd", "", "É1"].map(normal);
        assert_eq!(ids, ["DS-0002", "DS-0002", "DS-0002", "KSV-0001", "AWS-0086", "odd", "", "É1"]);
    }
}
