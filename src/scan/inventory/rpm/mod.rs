//! Packages of RPM, in whichever of its databases they are: each holds one header a package, and the headers are all alike.
//!
//! May use model. Facts: rpm's documentation of its header format and tags; the databases' own files say theirs.

mod hash;
mod ndb;
mod sqlite;

use super::Candidate;
use super::listed::{Listed, Unreadable};
use crate::model::PackageKind;

/// Where systems have it: the first of old, the second where `/usr` is all that is installed, the third of images made by ostree.
const DIRS: [&[u8]; 3] = [b"var/lib/rpm", b"usr/lib/sysimage/rpm", b"usr/share/rpm"];
const NAMES: [&[u8]; 3] = [b"rpmdb.sqlite", b"Packages.db", b"Packages"];

pub(super) fn wants(file: &Candidate<'_>) -> bool {
    NAMES.contains(&file.name()) && DIRS.iter().any(|dir| file.is_in(dir))
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let mut broken = false;
    let mut each = |blob: &[u8]| broken |= package(blob, into).is_none();
    match bytes {
        [] => return Ok(()),
        _ if sqlite::is(bytes) => sqlite::each(bytes, &mut each)?,
        _ if ndb::is(bytes) => ndb::each(bytes, &mut each)?,
        _ if hash::is(bytes) => hash::each(bytes, &mut each)?,
        _ => return Err(Unreadable("it is none of RPM's databases")),
    }
    if broken { Err(Unreadable("some of its headers are broken")) } else { Ok(()) }
}

/// Longest text of a header that is of use.
const LONGEST: usize = 4096;

/// Takes what is kept of one package.
type Each<'a> = &'a mut dyn FnMut(&[u8]);

/// What of a header is of use.
#[derive(Default)]
struct Header<'a> {
    name: &'a str,
    version: &'a str,
    release: &'a str,
    epoch: Option<u32>,
    architecture: &'a str,
    source: &'a str,
}

/// Takes in the package of a header; `None` for a broken one.
fn package(blob: &[u8], into: &mut Listed) -> Option<()> {
    let header = Header::read(blob)?;
    let plain = format!("{}-{}", header.version, header.release);
    // NAME-VERSION-RELEASE.src.rpm
    let source = header.source.strip_suffix(".src.rpm").and_then(|source| {
        let (rest, release) = source.rsplit_once('-')?;
        let (name, version) = rest.rsplit_once('-')?;
        Some((name, format!("{version}-{release}")))
    });
    // A source's name says nothing of epochs.
    let source = source.as_ref().map(|(name, version)| (*name, version.as_str())).filter(|source| *source != (header.name, &plain));
    let version = match header.epoch {
        Some(epoch) if epoch > 0 => format!("{epoch}:{plain}"),
        _ => plain.clone(),
    };
    into.put(PackageKind::Rpm, header.name, &version, header.architecture, source);
    Some(())
}

impl<'a> Header<'a> {
    /// Two counts, an index of 16 bytes an entry, and the data that it leads to; numbers with their high bytes first.
    fn read(blob: &'a [u8]) -> Option<Self> {
        let (entries, length) = (be_u32(blob, 0)? as usize, be_u32(blob, 4)? as usize);
        let index = blob.get(8..)?.get(..entries.checked_mul(16)?)?;
        let data = blob.get(8 + index.len()..)?.get(..length)?;
        let mut header = Self::default();
        for entry in index.chunks_exact(16) {
            let at = be_u32(entry, 8)? as usize;
            // A lone text, or the first of its translations.
            let text = || {
                let rest = matches!(be_u32(entry, 4)?, 6 | 9).then(|| data.get(at..))??;
                let rest = rest.get(..rest.len().min(LONGEST))?;
                std::str::from_utf8(rest.get(..rest.iter().position(|&byte| byte == 0)?)?).ok()
            };
            // A tag counts once, so that a header of nothing but names is read as fast as any.
            match be_u32(entry, 0)? {
                1000 if header.name.is_empty() => header.name = text()?,
                1001 if header.version.is_empty() => header.version = text()?,
                1002 if header.release.is_empty() => header.release = text()?,
                1003 => header.epoch = be_u32(data, at),
                1022 if header.architecture.is_empty() => header.architecture = text()?,
                1044 if header.source.is_empty() => header.source = text()?,
                _ => {}
            }
        }
        let is_whole = ![header.name, header.version, header.release].contains(&"");
        is_whole.then_some(header)
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    take(bytes, at).map(u16::from_be_bytes)
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_be_bytes)
}

fn le_u16(bytes: &[u8], at: usize) -> Option<u16> {
    take(bytes, at).map(u16::from_le_bytes)
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
