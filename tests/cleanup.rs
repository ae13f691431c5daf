//! What can go, without a terminal, a source or a clock: groups, picks and limits by key, and the effects that follow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lighterman::app::overlay::{CleanRow, CleanUp, Overlay};
use lighterman::app::{Settings, State, start, update};
use lighterman::curate::cleanup::{Bytes, Kind, Limits};
use lighterman::flow::{Chord, Effect, Job, JobEvent, JobId, JobOutput, Msg};
use lighterman::model::{
    ContainerUse, Digest, ImageList, ImageSummary, Name, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind, Uses,
};
use lighterman::pane::PaneId;
use lighterman::ui::Theme;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

const NOW: i64 = 1_760_000_000;
const DAY: i64 = 86_400;

fn id(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(NOW - days * DAY).unwrap()
}

/// By its first tag, or without one by `-NAME`.
fn image(tags: &[&str]) -> ImageSummary {
    let names = tags.iter().filter(|tag| !tag.starts_with('-'));
    ImageSummary {
        id: id(tags[0]),
        tags: names.map(|tag| Name::new(tag)).collect(),
        repo_digests: vec![],
        created: None,
        size: Some(100),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: BTreeMap::default(),
    }
}

fn used(image: ImageSummary) -> ImageSummary {
    let container = ContainerUse { id: "1".into(), name: "web-1".into(), running: false, state: "exited".into() };
    ImageSummary { containers: Some(vec![container]), ..image }
}

fn pulled(image: ImageSummary, from: &str) -> ImageSummary {
    ImageSummary { repo_digests: vec![Name::new(&format!("{from}@{}", id(from)))], ..image }
}

struct Deck {
    state: State,
    effects: Vec<Effect>,
}

impl Deck {
    fn with(settings: Settings, read_only: bool, images: Vec<ImageSummary>, uses: Uses) -> Self {
        let mut state = State::new(settings, at(0));
        let effects = start(&mut state);
        let mut deck = Self { state, effects };
        deck.tell(Msg::Resize { width: 120, height: 40 });
        let discover = deck.job(|job| matches!(job, Job::Discover)).unwrap();
        let info = SourceInfo {
            id: SourceId("engine:test".to_owned()),
            kind: SourceKind::Engine,
            name: Safe::new("test"),
            place: Safe::new("unix:///test.sock"),
            why: Safe::new("named"),
            powers: Powers::ALL,
            read_only,
        };
        deck.tell(Msg::Job(discover, JobEvent::Done(JobOutput::Sources(vec![info]))));
        let list = deck.job(|job| matches!(job, Job::List { .. })).unwrap();
        deck.tell(Msg::Job(list, JobEvent::Chunk(JobOutput::Uses(Arc::new(uses)))));
        let images = Arc::new(ImageList { images, at: at(0), gaps: vec![] });
        deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
        deck
    }

    fn of(images: Vec<ImageSummary>) -> Self {
        Self::with(Settings::default(), false, images, Uses::default())
    }

    fn tell(&mut self, msg: Msg) {
        let effects = update(&mut self.state, msg);
        self.effects.extend(effects);
    }

    fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            self.tell(Msg::Key { chord: key.parse::<Chord>().unwrap(), held: false });
        }
    }

    fn job(&self, fits: impl Fn(&Job) -> bool) -> Option<JobId> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Start(id, job) if fits(job) => Some(*id),
            _ => None,
        })
    }

    fn open(&self) -> &CleanUp {
        match self.state.overlays.last() {
            Some(Overlay::CleanUp(it)) => it,
            other => panic!("the dialog is open: {other:?}"),
        }
    }

    /// The tags or IDs in a group.
    fn group(&self, kind: Kind) -> Vec<String> {
        let group = self.open().groups.iter().find(|group| group.kind == kind).unwrap();
        group.chosen.iter().map(|(id, name)| name.as_ref().map_or_else(|| id.short().to_owned(), |name| name.raw().to_owned())).collect()
    }

    /// Goes to the line of a group.
    fn go(&mut self, kind: fn(Kind) -> bool) {
        let it = self.open();
        let at = it.rows.iter().position(|row| matches!(row, CleanRow::Group(n) if kind(it.groups[*n].kind))).unwrap();
        self.press("g");
        for _ in 0..at {
            self.press("j");
        }
    }

    fn plan(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.state.plan.lines.iter().map(|line| format!("{} {}", line.operation.verb.word(), line.operation.target)).collect();
        lines.sort();
        lines
    }

    fn toast(&self) -> String {
        self.state.toasts.list.last().map_or_else(String::new, |toast| toast.text.to_string())
    }
}

