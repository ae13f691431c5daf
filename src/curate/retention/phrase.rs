//! Rules as they are said, in a line: `drop pr-* older than 14d, keep last 3 of v{semver} per minor, drop untagged`. Each phrase is one rule,
//! and becomes the same TOML that anybody could have written ([`Phrase::toml`]), so that a line which was tried out can be kept as a file.
//!
//! ```text
//! line    = phrase { ("," | ";" | newline) phrase }
//! phrase  = ("keep" | "drop" | "protect") [what] {condition}
//!         | "keep" ["only"] ["the"] ("last" | "newest") NUMBER ["of" what] {condition | "per" GROUP | "by" NEWEST}
//! what    = "all" | "tagged" | "untagged" | "in use" | "by label" [KEY[=VALUE]] | PATTERN {"|" PATTERN}
//! condition = ("older" | "newer") ["than"] SPAN | "since first seen" | "unused" ["for"] SPAN | "except" PATTERN {"|" PATTERN}
//!         | "with label" KEY[=VALUE] | "for" PLATFORM | "matching" REGEX | ["not"] "in use" | "when" SEVERITY ["fixable"] | "when fixable"
//! GROUP   = "minor" | "major" | "group" NAME          NEWEST = "version" | "created" | "first seen"
//! ```
//!
//! A pattern is a glob; `{semver}` in what a rule is about stands for a version, `{semver:RANGE}` for one in that range. What is in quotes is
//! no word of the language: `drop 'all'` is about the tag of that name. Without the number's `only`, what is beyond the last few is left to the phrases that
//! follow, as in a file.

mod print;

use std::fmt::Write as _;

use super::Policy;
use super::import::{quoted, quoted_list};
use crate::curate::mistake::Mistake;
use crate::model::Severity;

/// Longest line that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// What `keep by label` alone looks for: the label of the example.
const KEEP_LABEL: &str = "retention=keep";
const SEMVER: &str = "{semver";
const WHAT: &str = "write all, tagged, untagged, in use, by label KEY=VALUE, or a pattern such as pr-* or v{semver}";

/// One rule, as it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    pub verb: Verb,
    pub what: What,
    pub conditions: Conditions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    Keep,
    Drop,
    Protect,
    /// The newest of each group stay; with `only`, the others go.
    Last {
        count: usize,
        only: bool,
        per: Option<Per>,
        by: Option<&'static str>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    Minor,
    Major,
    /// What this group of the phrase's expression captures.
    Group(String),
}

/// What a phrase is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    All,
    Tagged,
    Untagged,
    InUse,
    /// `KEY` or `KEY=VALUE`; `None` is the label of the example.
    Label(Option<String>),
    /// Globs, perhaps with `{semver}`.
    Tags(Vec<String>),
}

/// What else must hold; spans, labels, platforms and expressions as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    pub except: Vec<String>,
    pub older: Option<String>,
    pub newer: Option<String>,
    pub since_first_seen: bool,
    pub unused: Option<String>,
    pub labels: Vec<String>,
    pub platform: Option<String>,
    pub regex: Option<String>,
    pub in_use: Option<bool>,
    /// The word of a severity.
    pub findings: Option<&'static str>,
    pub fixable: bool,
}

/// A line that was understood.
#[derive(Debug, Clone)]
pub struct Said {
    pub phrases: Vec<Phrase>,
    pub policy: Policy,
    /// The same as a file.
    pub toml: String,
}

/// Reads a line of phrases.
///
/// # Errors
/// Every mistake, by its place: nothing of a line with a mistake is a policy.
pub fn policy(text: &str) -> Result<Said, Vec<Mistake>> {
    if text.len() > LONGEST {
        return Err(vec![Mistake::at(text, 0, format!("a line of rules is at most {} KiB long", LONGEST >> 10))]);
    }
    let (mut phrases, mut rules, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    let mut toml = String::new();
    for words in split(text).map_err(|mistake| vec![mistake])? {
        let Some(first) = words.first() else { continue };
        let at = first.at;
        let phrase = match (Reader { text, words: &words, next: 0 }).phrase() {
            Ok(phrase) => phrase,
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        // What no phrase shows, such as an expression that is none, shows in the rule.
        let rule = phrase.toml();
        match Policy::parse(&rule) {
            Ok(one) => rules.extend(one.rules),
            Err(wrong) => {
                mistakes.extend(wrong.into_iter().take(1).map(|wrong| Mistake { hint: wrong.hint, ..Mistake::at(text, at, wrong.words) }));
            }
        }
        toml.push_str(&rule);
        phrases.push(phrase);
    }
    if phrases.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::at(text, 0, "no rule yet").hint("write keep …, drop … or protect …"));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let policy = Policy { repositories: Vec::new(), most_dropped: super::MOST_DROPPED, keep_in_use: true, rules };
    Ok(Said { phrases, policy, toml })
}

/// A word, without its quotes, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// Where a `|` stood outside quotes, in bytes of the text.
    bars: Vec<usize>,
    quoted: bool,
    at: usize,
}

