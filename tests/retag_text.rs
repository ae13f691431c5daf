//! Batch retag as text and into other registries, without a terminal: keys, an editor's answer and job events in, state and effects out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    clippy::indexing_slicing,
    reason = "the deck of a test fails the test when it breaks"
)]

mod common;
#[path = "common/scene.rs"]
mod scene;

use std::sync::Arc;

use common::remote::{HOST, Remote, details, digest, registry};
use jiff::Timestamp;
use lighterman::app::overlay::{Overlay, Rename, Standing};
use lighterman::flow::{Effect, Job, JobEvent, JobOutput, Key, Msg};
use lighterman::model::{
    Completeness, Foreign, ImageList, ImageSummary, Name, Problem, ProblemKind, RepositoryView, Safe, SourceId, SourceInfo, UndoClass, Verb,
};

fn rename(deck: &Remote) -> &Rename {
    match deck.state.overlays.last() {
        Some(Overlay::Rename(rename)) => rename,
        other => panic!("{other:?}"),
    }
}

fn text(deck: &Remote) -> String {
    rename(deck).text.as_ref().unwrap().editor.text()
}

/// What stands beside each line, by its number.
fn notes(deck: &Remote) -> Vec<(usize, Standing, String)> {
    let text = rename(deck).text.as_ref().unwrap();
    let mut notes: Vec<_> = text.notes.iter().map(|(line, (standing, words))| (line + 1, *standing, words.to_string())).collect();
    notes.sort();
    notes
}

fn chord(deck: &mut Remote, key: &str) {
    deck.tell(Msg::Key { chord: key.parse().unwrap(), held: false });
}

fn view(name: &str, tags: &[(&str, &str)]) -> RepositoryView {
    let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
    RepositoryView {
        source: SourceId::registry(name.split_once('/').unwrap().0),
        name: name.to_owned(),
        tags: tags.iter().map(|(tag, seed)| ((*tag).to_owned(), (digest(seed), kind.clone()))).collect(),
        indexes: std::collections::BTreeMap::new(),
        referrers: std::collections::BTreeMap::new(),
        held: std::collections::BTreeMap::new(),
        completeness: Completeness::Complete,
    }
}

/// Three tags of one repository, all marked, and the dialog over them.
fn renaming() -> Remote {
    let mut deck = Remote::in_tags(140, 40, &["1.4.0-rc3", "old", "stable"]);
    deck.stand_still();
    deck.detail(vec![details("1.4.0-rc3", "a", 1, 1), details("old", "b", 1, 9), details("stable", "c", 1, 3)]);
    deck.press("*T");
    deck
}

fn lines(deck: &Remote) -> Vec<String> {
    let line = |line: &lighterman::pane::plan::Line| format!("{} {}", line.operation.verb.word(), line.operation.target);
    deck.state.plan.lines.iter().map(line).collect()
}

#[test]
fn rows_open_as_text_with_what_the_rule_made_and_each_line_says_what_it_comes_to() {
    let mut deck = renaming();
    deck.press("deprecate");
    deck.key(Key::Tab);
    let begun = text(&deck);
    assert!(begun.contains(&format!("# In {HOST}/acme/web\n")), "{begun}");
    let at = |tag: &str| text(&deck).lines().position(|line| line.starts_with(tag)).unwrap() + 1;
    let (rc, old, stable) = (at("1.4.0-rc3"), at("old"), at("stable"));
    assert_eq!(notes(&deck).iter().map(|(line, how, _)| (*line, *how)).collect::<Vec<_>>(), {
        let mut all = [(rc, Standing::New), (old, Standing::New), (stable, Standing::New)];
        all.sort_by_key(|(line, _)| *line);
        all
    });
    // Written by hand: a candidate becomes three names, one of them taken from another image; the old one goes; the last is left out.
    let written = "1.4.0-rc3 → 1.4.0 1.4 stable # out\nold → deprecated-old\nold → -\n# stable → x";
    for _ in 0..begun.lines().count() {
        chord(&mut deck, "Ctrl-k");
    }
    deck.tell(Msg::Paste(written.to_owned()));
    assert_eq!(text(&deck), written);
    let [(1, Standing::Moves, first), (2, Standing::New, _), (3, Standing::Goes, _)] = &notes(&deck)[..] else {
        panic!("{:?}", notes(&deck))
    };
    assert!(first.contains("stable, taken from"), "{first}");
    assert_eq!((rename(&deck).counts.given, rename(&deck).counts.moved, rename(&deck).counts.gone), (4, 1, 1));
    chord(&mut deck, "Ctrl-s");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    let there = view(&format!("{HOST}/acme/web"), &[("1.4.0-rc3", "a"), ("old", "b"), ("stable", "c")]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(there)))));
    let web = |what: &str| format!("{} {HOST}/acme/web:{}", what.split_once('|').unwrap().0, what.split_once('|').unwrap().1);
    assert_eq!(lines(&deck), ["tag|1.4", "tag|1.4.0", "tag|deprecated-old", "move tag|stable", "untag|old"].map(web));
}

