//! A file that appears whole or not at all: written under another name beside its target, brought to the disk, and only then given
//! the name.
//!
//! While it is written, the system is asked to bring it to the disk piece by piece, so that the wait at the end is short.
//!
//! The temporary file is ours alone (`O_EXCL`, mode 0600), goes when it is dropped, and is locked while it is written, so that
//! [`sweep`] can tell what a killed process left behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tempfile::TempPath;

use crate::model::{Problem, ProblemKind};

const PREFIX: &str = ".lighterman-";
const SUFFIX: &str = ".partial";
const BUFFER: usize = 256 * 1024;
/// Bytes after which what was written is sent on its way to the disk.
const STRETCH: u64 = 8 << 20;

/// A file being written. Dropping it without [`AtomicFile::commit`] leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    file: BufWriter<File>,
    // After `file`, so that it is closed first.
    temporary: TempPath,
    target: PathBuf,
    /// Bytes written since the last stretch was sent to the disk.
    waiting: u64,
}

impl AtomicFile {
    /// Starts a file that is to become `target`. Refused at once when it could not become that: something other than a regular file
    /// stands there, or a regular file does and `overwrite` is false.
    ///
    /// # Errors
    /// `Conflict` when the target is in the way, else what the file system says.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, Problem> {
        check_target(target, overwrite)?;
        let doing = writing(target);
        let make = || {
            let prefix = format!("{PREFIX}{}-", std::process::id());
            let made = tempfile::Builder::new().prefix(&prefix).suffix(SUFFIX).rand_bytes(8).tempfile_in(folder(target))?;
            rustix::fs::flock(made.as_file(), FlockOperation::NonBlockingLockExclusive).or_else(|error| match error {
                // Some network file systems have no locks; then the process ID in the name must do.
                rustix::io::Errno::NOLCK | rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS => Ok(()),
                error => Err(error),
            })?;
            Ok(made.into_parts())
        };
        let (file, temporary) = make().map_err(|error: io::Error| Problem::disk(&doing, folder(target), &plain(error)))?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER, file), temporary, target: target.to_owned(), waiting: 0 })
    }

    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Takes back what was written from `position` on, and goes on there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn take_back(&mut self, position: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(position))?;
        self.file.get_ref().set_len(position)
    }

    /// A failed write, in words.
    #[must_use]
    pub fn problem(&self, error: &io::Error) -> Problem {
        Problem::disk(writing(&self.target), &self.target, error)
    }

    /// Brings what was written to the disk, still without the target's name.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sync(&mut self) -> Result<(), Problem> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(|error| self.problem(&error))
    }

    /// Brings everything to the disk and gives it the target's name. An existing regular file is replaced, in one step, only with
    /// `overwrite`; whatever else came to stand there meanwhile is left alone.
    ///
    /// # Errors
    /// As [`AtomicFile::create`]; the target is then as it was.
    pub fn commit(mut self, overwrite: bool) -> Result<(), Problem> {
        let doing = writing(&self.target);
        let disk = |error: &io::Error| Problem::disk(&doing, &self.target, error);
        self.file.flush().map_err(|error| disk(&error))?;
        self.file.get_ref().sync_all().map_err(|error| disk(&error))?;
        check_target(&self.target, overwrite)?;
        let persisted = if overwrite { self.temporary.persist(&self.target) } else { self.temporary.persist_noclobber(&self.target) };
        persisted.map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.target),
            _ => Problem::disk(&doing, &self.target, &plain(refused.error)),
        })?;
        settle(&self.target)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.waiting += written as u64;
        if self.waiting >= STRETCH {
            begin_writeback(self.file.get_ref(), self.waiting);
            self.waiting = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Brings a name that was just given to the disk: it is only safe once its folder is there.
pub(super) fn settle(target: &Path) -> Result<(), Problem> {
    File::open(folder(target))
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Problem::disk(format!("make sure that {} stays on the disk", target.display()), folder(target), &error))
}

/// Has the system begin to bring the last `length` bytes before the file's position to the disk, and does not wait for it. That is what this
/// advice does on Linux to pages that are not on the disk yet; it keeps them. A hint: nothing depends on it.
#[cfg(target_os = "linux")]
pub(super) fn begin_writeback(file: &File, length: u64) {
    if let Ok(end) = rustix::fs::tell(file) {
        let _ = rustix::fs::fadvise(file, end.saturating_sub(length), std::num::NonZero::new(length), rustix::fs::Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) const fn begin_writeback(_: &File, _: u64) {}

/// Seeking writes out what is buffered, so that headers written as placeholders can be patched.
impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Reads what was written, from where the last seek went.
impl Read for AtomicFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.flush()?;
        self.file.get_mut().read(buffer)
    }
}

/// Removes the temporary files that dead processes left in `folder`, and says how many. What belongs to a living process, or can't be
/// looked at, is left.
pub fn sweep(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.filter_map(Result::ok).filter(|entry| is_abandoned(&entry.file_name(), &entry.path())).fold(0, |swept, entry| {
        let removed = fs::remove_file(entry.path()).is_ok();
        swept + usize::from(removed)
    })
}

