//! Reads a policy from TOML. `example.toml` documents every key; each mistake is told by line and column, and all of them at once.

use std::ops::Range as Span;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::rule::{Action, Group, KeepLast, Match, Newest, Rule};
use super::{MOST_DROPPED, Policy};
use crate::curate::mistake::Mistake;
use crate::curate::rename::pattern::expression;
use crate::curate::semver::Range;
use crate::model::{Severity, time};

/// Longest policy, in bytes, and most rules: each is put to every tag.
const LONGEST: usize = 1 << 20;
const MOST_RULES: usize = 1000;
const RULE_KEYS: &str = "name, match, action, keep_last, per, by, rest";
const MATCH_KEYS: &str =
    "tag, except, regex, semver, label, platform, older_than, newer_than, age_by, unused_for, untagged, in_use, findings, fixable, all";

type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

pub(super) fn policy(text: &str) -> Result<Policy, Vec<Mistake>> {
    if text.len() > LONGEST {
        return Err(vec![Mistake::at(text, 0, format!("a policy is at most {} KiB long", LONGEST >> 10))]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, mistakes: Vec::new() };
    for error in &errors {
        reader.wrong(error.span().unwrap_or(0..0), error.message(), None);
    }
    let mut policy = Policy { repositories: Vec::new(), most_dropped: MOST_DROPPED, keep_in_use: true, rules: Vec::new() };
    // What doesn't parse reads as something else than was meant.
    if errors.is_empty() {
        reader.top(&mut policy, table.get_ref());
    }
    reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    if reader.mistakes.is_empty() { Ok(policy) } else { Err(reader.mistakes) }
}

struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

/// The keys of a rule besides its conditions, as they are found.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    matches: Option<(Match, String)>,
    action: Option<Action>,
    last: Option<usize>,
    /// With its place, since it says nothing without `keep_last`.
    per: Option<(Group, Span<usize>)>,
    by: Option<(Newest, Span<usize>)>,
    rest: Option<(bool, Span<usize>)>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Span<usize>, words: impl Into<String>, hint: Option<String>) {
        let mistake = Mistake::at(self.text, span.start, words);
        self.mistakes.push(Mistake { hint, ..mistake });
    }

    fn unknown(&mut self, key: &Spanned<impl AsRef<str>>, known: &str) {
        let text = key.get_ref().as_ref();
        let near = known.split(", ").find(|one| is_near(text, one)).map(|one| format!("did you mean {one}?"));
        self.wrong(key.span(), format!("there is no {text:?} here"), Some(near.unwrap_or_else(|| format!("there are {known}"))));
    }

    fn expected(&mut self, value: Value<'_, '_>, wanted: &str) {
        self.wrong(value.span(), format!("expected {wanted}, found {}", value.get_ref().type_str()), None);
    }

    fn text_of(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.expected(value, "a text in quotes");
        }
        text
    }

    fn bool_of(&mut self, value: Value<'_, '_>) -> Option<bool> {
        let set = value.get_ref().as_bool();
        if set.is_none() {
            self.expected(value, "true or false");
        }
        set
    }

    fn number_of(&mut self, value: Value<'_, '_>, from: usize, to: usize) -> Option<usize> {
        let number = value.get_ref().as_integer().and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.wrong(value.span(), format!("expected a number from {from} to {to}"), None);
        }
        number
    }

    /// One of these words.
    fn word_of<T: Clone>(&mut self, value: Value<'_, '_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text_of(value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.wrong(value.span(), format!("expected one of {}, found {text:?}", known.join(", ")), None);
        }
        found
    }

    /// A text or a list of them, each with its place.
    fn texts_of(&mut self, value: Value<'_, '_>) -> Vec<(String, Span<usize>)> {
        let one = |reader: &mut Self, value: Value<'_, '_>| reader.text_of(value).map(|text| (text, value.span()));
        match value.get_ref() {
            DeValue::Array(all) if all.is_empty() => {
                self.wrong(value.span(), "an empty list matches nothing", None);
                Vec::new()
            }
            DeValue::Array(all) => all.iter().filter_map(|value| one(self, value)).collect(),
            _ => one(self, value).into_iter().collect(),
        }
    }

    fn parsed<T>(&mut self, value: Value<'_, '_>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text_of(value)?;
        parse(&text).map_err(|words| self.wrong(value.span(), words, None)).ok()
    }

    /// A glob, whose `*` stays within a part between slashes: `**` goes beyond.
    fn glob(&mut self, (text, span): &(String, Span<usize>)) -> Option<Glob> {
        GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|error| self.wrong(span.clone(), format!("not a glob: {}", error.kind()), None))
            .ok()
    }

    fn globs_of(&mut self, value: Value<'_, '_>) -> Option<GlobSet> {
        let texts = self.texts_of(value);
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            set.add(self.glob(text)?);
        }
        set.build().map_err(|error| self.wrong(value.span(), format!("not a glob: {error}"), None)).ok()
    }

    fn span_of(&mut self, value: Value<'_, '_>) -> Option<i64> {
        self.parsed(value, |text| time::parse_span(text).ok_or_else(|| format!("{text:?} is no span: write 30d (s, m, h, d, w, mo, y)")))
    }

    fn top(&mut self, policy: &mut Policy, table: &DeTable<'_>) {
        let mut rules = false;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "repositories" => {
                    let texts = self.texts_of(value);
                    policy.repositories = texts.iter().filter_map(|text| self.glob(text)).map(|glob| glob.compile_matcher()).collect();
                }
                "most_dropped" => {
                    let percent = self.number_of(value, 0, 100).and_then(|percent| u8::try_from(percent).ok());
                    policy.most_dropped = percent.unwrap_or(MOST_DROPPED);
                }
                "keep_in_use" => policy.keep_in_use = self.bool_of(value).unwrap_or(true),
                "rule" => {
                    rules = true;
                    self.rules(policy, value);
                }
                _ => self.unknown(key, "repositories, most_dropped, keep_in_use, rule"),
            }
        }
        if !rules {
            self.wrong(0..0, "a policy without a rule", Some("`lighterman policy example` prints one to start from".to_owned()));
        }
    }

    fn rules(&mut self, policy: &mut Policy, value: Value<'_, '_>) {
        let Some(all) = value.get_ref().as_array() else {
            return self.wrong(value.span(), "rules stand in a list", Some("write each as [[rule]]".to_owned()));
        };
        if all.len() > MOST_RULES {
            return self.wrong(value.span(), format!("a policy has at most {MOST_RULES} rules"), None);
        }
        for one in all {
            match one.get_ref().as_table() {
                Some(table) => policy.rules.extend(self.rule(table, &one.span())),
                None => self.expected(one, "a rule"),
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, at: &Span<usize>) -> Option<Rule> {
        let before = self.mistakes.len();
        let mut parts = Parts::default();
        for (key, value) in table {
            self.part(&mut parts, key.get_ref().as_ref(), key, value);
        }
        if parts.matches.is_none() && self.mistakes.len() == before {
            let hint = "write match = { tag = \"v*\" }, or { all = true } for everything";
            self.wrong(at.clone(), "which tags is this rule about?", Some(hint.to_owned()));
        }
        let name = parts.name.take();
        let matches = parts.matches.take();
        let action = self.action(parts, at, before);
        let ((matches, asked), action) = (matches?, action?);
        if let Action::KeepLast(KeepLast { per: Group::Capture(group), .. }) = &action {
            self.capture(&matches, group, at);
        }
        Some(Rule { words: name.unwrap_or_else(|| described(&action, &asked)), matches, action })
    }

    fn part(&mut self, parts: &mut Parts, name: &str, key: &Spanned<impl AsRef<str>>, value: Value<'_, '_>) {
        match name {
            "name" => parts.name = self.text_of(value),
            "match" => parts.matches = self.matches(value),
            "action" => {
                parts.action = self.word_of(value, &[("keep", Action::Keep), ("drop", Action::Drop), ("protect", Action::Protect)]);
            }
            "keep_last" => parts.last = self.number_of(value, 1, 1_000_000),
            "per" => parts.per = self.parsed(value, group).map(|group| (group, key.span())),
            "by" => {
                let words = [("version", Newest::Version), ("created", Newest::Created), ("first_seen", Newest::FirstSeen)];
                parts.by = self.word_of(value, &words).map(|by| (by, key.span()));
            }
            "rest" => parts.rest = self.word_of(value, &[("drop", true), ("leave", false)]).map(|drop| (drop, key.span())),
            _ => self.unknown(key, RULE_KEYS),
        }
    }

    /// What the rule does, which is said in one way only. `before`: mistakes told before this rule, since one of its own may be the reason.
    fn action(&mut self, parts: Parts, at: &Span<usize>, before: usize) -> Option<Action> {
        let Parts { action, last, per, by, rest, .. } = parts;
        match (action, last) {
            (Some(_), Some(_)) => {
                self.wrong(at.clone(), "action and keep_last in one rule", Some("write two rules".to_owned()));
                None
            }
            (Some(action), None) => {
                let strays = [per.map(|(_, span)| ("per", span)), by.map(|(_, span)| ("by", span)), rest.map(|(_, span)| ("rest", span))];
                for (key, span) in strays.into_iter().flatten() {
                    self.wrong(span, format!("{key} says nothing without keep_last"), None);
                }
                Some(action)
            }
            (None, Some(last)) => {
                let per = per.map_or(Group::All, |(group, _)| group);
                let of_versions = matches!(per, Group::Major | Group::Minor);
                let by = by.map_or(if of_versions { Newest::Version } else { Newest::Created }, |(by, _)| by);
                Some(Action::KeepLast(KeepLast { last, per, by, drop_rest: rest.is_some_and(|(drop, _)| drop) }))
            }
            (None, None) => {
                if self.mistakes.len() == before {
                    let hint = "write action = \"keep\", \"drop\" or \"protect\", or keep_last = 3";
                    self.wrong(at.clone(), "what shall this rule do?", Some(hint.to_owned()));
                }
                None
            }
        }
    }

    fn capture(&mut self, matches: &Match, group: &str, at: &Span<usize>) {
        let has = matches.regex.as_ref().is_some_and(|regex| match group.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|name| name == group),
        });
        if !has {
            let hint = "write the group into match = { regex = \"…\" }, as (…) or (?<name>…)";
            self.wrong(at.clone(), format!("the rule's regex has no group {group}"), Some(hint.to_owned()));
        }
    }

    /// The conditions, and as they are written.
    fn matches(&mut self, value: Value<'_, '_>) -> Option<(Match, String)> {
        let Some(table) = value.get_ref().as_table() else {
            self.expected(value, "a table such as { tag = \"v*\" }");
            return None;
        };
        if table.is_empty() {
            let hint = "write { all = true } for everything";
            self.wrong(value.span(), "a match without a condition", Some(hint.to_owned()));
            return None;
        }
        let mut matches = Match::default();
        let mut asked = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !self.condition(&mut matches, name, value) {
                self.unknown(key, MATCH_KEYS);
            }
            let written = self.text.get(value.span()).unwrap_or_default();
            asked.push(format!("{name} {}", written.trim_matches(['"', '\''])));
        }
        if let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref() == "age_by")
            && matches.older_than.is_none()
            && matches.newer_than.is_none()
        {
            self.wrong(key.span(), "age_by says nothing without older_than or newer_than", None);
        }
        asked.sort_unstable();
        Some((matches, asked.join(", ")))
    }

    /// Whether there is such a condition.
    fn condition(&mut self, matches: &mut Match, name: &str, value: Value<'_, '_>) -> bool {
        match name {
            "tag" => matches.tags = self.globs_of(value),
            "except" => matches.except = self.globs_of(value),
            "regex" => matches.regex = self.parsed(value, |text| expression(text, false)),
            "semver" => matches.semver = self.parsed(value, Range::parse),
            "label" => {
                let label = |text: String| match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                };
                matches.labels = self.texts_of(value).into_iter().map(|(text, _)| label(text)).collect();
            }
            "platform" => matches.platform = self.parsed(value, |text| text.parse().map_err(str::to_owned)),
            "older_than" => matches.older_than = self.span_of(value),
            "newer_than" => matches.newer_than = self.span_of(value),
            "age_by" => matches.by_first_seen = self.word_of(value, &[("created", false), ("first_seen", true)]).unwrap_or(false),
            "unused_for" => matches.unused_for = self.span_of(value),
            "untagged" => matches.untagged = self.bool_of(value),
            "in_use" => matches.in_use = self.bool_of(value),
            "findings" => matches.findings = self.word_of(value, &Severity::ALL.map(|severity| (severity.word(), severity))),
            "fixable" => matches.fixable = self.bool_of(value).unwrap_or_default(),
            "all" => {
                if self.bool_of(value) == Some(false) {
                    self.wrong(value.span(), "all = false is about nothing", Some("leave the rule out".to_owned()));
                }
            }
            _ => return false,
        }
        true
    }
}

