//! Takes away what nobody will look at again in the cache and the ledgers: what killed processes left half-written or on its way from an engine, and
//! lists of what was not visited for months. It runs once, at the start of the deck, beside everything else.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, OFlags};

use super::clock;

/// How the temporary files of lists begin, as `known` writes them.
pub(super) const PREFIX: &str = ".list-";
/// Those of when images were used, as `ledger` writes them, and of when tags were first seen, as `sights` does.
pub(super) const USES: &str = ".uses-";
pub(super) const SEEN: &str = ".seen-";
/// How whole ones end.
const SUFFIX: &str = ".list";
/// A list is written in less than a second, so what has not been touched for this long is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A list that was not written for this long belongs to an engine, a registry or a repository that nobody looks at any more.
const FORGOTTEN: Duration = Duration::from_secs(90 * 24 * 3600);
/// Most entries of the directory that are looked at in one go.
const MOST: usize = 10_000;

/// Sweeps the directory of the last known lists. Blocking. A failure is only logged: the next start tries again.
pub fn sweep_lists(dir: &Path) {
    let removed = sweep(dir, SystemTime::from(clock::now()), list_lasts);
    if removed > 0 {
        tracing::info!(removed, "took away half-written and forgotten lists");
    }
}

/// Sweeps what was left half-written in the directory of the ledgers; the ledgers themselves stay. Blocking. As with lists, a failure is only
/// logged.
pub fn sweep_ledgers(dir: &Path) {
    let removed = sweep(dir, SystemTime::from(clock::now()), ledger_lasts);
    if removed > 0 {
        tracing::info!(removed, "took away half-written ledgers");
    }
}

/// How long a file of the lists is left alone, by its name; `None` where it is none of ours.
fn list_lasts(name: &[u8]) -> Option<Duration> {
    if name.starts_with(PREFIX.as_bytes()) {
        return Some(ABANDONED);
    }
    name.ends_with(SUFFIX.as_bytes()).then_some(FORGOTTEN)
}

/// The same of the ledgers.
fn ledger_lasts(name: &[u8]) -> Option<Duration> {
    [USES, SEEN].iter().any(|prefix| name.starts_with(prefix.as_bytes())).then_some(ABANDONED)
}

/// How the folders begin that hold an image on its way; see `cli::copy`.
const ON_ITS_WAY: &str = ".lighterman-copy-";
/// No image is on its way for longer.
const LONGEST_WAY: Duration = Duration::from_secs(2 * 24 * 3600);

/// How the folders begin that hold a text while an editor has it; see `shell::editor`.
const DRAFT: &str = "edit-";
/// The file in such a folder that is locked while the editor runs.
pub const HELD: &str = ".held";

/// Sweeps what was on its way through the cache directory. Blocking. A failure is left to the next start.
pub fn sweep_copies(cache: &Path) {
    sweep_folders(cache, ON_ITS_WAY, |_, _| false);
}

/// The same for texts that nobody edits any more. An editor may be open over a weekend, and one that saves in place leaves the folder's own
/// time as it was.
pub fn sweep_drafts(drafts: &Path) {
    sweep_folders(drafts, DRAFT, |folder, now| is_held(folder) || is_written(folder, now));
}

/// Whether an editor is open on what is in there.
fn is_held(folder: &Path) -> bool {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(folder.join(HELD));
    let tried = opened.map(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared));
    matches!(tried, Ok(Err(rustix::io::Errno::WOULDBLOCK)))
}

/// Whether something in there was written lately.
fn is_written(folder: &Path, now: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.take(MOST).filter_map(Result::ok).any(|entry| entry.metadata().is_ok_and(|metadata| !is_old(&metadata, now)))
}

fn is_old(metadata: &fs::Metadata, now: SystemTime) -> bool {
    metadata.modified().is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age >= LONGEST_WAY))
}

fn sweep_folders(dir: &Path, prefix: &str, is_used: impl Fn(&Path, SystemTime) -> bool) {
    let now = SystemTime::from(clock::now());
    let Ok(entries) = fs::read_dir(dir) else { return };
    let abandoned = |entry: &fs::DirEntry| {
        let ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        let metadata = if ours { entry.metadata().ok().filter(fs::Metadata::is_dir) } else { None };
        metadata.is_some_and(|metadata| is_old(&metadata, now)) && !is_used(&entry.path(), now)
    };
    for folder in entries.take(MOST).filter_map(Result::ok).filter(abandoned) {
        if let Err(error) = fs::remove_dir_all(folder.path()) {
            tracing::warn!(dir = %folder.path().display(), %error, "what was left there can't be taken away");
        }
    }
}

