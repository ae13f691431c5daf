//! Walks a tar entry by entry, over a stream (data not read is read past) or over a file (data not read is sought past, so that the
//! headers of an archive of gigabytes are read at once).
//!
//! Ustar, GNU and PAX; extended headers are applied, an entry count and every size are bounded, checksums are verified, and a tar
//! is whole only with its end marker and nothing but zeros after it.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::error::TarError;
use super::header::{BLOCK, BLOCK_LEN, Entry, Kind, entry, head, is_bare, number};
use super::pax::{Extra, check_global, long_name};
use crate::model::Safe;

/// Most entries of one tar, extended headers included.
const MOST_ENTRIES: u64 = 5_000_000;
/// Largest extended header.
const LARGEST_EXTENDED: u64 = 1024 * 1024;

/// A reader that can leave bytes out.
pub trait Advance: Read {
    /// Passes over `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer.
    fn advance(&mut self, count: u64) -> io::Result<()>;
}

/// Passes over bytes by reading them.
#[derive(Debug)]
pub struct Streaming<R>(pub R);

impl<R: Read> Read for Streaming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Advance for Streaming<R> {
    fn advance(&mut self, count: u64) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let mut buffer = vec![0; usize::try_from(count).unwrap_or(usize::MAX).min(128 * 1024)];
        let mut left = count;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match self.0.read(buffer.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Reads ahead, so that small entries cost no call each, and lets data be looked at where it lies (through `BufRead`).
#[derive(Debug)]
pub struct Buffered<R>(BufReader<R>);

impl<R> Buffered<R> {
    /// The source; what was read ahead of it is lost.
    pub(super) fn into_inner(self) -> R {
        self.0.into_inner()
    }

    pub(super) const fn inner(&self) -> &BufReader<R> {
        &self.0
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> BufRead for Buffered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl<R: Read> Advance for Buffered<R> {
    fn advance(&mut self, count: u64) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            match self.0.fill_buf() {
                Ok([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    let some = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.0.consume(some);
                    left -= some as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Passes over bytes by seeking.
#[derive(Debug)]
pub struct Seeking<R> {
    inner: R,
    at: u64,
    end: u64,
}

impl<R: Read + Seek> Seeking<R> {
    /// Starts at the beginning of `inner`.
    ///
    /// # Errors
    /// Where seeking fails.
    pub fn new(mut inner: R) -> io::Result<Self> {
        let end = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, at: 0, end })
    }
}

impl<R: Read> Read for Seeking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl<R: Read + Seek> Advance for Seeking<R> {
    fn advance(&mut self, count: u64) -> io::Result<()> {
        let to = self.at.checked_add(count).filter(|&to| to <= self.end).ok_or(io::ErrorKind::UnexpectedEof)?;
        if count > 0 {
            self.at = self.inner.seek(SeekFrom::Start(to))?;
        }
        Ok(())
    }
}

/// The walk. After [`Walker::next_entry`] gave an entry, its data is read through `Read`; what is left of it is passed over by the
/// next call.
#[derive(Debug)]
pub struct Walker<R> {
    source: R,
    offset: u64,
    seen: u64,
    /// Of the current entry: bytes of data left, and of padding after them.
    left: u64,
    padding: u64,
    name: Vec<u8>,
    ended: bool,
}

/// What a walker reads ahead: small enough to stay in the processor's cache between one look at the bytes and the next.
const AHEAD: usize = 128 * 1024;

impl<R: Read> Walker<Streaming<R>> {
    /// Walks a stream.
    pub fn streaming(source: R) -> Self {
        Self::new(Streaming(source))
    }
}

impl<R: Read> Walker<Buffered<R>> {
    /// Walks a stream that nobody else reads from afterwards.
    pub fn buffered(source: R) -> Self {
        Self::new(Buffered(BufReader::with_capacity(AHEAD, source)))
    }
}

impl<R: Read + Seek> Walker<Seeking<R>> {
    /// Walks a file from its beginning.
    ///
    /// # Errors
    /// Where seeking fails.
    pub fn seeking(source: R) -> io::Result<Self> {
        Ok(Self::new(Seeking::new(source)?))
    }
}

impl<R: Advance> Walker<R> {
    pub fn new(source: R) -> Self {
        Self { source, offset: 0, seen: 0, left: 0, padding: 0, name: Vec::new(), ended: false }
    }

    /// The next entry; `None` once the end marker was read.
    ///
    /// # Errors
    /// [`TarError`]; the walk can't go on after one.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.pass()?;
        let mut extra = Extra::default();
        loop {
            let at = self.offset;
            let Some(header) = self.header()? else {
                return if extra.is_empty() { Ok(None) } else { Err(TarError::Extended { offset: at, why: "has no entry after it" }) };
            };
            let plain = entry(&header, at)?;
            match header.as_bytes()[156] {
                b'x' => {
                    let bytes = self.extended(&plain, at)?;
                    extra.take_pax(&bytes, at)?;
                }
                b'g' => {
                    let bytes = self.extended(&plain, at)?;
                    check_global(&bytes, at)?;
                }
                flag @ (b'L' | b'K') => {
                    let name = long_name(&self.extended(&plain, at)?, at)?;
                    let slot = if flag == b'L' { &mut extra.long_path } else { &mut extra.long_link };
                    if slot.replace(name).is_some() {
                        return Err(TarError::Extended { offset: at, why: "follows another one for the same entry" });
                    }
                }
                _ => return self.settle(plain, extra, &header, at).map(Some),
            }
        }
    }

    fn settle(&mut self, mut entry: Entry, extra: Extra, header: &tar::Header, at: u64) -> Result<Entry, TarError> {
        entry.xattrs = extra.other_xattrs();
        entry.capability = extra.capability;
        if let Some(path) = Extra::settle(extra.path, extra.long_path, at, "name")? {
            entry.path = path;
        }
        if let (Some(link), Some(slot)) = (Extra::settle(extra.link, extra.long_link, at, "link target")?, entry.link.as_mut()) {
            *slot = link;
        }
        entry.size = extra.size.unwrap_or(entry.size);
        entry.uid = extra.uid.or(entry.uid);
        entry.gid = extra.gid.or(entry.gid);
        entry.mtime = extra.mtime.or(entry.mtime);
        entry.content_size = entry.size;
        // The oldest format has no type for directories.
        if header.as_bytes()[156] == 0 && entry.path.ends_with(b"/") {
            entry.kind = Kind::Directory;
        }
        if entry.kind == Kind::Sparse {
            self.sparse_blocks(header)?;
            if let Some(header) = header.as_gnu() {
                let whole = number(&header.realsize).and_then(|size| u64::try_from(size).ok());
                entry.content_size = whole.ok_or(TarError::Number { offset: at, field: "size" })?;
            }
        } else if extra.sparse && entry.kind == Kind::File {
            entry.kind = Kind::Sparse;
            entry.content_size = extra.content_size.unwrap_or(entry.size);
        } else if is_bare(entry.kind) {
            (entry.size, entry.content_size) = (0, 0);
        }
        self.name.clear();
        self.name.extend_from_slice(&entry.path);
        entry.data_offset = self.offset;
        self.left = entry.size;
        self.padding = padding(entry.size);
        let end = entry.size.checked_add(self.padding).and_then(|length| self.offset.checked_add(length));
        if end.is_none_or(|end| end > i64::MAX as u64) || entry.content_size > i64::MAX as u64 {
            return Err(TarError::Number { offset: at, field: "size" });
        }
        Ok(entry)
    }

    /// Reads one header block; `None` after the end marker, which is two blocks of zeros.
    fn header(&mut self) -> Result<Option<tar::Header>, TarError> {
        let at = self.offset;
        let mut block = [0; BLOCK_LEN];
        if !self.block(&mut block)? {
            return Err(TarError::NoEnd { offset: at });
        }
        self.seen += 1;
        if self.seen > MOST_ENTRIES {
            return Err(TarError::TooMany { most: MOST_ENTRIES });
        }
        if let Some(header) = head(&block, at)? {
            return Ok(Some(header));
        }
        if !self.block(&mut block)? {
            return Err(TarError::NoEnd { offset: self.offset });
        }
        if block.iter().any(|&byte| byte != 0) {
            return Err(TarError::Trailing { offset: at + BLOCK });
        }
        self.ended = true;
        Ok(None)
    }

    /// Fills a block; false when the source ends right before it.
    fn block(&mut self, block: &mut [u8; BLOCK_LEN]) -> Result<bool, TarError> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::CutHeader { offset: self.offset }),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Io { offset: self.offset, source }),
            }
        }
        self.offset += BLOCK;
        Ok(true)
    }

