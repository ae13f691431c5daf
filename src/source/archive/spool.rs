//! The archive as a plain tar in a file: the file itself, or for a packed one an unnamed temporary file with its unpacked bytes. How many
//! those are is known only at their end, so the room for them is looked at as they grow: the last of it is left to others.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;

use crate::layer::{Compression, Decompress};
use crate::model::{Problem, ProblemKind, size};

/// What is left free of the file system that takes the unpacked bytes: this much, or a twentieth of a small one.
const RESERVE: u64 = 256 << 20;

pub(super) fn plain_file(path: &Path, doing: &str, cancel: &CancellationToken) -> Result<File, Problem> {
    let disk = |error: std::io::Error| Problem::disk(doing, path, &error);
    // Not blocking, since a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| disk(error.into()))?);
    if !file.metadata().map_err(disk)?.is_file() {
        return Err(Problem::new(ProblemKind::Unsupported, doing, "it is not a regular file"));
    }
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(6).read_to_end(&mut start).map_err(disk)?;
    file.rewind().map_err(disk)?;
    let packed = |with: &str| {
        let problem = Problem::new(ProblemKind::Unsupported, doing, format!("it is packed with {with}"));
        problem.hint("unpack it first; gzip and zstd are read as they are")
    };
    match start.as_slice() {
        [] => Err(Problem::new(ProblemKind::Corrupt, doing, "it is empty")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(packed("xz")),
        [b'B', b'Z', b'h', ..] => Err(packed("bzip2")),
        start if Compression::sniff(start) == Compression::None => Ok(file),
        _ => unpack(file, path, doing, cancel),
    }
}

fn unpack(packed: File, path: &Path, doing: &str, cancel: &CancellationToken) -> Result<File, Problem> {
    let place = std::env::temp_dir();
    let full = |error: &std::io::Error| match error.kind() {
        ErrorKind::StorageFull => no_room(doing, &place, 0),
        _ => Problem::disk(format!("{doing}: unpack it"), &place, error),
    };
    let mut out = tempfile::tempfile().map_err(|error| full(&error))?;
    let bad = |error: &std::io::Error| match error.kind() {
        ErrorKind::InvalidData => Problem::new(ProblemKind::Corrupt, doing, error.to_string()),
        _ => Problem::disk(doing, path, error),
    };
    let mut unpacked = Decompress::new(packed).map_err(|error| bad(&error))?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        if cancel.is_cancelled() {
            return Err(Problem::cancelled(doing));
        }
        let read = match unpacked.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(bad(&error)),
        };
        if let Some(free) = short_of_room(&out, read as u64) {
            return Err(no_room(doing, &place, free));
        }
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| full(&error))?;
    }
    out.rewind().map_err(|error| full(&error))?;
    Ok(out)
}

/// The bytes that are free, when `more` would leave too few of them.
fn short_of_room(out: &File, more: u64) -> Option<u64> {
    // Where the system doesn't tell, the write will.
    let stat = rustix::fs::fstatvfs(out).ok().filter(|stat| stat.f_blocks > 0)?;
    let (free, total) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
    (!has_room(free, total, more)).then_some(free)
}

const fn has_room(free: u64, total: u64, more: u64) -> bool {
    let reserve = if total / 20 < RESERVE { total / 20 } else { RESERVE };
    free >= reserve.saturating_add(more)
}

fn no_room(doing: &str, place: &Path, free: u64) -> Problem {
    let cause = format!("there is no room to unpack it in {}: {} are free", place.display(), size::human(free));
    Problem::new(ProblemKind::Disk, doing, cause).hint("set TMPDIR to a directory with more room, free some there, or unpack it yourself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_disk_is_left_free() {
        const MIB: u64 = 1 << 20;
        let terabyte = 1 << 40;
        assert!(has_room(256 * MIB + 1, terabyte, 1) && !has_room(256 * MIB, terabyte, 1));
        assert!(has_room(5 * MIB + 1, 100 * MIB, 1) && !has_room(5 * MIB, 100 * MIB, 1), "a twentieth of a small one");
        let problem = no_room("read the archive a.tar.gz", Path::new("/var/tmp"), 3 * MIB);
        for word in ["a.tar.gz", "/var/tmp", "3.15 MB", "TMPDIR"] {
            assert!(problem.to_string().contains(word), "{word}: {problem}");
        }
    }
}
