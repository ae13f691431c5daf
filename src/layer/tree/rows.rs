//! The rows of a tree on the screen: what is folded open, as a list to move about in. A key costs what it changes, not what there is.

use super::{NodeId, Tree, View};

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub node: NodeId,
    /// 0 for what is in the root.
    pub depth: u16,
    pub open: bool,
}

/// The rows of one view. They go with the tree and the view they were made from: another view wants other rows, see [`Rows::again`].
#[derive(Debug, Clone)]
pub struct Rows {
    rows: Vec<Row>,
    /// What a filter leaves, by node; all where there is none.
    kept: Option<Vec<bool>>,
}

impl Rows {
    /// What is in the root, all of it folded.
    #[must_use]
    pub fn new(tree: &Tree, view: &View) -> Self {
        let mut rows = Self { rows: Vec::new(), kept: None };
        rows.rows = rows.inside(tree, view, NodeId::ROOT, 0, |_| false);
        rows
    }

    /// What is in the root, and in the directories that `open` says are open.
    #[must_use]
    pub fn opened(tree: &Tree, view: &View, open: impl Fn(NodeId) -> bool) -> Self {
        let mut rows = Self { rows: Vec::new(), kept: None };
        rows.rows = rows.inside(tree, view, NodeId::ROOT, 0, open);
        rows
    }

    /// The first row that is not open: with a filter, the first of what is looked for.
    #[must_use]
    pub fn first_folded(&self) -> Option<usize> {
        self.rows.iter().position(|row| !row.open)
    }

    /// Whether a directory's row is there and open.
    #[must_use]
    pub fn is_open(&self, id: NodeId) -> bool {
        self.rows.iter().any(|row| row.node == id && row.open)
    }

    /// The directories that are open.
    pub fn open_ones(&self) -> impl Iterator<Item = NodeId> {
        self.rows.iter().filter(|row| row.open).map(|row| row.node)
    }

    /// Rows of another view, scope, order or filter, in which the same directories are open.
    #[must_use]
    pub fn again(&self, tree: &Tree, view: &View) -> Self {
        let mut open: Vec<NodeId> = self.rows.iter().filter(|row| row.open).map(|row| row.node).collect();
        open.sort_unstable();
        let mut rows = Self { rows: Vec::new(), kept: self.kept.clone() };
        rows.rows = rows.inside(tree, view, NodeId::ROOT, 0, |id| open.binary_search(&id).is_ok());
        rows
    }

    /// Keeps what `wanted` says and the directories above that, which are open then; the rest is gone until [`Rows::new`].
    #[must_use]
    pub fn filtered(tree: &Tree, view: &View, wanted: impl Fn(NodeId) -> bool) -> Self {
        let mut kept = vec![false; tree.len()];
        let mut open = vec![false; tree.len()];
        for id in tree.nodes().rev() {
            let keep = kept.get(id.at()).copied().unwrap_or_default() || (id != NodeId::ROOT && view.shows(id) && wanted(id));
            let parent = tree.parent(id);
            if let Some(slot) = kept.get_mut(id.at()) {
                *slot = keep;
            }
            if keep && id != NodeId::ROOT {
                for marks in [&mut kept, &mut open] {
                    if let Some(slot) = marks.get_mut(parent.at()) {
                        *slot = true;
                    }
                }
            }
        }
        let mut rows = Self { rows: Vec::new(), kept: Some(kept) };
        rows.rows = rows.inside(tree, view, NodeId::ROOT, 0, |id| open.get(id.at()).copied().unwrap_or_default());
        rows
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in a window, for drawing.
    #[must_use]
    pub fn window(&self, start: usize, count: usize) -> &[Row] {
        let end = start.saturating_add(count).min(self.rows.len());
        self.rows.get(start.min(end)..end).unwrap_or_default()
    }

    #[must_use]
    pub fn get(&self, at: usize) -> Option<Row> {
        self.rows.get(at).copied()
    }

    /// The row of the directory that a row is in; `None` at the top.
    #[must_use]
    pub fn above(&self, at: usize) -> Option<usize> {
        let depth = self.rows.get(at)?.depth;
        self.rows.get(..at)?.iter().rposition(|row| row.depth < depth)
    }

    /// Opens a directory's row: what is in it follows. False where there is nothing to open.
    pub fn open(&mut self, tree: &Tree, view: &View, at: usize) -> bool {
        let Some(row) = self.rows.get(at).copied().filter(|row| !row.open) else { return false };
        let inside = self.inside(tree, view, row.node, row.depth.saturating_add(1), |_| false);
        if inside.is_empty() {
            return false;
        }
        if let Some(row) = self.rows.get_mut(at) {
            row.open = true;
        }
        let rest = self.rows.split_off(at + 1);
        self.rows.extend(inside);
        self.rows.extend(rest);
        true
    }

    /// Folds a directory's row. False where it is not open.
    pub fn close(&mut self, at: usize) -> bool {
        let Some(row) = self.rows.get_mut(at).filter(|row| row.open) else { return false };
        row.open = false;
        let depth = row.depth;
        let inside = self.rows.iter().skip(at + 1).take_while(|row| row.depth > depth).count();
        self.rows.drain(at + 1..at + 1 + inside);
        true
    }

    /// Opens all that can be opened.
    pub fn open_all(&mut self, tree: &Tree, view: &View) {
        self.rows = self.inside(tree, view, NodeId::ROOT, 0, |_| true);
    }

    /// Opens the directories above a path, and gives its row; `None` where the view or the filter doesn't show it.
    pub fn reveal(&mut self, tree: &Tree, view: &View, id: NodeId) -> Option<usize> {
        let mut way = vec![id];
        while let Some(parent) = way.last().map(|&id| tree.parent(id)).filter(|&id| id != NodeId::ROOT) {
            way.push(parent);
        }
        let mut at = 0;
        while let Some(id) = way.pop() {
            at += self.rows.get(at..)?.iter().position(|row| row.node == id)?;
            if !way.is_empty() {
                self.open(tree, view, at);
                at += 1;
            }
        }
        Some(at)
    }

    /// The rows below a directory; of those that are directories, the ones that `open` says are open.
    fn inside(&self, tree: &Tree, view: &View, dir: NodeId, depth: u16, open: impl Fn(NodeId) -> bool) -> Vec<Row> {
        let keeps = |id: &NodeId| self.kept.as_ref().is_none_or(|kept| kept.get(id.at()).copied().unwrap_or_default());
        let rows = |dir, depth| view.children(tree, dir).filter(keeps).map(move |node| Row { node, depth, open: false });
        let mut out = Vec::new();
        let mut left: Vec<Row> = rows(dir, depth).rev().collect();
        while let Some(mut row) = left.pop() {
            let before = left.len();
            if open(row.node) {
                left.extend(rows(row.node, row.depth.saturating_add(1)).rev());
            }
            row.open = left.len() > before;
            out.push(row);
        }
        out
    }
}
