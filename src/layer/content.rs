//! The fingerprint by which equal files are told, taken while they pass through. Facts: XXH3 with 128 bits, by the `twox-hash` crate.

use std::fmt;

use twox_hash::XxHash3_128;

/// A fingerprint of a file's bytes. It answers "is this the same file again?" among files that nobody made to confuse it, together with their
/// sizes. It is *not* cryptographic: who wants to can make two different files with one fingerprint, so it never stands for a digest, verifies
/// nothing and decides about no deletion. What vouches for the bytes is the layer's own digest, which is taken in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub(super) u128);

impl ContentHash {
    /// Of bytes that lie in one piece.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(bytes))
    }
}

/// The same, piece by piece.
pub struct ContentHasher(XxHash3_128);

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHasher")
    }
}

impl ContentHasher {
    #[must_use]
    pub fn new() -> Self {
        Self(XxHash3_128::new())
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[must_use]
    pub fn finish(&self) -> ContentHash {
        ContentHash(self.0.finish_128())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_the_function_that_the_name_says() {
        // As `xxhsum -H2` prints it.
        assert_eq!(ContentHash::of(b"").0, 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes in proptest::collection::vec(any::<u8>(), 0..3000), at in 0..3000_usize) {
            let at = at.min(bytes.len());
            let mut hasher = ContentHasher::new();
            hasher.update(&bytes[..at]);
            hasher.update(&bytes[at..]);
            prop_assert_eq!(hasher.finish(), ContentHash::of(&bytes));
        }
    }
}
