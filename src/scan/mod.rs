//! What is in images beyond their files: looks for it in layers, wherever a source has them, and gives it as data.
//!
//! May use model, layer and source; must not name the screen, `app` or `pane`.

pub mod attached;
pub mod harbor;
pub mod import;
pub mod inventory;
pub mod signature;
pub mod tool;
