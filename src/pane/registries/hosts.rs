//! The registries there are: named in the configuration, logged in to, or typed.

use std::collections::BTreeSet;

use crate::model::{Safe, SourceId, SourceInfo, SourceKind};
use crate::pane::ListCursor;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    pub id: SourceId,
    pub name: Safe,
    /// Why it is listed.
    pub why: Safe,
    pub read_only: bool,
}

#[derive(Debug, Default)]
pub struct Hosts {
    pub rows: Vec<HostRow>,
    pub cursor: ListCursor,
    /// Those logged in to in this run.
    here: BTreeSet<SourceId>,
    /// The registry that was opened last.
    pub entered: Option<SourceId>,
}

impl Hosts {
    #[must_use]
    pub fn selected(&self) -> Option<&HostRow> {
        self.rows.get(self.cursor.at)
    }

    /// Takes the registries out of all sources; the cursor stays on its row.
    pub fn take(&mut self, sources: &[SourceInfo]) {
        let kept = self.selected().map(|row| row.id.clone());
        let registries = sources.iter().filter(|info| info.kind == SourceKind::Registry);
        self.rows = registries
            .map(|info| HostRow {
                id: info.id.clone(),
                name: info.name.clone(),
                why: if self.here.contains(&info.id) { Safe::new("logged in") } else { info.why.clone() },
                read_only: info.read_only,
            })
            .collect();
        self.cursor.set_len(self.rows.len());
        if let Some(at) = kept.and_then(|id| self.at(&id)) {
            self.cursor.go(at);
        }
    }

    /// Notes a login or its end.
    pub fn logged(&mut self, id: &SourceId, logged_in: bool) {
        if logged_in {
            self.here.insert(id.clone());
        } else {
            self.here.remove(id);
        }
        if let Some(row) = self.rows.iter_mut().find(|row| row.id == *id) {
            row.why = Safe::new(if logged_in { "logged in" } else { "logged out" });
        }
    }

    #[must_use]
    pub fn at(&self, id: &SourceId) -> Option<usize> {
        self.rows.iter().position(|row| row.id == *id)
    }
}
