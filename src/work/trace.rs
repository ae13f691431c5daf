//! Reads what many images are made of, to find one layer among them: those of an engine or store, and the manifests of repositories. Only
//! manifests and configurations are read, never a layer. How much is asked of registries in one go is bounded, and what was left out for that, or
//! could not be read, is told of each repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _};

use crate::flow::JobOutput;
use crate::flow::job::InRepository;
use crate::model::remote::companion_of;
use crate::model::{Digest, Found, Image, ImageKey, Name, Problem, ProblemKind, SourceId, Stack, TagDetails, TagRow};
use crate::source::{Ctx, Source, TagAnswer};

use super::catalog::{Arrived, catalog};
use super::run::{Chunks, Env};

/// Images read at a time; a registry holds itself to fewer.
const AT_ONCE: usize = 8;
/// Repositories looked through at a time: most have few tags, and waiting for one answer after the other would take longest.
const REPOSITORIES_AT_ONCE: usize = 4;
/// Lists, tags and manifests that are asked of registries in one go; each takes a few requests at most.
pub const MOST: usize = 20_000;

pub(super) async fn trace(
    env: &Env,
    local: Option<(SourceId, Vec<Digest>)>,
    remote: Vec<InRepository>,
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let here = match local {
        Some((source, images)) => images_here(env, &source, images, ctx, chunks).await,
        None => Ok(()),
    };
    let mut sources: BTreeMap<SourceId, Result<Arc<dyn Source>, Problem>> = BTreeMap::new();
    for one in &remote {
        if !sources.contains_key(&one.source) {
            sources.insert(one.source.clone(), env.table.get(&one.source).await);
        }
    }
    let arrived = Arrived::new();
    let each = |at: usize, found: Found| arrived.put([(at, found)]);
    arrived.relay(repositories(&sources, &remote, MOST, ctx, &each), chunks, JobOutput::Found).await?;
    // An engine that is lost keeps nobody from looking through a registry.
    here.map(|()| JobOutput::Told)
}

async fn images_here(env: &Env, source: &SourceId, images: Vec<Digest>, ctx: &Ctx, chunks: &Chunks) -> Result<(), Problem> {
    let source = env.table.get(source).await?;
    let keys = images.into_iter().map(|id| (id.clone(), Ok(ImageKey::Id(id)))).collect();
    let arrived = Arrived::new();
    let mut each = |stack| arrived.put([stack]);
    arrived.relay(read(&*source, keys, ctx, &mut each), chunks, JobOutput::Stacks).await
}

/// Looks through repositories, those that come first first, and tells of each what is found in it and, once, how that ended. One that can't be
/// read keeps no other from being read; of a registry that is lost no more is asked, and of all together no more than `most` lists, tags and
/// manifests.
///
/// # Errors
/// The caller asked to stop.
pub async fn repositories(
    sources: &BTreeMap<SourceId, Result<Arc<dyn Source>, Problem>>,
    wanted: &[InRepository],
    most: usize,
    ctx: &Ctx,
    each: &(dyn Fn(usize, Found) + Send + Sync),
) -> Result<(), Problem> {
    let search = Search { ctx, most, left: AtomicUsize::new(most), read: Mutex::default(), lost: Mutex::default() };
    let search = &search;
    let one = |(at, wanted): (usize, &InRepository)| {
        let (source, wanted) = (sources.get(&wanted.source).cloned(), wanted.clone());
        async move {
            let tell = |found: Found| each(at, found);
            let ended = search.look_through(source, &wanted, &tell).await;
            let stopped = ended.as_ref().err().filter(|problem| problem.is_cancelled()).cloned();
            tell(Found::Ended(ended));
            stopped.map_or(Ok(()), Err)
        }
    };
    let all: Vec<_> = wanted.iter().enumerate().map(one).collect();
    let mut all = std::pin::pin!(stream::iter(all).buffer_unordered(REPOSITORIES_AT_ONCE));
    while let Some(ended) = all.next().await {
        ended?;
    }
    Ok(())
}

/// What looking through several repositories shares.
struct Search<'a> {
    ctx: &'a Ctx,
    most: usize,
    /// What may still be asked of these.
    left: AtomicUsize,
    /// Manifests that were read: the same digest in another repository is the same image.
    read: Mutex<BTreeSet<Digest>>,
    /// Registries that nobody answers at any more, and why.
    lost: Mutex<BTreeMap<SourceId, Problem>>,
}

