//! The Registries pane without a terminal or a registry: keys and job events in, state and effects out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "the deck of a test fails the test when it breaks"
)]

mod common;
#[path = "common/scene.rs"]
mod scene;

use common::remote::{Remote, complete, details, digest, index, registry, rows};
use lighterman::app::overlay::Overlay;
use lighterman::flow::{Action, Job, JobEvent, JobOutput, Key, Msg};
use lighterman::model::remote::Held;
use lighterman::model::{
    Change, Completeness, CopyFrom, Foreign, ImageKey, Listed, Name, Problem, ProblemKind, Quota, RepositoryView, Safe,
};
use lighterman::pane::PaneId;
use lighterman::pane::registries::Level;

#[test]
fn enter_goes_deeper_and_esc_comes_back_without_asking_again() {
    let mut deck = Remote::in_tags(120, 40, &["1.0", "latest"]);
    assert_eq!((deck.state.registries.level, deck.tags()), (Level::Tags, vec!["1.0", "latest"]));
    deck.key(Key::Esc);
    assert_eq!(deck.state.registries.level, Level::Repositories);
    deck.key(Key::Esc);
    assert_eq!(deck.state.registries.level, Level::Hosts);
    deck.enter();
    assert_eq!((deck.state.registries.level, deck.jobs(|job| matches!(job, Job::Repositories { .. }))), (Level::Repositories, 1));
    for _ in 0..9 {
        deck.key(Key::Esc);
    }
    assert!(!deck.state.quitting);
}

#[test]
fn a_registry_of_several_namespaces_is_folded_and_a_filter_opens_what_it_finds() {
    let mut deck = Remote::in_repositories(120, 40, &["acme/web", "acme/api", "tools/ci", "redis"]);
    let labels = |deck: &Remote| deck.state.registries.repositories.rows.len();
    assert_eq!(labels(&deck), 3, "acme/, redis, tools/");
    deck.press("l");
    assert_eq!(labels(&deck), 5);
    deck.press("jh");
    assert_eq!((labels(&deck), deck.state.registries.repositories.cursor.at), (3, 0), "folding from within goes to the namespace");
    deck.press("/=tools/ci");
    deck.enter();
    assert_eq!(labels(&deck), 2, "tools/ and ci");
    deck.key(Key::Esc);
    deck.press("m");
    assert_eq!(labels(&deck), 4, "one list");
}

