//! Reads the layers of an image, each once, for its index and its facts; and not at all where both are kept.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{DOING, Each, Options, found};
use crate::layer::{Digests, Index, index};
use crate::model::{Digest, FindingKind, Image, LayerInfo, Problem, ProblemKind, Report};
use crate::scan::facts::{FactsCache, LayerFacts, Looks};
use crate::source::{Ctx, Opened, ReadLayer, Source, blocking, read_layers};

/// Where indexes of layers are kept between runs.
pub trait Indexes: Send + Sync + std::fmt::Debug {
    /// The index of the layer whose stored bytes have that digest. Blocking.
    fn read(&self, digest: &Digest) -> Option<Index>;
    /// Keeps the index of a whole layer. Blocking.
    fn write(&self, index: &Index);
}

/// Keeps nothing.
impl Indexes for () {
    fn read(&self, _digest: &Digest) -> Option<Index> {
        None
    }

    fn write(&self, _index: &Index) {}
}

/// A layer as far as it could be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// Empty where nothing could be read.
    pub(super) index: Arc<Index>,
    pub(super) facts: Arc<LayerFacts>,
    /// Why that is not all of it.
    pub(super) problem: Option<Problem>,
}

/// What is made of a layer while it is read.
struct Made {
    index: Arc<Index>,
    facts: Arc<LayerFacts>,
}

/// The layers of `image` from the bottom, where facts and index of every one are kept; `None` where one must be read. Blocking.
pub(super) fn kept(image: &Image, options: &Options) -> Option<Vec<Layer>> {
    let layers = image.layers.as_deref()?;
    layers.iter().map(|info| known(&options.facts, &*options.indexes, info)).collect()
}

/// The layers of `image`, from the bottom.
pub(super) async fn read(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    options: &Options,
    listener: Option<Listener>,
) -> Result<Vec<Layer>, Problem> {
    let infos = image.layers.clone().unwrap_or_default();
    let (facts, indexes, stop) = (options.facts.clone(), Arc::clone(&options.indexes), ctx.clone());
    let kept = blocking(DOING, move || {
        let look = |info: LayerInfo| {
            stop.check(DOING)?;
            Ok(known(&facts, &*indexes, &info))
        };
        infos.into_iter().map(look).collect::<Result<Vec<Option<Layer>>, Problem>>()
    })
    .await?;
    let mut wanted: Vec<usize> = kept.iter().enumerate().filter(|(_, layer)| layer.is_none()).map(|(place, _)| place).collect();
    // The largest first, so that the last ones don't keep everybody waiting.
    wanted.sort_by_key(|place| std::cmp::Reverse(image.layers.iter().flatten().nth(*place).and_then(|layer| layer.size)));
    let state = Arc::new(State { layers: Mutex::new(kept), image: image.clone(), base: options.base, listener });
    if state.layers().iter().any(Option::is_some) {
        state.tell();
    }
    if !wanted.is_empty() {
        let (looks, facts, indexes) = (Looks::default(), options.facts.clone(), Arc::clone(&options.indexes));
        let settling = Arc::clone(&state);
        let make = move |opened: Opened<'_>| make(opened, &looks, &facts, &*indexes);
        read_layers(source, ctx, image, &wanted, make, move |read| settling.settle(read)).await?;
    }
    let read = std::mem::take(&mut *state.layers());
    let lost = || Problem::new(ProblemKind::Other, DOING, "the source didn't say what became of it");
    Ok(read.into_iter().map(|layer| layer.unwrap_or_else(|| Layer { problem: Some(lost()), ..Layer::default() })).collect())
}

/// What is kept of a layer, where that is all of it.
fn known(facts: &FactsCache, indexes: &dyn Indexes, info: &LayerInfo) -> Option<Layer> {
    let diff_id = info.diff_id.as_ref()?;
    let facts = facts.read(diff_id)?;
    // An engine tells diff IDs only: those are the digests of layers that are stored as they are.
    let index = indexes.read(info.digest.as_ref().unwrap_or(diff_id))?;
    (index.digests()?.diff_id == *diff_id).then(|| Layer { index: Arc::new(index), facts: Arc::new(facts), problem: None })
}

fn make(opened: Opened<'_>, looks: &Looks, facts: &FactsCache, indexes: &dyn Indexes) -> (io::Result<Digests>, Made) {
    let known = opened.known();
    let mut look = looks.look();
    let index = index::read_tapping(opened.stored, &known, &mut |_| {}, &mut look);
    let made = Made { index: Arc::new(index), facts: Arc::new(look.finish()) };
    let cut = || made.index.problem().map_or_else(|| "it could not be read".to_owned(), |problem| problem.cause.to_string());
    let found = made.index.digests().cloned().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, cut()));
    // Of one that is not whole, or not what it should be, nothing is kept.
    if let (Ok(digests), None) = (&found, made.index.problem()) {
        facts.write(&digests.diff_id, &made.facts);
        indexes.write(&made.index);
    }
    (found, made)
}

/// Who is told on the way.
pub(super) struct Listener {
    pub(super) each: Each,
    /// What was told before any layer was read.
    pub(super) documents: Report,
}

/// What is known while layers are read.
struct State {
    layers: Mutex<Vec<Option<Layer>>>,
    image: Image,
    base: Option<usize>,
    listener: Option<Listener>,
}

impl State {
    fn layers(&self) -> std::sync::MutexGuard<'_, Vec<Option<Layer>>> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, read: ReadLayer<Made>) {
        let own = read.made.as_ref().and_then(|made| made.index.problem()).cloned();
        let problem = match read.found {
            // The index knows better where its bytes are wrong; the source, why they did not come.
            Err(problem) if problem.kind == ProblemKind::Corrupt => Some(own.unwrap_or(problem)),
            Err(problem) => Some(problem),
            Ok(_) => own,
        };
        let layer = read.made.map_or_else(Layer::default, |made| Layer {
            index: Arc::clone(&made.index),
            facts: Arc::clone(&made.facts),
            problem: None,
        });
        if let Some(slot) = self.layers().get_mut(read.layer) {
            *slot = Some(Layer { problem, ..layer });
        }
        self.tell();
    }

    /// Tells what was found in the layers that are there.
    fn tell(&self) {
        let Some(Listener { each, documents }) = &self.listener else { return };
        let mut report = documents.clone();
        report.looked_for.extend([FindingKind::Secret, FindingKind::SensitiveFile]);
        let mut seen = Vec::new();
        for (place, layer) in self.layers().iter().enumerate() {
            if let Some(layer) = layer {
                let fate = |_: (&[u8], u64)| found::Fate::Unknown;
                seen.extend(found::of_layer(&self.image, place, &layer.facts, &layer.index, self.base, fate));
            }
        }
        report.findings.extend(found::fold(seen));
        each(&report);
    }
}
