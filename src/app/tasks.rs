//! What the Tasks drawer does to tasks: cancel, pause, retry, and which comes first.

use crate::flow::{Action, Effect, JobId};
use crate::pane::tasks::{TaskState, Tasks};

use super::jobs;
use super::state::State;
use super::toast::ToastKind;

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    if action == Action::PauseAll {
        state.tasks.held = !state.tasks.held;
        return jobs::advance(state);
    }
    let Some((id, now)) = state.tasks.selected().map(|task| (task.id, task.state.clone())) else { return Vec::new() };
    match action {
        Action::CancelTask => cancel(state, id, &now),
        Action::PauseTask => pause(state, id, &now),
        Action::RetryTask if matches!(now, TaskState::Failed(_) | TaskState::Cancelled) => {
            let new = state.new_job();
            state.tasks.again(id, new, TaskState::Waiting);
            jobs::advance(state)
        }
        Action::TaskSooner | Action::TaskLater => {
            if !state.tasks.shift(id, if action == Action::TaskSooner { -1 } else { 1 }) {
                return vec![state.toasts.show(ToastKind::Info, "Only what waits in line can be moved", None)];
            }
            jobs::advance(state)
        }
        _ => Vec::new(),
    }
}

fn cancel(state: &mut State, id: JobId, now: &TaskState) -> Vec<Effect> {
    if now.is_in_line() {
        state.tasks.leave(id, state.now);
        return Vec::new();
    }
    if !now.is_running() {
        return Vec::new();
    }
    set(state, id, TaskState::Stopping);
    vec![Effect::Cancel(id)]
}

/// What runs is stopped and put back in line; what is in line is passed over, or waits for its turn again.
fn pause(state: &mut State, id: JobId, now: &TaskState) -> Vec<Effect> {
    match now {
        TaskState::Waiting => set(state, id, TaskState::Paused),
        TaskState::Paused => set(state, id, TaskState::Waiting),
        TaskState::Running if state.tasks.selected().is_some_and(Tasks::can_pause) => {
            set(state, id, TaskState::Pausing);
            return vec![Effect::Cancel(id)];
        }
        TaskState::Running => {
            let why = "This would start from nothing again, so it can only be cancelled";
            return vec![state.toasts.show(ToastKind::Info, why, None)];
        }
        _ => return Vec::new(),
    }
    jobs::advance(state)
}

fn set(state: &mut State, id: JobId, to: TaskState) {
    if let Some(task) = state.tasks.get_mut(id) {
        task.state = to;
    }
    state.tasks.rebuild();
}
