//! What went wrong, in words for a person: what was being done, why it failed, what to try.
//!
//! A [`Problem`] is made once, where a library's error is caught; toast, task list, log and command line show the same one.

use std::fmt;

use super::safe::Safe;

/// The kind decides what callers do (retry, exit code, grey out), never what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Nobody answers there: absent, refused, reset, timed out.
    Unreachable,
    /// It answers, and says no: permission, credentials.
    Denied,
    NotFound,
    /// The world is not as it was when the action was confirmed, or something is in use.
    Conflict,
    /// Bytes are not what their digest, size or format says.
    Corrupt,
    /// A bound of ours was exceeded.
    Limit,
    /// This source or peer can't do that.
    Unsupported,
    /// What the user typed or configured.
    Usage,
    /// The local disk or file system.
    Disk,
    Cancelled,
    Other,
}

/// A failure, ready to be shown. `cause` and `detail` may hold foreign text and so are [`Safe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// What was being done, as "list the images of …": no trailing stop.
    pub doing: Safe,
    pub cause: Safe,
    /// What to try next.
    pub hint: Option<Safe>,
    /// More for the log and the inspect view.
    pub detail: Option<Safe>,
}

impl Problem {
    #[must_use]
    pub fn new(kind: ProblemKind, doing: impl AsRef<str>, cause: impl AsRef<str>) -> Self {
        Self { kind, doing: Safe::new(doing.as_ref()), cause: Safe::new(cause.as_ref()), hint: None, detail: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(Safe::new(hint.as_ref()));
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(Safe::new(detail.as_ref()));
        self
    }

    /// The problem of a job that the user stopped.
    #[must_use]
    pub fn cancelled(doing: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Cancelled, doing, "cancelled")
    }

    /// A failure of the local file system on `path`.
    #[must_use]
    pub fn disk(doing: impl AsRef<str>, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::NotFound => ProblemKind::NotFound,
            ErrorKind::PermissionDenied => ProblemKind::Denied,
            _ => ProblemKind::Disk,
        };
        let problem = Self::new(kind, doing, format!("{}: {error}", path.display()));
        match error.kind() {
            ErrorKind::StorageFull => problem.hint("free some space on that file system, or choose another place"),
            ErrorKind::ReadOnlyFilesystem => problem.hint("that file system is mounted read-only: choose another place"),
            _ => problem,
        }
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind == ProblemKind::Cancelled
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't {}: {}", self.doing, self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
