//! The real program in a pseudo-terminal: starting, keys, sizes, signals, and giving the terminal back.

#![allow(
    clippy::string_slice,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a slice off a boundary fails the test"
)]

mod common;

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use common::images::{ImageSpec, docker_archive};
use common::program::Program;
use common::pty::{PATIENCE, Screen, Start, assert_own_sequences};

/// The sample world: a deck that needs nobody.
fn demo() -> Screen {
    let screen = Start::new(&["demo"]).spawn();
    screen.wait_for("acme/web");
    screen
}

/// The same, in a terminal of its own.
fn demo_alone() -> Screen {
    let screen = Start::alone(&["demo"]).spawn();
    screen.wait_for("acme/web");
    screen
}

/// What was turned on was turned off, in reverse order, and nothing was drawn after.
fn assert_restored(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let entered = text.rfind("\x1b[?1049h").expect("the alternate screen was entered");
    let left = text.rfind("\x1b[?1049l").expect("the alternate screen was left");
    assert!(!text[left..].contains("\x1b[?2026h"), "drawn after the screen was left");
    // A shell has modes of its own after that.
    let tail = &text[entered..left + "\x1b[?1049l".len()];
    let at = |sequence: &str| tail.rfind(sequence).unwrap_or_else(|| panic!("{sequence:?} is missing"));
    let order = [at("\x1b[?1006l"), at("\x1b[?1000l"), at("\x1b[?2004l"), at("\x1b[?25h"), at("\x1b[?1049l")];
    assert!(order.is_sorted(), "left in another order than it came in: {order:?}");
    assert!(!tail[order[0]..].contains("\x1b[?2026h"), "drawn after the screen was left");
}

#[test]
fn it_shows_a_frame_and_gives_the_terminal_back() {
    let mut screen = demo();
    screen.wait_screen("the alternate screen", vt100::Screen::alternate_screen);
    screen.wait_screen("bracketed paste", vt100::Screen::bracketed_paste);
    assert_eq!(screen.quit(), 0);
    assert_restored(&screen.bytes());
}

#[test]
fn the_sample_world_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let mut screen = Start::new(&["demo"]).env("TMPDIR", temp.path().to_str().unwrap()).spawn();
    screen.wait_for("acme/web");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1, "its world is in one folder");
    assert_eq!(screen.quit(), 0);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(screen.home()).unwrap().count(), 0, "nothing of the user's was touched");
}

#[test]
fn keys_and_the_mouse_do_what_the_footer_says() {
    let mut screen = demo();
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    screen.send("/redis");
    screen.wait_gone("acme/web");
    screen.send("<Esc>");
    screen.wait_for("acme/web");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn any_size_is_drawn() {
    let mut screen = demo();
    for (width, height) in [(1, 1), (2, 40), (40, 1), (39, 9), (40, 10), (80, 24), (500, 200), (3, 3), (100, 30), (1, 1)] {
        screen.resize(width, height);
    }
    screen.wait_gone("acme/web");
    screen.resize(120, 40);
    screen.wait_for("acme/web");
    screen.resize(500, 200);
    screen.wait_screen("the far corner of a large screen", |s| s.rows(0, 500).nth(199).is_some_and(|line| !line.trim().is_empty()));
    assert_eq!(screen.quit(), 0);
    assert_restored(&screen.bytes());
}

#[test]
fn a_key_in_the_moment_of_a_new_size_is_not_lost() {
    let mut screen = demo();
    for n in 0..150 {
        screen.resize(100 + n % 7, 30 + n % 3);
        screen.send("?");
        screen.wait_for("Keys in Images");
        screen.resize(101 + n % 7, 31 + n % 3);
        screen.send("<Esc>");
        screen.wait_gone("Keys in Images");
    }
    assert_eq!(screen.quit(), 0);
}

#[test]
fn signals_end_it_with_their_code_and_the_terminal_restored() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let mut screen = demo();
        screen.signal(signal);
        assert_eq!(screen.wait_exit(), code, "SIG{signal}");
        assert_restored(&screen.bytes());
    }
}