#[test]
fn a_mistake_stands_beside_its_line_and_nothing_is_planned_before_it_is_put_right() {
    let mut deck = renaming();
    deck.tell(Msg::Key { chord: "Shift-Tab".parse().unwrap(), held: false });
    for _ in 0..=text(&deck).lines().count() {
        chord(&mut deck, "Ctrl-k");
    }
    deck.tell(Msg::Paste("old → ok\nnone → x\nstable → .y\n".to_owned()));
    assert_eq!(rename(&deck).text.as_ref().unwrap().mistakes, 2);
    let told = notes(&deck);
    assert_eq!(told.iter().map(|(line, how, _)| (*line, *how)).collect::<Vec<_>>(), [(2, Standing::Refused), (3, Standing::Refused)]);
    assert!(told[0].2.starts_with("there is no none among the tags") && told[1].2.starts_with(".y is no tag"), "{told:?}");
    chord(&mut deck, "Ctrl-s");
    assert_eq!(rename(&deck).text.as_ref().unwrap().editor.cursor().0, 1, "it goes to the first mistake");
    assert!(!deck.effects.iter().any(|effect| matches!(effect, Effect::Start(_, Job::View { .. }))));
    chord(&mut deck, "Ctrl-k");
    chord(&mut deck, "Ctrl-k");
    assert_eq!(notes(&deck), [(1, Standing::New, "new".to_owned())]);
    // Left for the rule, it is there again; under another rule it begins anew.
    deck.key(Key::Esc);
    assert!(rename(&deck).text.is_none());
    deck.key(Key::Tab);
    assert_eq!(text(&deck), "old → ok\n");
    deck.key(Key::Esc);
    deck.press("deprecate");
    deck.key(Key::Tab);
    assert!(text(&deck).contains("deprecated-stable"));
}

#[test]
fn the_users_editor_gets_the_text_and_only_a_changed_one_that_came_back_whole_counts() {
    let mut deck = renaming();
    deck.state.settings.editor = Some(Safe::new("vim"));
    let sent = |deck: &Remote| match deck.effects.iter().rev().find(|effect| matches!(effect, Effect::Edit(_))) {
        Some(Effect::Edit(draft)) => draft.clone(),
        _ => panic!("no editor"),
    };
    deck.key(Key::Tab);
    let draft = sent(&deck);
    assert!(draft.name == "retag.txt" && draft.text.contains("old"), "{draft:?}");
    let toasts = |deck: &Remote| deck.state.toasts.list.iter().map(|toast| toast.text.to_string()).collect::<Vec<_>>();
    deck.tell(Msg::Edited(Ok(draft.text.clone())));
    assert!(toasts(&deck).iter().any(|text| text.contains("Nothing was changed")) && rename(&deck).text.is_none());
    deck.key(Key::Tab);
    let failed = Problem::new(ProblemKind::Other, "edit the text with vim", "it ended with exit status: 1");
    deck.tell(Msg::Edited(Err(failed)));
    assert!(toasts(&deck).iter().any(|text| text.contains("edit the text with vim")) && rename(&deck).text.is_none());
    deck.key(Key::Tab);
    deck.tell(Msg::Edited(Ok("old → older\n".to_owned())));
    assert_eq!(notes(&deck), [(1, Standing::New, "new".to_owned())]);
    // From here back into the editor, with what stands here.
    deck.press("#");
    chord(&mut deck, "Ctrl-o");
    assert_eq!(sent(&deck).text, "#old → older\n");
    // An answer that nobody waits for any more changes nothing.
    deck.tell(Msg::Edited(Ok("stable → x\n".to_owned())));
    deck.tell(Msg::Edited(Ok("old → y\n".to_owned())));
    assert_eq!(text(&deck), "stable → x\n");
}

#[test]
fn the_text_is_drawn_at_any_size_with_the_cursor_in_its_window() {
    let mut deck = renaming();
    deck.key(Key::Tab);
    let wide = "日本語🚢 → ".repeat(40);
    deck.tell(Msg::Paste(format!("\u{1b}[2J{wide}\u{202e}# {}\n\n", "x".repeat(3000))));
    deck.key(Key::Up);
    deck.key(Key::Up);
    for key in ["End", "Home"] {
        chord(&mut deck, key);
        for (width, height) in [(1, 1), (40, 10), (41, 11), (80, 24), (140, 40), (300, 90)] {
            scene::size(&mut deck.state, width, height);
            let (buffer, caret) = scene::draw(&deck.state, &scene::dark());
            assert!(buffer.content.iter().all(|cell| !cell.symbol().contains('\u{1b}')));
            let seen = caret.is_none_or(|(x, y)| x < width && y < height);
            assert!(seen && (width < 80 || caret.is_some()), "{key} at {width}x{height}: {caret:?}");
        }
    }
}

