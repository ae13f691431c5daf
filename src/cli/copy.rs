//! `copy SRC DST`: between registries, from files into registries and out of them, and by way of the engine and the store. What would only be
//! `import`, `export`, `pull` or `push` in other words is done as that; a pair that makes no sense is refused by name.

use super::args::{CopyArgs, ExportArgs, Format};
use super::remote::{self, Remote};
use super::session::{Place, Session};
use super::transfer::{self, finished};
use super::{Verdict, find};
use crate::model::{
    ArchiveFormat, Change, Copy, CopyFrom, Digest, ImageKey, Locator, Name, Outcome, Problem, ProblemKind, Removal, Safe, Transport,
};
use crate::source::{Ctx, ExportTo, Source as _};
use crate::work;

pub(super) async fn run(session: &Session, args: &CopyArgs) -> Verdict {
    let (from, to) = (Locator::parse(&args.from)?, Locator::parse(&args.to)?);
    check(args, &from, &to)?;
    let outcome = match (from.transport, to.transport) {
        (Transport::Registry | Transport::Layout | Transport::OciArchive | Transport::DockerArchive, Transport::Registry) => {
            into_registry(session, args, from).await?
        }
        (Transport::Store | Transport::Engine | Transport::Current, Transport::Registry) => push(session, args).await?,
        (Transport::Registry, Transport::Layout) => to_layout(session, args, &to).await?,
        (Transport::Registry, Transport::OciArchive | Transport::DockerArchive) => to_archive(session, args, &to).await?,
        (Transport::Registry, Transport::Store | Transport::Engine | Transport::Current) => pull(session, args).await?,
        (_, Transport::OciArchive | Transport::DockerArchive) => {
            let export = ExportArgs { reference: args.from.clone(), file: args.to.clone(), format: None::<Format>, force: false };
            return transfer::export(session, &export).await;
        }
        _ => return Err(unsupported(args)),
    };
    finished(outcome, &format!("copied to {}", Safe::new(&args.to)), &session.printer)
}

fn usage(args: &CopyArgs, cause: &str) -> Problem {
    Problem::new(ProblemKind::Usage, format!("copy {} to {}", args.from, args.to), cause)
}

fn unsupported(args: &CopyArgs) -> Problem {
    let problem = Problem::new(ProblemKind::Unsupported, format!("copy {} to {}", args.from, args.to), "this pair is not supported");
    problem.hint("go by way of an archive: `lighterman export` writes one, `lighterman import` reads it")
}

/// Options that say something about this pair only.
fn check(args: &CopyArgs, from: &Locator, to: &Locator) -> Result<(), Problem> {
    let remote = from.transport == Transport::Registry && to.transport == Transport::Registry;
    if args.referrers && !remote {
        return Err(usage(args, "--referrers is for copies from registry to registry"));
    }
    let local = !matches!(from.transport, Transport::Registry | Transport::Layout | Transport::OciArchive);
    if local && !args.platform.is_empty() {
        return Err(usage(args, "--platform is for what comes out of a registry or a layout"));
    }
    let whole = matches!(to.transport, Transport::Registry | Transport::Layout);
    if args.platform.len() > 1 && !whole {
        return Err(usage(args, "one platform only fits there"));
    }
    Ok(())
}

async fn into_registry(session: &Session, args: &CopyArgs, from: Locator) -> Result<Outcome, Problem> {
    let to = remote::parse(&args.to)?;
    let place = remote::place(session, &to.name)?;
    place.may_change(&format!("copy to {}", args.to))?;
    let replaces = remote::seen(session, &to).await?;
    let from = match from.transport {
        Transport::Registry => CopyFrom::Registry(remote::parse(&args.from)?.name),
        _ => CopyFrom::File(from),
    };
    let copy = Copy { from, expected: None, to: to.name, replaces, platforms: args.platform.clone(), referrers: args.referrers };
    session.apply(&place, &Change::Copy { source: place.source.id().clone(), copy }).await
}

async fn to_layout(session: &Session, args: &CopyArgs, to: &Locator) -> Result<Outcome, Problem> {
    let from = remote::parse(&args.from)?;
    let dir = to.path.as_deref().ok_or_else(|| usage(args, "the path is missing"))?;
    let client = session.client()?;
    let name = to.name.as_ref().map(Name::raw);
    let saved = |ctx: Ctx| async move { client.save(&ctx, (&from.repo, &from.target), dir, name, &args.platform).await };
    session.run("copy to the layout", saved).await.map(Outcome::Moved)
}

