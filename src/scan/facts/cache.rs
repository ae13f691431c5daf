//! Facts of layers, kept between scans: what was read of a layer once need not be read again.
//!
//! One file a layer, named by its diff ID, the version of the analyzer and that of the rules, so that new rules look anew; with a checksum. A cache: what
//! can't be read is as good as absent. No secret is in it.
//!
//! May use model and source.

use std::io;
use std::path::PathBuf;

use super::{ANALYZER, LayerFacts};
use crate::model::Digest;
use crate::scan::rules;
use crate::source::shelf::Shelf;

const SUFFIX: &str = ".facts";
/// How temporary files begin.
const PREFIX: &str = ".facts-";
const MAGIC: [u8; 4] = *b"LMLF";
/// Magic, checksum in hexadecimal digits, and length of what was packed.
const HEAD: usize = 4 + 64 + 8;
/// Most bytes of the facts of one layer, unpacked.
const LARGEST: usize = 64 << 20;

/// The directory of the facts.
#[derive(Debug, Clone)]
pub struct FactsCache(Shelf);

impl FactsCache {
    /// How much is kept where nothing else is said: the facts of some thousand layers.
    pub const USUAL: u64 = 128 << 20;

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

    /// The facts of the layer with that diff ID, if they are kept, whole, and found by the rules of today. Blocking.
    #[must_use]
    pub fn read(&self, diff_id: &Digest) -> Option<LayerFacts> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "not facts that were kept here");
        self.0.read(&name(diff_id), LARGEST as u64, |bytes| unpack(bytes).ok_or_else(broken)).unwrap_or_else(|error| {
            tracing::warn!(layer = diff_id.short(), %error, "kept facts can't be read, and are left aside");
            None
        })
    }

    /// Keeps the facts of a layer that was read whole and is what its diff ID says, unless other layers had a part in them. Blocking. A failure is
    /// only logged: the next scan is slower.
    pub fn write(&self, diff_id: &Digest, facts: &LayerFacts) {
        let Some(bytes) = Some(facts).filter(|facts| !facts.cut_by_others).and_then(pack) else { return };
        if let Err(error) = self.0.write(&name(diff_id), &bytes, &suffix()) {
            tracing::warn!(layer = diff_id.short(), %error, "the facts of a layer can't be kept");
        }
    }
}

fn suffix() -> String {
    format!(".{ANALYZER}-{}{SUFFIX}", rules::version())
}

fn name(diff_id: &Digest) -> String {
    format!("{}-{}{}", diff_id.algorithm(), diff_id.hex(), suffix())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

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
            let used = SystemTime::from(crate::source::now()) - Duration::from_secs(100 - age);
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