/// Phrases, as words. Quotes and braces hold together what is in them; one without its end would swallow the phrases after it, and is a mistake.
fn split(text: &str) -> Result<Vec<Vec<Word>>, Mistake> {
    let mut phrases = vec![Vec::new()];
    let mut word: Option<Word> = None;
    let (mut quote, mut depth) = (None, 0_usize);
    // Where the quote began, and the outermost brace.
    let (mut quoted_at, mut brace_at) = (0, 0);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let separates = quote.is_none() && depth == 0 && (c.is_whitespace() || matches!(c, ',' | ';'));
        if separates {
            if let (Some(done), Some(words)) = (word.take(), phrases.last_mut()) {
                words.push(done);
            }
            if matches!(c, ',' | ';' | '\n') {
                phrases.push(Vec::new());
            }
            continue;
        }
        let now = word.get_or_insert_with(|| Word { text: String::new(), bars: Vec::new(), quoted: false, at });
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', Some(_)) => now.text.extend(chars.next().map(|(_, c)| c)),
            ('"' | '\'', None) => (quote, quoted_at, now.quoted) = (Some(c), at, true),
            (c, _) => {
                match c {
                    '{' if quote.is_none() => {
                        brace_at = if depth == 0 { at } else { brace_at };
                        depth += 1;
                    }
                    '}' if quote.is_none() => depth = depth.saturating_sub(1),
                    '|' if quote.is_none() && depth == 0 => now.bars.push(now.text.len()),
                    _ => {}
                }
                now.text.push(c);
            }
        }
    }
    if let (Some(done), Some(words)) = (word, phrases.last_mut()) {
        words.push(done);
    }
    match quote {
        Some(open) => Err(Mistake::at(text, quoted_at, "a quote has no end").hint(format!("close it with {open}"))),
        None if depth > 0 => Err(Mistake::at(text, brace_at, "a brace has no end").hint("close it with }, or write the word in quotes")),
        None => Ok(phrases),
    }
}

