//! CycloneDX documents with weaknesses in them, of whatever program. Facts: its schemas 1.4 to 1.7, and what Trivy and Grype make of them.
//!
//! A weakness points at the components that it is in, so each of these is a finding. A list that is empty doesn't say whether anybody looked.

use std::collections::HashMap;

use serde::Deserialize;

use super::draft::{Draft, MOST, suppression};
use super::json::{Few, Later, Number, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Finding, FindingKind, FindingPackage, Severity};

/// Components within components.
const DEEPEST: usize = 16;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    components: Later<'a>,
    #[serde(borrow)]
    vulnerabilities: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    timestamp: Text,
    #[serde(borrow)]
    tools: Later<'a>,
    #[serde(borrow)]
    component: Option<Component<'a>>,
}

/// The newer form of the tools' list.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tools {
    components: Few<Program>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Program {
    name: Text,
    version: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Component<'a> {
    #[serde(rename = "bom-ref")]
    reference: Text,
    group: Text,
    name: Text,
    version: Text,
    purl: Text,
    properties: Few<Property>,
    #[serde(borrow)]
    components: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Property {
    name: Text,
    value: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Vulnerability<'a> {
    id: Text,
    source: Option<Source>,
    references: Few<Reference>,
    ratings: Few<Rating>,
    description: Text,
    detail: Text,
    recommendation: Text,
    advisories: Few<Advisory>,
    #[serde(borrow)]
    affects: Later<'a>,
    analysis: Option<Analysis>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    name: Text,
    url: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reference {
    id: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rating {
    source: Option<Source>,
    score: Number,
    severity: Text,
    method: Text,
    vector: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Advisory {
    url: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Affected {
    #[serde(rename = "ref")]
    reference: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Analysis {
    state: Text,
    justification: Text,
    detail: Text,
}

/// A component as findings need it.
struct Known {
    package: FindingPackage,
    path: String,
    digest: String,
    diff_id: String,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let metadata = document.metadata.unwrap_or_default();
    let program = program(&metadata);
    let mut draft = Draft::new(words::first([&*program.name, "CycloneDX"]), &program.version);
    draft.report.made = words::time(&metadata.timestamp);
    draft.report.may_be_filtered = true;
    let mut known = HashMap::new();
    if let Some(image) = metadata.component {
        draft.report.image = words::name(&image.name);
        let told = image.properties.iter().filter(|property| !property.name.ends_with("DiffID")).map(|property| &*property.value);
        let hash = image.purl.replace("%3A", ":").replace("%3a", ":");
        draft.report.digests = words::digests([&hash, &*image.version].into_iter().chain(told));
        let layers = image.properties.iter().filter(|property| property.name.ends_with(":DiffID"));
        for (place, layer) in layers.enumerate() {
            draft.note_layer(place, &layer.value);
        }
        note(&mut draft, &mut known, image, 0);
    }
    components(&mut draft, &mut known, document.components, 0);
    draft.report.packages = Some(known.len());
    let mut count = 0;
    let wrong = each(document.vulnerabilities, |item: Vulnerability<'_>| {
        count += 1;
        weakness(&mut draft, &known, &item);
    });
    draft.wrong(wrong);
    if count > 0 {
        draft.looked_for(FindingKind::Vulnerability);
    } else {
        draft.not_looked_for(FindingKind::Vulnerability, "the document lists none, and doesn't say whether anybody looked");
    }
    Ok(Imported::Report(draft.done().into()))
}

/// The last of the programs that made it: a scanner comes after who listed the packages.
fn program(metadata: &Metadata<'_>) -> Program {
    let newer = metadata.tools.and_then(super::json::one::<Tools>).map(|tools| tools.components.0).unwrap_or_default();
    let mut last = newer.last().cloned();
    if last.is_none() {
        each(metadata.tools, |program: Program| last = Some(program));
    }
    last.unwrap_or_default()
}

fn components(draft: &mut Draft, known: &mut HashMap<String, Known>, list: Later<'_>, depth: usize) {
    let wrong = each(list, |component: Component<'_>| note(draft, known, component, depth));
    draft.wrong(wrong);
}

fn note(draft: &mut Draft, known: &mut HashMap<String, Known>, component: Component<'_>, depth: usize) {
    if known.len() >= MOST || depth >= DEEPEST {
        return draft.left(1);
    }
    let inner = component.components;
    let property = |ending: &str| {
        let found = component.properties.iter().find(|property| property.name.ends_with(ending));
        found.map(|property| property.value.0.clone()).unwrap_or_default()
    };
    let name = match (component.purl.starts_with("pkg:maven/"), component.purl.starts_with("pkg:npm/"), &*component.group) {
        (_, _, "") => component.name.0.clone(),
        (true, ..) => format!("{}:{}", &*component.group, &*component.name),
        (_, true, group) => format!("{group}/{}", &*component.name),
        _ => component.name.0.clone(),
    };
    let mut package = words::package(&name, &component.version, "", &component.purl);
    package.source_name = words::told(&property(":SrcName")).filter(|source| *source != package.name);
    let entry = Known {
        path: [property(":FilePath"), property("location:0:path")].into_iter().find(|path| !path.is_empty()).unwrap_or_default(),
        digest: property(":LayerDigest"),
        diff_id: [property(":LayerDiffID"), property("location:0:layerID")].into_iter().find(|id| !id.is_empty()).unwrap_or_default(),
        package,
    };
    let reference = if component.reference.is_empty() { component.purl.0 } else { component.reference.0 };
    known.entry(reference).or_insert(entry);
    components(draft, known, inner, depth + 1);
}

fn weakness(draft: &mut Draft, known: &HashMap<String, Known>, item: &Vulnerability<'_>) {
    let mut count = 0;
    let wrong = each(item.affects, |affected: Affected| {
        count += 1;
        let reference = affected.reference.rsplit_once('#').map_or(&*affected.reference, |(_, reference)| reference);
        let about = known.get(&*affected.reference).or_else(|| known.get(reference));
        let finding = finding(draft, item, about, reference);
        draft.put(finding, &item.id);
    });
    draft.wrong(wrong);
    if count == 0 {
        let finding = finding(draft, item, None, "");
        draft.put(finding, &item.id);
    }
}

fn finding(draft: &Draft, item: &Vulnerability<'_>, about: Option<&Known>, reference: &str) -> Finding {
    let package = match about {
        Some(known) => Some(known.package.clone()),
        None => words::purl(reference).map(|_| words::package("", "", "", reference)),
    };
    let path = about.map(|known| known.path.as_str()).filter(|path| !path.is_empty());
    let (id, aliases) = words::ids(&item.id, item.references.iter().map(|reference| &*reference.id));
    let name = package.as_ref().map_or(String::new(), |package| package.name.raw().to_owned());
    let mut finding = Finding::new(FindingKind::Vulnerability, id.raw(), package, path, "");
    finding.aliases = aliases;
    rate(&mut finding, item);
    finding.description = words::text(words::first([&*item.description, &*item.detail]));
    finding.title = words::name(finding.description.raw().lines().next().unwrap_or_default());
    finding.fixed_versions = recommended(&item.recommendation, &name);
    finding.fix_state = words::fix_state("", !finding.fixed_versions.is_empty());
    finding.layer = about.and_then(|known| draft.layer(&known.digest, &known.diff_id));
    let own = item.source.as_ref().map_or("", |source| &source.url);
    finding.links = words::links(std::iter::once(own).chain(item.advisories.iter().map(|advisory| &*advisory.url)));
    if let Some(analysis) = &item.analysis
        && matches!(&*analysis.state, "not_affected" | "false_positive" | "resolved" | "resolved_with_pedigree")
    {
        finding.suppressed = Some(suppression("CycloneDX", &analysis.state, words::first([&*analysis.detail, &*analysis.justification])));
    }
    finding
}

/// How bad it is: in the words of who published it, else of who thinks worst.
fn rate(finding: &mut Finding, item: &Vulnerability<'_>) {
    let own = item.source.as_ref().map_or("", |source| &source.name);
    let mut best: Option<(bool, Severity, &str)> = None;
    for rating in item.ratings.iter() {
        let source = rating.source.as_ref().map_or("", |source| &source.name);
        // There is no other place for how likely it is to be used.
        let of_whom = rating.source.as_ref().map(|source| format!("{} {}", &*source.name, &*source.url)).unwrap_or_default();
        if &*rating.method == "other" && (source == "FIRST" || of_whom.to_ascii_lowercase().contains("epss")) {
            finding.epss = finding.epss.max(words::epss(rating.score));
            continue;
        }
        let cvss = words::cvss(&rating.vector, rating.score, source);
        let mut severity = Severity::from_word(&rating.severity);
        if severity == Severity::Unknown {
            severity = cvss.as_ref().and_then(|cvss| cvss.score).map_or(severity, Severity::of_score);
        }
        if rating.method.to_ascii_uppercase().starts_with("CVSS") || !rating.vector.is_empty() {
            finding.cvss.extend(cvss);
        }
        let next = (!own.is_empty() && own == source, severity, source);
        if severity != Severity::Unknown && best.is_none_or(|best| (next.0, next.1) > (best.0, best.1)) {
            best = Some(next);
        }
    }
    if let Some((_, severity, source)) = best {
        finding.severity = severity;
        finding.severity_source = words::name(words::first([source, own, "CycloneDX"]));
    }
}

/// Versions that a text such as "Upgrade zlib to version 1.2; Upgrade …" recommends for a package.
fn recommended(text: &str, package: &str) -> Vec<crate::model::Foreign> {
    let mut all = Vec::new();
    for part in text.split(';') {
        let Some((before, version)) = part.split_once(" to version ") else { continue };
        let named = before.trim().strip_prefix("Upgrade ").unwrap_or_default().trim();
        if named == package || package.ends_with(&format!(":{named}")) {
            all.extend(words::versions(version));
        }
    }
    all
}
