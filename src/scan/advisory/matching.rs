//! Which packages of an image have known weaknesses.
//!
//! What several databases say of one weakness is one finding, by the ids they have in common; an advisory over several is as many findings. May use
//! model, and of `scan` the inventory's names for packages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::distribution::System;
use super::osv::name_of;
use super::record::{Hit, Rating, Record};
use super::status::Databases;
use super::{compiled::Database, told};
use crate::model::finding::{Finding, FindingKind};
use crate::model::package::{Installed, Inventory, Package, PackageKind};
use crate::model::report::NotLooked;
use crate::scan::version::Order;

/// Findings of one image that are told.
const MOST_FINDINGS: usize = 200_000;

/// What databases say of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matched {
    pub findings: Vec<Finding>,
    /// Empty where there was nothing to go by.
    pub looked_for: BTreeSet<FindingKind>,
    pub not_looked_for: Vec<NotLooked>,
    /// Of when the oldest database is that was gone by.
    pub db_date: Option<Timestamp>,
}

/// Something that is looked up: a package by a name that advisories may have for it.
struct Asked<'a> {
    package: &'a Package,
    installed: &'a Installed,
    version: String,
}

/// What is said of one package.
#[derive(Default)]
pub(super) struct Said {
    /// Records that its version is in.
    pub(super) hits: Vec<One>,
    /// All records of its name: their ids tell which are one.
    pub(super) seen: Vec<Arc<Record>>,
}

/// One record's word on a package.
pub(super) struct One {
    pub(super) record: Arc<Record>,
    /// How bad it is for this package.
    pub(super) rated: Vec<Rating>,
    pub(super) hit: Hit,
}

type AllSaid<'a> = BTreeMap<&'a Package, (&'a Installed, Said)>;

impl Databases {
    /// The known weaknesses of the packages of an image. Blocking: it reads what the databases have on them.
    #[must_use]
    pub fn matches(&self, inventory: &Inventory) -> Matched {
        let mut matched = Matched::default();
        if self.open.is_empty() {
            let why = "no advisory database: inventory only (get one with `lighterman db update` or `lighterman db import FILE`)";
            matched.not_looked_for.push(NotLooked::new(FindingKind::Vulnerability.word(), why));
            return matched;
        }
        let system = inventory.distribution.as_ref().and_then(System::of);
        let mut by_base: BTreeMap<&str, BTreeMap<String, Vec<Asked<'_>>>> = BTreeMap::new();
        let mut homeless: BTreeMap<PackageKind, usize> = BTreeMap::new();
        for (package, installed) in &inventory.packages {
            let Some(base) = base(package.kind, system.as_ref()) else {
                *homeless.entry(package.kind).or_default() += 1;
                continue;
            };
            for (name, version) in names(package, installed, base) {
                by_base.entry(base).or_default().entry(name).or_default().push(Asked { package, installed, version });
            }
        }
        matched.not_looked_for.extend(homeless.into_iter().map(|(kind, count)| no_home(kind, count, inventory)));
        let mut said = AllSaid::new();
        for (base, asked) in by_base {
            let system = system.as_ref().filter(|system| system.base == base);
            self.look(base, system, asked, &mut said, &mut matched);
        }
        for (package, (installed, said)) in said {
            for finding in told::findings(package, installed, &said, inventory.distribution.as_ref()) {
                if matched.findings.len() >= MOST_FINDINGS {
                    let why = format!("there are more than {MOST_FINDINGS}");
                    matched.not_looked_for.push(NotLooked::new("vulnerability of some packages", why));
                    return matched;
                }
                matched.findings.push(finding);
            }
        }
        matched
    }

    /// Looks up the packages of one ecosystem.
    fn look<'a>(
        &self,
        base: &str,
        system: Option<&System>,
        asked: BTreeMap<String, Vec<Asked<'a>>>,
        said: &mut AllSaid<'a>,
        matched: &mut Matched,
    ) {
        let what = format!("vulnerability of {} packages", system.map_or_else(|| base.to_owned(), System::name));
        let mut not = |why: String| matched.not_looked_for.push(NotLooked::new(what.clone(), why));
        let of_base: Vec<&Database> = self.open.iter().filter(|database| database.about().ecosystem == base).collect();
        if of_base.is_empty() {
            not(format!("no advisory database of {base} (get one with `lighterman db update --ecosystem '{base}'`)"));
            return;
        }
        let knows = |database: &&Database| system.is_none_or(|system| database.about().releases.keys().any(|release| system.is(release)));
        let usable: Vec<&Database> = of_base.into_iter().filter(knows).collect();
        if usable.is_empty() {
            not("the advisory database knows nothing of this release".to_owned());
            return;
        }
        let mut doubts = Doubts::default();
        for (name, asked) in asked {
            for database in &usable {
                match database.of(&name) {
                    Ok(records) => compare(base, system, &name, &asked, &records, said, &mut doubts),
                    Err(error) => doubts.broken = doubts.broken.or(Some(error)),
                }
            }
        }
        if usable.iter().all(|database| database.about().is_fixes_only) {
            not("its advisories tell only of what was mended: what nobody has mended yet is not among them".to_owned());
        }
        doubts.tell(&mut not);
        matched.looked_for.insert(FindingKind::Vulnerability);
        let date = |database: &&Database| database.about().newest.and_then(|second| Timestamp::from_second(second).ok());
        matched.db_date = usable.iter().filter_map(date).chain(matched.db_date).min();
    }
}

