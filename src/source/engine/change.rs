//! Tagging, untagging, removing, and what a prune would take. What was confirmed is what runs: the engine is read again right before each
//! write and right after, and nothing is ever forced.

use std::time::Duration;

use bollard::models::ImageDeleteResponseItem;
use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use http::StatusCode;

use super::EngineSource;
use super::client::{Ask, Failure, LONGEST, LONGEST_LIST};
use super::inspect::name;
use super::list::{Which, list, tags};
use super::session::{Kind, Session};
use super::wire::{self, DiskUsage, Inspected};
use crate::model::{Digest, Foreign, ImageKey, ImageList, Kept, Name, Problem, ProblemKind, Reference, Removal, Removed, Why};
use crate::source::Ctx;

/// How long a removal under way may still take once it was cancelled: what came of it is worth waiting for, but not for ever. Less than a
/// command that was interrupted is given to end.
const AFTER_CANCEL: Duration = Duration::from_secs(3);

/// What an engine has under a key now.
pub(super) struct Held {
    pub id: Digest,
    pub tags: Vec<Name>,
    pub repo_digests: Vec<Name>,
    /// The digest of the manifest or index, where the engine stores those.
    pub descriptor: Option<Digest>,
    pub size: Option<u64>,
}

/// Reads again what is there; `None` when nothing is.
pub(super) async fn held(source: &EngineSource, session: &Session, key: &ImageKey, doing: &str) -> Result<Option<Held>, Problem> {
    let ask = Ask::get(format!("/images/{}/json", name(key)), doing);
    let bytes = match source.client.fetch(Some(&session.api), ask, LONGEST).await {
        Ok(bytes) => bytes,
        Err(Failure::Said(StatusCode::NOT_FOUND, _)) => return Ok(None),
        Err(failure) => return Err(failure.into_problem(doing)),
    };
    let image: Inspected<'_> = serde_json::from_slice(&bytes).map_err(|_json| source.client.garbage(doing))?;
    let id = wire::id(&image.id.0).ok_or_else(|| source.client.garbage(doing))?;
    let descriptor = image.descriptor.get("digest").and_then(|digest| digest.as_str()?.parse().ok());
    Ok(Some(Held {
        id,
        size: image.size.0,
        tags: tags(&image.repo_tags.0),
        repo_digests: super::list::digests(&image.repo_digests.0),
        descriptor,
    }))
}

/// The image that holds a name now.
pub(super) async fn holder(source: &EngineSource, session: &Session, of: &Reference, doing: &str) -> Result<Option<Digest>, Problem> {
    Ok(held(source, session, &ImageKey::Name(of.clone()), doing).await?.map(|held| held.id))
}

pub(super) async fn tag(source: &EngineSource, id: &Digest, to: &Reference, replaces: Option<&Digest>, doing: &str) -> Result<(), Problem> {
    let session = source.session(doing).await?;
    let Some(tag) = to.tag().filter(|_| to.digest().is_none()) else {
        return Err(Problem::new(ProblemKind::Usage, doing, "the new name must be a tag, not a digest"));
    };
    let holder_now = holder(source, &session, to, doing).await?;
    if holder_now.as_ref() == Some(id) {
        return Ok(());
    }
    if holder_now.as_ref() != replaces {
        return Err(moved(doing, to, holder_now.as_ref()));
    }
    if held(source, &session, &ImageKey::Id(id.clone()), doing).await?.is_none() {
        return Err(Problem::new(ProblemKind::Conflict, doing, format!("the image {} is gone", id.short())));
    }
    let repository = format!("{}/{}", to.registry(), to.repository());
    let options = TagImageOptionsBuilder::default().repo(&repository).tag(tag).build();
    let answer = session.docker.tag_image(id.as_str(), Some(options)).await;
    answer.map_err(|error| source.bollard_failure(error, doing).into_problem(doing))?;
    let after = holder(source, &session, to, doing).await?;
    if after.as_ref() == Some(id) { Ok(()) } else { Err(moved(doing, to, after.as_ref())) }
}

/// A name that is not where it was when the user confirmed.
pub(super) fn moved(doing: &str, name: &Reference, now: Option<&Digest>) -> Problem {
    let cause = match now {
        Some(id) => format!("meanwhile {name} is the image {}", id.short()),
        None => format!("meanwhile {name} is gone"),
    };
    Problem::new(ProblemKind::Conflict, doing, cause).hint("refresh, look again, and repeat it if it is still right")
}

pub(super) async fn remove(source: &EngineSource, ctx: &Ctx, items: &[Removal], doing: &str) -> Result<(Vec<Removed>, Vec<Kept>), Problem> {
    let session = source.session(doing).await?;
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        if ctx.cancel.is_cancelled() {
            kept.push(item.kept(Why::NotTried));
            continue;
        }
        let outcome = tokio::select! {
            biased;
            outcome = one(source, &session, ctx, item, doing) => outcome,
            () = given_up(ctx) => Ok(Some(Why::UnderWay)),
        };
        match outcome {
            Ok(None) => removed.push(item.removed()),
            Ok(Some(why)) => kept.push(item.kept(why)),
            Err(problem) if at == 0 && problem.kind == ProblemKind::Unreachable => return Err(problem),
            Err(problem) => kept.push(item.kept(problem.cause.to_string())),
        }
    }
    Ok((removed, kept))
}

