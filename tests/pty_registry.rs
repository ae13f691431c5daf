//! The real program in a terminal, on a real registry: browse, retag, copy, delete.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "helpers of tests are not inside test functions")]

mod common;

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use common::pty::{Screen, Start};

/// Puts an image of its own under each tag.
fn fill(program: &Program, repository: &str, tags: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    for tag in tags {
        let image = ImageSpec::new("acme/web:1")
            .layer(&[("tag", tag.as_bytes())])
            .layer(&[("base", b"base")])
            .label("version", &format!("of-{tag}"));
        std::fs::write(&file, oci_archive(&[image], Pack::Gzip)).unwrap();
        program.run(&["copy", &format!("oci-archive:{}", file.display()), &format!("{repository}:{tag}")]).ended(0);
    }
}

#[test]
fn an_operator_browses_retags_copies_and_deletes() {
    let test = "an_operator_browses_retags_copies_and_deletes";
    let Some(registry) = common::registry(test) else { return };
    let repository = format!("deck-{}/web", std::process::id());
    let program = Program::with(&[]);
    fill(&program, &format!("docker://{registry}/{repository}"), &["1.9.0", "1.10.0", "2.0.0-rc1"]);
    let there = |repository: &str| {
        let tags = program.run(&["tags", &format!("{registry}/{repository}"), "--json"]).ended(0).document();
        let mut tags: Vec<String> = tags["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    };
    assert_eq!(there(&repository), ["1.10.0", "1.9.0", "2.0.0-rc1"]);

    let mut screen = Start::new(&["--host", "store", &format!("docker://{registry}/{repository}")]).spawn();
    // Versions in their order, each with what it points at; the steps of the image under the cursor beside them.
    screen.wait_until("the tags and what they point at", |text| {
        let at = |tag: &str| text.lines().position(|line| line.contains(tag) && line.contains("10mo"));
        at("2.0.0-rc1").is_some() && at("2.0.0-rc1") < at("1.10.0") && at("1.10.0") < at("1.9.0")
    });
    screen.wait_for("COPY layer-1 /");
    // A new name for the second.
    screen.send("j");
    screen.wait_for("2/3");
    screen.send("t");
    screen.wait_for("Give it another tag");
    screen.send("<Ctrl-u>stable<Enter>");
    screen.wait_until("two tags of one digest", |text| {
        text.lines().filter(|line| line.contains("1.10.0") || line.contains("stable")).filter(|line| line.contains("  2  ")).count() >= 2
    });
    assert_eq!(there(&repository), ["1.10.0", "1.9.0", "2.0.0-rc1", "stable"]);
    // To another repository: the layers are there already.
    screen.send("c");
    screen.wait_for("Copy to");
    let other = format!("deck-{}/prod", std::process::id());
    screen.send(&format!("<Ctrl-u>{registry}/{other}:1<Enter>"));
    screen.wait_for("The tag is new there");
    screen.answer("y");
    screen.wait_for("Done: copy to");
    assert_eq!(there(&other), ["1"]);
    // Deleting one says what shares its digest.
    screen.send("G");
    screen.send("k");
    screen.wait_for("3/4");
    screen.send("d");
    screen.wait_for("1 to run");
    screen.send("x");
    screen.wait_for("Run 1 line");
    screen.answer("y");
    screen.wait_for("1 line done");
    screen.send("<Esc>");
    screen.wait_gone("1.9.0");
    assert_eq!(there(&repository), ["1.10.0", "2.0.0-rc1", "stable"]);
    // Back through the levels, to the list of repositories, and to the hosts.
    screen.send("<Esc>");
    screen.wait_for("Repository");
    screen.wait_for("deck-");
    screen.send("<Esc>");
    screen.wait_for("typed");
    assert_eq!(screen.quit(), 0);
    // The registry that was typed is remembered.
    let mut again = Start::new(&["--host", "store"]).home_of(&screen).spawn();
    again.wait_for(&registry);
    assert_eq!(again.quit(), 0);
}

fn tags_are_read(screen: &Screen, count: usize) {
    // The Layers pane beside them tells ages too.
    let tag = |line: &&str| line.split("││").next().is_some_and(|line| line.contains("10mo"));
    screen.wait_until("all tags read", |text| text.lines().filter(tag).count() >= count);
}

/// Runs the plan, which has so many lines.
fn run_plan(screen: &mut Screen, lines: usize) {
    screen.send("x");
    screen.wait_for(&format!("Run {lines} lines"));
    screen.answer("y");
    // A toast may still be that of a run before.
    screen.wait_for(&format!("{lines} of {lines} done"));
    // Its lines are done before the run is.
    screen.wait_for("has run");
}

fn close_drawer(screen: &mut Screen) {
    screen.send("<Esc>");
    screen.wait_gone("has run");
}

#[test]
fn a_release_engineer_retags_as_text_mirrors_and_lets_a_policy_clean_up() {
    let test = "a_release_engineer_retags_as_text_mirrors_and_lets_a_policy_clean_up";
    let Some(registry) = common::registry(test) else { return };
    let repository = format!("rules-{}/web", std::process::id());
    let program = Program::with(&[]);
    fill(&program, &format!("docker://{registry}/{repository}"), &["v1.0.0", "v1.0.1", "pr-1"]);
    let there = |repository: &str| {
        let tags = program.run(&["tags", &format!("{registry}/{repository}"), "--json"]).ended(0).document();
        let mut tags: Vec<String> = tags["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    };
    let start = Start::new(&["--host", "store", &format!("docker://{registry}/{repository}")]).size(140, 45);
    let editor = "printf 'pr-1 → nightly\\nv1.0.1 → stable\\n' > \"$1\"";
    let mut screen = start.file("editor.sh", editor).env("EDITOR", "sh editor.sh").spawn();
    tags_are_read(&screen, 3);
    // As text, in an editor; looked at without a change, and then run.
    screen.send("*T");
    screen.wait_for("Batch retag of 3");
    screen.send("<Tab>");
    screen.wait_for("2 to give, 0 of them moved, 0 refused");
    screen.send("<Ctrl-s>");
    screen.wait_for("2 to run");
    screen.send("n");
    screen.wait_for("2 of 2 lines could run now");
    assert_eq!(there(&repository).len(), 3, "nothing was changed");
    run_plan(&mut screen, 2);
    assert_eq!(there(&repository), ["nightly", "pr-1", "stable", "v1.0.0", "v1.0.1"]);
    close_drawer(&mut screen);
    tags_are_read(&screen, 5);
    // By a label, which is in the image's configuration.
    screen.send("*T");
    screen.wait_for("Batch retag of 5");
    screen.send("{label:version}");
    screen.wait_for("of-v1.0.0");
    screen.wait_for("5 to give");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    // Into a namespace of its own, which begins with this.
    screen.send("T");
    screen.wait_for("Batch retag of 5");
    let mirror = format!("mirror-{}", std::process::id());
    screen.send(&format!("mirror:{registry}/{mirror}"));
    screen.wait_for("5 to give");
    screen.send("<Enter>");
    screen.wait_for("5 to run");
    run_plan(&mut screen, 5);
    assert_eq!(there(&format!("{mirror}/{repository}")), there(&repository));
    close_drawer(&mut screen);
    tags_are_read(&screen, 5);
    // A rule recolours the tags as it is typed, and what it lets go is planned.
    screen.send("R");
    screen.wait_for("what if:");
    screen.send("keep only last 1 of v{semver}, drop pr-*");
    screen.wait_for("drops 2, keeps 3 (40 %)");
    screen.wait_for("drop    rule 2: drop");
    // The run had the tags read anew: what is not known yet is never decided over.
    screen.wait_until("all tags known", |text| !text.contains("still listing") && !text.contains("not read yet"));
    screen.send("<Enter>");
    screen.wait_for("2 to run");
    run_plan(&mut screen, 2);
    assert_eq!(there(&repository), ["nightly", "stable", "v1.0.1"]);
    assert_eq!(screen.quit(), 0);
}

#[test]
fn images_of_this_machine_are_mirrored_and_taken_back() {
    let Some(registry) = common::registry("images_of_this_machine_are_mirrored_and_taken_back") else { return };
    let hub = format!("{registry}/hub-{}", std::process::id());
    let program = Program::without_engine();
    // One of the tags is there already, at something else.
    let there = |tag: &str| {
        let tags = program.run(&["tags", &format!("{hub}/library/app"), "--details", "--json"]).ended(0).document();
        let found = tags["tags"].as_array().unwrap().iter().find(|row| row["tag"] == tag).cloned();
        found.map(|row| row["digest"].as_str().unwrap().to_owned())
    };
    fill(&program, &format!("docker://{hub}/library/app"), &["2"]);
    let before = there("2");
    let images = [ImageSpec::new("app:1").layer(&[("a", b"1")]), ImageSpec::new("app:2").layer(&[("a", b"2")])];
    std::fs::write(program.home().join("in.tar"), oci_archive(&images, Pack::Gzip)).unwrap();
    let store = program.home().join("images").display().to_string();
    program.run(&["--store", &store, "import", "in.tar"]).ended(0);
    let mut screen = Start::new(&["--host", "store", "--store", &store]).size(120, 40).spawn();
    screen.wait_for("2 images");
    screen.send("*T");
    screen.wait_for("Batch retag of 2");
    screen.send(&format!("mirror:{hub}"));
    screen.wait_for("tagged and pushed");
    screen.send("<Enter>");
    screen.wait_for("4 to run");
    screen.wait_for("takes the tag");
    run_plan(&mut screen, 4);
    assert!(there("1").is_some() && there("2").is_some() && there("2") != before);
    screen.send("z");
    screen.wait_for("4 to run");
    screen.send("x");
    screen.wait_for("Run 4 lines");
    screen.answer("y");
    screen.wait_for("4 of 4 done");
    screen.wait_until("the images without their other names", |text| !text.contains("…/library/app"));
    assert_eq!((there("1"), there("2")), (None, before));
    assert_eq!(screen.quit(), 0);
}
