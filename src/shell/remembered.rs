//! What a user chose in the app and wants to find again: theme, sort, the source looked at last. Written by the program alone, in the
//! state directory; the configuration file goes before it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::app::State;
use crate::curate::cleanup::Limits;
use crate::model::SourceId;
use crate::pane::images::Sort;

use super::config::{column_name, column_named};
use super::paths::{read_bounded, write_whole};
use super::registries::TYPED;

const LONGEST: u64 = 64 * 1024;
const DAY: i64 = 86_400;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub theme: Option<String>,
    pub source: Option<SourceId>,
    /// Registries that were typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<KeptSort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clean_up: Option<KeptLimits>,
}

/// Where the groups of what can go end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptLimits {
    unused_days: i64,
    newest: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptSort {
    column: String,
    reversed: bool,
}

/// The registries that were typed, the last fifty.
fn typed(state: &State) -> Vec<String> {
    let typed = state.registries.hosts.rows.iter().filter(|row| row.why.as_str() == TYPED);
    let mut hosts: Vec<String> = typed.map(|row| row.name.to_string()).collect();
    hosts.drain(..hosts.len().saturating_sub(50));
    hosts
}

impl Remembered {
    /// What can't be read is as good as absent.
    pub(super) fn read(file: &Path) -> Self {
        let text = read_bounded(file, LONGEST).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        toml::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "what was remembered can't be read, and is left aside");
            Self::default()
        })
    }

    pub(super) fn of(state: &State) -> Self {
        let (sort, limits) = (state.images.sort, state.settings.clean_up);
        Self {
            theme: Some(state.settings.theme.clone()).filter(|theme| !theme.is_empty()),
            source: state.sources.current.clone(),
            registries: typed(state),
            sort: Some(KeptSort { column: column_name(sort.column).to_owned(), reversed: sort.reversed }),
            clean_up: Some(KeptLimits { unused_days: limits.unused_for / DAY, newest: limits.newest }),
        }
    }

    /// What is out of bounds is as good as absent.
    pub(super) fn clean_up(&self) -> Limits {
        let kept = self.clean_up.as_ref().filter(|kept| (1..=3650).contains(&kept.unused_days) && (1..=1000).contains(&kept.newest));
        kept.map_or_else(Limits::default, |kept| Limits { unused_for: kept.unused_days * DAY, newest: kept.newest })
    }

    pub(super) fn sort(&self) -> Option<Sort> {
        let sort = self.sort.as_ref()?;
        Some(Sort { column: column_named(&sort.column)?, reversed: sort.reversed })
    }
}

/// Writes on a blocking thread; of several the newest stays.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    file: PathBuf,
    newest: Arc<Mutex<u64>>,
    count: u64,
}

impl Keeper {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, newest: Arc::default(), count: 0 }
    }

    /// Must be called inside a tokio runtime.
    pub(super) fn keep(&mut self, what: Remembered) {
        self.count += 1;
        let Self { file, newest, count } = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            if *newest < count {
                *newest = count;
                let written = toml::to_string(&what).map_err(std::io::Error::other).and_then(|text| write_whole(&file, text.as_bytes()));
                if let Err(error) = written {
                    tracing::warn!(file = %file.display(), %error, "what was chosen can't be remembered");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pane::images::SortColumn;

    #[test]
    fn what_was_chosen_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("remembered.toml");
        assert_eq!(Remembered::read(&file), Remembered::default());
        let mut state = State::default();
        state.settings.theme = "nord".to_owned();
        state.sources.current = Some(SourceId("store".to_owned()));
        state.images.sort = Sort { column: SortColumn::Size, reversed: true };
        state.settings.clean_up = Limits { unused_for: 90 * DAY, newest: 3 };
        let kept = Remembered::of(&state);
        write_whole(&file, toml::to_string(&kept).unwrap().as_bytes()).unwrap();
        assert_eq!(Remembered::read(&file), kept);
        assert_eq!(Remembered::read(&file).sort(), Some(state.images.sort));
        assert_eq!(Remembered::read(&file).clean_up(), state.settings.clean_up);
        std::fs::write(&file, "[clean_up]\nunused_days = -9\nnewest = 0\n").unwrap();
        assert_eq!(Remembered::read(&file).clean_up(), Limits::default());
        std::fs::write(&file, "theme = [broken").unwrap();
        assert_eq!(Remembered::read(&file), Remembered::default());
    }
}
