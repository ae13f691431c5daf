//! Two images side by side: what differs in their settings, layers, files and packages. What their documents say is there at once; the rest once
//! their layers are read, which may take long and can be stopped.

use std::sync::Arc;

use jiff::Timestamp;

use crate::curate::compare as reckon;
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Place};
use crate::model::comparison::Comparison;
use crate::model::{ImageKey, Name, Problem, ProblemKind, Progress, Safe, SourceId};
use crate::pane::images::RowKey;
use crate::pane::registries::Level;
use crate::pane::{ListCursor, PaneId};

use super::super::actions;
use super::super::jobs::{self, answer};
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Ask, Overlay};

/// Rows of the dialog that are no rows of its list: the sections, what is compared, gaps, the row under the cursor in full, the keys.
pub const AROUND: usize = 9;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Section {
    #[default]
    Settings,
    Layers,
    Files,
    Packages,
}

impl Section {
    pub const ALL: [Self; 4] = [Self::Settings, Self::Layers, Self::Files, Self::Packages];

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Layers => "Layers",
            Self::Files => "Files",
            Self::Packages => "Packages",
        }
    }

    fn beside(self, step: isize) -> Self {
        let at = Self::ALL.iter().position(|section| *section == self).unwrap_or(0);
        let len = Self::ALL.len();
        Self::ALL.get((at + len).saturating_add_signed(step) % len).copied().unwrap_or_default()
    }
}

/// One of the two: where it is, and its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    pub at: (SourceId, ImageKey),
    pub name: Safe,
}

/// A row: its sign, what it is, and what it is in the first and in the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareRow {
    pub sign: &'static str,
    pub what: Safe,
    pub before: Safe,
    pub after: Safe,
}

#[derive(Debug)]
pub struct Compare {
    pub before: Compared,
    pub after: Compared,
    pub job: Option<JobId>,
    pub progress: Progress,
    pub since: Timestamp,
    pub found: Option<Arc<Comparison>>,
    /// Why not all is known.
    pub problems: Vec<Problem>,
    pub section: Section,
    /// Parts of names that rows must have to be seen, in lower case.
    pub filter: String,
    /// The rows of the section that have them, by their places; all when there is no filter.
    kept: Option<Vec<usize>>,
    pub cursor: ListCursor,
    pub shift: u16,
}

/// Opens the dialog on the two images that are marked, or on the one that is and the one under the cursor.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    match <[Compared; 2]>::try_from(sides(state)) {
        Ok([before, after]) => begin(state, before, after, Section::default()),
        Err(other) => {
            let why = if other.len() > 2 { "More than two images are marked" } else { "Mark the image to compare this one with" };
            vec![state.toasts.show(ToastKind::Info, why, Some(Safe::new("two are compared, here or in a registry")))]
        }
    }
}

fn begin(state: &mut State, before: Compared, after: Compared, section: Section) -> Vec<Effect> {
    let (job, effect) = jobs::start(state, Job::Compare(Box::new([before.at.clone(), after.at.clone()])));
    let it = Compare {
        before,
        after,
        job: Some(job),
        progress: Progress::default(),
        since: state.now,
        found: None,
        problems: Vec::new(),
        section,
        filter: String::new(),
        kept: None,
        cursor: ListCursor { height: 1, ..ListCursor::default() },
        shift: 0,
    };
    state.overlays.push(Overlay::Compare(Box::new(it)));
    vec![effect]
}

/// What is marked, in the order of the panes; with one mark alone also what the cursor is on.
fn sides(state: &State) -> Vec<Compared> {
    let mut sides = marked_here(state);
    sides.extend(marked_there(state));
    if sides.len() < 2 {
        let selected = match state.focus {
            PaneId::Registries => selected_there(state),
            _ => selected_here(state),
        };
        sides.extend(selected.filter(|selected| !sides.contains(selected)));
    }
    sides
}

fn here(state: &State, row: &RowKey) -> Option<Compared> {
    let at = (state.sources.current.clone()?, ImageKey::Id(row.id.clone()));
    Some(Compared { at, name: row.name.as_ref().map_or_else(|| Safe::new(row.id.short()), |name| Safe::ascii(name.familiar())) })
}

fn marked_here(state: &State) -> Vec<Compared> {
    let images = &state.images;
    let marked = images.rows.iter().filter(|row| images.is_marked(**row)).filter_map(|row| images.key(*row));
    let hidden = images.marks.iter().filter(|key| !images.rows.iter().any(|row| images.key(*row).as_ref() == Some(*key)));
    let mut all: Vec<Compared> = marked.collect::<Vec<_>>().iter().chain(hidden).filter_map(|key| here(state, key)).collect();
    all.truncate(3);
    all
}

fn selected_here(state: &State) -> Option<Compared> {
    let (image, name) = state.images.selected()?;
    here(state, &RowKey { id: image.id.clone(), name: name.cloned() })
}

