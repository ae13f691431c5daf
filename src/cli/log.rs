//! `log`: what was done, out of the journal; of one run each line, and whether it can still be taken back.

use jiff::Timestamp;
use serde::Serialize;

use super::apply::{journal, named, recover, with};
use super::print::Align::{Left, Right};
use super::print::Table;
use super::session::Session;
use super::{Done, Verdict};
use crate::model::{Digest, PlanKind, Problem, ProblemKind, Safe, SourceId, Target, Verb, time};
use crate::work::clock::now;
use crate::work::journal::{End, Run, RunId, StepState};

pub(super) async fn run(session: &Session, id: Option<&str>) -> Verdict {
    recover(session).await?;
    match id {
        Some(id) => one(session, named(session, id, "show a run")?).await,
        None => all(session),
    }
}

/// A run, as `log --json` prints it.
#[derive(Serialize)]
struct Row<'a> {
    id: RunId,
    at: Timestamp,
    kind: PlanKind,
    who: &'a str,
    tool: &'a str,
    about: Option<RunId>,
    lines: usize,
    done: usize,
    conflicts: usize,
    failed: usize,
    skipped: usize,
    /// Not tried, or begun and not known to be done.
    open: usize,
    /// `complete`, `stopped`, `damaged`, or `open`: running, or cut short.
    end: &'static str,
}

impl<'a> Row<'a> {
    fn new(run: &'a Run) -> Self {
        let count = |fits: fn(&StepState) -> bool| run.lines(fits).len();
        Self {
            id: run.id(),
            at: run.header.at,
            kind: run.header.plan.kind,
            who: &run.header.actor,
            tool: &run.header.tool,
            about: run.header.about.as_ref().map(|about| about.run),
            lines: run.states.len(),
            done: count(StepState::is_done),
            conflicts: count(|state| matches!(state, StepState::Conflict { .. })),
            failed: count(|state| matches!(state, StepState::Failed(_))),
            skipped: count(|state| matches!(state, StepState::Skipped(_))),
            open: count(StepState::is_open),
            end: match &run.end {
                _ if run.damaged => "damaged",
                None => "open",
                Some(End::Commit(_)) => "complete",
                Some(End::Stopped(..)) => "stopped",
            },
        }
    }
}

fn all(session: &Session) -> Verdict {
    let (runs, unreadable) = journal(session).runs()?;
    for run in &unreadable {
        session.printer.say(format_args!("lighterman: {}", run.problem));
    }
    let rows: Vec<Row<'_>> = runs.iter().rev().map(Row::new).collect();
    if session.printer.json {
        session.printer.document(&rows)?;
    } else {
        let mut table =
            Table::new(&[("RUN", Left), ("AGE", Right), ("KIND", Left), ("DONE", Right), ("LINES", Right), ("END", Left), ("WHO", Left)]);
        for row in &rows {
            table.row(vec![
                Safe::from(row.id.to_string()),
                time::age(row.at, now()).into(),
                row.kind.word().into(),
                Safe::from(row.done.to_string()),
                Safe::from(row.lines.to_string()),
                row.end.into(),
                Safe::new(row.who),
            ]);
        }
        session.printer.table(&table)?;
    }
    Ok(if unreadable.is_empty() { Done::All } else { Done::Part })
}

/// A run's lines, as `log ID --json` prints them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    operations: Vec<Line<'a>>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the document")]
struct Line<'a> {
    line: usize,
    verb: Verb,
    source: &'a SourceId,
    target: &'a Target,
    before: &'a Option<Digest>,
    after: &'a Option<Digest>,
    state: &'static str,
    why: Option<String>,
    /// Whether it can be taken back now; null where there is nothing to take back.
    restorable: Option<bool>,
    hindrance: Option<String>,
}

async fn one(session: &Session, id: RunId) -> Verdict {
    let run = journal(session).read(id)?;
    let run = run.ok_or_else(|| Problem::new(ProblemKind::NotFound, format!("show the run {id}"), "it was never planned"))?;
    let shown = &run;
    let told = with(session, "ask what can still be taken back", async |applier| applier.restorable(shown).await).await?;
    let line = |(n, (operation, state)): (usize, (&'_ crate::model::Operation, &'_ StepState))| {
        let why = match state {
            StepState::Conflict { observed } => {
                Some(observed.as_ref().map_or_else(|| "it is gone".to_owned(), |now| format!("it is at {} now", now.short())))
            }
            StepState::Failed(why) | StepState::Skipped(why) => Some(why.clone()),
            _ => None,
        };
        let asked = told.iter().find(|(line, _)| *line == n).map(|(_, why)| why);
        (n, operation.clone(), state.word(), why, asked.map(Option::is_none), asked.and_then(|why| why.as_ref().map(ToString::to_string)))
    };
    let lines: Vec<_> = run.header.plan.operations.iter().zip(&run.states).enumerate().map(line).collect();
    if session.printer.json {
        let operations = lines.iter().map(|(n, operation, state, why, restorable, hindrance)| Line {
            line: n + 1,
            verb: operation.verb,
            source: &operation.source,
            target: &operation.target,
            before: &operation.before,
            after: &operation.after,
            state,
            why: why.clone(),
            restorable: *restorable,
            hindrance: hindrance.clone(),
        });
        session.printer.document(&Told { row: Row::new(&run), operations: operations.collect() })?;
        return Ok(Done::All);
    }
    let mut table = Table::new(&[("LINE", Right), ("WHAT", Left), ("TARGET", Left), ("STATE", Left), ("UNDO", Left)]);
    for (n, operation, state, why, restorable, hindrance) in lines {
        let undo = match (restorable, hindrance) {
            (Some(true), _) => "can be taken back".to_owned(),
            (Some(false), why) => format!("not any more: {}", why.unwrap_or_default()),
            (None, _) => "-".to_owned(),
        };
        let state = why.map_or_else(|| state.to_owned(), |why| format!("{state}: {why}"));
        table.row(vec![
            Safe::from((n + 1).to_string()),
            operation.verb.word().into(),
            operation.target.safe(),
            Safe::from(state),
            Safe::from(undo),
        ]);
    }
    session.printer.table(&table)?;
    Ok(Done::All)
}
