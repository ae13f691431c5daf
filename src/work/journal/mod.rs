//! What was changed, written down before it is: one append-only file a run, and the manifests that are needed to take it back.
//!
//! ```text
//!   state/journal/            0700
//!     lock                    one writer at a time
//!     <id>.jsonl              0600: plan, then begin / done / conflict / failed a line, then commit or stopped; locked while it is written
//!     blobs/sha256/<hex>      manifests by digest, flushed before the plan is
//!     backups/<id>/           images that were written out whole
//!   state/audit.jsonl         who changed what
//! ```
//!
//! A line's `begin` is on the disk before its first request. A run without an end was cut short: what it began is looked at again, and
//! nothing is ever sent again by itself. May use model; reads and writes files, and is blocking but for [`Writer`].

mod audit;
mod blobs;
mod entry;
mod id;
mod keep;
mod line;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use rustix::fs::FlockOperation;

use crate::model::{LineState, Plan, Problem, ProblemKind};

pub use entry::{End, Entry, Header, Relation, Run, Saved, Step, StepState};
pub use id::RunId;
pub use writer::Writer;

/// Bytes of a run's file: a plan has at most 64 MiB.
const LARGEST: u64 = 256 << 20;
/// Bytes of a run's last line at most.
const LONGEST_END: u64 = 64 << 10;
const LOCK: &str = "lock";
const ENDING: &str = ".jsonl";

/// Where runs are written down. Looking makes nothing.
#[derive(Debug, Clone)]
pub struct Journal {
    state: PathBuf,
    dir: PathBuf,
}

/// The right to write, held by one process at a time; it ends with this.
#[derive(Debug)]
pub struct Locked {
    journal: Journal,
    _lock: File,
}

/// A run's file that can't be used, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    pub id: RunId,
    pub problem: Problem,
}

