//! Layers as sources open them: each one's stored bytes as a blocking reader, for whoever makes something of them while they pass.
//!
//! Reading and checking are one pass. Whoever takes a layer hashes it on the way ([`LayerReader`] does) and gives the digests; the source
//! holds them against what the image says. A registry or a file knows which layer it opens. An engine's save does not always say, so
//! what was made of a layer waits under a ticket until its diff ID has settled which layer it was.
//!
//! May use model and layer.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};

use super::content::{Content, Descriptor, read_problem};
use super::{Ctx, Source, blocking};
use crate::layer::index::Known;
use crate::layer::{Digests, LayerReader};
use crate::model::{Digest, Image, LayerInfo, Problem, ProblemKind, Safe, StepState};

/// Layers of a file that are read at a time, at most: more only wait for the disk.
const MOST_AT_ONCE: usize = 4;

/// Under which what was made of a layer is found again. No two layers that were opened for one [`Taker`] have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Gives tickets out.
#[derive(Debug, Default)]
pub(super) struct Tickets(AtomicU64);

impl Tickets {
    pub(super) fn next(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A layer that is open, on a blocking thread.
pub struct Opened<'a> {
    pub ticket: Ticket,
    /// Which layer of the image it is; `None` where only its diff ID will tell.
    pub layer: Option<&'a LayerInfo>,
    /// The stored bytes, compressed or not, and not yet checked against anything. Fails when the caller cancels.
    pub stored: &'a mut (dyn Read + Send),
    like: (Digest, Digest),
}

impl<'a> Opened<'a> {
    /// `image` says which algorithms its digests have.
    pub(super) fn new(ticket: Ticket, layer: Option<&'a LayerInfo>, image: &Image, stored: &'a mut (dyn Read + Send)) -> Self {
        let any = || image.layers.iter().flatten().find_map(|layer| layer.diff_id.clone()).unwrap_or_else(|| Digest::sha256(b""));
        let unpacked = layer.and_then(|layer| layer.diff_id.clone()).unwrap_or_else(any);
        let packed = layer.and_then(|layer| layer.digest.clone()).unwrap_or_else(|| unpacked.clone());
        Self { ticket, layer, stored, like: (packed, unpacked) }
    }

    /// What is known of it before it is read; nothing where its diff ID has to tell first which layer it is.
    #[must_use]
    pub fn known(&self) -> Known {
        let layer = self.layer.cloned();
        layer.map_or_else(Known::default, |layer| Known {
            // What an engine says of a layer's size is another thing than the size of its tar.
            size: layer.size.filter(|_| layer.digest.is_some()),
            digest: layer.digest,
            diff_id: layer.diff_id,
        })
    }

    /// A reader of the tar in it that hashes on the way.
    ///
    /// # Errors
    /// Where reading the first bytes fails.
    pub fn reader(self) -> io::Result<LayerReader<&'a mut (dyn Read + Send)>> {
        LayerReader::new(self.stored, &self.like.0, &self.like.1)
    }
}

impl fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("ticket", &self.ticket).field("layer", &self.layer).finish_non_exhaustive()
    }
}

