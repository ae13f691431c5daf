//! The rules that need no writing: promote a candidate, deprecate, mirror, and a word before or behind.

use std::collections::HashMap;

use super::check::is_name;
use super::{Answer, Names, Row, Rows, Why, joined, retag};
use crate::curate::semver::Version;
use crate::model::Name;
use crate::model::remote::{is_repository, is_tag};

/// A rule with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preset {
    /// `1.4.0-rc3` becomes `1.4.0`, as the newest candidate of its version. Where it is the newest of its line it becomes `1.4` and `1` too if
    /// these are wanted, and these other names (`latest`, `stable`) where it is the newest of all; a variant has them with its word behind.
    Promote { lines: bool, newest: Vec<String> },
    /// A word before and one behind the tag: `deprecated-{tag}`.
    Affix { before: String, after: String },
    /// The same repository below another registry or namespace, such as `mirror.example.org/hub`.
    Mirror { to: String },
}

/// What is written before a tag that is not to be used any more.
const DEPRECATED: &str = "deprecated-";

impl Preset {
    /// Reads a preset as typed: `promote`, `promote:latest,stable`, `release` (`promote` without the names of lines), `deprecate`,
    /// `mirror:HOST[/NAMESPACE]`, `prefix:TEXT`, `suffix:TEXT`.
    ///
    /// # Errors
    /// A sentence on what can't be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, option) = text.split_once(':').map_or((text, ""), |(name, option)| (name, option));
        let affix = |before: &str, after: &str| Self::Affix { before: before.to_owned(), after: after.to_owned() };
        let names = || -> Result<Vec<String>, String> {
            let names: Vec<String> = option.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            match names.iter().find(|name| !is_tag(name)) {
                Some(bad) => Err(format!("{bad:?} is no tag")),
                None => Ok(names),
            }
        };
        let tail = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        match (name, option) {
            ("promote", _) => Ok(Self::Promote { lines: true, newest: names()? }),
            ("release", _) => Ok(Self::Promote { lines: false, newest: names()? }),
            ("deprecate", "") => Ok(affix(DEPRECATED, "")),
            ("prefix", text) if is_tag(text) => Ok(affix(text, "")),
            ("suffix", text) if !text.is_empty() && tail(text) => Ok(affix("", text)),
            ("mirror", place) => {
                let (host, path) = place.split_once('/').unwrap_or((place, ""));
                let good = is_host(host) && (path.is_empty() || is_repository(path));
                good.then(|| Self::Mirror { to: place.to_owned() })
                    .ok_or_else(|| format!("{place:?} is no place for a mirror: write mirror:registry.example.org/namespace"))
            }
            ("prefix" | "suffix", text) => Err(format!("{text:?} can't be part of a tag")),
            _ => Err(format!(
                "there is no preset {text:?}: there are promote, release, deprecate, mirror:HOST/NAMESPACE, prefix:TEXT and suffix:TEXT"
            )),
        }
    }

    pub(super) fn answers(&self, rows: &Rows<'_>) -> Vec<Answer> {
        match self {
            Self::Affix { before, after } => rows
                .rows
                .iter()
                .map(|row| retag(row, |tag| Ok((!affixed(tag, before, after)).then(|| [before, tag, after].concat()))))
                .collect(),
            Self::Mirror { to } => rows.rows.iter().map(|row| mirrored(row, to)).collect(),
            Self::Promote { lines, newest } => {
                let known = Known::new(rows.rows, rows.names);
                rows.rows.iter().map(|row| known.promoted(row, *lines, newest)).collect()
            }
        }
    }
}

/// Whether a tag has the words already, so that a rule put twice changes nothing the second time.
fn affixed(tag: &str, before: &str, after: &str) -> bool {
    tag.len() > before.len() + after.len() && tag.starts_with(before) && tag.ends_with(after)
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    good && port.is_none_or(|port| port.parse::<u16>().is_ok()) && (name.contains('.') || name == "localhost" || port.is_some())
}

fn mirrored(row: &Row, to: &str) -> Answer {
    let (repository, Some(tag)) = row.name.split() else { return Answer::Not(Why::NoTag) };
    if !is_name(&row.name) {
        return Answer::Not(Why::NoTag);
    }
    let path = match repository.split_once('/') {
        Some((host, path)) if is_host(host) => path,
        _ => repository,
    };
    let below = to.split_once('/').map_or(String::new(), |(_, namespace)| format!("{namespace}/"));
    if !is_repository(&format!("{below}{path}")) {
        return Answer::Not(Why::InvalidRepository(path.to_owned()));
    }
    match joined(&format!("{to}/{path}"), tag) {
        name if name == row.name => Answer::Unchanged,
        name => Answer::Names(vec![name]),
    }
}

