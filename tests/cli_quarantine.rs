//! `plan quarantine` on the embedded store and a real registry: what contains a polluted layer is put away, and listed for others.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::images::{ImageSpec, docker_archive};
use common::program::Program;
use serde_json::Value;

fn on_base(name: &str, steps: &[&str]) -> ImageSpec {
    steps.iter().fold(ImageSpec::new(name), |spec, step| spec.layer(&[("step", step.as_bytes())]))
}

fn words(plan: &Value) -> Vec<String> {
    let line = |line: &Value| {
        let target = line["target"]["tag"].as_str().or(line["target"].as_str()).map_or_else(|| line["target"].to_string(), str::to_owned);
        format!("{} {}", line["verb"].as_str().unwrap(), target)
    };
    let mut words: Vec<String> = plan["operations"].as_array().unwrap().iter().map(line).collect();
    words.sort();
    words
}

#[test]
fn what_contains_a_polluted_layer_is_put_away_here_and_in_the_registry() {
    let Some(host) = common::registry("what_contains_a_polluted_layer_is_put_away_here_and_in_the_registry") else { return };
    let program = Program::without_engine();
    let specs = [
        on_base("quar/bad:1", &["base", "bad"]),
        on_base("quar/child:1", &["base", "bad", "more"]),
        on_base("quar/clean:1", &["base", "x"]),
    ];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    program.json(&["import", "in.tar"]);
    let repo = format!("{host}/quar-{}/app", std::process::id());
    for name in ["bad", "child", "clean"] {
        program.json(&["copy", &format!("store:quar/{name}:1"), &format!("docker://{repo}:{name}")]);
    }
    let plan = program.json(&["plan", "quarantine", "quar/bad:1", "--in", &repo, "--list", "found.json", "-o", "p"]);
    let lines = words(&plan);
    assert_eq!(lines.len(), 8, "two images in both places, each with a new name and without the old one: {lines:?}");
    assert!(!lines.iter().any(|line| line.contains("clean")), "{lines:?}");
    let report: Value = serde_json::from_slice(&std::fs::read(program.home().join("found.json")).unwrap()).unwrap();
    assert_eq!((report["local"].as_array().unwrap().len(), report["remote"].as_array().unwrap().len()), (2, 2));
    assert_eq!(report["not_looked_into"], serde_json::json!({"local": 0, "remote": 0, "containers": 0}));
    // A list that is there is left alone, and nothing is planned.
    let again = program.run(&["plan", "quarantine", "quar/bad:1", "--list", "found.json"]);
    again.ended(1);
    program.json(&["apply", "p", "--yes"]);
    let tags = program.json(&["tags", &repo]);
    let mut names: Vec<&str> = tags["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["clean", "quarantine-bad", "quarantine-child"]);
    let images = program.json(&["images"]);
    let mut names: Vec<&str> = images.as_array().unwrap().iter().map(|image| image["tags"][0].as_str().unwrap()).collect();
    names.sort_unstable();
    assert!(names.iter().filter(|name| name.contains("quarantine-1")).count() == 2, "{names:?}");
    // By the layer's digest, as Markdown, and to be deleted; what is away already is found as well.
    let layer =
        program.json(&["inspect", &format!("docker://{repo}:quarantine-bad")])[0]["layers"][1]["digest"].as_str().unwrap().to_owned();
    let plan = program.json(&["plan", "quarantine", &layer, "--in", &repo, "--delete", "--list", "found.md"]);
    let lines = words(&plan);
    assert!(lines.len() == 4 && lines.iter().all(|line| line.starts_with("delete")), "{lines:?}");
    assert!(std::fs::read_to_string(program.home().join("found.md")).unwrap().contains("## In registries"));
    program.json(&["undo"]);
    assert_eq!(program.json(&["tags", &repo])["tags"].as_array().unwrap().len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let program = Program::without_engine();
    let digest = format!("sha256:{}", "a".repeat(64));
    program.run(&["plan", "quarantine"]).ended(2);
    program.run(&["plan", "quarantine", &digest, "--tag-prefix", "-no/"]).ended(2);
    program.run(&["plan", "quarantine", &digest, "--in", "localhost:5000/app:tag"]).ended(2);
    program.run(&["plan", "quarantine", &digest, "--delete", "--tag-prefix", "x-"]).ended(2);
    program.run(&["plan", "quarantine", "no-such-image:1"]).ended(1);
    // Nothing found, and all looked into.
    let plan = program.json(&["plan", "quarantine", &digest]);
    assert_eq!(plan["operations"], serde_json::json!([]));
}
