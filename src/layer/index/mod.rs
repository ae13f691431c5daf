//! What is in one layer: every member of its tar with what its header says and a fingerprint of its content, in the order of the tar.
//!
//! Compact, since a layer may have millions: names lie in one arena, a path is its parent's number and a name of its own, and a member takes
//! 56 bytes beyond its name (`Record` and `PathRecord`; what few members have lies in side tables). Paths are kept twice over where that
//! makes a difference: as told, to be shown, and normalised, which never leads out of the root, to build a tree from. An index is of what was
//! readable; where that is not all, or not what it should be, [`Index::problem`] says so.
//!
//! Facts: POSIX pax, GNU tar's manual, and the OCI image specification's layer document (whiteouts).

mod build;
mod codec;
mod member;
mod pieces;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use codec::{Broken, FORMAT};

pub(super) use member::whiteout;
pub use member::{Member, Whiteout};
pub use pieces::{Packing, Piece, Pieces, Unpacker};
pub use read::{Indexer, Known, Tap, read, read_tapping, read_telling};
pub use table::{BadTable, from_table};

use super::content::ContentHash;
use super::header::Kind;
use super::verify::Digests;
use crate::model::Problem;

/// Most bytes of the names of one layer, each told once.
const MOST_NAMES: usize = 256 << 20;
/// Most bytes of link targets and of what else is kept as told.
const MOST_TEXTS: usize = 256 << 20;
/// Most paths of one layer, directories included that no member is of its own.
const MOST_PATHS: usize = 8_000_000;

/// A member of a layer, by its place in the tar; counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub(super) u32);

/// A path in a layer; a parent's number is lower than its children's, and the root is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub(super) u32);

impl MemberId {
    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

impl PathId {
    /// The layer's root directory.
    pub const ROOT: Self = Self(0);

    pub(super) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// One layer's index. Made by [`read()`] or [`Indexer`], or from the bytes that [`Index::to_bytes`] gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Names of `paths`, one after the other.
    names: Vec<u8>,
    /// Link targets, paths that can't be put together again as told, capabilities.
    texts: Vec<u8>,
    paths: Vec<PathRecord>,
    members: Vec<Record>,
    owners: Vec<Owner>,
    /// Members whose path can't be put together again as it was told; by member.
    told: Vec<(u32, Span)>,
    /// By member.
    xattrs: Vec<Attributes>,
    /// Bytes that sparse files take in the tar; by member.
    stored: Vec<(u32, u64)>,
    digests: Option<Digests>,
    problem: Option<Problem>,
    /// Where files lie in the stored bytes, of an index by a table of contents.
    pieces: Option<Pieces>,
}

/// A piece of `texts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    length: u16,
}

/// A path: the name ends at `end` and starts where that of the path before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PathRecord {
    parent: u32,
    end: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    /// Of the content, holes included.
    size: u64,
    mtime: i64,
    /// A file's fingerprint, low half first; where a link's target lies ([`Record::link`]) and the member that a hard link is to, plus one; a
    /// device's major and minor number.
    body: [u64; 2],
    path: u32,
    /// Where the data starts, in blocks of the tar.
    block: u32,
    /// Into `owners`.
    owner: u32,
    kind: u8,
    flags: u8,
}

/// Bits of [`Record::flags`].
mod flag {
    /// The path was told with `./` before it.
    pub(super) const DOT: u8 = 1;
    /// With `/` before it.
    pub(super) const SLASH: u8 = 2;
    /// With `/` after it.
    pub(super) const TRAILING: u8 = 4;
    /// In a form that `told` has.
    pub(super) const TOLD: u8 = 8;
    /// The time was told.
    pub(super) const MTIME: u8 = 16;
    pub(super) const XATTRS: u8 = 32;
    /// It has less data than content: `stored` says how much.
    pub(super) const STORED: u8 = 64;
    /// A file whose content nobody has read.
    pub(super) const UNREAD: u8 = 128;
    /// Those of an index that is kept: all but the last.
    pub(super) const ALL: u8 = 127;
}

/// Rights and owner. Few combinations are met in a layer, so each is kept once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    member: u32,
    /// Of the capability; nothing where there is none.
    capability: Span,
    others: u16,
}

