//! What each job does: one `match` over [`Job`], in terms of the sources' verbs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc};

use crate::flow::{Job, JobEvent, JobId, JobOutput, Msg};
use crate::model::{Change, Digest, ImageKey, ImageList, Locator, Name, Problem, ProblemKind, SourceId};
use crate::source::{Ctx, ExportTo, Noticed, Source, blocking};

use super::apply::{Applier, There};
use super::gists::Gists;
use super::journal::Journal;
use super::known::KnownLists;
use super::layer_cache::LayerCache;
use super::ledger::Ledgers;
use super::scan::Scanning;
use super::table::Table;
use super::{catalog, compare, content, curation, explore, findings, layers, pullable, scan, trace};

/// What jobs share.
#[derive(Debug)]
pub struct Env {
    pub table: Table,
    pub known: KnownLists,
    pub journal: Journal,
    /// When images were used; of nothing unless there is a place to keep it.
    pub ledgers: Ledgers,
    /// What layers hold that were read before; nothing unless there is a place to keep it.
    pub layers: LayerCache,
    /// How images are looked at for what is wrong with them.
    pub scanning: Scanning,
    /// What scans came to; of nothing unless there is a place to keep it.
    pub gists: Gists,
    /// Sources whose last known list was shown.
    shown: Mutex<HashSet<SourceId>>,
    /// One look at a tree is worked out at a time: those that were asked for and given up meanwhile are then never begun.
    pub(super) looking: Arc<Semaphore>,
}

/// Where a job sends what it brings on the way.
pub(super) struct Chunks {
    pub id: JobId,
    pub inbox: mpsc::Sender<Msg>,
}

impl Chunks {
    pub(super) async fn send(&self, output: JobOutput) {
        // The inbox is closed only when the program ends.
        let _ = self.inbox.send(Msg::Job(self.id, JobEvent::Chunk(output))).await;
    }
}

impl Env {
    #[must_use]
    pub fn new(table: Table, known: KnownLists, journal: Journal) -> Self {
        Self {
            table,
            known,
            journal,
            ledgers: Ledgers::default(),
            layers: LayerCache::none(),
            scanning: Scanning::default(),
            gists: Gists::default(),
            shown: Mutex::default(),
            looking: Arc::new(Semaphore::new(1)),
        }
    }

    /// With a place to keep when images were used.
    #[must_use]
    pub fn noting(self, ledgers: Ledgers) -> Self {
        Self { ledgers, ..self }
    }

    /// With a place to keep what layers hold.
    #[must_use]
    pub fn keeping(self, layers: LayerCache) -> Self {
        Self { layers, ..self }
    }

    /// With what to look for what is wrong with images by, and a place to keep what that came to.
    #[must_use]
    pub fn scanning(self, scanning: Scanning, gists: Gists) -> Self {
        Self { scanning, gists, ..self }
    }

    /// The last known list of a source, for the first frame; it is not shown again.
    #[must_use]
    pub fn first_list(&self, id: &SourceId) -> Option<ImageList> {
        self.is_first(id).then(|| self.known.read(id)).flatten()
    }

    /// Whether this source was not listed before in this run.
    fn is_first(&self, id: &SourceId) -> bool {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone())
    }
}

