//! `copy SRC DST`: between any two of registries, layouts, archives, the store and engines. What would only be `export`, `pull`, `push` or `tag`
//! in other words is done as that; an image that an engine has goes by way of an archive it saves.

use std::path::Path;

use tempfile::TempDir;

use super::args::{CopyArgs, ExportArgs};
use super::find;
use super::remote::{self, Remote};
use super::session::{Place, Session};
use super::transfer::{self, finished};
use super::{Verdict, apply, change};
use crate::curate::plan;
use crate::model::{
    ArchiveFormat, Change, Copy, CopyFrom, Digest, ImageKey, Kept, Locator, Name, Operation, PlanKind, Problem, ProblemKind, Removal, Safe,
    SourceKind, Transfer, Transport,
};
use crate::shell::paths::make_private_dir;
use crate::source::files::FileSource;
use crate::source::{Ctx, Curator, ExportTo, Source as _};
use crate::work;

/// How folders begin that hold what is on its way, and go with it.
const ON_ITS_WAY: &str = ".lighterman-copy-";

pub(super) async fn run(session: &Session, args: &CopyArgs) -> Verdict {
    let (from, to) = (Locator::parse(&args.from)?, Locator::parse(&args.to)?);
    check(args, &from, &to)?;
    let moved = match (from.transport, to.transport) {
        (Transport::Registry | Transport::Layout | Transport::OciArchive | Transport::DockerArchive, Transport::Registry) => {
            into_registry(session, args, from).await?
        }
        (Transport::Store | Transport::Engine | Transport::Current, Transport::Registry) => push(session, args).await?,
        (_, Transport::Layout) => to_layout(session, args, from, &to).await?,
        (Transport::Registry, Transport::OciArchive) => to_oci_archive(session, args, &to).await?,
        (Transport::Registry, Transport::DockerArchive) => to_docker_archive(session, args, &to).await?,
        (_, Transport::OciArchive | Transport::DockerArchive) if args.platform.is_empty() && to.name.is_none() => {
            return export(session, args, &to).await;
        }
        (_, Transport::OciArchive | Transport::DockerArchive) => to_archive(session, args, from, to).await?,
        (Transport::Registry, Transport::Store | Transport::Engine | Transport::Current) => pull(session, args).await?,
        (_, Transport::Store | Transport::Engine | Transport::Current) => bring(session, args, from).await?,
    };
    finished(&moved, &format!("copied to {}", Safe::new(&args.to)), &session.printer)
}

fn usage(args: &CopyArgs, cause: &str) -> Problem {
    Problem::new(ProblemKind::Usage, format!("copy {} to {}", args.from, args.to), cause)
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
    let whole = matches!(to.transport, Transport::Registry | Transport::Layout)
        || (from.transport == Transport::Registry && to.transport == Transport::OciArchive);
    if args.platform.len() > 1 && !whole {
        return Err(usage(args, "one platform only fits there"));
    }
    Ok(())
}

/// Something that is copied out of a file: the file itself, the store's layout, or what an engine saved into a folder that goes when this is
/// dropped.
struct Filed {
    locator: Locator,
    _folder: Option<TempDir>,
}

/// What is not in a registry, as a file.
async fn as_file(session: &Session, args: &CopyArgs, from: Locator) -> Result<Filed, Problem> {
    if from.path.is_some() {
        return Ok(Filed { locator: from, _folder: None });
    }
    let place = session.place(&args.from).await?;
    let (looked, name) = (&place, place.name.as_ref());
    let found = session.run("find the image", |ctx| async move { find::find(looked.source.as_ref(), &ctx, name).await }).await?;
    let first = found.first().ok_or_else(|| usage(args, "there is no such image"))?;
    if let (SourceKind::Store, Some(name)) = (place.source.kind(), &first.name) {
        let locator = Locator { transport: Transport::Layout, path: Some(session.store_dir()), name: Some(name.clone()) };
        return Ok(Filed { locator, _folder: None });
    }
    let folder = folder_in(&session.paths.cache)?;
    let to = ExportTo { file: folder.path().join("saved.tar"), format: ArchiveFormat::Oci, overwrite: false };
    let (key, file) = (first.key.clone(), to.file.clone());
    session.run("save the image", |ctx| async move { looked.source.export(&ctx, &[key], &to).await }).await?;
    Ok(Filed { locator: Locator { transport: Transport::OciArchive, path: Some(file), name: None }, _folder: Some(folder) })
}

