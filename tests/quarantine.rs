//! Everything that contains something polluted, without a terminal, a source or a registry: what is looked for, what is found, and what is done
//! about all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/remote.rs"]
mod remote;
#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use lighterman::app::overlay::{Overlay, Quarantine, QuarantineRow};
use lighterman::flow::job::InRepository;
use lighterman::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput, Key, Msg};
use lighterman::model::{
    Completeness, ContainerUse, Digest, Found, ImageList, ImageSummary, Name, Problem, ProblemKind, Safe, SourceId, Stack,
};
use lighterman::pane::PaneId;
use ratatui::buffer::Buffer;
use remote::{Remote, complete, details, digest, index, registry, rows};

fn image(seed: &str, tags: &[&str]) -> ImageSummary {
    ImageSummary {
        id: digest(seed),
        tags: tags.iter().map(|tag| Name::new(tag)).collect(),
        repo_digests: vec![],
        created: None,
        size: Some(100),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: BTreeMap::default(),
    }
}

/// Made of these layers, by their diff IDs.
fn stack(seed: &str, layers: &[&str]) -> Stack {
    Stack { digest: digest(seed), config: Some(digest(seed)), layers: Ok(layers.iter().map(|layer| (None, Some(digest(layer)))).collect()) }
}

fn images() -> Vec<ImageSummary> {
    let user = ContainerUse { id: "c1".into(), name: "web-1".into(), running: true, state: "running".into() };
    vec![
        image("bad", &["bad:1"]),
        ImageSummary { containers: Some(vec![user]), ..image("child", &["child:1", "child:latest"]) },
        image("clean", &["clean:1"]),
        image("loose", &[]),
    ]
}

fn local() -> Vec<Stack> {
    vec![
        stack("bad", &["base", "own"]),
        stack("child", &["base", "own", "more"]),
        stack("clean", &["base"]),
        stack("loose", &["base", "own", "x"]),
    ]
}

