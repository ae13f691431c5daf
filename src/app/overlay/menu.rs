//! A short list to choose from: what to copy, which source, which theme.

use crate::model::{Safe, SourceId};
use crate::pane::ListCursor;

#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    Copy(String),
    Source(SourceId),
    Theme(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct MenuItem {
    /// A key that takes it at once.
    pub key: Option<char>,
    pub label: Safe,
    pub detail: Safe,
    pub choice: Choice,
    /// It is the one in force now.
    pub current: bool,
    /// It can't be chosen, or has trouble: shown so.
    pub warning: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    pub title: Safe,
    pub items: Vec<MenuItem>,
    pub cursor: ListCursor,
    /// The theme to go back to when a theme menu is left without choosing.
    pub before: Option<String>,
}
