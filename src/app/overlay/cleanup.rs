//! What can go: the images of this machine in groups a person thinks in, each with what it frees. What is picked goes into the plan.
//!
//! The groups are thought through when the dialog opens and when something changes that they hang on: the list, a limit, an answer of a
//! registry. Which images can be pulled again is asked when it opens, for the user has come to look at just that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::curate::cleanup::{self, Bytes, Group, Kind, Known, Limits};
use crate::curate::plan::Wish;
use crate::curate::words::counted;
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Place};
use crate::model::{Digest, ImageList, ImageSummary, Layers, Name, Powers, Safe, SourceId, SourceKind, Target, Uses};
use crate::pane::ListCursor;

use super::super::chains;
use super::super::jobs::{self, answer};
use super::super::plan as planning;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::Overlay;

/// Images that registries are asked for at a time.
const MOST: usize = 5000;
const DAY: i64 = 86_400;
/// Days without use to choose from.
const DAYS: [i64; 9] = [1, 3, 7, 14, 30, 60, 90, 180, 365];
/// Newest versions that may be chosen to stay.
const NEWEST: std::ops::RangeInclusive<usize> = 1..=20;

/// A row as a removal takes it.
type Pick = (Digest, Option<Name>);

/// A row of the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanRow {
    Group(usize),
    /// The nth row of a group that is unfolded.
    Image(usize, usize),
}

/// How far the registries were asked what they still have.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub job: Option<JobId>,
    /// Images to ask for, and those that were told of.
    pub of: usize,
    pub told: usize,
    /// Of these, the ones that are not known all the same, and why the first isn't.
    pub unknown: usize,
    pub why: Option<Safe>,
}

#[derive(Debug, Clone)]
pub struct CleanUp {
    source: SourceId,
    /// Whether the source knows of containers: then one that it didn't tell of may be in use.
    knows_containers: bool,
    list: Arc<ImageList>,
    at: HashMap<Digest, usize>,
    uses: Arc<Uses>,
    idle_since: BTreeMap<Digest, Timestamp>,
    pullable: BTreeSet<Digest>,
    protected: BTreeSet<Digest>,
    /// As the state has them: bytes are exact where those of all images are known.
    layers: Arc<Layers>,
    /// Bytes no other image shares, where the source was asked.
    unique: HashMap<Digest, u64>,
    now: Timestamp,
    pub limits: Limits,
    /// One of each kind, also where it is empty.
    pub groups: Vec<Group>,
    pub rows: Vec<CleanRow>,
    unfolded: BTreeSet<usize>,
    picks: BTreeSet<Pick>,
    /// Rows of each group that are picked.
    pub picked: Vec<usize>,
    /// Images that go altogether with what is picked, and what that frees.
    pub total: (usize, Bytes),
    pub asked: Asked,
    /// Images in no group because it is not known whether a container uses them.
    pub left_out: usize,
    pub cursor: ListCursor,
}

/// Opens the dialog, and asks what it has to know.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    let (Some(source), Some(list)) = (state.sources.current.clone(), state.images.list.value.clone()) else {
        return vec![state.toasts.show(ToastKind::Info, "The images are not known yet", None)];
    };
    let info = state.sources.info();
    let powers = info.map_or(Powers::ALL, |info| info.powers);
    let mut it = CleanUp {
        source: source.clone(),
        knows_containers: info.is_some_and(|info| info.kind == SourceKind::Engine),
        list: Arc::clone(&list),
        at: HashMap::new(),
        uses: Arc::default(),
        idle_since: BTreeMap::new(),
        pullable: BTreeSet::new(),
        protected: BTreeSet::new(),
        layers: Arc::default(),
        unique: HashMap::new(),
        now: state.now,
        limits: state.settings.clean_up,
        groups: Vec::new(),
        rows: Vec::new(),
        unfolded: BTreeSet::new(),
        picks: BTreeSet::new(),
        picked: Vec::new(),
        total: (0, Bytes::Exact(0)),
        asked: Asked::default(),
        left_out: 0,
        cursor: ListCursor { height: 1, ..ListCursor::default() },
    };
    it.take(state, Arc::clone(&list));
    let mut effects = Vec::new();
    let images = it.came_from_registries();
    if !images.is_empty() {
        it.asked.of = images.len();
        let (id, effect) = jobs::start(state, Job::Pullable { images });
        it.asked.job = Some(id);
        effects.push(effect);
    }
    effects.extend(chains::want(state, &source, &list));
    if powers.prune {
        effects.push(jobs::start(state, Job::PreviewPrune { source }).1);
    }
    state.overlays.push(Overlay::CleanUp(Box::new(it)));
    effects
}

