//! Everything the screen shows, in one tree of plain values. Only `update` changes it; drawing takes `&State`.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::curate::plan::Protection;
use crate::flow::{Chord, Job, JobId, Loadable};
use crate::model::{ImageKey, SourceId, SourceInfo, SourceStatus};
use crate::pane::{
    PaneId, findings::Findings, images::Images, layers::Layers, log::Log, plan::PlanPane, registries::Registries, tasks::Tasks,
};

use super::chains::Chains;
use super::overlay::Overlay;
use super::settings::Settings;
use super::toast::Toasts;

/// The places with images, and the one that is shown.
#[derive(Debug, Default)]
pub struct Sources {
    pub all: Loadable<Vec<SourceInfo>>,
    /// What the user opened in this run: there whatever was looked for meanwhile.
    pub opened: Vec<SourceInfo>,
    pub current: Option<SourceId>,
    pub status: SourceStatus,
    /// Failed tries in a row, for the time until the next.
    pub tries: u32,
}

impl Sources {
    #[must_use]
    pub fn info(&self) -> Option<&SourceInfo> {
        self.get(self.current.as_ref()?)
    }

    #[must_use]
    pub fn get(&self, id: &SourceId) -> Option<&SourceInfo> {
        self.all.value.as_ref()?.iter().find(|info| info.id == *id)
    }
}

#[derive(Debug, Default)]
pub struct State {
    pub now: Timestamp,
    pub width: u16,
    pub height: u16,
    pub focus: PaneId,
    pub zoomed: bool,
    /// The drawer that is open below the panes.
    pub drawer: Option<PaneId>,
    pub sources: Sources,
    pub images: Images,
    pub registries: Registries,
    /// Of Images and Registries, the pane that had the focus last: the Layers pane follows it.
    pub lead: PaneId,
    pub layers: Layers,
    pub findings: Findings,
    /// What the images of this machine hold, as far as it was read.
    pub chains: Chains,
    pub tasks: Tasks,
    pub plan: PlanPane,
    pub log: Log,
    /// The top one, last, has the keys.
    pub overlays: Vec<Overlay>,
    pub toasts: Toasts,
    pub settings: Settings,
    /// The picture of spinners, counted up while something runs.
    pub spin: usize,
    pub next_job: u64,
    /// Every job that has not ended, by what it was.
    pub jobs: HashMap<JobId, Job>,
    /// The list changed while it was being fetched: fetch again.
    pub stale: bool,
    /// When the list was last asked for, and how long it took the last time.
    pub asked_at: Timestamp,
    pub took: std::time::Duration,
    /// A [`crate::flow::Msg::Retry`] is on its way.
    pub retrying: bool,
    /// A [`crate::flow::Msg::Settled`] is on its way.
    pub settling: bool,
    /// A [`crate::flow::Msg::Spin`] is on its way.
    pub spinning: bool,
    /// Counts cursor moves, so that only the last one's image is fetched.
    pub moves: u64,
    /// The move whose [`crate::flow::Msg::Follow`] is on its way.
    pub following: Option<u64>,
    pub last_chord: Option<Chord>,
    pub quitting: bool,
}

impl State {
    #[must_use]
    pub fn new(settings: Settings, now: Timestamp) -> Self {
        let mut state = Self { now, settings, ..Self::default() };
        state.images.sort = state.settings.sort;
        // What is no pattern was said where it was read.
        state.plan.protection = Protection::new(&state.settings.protect).unwrap_or_default();
        state
    }

    /// An id for a job, never given before.
    pub(super) fn new_job(&mut self) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        id
    }

    /// Whether anything that changes images is out of reach here, by flag, configuration or nature of the source.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.settings.read_only || self.here().is_some_and(|info| info.read_only)
    }

    /// The source that the pane with the lead shows.
    #[must_use]
    pub fn here(&self) -> Option<&SourceInfo> {
        match self.lead {
            PaneId::Registries => self.sources.get(self.registries.source()?),
            _ => self.sources.info(),
        }
    }

    /// Whether something runs whose progress is to be seen.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let registries = &self.registries;
        self.tasks.running() > 0
            || self.images.list.is_loading()
            || self.images.drifting.is_some()
            || self.plan.is_looking()
            || self.plan.trying.is_some()
            || self.log.runs.is_loading()
            || self.layers.image.is_loading()
            || self.layers.reading.is_some()
            || self.layers.reckoning.is_some()
            || self.findings.job.is_some()
            || registries.repositories.job.is_some()
            || registries.tags.job.is_some()
            || registries.tags.asked.is_some()
            || registries.tags.labelling.is_some()
            || registries.parts.referrers.is_loading()
            || self.overlays.iter().any(Overlay::is_busy)
    }

    /// The image that is looked at, and where it is.
    #[must_use]
    pub fn selected_key(&self) -> Option<(SourceId, ImageKey)> {
        match self.lead {
            PaneId::Registries => self.registries.selected_key(),
            _ => Some((self.sources.current.clone()?, self.images.selected_key()?)),
        }
    }
}
