//! What takes the space: repositories and their images by the bytes that they alone hold, with those that others hold too. What images hold is read
//! first where that is not known; what is known so far shows meanwhile.

use std::collections::BTreeSet;

use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Place, Shared};
use crate::model::{Digest, ImageSpace, Name, RepositorySpace, SourceId, Space};
use crate::pane::images::RowKey;
use crate::pane::{ListCursor, PaneId};

use super::super::jobs::{self, answer};
use super::super::state::State;
use super::super::toast::ToastKind;
use super::super::{chains, filter};
use super::Overlay;

/// Lines around the rows: the sums, the bar of all, the columns and the keys, with their gaps.
pub const AROUND: usize = 6;

/// A row of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceRow {
    Repository(usize),
    /// The nth image of a repository that is unfolded.
    Image(usize, usize),
}

#[derive(Debug)]
pub struct SpaceView {
    pub source: SourceId,
    pub space: Option<Shared<Space>>,
    pub rows: Vec<SpaceRow>,
    /// By name, which stays what it is when more is known.
    unfolded: BTreeSet<Option<Name>>,
    job: Option<JobId>,
    /// More came to be known since that job was asked for.
    is_stale: bool,
    /// What the images hold is still being read.
    pub is_reading: bool,
    pub cursor: ListCursor,
}

/// Opens the view, and has read what it lacks.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    let (Some(source), Some(list)) = (state.sources.current.clone(), state.images.list.value.clone()) else {
        return vec![state.toasts.show(ToastKind::Info, "The images are not known yet", None)];
    };
    let mut effects = chains::want(state, &source, &list);
    let view = SpaceView {
        source,
        space: None,
        rows: Vec::new(),
        unfolded: BTreeSet::new(),
        job: None,
        is_stale: false,
        is_reading: false,
        cursor: ListCursor { height: 1, ..ListCursor::default() },
    };
    state.overlays.push(Overlay::Space(Box::new(view)));
    effects.extend(known(state));
    effects
}

fn opened(state: &mut State) -> Option<&mut SpaceView> {
    state.overlays.iter_mut().find_map(|overlay| if let Overlay::Space(view) = overlay { Some(&mut **view) } else { None })
}

/// Has it reckoned up anew, where it is looked at: more is known of what images hold.
pub(in crate::app) fn known(state: &mut State) -> Vec<Effect> {
    let Some(source) = opened(state).map(|view| view.source.clone()) else { return Vec::new() };
    let Some(list) = state.images.list.value.clone() else { return Vec::new() };
    let layers = state.chains.shared(&source);
    let is_reading = chains::is_reading(state, &source);
    let (id, effect) = jobs::start(state, Job::Space { list: list.into(), layers: layers.into() });
    if let Some(view) = opened(state) {
        (view.job, view.is_stale, view.is_reading) = (Some(id), false, is_reading);
    }
    vec![effect]
}

/// The same while more and more is known: one reckoning after the other, not one for each piece.
pub(in crate::app) fn more(state: &mut State) -> Vec<Effect> {
    match opened(state) {
        Some(view) if view.job.is_some() => view.is_stale = true,
        Some(_) => return known(state),
        None => {}
    }
    Vec::new()
}

/// Takes what was reckoned.
pub(in crate::app) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let Some(view) = opened(state).filter(|view| view.job == Some(id)) else { return Vec::new() };
    view.job = None;
    let is_stale = view.is_stale;
    match answer(event, "reckon up the space") {
        Ok(JobOutput::Space(space)) => view.take(space),
        Ok(_) => {}
        Err(problem) if problem.is_cancelled() => {}
        Err(problem) => return vec![state.toasts.problem(&problem)],
    }
    if is_stale { known(state) } else { Vec::new() }
}

impl SpaceView {
    /// Takes what was reckoned; the cursor stays on its row, or at the top where it was never moved.
    fn take(&mut self, space: Shared<Space>) {
        let at = Some(self.cursor.at).filter(|at| *at > 0);
        let at = at.and_then(|at| self.rows.get(at)).and_then(|row| self.name_of(*row));
        self.space = Some(space);
        self.lay_out();
        let found = at.and_then(|at| self.rows.iter().position(|row| self.name_of(*row).as_ref() == Some(&at)));
        self.cursor.go(found.unwrap_or(0));
    }

