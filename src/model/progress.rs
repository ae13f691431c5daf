//! How far a job is: a few named steps with counts, small enough to be copied ten times a second.

use super::safe::Safe;

/// State of one step (a layer, a file, a phase).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepState {
    #[default]
    Waiting,
    Running,
    Done,
    /// Already there; nothing was moved.
    Skipped,
    Failed,
}

/// One step of a job. `done` and `total` are bytes unless the job says otherwise; `total` is absent while unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    pub label: Safe,
    pub state: StepState,
    pub done: u64,
    pub total: Option<u64>,
}

/// A snapshot of a running job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// What is being done right now, such as "extracting".
    pub phase: Safe,
    pub steps: Vec<Step>,
    /// What whoever started it should know, though it goes on.
    pub warnings: Vec<Safe>,
}

impl Progress {
    /// Sum over all steps: units done, and units in all where every running step knows its total.
    #[must_use]
    pub fn totals(&self) -> (u64, Option<u64>) {
        let done = self.steps.iter().fold(0_u64, |sum, step| sum.saturating_add(step.done));
        let total = self.steps.iter().try_fold(0_u64, |sum, step| step.total.map(|t| sum.saturating_add(t)));
        (done, total.filter(|&t| t > 0))
    }
}
