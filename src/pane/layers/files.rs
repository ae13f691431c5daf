//! The files of an image as a tree to walk about in: all that is there after a layer, or what that layer did.
//!
//! The tree and what is summed up of it are made elsewhere and arrive whole; what a key costs here is what it changes on the screen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::{Action, JobId, Shared};
use crate::layer::tree::{Look, Order, Row, Rows, Scope, Wanted};
use crate::layer::{NodeId, Tree, View};
use crate::model::{Image, Problem, SourceId};

use super::super::ListCursor;
use super::costs::Listing;

#[derive(Debug)]
pub struct Files {
    pub source: SourceId,
    pub image: Arc<Image>,
    /// The layer that is looked at, counted from the bottom.
    pub layer: usize,
    /// All that is there after it shows, and not only what it changed.
    pub merged: bool,
    pub order: Order,
    /// Layers that are to be read, or were.
    pub wanted: BTreeSet<usize>,
    /// Layers that were read, with what is wrong with them.
    pub read: BTreeMap<usize, Option<Problem>>,
    /// Why reading ended early.
    pub problem: Option<Problem>,
    /// The newest tree.
    pub tree: Option<Shared<Tree>>,
    /// The job that sums up what is to be shown next.
    pub arranging: Option<JobId>,
    pub shown: Option<Seen>,
    /// Directories that were opened or folded since that job was asked for.
    turned: Vec<NodeId>,
    pub filter: Option<Wanted>,
    pub cursor: ListCursor,
    pub shift: u16,
    /// The tree, or a list of what is carried for nothing.
    pub listing: Listing,
    pub listed: ListCursor,
    /// The path that the cursor goes to as soon as it is on the screen.
    pub(super) going: Option<Vec<u8>>,
}

/// What is on the screen: a tree, one look at it, and the rows of that.
#[derive(Debug)]
pub struct Seen {
    pub tree: Shared<Tree>,
    pub look: Look,
    pub view: Shared<View>,
    pub rows: Rows,
}

impl Files {
    #[must_use]
    pub fn new(source: SourceId, image: Arc<Image>, layer: usize, merged: bool) -> Self {
        Self {
            source,
            image,
            layer,
            merged,
            order: Order::Name,
            wanted: BTreeSet::new(),
            read: BTreeMap::new(),
            problem: None,
            tree: None,
            arranging: None,
            shown: None,
            turned: Vec::new(),
            filter: None,
            cursor: ListCursor::default(),
            shift: 0,
            listing: Listing::Tree,
            listed: ListCursor::default(),
            going: None,
        }
    }

    /// Starts anew, at the same layer and in the same order.
    pub fn forget(&mut self) {
        let order = self.order;
        *self = Self { order, ..Self::new(self.source.clone(), Arc::clone(&self.image), self.layer, self.merged) };
    }

    /// The cursor of the list that shows.
    pub const fn cursor_mut(&mut self) -> &mut ListCursor {
        match self.listing {
            Listing::Tree => &mut self.cursor,
            _ => &mut self.listed,
        }
    }

