//! `plan quarantine`: everything that contains a polluted image or layer, on this machine and in the repositories and registries that are named, to
//! be put away under another name, deleted, or listed for others. A repository that can't be read is named, and keeps no other from being read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::PlanQuarantineArgs;
use super::find;
use super::plan::{Wishes, made};
use super::remote::{self, is_remote};
use super::session::Session;
use super::{Done, Verdict, retain};
use crate::curate::quarantine::{self, Local, Looked, NotLooked, Remote, Report, Search};
use crate::curate::words::counted;
use crate::flow::job::InRepository;
use crate::model::{
    Digest, Found, ImageKey, ImageList, Name, PlanKind, Problem, ProblemKind, Safe, SourceId, SourceKind, Stack, TagDetails,
};
use crate::source::Source;
use crate::source::registry::Repo;
use crate::work::files::write_new;
use crate::work::trace;

const DOING: &str = "look for what is polluted";

pub(super) async fn plan(session: &Session, args: &PlanQuarantineArgs) -> Verdict {
    if !args.delete && !crate::model::remote::is_tag(&args.tag_prefix) {
        return Err(Problem::new(ProblemKind::Usage, DOING, "what a tag is to begin with is no tag itself")
            .hint("letters, digits, '_', '.' and '-', and no '.' or '-' at the beginning"));
    }
    let (mut repositories, whole) = named(session, &args.repositories).await?;
    let suspect = suspect(session, &args.suspect, &mut repositories).await?;
    let place = session.current_place().await?;
    let source = place.source.as_ref();
    let list = session.run("list the images", |ctx| async move { source.list(&ctx).await }).await?;
    let wanted = list.images.iter().map(|image| (image.id.clone(), Ok(ImageKey::Id(image.id.clone())))).collect();
    let mut here: BTreeMap<Digest, Stack> = BTreeMap::new();
    let mut each = |stack: Stack| drop(here.insert(stack.digest.clone(), stack));
    session.run("read the images here", |ctx| async move { trace::read(source, wanted, &ctx, &mut each).await }).await?;
    let search = look_through(session, &repositories).await?;
    let mut suspects = vec![suspect];
    // An index is looked for together with the images in it.
    let parts = search.tags().filter(|details| suspects.first() == Some(&details.digest)).flat_map(TagDetails::images);
    let parts: BTreeSet<Digest> = parts.filter(|part| !suspects.contains(part)).collect();
    suspects.extend(parts);
    let nothing = || Problem::new(ProblemKind::Usage, DOING, "nothing is named");
    let mut report = found(&suspects, &list, &here, &search.manifests()).ok_or_else(nothing)?;
    search.add_to(&mut report);
    if source.kind() != SourceKind::Engine {
        // A store has none.
        report.not_looked_into.containers = 0;
    }
    if let Some(file) = &args.list {
        write(&report, file)?;
    }
    let looked_into_all = say(session, &report) && whole;
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

/// Repositories that are looked through, by name, each with whether its registry lists it.
type Repositories = BTreeMap<String, bool>;

/// The repositories that are named, and all of the registries that are; `false` where these may not be all.
async fn named(session: &Session, texts: &[String]) -> Result<(Repositories, bool), Problem> {
    let (mut repositories, mut whole) = (Repositories::new(), true);
    for text in texts {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        if let Some(host) = registry(text) {
            match retain::catalog(session, host).await {
                Ok((listed, all)) => {
                    whole &= all;
                    repositories.extend(listed.iter().map(|repo| (repo.full(), true)));
                }
                Err(problem) if problem.is_cancelled() => return Err(problem),
                Err(problem) => {
                    whole = false;
                    session.printer.problem(&problem.hint("name its repositories, as HOST/REPOSITORY"));
                }
            }
        } else {
            repositories.insert(repository(text)?.full(), false);
        }
    }
    Ok((repositories, whole))
}

/// The host, where a registry is named and no repository.
fn registry(text: &str) -> Option<&str> {
    let host = text.strip_suffix('/').unwrap_or(text);
    let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    // A name without a dot and with a number behind it is an image more often than a registry.
    let is_host = !host.contains('/') && (name.contains('.') || name == "localhost" || name.starts_with('[') || host.len() < text.len());
    (is_host && port.is_none_or(|port| is_port(port) || port.ends_with(']'))).then_some(host)
}

fn repository(text: &str) -> Result<Repo, Problem> {
    if Name::new(text).split().1.is_some() {
        let problem =
            Problem::new(ProblemKind::Usage, format!("look through {}", Safe::new(text)), "that is one tag, and not a repository");
        return Err(problem.hint("write HOST/REPOSITORY"));
    }
    Repo::parse(text)
}

/// What is looked for: a digest as it was typed, or that of an image, whose repository is then looked through too.
async fn suspect(session: &Session, text: &str, repositories: &mut Repositories) -> Result<Digest, Problem> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    if is_remote(text) {
        let remote = remote::parse(text)?;
        repositories.entry(remote.repo.full()).or_insert(false);
        let absent = || Problem::new(ProblemKind::NotFound, format!("find {}", remote.name.safe()), "there is no such tag or manifest");
        return remote::seen(session, &remote).await?.ok_or_else(absent);
    }
    let place = session.place(text).await?;
    let found = session.run("find the image", |ctx| async move { find::find_one(place.source.as_ref(), &ctx, place.name.as_ref()).await });
    Ok(found.await?.id)
}

