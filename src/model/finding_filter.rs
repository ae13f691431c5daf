//! The filter language for findings, for the Findings pane and `scan --filter` alike.
//!
//! Terms are separated by spaces and all must hold, as in [`super::filter`]: a word (part of an id, a title, a package or a path), `=text` (an id, a package or
//! a path is exactly that), `re:regex`, `severity:high` (or worse; `severity:=high` that one alone, `severity:<high` below it), `fixable`, `kind:secret`,
//! `origin:base|app|unknown`, `status:fixed|not_fixed|wont_fix|deferred|end_of_life|unknown`, `package:GLOB`, `type:deb`, `path:GLOB`, `id:PREFIX`, `layer:3`,
//! `by:trivy` (who says so), `kev` (in use, says CISA), `epss:>10%`, `cvss:>7`, `ignored`. A `!` in front turns a term round.

use globset::{Glob, GlobMatcher};
use regex::{Regex, RegexBuilder};

use super::finding::{Finding, FindingKind, FixState, Origin, Said, Score, Severity};

/// Longest filter text taken, in bytes.
const LONGEST: usize = 1024;

/// A parsed filter. The default lets everything through.
#[derive(Debug, Clone, Default)]
pub struct FindingFilter {
    text: String,
    terms: Vec<(bool, Test)>,
}

#[derive(Debug, Clone)]
enum Test {
    /// In any case.
    Contains(Regex),
    Exact(String),
    Regex(Regex),
    Severity(Order, Severity),
    Fixable,
    Kind(FindingKind),
    Origin(Origin),
    Status(FixState),
    Package(GlobMatcher),
    Type(String),
    Path(GlobMatcher),
    Id(String),
    /// From the bottom, from 0.
    Layer(usize),
    By(String),
    KnownExploited,
    /// In thousandths.
    Epss(Order, u16),
    Cvss(Order, Score),
    Ignored,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Above,
    AtLeast,
    Is,
    Below,
}

impl PartialEq for FindingFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FindingFilter {
    /// Parses a filter as typed.
    ///
    /// # Errors
    /// A sentence on the term that can't be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a filter is at most {LONGEST} bytes long"));
        }
        let term = |term: &str| {
            let (inverse, term) = term.strip_prefix('!').map_or((false, term), |rest| (true, rest));
            Ok::<_, String>((inverse, Test::parse(term)?))
        };
        let terms = text.split_whitespace().filter(|term| *term != "!").map(term).collect::<Result<_, _>>()?;
        Ok(Self { text: text.trim().to_owned(), terms })
    }

    /// As typed, trimmed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether one of its terms is about what is ignored, so that those must be looked at.
    #[must_use]
    pub fn is_about_ignored(&self) -> bool {
        self.terms.iter().any(|(_, test)| matches!(test, Test::Ignored))
    }

    #[must_use]
    pub fn matches(&self, finding: &Finding) -> bool {
        self.terms.iter().all(|(inverse, test)| test.holds(finding) != *inverse)
    }

    /// The same filter with a term more, or without it where it has it.
    #[must_use]
    pub fn toggled(&self, term: &str) -> String {
        let mut terms: Vec<&str> = self.text.split_whitespace().collect();
        let before = terms.len();
        terms.retain(|other| *other != term);
        if terms.len() == before {
            terms.push(term);
        }
        terms.join(" ")
    }
}

