//! What goes into the plan, what it says before it runs, and how a run is followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::curate::plan::{self, Wish};
use crate::curate::words::{counted, freed};
use crate::curate::{Statement, Tone};
use crate::flow::job::{About, Applying};
use crate::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{
    Digest, ImageList, LineState, LoggedLine, LoggedRun, Name, Operation, Plan, PlanKind, ProblemKind, RepositoryView, RunEnd, Safe,
    SourceId, Target, UndoClass,
};
use crate::pane::PaneId;
use crate::pane::images::RowKey;
use crate::pane::plan::Repository;
use crate::pane::tasks::TaskState;

use super::actions::ask;
use super::chains;
use super::jobs::{self, answer};
use super::overlay::{Agreed, Ask, Confirm, Overlay};
use super::registries;
use super::state::State;
use super::toast::ToastKind;

/// Lines that a dialog names; the drawer has them all.
const NAMED: usize = 12;

pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::RunPlan => run(state),
        Action::DryRun => dry_run(state),
        Action::LineSooner => shift(state, -1),
        Action::LineLater => shift(state, 1),
        Action::Override => override_line(state),
        Action::SavePlan => save(state),
        _ => Vec::new(),
    }
}

/// Opens the drawer and goes there.
fn show(state: &mut State) {
    state.drawer = Some(PaneId::Plan);
    state.focus = PaneId::Plan;
}

/// Puts the removal of the chosen images into the plan.
pub(super) fn delete_images(state: &mut State) -> Vec<Effect> {
    let (Some(source), Some(list)) = (state.sources.current.clone(), state.images.list.value.clone()) else { return Vec::new() };
    let chosen = state.images.chosen().into_iter();
    let wishes = chosen.map(|RowKey { id, name }| Wish::Delete(name.map_or(Target::Image(id), Target::Tag))).collect();
    want_local(state, &source, &list, wishes)
}

/// Adds what is wanted of images of this machine, and shows the plan.
pub(super) fn want_local(state: &mut State, source: &SourceId, list: &Arc<ImageList>, wishes: Vec<Wish>) -> Vec<Effect> {
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    state.plan.want_local(source, Arc::clone(list), state.chains.of(source), wishes);
    let effects = if state.plan.takes_images(source) { chains::want(state, source, list) } else { Vec::new() };
    state.images.marks.clear();
    state.images.range_from = None;
    show(state);
    effects
}

/// Puts the removal of tags into the plan.
pub(super) fn delete_tags(state: &mut State, source: &SourceId, repository: &str, tags: Vec<Name>) -> Vec<Effect> {
    want_remote(state, source, repository, tags.into_iter().map(|tag| Wish::Delete(Target::Tag(tag))).collect())
}

/// Adds what is wanted in a repository, looks there for what needs it, and shows the plan.
pub(super) fn want_remote(state: &mut State, source: &SourceId, repository: &str, wishes: Vec<Wish>) -> Vec<Effect> {
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    let place = (source.clone(), repository.to_owned());
    state.plan.want_remote(&place, wishes);
    state.registries.tags.marks.clear();
    state.registries.tags.range_from = None;
    show(state);
    let (tags, digests) = state.plan.asked_of(&place);
    let (id, effect) = jobs::start(state, Job::View { source: source.clone(), repository: repository.to_owned(), tags, digests });
    state.plan.look(id, place);
    vec![effect]
}

/// Adds what is wanted in several repositories, each of which is looked at.
pub(super) fn want_in_registries(state: &mut State, wanted: BTreeMap<(SourceId, String), Vec<Wish>>) -> Vec<Effect> {
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    wanted.into_iter().flat_map(|((source, repository), wishes)| want_remote(state, &source, &repository, wishes)).collect()
}

/// Why nothing can be added to the plan now: it runs.
pub(super) fn busy(state: &mut State) -> Option<Effect> {
    state.plan.is_running().then(|| state.toasts.show(ToastKind::Info, "The plan runs: wait for its end, or cancel it in the tasks", None))
}

/// Why another plan can't take the place of this one: it runs, or nobody has run it yet.
pub(super) fn in_use(state: &mut State) -> Option<Effect> {
    if let Some(busy) = busy(state) {
        return Some(busy);
    }
    let unsaved = !state.plan.is_empty() && !state.plan.ended && state.plan.about().is_none();
    let hint = || Some(Safe::new("run it, or clear it, and try again"));
    unsaved.then(|| state.toasts.show(ToastKind::Info, "There is a plan that has not run", hint()))
}

