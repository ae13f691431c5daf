//! Where something polluted is: what contains an image or a layer, among the images of this machine, the tags of all repositories of the registries
//! that were browsed in this session, and the containers. From here it is put away under another name, deleted, marked in the panes, or written down for others.
//!
//! What images are made of is read first, which may take long: what is known so far can be looked at whenever the reading is stopped, and
//! of every repository it is said how much of it was looked at.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::curate::plan::Wish;
use crate::curate::quarantine::{self, Local, PREFIX, Report, Search};
use crate::curate::words::counted;
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Place};
use crate::model::{Digest, ImageList, Name, Problem, ProblemKind, Safe, SourceId, SourceKind, Stack};
use crate::pane::images::RowKey;
use crate::pane::registries::Level;
use crate::pane::{ListCursor, PaneId};

use super::super::actions;
use super::super::jobs::{self, answer};
use super::super::plan as planning;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Ask, Overlay};
use places::Places;

/// Images of this machine that are read.
const MOST: usize = 10_000;

/// A row of the dialog.
#[derive(Debug, Clone, PartialEq)]
pub enum QuarantineRow {
    Heading(Safe),
    /// Something concerned, and how.
    Hit(Safe, Safe),
    /// What was not looked into.
    Dark(Safe),
    /// A repository that was not looked through as a whole, and how far.
    Part(Safe, Safe),
    /// One that was.
    Looked(Safe, Safe),
}

#[derive(Debug, Clone)]
pub struct Quarantine {
    /// What it is about, for the title.
    pub about: Safe,
    suspects: Vec<Digest>,
    source: SourceId,
    /// Whether the source has containers at all: a store has none.
    knows_containers: bool,
    /// `None` while the source did not answer.
    list: Option<Arc<ImageList>>,
    /// Registry and repository, as the search has them.
    places: Vec<(SourceId, String)>,
    search: Search,
    /// Registries that are not looked through, or not all of them.
    beyond: Vec<Safe>,
    /// Images of this machine to read, and those that were.
    images: usize,
    local: BTreeMap<Digest, Stack>,
    pub job: Option<JobId>,
    /// Why the reading ended before its end.
    pub problem: Option<Problem>,
    pub report: Option<Report>,
    pub rows: Vec<QuarantineRow>,
    pub cursor: ListCursor,
}

/// Opens the dialog on what the cursor is on.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    let (Some((about, suspects)), Some(source)) = (suspects(state), state.sources.current.clone()) else {
        return vec![state.toasts.show(ToastKind::Info, "There is no image or layer to look for here, or it is not known yet", None)];
    };
    // An engine that is down keeps nobody from looking through a registry.
    let list = state.images.list.value.clone();
    let images: Vec<Digest> = list.iter().flat_map(|list| &list.images).map(|image| image.id.clone()).take(MOST).collect();
    let count = images.len();
    let Places { all: places, search, wanted, dark: beyond } = Places::new(state);
    let local = list.is_some().then(|| (source.clone(), images));
    let (id, effect) = jobs::start(state, Job::Trace { local, remote: wanted });
    let it = Quarantine {
        about,
        suspects,
        source,
        knows_containers: state.sources.info().is_none_or(|info| info.kind == SourceKind::Engine),
        list,
        places,
        search,
        beyond,
        images: count,
        local: BTreeMap::new(),
        job: Some(id),
        problem: None,
        report: None,
        rows: Vec::new(),
        cursor: ListCursor { height: 1, ..ListCursor::default() },
    };
    state.overlays.push(Overlay::Quarantine(Box::new(it)));
    vec![effect]
}

/// What is looked for, in words and by its digests: an index together with the images in it.
fn suspects(state: &State) -> Option<(Safe, Vec<Digest>)> {
    match state.focus {
        PaneId::Images => {
            let (image, name) = state.images.selected()?;
            let about = name.map_or_else(|| Safe::new(image.id.short()), |name| Safe::ascii(name.familiar()));
            Some((about, vec![image.id.clone()]))
        }
        PaneId::Registries => {
            let registries = &state.registries;
            match registries.level {
                Level::Tags => {
                    let details = registries.tags.selected_details()?;
                    let parts = details.children.iter().filter(|child| child.about.is_none()).map(|child| child.digest.clone());
                    Some((registries.name(&details.tag).safe(), std::iter::once(details.digest.clone()).chain(parts).collect()))
                }
                Level::Parts => registries.parts.selected_image().map(|digest| (Safe::new(digest.short()), vec![digest.clone()])),
                Level::Hosts | Level::Repositories => None,
            }
        }
        PaneId::Layers => {
            let step = state.layers.history().get(*state.layers.steps.get(state.layers.cursor.at)?)?;
            let digest = step.diff_id.as_ref().or(step.layer_digest.as_ref()).filter(|_| state.layers.dockerfile.is_none())?;
            Some((Safe::from(format!("layer {}", digest.short())), vec![digest.clone()]))
        }
        _ => None,
    }
}

