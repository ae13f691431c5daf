//! A hash of Berkeley DB, `Packages` of RPM before version 4.16: pages of pairs, the second of each a package's header, which mostly lies on pages of
//! its own.
//!
//! Facts: the layout of pages in Berkeley DB's `db_page.h`, as files of CentOS 5 to 8 have it. Numbers as the machine had them that wrote it.

use super::super::listed::Unreadable;
use super::{Each, be_u16, be_u32, le_u16, le_u32};

const MAGIC: u32 = 0x0006_1561;
/// What every page starts with.
const HEAD: usize = 26;
/// Types of pages.
const OVERFLOW: u8 = 7;
const PAIRS: [u8; 2] = [2, 13];
/// Types of what is on a page.
const HERE: u8 = 1;
const ELSEWHERE: u8 = 3;

struct Database<'a> {
    bytes: &'a [u8],
    is_big: bool,
    page: usize,
    /// Bytes of values that may still be put together: no more than the file has.
    left: usize,
}

pub(super) fn is(bytes: &[u8]) -> bool {
    le_u32(bytes, 12) == Some(MAGIC) || be_u32(bytes, 12) == Some(MAGIC)
}

pub(super) fn each(bytes: &[u8], each: Each<'_>) -> Result<(), Unreadable> {
    let is_big = be_u32(bytes, 12) == Some(MAGIC);
    let mut database = Database { bytes, is_big, page: 0, left: bytes.len() };
    let page = database.u32(bytes, 20).unwrap_or_default() as usize;
    if !page.is_power_of_two() || !(512..=65536).contains(&page) {
        return Err(Unreadable("its pages have no size that there is"));
    }
    if bytes.get(24).is_some_and(|&encryption| encryption != 0) {
        return Err(Unreadable("it is encrypted"));
    }
    database.page = page;
    for page in bytes.chunks_exact(page).skip(1) {
        if page.get(25).is_some_and(|kind| PAIRS.contains(kind)) {
            database.pairs(page, each).ok_or(Unreadable("its pages lead out of it"))?;
        }
    }
    Ok(())
}

impl<'a> Database<'a> {
    fn u16(&self, bytes: &[u8], at: usize) -> Option<usize> {
        if self.is_big { be_u16(bytes, at) } else { le_u16(bytes, at) }.map(usize::from)
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        if self.is_big { be_u32(bytes, at) } else { le_u32(bytes, at) }
    }

    /// Places of what is on the page come first; what they lead to is put in from the page's end.
    fn pairs(&mut self, page: &'a [u8], each: Each<'_>) -> Option<()> {
        let count = self.u16(page, 20)?;
        for value in (1..count).step_by(2) {
            let start = self.u16(page, HEAD + 2 * value)?;
            let end = self.u16(page, HEAD + 2 * (value - 1))?;
            let item = page.get(start..end)?;
            match item.split_first()? {
                // The first pair counts packages: it has four bytes.
                (&HERE, header) if header.len() > 8 => {
                    self.left = self.left.checked_sub(header.len())?;
                    each(header);
                }
                (&ELSEWHERE, _) => {
                    let (first, length) = (self.u32(item, 4)?, self.u32(item, 8)? as usize);
                    each(&self.chain(first, length)?);
                }
                _ => {}
            }
        }
        Some(())
    }

    fn chain(&mut self, first: u32, length: usize) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(length)?;
        let mut out = Vec::new();
        let mut at = first;
        while out.len() < length {
            let page = self.bytes.get((at as usize).checked_mul(self.page)?..)?.get(..self.page)?;
            let filled = self.u16(page, 22)?;
            if page.get(25) != Some(&OVERFLOW) || filled == 0 {
                return None;
            }
            out.extend_from_slice(page.get(HEAD..HEAD + filled)?);
            at = self.u32(page, 16)?;
        }
        out.truncate(length);
        Some(out)
    }
}
