//! The real program in a terminal, with an editor of the user's: the terminal is lent and taken back whole.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "helpers of tests are not inside test functions")]

mod common;

use common::images::{ImageSpec, docker_archive};
use common::program::Program;
use common::pty::{Screen, Start};

/// The sample world with this editor, and the dialog of a batch retag over the first image.
fn renaming(start: Start, script: &str) -> Screen {
    let mut screen = start.file("my editor.sh", script).env("EDITOR", "sh 'my editor.sh'").env("VISUAL", "").spawn();
    screen.wait_for("acme/web");
    screen.send("T");
    screen.wait_for("Batch retag of 1");
    screen
}

#[test]
fn an_editor_gets_every_key_and_what_it_wrote_goes_into_the_plan() {
    // It reads the terminal line by line, as any program does, and keeps it to itself until it is done.
    let script = r#"echo "the editor is here: $(stat -c %a "$1") $(stat -c %a "$(dirname "$1")")"
        read -r word; read -r other; read -r long
        sed -i "s/→ .*/→ $word $other/" "$1"; echo "$1" > opened.txt; echo "${#long}" > long.txt"#;
    let mut screen = renaming(Start::new(&["demo"]), script);
    screen.send("<Tab>");
    screen.wait_for("the editor is here: 600 700");
    screen.wait_screen("no alternate screen", |screen| !screen.alternate_screen());
    screen.send("edited<Enter>edited-2<Enter>");
    for _ in 0..300 {
        screen.send("k");
    }
    screen.send("<Enter>");
    screen.wait_screen("the screen again", vt100::Screen::alternate_screen);
    screen.wait_for("as text");
    screen.wait_for("edited edited-2");
    screen.send("<Ctrl-s>");
    screen.wait_for("2 to run");
    // The keys are the deck's again, and nothing of the text is left behind.
    screen.send("U");
    screen.wait_for("Nothing is planned");
    let opened = std::fs::read_to_string(screen.home().join("opened.txt")).unwrap();
    let file = opened.trim();
    assert!(file.ends_with("retag.txt") && !std::path::Path::new(file).parent().unwrap().exists(), "{file}");
    assert_eq!(std::fs::read_to_string(screen.home().join("long.txt")).unwrap(), "300\n", "none of its keys was taken by the deck");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn an_editor_that_fails_or_changes_nothing_leaves_the_deck_as_it_was() {
    let mut screen = renaming(Start::new(&["demo"]), "echo 'old → x' > \"$1\"; echo \"$1\" > opened.txt; exit 3");
    screen.send("<Tab>");
    screen.wait_for("exit status: 3");
    screen.wait_for("Batch retag of 1");
    assert!(!screen.contents().contains(", as text"), "{}", screen.contents());
    screen.wait_for("what was written is in");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    let file = std::fs::read_to_string(screen.home().join("opened.txt")).unwrap();
    assert_eq!(std::fs::read_to_string(file.trim()).unwrap(), "old → x\n", "what was written is kept");
    assert_eq!(screen.quit(), 0);
    let mut screen = renaming(Start::new(&["demo"]), "exit 0");
    screen.send("<Tab>");
    screen.wait_for("Nothing was changed in the editor");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    assert_eq!(screen.quit(), 0);
    let mut screen = Start::new(&["demo"]).env("EDITOR", "/nonexistent/editor").spawn();
    screen.wait_for("acme/web");
    screen.send("T");
    screen.wait_for("Batch retag of 1");
    screen.send("<Tab>");
    screen.wait_for("VISUAL or EDITOR names the editor");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn an_interrupt_is_the_editors_and_an_end_takes_it_along() {
    let script = "trap 'echo interrupted' INT; trap 'echo \"$1\" > gone.txt; echo mine > \"$1\"; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    // In a store that is there after the end, and with it what was written.
    let program = Program::without_engine();
    let (store, archive) = (program.home().join("store"), program.home().join("a.tar"));
    let (store, file) = (store.to_str().unwrap(), archive.to_str().unwrap());
    std::fs::write(&archive, docker_archive(&[ImageSpec::new("acme/web:1.2")])).unwrap();
    program.run(&["--store", store, "import", file]).ended(0);
    let mut screen = renaming(Start::alone(&["--host", "store", "--store", store]), script);
    screen.send("<Tab>");
    screen.wait_for("begun");
    screen.send("<Ctrl-c>");
    screen.wait_for("interrupted");
    // In a session of its own, as the interrupt would end the shell of the others.
    screen.signal("TERM");
    assert_eq!(screen.wait_exit(), 143);
    let file = std::fs::read_to_string(screen.home().join("gone.txt")).unwrap();
    assert_eq!(std::fs::read_to_string(file.trim()).unwrap(), "mine\n", "what was written is kept");
    assert!(screen.contents().contains("lighterman: what was written is in"), "{}", screen.contents());
    assert!(!screen.with(vt100::Screen::alternate_screen));
}

#[test]
fn without_an_editor_the_text_is_edited_in_the_app() {
    let mut screen = Start::new(&["demo"]).spawn();
    screen.wait_for("acme/web");
    screen.send("T");
    screen.wait_for("Batch retag of 1");
    screen.send("<Tab>");
    screen.wait_for("as text");
    screen.wait_for("back to the rule");
    screen.paste("none → x\nsecond line");
    screen.wait_for("there is no none among the tags");
    screen.send("<Esc>");
    screen.wait_for("as text  Esc cancel");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_job_that_is_stopped_in_its_editor_goes_on_in_it() {
    // As an editor does for its own Ctrl-z: the whole group is told to stop.
    let script = "echo begun; read -r word; kill -s TSTP 0; read -r other; sed -i \"s/→ .*/→ $word$other/\" \"$1\"";
    let program = env!("CARGO_BIN_EXE_lighterman");
    let bash = Start::program("/bin/bash", &["--norc", "--noprofile", "-i"]).env("PS1", "shell> ").env("EDITOR", "sh editor.sh");
    let mut screen = bash.file("editor.sh", script).spawn();
    screen.wait_for("shell>");
    screen.send(&format!("{program} demo<Enter>"));
    screen.wait_for("acme/web");
    screen.send("T");
    screen.wait_for("Batch retag of 1");
    screen.send("<Tab>");
    screen.wait_for("begun");
    screen.send("one<Enter>");
    screen.wait_for("Stopped");
    screen.send("echo us''able<Enter>");
    screen.wait_for("usable");
    screen.send("fg<Enter>");
    // The shell says which job it goes on with; the terminal is the editor's, and not the deck's.
    screen.wait_until("the job again", |text| text.contains("usable") && text.trim_end().ends_with("demo"));
    assert!(!screen.with(vt100::Screen::alternate_screen));
    screen.send("two<Enter>");
    screen.wait_screen("the deck again", vt100::Screen::alternate_screen);
    screen.wait_for("onetwo");
    screen.send("<Esc>");
    screen.wait_for("Tab as text");
    screen.send("<Esc>");
    screen.wait_gone("Batch retag");
    screen.send("q");
    screen.wait_screen("the shell's prompt", |s| !s.alternate_screen() && s.contents().trim_end().ends_with("shell>"));
    screen.send("exit 0<Enter>");
    assert_eq!(screen.wait_exit(), 0);
}
