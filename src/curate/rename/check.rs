//! All wishes together, against every name that is taken: what is new, what moves, and what can't be, because two want it.

use std::collections::HashMap;

use super::{Names, Wish};
use crate::model::{Digest, Name};

/// What comes of one wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Nothing has the name.
    New,
    /// It has the name already: nothing to do.
    Same,
    /// The name is taken from what this digest names, which may lose its last name by that.
    Overwrites(Digest),
    /// Another wish, the first of them by its place, wants the name for another digest: neither can be carried out.
    Collides(usize),
    /// The name is outside the grammar.
    Invalid,
}

/// The mark of every wish, in their order.
#[must_use]
pub fn check(wishes: &[Wish], names: &Names) -> Vec<Mark> {
    let mut wanted: HashMap<&Name, Wanted<'_>> = HashMap::with_capacity(wishes.len());
    for (at, wish) in wishes.iter().enumerate() {
        let first = wanted.entry(&wish.to).or_insert(Wanted { at, digest: &wish.digest, other: None });
        if *first.digest != wish.digest && first.other.is_none() {
            first.other = Some(at);
        }
    }
    let mark = |(at, wish): (usize, &Wish)| {
        if !is_name(&wish.to) {
            return Mark::Invalid;
        }
        if let Some(Wanted { at: first, digest, other: Some(other) }) = wanted.get(&wish.to) {
            // Those that agree with the first collide with the one that does not.
            return Mark::Collides(if at == *first || **digest == wish.digest { *other } else { *first });
        }
        match names.get(&wish.to) {
            None => Mark::New,
            Some(holder) if *holder == wish.digest => Mark::Same,
            Some(holder) => Mark::Overwrites(holder.clone()),
        }
    };
    wishes.iter().enumerate().map(mark).collect()
}

/// Who wants one name.
struct Wanted<'a> {
    at: usize,
    digest: &'a Digest,
    /// The first who wants it for something else.
    other: Option<usize>,
}

/// Whether a name can be given: a repository, perhaps with its registry, and a tag.
pub(super) fn is_name(name: &Name) -> bool {
    use crate::model::remote::{is_repository, is_tag};
    let (repository, Some(tag)) = name.split() else { return false };
    let host = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b));
    let fits = is_repository(repository) || repository.split_once('/').is_some_and(|(first, rest)| host(first) && is_repository(rest));
    fits && is_tag(tag)
}
