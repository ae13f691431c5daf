//! When images were used last, kept between runs: one file a source in the state directory, named by the SHA-256 of the source's id.
//!
//! The file holds the version, the id and the [`Uses`] in postcard's wire format, and the CRC-32 of that. It is replaced as a whole, flushed to the
//! disk before it gets its name; what can't be read is begun anew, which makes images look younger and never older. Two programs may write:
//! each adds what the other noted.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::curate::plan::holder;
use crate::model::{Digest, ImageList, Name, SourceId, Uses};
use crate::source::LastUses;

use super::sights::Sights;
use super::{checksum, leftovers};

/// Changes when the shape of the file does.
const VERSION: u32 = 1;
/// Largest file read: about 500,000 images.
const LARGEST: u64 = 64 << 20;
/// Uses that wait for the list that has their image.
const WAITING: usize = 1000;

/// The ledgers of all sources.
#[derive(Debug, Default)]
pub struct Ledgers {
    dir: Option<PathBuf>,
    books: Mutex<HashMap<SourceId, Book>>,
    /// Held while a file is read and replaced.
    disk: Mutex<()>,
    /// When the tags of registries were first seen.
    pub tags: Sights,
}

#[derive(Debug, Default)]
struct Book {
    uses: Uses,
    /// What the file had is in it.
    loaded: bool,
    /// The last list: events name images as whoever used them did.
    list: Option<Arc<ImageList>>,
    /// Uses of images that were in no list yet.
    waiting: Vec<(Name, Timestamp)>,
    /// Something is not in the file yet.
    news: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    source: &'a str,
    uses: &'a Uses,
}

#[derive(Deserialize)]
struct Kept {
    version: u32,
    source: String,
    uses: Uses,
}

impl Ledgers {
    /// With their files in `dir`, which is made when there is something to keep.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { tags: Sights::new(dir.clone()), dir: Some(dir), ..Self::default() }
    }

    /// Takes a list, and gives what is known of the uses of its images. Reads the file when the source is first asked for.
    #[must_use]
    pub fn listed(&self, id: &SourceId, list: &Arc<ImageList>, used: &LastUses) -> Uses {
        let known = self.lock(|books| books.get(id).is_some_and(|book| book.loaded));
        let kept = if known { None } else { self.load(id) };
        self.lock(|books| {
            let book = books.entry(id.clone()).or_default();
            if !std::mem::replace(&mut book.loaded, true) {
                // Until now uses were only waiting for a list.
                book.uses = kept.unwrap_or_default();
            }
            book.news |= book.uses.listed(list, used);
            book.list = Some(Arc::clone(list));
            for (image, at) in std::mem::take(&mut book.waiting) {
                // What is not in this list either has gone again.
                if let Some(id) = named(list, &image) {
                    book.news |= book.uses.used(&id, at);
                }
            }
            book.uses.clone()
        })
    }

    /// Takes a use that was noticed. It is in the file with the next list, which follows every change.
    pub fn used(&self, id: &SourceId, image: &str, at: Timestamp) {
        self.lock(|books| {
            let book = books.entry(id.clone()).or_default();
            let name = Name::new(image);
            match book.list.as_ref().and_then(|list| named(list, &name)) {
                Some(id) => book.news |= book.uses.used(&id, at),
                None if book.waiting.len() < WAITING => book.waiting.push((name, at)),
                None => {}
            }
        });
    }

    /// Writes what is new. A failure is only logged: images look younger at the next start, nothing else.
    pub fn keep(&self, id: &SourceId) {
        let Some(file) = self.file(id) else { return };
        let _one = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.lock(|books| books.get_mut(id).is_some_and(|book| std::mem::take(&mut book.news))) {
            return;
        }
        let theirs = self.load(id);
        let uses = self.lock(|books| {
            let book = books.get_mut(id)?;
            if let Some(theirs) = &theirs {
                book.uses.merge(theirs);
            }
            Some(book.uses.clone())
        });
        let Some(uses) = uses else { return };
        if let Err(error) = checksum::write(&file, &Written { version: VERSION, source: &id.0, uses: &uses }, leftovers::USES, true) {
            tracing::warn!(file = %file.display(), %error, "when images were used can't be kept");
        }
    }

    fn lock<T>(&self, with: impl FnOnce(&mut HashMap<SourceId, Book>) -> T) -> T {
        with(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn file(&self, id: &SourceId) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{}.uses", Digest::sha256(id.0.as_bytes()).hex())))
    }

    fn load(&self, id: &SourceId) -> Option<Uses> {
        let file = self.file(id)?;
        match checksum::read::<Kept>(&file, LARGEST) {
            Ok(kept) if kept.version == VERSION && kept.source == id.0 => Some(kept.uses),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "when images were used can't be read, and is begun anew");
                None
            }
        }
    }
}