/// What could not be compared.
#[derive(Default)]
struct Doubts {
    /// Versions of packages that are none, and the first of them.
    versions: usize,
    first: Option<String>,
    /// Advisories whose versions are none.
    advisories: usize,
    broken: Option<io::Error>,
}

impl Doubts {
    fn tell(self, not: &mut impl FnMut(String)) {
        if let Some(first) = self.first {
            not(format!("{} versions can't be understood, such as that of {first}", self.versions));
        }
        if self.advisories > 0 {
            not(format!("{} advisories have versions that can't be understood", self.advisories));
        }
        if let Some(error) = self.broken {
            not(format!("the advisory database can't be read: {error} (get it anew with `lighterman db update`)"));
        }
    }
}

fn compare<'a>(
    base: &str,
    system: Option<&System>,
    name: &str,
    asked: &[Asked<'a>],
    records: &[Arc<Record>],
    said: &mut AllSaid<'a>,
    doubts: &mut Doubts,
) {
    let order = Order::of_ecosystem(base);
    let is_told = |ecosystem: &str| system.is_none_or(|system| system.is(ecosystem));
    let about = |record: &Record| record.affected.iter().any(|affected| affected.name == name && is_told(&affected.ecosystem));
    let records: Vec<&Arc<Record>> = records.iter().filter(|record| about(record)).collect();
    if records.is_empty() {
        return;
    }
    for asked in asked {
        let Some(version) = order.parse(&asked.version) else {
            doubts.versions += 1;
            doubts.first.get_or_insert_with(|| format!("{} {}", asked.package.name.raw(), asked.version));
            continue;
        };
        let (_, said) = said.entry(asked.package).or_insert_with(|| (asked.installed, Said::default()));
        for record in &records {
            let mut unclear = false;
            let mut of_name = record.affected.iter().filter(|affected| affected.name == name && is_told(&affected.ecosystem));
            let hit = of_name.find_map(|affected| match affected.evaluate(order, &version, &asked.version) {
                Ok(hit) => hit.map(|hit| (affected, hit)),
                Err(_unclear) => {
                    unclear = true;
                    None
                }
            });
            doubts.advisories += usize::from(unclear && hit.is_none());
            if record.covers.is_empty() {
                said.seen.push(Arc::clone(record));
            }
            if let Some((affected, hit)) = hit {
                said.hits.push(One { record: Arc::clone(record), rated: affected.rated.clone(), hit });
            }
        }
    }
}

/// The ecosystem of a kind of package.
fn base(kind: PackageKind, system: Option<&System>) -> Option<&'static str> {
    // By name, so that a kind that comes to be known finds its advisories.
    match kind.name() {
        "cargo" => Some("crates.io"),
        "golang" => Some("Go"),
        "maven" => Some("Maven"),
        "npm" => Some("npm"),
        "pypi" => Some("PyPI"),
        _ => system.filter(|system| system.kind == kind).map(|system| system.base),
    }
}

fn no_home(kind: PackageKind, count: usize, inventory: &Inventory) -> NotLooked {
    let why = match &inventory.distribution {
        Some(distribution) => {
            let told = if distribution.name.is_empty() { &distribution.id } else { &distribution.name };
            format!("{count} of them: no advisories are known here for {}", told.raw())
        }
        None => format!("{count} of them: the image doesn't say which system it is of"),
    };
    NotLooked::new(format!("vulnerability of {} packages", kind.name()), why)
}

/// The names that advisories may have for a package, with its version under that name.
fn names(package: &Package, installed: &Installed, base: &str) -> Vec<(String, String)> {
    let own = || (name_of(base, package.name.raw()), package.version.raw().to_owned());
    let Some(source) = &installed.source else { return vec![own()] };
    let mut version = source.version.raw().to_owned();
    // The name of a source package says no epoch, and it is that of what was built from it.
    if package.kind == PackageKind::Rpm
        && !version.contains(':')
        && let Some((epoch, _)) = package.version.raw().split_once(':')
    {
        version = format!("{epoch}:{version}");
    }
    let of_source = (source.name.raw().to_owned(), version);
    match package.kind {
        PackageKind::Deb => vec![of_source],
        // Some of their distributions name what is installed, others what it was built from.
        _ if of_source.0 == package.name.raw() => vec![own()],
        _ => vec![of_source, own()],
    }
}

/// Sets of ids of one weakness each: those that any record says are the same.
pub(super) fn closure(seen: &[Arc<Record>]) -> HashMap<&str, usize> {
    let mut set_of: HashMap<&str, usize> = HashMap::new();
    let mut above: Vec<usize> = Vec::new();
    let root = |above: &mut Vec<usize>, mut at: usize| {
        while let Some(&up) = above.get(at).filter(|&&up| up != at) {
            let over = above.get(up).copied().unwrap_or(up);
            if let Some(place) = above.get_mut(at) {
                *place = over;
            }
            at = over;
        }
        at
    };
    for record in seen {
        let mut first = None;
        for id in std::iter::once(&record.id).chain(&record.aliases) {
            let set = *set_of.entry(id.as_str()).or_insert_with(|| {
                above.push(above.len());
                above.len() - 1
            });
            let set = root(&mut above, set);
            match first {
                None => first = Some(set),
                Some(known) => {
                    let known = root(&mut above, known);
                    if let Some(place) = above.get_mut(set) {
                        *place = known;
                    }
                }
            }
        }
    }
    let ids: Vec<&str> = set_of.keys().copied().collect();
    for id in ids {
        if let Some(set) = set_of.get_mut(id) {
            *set = root(&mut above, *set);
        }
    }
    set_of
}
