//! Indexes of layers, kept between runs: a layer never changes, so what was read of it once need not be read again.
//!
//! One file a layer, named by the digest of its stored bytes and the version of the form, with a checksum of its own (`layer::index`). A cache: what can't be read
//! is as good as absent, and is written anew. May use model, layer, source and scan (which asks for it).

use std::io;
use std::path::PathBuf;

use crate::layer::Index;
use crate::layer::index::FORMAT;
use crate::model::Digest;
use crate::scan::builtin::Indexes;
use crate::source::shelf::Shelf;

/// How much is kept where nothing else is said: the indexes of several hundred usual images.
pub const USUAL: u64 = 512 << 20;
/// Largest file read: an index at all its bounds.
const LARGEST: u64 = 1 << 30;
const SUFFIX: &str = ".layer";
/// How temporary files begin.
const PREFIX: &str = ".layer-";

/// The directory of the indexes.
#[derive(Debug, Clone)]
pub struct LayerCache(Shelf);

impl LayerCache {
    /// Keeps at most `most` bytes in `dir`.
    #[must_use]
    pub const fn new(dir: PathBuf, most: u64) -> Self {
        Self(Shelf::new(dir, most, PREFIX, SUFFIX))
    }

    /// Keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(Shelf::none())
    }

    /// The index of the layer whose stored bytes have that digest, if it is kept and whole. Blocking.
    #[must_use]
    pub fn read(&self, digest: &Digest) -> Option<Index> {
        let parse = |bytes: &[u8]| Index::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        match self.0.read(&name(digest), LARGEST, parse) {
            Ok(index) => index.filter(|index| index.digests().is_some_and(|found| found.digest == *digest)),
            Err(error) => {
                tracing::warn!(layer = digest.short(), %error, "a kept index can't be read, and is left aside");
                None
            }
        }
    }

    /// Keeps the index of a whole layer; one with a problem is not kept. Blocking. A failure is only logged: the next look is slower, nothing else.
    pub fn write(&self, index: &Index) {
        let Some((digests, bytes)) = index.digests().zip(index.to_bytes()) else { return };
        if bytes.len() as u64 > LARGEST {
            return;
        }
        if let Err(error) = self.0.write(&name(&digests.digest), &bytes, &suffix()) {
            tracing::warn!(layer = digests.digest.short(), %error, "the index of a layer can't be kept");
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::layer::index::{Known, read};
    use crate::source::shelf::ABANDONED;
    use crate::work::clock;

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

    fn used(dir: &Path, index: &Index, when: SystemTime) {
        let file = dir.join(name(&digest(index)));
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
            used(dir.path(), index, now - Duration::from_secs(100 - age));
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
