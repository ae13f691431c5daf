//! Pieces of one layer, such as single files of it: the layer is read no further than the last of them, where the source knows which layer it
//! has opened. What is read is not the whole, so no digest vouches for it: whoever has the layer's index holds the bytes against that.
//!
//! May use model and layer.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::opened::{Opened, ReadLayer, read_layers};
use super::{Ctx, Source};
use crate::layer::Digests;
use crate::model::{Image, Problem, ProblemKind, size};

/// Bytes of all pieces together.
const MOST: u64 = 256 << 20;

/// A piece of a layer's uncompressed tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From the tar's first byte.
    pub offset: u64,
    pub length: u64,
}

/// What was read of a layer.
struct Pieces {
    /// In the order asked for; fewer where reading failed.
    read: Vec<(usize, Vec<u8>)>,
    /// It was left as soon as all was there.
    enough: bool,
}

/// The bytes of `parts` of the layer of `image` at `place`, in the order asked for. They are kept in memory: 256 MiB at most.
///
/// # Errors
/// More than that, or parts that overlap; a layer that is missing, ends before the last part or can't be read; what [`Source::open_layers`] says.
pub async fn read_parts(source: &dyn Source, ctx: &Ctx, image: &Image, place: usize, parts: &[Part]) -> Result<Vec<Vec<u8>>, Problem> {
    let doing = format!("read a part of layer {place}");
    let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.length));
    if sum.is_none_or(|sum| sum > MOST) {
        let cause = format!("it is more than {}", size::human(MOST));
        return Err(Problem::new(ProblemKind::Limit, doing, cause));
    }
    let mut order: Vec<(usize, Part)> = parts.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, part)| part.offset);
    let meet = |pair: &[(usize, Part)]| matches!(pair, [(_, one), (_, next)] if one.offset.saturating_add(one.length) > next.offset);
    if order.windows(2).any(meet) {
        return Err(Problem::new(ProblemKind::Usage, doing, "the parts overlap"));
    }
    let told: Arc<Mutex<Option<ReadLayer<Pieces>>>> = Arc::default();
    let slot = Arc::clone(&told);
    let each = move |read| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    read_layers(source, ctx, image, &[place], move |opened| pieces(opened, &order), each).await?;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).take();
    let told = told.ok_or_else(|| Problem::new(ProblemKind::Other, &doing, "the source told nothing of it"))?;
    match (told.made, told.found) {
        (Some(made), found) if made.enough || found.is_ok() => {
            // Nobody else has it any more.
            let mut read = Arc::try_unwrap(made).map_or_else(|made| made.read.clone(), |made| made.read);
            read.sort_by_key(|(at, _)| *at);
            Ok(read.into_iter().map(|(_, bytes)| bytes).collect())
        }
        (_, Err(problem)) => Err(problem),
        (None, Ok(_)) => Err(Problem::new(ProblemKind::Other, doing, "nothing was read of it")),
        (Some(_), Ok(_)) => Err(Problem::new(ProblemKind::Corrupt, doing, "it ends before that")),
    }
}

fn pieces(opened: Opened<'_>, order: &[(usize, Part)]) -> (io::Result<Digests>, Pieces) {
    let known = opened.layer.is_some();
    let mut pieces = Pieces { read: Vec::with_capacity(order.len()), enough: false };
    let found = opened.reader().and_then(|mut reader| {
        let mut at = 0_u64;
        for (place, part) in order {
            let bytes = piece(&mut reader, &mut at, *part)?;
            pieces.read.push((*place, bytes));
        }
        // Where the layer's digests have yet to say which it is, all of it is needed.
        pieces.enough = known;
        if known { Err(io::Error::other("no more of it is needed")) } else { reader.finish() }
    });
    (found, pieces)
}

/// Reads on to the part, and then the part.
fn piece(reader: &mut impl Read, at: &mut u64, part: Part) -> io::Result<Vec<u8>> {
    let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before the part that is wanted");
    let gap = part.offset.saturating_sub(*at);
    if io::copy(&mut reader.by_ref().take(gap), &mut io::sink())? != gap {
        return Err(short());
    }
    let mut bytes = Vec::new();
    if reader.by_ref().take(part.length).read_to_end(&mut bytes)? as u64 != part.length {
        return Err(short());
    }
    *at = part.offset.saturating_add(part.length);
    Ok(bytes)
}
