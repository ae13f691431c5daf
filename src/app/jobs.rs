//! What jobs bring, and which jobs follow from that: lists that stay fresh, a source that comes back by itself, tasks that end in a toast.

use std::sync::Arc;
use std::time::Duration;

use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput, Msg};
use crate::model::{ImageList, Problem, ProblemKind, Progress, Safe, SourceInfo, SourceKind, SourceStatus, Transfer, size};
use crate::pane::images::RowKey;
use crate::pane::tasks::{Task, TaskState};

use super::chains;
use super::drift;
use super::files;
use super::findings;
use super::labels;
use super::log;
use super::login;
use super::overlay::{self, Overlay};
use super::plan;
use super::registries;
use super::state::State;
use super::toast::ToastKind;
use super::what_if;

/// Changes that come closer together than this are listed once.
const SETTLE: Duration = Duration::from_millis(250);
/// Longest wait before changes are listed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds until the next try, by tries failed.
const BACKOFF: [u64; 6] = [1, 2, 4, 8, 15, 30];
/// Longest of them for an engine on this machine.
const NEARBY: u64 = 4;

/// Starts a job: gives it its id and remembers it.
pub(super) fn start(state: &mut State, job: Job) -> (JobId, Effect) {
    let id = state.new_job();
    (id, start_as(state, id, job))
}

fn start_as(state: &mut State, id: JobId, job: Job) -> Effect {
    if let Some(slot) = job.slot() {
        // The newest wins: whatever the older one of this slot still says is stale.
        state.jobs.retain(|_, other| other.slot() != Some(slot));
    }
    state.jobs.insert(id, job.clone());
    Effect::Start(id, job)
}

pub(super) fn discover(state: &mut State) -> Vec<Effect> {
    let (id, effect) = start(state, Job::Discover);
    state.sources.all.start(id);
    vec![effect]
}

/// Asks the current source for its images.
pub(super) fn list(state: &mut State) -> Vec<Effect> {
    let Some(source) = state.sources.current.clone() else {
        return Vec::new();
    };
    state.stale = false;
    let (id, effect) = start(state, Job::List { source });
    state.images.list.start(id);
    state.asked_at = state.now;
    if matches!(state.sources.status, SourceStatus::Unknown) {
        state.sources.status = SourceStatus::Connecting;
    }
    let mut effects = vec![effect];
    effects.extend(watch(state));
    effects
}

/// Turns to another source: nothing of the old one stays on the screen.
pub(super) fn switch(state: &mut State, source: crate::model::SourceId) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(id) = state.images.list.job {
        effects.push(Effect::Cancel(id));
    }
    let stops = |job: &Job| matches!(job, Job::Watch { .. } | Job::Files { .. } | Job::Scan { .. });
    effects.extend(state.jobs.iter().filter(|(_, job)| stops(job)).map(|(id, _)| Effect::Cancel(*id)));
    state.jobs.retain(|_, job| job.is_task() || job.is_remote() || job.is_about_plans() || matches!(job, Job::Discover));
    state.sources.current = Some(source);
    state.sources.status = SourceStatus::Unknown;
    state.sources.tries = 0;
    let sort = state.images.sort;
    let gists = Arc::clone(&state.images.gists);
    state.images = crate::pane::images::Images { sort, gists, ..Default::default() };
    state.layers = crate::pane::layers::Layers { hide_empty: state.layers.hide_empty, ..Default::default() };
    effects.extend(list(state));
    effects.push(Effect::Remember);
    effects
}

pub(super) fn retry(state: &mut State) -> Vec<Effect> {
    state.retrying = false;
    if state.images.list.is_loading() || matches!(state.sources.status, SourceStatus::Ready { .. }) {
        return Vec::new();
    }
    list(state)
}

/// The source changed: list again soon, once for many changes.
pub(super) fn changed(state: &mut State) -> Vec<Effect> {
    if state.images.list.is_loading() {
        state.stale = true;
        return Vec::new();
    }
    if state.settling {
        return Vec::new();
    }
    state.settling = true;
    // A source that takes long to list is not asked more than a third of the time.
    let patience = SETTLE.max(state.took.saturating_mul(2)).min(PATIENCE);
    vec![Effect::After(patience, Box::new(Msg::Settled))]
}

