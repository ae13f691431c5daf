//! What is looked for among files: parts of a path, sizes, and what a layer did.

use super::{Change, NodeId, Tree, View};
use crate::model::size;

/// A filter over files. All of its terms must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// Part of the name, whatever the case.
    Name(Vec<u8>),
    /// Part of the path, whatever the case: what has a slash in it.
    Path(Vec<u8>),
    Larger(u64),
    Smaller(u64),
    Changed(Change),
}

impl Wanted {
    /// Reads terms between spaces: parts of names or, with a slash, of paths; `size:>1MB`, `size:<4k`; `change:added`, `modified`, `removed` or `repeated`.
    ///
    /// # Errors
    /// A sentence on the first term that means nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split_whitespace().map(term).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.trim().to_owned(), terms })
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is one of those that are looked for.
    #[must_use]
    pub fn matches(&self, tree: &Tree, view: &View, id: NodeId) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Name(part) => contains(tree.name(id), part),
            Term::Path(part) => contains(&[b"/", tree.path(id).as_slice()].concat(), part),
            Term::Larger(bytes) => !view.is_directory(tree, id) && view.bytes(id) > *bytes,
            Term::Smaller(bytes) => !view.is_directory(tree, id) && view.bytes(id) < *bytes,
            Term::Changed(change) => view.change(id) == Some(*change),
        })
    }
}

fn term(word: &str) -> Result<Term, String> {
    if let Some(bound) = word.strip_prefix("size:") {
        let (larger, number) = match (bound.strip_prefix('>'), bound.strip_prefix('<')) {
            (Some(number), _) => (true, number),
            (None, Some(number)) => (false, number),
            (None, None) => return Err("write size:>1MB or size:<4k".to_owned()),
        };
        let bytes = size::parse(number).ok_or_else(|| format!("{number} is no size"))?;
        return Ok(if larger { Term::Larger(bytes) } else { Term::Smaller(bytes) });
    }
    if let Some(change) = word.strip_prefix("change:") {
        return Ok(Term::Changed(match change {
            "added" => Change::Added,
            "modified" => Change::Modified,
            "removed" => Change::Removed,
            "repeated" => Change::Repeated,
            _ => return Err("a change is added, modified, removed or repeated".to_owned()),
        }));
    }
    let part = word.to_ascii_lowercase().into_bytes();
    Ok(if part.contains(&b'/') { Term::Path(part) } else { Term::Name(part) })
}

/// Whether `part`, in lower case, is in `text`.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_what_means_nothing_is_refused() {
        let read = Wanted::parse(" Passwd etc/ size:>1MB size:<4k change:removed ").unwrap();
        let expected = [
            Term::Name(b"passwd".to_vec()),
            Term::Path(b"etc/".to_vec()),
            Term::Larger(1_000_000),
            Term::Smaller(4_000),
            Term::Changed(Change::Removed),
        ];
        assert_eq!(read.terms, expected);
        for wrong in ["size:3", "size:>many", "change:gone"] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_part_is_found_whatever_the_case() {
        assert!(contains(b"README.md", b"readme") && contains(b"x", b"x"));
        assert!(!contains(b"", b"x") && !contains(b"READ", b"reads"));
    }
}
