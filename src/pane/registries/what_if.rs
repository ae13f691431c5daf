//! A retention policy as it is typed, over the tags of the open repository: what every tag would come to and by which rule. Nothing goes
//! before it is planned. What a row is made of is kept between keys, so that a key costs the deciding alone.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use tui_input::Input;

use crate::curate::retention::{Fact, Policy, Reason, Report, Row, phrase};
use crate::model::findings::{Gist, Gists};
use crate::model::{Digest, Labels, Problem, ProblemKind, Safe, TagDetails, TagRow};

/// What containers use, and what they used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    Known {
        now: HashSet<Digest>,
        /// When the images of this machine were used last, as far as that is known.
        last: HashMap<Digest, Timestamp>,
    },
    /// Why that isn't known.
    Unknown(&'static str),
}

/// How a decision is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Keep,
    Drop,
    Protect,
    /// No rule is about it.
    Undecided,
    /// Something is not known, and so it stays.
    Unknown,
}

impl Decision {
    const fn of(reason: Reason) -> Self {
        match reason {
            reason if reason.drops() => Self::Drop,
            Reason::Protected(_) => Self::Protect,
            Reason::Undecided | Reason::Orphan => Self::Undecided,
            Reason::Unread | Reason::Unknown(..) => Self::Unknown,
            _ => Self::Keep,
        }
    }

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Protect => "protect",
            Self::Undecided | Self::Unknown => "stays",
        }
    }
}

/// A policy over the tags.
#[derive(Debug)]
pub struct WhatIf {
    pub input: Input,
    /// The last text that was a policy; it stays in force while a mistake is typed.
    policy: Option<Policy>,
    /// The same as a file.
    toml: String,
    /// Why the text is none as it stands.
    pub mistake: Option<Safe>,
    /// The text that stands for a file that was read.
    loaded: Option<String>,
    /// Of the tags in the grammar, and where each tag's is.
    rows: Vec<Row>,
    at: HashMap<String, usize>,
    /// Tags that were not read since the list was asked for last.
    unread: usize,
    /// Tags whose labels the policy asks for and that were not read.
    unlabelled: usize,
    used: Used,
    report: Option<Report>,
    /// Rows are to be made anew, or only to be decided over.
    outdated: bool,
    undecided: bool,
}

/// The tags that it is about, as the pane has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub list: &'a [TagRow],
    pub details: &'a HashMap<String, Result<TagDetails, Problem>>,
    pub fresh: &'a HashSet<String>,
    pub sightings: &'a HashMap<String, (Digest, Timestamp)>,
    /// By what tags point at; `None` where they can't be read.
    pub labels: &'a HashMap<Digest, Option<Labels>>,
    pub gists: &'a Gists,
}

impl WhatIf {
    pub(super) fn new(seen: Seen<'_>, used: Used) -> Self {
        let mut what_if = Self {
            input: Input::default(),
            policy: None,
            toml: String::new(),
            mistake: None,
            loaded: None,
            rows: Vec::new(),
            at: HashMap::new(),
            unread: 0,
            unlabelled: 0,
            used,
            report: None,
            outdated: true,
            undecided: true,
        };
        what_if.gather(seen);
        what_if
    }

    fn row(&self, tag: &str, seen: Seen<'_>) -> Row {
        let mut row = match seen.details.get(tag) {
            Some(Ok(details)) => Row::remote(details),
            _ => Row::unread(tag),
        };
        row.found = match seen.details.get(tag) {
            Some(Ok(details)) => Gist::of_tag(seen.gists, details).copied(),
            _ => None,
        };
        if let Used::Known { now, last } = &self.used {
            row.note_use(now, last);
        }
        let sighting = seen.sightings.get(tag).filter(|(digest, _)| row.digest.as_ref() == Some(digest));
        row.first_seen = sighting.map(|(_, at)| *at);
        row.labels = row.digest.as_ref().and_then(|digest| seen.labels.get(digest)).cloned().flatten();
        row
    }

    /// Makes all rows anew.
    fn gather(&mut self, seen: Seen<'_>) {
        // What is gone since it was listed needs nothing any more.
        let gone = |tag: &str| matches!(seen.details.get(tag), Some(Err(problem)) if problem.kind == ProblemKind::NotFound);
        let fit = || seen.list.iter().filter(|row| row.fit).map(|row| row.tag.raw()).filter(|tag| !gone(tag));
        self.rows = fit().map(|tag| self.row(tag, seen)).collect();
        self.at = fit().enumerate().map(|(at, tag)| (tag.to_owned(), at)).collect();
        self.unread = fit().filter(|tag| !seen.fresh.contains(*tag)).count();
        (self.outdated, self.undecided) = (false, true);
    }

    /// The list is another one, or what containers use.
    pub(super) const fn outdate(&mut self) {
        self.outdated = true;
    }

