//! Frames, dialogs, scrollbars and centred cards: the shapes that panes and overlays share.

use ratatui::layout::Rect;

use crate::model::{Problem, Safe};

use super::canvas::{Canvas, Pen};
use super::text::{Shown, cols};
use super::theme::Role;

/// Draws a frame's lines.
pub fn frame(canvas: &mut Canvas<'_>, area: Rect, role: Role) {
    if area.width < 2 || area.height < 2 {
        return;
    }
    let lines = canvas.signs.frame;
    let bottom = area.bottom() - 1;
    for (y, left, right) in [(area.y, lines.top_left, lines.top_right), (bottom, lines.bottom_left, lines.bottom_right)] {
        let mut pen = canvas.pen(area, y);
        pen.put(left, role);
        pen.repeat(lines.horizontal, area.width - 2, role);
        pen.put(right, role);
    }
    for y in area.y + 1..bottom {
        canvas.pen(area, y).put(lines.vertical, role);
        let mut pen = canvas.pen(area, y);
        pen.go(area.right() - 1);
        pen.put(lines.vertical, role);
    }
}

/// Within a frame.
#[must_use]
pub const fn inner(area: Rect) -> Rect {
    if area.width < 2 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

/// A pen on a frame's line, between its corners.
pub fn on_line<'c, 'a>(canvas: &'c mut Canvas<'a>, area: Rect, y: u16) -> Pen<'c, 'a> {
    let line = Rect { x: area.x.saturating_add(2), width: area.width.saturating_sub(4), ..area };
    canvas.pen(line, y)
}

/// The position of a list of `len` rows, of which those from `offset` show, on the right line of a frame.
pub fn scrollbar(canvas: &mut Canvas<'_>, track: Rect, offset: usize, len: usize) {
    let height = usize::from(track.height);
    if len <= height || height < 3 {
        return;
    }
    let thumb = (height * height / len).clamp(1, height);
    let most = len - height;
    let top = (offset.min(most) * (height - thumb) + most / 2) / most;
    for row in top..top + thumb {
        let thumb = canvas.signs.thumb;
        canvas.text(track, track.y.saturating_add(cols(row)), thumb, Role::Scrollbar);
    }
}

/// A box in the middle of `around`, cleared and framed, with a title. Gives what is within, with a blank column at both sides.
pub fn dialog<'t>(canvas: &mut Canvas<'_>, around: Rect, size: (u16, u16), title: impl Into<Shown<'t>>) -> Rect {
    let (width, height) = (size.0.min(around.width), size.1.min(around.height));
    let area = Rect::new(around.x + (around.width - width) / 2, around.y + (around.height - height) / 2, width, height);
    canvas.clear(area, Role::Dialog);
    frame(canvas, area, Role::DialogBorder);
    let title = title.into();
    if !title.is_empty() && area.height > 0 {
        let mut pen = on_line(canvas, area, area.y);
        pen.put(" ", Role::DialogTitle);
        pen.keep(1);
        pen.put(title, Role::DialogTitle).put(" ", Role::DialogTitle);
    }
    let inner = inner(area);
    Rect { x: inner.x.saturating_add(1), width: inner.width.saturating_sub(2), ..inner }
}

/// A line that stands in the middle of its area.
pub fn centred<'t>(canvas: &mut Canvas<'_>, area: Rect, y: u16, text: impl Into<Shown<'t>>, role: Role) {
    let text = text.into();
    let mut pen = canvas.pen(area, y);
    pen.gap(pen.room().saturating_sub(text.width()) / 2);
    pen.put(text, role);
}

/// A few lines in the middle of an area: what is empty, what is awaited, what went wrong.
pub fn card(canvas: &mut Canvas<'_>, area: Rect, lines: &[(Role, Shown<'_>)]) {
    let width = area.width.saturating_sub(2).min(72);
    let wrapped: Vec<(Role, Shown<'_>)> = lines
        .iter()
        .flat_map(|(role, text)| {
            let mut lines = text.wrapped(width, 6);
            if lines.is_empty() {
                lines.push(*text);
            }
            lines.into_iter().map(|line| (*role, line))
        })
        .collect();
    let top = area.height.saturating_sub(cols(wrapped.len())) / 2;
    for (i, (role, text)) in wrapped.iter().enumerate() {
        centred(canvas, area, area.y.saturating_add(top).saturating_add(cols(i)), *text, *role);
    }
}

/// A problem in the middle of an area: what could not be done, why, what to try.
pub fn problem_card(canvas: &mut Canvas<'_>, area: Rect, problem: &Problem, last: &Safe) {
    let what = Safe::from(format!("{} Can't {}", canvas.signs.bad, problem.doing));
    let nothing = Safe::default();
    let hint = problem.hint.as_ref().unwrap_or(&nothing);
    let mut lines = vec![(Role::Bad, Shown::from(&what)), (Role::Text, Shown::from(&problem.cause))];
    if !hint.is_empty() {
        lines.extend([(Role::Text, Shown::from("")), (Role::Muted, Shown::from(hint))]);
    }
    if !last.is_empty() {
        lines.extend([(Role::Text, Shown::from("")), (Role::Muted, Shown::from(last))]);
    }
    card(canvas, area, &lines);
}