struct Reader<'a> {
    text: &'a str,
    words: &'a [Word],
    next: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, words: impl Into<String>, hint: &str) -> Mistake {
        let end = || self.words.last().map_or(0, |word| word.at + word.text.len());
        let at = self.words.get(self.next).map_or_else(end, |word| word.at);
        Mistake::at(self.text, at.min(self.text.len()), words).hint(hint)
    }

    /// The next word of the language, if it is one.
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).filter(|word| !word.quoted).map(|word| word.text.as_str())
    }

    fn is(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.next += usize::from(is);
        is
    }

    /// Two words that belong together.
    fn are(&mut self, one: &str, other: &str) -> bool {
        let second = self.words.get(self.next + 1).filter(|word| !word.quoted).map(|word| word.text.as_str());
        let are = self.peek() == Some(one) && second == Some(other);
        self.next += if are { 2 } else { 0 };
        are
    }

    fn value(&mut self, what: &str, hint: &str) -> Result<&'a Word, Mistake> {
        let word = self.words.get(self.next).ok_or_else(|| self.wrong(format!("{what} is missing"), hint))?;
        self.next += 1;
        Ok(word)
    }

    fn phrase(mut self) -> Result<Phrase, Mistake> {
        let verb = match self.peek() {
            Some("keep") => {
                self.next += 1;
                self.kept()?
            }
            Some("drop") => {
                self.next += 1;
                Verb::Drop
            }
            Some("protect") => {
                self.next += 1;
                Verb::Protect
            }
            _ => return Err(self.wrong("a rule begins with keep, drop or protect", "such as drop pr-* older than 14d")),
        };
        let of = matches!(verb, Verb::Last { .. }) && self.is("of");
        let what = match self.what()? {
            Some(what) => what,
            None if of || self.next == self.words.len() && !matches!(verb, Verb::Last { .. }) => {
                return Err(self.wrong("what is this rule about?", WHAT));
            }
            None => What::All,
        };
        let mut phrase = Phrase { verb, what, conditions: Conditions::default() };
        while self.next < self.words.len() {
            self.more(&mut phrase)?;
        }
        phrase.fits().map_err(|(words, hint)| {
            self.next = 0;
            self.wrong(words, hint)
        })?;
        Ok(phrase)
    }

    /// After `keep`: whether only the last few stay.
    fn kept(&mut self) -> Result<Verb, Mistake> {
        let before = self.next;
        let only = self.is("only");
        self.is("the");
        if !(self.is("last") || self.is("newest")) {
            if only {
                return Err(self.wrong("only how many?", "write keep only last 3 of v{semver} per minor"));
            }
            self.next = before;
            return Ok(Verb::Keep);
        }
        let hint = "write a number from 1, such as keep last 3";
        let count = self.value("how many", hint)?.text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
        let Some(count) = count else {
            self.next -= 1;
            return Err(self.wrong("that is no number of images", hint));
        };
        Ok(Verb::Last { count, only, per: None, by: None })
    }

    fn what(&mut self) -> Result<Option<What>, Mistake> {
        if self.are("in", "use") {
            return Ok(Some(What::InUse));
        }
        if self.are("by", "label") {
            // Nothing else that may follow is a label.
            let label = self.words.get(self.next).filter(|word| word.quoted || !is_word(&word.text)).map(|word| word.text.clone());
            self.next += usize::from(label.is_some());
            return Ok(Some(What::Label(label)));
        }
        let Some(word) = self.words.get(self.next) else { return Ok(None) };
        let known = match self.peek() {
            Some("all" | "everything") => Some(What::All),
            Some("tagged") => Some(What::Tagged),
            Some("untagged") => Some(What::Untagged),
            Some(word) if is_word(word) => return Ok(None),
            _ => None,
        };
        if let Some(known) = known {
            self.next += 1;
            return Ok(Some(known));
        }
        let patterns = self.patterns(word)?;
        self.next += 1;
        Ok(Some(What::Tags(patterns)))
    }

    /// The patterns in a word, apart.
    fn patterns(&self, word: &Word) -> Result<Vec<String>, Mistake> {
        let mut patterns = Vec::new();
        let mut from = 0;
        for to in word.bars.iter().copied().chain([word.text.len()]) {
            patterns.push(word.text.get(from..to).unwrap_or_default().to_owned());
            from = to + 1;
        }
        if patterns.iter().any(String::is_empty) {
            return Err(self.wrong("an empty pattern matches nothing", "write patterns as pr-*|rc-*"));
        }
        Ok(patterns)
    }

    fn more(&mut self, phrase: &mut Phrase) -> Result<(), Mistake> {
        let at = self.next;
        let again = |reader: &mut Self, said: bool| {
            reader.next = if said { at } else { reader.next };
            if said { Err(reader.wrong("that is said twice", "say it once")) } else { Ok(()) }
        };
        let it = &mut phrase.conditions;
        if self.is("older") || self.is("newer") {
            let older = self.words.get(at).is_some_and(|word| word.text == "older");
            self.is("than");
            let span = self.span()?;
            let place = if older { &mut it.older } else { &mut it.newer };
            again(self, place.replace(span).is_some())
        } else if self.is("unused") {
            self.is("for");
            let span = self.span()?;
            again(self, it.unused.replace(span).is_some())
        } else if self.is("except") {
            let word = self.value("a pattern", "write except *-debug")?;
            let patterns = self.patterns(word)?;
            if patterns.iter().any(|pattern| pattern.to_ascii_lowercase().contains(SEMVER)) {
                // As a glob it would be the word semver, and except nothing.
                self.next -= 1;
                return Err(self.wrong("a version can't be an exception", "write a keep rule before it, such as keep v{semver}"));
            }
            again(self, !std::mem::replace(&mut it.except, patterns).is_empty())
        } else if self.are("with", "label") || self.are("by", "label") {
            let label = self.value("a label", "write with label retention=keep")?.text.clone();
            it.labels.push(label);
            Ok(())
        } else if self.is("matching") {
            let regex = self.value("an expression", "write matching '^build-[0-9]+$'")?.text.clone();
            again(self, it.regex.replace(regex).is_some())
        } else if self.is("for") {
            let platform = self.value("a platform", "write for linux/arm64")?.text.clone();
            again(self, it.platform.replace(platform).is_some())
        } else if self.are("in", "use") {
            again(self, it.in_use.replace(true).is_some())
        } else if self.is("not") {
            if !self.are("in", "use") {
                return Err(self.wrong("not what?", "write not in use"));
            }
            again(self, it.in_use.replace(false).is_some())
        } else if self.is("when") {
            let said = it.findings.is_some() || it.fixable;
            it.findings = Severity::ALL.into_iter().map(Severity::word).find(|word| self.is(word));
            it.fixable = self.is("fixable");
            if it.findings.is_none() && !it.fixable {
                return Err(self.wrong("when what?", "write when critical, when high fixable or when fixable"));
            }
            again(self, said)
        } else if self.is("since") {
            if !self.are("first", "seen") {
                return Err(self.wrong("since when?", "write since first seen"));
            }
            again(self, std::mem::replace(&mut it.since_first_seen, true))
        } else {
            self.of_last(phrase)
        }
    }

    /// What only the last few have.
    fn of_last(&mut self, phrase: &mut Phrase) -> Result<(), Mistake> {
        let hint = "after what a rule is about: older than 14d, newer than 2d, unused for 60d, except P, with label K=V, for PLATFORM, \
                    matching REGEX, in use, when critical fixable; and after keep last N: per minor, by version";
        let Verb::Last { per, by, .. } = &mut phrase.verb else {
            return Err(self.wrong("that is no condition here", hint));
        };
        if self.is("per") {
            let group = match self.peek() {
                Some("minor") => Per::Minor,
                Some("major") => Per::Major,
                Some("group") => {
                    self.next += 1;
                    let name = self.value("the group's name", "write per group branch")?.text.clone();
                    self.next -= 1;
                    Per::Group(name)
                }
                _ => return Err(self.wrong("per what?", "write per minor, per major or per group NAME")),
            };
            self.next += 1;
            if per.replace(group).is_some() {
                return Err(self.wrong("that is said twice", "say it once"));
            }
            return Ok(());
        }
        if self.is("by") {
            let newest = if self.are("first", "seen") {
                "first_seen"
            } else if self.is("version") {
                "version"
            } else if self.is("created") {
                "created"
            } else {
                return Err(self.wrong("by what?", "write by version, by created or by first seen"));
            };
            if by.replace(newest).is_some() {
                return Err(self.wrong("that is said twice", "say it once"));
            }
            return Ok(());
        }
        Err(self.wrong("that is no condition here", hint))
    }

    fn span(&mut self) -> Result<String, Mistake> {
        let hint = "write a span such as 14d (s, m, h, d, w, mo, y)";
        let text = &self.value("a span", hint)?.text;
        if crate::model::time::parse_span(text).is_none() {
            self.next -= 1;
            return Err(self.wrong(format!("{text:?} is no span"), hint));
        }
        Ok(text.clone())
    }
}

