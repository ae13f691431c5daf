//! Everything that can happen, in one enum.

use jiff::Timestamp;

use crate::model::Problem;

use super::action::Action;
use super::job::{JobEvent, JobId};
use super::key::Chord;

#[derive(Debug, Clone, PartialEq)]
pub enum Msg {
    /// A key as pressed; `held` when the terminal says it is a repeat (or it came faster than a finger can: a repeat, or one of a burst).
    Key {
        chord: Chord,
        held: bool,
    },
    /// An action by name: from the palette, a mouse click, a test.
    Act(Action),
    Paste(String),
    Mouse(Mouse),
    Resize {
        width: u16,
        height: u16,
    },
    /// The wall clock, sent before each batch of other messages: the pure rooms have no clock of their own.
    Now(Timestamp),
    Job(JobId, JobEvent),
    /// What the user's editor made of a text.
    Edited(Result<String, Problem>),
    /// Time to remove a toast.
    ToastExpired(u64),
    /// Time to try a lost source again.
    Retry,
    /// Changes came too fast to list after each: list now.
    Settled,
    /// The cursor has stood still after its `n`th move: fetch what it is on.
    Follow(u64),
    /// The next picture of a spinner; only asked for while something runs.
    Spin,
    /// Asked to end from outside (SIGTERM, SIGHUP, terminal gone).
    Terminate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mouse {
    pub kind: MouseKind,
    pub column: u16,
    pub row: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MouseKind {
    Press,
    /// A second press on the same cell soon after the first.
    DoublePress,
    ScrollUp,
    ScrollDown,
}
