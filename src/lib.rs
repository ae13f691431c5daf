//! Lighterman: browse and curate container images from the terminal.
//!
//! The house has rooms, and a line of code should know its room. Data flows one way round:
//!
//! ```text
//!   keys · mouse · signals                                   screen
//!            │                                                 ▲
//!          shell ── Msg ──► app ── &State ──► app/draw, pane/*/draw ── ui
//!            ▲               │ Effect
//!            └── Msg::Job ── work ──► source (engine · store · layout · archive · registry)
//! ```
//!
//! | room | what it is | may use of ours |
//! |---|---|---|
//! | [`model`] | plain data of the field: references, digests, images, problems, safe text | – |
//! | [`flow`] | messages, actions, effects and jobs as comparable data | model, layer |
//! | [`curate`] | pure reasoning on what an action will do | model |
//! | [`layer`] | tar and compression readers over `impl Read`: bounded and verified; what is in layers, as data | model |
//! | [`source`] | where images live: engines, the embedded store, archives, registries | model, layer |
//! | [`scan`] | what is in images beyond their files: packages, secrets, weaknesses, signatures; other scanners and their reports | model, layer, source |
//! | [`work`] | runs effects as jobs: cancel, newest-wins, progress | model, flow, curate, layer, source, scan |
//! | [`ui`] | theme and widgets | model |
//! | [`pane`], [`app`] | state and pure update; `draw.rs` files are functions of `&State` | model, flow, curate, layer; ui in `draw.rs` |
//! | [`shell`], [`cli`] | the edge: terminal, signals, configuration, command line | all |
//!
//! `tests/architecture.rs` reads `src/` and holds every file to this table.

pub mod app;
pub mod cli;
pub mod curate;
pub mod flow;
pub mod layer;
pub mod model;
pub mod pane;
pub mod scan;
pub mod shell;
pub mod source;
pub mod ui;
pub mod work;