async fn look_through(session: &Session, repositories: &Repositories) -> Result<Search, Problem> {
    let (mut wanted, mut looked) = (Vec::new(), Vec::new());
    let mut sources: BTreeMap<SourceId, Result<Arc<dyn Source>, Problem>> = BTreeMap::new();
    for (name, listed) in repositories {
        let repo = Repo::parse(name)?;
        let source = SourceId::registry(repo.host());
        if !sources.contains_key(&source) {
            sources.insert(source.clone(), remote::place(session, &Name::new(name)).map(|place| place.source));
        }
        wanted.push(InRepository { source, repository: repo.name().to_owned(), tags: None, digests: Vec::new() });
        looked.push(Looked::new(repo.full(), *listed));
    }
    let search = Mutex::new(Search::new(looked));
    let each = |at: usize, found: Found| search.lock().unwrap_or_else(PoisonError::into_inner).take(at, found);
    let (sources, wanted, each) = (&sources, &wanted, &each);
    session
        .run("look through the repositories", |ctx| async move { trace::repositories(sources, wanted, trace::MOST, &ctx, each).await })
        .await?;
    Ok(search.into_inner().unwrap_or_else(PoisonError::into_inner))
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
    for one in &report.repositories {
        session.printer.say(format_args!("lighterman: {}: {}", Safe::new(&one.name), one.words()));
    }
    if report.not_looked_into == NotLooked::default() {
        return true;
    }
    let NotLooked { local, remote, containers, .. } = report.not_looked_into;
    session.printer.say(format_args!(
        "lighterman: not looked into: {} here, {} in registries, and the containers of {}",
        counted(local, "image"),
        counted(remote, "manifest"),
        counted(containers, "image")
    ));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_told_from_a_repository_and_from_a_tag() {
        for (text, host) in [
            ("localhost:5000", "localhost:5000"),
            ("localhost", "localhost"),
            ("registry.example.com/", "registry.example.com"),
            ("registry:5000/", "registry:5000"),
            ("[::1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]"),
            ("10.0.0.1:443", "10.0.0.1:443"),
        ] {
            assert_eq!(registry(text), Some(host), "{text}");
        }
        for text in ["alpine", "alpine:3", "localhost:5000/app", "app.v1:latest", "localhost:x", "team/app", "", "localhost:5000/app:tag"] {
            assert_eq!(registry(text), None, "{text}");
        }
    }
}
