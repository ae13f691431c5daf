//! What is put by before a plan is written down: the manifests that lines take away, and, when asked for, whole images.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::super::journal::{Locked, RunId, Saved, Step};
use super::{Applier, Sources, curator, keeper, look};
use crate::model::{Digest, Foreign, LineState, Operation, Plan, Problem, ProblemKind, Safe, UndoClass, Verb};
use crate::source::{Curator, KeptManifest, blocking};

impl Applier<'_> {
    /// Saves what lines of registries take away. A line whose manifest can't be saved must not run: it is decided by that.
    pub(super) async fn save(
        &self,
        locked: &Arc<Locked>,
        sources: &Sources,
        plan: &Plan,
        steps: &mut [Step],
    ) -> Result<BTreeMap<usize, LineState>, Problem> {
        self.ctx.meter.phase("saving what is needed to take it back");
        let takes =
            |operation: &&Operation| operation.place().registry_host().is_some() && operation.takes_away() && operation.refused().is_none();
        // Lines on one manifest share what is saved of it.
        let mut wanted: HashMap<(String, &Digest, bool), &Operation> = HashMap::new();
        for operation in plan.operations.iter().filter(takes) {
            if let Some((key, _)) = key(operation).zip(keeper(sources, operation)) {
                wanted.insert(key, operation);
            }
        }
        let at_once = sources.values().filter_map(|source| source.curator()).map(Curator::at_once).max().unwrap_or(1);
        let mut fetching: Vec<BoxFuture<'_, Result<_, Problem>>> = Vec::new();
        for (key, operation) in wanted {
            fetching.push(Box::pin(async move {
                let kept = self.fetch(sources, operation, key.2).await;
                // The disk is another matter: without it nothing is done.
                let saved = match kept {
                    Ok(kept) => Ok(keep(locked, kept).await?),
                    Err(problem) => Err(problem),
                };
                Ok((key, saved))
            }));
        }
        let fetched: Vec<_> = stream::iter(fetching).buffer_unordered(at_once).collect().await;
        let mut saved = HashMap::new();
        for answer in fetched {
            let (key, manifests) = answer?;
            saved.insert(key, manifests);
        }
        let mut early = BTreeMap::new();
        for (n, operation) in plan.operations.iter().enumerate().filter(|(_, operation)| takes(operation)) {
            match (key(operation).and_then(|key| saved.get(&key)), steps.get_mut(n)) {
                (Some(Ok(manifests)), Some(step)) => step.saved.clone_from(manifests),
                (Some(Err(problem)), _) => drop(early.insert(n, self.unsaved(sources, operation, problem).await)),
                _ => {}
            }
        }
        Ok(early)
    }

    async fn fetch(&self, sources: &Sources, operation: &Operation, parts: bool) -> Result<Vec<KeptManifest>, Problem> {
        let unable = || Problem::new(ProblemKind::Other, operation.doing(), "there is nothing to save");
        let (keeper, digest) = keeper(sources, operation).zip(operation.before.as_ref()).ok_or_else(unable)?;
        keeper.keep(self.ctx, &operation.target, digest, parts).await
    }

    async fn unsaved(&self, sources: &Sources, operation: &Operation, problem: &Problem) -> LineState {
        if let Ok(observed) = look(sources, self.ctx, operation).await
            && observed != operation.before
        {
            return LineState::Conflict { observed };
        }
        let cause = format!("what is needed to take it back can't be saved: {}", problem.cause);
        LineState::Failed(Problem::new(problem.kind, operation.doing(), cause))
    }

    /// Writes out the images that lines would lose. A line whose image can't be written out must not run.
    pub(super) async fn back_up(
        &self,
        id: RunId,
        sources: &Sources,
        plan: &mut Plan,
        steps: &mut [Step],
        early: &mut BTreeMap<usize, LineState>,
    ) -> Result<(), Problem> {
        let dir = self.journal.backups(id);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| Problem::disk("write backups", &dir, &error))?;
        let mut written: HashSet<String> = HashSet::new();
        for (n, operation) in plan.operations.iter_mut().enumerate() {
            let loses =
                matches!(operation.verb, Verb::DeleteImage | Verb::DeleteTag | Verb::DeleteManifest) && operation.refused().is_none();
            if !loses || early.contains_key(&n) {
                continue;
            }
            let (Some(curator), Some(before), Some(step)) = (curator(sources, operation), operation.before.clone(), steps.get_mut(n))
            else {
                continue;
            };
            self.ctx.check("write backups")?;
            self.ctx.meter.phase(&format!("backing up {}", operation.target.safe()));
            let file = dir.join(n.to_string());
            match curator.back_up(self.ctx, &operation.target, &before, &file).await {
                Ok(()) => {
                    let name = format!("{id}/{n}");
                    written.insert(name.clone());
                    step.backup = Some(name);
                    operation.undo = UndoClass::ReversibleNow;
                    operation.effects.push(Foreign::new(match operation.verb {
                        Verb::DeleteImage => "written to a backup before, without its digests in registries",
                        _ => "written to a backup before",
                    }));
                }
                Err(problem) if problem.is_cancelled() => return Err(problem),
                Err(problem) => {
                    let cause = format!("it can't be backed up: {}", problem.cause);
                    early.insert(n, LineState::Failed(Problem::new(problem.kind, operation.doing(), cause)));
                }
            }
        }
        let synced = blocking("write backups", move || {
            let sync = fs::File::open(&dir).and_then(|dir| dir.sync_all());
            sync.map_err(|error| Problem::disk("write backups", &dir, &error))
        });
        synced.await?;
        self.ctx.meter.phase(Safe::new("").as_str());
        Ok(())
    }
}

/// Lines of one key need the same to be saved: all of an index where it goes, itself alone where only a tag leaves it.
fn key(operation: &Operation) -> Option<(String, &Digest, bool)> {
    let parts = matches!(operation.verb, Verb::DeleteTag | Verb::DeleteManifest);
    Some((operation.target.repository()?, operation.before.as_ref()?, parts))
}

async fn keep(locked: &Arc<Locked>, kept: Vec<KeptManifest>) -> Result<Vec<Saved>, Problem> {
    let locked = Arc::clone(locked);
    let save = move |kept: KeptManifest| {
        locked.save(&kept.digest, &kept.bytes)?;
        Ok(Saved { digest: kept.digest, media_type: kept.media_type })
    };
    blocking("save manifests", move || kept.into_iter().map(save).collect()).await
}
