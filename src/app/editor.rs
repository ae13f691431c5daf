//! A text of many lines that is edited in the app: lines, a cursor, and what a key does to them. How it looks, and what is said beside a
//! line, is its user's business.

use crate::flow::{Chord, Key};

/// Longest text, in bytes: what is pasted beyond it is left out.
const LONGEST: usize = 16 << 20;
/// Columns that a tab is written as.
const TAB: &str = "    ";

/// A text and where one is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editor {
    /// One at least.
    lines: Vec<String>,
    /// The line of the cursor, and the character it stands before.
    row: usize,
    column: usize,
    /// First line that shows, and how many do.
    offset: usize,
    height: usize,
    bytes: usize,
}

impl Editor {
    /// Control characters are left out, as they are when they are typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut editor = Self { lines: vec![String::new()], row: 0, column: 0, offset: 0, height: 1, bytes: 0 };
        editor.insert(text);
        (editor.row, editor.column, editor.offset) = (0, 0, 0);
        editor
    }

    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The line of the cursor, and the character it stands before.
    #[must_use]
    pub const fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }

    /// The lines that show.
    #[must_use]
    pub fn visible(&self) -> std::ops::Range<usize> {
        self.offset..self.offset.saturating_add(self.height).min(self.lines.len())
    }

    pub fn set_height(&mut self, height: usize) {
        self.height = height.max(1);
        self.show();
    }

    /// Goes to a line, counted from 0.
    pub fn go(&mut self, row: usize) {
        self.row = row.min(self.lines.len().saturating_sub(1));
        self.column = self.column.min(self.width());
        self.show();
    }

    /// Scrolls by lines, down if positive; the cursor comes along.
    pub fn scroll(&mut self, lines: isize) {
        self.go(self.row.saturating_add_signed(lines));
    }

    /// Carries a key out. `None` when it is none of the editor's, else whether the text changed.
    pub fn key(&mut self, chord: Chord) -> Option<bool> {
        let plain = !chord.mods.ctrl && !chord.mods.alt;
        let page = isize::try_from(self.height).unwrap_or(1);
        match (chord.key, plain) {
            (Key::Char(c), true) => self.insert(c.encode_utf8(&mut [0; 4])),
            (Key::Enter, _) => self.insert("\n"),
            (Key::Backspace, _) => return Some(self.erase_before()),
            (Key::Delete, _) => return Some(self.erase_at()),
            (Key::Char('k'), false) if chord.mods.ctrl => return Some(self.cut()),
            (Key::Left, _) => self.left(),
            (Key::Right, _) => self.right(),
            (Key::Home, true) | (Key::Char('a'), false) => self.column = 0,
            (Key::End, true) | (Key::Char('e'), false) => self.column = self.width(),
            (Key::Home, false) => self.go(0),
            (Key::End, false) => self.go(usize::MAX),
            (Key::Up, _) => self.scroll(-1),
            (Key::Down, _) => self.scroll(1),
            (Key::PageUp, _) => self.scroll(-page),
            (Key::PageDown, _) => self.scroll(page),
            _ => return None,
        }
        self.show();
        Some(matches!(chord.key, Key::Char(_) if plain) || chord.key == Key::Enter)
    }

    /// Puts text in at the cursor, which goes behind it.
    pub fn insert(&mut self, text: &str) {
        let mut put = String::new();
        for c in text.chars() {
            if self.bytes + put.len() >= LONGEST {
                break;
            }
            match c {
                '\n' => {
                    self.put(&std::mem::take(&mut put));
                    self.split();
                }
                '\t' => put.push_str(TAB),
                c if c.is_control() => {}
                c => put.push(c),
            }
        }
        self.put(&put);
        self.show();
    }

    fn put(&mut self, text: &str) {
        let at = self.at();
        if let Some(line) = self.lines.get_mut(self.row) {
            line.insert_str(at, text);
            self.bytes += text.len();
            self.column += text.chars().count();
        }
    }

    fn split(&mut self) {
        let at = self.at();
        if let Some(line) = self.lines.get_mut(self.row) {
            let rest = line.split_off(at);
            self.row += 1;
            self.lines.insert(self.row, rest);
            self.bytes += 1;
            self.column = 0;
        }
    }

    /// The byte of the line that the cursor stands before.
    fn at(&self) -> usize {
        let line = self.line();
        line.char_indices().nth(self.column).map_or(line.len(), |(at, _)| at)
    }

    fn line(&self) -> &str {
        self.lines.get(self.row).map_or("", String::as_str)
    }

    /// Characters of the line.
    fn width(&self) -> usize {
        self.line().chars().count()
    }

    fn left(&mut self) {
        if self.column > 0 {
            self.column -= 1;
        } else if self.row > 0 {
            self.row -= 1;
            self.column = self.width();
        }
    }

    fn right(&mut self) {
        if self.column < self.width() {
            self.column += 1;
        } else if self.row + 1 < self.lines.len() {
            (self.row, self.column) = (self.row + 1, 0);
        }
    }

    fn erase_before(&mut self) -> bool {
        let from = (self.row, self.column);
        self.left();
        from != (self.row, self.column) && self.erase_at()
    }

    fn erase_at(&mut self) -> bool {
        let at = self.at();
        if self.column < self.width() {
            if let Some(line) = self.lines.get_mut(self.row) {
                self.bytes = self.bytes.saturating_sub(line.remove(at).len_utf8());
            }
        } else if self.row + 1 < self.lines.len() {
            let next = self.lines.remove(self.row + 1);
            self.bytes = self.bytes.saturating_sub(1);
            if let Some(line) = self.lines.get_mut(self.row) {
                line.push_str(&next);
            }
        } else {
            return false;
        }
        self.show();
        true
    }

    /// Takes the whole line away.
    fn cut(&mut self) -> bool {
        if self.lines.len() == 1 {
            let was = self.line().is_empty();
            (self.lines, self.column, self.bytes) = (vec![String::new()], 0, 0);
            return !was;
        }
        let gone = self.lines.remove(self.row);
        self.bytes = self.bytes.saturating_sub(gone.len() + 1);
        self.column = 0;
        self.go(self.row);
        true
    }

    fn show(&mut self) {
        if self.row < self.offset {
            self.offset = self.row;
        } else if self.row >= self.offset.saturating_add(self.height) {
            self.offset = (self.row + 1).saturating_sub(self.height);
        }
        self.offset = self.offset.min(self.lines.len().saturating_sub(self.height));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn press(editor: &mut Editor, keys: &str) {
        for key in keys.split(' ') {
            editor.key(key.parse().unwrap());
        }
    }

    #[test]
    fn lines_are_split_joined_and_cut() {
        let mut editor = Editor::new("één → 1\nb\u{1b}[2J\tc");
        assert_eq!(editor.text(), "één → 1\nb[2J    c", "control characters are left out");
        press(&mut editor, "Right Right x Enter y");
        assert_eq!((editor.text().as_str(), editor.cursor()), ("ééx\nyn → 1\nb[2J    c", (1, 1)));
        press(&mut editor, "Backspace Backspace End Delete Home Left");
        assert_eq!((editor.text().as_str(), editor.cursor()), ("ééxn → 1b[2J    c", (0, 0)));
        press(&mut editor, "Ctrl-k Backspace Delete");
        assert_eq!(editor.text(), "");
        assert_eq!(editor.key("Esc".parse().unwrap()), None);
        assert_eq!(editor.key("Left".parse().unwrap()), Some(false));
    }

    #[test]
    fn the_cursor_always_shows() {
        let mut editor = Editor::new(&"line\n".repeat(100));
        editor.set_height(10);
        press(&mut editor, "PgDn PgDn Down");
        assert_eq!((editor.cursor().0, editor.visible()), (21, 12..22));
        press(&mut editor, "PgUp PgUp PgUp");
        assert_eq!(editor.visible(), 0..10);
        editor.go(usize::MAX);
        assert_eq!(editor.visible(), 91..101);
    }

    proptest! {
        /// Whatever is typed, the cursor is in the text, the window has it, and the bytes are counted.
        #[test]
        fn any_keys_leave_it_whole(text in "[a-cé\n]{0,20}", keys in prop::collection::vec(0_usize..16, 0..60)) {
            const KEYS: [&str; 16] =
                ["a", "é", "Enter", "Backspace", "Delete", "Left", "Right", "Up", "Down", "Home", "End", "PgUp", "PgDn", "Ctrl-k", "Ctrl-a", "Ctrl-End"];
            let mut editor = Editor::new(&text);
            editor.set_height(3);
            for key in keys {
                editor.key(KEYS[key].parse().unwrap());
                let (row, column) = editor.cursor();
                prop_assert!(row < editor.lines().len() && column <= editor.lines()[row].chars().count());
                prop_assert!(editor.visible().contains(&row));
                prop_assert_eq!(editor.bytes, editor.text().len());
            }
        }
    }
}
