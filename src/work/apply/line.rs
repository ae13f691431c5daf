//! What each verb does, in terms of the sources' verbs, and how its end is told: whatever was answered, what is there afterwards decides.

use std::path::Path;
use std::sync::PoisonError;

use bytes::Bytes;

use super::super::journal::{Entry, Saved, Step};
use super::{Running, curator, keeper, look};
use crate::model::{
    Copy, CopyFrom, Digest, Kept, LineState, Locator, Name, Operation, Problem, ProblemKind, Removal, Safe, Target, Transport, Verb, Why,
};
use crate::source::registry::stand_in_digest;
use crate::source::{Ctx, Curator, KeptManifest, blocking};

/// Whether `observed` is what a tag is at in the middle of an untag that was cut short: trying that again ends it.
pub(super) fn is_half_way(operation: &Operation, observed: Option<&Digest>) -> bool {
    let half_way = || stand_in_digest(operation.target.name()?, operation.before.as_ref()?);
    operation.verb == Verb::Untag && operation.source.registry_host().is_some() && observed.is_some() && half_way().as_ref() == observed
}

/// Whether the target is at what the line wanted. What a transfer brings may not have been known before: then only it itself can tell. Of a push
/// the image is known, and the manifest that its target is at then tells which image it is of.
pub(super) async fn is_settled(keeper: Option<&dyn Curator>, operation: &Operation, observed: Option<&Digest>) -> Result<bool, Problem> {
    let (after, (Verb::Push, Some(digest), Some(keeper))) = (operation.after.as_ref(), (operation.verb, observed, keeper)) else {
        return Ok(observed == operation.after.as_ref() && (observed.is_some() || !operation.verb.brings()));
    };
    if after == Some(digest) || observed == operation.before.as_ref() {
        return Ok(after == Some(digest));
    }
    let kept = keeper.keep(&Ctx::default(), &operation.target, digest, false).await?;
    Ok(kept.last().is_some_and(|manifest| after.is_some_and(|image| names(&manifest.bytes, image))))
}

/// Whether a manifest has this image's configuration, or an index this manifest.
fn names(manifest: &[u8], image: &Digest) -> bool {
    let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(manifest) else { return false };
    let is_image = |descriptor: &serde_json::Value| descriptor["digest"].as_str() == Some(image.as_str());
    is_image(&manifest["config"]) || manifest["manifests"].as_array().is_some_and(|all| all.iter().any(is_image))
}

/// Why a line was not done.
pub(super) struct NotDone {
    problem: Problem,
    /// Why the source kept what was to go.
    why: Option<Why>,
}

impl From<Problem> for NotDone {
    fn from(problem: Problem) -> Self {
        Self { problem, why: None }
    }
}

impl NotDone {
    fn kept(operation: &Operation, why: Why) -> Self {
        let kind = match why {
            Why::NotTried => ProblemKind::Cancelled,
            Why::UnderWay => ProblemKind::Unreachable,
            Why::Gone | Why::HasChildren(_) | Why::Said(_) => ProblemKind::Conflict,
        };
        Self { problem: Problem::new(kind, operation.doing(), why.to_string()), why: Some(why) }
    }
}

