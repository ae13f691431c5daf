//! When images were used last, as far as anybody looked: an engine doesn't keep that, so it is noted from what it tells while it is watched
//! and from the containers there are when it is listed.
//!
//! An image that was never seen used is as old as the first sight of it here, and no older: what happened before is not known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::image::ImageList;

const DAY: i64 = 86_400;
/// Uses that follow each other sooner than this many seconds are one: it keeps a busy engine from writing all the time.
const STEP: i64 = 600;
/// Days kept of those on which somebody looked.
const DAYS: usize = 800;

/// What is known of the uses of one source's images. Times are in whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uses {
    images: BTreeMap<Digest, Sight>,
    /// Days since 1970 (UTC) on which the source was looked at.
    days: BTreeSet<i64>,
}

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sight {
    first_seen: i64,
    last_used: Option<i64>,
}

impl Uses {
    /// Takes a list, and when its containers were seen to run last: new images are seen for the first time, and those that are gone are
    /// forgotten, so that one which comes back is new again. `true` when there is something new to keep.
    pub fn listed(&mut self, list: &ImageList, used: &[(Digest, Timestamp)]) -> bool {
        let (now, mut news) = (list.at.as_second(), self.looked(list.at));
        let here: HashSet<&Digest> = list.images.iter().map(|image| &image.id).collect();
        let before = self.images.len();
        self.images.retain(|id, _| here.contains(id));
        news |= self.images.len() != before;
        for id in here {
            if !self.images.contains_key(id) {
                self.images.insert(id.clone(), Sight { first_seen: now, last_used: None });
                news = true;
            }
        }
        for (id, at) in used {
            // A clock that goes before ours must not hide an image for years.
            news |= self.used(id, (*at).min(list.at));
        }
        news
    }

    /// Takes a use of an image. `true` when there is something new to keep; an image that was not listed yet is not known.
    pub fn used(&mut self, id: &Digest, at: Timestamp) -> bool {
        let Some(sight) = self.images.get_mut(id) else { return false };
        let later = sight.last_used.is_none_or(|last| at.as_second() >= last.saturating_add(STEP));
        if later {
            sight.last_used = Some(at.as_second());
        }
        later
    }

    fn looked(&mut self, at: Timestamp) -> bool {
        let news = self.days.insert(at.as_second().div_euclid(DAY));
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
        news
    }

    /// Adds what another program noted meanwhile of the same images.
    pub fn merge(&mut self, other: &Self) {
        for (id, theirs) in &other.images {
            if let Some(mine) = self.images.get_mut(id) {
                mine.first_seen = mine.first_seen.min(theirs.first_seen);
                mine.last_used = mine.last_used.max(theirs.last_used);
            }
        }
        self.days.extend(&other.days);
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
    }

    /// Whether it knows of no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// When it was first seen here.
    #[must_use]
    pub fn first_seen(&self, id: &Digest) -> Option<Timestamp> {
        Timestamp::from_second(self.images.get(id)?.first_seen).ok()
    }

    /// When it was last seen used; `None` also where it never was.
    #[must_use]
    pub fn last_used(&self, id: &Digest) -> Option<Timestamp> {
        Timestamp::from_second(self.images.get(id)?.last_used?).ok()
    }

    /// Since when no use of it was seen: its last use, or the first sight of it.
    #[must_use]
    pub fn idle_since(&self, id: &Digest) -> Option<Timestamp> {
        self.last_used(id).max(self.first_seen(id))
    }

    /// The same of every image.
    #[must_use]
    pub fn all_idle_since(&self) -> BTreeMap<Digest, Timestamp> {
        self.images.keys().filter_map(|id| Some((id.clone(), self.idle_since(id)?))).collect()
    }

    /// When the images of a list were used last, by the digests that registries know them by. One that was never seen used is not in it: before it
    /// was first seen it may have been. One that was is taken to be used no earlier than that, for the same reason.
    #[must_use]
    pub fn by_manifest(&self, list: &ImageList) -> HashMap<Digest, Timestamp> {
        let mut all: HashMap<Digest, Timestamp> = HashMap::new();
        for image in &list.images {
            let Some(at) = self.last_used(&image.id).and_then(|_| self.idle_since(&image.id)) else { continue };
            for digest in image.repo_digests.iter().filter_map(|name| name.split().1?.parse().ok()) {
                all.entry(digest).and_modify(|known| *known = at.max(*known)).or_insert(at);
            }
        }
        all
    }

    /// On how many of the days from `seconds` ago to now somebody looked.
    #[must_use]
    pub fn days_watched(&self, seconds: i64, now: Timestamp) -> usize {
        let today = now.as_second().div_euclid(DAY);
        self.days.range(today.saturating_sub(seconds / DAY).saturating_add(1)..=today).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ImageSummary, Name};