    /// How many layers the image has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.image.layers.as_ref().map_or(0, Vec::len)
    }

    #[must_use]
    pub const fn scope(&self) -> Scope {
        if self.merged { Scope::Merged(self.layer) } else { Scope::Layer(self.layer) }
    }

    /// The layers that what is looked at is made of.
    #[must_use]
    pub fn needed(&self) -> BTreeSet<usize> {
        if self.listing != Listing::Tree {
            return (0..self.count()).collect();
        }
        // What a layer changed is told by what was there before: of an image far away that would be all of it, so it is its own files then.
        let from = if self.merged || self.source.registry_host().is_none() { 0 } else { self.layer };
        let to = if self.source.registry_host().is_none() { self.count() } else { self.layer + 1 };
        (from..to).collect()
    }

    /// What is asked for.
    #[must_use]
    pub fn look(&self) -> Look {
        Look { scope: self.scope(), order: self.order, wanted: self.filter.clone() }
    }

    /// Whether what is shown is what is asked for, of the newest tree.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let seen = self.shown.as_ref();
        seen.is_some_and(|seen| Some(&seen.tree) == self.tree.as_ref() && seen.look == self.look())
    }

    /// That job works out what is asked for.
    pub fn ask(&mut self, job: JobId) {
        self.arranging = Some(job);
        self.turned.clear();
    }

    /// What is open now. What a filter opened is folded again after it.
    #[must_use]
    pub fn open(&self) -> Option<(Shared<Tree>, Shared<Vec<NodeId>>)> {
        let seen = self.shown.as_ref().filter(|seen| seen.look.wanted.is_none())?;
        Some((seen.tree.clone(), Shared::new(seen.rows.open_ones().collect())))
    }

    /// Takes a look at a tree: the cursor stays on its path, and what was opened or folded meanwhile is so.
    pub fn arranged(&mut self, tree: Shared<Tree>, look: Look, view: Shared<View>, mut rows: Rows) {
        self.arranging = None;
        let before = self.shown.take();
        if let Some(seen) = before.as_ref().filter(|seen| look.wanted.is_none() && seen.look.wanted.is_none()) {
            for &id in &self.turned {
                let is_open = seen.rows.is_open(id);
                let found = tree.find(&seen.tree.path(id)).and_then(|id| rows.reveal(&tree, &view, id));
                match found {
                    Some(at) if is_open => drop(rows.open(&tree, &view, at)),
                    Some(at) => drop(rows.close(at)),
                    None => {}
                }
            }
        }
        self.turned.clear();
        let at = before.as_ref().and_then(|seen| Some(seen.tree.path(seen.rows.get(self.cursor.at)?.node)));
        let to = at.and_then(|path| tree.find(&path)).and_then(|id| rows.reveal(&tree, &view, id));
        // What is found is looked through from the first of it, unless the cursor's own is among it.
        let new = look.wanted.is_some() && before.as_ref().is_none_or(|seen| seen.look.wanted != look.wanted);
        let first = if new { rows.first_folded() } else { None };
        self.shown = Some(Seen { tree, look, view, rows });
        self.resize(to.or(first).unwrap_or(self.cursor.at));
        self.arrive();
    }

    /// The row under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<Row> {
        self.shown.as_ref()?.rows.get(self.cursor.at)
    }

    /// The path under the cursor, without a slash before it.
    #[must_use]
    pub fn path(&self) -> Option<Vec<u8>> {
        let seen = self.shown.as_ref()?;
        Some(seen.tree.path(seen.rows.get(self.cursor.at)?.node))
    }

    /// What is wrong with a layer that is seen, the one that is looked at first.
    #[must_use]
    pub fn broken(&self) -> Option<(usize, &Problem)> {
        let of = |layer: usize| self.read.get(&layer)?.as_ref().map(|problem| (layer, problem));
        (0..=self.layer).rev().find_map(of)
    }

    /// Moves, folds and scrolls; `false` when the action is something else.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor_mut().act(action) {
            return true;
        }
        if self.listing != Listing::Tree {
            match action {
                Action::Left => self.shift = self.shift.saturating_sub(8),
                Action::Right => self.shift = self.shift.saturating_add(8).min(4000),
                _ => return false,
            }
            return true;
        }
        let at = self.cursor.at;
        let Some(seen) = &mut self.shown else { return false };
        let node = seen.rows.get(at).map(|row| row.node);
        let before = seen.rows.len();
        let to = match action {
            Action::Left => {
                if seen.rows.close(at) || self.shift > 0 {
                    self.shift = self.shift.saturating_sub(8);
                    at
                } else {
                    seen.rows.above(at).unwrap_or(at)
                }
            }
            Action::Right if seen.rows.get(at).is_some_and(|row| row.open) => at + 1,
            Action::Right => {
                if !seen.rows.open(&seen.tree, &seen.view, at) {
                    self.shift = self.shift.saturating_add(8).min(4000);
                }
                at
            }
            Action::Open => {
                if !seen.rows.close(at) && !seen.rows.open(&seen.tree, &seen.view, at) {
                    return false;
                }
                at
            }
            _ => return false,
        };
        if seen.rows.len() != before && self.arranging.is_some() {
            self.turned.extend(node);
        }
        self.resize(to);
        true
    }

    pub(super) fn resize(&mut self, at: usize) {
        self.cursor.set_len(self.shown.as_ref().map_or(0, |seen| seen.rows.len()));
        self.cursor.go(at);
    }
}
