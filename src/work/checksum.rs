//! The CRC-32 (of gzip and zlib) by which our own files are known to be whole. Against accidents, not against anybody.

/// Of `bytes`.
#[must_use]
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}
