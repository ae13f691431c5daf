//! Plans and accidents: the process killed at any point, a full disk, a journal that is held, damaged or from the future, a clock set back.
//!
//! The process is killed a few times; with `LIGHTERMAN_TEST_KILLS=200` at every one of its points, which takes some seconds each.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; tests start servers and say what was left out"
)]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::{Program, Ran};
use fake::{Deletes, Fake};
use lighterman::model::{Digest, ProblemKind};
use lighterman::work::journal::{Journal, StepState};
use serde_json::Value;

const LINES: usize = 50;
/// A line passes this many places where the process may be killed.
const POINTS: usize = 4;

fn state_dir(program: &Program) -> PathBuf {
    program.home().join(".local/state/lighterman")
}

/// What every tag is at, as the registry says.
fn tags(program: &Program, repo: &str) -> BTreeMap<String, String> {
    let list = program.json(&["tags", repo, "--details"]);
    let tag = |tag: &Value| (tag["tag"].as_str().unwrap().to_owned(), tag["digest"].as_str().unwrap_or_default().to_owned());
    list["tags"].as_array().unwrap().iter().map(tag).collect()
}

/// How often the process is killed: `usual` times, or what `LIGHTERMAN_TEST_KILLS` says.
fn kills(usual: usize) -> usize {
    std::env::var("LIGHTERMAN_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(usual)
}

/// Points of all there are, spread and seeded so that a failure comes again; from 200 on, every one.
fn points(count: usize) -> Vec<usize> {
    let most = LINES * POINTS;
    // A step that shares no factor with their number comes by all of them.
    (0..count.min(most)).map(|n| 1 + (17 + n * 77) % most).collect()
}

/// The run that was cut short, as the next start tells of it.
fn cut_short(program: &Program) -> (Value, String) {
    let ran = program.run(&["log", "--json"]).ended(0);
    let log = ran.document();
    let id = log[0]["id"].as_str().unwrap().to_owned();
    assert!(ran.stderr.contains(&format!("the run {id} was cut short")), "{}", ran.stderr);
    (program.json(&["log", &id]), id)
}

/// Kills a batch retag at `point`: every tag is old or new, the next start tells exactly which, going on finishes it, and taking back gives
/// every tag back bit for bit.
fn killed_retag(program: &Program, repo: &str, point: usize) {
    let before = tags(program, repo);
    let status = program.command(&["apply", "p", "--yes"]).env("LIGHTERMAN_TEST_KILL", point.to_string()).output().unwrap().status;
    assert_eq!(status.signal(), Some(9), "point {point}");
    let (told, id) = cut_short(program);
    let after = tags(program, repo);
    let lines = told["operations"].as_array().unwrap();
    assert_eq!(lines.len(), LINES);
    let mut open = 0;
    for line in lines {
        let tag = line["target"].as_str().unwrap().rsplit_once(':').unwrap().1;
        let (old, new) = (line["before"].as_str().unwrap(), line["after"].as_str().unwrap());
        let state = line["state"].as_str().unwrap();
        assert_eq!(before[tag], old);
        let expected = if state.starts_with("done") { new } else { old };
        assert_eq!(after[tag], expected, "point {point}, {tag} is told to be {state}");
        open += usize::from(!state.starts_with("done"));
    }
    assert!(program.run(&["log"]).ended(0).stderr.is_empty(), "told once");
    let mut runs = vec![id];
    if open > 0 {
        let resumed = program.json(&["apply", "--resume"]);
        assert_eq!(resumed["done"], open, "point {point}");
        runs.push(resumed["id"].as_str().unwrap().to_owned());
    }
    for (tag, digest) in tags(program, repo) {
        let line = lines.iter().find(|line| line["target"].as_str().unwrap().ends_with(&format!(":{tag}"))).unwrap();
        assert_eq!(line["after"], digest.as_str(), "point {point}, {tag}");
    }
    for run in runs.iter().rev() {
        // Killed before its first line, a run has nothing to take back.
        if program.json(&["log", run])["done"] != 0 {
            program.json(&["undo", run]);
        }
    }
    assert_eq!(tags(program, repo), before, "point {point}");
}

fn plan_retag(program: &Program, repo: &str) {
    let tags = tags(program, repo);
    let digests: Vec<&String> = tags.values().collect();
    let pair = |(n, tag): (usize, &String)| format!("docker://{repo}@{} -> :{tag}", digests[(n + 1) % digests.len()]);
    std::fs::write(program.home().join("pairs"), tags.keys().enumerate().map(pair).collect::<Vec<_>>().join("\n")).unwrap();
    let plan = program.json(&["plan", "retag", "--from", "pairs", "-o", "p"]);
    assert_eq!(plan["operations"].as_array().unwrap().len(), LINES);
}

#[test]
fn a_batch_retag_that_is_killed_is_told_finished_and_taken_back() {
    let registry = Fake::new();
    for n in 0..LINES {
        registry.image("team/app", Some(&format!("t{n:02}")), "amd64", &n.to_string());
    }
    let program = Program::without_engine();
    let repo = format!("{}/team/app", registry.host());
    plan_retag(&program, &repo);
    for point in points(kills(4)) {
        killed_retag(&program, &repo, point);
    }
}

#[test]
fn a_batch_retag_in_a_real_registry_that_is_killed_is_told_finished_and_taken_back() {
    let test = "a_batch_retag_in_a_real_registry_that_is_killed_is_told_finished_and_taken_back";
    let Some(host) = common::registry(test) else { return };
    let program = Program::without_engine();
    let repo = format!("{host}/plan-crash/app");
    for n in 0..5 {
        let spec = ImageSpec::new("x:1").layer(&[("etc/n", n.to_string().as_bytes())]);
        std::fs::write(program.home().join("a.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:a.tar", &format!("docker://{repo}:t{n:02}")]);
    }
    for n in 5..LINES {
        program.json(&["tag", &format!("docker://{repo}:t{:02}", n % 5), &format!("docker://{repo}:t{n:02}")]);
    }
    plan_retag(&program, &repo);
    for point in points(kills(3)) {
        killed_retag(&program, &repo, point);
    }
}

/// Kills the process at one of its DELETEs, before or after the registry carried it out.
#[test]
fn a_batch_delete_that_is_killed_is_told_finished_and_taken_back() {
    for deletes in [Deletes::Spec, Deletes::DigestOnly] {
        let (pid, wait) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (victim, left) = (Arc::clone(&pid), Arc::clone(&wait));
        let registry = Fake::bent(move |request, state| {
            if request.method != "DELETE" || left.load(Ordering::SeqCst) == usize::MAX {
                return None;
            }
            let now = left.fetch_sub(1, Ordering::SeqCst);
            if now > 1 {
                return None;
            }
            left.store(usize::MAX, Ordering::SeqCst);
            let answer = (deletes == Deletes::Spec).then(|| state.answer(request));
            let killed = Command::new("kill").args(["-9", &victim.load(Ordering::SeqCst).to_string()]).status().unwrap();
            assert!(killed.success());
            Some(answer.unwrap_or_else(|| scripted::Reply::status(500)))
        });
        registry.state.lock().unwrap().deletes = deletes;
        for n in 0..LINES {
            registry.image("team/app", Some(&format!("t{n:02}")), "amd64", &n.to_string());
        }
        let program = Program::without_engine();
        let repo = format!("{}/team/app", registry.host());
        let before = tags(&program, &repo);
        let wanted: Vec<String> = before.keys().map(|tag| format!("docker://{repo}:{tag}")).collect();
        let args: Vec<&str> = ["plan", "delete", "-o", "p"].into_iter().chain(wanted.iter().map(String::as_str)).collect();
        program.json(&args);
        for at in points(kills(2)).into_iter().map(|point| 1 + point % LINES) {
            let mut child = program
                .command(&["apply", "p", "--yes"])
                .stderr(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            pid.store(child.id(), Ordering::SeqCst);
            wait.store(at, Ordering::SeqCst);
            let status = child.wait().unwrap();
            wait.store(usize::MAX, Ordering::SeqCst);
            assert_eq!(status.signal(), Some(9), "{deletes:?} {at}");
            let (told, id) = cut_short(&program);
            let after = tags(&program, &repo);
            for line in told["operations"].as_array().unwrap() {
                let tag = line["target"].as_str().unwrap().rsplit_once(':').unwrap().1;
                assert_eq!(line["state"].as_str().unwrap().starts_with("done"), !after.contains_key(tag), "{deletes:?} {at} {line}");
            }
            if !after.is_empty() {
                program.json(&["apply", "--resume", &id]);
            }
            assert!(tags(&program, &repo).is_empty());
            let runs = program.json(&["log"]);
            for run in runs.as_array().unwrap().iter().take(2).filter(|run| run["kind"] != "undo" && run["done"] != 0) {
                program.json(&["undo", run["id"].as_str().unwrap()]);
            }
            assert_eq!(tags(&program, &repo), before, "{deletes:?} {at}");
        }
    }
}

/// A registry of `count` tags on two images in turn, a plan that swaps them, and the program.
fn swapped(count: usize) -> (Fake, Program, BTreeMap<String, Digest>) {
    let registry = Fake::new();
    let images = [registry.image("team/app", None, "amd64", "a"), registry.image("team/app", None, "amd64", "b")];
    let mut pairs = Vec::new();
    for n in 0..count {
        registry.state.lock().unwrap().tags.insert(("team/app".into(), format!("t{n:03}")), images[n % 2].clone());
        pairs.push(format!("docker://{}/team/app@{} -> :t{n:03}", registry.host(), images[(n + 1) % 2]));
    }
    let program = Program::without_engine();
    std::fs::write(program.home().join("pairs"), pairs.join("\n")).unwrap();
    program.json(&["plan", "retag", "--from", "pairs", "-o", "p"]);
    let before = now(&registry);
    (registry, program, before)
}

fn now(registry: &Fake) -> BTreeMap<String, Digest> {
    registry.tags("team/app").into_iter().map(|tag| (tag.clone(), registry.tag("team/app", &tag).unwrap())).collect()
}

/// A file system of `size` bytes, taken down at the end.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: usize) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output().is_ok_and(|ran| ran.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_stops_before_what_it_cannot_write_down() {
    let (registry, program, before) = swapped(60);
    let Some(small) = Small::mount(state_dir(&program), 2 << 20) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "a small file system can't be mounted");
        eprintln!("left out: a_disk_that_fills_stops_before_what_it_cannot_write_down (needs root)");
        return;
    };
    let filler = small.0.join("filler");
    let mut cut = 0;
    for free in [0, 16, 32, 40, 48, 56, 64, 72, 80, 96] {
        let room = rustix::fs::statvfs(&small.0).unwrap();
        let room = usize::try_from(room.f_bavail * room.f_frsize).unwrap();
        std::fs::write(&filler, vec![0; room.saturating_sub(free << 10)]).unwrap();
        let ran = program.run(&["apply", "p", "--yes", "--json"]);
        let _ = std::fs::remove_file(&filler);
        let after = now(&registry);
        let changed = after.iter().filter(|(tag, at)| before[*tag] != **at).count();
        if ran.code == Some(0) {
            assert_eq!(changed, 60, "{free}");
        } else {
            assert!(ran.stderr.contains("nothing is changed that can't be written down first"), "{free}: {}", ran.stderr);
            cut += usize::from(changed > 0);
            if !ran.stdout.is_empty() {
                assert_eq!(ran.document()["done"], changed, "{free}");
            }
        }
        // With room again, what is written and what is there agree, and it can be taken back.
        let log = program.run(&["log", "--json"]).ended(0).document();
        if changed > 0 {
            assert_eq!(log[0]["done"], changed, "{free}: {log}");
            program.json(&["undo"]);
        }
        assert_eq!(now(&registry), before, "{free}");
    }
    assert!(cut > 0, "the disk never became full in the middle of a run");
}

