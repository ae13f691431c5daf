//! The Images pane: one row per reference, untagged images too; sort, filter, marks.

pub mod draw;
pub mod rows;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use tui_input::Input;

use crate::flow::{Action, JobId, Loadable};
use crate::model::filter::Filter;
use crate::model::findings::Gists;
use crate::model::{Digest, Drift, ImageKey, ImageList, ImageSummary, Name, Problem, Uses};

use super::ListCursor;

/// What the list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortColumn {
    #[default]
    Name,
    Size,
    Created,
    Use,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    pub column: SortColumn,
    pub reversed: bool,
}

/// One row: an image and one of its tags (`None`: it has none), as indices into the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub image: u32,
    pub tag: Option<u32>,
}

/// What a row stands for, independent of where it stands: survives a refresh, a sort, a filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub id: Digest,
    pub name: Option<Name>,
}

#[derive(Debug, Default)]
pub struct Images {
    pub list: Loadable<Arc<ImageList>>,
    /// The list is the last known one, read from the cache; the source has not answered yet in this run.
    pub remembered: bool,
    /// Filtered and sorted.
    pub rows: Vec<Row>,
    /// Rows there would be without a filter.
    pub total_rows: usize,
    /// Sum of the images' sizes: shared layers count with each that has them, so it is an upper bound.
    pub total_size: u64,
    pub cursor: ListCursor,
    pub sort: Sort,
    pub filter: Filter,
    /// Why the filter text as typed is not a filter; the last good one stays in force.
    pub filter_problem: Option<String>,
    /// The line being typed, while it is.
    pub filter_input: Option<Input>,
    pub marks: BTreeSet<RowKey>,
    /// The row a range of marks began at, wherever it stands now.
    pub range_from: Option<RowKey>,
    /// How tags stand to their registries, for those that were asked about; a tag that moved to another image here must be asked anew.
    pub drift: HashMap<RowKey, Result<Drift, Problem>>,
    /// When images were used last, as far as that was noted.
    pub uses: Arc<Uses>,
    /// What scans of images came to.
    pub gists: Arc<Gists>,
    /// They are being asked.
    pub drifting: Option<JobId>,
    /// Columns scrolled to the right.
    pub shift: u16,
}

impl Images {
    #[must_use]
    pub fn images(&self) -> &[ImageSummary] {
        self.list.value.as_ref().map_or(&[], |list| &list.images)
    }

    /// The image and tag of a row.
    #[must_use]
    pub fn at(&self, row: Row) -> Option<(&ImageSummary, Option<&Name>)> {
        let image = self.images().get(row.image as usize)?;
        Some((image, row.tag.and_then(|tag| image.tags.get(tag as usize))))
    }

    #[must_use]
    pub fn key(&self, row: Row) -> Option<RowKey> {
        self.at(row).map(|(image, name)| RowKey { id: image.id.clone(), name: name.cloned() })
    }

