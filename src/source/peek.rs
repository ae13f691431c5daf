//! A look into a layer that tells itself what is in it: by its table of contents and by stretches of its stored bytes, without the rest of it.
//!
//! The manifest, which its digest vouches for, gives the digest of the table; the table gives those of the files' pieces. So what is read this way is
//! what whoever built the layer said is in it; that the tar says the same is known only to whoever reads it whole.
//!
//! May use model and layer. Facts: the eStargz specification: gzip members, the last of which has no content and says where the table starts, which
//! is a tar with one file; zstd:chunked: the table is a frame of its own, at a place that the manifest tells.

use std::io::{self, Read};

use bytes::Bytes;

use super::part::Sink;
use super::{Ctx, Ranged, Source, blocking};
use crate::layer::index::{Packing, Piece, Unpacker, from_table};
use crate::layer::{Entry, Index, Kind, Limits, Walker};
use crate::model::image::ContentsAt;
use crate::model::{Digest, Image, LayerInfo, Problem, ProblemKind, StepState, size};

/// Largest table, unpacked.
const MOST_TABLE: u64 = 128 << 20;
/// Largest table as it is stored.
const MOST_PACKED: u64 = 64 << 20;
/// Largest piece, and the most that may be unpacked before one.
const MOST_PIECE: u64 = 256 << 20;
/// Zeros that are handed on at a time.
const ZEROS: usize = 128 << 10;
/// Largest stretch that is asked for at once, unless one piece is larger.
const STRETCH: u64 = 4 << 20;
/// What is read of a layer's end at first: most small tables lie in it.
const END: u64 = 32 << 10;
/// The last member of an eStargz: its head, the field with the place of the table, and an end without content.
const FOOTER: usize = 51;
const FOOTER_HEAD: &[u8] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0";
/// The file that the table is, in its own tar.
const TABLE: &[u8] = b"stargz.index.json";

