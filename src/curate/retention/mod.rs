//! Retention policies: which tags of a repository stay and which may go, each with the rule that says so.
//!
//! May use model only. [`Policy::parse`] reads the TOML that `example.toml` documents; [`Policy::check`] puts it to a list, and refuses one that
//! isn't proved complete; [`Policy::decide`] is the same without the refusal, for a preview while a rule is typed. What no rule decides stays,
//! and so does whatever a rule can't decide because a fact is missing: not knowing never deletes. What belongs to something else (the parts of
//! an index, signatures, SBOMs, other referrers) goes the way of what it belongs to, and is never judged by itself.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::model::findings::Gist;
use crate::model::remote::companion_of;
use crate::model::{Completeness, Digest, Foreign, Platform, Problem, ProblemKind, Safe, TagDetails};

mod decide;
mod follow;
pub mod import;
pub mod phrase;
mod read;
mod rule;

pub use rule::{Action, Group, KeepLast, Match, Newest, Rule};

use super::mistake::Mistake;

/// A policy to start from, every rule and condition explained.
pub const EXAMPLE: &str = include_str!("example.toml");
/// Percent of a repository that may go without its name being typed, where a policy says nothing.
pub const MOST_DROPPED: u8 = 50;

/// Rules in order: the first that decides wins.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Globs of repositories with their registries, which the policy is for; none means any.
    pub repositories: Vec<globset::GlobMatcher>,
    /// Percent of a repository's tags that may go without its name being typed.
    pub most_dropped: u8,
    /// Whether what containers use stays before any rule is asked.
    pub keep_in_use: bool,
    pub rules: Vec<Rule>,
}

/// A tag of a repository, or a manifest in it without one. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub tag: Option<String>,
    /// A row without one always stays: what it is can't be proved.
    pub digest: Option<Digest>,
    pub created: Option<Timestamp>,
    /// When it was seen here first: the nearest there is to the time it was pushed.
    pub first_seen: Option<Timestamp>,
    /// When an image of it was used here last; what was never seen used is not known to be unused.
    pub last_used: Option<Timestamp>,
    pub labels: Option<BTreeMap<Box<str>, Foreign>>,
    pub platforms: Option<Vec<Platform>>,
    /// The manifests of an index.
    pub children: Vec<Digest>,
    /// What it is about, of a signature or another referrer.
    pub subject: Option<Digest>,
    /// Whether a container uses its digest.
    pub in_use: bool,
    /// What its last scan came to.
    pub found: Option<Gist>,
}

impl Row {
    /// A tag whose details could not be read.
    #[must_use]
    pub fn unread(tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), subject: companion_of(tag).map(|(subject, _)| subject), ..Self::default() }
    }

    /// What a registry tells of a tag: labels, uses and first sight are the caller's to add.
    #[must_use]
    pub fn remote(details: &TagDetails) -> Self {
        let Self { subject, .. } = Self::unread(&details.tag);
        Self {
            subject: subject.or_else(|| details.subject.clone()),
            digest: Some(details.digest.clone()),
            created: details.created,
            // Where something is missing, the platforms that were found may not be all.
            platforms: details.gap.is_none().then(|| details.platforms.clone()),
            children: details.children.iter().map(|child| child.digest.clone()).collect(),
            ..Self::unread(&details.tag)
        }
    }

    /// Notes what containers use, and when what was used was used last: an index is, where one of its images is.
    pub fn note_use(&mut self, now: &HashSet<Digest>, last: &HashMap<Digest, Timestamp>) {
        let own = || self.digest.iter().chain(&self.children);
        (self.in_use, self.last_used) =
            (own().any(|digest| now.contains(digest)), own().filter_map(|digest| last.get(digest)).max().copied());
    }

    /// Its tag, else its digest.
    #[must_use]
    pub fn shown(&self) -> Safe {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Safe::ascii(tag),
            (None, Some(digest)) => Safe::new(digest.short()),
            (None, None) => Safe::new("-"),
        }
    }
}