    fn name_of(&self, row: SpaceRow) -> Option<(Option<Name>, Option<Digest>)> {
        match row {
            SpaceRow::Repository(n) => Some((self.repository(n)?.name.clone(), None)),
            SpaceRow::Image(n, at) => Some((self.repository(n)?.name.clone(), Some(self.image(n, at)?.id.clone()))),
        }
    }

    #[must_use]
    pub fn repository(&self, n: usize) -> Option<&RepositorySpace> {
        self.space.as_ref()?.repositories.get(n)
    }

    #[must_use]
    pub fn image(&self, n: usize, at: usize) -> Option<&ImageSpace> {
        self.repository(n)?.images.get(at)
    }

    #[must_use]
    pub fn is_unfolded(&self, n: usize) -> bool {
        self.repository(n).is_some_and(|repository| self.unfolded.contains(&repository.name))
    }

    /// The repository that the cursor is in.
    #[must_use]
    pub fn here(&self) -> Option<usize> {
        self.rows.get(self.cursor.at).map(|(SpaceRow::Repository(n) | SpaceRow::Image(n, _))| *n)
    }

    fn lay_out(&mut self) {
        let Some(space) = &self.space else { return };
        self.rows.clear();
        for (n, repository) in space.repositories.iter().enumerate() {
            self.rows.push(SpaceRow::Repository(n));
            if self.unfolded.contains(&repository.name) {
                self.rows.extend((0..repository.images.len()).map(|at| SpaceRow::Image(n, at)));
            }
        }
        self.cursor.set_len(self.rows.len());
    }

    fn fold(&mut self, open: bool) {
        let Some(n) = self.here() else { return };
        let Some(name) = self.repository(n).map(|repository| repository.name.clone()) else { return };
        if open {
            self.unfolded.insert(name);
        } else {
            self.unfolded.remove(&name);
        }
        self.lay_out();
        if !open && let Some(at) = self.rows.iter().position(|row| *row == SpaceRow::Repository(n)) {
            self.cursor.go(at);
        }
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let action = state.settings.keymap.action(chord, &[Place::Images, Place::List, Place::Deck]);
        match action {
            Some(Action::Back | Action::Quit | Action::Space) => return Vec::new(),
            Some(Action::Open) => return self.go(state),
            Some(Action::Right) => self.fold(true),
            Some(Action::Left) => self.fold(false),
            Some(action) => drop(self.cursor.act(action)),
            None => {}
        }
        state.overlays.push(Overlay::Space(self));
        Vec::new()
    }

    /// Closes the view and goes to the row of the Images pane that the cursor's row is about.
    fn go(self: Box<Self>, state: &mut State) -> Vec<Effect> {
        let about = match self.rows.get(self.cursor.at) {
            Some(SpaceRow::Repository(n)) => self.repository(*n).map(|repository| (repository.name.as_ref(), repository.images.first())),
            Some(SpaceRow::Image(n, at)) => self.image(*n, *at).map(|image| (image.name.as_ref(), Some(image))),
            None => None,
        };
        let Some((name, image)) = about else {
            state.overlays.push(Overlay::Space(self));
            return Vec::new();
        };
        // The first of a repository's rows as they stand, or just the image's.
        let repository = matches!(self.rows.get(self.cursor.at), Some(SpaceRow::Repository(_)));
        let is = |key: RowKey| match (&key.name, name) {
            (Some(key), Some(name)) if repository => key.split().0 == name.raw(),
            (None, None) if repository => true,
            _ => Some(&key.id) == image.map(|image| &image.id) && key.name.as_ref() == name,
        };
        state.focus = PaneId::Images;
        let find = |state: &State| state.images.rows.iter().position(|row| state.images.key(*row).is_some_and(&is));
        let mut at = find(state);
        if at.is_none() && !state.images.filter.is_empty() {
            filter::set(state, "");
            at = find(state);
        }
        match at {
            Some(at) => {
                state.images.cursor.go(at);
                Vec::new()
            }
            None => vec![state.toasts.show(ToastKind::Info, "It is not in the list any more", None)],
        }
    }
}
