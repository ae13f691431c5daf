//! How things look: theme, text that fits its columns, tables, gauges, frames and cards.
//!
//! May use model and ratatui's buffer; knows no state, no clock and no files. Everything is written through a [`Canvas`], which takes only
//! [`Shown`] text (ours, or [`crate::model::Safe`]) and never writes outside its buffer, so that no picture can panic at any size.

pub mod canvas;
pub mod code;
pub mod colour;
pub mod signs;
pub mod table;
pub mod text;
pub mod theme;
pub mod widgets;

pub use canvas::{Canvas, Pen};
pub use signs::Signs;
pub use text::Shown;
pub use theme::{Depth, Role, Theme};
