//! What belongs to what: the parts of an index, signatures, SBOMs and other referrers go the way of what they belong to.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Reason, Row};
use crate::model::Digest;

/// Which rows hang on which digests.
#[derive(Debug)]
pub(super) struct Bonds<'a> {
    /// The rows of each digest.
    at: HashMap<&'a Digest, Vec<usize>>,
    /// The rows that are about a digest.
    about: HashMap<&'a Digest, Vec<usize>>,
    /// Whether a row's fate hangs on others alone.
    followers: Vec<bool>,
}

impl<'a> Bonds<'a> {
    pub(super) fn new(rows: &'a [Row]) -> Self {
        let (mut at, mut about): (HashMap<_, Vec<usize>>, HashMap<_, Vec<usize>>) = (HashMap::new(), HashMap::new());
        let mut parts = HashSet::new();
        for (place, row) in rows.iter().enumerate() {
            if let Some(digest) = &row.digest {
                at.entry(digest).or_default().push(place);
            }
            if let Some(subject) = &row.subject {
                about.entry(subject).or_default().push(place);
            }
            parts.extend(row.children.iter().filter(|child| row.digest.as_ref() != Some(child)));
        }
        let part = |row: &Row| row.tag.is_none() && row.digest.as_ref().is_some_and(|digest| parts.contains(digest));
        let followers = rows.iter().map(|row| row.subject.is_some() || part(row)).collect();
        Self { at, about, followers }
    }

    pub(super) fn is_follower(&self, row: usize) -> bool {
        self.followers.get(row) == Some(&true)
    }

    /// Every row that hangs on one of `from`, over however many steps, with the one it was reached from.
    fn reach(&self, rows: &[Row], from: impl Iterator<Item = usize>) -> Vec<Option<usize>> {
        let mut reached = vec![None; rows.len()];
        let mut queue: VecDeque<usize> = from.collect();
        let mut seen: HashSet<usize> = queue.iter().copied().collect();
        while let Some(place) = queue.pop_front() {
            let Some(row) = rows.get(place) else { continue };
            let parts = row.children.iter().filter_map(|child| self.at.get(child));
            let about = row.digest.as_ref().and_then(|digest| self.about.get(digest));
            for next in parts.chain(about).flatten().copied().filter(|next| *next != place) {
                if let Some(way) = reached.get_mut(next) {
                    way.get_or_insert(place);
                }
                if seen.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        reached
    }

    /// Decides what hangs on others. What stays is settled first: whatever hangs on it stays too, even a tag of its own that a rule drops.
    pub(super) fn follow(&self, rows: &[Row], mut reasons: Vec<Option<Reason>>) -> Vec<Reason> {
        let stays = |reasons: &[Option<Reason>]| -> Vec<usize> {
            (0..reasons.len()).filter(|at| reasons.get(*at).is_some_and(|reason| reason.is_some_and(|reason| !reason.drops()))).collect()
        };
        self.keep(rows, &mut reasons, stays);
        let gone = |at: &usize| reasons.get(*at).is_some_and(|reason| reason.is_some_and(Reason::drops));
        let with_gone = self.reach(rows, (0..rows.len()).filter(gone).collect::<Vec<_>>().into_iter());
        for (reason, with) in reasons.iter_mut().zip(&with_gone) {
            if reason.is_none() && with.is_none() {
                *reason = Some(Reason::Orphan);
            }
        }
        // What hangs on something that nobody decided stays with it.
        self.keep(rows, &mut reasons, stays);
        let left =
            |(reason, with): (Option<Reason>, Option<usize>)| reason.unwrap_or_else(|| with.map_or(Reason::Orphan, Reason::FollowsGone));
        reasons.into_iter().zip(with_gone).map(left).collect()
    }

    fn keep(&self, rows: &[Row], reasons: &mut [Option<Reason>], stays: impl Fn(&[Option<Reason>]) -> Vec<usize>) {
        let with = self.reach(rows, stays(reasons).into_iter());
        for (reason, with) in reasons.iter_mut().zip(with) {
            match (&reason, with) {
                (None, Some(with)) => *reason = Some(Reason::Follows(with)),
                (Some(own), Some(with)) if own.drops() => *reason = Some(Reason::PartOf(with)),
                _ => {}
            }
        }
    }
}