    /// The row under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<(&ImageSummary, Option<&Name>)> {
        self.rows.get(self.cursor.at).and_then(|row| self.at(*row))
    }

    #[must_use]
    pub fn is_marked(&self, row: Row) -> bool {
        if self.marks.is_empty() {
            return false;
        }
        self.key(row).is_some_and(|key| self.marks.contains(&key))
    }

    /// What an action applies to: the marked rows (also those a filter hides) and an open range, else the one under the cursor.
    #[must_use]
    pub fn chosen(&self) -> Vec<RowKey> {
        let mut chosen = self.marks.clone();
        chosen.extend(self.range_from.iter().flat_map(|from| self.between(from)));
        if chosen.is_empty() {
            return self.rows.get(self.cursor.at).and_then(|row| self.key(*row)).into_iter().collect();
        }
        chosen.into_iter().collect()
    }

    /// The rows of the open range, as places in the list.
    #[must_use]
    pub fn range_rows(&self) -> Option<std::ops::RangeInclusive<usize>> {
        let from = self.range_from.as_ref()?;
        let at = self.rows.iter().position(|row| self.is_row(*row, from))?;
        Some(at.min(self.cursor.at)..=at.max(self.cursor.at))
    }

    /// The marked rows, also those that a filter hides, and those of an open range, in the order of the list; `None` where there are more than
    /// so many, which is known without looking at each.
    #[must_use]
    pub fn few_marked(&self, most: usize) -> Option<Vec<RowKey>> {
        let range = self.range_rows();
        if self.marks.len() > most || range.clone().is_some_and(|mut range| range.nth(most).is_some()) {
            return None;
        }
        let mut marked = self.marks.clone();
        marked.extend(range.into_iter().flatten().filter_map(|at| self.rows.get(at).and_then(|row| self.key(*row))));
        let mut marked: Vec<RowKey> = marked.into_iter().collect();
        marked.sort_by_cached_key(|key| self.rows.iter().position(|row| self.is_row(*row, key)).unwrap_or(usize::MAX));
        (marked.len() <= most).then_some(marked)
    }

    fn between(&self, from: &RowKey) -> Vec<RowKey> {
        let Some(at) = self.rows.iter().position(|row| self.is_row(*row, from)) else { return Vec::new() };
        let (first, last) = (at.min(self.cursor.at), at.max(self.cursor.at));
        self.rows.iter().skip(first).take(last - first + 1).filter_map(|row| self.key(*row)).collect()
    }

    /// How a tag stands to its registry, where that was asked.
    #[must_use]
    pub fn drift_of(&self, image: &ImageSummary, name: Option<&Name>) -> Option<&Result<Drift, Problem>> {
        if self.drift.is_empty() {
            return None;
        }
        self.drift.get(&RowKey { id: image.id.clone(), name: name.cloned() })
    }

    /// How the selected image is asked for: by ID, so that all its rows share one answer.
    #[must_use]
    pub fn selected_key(&self) -> Option<ImageKey> {
        self.selected().map(|(image, _)| ImageKey::Id(image.id.clone()))
    }

    /// Moves, marks and sorts; `false` when the action is not this pane's own.
    pub fn act(&mut self, action: Action, now: Timestamp) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        match action {
            Action::Left => self.shift = self.shift.saturating_sub(8),
            Action::Right => self.shift = self.shift.saturating_add(8).min(400),
            Action::Mark => self.mark(),
            Action::Range => self.range(),
            Action::InvertMarks => self.invert(),
            Action::ClearMarks => {
                self.marks.clear();
                self.range_from = None;
            }
            Action::SortName => self.sort_by(SortColumn::Name, now),
            Action::SortSize => self.sort_by(SortColumn::Size, now),
            Action::SortCreated => self.sort_by(SortColumn::Created, now),
            Action::SortUse => self.sort_by(SortColumn::Use, now),
            Action::SortId => self.sort_by(SortColumn::Id, now),
            _ => return false,
        }
        true
    }

    fn sort_by(&mut self, column: SortColumn, now: Timestamp) {
        self.sort = Sort { column, reversed: self.sort.column == column && !self.sort.reversed };
        self.rebuild(now);
    }

    fn mark(&mut self) {
        if let Some(key) = self.rows.get(self.cursor.at).and_then(|row| self.key(*row)) {
            if !self.marks.remove(&key) {
                self.marks.insert(key);
            }
            self.cursor.act(Action::Down);
        }
    }

    fn range(&mut self) {
        match self.range_from.take() {
            None => self.range_from = self.rows.get(self.cursor.at).and_then(|row| self.key(*row)),
            Some(from) => {
                let keys = self.between(&from);
                self.marks.extend(keys);
            }
        }
    }

    fn invert(&mut self) {
        let keys: Vec<_> = self.rows.iter().filter_map(|row| self.key(*row)).collect();
        for key in keys {
            if !self.marks.remove(&key) {
                self.marks.insert(key);
            }
        }
    }
}