impl Test {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(exact) = text.strip_prefix('=') {
            return Ok(Self::Exact(exact.to_owned()));
        }
        match text {
            "fixable" => return Ok(Self::Fixable),
            "kev" => return Ok(Self::KnownExploited),
            "ignored" => return Ok(Self::Ignored),
            _ => {}
        }
        if let Some((key, value)) = text.split_once(':')
            && let Some(test) = Self::keyed(key, value)
        {
            return test;
        }
        contains(text).map(Self::Contains)
    }

    /// A `key:value` term, or `None` when the key is not one of ours.
    fn keyed(key: &str, value: &str) -> Option<Result<Self, String>> {
        let glob = || Glob::new(value).map(|glob| glob.compile_matcher()).map_err(|error| format!("{key}: {error}"));
        Some(match key {
            "re" => RegexBuilder::new(value)
                .size_limit(1 << 20)
                .build()
                .map(Self::Regex)
                .map_err(|error| format!("re: {}", error.to_string().lines().last().unwrap_or("not a regular expression"))),
            "severity" => {
                let (order, word) = ordered(value).unwrap_or((Order::AtLeast, value));
                let found = Severity::ALL.into_iter().find(|severity| severity.word() == word);
                found.map(|severity| Self::Severity(order, severity)).ok_or_else(|| {
                    "severity: write severity:high, =high or <high (critical, high, medium, low, negligible, unknown)".to_owned()
                })
            }
            "kind" => one_of(key, value, &FindingKind::ALL, FindingKind::word).map(Self::Kind),
            "origin" => one_of(key, value, &[Origin::Base, Origin::App, Origin::Unknown], Origin::word).map(Self::Origin),
            "status" => {
                use FixState as S;
                one_of(key, value, &[S::Fixed, S::NotFixed, S::WontFix, S::Deferred, S::EndOfLife, S::Unknown], S::word).map(Self::Status)
            }
            "package" => glob().map(Self::Package),
            "path" => glob().map(Self::Path),
            "type" => Ok(Self::Type(value.to_ascii_lowercase())),
            "id" => Ok(Self::Id(value.to_ascii_uppercase())),
            "layer" => match value.parse::<usize>().ok().and_then(|layer| layer.checked_sub(1)) {
                Some(layer) => Ok(Self::Layer(layer)),
                None => Err("layer: write layer:1 for the lowest".to_owned()),
            },
            "by" => Ok(Self::By(value.to_ascii_lowercase())),
            "epss" => percent(value).map(|(order, share)| Self::Epss(order, share)).ok_or_else(|| "epss: write epss:>10%".to_owned()),
            "cvss" => {
                let (order, number) = ordered(value).unwrap_or((Order::Above, value));
                let score = number.parse().ok().and_then(Score::from_float);
                score.map(|score| Self::Cvss(order, score)).ok_or_else(|| "cvss: write cvss:>7 (0 to 10)".to_owned())
            }
            _ => return None,
        })
    }

    fn holds(&self, finding: &Finding) -> bool {
        match self {
            Self::Contains(words) => texts(finding).any(|text| words.is_match(text)),
            Self::Regex(regex) => texts(finding).any(|text| regex.is_match(text)),
            Self::Exact(text) => named(finding).any(|name| name == text.trim_start_matches('/')),
            Self::Severity(order, severity) => order.holds(finding.severity, *severity),
            Self::Fixable => finding.is_fixable(),
            Self::Kind(kind) => finding.kind == *kind,
            Self::Origin(origin) => finding.origin == *origin,
            Self::Status(state) => finding.fix_state == *state,
            Self::Package(glob) => {
                let names = finding.package.iter().flat_map(|package| [Some(&package.name), package.source_name.as_ref()]);
                names.flatten().any(|name| glob.is_match(name.raw()))
            }
            Self::Type(kind) => finding.package.as_ref().is_some_and(|package| package.kind.raw() == kind),
            Self::Path(glob) => finding.path.as_ref().is_some_and(|path| glob.is_match(path.raw())),
            Self::Id(prefix) => ids(finding).any(|id| id.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))),
            Self::Layer(layer) => finding.layer.as_ref().is_some_and(|found| found.index == Some(*layer)),
            Self::By(name) => finding.said.iter().any(|said: &Said| said.by.raw().to_ascii_lowercase().starts_with(name)),
            Self::KnownExploited => finding.known_exploited,
            Self::Epss(order, share) => finding.epss.is_some_and(|epss| order.holds(epss, *share)),
            Self::Cvss(order, score) => finding.score().is_some_and(|found| order.holds(found, *score)),
            Self::Ignored => finding.suppressed.is_some(),
        }
    }
}

impl Order {
    fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Above => left > right,
            Self::AtLeast => left >= right,
            Self::Is => left == right,
            Self::Below => left < right,
        }
    }
}

fn ordered(value: &str) -> Option<(Order, &str)> {
    let starts = [(">=", Order::AtLeast), (">", Order::Above), ("<", Order::Below), ("=", Order::Is)];
    starts.into_iter().find_map(|(sign, order)| Some((order, value.strip_prefix(sign)?)))
}

/// A share such as `>10%` or `0.1`, in thousandths.
fn percent(value: &str) -> Option<(Order, u16)> {
    let (order, number) = ordered(value).unwrap_or((Order::Above, value));
    let share: f64 = match number.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => number.parse().ok()?,
    };
    thousandths(share).map(|share| (order, share))
}

/// A share between 0 and 1 in thousandths.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 1000")]
pub fn thousandths(share: f64) -> Option<u16> {
    (0.0..=1.0).contains(&share).then(|| (share * 1000.0).round() as u16)
}

