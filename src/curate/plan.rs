//! Plans: made of what was looked at and what a user wants, put into the one order that is right, and searched for lines that get into
//! each other's way. The same wishes in any order make the same plan.
//!
//! May use model only. `local` knows engines and the store, `remote` registries, `transfer` what moves images, `inverse` the way back.

mod inverse;
mod local;
mod protect;
mod remote;
mod transfer;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{Digest, Foreign, Name, Operation, Safe, SourceId, Target, Verb};

pub use inverse::inverse;
pub use local::{holder, local, prune};
pub use protect::{Protection, nothing};
pub use remote::remote;
pub use transfer::{looked_at, push, transfer};

/// Names of one kind that a line gives; the rest is counted.
const MOST_NAMED: usize = 100;

/// What a user wants of one image or tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wish {
    /// `to` shall be the image `id` (of a registry: the manifest).
    Tag { id: Digest, to: Name },
    /// `to` shall be the manifest `id`, brought there from another repository: `from` as it is typed, such as `docker://host/app:1`.
    Copy { from: Name, id: Digest, to: Name },
    /// The image `id` of this machine, which has this name then, is pushed by it. `seen` is what the tag was at in its registry, `None` where that
    /// could not be looked at.
    Push { id: Digest, name: Name, seen: Option<Option<Digest>> },
    /// Take the tag, the manifest or the image away.
    Delete(Target),
    /// Take the tag alone away, whatever it is at.
    Untag(Name),
}

/// Lines of a plan that can't both be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Indexes into the operations, the first of them the lower.
    pub lines: (usize, usize),
    pub why: Safe,
}

/// Puts the lines into the order they run in: what brings something before what takes something away, then by source and name. Lines that
/// are the same twice become one.
#[must_use]
pub fn ordered(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations
        .sort_by_cached_key(|line| (rank(line), line.source.clone(), line.target.canonical(), line.before.clone(), line.after.clone()));
    operations.dedup_by(|one, other| {
        (one.verb, &one.source, &one.before, &one.after) == (other.verb, &other.source, &other.before, &other.after)
            && one.target.canonical() == other.target.canonical()
    });
    operations
}

/// Lines of a lower rank run before those of a higher one.
fn rank(line: &Operation) -> (Verb, bool) {
    // The parts of an index can go only after it.
    let index = line.media_type.as_ref().is_some_and(is_index);
    (line.verb, line.verb == Verb::DeleteManifest && !index)
}

fn is_index(media_type: &Foreign) -> bool {
    media_type.raw().contains(".image.index.") || media_type.raw().contains(".manifest.list.")
}

/// Keeps the order of the lines as far as it is one that they can run in: what brings something stays before what takes something away,
/// and a manifest after its tags and its index. Lines that are the same twice become one.
#[must_use]
pub fn arranged(mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut seen = HashSet::new();
    operations
        .retain(|line| seen.insert((line.verb, line.source.clone(), line.target.canonical(), line.before.clone(), line.after.clone())));
    operations.sort_by_key(stage);
    let mut batches: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, line) in operations.iter().enumerate().filter(|(_, line)| is_told_at_once(line)) {
        batches.entry(unit(line, at)).or_default().push(at);
    }
    for places in batches.into_values() {
        let mut lines: Vec<Operation> = places.iter().filter_map(|at| operations.get(*at).cloned()).collect();
        lines.sort_by_key(rank);
        for (at, line) in places.into_iter().zip(lines) {
            if let Some(slot) = operations.get_mut(at) {
                *slot = line;
            }
        }
    }
    operations
}

/// Why a line can't run before the one that comes ahead of it now; `None` where it can.
#[must_use]
pub fn held_back(ahead: &Operation, line: &Operation) -> Option<&'static str> {
    if stage(ahead) != stage(line) {
        return Some(match stage(ahead) {
            0 => "what brings an image runs before everything else",
            1 => "names are given before anything is pushed or taken away",
            2 => "what is pushed goes out before anything is taken away",
            _ => "names are taken away before what they name is deleted",
        });
    }
    let together = is_told_at_once(ahead) && is_told_at_once(line) && unit(ahead, 0) == unit(line, 0);
    together.then_some("a registry is told at once of all that is deleted in a repository, so the order says nothing")
}

const fn stage(line: &Operation) -> u8 {
    match line.verb {
        Verb::RestoreManifest | Verb::RestoreImage | Verb::Pull | Verb::Copy => 0,
        Verb::Tag | Verb::MoveTag => 1,
        // A name may have been given for this.
        Verb::Push => 2,
        Verb::Untag => 3,
        Verb::DeleteTag | Verb::DeleteManifest | Verb::DeleteImage => 4,
    }
}

/// A registry that deletes whole manifests has to be told all of their tags at once.
const fn is_told_at_once(line: &Operation) -> bool {
    matches!(line.verb, Verb::DeleteTag | Verb::DeleteManifest)
}

