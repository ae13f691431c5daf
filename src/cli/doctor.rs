//! `doctor`: what was found on this machine, where every setting comes from, and why something is missing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use futures_util::future::join_all;
use serde::Serialize;

use super::open::PATIENCE;
use super::print::{Align, Table, or_dash};
use super::session::Session;
use super::{Done, Verdict};
use crate::model::Safe;
use crate::shell::config::Config;
use crate::source::engine::{Candidate, EngineSource};
use crate::source::{Ctx, Source};

/// Everything, in the shape of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    engines: Vec<Engine>,
    store: Location,
    config: ConfigFile,
    settings: Vec<Setting>,
    credential_helpers: Vec<Helper>,
    registries: Vec<Registry>,
    terminal: Terminal,
    paths: Vec<Location>,
}

#[derive(Debug, Serialize)]
struct Engine {
    name: String,
    /// Absent when it isn't even an address.
    endpoint: Option<String>,
    why: String,
    /// The one commands use.
    current: bool,
    reachable: bool,
    version: Option<String>,
    read_only: bool,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Location {
    name: &'static str,
    path: String,
    exists: bool,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct ConfigFile {
    path: String,
    exists: bool,
    mistakes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Setting {
    name: String,
    value: String,
    /// `default`, `config` or the option or variable that set it.
    origin: String,
}

#[derive(Debug, Serialize)]
struct Helper {
    name: String,
    path: String,
}

#[derive(Debug, Serialize)]
struct Registry {
    host: String,
    insecure: bool,
    origin: &'static str,
}

#[derive(Debug, Serialize)]
struct Terminal {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    term: Option<String>,
    colorterm: Option<String>,
    no_color: bool,
    columns: Option<u16>,
    rows: Option<u16>,
    utf8: bool,
    /// Why the deck can't open here.
    problem: Option<String>,
}

pub(super) async fn run(session: &Session) -> Verdict {
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        engines: engines(session).await,
        store: location("store", &session.store_dir()),
        config: ConfigFile {
            path: session.config.file.display().to_string(),
            exists: session.config.found,
            mistakes: session.config.mistakes.iter().map(ToString::to_string).collect(),
        },
        settings: settings(session),
        credential_helpers: helpers(),
        registries: registries(session),
        terminal: terminal(),
        paths: vec![
            location("config", &session.paths.config),
            location("themes", &session.paths.themes()),
            location("data", &session.paths.data),
            location("cache", &session.paths.cache),
            location("state", &session.paths.state),
            location("log", &session.paths.logs()),
        ],
    };
    if session.printer.json {
        session.printer.document(&report)?;
    } else {
        session.printer.text(&text(&report, session))?;
    }
    Ok(Done::All)
}

/// Asks all candidates at once.
async fn engines(session: &Session) -> Vec<Engine> {
    let mut engines = join_all(session.candidates().into_iter().map(|candidate| engine(session, candidate))).await;
    let forced = session.options.host.as_deref() == Some(super::session::STORE);
    let wanted = |(engine, automatic, wanted): &(Engine, bool, bool)| *wanted || (*automatic && engine.reachable);
    if let Some((engine, ..)) = engines.iter_mut().find(|row| wanted(row) && !forced) {
        engine.current = true;
    }
    engines.into_iter().map(|(engine, ..)| engine).collect()
}

/// With whether it may be used without being asked for, and whether it was asked for.
async fn engine(session: &Session, candidate: Candidate) -> (Engine, bool, bool) {
    let (automatic, wanted) = (candidate.is_automatic(), candidate.is_wanted());
    let mut row = Engine {
        name: candidate.name.to_string(),
        endpoint: None,
        why: candidate.why.to_string(),
        current: false,
        reachable: false,
        version: None,
        read_only: false,
        problem: None,
    };
    match candidate.endpoint {
        Err(problem) => row.problem = Some(problem.to_string()),
        Ok(endpoint) => {
            row.endpoint = Some(endpoint.address());
            row.read_only = session.locked(&row.name, &endpoint.address()).is_some();
            let source = EngineSource::new(endpoint, super::open::credentials());
            let ctx = Ctx { cancel: session.cancel.clone(), ..Ctx::default() };
            match tokio::time::timeout(PATIENCE, source.version(&ctx)).await {
                Ok(Ok(version)) => (row.reachable, row.version) = (true, Some(version.to_string())),
                Ok(Err(problem)) => row.problem = Some(problem.to_string()),
                Err(_) => row.problem = Some(format!("no answer within {} s", PATIENCE.as_secs())),
            }
        }
    }
    (row, automatic, wanted)
}

fn location(name: &'static str, path: &Path) -> Location {
    let (exists, problem) = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => (true, None),
        Ok(_) => (true, Some("it is no directory".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (false, None),
        Err(error) => (false, Some(error.to_string())),
    };
    Location { name, path: path.display().to_string(), exists, problem }
}

fn settings(session: &Session) -> Vec<Setting> {
    let defaults = Config::default_at(session.config.file.clone()).settings();
    let origin = |name: &str, value: &str| {
        if name == "read_only" && session.options.read_only {
            return "--read-only".to_owned();
        }
        let default = defaults.iter().any(|(other, usual)| other == name && usual == value);
        if default { "default" } else { "config" }.to_owned()
    };
    let row = |(name, value): (String, String)| {
        let value = if name == "read_only" && session.options.read_only { "true".to_owned() } else { value };
        Setting { origin: origin(&name, &value), name, value }
    };
    let mut rows: Vec<Setting> = session.config.settings().into_iter().map(row).collect();
    for name in
        ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "CONTAINER_HOST", "REGISTRY_AUTH_FILE"]
    {
        if let Some(value) = std::env::var_os(name) {
            rows.push(Setting { name: name.to_owned(), value: value.to_string_lossy().into_owned(), origin: "environment".to_owned() });
        }
    }
    rows
}

/// `docker-credential-*` in `PATH`.
fn helpers() -> Vec<Helper> {
    let mut helpers = Vec::new();
    for dir in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).filter(|dir| dir.is_absolute()) {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = file.strip_prefix("docker-credential-") {
                helpers.push(Helper { name: name.to_owned(), path: entry.path().display().to_string() });
            }
        }
    }
    helpers.sort_by(|one, two| one.name.cmp(&two.name));
    // The first in PATH is the one that runs; the sort is stable.
    helpers.dedup_by(|two, one| one.name == two.name);
    helpers
}

