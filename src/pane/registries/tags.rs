//! The tags of one repository, and what each points at as far as that is known: filtered, sorted, marked, grouped by digest.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::flow::{Action, JobId};
use crate::model::filter::{Filter, Scratch, Subject};
use crate::model::findings::{Gist, Gists};
use crate::model::{Digest, Foreign, Labels, Listed, Problem, SourceId, TagDetails, TagRow, remote, version};
use crate::pane::ListCursor;

use super::what_if::{Seen, Used, WhatIf};

/// Tags whose details are asked for in one go, those that are seen first.
pub const BUDGET: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagColumn {
    #[default]
    Name,
    Size,
    Created,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TagSort {
    pub column: TagColumn,
    pub reversed: bool,
}

#[derive(Debug, Default)]
pub struct Tags {
    /// The registry it is in.
    pub source: Option<SourceId>,
    pub repository: String,
    /// As they came, without the tags that stand for signatures and their kin.
    pub list: Vec<TagRow>,
    /// The tags of the list.
    known: HashSet<Foreign>,
    pub job: Option<JobId>,
    pub problem: Option<Problem>,
    /// How the list ended; `None` while it arrives.
    pub listed: Option<Listed>,
    pub details: HashMap<String, Result<TagDetails, Problem>>,
    /// Tags told since the list was asked for last, and those whose details came since.
    pub told: HashSet<Foreign>,
    pub fresh: HashSet<String>,
    /// The details being asked for, and by which job.
    pub asked: Option<(JobId, Vec<String>)>,
    /// How many tags are known to be each digest.
    pub same: HashMap<Digest, usize>,
    /// Filtered and sorted, as indices into the list.
    pub rows: Vec<usize>,
    pub cursor: ListCursor,
    pub sort: TagSort,
    pub grouped: bool,
    pub filter: Filter,
    pub marks: BTreeSet<String>,
    /// The tag a range of marks began at, wherever it stands now.
    pub range_from: Option<Foreign>,
    pub shift: u16,
    /// When tags were first seen at a digest.
    sightings: HashMap<String, (Digest, Timestamp)>,
    /// Labels by what tags point at, as far as a policy asked for them; `None` where they can't be read.
    labels: HashMap<Digest, Option<Labels>>,
    /// More of them are being read.
    pub labelling: Option<JobId>,
    /// What scans of images came to.
    pub gists: Arc<Gists>,
    /// A policy that is tried out on these tags.
    pub what_if: Option<WhatIf>,
}

impl Tags {
    /// Turns to a repository: nothing of the last one stays. Asked again, what is known stays until the answer comes.
    pub fn begin(&mut self, source: SourceId, repository: &str, job: JobId) {
        if self.source.as_ref() != Some(&source) || self.repository != repository {
            let (sort, grouped, height) = (self.sort, self.grouped, self.cursor.height);
            let cursor = ListCursor { height, ..ListCursor::default() };
            let gists = Arc::clone(&self.gists);
            *self = Self { source: Some(source), repository: repository.to_owned(), sort, grouped, cursor, gists, ..Self::default() };
        }
        self.job = Some(job);
        self.problem = None;
        self.listed = None;
        self.told.clear();
        self.fresh.clear();
        self.asked = None;
        self.outdate();
    }

    /// Begins to try a policy out.
    pub fn try_policy(&mut self, used: Used) {
        self.retry_labels();
        let what_if = WhatIf::new(self.seen(), used);
        self.what_if = Some(what_if);
    }

    fn seen(&self) -> Seen<'_> {
        let Self { list, details, fresh, sightings, labels, gists, .. } = self;
        Seen { list, details, fresh, sightings, labels, gists }
    }

    /// It came when some tags were first seen.
    pub fn sighted(&mut self, seen: Vec<(String, Digest, Timestamp)>) {
        self.sightings.extend(seen.into_iter().map(|(tag, digest, at)| (tag, (digest, at))));
        self.outdate();
    }

    /// Some of the tags whose labels are asked for and not known.
    #[must_use]
    pub fn unlabelled(&self) -> Vec<TagDetails> {
        let unknown = |details: &&TagDetails| !self.labels.contains_key(&details.digest);
        let known = self.list.iter().filter_map(|row| self.of(row.tag.raw()));
        known.filter(unknown).take(BUDGET).cloned().collect()
    }

    /// Labels came.
    pub fn labelled(&mut self, answers: Vec<(Digest, Result<Labels, Problem>)>) {
        self.labels.extend(answers.into_iter().map(|(digest, answer)| (digest, answer.ok())));
        self.outdate();
    }

    /// What was asked for and not told is not asked for again.
    pub fn give_labels_up(&mut self, asked: &[TagDetails]) {
        for details in asked {
            self.labels.entry(details.digest.clone()).or_default();
        }
        self.outdate();
    }

    /// Labels that could not be read may be asked for once more.
    pub fn retry_labels(&mut self) {
        self.labels.retain(|_, labels| labels.is_some());
    }

    /// The labels of what has this digest: `None` until they are read, `Some(None)` where they can't be.
    #[must_use]
    pub fn labels_of(&self, digest: &Digest) -> Option<Option<&Labels>> {
        self.labels.get(digest).map(Option::as_ref)
    }

    fn outdate(&mut self) {
        if let Some(what_if) = &mut self.what_if {
            what_if.outdate();
        }
    }

    /// Decides over the tags, if they or the policy are others than when that was done last: with `typed`, the text is read too.
    pub fn decide(&mut self, typed: bool, now: Timestamp) {
        let Some(mut what_if) = self.what_if.take() else { return };
        if typed {
            what_if.think(self.seen(), now);
        } else {
            what_if.settle(self.seen(), now);
        }
        self.what_if = Some(what_if);
    }

    #[must_use]
    pub fn tag(&self, row: usize) -> Option<&TagRow> {
        self.list.get(*self.rows.get(row)?)
    }

    #[must_use]
    pub fn selected(&self) -> Option<&TagRow> {
        self.tag(self.cursor.at)
    }

    #[must_use]
    pub fn of(&self, tag: &str) -> Option<&TagDetails> {
        self.details.get(tag)?.as_ref().ok()
    }

    #[must_use]
    pub fn selected_details(&self) -> Option<&TagDetails> {
        self.of(self.selected()?.tag.raw())
    }

    /// What an action applies to: the marked tags and an open range, else the one under the cursor. Tags outside the grammar can't be acted on.
    #[must_use]
    pub fn chosen(&self) -> Vec<String> {
        let mut chosen = self.marks.clone();
        chosen.extend(self.range_from.iter().flat_map(|from| self.between(from)));
        if chosen.is_empty() {
            return self.selected().filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).into_iter().collect();
        }
        chosen.into_iter().collect()
    }

    /// The rows of the open range.
    #[must_use]
    pub fn range_rows(&self) -> Option<std::ops::RangeInclusive<usize>> {
        let from = self.range_from.as_ref()?;
        let at = self.rows.iter().position(|row| self.list.get(*row).is_some_and(|row| row.tag == *from))?;
        Some(at.min(self.cursor.at)..=at.max(self.cursor.at))
    }

    /// The marked tags, also those that a filter hides, and those of an open range, in the order of the list; `None` where there are more than
    /// so many, which is known without looking at each.
    #[must_use]
    pub fn few_marked(&self, most: usize) -> Option<Vec<String>> {
        let range = self.range_rows();
        if self.marks.len() > most || range.clone().is_some_and(|mut range| range.nth(most).is_some()) {
            return None;
        }
        let mut marked = self.marks.clone();
        marked.extend(self.range_from.iter().flat_map(|from| self.between(from)));
        let mut marked: Vec<String> = marked.into_iter().collect();
        let place = |tag: &String| self.rows.iter().position(|row| self.list.get(*row).is_some_and(|row| row.tag.raw() == tag));
        marked.sort_by_cached_key(|tag| place(tag).unwrap_or(usize::MAX));
        (marked.len() <= most).then_some(marked)
    }

    fn between(&self, from: &Foreign) -> Vec<String> {
        let Some(at) = self.rows.iter().position(|row| self.list.get(*row).is_some_and(|row| row.tag == *from)) else { return Vec::new() };
        let rows = at.min(self.cursor.at)..=at.max(self.cursor.at);
        rows.filter_map(|row| self.tag(row)).filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).collect()
    }

    /// Tags that were there in an earlier run: they stay until the list ends without them.
    pub fn remembered(&mut self, before: Vec<TagRow>, now: Timestamp) {
        if self.list.is_empty() {
            self.add(before, now);
        }
    }

    pub fn arrived(&mut self, more: Vec<TagRow>, now: Timestamp) {
        self.told.extend(more.iter().map(|row| row.tag.clone()));
        self.add(more, now);
    }

    fn add(&mut self, more: Vec<TagRow>, now: Timestamp) {
        let known = &mut self.known;
        let is_new = |row: &TagRow| remote::companion_of(row.tag.raw()).is_none() && known.insert(row.tag.clone());
        let new: Vec<_> = more.into_iter().filter(is_new).collect();
        let first = self.list.len();
        self.list.extend(new);
        self.outdate();
        self.extend(first, now);
    }

    /// The list was told to its end: tags that were not in it are gone.
    pub fn ended(&mut self, listed: Listed, now: Timestamp) {
        if listed.is_complete() {
            let told = &self.told;
            self.list.retain(|row| told.contains(&row.tag));
            self.known.retain(|tag| told.contains(tag));
            let left: HashSet<&str> = self.list.iter().map(|row| row.tag.raw()).collect();
            self.details.retain(|tag, _| left.contains(tag.as_str()));
            self.sightings.retain(|tag, _| left.contains(tag.as_str()));
            self.marks.retain(|tag| left.contains(tag.as_str()));
        }
        self.listed = Some(listed);
        self.outdate();
        self.rebuild(now);
    }

    pub fn detailed(&mut self, answers: Vec<(String, Result<TagDetails, Problem>)>, now: Timestamp) {
        let mut told = Vec::with_capacity(answers.len());
        for (tag, answer) in answers {
            self.fresh.insert(tag.clone());
            told.push(tag.clone());
            self.details.insert(tag, answer);
        }
        if let Some(mut what_if) = self.what_if.take() {
            what_if.detailed(told.iter(), self.seen());
            self.what_if = Some(what_if);
        }
        self.same.clear();
        for details in self.details.values().flatten() {
            *self.same.entry(details.digest.clone()).or_default() += 1;
        }
        // Where they stand hangs on what came only when that is what is looked at.
        if self.grouped || self.sort.column != TagColumn::Name || !self.filter.is_empty() {
            self.rebuild(now);
        }
    }

    /// The tag of a row whose details did not come yet.
    fn lacking(&self, row: usize) -> Option<&str> {
        self.list.get(row).filter(|row| row.fit && !self.fresh.contains(row.tag.raw())).map(|row| row.tag.raw())
    }

    /// Those of the rows on the screen.
    fn seen_lacking(&self) -> impl Iterator<Item = &str> {
        self.cursor.visible().filter_map(|at| self.lacking(*self.rows.get(at)?))
    }

    /// Whether there are details to ask for now: rows on the screen lack theirs and they are not among the next answers; or nothing is
    /// under way and the budget is not spent. Asked after every message: nothing is built for it.
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        if let Some((_, asked)) = &self.asked {
            let soon = 2 * self.cursor.height.max(1);
            return self.seen_lacking().any(|tag| !asked.iter().take(soon).any(|other| other == tag));
        }
        if self.reads_all() {
            return self.what_if.as_ref().is_some_and(|what_if| what_if.unread() > 0);
        }
        let left = self.fresh.len() < BUDGET;
        self.seen_lacking().next().is_some() || (left && self.rows.iter().any(|row| self.lacking(*row).is_some()))
    }

    /// A policy decides over all tags, so all are read, by and by.
    fn reads_all(&self) -> bool {
        self.what_if.as_ref().is_some_and(|what_if| what_if.policy().is_some())
    }

    /// The tags whose details are wanted next, those on the screen first, the rest within the budget.
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> = self.seen_lacking().map(str::to_owned).collect();
        let first: BTreeSet<&str> = self.seen_lacking().collect();
        if self.reads_all() {
            let rest = (0..self.list.len()).filter_map(|row| self.lacking(row)).filter(|tag| !first.contains(tag));
            wanted.extend(rest.take(BUDGET.saturating_sub(first.len())).map(str::to_owned));
            return wanted;
        }
        let room = BUDGET.saturating_sub(self.fresh.len() + wanted.len());
        let rest = self.rows.iter().filter_map(|row| self.lacking(*row)).filter(|tag| !first.contains(tag));
        wanted.extend(rest.take(room).map(str::to_owned));
        wanted
    }

    /// Makes the rows anew; the cursor stays on its tag.
    pub fn rebuild(&mut self, now: Timestamp) {
        let kept = self.selected().map(|row| row.tag.clone());
        self.rows.clear();
        self.extend(0, now);
        if let Some(kept) = kept
            && let Some(at) = self.rows.iter().position(|row| self.list.get(*row).is_some_and(|row| row.tag == kept))
        {
            self.cursor.go(at);
        }
    }

    /// Puts the tags from `first` on into the rows. What is in order already stays so cheaply.
    fn extend(&mut self, first: usize, now: Timestamp) {
        let mut scratch = Scratch::default();
        for (at, row) in self.list.iter().enumerate().skip(first) {
            let details = self.of(row.tag.raw());
            let subject = Subject {
                text: Some(row.tag.raw()),
                tag: Some(row.tag.raw()),
                id: details.map(|details| &details.digest),
                size: details.and_then(|details| details.size),
                created: details.and_then(|details| details.created),
                gist: details.and_then(|details| Gist::of_tag(&self.gists, details)),
                ..Subject::default()
            };
            if self.filter.matches(&subject, now, &mut scratch) {
                self.rows.push(at);
            }
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| self.compare(*a, *b));
        if self.grouped {
            rows = self.group(rows);
        }
        self.rows = rows;
        self.cursor.set_len(self.rows.len());
    }

    /// The newest version, the largest and the youngest come first; what is not known comes last.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let tag = |at: usize| self.list.get(at).map_or("", |row| row.tag.raw());
        let by_name = || version::compare(tag(b), tag(a));
        let known = |at: usize| self.of(tag(at));
        let order = match self.sort.column {
            TagColumn::Name => return if self.sort.reversed { by_name().reverse() } else { by_name() },
            TagColumn::Size => self.last_if_none(known(a).and_then(|d| d.size), known(b).and_then(|d| d.size)),
            TagColumn::Created => self.last_if_none(known(a).and_then(|d| d.created), known(b).and_then(|d| d.created)),
        };
        order.then_with(by_name)
    }

    fn last_if_none<T: Ord>(&self, a: Option<T>, b: Option<T>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.sort.reversed => a.cmp(&b),
            (Some(a), Some(b)) => b.cmp(&a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }

    /// Tags of one digest stand where the first of them stood.
    fn group(&self, rows: Vec<usize>) -> Vec<usize> {
        let digest = |at: usize| self.of(self.list.get(at)?.tag.raw()).map(|details| &details.digest);
        let mut first: HashMap<&Digest, usize> = HashMap::new();
        let mut keyed: Vec<(usize, usize)> = Vec::with_capacity(rows.len());
        for (n, at) in rows.into_iter().enumerate() {
            let place = digest(at).map_or(n, |digest| *first.entry(digest).or_insert(n));
            keyed.push((place, at));
        }
        keyed.sort_by_key(|(place, _)| *place);
        keyed.into_iter().map(|(_, at)| at).collect()
    }

    pub(super) fn act(&mut self, action: Action, now: Timestamp) -> bool {
        match action {
            Action::Left => self.shift = self.shift.saturating_sub(8),
            Action::Right => self.shift = self.shift.saturating_add(8).min(400),
            Action::Mark => self.mark(),
            Action::Range => self.range(),
            Action::InvertMarks => self.toggle(0..self.rows.len()),
            Action::ClearMarks => {
                self.marks.clear();
                self.range_from = None;
            }
            Action::SortName => self.sort_by(TagColumn::Name, now),
            Action::SortSize => self.sort_by(TagColumn::Size, now),
            Action::SortCreated => self.sort_by(TagColumn::Created, now),
            Action::GroupDigests => {
                self.grouped = !self.grouped;
                self.rebuild(now);
            }
            _ => return false,
        }
        true
    }

    fn sort_by(&mut self, column: TagColumn, now: Timestamp) {
        self.sort = TagSort { column, reversed: self.sort.column == column && !self.sort.reversed };
        self.rebuild(now);
    }

    fn mark(&mut self) {
        self.toggle(self.cursor.at..self.cursor.at + 1);
        self.cursor.act(Action::Down);
    }

    fn toggle(&mut self, rows: std::ops::Range<usize>) {
        let tags: Vec<String> = rows.filter_map(|row| self.tag(row)).filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).collect();
        for tag in tags {
            if !self.marks.remove(&tag) {
                self.marks.insert(tag);
            }
        }
    }

    fn range(&mut self) {
        match self.range_from.take() {
            None => self.range_from = self.selected().map(|row| row.tag.clone()),
            Some(from) => {
                let tags = self.between(&from);
                self.marks.extend(tags);
            }
        }
    }
}
