//! Pulls, pushes, copies and imports that take a name from something: written down before, told truly after, and taken back. Against the real
//! registry and dockerd; a registry in memory is killed, stalled and raced.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; tests start servers"
)]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::Program;
use fake::Fake;
use lighterman::model::Digest;
use serde_json::Value;

fn spec(name: &str, seed: &str) -> ImageSpec {
    ImageSpec::new(name).layer(&[("etc/seed", seed.as_bytes())])
}

/// The digest of a tag, as the registry says; `None` where there is none.
fn digest(program: &Program, repo: &str, tag: &str) -> Option<String> {
    let list = program.json(&["tags", repo, "--details"]);
    let found = list["tags"].as_array().unwrap().iter().find(|row| row["tag"] == tag).cloned();
    found.map(|row| row["digest"].as_str().unwrap().to_owned())
}

/// The image a name of this machine is at; `None` where there is no such name.
fn id(program: &Program, name: &str) -> Option<String> {
    let images = program.json(&["images"]);
    let has = |image: &&Value| image["tags"].as_array().unwrap().iter().any(|tag| tag.as_str().unwrap().ends_with(name));
    images.as_array().unwrap().iter().find(has).map(|image| image["id"].as_str().unwrap().to_owned())
}

fn newest(program: &Program) -> Value {
    program.json(&["log"])[0].clone()
}

