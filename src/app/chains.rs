//! What the images of this machine hold, read where something needs it: a plan that deletes some, whose bytes shall be true. An image's layers never
//! change, so each image is read once a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{Digest, ImageList, Layers, SourceId};

use super::jobs::{self, answer};
use super::overlay;
use super::state::State;

/// The layers of images, by source.
#[derive(Debug, Default)]
pub struct Chains(BTreeMap<SourceId, Known>);

#[derive(Debug, Default)]
struct Known {
    layers: Arc<Layers>,
    /// Images that were asked about and of which it can't be told.
    untold: BTreeSet<Digest>,
    job: Option<JobId>,
}

/// Of a source that was never asked.
static NOTHING: Layers = Layers::new();

impl Chains {
    /// The layers of the images of a source, as far as they were read, by image ID: as [`crate::curate::cleanup::Known`] takes them.
    #[must_use]
    pub fn of(&self, source: &SourceId) -> &Layers {
        self.0.get(source).map_or(&NOTHING, |known| &known.layers)
    }

    /// The same, to be kept.
    #[must_use]
    pub fn shared(&self, source: &SourceId) -> Arc<Layers> {
        self.0.get(source).map_or_else(Arc::default, |known| Arc::clone(&known.layers))
    }

    /// Images of a list that were not read yet, and may be.
    fn missing(&self, source: &SourceId, list: &ImageList) -> Vec<Digest> {
        let known = self.0.get(source);
        let new = |id: &Digest| known.is_none_or(|known| !known.layers.contains_key(id) && !known.untold.contains(id));
        list.images.iter().map(|image| &image.id).filter(|id| new(id)).cloned().collect()
    }

    /// Forgets images that are not there any more.
    fn retain(&mut self, source: &SourceId, list: &ImageList) {
        if let Some(known) = self.0.get_mut(source).filter(|known| known.layers.len() > list.images.len()) {
            let there: BTreeSet<&Digest> = list.images.iter().map(|image| &image.id).collect();
            Arc::make_mut(&mut known.layers).retain(|id, _| there.contains(id));
        }
    }
}

/// Has what is not known yet of these images read, in the background. What arrives is found in [`Chains::of`].
pub(super) fn want(state: &mut State, source: &SourceId, list: &ImageList) -> Vec<Effect> {
    if is_reading(state, source) {
        return Vec::new();
    }
    state.chains.retain(source, list);
    let images = state.chains.missing(source, list);
    if images.is_empty() {
        return Vec::new();
    }
    let (id, effect) = jobs::start(state, Job::Layers { source: source.clone(), images });
    state.chains.0.entry(source.clone()).or_default().job = Some(id);
    vec![effect]
}

/// Whether layers of a source are being read. Another source may have taken the turn.
pub(super) fn is_reading(state: &State, source: &SourceId) -> bool {
    state.chains.0.get(source).and_then(|known| known.job).is_some_and(|id| state.jobs.contains_key(&id))
}

/// Some layers arrived, or all that can be told was.
pub(super) fn event(state: &mut State, source: &SourceId, event: JobEvent) -> Vec<Effect> {
    let ended = !matches!(event, JobEvent::Chunk(_));
    // Where it can't be told, figures stay as rough as they were: nobody is told off for that.
    if let Ok(JobOutput::Layers(some)) = answer(event, "read the layers") {
        let known = state.chains.0.entry(source.clone()).or_default();
        for (id, layers) in some {
            match layers {
                Some(layers) => drop(Arc::make_mut(&mut known.layers).insert(id, layers)),
                None => drop(known.untold.insert(id)),
            }
        }
    }
    if !ended {
        return overlay::space::more(state);
    }
    state.plan.weigh_images(source, state.chains.of(source));
    overlay::cleanup::listed(state);
    let mut effects = overlay::inspect::arrived(state);
    effects.extend(overlay::space::known(state));
    // Another source whose reading gave way to this one goes on.
    let plan = &state.plan;
    let waiting: Vec<_> = plan
        .lists()
        .filter(|(other, _)| *other != source && plan.takes_images(other))
        .map(|(other, list)| (other.clone(), list.clone()))
        .collect();
    effects.extend(
        waiting.into_iter().map(|(other, list)| want(state, &other, &list)).find(|effects| !effects.is_empty()).unwrap_or_default(),
    );
    effects
}
