//! The filter line of the pane that has the focus, as it is typed: the list follows each key.

use tui_input::{Input, InputRequest};

use crate::flow::{Action, Chord, Effect, Key};
use crate::model::filter::Filter;
use crate::model::finding_filter::FindingFilter;
use crate::pane::PaneId;

use super::state::State;
use super::update::edit;

impl State {
    /// The line being typed, while it is.
    #[must_use]
    pub const fn filter_input(&self) -> Option<&Input> {
        match self.focus {
            PaneId::Registries => self.registries.filter_input.as_ref(),
            PaneId::Findings => self.findings.filter_input.as_ref(),
            _ => self.images.filter_input.as_ref(),
        }
    }

    const fn filter_line(&mut self) -> &mut Option<Input> {
        match self.focus {
            PaneId::Registries => &mut self.registries.filter_input,
            PaneId::Findings => &mut self.findings.filter_input,
            _ => &mut self.images.filter_input,
        }
    }

    /// Why the filter as it is typed is none.
    #[must_use]
    pub const fn filter_problem(&self) -> Option<&String> {
        match self.focus {
            PaneId::Registries => self.registries.filter_problem.as_ref(),
            PaneId::Findings => self.findings.filter_problem.as_ref(),
            _ => self.images.filter_problem.as_ref(),
        }
    }

    /// How many rows show, and how many there would be without the filter.
    #[must_use]
    pub fn filtered(&self) -> (usize, usize) {
        match self.focus {
            PaneId::Registries => self.registries.counts(),
            PaneId::Findings => self.findings.counts(),
            _ => (self.images.rows.len(), self.images.total_rows),
        }
    }
}

/// Opens the line with the filter in force, where the list has one.
pub(super) fn open(state: &mut State) {
    let text = match state.focus {
        PaneId::Registries => match state.registries.filter() {
            Some(filter) => filter.text().to_owned(),
            None => return,
        },
        PaneId::Findings => state.findings.look.filter.text().to_owned(),
        _ => state.images.filter.text().to_owned(),
    };
    *state.filter_line() = Some(Input::new(text));
}

/// Enter keeps the filter, Esc takes it away.
pub(super) fn key(state: &mut State, chord: Chord) -> Vec<Effect> {
    let mut step = |action| match state.focus {
        PaneId::Registries => drop(state.registries.act(action, state.now)),
        PaneId::Findings => drop(state.findings.act(action)),
        _ => drop(state.images.act(action, state.now)),
    };
    match chord.key {
        Key::Esc => {
            *state.filter_line() = None;
            set(state, "");
        }
        Key::Enter => *state.filter_line() = None,
        Key::Up => step(Action::Up),
        Key::Down => step(Action::Down),
        Key::PageUp => step(Action::PageUp),
        Key::PageDown => step(Action::PageDown),
        _ => {
            if let (Some(request), Some(input)) = (edit(chord), state.filter_line().as_mut()) {
                input.handle(request);
                let text = input.value().to_owned();
                set(state, &text);
            }
        }
    }
    Vec::new()
}

/// Types pasted characters, if the line is open.
pub(super) fn paste(state: &mut State, text: &[char]) {
    if let Some(input) = state.filter_line().as_mut() {
        for c in text {
            input.handle(InputRequest::InsertChar(*c));
        }
        let text = input.value().to_owned();
        set(state, &text);
    }
}

/// Puts a filter in force; a text that is none leaves the last one and says why.
pub(super) fn set(state: &mut State, text: &str) {
    if state.focus == PaneId::Findings {
        match FindingFilter::parse(text) {
            // It is laid out once the key was dealt with.
            Ok(filter) => (state.findings.look.filter, state.findings.filter_problem) = (filter, None),
            Err(problem) => state.findings.filter_problem = Some(problem),
        }
        return;
    }
    let (problem, filter) = match Filter::parse(text) {
        Ok(filter) => (None, Some(filter)),
        Err(problem) => (Some(problem), None),
    };
    if state.focus == PaneId::Registries {
        state.registries.filter_problem = problem;
        if let Some(filter) = filter.filter(|filter| state.registries.filter() != Some(filter)) {
            state.registries.set_filter(filter, state.now);
        }
        return;
    }
    state.images.filter_problem = problem;
    if let Some(filter) = filter.filter(|filter| *filter != state.images.filter) {
        state.images.filter = filter;
        state.images.rebuild(state.now);
    }
}
