//! The store's `index.json`: which names stand at which manifest. Pure: bytes in, bytes out.
//!
//! An entry that can't be understood is kept as it was and reported as a gap; it never hides the others. Names are full canonical
//! references in `org.opencontainers.image.ref.name`, one entry a name; an entry without one is an untagged image.

use serde_json::{Map, Value, json};

use crate::model::{Digest, Foreign, Name, Problem, Reference};
use crate::source::content::Descriptor;
use crate::source::oci::{self, descriptor_json, media};

/// The annotation that holds an entry's name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds the `repository@digest` names the image was pulled from or pushed to, separated by spaces.
const ORIGINS: &str = "lighterman.repo-digests";
/// Most names of origin that are kept.
const MOST_ORIGINS: usize = 32;

/// The largest index that is read and written, in bytes: about 150,000 names. It is our own file, so the bound of foreign documents
/// would only keep a full store from being used.
pub(super) const LARGEST_INDEX: u64 = 64 << 20;

/// One line of the index.
#[derive(Debug, Clone, PartialEq)]
enum Line {
    Good(Descriptor),
    /// Kept as it is: somebody else may understand it.
    Odd(Value, String),
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Index {
    lines: Vec<Line>,
    /// Everything beside the list.
    rest: Map<String, Value>,
}

/// The name an entry carries.
pub(super) fn name(entry: &Descriptor) -> Option<Name> {
    written(entry).map(Name::new)
}

/// The same as it is written: whoever looks through all entries need not copy each.
fn written(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(Foreign::raw).filter(|text| !text.is_empty())
}

/// Where it can be pulled from again, as far as is known.
pub(super) fn origins(entry: &Descriptor) -> Vec<Name> {
    let text = entry.annotations.get(ORIGINS).map(Foreign::raw).unwrap_or_default();
    text.split(' ').filter(|one| !one.is_empty()).take(MOST_ORIGINS).map(Name::new).collect()
}

/// The name under which a tagged reference is kept.
pub(super) fn canonical(reference: &Reference) -> String {
    format!("{}/{}:{}", reference.registry(), reference.repository(), reference.tag().unwrap_or("latest"))
}

impl Index {
    /// # Errors
    /// A file that is no index at all.
    pub(super) fn parse(bytes: &[u8], doing: &str) -> Result<Self, Problem> {
        let document = oci::parse_strict_of(bytes, LARGEST_INDEX).map_err(|malformed| malformed.problem(doing))?;
        let Value::Object(mut rest) = document else {
            return Err(Problem::new(crate::model::ProblemKind::Corrupt, doing, "index.json is not an object"));
        };
        let lines = match rest.remove("manifests") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(lines)) => lines,
            Some(_) => return Err(Problem::new(crate::model::ProblemKind::Corrupt, doing, "the manifests of index.json are not a list")),
        };
        let lines = lines.into_iter().map(|line| match understood(&line) {
            Ok(descriptor) => Line::Good(descriptor),
            Err(why) => Line::Odd(line, why),
        });
        Ok(Self { lines: lines.collect(), rest })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut document = self.rest.clone();
        document.entry("schemaVersion").or_insert(json!(2));
        document.entry("mediaType").or_insert(json!(media::OCI_INDEX));
        let lines = self.lines.iter().map(|line| match line {
            Line::Good(descriptor) => descriptor_json(descriptor),
            Line::Odd(value, _) => value.clone(),
        });
        document.insert("manifests".to_owned(), lines.collect());
        // A value made of strings and numbers is always JSON.
        serde_json::to_vec(&Value::Object(document)).unwrap_or_default()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Descriptor> {
        self.lines.iter().filter_map(|line| match line {
            Line::Good(descriptor) => Some(descriptor),
            Line::Odd(..) => None,
        })
    }

    /// What could not be understood, one sentence each.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Odd(_, why) => Some(why.as_str()),
            Line::Good(_) => None,
        })
    }

    /// The entry of that name.
    pub(super) fn named(&self, wanted: &str) -> Option<&Descriptor> {
        self.entries().find(|entry| written(entry) == Some(wanted))
    }

    /// Points `wanted` at `root`. What held the name before stays as an untagged image unless another name keeps it.
    pub(super) fn set(&mut self, wanted: &str, root: &Descriptor) {
        let held = self.named(wanted).cloned();
        let mut entry = root.clone();
        let mut known = self.origins_of(&root.digest);
        known.extend(origins(root));
        put_origins(&mut entry, known);
        self.unname(wanted);
        // An untagged entry of the same root has a name now.
        self.retain(|line| line.digest != root.digest || written(line).is_some());
        entry.annotations.insert(REF_NAME.to_owned(), Foreign::new(wanted));
        self.lines.push(Line::Good(entry));
        if let Some(held) = held.filter(|held| held.digest != root.digest) {
            self.keep(&held);
        }
    }

    /// Adds an untagged image, unless the index has it.
    pub(super) fn keep(&mut self, root: &Descriptor) {
        if self.entries().any(|entry| entry.digest == root.digest) {
            return;
        }
        let mut entry = root.clone();
        entry.annotations.remove(REF_NAME);
        self.lines.push(Line::Good(entry));
    }

    /// Takes a name away, and its entry.
    pub(super) fn unname(&mut self, wanted: &str) {
        self.retain(|entry| written(entry) != Some(wanted));
    }

    /// Adds an untagged image with the names of origin that it is known by, unless the index has it.
    pub(super) fn keep_from(&mut self, root: &Descriptor, origins: &[Name]) {
        let mut entry = root.clone();
        put_origins(&mut entry, origins.to_vec());
        self.keep(&entry);
    }

    /// Takes away the untagged entry of a root. Whether there was one.
    pub(super) fn forget(&mut self, root: &Digest) -> bool {
        let before = self.lines.len();
        self.retain(|entry| entry.digest != *root || written(entry).is_some());
        self.lines.len() < before
    }

    fn retain(&mut self, keep: impl Fn(&Descriptor) -> bool) {
        self.lines.retain(|line| match line {
            Line::Good(entry) => keep(entry),
            Line::Odd(..) => true,
        });
    }

    /// Notes that `root` is `origin` too, on each of its entries.
    pub(super) fn note_origin(&mut self, root: &Digest, origin: &str) {
        for line in &mut self.lines {
            if let Line::Good(entry) = line
                && entry.digest == *root
            {
                let mut known = origins(entry);
                known.push(Name::new(origin));
                put_origins(entry, known);
            }
        }
    }

    fn origins_of(&self, root: &Digest) -> Vec<Name> {
        self.entries().filter(|entry| entry.digest == *root).flat_map(origins).collect()
    }
}

