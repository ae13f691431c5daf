//! Taking back, doing again and going on: each a new run over the lines of another one, whose preconditions are what that one left.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::clock;
use super::super::journal::{Locked, Relation, Run, RunId, Step, StepState};
use super::{Applier, Draft, Report, Sources};
use crate::curate::plan::{inverse, ordered};
use crate::model::{LineState, Name, Operation, Plan, PlanKind, Problem, ProblemKind, Safe, SourceId, Target, Verb, plan};
use crate::source::blocking;

/// Which run, and which of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The newest that fits when absent.
    pub id: Option<RunId>,
    /// Counted from zero; all when empty.
    pub lines: Vec<usize>,
}

/// Lines of `run` that were done and have not been taken back since by any of `runs`.
#[must_use]
pub fn in_effect(run: &Run, runs: &[Run]) -> BTreeSet<usize> {
    let mut lines: BTreeSet<usize> = run.lines(StepState::is_done).into_iter().collect();
    // A run can only be about older ones, so this comes to an end.
    for later in runs.iter().filter(|later| later.id() > run.id()) {
        if let Some(about) = later.header.about.as_ref().filter(|about| about.run == run.id())
            && matches!(later.header.plan.kind, PlanKind::Undo | PlanKind::Redo)
        {
            for n in in_effect(later, runs) {
                if let Some(line) = about.lines.get(n) {
                    lines.remove(line);
                }
            }
        }
    }
    lines
}

