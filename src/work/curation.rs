//! Plans for the deck: repositories looked at before anything is planned, plans carried out with each line told as it goes, the journal read,
//! and the ways back.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::curate::plan::arranged;
use crate::flow::JobOutput;
use crate::flow::job::{About, Applying, Way};
use crate::model::{
    Digest, Foreign, LineState, LoggedLine, LoggedRun, Operation, Plan, PlanKind, Problem, ProblemKind, RunEnd, Safe, SourceId,
};
use crate::source::{Ctx, blocking};

use super::apply::{Applier, CUT_SHORT, Chosen, Report, in_effect};
use super::catalog::{Arrived, catalog};
use super::files::write_new;
use super::journal::{self, End, Run, RunId, StepState};
use super::run::{Chunks, Env};

/// All of a repository that decides what may be changed there.
pub(super) async fn view(
    env: &Env,
    source: &SourceId,
    repository: &str,
    tags: &[String],
    digests: &[Digest],
    ctx: &Ctx,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let view = catalog(&*source, "look at what needs a tag")?.view(ctx, repository, tags, digests).await?;
    Ok(JobOutput::Viewed(Box::new(view)))
}

/// What manifests of a repository hold.
pub(super) async fn weigh(env: &Env, source: &SourceId, repository: &str, digests: &[Digest], ctx: &Ctx) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    Ok(JobOutput::Held(catalog(&*source, "weigh what goes")?.held(ctx, repository, digests).await?))
}

fn chosen(run: Option<&str>, lines: &[usize], doing: &str) -> Result<Chosen, Problem> {
    let id = run.map(str::parse::<RunId>).transpose();
    let id = id.map_err(|cause| Problem::new(ProblemKind::Usage, doing, cause))?;
    Ok(Chosen { id, lines: lines.to_vec() })
}

/// Carries a plan out, and tells of each line while it goes.
pub(super) async fn apply(env: &Env, applying: Applying, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    let arrived: Arrived<(usize, LineState)> = Arrived::new();
    let each = |n: usize, state: &LineState| arrived.put([(n, state.clone())]);
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &each };
    let work = async {
        match &applying.about {
            None => applier.apply(applying.plan.clone(), applying.backup).await,
            Some(about) => {
                let chosen = chosen(Some(&about.run), &about.lines, "run the plan")?;
                match about.way {
                    Way::Undo => applier.undo(&chosen).await,
                    Way::Redo => applier.redo(&chosen).await,
                    Way::Resume => applier.resume(&chosen).await,
                }
            }
        }
    };
    let report = arrived.relay(work, chunks, |states| JobOutput::Lines(latest(states))).await?;
    match (report.id, &report.trouble) {
        (None, Some(problem)) => Err(problem.clone()),
        _ => Ok(JobOutput::Ran(Arc::new(reported(report, applying.about.map(|about| about.run))))),
    }
}

/// Looks whether each line of a plan could run now, and tells of each as it was looked at.
pub(super) async fn dry_run(env: &Env, plan: Plan, ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    // The applier looks in the order it would run them in: they are told by the places they have here.
    let key = |line: &Operation| (line.verb, line.source.clone(), line.target.canonical());
    let here: HashMap<_, usize> = plan.operations.iter().enumerate().map(|(n, line)| (key(line), n)).collect();
    let places: Vec<Option<usize>> = arranged(plan.operations.clone()).iter().map(|line| here.get(&key(line)).copied()).collect();
    let arrived: Arrived<(usize, LineState)> = Arrived::new();
    let each = |n: usize, state: &LineState| arrived.put(places.get(n).copied().flatten().map(|n| (n, state.clone())));
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &each };
    arrived.relay(applier.dry_run(plan), chunks, |states| JobOutput::Lines(latest(states))).await?;
    Ok(JobOutput::Told)
}

/// Of several states of a line the last.
fn latest(states: Vec<(usize, LineState)>) -> Vec<(usize, LineState)> {
    states.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn reported(report: Report, about: Option<String>) -> LoggedRun {
    let end = if report.trouble.is_some() { RunEnd::Stopped } else { RunEnd::Whole };
    let lines = report.plan.operations.into_iter().zip(report.states);
    LoggedRun {
        id: report.id.map(|id| id.to_string()).unwrap_or_default(),
        at: report.id.map_or(report.plan.made_at, RunId::at),
        actor: Foreign::new(&journal::actor()),
        kind: report.plan.kind,
        lines: lines.map(|(operation, state)| LoggedLine { operation, state, restorable: None }).collect(),
        end,
        about,
        damaged: false,
    }
}

/// Looks again at runs that were cut short. What can't be looked at now is looked at next time.
pub(super) async fn recover(env: &Env, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &|_, _| {} };
    Ok(JobOutput::Recovered(applier.recover().await?.len()))
}

/// The runs of the journal, newest first.
pub(super) async fn runs(env: &Arc<Env>) -> Result<JobOutput, Problem> {
    let all = all(env).await?;
    Ok(JobOutput::Runs(Arc::new(all.iter().rev().map(|run| logged(run, &all)).collect())))
}

