//! The one way in: `update` takes a message, changes the state, and says what is to be done.

use std::time::Duration;

use tui_input::InputRequest;

use crate::flow::{Action, Chord, Effect, Key, Mouse, MouseKind, Msg, Place};
use crate::pane::PaneId;

use super::actions;
use super::files;
use super::filter;
use super::findings;
use super::jobs;
use super::labels;
use super::layout::Layout;
use super::log;
use super::overlay::{self, Overlay};
use super::registries;
use super::state::State;
use super::what_if;

/// A cursor that stands still this long is followed: below what a person notices, above a held key's repeat.
const STILL: Duration = Duration::from_millis(60);
/// One picture of a spinner.
const SPIN: Duration = Duration::from_millis(120);

/// The first effects of a run: find the sources, and ask the one that is already known.
pub fn start(state: &mut State) -> Vec<Effect> {
    let mut effects = jobs::discover(state);
    if state.sources.current.is_some() {
        effects.extend(jobs::list(state));
    }
    effects.extend(log::recover(state));
    finish(state, effects)
}

/// Applies one message. Pure: the same state and message give the same state and effects.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    let effects = match msg {
        Msg::Now(now) => {
            state.now = now;
            return Vec::new();
        }
        Msg::Key { chord, held } => key(state, chord, held),
        // A dialog is answered first.
        Msg::Act(action) if state.overlays.is_empty() => actions::act(state, action),
        Msg::Paste(text) => paste(state, &text),
        Msg::Mouse(mouse) => self::mouse(state, mouse),
        Msg::Resize { width, height } => {
            (state.width, state.height) = (width, height);
            Vec::new()
        }
        Msg::Job(id, event) => jobs::event(state, id, event),
        Msg::ToastExpired(id) => {
            state.toasts.expire(id);
            Vec::new()
        }
        Msg::Edited(edited) => overlay::edited(state, edited),
        Msg::Retry => jobs::retry(state),
        Msg::Settled => jobs::settled(state),
        Msg::Follow(n) if n == state.moves => {
            state.following = None;
            let mut effects = jobs::inspect_selected(state);
            effects.extend(registries::details(state));
            effects
        }
        Msg::Follow(_) | Msg::Act(_) => Vec::new(),
        Msg::Spin => {
            state.spin = state.spin.wrapping_add(1);
            state.spinning = false;
            what_if::settle(state);
            Vec::new()
        }
        Msg::Terminate => vec![Effect::Quit],
    };
    finish(state, effects)
}

/// What holds after every message: lists know their height, the Layers pane follows, spinners turn while something runs.
fn finish(state: &mut State, mut effects: Vec<Effect>) -> Vec<Effect> {
    if matches!(state.focus, PaneId::Images | PaneId::Registries) {
        state.lead = state.focus;
    }
    fit(state);
    effects.extend(follow(state));
    effects.extend(log::follow(state));
    effects.extend(files::settle(state));
    effects.extend(findings::settle(state));
    effects.extend(labels::ask(state));
    if state.is_busy() && !state.spinning {
        state.spinning = true;
        effects.push(Effect::After(SPIN, Box::new(Msg::Spin)));
    }
    effects
}

fn fit(state: &mut State) {
    let layout = Layout::of(state);
    let height = |id| layout.pane(id).map_or(0, |area| usize::from(Layout::rows(id, area).height));
    state.images.cursor.set_height(height(PaneId::Images));
    state.registries.set_height(height(PaneId::Registries));
    state.layers.cursor.set_height(height(PaneId::Layers));
    if let Some(files) = &mut state.layers.files {
        files.cursor.set_height(height(PaneId::Layers));
        files.listed.set_height(height(PaneId::Layers));
    }
    state.findings.cursor.set_height(height(PaneId::Findings));
    state.tasks.cursor.set_height(height(PaneId::Tasks));
    state.plan.cursor.set_height(height(PaneId::Plan));
    state.log.cursor.set_height(height(PaneId::Log));
    let screen = layout.screen;
    for overlay in &mut state.overlays {
        overlay.fit(screen);
    }
}

/// Turns the Layers pane to what the cursor of the leading pane is on. What is known shows at once; what must be fetched waits until the cursor stands still.
fn follow(state: &mut State) -> Vec<Effect> {
    let key = state.selected_key();
    let fetch = state.layers.follow(key);
    let lacks = registries::lacks(state);
    if !(fetch || lacks && state.following != Some(state.moves)) {
        return Vec::new();
    }
    state.moves += 1;
    state.following = Some(state.moves);
    vec![Effect::After(STILL, Box::new(Msg::Follow(state.moves)))]
}

fn key(state: &mut State, chord: Chord, held: bool) -> Vec<Effect> {
    let effects = if let Some(top) = state.overlays.pop() {
        overlay::key(state, top, chord, held)
    } else if state.filter_input().is_some() {
        filter::key(state, chord)
    } else if state.typed_policy().is_some() {
        what_if::key(state, chord)
    } else {
        match state.settings.keymap.action(chord, places(state)) {
            Some(action) => {
                let before = state.overlays.len();
                let effects = actions::act(state, action);
                if state.overlays.len() > before
                    && let Some(Overlay::Confirm(confirm)) = state.overlays.last_mut()
                {
                    confirm.opened_by = Some(chord);
                }
                effects
            }
            None => Vec::new(),
        }
    };
    state.last_chord = Some(chord);
    effects
}