/// The rows of one repository, and whether these are all.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// With its registry.
    pub repository: &'a str,
    pub rows: &'a [Row],
    pub completeness: &'a Completeness,
}

/// Why a row stays or goes. Rules and rows are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its digest is not known.
    Unread,
    InUse,
    /// Of a protecting rule, which holds wherever it stands.
    Protected(usize),
    Kept(usize),
    /// Among the last of its group, as the nth from 1.
    Last(usize, usize),
    /// Another name of one of the last of its group.
    LastToo(usize),
    /// The rule would decide if this were known, and what isn't known stays.
    Unknown(usize, Fact),
    /// It belongs to this row, which stays.
    Follows(usize),
    /// A part of the index of this row, which stays: its own rule would drop it.
    PartOf(usize),
    /// It belongs to something that is not in the list.
    Orphan,
    /// No rule decided.
    Undecided,
    Dropped(usize),
    /// Beyond the last of its group, as the nth from 1.
    Beyond(usize, usize),
    /// It belongs to this row, which goes, and to nothing that stays.
    FollowsGone(usize),
}

impl Reason {
    #[must_use]
    pub const fn drops(self) -> bool {
        matches!(self, Self::Dropped(_) | Self::Beyond(..) | Self::FollowsGone(_))
    }

    /// The rule that decided, counted from 0.
    #[must_use]
    pub const fn rule(self) -> Option<usize> {
        match self {
            Self::Protected(rule)
            | Self::Kept(rule)
            | Self::Last(rule, _)
            | Self::LastToo(rule)
            | Self::Unknown(rule, _)
            | Self::Dropped(rule)
            | Self::Beyond(rule, _) => Some(rule),
            _ => None,
        }
    }
}

/// What a condition asks and a row may not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Created,
    FirstSeen,
    LastUsed,
    Labels,
    Platforms,
    Findings,
}

impl Fact {
    const fn words(self) -> &'static str {
        match self {
            Self::Created => "when it was made",
            Self::FirstSeen => "when it was first seen",
            Self::LastUsed => "when it was last used",
            Self::Labels => "its labels",
            Self::Platforms => "its platforms",
            Self::Findings => "what is wrong with it",
        }
    }
}

/// What a policy says of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of every row, in the order of the list.
    pub reasons: Vec<Reason>,
    /// Rows that stand for themselves: not signatures and the like, whose fate hangs on others.
    pub of: usize,
    /// How many of these go.
    pub dropped: usize,
    /// More than the policy's share goes: the repository's name has to be typed.
    pub needs_name: bool,
}

impl Report {
    /// Percent of the repository that goes, rounded up.
    #[must_use]
    pub fn share(&self) -> usize {
        (self.dropped * 100).div_ceil(self.of.max(1))
    }
}

