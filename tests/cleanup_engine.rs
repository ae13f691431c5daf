//! Clean-up against the real dockerd and Podman that `tests/run` starts: what is known of when images were used, and what a plan of picks frees.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod common;
#[path = "engine/peer.rs"]
mod peer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::{ImageList, Locator, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind, Uses};
use lighterman::source::Source;
use lighterman::source::credentials::Credentials;
use lighterman::source::engine::EngineSource;
use lighterman::work::journal::Journal;
use lighterman::work::{Env, Found, KnownLists, Ledgers, Table, Worker};
use peer::{Made, Peer, peers, tagged};
use tokio::sync::mpsc;

/// The jobs of one run of the deck, on one engine.
struct Jobs {
    worker: Worker,
    messages: mpsc::Receiver<Msg>,
    id: SourceId,
    next: u64,
}

impl Jobs {
    fn new(peer: &Peer, state: &Path) -> Self {
        let endpoint = peer.source.endpoint().clone();
        let source: Arc<dyn Source> = Arc::new(EngineSource::new(endpoint, Credentials::none()));
        let id = source.id().clone();
        let info = SourceInfo {
            id: id.clone(),
            kind: SourceKind::Engine,
            name: Safe::new("peer"),
            place: Safe::new("peer"),
            why: Safe::new("test"),
            powers: Powers::ALL,
            read_only: false,
        };
        let make = Arc::new(move || {
            let source = Arc::clone(&source);
            Box::pin(async move { Ok(source) }) as lighterman::source::Answer<'static, _>
        });
        let found = Found { info, make };
        let open = |_: &Locator| Err(Problem::new(ProblemKind::Usage, "open", "nothing is opened here"));
        let table = Table::new(Arc::new(move || vec![found.clone()]), Arc::new(open));
        drop(table.discover_now());
        let env = Env::new(table, KnownLists::none(), Journal::new(state)).noting(Ledgers::new(state.join("uses")));
        let (worker, messages) = Worker::new(Arc::new(env));
        Self { worker, messages, id, next: 0 }
    }

    fn start(&mut self, job: Job) -> JobId {
        self.next += 1;
        self.worker.start(JobId(self.next), job);
        JobId(self.next)
    }

    /// The next thing that a job tells.
    async fn told(&mut self, id: JobId) -> JobEvent {
        let told = async {
            loop {
                let msg = self.messages.recv().await.expect("the worker lives");
                self.worker.saw(&msg);
                if let Msg::Job(of, event) = msg
                    && of == id
                    && !matches!(event, JobEvent::Progress(_))
                {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("it tells within half a minute")
    }

    /// The images, and what is known of their uses.
    async fn list(&mut self) -> (Arc<ImageList>, Arc<Uses>) {
        let id = self.start(Job::List { source: self.id.clone() });
        let mut uses = Arc::default();
        loop {
            match self.told(id).await {
                JobEvent::Chunk(JobOutput::Uses(known)) => uses = known,
                JobEvent::Chunk(_) => {}
                JobEvent::Done(JobOutput::Images { list, .. }) => return (list, uses),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_container_that_came_and_went_is_remembered() {
    for peer in peers("a_container_that_came_and_went_is_remembered") {
        let state = tempfile::tempdir().unwrap();
        let prefix = peer.prefix("uses");
        let made = Made::new(&prefix, 1);
        let name = tagged(&peer, &prefix, "1");
        peer.load(&made, &[&name]).await;
        let mut jobs = Jobs::new(&peer, state.path());
        let (_, uses) = jobs.list().await;
        assert!(uses.first_seen(&made.id).is_some());
        assert_eq!(uses.last_used(&made.id), None, "nothing used it while somebody looked");
        let watch = jobs.start(Job::Watch { source: jobs.id.clone() });
        assert_eq!(jobs.told(watch).await, JobEvent::Chunk(JobOutput::Watching));
        // Gone before anybody lists: only the event tells of it.
        let container = peer.container(&name).await;
        peer.clear(&[], Some(&container)).await;
        assert_eq!(jobs.told(watch).await, JobEvent::Chunk(JobOutput::Changed));
        let (list, uses) = jobs.list().await;
        let image = list.images.iter().find(|image| image.id == made.id).unwrap();
        assert_eq!(image.is_unused(), Some(true), "no container is left");
        let used = uses.last_used(&made.id).expect("it was used");
        assert!(used >= uses.first_seen(&made.id).unwrap() && used <= list.at, "{used}");
        jobs.worker.stop(jobs.messages, Duration::from_secs(10)).await;
        // The next run of the program knows it, and that no more was seen.
        let mut again = Jobs::new(&peer, state.path());
        let (_, known) = again.list().await;
        assert_eq!((known.last_used(&made.id), known.first_seen(&made.id)), (Some(used), uses.first_seen(&made.id)));
        // A container that stands there says when it was made.
        let container = peer.container(&name).await;
        let mut third = Jobs::new(&peer, &state.path().join("other"));
        let (_, known) = third.list().await;
        assert!(known.last_used(&made.id).is_some());
        peer.clear(&[&name], Some(&container)).await;
    }
}