#[test]
fn what_a_copy_replaced_in_a_registry_comes_back() {
    let Some(host) = common::registry("what_a_copy_replaced_in_a_registry_comes_back") else { return };
    let program = Program::without_engine();
    let repo = format!("{host}/transfers/copied");
    for (tag, seed) in [("old", "1"), ("new", "2")] {
        std::fs::write(program.home().join("in.tar"), oci_archive(&[spec("x:1", seed)], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:in.tar", &format!("docker://{repo}:{tag}")]);
    }
    let target = format!("docker://{repo}:stable");
    program.json(&["copy", &format!("docker://{repo}:old"), &target]);
    assert_eq!((newest(&program)["kind"].as_str(), newest(&program)["done"].as_u64()), (Some("transfer"), Some(1)));
    program.json(&["copy", &format!("docker://{repo}:new"), &target]);
    assert_eq!(digest(&program, &repo, "stable"), digest(&program, &repo, "new"));
    program.json(&["undo"]);
    assert_eq!(digest(&program, &repo, "stable"), digest(&program, &repo, "old"));
    program.json(&["redo"]);
    assert_eq!(digest(&program, &repo, "stable"), digest(&program, &repo, "new"));
    // The first copy of all, once what stood on it is taken back.
    program.json(&["undo"]);
    program.json(&["undo"]);
    assert_eq!(digest(&program, &repo, "stable"), None);
}

#[test]
fn what_a_push_replaced_in_a_registry_comes_back() {
    let test = "what_a_push_replaced_in_a_registry_comes_back";
    let (Some(registry), Some(engine)) = (common::registry(test), common::docker(test)) else { return };
    for (program, repo) in [(Program::without_engine(), "store"), (Program::with_engine(&engine), "engine")] {
        let repo = format!("{registry}/transfers/pushed-{repo}");
        let name = format!("{repo}:1");
        for seed in ["1", "2"] {
            std::fs::write(program.home().join("in.tar"), docker_archive(&[spec(&name, seed)])).unwrap();
            program.json(&["import", "in.tar", "--yes"]);
            program.json(&["push", &name]);
            let at = newest(&program);
            assert_eq!((at["kind"].as_str(), at["done"].as_u64()), (Some("transfer"), Some(1)), "{at}");
            if seed == "1" {
                program.json(&["tag", &format!("docker://{name}"), &format!("docker://{repo}:first")]);
            }
        }
        assert_ne!(digest(&program, &repo, "1"), digest(&program, &repo, "first"));
        program.json(&["undo"]);
        assert_eq!(digest(&program, &repo, "1"), digest(&program, &repo, "first"), "the push of the second image is taken back");
    }
}

#[test]
fn what_a_pull_or_an_import_replaced_on_this_machine_comes_back() {
    let test = "what_a_pull_or_an_import_replaced_on_this_machine_comes_back";
    let (Some(registry), Some(engine)) = (common::registry(test), common::docker(test)) else { return };
    for (program, kind) in [(Program::without_engine(), "store"), (Program::with_engine(&engine), "engine")] {
        let name = format!("{registry}/transfers/pulled-{kind}:1");
        let remote = |seed: &str| {
            std::fs::write(program.home().join("in.tar"), oci_archive(&[spec("x:1", seed)], Pack::Gzip)).unwrap();
            program.json(&["copy", "oci-archive:in.tar", &format!("docker://{name}")]);
        };
        remote("1");
        program.json(&["pull", &name]);
        let first = id(&program, &name).unwrap();
        remote("2");
        program.json(&["pull", &name]);
        let second = id(&program, &name).unwrap();
        assert_ne!(first, second);
        program.json(&["undo"]);
        assert_eq!(id(&program, &name), Some(first.clone()), "{kind}: the pull is taken back");
        // An archive that moves the name again, and brings another.
        let specs = [spec(&name, "3"), spec(&format!("transfers-{kind}:new"), "4")];
        std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
        program.json(&["import", "in.tar", "--yes"]);
        assert_ne!(id(&program, &name), Some(first.clone()));
        assert_eq!(newest(&program)["done"], 2);
        program.json(&["undo"]);
        assert_eq!(id(&program, &name), Some(first.clone()), "{kind}: the import is taken back");
        assert_eq!(id(&program, &format!("transfers-{kind}:new")), None, "and what it brought is gone");
        // Copied from elsewhere under this name.
        program.json(&["copy", &format!("docker://{name}"), &format!("transfers-{kind}:as")]);
        assert_eq!(id(&program, &format!("transfers-{kind}:as")), Some(second.clone()));
        assert_eq!(id(&program, &name), Some(first), "the name it came by stays where it was");
        program.json(&["undo"]);
        assert_eq!(id(&program, &format!("transfers-{kind}:as")), None);
    }
}

/// A registry that stands still where a copy gives its name, before or after it carried that out.
struct Gate {
    registry: Fake,
    program: Program,
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Gate {
    fn new(carries_out: bool) -> Self {
        let (tell, arrived) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let gate = Mutex::new((tell, wait));
        let registry = Fake::bent(move |request, state| {
            if request.method != "PUT" || !request.path.ends_with("/manifests/stable") {
                return None;
            }
            let answer = carries_out.then(|| state.answer(request));
            let gate = gate.lock().unwrap();
            gate.0.send(()).unwrap();
            let _ = gate.1.recv();
            answer
        });
        registry.image("team/app", Some("stable"), "amd64", "old");
        registry.image("team/other", Some("new"), "amd64", "new");
        Self { registry, program: Program::without_engine(), arrived, go }
    }

    /// A copy over the tag, which stands at the gate.
    fn copy(&self) -> Child {
        let host = self.registry.host();
        let args = ["copy", &format!("docker://{host}/team/other:new"), &format!("docker://{host}/team/app:stable")];
        let child = self.program.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.arrived.recv_timeout(Duration::from_secs(30)).unwrap();
        child
    }

    fn stable(&self) -> Digest {
        self.registry.tag("team/app", "stable").unwrap()
    }
}

#[test]
fn a_copy_that_is_killed_is_told_truly_and_finished_or_taken_back() {
    for carries_out in [false, true] {
        let gate = Gate::new(carries_out);
        let (old, new) = (gate.registry.tag("team/app", "stable").unwrap(), gate.registry.tag("team/other", "new").unwrap());
        let mut child = gate.copy();
        child.kill().unwrap();
        child.wait().unwrap();
        // What the registry had in hand when its client went comes to nothing, or has come to something.
        let dropped = gate.go.send(()).is_ok();
        assert!(dropped);
        if carries_out {
            assert_eq!(gate.stable(), new);
        }
        let ran = gate.program.run(&["log", "--json"]).ended(0);
        assert!(ran.stderr.contains("was cut short"), "{}", ran.stderr);
        let run = gate.program.json(&["log", ran.document()[0]["id"].as_str().unwrap()]);
        let state = run["operations"][0]["state"].as_str().unwrap();
        let stands = gate.stable();
        assert_eq!(state.starts_with("done"), stands == new, "{state}");
        if stands == old {
            std::thread::scope(|scope| {
                let resumed = scope.spawn(|| gate.program.json(&["apply", "--resume"]));
                gate.arrived.recv_timeout(Duration::from_secs(30)).unwrap();
                gate.go.send(()).unwrap();
                assert_eq!(resumed.join().unwrap()["done"], 1);
            });
            assert_eq!(gate.stable(), new);
        }
        std::thread::scope(|scope| {
            let undone = scope.spawn(|| gate.program.json(&["undo"]));
            gate.arrived.recv_timeout(Duration::from_secs(30)).unwrap();
            gate.go.send(()).unwrap();
            assert_eq!(undone.join().unwrap()["done"], 1);
        });
        assert_eq!(gate.stable(), old);
    }
}

/// The image is there still, and what the tag was at in its registry is written down.
#[test]
fn a_push_that_is_killed_is_gone_on_with_and_taken_back() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    let (old, name) = (registry.image("team/app", Some("stable"), "amd64", "old"), format!("{}/team/app:stable", registry.host()));
    std::fs::write(program.home().join("in.tar"), docker_archive(&[spec(&name, "1")])).unwrap();
    program.json(&["import", "in.tar"]);
    // When it is written down, and before its first byte.
    let killed = program.command(&["push", &name]).env("LIGHTERMAN_TEST_KILL", "2").output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(9));
    let ran = program.run(&["log", "--json"]).ended(0);
    let run = ran.document()[0].clone();
    assert!(ran.stderr.contains("--resume"), "{}", ran.stderr);
    let at = || registry.tag("team/app", "stable");
    assert_eq!((run["kind"].as_str(), run["done"].as_u64(), at()), (Some("transfer"), Some(0), Some(old.clone())), "{run}");
    assert_eq!(program.json(&["apply", "--resume"])["done"], 1);
    let new = at();
    assert!(new.is_some() && new != Some(old.clone()));
    let again = program.run(&["apply", "--resume"]).ended(1);
    assert!(again.stderr.contains("there is nothing to resume"), "{}", again.stderr);
    assert_eq!((program.json(&["undo"])["done"].as_u64(), at()), (Some(1), Some(old)));
    assert_eq!((program.json(&["redo"])["done"].as_u64(), at()), (Some(1), new));
}

/// An image of the store under a name of the registry, and a plan in the file `p` that pushes it; `before` is what its tag was seen at.
fn push_planned(registry: &Fake, program: &Program, before: Option<&Digest>, undo: &str) {
    let name = format!("{}/team/app:stable", registry.host());
    std::fs::write(program.home().join("in.tar"), docker_archive(&[spec(&name, "1"), spec("app:1", "2")])).unwrap();
    program.json(&["import", "in.tar"]);
    let mut plan = program.json(&["plan", "retag", "app:1=app:2", "-o", "p"]);
    let mut push = plan["operations"][0].clone();
    (push["verb"], push["target"], push["undo"]) = ("push".into(), name.clone().into(), undo.into());
    let images = program.json(&["images"]);
    let id = images.as_array().unwrap().iter().find(|image| image["tags"][0] == name.as_str()).unwrap()["id"].clone();
    (push["before"], push["after"]) = (before.map(ToString::to_string).into(), id);
    plan["operations"] = vec![push].into();
    std::fs::write(program.home().join("p"), plan.to_string()).unwrap();
}

/// In a plan a push has a precondition as every line has: what its tag is at in the registry.
#[test]
fn a_push_of_a_plan_leaves_a_tag_alone_that_moved_since() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    let old = registry.image("team/app", Some("stable"), "amd64", "old");
    push_planned(&registry, &program, Some(&old), "until_garbage_collection");
    let moved = registry.image("team/app", Some("stable"), "amd64", "another");
    let ran = program.run(&["apply", "p", "--yes", "--json"]);
    assert_eq!((ran.document()["done"].as_u64(), registry.tag("team/app", "stable")), (Some(0), Some(moved)), "{}", ran.stderr);
    registry.image("team/app", Some("stable"), "amd64", "old");
    assert_eq!(program.json(&["apply", "p", "--yes"])["done"], 1);
    assert_ne!(registry.tag("team/app", "stable"), Some(old.clone()));
    assert_eq!(program.json(&["undo"])["done"], 1);
    assert_eq!(registry.tag("team/app", "stable"), Some(old));
}

