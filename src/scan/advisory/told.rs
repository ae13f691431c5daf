//! Findings out of what the records say of one package: one for each weakness, whoever tells of it.
//!
//! How bad it is: what the distribution itself says of its packages first, then the newest CVSS vector, then a database's word; what was published
//! only to do harm is as bad as can be. May use model.

use std::collections::{BTreeMap, BTreeSet};

use super::matching::{One, Said, closure};
use super::osv::{ECOSYSTEMS, is_of_system};
use super::record::{Rating, Record, Says};
use crate::model::finding::{
    Cvss, Finding, FindingKind, FindingLayer, FindingPackage, FixState, Said as Word, Score, Severity, canonical, is_cve,
};
use crate::model::package::{Distribution, Installed, Package, PackageKind, PackagePlace};
use crate::scan::sbom::purl;

const MOST_LINKS: usize = 10;
const BY: &str = concat!("Lighterman ", env!("CARGO_PKG_VERSION"));
/// What the Open Source Security Foundation calls malicious.
const MALICIOUS: &str = "MAL-";

/// What is said of one weakness.
#[derive(Default)]
struct Weakness<'a> {
    ids: BTreeSet<&'a str>,
    /// Of advisories that are about this and others: no other names of it, since what is said of one would be taken for the other.
    over: BTreeSet<&'a str>,
    hits: Vec<&'a One>,
}

/// Everything that is wrong with a package, by id.
pub(super) fn findings(package: &Package, installed: &Installed, said: &Said, distribution: Option<&Distribution>) -> Vec<Finding> {
    let sets = closure(&said.seen);
    let mut by_set: BTreeMap<(Option<usize>, &str), Weakness<'_>> = BTreeMap::new();
    let set = |id: &str| sets.get(id).copied();
    // One of the set where it is in one; else it is alone.
    let place = |id| set(id).map_or((None, id), |set| (Some(set), ""));
    for one in &said.hits {
        let record = &one.record;
        if record.covers.is_empty() {
            let weakness = by_set.entry(place(record.id.as_str())).or_default();
            weakness.ids.insert(&record.id);
            weakness.ids.extend(record.aliases.iter().map(String::as_str));
            weakness.hits.push(one);
        }
        for id in &record.covers {
            let weakness = by_set.entry(place(id.as_str())).or_default();
            weakness.ids.insert(id);
            weakness.over.insert(&record.id);
            weakness.hits.push(one);
        }
    }
    for (id, set) in &sets {
        if let Some(weakness) = by_set.get_mut(&(Some(*set), "")) {
            weakness.ids.insert(id);
        }
    }
    let about = about(package, installed, distribution);
    let mut found: Vec<Finding> = Vec::new();
    for weakness in by_set.values() {
        let Some(id) = canonical(weakness.ids.iter().copied()) else { continue };
        for place in places(package.kind, installed) {
            found.push(finding(id, weakness, &about, place));
        }
    }
    found.sort_by(|one, two| (&one.id, &one.path).cmp(&(&two.id, &two.path)));
    found
}

fn about(package: &Package, installed: &Installed, distribution: Option<&Distribution>) -> FindingPackage {
    let source_name = installed.source.as_ref().map(|source| source.name.clone()).filter(|name| *name != package.name);
    FindingPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        kind: package.kind.name().into(),
        purl: purl(package, installed, distribution).map(Into::into),
        source_name,
    }
}

/// Where it is said to be: of a package of the system once, of others wherever they lie.
fn places(kind: PackageKind, installed: &Installed) -> Vec<Option<&PackagePlace>> {
    let is_of_system = matches!(kind, PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm);
    match installed.places.as_slice() {
        [] => vec![None],
        [.., last] if is_of_system => vec![Some(last)],
        all => all.iter().map(Some).collect(),
    }
}

