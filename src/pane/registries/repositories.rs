//! The repositories of one registry, by namespace or as one list; those the catalog doesn't tell can be typed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use crate::flow::{Action, JobId};
use crate::model::filter::{Filter, Scratch, Subject};
use crate::model::{Foreign, Listed, Problem, RepoRow};
use crate::pane::ListCursor;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepoLine {
    /// A namespace, with how many repositories it has.
    Group { name: String, count: usize, open: bool },
    /// An index into the list; `inside` a namespace that stands above.
    Repository { at: usize, inside: bool },
}

#[derive(Debug)]
pub struct Repositories {
    /// As they came.
    pub list: Vec<RepoRow>,
    /// The names of the list, and those of them that were told since it was asked for last.
    known: HashSet<Foreign>,
    told: HashSet<Foreign>,
    pub job: Option<JobId>,
    /// Why the last try failed.
    pub problem: Option<Problem>,
    /// How the list ended; `None` while it arrives.
    pub listed: Option<Listed>,
    pub rows: Vec<RepoLine>,
    /// Repositories that the filter lets through, in open namespaces or not.
    pub shown: usize,
    pub cursor: ListCursor,
    pub filter: Filter,
    /// By namespace; else one list.
    pub tree: bool,
    /// Namespaces whose repositories show.
    pub open: BTreeSet<String>,
}

impl Default for Repositories {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            known: HashSet::new(),
            told: HashSet::new(),
            job: None,
            problem: None,
            listed: None,
            rows: Vec::new(),
            shown: 0,
            cursor: ListCursor::default(),
            filter: Filter::default(),
            tree: true,
            open: BTreeSet::new(),
        }
    }
}

impl Repositories {
    /// The repository under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&RepoRow> {
        match self.rows.get(self.cursor.at)? {
            RepoLine::Repository { at, .. } => self.list.get(*at),
            RepoLine::Group { .. } => None,
        }
    }

    /// Another registry: nothing of the last one stays.
    pub fn begin(&mut self, job: JobId) {
        *self = Self { job: Some(job), tree: self.tree, ..Self::default() };
    }

    /// Repositories that were there in an earlier run: they stay until the list ends without them.
    pub fn remembered(&mut self, before: Vec<RepoRow>, now: Timestamp) {
        if self.list.is_empty() {
            self.add(before, now);
        }
    }

    pub fn arrived(&mut self, more: Vec<RepoRow>, now: Timestamp) {
        self.told.extend(more.iter().map(|row| row.name.clone()));
        self.add(more, now);
    }

    /// The list was told to its end: what was not in it is gone.
    pub fn ended(&mut self, listed: Listed, now: Timestamp) {
        if listed.is_complete() && self.told.len() < self.known.len() {
            let told = &self.told;
            self.list.retain(|row| told.contains(&row.name));
            self.known.retain(|name| told.contains(name));
            self.rebuild(now);
        }
        self.listed = Some(listed);
    }

    fn add(&mut self, more: Vec<RepoRow>, now: Timestamp) {
        let known = &mut self.known;
        self.list.extend(more.into_iter().filter(|row| known.insert(row.name.clone())));
        self.rebuild(now);
    }

    /// Makes the lines anew; the cursor stays on its line.
    pub fn rebuild(&mut self, now: Timestamp) {
        let kept = self.rows.get(self.cursor.at).map(|line| self.label(line).to_owned());
        let mut scratch = Scratch::default();
        let passes = |row: &RepoRow, scratch: &mut Scratch| {
            let subject = Subject { text: Some(row.name.raw()), ..Subject::default() };
            self.filter.matches(&subject, now, scratch)
        };
        let mut order: Vec<usize> =
            (0..self.list.len()).filter(|at| self.list.get(*at).is_some_and(|row| passes(row, &mut scratch))).collect();
        order.sort_by_key(|at| self.list.get(*at).map(|row| row.name.raw()));
        self.shown = order.len();
        self.rows = if self.tree {
            self.by_namespace(&order)
        } else {
            order.into_iter().map(|at| RepoLine::Repository { at, inside: false }).collect()
        };
        self.cursor.set_len(self.rows.len());
        if let Some(kept) = kept
            && let Some(at) = self.rows.iter().position(|line| self.label(line) == kept)
        {
            self.cursor.go(at);
        }
    }

    /// Namespaces and what is in none, in one alphabet. A filter opens what it finds; so does a registry with a single namespace.
    fn by_namespace(&self, order: &[usize]) -> Vec<RepoLine> {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut alone = Vec::new();
        for &at in order {
            let Some(row) = self.list.get(at) else { continue };
            match row.name.raw().rsplit_once('/') {
                Some((namespace, _)) => groups.entry(namespace).or_default().push(at),
                None => alone.push(at),
            }
        }
        let all_open = !self.filter.is_empty() || (groups.len() == 1 && alone.is_empty());
        let mut lines = Vec::new();
        let mut alone = alone.into_iter().peekable();
        for (name, members) in groups {
            while let Some(at) = alone.next_if(|at| self.list.get(*at).is_some_and(|row| row.name.raw() < name)) {
                lines.push(RepoLine::Repository { at, inside: false });
            }
            // As folded where a single one is open by nature.
            let open = all_open != self.open.contains(name);
            lines.push(RepoLine::Group { name: name.to_owned(), count: members.len(), open });
            if open {
                lines.extend(members.into_iter().map(|at| RepoLine::Repository { at, inside: true }));
            }
        }
        lines.extend(alone.map(|at| RepoLine::Repository { at, inside: false }));
        lines
    }

    /// What a line is known by.
    fn label<'a>(&'a self, line: &'a RepoLine) -> &'a str {
        match line {
            RepoLine::Group { name, .. } => name,
            RepoLine::Repository { at, .. } => self.list.get(*at).map_or("", |row| row.name.raw()),
        }
    }

    /// Opens or folds the namespace under the cursor, or the one the cursor is in. `false` when there is none.
    pub fn fold(&mut self, open: Option<bool>, now: Timestamp) -> bool {
        let mut at = self.cursor.at;
        while let Some(RepoLine::Repository { inside: true, .. }) = self.rows.get(at) {
            // Unfolding from within means nothing.
            if open != Some(false) || at == 0 {
                return false;
            }
            at -= 1;
        }
        let Some(RepoLine::Group { name, open: is_open, .. }) = self.rows.get(at) else { return false };
        if open == Some(*is_open) {
            return false;
        }
        let name = name.clone();
        if !self.open.remove(&name) {
            self.open.insert(name);
        }
        self.cursor.go(at);
        self.rebuild(now);
        true
    }

    pub(super) fn act(&mut self, action: Action, now: Timestamp) -> bool {
        match action {
            Action::Left => drop(self.fold(Some(false), now)),
            Action::Right => drop(self.fold(Some(true), now)),
            Action::Tree => {
                self.tree = !self.tree;
                self.rebuild(now);
            }
            _ => return false,
        }
        true
    }
}