impl Applier<'_> {
    /// Takes back what a run did and nothing took back yet; without an ID the newest such run.
    ///
    /// # Errors
    /// As [`Applier::apply`]; nothing to take back.
    pub async fn undo(&self, chosen: &Chosen) -> Result<Report, Problem> {
        self.reverse(chosen, PlanKind::Undo).await
    }

    /// Does again what an undo took back: `chosen` names the undo, or the run it took back.
    ///
    /// # Errors
    /// As [`Applier::undo`].
    pub async fn redo(&self, chosen: &Chosen) -> Result<Report, Problem> {
        self.reverse(chosen, PlanKind::Redo).await
    }

    /// Goes on with a run that ended before all its lines were tried.
    ///
    /// # Errors
    /// As [`Applier::apply`]; nothing left to do.
    pub async fn resume(&self, chosen: &Chosen) -> Result<Report, Problem> {
        self.reverse(chosen, PlanKind::Resume).await
    }

    /// The plan by which [`Applier::undo`], [`Applier::redo`] or [`Applier::resume`] would go, to be looked at first, and the run it is
    /// about.
    ///
    /// # Errors
    /// Nothing to take back, to do again, or left to do.
    pub async fn way_back(&self, chosen: &Chosen, kind: PlanKind) -> Result<(Plan, Relation), Problem> {
        let runs = self.runs().await?;
        let (run, parts) = parts(&runs, chosen, kind)?;
        let Draft { plan, about, .. } = drafted(run.id(), &parts, kind, false);
        about.filter(|about| !about.lines.is_empty()).map(|about| (plan, about)).ok_or_else(|| nothing(run, kind))
    }

    async fn reverse(&self, chosen: &Chosen, kind: PlanKind) -> Result<Report, Problem> {
        let locked = self.lock().await?;
        let runs = self.runs().await?;
        let (run, parts) = parts(&runs, chosen, kind)?;
        let all_or_nothing = kind == PlanKind::Resume && run.header.plan.all_or_nothing;
        self.run_parts(&locked, run, parts, kind, all_or_nothing).await
    }

    async fn runs(&self) -> Result<Vec<Run>, Problem> {
        let journal = self.journal.clone();
        blocking("read the journal", move || journal.runs().map(|(runs, _)| runs)).await
    }

    /// A run about lines of another one.
    async fn run_parts(
        &self,
        locked: &Arc<Locked>,
        run: &Run,
        parts: Vec<Part>,
        kind: PlanKind,
        all_or_nothing: bool,
    ) -> Result<Report, Problem> {
        if parts.is_empty() {
            return Err(nothing(run, kind));
        }
        let draft = drafted(run.id(), &parts, kind, all_or_nothing);
        draft.plan.check("read the journal")?;
        let sources = self.sources(&draft.plan).await?;
        self.run(locked, &sources, draft, false).await
    }

    /// Takes back what a run did that was to be done as a whole.
    pub(super) async fn take_all_back(&self, locked: &Arc<Locked>, sources: &Sources, id: RunId, report: &mut Report) {
        let (journal, each) = (self.journal.clone(), |_: usize, _: &LineState| {});
        let back = async {
            let run = blocking("read the journal", move || journal.read(id)).await?;
            let run = run.ok_or_else(|| Problem::new(ProblemKind::NotFound, "take everything back", "the run is not in the journal"))?;
            let lines: Vec<usize> = run.lines(StepState::is_done);
            let draft = drafted(id, &reversed(&run, &lines), PlanKind::Undo, false);
            // Whoever cancelled wants nothing to stay half done.
            let ctx = crate::source::Ctx { cancel: tokio_util::sync::CancellationToken::new(), ..self.ctx.clone() };
            let applier = Applier { each: &each, ctx: &ctx, ..*self };
            let about = draft.about.clone().map(|about| about.lines).unwrap_or_default();
            let back = Box::pin(applier.run(locked, sources, draft, false)).await?;
            Ok::<_, Problem>((back, about))
        };
        match back.await {
            Ok((back, lines)) => {
                for (state, line) in back.states.iter().zip(lines) {
                    if let Some(slot) = report.states.get_mut(line).filter(|_| state.is_done()) {
                        *slot = LineState::TakenBack;
                        (self.each)(line, slot);
                    }
                }
                report.rolled_back = Some(Box::new(back));
            }
            Err(problem) => report.trouble = Some(problem),
        }
    }

    /// Asks for each line that is in effect whether it can still be taken back, and why not.
    ///
    /// # Errors
    /// The journal can't be read. What a source can't be asked is told of its lines.
    pub async fn restorable(&self, run: &Run) -> Result<Vec<(usize, Option<Safe>)>, Problem> {
        let runs = self.runs().await?;
        let parts = reversed(run, &in_effect(run, &runs).into_iter().collect::<Vec<_>>());
        let lines = in_effect(run, &runs);
        let mut told = Vec::new();
        for n in lines {
            let why = match parts.iter().find(|(line, ..)| *line == n) {
                None => Some(Safe::new(plan::UndoClass::Irreversible.words())),
                Some((_, operation, step)) => self.hindrance(operation, step).await.unwrap_or_else(|problem| Some(problem.cause)),
            };
            told.push((n, why));
        }
        Ok(told)
    }

    async fn hindrance(&self, operation: &Operation, step: &Step) -> Result<Option<Safe>, Problem> {
        let source = self.places.place(&operation.source).await?;
        let Some(curator) = source.curator() else { return Ok(Some(Safe::new("the source can only be read"))) };
        let now = curator.look(self.ctx, &operation.target).await?.map(|seen| seen.digest);
        if now != operation.before {
            let moved = now.map_or_else(|| "it is gone".to_owned(), |now| format!("it is at {} now", now.short()));
            return Ok(Some(Safe::from(moved)));
        }
        let backed = step.backup.as_deref().and_then(|name| self.journal.backup(name)).is_some_and(|file| file.exists());
        let Some(after) = operation.after.as_ref().filter(|_| !backed) else { return Ok(None) };
        if operation.source.registry_host().is_some() {
            if step.restore.is_empty() {
                let Some(repository) = operation.target.repository() else { return Ok(None) };
                let manifest = Target::Manifest { repository: Name::new(&repository), digest: after.clone() };
                let there = curator.look(self.ctx, &manifest).await?.is_some();
                return Ok((!there).then(|| Safe::from(format!("the manifest {} is gone", after.short()))));
            }
            return curator.missing(self.ctx, &operation.target, &self.load(&step.restore).await?).await;
        }
        if operation.verb == Verb::RestoreImage {
            return Ok(Some(Safe::new("its backup is gone")));
        }
        let there = curator.look(self.ctx, &Target::Image(after.clone())).await?.is_some();
        Ok((!there).then(|| Safe::from(format!("the image {} is gone", after.short()))))
    }
}

/// Lines that were never done, by no later run either.
fn left(run: &Run, runs: &[Run]) -> BTreeSet<usize> {
    let mut lines: BTreeSet<usize> = run.lines(StepState::is_open).into_iter().collect();
    for later in runs.iter().filter(|later| later.header.plan.kind == PlanKind::Resume) {
        if let Some(about) = later.header.about.as_ref().filter(|about| about.run == run.id()) {
            for n in later.lines(|state| !state.is_open()) {
                if let Some(line) = about.lines.get(n) {
                    lines.remove(line);
                }
            }
        }
    }
    lines
}

/// A line of a run, what goes back over it, and what that needs.
type Part = (usize, Operation, Step);

