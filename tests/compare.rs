//! Two images side by side, without a terminal or a source: which two, what is shown while layers are read and after, and what is done with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::allow_attributes, reason = "what fails here fails the test")]

#[path = "common/remote.rs"]
mod remote;
#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use lighterman::app::overlay::{Compare, Overlay};
use lighterman::flow::{Effect, Job, JobEvent, JobId, JobOutput, Key, Msg};
use lighterman::model::comparison::{Changed, ComparedFile, Comparison, ConfigChange, FileChange, LayerChange, Side};
use lighterman::model::{ImageKey, ImageList, ImageSummary, Name, PackageChange, PackageKind, Problem, ProblemKind, Safe, SourceId};
use ratatui::buffer::Buffer;
use remote::{Remote, details, digest, registry};

fn image(seed: &str, tag: &str) -> ImageSummary {
    ImageSummary {
        id: digest(seed),
        tags: vec![Name::new(tag)],
        repo_digests: vec![],
        created: None,
        size: Some(100),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: BTreeMap::default(),
    }
}

/// Two tags of a repository, and three images on this machine; the cursor is on the first image.
fn deck() -> Remote {
    let mut deck = Remote::in_tags(120, 40, &["1", "2"]);
    deck.stand_still();
    deck.detail(vec![details("1", "m1", 10, 1), details("2", "m2", 10, 1)]);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let images = vec![image("a", "app:1"), image("b", "app:2"), image("c", "app:3")];
    let images = Arc::new(ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
    deck.press("1g");
    deck
}

fn open(deck: &Remote) -> &Compare {
    match deck.state.overlays.last() {
        Some(Overlay::Compare(it)) => it,
        other => panic!("the dialog is open: {other:?}"),
    }
}

/// The newest comparison that was asked for, while it is.
fn asked(deck: &Remote) -> (JobId, [(SourceId, ImageKey); 2]) {
    let id = deck.job(|job| matches!(job, Job::Compare(_)));
    match deck.state.jobs.get(&id) {
        Some(Job::Compare(both)) => (id, (**both).clone()),
        other => panic!("{other:?}"),
    }
}

fn documents() -> Comparison {
    let layer = |change, seed: &str| LayerChange {
        change,
        diff_id: Some(digest(seed)),
        size: Some(1000),
        created_by: Some("RUN something".into()),
    };
    Comparison {
        config: vec![ConfigChange { field: "env.PATH".into(), before: Some("/bin".into()), after: Some("/usr/\u{1b}[2Jbin".into()) }],
        layers: vec![layer(Side::Shared, "x"), layer(Side::Removed, "y"), layer(Side::Added, "z")],
        ..Comparison::default()
    }
}

fn all() -> Comparison {
    let file = |size| Some(ComparedFile { kind: "file", size, mode: Some("0644".into()), link: None });
    let one = |path: &str, change, before, after| FileChange { path: path.into(), change, before, after };
    Comparison {
        files: Some(vec![
            one("etc/motd", Changed::Modified, file(10), file(2_000_000)),
            one("etc/new", Changed::Added, None, file(1)),
            one("usr/lib/Old.so", Changed::Removed, file(5), None),
        ]),
        packages: Some(vec![PackageChange {
            name: "musl".into(),
            kind: PackageKind::Apk,
            before: Some("1.2.4".into()),
            after: Some("1.2.5".into()),
        }]),
        ..documents()
    }
}

fn whats(it: &Compare) -> Vec<String> {
    (0..it.len()).filter_map(|at| it.row(at)).map(|row| format!("{} {} | {} | {}", row.sign, row.what, row.before, row.after)).collect()
}

fn draw(deck: &mut Remote, width: u16, height: u16) -> String {
    deck.tell(Msg::Resize { width, height });
    let (buffer, _): (Buffer, _) = scene::draw(&deck.state, &scene::dark());
    let line = |y| (0..width).map(|x| buffer.cell((x, y)).unwrap().symbol().to_owned()).collect::<String>();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn two_marks_here_or_there_are_compared_or_one_and_what_the_cursor_is_on() {
    let here = |seed: &str| ImageKey::Id(digest(seed));
    let there = |seed: &str| {
        let name = Name::new(&format!("{}/acme/web@{}", remote::HOST, digest(seed)));
        (registry(), ImageKey::Name(name.reference().unwrap()))
    };
    let mut deck = deck();
    let engine = deck.state.sources.current.clone().unwrap();
    deck.press("=");
    assert_eq!(deck.state.toasts.list.last().unwrap().text.as_str(), "Mark the image to compare this one with");
    // Two marks, in the order of the list, wherever the cursor went.
    deck.press("j  g=");
    assert_eq!(asked(&deck).1, [(engine.clone(), here("b")), (engine.clone(), here("c"))]);
    // The other way round.
    deck.press("=");
    assert_eq!(asked(&deck).1, [(engine.clone(), here("c")), (engine.clone(), here("b"))]);
    assert_eq!(deck.effects.iter().filter(|effect| matches!(effect, Effect::Cancel(_))).count(), 1);
    deck.key(Key::Esc);
    deck.key(Key::Esc);
    assert!(deck.state.overlays.is_empty());
    // Three are too many.
    deck.press("g =");
    assert_eq!(deck.state.toasts.list.last().unwrap().text.as_str(), "More than two images are marked");
    // One here, and the tag under the cursor.
    deck.press("U 2g=");
    assert_eq!(asked(&deck).1[0].0, engine);
    assert!([there("m1"), there("m2")].contains(&asked(&deck).1[1]));
    deck.key(Key::Esc);
    deck.key(Key::Esc);
    deck.press("1U2*=");
    let (_, both) = asked(&deck);
    assert!(both.contains(&there("m1")) && both.contains(&there("m2")));
}

#[test]
fn what_is_known_shows_at_once_and_the_rest_as_it_is_read() {
    let mut deck = deck();
    deck.press(" =");
    let (id, _) = asked(&deck);
    assert!(draw(&mut deck, 80, 24).contains("reading the layers"));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Compared(Arc::new(documents()), Vec::new()))));
    assert_eq!(whats(open(&deck)).len(), 1);
    deck.press("3");
    assert!(draw(&mut deck, 80, 24).contains("reading the layers") && open(&deck).is_empty());
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Compared(Arc::new(all()), Vec::new()))));
    assert_eq!(
        whats(open(&deck)),
        ["~ /etc/motd | 10 B 0644 | 2.00 MB 0644", "+ /etc/new | – | 1 B 0644", "- /usr/lib/Old.so | 5 B 0644 | –"]
    );
    deck.key(Key::Tab);
    assert_eq!(whats(open(&deck)), ["~ musl (apk) | 1.2.4 | 1.2.5"]);
    deck.key(Key::Tab);
    deck.key(Key::Tab);
    let layers = whats(open(&deck));
    assert!(layers[0].starts_with("= RUN something | ") && layers[2].starts_with("+ RUN something | – | "), "{layers:?}");
    // Found by parts of names, whatever the case, and all again.
    deck.press("3/");
    deck.press("usr OLD");
    deck.enter();
    assert_eq!(whats(open(&deck)), ["- /usr/lib/Old.so | 5 B 0644 | –"]);
    deck.key(Key::Esc);
    assert_eq!(open(&deck).len(), 3);
    deck.key(Key::Esc);
    assert!(deck.state.overlays.is_empty());
}

