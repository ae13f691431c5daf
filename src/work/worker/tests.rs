//! The worker over a scripted source.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use tokio::sync::{Notify, watch};

use crate::flow::JobOutput;
use crate::model::{
    Change, Digest, Image, ImageKey, ImageList, ImportPreview, Kept, Name, Platform, Powers, Reference, Removal, Removed, Safe, SourceId,
    SourceInfo, SourceKind, Transfer,
};
use crate::source::{Answer, Curator, ExportTo, Noticed, Source, Taker, Watcher};
use crate::work::journal::Journal;
use crate::work::{Found, KnownLists, Table};

use super::*;

/// A source whose verbs wait to be released, one by one.
#[derive(Debug)]
struct Scripted {
    id: SourceId,
    release: watch::Sender<bool>,
    started: Notify,
    at_once: AtomicUsize,
    most: AtomicUsize,
    dropped: AtomicUsize,
    events: Mutex<Vec<Result<Noticed, Problem>>>,
}

struct CountDrop<'a>(&'a AtomicUsize);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Scripted {
    async fn wait(&self) {
        let _count = CountDrop(&self.dropped);
        self.started.notify_one();
        let _ = self.release.subscribe().wait_for(|go| *go).await;
    }
}

impl Source for Scripted {
    fn id(&self) -> &SourceId {
        &self.id
    }
    fn kind(&self) -> SourceKind {
        SourceKind::Store
    }
    fn powers(&self) -> Powers {
        Powers::ALL
    }
    fn version<'a>(&'a self, _: &'a Ctx) -> Answer<'a, Safe> {
        Box::pin(async { Ok(Safe::new("scripted 1")) })
    }
    fn list<'a>(&'a self, _: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async {
            self.wait().await;
            Ok(ImageList { images: Vec::new(), at: jiff::Timestamp::UNIX_EPOCH, gaps: Vec::new() })
        })
    }
    fn inspect<'a>(&'a self, _: &'a Ctx, _: &'a ImageKey) -> Answer<'a, Image> {
        Box::pin(async { panic!("out of cheese") })
    }
    fn open_layers<'a>(&'a self, _: &'a Ctx, _: &'a Image, _: &'a [usize], _: std::sync::Arc<dyn Taker>) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn export<'a>(&'a self, ctx: &'a Ctx, _: &'a [ImageKey], _: &'a ExportTo) -> Answer<'a, Transfer> {
        Box::pin(async {
            let step = ctx.meter.step(Safe::new("layer"), Some(1_000_000));
            for _ in 0..1_000_000 {
                ctx.meter.add(step, 1);
            }
            self.wait().await;
            Ok(Transfer::default())
        })
    }
    fn curator(&self) -> Option<&dyn Curator> {
        Some(self)
    }
    fn watcher(&self) -> Option<&dyn Watcher> {
        Some(self)
    }
}

impl Curator for Scripted {
    fn tag<'a>(&'a self, _: &'a Ctx, _: &'a Digest, _: &'a Reference, _: Option<&'a Digest>) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn remove<'a>(&'a self, _: &'a Ctx, _: &'a [Removal]) -> Answer<'a, (Vec<Removed>, Vec<Kept>)> {
        Box::pin(async { Ok((Vec::new(), Vec::new())) })
    }
    fn prunable<'a>(&'a self, _: &'a Ctx) -> Answer<'a, ImageList> {
        Box::pin(async { Err(Problem::new(ProblemKind::Other, "prune", "no")) })
    }
    fn pull<'a>(&'a self, _: &'a Ctx, _: &'a Reference, _: Option<&'a Platform>) -> Answer<'a, Transfer> {
        Box::pin(async {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.wait().await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(Transfer::default())
        })
    }
    fn push<'a>(&'a self, ctx: &'a Ctx, _: &'a Reference, _: &'a Digest) -> Answer<'a, Transfer> {
        Box::pin(async {
            ctx.cancel.cancelled().await;
            Err(Problem::cancelled("push"))
        })
    }
    fn preview_import<'a>(&'a self, _: &'a Ctx, _: &'a std::path::Path) -> Answer<'a, ImportPreview> {
        Box::pin(async { Err(Problem::new(ProblemKind::Corrupt, "read the archive", "no")) })
    }
    fn import<'a>(&'a self, _: &'a Ctx, _: &'a std::path::Path, _: &'a [(Name, Digest)]) -> Answer<'a, Transfer> {
        Box::pin(async { Ok(Transfer::default()) })
    }
}