#[test]
fn without_a_journal_nothing_is_done() {
    let (registry, program, before) = swapped(3);
    std::fs::create_dir_all(state_dir(&program)).unwrap();
    std::fs::write(state_dir(&program).join("journal"), "").unwrap();
    let refused = program.run(&["apply", "p", "--yes"]).ended(1);
    assert!(refused.stderr.contains("journal"), "{}", refused.stderr);
    assert_eq!(now(&registry), before);
}

#[test]
fn a_second_instance_can_only_read() {
    let (registry, program, before) = swapped(3);
    program.json(&["apply", "p", "--yes"]);
    program.json(&["undo"]);
    let journal = Journal::new(&state_dir(&program));
    let held = journal.lock().unwrap();
    assert_eq!(journal.lock().unwrap_err().kind, ProblemKind::Conflict);
    for args in [&["apply", "p", "--yes"][..], &["redo"], &["apply", "--resume"]] {
        let refused = program.run(args).ended(1);
        assert!(refused.stderr.contains("another Lighterman holds the journal"), "{args:?}: {}", refused.stderr);
    }
    assert_eq!(program.json(&["log"]).as_array().unwrap().len(), 2);
    assert_eq!(now(&registry), before);
    drop(held);
    program.json(&["redo"]);
}

#[test]
fn a_damaged_journal_is_told_and_one_of_the_future_stops_everything() {
    let (registry, program, before) = swapped(3);
    let id = program.json(&["apply", "p", "--yes"])["id"].as_str().unwrap().to_owned();
    let file = state_dir(&program).join(format!("journal/{id}.jsonl"));
    let whole = std::fs::read(&file).unwrap();
    let mut bent = whole.clone();
    bent[100] ^= 1;
    std::fs::write(&file, &bent).unwrap();
    let log = program.run(&["log", "--json"]).ended(3);
    assert!(log.stderr.contains("its plan is damaged"), "{}", log.stderr);
    program.run(&["undo"]).ended(1);
    // A line in the middle: what came before it is known, what came after is not relied on.
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 5;
    bent.clone_from(&whole);
    bent[second] ^= 1;
    std::fs::write(&file, &bent).unwrap();
    assert_eq!(program.json(&["log"])[0]["end"], "damaged");
    // A newer version may have begun what this one doesn't understand.
    let after = now(&registry);
    assert_ne!(after, before);
    let text = "{\"event\":\"plan\",\"version\":99}";
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    std::fs::write(&file, format!("{text} {:08x} {:08x}\n", text.len(), crc.sum())).unwrap();
    let refused = program.run(&["apply", "p", "--yes"]).ended(1);
    assert!(refused.stderr.contains("another version of Lighterman"), "{}", refused.stderr);
    assert_eq!(now(&registry), after);
    program.run(&["log"]).ended(3);
}

