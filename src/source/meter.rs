//! Where a running verb writes how far it is. Writing is a short lock and an add; the worker copies the whole at most ten times a
//! second and only when it changed, so a fast transfer can't flood the screen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::{Progress, Safe, Step, StepState};

/// A shared, cloneable progress slate.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    progress: Mutex<Progress>,
    version: AtomicU64,
    changed: Notify,
}

impl Meter {
    fn change(&self, edit: impl FnOnce(&mut Progress)) {
        edit(&mut self.0.progress.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.version.fetch_add(1, Ordering::Release);
        self.0.changed.notify_one();
    }

    /// Says what is being done now.
    pub fn phase(&self, phase: &str) {
        self.change(|p| p.phase = Safe::new(phase));
    }

    /// Says what whoever started this should know, though it goes on.
    pub fn warn(&self, warning: Safe) {
        self.change(|p| p.warnings.push(warning));
    }

    /// Adds a step and gives its index.
    pub fn step(&self, label: Safe, total: Option<u64>) -> usize {
        let mut index = 0;
        self.change(|p| {
            index = p.steps.len();
            p.steps.push(Step { label, state: StepState::Waiting, done: 0, total });
        });
        index
    }

    /// Finds the step of that label, or adds it.
    pub fn step_named(&self, label: &Safe) -> usize {
        let found = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).steps.iter().position(|s| s.label == *label);
        found.unwrap_or_else(|| self.step(label.clone(), None))
    }

    /// Edits a step; a step that isn't there is left alone.
    pub fn edit(&self, index: usize, edit: impl FnOnce(&mut Step)) {
        self.change(|p| {
            if let Some(step) = p.steps.get_mut(index) {
                edit(step);
            }
        });
    }

    /// Counts `n` more units of a step, which then runs.
    pub fn add(&self, index: usize, n: u64) {
        self.edit(index, |step| {
            step.state = StepState::Running;
            step.done = step.done.saturating_add(n);
        });
    }

    pub fn finish(&self, index: usize, state: StepState) {
        self.edit(index, |step| {
            step.state = state;
            if let (StepState::Done | StepState::Skipped, Some(total)) = (state, step.total) {
                step.done = total;
            }
        });
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Waits until the version is no longer `seen`. For one waiter.
    pub async fn changed(&self, seen: u64) {
        while self.version() == seen {
            self.0.changed.notified().await;
        }
    }

    #[must_use]
    pub fn snapshot(&self) -> Progress {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
