//! What comes in at the real program's terminal and what it may send out there: the mouse, the kitty keyboard, the clipboard, and text
//! from images that tries to be a command.

#![allow(clippy::string_slice, clippy::unwrap_used, clippy::allow_attributes, reason = "a slice off a boundary fails the test")]

mod common;

use base64::Engine as _;
use common::images::{ImageSpec, Pack, oci_archive};
use common::pty::{Screen, Start, assert_own_sequences};

fn demo(term: &str) -> Screen {
    let screen = Start::new(&["demo"]).env("TERM", term).spawn();
    screen.wait_for("1/19");
    screen
}

/// Where a text stands, as column and row.
fn place(screen: &Screen, text: &str) -> (u16, u16) {
    let contents = screen.contents();
    let (row, line) = contents.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    let column = line[..line.find(text).unwrap()].chars().count();
    (u16::try_from(column).unwrap(), u16::try_from(row).unwrap())
}

#[test]
fn the_mouse_points_scrolls_and_opens() {
    let mut screen = demo("xterm-256color");
    let (column, row) = place(&screen, "redis");
    screen.click(column, row);
    screen.wait_for("4/19");
    // The wheel moves what is under the pointer, where there is more than fits.
    screen.resize(120, 14);
    screen.wait_until("the smaller screen, drawn", |text| text.lines().nth(12).is_some_and(|line| line.contains("4/19")));
    screen.send_bytes(format!("\x1b[<65;{};{}M", column + 1, row + 1).repeat(10).as_bytes());
    screen.wait_for("ci-runner");
    screen.resize(120, 40);
    screen.wait_until("the larger screen, drawn", |text| text.lines().nth(39).is_some_and(|line| line.contains("filter")));
    // A click in the other pane goes there, and its keys apply.
    screen.wait_for("dist/214");
    let (column, row) = place(&screen, "3 Layers");
    screen.click(column, row + 4);
    screen.send("G");
    screen.wait_for("6/6");
    // What is off the screen is no place.
    screen.send_bytes(b"\x1b[<0;9999;9999M\x1b[<0;0;0M\x1b[<64;500;500M");
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_terminal_with_the_kitty_keyboard_tells_a_held_key_from_a_pressed_one() {
    let mut screen = demo("xterm-kitty");
    let has = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(has(&screen.bytes(), b"\x1b[>3u"), "its mode was turned on");
    // `d` and `x`: press and release. Then `y`, which would confirm: only repeated, and let go.
    screen.send_bytes(b"\x1b[100;1:1u\x1b[100;1:3u");
    screen.wait_for("1 to run");
    screen.send_bytes(b"\x1b[120;1:1u\x1b[120;1:3u");
    screen.wait_for("Cancel");
    screen.send_bytes(b"\x1b[121;1:2u\x1b[121;1:2u\x1b[121;1:3u");
    // `j`, which is answered after them.
    screen.send_bytes(b"\x1b[27u");
    screen.wait_gone("Cancel");
    // And the drawer.
    screen.send_bytes(b"\x1b[27u");
    screen.wait_gone("1 to run");
    screen.wait_for("1/19");
    // A press of `j` counts once, its release not at all.
    screen.send_bytes(b"\x1b[106;1:1u\x1b[106;1:3u");
    screen.wait_for("2/19");
    // Shift with a letter, as this protocol spells it.
    screen.send_bytes(b"\x1b[103:71;2u");
    screen.wait_for("19/19");
    assert_eq!(screen.quit(), 0);
    assert!(has(&screen.bytes(), b"\x1b[<1u"), "its mode was turned off");
}

#[test]
fn a_copied_text_goes_to_the_terminals_clipboard() {
    // Off until it is asked for: some terminals ask at each copy.
    let mut screen = demo("xterm-256color");
    screen.send("y");
    screen.wait_for("by digest");
    screen.send("p");
    screen.wait_for("set clipboard = true");
    assert_eq!(screen.quit(), 0);
    assert_own_sequences(&screen.bytes());

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "clipboard = true\n").unwrap();
    let mut screen = Start::new(&["--config", config.to_str().unwrap(), "demo"]).spawn();
    screen.wait_for("1/19");
    screen.send("y");
    screen.wait_for("by digest");
    screen.send("p");
    screen.wait_bytes("a copied text", |bytes| bytes.windows(7).any(|window| window == b"\x1b]52;c;"));
    let bytes = screen.bytes();
    let from = bytes.windows(7).position(|window| window == b"\x1b]52;c;").unwrap() + 7;
    let length = bytes[from..].windows(2).position(|window| window == b"\x1b\\").unwrap();
    let text = base64::engine::general_purpose::STANDARD.decode(&bytes[from..from + length]).unwrap();
    assert_eq!(String::from_utf8_lossy(&text), "docker pull 'docker.io/library/alpine:3.20'");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn text_from_an_image_is_no_command() {
    // Moves, colours, a title, the clipboard, C1 controls, a line break, a reversed direction, a name that hides, and one that is wide.
    let names = [
        "acme/\x1b[2J\x1b[31mred:1",
        "acme/\x1b]0;title\x07:1",
        "acme/\x1b]52;c;ZXZpbA==\x1b\\:1",
        "acme/\u{9b}5mc1:1",
        "acme/two\r\nlines:1",
        "acme/\u{202e}desrever:1",
        "acme/\u{200b}\u{200b}hidden:1",
        "acme/\u{ff21}\u{1f468}\u{200d}\u{1f469}:1",
    ];
    let images: Vec<_> = names
        .iter()
        .map(|name| {
            ImageSpec::new(name).label("\x1b[5mlabel", "\x1b[?1049l").layer(&[("a", name.as_bytes())]).created("2026-01-02T03:04:05Z")
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("\u{1b}[31mhostile.tar");
    std::fs::write(&file, oci_archive(&images, Pack::Gzip)).unwrap();
    let mut screen = Start::new(&[&format!("oci-archive:{}", file.display())]).spawn();
    screen.wait_for("1/8");
    for _ in &names {
        screen.send("j");
    }
    screen.wait_for("8/8");
    // Everything known of one, by its whole text.
    screen.send("<F4>");
    screen.wait_for("\\x1b[5mlabel");
    screen.send("<Esc>");
    screen.wait_gone("\\x1b[5mlabel");
    for shown in ["\\x1b[2J", "\\x9b5mc1", "two", "\\u{202e}", "\\u{200b}"] {
        assert!(screen.contents().contains(shown), "{shown} in {}", screen.contents());
    }
    assert_eq!(screen.quit(), 0);
    assert_own_sequences(&screen.bytes());
}
