//! The beginning of a file, laid out in rows to be read: as text where it is text, else, or when asked for, as numbers.
//!
//! Rows are found once, when the bytes come, for a screen of so many columns; a row's text is made when it is shown. What is made is foreign text
//! still: whoever shows it makes it safe. Facts: the widths of the `unicode-width` tables, and tab stops of eight.

use unicode_width::UnicodeWidthChar;

/// Columns of an escape of a control character, and of one outside ASCII.
const ESCAPE: u16 = 4;
const LONG_ESCAPE: u16 = 8;
const TAB: u16 = 8;

/// A file's first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    bytes: Vec<u8>,
    /// Bytes of the whole file.
    whole: u64,
    /// The bytes are what was in the layer when it was indexed.
    checked: bool,
    /// Rows of text; `None` for what is none.
    text: Option<Vec<TextRow>>,
}

/// Where a row of text starts, and which line it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TextRow {
    start: u32,
    /// From 1; 0 where it goes on with the line before.
    line: u32,
}

/// Bytes in a row of numbers.
const ROW: usize = 16;

impl Peek {
    /// Lays out the first `bytes` of a file of `whole` for that many columns.
    #[must_use]
    pub fn new(bytes: Vec<u8>, whole: u64, checked: bool, columns: u16) -> Self {
        let mut bytes = bytes;
        let text = text(&bytes, whole).map(|text| (text.len(), lay_out(text, columns.max(LONG_ESCAPE))));
        let text = text.map(|(length, rows)| {
            bytes.truncate(length);
            rows
        });
        Self { bytes, whole, checked, text }
    }

    /// Bytes of the whole file.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// How many of them there are here.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is more of the file than there is here.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.whole
    }

    /// Whether all of the file was held against what the layer's index says of it.
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        self.checked
    }

    #[must_use]
    pub const fn is_text(&self) -> bool {
        self.text.is_some()
    }

    /// How many rows there are, as text or as numbers.
    #[must_use]
    pub fn rows(&self, as_text: bool) -> usize {
        match &self.text {
            Some(rows) if as_text => rows.len(),
            _ => self.bytes.len().div_ceil(ROW),
        }
    }

    /// Lines of the text.
    #[must_use]
    pub fn lines(&self) -> u32 {
        self.text.iter().flatten().rev().find(|row| row.line > 0).map_or(0, |row| row.line)
    }

    /// A row of text with tabs as blanks, and its line's number where the line begins there.
    #[must_use]
    pub fn text_row(&self, at: usize) -> Option<(Option<u32>, String)> {
        let rows = self.text.as_ref()?;
        let row = rows.get(at)?;
        let end = rows.get(at + 1).map_or(self.bytes.len(), |next| next.start as usize);
        let bytes = self.bytes.get(row.start as usize..end).unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
        let (mut out, mut column) = (String::with_capacity(bytes.len()), 0_u16);
        for c in String::from_utf8_lossy(bytes).chars() {
            let columns = width(c, column);
            match c {
                '\t' => out.extend(std::iter::repeat_n(' ', usize::from(columns))),
                c => out.push(c),
            }
            column = column.saturating_add(columns);
        }
        Some(((row.line > 0).then_some(row.line), out))
    }

    /// A row of numbers: where it starts, and its bytes, sixteen but for the last.
    #[must_use]
    pub fn byte_row(&self, at: usize) -> Option<(usize, &[u8])> {
        let start = at.checked_mul(ROW)?;
        let end = start.saturating_add(ROW).min(self.bytes.len());
        self.bytes.get(start..end).filter(|bytes| !bytes.is_empty()).map(|bytes| (start, bytes))
    }
}

/// The bytes as text, if they are: UTF-8 without a zero byte. Where the file is cut a character may be, too.
fn text(bytes: &[u8], whole: u64) -> Option<&str> {
    if bytes.contains(&0) {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && (bytes.len() as u64) < whole => {
            bytes.get(..error.valid_up_to()).and_then(|bytes| std::str::from_utf8(bytes).ok())
        }
        Err(_) => None,
    }
}

/// Columns that a character takes at a column.
fn width(c: char, column: u16) -> u16 {
    match c {
        '\t' => TAB - column % TAB,
        ' '..='~' => 1,
        c if u32::from(c) < 0xa0 => ESCAPE,
        c => match c.width() {
            // It may be shown as it is, or as an escape where it would be hidden.
            None | Some(0) => LONG_ESCAPE,
            Some(width) => u16::try_from(width).unwrap_or(LONG_ESCAPE),
        },
    }
}

