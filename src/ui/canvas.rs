//! The one way onto the screen: a [`Canvas`] writes roles and text into a buffer, clipped to it, and a [`Pen`] writes one line from left to right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthChar;

use super::signs::Signs;
use super::text::{Shown, cols};
use super::theme::{Depth, Role, Theme};

#[derive(Debug)]
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub theme: &'a Theme,
    pub signs: &'static Signs,
    /// Where the terminal's cursor goes, when something is typed.
    pub caret: Option<(u16, u16)>,
}

/// Where a text stands in its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

impl<'a> Canvas<'a> {
    #[must_use]
    pub fn new(buffer: &'a mut Buffer, theme: &'a Theme, ascii: bool) -> Self {
        Self { buffer, theme, signs: Signs::of(ascii), caret: None }
    }

    #[must_use]
    pub fn area(&self) -> Rect {
        self.buffer.area
    }

    /// Empties an area and gives it a role's colours.
    pub fn clear(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
        }
    }

    /// Lays a style over what an area holds.
    pub fn tint(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area, style);
    }

    /// Puts everything drawn so far into the shade, behind a dialog.
    pub fn shade(&mut self) {
        let style = self.theme.style(Role::Scrim);
        let colours = self.theme.depth() != Depth::None;
        for cell in &mut self.buffer.content {
            if colours {
                cell.modifier = style.add_modifier;
                cell.set_style(style);
            } else {
                cell.modifier.insert(style.add_modifier);
            }
        }
    }

    /// A pen on row `y` of `area`, in that role's background.
    pub fn pen(&mut self, area: Rect, y: u16) -> Pen<'_, 'a> {
        let area = area.intersection(self.buffer.area);
        let inside = y >= area.top() && y < area.bottom();
        Pen { x: area.left(), end: if inside { area.right() } else { area.left() }, y, over: None, canvas: self }
    }

    /// One text at a place, cut at the area's right end.
    pub fn text<'t>(&mut self, area: Rect, y: u16, text: impl Into<Shown<'t>>, role: Role) {
        self.pen(area, y).put(text, role);
    }

    fn write(&mut self, x: u16, y: u16, room: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        let room = room.min(area.right().saturating_sub(x));
        if room == 0 || y < area.top() || y >= area.bottom() || x < area.left() {
            return 0;
        }
        if text.is_ascii() || self.signs.ascii {
            return self.write_plain(x, y, room, text, style);
        }
        self.buffer.set_stringn(x, y, text, usize::from(room), style).0.saturating_sub(x)
    }

    /// One cell a character; what a terminal in ASCII can't show stands as `?`, as wide as it was.
    fn write_plain(&mut self, x: u16, y: u16, room: u16, text: &str, style: Style) -> u16 {
        let mut at = x;
        let end = x.saturating_add(room);
        for c in text.chars() {
            let (c, width) = if c.is_ascii() { (c, 1) } else { (stand_in(c), cols(c.width().unwrap_or(0))) };
            if c.is_ascii_control() || at.saturating_add(width) > end {
                if at.saturating_add(width) > end {
                    break;
                }
                continue;
            }
            for _ in 0..width {
                if let Some(cell) = self.buffer.cell_mut((at, y)) {
                    cell.set_char(c).set_style(style);
                }
                at += 1;
            }
        }
        at - x
    }
}

const fn stand_in(c: char) -> char {
    match c {
        '…' => '~',
        '⏎' => '$',
        '·' => '-',
        '’' => '\'',
        '⇥' | '→' => '>',
        '≤' => '<',
        _ => '?',
    }
}

/// Writes a line from left to right, in columns if asked, never past its end.
#[derive(Debug)]
pub struct Pen<'c, 'a> {
    canvas: &'c mut Canvas<'a>,
    x: u16,
    end: u16,
    y: u16,
    /// The cursor's style on this row, and whether it goes over every text's own colour.
    over: Option<(Style, bool)>,
}

impl Pen<'_, '_> {
    /// Fills the line with a cursor's colours and writes the rest on it.
    pub fn under_cursor(&mut self, cursor: Role) {
        let style = self.canvas.theme.style(cursor);
        let flat = self.canvas.theme.is_flat(cursor);
        self.canvas.tint(Rect::new(self.x, self.y, self.end.saturating_sub(self.x), 1), style);
        self.over = Some((style, flat));
    }

    fn style(&self, role: Role) -> Style {
        let style = self.canvas.theme.style(role);
        match self.over {
            None => style,
            Some((cursor, true)) => cursor.add_modifier(style.add_modifier),
            Some((cursor, false)) => style.patch(cursor),
        }
    }

    #[must_use]
    pub const fn x(&self) -> u16 {
        self.x
    }

