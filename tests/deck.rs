//! The whole deck without a terminal, a source or a clock: keys and job events in, state and effects out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "the deck of a test fails the test when it breaks"
)]

use std::sync::Arc;

use jiff::Timestamp;
use lighterman::app::overlay::{Overlay, Standing};
use lighterman::app::{Settings, State, start, update};
use lighterman::flow::job::{About, Applying, Way};
use lighterman::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::{
    Change, ContainerUse, Digest, ImageList, ImageSummary, LineState, LoggedLine, LoggedRun, Name, Operation, Plan, PlanKind, Powers,
    Problem, ProblemKind, RunEnd, Safe, SourceId, SourceInfo, SourceKind, SourceStatus, Target, Verb,
};
use lighterman::pane::PaneId;
use lighterman::pane::tasks::TaskState;
use proptest::prelude::*;

const NOW: i64 = 1_760_000_000;

fn image(seed: u32, tags: &[&str]) -> ImageSummary {
    ImageSummary {
        id: Digest::sha256(&seed.to_le_bytes()),
        tags: tags.iter().map(|tag| Name::new(tag)).collect(),
        repo_digests: vec![],
        created: Timestamp::from_second(NOW - i64::from(seed) * 86_400).ok(),
        size: Some(u64::from(seed) * 1_000_000),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: std::collections::BTreeMap::default(),
    }
}

fn info(powers: Powers, read_only: bool) -> SourceInfo {
    SourceInfo {
        id: SourceId("engine:test".to_owned()),
        kind: SourceKind::Engine,
        name: Safe::new("test"),
        place: Safe::new("unix:///test.sock"),
        why: Safe::new("named"),
        powers,
        read_only,
    }
}

/// A deck that can be pressed.
struct Deck {
    state: State,
    effects: Vec<Effect>,
}

impl Deck {
    /// Started, with its source found; nothing listed yet.
    fn found(info: SourceInfo) -> Self {
        let mut state = State::new(Settings { clipboard: true, ..Settings::default() }, Timestamp::from_second(NOW).unwrap());
        let effects = start(&mut state);
        let mut deck = Self { state, effects };
        deck.tell(Msg::Resize { width: 120, height: 40 });
        let discover = deck.job(|job| matches!(job, Job::Discover));
        deck.tell(Msg::Job(discover, JobEvent::Done(JobOutput::Sources(vec![info]))));
        deck
    }

    /// With a list on the screen.
    fn listing(images: Vec<ImageSummary>) -> Self {
        let mut deck = Self::found(info(Powers::ALL, false));
        deck.list(images);
        deck
    }

    fn list(&mut self, images: Vec<ImageSummary>) {
        let id = self.job(|job| matches!(job, Job::List { .. }));
        let list = Arc::new(ImageList { images, at: Timestamp::from_second(NOW).unwrap(), gaps: vec![] });
        self.tell(Msg::Job(id, JobEvent::Done(JobOutput::Images { list, version: Safe::new("Docker 1") })));
    }

    fn tell(&mut self, msg: Msg) {
        let effects = update(&mut self.state, msg);
        self.effects.extend(effects);
    }

    /// Presses keys written as in the keymap file, separated by spaces.
    fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            self.tell(Msg::Key { chord: key.parse::<Chord>().unwrap(), held: false });
        }
    }

    fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.tell(Msg::Key { chord: Chord::char(c), held: false });
        }
    }

    /// The newest started job that fits.
    fn job(&self, fits: impl Fn(&Job) -> bool) -> JobId {
        self.started().rev().find(|(_, job)| fits(job)).map(|(id, _)| id).expect("such a job was started")
    }

    fn started(&self) -> impl DoubleEndedIterator<Item = (JobId, &Job)> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Start(id, job) => Some((*id, job)),
            _ => None,
        })
    }

    fn changes(&self) -> Vec<&Change> {
        self.started().filter_map(|(_, job)| if let Job::Change(change) = job { Some(change) } else { None }).collect()
    }

    fn applied(&self) -> Vec<&Applying> {
        self.started().filter_map(|(_, job)| if let Job::Apply(applying) = job { Some(&**applying) } else { None }).collect()
    }

    /// The lines of the plan: what is done, to what, and the first word on it.
    fn plan(&self) -> Vec<String> {
        let words = |line: &lighterman::pane::plan::Line| {
            let operation = &line.operation;
            format!(
                "{} {}: {}",
                operation.verb.word(),
                operation.target,
                operation.effects.first().map_or("", lighterman::model::Foreign::raw)
            )
        };
        self.state.plan.lines.iter().map(words).collect()
    }

    fn names(&self) -> Vec<String> {
        let images = &self.state.images;
        images
            .rows
            .iter()
            .filter_map(|row| images.at(*row))
            .map(|(image, name)| name.map_or(image.id.short(), Name::raw).to_owned())
            .collect()
    }
}

/// Asks for pulls of `app:0` and so on.
fn pulls(deck: &mut Deck, count: usize) {
    for n in 0..count {
        deck.press("p");
        deck.type_text(&format!("app:{n}"));
        deck.press("Enter");
    }
}

fn pulled(deck: &Deck) -> Vec<String> {
    let name = |change: &&Change| if let Change::Pull { name, .. } = change { Some(name.raw().to_owned()) } else { None };
    deck.changes().iter().filter_map(name).collect()
}

fn line(deck: &Deck) -> Vec<String> {
    let tasks = &deck.state.tasks;
    let title = |id: &JobId| tasks.tasks.iter().find(|task| task.id == *id).map(|task| task.title.as_str().to_owned());
    tasks.line.iter().filter_map(title).collect()
}