#[test]
fn a_closed_terminal_ends_it() {
    let temp = tempfile::tempdir().unwrap();
    let mut screen = Start::alone(&["demo"]).env("TMPDIR", temp.path().to_str().unwrap()).spawn();
    screen.wait_for("acme/web");
    screen.hang_up();
    // portable-pty gives the signal's number where a signal killed it: it must have ended by itself.
    assert_eq!(screen.wait_child(), 129);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "temporary files are gone");
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let program = env!("CARGO_BIN_EXE_lighterman");
    let mut screen = Start::program("/bin/bash", &["--norc", "--noprofile", "-i"]).env("PS1", "shell> ").size(100, 30).spawn();
    screen.wait_for("shell>");
    screen.send(&format!("{program} demo<Enter>"));
    screen.wait_for("acme/web");
    for (stop, shown) in ["acme/web", "Move the cursor down."].into_iter().enumerate() {
        if stop == 0 {
            screen.send("<Ctrl-z>");
        } else {
            // From outside, to the job's process alone.
            screen.send("?");
            screen.wait_for(shown);
            let job = screen.children()[0].to_string();
            assert!(Command::new("kill").args(["-s", "TSTP", &job]).status().unwrap().success());
        }
        // The shell's own word for each stop: what is typed before it would go to the job.
        screen.wait_screen("the shell's screen", |s| !s.alternate_screen() && s.contents().matches("Stopped").count() == stop + 1);
        screen.send(&format!("echo us''able {stop}<Enter>"));
        screen.wait_for(&format!("usable {stop}"));
        screen.resize(110 + u16::try_from(stop).unwrap(), 32);
        screen.send("fg<Enter>");
        screen.wait_screen("the deck as it was", |s| s.alternate_screen() && s.contents().contains(shown));
    }
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    screen.send("q");
    // The prompt, not only the shell's screen: what is typed before it goes to the program that ends.
    screen.wait_screen("the shell's prompt", |s| !s.alternate_screen() && s.contents().trim_end().ends_with("shell>"));
    screen.send("stty -a | tr ' ' '\\n' | grep -x echo && exit 7<Enter>");
    // A terminal left raw would not echo.
    assert_eq!(screen.wait_exit(), 7);
    assert_restored(&screen.bytes());
}

#[test]
fn an_image_on_the_command_line_is_what_shows() {
    let program = Program::without_engine();
    let (store, archive) = (program.home().join("store"), program.home().join("a.tar"));
    let (store, file) = (store.to_str().unwrap(), archive.to_str().unwrap());
    std::fs::write(&archive, docker_archive(&[ImageSpec::new("app:1.2"), ImageSpec::new("other:1").label("a", "b")])).unwrap();
    program.run(&["--store", store, "import", file]).ended(0);
    let mut screen = Start::new(&["--host", "store", "--store", store, "app:1.2"]).spawn();
    screen.wait_for("=app:1.2");
    screen.wait_for("1 of 2 shown");
    screen.send("<Esc>");
    screen.wait_for("other");
    assert_eq!(screen.quit(), 0);
    let mut screen = Start::new(&["--host", "store", "--store", store, "iamges"]).spawn();
    screen.wait_for("Nothing matches =iamges");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let mut screen = Start::new(&["demo"]).env("LIGHTERMAN_TEST_PANIC", "key").env("RUST_BACKTRACE", "0").spawn();
    screen.wait_for("acme/web");
    screen.send("j");
    assert_eq!(screen.wait_exit(), 101);
    assert_restored(&screen.bytes());
    let text = String::from_utf8_lossy(&screen.bytes()).into_owned();
    let left = text.rfind("\x1b[?1049l").unwrap();
    assert!(text[left..].contains("asked to panic in key"), "the message is on the screen one sees");
}

#[test]
fn a_panicking_job_is_a_failed_one_and_the_screen_stays() {
    let mut screen = Start::new(&["demo"]).env("LIGHTERMAN_TEST_PANIC", "job").spawn();
    screen.wait_for("a defect in Lighterman");
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    assert_eq!(screen.quit(), 0);
    assert!(!String::from_utf8_lossy(&screen.bytes()).contains("panicked at"), "its message went to the log");
}

