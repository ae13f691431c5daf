//! Reads what many images are made of, to find one layer among them: those of an engine or store, and the manifests of a repository. Only
//! manifests and configurations are read, never a layer.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};

use crate::flow::JobOutput;
use crate::flow::job::InRepository;
use crate::model::{Digest, Image, ImageKey, Name, Problem, ProblemKind, SourceId, Stack, TagDetails};
use crate::source::{Ctx, Source};

use super::catalog::{Arrived, catalog};
use super::run::{Chunks, Env};

/// Images read at a time; a registry holds itself to fewer.
const AT_ONCE: usize = 8;

pub(super) async fn trace(
    env: &Env,
    local: Option<(SourceId, Vec<Digest>)>,
    remote: Option<InRepository>,
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    if let Some((source, images)) = local {
        let source = env.table.get(&source).await?;
        let keys = images.into_iter().map(|id| (id.clone(), Ok(ImageKey::Id(id)))).collect();
        pass_on(&*source, keys, true, ctx, chunks).await?;
    }
    if let Some(InRepository { source, repository, tags, digests }) = remote {
        let host = source.registry_host().unwrap_or_default().to_owned();
        let source = env.table.get(&source).await?;
        let mut wanted: BTreeSet<Digest> = digests.into_iter().collect();
        wanted.extend(told(&*source, &repository, &tags, ctx, chunks).await?);
        let name = format!("{host}/{repository}");
        pass_on(&*source, wanted.into_iter().map(|digest| manifest(&name, digest)).collect(), false, ctx, chunks).await?;
    }
    Ok(JobOutput::Told)
}

/// Asks where tags point that were not asked yet; gives the images they lead to.
async fn told(source: &dyn Source, repository: &str, tags: &[String], ctx: &Ctx, chunks: &Chunks) -> Result<Vec<Digest>, Problem> {
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    let (arrived, mut images) = (Arrived::new(), Vec::new());
    let mut each = |answer: (String, Result<TagDetails, Problem>)| {
        images.extend(answer.1.iter().flat_map(TagDetails::images));
        arrived.put([answer]);
    };
    let asked = catalog(source, "read tags")?.details(ctx, repository, tags, &mut each);
    arrived.relay(asked, chunks, JobOutput::Details).await?;
    Ok(images)
}

/// What is to be read, under what it is to be known by.
pub type Wanted = (Digest, Result<ImageKey, Problem>);

/// A manifest of the repository `name`, which has the registry's host in it.
pub fn manifest(name: &str, digest: Digest) -> Wanted {
    let name = Name::new(&format!("{name}@{digest}"));
    (digest, name.reference().map(ImageKey::Name))
}

async fn pass_on(source: &dyn Source, wanted: Vec<Wanted>, local: bool, ctx: &Ctx, chunks: &Chunks) -> Result<(), Problem> {
    let arrived = Arrived::new();
    let mut each = |stack| arrived.put([stack]);
    arrived.relay(read(source, wanted, ctx, &mut each), chunks, |stacks| JobOutput::Stacks { local, stacks }).await
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
