//! Takes in what was published: a zip or a folder of advisories in OSV's form, and Alpine's lists, packed or not.
//!
//! Everything in them is hostile: bounded in size and number, read once and never unpacked to the disk, so that no name in an archive leads anywhere.
//! A document that can't be read is counted and named, and the rest is taken in. A database is replaced as a whole, or stays as it was.
//!
//! May use model and source. Blocking.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::compiled::{About, Database, Writer, file_name};
use super::osv::{self, Read};
use super::secdb;
use super::status::Status;
use crate::model::{Foreign, Problem, ProblemKind, Safe, size};
use crate::source::Ctx;

/// Largest document.
const MOST_DOCUMENT: u64 = 16 << 20;
/// Bytes of all documents together, unpacked.
const MOST_BYTES: u64 = 32 << 30;
const MOST_DOCUMENTS: u64 = 3_000_000;
const MOST_DEPTH: usize = 16;
/// Documents that are named among those left out.
const MOST_NAMED: usize = 20;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Those that were made anew, each with how many advisories it had before.
    pub databases: Vec<Renewed>,
    /// Documents that were read, whatever they were.
    pub documents: u64,
    pub withdrawn: u64,
    /// About nothing that can be found in images.
    pub elsewhere: u64,
    /// Given twice.
    pub repeated: u64,
    /// Documents that could not be read, and the first of them.
    pub broken: u64,
    pub named: Vec<BrokenDocument>,
}

impl Imported {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.databases.extend(other.databases.iter().cloned());
        self.named.extend(other.named.iter().cloned());
        for (sum, more) in [
            (&mut self.documents, other.documents),
            (&mut self.withdrawn, other.withdrawn),
            (&mut self.elsewhere, other.elsewhere),
            (&mut self.repeated, other.repeated),
            (&mut self.broken, other.broken),
        ] {
            *sum += more;
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renewed {
    #[serde(flatten)]
    pub status: Status,
    /// `None` where it is new.
    pub before: Option<u64>,
}

/// A document that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenDocument {
    pub name: Foreign,
    pub why: Safe,
}

impl Serialize for BrokenDocument {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("BrokenDocument", 2)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("why", self.why.as_str())?;
        out.end()
    }
}

/// What is said of where advisories come from.
#[derive(Debug, Clone, Default)]
pub(super) struct From {
    pub(super) origin: String,
    /// Only this base ecosystem is taken; `None` for all.
    pub(super) only: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// Takes in a zip, a folder or a list of Alpine's into the databases in `dir`, which is made when missing.
///
/// # Errors
/// A file that can't be read, is none of these, or has no advisory in it; a bound of all together; the wish to stop. No database is changed then,
/// unless the disk fails between one and the next.
pub fn import(dir: &Path, file: &Path, now: Timestamp, ctx: &Ctx) -> Result<Imported, Problem> {
    let origin = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    take(dir, file, &From { origin, ..From::default() }, now, ctx)
}

pub(super) fn take(dir: &Path, file: &Path, from: &From, now: Timestamp, ctx: &Ctx) -> Result<Imported, Problem> {
    let doing = format!("take in the advisories in {}", file.display());
    let disk = |error: io::Error| Problem::disk(&doing, file, &error);
    let metadata = fs::metadata(file).map_err(disk)?;
    make_dir(dir).map_err(|error| Problem::disk(&doing, dir, &error))?;
    let mut collector = Collector::new(dir, from, ctx, &doing);
    if metadata.is_dir() {
        collector.folder(file, 0)?;
    } else if metadata.is_file() {
        collector.file(file, true)?;
    } else {
        return Err(Problem::new(ProblemKind::Usage, &doing, "it is neither a file nor a folder"));
    }
    collector.finish(&metadata, now)
}

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// One database that is being made.
struct Growing {
    writer: Writer,
    about: About,
}

struct Collector<'a> {
    dir: &'a Path,
    from: &'a From,
    ctx: &'a Ctx,
    doing: &'a str,
    /// By name.
    growing: BTreeMap<String, Growing>,
    found: Imported,
    bytes: u64,
    step: Option<usize>,
}

impl<'a> Collector<'a> {
    fn new(dir: &'a Path, from: &'a From, ctx: &'a Ctx, doing: &'a str) -> Self {
        let found = Imported { databases: Vec::new(), documents: 0, withdrawn: 0, elsewhere: 0, repeated: 0, broken: 0, named: Vec::new() };
        ctx.meter.phase("reading the advisories");
        Self { dir, from, ctx, doing, growing: BTreeMap::new(), found, bytes: 0, step: None }
    }