impl Search<'_> {
    /// How many of `wanted` may be asked.
    fn grant(&self, wanted: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(wanted));
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_else(|left| left).min(wanted)
    }

    async fn look_through(
        &self,
        source: Option<Result<Arc<dyn Source>, Problem>>,
        wanted: &InRepository,
        tell: &(dyn Fn(Found) + Send + Sync),
    ) -> Result<(), Problem> {
        let lock = || self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = lock().get(&wanted.source) {
            return Err(problem.clone());
        }
        let doing = format!("look through {}", wanted.repository);
        let absent = || Err(Problem::new(ProblemKind::NotFound, doing, "its registry is not known"));
        let source = source.unwrap_or_else(absent)?;
        let ended = self.look(&*source, wanted, tell).await;
        if let Err(problem) = &ended
            && problem.kind == ProblemKind::Unreachable
        {
            lock().insert(wanted.source.clone(), problem.clone());
        }
        ended
    }

    async fn look(&self, source: &dyn Source, wanted: &InRepository, tell: &(dyn Fn(Found) + Send + Sync)) -> Result<(), Problem> {
        let mut cut = false;
        let tags = match &wanted.tags {
            Some(tags) => tags.clone(),
            None if self.grant(1) == 0 => return Err(self.limit(&wanted.repository)),
            None => self.listed(source, &wanted.repository, tell).await?,
        };
        let granted = self.grant(tags.len());
        cut |= granted < tags.len();
        let asked = tags.get(..granted).unwrap_or_default();
        let mut images: BTreeSet<Digest> = wanted.digests.iter().cloned().collect();
        images.extend(self.told(source, &wanted.repository, asked, tell).await?);
        let is_new = |digest: &Digest| !self.read.lock().unwrap_or_else(PoisonError::into_inner).contains(digest);
        images.retain(is_new);
        let granted = self.grant(images.len());
        cut |= granted < images.len();
        let name = format!("{}/{}", wanted.source.registry_host().unwrap_or_default(), wanted.repository);
        let keys = images.into_iter().take(granted).map(|digest| manifest(&name, digest)).collect();
        let mut each = |stack: Stack| {
            if stack.layers.is_ok() {
                self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(stack.digest.clone());
            }
            tell(Found::Stacks(vec![stack]));
        };
        read(source, keys, self.ctx, &mut each).await?;
        if cut { Err(self.limit(&wanted.repository)) } else { Ok(()) }
    }

    fn limit(&self, repository: &str) -> Problem {
        let cause = format!("at most {} lists, tags and manifests are read at a time", self.most);
        Problem::new(ProblemKind::Limit, format!("look through all of {repository}"), cause).hint("look through fewer repositories")
    }

    /// The tags that may lead to images.
    async fn listed(&self, source: &dyn Source, repository: &str, tell: &(dyn Fn(Found) + Send + Sync)) -> Result<Vec<String>, Problem> {
        let mut rows: Vec<TagRow> = Vec::new();
        let mut each = |more: Vec<TagRow>| rows.extend(more);
        let listed = catalog(source, "list tags")?.tags(self.ctx, repository, &mut each).await?;
        rows.retain(|row| companion_of(row.tag.raw()).is_none());
        tell(Found::Listed { tags: rows.len() + listed.odd, completeness: listed.completeness });
        // What is outside the grammar can't be asked for, and counts as not looked at.
        Ok(rows.into_iter().filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).collect())
    }

    /// Asks where tags point; gives the images they lead to.
    async fn told(
        &self,
        source: &dyn Source,
        repository: &str,
        tags: &[String],
        tell: &(dyn Fn(Found) + Send + Sync),
    ) -> Result<Vec<Digest>, Problem> {
        let mut images = Vec::new();
        if tags.is_empty() {
            return Ok(images);
        }
        let mut each = |answer: TagAnswer| {
            images.extend(answer.1.iter().flat_map(TagDetails::images));
            tell(Found::Tags(vec![answer]));
        };
        catalog(source, "read tags")?.details(self.ctx, repository, tags, &mut each).await?;
        Ok(images)
    }
}

/// What is to be read, under what it is to be known by.
pub type Wanted = (Digest, Result<ImageKey, Problem>);

/// A manifest of the repository `name`, which has the registry's host in it.
fn manifest(name: &str, digest: Digest) -> Wanted {
    let name = Name::new(&format!("{name}@{digest}"));
    (digest, name.reference().map(ImageKey::Name))
}

/// Reads images and passes on what they are made of. One that can't be read keeps no other from being read; a source that is lost ends it.
///
/// # Errors
/// The source is lost, or the caller asked to stop.
pub async fn read(source: &dyn Source, wanted: Vec<Wanted>, ctx: &Ctx, each: &mut (dyn FnMut(Stack) + Send)) -> Result<(), Problem> {
    let one = |(digest, key): Wanted| async move {
        let image = match key {
            Ok(key) => source.inspect(ctx, &key).await,
            Err(problem) => Err(problem),
        };
        (digest, image)
    };
    let mut all = std::pin::pin!(stream::iter(wanted).map(one).buffer_unordered(AT_ONCE));
    while let Some((digest, image)) = all.next().await {
        if let Err(problem) = &image
            && (problem.kind == ProblemKind::Unreachable || problem.is_cancelled())
        {
            return Err(problem.clone());
        }
        each(stack(digest, image));
    }
    Ok(())
}

fn stack(digest: Digest, image: Result<Image, Problem>) -> Stack {
    let unknown = || Problem::new(ProblemKind::Unsupported, "read the layers", "the source does not tell them");
    match image {
        Ok(image) => {
            let layers = image.layers.map(|layers| layers.into_iter().map(|layer| (layer.digest, layer.diff_id)).collect());
            Stack { digest, config: Some(image.id), layers: layers.ok_or_else(unknown) }
        }
        Err(problem) => Stack { digest, config: None, layers: Err(problem) },
    }
}
