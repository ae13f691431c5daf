//! `apply`, `undo` and `redo`: plans carried out and taken back, written down in the journal before anything is done.

use std::sync::Arc;

use serde::Serialize;

use super::args::{ApplyArgs, UndoArgs};
use super::ask::{self, Question};
use super::plan;
use super::print::{Align, Table};
use super::session::{Chosen as Place, Session};
use super::{Done, Verdict};
use crate::curate::freed::sums;
use crate::model::{Digest, LineState, Name, Operation, Plan, PlanKind, Problem, ProblemKind, Safe, SourceId, Target, UndoClass};
use crate::source::{Answer, Ctx, Source};
use crate::work::apply::{Applier, Chosen, Places, Recovered, Report};
use crate::work::clock::now;
use crate::work::journal::{Journal, RunId, StepState};

impl Places for Session {
    fn place<'a>(&'a self, id: &'a SourceId) -> Answer<'a, Arc<dyn Source>> {
        Box::pin(async move {
            let doing = format!("change {}", Safe::new(&id.0));
            let place: Place = match id.registry_host() {
                Some(host) => self.registry(&Name::new(&format!("{host}/x")))?,
                None if id.0.starts_with("store:") => self.store().await?,
                None => self.chosen().await?.clone(),
            };
            if place.source.id() != id {
                let cause = format!("it is not what is in use here: that is {}", place.source.id());
                return Err(Problem::new(ProblemKind::Conflict, doing, cause).hint("name it with --host, --context or --store"));
            }
            match place.locked {
                Some(why) => Err(Problem::new(ProblemKind::Denied, doing, format!("it is read-only: {why}"))),
                None => Ok(place.source),
            }
        })
    }
}

pub(super) fn journal(session: &Session) -> Journal {
    Journal::new(&session.paths.state)
}

