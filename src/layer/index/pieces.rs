//! Where the files of a layer lie in its stored bytes, each packed on its own, so that one can be read without what stands before it.
//!
//! May use model. Facts: the eStargz specification and zstd:chunked as `containers/storage` writes it.

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

impl Packing {
    /// Unpacks a piece from the stored bytes it lies in, and holds it against its digest.
    ///
    /// # Errors
    /// `InvalidData`: other bytes than its digest says, or fewer; a piece without a digest.
    pub fn unpack(self, piece: &Piece, stored: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        if piece.is_zeros {
            io::repeat(0).take(piece.size).read_to_end(&mut out)?;
        } else {
            match self {
                Self::Gzip => cut(flate2::bufread::GzDecoder::new(stored), piece, &mut out)?,
                Self::Zstd => cut(zstd::stream::read::Decoder::with_buffer(stored)?, piece, &mut out)?,
            }
        }
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        if out.len() as u64 != piece.size {
            return Err(wrong("a piece of it ends too early"));
        }
        match &piece.digest {
            None => Err(wrong("nothing vouches for a piece of it")),
            Some(digest) if !digest.is_of(&out) => Err(wrong("a piece of it is not what its digest says")),
            Some(_) => Ok(out),
        }
    }
}

fn cut(mut unpacked: impl Read, piece: &Piece, out: &mut Vec<u8>) -> io::Result<()> {
    io::copy(&mut unpacked.by_ref().take(piece.skip), &mut io::sink())?;
    unpacked.take(piece.size).read_to_end(out)?;
    Ok(())
}
