//! The filter language, for the Images pane and `images --filter` alike.
//!
//! Terms are separated by spaces and all must hold: a word (fuzzy), `=text` (the reference, repository, tag or ID is exactly that),
//! `re:regex`, `size:>500MB`, `age:>30d`, `tag:GLOB`, `repo:GLOB`, `label:KEY[=VALUE]`, `id:PREFIX`, `container:GLOB`, `unused`, `unused:30d`
//! (and was not seen used for so long), `used`, `running`, `dangling`, `tagged`, once registries were asked `drift:same|moved|local|gone|unknown` and `pullable`, and of
//! what was scanned `severity:high` (or worse), `fixable` (something that a newer package mends) and `scanned`. A `!` in front turns a term round. A name is found in full and as it is shown.

use std::collections::BTreeMap;
use std::iter;

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use regex::{Regex, RegexBuilder};

use super::digest::Digest;
use super::finding::Severity;
use super::findings::Gist;
use super::image::{ContainerUse, ImageSummary};
use super::name::{self, Name};
use super::remote::Drift;
use super::safe::Foreign;
use super::{size, time};

/// Longest filter text taken, in bytes.
const LONGEST: usize = 1024;

/// A parsed filter. The default lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    inverse: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Fuzzy(Pattern),
    Exact(String),
    Regex(Regex),
    Size(Ordering, u64),
    Age(Ordering, i64),
    Tag(GlobMatcher),
    Repository(GlobMatcher),
    Label(String, Option<String>),
    Id(String),
    Container(GlobMatcher),
    Unused,
    /// Not seen used for so many seconds.
    UnusedFor(Ordering, i64),
    Used,
    Running,
    Dangling,
    Tagged,
    /// How it stands to its registry: a word of [`Drift`]'s, or `unknown`.
    Drift(&'static str),
    /// Something at least as bad was found in it.
    Severity(Severity),
    Fixable,
    Scanned,
}

#[derive(Debug, Clone, Copy)]
enum Ordering {
    Above,
    Below,
}

/// What a filter looks at: one row of any list, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// What words are searched in: a whole name, or a tag alone. A row without one is known by its ID.
    pub text: Option<&'a str>,
    /// The tag, where `text` is not a name that has it at its end.
    pub tag: Option<&'a str>,
    pub id: Option<&'a Digest>,
    pub size: Option<u64>,
    pub created: Option<Timestamp>,
    /// As [`ImageSummary::containers`].
    pub containers: Option<&'a [ContainerUse]>,
    pub labels: Option<&'a BTreeMap<Box<str>, Foreign>>,
    pub dangling: bool,
    /// How the tag stands to its registry, where that was asked.
    pub drift: Option<&'a Drift>,
    /// Since when it was not seen used, where that was noted ([`super::Uses::idle_since`]).
    pub idle_since: Option<Timestamp>,
    /// What its last scan came to, where there was one.
    pub gist: Option<&'a Gist>,
}

impl<'a> Subject<'a> {
    /// An image under one of its names.
    #[must_use]
    pub fn image(image: &'a ImageSummary, name: Option<&'a Name>) -> Self {
        Self {
            text: name.map(Name::raw),
            tag: None,
            id: Some(&image.id),
            size: image.size,
            created: image.created,
            containers: image.containers.as_deref(),
            labels: Some(&image.labels),
            dangling: image.is_dangling(),
            drift: None,
            idle_since: None,
            gist: None,
        }
    }

    fn tag(&self) -> Option<&'a str> {
        self.tag.or_else(|| name::split(self.text?).1)
    }

    /// The text in full, and as it is shown: `docker.io/library/alpine:3` is also `alpine:3`, whichever of them the source says.
    fn spellings(&self) -> impl Iterator<Item = &'a str> {
        let shown = |full| Some(name::familiar(full)).filter(|shown| shown.len() < full.len());
        self.text.into_iter().flat_map(move |full| iter::once(full).chain(shown(full)))
    }

    /// The repository of a name, in both spellings; a tag alone has none.
    fn repositories(&self) -> impl Iterator<Item = &'a str> {
        self.spellings().filter(|_| self.tag.is_none()).map(|text| name::split(text).0)
    }

    /// What is searched.
    fn searched(&self) -> &'a str {
        self.text.or_else(|| self.id.map(Digest::hex)).unwrap_or_default()
    }
}

