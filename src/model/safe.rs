//! Foreign text and its safe form.
//!
//! [`Foreign`] is text from an image, an engine, a registry or a file, as it came: it can be compared, sent back and written as
//! JSON, but it has no `Display`. [`Safe`] is the only text a widget or a terminal takes: nothing in it can move the cursor,
//! hide, reorder or imitate.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Safe(Box<str>);

impl Safe {
    #[must_use]
    pub fn new(raw: &str) -> Self {
        if raw.len() <= LONGEST && raw.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'\\') {
            return Self(raw.into());
        }
        let mut out = String::with_capacity(raw.len() + 8);
        let mut count = 0_usize;
        let mut marks = 0_u8;
        for c in raw.chars() {
            count += 1;
            if count > LONGEST {
                continue;
            }
            push(&mut out, c, &mut marks);
        }
        if count > LONGEST {
            let _ = write!(out, "… +{}", count - LONGEST);
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

fn push(out: &mut String, c: char, _marks: &mut u8) {
    match c {
        '\n' => out.push('⏎'),
        '\t' => out.push(' '),
        c if c.is_control() => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c => out.push(c),
    }
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
