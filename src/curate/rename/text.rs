//! Batch retag as text, for an editor: a line for each name, `source → target`.
//!
//! `->` or blanks do for the arrow. Several targets may stand on one line, or on lines of their own. What follows a `#` is a comment; an empty
//! line is nothing; a deleted line, and a target that is the source, leave the tag as it is. A target is a tag in the repository of its source,
//! or a whole name. The target `-` takes the source away: it is answered apart from the wishes ([`Edited::untag`]), because losing a name is
//! another thing than giving one, and is asked about as every deletion is.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::check::is_name;
use super::{Answer, Row, Wish, joined};
use crate::curate::mistake::Mistake;
use crate::model::remote::is_tag;
use crate::model::{Digest, Name};

/// Longest text that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// Mistakes that are told; whoever has more has opened the wrong file.
const MOST_MISTAKES: usize = 100;
const ARROWS: [&str; 2] = ["→", "->"];
const UNTAG: &str = "-";
const HELP: &str = "\
# Each line gives the image of the tag on its left the name on its right: a tag, or a whole name. The tag on the left stays.
# Delete a line to leave a tag alone. A name - takes the tag on the left away. Several names may stand on one line.
";

/// What an edited text asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edited {
    pub wishes: Vec<Wish>,
    /// The line of the text, from 0, that each wish stands on.
    pub lines: Vec<usize>,
    /// Names to take away, and what they pointed at.
    pub untag: Vec<(Name, Digest)>,
    /// The lines of these.
    pub untag_lines: Vec<usize>,
}

/// Writes rows as text, with what a rule made of them; without answers every line says that nothing changes.
#[must_use]
pub fn write(rows: &[Row], answers: Option<&[Answer]>) -> String {
    let shared = shared_repository(rows);
    let mut out = String::from(HELP);
    if let Some(repository) = shared {
        _ = writeln!(out, "# In {}", Name::new(repository).safe());
    }
    out.push('\n');
    let shown = |name: &Name| match (shared, name.split()) {
        (Some(repository), (own, Some(tag))) if own == repository => tag.to_owned(),
        _ => name.raw().to_owned(),
    };
    let widest = rows.iter().filter(|row| is_name(&row.name)).map(|row| shown(&row.name).len()).max().unwrap_or(0);
    let nothing = Answer::Unchanged;
    for (at, row) in rows.iter().enumerate() {
        if !is_name(&row.name) {
            _ = writeln!(out, "# left out, no name that could be acted on: {}", row.name.safe());
            continue;
        }
        let source = shown(&row.name);
        let mut line = |target: &str| _ = writeln!(out, "{source:widest$} → {target}");
        match answers.and_then(|answers| answers.get(at)).unwrap_or(&nothing) {
            Answer::Unchanged => line(&source),
            Answer::Names(names) => names.iter().for_each(|name| line(&within(&row.name, name))),
            Answer::Not(why) => line(&format!("{source} # {}", why.words())),
        }
    }
    out
}

/// A target as it is written beside its source: as a tag where the repository is the same.
fn within(source: &Name, target: &Name) -> String {
    match (source.split(), target.split()) {
        ((one, _), (other, Some(tag))) if one == other => tag.to_owned(),
        _ => target.raw().to_owned(),
    }
}

/// The repository that all rows are of.
fn shared_repository(rows: &[Row]) -> Option<&str> {
    let mut repositories = rows.iter().filter(|row| is_name(&row.name)).map(|row| row.name.split().0);
    let first = repositories.next()?;
    repositories.all(|repository| repository == first).then_some(first)
}

/// Reads an edited text, which began as `rows`.
///
/// # Errors
/// Every mistake in it, by line and column: nothing of a text with a mistake is carried out.
pub fn read(text: &str, rows: &[Row]) -> Result<Edited, Vec<Mistake>> {
    if text.len() > LONGEST {
        return Err(vec![Mistake::at(text, 0, format!("the text has more than {} MiB", LONGEST >> 20))]);
    }
    let shared = shared_repository(rows);
    let mut sources: HashMap<&str, &Row> = HashMap::with_capacity(rows.len() * 2);
    for row in rows {
        sources.insert(row.name.raw(), row);
        if let (Some(_), (_, Some(tag))) = (shared, row.name.split()) {
            sources.insert(tag, row);
        }
    }
    let mut reader = Reader {
        text,
        sources,
        number: 0,
        edited: Edited::default(),
        given: HashMap::new(),
        taken: Vec::new(),
        gone: HashSet::new(),
        mistakes: Vec::new(),
    };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        reader.line(offset, line);
        offset += line.len();
        reader.number += 1;
        if reader.mistakes.len() >= MOST_MISTAKES {
            break;
        }
    }
    reader.both();
    if reader.mistakes.is_empty() { Ok(reader.edited) } else { Err(reader.mistakes) }
}

