//! The score that `dive` gives an image, by its definition, so that the two tools can stand in one pipeline: limits that were found with the one
//! hold for the other.
//!
//! Its definition: every path that is a leaf in the tree of a layer counts there with its size; a whiteout counts, at the path it takes away, with
//! the size of the directory it hides, and with nothing where that is a file. A path's least size over all layers, summed up over all
//! paths, divided by all sizes together is the score. Wasted are *all* sizes of paths that counted more than once, the copy that is
//! still seen among them. So the figure is not what could be saved: [`super::waste`] has that.
//!
//! What it does not do either: it heeds no opaque directories, and a file in a directory's place leaves what is in that. In one thing we part: it
//! leaves off reading a layer at a whiteout of something that never was; here that whiteout doesn't count.
//!
//! Facts: `dive`'s README and its observable figures.

use std::collections::HashMap;

use super::header::Kind;
use super::index::{Index, PathId, Whiteout, whiteout};
use super::tree::{NodeId, Tree};

/// `dive`'s figures for a stack of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Efficiency {
    /// From 0 to 1; 1 where there are no bytes at all.
    pub score: f64,
    /// Bytes of paths that counted more than once.
    pub wasted_bytes: u64,
    /// Bytes of files in all layers.
    pub size_bytes: u64,
    /// The same without the lowest layer: what the user added to the base.
    pub user_size_bytes: u64,
    /// Paths that counted more than once, the dearest first.
    pub paths: Vec<Inefficient>,
}

/// A path that counted more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inefficient {
    pub node: NodeId,
    /// Its sizes in all layers together.
    pub bytes: u64,
    /// How many times it counted.
    pub times: u32,
}

impl Efficiency {
    /// Reckons it up.
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let mut seen = vec![Seen::default(); tree.len()];
        let mut stacked = Stacked::new(tree);
        for (layer, index) in tree.layers().iter().enumerate() {
            let own = Own::new(tree, layer, index);
            // What the lowest layer hides is looked for in itself, and stays.
            if layer == 0 {
                stacked.add(&own);
            }
            let hidden = stacked.sizes(&own.hidden);
            for (node, size) in own.leaves.iter().copied().chain(hidden) {
                if let Some(seen) = seen.get_mut(node as usize) {
                    seen.count(size);
                }
            }
            if layer > 0 {
                for &node in &own.hidden {
                    stacked.remove(node);
                }
                stacked.add(&own);
            }
        }
        Self::sum(tree, &seen)
    }

    /// The part of the bytes that the user added that is wasted; over 1 where the base's files are written anew. 0 where nothing was added.
    #[must_use]
    pub fn user_wasted(&self) -> f64 {
        if self.user_size_bytes == 0 { 0.0 } else { ratio(self.wasted_bytes, self.user_size_bytes) }
    }

    fn sum(tree: &Tree, seen: &[Seen]) -> Self {
        let all = |part: fn(&Seen) -> u64| seen.iter().fold(0_u64, |sum, seen| sum.saturating_add(part(seen)));
        let (least, bytes) = (all(|seen| seen.least), all(|seen| seen.bytes));
        let often = (0..).map(NodeId).zip(seen).filter(|(_, seen)| seen.times > 1);
        let mut paths: Vec<_> = often.map(|(node, seen)| Inefficient { node, bytes: seen.bytes, times: seen.times }).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.bytes));
        let layer = |index: &Index| {
            index
                .members()
                .filter(|(_, member)| !member.path().is_empty())
                .fold(0_u64, |sum, (_, member)| sum.saturating_add(member.size()))
        };
        let sizes: Vec<u64> = tree.layers().iter().map(|index| layer(index)).collect();
        let total = |sizes: &[u64]| sizes.iter().fold(0_u64, |sum, size| sum.saturating_add(*size));
        Self {
            score: if bytes == 0 { 1.0 } else { ratio(least, bytes) },
            wasted_bytes: paths.iter().fold(0, |sum, path| sum.saturating_add(path.bytes)),
            size_bytes: total(&sizes),
            user_size_bytes: total(sizes.get(1..).unwrap_or_default()),
            paths,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// How a path counted until now.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    bytes: u64,
    least: u64,
    times: u32,
}

