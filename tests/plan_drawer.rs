//! The Plan drawer without a terminal: the order of its lines, what each place comes to, and looking whether they could run.

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

use common::remote::{Remote, details, digest, registry};
use lighterman::flow::{Effect, Job, JobEvent, JobOutput, Key, Msg};
use lighterman::model::{Completeness, Foreign, LineState, Name, Operation, Problem, ProblemKind, RepositoryView, Target, UndoClass, Verb};
use lighterman::pane::plan::PlanRow;

fn view(tags: &[&str]) -> RepositoryView {
    let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
    RepositoryView {
        source: registry(),
        name: "registry.example.com/acme/web".into(),
        tags: tags.iter().map(|tag| ((*tag).to_owned(), (digest(tag), kind.clone()))).collect(),
        indexes: std::collections::BTreeMap::new(),
        referrers: std::collections::BTreeMap::new(),
        held: std::collections::BTreeMap::new(),
        completeness: Completeness::Complete,
    }
}

/// Two new names and two deletions in the plan.
fn planned() -> Remote {
    let mut deck = Remote::in_tags(140, 50, &["4", "3", "2", "1"]);
    deck.stand_still();
    deck.detail(["4", "3", "2", "1"].map(|tag| details(tag, tag, 1, 1)).to_vec());
    deck.press("  Tsuffix:-x");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view(&["1", "2", "3", "4"]))))));
    deck.press("2g");
    deck.press("jj  d");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view(&["1", "2", "3", "4"]))))));
    deck
}

fn lines(deck: &Remote) -> Vec<String> {
    let tag = |line: &lighterman::pane::plan::Line| line.operation.target.name().unwrap().split().1.unwrap().to_owned();
    deck.state.plan.lines.iter().map(|line| format!("{} {}", line.operation.verb.word(), tag(line))).collect()
}

fn toast(deck: &Remote) -> String {
    deck.state.toasts.list.last().map(|toast| format!("{} {:?}", toast.text, toast.hint)).unwrap_or_default()
}

#[test]
fn lines_move_where_that_is_safe_and_what_is_saved_and_run_keeps_their_order() {
    let mut deck = planned();
    assert_eq!(lines(&deck), ["tag 3-x", "tag 4-x", "delete tag 1", "delete tag 2"]);
    deck.press("gjj");
    deck.press("K");
    assert_eq!(lines(&deck), ["tag 4-x", "tag 3-x", "delete tag 1", "delete tag 2"]);
    assert_eq!(deck.state.plan.rows[deck.state.plan.cursor.at], PlanRow::Line(0), "the cursor goes along");
    // It stays so when more is wanted, and new lines stand behind.
    deck.press("2gj");
    deck.press("Tsuffix:-y");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view(&["1", "2", "3", "4"]))))));
    assert_eq!(lines(&deck), ["tag 4-x", "tag 3-x", "tag 3-y", "delete tag 1", "delete tag 2"]);
    deck.press("e");
    deck.enter();
    let Some(Effect::Start(_, Job::SavePlan { plan, .. })) = deck.effects.last() else { panic!("{:?}", deck.effects.last()) };
    let text = plan.to_json().unwrap();
    let read = lighterman::model::Plan::parse(text.as_bytes(), "read").unwrap();
    assert_eq!(read.operations, deck.state.plan.operations());
    assert_eq!(lighterman::curate::plan::arranged(read.operations.clone()), read.operations, "a run leaves it as it is");
    deck.press("xy");
    let ran = deck.effects.iter().find_map(|effect| match effect {
        Effect::Start(_, Job::Apply(applying)) => Some(applying.plan.operations.clone()),
        _ => None,
    });
    assert_eq!(ran.unwrap(), read.operations);
}

#[test]
fn a_line_that_can_not_move_says_why() {
    let mut deck = planned();
    deck.press("gjjjK");
    assert!(toast(&deck).contains("names are given before anything is pushed or taken away"), "{}", toast(&deck));
    deck.press("J");
    assert!(toast(&deck).contains("told at once"), "{}", toast(&deck));
    deck.press("jJ");
    assert!(toast(&deck).contains("it is the last there"), "{}", toast(&deck));
    assert_eq!(lines(&deck), ["tag 3-x", "tag 4-x", "delete tag 1", "delete tag 2"]);
}