#[test]
fn runs_follow_each_other_though_the_clock_is_set_back() {
    let (registry, program, before) = swapped(3);
    let at = |time: &str, args: &[&str]| Ran::from(program.command(args).env("LIGHTERMAN_TEST_NOW", time).output().unwrap()).ended(0);
    at("2030-01-01T00:00:00Z", &["apply", "p", "--yes"]);
    at("2026-01-01T00:00:00Z", &["undo"]);
    assert_eq!(now(&registry), before);
    at("2025-01-01T00:00:00Z", &["redo"]);
    assert_ne!(now(&registry), before);
    let kinds: Vec<String> =
        program.json(&["log"]).as_array().unwrap().iter().map(|run| run["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["redo", "undo", "retag"]);
    at("2020-01-01T00:00:00Z", &["undo"]);
    assert_eq!(now(&registry), before);
}

#[test]
fn an_interrupted_run_stops_between_lines_and_can_go_on() {
    let pid = Arc::new(AtomicU32::new(0));
    let (victim, puts) = (Arc::clone(&pid), Arc::new(AtomicUsize::new(0)));
    let registry = Fake::bent(move |request, _| {
        let pid = victim.load(Ordering::SeqCst);
        if pid != 0 && request.method == "PUT" && puts.fetch_add(1, Ordering::SeqCst) == 5 {
            assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
            // Long enough for the signal to be heard before many more lines begin.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        None
    });
    for n in 0..LINES {
        registry.image("team/app", Some(&format!("t{n:02}")), "amd64", &n.to_string());
    }
    let program = Program::without_engine();
    let repo = format!("{}/team/app", registry.host());
    plan_retag(&program, &repo);
    let before = now(&registry);
    let child = program.command(&["apply", "p", "--yes"]).stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn();
    let mut child = child.unwrap();
    pid.store(child.id(), Ordering::SeqCst);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    pid.store(0, Ordering::SeqCst);
    let changed = now(&registry).iter().filter(|(tag, at)| before[*tag] != **at).count();
    let log = program.json(&["log"]);
    assert_eq!((&log[0]["end"], &log[0]["done"]), (&Value::from("stopped"), &Value::from(changed)), "{log}");
    assert!(changed < LINES, "it was stopped");
    let resumed = program.json(&["apply", "--resume"]);
    assert_eq!(resumed["done"], LINES - changed);
    program.json(&["undo"]);
    program.json(&["undo"]);
    assert_eq!(now(&registry), before);
}

/// A registry in trouble is asked about one line, not about each, and what can't be told of it now is told later.
#[test]
fn a_registry_in_trouble_does_not_hold_up_what_has_nothing_to_do_with_it() {
    const DOWN: usize = 1;
    const SILENT: usize = 2;
    let trouble = Arc::new(AtomicUsize::new(0));
    let has_trouble = Arc::clone(&trouble);
    let registry = Fake::bent(move |_, _| match has_trouble.load(Ordering::SeqCst) {
        DOWN => Some(scripted::Reply::status(503)),
        SILENT => Some(scripted::Reply::Silent),
        _ => None,
    });
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    for n in 0..12 {
        registry.image("team/app", Some(&format!("t{n:02}")), "amd64", &n.to_string());
    }
    let program = Program::without_engine();
    std::fs::write(program.home().join("in.tar"), oci_archive(&[ImageSpec::new("web:1").layer(&[("a", b"1")])], Pack::Gzip)).unwrap();
    program.json(&["import", "in.tar"]);
    let wanted: Vec<String> = (0..12).map(|n| format!("docker://{}/team/app:t{n:02}", registry.host())).collect();
    let args: Vec<&str> = ["plan", "delete", "-o", "p"].into_iter().chain(wanted.iter().map(String::as_str)).collect();
    program.json(&args);
    let status = program.command(&["apply", "p", "--yes"]).env("LIGHTERMAN_TEST_KILL", "2").output().unwrap().status;
    assert_eq!(status.signal(), Some(9));
    let journal = Journal::new(&state_dir(&program));
    let begun = || journal.runs().unwrap().0[1].lines(|state| *state == StepState::Begun).len();
    assert_eq!(begun(), 12);
    trouble.store(SILENT, Ordering::SeqCst);
    let began = std::time::Instant::now();
    program.json(&["tag", "web:1", "web:3"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "it waits for an answer {:?}", began.elapsed());
    assert_eq!(begun(), 12, "nothing is said of what nobody saw");
    trouble.store(DOWN, Ordering::SeqCst);
    registry.forget();
    program.json(&["tag", "web:1", "web:2"]);
    let asked = registry.server.seen().len();
    assert!((1..12).contains(&asked), "asked {asked} times");
    assert_eq!(begun(), 12, "nothing is said of what nobody saw");
    trouble.store(0, Ordering::SeqCst);
    assert!(program.run(&["log"]).ended(0).stderr.contains("0 lines are done, 12 are not"));
    assert_eq!(begun(), 0);
}

/// Kills the process at the PUT of the empty manifest and at its DELETE, before or after the registry carried them out.
#[test]
fn an_untag_that_is_killed_on_its_detour_is_finished_and_taken_back() {
    for (method, carried_out) in [("PUT", false), ("PUT", true), ("DELETE", false), ("DELETE", true)] {
        let pid = Arc::new(AtomicU32::new(0));
        let victim = Arc::clone(&pid);
        let registry = Fake::bent(move |request, state| {
            // By tag it is refused.
            let detour =
                request.method == method && request.path.contains(if method == "PUT" { "/manifests/v0" } else { "/manifests/sha256:" });
            let pid = if detour { victim.swap(0, Ordering::SeqCst) } else { 0 };
            if pid == 0 {
                return None;
            }
            let answer = carried_out.then(|| state.answer(request));
            assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
            Some(answer.unwrap_or_else(|| scripted::Reply::status(500)))
        });
        registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
        let image = registry.image("team/app", Some("v0"), "amd64", "0");
        registry.state.lock().unwrap().tags.insert(("team/app".into(), "stable".into()), image);
        let program = Program::without_engine();
        let before = now(&registry);
        let plan = program.json(&["plan", "delete", &format!("docker://{}/team/app:v0", registry.host()), "-o", "p"]);
        assert_eq!(plan["operations"][0]["verb"], "untag");
        let silent = std::process::Stdio::null;
        let mut child = program.command(&["apply", "p", "--yes"]).stderr(silent()).stdout(silent()).spawn().unwrap();
        pid.store(child.id(), Ordering::SeqCst);
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{method} {carried_out}");
        let half_way = (method, carried_out) == ("PUT", true) || (method, carried_out) == ("DELETE", false);
        assert_eq!(registry.tag("team/app", "v0").is_some_and(|at| at != before["v0"]), half_way, "{method} {carried_out}");
        let (told, id) = cut_short(&program);
        if (method, carried_out) == ("DELETE", true) {
            assert_eq!(told["operations"][0]["state"], "done (recovered)", "{told}");
        } else {
            assert_eq!(told["operations"][0]["state"], "not applied", "{told}");
            assert_eq!(program.json(&["apply", "--resume", &id])["done"], 1, "{method} {carried_out}");
        }
        assert_eq!(registry.tags("team/app"), ["stable"], "{method} {carried_out}");
        program.json(&["undo"]);
        assert_eq!(now(&registry), before, "{method} {carried_out}");
    }
}
