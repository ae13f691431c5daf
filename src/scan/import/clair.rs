//! Clair's vulnerability report of version 4. Facts: claircore's `VulnerabilityReport` and Clair's schemas of it.
//!
//! It is a set of tables that point into each other. An advisory is listed once for each repository that has it, so findings fold by package
//! and id. Of Debian it knows no severities: those come from the scores that it was enriched with, as in Quay.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, rated, suppression};
use super::json::{Few, Keyed, Later, Number, Text, each, one};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Cvss, Finding, FindingKind, FindingPackage, FixState, Severity};

/// Most entries of one of its tables.
const MOST: usize = 200_000;
const SCORES: &str = "enricher=clair.cvss";

type Table<'a> = Option<Keyed<&'a RawValue, MOST>>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    manifest_hash: Text,
    #[serde(borrow)]
    packages: Table<'a>,
    #[serde(borrow)]
    distributions: Table<'a>,
    #[serde(borrow)]
    repository: Table<'a>,
    #[serde(borrow)]
    environments: Table<'a>,
    #[serde(borrow)]
    vulnerabilities: Table<'a>,
    #[serde(borrow)]
    package_vulnerabilities: Table<'a>,
    #[serde(borrow)]
    enrichments: Table<'a>,
    #[serde(borrow, rename = "PackageNotVulnerable")]
    not_vulnerable: Table<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Package {
    name: Text,
    version: Text,
    source: Option<Source>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Distribution {
    did: Text,
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Repository {
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Environment {
    package_db: Text,
    introduced_in: Text,
    distribution_id: Text,
    repository_ids: Few<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Vulnerability {
    id: Text,
    updater: Text,
    name: Text,
    description: Text,
    links: Text,
    severity: Text,
    normalized_severity: Text,
    fixed_in_version: Text,
    #[serde(rename = "Aliases", alias = "aliases")]
    aliases: Option<Few<Alias>>,
}

/// Newer reports keep names apart from who gave them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Alias {
    #[serde(rename = "Space", alias = "space")]
    space: Text,
    #[serde(rename = "Name", alias = "name")]
    name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Score {
    base_score: Number,
    vector_string: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut draft = Draft::new("Clair", "4");
    draft.report.scanner.version = None;
    draft.report.digests = words::digests([&*document.manifest_hash]);
    draft.looked_for(FindingKind::Vulnerability);
    let tables = Tables::of(&document);
    draft.report.packages = Some(tables.packages.len());
    let all = [
        &document.packages,
        &document.environments,
        &document.vulnerabilities,
        &document.package_vulnerabilities,
        &document.distributions,
        &document.repository,
    ];
    draft.left(all.into_iter().flatten().map(|table| table.left).sum());
    for (package, ids) in entries(&document.package_vulnerabilities) {
        let Some(ids) = one::<Ids>(ids) else {
            draft.wrong(1);
            continue;
        };
        let Some(package) = tables.packages.get(package).map(|raw| (package, raw)) else {
            draft.wrong(ids.0.len());
            continue;
        };
        let about = tables.about(package.0, package.1);
        for id in &ids.0 {
            match (&about, tables.vulnerabilities.get(&**id).and_then(|raw| one::<Vulnerability>(raw))) {
                (Some(about), Some(found)) => {
                    let mut finding = tables.finding(&draft, about, id, &found);
                    if tables.is_denied(package.0, id) {
                        finding.suppressed = Some(suppression("Clair", "not_affected", ""));
                    }
                    draft.put(finding, &found.name);
                }
                _ => draft.wrong(1),
            }
        }
    }
    Ok(Imported::Report(draft.done().into()))
}

/// The ids of one package's weaknesses: there can be thousands.
struct Ids(Vec<Text>);

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Vec::new();
        each(Later::deserialize(deserializer)?, |id: Text| {
            if all.len() < MOST {
                all.push(id);
            }
        });
        Ok(Self(all))
    }
}

fn entries<'t, 'a>(table: &'t Table<'a>) -> impl Iterator<Item = (&'t str, &'a RawValue)> {
    table.iter().flat_map(|table| &table.items).map(|(key, raw)| (key.as_str(), *raw))
}

struct Tables<'t, 'a> {
    packages: HashMap<&'t str, &'a RawValue>,
    vulnerabilities: HashMap<&'t str, &'a RawValue>,
    environments: HashMap<&'t str, &'a RawValue>,
    distributions: HashMap<&'t str, &'a RawValue>,
    repositories: HashMap<&'t str, &'a RawValue>,
    /// By weakness.
    scores: HashMap<String, Cvss>,
    /// Packages and what they are said not to have.
    denied: HashSet<(String, String)>,
}

/// A package and where it is.
struct About {
    package: FindingPackage,
    path: String,
    layer: String,
}

impl<'t, 'a> Tables<'t, 'a> {
    fn of(document: &'t Document<'a>) -> Self {
        let mut scores = HashMap::new();
        for (_, list) in entries(&document.enrichments).filter(|(kind, _)| kind.contains(SCORES)) {
            each(Some(list), |entry: Keyed<Few<Score>, MOST>| {
                for (id, rated) in entry.items {
                    let best = rated.iter().filter_map(|one| words::cvss(&one.vector_string, one.base_score, "nvd"));
                    if let Some(best) = best.max_by_key(|cvss| cvss.score) {
                        scores.insert(id, best);
                    }
                }
            });
        }
        let mut denied = HashSet::new();
        for (package, ids) in entries(&document.not_vulnerable) {
            let ids = one::<Ids>(ids).map(|ids| ids.0).unwrap_or_default();
            denied.extend(ids.into_iter().take(MOST.saturating_sub(denied.len())).map(|id| (package.to_owned(), id.0)));
        }
        Self {
            packages: entries(&document.packages).collect(),
            vulnerabilities: entries(&document.vulnerabilities).collect(),
            environments: entries(&document.environments).collect(),
            distributions: entries(&document.distributions).collect(),
            repositories: entries(&document.repository).collect(),
            scores,
            denied,
        }
    }

    fn is_denied(&self, package: &str, id: &str) -> bool {
        !self.denied.is_empty() && self.denied.contains(&(package.to_owned(), id.to_owned()))
    }

    fn about(&self, id: &str, raw: &RawValue) -> Option<About> {
        let package: Package = one(raw)?;
        let environment = self.environments.get(id).and_then(|raw| one::<Few<Environment>>(raw)).unwrap_or_default().0;
        let environment = environment.into_iter().next().unwrap_or_default();
        let mut about = words::package(&package.name, &package.version, &self.kind(&environment), "");
        about.source_name = package.source.as_ref().and_then(|source| words::told(&source.name)).filter(|source| *source != about.name);
        let database = &environment.package_db;
        let path = database.split_once(':').map_or(&**database, |(_, path)| path).to_owned();
        Some(About { package: about, path, layer: environment.introduced_in.0 })
    }

    /// Which kind of package it is: nothing says so but where it was listed.
    fn kind(&self, environment: &Environment) -> String {
        let database = &environment.package_db;
        let known = |word: &str| Some(words::purl_type(word)).filter(|kind| *kind != word || *kind == "golang").map(str::to_owned);
        let by_reader = database.split_once(':').and_then(|(reader, _)| match reader {
            "maven" | "npm" | "gem" | "pypi" => Some(reader.to_owned()),
            reader => known(reader),
        });
        let by_place = || {
            let places = [("dpkg", "deb"), ("apk/db", "apk"), ("rpm", "rpm")];
            places.iter().find(|(place, _)| database.contains(place)).map(|(_, kind)| (*kind).to_owned())
        };
        let by_repository = || {
            let names = environment.repository_ids.iter().filter_map(|id| self.repositories.get(&**id));
            names.filter_map(|raw| one::<Repository>(raw)).find_map(|repository| match &*repository.name {
                "pypi" | "maven" | "npm" => Some(repository.name.0.clone()),
                name => known(name),
            })
        };
        let by_distribution = || {
            let distribution: Distribution = self.distributions.get(&*environment.distribution_id).and_then(|raw| one(raw))?;
            Some(words::purl_type(words::first([&*distribution.did, &*distribution.name])).to_owned())
        };
        by_reader.or_else(by_place).or_else(by_repository).or_else(by_distribution).unwrap_or_default()
    }

    fn finding(&self, draft: &Draft, about: &About, id: &str, found: &Vulnerability) -> Finding {
        let own = words::id_in(&found.name).unwrap_or(&found.name);
        let spaced = |alias: &Alias| match &*alias.space {
            "" => alias.name.0.clone(),
            space if alias.name.starts_with(space) => alias.name.0.clone(),
            space => format!("{space}-{}", &*alias.name),
        };
        let aliases: Vec<String> = found.aliases.iter().flat_map(|aliases| aliases.iter()).map(spaced).collect();
        let (name, aliases) = words::ids(own, aliases.iter().map(String::as_str));
        let path = Some(about.path.as_str()).filter(|path| !path.is_empty());
        let mut finding = Finding::new(FindingKind::Vulnerability, name.raw(), Some(about.package.clone()), path, "");
        finding.aliases = aliases;
        rated(&mut finding, &found.normalized_severity, &found.updater);
        let scored = self.scores.get(id).or_else(|| self.scores.get(&*found.id)).cloned();
        finding.cvss.extend(scored);
        finding.cvss.extend(words::score_of(&found.severity).and_then(|_| words::cvss(&found.severity, Number(None), &found.updater)));
        if finding.severity == Severity::Unknown
            && let Some(best) = finding.cvss.iter().find_map(|cvss| cvss.score)
        {
            finding.severity = Severity::of_score(best);
            finding.severity_source = words::name(&format!("{} CVSS", finding.cvss.first().map_or("", |cvss| cvss.source.raw())));
        }
        finding.title = words::name(&found.name);
        finding.description = words::text(&found.description);
        finding.fixed_versions = fixed(&found.fixed_in_version);
        finding.fix_state = match (finding.fixed_versions.is_empty(), &*found.fixed_in_version) {
            (false, _) => FixState::Fixed,
            (true, "" | "0" | "0:0") => FixState::NotFixed,
            (true, _) => FixState::Unknown,
        };
        finding.layer = draft.layer(&about.layer, "");
        finding.links = words::links(found.links.split_whitespace());
        finding
    }
}

/// Versions with the fix. What has none says so by nothing or by zeros; some updaters put a range there, as a form is sent.
fn fixed(text: &str) -> Vec<crate::model::Foreign> {
    match text.trim() {
        "" | "0" | "0:0" => Vec::new(),
        text if text.contains('=') => {
            let pairs = url::form_urlencoded::parse(text.as_bytes()).filter(|(key, _)| key == "fixed");
            pairs.filter_map(|(_, version)| words::told(&version)).collect()
        }
        text => vec![words::name(text)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_ranges_are_no_versions() {
        let read = |text| fixed(text).iter().map(|version| version.raw().to_owned()).collect::<Vec<_>>().join(" ");
        assert_eq!(read("0:0"), "");
        assert_eq!(read("1.2.3-4"), "1.2.3-4");
        assert_eq!(read("fixed=2.15.0&introduced=2.0-beta9"), "2.15.0");
        assert_eq!(read("lastAffected=1.9.13"), "");
        assert_eq!(read("fixed=%3D%00%F0&fixed="), "=\0\u{fffd}");
    }
}