    /// Reads the data of an extended header.
    fn extended(&mut self, entry: &Entry, at: u64) -> Result<Vec<u8>, TarError> {
        if entry.size > LARGEST_EXTENDED {
            return Err(TarError::TooLarge { offset: at, what: "extended header", size: entry.size, most: LARGEST_EXTENDED });
        }
        self.name.clear();
        self.name.extend_from_slice(b"an extended header");
        self.left = entry.size;
        self.padding = padding(entry.size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(|source| self.cut(source))?;
        self.pass()?;
        Ok(bytes)
    }

    /// Passes over the further maps of an old GNU sparse file, which stand between header and data.
    fn sparse_blocks(&mut self, header: &tar::Header) -> Result<(), TarError> {
        let mut more = header.as_bytes()[482] != 0;
        let start = self.offset;
        while more {
            if self.offset - start > LARGEST_EXTENDED {
                return Err(TarError::TooLarge {
                    offset: start,
                    what: "sparse map",
                    size: self.offset - start + BLOCK,
                    most: LARGEST_EXTENDED,
                });
            }
            let mut block = [0; BLOCK_LEN];
            if !self.block(&mut block)? {
                return Err(TarError::NoEnd { offset: self.offset });
            }
            more = block[504] != 0;
        }
        Ok(())
    }

    /// Passes over what is left of the current entry.
    fn pass(&mut self) -> Result<(), TarError> {
        let rest = self.left.saturating_add(self.padding);
        self.source.advance(rest).map_err(|source| self.cut(source))?;
        self.offset = self.offset.saturating_add(rest);
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    pub(super) fn into_source(self) -> R {
        self.source
    }

    pub(super) const fn source(&self) -> &R {
        &self.source
    }

    pub(super) fn cut(&self, source: io::Error) -> TarError {
        if source.kind() == io::ErrorKind::UnexpectedEof && source.raw_os_error().is_none() && source.get_ref().is_none() {
            TarError::CutEntry { entry: Safe::new(&String::from_utf8_lossy(&self.name)), missing: self.left }
        } else {
            TarError::Io { offset: self.offset, source }
        }
    }

    /// Reads whatever follows the end marker: only zeros may. Call it after the last entry to know that the tar is whole and alone.
    ///
    /// # Errors
    /// [`TarError::Trailing`] with the first offset of something else.
    pub fn finish(mut self) -> Result<(), TarError> {
        self.end()
    }

    /// As [`Walker::finish`], and the source can still be taken back.
    pub(super) fn end(&mut self) -> Result<(), TarError> {
        while self.next_entry()?.is_some() {}
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    if let Some(found) = buffer.get(..read).and_then(|bytes| bytes.iter().position(|&byte| byte != 0)) {
                        return Err(TarError::Trailing { offset: self.offset + found as u64 });
                    }
                    self.offset = self.offset.saturating_add(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Io { offset: self.offset, source }),
            }
        }
    }
}

/// Reads the current entry's data; it ends with `UnexpectedEof` when the tar does before it.
impl<R: Read> Read for Walker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.source.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.offset += read as u64;
        Ok(read)
    }
}

/// The same without a copy: what lies in the source's buffer of the current entry's data.
impl<R: BufRead> BufRead for Walker<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let bytes = self.source.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.get(..most).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let count = self.left.min(count as u64);
        self.source.consume(usize::try_from(count).unwrap_or_default());
        self.left -= count;
        self.offset += count;
    }
}

const fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

#[cfg(test)]
mod tests;
