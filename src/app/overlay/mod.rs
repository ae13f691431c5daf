//! What stands over the panes: dialogs, prompts, menus, the palette, help and the inspect view. A stack; the top one has the keys.

pub mod cleanup;
pub mod compare;
pub mod confirm;
pub mod file;
pub mod help;
pub mod inspect;
pub mod menu;
pub mod palette;
pub mod path;
mod preview;
pub mod prompt;
pub mod quarantine;
pub mod rename;
pub mod space;

pub use cleanup::{CleanRow, CleanUp};
pub use compare::Compare;
pub use confirm::{Agreed, Confirm, Tone};
pub use file::{FileAt, FileView};
pub use help::{Help, HelpRow};
pub use inspect::{Inspect, InspectLine};
pub use menu::{Choice, Menu, MenuItem};
pub use palette::Palette;
pub use prompt::{Ask, Prompt};
pub use quarantine::{Quarantine, QuarantineRow};
pub use rename::{Rename, RenameLine, RenameText, Standing};
pub use space::{SpaceRow, SpaceView};

pub(super) use preview::{offer_overwrite, previewed, wait};

use tui_input::{Input, InputRequest};

use crate::curate::plan::Wish;
use crate::flow::{Action, Chord, Effect, JobId, Key, Place};
use crate::model::{Problem, Progress, Safe};
use crate::pane::{Area, ListCursor};

use super::state::State;

#[derive(Debug)]
pub enum Overlay {
    Confirm(Confirm),
    Prompt(Prompt),
    Menu(Menu),
    Palette(Palette),
    Help(Help),
    Inspect(Inspect),
    Rename(Box<Rename>),
    CleanUp(Box<CleanUp>),
    Quarantine(Box<Quarantine>),
    File(Box<FileView>),
    Compare(Box<Compare>),
    Space(Box<SpaceView>),
    /// Something is being read before a dialog can be shown, or before what is wished can go into the plan.
    Waiting {
        what: Safe,
        job: JobId,
        wishes: Vec<Wish>,
    },
}

impl Overlay {
    /// Takes the size of the screen: how many rows fit.
    pub fn fit(&mut self, screen: Area) {
        let height = usize::from(Self::frame(screen).inner().height);
        match self {
            Self::Menu(menu) => menu.cursor.set_height(height),
            Self::Palette(palette) => palette.cursor.set_height(height.saturating_sub(2)),
            Self::Rename(rename) => rename.fit(height),
            Self::CleanUp(it) => it.cursor.set_height(height.saturating_sub(5)),
            Self::Quarantine(it) => it.cursor.set_height(height.saturating_sub(3)),
            // It takes all of the screen.
            Self::Compare(it) => it.cursor.set_height(usize::from(screen.height).saturating_sub(2 + 1 + compare::AROUND).max(1)),
            Self::File(it) => it.fit(height),
            Self::Space(it) => it.cursor.set_height(height.saturating_sub(space::AROUND)),
            Self::Help(help) => {
                help.height = height;
                help.scroll = help.scroll.min(help.rows.len().saturating_sub(height));
            }
            Self::Inspect(inspect) => {
                inspect.height = height;
                inspect.scroll = inspect.scroll.min(inspect.lines.len().saturating_sub(height));
            }
            Self::Confirm(_) | Self::Prompt(_) | Self::Waiting { .. } => {}
        }
    }

    /// Whether something is read for it, whose progress is to be seen.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::CleanUp(it) => it.asked.job.is_some(),
            Self::Quarantine(it) => it.job.is_some(),
            Self::Compare(it) => it.job.is_some(),
            Self::File(it) => it.content.is_loading(),
            Self::Space(it) => it.is_reading,
            _ => false,
        }
    }

    /// The largest box an overlay may take.
    #[must_use]
    pub fn frame(screen: Area) -> Area {
        screen.centered(screen.width.saturating_sub(4).min(110), screen.height.saturating_sub(2).min(46))
    }

    /// Whether pasted lines stay lines here.
    #[must_use]
    pub fn takes_lines(&self) -> bool {
        matches!(self, Self::Rename(rename) if rename.text.is_some())
    }

    /// Scrolls by rows, down if positive.
    pub fn scroll(&mut self, rows: isize) {
        match self {
            Self::Menu(Menu { cursor, .. }) | Self::Palette(Palette { cursor, .. }) => {
                cursor.go(cursor.at.saturating_add_signed(rows.signum()));
            }
            Self::Rename(rename) => rename.scroll(rows),
            Self::CleanUp(it) => it.cursor.scroll(rows),
            Self::Quarantine(it) => it.cursor.scroll(rows),
            Self::Compare(it) => it.cursor.scroll(rows),
            Self::File(it) => it.scroll(rows),
            Self::Space(it) => it.cursor.scroll(rows),
            Self::Help(help) => help.scroll = scrolled(help.scroll, rows, help.rows.len(), help.height),
            Self::Inspect(inspect) => inspect.scroll = scrolled(inspect.scroll, rows, inspect.lines.len(), inspect.height),
            Self::Confirm(confirm) => confirm.scroll = scrolled(confirm.scroll, rows, confirm.lines.len(), 1),
            Self::Prompt(_) | Self::Waiting { .. } => {}
        }
    }
}

fn scrolled(from: usize, rows: isize, len: usize, height: usize) -> usize {
    from.saturating_add_signed(rows).min(len.saturating_sub(height.max(1)))
}

