//! Puts layers on top of each other. The work is as much as there are members: what goes is taken off at once, so nothing is looked at twice.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::{Cause, Event, NONE, Node, Tree, What};
use crate::layer::Kind;
use crate::layer::index::{Index, MemberId, PathId, Whiteout, whiteout};
use crate::model::{Problem, ProblemKind};

/// Most paths of one tree, over all its layers.
const MOST_NODES: usize = 20_000_000;
/// Most events.
const MOST_EVENTS: usize = 60_000_000;

impl Tree {
    /// Puts `layers` together, the lowest first. An index with a problem counts with what it has.
    ///
    /// # Errors
    /// A problem of kind `Limit`, for more than 65,535 layers, 20 million paths or 60 million changes of them.
    pub fn new(layers: Vec<Arc<Index>>) -> Result<Self, Problem> {
        let limit = |what: &str| Problem::new(ProblemKind::Limit, "put the layers together", what);
        let mut stack = Stack::new(&layers);
        for (at, index) in layers.iter().enumerate() {
            let at = u16::try_from(at).map_err(|_too_many| limit("there are more than 65,535 of them"))?;
            stack.add(at, index).map_err(limit)?;
        }
        let Stack { nodes, events, places, .. } = stack;
        let (since, events) = by_node(&events, nodes.len(), |event| event.node);
        let all: Vec<u32> = (1..u32::try_from(nodes.len()).unwrap_or(NONE)).collect();
        let (first, children) = by_node(&all, nodes.len(), |&node| nodes.get(node as usize).map_or(0, |node| node.parent));
        let mut tree = Self { layers, nodes, children, first, events, since, places };
        tree.sort();
        Ok(tree)
    }

    /// Brings the children of every node into the order of their names.
    fn sort(&mut self) {
        let mut children = std::mem::take(&mut self.children);
        let mut rest = children.as_mut_slice();
        let mut keys: Vec<(u64, u32)> = Vec::new();
        for pair in self.first.windows(2) {
            let count = pair.last().zip(pair.first()).map_or(0, |(end, start)| end - start);
            let (some, after) = std::mem::take(&mut rest).split_at_mut(count as usize);
            rest = after;
            // Most names differ in their first bytes, and those lie together here.
            keys.clear();
            keys.extend(some.iter().map(|&node| (beginning(self.name(super::NodeId(node))), node)));
            keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.name(super::NodeId(a.1)).cmp(self.name(super::NodeId(b.1)))));
            for (slot, (_, node)) in some.iter_mut().zip(&keys) {
                *slot = *node;
            }
        }
        self.children = children;
    }
}

fn beginning(name: &[u8]) -> u64 {
    name.iter().copied().chain(std::iter::repeat(0)).take(8).fold(0, |sum, byte| sum << 8 | u64::from(byte))
}

