//! Decompression, chosen by the first bytes and not by what a media type claims: gzip with all its members, zstd with all its frames,
//! or nothing. Output is bounded, in bytes and against the input, so that a small bomb stays small.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    Gzip,
    Zstd,
    None,
}

impl Compression {
    /// By the first bytes; four are enough.
    #[must_use]
    pub fn sniff(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable zstd frame may come first.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Self::Zstd,
            _ => Self::None,
        }
    }

    /// `gzip`, `zstd` or `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }
}

/// How much may come out.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes in all.
    pub total: u64,
    /// Bytes for each byte of input, once more than `free` came out.
    pub ratio: u64,
    pub free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 64 << 30, ratio: 1000, free: 256 << 20 }
    }
}

impl Limits {
    /// Whether so much may come out of so many stored bytes.
    #[must_use]
    pub const fn allow(&self, out: u64, stored: u64) -> bool {
        out <= self.total && (out <= self.free || out <= stored.saturating_mul(self.ratio))
    }
}

/// The largest window a zstd frame may ask for: 128 MiB.
const ZSTD_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 128 * 1024;

/// A reader of the decompressed bytes.
pub struct Decompress<R: Read> {
    inner: Inner<R>,
    compression: Compression,
    limits: Limits,
    out: u64,
}

type Source<R> = BufReader<Counted<io::Chain<Cursor<Vec<u8>>, R>>>;

enum Inner<R: Read> {
    Plain(Source<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Source<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Source<R>>),
}

struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read = self.read.saturating_add(read as u64);
        Ok(read)
    }
}

impl<R: Read> Decompress<R> {
    /// Looks at the first bytes of `source` and decompresses accordingly, within the default [`Limits`].
    ///
    /// # Errors
    /// Where reading the first bytes fails.
    pub fn new(source: R) -> io::Result<Self> {
        Self::with_limits(source, Limits::default())
    }

    /// # Errors
    /// Where reading the first bytes fails.
    pub fn with_limits(mut source: R, limits: Limits) -> io::Result<Self> {
        let mut start = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut start)?;
        let compression = Compression::sniff(&start);
        let source = BufReader::with_capacity(BUFFER, Counted { inner: Cursor::new(start).chain(source), read: 0 });
        let inner = match compression {
            Compression::None => Inner::Plain(source),
            Compression::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(source))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Inner::Zstd(decoder)
            }
        };
        Ok(Self { inner, compression, limits, out: 0 })
    }

    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes that came out so far.
    #[must_use]
    pub const fn produced(&self) -> u64 {
        self.out
    }

    /// Bytes taken from the source so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.counted().read
    }

    fn counted(&self) -> &Counted<io::Chain<Cursor<Vec<u8>>, R>> {
        match &self.inner {
            Inner::Plain(source) => source.get_ref(),
            Inner::Gzip(decoder) => decoder.get_ref().get_ref(),
            Inner::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// The source; what it buffered is lost, so this is for after the end.
    pub fn into_inner(self) -> R {
        match self.inner {
            Inner::Plain(source) => source.into_inner().inner.into_inner().1,
            Inner::Gzip(decoder) => decoder.into_inner().into_inner().inner.into_inner().1,
            Inner::Zstd(decoder) => decoder.finish().into_inner().inner.into_inner().1,
        }
    }

    fn check(&self) -> io::Result<()> {
        let over = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if self.out > self.limits.total {
            return over(format!("it unpacks to more than {} bytes", self.limits.total));
        }
        let consumed = self.consumed();
        if self.out > self.limits.free && self.out > consumed.saturating_mul(self.limits.ratio) {
            return over(format!("{consumed} bytes unpack to more than {} times as many: it looks like a bomb", self.limits.ratio));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decompress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.inner {
            Inner::Plain(source) => source.read(buffer)?,
            Inner::Gzip(decoder) => decoder.read(buffer).map_err(|error| named("gzip", error))?,
            Inner::Zstd(decoder) => decoder.read(buffer).map_err(|error| named("zstd", error))?,
        };
        self.out = self.out.saturating_add(read as u64);
        self.check()?;
        Ok(read)
    }
}

/// Decoders report unsound data under several kinds; the source's own errors pass as they are.
fn named(format: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if error.raw_os_error().is_none() => {
            io::Error::new(io::ErrorKind::InvalidData, format!("its {format} data ends too early"))
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other
            if error.raw_os_error().is_none() && !is_ours(&error) =>
        {
            io::Error::new(io::ErrorKind::InvalidData, format!("its {format} data is not sound: {error}"))
        }
        _ => error,
    }
}

fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<super::verify::Mismatch>() || inner.is::<super::TarError>())
}

impl<R: Read> fmt::Debug for Decompress<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompress").field("compression", &self.compression).field("out", &self.out).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decompress::new(bytes)?.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn all_members_and_frames_are_read() {
        let both = [gzip(b"first"), gzip(b"SECOND")].concat();
        assert_eq!(read(&both).unwrap(), b"firstSECOND");
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(b"first"), &zstd(b"SECOND")].concat();
        assert_eq!(read(&skippable).unwrap(), b"firstSECOND");
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn what_follows_the_data_or_is_missing_from_it_is_an_error() {
        for packed in [gzip(b"some text to pack"), zstd(b"some text to pack")] {
            for cut in 4..packed.len() {
                assert_eq!(read(&packed[..cut]).unwrap_err().kind(), io::ErrorKind::InvalidData, "cut at {cut}");
            }
            for tail in [&b"garbage that is longer than a header"[..], b"{}"] {
                assert_eq!(read(&[&packed[..], tail].concat()).unwrap_err().kind(), io::ErrorKind::InvalidData);
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let limits = Limits { total: 8 << 20, ratio: 100, free: 1 << 20 };
        for packed in [gzip(&vec![0; 4 << 20]), zstd(&vec![0; 4 << 20])] {
            let mut decompress = Decompress::with_limits(&packed[..], limits).unwrap();
            let error = io::copy(&mut decompress, &mut io::sink()).unwrap_err();
            assert!(error.to_string().contains("bomb"), "{error}");
            assert!(decompress.produced() < 4 << 20);
        }
        let limits = Limits { total: 1 << 20, ratio: 10_000, free: 0 };
        let packed = gzip(&vec![0; 4 << 20]);
        let mut decompress = Decompress::with_limits(&packed[..], limits).unwrap();
        assert!(io::copy(&mut decompress, &mut io::sink()).unwrap_err().to_string().contains("more than 1048576 bytes"));
    }

    #[test]
    fn a_zstd_window_over_128_mib_is_refused() {
        // Magic, a frame header with a window descriptor of 2^28 bytes, and one empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 1, 0, 0];
        assert!(read(&frame).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(head in 0..3_usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let start: &[u8] = [&[0x1f, 0x8b, 8][..], &[0x28, 0xb5, 0x2f, 0xfd], &[]][head];
            let _ = read(&[start, &bytes].concat());
        }
    }
}
