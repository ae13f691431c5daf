//! Two images side by side, without a terminal or a source: which two, what is shown while layers are read and after, and what is done with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    reason = "what fails here fails the test, and some of it is how long a key takes"
)]

#[path = "common/remote.rs"]
mod remote;
#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use lighterman::app::overlay::{Compare, Overlay};
use lighterman::flow::{Effect, Job, JobEvent, JobId, JobOutput, Key, Msg, Shared};
use lighterman::model::comparison::{Changed, ComparedFile, Comparison, ConfigChange, FileChange, LayerChange, Section, Side};
use lighterman::model::{ImageKey, ImageList, ImageSummary, Name, PackageChange, PackageKind, Problem, ProblemKind, Safe, SourceId};
use lighterman::work::journal::Journal;
use lighterman::work::{Env, KnownLists, Table, Worker};
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
    assert!(open(&deck).is_empty(), "nobody looked for findings");
    deck.key(Key::Tab);
    deck.key(Key::Tab);
    let layers = whats(open(&deck));
    assert!(layers[0].starts_with("= RUN something | ") && layers[2].starts_with("+ RUN something | – | "), "{layers:?}");
    // Found by parts of names, whatever the case, and all again.
    deck.press("3/");
    deck.press("usr OLD");
    deck.enter();
    sift(&mut deck);
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
    assert_eq!(open(&deck).rows_of(Section::Files), None, "what comes late is not taken");
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
        let id = deck.job(|job| matches!(job, Job::SaveComparison { .. }));
        let Some(Job::SaveComparison { found, names, file }) = deck.state.jobs.get(&id) else { panic!("it is asked for") };
        assert_eq!((&**found, names.each_ref().map(Safe::as_str)), (&all(), ["app:1", "app:2"]));
        file.clone()
    };
    deck.press("e");
    deck.enter();
    assert_eq!(written(&deck), PathBuf::from("comparison.md"));
    deck.press("e");
    for _ in 0.."md".len() {
        deck.key(Key::Backspace);
    }
    deck.press("json");
    deck.enter();
    assert_eq!(written(&deck), PathBuf::from("comparison.json"));
    let id = deck.job(|job| matches!(job, Job::SaveComparison { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Saved(PathBuf::from("comparison.json")))));
    assert_eq!(deck.state.toasts.list.last().unwrap().text.as_str(), "The report is written");
}

/// Runs a job as the deck does, to its end.
async fn run(job: Job) -> JobEvent {
    let state = tempfile::tempdir().unwrap();
    let nothing = Table::new(Arc::new(Vec::new), Arc::new(|locator| lighterman::work::files::found(locator, "named")));
    let (mut worker, mut told) = Worker::new(Arc::new(Env::new(nothing, KnownLists::none(), Journal::new(state.path()))));
    worker.start(JobId(1), job);
    loop {
        let msg = tokio::time::timeout(std::time::Duration::from_secs(30), told.recv()).await.unwrap().unwrap();
        worker.saw(&msg);
        if let Msg::Job(JobId(1), event @ (JobEvent::Done(_) | JobEvent::Failed(_) | JobEvent::Cancelled)) = msg {
            return event;
        }
    }
}

#[tokio::test]
async fn the_report_is_made_and_written_beside_the_screen_and_never_over_anything() {
    let folder = tempfile::tempdir().unwrap();
    let job = |file: &str| Job::SaveComparison {
        found: Shared::new(all()),
        names: Box::new([Safe::new("app:1"), Safe::new("app:2")]),
        file: folder.path().join(file),
    };
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!(run(job("a.md")).await, JobEvent::Done(JobOutput::Saved(folder.path().join("a.md"))));
    let text = read("a.md");
    assert!(text.starts_with("# app:1 and app:2\n") && text.contains("etc/new |"), "{text}");
    assert!(matches!(run(job("a.JSON")).await, JobEvent::Done(_)));
    let document: serde_json::Value = serde_json::from_str(&read("a.JSON")).unwrap();
    assert_eq!((document["files"][0]["change"].as_str(), document["packages"][0]["type"].as_str()), (Some("modified"), Some("apk")));
    let JobEvent::Failed(problem) = run(job("a.md")).await else { panic!("it is there already") };
    assert!(problem.cause.as_str().contains("exists") && read("a.md") == text, "{problem}");
}