/// Gives a key to the overlay that was on top. It is put back unless the key ended it.
pub(super) fn key(state: &mut State, top: Overlay, chord: Chord, held: bool) -> Vec<Effect> {
    match top {
        Overlay::Confirm(confirm) => confirm.key(state, chord, held),
        Overlay::Prompt(prompt) => prompt.key(state, chord),
        Overlay::Menu(menu) => menu.key(state, chord),
        Overlay::Palette(palette) => palette.key(state, chord),
        Overlay::Rename(rename) => rename.key(state, chord),
        Overlay::CleanUp(it) => it.key(state, chord),
        Overlay::Quarantine(it) => it.key(state, chord),
        Overlay::File(it) => it.key(state, chord),
        Overlay::Compare(it) => it.key(state, chord),
        Overlay::Space(it) => it.key(state, chord),
        Overlay::Help(help) => read(state, Overlay::Help(help), chord),
        Overlay::Inspect(inspect) => read(state, Overlay::Inspect(inspect), chord),
        Overlay::Waiting { what, job, wishes } => {
            if chord.key == Key::Esc {
                state.jobs.remove(&job);
                return vec![Effect::Cancel(job)];
            }
            state.overlays.push(Overlay::Waiting { what, job, wishes });
            Vec::new()
        }
    }
}

/// Keys of an overlay that is only read: the list keys scroll, whatever leaves a pane leaves it.
fn read(state: &mut State, mut overlay: Overlay, chord: Chord) -> Vec<Effect> {
    let action = state.settings.keymap.action(chord, &[Place::List, Place::Deck, Place::Images]);
    let height = match &overlay {
        Overlay::Help(help) => help.height,
        Overlay::Inspect(inspect) => inspect.height,
        _ => 1,
    };
    let page = isize::try_from(height.max(1)).unwrap_or(1);
    let rows = match action {
        Some(Action::Back | Action::Quit | Action::Help | Action::Open) => return Vec::new(),
        Some(Action::Up) => -1,
        Some(Action::Down) => 1,
        Some(Action::PageUp) => -page,
        Some(Action::PageDown) => page,
        Some(Action::HalfUp) => -(page / 2).max(1),
        Some(Action::HalfDown) => (page / 2).max(1),
        Some(Action::Top) => isize::MIN / 2,
        Some(Action::Bottom) => isize::MAX / 2,
        Some(Action::Drift) => {
            let effect = if let Overlay::Inspect(inspect) = &mut overlay { inspect::ask_about_base(state, inspect) } else { None };
            state.overlays.push(overlay);
            return effect.into_iter().collect();
        }
        Some(Action::Left | Action::Right) => {
            if let Overlay::Inspect(inspect) = &mut overlay {
                let step = if action == Some(Action::Left) { inspect.shift.saturating_sub(8) } else { inspect.shift.saturating_add(8) };
                inspect.shift = step.min(4000);
            }
            0
        }
        _ => 0,
    };
    overlay.scroll(rows);
    state.overlays.push(overlay);
    Vec::new()
}

/// Puts pasted characters into the line of the top overlay, if it has one.
pub(super) fn paste(state: &mut State, text: &[char]) -> Vec<Effect> {
    match state.overlays.pop() {
        Some(Overlay::Prompt(mut prompt)) => {
            insert(&mut prompt.input, text);
            prompt::check(state, &mut prompt);
            state.overlays.push(Overlay::Prompt(prompt));
        }
        Some(Overlay::Palette(mut palette)) => {
            insert(&mut palette.input, text);
            palette.search(state);
            state.overlays.push(Overlay::Palette(palette));
        }
        Some(Overlay::Rename(mut rename)) => {
            insert(&mut rename.input, text);
            rename.think(state);
            state.overlays.push(Overlay::Rename(rename));
        }
        Some(other) => state.overlays.push(other),
        None => {}
    }
    Vec::new()
}

/// Puts pasted lines into the text of the top overlay, which takes them.
pub(super) fn paste_lines(state: &mut State, text: &str) -> Vec<Effect> {
    if let Some(Overlay::Rename(mut rename)) = state.overlays.pop() {
        rename.paste(state, text);
        state.overlays.push(Overlay::Rename(rename));
    }
    Vec::new()
}

/// Labels came that a rule for new names may look at.
pub(super) fn labelled(state: &mut State) {
    let Some(at) = state.overlays.iter().position(|overlay| matches!(overlay, Overlay::Rename(_))) else { return };
    let mut overlay = state.overlays.remove(at);
    if let Overlay::Rename(rename) = &mut overlay {
        rename.labelled(state);
    }
    state.overlays.insert(at, overlay);
}

/// How far the reading for an overlay is.
pub(super) fn progressed(state: &mut State, id: JobId, progress: &Progress) {
    compare::progressed(state, id, progress);
    file::progressed(state, id, progress);
}

/// The user's editor has ended.
pub(super) fn edited(state: &mut State, edited: Result<String, Problem>) -> Vec<Effect> {
    // Something may have come over it meanwhile.
    let Some(at) = state.overlays.iter().position(|overlay| matches!(overlay, Overlay::Rename(_))) else { return Vec::new() };
    let mut overlay = state.overlays.remove(at);
    let effects = match &mut overlay {
        Overlay::Rename(rename) => rename.edited(state, edited),
        _ => Vec::new(),
    };
    state.overlays.insert(at, overlay);
    effects
}

fn insert(input: &mut Input, text: &[char]) {
    for c in text {
        input.handle(InputRequest::InsertChar(*c));
    }
}

/// Moves the cursor of a short list with the arrows, and with the list keys where letters are not typed.
fn move_cursor(state: &State, cursor: &mut ListCursor, chord: Chord, letters_typed: bool) -> bool {
    let action = match chord.key {
        Key::Up => Some(Action::Up),
        Key::Down => Some(Action::Down),
        Key::PageUp => Some(Action::PageUp),
        Key::PageDown => Some(Action::PageDown),
        _ if letters_typed => None,
        _ => state.settings.keymap.action(chord, &[Place::List]),
    };
    action.is_some_and(|action| cursor.act(action))
}
