//! Writes the tar of an archive: plain files only, owner, mode and time always the same, so that the same images make the same bytes.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::layer::BLOCK;

/// A file's header.
pub(super) fn header(path: &str, size: u64) -> io::Result<[u8; 512]> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(*header.as_bytes())
}

const fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

const ZEROS: [u8; 1024] = [0; 1024];

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let count = usize::try_from(padding(size)).unwrap_or_default();
    out.write_all(ZEROS.get(..count).unwrap_or_default())
}

/// Writes a small file.
pub(super) fn file(out: &mut dyn Write, path: &str, bytes: &[u8]) -> io::Result<()> {
    begin(out, path, bytes.len() as u64)?;
    out.write_all(bytes)?;
    pad(out, bytes.len() as u64)
}

/// Starts a file of a known size; its bytes and [`end_file`] must follow.
pub(super) fn begin(out: &mut dyn Write, path: &str, size: u64) -> io::Result<()> {
    out.write_all(&header(path, size)?)
}

pub(super) fn end_file(out: &mut dyn Write, size: u64) -> io::Result<()> {
    pad(out, size)
}

/// The end marker.
pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&ZEROS)
}

/// A file whose size and name are known only once its bytes were written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// Where its header is.
    pub(super) at: u64,
}

/// Leaves room for a header.
pub(super) fn open<W: Write + Seek>(out: &mut W) -> io::Result<Open> {
    let at = out.stream_position()?;
    out.write_all(ZEROS.get(..512).unwrap_or_default())?;
    Ok(Open { at })
}

/// Puts the header into its room and goes back to the end.
pub(super) fn close<W: Write + Seek>(out: &mut W, open: Open, path: &str, size: u64) -> io::Result<()> {
    pad(out, size)?;
    let end = out.stream_position()?;
    out.seek(SeekFrom::Start(open.at))?;
    out.write_all(&header(path, size)?)?;
    out.seek(SeekFrom::Start(end)).map(drop)
}

/// Why a copy ended: which side failed decides what is said.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
    Stopped,
}

/// Copies to the end in large pieces, telling `each` how many bytes went; it stops the copy by answering false.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write, each: &mut dyn FnMut(u64) -> bool) -> Result<u64, CopyError> {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0_u64;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        to.write_all(buffer.get(..read).unwrap_or_default()).map_err(CopyError::Write)?;
        total = total.saturating_add(read as u64);
        if !each(read as u64) {
            return Err(CopyError::Stopped);
        }
    }
}