/// Words that begin something after what a rule is about.
fn is_word(text: &str) -> bool {
    matches!(text, "older" | "newer" | "unused" | "except" | "with" | "by" | "for" | "matching" | "in" | "not" | "since" | "per" | "when")
}

/// The glob and the range of a pattern with a version in it.
fn versioned(pattern: &str) -> Option<(String, String)> {
    let (before, rest) = pattern.split_once(SEMVER)?;
    let (inside, after) = rest.split_once('}')?;
    let range = match inside.strip_prefix(':') {
        Some(range) => range.trim(),
        None if inside.is_empty() => "*",
        None => return None,
    };
    Some((format!("{before}*{after}"), range.to_owned()))
}

impl Phrase {
    /// Whether its parts fit together; else what is wrong, and what to write.
    fn fits(&self) -> Result<(), (&'static str, &'static str)> {
        if let What::Tags(patterns) = &self.what {
            if patterns.len() > 1 && patterns.iter().any(|pattern| pattern.contains(SEMVER)) {
                return Err(("a pattern with {semver} stands alone", "write two rules"));
            }
            let before = patterns.first().and_then(|pattern| pattern.split_once(SEMVER)).map(|(before, _)| before);
            if before.is_some_and(|before| !matches!(before, "" | "v" | "V")) {
                return Err(("a version has only a v before it", "write v{semver} or {semver}"));
            }
            let glob = patterns.first().and_then(|pattern| versioned(pattern)).map(|(glob, _)| glob);
            if before.is_some() && glob.is_none() {
                return Err(("{semver has no end", "write {semver} or {semver:>=1.2 <2}"));
            }
            if glob.is_some_and(|glob| glob.contains(SEMVER)) {
                return Err(("a pattern has one {semver}", "write v{semver} or {semver}"));
            }
        }
        if self.what == What::InUse && self.conditions.in_use.is_some() {
            return Err(("in use is said twice", "say it once"));
        }
        let ages = self.conditions.older.is_some() || self.conditions.newer.is_some();
        if self.conditions.since_first_seen && !ages {
            return Err(("since first seen says nothing without an age", "write older than 14d since first seen"));
        }
        Ok(())
    }

