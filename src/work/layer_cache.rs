//! Indexes of layers, kept between runs: a layer never changes, so what was read of it once need not be read again.
//!
//! One file a layer, named by the digest of its stored bytes and the version of the form, with a checksum of its own (`layer::index`). Files are
//! written beside their name and renamed. What is kept has a bound in bytes; beyond it goes what was not used for longest, and what another
//! version left goes first. A cache: what can't be read is as good as absent, and is written anew. May use model, layer and scan (which asks for it).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::clock;
use crate::layer::Index;
use crate::layer::index::FORMAT;
use crate::model::Digest;
use crate::scan::builtin::Indexes;

/// How much is kept where nothing else is said: the indexes of several hundred usual images.
pub const USUAL: u64 = 512 << 20;
/// Largest file read: an index at all its bounds.
const LARGEST: u64 = 1 << 30;
const SUFFIX: &str = ".layer";
/// How temporary files begin.
const PREFIX: &str = ".layer-";
/// An index is written in seconds: what has not been touched for this long is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Most entries of the directory that are looked at in one go.
const MOST: usize = 100_000;

/// The directory of the indexes.
#[derive(Debug, Clone)]
pub struct LayerCache {
    dir: Option<PathBuf>,
    most: u64,
}

impl LayerCache {
    /// Keeps at most `most` bytes in `dir`.
    #[must_use]
    pub const fn new(dir: PathBuf, most: u64) -> Self {
        Self { dir: Some(dir), most }
    }

    /// Keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { dir: None, most: 0 }
    }

    /// The index of the layer whose stored bytes have that digest, if it is kept and whole. Blocking.
    #[must_use]
    pub fn read(&self, digest: &Digest) -> Option<Index> {
        let file = self.dir.as_ref()?.join(name(digest));
        match load(&file) {
            Ok(index) if index.digests().is_some_and(|found| found.digest == *digest) => Some(index),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a kept index can't be read, and is left aside");
                None
            }
        }
    }

    /// Keeps the index of a whole layer; one with a problem is not kept. Blocking. A failure is only logged: the next look is slower, nothing else.
    pub fn write(&self, index: &Index) {
        let (Some(dir), Some(digests)) = (&self.dir, index.digests()) else { return };
        let Some(bytes) = index.to_bytes() else { return };
        // One that would push out all others is not worth it.
        if bytes.len() as u64 > self.most.min(LARGEST) {
            return;
        }
        if let Err(error) = store(dir, &name(&digests.digest), &bytes).and_then(|()| self.tidy(dir)) {
            tracing::warn!(dir = %dir.display(), %error, "the index of a layer can't be kept");
        }
    }

    /// Takes away what goes beyond the bound, and what nobody will look at again.
    fn tidy(&self, dir: &Path) -> io::Result<()> {
        let now = SystemTime::from(clock::now());
        let mut kept = Vec::new();
        for entry in fs::read_dir(dir)?.take(MOST) {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            // The entry's own metadata, which follows no link.
            let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if name.starts_with(PREFIX) {
                if now.duration_since(used).is_ok_and(|age| age >= ABANDONED) {
                    gone(fs::remove_file(entry.path()))?;
                }
            } else if name.ends_with(SUFFIX) {
                let current = name.ends_with(&suffix());
                kept.push((current, used, metadata.len(), entry.path()));
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

impl Indexes for LayerCache {
    fn read(&self, digest: &Digest) -> Option<Index> {
        Self::read(self, digest)
    }

    fn write(&self, index: &Index) {
        Self::write(self, index);
    }
}

fn suffix() -> String {
    format!(".{FORMAT}{SUFFIX}")
}

fn name(digest: &Digest) -> String {
    format!("{}-{}{}", digest.algorithm(), digest.hex(), suffix())
}

/// Somebody else may have tidied at the same time.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn load(path: &Path) -> io::Result<Index> {
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file that was kept here"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    (&file).take(LARGEST).read_to_end(&mut bytes)?;
    let index = Index::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    // The time of change is that of the last use; on a disk that can't be written to, it stays as it is.
    if let Err(error) = file.set_modified(SystemTime::from(clock::now())) {
        tracing::debug!(file = %path.display(), %error, "the use of a kept index can't be noted");
    }
    Ok(index)
}

fn store(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    let mut temp = tempfile::Builder::new().prefix(PREFIX).tempfile_in(dir)?;
    temp.write_all(bytes)?;
    temp.as_file().sync_data()?;
    temp.persist(dir.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::layer::index::{Known, read};

    use super::*;

    fn index(name: &str, body: &[u8]) -> Index {
        let mut out = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, name, body).unwrap();
        read(&out.into_inner().unwrap()[..], &Known::default())
    }

    fn digest(index: &Index) -> Digest {
        index.digests().unwrap().digest.clone()
    }

    fn used(cache: &LayerCache, index: &Index, when: SystemTime) {
        let file = cache.dir.as_ref().unwrap().join(name(&digest(index)));
        fs::File::open(file).unwrap().set_modified(when).unwrap();
    }

    #[test]
    fn an_index_comes_back_and_a_broken_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(dir.path().join("layers"), USUAL);
        let (one, other) = (index("a", b"one"), index("b", b"two"));
        assert_eq!(cache.read(&digest(&one)), None);
        cache.write(&one);
        assert_eq!(cache.read(&digest(&one)), Some(one.clone()));
        assert_eq!(cache.read(&digest(&other)), None);
        let file = dir.path().join("layers").join(name(&digest(&one)));
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for broken in [&b""[..], b"{}", &whole[..whole.len() / 2], &flipped, &other.to_bytes().unwrap()] {
            fs::write(&file, broken).unwrap();
            assert_eq!(cache.read(&digest(&one)), None);
        }
        cache.write(&one);
        assert_eq!(cache.read(&digest(&one)), Some(one));
    }

    #[test]
    fn what_is_not_whole_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(dir.path().to_owned(), USUAL);
        let cut = read(&[0; 512][..], &Known::default());
        assert!(cut.problem().is_some());
        cache.write(&cut);
        LayerCache::none().write(&index("a", b""));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let indexes: Vec<Index> = (0..4).map(|n| index(&format!("file-{n}"), b"x")).collect();
        let size = indexes[0].to_bytes().unwrap().len() as u64;
        // Bytes that can't be packed differ by a few.
        let cache = LayerCache::new(dir.path().to_owned(), 3 * size + size / 2);
        let now = SystemTime::from(clock::now());
        for (age, index) in (1..).zip(&indexes[..3]) {
            cache.write(index);
            used(&cache, index, now - Duration::from_secs(100 - age));
        }
        assert!(cache.read(&digest(&indexes[0])).is_some(), "it is used just now");
        fs::write(dir.path().join(format!("sha256-00.{}{SUFFIX}", FORMAT + 1)), "another version's").unwrap();
        fs::write(dir.path().join("notes.txt"), "not ours").unwrap();
        let abandoned = dir.path().join(".layer-AbCd");
        fs::File::create(&abandoned).unwrap().set_modified(now - ABANDONED * 2).unwrap();
        cache.write(&indexes[3]);
        let here: Vec<bool> = indexes.iter().map(|index| dir.path().join(name(&digest(index))).exists()).collect();
        assert_eq!(here, [true, false, true, true]);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.retain(|name| !name.to_string_lossy().starts_with("sha256-"));
        assert_eq!(left, ["notes.txt"]);
        assert!(!abandoned.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing of another version");
    }

    #[test]
    fn one_that_would_push_out_all_others_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(dir.path().to_owned(), 10);
        cache.write(&index("a", b"one"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
