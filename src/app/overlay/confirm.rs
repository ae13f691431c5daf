//! The dialog that says exactly what will happen, and waits for a fresh key.

use crate::flow::{Chord, Job};
use crate::model::Safe;

/// How a line of the dialog is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// What stays, or is only for information.
    Quiet,
    Warning,
    /// What will be gone.
    Loss,
}

/// What runs when the user agrees.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreed {
    Start(Vec<Job>),
    Quit,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub title: Safe,
    pub lines: Vec<(Tone, Safe)>,
    /// The word on the button that agrees, such as "Delete".
    pub verb: &'static str,
    pub agreed: Agreed,
    /// The agreeing button has the focus. A dialog opens with it on "Cancel", so that Enter held down does nothing.
    pub on_verb: bool,
    /// The chord that opened the dialog can't answer it until another key was pressed.
    pub opened_by: Option<Chord>,
    pub scroll: usize,
}
