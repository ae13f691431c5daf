//! The Registries pane: hosts, their repositories, the tags of one, and what is behind a tag. Enter goes deeper, Esc goes back; each level
//! keeps its cursor and its filter.

pub mod browsed;
pub mod draw;
pub mod hosts;
pub mod parts;
pub mod repositories;
pub mod tags;
pub mod what_if;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tui_input::Input;

use crate::flow::Action;
use crate::model::filter::Filter;
use crate::model::{Digest, ImageKey, Name, Quota, SourceId};

use super::ListCursor;
pub use browsed::{Browsed, BrowsedHost};
pub use hosts::Hosts;
pub use parts::Parts;
pub use repositories::Repositories;
pub use tags::Tags;
pub use what_if::WhatIf;

/// How deep one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    #[default]
    Hosts,
    Repositories,
    Tags,
    /// The images of an index, and what refers to it.
    Parts,
}

#[derive(Debug, Default)]
pub struct Registries {
    pub level: Level,
    pub hosts: Hosts,
    pub repositories: Repositories,
    pub tags: Tags,
    pub parts: Parts,
    browsed: Browsed,
    /// How much each registry still gives, for those that say so.
    pub quotas: BTreeMap<SourceId, Quota>,
    /// The line being typed, while it is.
    pub filter_input: Option<Input>,
    /// Why the filter text as typed is not a filter; the last good one stays in force.
    pub filter_problem: Option<String>,
    /// A host, and perhaps one of its repositories, to go to as soon as the host is known.
    pub wanted: Option<(String, Option<String>)>,
}

impl Registries {
    /// The registry one is in.
    #[must_use]
    pub fn source(&self) -> Option<&SourceId> {
        match self.level {
            Level::Hosts => self.hosts.selected().map(|host| &host.id),
            _ => self.hosts.entered.as_ref(),
        }
    }

    /// The host's name, as in a reference.
    #[must_use]
    pub fn host(&self) -> &str {
        self.source().and_then(SourceId::registry_host).unwrap_or_default()
    }

    /// The policy that is tried out here and now.
    #[must_use]
    pub fn what_if(&self) -> Option<&WhatIf> {
        self.tags.what_if.as_ref().filter(|_| self.level == Level::Tags)
    }

    /// `host/repository`, while one is in a repository.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        matches!(self.level, Level::Tags | Level::Parts).then(|| format!("{}/{}", self.host(), self.tags.repository))
    }

    /// The full name of a tag of the repository one is in.
    #[must_use]
    pub fn name(&self, tag: &str) -> Name {
        Name::new(&format!("{}/{}:{tag}", self.host(), self.tags.repository))
    }

    #[must_use]
    pub const fn cursor(&self) -> &ListCursor {
        match self.level {
            Level::Hosts => &self.hosts.cursor,
            Level::Repositories => &self.repositories.cursor,
            Level::Tags => &self.tags.cursor,
            Level::Parts => &self.parts.cursor,
        }
    }

    pub const fn cursor_mut(&mut self) -> &mut ListCursor {
        match self.level {
            Level::Hosts => &mut self.hosts.cursor,
            Level::Repositories => &mut self.repositories.cursor,
            Level::Tags => &mut self.tags.cursor,
            Level::Parts => &mut self.parts.cursor,
        }
    }

    /// The levels have one height.
    pub fn set_height(&mut self, height: usize) {
        for cursor in [&mut self.hosts.cursor, &mut self.repositories.cursor, &mut self.tags.cursor, &mut self.parts.cursor] {
            cursor.set_height(height);
        }
    }

    /// What the cursor is on, as an image to be read; by digest, so that what was read once stays true.
    #[must_use]
    pub fn selected_key(&self) -> Option<(SourceId, ImageKey)> {
        let digest: &Digest = match self.level {
            Level::Tags => self.tags.selected_details().filter(|details| details.is_readable()).map(|details| &details.digest)?,
            Level::Parts => self.parts.selected_image()?,
            Level::Hosts | Level::Repositories => return None,
        };
        let reference = Name::new(&format!("{}@{digest}", self.repository()?)).reference().ok()?;
        Some((self.source()?.clone(), ImageKey::Name(reference)))
    }

    /// The filter of the level one is on, where it has one.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        match self.level {
            Level::Repositories => Some(&self.repositories.filter),
            Level::Tags => Some(&self.tags.filter),
            Level::Hosts | Level::Parts => None,
        }
    }

    /// Puts a filter in force on this level.
    pub fn set_filter(&mut self, filter: Filter, now: Timestamp) {
        match self.level {
            Level::Repositories => {
                self.repositories.filter = filter;
                self.repositories.rebuild(now);
            }
            Level::Tags => {
                self.tags.filter = filter;
                self.tags.rebuild(now);
            }
            Level::Hosts | Level::Parts => {}
        }
    }

    /// How many rows the level shows, and how many there would be without a filter.
    #[must_use]
    pub const fn counts(&self) -> (usize, usize) {
        match self.level {
            Level::Hosts => (self.hosts.rows.len(), self.hosts.rows.len()),
            Level::Repositories => (self.repositories.shown, self.repositories.list.len()),
            Level::Tags => (self.tags.rows.len(), self.tags.list.len()),
            Level::Parts => (self.parts.rows.len(), self.parts.rows.len()),
        }
    }

    /// Moves, marks, folds and sorts; `false` when the action is not this level's own.
    pub fn act(&mut self, action: Action, now: Timestamp) -> bool {
        if self.cursor_mut().act(action) {
            return true;
        }
        match self.level {
            Level::Hosts | Level::Parts => false,
            Level::Repositories => self.repositories.act(action, now),
            Level::Tags => self.tags.act(action, now),
        }
    }

    /// One step back: a range, a filter, the marks, a level. `false` at the outermost.
    pub fn back(&mut self, now: Timestamp) -> bool {
        if self.level == Level::Tags && self.tags.range_from.take().is_some() {
            return true;
        }
        if self.filter().is_some_and(|filter| !filter.is_empty()) {
            self.set_filter(Filter::default(), now);
            return true;
        }
        if self.level == Level::Tags && !self.tags.marks.is_empty() {
            self.tags.marks.clear();
            return true;
        }
        self.level = match self.level {
            Level::Hosts => return false,
            Level::Repositories => Level::Hosts,
            Level::Tags => Level::Repositories,
            Level::Parts => Level::Tags,
        };
        true
    }
}