#[test]
fn versions_come_newest_first_and_what_is_seen_is_asked_for_first() {
    let many: Vec<String> = (0..3000).map(|n| format!("1.{n}.0")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut deck = Remote::in_tags(120, 40, &many);
    assert_eq!(deck.tags()[..2], ["1.2999.0", "1.2998.0"]);
    deck.stand_still();
    let id = deck.job(|job| matches!(job, Job::Details { .. }));
    let Some(Job::Details { tags, source, repository }) = deck.state.jobs.get(&id).cloned() else { panic!() };
    assert_eq!((source, repository.as_str(), tags.len(), tags[0].as_str()), (registry(), "acme/web", 1000, "1.2999.0"));
    // Far down, what is seen there goes before the rest, and the older question is no longer waited for.
    deck.press("G");
    deck.stand_still();
    let later = deck.job(|job| matches!(job, Job::Details { .. }));
    let Some(Job::Details { tags, .. }) = deck.state.jobs.get(&later).cloned() else { panic!() };
    assert!(later != id && !deck.state.jobs.contains_key(&id) && tags[..50].contains(&"1.0.0".to_owned()));
    // What came is not asked for again.
    let answers = tags.iter().map(|tag| details(tag, tag, 1, 1)).collect();
    deck.detail(answers);
    let asked = deck.jobs(|job| matches!(job, Job::Details { .. }));
    deck.press("k");
    deck.stand_still();
    deck.stand_still();
    assert_eq!(deck.jobs(|job| matches!(job, Job::Details { .. })), asked);
}

#[test]
fn tags_of_one_digest_are_counted_and_stand_together_when_asked() {
    let mut deck = Remote::in_tags(120, 40, &["3", "2", "1", "latest"]);
    deck.stand_still();
    deck.detail(vec![details("3", "a", 30, 1), details("2", "b", 20, 2), details("1", "c", 10, 3), details("latest", "a", 30, 1)]);
    assert_eq!(deck.state.registries.tags.same[&digest("a")], 2);
    assert_eq!(deck.tags(), ["3", "2", "1", "latest"]);
    deck.press("D");
    assert_eq!(deck.tags(), ["3", "latest", "2", "1"]);
    deck.press("DC");
    assert_eq!(deck.tags(), ["3", "latest", "2", "1"], "the youngest first");
    deck.press("S");
    assert_eq!(deck.tags()[3], "1", "the largest first");
    // The Layers pane follows, by digest: what was read once stays true.
    deck.press("g");
    let Some((source, ImageKey::Name(reference))) = deck.state.layers.key.clone() else { panic!() };
    assert_eq!((source, reference.digest()), (registry(), Some(digest("a").as_str())));
}

#[test]
fn signatures_kept_as_tags_are_no_rows_and_hostile_tags_can_not_be_acted_on() {
    let signature = format!("sha256-{}.sig", digest("a").hex());
    let mut deck = Remote::in_tags(120, 40, &["1", &signature, "\u{1b}[2J"]);
    assert_eq!(deck.tags().len(), 2);
    let hostile = deck.tags().iter().position(|tag| tag.starts_with('\u{1b}')).unwrap();
    deck.stand_still();
    let id = deck.job(|job| matches!(job, Job::Details { .. }));
    assert!(matches!(&deck.state.jobs[&id], Job::Details { tags, .. } if tags.len() == 1), "it is never put into a URL");
    deck.press("g");
    for _ in 0..hostile {
        deck.press("j");
    }
    deck.press(" dt");
    assert!(deck.state.overlays.is_empty() && deck.state.registries.tags.marks.is_empty());
}

#[test]
fn delete_looks_at_the_repository_and_names_what_shares_the_digest() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1", "latest"]);
    deck.press(" d");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    assert_eq!(
        deck.state.jobs[&id],
        Job::View { source: registry(), repository: "acme/web".into(), tags: vec!["2".into()], digests: vec![] },
        "also before it is known what the tag points at"
    );
    assert!(deck.state.plan.lines.is_empty() && deck.state.focus == PaneId::Plan);
    let kind = Foreign::new("application/vnd.oci.image.manifest.v1+json");
    let at = |seed: &str| (digest(seed), kind.clone());
    let view = RepositoryView {
        source: registry(),
        name: "registry.example.com/acme/web".into(),
        tags: [("2".to_owned(), at("a")), ("1".to_owned(), at("b")), ("latest".to_owned(), at("a"))].into(),
        indexes: std::collections::BTreeMap::new(),
        referrers: std::collections::BTreeMap::new(),
        held: std::collections::BTreeMap::new(),
        completeness: Completeness::Complete,
    };
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view)))));
    let line = deck.state.plan.lines[0].operation.clone();
    assert_eq!((line.before, line.after, line.shares), (Some(digest("a")), None, vec![Foreign::new("latest")]));
    assert!(line.effects[0].raw().contains("untag only"), "{:?}", line.effects);
    deck.press("xy");
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    // When it ended, the tags are read again.
    let before = deck.jobs(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "run the plan", "gone"))));
    assert_eq!(deck.jobs(|job| matches!(job, Job::Tags { .. })), before + 1);
    assert_eq!(deck.tags().len(), 3, "the rows stay while they are read");
    let list = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(list, JobEvent::Chunk(JobOutput::Tags(rows(&["1"])))));
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Listed(complete(1)))));
    assert_eq!((deck.tags(), deck.state.registries.tags.marks.len()), (vec!["1"], 0));
}

/// The repository with these tags, each at a digest of its own.
fn view_of(tags: &[&str]) -> RepositoryView {
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

#[test]
fn an_older_look_that_comes_late_does_not_replace_a_wider_one() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.press("d");
    let first = deck.job(|job| matches!(job, Job::View { .. }));
    deck.key(Key::Esc);
    deck.press("jd");
    let second = deck.job(|job| matches!(job, Job::View { .. }));
    assert!(matches!(&deck.state.jobs[&second], Job::View { tags, .. } if tags.len() == 2), "for all that is wanted");
    let signature = (digest("signature"), Some(format!("sha256-{}.sig", digest("1").hex())));
    let mut wide = view_of(&["1", "2"]);
    wide.referrers.insert(digest("1"), vec![signature]);
    deck.tell(Msg::Job(second, JobEvent::Done(JobOutput::Viewed(Box::new(wide)))));
    deck.tell(Msg::Job(first, JobEvent::Done(JobOutput::Viewed(Box::new(view_of(&["1", "2"]))))));
    let referred = |deck: &Remote| deck.state.plan.lines.iter().filter(|line| !line.operation.referrers.is_empty()).count();
    assert_eq!(referred(&deck), 1);
    // What is wanted next and can't be looked at is dropped, and the rest stays.
    deck.tell(Msg::Act(Action::FocusRegistries));
    deck.press("kd");
    let lines = deck.state.plan.lines.len();
    let third = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(third, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "look", "gone"))));
    assert_eq!((deck.state.plan.lines.len(), referred(&deck)), (lines, 1));
}

