//! The one function that carries a transfer out. The screen and the command line both come through here by way of `apply`, which writes
//! down what the transfer gives its names to.

use crate::model::{Change, Digest, Name, Problem, Transfer};
use crate::source::{Ctx, Curator};

/// Carries out a change at the source of `curator`. Sources read again just before each write and refuse what moved since it was confirmed.
///
/// # Errors
/// What the source said, or a name outside the grammar.
pub async fn apply(change: &Change, curator: &dyn Curator, ctx: &Ctx) -> Result<Transfer, Problem> {
    ctx.check(&doing(change))?;
    match change {
        Change::Pull { name, platform, .. } => curator.pull(ctx, &name.reference()?, platform.as_ref()).await,
        Change::Push { name, expected, .. } => curator.push(ctx, &name.reference()?, expected).await,
        Change::Import { file, tags, .. } => {
            let moves: Vec<(Name, Digest)> = tags.iter().filter_map(|tag| Some((tag.name.clone(), tag.taken_from()?.clone()))).collect();
            curator.import(ctx, file, &moves).await
        }
        Change::Copy { copy, .. } => curator.copy(ctx, copy).await,
    }
}

/// What a change is, to be read after "can't".
pub(super) fn doing(change: &Change) -> String {
    match change {
        Change::Pull { name, .. } => format!("pull {}", name.safe()),
        Change::Push { name, .. } => format!("push {}", name.safe()),
        Change::Copy { copy, .. } => format!("copy to {}", copy.to.safe()),
        Change::Import { file, .. } => format!("import {}", file.display()),
    }
}