#[tokio::test]
async fn rows_are_found_beside_the_screen() {
    for (section, filter, rows) in [
        (Section::Settings, "PATH", vec![0]),
        (Section::Layers, "run", vec![0, 1, 2]),
        (Section::Files, "etc n", vec![1]),
        (Section::Files, "/etc", vec![0, 1]),
        (Section::Packages, "glibc", vec![]),
    ] {
        let job = Job::SiftComparison { found: Shared::new(all()), section, filter: filter.to_owned() };
        assert_eq!(run(job).await, JobEvent::Done(JobOutput::Sifted(rows)), "{filter} in {section:?}");
    }
}

/// Answers what was to be found last.
fn sift(deck: &mut Remote) {
    let id = deck.job(|job| matches!(job, Job::SiftComparison { .. }));
    let Some(Job::SiftComparison { found, section, filter }) = deck.state.jobs.get(&id).cloned() else { panic!("it is asked for") };
    let rows = lighterman::curate::compare::sift(&found, section, &filter);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Sifted(rows))));
}

fn filter(deck: &mut Remote, text: &str) {
    deck.press("/");
    for _ in 0..20 {
        deck.key(Key::Backspace);
    }
    deck.press(text);
    deck.enter();
}

#[test]
fn rows_that_were_seen_stay_until_others_are_found_and_the_newest_wins() {
    let mut deck = deck();
    deck.press(" =");
    let (id, _) = asked(&deck);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Compared(Arc::new(documents()), Vec::new()))));
    deck.press("3");
    filter(&mut deck, "etc");
    assert_eq!(deck.jobs(|job| matches!(job, Job::SiftComparison { .. })), 0, "nothing is known yet");
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Compared(Arc::new(all()), Vec::new()))));
    assert!(open(&deck).is_empty() && draw(&mut deck, 80, 24).contains("Finding them"), "not all, for a moment");
    sift(&mut deck);
    assert_eq!(open(&deck).len(), 2);
    filter(&mut deck, "new");
    assert_eq!(open(&deck).len(), 2, "those of before");
    let late = deck.job(|job| matches!(job, Job::SiftComparison { .. }));
    filter(&mut deck, "old");
    deck.tell(Msg::Job(late, JobEvent::Done(JobOutput::Sifted(vec![1]))));
    assert_eq!(open(&deck).len(), 2);
    sift(&mut deck);
    assert_eq!(whats(open(&deck)), ["- /usr/lib/Old.so | 5 B 0644 | –"]);
    // Rows of one section are never taken for those of another; the same one again changes nothing.
    deck.press("3");
    assert_eq!(open(&deck).len(), 1);
    deck.press("1");
    assert!(open(&deck).is_empty() && draw(&mut deck, 80, 24).contains("Finding them"));
    sift(&mut deck);
    assert!(draw(&mut deck, 80, 24).contains("Nothing like that differs"));
    // What can't be found is told, and hides nothing.
    filter(&mut deck, "path");
    let id = deck.job(|job| matches!(job, Job::SiftComparison { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Other, "find what differs", "it broke"))));
    assert_eq!((open(&deck).len(), open(&deck).filter.as_str()), (1, ""));
    // All again, and nobody looks any further.
    filter(&mut deck, "path");
    let id = deck.job(|job| matches!(job, Job::SiftComparison { .. }));
    deck.key(Key::Esc);
    assert_eq!((deck.effects.last(), open(&deck).len()), (Some(&Effect::Cancel(id)), 1));
    filter(&mut deck, "path");
    let id = deck.job(|job| matches!(job, Job::SiftComparison { .. }));
    deck.press("q");
    assert!(deck.state.overlays.is_empty() && deck.effects.last() == Some(&Effect::Cancel(id)));
}

fn said(deck: &Remote) -> String {
    let toast = deck.state.toasts.list.last().unwrap();
    format!("{}: {}", toast.text, toast.hint.clone().unwrap_or_default())
}

