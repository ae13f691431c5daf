//! `plan quarantine` on the embedded store and a real registry: what contains a polluted layer is put away, and listed for others.
#![allow(
    clippy::allow_attributes,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/registries.rs"]
mod registries;
#[path = "common/scripted.rs"]
mod scripted;

use common::images::{ImageSpec, docker_archive};
use common::program::Program;
use registries::Registry;
use serde_json::{Value, json};

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
    assert_eq!(report["not_looked_into"], json!({"local": 0, "remote": 0, "repositories": 0, "containers": 0}));
    assert_eq!(report["repositories"], json!([{"name": repo, "tags": 3, "looked_at": 3, "why": null}]));
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
fn all_repositories_of_a_registry_are_looked_through_and_what_cant_be_read_is_named() {
    let name = "all_repositories_of_a_registry_are_looked_through_and_what_cant_be_read_is_named";
    let Some(binary) = common::require(name, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = Registry::open(&binary);
    let host = registry.host();
    let program = Program::without_engine();
    let specs = [on_base("quar/bad:1", &["base", "bad"]), on_base("quar/clean:1", &["base", "x"]), on_base("quar/lost:1", &["lost"])];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    program.json(&["import", "in.tar"]);
    let to = |from: &str, to: &str| {
        let copied = program.json(&["copy", &format!("store:quar/{from}:1"), &format!("docker://{host}/{to}")]);
        copied["digest"].as_str().unwrap().to_owned()
    };
    to("bad", "team/app:1");
    to("clean", "team/app:2");
    to("bad", "team/other:1");
    to("clean", "team/empty:1");
    to("clean", "team/lossy:1");
    let lost = to("lost", "team/lossy:2");
    program.run(&["delete", &format!("docker://{host}/team/empty:1"), "--yes"]).ended(0);
    let hex = lost.strip_prefix("sha256:").unwrap();
    let blobs = registry.dir.path().join("data/docker/registry/v2/blobs/sha256");
    std::fs::remove_file(blobs.join(hex.chars().take(2).collect::<String>()).join(hex).join("data")).unwrap();
    let missing = format!("{host}/no/such");
    let args = ["plan", "quarantine", "quar/bad:1", "--in", &host, "--in", &missing, "--list", "found.json", "-o", "p"];
    let plan = program.run(&args).ended(3);
    for words in [
        format!("{host}/team/app: 2 of 2 tags looked at\n"),
        format!("{host}/team/other: 1 of 1 tag looked at\n"),
        format!("{host}/team/lossy: 1 of 2 tags looked at: "),
        format!("{missing}: not looked at: "),
    ] {
        assert!(plan.stderr.contains(&words), "{words}\n{}", plan.stderr);
    }
    let report: Value = serde_json::from_slice(&std::fs::read(program.home().join("found.json")).unwrap()).unwrap();
    let looked = |name: &str| {
        let all = report["repositories"].as_array().unwrap();
        all.iter().find(|one| one["name"] == format!("{host}/{name}")).unwrap().clone()
    };
    assert_eq!(looked("team/empty"), json!({"name": format!("{host}/team/empty"), "tags": 0, "looked_at": 0, "why": null}));
    assert_eq!((&looked("no/such")["tags"], looked("no/such")["why"].is_string()), (&Value::Null, true));
    assert_eq!(report["not_looked_into"]["repositories"], 2);
    let found: Vec<&str> = report["remote"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap()).collect();
    assert_eq!(found, [format!("{host}/team/app:1"), format!("{host}/team/other:1")]);
    // Planned and done in both.
    program.json(&["apply", "p", "--yes"]);
    for (repo, expected) in [("team/app", vec!["2", "quarantine-1"]), ("team/other", vec!["quarantine-1"])] {
        let tags = program.json(&["tags", &format!("{host}/{repo}")]);
        let mut names: Vec<&str> = tags["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }
    // A registry that is gone is named, and nothing is said to be found there.
    drop(registry);
    let plan = program.run(&["plan", "quarantine", "quar/clean:1", "--in", &host, "--in", &format!("{host}/team/app"), "-o", "p2"]);
    let plan = plan.ended(3);
    assert!(plan.stderr.contains("list the repositories") && plan.stderr.contains("team/app: not looked at: "), "{}", plan.stderr);
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
    assert_eq!(plan["operations"], json!([]));
}