/// Brings rows into the order of their nodes, as they came where the node is the same; says where each node's start, and the last one's end.
fn by_node<T: Copy>(rows: &[T], nodes: usize, node: impl Fn(&T) -> u32) -> (Vec<u32>, Vec<T>) {
    let mut starts = vec![0_u32; nodes + 1];
    for row in rows {
        if let Some(count) = starts.get_mut(node(row) as usize + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut next = starts.clone();
    let mut out = rows.to_vec();
    for row in rows {
        if let Some(slot) = next.get_mut(node(row) as usize) {
            if let Some(place) = out.get_mut(*slot as usize) {
                *place = *row;
            }
            *slot += 1;
        }
    }
    (starts, out)
}

/// What is there while layers are put on it.
struct Stack<'a> {
    layers: &'a [Arc<Index>],
    nodes: Vec<Node>,
    events: Vec<Event>,
    places: Vec<Vec<u32>>,
    /// Nodes by parent and name.
    table: HashTable<u32>,
    hasher: RandomState,
    now: Vec<Now>,
}

/// What a node is just now, and where it stands among those of its parent's children that are there.
#[derive(Clone, Copy)]
struct Now {
    state: State,
    first: u32,
    next: u32,
    before: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Directory,
    Other,
}

const ABSENT: Now = Now { state: State::Absent, first: NONE, next: NONE, before: NONE };

impl<'a> Stack<'a> {
    fn new(layers: &'a [Arc<Index>]) -> Self {
        Self {
            layers,
            nodes: vec![Node { parent: 0, path: 0, layer: 0 }],
            events: Vec::new(),
            places: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
            now: vec![Now { state: State::Directory, ..ABSENT }],
        }
    }

    fn add(&mut self, layer: u16, index: &Index) -> Result<(), &'static str> {
        let places = self.place(layer, index)?;
        let place = |path: PathId| places.get(path.at()).copied().unwrap_or(NONE);
        // What a layer takes away is of the layers below, wherever in the tar it says so.
        for (_, member) in index.members() {
            let Some(mark) = member.whiteout() else { continue };
            let dir = place(index.parent(member.path_id()));
            match mark {
                _ if dir == NONE => {}
                Whiteout::Name(name) => {
                    if let Some(node) = self.find(dir, name) {
                        self.remove(node, layer, Cause::Whiteout);
                    }
                }
                Whiteout::Opaque => self.empty(dir, layer, Cause::Opaque),
                Whiteout::Other => {}
            }
        }
        for (id, member) in index.members() {
            let (node, kind) = (place(member.path_id()), member.kind());
            // The root can be nothing but a directory.
            if node == NONE || matches!(kind, Kind::Other(_)) || (node == 0 && kind != Kind::Directory) {
                continue;
            }
            self.write(node, layer, id, if kind == Kind::Directory { State::Directory } else { State::Other });
            if self.events.len() > MOST_EVENTS {
                return Err("they change more than 60 million paths");
            }
        }
        self.places.push(places);
        Ok(())
    }

    /// The nodes of a layer's paths.
    fn place(&mut self, layer: u16, index: &Index) -> Result<Vec<u32>, &'static str> {
        let count = index.path_count();
        let mut places = Vec::with_capacity(count);
        places.push(0);
        for at in 1..u32::try_from(count).unwrap_or(NONE) {
            let path = PathId(at);
            let (parent, name) = (places.get(index.parent(path).at()).copied().unwrap_or(NONE), index.name(path));
            let place = if parent == NONE || whiteout(name).is_some() { NONE } else { self.node(parent, name, layer, path)? };
            places.push(place);
        }
        Ok(places)
    }

    fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one((parent, name));
        self.table.find(hash, |&node| key(self.layers, &self.nodes, node) == (parent, name)).copied()
    }

    fn node(&mut self, parent: u32, name: &[u8], layer: u16, path: PathId) -> Result<u32, &'static str> {
        if let Some(node) = self.find(parent, name) {
            return Ok(node);
        }
        let node = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        if self.nodes.len() >= MOST_NODES {
            return Err("they have more than 20 million paths");
        }
        self.nodes.push(Node { parent, path: path.0, layer });
        self.now.push(ABSENT);
        let (layers, nodes, hasher) = (self.layers, &self.nodes, &self.hasher);
        let hash = hasher.hash_one((parent, name));
        self.table.insert_unique(hash, node, |&node| hasher.hash_one(key(layers, nodes, node)));
        Ok(node)
    }

    fn write(&mut self, node: u32, layer: u16, member: MemberId, state: State) {
        self.imply(self.parent(node), layer);
        match (self.now(node).state, state) {
            (State::Directory, State::Other) => self.empty(node, layer, Cause::Replaced),
            (State::Absent, _) => self.link(node),
            _ => {}
        }
        self.set(node, |now| now.state = state);
        self.events.push(Event { node, layer, what: What::Wrote(member) });
    }

    /// Makes a directory of `node` and of what is above it.
    fn imply(&mut self, node: u32, layer: u16) {
        let (mut missing, mut at) = (Vec::new(), node);
        while self.now(at).state != State::Directory {
            missing.push(at);
            at = self.parent(at);
        }
        for &at in missing.iter().rev() {
            if self.now(at).state == State::Absent {
                self.link(at);
            }
            self.set(at, |now| now.state = State::Directory);
            self.events.push(Event { node: at, layer, what: What::Implied });
        }
    }

    /// Takes away what is in a directory.
    fn empty(&mut self, dir: u32, layer: u16, cause: Cause) {
        while self.now(dir).first != NONE {
            self.remove(self.now(dir).first, layer, cause);
        }
    }

    /// Takes away what is there, and all that is in it.
    fn remove(&mut self, node: u32, layer: u16, cause: Cause) {
        if self.now(node).state == State::Absent || node == 0 {
            return;
        }
        self.unlink(node);
        let mut left = vec![node];
        while let Some(node) = left.pop() {
            let mut child = self.now(node).first;
            while child != NONE {
                left.push(child);
                child = self.now(child).next;
            }
            self.set(node, |now| *now = ABSENT);
            self.events.push(Event { node, layer, what: What::Removed(cause) });
        }
    }

    fn link(&mut self, node: u32) {
        let parent = self.parent(node);
        let next = self.now(parent).first;
        self.set(next, |now| now.before = node);
        self.set(node, |now| (now.next, now.before) = (next, NONE));
        self.set(parent, |now| now.first = node);
    }

    fn unlink(&mut self, node: u32) {
        let Now { next, before, .. } = self.now(node);
        self.set(next, |now| now.before = before);
        if before == NONE {
            self.set(self.parent(node), |now| now.first = next);
        } else {
            self.set(before, |now| now.next = next);
        }
    }

    fn parent(&self, node: u32) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.parent)
    }

    fn now(&self, node: u32) -> Now {
        self.now.get(node as usize).copied().unwrap_or(ABSENT)
    }

    fn set(&mut self, node: u32, change: impl FnOnce(&mut Now)) {
        if let Some(now) = self.now.get_mut(node as usize) {
            change(now);
        }
    }
}

fn key<'a>(layers: &'a [Arc<Index>], nodes: &[Node], node: u32) -> (u32, &'a [u8]) {
    let Some(node) = nodes.get(node as usize) else { return (NONE, b"") };
    (node.parent, layers.get(usize::from(node.layer)).map_or(&[], |index| index.name(PathId(node.path))))
}