/// By way of a store that goes when it is done.
async fn to_archive(session: &Session, args: &CopyArgs, to: &Locator) -> Result<Outcome, Problem> {
    let from = remote::parse(&args.from)?;
    let file = to.path.clone().ok_or_else(|| usage(args, "the path is missing"))?;
    let format = match to.transport {
        Transport::OciArchive => ArchiveFormat::Oci,
        _ => ArchiveFormat::Docker,
    };
    let beside = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let folder = tempfile::Builder::new()
        .prefix(".lighterman-copy-")
        .tempdir_in(beside)
        .map_err(|error| Problem::disk(format!("copy to {}", file.display()), beside, &error))?;
    let store = session.open_store(&folder.path().join("store"))?;
    let change = Change::Pull { source: store.id().clone(), name: from.name.clone(), platform: args.platform.first().cloned() };
    let to = ExportTo { file, format, overwrite: false };
    let copied = session
        .run("copy to the archive", |ctx| async move {
            let curator = store.curator().ok_or_else(|| Problem::new(ProblemKind::Other, "copy", "the store can't be changed"))?;
            let pulled = work::change::apply(&change, curator, &ctx).await?;
            let key = ImageKey::Name(from.name.reference()?);
            store.export(&ctx, &[key], &to).await?;
            Ok(pulled)
        })
        .await?;
    drop(folder);
    Ok(copied)
}

/// Into the engine or the store: pulled, and named as asked for.
async fn pull(session: &Session, args: &CopyArgs) -> Result<Outcome, Problem> {
    let from = remote::parse(&args.from)?;
    let place = session.place(&args.to).await?;
    place.may_change(&format!("copy to {}", args.to))?;
    let to = place.named("copy")?.clone();
    let wanted = to.reference()?;
    let source = place.source.id().clone();
    let before = held(session, &place, &from.name).await?;
    let holder = held(session, &place, &to).await?;
    let pull = Change::Pull { source: source.clone(), name: from.name.clone(), platform: args.platform.first().cloned() };
    let pulled = session.apply(&place, &pull).await?;
    if from.name.reference()? == wanted {
        return Ok(pulled);
    }
    let Some(id) = held(session, &place, &from.name).await? else {
        return Err(Problem::new(ProblemKind::Conflict, format!("name {}", to.safe()), "what was pulled is gone"));
    };
    session.apply(&place, &Change::Tag { source: source.clone(), id: id.clone(), to, replaces: holder }).await?;
    // The name it came with was only for the way.
    if before.is_none() {
        untag(session, &place, &from, id).await?;
    }
    Ok(pulled)
}

/// Out of the engine or the store: named as it shall be called there, pushed, and the name taken back.
async fn push(session: &Session, args: &CopyArgs) -> Result<Outcome, Problem> {
    let to = remote::parse(&args.to)?;
    let place = session.place(&args.from).await?;
    place.may_change(&format!("copy {}", args.from))?;
    remote::place(session, &to.name)?.may_change(&format!("copy to {}", args.to))?;
    let (looked, name) = (&place, place.name.as_ref());
    let image = session.run("find the image", |ctx| async move { find::find_one(looked.source.as_ref(), &ctx, name).await }).await?;
    let before = held(session, &place, &to.name).await?;
    if before.as_ref().is_some_and(|held| *held != image.id) {
        let cause = format!("{} names another image in {}", to.name.safe(), place.source.id());
        return Err(
            Problem::new(ProblemKind::Conflict, format!("copy {}", args.from), cause).hint("take that name away, or push it as it is")
        );
    }
    let source = place.source.id().clone();
    if before.is_none() {
        let tag = Change::Tag { source: source.clone(), id: image.id.clone(), to: to.name.clone(), replaces: None };
        session.apply(&place, &tag).await?;
    }
    let pushed = session.apply(&place, &Change::Push { source, name: to.name.clone(), expected: image.id.clone() }).await;
    if before.is_none() {
        untag(session, &place, &to, image.id).await?;
    }
    pushed
}

async fn untag(session: &Session, place: &Place, remote: &Remote, id: Digest) -> Result<(), Problem> {
    let items = vec![Removal::Tag { name: remote.name.clone(), expected: id }];
    session.apply(place, &Change::Remove { source: place.source.id().clone(), items }).await.map(drop)
}

/// The image that has the name at `place` now.
async fn held(session: &Session, place: &Place, name: &Name) -> Result<Option<Digest>, Problem> {
    let found =
        session.run("see what holds the name", |ctx| async move { find::find_one(place.source.as_ref(), &ctx, Some(name)).await }).await;
    match found {
        Ok(found) => Ok(found.name.is_some().then_some(found.id)),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}