/// The index of the layer of `image` at `place` from its own table of contents. `None` where it has none, or is where only whole layers are had.
///
/// # Errors
/// A table that can't be read, or is not what the manifest says; what the source says.
pub async fn index(source: &dyn Source, ctx: &Ctx, image: &Image, place: usize) -> Result<Option<Index>, Problem> {
    let info = image.layers.iter().flatten().nth(place);
    let (Some(ranged), Some(info)) = (source.ranged(), info) else { return Ok(None) };
    let (Some(at), Some(length)) = (&info.contents, info.size) else { return Ok(None) };
    let layer = Peek { ranged, ctx, image, place, info, length };
    let found = match at {
        ContentsAt::Estargz { digest } => layer.estargz(digest.clone()).await,
        ContentsAt::Chunked { offset, length, unpacked, digest } => layer.chunked((*offset, *length), *unpacked, digest.clone()).await,
    };
    match found {
        Ok(index) => Ok(Some(index)),
        Err(problem) if problem.kind == ProblemKind::Unsupported => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// A file that lies in pieces, and how much of it is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Alone<'a> {
    /// The layer's place in the image, from the bottom.
    pub place: usize,
    pub packing: Packing,
    pub pieces: &'a [Piece],
    /// Bytes from its start on.
    pub length: u64,
}

/// Hands the beginning of a file to a sink piece by piece, each held against its digest, and gives the sink back.
///
/// # Errors
/// Pieces that are not what their digests say; what the source, `make` and the sink say.
pub async fn copy_pieces<S: Sink>(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    alone: Alone<'_>,
    make: impl FnOnce() -> Result<S, Problem> + Send + 'static,
) -> Result<S, Problem> {
    let doing = format!("read a file of layer {}", alone.place);
    let ranged =
        source.ranged().ok_or_else(|| Problem::new(ProblemKind::Unsupported, &doing, "this source gives layers as a whole only"))?;
    let step = ctx.meter.step(format!("a file of layer {}", alone.place).as_str().into(), Some(alone.length));
    let sink = blocking(&doing, make).await?;
    let spent = Spent { left: alone.length, fetched: 0, skipped: 0 };
    let mut filling = Filling { sink, packing: alone.packing, spent, ctx: ctx.clone(), step, doing: doing.clone() };
    let mut rest = alone.pieces;
    while filling.spent.left > 0
        && let Some(first) = rest.first()
    {
        let (some, after) = rest.split_at_checked(together(rest, filling.spent.left)).unwrap_or((rest, &[]));
        let end = some.iter().filter(|piece| !piece.is_zeros).map(|piece| piece.offset.saturating_add(piece.length)).max();
        let length = end.map_or(0, |end| end.saturating_sub(first.offset));
        let is_large = |piece: &Piece| !piece.is_zeros && (piece.size > MOST_PIECE || piece.skip > MOST_PIECE);
        if length > MOST_PIECE || some.iter().any(is_large) {
            return Err(Problem::new(ProblemKind::Limit, doing, "a piece of it is too large"));
        }
        let stored = if length == 0 { Bytes::new() } else { ranged.stretch(ctx, image, alone.place, first.offset, length).await? };
        let (some, from) = (some.to_vec(), first.offset);
        filling = blocking(&doing, move || filling.take(&some, &stored, from).map(|()| filling)).await?;
        rest = after;
    }
    ctx.meter.finish(step, StepState::Done);
    if filling.spent.left > 0 { Err(Problem::new(ProblemKind::Corrupt, doing, "its pieces don't make it up")) } else { Ok(filling.sink) }
}

/// How many of these pieces are read with one question: such as lie one after the other, or were packed together, and are wanted; at least one.
fn together(pieces: &[Piece], wanted: u64) -> usize {
    let Some(first) = pieces.first() else { return 0 };
    let (mut end, mut size) = (first.offset.saturating_add(first.length), first.size);
    let follows = |piece: &&Piece| {
        let is_next = !piece.is_zeros && !first.is_zeros && (first.offset..=end).contains(&piece.offset) && size < wanted;
        let until = piece.offset.saturating_add(piece.length).max(end);
        size = size.saturating_add(piece.size);
        let is_there = std::mem::replace(&mut end, until) == until;
        is_next && (is_there || until.saturating_sub(first.offset) <= STRETCH)
    };
    1 + pieces.iter().skip(1).take_while(follows).count()
}

/// A sink that is filled from pieces.
struct Filling<S> {
    sink: S,
    packing: Packing,
    spent: Spent,
    ctx: Ctx,
    step: usize,
    doing: String,
}

/// What a file took so far: a table may have far more unpacked for it than comes of it.
struct Spent {
    /// Bytes that are still wanted.
    left: u64,
    /// Stored bytes.
    fetched: u64,
    /// Bytes that were unpacked for nothing, as they stand before pieces.
    skipped: u64,
}

impl<S: Sink> Filling<S> {
    /// Takes pieces that lie in `stored`, which starts at `from`.
    fn take(&mut self, some: &[Piece], stored: &Bytes, from: u64) -> Result<(), Problem> {
        self.spent.fetched = self.spent.fetched.saturating_add(stored.len() as u64);
        let mut unpacker = Unpacker::new(self.packing, stored, from);
        for piece in some {
            self.ctx.check(&self.doing)?;
            if piece.is_zeros {
                self.zeros(piece)?;
                continue;
            }
            self.spent.skipped = self.spent.skipped.saturating_add(unpacker.skipped(piece));
            if !Limits::default().allow(self.spent.skipped, self.spent.fetched) {
                return Err(Problem::new(ProblemKind::Limit, &self.doing, "far more would be unpacked for it than comes of it"));
            }
            let bytes = unpacker.unpack(piece).map_err(|error| self.corrupt(error.to_string()))?;
            self.put(&bytes)?;
        }
        Ok(())
    }

    /// Of any size, so never there as a whole. That they are zeros is said by the table; their digest is looked at where all of them are wanted.
    fn zeros(&mut self, piece: &Piece) -> Result<(), Problem> {
        let buffer = vec![0; ZEROS];
        let mut left = piece.size.min(self.spent.left);
        let mut hasher = piece.digest.as_ref().filter(|_| left == piece.size).map(|digest| (digest.hasher(), digest));
        while left > 0 {
            self.ctx.check(&self.doing)?;
            let some = buffer.get(..usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS)).unwrap_or_default();
            if let Some((hasher, _)) = &mut hasher {
                hasher.update(some);
            }
            self.put(some)?;
            left = left.saturating_sub(some.len() as u64);
        }
        if hasher.is_some_and(|(hasher, digest)| hasher.finish() != *digest) {
            return Err(self.corrupt("a piece of it is not what its digest says".to_owned()));
        }
        Ok(())
    }

    /// Hands on what is wanted of these bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let wanted = bytes.get(..usize::try_from(self.spent.left).unwrap_or(usize::MAX).min(bytes.len())).unwrap_or_default();
        self.sink.put(wanted)?;
        self.spent.left = self.spent.left.saturating_sub(wanted.len() as u64);
        self.ctx.meter.add(self.step, wanted.len() as u64);
        Ok(())
    }

    fn corrupt(&self, cause: String) -> Problem {
        Problem::new(ProblemKind::Corrupt, &self.doing, cause)
    }
}