/// The manifest that is there tells that it is of the image which was pushed.
#[test]
fn a_push_that_landed_before_it_was_killed_is_known_as_done() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    let old = registry.image("team/app", Some("stable"), "amd64", "old");
    push_planned(&registry, &program, Some(&old), "until_garbage_collection");
    let killed = program.command(&["apply", "p", "--yes"]).env("LIGHTERMAN_TEST_KILL", "3").output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(9));
    assert_ne!(registry.tag("team/app", "stable"), Some(old.clone()), "it had landed");
    let ran = program.run(&["log", "--json"]).ended(0);
    assert_eq!(ran.document()[0]["done"], 1, "{}", ran.stderr);
    assert_eq!(program.json(&["undo"])["done"], 1);
    assert_eq!(registry.tag("team/app", "stable"), Some(old));
}

/// What nobody could look at when the plan was made is looked at when it runs; what no plan of ours says is refused.
#[test]
fn a_blind_push_of_a_plan_sees_again_where_its_registry_answers() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    let old = registry.image("team/app", Some("stable"), "amd64", "old");
    push_planned(&registry, &program, Some(&old), "irreversible");
    let refused = program.run(&["apply", "p", "--yes"]).ended(2);
    assert!(refused.stderr.contains("don't fit"), "{}", refused.stderr);
    push_planned(&registry, &program, None, "irreversible");
    assert_eq!(program.json(&["apply", "p", "--yes"])["done"], 1);
    assert_ne!(registry.tag("team/app", "stable"), Some(old.clone()));
    assert_eq!(program.json(&["undo"])["done"], 1);
    assert_eq!(registry.tag("team/app", "stable"), Some(old));
}