/// In a repository with three tags, two of which are known, and with images on this machine; the cursor is on the first image.
fn deck() -> Remote {
    let mut deck = Remote::in_tags(120, 40, &["1", "2", "multi"]);
    deck.stand_still();
    deck.detail(vec![details("1", "m1", 10, 1), index("multi", "mi")]);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let images = Arc::new(ImageList { images: images(), at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
    deck.press("1g");
    deck
}

fn open(deck: &Remote) -> &Quarantine {
    match deck.state.overlays.last() {
        Some(Overlay::Quarantine(it)) => it,
        other => panic!("the dialog is open: {other:?}"),
    }
}

fn hits(deck: &Remote) -> Vec<String> {
    let words = |row: &QuarantineRow| match row {
        QuarantineRow::Heading(title) => format!("# {title}"),
        QuarantineRow::Hit(what, how) => format!("{what}: {how}"),
        QuarantineRow::Dark(what) => format!("? {what}"),
        QuarantineRow::Part(what, how) => format!("? {what}: {how}"),
        QuarantineRow::Looked(what, how) => format!("- {what}: {how}"),
    };
    open(deck).rows.iter().map(words).collect()
}

fn asked(deck: &Remote) -> (JobId, Vec<Digest>, Vec<InRepository>) {
    let id = deck.job(|job| matches!(job, Job::Trace { .. }));
    match deck.state.jobs.get(&id).cloned() {
        Some(Job::Trace { local, remote }) => (id, local.unwrap().1, remote),
        other => panic!("{other:?}"),
    }
}

/// All is read: the second tag too, which leads to what is built on the polluted image, as one platform of the index does.
fn answer(deck: &mut Remote) {
    let (id, ..) = asked(deck);
    let tell = |deck: &mut Remote, output| deck.tell(Msg::Job(id, JobEvent::Chunk(output)));
    tell(deck, JobOutput::Stacks(local()));
    tell(deck, JobOutput::Found(vec![(0, Found::Tags(vec![details("2", "m2", 10, 1)]))]));
    let broken = Problem::new(ProblemKind::NotFound, "read", "gone");
    let stacks = vec![
        stack("m1", &["base"]),
        stack("m2", &["base", "own", "remote"]),
        stack("mi-amd64", &["base", "own"]),
        Stack { digest: digest("mi-arm64"), config: None, layers: Err(broken) },
    ];
    tell(deck, JobOutput::Found(vec![(0, Found::Stacks(stacks)), (0, Found::Ended(Ok(())))]));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
}

/// The registry that the scene has and nobody opened.
const UNOPENED: &str = "? 1 registry that was not opened in this session";

#[test]
fn everything_that_contains_an_image_is_found_and_what_was_not_read_is_counted() {
    let mut deck = deck();
    deck.press("Q");
    let (_, local, remote) = asked(&deck);
    assert_eq!(local.len(), 4);
    let [remote] = remote.as_slice() else { panic!("{remote:?}") };
    let tags = remote.tags.clone().unwrap();
    assert_eq!((&remote.source, remote.repository.as_str(), tags), (&registry(), "acme/web", vec!["2".to_owned()]));
    assert_eq!(remote.digests.len(), 3, "an image, and both of the index, but not its attestation");
    assert_eq!(open(&deck).progress().unwrap().as_str(), "reading what images are made of: 0 of 8");
    answer(&mut deck);
    let expected = [
        "# 1 container",
        "web-1: running",
        "# 3 images here",
        "bad:1: is it",
        "child:1: is built on it",
        "child:latest: is built on it",
        &format!("{} without a tag: is built on it", digest("loose").short()),
        "# 3 manifests in registries",
        "registry.example.com/acme/web:2: is built on it",
        "registry.example.com/acme/web:multi: is an index with it",
    ];
    let found = hits(&deck);
    assert_eq!(found[..expected.len()], expected.map(str::to_owned));
    assert!(found[expected.len()].ends_with("is built on it"), "the platform itself: {found:?}");
    assert_eq!(
        found[expected.len() + 1..],
        ["# Not looked into", "? registry.example.com/acme/web: 2 of 3 tags looked at: gone", UNOPENED].map(str::to_owned)
    );
}

#[test]
fn all_of_it_is_put_away_under_another_name_or_deleted_by_way_of_the_plan() {
    let mut deck = deck();
    deck.press("Q");
    answer(&mut deck);
    deck.press("t");
    let plan = |deck: &Remote| -> Vec<String> {
        let mut lines: Vec<String> =
            deck.state.plan.lines.iter().map(|line| format!("{} {}", line.operation.verb.word(), line.operation.target)).collect();
        lines.sort();
        lines
    };
    let expected = [
        "tag bad:quarantine-1",
        "tag child:quarantine-1",
        "tag child:quarantine-latest",
        "untag bad:1",
        "untag child:1",
        "untag child:latest",
    ];
    assert_eq!(plan(&deck), expected.map(str::to_owned));
    assert!(deck.state.plan.lines.iter().all(|line| line.operation.refused().is_none()), "the new names keep the images");
    let view = deck.job(|job| matches!(job, Job::View { .. }));
    let Some(Job::View { tags, .. }) = deck.state.jobs.get(&view) else { panic!() };
    assert_eq!(*tags, ["2", "multi", "quarantine-2", "quarantine-multi"], "the repository is looked at for its part");
    assert!(deck.state.overlays.is_empty() && deck.state.focus == PaneId::Plan);
    // And to be deleted, where the container keeps what it uses.
    let mut deck = self::deck();
    deck.press("Q");
    answer(&mut deck);
    deck.press("d");
    let expected = ["delete image bad:1", "delete image child:latest", &format!("delete image {}", digest("loose")), "untag child:1"];
    let mut lines = plan(&deck);
    lines.sort_by_key(|line| expected.iter().position(|other| other == line));
    assert_eq!(lines, expected.map(str::to_owned));
    assert_eq!(deck.state.plan.totals().refused, 2, "{:?}", deck.state.plan.lines);
}

#[test]
fn a_reading_that_is_stopped_shows_what_is_known_and_nothing_stale_comes_in() {
    let mut deck = deck();
    deck.press("Q");
    let (id, ..) = asked(&deck);
    deck.press("td e");
    assert!(deck.state.plan.is_empty() && deck.state.overlays.len() == 1, "nothing can be done before it is known");
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(local()[..2].to_vec()))));
    deck.key(Key::Esc);
    assert_eq!(deck.effects.last(), Some(&Effect::Cancel(id)));
    let found = hits(&deck);
    assert_eq!(found[2], "# 2 images here");
    assert_eq!(
        found[found.len() - 4..],
        [
            "# Not looked into",
            "? 2 images here: not read",
            "? registry.example.com/acme/web: 0 of 3 tags looked at: stopped before its end",
            UNOPENED
        ]
        .map(str::to_owned)
    );
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(local()))));
    assert_eq!(hits(&deck)[2], "# 2 images here");
    deck.key(Key::Esc);
    assert!(deck.state.overlays.is_empty());
    // A registry that is lost leaves what was found here.
    deck.press("Q");
    let (id, ..) = asked(&deck);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(local()))));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "read", "nobody answers"))));
    assert_eq!((hits(&deck)[2].as_str(), open(&deck).problem.as_ref().unwrap().cause.as_str()), ("# 3 images here", "nobody answers"));
}

