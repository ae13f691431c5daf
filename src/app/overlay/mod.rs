//! What stands over the panes: dialogs, prompts, menus, the palette, help and the inspect view. A stack; the top one has the keys.

pub mod confirm;
pub mod help;
pub mod inspect;
pub mod menu;
pub mod palette;
pub mod prompt;

pub use confirm::{Agreed, Confirm};
pub use help::Help;
pub use inspect::Inspect;
pub use menu::{Choice, Menu, MenuItem};
pub use palette::Palette;
pub use prompt::{Ask, Prompt};

#[derive(Debug)]
pub enum Overlay {
    Confirm(Confirm),
    Prompt(Prompt),
    Menu(Menu),
    Palette(Palette),
    Help(Help),
    Inspect(Inspect),
    /// Something that is being read before a dialog can be shown, with what it is and its job.
    Waiting {
        what: crate::model::Safe,
        job: crate::flow::JobId,
    },
}
