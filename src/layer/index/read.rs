//! Reads a layer's stored bytes once, and gives its index and its digests.

use std::io::{self, BufRead as _, Read};

use super::build::{Builder, Full};
use super::{Index, MemberId};
use crate::layer::content::{ContentHash, ContentHasher};
use crate::layer::walk::Buffered;
use crate::layer::{Digests, Entry, Kind, LayerReader, TarError, Walker};
use crate::model::{Digest, Problem, ProblemKind};

/// What is known of a layer before it is read. What is not known is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Of the bytes as stored.
    pub digest: Option<Digest>,
    /// Of the bytes as stored.
    pub size: Option<u64>,
    /// Of the uncompressed tar.
    pub diff_id: Option<Digest>,
}

impl Known {
    /// What reading it is called where it fails.
    fn doing(&self) -> String {
        let digest = self.digest.as_ref().or(self.diff_id.as_ref());
        digest.map_or_else(|| "read the layer".to_owned(), |digest| format!("read the layer {}", digest.short()))
    }

    fn check(&self, found: &Digests) -> Option<Problem> {
        let wrong = |what: &str, expected: &dyn std::fmt::Display, actual: &dyn std::fmt::Display| {
            Some(Problem::new(ProblemKind::Corrupt, self.doing(), format!("its {what} should be {expected}, but is {actual}")))
        };
        match (&self.digest, &self.size, &self.diff_id) {
            (_, Some(size), _) if *size != found.size => wrong("size", size, &found.size),
            (Some(digest), _, _) if *digest != found.digest => wrong("digest", digest, &found.digest),
            (_, _, Some(diff_id)) if *diff_id != found.diff_id => wrong("diff ID", diff_id, &found.diff_id),
            _ => None,
        }
    }
}

/// Looks at what is in a layer while it is indexed: whatever else is to be known of it costs no second pass. Each member is told once, in the order
/// of the tar; of a regular file all content follows, in pieces of whatever length they come in. Nothing of a member's end is told where the layer
/// is cut within it.
pub trait Tap {
    fn begin(&mut self, entry: &Entry);
    /// The next piece of a regular file's content; never empty.
    fn piece(&mut self, bytes: &[u8]);
    /// The member that began last is there to its end.
    fn end(&mut self);
}

/// Looks at nothing, and costs as much.
impl Tap for () {
    fn begin(&mut self, _entry: &Entry) {}
    fn piece(&mut self, _bytes: &[u8]) {}
    fn end(&mut self) {}
}

/// Reads a layer to its end: gzip, zstd or plain, by its first bytes. Blocking, on one thread, with memory for the index and a few hundred KiB.
/// Whatever goes wrong, the index is of what was readable until then, and [`Index::problem`] says what it was. To stop it, let `source` fail.
pub fn read(source: impl Read, known: &Known) -> Index {
    read_telling(source, known, &mut |_| {})
}

/// The same; `tell` sees again and again, also in the middle of a large file, what there is so far.
pub fn read_telling(source: impl Read, known: &Known, tell: &mut dyn FnMut(&Index)) -> Index {
    read_tapping(source, known, tell, &mut ())
}

/// The same; `tap` looks at all that is in the layer as it goes by.
pub fn read_tapping(source: impl Read, known: &Known, tell: &mut dyn FnMut(&Index), tap: &mut impl Tap) -> Index {
    match Indexer::new(source, known.clone()) {
        Ok(mut indexer) => {
            while indexer.step_tapping(tell, tap).is_some() {}
            indexer.finish()
        }
        Err(error) => {
            let problem = TarError::Io { offset: 0, source: error }.problem(known.doing());
            Index { problem: Some(problem), ..Index::default() }
        }
    }
}

/// The same member by member, for a look at what is there while the rest still comes in.
#[derive(Debug)]
pub struct Indexer<R: Read> {
    walker: Walker<Buffered<LayerReader<R>>>,
    builder: Builder,
    known: Known,
    stopped: Option<Stop>,
}

/// Why there is no next member.
#[derive(Debug)]
enum Stop {
    End,
    Tar(TarError),
    Full(Full),
}