#[test]
fn four_transfers_run_at_once_and_the_rest_wait_in_an_order_that_can_be_changed() {
    let mut deck = Deck::listing(vec![image(1, &["a:1"])]);
    pulls(&mut deck, 7);
    assert_eq!(pulled(&deck), ["app:0", "app:1", "app:2", "app:3"]);
    assert_eq!(line(&deck), ["pull app:4", "pull app:5", "pull app:6"]);
    // Rows: four that run, then the line.
    deck.press("6 g j j j j j j K");
    assert_eq!(line(&deck), ["pull app:4", "pull app:6", "pull app:5"]);
    assert_eq!(deck.state.tasks.selected().unwrap().title.as_str(), "pull app:6", "the cursor goes with it");
    deck.press("K K J");
    assert_eq!(line(&deck), ["pull app:4", "pull app:6", "pull app:5"]);
    deck.press("K");
    let first = deck.job(|job| matches!(job, Job::Change(Change::Pull { name, .. }) if name.raw() == "app:0"));
    deck.tell(Msg::Job(first, JobEvent::Done(JobOutput::Applied(lighterman::model::Transfer::default()))));
    assert_eq!(pulled(&deck).last().unwrap(), "app:6", "the first in line has its turn");
    // A paused one is passed over; one that is cancelled in line never ran.
    deck.press("G k k g j j j j p");
    assert_eq!(deck.state.tasks.selected().unwrap().state, TaskState::Paused);
    let second = deck.job(|job| matches!(job, Job::Change(Change::Pull { name, .. }) if name.raw() == "app:1"));
    deck.tell(Msg::Job(second, JobEvent::Cancelled));
    assert_eq!(pulled(&deck).last().unwrap(), "app:5");
    assert_eq!(line(&deck), ["pull app:4"]);
    deck.press("c");
    assert!(line(&deck).is_empty());
    assert_eq!(pulled(&deck).len(), 6, "app:4 never ran");
}

#[test]
fn a_running_transfer_that_is_paused_stops_and_goes_on_under_a_new_id() {
    let mut deck = Deck::listing(vec![image(1, &["a:1"])]);
    pulls(&mut deck, 1);
    let first = deck.job(|job| matches!(job, Job::Change(_)));
    deck.press("6 p");
    assert_eq!(deck.effects.last(), Some(&Effect::Cancel(first)));
    assert_eq!(deck.state.tasks.selected().unwrap().state, TaskState::Pausing);
    deck.tell(Msg::Job(first, JobEvent::Cancelled));
    assert_eq!(deck.state.tasks.selected().unwrap().state, TaskState::Paused);
    assert!(deck.state.toasts.list.is_empty(), "that is no cancellation to tell of");
    deck.press("p");
    let second = deck.job(|job| matches!(job, Job::Change(_)));
    assert!(second != first && deck.state.tasks.running() == 1);
    // What ends although it was asked to pause, has ended.
    deck.press("p");
    deck.tell(Msg::Job(second, JobEvent::Done(JobOutput::Applied(lighterman::model::Transfer::default()))));
    assert!(matches!(deck.state.tasks.selected().unwrap().state, TaskState::Done(_)));
}

#[test]
fn a_held_line_starts_no_transfer_and_a_failed_task_goes_back_into_it() {
    let mut deck = Deck::listing(vec![image(1, &["a:1"])]);
    deck.press("6 P 1");
    pulls(&mut deck, 2);
    assert!(pulled(&deck).is_empty());
    deck.press("q");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Confirm(_))), "what waits would be lost");
    deck.press("Esc 6 P");
    assert_eq!(pulled(&deck), ["app:0", "app:1"]);
    let first = deck.job(|job| matches!(job, Job::Change(Change::Pull { name, .. }) if name.raw() == "app:0"));
    deck.tell(Msg::Job(first, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "pull app:0", "gone"))));
    deck.press("G R");
    assert_eq!(pulled(&deck), ["app:0", "app:1", "app:0"]);
    assert_eq!(deck.state.tasks.tasks.len(), 2, "the same task again, and no copy of it");
}

#[test]
fn registries_are_asked_how_tags_stand_only_on_request_and_seen_rows_first() {
    use lighterman::model::{Drift, LocalTag};
    let images: Vec<ImageSummary> = (0..200).map(|n| image(n, &[&format!("acme/app:{n:03}")])).collect();
    let mut deck = Deck::listing(images);
    assert!(!deck.started().any(|(_, job)| matches!(job, Job::Drift { .. })), "nobody is asked unasked");
    deck.press("G u");
    let id = deck.job(|job| matches!(job, Job::Drift { .. }));
    let Some(Job::Drift { tags }) = deck.state.jobs.get(&id).cloned() else { panic!() };
    assert_eq!(tags.len(), 200);
    assert!(tags[..5].iter().all(|tag| tag.name.raw() > "acme/app:150"), "{:?}", tags[0]);
    let told = |n: usize, drift| (tags.iter().find(|tag| tag.name.raw() == format!("acme/app:{n:03}")).unwrap().clone(), drift);
    let gone = Problem::new(ProblemKind::Unreachable, "ask", "nobody answers");
    let answers: Vec<(LocalTag, Result<Drift, Problem>)> = vec![
        told(1, Ok(Drift::Same)),
        told(2, Ok(Drift::Moved(Digest::sha256(b"new")))),
        told(3, Ok(Drift::Gone)),
        told(4, Ok(Drift::OnlyHere)),
        told(5, Err(gone)),
    ];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Drift(answers))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    let toast = deck.state.toasts.list.last().unwrap().text.as_str().to_owned();
    assert_eq!(toast, "1 same, 1 moved, 1 local, 1 gone, 196 not told");
    deck.press("/");
    deck.type_text("drift:moved");
    deck.press("Enter");
    assert_eq!(deck.names(), ["acme/app:002"]);
    deck.press("Esc /");
    deck.type_text("pullable");
    deck.press("Enter");
    assert_eq!(deck.names(), ["acme/app:001"]);
    // The tag is on another image now: nothing is known of that.
    deck.press("Esc r");
    deck.list(vec![image(999, &["acme/app:001"]), image(2, &["acme/app:002"])]);
    deck.press("/");
    deck.type_text("drift:unknown");
    assert_eq!(deck.names(), ["acme/app:001"]);
}