fn lay_out(text: &str, columns: u16) -> Vec<TextRow> {
    let mut rows = Vec::new();
    let (mut line, mut column, mut begins) = (0_u32, 0_u16, true);
    for (at, c) in text.char_indices() {
        let start = u32::try_from(at).unwrap_or(u32::MAX);
        if begins {
            line = line.saturating_add(1);
            rows.push(TextRow { start, line });
            (column, begins) = (0, false);
        }
        if c == '\n' {
            begins = true;
            continue;
        }
        // That before a line's end is no column: it goes with the end. Any other is shown as an escape.
        if c == '\r' && text.get(at + 1..).is_some_and(|rest| rest.starts_with('\n')) {
            continue;
        }
        let mut wide = width(c, column);
        if column.saturating_add(wide) > columns && column > 0 {
            rows.push(TextRow { start, line: 0 });
            column = 0;
            wide = width(c, 0);
        }
        column = column.saturating_add(wide);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, columns: u16) -> Vec<(Option<u32>, String)> {
        let peek = Peek::new(text.as_bytes().to_vec(), text.len() as u64, true, columns);
        (0..peek.rows(true)).map(|at| peek.text_row(at).unwrap()).collect()
    }

    #[test]
    fn lines_are_numbered_and_long_ones_go_on_below() {
        let found = rows("one\r\n\ttwo\n\n0123456789abcdef", 10);
        let row = |line, text: &str| (line, text.to_owned());
        let expected = [
            row(Some(1), "one"),
            row(Some(2), "        tw"),
            row(None, "o"),
            row(Some(3), ""),
            row(Some(4), "0123456789"),
            row(None, "abcdef"),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows("", 10), []);
        assert_eq!(rows("日本語日本語", 10).len(), 2, "columns are counted, not characters");
    }

    #[test]
    fn a_return_that_ends_no_line_takes_the_columns_of_its_escape() {
        let found = rows(&"\r".repeat(1000), 80);
        assert_eq!(found.len(), 50);
        let all: String = found.into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, "\r".repeat(1000), "none is lost at the end of a row");
        assert_eq!(
            rows("12345678\r\n1234\r5678\r", 8),
            [(Some(1), "12345678".to_owned()), (Some(2), "1234\r".to_owned()), (None, "5678\r".to_owned()),]
        );
    }

    #[test]
    fn what_is_no_text_is_told_and_shown_as_numbers() {
        let peek = Peek::new((0..40).collect(), 40, true, 80);
        assert!(!peek.is_text() && peek.text_row(0).is_none());
        assert_eq!((peek.rows(true), peek.rows(false)), (3, 3));
        assert_eq!(peek.byte_row(2).unwrap(), (32, &[32, 33, 34, 35, 36, 37, 38, 39][..]));
        assert!(peek.byte_row(3).is_none() && peek.byte_row(usize::MAX).is_none());
        for bytes in [&b"a\xff"[..], b"a\0b", b"\xc3"] {
            assert!(!Peek::new(bytes.to_vec(), bytes.len() as u64, true, 80).is_text(), "{bytes:?}");
        }
    }

    #[test]
    fn a_character_that_is_cut_with_the_file_is_left_out() {
        let cut = "né".as_bytes()[..2].to_vec();
        let peek = Peek::new(cut, 3, false, 80);
        assert!(peek.is_text() && peek.is_cut() && !peek.is_checked());
        assert_eq!((peek.lines(), peek.len()), (1, 1));
        assert_eq!(peek.text_row(0).unwrap().1, "n");
    }

    proptest! {
        #[test]
        fn no_bytes_are_lost_and_none_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..400), columns in 0_u16..90) {
            let peek = Peek::new(bytes.clone(), bytes.len() as u64, true, columns);
            let shown: Vec<u8> = (0..peek.rows(false)).flat_map(|at| peek.byte_row(at).unwrap().1.to_vec()).collect();
            prop_assert_eq!(shown, bytes);
            for at in 0..peek.rows(true) {
                let _ = peek.text_row(at);
            }
        }

        #[test]
        fn text_is_all_there(text in "[a-zé\\n \u{1b}]{0,200}", columns in 8_u16..40) {
            let shown: String = rows(&text, columns).into_iter().map(|(_, text)| text).collect();
            prop_assert_eq!(shown, text.replace('\n', ""));
        }
    }
}
