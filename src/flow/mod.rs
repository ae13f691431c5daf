//! What moves between the rooms, as plain comparable data: messages in, effects out, jobs and their ids.
//!
//! One round trip: event → keymap → [`Action`] → [`Msg::Act`] → `update` → `[Effect::Start(id, Job), …]` → work →
//! [`Msg::Job`] → `update` → state → draw. Nothing else goes back.

pub mod action;
pub mod effect;
pub mod job;
pub mod key;
pub mod loadable;
pub mod msg;
pub mod shared;

pub use action::{ACTIONS, Action, ActionRow, Place};
pub use effect::{Draft, Effect};
pub use job::{Job, JobEvent, JobId, JobOutput, Slot};
pub use key::{Chord, Key, Mods};
pub use loadable::Loadable;
pub use msg::{Mouse, MouseKind, Msg};
pub use shared::Shared;
