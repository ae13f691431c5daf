//! Carries plans out: what is needed to take a line back is saved, the plan is written into the journal, and only then the first line
//! begins. Lines run side by side where they don't need each other; one that moved since it was planned, or fails, doesn't stop the rest
//! unless all or nothing was asked for. A run that was cut short is looked at again, and never sent again by itself.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | the way of a plan from its check to its end |
//! | `line` | what each verb does, and how its end is told |
//! | `prepare` | what is saved and backed up before |
//! | `back` | undo, redo, resume; what can still be taken back |
//! | `recover` | runs without an end |
//! | `transfer` | pulls, pushes, copies and imports, with what their names were at |
//!
//! May use model, curate and source.

mod back;
mod line;
mod prepare;
mod recover;
mod transfer;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::clock;
use super::journal::{self, Entry, Header, Journal, Locked, Relation, RunId, Step, Writer};
use crate::curate::plan::{arranged, clashes, stages};
use crate::model::{Digest, LineState, Operation, Plan, Problem, ProblemKind, Safe, SourceId, StepState, Verb};
use crate::source::{Answer, Ctx, Curator, Source, blocking};

pub use back::{Chosen, in_effect};
pub use recover::{CUT_SHORT, Recovered};
pub use transfer::There;

/// Opens the sources that lines name; refuses where nothing may be changed.
pub trait Places: Send + Sync {
    fn place<'a>(&'a self, id: &'a SourceId) -> Answer<'a, Arc<dyn Source>>;
}

impl Places for super::Table {
    fn place<'a>(&'a self, id: &'a SourceId) -> Answer<'a, Arc<dyn Source>> {
        Box::pin(async move {
            self.check_writable(id)?;
            self.get(id).await
        })
    }
}

/// Hears how each line stands, as that changes.
pub type EachLine<'a> = &'a (dyn Fn(usize, &LineState) + Send + Sync);

/// What a plan is carried out with.
#[derive(Clone, Copy)]
pub struct Applier<'a> {
    pub journal: &'a Journal,
    pub places: &'a dyn Places,
    pub ctx: &'a Ctx,
    pub each: EachLine<'a>,
}

impl std::fmt::Debug for Applier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier").field("journal", self.journal).finish_non_exhaustive()
    }
}

/// How a plan ended.
#[derive(Debug)]
pub struct Report {
    /// `None` when nothing was begun.
    pub id: Option<RunId>,
    /// As it ran: ordered, with what a backup changed about taking it back.
    pub plan: Plan,
    /// One a line of `plan`.
    pub states: Vec<LineState>,
    /// The run that took everything back, where all or nothing was asked for.
    pub rolled_back: Option<Box<Self>>,
    /// Why it ended before its last line.
    pub trouble: Option<Problem>,
}

impl Report {
    /// Lines that are done, and stay so.
    #[must_use]
    pub fn done(&self) -> usize {
        self.states.iter().filter(|state| state.is_done()).count()
    }
}

/// How long another process may hold the journal before that is a problem.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

type Sources = HashMap<SourceId, Arc<dyn Source>>;

