//! The pictures in `screenshots/`, made by the real program on its sample world, so that they can't go stale: each is compared with what
//! the program shows now. `UPDATE_SCREENSHOTS=1 cargo test --test screenshots` makes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::many_single_char_names,
    clippy::too_many_lines,
    clippy::allow_attributes,
    reason = "what can't be made fails the test; the writer of pictures speaks in x and y"
)]

mod common;
#[path = "common/svg.rs"]
mod svg;

use std::path::Path;
use std::time::Duration;

use common::pty::{Screen, Start};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// The moment all pictures are taken at.
const NOW: &str = "2025-06-02T09:30:00Z";

fn start(size: (u16, u16), theme: &str) -> Screen {
    let config = format!("theme = \"{theme}\"\n");
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let screen =
        Start::new(&["--config", file.path().to_str().unwrap(), "demo"]).env("LIGHTERMAN_TEST_NOW", NOW).size(size.0, size.1).spawn();
    screen.wait_for("acme/web");
    screen
}

/// The terminal's cells as a buffer.
fn buffer(terminal: &vt100::Screen) -> (Buffer, Option<(u16, u16)>) {
    let (height, width) = terminal.size();
    let mut buffer = Buffer::empty(Rect::new(0, 0, width.get(), height.get()));
    for y in 0..height.get() {
        for x in 0..width.get() {
            if let (Some(from), Some(to)) = (terminal.cell(y, x), buffer.cell_mut((x, y))) {
                copy(from, to);
            }
        }
    }
    let (row, column) = terminal.cursor_position();
    (buffer, (!terminal.hide_cursor()).then_some((column, row)))
}

fn copy(from: &vt100::Cell, to: &mut Cell) {
    to.set_symbol(if from.has_contents() { from.contents() } else { " " });
    to.fg = color(from.fgcolor());
    to.bg = color(from.bgcolor());
    let modifiers = [
        (from.bold(), Modifier::BOLD),
        (from.dim(), Modifier::DIM),
        (from.italic(), Modifier::ITALIC),
        (from.underline(), Modifier::UNDERLINED),
        (from.inverse(), Modifier::REVERSED),
    ];
    to.modifier = modifiers.into_iter().filter(|(set, _)| *set).map(|(_, modifier)| modifier).collect();
}

const fn color(color: vt100::Color) -> Color {
    match color {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(n) => Color::Indexed(n),
        vt100::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}

fn picture(terminal: &vt100::Screen) -> String {
    let (buffer, caret) = buffer(terminal);
    svg::svg(&buffer, caret, svg::Terminal::default(), "lighterman demo")
}

/// Waits until the screen is the stored picture; or stores what it comes to rest at.
fn take(name: &str, screen: &Screen) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots").join(format!("{name}.svg"));
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        screen.wait_quiet(Duration::from_secs(2));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, screen.with(picture)).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let what = format!("the picture in {} (UPDATE_SCREENSHOTS=1 makes it anew)", file.display());
    screen.wait_screen(&what, |terminal| picture(terminal) == stored);
}

/// Waits until the deck has its list and the selected image's layers.
fn settled(screen: &Screen) {
    screen.wait_for("ADD alpine-minirootfs");
}

#[test]
fn the_deck() {
    let mut screen = start((132, 36), "lighterman-dark");
    settled(&screen);
    take("deck", &screen);
    screen.send("?");
    screen.wait_for("Move the cursor down.");
    take("help", &screen);
    screen.send("<Esc>");
    screen.wait_gone("Move the cursor down.");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn the_deck_in_a_light_theme() {
    let mut screen = start((132, 36), "lighterman-light");
    settled(&screen);
    take("deck-light", &screen);
    assert_eq!(screen.quit(), 0);
}

#[test]
fn a_deletion_says_what_will_be_gone() {
    let mut screen = start((132, 36), "lighterman-dark");
    settled(&screen);
    screen.send("<Space><Space>");
    // The cursor is on the third row now, and its layers are there.
    screen.wait_for("ADD file:3f1bd");
    screen.send("d");
    screen.wait_for("Cancel");
    take("delete", &screen);
    screen.send("<Esc>");
    screen.wait_gone("Cancel");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn one_pane_at_a_time_in_a_small_terminal() {
    let mut screen = start((80, 24), "lighterman-dark");
    take("small", &screen);
    assert_eq!(screen.quit(), 0);
}
