//! What somebody found wrong with an image: one shape for what our own scanner, other scanners and their reports say.
//!
//! A finding is known by its [`Finding::key`], which stays the same from one scan to the next: differences, what is ignored, and the folding of
//! several scanners' answers go by it. Evidence is shown masked, always: see [`Evidence`]. Foreign words are kept beside what they mean.

use std::fmt;

use jiff::civil::Date;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::safe::{Foreign, Safe};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A package with a known weakness.
    Vulnerability,
    /// A setting of the image that weakens it.
    Misconfiguration,
    /// A credential in a file or in the settings.
    Secret,
    /// A file that should not be in an image, or has rights that it should not have.
    SensitiveFile,
    /// A step of the build that is not as it should be.
    Lint,
    Licence,
    Signature,
}

impl FindingKind {
    pub const ALL: [Self; 7] =
        [Self::Vulnerability, Self::Misconfiguration, Self::Secret, Self::SensitiveFile, Self::Lint, Self::Licence, Self::Signature];

    /// As in JSON and in filters.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerability",
            Self::Misconfiguration => "misconfiguration",
            Self::Secret => "secret",
            Self::SensitiveFile => "sensitive_file",
            Self::Lint => "lint",
            Self::Licence => "licence",
            Self::Signature => "signature",
        }
    }

    /// For people, of many.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Vulnerability => "vulnerabilities",
            Self::Misconfiguration => "misconfigurations",
            Self::Secret => "secrets",
            Self::SensitiveFile => "sensitive files",
            Self::Lint => "build steps",
            Self::Licence => "licences",
            Self::Signature => "signatures",
        }
    }
}

/// How bad it is; the worst is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nobody said.
    #[default]
    Unknown,
    /// Of no weight alone: "info" of those who say so.
    Negligible,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// The worst first.
    pub const ALL: [Self; 6] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Negligible, Self::Unknown];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// What scanners' and distributions' words mean, in any case; words that nobody knows are [`Severity::Unknown`].
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|known| word.trim().eq_ignore_ascii_case(known));
        if is(&["critical", "fatal", "defcon1"]) {
            Self::Critical
        } else if is(&["high", "important", "error"]) {
            Self::High
        } else if is(&["medium", "moderate", "warning", "warn"]) {
            Self::Medium
        } else if is(&["low", "note", "minor"]) {
            Self::Low
        } else if is(&["negligible", "info", "informational", "none", "unimportant", "style"]) {
            Self::Negligible
        } else {
            Self::Unknown
        }
    }

    /// The band that a CVSS score lies in, by its specification.
    #[must_use]
    pub const fn of_score(score: Score) -> Self {
        match score.0 {
            0 => Self::Negligible,
            1..=39 => Self::Low,
            40..=69 => Self::Medium,
            70..=89 => Self::High,
            _ => Self::Critical,
        }
    }
}

/// A CVSS score, in tenths: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Score(pub u8);

impl Score {
    /// `None` for what is no score.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 100")]
    pub fn from_float(score: f64) -> Option<Self> {
        (0.0..=10.0).contains(&score).then(|| Self((score * 10.0).round() as u8))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// A rating by CVSS of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cvss {
    pub score: Option<Score>,
    /// Empty where only a score was told.
    pub vector: Foreign,
    /// Who rated it.
    pub source: Foreign,
}

/// Whether the weakness can be mended by another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    /// There is a version without it.
    Fixed,
    NotFixed,
    WontFix,
    Deferred,
    EndOfLife,
    #[default]
    Unknown,
}

impl FixState {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotFixed => "not_fixed",
            Self::WontFix => "wont_fix",
            Self::Deferred => "deferred",
            Self::EndOfLife => "end_of_life",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether it came with the base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Base,
    App,
    #[default]
    Unknown,
}

impl Origin {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::App => "app",
            Self::Unknown => "unknown",
        }
    }
}

/// The package that a finding is about, in whatever words its finder has for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
pub struct FindingPackage {
    pub name: Foreign,
    /// The one that is installed.
    pub version: Foreign,
    /// As package URLs name types; the finder's own word where that is not known.
    #[serde(rename = "type")]
    pub kind: Foreign,
    pub purl: Option<Foreign>,
    /// The package that it was built from, where that has another name.
    pub source_name: Option<Foreign>,
}

/// The layer that brought it, as far as the finder says which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
pub struct FindingLayer {
    /// Of the stored bytes.
    pub digest: Option<Digest>,
    pub diff_id: Option<Digest>,
    /// From the bottom.
    pub index: Option<usize>,
}

/// What a finding was seen by. It can be made only in ways that don't give a secret away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evidence(Safe);

