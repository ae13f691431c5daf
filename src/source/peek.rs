//! A look into a layer that tells itself what is in it: by its table of contents and by stretches of its stored bytes, without the rest of it.
//!
//! The manifest, which its digest vouches for, gives the digest of the table; the table gives those of the files' pieces. So what is read this way is
//! what whoever built the layer said is in it; that the tar says the same is known only to whoever reads it whole.
//!
//! May use model and layer. Facts: the eStargz specification: gzip members, the last of which has no content and says where the table starts, which
//! is a tar with one file; zstd:chunked: the table is a frame of its own, at a place that the manifest tells.

use std::io::{self, Read};

use bytes::Bytes;

use super::part::{Part, Sink, read_parts};
use super::{Ctx, Ranged, Source, blocking};
use crate::layer::index::{Packing, Piece, from_table};
use crate::layer::{ContentHash, Entry, Index, Kind, MemberId, Walker};
use crate::model::image::ContentsAt;
use crate::model::{Digest, Image, LayerInfo, Problem, ProblemKind, StepState, size};

/// Largest table, unpacked.
const MOST_TABLE: u64 = 128 << 20;
/// Largest table as it is stored.
const MOST_PACKED: u64 = 64 << 20;
/// Largest file that is read.
const MOST_FILE: u64 = 256 << 20;
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

/// The content of a file: `member` of `index`, which is of the layer of `image` at `place`. Where the index is by the layer's own table only the
/// file's pieces are read, each held against its digest; else the layer up to the file, held against what the index saw. A hard link has the
/// content of the file it is another name of.
///
/// # Errors
/// What is no file of this layer; one of more than 256 MiB; bytes that are not what they should be; what the source says.
pub async fn read_file(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    place: usize,
    index: &Index,
    member: MemberId,
) -> Result<Vec<u8>, Problem> {
    let doing = format!("read a file of layer {place}");
    let linked = index.member(member).and_then(|member| member.linked());
    let member = linked.unwrap_or(member);
    let Some(file) = index.member(member).filter(|file| file.kind() == Kind::File) else {
        return Err(Problem::new(ProblemKind::Usage, doing, "it is no file of this layer"));
    };
    if file.size() > MOST_FILE {
        return Err(Problem::new(ProblemKind::Limit, doing, format!("it is larger than {}", size::human(MOST_FILE))));
    }
    let Some(pieces) = index.pieces() else {
        let part = Part { offset: file.offset(), length: file.size() };
        let read = read_parts(source, ctx, image, place, &[part]).await?;
        let bytes = read.into_iter().next().unwrap_or_default();
        return if file.content() == Some(ContentHash::of(&bytes)) {
            Ok(bytes)
        } else {
            Err(Problem::new(ProblemKind::Corrupt, doing, "it is not what it was when the layer was read"))
        };
    };
    let alone = Alone { place, packing: pieces.packing(), pieces: pieces.of(member), length: file.size() };
    copy_pieces(source, ctx, image, alone, || Ok(Kept::default())).await.map(|kept| kept.0)
}

#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.0.extend_from_slice(bytes);
        Ok(())
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
    let mut sink = blocking(&doing, make).await?;
    let (mut left, mut rest) = (alone.length, alone.pieces);
    while left > 0
        && let Some(first) = rest.first()
    {
        let (some, after) = rest.split_at_checked(together(rest, left)).unwrap_or((rest, &[]));
        let end = some.iter().filter(|piece| !piece.is_zeros).map(|piece| piece.offset.saturating_add(piece.length)).max();
        let length = end.map_or(0, |end| end.saturating_sub(first.offset));
        if length > MOST_FILE || some.iter().any(|piece| piece.size > MOST_FILE) {
            return Err(Problem::new(ProblemKind::Limit, doing, "a piece of it is too large"));
        }
        let stored = if length == 0 { Bytes::new() } else { ranged.stretch(ctx, image, alone.place, first.offset, length).await? };
        let (words, some, packing, from) = (doing.clone(), some.to_vec(), alone.packing, first.offset);
        let put = move || unpack(packing, &some, &stored, from, left, &mut sink, &words).map(|left| (left, sink));
        let before = left;
        (left, sink) = blocking(&doing, put).await?;
        ctx.meter.add(step, before - left);
        rest = after;
    }
    ctx.meter.finish(step, StepState::Done);
    if left > 0 { Err(Problem::new(ProblemKind::Corrupt, doing, "its pieces don't make it up")) } else { Ok(sink) }
}

/// How many of these pieces are read with one question: such as lie one after the other and are wanted, at least one.
fn together(pieces: &[Piece], wanted: u64) -> usize {
    let Some(first) = pieces.first() else { return 0 };
    let (mut end, mut size) = (first.offset.saturating_add(first.length), first.size);
    let follows = |piece: &&Piece| {
        let is_next = !piece.is_zeros && !first.is_zeros && (first.offset..=end).contains(&piece.offset) && size < wanted;
        end = end.max(piece.offset.saturating_add(piece.length));
        size = size.saturating_add(piece.size);
        is_next && end.saturating_sub(first.offset) <= STRETCH
    };
    1 + pieces.iter().skip(1).take_while(follows).count()
}

/// Unpacks pieces that lie in `stored`, which starts at `from`, into the sink, and says how much is still wanted after them.
fn unpack(
    packing: Packing,
    some: &[Piece],
    stored: &Bytes,
    from: u64,
    mut left: u64,
    sink: &mut impl Sink,
    doing: &str,
) -> Result<u64, Problem> {
    for piece in some {
        let start = usize::try_from(piece.offset.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = packing.unpack(piece, stored.get(start..).unwrap_or_default());
        let bytes = bytes.map_err(|error| Problem::new(ProblemKind::Corrupt, doing, error.to_string()))?;
        let wanted = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())).unwrap_or_default();
        sink.put(wanted)?;
        left = left.saturating_sub(wanted.len() as u64);
    }
    Ok(left)
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
