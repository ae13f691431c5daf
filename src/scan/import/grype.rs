//! Grype's JSON. Facts: its package `presenter/models`; reports carry no version of their form, so all of them are read alike.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, rated, suppression};
use super::json::{Few, Later, Number, Text, each, one};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Finding, FindingKind};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    matches: Later<'a>,
    #[serde(borrow, rename = "ignoredMatches")]
    ignored: Later<'a>,
    #[serde(borrow)]
    source: Later<'a>,
    #[serde(borrow)]
    distro: Later<'a>,
    descriptor: Descriptor,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Descriptor {
    version: Text,
    configuration: Option<Configuration>,
    db: Option<Database>,
    timestamp: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    #[serde(rename = "only-fixed")]
    only_fixed: Option<bool>,
    #[serde(rename = "only-notfixed")]
    only_not_fixed: Option<bool>,
    #[serde(rename = "ignore-states")]
    ignore_states: Option<Text>,
}

/// The date is in it, or since its newer form in what it says of its state.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Database {
    built: Text,
    status: Option<State>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    built: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source<'a> {
    #[serde(borrow)]
    target: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Image {
    user_input: Text,
    #[serde(rename = "imageID")]
    id: Text,
    manifest_digest: Text,
    repo_digests: Few<Text>,
    layers: Few<Layer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Layer {
    digest: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Distribution {
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Match {
    vulnerability: Vulnerability,
    related_vulnerabilities: Few<Vulnerability>,
    artifact: Artifact,
    applied_ignore_rules: Few<Rule>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Vulnerability {
    id: Text,
    data_source: Text,
    namespace: Text,
    severity: Text,
    urls: Few<Text>,
    description: Text,
    cvss: Few<Rating>,
    known_exploited: Few<serde::de::IgnoredAny>,
    epss: Few<Likelihood>,
    fix: Option<Fix>,
    /// Before there was `fix`.
    fixed_in_version: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rating {
    source: Text,
    vector: Text,
    metrics: Option<Metrics>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metrics {
    base_score: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Likelihood {
    epss: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fix {
    versions: Few<Text>,
    state: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifact {
    name: Text,
    version: Text,
    #[serde(rename = "type")]
    kind: Text,
    locations: Few<Location>,
    purl: Text,
    upstreams: Few<Upstream>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Location {
    path: Text,
    #[serde(rename = "layerID")]
    layer: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Upstream {
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rule {
    reason: Text,
    namespace: Text,
    #[serde(rename = "vex-status")]
    vex_status: Text,
    #[serde(rename = "vex-justification")]
    vex_justification: Text,
    #[serde(rename = "fix-state")]
    fix_state: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut draft = Draft::new("Grype", &document.descriptor.version);
    about(&mut draft, &document);
    draft.looked_for(FindingKind::Vulnerability);
    let distribution: Distribution = document.distro.and_then(one).unwrap_or_default();
    for (list, is_ignored) in [(document.matches, false), (document.ignored, true)] {
        let wrong = each(list, |item: Match| {
            let mut finding = finding(&draft, &item, &distribution.name);
            if is_ignored && finding.suppressed.is_none() {
                finding.suppressed = Some(suppression("Grype", "ignored", ""));
            }
            draft.put(finding, &item.vulnerability.id);
        });
        draft.wrong(wrong);
    }
    Ok(Imported::Report(draft.done().into()))
}

/// Which image it is, and who looked when.
fn about(draft: &mut Draft, document: &Document<'_>) {
    let descriptor = &document.descriptor;
    draft.report.made = words::time(&descriptor.timestamp);
    if let Some(database) = &descriptor.db {
        let state = database.status.as_ref().map_or("", |state| &state.built);
        draft.report.scanner.db_date = words::time(words::first([&database.built, state]));
    }
    let asked = |configuration: &Configuration| {
        configuration.only_fixed == Some(false)
            && configuration.only_not_fixed != Some(true)
            && configuration.ignore_states.as_ref().is_none_or(|states| states.is_empty())
    };
    draft.report.may_be_filtered = !descriptor.configuration.as_ref().is_some_and(asked);
    let target: Option<&RawValue> = document.source.and_then(one::<Source<'_>>).and_then(|source| source.target);
    let Some(target) = target else { return };
    if let Some(path) = one::<Text>(target) {
        draft.report.image = words::name(&path);
    } else if let Some(image) = one::<Image>(target) {
        draft.report.image = words::name(&image.user_input);
        draft.report.digests = words::digests(words::texts(&image.repo_digests).chain([&*image.manifest_digest, &*image.id]));
        for (place, layer) in image.layers.iter().enumerate() {
            draft.note_layer(place, &layer.digest);
        }
    }
}

fn finding(draft: &Draft, item: &Match, distribution: &str) -> Finding {
    let (own, artifact) = (&item.vulnerability, &item.artifact);
    let kind = words::first([&*artifact.kind, distribution]);
    let mut package = words::package(&artifact.name, &artifact.version, kind, &artifact.purl);
    package.source_name = artifact.upstreams.first().and_then(|upstream| words::told(&upstream.name)).filter(|name| *name != package.name);
    let (id, aliases) = words::ids(&own.id, item.related_vulnerabilities.iter().map(|related| &*related.id));
    let place = artifact.locations.first();
    let path = place.and_then(|place| words::told(&place.path));
    let mut finding = Finding::new(FindingKind::Vulnerability, id.raw(), Some(package), path.as_ref().map(crate::model::Foreign::raw), "");
    finding.aliases = aliases;
    // A CVE knows more than the distribution's word on it.
    let told: Vec<&Vulnerability> = std::iter::once(own).chain(item.related_vulnerabilities.iter()).collect();
    let rater = told.iter().find(|one| !matches!(one.severity.to_ascii_lowercase().as_str(), "" | "unknown"));
    if let Some(rater) = rater {
        rated(&mut finding, &rater.severity, words::first([&*rater.namespace, &*rater.data_source, "Grype"]));
    }
    finding.description = words::text(words::first(told.iter().map(|one| &*one.description)));
    finding.title = words::name(finding.description.raw().lines().next().unwrap_or_default());
    for one in &told {
        for rating in one.cvss.iter() {
            let score = rating.metrics.as_ref().map(|metrics| metrics.base_score).unwrap_or_default();
            let rating = words::cvss(&rating.vector, score, words::first([&*rating.source, &*one.namespace]));
            finding.cvss.extend(rating.filter(|rating| !finding.cvss.contains(rating)));
        }
        finding.epss = finding.epss.max(one.epss.first().and_then(|likelihood| words::epss(likelihood.epss)));
        finding.known_exploited |= !one.known_exploited.is_empty();
    }
    finding.fixed_versions = match &own.fix {
        Some(fix) => words::texts(&fix.versions).filter_map(words::told).collect(),
        None => words::versions(&own.fixed_in_version),
    };
    let state = own.fix.as_ref().map_or("", |fix| &fix.state);
    finding.fix_state = words::fix_state(state, !finding.fixed_versions.is_empty());
    finding.layer = place.and_then(|place| draft.layer("", &place.layer));
    finding.links = words::links(told.iter().flat_map(|one| std::iter::once(&*one.data_source).chain(words::texts(&one.urls))));
    finding.suppressed = item.applied_ignore_rules.first().map(|rule| {
        let by = if rule.vex_status.is_empty() { "Grype" } else { "VEX" };
        let why = words::first([&*rule.reason, &*rule.vex_justification, &*rule.fix_state, &*rule.namespace]);
        suppression(by, words::first([&*rule.vex_status, "ignored"]), why)
    });
    finding
}