/// A folder for what is only on its way.
fn folder_in(parent: &Path) -> Result<TempDir, Problem> {
    let made = make_private_dir(parent).and_then(|()| tempfile::Builder::new().prefix(ON_ITS_WAY).tempdir_in(parent));
    made.map_err(|error| Problem::disk("make a folder for what is on its way", parent, &error))
}

/// From a file, the store or an engine into the store or an engine.
async fn bring(session: &Session, args: &CopyArgs, from: Locator) -> Result<Transfer, Problem> {
    let place = session.place(&args.to).await?;
    place.may_change(&format!("copy to {}", args.to))?;
    let to = place.named("copy")?.clone();
    to.reference()?;
    let replaces = holder(session, &place, &to).await?;
    let source = place.source.id().clone();
    if from.path.is_none() {
        let origin = session.place(&args.from).await?;
        if *origin.source.id() == source {
            let (looked, name) = (&origin, origin.name.as_ref());
            let image =
                session.run("find the image", |ctx| async move { find::find_one(looked.source.as_ref(), &ctx, name).await }).await?;
            named(session, change::name(&place, &image.id, to, replaces)).await?;
            return Ok(Transfer { digest: Some(image.id), ..Transfer::default() });
        }
    }
    let filed = as_file(session, args, from).await?;
    let from = CopyFrom::File(filed.locator.clone());
    let copy = Copy { from, expected: None, to, replaces, platforms: args.platform.clone(), referrers: false };
    session.transfer(&place, &Change::Copy { source, copy }).await
}

async fn into_registry(session: &Session, args: &CopyArgs, from: Locator) -> Result<Transfer, Problem> {
    let to = remote::parse(&args.to)?;
    let place = remote::place(session, &to.name)?;
    place.may_change(&format!("copy to {}", args.to))?;
    let replaces = remote::seen(session, &to).await?;
    let (from, expected) = match from.transport {
        Transport::Registry => {
            let from = remote::parse(&args.from)?;
            let seen = remote::seen(session, &from).await?;
            (CopyFrom::Registry(from.name), seen)
        }
        _ => (CopyFrom::File(from), None),
    };
    let copy = Copy { from, expected, to: to.name, replaces, platforms: args.platform.clone(), referrers: args.referrers };
    session.transfer(&place, &Change::Copy { source: place.source.id().clone(), copy }).await
}

async fn to_layout(session: &Session, args: &CopyArgs, from: Locator, to: &Locator) -> Result<Transfer, Problem> {
    let dir = to.path.as_deref().ok_or_else(|| usage(args, "the path is missing"))?;
    let client = session.client()?;
    let name = to.name.as_ref().map(Name::raw);
    let filed = if from.transport == Transport::Registry { None } else { Some(as_file(session, args, from).await?) };
    let from = match &filed {
        Some(filed) => CopyFrom::File(filed.locator.clone()),
        None => CopyFrom::Registry(remote::parse(&args.from)?.name),
    };
    let saved = |ctx: Ctx| async move { client.save(&ctx, &from, dir, name, &args.platform).await };
    session.run("copy to the layout", saved).await
}

/// The file of an archive, which must not be there yet: nothing is fetched in vain.
fn archive(args: &CopyArgs, to: &Locator) -> Result<ExportTo, Problem> {
    let file = to.path.clone().ok_or_else(|| usage(args, "the path is missing"))?;
    if std::fs::symlink_metadata(&file).is_ok() {
        let problem = Problem::new(ProblemKind::Conflict, format!("write {}", file.display()), "a file of that name is already there");
        return Err(problem.hint("choose another name, or take the file away"));
    }
    let format = if to.transport == Transport::OciArchive { ArchiveFormat::Oci } else { ArchiveFormat::Docker };
    Ok(ExportTo { file, format, overwrite: false })
}

