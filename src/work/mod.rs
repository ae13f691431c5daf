//! Runs effects: jobs with cancel, newest-wins slots, progress of at most ten snapshots a second, and one-shot timers.
//!
//! May use model, flow, curate, layer and source. Messages go back through one bounded queue; a job waits when it is full.

pub mod apply;
mod catalog;
pub mod change;
mod checksum;
pub mod clock;
pub mod compare;
pub mod content;
mod curation;
mod explore;
pub mod files;
pub mod findings;
pub mod gists;
#[cfg(debug_assertions)]
pub mod hooks;
pub mod inventory;
pub mod journal;
pub mod known;
pub mod layer_cache;
pub mod layer_index;
pub mod layers;
pub mod ledger;
pub mod leftovers;
mod pullable;
pub mod run;
pub mod scan;
pub mod sights;
pub mod table;
pub mod told;
pub mod trace;
pub mod worker;

pub use known::KnownLists;
pub use layer_cache::LayerCache;
pub use ledger::Ledgers;
pub use run::Env;
pub use sights::Sights;
pub use table::{Found, Table};
pub use worker::Worker;
