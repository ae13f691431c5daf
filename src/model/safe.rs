//! Foreign text and its safe form.
//!
//! [`Foreign`] is text from an image, an engine, a registry or a file, as it came: it can be compared, sent back and written as
//! JSON, but it has no `Display`. [`Safe`] is the only text a widget or a terminal takes: nothing in it can move the cursor,
//! hide, reorder or imitate. What counts as hidden follows Unicode's general categories and its default-ignorable list.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_width::UnicodeWidthChar;

/// Longest text kept for one field, in characters.
const LONGEST: usize = 4096;

/// Text as it came from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Foreign(Box<str>);

impl Foreign {
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self(raw.into())
    }

    /// Bytes as text; what is no text is marked as such.
    #[must_use]
    pub fn lossy(raw: &[u8]) -> Self {
        Self(String::from_utf8_lossy(raw).into())
    }

    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn safe(&self) -> Safe {
        Safe::new(&self.0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Foreign {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Foreign {
    fn from(raw: String) -> Self {
        Self(raw.into())
    }
}

/// Text that may be shown: one line, printable, and different whenever the raw text was different (up to its cut).
///
/// What can't be seen as what it is stands as an escape, `\x1b` or `\u{202e}`; a line break is `⏎`, a tab `⇥`. A backslash that could be taken
/// for the start of an escape is doubled, so every safe text reads back to one raw text only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Safe(Box<str>);

impl Safe {
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self::escaped(raw, false)
    }

    /// As [`Safe::new`], with everything outside ASCII escaped too: for names whose grammar is ASCII, so that no look-alike letter passes.
    #[must_use]
    pub fn ascii(raw: &str) -> Self {
        Self::escaped(raw, true)
    }

    fn escaped(raw: &str, ascii: bool) -> Self {
        if raw.len() <= LONGEST && raw.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'\\') {
            return Self(raw.into());
        }
        let mut out = String::with_capacity(raw.len() + 16);
        let mut eye = Eye::default();
        let mut rest = raw.chars();
        let mut count = 0_usize;
        // Backslashes seen but not written yet: how they are written hangs on what follows.
        let mut slashes = 0_usize;
        while count < LONGEST {
            let Some(c) = rest.next() else { break };
            count += 1;
            if c == '\\' {
                slashes += 1;
                eye.base = true;
                continue;
            }
            let sign = sign(c);
            let escape = sign.is_none() && (eye.escapes(c) || (ascii && !c.is_ascii()) || matches!(c, '⏎' | '⇥'));
            let doubled = escape || looks_like_escape(c, rest.as_str());
            push_slashes(&mut out, &mut slashes, doubled);
            match sign {
                Some(sign) => {
                    eye.base = false;
                    out.push(sign);
                }
                None if escape => push_escape(&mut out, c),
                None => out.push(c),
            }
        }
        let left = rest.count();
        push_slashes(&mut out, &mut slashes, false);
        if left > 0 {
            let _ = write!(out, "… +{left}");
        }
        Self(out.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The picture of the two control characters that have one.
const fn sign(c: char) -> Option<char> {
    match c {
        '\n' => Some('⏎'),
        '\t' => Some('⇥'),
        _ => None,
    }
}

fn push_slashes(out: &mut String, slashes: &mut usize, doubled: bool) {
    let times = if doubled { *slashes * 2 } else { *slashes };
    out.extend(std::iter::repeat_n('\\', times));
    *slashes = 0;
}

/// Whether a backslash before `c` would read as one of our escapes.
fn looks_like_escape(c: char, rest: &str) -> bool {
    match c {
        'x' => rest.bytes().take(2).filter(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).count() == 2,
        'u' => rest.starts_with('{'),
        _ => false,
    }
}

fn push_escape(out: &mut String, c: char) {
    let code = u32::from(c);
    let _ = if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{{{code:x}}}") };
}

/// Marks that stand on one character and are still shown as they are.
const MOST_MARKS: u8 = 4;

/// Tells what an eye can't take in, character by character: what is hidden for itself, and marks piled too high or on nothing.
#[derive(Default)]
struct Eye {
    /// The character before can carry a mark.
    base: bool,
    marks: u8,
}

impl Eye {
    fn escapes(&mut self, c: char) -> bool {
        if (' '..='~').contains(&c) {
            (self.base, self.marks) = (c != ' ', 0);
            return false;
        }
        if is_hidden(c) {
            self.base = false;
            return true;
        }
        if c.width().unwrap_or(0) > 0 {
            (self.base, self.marks) = (true, 0);
            return false;
        }
        self.marks = self.marks.saturating_add(1);
        let piled = !self.base || self.marks > MOST_MARKS;
        self.base &= !piled;
        piled
    }
}

/// Whether a character moves the cursor, turns the direction, has no picture of its own, or one that can't be told from a blank.
fn is_hidden(c: char) -> bool {
    use GeneralCategory as G;
    let category = matches!(
        c.general_category(),
        G::Control
            | G::Format
            | G::LineSeparator
            | G::ParagraphSeparator
            | G::SpaceSeparator
            | G::PrivateUse
            | G::Unassigned
            | G::Surrogate
    );
    // Letters and marks that are drawn as nothing (the default-ignorable ones), or as a blank.
    category
        || matches!(u32::from(c),
            0x034f | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x2800 | 0x3164 | 0xfe00..=0xfe0f | 0xffa0 | 0xfffc
            | 0x0001_d159 | 0x000e_0000..=0x000e_0fff)
}

/// Makes a serialised JSON text harmless to print and still equal: each character outside ASCII that [`Safe`] would escape becomes a
/// `\uXXXX` (two of them above U+FFFF). Such characters stand only within JSON strings, so the text stays valid.
#[must_use]
pub fn escape_json(json: &str) -> String {
    if json.bytes().all(|b| b < 0x7f) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    let mut eye = Eye::default();
    for c in json.chars() {
        let hidden = eye.escapes(c);
        if c == '"' {
            eye.base = false;
        }
        if hidden && u32::from(c) >= 0x7f {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

impl From<&str> for Safe {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Safe {
    fn from(raw: String) -> Self {
        Self::new(&raw)
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a safe text back: the proof that two raw texts never look the same.
    fn read_back(safe: &str) -> String {
        let chars: Vec<char> = safe.chars().collect();
        let (mut out, mut i) = (String::new(), 0);
        while i < chars.len() {
            match chars[i] {
                '⏎' => out.push('\n'),
                '⇥' => out.push('\t'),
                '\\' => {
                    let run = chars[i..].iter().take_while(|c| **c == '\\').count();
                    let after = i + run;
                    let hex = |from: usize, to: usize| u32::from_str_radix(&chars[from..to].iter().collect::<String>(), 16).unwrap();
                    let two = chars.get(after) == Some(&'x')
                        && (1..3).all(|n| chars.get(after + n).is_some_and(|c| c.is_ascii_digit() || ('a'..='f').contains(c)));
                    let braces = chars.get(after) == Some(&'u') && chars.get(after + 1) == Some(&'{');
                    if !two && !braces {
                        out.extend(std::iter::repeat_n('\\', run));
                        i = after;
                        continue;
                    }
                    out.extend(std::iter::repeat_n('\\', run / 2));
                    if run % 2 == 0 {
                        out.push(chars[after]);
                        i = after + 1;
                    } else if two {
                        out.push(char::from_u32(hex(after + 1, after + 3)).unwrap());
                        i = after + 3;
                    } else {
                        let close = after + chars[after..].iter().position(|c| *c == '}').unwrap();
                        out.push(char::from_u32(hex(after + 2, close)).unwrap());
                        i = close + 1;
                    }
                    continue;
                }
                c => out.push(c),
            }
            i += 1;
        }
        out
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[\\\\xu{}0-9a-f]{1,4}",
            "[a-z\u{300}-\u{304}]{1,8}",
            Just("\u{202e}".to_owned()),
            Just("\x1b[31m".to_owned()),
            Just("⏎".to_owned()),
            Just("\u{3164}".to_owned()),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn distinct_texts_look_distinct(raw in hostile()) {
            prop_assert_eq!(read_back(Safe::new(&raw).as_str()), raw.clone());
            prop_assert_eq!(read_back(Safe::ascii(&raw).as_str()), raw);
        }

        #[test]
        fn nothing_hidden_is_left(raw in hostile()) {
            let safe = Safe::new(&raw);
            let mut marks = 0;
            for c in safe.as_str().chars() {
                prop_assert!(!is_hidden(c) || c == ' ', "{c:?} in {safe:?}");
                marks = if c.width() == Some(0) { marks + 1 } else { 0 };
                prop_assert!(marks <= 4);
            }
            prop_assert!(Safe::ascii(&raw).as_str().chars().all(|c| (' '..='~').contains(&c) || matches!(c, '⏎' | '⇥')));
        }

        #[test]
        fn json_stays_equal_and_harmless(raw in hostile()) {
            let value = serde_json::json!({ raw.clone(): [raw] });
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let escaped = escape_json(&text);
                prop_assert!(escaped.chars().all(|c| !is_hidden(c) || matches!(c, ' ' | '\n')), "{escaped:?}");
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value.clone());
            }
        }
    }

    #[test]
    fn known_tricks_are_seen() {
        for (raw, seen) in [
            ("plain text 1.0", "plain text 1.0"),
            ("a\x1b[31mb", "a\\x1b[31mb"),
            ("\u{9b}2J", "\\x9b2J"),
            ("a\nb\tc\rd", "a⏎b⇥c\\x0dd"),
            ("⏎", "\\u{23ce}"),
            ("\\x1b", "\\\\x1b"),
            ("C:\\users\\x", "C:\\users\\x"),
            ("exe.\u{202e}gpj", "exe.\\u{202e}gpj"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("\u{3164}\u{115f}\u{ffa0}\u{2800}", "\\u{3164}\\u{115f}\\u{ffa0}\\u{2800}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{e000}", "\\u{e000}"),
            ("a\u{a0}b", "a\\xa0b"),
            ("日本語 café 🚢", "日本語 café 🚢"),
            ("\u{301}a", "\\u{301}a"),
            ("z\u{301}\u{302}\u{303}\u{304}\u{305}", "z\u{301}\u{302}\u{303}\u{304}\\u{305}"),
        ] {
            assert_eq!(Safe::new(raw).as_str(), seen, "{raw:?}");
        }
        assert_eq!(Safe::ascii("аpi").as_str(), "\\u{430}pi", "a Cyrillic letter in a name");
    }

    #[test]
    fn a_field_is_cut_and_says_so() {
        let safe = Safe::new(&"é".repeat(LONGEST + 7));
        assert!(safe.as_str().ends_with("é… +7"));
        assert_eq!(Safe::new(&"e".repeat(LONGEST)).as_str().len(), LONGEST);
        assert!(Safe::new(&"e".repeat(LONGEST + 1)).as_str().ends_with("e… +1"));
    }
}
