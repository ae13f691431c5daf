//! Plans for a real Docker engine and a real registry: what a container uses stays, what went comes back from a backup, and deleted tags come
//! back with their manifests.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::Program;
use serde_json::Value;

fn docker(host: &str, args: &[&str]) -> String {
    let output = Command::new("docker").args(["--host", host]).args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The engine's tags of that prefix, and their images.
fn tags(program: &Program, prefix: &str) -> BTreeMap<String, String> {
    let images = program.json(&["images"]);
    let mut found = BTreeMap::new();
    for image in images.as_array().unwrap() {
        for tag in image["tags"].as_array().unwrap() {
            let tag = tag.as_str().unwrap();
            if tag.contains(prefix) {
                found.insert(tag.to_owned(), image["id"].as_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn load(program: &Program, specs: &[ImageSpec]) {
    std::fs::write(program.home().join("in.tar"), docker_archive(specs)).unwrap();
    program.json(&["import", "in.tar"]);
}

fn spec(name: &str) -> ImageSpec {
    ImageSpec::new(name).layer(&[("etc/name", name.as_bytes())])
}

fn line<'a>(result: &'a Value, target: &str) -> &'a Value {
    result["lines"].as_array().unwrap().iter().find(|line| line["target"].as_str().unwrap().ends_with(target)).unwrap()
}

#[test]
fn an_engine_keeps_what_a_container_began_to_use_after_the_plan_was_made() {
    let Some(host) = common::docker("an_engine_keeps_what_a_container_began_to_use_after_the_plan_was_made") else { return };
    let program = Program::with_engine(&host);
    load(&program, &[spec("plan-used/a:1"), spec("plan-used/b:1")]);
    program.json(&["plan", "delete", "plan-used/a:1", "plan-used/b:1", "-o", "p"]);
    let container = docker(&host, &["create", "plan-used/a:1", "/none"]);
    let applied = program.run(&["apply", "p", "--yes", "--json"]).ended(3).document();
    assert_eq!((line(&applied, "a:1")["state"].as_str(), line(&applied, "b:1")["state"].as_str()), (Some("failed"), Some("done")));
    assert!(line(&applied, "a:1")["why"].as_str().unwrap().contains("container"), "{applied}");
    let left = tags(&program, "plan-used/");
    assert_eq!(left.keys().collect::<Vec<_>>(), ["plan-used/a:1"]);
    // Planned now, the line stands in the plan and says why it may not run.
    let plan = program.json(&["plan", "delete", "plan-used/a:1", "-o", "p"]);
    assert!(plan["operations"][0]["protected"].as_str().unwrap().starts_with("used by stopped container"), "{plan}");
    program.run(&["apply", "p", "--yes"]).ended(1);
    docker(&host, &["rm", &container]);
    // That plan still says what was seen then.
    program.run(&["apply", "p", "--yes"]).ended(1);
    program.json(&["plan", "delete", "plan-used/a:1", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    assert!(tags(&program, "plan-used/").is_empty());
}

#[test]
fn an_engine_gets_back_its_names_and_from_a_backup_its_images() {
    let Some(host) = common::docker("an_engine_gets_back_its_names_and_from_a_backup_its_images") else { return };
    let program = Program::with_engine(&host);
    load(&program, &[spec("plan-back/a:1").name("plan-back/a:2"), spec("plan-back/b:1"), spec("plan-back/c:1")]);
    let before = tags(&program, "plan-back/");
    program.json(&["plan", "retag", "plan-back/b:1=plan-back/a:2", "plan-back/a:1=plan-back/new:1", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    let moved = tags(&program, "plan-back/");
    assert_eq!(moved["plan-back/a:2"], before["plan-back/b:1"]);
    assert_eq!(moved["plan-back/new:1"], before["plan-back/a:1"]);
    program.json(&["undo"]);
    assert_eq!(tags(&program, "plan-back/"), before);
    // Two names and their image, and an image by its ID.
    program.json(&["plan", "delete", "plan-back/a:1", "plan-back/a:2", &before["plan-back/b:1"], "-o", "p"]);
    let applied = program.json(&["apply", "p", "--yes", "--backup"]);
    assert_eq!(applied["done"], 3);
    assert_eq!(tags(&program, "plan-back/").len(), 1);
    let id = applied["id"].as_str().unwrap();
    let told = program.json(&["log", id]);
    assert!(told["operations"].as_array().unwrap().iter().any(|line| line["restorable"] == true), "{told}");
    let undone = program.json(&["undo"]);
    assert_eq!(tags(&program, "plan-back/"), before, "{undone}");
    // Moved by somebody else after: the undo leaves it alone.
    program.json(&["plan", "retag", "plan-back/b:1=plan-back/a:2", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    docker(&host, &["tag", "plan-back/c:1", "plan-back/a:2"]);
    let undone = program.run(&["undo", "--json"]).ended(1).document();
    assert_eq!(undone["lines"][0]["state"], "conflict");
    assert_eq!(tags(&program, "plan-back/")["plan-back/a:2"], before["plan-back/c:1"]);
}

#[test]
fn a_real_registry_gets_back_deleted_tags_and_indexes() {
    let Some(host) = common::registry("a_real_registry_gets_back_deleted_tags_and_indexes") else { return };
    let program = Program::without_engine();
    let at = |tag: &str| format!("docker://{host}/plan-back/app:{tag}");
    for (tag, names) in [("v1", "one"), ("v2", "two")] {
        std::fs::write(program.home().join("a.tar"), oci_archive(&[spec(names)], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:a.tar", &at(tag)]);
    }
    program.json(&["tag", &at("v1"), &at("latest"), &at("stable")]);
    let repo = format!("{host}/plan-back/app");
    let tags = |program: &Program| program.json(&["tags", &repo, "--details"])["tags"].clone();
    let before = tags(&program);
    // All three names of one digest and the only one of another; this registry deletes whole manifests.
    program.json(&["plan", "delete", &at("v1"), &at("latest"), &at("stable"), &at("v2"), "-o", "p"]);
    let applied = program.json(&["apply", "p", "--yes"]);
    assert_eq!(applied["done"], 4);
    assert_eq!(tags(&program), serde_json::json!([]));
    let told = program.json(&["log", applied["id"].as_str().unwrap()]);
    assert!(told["operations"].as_array().unwrap().iter().all(|line| line["restorable"] == true), "{told}");
    program.json(&["undo"]);
    assert_eq!(tags(&program), before);
    // One of three: it alone, by way of an empty manifest; and back.
    let plan = program.json(&["plan", "delete", &at("latest"), "-o", "p"]);
    assert_eq!(plan["operations"][0]["effects"][0], "untag only, 2 other tags keep this digest: stable, v1");
    program.json(&["apply", "p", "--yes"]);
    assert_eq!(tags(&program).as_array().unwrap().len(), 3);
    program.json(&["undo"]);
    assert_eq!(tags(&program), before);
    // And again, by way of the same empty manifest, which the registry deleted before.
    assert_eq!(program.json(&["redo"])["done"], 1);
    assert_eq!(tags(&program).as_array().unwrap().len(), 3);
    program.json(&["undo"]);
    assert_eq!(tags(&program), before);
    // With a backup it comes back whatever the registry collected.
    program.json(&["plan", "delete", &at("v2"), "-o", "p"]);
    let applied = program.json(&["apply", "p", "--yes", "--backup"]);
    assert_eq!(applied["lines"][0]["undo"], "reversible_now");
    program.json(&["undo"]);
    assert_eq!(tags(&program), before);
}

#[test]
fn what_a_backup_does_not_bring_back_is_said_before() {
    let test = "what_a_backup_does_not_bring_back_is_said_before";
    let (Some(engine), Some(host)) = (common::docker(test), common::registry(test)) else { return };
    let program = Program::with_engine(&engine);
    let name = format!("{host}/plan-bare/app:1");
    std::fs::write(program.home().join("a.tar"), oci_archive(&[spec("bare")], Pack::Gzip)).unwrap();
    program.json(&["copy", "oci-archive:a.tar", &format!("docker://{name}")]);
    program.json(&["pull", &name]);
    let image = || program.json(&["inspect", &name])[0].clone();
    let before = image();
    assert_eq!(before["repo_digests"].as_array().unwrap().len(), 1, "{before}");
    let plan = program.json(&["plan", "delete", &name, "-o", "p"]);
    let effects = plan["operations"][0]["effects"].to_string();
    assert!(effects.contains("without its digest in a registry"), "{effects}");
    let asked = program.run(&["apply", "p", "--backup"]).ended(2);
    assert!(asked.stderr.contains("without their digests in registries"), "{}", asked.stderr);
    program.json(&["apply", "p", "--yes", "--backup"]);
    program.json(&["undo"]);
    let after = image();
    assert_eq!((&after["id"], &after["tags"]), (&before["id"], &before["tags"]));
    assert_eq!(after["repo_digests"].as_array().unwrap().len(), 0, "{after}");
    program.json(&["delete", "--yes", &name]);
}

/// Images on images, and several names of one: they go side by side, and what one of them takes along was meant to go.
#[test]
fn images_that_are_built_on_each_other_go_together() {
    let Some(host) = common::docker("images_that_are_built_on_each_other_go_together") else { return };
    let program = Program::with_engine(&host);
    let parent = |n: usize| format!("plan-family/parent-{n}:1");
    let (mut names, specs): (Vec<String>, Vec<ImageSpec>) = (0..12).map(|n| (parent(n), spec(&parent(n)))).unzip();
    load(&program, &specs);
    for n in 0..12 {
        let container = docker(&host, &["create", &parent(n), "/none"]);
        let child = format!("plan-family/child-{n}:1");
        docker(&host, &["commit", &container, &child]);
        docker(&host, &["rm", &container]);
        docker(&host, &["tag", &child, &format!("plan-family/a-child-{n}:1")]);
        names.extend([child, format!("plan-family/a-child-{n}:1")]);
    }
    let ids: std::collections::BTreeSet<String> = tags(&program, "plan-family/").into_values().collect();
    assert_eq!(ids.len(), 24);
    let mut args = vec!["plan", "delete", "-o", "p"];
    args.extend(names.iter().map(String::as_str));
    let plan = program.json(&args);
    assert_eq!(plan["operations"].as_array().unwrap().len(), 36);
    let applied = program.run(&["apply", "p", "--yes", "--json"]);
    let lines = applied.document()["lines"].as_array().unwrap().clone();
    let left: Vec<&Value> = lines.iter().filter(|line| line["state"] != "done").collect();
    assert!(left.is_empty(), "{left:#?}");
    let all = program.json(&["images", "--all"]);
    let left: Vec<&Value> = all.as_array().unwrap().iter().filter(|image| ids.contains(image["id"].as_str().unwrap())).collect();
    assert!(left.is_empty(), "not even without a name: {left:#?}");
}

/// Each on the one before, and only the last with a name: whichever is tried first, none is told to have failed or moved.
#[test]
fn images_of_three_levels_go_together() {
    let Some(host) = common::docker("images_of_three_levels_go_together") else { return };
    let program = Program::with_engine(&host);
    let (mut names, mut hidden) = (Vec::new(), Vec::new());
    for n in 0..6 {
        let level = |level: &str| format!("plan-levels/{level}-{n}:1");
        load(&program, &[spec(&level("base"))]);
        for (on, named) in [("base", "mid"), ("mid", "leaf")] {
            let container = docker(&host, &["create", &level(on), "/none"]);
            docker(&host, &["commit", &container, &level(named)]);
            docker(&host, &["rm", &container]);
        }
        let now = tags(&program, "plan-levels/");
        for named in ["base", "mid"] {
            // Without a name in half of the families.
            if n % 2 == 0 {
                docker(&host, &["rmi", &level(named)]);
                hidden.push(now[&level(named)].clone());
            } else {
                names.push(level(named));
            }
        }
        names.push(level("leaf"));
    }
    let mut args = vec!["plan", "delete", "-o", "p"];
    args.extend(names.iter().map(String::as_str));
    let mut plan = program.json(&args);
    let operations = plan["operations"].as_array_mut().unwrap();
    // An engine lists no image that another is built on and that has no name.
    for id in &hidden {
        let mut line = operations[0].clone();
        (line["target"], line["before"]) = (id.as_str().into(), id.as_str().into());
        operations.push(line);
    }
    assert_eq!(operations.len(), 18);
    operations.rotate_right(hidden.len());
    std::fs::write(program.home().join("p"), plan.to_string()).unwrap();
    let applied = program.run(&["apply", "p", "--yes", "--json"]).document();
    let left: Vec<&Value> = applied["lines"].as_array().unwrap().iter().filter(|line| line["state"] != "done").collect();
    assert!(left.is_empty(), "{left:#?}");
    let all = program.json(&["images", "--all"]);
    let left: Vec<&Value> = all.as_array().unwrap().iter().filter(|image| hidden.iter().any(|id| image["id"] == id.as_str())).collect();
    assert!(left.is_empty(), "{left:#?}");
}
