//! Where the files of a layer lie in its stored bytes, each packed on its own, so that one can be read without what stands before it.
//!
//! May use model. Facts: the eStargz specification and zstd:chunked as `containers/storage` writes it.

use std::fmt;
use std::io::{self, Read};

use super::MemberId;
use crate::model::Digest;

/// How pieces are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts in the stored bytes.
    pub offset: u64,
    /// Stored bytes it lies in, at most.
    pub length: u64,
    /// Bytes that come out before it.
    pub skip: u64,
    /// Bytes of it when unpacked.
    pub size: u64,
    /// Of the unpacked bytes. A piece without one can't be read alone.
    pub digest: Option<Digest>,
    /// It is nothing but zeros, so none of it need be fetched.
    pub is_zeros: bool,
}

/// The pieces of a layer's files.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    pub(super) packing: Packing,
    pub(super) all: Vec<Piece>,
    /// By member: where its pieces start and end in `all`.
    pub(super) files: Vec<(u32, u32, u32)>,
}

impl Pieces {
    /// The pieces of a file, in their order; nothing for what has no content.
    #[must_use]
    pub fn of(&self, member: MemberId) -> &[Piece] {
        let found = self.files.binary_search_by_key(&member.0, |(member, ..)| *member).ok().and_then(|at| self.files.get(at));
        found.and_then(|&(_, start, end)| self.all.get(start as usize..end as usize)).unwrap_or_default()
    }

    #[must_use]
    pub const fn packing(&self) -> Packing {
        self.packing
    }

    pub(super) const fn memory(&self) -> usize {
        // A digest is a text of 71 bytes.
        (size_of::<Piece>() + 71) * self.all.capacity() + size_of::<(u32, u32, u32)>() * self.files.capacity()
    }
}

/// Unpacks pieces out of a stretch of stored bytes. What was packed together is unpacked in one go, if its pieces come one after the other.
pub struct Unpacker<'a> {
    packing: Packing,
    stored: &'a [u8],
    /// Where those start in the layer.
    from: u64,
    open: Option<Open<'a>>,
}

/// What pieces come out of.
struct Open<'a> {
    /// Where it starts in the layer.
    offset: u64,
    /// Bytes that came out of it.
    out: u64,
    unpacked: Box<dyn Read + 'a>,
}

impl fmt::Debug for Unpacker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").field("packing", &self.packing).field("from", &self.from).finish_non_exhaustive()
    }
}

impl<'a> Unpacker<'a> {
    /// Of bytes that are stored in the layer at `from`.
    #[must_use]
    pub const fn new(packing: Packing, stored: &'a [u8], from: u64) -> Self {
        Self { packing, stored, from, open: None }
    }

    /// Bytes that are unpacked for a piece and thrown away, if it comes next.
    #[must_use]
    pub fn skipped(&self, piece: &Piece) -> u64 {
        piece.skip - self.open.as_ref().filter(|open| open.leads_to(piece)).map_or(0, |open| open.out)
    }

    /// Unpacks a piece that is not zeros only, and holds it against its digest. It takes memory for all of it, and time for what is
    /// [`skipped`](Self::skipped): both are to be bounded before.
    ///
    /// # Errors
    /// `InvalidData`: other bytes than its digest says, or fewer; a piece without a digest.
    pub fn unpack(&mut self, piece: &Piece) -> io::Result<Vec<u8>> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let digest = piece.digest.as_ref().ok_or_else(|| wrong("nothing vouches for a piece of it"))?;
        let mut open = match self.open.take().filter(|open| open.leads_to(piece)) {
            Some(open) => open,
            None => Open { offset: piece.offset, out: 0, unpacked: self.start(piece)? },
        };
        open.out += io::copy(&mut open.unpacked.by_ref().take(piece.skip - open.out), &mut io::sink())?;
        let mut out = Vec::new();
        open.out += open.unpacked.by_ref().take(piece.size).read_to_end(&mut out)? as u64;
        if out.len() as u64 != piece.size {
            return Err(wrong("a piece of it ends too early"));
        }
        if !digest.is_of(&out) {
            return Err(wrong("a piece of it is not what its digest says"));
        }
        self.open = Some(open);
        Ok(out)
    }

    fn start(&self, piece: &Piece) -> io::Result<Box<dyn Read + 'a>> {
        let start = usize::try_from(piece.offset.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let stored = self.stored.get(start..).unwrap_or_default();
        Ok(match self.packing {
            Packing::Gzip => Box::new(flate2::bufread::GzDecoder::new(stored)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
        })
    }
}

impl Open<'_> {
    const fn leads_to(&self, piece: &Piece) -> bool {
        self.offset == piece.offset && self.out <= piece.skip
    }
}
