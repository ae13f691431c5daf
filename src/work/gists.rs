//! What scans of images came to, kept between runs: one file in the state directory, replaced as a whole.
//!
//! Of each image only the few numbers that lists show. What can't be read is begun anew. Two programs may write: each adds to what the other left. May use model.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{checksum, leftovers};
use crate::model::Digest;
use crate::model::findings::{Gist, Gists as Known};

/// Changes when the shape of the file does.
const VERSION: u32 = 1;
const LARGEST: u64 = 16 << 20;
/// Images that are remembered: those looked at last.
const MOST: usize = 20_000;

/// The file.
#[derive(Debug, Clone, Default)]
pub struct Gists {
    file: Option<PathBuf>,
    /// Held while the file is read and replaced.
    disk: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    known: Known,
}

impl Gists {
    /// With that file, which is made when there is something to keep.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file: Some(file), disk: Arc::default() }
    }

    /// What is known. Blocking.
    #[must_use]
    pub fn read(&self) -> Known {
        let Some(file) = &self.file else { return Known::new() };
        match checksum::read::<Kept>(file, LARGEST) {
            Ok(kept) if kept.version == VERSION => kept.known,
            Ok(_) => Known::new(),
            Err(error) if error.kind() == ErrorKind::NotFound => Known::new(),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what scans came to can't be read, and is begun anew");
                Known::new()
            }
        }
    }

    /// Notes what a scan of the image of these digests came to. Blocking. A failure is only logged.
    pub fn note(&self, image: &[Digest], gist: Gist) {
        let Some(file) = &self.file else { return };
        let _one = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.read();
        known.extend(image.iter().map(|digest| (digest.clone(), gist)));
        if known.len() > MOST {
            let mut ages: Vec<_> = known.values().map(|gist| gist.at).collect();
            ages.sort_unstable();
            let oldest = ages.get(known.len() - MOST).copied().unwrap_or(gist.at);
            known.retain(|_, gist| gist.at >= oldest);
        }
        if let Err(error) = checksum::write(file, &Kept { version: VERSION, known }, leftovers::USES, true) {
            tracing::warn!(file = %file.display(), %error, "what a scan came to can't be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Severity;

    fn gist(second: i64) -> Gist {
        Gist { at: Timestamp::from_second(second).unwrap(), total: 3, fixable: 1, worst: Some(Severity::High), worst_fixable: None }
    }

    #[test]
    fn what_a_scan_came_to_is_known_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/findings");
        let (one, other) = (Gists::new(file.clone()), Gists::new(file.clone()));
        assert_eq!(one.read(), Known::new());
        one.note(&[Digest::sha256(b"a"), Digest::sha256(b"b")], gist(1));
        other.note(&[Digest::sha256(b"a")], gist(2));
        let known = Gists::new(file.clone()).read();
        assert_eq!((known.len(), known[&Digest::sha256(b"a")], known[&Digest::sha256(b"b")]), (2, gist(2), gist(1)));
        std::fs::write(&file, "garbage").unwrap();
        assert_eq!(one.read(), Known::new());
        Gists::default().note(&[Digest::sha256(b"a")], gist(2));
    }
}
