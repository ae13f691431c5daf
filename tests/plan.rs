//! Plans on the command line against a registry in memory and the embedded store: made, applied, taken back, and what others do meanwhile.
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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::images::{ImageSpec, docker_archive};
use common::program::{Program, Ran, assert_tame};
use fake::{Deletes, Fake};
use lighterman::model::Digest;
use scripted::Reply;
use serde_json::{Value, json};

const REPO: &str = "team/app";

fn tags(registry: &Fake) -> BTreeMap<String, Digest> {
    registry.tags(REPO).into_iter().map(|tag| (tag.clone(), registry.tag(REPO, &tag).unwrap())).collect()
}

fn at(registry: &Fake, tag: &str) -> String {
    format!("docker://{}/{REPO}:{tag}", registry.host())
}

/// Tags `v0` and so on, an image each, and `stable` on the first.
fn registry(count: usize) -> Fake {
    let registry = Fake::new();
    for n in 0..count {
        registry.image(REPO, Some(&format!("v{n}")), "amd64", &n.to_string());
    }
    let first = registry.tag(REPO, "v0").unwrap();
    registry.state.lock().unwrap().tags.insert((REPO.into(), "stable".into()), first);
    registry
}

fn states(result: &Value) -> Vec<&str> {
    result["lines"].as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_is_made_applied_taken_back_and_done_again() {
    let registry = registry(3);
    let program = Program::without_engine();
    let before = tags(&registry);
    let list = format!("{} -> :stable\n{} -> :v2-old\n", at(&registry, "v1"), at(&registry, "v2"));
    std::fs::write(program.home().join("pairs"), list).unwrap();
    let plan = program.json(&["plan", "retag", "--from", "pairs", "-o", "plan.json"]);
    assert_eq!(plan["version"], 1);
    let verbs: Vec<_> = plan["operations"].as_array().unwrap().iter().map(|line| line["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["tag", "move_tag"]);
    assert_eq!(tags(&registry), before, "a plan changes nothing");
    assert!(!program.home().join(".local/state/lighterman/journal").exists());
    let dry = program.json(&["apply", "plan.json", "--dry-run"]);
    assert_eq!((states(&dry), &dry["id"]), (vec!["waiting", "waiting"], &Value::Null));
    let asked = program.run(&["apply", "plan.json"]).ended(2);
    assert!(asked.stderr.contains("--yes") && asked.stderr.contains("reversible now"), "{}", asked.stderr);
    let applied = program.json(&["apply", "plan.json", "--yes"]);
    assert_eq!((states(&applied), &applied["done"]), (vec!["done", "done"], &json!(2)));
    let after = tags(&registry);
    assert_eq!((&after["stable"], &after["v2-old"]), (&before["v1"], &before["v2"]));

    let id = applied["id"].as_str().unwrap();
    let log = program.json(&["log"]);
    assert_eq!((&log[0]["id"], &log[0]["done"], &log[0]["end"]), (&json!(id), &json!(2), &json!("complete")));
    let one = program.json(&["log", id]);
    assert_eq!(one["operations"][1]["restorable"], true, "{one}");
    program.json(&["undo", "--dry-run"]);
    let held = registry.state.lock().unwrap().tags.insert((REPO.into(), "stable".into()), before["v2"].clone());
    let moved = program.run(&["undo", "--dry-run", "--json"]).ended(3).document();
    assert!(states(&moved).contains(&"conflict"), "{moved}");
    registry.state.lock().unwrap().tags.insert((REPO.into(), "stable".into()), held.unwrap());
    program.json(&["undo", "--line", "2"]);
    assert_eq!(tags(&registry)["stable"], before["stable"]);
    assert!(tags(&registry).contains_key("v2-old"));
    program.json(&["undo"]);
    assert_eq!(tags(&registry), before, "bit for bit");
    program.run(&["undo"]).ended(1);
    program.json(&["redo"]);
    program.json(&["redo"]);
    assert_eq!(tags(&registry), after);
    program.run(&["redo"]).ended(1);
    program.json(&["undo", id]);
    assert_eq!(tags(&registry), before);
    let trail = std::fs::read_to_string(program.home().join(".local/state/lighterman/audit.jsonl")).unwrap();
    assert_eq!(trail.lines().count(), 2 + 2 + 2 + 2, "{trail}");
    let first: Value = serde_json::from_str(trail.lines().next().unwrap()).unwrap();
    assert_eq!((&first["run"], &first["result"]), (&json!(id), &json!("done")));
}

#[test]
fn deleted_manifests_come_back_with_their_tags_until_garbage_is_collected() {
    for deletes in [Deletes::Spec, Deletes::DigestOnly] {
        let registry = registry(3);
        registry.state.lock().unwrap().deletes = deletes;
        let children = [registry.image(REPO, None, "amd64", "a"), registry.image(REPO, None, "arm64", "b")];
        registry.index(REPO, Some("multi"), &[(&children[0], "amd64"), (&children[1], "arm64")]);
        let program = Program::without_engine();
        let before = tags(&registry);
        let wanted = ["v0", "v1", "multi"].map(|tag| at(&registry, tag));
        let plan = program.json(&["plan", "delete", &wanted[0], &wanted[1], &wanted[2], "-o", "p"]);
        let verbs: Vec<_> = plan["operations"].as_array().unwrap().iter().map(|line| line["verb"].as_str().unwrap()).collect();
        assert_eq!(verbs, ["untag", "delete_tag", "delete_tag"], "stable keeps the digest of v0");
        program.json(&["apply", "p", "--yes"]);
        assert_eq!(registry.tags(REPO), ["stable", "v2"], "{deletes:?}");
        // As a collector of untagged manifests would.
        registry.state.lock().unwrap().manifests.retain(|(_, digest), _| !children.contains(digest));
        program.json(&["undo"]);
        assert_eq!(tags(&registry), before, "{deletes:?}");
        assert!(children.iter().all(|child| registry.has(REPO, child)), "the parts of an index too");
        program.json(&["redo"]);
        registry.state.lock().unwrap().blobs.clear();
        registry.state.lock().unwrap().manifests.remove(&(REPO.into(), before["v1"].clone()));
        let log = program.json(&["log"]);
        let told = program.json(&["log", log[0]["id"].as_str().unwrap()]);
        let v1 = told["operations"].as_array().unwrap().iter().find(|line| line["target"].as_str().unwrap().ends_with(":v1")).unwrap();
        assert_eq!(v1["restorable"], false, "{told}");
        assert!(v1["hindrance"].as_str().unwrap().contains("lost its blob"), "{v1}");
    }
}

#[test]
fn a_tag_that_somebody_moved_since_is_left_alone_and_named() {
    let registry = registry(3);
    let program = Program::without_engine();
    program.json(&["plan", "retag", &format!("{}=:stable", at(&registry, "v1")), &format!("{}=:new", at(&registry, "v1")), "-o", "p"]);
    let third = registry.tag(REPO, "v2").unwrap();
    registry.state.lock().unwrap().tags.insert((REPO.into(), "stable".into()), third.clone());
    let applied = program.run(&["apply", "p", "--yes", "--json"]).ended(3).document();
    assert_eq!(states(&applied), ["done", "conflict"]);
    assert_eq!(applied["lines"][1]["observed"], json!(third));
    assert_eq!(registry.tag(REPO, "stable"), Some(third.clone()));
    // All or nothing looks before it does anything.
    program.json(&["undo"]);
    let whole = program.run(&["apply", "p", "--yes", "--all-or-nothing", "--json"]).ended(1).document();
    assert_eq!((states(&whole), &whole["id"]), (vec!["waiting", "conflict"], &Value::Null));
    assert_eq!(registry.tag(REPO, "new"), None);
    // And an undo leaves alone what others changed after.
    program.json(&["plan", "retag", &format!("{}=:v0", at(&registry, "v1")), "-o", "q"]);
    program.json(&["apply", "q", "--yes"]);
    registry.state.lock().unwrap().tags.insert((REPO.into(), "v0".into()), third.clone());
    let undone = program.run(&["undo", "--json"]).ended(1).document();
    assert_eq!(states(&undone), ["conflict"]);
    assert_eq!(registry.tag(REPO, "v0"), Some(third));
}

/// Another writer that comes between our last look and our write can't be stopped by any registry; it is seen right after.
#[test]
fn a_tag_that_moves_between_the_look_and_the_write_is_told() {
    let armed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&armed);
    let registry = Fake::bent(move |request, state| {
        if request.method == "PUT" && request.path.ends_with("/manifests/stable") && seen.swap(false, Ordering::SeqCst) {
            let answer = state.answer(request);
            // Theirs comes right after ours.
            let theirs = state.tags[&(REPO.to_owned(), "v2".to_owned())].clone();
            state.tags.insert((REPO.into(), "stable".into()), theirs);
            return Some(answer);
        }
        None
    });
    for n in 0..3 {
        registry.image(REPO, Some(&format!("v{n}")), "amd64", &n.to_string());
    }
    registry.image(REPO, Some("stable"), "amd64", "old");
    let program = Program::without_engine();
    program.json(&["plan", "retag", &format!("{}=:stable", at(&registry, "v1")), "-o", "p"]);
    armed.store(true, Ordering::SeqCst);
    let applied = program.run(&["apply", "p", "--yes", "--json"]).ended(1).document();
    assert_eq!(states(&applied), ["conflict"]);
    assert_eq!(applied["lines"][0]["observed"], json!(registry.tag(REPO, "v2")));
}

#[test]
fn all_or_nothing_takes_back_what_was_done_when_a_line_fails() {
    let puts = Arc::new(AtomicUsize::new(0));
    let (counted, refusing) = (Arc::clone(&puts), Arc::new(AtomicBool::new(true)));
    let refuses = Arc::clone(&refusing);
    let registry = Fake::bent(move |request, _| {
        let refused = request.method == "PUT" && request.path.contains("/manifests/") && refuses.load(Ordering::SeqCst);
        if !refused {
            return None;
        }
        // A registry that becomes read-only in the middle, for new tags.
        (counted.fetch_add(1, Ordering::SeqCst) >= 4 && request.path.contains("new")).then(|| Reply::status(403))
    });
    for n in 0..8 {
        registry.image(REPO, Some(&format!("v{n}")), "amd64", &n.to_string());
    }
    let program = Program::without_engine();
    let before = tags(&registry);
    let pairs: Vec<String> = (0..8).map(|n| format!("{}=:new{n}", at(&registry, &format!("v{n}")))).collect();
    let args = ["plan", "retag", "-o", "p"].into_iter().chain(pairs.iter().map(String::as_str)).collect::<Vec<_>>();
    program.json(&args);
    let whole = program.run(&["apply", "p", "--yes", "--all-or-nothing", "--json"]).ended(1).document();
    assert!(whole["rolled_back"].is_string(), "{whole}");
    assert_eq!(tags(&registry), before);
    assert!(!states(&whole).contains(&"done"), "{whole}");
    // Without it the rest is done, and each that was not is named with what the registry said.
    puts.store(0, Ordering::SeqCst);
    let part = program.run(&["apply", "p", "--yes", "--json"]).ended(3).document();
    assert_eq!(part["done"], 4);
    assert!(part["lines"].as_array().unwrap().iter().any(|line| line["why"].as_str().is_some_and(|why| why.contains("403"))), "{part}");
    assert_eq!(tags(&registry).len(), 12);
    refusing.store(false, Ordering::SeqCst);
    program.json(&["undo"]);
    assert_eq!(tags(&registry), before);
}

#[test]
fn protected_lines_stand_in_the_plan_and_do_not_run() {
    let registry = registry(2);
    let program = Program::without_engine();
    let plan =
        program.run(&["plan", "delete", &at(&registry, "v1"), &at(&registry, "stable"), "--protect", "*:stable", "-o", "p", "--json"]);
    let plan = plan.ended(0);
    assert!(plan.stderr.contains("1 of 2 lines are protected"), "{}", plan.stderr);
    let applied = program.run(&["apply", "p", "--yes", "--json"]).ended(3).document();
    let mut got = states(&applied);
    got.sort_unstable();
    assert_eq!(got, ["done", "skipped"]);
    assert!(registry.tag(REPO, "stable").is_some());
    program.json(&["plan", "delete", &at(&registry, "stable"), "--protect", "*:stable", "--override", "it is mine", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    assert_eq!(registry.tag(REPO, "stable"), None);
    let clash = program.run(&["plan", "retag", &format!("{}=:x", at(&registry, "v0")), &format!("{}=:x", at(&registry, "v0"))]).ended(0);
    assert_eq!(clash.stdout.lines().count(), 2, "the same wish twice is one line");
}

#[test]
fn hostile_plans_are_refused_in_words() {
    let program = Program::without_engine();
    for (text, word) in [
        ("{\"version\":7}", "version 7"),
        ("not json", "no plan"),
        (
            "{\"version\":1,\"kind\":\"retag\",\"made_at\":\"2026-01-01T00:00:00Z\",\"made_by\":\"\u{1b}[31m\",\"operations\":[{\"verb\":\"\u{1b}[31m\"}]}",
            "no plan",
        ),
    ] {
        std::fs::write(program.home().join("p"), text).unwrap();
        let ran = program.run(&["apply", "p", "--yes"]);
        assert!(ran.code == Some(1) || ran.code == Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
        assert_tame(&ran.stderr);
    }
    program.run(&["apply", "absent", "--yes"]).ended(1);
    assert!(!program.home().join(".local/state/lighterman/journal").exists());
}

#[test]
fn images_of_the_store_go_and_come_back_from_a_backup() {
    let program = Program::without_engine();
    let specs = [ImageSpec::new("app:1").name("app:2").layer(&[("a", b"1")]), ImageSpec::new("web:1").layer(&[("b", b"2")])];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    program.json(&["import", "in.tar"]);
    let names = |program: &Program| {
        let images = program.json(&["images"]);
        let mut all: Vec<(String, String)> = images
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|image| {
                image["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|tag| (tag.as_str().unwrap().to_owned(), image["id"].as_str().unwrap().to_owned()))
            })
            .collect();
        all.sort();
        all
    };
    let before = names(&program);
    assert_eq!(before.len(), 3);
    // Retagged, and taken back.
    program.json(&["plan", "retag", "app:1=web:1", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    assert_ne!(names(&program), before);
    program.json(&["undo"]);
    assert_eq!(names(&program), before);
    // Deleted without a backup there is no way back, and that is said first.
    program.json(&["plan", "delete", "app:1", "app:2", "web:1", "-o", "p"]);
    let asked = program.run(&["apply", "p"]).ended(2);
    assert!(asked.stderr.contains("2 of these lines can't be taken back without --backup"), "{}", asked.stderr);
    let applied = program.json(&["apply", "p", "--yes", "--backup"]);
    assert_eq!(applied["done"], 3);
    assert!(names(&program).is_empty());
    let undone = program.json(&["undo"]);
    assert_eq!(undone["done"], 3, "{undone}");
    assert_eq!(names(&program), before);
    // The last name of an image is not a name that may go by itself.
    program.json(&["plan", "delete", "--untag", "app:1", "-o", "p"]);
    program.json(&["delete", "app:2", "--yes"]);
    let last = program.run(&["apply", "p", "--yes", "--json"]).ended(1).document();
    assert!(last["lines"][0]["why"].as_str().unwrap().contains("last name"), "{last}");
    assert_eq!(names(&program).len(), 2);
}

#[test]
fn what_is_pruned_comes_back_from_a_backup() {
    let program = Program::without_engine();
    std::fs::write(program.home().join("in.tar"), docker_archive(&[ImageSpec::new("").layer(&[("a", b"1")]), ImageSpec::new("kept:1")]))
        .unwrap();
    program.json(&["import", "in.tar"]);
    let ids = |program: &Program| {
        let mut ids: Vec<String> =
            program.json(&["images"]).as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let before = ids(&program);
    assert_eq!(before.len(), 2);
    let plan = program.json(&["plan", "prune", "-o", "p"]);
    assert_eq!(plan["operations"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!(plan["operations"][0]["undo"], "only_from_backup");
    program.json(&["apply", "p", "--yes", "--backup"]);
    assert_eq!(ids(&program).len(), 1);
    // The same plan again finds it gone, and says so.
    let again = program.run(&["apply", "p", "--yes", "--json"]).ended(1).document();
    assert_eq!((states(&again), &again["lines"][0]["observed"]), (vec!["conflict"], &Value::Null));
    let said = program.run(&["apply", "p", "--yes"]).ended(1);
    assert!(said.stderr.contains("0 of 1 lines done") && !said.stderr.contains("undo"), "{}", said.stderr);
    let refused = program.run(&["plan", "prune", "--protect", "*:stable"]).ended(2);
    assert!(refused.stderr.contains("has none"), "{}", refused.stderr);
    program.json(&["undo"]);
    assert_eq!(ids(&program), before);
}

#[test]
fn what_delete_and_tag_did_can_be_taken_back_too() {
    let registry = registry(3);
    let program = Program::without_engine();
    let before = tags(&registry);
    program.json(&["tag", &at(&registry, "v1"), &at(&registry, "stable"), &at(&registry, "new")]);
    program.json(&["delete", &at(&registry, "v2"), "--yes"]);
    assert_ne!(tags(&registry), before);
    program.json(&["undo"]);
    program.json(&["undo"]);
    assert_eq!(tags(&registry), before);
    let kinds: Vec<Value> = program.json(&["log"]).as_array().unwrap().iter().map(|run| run["kind"].clone()).collect();
    assert_eq!(kinds, ["undo", "undo", "delete", "retag"]);
}

fn targets(plan: &Value) -> Vec<(String, String)> {
    let lines = plan["operations"].as_array().unwrap().iter();
    lines.map(|line| (line["verb"].as_str().unwrap().to_owned(), line["target"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_rule_gives_names_to_every_tag_it_is_about() {
    let registry = Fake::new();
    for tag in ["1.4.0-rc1", "1.4.0-rc2", "1.3.0", "latest"] {
        registry.image(REPO, Some(tag), "amd64", tag);
    }
    let signed = registry.tag(REPO, "latest").unwrap();
    registry.referrer(REPO, Some(&format!("sha256-{}.sig", signed.hex())), &signed, "application/vnd.test");
    let program = Program::without_engine();
    let repo = format!("{}/{REPO}", registry.host());
    let before = tags(&registry);
    let named = |verb: &str, tag: &str| (verb.to_owned(), format!("{repo}:{tag}"));
    let plan = program.json(&["plan", "retag", "--repo", &repo, "--match", r"^(\d+\.\d+)\.\d+$", "--to", "v$1"]);
    assert_eq!(targets(&plan), [named("tag", "v1.3")]);
    // What a name is taken from is told by its verb and its digest.
    let plan = program.json(&["plan", "retag", "--repo", &repo, "--preset", "promote:latest", "-o", "p"]);
    let expected = [named("tag", "1"), named("tag", "1.4"), named("tag", "1.4.0"), named("move_tag", "latest")];
    assert_eq!(targets(&plan), expected);
    assert_eq!(plan["operations"][3]["before"], json!(signed));
    program.json(&["apply", "p", "--yes"]);
    assert_eq!(registry.tag(REPO, "latest"), registry.tag(REPO, "1.4.0-rc2"));
    program.json(&["undo"]);
    assert_eq!(tags(&registry), before);
    // Signatures are known by their tags and keep them; what was made when is read only where it is asked for.
    let plan = program.json(&["plan", "retag", "--repo", &format!("docker://{repo}"), "--preset", "suffix:.old"]);
    assert_eq!(targets(&plan).len(), 4, "{plan}");
    registry.forget();
    program.json(&["plan", "retag", "--repo", &repo, "--template", "{tag}-{digest:7}"]);
    assert_eq!(registry.count("GET", "/blobs/"), 0);
    let ran = program.run(&["plan", "retag", "--repo", &repo, "--template", "{major}-{date}", "--json"]).ended(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("would both become"), "{}", ran.stderr);
    let ran = program.run(&["plan", "retag", "--repo", &repo, "--template", "{tag}-{minor}-{date}", "--json"]).ended(3);
    assert!(ran.stderr.contains(":latest: its tag is no version"), "{}", ran.stderr);
    assert!(targets(&ran.document()).contains(&named("tag", "1.3.0-3-20250505")), "{}", ran.stdout);
    assert_eq!(tags(&registry), before);
}

#[test]
fn a_rule_that_names_nothing_well_makes_no_plan() {
    let registry = Fake::new();
    for tag in ["1.0.0", "1.0.1", "x"] {
        registry.image(REPO, Some(tag), "amd64", tag);
    }
    let program = Program::without_engine();
    let repo = format!("{}/{REPO}", registry.host());
    let retag = |rule: &[&str], code: i32| {
        let ran = program.run(&[&["plan", "retag", "--repo", &repo, "-o", "p"][..], rule].concat()).ended(code);
        assert!(!program.home().join("p").exists() && ran.stdout.is_empty(), "{rule:?}");
        assert_tame(&ran.stderr);
        ran.stderr
    };
    assert!(retag(&["--match", "^1.*", "--to", "one"], 1).contains("would both become"));
    assert!(retag(&["--match", "^(1)|(x)", "--to", "$2y"], 1).contains("the group $2 matches nothing here"));
    assert!(retag(&["--match", "^x", "--to", ".x\u{1b}[2J"], 1).contains("is no tag"));
    assert!(retag(&["--match", "(", "--to", "a"], 2).contains("not a regular expression"));
    assert!(retag(&["--match", "a", "--to", "$1"], 2).contains("there is no group 1"));
    assert!(retag(&["--template", "{nothing}"], 2).contains("there is no part {nothing}"));
    assert!(retag(&["--preset", "mirror:nowhere"], 2).contains("no place for a mirror"));
    retag(&[], 2);
    retag(&["--match", "a"], 2);
    retag(&["--preset", "promote", "--template", "{tag}"], 2);
    for other in ["oci:dir", &format!("{repo}:x"), ""] {
        program.run(&["plan", "retag", "--repo", other, "--preset", "promote"]).ended(2);
    }
    program.run(&["plan", "retag", "--preset", "promote"]).ended(2);
    // A part of a repository is no ground for a rule: the newest may be in the other one.
    let part = scripted::Server::new(|request| {
        if !request.path.contains("tags/list") {
            return Reply::status(404);
        }
        Reply::body(json!({"tags": []}).to_string()).with("Link", "<https://elsewhere.example/>; rel=\"next\"")
    });
    let ran = program.run(&["plan", "retag", "--repo", &format!("{}/a", part.host()), "--preset", "promote"]).ended(1);
    assert!(ran.stderr.contains("may not be complete"), "{}", ran.stderr);
}

#[test]
fn a_name_in_another_registry_is_a_copy_that_comes_and_goes() {
    let (from, to) = (registry(2), Fake::new());
    let old = to.image("hub/team/app", Some("v0"), "amd64", "old");
    let program = Program::without_engine();
    let (repo, mirror) = (format!("{}/{REPO}", from.host()), format!("{}/hub/team/app", to.host()));
    let args = ["plan", "retag", "--repo", &repo, "--preset", &format!("mirror:{}/hub", to.host()), "-o", "p"];
    let plan = program.json(&args);
    let copied = |tag: &str| ("copy".to_owned(), format!("{mirror}:{tag}"));
    assert_eq!(targets(&plan), [copied("stable"), copied("v0"), copied("v1")]);
    assert_eq!((&plan["operations"][1]["before"], &plan["operations"][0]["before"]), (&json!(old), &Value::Null));
    assert_eq!(plan["operations"][2]["from"], format!("docker://{repo}:v1"));
    assert_eq!(to.tags("hub/team/app"), ["v0"], "a plan changes nothing");
    program.json(&["apply", "p", "--yes"]);
    for tag in ["stable", "v0", "v1"] {
        assert_eq!(to.tag("hub/team/app", tag), from.tag(REPO, tag));
    }
    assert_eq!(program.json(&args)["operations"], json!([]), "what is so already is no line");
    program.json(&["undo"]);
    assert_eq!((to.tags("hub/team/app"), to.tag("hub/team/app", "v0")), (vec!["v0".to_owned()], Some(old)));
    // By pairs too, into a repository that isn't there yet; and only while the source is what it was.
    let pair = format!("{}=docker://{}/new/app:first", at(&from, "v1"), to.host());
    program.json(&["plan", "retag", &pair, "-o", "q"]);
    let other = from.tag(REPO, "v0").unwrap();
    let was = from.state.lock().unwrap().tags.insert((REPO.into(), "v1".into()), other).unwrap();
    program.run(&["apply", "q", "--yes"]).ended(1);
    assert!(to.tags("new/app").is_empty());
    from.state.lock().unwrap().tags.insert((REPO.into(), "v1".into()), was.clone());
    program.json(&["apply", "q", "--yes"]);
    assert_eq!(to.tag("new/app", "first"), Some(was));
}

#[test]
fn a_rule_gives_names_to_a_repository_of_this_machine() {
    let program = Program::without_engine();
    let specs = [ImageSpec::new("app:1.0.0-rc1").layer(&[("a", b"1")]), ImageSpec::new("web:1.0.0-rc1").layer(&[("b", b"2")])];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    program.json(&["import", "in.tar"]);
    let plan = program.json(&["plan", "retag", "--repo", "store:app", "--preset", "release", "-o", "p"]);
    assert_eq!(plan["operations"].as_array().unwrap().len(), 1, "{plan}");
    assert!(plan["operations"][0]["target"].as_str().unwrap().ends_with("app:1.0.0"), "{plan}");
    program.json(&["apply", "p", "--yes"]);
    let ids: Vec<Value> = ["app:1.0.0", "app:1.0.0-rc1"].map(|name| program.json(&["inspect", name])[0]["id"].clone()).to_vec();
    assert_eq!(ids[0], ids[1]);
    // A mirror's name is one more name here.
    let plan = program.json(&["plan", "retag", "--repo", "app", "--preset", "mirror:mirror.example.org/hub"]);
    assert_eq!(plan["operations"][0]["verb"], "tag");
    program.run(&["plan", "retag", "--repo", "store:absent", "--preset", "release"]).ended(1);
}

/// Runs the program as if it were `day`.
fn on(day: &str, program: &Program, args: &[&str]) -> Ran {
    Ran::from(program.command(args).env("LIGHTERMAN_TEST_NOW", format!("{day}T12:00:00Z")).output().unwrap()).ended(0)
}

#[test]
fn a_run_that_is_due_to_go_can_be_taken_back_once_more() {
    let registry = registry(3);
    let program = Program::without_engine();
    let before = tags(&registry);
    on("2026-01-01", &program, &["delete", &at(&registry, "v1"), &at(&registry, "v2"), "--yes"]);
    assert_ne!(tags(&registry), before);
    let gone: Vec<Digest> = ["v1", "v2"].map(|tag| before[tag].clone()).to_vec();
    registry.state.lock().unwrap().manifests.retain(|(_, digest), _| !gone.contains(digest));
    on("2026-04-10", &program, &["undo", "--line", "1"]);
    on("2026-04-10", &program, &["undo"]);
    assert_eq!(tags(&registry), before);
}

#[test]
fn a_backup_is_kept_for_every_run_that_needs_it() {
    let program = Program::without_engine();
    let specs = [ImageSpec::new("app:1").layer(&[("a", b"1")]), ImageSpec::new("web:1").layer(&[("b", b"2")])];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    on("2026-01-01", &program, &["import", "in.tar"]);
    program.json(&["plan", "delete", "app:1", "-o", "p"]);
    on("2026-01-01", &program, &["apply", "p", "--yes", "--backup"]);
    on("2026-03-01", &program, &["undo"]);
    let redone = on("2026-03-02", &program, &["redo", "--json"]).document()["id"].as_str().unwrap().to_owned();
    on("2026-04-10", &program, &["tag", "web:1", "web:2"]);
    assert_eq!(program.json(&["log"]).as_array().unwrap().len(), 3, "the first runs went");
    on("2026-04-11", &program, &["undo", &redone]);
    assert_eq!(program.json(&["images"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_tag_that_a_copy_takes_comes_back_with_its_manifest() {
    let registry = registry(2);
    let image = registry.image("team/other", Some("new"), "amd64", "new");
    let program = Program::without_engine();
    let before = tags(&registry);
    let from = format!("docker://{}/team/other:new", registry.host());
    program.json(&["tag", &from, &at(&registry, "v1")]);
    assert_eq!(registry.tag(REPO, "v1"), Some(image));
    // Nothing else is at what the tag was at, so a registry may collect it.
    registry.state.lock().unwrap().manifests.remove(&(REPO.to_owned(), before["v1"].clone()));
    let id = program.json(&["log"])[0]["id"].as_str().unwrap().to_owned();
    let run = program.json(&["log", &id]);
    assert_eq!(run["operations"][0]["restorable"], true, "{run}");
    let file = program.home().join(".local/state/lighterman/journal").join(format!("{id}.jsonl"));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("until_garbage_collection"), "{written}");
    program.json(&["undo"]);
    assert_eq!(tags(&registry), before);
}

/// Of a line of the journal.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// A journal of an earlier version has saved nothing for such a line.
#[test]
fn what_was_not_saved_can_be_taken_back_only_while_it_is_there() {
    let registry = registry(2);
    let program = Program::without_engine();
    let before = registry.tag(REPO, "v1").unwrap();
    program.json(&["tag", &at(&registry, "v0"), &at(&registry, "v1")]);
    let id = program.json(&["log"])[0]["id"].as_str().unwrap().to_owned();
    let file = program.home().join(".local/state/lighterman/journal").join(format!("{id}.jsonl"));
    let written = std::fs::read_to_string(&file).unwrap();
    let (first, rest) = written.split_once('\n').unwrap();
    let mut header: Value = serde_json::from_str(first.get(..first.len() - 18).unwrap()).unwrap();
    let saved = header.pointer_mut("/steps/0/saved").unwrap_or_else(|| panic!("{first}")).take();
    assert_eq!(saved.as_array().map(Vec::len), Some(1));
    *header.pointer_mut("/steps/0/saved").unwrap() = json!([]);
    let header = header.to_string();
    let line = format!("{header} {:08x} {:08x}", header.len(), crc32(header.as_bytes()));
    std::fs::write(&file, format!("{line}\n{rest}")).unwrap();
    let restorable = || program.json(&["log", &id])["operations"][0].clone();
    assert_eq!(restorable()["restorable"], true);
    registry.state.lock().unwrap().manifests.remove(&(REPO.to_owned(), before));
    let gone = restorable();
    assert_eq!(gone["restorable"], false, "{gone}");
    assert!(gone["hindrance"].as_str().unwrap().contains("is gone"), "{gone}");
}
