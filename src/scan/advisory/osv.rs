//! Reads what databases publish in OSV's form: one JSON document an advisory.
//!
//! Every part may be missing or null. A document whose parts are of the wrong kind is refused as a whole; a part that is too long is cut. May use
//! model. Facts: OSV's schema 1.7 and what its publishers write: Debian, Ubuntu, AlmaLinux, GitHub, PyPA, Go, RustSec.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::record::{Affected, Event, Rating, Record, Says};
use crate::model::finding::{Score, is_cve};
use crate::scan::version::Order;

/// Longest id, name, version or word that is taken, in bytes.
const LONGEST: usize = 512;
const MOST_TITLE: usize = 300;
const MOST_DETAILS: usize = 2000;
const MOST_IDS: usize = 1000;
const MOST_LINKS: usize = 10;
/// Comparisons that are spent on leaving out listed versions that the ranges tell already.
const MOST_COMPARED: usize = 2_000_000;

/// A document that is read.
#[derive(Debug)]
pub(super) enum Read {
    /// One `Record` for each base ecosystem, such as "Debian", and when the document was changed last, in seconds since 1970.
    Records(Vec<(String, Record)>, Option<i64>),
    Withdrawn,
    /// It is about no package of an ecosystem that is looked at.
    Elsewhere,
}

/// The ecosystems whose packages can be found in images.
pub(super) const ECOSYSTEMS: [&str; 17] = [
    "AlmaLinux",
    "Alpine",
    "Azure Linux",
    "Chainguard",
    "Debian",
    "Go",
    "Mageia",
    "Maven",
    "Photon OS",
    "PyPI",
    "Red Hat",
    "Rocky Linux",
    "Ubuntu",
    "Wolfi",
    "crates.io",
    "npm",
    "openSUSE",
];

/// Those of systems, whose advisories say what their distribution thinks.
pub(super) fn is_of_system(ecosystem: &str) -> bool {
    !matches!(ecosystem, "Go" | "Maven" | "PyPI" | "crates.io" | "npm")
}

/// Those that publish nothing before it is mended.
pub(super) fn is_fixes_only(ecosystem: &str) -> bool {
    is_of_system(ecosystem) && !matches!(ecosystem, "Debian" | "Ubuntu")
}

fn lax<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Document {
    id: String,
    #[serde(default, deserialize_with = "lax")]
    modified: String,
    #[serde(default, deserialize_with = "lax")]
    withdrawn: String,
    #[serde(default, deserialize_with = "lax")]
    aliases: Vec<String>,
    #[serde(default, deserialize_with = "lax")]
    upstream: Vec<String>,
    #[serde(default, deserialize_with = "lax")]
    related: Vec<String>,
    #[serde(default, deserialize_with = "lax")]
    summary: String,
    #[serde(default, deserialize_with = "lax")]
    details: String,
    #[serde(default, deserialize_with = "lax")]
    severity: Vec<Severity>,
    #[serde(default, deserialize_with = "lax")]
    affected: Vec<Told>,
    #[serde(default, deserialize_with = "lax")]
    references: Vec<Link>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct Severity {
    #[serde(default, rename = "type", deserialize_with = "lax")]
    kind: String,
    #[serde(default, deserialize_with = "lax")]
    score: String,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default, rename = "type", deserialize_with = "lax")]
    kind: String,
    #[serde(default, deserialize_with = "lax")]
    url: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    package: Option<Named>,
    #[serde(default, deserialize_with = "lax")]
    severity: Vec<Severity>,
    #[serde(default, deserialize_with = "lax")]
    ranges: Vec<Range>,
    #[serde(default, deserialize_with = "lax")]
    versions: Vec<String>,
    #[serde(default)]
    ecosystem_specific: Value,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "lax")]
    ecosystem: String,
    #[serde(default, deserialize_with = "lax")]
    name: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default, rename = "type", deserialize_with = "lax")]
    kind: String,
    #[serde(default, deserialize_with = "lax")]
    events: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// Reads a document.