/// A repository was looked at.
pub(super) fn viewed(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    match answer(event, "look at the repository") {
        Ok(JobOutput::Viewed(view)) => {
            let place = (view.source.clone(), repository_in(&view));
            state.plan.viewed(id, *view);
            if state.plan.is_empty() && state.plan.lines.is_empty() {
                return vec![state.toasts.show(ToastKind::Info, "There is nothing left to do there: it is gone already", None)];
            }
            weigh(state, &place)
        }
        Ok(_) => Vec::new(),
        Err(problem) if problem.kind == ProblemKind::NotFound && state.plan.begins(id) => Vec::new(),
        Err(problem) => {
            state.plan.not_viewed(id);
            if problem.is_cancelled() { Vec::new() } else { vec![state.toasts.problem(&problem)] }
        }
    }
}

/// The view's name without its registry.
fn repository_in(view: &RepositoryView) -> String {
    view.name.split_once('/').map(|(_, repository)| repository.to_owned()).unwrap_or_default()
}

/// Has what is not known yet of a repository's manifests read, where lines take some of them away.
fn weigh(state: &mut State, place: &Repository) -> Vec<Effect> {
    let digests = state.plan.unread(place);
    if digests.is_empty() {
        return Vec::new();
    }
    let (source, repository) = place.clone();
    let (_, effect) = jobs::start(state, Job::Weigh { source, repository, digests });
    vec![effect]
}

/// It was read what manifests hold. Where it could not be, figures stay as rough as they were.
pub(super) fn weighed(state: &mut State, place: &Repository, event: JobEvent) -> Vec<Effect> {
    if let Ok(JobOutput::Held(held)) = answer(event, "weigh what goes") {
        state.plan.weigh_manifests(place, held);
    }
    Vec::new()
}

/// Says what the plan comes to, and asks.
fn run(state: &mut State) -> Vec<Effect> {
    let refuse = |state: &mut State, why: &str, hint: Option<Safe>| vec![state.toasts.show(ToastKind::Info, why, hint)];
    if state.plan.is_empty() {
        return refuse(state, "Nothing is planned", None);
    }
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    if state.plan.ended {
        return refuse(state, "This plan has run", Some(Safe::new("what is wanted next begins a new one")));
    }
    if state.plan.is_looking() {
        return refuse(state, "Still looking at what needs these tags", None);
    }
    if let Some(clash) = state.plan.clashes.first() {
        let why = clash.why.clone();
        show(state);
        return vec![state.toasts.show(ToastKind::Warning, "Lines of the plan are in each other's way", Some(why))];
    }
    let totals = state.plan.totals();
    if totals.runs == 0 {
        return refuse(state, "No line of the plan may run", Some(Safe::new("each says why")));
    }
    if state.plan.all_or_nothing && !state.plan.backup && totals.undo >= Some(UndoClass::OnlyFromBackup) {
        let why = Safe::new("some lines can't be taken back without a backup");
        return refuse(state, "All or nothing can't be promised", Some(why));
    }
    let operations = state.plan.operations();
    let mut lines: Vec<Statement> = named(&operations);
    if totals.refused > 0 {
        lines.push((Tone::Warning, Safe::from(format!("{} refused and left alone", counted(totals.refused, "line")))));
    }
    if totals.freed_at_most > 0 {
        let basis = state.plan.basis().map(|basis| format!(", {basis}")).unwrap_or_default();
        lines.push((Tone::Plain, Safe::from(format!("{}{basis}", freed(Some(totals.freed_at_least), totals.freed_at_most)))));
    }
    lines.extend(promise(totals.undo, state.plan.backup));
    if state.plan.all_or_nothing {
        lines.push((Tone::Quiet, Safe::new("All or nothing: when a line fails, those before it are taken back.")));
    }
    lines.push((Tone::Quiet, Safe::new("Each line is read again first: what moved or came into use meanwhile is left alone.")));
    let title = Safe::from(format!("Run {}", counted(totals.runs, "line")));
    let about = state.plan.about().cloned();
    let applying = Applying { plan: document(state, state.plan.kind(), operations), backup: state.plan.backup, about };
    let job = Job::Apply(Box::new(applying));
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Run", Agreed::Start(vec![job]))));
    Vec::new()
}

fn named(operations: &[Operation]) -> Vec<Statement> {
    let running: Vec<&Operation> = operations.iter().filter(|line| line.refused().is_none()).collect();
    let mut lines: Vec<Statement> = running
        .iter()
        .take(NAMED)
        .map(|line| {
            let tone = if line.takes_away() && line.undo > UndoClass::ReversibleNow { Tone::Loss } else { Tone::Plain };
            let effect = line.effects.first().map(|effect| format!(": {}", effect.safe())).unwrap_or_default();
            (tone, Safe::from(format!("{} {}{effect}", line.verb.word(), line.target.safe())))
        })
        .collect();
    if running.len() > NAMED {
        lines.push((Tone::Plain, Safe::from(format!("and {} more", running.len() - NAMED))));
    }
    lines
}

