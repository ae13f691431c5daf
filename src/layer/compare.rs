//! What differs between the files of two images: the finished trees of both, side by side.
//!
//! Two files are the same when all that is told of them is, times left aside: every build gives new ones. Contents are told apart by the
//! fingerprints that [`super::ContentHash`] describes.

use std::cmp::Ordering;

use super::index::Member;
use super::tree::{Change, NodeId, Scope, Tree, View};

/// One finished tree.
#[derive(Debug)]
pub struct Finished<'a> {
    pub tree: &'a Tree,
    view: View,
}

/// A path that the two don't have alike; at least one of them has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differs {
    pub before: Option<NodeId>,
    pub after: Option<NodeId>,
}

impl<'a> Finished<'a> {
    #[must_use]
    pub fn new(tree: &'a Tree) -> Self {
        Self { tree, view: View::new(tree, Scope::Merged(tree.layers().len().saturating_sub(1))) }
    }

    /// What the path is; `None` for a directory that no layer tells of.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<Member<'a>> {
        self.view.member(self.tree, id)
    }

    /// Whether a path is there, and not only known as gone.
    #[must_use]
    pub fn has(&self, id: NodeId) -> bool {
        self.view.shows(id) && self.view.change(id) != Some(Change::Removed)
    }

    /// The layer that the path is from, and its member there.
    #[must_use]
    pub fn origin(&self, id: NodeId) -> Option<(usize, super::MemberId)> {
        self.view.origin(self.tree, id)
    }

    fn children(&self, id: Option<NodeId>) -> Vec<NodeId> {
        let Some(id) = id else { return Vec::new() };
        self.view.children(self.tree, id).filter(|&child| self.has(child)).collect()
    }
}

/// All paths that differ, each directory before what is in it, by name.
#[must_use]
pub fn compare(before: &Finished<'_>, after: &Finished<'_>) -> Vec<Differs> {
    let mut found = Vec::new();
    let mut left = pairs(before, after, Some(NodeId::ROOT), Some(NodeId::ROOT));
    left.reverse();
    while let Some(pair) = left.pop() {
        if differs(before, after, pair) {
            found.push(pair);
        }
        let mut inside = pairs(before, after, pair.before, pair.after);
        inside.reverse();
        left.append(&mut inside);
    }
    found
}

fn differs(before: &Finished<'_>, after: &Finished<'_>, pair: Differs) -> bool {
    let (Some(one), Some(other)) = (pair.before, pair.after) else { return true };
    match (before.member(one), after.member(other)) {
        (Some(one), Some(other)) => !one.is_same(&other),
        // A directory is there by what lies in it, whatever the other image tells of it.
        _ => before.view.is_directory(before.tree, one) != after.view.is_directory(after.tree, other),
    }
}

/// What is in a directory of the one or of the other, by name.
fn pairs(before: &Finished<'_>, after: &Finished<'_>, one: Option<NodeId>, other: Option<NodeId>) -> Vec<Differs> {
    let (ours, theirs) = (before.children(one), after.children(other));
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut out = Vec::new();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return out,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(&one), Some(&other)) => before.tree.name(one).cmp(after.tree.name(other)),
        };
        let one = if order == Ordering::Greater { None } else { ours.next() };
        let other = if order == Ordering::Less { None } else { theirs.next() };
        out.push(Differs { before: one, after: other });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layer::index::{Known, read};

    /// Names with their contents; one that ends in a slash is a directory.
    fn tree(layers: &[&[(&str, &str)]]) -> Tree {
        let layer = |files: &&[(&str, &str)]| {
            let mut out = tar::Builder::new(Vec::new());
            for (path, body) in *files {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o644);
                header.set_size(body.len() as u64);
                header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
                out.append_data(&mut header, path, body.as_bytes()).unwrap();
            }
            Arc::new(read(&out.into_inner().unwrap()[..], &Known::default()))
        };
        Tree::new(layers.iter().map(layer).collect()).unwrap()
    }

    fn told(before: &Tree, after: &Tree) -> Vec<String> {
        let (before, after) = (Finished::new(before), Finished::new(after));
        let line = |pair: Differs| match (pair.before, pair.after) {
            (Some(one), None) => format!("-{}", String::from_utf8(before.tree.path(one)).unwrap()),
            (None, Some(other)) => format!("+{}", String::from_utf8(after.tree.path(other)).unwrap()),
            (Some(one), Some(_)) => format!("~{}", String::from_utf8(before.tree.path(one)).unwrap()),
            (None, None) => "?".to_owned(),
        };
        compare(&before, &after).into_iter().map(line).collect()
    }

    #[test]
    fn only_what_differs_in_the_end_is_told() {
        let before = tree(&[&[("a", "1"), ("d/x", "1"), ("d/y", "1"), ("gone", "1"), ("hidden", "1")], &[(".wh.hidden", "")]]);
        let after = tree(&[&[("a", "old"), ("d/x", "2"), ("d/y", "1"), ("e/z", "1")], &[("a", "1")]]);
        assert_eq!(told(&before, &after), ["~d/x", "+e", "+e/z", "-gone"]);
        assert_eq!(told(&before, &before), [""; 0]);
        let empty = tree(&[]);
        assert_eq!(told(&empty, &after), ["+a", "+d", "+d/x", "+d/y", "+e", "+e/z"]);
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_differs_with_all_that_is_in_it() {
        let (file, dir) = (tree(&[&[("a", "1")]]), tree(&[&[("a/b", "1")]]));
        assert_eq!(told(&file, &dir), ["~a", "+a/b"]);
        assert_eq!(told(&dir, &file), ["~a", "-a/b"]);
        // Told or not, a directory is one.
        assert_eq!(told(&dir, &tree(&[&[("a/", ""), ("a/b", "1")]])), [""; 0]);
    }
}
