//! When the tags of a repository were first seen at what they point at: a registry doesn't tell when a tag was pushed, so the first sight of it
//! here is the nearest there is. A tag that moves is new again, and so is one that comes back.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Tags that are noted of one repository. Of those beyond it nothing is known, which never makes one old.
const MOST: usize = 200_000;
/// 2025-01-01, in seconds since 1970. A clock that tells an earlier time is wrong, and would make a tag old for ever.
const EARLIEST: i64 = 1_735_689_600;

/// What is known of one repository's tags.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sightings {
    tags: BTreeMap<String, Sighting>,
    /// The latest time at which anything was seen, in seconds since 1970: a clock that tells an earlier one was set back, or this one was wrong.
    latest: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sighting {
    digest: Digest,
    /// Seconds since 1970.
    first_seen: i64,
}

impl Sightings {
    /// Takes the sight of a tag. `true` when there is something new to keep.
    pub fn saw(&mut self, tag: &str, digest: &Digest, at: Timestamp) -> bool {
        let at = at.as_second();
        if at < EARLIEST {
            return false;
        }
        let full = self.tags.len() >= MOST;
        // Time goes on only: a clock that was set back must make no tag older than it is.
        let at = at.max(self.latest);
        self.latest = at;
        match self.tags.get_mut(tag) {
            Some(sighting) if sighting.digest == *digest => return false,
            Some(sighting) => *sighting = Sighting { digest: digest.clone(), first_seen: at },
            None if full => return false,
            None => _ = self.tags.insert(tag.to_owned(), Sighting { digest: digest.clone(), first_seen: at }),
        }
        true
    }

    /// Forgets the tags that are not among all there are. `true` when there is something new to keep.
    pub fn listed(&mut self, all: &HashSet<&str>) -> bool {
        let before = self.tags.len();
        self.tags.retain(|tag, _| all.contains(tag.as_str()));
        self.tags.len() != before
    }

    /// When the tag was first seen at this digest; `None` where it was not.
    #[must_use]
    pub fn first_seen(&self, tag: &str, digest: &Digest) -> Option<Timestamp> {
        let sighting = self.tags.get(tag).filter(|sighting| sighting.digest == *digest)?;
        Timestamp::from_second(sighting.first_seen).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(EARLIEST + second).unwrap()
    }

    fn digest(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    #[test]
    fn a_tag_that_moves_or_comes_back_is_new() {
        let mut seen = Sightings::default();
        assert_eq!(seen.first_seen("1", &digest(1)), None);
        assert!(seen.saw("1", &digest(1), at(10)) && !seen.saw("1", &digest(1), at(20)));
        assert_eq!((seen.first_seen("1", &digest(1)), seen.first_seen("1", &digest(2))), (Some(at(10)), None));
        assert!(seen.saw("1", &digest(2), at(30)));
        assert_eq!((seen.first_seen("1", &digest(2)), seen.first_seen("1", &digest(1))), (Some(at(30)), None));
        assert!(seen.saw("1", &digest(1), at(40)) && seen.first_seen("1", &digest(1)) == Some(at(40)));
        assert!(!seen.listed(&HashSet::from(["1", "2"])) && seen.listed(&HashSet::from(["2"])));
        assert_eq!(seen.first_seen("1", &digest(1)), None);
    }

    #[test]
    fn a_clock_that_is_wrong_makes_no_tag_old() {
        let mut seen = Sightings::default();
        assert!(!seen.saw("1", &digest(1), Timestamp::UNIX_EPOCH), "a machine that was just switched on");
        assert_eq!(seen.first_seen("1", &digest(1)), None);
        assert!(seen.saw("1", &digest(1), at(1_000_000)) && !seen.saw("1", &digest(1), at(50)));
        assert_eq!(seen.first_seen("1", &digest(1)), Some(at(1_000_000)), "set back");
        assert!(seen.saw("2", &digest(1), at(60)) && seen.first_seen("2", &digest(1)) == Some(at(1_000_000)));
    }

    #[test]
    fn it_has_a_bound() {
        let sighting = Sighting { digest: digest(1), first_seen: EARLIEST };
        let mut seen = Sightings { latest: 0, tags: (0..MOST).map(|n| (n.to_string(), sighting.clone())).collect() };
        assert!(!seen.saw("more", &digest(1), at(1)) && seen.first_seen("more", &digest(1)).is_none());
        assert!(seen.saw("1", &digest(2), at(1)), "what is known is followed");
    }

    proptest! {
        /// Whatever was seen in whatever order, no tag counts as older than the first time it was seen without a break at what it is at.
        #[test]
        fn no_tag_is_older_than_its_sight(steps in prop::collection::vec((0_u8..3, 0_u8..3, 0_i64..1000), 1..30)) {
            let (mut seen, mut now) = (Sightings::default(), 0);
            let mut since: BTreeMap<u8, (u8, i64)> = BTreeMap::new();
            for (tag, is, later) in steps {
                now += later;
                seen.saw(&tag.to_string(), &digest(is), at(now));
                match since.get(&tag) {
                    Some((same, _)) if *same == is => {}
                    _ => drop(since.insert(tag, (is, now))),
                }
                for (tag, (is, then)) in &since {
                    prop_assert_eq!(seen.first_seen(&tag.to_string(), &digest(*is)), Some(at(*then)));
                }
            }
        }
    }
}
