//! Browsing a registry: what its catalog hands over while it arrives goes on in pieces, at most sixty a second, so that a hundred thousand
//! tags neither wait for the last one nor drown the screen.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::flow::JobOutput;
use crate::model::{Copy, Digest, Drift, Foreign, LocalTag, Login, Problem, ProblemKind, RepoRow, SourceId, TagDetails, TagRow, remote};
use crate::source::{Catalog, Ctx, Resolved, Source, TagAnswer};

use super::clock;
use super::run::{Chunks, Env, unable};

/// Between two pieces.
const PACE: Duration = Duration::from_millis(16);

pub(super) fn catalog<'a>(source: &'a dyn Source, doing: &str) -> Result<&'a dyn Catalog, Problem> {
    source.catalog().ok_or_else(|| unable(doing, source))
}

/// What arrived and was not passed on yet.
pub(super) struct Arrived<T> {
    items: Mutex<Vec<T>>,
    any: Notify,
}

impl<T> Arrived<T> {
    pub(super) fn new() -> Self {
        Self { items: Mutex::new(Vec::new()), any: Notify::new() }
    }

    pub(super) fn put(&self, more: impl IntoIterator<Item = T>) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
        self.any.notify_one();
    }

    pub(super) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes things on while `work` brings them, and the last of them after it.
    pub(super) async fn relay<R>(&self, work: impl Future<Output = R>, chunks: &Chunks, output: impl Fn(Vec<T>) -> JobOutput) -> R {
        let ended = AtomicBool::new(false);
        let working = async {
            let result = work.await;
            ended.store(true, Ordering::Release);
            self.any.notify_one();
            result
        };
        let passing = async {
            loop {
                self.any.notified().await;
                let last = ended.load(Ordering::Acquire);
                let items = self.take();
                if !items.is_empty() {
                    chunks.send(output(items)).await;
                }
                if last {
                    break;
                }
                tokio::time::sleep(PACE).await;
            }
        };
        tokio::join!(working, passing).0
    }
}

/// Hands on what is known of a list of names before it is asked for, and keeps what was told.
struct Remembered<'a> {
    env: &'a Arc<Env>,
    source: &'a SourceId,
    what: String,
}

impl Remembered<'_> {
    /// The names that were told last time.
    async fn before(&self) -> Vec<String> {
        let (env, source, what) = (Arc::clone(self.env), self.source.clone(), self.what.clone());
        let read = tokio::task::spawn_blocking(move || env.known.names(&source, &what));
        read.await.ok().flatten().unwrap_or_default()
    }

    /// Keeps the names, once they are on their way to the screen: nobody waits for a disk.
    fn keep(self, names: Vec<String>) {
        let (env, source, what) = (Arc::clone(self.env), self.source.clone(), self.what);
        tokio::task::spawn_blocking(move || env.known.write_names(&source, &what, &names));
    }
}

pub(super) async fn repositories(env: &Arc<Env>, id: &SourceId, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let source = env.table.get(id).await?;
    let catalog = catalog(&*source, "list repositories")?;
    let remembered = Remembered { env, source: id, what: "repositories".to_owned() };
    let before = remembered.before().await;
    if !before.is_empty() {
        let rows = before.iter().map(|name| RepoRow { name: Foreign::new(name), fit: remote::is_repository(name) });
        chunks.send(JobOutput::KnownRepositories(rows.collect())).await;
    }
    let (arrived, mut names) = (Arrived::new(), Vec::new());
    let mut each = |more: Vec<RepoRow>| {
        names.extend(more.iter().map(|row| row.name.raw().to_owned()));
        arrived.put(more);
    };
    let listed = arrived.relay(catalog.repositories(ctx, &mut each), chunks, JobOutput::Repositories).await?;
    tell_quota(catalog, chunks).await;
    remembered.keep(names);
    Ok(JobOutput::Listed(listed))
}

pub(super) async fn tags(env: &Arc<Env>, id: &SourceId, repository: &str, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let source = env.table.get(id).await?;
    let catalog = catalog(&*source, "list tags")?;
    let remembered = Remembered { env, source: id, what: format!("tags of {repository}") };
    let before = remembered.before().await;
    if !before.is_empty() {
        let rows = before.iter().map(|tag| TagRow { tag: Foreign::new(tag), fit: remote::is_tag(tag) });
        chunks.send(JobOutput::KnownTags(rows.collect())).await;
    }
    let (arrived, mut names) = (Arrived::new(), Vec::new());
    let mut each = |more: Vec<TagRow>| {
        names.extend(more.iter().map(|row| row.tag.raw().to_owned()));
        arrived.put(more);
    };
    let listed = arrived.relay(catalog.tags(ctx, repository, &mut each), chunks, JobOutput::Tags).await?;
    tell_quota(catalog, chunks).await;
    if listed.is_complete() {
        forget_gone(env, id, repository, names.clone());
    }
    remembered.keep(names);
    Ok(JobOutput::Listed(listed))
}

/// Tags that have gone are new when they come back. Nobody waits for a disk.
fn forget_gone(env: &Arc<Env>, id: &SourceId, repository: &str, names: Vec<String>) {
    let (env, id, repository) = (Arc::clone(env), id.clone(), repository.to_owned());
    tokio::task::spawn_blocking(move || {
        let all: HashSet<&str> = names.iter().map(String::as_str).collect();
        drop(env.ledgers.tags.noted((&id, &repository), &[], Some(&all), clock::now()));
    });
}