#[test]
fn without_a_screen_to_draw_on_it_says_what_to_do_instead() {
    for terminal in ["dumb", "unknown", ""] {
        let mut screen = Start::new(&["demo"]).env("TERM", terminal).spawn();
        assert_eq!(screen.wait_exit(), 1, "TERM={terminal:?}");
        assert!(!screen.bytes().contains(&0x1b), "nothing but plain text");
        assert!(screen.contents().replace('\n', "").contains("lighterman images"), "{}", screen.contents());
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_lighterman"))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    piped.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    piped.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(piped.wait().unwrap().code(), Some(1));
    assert_eq!(out, "");
    assert!(err.contains("lighterman images"), "{err}");
}

#[test]
fn a_plain_locale_gets_plain_ascii() {
    for (key, value) in [("LANG", "C"), ("LC_ALL", "POSIX")] {
        let mut screen = Start::new(&["demo"]).env(key, value).spawn();
        screen.wait_for("acme/web");
        screen.send("?");
        screen.wait_for("Move the cursor down.");
        screen.send("<Esc>");
        screen.wait_gone("Move the cursor down.");
        assert_eq!(screen.quit(), 0);
        assert!(screen.bytes().is_ascii(), "{key}={value}");
    }
}

#[test]
fn no_color_means_none() {
    let mut screen = Start::new(&["demo"]).env("NO_COLOR", "1").spawn();
    screen.wait_for("acme/web");
    screen.with(|s| {
        let (height, width) = s.size();
        for (row, column) in (0..height.get()).flat_map(|row| (0..width.get()).map(move |column| (row, column))) {
            let cell = s.cell(row, column).unwrap();
            assert_eq!((cell.fgcolor(), cell.bgcolor()), (vt100::Color::Default, vt100::Color::Default), "at {row},{column}");
        }
    });
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_large_paste_goes_where_one_types() {
    let mut screen = demo();
    screen.send("/");
    screen.paste(&"x".repeat(1 << 20));
    screen.wait_for("xxxxxxxxxx");
    screen.send("<Esc>");
    screen.wait_gone("xxxxxxxxxx");
    // Pasted escapes are text, and text is no command.
    screen.paste("q\x1b[31m\x03dy");
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_paste_or_a_held_key_never_confirms() {
    let mut screen = demo();
    let rows = screen.contents().matches("acme/").count();
    screen.send("d");
    screen.wait_for("1 to run");
    screen.send("x");
    screen.wait_for("Cancel");
    screen.paste("y\n");
    screen.paste("\ry\r\n");
    // The key that opened the dialog, held down.
    screen.send("xxxxxxxxxx");
    screen.send("?");
    screen.wait_for("Cancel");
    screen.send("<Esc>");
    screen.wait_gone("Cancel");
    // A paste that the terminal doesn't mark as one: its letters open the dialog, and answer nothing.
    screen.send("xy");
    screen.wait_for("Cancel");
    screen.send("<Esc>");
    screen.wait_gone("Cancel");
    assert_eq!(screen.contents().matches("acme/").count(), rows, "nothing was deleted");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_terminal_that_reads_nothing_holds_nobody_up() {
    // It can be left by key and by signal although the terminal takes no frame.
    for end in ["q", "TERM"] {
        let mut screen = demo_alone();
        screen.read(false);
        screen.resize(500, 200);
        for _ in 0..50 {
            screen.send("jk");
        }
        if end == "q" {
            screen.send("q");
        } else {
            screen.signal(end);
        }
        assert_eq!(screen.wait_child(), if end == "q" { 0 } else { 143 });
    }
}

#[test]
fn a_terminal_that_reads_again_shows_what_is_true_then() {
    let mut screen = demo();
    screen.read(false);
    for _ in 0..200 {
        screen.send("+jk");
    }
    screen.send("/redis<Enter>");
    screen.read(true);
    screen.wait_gone("acme/web");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn without_an_engine_it_opens_the_store_and_says_so() {
    if std::path::Path::new("/var/run/docker.sock").exists() || std::path::Path::new("/run/podman/podman.sock").exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "this machine has an engine of its own");
        eprintln!("left out: without_an_engine_it_opens_the_store_and_says_so (needs a machine without an engine)");
        return;
    }
    let mut screen = Start::new(&[]).without("DOCKER_HOST").spawn();
    screen.wait_for("no engine found");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn an_engine_that_hangs_does_not_hold_up_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (accepted, first) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Takes every connection and says nothing.
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept() {
            kept.push(connection);
            let _ = accepted.send(());
        }
    });
    let mut screen = Start::new(&[]).env("DOCKER_HOST", format!("unix://{}", socket.display())).spawn();
    first.recv_timeout(PATIENCE).unwrap();
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    assert_eq!(screen.quit(), 0);
    assert_restored(&screen.bytes());
}

#[test]
fn a_mistake_in_the_configuration_is_named_and_the_rest_holds() {
    let mut screen =
        Start::new(&["--host", "store"]).file(".config/lighterman/config.toml", "mouse = \"often\"\n[keys]\nquit = [\"Q\"]\n").spawn();
    screen.wait_for("config.toml:1:9");
    screen.send("Q");
    assert_eq!(screen.wait_exit(), 0);
}

#[test]
fn it_writes_no_control_sequence_but_its_own() {
    let mut screen = demo();
    screen.wait_for("1 layer");
    // Esc and a key right after it would be Alt with that key: what Esc closes is gone first.
    for (keys, shown) in
        [("?", "Move the cursor down."), (":", "half-page-up"), ("<Ctrl-t>", "catppuccin-mocha"), ("y", "inspect command"), ("/", "=exact")]
    {
        screen.send(keys);
        screen.wait_for(shown);
        screen.send("<Esc>");
        screen.wait_gone(shown);
    }
    assert_eq!(screen.quit(), 0);
    assert_own_sequences(&screen.bytes());
}