/// The same for lines that are done as one, within their stage.
fn unit(line: &Operation, at: usize) -> String {
    match line.verb {
        _ if is_told_at_once(line) => format!("{} {}", line.source, line.target.repository().unwrap_or_default()),
        // Two names of one image must not go at the same time: each keeps the image for the other.
        Verb::Untag | Verb::DeleteImage if line.source.registry_host().is_none() => {
            format!("{} {}", line.source, line.before.as_ref().map_or("", Digest::as_str))
        }
        // Where a tag goes by way of an empty manifest, the registry looks through all tags for those that go with it, and loses its way when
        // one of them goes at the same time: the tag stays in its list, at nothing.
        Verb::Untag => format!("{} {}", line.source, line.target.repository().unwrap_or_default()),
        // Podman writes all names of an image at once, and of two that are given at the same time loses one.
        Verb::Tag | Verb::MoveTag if line.source.registry_host().is_none() => {
            format!("{} {}", line.source, line.after.as_ref().map_or("", Digest::as_str))
        }
        _ => format!("{at:08}"),
    }
}

/// Lines that run at the same time, each an ordered group that is done as one.
pub type Stage = Vec<Vec<usize>>;

/// The stages a plan runs in, one after the other. Lines are indexes into `operations`, which must be [`ordered`] or [`arranged`]; groups of
/// a stage begin in the order of their first lines.
#[must_use]
pub fn stages(operations: &[Operation]) -> Vec<Stage> {
    let mut stages: BTreeMap<u8, (HashMap<String, usize>, Stage)> = BTreeMap::new();
    for (at, line) in operations.iter().enumerate() {
        let (groups, stage) = stages.entry(stage(line)).or_default();
        let group = *groups.entry(unit(line, at)).or_insert(stage.len());
        match stage.get_mut(group) {
            Some(lines) => lines.push(at),
            None => stage.push(vec![at]),
        }
    }
    stages.into_values().map(|(_, stage)| stage).collect()
}

/// Every pair of lines that get into each other's way. A plan with any must not run.
#[must_use]
pub fn clashes(operations: &[Operation]) -> Vec<Clash> {
    let mut found = Vec::new();
    let mut changed: HashMap<(Cow<'_, SourceId>, String), usize> = HashMap::new();
    let mut wanted: HashMap<(String, &Digest), usize> = HashMap::new();
    for (at, line) in operations.iter().enumerate() {
        let first = *changed.entry(line.changes()).or_insert(at);
        if first != at {
            let why = Safe::from(format!("two lines change {}", line.target.safe()));
            found.push(Clash { lines: (first, at), why });
        }
        if let (Verb::Tag | Verb::MoveTag | Verb::Copy | Verb::Push, Some(after)) = (line.verb, &line.after) {
            wanted.entry((room(line), after)).or_insert(at);
        }
    }
    for (at, line) in operations.iter().enumerate() {
        let goes = matches!(line.verb, Verb::DeleteTag | Verb::DeleteManifest | Verb::DeleteImage);
        let Some(before) = line.before.as_ref().filter(|_| goes) else { continue };
        if let Some(needs) = wanted.get(&(room(line), before)).and_then(|needs| operations.get(*needs).map(|line| (*needs, line))) {
            let (other, needing) = needs;
            let why = match line.verb {
                Verb::DeleteTag => format!(
                    "{} is to point at what {} is at, which a registry may delete with its tag: untag it instead",
                    needing.target.safe(),
                    line.target.safe()
                ),
                _ => format!("{} is to be at {}, which is to be deleted", needing.target.safe(), before.short()),
            };
            found.push(Clash { lines: (other.min(at), other.max(at)), why: Safe::from(why) });
        }
    }
    found.sort_by_key(|clash| clash.lines);
    found
}

/// Within this, one digest is one thing: a repository of a registry, else the whole source.
fn room(line: &Operation) -> String {
    match line.source.registry_host().and_then(|_| line.target.repository()) {
        Some(repository) => repository,
        None => line.source.0.clone(),
    }
}

/// Wishes without repetition, the same tag spelled in several ways being one.
fn distinct(wishes: &[Wish]) -> Vec<Wish> {
    let mut seen = BTreeSet::new();
    let mut wishes: Vec<&Wish> = wishes.iter().collect();
    wishes.sort();
    let key = |wish: &Wish| match wish {
        // From wherever a digest comes, it is the same.
        Wish::Tag { id, to } | Wish::Copy { id, to, .. } => (0, id.to_string(), Target::Tag(to.clone()).canonical()),
        Wish::Delete(target) => (1, String::new(), target.canonical()),
        Wish::Untag(name) => (2, String::new(), Target::Tag(name.clone()).canonical()),
        Wish::Push { id, name, .. } => (3, id.to_string(), Target::Tag(name.clone()).canonical()),
    };
    wishes.into_iter().filter(|wish| seen.insert(key(wish))).cloned().collect()
}

/// `1 tag: a`, `3 tags: a, b and c`, `12 tags: a, b, c and 9 more`.
fn counted_names(names: &[Foreign], noun: &str) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| name.safe().to_string()).collect();
    let more = names.len().saturating_sub(3);
    let named = if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) };
    format!("{}: {named}", super::words::counted(names.len(), noun))
}

/// `2 tags keep this image: a, b`.
fn keepers(names: &[Foreign], noun: &str, what: &str) -> String {
    let verb = if names.len() == 1 { "keeps" } else { "keep" };
    let named = counted_names(names, noun);
    let (count, list) = named.split_once(": ").unwrap_or((&named, ""));
    format!("{count} {verb} {what}: {list}")
}

/// At most [`MOST_NAMED`] of them.
fn some(names: impl IntoIterator<Item = Foreign>) -> Vec<Foreign> {
    names.into_iter().take(MOST_NAMED).collect()
}

#[cfg(test)]
mod tests;
