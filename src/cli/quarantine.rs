//! `plan quarantine`: everything that contains a polluted image or layer, on this machine and in the repositories that are named, to be put away
//! under another name, deleted, or listed for others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::args::PlanQuarantineArgs;
use super::find;
use super::plan::{Wishes, made};
use super::remote::{self, is_remote};
use super::session::Session;
use super::{Done, Verdict};
use crate::curate::quarantine::{self, Local, NotLooked, Remote, Report};
use crate::curate::words::counted;
use crate::model::{
    Completeness, Digest, ImageKey, ImageList, Name, PlanKind, Problem, ProblemKind, Safe, SourceKind, Stack, TagDetails, TagRow,
};
use crate::source::TagAnswer;
use crate::source::registry::Repo;
use crate::work::files::write_new;
use crate::work::trace;

const DOING: &str = "look for what is polluted";

pub(super) async fn plan(session: &Session, args: &PlanQuarantineArgs) -> Verdict {
    if !args.delete && !crate::model::remote::is_tag(&args.tag_prefix) {
        return Err(Problem::new(ProblemKind::Usage, DOING, "what a tag is to begin with is no tag itself")
            .hint("letters, digits, '_', '.' and '-', and no '.' or '-' at the beginning"));
    }
    let mut repositories: BTreeSet<String> = BTreeSet::new();
    for text in &args.repositories {
        repositories.insert(repository(text)?.full());
    }
    let suspect = suspect(session, &args.suspect, &mut repositories).await?;
    let place = session.current_place().await?;
    let source = place.source.as_ref();
    let list = session.run("list the images", |ctx| async move { source.list(&ctx).await }).await?;
    let wanted = list.images.iter().map(|image| (image.id.clone(), Ok(ImageKey::Id(image.id.clone())))).collect();
    let mut here: BTreeMap<Digest, Stack> = BTreeMap::new();
    let mut each = |stack: Stack| drop(here.insert(stack.digest.clone(), stack));
    session.run("read the images here", |ctx| async move { trace::read(source, wanted, &ctx, &mut each).await }).await?;
    let (mut there, mut unknown, mut suspects) = (Vec::new(), 0, vec![suspect]);
    for name in &repositories {
        let looked = look_through(session, name).await?;
        unknown += looked.unknown;
        // An index is looked for together with the images in it.
        let parts = looked.tags.iter().filter(|details| suspects.first() == Some(&details.digest)).flat_map(TagDetails::images);
        let parts: BTreeSet<Digest> = parts.filter(|part| !suspects.contains(part)).collect();
        suspects.extend(parts);
        there.extend(quarantine::manifests(name, &looked.tags, &looked.read));
    }
    let nothing = || Problem::new(ProblemKind::Usage, DOING, "nothing is named");
    let mut report = found(&suspects, &list, &here, &there).ok_or_else(nothing)?;
    report.not_looked_into.remote += unknown;
    if source.kind() != SourceKind::Engine {
        // A store has none.
        report.not_looked_into.containers = 0;
    }
    if let Some(file) = &args.list {
        write(&report, file)?;
    }
    let looked_into_all = say(session, &report);
    let away = (!args.delete).then_some(args.tag_prefix.as_str());
    let mut wishes = Wishes::default();
    for wish in report.wishes_here(away) {
        wishes.at(&place, wish);
    }
    for (name, wanted) in report.wishes_there(away) {
        let tag = remote::parse(name.raw())?;
        for wish in wanted {
            wishes.in_registry(session, &tag, wish)?;
        }
    }
    let kind = if args.delete { PlanKind::Delete } else { PlanKind::Mixed };
    let done = made(session, &args.how, kind, wishes).await?;
    Ok(if looked_into_all { done } else { Done::Part })
}

fn repository(text: &str) -> Result<Repo, Problem> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    if Name::new(text).split().1.is_some() {
        let problem =
            Problem::new(ProblemKind::Usage, format!("look through {}", Safe::new(text)), "that is one tag, and not a repository");
        return Err(problem.hint("write HOST/REPOSITORY"));
    }
    Repo::parse(text)
}

