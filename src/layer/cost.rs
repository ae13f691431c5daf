//! All that a stack of layers carries for nothing, reckoned in one go for whoever looks through it: hidden bytes, copies, hints, and `dive`'s score.

use super::efficiency::Efficiency;
use super::hints::{Hint, hints};
use super::tree::{NodeId, Tree};
use super::waste::{Duplicate, Waste};

/// Made by [`Cost::new`]: a few passes over the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    pub waste: Waste,
    pub efficiency: Efficiency,
    /// By what heeding them would save, secrets first.
    pub hints: Vec<Hint>,
    /// Hidden bytes in all.
    pub wasted: u64,
    /// The names of all copies, one after the other: the duplicate, and which of its names.
    copies: Vec<(u32, u32)>,
}

impl Cost {
    #[must_use]
    pub fn new(tree: &Tree) -> Self {
        let waste = Waste::new(tree);
        let numbered =
            |(at, duplicate): (u32, &Duplicate)| (0..duplicate.nodes.len()).filter_map(move |n| Some((at, u32::try_from(n).ok()?)));
        let copies = (0..).zip(&waste.duplicates).flat_map(|(at, duplicate)| numbered((at, duplicate)).collect::<Vec<_>>()).collect();
        Self { efficiency: Efficiency::new(tree), hints: hints(tree), wasted: waste.bytes(), copies, waste }
    }

    /// How many names all copies have together.
    #[must_use]
    pub const fn copies(&self) -> usize {
        self.copies.len()
    }

    /// A name among all copies: the content, which of its names it is, and the path.
    #[must_use]
    pub fn copy(&self, at: usize) -> Option<(&Duplicate, usize, NodeId)> {
        let (of, which) = self.copies.get(at)?;
        let duplicate = self.waste.duplicates.get(*of as usize)?;
        Some((duplicate, *which as usize, *duplicate.nodes.get(*which as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::sample::{node, tree};

    #[test]
    fn copies_are_told_name_by_name_the_dearest_content_first() {
        let tree = tree(&[
            &[('f', "a", "1"), ('f', "b", "1"), ('f', "c", "22"), ('f', "d", "22"), ('f', "e", "22"), ('f', "gone", "333")],
            &[('f', ".wh.gone", ""), ('f', "alone", "4444")],
        ]);
        let cost = Cost::new(&tree);
        let told: Vec<_> = (0..cost.copies()).map(|at| cost.copy(at).map(|(of, which, node)| (of.size, which, node)).unwrap()).collect();
        let copy = |size, which, path| (size, which, node(&tree, path));
        assert_eq!(told, [copy(2, 0, "c"), copy(2, 1, "d"), copy(2, 2, "e"), copy(1, 0, "a"), copy(1, 1, "b")]);
        assert_eq!((cost.wasted, cost.copy(5)), (3, None));
    }
}