/// Takes the layers that a source opens.
pub trait Taker: Send + Sync {
    /// Reads a layer to its end and gives the digests of all its bytes. Called on a blocking thread, on several at once where the source can.
    /// A layer that had to be fetched anew is taken again, with another ticket.
    ///
    /// # Errors
    /// Those of reading. The next layers are opened all the same.
    fn take(&self, opened: Opened<'_>) -> io::Result<Digests>;

    /// What became of a wanted layer: told once of each, in any order, with the ticket under which it was taken if it could be opened. `Ok` only
    /// where its bytes are what its digest and diff ID say.
    fn settle(&self, layer: usize, ticket: Option<Ticket>, found: Result<Digests, Problem>);

    /// What was taken under this ticket is no layer that was wanted.
    fn forget(&self, ticket: Ticket);
}

/// A wanted layer that was opened, or why it was not.
#[derive(Debug)]
pub struct ReadLayer<T> {
    /// Its place in the image, from the bottom.
    pub layer: usize,
    /// What was made of it; also of one that could be read in part only, or that is not what it should be.
    pub made: Option<Arc<T>>,
    /// Its digests, where they are those that the image says.
    pub found: Result<Digests, Problem>,
}

/// Opens the layers of `image` at the places `wanted` and makes something of each with `read`, on blocking threads; `each` is told as soon
/// as it is settled which layer it was.
///
/// # Errors
/// As [`Source::open_layers`].
pub async fn read_layers<T, R, E>(source: &dyn Source, ctx: &Ctx, image: &Image, wanted: &[usize], read: R, each: E) -> Result<(), Problem>
where
    T: Send + Sync + 'static,
    R: Fn(Opened<'_>) -> (io::Result<Digests>, T) + Send + Sync + 'static,
    E: Fn(ReadLayer<T>) + Send + Sync + 'static,
{
    source.open_layers(ctx, image, wanted, Arc::new(Making { made: Mutex::default(), read, each })).await
}

struct Making<T, R, E> {
    made: Mutex<HashMap<Ticket, Arc<T>>>,
    read: R,
    each: E,
}

impl<T, R, E> Taker for Making<T, R, E>
where
    T: Send + Sync,
    R: Fn(Opened<'_>) -> (io::Result<Digests>, T) + Send + Sync,
    E: Fn(ReadLayer<T>) + Send + Sync,
{
    fn take(&self, opened: Opened<'_>) -> io::Result<Digests> {
        let ticket = opened.ticket;
        let (found, made) = (self.read)(opened);
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket, Arc::new(made));
        found
    }

    fn settle(&self, layer: usize, ticket: Option<Ticket>, found: Result<Digests, Problem>) {
        let made = ticket.and_then(|ticket| self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&ticket).cloned());
        (self.each)(ReadLayer { layer, made, found });
    }

    fn forget(&self, ticket: Ticket) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
    }
}

/// Layers of an image that are the same, and so are read once.
#[derive(Debug, Clone)]
pub(super) struct Same {
    pub(super) info: LayerInfo,
    pub(super) places: Vec<usize>,
}

impl Same {
    /// Tells of all its places.
    pub(super) fn settle(&self, taker: &dyn Taker, ticket: Option<Ticket>, found: &Result<Digests, Problem>) {
        for place in &self.places {
            taker.settle(*place, ticket, found.clone());
        }
    }
}

/// The wanted layers in the order they are wanted in, each once. Places that the image doesn't have are settled at once.
pub(super) fn wanted(image: &Image, places: &[usize], taker: &dyn Taker) -> Vec<Same> {
    let layers = image.layers.as_deref().unwrap_or_default();
    let mut all: Vec<Same> = Vec::new();
    let mut known: BTreeMap<(&Option<Digest>, &Option<Digest>), usize> = BTreeMap::new();
    for &place in places {
        let Some(info) = layers.get(place) else {
            let cause = format!("the image has {} layers", layers.len());
            taker.settle(place, None, Err(Problem::new(ProblemKind::NotFound, format!("open layer {place}"), cause)));
            continue;
        };
        let at = *known.entry((&info.digest, &info.diff_id)).or_insert(all.len());
        match all.get_mut(at) {
            Some(same) if same.places.contains(&place) => {}
            Some(same) => same.places.push(place),
            None => all.push(Same { info: info.clone(), places: vec![place] }),
        }
    }
    all
}

