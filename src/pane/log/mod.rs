//! The Log drawer: the runs that the journal has, newest first, with their lines; whether each could be taken back now is asked when one is
//! opened.

pub mod draw;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::flow::{Action, Loadable};
use crate::model::LoggedRun;

use super::ListCursor;

/// A row of the drawer: a run, or one of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRow {
    Run(usize),
    Line(usize, usize),
}

#[derive(Debug, Default)]
pub struct Log {
    /// Newest first.
    pub runs: Loadable<Arc<Vec<LoggedRun>>>,
    pub rows: Vec<LogRow>,
    pub cursor: ListCursor,
    unfolded: BTreeSet<String>,
    /// A run that was opened, and whose lines are to be asked about.
    pub opened: Option<String>,
}

impl Log {
    #[must_use]
    pub fn all(&self) -> &[LoggedRun] {
        self.runs.value.as_ref().map_or(&[], |runs| runs.as_slice())
    }

    /// The run of the row under the cursor, and the line when it is on one.
    #[must_use]
    pub fn selected(&self) -> Option<(&LoggedRun, Option<usize>)> {
        match *self.rows.get(self.cursor.at)? {
            LogRow::Run(run) => Some((self.all().get(run)?, None)),
            LogRow::Line(run, line) => Some((self.all().get(run)?, Some(line))),
        }
    }

    /// What is known of one run is known better.
    pub fn asked(&mut self, run: LoggedRun) {
        if let Some(runs) = &mut self.runs.value
            && let Some(slot) = Arc::make_mut(runs).iter_mut().find(|other| other.id == run.id)
        {
            *slot = run;
        }
        self.rebuild();
    }

    /// Moves and folds; `false` when the action is not this drawer's own.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        if !matches!(action, Action::Left | Action::Right | Action::Open) {
            return false;
        }
        let Some((id, at)) = self.rows.get(self.cursor.at).and_then(|row| match *row {
            LogRow::Run(run) | LogRow::Line(run, _) => Some((self.all().get(run)?.id.clone(), run)),
        }) else {
            return true;
        };
        let open = match action {
            Action::Left => false,
            Action::Right => true,
            _ => !self.unfolded.contains(&id),
        };
        if open {
            self.unfolded.insert(id.clone());
            self.opened = Some(id);
        } else {
            self.unfolded.remove(&id);
        }
        self.rebuild();
        if let Some(row) = self.rows.iter().position(|row| *row == LogRow::Run(at)) {
            self.cursor.go(row);
        }
        true
    }

    pub fn rebuild(&mut self) {
        let mut rows = Vec::new();
        for (at, run) in self.all().iter().enumerate() {
            rows.push(LogRow::Run(at));
            if self.unfolded.contains(&run.id) {
                rows.extend((0..run.lines.len()).map(|line| LogRow::Line(at, line)));
            }
        }
        self.rows = rows;
        self.cursor.set_len(self.rows.len());
    }

    #[must_use]
    pub fn is_unfolded(&self, run: &LoggedRun) -> bool {
        self.unfolded.contains(&run.id)
    }
}