fn one_of<T: Copy>(key: &str, value: &str, all: &[T], word: impl Fn(T) -> &'static str) -> Result<T, String> {
    let words = || all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|one| word(*one) == value).ok_or_else(|| format!("{key}: one of {}", words()))
}

fn contains(word: &str) -> Result<Regex, String> {
    RegexBuilder::new(&regex::escape(word)).case_insensitive(true).build().map_err(|_too_long| "this word is too long".to_owned())
}

fn ids(finding: &Finding) -> impl Iterator<Item = &str> {
    std::iter::once(&finding.id).chain(&finding.aliases).map(super::Foreign::raw)
}

/// What `=` compares with.
fn named(finding: &Finding) -> impl Iterator<Item = &str> {
    let package = finding.package.iter().map(|package| package.name.raw());
    ids(finding).chain(package).chain(finding.path.iter().map(super::Foreign::raw))
}

/// What words are searched in.
fn texts(finding: &Finding) -> impl Iterator<Item = &str> {
    named(finding).chain(std::iter::once(finding.title.raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Cvss, FindingLayer, FindingPackage, Suppression};

    fn finding() -> Finding {
        let package = FindingPackage {
            name: "libssl3".into(),
            version: "3.0.1".into(),
            kind: "deb".into(),
            source_name: Some("openssl".into()),
            ..FindingPackage::default()
        };
        Finding {
            aliases: vec!["GHSA-abcd".into()],
            severity: Severity::High,
            title: "Overflow in a Parser".into(),
            fixed_versions: vec!["3.0.2".into()],
            fix_state: FixState::Fixed,
            origin: Origin::Base,
            layer: Some(FindingLayer { index: Some(2), ..FindingLayer::default() }),
            cvss: vec![Cvss { score: Some(Score(75)), vector: "".into(), source: "nvd".into() }],
            epss: Some(150),
            said: vec![Said { by: "Trivy 0.74.0".into(), id: "CVE-2022-1".into(), severity: Severity::High }],
            ..Finding::new(FindingKind::Vulnerability, "CVE-2022-1", Some(package), Some("usr/lib/x"), "")
        }
    }

    fn hit(text: &str, finding: &Finding) -> bool {
        FindingFilter::parse(text).unwrap().matches(finding)
    }

    #[test]
    fn terms_hold_together() {
        let mut finding = finding();
        for good in [
            "",
            "overflow",
            "ghsa",
            "LIBSSL",
            "=libssl3",
            "=/usr/lib/x",
            "=CVE-2022-1",
            "re:CVE-\\d+-1$",
            "severity:high",
            "severity:medium",
            "severity:=high",
            "severity:<critical",
            "fixable kind:vulnerability",
            "origin:base status:fixed",
            "package:openssl package:lib*",
            "type:deb path:usr/**",
            "id:cve-2022",
            "layer:3",
            "by:trivy",
            "epss:>10% cvss:>7",
            "!ignored !kev !secret",
            "epss:0.1",
        ] {
            assert!(hit(good, &finding), "{good}");
        }
        for bad in [
            "underflow",
            "=libssl",
            "severity:critical",
            "severity:<high",
            "!fixable",
            "kind:secret",
            "origin:app",
            "status:wont_fix",
            "package:ssl",
            "type:rpm",
            "id:CVE-2023",
            "layer:1",
            "by:grype",
            "kev",
            "epss:>20%",
            "cvss:>8",
            "ignored",
            "overflow underflow",
        ] {
            assert!(!hit(bad, &finding), "{bad}");
        }
        finding.suppressed = Some(Suppression { by: "".into(), status: "".into(), reason: "".into(), until: None });
        assert!(hit("ignored", &finding) && FindingFilter::parse("!ignored").unwrap().is_about_ignored());
    }

    #[test]
    fn what_is_not_a_filter_is_said() {
        for (text, word) in [
            ("re:(", "re:"),
            ("severity:awful", "severity"),
            ("kind:x", "sensitive_file"),
            ("layer:0", "layer"),
            ("epss:200%", "epss"),
            ("cvss:11", "cvss"),
            ("path:[", "path"),
        ] {
            assert!(FindingFilter::parse(text).unwrap_err().contains(word), "{text}");
        }
        assert!(FindingFilter::parse(&"x".repeat(2000)).is_err());
    }

    #[test]
    fn a_term_comes_and_goes() {
        let filter = FindingFilter::parse("zlib fixable").unwrap();
        assert_eq!(filter.toggled("fixable"), "zlib");
        assert_eq!(filter.toggled("kev"), "zlib fixable kev");
    }
}