/// Where keys are looked up, nearest first.
#[must_use]
pub fn places(state: &State) -> &'static [Place] {
    match state.focus {
        PaneId::Images => &[Place::Images, Place::Rows, Place::List, Place::Deck],
        PaneId::Registries => &[Place::Registries, Place::Rows, Place::List, Place::Deck],
        PaneId::Layers if files::has_keys(state) => &[Place::Files, Place::List, Place::Deck],
        PaneId::Layers => &[Place::Layers, Place::List, Place::Deck],
        PaneId::Findings => &[Place::Findings, Place::List, Place::Deck],
        PaneId::Plan => &[Place::Plan, Place::List, Place::Deck],
        PaneId::Tasks => &[Place::Tasks, Place::List, Place::Deck],
        PaneId::Log => &[Place::Log, Place::List, Place::Deck],
    }
}

/// The editing request of a chord in a line of text.
pub(super) fn edit(chord: Chord) -> Option<InputRequest> {
    let plain = !chord.mods.ctrl && !chord.mods.alt;
    Some(match (chord.key, plain) {
        (Key::Char(c), true) => InputRequest::InsertChar(c),
        (Key::Backspace, true) => InputRequest::DeletePrevChar,
        (Key::Backspace, false) | (Key::Char('w'), false) => InputRequest::DeletePrevWord,
        (Key::Delete, _) => InputRequest::DeleteNextChar,
        (Key::Left, true) => InputRequest::GoToPrevChar,
        (Key::Right, true) => InputRequest::GoToNextChar,
        (Key::Left, false) | (Key::Char('b'), false) => InputRequest::GoToPrevWord,
        (Key::Right, false) | (Key::Char('f'), false) => InputRequest::GoToNextWord,
        (Key::Home, _) | (Key::Char('a'), false) => InputRequest::GoToStart,
        (Key::End, _) | (Key::Char('e'), false) => InputRequest::GoToEnd,
        (Key::Char('u'), false) => InputRequest::DeleteLine,
        (Key::Char('k'), false) => InputRequest::DeleteTillEnd,
        _ => return None,
    })
}

/// Pasted text goes into the line that is being typed, without its control characters; it is never an answer to a dialog.
fn paste(state: &mut State, text: &str) -> Vec<Effect> {
    const MOST: usize = 4096;
    if let Some(overlay) = state.overlays.last()
        && overlay.takes_lines()
    {
        return overlay::paste_lines(state, text);
    }
    let clean: Vec<char> = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if !state.overlays.is_empty() {
        return overlay::paste(state, &clean);
    }
    if state.filter_input().is_none() && state.typed_policy().is_some() {
        what_if::paste(state, &clean);
    } else {
        filter::paste(state, &clean);
    }
    Vec::new()
}

fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    if let Some(top) = state.overlays.last_mut() {
        match mouse.kind {
            MouseKind::ScrollUp => top.scroll(-3),
            MouseKind::ScrollDown => top.scroll(3),
            MouseKind::Press | MouseKind::DoublePress => {}
        }
        return Vec::new();
    }
    let layout = Layout::of(state);
    if let Some(tabs) = layout.tabs.filter(|tabs| tabs.contains(mouse.column, mouse.row)) {
        if let (MouseKind::Press, Some(pane)) = (mouse.kind, Layout::tab_at(tabs, mouse.column)) {
            state.focus = pane;
        }
        return Vec::new();
    }
    let Some((pane, area)) = layout.pane_at(mouse.column, mouse.row) else {
        return Vec::new();
    };
    let scroll = match mouse.kind {
        MouseKind::ScrollUp => -3,
        MouseKind::ScrollDown => 3,
        MouseKind::Press | MouseKind::DoublePress => 0,
    };
    let rows = Layout::rows(pane, area);
    let cursor = match pane {
        PaneId::Images => &mut state.images.cursor,
        PaneId::Registries => state.registries.cursor_mut(),
        PaneId::Layers => state.layers.cursor_mut(),
        PaneId::Findings => &mut state.findings.cursor,
        PaneId::Plan => &mut state.plan.cursor,
        PaneId::Tasks => &mut state.tasks.cursor,
        PaneId::Log => &mut state.log.cursor,
    };
    if scroll != 0 {
        cursor.scroll(scroll);
        return Vec::new();
    }
    state.focus = pane;
    if rows.contains(mouse.column, mouse.row) {
        let row = cursor.offset + usize::from(mouse.row - rows.y);
        if row < cursor.len {
            cursor.go(row);
            if mouse.kind == MouseKind::DoublePress {
                return actions::act(state, Action::Open);
            }
        }
    }
    Vec::new()
}