/// Of each image, how many days ago it was seen first and used last.
fn uses(of: &[(&str, i64, Option<i64>)]) -> Uses {
    let mut uses = Uses::default();
    let mut days: Vec<i64> = of.iter().flat_map(|(_, seen, used)| [Some(*seen), *used]).flatten().collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    for day in days {
        let here: Vec<ImageSummary> = of.iter().filter(|(_, seen, _)| *seen >= day).map(|(name, ..)| image(&[name])).collect();
        let now: Vec<_> = of.iter().filter(|(_, _, used)| *used == Some(day)).map(|(name, ..)| (id(name), at(day))).collect();
        uses.listed(&ImageList { images: here, at: at(day), gaps: vec![] }, &now);
    }
    uses
}

#[test]
fn picks_of_several_groups_become_one_plan_and_each_counts_once() {
    let mut deck = Deck::of(vec![
        image(&["-old"]),
        image(&["app:1.0", "app:stable"]),
        image(&["app:1.1"]),
        image(&["app:1.2"]),
        used(image(&["-web"])),
    ]);
    deck.press("X");
    assert_eq!(deck.group(Kind::Dangling).len(), 1, "what a container uses is in no group");
    assert_eq!(deck.group(Kind::Unused).len(), 5);
    assert_eq!(deck.group(Kind::OlderVersions(2)), ["app:1.0"]);
    assert!(deck.state.plan.is_empty() && deck.open().picks() == 0, "opening changes nothing");
    // Untagged and left over from builds are the same image here.
    deck.press("Space Space");
    assert_eq!(deck.open().picks(), 0, "the same row in another group is the same pick");
    deck.press("g Space");
    deck.go(|kind| matches!(kind, Kind::OlderVersions(_)));
    deck.press("Space");
    assert_eq!(
        (deck.open().picks(), deck.open().total),
        (2, (1, Bytes::Between { at_least: None, at_most: 100 })),
        "a tag alone frees nothing"
    );
    deck.press("Enter");
    assert!(deck.state.overlays.is_empty() && deck.state.focus == PaneId::Plan);
    assert_eq!(deck.plan(), [format!("delete image {}", id("-old")), "untag app:1.0".to_owned()]);
}

#[test]
fn a_group_unfolds_and_single_images_are_picked() {
    let mut deck = Deck::of(vec![image(&["a:1"]), image(&["b:1"]), image(&["c:1"])]);
    deck.press("X");
    deck.go(|kind| kind == Kind::Unused);
    deck.press("l j j Space");
    let it = deck.open();
    assert_eq!((it.rows.len(), it.picks()), (9, 1));
    assert_eq!(it.picked, [0, 0, 1, 0, 0, 0]);
    // From within the group it folds around the cursor, and the whole of it is picked, then nothing.
    deck.press("h Space");
    assert_eq!((deck.open().rows.len(), deck.open().picks()), (6, 3));
    deck.press("k Space");
    assert_eq!(deck.open().picks(), 0);
    // With nothing picked Enter looks into a group.
    deck.press("k Enter");
    assert!(deck.open().is_unfolded(2) && deck.plan().is_empty());
    deck.press("j j d");
    assert_eq!(deck.plan(), ["delete image b:1"], "with nothing picked the row under the cursor goes");
}

#[test]
fn what_was_not_watched_long_enough_is_not_unused_and_that_is_said() {
    let images = ["long:1", "used:1", "new:1", "never:1"];
    let known = uses(&[("long:1", 200, Some(60)), ("used:1", 200, Some(10)), ("new:1", 5, None)]);
    let mut deck = Deck::with(Settings::default(), false, images.iter().map(|name| image(&[name])).collect(), known);
    deck.press("X");
    deck.go(|kind| matches!(kind, Kind::UnusedFor(_)));
    assert_eq!(deck.group(Kind::UnusedFor(30 * DAY)), ["long:1"]);
    assert_eq!(deck.open().note().as_str(), "this program looked on 2 of the last 30 days; 2 images not known for so long");
    // The limit moves by key, and is kept for the next run.
    deck.press("- - -");
    assert_eq!(deck.group(Kind::UnusedFor(3 * DAY)), ["long:1", "used:1", "new:1"]);
    assert!(deck.effects.contains(&Effect::Remember));
    assert_eq!(deck.state.settings.clean_up.unused_for, 3 * DAY);
    // What is picked by a limit is not picked any more beyond it.
    deck.press("Space k + + +");
    assert_eq!((deck.group(Kind::UnusedFor(30 * DAY)).len(), deck.open().picks()), (1, 1));
    deck.go(|kind| matches!(kind, Kind::OlderVersions(_)));
    deck.press("+ + - - - - -");
    assert_eq!(deck.state.settings.clean_up, Limits { unused_for: 30 * DAY, newest: 1 });
    // The filter knows the same.
    deck.press("Esc / u n u s e d : 3 0 d Enter");
    assert_eq!(deck.state.images.rows.len(), 1);
}