    fn id(n: u8) -> Digest {
        Digest::sha256(&[n])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn list(images: &[u8], second: i64) -> ImageList {
        let image = |n: &u8| ImageSummary {
            id: id(*n),
            tags: vec![],
            repo_digests: vec![],
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: BTreeMap::new(),
        };
        ImageList { images: images.iter().map(image).collect(), at: at(second), gaps: vec![] }
    }

    #[test]
    fn an_image_is_idle_since_its_last_use_or_the_first_sight_of_it() {
        let mut uses = Uses::default();
        assert_eq!(uses.idle_since(&id(1)), None, "never seen is not never used");
        assert!(uses.listed(&list(&[1, 2], 1000 * DAY), &[(id(1), at(990 * DAY)), (id(9), at(5))]));
        assert_eq!(uses.idle_since(&id(1)), Some(at(1000 * DAY)), "what was before the first sight may have been more");
        assert_eq!((uses.last_used(&id(1)), uses.last_used(&id(2))), (Some(at(990 * DAY)), None));
        assert!(!uses.listed(&list(&[1, 2], 1000 * DAY + 5), &[]), "nothing new");
        assert!(uses.used(&id(2), at(1001 * DAY)) && !uses.used(&id(2), at(1001 * DAY + STEP - 1)), "one use, one writing");
        assert!(!uses.used(&id(2), at(3)), "a use of long ago is no newer");
        assert_eq!(uses.idle_since(&id(2)), Some(at(1001 * DAY)));
        assert!(uses.listed(&list(&[1], 1002 * DAY), &[(id(1), at(9_999 * DAY))]));
        assert_eq!(uses.last_used(&id(1)), Some(at(1002 * DAY)), "no use is in the future");
        assert_eq!(uses.idle_since(&id(2)), None);
        assert!(uses.listed(&list(&[1, 2], 1050 * DAY), &[]));
        assert_eq!(uses.idle_since(&id(2)), Some(at(1050 * DAY)), "one that came back is new");
        assert_eq!((uses.days_watched(30 * DAY, at(1050 * DAY)), uses.days_watched(60 * DAY, at(1050 * DAY))), (1, 3));
    }

    #[test]
    fn a_manifest_is_used_when_an_image_of_it_is_and_else_that_is_not_known() {
        let manifest = |seed: &str| Digest::sha256(seed.as_bytes());
        let mut list = list(&[1, 2, 3], 1000 * DAY);
        let names =
            |digests: &[&str]| -> Vec<Name> { digests.iter().map(|seed| Name::new(&format!("r.io/app@{}", manifest(seed)))).collect() };
        list.images[0].repo_digests = names(&["a", "both"]);
        list.images[1].repo_digests = names(&["never"]);
        list.images[2].repo_digests = names(&["both"]);
        list.images[2].repo_digests.push(Name::new("r.io/app@sha256:short"));
        let mut uses = Uses::default();
        uses.listed(&list, &[(id(1), at(900 * DAY))]);
        uses.used(&id(3), at(1001 * DAY));
        let known = uses.by_manifest(&list);
        assert_eq!(known.get(&manifest("a")), Some(&at(1000 * DAY)), "no earlier than the first sight of it");
        assert_eq!((known.get(&manifest("both")), known.get(&manifest("never"))), (Some(&at(1001 * DAY)), None));
        assert_eq!(known.len(), 2);
        assert!(Uses::default().by_manifest(&list).is_empty());
    }

    #[test]
    fn two_programs_know_together_what_each_saw() {
        let (mut one, mut other) = (Uses::default(), Uses::default());
        one.listed(&list(&[1, 2], 20 * DAY), &[]);
        other.listed(&list(&[1, 3], 10 * DAY), &[(id(1), at(10 * DAY))]);
        one.used(&id(2), at(21 * DAY));
        one.merge(&other);
        assert_eq!((one.first_seen(&id(1)), one.last_used(&id(1))), (Some(at(10 * DAY)), Some(at(10 * DAY))));
        assert_eq!(one.last_used(&id(2)), Some(at(21 * DAY)));
        assert_eq!(one.first_seen(&id(3)), None, "what is gone here stays gone");
        assert_eq!(one.days_watched(30 * DAY, at(21 * DAY)), 2);
    }

    proptest! {
        /// However lists and uses follow each other, no image counts as idle for longer than it was known, nor as used after now.
        #[test]
        fn nothing_is_idle_before_it_was_seen(steps in prop::collection::vec((prop::collection::vec(0_u8..4, 0..4), 0_u8..4, 0_i64..90), 1..20)) {
            let (mut uses, mut now) = (Uses::default(), 0);
            let mut since: BTreeMap<u8, i64> = BTreeMap::new();
            for (images, used, days) in steps {
                now += days * DAY;
                uses.listed(&list(&images, now), &[(id(used), at(now + DAY))]);
                since.retain(|n, _| images.contains(n));
                for n in images {
                    since.entry(n).or_insert(now);
                }
                for n in 0..4 {
                    let idle = uses.idle_since(&id(n)).map(Timestamp::as_second);
                    prop_assert_eq!(idle.is_some(), since.contains_key(&n));
                    prop_assert!(idle.is_none_or(|idle| idle >= since[&n] && idle <= now));
                }
            }
        }
    }
}