#[test]
fn what_was_stopped_or_broken_keeps_what_is_known_and_says_so() {
    let mut deck = deck();
    deck.press(" =");
    let (id, _) = asked(&deck);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Compared(Arc::new(documents()), Vec::new()))));
    deck.key(Key::Esc);
    assert!(matches!(deck.effects.last(), Some(Effect::Cancel(cancelled)) if *cancelled == id));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Compared(Arc::new(all()), Vec::new()))));
    assert_eq!(open(&deck).rows_of(lighterman::app::overlay::compare::Section::Files), None, "what comes late is not taken");
    deck.press("4");
    let text = draw(&mut deck, 120, 40);
    assert!(text.contains("Not known") && text.contains("not all is known"), "{text}");
    deck.key(Key::Esc);
    deck.press("=");
    let (id, _) = asked(&deck);
    let broken = Problem::new(ProblemKind::Corrupt, "read the layers", "layer 2 is cut\u{1b}[2J short");
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Compared(Arc::new(documents()), vec![broken]))));
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let text = draw(&mut deck, width, height);
        for words in ["not all is known: layer 2 is cut", "env.PATH", "app:1", "app:2", "Settings", "Packages", "swap"] {
            assert!(text.contains(words), "{words} at {width}x{height}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
    for (width, height) in [(40, 10), (1, 1), (300, 11), (12, 60)] {
        drop(draw(&mut deck, width, height));
    }
}

#[test]
fn it_is_written_for_others_as_markdown_or_json() {
    let mut deck = deck();
    deck.press(" =");
    let (id, _) = asked(&deck);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Compared(Arc::new(all()), Vec::new()))));
    let written = |deck: &Remote| {
        let id = deck.job(|job| matches!(job, Job::SaveText { .. }));
        match deck.state.jobs.get(&id) {
            Some(Job::SaveText { text, file }) => (text.clone(), file.clone()),
            other => panic!("{other:?}"),
        }
    };
    deck.press("e");
    deck.enter();
    let (text, file) = written(&deck);
    assert_eq!(file, PathBuf::from("comparison.md"));
    assert!(text.starts_with("# app:1 and app:2\n") && text.contains("| + | etc/new |") || text.contains("| \\+ | etc/new |"), "{text}");
    deck.press("e");
    for _ in 0.."md".len() {
        deck.key(Key::Backspace);
    }
    deck.press("json");
    deck.enter();
    let (text, file) = written(&deck);
    assert_eq!(file, PathBuf::from("comparison.json"));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((document["files"][0]["change"].as_str(), document["packages"][0]["type"].as_str()), (Some("modified"), Some("apk")));
}