fn group(text: &str) -> Result<Group, String> {
    match text.split_once(':') {
        None if text == "minor" => Ok(Group::Minor),
        None if text == "major" => Ok(Group::Major),
        Some(("group", name)) if !name.is_empty() => Ok(Group::Capture(name.to_owned())),
        _ => Err(format!("expected \"minor\", \"major\" or \"group:NAME\", found {text:?}")),
    }
}

/// A rule without a name, in words.
fn described(action: &Action, asked: &str) -> String {
    match action {
        Action::Protect => format!("protect {asked}"),
        Action::Keep => format!("keep {asked}"),
        Action::Drop => format!("drop {asked}"),
        Action::KeepLast(last) => {
            let per = match &last.per {
                Group::All => String::new(),
                Group::Major => " per major".to_owned(),
                Group::Minor => " per minor".to_owned(),
                Group::Capture(group) => format!(" per group {group}"),
            };
            format!("keep the last {}{per} of {asked}", last.last)
        }
    }
}

/// Whether two words differ in one letter: left out, put in, another, or two swapped.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let front = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let back = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let (left, right) = (one.len().saturating_sub(front + back), other.len().saturating_sub(front + back));
    let swapped = || left == 2 && right == 2 && one.get(front) == other.get(front + 1) && one.get(front + 1) == other.get(front);
    one != other && one.len().abs_diff(other.len()) <= 1 && ((left <= 1 && right <= 1) || swapped())
}
