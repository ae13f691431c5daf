//! The panes: one folder each with its state and pure update in `mod.rs` and its picture in `draw.rs`, a function of the state.
//!
//! To add a pane: a folder and a line here. May use model, flow and curate; `ui` and ratatui only in `draw.rs`.

pub mod area;
pub mod draw;
pub mod findings;
pub mod images;
pub mod layers;
pub mod list;
pub mod log;
pub mod plan;
pub mod registries;
pub mod tasks;

pub use area::Area;
pub use list::ListCursor;

/// The panes, in the order of the keys and of Tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PaneId {
    #[default]
    Images,
    Registries,
    Layers,
    Findings,
    Plan,
    Tasks,
    Log,
}

impl PaneId {
    pub const ALL: [Self; 7] = [Self::Images, Self::Registries, Self::Layers, Self::Findings, Self::Plan, Self::Tasks, Self::Log];

    /// Whether it is opened below the others, one at a time.
    #[must_use]
    pub const fn is_drawer(self) -> bool {
        matches!(self, Self::Plan | Self::Tasks | Self::Log)
    }

    /// The key that goes there, shown in the pane's title.
    #[must_use]
    pub const fn number(self) -> char {
        match self {
            Self::Images => '1',
            Self::Registries => '2',
            Self::Layers => '3',
            Self::Findings => '4',
            Self::Plan => '5',
            Self::Tasks => '6',
            Self::Log => '7',
        }
    }

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Images => "Images",
            Self::Registries => "Registries",
            Self::Layers => "Layers",
            Self::Findings => "Findings",
            Self::Plan => "Plan",
            Self::Tasks => "Tasks",
            Self::Log => "Log",
        }
    }
}
