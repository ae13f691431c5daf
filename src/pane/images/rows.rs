//! From a list of images to the rows that show: one per reference, filtered, sorted.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::ImageSummary;
use crate::model::filter::{Scratch, Subject};

use super::{Images, Row, RowKey, Sort, SortColumn};

impl Images {
    /// Makes the rows anew, keeping the cursor on the row it was on (or near where it was, when that row is gone).
    pub fn rebuild(&mut self, now: Timestamp) {
        let kept = self.rows.get(self.cursor.at).and_then(|row| self.key(*row));
        self.rebuild_around(kept.as_ref(), now);
    }

    /// As [`Images::rebuild`], with the row to stay on given from before the list was replaced.
    pub fn rebuild_around(&mut self, kept: Option<&RowKey>, now: Timestamp) {
        let images = self.list.value.as_ref().map_or(&[][..], |list| &list.images);
        let mut scratch = Scratch::default();
        let mut rows = Vec::with_capacity(self.total_rows.max(images.len()));
        self.total_rows = 0;
        self.total_size = images.iter().filter_map(|image| image.size).fold(0, u64::saturating_add);
        for (i, image) in images.iter().enumerate() {
            let Ok(i) = u32::try_from(i) else { break };
            let tags = u32::try_from(image.tags.len()).unwrap_or(u32::MAX);
            let none = (tags == 0).then_some(None);
            for tag in none.into_iter().chain((0..tags).map(Some)) {
                self.total_rows += 1;
                let name = tag.and_then(|tag| image.tags.get(tag as usize));
                let drift = self.drift_of(image, name).and_then(|known| known.as_ref().ok());
                let (idle_since, gist) = (self.uses.idle_since(&image.id), self.gists.get(&image.id));
                let subject = Subject { drift, idle_since, gist, ..Subject::image(image, name) };
                if self.filter.matches(&subject, now, &mut scratch) {
                    rows.push(Row { image: i, tag });
                }
            }
        }
        sort(&mut rows, images, self.sort);
        self.rows = rows;
        if self.range_rows().is_none() {
            self.range_from = None;
        }
        self.cursor.set_len(self.rows.len());
        if let Some(kept) = kept
            && let Some(at) = self.rows.iter().position(|row| self.is_row(*row, kept))
        {
            self.cursor.go(at);
        }
    }

    /// Drops marks of rows that are no longer in the list.
    pub fn prune_marks(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        let mut marks = std::mem::take(&mut self.marks);
        let mut standing = BTreeSet::new();
        for image in self.images() {
            let untagged = image.tags.is_empty().then_some(None);
            let names = image.tags.iter().cloned().map(Some).chain(untagged);
            standing.extend(names.filter_map(|name| marks.take(&RowKey { id: image.id.clone(), name })));
        }
        self.marks = standing;
    }

    pub(super) fn is_row(&self, row: Row, key: &RowKey) -> bool {
        self.at(row).is_some_and(|(image, name)| image.id == key.id && name == key.name.as_ref())
    }
}

/// Sorts rows; untagged ones and unknown values stand last in either direction, and ties by name keep the order steady.
fn sort(rows: &mut [Row], images: &[ImageSummary], sort: Sort) {
    let image = |row: &Row| images.get(row.image as usize);
    let name = |row: &Row| image(row).and_then(|image| image.tags.get(row.tag? as usize));
    let id = |row: &Row| image(row).map(|image| &image.id);
    let by_name = |a: &Row, b: &Row| last_if_none(name(a), name(b), false).then_with(|| id(a).cmp(&id(b)));
    rows.sort_unstable_by(|a, b| {
        match sort.column {
            SortColumn::Name => last_if_none(name(a), name(b), sort.reversed),
            // The largest, the newest and the most used come first: that is what people look for.
            SortColumn::Size => last_if_none(image(a).and_then(|i| i.size), image(b).and_then(|i| i.size), !sort.reversed),
            SortColumn::Created => last_if_none(image(a).and_then(|i| i.created), image(b).and_then(|i| i.created), !sort.reversed),
            SortColumn::Use => {
                let used = |row: &Row| image(row).and_then(|i| i.containers.as_ref()).map(Vec::len);
                last_if_none(used(a), used(b), !sort.reversed)
            }
            SortColumn::Id => last_if_none(id(a), id(b), sort.reversed),
        }
        .then_with(|| by_name(a, b))
    });
}

fn last_if_none<T: Ord>(a: Option<T>, b: Option<T>, reversed: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if reversed => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
