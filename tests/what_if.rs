//! A retention policy typed over the tags of a repository, without a terminal or a registry: keys and job events in, state and effects out.

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

use common::remote::{Remote, complete, details, digest, registry, rows};
use lighterman::app::overlay::{Ask, Overlay};
use lighterman::flow::{Effect, Job, JobEvent, JobOutput, Key, Msg};
use lighterman::model::{
    Completeness, ContainerUse, Foreign, ImageList, ImageSummary, Listed, Name, Problem, ProblemKind, RepositoryView, Safe, Uses, Verb,
};
use lighterman::pane::registries::what_if::Decision;

/// A tag, what it is at, and its age in days.
const TAGS: [(&str, &str, i64); 8] = [
    ("v1.1.1", "a", 1),
    ("v1.1.0", "b", 30),
    ("v1.0.1", "c", 60),
    ("v1.0.0", "d", 90),
    ("pr-9", "e", 2),
    ("pr-3", "f", 40),
    ("latest", "a", 1),
    ("odd", "g", 400),
];

/// The repository with all its tags read, and the images of this machine listed.
fn deck() -> Remote {
    let mut deck = unread();
    deck.stand_still();
    deck.detail(TAGS.iter().map(|(tag, seed, days)| details(tag, seed, 1_000_000, *days)).collect());
    deck
}

fn unread() -> Remote {
    let mut deck = Remote::in_tags(160, 50, &TAGS.map(|(tag, ..)| tag));
    list(&mut deck, &[]);
    deck
}

/// Lists the images of this machine: containers use these digests of the repository.
fn list(deck: &mut Remote, used: &[&str]) {
    deck.tell(Msg::Settled);
    let id = deck.job(|job| matches!(job, Job::List { .. }));
    let user = ContainerUse { id: "c".into(), name: "web".into(), running: true, state: "running".into() };
    let image = |seed: &&str| ImageSummary {
        id: digest(&format!("id of {seed}")),
        tags: vec![],
        repo_digests: vec![Name::new(&format!("registry.example.com/acme/web@{}", digest(seed)))],
        created: None,
        size: Some(1),
        unique_size: None,
        platform: None,
        containers: Some(vec![user.clone()]),
        labels: std::collections::BTreeMap::default(),
    };
    let list = ImageList { images: used.iter().map(image).collect(), at: deck.state.now, gaps: vec![] };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Images { list: Arc::new(list), version: Safe::new("Docker 1") })));
}

fn decisions(deck: &Remote) -> Vec<(String, Decision)> {
    let what_if = deck.state.registries.what_if().unwrap();
    deck.tags().iter().map(|tag| ((*tag).to_owned(), what_if.decision(tag).unwrap().0)).collect()
}

fn of(deck: &Remote, tag: &str) -> (Decision, String) {
    let (decision, why) = deck.state.registries.what_if().unwrap().decision(tag).unwrap();
    (decision, why.to_string())
}

fn dropped(deck: &Remote) -> Vec<String> {
    decisions(deck).into_iter().filter(|(_, decision)| *decision == Decision::Drop).map(|(tag, _)| tag).collect()
}

fn screen(deck: &Remote) -> String {
    let (buffer, _) = scene::draw(&deck.state, &scene::dark());
    let width = usize::from(deck.state.width);
    let rows = buffer.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    rows.collect::<Vec<_>>().join("\n")
}

fn toast(deck: &Remote) -> String {
    deck.state.toasts.list.last().map(|toast| format!("{} {:?}", toast.text, toast.hint)).unwrap_or_default()
}

fn views(deck: &Remote) -> usize {
    deck.jobs(|job| matches!(job, Job::View { .. }))
}

/// Answers the look at the repository, with `latest` moved where that is asked.
fn look(deck: &mut Remote, moved: Option<&str>, extra: &[(&str, &str)]) {
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
    let at = |tag: &str, seed: &str| (tag.to_owned(), (digest(if moved == Some(tag) { "moved" } else { seed }), kind.clone()));
    let view = RepositoryView {
        source: registry(),
        name: "registry.example.com/acme/web".into(),
        tags: TAGS.iter().map(|(tag, seed, _)| at(tag, seed)).chain(extra.iter().map(|(tag, seed)| at(tag, seed))).collect(),
        indexes: std::collections::BTreeMap::new(),
        referrers: std::collections::BTreeMap::new(),
        held: std::collections::BTreeMap::new(),
        completeness: Completeness::Complete,
    };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view)))));
}

