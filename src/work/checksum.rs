//! The CRC-32 (of gzip and zlib) by which our own files are known to be whole, and files of one value that end with it. Against accidents, not against
//! anybody.

use std::fs;
use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Of `bytes`.
#[must_use]
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// Bytes of the checksum at the end of a file of ours.
const LENGTH: usize = 4;

/// What a file holds that [`write()`] wrote.
///
/// # Errors
/// The file system; `InvalidData` for what is no such file, is beyond `largest` bytes, or is damaged.
pub(super) fn read<T: DeserializeOwned>(file: &Path, largest: u64) -> io::Result<T> {
    let invalid = |cause: &str| Error::new(ErrorKind::InvalidData, cause);
    if !fs::metadata(file)?.is_file() {
        return Err(invalid("not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(invalid("too large"));
    }
    let broken = || invalid("it is cut short or damaged");
    let (kept, sum) = bytes.split_last_chunk::<LENGTH>().ok_or_else(broken)?;
    if crc32(kept).to_le_bytes() != *sum {
        return Err(broken());
    }
    postcard::from_bytes(kept).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Replaces a file as a whole: postcard's wire format, and the CRC-32 of that. `prefix` begins the name it has until then; `flushed` says
/// whether it is on the disk before it gets its own.
///
/// # Errors
/// The file system.
pub(super) fn write<T: Serialize>(file: &Path, value: &T, prefix: &str, flushed: bool) -> io::Result<()> {
    let dir = file.parent().unwrap_or_else(|| Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    let mut bytes = postcard::to_stdvec(value).map_err(Error::other)?;
    bytes.extend(crc32(&bytes).to_le_bytes());
    let mut temp = tempfile::Builder::new().prefix(prefix).tempfile_in(dir)?;
    temp.write_all(&bytes)?;
    if flushed {
        temp.as_file().sync_data()?;
    }
    temp.persist(file)?;
    Ok(())
}