/// The dialog, where it is open.
fn opened(state: &mut State) -> Option<Box<CleanUp>> {
    let at = state.overlays.iter().position(|overlay| matches!(overlay, Overlay::CleanUp(_)))?;
    match state.overlays.remove(at) {
        Overlay::CleanUp(it) => Some(it),
        other => {
            state.overlays.insert(at, other);
            None
        }
    }
}

/// Does something with the dialog, where it is open; whatever stands over it stays there.
fn with(state: &mut State, change: impl FnOnce(&mut CleanUp, &State)) {
    let over = state.overlays.iter().rev().take_while(|overlay| !matches!(overlay, Overlay::CleanUp(_))).count();
    if let Some(mut it) = opened(state) {
        change(&mut it, state);
        let at = state.overlays.len().saturating_sub(over);
        state.overlays.insert(at, Overlay::CleanUp(it));
    }
}

/// A new list stands on the screen, or more is known of its images.
pub(in crate::app) fn listed(state: &mut State) {
    let Some(list) = state.images.list.value.clone() else { return };
    with(state, |it, state| it.take(state, list));
}

/// The source told what untagged images don't share, or will not: bytes are less exact without it, and that is said.
pub(in crate::app) fn prunable(state: &mut State, event: JobEvent) -> Vec<Effect> {
    if let Ok(JobOutput::Prunable(dangling)) = answer(event, "ask what images share") {
        weighed(state, &dangling);
    }
    Vec::new()
}

fn weighed(state: &mut State, dangling: &ImageList) {
    let unique: HashMap<Digest, u64> = dangling.images.iter().filter_map(|image| Some((image.id.clone(), image.unique_size?))).collect();
    with(state, |it, state| {
        it.unique = unique;
        it.take(state, Arc::clone(&it.list));
    });
}

/// Registries told what they have.
pub(in crate::app) fn told(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let ended = !matches!(event, JobEvent::Chunk(_));
    let told = match answer(event, "ask the registries") {
        Ok(JobOutput::Pullable(told)) => told,
        Ok(_) => Vec::new(),
        Err(problem) if problem.is_cancelled() => Vec::new(),
        Err(problem) => {
            with(state, |it, _| it.asked.why = Some(problem.cause.clone()));
            Vec::new()
        }
    };
    with(state, |it, _| {
        if it.asked.job != Some(id) {
            return;
        }
        if ended {
            it.asked.job = None;
        }
        let before = it.pullable.len();
        for (image, answer) in told {
            it.asked.told += 1;
            match answer {
                Ok(true) => drop(it.pullable.insert(image)),
                Ok(false) => {}
                Err(problem) => {
                    it.asked.unknown += 1;
                    it.asked.why.get_or_insert(problem.cause);
                }
            }
        }
        if it.pullable.len() != before {
            it.think();
        }
    });
    Vec::new()
}

