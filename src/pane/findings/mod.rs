//! The Findings pane: what is wrong with the selected image, in groups, with what is told of the finding under the cursor, and what was not looked for.

pub mod draw;
pub mod explain;

use std::path::PathBuf;

use tui_input::Input;

use crate::flow::{Action, JobId, Shared};
use crate::model::finding::FindingKey;
use crate::model::finding_filter::FindingFilter;
use crate::model::findings::{Arranged, Look, Reach, Row};
use crate::model::{Finding, ImageKey, Problem, Progress, Scan, SourceId};

use super::ListCursor;

/// How many images' findings are kept for going back to.
const KEPT: usize = 32;

#[derive(Debug, Default)]
pub struct Findings {
    /// The image that they are of.
    pub key: Option<(SourceId, ImageKey)>,
    /// What is known so far; `None` until something was looked at.
    pub scan: Option<Shared<Scan>>,
    /// The job that looks, and how far it is.
    pub job: Option<JobId>,
    pub progress: Option<Progress>,
    /// Why the last look came to nothing.
    pub problem: Option<Problem>,
    /// What is to be seen.
    pub look: Look,
    /// What is on the screen: of these findings, by that look.
    pub shown: Option<(Shared<Scan>, Look, Arranged)>,
    /// The job that lays them out.
    pub arranging: Option<JobId>,
    pub cursor: ListCursor,
    pub shift: u16,
    /// The filter line being typed, while it is.
    pub filter_input: Option<Input>,
    pub filter_problem: Option<String>,
    /// Findings of images seen lately, newest last.
    pub recent: Vec<((SourceId, ImageKey), Shared<Scan>)>,
    /// Reports in files that were put together with what is known, by the image they are about.
    imports: Vec<((SourceId, ImageKey), PathBuf)>,
}

impl Findings {
    /// Turns to another image: what is known of it shows at once. True when somebody has to look.
    pub fn follow(&mut self, key: Option<(SourceId, ImageKey)>) -> bool {
        if self.key == key {
            return false;
        }
        self.key = key;
        (self.job, self.progress, self.problem, self.arranging) = (None, None, None, None);
        self.scan = self.key.as_ref().and_then(|key| self.recent.iter().find(|(k, _)| k == key)).map(|(_, scan)| scan.clone());
        self.shown = None;
        self.shift = 0;
        self.cursor = ListCursor { height: self.cursor.height, ..ListCursor::default() };
        self.key.is_some() && self.scan.is_none()
    }

    /// Takes what is known now.
    pub fn take(&mut self, scan: Shared<Scan>) {
        if let Some(key) = &self.key {
            self.recent.retain(|(k, _)| k != key);
            if self.recent.len() >= KEPT {
                self.recent.remove(0);
            }
            self.recent.push((key.clone(), scan.clone()));
        }
        self.scan = Some(scan);
    }

    /// Notes that a report in a file is about an image.
    pub fn import(&mut self, key: (SourceId, ImageKey), file: PathBuf) {
        self.imports.retain(|one| *one != (key.clone(), file.clone()));
        self.imports.push((key, file));
    }

    /// The reports in files about an image.
    #[must_use]
    pub fn imports_of(&self, key: &(SourceId, ImageKey)) -> Vec<PathBuf> {
        self.imports.iter().filter(|(of, _)| of == key).map(|(_, file)| file.clone()).collect()
    }

    /// How far what is known goes.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.scan.as_ref().map(|scan| scan.reach).unwrap_or_default()
    }

    /// Whether what is on the screen is what is to be seen.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match (&self.scan, &self.shown) {
            (Some(scan), Some((of, look, _))) => scan == of && *look == self.look,
            (scan, _) => scan.is_none(),
        }
    }

    /// Takes what was laid out; the cursor stays on its finding.
    pub fn arranged(&mut self, scan: Shared<Scan>, look: Look, arranged: Arranged) {
        if self.scan.as_ref() != Some(&scan) {
            return;
        }
        let at = self.selected().map(|finding| finding.key);
        let moved = self.cursor.at > 0;
        self.cursor.set_len(arranged.rows.len());
        self.shown = Some((scan, look, arranged));
        if let Some(row) = at.filter(|_| moved).and_then(|key| self.row_of(key)) {
            self.cursor.go(row);
        }
    }

    fn row_of(&self, key: FindingKey) -> Option<usize> {
        let (scan, _, arranged) = self.shown.as_ref()?;
        arranged.rows.iter().position(|row| matches!(row, Row::Finding(at) if scan.findings.get(*at).is_some_and(|one| one.key == key)))
    }

    /// The finding under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Finding> {
        let (scan, _, arranged) = self.shown.as_ref()?;
        match arranged.rows.get(self.cursor.at)? {
            Row::Finding(at) => scan.findings.get(*at),
            Row::Group(_) => None,
        }
    }

    /// How many findings show, and how many there would be without the filter.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let Some((scan, look, arranged)) = &self.shown else { return (0, 0) };
        let all = scan.findings.iter().filter(|finding| look.ignored || finding.suppressed.is_none()).count();
        (arranged.groups.iter().map(|group| group.count).sum(), all)
    }

    /// Moves and folds; `false` when the action is not this pane's own.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        match action {
            Action::Left if self.is_on_group(false) || self.selected().is_some() && self.shift == 0 => self.fold(true),
            Action::Right | Action::Open if self.is_on_group(true) => self.fold(false),
            Action::Open if self.is_on_group(false) => self.fold(true),
            Action::Left => self.shift = self.shift.saturating_sub(8),
            Action::Right => self.shift = self.shift.saturating_add(8).min(4000),
            Action::GroupFindings => {
                self.look.grouping = self.look.grouping.next();
                self.look.folded.clear();
                self.cursor.go(0);
            }
            Action::ShowIgnored => self.look.ignored = !self.look.ignored,
            Action::FixableFindings => {
                // A filter as text is one that was parsed.
                self.look.filter = FindingFilter::parse(&self.look.filter.toggled("fixable")).unwrap_or_default();
            }
            _ => return false,
        }
        true
    }

    /// Whether the cursor is on the heading of a group, folded or not.
    fn is_on_group(&self, folded: bool) -> bool {
        let Some((_, _, arranged)) = &self.shown else { return false };
        match arranged.rows.get(self.cursor.at) {
            Some(Row::Group(at)) => arranged.groups.get(*at).is_some_and(|group| group.folded == folded),
            _ => false,
        }
    }

    /// Folds or unfolds the group that the cursor is in, and goes to its heading.
    fn fold(&mut self, folded: bool) {
        let Some((_, _, arranged)) = &self.shown else { return };
        let heading = arranged.rows.iter().take(self.cursor.at + 1).rposition(|row| matches!(row, Row::Group(_)));
        let Some(heading) = heading else { return };
        let Some(Row::Group(group)) = arranged.rows.get(heading) else { return };
        let Some(name) = arranged.groups.get(*group).map(|group| group.name.clone()) else { return };
        if folded {
            self.look.folded.insert(name);
        } else {
            self.look.folded.remove(&name);
        }
        self.cursor.go(heading);
    }
}