/// Memory for fuzzy matching, reused from row to row.
#[derive(Debug)]
pub struct Scratch {
    matcher: Matcher,
    chars: Vec<char>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { matcher: Matcher::new(Config::DEFAULT.match_paths()), chars: Vec::new() }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Filter {
    /// Parses a filter as typed.
    ///
    /// # Errors
    /// A sentence on the term that can't be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a filter is at most {LONGEST} bytes long"));
        }
        let terms = text.split_whitespace().filter(|term| *term != "!").map(Term::parse).collect::<Result<_, _>>()?;
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

    /// Whether a row is let through.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>, now: Timestamp, scratch: &mut Scratch) -> bool {
        self.terms.iter().all(|term| term.test.holds(subject, now, scratch) != term.inverse)
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        let (inverse, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        Ok(Self { inverse, test: Test::parse(text)? })
    }
}

impl Test {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(exact) = text.strip_prefix('=') {
            return Ok(Self::Exact(exact.to_owned()));
        }
        match text {
            "unused" => return Ok(Self::Unused),
            "used" => return Ok(Self::Used),
            "running" => return Ok(Self::Running),
            "dangling" => return Ok(Self::Dangling),
            "tagged" => return Ok(Self::Tagged),
            "pullable" => return Ok(Self::Drift("same")),
            "fixable" => return Ok(Self::Fixable),
            "scanned" => return Ok(Self::Scanned),
            _ => {}
        }
        if let Some((key, value)) = text.split_once(':')
            && let Some(test) = Self::keyed(key, value)
        {
            return test;
        }
        Ok(Self::Fuzzy(Pattern::new(text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy)))
    }

    /// A `key:value` term, or `None` when the key is not one of ours (so that `host:5000/app` stays a plain word).
    fn keyed(key: &str, value: &str) -> Option<Result<Self, String>> {
        let glob = |value: &str| Glob::new(value).map(|glob| glob.compile_matcher()).map_err(|error| format!("{key}: {error}"));
        Some(match key {
            "re" => RegexBuilder::new(value)
                .size_limit(1 << 20)
                .build()
                .map(Self::Regex)
                .map_err(|error| format!("re: {}", error.to_string().lines().last().unwrap_or("not a regular expression"))),
            "size" => compared(value, size::parse)
                .map(|(ordering, bytes)| Self::Size(ordering, bytes))
                .ok_or_else(|| "size: write size:>500MB or size:<2GiB".to_owned()),
            "age" => compared(value, time::parse_span)
                .map(|(ordering, seconds)| Self::Age(ordering, seconds))
                .ok_or_else(|| "age: write age:>30d or age:<12h (s, m, h, d, w, mo, y)".to_owned()),
            "unused" => compared(value, time::parse_span)
                .map(|(ordering, seconds)| Self::UnusedFor(ordering, seconds))
                .ok_or_else(|| "unused: write unused:30d (s, m, h, d, w, mo, y)".to_owned()),
            "tag" => glob(value).map(Self::Tag),
            "repo" => glob(value).map(Self::Repository),
            "container" => glob(value).map(Self::Container),
            "label" => Ok(match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value.to_owned(), None),
            }),
            "drift" => ["same", "moved", "local", "gone", "unknown"]
                .into_iter()
                .find(|word| *word == value)
                .map(Self::Drift)
                .ok_or_else(|| "drift: write drift:same, moved, local, gone or unknown".to_owned()),
            "severity" => Severity::ALL
                .into_iter()
                .find(|severity| severity.word() == value)
                .map(Self::Severity)
                .ok_or_else(|| "severity: write severity:critical, high, medium, low, negligible or unknown".to_owned()),
            "id" => Ok(Self::Id(value.to_ascii_lowercase())),
            _ => return None,
        })
    }

    fn holds(&self, subject: &Subject<'_>, now: Timestamp, scratch: &mut Scratch) -> bool {
        let containers = || subject.containers.unwrap_or_default().iter();
        match self {
            Self::Fuzzy(pattern) => pattern.score(Utf32Str::new(subject.searched(), &mut scratch.chars), &mut scratch.matcher).is_some(),
            Self::Exact(text) => {
                let is = |part: Option<&str>| part == Some(text.as_str());
                let id = subject.id.is_some_and(|id| id.as_str() == text || id.short() == text);
                id || is(subject.tag()) || subject.spellings().chain(subject.repositories()).any(|part| part == text)
            }
            Self::Regex(regex) => match subject.text {
                Some(_) => subject.spellings().any(|name| regex.is_match(name)),
                None => regex.is_match(subject.id.map(Digest::as_str).unwrap_or_default()),
            },
            Self::Size(ordering, bytes) => subject.size.is_some_and(|size| ordering.holds(size, *bytes)),
            Self::Age(ordering, seconds) => {
                subject.created.is_some_and(|then| ordering.holds(now.as_second().saturating_sub(then.as_second()), *seconds))
            }
            Self::Tag(glob) => subject.tag().is_some_and(|tag| glob.is_match(tag)),
            Self::Repository(glob) => subject.repositories().any(|repository| glob.is_match(repository)),
            Self::Label(key, value) => subject
                .labels
                .and_then(|labels| labels.get(key.as_str()))
                .is_some_and(|found| value.as_ref().is_none_or(|value| found.raw() == value)),
            Self::Id(prefix) => {
                subject.id.is_some_and(|id| id.hex().starts_with(prefix.as_str()) || id.as_str().starts_with(prefix.as_str()))
            }
            Self::Container(glob) => containers().any(|user| glob.is_match(user.name.raw())),
            Self::Unused => subject.containers.is_some_and(<[_]>::is_empty),
            Self::UnusedFor(ordering, seconds) => {
                let idle = subject.idle_since.map(|since| now.as_second().saturating_sub(since.as_second()));
                subject.containers.is_some_and(<[_]>::is_empty) && idle.is_some_and(|idle| ordering.holds(idle, *seconds))
            }
            Self::Used => subject.containers.is_some_and(|users| !users.is_empty()),
            Self::Running => containers().any(|user| user.running),
            Self::Dangling => subject.dangling,
            Self::Tagged => !subject.dangling,
            Self::Severity(severity) => subject.gist.is_some_and(|gist| gist.has(*severity, false)),
            Self::Fixable => subject.gist.is_some_and(|gist| gist.fixable > 0),
            Self::Scanned => subject.gist.is_some(),
            Self::Drift(word) => subject.drift.map_or("unknown", Drift::word) == *word,
        }
    }
}

