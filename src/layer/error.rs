//! What can be wrong with a tar. Each error names the place: the byte offset of the header, and the entry where one is known.

use std::io;

use crate::model::{Problem, ProblemKind, Safe};

/// Why a tar is refused. Offsets count from the tar's first byte.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("reading failed at byte {offset}: {source}")]
    Io { offset: u64, source: io::Error },
    #[error("it ends in the middle of a header, at byte {offset}")]
    CutHeader { offset: u64 },
    #[error("it ends in the middle of {entry}, {missing} bytes short")]
    CutEntry { entry: Safe, missing: u64 },
    #[error("it stops at byte {offset} without an end marker, so it may be cut short")]
    NoEnd { offset: u64 },
    #[error("something other than a tar header stands at byte {offset}")]
    Header { offset: u64 },
    #[error("the header at byte {offset} has an impossible {field}")]
    Number { offset: u64, field: &'static str },
    #[error("the header at byte {offset} claims a {what} of {size} bytes; at most {most} are read")]
    TooLarge { offset: u64, what: &'static str, size: u64, most: u64 },
    #[error("it has more than {most} entries")]
    TooMany { most: u64 },
    #[error("the extended header at byte {offset} {why}")]
    Extended { offset: u64, why: &'static str },
    #[error("the headers before byte {offset} give one entry two different {what}s")]
    Ambiguous { offset: u64, what: &'static str },
    #[error("there is something after its end marker, at byte {offset}")]
    Trailing { offset: u64 },
}

impl TarError {
    /// The same for a person; `doing` should name the archive or layer.
    #[must_use]
    pub fn problem(&self, doing: impl AsRef<str>) -> Problem {
        // A source that knows better what is the matter, such as that it was told to stop, says it in our own words.
        if let Self::Io { source, .. } = self
            && let Some(told) = source.get_ref().and_then(|error| error.downcast_ref::<Problem>())
        {
            return told.clone();
        }
        match self {
            Self::Io { source, .. } if source.kind() != io::ErrorKind::InvalidData && source.raw_os_error().is_some() => {
                Problem::new(ProblemKind::Disk, doing, self.to_string())
            }
            Self::TooLarge { .. } | Self::TooMany { .. } => Problem::new(ProblemKind::Limit, doing, self.to_string()),
            _ => Problem::new(ProblemKind::Corrupt, doing, self.to_string()),
        }
    }
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io { source, .. } => source,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}
