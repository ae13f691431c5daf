//! Rectangles of the screen in cells, so that layout is computed once, purely, for drawing and for the mouse alike.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Area {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

impl Area {
    #[must_use]
    pub const fn new(x: u16, y: u16, width: u16, height: u16) -> Self {
        Self { x, y, width, height }
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    #[must_use]
    pub const fn contains(self, column: u16, row: u16) -> bool {
        column >= self.x && row >= self.y && column < self.x.saturating_add(self.width) && row < self.y.saturating_add(self.height)
    }

    /// Without a border of one cell.
    #[must_use]
    pub const fn inner(self) -> Self {
        if self.width < 2 || self.height < 2 {
            return Self { width: 0, height: 0, ..self };
        }
        Self { x: self.x + 1, y: self.y + 1, width: self.width - 2, height: self.height - 2 }
    }

    /// Takes `rows` from the bottom: (what is left, what was taken).
    #[must_use]
    pub const fn take_bottom(self, rows: u16) -> (Self, Self) {
        let rows = if rows > self.height { self.height } else { rows };
        let left = self.height - rows;
        (Self { height: left, ..self }, Self { y: self.y + left, height: rows, ..self })
    }

    /// Takes `rows` from the top: (what was taken, what is left).
    #[must_use]
    pub const fn take_top(self, rows: u16) -> (Self, Self) {
        let rows = if rows > self.height { self.height } else { rows };
        (Self { height: rows, ..self }, Self { y: self.y + rows, height: self.height - rows, ..self })
    }

    /// Splits at `columns` from the left.
    #[must_use]
    pub const fn split_left(self, columns: u16) -> (Self, Self) {
        let columns = if columns > self.width { self.width } else { columns };
        (Self { width: columns, ..self }, Self { x: self.x + columns, width: self.width - columns, ..self })
    }

    /// A box of at most `width` × `height` in the middle.
    #[must_use]
    pub const fn centered(self, width: u16, height: u16) -> Self {
        let width = if width > self.width { self.width } else { width };
        let height = if height > self.height { self.height } else { height };
        Self { x: self.x + (self.width - width) / 2, y: self.y + (self.height - height) / 2, width, height }
    }
}
