//! Two images side by side: what differs in their settings, layers, files and packages. What their documents say is there at once; the rest once
//! their layers are read, which may take long and can be stopped.

mod sides;

use crate::curate::compare as reckon;
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput, Key, Place, Shared};
use crate::model::comparison::{Changed, Comparison, LayerChange, Section, Side};
use crate::model::{ImageKey, Problem, Progress, Safe, SourceId};
use crate::pane::ListCursor;

use super::super::actions;
use super::super::jobs::{self, answer};
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Ask, Overlay};

/// Rows of the dialog that are no rows of its list: the sections, what is compared, gaps, the row under the cursor in full, the keys.
pub const AROUND: usize = 9;

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
    pub found: Option<Shared<Comparison>>,
    /// Why not all is known.
    pub problems: Vec<Problem>,
    pub section: Section,
    /// Parts of names that rows must have to be seen, in lower case.
    pub filter: String,
    /// Those that have them; all when there is no filter, and until the first are found.
    kept: Option<Kept>,
    /// The job that finds them.
    pub sifting: Option<JobId>,
    pub cursor: ListCursor,
    pub shift: u16,
}

/// Some rows of a section: what they are rows of, and their places in it.
#[derive(Debug)]
struct Kept {
    found: Shared<Comparison>,
    rows: Vec<usize>,
}

/// Opens the dialog on the two images that are marked, or on the one that is and the one under the cursor.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    match sides::sides(state) {
        Ok([before, after]) => begin(state, before, after, Section::default()),
        Err((why, what_to_do)) => vec![state.toasts.show(ToastKind::Info, why, Some(what_to_do))],
    }
}

fn begin(state: &mut State, before: Compared, after: Compared, section: Section) -> Vec<Effect> {
    let (job, effect) = jobs::start(state, Job::Compare(Box::new([before.at.clone(), after.at.clone()])));
    let it = Compare {
        before,
        after,
        job: Some(job),
        progress: Progress::default(),
        found: None,
        problems: Vec::new(),
        section,
        filter: String::new(),
        kept: None,
        sifting: None,
        cursor: ListCursor { height: 1, ..ListCursor::default() },
        shift: 0,
    };
    state.overlays.push(Overlay::Compare(Box::new(it)));
    vec![effect]
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
        Ok(JobOutput::Compared(found, problems)) => (it.found, it.problems) = (Some(found.into()), problems),
        Ok(_) => {}
        Err(problem) => it.problems = vec![problem],
    }
    if ended {
        it.job = None;
    }
    if it.kept.is_none() {
        it.keep_none();
    }
    sift(state)
}

/// Shows only rows that have all these parts in their names.
pub(super) fn find(state: &mut State, text: &str) -> Vec<Effect> {
    if let Some(it) = top(state) {
        text.trim().to_lowercase().clone_into(&mut it.filter);
    }
    sift(state)
}

fn top(state: &mut State) -> Option<&mut Compare> {
    state.overlays.iter_mut().rev().find_map(|overlay| match overlay {
        Overlay::Compare(it) => Some(&mut **it),
        _ => None,
    })
}

/// Has the rows found that are to be seen, where that is not all of them. Those that were seen stay until then.
fn sift(state: &mut State) -> Vec<Effect> {
    let Some(it) = top(state) else { return Vec::new() };
    let wanted = it.found.clone().filter(|found| !it.filter.is_empty() && found.rows_of(it.section).is_some());
    let Some(found) = wanted else {
        it.kept = None;
        it.cursor.set_len(it.len());
        return it.sifting.take().map(|id| stop(state, id)).into_iter().collect();
    };
    let (section, filter) = (it.section, it.filter.clone());
    it.cursor.set_len(it.len());
    let (id, effect) = jobs::start(state, Job::SiftComparison { found, section, filter });
    if let Some(it) = top(state) {
        it.sifting = Some(id);
    }
    vec![effect]
}

fn stop(state: &mut State, id: JobId) -> Effect {
    state.jobs.remove(&id);
    Effect::Cancel(id)
}

