//! Text that may be written to the screen, and cutting it to columns. Widths are those of the `unicode-width` tables, which the screen buffer uses too.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::Safe;

/// Text fit for the screen: our own words, or foreign text made [`Safe`], or a piece of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a>(&'a str);

impl<'a> From<&'a Safe> for Shown<'a> {
    fn from(safe: &'a Safe) -> Self {
        Self(safe.as_str())
    }
}

impl From<&'static str> for Shown<'_> {
    fn from(ours: &'static str) -> Self {
        Self(ours)
    }
}

impl<'a> Shown<'a> {
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Columns it takes.
    #[must_use]
    pub fn width(self) -> u16 {
        if self.0.is_ascii() { cols(self.0.len()) } else { cols(self.0.width()) }
    }

    /// The longest beginning of at most `columns`, and the rest.
    #[must_use]
    pub fn split(self, columns: u16) -> (Self, Self) {
        let at = if self.0.is_ascii() { usize::from(columns).min(self.0.len()) } else { boundary(self.0, columns) };
        let (head, tail) = self.0.split_at_checked(at).unwrap_or((self.0, ""));
        (Self(head), Self(tail))
    }

    /// Without its first `columns`; a wide character that is half gone goes.
    #[must_use]
    pub fn skip(self, columns: u16) -> Self {
        let (head, tail) = self.split(columns);
        if head.width() == columns || tail.is_empty() {
            return tail;
        }
        let first = tail.0.chars().next().map_or(0, char::len_utf8);
        Self(tail.0.get(first..).unwrap_or_default())
    }

    /// The end of at most `columns`.
    #[must_use]
    pub fn tail(self, columns: u16) -> Self {
        self.skip(self.width().saturating_sub(columns))
    }

    /// Splits at the last `separator`, which stays in the first part.
    #[must_use]
    pub fn break_after_last(self, separator: char) -> Option<(Self, Self)> {
        let (head, tail) = self.0.split_at_checked(self.0.rfind(separator)? + separator.len_utf8())?;
        Some((Self(head), Self(tail)))
    }

    /// Pieces by bytes, for highlighting: the first `len` bytes and the rest; all where that is no boundary.
    #[must_use]
    pub fn bytes(self, len: usize) -> (Self, Self) {
        let (head, tail) = self.0.split_at_checked(len).unwrap_or((self.0, ""));
        (Self(head), Self(tail))
    }

    /// Broken into lines of at most `columns`, at blanks where there are any; at most `most` lines.
    #[must_use]
    pub fn wrapped(self, columns: u16, most: usize) -> Vec<Self> {
        let mut lines = Vec::new();
        let mut rest = self;
        while !rest.is_empty() && lines.len() < most && columns > 0 {
            let (head, tail) = rest.split(columns);
            if tail.is_empty() {
                lines.push(head);
                break;
            }
            if head.is_empty() {
                // A wide character in a one-column room.
                break;
            }
            let (line, next) = match head.0.rfind(' ').filter(|at| *at > head.0.len() / 3 && !tail.0.starts_with(' ')) {
                Some(blank) => rest.bytes(blank + 1),
                None => (head, tail),
            };
            lines.push(Self(line.0.trim_end()));
            rest = Self(next.0.trim_start_matches(' '));
        }
        lines
    }
}

/// The byte after the last character that fits into `columns`.
fn boundary(text: &str, columns: u16) -> usize {
    let mut left = usize::from(columns);
    for (at, c) in text.char_indices() {
        match left.checked_sub(c.width().unwrap_or(0)) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    text.len()
}

/// A count as columns or rows.
#[must_use]
pub fn cols(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// A count with its thousands apart: `10,412`.
#[must_use]
pub fn count(n: usize) -> Safe {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + 4);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    Safe::from(out)
}

/// A size for the screen: `7.84 GB`.
#[must_use]
pub fn bytes(size: u64) -> Safe {
    Safe::from(crate::model::size::human(size))
}

/// Our own words with something in them, as text for the screen.
macro_rules! words {
    ($($part:tt)*) => { $crate::model::Safe::from(format!($($part)*)) };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_at_columns() {
        let safe = Safe::new("日本語abc");
        let shown = Shown::from(&safe);
        assert_eq!(shown.width(), 9);
        assert_eq!(shown.split(3).0.as_str(), "日");
        assert_eq!(shown.skip(3).as_str(), "語abc");
        assert_eq!(shown.tail(4).as_str(), "abc", "half of a wide character is none");
        assert_eq!(count(10_412).as_str(), "10,412");
        assert_eq!(count(999).as_str(), "999");
    }

    #[test]
    fn long_text_is_wrapped_at_blanks() {
        let safe = Safe::new("apt-get install -y curl ca-certificates");
        let lines: Vec<_> = Shown::from(&safe).wrapped(16, 9).into_iter().map(Shown::as_str).collect();
        assert_eq!(lines, ["apt-get install", "-y curl", "ca-certificates"]);
    }

    proptest! {
        #[test]
        fn no_piece_is_wider_than_asked(raw in any::<String>(), columns in 0_u16..40) {
            let safe = Safe::new(&raw);
            let shown = Shown::from(&safe);
            prop_assert!(shown.split(columns).0.width() <= columns);
            prop_assert!(shown.tail(columns).width() <= columns);
            for line in shown.wrapped(columns, 50) {
                prop_assert!(line.width() <= columns);
            }
        }
    }
}
