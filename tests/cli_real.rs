//! The command line against a real Docker engine, a real Podman and a real registry, beside what `docker` and `skopeo` say.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::process::Command;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::Program;
use serde_json::{Value, json};

/// An image of two layers that no other test has.
fn spec(name: &str) -> ImageSpec {
    ImageSpec::new(name).layer(&[("etc/name", name.as_bytes())]).layer(&[("bin/app", &vec![7; 300_000])]).label("a", "b")
}

fn archive(program: &Program, name: &str, bytes: &[u8]) -> String {
    let path = program.home().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What another program prints, or `None` where it isn't installed.
fn other(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn id_of(program: &Program, reference: &str) -> String {
    program.json(&["inspect", reference])[0]["id"].as_str().unwrap().to_owned()
}

/// Import, list, inspect, history, tag, export, delete: the same on any engine. `prefix` is in front of every repository.
fn round(program: &Program, prefix: &str) {
    let name = |rest: &str| format!("{prefix}{rest}");
    let file = archive(program, "in.tar", &docker_archive(&[spec(&name("app:1"))]));
    let moved = program.json(&["import", &file]);
    assert!(moved["bytes_transferred"].as_u64().unwrap() > 300_000, "{moved}");
    let id = id_of(program, &name("app:1"));

    let images = program.json(&["images", "--filter", &format!("={}", name("app:1"))]);
    assert_eq!(images.as_array().unwrap().len(), 1);
    assert_eq!(images[0]["id"], id.as_str());
    assert_eq!(id_of(program, id.get(..20).unwrap()), id, "the beginning of an ID");
    let history = program.json(&["history", &name("app:1")]);
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!(history[2]["empty_layer"], true, "oldest first");

    assert_eq!(program.json(&["tag", &name("app:1"), &name("app:2"), &name("app:3")]), json!({"digest": id}));
    assert_eq!(id_of(program, &name("app:3")), id);

    for (out, transport) in [("out.tar", "docker-archive"), ("out.oci.tar", "oci-archive")] {
        program.json(&["export", &name("app:2"), out]);
        let back = program.json(&["inspect", &format!("{transport}:{out}"), "--verify"]);
        assert_eq!(back[0]["id"], id.as_str(), "{out}");
        assert!(back[0]["layers"].as_array().unwrap().iter().all(|layer| layer["verified"] == true), "{back}");
    }
    let verified = program.json(&["inspect", &name("app:1"), "--verify"]);
    assert!(verified[0]["layers"].as_array().unwrap().iter().all(|layer| layer["verified"] == true), "{verified}");

    let newer = archive(program, "newer.oci.tar", &oci_archive(&[spec(&name("app:1")).layer(&[("x", b"y")])], Pack::Gzip));
    let ran = program.run(&["import", &newer]).ended(2);
    assert!(ran.stderr.contains("moves from"), "{}", ran.stderr);
    assert_eq!(id_of(program, &name("app:1")), id);
    program.run(&["import", &newer, "--yes"]).ended(0);
    assert_ne!(id_of(program, &name("app:1")), id);

    let gone = program.json(&["delete", &name("app:1"), &name("app:2"), &name("app:3"), "--yes"]);
    assert_eq!(gone["removed"].as_array().unwrap().len(), 3, "{gone}");
    assert_eq!(program.json(&["images", "--filter", &format!("repo:{}", name("app"))]), json!([]));
    program.run(&["inspect", &name("app:1")]).ended(1);
}

#[test]
fn docker_does_every_verb() {
    let Some(host) = common::docker("docker_does_every_verb") else { return };
    round(&Program::with_engine(&host), "cli-docker/");
}

#[test]
fn podman_does_every_verb() {
    let Some(host) = common::podman("podman_does_every_verb") else { return };
    round(&Program::with_engine(&host), "localhost/cli-podman/");
}

#[test]
fn lists_and_inspections_agree_with_docker() {
    let Some(host) = common::docker("lists_and_inspections_agree_with_docker") else { return };
    let program = Program::with_engine(&host);
    let file = archive(&program, "in.tar", &docker_archive(&[spec("cli-agree/app:1").name("cli-agree/app:latest")]));
    program.run(&["import", &file, "--yes"]).ended(0);
    let Some(rows) =
        other("docker", &["-H", &host, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "cli-agree/app"])
    else {
        return;
    };
    let mut theirs: Vec<String> = rows.lines().map(str::to_owned).collect();
    let images = program.json(&["images", "--filter", "repo:cli-agree/app"]);
    let row = |image: &Value, tag: &Value| format!("{} {}", tag.as_str().unwrap(), image["id"].as_str().unwrap());
    let mut ours: Vec<String> = images
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|image| image["tags"].as_array().unwrap().iter().map(move |tag| row(image, tag)))
        .collect();
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
    let theirs: Value = serde_json::from_str(&other("docker", &["-H", &host, "inspect", "cli-agree/app"]).unwrap()).unwrap();
    let ours = program.json(&["inspect", "cli-agree/app"]);
    assert_eq!(ours[0]["id"], theirs[0]["Id"]);
    assert_eq!(ours[0]["config"]["env"], theirs[0]["Config"]["Env"]);
    assert_eq!(ours[0]["config"]["labels"], theirs[0]["Config"]["Labels"]);
    let diff_ids: Vec<&Value> = ours[0]["layers"].as_array().unwrap().iter().map(|layer| &layer["diff_id"]).collect();
    assert_eq!(json!(diff_ids), theirs[0]["RootFS"]["Layers"]);
    program.run(&["delete", "cli-agree/app:1", "cli-agree/app", "--yes"]).ended(0);
}

/// What an old build left for its cache is an image of its own.
#[test]
fn all_images_are_those_of_builds_too() {
    let Some(host) = common::docker("all_images_are_those_of_builds_too") else { return };
    let program = Program::with_engine(&host);
    let dir = program.home().join("build");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("file"), "all").unwrap();
    std::fs::write(dir.join("Dockerfile"), "FROM scratch\nCOPY file /file\nLABEL one=cli-all\nLABEL two=cli-all\n").unwrap();
    let mut build = Command::new("docker");
    build.env("DOCKER_BUILDKIT", "0").args(["-H", &host, "build", "-q", "-t", "cli-all/app:1"]).arg(&dir);
    let Ok(built) = build.output() else { return };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ids = |args: &[&str]| -> std::collections::BTreeSet<String> {
        program.json(args).as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect()
    };
    let Some(rows) = other("docker", &["-H", &host, "history", "-q", "--no-trunc", "cli-all/app:1"]) else { return };
    let steps: Vec<String> = rows.lines().filter(|id| id.starts_with("sha256:")).map(str::to_owned).collect();
    let (usual, all) = (ids(&["images"]), ids(&["images", "--all"]));
    assert!(steps.len() >= 3, "{rows}");
    assert!(steps.iter().all(|id| all.contains(id)), "{steps:?}");
    assert_eq!(steps.iter().filter(|id| usual.contains(*id)).count(), 1, "only the finished one");
    program.run(&["delete", "cli-all/app:1", "--yes"]).ended(0);
}

