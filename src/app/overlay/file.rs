//! The content of one file of an image: read from its layer when it is opened, and looked through as text or as numbers.

use std::sync::Arc;

use jiff::Timestamp;

use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Loadable, Place, Shared};
use crate::layer::Peek;
use crate::layer::tree::{Held, Lies};
use crate::model::{Image, Progress, Safe, SourceId};

use super::super::jobs::{self, answer};
use super::super::layout::Layout;
use super::super::state::State;
use super::{Overlay, prompt, scrolled};

/// Columns of the line numbers, with the gap after them.
pub const NUMBERS: u16 = 8;
/// Milliseconds before it is said how far reading is.
const PATIENCE: i64 = 500;
/// Lines over the content: what it is of.
const HEADING: usize = 1;

#[derive(Debug)]
pub struct FileView {
    pub at: FileAt,
    pub content: Loadable<Shared<Peek>>,
    pub progress: Progress,
    since: Timestamp,
    /// Text is shown as numbers.
    pub as_bytes: bool,
    pub scroll: usize,
    /// Rows that fit, set by the layout.
    pub height: usize,
    pub shift: u16,
}

/// A path of an image as it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct FileAt {
    pub source: SourceId,
    pub image: Arc<Image>,
    /// With a slash before it.
    pub path: Safe,
    /// Its last part, for a file of its own.
    pub name: String,
    /// What else is known of it, in a few words.
    pub about: Safe,
    pub held: Held,
    /// Where a symbolic link leads, and whether something is there.
    pub leads: Option<(Safe, bool)>,
}

impl FileAt {
    #[must_use]
    pub fn lies(&self) -> Option<Lies> {
        match &self.held {
            Held::File(lies) => Some(lies.clone()),
            Held::Link(_) | Held::Nothing(_) => None,
        }
    }
}

impl FileView {
    /// Takes the size of the screen.
    pub(super) fn fit(&mut self, height: usize) {
        self.height = height.saturating_sub(HEADING);
        self.scroll = self.scroll.min(self.rows().saturating_sub(self.height));
    }

    /// How many rows there are as it is shown.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.content.value.as_ref().map_or(0, |peek| peek.rows(!self.as_bytes))
    }

    pub(super) fn scroll(&mut self, rows: isize) {
        self.scroll = scrolled(self.scroll, rows, self.rows(), self.height);
    }

    /// Whether reading takes long enough to say how far it is.
    #[must_use]
    pub fn takes_long(&self, now: Timestamp) -> bool {
        now.as_millisecond().saturating_sub(self.since.as_millisecond()) >= PATIENCE
    }

    /// The other form, at about the same place.
    fn turn(&mut self) {
        let Some(peek) = self.content.value.as_ref().filter(|peek| peek.is_text()) else { return };
        let (before, after) = (peek.rows(!self.as_bytes).max(1), peek.rows(self.as_bytes));
        self.as_bytes = !self.as_bytes;
        self.scroll = (self.scroll.saturating_mul(after) / before).min(after.saturating_sub(self.height));
        self.shift = 0;
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        if chord == Chord::plain(Key::Tab) {
            self.turn();
            state.overlays.push(Overlay::File(self));
            return Vec::new();
        }
        let action = state.settings.keymap.action(chord, &[Place::Files, Place::List, Place::Deck]);
        let page = isize::try_from(self.height.max(1)).unwrap_or(1);
        match action {
            Some(Action::Back | Action::Quit | Action::Open | Action::ViewFile) => {
                let Some(id) = self.content.job else { return Vec::new() };
                state.jobs.remove(&id);
                return vec![Effect::Cancel(id)];
            }
            Some(Action::SaveFile) if self.at.lies().is_some() => {
                let at = self.at.clone();
                state.overlays.push(Overlay::File(self));
                prompt::save_file(state, at);
                return Vec::new();
            }
            Some(Action::Up) => self.scroll(-1),
            Some(Action::Down) => self.scroll(1),
            Some(Action::PageUp) => self.scroll(-page),
            Some(Action::PageDown) => self.scroll(page),
            Some(Action::HalfUp) => self.scroll(-(page / 2).max(1)),
            Some(Action::HalfDown) => self.scroll((page / 2).max(1)),
            Some(Action::Top) => self.scroll = 0,
            Some(Action::Bottom) => self.scroll(isize::MAX / 2),
            Some(Action::Left) => self.shift = self.shift.saturating_sub(8),
            Some(Action::Right) => self.shift = self.shift.saturating_add(8).min(400),
            _ => {}
        }
        state.overlays.push(Overlay::File(self));
        Vec::new()
    }
}

/// Shows what a path holds, and has it read where that takes reading.
pub(in crate::app) fn open(state: &mut State, at: FileAt) -> Vec<Effect> {
    let mut view = FileView {
        content: Loadable::default(),
        progress: Progress::default(),
        since: state.now,
        as_bytes: false,
        scroll: 0,
        height: 0,
        shift: 0,
        at,
    };
    let mut effects = Vec::new();
    if let Some(lies) = view.at.lies() {
        let columns = Overlay::frame(Layout::of(state).screen).inner().width.saturating_sub(2 + NUMBERS);
        let (source, image) = (view.at.source.clone(), Arc::clone(&view.at.image));
        let (id, effect) = jobs::start(state, Job::Peek { source, image, lies, columns });
        view.content.start(id);
        effects.push(effect);
    }
    state.overlays.push(Overlay::File(Box::new(view)));
    effects
}

fn of_job(state: &mut State, id: JobId) -> Option<&mut FileView> {
    state.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::File(view) if view.content.job == Some(id) => Some(&mut **view),
        _ => None,
    })
}

/// How far reading is.
pub(super) fn progressed(state: &mut State, id: JobId, progress: &Progress) {
    if let Some(view) = of_job(state, id) {
        view.progress.clone_from(progress);
    }
}

/// What was read, or why not.
pub(in crate::app) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let answer = match answer(event, "read the file") {
        Ok(JobOutput::Peeked(peek)) => Ok(peek),
        Ok(_) => return Vec::new(),
        Err(problem) => Err(problem),
    };
    if let Some(view) = of_job(state, id) {
        view.content.finish(id, answer);
    }
    Vec::new()
}
