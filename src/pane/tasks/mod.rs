//! The Tasks drawer: what runs, waits and ran in this session, with progress per layer, speed, time left, cancel, pause and retry.

pub mod draw;
mod queue;

use jiff::Timestamp;

use crate::flow::{Action, Job, JobId};
use crate::model::{Problem, Progress, Safe};

use super::ListCursor;

/// Ended tasks kept in the list.
const KEPT: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    /// In line: as many transfers as may run at its source do, or the line stands still.
    Waiting,
    /// In line, but passed over until the user lets it go on.
    Paused,
    Running,
    /// Asked to stop, not stopped yet.
    Stopping,
    /// Asked to stop, to go on later.
    Pausing,
    /// With a word on the result.
    Done(Safe),
    /// Done, but something was left out: a word on what.
    Partial(Safe),
    Failed(Problem),
    Cancelled,
}

impl TaskState {
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running | Self::Stopping | Self::Pausing)
    }

    #[must_use]
    pub const fn is_in_line(&self) -> bool {
        matches!(self, Self::Waiting | Self::Paused)
    }

    #[must_use]
    pub const fn has_ended(&self) -> bool {
        !self.is_running() && !self.is_in_line()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub id: JobId,
    /// For running it again.
    pub job: Job,
    pub title: Safe,
    pub state: TaskState,
    pub progress: Progress,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// Bytes per second, smoothed; `None` until it can be told.
    pub rate: Option<u64>,
    sampled: Option<(Timestamp, u64)>,
    /// Its steps are shown.
    pub unfolded: bool,
}

impl Task {
    #[must_use]
    pub fn new(id: JobId, job: Job, title: Safe, now: Timestamp) -> Self {
        Self {
            id,
            job,
            title,
            state: TaskState::Waiting,
            progress: Progress::default(),
            started: now,
            ended: None,
            rate: None,
            sampled: None,
            unfolded: true,
        }
    }

    /// Seconds left at the present rate, where it can be told.
    #[must_use]
    pub fn eta(&self) -> Option<u64> {
        let (done, total) = self.progress.totals();
        let left = total?.saturating_sub(done);
        self.rate.filter(|&rate| rate > 0).map(|rate| left.div_ceil(rate))
    }

    /// Takes a new snapshot and updates the speed from it (an exponential average over about three seconds).
    pub fn progressed(&mut self, progress: Progress, now: Timestamp) {
        let (done, _) = progress.totals();
        match self.sampled {
            Some((then, before)) => {
                let millis = u64::try_from(now.as_millisecond().saturating_sub(then.as_millisecond())).unwrap_or(0);
                if millis >= 250 {
                    let rate = done.saturating_sub(before).saturating_mul(1000) / millis;
                    let weight = millis.min(3000);
                    self.rate = Some(
                        self.rate
                            .map_or(rate, |old| (old.saturating_mul(3000 - weight)).saturating_add(rate.saturating_mul(weight)) / 3000),
                    );
                    self.sampled = Some((now, done));
                }
            }
            None => self.sampled = Some((now, done)),
        }
        self.progress = progress;
    }
}

/// A row of the drawer: a task, or one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRow {
    Task(usize),
    Step(usize, usize),
}

#[derive(Debug, Default)]
pub struct Tasks {
    /// Newest first.
    pub tasks: Vec<Task>,
    /// The tasks that wait or are paused, the next one first.
    pub line: Vec<JobId>,
    /// Nothing that waits is started.
    pub held: bool,
    /// What runs, then what waits in its order, then what has ended, newest first.
    pub rows: Vec<TaskRow>,
    pub cursor: ListCursor,
}

impl Tasks {
    /// Puts a task at the end of the line.
    pub fn add(&mut self, task: Task) {
        for other in &mut self.tasks {
            other.unfolded = other.unfolded && other.state.is_running();
        }
        self.line.push(task.id);
        self.tasks.insert(0, task);
        while self.tasks.len() > KEPT {
            match self.tasks.iter().rposition(|task| task.state.has_ended()) {
                Some(oldest) => drop(self.tasks.remove(oldest)),
                None => break,
            }
        }
        self.rebuild();
    }

    #[must_use]
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.iter().filter(|task| task.state.is_running()).count()
    }

    /// The task of the row under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Task> {
        match *self.rows.get(self.cursor.at)? {
            TaskRow::Task(task) | TaskRow::Step(task, _) => self.tasks.get(task),
        }
    }

    pub fn ended(&mut self, id: JobId, state: TaskState, now: Timestamp) {
        if let Some(task) = self.get_mut(id) {
            task.state = state;
            task.ended = Some(now);
            task.unfolded = false;
        }
        self.rebuild();
    }

    /// Moves and folds; `false` when the action is not this pane's own.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        match action {
            Action::Left | Action::Right | Action::Open => {
                if let Some(TaskRow::Task(at) | TaskRow::Step(at, _)) = self.rows.get(self.cursor.at).copied() {
                    if let Some(task) = self.tasks.get_mut(at) {
                        task.unfolded = match action {
                            Action::Left => false,
                            Action::Right => true,
                            _ => !task.unfolded,
                        };
                    }
                    self.rebuild();
                    if let Some(row) = self.rows.iter().position(|row| *row == TaskRow::Task(at)) {
                        self.cursor.go(row);
                    }
                }
            }
            Action::ForgetTasks => {
                self.tasks.retain(|task| !task.state.has_ended());
                self.rebuild();
            }
            _ => return false,
        }
        true
    }

    /// Orders the rows anew; the cursor stays on its row.
    pub fn rebuild(&mut self) {
        let kept = self.rows.get(self.cursor.at).copied();
        self.rebuild_around(kept.and_then(|row| match row {
            TaskRow::Task(at) => Some((self.tasks.get(at)?.id, None)),
            TaskRow::Step(at, step) => Some((self.tasks.get(at)?.id, Some(step))),
        }));
    }

    fn rebuild_around(&mut self, kept: Option<(JobId, Option<usize>)>) {
        let place = |task: &Task| match &task.state {
            state if state.is_running() => (0, 0),
            state if state.is_in_line() => (1, self.line.iter().position(|id| *id == task.id).unwrap_or(usize::MAX)),
            _ => (2, 0),
        };
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|at| self.tasks.get(*at).map(place));
        self.rows.clear();
        for at in order {
            let Some(task) = self.tasks.get(at) else { continue };
            self.rows.push(TaskRow::Task(at));
            if task.unfolded {
                self.rows.extend((0..task.progress.steps.len()).map(|step| TaskRow::Step(at, step)));
            }
        }
        self.cursor.set_len(self.rows.len());
        let Some((id, step)) = kept else { return };
        let Some(at) = self.tasks.iter().position(|task| task.id == id) else { return };
        let exact = step.and_then(|step| self.rows.iter().position(|row| *row == TaskRow::Step(at, step)));
        if let Some(row) = exact.or_else(|| self.rows.iter().position(|row| *row == TaskRow::Task(at))) {
            self.cursor.go(row);
        }
    }
}
