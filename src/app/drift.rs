//! Asking the registries how the local tags stand there. Only when a user wants it: it goes out to every registry that is named.

use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{Drift, LocalTag, Safe};
use crate::pane::images::RowKey;

use super::jobs::{self, answer};
use super::overlay::inspect;
use super::state::State;
use super::toast::ToastKind;

/// Tags asked about at a time: those on the screen first, then the rest of what the filter shows.
const MOST: usize = 5000;

/// Asks about the chosen rows where some are marked, else about all that are shown. While it asks, the same key stops it.
pub(super) fn ask(state: &mut State) -> Vec<Effect> {
    if let Some(id) = state.images.drifting.take() {
        state.jobs.remove(&id);
        return vec![Effect::Cancel(id)];
    }
    let images = &state.images;
    let marked = !images.marks.is_empty() || images.range_from.is_some();
    let keys: Vec<RowKey> = if marked {
        images.chosen()
    } else {
        let seen = images.cursor.visible();
        let (before, after) = (0..seen.start, seen.end..images.rows.len());
        seen.chain(after).chain(before).filter_map(|at| images.rows.get(at)).filter_map(|row| images.key(*row)).collect()
    };
    let all = images.images();
    let by_id: std::collections::HashMap<_, _> = all.iter().map(|image| (&image.id, image)).collect();
    let tags: Vec<LocalTag> = keys
        .into_iter()
        .filter_map(|RowKey { id, name }| {
            let repo_digests = by_id.get(&id)?.repo_digests.clone();
            Some(LocalTag { name: name?, id, repo_digests })
        })
        .take(MOST)
        .collect();
    if tags.is_empty() {
        return vec![state.toasts.show(ToastKind::Info, "There is no tag here to ask a registry about", None)];
    }
    let (id, effect) = jobs::start(state, Job::Drift { tags });
    state.images.drifting = Some(id);
    vec![effect]
}

/// Takes what the registries said, and sums it up at the end.
pub(super) fn event(state: &mut State, id: JobId, asked: &[LocalTag], event: JobEvent) -> Vec<Effect> {
    if state.images.drifting != Some(id) {
        inspect::told_of_base(state, id, &event);
        return Vec::new();
    }
    match answer(event, "ask the registries") {
        Ok(JobOutput::Drift(answers)) => {
            let answers = answers.into_iter().map(|(tag, answer)| (RowKey { id: tag.id, name: Some(tag.name) }, answer));
            state.images.drift.extend(answers);
            if state.images.filter.text().contains("drift:") || state.images.filter.text().contains("pullable") {
                state.images.rebuild(state.now);
            }
            Vec::new()
        }
        Ok(_) => {
            state.images.drifting = None;
            vec![sum(state, asked)]
        }
        Err(problem) => {
            state.images.drifting = None;
            if problem.is_cancelled() { Vec::new() } else { vec![state.toasts.problem(&problem)] }
        }
    }
}

fn sum(state: &mut State, asked: &[LocalTag]) -> Effect {
    let mut counts = [("same", 0), ("moved", 0), ("local", 0), ("gone", 0), ("not told", 0)];
    let mut why = None;
    for tag in asked {
        let key = RowKey { id: tag.id.clone(), name: Some(tag.name.clone()) };
        let word = match state.images.drift.get(&key) {
            Some(Ok(drift)) => Drift::word(drift),
            Some(Err(problem)) => {
                why.get_or_insert_with(|| Safe::from(format!("{}: {}", tag.name.safe(), problem.cause)));
                "not told"
            }
            None => "not told",
        };
        if let Some((_, count)) = counts.iter_mut().find(|(name, _)| *name == word) {
            *count += 1;
        }
    }
    let kind = if counts.iter().any(|(word, count)| *word == "not told" && *count > 0) { ToastKind::Warning } else { ToastKind::Info };
    let words: Vec<String> = counts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    state.toasts.show(kind, words.join(", "), why)
}
