//! The picture of the whole screen: a function of the state, drawn when it changed. Header, tabs, panes, strip, footer; overlays and toasts over them.
//!
//! A drawing room: may use `ui` and ratatui; takes the state by reference and never changes it.

mod cleanup;
mod compare;
mod file;
mod footer;
mod header;
mod overlay;
mod quarantine;
mod reader;
mod rename;
mod space;
mod toast;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::flow::Action;
use crate::model::{Powers, Safe, SourceStatus};
use crate::pane::draw::Face;
use crate::pane::{Area, PaneId, findings, images, layers, log, plan, registries, tasks};
use crate::ui::text::words;
use crate::ui::{Canvas, Depth, Role, Shown, Theme, widgets};

use super::layout::{LEAST, Layout};
use super::settings::ColourDepth;
use super::state::State;

impl From<ColourDepth> for Depth {
    fn from(colours: ColourDepth) -> Self {
        match colours {
            ColourDepth::None => Self::None,
            ColourDepth::Sixteen => Self::Sixteen,
            ColourDepth::Indexed => Self::Indexed,
            ColourDepth::True => Self::True,
        }
    }
}

/// Draws the screen. `theme` is resolved to the terminal's colours ([`Theme::at`]).
pub fn draw(frame: &mut Frame<'_>, state: &State, theme: &Theme) {
    if let Some(caret) = draw_in(frame.buffer_mut(), state, theme) {
        frame.set_cursor_position(caret);
    }
}

/// Draws the screen into a buffer; gives the place of the terminal's cursor when something is typed.
pub fn draw_in(buffer: &mut Buffer, state: &State, theme: &Theme) -> Option<(u16, u16)> {
    let mut canvas = Canvas::new(buffer, theme, state.settings.ascii);
    let screen = canvas.area();
    canvas.clear(screen, Role::Text);
    let layout = Layout::of(state);
    if layout.too_small {
        too_small(&mut canvas, screen, state);
        return None;
    }
    header::draw(&mut canvas, layout.header.into(), state);
    if let Some(line) = layout.tabs {
        header::tabs(&mut canvas, line, state);
    }
    for (id, area) in &layout.panes {
        pane(&mut canvas, state, *id, *area);
    }
    if let Some(strip) = layout.strip {
        let key = key(state, Action::FocusTasks);
        tasks::draw::strip(&mut canvas, &state.tasks, strip.into(), state.spin, &key);
    }
    footer::draw(&mut canvas, layout.footer.into(), state);
    for (n, over) in state.overlays.iter().enumerate() {
        if n == 0 {
            canvas.shade();
        }
        canvas.caret = None;
        overlay::draw(&mut canvas, layout.screen, over, state);
    }
    toast::draw(&mut canvas, layout.screen.into(), state);
    canvas.caret
}

/// The first key of an action as it is configured; empty when it has none.
fn key(state: &State, action: Action) -> Safe {
    state.settings.keymap.keys(action).first().map(|chord| words!("{chord}")).unwrap_or_default()
}

fn pane(canvas: &mut Canvas<'_>, state: &State, id: PaneId, area: Area) {
    let (heading, detail) = match id {
        PaneId::Images | PaneId::Registries => (area.inner().take_top(1).0, Area::default()),
        PaneId::Layers | PaneId::Findings => {
            let (heading, _, detail) = Layout::layers(area);
            (heading, detail)
        }
        PaneId::Plan | PaneId::Tasks | PaneId::Log => (Area::default(), Area::default()),
    };
    let key = |action| key(state, action);
    let face = Face {
        id,
        area: area.into(),
        heading: heading.into(),
        rows: Layout::rows(id, area).into(),
        detail: detail.into(),
        focused: state.focus == id,
        now: state.now,
        spin: state.spin,
        key: &key,
    };
    match id {
        PaneId::Images => {
            let nowhere = Safe::default();
            let info = state.sources.info();
            let powers = info.map_or(Powers::ALL, |info| info.powers);
            let changes = !state.is_read_only();
            let down = match &state.sources.status {
                SourceStatus::Down(problem) if !state.images.list.is_loading() => Some(problem),
                _ => None,
            };
            let source = images::draw::Source {
                name: info.map_or(&nowhere, |info| &info.name),
                down,
                pulls: changes && powers.pull,
                imports: changes && powers.import,
            };
            images::draw::draw(canvas, &state.images, &source, &face);
        }
        PaneId::Registries => registries::draw::draw(canvas, &state.registries, &face),
        PaneId::Layers => layers::draw::draw(canvas, &state.layers, state.selected_key().is_some(), &face),
        PaneId::Findings => findings::draw::draw(canvas, &state.findings, state.layers.image.value.as_deref(), &face),
        PaneId::Plan => plan::draw::draw(canvas, &state.plan, &face),
        PaneId::Tasks => tasks::draw::draw(canvas, &state.tasks, &face),
        PaneId::Log => log::draw::draw(canvas, &state.log, &face),
    }
}

fn too_small(canvas: &mut Canvas<'_>, screen: Rect, state: &State) {
    let need = words!("needs {}x{}, has {}x{}", LEAST.0, LEAST.1, state.width, state.height);
    let quit = words!("{} quits", key(state, Action::Quit));
    let lines =
        [(Role::Accent, Shown::from("This terminal is too small")), (Role::Text, Shown::from(&need)), (Role::Muted, Shown::from(&quit))];
    widgets::card(canvas, screen, &lines);
}