impl<R: Read> Indexer<R> {
    /// # Errors
    /// Where reading the first bytes fails.
    pub fn new(source: R, known: Known) -> io::Result<Self> {
        let any = Digest::sha256(b"");
        let stored = known.digest.as_ref().unwrap_or(&any);
        let reader = LayerReader::new(source, stored, known.diff_id.as_ref().unwrap_or(&any))?;
        Ok(Self { walker: Walker::buffered(reader), builder: Builder::new(), known, stopped: None })
    }

    /// Reads the next member and its content; `None` at the end, and where it can't go on.
    pub fn step(&mut self) -> Option<MemberId> {
        self.step_tapping(&mut |_| {}, &mut ())
    }

    fn step_tapping(&mut self, tell: &mut dyn FnMut(&Index), tap: &mut impl Tap) -> Option<MemberId> {
        if self.stopped.is_some() {
            return None;
        }
        match self.next(tell, tap) {
            Ok(Some((entry, content))) => match self.builder.add(&entry, content) {
                Ok(id) => {
                    tell(&self.builder.index);
                    return Some(id);
                }
                Err(full) => self.stopped = Some(Stop::Full(full)),
            },
            Ok(None) => self.stopped = Some(Stop::End),
            Err(error) => self.stopped = Some(Stop::Tar(error)),
        }
        None
    }

    /// What was read until now.
    #[must_use]
    pub const fn so_far(&self) -> &Index {
        &self.builder.index
    }

    /// Bytes of the stored form taken until now.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.walker.source().inner().get_ref().consumed()
    }

    /// Reads what is left, which can't be more members where [`Indexer::step`] gave `None`, and checks the whole.
    #[must_use]
    pub fn finish(mut self) -> Index {
        while self.step().is_some() {}
        let doing = self.known.doing();
        let problem = match &self.stopped {
            Some(Stop::Tar(error)) => Some(error.problem(&doing)),
            Some(Stop::Full(full)) => Some(Problem::new(ProblemKind::Limit, &doing, full.to_string())),
            Some(Stop::End) | None => self.walker.end().err().map(|error| {
                let problem = error.problem(&doing);
                self.stopped = Some(Stop::Tar(error));
                problem
            }),
        };
        let mut index = self.builder.finish();
        // A source that failed once may go on as if nothing had been: what it gives then is not the layer.
        if matches!(self.stopped, Some(Stop::Tar(TarError::Io { .. }))) {
            index.problem = problem;
            return index;
        }
        match self.walker.into_source().into_inner().finish() {
            Ok(digests) => {
                // Bytes that are not the right ones explain whatever else is wrong with them.
                let wrong = self.known.check(&digests);
                index.problem = match (wrong, problem) {
                    (Some(wrong), Some(problem)) => Some(wrong.detail(problem.cause.as_str())),
                    (wrong, problem) => wrong.or(problem),
                };
                index.digests = Some(digests);
            }
            Err(error) => index.problem = problem.or_else(|| Some(TarError::Io { offset: 0, source: error }.problem(&doing))),
        }
        index
    }

    fn next(&mut self, tell: &mut dyn FnMut(&Index), tap: &mut impl Tap) -> Result<Option<(Entry, Option<ContentHash>)>, TarError> {
        let Some(entry) = self.walker.next_entry()? else { return Ok(None) };
        tap.begin(&entry);
        let content = if entry.kind == Kind::File { Some(self.content(entry.size, tell, tap)?) } else { None };
        tap.end();
        Ok(Some((entry, content)))
    }

    fn content(&mut self, size: u64, tell: &mut dyn FnMut(&Index), tap: &mut impl Tap) -> Result<ContentHash, TarError> {
        let mut hasher = None;
        loop {
            let piece = match self.walker.fill_buf() {
                Ok([]) => return Ok(hasher.as_ref().map_or_else(|| ContentHash::of(b""), ContentHasher::finish)),
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.walker.cut(error)),
            };
            tap.piece(piece);
            let length = piece.len();
            let whole = (length as u64 == size).then(|| ContentHash::of(piece));
            if whole.is_none() {
                hasher.get_or_insert_with(ContentHasher::new).update(piece);
            }
            self.walker.consume(length);
            if let Some(whole) = whole {
                return Ok(whole);
            }
            tell(&self.builder.index);
        }
    }
}
