//! Starts, cancels and follows jobs. Each ends with exactly one of `Done`, `Failed` and `Cancelled`, whatever happens to it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::flow::{Job, JobEvent, JobId, Msg, Slot};
use crate::model::{Problem, ProblemKind};
use crate::source::{Ctx, Meter};

use super::run::{self, Chunks, Env};

/// Messages that wait for the loop before jobs have to.
const INBOX: usize = 256;
/// Shortest time between two snapshots of a job's progress.
const SAMPLE: Duration = Duration::from_millis(100);

/// The jobs of a session.
#[derive(Debug)]
pub struct Worker {
    env: Arc<Env>,
    inbox: mpsc::Sender<Msg>,
    tasks: TaskTracker,
    /// Of the jobs whose end has not been delivered yet.
    running: HashMap<JobId, CancellationToken>,
    slots: HashMap<Slot, JobId>,
    all: CancellationToken,
}

impl Worker {
    /// With the queue to read its messages from. Must be made inside a tokio runtime.
    #[must_use]
    pub fn new(env: Arc<Env>) -> (Self, mpsc::Receiver<Msg>) {
        let (inbox, messages) = mpsc::channel(INBOX);
        let worker =
            Self { env, inbox, tasks: TaskTracker::new(), running: HashMap::new(), slots: HashMap::new(), all: CancellationToken::new() };
        (worker, messages)
    }

    #[must_use]
    pub const fn env(&self) -> &Arc<Env> {
        &self.env
    }

    /// Starts a job; an older one in its slot is cancelled.
    pub fn start(&mut self, id: JobId, job: Job) {
        if let Some(slot) = job.slot()
            && let Some(older) = self.slots.insert(slot, id)
        {
            self.cancel(older);
        }
        let ctx = Ctx { meter: Meter::default(), cancel: self.all.child_token() };
        self.running.insert(id, ctx.cancel.clone());
        tracing::debug!(id = id.0, ?job, "job starts");
        self.tasks.spawn(drive(id, job, ctx, Arc::clone(&self.env), self.inbox.clone()));
    }

    /// Asks a job to stop. Its last message says whether it was in time.
    pub fn cancel(&self, id: JobId) {
        if let Some(cancel) = self.running.get(&id) {
            cancel.cancel();
        }
    }

    /// Takes note of a message on its way to `update`: the last one of a job ends it.
    pub fn saw(&mut self, msg: &Msg) {
        if let Msg::Job(id, JobEvent::Done(_) | JobEvent::Failed(_) | JobEvent::Cancelled) = msg {
            self.running.remove(id);
            self.slots.retain(|_, job| job != id);
        }
    }

    /// Delivers a message later, once.
    pub fn after(&self, delay: Duration, msg: Msg) {
        let (inbox, all) = (self.inbox.clone(), self.all.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => {
                    let _ = inbox.send(msg).await;
                }
                () = all.cancelled() => {}
            }
        });
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Cancels everything and waits for it to end, as long as `grace`. Messages are taken and dropped meanwhile. `false` when something
    /// did not end in time.
    pub async fn stop(self, mut messages: mpsc::Receiver<Msg>, grace: Duration) -> bool {
        let tasks = self.tasks.clone();
        tasks.close();
        drop(self);
        let ended = async {
            while messages.recv().await.is_some() {}
            tasks.wait().await;
        };
        tokio::time::timeout(grace, ended).await.is_ok()
    }
}

impl Drop for Worker {
    /// However the session ends, its jobs do too: their temporary files must go.
    fn drop(&mut self) {
        self.all.cancel();
    }
}

/// Runs one job, with its progress, to its one last message.
async fn drive(id: JobId, job: Job, ctx: Ctx, env: Arc<Env>, inbox: mpsc::Sender<Msg>) {
    let chunks = Chunks { id, inbox: inbox.clone() };
    let (title, is_task) = (format!("{job:?}"), job.is_task());
    // What is done in part has to be told: these look at the mark themselves, between two steps.
    let ends_itself = matches!(job, Job::Apply(_) | Job::Change(_));
    let work = AssertUnwindSafe(run::run(job, &env, &ctx, &chunks)).catch_unwind();
    let last = tokio::select! {
        biased;
        result = work => match result {
            Ok(Ok(output)) => JobEvent::Done(output),
            Ok(Err(problem)) if problem.is_cancelled() => JobEvent::Cancelled,
            Ok(Err(problem)) => JobEvent::Failed(problem),
            Err(payload) => JobEvent::Failed(panicked(payload.as_ref())),
        },
        () = ctx.cancel.cancelled(), if !ends_itself => JobEvent::Cancelled,
        () = report(id, &ctx.meter, &inbox) => JobEvent::Cancelled,
    };
    match &last {
        JobEvent::Failed(problem) if is_task => tracing::warn!(id = id.0, job = title, %problem, detail = ?problem.detail, "task failed"),
        // What is asked again and again, such as a lost engine, fails again and again.
        JobEvent::Failed(problem) => tracing::debug!(id = id.0, job = title, %problem, detail = ?problem.detail, "job failed"),
        JobEvent::Cancelled => tracing::debug!(id = id.0, "job cancelled"),
        _ => tracing::debug!(id = id.0, "job done"),
    }
    // Blocking threads of a job that is not waited for any more.
    ctx.cancel.cancel();
    let _ = inbox.send(Msg::Job(id, last)).await;
}

/// Sends snapshots of a meter when it changed, at most ten a second. Ends only when nobody listens any more. No timer runs while the
/// meter stands still.
async fn report(id: JobId, meter: &Meter, inbox: &mpsc::Sender<Msg>) {
    let mut seen = 0;
    loop {
        meter.changed(seen).await;
        // The snapshot is taken when there is room for it, so a slow loop gets fewer, not older ones.
        let Ok(room) = inbox.reserve().await else { return };
        seen = meter.version();
        room.send(Msg::Job(id, JobEvent::Progress(meter.snapshot())));
        tokio::time::sleep(SAMPLE).await;
    }
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> Problem {
    let said = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Problem::new(ProblemKind::Other, "finish this task", format!("a defect in Lighterman: {}", said.unwrap_or("panic")))
        .hint("please report it, with the log")
}

#[cfg(test)]
mod tests;
