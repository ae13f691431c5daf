//! The one function that carries a transfer out. The screen and the command line both come through here, so that what it checks has one
//! place; what is taken away or given a name goes through `apply`.

use crate::model::{Change, Outcome, Problem, ProblemKind};
use crate::source::{Ctx, Curator};

/// Carries out a change at the source of `curator`. Sources read again just before each write and refuse what moved since it was confirmed.
///
/// # Errors
/// What the source said, or a name outside the grammar.
pub async fn apply(change: &Change, curator: &dyn Curator, ctx: &Ctx) -> Result<Outcome, Problem> {
    ctx.check(&doing(change))?;
    match change {
        Change::Tag { id, to, replaces, .. } => {
            curator.tag(ctx, id, &to.reference()?, replaces.as_ref()).await?;
            Ok(Outcome::Tagged { digest: id.clone() })
        }
        Change::Remove { items, .. } => {
            let (removed, kept) = curator.remove(ctx, items).await?;
            Ok(Outcome::Removed { removed, kept })
        }
        _ => transfer(change, curator, ctx).await.map(Outcome::Moved),
    }
}

/// The changes that move bytes.
async fn transfer(change: &Change, curator: &dyn Curator, ctx: &Ctx) -> Result<crate::model::Transfer, Problem> {
    match change {
        Change::Pull { name, platform, .. } => curator.pull(ctx, &name.reference()?, platform.as_ref()).await,
        Change::Push { name, expected, .. } => curator.push(ctx, &name.reference()?, expected).await,
        Change::Import { file, moves, .. } => curator.import(ctx, file, moves).await,
        Change::Copy { copy, .. } => curator.copy(ctx, copy).await,
        Change::Tag { .. } | Change::Remove { .. } => {
            Err(Problem::new(ProblemKind::Other, doing(change), "it moves no bytes, so it is no transfer"))
        }
    }
}

/// What a change is, to be read after "can't".
pub(super) fn doing(change: &Change) -> String {
    match change {
        Change::Tag { to, .. } => format!("tag {}", to.safe()),
        Change::Remove { items, .. } => format!("remove {} {}", items.len(), if items.len() == 1 { "image" } else { "images" }),
        Change::Pull { name, .. } => format!("pull {}", name.safe()),
        Change::Push { name, .. } => format!("push {}", name.safe()),
        Change::Copy { copy, .. } => format!("copy to {}", copy.to.safe()),
        Change::Import { file, .. } => format!("import {}", file.display()),
    }
}
