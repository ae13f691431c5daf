//! Pulling: the manifest first, then its blobs side by side, and the name last, under the lock.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::index;
use super::{Store, blocking};
use crate::model::{Name, Platform, Problem, ProblemKind, Reference, Safe, StepState, Transfer};
use crate::source::Ctx;
use crate::source::content::Descriptor;
use crate::source::oci::{self, ImageManifest, Manifest};
use crate::source::registry::{self, Client, RemoteManifest, Repo, is_runnable, pick, target};

/// Blobs that come at the same time.
const AT_ONCE: usize = 4;
/// A blob that vanished between being seen and being named is fetched again this many times.
const ROUNDS: usize = 3;

/// What is to be stored for one image.
struct Plan {
    /// What the name stands at.
    root: RemoteManifest,
    /// The chosen platform's manifest, when the root is an index.
    child: Option<RemoteManifest>,
    image: ImageManifest,
    /// Configuration and layers, each once.
    blobs: Vec<Descriptor>,
}

impl Store {
    pub(super) async fn pull(self: &Arc<Self>, ctx: &Ctx, reference: &Reference, platform: Option<&Platform>) -> Result<Transfer, Problem> {
        let doing = format!("pull {reference}");
        let client = self.ready().await?;
        let repo = Repo::of(reference)?;
        let _lease = self.lease(ctx, &doing).await?;
        ctx.meter.phase("reading the manifest");
        let plan = self.plan(ctx, &client, &repo, reference, platform).await?;
        let mut sum = Transfer { digest: Some(plan.root.digest.clone()), ..Transfer::default() };
        let steps: Vec<usize> = plan.blobs.iter().map(|blob| ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size))).collect();
        for round in 1.. {
            ctx.meter.phase("pulling");
            self.fetch(ctx, &client, &repo, &plan, &steps, &mut sum, round == 1).await?;
            ctx.meter.phase("storing");
            match self.store_pulled(ctx, &doing, reference, &repo, &plan, platform).await {
                Err(problem) if problem.kind == ProblemKind::NotFound && round < ROUNDS => {}
                Err(problem) => return Err(problem),
                Ok(()) => break,
            }
        }
        Ok(sum)
    }

    /// The registry client, made where it may block.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<Client, Problem> {
        let store = Arc::clone(self);
        blocking("set up the registry client", move || store.client()).await
    }

    async fn plan(
        &self,
        ctx: &Ctx,
        client: &Client,
        repo: &Repo,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Plan, Problem> {
        let doing = format!("pull {reference}");
        ctx.check(&doing)?;
        let root = client.manifest(repo, target(reference)).await?;
        let (child, image) = match &root.manifest {
            Manifest::Image(image) => (None, image.clone()),
            Manifest::Index(index) => {
                let wanted = platform.cloned().unwrap_or_else(Platform::host);
                let children: Vec<Descriptor> = index.manifests.iter().filter(|child| is_runnable(child)).cloned().collect();
                let only = || children.first().filter(|child| children.len() == 1 && (platform.is_none() || child.platform.is_none()));
                let child = pick(&children, |child| child.platform.as_ref(), &wanted).or_else(only);
                let child = child.ok_or_else(|| registry::no_platform(&doing, &children, &wanted))?;
                let found = client.manifest(repo, child.digest.as_str()).await?;
                match found.manifest.clone() {
                    Manifest::Image(image) => (Some(found), image),
                    Manifest::Index(_) => return Err(Problem::new(ProblemKind::Unsupported, doing, "its index leads to another index")),
                }
            }
        };
        if !image.is_image() {
            let kind = image.artifact_type.as_deref().unwrap_or(&image.config.media_type);
            return Err(Problem::new(ProblemKind::Unsupported, doing, format!("it is no image but a {}", Safe::new(kind))));
        }
        let mut seen = HashSet::new();
        let blobs = std::iter::once(&image.config).chain(&image.layers).filter(|blob| seen.insert(blob.digest.clone())).cloned().collect();
        Ok(Plan { root, child, image, blobs })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one pull")]
    async fn fetch(
        &self,
        ctx: &Ctx,
        client: &Client,
        repo: &Repo,
        plan: &Plan,
        steps: &[usize],
        sum: &mut Transfer,
        first: bool,
    ) -> Result<(), Problem> {
        let fetching: Vec<_> = plan.blobs.iter().zip(steps).map(|(blob, step)| self.fetch_one(ctx, client, repo, blob, *step)).collect();
        let moved: Vec<(u64, u64)> = stream::iter(fetching).buffer_unordered(AT_ONCE).try_collect().await?;
        for (transferred, skipped) in moved {
            sum.bytes_transferred = sum.bytes_transferred.saturating_add(transferred);
            sum.bytes_skipped = sum.bytes_skipped.saturating_add(if first { skipped } else { 0 });
        }
        Ok(())
    }

    /// Bytes that came, and bytes that were there.
    async fn fetch_one(&self, ctx: &Ctx, client: &Client, repo: &Repo, blob: &Descriptor, step: usize) -> Result<(u64, u64), Problem> {
        if self.blobs.has(blob) {
            ctx.meter.finish(step, StepState::Skipped);
            return Ok((0, blob.size));
        }
        let (blobs, digest) = (self.blobs.clone(), blob.digest.clone());
        let target = blocking("store a blob", move || blobs.prepare(&digest)).await?;
        let landed = client.land(ctx, repo, blob, step, &target).await;
        let landed = landed.inspect_err(|_| ctx.meter.finish(step, StepState::Failed))?;
        ctx.meter.finish(step, StepState::Done);
        Ok((landed.transferred, landed.kept))
    }

    /// Manifests and the name. `NotFound` when a blob went missing meanwhile.
    async fn store_pulled(
        self: &Arc<Self>,
        ctx: &Ctx,
        doing: &str,
        reference: &Reference,
        repo: &Repo,
        plan: &Plan,
        platform: Option<&Platform>,
    ) -> Result<(), Problem> {
        let store = Arc::clone(self);
        let blobs = plan.blobs.clone();
        let config = plan.image.config.clone();
        let manifests: Vec<_> = plan.child.iter().chain([&plan.root]).map(|one| (one.bytes.clone(), one.digest.clone())).collect();
        let root = Descriptor {
            media_type: plan.root.media_type.clone(),
            digest: plan.root.digest.clone(),
            size: plan.root.bytes.len() as u64,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let origin = format!("{}@{}", repo.full(), root.digest);
        // A digest pins what is meant; it is no name.
        let name = reference.digest().is_none().then(|| index::canonical(reference));
        let (words, wanted) = (doing.to_owned(), platform.cloned().filter(|_| plan.child.is_none()));
        self.change(ctx, doing.to_owned(), move |locked| {
            if let Some(missing) = blobs.iter().find(|blob| !store.blobs.has(blob)) {
                let cause = format!("{} went missing", missing.digest);
                return Err(Problem::new(ProblemKind::NotFound, words, cause));
            }
            let bytes = store.blobs.document(&config.digest)?;
            let read = oci::parse_config(&bytes).map_err(|malformed| malformed.problem(&words))?;
            if let (Some(wanted), Some(has)) = (&wanted, &read.platform)
                && !has.serves(wanted)
            {
                let problem = Problem::new(ProblemKind::Unsupported, words, format!("there is no image for {wanted}"));
                return Err(problem.hint(format!("it has {has} only")));
            }
            for (bytes, digest) in &manifests {
                store.blobs.put(bytes, digest)?;
            }
            match &name {
                Some(name) => locked.index.set(name, &root),
                None => locked.index.keep(&root),
            }
            locked.index.note_origin(&root.digest, Name::new(&origin).raw());
            Ok(())
        })
        .await
    }
}