/// A layer that is looked into.
struct Peek<'a> {
    ranged: &'a dyn Ranged,
    ctx: &'a Ctx,
    image: &'a Image,
    place: usize,
    info: &'a LayerInfo,
    /// Bytes as stored.
    length: u64,
}

impl Peek<'_> {
    fn doing(&self) -> String {
        format!("read the table of contents of layer {}", self.info.index)
    }

    fn corrupt(&self, cause: impl AsRef<str>) -> Problem {
        Problem::new(ProblemKind::Corrupt, self.doing(), cause)
    }

    async fn stretch(&self, offset: u64, length: u64) -> Result<Bytes, Problem> {
        if length > MOST_PACKED {
            let cause = format!("it is larger than {}", size::human(MOST_PACKED));
            return Err(Problem::new(ProblemKind::Limit, self.doing(), cause));
        }
        self.ranged.stretch(self.ctx, self.image, self.place, offset, length).await
    }

    async fn estargz(&self, digest: Digest) -> Result<Index, Problem> {
        let end = self.stretch(self.length.saturating_sub(END), self.length.min(END)).await?;
        let footer = end.len().checked_sub(FOOTER).and_then(|at| end.get(at..)).and_then(table_place);
        let until = self.length.saturating_sub(FOOTER as u64);
        let at = footer.filter(|&at| at < until).ok_or_else(|| self.corrupt("its last bytes don't say where it is"))?;
        let known = self.length - end.len() as u64;
        let packed = if at >= known {
            end.slice(usize::try_from(at - known).unwrap_or(end.len())..end.len() - FOOTER)
        } else {
            let before = self.stretch(at, known.min(until) - at).await?;
            let rest = end.get(..end.len() - FOOTER).unwrap_or_default();
            [&before, rest].concat().into()
        };
        let (doing, length) = (self.doing(), packed.len() as u64);
        blocking(&self.doing(), move || {
            let corrupt = |cause: String| Problem::new(ProblemKind::Corrupt, &doing, cause);
            let (mut entry, json) = only_file(&packed).map_err(|error| corrupt(error.to_string()))?;
            if !digest.is_of(&json) {
                return Err(corrupt("it is not the one that the manifest tells of".to_owned()));
            }
            // The layer's tar has it as its last member.
            let skip = std::mem::take(&mut entry.data_offset);
            let piece = Piece { offset: at, length, skip, size: entry.size, digest: Some(digest), is_zeros: false };
            from_table(&json, Packing::Gzip, at, Some((entry, piece))).map_err(|bad| corrupt(bad.to_string()))
        })
        .await
    }

    async fn chunked(&self, (offset, length): (u64, u64), unpacked: u64, digest: Digest) -> Result<Index, Problem> {
        let packed = self.stretch(offset, length).await?;
        let doing = self.doing();
        blocking(&self.doing(), move || {
            let corrupt = |cause: &str| Problem::new(ProblemKind::Corrupt, &doing, cause);
            if !digest.is_of(&packed) {
                return Err(corrupt("it is not the one that the manifest tells of"));
            }
            let mut json = Vec::new();
            let most = unpacked.min(MOST_TABLE);
            let read = zstd::stream::read::Decoder::with_buffer(&packed[..]).and_then(|table| table.take(most + 1).read_to_end(&mut json));
            if let Err(error) = read {
                return Err(corrupt(&error.to_string()));
            }
            if json.len() as u64 > most {
                return Err(corrupt("it is larger than it says, or than is read"));
            }
            from_table(&json, Packing::Zstd, offset, None).map_err(|bad| corrupt(&bad.to_string()))
        })
        .await
    }
}