#[test]
fn ages_count_from_the_first_sight_and_uses_are_those_of_this_machine() {
    let mut deck = unread();
    deck.stand_still();
    let id = deck.job(|job| matches!(job, Job::Details { .. }));
    let told = TAGS.iter().map(|(tag, seed, days)| details(tag, seed, 1_000_000, *days)).collect();
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Details(told))));
    deck.press("R");
    deck.press("drop pr-*|odd older than 14d since first seen");
    let unknown = "when it was first seen is not known, so it stays";
    assert!(of(&deck, "odd").1.ends_with(unknown) && of(&deck, "odd").0 == Decision::Unknown, "{:?}", of(&deck, "odd"));
    // What is told of a tag counts only for what it is at.
    let today = deck.state.now;
    let day = |days: i64| today - jiff::SignedDuration::from_hours(24 * days);
    let sight = |tag: &str, seed: &str, days| (tag.to_owned(), digest(seed), day(days));
    let seen = vec![sight("pr-9", "e", 15), sight("pr-3", "f", 13), sight("odd", "another", 400)];
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::FirstSeen(seen))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    assert_eq!(dropped(&deck), ["pr-9"], "as old as the sight of it, whenever it was made");
    assert!(of(&deck, "odd").1.ends_with(unknown), "{:?}", of(&deck, "odd"));
    // Uses: one long ago, one lately, one that was never seen, and what is not here.
    deck.key(Key::Esc);
    deck.tell(Msg::Settled);
    let id = deck.job(|job| matches!(job, Job::List { .. }));
    let image = |seed: &str| ImageSummary {
        id: digest(&format!("id of {seed}")),
        tags: vec![],
        repo_digests: vec![Name::new(&format!("registry.example.com/acme/web@{}", digest(seed)))],
        created: None,
        size: Some(1),
        unique_size: None,
        platform: None,
        containers: Some(vec![]),
        labels: std::collections::BTreeMap::default(),
    };
    let list = |at| ImageList { images: ["e", "f", "g"].map(image).to_vec(), at, gaps: vec![] };
    let mut uses = Uses::default();
    uses.listed(&list(day(90)), &[(digest("id of e"), day(95)), (digest("id of f"), day(95))]);
    uses.used(&digest("id of f"), day(3));
    let now = list(deck.state.now);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Uses(Arc::new(uses)))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Images { list: Arc::new(now), version: Safe::new("Docker 1") })));
    deck.press("R");
    deck.press("drop all unused for 60d");
    assert_eq!(dropped(&deck), ["pr-9"]);
    let unknown = "when it was last used is not known, so it stays";
    assert!(of(&deck, "odd").1.ends_with(unknown) && of(&deck, "latest").1.ends_with(unknown), "{:?}", of(&deck, "odd"));
    assert!(screen(&deck).contains("last used not known here"), "{}", screen(&deck));
}

#[test]
fn every_key_recolours_the_tags_and_names_the_rule() {
    let mut deck = deck();
    deck.press("R");
    assert!(screen(&deck).contains("what if:"), "{}", screen(&deck));
    deck.press("drop pr-* older than 14d");
    assert_eq!(dropped(&deck), ["pr-3"]);
    assert_eq!(of(&deck, "pr-3"), (Decision::Drop, "rule 1: drop pr-* older than 14d".to_owned()));
    assert_eq!(of(&deck, "odd"), (Decision::Undecided, "no rule decides".to_owned()));
    // A mistake says what is missing, and leaves the last good one in force.
    deck.press(", keep only last");
    let what_if = deck.state.registries.what_if().unwrap();
    assert!(what_if.mistake.as_ref().unwrap().as_str().starts_with("how many is missing"), "{:?}", what_if.mistake);
    assert_eq!(dropped(&deck), ["pr-3"]);
    deck.enter();
    assert!(toast(&deck).contains("That is no policy yet") && views(&deck) == 0, "{}", toast(&deck));
    deck.press(" 1 of v{semver} per minor, protect latest");
    assert_eq!(dropped(&deck), ["v1.1.0", "v1.0.0", "pr-3"]);
    assert_eq!(of(&deck, "latest").0, Decision::Protect);
    let (_, why) = of(&deck, "v1.0.0");
    assert!(why.starts_with("rule 2: keep only last 1 of v{semver} per minor; only the 2nd newest"), "{why}");
    let shown = screen(&deck);
    assert!(shown.contains("drops 3, keeps 5 (38 %)"), "{shown}");
    let line = shown.lines().find(|line| line.contains("v1.0.0")).unwrap();
    assert!(line.contains("drop    rule 2"), "{line}");
    // The list can be walked meanwhile; Esc leaves nothing of it.
    deck.key(Key::Down);
    assert_eq!(deck.state.registries.tags.cursor.at, 1);
    deck.key(Key::Esc);
    assert!(deck.state.registries.what_if().is_none() && !screen(&deck).contains("Policy"));
}