/// The folder of a file.
fn beside(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Out of a registry, with all platforms, by way of a layout that goes when it is done.
async fn to_oci_archive(session: &Session, args: &CopyArgs, to: &Locator) -> Result<Transfer, Problem> {
    let from = remote::parse(&args.from)?.name;
    let export = archive(args, to)?;
    let folder = folder_in(beside(&export.file))?;
    let dir = folder.path().join("layout");
    let reference = from.reference()?;
    let whole = reference.digest().is_none().then(|| Name::new(&reference.whole()));
    let name = to.name.clone().or(whole);
    let client = session.client()?;
    let written = session.run("copy to the archive", |ctx| async move {
        let name = name.as_ref().map(Name::raw);
        let saved = client.save(&ctx, &CopyFrom::Registry(from), &dir, name, &args.platform).await?;
        let layout = FileSource::open(&Locator { transport: Transport::Layout, path: Some(dir), name: None }).await?;
        layout.export_as(&ctx, None, None, &export).await?;
        Ok(saved)
    });
    let written = written.await;
    drop(folder);
    written
}

/// Everything in a file, or an image of the store or an engine under the names it has.
async fn export(session: &Session, args: &CopyArgs, to: &Locator) -> Verdict {
    let file = archive(args, to)?.file;
    let file = file.to_str().ok_or_else(|| usage(args, "the path is not text"))?;
    let transport = if to.transport == Transport::OciArchive { "oci-archive" } else { "docker-archive" };
    let export = ExportArgs { reference: args.from.clone(), file: format!("{transport}:{file}"), format: None, force: false };
    transfer::export(session, &export).await
}

/// From a file, the store or an engine: one platform, or under another name.
async fn to_archive(session: &Session, args: &CopyArgs, from: Locator, to: Locator) -> Result<Transfer, Problem> {
    let export = archive(args, &to)?;
    let platform = args.platform.first().cloned();
    let filed = as_file(session, args, from).await?;
    let written = session.run("copy to the archive", |ctx| async move {
        let file = FileSource::open(&filed.locator).await?;
        file.export_as(&ctx, platform, to.name, &export).await
    });
    written.await
}

/// By way of a store that goes when it is done.
async fn to_docker_archive(session: &Session, args: &CopyArgs, to: &Locator) -> Result<Transfer, Problem> {
    let from = remote::parse(&args.from)?;
    let export = archive(args, to)?;
    let folder = folder_in(beside(&export.file))?;
    let dir = folder.path().join("store");
    let store = session.open_store(&dir)?;
    let change = Change::Pull { source: store.id().clone(), name: from.name.clone(), platform: args.platform.first().cloned() };
    let name = to.name.clone();
    let copied = session
        .run("copy to the archive", |ctx| async move {
            let curator = store.curator().ok_or_else(|| Problem::new(ProblemKind::Other, "copy", "the store can't be changed"))?;
            let pulled = work::change::apply(&change, curator, &ctx).await?;
            if name.is_none() {
                store.export(&ctx, &[ImageKey::Name(from.name.reference()?)], &export).await?;
            } else {
                let layout = Locator { transport: Transport::Layout, path: Some(dir), name: None };
                FileSource::open(&layout).await?.export_as(&ctx, None, name, &export).await?;
            }
            Ok(pulled)
        })
        .await?;
    drop(folder);
    Ok(copied)
}

/// Into the engine or the store: pulled, and named as asked for.
async fn pull(session: &Session, args: &CopyArgs) -> Result<Transfer, Problem> {
    let from = remote::parse(&args.from)?;
    let place = session.place(&args.to).await?;
    place.may_change(&format!("copy to {}", args.to))?;
    let to = place.named("copy")?.clone();
    let wanted = to.reference()?;
    let source = place.source.id().clone();
    let pull = Change::Pull { source: source.clone(), name: from.name.clone(), platform: args.platform.first().cloned() };
    if from.name.reference()? == wanted {
        return session.transfer(&place, &pull).await;
    }
    let before = held(session, &place, &from.name).await?;
    let replaces = held(session, &place, &to).await?;
    let copied = CopyFrom::Registry(from.name.clone());
    let copy = Copy {
        from: copied,
        expected: None,
        to: to.clone(),
        replaces: replaces.clone(),
        platforms: args.platform.clone(),
        referrers: false,
    };
    let change = Change::Copy { source, copy };
    // The name it comes by is moved on the way, and goes back to what had it.
    let way = plan::transfer(&pull, before.as_ref()).into_iter().map(|line| Operation { after: before.clone(), ..line }).collect();
    apply::with(session, "copy the image", async |applier| {
        let curator = place.curator("copy")?;
        let deed = async {
            let pulled = work::change::apply(&pull, curator, applier.ctx).await;
            // Whoever stops it here wants that name to go as well, so what it is at has to be known.
            let id = held_in(&place, Ctx::default(), &from.name).await?.filter(|id| pulled.is_ok() || before.as_ref() != Some(id));
            let named = match (&pulled, &id) {
                (Err(problem), _) => Err(problem.clone()),
                (Ok(_), None) => Err(Problem::new(ProblemKind::Conflict, format!("name {}", to.safe()), "what was pulled is gone")),
                (Ok(_), Some(id)) => curator.tag(applier.ctx, id, &wanted, replaces.as_ref()).await,
            };
            let tidied = match (&before, id) {
                (_, None) => Ok(()),
                (None, Some(id)) => untag(curator, &from, id).await,
                (Some(before), Some(id)) => curator.tag(&Ctx::default(), before, &from.name.reference()?, Some(&id)).await,
            };
            ended(session, named.and(pulled), tidied)
        };
        applier.transfer_by(&place.source, &change, way, deed).await
    })
    .await
}

/// Out of the engine or the store: named as it shall be called there, pushed, and the name taken back.
async fn push(session: &Session, args: &CopyArgs) -> Result<Transfer, Problem> {
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
    let change = Change::Push { source: place.source.id().clone(), name: to.name.clone(), expected: image.id.clone(), seen: None };
    apply::with(session, "copy the image", async |applier| {
        let curator = place.curator("copy")?;
        let deed = async {
            if before.is_none() {
                curator.tag(applier.ctx, &image.id, &to.name.reference()?, None).await?;
            }
            let pushed = work::change::apply(&change, curator, applier.ctx).await;
            let untagged = if before.is_none() { untag(curator, &to, image.id.clone()).await } else { Ok(()) };
            ended(session, pushed, untagged)
        };
        applier.transfer_by(&place.source, &change, Vec::new(), deed).await
    })
    .await
}

/// Gives a name by way of the journal.
async fn named(session: &Session, line: Operation) -> Result<(), Problem> {
    if line.before == line.after {
        return Ok(());
    }
    let report = apply::lines(session, PlanKind::Retag, vec![line]).await?;
    let undone = report.plan.operations.iter().zip(&report.states).find(|(_, state)| !state.is_done());
    undone.map_or(Ok(()), |(line, state)| Err(apply::undone(line, state)))
}

/// Takes a name away that was only for the way: also, and most of all, when the copy was stopped.
async fn untag(curator: &dyn Curator, remote: &Remote, id: Digest) -> Result<(), Problem> {
    let items = [Removal::Tag { name: remote.name.clone(), expected: id }];
    let (_, kept) = curator.remove(&Ctx::default(), &items).await?;
    let stays =
        |kept: &Kept| Problem::new(ProblemKind::Conflict, format!("take the name {} away", remote.name.safe()), kept.why.to_string());
    kept.first().map_or(Ok(()), |kept| Err(stays(kept)))
}

/// How a copy ended. What went wrong with it comes before what went wrong with tidying up.
fn ended(session: &Session, copied: Result<Transfer, Problem>, tidied: Result<(), Problem>) -> Result<Transfer, Problem> {
    match (copied, tidied) {
        (Ok(copied), tidied) => tidied.map(|()| copied),
        (Err(problem), tidied) => {
            if let Err(left) = tidied {
                session.printer.problem(&left);
            }
            Err(problem)
        }
    }
}

/// An image that has the name at `place` now; of several platforms any.
async fn holder(session: &Session, place: &Place, name: &Name) -> Result<Option<Digest>, Problem> {
    let found =
        session.run("see what holds the name", |ctx| async move { find::find(place.source.as_ref(), &ctx, Some(name)).await }).await;
    match found {
        Ok(found) => Ok(found.into_iter().find(|image| image.name.is_some()).map(|image| image.id)),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The image that has the name at `place` now.
async fn held(session: &Session, place: &Place, name: &Name) -> Result<Option<Digest>, Problem> {
    session.run("see what holds the name", |ctx| held_in(place, ctx, name)).await
}

async fn held_in(place: &Place, ctx: Ctx, name: &Name) -> Result<Option<Digest>, Problem> {
    match find::find_one(place.source.as_ref(), &ctx, Some(name)).await {
        Ok(found) => Ok(found.name.is_some().then_some(found.id)),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}
