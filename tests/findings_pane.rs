//! The Findings pane with its keys: what it asks for and when, what it shows, and what becomes of what is typed. Nothing is read: jobs are answered here.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are not inside test functions")]

#[path = "common/scene.rs"]
mod scene;

use std::path::PathBuf;

use jiff::civil::date;
use lighterman::app::{State, update};
use lighterman::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Msg, Shared};
use lighterman::model::finding::Suppression;
use lighterman::model::findings::{Grouping, Reach};
use lighterman::model::{Problem, ProblemKind};
use lighterman::pane::PaneId;
use scene::found;

fn deck() -> State {
    scene::full(120, 40)
}

fn key(state: &mut State, key: Key) -> Vec<Effect> {
    update(state, Msg::Key { chord: Chord::plain(key), held: false })
}

fn press(state: &mut State, keys: &str) -> Vec<Effect> {
    keys.chars().flat_map(|c| update(state, Msg::Key { chord: Chord::char(c), held: false })).collect()
}

/// As [`press`], with all that is asked for carried out after each key.
fn play(state: &mut State, keys: &str) {
    for c in keys.chars() {
        press(state, &c.to_string());
        found::settle(state);
    }
}

fn scans(state: &State) -> Vec<(JobId, Reach)> {
    let scan = |(id, job): (&JobId, &Job)| if let Job::Scan { reach, .. } = job { Some((*id, *reach)) } else { None };
    state.jobs.iter().filter_map(scan).collect()
}

fn on_screen(state: &State, words: &str) -> bool {
    scene::draw_text(state).contains(words)
}

#[test]
fn settings_are_looked_at_as_the_cursor_goes_and_layers_only_on_the_key() {
    let mut state = deck();
    assert!(on_screen(&state, "the layers were not looked into: s looks into them"));
    assert_eq!(scans(&state), []);
    press(&mut state, "s");
    assert_eq!((state.focus, scans(&state).len(), scans(&state)[0].1), (PaneId::Findings, 1, Reach::Whole));
    assert!(on_screen(&state, "curl-pipe-shell"), "what is known stays on the screen meanwhile");
    found::settle(&mut state);
    assert!(on_screen(&state, "github-token") && on_screen(&state, "9 findings"));
    // Of an image that was looked at, all is there at once.
    let key = state.layers.key.clone();
    scene::select(&mut state, 0, scene::history());
    assert_ne!(state.findings.key, key);
    assert!(!on_screen(&state, "github-token"));
    let row = state
        .images
        .rows
        .iter()
        .position(|row| state.images.at(*row).unwrap().1.is_some_and(|name| name.raw().ends_with("quay-api:2.14.1")));
    scene::select(&mut state, row.unwrap(), scene::history());
    assert!(on_screen(&state, "github-token"));
}

#[test]
fn what_it_came_to_stands_in_the_list_and_can_be_filtered_by() {
    let mut state = deck();
    assert!(!on_screen(&state, "Found"));
    play(&mut state, "s1");
    assert!(on_screen(&state, "Found") && on_screen(&state, "CRIT 3"));
    let all = state.images.rows.len();
    press(&mut state, "/");
    press(&mut state, "severity:high");
    let shown = state.images.rows.len();
    assert!(shown > 0 && shown < all, "{shown} of {all}");
    key(&mut state, Key::Esc);
    // Turning to another source takes nothing of it away.
    let gists = state.images.gists.len();
    press(&mut state, "w2");
    assert_eq!(state.images.gists.len(), gists);
}

#[test]
fn who_looks_elsewhere_is_not_told_of_what_is_not_looked_at_any_more() {
    let mut state = deck();
    press(&mut state, "s");
    let (id, _) = scans(&state)[0];
    press(&mut state, "1");
    // The next row is another tag of the same image.
    let effects = press(&mut state, "jj");
    assert!(effects.contains(&Effect::Cancel(id)), "{effects:?}");
    let late = Msg::Job(id, JobEvent::Done(JobOutput::Scanned(Shared::new(found::whole()))));
    update(&mut state, late);
    assert!(state.findings.scan.is_none());
}

