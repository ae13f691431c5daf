//! Blobs that have not arrived whole, kept between runs: one file each in the cache directory, named by its digest. A later run hashes what is
//! there and asks for the rest.
//!
//! The file's length is the truth about how far it came, so there is nothing beside it that could disagree after a crash. What is in it is
//! foreign: it counts only once the whole has the digest, and whoever finds that it hasn't throws it away. It is locked while it grows (`flock`);
//! whoever doesn't get the lock goes without it. It becomes the blob by a rename; only where cache and target are on different file systems it is
//! copied over. May use model and the files of `source`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};

use crate::model::{Digest, Hasher, Problem};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::sink::{self, AtomicFile};

/// Blobs below this many bytes come again faster than they are kept.
const LEAST: u64 = 1 << 20;
/// Most entries of the directory that are looked at in one go.
const MOST_ENTRIES: usize = 10_000;
const BUFFER: usize = 256 * 1024;
/// Bytes after which what was written is sent on its way to the disk.
const STRETCH: u64 = 8 << 20;

/// Where parts of blobs are kept, and for how long. With a zero nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partials {
    pub folder: PathBuf,
    /// Bytes of all parts together; beyond that the oldest go when the program starts.
    pub most: u64,
    /// Since a part last grew.
    pub longest: Duration,
}

impl Partials {
    /// As it is unless the settings say otherwise: 10 GiB, seven days.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, most: 10 << 30, longest: Duration::from_secs(7 * 24 * 3600) }
    }

    /// Removes the parts that are too old, and the oldest of too many; says how many went. What a running transfer holds stays, and so do files
    /// with other names, which are none of ours. Blocking. A failure is only logged: the next start tries again.
    pub fn sweep(&self, now: Timestamp) -> usize {
        let Ok(entries) = fs::read_dir(&self.folder) else { return 0 };
        let part = |entry: fs::DirEntry| {
            is_part(entry.file_name().to_str()?).then_some(())?;
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        };
        let mut parts: Vec<_> = entries.take(MOST_ENTRIES).filter_map(Result::ok).filter_map(part).collect();
        parts.sort();
        let now = SystemTime::from(now);
        let mut sum = parts.iter().fold(0_u64, |sum, (_, size, _)| sum.saturating_add(*size));
        let mut removed = 0;
        for (written, size, path) in parts {
            let old = now.duration_since(written).is_ok_and(|age| age >= self.longest);
            if (old || sum > self.most) && remove_unused(&path) {
                sum = sum.saturating_sub(size);
                removed += 1;
            }
        }
        removed
    }

    /// The part of a blob, locked; empty when there is none yet or with `fresh`. `None` when it can't be had.
    fn open(&self, blob: &Descriptor, fresh: bool) -> Option<Part> {
        if self.most == 0 || self.longest.is_zero() {
            return None;
        }
        let path = self.folder.join(format!("{}-{}", blob.digest.algorithm(), blob.digest.hex()));
        // Each turn somebody else took the file away in between.
        for _ in 0..3 {
            let file = open(&path, true).or_else(|_| {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
                open(&path, true)
            });
            let file = file.ok()?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
            let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
            if !is_at(&metadata, &path) {
                continue;
            }
            if metadata.nlink() != 1 || metadata.uid() != rustix::process::geteuid().as_raw() {
                // Writing to it would change a file elsewhere.
                fs::remove_file(&path).ok()?;
                continue;
            }
            if metadata.mode() & 0o777 != 0o600 {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(0o600)).ok()?;
            }
            let length = if fresh || metadata.len() > blob.size { 0 } else { metadata.len() };
            file.set_len(length).ok()?;
            return Some(Part { file: BufWriter::with_capacity(BUFFER, file), path, length, whole: blob.size, waiting: 0 });
        }
        None
    }
}

/// Whether a name is that of a part.
fn is_part(name: &str) -> bool {
    name.split_once('-').is_some_and(|(algorithm, hex)| format!("{algorithm}:{hex}").parse::<Digest>().is_ok())
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(0o600).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Whether the open file is what has the name now.
fn is_at(open: &fs::Metadata, path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()))
}

/// Removes a part unless somebody works with it.
fn remove_unused(path: &Path) -> bool {
    let Ok(file) = open(path, false) else { return false };
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    let removed = locked && file.metadata().is_ok_and(|metadata| is_at(&metadata, path)) && fs::remove_file(path).is_ok();
    if locked && !removed {
        tracing::warn!(path = %path.display(), "a part of a blob can't be taken away");
    }
    removed
}