impl Applier<'_> {
    /// Carries a plan out; with `backup`, images that could not be brought back otherwise are written out before.
    ///
    /// # Errors
    /// Where nothing was begun at all: lines that get into each other's way, a source that can't be opened or changed, a journal that
    /// can't be written or is held by another process.
    pub async fn apply(&self, plan: Plan, backup: bool) -> Result<Report, Problem> {
        let plan = self.sighted(self.checked(plan)?).await?;
        let sources = self.sources(&plan).await?;
        let locked = self.lock().await?;
        let steps = vec![Step::default(); plan.operations.len()];
        self.run(&locked, &sources, Draft { plan, steps, about: None }, backup).await
    }

    /// Looks whether each line could run now: [`LineState::Waiting`] where it could. Each is told as soon as it was looked at.
    ///
    /// # Errors
    /// As [`Applier::apply`]; nothing is written anywhere.
    pub async fn dry_run(&self, plan: Plan) -> Result<Report, Problem> {
        let plan = self.sighted(self.checked(plan)?).await?;
        let sources = self.sources(&plan).await?;
        let states = self.look_at_all(&plan, &sources, self.each).await;
        Ok(Report { id: None, plan, states, rolled_back: None, trouble: None })
    }

    /// Waits a little for another process: a short command should not fail because of another one.
    async fn lock(&self) -> Result<Arc<Locked>, Problem> {
        self.lock_within(PATIENCE).await
    }

    async fn lock_within(&self, patience: Duration) -> Result<Arc<Locked>, Problem> {
        let began = tokio::time::Instant::now();
        loop {
            let journal = self.journal.clone();
            match blocking("open the journal", move || journal.lock().map(Arc::new)).await {
                Err(problem) if problem.kind == ProblemKind::Conflict && began.elapsed() < patience => {
                    self.ctx.check("open the journal")?;
                    self.ctx.meter.phase("waiting for another run to end");
                    tokio::time::sleep(POLL).await;
                }
                answer => return answer,
            }
        }
    }

    fn checked(&self, mut plan: Plan) -> Result<Plan, Problem> {
        const DOING: &str = "apply the plan";
        self.ctx.check(DOING)?;
        plan.check(DOING)?;
        plan.operations = arranged(plan.operations);
        if let Some(clash) = clashes(&plan.operations).first() {
            let lines = format!("lines {} and {}", clash.lines.0 + 1, clash.lines.1 + 1);
            let problem = Problem::new(ProblemKind::Conflict, DOING, format!("{lines} get into each other's way: {}", clash.why));
            return Err(problem.hint("take one of them out"));
        }
        Ok(plan)
    }

    async fn sources(&self, plan: &Plan) -> Result<Sources, Problem> {
        let mut sources = Sources::new();
        for operation in &plan.operations {
            for id in places(operation) {
                if !sources.contains_key(&*id) {
                    let source = self.places.place(&id).await?;
                    if source.curator().is_none() {
                        let cause = format!("{} can only be read", source.id());
                        return Err(Problem::new(ProblemKind::Unsupported, "apply the plan", cause));
                    }
                    sources.insert(id.into_owned(), source);
                }
            }
        }
        Ok(sources)
    }

    /// Whether each line finds what it was planned for.
    async fn look_at_all(&self, plan: &Plan, sources: &Sources, each: EachLine<'_>) -> Vec<LineState> {
        // Boxed one by one: a closure over borrowed lines makes no future that may change threads.
        let mut looks: Vec<BoxFuture<'_, LineState>> = Vec::new();
        for (n, operation) in plan.operations.iter().enumerate() {
            looks.push(Box::pin(async move {
                let state = self.look_at(operation, sources).await;
                each(n, &state);
                state
            }));
        }
        stream::iter(looks).buffered(8).collect().await
    }

    async fn look_at(&self, operation: &Operation, sources: &Sources) -> LineState {
        if let Some(why) = operation.refused() {
            return LineState::Skipped(why.safe());
        }
        if operation.is_blind() {
            return LineState::Waiting;
        }
        match look(sources, self.ctx, operation).await {
            Ok(observed) if observed == operation.before => LineState::Waiting,
            Ok(observed) if line::is_half_way(operation, observed.as_ref()) => LineState::Waiting,
            Ok(observed) => LineState::Conflict { observed },
            Err(problem) => LineState::Failed(problem),
        }
    }

    /// From the checked plan to its end in the journal.
    async fn run(&self, locked: &Arc<Locked>, sources: &Sources, draft: Draft, backup: bool) -> Result<Report, Problem> {
        let Draft { mut plan, mut steps, about } = draft;
        if plan.all_or_nothing {
            let states = self.look_at_all(&plan, sources, &|_, _| {}).await;
            if states.iter().any(|state| *state != LineState::Waiting) {
                let trouble =
                    Problem::new(ProblemKind::Conflict, "apply the plan", "not every line can be done, and all or nothing was asked for");
                return Ok(Report { id: None, plan, states, rolled_back: None, trouble: Some(trouble) });
            }
        }
        let now = clock::now();
        let (next, swept, needed) = (Arc::clone(locked), now, about.as_ref().map(|about| about.run));
        let id = blocking("open the journal", move || {
            next.sweep(swept, needed)?;
            next.next_id(swept)
        });
        let id = id.await?;
        let mut early = self.save(locked, sources, &plan, &mut steps).await?;
        if backup {
            self.back_up(id, sources, &mut plan, &mut steps, &mut early).await?;
        }
        self.ctx.check("apply the plan")?;
        let header = journal::header(id, now, plan, about, steps);
        let (writing, written) = (Arc::clone(locked), header.clone());
        let writer = blocking("write the plan into the journal", move || writing.begin(written)).await?;
        let mut report = self.carry_out(&header, sources, writer, early).await;
        if header.plan.all_or_nothing && !report.states.iter().all(LineState::is_done) && report.done() > 0 {
            self.take_all_back(locked, sources, id, &mut report).await;
        }
        Ok(report)
    }

    /// Runs the lines of a plan that is in the journal. `early` are those that are decided already.
    async fn carry_out(&self, header: &Header, sources: &Sources, writer: Writer, early: BTreeMap<usize, LineState>) -> Report {
        let operations = &header.plan.operations;
        self.ctx.meter.phase("applying");
        let running = Running::new(self, header, sources, &writer);
        for (n, operation) in operations.iter().enumerate() {
            let refused = operation.refused().map(|why| LineState::Skipped(why.safe()));
            if let Some(state) = early.get(&n).cloned().or(refused) {
                running.end(n, state).await;
            }
        }
        for stage in stages(operations) {
            // In the order of the plan, as whoever made it wanted.
            let mut by_source: Vec<(&SourceId, Vec<Vec<usize>>)> = Vec::new();
            for unit in stage {
                let Some(operation) = unit.first().and_then(|n| operations.get(*n)) else { continue };
                match by_source.iter_mut().find(|(source, _)| *source == &operation.source) {
                    Some((_, units)) => units.push(unit),
                    None => by_source.push((&operation.source, vec![unit])),
                }
            }
            for (source, units) in by_source {
                let lines: BoxFuture<'_, ()> = Box::pin(running.units(source, units));
                lines.await;
            }
        }
        let ended = running.ended();
        let (states, closed) = ended.conclude(self, writer).await;
        Report { id: Some(header.id), plan: header.plan.clone(), states, rolled_back: None, trouble: closed.err() }
    }
}

