//! What is to be seen of a tree: all that is there after some layer, or what one layer did; with sizes and counts summed up for directories.
//!
//! A view is one pass over the nodes, for when the scope changes; moving about in it costs nothing of that kind (see [`super::Rows`]).

use super::{Deed, Event, NONE, NodeId, Tree, What};
use crate::layer::Kind;
use crate::layer::index::{Member, MemberId};

/// Which part of a tree is seen. Layers count from 0, the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All that is there after that layer, with its changes marked, and what it removed.
    Merged(usize),
    /// Only what that layer changed, and the directories above that.
    Layer(usize),
}

impl Scope {
    const fn layer(self) -> usize {
        match self {
            Self::Merged(layer) | Self::Layer(layer) => layer,
        }
    }
}

/// What a layer changed of a path, told by how it was before the layer and how it is after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Added,
    /// Its content, kind, rights, owner or attributes.
    Modified,
    Removed,
    /// Written again just as it was: nothing but its bytes is new.
    Repeated,
}

/// How the children of a directory are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    #[default]
    Name,
    /// The largest first; those of one size by name.
    Size,
}

/// How many paths a layer changed, directories among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub added: u64,
    pub modified: u64,
    pub removed: u64,
    pub repeated: u64,
}

/// A part of a tree, summed up.
#[derive(Debug, Clone)]
pub struct View {
    scope: Scope,
    cells: Vec<Cell>,
    counts: Counts,
    order: Order,
    /// The tree's children in the view's order, where that is not by name.
    children: Option<Vec<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Of what is seen there: of it and all below.
    bytes: u64,
    files: u32,
    /// Which of the node's events is seen: what is there, or what went.
    event: u32,
    change: Option<Change>,
    shown: bool,
    /// Whether something below it changed.
    below: bool,
}

const UNSEEN: Cell = Cell { bytes: 0, files: 0, event: NONE, change: None, shown: false, below: false };

impl View {
    /// Sums up what is in `scope`; a layer that the tree doesn't have shows as the highest does, unchanged.
    #[must_use]
    pub fn new(tree: &Tree, scope: Scope) -> Self {
        let mut view = Self { scope, cells: vec![UNSEEN; tree.len()], counts: Counts::default(), order: Order::Name, children: None };
        for id in tree.nodes() {
            let cell = view.cell(tree, id);
            match cell.change {
                Some(Change::Added) => view.counts.added += 1,
                Some(Change::Modified) => view.counts.modified += 1,
                Some(Change::Removed) => view.counts.removed += 1,
                Some(Change::Repeated) => view.counts.repeated += 1,
                None => {}
            }
            if let Some(slot) = view.cells.get_mut(id.at()) {
                *slot = cell;
            }
        }
        view.sum(tree);
        view
    }

    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// What the layer of the scope changed.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    #[must_use]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// Brings the children of every directory into another order. The work is that of sorting them all, once.
    pub fn set_order(&mut self, tree: &Tree, order: Order) {
        self.order = order;
        self.children = (order == Order::Size).then(|| {
            let mut children = tree.children.clone();
            let mut rest = children.as_mut_slice();
            for pair in tree.first.windows(2) {
                let count = pair.last().zip(pair.first()).map_or(0, |(end, start)| end - start);
                let (some, after) = std::mem::take(&mut rest).split_at_mut(count as usize);
                rest = after;
                // They come by name, and stay so where they are of one size.
                some.sort_by_key(|&child| std::cmp::Reverse(self.bytes(NodeId(child))));
            }
            children
        });
    }

    /// Whether a path is seen.
    #[must_use]
    pub fn shows(&self, id: NodeId) -> bool {
        self.at(id).shown
    }

    /// What the layer of the scope changed of it.
    #[must_use]
    pub fn change(&self, id: NodeId) -> Option<Change> {
        self.at(id).change
    }

    /// Whether that layer changed something below it.
    #[must_use]
    pub fn changes_below(&self, id: NodeId) -> bool {
        self.at(id).below
    }

    /// Bytes of the content of what is seen there and below. What went counts for itself and for what is above it and went too, but for no
    /// directory that is still there. Hard links add nothing to the file they are to.
    #[must_use]
    pub fn bytes(&self, id: NodeId) -> u64 {
        self.at(id).bytes
    }

    /// How many of those there are that are no directories, itself among them.
    #[must_use]
    pub fn files(&self, id: NodeId) -> u32 {
        self.at(id).files
    }

    /// The layer and the member that it is from, or was from when it went. `None` for a directory that no layer tells of.
    #[must_use]
    pub fn origin(&self, tree: &Tree, id: NodeId) -> Option<(usize, MemberId)> {
        let event = self.event(tree, id)?;
        match event.what {
            What::Wrote(member) => Some((usize::from(event.layer), member)),
            What::Implied | What::Removed(_) => None,
        }
    }

