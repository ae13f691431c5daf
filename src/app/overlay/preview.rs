//! Dialogs that need something read first: what an archive holds, what a copy replaces, a file that stands in the way.

use crate::curate::words::counted;
use crate::curate::{Tone, describe};
use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{Change, Digest, ImportPreview, Name, Problem, ProblemKind, Safe, SourceId};

use super::super::jobs;
use super::super::state::State;
use super::{Agreed, Confirm, Overlay};

/// Starts reading and shows that it does; Esc cancels.
pub(in crate::app) fn wait(state: &mut State, what: &str, job: impl FnOnce(SourceId) -> Job) -> Vec<Effect> {
    let Some(source) = state.sources.current.clone() else {
        return Vec::new();
    };
    let (id, effect) = jobs::start(state, job(source));
    state.overlays.push(Overlay::Waiting { what: Safe::new(what), job: id });
    vec![effect]
}

/// Takes what was read and asks.
pub(in crate::app) fn previewed(state: &mut State, id: JobId, job: Job, event: JobEvent) -> Vec<Effect> {
    state.overlays.retain(|overlay| !matches!(overlay, Overlay::Waiting { job, .. } if *job == id));
    match (job, event) {
        (Job::PreviewImport { source, .. }, JobEvent::Done(JobOutput::ImportPreview(preview))) => import(state, source, preview),
        (_, JobEvent::Done(JobOutput::CopyPreview(copy))) => super::super::registries::copy_previewed(state, *copy),
        (Job::PreviewPush { source, name, id }, JobEvent::Done(JobOutput::PushPreview(there))) => push(state, source, name, id, &there),
        (_, JobEvent::Failed(problem)) => vec![state.toasts.problem(&problem)],
        _ => Vec::new(),
    }
}

fn push(state: &mut State, source: SourceId, name: Name, id: Digest, there: &Result<Option<Digest>, Problem>) -> Vec<Effect> {
    let lines = describe::push(&name, &id, there);
    let title = Safe::from(format!("Push {}", name.safe()));
    let job = Job::Change(Change::Push { source, name, expected: id, seen: there.clone().ok() });
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Push", Agreed::Start(vec![job]))));
    Vec::new()
}

fn import(state: &mut State, source: SourceId, preview: ImportPreview) -> Vec<Effect> {
    let lines = describe::import(&preview);
    let title = match preview.tags.iter().filter(|tag| tag.taken_from().is_some()).count() {
        0 => Safe::new("Import"),
        moves => Safe::from(format!("Import, moving {}", counted(moves, "tag"))),
    };
    let job = Job::Change(Change::Import { source, file: preview.file, tags: preview.tags });
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Import", Agreed::Start(vec![job]))));
    Vec::new()
}

/// An export that found its file there asks whether to replace it. False when that was not the trouble.
pub(in crate::app) fn offer_overwrite(state: &mut State, job: &Job, problem: &Problem) -> bool {
    let Job::Export { source, keys, file, format, overwrite: false } = job else {
        return false;
    };
    if problem.kind != ProblemKind::Conflict {
        return false;
    }
    let again = Job::Export { source: source.clone(), keys: keys.clone(), file: file.clone(), format: *format, overwrite: true };
    let lines = vec![
        (Tone::Loss, Safe::from(format!("{} is there already and will be replaced", file.display()))),
        (Tone::Quiet, Safe::new("It is kept until the new file is whole and verified.")),
    ];
    state.overlays.push(Overlay::Confirm(Confirm::new(Safe::new("Replace the file?"), lines, "Replace", Agreed::Start(vec![again]))));
    true
}
