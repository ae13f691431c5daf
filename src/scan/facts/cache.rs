//! Facts of layers, kept between scans: what was read of a layer once need not be read again.
//!
//! One file a layer, named by its diff ID, the version of the analyzer and that of the rules, so that new rules look anew. Written beside its name
//! and renamed, with a checksum. What is kept has a bound in bytes; beyond it goes what was not used for longest, and what another version left goes
//! first. A cache: what can't be read is as good as absent. No secret is in it.
//!
//! May use model and source (for the clock).

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{ANALYZER, LayerFacts};
use crate::model::Digest;
use crate::scan::rules;
use crate::source;

const SUFFIX: &str = ".facts";
/// How temporary files begin.
const PREFIX: &str = ".facts-";
const MAGIC: [u8; 4] = *b"LMLF";
/// Magic, checksum in hexadecimal digits, and length of what was packed.
const HEAD: usize = 4 + 64 + 8;
/// Most bytes of the facts of one layer, unpacked.
const LARGEST: usize = 64 << 20;
/// What has not been touched for so long is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Most entries of the directory that are looked at in one go.
const MOST: usize = 100_000;

/// The directory of the facts.
#[derive(Debug, Clone)]
pub struct FactsCache {
    dir: Option<PathBuf>,
    most: u64,
}

impl FactsCache {
    /// How much is kept where nothing else is said: the facts of some thousand layers.
    pub const USUAL: u64 = 128 << 20;

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

    /// The facts of the layer with that diff ID, if they are kept, whole, and found by the rules of today. Blocking.
    #[must_use]
    pub fn read(&self, diff_id: &Digest) -> Option<LayerFacts> {
        let file = self.dir.as_ref()?.join(name(diff_id));
        match load(&file) {
            Ok(facts) => Some(facts),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "kept facts can't be read, and are left aside");
                None
            }
        }
    }

    /// Keeps the facts of a layer that was read whole and is what its diff ID says, unless other layers had a part in them. Blocking. A failure is
    /// only logged: the next scan is slower.
    pub fn write(&self, diff_id: &Digest, facts: &LayerFacts) {
        let Some(dir) = self.dir.as_ref().filter(|_| !facts.cut_by_others) else { return };
        let Some(bytes) = pack(facts) else { return };
        if bytes.len() as u64 > self.most {
            return;
        }
        if let Err(error) = store(dir, &name(diff_id), &bytes).and_then(|()| self.tidy(dir)) {
            tracing::warn!(dir = %dir.display(), %error, "the facts of a layer can't be kept");
        }
    }

    /// Takes away what goes beyond the bound, and what nobody will look at again.
    fn tidy(&self, dir: &Path) -> io::Result<()> {
        let now = now();
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
                kept.push((name.ends_with(&suffix()), used, metadata.len(), entry.path()));
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

fn now() -> SystemTime {
    SystemTime::from(source::now())
}

fn suffix() -> String {
    format!(".{ANALYZER}-{}{SUFFIX}", rules::version())
}

fn name(diff_id: &Digest) -> String {
    format!("{}-{}{}", diff_id.algorithm(), diff_id.hex(), suffix())
}

/// Somebody else may have tidied at the same time.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn pack(facts: &LayerFacts) -> Option<Vec<u8>> {
    let raw = postcard::to_stdvec(facts).ok().filter(|raw| raw.len() <= LARGEST)?;
    let packed = zstd::bulk::compress(&raw, 1).ok()?;
    let sum = Digest::sha256(&packed);
    Some([&MAGIC[..], sum.hex().as_bytes(), &(raw.len() as u64).to_le_bytes(), &packed].concat())
}

fn unpack(bytes: &[u8]) -> Option<LayerFacts> {
    let (head, packed) = bytes.split_at_checked(HEAD)?;
    let (sum, length) = head.strip_prefix(&MAGIC)?.split_at_checked(64)?;
    if Digest::sha256(packed).hex().as_bytes() != sum {
        return None;
    }
    let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok().filter(|&length| length <= LARGEST)?;
    let raw = zstd::bulk::decompress(packed, length).ok().filter(|raw| raw.len() == length)?;
    postcard::from_bytes(&raw).ok()
}

fn load(path: &Path) -> io::Result<LayerFacts> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not facts that were kept here");
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST as u64 {
        return Err(broken());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    (&file).take(LARGEST as u64).read_to_end(&mut bytes)?;
    let facts = unpack(&bytes).ok_or_else(broken)?;
    // The time of change is that of the last use; on a disk that can't be written to, it stays as it is.
    if let Err(error) = file.set_modified(now()) {
        tracing::debug!(file = %path.display(), %error, "the use of kept facts can't be noted");
    }
    Ok(facts)
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
    use proptest::prelude::*;

    use super::super::{Seen, What};
    use super::*;

    fn facts(path: &str) -> LayerFacts {
        let what = What::Secret {
            rule: 1,
            nth: 0,
            lines: (3, 4),
            evidence: "******** (7 characters)".to_owned(),
            severity: 1,
            note: String::new(),
        };
        let seen = vec![Seen { path: path.as_bytes().to_vec(), offset: 512, what }];
        LayerFacts { seen, ..LayerFacts::default() }
    }

    #[test]
    fn facts_come_back_and_a_broken_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FactsCache::new(dir.path().join("facts"), FactsCache::USUAL);
        let (one, other) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        assert_eq!(cache.read(&one), None);
        cache.write(&one, &facts("a"));
        assert_eq!((cache.read(&one), cache.read(&other)), (Some(facts("a")), None));
        let file = dir.path().join("facts").join(name(&one));
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() - 1] ^= 1;
        for broken in [&b""[..], b"LMLF", &whole[..whole.len() / 2], &flipped] {
            fs::write(&file, broken).unwrap();
            assert_eq!(cache.read(&one), None);
        }
        cache.write(&one, &facts("b"));
        assert_eq!(cache.read(&one), Some(facts("b")));
        FactsCache::none().write(&other, &facts("c"));
        cache.write(&other, &LayerFacts { cut_by_others: true, ..facts("d") });
        assert_eq!(cache.read(&other), None, "another image would see it so");
        assert_eq!(fs::read_dir(dir.path().join("facts")).unwrap().count(), 1);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_other_versions_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let size = pack(&facts("file-0")).unwrap().len() as u64;
        let cache = FactsCache::new(dir.path().to_owned(), 2 * size + size / 2);
        let digests: Vec<Digest> = (0..3_u8).map(|n| Digest::sha256(&[n])).collect();
        fs::write(dir.path().join("sha256-00.0-0.facts"), "another version's").unwrap();
        fs::write(dir.path().join("notes.txt"), "not ours").unwrap();
        for (age, digest) in (1..).zip(&digests[..2]) {
            cache.write(digest, &facts("file-0"));
            let used = now() - Duration::from_secs(100 - age);
            fs::File::open(dir.path().join(name(digest))).unwrap().set_modified(used).unwrap();
        }
        assert!(cache.read(&digests[0]).is_some(), "it is used just now");
        cache.write(&digests[2], &facts("file-2"));
        let here: Vec<bool> = digests.iter().map(|digest| dir.path().join(name(digest)).exists()).collect();
        assert_eq!((here, fs::read_dir(dir.path()).unwrap().count()), (vec![true, false, true], 3));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..200_usize) {
            let _ = unpack(&bytes);
            let _ = postcard::from_bytes::<LayerFacts>(&bytes);
            let mut whole = pack(&facts("a")).unwrap();
            let at = at % whole.len();
            whole[at] ^= 0x55;
            prop_assert_eq!(unpack(&whole), None);
        }
    }
}
