//! Keys in our own words, so that no pure room knows the terminal library. A [`Chord`] reads and prints as in the keymap file:
//! `q`, `G`, `Ctrl-u`, `Space`, `F5`, `Shift-Tab`.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Char(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Insert,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    F(u8),
}

/// Modifiers held. Shift is not kept for characters: `G` is `Char('G')`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mods {
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chord {
    pub key: Key,
    pub mods: Mods,
}

impl Chord {
    #[must_use]
    pub const fn plain(key: Key) -> Self {
        Self { key, mods: Mods { ctrl: false, alt: false, shift: false } }
    }

    #[must_use]
    pub const fn char(c: char) -> Self {
        Self::plain(Key::Char(c))
    }

    #[must_use]
    pub const fn ctrl(c: char) -> Self {
        Self { key: Key::Char(c), mods: Mods { ctrl: true, alt: false, shift: false } }
    }
}

const NAMES: [(&str, Key); 16] = [
    ("Space", Key::Char(' ')),
    ("Enter", Key::Enter),
    ("Esc", Key::Esc),
    ("Tab", Key::Tab),
    ("Backspace", Key::Backspace),
    ("Delete", Key::Delete),
    ("Insert", Key::Insert),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PgUp", Key::PageUp),
    ("PgDn", Key::PageDown),
    ("Minus", Key::Char('-')),
];

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [(self.mods.ctrl, "Ctrl-"), (self.mods.alt, "Alt-"), (self.mods.shift, "Shift-")] {
            if held {
                f.write_str(name)?;
            }
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, key)| *key == self.key) {
            return f.write_str(name);
        }
        match self.key {
            Key::Char(c) => write!(f, "{c}"),
            Key::F(n) => write!(f, "F{n}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut mods = Mods::default();
        let mut rest = text;
        loop {
            if let Some(tail) = rest.strip_prefix("Ctrl-") {
                mods.ctrl = true;
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("Alt-") {
                mods.alt = true;
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("Shift-") {
                mods.shift = true;
                rest = tail;
            } else {
                break;
            }
        }
        let mut chars = rest.chars();
        let key = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Key::Char(c),
            _ => match NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)) {
                Some((_, key)) => *key,
                None => match rest.strip_prefix('F').and_then(|n| n.parse().ok()) {
                    Some(n @ 1..=24) => Key::F(n),
                    _ => return Err(format!("{text:?} is not a key: write a character, or Space, Enter, F5, Ctrl-u, Alt-x, Shift-Tab")),
                },
            },
        };
        // Shift-g is G: one spelling for one key.
        if let (Key::Char(c), true) = (key, mods.shift) {
            mods.shift = false;
            return Ok(Self { key: Key::Char(c.to_ascii_uppercase()), mods });
        }
        Ok(Self { key, mods })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_print_as_they_read() {
        for text in ["q", "G", "Ctrl-u", "Space", "F5", "Shift-Tab", "Alt-x", "PgDn", "/", "?", "Minus", "Ctrl-r"] {
            assert_eq!(text.parse::<Chord>().unwrap().to_string(), text);
        }
        assert_eq!("Shift-g".parse::<Chord>().unwrap(), Chord::char('G'));
        assert!("Hyper-x".parse::<Chord>().is_err());
        assert!("".parse::<Chord>().is_err());
    }
}