impl Ordering {
    fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Above => left > right,
            Self::Below => left < right,
        }
    }
}

/// `>VALUE` or `<VALUE`; a bare value means "above".
fn compared<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(Ordering, T)> {
    if let Some(rest) = text.strip_prefix('<') {
        return Some((Ordering::Below, parse(rest)?));
    }
    Some((Ordering::Above, parse(text.strip_prefix('>').unwrap_or(text))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerUse, Digest};

    fn image() -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(b"x"),
            tags: vec![Name::new("localhost:5000/acme/api:v1.2")],
            repo_digests: vec![],
            created: Timestamp::from_second(1_000_000).ok(),
            size: Some(600_000_000),
            unique_size: None,
            platform: None,
            containers: Some(vec![]),
            labels: [("tier".into(), "web".into())].into(),
        }
    }

    fn hit(filter: &str, image: &ImageSummary) -> bool {
        let now = Timestamp::from_second(1_000_000 + 40 * 86_400).unwrap();
        Filter::parse(filter).unwrap().matches(&Subject::image(image, image.tags.first()), now, &mut Scratch::default())
    }

    #[test]
    fn terms_hold_together() {
        let mut image = image();
        for good in [
            "",
            "api",
            "acmapi",
            "!worker",
            "=v1.2",
            "=localhost:5000/acme/api",
            "re:v1\\.\\d$",
            "size:>500MB",
            "size:<1GB",
            "age:>30d",
            "unused",
            "tag:v1.*",
            "repo:*/api",
            "label:tier",
            "label:tier=web",
            "!dangling tagged",
            "localhost:5000",
            "api size:>1MB unused",
            "!",
        ] {
            assert!(hit(good, &image), "{good}");
        }
        for bad in
            ["worker", "!api", "=v1", "size:>700MB", "age:<30d", "used", "running", "dangling", "tag:v2*", "label:tier=db", "api used"]
        {
            assert!(!hit(bad, &image), "{bad}");
        }
        image.containers = None;
        assert!(!hit("unused", &image) && !hit("used", &image), "unknown is neither");
        image.containers = Some(vec![ContainerUse { id: "1".into(), name: "web-1".into(), running: true, state: "running".into() }]);
        assert!(hit("used running container:web-*", &image));
    }

    #[test]
    fn what_a_registry_said_can_be_asked_for() {
        let image = image();
        let drift = Drift::Moved(Digest::sha256(b"y"));
        let subject = Subject { drift: Some(&drift), ..Subject::image(&image, image.tags.first()) };
        let hit = |text: &str, subject: &Subject<'_>| {
            Filter::parse(text).unwrap().matches(subject, Timestamp::UNIX_EPOCH, &mut Scratch::default())
        };
        assert!(hit("drift:moved !pullable", &subject) && !hit("drift:unknown", &subject));
        assert!(hit("pullable", &Subject { drift: Some(&Drift::Same), ..subject }));
        assert!(hit("drift:unknown !pullable", &Subject { drift: None, ..subject }), "unknown is not the same");
        assert!(Filter::parse("drift:far").is_err());
    }

    #[test]
    fn what_was_not_scanned_is_neither_bad_nor_good() {
        let image = image();
        let hit = |text: &str, gist: Option<&Gist>| {
            let subject = Subject { gist, ..Subject::image(&image, image.tags.first()) };
            Filter::parse(text).unwrap().matches(&subject, Timestamp::UNIX_EPOCH, &mut Scratch::default())
        };
        let at = Timestamp::UNIX_EPOCH;
        let gist = Gist { at, total: 2, fixable: 1, worst: Some(Severity::High), worst_fixable: Some(Severity::Low) };
        assert!(hit("severity:high severity:low fixable scanned !severity:critical", Some(&gist)));
        assert!(!hit("severity:low", None) && !hit("fixable", None) && hit("!scanned", None));
        assert!(Filter::parse("severity:awful").is_err());
    }

    #[test]
    fn what_was_never_watched_is_not_unused_for_days() {
        let mut image = image();
        let now = Timestamp::from_second(100 * 86_400).unwrap();
        let hit = |text: &str, image: &ImageSummary, days: Option<i64>| {
            let idle_since = days.and_then(|days| Timestamp::from_second((100 - days) * 86_400).ok());
            let subject = Subject { idle_since, ..Subject::image(image, image.tags.first()) };
            Filter::parse(text).unwrap().matches(&subject, now, &mut Scratch::default())
        };
        assert!(hit("unused:30d", &image, Some(31)) && hit("unused:>30d", &image, Some(31)) && hit("unused:<30d", &image, Some(29)));
        assert!(!hit("unused:30d", &image, Some(29)));
        assert!(!hit("unused:30d", &image, None) && !hit("unused:<30d", &image, None), "unknown is neither");
        image.containers = Some(vec![ContainerUse { id: "1".into(), name: "web".into(), running: false, state: "exited".into() }]);
        assert!(!hit("unused:30d", &image, Some(99)), "what a container uses is used");
        image.containers = None;
        assert!(!hit("unused:30d", &image, Some(99)));
        assert!(Filter::parse("unused:long").is_err());
    }

    #[test]
    fn a_name_is_found_as_it_is_shown_and_in_full() {
        let mut image = image();
        image.tags = vec![Name::new("docker.io/library/debian:12-slim")];
        for good in [
            "=debian",
            "=debian:12-slim",
            "=docker.io/library/debian",
            "=docker.io/library/debian:12-slim",
            "repo:debian",
            "repo:*/debian",
            "re:^debian:",
            "re:^docker.io/",
        ] {
            assert!(hit(good, &image), "{good}");
        }
        for bad in ["=library/debian", "=deb", "repo:deb", "re:^library", "!=debian", "!repo:debian"] {
            assert!(!hit(bad, &image), "{bad}");
        }
    }

    #[test]
    fn what_is_not_a_filter_is_said() {
        for (text, word) in [("re:(", "re:"), ("size:>many", "size"), ("age:old", "age"), ("tag:[", "tag")] {
            assert!(Filter::parse(text).unwrap_err().contains(word), "{text}");
        }
        assert!(Filter::parse(&"x".repeat(2000)).is_err());
    }
}