    pub fn use_known(&mut self, used: Used) {
        if self.used != used {
            self.used = used;
            self.outdated = true;
        }
    }

    /// What some tags point at came, those of `answers`.
    pub(super) fn detailed<'a>(&mut self, answers: impl Iterator<Item = &'a String>, seen: Seen<'_>) {
        for tag in answers {
            self.outdated |= matches!(seen.details.get(tag), Some(Err(_)));
            let row = self.row(tag, seen);
            if let Some(slot) = self.at.get(tag).and_then(|at| self.rows.get_mut(*at)) {
                *slot = row;
            }
        }
        self.unread = seen.list.iter().filter(|row| row.fit && !seen.fresh.contains(row.tag.raw())).count();
        self.undecided = true;
    }

    /// Reads the text as it stands, and decides.
    pub(super) fn think(&mut self, seen: Seen<'_>, now: Timestamp) {
        let text = self.input.value().trim();
        if self.loaded.as_deref() != Some(text) {
            self.loaded = None;
            match phrase::policy(text) {
                Ok(said) => (self.policy, self.toml, self.mistake) = (Some(said.policy), said.toml, None),
                Err(_) if text.is_empty() => (self.policy, self.report, self.mistake) = (None, None, None),
                Err(_) if text.starts_with('@') => self.mistake = Some(Safe::new("Enter reads this file")),
                Err(mistakes) => self.mistake = mistakes.first().map(|mistake| Safe::new(&words(mistake))),
            }
            self.undecided = true;
        }
        self.settle(seen, now);
    }

    /// A policy out of a file stands in the place of the text, until that changes.
    pub fn load(&mut self, policy: Policy, toml: String) {
        (self.policy, self.toml, self.mistake) = (Some(policy), toml, None);
        self.loaded = Some(self.input.value().trim().to_owned());
        self.undecided = true;
    }

    /// Decides, if anything is another than when it was decided last.
    pub(super) fn settle(&mut self, seen: Seen<'_>, now: Timestamp) {
        if self.outdated {
            self.gather(seen);
        }
        if self.undecided {
            let asks = self.policy.as_ref().is_some_and(Policy::needs_labels) && self.unread == 0;
            let unknown = |row: &&Row| row.digest.as_ref().is_some_and(|digest| !seen.labels.contains_key(digest));
            self.unlabelled = if asks { self.rows.iter().filter(unknown).count() } else { 0 };
        }
        if std::mem::take(&mut self.undecided) {
            self.report = self.policy.as_ref().map(|policy| policy.decide(&self.rows, now));
        }
    }

    /// The policy in force, where the text is one.
    #[must_use]
    pub const fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    #[must_use]
    pub fn toml(&self) -> &str {
        &self.toml
    }

    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    #[must_use]
    pub const fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    #[must_use]
    pub const fn unread(&self) -> usize {
        self.unread
    }

    /// Tags whose labels are asked for and not read yet; 0 before all tags are read.
    #[must_use]
    pub const fn unlabelled(&self) -> usize {
        self.unlabelled
    }

    #[must_use]
    pub const fn used(&self) -> &Used {
        &self.used
    }

    /// Whether what containers use matters.
    #[must_use]
    pub fn asks_for_use(&self) -> bool {
        let asks = |policy: &Policy| {
            policy.keep_in_use || policy.rules.iter().any(|rule| rule.matches.in_use.is_some() || rule.matches.unused_for.is_some())
        };
        self.policy.as_ref().is_some_and(asks)
    }

    /// What a tag comes to, and why.
    #[must_use]
    pub fn decision(&self, tag: &str) -> Option<(Decision, Safe)> {
        let (policy, report) = (self.policy.as_ref()?, self.report.as_ref()?);
        let at = *self.at.get(tag)?;
        let reason = *report.reasons.get(at)?;
        let words = match reason {
            Reason::Unread => Safe::new("not read yet"),
            reason => policy.words(reason, &self.rows),
        };
        Some((Decision::of(reason), words))
    }

    /// A fact that rules ask for and that is never read here.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        let unknown = |fact: Fact| {
            self.report
                .as_ref()
                .is_some_and(|report| report.reasons.iter().any(|reason| matches!(reason, Reason::Unknown(_, other) if *other == fact)))
        };
        [(Fact::Labels, "labels"), (Fact::Findings, "findings"), (Fact::FirstSeen, "first seen"), (Fact::LastUsed, "last used")]
            .into_iter()
            .find_map(|(fact, words)| unknown(fact).then_some(words))
    }
}

/// A mistake on one line: where it is shows, and which line does not matter.
fn words(mistake: &crate::curate::mistake::Mistake) -> String {
    match &mistake.hint {
        Some(hint) => format!("{}: {hint}", mistake.words),
        None => mistake.words.clone(),
    }
}
