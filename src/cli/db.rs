//! `db`: the databases of advisories that scans go by. Nothing is fetched but by `db update`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::print::{Align, Table, or_dash};
use super::scan_args::DbCommand;
use super::session::Session;
use super::{Tally, Verdict};
use crate::model::{Foreign, Problem, ProblemKind, Safe, size};
use crate::scan::advisory::{self, Databases, Imported, Renewed, Status, Updated};
use crate::source::blocking;
use crate::work::clock;

/// The state of the databases, in the shape of `--json`.
#[derive(Debug, Serialize)]
struct State<'a> {
    directory: String,
    databases: &'a [Status],
}

pub(super) async fn run(session: &Session, command: DbCommand) -> Verdict {
    match command {
        DbCommand::Import { from } => import(session, from).await,
        DbCommand::Update { ecosystem } => update(session, &ecosystem).await,
        DbCommand::Status => status(session).await,
    }
}

/// With `--read-only` nothing is changed, these files of ours among it.
fn may_change(session: &Session, doing: &str) -> Result<(), Problem> {
    if session.options.read_only {
        return Err(Problem::new(ProblemKind::Denied, doing, "it would change the databases: --read-only is given"));
    }
    Ok(())
}

async fn import(session: &Session, from: PathBuf) -> Verdict {
    let doing = "take in advisories";
    may_change(session, doing)?;
    let dir = session.paths.advisories();
    let work = |ctx| async move { blocking(doing, move || advisory::import(&dir, &from, clock::now(), &ctx)).await };
    let imported = session.run(doing, work).await?;
    told(session, &[imported], Tally::default())
}

/// Fetched where nothing was said and none is there.
const USUAL: [&str; 8] = ["Alpine", "Debian", "Ubuntu", "Go", "Maven", "PyPI", "crates.io", "npm"];

async fn update(session: &Session, named: &[String]) -> Verdict {
    let doing = "get databases of advisories";
    may_change(session, doing)?;
    let dir = session.paths.advisories();
    let mut wanted = named.iter().map(|name| advisory::ecosystem(name)).collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        let there = dir.clone();
        let databases = blocking(doing, move || {
            advisory::tidy(&there, clock::now());
            Ok(Databases::open(&there))
        });
        let databases = databases.await?;
        // Alpine's own lists are taken from files, each for itself.
        let names = databases.status().iter().filter_map(|one| advisory::ecosystem(one.name.raw()).ok());
        wanted = names.collect();
    }
    if wanted.is_empty() {
        wanted = USUAL.to_vec();
    }
    let client = advisory::client()?;
    let (mut tally, mut imported) = (Tally::default(), Vec::new());
    for ecosystem in wanted {
        let (client, dir, address) = (&client, &dir, session.config.advisories.url.as_str());
        let work = |ctx| async move { advisory::update(client, dir, address, ecosystem, clock::now(), &ctx).await };
        match session.run(doing, work).await {
            Ok(Updated::New(new)) => imported.push(new),
            Ok(Updated::Same) => {
                tally.done += 1;
                session.printer.say(format_args!("{ecosystem}: nothing newer"));
            }
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => tally.failed(&problem, &session.printer),
        }
    }
    told(session, &imported, tally)
}

/// Prints what was taken in, and says what was not.
fn told(session: &Session, imported: &[Imported], mut tally: Tally) -> Verdict {
    let printer = &session.printer;
    for one in imported {
        tally.done += one.databases.len();
        for broken in &one.named {
            let doing = format!("read {}", broken.name.raw());
            tally.failed(&Problem::new(ProblemKind::Corrupt, doing, broken.why.as_str()), printer);
        }
        let more = one.broken.saturating_sub(one.named.len() as u64);
        if more > 0 {
            tally.failed(&Problem::new(ProblemKind::Corrupt, "read advisories", format!("{more} more could not be read")), printer);
        }
    }
    if printer.json {
        let imported = imported.iter().fold(Imported::default(), Imported::and);
        printer.document(&imported)?;
        return Ok(tally.verdict());
    }
    let mut table =
        Table::new(&[("DATABASE", Align::Left), ("ADVISORIES", Align::Right), ("BEFORE", Align::Right), ("PACKAGES", Align::Right)]);
    let row = |Renewed { status, before }: &Renewed| {
        let before = or_dash(before.map(|count| count.to_string().into()));
        vec![status.name.safe(), status.advisories.to_string().into(), before, status.packages.to_string().into()]
    };
    imported.iter().flat_map(|one| &one.databases).for_each(|renewed| table.row(row(renewed)));
    if imported.iter().any(|one| !one.databases.is_empty()) {
        printer.table(&table)?;
    }
    let sum = |count: fn(&Imported) -> u64| imported.iter().map(count).sum::<u64>();
    let (withdrawn, elsewhere, repeated) = (sum(|one| one.withdrawn), sum(|one| one.elsewhere), sum(|one| one.repeated));
    for (count, what) in [(withdrawn, "withdrawn"), (elsewhere, "about nothing that images hold"), (repeated, "given twice")] {
        if count > 0 {
            printer.say(format_args!("left out: {count} {what}"));
        }
    }
    Ok(tally.verdict())
}

async fn status(session: &Session) -> Verdict {
    let doing = "look at the databases of advisories";
    let (databases, problems) = open(session, doing).await?;
    let mut tally = Tally { done: 1, failed: None };
    for problem in &problems {
        tally.failed(problem, &session.printer);
    }
    let dir = session.paths.advisories();
    if session.printer.json {
        session.printer.document(&State { directory: dir.display().to_string(), databases: databases.status() })?;
    } else {
        session.printer.text(&text(&dir, databases.status()))?;
    }
    Ok(tally.verdict())
}

/// The databases, with what lies newer in osv-scanner's caches.
async fn open(session: &Session, doing: &'static str) -> Result<(Databases, Vec<Problem>), Problem> {
    let (dir, caches, is_locked) = (session.paths.advisories(), session.paths.advisory_caches(), session.options.read_only);
    session
        .run(doing, |ctx| async move {
            blocking(doing, move || {
                let problems = if is_locked { Vec::new() } else { advisory::refresh(&dir, &caches, clock::now(), &ctx)?.1 };
                Ok((Databases::open(&dir), problems))
            })
            .await
        })
        .await
}

fn text(dir: &Path, all: &[Status]) -> String {
    use Align::{Left, Right};
    if all.is_empty() {
        let dir = Safe::new(&dir.display().to_string());
        return format!("no advisory database in {dir}\nget some with `lighterman db update` or `lighterman db import FILE`\n");
    }
    let mut table = Table::new(&[
        ("DATABASE", Left),
        ("ADVISORIES", Right),
        ("PACKAGES", Right),
        ("NEWEST", Left),
        ("TAKEN IN", Left),
        ("SIZE", Right),
        ("FROM", Left),
    ]);
    for one in all {
        let from = one.problem.as_ref().or(one.origin.as_ref()).map(Foreign::safe);
        let day = |at: Option<jiff::Timestamp>| or_dash(at.map(|at| at.strftime("%Y-%m-%d").to_string().into()));
        table.row(vec![
            one.name.safe(),
            one.advisories.to_string().into(),
            one.packages.to_string().into(),
            day(one.date),
            day(one.imported),
            size::human(one.size).into(),
            or_dash(from),
        ]);
    }
    table.render(false)
}