/// Where the table starts, by a layer's last bytes.
fn table_place(footer: &[u8]) -> Option<u64> {
    let digits = footer.strip_prefix(FOOTER_HEAD)?.get(..22)?.strip_suffix(b"STARGZ")?;
    u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?, 16).ok()
}

/// The table out of the tar that it is the one file of.
fn only_file(packed: &[u8]) -> io::Result<(Entry, Vec<u8>)> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut walker = Walker::streaming(flate2::bufread::GzDecoder::new(packed).take(MOST_TABLE + (1 << 20)));
    let entry = walker.next_entry().map_err(|error| wrong(&error.to_string()))?;
    let entry = entry
        .filter(|entry| entry.path == TABLE && entry.kind == Kind::File)
        .ok_or_else(|| wrong("there is something else in its place"))?;
    if entry.size > MOST_TABLE {
        return Err(wrong("it is too large"));
    }
    let mut json = Vec::new();
    walker.read_to_end(&mut json)?;
    Ok((entry, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u64);

    impl Sink for Count {
        fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
            self.0 += bytes.len() as u64;
            Ok(())
        }
    }

    /// One byte of a frame of zeros.
    fn piece(offset: u64, length: u64, skip: u64) -> Piece {
        Piece { offset, length, skip, size: 1, digest: Some(Digest::sha256(b"\0")), is_zeros: false }
    }

    fn filling(left: u64, ctx: &Ctx) -> Filling<Count> {
        let spent = Spent { left, fetched: 0, skipped: 0 };
        let step = ctx.meter.step("a file".into(), None);
        Filling { sink: Count(0), packing: Packing::Zstd, spent, ctx: ctx.clone(), step, doing: "read".to_owned() }
    }

    #[test]
    fn no_more_is_unpacked_for_nothing_than_its_stored_bytes_are_good_for() {
        let stored = Bytes::from(zstd::encode_all(io::repeat(0).take(100 << 20), 1).unwrap());
        let length = stored.len() as u64;
        let mut one = filling(99, &Ctx::default());
        // In order it is one pass, however many there are.
        let rising: Vec<Piece> = (0..50).map(|at| piece(0, length, at << 20)).collect();
        one.take(&rising, &stored, 0).unwrap();
        assert_eq!((one.sink.0, one.spent.left, one.spent.skipped), (50, 49, (49 << 20) - 49));
        // Each of these alone is as good as any other.
        let falling: Vec<Piece> = (0..50).map(|at| piece(0, length, (99 - at) << 20)).collect();
        let problem = filling(99, &Ctx::default()).take(&falling, &stored, 0).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
    }

    #[test]
    fn between_pieces_it_stops_when_asked_to() {
        let ctx = Ctx::default();
        let stored = Bytes::from(zstd::encode_all(&[0; 9][..], 1).unwrap());
        ctx.cancel.cancel();
        for piece in [piece(0, stored.len() as u64, 0), Piece { is_zeros: true, ..piece(0, 0, 0) }] {
            let mut filling = filling(9, &ctx);
            assert!(filling.take(&[piece], &stored, 0).unwrap_err().is_cancelled());
            assert_eq!(filling.sink.0, 0);
        }
    }

    #[test]
    fn pieces_that_were_packed_together_are_fetched_once() {
        let large = 2 * STRETCH;
        let pieces = [piece(7, large, 0), piece(7, large, 1), piece(7, large, 2), piece(7 + large, 9, 0)];
        assert_eq!(together(&pieces, 9), 3);
        assert_eq!(together(&pieces, 2), 2, "no more than is wanted");
        let apart = [piece(0, STRETCH / 2, 0), piece(STRETCH / 2, STRETCH / 2, 0), piece(STRETCH, 1, 0)];
        assert_eq!(together(&apart, 9), 2);
    }
}