#[test]
fn what_can_be_pulled_again_is_asked_by_digest_and_arrives_live() {
    let images = vec![
        pulled(image(&["hub/app:1"]), "docker.io/hub/app"),
        pulled(image(&["-moved"]), "ghcr.io/acme/moved"),
        pulled(used(image(&["busy:1"])), "docker.io/library/busy"),
        image(&["own:1"]),
        ImageSummary { repo_digests: vec![Name::new("Not a name@x"), Name::new("tag:only")], ..image(&["odd:1"]) },
    ];
    let mut deck = Deck::of(images);
    deck.press("X");
    let asked = deck.job(|job| matches!(job, Job::Pullable { .. })).unwrap();
    let Some(Job::Pullable { images }) = deck.state.jobs.get(&asked).cloned() else { panic!() };
    let names: Vec<_> = images.iter().map(|(id, names)| (id.clone(), names.len())).collect();
    assert_eq!(names, [(id("hub/app:1"), 1), (id("-moved"), 1)], "used ones stay, and those of no registry can't be asked for");
    deck.go(|kind| kind == Kind::Pullable);
    assert_eq!(deck.open().note().as_str(), "asking the registries: 0 of 2");
    deck.tell(Msg::Job(asked, JobEvent::Chunk(JobOutput::Pullable(vec![(id("-moved"), Ok(true))]))));
    assert_eq!(deck.group(Kind::Pullable), [id("-moved").short()]);
    assert_eq!(deck.open().note().as_str(), "asking the registries: 1 of 2");
    let down = Problem::new(ProblemKind::Unreachable, "ask", "nobody answers");
    deck.tell(Msg::Job(asked, JobEvent::Chunk(JobOutput::Pullable(vec![(id("hub/app:1"), Err(down))]))));
    deck.tell(Msg::Job(asked, JobEvent::Done(JobOutput::Told)));
    assert_eq!(deck.open().note().as_str(), "2 images asked for, 1 not told: nobody answers");
    assert_eq!(deck.group(Kind::Pullable), [id("-moved").short()], "what was not told can't go as if it had been");
    // Another question begins with the next opening; closing ends it, and what it says later is stale.
    deck.press("Esc X");
    let again = deck.job(|job| matches!(job, Job::Pullable { .. })).unwrap();
    assert!(again != asked);
    deck.press("Esc");
    assert_eq!(deck.effects.iter().filter(|effect| **effect == Effect::Cancel(again)).count(), 1);
    deck.tell(Msg::Job(again, JobEvent::Chunk(JobOutput::Pullable(vec![(id("hub/app:1"), Ok(true))]))));
    assert!(deck.state.overlays.is_empty());
}

#[test]
fn bytes_grow_exact_with_what_the_source_tells() {
    let mut deck = Deck::of(vec![image(&["-a"]), image(&["-b"]), image(&["c:1"])]);
    deck.press("X");
    assert_eq!(deck.open().groups[0].bytes, Bytes::Between { at_least: None, at_most: 200 });
    let prune = deck.job(|job| matches!(job, Job::PreviewPrune { .. })).unwrap();
    let unique = |seed: &str| ImageSummary { unique_size: Some(10), ..image(&[seed]) };
    let list = ImageList { images: vec![unique("-a"), unique("-b")], at: at(0), gaps: vec![] };
    deck.tell(Msg::Job(prune, JobEvent::Done(JobOutput::Prunable(Arc::new(list)))));
    assert_eq!(deck.open().groups[0].bytes, Bytes::Between { at_least: Some(20), at_most: 200 });
    let layers = |seed: &str| (id(seed), Some(vec![(id("base"), 90), (id(seed), 10)]));
    let reading = deck.job(|job| matches!(job, Job::Layers { .. })).unwrap();
    deck.tell(Msg::Job(reading, JobEvent::Chunk(JobOutput::Layers(["-a", "-b", "c:1"].map(layers).into()))));
    deck.tell(Msg::Job(reading, JobEvent::Done(JobOutput::Told)));
    assert_eq!(deck.open().groups[0].bytes, Bytes::Exact(20));
    // A list that arrives meanwhile is taken, with all that is known of it.
    deck.press("Esc r X");
    assert_eq!(deck.open().groups[0].bytes, Bytes::Exact(20));
    let list = deck.job(|job| matches!(job, Job::List { .. })).unwrap();
    let images = Arc::new(ImageList { images: vec![image(&["-b"]), image(&["c:1"])], at: at(0), gaps: vec![] });
    deck.press("Space");
    assert_eq!(deck.open().picks(), 2);
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
    assert_eq!((deck.open().groups[0].bytes, deck.open().picks()), (Bytes::Exact(10), 1));
}