    fn disk(&self, path: &Path, error: &io::Error) -> Problem {
        Problem::disk(self.doing, path, error)
    }

    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Problem> {
        if depth > MOST_DEPTH {
            return Err(Problem::new(ProblemKind::Limit, self.doing, format!("its folders are deeper than {MOST_DEPTH}")));
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| self.disk(folder, &error))? {
            let entry = entry.map_err(|error| self.disk(folder, &error))?;
            // The entry's own kind: a link leads nowhere.
            entries.push((entry.path(), entry.file_type().map_err(|error| self.disk(folder, &error))?));
            if entries.len() as u64 > MOST_DOCUMENTS {
                return Err(self.too_many());
            }
        }
        entries.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        for (path, kind) in entries {
            let is = |ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if kind.is_dir() && !is_hidden {
                self.folder(&path, depth + 1)?;
            } else if kind.is_file() && (is("json") || is("zip")) {
                self.file(&path, false)?;
            }
        }
        Ok(())
    }

    /// A file by what it begins with. One advisory alone would take the place of all that were there.
    fn file(&mut self, path: &Path, is_alone: bool) -> Result<(), Problem> {
        let mut file = File::open(path).map_err(|error| self.disk(path, &error))?;
        let mut head = Vec::new();
        file.by_ref().take(2).read_to_end(&mut head).map_err(|error| self.disk(path, &error))?;
        file.rewind().map_err(|error| self.disk(path, &error))?;
        let changed = file.metadata().ok().as_ref().and_then(changed);
        let name = path.display().to_string();
        if head == b"PK" {
            return match self.archive(file, changed) {
                Err(problem) if !is_alone && problem.kind == ProblemKind::Corrupt => {
                    self.broken(&name, problem.cause.as_str());
                    Ok(())
                }
                done => done,
            };
        }
        let bytes = match bounded(&mut file) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.disk(path, &error)),
        };
        if is_alone && !bytes.as_deref().is_some_and(secdb::is) {
            let problem = Problem::new(ProblemKind::Usage, self.doing, "it is neither a zip of advisories nor a list of Alpine's");
            return Err(problem.hint("give the folder that it is in, if it is one advisory of many"));
        }
        self.document(&name, bytes.as_deref(), changed)
    }

    fn archive(&mut self, file: File, changed: Option<i64>) -> Result<(), Problem> {
        let corrupt =
            |error: &dyn std::fmt::Display| Problem::new(ProblemKind::Corrupt, self.doing, format!("it is a broken zip: {error}"));
        let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|error| corrupt(&error))?;
        let count = archive.len();
        if count as u64 > MOST_DOCUMENTS {
            return Err(self.too_many());
        }
        self.step = Some(self.ctx.meter.step(Safe::new("documents"), Some(count as u64)));
        for at in 0..count {
            self.ctx.check(self.doing)?;
            let read = archive.by_index(at).map_err(|error| error.to_string()).and_then(|mut entry| {
                let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
                if entry.is_dir() || !name.to_ascii_lowercase().ends_with(".json") {
                    return Ok(None);
                }
                let bytes = bounded(&mut entry).map_err(|error| format!("{name}: {error}"))?;
                Ok(Some((name, bytes)))
            });
            match read {
                Ok(None) => {}
                Ok(Some((name, bytes))) => self.document(&name, bytes.as_deref(), changed)?,
                Err(why) => self.broken(&format!("entry {at}"), &why),
            }
        }
        Ok(())
    }

    /// `None` for one that is too large.
    fn document(&mut self, name: &str, bytes: Option<&[u8]>, changed: Option<i64>) -> Result<(), Problem> {
        self.ctx.check(self.doing)?;
        self.found.documents += 1;
        if let Some(step) = self.step {
            self.ctx.meter.add(step, 1);
        }
        let Some(bytes) = bytes else {
            self.broken(name, &format!("it is larger than {}", size::human(MOST_DOCUMENT)));
            self.bytes += MOST_DOCUMENT;
            return self.within();
        };
        self.bytes += bytes.len() as u64;
        self.within()?;
        if secdb::is(bytes) {
            return match secdb::read(bytes) {
                Ok(list) => self.list(name, list, changed),
                Err(why) => {
                    self.broken(name, &why);
                    Ok(())
                }
            };
        }
        match osv::read(bytes) {
            Ok(Read::Records(records, modified)) => self.records(records, modified)?,
            Ok(Read::Withdrawn) => self.found.withdrawn += 1,
            Ok(Read::Elsewhere) => self.found.elsewhere += 1,
            Err(why) => self.broken(name, &why),
        }
        Ok(())
    }

    fn records(&mut self, records: Vec<(String, super::record::Record)>, modified: Option<i64>) -> Result<(), Problem> {
        for (base, record) in records {
            if self.from.only.as_ref().is_some_and(|only| *only != base) {
                self.found.elsewhere += 1;
                continue;
            }
            let growing = self.growing(&base, &base, osv::is_fixes_only(&base))?;
            growing.about.newest = growing.about.newest.max(modified);
            let is_new = growing.writer.put(&record);
            self.count(is_new)?;
        }
        Ok(())
    }

    fn list(&mut self, name: &str, list: secdb::List, changed: Option<i64>) -> Result<(), Problem> {
        if self.from.only.as_ref().is_some_and(|only| only != "Alpine") {
            self.found.elsewhere += 1;
            return Ok(());
        }
        if list.unclear > 0 {
            self.broken(name, &format!("{} of its versions are none", list.unclear));
        }
        let database = format!("Alpine {} {}", list.branch, list.repository);
        for record in list.records {
            let growing = self.growing(&database, "Alpine", true)?;
            growing.about.newest = growing.about.newest.max(changed);
            let is_new = growing.writer.put(&record);
            self.count(is_new)?;
        }
        Ok(())
    }

    fn count(&mut self, is_new: io::Result<bool>) -> Result<(), Problem> {
        let is_new = is_new.map_err(|error| self.disk(self.dir, &error))?;
        self.found.repeated += u64::from(!is_new);
        Ok(())
    }

    fn growing(&mut self, name: &str, base: &str, is_fixes_only: bool) -> Result<&mut Growing, Problem> {
        if !self.growing.contains_key(name) {
            let writer = Writer::new(self.dir).map_err(|error| self.disk(self.dir, &error))?;
            let about = About {
                name: name.to_owned(),
                ecosystem: base.to_owned(),
                is_fixes_only,
                origin: self.from.origin.clone(),
                etag: self.from.etag.clone(),
                last_modified: self.from.last_modified.clone(),
                ..About::default()
            };
            self.growing.insert(name.to_owned(), Growing { writer, about });
        }
        self.growing.get_mut(name).ok_or_else(|| Problem::new(ProblemKind::Other, self.doing, "a database was lost"))
    }

    fn broken(&mut self, name: &str, why: &str) {
        self.found.broken += 1;
        if self.found.named.len() < MOST_NAMED {
            self.found.named.push(BrokenDocument { name: name.into(), why: Safe::new(why) });
        }
    }

    fn within(&self) -> Result<(), Problem> {
        if self.bytes > MOST_BYTES {
            let cause = format!("its documents have more than {} together", size::human(MOST_BYTES));
            return Err(Problem::new(ProblemKind::Limit, self.doing, cause));
        }
        if self.found.documents > MOST_DOCUMENTS { Err(self.too_many()) } else { Ok(()) }
    }

    fn too_many(&self) -> Problem {
        Problem::new(ProblemKind::Limit, self.doing, format!("it has more than {MOST_DOCUMENTS} documents"))
    }

    fn finish(mut self, metadata: &fs::Metadata, now: Timestamp) -> Result<Imported, Problem> {
        self.growing.retain(|_, growing| !growing.writer.is_empty());
        if self.growing.is_empty() {
            let problem = Problem::new(ProblemKind::Corrupt, self.doing, "there is no advisory in it about anything that images hold");
            return Err(match self.found.named.first() {
                Some(first) => problem.detail(format!("{}: {}", first.name.safe(), first.why)),
                None => problem,
            });
        }
        self.ctx.meter.phase("writing the databases");
        let stamp = changed(metadata).map(|changed| (metadata.len(), changed));
        for (name, growing) in std::mem::take(&mut self.growing) {
            self.ctx.check(self.doing)?;
            let path: PathBuf = self.dir.join(file_name(&name));
            let before = Database::open(&path).ok().map(|database| database.about().advisories);
            let about = About { stamp, made: now.as_second(), ..growing.about };
            let about = growing.writer.finish(self.dir, about).map_err(|error| self.disk(&path, &error))?;
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            self.found.databases.push(Renewed { status: Status::of(&about, size), before });
        }
        Ok(self.found)
    }
}

/// When a file was changed last, in seconds since 1970.
pub(super) fn changed(metadata: &fs::Metadata) -> Option<i64> {
    Some(Timestamp::try_from(metadata.modified().ok()?).ok()?.as_second())
}

/// A document, or `None` for one that is too large.
fn bounded(from: &mut impl io::Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(MOST_DOCUMENT + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MOST_DOCUMENT).then_some(bytes))
}