/// How far it can be taken back, in a sentence.
fn promise(worst: Option<UndoClass>, backup: bool) -> Option<Statement> {
    Some(match worst? {
        UndoClass::ReversibleNow => (Tone::Quiet, Safe::new("All of it can be taken back.")),
        UndoClass::UntilGarbageCollection => (Tone::Quiet, Safe::new("It can be taken back until the registry collects garbage.")),
        UndoClass::OnlyFromBackup if backup => {
            let words =
                "A backup is written first. Images come back from it with their ID and names, but without their digests in registries.";
            (Tone::Quiet, Safe::new(words))
        }
        UndoClass::OnlyFromBackup => (Tone::Warning, Safe::new("What is deleted can't be taken back: no backup is written.")),
        UndoClass::Irreversible => (Tone::Warning, Safe::new("Some of it can't be taken back.")),
    })
}

fn document(state: &State, kind: PlanKind, operations: Vec<Operation>) -> Plan {
    Plan { all_or_nothing: state.plan.all_or_nothing, ..Plan::new(kind, state.now, operations) }
}

/// Runs lines that were agreed to in a dialog of their own, without the drawer.
pub(super) fn quick(state: &State, kind: PlanKind, operations: Vec<Operation>) -> Job {
    Job::Apply(Box::new(Applying { plan: document(state, kind, operations), backup: false, about: None }))
}

/// The task of a plan began: the drawer follows it, if it is the one shown there.
pub(super) fn begun(state: &mut State, id: JobId, applying: &Applying) {
    // What it frees may have been told meanwhile.
    let lines = state.plan.lines.iter().map(|line| &line.operation);
    if !state.plan.ended && lines.map(Operation::change).eq(applying.plan.operations.iter().map(Operation::change)) {
        state.plan.running = Some(id);
    }
}

/// Lines of the running plan stand differently.
pub(super) fn told(state: &mut State, id: JobId, lines: Vec<(usize, LineState)>) {
    if state.plan.running == Some(id) {
        for (n, line) in lines {
            state.plan.told(n, line);
        }
    }
}

/// A plan has run, as a whole or in part.
pub(super) fn ran(state: &mut State, id: JobId, run: &LoggedRun) -> (TaskState, Vec<Effect>) {
    let mine = state.plan.running == Some(id);
    if mine {
        for (n, line) in run.lines.iter().enumerate() {
            state.plan.told(n, line.state.clone());
        }
    }
    let done = run.lines.iter().filter(|line| line.state.is_done()).count();
    let back = run.lines.iter().filter(|line| line.state == LineState::TakenBack).count();
    let all = run.lines.len();
    let trouble = run.lines.iter().find_map(|line| Some(Safe::from(format!("{}: {}", line.operation.target.safe(), line.state.why()?))));
    let lost = |line: &&LoggedLine| line.state.is_done() && line.operation.undo >= UndoClass::OnlyFromBackup;
    let back_again = match (run.lines.iter().filter(lost).count(), state.plan.backup && mine) {
        (0, _) | (_, true) => Some("takes it back"),
        (lost, _) if lost == done => None,
        _ => Some("takes back what can be taken back"),
    };
    let keys = state.settings.keymap.keys(Action::Undo);
    let undo = keys.first().zip(back_again).map(|(key, words)| Safe::from(format!("{key} {words}")));
    let (kind, text, hint) = match (done == all, back) {
        (true, _) => (ToastKind::Good, format!("{} done", counted(done, "line")), undo),
        (false, 0) if run.end == RunEnd::Stopped => (ToastKind::Warning, format!("Stopped: {done} of {all} done"), trouble.or(undo)),
        (false, 0) => (ToastKind::Warning, format!("{done} of {} done", counted(all, "line")), trouble),
        (false, back) if done == 0 => (ToastKind::Warning, format!("{} taken back, nothing stays changed", counted(back, "line")), trouble),
        (false, back) => (ToastKind::Warning, format!("{} taken back, {done} stay done", counted(back, "line")), trouble),
    };
    let end = if kind == ToastKind::Good { TaskState::Done(Safe::new(&text)) } else { TaskState::Partial(Safe::new(&text)) };
    (end, vec![state.toasts.show(kind, text, hint)])
}

