//! What refers to an image goes along with its copy: signatures, SBOMs, attestations. They are put by digest, so that a registry with the
//! referrers API finds them itself; where there is none, the tag that stands in for it is written too. Cosign's tags keep their names.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};

use super::copy::{Absent, Origin, Part, Tree};
use super::write::Put;
use super::{Client, Repo};
use crate::model::remote::companion_tags;
use crate::model::{Completeness, Digest, Problem, ProblemKind, Referrer, Transfer};
use crate::source::Ctx;
use crate::source::oci::{self, media};

/// Referrers that go along with one image.
const MOST: usize = 500;

impl Client {
    /// Copies what refers to an image or to one of its platforms, and what refers to that: a signature on an SBOM on an image.
    ///
    /// # Errors
    /// What a registry answered; more referrers than could be meant, or a list of them that is not whole. The image itself is there by then.
    pub(super) async fn copy_referrers(&self, ctx: &Ctx, from: &Repo, to: &Repo, tree: &Tree, sum: &mut Transfer) -> Result<(), Problem> {
        let digests = |tree: &Tree| tree.below.iter().chain([&tree.root]).map(|part| part.digest.clone()).collect::<Vec<_>>();
        let mut open: VecDeque<Digest> = digests(tree).into();
        // A referrer may refer to what refers to it, round in a circle: each is looked at once.
        let mut done: HashSet<Digest> = open.iter().cloned().collect();
        let mut copied = 0;
        let mut doubt = None;
        while let Some(subject) = open.pop_front() {
            ctx.meter.phase("copying what refers to it");
            let found = self.referrers(from, &subject, None).await?;
            if let Completeness::Incomplete(why) = found.completeness {
                doubt.get_or_insert(why);
            }
            let mut plain = Vec::new();
            for referrer in found.referrers {
                if done.insert(referrer.digest.clone()) {
                    copied += 1;
                    if copied > MOST {
                        let doing = format!("copy what refers to {} to {}", tree.root.digest.short(), to.full());
                        return Err(Problem::new(ProblemKind::Limit, doing, format!("there are more than {MOST}")));
                    }
                    let below = self.copy_referrer(ctx, from, to, &referrer, sum).await?;
                    let below = digests(&below).into_iter().filter(|digest| *digest == referrer.digest || done.insert(digest.clone()));
                    open.extend(below.collect::<Vec<_>>());
                }
                if referrer.tag.is_none() {
                    plain.push(referrer);
                }
            }
            if !plain.is_empty() && !self.referrers(to, &subject, None).await?.api {
                self.note_referrers_by_tag(to, &subject, &plain).await?;
            }
        }
        match doubt {
            None => Ok(()),
            Some(why) => {
                let doing = format!("be sure that all that refers to {} is in {}", tree.root.digest.short(), to.full());
                Err(Problem::new(ProblemKind::Other, doing, why.as_str()).hint("the image is there, and what could be listed"))
            }
        }
    }

    async fn copy_referrer(&self, ctx: &Ctx, from: &Repo, to: &Repo, referrer: &Referrer, sum: &mut Transfer) -> Result<Tree, Problem> {
        let doing = format!("copy {} to {}", referrer.digest.short(), to.full());
        let found = self.manifest(from, referrer.digest.as_str()).await?;
        let part = Part { digest: found.digest, media_type: found.media_type, bytes: found.bytes, manifest: found.manifest };
        let origin = Origin::Registry(from.clone());
        let tree = self.gather(&origin, part, Absent::Refused, &doing).await?;
        self.send_tree(ctx, &origin, to, &tree, sum).await?;
        let root = &tree.root;
        match &referrer.tag {
            // Another signature under the same tag is not overwritten.
            Some(tag) => {
                let put = Put { repo: to, tag, media_type: &root.media_type, bytes: &root.bytes, digest: &root.digest, before: None };
                self.0.put_tag(&put).await?;
            }
            None => self.put_manifest(to, root.digest.as_str(), &root.media_type, root.bytes.clone()).await.map(drop)?,
        }
        Ok(tree)
    }

    /// Adds to the index under `sha256-<hex>`.
    async fn note_referrers_by_tag(&self, to: &Repo, subject: &Digest, new: &[Referrer]) -> Result<(), Problem> {
        let [tag, ..] = companion_tags(subject);
        let doing = format!("note what refers to {} in {}", subject.short(), to.full());
        let there = match self.manifest(to, &tag).await {
            Ok(found) => Some(found),
            Err(problem) if problem.kind == ProblemKind::NotFound => None,
            Err(problem) => return Err(problem),
        };
        let mut document = match &there {
            Some(found) => oci::parse_strict(&found.bytes).map_err(|malformed| malformed.problem(&doing))?,
            None => json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []}),
        };
        let Some(list) = document.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(Problem::new(ProblemKind::Conflict, doing, format!("the tag {tag} is taken by something else")));
        };
        let before = list.len();
        for referrer in new {
            if !list.iter().any(|entry| entry.get("digest").and_then(Value::as_str) == Some(referrer.digest.as_str())) {
                list.push(descriptor(referrer));
            }
        }
        if list.len() == before {
            return Ok(());
        }
        let bytes = Bytes::from(document.to_string());
        let digest = Digest::sha256(&bytes);
        let held = there.as_ref().map(|found| &found.digest);
        let put = Put { repo: to, tag: &tag, media_type: media::OCI_INDEX, bytes: &bytes, digest: &digest, before: held };
        self.0.put_tag(&put).await
    }
}

fn descriptor(referrer: &Referrer) -> Value {
    let mut entry = json!({"mediaType": referrer.media_type, "digest": referrer.digest, "size": referrer.size});
    if let Some(map) = entry.as_object_mut() {
        map.extend(referrer.artifact_type.iter().map(|kind| ("artifactType".to_owned(), json!(kind))));
        if !referrer.annotations.is_empty() {
            let annotations = referrer.annotations.iter().map(|(key, value)| (key.raw().to_owned(), json!(value)));
            map.insert("annotations".to_owned(), Value::Object(annotations.collect()));
        }
    }
    entry
}