/// Something was read, or all that can be.
pub(in crate::app) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let mine = state.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Quarantine(it) if it.job == Some(id) => Some(it),
        _ => None,
    });
    let Some(it) = mine else { return Vec::new() };
    let ended = !matches!(event, JobEvent::Chunk(_));
    match answer(event, "read what images are made of") {
        Ok(JobOutput::Stacks(stacks)) => it.local.extend(stacks.into_iter().map(|stack| (stack.digest.clone(), stack))),
        Ok(JobOutput::Found(found)) => found.into_iter().for_each(|(at, found)| it.search.take(at, found)),
        Ok(_) => {}
        Err(problem) => it.problem = Some(problem),
    }
    if ended {
        it.job = None;
        it.think();
    }
    Vec::new()
}

/// The report was written.
pub(in crate::app) fn saved(state: &mut State, event: JobEvent) -> Vec<Effect> {
    match answer(event, "write the report") {
        Ok(JobOutput::Saved(file)) => {
            vec![state.toasts.show(ToastKind::Good, "The report is written", Some(Safe::from(file.display().to_string())))]
        }
        Ok(_) => Vec::new(),
        Err(problem) => vec![state.toasts.problem(&problem)],
    }
}

/// Writes the report of the dialog that is open: as JSON where the file's name says so, else as Markdown.
pub(super) fn save_to(state: &mut State, file: &str) -> Vec<Effect> {
    let report = state.overlays.iter().rev().find_map(|overlay| match overlay {
        Overlay::Quarantine(it) => it.report.as_ref(),
        _ => None,
    });
    let Some(report) = report else { return Vec::new() };
    let file = super::prompt::path(state, file);
    let json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = if json { serde_json::to_string_pretty(report).map(|text| text + "\n") } else { Ok(report.markdown()) };
    match text {
        Ok(text) => vec![jobs::start(state, Job::SaveText { text, file }).1],
        Err(error) => vec![state.toasts.problem(&Problem::new(ProblemKind::Other, "write the report", error.to_string()))],
    }
}

impl Quarantine {
    /// Thinks through what is known.
    fn think(&mut self) {
        let read = |image: &Digest| self.local.get(image).and_then(quarantine::layers);
        let images = self.list.iter().flat_map(|list| &list.images);
        let local: Vec<Local<'_>> = images.map(|image| Local { image, layers: read(&image.id) }).collect();
        let mut report = quarantine::trace_all(&self.suspects, &local, &self.search.manifests());
        if let Some(report) = &mut report {
            self.search.add_to(report);
            if !self.knows_containers {
                report.not_looked_into.containers = 0;
            }
        }
        let mut beyond = self.beyond.clone();
        if self.list.is_none() {
            beyond.insert(0, Safe::new("the images of this machine: not known"));
        }
        self.rows = report.as_ref().map(|report| rows(report, beyond)).unwrap_or_default();
        self.report = report;
        self.cursor.set_len(self.rows.len());
        self.cursor.go(usize::from(self.rows.len() > 1));
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let action = state.settings.keymap.action(chord, &[Place::List, Place::Rows, Place::Images]);
        let leaves = chord.key == Key::Esc || chord == Chord::char('q') || action == Some(Action::Quarantine);
        let effects = match action {
            // What was read so far can still be looked at.
            _ if leaves && self.job.is_some() => self.stop(state),
            _ if leaves => return Vec::new(),
            Some(Action::Retag) if self.report.is_some() => return self.plan(state, true),
            Some(Action::Delete) if self.report.is_some() => return self.plan(state, false),
            Some(Action::Mark) if self.report.is_some() => return self.mark(state),
            Some(Action::Export) if self.report.is_some() => {
                state.overlays.push(Overlay::Quarantine(self));
                let about = Safe::new("Markdown, or JSON where the name ends in .json; a file that is there is left alone");
                actions::ask(
                    state,
                    Ask::SaveReport,
                    "Write the list into a file",
                    Some(about),
                    "quarantine.md".to_owned(),
                    "Enter write · Esc cancel",
                );
                return Vec::new();
            }
            Some(action) => {
                self.cursor.act(action);
                Vec::new()
            }
            None => Vec::new(),
        };
        state.overlays.push(Overlay::Quarantine(self));
        effects
    }