fn there(state: &State, tag: &str) -> Option<Compared> {
    let registries = &state.registries;
    let details = registries.tags.of(tag).filter(|details| details.is_readable())?;
    let reference = Name::new(&format!("{}@{}", registries.name(tag).split().0, details.digest)).reference().ok()?;
    Some(Compared { at: (registries.tags.source.clone()?, ImageKey::Name(reference)), name: registries.name(tag).safe() })
}

fn marked_there(state: &State) -> Vec<Compared> {
    let tags = &state.registries.tags;
    let shown = tags.rows.iter().filter_map(|at| Some(tags.list.get(*at)?.tag.raw()));
    let mut all: Vec<Compared> = shown.filter(|tag| tags.marks.contains(*tag)).filter_map(|tag| there(state, tag)).collect();
    all.truncate(3);
    all
}

fn selected_there(state: &State) -> Option<Compared> {
    if state.registries.level == Level::Tags {
        return there(state, state.registries.tags.selected_details()?.tag.as_str());
    }
    let (source, key) = state.registries.selected_key()?;
    let name = Safe::new(&key.to_string());
    Some(Compared { at: (source, key), name })
}

fn of_job(state: &mut State, id: JobId) -> Option<&mut Compare> {
    state.overlays.iter_mut().find_map(|overlay| match overlay {
        Overlay::Compare(it) if it.job == Some(id) => Some(&mut **it),
        _ => None,
    })
}

/// How far reading is.
pub(super) fn progressed(state: &mut State, id: JobId, progress: &Progress) {
    if let Some(it) = of_job(state, id) {
        it.progress.clone_from(progress);
    }
}

/// What was found, so far or at last.
pub(in crate::app) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let Some(it) = of_job(state, id) else { return Vec::new() };
    let ended = !matches!(event, JobEvent::Chunk(_));
    match answer(event, "compare two images") {
        Ok(JobOutput::Compared(found, problems)) => (it.found, it.problems) = (Some(found), problems),
        Ok(_) => {}
        Err(problem) => it.problems = vec![problem],
    }
    if ended {
        it.job = None;
    }
    it.sift();
    Vec::new()
}

/// Shows only rows that have all these parts in their names.
pub(super) fn find(state: &mut State, text: &str) {
    if let Some(Overlay::Compare(it)) = state.overlays.last_mut() {
        text.trim().to_lowercase().clone_into(&mut it.filter);
        it.sift();
    }
}

/// Writes what differs into a file: as JSON where its name says so, else as Markdown.
pub(super) fn save_to(state: &mut State, file: &str) -> Vec<Effect> {
    let it = state.overlays.iter().rev().find_map(|overlay| match overlay {
        Overlay::Compare(it) => Some(it),
        _ => None,
    });
    let Some((it, found)) = it.and_then(|it| Some((it, it.found.as_ref()?))) else { return Vec::new() };
    let file = super::prompt::path(state, file);
    let json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = if json {
        serde_json::to_string_pretty(&**found).map(|text| text + "\n")
    } else {
        Ok(reckon::markdown(found, &it.before.name, &it.after.name))
    };
    match text {
        Ok(text) => vec![jobs::start(state, Job::SaveText { text, file }).1],
        Err(error) => vec![state.toasts.problem(&Problem::new(ProblemKind::Other, "write the report", error.to_string()))],
    }
}

impl Compare {
    /// How many rows a section has; `None` where that is not known.
    #[must_use]
    pub fn rows_of(&self, section: Section) -> Option<usize> {
        let found = self.found.as_ref()?;
        match section {
            Section::Settings => Some(found.config.len()),
            Section::Layers => Some(found.layers.len()),
            Section::Files => found.files.as_ref().map(Vec::len),
            Section::Packages => found.packages.as_ref().map(Vec::len),
        }
    }