pub(super) fn settled(state: &mut State) -> Vec<Effect> {
    state.settling = false;
    if state.images.list.is_loading() {
        state.stale = true;
        return Vec::new();
    }
    list(state)
}

pub(super) fn inspect_selected(state: &mut State) -> Vec<Effect> {
    let Some((source, key)) = state.layers.key.clone() else {
        return Vec::new();
    };
    if state.layers.image.value.is_some() {
        return Vec::new();
    }
    let (id, effect) = start(state, Job::Inspect { source, key });
    state.layers.image.start(id);
    vec![effect]
}

/// Adds a task, a job listed in the Tasks drawer, and starts it when it has its turn.
pub(super) fn task(state: &mut State, job: Job) -> Vec<Effect> {
    let title = title(&job);
    let id = state.new_job();
    state.tasks.add(Task::new(id, job, title, state.now));
    advance(state)
}

/// Starts what is in line and has its turn.
pub(super) fn advance(state: &mut State) -> Vec<Effect> {
    let mut effects = Vec::new();
    while let Some((id, job)) = state.tasks.next().map(|task| (task.id, task.job.clone())) {
        if let Job::Apply(applying) = &job {
            plan::begun(state, id, applying);
        }
        effects.push(start_as(state, id, job));
        state.tasks.begin(id, state.now);
    }
    effects
}

fn title(job: &Job) -> Safe {
    use crate::model::Change;
    Safe::from(match job {
        Job::Export { file, keys, .. } => format!("export {} to {}", crate::curate::words::counted(keys.len(), "image"), file.display()),
        Job::SaveFile { lies, file, .. } => format!("save {} of layer {} to {}", size::human(lies.length), lies.layer + 1, file.display()),
        Job::Change(Change::Pull { name, .. }) => format!("pull {}", name.safe()),
        Job::Change(Change::Push { name, .. }) => format!("push {}", name.safe()),
        Job::Change(Change::Copy { copy, .. }) => format!("copy to {}", copy.to.safe()),
        Job::Change(Change::Import { file, .. }) => format!("import {}", file.display()),
        Job::Apply(applying) => {
            let lines = crate::curate::words::counted(applying.plan.operations.len(), "line");
            match applying.plan.operations.as_slice() {
                [line] => line.doing(),
                _ => format!("run a plan to {}: {lines}", applying.plan.kind.word()),
            }
        }
        other => format!("{other:?}"),
    })
}

fn progressed(state: &mut State, id: JobId, progress: Progress) {
    let now = state.now;
    if let Some(task) = state.tasks.get_mut(id) {
        task.progressed(progress, now);
        state.tasks.rebuild();
    } else {
        overlay::progressed(state, id, &progress);
        findings::progressed(state, id, &progress);
    }
}