fn finding(id: &str, weakness: &Weakness<'_>, about: &FindingPackage, place: Option<&PackagePlace>) -> Finding {
    let path = place.map(|place| place.path.raw());
    let mut found = Finding::new(FindingKind::Vulnerability, id, Some(about.clone()), path, "");
    found.layer = place.map(|place| FindingLayer { index: Some(place.layer), ..FindingLayer::default() });
    found.aliases =
        weakness.ids.iter().filter(|alias| **alias != id && !weakness.over.contains(*alias)).map(|&alias| alias.into()).collect();
    let told = |of: fn(&Record) -> &str| weakness.hits.iter().map(|one| of(&one.record)).find(|text| !text.is_empty());
    found.title = told(|record| &record.title).unwrap_or_default().into();
    found.description = told(|record| &record.details).unwrap_or_default().into();
    let (severity, source) = severity(weakness);
    (found.severity, found.severity_source) = (severity, source.as_str().into());
    found.cvss = vectors(weakness);
    let fixed: BTreeSet<&str> = weakness.hits.iter().flat_map(|one| &one.hit.fixed).map(String::as_str).collect();
    found.fixed_versions = fixed.iter().map(|&version| version.into()).collect();
    found.fix_state = state(weakness);
    found.links = links(weakness);
    let record = weakness.hits.first().map_or(id, |one| one.record.id.as_str());
    let word = |id: &str| Word { by: BY.into(), id: id.into(), severity };
    let over = weakness.over.iter().filter(|over| **over != record).map(|over| word(over));
    found.said = std::iter::once(word(record)).chain(over).collect();
    found
}

fn state(weakness: &Weakness<'_>) -> FixState {
    let has = |state: FixState| weakness.hits.iter().any(|one| one.hit.state == state);
    let known = [FixState::Fixed, FixState::EndOfLife, FixState::NotFixed].into_iter().find(|state| has(*state));
    known.unwrap_or_default()
}

fn links(weakness: &Weakness<'_>) -> Vec<crate::model::Foreign> {
    let mut seen = BTreeSet::new();
    let of_records = weakness.hits.iter().flat_map(|one| &one.record.links);
    let mut links: Vec<crate::model::Foreign> =
        of_records.filter(|link| seen.insert(link.as_str())).take(MOST_LINKS).map(|link| link.as_str().into()).collect();
    if let Some(cve) = weakness.ids.iter().find(|id| is_cve(id)).filter(|_| links.is_empty()) {
        links.push(format!("https://nvd.nist.gov/vuln/detail/{cve}").into());
    }
    links
}

/// Ratings of the package before those of the whole.
fn ratings<'a>(weakness: &Weakness<'a>) -> impl Iterator<Item = &'a Rating> + use<'a> {
    let own: Vec<&Rating> = weakness.hits.iter().flat_map(|one| &one.rated).collect();
    let all: Vec<&Rating> = weakness.hits.iter().flat_map(|one| &one.record.rated).collect();
    own.into_iter().chain(all)
}

fn severity(weakness: &Weakness<'_>) -> (Severity, String) {
    let is_system = |by: &str| ECOSYSTEMS.contains(&by) && is_of_system(by);
    let word = |of_system: bool| {
        ratings(weakness).find_map(|rating| match &rating.says {
            Says::Word(word) if is_system(&rating.by) == of_system => {
                Some((Severity::from_word(word), rating.by.clone())).filter(|(severity, _)| *severity != Severity::Unknown)
            }
            _ => None,
        })
    };
    // Of those of one version the first: the package's own is before the advisory's.
    let scored = || {
        let vectors = ratings(weakness).filter_map(|rating| match &rating.says {
            Says::Vector { version, score, .. } => Some((version.as_str(), *score, rating.by.as_str())),
            Says::Word(_) => None,
        });
        let newest = vectors.reduce(|best, next| if next.0 > best.0 { next } else { best });
        newest.map(|(version, score, by)| (Severity::of_score(Score(score)), format!("{by} CVSS {version}")))
    };
    let malicious = || {
        let is = weakness.ids.iter().any(|id| id.starts_with(MALICIOUS));
        is.then(|| (Severity::Critical, "malicious package".to_owned()))
    };
    word(true).or_else(scored).or_else(|| word(false)).or_else(malicious).unwrap_or_default()
}

fn vectors(weakness: &Weakness<'_>) -> Vec<Cvss> {
    let mut seen = BTreeSet::new();
    let vector = |rating: &Rating| match &rating.says {
        Says::Vector { vector, score, .. } if seen.insert(vector.clone()) => {
            Some(Cvss { score: Some(Score(*score)), vector: vector.as_str().into(), source: rating.by.as_str().into() })
        }
        _ => None,
    };
    ratings(weakness).filter_map(vector).collect()
}
