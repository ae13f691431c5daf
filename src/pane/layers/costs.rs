//! What an image carries for nothing, as lists to go through: hidden files, copies, hints. Each row is about a path, to which one can go in the tree.

use crate::flow::Shared;
use crate::layer::hints::Hint;
use crate::layer::{Cost, NodeId, Tree};

use super::Files;

/// What is shown of an image's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    #[default]
    Tree,
    /// Paths with bytes that nobody sees.
    Wasted,
    /// One content under several names.
    Copies,
    Hints,
}

impl Listing {
    /// The next one, round and round.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Tree => Self::Wasted,
            Self::Wasted => Self::Copies,
            Self::Copies => Self::Hints,
            Self::Hints => Self::Tree,
        }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(self, cost: &Cost) -> usize {
        match self {
            Self::Tree => 0,
            Self::Wasted => cost.waste.paths.len(),
            Self::Copies => cost.copies(),
            Self::Hints => cost.hints.len(),
        }
    }

    /// The path that a row is about; `None` for one that is about a layer.
    #[must_use]
    pub fn node(self, cost: &Cost, at: usize) -> Option<NodeId> {
        match self {
            Self::Tree => None,
            Self::Wasted => Some(cost.waste.paths.get(at)?.node),
            Self::Copies => Some(cost.copy(at)?.2),
            Self::Hints => match cost.hints.get(at)? {
                Hint::Cache { dir, .. } => Some(*dir),
                Hint::Secret { node, .. } => Some(*node),
                Hint::Rights { .. } => None,
            },
        }
    }
}

/// What was reckoned, and of which tree.
#[derive(Debug, Clone)]
pub struct Reckoned {
    pub tree: Shared<Tree>,
    pub cost: Shared<Cost>,
}

impl Reckoned {
    /// How many layers are known by their own table only: nobody has read their files, so which are alike is not known.
    #[must_use]
    pub fn by_table(&self) -> usize {
        self.tree.layers().iter().filter(|index| index.pieces().is_some()).count()
    }
}

impl Files {
    /// Shows another list, from its top.
    pub fn list(&mut self, listing: Listing, reckoned: Option<&Reckoned>) {
        self.listing = listing;
        self.listed.go(0);
        self.relist(reckoned);
    }

    /// Takes what was reckoned.
    pub fn relist(&mut self, reckoned: Option<&Reckoned>) {
        self.listed.set_len(reckoned.map_or(0, |reckoned| self.listing.len(&reckoned.cost)));
    }

    /// Goes to what the row of the list is about: in the tree, at the layer that had the last word on it. True when there is something to go to.
    pub fn go_to_row(&mut self, reckoned: &Reckoned) -> bool {
        let at = self.listed.at;
        if let (Listing::Hints, Some(Hint::Rights { layer, .. })) = (self.listing, reckoned.cost.hints.get(at)) {
            (self.layer, self.merged, self.going) = (*layer, false, None);
        } else {
            let Some(node) = self.listing.node(&reckoned.cost, at) else { return false };
            self.layer = reckoned.tree.history(node).last().map_or(self.layer, |step| step.layer);
            self.merged = true;
            self.going = Some(reckoned.tree.path(node));
        }
        (self.listing, self.filter) = (Listing::Tree, None);
        self.arrive();
        true
    }

    /// The cursor goes to where it was to go, once that is on the screen.
    pub(super) fn arrive(&mut self) {
        if self.going.is_none() || !self.is_settled() {
            return;
        }
        let (Some(path), Some(seen)) = (self.going.take(), &mut self.shown) else { return };
        if let Some(at) = seen.tree.find(&path).and_then(|id| seen.rows.reveal(&seen.tree, &seen.view, id)) {
            self.resize(at);
        }
    }

    /// The scope and path that the screen is about, for what stands below the rows.
    #[must_use]
    pub fn looked_at<'a>(&'a self, reckoned: Option<&'a Reckoned>) -> Option<(&'a Tree, NodeId)> {
        match self.listing {
            Listing::Tree => Some((&*self.shown.as_ref()?.tree, self.selected()?.node)),
            listing => reckoned.and_then(|reckoned| Some((&*reckoned.tree, listing.node(&reckoned.cost, self.listed.at)?))),
        }
    }

    /// Whether all of the image's layers were read, and none is broken.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.read.len() == self.count() && self.read.values().all(Option::is_none)
    }
}