fn is_abandoned(name: &OsStr, path: &Path) -> bool {
    let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?.0.parse::<i32>().ok());
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { return false };
    if rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH) {
        return false;
    }
    // A process of another PID namespace looks dead from here, but it holds its lock.
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(path, flags, rustix::fs::Mode::empty()) else { return false };
    let regular = rustix::fs::fstat(&file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    regular && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn writing(target: &Path) -> String {
    format!("write {}", target.display())
}

fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn exists(target: &Path) -> Problem {
    Problem::new(ProblemKind::Conflict, writing(target), "a file of that name is already there")
        .hint("choose another name, or agree to replace it")
}

/// Refuses a target that is something other than a regular file, or a regular file without `overwrite`.
pub(super) fn check_target(target: &Path, overwrite: bool) -> Result<(), Problem> {
    let metadata = match fs::symlink_metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound && target.file_name().is_some() => return Ok(()),
        Err(error) => return Err(Problem::disk(writing(target), target, &error)),
    };
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return if overwrite { Ok(()) } else { Err(exists(target)) };
    } else if kind.is_dir() {
        "a directory is in the way"
    } else if kind.is_symlink() {
        "a symbolic link is in the way, and links are not followed"
    } else if kind.is_fifo() {
        "a named pipe is in the way"
    } else if kind.is_socket() {
        "a socket is in the way"
    } else {
        "a device is in the way"
    };
    Err(Problem::new(ProblemKind::Conflict, writing(target), what).hint("choose another name; only a regular file is ever replaced"))
}

/// `tempfile` puts the temporary name into its errors; people know the target's.
fn plain(error: io::Error) -> io::Error {
    let kind = error.kind();
    let inner = error.into_inner().and_then(|inner| {
        let source = std::error::Error::source(inner.as_ref())?.downcast_ref::<io::Error>()?.raw_os_error()?;
        Some(io::Error::from_raw_os_error(source))
    });
    inner.unwrap_or_else(|| kind.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_whole_with_patched_places_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.tar");
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.write_all(b"???? body").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(b"head").unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"!").unwrap();
        file.write_all(b"too much").unwrap();
        file.take_back(10).unwrap();
        file.rewind().unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, "head body!");
        assert!(!target.exists());
        file.commit(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"head body!");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["a.tar"]);
    }

    #[test]
    fn dropping_it_leaves_nothing_and_the_target_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.tar");
        fs::write(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target, true).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!((fs::read(&target).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a.tar".to_owned()]));
        AtomicFile::create(&target, true).unwrap().commit(true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn what_is_in_the_way_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "old").unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let before = names(folder.path());
        assert_eq!(AtomicFile::create(&at("file"), false).unwrap_err().kind, ProblemKind::Conflict);
        for (name, word) in [
            ("directory", "directory"),
            ("link", "symbolic link"),
            ("dangling", "symbolic link"),
            ("fifo", "named pipe"),
            ("socket", "socket"),
        ] {
            let problem = AtomicFile::create(&at(name), true).unwrap_err();
            assert!(problem.kind == ProblemKind::Conflict && problem.cause.as_str().contains(word), "{problem}");
        }
        assert_eq!(AtomicFile::create(Path::new("/dev/null"), true).unwrap_err().kind, ProblemKind::Conflict);
        assert!(AtomicFile::create(&at("missing/file"), true).unwrap_err().kind == ProblemKind::NotFound);
        assert!(AtomicFile::create(Path::new(""), true).is_err());
        assert_eq!((names(folder.path()), fs::read(at("file")).unwrap()), (before, b"old".to_vec()));
    }

    #[test]
    fn what_comes_to_stand_there_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.tar");
        let file = AtomicFile::create(&target, false).unwrap();
        fs::write(&target, "theirs").unwrap();
        assert_eq!(file.commit(false).unwrap_err().kind, ProblemKind::Conflict);
        assert_eq!((fs::read(&target).unwrap(), names(folder.path()).len()), (b"theirs".to_vec(), 1));
    }

    #[test]
    fn only_what_dead_processes_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let dead = {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            child.id()
        };
        let living = AtomicFile::create(&folder.path().join("a"), false).unwrap();
        let stale = folder.path().join(format!("{PREFIX}{dead}-abcdefgh{SUFFIX}"));
        let locked = folder.path().join(format!("{PREFIX}{dead}-locked{SUFFIX}"));
        fs::write(&stale, "x").unwrap();
        let holder = File::create(&locked).unwrap();
        rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
        fs::write(folder.path().join(format!("{PREFIX}notes{SUFFIX}")), "x").unwrap();
        symlink(&locked, folder.path().join(format!("{PREFIX}{dead}-link{SUFFIX}"))).unwrap();
        assert_eq!(sweep(folder.path()), 1);
        assert!(!stale.exists() && locked.exists() && living.temporary.exists());
        assert_eq!(names(folder.path()).len(), 4);
    }
}