    #[must_use]
    pub const fn signs(&self) -> &'static Signs {
        self.canvas.signs
    }

    /// Columns left.
    #[must_use]
    pub const fn room(&self) -> u16 {
        self.end.saturating_sub(self.x)
    }

    /// Leaves columns free at the end.
    pub fn keep(&mut self, columns: u16) {
        self.end = self.end.saturating_sub(columns).max(self.x);
    }

    pub fn gap(&mut self, columns: u16) {
        self.x = self.x.saturating_add(columns).min(self.end);
    }

    /// Goes to a column, forwards or back.
    pub fn go(&mut self, x: u16) {
        self.x = x.min(self.end);
    }

    /// As much of a text as there is room for; an ellipsis says that it was cut.
    pub fn put<'t>(&mut self, text: impl Into<Shown<'t>>, role: Role) -> &mut Self {
        let style = self.style(role);
        self.put_in(text.into(), self.room(), style);
        self
    }

    fn raw(&mut self, text: &str, style: Style) {
        let used = self.canvas.write(self.x, self.y, self.room(), text, style);
        self.x = self.x.saturating_add(used);
    }

    fn put_in(&mut self, text: Shown<'_>, room: u16, style: Style) {
        if text.width() <= room {
            self.raw(text.as_str(), style);
        } else if room > 0 {
            let (head, _) = text.split(room - 1);
            self.raw(head.as_str(), style);
            self.raw(self.canvas.signs.ellipsis, style);
        }
    }

    /// A text in `width` columns; the pen stands after them.
    pub fn cell<'t>(&mut self, width: u16, align: Align, text: impl Into<Shown<'t>>, role: Role) -> &mut Self {
        let text = text.into();
        let (start, width) = (self.x, width.min(self.room()));
        let style = self.style(role);
        if align == Align::Right {
            self.gap(width.saturating_sub(text.width()));
        }
        self.put_in(text, width, style);
        self.go(start.saturating_add(width));
        self
    }

    /// A text in `width` columns, cut in its middle: both ends of a reference or a digest tell something.
    pub fn middle<'t>(&mut self, width: u16, text: impl Into<Shown<'t>>, role: Role) -> &mut Self {
        let text = text.into();
        let (start, width) = (self.x, width.min(self.room()));
        let style = self.style(role);
        if text.width() <= width || width < 5 {
            self.put_in(text, width, style);
        } else {
            let tail = (width - 1) / 2;
            let (head, _) = text.split(width - 1 - tail);
            self.raw(head.as_str(), style);
            self.raw(self.canvas.signs.ellipsis, style);
            self.raw(text.tail(tail).as_str(), style);
        }
        self.go(start.saturating_add(width));
        self
    }

    /// A text scrolled `shift` columns to the right, as far as there is something to see.
    pub fn shifted<'t>(&mut self, width: u16, shift: u16, text: impl Into<Shown<'t>>, role: Role) -> &mut Self {
        let text = text.into();
        let width = width.min(self.room());
        let shift = shift.min(text.width().saturating_sub(width));
        if shift == 0 {
            return self.cell(width, Align::Left, text, role);
        }
        let start = self.x;
        let style = self.style(role);
        self.raw(self.canvas.signs.ellipsis, style);
        self.put_in(text.skip(shift.saturating_add(1)), width.saturating_sub(1), style);
        self.go(start.saturating_add(width));
        self
    }

    /// A text at the right end of the line; the end moves before it.
    pub fn right<'t>(&mut self, text: impl Into<Shown<'t>>, role: Role) -> bool {
        let text = text.into();
        let width = text.width();
        if width > self.room() {
            return false;
        }
        let (start, end) = (self.x, self.end);
        let style = self.style(role);
        self.x = end - width;
        self.raw(text.as_str(), style);
        self.x = start;
        self.end = end - width;
        true
    }

    /// Repeats a one-column sign.
    pub fn repeat(&mut self, sign: &'static str, times: u16, role: Role) {
        let style = self.style(role);
        for _ in 0..times.min(self.room()) {
            self.raw(sign, style);
        }
    }

    /// A bar of `width` columns, filled by `part` of `whole`, in eighths of a column where the font has them.
    pub fn bar(&mut self, width: u16, part: u64, whole: u64, role: Role) {
        let start = self.x;
        let width = width.min(self.room());
        let eighths = u128::from(width) * 8 * u128::from(part.min(whole)) / u128::from(whole.max(1));
        let eighths = u16::try_from(eighths).unwrap_or(u16::MAX).max(u16::from(part > 0));
        let signs = self.canvas.signs;
        let full = signs.eighths.last().copied().unwrap_or("#");
        self.repeat(full, eighths / 8, role);
        let last = signs.eighths.get(usize::from(eighths % 8)).copied().unwrap_or("");
        if !last.is_empty() {
            self.repeat(last, 1, role);
        }
        self.go(start.saturating_add(width));
    }

    /// A gauge of `width` columns: how far something is.
    pub fn gauge(&mut self, width: u16, part: u64, whole: u64, filled: Role) {
        let width = width.min(self.room());
        let done = u128::from(width) * u128::from(part.min(whole)) / u128::from(whole.max(1));
        let done = u16::try_from(done).unwrap_or(width).min(width);
        let signs = self.canvas.signs;
        self.repeat(signs.gauge, done, filled);
        self.repeat(signs.gauge_track, width - done, Role::GaugeTrack);
    }

    /// The terminal's cursor goes here.
    pub fn caret(&mut self) {
        if self.room() > 0 {
            self.canvas.caret = Some((self.x, self.y));
        }
    }
}
