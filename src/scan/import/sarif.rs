//! SARIF 2.1.0 of whatever program: a form for code, into which scanners of images put what they found in words. Facts: its specification, and how
//! Trivy, Grype, Docker Scout, Dockle and gitleaks write it.
//!
//! What it is about is read out of `Key: value` lines of the message, then of the rule's help. Severity comes from the rule's tags, else from such a
//! line, else from `security-severity`, else from the level, which knows only three.

use std::collections::HashMap;

use serde::Deserialize;

use super::draft::{Draft, MOST, suppression};
use super::json::{Few, Later, Number, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Finding, FindingKind, Score, Severity};
use crate::model::report::NotLooked;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    runs: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Run<'a> {
    #[serde(borrow)]
    tool: Tool<'a>,
    #[serde(borrow)]
    results: Later<'a>,
    properties: Option<Image>,
    invocations: Few<Invocation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tool<'a> {
    #[serde(borrow)]
    driver: Driver<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Driver<'a> {
    name: Text,
    full_name: Text,
    version: Text,
    semantic_version: Text,
    #[serde(borrow)]
    rules: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Invocation {
    end_time_utc: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Image {
    #[serde(rename = "imageName")]
    name: Text,
    #[serde(rename = "imageID")]
    id: Text,
    repo_digests: Few<Text>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Words {
    text: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    id: Text,
    short_description: Option<Words>,
    full_description: Option<Words>,
    help: Option<Words>,
    help_uri: Text,
    default_configuration: Option<Level>,
    properties: Option<Properties>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Level {
    level: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Properties {
    tags: Few<Text>,
    #[serde(rename = "security-severity")]
    score: Number,
    fixed_version: Text,
    purls: Few<Text>,
    #[serde(rename = "cvssV3")]
    cvss: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Found {
    rule_id: Text,
    rule_index: Option<usize>,
    rule: Option<Pointer>,
    level: Text,
    kind: Text,
    message: Option<Words>,
    locations: Few<Location>,
    suppressions: Few<Suppressed>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pointer {
    id: Text,
    index: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Location {
    physical_location: Option<Physical>,
    logical_locations: Few<Logical>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Physical {
    artifact_location: Option<File>,
    /// Its snippet is not read: it may be a secret.
    region: Option<Region>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    uri: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Region {
    start_line: Number,
    end_line: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Logical {
    fully_qualified_name: Text,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Suppressed {
    status: Text,
    justification: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut draft: Option<Draft> = None;
    let wrong = each(document.runs, |run: Run<'_>| {
        let driver = &run.tool.driver;
        let draft = draft.get_or_insert_with(|| {
            let version = words::first([&*driver.version, &*driver.semantic_version]);
            Draft::new(words::first([&*driver.name, &*driver.full_name, "SARIF"]), version)
        });
        Reading::of(draft, &run).read(&run);
    });
    let Some(mut draft) = draft else { return Err(Unreadable::Other("it has no run in it, so nobody looked")) };
    draft.wrong(wrong);
    draft.report.may_be_filtered = true;
    if draft.report.looked_for.is_empty() {
        let why = "the report has no result, and doesn't say what its program looks for";
        draft.report.not_looked_for.push(NotLooked::new("all kinds", why));
    }
    Ok(Imported::Report(draft.done().into()))
}

struct Reading<'d> {
    draft: &'d mut Draft,
    /// In lower case.
    tool: String,
    rules: Vec<Rule>,
    by_id: HashMap<String, usize>,
    /// The image's name without tag or digest.
    image: String,
}

impl<'d> Reading<'d> {
    fn of(draft: &'d mut Draft, run: &Run<'_>) -> Self {
        let (mut rules, mut by_id) = (Vec::new(), HashMap::new());
        let mut left = 0;
        // Those that can't be read keep their place.
        let wrong = each(run.tool.driver.rules, |rule: Option<Rule>| {
            let rule = rule.unwrap_or_default();
            if rules.len() < MOST {
                by_id.entry(rule.id.0.clone()).or_insert(rules.len());
                rules.push(rule);
            } else {
                left += 1;
            }
        });
        draft.wrong(wrong);
        draft.left(left);
        if wrong > 0 {
            // Places say nothing any more.
            by_id.retain(|id, _| !id.is_empty());
        }
        let tool = run.tool.driver.name.to_ascii_lowercase();
        let mut image = String::new();
        if let Some(told) = &run.properties {
            draft.report.image = words::name(&told.name);
            draft.report.digests = words::digests(words::texts(&told.repo_digests).chain([&*told.id]));
            let name = told.name.split('@').next().unwrap_or_default();
            name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name).clone_into(&mut image);
        }
        draft.report.made = run.invocations.first().and_then(|invocation| words::time(&invocation.end_time_utc));
        Self { draft, tool, rules, by_id, image }
    }

    fn read(&mut self, run: &Run<'_>) {
        let known = [
            (&["grype", "scout", "snyk", "osv-scanner", "clair"][..], FindingKind::Vulnerability),
            (&["gitleaks", "trufflehog"], FindingKind::Secret),
            (&["dockle", "hadolint"], FindingKind::Lint),
        ];
        for (_, kind) in known.into_iter().filter(|(names, _)| names.iter().any(|name| self.tool.contains(name))) {
            self.draft.looked_for(kind);
        }
        let wrong = each(run.results, |found: Found| self.result(&found));
        self.draft.wrong(wrong);
    }

    fn result(&mut self, found: &Found) {
        if matches!(&*found.kind, "pass" | "notApplicable") {
            return;
        }
        let pointer = found.rule.as_ref();
        let id = words::first([&*found.rule_id, pointer.map_or("", |pointer| &pointer.id)]).to_owned();
        let index = found.rule_index.or_else(|| pointer.and_then(|pointer| pointer.index));
        let by_place = index.filter(|index| self.rules.get(*index).is_some_and(|rule| id.is_empty() || *rule.id == *id));
        let rules = std::mem::take(&mut self.rules);
        let none = Rule::default();
        let rule = by_place.or_else(|| self.by_id.get(&id).copied()).and_then(|index| rules.get(index)).unwrap_or(&none);
        let id = words::first([id.as_str(), &*rule.id]);
        let finding = self.finding(id, rule, found);
        self.draft.looked_for(finding.kind);
        self.draft.put(finding, id);
        self.rules = rules;
    }

    fn kind(&self, id: &str, rule: &Rule) -> FindingKind {
        let has = |word: &str| rule.properties.iter().flat_map(|more| more.tags.iter()).any(|tag| tag.eq_ignore_ascii_case(word));
        if self.tool.contains("dockle") {
            super::dockle::kind(id)
        } else if has("secret") || self.tool.contains("gitleaks") || self.tool.contains("trufflehog") {
            FindingKind::Secret
        } else if has("misconfiguration") {
            FindingKind::Misconfiguration
        } else if has("license") {
            FindingKind::Licence
        } else if has("vulnerability") || words::id_in(id).is_some_and(|known| id.starts_with(known)) {
            FindingKind::Vulnerability
        } else {
            FindingKind::Lint
        }
    }

    fn finding(&mut self, id: &str, rule: &Rule, found: &Found) -> Finding {
        let kind = self.kind(id, rule);
        let message = found.message.as_ref().map_or("", |message| &message.text);
        // What a rule was broken by may be quoted with a secret in it.
        let message = &match kind {
            FindingKind::Vulnerability => message.to_owned(),
            _ if self.tool.contains("dockle") => super::dockle::hidden(message, kind),
            _ => words::masked(message),
        };
        let help = rule.help.as_ref().map_or("", |help| &help.text);
        let lines = Lines([message, help]);
        let place = Place::of(found, &self.image);
        let is_weakness = kind == FindingKind::Vulnerability;
        let known = words::id_in(id).filter(|known| is_weakness && id.starts_with(known)).unwrap_or(id);
        let (name, aliases) = words::ids(known, []);
        let package = if is_weakness { package(&lines, rule, id.get(known.len()..).unwrap_or_default()) } else { None };
        let path = place.path.as_deref();
        let rest = match package {
            Some(_) => String::new(),
            None => self.draft.nth(kind, name.raw(), path.unwrap_or_default()),
        };
        let mut finding = Finding::new(kind, name.raw(), package, path, &rest);
        finding.aliases = aliases;
        finding.lines = place.lines;
        finding.layer = self.draft.layer(&place.layer, "");
        (finding.severity, finding.severity_source) = severity(rule, found, &lines);
        let told = |words: &Option<Words>| words.as_ref().map(|words| words.text.0.clone()).unwrap_or_default();
        let (short, full) = (told(&rule.short_description), told(&rule.full_description));
        // What a secret's message says may be the secret.
        let title = if kind == FindingKind::Secret { words::first([&*short, &full]) } else { words::first([&*short, &full, message]) };
        finding.title = words::name(title.lines().next().unwrap_or_default());
        if kind != FindingKind::Secret {
            finding.description = words::text(words::first([full.as_str(), message]));
        }
        if let Some(more) = &rule.properties {
            finding.cvss.extend(words::cvss(&more.cvss, more.score, "SARIF"));
        }
        let by_rule = rule.properties.as_ref().map_or("", |more| &more.fixed_version);
        let fixed = words::first([lines.get(&["fixed version", "fix version", "fixed versions"]), by_rule]);
        if is_weakness && !matches!(fixed.to_ascii_lowercase().as_str(), "none" | "not fixed" | "unknown") {
            finding.fixed_versions = words::versions(fixed);
        }
        finding.fix_state = words::fix_state(if fixed.is_empty() { "" } else { "affected" }, !finding.fixed_versions.is_empty());
        finding.links = words::links([&*rule.help_uri]);
        let accepted = found.suppressions.iter().find(|one| matches!(&*one.status, "" | "accepted"));
        let by = self.draft.by();
        finding.suppressed = accepted.map(|one| suppression(by.raw(), words::first([&*one.status, "suppressed"]), &one.justification));
        finding
    }
}

/// Where it was found.
struct Place {
    path: Option<String>,
    lines: Option<(u32, u32)>,
    layer: String,
}

impl Place {
    fn of(found: &Found, image: &str) -> Self {
        let location = found.locations.first();
        let physical = location.and_then(|location| location.physical_location.as_ref());
        let uri = physical.and_then(|physical| physical.artifact_location.as_ref()).map_or("", |file| &file.uri);
        let region = physical.and_then(|physical| physical.region.as_ref());
        // As Grype names files of layers.
        let logical = location.and_then(|location| location.logical_locations.first()).map_or("", |logical| &logical.fully_qualified_name);
        let in_layer = logical.split_once("@sha256:").and_then(|(_, rest)| rest.split_once(':'));
        let (path, layer) = match in_layer {
            Some((hex, path)) => (path, format!("sha256:{hex}")),
            None => (uri, String::new()),
        };
        let is_image = !image.is_empty() && (image.ends_with(path) || path.ends_with(image));
        let path = words::name(path.strip_prefix("file://").unwrap_or(path));
        Self {
            path: Some(path.raw().to_owned()).filter(|path| !path.is_empty() && !is_image),
            lines: region.and_then(|region| words::lines(region.start_line, region.end_line)),
            layer,
        }
    }
}

/// Texts with lines such as `Installed Version: 1.2`.
struct Lines<'a>([&'a str; 2]);

impl<'a> Lines<'a> {
    /// What stands behind one of these keys in the first text that has one: what a message leaves empty, a rule's help says of another package.
    fn get(&self, keys: &[&str]) -> &'a str {
        let is_key = |key: &str| keys.iter().any(|known| key.trim().eq_ignore_ascii_case(known));
        let all = self.0.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(':'));
        all.filter(|(key, _)| is_key(key)).map(|(_, value)| value.trim()).next().unwrap_or_default()
    }
}

/// The package that a weakness is in. `rest` is what stands behind the weakness in the rule's id.
fn package(lines: &Lines<'_>, rule: &Rule, rest: &str) -> Option<crate::model::finding::FindingPackage> {
    let told = lines.get(&["package"]);
    let listed = rule.properties.iter().flat_map(|more| more.purls.iter()).next().map_or("", |purl| purl);
    let purl = if told.starts_with("pkg:") { told } else { listed };
    let name = if told.starts_with("pkg:") { "" } else { words::first([told, rest.trim_start_matches('-')]) };
    let version = lines.get(&["installed version", "version"]);
    let package = words::package(name, version, lines.get(&["type"]), purl);
    (!package.name.is_empty()).then_some(package)
}

fn severity(rule: &Rule, found: &Found, lines: &Lines<'_>) -> (Severity, crate::model::Foreign) {
    let words_of_old = ["critical", "high", "medium", "low", "negligible", "unknown"];
    let tags = rule.properties.iter().flat_map(|more| words::texts(&more.tags));
    let tag = tags.map(str::to_ascii_lowercase).find(|tag| words_of_old.contains(&tag.as_str()));
    let line = Some(lines.get(&["severity"])).filter(|line| Severity::from_word(line) != Severity::Unknown);
    if let Some(word) = tag.as_deref().or(line) {
        let severity = Severity::from_word(word);
        return (severity, if severity == Severity::Unknown { "".into() } else { "rule".into() });
    }
    let score = rule.properties.as_ref().and_then(|more| more.score.0).filter(|score| *score > 0.0).and_then(Score::from_float);
    if let Some(score) = score {
        return (Severity::of_score(score), "security-severity".into());
    }
    let by_rule = rule.default_configuration.as_ref().map_or("", |default| &default.level);
    let level = words::first([&*found.level, by_rule, "warning"]);
    (Severity::from_word(level), "level".into())
}
