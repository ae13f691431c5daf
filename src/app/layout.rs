//! Where things are on the screen, computed once from the state, for drawing and for the mouse.
//!
//! Wide: Images over Registries left, Layers over Findings right, one of the drawers (Plan, Tasks, Log) below when open. Below 100 columns one pane shows at a time, with tabs. Below
//! 40×10 a card says that the terminal is too small.

use crate::pane::registries::Level;
use crate::pane::{Area, PaneId};

use super::state::State;

/// Smallest usable screen.
pub const LEAST: (u16, u16) = (40, 10);
/// From this width on, panes stand side by side.
const SIDE_BY_SIDE: u16 = 100;
/// From this height on, two panes stand one over the other.
const TWO_PANES: u16 = 16;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Nothing else is drawn.
    pub too_small: bool,
    /// One line: source, state, counts.
    pub header: Area,
    /// One line of pane tabs, where one pane shows at a time.
    pub tabs: Option<Area>,
    /// The panes that show, with their frames.
    pub panes: Vec<(PaneId, Area)>,
    /// One line over the footer while something runs and the drawer is closed.
    pub strip: Option<Area>,
    /// One line of hints; the filter line while it is typed.
    pub footer: Area,
    pub screen: Area,
}

impl Layout {
    #[must_use]
    pub fn of(state: &State) -> Self {
        let screen = Area::new(0, 0, state.width, state.height);
        if state.width < LEAST.0 || state.height < LEAST.1 {
            return Self { too_small: true, screen, ..Self::default() };
        }
        let (header, rest) = screen.take_top(1);
        let (rest, footer) = rest.take_bottom(1);
        let strip_shows = state.tasks.running() > 0 && state.drawer != Some(PaneId::Tasks);
        let (body, strip) = rest.take_bottom(u16::from(strip_shows));
        let strip = strip_shows.then_some(strip);
        let mut layout = Self { header, strip, footer, screen, ..Self::default() };
        if state.zoomed {
            layout.panes.push((state.focus, body));
        } else if state.width < SIDE_BY_SIDE {
            let (tabs, body) = body.take_top(1);
            layout.tabs = Some(tabs);
            layout.panes.push((state.focus, body));
        } else {
            let (top, drawer) = match state.drawer {
                Some(PaneId::Tasks) => body.take_bottom((body.height / 3).max(6)),
                // What is read line by line before it is agreed to gets more room.
                Some(_) => body.take_bottom((body.height * 2 / 5).max(6)),
                None => (body, Area::default()),
            };
            // Names need room more than steps do.
            let (left, right) = top.split_left(top.width / 20 * 11);
            let (images, registries) = left.take_bottom(registries_height(state, left.height));
            layout
                .panes
                .extend([(PaneId::Images, images), (PaneId::Registries, registries)].into_iter().filter(|(_, area)| area.height > 0));
            let (layers, findings) = right.take_bottom(findings_height(state, right.height));
            layout.panes.extend([(PaneId::Layers, layers), (PaneId::Findings, findings)].into_iter().filter(|(_, area)| area.height > 0));
            layout.panes.extend(state.drawer.map(|pane| (pane, drawer)));
        }
        layout
    }

    #[must_use]
    pub fn pane(&self, id: PaneId) -> Option<Area> {
        self.panes.iter().find(|(pane, _)| *pane == id).map(|(_, area)| *area)
    }

    /// The pane under a cell.
    #[must_use]
    pub fn pane_at(&self, column: u16, row: u16) -> Option<(PaneId, Area)> {
        self.panes.iter().copied().find(|(_, area)| area.contains(column, row))
    }

    /// Rows of a pane's list: within the frame; Images and Layers have a heading line, Layers also a box for the whole command
    /// at the bottom where there is room for it.
    #[must_use]
    pub fn rows(id: PaneId, area: Area) -> Area {
        let inner = area.inner();
        match id {
            PaneId::Images | PaneId::Registries => inner.take_top(1).1,
            PaneId::Layers | PaneId::Findings => Self::layers(area).1,
            PaneId::Plan | PaneId::Tasks | PaneId::Log => inner,
        }
    }

    /// The Layers pane from top to bottom: two heading lines (the image, the columns), the steps, and the box with the whole command
    /// of the step under the cursor, which is empty where there is no room. The Findings pane is laid out alike.
    #[must_use]
    pub fn layers(area: Area) -> (Area, Area, Area) {
        let (heading, rest) = area.inner().take_top(2);
        let detail = if rest.height >= 12 { (rest.height / 4).clamp(4, 8) } else { 0 };
        let (rows, detail) = rest.take_bottom(detail);
        (heading, rows, detail)
    }

    /// Where each tab stands in the tabs line: ` 1 Images  3 Layers  4 Findings  6 Tasks  7 Log`.
    #[must_use]
    pub fn tabs(line: Area) -> Vec<(PaneId, Area)> {
        let mut x = line.x;
        let mut tabs = Vec::new();
        for pane in PaneId::ALL {
            let width = u16::try_from(pane.title().len()).unwrap_or(0) + 4;
            tabs.push((pane, Area::new(x, line.y, width.min((line.x + line.width).saturating_sub(x)), 1)));
            x = x.saturating_add(width);
        }
        tabs
    }

    /// The tab at a column of the tabs line.
    #[must_use]
    pub fn tab_at(line: Area, column: u16) -> Option<PaneId> {
        Self::tabs(line).into_iter().find(|(_, area)| area.contains(column, line.y)).map(|(pane, _)| pane)
    }
}

/// The one of Layers and Findings that is used has most of the right side. Where there is no room for two panes, it has all.
fn findings_height(state: &State, height: u16) -> u16 {
    match (state.focus == PaneId::Findings, height < TWO_PANES) {
        (true, true) => height,
        (false, true) => 0,
        (true, false) => height.saturating_mul(3) / 5,
        (false, false) => (height / 3).max(6),
    }
}

/// The Registries pane has most of the left side while one is in it, and just its hosts while they are not used. Where there is no room for
/// two panes, the one that leads has it all.
fn registries_height(state: &State, height: u16) -> u16 {
    if height < TWO_PANES {
        return if state.lead == PaneId::Registries { height } else { 0 };
    }
    let registries = &state.registries;
    let hosts = u16::try_from(registries.hosts.rows.len()).unwrap_or(u16::MAX).saturating_add(3);
    match (state.lead == PaneId::Registries, registries.level) {
        (true, _) => height.saturating_mul(3) / 5,
        (false, Level::Hosts) => hosts.clamp(4, (height / 4).max(4)),
        (false, _) => height / 3,
    }
}
