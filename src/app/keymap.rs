//! Keys to actions: the table's defaults, a preset over them, the user's file over that.

use std::collections::HashMap;

use crate::flow::{ACTIONS, Action, Chord, Place};

/// What each key does in each place.
#[derive(Debug, Clone, PartialEq)]
pub struct Keymap {
    chords: HashMap<(Place, Chord), Action>,
}

/// An action's name and the keys it gets.
type Binding = (&'static str, &'static [&'static str]);

/// The named presets and what they change.
const PRESETS: &[(&str, &[Binding])] = &[
    ("lighterman", &[]),
    (
        "k9s",
        &[
            ("delete", &["Ctrl-d"]),
            ("half-page-down", &["Ctrl-f"]),
            ("half-page-up", &["Ctrl-b"]),
            ("inspect", &["d", "F4"]),
            ("clear-marks", &["Ctrl-\\"]),
        ],
    ),
    (
        "vim",
        &[
            ("page-down", &["Ctrl-f", "PgDn"]),
            ("page-up", &["Ctrl-b", "PgUp"]),
            ("delete", &["x", "Delete"]),
            ("run-plan", &["Ctrl-x"]),
            ("quit", &["q", "Ctrl-c", "Z"]),
        ],
    ),
];

impl Default for Keymap {
    fn default() -> Self {
        let mut chords = HashMap::new();
        for row in ACTIONS {
            for key in row.keys {
                chords.insert((row.place, *key), row.action);
            }
        }
        Self { chords }
    }
}

impl Keymap {
    /// The defaults changed by a preset.
    ///
    /// # Errors
    /// An unknown preset, with the names there are.
    pub fn preset(name: &str) -> Result<Self, String> {
        let Some((_, rows)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
            let names: Vec<_> = PRESETS.iter().map(|(preset, _)| *preset).collect();
            return Err(format!("there is no key preset {name:?}; there are {}", names.join(", ")));
        };
        let mut keymap = Self::default();
        for (action, keys) in *rows {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keymap.bind(action, &keys)?;
        }
        Ok(keymap)
    }

    /// Gives an action these keys instead of the ones it had. A key that another action has in the same place moves over here.
    ///
    /// # Errors
    /// An unknown action or a text that is no key.
    pub fn bind(&mut self, action: &str, keys: &[String]) -> Result<(), String> {
        let action = Action::named(action).ok_or_else(|| format!("there is no action {action:?}"))?;
        let chords = keys.iter().map(|key| key.parse::<Chord>()).collect::<Result<Vec<_>, _>>()?;
        let place = action.row().place;
        self.chords.retain(|(at, chord), bound| *bound != action && !(chords.contains(chord) && at.overlaps(place)));
        for chord in chords {
            self.chords.insert((place, chord), action);
        }
        Ok(())
    }

    /// The action of a chord, looked for in `places` in turn.
    #[must_use]
    pub fn action(&self, chord: Chord, places: &[Place]) -> Option<Action> {
        places.iter().find_map(|place| self.chords.get(&(*place, chord)).copied())
    }

    /// The keys of an action, shortest first; empty when it has none.
    #[must_use]
    pub fn keys(&self, action: Action) -> Vec<Chord> {
        let mut chords: Vec<_> = self.chords.iter().filter(|(_, bound)| **bound == action).map(|((_, chord), _)| *chord).collect();
        chords.sort_by_key(|chord| (chord.to_string().len(), *chord));
        chords
    }

    /// The keys of an action as text: `j, Down`.
    #[must_use]
    pub fn keys_text(&self, action: Action) -> String {
        self.keys(action).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_bind_and_every_action_keeps_a_key() {
        for (name, _) in PRESETS {
            let keymap = Keymap::preset(name).unwrap();
            for row in ACTIONS {
                assert!(!keymap.keys(row.action).is_empty(), "{name}: {} lost its keys", row.name);
            }
        }
        assert!(Keymap::preset("emacs").unwrap_err().contains("k9s"));
    }

    #[test]
    fn a_bound_key_moves_over() {
        let mut keymap = Keymap::default();
        keymap.bind("delete", &["t".to_owned()]).unwrap();
        assert_eq!(keymap.action(Chord::char('t'), &[Place::Rows]), Some(Action::Delete));
        assert_eq!(keymap.action(Chord::char('d'), &[Place::Rows]), None);
        assert!(keymap.keys(Action::Retag).is_empty());
        assert!(keymap.bind("fly", &[]).is_err());
        assert!(keymap.bind("delete", &["Hyper-q".to_owned()]).is_err());
    }
}
