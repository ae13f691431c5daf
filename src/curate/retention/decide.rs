//! The rules in order, put to the rows that stand for themselves: the first that decides wins.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::follow::Bonds;
use super::rule::{Action, KeepLast, Newest, Rule, Truth};
use super::{Fact, Policy, Reason, Row};
use crate::model::version;

/// Why each row stays or goes, as far as that hangs on itself; `None` for what hangs on others.
pub(super) fn reasons(policy: &Policy, rows: &[Row], bonds: &Bonds<'_>, now: Timestamp) -> Vec<Option<Reason>> {
    let mut reasons: Vec<Option<Reason>> = rows.iter().map(|row| of_itself(policy, row)).collect();
    let protects = |rule: &Rule| rule.action == Action::Protect;
    // What protects holds for signatures and the like too.
    for (at, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| protects(rule)) {
        for (row, reason) in rows.iter().zip(&mut reasons).filter(|(_, reason)| reason.is_none()) {
            *reason = match rule.matches.holds(row, now) {
                Truth::Yes => Some(Reason::Protected(at)),
                Truth::Unknown(fact) => Some(Reason::Unknown(at, fact)),
                Truth::No => None,
            };
        }
    }
    let mut doubts = vec![None; rows.len()];
    for (at, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| !protects(rule)) {
        let undecided = |reasons: &[Option<Reason>]| -> Vec<usize> {
            (0..rows.len()).filter(|row| !bonds.is_follower(*row) && reasons.get(*row) == Some(&None)).collect()
        };
        let open = undecided(&reasons);
        match &rule.action {
            Action::KeepLast(last) => keep_last(&Numbered { at, rule, last }, rows, &open, now, &mut reasons),
            action => {
                for place in open {
                    let (Some(row), Some(reason), Some(doubt)) = (rows.get(place), reasons.get_mut(place), doubts.get_mut(place)) else {
                        continue;
                    };
                    match (rule.matches.holds(row, now), action) {
                        (Truth::No, _) => {}
                        (Truth::Yes, Action::Drop) => *reason = Some(Reason::Dropped(at)),
                        (Truth::Yes, _) => *reason = Some(Reason::Kept(at)),
                        // It may not be this rule that lets it go, but one of the next.
                        (Truth::Unknown(fact), Action::Drop) => _ = doubt.get_or_insert(Reason::Unknown(at, fact)),
                        (Truth::Unknown(fact), _) => *reason = Some(Reason::Unknown(at, fact)),
                    }
                }
            }
        }
    }
    for (at, (reason, doubt)) in reasons.iter_mut().zip(doubts).enumerate() {
        if !bonds.is_follower(at) {
            reason.get_or_insert(doubt.unwrap_or(Reason::Undecided));
        }
    }
    reasons
}

fn of_itself(policy: &Policy, row: &Row) -> Option<Reason> {
    match row {
        Row { digest: None, .. } => Some(Reason::Unread),
        Row { in_use: true, .. } if policy.keep_in_use => Some(Reason::InUse),
        _ => None,
    }
}

struct Numbered<'a> {
    at: usize,
    rule: &'a Rule,
    last: &'a KeepLast,
}

fn keep_last(numbered: &Numbered<'_>, rows: &[Row], open: &[usize], now: Timestamp, reasons: &mut [Option<Reason>]) {
    let Numbered { at, rule, last } = *numbered;
    let mut groups: HashMap<_, Vec<(usize, &Row)>> = HashMap::new();
    for &place in open {
        let (Some(row), Some(reason)) = (rows.get(place), reasons.get_mut(place)) else { continue };
        let holds = rule.matches.holds(row, now);
        let Some(key) = rule.matches.group(&last.per, row.tag.as_deref()).filter(|_| holds != Truth::No) else { continue };
        // What can't be placed in the order stays, and counts for none of the others.
        match (holds, missing(last.by, row)) {
            (Truth::Unknown(fact), _) | (_, Some(fact)) => *reason = Some(Reason::Unknown(at, fact)),
            _ => groups.entry(key).or_default().push((place, row)),
        }
    }
    for mut group in groups.into_values() {
        group.sort_unstable_by(|(_, one), (_, other)| newer(last.by, one, other));
        let mut kept = HashSet::new();
        let mut nth = 0;
        let mut seen = HashSet::new();
        for (place, row) in group {
            let Some(reason) = reasons.get_mut(place) else { continue };
            nth += usize::from(seen.insert(&row.digest));
            *reason = if kept.contains(&row.digest) {
                Some(Reason::LastToo(at))
            } else if kept.len() < last.last {
                kept.insert(&row.digest);
                Some(Reason::Last(at, nth))
            } else {
                last.drop_rest.then_some(Reason::Beyond(at, nth))
            };
        }
    }
}

const fn missing(by: Newest, row: &Row) -> Option<Fact> {
    match by {
        Newest::Created if row.created.is_none() => Some(Fact::Created),
        Newest::FirstSeen if row.first_seen.is_none() => Some(Fact::FirstSeen),
        _ => None,
    }
}

/// The newer first, and an order of all rows, so that it doesn't matter in which order they came.
fn newer(by: Newest, one: &Row, other: &Row) -> Ordering {
    let tags = |one: &Row, other: &Row| match (&one.tag, &other.tag) {
        (Some(one), Some(other)) => version::compare(one, other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    };
    let times = match by {
        Newest::Version => Ordering::Equal,
        Newest::Created => one.created.cmp(&other.created),
        Newest::FirstSeen => one.first_seen.cmp(&other.first_seen),
    };
    times.then_with(|| tags(one, other)).then_with(|| one.digest.cmp(&other.digest)).reverse()
}