impl Policy {
    /// Reads a policy. A policy with a mistake in it is none: a rule that is passed over could have been the one that keeps.
    ///
    /// # Errors
    /// Every mistake, by line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        read::policy(text)
    }

    /// Whether the policy is for a repository (with its registry), as far as it names any.
    #[must_use]
    pub fn is_for(&self, repository: &str) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|glob| glob.is_match(repository))
    }

    /// Whether a rule looks at labels, which cost requests to read.
    #[must_use]
    pub fn needs_labels(&self) -> bool {
        self.rules.iter().any(|rule| !rule.matches.labels.is_empty())
    }

    /// Decides over a whole repository.
    ///
    /// # Errors
    /// A list that isn't proved complete: what is not in it may be what a kept index or "the last three" is about. A tag of which it isn't
    /// known what it points at: it may be an index, and need what would go.
    pub fn check(&self, listing: Listing<'_>, now: Timestamp) -> Result<Report, Problem> {
        if let Completeness::Incomplete(why) = listing.completeness {
            let doing = format!("decide what stays in {}", Safe::ascii(listing.repository));
            let problem = Problem::new(ProblemKind::Conflict, doing, format!("the list of tags may not be complete: {why}"));
            return Err(problem.hint("a policy never decides over a part of a repository; list it again"));
        }
        let unread: Vec<&Row> = listing.rows.iter().filter(|row| row.digest.is_none()).collect();
        if let Some(first) = unread.first() {
            let doing = format!("decide what stays in {}", Safe::ascii(listing.repository));
            let more = if unread.len() > 1 { format!(" and {} more", unread.len() - 1) } else { String::new() };
            let cause = format!("what {}{more} points at is not known, and may need what would go", first.shown());
            return Err(Problem::new(ProblemKind::Conflict, doing, cause).hint("delete a tag that is broken, or try again"));
        }
        Ok(self.decide(listing.rows, now))
    }

    /// Why a tag of which only the name is known stays whatever its row says: what protects holds for signatures and the like too.
    #[must_use]
    pub fn protects(&self, tag: &str, now: Timestamp) -> Option<Safe> {
        let row = Row::unread(tag);
        let holds = |rule: &Rule| rule.action == Action::Protect && rule.matches.holds(&row, now) != rule::Truth::No;
        let at = self.rules.iter().position(holds)?;
        Some(self.words(Reason::Protected(at), &[]))
    }

    /// Decides over the rows there are, for a preview.
    #[must_use]
    pub fn decide(&self, rows: &[Row], now: Timestamp) -> Report {
        let bonds = follow::Bonds::new(rows);
        let reasons = bonds.follow(rows, decide::reasons(self, rows, &bonds, now));
        let own = || reasons.iter().enumerate().filter(|(at, _)| !bonds.is_follower(*at));
        let (of, dropped) = (own().count(), own().filter(|(_, reason)| reason.drops()).count());
        Report { reasons, of, dropped, needs_name: dropped * 100 > of * usize::from(self.most_dropped) }
    }

    /// A decision in words: "rule 2 drops it: …".
    #[must_use]
    pub fn words(&self, reason: Reason, rows: &[Row]) -> Safe {
        let rule = |at: usize| self.rules.get(at).map_or_else(String::new, |rule| format!("rule {}: {}", at + 1, Safe::new(&rule.words)));
        let row = |at: usize| rows.get(at).map_or_else(|| "-".to_owned(), |row| row.shown().to_string());
        Safe::new(&match reason {
            Reason::Unread => "its digest is not known".to_owned(),
            Reason::InUse => "a container uses it".to_owned(),
            Reason::Protected(at) | Reason::Kept(at) | Reason::Dropped(at) => rule(at),
            Reason::Last(at, nth) => format!("{}; the {} of its group", rule(at), nth_newest(nth)),
            Reason::LastToo(at) => format!("{}; another name of one of these", rule(at)),
            Reason::Beyond(at, nth) => format!("{}; only the {} of its group", rule(at), nth_newest(nth)),
            Reason::Unknown(at, fact) => format!("{}; {} is not known, so it stays", rule(at), fact.words()),
            Reason::Follows(at) => format!("it belongs to {}, which stays", row(at)),
            Reason::PartOf(at) => format!("it is a part of {}, which stays", row(at)),
            Reason::Orphan => "what it belongs to is not in the list".to_owned(),
            Reason::Undecided => "no rule decides".to_owned(),
            Reason::FollowsGone(at) => format!("it belongs to {}, which goes", row(at)),
        })
    }
}

fn nth_newest(nth: usize) -> String {
    match (nth, nth % 10, nth % 100) {
        (1, ..) => "newest".to_owned(),
        (_, _, 11..=13) => format!("{nth}th newest"),
        (_, 1, _) => format!("{nth}st newest"),
        (_, 2, _) => format!("{nth}nd newest"),
        (_, 3, _) => format!("{nth}rd newest"),
        _ => format!("{nth}th newest"),
    }
}

#[cfg(test)]
mod tests;