#[test]
fn what_a_policy_lets_go_is_planned_with_its_reason() {
    let mut deck = deck();
    deck.press("Rdrop pr-* older than 14d, drop odd");
    deck.enter();
    look(&mut deck, Some("odd"), &[]);
    let line = |tag: &str| {
        let lines = &deck.state.plan.lines;
        lines.iter().map(|line| &line.operation).find(|line| line.target.name().unwrap().split().1 == Some(tag)).unwrap()
    };
    assert_eq!(deck.state.plan.lines.len(), 2);
    assert_eq!(line("pr-3").verb, Verb::DeleteTag);
    assert_eq!(line("pr-3").effects.last().unwrap().raw(), "rule 1: drop pr-* older than 14d");
    // What moved since was not decided over.
    assert!(line("odd").refused().unwrap().raw().contains("it moved after the policy had decided"), "{:?}", line("odd"));
    assert!(deck.state.registries.what_if().is_none());
}

#[test]
fn more_than_its_share_goes_only_where_the_repositorys_name_was_typed() {
    let mut deck = deck();
    deck.press("Rdrop all");
    assert!(screen(&deck).contains("drops 8, keeps 0 (100 %)"), "{}", screen(&deck));
    deck.enter();
    let Some(Overlay::Prompt(prompt)) = deck.state.overlays.last() else { panic!("{:?}", deck.state.overlays) };
    assert_eq!(prompt.ask, Ask::PolicyName { repository: "registry.example.com/acme/web".to_owned() });
    assert!(prompt.about.as_ref().unwrap().as_str().contains("8 of 8 tags would go, 100 %"), "{:?}", prompt.about);
    deck.press("registry.example.com/acme/we");
    deck.enter();
    assert!(views(&deck) == 0 && !deck.state.overlays.is_empty());
    deck.press("b");
    deck.enter();
    assert!(views(&deck) == 1 && deck.state.overlays.is_empty());
    look(&mut deck, None, &[]);
    assert_eq!(deck.state.plan.lines.len(), 8);
    assert!(deck.effects.iter().all(|effect| !matches!(effect, Effect::Start(_, Job::Apply(_)))), "planned, and not run");
}

#[test]
fn a_list_that_is_not_whole_is_never_decided_over() {
    let mut deck = Remote::in_repositories(160, 50, &["acme/web"]);
    list(&mut deck, &[]);
    deck.press("j");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&["pr-1"])))));
    deck.stand_still();
    deck.detail(vec![details("pr-1", "a", 1, 90)]);
    deck.press("Rdrop pr-* older than 14d, keep last 9 of pr-*");
    assert_eq!(dropped(&deck), ["pr-1"], "it shows what is known");
    assert!(screen(&deck).contains("still listing"), "{}", screen(&deck));
    deck.enter();
    assert!(toast(&deck).contains("still being listed"), "{}", toast(&deck));
    let why = Completeness::Incomplete(Safe::new("the registry stopped after 1000"));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(Listed { count: 1, odd: 0, completeness: why }))));
    deck.enter();
    assert!(toast(&deck).contains("may not be complete: the registry stopped after 1000"), "{}", toast(&deck));
    assert_eq!(views(&deck), 0);
}