/// Runs one job to its end.
pub(super) async fn run(job: Job, env: &Arc<Env>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    match job {
        Job::Discover => Ok(JobOutput::Sources(env.table.discover().await?)),
        Job::Open(locator) => open(env, &locator).await,
        Job::List { source } => list(&source, env, ctx, chunks).await,
        Job::Watch { source } => watch(&source, env, ctx, chunks).await,
        Job::Inspect { source, key } => Ok(JobOutput::Image(Arc::new(env.table.get(&source).await?.inspect(ctx, &key).await?))),
        Job::Files { source, image, layers } => explore::explore(env, &source, &image, &layers, ctx, chunks).await,
        Job::Arrange { tree, look, open } => explore::arrange(env, tree, look, open).await,
        Job::Cost(tree) => explore::cost(tree).await,
        Job::Peek { source, image, lies, columns } => content::peek(env, &source, &image, lies, columns, ctx).await,
        Job::SaveFile { source, image, lies, file } => content::save_from(env, &source, &image, lies, file, ctx).await,
        Job::Compare(both) => Box::pin(compare::run(env, &both, ctx, chunks)).await,
        Job::SiftComparison { found, section, filter } => compare::sift(env, found, section, filter).await,
        Job::SaveComparison { found, names, file } => compare::save(found, names, file).await,
        job @ (Job::ArrangeFindings { .. } | Job::SaveFindings { .. } | Job::Ignore { .. } | Job::ImportReport { .. }) => {
            findings::run(job, env).await
        }
        Job::Scan { source, key, image, reach, imports } => {
            Box::pin(scan::run(env, &source, (&key, &image), reach, imports, ctx, chunks)).await
        }
        Job::PreviewImport { source, file } => preview_import(&*env.table.get(&source).await?, &file, ctx).await,
        Job::PreviewPrune { source } => preview_prune(&*env.table.get(&source).await?, ctx).await,
        Job::Repositories { source } => catalog::repositories(env, &source, ctx, chunks).await,
        Job::Tags { source, repository } => catalog::tags(env, &source, &repository, ctx, chunks).await,
        Job::Details { source, repository, tags } => catalog::details(env, &source, &repository, &tags, ctx, chunks).await,
        Job::Labels { source, repository, details } => {
            catalog::labels(&*env.table.get(&source).await?, &repository, &details, ctx, chunks).await
        }
        Job::Referrers { source, repository, subject } => {
            catalog::referrers(&*env.table.get(&source).await?, &repository, &subject, ctx).await
        }
        Job::View { source, repository, tags, digests } => curation::view(env, &source, &repository, &tags, &digests, ctx).await,
        Job::Weigh { source, repository, digests } => curation::weigh(env, &source, &repository, &digests, ctx).await,
        Job::Layers { source, images } => layers::tell(env, &source, &images, ctx, chunks).await,
        Job::Family { image, list, layers } => layers::family(image, list, layers).await,
        Job::Space { list, layers } => layers::space(list, layers).await,
        Job::Apply(applying) => curation::apply(env, *applying, ctx, chunks).await,
        Job::DryRun(plan) => curation::dry_run(env, *plan, ctx, chunks).await,
        Job::Recover => curation::recover(env, ctx).await,
        Job::Runs => curation::runs(env).await,
        Job::Restorable { run } => curation::restorable(env, &run, ctx).await,
        Job::Back { way, run, lines } => curation::back(env, way, run.as_deref(), &lines.unwrap_or_default(), ctx).await,
        Job::ReadPolicy { file } => curation::read_policy(file).await,
        Job::SavePolicy { text, file } => curation::save_text("write the policy", text, file).await,
        Job::SavePlan { plan, file } => curation::save(plan, file).await,
        Job::SaveText { text, file } => curation::save_text("write the report", text, file).await,
        Job::Trace { local, remote } => trace::trace(env, local, remote, ctx, chunks).await,
        Job::Drift { tags } => catalog::drift(env, tags, ctx, chunks).await,
        Job::Pullable { images } => pullable::pullable(env, images, ctx, chunks).await,
        Job::LogIn { source, login } => catalog::log_in(&*env.table.get(&source).await?, &login, ctx).await,
        Job::LogOut { source } => catalog::log_out(&*env.table.get(&source).await?, ctx).await,
        Job::PreviewCopy { source, copy } => catalog::preview_copy(&*env.table.get(&source).await?, copy, ctx).await,
        Job::PreviewPush { source, pushes } => preview_push(env, &source, &pushes, ctx).await,
        Job::Export { source, keys, file, format, overwrite } => {
            export(&*env.table.get(&source).await?, &keys, ExportTo { file, format, overwrite }, ctx).await
        }
        Job::Change(change) => transfer(env, &change, ctx).await,
    }
}

async fn open(env: &Env, locator: &Locator) -> Result<JobOutput, Problem> {
    let info = env.table.open(locator)?;
    // Opened now, so that a file that is none is not switched to.
    env.table.get(&info.id).await?;
    Ok(JobOutput::Opened(info))
}

