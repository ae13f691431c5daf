//! An advisory as it is kept: of what its publisher writes the part that is needed to say whether a version has the weakness, and to explain it.
//!
//! May use model, and `scan::version`. Facts: OSV's schema 1.7, "Evaluation".

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::model::finding::FixState;
use crate::scan::version::{Order, Version};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    /// Other ids of the same weakness.
    pub(super) aliases: Vec<String>,
    /// Where it is about several weaknesses: their ids, none of which is the same as this.
    pub(super) covers: Vec<String>,
    pub(super) title: String,
    pub(super) details: String,
    pub(super) rated: Vec<Rating>,
    pub(super) links: Vec<String>,
    pub(super) affected: Vec<Affected>,
}

/// What somebody says of how bad it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rating {
    pub(super) by: String,
    pub(super) says: Says,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Says {
    /// A distribution's or a database's own word.
    Word(String),
    /// A vector of CVSS, with its version as in "3.1" and its score in tenths.
    Vector { vector: String, version: String, score: u8 },
}

/// A package that has it, in some versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Affected {
    /// With the release behind a colon, where there are releases.
    pub(super) ecosystem: String,
    pub(super) name: String,
    pub(super) ranges: Vec<Vec<Event>>,
    /// Those that no range tells.
    pub(super) versions: Vec<String>,
    /// Of this package alone.
    pub(super) rated: Vec<Rating>,
    /// The release gets no more fixes.
    pub(super) is_over: bool,
}

/// A version at which something changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    /// It is there from this version on; "0" for ever.
    Introduced(String),
    /// It is gone from this version on.
    Fixed(String),
    /// It is still there in this one, and in none after.
    LastAffected(String),
    /// Nothing is said of this version and those after.
    Limit(String),
}

/// A version that has the weakness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    /// The next versions without it.
    pub(super) fixed: Vec<String>,
    pub(super) state: FixState,
}

/// The versions of an advisory can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unclear;

impl Affected {
    /// Whether `version` has it; `text` is the same version as it is written.
    ///
    /// # Errors
    /// It is in no part that can be understood, and some part can't be.
    pub(super) fn evaluate(&self, order: Order, version: &Version, text: &str) -> Result<Option<Hit>, Unclear> {
        let (mut hit, mut unclear): (Option<Hit>, bool) = (None, false);
        for range in &self.ranges {
            match within(range, order, version) {
                Ok(Within::Not) => {}
                Ok(Within::For) => drop(hit.get_or_insert_default()),
                Ok(Within::Until(next)) => hit.get_or_insert_default().fixed.push(next.to_owned()),
                Err(Unclear) => unclear = true,
            }
        }
        if hit.is_none() {
            let is = |told: &String| told == text || order.parse(told).is_some_and(|told| told == *version);
            if self.versions.iter().any(is) {
                hit = Some(Hit::default());
            } else if unclear {
                return Err(Unclear);
            }
        }
        Ok(hit.map(|mut hit| {
            hit.fixed.sort_unstable();
            hit.fixed.dedup();
            hit.state = match (hit.fixed.is_empty(), self.is_over, self.is_open()) {
                (false, ..) => FixState::Fixed,
                (true, true, _) => FixState::EndOfLife,
                (true, false, true) => FixState::NotFixed,
                (true, false, false) => FixState::Unknown,
            };
            hit
        }))
    }

    /// Whether it goes on for ever in some range.
    fn is_open(&self) -> bool {
        let ends = |event: &Event| !matches!(event, Event::Introduced(_));
        self.ranges.iter().any(|range| !range.is_empty() && !range.iter().any(ends))
    }
}

impl Default for Hit {
    fn default() -> Self {
        Self { fixed: Vec::new(), state: FixState::Unknown }
    }
}

/// Whether a version lies in a range.
enum Within<'a> {
    Not,
    /// Nothing is said of what mends it.
    For,
    /// Up to this version, which mends it.
    Until(&'a str),
}

fn within<'a>(range: &'a [Event], order: Order, version: &Version) -> Result<Within<'a>, Unclear> {
    let mut events = Vec::with_capacity(range.len());
    for event in range {
        events.push((event.at(order).ok_or(Unclear)?, event));
    }
    let mut limits = events.iter().filter(|(_, event)| matches!(event, Event::Limit(_))).peekable();
    if limits.peek().is_some() && !limits.any(|(at, _)| at.is_after(version)) {
        return Ok(Within::Not);
    }
    // What begins and what ends at one version stands in this order.
    let rank = |event: &Event| match event {
        Event::Introduced(_) => 0,
        Event::Fixed(_) => 1,
        Event::LastAffected(_) | Event::Limit(_) => 2,
    };
    events.sort_by(|(one, event), (two, its)| one.order(two).then_with(|| rank(event).cmp(&rank(its))));
    let mut affected = false;
    for (at, event) in &events {
        match event {
            Event::Limit(_) => {}
            // The first that comes after it says how it ends.
            Event::Fixed(text) if at.is_after(version) => return Ok(if affected { Within::Until(text) } else { Within::Not }),
            _ if at.is_after(version) => break,
            Event::Introduced(_) => affected = true,
            Event::Fixed(_) => affected = false,
            Event::LastAffected(_) => affected = affected && !at.is_before(version),
        }
    }
    Ok(if affected { Within::For } else { Within::Not })
}