/// The image that a container's or an event's word for it stands for.
fn named(list: &ImageList, name: &Name) -> Option<Digest> {
    let text = name.raw();
    if let Ok(id) = text.parse::<Digest>() {
        return list.images.iter().any(|image| image.id == id).then_some(id);
    }
    if let Some((image, _)) = holder(list, name) {
        return Some(image.id.clone());
    }
    // By digest, or by the beginning of its ID.
    let by_digest = || list.images.iter().find(|image| image.repo_digests.iter().any(|other| other.raw() == text));
    let is_id = text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let found = by_digest().or_else(|| list.images.iter().find(|image| is_id && image.id.hex().starts_with(text)));
    found.map(|image| image.id.clone())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::ImageSummary;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn image(seed: &str) -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(seed.as_bytes()),
            tags: vec![Name::new(&format!("docker.io/library/{seed}:latest"))],
            repo_digests: vec![Name::new(&format!("{seed}@{}", Digest::sha256(b"manifest")))],
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    fn list(seeds: &[&str], second: i64) -> Arc<ImageList> {
        Arc::new(ImageList { images: seeds.iter().map(|seed| image(seed)).collect(), at: at(second), gaps: vec![] })
    }

    fn id(seed: &str) -> Digest {
        Digest::sha256(seed.as_bytes())
    }

    #[test]
    fn what_was_noticed_is_known_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let source = SourceId("engine:unix:///run/docker.sock".to_owned());
        let ledgers = Ledgers::new(dir.path().join("uses"));
        assert_eq!(ledgers.listed(&source, &list(&["app", "db"], DAY), &vec![]).idle_since(&id("app")), Some(at(DAY)));
        // In every way an event may name an image, and one that no list had yet.
        for (second, name) in [(2, "app"), (3, "docker.io/library/app:latest"), (4, id("app").hex()), (5, id("app").as_str())] {
            ledgers.used(&source, name, at(second * DAY));
            let uses = ledgers.listed(&source, &list(&["app", "db"], second * DAY), &vec![]);
            assert_eq!(uses.last_used(&id("app")), Some(at(second * DAY)), "{name}");
        }
        ledgers.used(&source, "new", at(6 * DAY + 5));
        ledgers.used(&source, "\u{1b}[2J", at(6 * DAY));
        let uses = ledgers.listed(&source, &list(&["app", "db", "new"], 7 * DAY), &vec![(id("db"), at(7 * DAY))]);
        assert_eq!((uses.last_used(&id("new")), uses.last_used(&id("db"))), (Some(at(6 * DAY + 5)), Some(at(7 * DAY))));
        ledgers.keep(&source);
        assert_eq!(fs::read_dir(dir.path().join("uses")).unwrap().count(), 1, "no temporary file is left");
        let again = Ledgers::new(dir.path().join("uses"));
        // Events may come before the first list.
        again.used(&source, "app", at(8 * DAY));
        assert_eq!(again.listed(&source, &list(&["app", "db", "new"], 8 * DAY), &vec![]).last_used(&id("new")), Some(at(6 * DAY + 5)));
        let other = SourceId("store".to_owned());
        assert_eq!(again.listed(&other, &list(&["app"], 8 * DAY), &vec![]).first_seen(&id("app")), Some(at(8 * DAY)), "a ledger each");
    }

    #[test]
    fn two_programs_keep_what_each_of_them_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let source = SourceId("engine".to_owned());
        let (one, other) = (Ledgers::new(dir.path().to_owned()), Ledgers::new(dir.path().to_owned()));
        for ledgers in [&one, &other] {
            drop(ledgers.listed(&source, &list(&["app", "db"], DAY), &vec![]));
        }
        one.used(&source, "app", at(2 * DAY));
        one.keep(&source);
        other.used(&source, "db", at(3 * DAY));
        other.keep(&source);
        let uses = Ledgers::new(dir.path().to_owned()).listed(&source, &list(&["app", "db"], 4 * DAY), &vec![]);
        assert_eq!((uses.last_used(&id("app")), uses.last_used(&id("db"))), (Some(at(2 * DAY)), Some(at(3 * DAY))));
    }

    #[test]
    fn a_damaged_ledger_is_begun_anew_and_never_makes_an_image_older() {
        let dir = tempfile::tempdir().unwrap();
        let source = SourceId("engine".to_owned());
        let ledgers = Ledgers::new(dir.path().to_owned());
        drop(ledgers.listed(&source, &list(&["app"], DAY), &vec![]));
        ledgers.keep(&source);
        let file = ledgers.file(&source).unwrap();
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let mut newer = postcard::to_stdvec(&Written { version: VERSION + 1, source: &source.0, uses: &Uses::default() }).unwrap();
        newer.extend(checksum::crc32(&newer).to_le_bytes());
        for broken in [&b""[..], b"{}", &whole[..whole.len() / 2], &flipped, &newer] {
            fs::write(&file, broken).unwrap();
            let ledgers = Ledgers::new(dir.path().to_owned());
            assert_eq!(ledgers.listed(&source, &list(&["app"], 9 * DAY), &vec![]).first_seen(&id("app")), Some(at(9 * DAY)));
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let ledgers = Ledgers::new(dir.path().to_owned());
        drop(ledgers.listed(&source, &list(&["app"], DAY), &vec![]));
        ledgers.keep(&source);
        assert!(file.is_dir(), "what can't be written is only logged");
    }

    #[test]
    fn uses_of_nothing_known_do_not_pile_up() {
        let ledgers = Ledgers::default();
        let source = SourceId("engine".to_owned());
        for n in 0..3 * WAITING {
            ledgers.used(&source, &format!("unknown:{n}"), at(DAY));
        }
        ledgers.lock(|books| assert_eq!(books[&source].waiting.len(), WAITING));
        drop(ledgers.listed(&source, &list(&[], DAY), &vec![]));
        ledgers.lock(|books| assert!(books[&source].waiting.is_empty()));
        ledgers.keep(&source);
    }
}