async fn all(env: &Arc<Env>) -> Result<Vec<Run>, Problem> {
    let env = Arc::clone(env);
    blocking("read the journal", move || {
        let (runs, unreadable) = env.journal.runs()?;
        for run in unreadable {
            tracing::warn!(id = %run.id, problem = %run.problem, "a run can't be read");
        }
        Ok(runs)
    })
    .await
}

fn logged(run: &Run, all: &[Run]) -> LoggedRun {
    let standing = in_effect(run, all);
    let lines = run.header.plan.operations.iter().zip(&run.states).enumerate();
    let lines = lines.map(|(n, (operation, state))| LoggedLine {
        operation: operation.clone(),
        state: match state {
            StepState::Done { .. } if !standing.contains(&n) => LineState::TakenBack,
            StepState::Done { observed, .. } => LineState::Done { observed: observed.clone() },
            StepState::Waiting => LineState::Waiting,
            StepState::Begun => LineState::Running,
            StepState::NotApplied => LineState::Skipped(Safe::new("not done")),
            StepState::Conflict { observed } => LineState::Conflict { observed: observed.clone() },
            StepState::Failed(why) => LineState::Failed(Problem::new(ProblemKind::Other, operation.doing(), why.as_str())),
            StepState::Skipped(why) => LineState::Skipped(Safe::new(why)),
        },
        restorable: None,
    });
    LoggedRun {
        id: run.id().to_string(),
        at: run.header.at,
        actor: Foreign::new(&run.header.actor),
        kind: run.header.plan.kind,
        lines: lines.collect(),
        end: match &run.end {
            None => RunEnd::Running,
            Some(End::Stopped(_, why)) if why == CUT_SHORT => RunEnd::CutShort,
            Some(End::Stopped(..)) => RunEnd::Stopped,
            Some(End::Commit(_)) => RunEnd::Whole,
        },
        about: run.header.about.as_ref().map(|about| about.run.to_string()),
        damaged: run.damaged,
    }
}

/// Whether the lines of a run could be taken back now.
pub(super) async fn restorable(env: &Arc<Env>, run: &str, ctx: &Ctx) -> Result<JobOutput, Problem> {
    let id = chosen(Some(run), &[], "look at a run")?.id;
    let all = all(env).await?;
    let Some(run) = all.iter().find(|other| Some(other.id()) == id) else {
        return Err(Problem::new(ProblemKind::NotFound, "look at a run", "the journal does not have it any more"));
    };
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &|_, _| {} };
    let mut logged = logged(run, &all);
    for (n, why) in applier.restorable(run).await? {
        if let Some(line) = logged.lines.get_mut(n) {
            line.restorable = Some(why);
        }
    }
    Ok(JobOutput::Restorable(Box::new(logged)))
}

/// The plan that takes a run back, does it again, or goes on with it.
pub(super) async fn back(env: &Env, way: Way, run: Option<&str>, lines: &[usize], ctx: &Ctx) -> Result<JobOutput, Problem> {
    let kind = match way {
        Way::Undo => PlanKind::Undo,
        Way::Redo => PlanKind::Redo,
        Way::Resume => PlanKind::Resume,
    };
    let applier = Applier { journal: &env.journal, places: &env.table, ctx, each: &|_, _| {} };
    let (plan, about) = applier.way_back(&chosen(run, lines, kind.word())?, kind).await?;
    Ok(JobOutput::Back { plan: Box::new(plan), about: About { way, run: about.run.to_string(), lines: about.lines } })
}

/// Longest policy that is read, in bytes.
const LONGEST_POLICY: u64 = 1 << 20;

/// The text of a policy file.
pub(super) async fn read_policy(file: PathBuf) -> Result<JobOutput, Problem> {
    const DOING: &str = "read the policy";
    blocking(DOING, move || {
        let disk = |error: &std::io::Error| Problem::disk(DOING, &file, error);
        // A pipe would keep this waiting.
        if !std::fs::metadata(&file).map_err(|error| disk(&error))?.is_file() {
            return Err(Problem::new(ProblemKind::Usage, DOING, "that is no file"));
        }
        let mut text = String::new();
        let opened = std::fs::File::open(&file).map_err(|error| disk(&error))?;
        opened.take(LONGEST_POLICY + 1).read_to_string(&mut text).map_err(|error| disk(&error))?;
        if text.len() as u64 > LONGEST_POLICY {
            return Err(Problem::new(ProblemKind::Limit, DOING, format!("it has more than {} KiB", LONGEST_POLICY >> 10)));
        }
        Ok(JobOutput::Text(text))
    })
    .await
}

/// Writes a plan's document; a file that is there is left alone.
pub(super) async fn save(plan: Box<Plan>, file: PathBuf) -> Result<JobOutput, Problem> {
    const DOING: &str = "write the plan";
    blocking(DOING, move || {
        write_new(DOING, &plan.to_json()?, &file)?;
        Ok(JobOutput::Saved(file))
    })
    .await
}

/// Writes a text; a file that is there is left alone.
pub(super) async fn save_text(doing: &'static str, text: String, file: PathBuf) -> Result<JobOutput, Problem> {
    blocking(doing, move || {
        write_new(doing, &text, &file)?;
        Ok(JobOutput::Saved(file))
    })
    .await
}
