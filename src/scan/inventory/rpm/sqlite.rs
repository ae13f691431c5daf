//! `rpmdb.sqlite`: the one table `Packages` of it, walked over the file's bytes and nothing more of SQLite: a library of it is C, and asks for files.
//!
//! Facts: SQLite's documentation of its file format. What a write-ahead log beside it has is not in it.

use super::super::listed::Unreadable;
use super::{Each, be_u16, be_u32};

const MAGIC: &[u8] = b"SQLite format 3\0";
/// What the first page has before its head.
const FILE_HEAD: usize = 100;
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Levels of a table; a real one of 2^32 pages has fewer.
const DEEPEST: usize = 20;

pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

struct Database<'a> {
    bytes: &'a [u8],
    page: usize,
    /// Bytes of a page that are used.
    usable: usize,
    /// Bytes of rows that may still be put together: no more than the file has.
    left: usize,
    /// Pages that may still be visited.
    visits: usize,
}

pub(super) fn each(bytes: &[u8], each: Each<'_>) -> Result<(), Unreadable> {
    let page = match be_u16(bytes, 16) {
        Some(1) => 65536,
        size => usize::from(size.unwrap_or_default()),
    };
    let reserved = usize::from(bytes.get(20).copied().unwrap_or_default());
    if !page.is_power_of_two() || page < 512 || page - reserved < 480 {
        return Err(Unreadable("its pages have no size that there is"));
    }
    let mut root = None;
    let mut database = Database { bytes, page, usable: page - reserved, left: bytes.len(), visits: bytes.len() / page + 1 };
    let broken = Unreadable("its pages lead out of it");
    let mut schema = |row: &[u8]| {
        if let Some(found) = table(row) {
            root = Some(found);
        }
    };
    database.rows(1, &mut schema).ok_or(broken)?;
    let root = root.ok_or(Unreadable("it has no table of packages"))?;
    database.visits = bytes.len() / page + 1;
    let mut is_right = true;
    let mut header = |row: &[u8]| match last_blob(row) {
        Some(blob) => each(blob),
        None => is_right = false,
    };
    database.rows(root, &mut header).ok_or(broken)?;
    if is_right { Ok(()) } else { Err(Unreadable("it has a row that is no package")) }
}

/// The root of the table of packages, where a row of the schema tells of it: type, name, table, root and the statement.
fn table(row: &[u8]) -> Option<u32> {
    let mut columns = Columns::new(row)?;
    let (what, name, _, root) = (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
    let is_it = what.bytes == b"table" && name.bytes == b"Packages";
    let root = root.bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    is_it.then(|| u32::try_from(root).ok()).flatten()
}

fn last_blob(row: &[u8]) -> Option<&[u8]> {
    let last = Columns::new(row)?.last()?;
    (last.kind >= 12 && last.kind % 2 == 0).then_some(last.bytes)
}

impl<'a> Database<'a> {
    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = (number as usize).checked_sub(1)?.checked_mul(self.page)?;
        self.bytes.get(start..)?.get(..self.page)
    }

    /// All rows of the table at `root`.
    fn rows(&mut self, root: u32, each: Each<'_>) -> Option<()> {
        let mut left = vec![(root, 0)];
        while let Some((number, depth)) = left.pop() {
            self.visits = self.visits.checked_sub(1)?;
            let page = self.page(number)?;
            let head = page.get(if number == 1 { FILE_HEAD } else { 0 }..)?;
            let (kind, count) = (*head.first()?, usize::from(be_u16(head, 3)?));
            let cells = head.get(if kind == INTERIOR { 12 } else { 8 }..)?.get(..2 * count)?;
            let mut cells = cells.chunks_exact(2).map(|place| page.get(usize::from(be_u16(place, 0)?)..));
            match kind {
                LEAF => cells.try_for_each(|cell| {
                    each(&self.row(cell?)?);
                    Some(())
                })?,
                INTERIOR if depth < DEEPEST => {
                    // What was put in last comes first.
                    left.push((be_u32(head, 8)?, depth + 1));
                    let below: Option<Vec<u32>> = cells.map(|cell| be_u32(cell?, 0)).collect();
                    left.extend(below?.into_iter().rev().map(|page| (page, depth + 1)));
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// A row, put together from its cell and the pages it goes on on.
    fn row(&mut self, cell: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = varint(cell)?;
        let (_, rest) = varint(rest)?;
        let length = usize::try_from(length).ok()?;
        self.left = self.left.checked_sub(length)?;
        let most = self.usable - 35;
        if length <= most {
            return Some(rest.get(..length)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let wanted = least + (length - least) % (self.usable - 4);
        let here = if wanted <= most { wanted } else { least };
        let mut out = rest.get(..here)?.to_vec();
        let mut next = be_u32(rest, here)?;
        while out.len() < length {
            let page = self.page(next)?;
            next = be_u32(page, 0)?;
            let some = (length - out.len()).min(self.usable - 4);
            out.extend_from_slice(page.get(4..4 + some)?);
        }
        Some(out)
    }
}

/// A number of up to nine bytes, the high ones first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut sum = 0;
    for (at, &byte) in bytes.iter().enumerate().take(9) {
        if at == 8 {
            return Some((sum << 8 | u64::from(byte), bytes.get(9..)?));
        }
        sum = sum << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((sum, bytes.get(at + 1..)?));
        }
    }
    None
}

/// What is in a column.
struct Column<'a> {
    kind: u64,
    bytes: &'a [u8],
}

/// A row's columns: their kinds stand before them all.
struct Columns<'a> {
    kinds: &'a [u8],
    values: &'a [u8],
}

impl<'a> Columns<'a> {
    fn new(row: &'a [u8]) -> Option<Self> {
        let (length, rest) = varint(row)?;
        let (head, values) = row.split_at_checked(usize::try_from(length).ok()?)?;
        let kinds = head.get(row.len() - rest.len()..)?;
        Some(Self { kinds, values })
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        let (kind, rest) = varint(self.kinds)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (bytes, values) = self.values.split_at_checked(usize::try_from(length).ok()?)?;
        *self = Self { kinds: rest, values };
        Some(Column { kind, bytes })
    }
}
