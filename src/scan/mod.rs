//! What is in images beyond their files: looks for it in layers, wherever a source has them, and gives it as data.
//!
//! May use model, layer and source; must not name the screen, `app` or `pane`.

pub mod advisory;
pub mod attached;
pub mod builtin;
pub mod facts;
pub mod harbor;
pub mod import;
pub mod inventory;
pub mod lint;
pub mod rules;
pub mod sbom;
pub mod signature;
pub mod tool;
pub mod version;
