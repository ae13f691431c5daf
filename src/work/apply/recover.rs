//! Runs without an end: another process is at them, or was killed in their middle. Each line that was begun is looked at again; nothing is
//! sent. A source that can't be reached is asked once, beside the others: whoever runs a command has no time for each of its lines.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::super::journal::{Entry, Locked, Run, RunId, StepState};
use super::super::{clock, journal};
use super::{Applier, line};
use crate::model::{Digest, LineState, Operation, Problem, ProblemKind, SourceId};
use crate::source::blocking;

/// How long a source may take to say what one target is at: the journal is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after the last word of a run its requests may still arrive.
const SETTLED: Duration = Duration::from_secs(1);

/// How a run is closed that was cut short, once it was looked at.
pub const CUT_SHORT: &str = "cut short";

/// What came of a run that was cut short.
#[derive(Debug)]
pub struct Recovered {
    /// As it stands now.
    pub run: Run,
    /// Lines that had been begun and whose end was not written down, as they were found.
    pub found: Vec<(usize, StepState)>,
    /// Why some of it could not be looked at: the run stays as it is until it can.
    pub unknown: Option<Problem>,
}

/// A run, and one of its lines.
type At = (RunId, usize);

/// What a target is at, and whether that is what its line wanted.
type Observed = Result<(Option<Digest>, bool), Problem>;