/// Where an event stands among the versions.
enum At {
    Start,
    Version(Version),
    End,
}

impl Event {
    fn at(&self, order: Order) -> Option<At> {
        match self {
            Self::Introduced(text) if text == "0" => Some(At::Start),
            Self::Limit(text) if text == "*" => Some(At::End),
            Self::Introduced(text) | Self::Fixed(text) | Self::LastAffected(text) | Self::Limit(text) => order.parse(text).map(At::Version),
        }
    }
}

impl At {
    const fn place(&self) -> u8 {
        match self {
            Self::Start => 0,
            Self::Version(_) => 1,
            Self::End => 2,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Version(one), Self::Version(two)) => one.partial_cmp(two).unwrap_or(Ordering::Equal),
            _ => self.place().cmp(&other.place()),
        }
    }

    fn is_after(&self, version: &Version) -> bool {
        matches!(self, Self::End) || matches!(self, Self::Version(at) if at > version)
    }

    fn is_before(&self, version: &Version) -> bool {
        matches!(self, Self::Start) || matches!(self, Self::Version(at) if at < version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        let event = |word: &str| match word.split_once('=').unwrap() {
            ("from", at) => Event::Introduced(at.to_owned()),
            ("fixed", at) => Event::Fixed(at.to_owned()),
            ("last", at) => Event::LastAffected(at.to_owned()),
            (_, at) => Event::Limit(at.to_owned()),
        };
        text.split_whitespace().map(event).collect()
    }

    fn affected(ranges: &[&str], versions: &[&str]) -> Affected {
        let ranges = ranges.iter().map(|range| events(range)).collect();
        Affected { ranges, versions: versions.iter().map(|&text| text.to_owned()).collect(), ..Affected::default() }
    }

    /// What is said of a version: nothing, or what mends it and how that stands.
    fn of(affected: &Affected, version: &str) -> String {
        let parsed = Order::Semver.parse(version).unwrap();
        match affected.evaluate(Order::Semver, &parsed, version) {
            Ok(None) => "-".to_owned(),
            Ok(Some(hit)) => format!("{} {}", hit.state.word(), hit.fixed.join(",")).trim_end().to_owned(),
            Err(Unclear) => "unclear".to_owned(),
        }
    }

    #[test]
    fn ranges_are_read_as_the_schema_has_it() {
        let all = affected(&["from=0"], &[]);
        assert_eq!([of(&all, "0.0.1-a"), of(&all, "99")], ["not_fixed", "not_fixed"]);
        // In any order, with gaps between.
        let gaps = affected(&["fixed=2.1 from=2.0 fixed=1.5 from=1.0"], &[]);
        assert_eq!(
            ["0.9", "1.0", "1.4.9", "1.5", "2.0.9", "2.1"].map(|version| of(&gaps, version)),
            ["-", "fixed 1.5", "fixed 1.5", "-", "fixed 2.1", "-"]
        );
        let last = affected(&["from=1.0 last=1.5"], &[]);
        assert_eq!(["1.5", "1.5.1"].map(|version| of(&last, version)), ["unknown", "-"]);
        let limited = affected(&["from=1.0 limit=2.0 limit=1.5"], &[]);
        assert_eq!(["1.7", "2.0"].map(|version| of(&limited, version)), ["unknown", "-"]);
        assert_eq!(of(&affected(&["from=1.0 limit=*"], &[]), "7"), "unknown");
        // One that ends where the next begins.
        assert_eq!(of(&affected(&["from=1.0 fixed=2.0 from=2.0 fixed=3.0"], &[]), "2.0"), "-", "a fix is said after what begins there");
        let ends = affected(&["from=1.0 last=2.0 from=3.0 fixed=4.0"], &[]);
        assert_eq!(["1.5", "2.0", "2.1", "3.1"].map(|version| of(&ends, version)), ["unknown", "unknown", "-", "fixed 4.0"]);
        let two = affected(&["from=0 fixed=1.1", "from=0 fixed=1.2"], &[]);
        assert_eq!(["1.0", "1.1", "1.2"].map(|version| of(&two, version)), ["fixed 1.1,1.2", "fixed 1.2", "-"]);
    }

    #[test]
    fn lists_of_versions_count_beside_ranges() {
        let listed = affected(&["from=2.0 fixed=2.1"], &["1.0", "v1.1.0", "odd"]);
        assert_eq!(["1.0.0", "1.1", "1.2", "2.0"].map(|version| of(&listed, version)), ["unknown", "unknown", "-", "fixed 2.1"]);
        assert_eq!(of(&affected(&[], &[]), "1"), "-");
        assert_eq!(of(&affected(&[""], &[]), "1"), "-", "a range without events says nothing");
    }

    #[test]
    fn a_range_that_cannot_be_understood_is_said_unless_another_decides() {
        assert_eq!(of(&affected(&["from=0 fixed=???"], &[]), "1.0"), "unclear");
        assert_eq!(of(&affected(&["from=0 fixed=???", "from=0 fixed=2.0"], &["9"]), "1.0"), "fixed 2.0");
        assert_eq!(of(&affected(&["from=0 fixed=???"], &["1.0"]), "1.0"), "unknown");
    }
}