fn plan_of(operations: Vec<Operation>) -> Plan {
    let made_at = Timestamp::from_second(NOW).unwrap();
    Plan { version: 1, kind: PlanKind::Delete, made_at, made_by: "test".into(), all_or_nothing: false, operations }
}

/// How the run of a job went: its lines as they are given.
fn ran(deck: &Deck, id: JobId, states: &[LineState]) -> Arc<LoggedRun> {
    let Some((_, Job::Apply(applying))) = deck.started().find(|(other, _)| *other == id) else { panic!("a run") };
    let lines = applying.plan.operations.iter().zip(states);
    Arc::new(LoggedRun {
        id: "01abc".into(),
        at: Timestamp::from_second(NOW).unwrap(),
        actor: "ana@harbour".into(),
        kind: applying.plan.kind,
        lines: lines
            .map(|(operation, state)| LoggedLine { operation: operation.clone(), state: state.clone(), restorable: None })
            .collect(),
        end: RunEnd::Whole,
        about: None,
        damaged: false,
    })
}

#[test]
fn the_first_source_found_is_listed_and_watched() {
    let deck = Deck::found(info(Powers::ALL, false));
    let jobs: Vec<_> = deck.started().map(|(_, job)| job.clone()).collect();
    let source = SourceId("engine:test".to_owned());
    assert_eq!(jobs, [Job::Discover, Job::Recover, Job::List { source: source.clone() }, Job::Watch { source }]);
}

#[test]
fn one_row_for_each_reference_and_the_cursor_stays_on_its_row_through_a_refresh() {
    let mut deck = Deck::listing(vec![image(1, &["b:1", "a:1"]), image(2, &[]), image(3, &["c:1"])]);
    assert_eq!(deck.names(), ["a:1", "b:1", "c:1", image(2, &[]).id.short()]);
    deck.press("j j");
    deck.press("r");
    deck.list(vec![image(4, &["aa:0"]), image(3, &["c:1"])]);
    assert_eq!(deck.names(), ["aa:0", "c:1"]);
    assert_eq!(deck.state.images.cursor.at, 1);
}

#[test]
fn sorting_again_flips_and_unknown_values_stand_last() {
    let mut unknown = image(9, &["z:1"]);
    unknown.size = None;
    let mut deck = Deck::listing(vec![image(1, &["a:1"]), unknown, image(3, &["c:1"])]);
    deck.press("S");
    assert_eq!(deck.names(), ["c:1", "a:1", "z:1"]);
    deck.press("S");
    assert_eq!(deck.names(), ["a:1", "c:1", "z:1"]);
}

#[test]
fn the_filter_follows_every_key_and_a_bad_one_keeps_the_last_good() {
    let mut deck = Deck::listing(vec![image(1, &["acme/api:1"]), image(2, &["acme/web:1"]), image(3, &[])]);
    deck.press("/");
    deck.type_text("web");
    assert_eq!(deck.names(), ["acme/web:1"]);
    deck.press("Ctrl-u");
    deck.type_text("dangling re:(");
    assert!(deck.state.images.filter_problem.as_deref().is_some_and(|why| why.contains("re:")));
    assert_eq!(deck.names().len(), 1);
    deck.press("Esc");
    assert_eq!(deck.names().len(), 3);
    assert!(deck.state.images.filter_problem.is_none());
}

#[test]
fn marks_survive_a_filter_and_go_with_their_row() {
    let mut deck = Deck::listing((1..=5).map(|n| image(n, &[&format!("r{n}:1")])).collect());
    deck.press("v j j v");
    assert_eq!(deck.state.images.marks.len(), 3);
    deck.press("*");
    assert_eq!(deck.state.images.marks.len(), 2);
    deck.press("r");
    deck.list(vec![image(4, &["r4:1"])]);
    assert_eq!(deck.state.images.marks.len(), 1);
}

#[test]
fn an_open_range_stays_on_its_images_and_counts_as_chosen() {
    let mut deck = Deck::listing(vec![image(1, &["m:1"]), image(2, &["n:1"]), image(3, &["z:1"])]);
    deck.press("v");
    // Two images come to stand above: the range still begins at m.
    deck.press("r");
    deck.list(vec![image(4, &["a:1"]), image(5, &["b:1"]), image(1, &["m:1"]), image(2, &["n:1"]), image(3, &["z:1"])]);
    deck.press("j");
    let chosen = deck.state.images.chosen();
    let mut names: Vec<_> = chosen.iter().filter_map(|key| key.name.as_ref()).map(Name::raw).collect();
    names.sort_unstable();
    assert_eq!(names, ["m:1", "n:1"], "also before it is ended");
    deck.press("v");
    assert_eq!(deck.state.images.marks.len(), 2);
    // A range whose first row is gone is none.
    deck.press("U g v");
    assert!(deck.state.images.range_from.is_some());
    deck.press("r");
    deck.list(vec![image(3, &["z:1"])]);
    assert!(deck.state.images.range_from.is_none());
}

