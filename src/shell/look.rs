//! The theme in force: a file of the user's `themes/` before one of the same name in the program, at the terminal's depth of colour.

use std::path::{Path, PathBuf};

use ratatui::buffer::Buffer;

use crate::app::{self, State};
use crate::model::{Problem, ProblemKind};
use crate::ui::Theme;
use crate::ui::theme::{BUILTIN, DEFAULT};

use super::paths::read_bounded;

/// Largest theme file.
const LARGEST: u64 = 256 * 1024;
/// Most theme files that are listed.
const MOST: usize = 500;

/// Where themes come from.
#[derive(Debug, Clone)]
pub struct Themes {
    dir: PathBuf,
}

impl Themes {
    /// Themes of the program and of that directory.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Every name, the program's own first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = BUILTIN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().flatten().take(MOST);
        let mut own: Vec<String> = files
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
            .filter(|name| !names.contains(name))
            .collect();
        own.sort();
        names.extend(own);
        names
    }

    /// The theme of that name.
    ///
    /// # Errors
    /// There is none, or it is no theme: where and why.
    pub fn load(&self, name: &str) -> Result<Theme, Problem> {
        let wrong = |cause: String| Problem::new(ProblemKind::Usage, format!("use the theme {name:?}"), cause);
        let text = self.text(name).ok_or_else(|| wrong(format!("there is none; there are {}", self.names().join(", "))))?;
        Theme::load(&text, |parent| self.inherited(parent, name)).map_err(wrong)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.own(name).or_else(|| builtin(name))
    }

    /// A file that has the name of one of the program's themes may inherit from it.
    fn inherited(&self, parent: &str, child: &str) -> Option<String> {
        if parent == child { builtin(parent) } else { self.text(parent) }
    }

    fn own(&self, name: &str) -> Option<String> {
        // A name is one file in the directory, never a path out of it.
        if name.is_empty() || Path::new(name).file_name()? != name {
            return None;
        }
        let bytes = read_bounded(&self.dir.join(format!("{name}.toml")), LARGEST).ok()?;
        String::from_utf8(bytes).ok()
    }
}

fn builtin(name: &str) -> Option<String> {
    BUILTIN.iter().find(|(builtin, _)| *builtin == name).map(|(_, text)| (*text).to_owned())
}

/// The theme that is drawn with, which follows the one the settings name.
#[derive(Debug)]
pub(super) struct Look {
    themes: Themes,
    /// The name the theme was loaded for, also when that failed.
    name: Option<String>,
    theme: Option<Theme>,
}

impl Look {
    pub(super) const fn new(themes: Themes) -> Self {
        Self { themes, name: None, theme: None }
    }

    /// Turns to the theme that the state names. A theme that can't be loaded leaves the last one in force.
    ///
    /// # Errors
    /// Why it can't.
    pub(super) fn follow(&mut self, state: &State) -> Result<(), Problem> {
        let wanted = if state.settings.theme.is_empty() { DEFAULT } else { &state.settings.theme };
        if self.name.as_deref() == Some(wanted) {
            return Ok(());
        }
        self.name = Some(wanted.to_owned());
        let loaded = self.themes.load(wanted);
        if loaded.is_err() && self.theme.is_some() {
            return loaded.map(drop);
        }
        let (theme, result) = match loaded {
            Ok(theme) => (Some(theme), Ok(())),
            Err(problem) => (Theme::builtin(DEFAULT).ok(), Err(problem)),
        };
        self.theme = theme.map(|theme| theme.at(state.settings.colours.into()));
        result
    }

    pub(super) fn draw(&self, buffer: &mut Buffer, state: &State) -> Option<(u16, u16)> {
        self.theme.as_ref().and_then(|theme| app::draw::draw_in(buffer, state, theme))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_theme_goes_before_the_programs_and_may_inherit_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let themes = Themes::new(dir.path().join("themes"));
        assert!(themes.names().len() >= 8);
        for name in themes.names() {
            themes.load(&name).unwrap();
        }
        std::fs::create_dir(dir.path().join("themes")).unwrap();
        std::fs::write(dir.path().join("themes").join(format!("{DEFAULT}.toml")), format!("name = \"Mine\"\ninherits = \"{DEFAULT}\"\n"))
            .unwrap();
        std::fs::write(dir.path().join("themes/broken.toml"), "name = [").unwrap();
        assert_eq!(themes.load(DEFAULT).unwrap().name, "Mine");
        assert_eq!(themes.names().len(), BUILTIN.len() + 1);
        assert!(themes.load("broken").is_err());
        assert!(themes.load("none").unwrap_err().cause.as_str().contains(DEFAULT));
        assert!(themes.load("../themes/broken").unwrap_err().cause.as_str().contains("there is none"));
    }

    #[test]
    fn a_broken_theme_leaves_the_last_one_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let mut look = Look::new(Themes::new(dir.path().to_owned()));
        let mut state = State::default();
        look.follow(&state).unwrap();
        let before = look.theme.clone().unwrap().name;
        state.settings.theme = "none".to_owned();
        assert!(look.follow(&state).is_err());
        assert!(look.follow(&state).is_ok(), "said once");
        assert_eq!(look.theme.unwrap().name, before);
    }
}
