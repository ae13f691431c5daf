//! The application, pure: `update(&mut State, Msg) -> Vec<Effect>`, and what is on the screen as data.
//!
//! No IO, no clock, no async: time comes in as [`crate::flow::Msg::Now`], answers as [`crate::flow::Msg::Job`]. May use model, flow,
//! curate and pane; `ui` and ratatui only in `draw.rs`.

pub mod actions;
pub mod chains;
pub mod draw;
mod drift;
pub mod editor;
pub mod files;
mod filter;
mod findings;
pub mod jobs;
pub mod keymap;
mod labels;
pub mod layout;
mod log;
mod login;
pub mod overlay;
mod plan;
mod registries;
pub mod settings;
pub mod state;
mod tasks;
pub mod toast;
pub mod update;
mod what_if;

pub use overlay::Overlay;
pub use registries::browse;
pub use settings::Settings;
pub use state::State;
pub use update::{start, update};
