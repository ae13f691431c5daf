//! The layers of an image as indexes: from what was kept of an earlier look, and the others read where the image is, each once and several at a
//! time.
//!
//! A layer is told of as soon as it is there, whole or not: what was readable of one that is cut short is of use too, beside the problem. Of one that
//! takes long it is told now and then what came so far.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::LayerCache;
use crate::layer::{Digests, Index, index};
use crate::model::{Image, LayerInfo, Problem, ProblemKind};
use crate::source::{Ctx, Opened, ReadLayer, Source, blocking, peek, read_layers};

const DOING: &str = "read the layers";

/// Members and pieces of files that come between one look at the clock and the next. After that many it is told first what came of a layer:
/// whoever sends it may stand still at any time.
const LOOKS: u32 = 16;
/// When that is told again at the earliest.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// Tables of contents that are fetched at a time.
const TABLES_AT_ONCE: usize = 4;

/// How much of layers is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of each: what is told is what is there.
    Whole,
    /// No more than its own table of contents of a layer that has one, where that can be had alone: enough to list files by, and each can be read
    /// alone by [`peek::copy_pieces`], but no content is known, nor anything verified but the table.
    Contents,
}

/// A layer of an image as far as it could be read.
#[derive(Debug, Clone)]
pub struct Indexed {
    /// Its place in the image, from the bottom.
    pub layer: usize,
    /// Empty where nothing could be read.
    pub index: Arc<Index>,
    /// Why the index is not of the whole layer that the image has there.
    pub problem: Option<Problem>,
    /// It is of what came so far, and more is coming.
    pub partial: bool,
}

impl Indexed {
    const fn whole(layer: usize, index: Arc<Index>) -> Self {
        Self { layer, index, problem: None, partial: false }
    }
}

/// Who is told of each layer as it comes, and of a slow one in parts too.
pub type Each = Arc<dyn Fn(&Indexed) + Send + Sync>;

/// Indexes the layers of `image`, as `source` gave it, at the places `wanted`; tells of them on the way if there is anybody to tell, and gives all
/// of them, by their places, in the end. Layers whose index is kept are not opened. Of the others the largest are begun with, so that the last
/// ones don't keep everybody waiting.
///
/// # Errors
/// Where the source doesn't answer, or the caller's wish to stop.
pub async fn read(
    source: &dyn Source,
    ctx: &Ctx,
    cache: &LayerCache,
    image: &Image,
    wanted: &[usize],
    depth: Depth,
    each: Option<Each>,
) -> Result<Vec<Indexed>, Problem> {
    ctx.meter.phase("reading the layers");
    let layers: Vec<(usize, Option<LayerInfo>)> = wanted.iter().map(|&place| (place, layer(image, place).cloned())).collect();
    let kept = {
        let (cache, ctx) = (cache.clone(), ctx.clone());
        let look = move |(place, info): (usize, Option<LayerInfo>)| {
            ctx.check(DOING)?;
            Ok((place, info.and_then(|info| known(&cache, &info))))
        };
        blocking(DOING, move || layers.into_iter().map(look).collect::<Result<Vec<_>, Problem>>()).await?
    };
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    for (place, index) in kept {
        match index {
            Some(index) => {
                let indexed = Indexed::whole(place, index);
                tell(each.as_ref(), &indexed);
                told.push(indexed);
            }
            None => rest.push(place),
        }
    }
    if depth == Depth::Contents {
        let (by_table, others) = tables(source, ctx, image, rest, each.as_ref()).await?;
        told.extend(by_table);
        rest = others;
    }
    if !rest.is_empty() {
        rest.sort_by_key(|place| std::cmp::Reverse(layer(image, *place).and_then(|layer| layer.size)));
        told.extend(fresh(source, ctx, cache, image, &rest, each).await?);
    }
    told.sort_by_key(|indexed| indexed.layer);
    Ok(told)
}