/// Takes one event of one job. Events of a job that was replaced or forgotten are dropped.
pub(super) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    if let JobEvent::Progress(progress) = event {
        progressed(state, id, progress);
        return Vec::new();
    }
    let ended = !matches!(event, JobEvent::Chunk(_));
    let job = if ended { state.jobs.remove(&id) } else { state.jobs.get(&id).cloned() };
    let Some(job) = job else {
        return Vec::new();
    };
    match job {
        Job::Discover => discovered(state, id, event),
        Job::Open(_) => opened(state, event),
        Job::List { .. } => listed(state, id, event),
        Job::Watch { .. } => watched(state, event),
        Job::Inspect { .. } => inspected(state, id, event),
        Job::Family { list, .. } => overlay::inspect::found(state, id, list, event),
        Job::Space { .. } => overlay::space::event(state, id, event),
        Job::Files { .. } | Job::Arrange { .. } => files::event(state, id, event),
        Job::Cost(tree) => files::reckoned(state, id, tree, event),
        Job::Peek { .. } => overlay::file::event(state, id, event),
        Job::Compare(_) => overlay::compare::event(state, id, event),
        Job::SiftComparison { found, .. } => overlay::compare::sifted(state, id, found, event),
        Job::Scan { .. } | Job::ArrangeFindings { .. } | Job::SaveFindings { .. } | Job::Ignore { .. } | Job::ImportReport { .. } => {
            findings::event(state, id, &job, event)
        }
        Job::View { .. } => plan::viewed(state, id, event),
        Job::Weigh { source, repository, .. } => plan::weighed(state, &(source, repository), event),
        Job::Layers { source, .. } => chains::event(state, &source, event),
        Job::SavePlan { .. } => plan::saved(state, event),
        Job::DryRun(_) => plan::looked(state, id, event),
        Job::ReadPolicy { .. } | Job::SavePolicy { .. } => what_if::event(state, &job, event),
        Job::Recover | Job::Runs | Job::Restorable { .. } | Job::Back { .. } => {
            state.overlays.retain(|overlay| !matches!(overlay, Overlay::Waiting { job, .. } if *job == id));
            log::event(state, id, &job, event)
        }
        Job::PreviewImport { .. } | Job::PreviewCopy { .. } | Job::PreviewPush { .. } => overlay::previewed(state, id, job, event),
        Job::PreviewPrune { .. } => overlay::cleanup::prunable(state, event),
        Job::Pullable { .. } => overlay::cleanup::told(state, id, event),
        Job::Trace { .. } => overlay::quarantine::event(state, id, event),
        Job::SaveText { .. } | Job::SaveComparison { .. } => overlay::quarantine::saved(state, event),
        Job::Labels { details, .. } => labels::event(state, id, &details, event),
        Job::Repositories { .. } | Job::Tags { .. } | Job::Details { .. } | Job::Referrers { .. } => {
            registries::event(state, id, &job, event)
        }
        Job::Drift { tags } => drift::event(state, id, &tags, event),
        Job::LogIn { source, .. } | Job::LogOut { source } => login::ended(state, &source, event),
        Job::Export { .. } | Job::SaveFile { .. } | Job::Change(_) | Job::Apply(_) => task_ended(state, id, &job, event),
    }
}

pub(super) fn answer(event: JobEvent, doing: &str) -> Result<JobOutput, Problem> {
    match event {
        JobEvent::Done(output) | JobEvent::Chunk(output) => Ok(output),
        JobEvent::Failed(problem) => Err(problem),
        JobEvent::Cancelled | JobEvent::Progress(_) => Err(Problem::cancelled(doing)),
    }
}

fn discovered(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    match answer(event, "look for sources") {
        Ok(JobOutput::Sources(mut sources)) => {
            let lost = |info: &&SourceInfo| !sources.iter().any(|other| other.id == info.id);
            let opened: Vec<_> = state.sources.opened.iter().filter(lost).cloned().collect();
            sources.extend(opened);
            let first = sources.first().map(|info| info.id.clone());
            // The first frame found the same, but a registry may have been typed meanwhile.
            state.registries.hosts.take(&sources);
            state.sources.all.finish(id, Ok(sources));
            overlay::menu::refresh_sources(state);
            match (state.sources.current.is_none(), first) {
                (true, Some(first)) => {
                    state.sources.current = Some(first);
                    list(state)
                }
                _ => Vec::new(),
            }
        }
        Ok(_) => Vec::new(),
        Err(problem) => {
            let effect = state.toasts.problem(&problem);
            state.sources.all.finish(id, Err(problem));
            vec![effect]
        }
    }
}

fn opened(state: &mut State, event: JobEvent) -> Vec<Effect> {
    match answer(event, "open the file") {
        Ok(JobOutput::Opened(info)) => {
            let (id, kind) = (info.id.clone(), info.kind);
            let all = state.sources.all.value.get_or_insert_default();
            all.retain(|other| other.id != id);
            all.push(info.clone());
            state.sources.opened.retain(|other| other.id != id);
            state.sources.opened.push(info);
            if kind == SourceKind::Registry { registries::added(state, &id) } else { switch(state, id) }
        }
        Ok(_) => Vec::new(),
        Err(problem) => vec![state.toasts.problem(&problem)],
    }
}