#[test]
fn tags_that_were_not_read_are_read_and_nothing_is_decided_before() {
    let many: Vec<String> = (0..2_500).map(|n| format!("pr-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut deck = Remote::in_tags(160, 50, &many);
    list(&mut deck, &[]);
    deck.press("Rdrop pr-* older than 14d");
    assert!(screen(&deck).contains("2,500 not read yet"), "{}", screen(&deck));
    assert_eq!(of(&deck, "pr-7"), (Decision::Unknown, "not read yet".to_owned()));
    deck.enter();
    assert!(toast(&deck).contains("2500 tags not read yet"), "{}", toast(&deck));
    // All are read, in several goes, without being looked at.
    for left in [1_500, 500, 0] {
        deck.stand_still();
        let id = deck.job(|job| matches!(job, Job::Details { .. }));
        let Job::Details { tags, .. } = deck.state.jobs[&id].clone() else { panic!() };
        deck.detail(tags.iter().map(|tag| details(tag, tag, 1, if tag.ends_with('7') { 40 } else { 1 })).collect());
        assert_eq!(deck.state.registries.what_if().unwrap().unread(), left);
    }
    let asked = deck.jobs(|job| matches!(job, Job::Details { .. }));
    deck.stand_still();
    assert_eq!(deck.jobs(|job| matches!(job, Job::Details { .. })), asked, "and then no more is asked");
    assert_eq!(dropped(&deck).len(), 250);
    // One of them is gone meanwhile, and one can't be read: the first needs nothing any more, and the other may.
    deck.press(" ");
    let gone = Problem::new(ProblemKind::NotFound, "read", "gone");
    let broken = Problem::new(ProblemKind::Corrupt, "read", "it is no manifest");
    let now = deck.state.now;
    deck.state.registries.tags.detailed(vec![("pr-7".to_owned(), Err(gone))], now);
    deck.state.registries.tags.decide(false, now);
    assert_eq!((dropped_all(&deck), deck.state.registries.what_if().unwrap().decision("pr-7")), (249, None));
    deck.state.registries.tags.detailed(vec![("pr-8".to_owned(), Err(broken))], now);
    deck.enter();
    assert!(toast(&deck).contains("pr-8 points at is not known"), "{}", toast(&deck));
    assert_eq!(views(&deck), 0);
}

fn dropped_all(deck: &Remote) -> usize {
    deck.state.registries.what_if().unwrap().report().unwrap().dropped
}

#[test]
fn what_containers_use_stays_and_must_be_known() {
    let mut deck = deck();
    list(&mut deck, &["f"]);
    deck.press("Rdrop pr-*");
    assert_eq!(dropped(&deck), ["pr-9"]);
    assert_eq!(of(&deck, "pr-3"), (Decision::Keep, "a container uses it".to_owned()));
    // The list changes while the rule stands.
    list(&mut deck, &["e"]);
    assert_eq!(dropped(&deck), ["pr-3"]);
    deck.tell(Msg::Settled);
    let id = deck.job(|job| matches!(job, Job::List { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "list", "gone"))));
    deck.key(Key::Esc);
    deck.press("Rdrop pr-*");
    deck.enter();
    assert!(toast(&deck).contains("What containers use is not known"), "{}", toast(&deck));
    assert_eq!(views(&deck), 0);
}

#[test]
fn what_protects_holds_for_signatures_that_would_go_along() {
    let signature = format!("sha256-{}.sig", digest("f").hex());
    let mut deck = Remote::in_tags(160, 50, &[&TAGS.map(|(tag, ..)| tag)[..], &[&signature]].concat());
    list(&mut deck, &[]);
    deck.stand_still();
    deck.detail(TAGS.iter().map(|(tag, seed, days)| details(tag, seed, 1, *days)).collect());
    deck.press("Rdrop pr-* older than 14d, protect sha256-*");
    deck.enter();
    look(&mut deck, None, &[(&signature, "signature")]);
    let lines: Vec<_> = deck.state.plan.lines.iter().map(|line| (line.operation.verb, line.operation.refused().is_some())).collect();
    assert_eq!(lines, [(Verb::DeleteTag, false), (Verb::DeleteTag, true)], "{:?}", deck.state.plan.lines);
}

#[test]
fn a_policy_is_read_from_a_file_and_written_into_one() {
    let mut deck = deck();
    deck.press("Rdrop pr-*");
    deck.tell(Msg::Key { chord: "Ctrl-s".parse().unwrap(), held: false });
    deck.enter();
    let Some(Effect::Start(id, Job::SavePolicy { text, file })) = deck.effects.last().cloned() else { panic!("{:?}", deck.effects.last()) };
    assert_eq!(file.to_str(), Some("retention.toml"));
    let policy = lighterman::curate::retention::Policy::parse(&text).unwrap();
    assert_eq!((policy.rules.len(), policy.rules[0].words.as_str()), (1, "drop pr-*"));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Saved(file))));
    assert!(toast(&deck).contains("lighterman policy check retention.toml"), "{}", toast(&deck));
    deck.tell(Msg::Key { chord: "Ctrl-u".parse().unwrap(), held: false });
    deck.press("@team.toml");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::ReadPolicy { file } if file.to_str() == Some("team.toml")));
    let toml =
        "repositories = [\"other.example.com/**\"]\n[[rule]]\nname = \"old odd ones\"\nmatch = { tag = \"odd\" }\naction = \"drop\"\n";
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Text(toml.to_owned()))));
    assert!(toast(&deck).contains("names other repositories"), "{}", toast(&deck));
    assert_eq!((dropped(&deck), of(&deck, "odd").1), (vec!["odd".to_owned()], "rule 1: old odd ones".to_owned()));
    deck.enter();
    assert_eq!(views(&deck), 1);
    // A file with a mistake is said so, and changes nothing.
    let mut deck = self::deck();
    deck.press("R@x");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::ReadPolicy { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Text("[[rule]]\nmatch = {}\n".to_owned()))));
    assert!(toast(&deck).contains("read the policy") && deck.state.registries.what_if().unwrap().report().is_none(), "{}", toast(&deck));
}

