//! When tags of registries were first seen, kept between runs: one file a repository beside the ledgers of local images, named by the SHA-256 of
//! the registry's id and the repository.
//!
//! The file holds the version, the repository and the [`Sightings`] in postcard's wire format, and the CRC-32 of that. It is read and replaced as a
//! whole each time, since two programs may look at one repository: of two that write at once one is lost, and what can't be read is begun anew.
//! Either makes tags look younger and never older. Its own time says when the repository was looked at last; of too many files the one that
//! was left alone longest goes.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, Sightings, SourceId};

use super::{checksum, leftovers};

/// Changes when the shape of the file does.
const VERSION: u32 = 1;
/// Largest file read: 200,000 tags with names of the greatest length.
const LARGEST: u64 = 64 << 20;
/// Repositories that are remembered.
const MOST: usize = 5000;
const ENDING: &str = "seen";

/// What is known of the tags of all repositories.
#[derive(Debug, Default)]
pub struct Sights {
    dir: Option<PathBuf>,
    /// Held while a file is read and replaced.
    disk: Mutex<()>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    repository: &'a str,
    seen: &'a Sightings,
}

#[derive(Deserialize)]
struct Kept {
    version: u32,
    repository: String,
    seen: Sightings,
}

impl Sights {
    /// With its files in `dir`, which is made when there is something to keep.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir: Some(dir), ..Self::default() }
    }

    /// Takes what tags of a repository point at now, and gives what is known of them. With `all`, the names of all tags there are, those that have
    /// gone are forgotten. Blocking.
    #[must_use]
    pub fn noted(&self, at: (&SourceId, &str), tags: &[(String, Digest)], all: Option<&HashSet<&str>>, now: Timestamp) -> Sightings {
        let key = format!("{} {}", at.0, at.1);
        let file = self.file(&key);
        let _one = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = file.as_deref().and_then(|file| load(file, &key)).unwrap_or_default();
        let mut news = all.is_some_and(|all| seen.listed(all));
        for (tag, digest) in tags {
            news |= seen.saw(tag, digest, now);
        }
        if let Some(file) = file {
            if news { keep(&file, &key, &seen) } else { looked(&file, now) }
        }
        seen
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{}.{ENDING}", Digest::sha256(key.as_bytes()).hex())))
    }
}

fn load(file: &Path, key: &str) -> Option<Sightings> {
    match checksum::read::<Kept>(file, LARGEST) {
        Ok(kept) if kept.version == VERSION && kept.repository == key => Some(kept.seen),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "when tags were first seen can't be read, and is begun anew");
            None
        }
    }
}

/// A failure is only logged: tags look younger at the next start, nothing else.
fn keep(file: &Path, key: &str, seen: &Sightings) {
    if !file.exists()
        && let Some(dir) = file.parent()
    {
        make_room(dir);
    }
    if let Err(error) = checksum::write(file, &Written { version: VERSION, repository: key, seen }, leftovers::SEEN, true) {
        tracing::warn!(file = %file.display(), %error, "when tags were first seen can't be kept");
    }
}

fn looked(file: &Path, now: Timestamp) {
    let touched = fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_modified(SystemTime::from(now)));
    if let Err(error) = touched
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "that a repository was looked at can't be noted");
    }
}