/// A part in our hands. Dropping it keeps what was written.
#[derive(Debug)]
pub(super) struct Part {
    file: BufWriter<File>,
    path: PathBuf,
    /// Bytes it has.
    length: u64,
    /// Bytes it will have.
    whole: u64,
    /// Bytes written since the last stretch was sent to the disk.
    waiting: u64,
}

impl Part {
    /// Hashes what is there, and gives its length; fails when the caller asks to stop.
    fn hash(&mut self, ctx: &Ctx, hasher: &mut Hasher) -> io::Result<u64> {
        let file = self.file.get_mut();
        file.rewind()?;
        let mut buffer = vec![0; BUFFER];
        let mut left = self.length;
        while left > 0 {
            if ctx.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let piece = buffer.get_mut(..room).unwrap_or_default();
            file.read_exact(piece)?;
            hasher.update(piece);
            left -= room as u64;
        }
        Ok(self.length)
    }

    fn empty(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.length = 0;
        self.file.get_ref().set_len(0)?;
        self.file.rewind()
    }

    /// Makes it `target`, on the disk.
    fn commit(mut self, target: &Path) -> Result<(), Problem> {
        let disk = |error: &io::Error| Problem::disk(format!("write {}", target.display()), target, error);
        self.file.flush().map_err(|error| disk(&error))?;
        let file = self.file.get_ref();
        // A collector goes by the time, and what an earlier run completed looks old.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now }).map_err(|error| disk(&error.into()))?;
        file.sync_all().map_err(|error| disk(&error))?;
        sink::check_target(target, true)?;
        let ours = file.metadata().is_ok_and(|metadata| is_at(&metadata, &self.path));
        if ours && fs::rename(&self.path, target).is_ok() {
            return sink::settle(target);
        }
        // Another file system, or somebody emptied the cache: the bytes are still in our hands.
        let mut copy = AtomicFile::create(target, true)?;
        self.file.rewind().map_err(|error| disk(&error))?;
        io::copy(self.file.get_mut(), &mut copy).map_err(|error| copy.problem(&error))?;
        copy.commit(true)?;
        if ours {
            let _ = fs::remove_file(&self.path);
        }
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length = self.length.saturating_add(written as u64);
        self.waiting += written as u64;
        if self.waiting >= STRETCH {
            sink::begin_writeback(self.file.get_ref(), self.waiting);
            self.waiting = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    /// Nothing came: nothing is left.
    fn drop(&mut self) {
        let still = self.length == 0 && self.file.get_ref().metadata().is_ok_and(|metadata| is_at(&metadata, &self.path));
        if still {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What a blob on its way to the disk is written to.
#[derive(Debug)]
pub(super) enum Landing {
    /// Small, or nothing is kept: it goes when it is dropped.
    Plain(AtomicFile),
    Kept(Part, PathBuf),
}

impl Landing {
    /// Starts a blob that is to become `target`, or goes on with it, and gives the bytes it has with a hasher that has seen them. With `fresh` it
    /// starts from nothing, whatever was kept.
    pub(super) fn open(
        ctx: &Ctx,
        partials: Option<&Partials>,
        blob: &Descriptor,
        target: &Path,
        fresh: bool,
    ) -> Result<(Self, Hasher, u64), Problem> {
        sink::check_target(target, true)?;
        let part = partials.filter(|_| blob.size >= LEAST).and_then(|partials| partials.open(blob, fresh));
        if let Some(mut part) = part {
            let mut hasher = blob.digest.hasher();
            let hashed = part.hash(ctx, &mut hasher);
            ctx.check("go on with a blob")?;
            match hashed {
                Ok(known) => return Ok((Self::Kept(part, target.to_owned()), hasher, known)),
                Err(error) => tracing::warn!(path = %part.path.display(), %error, "a part of a blob can't be read"),
            }
        }
        Ok((Self::Plain(AtomicFile::create(target, true)?), blob.digest.hasher(), 0))
    }

    /// Takes back a part that turned out wrong once it was whole.
    pub(super) fn reject(self) {
        if let Self::Kept(mut part, _) = self
            && part.length >= part.whole
        {
            // One that can't be emptied is found wrong again the next time.
            let _ = part.empty();
        }
    }

    /// Brings it to the disk and gives it the target's name.
    pub(super) fn commit(self) -> Result<(), Problem> {
        match self {
            Self::Plain(file) => file.commit(true),
            Self::Kept(part, target) => part.commit(&target),
        }
    }
}

impl Write for Landing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Kept(part, _) => part.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Kept(part, _) => part.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let short = |entry: fs::DirEntry| entry.file_name().into_string().unwrap().chars().take(9).collect();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| short(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// A part of 100 bytes that last grew `hours` before the epoch's tenth day.
    fn part(folder: &Path, name: &str, hours: u64) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, [0; 100]).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs((10 * 24 - hours) * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        path
    }

    #[test]
    fn the_old_and_the_oldest_of_too_many_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let name = |c: &str| format!("sha256-{}", c.repeat(64));
        let partials = Partials { most: 250, ..Partials::new(dir.path().to_owned()) };
        let now = Timestamp::from_second(10 * 24 * 3600).unwrap();
        assert_eq!(Partials::new(dir.path().join("none")).sweep(now), 0);
        for (c, hours) in [("a", 7 * 24), ("b", 7 * 24 - 1), ("c", 3), ("d", 2), ("e", 1)] {
            part(dir.path(), &name(c), hours);
        }
        let held = File::open(part(dir.path(), &name("f"), 9 * 24)).unwrap();
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        part(dir.path(), "notes", 9 * 24);
        part(dir.path(), "sha256-short", 9 * 24);
        std::os::unix::fs::symlink(dir.path().join("notes"), dir.path().join(name("0"))).unwrap();
        // The held one counts for the sum, and stays.
        assert_eq!(partials.sweep(now), 4);
        assert_eq!(names(dir.path()), ["notes", "sha256-00", "sha256-ee", "sha256-ff", "sha256-sh"]);
        drop(held);
        assert_eq!(partials.sweep(now), 1);
        assert_eq!(partials.sweep(now), 0);
        // A clock that went back makes nothing old.
        assert_eq!(partials.sweep(Timestamp::UNIX_EPOCH), 0);
    }

    #[test]
    fn a_file_that_another_took_away_is_not_worked_with() {
        let dir = tempfile::tempdir().unwrap();
        let partials = Partials::new(dir.path().join("deep/er"));
        let digest = Digest::sha256(b"x");
        let blob =
            Descriptor { media_type: String::new(), digest, size: 10, platform: None, annotations: std::collections::BTreeMap::new() };
        let mut one = partials.open(&blob, false).unwrap();
        assert!(partials.open(&blob, false).is_none(), "one at a time");
        one.write_all(b"12345").unwrap();
        let opened = open(&one.path, false).unwrap();
        let target = dir.path().join("blob");
        let path = one.path.clone();
        one.commit(&target).unwrap();
        // It is the finished blob by now.
        assert!(!is_at(&opened.metadata().unwrap(), &path));
        let two = partials.open(&blob, false).unwrap();
        assert_eq!((two.length, fs::read(&target).unwrap()), (0, b"12345".to_vec()));
        drop(two);
        assert_eq!(names(&partials.folder), [""; 0], "an empty one is not kept");
    }

    #[test]
    fn a_part_whose_name_is_gone_still_becomes_the_blob() {
        let dir = tempfile::tempdir().unwrap();
        let partials = Partials::new(dir.path().join("cache"));
        let blob = Descriptor {
            media_type: String::new(),
            digest: Digest::sha256(b"x"),
            size: 5,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let mut part = partials.open(&blob, false).unwrap();
        part.write_all(b"12345").unwrap();
        fs::remove_dir_all(&partials.folder).unwrap();
        part.commit(&dir.path().join("blob")).unwrap();
        assert_eq!(fs::read(dir.path().join("blob")).unwrap(), b"12345");
        // Another file under its name is not taken for it.
        let mut part = partials.open(&blob, false).unwrap();
        part.write_all(b"67890").unwrap();
        fs::remove_file(&part.path).unwrap();
        fs::write(&part.path, "theirs").unwrap();
        let path = part.path.clone();
        part.commit(&dir.path().join("blob")).unwrap();
        assert_eq!((fs::read(dir.path().join("blob")).unwrap(), fs::read(path).unwrap()), (b"67890".to_vec(), b"theirs".to_vec()));
    }
}