impl Seen {
    fn count(&mut self, size: u64) {
        self.least = if self.times == 0 { size } else { self.least.min(size) };
        self.bytes = self.bytes.saturating_add(size);
        self.times += 1;
    }
}

/// A layer's own tree, as far as it matters here. All numbers are nodes.
struct Own {
    /// Paths with what is told of them; nothing for directories that only have something below them.
    written: Vec<(u32, Option<Told>)>,
    leaves: Vec<(u32, u64)>,
    hidden: Vec<u32>,
}

impl Own {
    fn new(tree: &Tree, layer: usize, index: &Index) -> Self {
        let count = index.path_count();
        let paths = || (1..u32::try_from(count).unwrap_or(u32::MAX)).map(PathId);
        let mut inner = vec![false; count];
        for path in paths() {
            // Special marks are not put into its trees; whiteouts are.
            let is_there = !matches!(whiteout(index.name(path)), Some(Whiteout::Opaque | Whiteout::Other));
            if let Some(slot) = inner.get_mut(index.parent(path).at()).filter(|_| is_there) {
                *slot = true;
            }
        }
        let mut last = vec![None; count];
        let mut hidden = Vec::new();
        for (_, member) in index.members() {
            let path = member.path_id();
            match member.whiteout() {
                Some(Whiteout::Name(name)) => {
                    let dir = tree.node(layer, index.parent(path));
                    hidden.extend(dir.and_then(|dir| tree.child(dir, name)).map(|node| node.0));
                }
                Some(_) => {}
                None => {
                    if let Some(slot) = last.get_mut(path.at()) {
                        *slot = Some(member);
                    }
                }
            }
        }
        // A mark that is told twice is one path.
        hidden.sort_unstable();
        hidden.dedup();
        let mut own = Self { written: Vec::with_capacity(count), leaves: Vec::new(), hidden };
        for path in paths() {
            let Some(NodeId(node)) = tree.node(layer, path) else { continue };
            let member = last.get(path.at()).copied().flatten();
            own.written.push((node, member.map(|member| Told { size: member.size(), is_dir: member.kind() == Kind::Directory })));
            if !inner.get(path.at()).copied().unwrap_or_default() {
                own.leaves.push((node, member.map_or(0, |member| member.size())));
            }
        }
        own
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Told {
    size: u64,
    is_dir: bool,
}

/// Layers on top of each other in `dive`'s way.
struct Stacked<'a> {
    tree: &'a Tree,
    /// `None` for what is not there.
    nodes: Vec<Option<Told>>,
}

impl<'a> Stacked<'a> {
    fn new(tree: &'a Tree) -> Self {
        Self { tree, nodes: vec![None; tree.len()] }
    }

    fn add(&mut self, own: &Own) {
        for &(node, told) in &own.written {
            if let Some(slot) = self.nodes.get_mut(node as usize) {
                // What a layer only has something below of stays what it was.
                *slot = told.or(*slot).or(Some(Told::default()));
            }
        }
    }

    fn remove(&mut self, node: u32) {
        let mut left = vec![node];
        while let Some(node) = left.pop() {
            if let Some(slot) = self.nodes.get_mut(node as usize)
                && slot.take().is_some()
            {
                left.extend(self.tree.below(NodeId(node)));
            }
        }
    }