/// Ends some time after the caller cancelled.
async fn given_up(ctx: &Ctx) {
    ctx.cancel.cancelled().await;
    tokio::time::sleep(AFTER_CANCEL).await;
}

/// Removes one; the reason when it was kept.
async fn one(source: &EngineSource, session: &Session, ctx: &Ctx, item: &Removal, doing: &str) -> Result<Option<Why>, Problem> {
    let (key, expected) = match item {
        Removal::Tag { name, expected } => (ImageKey::Name(name.reference()?), expected),
        Removal::Untagged { id } => (ImageKey::Id(id.clone()), id),
    };
    let Some(now) = held(source, session, &key, doing).await? else { return Ok(Some(Why::Gone)) };
    if now.id != *expected {
        return Ok(Some(format!("meanwhile it is another image, {}", now.id.short()).into()));
    }
    if let (Removal::Untagged { .. }, Some(tag)) = (item, now.tags.first()) {
        return Ok(Some(format!("meanwhile it has the tag {}", tag.safe()).into()));
    }
    // Nothing goes after somebody asked to stop.
    if ctx.cancel.is_cancelled() {
        return Ok(Some(Why::NotTried));
    }
    let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
    let answer = session.docker.remove_image(&name(&key), Some(options), None).await.map_err(|error| source.bollard_failure(error, doing));
    match &answer {
        Err(Failure::Problem(problem)) => return Err(problem.clone()),
        // It tells what is gone once it is: asking again would get the same answer.
        Ok(told) if is_told_gone(told, expected) => return Ok(None),
        _ => {}
    }
    let still = held(source, session, &key, doing).await?.is_some_and(|still| still.id == *expected);
    match answer {
        // Where images that are built on each other go at the same time, the first takes the other along, and the engine stumbles over that.
        Err(_) if !still => Ok(None),
        Err(Failure::Said(StatusCode::CONFLICT, words)) => Ok(Some(refused(words.trim_start_matches("conflict: ")))),
        // Podman has no status of its own for this.
        Err(Failure::Said(_, words)) if words.contains("in use by") || words.contains("used by") => Ok(Some(words.into())),
        Err(failure) => Err(failure.into_problem(doing)),
        Ok(_) if still => Ok(Some("the engine accepted it, but it is still there".into())),
        Ok(_) => Ok(None),
    }
}

/// Whether the engine's answer to a removal names the image among what was deleted, and not only untagged.
fn is_told_gone(told: &[ImageDeleteResponseItem], id: &Digest) -> bool {
    told.iter().filter_map(|item| wire::id(item.deleted.as_deref()?)).any(|deleted| deleted == *id)
}

/// Why the engine keeps an image; it has no status of its own for one that others are built on.
fn refused(words: &str) -> Why {
    if words.contains("dependent child") { Why::HasChildren(words.to_owned()) } else { words.into() }
}

pub(super) async fn prunable(source: &EngineSource, doing: &str) -> Result<ImageList, Problem> {
    let session = source.session(doing).await?;
    let mut all = list(source, Which::Finished, doing).await?;
    all.images.retain(crate::model::ImageSummary::is_dangling);
    if all.images.is_empty() {
        return Ok(all);
    }
    match unique_sizes(source, &session).await {
        Ok(sizes) => {
            for image in &mut all.images {
                image.unique_size = sizes.get(&image.id).copied();
            }
        }
        Err(problem) => all.gaps.push(Foreign::from(format!("unique sizes: {}", problem.cause))),
    }
    Ok(all)
}

/// Bytes that no other image shares, by image. Podman says of every image that it shares nothing, which is no answer.
async fn unique_sizes(source: &EngineSource, session: &Session) -> Result<std::collections::HashMap<Digest, u64>, Problem> {
    let doing = "ask for the space that images share";
    if session.kind == Kind::Podman {
        return Err(Problem::new(ProblemKind::Unsupported, doing, "Podman does not say what images share"));
    }
    let bytes = source.client.fetch(Some(&session.api), Ask::get("/system/df", doing), LONGEST_LIST).await;
    let bytes = bytes.map_err(|failure| failure.into_problem(doing))?;
    let usage: DiskUsage<'_> = serde_json::from_slice(&bytes).map_err(|_json| source.client.garbage(doing))?;
    let rows = usage.images.0.iter();
    Ok(rows.filter_map(|row| Some((wire::id(&row.id.0)?, row.size.0?.checked_sub(row.shared_size.0?)?))).collect())
}