#[test]
fn what_is_not_read_yet_is_left_out_and_that_is_said() {
    let mut deck = Remote::in_tags(140, 40, &["2", "1"]);
    deck.stand_still();
    deck.detail(vec![details("1", "a", 1, 1)]);
    deck.press("*T");
    assert_eq!(rename(&deck).rows(), 1);
    assert!(deck.state.toasts.list.iter().any(|toast| toast.text.as_str().starts_with("1 row left out")), "{:?}", deck.state.toasts.list);
}

#[test]
fn a_mirror_is_copies_into_a_repository_that_is_looked_at_first() {
    let mut deck = renaming();
    deck.press("mirror:localhost:5000/hub");
    assert_eq!(rename(&deck).counts.given, 3, "{:?}", rename(&deck).lines);
    assert!(rename(&deck).lines.iter().all(|line| line.to.as_str().starts_with("localhost:5000/hub/acme/web:")));
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    let there = SourceId::registry("localhost:5000");
    let Job::View { source, repository, tags, .. } = &deck.state.jobs[&id] else { panic!() };
    assert_eq!((source, repository.as_str(), tags.len()), (&there, "hub/acme/web", 3));
    let view = view("localhost:5000/hub/acme/web", &[("old", "b"), ("stable", "other")]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view)))));
    let plan = &deck.state.plan.lines;
    let line = |line: &lighterman::pane::plan::Line| {
        let it = &line.operation;
        (it.verb, it.from.as_ref().unwrap().raw().to_owned(), it.before.clone(), it.after.clone())
    };
    let from = |tag: &str| format!("docker://{HOST}/acme/web:{tag}");
    assert_eq!(
        plan.iter().map(line).collect::<Vec<_>>(),
        [(Verb::Copy, from("1.4.0-rc3"), None, Some(digest("a"))), (Verb::Copy, from("stable"), Some(digest("other")), Some(digest("c"))),],
        "what is there already is no line"
    );
}

#[test]
fn a_mirror_begins_a_repository_that_is_not_there_and_leaves_a_read_only_registry_alone() {
    let mut deck = renaming();
    deck.press("mirror:localhost:5000");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::NotFound, "look", "no such repository"))));
    assert_eq!(deck.state.plan.lines.len(), 3);
    // A look that failed for another reason leaves nothing planned.
    let mut deck = renaming();
    deck.press("mirror:localhost:5000");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Denied, "look", "log in first"))));
    assert!(deck.state.plan.is_empty());
    let mut deck = renaming();
    let closed = |info: &mut SourceInfo| info.read_only = info.id == SourceId::registry("localhost:5000");
    deck.state.sources.all.value.as_mut().unwrap().iter_mut().for_each(closed);
    deck.press("mirror:localhost:5000");
    assert_eq!((rename(&deck).counts.given, rename(&deck).counts.refused), (0, 3));
    deck.enter();
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Rename(_))));
}

#[test]
fn several_repositories_of_one_text_are_each_looked_at() {
    let mut deck = renaming();
    deck.key(Key::Tab);
    chord(&mut deck, "Ctrl-End");
    deck.tell(Msg::Paste(format!("old → older\nold → {HOST}/acme/attic:old\nstable → localhost:5000/x:1\n")));
    chord(&mut deck, "Ctrl-s");
    let mut looked: Vec<(SourceId, String)> = deck
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Start(_, Job::View { source, repository, .. }) => Some((source.clone(), repository.clone())),
            _ => None,
        })
        .collect();
    looked.sort();
    let at = |repository: &str| (registry(), repository.to_owned());
    assert_eq!(looked, [(SourceId::registry("localhost:5000"), "x".to_owned()), at("acme/attic"), at("acme/web")]);
}

