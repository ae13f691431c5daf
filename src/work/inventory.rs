//! What is installed in an image, of whatever source.

use std::sync::Arc;

use super::layer_index::Indexed;
use crate::layer::Tree;
use crate::layer::compare::Finished;
use crate::model::{Image, Inventory, Problem};
use crate::scan::inventory;
use crate::source::{Ctx, Source, blocking};

/// The packages of `image`, as `source` gave it, whose layers were read.
///
/// # Errors
/// A layer that is not known whole: of a part of an image nobody can say what is installed in the end; what the source says; the wish to stop.
pub async fn of(ctx: &Ctx, source: &dyn Source, image: &Image, layers: &[Indexed]) -> Result<Inventory, Problem> {
    if let Some(problem) = layers.iter().find_map(|layer| layer.problem.as_ref()) {
        return Err(problem.clone());
    }
    let indexes: Vec<_> = layers.iter().map(|layer| Arc::clone(&layer.index)).collect();
    let wanted = blocking("look for packages", move || {
        let tree = Tree::new(indexes)?;
        Ok(inventory::wanted(&Finished::new(&tree)))
    })
    .await?;
    inventory::Reader::default().read(source, ctx, image, wanted).await
}
