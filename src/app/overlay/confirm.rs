//! The dialog that says exactly what will happen, and waits for a fresh key.
//!
//! It opens with the focus on "Cancel", so that Enter held down does nothing; the key that opened it and a key that repeats are no
//! answer; pasted text never reaches it.

pub use crate::curate::Tone;

use crate::curate::Statement;
use crate::flow::{Action, Chord, Effect, Job, Key, Place};
use crate::model::Safe;

use super::super::jobs;
use super::super::state::State;
use super::Overlay;

/// What runs when the user agrees.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreed {
    Start(Vec<Job>),
    Quit,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub title: Safe,
    pub lines: Vec<Statement>,
    /// The word on the button that agrees, such as "Delete".
    pub verb: &'static str,
    pub agreed: Agreed,
    /// The agreeing button has the focus.
    pub on_verb: bool,
    /// The chord that opened the dialog can't answer it until another key was pressed.
    pub opened_by: Option<Chord>,
    /// First line shown, when there are more than fit.
    pub scroll: usize,
}

impl Confirm {
    #[must_use]
    pub const fn new(title: Safe, lines: Vec<Statement>, verb: &'static str, agreed: Agreed) -> Self {
        Self { title, lines, verb, agreed, on_verb: false, opened_by: None, scroll: 0 }
    }

    pub(super) fn key(mut self, state: &mut State, chord: Chord, held: bool) -> Vec<Effect> {
        let fresh = !held && self.opened_by != Some(chord);
        if !held && self.opened_by.is_some_and(|opened| opened != chord) {
            self.opened_by = None;
        }
        let agree = match chord.key {
            Key::Char('y' | 'Y') => fresh,
            Key::Enter if self.on_verb => fresh,
            Key::Enter if fresh => return Vec::new(),
            Key::Esc | Key::Char('n' | 'N' | 'q') => return Vec::new(),
            Key::Tab | Key::Left | Key::Right | Key::Char('h' | 'l') => {
                self.on_verb = !self.on_verb;
                false
            }
            _ => {
                self.scroll(state, chord);
                false
            }
        };
        if !agree {
            state.overlays.push(Overlay::Confirm(self));
            return Vec::new();
        }
        match self.agreed {
            Agreed::Quit => vec![Effect::Quit],
            Agreed::Start(list) => {
                state.images.marks.clear();
                list.into_iter().flat_map(|job| jobs::task(state, job)).collect()
            }
        }
    }

    fn scroll(&mut self, state: &State, chord: Chord) {
        let last = self.lines.len().saturating_sub(1);
        self.scroll = match state.settings.keymap.action(chord, &[Place::List]) {
            Some(Action::Down) => self.scroll.saturating_add(1),
            Some(Action::Up) => self.scroll.saturating_sub(1),
            Some(Action::PageDown | Action::HalfDown) => self.scroll.saturating_add(10),
            Some(Action::PageUp | Action::HalfUp) => self.scroll.saturating_sub(10),
            Some(Action::Top) => 0,
            Some(Action::Bottom) => last,
            _ => self.scroll,
        }
        .min(last);
    }
}
