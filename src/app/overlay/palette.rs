//! Every action by name, fuzzily.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use tui_input::Input;

use crate::flow::{ACTIONS, Action, Chord, Effect, Key};
use crate::pane::ListCursor;

use super::super::actions;
use super::super::state::State;
use super::super::update::edit;
use super::{Overlay, move_cursor};

#[derive(Debug, Clone)]
pub struct Palette {
    pub input: Input,
    /// Matching actions, best first; with `false` for what can't be done here and now.
    pub matches: Vec<(Action, bool)>,
    pub cursor: ListCursor,
}

pub(in crate::app) fn open(state: &mut State) {
    let mut palette = Palette { input: Input::default(), matches: Vec::new(), cursor: ListCursor::default() };
    palette.search(state);
    state.overlays.push(Overlay::Palette(palette));
}

impl Palette {
    /// Finds what matches the text; what can't be done now stands after what can.
    pub(super) fn search(&mut self, state: &State) {
        let pattern = Pattern::parse(self.input.value(), CaseMatching::Ignore, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut chars = Vec::new();
        let mut found: Vec<_> = ACTIONS
            .iter()
            .filter_map(|row| {
                let text = format!("{} {}", row.name, row.label);
                let score = pattern.score(Utf32Str::new(&text, &mut chars), &mut matcher)?;
                Some((actions::available(state, row.action).is_ok(), score, row.action))
            })
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.cmp(&a.1)));
        self.matches = found.into_iter().map(|(able, _, action)| (action, able)).collect();
        self.cursor.set_len(self.matches.len());
        self.cursor.go(0);
    }

    pub(super) fn key(mut self, state: &mut State, chord: Chord) -> Vec<Effect> {
        match chord.key {
            Key::Esc => return Vec::new(),
            Key::Enter => {
                return match self.matches.get(self.cursor.at) {
                    Some((action, _)) => actions::act(state, *action),
                    None => Vec::new(),
                };
            }
            _ => {
                if !move_cursor(state, &mut self.cursor, chord, true)
                    && let Some(request) = edit(chord)
                {
                    self.input.handle(request);
                    self.search(state);
                }
            }
        }
        state.overlays.push(Overlay::Palette(self));
        Vec::new()
    }
}