impl Watcher for Scripted {
    fn watch<'a>(&'a self, _: &'a Ctx) -> Answer<'a, stream::BoxStream<'static, Result<Noticed, Problem>>> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        Box::pin(async { Ok(Box::pin(stream::iter(events)) as stream::BoxStream<'static, _>) })
    }
}

fn id() -> SourceId {
    SourceId("scripted".to_owned())
}

fn world(read_only: bool) -> (Arc<Scripted>, Worker, mpsc::Receiver<Msg>) {
    let source = Arc::new(Scripted {
        id: id(),
        release: watch::Sender::new(false),
        started: Notify::new(),
        at_once: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        dropped: AtomicUsize::new(0),
        events: Mutex::default(),
    });
    let info = SourceInfo {
        id: id(),
        kind: SourceKind::Store,
        name: Safe::new("scripted"),
        place: Safe::new("here"),
        why: Safe::new("test"),
        powers: Powers::ALL,
        read_only,
    };
    let shared: Arc<dyn Source> = Arc::<Scripted>::clone(&source);
    let make = move || {
        let source = Arc::clone(&shared);
        Box::pin(async move { Ok(source) }) as Answer<'static, Arc<dyn Source>>
    };
    let found = Found { info, make: Arc::new(make) };
    let table = Table::new(Arc::new(move || vec![found.clone()]), Arc::new(|locator| crate::work::files::found(locator, "opened")));
    assert_eq!(table.discover_now().len(), 1);
    let (worker, messages) = Worker::new(Arc::new(Env::new(table, KnownLists::none(), Journal::new(std::path::Path::new("/nonexistent")))));
    (source, worker, messages)
}

/// The next message that is no progress.
async fn next(messages: &mut mpsc::Receiver<Msg>) -> (JobId, JobEvent) {
    loop {
        match messages.recv().await.unwrap() {
            Msg::Job(_, JobEvent::Progress(_)) => {}
            Msg::Job(id, event) => return (id, event),
            other => panic!("{other:?}"),
        }
    }
}

fn pull() -> Job {
    Job::Change(Change::Pull { source: id(), name: Name::new("app:1"), platform: None })
}

fn export() -> Job {
    Job::Export { source: id(), keys: Vec::new(), file: "x".into(), format: crate::model::ArchiveFormat::Oci, overwrite: false }
}