#[test]
fn escape_stops_looking_and_keeps_what_was_found() {
    let mut state = deck();
    press(&mut state, "s");
    let (id, _) = scans(&state)[0];
    let effects = key(&mut state, Key::Esc);
    assert!(effects.contains(&Effect::Cancel(id)));
    assert!(state.findings.job.is_none() && on_screen(&state, "curl-pipe-shell"));
    key(&mut state, Key::Esc);
    assert_eq!(state.focus, PaneId::Images, "the next one goes back");
}

#[test]
fn a_scan_that_fails_says_why_and_what_was_known_stays() {
    let mut state = deck();
    press(&mut state, "s");
    let (id, _) = scans(&state)[0];
    let problem = Problem::new(ProblemKind::Unreachable, "look what is wrong with the image", "the engine is gone");
    update(&mut state, Msg::Job(id, JobEvent::Failed(problem)));
    assert!(on_screen(&state, "the engine is gone") && on_screen(&state, "curl-pipe-shell"));
    assert!(state.findings.job.is_none());
}

#[test]
fn groups_fold_and_the_cursor_stays_on_its_finding() {
    let mut state = deck();
    play(&mut state, "sjj");
    let selected = state.findings.selected().unwrap().key;
    play(&mut state, "a");
    assert_eq!(state.findings.selected().unwrap().key, selected, "more rows came");
    play(&mut state, "h");
    assert!(state.findings.selected().is_none() && !on_screen(&state, "github-token"));
    play(&mut state, "l");
    assert!(on_screen(&state, "github-token"));
    play(&mut state, "m");
    assert_eq!(state.findings.look.grouping, Grouping::Package);
    assert!(on_screen(&state, "by package") && on_screen(&state, "zlib1g 1"));
}

#[test]
fn the_filter_follows_each_key_and_a_mistake_leaves_it() {
    let mut state = deck();
    play(&mut state, "s/severity:high");
    assert!(on_screen(&state, "4 of 9"));
    play(&mut state, "est");
    assert!(on_screen(&state, "severity: write") && on_screen(&state, "CVE-2024-0727"));
    key(&mut state, Key::Esc);
    found::settle(&mut state);
    assert!(state.findings.look.filter.is_empty() && on_screen(&state, "setuid"));
    play(&mut state, "f");
    assert!(on_screen(&state, "3 findings") && !on_screen(&state, "setuid"));
    key(&mut state, Key::Esc);
    found::settle(&mut state);
    assert!(on_screen(&state, "setuid"), "back takes the filter away first");
}

#[test]
fn ignoring_asks_why_and_until_when() {
    let mut state = deck();
    play(&mut state, "sj");
    let id = state.findings.selected().unwrap().id.clone();
    press(&mut state, "i");
    assert!(on_screen(&state, "Ignore: why?"));
    press(&mut state, "nobody calls it until 2020-01-01");
    assert!(on_screen(&state, "that day is over"));
    assert_eq!(key(&mut state, Key::Enter), [], "a day in the past ignores nothing");
    for _ in 0.."2020-01-01".len() {
        key(&mut state, Key::Backspace);
    }
    press(&mut state, "2099-05-31");
    let effects = key(&mut state, Key::Enter);
    let Some(Effect::Start(job, Job::Ignore { finding, statement, expired_at, with })) = effects.first().cloned() else {
        panic!("{effects:?}")
    };
    assert_eq!((&finding.id, statement.as_str(), expired_at), (&id, "nobody calls it", Some(date(2099, 6, 1))));
    let mut scan = with.take();
    let ignored = scan.findings.iter_mut().find(|one| one.key == finding.key).unwrap();
    ignored.suppressed = Some(Suppression { by: "ignore.yaml".into(), status: "ignored".into(), reason: "".into(), until: None });
    let done = JobOutput::Ignored { scan: Shared::new(scan), file: PathBuf::from("/home/ana/ignore.yaml") };
    update(&mut state, Msg::Job(job, JobEvent::Done(done)));
    assert_eq!(scans(&state), [], "nothing is looked at again for it");
    // What is ignored is so already.
    found::settle(&mut state);
    assert!(on_screen(&state, "8 findings") && on_screen(&state, "2 ignored"));
    play(&mut state, "aG");
    while state.findings.selected().is_none_or(|finding| finding.suppressed.is_none()) {
        play(&mut state, "k");
    }
    press(&mut state, "i");
    assert!(state.overlays.is_empty() && on_screen(&state, "it is ignored already"));
}