#[test]
fn an_image_in_use_is_kept_and_said_so() {
    let Some(host) = common::docker("an_image_in_use_is_kept_and_said_so") else { return };
    let program = Program::with_engine(&host);
    let file = archive(&program, "in.tar", &docker_archive(&[spec("cli-used/app:1")]));
    program.run(&["import", &file, "--yes"]).ended(0);
    let Some(container) = other("docker", &["-H", &host, "create", "cli-used/app:1", "/bin/app"]) else { return };
    let kept = program.run(&["delete", "cli-used/app:1", "--yes", "--json"]).ended(3).document();
    assert_eq!(kept["removed"], json!([]));
    assert_eq!(kept["kept"].as_array().unwrap().len(), 1, "{kept}");
    assert!(program.json(&["inspect", "cli-used/app:1"])[0]["containers"][0]["running"] == false);
    other("docker", &["-H", &host, "rm", &container]);
    program.run(&["delete", "cli-used/app:1", "--yes"]).ended(0);
}

/// Push, inspect in the registry, and pull into the other place: digests agree everywhere.
fn through_registry(program: &Program, registry: &str, repository: &str) {
    let reference = format!("{registry}/{repository}:1");
    let file = archive(program, "in.tar", &docker_archive(&[spec(&reference)]));
    program.run(&["import", &file, "--yes"]).ended(0);
    let pushed = program.json(&["push", &reference]);
    let digest = pushed["digest"].as_str().unwrap().to_owned();
    assert!(digest.starts_with("sha256:"), "{pushed}");
    if let Some(theirs) = other("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{reference}")]) {
        assert_eq!(digest, theirs);
    }
    let remote = program.json(&["inspect", &format!("docker://{reference}"), "--verify"]);
    assert_eq!(remote[0]["id"], id_of(program, &reference).as_str());
    assert_eq!(remote[0]["manifest_digest"], digest.as_str());
    assert!(remote[0]["layers"].as_array().unwrap().iter().all(|layer| layer["verified"] == true), "{remote}");
    let again = program.json(&["push", &reference]);
    assert_eq!(again["digest"], digest.as_str(), "what is there is not sent again: {again}");

    let fresh = Program::without_engine();
    let pulled = fresh.json(&["pull", &reference]);
    assert_eq!(pulled["digest"], digest.as_str());
    assert!(pulled["bytes_transferred"].as_u64().unwrap() > 0);
    assert_eq!(id_of(&fresh, &reference), id_of(program, &reference));
    assert_eq!(fresh.json(&["pull", &reference])["bytes_transferred"], 0, "nothing is fetched twice");
    fresh.run(&["pull", &format!("{registry}/{repository}:none")]).ended(1);
    program.run(&["delete", &reference, "--yes"]).ended(0);
}

#[test]
fn docker_pushes_and_the_store_pulls() {
    let test = "docker_pushes_and_the_store_pulls";
    let (Some(host), Some(registry)) = (common::docker(test), common::registry(test)) else { return };
    through_registry(&Program::with_engine(&host), &registry, "cli-docker/app");
}

#[test]
fn the_store_pushes_and_pulls() {
    let Some(registry) = common::registry("the_store_pushes_and_pulls") else { return };
    through_registry(&Program::without_engine(), &registry, "cli-store/app");
}
