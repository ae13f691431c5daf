//! What is behind a tag: the images of an index, one a platform, and what refers to it: signatures, SBOMs, attestations.

use std::sync::Arc;

use crate::flow::Loadable;
use crate::model::{Digest, Platform, Referrer, Referrers, RemoteChild, RemoteKind, TagDetails};
use crate::pane::ListCursor;

/// One line, as an index into the children or the referrers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRow {
    /// The tag's own image, where it is no index.
    Itself,
    Child(usize),
    Referrer(usize),
}

#[derive(Debug, Default)]
pub struct Parts {
    pub of: Option<TagDetails>,
    pub referrers: Loadable<Arc<Referrers>>,
    pub rows: Vec<PartRow>,
    pub cursor: ListCursor,
}

impl Parts {
    /// Turns to what is behind another tag.
    pub fn begin(&mut self, of: TagDetails) {
        *self = Self { of: Some(of), cursor: ListCursor { height: self.cursor.height, ..ListCursor::default() }, ..Self::default() };
        self.rebuild();
    }

    pub fn rebuild(&mut self) {
        let itself = self.of.as_ref().filter(|of| of.kind == RemoteKind::Image).map(|_| PartRow::Itself);
        let children = (0..self.of.as_ref().map_or(0, |of| of.children.len())).map(PartRow::Child);
        let referrers = (0..self.referrers.value.as_ref().map_or(0, |found| found.referrers.len())).map(PartRow::Referrer);
        self.rows = itself.into_iter().chain(children).chain(referrers).collect();
        self.cursor.set_len(self.rows.len());
    }

    #[must_use]
    pub fn child(&self, at: usize) -> Option<&RemoteChild> {
        self.of.as_ref()?.children.get(at)
    }

    #[must_use]
    pub fn referrer(&self, at: usize) -> Option<&Referrer> {
        self.referrers.value.as_ref()?.referrers.get(at)
    }

    /// The platform under the cursor, in an index.
    #[must_use]
    pub fn selected_platform(&self) -> Option<&Platform> {
        match self.rows.get(self.cursor.at)? {
            PartRow::Child(at) => self.child(*at).filter(|child| child.about.is_none())?.platform.as_ref(),
            PartRow::Itself | PartRow::Referrer(_) => None,
        }
    }

    /// The image under the cursor, if it is one.
    #[must_use]
    pub fn selected_image(&self) -> Option<&Digest> {
        match self.rows.get(self.cursor.at) {
            Some(PartRow::Child(at)) => self.child(*at).filter(|child| child.about.is_none()).map(|child| &child.digest),
            Some(PartRow::Itself) => self.of.as_ref().map(|of| &of.digest),
            Some(PartRow::Referrer(_)) | None => None,
        }
    }
}