#[test]
fn delete_goes_into_the_plan_and_exactly_that_is_run() {
    let mut deck = Deck::listing(vec![image(1, &["app:1", "app:latest"]), image(2, &["web:1"])]);
    deck.press("Space j Space d");
    assert_eq!((deck.state.focus, deck.state.drawer), (PaneId::Plan, Some(PaneId::Plan)));
    let lines = deck.plan();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("untag app:1: untag only") && lines[0].contains("app:latest"), "{lines:?}");
    assert!(lines[1].starts_with("delete image web:1: its only tag"), "{lines:?}");
    assert!(deck.applied().is_empty() && deck.changes().is_empty(), "nothing happens on a key");
    deck.press("x");
    let Some(Overlay::Confirm(confirm)) = deck.state.overlays.last() else { panic!("no dialog") };
    let text: Vec<_> = confirm.lines.iter().map(|(_, text)| text.as_str()).collect();
    assert!(text.iter().any(|line| line.contains("can't be taken back")), "{text:?}");
    deck.press("y");
    let [applying] = deck.applied()[..] else { panic!("one run") };
    let seen: Vec<_> =
        applying.plan.operations.iter().map(|line| (line.target.to_string(), line.before.clone(), line.after.clone())).collect();
    assert_eq!(seen, [("app:1".into(), Some(image(1, &[]).id), None), ("web:1".into(), Some(image(2, &[]).id), None)]);
    // Each line is followed, and a second run of the same plan is refused.
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Lines(vec![(0, LineState::Running)]))));
    assert_eq!(deck.state.plan.lines[0].state, LineState::Running);
    deck.press("d x");
    assert_eq!(deck.plan().len(), 2, "a plan that runs is not edited");
    let conflict = LineState::Conflict { observed: None };
    let run = ran(&deck, id, &[LineState::Done { observed: None }, conflict.clone()]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Ran(run))));
    assert_eq!(deck.state.plan.lines[1].state, conflict);
    let toast = deck.state.toasts.list.last().unwrap();
    assert!(toast.text.as_str().contains("1 of 2 lines done") && toast.hint.as_ref().unwrap().as_str().contains("it is gone"), "{toast:?}");
    deck.press("x");
    assert_eq!(deck.applied().len(), 1, "it has run");
    // What is wanted next begins a new plan.
    deck.press("1 g d");
    assert_eq!(deck.plan().len(), 1);
}

#[test]
fn lines_are_dropped_and_thought_through_anew() {
    let mut deck = Deck::listing(vec![image(1, &["app:1", "app:latest"]), image(2, &["web:1"])]);
    deck.press("Space Space d");
    let both = deck.plan();
    assert!(both[0].starts_with("untag app:1: untags: image") && both[1].contains("goes with all its 2 tags"), "{both:?}");
    deck.press("g j d");
    let one = deck.plan();
    assert!(one.len() == 1 && one[0].contains("untag only"), "without the other the image stays: {one:?}");
    deck.press("U");
    assert!(deck.plan().is_empty());
    deck.press("x");
    assert!(deck.state.overlays.is_empty(), "nothing is planned");
    // Esc closes the drawer and keeps the plan.
    deck.press("1 d Esc");
    assert_eq!((deck.state.focus, deck.state.drawer, deck.plan().len()), (PaneId::Images, None, 1));
    deck.press("o");
    assert_eq!(deck.state.focus, PaneId::Plan);
}

#[test]
fn a_protected_line_runs_only_with_a_reason() {
    let mut used = image(1, &["app:1"]);
    used.containers = Some(vec![ContainerUse { id: "1".into(), name: "web-1".into(), running: true, state: "running".into() }]);
    let mut deck = Deck::listing(vec![used, image(2, &["web:1"])]);
    deck.press("d");
    assert!(deck.state.plan.lines[0].operation.protected.as_ref().unwrap().raw().contains("web-1"));
    deck.press("x");
    assert!(deck.state.overlays.is_empty() && deck.applied().is_empty(), "no line may run");
    deck.press("! Enter");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Prompt(_))), "a reason is wanted");
    deck.type_text("it is a leftover");
    deck.press("Enter x y");
    let reason = deck.applied()[0].plan.operations[0].override_reason.clone();
    assert_eq!(reason.unwrap().raw(), "it is a leftover");
}

#[test]
fn what_the_configuration_protects_stays_out_of_reach() {
    let settings = Settings { protect: vec!["*:stable".to_owned()], ..Settings::default() };
    let mut state = State::new(settings, Timestamp::from_second(NOW).unwrap());
    let effects = start(&mut state);
    let mut deck = Deck { state, effects };
    let discover = deck.job(|job| matches!(job, Job::Discover));
    deck.tell(Msg::Job(discover, JobEvent::Done(JobOutput::Sources(vec![info(Powers::ALL, false)]))));
    deck.list(vec![image(1, &["app:stable"]), image(2, &["app:1"])]);
    deck.press("* d");
    let refused: Vec<bool> = deck.state.plan.lines.iter().map(|line| line.operation.refused().is_some()).collect();
    assert_eq!(refused.iter().filter(|refused| **refused).count(), 1, "{:?}", deck.plan());
    // A plan that was emptied protects as before.
    deck.press("U 1 * d");
    assert_eq!(deck.state.plan.totals().refused, 1);
}

