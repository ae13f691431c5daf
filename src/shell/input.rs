//! The terminal library's events in our own words.

use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use crate::flow::{Chord, Key, Mods, Mouse, MouseKind, Msg};

/// A key that comes again sooner than this is held: no finger is that fast.
const REPEAT: Duration = Duration::from_millis(60);
/// Keys that come closer together than this were not pressed one by one: a paste into a terminal that doesn't mark pastes, or what was
/// typed ahead while nothing could be read. Such a key is as little an answer to a dialog as a held one.
const BURST: Duration = Duration::from_millis(8);
/// Two presses on one cell within this are a double press.
const DOUBLE: Duration = Duration::from_millis(400);
/// Longest paste that is taken, in bytes.
const LONGEST_PASTE: usize = 1 << 20;

/// Remembers what the last events were.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Forgotten when it is let go, where the terminal tells.
    key_before: Option<(Chord, Instant)>,
    /// When a key last went down, whichever it was.
    down_at: Option<Instant>,
    press_before: Option<((u16, u16), Instant)>,
}

impl Input {
    /// The message of an event, if it means anything to us. `now` is when it was read.
    pub(super) fn message(&mut self, event: Event, now: Instant) -> Option<Msg> {
        match event {
            Event::Key(key) => self.key(key, now),
            Event::Mouse(mouse) => self.mouse(mouse, now),
            Event::Paste(text) => Some(Msg::Paste(cut(text))),
            Event::Resize(width, height) => Some(Msg::Resize { width, height }),
            Event::FocusGained | Event::FocusLost => None,
        }
    }

    fn key(&mut self, event: KeyEvent, now: Instant) -> Option<Msg> {
        if event.kind == KeyEventKind::Release {
            // A key that was let go and pressed again is no repeat, however fast.
            self.key_before = None;
            return None;
        }
        let chord = chord(event)?;
        let since = |then: Instant| now.saturating_duration_since(then);
        let again = self.key_before.is_some_and(|(last, then)| last == chord && since(then) < REPEAT);
        let burst = self.down_at.is_some_and(|then| since(then) < BURST);
        self.key_before = Some((chord, now));
        self.down_at = Some(now);
        Some(Msg::Key { chord, held: again || burst || event.kind == KeyEventKind::Repeat })
    }

    fn mouse(&mut self, event: MouseEvent, now: Instant) -> Option<Msg> {
        let (column, row) = (event.column, event.row);
        let kind = match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let double =
                    self.press_before.is_some_and(|(cell, then)| cell == (column, row) && now.saturating_duration_since(then) < DOUBLE);
                // A third press begins anew.
                self.press_before = (!double).then_some(((column, row), now));
                if double { MouseKind::DoublePress } else { MouseKind::Press }
            }
            MouseEventKind::ScrollUp => MouseKind::ScrollUp,
            MouseEventKind::ScrollDown => MouseKind::ScrollDown,
            _ => return None,
        };
        Some(Msg::Mouse(Mouse { kind, column, row }))
    }
}