#[test]
fn a_name_that_is_given_and_pushed_is_gone_on_with_once() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    registry.image("team/app", Some("0"), "amd64", "0");
    std::fs::write(program.home().join("in.tar"), docker_archive(&[spec("app:1", "1")])).unwrap();
    program.json(&["import", "in.tar"]);
    let mut plan = program.json(&["plan", "retag", &format!("app:1={}/team/app:1", registry.host()), "-o", "p"]);
    let mut push = plan["operations"][0].clone();
    push["verb"] = "push".into();
    plan["operations"].as_array_mut().unwrap().push(push);
    std::fs::write(program.home().join("p"), plan.to_string()).unwrap();
    // Before its first line.
    let killed = program.command(&["apply", "p", "--yes"]).env("LIGHTERMAN_TEST_KILL", "1").output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(9));
    program.run(&["log"]).ended(0);
    let resumed = program.json(&["apply", "--resume"]);
    assert_eq!(resumed["done"], 2, "{resumed}");
    assert!(registry.tag("team/app", "1").is_some());
    let again = program.run(&["apply", "--resume"]).ended(1);
    assert!(again.stderr.contains("there is nothing to resume"), "{}", again.stderr);
}

#[test]
fn a_copy_under_way_is_not_taken_for_one_that_was_cut_short_and_holds_nobody_up() {
    let gate = Gate::new(true);
    let mut child = gate.copy();
    let ran = gate.program.run(&["log", "--json"]).ended(0);
    assert_eq!((ran.stderr.as_str(), ran.document()[0]["end"].as_str()), ("", Some("open")));
    // The journal is free for others.
    std::fs::write(gate.program.home().join("in.tar"), docker_archive(&[spec("web:1", "1")])).unwrap();
    gate.program.json(&["import", "in.tar"]);
    gate.program.json(&["tag", "web:1", "web:2"]);
    assert!(gate.program.run(&["log"]).ended(0).stderr.is_empty());
    gate.go.send(()).unwrap();
    assert!(child.wait().unwrap().success());
    let log = gate.program.json(&["log"]);
    let ends: Vec<&str> = log.as_array().unwrap().iter().map(|run| run["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["complete"; 3]);
}

#[test]
fn a_copy_that_is_stopped_says_what_became_of_the_tag() {
    let gate = Gate::new(true);
    let mut child = gate.copy();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    std::thread::scope(|scope| {
        // Whatever the copy asks while it ends is answered.
        let ended = scope.spawn(move || child.wait().unwrap());
        let _ = gate.go.send(());
        let code = ended.join().unwrap().code();
        assert!(matches!(code, Some(0 | 130)), "{code:?}");
    });
    let run = newest(&gate.program);
    let line = gate.program.json(&["log", run["id"].as_str().unwrap()])["operations"][0].clone();
    assert_eq!(line["state"], "done", "{line}");
    assert_eq!(gate.stable(), gate.registry.tag("team/other", "new").unwrap());
}

#[test]
fn without_a_journal_nothing_is_replaced_and_what_is_new_still_comes() {
    let registry = Fake::new();
    let (old, new) =
        (registry.image("team/app", Some("stable"), "amd64", "old"), registry.image("team/other", Some("new"), "amd64", "new"));
    let program = Program::without_engine();
    let state = program.home().join(".local/state/lighterman");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("journal"), "in the way").unwrap();
    let copy = |to: &str| {
        let host = registry.host();
        program.run(&["copy", &format!("docker://{host}/team/other:new"), &format!("docker://{host}/team/app:{to}")])
    };
    let refused = copy("stable").ended(1);
    assert!(refused.stderr.contains("nothing is changed that can't be written down first"), "{}", refused.stderr);
    assert_eq!(registry.tag("team/app", "stable"), Some(old));
    copy("fresh").ended(0);
    assert_eq!(registry.tag("team/app", "fresh"), Some(new));
}