#[test]
fn what_is_pruned_is_planned_too_and_what_is_used_stays() {
    let mut used = image(3, &[]);
    used.containers = Some(vec![ContainerUse { id: "1".into(), name: "web-1".into(), running: false, state: "exited".into() }]);
    let mut unknown = image(4, &[]);
    unknown.containers = None;
    let images = vec![image(1, &["app:1"]), image(2, &[]), used, unknown];
    let mut deck = Deck::listing(images.clone());
    deck.press("X");
    let id = deck.job(|job| matches!(job, Job::PreviewPrune { .. }));
    let mut dangling = images[1..].to_vec();
    dangling[0].unique_size = Some(1_000);
    let list = ImageList { images: dangling, at: Timestamp::from_second(NOW).unwrap(), gaps: vec![] };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Prunable(Arc::new(list)))));
    // Nothing is picked: what the cursor is on goes, which is what has no tag.
    deck.press("d");
    let lines = deck.plan();
    assert!(lines.len() == 1 && lines[0].starts_with(&format!("delete image {}", image(2, &[]).id)), "{lines:?}");
    assert_eq!(deck.state.plan.totals().freed_at_least, 1_000);
}

#[test]
fn a_plan_says_bounds_until_the_layers_are_read_and_then_what_it_frees() {
    let images = vec![image(1, &["a:1"]), image(2, &["b:1"]), image(3, &["c:1"])];
    let ids: Vec<Digest> = images.iter().map(|image| image.id.clone()).collect();
    let mut deck = Deck::listing(images.clone());
    deck.press("d");
    assert_eq!(deck.plan().len(), 1);
    deck.press("1 j d");
    let of = |deck: &Deck| deck.state.plan.totals();
    let most: u64 = images[..2].iter().filter_map(|image| image.size).sum();
    assert_eq!((of(&deck).freed_at_least, of(&deck).freed_at_most), (0, most));
    assert_eq!(deck.state.plan.basis().as_deref(), Some("based on 0 of 3 images"));
    let started: Vec<Job> = deck.started().map(|(_, job)| job).filter(|job| matches!(job, Job::Layers { .. })).cloned().collect();
    let [Job::Layers { images: asked, .. }] = started.as_slice() else { panic!("{started:?}") };
    assert_eq!(asked.len(), 3, "also of what stays, and once for both lines");
    let job = deck.job(|job| matches!(job, Job::Layers { .. }));
    let layer = |name: &str, bytes: u64| (Digest::sha256(name.as_bytes()), bytes);
    let chain = |own: &str| Some(vec![layer("base", 100), layer(own, 10)]);
    deck.tell(Msg::Job(job, JobEvent::Chunk(JobOutput::Layers(vec![(ids[0].clone(), chain("a")), (ids[1].clone(), chain("b"))]))));
    assert_eq!(of(&deck).freed_at_most, most, "not with every piece");
    deck.tell(Msg::Job(job, JobEvent::Chunk(JobOutput::Layers(vec![(ids[2].clone(), Some(vec![layer("other", 7)]))]))));
    deck.press("Right");
    let (rows, at) = (deck.state.plan.rows.len(), deck.state.plan.cursor.at);
    deck.tell(Msg::Job(job, JobEvent::Done(JobOutput::Told)));
    assert_eq!((of(&deck).freed_at_least, of(&deck).freed_at_most, deck.state.plan.basis()), (120, 120, None));
    assert_eq!((deck.state.plan.rows.len(), deck.state.plan.cursor.at), (rows, at), "nothing folds or moves under the hands");
    // What was read is not read again, and what came new is.
    deck.press("1 j d");
    assert_eq!(of(&deck).freed_at_most, 127);
    assert_eq!(deck.started().filter(|(_, job)| matches!(job, Job::Layers { .. })).count(), 1);
    assert_eq!(deck.state.chains.of(&SourceId("engine:test".into())).len(), 3);
}

#[test]
fn a_run_is_followed_though_its_bytes_are_told_while_the_question_stands() {
    let images = vec![image(1, &["a:1"])];
    let id = images[0].id.clone();
    let mut deck = Deck::listing(images);
    deck.press("d x");
    let before = deck.state.plan.lines[0].operation.freed.clone();
    let job = deck.job(|job| matches!(job, Job::Layers { .. }));
    let layers = vec![(id, Some(vec![(Digest::sha256(b"a"), 10)]))];
    deck.tell(Msg::Job(job, JobEvent::Chunk(JobOutput::Layers(layers))));
    deck.tell(Msg::Job(job, JobEvent::Done(JobOutput::Told)));
    assert_ne!(deck.state.plan.lines[0].operation.freed, before);
    deck.press("y");
    assert_eq!(deck.state.plan.running, Some(deck.job(|job| matches!(job, Job::Apply(_)))));
}

#[test]
fn a_plan_of_names_alone_reads_no_layers() {
    let mut deck = Deck::listing(vec![image(1, &["a:1", "a:2"])]);
    deck.press("d");
    assert_eq!((deck.plan().len(), deck.state.plan.totals().freed_at_most), (1, 0));
    assert_eq!(deck.started().filter(|(_, job)| matches!(job, Job::Layers { .. })).count(), 0);
}