#[test]
fn the_list_is_written_for_others_and_marked_in_the_panes() {
    let mut deck = deck();
    deck.press("Q");
    answer(&mut deck);
    deck.press("e");
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Prompt(_))));
    deck.enter();
    let written = |deck: &Remote| {
        let found = deck.effects.iter().rev().find_map(|effect| match effect {
            Effect::Start(id, Job::SaveText { text, file }) => Some((*id, text.clone(), file.clone())),
            _ => None,
        });
        found.unwrap()
    };
    let (id, text, file) = written(&deck);
    assert!(text.starts_with("# Where ") && text.contains("| web-1 | running |"), "{text}");
    assert_eq!(file, PathBuf::from("quarantine.md"));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Saved(file))));
    assert_eq!(deck.state.toasts.list.last().unwrap().text.as_str(), "The report is written");
    assert!(open(&deck).report.is_some(), "the dialog is still there");
    deck.press("e");
    for _ in 0..2 {
        deck.key(Key::Backspace);
    }
    deck.press("json");
    deck.enter();
    let (_, text, file) = written(&deck);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((file, json["suspect"].as_str()), (PathBuf::from("quarantine.json"), Some(digest("bad").as_str())));
    assert_eq!(json["not_looked_into"]["remote"], 1);
    deck.press(" ");
    assert!(deck.state.overlays.is_empty());
    assert_eq!((deck.state.images.marks.len(), deck.state.registries.tags.marks.len()), (4, 2));
}

#[test]
fn a_tag_an_index_and_a_layer_are_looked_for_as_well() {
    let mut deck = deck();
    deck.press("2g");
    let at = deck.tags().iter().position(|tag| *tag == "multi").unwrap();
    for _ in 0..at {
        deck.press("j");
    }
    deck.press("Q");
    answer(&mut deck);
    assert!(hits(&deck).contains(&"bad:1: is built on it".to_owned()), "by one of its platforms: {:?}", hits(&deck));
    assert!(hits(&deck).contains(&"registry.example.com/acme/web:multi: is it".to_owned()));
    // A step that made a layer.
    let mut state = scene::full(120, 40);
    let press = |state: &mut lighterman::app::State, action| lighterman::app::update(state, Msg::Act(action));
    drop(press(&mut state, Action::FocusLayers));
    let effects = press(&mut state, Action::QuarantineLayer);
    let started = effects.iter().any(|effect| matches!(effect, Effect::Start(_, Job::Trace { remote, .. }) if remote.is_empty()));
    let layer = state.layers.history()[3].diff_id.clone().unwrap();
    match state.overlays.pop() {
        Some(Overlay::Quarantine(it)) if started => assert_eq!(it.about.as_str(), format!("layer {}", layer.short())),
        other => panic!("{other:?}"),
    }
    // One that made none.
    drop(press(&mut state, Action::Up));
    drop(press(&mut state, Action::Up));
    drop(press(&mut state, Action::QuarantineLayer));
    assert!(state.overlays.is_empty() && !state.toasts.list.is_empty());
}