pub(super) async fn details(
    env: &Arc<Env>,
    id: &SourceId,
    repository: &str,
    tags: &[String],
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(id).await?;
    let catalog = catalog(&*source, "read tags")?;
    let (arrived, mut seen) = (Arrived::new(), Vec::new());
    let mut each = |answer: TagAnswer| {
        seen.extend(answer.1.iter().map(|details| (details.tag.clone(), details.digest.clone())));
        arrived.put([answer]);
    };
    let read = arrived.relay(catalog.details(ctx, repository, tags, &mut each), chunks, JobOutput::Details).await;
    // What was told before it was stopped was seen all the same.
    if !seen.is_empty() {
        chunks.send(JobOutput::FirstSeen(first_seen(env, id, repository, seen).await)).await;
    }
    read?;
    tell_quota(catalog, chunks).await;
    Ok(JobOutput::Told)
}

/// Notes the sight of tags, and says when each was first seen at what it points at.
async fn first_seen(env: &Arc<Env>, id: &SourceId, repository: &str, seen: Vec<(String, Digest)>) -> Vec<(String, Digest, Timestamp)> {
    let (env, id, repository) = (Arc::clone(env), id.clone(), repository.to_owned());
    let noted = tokio::task::spawn_blocking(move || {
        let known = env.ledgers.tags.noted((&id, &repository), &seen, None, clock::now());
        seen.into_iter().filter_map(|(tag, digest)| known.first_seen(&tag, &digest).map(|at| (tag, digest, at))).collect()
    });
    noted.await.unwrap_or_default()
}

/// The labels behind tags, for the policies that ask for them.
pub(super) async fn labels(
    source: &dyn Source,
    repository: &str,
    details: &[TagDetails],
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let catalog = catalog(source, "read labels")?;
    let arrived = Arrived::new();
    let mut each = |answer| arrived.put([answer]);
    arrived.relay(catalog.labels(ctx, repository, details, &mut each), chunks, JobOutput::Labels).await?;
    tell_quota(catalog, chunks).await;
    Ok(JobOutput::Told)
}

/// Passes on how much the registry still gives, where it says so.
async fn tell_quota(catalog: &dyn Catalog, chunks: &Chunks) {
    if let Some(quota) = catalog.quota() {
        chunks.send(JobOutput::Quota(quota)).await;
    }
}

pub(super) async fn referrers(source: &dyn Source, repository: &str, subject: &Digest, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let found = catalog(source, "look for referrers")?.referrers(ctx, repository, subject, None).await?;
    Ok(JobOutput::Referrers(Arc::new(found)))
}

/// Asks every registry that local tags name where these tags point there; one that does not answer keeps none of the others from answering.
pub(super) async fn drift(env: &Env, tags: Vec<LocalTag>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let arrived = Arrived::new();
    let mut hosts: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
    for tag in tags {
        match tag.name.reference() {
            Ok(to) => {
                let named = (to.repository().to_owned(), to.tag().unwrap_or("latest").to_owned());
                hosts.entry(to.registry().to_owned()).or_default().push((tag, named));
            }
            Err(problem) => arrived.put([(tag, Err(problem))]),
        }
    }
    let asking = hosts.into_iter().map(|(host, tags)| drift_at(env, host, tags, ctx, &arrived));
    arrived.relay(futures_util::future::join_all(asking), chunks, JobOutput::Drift).await;
    ctx.check("compare with the registries")?;
    Ok(JobOutput::Told)
}

/// A local tag, with the repository and the tag it names.
type Wanted = (LocalTag, (String, String));
type Standing = (LocalTag, Result<Drift, Problem>);

async fn drift_at(env: &Env, host: String, tags: Vec<Wanted>, ctx: &Ctx, arrived: &Arrived<Standing>) {
    let (tags, names): (Vec<LocalTag>, Vec<(String, String)>) = tags.into_iter().unzip();
    let mut told = vec![false; tags.len()];
    let mut each = |(at, answer): Resolved| {
        if let (Some(tag), Some(told)) = (tags.get(at), told.get_mut(at)) {
            *told = true;
            let repository = tag.name.split().0;
            arrived.put([(tag.clone(), answer.map(|there| Drift::of(&tag.repo_digests, repository, there.as_ref())))]);
        }
    };
    let asked = async {
        let source = env.table.get(&SourceId::registry(&host)).await?;
        catalog(&*source, "compare with")?.resolve(ctx, &names, &mut each).await
    };
    if let Err(problem) = asked.await {
        let left = tags.iter().zip(&told).filter(|(_, told)| !**told);
        arrived.put(left.map(|(tag, _)| (tag.clone(), Err(problem.clone()))));
    }
}

pub(super) async fn log_in(source: &dyn Source, login: &Login, ctx: &Ctx) -> Result<JobOutput, Problem> {
    Ok(JobOutput::LoggedIn(catalog(source, "log in to")?.log_in(ctx, login).await?))
}

pub(super) async fn log_out(source: &dyn Source, ctx: &Ctx) -> Result<JobOutput, Problem> {
    Ok(JobOutput::LoggedOut(catalog(source, "log out of")?.log_out(ctx).await?))
}

/// Fills in what the copy's tag points at now.
pub(super) async fn preview_copy(source: &dyn Source, mut copy: Box<Copy>, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let catalog = catalog(source, "copy")?;
    let to = copy.to.reference()?;
    let tags = [to.tag().unwrap_or("latest").to_owned()];
    let mut there = None;
    let mut each = |(_, answer)| there = Some(answer);
    catalog.details(ctx, to.repository(), &tags, &mut each).await?;
    copy.replaces = match there {
        Some(Ok(details)) => Some(details.digest),
        Some(Err(problem)) if problem.kind != ProblemKind::NotFound => return Err(problem),
        Some(Err(_)) | None => None,
    };
    Ok(JobOutput::CopyPreview(copy))
}
