//! Phrases as they are written: what is printed reads as what it was.

use std::fmt;

use super::{Conditions, Per, Phrase, Verb, What, is_word};

/// A word as it has to be written to be read as it is.
fn written(text: &str) -> String {
    let balanced = {
        let mut depth = 0_i64;
        text.chars().all(|c| {
            depth += i64::from(c == '{') - i64::from(c == '}');
            depth >= 0
        }) && depth == 0
    };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, ',' | ';' | '"' | '\'' | '\\' | '|');
    let inside = |text: &str| {
        // Blanks and commas are held together by braces.
        let mut depth = 0_usize;
        text.chars().all(|c| {
            depth = if c == '{' { depth + 1 } else { depth.saturating_sub(usize::from(c == '}')) };
            plain(c) || (depth > 0 && !matches!(c, '"' | '\'' | '\\'))
        })
    };
    let is_what = is_word(text) || matches!(text, "all" | "everything" | "tagged" | "untagged" | "of" | "than");
    if !text.is_empty() && !is_what && balanced && inside(text) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn all_written(texts: &[String]) -> String {
    texts.iter().map(|text| written(text)).collect::<Vec<_>>().join("|")
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verb {
            Verb::Keep => f.write_str("keep")?,
            Verb::Drop => f.write_str("drop")?,
            Verb::Protect => f.write_str("protect")?,
            Verb::Last { count, only, .. } => write!(f, "keep {}last {count} of", if *only { "only " } else { "" })?,
        }
        match &self.what {
            What::All => f.write_str(" all")?,
            What::Tagged => f.write_str(" tagged")?,
            What::Untagged => f.write_str(" untagged")?,
            What::InUse => f.write_str(" in use")?,
            What::Label(None) => f.write_str(" by label")?,
            What::Label(Some(label)) => write!(f, " by label {}", written(label))?,
            What::Tags(patterns) => write!(f, " {}", all_written(patterns))?,
        }
        if let Verb::Last { per, by, .. } = &self.verb {
            match per {
                None => {}
                Some(Per::Minor) => f.write_str(" per minor")?,
                Some(Per::Major) => f.write_str(" per major")?,
                Some(Per::Group(name)) => write!(f, " per group {}", written(name))?,
            }
            if let Some(by) = by {
                write!(f, " by {}", by.replace('_', " "))?;
            }
        }
        fmt::Display::fmt(&self.conditions, f)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [("older than", &self.older), ("newer than", &self.newer)];
        for (word, text) in texts.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?))) {
            write!(f, " {word} {}", written(text))?;
        }
        if self.since_first_seen {
            f.write_str(" since first seen")?;
        }
        if !self.except.is_empty() {
            write!(f, " except {}", all_written(&self.except))?;
        }
        for label in &self.labels {
            write!(f, " with label {}", written(label))?;
        }
        let texts = [("unused for", &self.unused), ("for", &self.platform), ("matching", &self.regex)];
        for (word, text) in texts.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?))) {
            write!(f, " {word} {}", written(text))?;
        }
        match self.in_use {
            Some(true) => f.write_str(" in use")?,
            Some(false) => f.write_str(" not in use")?,
            None => {}
        }
        match (self.findings, self.fixable) {
            (Some(word), true) => write!(f, " when {word} fixable"),
            (Some(word), false) => write!(f, " when {word}"),
            (None, true) => f.write_str(" when fixable"),
            (None, false) => Ok(()),
        }
    }
}
