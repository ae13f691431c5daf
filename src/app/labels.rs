//! Labels of images in a registry, which cost requests to read: asked for once a policy that is tried out, or a rule for new names, looks at them.

use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::TagDetails;

use super::jobs::{self, answer};
use super::overlay::{self, Overlay};
use super::state::State;

/// Asks for labels that are looked at and not known, a job at a time.
pub(super) fn ask(state: &mut State) -> Vec<Effect> {
    if state.registries.tags.labelling.is_some() {
        return Vec::new();
    }
    let details = wanted(state);
    let tags = &state.registries.tags;
    let Some(source) = tags.source.clone().filter(|_| !details.is_empty()) else { return Vec::new() };
    let (id, effect) = jobs::start(state, Job::Labels { source, repository: tags.repository.clone(), details });
    state.registries.tags.labelling = Some(id);
    vec![effect]
}

fn wanted(state: &State) -> Vec<TagDetails> {
    let tags = &state.registries.tags;
    let tried = tags.what_if.as_ref().is_some_and(|what_if| what_if.unlabelled() > 0);
    match state.overlays.last() {
        Some(Overlay::Rename(rename)) => rename.unlabelled(tags),
        // Which tags a policy is about is known once all are read.
        _ if tried && tags.asked.is_none() => tags.unlabelled(),
        _ => Vec::new(),
    }
}

/// Labels came, or will not.
pub(super) fn event(state: &mut State, id: JobId, asked: &[TagDetails], event: JobEvent) -> Vec<Effect> {
    let now = state.now;
    let tags = &mut state.registries.tags;
    if tags.labelling != Some(id) {
        return Vec::new();
    }
    let problem = match answer(event, "read labels") {
        Ok(JobOutput::Labels(answers)) => {
            tags.labelled(answers);
            overlay::labelled(state);
            return Vec::new();
        }
        Ok(JobOutput::Quota(_)) => return Vec::new(),
        Ok(_) => None,
        Err(problem) => (!problem.is_cancelled()).then_some(problem),
    };
    // What was not told counts as unknown, or it would be asked for without end; the line or dialog opened anew asks again.
    tags.give_labels_up(asked);
    tags.labelling = None;
    tags.decide(false, now);
    overlay::labelled(state);
    problem.map(|problem| state.toasts.problem(&problem)).into_iter().collect()
}
