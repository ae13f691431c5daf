//! The edge to the terminal and the system: configuration and directories, the event loop, signals, the log.
//!
//! | file | concern |
//! |---|---|
//! | [`config`], `remembered`, [`paths`] | what the user wrote, what was chosen in the app, where files are |
//! | `term`, `output`, `screen`, `keys`, `input`, `signals` | the terminal: entering and leaving, frames out, keys in, signals |
//! | `editor` | the user's own editor, with the terminal lent to it |
//! | `look`, `sources` | the theme in force, the sources there are |
//! | `run`, `deck` | the loop, and what it starts from |
//! | [`log`] | the log file |
//!
//! May use every room.

pub mod config;
mod deck;
mod editor;
mod input;
mod keys;
pub mod log;
pub mod look;
mod output;
pub mod paths;
mod registries;
mod remembered;
mod run;
pub mod scanning;
mod screen;
mod signals;
mod sources;
mod surroundings;
mod term;

pub use config::Config;
pub use deck::{DeckOptions, run};
pub use paths::Paths;
pub(crate) use sources::is_there;
