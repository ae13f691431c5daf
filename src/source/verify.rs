//! Reads all layers of an image, wherever it is, and writes into it whether they are what their digests say.
//!
//! May use model and layer.

use std::sync::{Arc, Mutex, PoisonError};

use super::opened::{Opened, ReadLayer, read_layers};
use super::{Ctx, Source};
use crate::layer::LayerReader;
use crate::model::{Image, Problem, ProblemKind};

/// `image`, as `source` gave it, with `verified` set for each layer, and of those that are sound how large and how compressed they are.
///
/// # Errors
/// What kept a layer from being read; the caller's wish to stop. A layer that is missing or not sound is no error: it is marked.
pub async fn verify(source: &dyn Source, ctx: &Ctx, mut image: Image) -> Result<Image, Problem> {
    let all: Vec<usize> = (0..image.layers.as_ref().map_or(0, Vec::len)).collect();
    let told: Arc<Mutex<Vec<ReadLayer<()>>>> = Arc::default();
    let list = Arc::clone(&told);
    let each = move |read| list.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    let read = |opened: Opened<'_>| (opened.reader().and_then(LayerReader::finish), ());
    read_layers(source, ctx, &image, &all, read, each).await?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    for read in told {
        let Some(layer) = image.layers.as_mut().and_then(|layers| layers.get_mut(read.layer)) else { continue };
        match read.found {
            Ok(found) => {
                layer.verified = Some(true);
                layer.uncompressed_size = Some(found.uncompressed_size);
                // Where the source doesn't tell how it stores a layer, what it sends says nothing of that.
                if layer.digest.is_some() {
                    layer.compression = Some(found.compression.as_str());
                }
            }
            Err(problem) if matches!(problem.kind, ProblemKind::Corrupt | ProblemKind::NotFound) => layer.verified = Some(false),
            Err(problem) => return Err(problem),
        }
    }
    Ok(image)
}
