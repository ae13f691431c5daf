//! The command line: the same machinery as the screen's, for scripts, tests and cron.
//!
//! `args` says what may be typed, one file a family of commands does it, `print` alone writes. May use every room. Exit codes: 0 done, 1 failed,
//! 2 wrong usage, 3 done in part, 130 and its like when a signal ended it.

mod apply;
mod args;
mod ask;
mod change;
mod ci;
mod copy;
mod db;
mod deck;
mod diff;
mod doctor;
mod files;
mod find;
mod images;
mod inspect;
mod layer_args;
mod log;
mod metrics;
mod open;
mod plan;
mod policy;
mod print;
mod progress;
mod quarantine;
mod remote;
mod rename;
mod retain;
mod sbom;
mod scan;
mod scan_args;
mod session;
mod shells;
mod signals;
mod transfer;
mod weigh;

use std::process::ExitCode;

use clap::Parser as _;

use crate::model::{Problem, ProblemKind};
use args::{Cli, Command};
use print::Printer;
use session::Session;

/// What a command came to when it did not fail as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    All,
    Part,
    /// Something failed, and was said; the rest was done.
    Failed,
    Misused,
    /// What was looked for was found.
    Found,
}

type Verdict = Result<Done, Problem>;

/// What became of several items, of which some may fail while the others are done.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    /// Only wrong usage so far, or worse.
    failed: Option<Done>,
}

impl Tally {
    /// Says what failed, and goes on.
    fn failed(&mut self, problem: &Problem, printer: &Printer) {
        printer.problem(problem);
        let misused = problem.kind == ProblemKind::Usage && self.failed != Some(Done::Failed);
        self.failed = Some(if misused { Done::Misused } else { Done::Failed });
    }

    /// Done in part as soon as anything was done.
    const fn verdict(&self) -> Done {
        match (self.failed, self.done) {
            (None, _) => Done::All,
            (Some(failed), 0) => failed,
            (Some(_), _) => Done::Part,
        }
    }
}

/// Runs the program as it was called.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error; nobody is left to tell when that fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let printer = Printer::new(cli.globals.json, cli.globals.verbose);
    let demo = matches!(cli.command, Some(Command::Demo));
    if demo || cli.command.is_none() {
        return deck::open(&cli, demo).unwrap_or_else(|problem| {
            printer.problem(&problem);
            ExitCode::from(code(&Err(problem)))
        });
    }
    let (verdict, signal) = run(cli, &printer);
    if let Err(problem) = &verdict
        && signal.is_none()
    {
        printer.problem(problem);
    }
    ExitCode::from(signal.unwrap_or_else(|| code(&verdict)))
}

fn code(verdict: &Verdict) -> u8 {
    match verdict {
        Ok(Done::All) => 0,
        Ok(Done::Part) => 3,
        Ok(Done::Failed) => 1,
        Ok(Done::Misused) => 2,
        Ok(Done::Found) => 4,
        Err(problem) => match problem.kind {
            ProblemKind::Usage => 2,
            ProblemKind::Cancelled => 130,
            _ => 1,
        },
    }
}

/// The verdict, and the exit code of the signal that ended the command, if one did.
fn run(cli: Cli, printer: &Printer) -> (Verdict, Option<u8>) {
    match cli.command {
        None => (Ok(Done::All), None),
        Some(Command::Completions { shell }) => (shells::completions(shell, printer), None),
        Some(Command::Man) => (shells::man(printer), None),
        Some(command) => signals::until_ended(printer, |cancel| async move {
            let session = Session::new(cli.globals, printer.clone(), cancel)?;
            let verdict = dispatch(&session, command).await;
            session.tell_quotas();
            verdict
        }),
    }
}

async fn dispatch(session: &Session, command: Command) -> Verdict {
    match command {
        Command::Images(args) => images::run(session, &args).await,
        Command::Inspect(args) => inspect::run(session, &args).await,
        Command::History(args) => inspect::history(session, &args).await,
        Command::Files(args) => files::run(session, &args).await,
        Command::Diff(args) => diff::run(session, &args).await,
        Command::Ci(args) => ci::run(session, &args).await,
        Command::Scan(args) => scan::run(session, &args).await,
        Command::Pull(args) => transfer::pull(session, &args).await,
        Command::Push(args) => transfer::push(session, &args).await,
        Command::Export(args) => transfer::export(session, &args).await,
        Command::Import(args) => transfer::import(session, &args).await,
        Command::Repos(args) => remote::repos(session, &args).await,
        Command::Tags(args) => remote::tags(session, &args).await,
        Command::Copy(args) => copy::run(session, &args).await,
        Command::Tag(args) if remote::is_remote(&args.from) => remote::tag(session, &args).await,
        Command::Tag(args) => change::tag(session, &args).await,
        Command::Delete(args) if args.references.iter().any(|text| remote::is_remote(text)) => remote::delete(session, &args).await,
        Command::Delete(args) => change::delete(session, &args).await,
        Command::Plan { what } => plan::run(session, what).await,
        Command::Apply(args) => apply::apply(session, &args).await,
        Command::Undo(args) => apply::undo(session, &args).await,
        Command::Redo(args) => apply::redo(session, &args).await,
        Command::Log { id } => log::run(session, id.as_deref()).await,
        Command::Policy { command } => policy::run(session, &command).await,
        Command::Sbom(args) => sbom::run(session, &args).await,
        Command::Db { command } => db::run(session, command).await,
        Command::Doctor => doctor::run(session).await,
        Command::Demo | Command::Completions { .. } | Command::Man => Ok(Done::All),
    }
}
