//! What a run's file says, entry by entry, and what that comes to when it is read again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::RunId;
use crate::model::{Digest, Plan};

/// Of the file. A reader refuses to act on any other.
pub(super) const VERSION: u32 = 1;

/// A manifest whose bytes were kept before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub digest: Digest,
    pub media_type: String,
}

/// What was put by for one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// What the line takes away: parts first, what the target was at last.
    pub saved: Vec<Saved>,
    /// What the line brings back: parts first, what the target is to be at last.
    #[serde(default)]
    pub restore: Vec<Saved>,
    /// The line's archive or layout among the backups.
    #[serde(default)]
    pub backup: Option<String>,
}

/// What a run does about another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    pub run: RunId,
    /// The line of that run that each line of this one is about.
    pub lines: Vec<usize>,
}

/// The first entry: all that will be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub version: u32,
    pub id: RunId,
    pub at: Timestamp,
    pub tool: String,
    /// User and machine.
    pub actor: String,
    pub plan: Plan,
    #[serde(default)]
    pub about: Option<Relation>,
    /// One a line.
    pub steps: Vec<Step>,
}

/// One line of the file. `n` counts the plan's lines from zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    Plan(Box<Header>),
    /// On the disk before the line's first request.
    Begin {
        n: usize,
    },
    Done {
        n: usize,
        observed: Option<Digest>,
        /// Found done when the journal was read again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
    },
    /// Begun and, as was found later, not done.
    NotApplied {
        n: usize,
    },
    Conflict {
        n: usize,
        observed: Option<Digest>,
    },
    Failed {
        n: usize,
        why: String,
    },
    Skipped {
        n: usize,
        why: String,
    },
    /// Every line came to its end.
    Commit {
        at: Timestamp,
    },
    /// Not every line was tried.
    Stopped {
        at: Timestamp,
        why: String,
    },
}

/// How a line stands by what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Never begun.
    Waiting,
    /// Begun; whether it was done has to be looked at.
    Begun,
    Done {
        observed: Option<Digest>,
        recovered: bool,
    },
    NotApplied,
    Conflict {
        observed: Option<Digest>,
    },
    Failed(String),
    Skipped(String),
}

impl StepState {
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Done { recovered: false, .. } => "done",
            Self::Done { recovered: true, .. } => "done (recovered)",
            Self::NotApplied => "not applied",
            Self::Conflict { .. } => "conflict",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// Whether trying it again makes sense.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Waiting | Self::NotApplied | Self::Begun)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Commit(Timestamp),
    Stopped(Timestamp, String),
}

/// A run as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub header: Header,
    /// One a line.
    pub states: Vec<StepState>,
    /// `None`: it is running, or was cut short.
    pub end: Option<End>,
    /// Part of its file can't be read: what is here is what came before.
    pub damaged: bool,
}

impl Run {
    pub(super) fn new(header: Header) -> Self {
        let states = vec![StepState::Waiting; header.plan.operations.len()];
        Self { header, states, end: None, damaged: false }
    }

    #[must_use]
    pub const fn id(&self) -> RunId {
        self.header.id
    }

    pub(super) fn take(&mut self, entry: Entry) {
        let (n, state) = match entry {
            Entry::Plan(_) => return,
            Entry::Begin { n } => (n, StepState::Begun),
            Entry::Done { n, observed, recovered } => (n, StepState::Done { observed, recovered }),
            Entry::NotApplied { n } => (n, StepState::NotApplied),
            Entry::Conflict { n, observed } => (n, StepState::Conflict { observed }),
            Entry::Failed { n, why } => (n, StepState::Failed(why)),
            Entry::Skipped { n, why } => (n, StepState::Skipped(why)),
            Entry::Commit { at } => {
                self.end = Some(End::Commit(at));
                return;
            }
            Entry::Stopped { at, why } => {
                self.end = Some(End::Stopped(at, why));
                return;
            }
        };
        if let Some(slot) = self.states.get_mut(n) {
            *slot = state;
        }
    }

    /// Lines whose state fits.
    pub fn lines(&self, fits: impl Fn(&StepState) -> bool) -> Vec<usize> {
        self.states.iter().enumerate().filter(|(_, state)| fits(state)).map(|(n, _)| n).collect()
    }
}

/// Without what a journal must not hold: user information and queries of addresses.
pub(super) fn scrubbed(text: &str) -> String {
    let word = |word: &str| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_is_secret() {
        let text = "GET https://anna:haven@example.com/v2/x?token=abc failed: see http://example.com#x (plain a?b)";
        assert_eq!(scrubbed(text), "GET https://example.com/v2/x failed: see http://example.com (plain a?b)");
    }
}
