//! One writer at a time, and who is in the middle of a transfer.
//!
//! The lock is a `flock` on one file and lasts for the short step that changes `index.json` or removes blobs; readers never take
//! it. A transfer holds a lease instead: a locked file whose age tells the collector which blobs may still be wanted. Both go with
//! their process, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use tokio::time::Instant;

use crate::model::{Problem, ProblemKind, Safe};
use crate::source::Ctx;

const LOCK: &str = ".lighterman.lock";
const LEASE: &str = ".lighterman-lease-";
/// After this the waiting is mentioned.
const PATIENT: Duration = Duration::from_secs(1);
/// After this the writer gives up.
const LONGEST: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Held while the index or the set of blobs changes.
#[derive(Debug)]
pub(super) struct WriteLock(File);

impl WriteLock {
    /// Waits for the lock of the store at `root`. While it waits it says who has it.
    ///
    /// # Errors
    /// `Conflict` after a minute, with the holder; cancelled.
    pub(super) async fn wait(ctx: &Ctx, root: &Path, doing: &str) -> Result<Self, Problem> {
        let began = Instant::now();
        loop {
            if let Some(lock) = Self::attempt(root, doing)? {
                return Ok(lock);
            }
            ctx.check(doing)?;
            let waited = began.elapsed();
            if waited > PATIENT {
                let holder = holder(root);
                ctx.meter.phase(&format!("waiting for {holder}"));
                if waited > LONGEST {
                    let problem = Problem::new(ProblemKind::Conflict, doing, format!("the store is being changed by {holder}"));
                    return Err(problem.hint("wait for it, or end it"));
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The lock, if nobody has it.
    pub(super) fn attempt(root: &Path, doing: &str) -> Result<Option<Self>, Problem> {
        let path = root.join(LOCK);
        let disk = |error: &std::io::Error| Problem::disk(doing, &path, error);
        let mut file = private().read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| disk(&error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(disk(&error.into())),
        }
        // Only for whoever waits: it may fail.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}\t{doing}", std::process::id()));
        Ok(Some(Self(file)))
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Who has the lock, in words.
fn holder(root: &Path) -> String {
    let mut text = String::new();
    let read = private().read(true).open(root.join(LOCK)).and_then(|file| file.take(300).read_to_string(&mut text));
    match text.split_once('\t') {
        Some((pid, doing)) if read.is_ok() => format!("process {} (to {})", Safe::new(pid), Safe::new(doing)),
        _ => "another process".to_owned(),
    }
}

/// A transfer that is going on.
#[derive(Debug)]
pub(super) struct Lease {
    path: PathBuf,
    _locked: File,
}

impl Lease {
    /// Taken under the write lock, so that the collector never sees it half made.
    pub(super) fn take(root: &Path, doing: &str, _lock: &WriteLock) -> Result<Self, Problem> {
        let made = tempfile::Builder::new().prefix(&format!("{LEASE}{}-", std::process::id())).tempfile_in(root);
        let file = made.map_err(|error| Problem::disk(doing, root, &error))?;
        rustix::fs::flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Problem::disk(doing, root, &error.into()))?;
        let (locked, path) = file.keep().map_err(|error| Problem::disk(doing, root, &error.error))?;
        Ok(Self { path, _locked: locked })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// When the oldest transfer that still goes on began; leases of dead processes are removed.
pub(super) fn oldest_lease(root: &Path, _lock: &WriteLock) -> Option<SystemTime> {
    let entries = fs::read_dir(root).ok()?;
    let leases = entries.filter_map(Result::ok).filter(|entry| entry.file_name().to_string_lossy().starts_with(LEASE));
    let mut oldest: Option<SystemTime> = None;
    for lease in leases {
        let Ok(file) = private().read(true).open(lease.path()) else { continue };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(lease.path());
        } else if let Ok(began) = file.metadata().and_then(|metadata| metadata.modified()) {
            oldest = Some(oldest.map_or(began, |known| known.min(began)));
        }
    }
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_waiting_writer_says_who_has_the_lock_and_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let held = WriteLock::attempt(dir.path(), "pull app:1").unwrap().unwrap();
        assert!(WriteLock::attempt(dir.path(), "x").unwrap().is_none());
        let ctx = Ctx::default();
        let problem = WriteLock::wait(&ctx, dir.path(), "tag app:2").await.unwrap_err();
        let who = format!("process {} (to pull app:1)", std::process::id());
        assert!(problem.kind == ProblemKind::Conflict && problem.cause.as_str().contains(&who), "{problem}");
        assert!(ctx.meter.snapshot().phase.as_str().contains(&who));
        drop(held);
        WriteLock::wait(&ctx, dir.path(), "tag app:2").await.unwrap();
    }

    #[test]
    fn only_leases_of_the_living_count() {
        let dir = tempfile::tempdir().unwrap();
        let lock = WriteLock::attempt(dir.path(), "x").unwrap().unwrap();
        let dead = dir.path().join(format!("{LEASE}1-dead"));
        fs::write(&dead, "").unwrap();
        assert_eq!(oldest_lease(dir.path(), &lock), None);
        assert!(!dead.exists());
        let lease = Lease::take(dir.path(), "x", &lock).unwrap();
        assert!(oldest_lease(dir.path(), &lock).is_some());
        drop(lease);
        assert_eq!(oldest_lease(dir.path(), &lock), None);
    }
}
