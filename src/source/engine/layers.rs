//! The layers of many images, by chain ID and with their bytes: what images share on an engine, and what goes with the last of them.
//!
//! Two small requests an image, eight images at a time. An engine lists an image's layers in one answer and their sizes in another; the
//! second is not asked for where all its layers were met before, below another image.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;

use super::EngineSource;
use super::client::{Ask, Failure, LONGEST};
use super::inspect::{MOST, diff_ids, match_up, path};
use super::wire::{HistoryRow, Inspected, List};
use crate::model::image::chain_ids;
use crate::model::{Digest, ImageKey, Problem, ProblemKind};
use crate::source::{Ctx, Each, LayersOf};

/// Images that are read at a time.
const AT_ONCE: usize = 8;

/// Bytes of layers, by chain ID.
type Sizes = Mutex<HashMap<Digest, u64>>;

pub(super) async fn layers(
    source: &EngineSource,
    ctx: &Ctx,
    images: &[Digest],
    each: Each<'_, LayersOf>,
    doing: &str,
) -> Result<(), Problem> {
    let session = source.session(doing).await?;
    let (sizes, api) = (Sizes::default(), session.api.as_str());
    let sizes = &sizes;
    let asked = stream::iter(images.iter().cloned()).map(|id| async move {
        let answer = one(source, api, &id, sizes, doing).await;
        (id, answer)
    });
    let mut answers = std::pin::pin!(asked.buffer_unordered(AT_ONCE));
    while let Some((id, answer)) = answers.next().await {
        ctx.check(doing)?;
        match answer {
            Err(problem) if problem.kind == ProblemKind::Unreachable => return Err(problem),
            Err(problem) => {
                tracing::debug!(%id, cause = %problem.cause, "the layers of an image can't be read");
                each((id, None));
            }
            Ok(layers) => each((id, layers)),
        }
    }
    Ok(())
}

/// `None` where the image is gone, or which of its steps made its layers is in doubt.
async fn one(source: &EngineSource, api: &str, id: &Digest, sizes: &Sizes, doing: &str) -> Result<Option<Vec<(Digest, u64)>>, Problem> {
    let (client, path) = (&source.client, path(&ImageKey::Id(id.clone())));
    let bytes = match client.fetch(Some(api), Ask::get(format!("{path}/json"), doing), LONGEST).await {
        Ok(bytes) => bytes,
        Err(Failure::Said(StatusCode::NOT_FOUND, _)) => return Ok(None),
        Err(failure) => return Err(failure.into_problem(doing)),
    };
    let image: Inspected<'_> = serde_json::from_slice(&bytes).map_err(|_json| client.garbage(doing))?;
    let diff_ids = diff_ids(&image.root_fs);
    let Some(known) = diff_ids.iter().cloned().collect::<Option<Vec<Digest>>>() else { return Ok(None) };
    let chain = chain_ids(&known);
    if let Some(met) = met(&chain, sizes) {
        return Ok(Some(met));
    }
    let history = client.fetch(Some(api), Ask::get(format!("{path}/history"), doing), LONGEST).await;
    let history = history.map_err(|failure| failure.into_problem(doing))?;
    let mut rows: List<HistoryRow<'_>> = serde_json::from_slice(&history).map_err(|_json| client.garbage(doing))?;
    rows.0.truncate(MOST);
    rows.0.reverse();
    let (layers, _) = match_up(&diff_ids, &rows.0);
    let Some(bytes) = layers.into_iter().map(|layer| layer.size).collect::<Option<Vec<u64>>>() else { return Ok(None) };
    let layers: Vec<(Digest, u64)> = chain.into_iter().zip(bytes).collect();
    sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(layers.iter().cloned());
    Ok(Some(layers))
}

/// The layers with their bytes, where all of them were met before.
fn met(chain: &[Digest], sizes: &Sizes) -> Option<Vec<(Digest, u64)>> {
    let sizes = sizes.lock().unwrap_or_else(PoisonError::into_inner);
    chain.iter().map(|chain| Some((chain.clone(), *sizes.get(chain)?))).collect()
}