    /// The rule as it stands in a file.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut asked: Vec<String> = Vec::new();
        let it = &self.conditions;
        let mut labels = it.labels.clone();
        match &self.what {
            What::All => asked.push("all = true".to_owned()),
            What::Tagged => asked.push("untagged = false".to_owned()),
            What::Untagged => asked.push("untagged = true".to_owned()),
            What::InUse => asked.push("in_use = true".to_owned()),
            What::Label(label) => labels.insert(0, label.clone().unwrap_or_else(|| KEEP_LABEL.to_owned())),
            What::Tags(patterns) => match patterns.first().and_then(|pattern| versioned(pattern)) {
                Some((glob, range)) => {
                    if glob != "*" {
                        asked.push(format!("tag = {}", quoted(&glob)));
                    }
                    asked.push(format!("semver = {}", quoted(&range)));
                }
                None => asked.push(format!("tag = {}", quoted_list(patterns))),
            },
        }
        if !labels.is_empty() {
            asked.push(format!("label = {}", quoted_list(&labels)));
        }
        if !it.except.is_empty() {
            asked.push(format!("except = {}", quoted_list(&it.except)));
        }
        let texts = [
            ("regex", &it.regex),
            ("platform", &it.platform),
            ("older_than", &it.older),
            ("newer_than", &it.newer),
            ("unused_for", &it.unused),
        ];
        asked.extend(texts.into_iter().filter_map(|(key, text)| Some(format!("{key} = {}", quoted(text.as_deref()?)))));
        if it.since_first_seen {
            asked.push("age_by = \"first_seen\"".to_owned());
        }
        asked.extend(it.in_use.map(|in_use| format!("in_use = {in_use}")));
        asked.extend(it.findings.map(|word| format!("findings = {}", quoted(word))));
        if it.fixable {
            asked.push("fixable = true".to_owned());
        }
        let mut toml = format!("[[rule]]\nname = {}\nmatch = {{ {} }}\n", quoted(&self.to_string()), asked.join(", "));
        self.act(&mut toml);
        toml.push('\n');
        toml
    }

    /// What the rule does.
    fn act(&self, toml: &mut String) {
        match &self.verb {
            Verb::Keep => toml.push_str("action = \"keep\"\n"),
            Verb::Drop => toml.push_str("action = \"drop\"\n"),
            Verb::Protect => toml.push_str("action = \"protect\"\n"),
            Verb::Last { count, only, per, by } => {
                _ = writeln!(toml, "keep_last = {count}");
                let group = match per {
                    None => None,
                    Some(Per::Minor) => Some("minor".to_owned()),
                    Some(Per::Major) => Some("major".to_owned()),
                    Some(Per::Group(name)) => Some(format!("group:{name}")),
                };
                if let Some(group) = group {
                    _ = writeln!(toml, "per = {}", quoted(&group));
                }
                // In a line about versions the newest is the highest.
                let versions = matches!(&self.what, What::Tags(patterns) if patterns.iter().any(|pattern| versioned(pattern).is_some()));
                if let Some(by) = by.or(versions.then_some("version")) {
                    _ = writeln!(toml, "by = {}", quoted(by));
                }
                if *only {
                    toml.push_str("rest = \"drop\"\n");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