struct Reader<'a> {
    text: &'a str,
    sources: HashMap<&'a str, &'a Row>,
    /// The line that is read, from 0.
    number: usize,
    edited: Edited,
    /// Who was given a name, and where in the text.
    given: HashMap<Name, (&'a Digest, usize)>,
    /// Where each name is taken away.
    taken: Vec<(Name, usize)>,
    gone: HashSet<&'a Name>,
    mistakes: Vec<Mistake>,
}

/// A word and the byte of the text at which it begins.
type Word<'a> = (&'a str, usize);

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: usize, words: impl Into<String>, hint: &str) {
        self.mistakes.push(Mistake::at(self.text, at, words).hint(hint));
    }

    /// A name can't be taken away and given: which of the two is done last would decide.
    fn both(&mut self) {
        for (name, at) in std::mem::take(&mut self.taken) {
            if let Some(&(_, given)) = self.given.get(&name) {
                let line = Mistake::at(self.text, given, "").line;
                let words = format!("{} is taken away here, and given in line {line}", name.safe());
                self.wrong(at, words, "giving a name to another image takes it from the one that has it");
            }
        }
    }

    fn line(&mut self, offset: usize, line: &'a str) {
        let words = words(line, offset);
        let Some(&(source, at)) = words.first() else { return };
        if ARROWS.contains(&source) {
            return self.wrong(at, "the source is missing", "write source → target, or delete the line");
        }
        let mut targets = words.get(1..).unwrap_or_default();
        if let Some(((first, _), rest)) = targets.split_first()
            && ARROWS.contains(first)
        {
            targets = rest;
        }
        let Some(&row) = self.sources.get(source) else {
            return self.wrong(at, format!("there is no {source} among the tags"), "leave the left side as it was, or delete the line");
        };
        if targets.is_empty() {
            return self.wrong(
                at + source.len(),
                "the target is missing",
                "write source → target, or delete the line to leave the tag alone",
            );
        }
        for &(target, at) in targets {
            self.target(row, target, at);
        }
    }

    fn target(&mut self, row: &'a Row, target: &str, at: usize) {
        if ARROWS.contains(&target) {
            return self.wrong(at, "a second arrow", "put several targets behind one arrow, with blanks between them");
        }
        if target == UNTAG {
            if self.gone.insert(&row.name) {
                self.edited.untag.push((row.name.clone(), row.digest.clone()));
                self.edited.untag_lines.push(self.number);
                self.taken.push((row.name.clone(), at));
            }
            return;
        }
        let name = if target.contains(['/', ':']) { Name::new(target) } else { joined(row.name.split().0, target) };
        if !is_name(&name) {
            let what = if is_tag(target) || target.contains(['/', ':']) { "is no name" } else { "is no tag" };
            let hint = "a tag has up to 128 letters, digits and _ . -, not beginning with . or -; a whole name is written repository:tag";
            return self.wrong(at, format!("{target} {what}"), hint);
        }
        if name == row.name {
            return;
        }
        match self.given.get(&name) {
            Some((digest, _)) if **digest == row.digest => {
                if self.edited.wishes.iter().any(|wish| wish.to == name && wish.from == row.name) {
                    return;
                }
            }
            Some(&(_, before)) => {
                let line = Mistake::at(self.text, before, "").line;
                return self.wrong(at, format!("{target} is given to another image in line {line}"), "one name can name one image only");
            }
            None => _ = self.given.insert(name.clone(), (&row.digest, at)),
        }
        self.edited.lines.push(self.number);
        self.edited.wishes.push(Wish { from: row.name.clone(), to: name, digest: row.digest.clone() });
    }
}

/// The words of a line up to its comment, an arrow being a word of its own wherever it stands.
fn words(line: &str, offset: usize) -> Vec<Word<'_>> {
    let line = line.split_once('#').map_or(line, |(line, _)| line);
    let mut words = Vec::new();
    let mut at = offset;
    let mut rest = line;
    while !rest.is_empty() {
        let arrow = ARROWS.iter().filter_map(|arrow| rest.find(arrow).map(|place| (place, *arrow))).min();
        let (piece, sign) = arrow.map_or((rest, ""), |(place, arrow)| (rest.get(..place).unwrap_or_default(), arrow));
        let mut from = at;
        for part in piece.split_inclusive(char::is_whitespace) {
            let word = part.trim_end();
            if !word.is_empty() {
                words.push((word, from));
            }
            from += part.len();
        }
        if !sign.is_empty() {
            words.push((rest.get(piece.len()..piece.len() + sign.len()).unwrap_or_default(), at + piece.len()));
        }
        at += piece.len() + sign.len();
        rest = rest.get(piece.len() + sign.len()..).unwrap_or_default();
    }
    words
}
