//! The Tasks drawer: what runs and what ran in this session, with progress per layer, speed, time left, cancel and retry.

pub mod draw;

use jiff::Timestamp;

use crate::flow::{Action, Job, JobId};
use crate::model::{Problem, Progress, Safe};

use super::ListCursor;

/// Ended tasks kept in the list.
const KEPT: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub enum TaskState {
    Running,
    /// Asked to stop, not stopped yet.
    Stopping,
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
        matches!(self, Self::Running | Self::Stopping)
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
            state: TaskState::Running,
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
    pub rows: Vec<TaskRow>,
    pub cursor: ListCursor,
}

impl Tasks {
    pub fn start(&mut self, task: Task) {
        for other in &mut self.tasks {
            other.unfolded = other.unfolded && other.state.is_running();
        }
        self.tasks.insert(0, task);
        while self.tasks.len() > KEPT {
            match self.tasks.iter().rposition(|task| !task.state.is_running()) {
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
                self.tasks.retain(|task| task.state.is_running());
                self.rebuild();
            }
            _ => return false,
        }
        true
    }

    pub fn rebuild(&mut self) {
        self.rows.clear();
        for (i, task) in self.tasks.iter().enumerate() {
            self.rows.push(TaskRow::Task(i));
            if task.unfolded {
                self.rows.extend((0..task.progress.steps.len()).map(|step| TaskRow::Step(i, step)));
            }
        }
        self.cursor.set_len(self.rows.len());
    }
}