impl Journal {
    /// `state` is the user's directory for state.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), dir: state.join("journal") }
    }

    /// Where backups of a run are.
    #[must_use]
    pub fn backups(&self, id: RunId) -> PathBuf {
        self.dir.join("backups").join(id.to_string())
    }

    /// A line's backup by its name in the journal, `RUN/LINE`; `None` for what is no such name.
    #[must_use]
    pub fn backup(&self, name: &str) -> Option<PathBuf> {
        let (run, line) = name.split_once('/')?;
        let line: usize = line.parse().ok()?;
        Some(self.backups(run.parse().ok()?).join(line.to_string()))
    }

    fn file(&self, id: RunId) -> PathBuf {
        self.dir.join(format!("{id}{ENDING}"))
    }

    /// Takes the journal for writing, and makes it where there is none.
    ///
    /// # Errors
    /// `Conflict` while another process holds it; the disk; a run that a newer version wrote.
    pub fn lock(&self) -> Result<Locked, Problem> {
        const DOING: &str = "open the journal";
        let disk = |path: &Path, error: &std::io::Error| writer::unwritable(&Problem::disk(DOING, path, error));
        let blobs = self.dir.join("blobs").join("sha256");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&blobs).map_err(|error| disk(&blobs, &error))?;
        let path = self.dir.join(LOCK);
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
        let lock = opened.map_err(|error| disk(&path, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let problem = Problem::new(ProblemKind::Conflict, DOING, "another Lighterman holds the journal");
                return Err(problem.hint("wait until it is done; what was done so far can be read meanwhile"));
            }
            Err(error) => return Err(disk(&path, &error.into())),
        }
        let locked = Locked { journal: self.clone(), _lock: lock };
        locked.check_versions()?;
        Ok(locked)
    }

    /// The names of all runs, the oldest first.
    ///
    /// # Errors
    /// A directory that can't be read; none at all has no runs.
    pub fn ids(&self) -> Result<Vec<RunId>, Problem> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Problem::disk("read the journal", &self.dir, &error)),
        };
        let id = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(ENDING)?.parse().ok();
        let mut ids: Vec<RunId> = entries.filter_map(Result::ok).filter_map(id).collect();
        ids.sort();
        Ok(ids)
    }

    /// Reads a run; `None` for one that was cut short before it was even planned, and so did nothing.
    ///
    /// # Errors
    /// The disk; `Unsupported` for another version; `Corrupt` for a file without its plan.
    pub fn read(&self, id: RunId) -> Result<Option<Run>, Problem> {
        self.read_file(id).map(|found| found.map(|(run, _)| run))
    }

    fn open(&self, id: RunId) -> std::io::Result<File> {
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(self.file(id))
    }

    /// The version of a run's file by its first bytes: plans may be long, and there may be a thousand.
    fn peek_version(&self, id: RunId) -> Option<u32> {
        let mut first = Vec::new();
        self.open(id).ok()?.take(64).read_to_end(&mut first).ok()?;
        let rest = std::str::from_utf8(&first).ok()?.strip_prefix(r#"{"event":"plan","version":"#)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// Whether a run's last line is its end.
    fn is_ended(&self, id: RunId) -> bool {
        let last = || {
            let mut file = self.open(id).ok()?;
            let length = file.metadata().ok()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_END))).ok()?;
            let mut tail = Vec::new();
            file.take(LONGEST_END).read_to_end(&mut tail).ok()?;
            let json = line::read(tail.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?)?;
            serde_json::from_slice::<Entry>(json).ok()
        };
        matches!(last(), Some(Entry::Commit { .. } | Entry::Stopped { .. }))
    }

    /// Whether somebody writes a run right now. Its writer holds its file, and not the journal, while bytes move for a long time.
    fn is_held(&self, id: RunId) -> bool {
        let tried = self.open(id).map(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared));
        matches!(tried, Ok(Err(rustix::io::Errno::WOULDBLOCK)))
    }

    /// When a run's file was written last.
    #[must_use]
    pub fn written_at(&self, id: RunId) -> Option<SystemTime> {
        fs::metadata(self.file(id)).ok()?.modified().ok()
    }

    /// Runs that were cut short.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn open_runs(&self) -> Result<Vec<Run>, Problem> {
        let open = self.ids()?.into_iter().filter(|id| !self.is_ended(*id) && !self.is_held(*id));
        let runs = open.filter_map(|id| self.read(id).ok().flatten());
        Ok(runs.filter(|run| run.end.is_none() && !run.damaged).collect())
    }

    /// Also the bytes that are whole.
    fn read_file(&self, id: RunId) -> Result<Option<(Run, u64)>, Problem> {
        let path = self.file(id);
        let doing = format!("read the run {id}");
        let file = match self.open(id) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::new(ProblemKind::NotFound, doing, "there is no such run").hint("`lighterman log` lists them"));
            }
            Err(error) => return Err(Problem::disk(doing, &path, &error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| Problem::disk(&doing, &path, &error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing, "its file is too large"));
        }
        parse(&bytes, &doing)
    }

    /// All runs that can be read, the oldest first, and those that can't.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn runs(&self) -> Result<(Vec<Run>, Vec<Unreadable>), Problem> {
        let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.read(id) {
                Ok(run) => runs.extend(run),
                Err(problem) => unreadable.push(Unreadable { id, problem }),
            }
        }
        Ok((runs, unreadable))
    }
}

fn other_version(doing: &str, version: u32) -> Problem {
    let cause = format!("it was written by another version of Lighterman (format {version}, known is {})", entry::VERSION);
    Problem::new(ProblemKind::Unsupported, doing, cause).hint("use that version")
}

fn parse(bytes: &[u8], doing: &str) -> Result<Option<(Run, u64)>, Problem> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let corrupt = |cause: String| Problem::new(ProblemKind::Corrupt, doing, cause);
    let lines = line::all(bytes);
    let Some((first, rest)) = lines.whole.split_first() else {
        return if lines.damaged { Err(corrupt("its plan is damaged: what it did can't be told".to_owned())) } else { Ok(None) };
    };
    let version =
        serde_json::from_slice::<Versioned>(first).map_err(|error| corrupt(format!("its first line is no plan: {error}")))?.version;
    if version != entry::VERSION {
        return Err(other_version(doing, version));
    }
    let header = match serde_json::from_slice(first) {
        Ok(Entry::Plan(header)) if header.steps.len() == header.plan.operations.len() => *header,
        Ok(_) => return Err(corrupt("its first line is no plan".to_owned())),
        Err(error) => return Err(corrupt(format!("its first line is no plan: {error}"))),
    };
    let mut run = Run::new(header);
    run.damaged = lines.damaged;
    for line in rest {
        let entry = serde_json::from_slice(line).map_err(|error| corrupt(format!("one of its lines is unknown: {error}")))?;
        run.take(entry);
    }
    Ok(Some((run, lines.length as u64)))
}

