//! The import table of the house, and what breaks it.

use std::path::Path;

use super::paths::{self, Named, Reading};

/// What one room may do.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// Our rooms it may use.
    ours: &'static [&'static str],
    /// Paths of others it must not name.
    not: &'static [&'static str],
    /// Whether time comes to it only in messages.
    timeless: bool,
    /// Whether its drawing files may use `ui` and ratatui, which the rest of it may not.
    draws: bool,
}

const PLAIN: &[&str] =
    &["tokio", "ratatui", "crossterm", "std::fs", "bollard", "reqwest", "oci_distribution::Client", "oci_distribution::client"];
const READERS: &[&str] = &["tokio", "ratatui", "crossterm", "bollard", "reqwest"];
const NO_SCREEN: &[&str] = &["ratatui", "crossterm"];
const WIDGETS: &[&str] = &["tokio", "bollard", "reqwest", "std::fs"];
const PURE: &[&str] = &["tokio", "crossterm", "bollard", "reqwest", "std::fs"];
const CLOCKS: &[&str] = &["Instant", "SystemTime", "Timestamp", "Zoned"];
const ALL: &[&str] = &["model", "flow", "curate", "layer", "source", "scan", "work", "ui", "pane", "app", "shell", "cli"];

/// The table of `src/lib.rs`.
pub(crate) const ROOMS: &[Room] = &[
    Room { name: "model", ours: &[], not: PLAIN, timeless: false, draws: false },
    Room { name: "flow", ours: &["model", "layer"], not: PLAIN, timeless: true, draws: false },
    Room { name: "curate", ours: &["model"], not: PLAIN, timeless: true, draws: false },
    Room { name: "layer", ours: &["model"], not: READERS, timeless: false, draws: false },
    Room { name: "source", ours: &["model", "layer"], not: NO_SCREEN, timeless: false, draws: false },
    Room { name: "scan", ours: &["model", "layer", "source"], not: NO_SCREEN, timeless: false, draws: false },
    Room { name: "work", ours: &["model", "flow", "curate", "layer", "source", "scan"], not: NO_SCREEN, timeless: false, draws: false },
    Room { name: "ui", ours: &["model"], not: WIDGETS, timeless: true, draws: false },
    Room { name: "pane", ours: &["model", "flow", "curate", "layer"], not: PURE, timeless: true, draws: true },
    Room { name: "app", ours: &["model", "flow", "curate", "layer", "pane"], not: PURE, timeless: true, draws: true },
    Room { name: "shell", ours: ALL, not: &[], timeless: false, draws: false },
    Room { name: "cli", ours: ALL, not: &[], timeless: false, draws: false },
];

const LONGEST_FILE: usize = 600;

/// What is wrong with the file at `path` (relative to `src/`), as `path:line: words`.
pub(crate) fn check(path: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = source.lines().count();
    if lines > LONGEST_FILE {
        wrong.push(format!("{path}:{lines}: past {LONGEST_FILE} lines a file wants to be two"));
    }
    // A file of tests only is described by the module it tests.
    if !source.starts_with("//!") && !path.ends_with("/tests.rs") {
        wrong.push(format!("{path}:1: a module opens with a //! paragraph: what it is, what it may import, where its facts come from"));
    }
    let module = module(path);
    match paths::read(source, &module) {
        Ok(reading) => {
            wrong.extend(reading.allows.iter().map(|line| format!("{path}:{line}: #[expect(…, reason = …)] instead of #[allow(…)]")));
            if let Some(room) = module.first().and_then(|name| ROOMS.iter().find(|room| room.name == name)) {
                wrong.extend(of_room(room, path, &reading));
            } else if module.len() > 1 {
                wrong.push(format!("{path}:1: a room that the table in tests/architecture/rules.rs doesn't have"));
            }
        }
        Err(error) => wrong.push(format!("{path}:1: not Rust: {error}")),
    }
    wrong
}

/// `pane/images/draw.rs` is the module `["pane", "images", "draw"]`; the crate's root is `[]`.
fn module(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn is_drawing(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "draw.rs") || path.contains("/draw/")
}

fn of_room(room: &Room, path: &str, reading: &Reading) -> Vec<String> {
    let drawing = room.draws && is_drawing(path);
    let mut wrong = Vec::new();
    for named in &reading.paths {
        let text = named.segments.join("::");
        let line = named.line;
        if let Some(stranger) = ours(room, drawing, named) {
            wrong.push(format!("{path}:{line}: {} must not use {stranger} ({text})", room.name));
        }
        let screen: &[&str] = if room.draws && !drawing { &["ratatui"] } else { &[] };
        for forbidden in room.not.iter().chain(screen) {
            if names(named, forbidden) {
                wrong.push(format!("{path}:{line}: {} must not name {forbidden} ({text})", room.name));
            }
        }
        if room.timeless && reads_clock(named) {
            wrong.push(format!("{path}:{line}: {} has no clock, time comes in messages ({text})", room.name));
        }
    }
    if room.timeless {
        wrong.extend(reading.elapsed.iter().map(|line| format!("{path}:{line}: {} has no clock, elapsed() reads one", room.name)));
    }
    wrong
}

/// The room of ours that `named` reaches and should not.
fn ours(room: &Room, drawing: bool, named: &Named) -> Option<String> {
    if room.ours.len() == ALL.len() || named.segments.first().is_none_or(|head| head != "crate") {
        return None;
    }
    let Some(target) = named.segments.get(1) else {
        // `pub(crate)` is no use of anything; `use crate as c` would hide all that follows.
        return named.imported.then(|| "the whole crate".to_owned());
    };
    let allowed = target == room.name || room.ours.contains(&target.as_str()) || (drawing && target == "ui");
    (!allowed).then(|| if target == "*" { "the whole crate".to_owned() } else { target.clone() })
}

/// Whether `named` is `forbidden` or something in it. A lone word counts only when imported: it may be a local name otherwise.
fn names(named: &Named, forbidden: &str) -> bool {
    let mut segments = named.segments.iter();
    forbidden.split("::").all(|part| segments.next().is_some_and(|segment| segment == part || segment == "*"))
        && (named.imported || named.segments.len() > 1)
}

fn reads_clock(named: &Named) -> bool {
    let clock = |segment: &String| CLOCKS.contains(&segment.as_str());
    named.segments.windows(2).any(|pair| matches!(pair, [kind, verb] if clock(kind) && verb == "now"))
        || (named.renamed && named.imported && named.segments.last().is_some_and(clock))
}