/// Holds what a layer turned out to be against what the image says.
pub(super) fn verdict(info: &LayerInfo, found: Digests, doing: &str) -> Result<Digests, Problem> {
    let corrupt = |cause: String| Err(Problem::new(ProblemKind::Corrupt, doing, cause));
    if let Some(digest) = info.digest.as_ref().filter(|digest| **digest != found.digest) {
        return corrupt(format!("layer {} should be {digest}, but its bytes are {}", info.index, found.digest));
    }
    match &info.diff_id {
        None => corrupt(format!("the configuration does not say what layer {} unpacks to", info.index)),
        Some(diff_id) if *diff_id != found.diff_id => {
            corrupt(format!("layer {} should unpack to {diff_id}, but unpacks to {}", info.index, found.diff_id))
        }
        Some(_) => Ok(found),
    }
}

/// The blob of a layer.
pub(super) fn blob(info: &LayerInfo, doing: &str) -> Result<Descriptor, Problem> {
    let unknown = || Problem::new(ProblemKind::Unsupported, doing, format!("what layer {} is stored as is not known", info.index));
    Ok(Descriptor {
        media_type: info.media_type.as_ref().map(|text| text.raw().to_owned()).unwrap_or_default(),
        digest: info.digest.clone().ok_or_else(unknown)?,
        size: info.size.ok_or_else(unknown)?,
        platform: None,
        annotations: BTreeMap::new(),
    })
}

/// Opens layers of a collection, several at a time. `doing` names the collection.
///
/// # Errors
/// Only the caller's wish to stop.
pub(super) async fn from_content(
    ctx: &Ctx,
    content: Arc<dyn Content>,
    image: &Image,
    places: &[usize],
    taker: Arc<dyn Taker>,
    doing: &str,
) -> Result<(), Problem> {
    // A dropped future must not leave a thread at work.
    let inner = Ctx { meter: ctx.meter.clone(), cancel: ctx.cancel.child_token() };
    let _stop = inner.cancel.clone().drop_guard();
    let (tickets, image) = (Arc::new(Tickets::default()), Arc::new(image.clone()));
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_AT_ONCE);
    let reading = stream::iter(wanted(&image, places, &*taker)).map(|same| {
        let (content, taker, tickets, image) = (Arc::clone(&content), Arc::clone(&taker), Arc::clone(&tickets), Arc::clone(&image));
        let (ctx, words) = (inner.clone(), doing.to_owned());
        blocking(doing, move || {
            ctx.check(&words)?;
            let ticket = tickets.next();
            let found =
                read_one(&ctx, &*content, &same.info, &*taker, &words, |layer, stored| Opened::new(ticket, Some(layer), &image, stored));
            ctx.check(&words)?;
            same.settle(&*taker, Some(ticket), &found);
            Ok(())
        })
    });
    reading.buffer_unordered(at_once).try_collect().await
}

fn read_one<'a>(
    ctx: &Ctx,
    content: &'a dyn Content,
    info: &'a LayerInfo,
    taker: &dyn Taker,
    doing: &str,
    opened: impl for<'b> FnOnce(&'b LayerInfo, &'b mut (dyn Read + Send)) -> Opened<'b>,
) -> Result<Digests, Problem> {
    let blob = blob(info, doing)?;
    let step = ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
    let read = || {
        let mut stored = Stopping { inner: Metered { inner: content.stored(&blob)?, ctx, step }, ctx };
        let found = taker.take(opened(info, &mut stored)).map_err(|error| read_problem(doing, &blob.digest, &error))?;
        verdict(info, found, doing)
    };
    let found = read();
    ctx.meter.finish(step, if found.is_ok() { StepState::Done } else { StepState::Failed });
    found
}

/// Stops when the caller cancels.
pub(super) struct Stopping<'a, R> {
    pub(super) inner: R,
    pub(super) ctx: &'a Ctx,
}

impl<R: Read> Read for Stopping<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ctx.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.inner.read(buffer)
    }
}

/// Counts what is read on the meter.
pub(super) struct Metered<'a, R> {
    pub(super) inner: R,
    pub(super) ctx: &'a Ctx,
    pub(super) step: usize,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read > 0 {
            self.ctx.meter.add(self.step, read as u64);
        }
        Ok(read)
    }
}