async fn preview_import(source: &dyn Source, file: &Path, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let curator = source.curator().ok_or_else(|| unable("import an archive", source))?;
    Ok(JobOutput::ImportPreview(curator.preview_import(ctx, file).await?))
}

async fn preview_prune(source: &dyn Source, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let curator = source.curator().ok_or_else(|| unable("prune images", source))?;
    Ok(JobOutput::Prunable(Arc::new(curator.prunable(ctx).await?)))
}

async fn transfer(env: &Env, change: &Change, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let source = env.table.get(change.source()).await?;
    env.table.check_writable(change.source())?;
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &|_, _| {} };
    Ok(JobOutput::Applied(applier.transfer(&source, change).await?))
}

async fn preview_push(env: &Env, source: &SourceId, pushes: &[(Name, Digest)], ctx: &Ctx) -> Result<JobOutput, Problem> {
    let from = env.table.get(source).await?;
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &|_, _| {} };
    let told = |there| match there {
        There::At(digest) => Ok(digest),
        There::Unseen(problem) => Err(problem),
    };
    Ok(JobOutput::PushPreview(applier.before_pushes(&from, pushes).await?.into_iter().map(told).collect()))
}

async fn export(source: &dyn Source, keys: &[ImageKey], to: ExportTo, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let transfer = source.export(ctx, keys, &to).await?;
    Ok(JobOutput::Exported { file: to.file, transfer })
}

pub(super) fn unable(doing: &str, source: &dyn Source) -> Problem {
    Problem::new(ProblemKind::Unsupported, doing, format!("{} is read-only", source.id()))
}

async fn list(id: &SourceId, env: &Arc<Env>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    #[cfg(debug_assertions)]
    super::hooks::panic_if("job");
    let source = env.table.get(id).await?;
    if env.is_first(id)
        && let Some(list) = known(id, env).await
    {
        chunks.send(JobOutput::Known(Arc::new(list))).await;
    }
    let version = source.version(ctx).await?;
    let (list, used) = source.list_with_uses(ctx).await?;
    let list = Arc::new(list);
    let (noting, place, noted) = (Arc::clone(env), id.clone(), Arc::clone(&list));
    let uses = blocking("note when images were used", move || Ok(noting.ledgers.listed(&place, &noted, &used))).await?;
    if !uses.is_empty() {
        chunks.send(JobOutput::Uses(Arc::new(uses))).await;
    }
    // Kept for the next start, after the answer is on its way: nobody waits for a disk.
    let (env, id, kept) = (Arc::clone(env), id.clone(), Arc::clone(&list));
    tokio::task::spawn_blocking(move || {
        env.known.write(&id, &kept);
        env.ledgers.keep(&id);
    });
    Ok(JobOutput::Images { list, version })
}

/// The last known list of a source, for while it is asked.
async fn known(id: &SourceId, env: &Arc<Env>) -> Option<ImageList> {
    let (env, id) = (Arc::clone(env), id.clone());
    tokio::task::spawn_blocking(move || env.known.read(&id)).await.ok().flatten()
}

async fn watch(id: &SourceId, env: &Arc<Env>, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let source = env.table.get(id).await?;
    let watcher = source.watcher().ok_or_else(|| unable("watch for changes", &*source))?;
    // What is ready at once is one change: a pull makes hundreds of events.
    let mut changes = watcher.watch(ctx).await?.ready_chunks(256);
    let mut open = false;
    while let Some(batch) = changes.next().await {
        for noticed in &batch {
            if let Ok(Noticed::Use { image, at }) = noticed {
                env.ledgers.used(id, image.raw(), *at);
            }
        }
        for change in batch.iter().take(2) {
            if change.is_ok() && !open {
                open = true;
                chunks.send(JobOutput::Watching).await;
            } else if change.is_ok() {
                chunks.send(JobOutput::Changed).await;
                break;
            }
        }
        if let Some(Err(problem)) = batch.into_iter().find(Result::is_err) {
            return Err(problem);
        }
    }
    Err(Problem::new(ProblemKind::Unreachable, format!("watch {id}"), "the stream of changes ended"))
}
