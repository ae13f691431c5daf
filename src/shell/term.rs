//! The terminal as we found it and as we need it: what [`enter`] turns on, [`leave`] turns off in reverse order — at the end, on a
//! panic of the drawing thread, and before the program is stopped. Nothing is ever asked of the terminal, so nothing waits for it.
//!
//! Facts: xterm's control sequences (private modes 1000, 1006, 1049, 2004), the synchronized output and keyboard protocol
//! specifications of contour and kitty.

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::output;
use crate::model::{Problem, ProblemKind, Safe};

/// What to turn on beyond the alternate screen and bracketed paste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Modes {
    /// Presses and the wheel, as SGR reports; no motion.
    pub mouse: bool,
    /// The kitty keyboard protocol, so that a held key can be told from a pressed one.
    pub keyboard: bool,
}

/// How long a terminal that reads nothing may hold up our leaving.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be undone, while we are in.
static ENTERED: Mutex<Option<Entered>> = Mutex::new(None);

struct Entered {
    modes: Modes,
    /// Standard error as it was.
    stderr: Option<OwnedFd>,
}

/// Whether there is a terminal that a screen can be drawn on.
///
/// # Errors
/// Why not, with what to use instead.
pub(super) fn check(term: Option<&str>) -> Result<(), Problem> {
    let no = |cause: &str| {
        Err(Problem::new(ProblemKind::Unsupported, "open the deck", cause)
            .hint("use a command such as `lighterman images`; `lighterman help` lists them"))
    };
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return no("standard input and output are not a terminal");
    }
    match term {
        None | Some("") => no("TERM is not set, so nothing is known of the terminal"),
        Some("dumb" | "unknown") => no("the terminal (TERM) can't place text on a screen"),
        Some(_) => Ok(()),
    }
}

/// Whether this terminal is known to speak the kitty keyboard protocol. Known by name, because asking means waiting.
pub(super) fn speaks_kitty(variable: impl Fn(&str) -> Option<String>) -> bool {
    if variable("TMUX").is_some() || variable("STY").is_some() {
        return false;
    }
    let term = variable("TERM").unwrap_or_default();
    let program = variable("TERM_PROGRAM").unwrap_or_default();
    ["xterm-kitty", "xterm-ghostty", "foot", "alacritty", "wezterm", "rio"].iter().any(|name| term.starts_with(name))
        || ["kitty", "ghostty", "WezTerm", "iTerm.app", "rio"].contains(&program.as_str())
}

/// Takes the terminal over. Does nothing when we are in.
///
/// # Errors
/// What the terminal said; it is as it was then.
pub(super) fn enter(modes: Modes) -> io::Result<()> {
    let mut entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if entered.is_some() {
        return Ok(());
    }
    crossterm::terminal::enable_raw_mode()?;
    let stderr = redirect_stderr();
    let mut on = String::from("\x1b[?1049h\x1b[?25l");
    if modes.keyboard {
        on.push_str("\x1b[>3u");
    }
    on.push_str("\x1b[?2004h");
    if modes.mouse {
        on.push_str("\x1b[?1000h\x1b[?1006h");
    }
    on.push_str("\x1b[2J");
    *entered = Some(Entered { modes, stderr });
    drop(entered);
    output::write_last(on.as_bytes(), PATIENCE).inspect_err(|_| leave())
}

/// Gives the terminal back as it was found. Does nothing when we are out.
pub(super) fn leave() {
    let Some(Entered { modes, stderr }) = ENTERED.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    // A frame may have been cut short: its end comes first.
    let mut off = String::from("\x1b[?2026l\x1b[0m");
    if modes.mouse {
        off.push_str("\x1b[?1006l\x1b[?1000l");
    }
    off.push_str("\x1b[?2004l");
    if modes.keyboard {
        off.push_str("\x1b[<1u");
    }
    off.push_str("\x1b[?25h\x1b[?1049l");
    // Errors have nowhere to go: the terminal may be what was lost.
    let _ = output::write_last(off.as_bytes(), PATIENCE);
    let _ = crossterm::terminal::disable_raw_mode();
    if let Some(stderr) = stderr {
        let _ = rustix::stdio::dup2_stderr(stderr);
    }
}

/// Sends what anybody writes to standard error into the log while the screen is ours. `None` when that can't be done.
fn redirect_stderr() -> Option<OwnedFd> {
    let before = rustix::io::dup(rustix::stdio::stderr()).ok()?;
    let (reader, writer) = io::pipe().ok()?;
    std::thread::Builder::new()
        .name("stderr".to_owned())
        .spawn(move || {
            // Ends when standard error is put back, which closes the last writer.
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                tracing::warn!(target: "stderr", "{}", Safe::new(&String::from_utf8_lossy(&line)));
            }
        })
        .ok()?;
    rustix::stdio::dup2_stderr(writer.as_fd()).ok()?;
    Some(before)
}

/// Leaves when it goes out of scope, however that comes about.
#[derive(Debug)]
pub(super) struct Guard(());

impl Guard {
    /// # Errors
    /// As [`enter`].
    pub(super) fn enter(modes: Modes) -> io::Result<Self> {
        enter(modes).map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// A panic on this thread gives the terminal back before its message is printed. One on another thread is a task's: it is logged, and
/// the task reports that it failed.
pub(super) fn install_panic_hook() {
    let ui = std::thread::current().id();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!("{}", Safe::new(&info.to_string()));
        if std::thread::current().id() == ui {
            leave();
            print(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyboard_protocol_is_used_only_where_it_is_known() {
        let with = |pairs: &'static [(&'static str, &'static str)]| {
            speaks_kitty(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[("TERM", "xterm-kitty")]));
        assert!(with(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")]));
        assert!(!with(&[("TERM", "xterm-256color")]));
        assert!(!with(&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux")]));
        assert!(!with(&[]));
    }
}
