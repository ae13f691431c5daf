//! The one way in: `update` takes a message, changes the state, and says what is to be done.

use crate::flow::{Effect, Msg};

use super::state::State;

/// Applies one message. Pure: the same state and message give the same state and effects.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    let _ = (state, msg);
    Vec::new()
}