/// Most characters of an evidence.
const MOST_EVIDENCE: usize = 200;

impl Evidence {
    /// Words that have no secret in them, such as the mode of a file; at most 200 characters of them.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self(Safe::new(&text.chars().take(MOST_EVIDENCE).collect::<String>()))
    }

    /// What stands before a secret, such as its variable's name and the part of it that everybody knows, and how long it is: never a character
    /// of the rest.
    #[must_use]
    pub fn masked(before: &str, secret: &str) -> Self {
        let before: String = before.chars().take(MOST_EVIDENCE).collect();
        Self(Safe::new(&format!("{before}******** ({} characters)", secret.chars().count())))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Why a finding doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// What says so: the name of an ignore file, "VEX", or the scanner itself.
    pub by: Foreign,
    /// In the words of who says so: "not_affected", "false positive".
    pub status: Foreign,
    pub reason: Foreign,
    /// The last day on which it holds; `None` for always.
    pub until: Option<Date>,
}

/// One scanner's word on a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Said {
    /// Such as "Trivy 0.74.0".
    pub by: Foreign,
    /// The id that it goes by there.
    pub id: Foreign,
    pub severity: Severity,
}

/// Names a finding from one scan to the next: 16 hexadecimal characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingKey(u64);

impl FindingKey {
    /// The key of what has that kind and id, in that package or file; of a package of the system (`apk`, `deb`, `rpm`) wherever it is. `rest` tells apart what has all of these in common: the place of a secret among
    /// those of its rule in the file, say. No part of it may be a secret, and none a line number, which moves.
    #[must_use]
    pub fn new(kind: FindingKind, id: &str, package: Option<&FindingPackage>, path: Option<&str>, rest: &str) -> Self {
        let name = package.map(|package| package.name.raw()).unwrap_or_default();
        let version = package.map(|package| package.version.raw()).unwrap_or_default();
        // Of packages of the system some scanners tell the database that lists them, others nothing.
        let is_of_system = package.is_some_and(|package| matches!(package.kind.raw(), "apk" | "deb" | "rpm"));
        let path = path.filter(|_| !is_of_system).map(|path| path.trim_start_matches('/')).unwrap_or_default();
        let text = [kind.word(), id, name, version, path, rest].join("\0");
        Self(
            super::digest::Digest::sha256(text.as_bytes())
                .hex()
                .get(..16)
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .unwrap_or_default(),
        )
    }
}

impl fmt::Display for FindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub key: FindingKey,
    pub kind: FindingKind,
    /// The id that most know it by: its CVE, where it has one; else as its finder says. For what our own scanner sees, the name of the rule.
    pub id: Foreign,
    /// Other ids of the same.
    pub aliases: Vec<Foreign>,
    pub severity: Severity,
    /// Who says that it is that bad, and by what: "nvd CVSS 3.1", "debian", "rule". Empty where nobody does.
    pub severity_source: Foreign,
    pub title: Foreign,
    /// Longer than the title; empty where there is no more to say. May have several lines.
    pub description: Foreign,
    pub cvss: Vec<Cvss>,
    /// How likely it is to be used within 30 days, in thousandths.
    pub epss: Option<u16>,
    /// It is in CISA's list of those that are in use.
    pub known_exploited: bool,
    pub package: Option<FindingPackage>,
    /// Versions without it.
    pub fixed_versions: Vec<Foreign>,
    pub fix_state: FixState,
    /// Of the file, without a slash before it.
    pub path: Option<Foreign>,
    /// First and last line in that file, from 1.
    pub lines: Option<(u32, u32)>,
    pub layer: Option<FindingLayer>,
    pub origin: Origin,
    pub evidence: Option<Evidence>,
    pub suppressed: Option<Suppression>,
    pub links: Vec<Foreign>,
    /// Each scanner that says so.
    pub said: Vec<Said>,
}