#[test]
fn what_manifests_hold_is_read_after_the_look_and_holds_nothing_up() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.press("d");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    let view = view_of(&["1", "2"]);
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view.clone())))));
    let job = deck.job(|job| matches!(job, Job::Weigh { .. }));
    let digests = vec![digest("2"), digest("1")];
    assert_eq!(deck.state.jobs[&job], Job::Weigh { source: registry(), repository: "acme/web".into(), digests }, "what goes first");
    let of = |deck: &Remote| (deck.state.plan.totals().freed_at_least, deck.state.plan.totals().freed_at_most, deck.state.plan.basis());
    assert_eq!(of(&deck), (0, 0, None));
    deck.press("x");
    assert!(!deck.state.overlays.is_empty(), "it may run before");
    deck.key(Key::Esc);
    let held = |own: &str| Held { size: 1, blobs: Some(vec![(digest("base"), 100), (digest(own), 10)]), children: vec![] };
    deck.tell(Msg::Job(job, JobEvent::Done(JobOutput::Held([(digest("2"), held("own-2"))].into()))));
    assert_eq!(of(&deck), (0, 111, Some("based on 1 of 2 manifests".into())));
    // The next look asks for the rest.
    deck.tell(Msg::Act(Action::FocusRegistries));
    deck.press("jd");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view)))));
    let job = deck.job(|job| matches!(job, Job::Weigh { .. }));
    assert!(matches!(&deck.state.jobs[&job], Job::Weigh { digests, .. } if *digests == [digest("1")]));
    deck.tell(Msg::Job(job, JobEvent::Done(JobOutput::Held([(digest("1"), held("own-1"))].into()))));
    assert_eq!(of(&deck), (122, 122, None), "the layer they share counts once");
}

#[test]
fn a_switch_of_the_engine_leaves_the_look_alone() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.press("d");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.press("w");
    deck.press("j");
    deck.enter();
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Viewed(Box::new(view_of(&["1", "2"]))))));
    assert!(!deck.state.plan.is_looking() && deck.state.plan.lines.len() == 1);
}

#[test]
fn a_repository_that_can_not_be_looked_at_has_no_lines() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.press("d");
    let id = deck.job(|job| matches!(job, Job::View { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "look", "gone"))));
    assert!(deck.state.plan.is_empty());
    deck.press("x");
    assert!(deck.state.overlays.is_empty());
}

#[test]
fn a_list_that_may_not_be_whole_takes_nothing_away() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.press("r");
    let list = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(list, JobEvent::Chunk(JobOutput::Tags(rows(&["1"])))));
    let cut = Listed { count: 1, odd: 0, completeness: Completeness::Incomplete(Safe::new("the next page was refused")) };
    deck.tell(Msg::Job(list, JobEvent::Done(JobOutput::Listed(cut))));
    assert_eq!(deck.tags(), ["2", "1"]);
    // Nor does a registry that is down.
    deck.press("r");
    let list = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(list, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "list the tags", "connection refused"))));
    assert_eq!((deck.tags().len(), deck.state.registries.tags.problem.is_some()), (2, true));
}

#[test]
fn a_new_tag_is_given_at_once_and_a_moved_one_is_asked_for() {
    let mut deck = Remote::in_tags(120, 40, &["2", "1"]);
    deck.stand_still();
    deck.detail(vec![details("2", "a", 1, 1), details("1", "b", 1, 1)]);
    deck.press("t");
    deck.key(Key::Backspace);
    deck.press("stable");
    deck.enter();
    let lines = |deck: &Remote| -> Vec<(String, Option<lighterman::model::Digest>, Option<lighterman::model::Digest>)> {
        let all = deck.effects.iter().filter_map(|effect| match effect {
            lighterman::flow::Effect::Start(_, Job::Apply(applying)) => Some(&applying.plan.operations[0]),
            _ => None,
        });
        all.map(|line| (line.target.to_string(), line.before.clone(), line.after.clone())).collect()
    };
    let to = |tag: &str, replaces| (format!("registry.example.com/acme/web:{tag}"), replaces, Some(digest("a")));
    assert_eq!(lines(&deck), [to("stable", None)]);
    let id = deck.job(|job| matches!(job, Job::Apply(_)));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unreachable, "run the plan", "gone"))));
    deck.press("t");
    deck.key(Key::Backspace);
    deck.press("1");
    deck.enter();
    assert_eq!(lines(&deck).len(), 1, "asked first");
    deck.press("y");
    assert_eq!(lines(&deck).last(), Some(&to("1", Some(digest("b")))));
}

