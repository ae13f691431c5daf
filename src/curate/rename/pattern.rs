//! A rule by regular expression: what it finds in the tag is replaced, as `s/find/replace/` does it.
//!
//! The first match alone is replaced; `^` and `$` tie it to the whole tag. In the replacement `$1`, `${1}` and `${name}` stand for groups and
//! `$$` for a dollar sign; a group's number ends where its digits end, so `$1a` is the first group and an `a`.

use regex::{Regex, RegexBuilder};

use super::Why;
use crate::curate::mistake::Mistake;

/// Largest compiled expression, in bytes: what a user types must not take the memory of the machine.
const LARGEST: usize = 1 << 20;

/// Whether letters of the new tag are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Case {
    #[default]
    AsIs,
    Lower,
    Upper,
}

/// A compiled expression and its replacement.
#[derive(Debug, Clone)]
pub struct Pattern {
    find: Regex,
    replace: Vec<Piece>,
    case: Case,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The group's number, and how it was written.
    Group(usize, String),
}

impl Pattern {
    /// Compiles a rule as typed. `ignore_case` finds letters whatever their case; `case` is of the new tag as a whole.
    ///
    /// # Errors
    /// An expression that is none, or a replacement that names a group which isn't in it.
    pub fn new(find: &str, replace: &str, ignore_case: bool, case: Case) -> Result<Self, Mistake> {
        let find = expression(find, ignore_case).map_err(|words| Mistake::at(find, 0, words))?;
        let replace = pieces(replace, &find)?;
        Ok(Self { find, replace, case })
    }

    /// The new tag; `None` where nothing is found.
    pub(super) fn apply(&self, tag: &str) -> Result<Option<String>, Why> {
        let Some(found) = self.find.captures(tag) else { return Ok(None) };
        let Some(whole) = found.get(0) else { return Ok(None) };
        let mut new = String::with_capacity(tag.len() + 16);
        new.push_str(tag.get(..whole.start()).unwrap_or_default());
        for piece in &self.replace {
            match piece {
                Piece::Text(text) => new.push_str(text),
                Piece::Group(number, written) => {
                    let group = found.get(*number).ok_or_else(|| Why::MissingCapture(written.clone()))?;
                    new.push_str(group.as_str());
                }
            }
        }
        new.push_str(tag.get(whole.end()..).unwrap_or_default());
        Ok(Some(match self.case {
            Case::AsIs => new,
            Case::Lower => new.to_ascii_lowercase(),
            Case::Upper => new.to_ascii_uppercase(),
        }))
    }
}

/// Compiles an expression within bounds.
///
/// # Errors
/// The last line of what the compiler says, which holds the reason.
pub(in crate::curate) fn expression(text: &str, ignore_case: bool) -> Result<Regex, String> {
    RegexBuilder::new(text).case_insensitive(ignore_case).size_limit(LARGEST).build().map_err(|error| {
        let words = error.to_string();
        let reason = words.lines().last().unwrap_or_default().trim();
        format!("not a regular expression: {}", reason.strip_prefix("error: ").unwrap_or(reason))
    })
}

fn pieces(text: &str, find: &Regex) -> Result<Vec<Piece>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut pieces, before);
        let at = text.len() - after.len() - 1;
        if let Some(more) = after.strip_prefix('$') {
            push(&mut pieces, "$");
            rest = more;
            continue;
        }
        let (name, more) = group(after)
            .ok_or_else(|| Mistake::at(text, at, "a dollar sign without a group").hint("write $1, ${name}, or $$ for a dollar sign"))?;
        let number = match name.parse::<usize>() {
            Ok(number) => Some(number).filter(|number| *number < find.captures_len()),
            Err(_) => find.capture_names().position(|known| known == Some(name)),
        };
        let number = number.ok_or_else(|| {
            let has = find.captures_len() - 1;
            Mistake::at(text, at, format!("there is no group {name}")).hint(match has {
                0 => "the expression has no groups: put parentheses around what you want to keep".to_owned(),
                1 => "the expression has one group, $1".to_owned(),
                n => format!("the expression has {n} groups, $1 to ${n}"),
            })
        })?;
        pieces.push(Piece::Group(number, format!("${name}")));
        rest = more;
    }
    push(&mut pieces, rest);
    Ok(pieces)
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// The name of the group that `text` begins with, and what follows.
fn group(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if digits > 0 {
        return text.split_at_checked(digits);
    }
    let word = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at_checked(word).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(find: &str, replace: &str, tag: &str) -> Result<Option<String>, Why> {
        Pattern::new(find, replace, false, Case::AsIs).unwrap().apply(tag)
    }

    #[test]
    fn what_is_found_is_replaced_once() {
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(apply(r"^(\d+\.\d+\.\d+)-rc\d+$", "$1", "1.4.0-rc3"), is("1.4.0"));
        assert_eq!(apply(r"^(\d+\.\d+\.\d+)-rc\d+$", "$1", "latest"), Ok(None));
        assert_eq!(apply(r"\.", "-", "1.4.0"), is("1-4.0"), "the first alone");
        assert_eq!(apply(r"(?<line>\d+\.\d+)\.\d+", "stable-${line}_$$", "v1.4.0-x"), is("vstable-1.4_$-x"));
        assert_eq!(apply("(a)", "$1b", "a"), is("ab"), "a number ends with its digits");
        assert_eq!(apply("^", "deprecated-", "x"), is("deprecated-x"));
        assert_eq!(apply("(a)|(b)", "$2", "a"), Err(Why::MissingCapture("$2".to_owned())));
        let upper = Pattern::new("^V", "v", true, Case::Lower).unwrap();
        assert_eq!(upper.apply("v1-RC1"), is("v1-rc1"));
    }

    #[test]
    fn mistakes_are_told_by_column() {
        let wrong = |find, replace| Pattern::new(find, replace, false, Case::AsIs).unwrap_err();
        assert!(wrong("(", "").words.contains("unclosed group"));
        let mistake = wrong("(a)", "x-$2");
        assert_eq!((mistake.column, mistake.words.as_str()), (3, "there is no group 2"));
        assert_eq!(wrong("(a)", "x$").column, 2);
        assert!(wrong("a", "${name}").hint.unwrap().contains("parentheses"));
        assert!(wrong("\\w{1000}{1000}", "").words.contains("size"), "a bound holds");
    }
}