#[test]
fn undo_puts_the_way_back_into_the_drawer_and_says_which_run_it_is_about() {
    let mut deck = Deck::listing(vec![image(1, &["app:1", "app:2"])]);
    deck.press("z");
    let id = deck.job(|job| matches!(job, Job::Back { way: Way::Undo, run: None, lines: None }));
    let source = SourceId("engine:test".to_owned());
    let target = Target::Tag(Name::new("app:0"));
    let line = Operation::new(Verb::Tag, source, target, None, Some(image(1, &[]).id));
    let plan = Plan { kind: PlanKind::Undo, ..plan_of(vec![line]) };
    let about = About { way: Way::Undo, run: "01abc".into(), lines: vec![4] };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Back { plan: Box::new(plan), about: about.clone() })));
    assert_eq!((deck.state.focus, deck.plan().len()), (PaneId::Plan, 1));
    deck.press("x y");
    assert_eq!(deck.applied()[0].about, Some(about));
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    let run = ran(&deck, id, &[LineState::Done { observed: None }]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Ran(run))));
    // Nothing to take back is said.
    deck.press("z");
    let id = deck.job(|job| matches!(job, Job::Back { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::NotFound, "undo", "nothing was changed yet"))));
    assert!(deck.state.overlays.is_empty());
    assert!(
        deck.state.toasts.list.iter().any(|toast| toast.hint.as_ref().is_some_and(|hint| hint.as_str().contains("nothing was changed"))
            || toast.text.as_str().contains("nothing was changed"))
    );
}

#[test]
fn a_plan_nobody_has_run_is_not_thrown_away_and_two_never_run_at_once() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"]), image(2, &["app:2"])]);
    deck.press("d z");
    assert!(!deck.started().any(|(_, job)| matches!(job, Job::Back { .. })), "its line would be gone");
    assert_eq!(deck.plan().len(), 1);
    deck.press("x y");
    // A quick retag meanwhile waits for the journal.
    deck.press("1 G t Ctrl-u");
    deck.type_text("app:3");
    deck.press("Enter z");
    assert_eq!(deck.applied().len(), 1);
    assert!(!deck.started().any(|(_, job)| matches!(job, Job::Back { .. })), "a plan that runs stays followed");
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    let run = ran(&deck, id, &[LineState::Done { observed: None }]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Ran(run))));
    assert_eq!(deck.applied().len(), 2, "now it is its turn");
    assert_eq!(deck.applied()[1].plan.operations[0].target.to_string(), "app:3");
}

#[test]
fn all_or_nothing_is_not_promised_where_something_can_not_be_taken_back() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    deck.press("d a x");
    assert!(deck.state.overlays.is_empty());
    deck.press("b x");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Confirm(_))), "with a backup it can be");
}

#[test]
fn the_log_lists_runs_and_asks_about_the_one_that_is_opened() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    let cut = deck.job(|job| matches!(job, Job::Recover));
    deck.tell(Msg::Job(cut, JobEvent::Done(JobOutput::Recovered(1))));
    assert!(deck.state.toasts.list.last().unwrap().text.as_str().contains("cut short"));
    deck.press("7");
    let id = deck.job(|job| matches!(job, Job::Runs));
    let target = Target::Tag(Name::new("app:0"));
    let operation = Operation::new(Verb::Tag, SourceId("engine:test".to_owned()), target, None, Some(image(1, &[]).id));
    let line = LoggedLine { operation, state: LineState::Done { observed: None }, restorable: None };
    let run = LoggedRun {
        id: "01abc".into(),
        at: Timestamp::from_second(NOW - 60).unwrap(),
        actor: "ana@harbour".into(),
        kind: PlanKind::Retag,
        lines: vec![line.clone(), line],
        end: RunEnd::Whole,
        about: None,
        damaged: false,
    };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Runs(Arc::new(vec![run.clone()])))));
    assert_eq!(deck.state.log.rows.len(), 1);
    deck.press("Enter");
    assert_eq!(deck.state.log.rows.len(), 3);
    let asked = deck.job(|job| matches!(job, Job::Restorable { run } if run == "01abc"));
    let mut known = run;
    known.lines[1].restorable = Some(Some(Safe::new("the manifest is gone")));
    deck.tell(Msg::Job(asked, JobEvent::Done(JobOutput::Restorable(Box::new(known.clone())))));
    assert_eq!(deck.state.log.all()[0], known);
    // One line alone is taken back.
    deck.press("j j z");
    deck.job(|job| matches!(job, Job::Back { way: Way::Undo, run: Some(run), lines: Some(lines) } if run == "01abc" && lines == &[1]));
}

#[test]
fn a_batch_of_tags_is_renamed_by_one_rule_that_shows_what_it_does() {
    let mut deck = Deck::listing(vec![
        image(1, &["app:1.4.0-rc2"]),
        image(2, &["app:1.4.0-rc3"]),
        image(3, &["app:1.3.9-rc1", "app:stable"]),
        image(4, &["app:odd"]),
    ]);
    deck.press("* T");
    let preview = |deck: &Deck| -> Vec<(String, Standing)> {
        let Some(Overlay::Rename(rename)) = deck.state.overlays.last() else { panic!("a dialog") };
        rename.lines.iter().map(|line| (format!("{} {}", line.from, line.to), line.standing)).collect()
    };
    assert_eq!(preview(&deck).len(), 5, "all marked ones, before there is a rule");
    deck.type_text("promote:stable");
    let lines = preview(&deck);
    let has = |words: &str, standing| lines.iter().any(|(line, how)| line.contains(words) && *how == standing);
    assert!(has("app:1.4.0-rc3 1.4.0", Standing::New) && has("app:1.4.0-rc3 stable, taken from", Standing::Moves), "{lines:?}");
    assert!(has("app:1.4.0-rc2 ", Standing::Refused) && has("is a newer candidate", Standing::Refused), "{lines:?}");
    // A rule that is none says why, and Enter does nothing.
    deck.press("Ctrl-u");
    deck.type_text("s/(/x/");
    deck.press("Enter");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Rename(rename)) if rename.mistake.is_some()));
    // Two tags that would become one are refused; the rest goes into the plan.
    deck.press("Ctrl-u");
    deck.type_text("s/-rc\\d+$//");
    assert_eq!(preview(&deck).iter().filter(|(_, how)| *how == Standing::Refused).count(), 2, "{:?}", preview(&deck));
    deck.press("Enter");
    assert_eq!(deck.plan(), [format!("tag app:1.3.9: names image {}", image(3, &[]).id.short())]);
    assert!(deck.state.overlays.is_empty() && deck.applied().is_empty());
}

