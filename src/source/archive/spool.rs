//! The archive as a plain tar in a file: the file itself, or for a packed one an unnamed temporary file with its unpacked bytes.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;

use crate::layer::{Compression, Decompress};
use crate::model::{Problem, ProblemKind};

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
    let full = |error: &std::io::Error| Problem::disk(format!("{doing}: unpack it"), &place, error);
    let mut out = tempfile::tempfile().map_err(|error| full(&error))?;
    let bad = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidData => Problem::new(ProblemKind::Corrupt, doing, error.to_string()),
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
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(bad(&error)),
        };
        out.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| full(&error))?;
    }
    out.rewind().map_err(|error| full(&error))?;
    Ok(out)
}