///
/// # Errors
/// Why it can't be understood.
pub(super) fn read(bytes: &[u8]) -> Result<Read, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.id.is_empty() || document.id.len() > LONGEST {
        return Err("it has no id".to_owned());
    }
    if !document.withdrawn.is_empty() {
        return Ok(Read::Withdrawn);
    }
    let mut by_base: Vec<(String, Record)> = Vec::new();
    for told in &document.affected {
        let Some((base, affected)) = affected(told) else { continue };
        let place = by_base.iter().position(|(known, _)| *known == base).unwrap_or_else(|| {
            by_base.push((base.clone(), Record::default()));
            by_base.len() - 1
        });
        if let Some((_, record)) = by_base.get_mut(place) {
            record.affected.push(affected);
        }
    }
    if by_base.is_empty() {
        return Ok(Read::Elsewhere);
    }
    for (base, record) in &mut by_base {
        document.fill(base, record);
    }
    // What was never changed says the year 1.
    let modified = document.modified.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second).filter(|&second| second > 0);
    Ok(Read::Records(by_base, modified))
}

impl Document {
    /// All but the packages.
    fn fill(&self, base: &str, record: &mut Record) {
        let fits = |id: &&String| !id.is_empty() && id.len() <= LONGEST && **id != self.id;
        let of = |ids: &[String]| ids.iter().filter(fits).take(MOST_IDS).cloned().collect::<Vec<String>>();
        record.id.clone_from(&self.id);
        record.aliases = of(&self.aliases);
        let has_cve = is_cve(&self.id) || record.aliases.iter().any(|id| is_cve(id));
        // What it is made from; some distributions call that related.
        let mut from: Vec<String> = of(&self.upstream);
        if from.is_empty() && is_of_system(base) {
            from = of(&self.related);
        }
        from.retain(|id| is_cve(id));
        from.dedup();
        match from.len() {
            0 => {}
            1 if !has_cve => record.aliases.append(&mut from),
            _ if !has_cve => record.covers = from,
            _ => {}
        }
        record.title = cut(self.summary.trim(), MOST_TITLE);
        record.details = cut(self.details.trim(), MOST_DETAILS);
        record.links = links(&self.references);
        record.rated = ratings(&self.severity, &self.id, base);
        let word = word(&self.database_specific, "severity").or_else(|| self.word_of_title(base));
        record.rated.extend(word.map(|word| Rating { by: database(&self.id, base), says: Says::Word(word) }));
    }

    /// As in "Important: httpd security update".
    fn word_of_title(&self, base: &str) -> Option<String> {
        let word = self.summary.split_once(':').map(|(word, _)| word.trim())?;
        (is_of_system(base) && crate::model::Severity::from_word(word) != crate::model::Severity::Unknown).then(|| word.to_owned())
    }
}

/// The base ecosystem of what is told, and the rest; `None` for what can be in no image.
fn affected(told: &Told) -> Option<(String, Affected)> {
    let named = told.package.as_ref()?;
    let base = named.ecosystem.split(':').next().unwrap_or_default();
    if named.name.is_empty() || named.name.len() > LONGEST || named.ecosystem.len() > LONGEST || !ECOSYSTEMS.contains(&base) {
        return None;
    }
    let mut found = Affected { ecosystem: named.ecosystem.clone(), name: name_of(base, &named.name), ..Affected::default() };
    let of_versions = |range: &&Range| !range.kind.eq_ignore_ascii_case("GIT");
    for range in told.ranges.iter().filter(of_versions) {
        let events: Vec<Event> = range.events.iter().filter_map(event).collect();
        found.ranges.extend((!events.is_empty()).then_some(events));
    }
    found.versions = left(&found, &told.versions, Order::of_ecosystem(base));
    if found.ranges.is_empty() && found.versions.is_empty() {
        return None;
    }
    found.rated = ratings(&told.severity, "", base);
    let urgency = word(&told.ecosystem_specific, "urgency").or_else(|| word(&told.ecosystem_specific, "severity"));
    found.is_over = urgency.as_deref() == Some("end-of-life");
    let urgency = urgency.or_else(|| word(&told.database_specific, "severity"));
    found.rated.extend(urgency.map(|word| Rating { by: base.to_owned(), says: Says::Word(word) }));
    Some((base.to_owned(), found))
}