#[test]
fn a_dialog_is_not_answered_by_enter_held_paste_or_the_key_that_opened_it() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    deck.press("d x");
    deck.tell(Msg::Paste("y\n".to_owned()));
    deck.tell(Msg::Key { chord: Chord::char('y'), held: true });
    deck.press("x x");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Confirm(_))));
    assert!(deck.applied().is_empty());
    deck.press("Enter");
    assert!(deck.state.overlays.is_empty() && deck.applied().is_empty(), "Enter cancels: the focus is there");
    deck.press("x Tab Enter");
    assert_eq!(deck.applied().len(), 1);
}

#[test]
fn retag_runs_straight_to_a_free_name_and_asks_before_it_moves_one() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"]), image(2, &["app:2"])]);
    deck.press("t Ctrl-u");
    deck.type_text("app:3");
    deck.press("Enter");
    assert!(matches!(deck.applied()[0].plan.operations[..], [Operation { verb: Verb::Tag, before: None, .. }]));
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    let run = ran(&deck, id, &[LineState::Done { observed: None }]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Ran(run))));
    deck.press("t Ctrl-u");
    deck.type_text("app:2");
    deck.press("Enter Enter");
    assert_eq!(deck.applied().len(), 1, "the Enter that opened the dialog does not answer it");
    deck.press("Esc");
    deck.press("t Ctrl-u");
    deck.type_text("app:2");
    deck.press("Enter y");
    let moved = &deck.applied()[1].plan.operations[0];
    assert_eq!((moved.verb, moved.before.as_ref()), (Verb::MoveTag, Some(&image(2, &[]).id)));
    deck.press("t Ctrl-u");
    deck.type_text("UPPER Case");
    deck.press("Enter");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Prompt(prompt)) if prompt.note.is_err()));
}

#[test]
fn read_only_leaves_nothing_that_changes_anything_in_reach() {
    let mut deck = Deck::found(info(Powers::ALL, true));
    deck.list(vec![image(1, &["app:1"])]);
    for row in lighterman::flow::ACTIONS.iter().filter(|row| row.mutates) {
        deck.tell(Msg::Act(row.action));
        assert!(deck.state.overlays.is_empty(), "{} opened a dialog", row.name);
    }
    assert!(deck.changes().is_empty() && deck.applied().is_empty() && deck.state.plan.is_empty());
}

#[test]
fn a_lost_source_keeps_its_rows_says_so_once_and_is_tried_again() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    let watch = deck.job(|job| matches!(job, Job::Watch { .. }));
    let problem = Problem::new(ProblemKind::Unreachable, "follow the engine's events", "connection closed");
    deck.tell(Msg::Job(watch, JobEvent::Failed(problem.clone())));
    assert_eq!(deck.state.sources.status, SourceStatus::Down(problem.clone()));
    assert_eq!(deck.names(), ["app:1"]);
    let retries = |deck: &Deck| deck.effects.iter().filter(|effect| matches!(effect, Effect::After(_, msg) if **msg == Msg::Retry)).count();
    assert_eq!(retries(&deck), 1);
    deck.tell(Msg::Retry);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let watch = deck.job(|job| matches!(job, Job::Watch { .. }));
    deck.tell(Msg::Job(watch, JobEvent::Failed(problem.clone())));
    deck.tell(Msg::Job(list, JobEvent::Failed(problem)));
    assert_eq!(retries(&deck), 2, "one timer for both failures");
    assert_eq!(deck.state.toasts.list.len(), 1);
    deck.tell(Msg::Retry);
    deck.list(vec![]);
    assert!(matches!(deck.state.sources.status, SourceStatus::Ready { .. }));
    assert!(deck.names().is_empty());
}

#[test]
fn an_engine_of_this_machine_is_asked_often_and_a_far_one_by_and_by() {
    for (place, longest) in [("unix:///test.sock", 4), ("tcp://far.example:2376", 30)] {
        let mut deck = Deck::found(SourceInfo { place: Safe::new(place), ..info(Powers::ALL, false) });
        for _ in 0..9 {
            let list = deck.job(|job| matches!(job, Job::List { .. }));
            deck.tell(Msg::Job(list, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "list", "gone"))));
            deck.tell(Msg::Retry);
        }
        let waits = deck.effects.iter().filter_map(|effect| match effect {
            Effect::After(wait, msg) if **msg == Msg::Retry => Some(wait.as_secs()),
            _ => None,
        });
        assert_eq!(waits.max(), Some(longest), "{place}");
    }
}

#[test]
fn many_changes_are_listed_once() {
    let mut deck = Deck::listing(vec![]);
    let watch = deck.job(|job| matches!(job, Job::Watch { .. }));
    let lists = |deck: &Deck| deck.started().filter(|(_, job)| matches!(job, Job::List { .. })).count();
    let before = lists(&deck);
    for _ in 0..50 {
        deck.tell(Msg::Job(watch, JobEvent::Chunk(JobOutput::Changed)));
    }
    deck.tell(Msg::Settled);
    assert_eq!(lists(&deck), before + 1);
    deck.tell(Msg::Job(watch, JobEvent::Chunk(JobOutput::Changed)));
    deck.list(vec![]);
    deck.tell(Msg::Settled);
    assert_eq!(lists(&deck), before + 2, "what changed during a list is listed after it");
}