/// Carries out one verb of an [`Applier`], with progress.
pub(super) async fn with<T>(
    session: &Session,
    doing: &str,
    verb: impl AsyncFnOnce(&Applier<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let journal = journal(session);
    session
        .run(doing, |ctx: Ctx| async move {
            let applier = Applier { journal: &journal, places: session, ctx: &ctx, each: &|_, _| {} };
            verb(&applier).await
        })
        .await
}

/// Carries out lines that a command made of what it was told, by way of the journal: they can be taken back as those of a plan.
pub(super) async fn lines(session: &Session, kind: PlanKind, operations: Vec<Operation>) -> Result<Report, Problem> {
    recover(session).await?;
    let plan = planned(kind, operations);
    with(session, "change images", async |applier| applier.apply(plan, false).await).await
}

/// A plan of lines, made now.
pub(super) fn planned(kind: PlanKind, operations: Vec<Operation>) -> Plan {
    Plan::new(kind, now(), operations)
}

/// The problem of a line that was not done.
pub(super) fn undone(operation: &Operation, state: &LineState) -> Problem {
    match state {
        LineState::Failed(problem) => problem.clone(),
        LineState::Conflict { .. } => {
            let cause = format!("meanwhile {}", state.why().unwrap_or_default());
            Problem::new(ProblemKind::Conflict, operation.doing(), cause).hint("look again: it moved since it was shown")
        }
        _ => Problem::cancelled(operation.doing()),
    }
}

/// Looks at what was cut short before, and says what became of it.
pub(super) async fn recover(session: &Session) -> Result<(), Problem> {
    let recovered = with(session, "look at runs that were cut short", async |applier| applier.recover().await).await?;
    for Recovered { run, found, unknown } in &recovered {
        let id = run.id();
        session.printer.say(format_args!("lighterman: the run {id} was cut short"));
        for (n, state) in found {
            let target = run.header.plan.operations.get(*n).map_or_else(|| Safe::new(""), |line| line.target.safe());
            let more = match state {
                StepState::Conflict { observed: Some(now) } => format!(": it is at {} now", now.short()),
                StepState::Conflict { observed: None } => ": it is gone".to_owned(),
                _ => String::new(),
            };
            session.printer.say(format_args!("  line {} ({target}) was under way: {}{more}", n + 1, state.word()));
        }
        if let Some(problem) = unknown {
            session.printer.problem(problem);
            continue;
        }
        let (done, open) = (run.lines(StepState::is_done).len(), run.lines(StepState::is_open).len());
        let way = match (open, done) {
            (0, 0) => String::new(),
            (0, _) => format!(": `lighterman undo {id}`"),
            _ => format!(": `lighterman apply --resume {id}` or `undo {id}`"),
        };
        session.printer.say(format_args!("  {done} lines are done, {open} are not{way}"));
    }
    Ok(())
}

/// A run's name as typed, or the beginning of one.
pub(super) fn named(session: &Session, text: &str, doing: &str) -> Result<RunId, Problem> {
    let ids = journal(session).ids()?;
    let found: Vec<&RunId> = ids.iter().filter(|id| text.len() >= 4 && id.to_string().starts_with(&text.to_ascii_lowercase())).collect();
    match found.as_slice() {
        [id] => Ok(**id),
        [] => {
            Err(Problem::new(ProblemKind::NotFound, doing, format!("there is no run {}", Safe::new(text)))
                .hint("`lighterman log` lists them"))
        }
        _ => Err(Problem::new(ProblemKind::Usage, doing, format!("{} runs begin with {}", found.len(), Safe::new(text)))),
    }
}

pub(super) async fn apply(session: &Session, args: &ApplyArgs) -> Verdict {
    if let Some(id) = &args.resume {
        return resume(session, id).await;
    }
    let file = args.plan.as_deref().ok_or_else(|| Problem::new(ProblemKind::Usage, "apply a plan", "no plan is named"))?;
    let mut plan = Plan::parse(&plan::read_input(file, "read the plan")?, "read the plan")?;
    plan.all_or_nothing |= args.all_or_nothing;
    if args.dry_run {
        let report = with(session, "look at what would be done", async |applier| applier.dry_run(plan).await).await?;
        return looked(session, &report);
    }
    recover(session).await?;
    let doing = format!("apply {} lines", plan.operations.len());
    if plan.operations.iter().any(|line| line.refused().is_none()) {
        let what = said(&plan, args.backup);
        ask::agreed(Question { doing: &doing, what: &what, ask: "Apply" }, args.yes, &session.printer, &session.cancel).await?;
    }
    let report = with(session, &doing, async |applier| applier.apply(plan, args.backup).await).await?;
    told(session, report)
}

/// Tells what a plan would meet: all is well when every line could run.
fn looked(session: &Session, report: &Report) -> Verdict {
    print(session, report)?;
    let fit = report.states.iter().all(|state| *state == LineState::Waiting);
    Ok(if fit { Done::All } else { Done::Part })
}

/// What will be done, before it is asked for.
pub(super) fn said(plan: &Plan, backup: bool) -> Vec<String> {
    let mut what: Vec<String> = plan::table(&plan.operations).render(false).lines().map(str::to_owned).collect();
    what.extend(sums(&plan.operations).iter().map(|sum| sum.words().to_string()));
    let lost = plan.operations.iter().filter(|line| line.undo >= UndoClass::OnlyFromBackup && line.refused().is_none()).count();
    match (lost, backup) {
        (0, _) => {}
        (lost, false) => what.push(format!("{lost} of these lines can't be taken back without --backup")),
        (_, true) => {
            what.push("images come back from the backup with their ID and names, but without their digests in registries".to_owned());
        }
    }
    what
}

async fn resume(session: &Session, id: &str) -> Verdict {
    recover(session).await?;
    let id = if id.is_empty() { None } else { Some(named(session, id, "go on with a run")?) };
    let report = with(session, "go on with a run", async |applier| applier.resume(&Chosen { id, lines: Vec::new() }).await).await?;
    told(session, report)
}

pub(super) async fn undo(session: &Session, args: &UndoArgs) -> Verdict {
    reverse(session, args, PlanKind::Undo).await
}

pub(super) async fn redo(session: &Session, args: &UndoArgs) -> Verdict {
    reverse(session, args, PlanKind::Redo).await
}

async fn reverse(session: &Session, args: &UndoArgs, kind: PlanKind) -> Verdict {
    let doing = format!("{} a run", kind.word());
    let id = args.id.as_deref().map(|id| named(session, id, &doing)).transpose()?;
    if args.line.contains(&0) {
        return Err(Problem::new(ProblemKind::Usage, doing, "lines are counted from one"));
    }
    let chosen = Chosen { id, lines: args.line.iter().map(|line| line - 1).collect() };
    if args.dry_run {
        let report = with(session, &doing, async |applier| {
            let (plan, _) = applier.way_back(&chosen, kind).await?;
            applier.dry_run(plan).await
        });
        return looked(session, &report.await?);
    }
    recover(session).await?;
    let report = with(session, &doing, async |applier| match kind {
        PlanKind::Redo => applier.redo(&chosen).await,
        _ => applier.undo(&chosen).await,
    });
    told(session, report.await?)
}

/// What `apply`, `undo` and `redo` print.
#[derive(Serialize)]
struct Carried {
    id: Option<RunId>,
    kind: PlanKind,
    done: usize,
    rolled_back: Option<RunId>,
    trouble: Option<String>,
    lines: Vec<Line>,
}

/// A line of a plan, and what became of it.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the document")]
pub(super) struct Line {
    /// From 1.
    line: usize,
    verb: crate::model::Verb,
    source: SourceId,
    target: Target,
    before: Option<Digest>,
    after: Option<Digest>,
    state: &'static str,
    observed: Option<Digest>,
    why: Option<String>,
    undo: UndoClass,
}

/// The lines of a report, as documents show them.
pub(super) fn documented(report: &Report) -> Vec<Line> {
    let line = |(n, (operation, state)): (usize, (&Operation, &LineState))| Line {
        line: n + 1,
        verb: operation.verb,
        source: operation.source.clone(),
        target: operation.target.clone(),
        before: operation.before.clone(),
        after: operation.after.clone(),
        state: state.word(),
        observed: match state {
            LineState::Done { observed } | LineState::Conflict { observed } => observed.clone(),
            _ => None,
        },
        why: state.why().map(|why| why.to_string()),
        undo: operation.undo,
    };
    report.plan.operations.iter().zip(&report.states).enumerate().map(line).collect()
}

fn print(session: &Session, report: &Report) -> Result<(), Problem> {
    if session.printer.json {
        return session.printer.document(&Carried {
            id: report.id,
            kind: report.plan.kind,
            done: report.done(),
            rolled_back: report.rolled_back.as_ref().and_then(|back| back.id),
            trouble: report.trouble.as_ref().map(ToString::to_string),
            lines: documented(report),
        });
    }
    session.printer.table(&table(report))
}

/// The lines of a report, numbered from one.
pub(super) fn table(report: &Report) -> Table {
    let mut table =
        Table::new(&[("LINE", Align::Right), ("WHAT", Align::Left), ("TARGET", Align::Left), ("STATE", Align::Left), ("WHY", Align::Left)]);
    for (n, (operation, state)) in report.plan.operations.iter().zip(&report.states).enumerate() {
        table.row(vec![
            Safe::from((n + 1).to_string()),
            operation.verb.word().into(),
            operation.target.safe(),
            state.word().into(),
            state.why().unwrap_or_default(),
        ]);
    }
    table
}

fn told(session: &Session, report: Report) -> Verdict {
    print(session, &report)?;
    if let Some(id) = report.id.filter(|_| !session.printer.json) {
        let (done, all) = (report.done(), report.states.len());
        let back = if done > 0 { format!("; `lighterman undo {id}` takes them back") } else { String::new() };
        session.printer.say(format_args!("{done} of {all} lines done{back}"));
    }
    if let Some(back) = &report.rolled_back {
        let left = back.states.len() - back.done();
        session
            .printer
            .say(format_args!("lighterman: taken back{}", if left == 0 { String::new() } else { format!(", but for {left} lines") }));
    }
    let done = report.done();
    match report.trouble {
        Some(problem) if problem.is_cancelled() => Err(problem),
        Some(problem) => {
            session.printer.problem(&problem);
            Ok(if done > 0 { Done::Part } else { Done::Failed })
        }
        None if done == report.states.len() => Ok(Done::All),
        None => Ok(if done > 0 { Done::Part } else { Done::Failed }),
    }
}
