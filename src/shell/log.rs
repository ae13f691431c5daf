//! The log: a file a day in the state directory, for the user alone, a week of them. Never standard error: that is the screen.
//!
//! Nothing secret is ever logged; everything foreign goes through [`Safe`], so that showing a log is safe too.

use std::io::{self, Write};
use std::path::Path;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::model::{Problem, Safe};

use super::paths::make_private_dir;

/// Days kept.
const KEPT: usize = 7;

/// Starts logging into `dir`. `LIGHTERMAN_LOG` sets how much, such as `debug` or `lighterman::source=trace`.
///
/// # Errors
/// The directory or file can't be made; the program runs without a log then.
pub fn start(dir: &Path) -> Result<(), Problem> {
    make_private_dir(dir).map_err(|error| Problem::disk("write the log", dir, &error))?;
    // The library makes its files as the mask allows.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("lighterman")
        .filename_suffix("log")
        .max_log_files(KEPT)
        .build(dir)
        .map_err(|error| Problem::disk("write the log", dir, &io::Error::other(error)))?;
    let filter = EnvFilter::try_from_env("LIGHTERMAN_LOG").unwrap_or_else(|_| EnvFilter::new("warn,lighterman=info"));
    // A second start in one process, as tests do, keeps the first log.
    let _ = tracing_subscriber::fmt().with_writer(SafeLines(file)).with_ansi(false).with_env_filter(filter).try_init();
    Ok(())
}

/// Makes every line safe to show.
struct SafeLines(RollingFileAppender);

struct SafeLine<W>(W);

impl<'a> MakeWriter<'a> for SafeLines {
    type Writer = SafeLine<<RollingFileAppender as MakeWriter<'a>>::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeLine(self.0.make_writer())
    }
}

impl<W: Write> Write for SafeLine<W> {
    /// Takes one whole event, as the formatter gives it.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = Safe::new(text.trim_end_matches('\n')).to_string();
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_safe_line() {
        let mut line = SafeLine(Vec::new());
        line.write_all(b"INFO said \x1b]0;title\x07 and\nmore\n").unwrap();
        assert_eq!(String::from_utf8(line.0).unwrap(), "INFO said \\x1b]0;title\\x07 and\u{23ce}more\n");
    }
}
