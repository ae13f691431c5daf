//! An index as bytes, to be kept and read back: a version, a checksum, and zstd over the index column by column.
//!
//! Columns pack better than members do and are read back without a look at each. The bytes may come from anywhere: nothing in them is used
//! before it is known to lie within its bounds, so that what was read back is as sound as what was built.

use super::{Attributes, Index, MOST_NAMES, MOST_PATHS, MOST_TEXTS, Owner, PathRecord, Record, Span, flag};
use crate::layer::content::ContentHash;
use crate::layer::{Compression, Digests};
use crate::model::Digest;

/// Changes when the form does, or what goes into an index.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 4] = *b"LMLI";
/// Magic, version, checksum, and length of what was packed.
const HEAD: usize = 4 + 4 + 16 + 8;
/// Most bytes that are unpacked: what the bounds of an index come to.
const LARGEST: u64 = 2 << 30;
const MOST_MEMBERS: usize = 5_000_000;

/// Bytes that are no index, or one of another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("it is not an index of a layer")]
    Form,
    #[error("it is an index of another version, {0}")]
    Version(u32),
    #[error("it is damaged")]
    Damaged,
}

impl Index {
    /// The index as bytes that [`Index::from_bytes`] takes. `None` for one that is not of the whole layer that was asked for: that is not worth
    /// keeping, and nobody should find it again under the layer's name.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.problem.is_some() {
            return None;
        }
        let raw = self.columns(self.digests.as_ref()?);
        let packed = zstd::bulk::compress(&raw, 1).ok()?;
        let sum = ContentHash::of(&packed).0;
        Some([&MAGIC[..], &FORMAT.to_le_bytes(), &sum.to_le_bytes(), &(raw.len() as u64).to_le_bytes(), &packed].concat())
    }

    /// Reads an index back.
    ///
    /// # Errors
    /// [`Broken`], for bytes that are not what [`Index::to_bytes`] gave in this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Broken> {
        let (head, packed) = bytes.split_at_checked(HEAD).ok_or(Broken::Form)?;
        let mut head = Columns(head);
        if head.take(4) != Some(&MAGIC) {
            return Err(Broken::Form);
        }
        let version = head.number(4).and_then(|version| u32::try_from(version).ok()).ok_or(Broken::Form)?;
        if version != FORMAT {
            return Err(Broken::Version(version));
        }
        let sum = head.take(16).and_then(|sum| sum.try_into().ok()).map(u128::from_le_bytes);
        if sum != Some(ContentHash::of(packed).0) {
            return Err(Broken::Damaged);
        }
        let length = head.number(8).filter(|&length| length <= LARGEST).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(Broken::Damaged)?;
        let raw = zstd::bulk::decompress(packed, length).map_err(|_unsound| Broken::Damaged)?;
        if raw.len() != length {
            return Err(Broken::Damaged);
        }
        Self::from_columns(&mut Columns(&raw)).filter(Self::is_sound).ok_or(Broken::Damaged)
    }

    fn columns(&self, digests: &Digests) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.memory() + 1024);
        let counts = [
            self.names.len(),
            self.texts.len(),
            self.paths.len(),
            self.members.len(),
            self.owners.len(),
            self.told.len(),
            self.xattrs.len(),
            self.stored.len(),
        ];
        for count in counts {
            out.extend((count as u64).to_le_bytes());
        }
        out.push(digests.compression as u8);
        out.extend(digests.size.to_le_bytes());
        out.extend(digests.uncompressed_size.to_le_bytes());
        for digest in [&digests.digest, &digests.diff_id] {
            // 71 or 135 characters.
            out.push(u8::try_from(digest.as_str().len()).unwrap_or_default());
            out.extend(digest.as_str().as_bytes());
        }
        out.extend(&self.names);
        out.extend(&self.texts);
        column(&mut out, &self.paths, |path| path.parent.to_le_bytes());
        column(&mut out, &self.paths, |path| path.end.to_le_bytes());
        column(&mut out, &self.members, |member| member.size.to_le_bytes());
        column(&mut out, &self.members, |member| member.mtime.to_le_bytes());
        column(&mut out, &self.members, |member| member.body[0].to_le_bytes());
        column(&mut out, &self.members, |member| member.body[1].to_le_bytes());
        column(&mut out, &self.members, |member| member.path.to_le_bytes());
        column(&mut out, &self.members, |member| member.block.to_le_bytes());
        column(&mut out, &self.members, |member| member.owner.to_le_bytes());
        column(&mut out, &self.members, |member| [member.kind]);
        column(&mut out, &self.members, |member| [member.flags]);
        column(&mut out, &self.owners, |owner| optional(owner.mode).to_le_bytes());
        column(&mut out, &self.owners, |owner| optional(owner.uid).to_le_bytes());
        column(&mut out, &self.owners, |owner| optional(owner.gid).to_le_bytes());
        column(&mut out, &self.told, |(member, _)| member.to_le_bytes());
        column(&mut out, &self.told, |(_, span)| span.packed().to_le_bytes());
        column(&mut out, &self.xattrs, |side| side.member.to_le_bytes());
        column(&mut out, &self.xattrs, |side| side.capability.packed().to_le_bytes());
        column(&mut out, &self.xattrs, |side| side.others.to_le_bytes());
        column(&mut out, &self.stored, |(member, _)| member.to_le_bytes());
        column(&mut out, &self.stored, |(_, bytes)| bytes.to_le_bytes());
        out
    }

    fn from_columns(from: &mut Columns<'_>) -> Option<Self> {
        let mut count = |most: usize| from.number(8).and_then(|count| usize::try_from(count).ok()).filter(|&count| count <= most);
        let (names, texts) = (count(MOST_NAMES)?, count(MOST_TEXTS)?);
        let (paths, members) = (count(MOST_PATHS)?, count(MOST_MEMBERS)?);
        let (owners, told, xattrs, stored) = (count(members)?, count(members)?, count(members)?, count(members)?);
        let digests = from.digests()?;
        let names = from.take(names)?.to_vec();
        let texts = from.take(texts)?.to_vec();
        let paths = from.u32s(paths)?.zip(from.u32s(paths)?).map(|(parent, end)| PathRecord { parent, end }).collect();
        let members = from.members(members)?;
        let parts = from.u64s(owners)?.zip(from.u64s(owners)?).zip(from.u64s(owners)?);
        let owners = parts
            .map(|((mode, uid), gid)| Some(Owner { mode: told_of(mode).ok()?, uid: told_of(uid).ok()?, gid: told_of(gid).ok()? }))
            .collect();
        let told = from.u32s(told)?.zip(from.u64s(told)?).map(|(member, span)| Some((member, Span::unpacked(span)?))).collect();
        let sides = from.u32s(xattrs)?.zip(from.u64s(xattrs)?).zip(from.take(xattrs.checked_mul(2)?)?.as_chunks().0);
        let side = |((member, span), others): ((u32, u64), &[u8; 2])| {
            Some(Attributes { member, capability: Span::unpacked(span)?, others: u16::from_le_bytes(*others) })
        };
        let xattrs = sides.map(side).collect::<Option<_>>()?;
        let stored = from.u32s(stored)?.zip(from.u64s(stored)?).collect();
        let whole = from.0.is_empty();
        let (owners, told): (Option<_>, Option<_>) = (owners, told);
        whole.then_some(Self {
            names,
            texts,
            paths,
            members,
            owners: owners?,
            told: told?,
            xattrs,
            stored,
            digests: Some(digests),
            problem: None,
            pieces: None,
        })
    }

    /// Whether everything in it that points at something points at what is there.
    pub(super) fn is_sound(&self) -> bool {
        let root = self.paths.first().is_some_and(|root| (root.parent, root.end) == (0, 0));
        let upwards = self.paths.windows(2).all(|pair| pair.first().map(|path| path.end) < pair.last().map(|path| path.end));
        let above = (0_u32..).zip(&self.paths).skip(1).all(|(at, path)| path.parent < at);
        let ended = self.paths.last().is_some_and(|path| path.end as usize == self.names.len());
        let named = !self.names.contains(&b'/') && (1..self.paths.len()).all(|at| self.is_name(at));
        let is_here = |span: Span| span.start as usize + usize::from(span.length) <= self.texts.len();
        let sides = rises(self.told.iter().map(|side| side.0), self.members.len())
            && rises(self.xattrs.iter().map(|side| side.member), self.members.len())
            && rises(self.stored.iter().map(|side| side.0), self.members.len())
            && self.told.iter().all(|side| is_here(side.1))
            && self.xattrs.iter().all(|side| is_here(side.capability));
        let member = |(at, member): (u32, &Record)| {
            (member.path as usize) < self.paths.len()
                && (member.owner as usize) < self.owners.len()
                && i64::try_from(member.size).is_ok()
                && member.flags & !flag::ALL == 0
                && (!matches!(member.kind, b'1' | b'2') || is_here(member.link()))
                && member.target().is_none_or(|target| target.0 < at)
        };
        root && upwards && above && ended && named && sides && (0_u32..).zip(&self.members).all(member)
    }

    fn is_name(&self, at: usize) -> bool {
        let name = u32::try_from(at).map(|at| self.name(super::PathId(at))).unwrap_or_default();
        !matches!(name, b"" | b"." | b"..")
    }
}

