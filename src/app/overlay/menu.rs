//! A short list to choose from: what to copy, which source, which theme.

use crate::flow::{Chord, Effect, Key};
use crate::model::{Safe, SourceId, SourceKind, SourceStatus};
use crate::pane::{ListCursor, PaneId};

use super::super::jobs;
use super::super::registries;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Overlay, move_cursor};

#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    Copy(String),
    Source(SourceId),
    Theme(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct MenuItem {
    /// A key that takes it at once.
    pub key: Option<char>,
    pub label: Safe,
    pub detail: Safe,
    pub choice: Choice,
    /// It is the one in force now.
    pub current: bool,
    /// It has trouble: shown so.
    pub warning: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    pub title: Safe,
    pub items: Vec<MenuItem>,
    pub cursor: ListCursor,
    /// The theme to go back to when a theme menu is left without choosing.
    pub before: Option<String>,
}

impl Menu {
    fn new(title: &str, items: Vec<MenuItem>) -> Self {
        let mut cursor = ListCursor { height: items.len(), ..ListCursor::default() };
        cursor.set_len(items.len());
        cursor.go(items.iter().position(|item| item.current).unwrap_or(0));
        Self { title: Safe::new(title), items, cursor, before: None }
    }

    pub(super) fn key(mut self, state: &mut State, chord: Chord) -> Vec<Effect> {
        let plain = !chord.mods.ctrl && !chord.mods.alt;
        let by_key = match chord.key {
            Key::Char(c) if plain => self.items.iter().position(|item| item.key == Some(c)),
            _ => None,
        };
        let chosen = if chord.key == Key::Enter { Some(self.cursor.at) } else { by_key };
        if let Some(item) = chosen.and_then(|at| self.items.get(at)) {
            return choose(state, item.choice.clone());
        }
        if chord.key == Key::Esc || chord == Chord::char('q') {
            if let Some(theme) = self.before {
                state.settings.theme = theme;
            }
            return Vec::new();
        }
        move_cursor(state, &mut self.cursor, chord, false);
        if let Some(MenuItem { choice: Choice::Theme(theme), .. }) = self.items.get(self.cursor.at) {
            state.settings.theme.clone_from(theme);
        }
        state.overlays.push(Overlay::Menu(self));
        Vec::new()
    }
}

fn choose(state: &mut State, choice: Choice) -> Vec<Effect> {
    match choice {
        Choice::Copy(text) => {
            if !state.settings.clipboard {
                let hint = Safe::new("set clipboard = true in the configuration");
                return vec![state.toasts.show(ToastKind::Warning, "Copying is switched off", Some(hint))];
            }
            let toast = state.toasts.show(ToastKind::Good, format!("Copied: {text}"), None);
            vec![Effect::Copy(text), toast]
        }
        Choice::Source(id) if state.sources.current.as_ref() == Some(&id) && !matches!(state.sources.status, SourceStatus::Down(_)) => {
            Vec::new()
        }
        Choice::Source(id) => jobs::switch(state, id),
        Choice::Theme(theme) => {
            state.settings.theme = theme;
            vec![Effect::Remember]
        }
    }
}

fn copy_item(key: char, label: &str, text: String) -> MenuItem {
    let detail = Safe::new(&text);
    MenuItem { key: Some(key), label: Safe::new(label), detail, choice: Choice::Copy(text), current: false, warning: false }
}

/// What can be copied of the selected image or tag.
pub(in crate::app) fn copy(state: &mut State) {
    if state.lead == PaneId::Registries {
        let items = registries::copies(state).into_iter().map(|(key, label, text)| copy_item(key, label, text)).collect();
        return state.overlays.push(Overlay::Menu(Menu::new("Copy", items)));
    }
    let Some((image, name)) = state.images.selected() else { return };
    let mut items = Vec::new();
    let mut add = |key, label: &str, text: String| {
        items.push(copy_item(key, label, text));
    };
    // Only what is in the grammar is offered: hostile names must not reach a shell by way of the clipboard.
    let reference = name.filter(|name| name.reference().is_ok());
    let word = reference.map_or_else(|| image.id.to_string(), |name| name.raw().to_owned());
    if let Some(name) = reference {
        add('r', "reference", name.raw().to_owned());
    }
    add('i', "image ID", image.id.to_string());
    if let Some(digest) = image.repo_digests.iter().find(|digest| digest.reference().is_ok()) {
        add('d', "by digest", digest.raw().to_owned());
    }
    if reference.is_some() {
        add('p', "pull command", format!("docker pull '{word}'"));
    }
    add('n', "inspect command", format!("docker image inspect '{word}'"));
    add('x', "remove command", format!("docker image rm '{word}'"));
    add('l', "lighterman command", format!("lighterman inspect '{word}'"));
    state.overlays.push(Overlay::Menu(Menu::new("Copy", items)));
}

/// The sources there are, asked for anew while the known ones show.
pub(in crate::app) fn sources(state: &mut State) -> Vec<Effect> {
    let items = source_items(state);
    state.overlays.push(Overlay::Menu(Menu::new("Sources", items)));
    jobs::discover(state)
}

/// Puts fresh sources into an open menu.
pub(in crate::app) fn refresh_sources(state: &mut State) {
    let items = source_items(state);
    for overlay in &mut state.overlays {
        if let Overlay::Menu(menu) = overlay
            && menu.items.iter().any(|item| matches!(item.choice, Choice::Source(_)))
        {
            menu.cursor.set_len(items.len());
            menu.items.clone_from(&items);
        }
    }
}

fn source_items(state: &State) -> Vec<MenuItem> {
    let sources = state.sources.all.value.as_deref().unwrap_or_default();
    sources
        .iter()
        .filter(|info| info.kind != SourceKind::Registry)
        .enumerate()
        .map(|(i, info)| {
            let current = state.sources.current.as_ref() == Some(&info.id);
            let trouble = match &state.sources.status {
                SourceStatus::Down(problem) if current => format!(" · down: {}", problem.cause),
                SourceStatus::Ready { version } if current => format!(" · {version}"),
                _ => String::new(),
            };
            let only = if info.read_only { " · read-only" } else { "" };
            MenuItem {
                key: u32::try_from(i + 1).ok().filter(|n| *n < 10).and_then(|n| char::from_digit(n, 10)),
                label: info.name.clone(),
                detail: Safe::from(format!("{} · {}{trouble}{only}", info.place, info.why)),
                choice: Choice::Source(info.id.clone()),
                current,
                warning: !trouble.is_empty() && matches!(state.sources.status, SourceStatus::Down(_)),
            }
        })
        .collect()
}

/// The themes; moving over one shows it.
pub(in crate::app) fn themes(state: &mut State) {
    let now = state.settings.theme.clone();
    let items = state
        .settings
        .themes
        .iter()
        .map(|theme| MenuItem {
            key: None,
            label: Safe::new(theme),
            detail: Safe::default(),
            choice: Choice::Theme(theme.clone()),
            current: *theme == now,
            warning: false,
        })
        .collect();
    let mut menu = Menu::new("Themes", items);
    menu.before = Some(now);
    state.overlays.push(Overlay::Menu(menu));
}
