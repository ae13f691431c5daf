//! Every action by name, fuzzily.

use tui_input::Input;

use crate::flow::Action;
use crate::pane::ListCursor;

#[derive(Debug, Clone)]
pub struct Palette {
    pub input: Input,
    /// Matching actions, best first; with `false` for what can't be done here and now.
    pub matches: Vec<(Action, bool)>,
    pub cursor: ListCursor,
}