/// The run that is chosen, and the lines that go back over it.
fn parts<'a>(runs: &'a [Run], chosen: &Chosen, kind: PlanKind) -> Result<(&'a Run, Vec<Part>), Problem> {
    if kind != PlanKind::Resume {
        let run = choose(runs, chosen.id, kind)?;
        return Ok((run, reversed(run, &pick(in_effect(run, runs), &chosen.lines))));
    }
    let open = |run: &Run| run.end.is_some() && !run.damaged && !left(run, runs).is_empty();
    let run = find(runs, chosen.id, "resume", open)?;
    let operation = |n: &usize| Some((*n, run.header.plan.operations.get(*n)?.clone(), run.header.steps.get(*n)?.clone()));
    Ok((run, pick(left(run, runs), &chosen.lines).iter().filter_map(operation).collect()))
}

fn nothing(run: &Run, kind: PlanKind) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("{} the run {}", kind.word(), run.id()), "none of the chosen lines can be")
}

fn pick(lines: BTreeSet<usize>, chosen: &[usize]) -> Vec<usize> {
    lines.into_iter().filter(|line| chosen.is_empty() || chosen.contains(line)).collect()
}

/// The run that is to be taken back: for a redo that is an undo.
fn choose(runs: &[Run], id: Option<RunId>, kind: PlanKind) -> Result<&Run, Problem> {
    let effective = |run: &Run| !in_effect(run, runs).is_empty();
    if kind == PlanKind::Undo {
        return find(runs, id, "undo", |run| effective(run) && (id.is_some() || run.header.plan.kind != PlanKind::Undo));
    }
    let is_undo = |run: &Run| run.header.plan.kind == PlanKind::Undo && effective(run);
    let about = |run: &Run| run.header.about.as_ref().map(|about| about.run);
    let named = runs.iter().rev().find(|run| is_undo(run) && id.is_none_or(|id| run.id() == id || about(run) == Some(id)));
    named.map_or_else(|| find(runs, id, "redo", is_undo), Ok)
}

fn find<'a>(runs: &'a [Run], id: Option<RunId>, verb: &str, fits: impl Fn(&Run) -> bool) -> Result<&'a Run, Problem> {
    let missing =
        |doing: String, cause: &str| Problem::new(ProblemKind::NotFound, doing, cause).hint("`lighterman log` lists what was done");
    let Some(id) = id else {
        let newest = runs.iter().rev().find(|run| fits(run));
        return newest.ok_or_else(|| missing(format!("{verb} the last run"), &format!("there is nothing to {verb}")));
    };
    let doing = format!("{verb} the run {id}");
    let run = runs.iter().find(|run| run.id() == id).ok_or_else(|| missing(doing.clone(), "there is no such run"))?;
    if fits(run) { Ok(run) } else { Err(missing(doing, &format!("there is nothing left of it to {verb}"))) }
}

/// For lines of a run: the line, what takes it back, and what that needs. What nothing takes back is left out.
fn reversed(run: &Run, lines: &[usize]) -> Vec<Part> {
    let one = |n: &usize| {
        let (operation, step, state) = (run.header.plan.operations.get(*n)?, run.header.steps.get(*n)?, run.states.get(*n)?);
        let StepState::Done { observed, .. } = state else { return None };
        let done = Operation { after: observed.clone(), ..operation.clone() };
        let back = inverse(&done, step.backup.is_some())?;
        Some((*n, back, Step { saved: Vec::new(), restore: step.saved.clone(), backup: step.backup.clone() }))
    };
    lines.iter().filter_map(one).collect()
}

fn document(kind: PlanKind, all_or_nothing: bool, operations: Vec<Operation>) -> Plan {
    Plan { all_or_nothing, ..Plan::new(kind, clock::now(), operations) }
}

/// Parts put in order, each with its own.
fn drafted(run: RunId, parts: &[Part], kind: PlanKind, all_or_nothing: bool) -> Draft {
    let operations = ordered(parts.iter().map(|(_, operation, _)| operation.clone()).collect());
    let by_change: HashMap<(Cow<'_, SourceId>, String), (usize, &Step)> =
        parts.iter().map(|(line, operation, step)| (operation.changes(), (*line, step))).collect();
    let (mut lines, mut steps) = (Vec::new(), Vec::new());
    for operation in &operations {
        if let Some((line, step)) = by_change.get(&operation.changes()) {
            lines.push(*line);
            steps.push((*step).clone());
        }
    }
    Draft { plan: document(kind, all_or_nothing, operations), steps, about: Some(Relation { run, lines }) }
}
