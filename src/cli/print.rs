//! The only place that writes to standard output and standard error: documents and tables on the one, messages on the other.
//!
//! Whoever reads may go away: a closed pipe ends the output quietly. Any other failure to write is a failure of the command.
//! Texts that come from outside arrive here as [`Safe`]; documents are escaped so that a terminal can't be commanded by them.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::model::safe::escape_json;
use crate::model::{Problem, ProblemKind, Safe};

/// Where results and messages go, and in which form.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    pub(super) json: bool,
    pub(super) verbose: bool,
    /// Colours on standard output.
    colours: bool,
    /// Standard error is a terminal that takes cursor movements.
    pub(super) live: bool,
}

#[expect(clippy::unused_self, reason = "printing is the printer's, whatever it needs for it")]
impl Printer {
    pub(super) fn new(json: bool, verbose: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Self { json, verbose, colours: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb, live: io::stderr().is_terminal() && !dumb }
    }

    /// Prints one JSON document and nothing else.
    pub(super) fn document<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Problem> {
        let text = serde_json::to_string(value)
            .map_err(|error| Problem::new(ProblemKind::Other, "write the result as JSON", error.to_string()))?;
        let mut text = escape_json(&text);
        text.push('\n');
        write_out(&text)
    }

    pub(super) fn table(&self, table: &Table) -> Result<(), Problem> {
        write_out(&table.render(self.colours))
    }

    /// Prints text of our own making; foreign parts of it are [`Safe`].
    pub(super) fn text(&self, text: &str) -> Result<(), Problem> {
        write_out(text)
    }

    /// A heading, bold where there are colours.
    pub(super) fn heading(&self, text: &Safe) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m\n") } else { format!("{text}\n") }
    }

    /// Says something on standard error; foreign parts of it are [`Safe`].
    pub(super) fn say(&self, message: fmt::Arguments<'_>) {
        // Nowhere to complain to when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{message}");
    }

    pub(super) fn problem(&self, problem: &Problem) {
        self.say(format_args!("lighterman: {problem}"));
        if let (true, Some(detail)) = (self.verbose, &problem.detail) {
            self.say(format_args!("  {detail}"));
        }
    }

    /// Writes a piece of a line that is drawn again and again.
    pub(super) fn draw(&self, piece: &str) {
        let mut out = io::stderr().lock();
        let _ = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
    }
}

fn write_out(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(ProblemKind::Disk, "write to standard output", error.to_string()))
        }
        _ => Ok(()),
    }
}

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Text in columns. The last column is not padded, so no line ends in blanks.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Safe>>,
    indent: usize,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), indent: 0 }
    }

    pub(super) fn indented(mut self, by: usize) -> Self {
        self.indent = by;
        self
    }

    pub(super) fn row(&mut self, cells: Vec<Safe>) {
        self.rows.push(cells);
    }

    pub(super) fn render(&self, colours: bool) -> String {
        let headed = self.columns.iter().any(|(head, _)| !head.is_empty());
        let width = |(at, (head, _)): (usize, &(&str, Align))| {
            let widest = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.as_str().width()).max();
            widest.unwrap_or(0).max(head.width())
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(width).collect();
        let mut out = String::with_capacity((self.rows.len() + 1) * (widths.iter().sum::<usize>() + 2 * widths.len() + 2));
        if headed {
            let (on, off) = if colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            out.push_str(on);
            self.line(&mut out, &widths, self.columns.iter().map(|(head, _)| *head));
            // The colour ends before the line does.
            out.truncate(out.trim_end().len());
            out.push_str(off);
            out.push('\n');
        }
        for row in &self.rows {
            self.line(&mut out, &widths, row.iter().map(Safe::as_str));
        }
        out
    }

    fn line<'a>(&self, out: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
        out.extend(std::iter::repeat_n(' ', self.indent));
        for (at, ((cell, width), (_, align))) in cells.zip(widths).zip(&self.columns).enumerate() {
            if at > 0 {
                out.push_str("   ");
            }
            let gap = width.saturating_sub(cell.width());
            match align {
                Align::Right => {
                    out.extend(std::iter::repeat_n(' ', gap));
                    out.push_str(cell);
                }
                Align::Left => {
                    out.push_str(cell);
                    if at + 1 < widths.len() {
                        out.extend(std::iter::repeat_n(' ', gap));
                    }
                }
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}

/// `text`, or a dash where it is empty or unknown.
pub(super) fn or_dash(text: Option<Safe>) -> Safe {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| Safe::new("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right), ("NOTE", Align::Left)]);
        table.row(vec!["日本".into(), "1 B".into(), "x".into()]);
        table.row(vec!["app".into(), "10 kB".into(), "".into()]);
        assert_eq!(table.render(false), "NAME    SIZE   NOTE\n日本     1 B   x\napp    10 kB\n");
        assert!(table.render(true).starts_with("\x1b[1mNAME    SIZE   NOTE\x1b[0m\n"));
    }

    #[test]
    fn a_document_cannot_command_a_terminal() {
        let raw = "a\x1b[31m\u{9b}31m\x7f\u{202e}\u{200b}\u{e0041}日";
        let text = escape_json(&serde_json::to_string(raw).unwrap());
        assert!(text.chars().all(|c| (' '..='~').contains(&c) || c == '日'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), raw, "the same text comes out again");
    }
}