#[test]
fn a_read_only_registry_shows_and_plans_nothing() {
    let mut deck = deck();
    let closed = |info: &mut lighterman::model::SourceInfo| info.read_only = info.id == registry();
    deck.state.sources.all.value.as_mut().unwrap().iter_mut().for_each(closed);
    deck.press("Rdrop pr-*");
    assert_eq!(dropped(&deck).len(), 2);
    deck.enter();
    assert!(toast(&deck).contains("Read-only") && views(&deck) == 0, "{}", toast(&deck));
}

#[test]
fn a_list_that_is_asked_for_again_is_decided_over_again() {
    let mut deck = deck();
    deck.press("Rdrop pr-*");
    let tags = Job::Tags { source: registry(), repository: "acme/web".to_owned() };
    deck.tell(Msg::Act(lighterman::flow::Action::Refresh));
    let id = deck.job(|job| *job == tags);
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&["pr-9", "v1.1.1"])))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(2)))));
    assert_eq!(deck.state.registries.what_if().unwrap().unread(), 2, "what was read before may have moved");
    assert_eq!(decisions(&deck).len(), 2);
    // Another repository is another question.
    deck.key(Key::Esc);
    assert!(deck.state.registries.what_if().is_none());
}

#[test]
fn it_is_drawn_at_any_size() {
    let mut deck = deck();
    deck.press("Rdrop '\u{202e}日本語' older than 1d, keep only last 1 of v{semver}, dro");
    for (width, height) in [(1, 1), (40, 10), (60, 12), (80, 24), (120, 40), (300, 90)] {
        scene::size(&mut deck.state, width, height);
        let (_, caret) = scene::draw(&deck.state, &scene::dark());
        assert!(width < 40 || caret.is_some_and(|(x, y)| x < width && y < height), "{width}x{height}: {caret:?}");
    }
    scene::size(&mut deck.state, 80, 24);
    let text = screen(&deck);
    assert!(text.contains("a rule begins with"), "what is wrong has half of the line: {text}");
}

#[test]
fn labels_are_read_where_a_rule_asks_for_them() {
    let mut deck = deck();
    deck.press("Rdrop pr-*");
    let asked = |deck: &Remote| deck.jobs(|job| matches!(job, Job::Labels { .. }));
    assert_eq!((dropped(&deck).len(), asked(&deck)), (2, 0));
    deck.press(", keep by label");
    assert_eq!(asked(&deck), 1, "and not once a key");
    // The first rule decides first.
    deck.tell(Msg::Key { chord: "Ctrl-u".parse().unwrap(), held: false });
    deck.press("keep by label, drop pr-*");
    assert_eq!(of(&deck, "pr-3").0, Decision::Unknown, "not knowing never deletes");
    assert!(screen(&deck).contains("labels of 8 not read yet"), "{}", screen(&deck));
    deck.enter();
    assert!(toast(&deck).contains("The labels of 8 tags are not read yet"), "{}", toast(&deck));
    let id = deck.job(|job| matches!(job, Job::Labels { .. }));
    let Job::Labels { source, repository, details } = deck.state.jobs[&id].clone() else { panic!() };
    assert_eq!((source, repository.as_str(), details.len()), (registry(), "acme/web", 8));
    let keep: lighterman::model::Labels = [("retention".into(), "keep".into())].into();
    let answer = |seed: &str| match seed {
        "e" => Ok(keep.clone()),
        "g" => Err(Problem::new(ProblemKind::Corrupt, "read", "no configuration")),
        _ => Ok(lighterman::model::Labels::new()),
    };
    let answers = TAGS.iter().map(|(_, seed, _)| (digest(seed), answer(seed))).collect();
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Labels(answers))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Told)));
    assert_eq!((dropped(&deck), of(&deck, "pr-9").0), (vec!["pr-3".to_owned()], Decision::Keep));
    assert_eq!(of(&deck, "odd").0, Decision::Unknown, "what can't be read stays");
    assert!(screen(&deck).contains("labels not known here"), "{}", screen(&deck));
    assert_eq!(asked(&deck), 1, "nothing is asked for twice");
    deck.enter();
    assert_eq!(views(&deck), 1);
}