    fn stop(&mut self, state: &mut State) -> Vec<Effect> {
        let Some(id) = self.job.take() else { return Vec::new() };
        state.jobs.remove(&id);
        self.think();
        vec![Effect::Cancel(id)]
    }

    /// What was found goes into the plan: to be put away under another name, or to be deleted.
    fn plan(self: Box<Self>, state: &mut State, away: bool) -> Vec<Effect> {
        let prefix = away.then_some(PREFIX);
        let local = self.report.as_ref().map(|report| report.wishes_here(prefix)).unwrap_or_default();
        let remote = self.wishes_there(prefix);
        let may = |source: &SourceId| {
            let info = state.sources.get(source);
            !state.settings.read_only && info.is_none_or(|info| !info.read_only && info.powers.tag && info.powers.remove)
        };
        let found = !(local.is_empty() && remote.is_empty());
        let local = Some(local).filter(|local| !local.is_empty() && may(&self.source));
        let (remote, locked): (BTreeMap<_, _>, BTreeMap<_, _>) = remote.into_iter().partition(|((source, _), _)| may(source));
        if local.is_none() && remote.is_empty() || state.plan.is_running() {
            let what = if away { "No name to put away" } else { "Nothing to delete" };
            let why = match (state.plan.is_running(), found) {
                (true, _) => "The plan runs: wait for its end, or cancel it in the tasks",
                (false, true) => "Nothing can be changed there",
                (false, false) => what,
            };
            state.overlays.push(Overlay::Quarantine(self));
            return vec![state.toasts.show(ToastKind::Info, why, None)];
        }
        let mut effects = Vec::new();
        if let (Some(list), Some(local)) = (&self.list, local) {
            effects.extend(planning::want_local(state, &self.source, list, local));
        }
        effects.extend(planning::want_in_registries(state, remote));
        if !locked.is_empty() {
            let words = format!("{} can't be changed: left out", counted_repositories(locked.len()));
            effects.push(state.toasts.show(ToastKind::Warning, words, None));
        }
        effects
    }

    /// What is wanted of the tags in registries, by repository.
    fn wishes_there(&self, away: Option<&str>) -> BTreeMap<(SourceId, String), Vec<Wish>> {
        let mut all: BTreeMap<(SourceId, String), Vec<Wish>> = BTreeMap::new();
        for (name, wishes) in self.report.iter().flat_map(|report| report.wishes_there(away)) {
            if let Some(place) = self.place_of(&name) {
                all.entry(place.clone()).or_default().extend(wishes);
            }
        }
        all
    }

    /// The repository that a tag is in.
    fn place_of(&self, tag: &Name) -> Option<&(SourceId, String)> {
        let (host, repository) = tag.split().0.split_once('/')?;
        self.places.iter().find(|(source, name)| name == repository && source.registry_host() == Some(host))
    }

    /// Marks what was found in the panes.
    fn mark(self, state: &mut State) -> Vec<Effect> {
        let Some(report) = &self.report else { return Vec::new() };
        let named = report.names_here().into_iter().map(|(id, name)| RowKey { id, name: Some(name) });
        state.images.marks = named.chain(report.untagged_here().into_iter().map(|id| RowKey { id, name: None })).collect();
        let (local, there) = (state.images.marks.len(), report.tags_there());
        state.images.prune_marks();
        let tags = &state.registries.tags;
        let shown =
            |name: &Name| self.place_of(name).is_some_and(|(at, name)| tags.source.as_ref() == Some(at) && tags.repository == *name);
        let marks: BTreeSet<String> =
            there.iter().filter(|(_, name)| shown(name)).filter_map(|(_, name)| name.split().1.map(str::to_owned)).collect();
        let (remote, elsewhere) = (marks.len(), there.len() - marks.len());
        state.registries.tags.marks = marks;
        let words = format!("Marked: {} here, {remote} in the repository", counted(local, "name"));
        let hint = (elsewhere > 0).then(|| Safe::from(format!("{} in other repositories: no pane shows them", counted(elsewhere, "tag"))));
        vec![state.toasts.show(ToastKind::Info, words, hint)]
    }