#[test]
fn an_engine_that_is_down_keeps_nobody_from_looking_through_a_registry() {
    let mut deck = Remote::in_tags(120, 40, &["1", "2"]);
    deck.stand_still();
    deck.detail(vec![details("1", "m1", 10, 1), details("2", "m2", 10, 1)]);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    deck.tell(Msg::Job(list, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "list the images", "nobody answers"))));
    deck.press("gQ");
    let id = deck.job(|job| matches!(job, Job::Trace { local: None, .. }));
    let stacks = vec![stack("m1", &["base", "own"]), stack("m2", &["base", "own"])];
    let found = vec![(0, Found::Stacks(stacks)), (0, Found::Ended(Ok(())))];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Found(found))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    let found = hits(&deck);
    assert_eq!(found[0], "# 2 manifests in registries");
    let rest = [
        "# Not looked into",
        "? the images of this machine: not known",
        UNOPENED,
        "# 1 repository looked through",
        "- registry.example.com/acme/web: 2 of 2 tags looked at",
    ];
    assert_eq!(found[3..], rest.map(str::to_owned));
    deck.press("d");
    assert!(deck.state.plan.lines.is_empty() && deck.jobs(|job| matches!(job, Job::View { .. })) == 1);
}

/// Three repositories of one registry, in the first of which one is, and one of another registry that was browsed before.
fn deck_of_many() -> Remote {
    let mut deck = Remote::in_repositories(120, 40, &["acme/api", "acme/locked", "acme/web"]);
    deck.press("j");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&["1"])))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(1)))));
    deck.stand_still();
    deck.detail(vec![details("1", "m1", 10, 1)]);
    // To the other registry, into a repository of it, and back.
    deck.key(Key::Esc);
    deck.key(Key::Esc);
    deck.press("j");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Repositories { source } if *source != registry()));
    let refused = Problem::new(ProblemKind::Unsupported, "list the repositories", "its catalog is refused (404)");
    deck.tell(Msg::Job(id, JobEvent::Failed(refused)));
    drop(lighterman::app::browse(&mut deck.state, "localhost:5000/tools/ci"));
    let opened = deck.state.sources.get(&SourceId::registry("localhost:5000")).unwrap().clone();
    let id = deck.state.jobs.iter().find_map(|(id, job)| matches!(job, Job::Open(_)).then_some(*id)).unwrap();
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Opened(opened))));
    deck
}

