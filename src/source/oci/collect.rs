//! From an index to the images behind it, through any depth of nested indexes, wherever the blobs are kept.

use super::manifest::{ImageManifest, Index, Manifest, parse_manifest};
use super::media;
use crate::model::{Digest, Name, Problem, ProblemKind};
use crate::source::content::{Descriptor, Packed};

/// Indexes within indexes.
const DEEPEST: usize = 8;
/// Manifests and indexes in all.
const MOST: usize = 10_000;

/// Where [`collect`] gets documents from.
pub trait Blobs {
    /// A manifest or index, verified against its descriptor.
    ///
    /// # Errors
    /// `NotFound` for a blob that isn't there.
    fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Problem>;

    /// Whether a blob is there in its full size; its digest is not checked.
    ///
    /// # Errors
    /// `NotFound` for a blob that isn't there, `Corrupt` for one of another size.
    fn present(&self, blob: &Descriptor) -> Result<(), Problem>;
}

/// What an index leads to.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the index's order. Signatures, attestations and other artifacts are left out.
    pub images: Vec<Packed>,
    /// Images that are named but can't be read, each with its reason.
    pub gaps: Vec<Problem>,
}

/// Finds the images of `index`. Children of a multi-platform index that aren't there are left out in silence, since engines save only the
/// platforms they have; what the index itself names must be there or is a gap.
///
/// # Errors
/// An index that contains itself, is nested too deeply, or leads to too many manifests; `doing` names what was being read.
pub fn collect(index: &Index, doing: &str, blobs: &dyn Blobs) -> Result<Collected, Problem> {
    let mut walk = Walk { doing, blobs, seen: 0, out: Collected::default() };
    for root in &index.manifests {
        walk.visit(root, root, &names(root), &mut Vec::new())?;
    }
    Ok(walk.out)
}

/// The names at a descriptor. Containerd writes the whole name apart, and only the tag where others write the whole.
fn names(root: &Descriptor) -> Vec<Name> {
    let whole = root.annotations.get("io.containerd.image.name");
    let name = whole.or_else(|| root.annotations.get("org.opencontainers.image.ref.name"));
    name.filter(|name| !name.is_empty()).map(|name| Name::new(name.raw())).into_iter().collect()
}

struct Walk<'a> {
    doing: &'a str,
    blobs: &'a dyn Blobs,
    seen: usize,
    out: Collected,
}

