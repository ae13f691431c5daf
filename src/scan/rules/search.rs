//! Finds credentials in text as it comes in pieces of any length.
//!
//! One pass for the keywords of all rules tells where a rule is to be tried; few bytes of an image ever get so far. Of a text no more is kept than a
//! window, whose end is looked at again with what follows it, so that nothing is lost where two windows meet.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use regex::bytes::{Regex, RegexBuilder};

use super::check::Fit;
use super::{Rule, SECRETS};
use crate::model::Severity;
use crate::model::finding::Evidence;

/// Bytes that are looked at together.
const WINDOW: usize = 256 << 10;
/// Longest stretch that a rule looks at from where it begins.
const LONGEST: usize = 8 << 10;
/// Bytes before a keyword that a rule may look at.
const BEFORE: usize = 2 << 10;
/// Findings of one file.
const MOST_HITS: usize = 100;
/// What tries of rules in one file may come to: a text may be made of nothing but keywords.
const MOST_TRIES: u64 = 100_000;
/// What all tries of a search may come to, whatever the number of its texts, and what one counts for that looks far.
const MOST_WORK: u64 = 2_000_000;
const FAR: u64 = 20;
/// Longest text that is shown before a secret.
const MOST_SHOWN: usize = 60;

struct Compiled {
    keywords: AhoCorasick,
    /// By keyword, places in [`SECRETS`].
    rules: Vec<usize>,
    patterns: Vec<Regex>,
}

/// `None` only for rules that are broken themselves, which a test would tell.
static COMPILED: LazyLock<Option<Compiled>> = LazyLock::new(|| {
    let (mut keywords, mut rules, mut patterns) = (Vec::<&str>::new(), Vec::new(), Vec::new());
    for (at, rule) in SECRETS.iter().enumerate() {
        keywords.extend(rule.keywords);
        rules.extend(rule.keywords.iter().map(|_| at));
        let anchored = if rule.back == 0 { format!(r"\A(?:{})", rule.pattern) } else { rule.pattern.to_owned() };
        patterns.push(RegexBuilder::new(&anchored).unicode(false).build().ok()?);
    }
    let keywords = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(keywords).ok()?;
    Some(Compiled { keywords, rules, patterns })
});

/// A credential in a text. It holds nothing of what must not be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its place in [`SECRETS`].
    pub rule: usize,
    /// First and last line, from 1.
    pub lines: (u32, u32),
    pub evidence: Evidence,
    pub severity: Severity,
    /// More to say of it; mostly nothing.
    pub note: &'static str,
}

impl Hit {
    #[must_use]
    pub fn rule(&self) -> Option<&'static Rule> {
        SECRETS.get(self.rule)
    }
}

/// A search through one text after the other, as a layer has them.
#[derive(Debug, Default)]
pub struct Search {
    path: Vec<u8>,
    /// What waits to be looked at, and what stands before it.
    window: Vec<u8>,
    state: State,
    hits: Vec<Hit>,
    /// Of [`MOST_WORK`], by all texts so far. Beyond it, a text with a keyword in it is cut.
    work: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Where in the window what was not looked at begins.
    from: usize,
    /// Line of the window's first byte, from 0.
    line: u32,
    /// Up to where in the window something was found.
    covered: usize,
    tries: u64,
    /// Not all of it was looked at.
    cut: bool,
}

impl Search {
    /// Begins with the text of a file.
    pub fn begin(&mut self, path: &[u8]) {
        self.path.clear();
        self.path.extend_from_slice(path);
        self.window.clear();
        self.state = State::default();
        self.hits.clear();
    }