#[test]
fn a_copy_says_what_it_would_replace() {
    let mut deck = Remote::in_tags(120, 40, &["1"]);
    deck.stand_still();
    deck.detail(vec![details("1", "a", 1, 1)]);
    deck.press("c");
    for _ in 0.."registry.example.com/acme/web:1".len() {
        deck.key(Key::Backspace);
    }
    deck.press("other.example.com/prod/web:1");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::PreviewCopy { .. }));
    let Job::PreviewCopy { source, copy } = deck.state.jobs[&id].clone() else { panic!() };
    assert_eq!(source.0, "registry:other.example.com");
    assert_eq!(
        (copy.expected.clone(), copy.from.clone()),
        (Some(digest("a")), CopyFrom::Registry(Name::new("registry.example.com/acme/web:1")))
    );
    let mut copy = copy;
    copy.replaces = Some(digest("old"));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::CopyPreview(copy.clone()))));
    let Some(Overlay::Confirm(confirm)) = deck.state.overlays.last() else { panic!("a dialog") };
    assert!(confirm.lines.iter().any(|(_, line)| line.as_str().contains("will be moved")));
    deck.press("y");
    assert_eq!(deck.changes(), [&Change::Copy { source, copy: *copy }]);
}

#[test]
fn an_index_shows_its_platforms_and_what_refers_to_it() {
    let mut deck = Remote::in_tags(120, 40, &["1"]);
    deck.stand_still();
    deck.detail(vec![index("1", "multi")]);
    deck.enter();
    assert_eq!((deck.state.registries.level, deck.state.registries.parts.rows.len()), (Level::Parts, 3));
    assert_eq!(deck.jobs(|job| matches!(job, Job::Referrers { .. })), 1);
    deck.press("j");
    let Some((_, ImageKey::Name(reference))) = deck.state.layers.key.clone() else { panic!() };
    assert_eq!(reference.digest(), Some(digest("multi-arm64").as_str()));
    // One platform alone can be copied.
    deck.press("c");
    deck.key(Key::Backspace);
    deck.press("2");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::PreviewCopy { .. }));
    let Job::PreviewCopy { copy, .. } = deck.state.jobs[&id].clone() else { panic!() };
    assert_eq!((copy.platforms.len(), copy.platforms[0].to_string(), copy.expected), (1, "linux/arm64".to_owned(), Some(digest("multi"))));
    deck.key(Key::Esc);
    deck.press("j");
    assert_eq!(deck.state.layers.key, None, "an attestation is no image");
    deck.press("c");
    assert!(deck.state.overlays.is_empty());
    deck.press("k");
    deck.enter();
    assert_eq!(deck.state.focus, PaneId::Layers);
    deck.key(Key::Esc);
    assert_eq!(deck.state.focus, PaneId::Registries, "back to where one came from");
}

#[test]
fn a_typed_registry_is_gone_to_and_remembered() {
    let mut deck = Remote::new(120, 40, false);
    deck.press("2a");
    deck.press("nonsense");
    deck.enter();
    assert!(matches!(deck.state.overlays.last(), Some(Overlay::Prompt(prompt)) if prompt.note.is_err()));
    for _ in 0..8 {
        deck.key(Key::Backspace);
    }
    deck.press("localhost:5000/team/app");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Open(_)));
    let info = deck.state.sources.all.value.as_ref().unwrap()[2].clone();
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Opened(info))));
    assert_eq!(
        (deck.state.registries.level, deck.state.registries.repository().as_deref()),
        (Level::Tags, Some("localhost:5000/team/app"))
    );
    assert!(deck.effects.contains(&lighterman::flow::Effect::Remember));
    // What was looked for meanwhile doesn't know of it.
    deck.press("w");
    deck.key(Key::Esc);
    let discover = deck.job(|job| matches!(job, Job::Discover));
    let engine = deck.state.sources.all.value.as_ref().unwrap()[0].clone();
    deck.tell(Msg::Job(discover, JobEvent::Done(JobOutput::Sources(vec![engine]))));
    assert_eq!(deck.state.registries.hosts.rows.len(), 1);
    assert_eq!(deck.state.sources.current.as_ref().unwrap().0, "engine:test", "the images are still the engine's");
}

#[test]
fn two_registries_may_have_a_repository_of_one_name() {
    let mut deck = Remote::in_tags(120, 40, &["1.0"]);
    deck.key(Key::Esc);
    deck.key(Key::Esc);
    deck.press("j");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Repositories { .. }));
    let row = lighterman::model::RepoRow { name: "acme/web".into(), fit: true };
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Repositories(vec![row]))));
    deck.press("j");
    deck.enter();
    assert_eq!(deck.state.registries.repository().as_deref(), Some("localhost:5000/acme/web"));
    assert!(deck.tags().is_empty(), "nothing of the other registry's stays");
}

