//! What is wrong with a text that somebody wrote, by line and column, and what to write instead.
//!
//! May use model only.

use std::fmt;

use crate::model::{Problem, ProblemKind};

/// Mistakes named in one problem; of the others only the number is told.
const MOST_TOLD: usize = 5;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong; may repeat what was written, and so is shown through [`crate::model::Safe`] only.
    pub words: String,
    /// What to try.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake at a byte of `text`.
    #[must_use]
    pub fn at(text: &str, offset: usize, words: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, words: words.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// All of them as one problem: the first few in words, in the order of the text.
    #[must_use]
    pub fn problem(mistakes: &[Self], doing: &str) -> Problem {
        let mut told: Vec<String> = mistakes.iter().take(MOST_TOLD).map(|mistake| format!("{mistake}")).collect();
        if let Some(more) = mistakes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            told.push(format!("and {more} more"));
        }
        Problem::new(ProblemKind::Usage, doing, told.join("; "))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.words)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let text = "é: 1\nab\u{fe0f}cd";
        let second = text.find("cd").unwrap();
        let mistake = Mistake::at(text, second, "no").hint("try ef");
        assert_eq!((mistake.line, mistake.column), (2, 4));
        assert_eq!(mistake.to_string(), "line 2, column 4: no (try ef)");
        assert_eq!(Mistake::at("x", 99, "").column, 2, "beyond the end is the end");
        let problem = Mistake::problem(&vec![mistake; 7], "read it");
        assert!(problem.cause.as_str().ends_with("and 2 more"), "{problem}");
    }
}