/// A plan that is about to be written down.
struct Draft {
    plan: Plan,
    steps: Vec<Step>,
    about: Option<Relation>,
}

/// The sources that a line needs: the one that it runs at, and the one that its target is in.
fn places(operation: &Operation) -> Vec<Cow<'_, SourceId>> {
    let place = operation.place();
    let elsewhere = *place != operation.source && !operation.is_blind();
    [Some(Cow::Borrowed(&operation.source)), elsewhere.then_some(place)].into_iter().flatten().collect()
}

/// Who carries a line out.
fn curator<'a>(sources: &'a Sources, operation: &Operation) -> Option<&'a dyn Curator> {
    sources.get(&operation.source).and_then(|source| source.curator())
}

/// Who has what a line changes.
fn keeper<'a>(sources: &'a Sources, operation: &Operation) -> Option<&'a dyn Curator> {
    sources.get(&*operation.place()).and_then(|source| source.curator())
}

/// A plan under way.
struct Running<'a> {
    applier: &'a Applier<'a>,
    header: &'a Header,
    sources: &'a Sources,
    writer: &'a Writer,
    states: Mutex<Vec<LineState>>,
    /// Why no further line begins.
    halted: Mutex<Option<Problem>>,
    /// Whether the end of some line can't be told.
    unknown: Mutex<bool>,
    /// Images that could not go before others that were built on them, and what was said: tried again after those.
    waiting: Mutex<BTreeMap<usize, line::NotDone>>,
    step: usize,
}

/// What a plan came to, before its journal says so.
struct Ended {
    states: Vec<LineState>,
    halted: Option<Problem>,
    unknown: bool,
    step: usize,
}

impl Ended {
    /// Writes the end down. The problem is why it came before the last line, or why it can't be written.
    async fn conclude(self, applier: &Applier<'_>, writer: Writer) -> (Vec<LineState>, Result<(), Problem>) {
        let all = self.states.iter().all(LineState::is_done);
        applier.ctx.meter.finish(self.step, if all { StepState::Done } else { StepState::Failed });
        let at = clock::now();
        let last = match &self.halted {
            None => Entry::Commit { at },
            Some(problem) => Entry::Stopped { at, why: problem.cause.to_string() },
        };
        // What nobody could look at stays without an end: the next start looks again.
        let closed = if self.unknown { Ok(()) } else { writer.close(&last).await };
        (self.states, self.halted.map_or(closed, Err))
    }
}