/// What is looked for: a digest as it was typed, or that of an image, whose repository is then looked through too.
async fn suspect(session: &Session, text: &str, repositories: &mut BTreeSet<String>) -> Result<Digest, Problem> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    if is_remote(text) {
        let remote = remote::parse(text)?;
        repositories.insert(remote.repo.full());
        let absent = || Problem::new(ProblemKind::NotFound, format!("find {}", remote.name.safe()), "there is no such tag or manifest");
        return remote::seen(session, &remote).await?.ok_or_else(absent);
    }
    let place = session.place(text).await?;
    let found = session.run("find the image", |ctx| async move { find::find_one(place.source.as_ref(), &ctx, place.name.as_ref()).await });
    Ok(found.await?.id)
}

/// A repository as it was looked through.
struct Looked {
    tags: Vec<TagDetails>,
    read: BTreeMap<Digest, Stack>,
    /// Tags of which it is not known where they point.
    unknown: usize,
}

async fn look_through(session: &Session, name: &str) -> Result<Looked, Problem> {
    let repo = Repo::parse(name)?;
    let place = remote::place(session, &Name::new(name))?;
    let source = place.source.as_ref();
    let doing = format!("look through {name}");
    let catalog = source.catalog().ok_or_else(|| Problem::new(ProblemKind::Unsupported, &doing, "it can't be browsed"))?;
    let mut rows: Vec<TagRow> = Vec::new();
    let mut each = |more: Vec<TagRow>| rows.extend(more);
    let repo = repo.name();
    let listed = session.run(&doing, |ctx| async move { catalog.tags(&ctx, repo, &mut each).await }).await?;
    if let Completeness::Incomplete(why) = &listed.completeness {
        session.printer.say(format_args!("lighterman: the tags of {} may not be all: {why}", Safe::new(name)));
    }
    let asked: Vec<String> = rows.iter().filter(|row| row.fit).map(|row| row.tag.raw().to_owned()).collect();
    let mut tags: Vec<TagDetails> = Vec::new();
    let mut each = |(_, answer): TagAnswer| tags.extend(answer.ok());
    let names = asked.as_slice();
    session.run(&doing, |ctx| async move { catalog.details(&ctx, repo, names, &mut each).await }).await?;
    let unknown = rows.len().saturating_sub(tags.len()) + listed.odd + usize::from(!listed.is_complete());
    let images: BTreeSet<Digest> = tags.iter().flat_map(TagDetails::images).collect();
    let wanted = images.into_iter().map(|digest| trace::manifest(name, digest)).collect();
    let mut read: BTreeMap<Digest, Stack> = BTreeMap::new();
    let mut each = |stack: Stack| drop(read.insert(stack.digest.clone(), stack));
    session.run(&doing, |ctx| async move { trace::read(source, wanted, &ctx, &mut each).await }).await?;
    Ok(Looked { tags, read, unknown })
}

fn found(suspects: &[Digest], list: &ImageList, here: &BTreeMap<Digest, Stack>, there: &[Remote]) -> Option<Report> {
    let layers = |id: &Digest| here.get(id).and_then(quarantine::layers);
    let local: Vec<Local<'_>> = list.images.iter().map(|image| Local { image, layers: layers(&image.id) }).collect();
    quarantine::trace_all(suspects, &local, there)
}

/// Writes what was found; a file that is there is left alone.
fn write(report: &Report, file: &Path) -> Result<(), Problem> {
    let json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = if json {
        let text = serde_json::to_string_pretty(report);
        text.map_err(|error| Problem::new(ProblemKind::Other, "write the list", error.to_string()))? + "\n"
    } else {
        report.markdown()
    };
    write_new("write the list", &text, file)
}

/// Says what was found; `false` where something was not looked into.
fn say(session: &Session, report: &Report) -> bool {
    let running = report.containers.iter().filter(|hit| hit.container.running).count();
    session.printer.say(format_args!(
        "lighterman: {} here and {} in registries are concerned, and {} ({running} running)",
        counted(report.local.len(), "image"),
        counted(report.remote.len(), "manifest"),
        counted(report.containers.len(), "container")
    ));
    let NotLooked { local, remote, containers } = report.not_looked_into;
    if local + remote + containers == 0 {
        return true;
    }
    session.printer.say(format_args!(
        "lighterman: not looked into: {} here, {} in registries, and the containers of {}",
        counted(local, "image"),
        counted(remote, "manifest"),
        counted(containers, "image")
    ));
    false
}
