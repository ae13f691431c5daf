//! A database as it is kept: one file, of which a scan reads no more than is about the packages it has.
//!
//! Blocks of records in the order of their packages' names, each packed by itself; a table of the hashes of all names, each with the place of a
//! record; a word on the whole, and where that is. Whatever is read is held against a checksum before it is used. A file is written beside its
//! name, fsynced and renamed, so that it is there as a whole or as it was; who has it open goes on with what was there.
//!
//! May use model. Its form is ours alone: [`FORMAT`] changes with it and with what a [`Record`] is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use twox_hash::XxHash3_128;

use super::record::Record;

/// Changes with the form, and with what is taken from advisories.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"LMADVIS\n";
pub(super) const SUFFIX: &str = ".advisories";
pub(super) const PREFIX: &str = ".advisories-";

/// How much of records is packed at a time.
const BLOCK: usize = 32 << 10;
/// Largest block: one record of the largest document.
const MOST_BLOCK: usize = 64 << 20;
const MOST_TABLE: u64 = 512 << 20;
/// Magic, format, and the place, length and checksum of the last part.
const FOOT: usize = 8 + 4 + 8 + 8 + 16;
/// A line of the table: hash, block, place in it.
const LINE: usize = 8 + 4 + 4;
/// Records of one package name.
const MOST_RECORDS: usize = 50_000;

/// What is known of a database as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct About {
    /// Such as "Debian", or "Alpine v3.19 main".
    pub(super) name: String,
    /// Such as "Debian".
    pub(super) ecosystem: String,
    /// It lists only what was mended.
    pub(super) is_fixes_only: bool,
    /// The file or address that it was read from.
    pub(super) origin: String,
    /// What the server called this state of it.
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// Length and time of the file that it was read from, in seconds since 1970.
    pub(super) stamp: Option<(u64, i64)>,
    /// When it was read, and of when its newest advisory is; in seconds since 1970.
    pub(super) made: i64,
    pub(super) newest: Option<i64>,
    pub(super) advisories: u64,
    /// Different names of packages.
    pub(super) packages: u64,
    /// Advisories by ecosystem with its release.
    pub(super) releases: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tail {
    about: About,
    blocks: Vec<Block>,
    table: Part,
}

/// A stretch of the file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Part {
    at: u64,
    length: u64,
    sum: u128,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Block {
    part: Part,
    unpacked: u32,
}