    /// The sizes of what is hidden, where it is there: of directories with all that is in them, of anything else nothing. `hidden` is in the order of nodes.
    fn sizes(&self, hidden: &[u32]) -> Vec<(u32, u64)> {
        let mut known: HashMap<u32, u64> = HashMap::new();
        // Those further down come first, so that nothing is summed up twice.
        for &top in hidden.iter().rev() {
            let (mut sum, mut left) = (0_u64, vec![top]);
            while let Some(node) = left.pop() {
                if let Some(size) = known.get(&node) {
                    sum = sum.saturating_add(*size);
                } else if let Some(told) = self.told(node) {
                    sum = sum.saturating_add(told.size);
                    left.extend(self.tree.below(NodeId(node)));
                }
            }
            known.insert(top, sum);
        }
        let is_dir = |node: u32| self.told(node).is_some_and(|told| told.is_dir);
        let there = hidden.iter().filter(|&&node| self.told(node).is_some());
        there.map(|&node| (node, if is_dir(node) { known.get(&node).copied().unwrap_or_default() } else { 0 })).collect()
    }

    fn told(&self, node: u32) -> Option<Told> {
        self.nodes.get(node as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::sample::{path, tree};

    type Layers<'a> = &'a [&'a [(char, &'a str, &'a str)]];

    fn told(layers: Layers<'_>) -> (f64, u64, Vec<(String, u64, u32)>) {
        let tree = tree(layers);
        let found = Efficiency::new(&tree);
        let paths = found.paths.iter().map(|one| (path(&tree, one.node), one.bytes, one.times)).collect();
        (found.score, found.wasted_bytes, paths)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_file_written_twice_counts_with_both_copies() {
        let (score, wasted, paths) = told(&[&[('f', "a", "1111"), ('f', "b", "22")], &[('f', "a", "333333")]]);
        assert!(near(score, 6.0 / 12.0), "{score}");
        assert_eq!((wasted, paths), (10, vec![("a".to_owned(), 10, 2)]));
    }

    #[test]
    fn a_whiteout_counts_for_nothing_at_a_file_and_with_all_that_is_in_a_directory() {
        let (score, wasted, paths) = told(&[&[('f', "a", "1111"), ('f', "b", "22")], &[('f', ".wh.a", "")]]);
        assert!(near(score, 2.0 / 6.0), "{score}");
        assert_eq!((wasted, paths), (4, vec![("a".to_owned(), 4, 2)]));
        // The directory is a leaf in no layer, so its whiteout stands alone: it counts once, and as no waste.
        let below: &[(char, &str, &str)] = &[('d', "d/", ""), ('f', "d/a", "1111"), ('f', "d/e/b", "22")];
        let (score, wasted, paths) = told(&[below, &[('f', ".wh.d", "")]]);
        assert!(near(score, 1.0), "{score}");
        assert_eq!((wasted, paths), (0, vec![]));
        // Made again empty, its least size is nothing.
        let (score, wasted, paths) = told(&[below, &[('f', ".wh.d", "")], &[('d', "d/", "")]]);
        assert!(near(score, 6.0 / 12.0), "{score}");
        assert_eq!((wasted, paths), (6, vec![("d".to_owned(), 6, 2)]));
    }

    #[test]
    fn marks_and_what_was_never_there_change_nothing() {
        let (score, wasted, _) = told(&[&[('f', "d/a", "1")], &[('f', "d/.wh..wh..opq", ""), ('f', ".wh.never", "")]]);
        assert!(near(score, 1.0), "{score}");
        assert_eq!(wasted, 0);
        assert!(near(told(&[&[('f', "empty", "")]]).0, 1.0));
        assert!(near(told(&[]).0, 1.0));
    }

    #[test]
    fn what_the_user_added_is_set_apart_from_the_base() {
        let tree = tree(&[&[('f', "base", "1111")], &[('f', "base", "22"), ('f', "own", "22")]]);
        let found = Efficiency::new(&tree);
        assert_eq!((found.size_bytes, found.user_size_bytes, found.wasted_bytes), (8, 4, 6));
        assert!(near(found.user_wasted(), 1.5));
    }
}
