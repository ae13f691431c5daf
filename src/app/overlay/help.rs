//! What the keys do here: the rows of the action table that apply to the focused pane.

use crate::flow::Action;

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
