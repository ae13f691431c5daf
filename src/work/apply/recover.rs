//! Runs without an end: another process is at them, or was killed in their middle. Each line that was begun is looked at again; nothing is
//! sent.

use std::sync::Arc;
use std::time::Duration;

use super::super::journal::{Entry, Locked, Run, StepState};
use super::super::{clock, journal};
use super::{Applier, line, look};
use crate::model::{Digest, LineState, Operation, Problem};
use crate::source::blocking;

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
            Err(problem) if problem.kind == crate::model::ProblemKind::Conflict => return Ok(Vec::new()),
            Err(problem) => return Err(problem),
        };
        let journal = self.journal.clone();
        // Read again: whoever held the journal may have ended them meanwhile.
        let runs = blocking("read the journal", move || journal.open_runs()).await?;
        let mut recovered = Vec::new();
        for run in runs {
            recovered.push(self.recover_run(&locked, run).await?);
        }
        Ok(recovered)
    }

    async fn recover_run(&self, locked: &Arc<Locked>, run: Run) -> Result<Recovered, Problem> {
        let (mut found, mut unknown) = (Vec::new(), None);
        for n in run.lines(|state| *state == StepState::Begun) {
            let Some(operation) = run.header.plan.operations.get(n) else { continue };
            match self.look_again(operation).await {
                Ok(observed) => found.push((n, state(operation, observed))),
                Err(problem) => unknown = Some(problem),
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

    async fn look_again(&self, operation: &Operation) -> Result<Option<Digest>, Problem> {
        if line::is_blind(operation.verb) {
            return Ok(operation.before.clone());
        }
        let source = self.places.place(&operation.source).await?;
        let Some(curator) = source.curator() else { return Ok(operation.before.clone()) };
        look(curator, self.ctx, operation).await
    }
}

fn state(operation: &Operation, observed: Option<Digest>) -> StepState {
    if line::is_blind(operation.verb) || observed == operation.before {
        StepState::NotApplied
    } else if observed == operation.after {
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
