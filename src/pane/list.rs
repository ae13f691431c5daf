//! Cursor and scroll of a virtual list: only the rows of the viewport are ever built.

use crate::flow::Action;

/// Where the cursor is in a list of `len` rows of which `height` fit. All moves saturate; an empty list has its cursor at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListCursor {
    pub at: usize,
    /// First visible row.
    pub offset: usize,
    pub len: usize,
    pub height: usize,
}

impl ListCursor {
    /// The list was replaced: keeps the cursor on a row.
    pub fn set_len(&mut self, len: usize) {
        self.len = len;
        self.go(self.at);
    }

    pub fn set_height(&mut self, height: usize) {
        self.height = height;
        self.go(self.at);
    }

    pub fn go(&mut self, to: usize) {
        self.at = to.min(self.len.saturating_sub(1));
        let height = self.height.max(1);
        if self.at < self.offset {
            self.offset = self.at;
        } else if self.at >= self.offset.saturating_add(height) {
            self.offset = (self.at + 1).saturating_sub(height);
        }
        self.offset = self.offset.min(self.len.saturating_sub(height));
    }

    /// Moves as `action` says; `false` when it isn't a move.
    pub fn act(&mut self, action: Action) -> bool {
        let page = self.height.max(1);
        let to = match action {
            Action::Up => self.at.saturating_sub(1),
            Action::Down => self.at.saturating_add(1),
            Action::Top => 0,
            Action::Bottom => usize::MAX,
            Action::PageUp => self.at.saturating_sub(page),
            Action::PageDown => self.at.saturating_add(page),
            Action::HalfUp => self.at.saturating_sub(page.div_ceil(2)),
            Action::HalfDown => self.at.saturating_add(page.div_ceil(2)),
            _ => return false,
        };
        self.go(to);
        true
    }

    /// Scrolls the view by `rows` (down if positive) and keeps the cursor inside it.
    pub fn scroll(&mut self, rows: isize) {
        let last = self.len.saturating_sub(self.height.max(1));
        self.offset = self.offset.saturating_add_signed(rows).min(last);
        self.at = self.at.clamp(self.offset, self.offset.saturating_add(self.height.max(1) - 1)).min(self.len.saturating_sub(1));
    }

    /// The visible rows.
    #[must_use]
    pub fn visible(&self) -> std::ops::Range<usize> {
        self.offset.min(self.len)..self.offset.saturating_add(self.height).min(self.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_cursor_is_always_on_a_visible_row(steps in proptest::collection::vec((0_u8..10, 0_usize..50), 0..60)) {
            let mut cursor = ListCursor::default();
            for (kind, n) in steps {
                match kind {
                    0 => cursor.set_len(n),
                    1 => cursor.set_height(n),
                    2 => cursor.scroll(isize::try_from(n).unwrap() - 25),
                    3 => cursor.go(n),
                    4 => { cursor.act(Action::Bottom); }
                    5 => { cursor.act(Action::PageDown); }
                    6 => { cursor.act(Action::HalfUp); }
                    7 => { cursor.act(Action::Down); }
                    8 => { cursor.act(Action::Up); }
                    _ => { cursor.act(Action::Top); }
                }
                prop_assert!(cursor.len == 0 && cursor.at == 0 || cursor.at < cursor.len);
                if cursor.len > 0 && cursor.height > 0 {
                    prop_assert!(cursor.visible().contains(&cursor.at), "{cursor:?}");
                }
            }
        }
    }
}
