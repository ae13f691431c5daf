//! Dialogs that need something read first: what an archive holds, what a copy replaces, a file that stands in the way.

use crate::curate::plan::Wish;
use crate::curate::words::counted;
use crate::curate::{Tone, describe};
use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{Change, Digest, ImportPreview, Name, Problem, ProblemKind, Safe, SourceId};

use super::super::jobs;
use super::super::plan as planning;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Agreed, Confirm, Overlay};

/// Starts reading and shows that it does; Esc cancels.
pub(in crate::app) fn wait(state: &mut State, what: &str, job: impl FnOnce(SourceId) -> Job) -> Vec<Effect> {
    let Some(source) = state.sources.current.clone() else {
        return Vec::new();
    };
    let (id, effect) = jobs::start(state, job(source));
    state.overlays.push(Overlay::Waiting { what: Safe::new(what), job: id, wishes: Vec::new() });
    vec![effect]
}

/// Looks at what pushes among `wishes` would replace, for all of them to go into the plan then.
pub(in crate::app) fn look_before_pushes(state: &mut State, source: SourceId, wishes: Vec<Wish>) -> Vec<Effect> {
    let push = |wish: &Wish| if let Wish::Push { id, name, .. } = wish { Some((name.clone(), id.clone())) } else { None };
    let pushes: Vec<_> = wishes.iter().filter_map(push).collect();
    let what = format!("looking at {} there", counted(pushes.len(), "tag"));
    let (job, effect) = jobs::start(state, Job::PreviewPush { source, pushes });
    state.overlays.push(Overlay::Waiting { what: Safe::from(what), job, wishes });
    vec![effect]
}

/// Takes what was read and asks.
pub(in crate::app) fn previewed(state: &mut State, id: JobId, job: Job, event: JobEvent) -> Vec<Effect> {
    let at = state.overlays.iter().position(|overlay| matches!(overlay, Overlay::Waiting { job, .. } if *job == id));
    let waited = at.map(|at| state.overlays.remove(at));
    match (job, event) {
        (Job::PreviewPush { source, .. }, JobEvent::Done(JobOutput::PushPreview(there)))
            if let Some(Overlay::Waiting { wishes, .. }) = waited
                && !wishes.is_empty() =>
        {
            plan_pushes(state, &source, wishes, there)
        }
        (Job::PreviewImport { source, .. }, JobEvent::Done(JobOutput::ImportPreview(preview))) => import(state, source, preview),
        (_, JobEvent::Done(JobOutput::CopyPreview(copy))) => super::super::registries::copy_previewed(state, *copy),
        (Job::PreviewPush { source, pushes }, JobEvent::Done(JobOutput::PushPreview(there))) => {
            let asked = pushes.into_iter().zip(there).next();
            asked.map_or_else(Vec::new, |((name, id), there)| push(state, source, name, id, &there))
        }
        (_, JobEvent::Failed(problem)) => vec![state.toasts.problem(&problem)],
        _ => Vec::new(),
    }
}

/// Puts wishes into the plan, of which the pushes know by now what they replace.
fn plan_pushes(state: &mut State, source: &SourceId, mut wishes: Vec<Wish>, there: Vec<Result<Option<Digest>, Problem>>) -> Vec<Effect> {
    let Some(list) = state.images.list.value.clone().filter(|_| state.sources.current.as_ref() == Some(source)) else {
        return vec![state.toasts.show(ToastKind::Info, "Another source is shown by now: nothing was planned", None)];
    };
    state.overlays.retain(|overlay| !matches!(overlay, Overlay::Rename(_)));
    let pushes = wishes.iter_mut().filter_map(|wish| if let Wish::Push { seen, .. } = wish { Some(seen) } else { None });
    for (seen, there) in pushes.zip(there) {
        *seen = there.ok();
    }
    planning::want_local(state, source, &list, wishes)
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
