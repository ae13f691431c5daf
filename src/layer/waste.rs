//! What an image carries that nobody sees: bytes that a later member hides, and one content under several names.
//!
//! Exact: a file's bytes count once, for the path they were written to, when nothing of the finished tree shows them any more, be it under the
//! name of a hard link. Directories, links and devices have no bytes of their own. For the score that `dive` gives, which counts in another
//! way, see [`super::efficiency`].

use std::collections::HashSet;

use super::content::ContentHash;
use super::header::Kind;
use super::index::{Member, MemberId};
use super::tree::{Event, NodeId, Tree, What};

/// What a stack of layers carries for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    /// By path, the dearest first.
    pub paths: Vec<Wasted>,
    /// By layer, the lowest first.
    pub layers: Vec<LayerWaste>,
    /// Contents that the finished tree has under more than one name, the dearest first.
    pub duplicates: Vec<Duplicate>,
}

/// A path with bytes that are hidden in the finished tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wasted {
    pub node: NodeId,
    /// Hidden by something else at the same path.
    pub overwritten: u64,
    /// Hidden because the path went.
    pub removed: u64,
    /// How many times it was written for nothing.
    pub times: u32,
}

impl Wasted {
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.overwritten.saturating_add(self.removed)
    }
}

/// What a layer brought of files' contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerWaste {
    pub written: u64,
    /// Of those, what is hidden in the finished tree.
    pub hidden: u64,
    /// What this layer hid, of lower ones and of its own.
    pub hides: u64,
}

/// One content under several names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Of one copy.
    pub size: u64,
    /// Two or more, by their order in the tree.
    pub nodes: Vec<NodeId>,
}

impl Duplicate {
    /// What all copies but one take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.size.saturating_mul((self.nodes.len() as u64).saturating_sub(1))
    }
}

impl Waste {
    /// Reckons it up: one pass over a tree.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let linked = linked(tree);
        let mut waste = Self { paths: Vec::new(), layers: vec![LayerWaste::default(); tree.layers().len()], duplicates: Vec::new() };
        for node in tree.nodes() {
            let events = tree.events(node);
            let mut wasted = Wasted { node, overwritten: 0, removed: 0, times: 0 };
            for (at, event) in events.iter().enumerate() {
                let Some((id, bytes)) = file(tree, event) else { continue };
                waste.layer(event.layer, |layer| layer.written = layer.written.saturating_add(bytes));
                let Some(after) = events.get(at + 1) else { continue };
                if linked.contains(&(event.layer, id)) {
                    continue;
                }
                waste.layer(event.layer, |layer| layer.hidden = layer.hidden.saturating_add(bytes));
                waste.layer(after.layer, |layer| layer.hides = layer.hides.saturating_add(bytes));
                let sum = if matches!(after.what, What::Removed(_)) { &mut wasted.removed } else { &mut wasted.overwritten };
                *sum = sum.saturating_add(bytes);
                wasted.times += 1;
            }
            if wasted.bytes() > 0 {
                waste.paths.push(wasted);
            }
        }
        // Nodes come in the order of the tree; those of one size stay so.
        waste.paths.sort_by_key(|path| std::cmp::Reverse(path.bytes()));
        waste.duplicates = duplicates(tree);
        waste
    }

    /// Hidden bytes in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.paths.iter().fold(0, |sum, path| sum.saturating_add(path.bytes()))
    }

    /// Bytes of files in all layers.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.written))
    }

    fn layer(&mut self, layer: u16, change: impl FnOnce(&mut LayerWaste)) {
        if let Some(layer) = self.layers.get_mut(usize::from(layer)) {
            change(layer);
        }
    }
}

/// A file that an event wrote, and its bytes in the tar.
fn file(tree: &Tree, event: &Event) -> Option<(MemberId, u64)> {
    let What::Wrote(id) = event.what else { return None };
    let member = tree.member(event.layer, id)?;
    is_file(&member).then(|| (id, member.stored()))
}

const fn is_file(member: &Member<'_>) -> bool {
    matches!(member.kind(), Kind::File | Kind::Sparse)
}

/// Files that the finished tree has under the name of a hard link.
fn linked(tree: &Tree) -> HashSet<(u16, MemberId)> {
    let last = tree.nodes().filter_map(|node| tree.events(node).last());
    last.filter_map(|event| Some((event.layer, tree.written(event)?.linked()?))).collect()
}

fn duplicates(tree: &Tree) -> Vec<Duplicate> {
    let mut files: Vec<(ContentHash, u64, NodeId)> = Vec::new();
    for node in tree.nodes() {
        let member = tree.events(node).last().and_then(|event| tree.written(event));
        if let Some(member) = member.filter(|member| member.size() > 0)
            && let Some(content) = member.content()
        {
            files.push((content, member.size(), node));
        }
    }
    files.sort_unstable();
    let same = files.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|same| same.len() > 1);
    let duplicate = |same: &[(ContentHash, u64, NodeId)]| Duplicate {
        size: same.first().map_or(0, |file| file.1),
        nodes: same.iter().map(|file| file.2).collect(),
    };
    let mut found: Vec<Duplicate> = same.map(duplicate).collect();
    found.sort_by(|a, b| b.bytes().cmp(&a.bytes()).then_with(|| a.nodes.cmp(&b.nodes)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::sample::{node, path, tree};

    fn wasted(tree: &Tree) -> Vec<(String, u64, u64, u32)> {
        let told = |wasted: &Wasted| (path(tree, wasted.node), wasted.overwritten, wasted.removed, wasted.times);
        Waste::new(tree).paths.iter().map(told).collect()
    }

    #[test]
    fn hidden_bytes_are_told_by_path_and_layer() {
        let tree = tree(&[
            &[('f', "a", "11"), ('f', "d/b", "333"), ('f', "d/c", "4444"), ('f', "same", "x")],
            &[('f', "a", "22222"), ('f', ".wh.d", "")],
            &[('f', "a", "3"), ('f', "again", "x"), ('x', "same", "x")],
        ]);
        let all = [("a".to_owned(), 7, 0, 2), ("d/c".to_owned(), 0, 4, 1), ("d/b".to_owned(), 0, 3, 1), ("same".to_owned(), 1, 0, 1)];
        assert_eq!(wasted(&tree), all);
        let waste = Waste::new(&tree);
        assert_eq!((waste.bytes(), waste.written()), (15, 18));
        let layer = |written, hidden, hides| LayerWaste { written, hidden, hides };
        assert_eq!(waste.layers, [layer(10, 10, 0), layer(5, 5, 9), layer(3, 0, 6)]);
        let copies = Duplicate { size: 1, nodes: vec![node(&tree, "same"), node(&tree, "again")] };
        assert_eq!((waste.duplicates, copies.bytes()), (vec![copies], 1));
    }

    #[test]
    fn a_file_that_a_hard_link_still_shows_is_not_wasted() {
        let files: &[(char, &str, &str)] = &[('f', "a", "11"), ('h', "b", "a")];
        assert_eq!(wasted(&tree(&[files, &[('f', ".wh.a", "")]])), []);
        let both = tree(&[files, &[('f', ".wh.a", ""), ('f', ".wh.b", "")]]);
        assert_eq!(wasted(&both), [("a".to_owned(), 0, 2, 1)]);
    }

    #[test]
    fn a_file_told_twice_in_one_layer_is_carried_twice() {
        assert_eq!(wasted(&tree(&[&[('f', "a", "11"), ('f', "./a", "2")]])), [("a".to_owned(), 2, 0, 1)]);
    }
}
