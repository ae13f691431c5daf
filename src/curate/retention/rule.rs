//! One rule: what it looks at, and what it does with what it finds. A question that a row can't answer is answered with the fact it lacks.

use globset::GlobSet;
use jiff::Timestamp;
use regex::Regex;

use super::{Fact, Row};
use crate::curate::semver::{Range, Version};
use crate::model::{Platform, Severity};

/// A rule of a policy.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, else what it does in words.
    pub words: String,
    pub matches: Match,
    pub action: Action,
}

/// Which rows a rule is about: all that is asked must hold.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// Globs, one of which the tag must match.
    pub tags: Option<GlobSet>,
    /// Globs, none of which the tag may match.
    pub except: Option<GlobSet>,
    /// An expression to be found in the tag.
    pub regex: Option<Regex>,
    /// The tag is a version in this range.
    pub semver: Option<Range>,
    /// Labels by key, and by value where one is given.
    pub labels: Vec<(String, Option<String>)>,
    /// An image for this platform is among its images.
    pub platform: Option<Platform>,
    /// Older than this many seconds.
    pub older_than: Option<i64>,
    /// Not older than this many seconds.
    pub newer_than: Option<i64>,
    /// Ages count from when it was first seen, and not from when it was made.
    pub by_first_seen: bool,
    /// Not used for this many seconds.
    pub unused_for: Option<i64>,
    pub untagged: Option<bool>,
    pub in_use: Option<bool>,
    /// Something at least as bad was found in it when it was scanned.
    pub findings: Option<Severity>,
    /// Of these, or of all, there is something that a newer package mends.
    pub fixable: bool,
}

/// What a rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Stays, whatever a rule before this one says.
    Protect,
    Keep,
    Drop,
    KeepLast(KeepLast),
}

/// The newest of each group stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepLast {
    /// Images, not names: two tags of one digest count once, and stay together.
    pub last: usize,
    pub per: Group,
    pub by: Newest,
    /// Whether the others go; else they are left to the rules that follow.
    pub drop_rest: bool,
}

/// What makes a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    All,
    /// By version; a variant such as `alpine` is a line of its own.
    Major,
    Minor,
    /// What this group of the rule's expression captures.
    Capture(String),
}

/// What makes one newer than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    Version,
    Created,
    FirstSeen,
}

/// An answer to a question on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    No,
    Unknown(Fact),
    Yes,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Match {
    /// Whether all that is asked holds: one certain no is a no, whatever else is unknown.
    pub(super) fn holds(&self, row: &Row, now: Timestamp) -> Truth {
        if !self.holds_for_tag(row.tag.as_deref()) {
            return Truth::No;
        }
        let mut all = Truth::Yes;
        for question in [Self::use_, Self::ages, Self::unused, Self::of_labels, Self::of_platforms, Self::of_findings] {
            match question(self, row, now) {
                Truth::No => return Truth::No,
                Truth::Yes => {}
                unknown @ Truth::Unknown(_) => all = unknown,
            }
        }
        all
    }

    fn holds_for_tag(&self, tag: Option<&str>) -> bool {
        if self.untagged.is_some_and(|untagged| untagged != tag.is_none()) {
            return false;
        }
        let Some(tag) = tag else { return self.tags.is_none() && self.regex.is_none() && self.semver.is_none() };
        self.tags.as_ref().is_none_or(|globs| globs.is_match(tag))
            && !self.except.as_ref().is_some_and(|globs| globs.is_match(tag))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(tag))
            && self.semver.as_ref().is_none_or(|range| Version::parse(tag).is_some_and(|version| range.contains(&version)))
    }

    fn use_(&self, row: &Row, _: Timestamp) -> Truth {
        self.in_use.is_none_or(|in_use| in_use == row.in_use).into()
    }

    fn ages(&self, row: &Row, now: Timestamp) -> Truth {
        if self.older_than.is_none() && self.newer_than.is_none() {
            return Truth::Yes;
        }
        let (then, fact) = if self.by_first_seen { (row.first_seen, Fact::FirstSeen) } else { (row.created, Fact::Created) };
        let Some(then) = then else { return Truth::Unknown(fact) };
        let age = seconds(then, now);
        (self.older_than.is_none_or(|span| age > span) && self.newer_than.is_none_or(|span| age <= span)).into()
    }

    fn unused(&self, row: &Row, now: Timestamp) -> Truth {
        match (self.unused_for, row.last_used) {
            (None, _) => Truth::Yes,
            _ if row.in_use => Truth::No,
            (Some(_), None) => Truth::Unknown(Fact::LastUsed),
            (Some(span), Some(then)) => (seconds(then, now) > span).into(),
        }
    }

    fn of_labels(&self, row: &Row, _: Timestamp) -> Truth {
        if self.labels.is_empty() {
            return Truth::Yes;
        }
        let Some(labels) = &row.labels else { return Truth::Unknown(Fact::Labels) };
        let has = |(key, value): &(String, Option<String>)| {
            labels.get(key.as_str()).is_some_and(|found| value.as_ref().is_none_or(|value| found.raw() == value))
        };
        self.labels.iter().all(has).into()
    }

    fn of_platforms(&self, row: &Row, _: Timestamp) -> Truth {
        match (&self.platform, &row.platforms) {
            (None, _) => Truth::Yes,
            (Some(_), None) => Truth::Unknown(Fact::Platforms),
            (Some(wanted), Some(has)) => has.iter().any(|platform| platform.serves(wanted)).into(),
        }
    }

    fn of_findings(&self, row: &Row, _: Timestamp) -> Truth {
        if self.findings.is_none() && !self.fixable {
            return Truth::Yes;
        }
        let Some(found) = &row.found else { return Truth::Unknown(Fact::Findings) };
        found.has(self.findings.unwrap_or_default(), self.fixable).into()
    }

    /// The group of a row; `None` when the rule has no group for it, and so is not about it.
    pub(super) fn group(&self, per: &Group, tag: Option<&str>) -> Option<GroupKey> {
        let version = || Version::parse(tag?);
        Some(match per {
            Group::All => GroupKey::All,
            Group::Major => {
                let version = version()?;
                GroupKey::Line(version.major, None, version.flavour().to_owned())
            }
            Group::Minor => {
                let version = version()?;
                GroupKey::Line(version.major, Some(version.minor?), version.flavour().to_owned())
            }
            Group::Capture(name) => {
                let found = self.regex.as_ref()?.captures(tag?)?;
                let group = match name.parse::<usize>() {
                    Ok(number) => found.get(number),
                    Err(_) => found.name(name),
                };
                GroupKey::Text(group?.as_str().to_owned())
            }
        })
    }
}

/// What tells groups apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum GroupKey {
    All,
    /// Major, minor, and the word of the variant: `alpine` images are no older `slim` ones.
    Line(u64, Option<u64>, String),
    Text(String),
}

/// Seconds since `then`.
fn seconds(then: Timestamp, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(then.as_second())
}