fn registries(session: &Session) -> Vec<Registry> {
    let option = session.options.insecure.iter().map(|host| Registry { host: host.clone(), insecure: true, origin: "--insecure" });
    let configured = session.config.registries.iter();
    option
        .chain(configured.map(|(host, registry)| Registry { host: host.clone(), insecure: registry.insecure, origin: "config" }))
        .collect()
}

fn terminal() -> Terminal {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty());
    let (stdin, stdout) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
    let size = stdout.then(|| crossterm::terminal::size().ok()).flatten();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default().to_ascii_lowercase();
    let term = variable("TERM");
    let problem = match (stdin && stdout, term.as_deref()) {
        (false, _) => Some("standard input and output are not a terminal".to_owned()),
        (true, None | Some("dumb" | "unknown")) => Some("TERM names no terminal that can place text".to_owned()),
        _ => None,
    };
    Terminal {
        stdin,
        stdout,
        stderr: std::io::stderr().is_terminal(),
        colorterm: variable("COLORTERM"),
        no_color: variable("NO_COLOR").is_some(),
        columns: size.map(|(columns, _)| columns),
        rows: size.map(|(_, rows)| rows),
        utf8: locale.contains("utf-8") || locale.contains("utf8"),
        term,
        problem,
    }
}

fn text(report: &Report, session: &Session) -> String {
    let heading = |title: &str| session.printer.heading(&title.into());
    let mut out = format!("lighterman {}\n\n", report.version);
    out.push_str(&heading("Engines"));
    out.push_str(&engines_text(&report.engines));
    out.push('\n');
    out.push_str(&heading("Places"));
    let mut table = plain(3);
    for place in std::iter::once(&report.store).chain(&report.paths) {
        let state = place.problem.clone().unwrap_or_else(|| if place.exists { "there" } else { "not there yet" }.to_owned());
        table.row(vec![place.name.into(), Safe::new(&place.path), Safe::new(&state)]);
    }
    let found = if report.config.exists { "there" } else { "not there: the defaults hold" };
    table.row(vec!["config file".into(), Safe::new(&report.config.path), found.into()]);
    out.push_str(&table.render(false));
    for mistake in &report.config.mistakes {
        let _ = writeln!(out, "  {}", Safe::new(mistake));
    }
    out.push('\n');
    out.push_str(&heading("Settings"));
    let mut table = plain(3);
    for setting in &report.settings {
        table.row(vec![Safe::new(&setting.name), Safe::new(&setting.value), Safe::new(&setting.origin)]);
    }
    out.push_str(&table.render(false));
    out.push('\n');
    out.push_str(&heading("Registries"));
    out.push_str(&registries_text(report));
    out.push('\n');
    out.push_str(&heading("Terminal"));
    out.push_str(&terminal_text(&report.terminal));
    out
}

