//! Looks at a layer while it is indexed, and notes what is in it.
//!
//! Memory: a window of text, the beginning of a file that a rule asks for, and whole files only where they list packages: small ones, and large
//! ones as [`Memory`] has room.

use std::sync::Arc;

use super::memory::{Memory, Taken};
use super::{LayerFacts, MOST_ASIDE, MOST_SEEN, Passed, Seen, SystemFile, What, system};
use crate::layer::index::Tap;
use crate::layer::{Entry, Kind};
use crate::model::{Severity, size};
use crate::scan::inventory::{self, Ask, FileList, Room, Stream};
use crate::scan::rules::{self, Place, Search};

/// Largest text that is searched for credentials.
const MOST_TEXT: u64 = 64 << 20;
/// First bytes in which a zero says that a file is no text.
const TOLD_BY: usize = 8000;
/// Files up to that are kept whole without asking for room.
const SMALL: u64 = 1 << 20;
/// Largest file that tells of the system.
const MOST_SYSTEM: u64 = 1 << 20;
/// What packages of one layer may come to, whatever the others have.
const MOST_PACKAGES: u64 = 250_000;
const MOST_TEXTS: u64 = 32 << 20;
/// What those of all layers of an image may, more than one layer alone ever reaches.
const MOST_PACKAGES_OF_ALL: u64 = 500_000;
const MOST_TEXTS_OF_ALL: u64 = 64 << 20;

/// What those share who look at layers of one image.
#[derive(Debug, Clone)]
pub struct Looks {
    memory: Memory,
    room: Arc<Room>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { memory: Memory::default(), room: Arc::new(Room::of(MOST_PACKAGES_OF_ALL, MOST_TEXTS_OF_ALL)) }
    }
}

impl Looks {
    /// A look at one layer.
    #[must_use]
    pub fn look(&self) -> Look {
        Look {
            shared: self.clone(),
            room: Arc::new(Room::of(MOST_PACKAGES, MOST_TEXTS).below(&self.room)),
            search: Search::default(),
            facts: LayerFacts::default(),
            path: Vec::new(),
            head: Vec::new(),
            kept: Vec::new(),
            stream: Stream::default(),
            file: None,
        }
    }
}

/// A look at a layer; to be given to [`crate::layer::index::read_tapping`].
#[derive(Debug)]
pub struct Look {
    shared: Looks,
    /// For packages of this layer.
    room: Arc<Room>,
    facts: LayerFacts,
    /// Of the current member, normalised.
    path: Vec<u8>,
    /// Its first bytes, where a rule asks for them.
    head: Vec<u8>,
    /// All of it, where that is asked for.
    kept: Vec<u8>,
    search: Search,
    /// Of a program that is too large.
    stream: Stream,
    file: Option<Current>,
}

/// The file that goes by.
#[derive(Debug)]
struct Current {
    offset: u64,
    size: u64,
    /// Bytes that went by.
    past: u64,
    keep: Keep,
    text: Text,
    /// A rule of names, and what the beginning has to be.
    named: Option<(usize, rules::Begins)>,
    /// Gives the room back.
    taken: Option<Taken>,
}

/// Whether all of a file is kept.
#[derive(Debug, Clone, Copy)]
enum Keep {
    No,
    /// Its first bytes will tell.
    Asks(Ask),
    List(Ask),
    System,
    /// Not kept: what is of use is found as it passes.
    Passes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// As far as it went by.
    Is,
    IsNot,
    /// It is, and is not searched.
    Large,
}

impl Tap for Look {
    fn begin(&mut self, entry: &Entry) {
        self.file = None;
        normalise(&entry.path, &mut self.path);
        let name = self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if entry.kind == Kind::Sparse {
            self.facts.passed.sparse.add(&self.path);
        }
        if entry.kind != Kind::File || entry.size == 0 || name.starts_with(b".wh.") {
            return;
        }
        self.head.clear();
        self.kept.clear();
        self.search.begin(&self.path);
        let named = rules::look(&self.path);
        self.file = Some(Current {
            offset: entry.data_offset,
            size: entry.size,
            past: 0,
            keep: Keep::No,
            text: if entry.size > MOST_TEXT { Text::Large } else { Text::Is },
            named,
            taken: None,
        });
        let is_executable = entry.mode.is_some_and(|mode| mode & 0o111 != 0);
        if system::parser(&self.path).is_some() {
            if entry.size <= MOST_SYSTEM {
                self.set(Keep::System);
            } else {
                self.facts.passed.system.add(&self.path);
            }
        } else if let Some(ask) = inventory::ask(&self.path, is_executable) {
            self.set(Keep::Asks(ask));
        }
    }