fn listed(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let chunk = matches!(event, JobEvent::Chunk(_));
    match answer(event, "list the images") {
        Ok(JobOutput::Known(list)) if chunk => {
            if state.images.list.value.is_none() {
                show(state, list);
                state.images.remembered = true;
            }
            Vec::new()
        }
        Ok(JobOutput::Uses(uses)) => {
            // Shown with the list, which comes next.
            state.images.uses = uses;
            Vec::new()
        }
        Ok(JobOutput::Images { list: images, version }) => {
            state.sources.status = SourceStatus::Ready { version };
            state.sources.tries = 0;
            let millis = state.now.as_millisecond().saturating_sub(state.asked_at.as_millisecond());
            state.took = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            state.images.list.job = None;
            state.images.list.problem = None;
            state.images.remembered = false;
            state.layers.forget();
            let mut effects = gaps(state, &images);
            show(state, images);
            // A stream that broke while the list was under way was not mourned.
            effects.extend(watch(state));
            if state.stale {
                state.stale = false;
                effects.extend(changed(state));
            }
            effects
        }
        Ok(_) => Vec::new(),
        Err(problem) => {
            state.images.list.finish(id, Err(problem.clone()));
            lost(state, &problem)
        }
    }
}

/// Says once what a list lacks.
fn gaps(state: &mut State, list: &ImageList) -> Vec<Effect> {
    let known = state.images.list.value.as_ref().is_some_and(|old| old.gaps == list.gaps);
    match list.gaps.first() {
        Some(gap) if !known => {
            let more = list.gaps.len() - 1;
            let text = if more == 0 {
                format!("Not all is shown: {}", gap.safe())
            } else {
                format!("Not all is shown: {} (and {more} more)", gap.safe())
            };
            vec![state.toasts.show(ToastKind::Warning, text, None)]
        }
        _ => Vec::new(),
    }
}

/// Puts a list on the screen; cursor and marks stay on their rows.
pub(super) fn show(state: &mut State, list: Arc<ImageList>) {
    let images = &mut state.images;
    let kept: Option<RowKey> = images.rows.get(images.cursor.at).and_then(|row| images.key(*row));
    images.list.value = Some(list);
    // A tag that is on another image now is another row; what left is forgotten.
    if !images.drift.is_empty() {
        let mut known = std::mem::take(&mut images.drift);
        let standing =
            images.images().iter().flat_map(|image| image.tags.iter().map(|tag| RowKey { id: image.id.clone(), name: Some(tag.clone()) }));
        let kept: Vec<_> = standing.filter_map(|key| known.remove_entry(&key)).collect();
        images.drift.extend(kept);
    }
    images.rebuild_around(kept.as_ref(), state.now);
    images.prune_marks();
    overlay::cleanup::listed(state);
    what_if::listed(state);
}

/// The source can't be reached: keep what is on the screen, say so, and try again by and by.
fn lost(state: &mut State, problem: &Problem) -> Vec<Effect> {
    if problem.is_cancelled() {
        return Vec::new();
    }
    let first = !matches!(state.sources.status, SourceStatus::Down(_));
    state.sources.status = SourceStatus::Down(problem.clone());
    let tries = usize::try_from(state.sources.tries).unwrap_or(usize::MAX);
    // Asking a socket of this machine costs nothing.
    let longest = if state.sources.info().is_some_and(|info| info.place.as_str().starts_with("unix://")) { NEARBY } else { u64::MAX };
    let seconds = BACKOFF.get(tries).or(BACKOFF.last()).copied().unwrap_or(30).min(longest);
    state.sources.tries = state.sources.tries.saturating_add(1);
    let mut effects = Vec::new();
    if !state.retrying {
        state.retrying = true;
        effects.push(Effect::After(Duration::from_secs(seconds), Box::new(Msg::Retry)));
    }
    if first && state.images.list.value.is_some() {
        effects.push(state.toasts.problem(problem));
    }
    effects
}

/// Follows the changes of the current source, where it tells them.
fn watch(state: &mut State) -> Vec<Effect> {
    let watching = state.jobs.values().any(|job| matches!(job, Job::Watch { .. }));
    let able = state.sources.info().is_none_or(|info| info.powers.watch);
    match state.sources.current.clone() {
        Some(source) if able && !watching => {
            let (_, effect) = start(state, Job::Watch { source });
            vec![effect]
        }
        _ => Vec::new(),
    }
}