    /// Takes what comes next of it.
    pub fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = (WINDOW + LONGEST + BEFORE).saturating_sub(self.window.len());
            let (now, later) = piece.split_at_checked(room).unwrap_or((piece, &[]));
            self.window.extend_from_slice(now);
            piece = later;
            if self.window.len() >= WINDOW + LONGEST + BEFORE {
                self.slide();
            }
        }
    }

    /// Takes a text that is there as a whole, without a copy of it.
    pub fn whole(&mut self, text: &[u8]) {
        let until = text.len();
        self.state.look(text, until, &self.path, &mut self.hits, &mut self.work);
    }

    /// What was found in what was pushed, and whether that is not all.
    pub fn end(&mut self) -> (&mut Vec<Hit>, bool) {
        let window = std::mem::take(&mut self.window);
        self.state.look(&window, window.len(), &self.path, &mut self.hits, &mut self.work);
        self.window = window;
        self.window.clear();
        (&mut self.hits, self.state.cut)
    }

    fn slide(&mut self) {
        let until = self.window.len().saturating_sub(LONGEST);
        self.state.look(&self.window, until, &self.path, &mut self.hits, &mut self.work);
        let gone = until.saturating_sub(BEFORE);
        self.state.line += lines(self.window.get(..gone).unwrap_or_default());
        self.state.from = until - gone;
        self.state.covered = self.state.covered.saturating_sub(gone);
        self.window.drain(..gone);
    }
}

impl State {
    /// Looks at what begins between `from` and `until`.
    fn look(&mut self, text: &[u8], until: usize, path: &[u8], hits: &mut Vec<Hit>, work: &mut u64) {
        let Some(compiled) = COMPILED.as_ref() else { return };
        let (mut counted, mut line) = (0, self.line);
        for found in compiled.keywords.find_iter(Input::new(text).span(self.from.min(text.len())..text.len())) {
            if found.start() >= until || self.cut {
                break;
            }
            let Some(&at) = compiled.rules.get(found.pattern().as_usize()) else { continue };
            let (Some(rule), Some(pattern)) = (SECRETS.get(at), compiled.patterns.get(at)) else { continue };
            if found.start() < self.covered || rule.only.is_some_and(|only| !only(path)) {
                continue;
            }
            let weight = if rule.is_far { FAR } else { 1 };
            self.tries += weight;
            *work += weight;
            if *work > MOST_WORK {
                self.cut = true;
                break;
            }
            self.cut = self.tries > MOST_TRIES || hits.len() >= MOST_HITS;
            let Some((start, end, mut hit)) = fit(text, found.start(), at, rule, pattern) else { continue };
            line += lines(text.get(counted..start).unwrap_or_default());
            counted = counted.max(start);
            let inside = lines(text.get(start..end).unwrap_or_default());
            hit.lines = (line + 1, line + 1 + inside);
            self.covered = end;
            hits.push(hit);
        }
    }
}

/// What a rule makes of a keyword's place: where it begins, where it ends, and what it is.
fn fit(text: &[u8], keyword: usize, at: usize, rule: &Rule, pattern: &Regex) -> Option<(usize, usize, Hit)> {
    let first = keyword.saturating_sub(rule.back);
    let stretch = text.get(first..text.len().min(first + LONGEST))?;
    let groups = pattern.captures(stretch)?;
    let (whole, secret) = (groups.get(0)?, groups.get(1)?);
    let start = first + whole.start();
    if start > keyword || first + whole.end() < keyword {
        return None;
    }
    let verdict = (rule.check)(&Fit {
        rest: stretch.get(whole.start()..)?,
        before: text.get(start.saturating_sub(BEFORE)..start)?,
        length: whole.len(),
        secret: secret.as_bytes(),
    })?;
    let shown = stretch.get(whole.start()..secret.start())?;
    let shown = shown.get(shown.len().saturating_sub(MOST_SHOWN)..)?;
    let shown: String = shown.iter().map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { ' ' }).collect();
    // Only its length is told, so anything as long stands for it.
    let evidence = Evidence::masked(&shown, &"*".repeat(verdict.secret));
    let severity = verdict.severity.unwrap_or(rule.severity);
    Some((start, start + verdict.length, Hit { rule: at, lines: (0, 0), evidence, severity, note: verdict.note }))
}

fn lines(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
