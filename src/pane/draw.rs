//! What the pictures of all panes share: the frame with title, number and position, and what a pane is told of its place on the screen.
//!
//! A drawing file: may use `ui` and ratatui; takes the state by reference and never changes it.

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::flow::Action;
use crate::model::Safe;
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{Area, ListCursor, PaneId};

/// Columns for the mark.
pub const MARGIN: u16 = 2;

impl From<Area> for Rect {
    fn from(area: Area) -> Self {
        Self::new(area.x, area.y, area.width, area.height)
    }
}

/// Where a pane is drawn, and what of the deck it needs to know.
pub struct Face<'a> {
    pub id: PaneId,
    /// With its frame.
    pub area: Rect,
    /// The lines above the rows.
    pub heading: Rect,
    pub rows: Rect,
    /// The box below the rows; empty where there is none.
    pub detail: Rect,
    pub focused: bool,
    pub now: Timestamp,
    pub spin: usize,
    /// The key of an action as it is configured, for hints; empty when it has none.
    pub key: &'a dyn Fn(Action) -> Safe,
}

impl std::fmt::Debug for Face<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Face").field("id", &self.id).field("area", &self.area).finish_non_exhaustive()
    }
}

impl Face<'_> {
    /// The pane's frame: its number and title, its position in the list, its scrollbar.
    pub fn frame(&self, canvas: &mut Canvas<'_>, title: &Safe, cursor: &ListCursor, position: &Safe) {
        let (line, words) = if self.focused { (Role::BorderFocused, Role::TitleFocused) } else { (Role::Border, Role::Title) };
        widgets::frame(canvas, self.area, line);
        if self.area.width < 6 || self.area.height < 2 {
            return;
        }
        let number = words!(" {} ", self.id.number());
        let mut pen = widgets::on_line(canvas, self.area, self.area.y);
        pen.put(&number, Role::Key).put(self.id.title(), words).put(" ", words);
        if !title.is_empty() {
            pen.keep(1);
            pen.put(title, Role::Accent).put(" ", words);
        }
        let mut pen = widgets::on_line(canvas, self.area, self.area.bottom() - 1);
        if !position.is_empty() && pen.right(" ", Role::Muted) {
            pen.right(position, if self.focused { Role::Text } else { Role::Muted });
            pen.right(" ", Role::Muted);
        }
        let track = Rect { x: self.area.right() - 1, width: 1, ..self.rows };
        widgets::scrollbar(canvas, track, cursor.offset, cursor.len);
    }

    /// A pen on the row of list index `at`; the cursor's row has the cursor's colours.
    pub fn row<'c, 'a>(&self, canvas: &'c mut Canvas<'a>, cursor: &ListCursor, at: usize) -> Pen<'c, 'a> {
        let y = self.rows.y.saturating_add(text::cols(at.saturating_sub(cursor.offset)));
        let mut pen = canvas.pen(self.rows, y);
        if cursor.at == at {
            pen.under_cursor(if self.focused { Role::Cursor } else { Role::CursorUnfocused });
        }
        pen
    }

    /// A spinner and words in the middle of the pane.
    pub fn waiting<'t>(&self, canvas: &mut Canvas<'_>, what: impl Into<Shown<'t>>) {
        let text = words!("{} {}", canvas.signs.spin(self.spin), what.into().as_str());
        widgets::card(canvas, self.inside(), &[(Role::Info, Shown::from(&text))]);
    }

    /// All of the pane within its frame.
    #[must_use]
    pub const fn inside(&self) -> Rect {
        widgets::inner(self.area)
    }

    /// `r to try again`: an action's key and what it does; empty when it has no key.
    #[must_use]
    pub fn hint(&self, action: Action, does: &str) -> Safe {
        let key = (self.key)(action);
        if key.is_empty() { Safe::default() } else { words!("{key} {does}") }
    }
}

/// `12/10,412`: where the cursor is among the rows.
#[must_use]
pub fn position(cursor: &ListCursor) -> Safe {
    if cursor.len == 0 { Safe::default() } else { words!("{}/{}", text::count(cursor.at + 1), text::count(cursor.len)) }
}

/// The mark, the range or, where colours can't say it, the cursor.
pub fn pointer(pen: &mut Pen<'_, '_>, cursor: bool, marked: bool, in_range: bool) {
    let signs = pen.signs();
    let (sign, role) = match (marked, in_range) {
        (true, _) => (signs.mark, Role::Mark),
        (false, true) => (signs.range, Role::Range),
        (false, false) if cursor && signs.ascii => (signs.cursor, Role::Accent),
        (false, false) => (" ", Role::Text),
    };
    pen.cell(MARGIN, Align::Left, sign, role);
}

/// How big a size is, by its colour.
#[must_use]
pub const fn size_role(bytes: u64) -> Role {
    match bytes {
        ..10_000_000 => Role::SizeSmall,
        10_000_000..250_000_000 => Role::SizeMedium,
        250_000_000..1_000_000_000 => Role::SizeLarge,
        _ => Role::SizeHuge,
    }
}

/// How old something is, by its colour.
#[must_use]
pub fn age_role(then: Timestamp, now: Timestamp) -> Role {
    const DAY: i64 = 86_400;
    match now.as_second().saturating_sub(then.as_second()) / DAY {
        ..2 => Role::AgeFresh,
        2..90 => Role::Text,
        _ => Role::AgeOld,
    }
}
