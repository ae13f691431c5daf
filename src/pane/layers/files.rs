//! The files of an image as a tree to walk about in: all that is there after a layer, or what that layer did.
//!
//! The tree and what is summed up of it are made elsewhere and arrive whole; what a key costs here is what it changes on the screen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::{Action, JobId, Shared};
use crate::layer::tree::{Order, Row, Rows, Scope};
use crate::layer::{Tree, View};
use crate::model::{Image, Problem, SourceId};

use super::super::ListCursor;
use super::costs::Listing;
use super::wanted::Wanted;

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
    pub filter: Option<Wanted>,
    pub cursor: ListCursor,
    pub shift: u16,
    /// The tree, or a list of what is carried for nothing.
    pub listing: Listing,
    pub listed: ListCursor,
    /// The path that the cursor goes to as soon as it is on the screen.
    pub going: Option<Vec<u8>>,
}

/// What is on the screen: a tree, one look at it, and the rows of that.
#[derive(Debug)]
pub struct Seen {
    pub tree: Shared<Tree>,
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
            filter: None,
            cursor: ListCursor::default(),
            shift: 0,
            listing: Listing::Tree,
            listed: ListCursor::default(),
            going: None,
        }
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

    /// Whether what is shown is what was asked for, of the newest tree.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let seen = self.shown.as_ref();
        seen.is_some_and(|seen| {
            Some(&seen.tree) == self.tree.as_ref() && seen.view.scope() == self.scope() && seen.view.order() == self.order
        })
    }

    /// Takes a look at a tree: what was open stays open, and the cursor on its path.
    pub fn arranged(&mut self, tree: Shared<Tree>, view: Shared<View>) {
        let before = self.shown.take();
        let at = before.as_ref().and_then(|seen| Some(seen.tree.path(seen.rows.get(self.cursor.at)?.node)));
        let mut rows = match (&self.filter, &before) {
            (Some(wanted), _) => Rows::filtered(&tree, &view, |id| wanted.matches(&tree, &view, id)),
            (None, Some(seen)) if seen.tree == tree => seen.rows.again(&tree, &view),
            (None, Some(seen)) => moved(seen, &tree, &view),
            (None, None) => Rows::new(&tree, &view),
        };
        let to = at.and_then(|path| tree.find(&path)).and_then(|id| rows.reveal(&tree, &view, id));
        self.shown = Some(Seen { tree, view, rows });
        self.resize(to.unwrap_or(self.cursor.at));
        self.arrive();
    }

    /// Shows only what is wanted and what is above it; all of it again with `None`.
    pub fn set_filter(&mut self, filter: Option<Wanted>) {
        self.filter = filter;
        let Some(seen) = &mut self.shown else { return };
        let at = seen.rows.get(self.cursor.at).map(|row| row.node);
        seen.rows = match &self.filter {
            Some(wanted) => Rows::filtered(&seen.tree, &seen.view, |id| wanted.matches(&seen.tree, &seen.view, id)),
            None => Rows::new(&seen.tree, &seen.view),
        };
        let to = at.and_then(|id| seen.rows.reveal(&seen.tree, &seen.view, id));
        self.resize(to.unwrap_or(0));
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
        self.resize(to);
        true
    }

    pub(super) fn resize(&mut self, at: usize) {
        self.cursor.set_len(self.shown.as_ref().map_or(0, |seen| seen.rows.len()));
        self.cursor.go(at);
    }
}

/// Rows of another tree, in which the same paths are open.
fn moved(seen: &Seen, tree: &Tree, view: &View) -> Rows {
    let mut rows = Rows::new(tree, view);
    for row in seen.rows.window(0, seen.rows.len()).iter().filter(|row| row.open) {
        let found = tree.find(&seen.tree.path(row.node));
        if let Some(at) = found.and_then(|id| rows.reveal(tree, view, id)) {
            rows.open(tree, view, at);
        }
    }
    rows
}