#[test]
fn a_dry_run_tells_of_each_line_and_changes_nothing() {
    let mut deck = planned();
    deck.press("n");
    let id = deck.job(|job| matches!(job, Job::DryRun(_)));
    let Job::DryRun(plan) = deck.state.jobs[&id].clone() else { panic!() };
    assert_eq!(plan.operations, deck.state.plan.operations());
    let moved = LineState::Conflict { observed: Some(digest("new")) };
    let failed = LineState::Failed(Problem::new(ProblemKind::Unreachable, "look", "nobody answers"));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Lines(vec![(0, LineState::Waiting), (2, moved)]))));
    let screen = |deck: &Remote| {
        let (buffer, _) = scene::draw(&deck.state, &scene::dark());
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect::<String>()
    };
    let text = screen(&deck);
    assert!(text.contains("could run now: points at"), "{text}");
    assert!(text.contains(&format!("would be left alone: it is at {}", digest("new").short())), "{text}");
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Lines(vec![(1, LineState::Waiting), (3, failed)]))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    assert!(screen(&deck).contains("can't be looked at: nobody answers"));
    assert!(toast(&deck).contains("2 of 4 lines could run now") && toast(&deck).contains("nothing was changed"), "{}", toast(&deck));
    assert!(deck.state.plan.lines.iter().all(|line| line.state == LineState::Waiting) && !deck.state.plan.ended);
    // What was looked at was another plan once a line is gone, and an answer that comes late is dropped.
    deck.press("n");
    let late = deck.job(|job| matches!(job, Job::DryRun(_)));
    deck.press("gjd");
    assert!(deck.state.plan.tried.is_empty());
    deck.tell(Msg::Job(late, JobEvent::Chunk(JobOutput::Lines(vec![(0, LineState::Waiting)]))));
    assert!(deck.state.plan.tried.is_empty() && deck.state.plan.trying.is_none());
}

#[test]
fn of_a_name_that_is_given_and_pushed_by_a_run_the_push_goes_alone() {
    let mut deck = planned();
    let here = lighterman::model::SourceId("store:".to_owned());
    let line = |verb, tag: &str| {
        Operation::new(
            verb,
            here.clone(),
            Target::Tag(Name::new(&format!("{}/acme/web:{tag}", registry().registry_host().unwrap()))),
            None,
            Some(digest("b")),
        )
    };
    let run = vec![line(Verb::Tag, "a"), line(Verb::Tag, "b"), line(Verb::Push, "a"), line(Verb::Push, "b")];
    let load = |deck: &mut Remote, lines: Vec<usize>| {
        let about = lighterman::flow::job::About { way: lighterman::flow::job::Way::Resume, run: "01abc".to_owned(), lines };
        deck.state.plan.load(lighterman::model::PlanKind::Resume, run.clone(), about);
    };
    let about = |deck: &Remote| deck.state.plan.about().unwrap().lines.clone();
    let at = |deck: &Remote, n: usize| deck.state.plan.rows.iter().position(|row| *row == PlanRow::Line(n)).unwrap();
    for (dropped, left, numbers) in [
        (2, vec!["tag a", "tag b", "push b"], vec![3, 5, 11]),
        // A name that isn't given can't be pushed.
        (1, vec!["tag a", "push a"], vec![3, 7]),
    ] {
        load(&mut deck, vec![3, 5, 7, 11]);
        deck.state.plan.cursor.at = at(&deck, dropped);
        deck.press("d");
        assert_eq!((lines(&deck), about(&deck)), (left.into_iter().map(str::to_owned).collect(), numbers));
    }
}

#[test]
fn each_place_says_what_its_lines_come_to() {
    let mut deck = planned();
    let about = lighterman::flow::job::About { way: lighterman::flow::job::Way::Undo, run: "01abc".to_owned(), lines: vec![0, 1, 2] };
    let line = |verb, repository: &str, tag: &str, undo, freed: Option<u64>| {
        let target = Target::Tag(Name::new(&format!("registry.example.com/{repository}:{tag}")));
        let mut line = Operation::new(verb, registry(), target, Some(digest("b")), None);
        line.undo = undo;
        line.freed = freed.map(|bytes| lighterman::model::Freed { at_least: bytes, at_most: bytes * 2, basis: Foreign::new("all") });
        line
    };
    let mut refused = line(Verb::Untag, "acme/web", "c", UndoClass::Irreversible, Some(9_000_000));
    refused.protected = Some(Foreign::new("protected"));
    let lines = vec![
        line(Verb::DeleteTag, "acme/web", "a", UndoClass::UntilGarbageCollection, Some(1_000_000)),
        line(Verb::DeleteTag, "acme/api", "b", UndoClass::ReversibleNow, None),
        refused,
    ];
    deck.state.plan.load(lighterman::model::PlanKind::Undo, lines, about);
    let group = |name: &str| deck.state.plan.group(&format!("registry.example.com/{name}"));
    let (web, api) = (group("acme/web"), group("acme/api"));
    assert_eq!((web.runs, web.refused, web.freed_at_least, web.freed_at_most), (1, 1, 1_000_000, 2_000_000));
    assert_eq!((web.undo, api.undo), (Some(UndoClass::UntilGarbageCollection), Some(UndoClass::ReversibleNow)));
    let (buffer, _) = scene::draw(&deck.state, &scene::dark());
    let rows: Vec<String> = buffer.content.chunks(140).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect();
    let header = rows.iter().find(|row| row.contains("registry.example.com/acme/web") && row.contains("1 line,")).unwrap();
    assert!(header.contains("1 line, 1 refused, frees 1.00 MB to 2.00 MB  undo until GC"), "{header}");
    // A plan about a run goes as that run went.
    deck.press("gjK");
    assert!(toast(&deck).contains("not in a plan about a run"), "{}", toast(&deck));
    deck.key(Key::Esc);
}