impl Walk<'_> {
    fn visit(&mut self, at: &Descriptor, root: &Descriptor, names: &[Name], above: &mut Vec<Digest>) -> Result<(), Problem> {
        let known = media::is_index(&at.media_type) || media::is_manifest(&at.media_type) || at.media_type.is_empty();
        if !known || is_attestation(at) {
            return Ok(());
        }
        self.seen += 1;
        if self.seen > MOST {
            return Err(self.refuse(ProblemKind::Limit, &format!("it leads to more than {MOST} manifests")));
        }
        if above.contains(&at.digest) {
            return Err(self.refuse(ProblemKind::Corrupt, &format!("the index {} contains itself", at.digest)));
        }
        if above.len() >= DEEPEST {
            return Err(self.refuse(ProblemKind::Limit, &format!("its indexes are nested more than {DEEPEST} deep, at {}", at.digest)));
        }
        match self.read(at) {
            Ok(Manifest::Image(manifest)) => self.image(&manifest, at, root, names, !above.is_empty()),
            Ok(Manifest::Index(index)) => {
                let before = (self.out.images.len(), self.out.gaps.len());
                above.push(at.digest.clone());
                for child in &index.manifests {
                    self.visit(child, root, names, above)?;
                }
                above.pop();
                let nothing = before == (self.out.images.len(), self.out.gaps.len());
                if nothing && above.is_empty() && index.manifests.iter().any(|child| !is_attestation(child)) {
                    self.gap_unless_merged(at);
                }
            }
            Err(problem) if problem.kind == ProblemKind::NotFound && !above.is_empty() => {}
            Err(problem) => self.out.gaps.push(problem),
        }
        Ok(())
    }

    /// Tells of an index without any image here, unless its images only joined ones already found.
    fn gap_unless_merged(&mut self, at: &Descriptor) {
        if !self.out.images.iter().any(|image| image.root.as_ref().is_some_and(|root| root.digest == at.digest)) {
            let cause = format!("none of the images of the index {} is there", at.digest);
            self.out.gaps.push(self.refuse(ProblemKind::NotFound, &cause));
        }
    }

    fn read(&self, at: &Descriptor) -> Result<Manifest, Problem> {
        let bytes = self.blobs.document(at)?;
        parse_manifest(&bytes, Some(&at.media_type)).map_err(|error| error.problem(format!("{} (the manifest {})", self.doing, at.digest)))
    }

    fn image(&mut self, manifest: &ImageManifest, at: &Descriptor, root: &Descriptor, names: &[Name], is_child: bool) {
        if !manifest.is_image() {
            return;
        }
        let whole = std::iter::once(&manifest.config).chain(&manifest.layers).try_for_each(|blob| self.blobs.present(blob));
        match whole {
            Err(problem) if problem.kind == ProblemKind::NotFound && is_child => return,
            Err(problem) => return self.out.gaps.push(problem),
            Ok(()) => {}
        }
        let same = |image: &&mut Packed| {
            image.root.as_ref().is_some_and(|known| known.digest == root.digest)
                && image.manifest.as_ref().is_some_and(|known| known.digest == at.digest)
        };
        if let Some(known) = self.out.images.iter_mut().find(same) {
            for name in names {
                if !known.names.contains(name) {
                    known.names.push(name.clone());
                }
            }
            return;
        }
        let mut described = at.clone();
        described.media_type.clone_from(&manifest.media_type);
        self.out.images.push(Packed {
            names: names.to_vec(),
            root: Some(if root.digest == at.digest { described.clone() } else { root.clone() }),
            manifest: Some(described),
            config: manifest.config.clone(),
            layers: manifest.layers.clone(),
            base: manifest.base(at),
        });
    }

    fn refuse(&self, kind: ProblemKind, cause: &str) -> Problem {
        Problem::new(kind, self.doing, cause)
    }
}