fn watched(state: &mut State, event: JobEvent) -> Vec<Effect> {
    match event {
        JobEvent::Chunk(JobOutput::Changed) => changed(state),
        // What changed between the list and the first event would be missed; a list still under way is younger than that.
        JobEvent::Chunk(JobOutput::Watching) if !state.images.list.is_loading() => changed(state),
        JobEvent::Failed(problem) if problem.kind == ProblemKind::Unsupported => Vec::new(),
        // The list will tell.
        JobEvent::Failed(_) if state.images.list.is_loading() => Vec::new(),
        JobEvent::Failed(problem) => lost(state, &problem),
        _ => Vec::new(),
    }
}

fn inspected(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let result = match answer(event, "inspect the image") {
        Ok(JobOutput::Image(image)) => Ok(image),
        Ok(_) => return Vec::new(),
        Err(problem) => Err(problem),
    };
    if state.layers.image.finish(id, result.clone()) {
        state.layers.arrived();
    }
    overlay::inspect::arrived(state)
}

fn task_ended(state: &mut State, id: JobId, job: &Job, event: JobEvent) -> Vec<Effect> {
    let title = title(job);
    let now = state.now;
    let (end, mut effects) = match event {
        JobEvent::Done(JobOutput::Applied(transfer)) => applied(state, &title, &transfer),
        JobEvent::Done(JobOutput::Ran(run)) => plan::ran(state, id, &run),
        JobEvent::Done(JobOutput::Exported { file, transfer }) => {
            let text = format!("{} written, {}, verified", file.display(), size::human(transfer.bytes_transferred));
            (TaskState::Done(Safe::from(text.clone())), vec![state.toasts.show(ToastKind::Good, text, None)])
        }
        JobEvent::Done(_) => (TaskState::Done(Safe::new("done")), Vec::new()),
        JobEvent::Cancelled if state.tasks.get_mut(id).is_some_and(|task| task.state == TaskState::Pausing) => {
            let new = state.new_job();
            state.tasks.again(id, new, TaskState::Paused);
            return advance(state);
        }
        JobEvent::Cancelled => (TaskState::Cancelled, vec![state.toasts.show(ToastKind::Info, format!("Cancelled: {title}"), None)]),
        JobEvent::Failed(problem) => {
            let effects = if overlay::offer_overwrite(state, job, &problem) { Vec::new() } else { vec![state.toasts.problem(&problem)] };
            (TaskState::Failed(problem), effects)
        }
        JobEvent::Chunk(JobOutput::Lines(lines)) => {
            plan::told(state, id, lines);
            return Vec::new();
        }
        JobEvent::Chunk(_) | JobEvent::Progress(_) => return Vec::new(),
    };
    let warnings = state.tasks.get_mut(id).map_or_else(Vec::new, |task| task.progress.warnings.clone());
    effects.extend(warnings.into_iter().map(|warning| state.toasts.show(ToastKind::Warning, title.clone(), Some(warning))));
    state.tasks.ended(id, end, now);
    effects.extend(advance(state));
    // A source that tells its changes has told this one too, but may be slow; one that doesn't must be asked.
    if matches!(job, Job::Change(change) if state.sources.current.as_ref() == Some(change.source())) {
        effects.extend(changed(state));
    }
    if let Job::Change(change) = job {
        effects.extend(registries::changed(state, change.source()));
        effects.extend(super::log::refresh(state));
    }
    if let Job::Apply(applying) = job {
        effects.extend(plan::over(state, id, applying));
    }
    effects
}

fn applied(state: &mut State, title: &Safe, transfer: &Transfer) -> (TaskState, Vec<Effect>) {
    let skipped = match transfer.bytes_skipped {
        0 => String::new(),
        skipped => format!(", {} were there already", size::human(skipped)),
    };
    let text = format!("Done: {title} ({}{skipped})", size::human(transfer.bytes_transferred));
    (TaskState::Done(Safe::new(&text)), vec![state.toasts.show(ToastKind::Good, text, None)])
}