#[test]
fn a_read_only_registry_offers_no_change() {
    let mut deck = Remote::new(120, 40, true);
    deck.press("2");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Repositories { .. }));
    deck.tell(Msg::Job(id, JobEvent::Failed(Problem::new(ProblemKind::Unsupported, "list the repositories", "the catalog is refused"))));
    assert!(deck.state.is_read_only());
    for action in [Action::Retag, Action::Delete, Action::CopyTo] {
        assert!(lighterman::app::actions::available(&deck.state, action).is_err());
    }
}

#[test]
fn a_hundred_thousand_tags_are_one_list() {
    let many: Vec<String> = (0..100_000).map(|n| format!("v{}.{}.{}", n / 1000, n / 10 % 100, n % 10)).collect();
    let mut deck = Remote::in_tags(120, 40, &["x"]);
    deck.press("r");
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    for page in many.chunks(1000) {
        let page: Vec<&str> = page.iter().map(String::as_str).collect();
        deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&page)))));
    }
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(100_000)))));
    assert_eq!((deck.tags().len(), deck.tags()[0]), (100_000, "v99.99.9"));
    deck.press("/tag:v7.*");
    deck.enter();
    assert_eq!(deck.tags().len(), 1000);
}

#[test]
fn a_login_is_typed_unseen_and_what_was_refused_is_asked_for_again() {
    use lighterman::model::{LoggedIn, Login, Secret};
    let mut deck = Remote::in_repositories(120, 40, &["acme/web"]);
    let asked = deck.jobs(|job| matches!(job, Job::Repositories { .. }));
    deck.press("L");
    deck.press("anna");
    deck.enter();
    deck.press(" hunter2 ");
    let screen = scene::draw(&deck.state, &scene::dark()).0;
    let screen: String = screen.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(!screen.contains("hunter2") && screen.contains("•••••••••"), "{screen}");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::LogIn { .. }));
    let job = deck.state.jobs[&id].clone();
    assert!(!format!("{job:?}").contains("hunter2"), "{job:?}");
    let login = Login { username: "anna".into(), secret: Secret::new(" hunter2 ".into()) };
    assert_eq!(job, Job::LogIn { source: registry(), login });
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::LoggedIn(LoggedIn::ForThisRun))));
    assert_eq!(deck.jobs(|job| matches!(job, Job::Repositories { .. })), asked + 1);
}

#[test]
fn what_was_there_last_time_shows_until_the_registry_answers_and_stays_when_it_does_not() {
    let mut deck = Remote::in_repositories(120, 40, &["acme/web"]);
    deck.press("j");
    deck.enter();
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::KnownTags(rows(&["1.0", "2.0"])))));
    assert_eq!(deck.tags(), ["2.0", "1.0"]);
    let down = Problem::new(ProblemKind::Unreachable, "list the tags", "nobody answers");
    deck.tell(Msg::Job(id, JobEvent::Failed(down)));
    assert_eq!(deck.tags(), ["2.0", "1.0"]);
    let screen: String = scene::draw(&deck.state, &scene::dark()).0.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(screen.contains("as last seen: nobody answers"), "{screen}");
    deck.press("r");
    let id = deck.job(|job| matches!(job, Job::Tags { .. }));
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::KnownTags(rows(&["old"])))));
    assert_eq!(deck.tags(), ["2.0", "1.0"], "what is on the screen is younger");
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Tags(rows(&["2.0", "3.0"])))));
    deck.tell(Msg::Job(id, JobEvent::Done(JobOutput::Listed(complete(2)))));
    assert_eq!(deck.tags(), ["3.0", "2.0"]);
}

#[test]
fn what_a_registry_still_gives_is_on_the_frame() {
    let mut deck = Remote::in_repositories(120, 40, &["acme/web"]);
    let screen = |deck: &Remote| -> String {
        scene::draw(&deck.state, &scene::dark()).0.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    };
    assert!(!screen(&deck).contains("requests left"));
    deck.press("r");
    let id = deck.job(|job| matches!(job, Job::Repositories { .. }));
    let quota = Quota { limit: Some(100), remaining: 7, window: Some(std::time::Duration::from_secs(21_600)) };
    deck.tell(Msg::Job(id, JobEvent::Chunk(JobOutput::Quota(quota))));
    assert!(screen(&deck).contains("7 of 100 requests left, counted over 6 h"));
}
