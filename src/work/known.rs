//! The last known list of each source, and the names that registries told, kept between runs so that the first frame already shows them and
//! a registry that is down can still be looked through.
//!
//! One file a list, named by the SHA-256 of its id: the list in postcard's wire format, and the CRC-32 of that. JSON would take several times
//! as long to read, and this is read before the first frame. A cache: what can't be read is as good as absent, and is written anew
//! with the next list.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, ImageList, Layers, SourceId};

use super::{checksum, leftovers};

/// Changes when the shape of the file does.
const VERSION: u32 = 3;
/// Largest file read: about 200,000 images.
const LARGEST: u64 = 128 << 20;

/// The directory of the lists.
#[derive(Debug, Clone)]
pub struct KnownLists {
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    key: &'a str,
    list: &'a T,
}

#[derive(Deserialize)]
struct Kept<T> {
    version: u32,
    key: String,
    list: T,
}

/// The layers of images, each layer once: most lie below many images.
#[derive(Serialize, Deserialize)]
struct Interned {
    layers: Vec<(Digest, u64)>,
    images: Vec<(Digest, Vec<u32>)>,
}

impl Interned {
    fn new(all: &Layers) -> Self {
        let (mut layers, mut places) = (Vec::new(), HashMap::new());
        let mut place = |layer: &(Digest, u64)| {
            *places.entry(layer.clone()).or_insert_with(|| {
                layers.push(layer.clone());
                u32::try_from(layers.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let images = all.iter().map(|(id, layers)| (id.clone(), layers.iter().map(&mut place).collect())).collect();
        Self { layers, images }
    }
}

impl KnownLists {
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir: Some(dir) }
    }

    /// Keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self { dir: None }
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        let dir = self.dir.as_ref()?;
        Some(dir.join(format!("{}.list", Digest::sha256(key.as_bytes()).hex())))
    }

    /// The list last written for that source, if it can be read whole.
    #[must_use]
    pub fn read(&self, id: &SourceId) -> Option<ImageList> {
        self.load(&id.0)
    }

    /// Keeps a list. A failure is only logged: the next start is slower, nothing else.
    pub fn write(&self, id: &SourceId, list: &ImageList) {
        self.keep(&id.0, list);
    }

    /// The names last written for `what` a registry has, such as its repositories.
    #[must_use]
    pub fn names(&self, id: &SourceId, what: &str) -> Option<Vec<String>> {
        self.load(&format!("{id} {what}"))
    }

    /// Keeps names, as [`KnownLists::write`] does a list.
    pub fn write_names(&self, id: &SourceId, what: &str, names: &Vec<String>) {
        self.keep(&format!("{id} {what}"), names);
    }

    /// What was last written of the images of a source.
    #[must_use]
    pub fn layers(&self, id: &SourceId) -> Layers {
        let Some(kept) = self.load::<Interned>(&format!("{id} layers")) else { return Layers::new() };
        let layer = |at: &u32| kept.layers.get(*at as usize).cloned();
        kept.images.iter().filter_map(|(id, layers)| Some((id.clone(), layers.iter().map(layer).collect::<Option<Vec<_>>>()?))).collect()
    }

    /// Keeps what images of a source hold, as [`KnownLists::write`] does a list.
    pub fn write_layers(&self, id: &SourceId, layers: &Layers) {
        self.keep(&format!("{id} layers"), &Interned::new(layers));
    }

    fn load<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let file = self.file(key)?;
        match checksum::read::<Kept<T>>(&file, LARGEST) {
            Ok(kept) if kept.version == VERSION && kept.key == key => Some(kept.list),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the last known list can't be read, and is left aside");
                None
            }
        }
    }

    fn keep<T: Serialize>(&self, key: &str, list: &T) {
        if let Some(file) = self.file(key)
            // Not flushed: what a crash leaves half is as good as none.
            && let Err(error) = checksum::write(&file, &Written { version: VERSION, key, list }, leftovers::PREFIX, false)
        {
            tracing::warn!(file = %file.display(), %error, "the list can't be kept for the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use jiff::Timestamp;

    use crate::model::{ContainerUse, ImageSummary, Name, Platform};

    use super::*;

    fn list(images: usize) -> ImageList {
        let image = |n: usize| ImageSummary {
            id: Digest::sha256(&n.to_le_bytes()),
            tags: vec![Name::new(&format!("registry.example.com/team-{}/service-{n}:v1.{n}", n % 40))],
            repo_digests: vec![Name::new(&format!("registry.example.com/team/service-{n}@{}", Digest::sha256(b"x")))],
            created: Timestamp::from_second(1_700_000_000 + i64::try_from(n).unwrap()).ok(),
            size: Some(123_456_789),
            unique_size: None,
            platform: None::<Platform>,
            containers: Some(vec![ContainerUse { id: "a".into(), name: "web".into(), running: true, state: "running".into() }]),
            labels: BTreeMap::from([("maintainer".into(), "somebody".into())]),
        };
        ImageList { images: (0..images).map(image).collect(), at: Timestamp::UNIX_EPOCH, gaps: Vec::new() }
    }

    #[test]
    fn a_list_comes_back_and_a_broken_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownLists::new(dir.path().join("lists"));
        let id = SourceId("engine:unix:///run/docker.sock".to_owned());
        assert_eq!(known.read(&id), None);
        known.write(&id, &list(3));
        assert_eq!(known.read(&id), Some(list(3)));
        assert_eq!(known.read(&SourceId("store".to_owned())), None);
        let file = known.file(&id.0).unwrap();
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for broken in [&b""[..], b"{}", b"\xff\xfe\xfd\xfc\xfb", &whole[..whole.len() / 2], &flipped] {
            fs::write(&file, broken).unwrap();
            assert_eq!(known.read(&id), None);
        }
        let mut newer = postcard::to_stdvec(&Written { version: VERSION + 1, key: &id.0, list: &list(3) }).unwrap();
        newer.extend(checksum::crc32(&newer).to_le_bytes());
        fs::write(&file, newer).unwrap();
        assert_eq!(known.read(&id), None);
        known.write(&id, &list(1));
        assert_eq!(known.read(&id), Some(list(1)));
    }

    #[test]
    fn layers_come_back_each_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownLists::new(dir.path().to_owned());
        let id = SourceId("engine:unix:///run/docker.sock".to_owned());
        assert!(known.layers(&id).is_empty());
        let layer = |name: &str| (Digest::sha256(name.as_bytes()), name.len() as u64);
        let layers: Layers =
            (0..100).map(|n| (Digest::sha256(&[n]), vec![layer("base"), layer("middle"), layer(&format!("own {n}"))])).collect();
        known.write_layers(&id, &layers);
        assert_eq!(known.layers(&id), layers);
        assert_eq!(Interned::new(&layers).layers.len(), 102);
        assert_eq!(known.read(&id), None, "the list of images is another matter");
    }

    #[test]
    fn names_of_one_registry_are_kept_apart_from_its_list() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownLists::new(dir.path().to_owned());
        let id = SourceId::registry("localhost:5000");
        let names = vec!["acme/web".to_owned(), "\u{1b}[31m".to_owned()];
        known.write_names(&id, "repositories", &names);
        assert_eq!(known.names(&id, "repositories"), Some(names));
        assert_eq!((known.names(&id, "tags of acme/web"), known.read(&id)), (None, None));
    }

    /// Prints how long ten thousand images take: `cargo test --release --lib known -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    fn ten_thousand_images() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownLists::new(dir.path().to_owned());
        let id = SourceId("store".to_owned());
        let list = list(10_000);
        let start = std::time::Instant::now();
        known.write(&id, &list);
        println!("written in {:?}, {} bytes", start.elapsed(), fs::metadata(known.file(&id.0).unwrap()).unwrap().len());
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let read = known.read(&id).unwrap();
            println!("read in {:?}: {} images", start.elapsed(), read.images.len());
        }
    }
}
