//! What a user configured, as far as the pure rooms care. Read from the config file and the command line by the shell.

use crate::curate::cleanup::Limits;
use crate::model::Safe;
use crate::pane::images::Sort;

use super::keymap::Keymap;

/// How much colour the terminal takes and wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourDepth {
    /// `NO_COLOR`, or a terminal without: meaning by bold, reverse, underline and signs alone.
    None,
    Sixteen,
    Indexed,
    #[default]
    True,
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The theme by name; the shell knows the files.
    pub theme: String,
    /// Every theme there is, for the chooser.
    pub themes: Vec<String>,
    pub colours: ColourDepth,
    /// Borders and signs in plain ASCII (`LANG=C`).
    pub ascii: bool,
    pub mouse: bool,
    /// Nothing that changes anything is reachable.
    pub read_only: bool,
    pub keymap: Keymap,
    pub sort: Sort,
    /// Where exports go unless said otherwise.
    pub export_dir: String,
    /// Patterns of references that plans leave alone.
    pub protect: Vec<String>,
    /// Where the groups of what can go end.
    pub clean_up: Limits,
    /// `$HOME`, for `~` in what is typed.
    pub home: Option<String>,
    /// The user's own editor by name, where there is one.
    pub editor: Option<Safe>,
    /// Text copied goes to the terminal's clipboard by OSC 52.
    pub clipboard: bool,
}