/// The rows that are to be seen were found.
pub(in crate::app) fn sifted(state: &mut State, id: JobId, found: Shared<Comparison>, event: JobEvent) -> Vec<Effect> {
    let Some(it) = top(state).filter(|it| it.sifting == Some(id)) else { return Vec::new() };
    it.sifting = None;
    match answer(event, "find what differs") {
        Ok(JobOutput::Sifted(rows)) => it.kept = Some(Kept { found, rows }),
        Ok(_) => {}
        // All rows are better than some that are none of those.
        Err(problem) => {
            it.filter.clear();
            it.kept = None;
            it.cursor.set_len(it.len());
            return vec![state.toasts.problem(&problem)];
        }
    }
    it.cursor.set_len(it.len());
    Vec::new()
}

/// Writes what differs into a file.
pub(super) fn save_to(state: &mut State, file: &str) -> Vec<Effect> {
    let file = super::prompt::path(state, file);
    let Some(it) = top(state) else { return Vec::new() };
    let Some(found) = it.found.clone() else { return Vec::new() };
    let names = Box::new([it.before.name.clone(), it.after.name.clone()]);
    vec![jobs::start(state, Job::SaveComparison { found, names, file }).1]
}

impl Compare {
    /// How many rows a section has; `None` where that is not known.
    #[must_use]
    pub fn rows_of(&self, section: Section) -> Option<usize> {
        self.found.as_ref()?.rows_of(section)
    }

    /// How many rows are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or_else(|| self.rows_of(self.section).unwrap_or(0), |kept| kept.rows.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row that is shown at a place.
    #[must_use]
    pub fn row(&self, at: usize) -> Option<CompareRow> {
        let (found, at) = match &self.kept {
            Some(kept) => (&kept.found, *kept.rows.get(at)?),
            None => (self.found.as_ref()?, at),
        };
        Some(match self.section {
            Section::Settings => {
                let one = found.config.get(at)?;
                let sign = Changed::between(one.before.is_some(), one.after.is_some()).sign();
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
            Section::Findings => {
                let one = found.findings.as_ref()?.get(at)?;
                let (here, not) = (one.finding.title.safe(), Safe::new("–"));
                let (before, after) = if one.change == Changed::Removed { (here, not) } else { (not, here) };
                CompareRow { sign: one.change.sign(), what: reckon::finding(one), before, after }
            }
            Section::Packages => {
                let one = found.packages.as_ref()?.get(at)?;
                let sign = Changed::between(one.before.is_some(), one.after.is_some()).sign();
                let what = Safe::from(format!("{} ({})", one.name.safe(), one.kind.name()));
                CompareRow { sign, what, before: reckon::version(one.before.as_ref()), after: reckon::version(one.after.as_ref()) }
            }
        })
    }

    /// Until rows are found that are to be seen there are none: those of another section or of less would be taken for them.
    fn keep_none(&mut self) {
        let found = self.found.clone().filter(|_| !self.filter.is_empty());
        self.kept = found.map(|found| Kept { found, rows: Vec::new() });
    }

    fn turn(&mut self, section: Section) {
        if self.section != section {
            self.section = section;
            self.keep_none();
        }
        self.cursor.go(0);
        self.shift = 0;
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        let action = state.settings.keymap.action(chord, &[Place::List, Place::Rows, Place::Images, Place::Deck]);
        let mut effects = Vec::new();
        let was = (self.section, self.filter.is_empty());
        match (chord.key, action) {
            (Key::Esc, _) if !self.filter.is_empty() => self.filter.clear(),
            // What is known by then can still be looked at.
            (Key::Esc, _) | (_, Some(Action::Quit)) => match self.job.take() {
                Some(id) => {
                    state.jobs.remove(&id);
                    self.problems = vec![Problem::cancelled("read the layers")];
                    effects.push(Effect::Cancel(id));
                }
                None => return self.sifting.map(|id| stop(state, id)).into_iter().collect(),
            },
            (Key::Tab, _) => self.turn(self.section.beside(if chord.mods.shift { -1 } else { 1 })),
            (Key::Char(digit @ '1'..='5'), _) => {
                let at = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1);
                self.turn(Section::ALL.get(at - 1).copied().unwrap_or_default());
            }
            // The other way round.
            (_, Some(Action::Compare)) => {
                let mut effects: Vec<Effect> = [self.job, self.sifting].into_iter().flatten().map(|id| stop(state, id)).collect();
                effects.extend(begin(state, self.after, self.before, self.section));
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
        let sifts = was != (self.section, self.filter.is_empty());
        state.overlays.push(Overlay::Compare(self));
        if sifts {
            effects.extend(sift(state));
        }
        effects
    }
}

fn layer(one: &LayerChange) -> CompareRow {
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
