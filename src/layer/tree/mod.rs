//! The tree that a stack of layers comes to, from the lowest layer to the highest, with all that ever was in it.
//!
//! A node is a path that any layer has a word on; its events say what each layer did to it. What is there after some layer, what a layer
//! changed and what was lost on the way are all read off the events, so that one tree serves every view ([`View`]), the story of a path
//! ([`Tree::history`]) and the reckoning of waste (`layer::waste`).
//!
//! How layers go together follows the OCI image specification: a whiteout takes away what lower layers have, and nothing of its own layer,
//! whatever the order in the tar. Of two members for one path in one layer the later counts. A file that something lies below in the same or a
//! later layer is a directory from then on. Marks are no files, nor are members of unknown kinds.

mod build;
mod held;
mod history;
mod look;
mod rows;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

use std::sync::Arc;

pub use held::{Held, Lies, Place};
pub use history::{Cause, Deed, Step};
pub use look::Look;
pub use rows::{Row, Rows};
pub use view::{Change, Counts, Order, Scope, View};
pub use wanted::Wanted;

use super::Kind;
use super::index::{Index, Member, MemberId, PathId, join};

/// A path in a tree. A parent's number is lower than its children's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    pub const ROOT: Self = Self(0);

    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// Layers as one tree. Made by [`Tree::new`].
#[derive(Debug, Clone)]
pub struct Tree {
    layers: Vec<Arc<Index>>,
    nodes: Vec<Node>,
    /// Children of all nodes, by name; those of one node start at `first`.
    children: Vec<u32>,
    first: Vec<u32>,
    /// Events of all nodes, each node's in the order of time; those of one node start at `since`.
    events: Vec<Event>,
    since: Vec<u32>,
    /// By layer, the node of each of its paths; [`NONE`] for marks.
    places: Vec<Vec<u32>>,
}

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    /// Where its name lies: in that layer's index, as that path's.
    path: u32,
    layer: u16,
}

/// What a layer did to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) node: u32,
    pub(super) layer: u16,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It became what that member says.
    Wrote(MemberId),
    /// It became a directory, since something lies below it; the layer says nothing else of it.
    Implied,
    Removed(Cause),
}

impl Tree {
    /// The layers it is made of, the lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Arc<Index>] {
        &self.layers
    }

    /// How many paths there are, the root and all that is gone among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// The last part of its path; nothing for the root.
    #[must_use]
    pub fn name(&self, id: NodeId) -> &[u8] {
        let node = self.nodes.get(id.at());
        node.and_then(|node| Some(self.layers.get(usize::from(node.layer))?.name(PathId(node.path)))).unwrap_or_default()
    }

    /// The root's parent is itself.
    #[must_use]
    pub fn parent(&self, id: NodeId) -> NodeId {
        self.nodes.get(id.at()).map_or(NodeId::ROOT, |node| NodeId(node.parent))
    }

    /// Without a slash before it; nothing for the root.
    #[must_use]
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        join(id, |id| (id != NodeId::ROOT).then(|| (self.name(id), self.parent(id))))
    }

    /// All that ever was in a directory, by name.
    pub fn children(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> {
        self.below(id).iter().map(|&child| NodeId(child))
    }

    /// Finds a path, told in any way; `..` never leads out of the root.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        path.split(|&byte| byte == b'/').try_fold(NodeId::ROOT, |at, name| match name {
            b"" | b"." => Some(at),
            b".." => Some(self.parent(at)),
            name => self.child(at, name),
        })
    }

    /// What ever had that name in a directory.
    #[must_use]
    pub fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        let children = self.below(dir);
        let found = children.binary_search_by(|&child| self.name(NodeId(child)).cmp(name)).ok()?;
        children.get(found).map(|&child| NodeId(child))
    }

    /// The node of a layer's path; `None` for a mark.
    #[must_use]
    pub fn node(&self, layer: usize, path: PathId) -> Option<NodeId> {
        self.places.get(layer)?.get(path.at()).filter(|&&node| node != NONE).map(|&node| NodeId(node))
    }

    /// About how many bytes of memory it takes, its layers' indexes left aside.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Node>() * self.nodes.capacity()
            + size_of::<Event>() * self.events.capacity()
            + size_of::<u32>() * (self.children.capacity() + self.first.capacity() + self.since.capacity())
            + self.places.iter().map(|places| size_of::<u32>() * places.capacity()).sum::<usize>()
    }

    pub(super) fn below(&self, id: NodeId) -> &[u32] {
        part(&self.children, &self.first, id)
    }

    pub(super) fn events(&self, id: NodeId) -> &[Event] {
        part(&self.events, &self.since, id)
    }

    /// All nodes, the root first, parents before their children.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(NONE)).map(NodeId)
    }

    pub(super) fn member(&self, layer: u16, member: MemberId) -> Option<Member<'_>> {
        self.layers.get(usize::from(layer))?.member(member)
    }

    /// The member that an event wrote.
    pub(super) fn written(&self, event: &Event) -> Option<Member<'_>> {
        match event.what {
            What::Wrote(member) => self.member(event.layer, member),
            What::Implied | What::Removed(_) => None,
        }
    }

    /// Whether that is a directory afterwards.
    pub(super) fn is_directory(&self, event: &Event) -> bool {
        match event.what {
            What::Wrote(_) => self.written(event).is_some_and(|member| member.kind() == Kind::Directory),
            What::Implied => true,
            What::Removed(_) => false,
        }
    }
}

/// The rows of `id`, where those of all nodes lie one after the other.
fn part<'a, T>(rows: &'a [T], starts: &[u32], id: NodeId) -> &'a [T] {
    let start = |at: usize| starts.get(at).map_or(rows.len(), |&start| start as usize);
    rows.get(start(id.at())..start(id.at() + 1)).unwrap_or_default()
}