#[test]
fn the_known_list_shows_until_the_source_answers() {
    let mut deck = Deck::found(info(Powers::ALL, false));
    let id = deck.job(|job| matches!(job, Job::List { .. }));
    let list = Arc::new(ImageList { images: vec![image(1, &["old:1"])], at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Known(list))));
    assert!(deck.state.images.remembered);
    assert_eq!(deck.names(), ["old:1"]);
    deck.list(vec![image(2, &["new:1"])]);
    assert!(!deck.state.images.remembered);
    assert_eq!(deck.names(), ["new:1"]);
}

#[test]
fn only_the_last_of_many_moves_is_fetched() {
    let mut deck = Deck::listing((1..=20).map(|n| image(n, &[&format!("r{n:02}:1")])).collect());
    deck.effects.clear();
    deck.press("j j j j");
    let follows: Vec<u64> = deck
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::After(_, msg) => match **msg {
                Msg::Follow(n) => Some(n),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(follows.len(), 4);
    for n in follows {
        deck.tell(Msg::Follow(n));
    }
    assert_eq!(deck.started().filter(|(_, job)| matches!(job, Job::Inspect { .. })).count(), 1);
}

#[test]
fn an_export_onto_a_file_that_exists_asks_before_it_replaces() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    deck.press("e Enter");
    let id = deck.job(|job| matches!(job, Job::Export { overwrite: false, .. }));
    let there = Problem::new(ProblemKind::Conflict, "write app-1.tar", "the file exists");
    deck.tell(Msg::Job(id, JobEvent::Failed(there)));
    deck.press("y");
    deck.job(|job| matches!(job, Job::Export { overwrite: true, .. }));
}

#[test]
fn quitting_asks_only_while_a_task_runs() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    deck.press("e Enter q");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Confirm(_))) && !deck.effects.contains(&Effect::Quit));
    deck.press("n");
    let id = deck.job(|job| matches!(job, Job::Export { .. }));
    deck.tell(Msg::Job(id, JobEvent::Cancelled));
    deck.press("q");
    assert!(deck.effects.contains(&Effect::Quit));
}

#[test]
fn escape_never_quits() {
    let mut deck = Deck::listing(vec![image(1, &["app:1"])]);
    deck.press("Enter + / a Enter Space ? Esc : Esc y Esc w Esc 6 Esc Esc Esc Esc Esc Esc Esc Esc");
    assert!(!deck.effects.contains(&Effect::Quit));
    assert_eq!(deck.state.focus, PaneId::Images);
}

#[test]
fn nothing_hostile_is_offered_to_the_clipboard() {
    let mut deck = Deck::listing(vec![image(1, &["$(reboot)'; rm -rf /"])]);
    deck.press("y");
    let Some(Overlay::Menu(menu)) = deck.state.overlays.last() else { panic!("no menu") };
    for item in &menu.items {
        assert!(!format!("{:?}", item.choice).contains("reboot"), "{item:?}");
    }
}

fn any_msg() -> impl Strategy<Value = Msg> {
    let keys: Vec<Chord> =
        lighterman::flow::ACTIONS.iter().flat_map(|row| row.keys.iter().copied()).chain("abyn:/01".chars().map(Chord::char)).collect();
    let actions: Vec<Action> = lighterman::flow::ACTIONS.iter().map(|row| row.action).collect();
    prop_oneof![
        10 => (proptest::sample::select(keys), any::<bool>()).prop_map(|(chord, held)| Msg::Key { chord, held }),
        4 => proptest::sample::select(actions).prop_map(Msg::Act),
        2 => (0_u16..300, 0_u16..100).prop_map(|(width, height)| Msg::Resize { width, height }),
        1 => "\\PC{0,8}".prop_map(Msg::Paste),
        1 => Just(Msg::Retry),
        1 => Just(Msg::Settled),
        1 => (0_u64..40).prop_map(Msg::Follow),
        3 => (0_u64..40, 0_u8..5, 0_u32..12).prop_map(|(id, kind, n)| {
            let list = Arc::new(ImageList { images: (0..n).map(|i| image(i, &[&format!("r{i}:1")])).collect(), at: Timestamp::UNIX_EPOCH, gaps: vec![] });
            Msg::Job(JobId(id), match kind {
                0 => JobEvent::Done(JobOutput::Images { list, version: Safe::new("v") }),
                1 => JobEvent::Failed(Problem::new(ProblemKind::Other, "x", "y")),
                2 => JobEvent::Cancelled,
                3 => JobEvent::Chunk(JobOutput::Known(list)),
                _ => JobEvent::Chunk(JobOutput::Changed),
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_deck_stays_whole(msgs in proptest::collection::vec(any_msg(), 0..120)) {
        let mut deck = Deck::listing((1..=7).map(|n| image(n, &[&format!("r{n}:1"), &format!("r{n}:2")])).collect());
        for msg in msgs {
            deck.tell(msg);
            let state = &deck.state;
            for cursor in [state.images.cursor, state.layers.cursor, state.tasks.cursor] {
                prop_assert!(cursor.at < cursor.len.max(1));
            }
            prop_assert_eq!(state.images.cursor.len, state.images.rows.len());
            prop_assert!(state.toasts.list.len() <= 4);
            prop_assert!(state.overlays.len() <= 3, "{:?}", state.overlays);
        }
        // Every job was started once under its own id.
        let mut ids: Vec<_> = deck.started().map(|(id, _)| id).collect();
        let all = ids.len();
        ids.dedup();
        prop_assert_eq!(ids.len(), all);
    }
}