/// How many files were removed.
fn sweep(dir: &Path, now: SystemTime, lasts: impl Fn(&[u8]) -> Option<Duration>) -> usize {
    // No directory: no list was kept yet.
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let abandoned = |entry: &fs::DirEntry| {
        let Some(limit) = lasts(entry.file_name().as_encoded_bytes()) else { return false };
        // The entry's own metadata, which follows no link.
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
        let age = metadata.and_then(|metadata| now.duration_since(metadata.modified().ok()?).ok());
        age.is_some_and(|age| age >= limit)
    };
    let found = entries.take(MOST).filter_map(Result::ok).filter(abandoned);
    found
        .map(|entry| fs::remove_file(entry.path()))
        .filter(|removed| match removed {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "a file that is no longer needed can't be taken away");
                false
            }
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_temporary_files_and_forgotten_lists_go() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::from(clock::now());
        let old = now - ABANDONED - Duration::from_secs(60);
        let file = |name: &str, written: SystemTime| {
            fs::File::create(dir.path().join(name)).unwrap().set_modified(written).unwrap();
        };
        file(".list-AbCdEf", old);
        file(".list-xyz", old);
        file(".list-being-written", now);
        file(".list-of-tomorrow", now + ABANDONED);
        file("0123.list", old);
        file("0123.json", now - FORGOTTEN * 2);
        file("4567.list", now - FORGOTTEN - ABANDONED);
        fs::create_dir(dir.path().join(".list-dir")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("0123.list"), dir.path().join(".list-link")).unwrap();
        assert_eq!(sweep(dir.path(), now, list_lasts), 3);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".list-being-written", ".list-dir", ".list-link", ".list-of-tomorrow", "0123.json", "0123.list"]);
        assert_eq!(sweep(dir.path(), now, list_lasts), 0);
        assert_eq!(sweep(&dir.path().join("none"), now, list_lasts), 0);
    }

    #[test]
    fn of_ledgers_only_what_was_left_half_written_goes() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::from(clock::now()) - ABANDONED - Duration::from_secs(60);
        for name in [".uses-AbCdEf", ".seen-AbCdEf", "0123.uses", "0123.seen", ".list-AbCdEf"] {
            fs::File::create(dir.path().join(name)).unwrap().set_modified(old - FORGOTTEN).unwrap();
        }
        fs::write(dir.path().join(".uses-new"), "").unwrap();
        sweep_ledgers(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".list-AbCdEf", ".uses-new", "0123.seen", "0123.uses"]);
    }

    /// What the lists' writer leaves is what is swept: the two must not part ways.
    #[test]
    fn the_writers_temporary_files_begin_like_that() {
        assert!(include_str!("known.rs").contains("leftovers::PREFIX, false)"));
        assert!(include_str!("ledger.rs").contains("leftovers::USES, true)"));
        assert!(include_str!("sights.rs").contains("leftovers::SEEN, true)"));
    }

    #[test]
    fn only_old_folders_of_copies_go() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::from(clock::now()) - LONGEST_WAY - Duration::from_secs(60);
        for name in [".lighterman-copy-old", ".lighterman-copy-new", "documents"] {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("saved.tar"), "x").unwrap();
            if name != ".lighterman-copy-new" {
                fs::File::open(&folder).unwrap().set_modified(old).unwrap();
            }
        }
        sweep_copies(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".lighterman-copy-new", "documents"]);
        assert!(include_str!("../cli/copy.rs").contains(&format!("ON_ITS_WAY: &str = \"{ON_ITS_WAY}\"")));
    }

    #[test]
    fn only_old_drafts_go_that_no_editor_has_and_nobody_saved() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::from(clock::now()) - LONGEST_WAY - Duration::from_secs(60);
        let draft = |name: &str, saved: Option<SystemTime>| {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            let held = fs::File::create(folder.join(HELD)).unwrap();
            held.set_modified(old).unwrap();
            let text = fs::File::create(folder.join("retag.txt")).unwrap();
            if let Some(saved) = saved {
                text.set_modified(saved).unwrap();
            }
            fs::File::open(&folder).unwrap().set_modified(old).unwrap();
            held
        };
        let held = draft("edit-open", Some(old));
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(draft("edit-saved", None));
        drop(draft("edit-old", Some(old)));
        let left = || -> std::collections::BTreeSet<String> {
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        sweep_drafts(dir.path());
        assert_eq!(left(), ["edit-open", "edit-saved"].map(str::to_owned).into());
        drop(held);
        sweep_drafts(dir.path());
        assert_eq!(left(), ["edit-saved"].map(str::to_owned).into());
        assert!(include_str!("../shell/editor.rs").contains(&format!("prefix(\"{DRAFT}\")")));
    }
}