fn put_origins(entry: &mut Descriptor, mut known: Vec<Name>) {
    known.sort();
    known.dedup();
    known.truncate(MOST_ORIGINS);
    if known.is_empty() {
        entry.annotations.remove(ORIGINS);
        return;
    }
    let text: Vec<&str> = known.iter().map(Name::raw).collect();
    entry.annotations.insert(ORIGINS.to_owned(), Foreign::from(text.join(" ")));
}

fn understood(line: &Value) -> Result<Descriptor, String> {
    let wrapped = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [line]})).unwrap_or_default();
    let index = oci::parse_index(&wrapped).map_err(|malformed| format!("an entry of index.json: {malformed}"))?;
    index.manifests.into_iter().next().ok_or_else(|| "an entry of index.json is empty".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(c: u8) -> Descriptor {
        Descriptor {
            media_type: media::OCI_MANIFEST.into(),
            digest: Digest::sha256(&[c]),
            size: 7,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    fn view(index: &Index) -> Vec<(Option<String>, Digest)> {
        let mut view: Vec<_> = index.entries().map(|e| (name(e).map(|n| n.raw().to_owned()), e.digest.clone())).collect();
        view.sort();
        view
    }

    #[test]
    fn a_moved_tag_leaves_its_old_image_untagged_unless_another_name_keeps_it() {
        let mut index = Index::default();
        index.set("h/a:1", &root(1));
        index.set("h/a:2", &root(1));
        index.set("h/a:1", &root(2));
        assert_eq!(view(&index), [(Some("h/a:1".into()), root(2).digest), (Some("h/a:2".into()), root(1).digest)]);
        index.set("h/a:2", &root(2));
        assert_eq!(view(&index)[0], (None, root(1).digest));
        index.set("h/a:3", &root(1));
        assert!(view(&index).iter().all(|(name, _)| name.is_some()), "a name again");
        index.unname("h/a:3");
        assert_eq!(view(&index).len(), 2);
    }

    #[test]
    fn origins_follow_the_image_and_not_the_name() {
        let mut index = Index::default();
        index.set("h/a:1", &root(1));
        index.note_origin(&root(1).digest, "h/a@sha256:x");
        index.set("h/b:1", &root(1));
        index.set("h/a:1", &root(2));
        let of = |name: &str| origins(index.named(name).unwrap());
        assert_eq!((of("h/b:1"), of("h/a:1")), (vec![Name::new("h/a@sha256:x")], vec![]));
    }

    #[test]
    fn odd_entries_are_told_and_kept() {
        let good = descriptor_json(&root(1));
        let text = json!({"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [{"digest": "sha256:../../x", "size": 1}, good, 7]});
        let index = Index::parse(text.to_string().as_bytes(), "read").unwrap();
        assert_eq!((index.entries().count(), index.gaps().count()), (1, 2));
        let again: Value = serde_json::from_slice(&index.bytes()).unwrap();
        assert_eq!((&again["manifests"], &again["annotations"]), (&text["manifests"], &text["annotations"]));
        assert!(Index::parse(b"[]", "read").is_err() && Index::parse(b"{\"manifests\":7}", "read").is_err());
    }

    proptest! {
        #[test]
        fn names_stay_unique_and_bytes_read_back(steps in prop::collection::vec((0..4_u8, 0..4_u8, any::<bool>()), 0..40)) {
            let mut index = Index::default();
            for (name, image, set) in steps {
                let name = format!("h/a:{name}");
                if set { index.set(&name, &root(image)) } else { index.unname(&name) }
                let view = view(&index);
                let mut unique = view.clone();
                unique.dedup_by(|a, b| a.0.is_some() && a.0 == b.0 || a == b);
                prop_assert_eq!(&unique, &view);
                for (name, digest) in &view {
                    prop_assert!(name.is_some() || view.iter().filter(|(_, other)| other == digest).count() == 1);
                }
                prop_assert_eq!(Index::parse(&index.bytes(), "read").map(|i| i.entries().cloned().collect::<Vec<_>>()).unwrap(), index.entries().cloned().collect::<Vec<_>>());
            }
        }
    }
}