#[test]
fn of_what_is_marked_nothing_is_left_out() {
    let here = |seed: &str| ImageKey::Id(digest(seed));
    let keys = |deck: &Remote| asked(deck).1.map(|(_, key)| key.to_string());
    // A tag that a filter hides is one of the two, whatever the cursor is on.
    let mut deck = deck();
    deck.press("2g* /");
    let marked = deck.state.registries.tags.marks.first().cloned().unwrap();
    deck.press(if marked == "1" { "2" } else { "1" });
    deck.enter();
    assert!(deck.tags().len() == 1 && deck.tags() != [marked.as_str()], "{:?}", deck.tags());
    deck.press(" 1=");
    let both = keys(&deck);
    assert!(
        both.iter().any(|key| key.contains(digest("m1").as_str())) && both.iter().any(|key| key.contains(digest("m2").as_str())),
        "{both:?}"
    );
    // Those of an open range are marked.
    let mut deck = self::deck();
    deck.press("vj=");
    assert_eq!(keys(&deck), [here("a"), here("b")].map(|key| key.to_string()));
    let mut deck = self::deck();
    deck.press("vjj=");
    assert!(said(&deck).starts_with("More than two images are marked"), "{}", said(&deck));
    let mut deck = self::deck();
    deck.press("2gvj=");
    assert_eq!(deck.jobs(|job| matches!(job, Job::Compare(_))), 1);
    // One here and two there are three, hidden or not.
    let mut deck = self::deck();
    deck.press(" 2*=");
    assert!(said(&deck).starts_with("More than two images are marked"), "{}", said(&deck));
}

#[test]
fn what_a_tag_is_must_be_known() {
    let mut deck = Remote::in_tags(120, 40, &["1", "2", "3", "4"]);
    deck.stand_still();
    let unable = Problem::new(ProblemKind::NotFound, "read the manifest", "there is none");
    deck.detail(vec![details("1", "m1", 10, 1), ("2".to_owned(), Err(unable))]);
    deck.state.registries.tags.details.remove("3");
    let mark = |deck: &mut Remote, tags: &[&str]| {
        deck.state.registries.tags.marks = tags.iter().map(|tag| (*tag).to_owned()).collect();
        deck.press("=");
        said(deck)
    };
    assert!(
        mark(&mut deck, &["1", "3"]).starts_with(&format!("It is not known yet what {}/acme/web:3 is", remote::HOST)),
        "{}",
        said(&deck)
    );
    assert!(mark(&mut deck, &["1", "2"]).contains("acme/web:2 is: there is none"), "{}", said(&deck));
    // The one under the cursor too, and the one that is marked alone.
    let at = deck.tags().iter().position(|tag| *tag == "1").unwrap();
    deck.state.registries.tags.cursor.go(at);
    assert!(mark(&mut deck, &["3"]).starts_with("It is not known yet what "), "{}", said(&deck));
    let at = deck.tags().iter().position(|tag| *tag == "3").unwrap();
    deck.state.registries.tags.cursor.go(at);
    assert!(mark(&mut deck, &["1"]).starts_with("It is not known yet what "), "{}", said(&deck));
    assert_eq!(deck.jobs(|job| matches!(job, Job::Compare(_))), 0);
}

#[test]
fn very_many_marks_are_counted_and_not_looked_at() {
    let mut deck = Remote::in_tags(120, 40, &["1"]);
    let list = deck.job(|job| matches!(job, Job::List { .. }));
    let images = (0..10_000).map(|n| image(&n.to_string(), &format!("app:{n}"))).collect();
    let images = Arc::new(ImageList { images, at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Images { list: images, version: Safe::new("Docker 1") })));
    // Marked, and all but one hidden.
    deck.press("1*/app:77");
    deck.enter();
    assert_eq!(deck.state.images.marks.len(), 10_000);
    let began = std::time::Instant::now();
    deck.press("=");
    assert!(said(&deck).starts_with("More than two images are marked"), "{}", said(&deck));
    assert!(began.elapsed() < std::time::Duration::from_millis(100), "{:?}", began.elapsed());
}
