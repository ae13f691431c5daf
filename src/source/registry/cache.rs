//! Manifests and configurations that were read once, on disk by digest. They never change, so a second visit asks the registry only
//! where its tags point now.
//!
//! Nothing here is trusted: bytes are hashed whenever they are read, and what is not what its name says is removed. Losing all of it costs
//! requests, nothing else, so failures are silent and nothing is brought to the disk with force. For the same reason a document is written under
//! its own name at once: half of one is no worse than none. Bounded: the longest unused go first.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::model::Digest;
use crate::source::oci::LARGEST;

/// Bytes of all documents together, unless the settings say otherwise.
pub(super) const MOST: u64 = 256 << 20;
/// Names that are read to know what is there.
const MOST_NAMES: usize = 5000;
/// A document's time of use is noted once in this time.
const NOTED: Duration = Duration::from_secs(12 * 3600);

/// The cache, cheap to clone; none at all without a folder.
#[derive(Debug, Clone)]
pub(super) struct Documents(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    most: u64,
    /// Bytes there are; `None` until counted.
    total: Mutex<Option<u64>>,
    names: Mutex<Names>,
    waiting: Mutex<Waiting>,
    written: Notify,
}

/// What is known of what is there, so that nobody goes to the disk for what is not. Another process may have added something since: that costs a
/// request.
#[derive(Debug, Default)]
enum Names {
    #[default]
    Unread,
    All(HashSet<Digest>),
    /// More than are worth reading.
    Many,
}

/// Documents on their way to the disk.
#[derive(Debug, Default)]
struct Waiting {
    documents: Vec<(Digest, Bytes)>,
    /// Whether a thread takes them.
    writing: bool,
}

impl Documents {
    pub(super) fn new(folder: Option<&Path>, most: u64) -> Self {
        Self(folder.map(|folder| {
            Arc::new(Inner {
                folder: folder.to_owned(),
                most,
                total: Mutex::new(None),
                names: Mutex::default(),
                waiting: Mutex::default(),
                written: Notify::new(),
            })
        }))
    }

    /// The document, verified.
    pub(super) async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let (inner, digest) = (self.0.clone()?, digest.clone());
        if inner.lacks(&digest) {
            return None;
        }
        tokio::task::spawn_blocking(move || inner.get(&digest)).await.ok().flatten()
    }

    /// Keeps a document whose bytes were verified: soon, one after the other, while the caller goes on.
    pub(super) fn put(&self, digest: &Digest, bytes: &Bytes) {
        let Some(inner) = self.0.clone() else { return };
        let mut waiting = inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.documents.push((digest.clone(), bytes.clone()));
        if waiting.writing {
            return;
        }
        waiting.writing = true;
        drop(waiting);
        drop(tokio::task::spawn_blocking(move || inner.write()));
    }

    /// Waits until all that was put is written: a command must not end before that.
    pub(super) async fn settle(&self) {
        let Some(inner) = &self.0 else { return };
        loop {
            let written = inner.written.notified();
            if !inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).writing {
                return;
            }
            written.await;
        }
    }
}

impl Inner {
    /// A digest is made of its algorithm and hex digits only, so this stays inside.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is certain that the document is not there.
    fn lacks(&self, digest: &Digest) -> bool {
        matches!(&*self.names(), Names::All(all) if !all.contains(digest))
    }

    /// Reads the names there are, once and where they are few.
    fn read_names(&self) {
        let mut names = self.names();
        if !matches!(*names, Names::Unread) {
            return;
        }
        let read = match fs::read_dir(&self.folder) {
            Ok(entries) => {
                entries.take(MOST_NAMES + 1).filter_map(Result::ok).filter_map(|entry| digest_of(entry.file_name().to_str()?)).collect()
            }
            Err(_) => HashSet::new(),
        };
        *names = if read.len() > MOST_NAMES { Names::Many } else { Names::All(read) };
    }

    fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.read_names();
        let path = self.path(digest);
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&path).ok()?;
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0));
        (&file).take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        if hasher.finish() != *digest {
            let _ = fs::remove_file(&path);
            return None;
        }
        if let (Ok(used), Ok(times)) = (metadata.modified(), now().ok_or(()))
            && times.duration_since(used).is_ok_and(|age| age > NOTED)
        {
            let _ = file.set_modified(times);
        }
        Some(bytes.into())
    }

    /// Writes what waits until nothing does.
    fn write(&self) {
        loop {
            let documents = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.documents.is_empty() {
                    waiting.writing = false;
                    break;
                }
                std::mem::take(&mut waiting.documents)
            };
            for (digest, bytes) in documents {
                // What can't be kept is asked for again the next time.
                let _ = self.put(&digest, &bytes);
            }
        }
        self.written.notify_waiters();
    }

    fn put(&self, digest: &Digest, bytes: &[u8]) -> Option<()> {
        let size = bytes.len() as u64;
        if size > LARGEST || size > self.most {
            return None;
        }
        self.make_room(size);
        let path = self.path(digest);
        let make = || fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = make().or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
                make()
            }
            _ => Err(error),
        });
        // One that is there is read when it is needed, and goes then when it is wrong.
        let mut file = file.ok()?;
        let written = file.write_all(bytes);
        if written.is_err() {
            let _ = fs::remove_file(&path);
        } else if let Names::All(all) = &mut *self.names() {
            all.insert(digest.clone());
        }
        written.ok()
    }

    /// Counts what is there, and removes the longest unused beyond three quarters of the bound when it is passed.
    fn make_room(&self, size: u64) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = total.map_or_else(|| self.all().iter().map(|(_, _, size)| size).sum(), |sum: u64| sum).saturating_add(size);
        *total = Some(if sum <= self.most { sum } else { self.sweep(size) });
    }

    fn sweep(&self, size: u64) -> u64 {
        let mut all = self.all();
        all.sort();
        let mut sum: u64 = all.iter().map(|(_, _, size)| size).sum::<u64>().saturating_add(size);
        for (_, path, size) in all {
            if sum <= self.most / 4 * 3 {
                break;
            }
            if fs::remove_file(path).is_ok() {
                sum = sum.saturating_sub(size);
            }
        }
        sum
    }

    /// Documents, and what a killed process left of one: when last used, where, how large.
    fn all(&self) -> Vec<(SystemTime, PathBuf, u64)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let file = |entry: fs::DirEntry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), metadata.len()))
        };
        entries.filter_map(Result::ok).filter_map(file).collect()
    }
}

fn digest_of(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// This machine's time, as files have it.
fn now() -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(crate::source::now().as_second()).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn cache(folder: &Path, most: u64) -> Inner {
        Inner {
            folder: folder.to_owned(),
            most,
            total: Mutex::new(None),
            names: Mutex::default(),
            waiting: Mutex::default(),
            written: Notify::new(),
        }
    }

    #[test]
    fn what_is_not_what_its_name_says_is_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir.path().join("a/b"), MOST);
        let digest = Digest::sha256(b"hello");
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, b"hello").unwrap();
        assert_eq!(cache.get(&digest).unwrap(), "hello");
        assert_eq!(fs::metadata(cache.path(&digest)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(cache.put(&digest, b"hello"), None, "it is there");
        assert_eq!(cache.get(&digest).unwrap(), "hello");
        fs::write(cache.path(&digest), b"jello").unwrap();
        assert_eq!(cache.get(&digest), None);
        assert!(!cache.path(&digest).exists(), "and it is gone");
        // Half of one, as a process leaves that is killed, is none, and the next one is written.
        fs::write(cache.path(&digest), b"hel").unwrap();
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, b"hello").unwrap();
        assert_eq!(cache.get(&digest).unwrap(), "hello");
        fs::remove_file(cache.path(&digest)).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, b"hello").unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.path(&digest)).unwrap();
        assert_eq!(cache.get(&digest), None, "links are not followed");
    }

    #[test]
    fn it_stays_within_its_bound_and_the_longest_unused_go() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1000);
        let document = |n: u8| vec![n; 100];
        for n in 0..30 {
            let digest = Digest::sha256(&document(n));
            cache.put(&digest, &document(n)).unwrap();
            // One second apart, as old as they are early.
            let file = fs::File::options().write(true).open(cache.path(&digest)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(n) + 1)).unwrap();
            let sum: u64 = cache.all().iter().map(|(_, _, size)| size).sum();
            assert!(sum <= 1000, "{sum} after {n}");
        }
        assert!(cache.get(&Digest::sha256(&document(29))).is_some());
        assert!(cache.get(&Digest::sha256(&document(0))).is_none());
        assert_eq!(cache.put(&Digest::sha256(&[1; 2000]), &[1; 2000]), None);
    }

    #[tokio::test]
    async fn what_is_not_there_is_known_without_looking() {
        let dir = tempfile::tempdir().unwrap();
        let digest = |n: u32| Digest::sha256(&n.to_be_bytes());
        let documents = Documents::new(Some(dir.path()), MOST);
        let inner = documents.0.clone().unwrap();
        assert!(!inner.lacks(&digest(1)), "nothing is certain before it was looked");
        assert_eq!(documents.get(&digest(1)).await, None);
        assert!(inner.lacks(&digest(1)));
        documents.put(&digest(1), &Bytes::copy_from_slice(&1_u32.to_be_bytes()));
        documents.settle().await;
        assert!(documents.get(&digest(1)).await.is_some());
        // Another process finds it, and of too many no list is kept.
        let other = Documents::new(Some(dir.path()), MOST);
        assert!(other.get(&digest(1)).await.is_some());
        assert!(other.0.as_ref().unwrap().lacks(&digest(2)));
        for n in 2..=u32::try_from(MOST_NAMES).unwrap() + 1 {
            fs::write(inner.path(&digest(n)), n.to_be_bytes()).unwrap();
        }
        let third = Documents::new(Some(dir.path()), MOST);
        assert!(third.get(&digest(2)).await.is_some() && third.get(&digest(0)).await.is_none());
        assert!(!third.0.unwrap().lacks(&digest(0)));
    }
}
