//! One 512-byte tar header, checked, and the entry it describes. Fields are found by `tar::Header`; numbers and the checksum are read
//! here, since sizes must be exact and negative ones refused.

use super::error::TarError;

/// Everything in a tar is a multiple of this.
pub const BLOCK: u64 = 512;
pub(super) const BLOCK_LEN: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Char,
    Block,
    Fifo,
    /// A file with holes, in one of GNU's encodings. Its data is passed over rightly but can't be read as the file's content.
    Sparse,
    /// A type this reader doesn't know; it is passed over.
    Other(u8),
}

impl Kind {
    /// What users call it; of an unknown type what it is passed over as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Directory => "dir",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::Char => "char",
            Self::Block => "block",
            Self::Fifo => "fifo",
            Self::File | Self::Sparse | Self::Other(_) => "file",
        }
    }
}

/// One entry, with its extended headers applied. Names are bytes: nothing says that they are UTF-8, relative or free of `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: Vec<u8>,
    /// Target of a link.
    pub link: Option<Vec<u8>>,
    pub kind: Kind,
    /// Bytes of data that follow; 0 for what has no data.
    pub size: u64,
    /// Bytes of the file as it is when unpacked: `size`, but for a sparse file, whose holes are not in the data.
    pub content_size: u64,
    /// Where its data starts, from the tar's first byte.
    pub data_offset: u64,
    /// Permission bits and above, as written; `None` when unreadable.
    pub mode: Option<u32>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds since 1970, whole ones.
    pub mtime: Option<i64>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// The value of `security.capability`, which makes a program run with more rights than its user has.
    pub capability: Option<Vec<u8>>,
    /// How many other extended attributes there are.
    pub xattrs: u16,
}

impl Entry {
    /// The path as text, where it is UTF-8.
    #[must_use]
    pub fn path_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.path).ok()
    }
}

/// Takes a block for a header: its checksum must hold. `None` for a block of zeros.
pub(super) fn head(block: &[u8; BLOCK_LEN], offset: u64) -> Result<Option<tar::Header>, TarError> {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let total = sum(block);
    if total == 0 {
        return Ok(None);
    }
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    let field = &header.as_old().cksum;
    let written = octal(field).ok_or(TarError::Header { offset })?;
    // The field itself counts as blanks.
    let blanks = 8 * u32::from(b' ');
    let unsigned = total - sum(field) + blanks;
    // Some old writers summed signed bytes.
    let high = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte >> 7)).sum::<u32>();
    let signed = i64::from(unsigned) - 256 * i64::from(high(block) - high(field));
    let is_right = written == u64::from(unsigned) || i64::try_from(written).is_ok_and(|written| written == signed);
    if is_right { Ok(Some(header)) } else { Err(TarError::Header { offset }) }
}

/// Octal digits with blanks or NULs around them; nothing at all is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|&b| b != b' ' && b != 0).unwrap_or(field.len());
    let field = field.get(start..)?;
    let end = field.iter().position(|&b| b == b' ' || b == 0).unwrap_or(field.len());
    let (digits, rest) = field.split_at_checked(end)?;
    if !rest.iter().all(|&b| b == b' ' || b == 0) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        let digit = (b'0'..=b'7').contains(&digit).then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(8)?.checked_add(digit)
    })
}

impl Kind {
    /// What a header's type flag means.
    pub(super) const fn of(flag: u8) -> Self {
        match flag {
            0 | b'0' | b'7' => Self::File,
            b'1' => Self::Hardlink,
            b'2' => Self::Symlink,
            b'3' => Self::Char,
            b'4' => Self::Block,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            b'S' => Self::Sparse,
            other => Self::Other(other),
        }
    }
}

/// A number field: octal, or GNU's base 256 when the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.split_first() {
        Some((&first, rest)) if first & 0x80 != 0 => {
            // Two's complement over the whole field, less the marker bit: bit 6 of the first byte is the sign.
            let negative = first & 0x40 != 0;
            let start = i64::from(first & 0x3f) - if negative { 64 } else { 0 };
            rest.iter().try_fold(start, |sum, &byte| sum.checked_mul(256)?.checked_add(i64::from(byte)))
        }
        _ => octal(field).and_then(|value| i64::try_from(value).ok()),
    }
}

/// The entry a plain header describes, before extended headers are applied.
pub(super) fn entry(header: &tar::Header, offset: u64) -> Result<Entry, TarError> {
    let old = header.as_old();
    let size = number(&old.size).and_then(|size| u64::try_from(size).ok()).ok_or(TarError::Number { offset, field: "size" })?;
    let path = header.path_bytes().into_owned();
    let kind = Kind::of(header.as_bytes()[156]);
    let link = matches!(kind, Kind::Hardlink | Kind::Symlink).then(|| header.link_name_bytes().unwrap_or_default().into_owned());
    let unsigned = |field: &[u8]| number(field).and_then(|value| u64::try_from(value).ok());
    // Of ustar and GNU headers alone: the oldest format ends before them.
    let part = |field: &[u8]| number(field).and_then(|value| u32::try_from(value).ok()).unwrap_or_default();
    let device = (kind == Kind::Char || kind == Kind::Block).then(|| {
        let newer = header.as_ustar().map(|header| (&header.dev_major, &header.dev_minor));
        newer.or_else(|| header.as_gnu().map(|header| (&header.dev_major, &header.dev_minor)))
    });
    Ok(Entry {
        path,
        link,
        kind,
        size,
        content_size: size,
        data_offset: offset.saturating_add(BLOCK),
        mode: unsigned(&old.mode).and_then(|mode| u32::try_from(mode).ok()),
        uid: unsigned(&old.uid),
        gid: unsigned(&old.gid),
        mtime: number(&old.mtime),
        device: device.map(|fields| fields.map_or((0, 0), |(major, minor)| (part(major), part(minor)))),
        capability: None,
        xattrs: 0,
    })
}

/// Whether entries of this kind have no data, whatever their size field says (as the engines' own reader has it).
pub(super) const fn is_bare(kind: Kind) -> bool {
    matches!(kind, Kind::Directory | Kind::Symlink | Kind::Hardlink | Kind::Char | Kind::Block | Kind::Fifo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b" 644 \0\0\0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777\0"), Some(8_589_934_591));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(8_589_934_592));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(number(b"12 34\0\0\0"), None);
        assert_eq!(number(b"0000008\0"), None);
        assert_eq!(number(b"-1\0\0\0\0\0\0"), None);
    }
}
