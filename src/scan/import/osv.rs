//! osv-scanner's JSON: OSV records by file and package, in groups that are each one weakness. Facts: its `models` and the OSV schema.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::Draft;
use super::json::{Few, Keyed, Later, Number, Text, each, one};
use super::{Imported, Unreadable, words};
use crate::model::Foreign;
use crate::model::finding::{Finding, FindingKind, FixState, Origin, Score, Severity};

/// Most records of one package.
const MOST: usize = 20_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    results: Later<'a>,
    image_metadata: Option<Image>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Image {
    layer_metadata: Few<Layer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Layer {
    diff_id: Text,
    /// Which of the base images it is of; the first is the image itself.
    base_image_index: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source<'a> {
    source: Place,
    #[serde(borrow)]
    packages: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Place {
    path: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Package<'a> {
    #[serde(rename = "package")]
    named: Named,
    #[serde(borrow)]
    vulnerabilities: Later<'a>,
    #[serde(borrow)]
    groups: Later<'a>,
    license_violations: Few<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: Text,
    version: Text,
    ecosystem: Text,
    image_origin_details: Option<InLayer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InLayer {
    index: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Group {
    ids: Few<Text>,
    aliases: Few<Text>,
    max_severity: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Record {
    id: Text,
    aliases: Few<Text>,
    upstream: Few<Text>,
    withdrawn: Text,
    summary: Text,
    details: Text,
    severity: Few<Rating>,
    affected: Few<Affected>,
    references: Few<Link>,
    database_specific: Option<Word>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rating {
    #[serde(rename = "type")]
    kind: Text,
    score: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Word {
    severity: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Affected {
    package: Option<Named>,
    ranges: Few<Range>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Range {
    #[serde(rename = "type")]
    kind: Text,
    events: Few<Keyed<Text>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Link {
    url: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut draft = Draft::new("osv-scanner", "");
    draft.report.may_be_filtered = true;
    let layers = document.image_metadata.map(|image| image.layer_metadata.0).unwrap_or_default();
    for (place, layer) in layers.iter().enumerate() {
        draft.note_layer(place, &layer.diff_id);
    }
    let (mut sources, mut with_packages) = (0, 0);
    let wrong = each(document.results, |source: Source<'_>| {
        sources += 1;
        with_packages += usize::from(source.packages.is_some());
        let wrong = each(source.packages, |package: Package<'_>| {
            *draft.report.packages.get_or_insert_default() += 1;
            Reading { draft: &mut draft, layers: &layers, path: &source.source.path, of: &package.named }.read(&package);
        });
        draft.wrong(wrong);
    });
    if sources > 0 && with_packages == 0 {
        return Err(Unreadable::Other("its results have no packages: it is of a program that is not known"));
    }
    draft.wrong(wrong);
    draft.looked_for(FindingKind::Vulnerability);
    Ok(Imported::Report(draft.done().into()))
}

struct Reading<'d> {
    draft: &'d mut Draft,
    layers: &'d [Layer],
    path: &'d str,
    of: &'d Named,
}

impl Reading<'_> {
    fn read(&mut self, package: &Package<'_>) {
        let mut records: Vec<Record> = Vec::new();
        let (mut left, mut places) = (0, HashMap::new());
        let mut wrong = each(package.vulnerabilities, |record: &RawValue| {
            if records.len() >= MOST {
                left += 1;
            } else if let Some(record) = one::<Record>(record) {
                places.insert(record.id.0.clone(), records.len());
                records.push(record);
            } else {
                left += 1;
            }
        });
        let mut grouped: HashSet<usize> = HashSet::new();
        wrong += each(package.groups, |group: Group| {
            let all: Vec<usize> = words::texts(&group.ids).filter_map(|id| places.get(id).copied()).collect();
            grouped.extend(all.iter().copied());
            let all: Vec<&Record> = all.into_iter().filter_map(|place| records.get(place)).collect();
            self.put(&group, &all);
        });
        for (_, record) in records.iter().enumerate().filter(|(place, _)| !grouped.contains(place)) {
            let group = Group { ids: Few(vec![record.id.clone()]), ..Group::default() };
            self.put(&group, &[record]);
        }
        for licence in words::texts(&package.license_violations) {
            self.draft.looked_for(FindingKind::Licence);
            let about = words::package(&self.of.name, &self.of.version, &self.of.ecosystem, "");
            let mut finding = Finding::new(FindingKind::Licence, words::name(licence).raw(), Some(about), Some(self.path), "");
            finding.title = words::name(&format!("{licence} is not among the licences that are allowed"));
            self.draft.put(finding, licence);
        }
        self.draft.left(left);
        self.draft.wrong(wrong);
    }

    fn put(&mut self, group: &Group, records: &[&Record]) {
        if !records.is_empty() && records.iter().all(|record| !record.withdrawn.is_empty()) {
            return;
        }
        let own = group.ids.first().map_or("", |id| id);
        let others = words::texts(&group.ids).chain(words::texts(&group.aliases));
        let told = records.iter().flat_map(|record| words::texts(&record.aliases).chain(words::texts(&record.upstream)));
        // "DEBIAN-CVE-2024-1234" is a distribution's own record on that CVE.
        let of_cve = |id: &'_ str| id.find("-CVE-").and_then(|at| id.get(at + 1..)).map(str::to_owned);
        let derived: Vec<String> = words::texts(&group.ids).filter_map(of_cve).collect();
        let (id, aliases) = words::ids(own, others.chain(told).chain(derived.iter().map(String::as_str)));
        let package = words::package(&self.of.name, &self.of.version, &self.of.ecosystem, "");
        let path = Some(self.path).filter(|path| !path.is_empty());
        let mut finding = Finding::new(FindingKind::Vulnerability, id.raw(), Some(package), path, "");
        finding.aliases = aliases;
        for rating in records.iter().flat_map(|record| record.severity.iter()) {
            finding.cvss.extend(words::cvss(&rating.score, Number(None), "osv").filter(|_| rating.kind.starts_with("CVSS")));
        }
        rate(&mut finding, group, records);
        let first = |text: fn(&Record) -> &Text| words::first(records.iter().map(|record| &**text(record))).to_owned();
        finding.title = words::name(&first(|record| &record.summary));
        finding.description = words::text(&first(|record| &record.details));
        finding.fixed_versions = self.fixed(records);
        finding.fix_state = match (finding.fixed_versions.is_empty(), records.is_empty()) {
            (false, _) => FixState::Fixed,
            (true, false) => FixState::NotFixed,
            (true, true) => FixState::Unknown,
        };
        self.place(&mut finding);
        finding.links = words::links(records.iter().flat_map(|record| record.references.iter()).map(|link| &*link.url));
        self.draft.put(finding, own);
    }

    fn place(&self, finding: &mut Finding) {
        let index = self.of.image_origin_details.as_ref().and_then(|details| details.index.place());
        let layer = index.and_then(|index| Some((index, self.layers.get(index)?)));
        if let Some((place, layer)) = layer {
            finding.layer = self.draft.layer("", &layer.diff_id).map(|mut found| {
                found.index = Some(place);
                found
            });
            finding.origin = if layer.base_image_index.0.is_some_and(|index| index > 0.0) { Origin::Base } else { Origin::App };
        }
    }

    /// Versions of this package that end ranges which are affected.
    fn fixed(&self, records: &[&Record]) -> Vec<Foreign> {
        let affected = records.iter().flat_map(|record| record.affected.iter());
        let ours = affected.filter(|affected| {
            affected.package.as_ref().is_none_or(|package| package.name.eq_ignore_ascii_case(&self.of.name) || package.name.is_empty())
        });
        let ranges = ours.flat_map(|affected| affected.ranges.iter()).filter(|range| &*range.kind != "GIT");
        let events = ranges.flat_map(|range| range.events.iter()).flat_map(|event| &event.items);
        words::links(events.filter(|(kind, _)| kind == "fixed").map(|(_, version)| &**version))
    }
}

/// How bad it is: by the group's score, else in the words of the databases.
fn rate(finding: &mut Finding, group: &Group, records: &[&Record]) {
    let best = group.max_severity.0.filter(|score| *score > 0.0).and_then(Score::from_float).or_else(|| finding.score());
    if let Some(score) = best {
        finding.severity = Severity::of_score(score);
        finding.severity_source = "osv CVSS".into();
        return;
    }
    let by_database = records.iter().filter_map(|record| record.database_specific.as_ref()).map(|word| &*word.severity);
    let by_type = records.iter().flat_map(|record| record.severity.iter()).map(|rating| &*rating.score);
    let worst = by_database.chain(by_type).map(Severity::from_word).max().unwrap_or_default();
    if worst != Severity::Unknown {
        finding.severity = worst;
        finding.severity_source = "osv".into();
    }
}
