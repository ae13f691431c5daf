//! Transfers, written down: what a name was at before a pull, push, copy or import gave it away is in the journal before the first byte
//! moves, so that it can be had back. Bytes move for a long time, so meanwhile the run's own file is held, and not the journal.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::journal::{self, Header, Locked, Step, Writer};
use super::super::{change, clock};
use super::{Applier, Running, Sources, look, places};
use crate::curate::plan::{self, ordered};
use crate::model::{Change, Digest, LineState, Name, Operation, Plan, PlanKind, Problem, ProblemKind, Safe, SourceId, Transfer, Verb};
use crate::source::{Ctx, Source, blocking};

/// How long a registry may take to say what a push will replace, and any source how a transfer that was cancelled ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a transfer may take to end by itself once it was cancelled.
const AFTER_CANCEL: Duration = Duration::from_millis(500);

/// Tags that are looked at at once before they are pushed.
const LOOKS: usize = 8;

/// What the tag that a push gives is at in its registry.
#[derive(Debug, Clone, PartialEq)]
pub enum There {
    At(Option<Digest>),
    /// It can't be looked at from here, though whoever pushes may reach it all the same.
    Unseen(Problem),
}

impl Applier<'_> {
    /// What each of these pushes would take its name from, in their order. Where a registry doesn't answer, it is not asked about each.
    ///
    /// # Errors
    /// Where nothing may be changed there, or somebody asked to stop.
    pub async fn before_pushes(&self, source: &Arc<dyn Source>, pushes: &[(Name, Digest)]) -> Result<Vec<There>, Problem> {
        let away: Mutex<HashMap<String, Problem>> = Mutex::default();
        let away = &away;
        let host = |name: &Name| name.reference().map_or_else(|_| String::new(), |reference| reference.registry().to_owned());
        let mut looks: Vec<BoxFuture<'_, Result<There, Problem>>> = Vec::new();
        for (name, id) in pushes {
            looks.push(Box::pin(async move {
                let host = host(name);
                let known = away.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned();
                if let Some(problem) = known {
                    return Ok(There::Unseen(problem));
                }
                let push = Change::Push { source: source.id().clone(), name: name.clone(), expected: id.clone(), seen: None };
                let there = self.there(source, &push).await?;
                if let There::Unseen(problem) = &there
                    && problem.kind == ProblemKind::Unreachable
                {
                    away.lock().unwrap_or_else(PoisonError::into_inner).insert(host, problem.clone());
                }
                Ok(there)
            }));
        }
        stream::iter(looks).buffered(LOOKS).try_collect().await
    }

    /// The plan, in which pushes that nobody could look at when it was made are like any other where their registry answers by now.
    ///
    /// # Errors
    /// As [`Applier::before_pushes`].
    pub(super) async fn sighted(&self, mut plan: Plan) -> Result<Plan, Problem> {
        let mut blind: BTreeMap<SourceId, Vec<usize>> = BTreeMap::new();
        for (n, operation) in plan.operations.iter().enumerate().filter(|(_, operation)| operation.is_blind()) {
            blind.entry(operation.source.clone()).or_default().push(n);
        }
        for (id, lines) in blind {
            let of = |n: &usize| plan.operations.get(*n).and_then(|line| Some((line.target.name()?.clone(), line.after.clone()?)));
            let pushes: Vec<(Name, Digest)> = lines.iter().filter_map(of).collect();
            let source = self.places.place(&id).await?;
            let found = self.before_pushes(&source, &pushes).await?;
            for ((n, (name, image)), there) in lines.into_iter().zip(&pushes).zip(found) {
                if let (There::At(held), Some(line)) = (there, plan.operations.get_mut(n))
                    && let Some(seen) = plan::push(&id, name, image, Some(held.as_ref()))
                {
                    *line = Operation { protected: line.protected.take(), override_reason: line.override_reason.take(), ..seen };
                }
            }
        }
        Ok(plan)
    }

    /// What the transfer would take its name from; of most that was confirmed before, and nothing is looked at.
    ///
    /// # Errors
    /// Where nothing may be changed there, or the source does not answer.
    pub async fn there(&self, source: &Arc<dyn Source>, change: &Change) -> Result<There, Problem> {
        let Some((place, target)) = plan::looked_at(change) else { return Ok(There::At(None)) };
        if !matches!(change, Change::Push { .. }) {
            let curator = source.curator().ok_or_else(|| unreadable(&**source))?;
            return Ok(There::At(curator.look(self.ctx, &target).await?.map(|seen| seen.digest)));
        }
        let registry = match self.places.place(&place).await {
            Err(problem) if problem.is_cancelled() || problem.kind == ProblemKind::Denied => return Err(problem),
            registry => registry,
        };
        let looked = async {
            let registry = registry?;
            registry.curator().ok_or_else(|| unreadable(&*registry))?.look(self.ctx, &target).await
        };
        let late = |_| Err(Problem::new(ProblemKind::Unreachable, change::doing(change), format!("{place} does not answer")));
        match tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(late) {
            Ok(seen) => Ok(There::At(seen.map(|seen| seen.digest))),
            Err(problem) if problem.is_cancelled() => Err(problem),
            // Whoever pushes may have another login, or trust another certificate.
            Err(problem) => Ok(There::Unseen(problem)),
        }
    }

    /// Carries a transfer of `source` out.
    ///
    /// # Errors
    /// What the sources said; a journal that can't be written, where a name would be taken from something.
    pub async fn transfer(&self, source: &Arc<dyn Source>, change: &Change) -> Result<Transfer, Problem> {
        let unable = || Problem::new(ProblemKind::Unsupported, change::doing(change), format!("{} is read-only", source.id()));
        let curator = source.curator().ok_or_else(unable)?;
        let deed = self.until_cancelled(change::apply(change, curator, self.ctx));
        self.transfer_by(source, change, Vec::new(), deed).await
    }

    /// As [`Applier::transfer`], where it takes more than one verb: `deed` does what `change` says, and touches the names of `also` on its way.
    ///
    /// # Errors
    /// As [`Applier::transfer`].
    pub async fn transfer_by(
        &self,
        source: &Arc<dyn Source>,
        change: &Change,
        also: Vec<Operation>,
        deed: impl Future<Output = Result<Transfer, Problem>> + Send,
    ) -> Result<Transfer, Problem> {
        if plan::transfer(change, None).is_empty() && also.is_empty() {
            return deed.await;
        }
        // Looked at while nobody else may change anything: what a plan of another process did before must be seen.
        let locked = self.lock_within(Duration::MAX).await;
        let lines: Vec<Operation> = self.given(source, change).await?.into_iter().chain(also).collect();
        let takes_away = lines.iter().any(Operation::takes_away);
        let begun = match locked {
            Ok(locked) => self.written_down(locked, source, lines).await,
            Err(problem) => Err(problem),
        };
        match begun {
            Ok((header, writer, sources)) => self.recorded(&header, writer, &sources, deed).await,
            Err(problem) if takes_away || problem.is_cancelled() => Err(problem),
            Err(problem) => {
                tracing::warn!(%problem, "a transfer is not written down");
                deed.await
            }
        }
    }

    /// The names that a transfer gives, with what they are at now.
    async fn given(&self, source: &Arc<dyn Source>, change: &Change) -> Result<Vec<Operation>, Problem> {
        match (self.there(source, change).await?, change) {
            (There::Unseen(problem), Change::Push { name, expected, .. }) => {
                let warning =
                    format!("what {} was at could not be looked at ({}), so this push can't be undone", name.safe(), problem.cause);
                self.ctx.meter.warn(Safe::from(warning));
                Ok(plan::push(source.id(), name, expected, None).into_iter().collect())
            }
            (There::Unseen(problem), _) => Err(problem),
            (There::At(held), Change::Push { name, seen: Some(seen), .. }) if held != *seen => {
                let now = held.as_ref().map_or("is gone there", |_| "is at another digest there");
                let problem = Problem::new(ProblemKind::Conflict, change::doing(change), format!("meanwhile {} {now}", name.safe()));
                Err(problem.hint("look again, and push if that is still right"))
            }
            (There::At(held), _) => Ok(plan::transfer(change, held.as_ref())),
        }
    }

    /// Does `deed`, which is what makes the lines true, and writes down what came of it.
    async fn recorded(
        &self,
        header: &Header,
        writer: Writer,
        sources: &Sources,
        deed: impl Future<Output = Result<Transfer, Problem>> + Send,
    ) -> Result<Transfer, Problem> {
        let quiet = Ctx { cancel: self.ctx.cancel.clone(), ..Ctx::default() };
        let applier = Applier { ctx: &quiet, ..*self };
        let running = Running::new(&applier, header, sources, &writer);
        let all: Vec<usize> = (0..header.plan.operations.len()).collect();
        let begun = running.begin(&all).await;
        let moved = if begun { deed.await } else { Err(running.halted().unwrap_or_else(|| Problem::cancelled("move images"))) };
        for (n, operation) in header.plan.operations.iter().enumerate().filter(|_| begun) {
            running.moved(n, operation, &moved).await;
        }
        let (_, closed) = running.ended().conclude(&applier, writer).await;
        if let (Ok(_), Err(problem)) = (&moved, closed) {
            tracing::warn!(%problem, "the end of a transfer is not written down");
        }
        moved
    }

    /// Ends soon after it was cancelled, with what is then.
    async fn until_cancelled(&self, deed: impl Future<Output = Result<Transfer, Problem>> + Send) -> Result<Transfer, Problem> {
        let given_up = async {
            self.ctx.cancel.cancelled().await;
            tokio::time::sleep(AFTER_CANCEL).await;
        };
        tokio::select! {
            biased;
            moved = deed => moved,
            () = given_up => Err(Problem::cancelled("move images")),
        }
    }

    /// The run in the journal, which is free again afterwards.
    async fn written_down(
        &self,
        locked: Arc<Locked>,
        source: &Arc<dyn Source>,
        lines: Vec<Operation>,
    ) -> Result<(Header, Writer, Sources), Problem> {
        const DOING: &str = "write down what is moved";
        let plan = Plan::new(PlanKind::Transfer, clock::now(), ordered(lines));
        plan.check(DOING)?;
        let mut sources = Sources::from([(source.id().clone(), Arc::clone(source))]);
        for id in plan.operations.iter().flat_map(places) {
            if !sources.contains_key(&*id) {
                let opened = self.places.place(&id).await?;
                sources.insert(id.into_owned(), opened);
            }
        }
        let mut steps = vec![Step::default(); plan.operations.len()];
        // Nothing is replaced that could not be put by.
        match self.save(&locked, &sources, &plan, &mut steps).await?.into_values().next() {
            None => {}
            Some(LineState::Failed(problem)) => return Err(problem),
            Some(state) => {
                let cause = format!("meanwhile {}", state.why().unwrap_or_default());
                return Err(Problem::new(ProblemKind::Conflict, DOING, cause).hint("look again: it moved since it was shown"));
            }
        }
        self.ctx.meter.phase("");
        let now = clock::now();
        let begun = blocking(DOING, move || {
            locked.sweep(now, None)?;
            let header = journal::header(locked.next_id(now)?, now, plan, None, steps);
            let writer = locked.begin(header.clone())?;
            Ok((header, writer))
        });
        let (header, writer) = begun.await?;
        Ok((header, writer, sources))
    }
}