fn sum(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

#[expect(clippy::cast_possible_truncation, reason = "half of a good hash is one too")]
fn hash(name: &str) -> u64 {
    sum(name.as_bytes()) as u64
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Takes records in any order, and makes a file of them.
#[derive(Debug)]
pub(super) struct Writer {
    spool: BufWriter<File>,
    at: u64,
    /// Of each record, by its first name: the name's hash, place and length.
    records: Vec<(u64, u64, u32)>,
    /// The other names of a record, with its number.
    more: Vec<(u64, u32)>,
    /// What was put, so that nothing is there twice.
    known: HashSet<u128>,
    releases: BTreeMap<String, u64>,
}

impl Writer {
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let spool = BufWriter::new(tempfile::tempfile_in(dir)?);
        let (records, more, known, releases) = (Vec::new(), Vec::new(), HashSet::new(), BTreeMap::new());
        Ok(Self { spool, at: 0, records, more, known, releases })
    }

    /// Whether it was new. One id may come several times, with another release in each.
    pub(super) fn put(&mut self, record: &Record) -> io::Result<bool> {
        let mut names: Vec<u64> = record.affected.iter().map(|affected| hash(&affected.name)).collect();
        let bytes = postcard::to_stdvec(record).map_err(io::Error::other)?;
        if names.is_empty() || !self.known.insert(sum(&bytes)) {
            return Ok(false);
        }
        let (Ok(length), Ok(number)) = (u32::try_from(bytes.len()), u32::try_from(self.records.len())) else {
            return Err(damaged("there are too many advisories"));
        };
        let first = names.first().copied().unwrap_or_default();
        self.records.push((first, self.at, length));
        names.sort_unstable();
        names.dedup();
        self.more.extend(names.into_iter().map(|name| (name, number)));
        let mut releases: Vec<&str> = record.affected.iter().map(|affected| affected.ecosystem.as_str()).collect();
        releases.sort_unstable();
        releases.dedup();
        for release in releases {
            *self.releases.entry(release.to_owned()).or_default() += 1;
        }
        self.spool.write_all(&bytes)?;
        self.at += u64::from(length);
        Ok(true)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Writes the file, and gives what is known of it now.
    pub(super) fn finish(mut self, dir: &Path, mut about: About) -> io::Result<About> {
        let mut order: Vec<u32> = (0..).take(self.records.len()).collect();
        let record = |number: u32| usize::try_from(number).ok().and_then(|number| self.records.get(number)).copied().unwrap_or_default();
        order.sort_by_key(|&number| record(number));
        self.spool.flush()?;
        let temp = tempfile::Builder::new().prefix(PREFIX).tempfile_in(dir)?;
        let mut out = Out { file: BufWriter::new(temp), at: 0, blocks: Vec::new(), raw: Vec::with_capacity(2 * BLOCK) };
        let mut places = vec![(0_u32, 0_u32); self.records.len()];
        for number in order {
            let (_, at, length) = record(number);
            if let Some(place) = usize::try_from(number).ok().and_then(|number| places.get_mut(number)) {
                *place = out.record(self.spool.get_ref(), at, length)?;
            }
        }
        out.block()?;
        self.more.sort_unstable();
        about.packages = self.more.chunk_by(|one, two| one.0 == two.0).count() as u64;
        (about.advisories, about.releases) = (self.records.len() as u64, self.releases);
        let mut table = Vec::with_capacity(self.more.len() * LINE);
        for (name, number) in self.more {
            let (block, place) = usize::try_from(number).ok().and_then(|number| places.get(number)).copied().unwrap_or_default();
            table.extend_from_slice(&name.to_le_bytes());
            table.extend_from_slice(&block.to_le_bytes());
            table.extend_from_slice(&place.to_le_bytes());
        }
        out.finish(dir, about, &table)
    }
}

struct Out {
    file: BufWriter<NamedTempFile>,
    at: u64,
    blocks: Vec<Block>,
    raw: Vec<u8>,
}

impl Out {
    /// Takes a record out of the spool, and says where it is then.
    fn record(&mut self, spool: &File, at: u64, length: u32) -> io::Result<(u32, u32)> {
        if self.raw.len() >= BLOCK {
            self.block()?;
        }
        let start = self.raw.len();
        self.raw.resize(start + length as usize, 0);
        spool.read_exact_at(self.raw.get_mut(start..).unwrap_or_default(), at)?;
        let number = |count: usize| u32::try_from(count).map_err(io::Error::other);
        Ok((number(self.blocks.len())?, number(start)?))
    }

    fn part(&mut self, bytes: &[u8]) -> io::Result<Part> {
        let part = Part { at: self.at, length: bytes.len() as u64, sum: sum(bytes) };
        self.file.write_all(bytes)?;
        self.at += part.length;
        Ok(part)
    }

    fn block(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&self.raw, 3)?;
        let unpacked = u32::try_from(self.raw.len()).map_err(io::Error::other)?;
        let part = self.part(&packed)?;
        self.blocks.push(Block { part, unpacked });
        self.raw.clear();
        Ok(())
    }

    fn finish(mut self, dir: &Path, about: About, table: &[u8]) -> io::Result<About> {
        let table = self.part(table)?;
        let tail = Tail { about, blocks: std::mem::take(&mut self.blocks), table };
        let tail_bytes = postcard::to_stdvec(&tail).map_err(io::Error::other)?;
        let part = self.part(&tail_bytes)?;
        self.file.write_all(&MAGIC)?;
        self.file.write_all(&FORMAT.to_le_bytes())?;
        self.file.write_all(&part.at.to_le_bytes())?;
        self.file.write_all(&part.length.to_le_bytes())?;
        self.file.write_all(&part.sum.to_le_bytes())?;
        let temp = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        temp.as_file().sync_all()?;
        temp.persist(dir.join(file_name(&tail.about.name)))?;
        // So that the name is as lasting as what it names.
        File::open(dir)?.sync_all()?;
        Ok(tail.about)
    }
}

/// The name of the file of a database.
pub(super) fn file_name(name: &str) -> String {
    let word: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("{}{SUFFIX}", word.trim_start_matches('.'))
}

/// A database that is read.
#[derive(Debug)]
pub(super) struct Database {
    file: File,
    pub(super) size: u64,
    tail: Tail,
    table: OnceLock<Arc<[u8]>>,
    read: Mutex<Cached>,
}

/// What was read last: one advisory may be about very many packages of an image, and one block has many advisories.
#[derive(Debug, Default)]
struct Cached {
    blocks: HashMap<u32, Vec<u8>>,
    /// By block and place in it.
    records: HashMap<(u32, u32), Arc<Record>>,
}

const MOST_BLOCKS: usize = 64;
const MOST_KEPT: usize = 10_000;

impl Database {
    /// Reads what is known of it as a whole.
    ///
    /// # Errors
    /// What the file system says; `InvalidData` for a file that is damaged or of another version.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(damaged("it is no regular file"));
        }
        let size = file.seek(SeekFrom::End(0))?;
        let start = size.checked_sub(FOOT as u64).ok_or_else(|| damaged("it is cut"))?;
        let mut foot = [0; FOOT];
        file.read_exact_at(&mut foot, start)?;
        let mut rest = foot.as_slice();
        if take(&mut rest)? != MAGIC {
            return Err(damaged("it is no database of advisories, or a damaged one"));
        }
        let format = u32::from_le_bytes(take(&mut rest)?);
        if format != FORMAT {
            return Err(damaged(&format!("it was made by another version of the program (form {format})")));
        }
        let (at, length) = (u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?));
        let bytes = read(&file, Part { at, length, sum: u128::from_le_bytes(take(&mut rest)?) }, size)?;
        let tail: Tail = postcard::from_bytes(&bytes).map_err(|_not_ours| damaged("it is damaged"))?;
        Ok(Self { file, size, tail, table: OnceLock::new(), read: Mutex::default() })
    }

    pub(super) const fn about(&self) -> &About {
        &self.tail.about
    }

    /// The records that are about a package of that name; some may be about others whose names have the same hash.
    pub(super) fn of(&self, name: &str) -> io::Result<Vec<Arc<Record>>> {
        let table = self.table()?;
        let wanted = hash(name);
        let line = |at: usize| table.get(at * LINE..(at + 1) * LINE);
        let key = |at: usize| line(at).and_then(|line| line.first_chunk().copied()).map_or(u64::MAX, u64::from_le_bytes);
        let count = table.len() / LINE;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if key(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        for at in (low..count).take_while(|&at| key(at) == wanted).take(MOST_RECORDS) {
            let mut rest = line(at).and_then(|line| line.get(8..)).unwrap_or_default();
            let (block, place) = (u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?));
            found.push(self.record(block, place)?);
        }
        Ok(found)
    }

    fn table(&self) -> io::Result<Arc<[u8]>> {
        if let Some(table) = self.table.get() {
            return Ok(Arc::clone(table));
        }
        let table: Arc<[u8]> = read(&self.file, self.tail.table, self.size)?.into();
        Ok(Arc::clone(self.table.get_or_init(|| table)))
    }

    fn record(&self, block: u32, place: u32) -> io::Result<Arc<Record>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.records.get(&(block, place)) {
            return Ok(Arc::clone(known));
        }
        if read.blocks.len() >= MOST_BLOCKS {
            read.blocks.clear();
        }
        let raw = match read.blocks.entry(block) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(self.block(block)?),
        };
        let bytes = raw.get(place as usize..).ok_or_else(|| damaged("it is damaged"))?;
        let (record, _) = postcard::take_from_bytes::<Record>(bytes).map_err(|_not_ours| damaged("it is damaged"))?;
        let record = Arc::new(record);
        if read.records.len() >= MOST_KEPT {
            read.records.clear();
        }
        read.records.insert((block, place), Arc::clone(&record));
        Ok(record)
    }

    fn block(&self, number: u32) -> io::Result<Vec<u8>> {
        let block = self.tail.blocks.get(number as usize).ok_or_else(|| damaged("it is damaged"))?;
        let unpacked = usize::try_from(block.unpacked).ok().filter(|&unpacked| unpacked <= MOST_BLOCK);
        let unpacked = unpacked.ok_or_else(|| damaged("it is damaged"))?;
        let packed = read(&self.file, block.part, self.size)?;
        zstd::bulk::decompress(&packed, unpacked).map_err(|_unsound| damaged("it is damaged"))
    }
}

/// Reads a stretch, and holds it against its checksum.
fn read(file: &File, part: Part, size: u64) -> io::Result<Vec<u8>> {
    let is_there = part.length <= MOST_TABLE && part.at.checked_add(part.length).is_some_and(|end| end <= size);
    let length = usize::try_from(part.length).ok().filter(|_| is_there).ok_or_else(|| damaged("it is damaged"))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, part.at)?;
    if sum(&bytes) == part.sum { Ok(bytes) } else { Err(damaged("it is damaged")) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> io::Result<[u8; N]> {
    let (first, after) = rest.split_first_chunk().ok_or_else(|| damaged("it is cut"))?;
    *rest = after;
    Ok(*first)
}
