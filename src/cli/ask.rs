//! Asking before something goes: on a terminal in words, elsewhere only `--yes` will do.

use std::io::{self, BufRead as _, IsTerminal as _};

use tokio_util::sync::CancellationToken;

use super::print::Printer;
use crate::model::{Problem, ProblemKind};

/// What will happen, said before it is asked for.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// After "can't …", such as "delete app:1".
    pub(super) doing: &'a str,
    /// Lines for standard error; foreign parts are safe.
    pub(super) what: &'a [String],
    /// The question itself, without its mark.
    pub(super) ask: &'a str,
}

/// Comes back when the user agreed.
///
/// # Errors
/// Of kind `Usage` where nobody can be asked, `Conflict` where the answer was no.
pub(super) async fn agreed(question: Question<'_>, yes: bool, printer: &Printer, cancel: &CancellationToken) -> Result<(), Problem> {
    if yes {
        return Ok(());
    }
    for line in question.what {
        printer.say(format_args!("{line}"));
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Problem::new(ProblemKind::Usage, question.doing, "nobody can be asked without a terminal").hint("say --yes"));
    }
    printer.draw(&format!("{}? [y/N] ", question.ask));
    let (sender, answer) = tokio::sync::oneshot::channel();
    // A thread of its own, so that a read nobody answers keeps nothing from ending.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = tokio::select! {
        line = answer => line.unwrap_or_default(),
        () = cancel.cancelled() => {
            printer.draw("\n");
            return Err(Problem::cancelled(question.doing));
        }
    };
    if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Problem::new(ProblemKind::Conflict, question.doing, "the answer was no: nothing was changed"))
    }
}
