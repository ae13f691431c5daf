//! What the images of a source hold: from what was kept of an earlier run, else from the source. An image's layers never change, so they are read
//! once; only those of images that are still asked for are kept.

use std::sync::Arc;

use super::catalog::Arrived;
use super::known::KnownLists;
use super::run::{Chunks, Env};
use crate::curate::{family, space};
use crate::flow::{JobOutput, Shared};
use crate::model::{Digest, Image, ImageList, Layers, Problem, Safe, SourceId, StepState};
use crate::source::{Ctx, Each, LayersOf, Source, blocking};

/// Images beyond which those that nobody asked for now are not kept any longer.
const MOST_KEPT: usize = 20_000;

/// Tells what each of `images` holds; at most `most` of them are asked of the source, the first ones.
///
/// # Errors
/// What the source said, where it does not answer; what was told before stays good.
pub async fn read(
    known: &KnownLists,
    source: &dyn Source,
    images: &[Digest],
    most: usize,
    ctx: &Ctx,
    each: Each<'_, LayersOf>,
) -> Result<(), Problem> {
    let (lists, id) = (known.clone(), source.id().clone());
    let mut kept: Layers = blocking("read what is known of layers", move || Ok(lists.layers(&id))).await?;
    let mut new = Vec::new();
    for id in images {
        match kept.get(id) {
            Some(layers) => each((id.clone(), Some(layers.clone()))),
            None => new.push(id.clone()),
        }
    }
    new.truncate(most);
    if new.is_empty() {
        return Ok(());
    }
    if kept.len() + new.len() > MOST_KEPT {
        let asked: std::collections::BTreeSet<&Digest> = images.iter().collect();
        kept.retain(|id, _| asked.contains(id));
    }
    let step = ctx.meter.step(Safe::new("images"), Some(new.len() as u64));
    let mut any = false;
    let mut take = |(id, layers): LayersOf| {
        ctx.meter.add(step, 1);
        if let Some(layers) = &layers {
            any = true;
            kept.insert(id.clone(), layers.clone());
        }
        each((id, layers));
    };
    let answer = source.layers(ctx, &new, &mut take).await;
    ctx.meter.finish(step, if answer.is_ok() { StepState::Done } else { StepState::Failed });
    if any {
        let (lists, id) = (known.clone(), source.id().clone());
        blocking("keep what is known of layers", move || {
            lists.write_layers(&id, &kept);
            Ok(())
        })
        .await?;
    }
    answer
}

/// The same for the deck, in pieces.
pub(super) async fn tell(env: &Arc<Env>, source: &SourceId, images: &[Digest], ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let arrived = Arrived::new();
    let mut each = |answer: LayersOf| arrived.put([answer]);
    arrived.relay(read(&env.known, &*source, images, usize::MAX, ctx, &mut each), chunks, JobOutput::Layers).await?;
    Ok(JobOutput::Told)
}

/// Finds the family of an image; a list may be long.
///
/// # Errors
/// None that a caller could cause.
pub(super) async fn family(image: Shared<Image>, list: Shared<ImageList>, layers: Shared<Layers>) -> Result<JobOutput, Problem> {
    blocking("look for the family", move || Ok(JobOutput::Family(Box::new(family::family(&image, &list, &layers))))).await
}

/// Reckons up what takes the space.
///
/// # Errors
/// None that a caller could cause.
pub(super) async fn space(list: Shared<ImageList>, layers: Shared<Layers>) -> Result<JobOutput, Problem> {
    blocking("reckon up the space", move || Ok(JobOutput::Space(Shared::new(space::space(&list, &layers))))).await
}