impl<'a> Running<'a> {
    fn new(applier: &'a Applier<'a>, header: &'a Header, sources: &'a Sources, writer: &'a Writer) -> Self {
        let lines = header.plan.operations.len();
        Self {
            applier,
            header,
            sources,
            writer,
            states: Mutex::new(vec![LineState::Waiting; lines]),
            halted: Mutex::new(None),
            unknown: Mutex::new(false),
            waiting: Mutex::default(),
            step: applier.ctx.meter.step(Safe::new("lines"), Some(lines as u64)),
        }
    }
}

impl Running<'_> {
    /// Lines of one source, as many at a time as it takes.
    async fn units(&self, source: &SourceId, units: Vec<Vec<usize>>) {
        let first = units.first().and_then(|unit| self.header.plan.operations.get(*unit.first()?));
        let goes = first.is_some_and(|first| source.registry_host().is_none() && first.verb >= Verb::Untag);
        let curator = self.sources.get(source).and_then(|source| source.curator());
        let at_once = curator.map_or(1, if goes { Curator::removals_at_once } else { Curator::at_once });
        stream::iter(units).map(|unit| self.unit(unit)).buffer_unordered(at_once).collect::<Vec<()>>().await;
        // Each round may free what the images that went were built on. One in which none went is the last.
        let mut before = usize::MAX;
        loop {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            let left = waiting.len();
            for (n, not_done) in waiting {
                self.again(n, (left == before).then_some(not_done)).await;
            }
            if left == 0 || left == before {
                return;
            }
            before = left;
        }
    }

    fn ended(self) -> Ended {
        Ended {
            states: self.states.into_inner().unwrap_or_else(PoisonError::into_inner),
            halted: self.halted.into_inner().unwrap_or_else(PoisonError::into_inner),
            unknown: self.unknown.into_inner().unwrap_or_else(PoisonError::into_inner),
            step: self.step,
        }
    }

    fn is_decided(&self, n: usize) -> bool {
        !matches!(self.states.lock().unwrap_or_else(PoisonError::into_inner).get(n), Some(LineState::Waiting | LineState::Running))
    }

    fn halted(&self) -> Option<Problem> {
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cancelled = || self.applier.ctx.cancel.is_cancelled().then(|| Problem::cancelled("apply the plan"));
        halted.or_else(cancelled)
    }

    /// No further line begins.
    fn halt(&self, problem: Problem) {
        self.halted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
    }

    fn set(&self, n: usize, state: LineState) {
        (self.applier.each)(n, &state);
        let ended = !matches!(state, LineState::Waiting | LineState::Running);
        if let Some(slot) = self.states.lock().unwrap_or_else(PoisonError::into_inner).get_mut(n) {
            *slot = state;
        }
        if ended {
            self.applier.ctx.meter.add(self.step, 1);
        }
    }

    /// A line's end, told and written down.
    async fn end(&self, n: usize, state: LineState) {
        if let Some((entry, audit)) = journal::ended(self.header, n, &state, clock::now()) {
            self.writer.note(&entry, audit).await;
        }
        if self.header.plan.all_or_nothing && !state.is_done() {
            self.halt(Problem::new(ProblemKind::Conflict, "apply the plan", "a line could not be done, and all or nothing was asked for"));
        }
        self.set(n, state);
    }

    /// Says for lines that nobody began that they were not.
    fn pass_over(&self, lines: &[usize], why: &Problem) {
        self.halt(why.clone());
        for n in lines {
            self.set(*n, LineState::Skipped(Safe::from(format!("not tried: {}", why.cause))));
        }
    }
}

/// What a target is at.
async fn look(sources: &Sources, ctx: &Ctx, operation: &Operation) -> Result<Option<Digest>, Problem> {
    let unable = || Problem::new(ProblemKind::Unsupported, operation.doing(), "what is there can't be looked at");
    let keeper = keeper(sources, operation).ok_or_else(unable)?;
    Ok(keeper.look(ctx, &operation.target).await?.map(|seen| seen.digest))
}