fn plain(columns: usize) -> Table {
    Table::new(&vec![("", Align::Left); columns]).indented(2)
}

fn engines_text(engines: &[Engine]) -> String {
    let mut out = String::new();
    if engines.is_empty() {
        out.push_str("  none: no address, context or socket of Docker or Podman was found\n");
    }
    let mut table = plain(4);
    for engine in engines {
        let state = match (&engine.version, &engine.problem) {
            (Some(version), _) => version.clone(),
            (None, problem) => problem.clone().unwrap_or_default(),
        };
        let mark = if engine.current { "* " } else { "  " };
        // Names, reasons and problems were made safe where they were read.
        table.row(vec![
            format!("{mark}{}", engine.name).into(),
            or_dash(engine.endpoint.as_deref().map(Safe::new)),
            Safe::new(&engine.why),
            Safe::new(&format!("{state}{}", if engine.read_only { " (read-only)" } else { "" })),
        ]);
    }
    out.push_str(&table.render(false));
    if !engines.iter().any(|engine| engine.current) {
        out.push_str("  commands use the store\n");
    }
    out
}

fn registries_text(report: &Report) -> String {
    let mut table = plain(3);
    for registry in &report.registries {
        let security = if registry.insecure { "plain HTTP allowed" } else { "TLS" };
        table.row(vec![Safe::new(&registry.host), security.into(), registry.origin.into()]);
    }
    for helper in &report.credential_helpers {
        table.row(vec![Safe::new(&helper.name), "credential helper".into(), Safe::new(&helper.path)]);
    }
    if report.credential_helpers.is_empty() {
        table.row(vec!["-".into(), "credential helper".into(), "no docker-credential-* program is in PATH".into()]);
    }
    table.render(false)
}

fn terminal_text(terminal: &Terminal) -> String {
    let yes = |set: bool| Safe::from(if set { "yes" } else { "no" });
    let mut table = plain(2);
    table.row(vec!["TERM".into(), or_dash(terminal.term.as_deref().map(Safe::new))]);
    table.row(vec!["COLORTERM".into(), or_dash(terminal.colorterm.as_deref().map(Safe::new))]);
    table.row(vec!["NO_COLOR".into(), yes(terminal.no_color)]);
    let size = terminal.columns.zip(terminal.rows).map(|(columns, rows)| format!("{columns}x{rows}").into());
    table.row(vec!["size".into(), or_dash(size)]);
    table.row(vec!["UTF-8".into(), yes(terminal.utf8)]);
    let deck = terminal.problem.as_deref().map_or_else(|| "can open".to_owned(), |problem| format!("can't open: {problem}"));
    table.row(vec!["deck".into(), deck.into()]);
    table.render(false)
}