/// The task of a plan is over, however it ended: what it changed is read again.
pub(super) fn over(state: &mut State, id: JobId, applying: &Applying) -> Vec<Effect> {
    if state.plan.running == Some(id) {
        state.plan.running = None;
        state.plan.ended = true;
    }
    let mut sources: Vec<&SourceId> = applying.plan.operations.iter().map(|line| &line.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut effects = Vec::new();
    for source in sources {
        if state.sources.current.as_ref() == Some(source) {
            effects.extend(jobs::changed(state));
        }
        effects.extend(registries::changed(state, source));
    }
    effects.extend(super::log::refresh(state));
    effects
}

/// Puts the way back of a run, or another plan about one, into the drawer.
pub(super) fn load(state: &mut State, plan: Plan, about: About) -> Vec<Effect> {
    if let Some(effect) = in_use(state) {
        return vec![effect];
    }
    state.plan.load(plan.kind, plan.operations, about);
    show(state);
    Vec::new()
}

/// Moves the line under the cursor, or says why it stays where it is.
fn shift(state: &mut State, step: isize) -> Vec<Effect> {
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    match state.plan.shift_selected(step) {
        Ok(()) => Vec::new(),
        Err(why) => vec![state.toasts.show(ToastKind::Info, "The line stays where it is", Some(Safe::new(why)))],
    }
}

/// Looks whether each line could run now.
fn dry_run(state: &mut State) -> Vec<Effect> {
    let no = |state: &mut State, why: &str| vec![state.toasts.show(ToastKind::Info, why, None)];
    if state.plan.lines.is_empty() {
        return no(state, "Nothing is planned");
    }
    if let Some(busy) = busy(state) {
        return vec![busy];
    }
    if state.plan.ended {
        return no(state, "This plan has run");
    }
    let plan = Box::new(document(state, state.plan.kind(), state.plan.operations()));
    let (id, effect) = jobs::start(state, Job::DryRun(plan));
    state.plan.begin_try(id);
    vec![effect]
}

/// Some lines were looked at, or all.
pub(super) fn looked(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    if state.plan.trying != Some(id) {
        return Vec::new();
    }
    match answer(event, "look whether the plan could run") {
        Ok(JobOutput::Lines(lines)) => {
            state.plan.tried.extend(lines);
            return Vec::new();
        }
        Ok(_) => {}
        Err(problem) if problem.is_cancelled() => {}
        Err(problem) => {
            state.plan.trying = None;
            return vec![state.toasts.problem(&problem)];
        }
    }
    state.plan.trying = None;
    let fit = state.plan.tried.values().filter(|state| **state == LineState::Waiting).count();
    let all = state.plan.lines.len();
    let kind = if fit == all { ToastKind::Good } else { ToastKind::Warning };
    vec![state.toasts.show(kind, format!("{fit} of {} could run now", counted(all, "line")), Some(Safe::new("nothing was changed")))]
}

fn override_line(state: &mut State) -> Vec<Effect> {
    let Some(why) = state.plan.selected().and_then(|line| line.operation.protected.clone()) else {
        return vec![state.toasts.show(ToastKind::Info, "Nothing protects this line", None)];
    };
    ask(state, Ask::Override, "Run it all the same?", Some(why.safe()), String::new(), "Enter with a reason · Esc leave it protected");
    Vec::new()
}

fn save(state: &mut State) -> Vec<Effect> {
    if state.plan.lines.is_empty() {
        return vec![state.toasts.show(ToastKind::Info, "Nothing is planned", None)];
    }
    ask(state, Ask::SavePlan, "Write the plan into a file", None, "plan.json".to_owned(), "Enter write · Esc cancel");
    Vec::new()
}

/// Writes the plan as it stands.
pub(super) fn save_to(state: &mut State, file: std::path::PathBuf) -> Vec<Effect> {
    let plan = Box::new(document(state, state.plan.kind(), state.plan.operations()));
    let (_, effect) = jobs::start(state, Job::SavePlan { plan, file });
    vec![effect]
}

pub(super) fn saved(state: &mut State, event: JobEvent) -> Vec<Effect> {
    match answer(event, "write the plan") {
        Ok(JobOutput::Saved(file)) => {
            let hint = Some(Safe::from(format!("lighterman apply {}", file.display())));
            vec![state.toasts.show(ToastKind::Good, "The plan is written", hint)]
        }
        Ok(_) => Vec::new(),
        Err(problem) => vec![state.toasts.problem(&problem)],
    }
}

/// Gives an image of this machine a name, by way of a plan of one line.
pub(super) fn tag_image(state: &State, source: &SourceId, list: &ImageList, id: &Digest, to: &Name) -> Option<Job> {
    let wish = Wish::Tag { id: id.clone(), to: to.clone() };
    let lines = plan::local(source, list, &[wish], &state.plan.protection);
    (!lines.is_empty()).then(|| quick(state, PlanKind::Retag, lines))
}

/// What a prompt's text for a reason is worth.
pub(super) fn reason(text: &str) -> Result<Option<Safe>, Safe> {
    if text.chars().count() < 3 { Err(Safe::new("say why, in a few words")) } else { Ok(Some(Safe::new("is written down with the run"))) }
}