impl Applier<'_> {
    /// Looks at every run without an end. Nothing where another process holds the journal: it may be at them right now.
    ///
    /// # Errors
    /// The journal can't be opened; that somebody else holds it is none.
    pub async fn recover(&self) -> Result<Vec<Recovered>, Problem> {
        let journal = self.journal.clone();
        if blocking("read the journal", move || journal.open_runs()).await?.is_empty() {
            return Ok(Vec::new());
        }
        let locked = match self.lock_within(Duration::ZERO).await {
            Ok(locked) => locked,
            Err(problem) if problem.kind == ProblemKind::Conflict => return Ok(Vec::new()),
            Err(problem) => return Err(problem),
        };
        let journal = self.journal.clone();
        // Read again: whoever held the journal may have ended them meanwhile.
        let runs = blocking("read the journal", move || journal.open_runs()).await?;
        self.settle(&runs).await?;
        let mut seen = self.look_at_begun(&runs).await;
        let mut recovered = Vec::new();
        for run in runs {
            recovered.push(self.recover_run(&locked, run, &mut seen).await?);
        }
        Ok(recovered)
    }

    /// Waits until what was on its way when a run was cut short has arrived: a registry carries a request out though nobody hears its answer.
    async fn settle(&self, runs: &[Run]) -> Result<(), Problem> {
        let begun = runs.iter().filter(|run| !run.lines(|state| *state == StepState::Begun).is_empty());
        let (journal, ids) = (self.journal.clone(), begun.map(Run::id).collect::<Vec<_>>());
        let newest = blocking("read the journal", move || Ok(ids.into_iter().filter_map(|id| journal.written_at(id)).max())).await?;
        let age = newest.map_or(SETTLED, |newest| newest.elapsed().unwrap_or_default());
        if let Some(rest) = SETTLED.checked_sub(age).filter(|rest| !rest.is_zero()) {
            self.ctx.meter.phase("looking at what was cut short");
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.ctx.cancel.cancelled() => return Err(Problem::cancelled("look at runs that were cut short")),
            }
        }
        Ok(())
    }

    /// What the target of each line is at that was begun and has no end.
    async fn look_at_begun(&self, runs: &[Run]) -> HashMap<At, Observed> {
        let mut by_source: BTreeMap<SourceId, Vec<(At, &Operation)>> = BTreeMap::new();
        for run in runs {
            for n in run.lines(|state| *state == StepState::Begun) {
                if let Some(operation) = run.header.plan.operations.get(n) {
                    by_source.entry(operation.place().into_owned()).or_default().push(((run.id(), n), operation));
                }
            }
        }
        let mut looks: Vec<BoxFuture<'_, Vec<(At, Observed)>>> = Vec::new();
        for lines in by_source.into_values() {
            looks.push(Box::pin(self.look_at_one_source(lines)));
        }
        stream::iter(looks).buffer_unordered(8).concat().await.into_iter().collect()
    }

    /// Once a source can't be reached, none of its other lines is looked at.
    async fn look_at_one_source(&self, lines: Vec<(At, &Operation)>) -> Vec<(At, Observed)> {
        let (mut seen, mut away) = (Vec::new(), None);
        for (at, operation) in lines {
            let observed = if let Some(problem) = &away {
                Err(Problem::clone(problem))
            } else {
                let late = |_elapsed| Err(Problem::new(ProblemKind::Unreachable, operation.doing(), "it did not answer in time"));
                tokio::time::timeout(PATIENCE, self.look_again(operation)).await.unwrap_or_else(late)
            };
            if let Err(problem) = &observed
                && problem.kind == ProblemKind::Unreachable
            {
                away.get_or_insert_with(|| problem.clone());
            }
            seen.push((at, observed));
        }
        seen
    }

    async fn recover_run(&self, locked: &Arc<Locked>, run: Run, seen: &mut HashMap<At, Observed>) -> Result<Recovered, Problem> {
        let (mut found, mut unknown) = (Vec::new(), None);
        for n in run.lines(|state| *state == StepState::Begun) {
            let Some(operation) = run.header.plan.operations.get(n) else { continue };
            match seen.remove(&(run.id(), n)) {
                Some(Ok((observed, settled))) => found.push((n, state(operation, observed, settled))),
                Some(Err(problem)) => unknown = Some(problem),
                None => {}
            }
        }
        let (writing, id) = (Arc::clone(locked), run.id());
        let (mut run, writer) = blocking("go on with a run", move || writing.reopen(id)).await?;
        for (n, state) in &found {
            let entry = match state {
                StepState::Done { observed, .. } => Entry::Done { n: *n, observed: observed.clone(), recovered: true },
                StepState::Conflict { observed } => Entry::Conflict { n: *n, observed: observed.clone() },
                _ => Entry::NotApplied { n: *n },
            };
            writer.note(&entry, audit(&run, *n, state)).await;
            if let Some(slot) = run.states.get_mut(*n) {
                slot.clone_from(state);
            }
        }
        if unknown.is_none() {
            let at = clock::now();
            let open = run.states.iter().any(StepState::is_open);
            let last = if open { Entry::Stopped { at, why: CUT_SHORT.to_owned() } } else { Entry::Commit { at } };
            writer.close(&last).await?;
        }
        Ok(Recovered { run, found, unknown })
    }

    async fn look_again(&self, operation: &Operation) -> Observed {
        if operation.is_blind() {
            return Ok((operation.before.clone(), false));
        }
        let source = self.places.place(&operation.place()).await?;
        let Some(curator) = source.curator() else { return Ok((operation.before.clone(), false)) };
        let observed = curator.look(self.ctx, &operation.target).await?.map(|seen| seen.digest);
        let settled = line::is_settled(Some(curator), operation, observed.as_ref()).await?;
        Ok((observed, settled))
    }
}

fn state(operation: &Operation, observed: Option<Digest>, settled: bool) -> StepState {
    if operation.is_blind() || observed == operation.before || line::is_half_way(operation, observed.as_ref()) {
        StepState::NotApplied
    } else if settled {
        StepState::Done { observed, recovered: true }
    } else {
        StepState::Conflict { observed }
    }
}

fn audit(run: &Run, n: usize, state: &StepState) -> Option<Vec<u8>> {
    let state = match state {
        StepState::Done { observed, .. } => LineState::Done { observed: observed.clone() },
        StepState::Conflict { observed } => LineState::Conflict { observed: observed.clone() },
        _ => return None,
    };
    journal::ended(&run.header, n, &state, clock::now()).and_then(|(_, audit)| audit)
}
