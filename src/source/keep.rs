//! What the sources of this machine share about taking changes back: how a target is asked for, and archives of what is to go.

use std::path::Path;

use super::{Ctx, Curator, ExportTo, Source};
use crate::model::{ArchiveFormat, Digest, ImageKey, Problem, ProblemKind, Target};

/// How an image of this machine is asked for.
pub(super) fn local_key(target: &Target, doing: &str) -> Result<ImageKey, Problem> {
    match target {
        Target::Tag(name) => Ok(ImageKey::Name(name.reference()?)),
        Target::Image(id) => Ok(ImageKey::Id(id.clone())),
        Target::Manifest { .. } => Err(Problem::new(ProblemKind::Usage, doing, "a manifest is a registry's, not this machine's")),
    }
}

/// Writes the image into an archive; by its name, where it has one, so that it comes back under it.
pub(super) async fn local_backup<S: Source + Curator>(
    source: &S,
    ctx: &Ctx,
    target: &Target,
    digest: &Digest,
    file: &Path,
    format: ArchiveFormat,
) -> Result<(), Problem> {
    let doing = format!("back up {}", target.safe());
    let now = source.look(ctx, target).await?;
    if now.as_ref().map(|seen| &seen.digest) != Some(digest) {
        return Err(Problem::new(ProblemKind::Conflict, doing, format!("it is not the image {} any more", digest.short())));
    }
    let key = local_key(target, &doing)?;
    source.export(ctx, &[key], &ExportTo { file: file.to_owned(), format, overwrite: true }).await.map(drop)
}

pub(super) async fn local_return<S: Source + Curator>(
    source: &S,
    ctx: &Ctx,
    target: &Target,
    digest: &Digest,
    file: &Path,
    before: Option<&Digest>,
) -> Result<(), Problem> {
    let doing = format!("bring back {}", target.safe());
    let conflict = |cause: String| Problem::new(ProblemKind::Conflict, &doing, cause);
    let now = source.look(ctx, target).await?.map(|seen| seen.digest);
    if now.as_ref() != before {
        return Err(conflict("something else has its place by now".to_owned()));
    }
    source.import(ctx, file, &[]).await?;
    let after = source.look(ctx, target).await?.map(|seen| seen.digest);
    if after.as_ref() == Some(digest) {
        return Ok(());
    }
    Err(conflict(
        after.map_or_else(|| "the backup was read, but it is not there".to_owned(), |after| format!("it is {} now", after.short())),
    ))
}