impl Record {
    const fn link(&self) -> Span {
        let [place, _] = self.body;
        #[expect(clippy::cast_possible_truncation, reason = "both were put together from just these")]
        Span { start: place as u32, length: (place >> 32) as u16 }
    }

    /// What a hard link's member is another name of.
    fn target(&self) -> Option<MemberId> {
        let [_, plus_one] = self.body;
        (self.kind == b'1').then(|| u32::try_from(plus_one.checked_sub(1)?).ok().map(MemberId)).flatten()
    }
}

impl Span {
    const NONE: Self = Self { start: 0, length: 0 };

    const fn packed(self) -> u64 {
        (self.length as u64) << 32 | self.start as u64
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            texts: Vec::new(),
            paths: vec![PathRecord { parent: 0, end: 0 }],
            members: Vec::new(),
            owners: Vec::new(),
            told: Vec::new(),
            xattrs: Vec::new(),
            stored: Vec::new(),
            digests: None,
            problem: None,
            pieces: None,
        }
    }
}

impl Index {
    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All members in the order of the tar; one path may be told more than once.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, Member<'_>)> {
        // There are at most 5 million.
        (0_u32..).zip(&self.members).map(|(at, record)| (MemberId(at), Member { index: self, record, at }))
    }

    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<Member<'_>> {
        self.members.get(id.at()).map(|record| Member { index: self, record, at: id.0 })
    }

    /// Paths of members and of the directories above them, the root among them.
    #[must_use]
    pub fn path_count(&self) -> usize {
        self.paths.len()
    }

    /// The last part of a path; nothing for the root.
    #[must_use]
    pub fn name(&self, id: PathId) -> &[u8] {
        let end = self.paths.get(id.at()).map_or(0, |path| path.end as usize);
        let start = id.at().checked_sub(1).and_then(|before| self.paths.get(before)).map_or(0, |path| path.end as usize);
        self.names.get(start..end).unwrap_or_default()
    }

    /// The root's parent is itself.
    #[must_use]
    pub fn parent(&self, id: PathId) -> PathId {
        self.paths.get(id.at()).map_or(PathId::ROOT, |path| PathId(path.parent))
    }

    /// The normalised path: no slash before or after it, no `.` and no `..` in it. Nothing for the root.
    #[must_use]
    pub fn path(&self, id: PathId) -> Vec<u8> {
        join(id, |id| (id != PathId::ROOT).then(|| (self.name(id), self.parent(id))))
    }

    /// The layer's digests as they were found, where it was read to its end.
    #[must_use]
    pub const fn digests(&self) -> Option<&Digests> {
        self.digests.as_ref()
    }

    /// Why this is not the index of the whole layer that was asked for: it could be read in part only, or is not what it should be.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Where its files lie in the layer's stored bytes, where it was made from the layer's own table of contents. Then nobody has read the layer: its
    /// contents are not known, nor is it known whether the table tells all that is in it.
    #[must_use]
    pub const fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_ref()
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.names.capacity()
            + self.texts.capacity()
            + size_of::<PathRecord>() * self.paths.capacity()
            + size_of::<Record>() * self.members.capacity()
            + size_of::<Owner>() * self.owners.capacity()
            + size_of::<(u32, Span)>() * self.told.capacity()
            + size_of::<Attributes>() * self.xattrs.capacity()
            + size_of::<(u32, u64)>() * self.stored.capacity()
            + self.pieces.as_ref().map_or(0, Pieces::memory)
    }

    fn text(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.texts.get(start..start + usize::from(span.length)).unwrap_or_default()
    }
}

/// Puts a path together from its last part upwards; `up` gives a part's name and what is above it.
pub(super) fn join<'a, Id>(from: Id, up: impl Fn(Id) -> Option<(&'a [u8], Id)>) -> Vec<u8>
where
    Id: Copy,
{
    let (mut parts, mut at) = (Vec::new(), from);
    while let Some((name, above)) = up(at) {
        parts.push(name);
        at = above;
    }
    parts.reverse();
    parts.join(&b'/')
}
