//! A piece of one layer, such as a single file of it: the layer is read no further than that, where the source knows which layer it has opened.
//! What is read is not the whole, so no digest vouches for it: whoever has the layer's index holds the bytes against that.
//!
//! May use model and layer.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::opened::{Opened, ReadLayer, read_layers};
use super::{Ctx, Source};
use crate::layer::Digests;
use crate::model::{Image, Problem, ProblemKind};

/// Bytes that are handed on at a time.
const BUFFER: usize = 128 * 1024;

/// A piece of a layer's uncompressed tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From the tar's first byte.
    pub offset: u64,
    pub length: u64,
}

/// Where the bytes of a piece go, in their order.
pub trait Sink: Send + 'static {
    /// # Errors
    /// Why no more can be taken; it is what the reading ends with.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem>;
}

/// What was made of a layer.
struct Made<T> {
    it: Option<T>,
    /// It was left as soon as all was there.
    enough: bool,
}

/// What became of the layer, once that is told.
type Told<T> = Arc<Mutex<Option<ReadLayer<Mutex<Made<T>>>>>>;

/// Hands the bytes of one part of the layer of `image` at `place` to a sink, of any number of bytes, and gives the sink back. `make` gives a new
/// sink for each time that the layer, or one that may be it, is opened; a sink that got another layer's bytes, or not all, is dropped.
///
/// # Errors
/// A layer that is missing, ends before the part does or can't be read; what [`Source::open_layers`], `make` and the sink say.
pub async fn copy_part<S: Sink>(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    place: usize,
    part: Part,
    make: impl Fn() -> Result<S, Problem> + Send + Sync + 'static,
) -> Result<S, Problem> {
    let doing = format!("read a part of layer {place}");
    one(source, ctx, image, place, &doing, move |opened| copied(opened, part, &make)).await?
}

/// Opens one layer and gives what was made of it, if that is all that was wanted.
async fn one<T: Send + 'static>(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    place: usize,
    doing: &str,
    read: impl Fn(Opened<'_>) -> (io::Result<Digests>, Made<T>) + Send + Sync + 'static,
) -> Result<T, Problem> {
    let told: Told<T> = Arc::default();
    let slot = Arc::clone(&told);
    let each = move |read| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    let read = move |opened: Opened<'_>| {
        let (found, made) = read(opened);
        (found, Mutex::new(made))
    };
    read_layers(source, ctx, image, &[place], read, each).await?;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).take();
    let told = told.ok_or_else(|| Problem::new(ProblemKind::Other, doing, "the source told nothing of it"))?;
    let Some(made) = told.made else {
        return Err(told.found.err().unwrap_or_else(|| Problem::new(ProblemKind::Other, doing, "nothing was read of it")));
    };
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    match (made.it.take(), told.found) {
        (Some(it), found) if made.enough || found.is_ok() => Ok(it),
        (_, Err(problem)) => Err(problem),
        (_, Ok(_)) => Err(Problem::new(ProblemKind::Corrupt, doing, "it ends before that")),
    }
}

/// Reads what is wanted of a layer, and the rest of it only where its digests have yet to say which it is.
fn read<T>(opened: Opened<'_>, wanted: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> (io::Result<Digests>, Made<T>) {
    let known = opened.layer.is_some();
    let mut made = Made { it: None, enough: false };
    let found = opened.reader().and_then(|mut reader| {
        made.it = Some(wanted(&mut reader)?);
        made.enough = known;
        if known { Err(io::Error::other("no more of it is needed")) } else { reader.finish() }
    });
    (found, made)
}

fn copied<S: Sink>(
    opened: Opened<'_>,
    part: Part,
    make: &impl Fn() -> Result<S, Problem>,
) -> (io::Result<Digests>, Made<Result<S, Problem>>) {
    let mut wrong = None;
    let (found, mut made) = read(opened, |reader| {
        skip(reader, part.offset)?;
        let refused = |problem: Problem, wrong: &mut Option<Problem>| {
            *wrong = Some(problem);
            io::Error::other("there is nowhere to put it")
        };
        let mut sink = make().map_err(|problem| refused(problem, &mut wrong))?;
        let mut buffer = vec![0; BUFFER];
        let mut left = part.length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = match reader.read(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(short()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            sink.put(buffer.get(..read).unwrap_or_default()).map_err(|problem| refused(problem, &mut wrong))?;
            left = left.saturating_sub(read as u64);
        }
        Ok(Ok(sink))
    });
    // What is wrong on our side is no fault of the layer's, whichever it was.
    if let Some(problem) = wrong {
        made = Made { it: Some(Err(problem)), enough: true };
    }
    (found, made)
}

/// Reads on to the part.
fn skip(reader: &mut dyn Read, gap: u64) -> io::Result<()> {
    if io::copy(&mut reader.take(gap), &mut io::sink())? == gap { Ok(()) } else { Err(short()) }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before the part that is wanted")
}
