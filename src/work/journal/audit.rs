//! Who changed what, when, where and how it went: one JSON object a line, for other programs to read. It outlives the runs it tells of, and
//! is bounded: a full file becomes `audit.1.jsonl`, and the oldest goes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::entry::{Header, scrubbed};
use super::id::RunId;
use crate::model::{Digest, LineState, Problem};

/// Bytes of one file.
const MOST: u64 = 8 << 20;
/// Full files that are kept.
const KEPT: u32 = 4;

#[derive(Debug, Clone)]
pub(super) struct Audit {
    state: PathBuf,
    most: u64,
}

#[derive(Serialize)]
struct Record<'a> {
    at: Timestamp,
    who: &'a str,
    run: RunId,
    verb: &'static str,
    r#where: &'a str,
    what: String,
    before: Option<&'a Digest>,
    after: Option<&'a Digest>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The line of one result.
pub(super) fn record(header: &Header, n: usize, state: &LineState, at: Timestamp) -> Option<Vec<u8>> {
    let operation = header.plan.operations.get(n)?;
    let record = Record {
        at,
        who: &header.actor,
        run: header.id,
        verb: operation.verb.word(),
        r#where: &operation.source.0,
        what: operation.target.to_string(),
        before: operation.before.as_ref(),
        after: operation.after.as_ref(),
        result: state.word(),
        why: state.why().map(|why| scrubbed(why.as_str())),
    };
    let mut line = serde_json::to_vec(&record).ok()?;
    line.push(b'\n');
    Some(line)
}

impl Audit {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), most: MOST }
    }

    fn file(&self, number: u32) -> PathBuf {
        self.state.join(if number == 0 { "audit.jsonl".to_owned() } else { format!("audit.{number}.jsonl") })
    }

    pub(super) fn append(&self, lines: &[u8]) -> Result<(), Problem> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.file(0);
        let written = self.rotate(lines.len() as u64).and_then(|()| {
            let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(&path)?;
            file.write_all(lines)
        });
        written.map_err(|error| super::writer::unwritable(&Problem::disk("write the audit trail", &path, &error)))
    }

    fn rotate(&self, more: u64) -> std::io::Result<()> {
        let length = fs::symlink_metadata(self.file(0)).map_or(0, |found| found.len());
        if length == 0 || length.saturating_add(more) <= self.most {
            return Ok(());
        }
        for number in (0..KEPT).rev() {
            match fs::rename(self.file(number), self.file(number + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_trail_makes_room_and_stays_within_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit { state: dir.path().to_owned(), most: 100 };
        for n in 0..100 {
            audit.append(format!("{n:09}\n").as_bytes()).unwrap();
        }
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1 + usize::try_from(KEPT).unwrap());
        let last = fs::read_to_string(audit.file(0)).unwrap();
        assert!(last.ends_with("000000099\n") && last.len() <= 100, "{last}");
        assert!(fs::read_to_string(audit.file(1)).unwrap().ends_with("000000089\n"));
    }
}