#[test]
fn a_mirror_of_images_of_this_machine_tags_and_then_pushes_them() {
    let mut deck = Remote::new(120, 40, false);
    let id = deck.job(|job| matches!(job, Job::List { .. }));
    let image = ImageSummary {
        id: digest("image"),
        tags: vec![Name::new("app:1")],
        repo_digests: vec![],
        created: None,
        size: Some(1),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: std::collections::BTreeMap::default(),
    };
    let list = Arc::new(ImageList { images: vec![image], at: Timestamp::UNIX_EPOCH, gaps: vec![] });
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Images { list, version: Safe::new("Docker 1") })));
    let looked = |deck: &mut Remote, there: Result<Option<lighterman::model::Digest>, Problem>| {
        deck.enter();
        let id = deck.job(|job| matches!(job, Job::PreviewPush { .. }));
        let Job::PreviewPush { pushes, .. } = deck.state.jobs[&id].clone() else { panic!() };
        assert_eq!(pushes, [(Name::new("localhost:5000/hub/app:1"), digest("image"))]);
        assert!(matches!(deck.state.overlays.last(), Some(Overlay::Waiting { .. })), "it is looked at there first");
        deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::PushPreview(vec![there]))));
    };
    deck.press("1Tmirror:localhost:5000/hub");
    looked(&mut deck, Ok(Some(digest("there"))));
    let push = |deck: &Remote| deck.state.plan.operations().into_iter().find(|line| line.verb == Verb::Push).unwrap();
    assert_eq!((push(&deck).before, push(&deck).undo), (Some(digest("there")), UndoClass::UntilGarbageCollection));
    assert_eq!(lines(&deck), ["tag localhost:5000/hub/app:1", "push localhost:5000/hub/app:1"]);
    assert!(deck.state.plan.clashes.is_empty(), "{:?}", deck.state.plan.clashes);
    let operations = deck.state.plan.operations();
    let stages = lighterman::curate::plan::stages(&operations);
    assert_eq!(stages, [vec![vec![0]], vec![vec![1]]], "the name is given before it is pushed");
    // The push can be dropped alone; without its name nothing is pushed.
    deck.press("jd");
    assert_eq!(lines(&deck), ["tag localhost:5000/hub/app:1"]);
    deck.press("U1Tmirror:localhost:5000/hub");
    looked(&mut deck, Err(Problem::new(ProblemKind::Unreachable, "look at it", "connection refused")));
    assert!(push(&deck).is_blind());
    // Looked at anew, only what is seen now counts.
    deck.press("1Tmirror:localhost:5000/hub");
    looked(&mut deck, Ok(None));
    assert_eq!((push(&deck).before.clone(), push(&deck).is_blind(), deck.state.plan.lines.len()), (None, false, 2));
    // Where it can't be looked at at all, the rule is there still.
    deck.press("1Tmirror:localhost:5000/hub");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::PreviewPush { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Denied, "push", "read-only"))));
    assert_eq!(rename(&deck).input.value(), "mirror:localhost:5000/hub");
    deck.key(Key::Esc);
    deck.press("5gjd");
    assert!(deck.state.plan.lines.is_empty(), "{:?}", lines(&deck));
}

#[test]
fn labels_that_a_template_looks_at_are_read_first_and_nothing_is_planned_before() {
    let mut deck = renaming();
    let asked = |deck: &Remote| deck.jobs(|job| matches!(job, Job::Labels { .. }));
    deck.press("{major}");
    assert_eq!(asked(&deck), 0, "what costs requests is read where it is looked at");
    for _ in 0.."{major}".len() {
        deck.key(Key::Backspace);
    }
    deck.press("{label:version}");
    assert_eq!((asked(&deck), rename(&deck).unlabelled), (1, 3), "and not once a key");
    let (buffer, _) = scene::draw(&deck.state, &scene::dark());
    let drawn: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(drawn.contains("The labels of 3 tags are being read"));
    deck.enter();
    deck.key(Key::Tab);
    assert!(rename(&deck).text.is_none() && deck.jobs(|job| matches!(job, Job::View { .. })) == 0);
    let id = deck.job(|job| matches!(job, Job::Labels { .. }));
    let Job::Labels { source, repository, details } = deck.state.jobs[&id].clone() else { panic!() };
    assert_eq!((source, repository.as_str(), details.len()), (registry(), "acme/web", 3));
    let version: lighterman::model::Labels = [("version".into(), "2.0".into())].into();
    let unreadable = Problem::new(ProblemKind::Corrupt, "read", "no configuration");
    let answers = vec![(digest("a"), Ok(version)), (digest("b"), Err(unreadable))];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Labels(answers))));
    assert_eq!(rename(&deck).unlabelled, 1);
    // The connection breaks before the last is told.
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "read labels", "it broke off"))));
    let told: Vec<(Standing, String)> = rename(&deck).lines.iter().map(|line| (line.standing, line.to.to_string())).collect();
    let unknown = (Standing::Refused, "its labels are not known".to_owned());
    assert_eq!(told, [(Standing::New, "2.0".to_owned()), unknown.clone(), unknown]);
    assert_eq!((asked(&deck), rename(&deck).unlabelled), (1, 0), "nothing is asked for twice");
    deck.enter();
    assert_eq!(deck.jobs(|job| matches!(job, Job::View { .. })), 1);
    // Opened anew, it asks again for what could not be read.
    deck.key(Key::Esc);
    deck.press("*T{label:version}");
    assert_eq!((asked(&deck), rename(&deck).unlabelled, rename(&deck).lines.len()), (2, 2, 3));
}