fn is_attestation(at: &Descriptor) -> bool {
    at.platform.as_ref().is_some_and(|platform| platform.os == "unknown" && platform.architecture == "unknown")
        || at.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind.raw() == "attestation-manifest")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::source::oci::parse_index;

    /// Answers for digests with whatever was put there, so that even impossible references can be made.
    #[derive(Default)]
    struct Fake(HashMap<Digest, Vec<u8>>);

    impl Fake {
        fn put(&mut self, key: &str, body: &Value) {
            self.0.insert(digest(key), serde_json::to_vec(body).unwrap());
        }

        fn collect(&self, manifests: &Value) -> Result<Collected, Problem> {
            let index = parse_index(&serde_json::to_vec(&json!({"manifests": manifests})).unwrap()).unwrap();
            collect(&index, "read it", self)
        }
    }

    impl Blobs for Fake {
        fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Problem> {
            self.0.get(&blob.digest).cloned().ok_or_else(|| Problem::new(ProblemKind::NotFound, "read it", "missing"))
        }

        fn present(&self, _: &Descriptor) -> Result<(), Problem> {
            Ok(())
        }
    }

    fn digest(key: &str) -> Digest {
        Digest::sha256(key.as_bytes())
    }

    fn at(kind: &str, key: &str) -> Value {
        json!({"mediaType": kind, "digest": digest(key), "size": 1})
    }

    fn image() -> Value {
        json!({"config": at(media::OCI_CONFIG, "config"), "layers": []})
    }

    #[test]
    fn a_base_is_said_by_the_manifest_or_by_what_points_at_it() {
        let mut fake = Fake::default();
        let says = |name: &str| json!({"org.opencontainers.image.base.name": name});
        let mut own = image();
        own["annotations"] = says("debian:12");
        fake.put("own", &own);
        fake.put("none", &image());
        let [mut one, mut two] = ["own", "none"].map(|key| at(media::OCI_MANIFEST, key));
        one["annotations"] = says("alpine:3");
        two["annotations"] = says("alpine:3");
        let found = fake.collect(&json!([one, two, at(media::OCI_MANIFEST, "none")])).unwrap();
        let bases: Vec<_> = found.images.iter().map(|image| image.base.as_ref().map(|base| base.name.raw())).collect();
        assert_eq!(bases[..2], [Some("debian:12"), Some("alpine:3")]);
    }

    #[test]
    fn nested_indexes_give_each_platform_the_names_of_the_top() {
        let mut fake = Fake::default();
        fake.put("image", &image());
        fake.put("inner", &json!({"manifests": [at(media::OCI_MANIFEST, "image"), at(media::OCI_MANIFEST, "gone")]}));
        let mut attestation = at(media::OCI_MANIFEST, "attestation");
        attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        fake.put("outer", &json!({"manifests": [at(media::OCI_INDEX, "inner"), attestation]}));
        let mut top = at(media::OCI_INDEX, "outer");
        top["annotations"] = json!({"io.containerd.image.name": "docker.io/library/a:1", "org.opencontainers.image.ref.name": "1"});
        let mut again = top.clone();
        again["annotations"] = json!({"org.opencontainers.image.ref.name": "a:2"});
        let found = fake.collect(&json!([top, again])).unwrap();
        assert!(found.gaps.is_empty(), "{:?}", found.gaps);
        let names: Vec<_> = found.images.iter().flat_map(|image| image.names.iter().map(Name::raw)).collect();
        assert_eq!((found.images.len(), names), (1, vec!["docker.io/library/a:1", "a:2"]));
        assert_eq!(found.images[0].root.as_ref().unwrap().digest, digest("outer"));
    }

    #[test]
    fn an_index_in_itself_or_too_deep_is_refused() {
        let mut fake = Fake::default();
        fake.put("a", &json!({"manifests": [at(media::OCI_INDEX, "b")]}));
        fake.put("b", &json!({"manifests": [at(media::OCI_INDEX, "a")]}));
        assert!(fake.collect(&json!([at(media::OCI_INDEX, "a")])).unwrap_err().cause.as_str().contains("contains itself"));
        for i in 0..20 {
            fake.put(&format!("deep{i}"), &json!({"manifests": [at(media::OCI_INDEX, &format!("deep{}", i + 1))]}));
        }
        assert_eq!(fake.collect(&json!([at(media::OCI_INDEX, "deep0")])).unwrap_err().kind, ProblemKind::Limit);
        // Every level lists the next twice: 2^8 visits are fine, a wide one is not.
        let many: Vec<_> = (0..6000).map(|_| at(media::OCI_MANIFEST, "image")).collect();
        fake.put("image", &image());
        fake.put("wide", &json!({"manifests": many}));
        assert_eq!(
            fake.collect(&json!([at(media::OCI_INDEX, "wide"), at(media::OCI_INDEX, "wide")])).unwrap_err().kind,
            ProblemKind::Limit
        );
    }

    #[test]
    fn what_the_index_names_and_is_not_there_is_a_gap() {
        let mut fake = Fake::default();
        fake.put("image", &image());
        fake.put("empty", &json!({"manifests": [at(media::OCI_MANIFEST, "gone")]}));
        let top = json!([at(media::OCI_MANIFEST, "image"), at(media::OCI_MANIFEST, "gone"), at(media::OCI_INDEX, "empty")]);
        let found = fake.collect(&top).unwrap();
        assert_eq!((found.images.len(), found.gaps.len()), (1, 2));
    }
}