impl Locked {
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Whoever doesn't understand what was begun must not go on from it.
    fn check_versions(&self) -> Result<(), Problem> {
        for id in self.journal.ids()? {
            match self.journal.peek_version(id) {
                Some(entry::VERSION) => {}
                Some(version) => return Err(other_version(&format!("go on from the run {id}"), version)),
                // Not as this version begins its files: read for certain.
                None => match self.journal.read(id) {
                    Err(problem) if problem.kind == ProblemKind::Unsupported => return Err(problem),
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// A name for the next run, later than every other.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn next_id(&self, now: Timestamp) -> Result<RunId, Problem> {
        Ok(RunId::new(now, self.journal.ids()?.last().copied()))
    }

    /// Writes the plan down. When this comes back, it and what was saved for it are on the disk, and the first step may begin. Must be
    /// called inside a tokio runtime, on a thread that may block.
    ///
    /// # Errors
    /// The disk: then nothing may be done.
    pub fn begin(&self, header: Header) -> Result<Writer, Problem> {
        const DOING: &str = "write the plan into the journal";
        let path = self.journal.file(header.id);
        let disk = |error: &std::io::Error| writer::unwritable(&Problem::disk(DOING, &path, error));
        let line =
            line::write(&Entry::Plan(Box::new(header))).map_err(|error| Problem::new(ProblemKind::Other, DOING, error.to_string()))?;
        self.sync_blobs()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|error| disk(&error))?;
        let written =
            hold(&file).and_then(|()| file.write_all(&line)).and_then(|()| file.sync_all()).and_then(|()| sync_dir(&self.journal.dir));
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(disk(&error));
        }
        Ok(Writer::new(file, path, line.len() as u64, audit::Audit::new(&self.journal.state)))
    }

    /// Goes on with a run that was cut short: what was torn at its end is taken off.
    ///
    /// # Errors
    /// The disk; a run that is not there or has ended.
    pub fn reopen(&self, id: RunId) -> Result<(Run, Writer), Problem> {
        let doing = format!("go on with the run {id}");
        let Some((run, length)) = self.journal.read_file(id)? else {
            return Err(Problem::new(ProblemKind::NotFound, doing, "it was never planned"));
        };
        if run.end.is_some() || run.damaged {
            return Err(Problem::new(ProblemKind::Conflict, doing, "it has ended, or is damaged"));
        }
        let path = self.journal.file(id);
        let disk = |error: &std::io::Error| Problem::disk(&doing, &path, error);
        let mut file = OpenOptions::new().write(true).open(&path).map_err(|error| disk(&error))?;
        hold(&file).and_then(|()| file.set_len(length)).and_then(|()| file.seek(SeekFrom::Start(length))).map_err(|error| disk(&error))?;
        Ok((run, Writer::new(file, path, length, audit::Audit::new(&self.journal.state))))
    }
}

/// Keeps others from taking a run for one that was cut short. It ends with the file. Whoever only looks whether it is held lets go at once.
fn hold(file: &File) -> std::io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::LockExclusive) {
        // Not every file system can.
        Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOLCK | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The entry that a line's end is written as, and its line of the audit trail.
#[must_use]
pub fn ended(header: &Header, n: usize, state: &LineState, now: Timestamp) -> Option<(Entry, Option<Vec<u8>>)> {
    let entry = match state {
        LineState::Waiting | LineState::Running | LineState::TakenBack => return None,
        LineState::Done { observed } => Entry::Done { n, observed: observed.clone(), recovered: false },
        LineState::Conflict { observed } => Entry::Conflict { n, observed: observed.clone() },
        LineState::Failed(problem) => Entry::Failed { n, why: entry::scrubbed(&problem.to_string()) },
        LineState::Skipped(why) => Entry::Skipped { n, why: entry::scrubbed(why.as_str()) },
    };
    Some((entry, audit::record(header, n, state, now)))
}

/// A header for `plan`, by this user of this machine.
#[must_use]
pub fn header(id: RunId, now: Timestamp, plan: Plan, about: Option<Relation>, steps: Vec<Step>) -> Header {
    let tool = format!("lighterman {}", env!("CARGO_PKG_VERSION"));
    Header { version: entry::VERSION, id, at: now, tool, actor: actor(), plan, about, steps }
}

/// User and machine, as runs name them.
#[must_use]
pub fn actor() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let named = format!("{user}@{}", host.trim());
    named.chars().take(256).collect()
}

#[cfg(test)]
mod tests;