    /// The member itself; see [`View::origin`].
    #[must_use]
    pub fn member<'a>(&self, tree: &'a Tree, id: NodeId) -> Option<Member<'a>> {
        self.event(tree, id).and_then(|event| tree.written(event))
    }

    /// Whether it is a directory, or was one when it went.
    #[must_use]
    pub fn is_directory(&self, tree: &Tree, id: NodeId) -> bool {
        id == NodeId::ROOT || self.event(tree, id).is_some_and(|event| tree.is_directory(event))
    }

    /// What is seen in a directory, in the view's order.
    pub fn children<'a>(&'a self, tree: &'a Tree, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + use<'a> {
        let children = self.children.as_ref().map_or_else(|| tree.below(id), |children| super::part(children, &tree.first, id));
        children.iter().map(|&child| NodeId(child)).filter(|&child| self.shows(child))
    }

    /// All that is seen, each directory before what is in it, by name.
    pub fn all<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = NodeId> + use<'a> {
        let mut left: Vec<NodeId> = self.children(tree, NodeId::ROOT).rev().collect();
        std::iter::from_fn(move || {
            let id = left.pop()?;
            left.extend(self.children(tree, id).rev());
            Some(id)
        })
    }

    fn at(&self, id: NodeId) -> Cell {
        self.cells.get(id.at()).copied().unwrap_or(UNSEEN)
    }

    fn event<'a>(&self, tree: &'a Tree, id: NodeId) -> Option<&'a Event> {
        tree.events(id).get(self.at(id).event as usize)
    }

    /// What is seen of one path, by itself.
    fn cell(&self, tree: &Tree, id: NodeId) -> Cell {
        let events = tree.events(id);
        let layer = self.scope.layer();
        let old = events.partition_point(|event| usize::from(event.layer) < layer);
        let new = events.partition_point(|event| usize::from(event.layer) <= layer);
        let there = |count: usize| {
            let at = count.checked_sub(1)?;
            events.get(at).filter(|event| !matches!(event.what, What::Removed(_))).map(|event| (at, event))
        };
        let (before, after) = (there(old), there(new));
        let change = match (before, after) {
            _ if old == new => None,
            (None, None) => None,
            (Some(_), None) => Some(Change::Removed),
            (before, Some((_, after))) => Some(match tree.compared(before.map(|(_, event)| event), after) {
                Deed::Added => Change::Added,
                Deed::Repeated => Change::Repeated,
                Deed::Modified | Deed::Removed(_) => Change::Modified,
            }),
        };
        let seen = after.or(before.filter(|_| change.is_some()));
        let shown = match self.scope {
            Scope::Merged(_) => seen.is_some(),
            Scope::Layer(_) => change.is_some(),
        };
        let Some((at, event)) = seen.filter(|_| shown) else { return Cell { shown: id == NodeId::ROOT, ..UNSEEN } };
        let bytes = tree.written(event).map_or(0, |member| size(&member));
        let files = u32::from(!tree.is_directory(event));
        Cell { bytes, files, event: u32::try_from(at).unwrap_or(NONE), change, shown: true, below: false }
    }

    /// Adds up from the leaves to the root: children come after their parents.
    fn sum(&mut self, tree: &Tree) {
        for id in tree.nodes().rev() {
            let cell = self.at(id);
            if !cell.shown || id == NodeId::ROOT {
                continue;
            }
            let parent = tree.parent(id);
            let above = self.at(parent);
            let event = if above.event == NONE { self.above(tree, parent) } else { above.event };
            let Some(slot) = self.cells.get_mut(parent.at()) else { continue };
            slot.shown = true;
            slot.event = event;
            slot.below |= cell.below || cell.change.is_some();
            if cell.change != Some(Change::Removed) || slot.change == Some(Change::Removed) {
                slot.bytes = slot.bytes.saturating_add(cell.bytes);
                slot.files = slot.files.saturating_add(cell.files);
            }
        }
    }

    /// What a directory is that is seen only for what is below it.
    fn above(&self, tree: &Tree, id: NodeId) -> u32 {
        let events = tree.events(id);
        let layer = self.scope.layer();
        let there = events.partition_point(|event| usize::from(event.layer) <= layer);
        there.checked_sub(1).and_then(|at| u32::try_from(at).ok()).unwrap_or(NONE)
    }
}

/// Bytes of its content that it alone has.
fn size(member: &Member<'_>) -> u64 {
    if matches!(member.kind(), Kind::File | Kind::Sparse) { member.size() } else { 0 }
}