fn event(point: &Point) -> Option<Event> {
    // Without one of its ends a range would say something else: one that is too long stays, as what no order takes for a version.
    let text = |text: &Option<String>| text.as_ref().map(|text| if text.len() <= LONGEST { text.clone() } else { "\0".to_owned() });
    text(&point.introduced)
        .map(Event::Introduced)
        .or_else(|| text(&point.fixed).map(Event::Fixed))
        .or_else(|| text(&point.last_affected).map(Event::LastAffected))
        .or_else(|| text(&point.limit).map(Event::Limit))
}

/// The listed versions that the ranges don't tell anyway: lists are what makes databases large.
fn left(found: &Affected, versions: &[String], order: Order) -> Vec<String> {
    let events: usize = found.ranges.iter().map(Vec::len).sum();
    let is_cheap = versions.len().saturating_mul(events) <= MOST_COMPARED;
    let told = |text: &String| order.parse(text).is_some_and(|version| matches!(found.evaluate(order, &version, text), Ok(Some(_))));
    let fits = versions.iter().filter(|text| !text.is_empty() && text.len() <= LONGEST);
    fits.filter(|text| !(is_cheap && told(text))).cloned().collect()
}

/// A package's name as its ecosystem compares it.
pub(super) fn name_of(base: &str, name: &str) -> String {
    if base != "PyPI" {
        return name.to_owned();
    }
    let words: Vec<&str> = name.split(['-', '_', '.']).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

fn ratings(told: &[Severity], id: &str, base: &str) -> Vec<Rating> {
    let rating = |severity: &Severity| {
        if severity.score.len() > LONGEST {
            return None;
        }
        if !severity.kind.to_ascii_uppercase().starts_with("CVSS") {
            return Some(Rating { by: severity.kind.clone(), says: Says::Word(severity.score.clone()) });
        }
        let (version, score) = scored(&severity.score)?;
        let says = Says::Vector { vector: severity.score.clone(), version, score: score.0 };
        Some(Rating { by: database(id, base), says })
    };
    told.iter().take(MOST_LINKS).filter_map(rating).filter(|rating| rating.by.len() <= LONGEST).collect()
}

/// The version and score of a vector of CVSS.
pub(super) fn scored(vector: &str) -> Option<(String, Score)> {
    let vector = vector.trim().trim_matches(['(', ')']);
    let parsed: cvss::Cvss = vector.parse().ok()?;
    let version = vector.strip_prefix("CVSS:").and_then(|rest| rest.split('/').next()).unwrap_or("2.0");
    Some((version.to_owned(), Score::from_float(parsed.score())?))
}

/// Who publishes what has that id.
fn database(id: &str, base: &str) -> String {
    let known = [("GHSA-", "GitHub"), ("CVE-", "NVD"), ("GO-", "Go"), ("PYSEC-", "PyPA"), ("RUSTSEC-", "RustSec"), ("MAL-", "OpenSSF")];
    let known = known.iter().find(|(start, _)| id.starts_with(start)).map(|(_, name)| *name);
    known.unwrap_or(if is_of_system(base) { base } else { "OSV" }).to_owned()
}

fn word(specific: &Value, name: &str) -> Option<String> {
    let word = specific.get(name)?.as_str()?;
    (!word.is_empty() && word.len() <= LONGEST).then(|| word.to_owned())
}

/// The most telling first.
fn links(told: &[Link]) -> Vec<String> {
    let is_web = |link: &&Link| link.url.len() <= LONGEST && (link.url.starts_with("https://") || link.url.starts_with("http://"));
    let mut links: Vec<&Link> = told.iter().filter(is_web).collect();
    links.sort_by_key(|link| match link.kind.as_str() {
        "ADVISORY" => 0,
        "FIX" => 1,
        "REPORT" | "ARTICLE" => 2,
        _ => 3,
    });
    let mut seen = BTreeSet::new();
    links.into_iter().filter(|link| seen.insert(link.url.as_str())).take(MOST_LINKS).map(|link| link.url.clone()).collect()
}

fn cut(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}