#[test]
fn every_repository_of_the_registries_that_were_browsed_is_looked_through() {
    let mut deck = deck_of_many();
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&["9"])))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(1)))));
    deck.stand_still();
    deck.detail(vec![details("9", "m9", 10, 1)]);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let images = Arc::new(ImageList { images: images(), at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
    deck.press("1gQ");
    let (id, _, wanted) = asked(&deck);
    let names: Vec<(&str, bool)> = wanted.iter().map(|one| (one.repository.as_str(), one.tags.is_some())).collect();
    let others = [("acme/api", false), ("acme/locked", false), ("acme/web", false)];
    assert_eq!(names, [&[("tools/ci", true)], &others[..]].concat(), "the one that one is in first, its tags known");
    assert_eq!(open(&deck).repositories().unwrap().as_str(), "0 of 4 repositories looked through");
    let listed = |tags| Found::Listed { tags, completeness: Completeness::Complete };
    let denied = Problem::new(ProblemKind::Denied, "read", "you may not");
    let found = vec![
        (0, Found::Stacks(vec![stack("m9", &["base", "own"])])),
        (0, Found::Ended(Ok(()))),
        (1, listed(2)),
        (1, Found::Tags(vec![details("a", "m2", 10, 1), details("b", "m9", 10, 1)])),
        (1, Found::Stacks(vec![stack("m2", &["base"])])),
        (1, Found::Ended(Ok(()))),
        (2, Found::Ended(Err(denied))),
        (3, listed(1)),
    ];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(local()))));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Found(found))));
    assert_eq!(open(&deck).repositories().unwrap().as_str(), "3 of 4 repositories looked through");
    deck.key(Key::Esc);
    let found = hits(&deck);
    let at = found.iter().position(|row| row.ends_with("in registries")).unwrap();
    let expected = [
        "# 2 manifests in registries",
        "localhost:5000/tools/ci:9: is built on it",
        "registry.example.com/acme/api:b: is built on it",
        "# Not looked into",
        "? registry.example.com/acme/locked: not looked at: you may not",
        "? registry.example.com/acme/web: 0 of 1 tag looked at: stopped before its end",
        "? localhost:5000: not all its repositories are known: the list did not come to its end",
        "# 2 repositories looked through",
        "- localhost:5000/tools/ci: 1 of 1 tag looked at",
        "- registry.example.com/acme/api: 2 of 2 tags looked at",
    ];
    assert_eq!(found[at..], expected.map(str::to_owned));
    // It is put away in each of them.
    deck.press("t");
    let looked_at: Vec<(String, Vec<String>)> = deck
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Start(_, Job::View { repository, tags, .. }) => Some((repository.clone(), tags.clone())),
            _ => None,
        })
        .collect();
    let view = |name: &str, tags: [&str; 2]| (name.to_owned(), tags.map(str::to_owned).to_vec());
    assert_eq!(looked_at, [view("tools/ci", ["9", "quarantine-9"]), view("acme/api", ["b", "quarantine-b"])]);
}

#[test]
fn only_tags_of_the_repository_in_the_pane_are_marked_there() {
    let mut deck = deck();
    deck.press("Q");
    answer(&mut deck);
    deck.state.registries.tags.repository = "acme/other".to_owned();
    deck.press(" ");
    assert!(deck.state.registries.tags.marks.is_empty());
    let toast = deck.state.toasts.list.last().unwrap();
    assert_eq!(toast.text.as_str(), "Marked: 4 names here, 0 in the repository");
    assert_eq!(toast.hint.as_ref().unwrap().as_str(), "2 tags in other repositories: no pane shows them");
}

#[test]
fn the_dialog_draws_at_every_size_and_no_foreign_bytes() {
    let mut deck = deck();
    let draw = |deck: &mut Remote, width, height| {
        deck.tell(Msg::Resize { width, height });
        let (buffer, _): (Buffer, _) = scene::draw(&deck.state, &scene::dark());
        let line = |y| (0..width).map(|x| buffer.cell((x, y)).unwrap().symbol().to_owned()).collect::<String>();
        (0..height).map(line).collect::<Vec<_>>().join("\n")
    };
    deck.press("Q");
    assert!(draw(&mut deck, 80, 24).contains("reading what images are made of: 0 of 8"));
    let (id, ..) = asked(&deck);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Stacks(local()))));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "read", "no\u{1b}[2Jbody"))));
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let text = draw(&mut deck, width, height);
        for words in ["What contains bad:1", "web-1", "child:latest", "is built on it", "put away", "mark in the panes", "Not looked into"]
        {
            assert!(text.contains(words), "{words} at {width}x{height}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
    for (width, height) in [(40, 10), (1, 1), (300, 11)] {
        drop(draw(&mut deck, width, height));
    }
}