impl Running<'_> {
    /// Runs lines that belong together.
    pub(super) async fn unit(&self, lines: Vec<usize>) {
        let lines: Vec<usize> = lines.into_iter().filter(|n| !self.is_decided(*n)).collect();
        let whole = |n: &usize| {
            self.header.plan.operations.get(*n).is_some_and(|operation| matches!(operation.verb, Verb::DeleteTag | Verb::DeleteManifest))
        };
        if lines.first().is_some_and(whole) {
            return self.batch(&lines).await;
        }
        for n in lines {
            self.line(n).await;
        }
    }

    /// Writes down that lines begin; `false` when they must not.
    pub(super) async fn begin(&self, lines: &[usize]) -> bool {
        #[cfg(debug_assertions)]
        crate::work::hooks::point();
        if let Some(why) = self.halted() {
            self.pass_over(lines, &why);
            return false;
        }
        let Some((last, rest)) = lines.split_last() else { return false };
        for n in rest {
            self.writer.note(&Entry::Begin { n: *n }, None).await;
        }
        if let Err(problem) = self.writer.write(&Entry::Begin { n: *last }).await {
            self.pass_over(lines, &problem);
            return false;
        }
        for n in lines {
            self.set(*n, LineState::Running);
        }
        #[cfg(debug_assertions)]
        crate::work::hooks::point();
        true
    }

    async fn line(&self, n: usize) {
        let (Some(operation), Some(step)) = (self.header.plan.operations.get(n), self.header.steps.get(n)) else { return };
        let Some(curator) = curator(self.sources, operation) else { return };
        if !self.begin(&[n]).await {
            return;
        }
        let acted = self.act(curator, operation, step).await;
        #[cfg(debug_assertions)]
        crate::work::hooks::point();
        self.came_to(n, operation, acted).await;
    }

    /// How a line ended, unless it is to be tried again.
    async fn came_to(&self, n: usize, operation: &Operation, acted: Result<Option<Digest>, NotDone>) {
        let state = match acted {
            Err(not_done) if may_wait(operation, &not_done) => {
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(n, not_done);
                return;
            }
            Ok(observed) => Ok(LineState::Done { observed }),
            Err(not_done) if went_along(operation, &not_done) && self.others_go(n, operation) => Ok(LineState::Done { observed: None }),
            Err(not_done) => self.told(operation, not_done).await,
        };
        self.finish(n, operation, state).await;
    }

    /// Whether another image of the same source goes in this run, or went.
    fn others_go(&self, n: usize, operation: &Operation) -> bool {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = self.header.plan.operations.iter().zip(states.iter()).enumerate();
        lines.any(|(other, (line, state))| {
            other != n
                && line.verb == Verb::DeleteImage
                && line.source == operation.source
                && matches!(state, LineState::Running | LineState::Done { .. })
        })
    }

    /// Tries a line once more that waited for others of its source, or ends it with `last`, which was said of it before. Its beginning is
    /// written down.
    pub(super) async fn again(&self, n: usize, last: Option<NotDone>) {
        let Some(operation) = self.header.plan.operations.get(n) else { return };
        let Some(curator) = curator(self.sources, operation) else { return };
        if let Some(why) = self.halted() {
            return self.finish(n, operation, Ok(LineState::Skipped(Safe::from(format!("not tried: {}", why.cause))))).await;
        }
        if let Some(not_done) = last {
            let state = self.told(operation, not_done).await;
            return self.finish(n, operation, state).await;
        }
        let acted = self.remove(curator, operation).await.map(|()| None);
        self.came_to(n, operation, acted).await;
    }

    pub(super) async fn finish(&self, n: usize, operation: &Operation, state: Result<LineState, Problem>) {
        match state {
            Ok(state @ LineState::Skipped(_)) => {
                self.writer.note(&Entry::NotApplied { n }, None).await;
                self.set(n, state);
            }
            Ok(state) => self.end(n, state).await,
            // Nobody knows how it ended, so nothing is said of it: it is looked at again at the next start.
            Err(problem) => {
                *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = true;
                self.set(n, LineState::Failed(problem.detail(format!("whether {} was done is not known", operation.doing()))));
            }
        }
        #[cfg(debug_assertions)]
        crate::work::hooks::point();
    }

    /// How a line ended that did not end well. `Err` when that can't be told.
    pub(super) async fn told(&self, operation: &Operation, not_done: NotDone) -> Result<LineState, Problem> {
        let NotDone { problem, why } = not_done;
        if operation.is_blind() {
            let skipped = problem.is_cancelled();
            return Ok(if skipped { LineState::Skipped(Safe::new("cancelled")) } else { LineState::Failed(problem) });
        }
        let Ok(observed) = look(self.sources, &Ctx::default(), operation).await else { return Err(problem) };
        let settled = is_settled(keeper(self.sources, operation), operation, observed.as_ref()).await;
        let Ok(settled) = settled else { return Err(problem) };
        match observed {
            observed if is_half_way(operation, observed.as_ref()) => Err(problem),
            // The engine is at it still.
            observed if observed == operation.before && why == Some(Why::UnderWay) => Err(problem),
            observed if settled && problem.kind != ProblemKind::Conflict => Ok(LineState::Done { observed }),
            observed if observed != operation.before => Ok(LineState::Conflict { observed }),
            _ if problem.is_cancelled() => Ok(LineState::Skipped(Safe::new("cancelled"))),
            _ => Ok(LineState::Failed(problem)),
        }
    }

    /// Does it, and says what the target is at then.
    async fn act(&self, curator: &dyn Curator, operation: &Operation, step: &Step) -> Result<Option<Digest>, NotDone> {
        // A short write is not ended in its middle: cancelling stops between lines.
        let ctx = &Ctx::default();
        let before = operation.before.as_ref();
        let (name, after) = (operation.target.name(), operation.after.as_ref());
        match (operation.verb, name, after) {
            (Verb::Tag | Verb::MoveTag, Some(name), Some(after)) => {
                if step.restore.is_empty() && step.backup.is_none() {
                    curator.tag(ctx, after, &name.reference()?, before).await?;
                } else {
                    self.restore(curator, operation, step, after).await?;
                }
            }
            (Verb::RestoreManifest | Verb::RestoreImage, _, Some(after)) => self.restore(curator, operation, step, after).await?,
            (Verb::Untag, Some(name), None) => self.untag(curator, operation, name).await?,
            (Verb::DeleteImage, ..) => self.remove(curator, operation).await?,
            _ => return Ok(self.transfer(curator, operation).await?),
        }
        Ok(operation.after.clone())
    }

    async fn transfer(&self, curator: &dyn Curator, operation: &Operation) -> Result<Option<Digest>, Problem> {
        let (doing, ctx) = (operation.doing(), self.applier.ctx);
        let unfit = || Problem::new(ProblemKind::Usage, &doing, "its target, before and after don't fit what it does");
        let name = operation.target.name().ok_or_else(unfit)?;
        match (operation.verb, &operation.after, &operation.from) {
            (Verb::Copy | Verb::Pull, after, Some(from)) => {
                let remote = operation.source.registry_host().is_some();
                let copy = Copy {
                    from: copy_from(from)?,
                    expected: after.clone().filter(|_| remote && operation.platforms.is_empty()),
                    to: name.clone(),
                    replaces: operation.before.clone(),
                    platforms: operation.platforms.clone(),
                    referrers: operation.with_referrers,
                };
                curator.copy(ctx, &copy).await?;
            }
            (Verb::Push, Some(after), _) => return self.push(curator, operation, name, after).await,
            (Verb::Pull, _, None) => drop(curator.pull(ctx, &name.reference()?, operation.platforms.first()).await?),
            _ => return Err(unfit()),
        }
        look(self.sources, ctx, operation).await
    }

    /// Whoever pushes asks nobody what the tag is at, so it is looked at before the upload begins; what somebody else puts there while that
    /// lasts is overwritten. What it left is its manifest, whose digest a push may tell and an image's ID is not.
    async fn push(&self, curator: &dyn Curator, operation: &Operation, name: &Name, id: &Digest) -> Result<Option<Digest>, Problem> {
        let ctx = self.applier.ctx;
        if operation.is_blind() {
            return Ok(curator.push(ctx, &name.reference()?, id).await?.digest);
        }
        let now = look(self.sources, ctx, operation).await?;
        if now != operation.before {
            let now = now.map_or_else(|| "is gone there".to_owned(), |now| format!("is at {} there", now.short()));
            return Err(Problem::new(ProblemKind::Conflict, operation.doing(), format!("meanwhile {} {now}", name.safe())));
        }
        let pushed = curator.push(ctx, &name.reference()?, id).await?;
        match (look(self.sources, ctx, operation).await, pushed.digest) {
            (Err(problem), digest) => digest.map(Some).ok_or(problem),
            // What somebody else put there is not ours to take back.
            (Ok(observed), Some(digest)) if observed.as_ref() != Some(&digest) => {
                let cause = format!("it was pushed, and then {} was moved by somebody else", name.safe());
                Err(Problem::new(ProblemKind::Conflict, operation.doing(), cause))
            }
            (Ok(observed), _) => Ok(observed),
        }
    }

    /// From the manifests that were saved, else from the backup.
    async fn restore(&self, curator: &dyn Curator, operation: &Operation, step: &Step, after: &Digest) -> Result<(), Problem> {
        let ctx = &Ctx::default();
        let before = operation.before.as_ref();
        let backup = step.backup.as_deref().and_then(|name| self.applier.journal.backup(name));
        let tried = if step.restore.is_empty() {
            None
        } else {
            let manifests = self.applier.load(&step.restore).await?;
            match curator.put_back(ctx, &operation.target, &manifests, before).await {
                Ok(()) => return Ok(()),
                Err(problem) => Some(problem),
            }
        };
        match (backup.filter(|file| file.exists()), tried) {
            (Some(file), None) => self.bring_back(curator, operation, after, &file).await,
            (Some(file), Some(problem)) if problem.kind != ProblemKind::Conflict => self.bring_back(curator, operation, after, &file).await,
            (_, Some(problem)) => Err(problem),
            (None, None) => Err(Problem::new(ProblemKind::NotFound, operation.doing(), "nothing was kept to bring it back from")),
        }
    }

    async fn bring_back(&self, curator: &dyn Curator, operation: &Operation, after: &Digest, file: &Path) -> Result<(), Problem> {
        curator.bring_back(self.applier.ctx, &operation.target, after, file, operation.before.as_ref()).await
    }

    async fn untag(&self, curator: &dyn Curator, operation: &Operation, name: &Name) -> Result<(), NotDone> {
        let ctx = &Ctx::default();
        let Some(before) = &operation.before else { return Ok(()) };
        if operation.source.registry_host().is_some() {
            let (_, kept) = curator.untag(ctx, &[(name.clone(), before.clone())]).await?;
            return first_kept(operation, kept);
        }
        // Taking its last name away would take the image too.
        let seen = curator.look(ctx, &operation.target).await?;
        if seen.is_some_and(|seen| seen.digest == *before && seen.names.len() < 2) {
            let cause = "it is the last name of its image, which would go too";
            let problem = Problem::new(ProblemKind::Denied, operation.doing(), cause);
            return Err(problem.hint("delete the image, or give it another name first").into());
        }
        self.remove(curator, operation).await
    }

    /// Takes a name, or an image without one, away from a source of this machine. Where a user stops it before it was sent, it is not.
    async fn remove(&self, curator: &dyn Curator, operation: &Operation) -> Result<(), NotDone> {
        let Some(expected) = operation.before.clone() else { return Ok(()) };
        let item = removal(&operation.target, expected);
        let (_, kept) = curator.remove(self.applier.ctx, std::slice::from_ref(&item)).await?;
        first_kept(operation, kept)
    }

    /// Tags and manifests of one repository that go together.
    async fn batch(&self, lines: &[usize]) {
        let operations = &self.header.plan.operations;
        let Some(first) = lines.first().and_then(|n| operations.get(*n)) else { return };
        let Some(curator) = curator(self.sources, first) else { return };
        if !self.begin(lines).await {
            return;
        }
        let of = |n: usize| operations.get(n).and_then(|operation| Some((operation, operation.before.clone()?)));
        let items: Vec<Removal> =
            lines.iter().filter_map(|n| of(*n)).map(|(operation, before)| removal(&operation.target, before)).collect();
        let removed = curator.remove(self.applier.ctx, &items).await;
        #[cfg(debug_assertions)]
        crate::work::hooks::point();
        for (n, item) in lines.iter().zip(&items) {
            let Some(operation) = operations.get(*n) else { continue };
            let state = match &removed {
                Ok((removed, _)) if removed.contains(&item.removed()) => Ok(LineState::Done { observed: None }),
                Ok((_, kept)) => {
                    let kept = kept.iter().find(|kept| kept.reference == item.reference());
                    let why = kept.map_or_else(|| "it was not told of".into(), |kept| kept.why.clone());
                    self.told(operation, NotDone::kept(operation, why)).await
                }
                Err(problem) => self.told(operation, problem.clone().into()).await,
            };
            self.finish(*n, operation, state).await;
        }
    }
}

