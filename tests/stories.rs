//! The three people this program is for, at the real program in a terminal, on the real engine and registry: what each wants done is done, is
//! said truly before, and is taken back.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "helpers of tests are not inside test functions")]

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::Program;
use common::pty::{Screen, Start};

/// What a repository has: tags and their digests.
type Tags = BTreeMap<String, String>;

fn tags(program: &Program, repository: &str) -> Tags {
    let list = program.json(&["tags", repository, "--details"]);
    let rows = list["tags"].as_array().unwrap();
    rows.iter().map(|row| (row["tag"].as_str().unwrap().to_owned(), row["digest"].as_str().unwrap().to_owned())).collect()
}

/// Puts an image under each tag; the same seed is the same image.
fn fill(program: &Program, repository: &str, images: &[(&str, &str)]) {
    let file = program.home().join("image.tar");
    for (tag, seed) in images {
        let image = ImageSpec::new("acme/web:1").layer(&[("base", b"base")]).layer(&[("seed", seed.as_bytes())]);
        std::fs::write(&file, oci_archive(&[image], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:image.tar", &format!("docker://{repository}:{tag}")]);
    }
}

/// Shows the one row of that name and no other.
fn only(screen: &mut Screen, tag: &str) {
    screen.send("/");
    screen.send(&format!("<Ctrl-u>={tag}<Enter>"));
    screen.wait_for("1/1");
}

/// Runs what the drawer holds.
fn run(screen: &mut Screen, lines: usize) {
    let word = if lines == 1 { "line" } else { "lines" };
    screen.send("x");
    screen.wait_for(&format!("Run {lines} {word}"));
    screen.answer("y");
    screen.wait_for(&format!("{lines} of {lines} done"));
}

/// Takes the last run back.
fn take_back(screen: &mut Screen, lines: usize) {
    screen.send("z");
    screen.wait_for(&format!("{lines} to run"));
    run(screen, lines);
}

#[test]
fn an_operator_deletes_what_is_old_and_gets_it_back() {
    let Some(registry) = common::registry("an_operator_deletes_what_is_old_and_gets_it_back") else { return };
    let program = Program::without_engine();
    let repository = format!("{registry}/stories-{}/operator", std::process::id());
    fill(&program, &repository, &[("1.4.0", "a"), ("1.4", "a"), ("stable", "a"), ("old", "b")]);
    let before = tags(&program, &repository);

    let mut screen = Start::new(&["--host", "store", &format!("docker://{repository}")]).spawn();
    screen.wait_until("three tags of one digest", |text| text.lines().filter(|line| line.contains("  3  ")).count() >= 3);
    // What shares its digest loses a name only; what stands alone goes, and the plan says which is which.
    only(&mut screen, "1.4");
    screen.send("d");
    screen.wait_for("1 to run");
    screen.wait_for("2 other tags keep");
    screen.send("2");
    only(&mut screen, "old");
    screen.send("d");
    screen.wait_for("2 to run");
    screen.wait_for("removes 1 tag: old");
    screen.wait_for("undo until GC");
    screen.send("x");
    screen.wait_for("It can be taken back until the registry collects garbage.");
    screen.answer("y");
    screen.wait_for("2 of 2 done");
    let left = tags(&program, &repository);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["1.4.0", "stable"]);
    assert!(left.iter().all(|(tag, digest)| before[tag] == *digest));
    take_back(&mut screen, 2);
    assert_eq!(tags(&program, &repository), before);
    // The log of it all.
    screen.send("7");
    screen.wait_until("both runs", |text| {
        let has = |words: [&str; 2]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        has(["undo", "2 of 2 done"]) && has(["0 of 2 done", "taken back"])
    });
    assert_eq!(screen.quit(), 0);
}

fn docker(host: &str, args: &[&str]) -> String {
    let output = Command::new("docker").args(["--host", host]).args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_developer_cleans_up_and_loses_nothing_that_is_used() {
    let Some(host) = common::docker("a_developer_cleans_up_and_loses_nothing_that_is_used") else { return };
    let program = Program::with_engine(&host);
    let name = format!("stories-{}/app", std::process::id());
    let load = |tag: &str, seed: &str| {
        let image = ImageSpec::new(&format!("{name}:{tag}")).layer(&[("seed", seed.as_bytes())]);
        std::fs::write(program.home().join("in.tar"), docker_archive(&[image])).unwrap();
        program.json(&["import", "in.tar", "--yes"]);
        docker(&host, &["image", "inspect", "--format", "{{.Id}}", &format!("{name}:{tag}")])
    };
    let there = || docker(&host, &["images", "--all", "--quiet", "--no-trunc"]);
    // Two images that lost their names, one of them used by a container, and one that has its name.
    let (lost, used) = (load("1", "lost"), load("2", "used"));
    let container = docker(&host, &["create", &format!("{name}:2"), "/none"]);
    let kept = (load("1", "new"), load("2", "newer"));

    let mut screen = Start::new(&["--host", &host]).size(160, 40).spawn();
    screen.wait_for(&name);
    screen.send("X");
    screen.wait_for("without a tag");
    screen.send(" ");
    screen.wait_gone("Nothing is picked yet");
    screen.send("d");
    screen.wait_for("undo with backup");
    screen.wait_for(" to run");
    let planned = screen.contents();
    let lines = planned.split_once(" to run").and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok()).unwrap();
    screen.send("x");
    screen.wait_for("What is deleted can't be taken back: no backup is written.");
    screen.send("<Esc>");
    screen.wait_gone("What is deleted");
    screen.send("b");
    screen.send("x");
    screen.wait_for("A backup is written first.");
    screen.answer("y");
    screen.wait_for(&format!("{lines} of {lines} done"));
    let left = there();
    assert!(!left.contains(&lost), "{left}");
    assert!(left.contains(&used) && left.contains(&kept.0) && left.contains(&kept.1), "{left}");
    take_back(&mut screen, lines);
    assert!(there().contains(&lost), "the backup brings it back");
    assert_eq!(screen.quit(), 0);
    docker(&host, &["rm", &container]);
}

#[test]
fn a_release_engineer_promotes_by_the_dozen_and_takes_it_back() {
    let Some(registry) = common::registry("a_release_engineer_promotes_by_the_dozen_and_takes_it_back") else { return };
    let program = Program::without_engine();
    let repository = format!("{registry}/stories-{}/release", std::process::id());
    let mut images = vec![("1.3.0".to_owned(), "1.3.0"), ("stable".to_owned(), "1.3.0")];
    for minor in ["1.4.0", "1.5.0", "1.6.0", "2.0.0"] {
        images.extend((1..=3).map(|n| (format!("{minor}-rc{n}"), if n == 3 { minor } else { "early" })));
    }
    let images: Vec<(&str, &str)> = images.iter().map(|(tag, seed)| (tag.as_str(), *seed)).collect();
    fill(&program, &repository, &images);
    let before = tags(&program, &repository);

    let mut screen = Start::new(&["--host", "store", &format!("docker://{repository}")]).size(160, 48).spawn();
    screen.wait_for("2.0.0-rc3");
    screen.wait_until("what all tags point at", |text| text.lines().filter(|line| line.contains("amd64 ")).count() >= 14);
    screen.send("*");
    screen.wait_for("14 marked");
    screen.send("T");
    screen.wait_for("Batch retag of 14");
    screen.send("promote:stable,latest");
    // Every new name beside the old one, before anything is planned.
    screen.wait_for("2.0.0-rc3");
    screen.wait_for("1.6");
    screen.send("<Enter>");
    // Four versions, four lines of them, two majors, and two names of the newest.
    screen.wait_for("12 to run");
    run(&mut screen, 12);
    let after = tags(&program, &repository);
    for (tag, of) in [
        ("1.4.0", "1.4.0-rc3"),
        ("1.6", "1.6.0-rc3"),
        ("1", "1.6.0-rc3"),
        ("2", "2.0.0-rc3"),
        ("stable", "2.0.0-rc3"),
        ("latest", "2.0.0-rc3"),
    ] {
        assert_eq!(after[tag], before[of], "{tag}");
    }
    assert!(before.iter().all(|(tag, digest)| tag == "stable" || after[tag] == *digest));
    take_back(&mut screen, 12);
    assert_eq!(tags(&program, &repository), before, "bit for bit");
    assert_eq!(screen.quit(), 0);
}