    /// How far it was read, while it is.
    #[must_use]
    pub fn progress(&self) -> Option<Safe> {
        self.job?;
        let (read, of) = self.read();
        Some(Safe::from(format!("reading what images are made of: {read} of {of}")))
    }

    /// How many questions were answered, and how many there are so far.
    #[must_use]
    pub fn read(&self) -> (usize, usize) {
        let (told, asked) = self.search.progress();
        let of = self.images + asked;
        ((self.local.len() + told).min(of), of)
    }

    /// How many repositories were looked through, where there are several.
    #[must_use]
    pub fn repositories(&self) -> Option<Safe> {
        let (ended, all) = self.search.ended();
        (all > 1).then(|| Safe::from(format!("{ended} of {} looked through", counted_repositories(all))))
    }

    /// What is to be known whatever part of the list is on the screen: why the reading ended before its end, or that not all was looked into.
    #[must_use]
    pub fn warning(&self) -> Option<Safe> {
        if let Some(problem) = &self.problem {
            return Some(Safe::from(format!("stopped: {}", problem.cause)));
        }
        let report = self.report.as_ref()?;
        let (part, all) = (report.not_looked_into.repositories, report.repositories.len());
        let here = report.not_looked_into.local;
        let words = match (here, part) {
            (0, 0) if self.list.is_none() => "not looked into: the images of this machine".to_owned(),
            (0, 0) => return None,
            (0, part) => format!("not looked into as a whole: {part} of {}", counted_repositories(all)),
            (here, 0) => format!("not looked into: {} here", counted(here, "image")),
            (here, part) => format!("not looked into: {} here, nor all of {part} of {}", counted(here, "image"), counted_repositories(all)),
        };
        Some(Safe::from(words))
    }
}

fn counted_repositories(n: usize) -> String {
    if n == 1 { "1 repository".to_owned() } else { format!("{n} repositories") }
}

fn rows(report: &Report, beyond: Vec<Safe>) -> Vec<QuarantineRow> {
    let mut rows = Vec::new();
    let mut section = |title: String, hits: Vec<QuarantineRow>| {
        if !hits.is_empty() {
            rows.push(QuarantineRow::Heading(Safe::from(title)));
            rows.extend(hits);
        }
    };
    let mut users: Vec<_> = report.containers.iter().collect();
    users.sort_by_key(|hit| !hit.container.running);
    let containers: Vec<_> = users.iter().map(|hit| QuarantineRow::Hit(hit.container.name.safe(), hit.container.state.safe())).collect();
    section(counted(containers.len(), "container"), containers);
    let here = report.local.iter().flat_map(|hit| {
        let how = Safe::from(hit.how.words());
        let names: Vec<Safe> = match hit.tags.as_slice() {
            [] => vec![Safe::from(format!("{} without a tag", hit.id.short()))],
            tags => tags.iter().map(|tag| Safe::ascii(tag.familiar())).collect(),
        };
        names.into_iter().map(move |name| QuarantineRow::Hit(name, how.clone()))
    });
    section(format!("{} here", counted(report.local.len(), "image")), here.collect());
    let there = report.remote.iter().map(|hit| QuarantineRow::Hit(hit.name.safe(), Safe::from(hit.how.words())));
    section(format!("{} in registries", counted(report.remote.len(), "manifest")), there.collect());
    let dark = report.not_looked_into;
    let words = [
        (dark.local, format!("{} here: not read", counted(dark.local, "image"))),
        (dark.containers, format!("the containers of {}: not known", counted(dark.containers, "image"))),
    ];
    let mut unknown: Vec<_> = words.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| QuarantineRow::Dark(Safe::from(words))).collect();
    let (whole, part): (Vec<_>, Vec<_>) = report.repositories.iter().partition(|one| one.is_whole());
    unknown.extend(part.iter().map(|one| QuarantineRow::Part(Safe::new(&one.name), one.words())));
    unknown.extend(beyond.into_iter().map(QuarantineRow::Dark));
    section("Not looked into".to_owned(), unknown);
    let looked: Vec<_> = whole.iter().map(|one| QuarantineRow::Looked(Safe::new(&one.name), one.words())).collect();
    section(format!("{} looked through", counted_repositories(looked.len())), looked);
    if report.local.is_empty() && report.remote.is_empty() {
        rows.insert(0, QuarantineRow::Heading(Safe::new("Nothing found, as far as was looked")));
    }
    rows
}