/// The layers whose tables of contents could be had, and the places of the others.
async fn tables(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    wanted: Vec<usize>,
    each: Option<&Each>,
) -> Result<(Vec<Indexed>, Vec<usize>), Problem> {
    let (mut told, mut rest) = (Vec::new(), Vec::new());
    let look = |place| async move { (place, peek::index(source, ctx, image, place).await) };
    let mut found = stream::iter(wanted).map(look).buffer_unordered(TABLES_AT_ONCE);
    while let Some((place, index)) = found.next().await {
        match index {
            Ok(Some(index)) => {
                let indexed = Indexed::whole(place, Arc::new(index));
                tell(each, &indexed);
                told.push(indexed);
            }
            Ok(None) => rest.push(place),
            Err(problem) if problem.is_cancelled() => return Err(problem),
            // The layer itself says it better.
            Err(problem) => {
                tracing::warn!(%problem, "a layer is read whole");
                rest.push(place);
            }
        }
    }
    Ok((told, rest))
}

fn layer(image: &Image, place: usize) -> Option<&LayerInfo> {
    image.layers.as_ref()?.get(place)
}

/// What is kept of a layer. An engine tells diff IDs only: those are the digests of layers that are stored as they are.
fn known(cache: &LayerCache, info: &LayerInfo) -> Option<Arc<Index>> {
    let index = cache.read(info.digest.as_ref().or(info.diff_id.as_ref())?)?;
    // An image may say of a layer what isn't so: then it is read again, and told.
    (info.diff_id.as_ref() == Some(&index.digests()?.diff_id)).then(|| Arc::new(index))
}

async fn fresh(
    source: &dyn Source,
    ctx: &Ctx,
    cache: &LayerCache,
    image: &Image,
    wanted: &[usize],
    each: Option<Each>,
) -> Result<Vec<Indexed>, Problem> {
    let told: Arc<Mutex<Vec<Indexed>>> = Arc::default();
    let (list, so_far) = (Arc::clone(&told), each.clone());
    let settle = move |read: ReadLayer<Index>| {
        let indexed = indexed(read);
        tell(each.as_ref(), &indexed);
        list.lock().unwrap_or_else(PoisonError::into_inner).push(indexed);
    };
    let cache = cache.clone();
    read_layers(source, ctx, image, wanted, move |opened| make(opened, &cache, so_far.as_ref()), settle).await?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(told)
}

fn tell(each: Option<&Each>, indexed: &Indexed) {
    if let Some(each) = each {
        each(indexed);
    }
}

fn make(opened: Opened<'_>, cache: &LayerCache, each: Option<&Each>) -> (io::Result<Digests>, Index) {
    let known = opened.known();
    // Where only its digest will tell which layer it is, nothing can be told of it before.
    let listens = opened.layer.map(|layer| layer.index).zip(each);
    let (began, mut next, mut looks) = (Instant::now(), Duration::ZERO, 0_u32);
    let mut tell = |so_far: &Index| {
        looks = looks.wrapping_add(1);
        let Some((layer, each)) = listens.filter(|_| looks.is_multiple_of(LOOKS) && began.elapsed() >= next) else { return };
        // Told is a copy: as time goes on it becomes rare.
        next = (began.elapsed() * 2).max(SECOND_LOOK);
        each(&Indexed { partial: true, ..Indexed::whole(layer, Arc::new(so_far.clone())) });
    };
    let index = index::read_telling(opened.stored, &known, &mut tell);
    // One that is not whole, or not what it should be, is not kept.
    cache.write(&index);
    let cut = || index.problem().map_or_else(|| "it could not be read".to_owned(), |problem| problem.cause.to_string());
    let found = index.digests().cloned().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, cut()));
    (found, index)
}

fn indexed(read: ReadLayer<Index>) -> Indexed {
    let own = read.made.as_ref().and_then(|index| index.problem()).cloned();
    let problem = match read.found {
        // The index knows better where its bytes are wrong; the source, why they did not come.
        Err(problem) if problem.kind == ProblemKind::Corrupt => Some(own.unwrap_or(problem)),
        Err(problem) => Some(problem),
        Ok(_) => own,
    };
    Indexed { layer: read.layer, index: read.made.unwrap_or_default(), problem, partial: false }
}