    fn piece(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if file.named.is_some() {
            let room = rules::HEAD.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        file.text = text(file, &self.path, bytes);
        match file.text {
            Text::Is if bytes.len() as u64 == file.size => self.search.whole(bytes),
            Text::Is => self.search.push(bytes),
            Text::IsNot | Text::Large => {}
        }
        file.past += bytes.len() as u64;
        match file.keep {
            Keep::No => {}
            Keep::Passes => self.stream.push(bytes),
            Keep::Asks(_) | Keep::List(_) | Keep::System => self.kept.extend_from_slice(bytes),
        }
        if let Keep::Asks(ask) = file.keep
            && (self.kept.len() >= 4 || file.past == file.size)
        {
            self.decide(ask);
        }
    }

    fn end(&mut self) {
        let Some(file) = self.file.take() else { return };
        match file.text {
            Text::Is => self.found(file.offset),
            Text::IsNot => self.facts.passed.binary += 1,
            Text::Large => self.facts.passed.large.add(&self.path),
        }
        if let Some((rule, begins)) = file.named
            && begins(&self.head)
        {
            self.note(
                file.offset,
                What::File { rule: u16::try_from(rule).unwrap_or(u16::MAX) },
                rules::place(&self.path) != Place::Ordinary,
            );
        }
        match file.keep {
            Keep::List(ask) => {
                let list = inventory::parse(ask, file.offset, &self.kept, &self.room);
                self.list(list, ask);
            }
            Keep::System => {
                let told = system::parser(&self.path).and_then(|parse| parse(&self.kept));
                if system::is_beyond(&self.path, &self.kept) {
                    self.facts.passed.system.add(&self.path);
                }
                let path = self.path.clone();
                self.facts.system.extend(told.map(|system| SystemFile { path, offset: file.offset, system }));
            }
            Keep::Passes => self.facts.lists.extend(std::mem::take(&mut self.stream).end(file.offset, &self.room)),
            Keep::No | Keep::Asks(_) => {}
        }
        self.kept.clear();
        if self.kept.capacity() as u64 > SMALL {
            self.kept = Vec::new();
        }
    }
}

impl Look {
    /// What was noted; of a layer that was cut, up to its last whole member.
    #[must_use]
    pub fn finish(mut self) -> LayerFacts {
        self.facts.cut_by_others = self.room.is_full_above();
        self.facts
    }

    const fn set(&mut self, keep: Keep) {
        if let Some(file) = &mut self.file {
            file.keep = keep;
        }
    }

    /// Whether a file that may list packages is kept whole.
    fn decide(&mut self, ask: Ask) {
        let Some(file) = &mut self.file else { return };
        let fits = ask.begins(&self.kept).is_some();
        let most = ask.most.min(Memory::MOST);
        if fits && file.size <= most {
            file.keep = Keep::List(ask);
            if file.size > SMALL {
                file.taken = Some(self.shared.memory.take(file.size));
            }
            self.kept.reserve_exact(usize::try_from(file.size.saturating_sub(self.kept.len() as u64)).unwrap_or_default());
            return;
        }
        file.keep = Keep::No;
        if fits && !ask.is_named {
            file.keep = Keep::Passes;
            self.stream = Stream::default();
            self.stream.push(&self.kept);
        }
        self.kept.clear();
        if fits && ask.is_named {
            let (offset, why_not) = (file.offset, Some(format!("it is larger than {}", size::human(most))));
            self.list(FileList { offset, why_not, ..FileList::default() }, ask);
        }
    }

    fn list(&mut self, list: FileList, ask: Ask) {
        // Most programs list nothing.
        if ask.is_named || list != (FileList { offset: list.offset, ..FileList::default() }) {
            self.facts.lists.push(list);
        }
    }

    /// Notes what the search found in a text.
    fn found(&mut self, offset: u64) {
        let (hits, cut) = self.search.end();
        if cut {
            self.facts.passed.cut.add(&self.path);
        }
        let hits = std::mem::take(hits);
        for (at, hit) in hits.iter().enumerate() {
            let Some(rule) = hit.rule() else { continue };
            let nth = hits.iter().take(at).filter(|before| before.rule().is_some_and(|before| before.id == rule.id)).count();
            let what = What::Secret {
                rule: u16::try_from(hit.rule).unwrap_or(u16::MAX),
                nth: u32::try_from(nth).unwrap_or(u32::MAX),
                lines: hit.lines,
                evidence: hit.evidence.as_str().to_owned(),
                severity: severity(hit.severity),
                note: hit.note.to_owned(),
            };
            let counts = rule.counts(rules::place(&self.path)).is_ok();
            self.note(offset, what, !counts);
        }
    }

    fn note(&mut self, offset: u64, what: What, is_aside: bool) {
        let Passed { beyond, aside, .. } = &mut self.facts.passed;
        let (most, left_out) = if is_aside { (MOST_ASIDE, aside) } else { (MOST_SEEN, beyond) };
        if self.facts.seen.len() >= most {
            *left_out += 1;
        } else {
            self.facts.seen.push(Seen { path: self.path.clone(), offset, what });
        }
    }
}

fn severity(severity: Severity) -> u8 {
    Severity::ALL.iter().position(|one| *one == severity).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// Whether a file is text still, once `bytes` went by.
fn text(file: &Current, path: &[u8], bytes: &[u8]) -> Text {
    let past = usize::try_from(file.past).unwrap_or(usize::MAX);
    let told = bytes.get(..TOLD_BY.saturating_sub(past).min(bytes.len())).unwrap_or_default();
    // What Python compiled has the text of its source in it, secrets too.
    if memchr::memchr(0, told).is_some() && !path.ends_with(b".pyc") { Text::IsNot } else { file.text }
}

/// A path as an index has it: it never leads out of the root.
pub(super) fn normalise(told: &[u8], into: &mut Vec<u8>) {
    into.clear();
    for part in told.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => into.truncate(into.iter().rposition(|&byte| byte == b'/').unwrap_or_default()),
            part => {
                if !into.is_empty() {
                    into.push(b'/');
                }
                into.extend_from_slice(part);
            }
        }
    }
}

#[cfg(test)]
mod tests;
