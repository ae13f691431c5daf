//! The edge to the terminal and the system: configuration and directories, the event loop, signals, the log.
//!
//! May use every room.

pub mod config;
pub mod paths;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::model::{Locator, Problem};

pub use config::Config;
pub use paths::Paths;

/// How the deck was asked for on the command line.
#[derive(Debug, Clone, Default)]
pub struct DeckOptions {
    /// An engine's endpoint: `--host`.
    pub host: Option<String>,
    /// A docker context by name: `--context`.
    pub context: Option<String>,
    /// A configuration file instead of the user's: `--config`.
    pub config: Option<PathBuf>,
    pub read_only: bool,
    /// Show a sample world in a temporary folder, and touch nothing of the user's.
    pub demo: bool,
    /// Files and layouts to open.
    pub open: Vec<Locator>,
    pub theme: Option<String>,
}

/// Opens the deck and stays until the user leaves.
///
/// # Errors
/// No terminal to draw on, or an option that can't be followed: nothing was drawn then.
pub fn run(options: &DeckOptions) -> Result<ExitCode, Problem> {
    let paths = Paths::find()?;
    let _config = Config::load(&paths, options.config.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
