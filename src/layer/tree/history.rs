//! The story of a path: who wrote it, who took it away, what it cost.

use super::{Event, NodeId, Tree, What};
use crate::layer::index::{Member, MemberId};

/// Why a path is there no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A whiteout of it, or of a directory above it.
    Whiteout,
    /// Its directory, or one above that, was made opaque.
    Opaque,
    /// Something else than a directory stands where one above it was.
    Replaced,
}

/// What a layer did to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It was not there, and is now.
    Added,
    /// It is another than it was: content, kind, rights, owner or attributes.
    Modified,
    /// It was written again just as it was.
    Repeated,
    Removed(Cause),
}

/// One step of a path's story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The layer, counted from 0, the lowest.
    pub layer: usize,
    pub deed: Deed,
    /// What was written; `None` for what went, and for a directory that is there only because of what lies below it.
    pub member: Option<MemberId>,
    /// Bytes that the step added to the image.
    pub bytes: u64,
}

impl Tree {
    /// What happened to a path, the earliest first. Nothing for one that is there by nature, as the root may be.
    #[must_use]
    pub fn history(&self, id: NodeId) -> Vec<Step> {
        let mut before: Option<&Event> = None;
        let events = self.events(id).iter();
        let step = |event| {
            let step = self.told(before, event);
            before = Some(event);
            step
        };
        events.map(step).collect()
    }

    /// Bytes that a path cost in all layers, what lies below it left aside.
    #[must_use]
    pub fn cost(&self, id: NodeId) -> u64 {
        self.events(id).iter().filter_map(|event| self.written(event)).fold(0, |sum, member| sum.saturating_add(member.stored()))
    }

    fn told(&self, before: Option<&Event>, event: &Event) -> Step {
        let before = before.filter(|before| !matches!(before.what, What::Removed(_)));
        let (deed, member) = match event.what {
            What::Removed(cause) => (Deed::Removed(cause), None),
            What::Wrote(member) => (self.compared(before, event), Some(member)),
            What::Implied => (self.compared(before, event), None),
        };
        let bytes = self.written(event).map_or(0, |member| member.stored());
        Step { layer: usize::from(event.layer), deed, member, bytes }
    }

    /// What it comes to when a path that is as `before` left it becomes what `after` says; neither is a removal.
    pub(super) fn compared(&self, before: Option<&Event>, after: &Event) -> Deed {
        let Some(before) = before else { return Deed::Added };
        match (self.written(before), self.written(after)) {
            (Some(old), Some(new)) if Member::is_same(&old, &new) => Deed::Repeated,
            _ => Deed::Modified,
        }
    }
}