#[test]
fn a_report_stays_with_its_image() {
    let mut state = deck();
    press(&mut state, "4I");
    press(&mut state, "~/trivy.json");
    let effects = key(&mut state, Key::Enter);
    let Some(Effect::Start(job, Job::ImportReport { file, .. })) = effects.first().cloned() else { panic!("{effects:?}") };
    assert_eq!(file, PathBuf::from("~/trivy.json"));
    update(&mut state, Msg::Job(job, JobEvent::Done(JobOutput::Scanned(Shared::new(found::whole())))));
    found::settle(&mut state);
    assert!(on_screen(&state, "The report of Trivy is put together"));
    let effects = press(&mut state, "s");
    let again = |effect: &Effect| matches!(effect, Effect::Start(_, Job::Scan { imports, .. }) if imports.len() == 1);
    assert!(effects.iter().any(again), "{effects:?}");
}

#[test]
fn what_is_seen_is_written_and_explained() {
    let mut state = deck();
    play(&mut state, "sfe");
    assert!(on_screen(&state, "Write the findings") && on_screen(&state, "/home/ana/findings.sarif"));
    let effects = key(&mut state, Key::Enter);
    let Some(Effect::Start(_, Job::SaveFindings { look, file, .. })) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((look.filter.text(), file.as_path()), ("fixable", std::path::Path::new("/home/ana/findings.sarif")));
    play(&mut state, "fj");
    key(&mut state, Key::Enter);
    assert!(on_screen(&state, "Inspect") && on_screen(&state, "What it is in, and what mends it"));
    key(&mut state, Key::Esc);
    update(&mut state, Msg::Act(Action::AboutScan));
    assert!(on_screen(&state, "Who looked") && on_screen(&state, "HEALTHCHECK: there is none"));
    key(&mut state, Key::Esc);
    assert_eq!(state.overlays.len(), 0);
}

#[test]
fn nothing_of_a_hostile_finding_steers_the_terminal() {
    let mut state = deck();
    press(&mut state, "s");
    let (id, _) = scans(&state)[0];
    let mut scan = found::whole();
    for finding in &mut scan.findings {
        let evil = "\u{1b}[2J\u{202e}\u{7}\n\u{9b}31m";
        finding.id = evil.into();
        finding.title = evil.repeat(50).as_str().into();
        finding.description = evil.into();
        finding.path = Some(evil.into());
        finding.links = vec![evil.into()];
    }
    scan.reports[0].scanner.name = "\u{1b}]0;x\u{7}".into();
    scan.problems.push(Problem::new(ProblemKind::Other, "\u{1b}[31m", "\u{1b}[31m"));
    update(&mut state, Msg::Job(id, JobEvent::Done(JobOutput::Scanned(Shared::new(scan)))));
    found::settle(&mut state);
    for keys in ["", "j", "+", "mmmm"] {
        play(&mut state, keys);
        assert!(!scene::draw_text(&state).chars().any(|c| c.is_control() && c != '\n'));
    }
    key(&mut state, Key::Enter);
    assert!(!scene::draw_text(&state).chars().any(|c| c.is_control() && c != '\n'));
}
