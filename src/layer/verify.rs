//! Readers that check what passes through them: against a known size and digest, or for a layer's two digests at once.

use std::io::{self, Read};

use super::decompress::{Compression, Decompress};
use crate::model::{Digest, Hasher};

/// Bytes that are not what they were said to be. The source of an `io::Error` of kind `InvalidData`.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    #[error("{expected} should have {size} bytes, but ends after {read}")]
    Short { expected: Digest, size: u64, read: u64 },
    #[error("{expected} should have {size} bytes, but has more")]
    Long { expected: Digest, size: u64 },
    #[error("{expected} was expected, but the bytes are {actual}")]
    Digest { expected: Digest, actual: Digest },
}

impl From<Mismatch> for io::Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(io::ErrorKind::InvalidData, mismatch)
    }
}

/// Passes a blob on while hashing it. The read that would give the last bytes fails instead when they make the digest wrong, so a
/// reader that got `size` bytes has got the right ones; the read after that fails if there are more.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
    size: u64,
    read: u64,
}

impl<R: Read> Verified<R> {
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self { inner, hasher: Some(expected.hasher()), expected, size, read: 0 }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.read == self.size && self.hasher.is_none() {
            return match self.inner.read(&mut [0]) {
                Ok(0) => Ok(0),
                Ok(_) => Err(Mismatch::Long { expected: self.expected.clone(), size: self.size }.into()),
                Err(error) => Err(error),
            };
        }
        let most = usize::try_from(self.size - self.read).unwrap_or(usize::MAX).min(buffer.len());
        let read = if most == 0 { 0 } else { self.inner.read(buffer.get_mut(..most).unwrap_or_default())? };
        if read == 0 && most > 0 {
            return Err(Mismatch::Short { expected: self.expected.clone(), size: self.size, read: self.read }.into());
        }
        self.read += read as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        if self.read == self.size
            && let Some(hasher) = self.hasher.take()
        {
            let actual = hasher.finish();
            if actual != self.expected {
                // Once wrong, always wrong: a caller that goes on reading must not get the bytes after all.
                self.read = u64::MAX;
                self.size = u64::MAX;
                return Err(Mismatch::Digest { expected: self.expected.clone(), actual }.into());
            }
            // An empty blob has no last bytes to go with the verdict.
            if read == 0 {
                return self.read(buffer);
            }
        }
        Ok(read)
    }
}

/// Passes bytes on while hashing and counting them.
#[derive(Debug)]
pub struct Hashing<R> {
    inner: R,
    hasher: Option<Hasher>,
    count: u64,
}

impl<R: Read> Hashing<R> {
    pub fn new(inner: R, hasher: Hasher) -> Self {
        Self { inner, hasher: Some(hasher), count: 0 }
    }

    /// Digest and number of the bytes read so far.
    #[must_use]
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.unwrap_or_else(Hasher::sha256).finish(), self.count)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        self.count = self.count.saturating_add(read as u64);
        Ok(read)
    }
}

/// What reading a layer to its end found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    pub compression: Compression,
    /// Of the stored bytes.
    pub digest: Digest,
    pub size: u64,
    /// Of the uncompressed tar.
    pub diff_id: Digest,
    pub uncompressed_size: u64,
}

/// Reads the uncompressed bytes of a layer, and hashes them and the stored ones on the way. An uncompressed layer is hashed once.
#[derive(Debug)]
pub struct LayerReader<R: Read> {
    inner: Decompress<Hashing<R>>,
    /// `None` where the stored bytes are the tar, hashed already.
    hasher: Option<Hasher>,
}

impl<R: Read> LayerReader<R> {
    /// `stored` and `unpacked` are of the algorithms that the known digests have.
    ///
    /// # Errors
    /// Where reading the first bytes fails.
    pub fn new(source: R, stored: &Digest, unpacked: &Digest) -> io::Result<Self> {
        let inner = Decompress::new(Hashing::new(source, stored.hasher()))?;
        let hashed = inner.compression() == Compression::None && stored.algorithm() == unpacked.algorithm();
        Ok(Self { inner, hasher: (!hashed).then(|| unpacked.hasher()) })
    }

    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.inner.compression()
    }

    /// Bytes of the stored form taken so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.inner.consumed()
    }

    /// Reads what is left and gives the digests.
    ///
    /// # Errors
    /// Those of reading.
    pub fn finish(mut self) -> io::Result<Digests> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let (compression, uncompressed_size) = (self.inner.compression(), self.inner.produced());
        let (digest, size) = self.inner.into_inner().finish();
        let diff_id = self.hasher.map_or_else(|| digest.clone(), Hasher::finish);
        Ok(Digests { compression, digest, size, diff_id, uncompressed_size })
    }
}

impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verified(bytes: &[u8], of: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Verified::new(bytes, Digest::sha256(of), size).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn right_bytes_pass() {
        assert_eq!(verified(b"abc", b"abc", 3).unwrap(), b"abc");
        assert_eq!(verified(b"", b"", 0).unwrap(), b"");
        let digest: Digest = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f".parse().unwrap();
        assert!(Verified::new(&b"abc"[..], digest, 3).read_to_end(&mut Vec::new()).is_ok());
    }

    #[test]
    fn wrong_bytes_fail_and_say_how() {
        for (bytes, of, size, word) in [
            (&b"abd"[..], &b"abc"[..], 3, "was expected"),
            (b"ab", b"abc", 3, "ends after 2"),
            (b"abcd", b"abc", 3, "has more"),
            (b"x", b"", 0, "has more"),
            (b"", b"x", 0, "was expected"),
            (b"", b"abc", 3, "ends after 0"),
        ] {
            let error = verified(bytes, of, size).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn the_last_bytes_are_held_back_when_they_are_wrong() {
        let mut reader = Verified::new(&b"abd"[..], Digest::sha256(b"abc"), 3);
        assert!(reader.read_exact(&mut [0; 3]).is_err());
    }

    proptest! {
        #[test]
        fn a_layer_has_both_digests(text in proptest::collection::vec(any::<u8>(), 1..2000)) {
            // Random bytes that begin like a compressed file are another test.
            prop_assume!(Compression::sniff(&text) == Compression::None);
            let packed = zstd::encode_all(&text[..], 1).unwrap();
            for (stored, compression) in [(&packed, Compression::Zstd), (&text, Compression::None)] {
                let any = Digest::sha256(b"");
                let found = LayerReader::new(&stored[..], &any, &any).unwrap().finish().unwrap();
                prop_assert_eq!(found, Digests {
                    compression,
                    digest: Digest::sha256(stored),
                    size: stored.len() as u64,
                    diff_id: Digest::sha256(&text),
                    uncompressed_size: text.len() as u64,
                });
            }
        }
    }
}
