//! The line that transfers wait in: at most so many run at one source, the user says which comes first and which may wait.

use jiff::Timestamp;

use crate::flow::{Job, JobId};
use crate::model::{Progress, SourceId};

use super::{Task, TaskState, Tasks};

/// Transfers at once at one source.
const TRANSFERS: usize = 4;

impl Tasks {
    /// The task that may start now: the first in line whose source has room.
    #[must_use]
    pub fn next(&self) -> Option<&Task> {
        let waiting = self.line.iter().filter_map(|id| self.tasks.iter().find(|task| task.id == *id));
        waiting.filter(|task| task.state == TaskState::Waiting).find(|task| match task.job.transfer() {
            Some(source) => !self.held && self.running_at(source) < TRANSFERS,
            // The journal has one writer.
            None if matches!(task.job, Job::Apply(_)) => !self.applies(),
            None => true,
        })
    }

    fn applies(&self) -> bool {
        self.tasks.iter().any(|task| task.state.is_running() && matches!(task.job, Job::Apply(_)))
    }

    fn running_at(&self, source: &SourceId) -> usize {
        self.tasks.iter().filter(|task| task.state.is_running() && task.job.transfer() == Some(source)).count()
    }

    /// The task leaves the line and runs from now on.
    pub fn begin(&mut self, id: JobId, now: Timestamp) {
        self.line.retain(|other| *other != id);
        if let Some(task) = self.get_mut(id) {
            task.state = TaskState::Running;
            task.started = now;
            task.unfolded = true;
        }
        self.rebuild();
    }

    /// Puts a task back in line under a new id, with nothing of what it told so far: first when it was paused, else last.
    pub fn again(&mut self, id: JobId, new: JobId, state: TaskState) {
        let at = if state == TaskState::Paused { 0 } else { self.line.len() };
        let Some(task) = self.get_mut(id) else { return };
        task.id = new;
        task.progress = Progress::default();
        (task.ended, task.rate, task.sampled) = (None, None, None);
        task.unfolded = false;
        task.state = state;
        self.line.insert(at, new);
        self.rebuild_around(Some((new, None)));
    }

    /// Takes a task out of the line before it ran; it counts as cancelled.
    pub fn leave(&mut self, id: JobId, now: Timestamp) {
        self.line.retain(|other| *other != id);
        self.ended(id, TaskState::Cancelled, now);
    }

    /// Moves a task one place in the line; `false` when it isn't in it.
    pub fn shift(&mut self, id: JobId, step: isize) -> bool {
        let Some(at) = self.line.iter().position(|other| *other == id) else { return false };
        let to = at.saturating_add_signed(step).min(self.line.len() - 1);
        self.line.remove(at);
        self.line.insert(to, id);
        self.rebuild();
        true
    }

    /// Those that wait or are paused.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Whether a task's transfer goes on where it was when it is started again; others would start from nothing.
    #[must_use]
    pub fn can_pause(task: &Task) -> bool {
        use crate::model::Change;
        matches!(&task.job, Job::Change(Change::Pull { .. } | Change::Push { .. } | Change::Copy { .. }))
    }
}