/// Takes away the files that were left alone longest, where there are as many as may be.
fn make_room(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let entries = entries.filter_map(Result::ok).filter(|entry| entry.path().extension().is_some_and(|ending| ending == ENDING));
    let mut files: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    let many = (files.len() + 1).saturating_sub(MOST);
    files.sort_unstable();
    for (_, file) in files.iter().take(many) {
        if let Err(error) = fs::remove_file(file) {
            tracing::warn!(file = %file.display(), %error, "what nobody looks at any more can't be taken away");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_760_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(NOW + second).unwrap()
    }

    fn digest(seed: &str) -> Digest {
        Digest::sha256(seed.as_bytes())
    }

    fn tags(all: &[(&str, &str)]) -> Vec<(String, Digest)> {
        all.iter().map(|(tag, seed)| ((*tag).to_owned(), digest(seed))).collect()
    }

    #[test]
    fn what_was_seen_is_known_at_the_next_start_and_by_another_program() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("uses");
        let registry = SourceId::registry("r.io");
        let (one, other) = (Sights::new(place.clone()), Sights::new(place.clone()));
        let seen = one.noted((&registry, "app"), &tags(&[("1", "a"), ("2", "b")]), None, at(0));
        assert_eq!(seen.first_seen("1", &digest("a")), Some(at(0)));
        let seen = other.noted((&registry, "app"), &tags(&[("1", "a"), ("2", "moved"), ("3", "c")]), None, at(50));
        let firsts = [("1", "a"), ("2", "moved"), ("3", "c")].map(|(tag, seed)| seen.first_seen(tag, &digest(seed)).unwrap());
        assert_eq!(firsts, [at(0), at(50), at(50)]);
        let elsewhere = one.noted((&registry, "other"), &tags(&[("1", "a")]), None, at(60));
        assert_eq!(elsewhere.first_seen("1", &digest("a")), Some(at(60)), "a repository each");
        // What is gone from the whole list is forgotten.
        drop(one.noted((&registry, "app"), &tags(&[("3", "c")]), Some(&HashSet::from(["2", "3"])), at(70)));
        let seen = Sights::new(place.clone()).noted((&registry, "app"), &tags(&[("1", "a")]), None, at(80));
        assert_eq!((seen.first_seen("1", &digest("a")), seen.first_seen("3", &digest("c"))), (Some(at(80)), Some(at(50))));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2, "no temporary file is left");
        // Nothing new: only the file's time is another.
        let file = one.file(&format!("{registry} app")).unwrap();
        let before = fs::read(&file).unwrap();
        drop(one.noted((&registry, "app"), &tags(&[("3", "c")]), None, at(1000)));
        assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap()), (before, SystemTime::from(at(1000))));
    }

    #[test]
    fn a_damaged_file_is_begun_anew_and_never_makes_a_tag_older() {
        let dir = tempfile::tempdir().unwrap();
        let registry = SourceId::registry("r.io");
        let sights = Sights::new(dir.path().to_owned());
        let one = tags(&[("1", "a")]);
        drop(sights.noted((&registry, "app"), &one, None, at(0)));
        let key = format!("{registry} app");
        let file = sights.file(&key).unwrap();
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let sealed = |written: &Written<'_>| {
            let mut bytes = postcard::to_stdvec(written).unwrap();
            bytes.extend(checksum::crc32(&bytes).to_le_bytes());
            bytes
        };
        let mut older = Sightings::default();
        older.saw("1", &digest("a"), at(-1000));
        let newer = sealed(&Written { version: VERSION + 1, repository: &key, seen: &older });
        let foreign = sealed(&Written { version: VERSION, repository: "registry:other app", seen: &older });
        for broken in [&b""[..], b"{}", &whole[..whole.len() / 2], &flipped, &newer, &foreign] {
            fs::write(&file, broken).unwrap();
            assert_eq!(sights.noted((&registry, "app"), &one, None, at(9)).first_seen("1", &digest("a")), Some(at(9)));
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(sights.noted((&registry, "app"), &one, None, at(9)).first_seen("1", &digest("a")), Some(at(9)));
        assert!(file.is_dir(), "what can't be written is only logged");
        let nowhere = Sights::default();
        assert_eq!(nowhere.noted((&registry, "app"), &one, None, at(9)).first_seen("1", &digest("a")), Some(at(9)));
    }

    #[test]
    fn the_repository_that_was_left_alone_longest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let registry = SourceId::registry("r.io");
        for n in 0..MOST {
            let file = fs::File::create(dir.path().join(format!("{n}.{ENDING}"))).unwrap();
            let age = if n == 7 { 9000 } else { 10 };
            file.set_modified(SystemTime::from(at(-age))).unwrap();
        }
        fs::write(dir.path().join("engine.uses"), "").unwrap();
        drop(Sights::new(dir.path().to_owned()).noted((&registry, "app"), &tags(&[("1", "a")]), None, at(0)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST + 1);
        assert!(!dir.path().join(format!("7.{ENDING}")).exists() && dir.path().join("engine.uses").exists());
    }
}
