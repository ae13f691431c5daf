//! The journal on the screen: reading it, taking runs back, doing them again, going on with what was cut short.

use crate::flow::job::Way;
use crate::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::Safe;
use crate::pane::PaneId;

use super::jobs::{self, answer};
use super::overlay::Overlay;
use super::plan;
use super::state::State;
use super::toast::ToastKind;

/// What was cut short last time is looked at again.
pub(super) fn recover(state: &mut State) -> Vec<Effect> {
    vec![jobs::start(state, Job::Recover).1]
}

fn read(state: &mut State) -> Vec<Effect> {
    let (id, effect) = jobs::start(state, Job::Runs);
    state.log.runs.start(id);
    vec![effect]
}

/// The drawer was opened, or something was written: what is on the screen is read again.
pub(super) fn refresh(state: &mut State) -> Vec<Effect> {
    if state.drawer == Some(PaneId::Log) { read(state) } else { Vec::new() }
}

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let way = match action {
        Action::Undo => Way::Undo,
        Action::Redo => Way::Redo,
        _ => Way::Resume,
    };
    if let Some(effect) = plan::in_use(state) {
        return vec![effect];
    }
    let (run, lines) = match (state.focus == PaneId::Log).then(|| state.log.selected()).flatten() {
        Some((run, line)) => (Some(run.id.clone()), line.map(|line| vec![line])),
        None => (None, None),
    };
    let what = match way {
        Way::Undo => "reading what is to be taken back",
        Way::Redo => "reading what is to be done again",
        Way::Resume => "reading what was not done",
    };
    let (job, effect) = jobs::start(state, Job::Back { way, run, lines });
    state.overlays.push(Overlay::Waiting { what: Safe::new(what), job, wishes: Vec::new() });
    vec![effect]
}

/// Asks about the run that was opened.
pub(super) fn follow(state: &mut State) -> Vec<Effect> {
    match state.log.opened.take() {
        Some(run) => {
            let (_, effect) = jobs::start(state, Job::Restorable { run });
            vec![effect]
        }
        None => Vec::new(),
    }
}

pub(super) fn event(state: &mut State, id: JobId, job: &Job, event: JobEvent) -> Vec<Effect> {
    match (job, answer(event, "read the journal")) {
        (Job::Recover, Ok(JobOutput::Recovered(1..))) => {
            let keys = state.settings.keymap.keys(Action::FocusLog);
            let hint = keys.first().map(|key| Safe::from(format!("{key} shows what was done, and goes on")));
            vec![state.toasts.show(ToastKind::Warning, "A run was cut short last time", hint)]
        }
        (Job::Runs, Ok(JobOutput::Runs(runs))) => {
            state.log.runs.finish(id, Ok(runs));
            state.log.rebuild();
            Vec::new()
        }
        (Job::Runs, Err(problem)) => {
            let tell = !problem.is_cancelled() && state.log.runs.value.is_some();
            let effects = if tell { vec![state.toasts.problem(&problem)] } else { Vec::new() };
            state.log.runs.finish(id, Err(problem));
            effects
        }
        (Job::Restorable { .. }, Ok(JobOutput::Restorable(run))) => {
            state.log.asked(*run);
            Vec::new()
        }
        (Job::Back { .. }, Ok(JobOutput::Back { plan, about })) => plan::load(state, *plan, about),
        // Whoever needs the journal is told why it can't be had.
        (Job::Recover, Err(_)) | (_, Ok(_)) => Vec::new(),
        (_, Err(problem)) if problem.is_cancelled() => Vec::new(),
        (_, Err(problem)) => vec![state.toasts.problem(&problem)],
    }
}
