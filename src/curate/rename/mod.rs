//! Batch retag as pure data: rows go in, the names they shall have come out, each with the digest it was thought through for.
//!
//! May use model only. What is wished is written as text in an editor ([`text`]) or as a [`Rule`]: a regular expression ([`pattern`]), a
//! template ([`template`]) or a preset ([`preset`]). A rule is compiled once and answers ten thousand rows within a keystroke. [`check()`] then
//! looks at all wishes together, for collisions and for names that another image holds. A name is only ever given here: the old one stays
//! until it is taken away on purpose.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::model::{Digest, Foreign, Name, Safe};

pub mod check;
pub mod pattern;
pub mod preset;
pub mod template;
pub mod text;

pub use check::{Mark, check};
pub use pattern::{Case, Pattern};
pub use preset::Preset;
pub use template::Template;

/// One tag, of a registry or of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The repository, with its registry where it has one, and the tag.
    pub name: Name,
    /// What the tag points at now: of a manifest in a registry, of the configuration on an engine.
    pub digest: Digest,
    pub created: Option<Timestamp>,
    /// `None` where they were not read.
    pub labels: Option<BTreeMap<Box<str>, Foreign>>,
}

/// Every name known to be taken where the rows are, and by which digest.
pub type Names = HashMap<Name, Digest>;

/// The rows that a rule is put to, and what it may look at besides.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub rows: &'a [Row],
    /// The whole repository's names: which version is the newest is said of all of them, and not of the marked ones.
    pub names: &'a Names,
    pub now: Timestamp,
}

/// How names are made.
#[derive(Debug, Clone)]
pub enum Rule {
    Pattern(Pattern),
    Template(Template),
    Preset(Preset),
}

/// What a rule says of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It keeps its name alone.
    Unchanged,
    /// It shall have these names too, the first being the one that matters.
    Names(Vec<Name>),
    Not(Why),
}

/// Why a row can't have the name that a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The row has no tag to begin with, or one outside the grammar.
    NoTag,
    InvalidTag(String),
    InvalidRepository(String),
    /// The group took part in no match.
    MissingCapture(String),
    MissingLabel(String),
    LabelsUnknown,
    NoVersion,
    /// The version has no such part.
    MissingPart(&'static str),
    NoDate,
    NoCandidate,
    /// Of the same version there is a newer candidate.
    Superseded(String),
}

impl Why {
    /// For a person.
    #[must_use]
    pub fn words(&self) -> Safe {
        let one = |before: &str, name: &str, after: &str| Safe::new(&format!("{before}{}{after}", Safe::new(name)));
        match self {
            Self::NoTag => Safe::new("it has no tag that could be acted on"),
            Self::InvalidTag(tag) if tag.is_empty() => Safe::new("the new tag would be empty"),
            Self::InvalidTag(tag) => one("", tag, " is no tag: up to 128 letters, digits and _ . -, not beginning with . or -"),
            Self::InvalidRepository(repository) => one("", repository, " is no repository"),
            Self::MissingCapture(group) => one("the group ", group, " matches nothing here"),
            Self::MissingLabel(label) => one("it has no label ", label, ""),
            Self::LabelsUnknown => Safe::new("its labels are not known"),
            Self::NoVersion => Safe::new("its tag is no version"),
            Self::MissingPart(part) => one("its version has no ", part, ""),
            Self::NoDate => Safe::new("when it was made is not known"),
            Self::NoCandidate => Safe::new("it is no candidate of a version"),
            Self::Superseded(by) => one("", by, " is a newer candidate of the same version"),
        }
    }
}

/// One name to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub from: Name,
    pub to: Name,
    /// What `from` pointed at when this was thought through.
    pub digest: Digest,
}

impl Rule {
    /// What the rule says of every row, in their order.
    #[must_use]
    pub fn answers(&self, rows: &Rows<'_>) -> Vec<Answer> {
        match self {
            Self::Pattern(pattern) => rows.rows.iter().map(|row| retag(row, |tag| pattern.apply(tag))).collect(),
            Self::Template(template) => {
                let mut count = 0;
                rows.rows
                    .iter()
                    .map(|row| {
                        let answer = retag(row, |tag| template.apply(row, tag, count + 1, rows.now).map(Some));
                        count += u64::from(!matches!(answer, Answer::Not(_)));
                        answer
                    })
                    .collect()
            }
            Self::Preset(preset) => preset.answers(rows),
        }
    }
}

/// The names that a rule wishes for, in the order of the rows.
#[must_use]
pub fn wishes(rows: &Rows<'_>, rule: &Rule) -> Vec<Wish> {
    wished(rows.rows, rule.answers(rows))
}

/// The wishes in `answers`, which are of `rows` in their order.
#[must_use]
pub fn wished(rows: &[Row], answers: Vec<Answer>) -> Vec<Wish> {
    let of = |(row, answer): (&Row, Answer)| -> Vec<Wish> {
        let Answer::Names(names) = answer else { return Vec::new() };
        names.into_iter().map(|to| Wish { from: row.name.clone(), to, digest: row.digest.clone() }).collect()
    };
    rows.iter().zip(answers).flat_map(of).collect()
}

/// A new tag in the same repository, by what `make` makes of the old one; `None` from it leaves the row alone.
fn retag(row: &Row, make: impl FnOnce(&str) -> Result<Option<String>, Why>) -> Answer {
    let (repository, Some(tag)) = row.name.split() else { return Answer::Not(Why::NoTag) };
    if !check::is_name(&row.name) {
        return Answer::Not(Why::NoTag);
    }
    match make(tag) {
        Err(why) => Answer::Not(why),
        Ok(None) => Answer::Unchanged,
        Ok(Some(new)) if new == tag => Answer::Unchanged,
        Ok(Some(new)) if !crate::model::remote::is_tag(&new) => Answer::Not(Why::InvalidTag(new)),
        Ok(Some(new)) => Answer::Names(vec![joined(repository, &new)]),
    }
}

fn joined(repository: &str, tag: &str) -> Name {
    Name::new(&[repository, ":", tag].concat())
}

#[cfg(test)]
mod tests;
