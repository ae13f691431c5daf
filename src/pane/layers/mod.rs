//! The Layers pane: the history of the selected image, step by step, the Dockerfile it came from as far as that can be told, and the files in
//! its layers.

mod costs;
pub mod draw;
mod files;

pub use costs::{Listing, Reckoned};
pub use files::{Files, Seen};

use std::sync::Arc;

use crate::flow::{Action, JobId, Loadable};
use crate::layer::waste::LayerWaste;
use crate::model::{HistoryEntry, Image, ImageKey, SourceId, dockerfile};

use super::ListCursor;

/// How many images are kept for going back to.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub struct Layers {
    /// The image that is shown or fetched, and where it is.
    pub key: Option<(SourceId, ImageKey)>,
    pub image: Loadable<Arc<Image>>,
    /// Steps shown, as indices into the history.
    pub steps: Vec<usize>,
    pub cursor: ListCursor,
    /// Steps without a layer are left out.
    pub hide_empty: bool,
    /// The reconstructed Dockerfile is shown instead of the steps.
    pub dockerfile: Option<Vec<dockerfile::Line>>,
    pub shift: u16,
    /// Images seen lately, newest last.
    pub recent: Vec<((SourceId, ImageKey), Arc<Image>)>,
    /// What is in the layers, where that is looked at instead of the steps.
    pub files: Option<Box<Files>>,
    /// The job that reads files.
    pub reading: Option<JobId>,
    /// What the image's layers carry for nothing, once all of them were read.
    pub reckoned: Option<Reckoned>,
    /// The job that reckons it.
    pub reckoning: Option<JobId>,
}

impl Layers {
    #[must_use]
    pub fn history(&self) -> &[HistoryEntry] {
        self.image.value.as_ref().and_then(|image| image.history.as_deref()).unwrap_or_default()
    }

    /// The cursor of the list that shows.
    pub fn cursor_mut(&mut self) -> &mut ListCursor {
        self.files.as_mut().map_or(&mut self.cursor, |files| files.cursor_mut())
    }

    /// What the layer of a step brought, and what of that nobody sees; `None` where that is not known, and for a step that made no layer.
    #[must_use]
    pub fn waste(&self, step: usize) -> Option<LayerWaste> {
        let cost = &self.reckoned.as_ref()?.cost;
        let history = self.history();
        history.get(step).filter(|entry| !entry.empty_layer)?;
        let layer = history.iter().take(step).filter(|entry| !entry.empty_layer).count();
        cost.waste.layers.get(layer).copied()
    }

    /// Bytes of the largest step, for the bars.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.history().iter().filter_map(|step| step.size).max().unwrap_or(0)
    }

    /// Turns to another image. True when it must be fetched; what was fetched lately is shown at once.
    pub fn follow(&mut self, key: Option<(SourceId, ImageKey)>) -> bool {
        if self.key == key {
            return false;
        }
        self.key = key;
        self.files = None;
        (self.reckoned, self.reckoning) = (None, None);
        let known = self.key.as_ref().and_then(|key| self.recent.iter().find(|(k, _)| k == key)).map(|(_, image)| Arc::clone(image));
        let fetch = self.key.is_some() && known.is_none();
        self.image = Loadable { value: known, job: None, problem: None };
        self.rebuild();
        self.cursor.go(0);
        fetch
    }

    /// Takes what a fetch brought.
    pub fn arrived(&mut self) {
        if let (Some(key), Some(image)) = (&self.key, &self.image.value) {
            self.recent.retain(|(k, _)| k != key);
            if self.recent.len() >= KEPT {
                self.recent.remove(0);
            }
            self.recent.push((key.clone(), Arc::clone(image)));
        }
        self.rebuild();
    }

    /// What was remembered may be stale now.
    pub fn forget(&mut self) {
        self.recent.clear();
    }

    /// Moves and switches; `false` when the action is not this pane's own.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        match action {
            Action::Left => self.shift = self.shift.saturating_sub(8),
            Action::Right => self.shift = self.shift.saturating_add(8).min(4000),
            Action::ShowEmpty => {
                self.hide_empty = !self.hide_empty;
                self.rebuild();
            }
            Action::Dockerfile => {
                self.dockerfile = match self.dockerfile {
                    Some(_) => None,
                    None => Some(Vec::new()),
                };
                self.rebuild();
                self.cursor.go(0);
            }
            _ => return false,
        }
        true
    }

    fn rebuild(&mut self) {
        let hide = self.hide_empty;
        self.steps = self.history().iter().enumerate().filter(|(_, step)| !(hide && step.empty_layer)).map(|(i, _)| i).collect();
        if self.dockerfile.is_some() {
            self.dockerfile = Some(self.image.value.as_ref().map(|image| dockerfile::reconstruct(image)).unwrap_or_default());
        }
        let len = self.dockerfile.as_ref().map_or(self.steps.len(), Vec::len);
        self.cursor.set_len(len);
    }
}