impl CleanUp {
    /// Takes the list, and what the state knows of it.
    fn take(&mut self, state: &State, list: Arc<ImageList>) {
        self.list = list;
        let lacks = |image: &ImageSummary| image.unique_size.is_none() && self.unique.contains_key(&image.id);
        if self.list.images.iter().any(lacks) {
            let list = Arc::make_mut(&mut self.list);
            for image in &mut list.images {
                image.unique_size = image.unique_size.or_else(|| self.unique.get(&image.id).copied());
            }
        }
        self.at = self.list.images.iter().enumerate().map(|(at, image)| (image.id.clone(), at)).collect();
        self.uses = Arc::clone(&state.images.uses);
        self.idle_since = self.uses.all_idle_since();
        self.layers = state.chains.shared(&self.source);
        self.now = state.now;
        let by_pattern = |image: &&ImageSummary| image.tags.iter().any(|tag| state.plan.protection.of(tag).is_some());
        self.protected = self.list.images.iter().filter(by_pattern).map(|image| image.id.clone()).collect();
        self.left_out = 0;
        if self.knows_containers {
            let unknown = self.list.images.iter().filter(|image| image.containers.is_none());
            let unknown: Vec<Digest> = unknown.map(|image| image.id.clone()).collect();
            self.left_out = unknown.len();
            self.protected.extend(unknown);
        }
        self.think();
    }