/// What is said of the order of versions, over whole repositories.
struct Known<'a> {
    /// The newest candidate of each version.
    candidates: HashMap<Place<'a>, (Version<'a>, &'a str)>,
    /// The newest release of each line, promoted ones counted in.
    releases: HashMap<Place<'a>, Version<'a>>,
}

/// Versions that are compared with one another: of one repository, spelled alike, within a line.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Place<'a> {
    repository: &'a str,
    prefix: &'a str,
    variant: Option<&'a str>,
    /// How many numbers it has: `1.4` is a line of `1.4.0`, and no release beside it.
    numbers: usize,
    line: [Option<u64>; 3],
}

impl<'a> Place<'a> {
    fn new(repository: &'a str, version: &Version<'a>, depth: usize) -> Self {
        let all = [Some(version.major), version.minor, version.patch];
        let mut line = [None; 3];
        for (to, number) in line.iter_mut().zip(all).take(depth) {
            *to = number;
        }
        let numbers = all.iter().flatten().count();
        Self { repository, prefix: version.prefix, variant: version.variant, numbers, line }
    }
}

impl<'a> Known<'a> {
    fn new(rows: &'a [Row], names: &'a Names) -> Self {
        let mut known = Self { candidates: HashMap::new(), releases: HashMap::new() };
        for name in names.keys().chain(rows.iter().map(|row| &row.name)) {
            let (repository, Some(tag)) = name.split() else { continue };
            let Some(version) = Version::parse(tag) else { continue };
            if version.pre.is_some() {
                let place = Place::new(repository, &version, 3);
                let newest = known.candidates.entry(place).or_insert((version, tag));
                if newest.0.compare(&version).then_with(|| newest.1.cmp(tag)).is_lt() {
                    *newest = (version, tag);
                }
            } else {
                known.release(repository, &version);
            }
        }
        for row in rows {
            let (repository, Some(tag)) = row.name.split() else { continue };
            if let Some(version) = Version::parse(tag).filter(|version| version.pre.is_some())
                && known.candidates.get(&Place::new(repository, &version, 3)).is_some_and(|newest| newest.1 == tag)
            {
                known.release(repository, &Version { pre: None, ..version });
            }
        }
        known
    }

    fn release(&mut self, repository: &'a str, version: &Version<'a>) {
        for depth in 0..3 {
            let newest = self.releases.entry(Place::new(repository, version, depth)).or_insert(*version);
            if newest.compare(version).is_lt() {
                *newest = *version;
            }
        }
    }

    /// Whether no release of the line is newer.
    fn is_newest(&self, repository: &'a str, version: &Version<'a>, depth: usize) -> bool {
        self.releases.get(&Place::new(repository, version, depth)).is_none_or(|newest| newest.compare(version).is_le())
    }

    fn promoted(&self, row: &'a Row, lines: bool, newest: &[String]) -> Answer {
        let (repository, Some(tag)) = row.name.split() else { return Answer::Not(Why::NoTag) };
        if !is_name(&row.name) {
            return Answer::Not(Why::NoTag);
        }
        let Some(version) = Version::parse(tag) else { return Answer::Not(Why::NoVersion) };
        if version.pre.is_none() {
            return Answer::Not(Why::NoCandidate);
        }
        if let Some((_, newest)) = self.candidates.get(&Place::new(repository, &version, 3)).filter(|newest| newest.1 != tag) {
            return Answer::Not(Why::Superseded((*newest).to_owned()));
        }
        let release = Version { pre: None, ..version };
        let with_variant = |text: String| match release.variant {
            Some(variant) => format!("{text}-{variant}"),
            None => text,
        };
        let of = |numbers: &str| with_variant([release.prefix, numbers].concat());
        let mut tags = vec![of(release.core)];
        if lines && release.patch.is_some() && self.is_newest(repository, &release, 2) {
            tags.extend(release.minor_line().map(of));
        }
        if lines && release.minor.is_some() && self.is_newest(repository, &release, 1) {
            tags.push(of(release.major_line()));
        }
        if self.is_newest(repository, &release, 0) {
            tags.extend(newest.iter().map(|name| with_variant(name.clone())));
        }
        match tags.iter().find(|tag| !is_tag(tag)) {
            Some(bad) => Answer::Not(Why::InvalidTag(bad.clone())),
            None => Answer::Names(tags.iter().map(|tag| joined(repository, tag)).collect::<Vec<Name>>()),
        }
    }
}
