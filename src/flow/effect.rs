//! What `update` asks of the world. Plain data, so that tests compare it.

use std::time::Duration;

use super::job::{Job, JobId};
use super::msg::Msg;

/// A text for an editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The name of its file, by which an editor knows what kind of text it is.
    pub name: &'static str,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Start(JobId, Job),
    Cancel(JobId),
    /// Deliver a message later, once. The only timers there are: none runs when nothing is pending.
    After(Duration, Box<Msg>),
    /// Put text on the clipboard (the terminal's, by OSC 52).
    Copy(String),
    /// Write the settings a user changed in the app (theme, sort, columns, source), to be remembered.
    Remember,
    Quit,
    /// Draw everything anew, also what did not change.
    Redraw,
    /// Give the terminal to the user's editor with this text; [`Msg::Edited`] tells what became of it.
    Edit(Draft),
    /// Stop like a shell job (Ctrl-z): the terminal is given back until we are continued.
    Suspend,
}
