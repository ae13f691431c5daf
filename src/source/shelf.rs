//! A directory of small files that can be made anew: each written beside its name and renamed, all of them within a bound of bytes.
//!
//! Beyond the bound goes what was not used for longest, and what another version of the program left goes first. What the files hold, and how anybody
//! knows that they are whole, is their owner's.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::now;

/// A file is written in seconds: what has not been touched for this long is nobody's.
pub(crate) const ABANDONED: Duration = Duration::from_secs(3600);
/// Most entries of the directory that are looked at in one go.
const MOST: usize = 100_000;

/// The directory.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: Option<PathBuf>,
    /// Bytes of all files together.
    most: u64,
    /// How temporary files begin.
    prefix: &'static str,
    /// How the files of every version end.
    suffix: &'static str,
}

impl Shelf {
    /// Keeps at most `most` bytes in `dir`, in files that end with `suffix`, and begin with `prefix` until they are whole.
    #[must_use]
    pub const fn new(dir: PathBuf, most: u64, prefix: &'static str, suffix: &'static str) -> Self {
        Self { dir: Some(dir), most, prefix, suffix }
    }

    /// Keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { dir: None, most: 0, prefix: "", suffix: "" }
    }

    /// What the file of that name holds, made of its bytes by `parse`; `None` where there is none. That it was used is noted. Blocking.
    ///
    /// # Errors
    /// The file system, what is no regular file or beyond `largest` bytes, and what `parse` says.
    pub fn read<T>(&self, name: &str, largest: u64, parse: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<Option<T>> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join(name)) else { return Ok(None) };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > largest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file that was kept here"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
        (&file).take(largest).read_to_end(&mut bytes)?;
        let parsed = parse(&bytes)?;
        // The time of change is that of the last use; on a disk that can't be written to, it stays as it is.
        if let Err(error) = file.set_modified(SystemTime::from(now())) {
            tracing::debug!(file = %path.display(), %error, "the use of a kept file can't be noted");
        }
        Ok(Some(parsed))
    }

    /// Keeps a file, and takes away what is too much; one that would push out all others is not kept. `current` is how the files of this version end.
    /// Blocking.
    ///
    /// # Errors
    /// The file system.
    pub fn write(&self, name: &str, bytes: &[u8], current: &str) -> io::Result<()> {
        let Some(dir) = self.dir.as_ref().filter(|_| bytes.len() as u64 <= self.most) else { return Ok(()) };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
        let mut temp = tempfile::Builder::new().prefix(self.prefix).tempfile_in(dir)?;
        temp.write_all(bytes)?;
        temp.as_file().sync_data()?;
        temp.persist(dir.join(name))?;
        self.tidy(dir, current)
    }

    /// Takes away what goes beyond the bound, and what nobody will look at again.
    fn tidy(&self, dir: &Path, current: &str) -> io::Result<()> {
        let now = SystemTime::from(now());
        let mut kept = Vec::new();
        for entry in fs::read_dir(dir)?.take(MOST) {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            // The entry's own metadata, which follows no link.
            let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if name.starts_with(self.prefix) {
                if now.duration_since(used).is_ok_and(|age| age >= ABANDONED) {
                    gone(fs::remove_file(entry.path()))?;
                }
            } else if name.ends_with(self.suffix) {
                kept.push((name.ends_with(current), used, metadata.len(), entry.path()));
            }
        }
        let mut total: u64 = kept.iter().map(|(_, _, size, _)| *size).sum();
        kept.sort_unstable();
        for (current, _, size, path) in kept {
            if current && total <= self.most {
                break;
            }
            gone(fs::remove_file(path))?;
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

/// Somebody else may have tidied at the same time.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
