//! Policies of others, taken over as far as they can be: what has no equivalent here is named, and never guessed at.

mod ecr;
mod harbor;

pub use ecr::ecr;
pub use harbor::harbor;

use std::fmt::Write as _;

use crate::model::{Problem, ProblemKind, Safe};

/// Longest file that is read, in bytes.
const LONGEST: usize = 4 << 20;

/// A policy as TOML, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Ready to be parsed; the notes stand in it as comments.
    pub toml: String,
    pub notes: Vec<Note>,
}

/// Something that could not be taken over as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where in the source, such as `rule 3`.
    pub at: String,
    /// May repeat what was written there.
    pub words: Safe,
    /// Whether the rule was left out altogether.
    pub left_out: bool,
}

/// Gathers rules and notes, in the order of the source.
#[derive(Debug, Default)]
struct Writer {
    rules: Vec<String>,
    notes: Vec<Note>,
    repositories: Vec<String>,
}

impl Writer {
    fn note(&mut self, at: &str, words: &str, left_out: bool) {
        self.notes.push(Note { at: at.to_owned(), words: Safe::new(words), left_out });
    }

    /// A rule of lines as they stand in the file.
    fn rule(&mut self, name: &str, lines: &[String]) {
        self.rules.push(format!("[[rule]]\nname = {}\n{}\n", quoted(name), lines.join("\n")));
    }

    fn finish(self, from: &str) -> Imported {
        let mut toml = format!("# Taken over from {from}.\n");
        for note in &self.notes {
            let left_out = if note.left_out { " (left out)" } else { "" };
            _ = writeln!(toml, "# {}{left_out}: {}", note.at, note.words);
        }
        if !self.repositories.is_empty() {
            let all: Vec<String> = self.repositories.iter().map(|glob| quoted(glob)).collect();
            _ = writeln!(toml, "\nrepositories = [{}]", all.join(", "));
        }
        for rule in &self.rules {
            toml.push('\n');
            toml.push_str(rule);
        }
        Imported { toml, notes: self.notes }
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn quoted_list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, doing: &str) -> Result<T, Problem> {
    if text.len() > LONGEST {
        return Err(Problem::new(ProblemKind::Limit, doing, format!("it has more than {} MiB", LONGEST >> 20)));
    }
    serde_json::from_str(text).map_err(|error| Problem::new(ProblemKind::Usage, doing, error.to_string()))
}
