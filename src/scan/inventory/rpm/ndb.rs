//! RPM's own database, `Packages.db` of SUSE: pages of slots, each of which says where the header of a package lies.
//!
//! Facts: files that SUSE's images have. Numbers with their low bytes first; places counted in units of 16 bytes.

use super::super::listed::Unreadable;
use super::{Each, le_u32};

const UNIT: usize = 16;
const PAGE: usize = 4096;
/// Slots that the file's own head takes.
const HEAD: usize = 2;

pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RpmP")
}

pub(super) fn each(bytes: &[u8], each: Each<'_>) -> Result<(), Unreadable> {
    let broken = Unreadable("its slots lead out of it");
    let pages = le_u32(bytes, 12).ok_or(broken)? as usize;
    let slots = pages.checked_mul(PAGE).and_then(|length| bytes.get(..length)).ok_or(broken)?;
    let mut left = bytes.len();
    for slot in slots.chunks_exact(UNIT).skip(HEAD) {
        if !slot.starts_with(b"Slot") {
            return Err(Unreadable("it has a slot that is none"));
        }
        let number = le_u32(slot, 4).unwrap_or_default();
        if number == 0 {
            continue;
        }
        let blob = blob(bytes, slot, number).ok_or(broken)?;
        // However slots overlap, no more is read than there is.
        left = left.checked_sub(blob.len()).ok_or(Unreadable("its slots overlap"))?;
        each(blob);
    }
    Ok(())
}

fn blob<'a>(bytes: &'a [u8], slot: &[u8], number: u32) -> Option<&'a [u8]> {
    let head = bytes.get((le_u32(slot, 8)? as usize).checked_mul(UNIT)?..)?;
    let is_its = head.starts_with(b"BlbS") && le_u32(head, 4)? == number;
    head.get(UNIT..)?.get(..le_u32(head, 12)? as usize).filter(|_| is_its)
}
