//! One line to type: a new name, a reference to pull, a file to write or read.

use tui_input::Input;

use crate::model::{ArchiveFormat, Digest, ImageKey, Name, Safe};

/// What is asked for, with what the answer applies to.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Retag { id: Digest, from: Option<Name> },
    Pull,
    Push { name: Name, id: Digest },
    Export { keys: Vec<ImageKey>, format: ArchiveFormat },
    Import,
    OpenFile,
}

#[derive(Debug, Clone)]
pub struct Prompt {
    pub ask: Ask,
    pub title: Safe,
    /// What it is about, above the line.
    pub about: Option<Safe>,
    pub input: Input,
    /// Live: why the text can't be taken as it is, or what it means.
    pub note: Result<Option<Safe>, Safe>,
    /// What the keys do here.
    pub keys: &'static str,
}