impl super::Applier<'_> {
    /// Manifests out of the journal.
    pub(super) async fn load(&self, saved: &[Saved]) -> Result<Vec<KeptManifest>, Problem> {
        let (journal, saved) = (self.journal.clone(), saved.to_vec());
        let load = move |saved: Saved| {
            let bytes = Bytes::from(journal.saved(&saved.digest)?);
            Ok(KeptManifest { digest: saved.digest, media_type: saved.media_type, bytes })
        };
        blocking("read what was saved", move || saved.into_iter().map(load).collect()).await
    }
}

/// Whether an image could not go because of another one, which may be about to: one that was built on it, and then takes it along where it has
/// no name.
fn may_wait(operation: &Operation, not_done: &NotDone) -> bool {
    operation.verb == Verb::DeleteImage && matches!(not_done.why, Some(Why::HasChildren(_)))
}

/// Whether an image without a name, which was to go, went before its turn: what was built on it takes it along.
fn went_along(operation: &Operation, not_done: &NotDone) -> bool {
    operation.verb == Verb::DeleteImage && matches!(operation.target, Target::Image(_)) && not_done.why == Some(Why::Gone)
}

/// Nothing was kept, or why that was.
fn first_kept(operation: &Operation, kept: Vec<Kept>) -> Result<(), NotDone> {
    kept.into_iter().next().map_or(Ok(()), |kept| Err(NotDone::kept(operation, kept.why)))
}

fn removal(target: &Target, expected: Digest) -> Removal {
    match target {
        Target::Tag(name) => Removal::Tag { name: name.clone(), expected },
        Target::Manifest { .. } => Removal::Tag { name: Name::new(&target.to_string()), expected },
        Target::Image(id) => Removal::Untagged { id: id.clone() },
    }
}

fn copy_from(from: &Name) -> Result<CopyFrom, Problem> {
    let locator = Locator::parse(from.raw())?;
    match (locator.transport, locator.name.clone()) {
        (Transport::Registry, Some(name)) => Ok(CopyFrom::Registry(name)),
        (Transport::Layout | Transport::OciArchive | Transport::DockerArchive, _) => Ok(CopyFrom::File(locator)),
        _ => {
            let problem = Problem::new(ProblemKind::Usage, format!("copy {}", from.safe()), "only registries and files are copied from");
            Err(problem.hint(match locator.transport {
                Transport::Engine | Transport::Store => "push it again: `lighterman push`",
                _ => "write docker://, oci:, oci-archive: or docker-archive: in front of it",
            }))
        }
    }
}
