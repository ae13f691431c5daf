//! Without a command, and `demo`: the deck, where there is a terminal for it.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use super::args::{Cli, Globals};
use crate::model::{Locator, Problem, ProblemKind};
use crate::shell::{self, DeckOptions};

/// Opens the deck and stays until the user leaves.
///
/// # Errors
/// No terminal; a reference that is none.
pub(super) fn open(cli: &Cli, demo: bool) -> Result<ExitCode, Problem> {
    let open = cli.references.iter().map(|text| Locator::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(refusal(&cli.references));
    }
    let Globals { host, context, config, read_only, store, insecure, .. } = cli.globals.clone();
    shell::run(&DeckOptions { host, context, config, read_only, store, insecure, demo, open })
}

/// A single plain word was more likely meant as a command.
fn refusal(references: &[String]) -> Problem {
    match references.first() {
        Some(word) if word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => {
            Problem::new(ProblemKind::Usage, format!("run {word}"), "there is no such command").hint("`lighterman --help` lists them")
        }
        _ => Problem::new(ProblemKind::Unsupported, "open the deck", "standard input and output are not a terminal")
            .hint("the commands of `lighterman --help` need none, such as `lighterman images`"),
    }
}
