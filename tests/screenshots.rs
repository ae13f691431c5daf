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
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;
#[path = "common/svg.rs"]
mod svg;

use std::path::Path;
use std::time::Duration;

use common::pty::{Screen, Start};
use fake::Fake;
use lighterman::model::Digest;
use lighterman::source::oci::media;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use serde_json::json;

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
    // The question says what was known when it was asked.
    screen.wait_for("to run, frees 961 B");
    screen.send("x");
    screen.wait_for("Cancel");
    take("delete", &screen);
    screen.send("<Esc>");
    screen.wait_gone("Cancel");
    assert_eq!(screen.quit(), 0);
}

#[test]
fn what_is_wrong_with_an_image() {
    let mut screen = start((132, 36), "lighterman-dark");
    settled(&screen);
    screen.send("s");
    screen.wait_for("not looked for: vulnerability");
    screen.send("jj");
    take("findings", &screen);
    assert_eq!(screen.quit(), 0);
}

#[test]
fn one_pane_at_a_time_in_a_small_terminal() {
    let mut screen = start((80, 24), "lighterman-dark");
    take("small", &screen);
    assert_eq!(screen.quit(), 0);
}

/// The registry of the picture: a host that is nobody's, behind a proxy on loopback.
const HOST: &str = "registry.example.com";

/// An image that says what it weighs; nobody fetches its layers.
fn weighty(fake: &Fake, tag: Option<&str>, architecture: &str, created: &str, release: &str) -> Digest {
    let steps = [("ADD alpine-minirootfs-3.20.3-x86_64.tar.gz /", 3_420_000), ("RUN apk add --no-cache nodejs npm", 48_700_000)];
    let own = (format!("COPY dist/{release} /app"), 9_100_000 + 40_000 * release.len());
    let steps: Vec<(&str, usize)> = steps.into_iter().chain([(own.0.as_str(), own.1)]).collect();
    let digest = |step: &str| Digest::sha256(format!("{step} {architecture}").as_bytes());
    let history: Vec<_> = steps.iter().map(|(step, _)| json!({"created": created, "created_by": step})).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "created": created, "config": {"Cmd": ["node", "/app/server.js"]}, "history": history,
        "rootfs": {"type": "layers", "diff_ids": steps.iter().map(|(step, _)| digest(step)).collect::<Vec<_>>()}
    });
    let config = config.to_string().into_bytes();
    let size = config.len();
    let config = fake.blob("acme/web", &config);
    let layers: Vec<_> =
        steps.iter().map(|(step, size)| json!({"mediaType": media::OCI_LAYER, "digest": digest(step), "size": size})).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": size}, "layers": layers
    });
    fake.put("acme/web", tag, &manifest)
}

fn world() -> Fake {
    let fake = Fake::bent(|request, state| {
        let mut request = request.clone();
        request.path = request.path.strip_prefix(&format!("http://{HOST}"))?.to_owned();
        Some(state.answer(&request))
    });
    fake.state.lock().unwrap().referrers_api = true;
    for (release, created) in [("2.3.0-rc1", "2025-06-01T18:00:00Z"), ("2.2.1", "2025-05-19T08:12:00Z"), ("2.2.0", "2025-05-02T10:40:00Z")]
    {
        let each = ["amd64", "arm64"].map(|architecture| (weighty(&fake, None, architecture, created, release), architecture));
        let index = fake.index("acme/web", Some(release), &[(&each[0].0, each[0].1), (&each[1].0, each[1].1)]);
        let companion = format!("sha256-{}.sig", index.hex());
        if release != "2.3.0-rc1" {
            fake.referrer("acme/web", Some(&companion), &index, "application/vnd.dev.cosign.artifact.sig.v1+json");
        }
        if release == "2.2.1" {
            for tag in ["2.2", "2", "stable", "latest"] {
                fake.state.lock().unwrap().tags.insert(("acme/web".to_owned(), tag.to_owned()), index.clone());
            }
        }
    }
    for (release, created) in [("2.1.9", "2025-03-11T07:30:00Z"), ("2.1.10", "2025-04-02T07:30:00Z"), ("1.14.2", "2024-02-20T12:00:00Z")] {
        weighty(&fake, Some(release), "amd64", created, release);
    }
    fake
}

#[test]
fn a_registry() {
    let fake = world();
    let config = format!(
        "theme = \"lighterman-dark\"\n[registries.\"{HOST}\"]\ninsecure = true\nproxy = \"http://{}\"\n[registries.\"ghcr.example.org\"]\n",
        fake.host()
    );
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), config).unwrap();
    let mut screen = Start::new(&["--config", file.path().to_str().unwrap(), "demo"]).env("LIGHTERMAN_TEST_NOW", NOW).size(132, 36).spawn();
    settled(&screen);
    screen.send("2a");
    screen.wait_for("HOST/REPOSITORY");
    screen.send(&format!("{HOST}/acme/web<Enter>"));
    screen.wait_for("dist/2.3.0-rc1");
    take("registry", &screen);
    // Zoomed, with all that is known of each tag.
    screen.send("jD+");
    screen.wait_until("all columns, and every tag filled", |text| {
        text.contains("Platforms") && text.lines().filter(|line| line.contains("amd64")).count() == 10
    });
    take("registry-tags", &screen);
    assert_eq!(screen.quit(), 0);
}
