//! The databases that there are, and what is known of each: how much is in it, of when, and where it came from.
//!
//! May use model and source. Blocking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::compiled::{About, Database, SUFFIX, file_name};
use super::import::{From, Imported, changed, take};
use super::osv::ECOSYSTEMS;
use crate::model::{Foreign, Problem};
use crate::source::Ctx;

/// Most files of the directory that are looked at.
const MOST: usize = 1000;

/// What is known of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub name: Foreign,
    /// Such as "Debian"; `None` for a file that can't be read.
    pub ecosystem: Option<Foreign>,
    pub advisories: u64,
    /// Packages that they are about.
    pub packages: u64,
    /// Advisories by ecosystem with its release, where it has releases.
    pub releases: BTreeMap<String, u64>,
    /// It knows only what was mended.
    pub fixes_only: bool,
    /// Of the file, in bytes.
    pub size: u64,
    /// Of when its newest advisory is.
    pub date: Option<Timestamp>,
    /// When it was taken in.
    pub imported: Option<Timestamp>,
    /// The file or address that it came from.
    pub origin: Option<Foreign>,
    /// Why it can't be used.
    pub problem: Option<Foreign>,
}

impl Status {
    pub(super) fn of(about: &About, size: u64) -> Self {
        let time = |second: i64| Timestamp::from_second(second).ok();
        Self {
            name: about.name.as_str().into(),
            ecosystem: Some(about.ecosystem.as_str().into()),
            advisories: about.advisories,
            packages: about.packages,
            releases: about.releases.iter().filter(|(name, _)| name.contains(':')).map(|(name, count)| (name.clone(), *count)).collect(),
            fixes_only: about.is_fixes_only,
            size,
            date: about.newest.and_then(time),
            imported: time(about.made),
            origin: Some(about.origin.as_str().into()),
            problem: None,
        }
    }

    fn broken(path: &Path, error: &std::io::Error) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self {
            name: name.trim_end_matches(SUFFIX).into(),
            ecosystem: None,
            advisories: 0,
            packages: 0,
            releases: BTreeMap::new(),
            fixes_only: false,
            size: fs::metadata(path).map_or(0, |metadata| metadata.len()),
            date: None,
            imported: None,
            origin: None,
            problem: Some(error.to_string().into()),
        }
    }
}

/// The databases of a directory, open: what is done to their files later changes nothing here.
#[derive(Debug, Default)]
pub struct Databases {
    pub(super) open: Vec<Database>,
    status: Vec<Status>,
}

impl Databases {
    /// Opens all that are in `dir`; none where it isn't there. One that can't be read has a problem of its own. Blocking, though it reads no more
    /// than a few kilobytes of each.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        let mut found = Self::default();
        let entries = fs::read_dir(dir).into_iter().flatten().take(MOST).flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_database(path)).collect();
        files.sort_unstable();
        for file in files {
            match Database::open(&file) {
                Ok(database) => {
                    found.status.push(Status::of(database.about(), database.size));
                    found.open.push(database);
                }
                Err(error) => found.status.push(Status::broken(&file, &error)),
            }
        }
        found
    }

    /// Of each, by name.
    #[must_use]
    pub fn status(&self) -> &[Status] {
        &self.status
    }

    /// Whether there is none that can be used.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn is_database(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(SUFFIX) && !name.starts_with('.')
}

/// Takes in the zips that lie in the layout of osv-scanner's cache, `CACHE/osv-scanner/ECOSYSTEM/all.zip`, and are newer than what is in `dir`.
/// One that can't be read is a problem of its own, and the others are taken in. Blocking: seconds where there is something new.
///
/// # Errors
/// The wish to stop.
pub fn refresh(dir: &Path, caches: &[PathBuf], now: Timestamp, ctx: &Ctx) -> Result<(Vec<Imported>, Vec<Problem>), Problem> {
    let (mut taken, mut problems) = (Vec::new(), Vec::new());
    for (cache, base) in caches.iter().flat_map(|cache| ECOSYSTEMS.iter().map(move |base| (cache, *base))) {
        let file = cache.join("osv-scanner").join(base).join("all.zip");
        let Ok(metadata) = fs::metadata(&file) else { continue };
        let (Some(time), true) = (changed(&metadata), metadata.is_file()) else { continue };
        let known = Database::open(&dir.join(file_name(base))).ok();
        let is_known = known.is_some_and(|known| known.about().stamp == Some((metadata.len(), time)) || known.about().made >= time);
        if is_known {
            continue;
        }
        let from = From { origin: file.display().to_string(), only: Some(base.to_owned()), ..From::default() };
        match take(dir, &file, &from, now, ctx) {
            Ok(done) => taken.push(done),
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((taken, problems))
}
