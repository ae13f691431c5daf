//! What manifests of a repository hold, for sums of bytes: from the cache where they were read before, else from the registry, as far as that is
//! worth its requests. What could not be read is left out, and whoever adds up says so.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Client, Repo};
use crate::model::remote::Held;
use crate::model::{Digest, Problem, ProblemKind, Safe, StepState};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::{self, Manifest};

/// Manifests that are asked for at one time: a repository of ten thousand tags is not read for a figure.
const MOST: usize = 1000;
/// Manifests that are remembered at one time, and entries of theirs: what lists more is left out.
const MOST_SEEN: usize = 100_000;
const MOST_ENTRIES: usize = 1_000_000;
/// Indexes within indexes that are followed.
const DEEPEST: usize = 4;
/// Of what a registry that counts still gives, the part that a figure may cost.
const SHARE: u64 = 10;

impl Client {
    /// What `digests` hold, and the manifests in them; those that come first are asked for first.
    ///
    /// # Errors
    /// Only when the caller cancels.
    pub async fn held(&self, ctx: &Ctx, repo: &Repo, digests: &[Digest]) -> Result<BTreeMap<Digest, Held>, Problem> {
        let left = self.quota(repo.host()).map_or(MOST, |quota| usize::try_from(quota.remaining / SHARE).unwrap_or(MOST).min(MOST));
        let left = AtomicUsize::new(left);
        let step = ctx.meter.step(Safe::new("manifests"), Some(digests.len() as u64));
        let (mut found, mut seen, mut entries) = (BTreeMap::new(), HashSet::new(), 0_usize);
        let mut wanted: Vec<Digest> = digests.to_vec();
        for _ in 0..=DEEPEST {
            wanted.retain(|digest| seen.len() < MOST_SEEN && seen.insert(digest.clone()));
            let left = &left;
            let asked = stream::iter(std::mem::take(&mut wanted)).map(|digest| async move {
                let held = self.held_by(repo, &digest, left).await;
                (digest, held)
            });
            let mut answers = std::pin::pin!(asked.buffered(self.0.host(repo.host()).requests.max(1)));
            while let Some((digest, held)) = answers.next().await {
                ctx.check("read what manifests hold")?;
                ctx.meter.add(step, 1);
                let held = held.filter(|held| entries + size(held) <= MOST_ENTRIES);
                if let Some(held) = held {
                    entries += size(&held);
                    wanted.extend(held.children.iter().cloned());
                    found.insert(digest, held);
                }
            }
        }
        ctx.meter.finish(step, StepState::Done);
        self.0.documents.settle().await;
        Ok(found)
    }

    /// `None` where it can't be read, or may not any more.
    async fn held_by(&self, repo: &Repo, digest: &Digest, left: &AtomicUsize) -> Option<Held> {
        let inner = &*self.0;
        if let Some(bytes) = inner.documents.get(digest).await
            && let Ok(found) = oci::parse_manifest(&bytes, None)
        {
            return Some(held(bytes.len() as u64, found));
        }
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()?;
        let _turn = inner.turn(repo.host()).await;
        match inner.manifest(repo, digest.as_str()).await {
            Ok(read) => {
                inner.documents.put(digest, &read.bytes);
                Some(held(read.bytes.len() as u64, read.manifest))
            }
            // What is not there, such as a platform that was never copied, holds nothing.
            Err(problem) if problem.kind == ProblemKind::NotFound => Some(Held { blobs: Some(Vec::new()), ..Held::default() }),
            Err(problem) => {
                tracing::debug!(%digest, cause = %problem.cause, "a manifest can't be read, so its bytes are not known");
                // A registry that answers no more is not asked a thousand times.
                if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Denied) {
                    left.store(0, Ordering::Relaxed);
                }
                None
            }
        }
    }
}

fn size(held: &Held) -> usize {
    held.children.len() + held.blobs.as_ref().map_or(0, Vec::len)
}

fn held(size: u64, manifest: Manifest) -> Held {
    match manifest {
        Manifest::Index(index) => {
            Held { size, blobs: Some(Vec::new()), children: index.manifests.into_iter().map(|child| child.digest).collect() }
        }
        Manifest::Image(image) => {
            let blob = |blob: Descriptor| (blob.digest, blob.size);
            let blobs = std::iter::once(image.config).chain(image.layers).map(blob).collect();
            Held { size, blobs: Some(blobs), children: Vec::new() }
        }
    }
}
