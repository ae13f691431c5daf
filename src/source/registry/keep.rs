//! What is kept of a repository before it is changed, and how it is brought back: manifests as exact bytes, whose blobs stay in the registry
//! until it collects garbage, or a whole layout on disk.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::copy::{Absent, put};
use super::write::{Put, moved};
use super::{Client, Repo};
use crate::model::{CopyFrom, Digest, Foreign, Locator, Problem, ProblemKind, RepositoryView, Safe, SourceId, Transfer, Transport};
use crate::source::oci::{self, Manifest, media};
use crate::source::{Ctx, KeptManifest};

/// Indexes within indexes that are followed.
const DEEPEST: usize = 4;

impl Client {
    /// The manifest as it lies there; with `parts` also what it lists, before it. A part that is missing is left out: it can't be lost.
    pub(super) async fn keep(&self, repo: &Repo, digest: &Digest, parts: bool) -> Result<Vec<KeptManifest>, Problem> {
        let mut kept = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![(digest.clone(), DEEPEST)];
        while let Some((digest, deepest)) = waiting.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let found = match self.document(repo, &digest).await {
                Err(problem) if problem.kind == ProblemKind::NotFound && !kept.is_empty() => continue,
                found => found?,
            };
            if parts
                && deepest > 0
                && let Manifest::Index(index) = oci::parse_manifest(&found.bytes, Some(&found.media_type))
                    .map_err(|malformed| malformed.problem(format!("read the manifest {}", digest.short())))?
            {
                waiting.extend(index.manifests.into_iter().map(|child| (child.digest, deepest - 1)));
            }
            kept.push(found);
        }
        kept.reverse();
        Ok(kept)
    }

    /// From the cache, else from the registry.
    async fn document(&self, repo: &Repo, digest: &Digest) -> Result<KeptManifest, Problem> {
        let inner = &*self.0;
        if let Some(bytes) = inner.documents.get(digest).await
            && let Ok(found) = oci::parse_manifest(&bytes, None)
        {
            let media_type = super::curator::media_type(&found);
            return Ok(KeptManifest { digest: digest.clone(), media_type, bytes });
        }
        let found = inner.manifest(repo, digest.as_str()).await?;
        inner.documents.put(digest, &found.bytes);
        Ok(KeptManifest { digest: found.digest, media_type: found.media_type, bytes: found.bytes })
    }

    /// Puts kept manifests back, the last one under `at`, a tag or its own digest.
    pub(super) async fn put_back(&self, repo: &Repo, at: &str, manifests: &[KeptManifest], before: Option<&Digest>) -> Result<(), Problem> {
        let doing = format!("put back {}:{at}", repo.full());
        let Some((root, parts)) = manifests.split_last() else {
            return Err(Problem::new(ProblemKind::NotFound, doing, "nothing was kept of it"));
        };
        for part in parts {
            if self.stat(repo, part.digest.as_str()).await?.is_none() {
                self.put_manifest(repo, part.digest.as_str(), &part.media_type, part.bytes.clone()).await?;
            }
        }
        if at.parse::<Digest>().is_err() {
            let (media_type, bytes) = (root.media_type.as_str(), &root.bytes);
            return self.0.put_tag(&Put { repo, tag: at, media_type, bytes, digest: &root.digest, before }).await;
        }
        let now = self.0.digest_at(repo, at).await?;
        if now.as_ref() == Some(&root.digest) {
            return Ok(());
        }
        if now.as_ref() != before {
            return Err(moved(&doing, at, now.as_ref()));
        }
        self.put_manifest(repo, at, &root.media_type, root.bytes.clone()).await.map(drop)
    }

    /// What of `manifests` the repository has not got any more, and would need.
    pub(super) async fn missing(&self, repo: &Repo, manifests: &[KeptManifest]) -> Result<Option<Safe>, Problem> {
        for kept in manifests {
            // What is there was accepted with all its parts.
            if self.stat(repo, kept.digest.as_str()).await?.is_some() {
                continue;
            }
            let doing = format!("read the kept manifest {}", kept.digest.short());
            let found = oci::parse_manifest(&kept.bytes, Some(&kept.media_type)).map_err(|malformed| malformed.problem(&doing))?;
            let Manifest::Image(image) = found else { continue };
            for blob in std::iter::once(&image.config).chain(&image.layers) {
                if !self.has_blob(repo, blob).await? {
                    return Ok(Some(Safe::from(format!("the registry has lost its blob {}", blob.digest.short()))));
                }
            }
        }
        Ok(None)
    }

    /// Sends what a layout of one image holds back under `at`, a tag or its digest.
    pub(super) async fn bring_back(
        &self,
        ctx: &Ctx,
        repo: &Repo,
        at: &str,
        digest: &Digest,
        layout: &Path,
        before: Option<&Digest>,
    ) -> Result<(), Problem> {
        let doing = format!("bring back {}:{at}", repo.full());
        let locator = Locator { transport: Transport::Layout, path: Some(layout.to_owned()), name: None };
        let (origin, root) = self.origin(&CopyFrom::File(locator), &doing).await?;
        if root.digest != *digest {
            return Err(Problem::new(ProblemKind::Corrupt, doing, "the backup holds something else"));
        }
        let tree = self.gather(&origin, root, Absent::Refused, &doing).await?;
        self.send_tree(ctx, &origin, repo, &tree, &mut Transfer::default()).await?;
        if at.parse::<Digest>().is_err() {
            return self.0.put_tag(&put(repo, at, &tree.root, before)).await;
        }
        self.put_manifest(repo, at, &tree.root.media_type, tree.root.bytes.clone()).await.map(drop)
    }

    /// A repository as it is now; what refers to a manifest is asked for those of `tags` and `digests`.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn view(&self, ctx: &Ctx, repo: &Repo, tags: &[String], digests: &[Digest]) -> Result<RepositoryView, Problem> {
        let resolved = self.resolve(ctx, repo).await?;
        let of_tags = tags.iter().filter_map(|tag| resolved.tags.get(tag)).map(|stat| stat.digest.clone());
        let asked: BTreeSet<Digest> = of_tags.chain(digests.iter().cloned()).collect();
        // The first one finds out whether there is an API.
        let mut asked = asked.into_iter();
        let first = asked.next();
        let ask = |digest: Digest| async {
            let _turn = self.0.turn(repo.host()).await;
            let found = self.referrers_among(repo, &digest, &resolved.tags).await?;
            let referrers: Vec<_> = found.referrers.into_iter().map(|one| (one.digest, one.tag)).collect();
            Ok::<_, Problem>((digest, referrers, found.completeness))
        };
        let mut referrers = std::collections::BTreeMap::new();
        let mut completeness = resolved.completeness.clone();
        let rest = stream::iter(asked).map(ask).buffer_unordered(self.0.host(repo.host()).requests.max(1));
        let mut answers = std::pin::pin!(stream::iter(first).then(ask).chain(rest));
        while let Some(answer) = answers.next().await {
            let (digest, found, whole) = answer?;
            if completeness == crate::model::Completeness::Complete {
                completeness = whole;
            }
            referrers.insert(digest, found);
        }
        let seen = |stat: &super::Stat| (stat.digest.clone(), Foreign::new(&stat.media_type));
        Ok(RepositoryView {
            source: SourceId::registry(repo.host()),
            name: repo.full(),
            tags: resolved.tags.iter().map(|(tag, stat)| (tag.clone(), seen(stat))).collect(),
            indexes: resolved.indexes.into_iter().filter(|(digest, _)| is_index(&resolved.tags, digest)).collect(),
            referrers,
            held: std::collections::BTreeMap::new(),
            completeness,
        })
    }
}

fn is_index(tags: &std::collections::BTreeMap<String, super::Stat>, digest: &Digest) -> bool {
    tags.values().any(|stat| stat.digest == *digest && media::is_index(&stat.media_type))
}