impl Finding {
    /// A finding of which nothing more is known; its key is made of what is given.
    #[must_use]
    pub fn new(kind: FindingKind, id: &str, package: Option<FindingPackage>, path: Option<&str>, rest: &str) -> Self {
        let key = FindingKey::new(kind, id, package.as_ref(), path, rest);
        Self {
            key,
            kind,
            id: id.into(),
            aliases: Vec::new(),
            severity: Severity::Unknown,
            severity_source: "".into(),
            title: "".into(),
            description: "".into(),
            cvss: Vec::new(),
            epss: None,
            known_exploited: false,
            package,
            fixed_versions: Vec::new(),
            fix_state: FixState::Unknown,
            path: path.map(|path| path.trim_start_matches('/').into()),
            lines: None,
            layer: None,
            origin: Origin::Unknown,
            evidence: None,
            suppressed: None,
            links: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Whether another version of its package mends it.
    #[must_use]
    pub fn is_fixable(&self) -> bool {
        self.fix_state == FixState::Fixed || !self.fixed_versions.is_empty()
    }

    /// What it is in: the package with its version, else the file.
    #[must_use]
    pub fn place(&self) -> Option<Safe> {
        let package = self.package.as_ref().map(|package| format!("{} {}", package.name.safe(), package.version.safe()));
        let path = || self.path.as_ref().map(|path| format!("/{}", path.safe()));
        package.or_else(path).map(Safe::from)
    }

    /// The best of its scores.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        self.cvss.iter().filter_map(|cvss| cvss.score).max()
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = |text: &Foreign| (!text.is_empty()).then(|| text.clone());
        let mut out = serializer.serialize_struct("Finding", 17)?;
        out.serialize_field("key", &self.key.to_string())?;
        out.serialize_field("kind", &self.kind)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("aliases", &self.aliases)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("severity_source", &told(&self.severity_source))?;
        out.serialize_field("title", &told(&self.title))?;
        out.serialize_field("package", &self.package)?;
        out.serialize_field("fixed_versions", &self.fixed_versions)?;
        out.serialize_field("fix_state", &self.fix_state)?;
        out.serialize_field("path", &self.path)?;
        out.serialize_field("lines", &self.lines)?;
        out.serialize_field("layer", &self.layer)?;
        out.serialize_field("origin", &self.origin)?;
        out.serialize_field("evidence", &self.evidence.as_ref().map(Evidence::as_str))?;
        out.serialize_field("suppressed_by", &self.suppressed)?;
        out.serialize_field("links", &self.links)?;
        out.end()
    }
}

/// The id among these that most know it by: a CVE before all others, then the first.
#[must_use]
pub fn canonical<'a>(ids: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut first = None;
    for id in ids {
        if is_cve(id) {
            return Some(id);
        }
        first = first.or(Some(id));
    }
    first
}

/// Whether it is a CVE's id, and nothing else.
#[must_use]
pub fn is_cve(id: &str) -> bool {
    let digits = |text: &str| text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    id.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| year.len() == 4 && digits(year) && digits(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_and_tells_apart_what_is_not_the_same() {
        let package = |version: &str| FindingPackage { name: "zlib".into(), version: version.into(), ..FindingPackage::default() };
        let key =
            |version: &str, path: &str| FindingKey::new(FindingKind::Vulnerability, "CVE-2022-1", Some(&package(version)), Some(path), "");
        assert_eq!(key("1", "/a").to_string(), key("1", "a").to_string());
        assert_ne!(key("1", "a"), key("2", "a"));
        assert_ne!(key("1", "a"), key("1", "b"));
        assert_eq!(key("1", "a").to_string().len(), 16);
        let system = FindingPackage { kind: "deb".into(), ..package("1") };
        let of = |path| FindingKey::new(FindingKind::Vulnerability, "CVE-2022-1", Some(&system), path, "");
        assert_eq!(of(None), of(Some("var/lib/dpkg/status")));
    }

    #[test]
    fn evidence_says_how_long_a_secret_is_and_nothing_of_it() {
        assert_eq!(Evidence::masked("TOKEN=ghp_", "s3cr3t\u{1b}[31m").as_str(), "TOKEN=ghp_******** (11 characters)");
        assert_eq!(Evidence::plain(&"x".repeat(900)).as_str().len(), 200);
    }

    #[test]
    fn words_and_scores_become_severities() {
        let words = ["CRITICAL", "Important", "moderate", "Low", "Negligible", "INFO", "", "spicy"];
        let meant = words.map(Severity::from_word).map(Severity::word);
        assert_eq!(meant, ["critical", "high", "medium", "low", "negligible", "negligible", "unknown", "unknown"]);
        let scores =
            [0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0].map(|score| Severity::of_score(Score::from_float(score).unwrap()).word());
        assert_eq!(scores, ["negligible", "low", "low", "medium", "medium", "high", "high", "critical", "critical"]);
        assert_eq!([f64::NAN, -1.0, 10.1].map(Score::from_float), [None; 3]);
        assert_eq!(Score::from_float(9.8).unwrap().to_string(), "9.8");
    }

    #[test]
    fn a_cve_is_what_most_know_it_by() {
        assert_eq!(canonical(["GHSA-1", "CVE-2021-44228", "CVE-2021-1"]), Some("CVE-2021-44228"));
        assert_eq!(canonical(["GHSA-1", "CVE-2022-23219 glibc"]), Some("GHSA-1"));
        assert_eq!(canonical([]), None);
    }
}