#[test]
fn what_is_protected_or_perhaps_used_is_left_out_and_nothing_goes_where_nothing_may() {
    let settings = Settings { protect: vec!["*:stable".to_owned()], ..Settings::default() };
    let unknown = ImageSummary { containers: None, ..image(&["-unknown"]) };
    let images = vec![image(&["app:stable"]), image(&["app:1"]), unknown];
    let mut deck = Deck::with(settings, true, images, Uses::default());
    deck.press("X");
    assert_eq!(deck.group(Kind::Unused), ["app:1"]);
    assert!(deck.group(Kind::Dangling).is_empty());
    assert!(
        deck.open().note().as_str().ends_with("1 image left out: it is not known whether containers use them"),
        "{}",
        deck.open().note()
    );
    deck.press("d");
    assert_eq!(deck.toast(), "There is nothing in this group");
    deck.go(|kind| kind == Kind::Unused);
    deck.press("Space Enter");
    assert_eq!(deck.toast(), "Nothing can be changed here");
    assert!(deck.plan().is_empty() && deck.open().picks() == 1, "what was picked is still there");
}

#[test]
fn ten_thousand_images_are_thought_through_at_once() {
    let images: Vec<ImageSummary> = (0..10_000).map(|n| image(&[&format!("acme/app-{}:1.{n}.0", n % 100)])).collect();
    let mut deck = Deck::of(images);
    deck.press("X");
    assert_eq!(deck.group(Kind::OlderVersions(2)).len(), 9_800);
    deck.go(|kind| kind == Kind::Unused);
    deck.press("l G Space");
    assert_eq!((deck.open().rows.len(), deck.open().picks()), (10_006, 0), "the last group is empty");
    deck.press("U");
    deck.go(|kind| kind == Kind::Unused);
    deck.press("Space Enter");
    assert_eq!(deck.state.plan.lines.len(), 10_000);
}

/// The screen as text.
fn screen(state: &State) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.width, state.height));
    lighterman::app::draw::draw_in(&mut buffer, state, &Theme::builtin("lighterman-dark").unwrap());
    let line = |y| (0..state.width).map(|x| buffer.cell((x, y)).unwrap().symbol().to_owned()).collect::<String>();
    (0..state.height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_dialog_says_all_at_every_size_and_draws_no_foreign_bytes() {
    let images = vec![image(&["-old"]), image(&["app:1"]), image(&["evil\u{1b}[2J\u{202e}:1"]), image(&["漢字漢字漢字/app:1.0"])];
    let mut deck = Deck::of(images);
    deck.press("X j j l");
    deck.press("g Space");
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        deck.tell(Msg::Resize { width, height });
        let text = screen(&deck.state);
        for words in [
            "What can go",
            "without a tag",
            "versions older than the 2 newest",
            "up to 100 B",
            "1 row picked: 1 image goes altogether, frees at most 100 B",
            "into the plan",
            "app:1",
        ] {
            assert!(text.contains(words), "{words} at {width}x{height}:\n{text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    }
    for (width, height) in [(40, 10), (41, 11), (1, 1), (300, 12)] {
        deck.tell(Msg::Resize { width, height });
        drop(screen(&deck.state));
    }
}

proptest! {
    /// Whatever is pressed, only what is in a group is picked, and nothing but picks comes into the plan.
    #[test]
    fn no_key_plans_what_no_group_has(keys in prop::collection::vec(0_usize..12, 0..40)) {
        const KEYS: [&str; 12] = ["j", "k", "l", "h", "Space", "+", "-", "G", "g", "U", "Enter", "d"];
        let images = vec![image(&["-old"]), image(&["a:1.0", "a:x"]), image(&["a:1.1"]), image(&["a:1.2"]), used(image(&["web:1"])), used(image(&["-web"]))];
        let mut deck = Deck::of(images);
        deck.press("X");
        for key in keys {
            deck.press(KEYS[key]);
            let Some(Overlay::CleanUp(it)) = deck.state.overlays.last() else { break };
            prop_assert!(it.picked.iter().zip(&it.groups).all(|(picked, group)| *picked <= group.chosen.len()));
            prop_assert!(it.picked.iter().sum::<usize>() >= it.picks() && it.total.0 <= it.picks());
            prop_assert!(it.cursor.at < it.rows.len());
        }
        prop_assert!(deck.plan().iter().all(|line| !line.contains("web")), "{:?}", deck.plan());
    }
}
