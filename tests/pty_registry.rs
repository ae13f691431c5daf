//! The real program in a terminal, on a real registry: browse, retag, copy, delete.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "helpers of tests are not inside test functions")]

mod common;

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use common::pty::Start;

#[test]
fn an_operator_browses_retags_copies_and_deletes() {
    let test = "an_operator_browses_retags_copies_and_deletes";
    let Some(registry) = common::registry(test) else { return };
    let repository = format!("deck-{}/web", std::process::id());
    let program = Program::with(&[]);
    let folder = tempfile::tempdir().unwrap();
    let archive = |n: u8| {
        let file = folder.path().join(format!("{n}.tar"));
        let image = ImageSpec::new("acme/web:1").layer(&[("n", &[n])]).layer(&[("base", b"base")]);
        std::fs::write(&file, oci_archive(&[image], Pack::Gzip)).unwrap();
        format!("oci-archive:{}", file.display())
    };
    for (n, tag) in [(1, "1.9.0"), (2, "1.10.0"), (3, "2.0.0-rc1")] {
        program.run(&["copy", &archive(n), &format!("docker://{registry}/{repository}:{tag}")]).ended(0);
    }
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
    screen.send("y");
    screen.wait_for("Done: copy to");
    assert_eq!(there(&other), ["1"]);
    // Deleting one says what shares its digest.
    screen.send("G");
    screen.send("k");
    screen.wait_for("3/4");
    screen.send("d");
    screen.wait_for("Delete 1 tag");
    screen.send("y");
    screen.wait_until("three tags", |text| text.contains("/3 ─"));
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