    /// How many rows are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or_else(|| self.rows_of(self.section).unwrap_or(0), Vec::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row that is shown at a place.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<CompareRow> {
        let at = match &self.kept {
            Some(kept) => *kept.get(at)?,
            None => at,
        };
        let found = self.found.as_ref()?;
        Some(match self.section {
            Section::Settings => {
                let one = found.config.get(at)?;
                let sign = sign(one.before.is_some(), one.after.is_some());
                CompareRow {
                    sign,
                    what: Safe::new(&one.field),
                    before: reckon::value(one.before.as_ref()),
                    after: reckon::value(one.after.as_ref()),
                }
            }
            Section::Layers => layer(found.layers.get(at)?),
            Section::Files => {
                let one = found.files.as_ref()?.get(at)?;
                let (before, after) = (reckon::file(one.before.as_ref()), reckon::file(one.after.as_ref()));
                CompareRow { sign: one.change.sign(), what: Safe::from(format!("/{}", one.path.safe())), before, after }
            }
            Section::Packages => {
                let one = found.packages.as_ref()?.get(at)?;
                let sign = sign(one.before.is_some(), one.after.is_some());
                let what = Safe::from(format!("{} ({})", one.name.safe(), one.kind.name()));
                CompareRow { sign, what, before: reckon::version(one.before.as_ref()), after: reckon::version(one.after.as_ref()) }
            }
        })
    }

    /// Finds the rows that are to be seen.
    fn sift(&mut self) {
        self.kept = None;
        if !self.filter.is_empty() {
            let all = 0..self.rows_of(self.section).unwrap_or(0);
            let parts: Vec<&str> = self.filter.split_whitespace().collect();
            let fits = |at: &usize| self.name(*at).is_some_and(|name| parts.iter().all(|part| name.contains(part)));
            self.kept = Some(all.filter(fits).collect());
        }
        self.cursor.set_len(self.len());
    }

    /// What a row is about, in lower case.
    fn name(&self, at: usize) -> Option<String> {
        let found = self.found.as_ref()?;
        Some(match self.section {
            Section::Settings => found.config.get(at)?.field.to_lowercase(),
            Section::Layers => found.layers.get(at)?.created_by.as_ref()?.raw().to_lowercase(),
            Section::Files => format!("/{}", found.files.as_ref()?.get(at)?.path.raw().to_lowercase()),
            Section::Packages => found.packages.as_ref()?.get(at)?.name.raw().to_lowercase(),
        })
    }

    fn turn(&mut self, section: Section) {
        self.section = section;
        self.cursor.go(0);
        self.shift = 0;
        self.sift();
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let action = state.settings.keymap.action(chord, &[Place::List, Place::Rows, Place::Images, Place::Deck]);
        let mut effects = Vec::new();
        match (chord.key, action) {
            (Key::Esc, _) if !self.filter.is_empty() => {
                self.filter.clear();
                self.sift();
            }
            // What is known by then can still be looked at.
            (Key::Esc, _) | (_, Some(Action::Quit)) => match self.job.take() {
                Some(id) => {
                    state.jobs.remove(&id);
                    self.problems = vec![Problem::cancelled("read the layers")];
                    effects.push(Effect::Cancel(id));
                }
                None => return Vec::new(),
            },
            (Key::Tab, _) => self.turn(self.section.beside(if chord.mods.shift { -1 } else { 1 })),
            (Key::Char(digit @ '1'..='4'), _) => {
                let at = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1);
                self.turn(Section::ALL.get(at - 1).copied().unwrap_or_default());
            }
            // The other way round.
            (_, Some(Action::Compare)) => {
                let stop = self.job.map(Effect::Cancel);
                let mut effects = begin(state, self.after, self.before, self.section);
                effects.splice(0..0, stop);
                return effects;
            }
            (_, Some(Action::Export)) if self.found.is_some() => {
                state.overlays.push(Overlay::Compare(self));
                let about = Safe::new("Markdown, or JSON where the name ends in .json; a file that is there is left alone");
                let file = super::prompt::in_export_dir(state, "comparison.md");
                actions::ask(state, Ask::SaveComparison, "Write what differs into a file", Some(about), file, "Enter write · Esc cancel");
                return Vec::new();
            }
            (_, Some(Action::Filter)) => {
                let text = self.filter.clone();
                state.overlays.push(Overlay::Compare(self));
                let about = Some(Safe::new("parts of names, between spaces"));
                actions::ask(state, Ask::FindDifference, "Find what differs", about, text, "Enter find · Esc cancel");
                return Vec::new();
            }
            (_, Some(Action::Left)) => self.shift = self.shift.saturating_sub(8),
            (_, Some(Action::Right)) => self.shift = self.shift.saturating_add(8).min(4000),
            (_, Some(action)) => _ = self.cursor.act(action),
            (_, None) => {}
        }
        state.overlays.push(Overlay::Compare(self));
        effects
    }
}

const fn sign(before: bool, after: bool) -> &'static str {
    match (before, after) {
        (false, _) => "+",
        (_, false) => "-",
        _ => "~",
    }
}

fn layer(one: &crate::model::comparison::LayerChange) -> CompareRow {
    use crate::model::comparison::Side;
    let id = one.diff_id.as_ref().map_or("?", |id| id.short());
    let bytes = one.size.map(crate::model::size::human).unwrap_or_default();
    let told = Safe::from(format!("{id} {bytes}"));
    let nothing = || Safe::new("–");
    let (before, after) = match one.change {
        Side::Shared => (told.clone(), told),
        Side::Removed => (told, nothing()),
        Side::Added => (nothing(), told),
    };
    CompareRow { sign: one.change.sign(), what: reckon::version(one.created_by.as_ref()), before, after }
}
