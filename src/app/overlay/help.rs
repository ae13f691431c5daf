//! What the keys do here: the rows of the action table that apply to the focused pane.

use crate::flow::{ACTIONS, Action, Place};

use super::super::state::State;
use super::super::update::places;
use super::Overlay;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    pub title: &'static str,
    /// The pane's own actions first, then the lists', then the deck's; each with its keys as configured.
    pub rows: Vec<HelpRow>,
    pub scroll: usize,
    /// Rows that fit, set by the layout.
    pub height: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelpRow {
    Heading(&'static str),
    Row { keys: String, action: Action },
}

pub(in crate::app) fn open(state: &mut State) {
    let mut rows = Vec::new();
    for place in places(state) {
        rows.push(HelpRow::Heading(match place {
            Place::Images
            | Place::Registries
            | Place::Layers
            | Place::Files
            | Place::Findings
            | Place::Tasks
            | Place::Plan
            | Place::Log => "This pane",
            Place::Rows => "Rows",
            Place::List => "Moving",
            Place::Deck => "Everywhere",
        }));
        let here = ACTIONS.iter().filter(|row| row.place == *place);
        rows.extend(here.map(|row| HelpRow::Row { keys: state.settings.keymap.keys_text(row.action), action: row.action }));
    }
    state.overlays.push(Overlay::Help(Help { title: state.focus.title(), rows, scroll: 0, height: 0 }));
}
