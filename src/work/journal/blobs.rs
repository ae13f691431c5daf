//! Saved manifests by their digest: written whole and flushed before the plan that relies on them, hashed whenever they are read.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::{Journal, Locked, sync_dir, writer};
use crate::model::{Digest, Problem, ProblemKind};

/// Bytes of a manifest.
const LARGEST: u64 = 4 << 20;

impl Journal {
    /// A digest is made of its algorithm and hex digits only, so this stays inside.
    fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// The bytes that were saved, verified.
    ///
    /// # Errors
    /// `NotFound` when they are not there (any more), `Corrupt` when they are not what they were.
    pub fn saved(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let doing = format!("read the saved manifest {}", digest.short());
        let path = self.blob(digest);
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
        let disk = |error: &std::io::Error| Problem::disk(&doing, &path, error);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(|error| disk(&error))?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| disk(&error))?;
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        if hasher.finish() != *digest {
            return Err(Problem::new(ProblemKind::Corrupt, doing, "it is not what was saved"));
        }
        Ok(bytes)
    }
}

impl Locked {
    /// Keeps a manifest whose bytes were verified. On the disk at the latest when the plan is.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Problem> {
        let path = self.journal().blob(digest);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) && self.journal().saved(digest).is_ok() {
            return Ok(());
        }
        let dir = path.parent().unwrap_or(&self.journal().dir).to_owned();
        let write = || {
            fs::create_dir_all(&dir)?;
            let mut temp = tempfile::Builder::new().prefix(".lighterman-").tempfile_in(&dir)?;
            temp.write_all(bytes)?;
            temp.as_file().sync_data()?;
            temp.persist(&path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| writer::unwritable(&Problem::disk("save a manifest", &path, &error)))
    }

    /// Flushes the names of what was saved.
    pub(super) fn sync_blobs(&self) -> Result<(), Problem> {
        for algorithm in ["sha256", "sha512"] {
            let dir = self.journal().dir.join("blobs").join(algorithm);
            match sync_dir(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(writer::unwritable(&Problem::disk("save manifests", &dir, &error)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