    fn known(&self) -> Known<'_> {
        Known {
            list: &self.list,
            last_used: &self.idle_since,
            pullable: &self.pullable,
            protected: &self.protected,
            layers: &self.layers,
            now: self.now,
        }
    }

    /// Thinks the groups through.
    fn think(&mut self) {
        self.groups = cleanup::every_group(&self.known(), self.limits);
        if !self.picks.is_empty() {
            let standing: BTreeSet<&Pick> = self.groups.iter().flat_map(|group| &group.chosen).collect();
            self.picks.retain(|pick| standing.contains(pick));
        }
        self.count();
        self.lay_out();
    }

    /// What is picked has changed.
    fn count(&mut self) {
        self.picked = self.groups.iter().map(|group| group.chosen.iter().filter(|pick| self.picks.contains(*pick)).count()).collect();
        self.total = cleanup::together(&self.known(), &self.picks);
    }

    fn lay_out(&mut self) {
        self.rows.clear();
        for (n, group) in self.groups.iter().enumerate() {
            self.rows.push(CleanRow::Group(n));
            if self.unfolded.contains(&n) {
                self.rows.extend((0..group.chosen.len()).map(|at| CleanRow::Image(n, at)));
            }
        }
        self.cursor.set_len(self.rows.len());
    }

    /// Images that a registry may have, by the names they came by.
    fn came_from_registries(&self) -> Vec<(Digest, Vec<Name>)> {
        let may_go = self.list.images.iter().filter(|image| image.is_unused() != Some(false) && !self.protected.contains(&image.id));
        let names = |image: &ImageSummary| -> Vec<Name> {
            let fit = |name: &&Name| name.reference().is_ok_and(|name| name.digest().is_some() && name.registry() != "localhost");
            image.repo_digests.iter().filter(fit).cloned().collect()
        };
        may_go.map(|image| (image.id.clone(), names(image))).filter(|(_, names)| !names.is_empty()).take(MOST).collect()
    }

    #[must_use]
    pub fn is_unfolded(&self, group: usize) -> bool {
        self.unfolded.contains(&group)
    }

    /// The image and tag of a row below a group, since when it was not seen used, and whether it is picked.
    #[must_use]
    pub fn row(&self, group: usize, at: usize) -> Option<(&ImageSummary, Option<&Name>, Option<Timestamp>, bool)> {
        let pick = self.groups.get(group)?.chosen.get(at)?;
        let image = self.list.images.get(*self.at.get(&pick.0)?)?;
        Some((image, pick.1.as_ref(), self.idle_since.get(&pick.0).copied(), self.picks.contains(pick)))
    }

    /// Rows that are picked.
    #[must_use]
    pub fn picks(&self) -> usize {
        self.picks.len()
    }

    fn group_at_cursor(&self) -> usize {
        match self.rows.get(self.cursor.at) {
            Some(CleanRow::Group(n) | CleanRow::Image(n, _)) => *n,
            None => 0,
        }
    }

    /// What is to be known of the group under the cursor.
    #[must_use]
    pub fn note(&self) -> Safe {
        let text = match self.groups.get(self.group_at_cursor()).map(|group| group.kind) {
            Some(Kind::UnusedFor(seconds)) => self.watched(seconds),
            Some(Kind::OlderVersions(newest)) => {
                format!("of each repository the images of the {} stay, each variant by itself", counted(newest, "newest version"))
            }
            Some(Kind::Pullable) => self.asked_words(),
            Some(Kind::Dangling) => "no name leads to them any more".to_owned(),
            Some(Kind::BuildLeftovers) => "a later build took their name, and no registry ever had them".to_owned(),
            Some(Kind::Unused) => "neither a running container was made from them nor a stopped one".to_owned(),
            None => String::new(),
        };
        Safe::from(match self.left_out {
            0 => text,
            n => format!("{text}; {} left out: it is not known whether containers use them", counted(n, "image")),
        })
    }

    /// How far "not used for so long" can be told.
    fn watched(&self, seconds: i64) -> String {
        let young = |image: &&ImageSummary| {
            let since = self.idle_since.get(&image.id);
            let idle = since.map_or(0, |since| self.now.as_second().saturating_sub(since.as_second()));
            idle <= seconds && self.uses.last_used(&image.id).is_none_or(|used| Some(&used) != since)
        };
        let candidates = self.list.images.iter().filter(|image| image.is_unused() == Some(true) && !self.protected.contains(&image.id));
        let (days, young) = (seconds / DAY, candidates.filter(young).count());
        let looked = format!(
            "this program looked on {} of the last {}",
            self.uses.days_watched(seconds, self.now),
            counted(usize::try_from(days).unwrap_or(0), "day")
        );
        if young == 0 { looked } else { format!("{looked}; {} not known for so long", counted(young, "image")) }
    }

    fn asked_words(&self) -> String {
        let Asked { job, of, told, unknown, why } = &self.asked;
        match (job, of) {
            (_, 0) => "none came from a registry, as far as is known".to_owned(),
            (Some(_), _) => format!("asking the registries: {told} of {of}"),
            (None, _) if told < of => {
                format!("asked for {told} of {of}{}", why.as_ref().map_or_else(String::new, |why| format!(": {why}")))
            }
            (None, _) if *unknown > 0 => {
                format!("{} asked for, {unknown} not told: {}", counted(*of, "image"), why.clone().unwrap_or_default())
            }
            (None, _) => format!("{} asked for by digest", counted(*of, "image")),
        }
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let plain = !chord.mods.ctrl && !chord.mods.alt;
        let mut effects = Vec::new();
        match (chord.key, state.settings.keymap.action(chord, &[Place::List, Place::Rows, Place::Images])) {
            (Key::Esc, _) | (_, Some(Action::CleanUp)) => return self.close(state),
            (Key::Char('q'), _) if plain => return self.close(state),
            (Key::Char('+'), _) if plain => effects = self.adjust(state, 1),
            (Key::Char('-'), _) if plain => effects = self.adjust(state, -1),
            (_, Some(Action::Open)) if self.picks.is_empty() => self.fold(!self.unfolded.contains(&self.group_at_cursor())),
            (_, Some(Action::Open | Action::Delete)) => return self.plan(state),
            (_, Some(Action::Right)) => self.fold(true),
            (_, Some(Action::Left)) => self.fold(false),
            (_, Some(Action::Mark)) => {
                self.pick();
                self.cursor.act(Action::Down);
            }
            (_, Some(Action::ClearMarks)) => {
                self.picks.clear();
                self.count();
            }
            (_, Some(action)) => drop(self.cursor.act(action)),
            _ => {}
        }
        state.overlays.push(Overlay::CleanUp(self));
        effects
    }

    fn close(self, state: &mut State) -> Vec<Effect> {
        let Some(id) = self.asked.job else { return Vec::new() };
        state.jobs.remove(&id);
        vec![Effect::Cancel(id)]
    }

    fn fold(&mut self, open: bool) {
        let group = self.group_at_cursor();
        if open && self.groups.get(group).is_some_and(|group| !group.chosen.is_empty()) {
            self.unfolded.insert(group);
        } else if !open {
            self.unfolded.remove(&group);
        }
        self.lay_out();
        if !open && let Some(at) = self.rows.iter().position(|row| *row == CleanRow::Group(group)) {
            self.cursor.go(at);
        }
    }

    /// Picks the row under the cursor, or all of the group; what is picked altogether is not picked any more.
    fn pick(&mut self) {
        let of = match self.rows.get(self.cursor.at) {
            Some(CleanRow::Group(n)) => self.groups.get(*n).map(|group| group.chosen.clone()),
            Some(CleanRow::Image(n, at)) => self.groups.get(*n).and_then(|group| group.chosen.get(*at)).map(|pick| vec![pick.clone()]),
            None => None,
        };
        let of = of.unwrap_or_default();
        if of.iter().all(|pick| self.picks.contains(pick)) {
            for pick in &of {
                self.picks.remove(pick);
            }
        } else {
            self.picks.extend(of);
        }
        self.count();
    }

    /// Moves the limit of the group under the cursor.
    fn adjust(&mut self, state: &mut State, step: isize) -> Vec<Effect> {
        let before = self.limits;
        match self.groups.get(self.group_at_cursor()).map(|group| group.kind) {
            Some(Kind::UnusedFor(seconds)) => {
                let at = DAYS.iter().position(|days| days * DAY >= seconds).unwrap_or(DAYS.len());
                let to = at.saturating_add_signed(step).min(DAYS.len() - 1);
                self.limits.unused_for = DAYS.get(to).map_or(seconds, |days| days * DAY);
            }
            Some(Kind::OlderVersions(newest)) => {
                self.limits.newest = newest.saturating_add_signed(step).clamp(*NEWEST.start(), *NEWEST.end());
            }
            _ => {}
        }
        if self.limits == before {
            return Vec::new();
        }
        state.settings.clean_up = self.limits;
        let at = self.group_at_cursor();
        let picked = self.groups.get(at).filter(|group| self.picked.get(at) == Some(&group.chosen.len())).map(|group| group.chosen.clone());
        self.think();
        // A group that was picked stays picked: what left it is picked no more, what came in is.
        if let (Some(before), Some(group)) = (picked.filter(|before| !before.is_empty()), self.groups.get(at)) {
            for pick in &before {
                self.picks.remove(pick);
            }
            self.picks.extend(group.chosen.iter().cloned());
            self.count();
        }
        vec![Effect::Remember]
    }

    /// What is picked goes into the plan; with nothing picked, what the cursor is on.
    fn plan(mut self: Box<Self>, state: &mut State) -> Vec<Effect> {
        if self.picks.is_empty() {
            self.pick();
        }
        let able = state.sources.info().is_none_or(|info| info.powers.remove);
        let why = if self.picks.is_empty() {
            Some("There is nothing in this group")
        } else if state.is_read_only() || !able {
            Some("Nothing can be changed here")
        } else {
            None
        };
        if let Some(why) = why {
            state.overlays.push(Overlay::CleanUp(self));
            return vec![state.toasts.show(ToastKind::Info, why, None)];
        }
        let wishes = self.picks.iter().map(|(id, name)| Wish::Delete(name.clone().map_or_else(|| Target::Image(id.clone()), Target::Tag)));
        let effects = planning::want_local(state, &self.source, &self.list, wishes.collect());
        if state.plan.is_running() {
            state.overlays.push(Overlay::CleanUp(self));
            return effects;
        }
        effects.into_iter().chain(self.close(state)).collect()
    }
}