fn rises(members: impl Iterator<Item = u32>, count: usize) -> bool {
    let mut least = 0;
    members.into_iter().all(|member| {
        let fits = member >= least && (member as usize) < count;
        least = member.saturating_add(1);
        fits
    })
}

const UNTOLD: u64 = u64::MAX;

fn optional(number: Option<u32>) -> u64 {
    number.map_or(UNTOLD, u64::from)
}

/// The number, if one was told.
fn told_of(column: u64) -> Result<Option<u32>, Broken> {
    if column == UNTOLD { Ok(None) } else { u32::try_from(column).map(Some).map_err(|_too_large| Broken::Damaged) }
}

fn column<T, const N: usize>(out: &mut Vec<u8>, rows: &[T], cell: impl Fn(&T) -> [u8; N]) {
    for row in rows {
        out.extend_from_slice(&cell(row));
    }
}

impl Span {
    fn unpacked(packed: u64) -> Option<Self> {
        let length = u16::try_from(packed >> 32).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        Some(Self { start: packed as u32, length })
    }
}

/// What is left to be read.
struct Columns<'a>(&'a [u8]);

impl<'a> Columns<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, at most eight.
    fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn u32s(&mut self, count: usize) -> Option<impl Iterator<Item = u32> + use<'a>> {
        Some(self.take(count.checked_mul(4)?)?.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)))
    }

    fn u64s(&mut self, count: usize) -> Option<impl Iterator<Item = u64> + use<'a>> {
        Some(self.take(count.checked_mul(8)?)?.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)))
    }

    fn members(&mut self, count: usize) -> Option<Vec<Record>> {
        let (sizes, mtimes) = (self.u64s(count)?, self.u64s(count)?);
        let (low, high) = (self.u64s(count)?, self.u64s(count)?);
        let (paths, blocks, owners) = (self.u32s(count)?, self.u32s(count)?, self.u32s(count)?);
        let (kinds, flags) = (self.take(count)?, self.take(count)?);
        let numbers = sizes.zip(mtimes).zip(low.zip(high)).zip(paths.zip(blocks).zip(owners)).zip(kinds.iter().zip(flags));
        let record = |((((size, mtime), (low, high)), ((path, block), owner)), (&kind, &flags))| Record {
            size,
            mtime: u64::cast_signed(mtime),
            body: [low, high],
            path,
            block,
            owner,
            kind,
            flags,
        };
        Some(numbers.map(record).collect())
    }

    fn digests(&mut self) -> Option<Digests> {
        let all = [Compression::Gzip, Compression::Zstd, Compression::None];
        let kind = self.number(1)?;
        let compression = all.into_iter().find(|&compression| u64::from(compression as u8) == kind)?;
        let (size, uncompressed_size) = (self.number(8)?, self.number(8)?);
        let mut digest = || -> Option<Digest> {
            let length = usize::try_from(self.number(1)?).ok()?;
            std::str::from_utf8(self.take(length)?).ok()?.parse().ok()
        };
        let (digest, diff_id) = (digest()?, digest()?);
        Some(Digests { compression, digest, size, diff_id, uncompressed_size })
    }
}