fn cut(mut text: String) -> String {
    let mut end = LONGEST_PASTE.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn chord(event: KeyEvent) -> Option<Chord> {
    let held = |modifier| event.modifiers.contains(modifier);
    let mut mods = Mods { ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT), shift: held(KeyModifiers::SHIFT) };
    if event.modifiers.intersects(KeyModifiers::SUPER | KeyModifiers::HYPER | KeyModifiers::META) {
        return None;
    }
    let key = match event.code {
        KeyCode::Char(c) => {
            // Terminals differ on whether they say Shift for a capital; the character says it.
            let c = if mods.shift && c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c };
            // And Ctrl with a letter has no case of its own.
            let c = if mods.ctrl { c.to_ascii_lowercase() } else { c };
            mods.shift = false;
            Key::Char(c)
        }
        KeyCode::BackTab => {
            mods.shift = true;
            Key::Tab
        }
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Insert => Key::Insert,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(n) => Key::F(n),
        _ => return None,
    };
    Some(Chord { key, mods })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        Instant::now()
    }

    #[test]
    fn keys_have_one_spelling() {
        let mut input = Input::default();
        let now = start();
        let mut chord = |code, modifiers| match input.message(press(code, modifiers), now) {
            Some(Msg::Key { chord, .. }) => chord.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(chord(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(chord(KeyCode::Char('g'), KeyModifiers::SHIFT), "G");
        assert_eq!(chord(KeyCode::Char('u'), KeyModifiers::CONTROL), "Ctrl-u");
        assert_eq!(chord(KeyCode::BackTab, KeyModifiers::SHIFT), "Shift-Tab");
        assert_eq!(chord(KeyCode::Char('?'), KeyModifiers::SHIFT), "?");
        assert_eq!(input.message(press(KeyCode::Char('q'), KeyModifiers::SUPER), now), None);
    }

    #[test]
    fn a_key_that_comes_again_at_once_is_held() {
        let mut input = Input::default();
        let now = start();
        let mut held = |code, millis| match input.message(press(code, KeyModifiers::NONE), now + Duration::from_millis(millis)) {
            Some(Msg::Key { held, .. }) => held,
            other => panic!("{other:?}"),
        };
        assert!(!held(KeyCode::Char('d'), 0));
        assert!(held(KeyCode::Char('d'), 33));
        assert!(held(KeyCode::Char('d'), 66));
        assert!(!held(KeyCode::Char('y'), 100));
        assert!(!held(KeyCode::Char('y'), 200));
        let mut repeat = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
        repeat.kind = KeyEventKind::Repeat;
        assert!(matches!(input.message(Event::Key(repeat), now + Duration::from_secs(9)), Some(Msg::Key { held: true, .. })));
        repeat.kind = KeyEventKind::Release;
        assert_eq!(input.message(Event::Key(repeat), now + Duration::from_secs(9)), None);
    }

    #[test]
    fn keys_that_come_all_at_once_are_no_fresh_ones() {
        let mut input = Input::default();
        let now = start();
        let mut held = |code, millis| match input.message(press(code, KeyModifiers::NONE), now + Duration::from_millis(millis)) {
            Some(Msg::Key { held, .. }) => held,
            other => panic!("{other:?}"),
        };
        // "ready", pasted where the terminal doesn't say that it is a paste.
        assert!(!held(KeyCode::Char('r'), 0));
        assert!(held(KeyCode::Char('d'), 0));
        assert!(held(KeyCode::Char('y'), 1));
        // A quick hand.
        assert!(!held(KeyCode::Char('d'), 100));
        assert!(!held(KeyCode::Char('y'), 125));
        let mut released = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(input.message(Event::Key(released), now + Duration::from_millis(126)), None);
        assert!(matches!(
            input.message(press(KeyCode::Enter, KeyModifiers::NONE), now + Duration::from_millis(127)),
            Some(Msg::Key { held: true, .. })
        ));
    }

    #[test]
    fn two_presses_on_a_cell_are_a_double_press_and_a_third_begins_anew() {
        let mut input = Input::default();
        let now = start();
        let mut kind = |column, millis| {
            let event = MouseEvent { kind: MouseEventKind::Down(MouseButton::Left), column, row: 3, modifiers: KeyModifiers::NONE };
            match input.message(Event::Mouse(event), now + Duration::from_millis(millis)) {
                Some(Msg::Mouse(mouse)) => mouse.kind,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(kind(5, 0), MouseKind::Press);
        assert_eq!(kind(5, 100), MouseKind::DoublePress);
        assert_eq!(kind(5, 200), MouseKind::Press);
        assert_eq!(kind(6, 250), MouseKind::Press);
        assert_eq!(kind(6, 900), MouseKind::Press);
    }

    #[test]
    fn a_paste_is_cut_at_a_character() {
        let text = "é".repeat(LONGEST_PASTE);
        match Input::default().message(Event::Paste(text), start()) {
            Some(Msg::Paste(text)) => assert!(text.len() <= LONGEST_PASTE && text.len() > LONGEST_PASTE - 2),
            other => panic!("{other:?}"),
        }
        assert_eq!(cut(format!("a{}", "é".repeat(LONGEST_PASTE))).len(), LONGEST_PASTE - 1);
    }
}
