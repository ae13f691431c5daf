//! Clean-up against the real dockerd and Podman that `tests/run` starts: what is known of when images were used, and what a plan of picks frees.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod common;
#[path = "engine/peer.rs"]
mod peer;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lighterman::app::overlay::{CleanUp, Overlay};
use lighterman::app::{Settings, State, start, update};
use lighterman::curate::cleanup::Bytes;
use lighterman::flow::{Effect, Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::{ImageList, Locator, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind, Uses};
use lighterman::source::Source;
use lighterman::source::credentials::Credentials;
use lighterman::source::engine::EngineSource;
use lighterman::work::journal::Journal;
use lighterman::work::{Env, Found, KnownLists, Ledgers, Table, Worker};
use peer::{Made, Peer, noise, peers, tagged};
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

/// One at a time: they count what an engine holds.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn a_container_that_came_and_went_is_remembered() {
    let _turn = TURN.lock().await;
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

/// The deck with its jobs, without a screen.
struct Deck {
    jobs: Jobs,
    state: State,
}

impl Deck {
    async fn new(peer: &Peer, state: &Path) -> Self {
        let jobs = Jobs::new(peer, state);
        let mut deck = Self { jobs, state: State::new(Settings::default(), lighterman::work::clock::now()) };
        let effects = start(&mut deck.state);
        deck.run(effects);
        deck.until("it lists", |state| state.images.list.value.is_some() && !state.images.list.is_loading()).await;
        deck
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(id, job) => self.jobs.worker.start(id, job),
                Effect::Cancel(id) => self.jobs.worker.cancel(id),
                Effect::After(delay, msg) => self.jobs.worker.after(delay, *msg),
                _ => {}
            }
        }
    }

    fn tell(&mut self, msg: Msg) {
        let effects = update(&mut self.state, msg);
        self.run(effects);
    }

    fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            self.tell(Msg::Key { chord: key.parse().unwrap(), held: false });
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&State) -> bool) {
        let waited = async {
            while !holds(&self.state) {
                let msg = self.jobs.messages.recv().await.expect("the worker lives");
                self.jobs.worker.saw(&msg);
                self.tell(msg);
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect(what);
    }
}

fn cleaning(state: &State) -> Option<&CleanUp> {
    match state.overlays.last() {
        Some(Overlay::CleanUp(it)) => Some(it),
        _ => None,
    }
}

/// Bytes that the layers of a Docker engine take, as it says itself.
fn stored(host: &str) -> u64 {
    let mut socket = std::os::unix::net::UnixStream::connect(host.trim_start_matches("unix://")).unwrap();
    socket.write_all(b"GET /system/df HTTP/1.0\r\nHost: docker\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<serde_json::Value>(json).unwrap()["LayersSize"].as_u64().unwrap()
}

#[tokio::test]
async fn what_is_picked_goes_and_frees_what_was_said() {
    let _turn = TURN.lock().await;
    for peer in peers("what_is_picked_goes_and_frees_what_was_said") {
        let dir = tempfile::tempdir().unwrap();
        let prefix = peer.prefix("clean");
        // Two without a name and one with, all on one base.
        let base = noise(&prefix, 3 << 20);
        let on_base = |n: usize| Made::with(&format!("{prefix}-{n}"), &[base.clone(), noise(&format!("{prefix}-{n}"), 1 << 20)]);
        let (one, two, kept) = (on_base(1), on_base(2), on_base(3));
        let name = tagged(&peer, &prefix, "kept");
        peer.load(&one, &[]).await;
        peer.load(&two, &[]).await;
        peer.load(&kept, &[&name]).await;
        // Podman doesn't tell.
        let host = if peer.podman { None } else { common::docker("what_is_picked_goes_and_frees_what_was_said") };
        let before = host.as_deref().map(stored);
        let mut deck = Deck::new(&peer, dir.path()).await;
        deck.press("X");
        let weighed = |state: &State| {
            let group = cleaning(state).map(|it| &it.groups[0]);
            peer.podman || group.is_some_and(|group| matches!(group.bytes, Bytes::Exact(_) | Bytes::Between { at_least: Some(_), .. }))
        };
        deck.until("the engine says what is shared", weighed).await;
        let group = &cleaning(&deck.state).unwrap().groups[0];
        let ids: Vec<_> = group.chosen.iter().map(|(id, _)| id.clone()).collect();
        assert!(ids.contains(&one.id) && ids.contains(&two.id) && !ids.contains(&kept.id), "{ids:?}");
        let bytes = group.bytes;
        deck.press("Space Enter x y");
        deck.until("the plan has run", |state| state.plan.ended).await;
        assert!(deck.state.plan.lines.iter().all(|line| line.state.is_done()), "{:?}", deck.state.plan.lines);
        for gone in [&one.id, &two.id] {
            assert_eq!(peer.holder(gone.as_str()).await, None);
        }
        assert_eq!(peer.holder(&name).await, Some(kept.id.clone()));
        if let (Some(host), Some(before)) = (host, before) {
            let freed = before - stored(&host);
            match bytes {
                Bytes::Exact(said) => assert_eq!(freed, said),
                Bytes::Between { at_least, at_most } => assert!(Some(freed) >= at_least && freed <= at_most, "{freed} of {bytes:?}"),
            }
            assert!((2 << 20..3 << 20).contains(&freed), "the base stays, and both images' own layers go: {freed}");
        }
        peer.clear(&[&name], None).await;
    }
}

#[tokio::test]
async fn what_is_built_on_a_polluted_image_is_found_and_put_away() {
    let _turn = TURN.lock().await;
    for peer in peers("what_is_built_on_a_polluted_image_is_found_and_put_away") {
        let dir = tempfile::tempdir().unwrap();
        let prefix = peer.prefix("quarantine");
        let step = |name: &str| format!("{prefix} {name}").into_bytes();
        let bad = Made::with(&format!("{prefix}-bad"), &[step("base"), step("bad")]);
        let child = Made::with(&format!("{prefix}-child"), &[step("base"), step("bad"), step("more")]);
        let clean = Made::with(&format!("{prefix}-clean"), &[step("base"), step("other")]);
        let name = |tag: &str| tagged(&peer, &prefix, tag);
        for (made, tag) in [(&bad, "bad"), (&child, "child"), (&clean, "clean")] {
            peer.load(made, &[&name(tag)]).await;
        }
        let mut deck = Deck::new(&peer, dir.path()).await;
        let rows = deck.state.images.rows.clone();
        let at = rows.iter().position(|row| deck.state.images.at(*row).is_some_and(|(image, _)| image.id == bad.id)).unwrap();
        deck.state.images.cursor.go(at);
        deck.press("Q");
        let report = |state: &State| match state.overlays.last() {
            Some(Overlay::Quarantine(it)) if it.job.is_none() => it.report.clone(),
            _ => None,
        };
        deck.until("all images are read", |state| report(state).is_some()).await;
        let report = report(&deck.state).unwrap();
        let mut found: Vec<_> = report.local.iter().map(|hit| hit.id.clone()).collect();
        found.sort();
        let mut expected = [bad.id.clone(), child.id.clone()];
        expected.sort();
        assert_eq!((found.as_slice(), report.not_looked_into.local), (expected.as_slice(), 0), "not what shares its base only");
        deck.press("t x y");
        deck.until("the plan has run", |state| state.plan.ended).await;
        assert!(deck.state.plan.lines.iter().all(|line| line.state.is_done()), "{:?}", deck.state.plan.lines);
        for (made, tag) in [(&bad, "bad"), (&child, "child")] {
            assert_eq!(peer.holder(&name(&format!("quarantine-{tag}"))).await, Some(made.id.clone()));
            assert_eq!(peer.holder(&name(tag)).await, None);
        }
        assert_eq!(peer.holder(&name("clean")).await, Some(clean.id.clone()));
        peer.clear(&[&name("quarantine-bad"), &name("quarantine-child"), &name("clean")], None).await;
    }
}
