//! Programs, as files whose first bytes say that they are one: which are looked at, and pieces of them.
//!
//! May use layer. Facts: the ELF and PE formats, by the `object` crate.

use object::read::elf::{ElfFile, FileHeader, SectionHeader as _};
use object::read::{File, Object as _, ObjectSection as _, ObjectSegment as _};

use super::Candidate;
use super::listed::Unreadable;

/// Whether it may be a program. Libraries are passed over: they are many, large, and seldom say anything.
pub(super) fn wants(file: &Candidate<'_>) -> bool {
    let name = file.name();
    let is_library = name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.");
    !is_library && (file.is_executable || name.ends_with(b".exe"))
}

pub(super) fn begins(head: &[u8]) -> bool {
    head == b"\x7fELF" || head.starts_with(b"MZ")
}

/// Most sections of a program, and segments of it that are looked at. Real ones have a few dozen.
const MOST_SECTIONS: usize = 4096;
const MOST_SEGMENTS: usize = 64;
/// Most bytes of the names of sections: each is searched for its end.
const MOST_NAMES: u64 = 1 << 20;

/// Takes it apart; `None` for what only starts like a program, such as one of a kind that isn't known or one made to keep its reader busy.
pub(super) fn open(bytes: &[u8]) -> Option<File<'_>> {
    let file = File::parse(bytes).ok()?;
    let is_sane = match &file {
        File::Elf32(file) => is_sane(file),
        File::Elf64(file) => is_sane(file),
        // No system loads a PE with more sections.
        file => file.sections().take(97).count() < 97,
    };
    is_sane.then_some(file)
}

fn is_sane<Elf: FileHeader>(file: &ElfFile<'_, Elf>) -> bool {
    let (table, endian) = (file.elf_section_table(), file.endian());
    let names = file.elf_header().shstrndx(endian, file.data()).ok();
    let names = names.and_then(|at| table.section(object::SectionIndex(at as usize)).ok());
    let is_short = |length: Elf::Word| length.into() <= MOST_NAMES;
    // Stripped of its sections it has no names of them either.
    table.len() <= MOST_SECTIONS && (table.is_empty() || names.is_some_and(|names| is_short(names.sh_size(endian))))
}

/// A section by its name, as it lies in the file.
///
/// # Errors
/// One that leads out of the file.
pub(super) fn section<'a>(file: &File<'a>, name: &str) -> Result<Option<&'a [u8]>, Unreadable> {
    let Some(section) = file.section_by_name(name) else { return Ok(None) };
    section.data().map(Some).map_err(|_broken| Unreadable("its sections lead out of it"))
}

/// The parts that are loaded into memory to be written to.
pub(super) fn written<'a>(file: &File<'a>) -> impl Iterator<Item = &'a [u8]> {
    file.segments().take(MOST_SEGMENTS).filter(|segment| segment.permissions().writable()).filter_map(|segment| segment.data().ok())
}

/// `length` bytes that are at `address` when it is loaded.
pub(super) fn at<'a>(file: &File<'a>, address: u64, length: u64) -> Option<&'a [u8]> {
    file.segments().take(MOST_SEGMENTS).find_map(|segment| segment.data_range(address, length).ok().flatten())
}

#[cfg(test)]
#[path = "../../../tests/common/elf.rs"]
pub(super) mod sample;