#[tokio::test]
async fn the_newest_list_wins_and_the_older_is_cancelled_once() {
    let (source, mut worker, mut messages) = world(false);
    worker.start(JobId(1), Job::List { source: id() });
    source.started.notified().await;
    worker.start(JobId(2), Job::List { source: id() });
    assert_eq!(next(&mut messages).await, (JobId(1), JobEvent::Cancelled));
    source.release.send_replace(true);
    let (job, event) = next(&mut messages).await;
    assert!(job == JobId(2) && matches!(event, JobEvent::Done(JobOutput::Images { .. })), "{event:?}");
    assert_eq!(source.dropped.load(Ordering::SeqCst), 2, "the older answer is not waited for");
    // Cancelling what has ended says nothing more.
    worker.cancel(JobId(1));
    worker.cancel(JobId(2));
    assert!(worker.stop(messages, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_panicking_job_is_a_failed_one() {
    let (_source, mut worker, mut messages) = world(false);
    worker.start(JobId(1), Job::Inspect { source: id(), key: ImageKey::Id(Digest::sha256(b"")) });
    let (_, event) = next(&mut messages).await;
    assert!(matches!(&event, JobEvent::Failed(problem) if problem.cause.as_str().contains("out of cheese")), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_is_sampled_at_most_ten_times_a_second_and_only_when_it_changed() {
    let (source, mut worker, mut messages) = world(false);
    worker.start(JobId(1), export());
    source.started.notified().await;
    let Some(Msg::Job(_, JobEvent::Progress(progress))) = messages.recv().await else { panic!("no progress") };
    assert_eq!(progress.totals().0, 1_000_000, "a million changes are one snapshot");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(messages.is_empty(), "nothing changed");
    source.release.send_replace(true);
    assert!(matches!(next(&mut messages).await.1, JobEvent::Done(JobOutput::Exported { .. })));
}

#[tokio::test]
async fn a_full_queue_makes_jobs_wait_and_loses_no_ending() {
    let (source, mut worker, mut messages) = world(false);
    source.release.send_replace(true);
    for n in 0..600 {
        worker.start(JobId(n), export());
    }
    let mut ended = std::collections::HashSet::new();
    while ended.len() < 600 {
        let (job, event) = next(&mut messages).await;
        assert!(matches!(event, JobEvent::Done(JobOutput::Exported { .. })), "{event:?}");
        worker.saw(&Msg::Job(job, event));
        assert!(ended.insert(job), "{job:?} ended twice");
    }
    assert!(!worker.is_running());
}

#[tokio::test]
async fn a_cancelled_transfer_ends_once_and_stopping_ends_all() {
    let (_source, mut worker, mut messages) = world(false);
    for n in 0..2 {
        worker
            .start(JobId(n), Job::Change(Change::Push { source: id(), name: Name::new("a:1"), expected: Digest::sha256(b""), seen: None }));
    }
    worker.cancel(JobId(1));
    assert_eq!(next(&mut messages).await, (JobId(1), JobEvent::Cancelled));
    worker.after(Duration::from_secs(3600), Msg::Spin);
    assert!(worker.stop(messages, Duration::from_secs(5)).await, "job 0 and the timer end too");
}

#[tokio::test]
async fn changes_are_refused_where_the_configuration_forbids_them() {
    let (_source, mut worker, mut messages) = world(true);
    worker.start(JobId(1), pull());
    let (_, event) = next(&mut messages).await;
    assert!(matches!(&event, JobEvent::Failed(problem) if problem.kind == ProblemKind::Denied), "{event:?}");
    worker.start(JobId(2), Job::Change(Change::Pull { source: SourceId("gone".into()), name: Name::new("a"), platform: None }));
    assert!(matches!(next(&mut messages).await.1, JobEvent::Failed(problem) if problem.kind == ProblemKind::NotFound));
}

#[tokio::test]
async fn a_burst_of_changes_is_one_and_the_end_of_the_stream_is_a_failure() {
    let (source, mut worker, mut messages) = world(false);
    let lost = Problem::new(ProblemKind::Unreachable, "watch", "gone");
    *source.events.lock().unwrap() = (0..200).map(|_| Ok(Noticed::Change)).chain([Err(lost.clone())]).collect();
    worker.start(JobId(1), Job::Watch { source: id() });
    assert_eq!(next(&mut messages).await.1, JobEvent::Chunk(JobOutput::Watching));
    assert_eq!(next(&mut messages).await.1, JobEvent::Chunk(JobOutput::Changed));
    assert_eq!(next(&mut messages).await.1, JobEvent::Failed(lost));
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_once() {
    let (_source, worker, mut messages) = world(false);
    worker.after(Duration::from_secs(4), Msg::ToastExpired(7));
    assert_eq!(messages.recv().await, Some(Msg::ToastExpired(7)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(messages.is_empty());
}