fn unreadable(source: &dyn Source) -> Problem {
    Problem::new(ProblemKind::Unsupported, "look at what is there", format!("{} can only be read", source.id()))
}

impl Running<'_> {
    /// How a name stands after a transfer that was to give it.
    async fn moved(&self, n: usize, operation: &Operation, moved: &Result<Transfer, Problem>) {
        let state = match moved {
            Ok(moved) if operation.is_blind() => Ok(LineState::Done { observed: moved.digest.clone() }),
            Ok(moved) => {
                // Of a push the ID of the image is known before, which is not what the registry has then.
                let digest = || match operation.place().registry_host() {
                    Some(_) if operation.verb == Verb::Push => moved.digest.clone(),
                    Some(_) => operation.after.clone().or_else(|| moved.digest.clone()),
                    None => operation.after.clone(),
                };
                let late = |_elapsed| Err(Problem::new(ProblemKind::Unreachable, operation.doing(), "it did not answer in time"));
                match tokio::time::timeout(PATIENCE, look(self.sources, &Ctx::default(), operation)).await.unwrap_or_else(late) {
                    // What somebody else put there since is not ours to take back.
                    Ok(observed) if operation.verb == Verb::Push && moved.digest.is_some() && observed != moved.digest => {
                        Ok(LineState::Conflict { observed })
                    }
                    Ok(observed) => Ok(LineState::Done { observed }),
                    // What it is at now has to be known for going back.
                    Err(problem) => digest().map(|digest| LineState::Done { observed: Some(digest) }).ok_or(problem),
                }
            }
            Err(problem) => {
                let told = tokio::time::timeout(PATIENCE, self.told(operation, problem.clone().into())).await;
                told.unwrap_or_else(|_late| Err(problem.clone()))
            }
        };
        self.finish(n, operation, state).await;
    }
}
