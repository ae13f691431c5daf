//! `plan retain` and `policy run`: what a policy lets go, as lines of a plan, and carried out. A policy decides over a whole repository or not
//! at all; more than its share goes only where the repository's name was typed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::args::{PlanArgs, PlanRetainArgs, PolicyRunArgs};
use super::ask::{self, Question};
use super::metrics::{self, Sample};
use super::policy::{self, Seen, parsed, repository, seen};
use super::session::Session;
use super::{Done, Verdict, apply, plan as written, remote, weigh};
use crate::curate::freed::Stock;
use crate::curate::plan::{self, Protection, Wish, nothing, ordered};
use crate::curate::retention::{Listing, Policy, Report, Row};
use crate::curate::words::counted;
use crate::model::{Completeness, Digest, Foreign, LineState, Name, Operation, PlanKind, Problem, ProblemKind, RepoRow, Safe, Target};
use crate::source::registry::Repo;
use crate::work::apply as work;
use crate::work::clock::now;
use crate::work::journal::RunId;

/// Characters of a rule's words that a line repeats.
const MOST_WORDS: usize = 300;

/// What a policy is put to a repository with.
struct Retaining<'a> {
    session: &'a Session,
    policy: &'a Policy,
    /// Repositories of which more may go than the policy's share.
    confirmed: BTreeSet<String>,
    protection: Protection,
    /// How a plan is made of it; a run overrides nothing.
    how: Option<&'a PlanArgs>,
}

/// A repository that was decided over.
struct Retained {
    /// Tags that stay.
    kept: usize,
    /// Tags that the policy lets go.
    going: BTreeSet<String>,
    lines: Vec<Operation>,
    /// Tags that moved since they were decided over, and so stay this time.
    moved: usize,
    /// What the repository holds, where lines were made.
    stock: Option<Stock>,
}

/// What goes of a repository.
#[derive(Default)]
struct Going {
    lines: Vec<Operation>,
    moved: usize,
    stock: Option<Stock>,
}

impl Retained {
    /// The bytes that the lines freed which were done: those that were not still hold what they share.
    fn freed(&self, repository: &str, report: Option<&work::Report>, dry_run: bool) -> (u64, u64) {
        let Some(stock) = &self.stock else { return (0, 0) };
        let its = |line: &&Operation| line.target.repository().as_deref() == Some(repository);
        let mut lines: Vec<Operation> = report.map_or(&[][..], |report| &report.plan.operations).iter().filter(its).cloned().collect();
        let states = report.into_iter().flat_map(|report| report.plan.operations.iter().zip(&report.states));
        let states = states.filter(|(line, _)| its(line)).map(|(_, state)| state);
        for (line, _) in lines.iter_mut().zip(states).filter(|(_, state)| !is_fit(state, dry_run)) {
            line.protected = Some(Foreign::from("it was not done"));
            line.override_reason = None;
        }
        let total = stock.fill(lines.iter_mut());
        (total.at_least, total.at_most)
    }
}

impl<'a> Retaining<'a> {
    fn new(session: &'a Session, policy: &'a Policy, confirmed: &[String], protection: Protection) -> Result<Self, Problem> {
        let confirmed = confirmed.iter().map(|text| Ok(repository(text)?.full())).collect::<Result<_, Problem>>()?;
        Ok(Self { session, policy, confirmed, protection, how: None })
    }

    async fn retained(&self, repo: &Repo) -> Result<Retained, Problem> {
        let full = repo.full();
        let Seen { rows, completeness } = seen(self.session, repo, self.policy).await?;
        let report = self.policy.check(Listing { repository: &full, rows: &rows, completeness: &completeness }, now())?;
        if report.needs_name && !self.confirmed.contains(&full) {
            let (dropped, of) = (report.dropped, counted(report.of, "tag"));
            let most = self.policy.most_dropped;
            let cause = format!("{dropped} of {of} would go, {} %, and the policy lets {most} % go at once", report.share());
            let doing = format!("take away what the policy lets go in {}", Safe::ascii(&full));
            return Err(Problem::new(ProblemKind::Conflict, doing, cause).hint(format!("say --confirm {}", Safe::ascii(&full))));
        }
        let of = |row: &Row| row.tag.clone();
        let going: BTreeSet<String> =
            rows.iter().zip(&report.reasons).filter(|(_, reason)| reason.drops()).filter_map(|(row, _)| of(row)).collect();
        let kept = rows.iter().filter_map(of).filter(|tag| !going.contains(tag)).count();
        let Going { lines, moved, stock } = self.lines(repo, &rows, &report).await?;
        Ok(Retained { kept, going, lines, moved, stock })
    }

    /// A line for each tag that goes, and for what goes along with it; and how many tags moved meanwhile.
    async fn lines(&self, repo: &Repo, rows: &[Row], report: &Report) -> Result<Going, Problem> {
        let reasons: BTreeMap<&str, (usize, &Row)> =
            rows.iter().enumerate().filter_map(|(at, row)| Some((row.tag.as_deref()?, (at, row)))).collect();
        let drops = |at: usize| report.reasons.get(at).is_some_and(|reason| reason.drops());
        let going: BTreeMap<&str, &Digest> =
            reasons.iter().filter(|(_, (at, _))| drops(*at)).filter_map(|(tag, (_, row))| Some((*tag, row.digest.as_ref()?))).collect();
        if going.is_empty() {
            return Ok(Going::default());
        }
        let place = remote::place(self.session, &Name::new(&repo.full()))?;
        let doing = format!("look at {}", repo.full());
        let catalog = place.source.catalog().ok_or_else(|| Problem::new(ProblemKind::Unsupported, &doing, "it can't be browsed"))?;
        let tags: Vec<String> = going.keys().map(|tag| (*tag).to_owned()).collect();
        let tags = &tags;
        let mut view = self.session.run(&doing, |ctx| async move { catalog.view(&ctx, repo.name(), tags, &[]).await }).await?;
        // What moved was not decided over.
        let still = |tag: &str, digest: &Digest| view.tags.get(tag).is_some_and(|(at, _)| at == digest);
        let wish = |tag: &str| Wish::Delete(Target::Tag(Name::new(&format!("{}:{tag}", repo.full()))));
        let wishes: Vec<Wish> = going.iter().filter(|(tag, digest)| still(tag, digest)).map(|(tag, _)| wish(tag)).collect();
        let moved = going.len() - wishes.len();
        let mut lines = plan::remote(&view, &wishes, &self.protection);
        for line in &mut lines {
            let Some(tag) = line.target.name().and_then(|name| name.split().1) else { continue };
            let decided = reasons.get(tag).and_then(|(at, _)| report.reasons.get(*at));
            match decided.map(|reason| (reason.drops(), self.policy.words(*reason, rows))) {
                Some((true, why)) => line.effects.push(cut(&why)),
                // What is about something that goes would go along.
                Some((false, why)) => line.protected = Some(cut(&Safe::from(format!("the policy keeps it: {why}")))),
                None => line.protected = Some(Foreign::from("it came after the policy had decided")),
            }
        }
        if let Some(how) = self.how {
            written::overridden(&mut lines, how);
        }
        let stock = weigh::repository(self.session, &place, repo, &mut view, &mut lines).await?;
        Ok(Going { lines, moved, stock: Some(stock) })
    }
}

fn cut(words: &Safe) -> Foreign {
    Foreign::from(words.as_str().chars().take(MOST_WORDS).collect::<String>())
}

/// Repositories as typed, each once.
fn typed(texts: &[String]) -> Result<Vec<Repo>, Problem> {
    let mut seen = BTreeSet::new();
    let repos = texts.iter().map(|text| repository(text)).collect::<Result<Vec<Repo>, Problem>>()?;
    Ok(repos.into_iter().filter(|repo| seen.insert(repo.full())).collect())
}

fn say_moved(session: &Session, repo: &Repo, moved: usize) {
    if moved > 0 {
        let repo = repo.full();
        let tags = counted(moved, "tag");
        session.printer.say(format_args!("lighterman: {tags} of {} changed since the policy decided: left alone", Safe::ascii(&repo)));
    }
}

pub(super) async fn plan(session: &Session, args: &PlanRetainArgs) -> Verdict {
    let policy = parsed(&args.file)?;
    let protection = Protection::new(&args.how.protect)?;
    let retaining = Retaining { how: Some(&args.how), ..Retaining::new(session, &policy, &args.confirm, protection)? };
    let (mut lines, mut done) = (Vec::new(), Done::All);
    for repo in typed(&args.repositories)? {
        let full = repo.full();
        if !policy.is_for(&full) {
            session.printer.say(format_args!(
                "lighterman: the policy names other repositories than {}; it is put to it all the same",
                Safe::ascii(&full)
            ));
        }
        let retained = retaining.retained(&repo).await?;
        say_moved(session, &repo, retained.moved);
        if retained.moved > 0 {
            done = Done::Part;
        }
        lines.extend(retained.lines);
    }
    written::written(session, &args.how, PlanKind::Retain, ordered(lines))?;
    Ok(done)
}

/// A repository that a run is about.
struct Chosen {
    repo: Repo,
    /// Its registry lists it, and a pattern of the policy fits: nobody said that it has tags.
    listed: bool,
}

/// The repositories a run is about, and whether these are all that the policy names.
async fn named(session: &Session, policy: &Policy, repositories: &[String]) -> Result<(Vec<Chosen>, bool), Problem> {
    let usage = |cause: String, hint: &str| Problem::new(ProblemKind::Usage, "run the policy", cause).hint(hint);
    if !repositories.is_empty() {
        let repos = typed(repositories)?;
        if let Some(other) = repos.iter().map(Repo::full).find(|full| !policy.is_for(full)) {
            let cause = format!("it is not for {}", Safe::ascii(&other));
            return Err(usage(cause, "add it to `repositories` in the policy"));
        }
        return Ok((repos.into_iter().map(|repo| Chosen { repo, listed: false }).collect(), true));
    }
    if policy.repositories.is_empty() {
        return Err(usage("it names no repositories".to_owned(), "name them in the policy, or here"));
    }
    let is_pattern = |text: &str| text.contains(['*', '?', '[', '{', '\\']);
    let (mut repos, mut whole) = (BTreeMap::new(), true);
    let mut catalogs: BTreeMap<String, Vec<Repo>> = BTreeMap::new();
    for glob in &policy.repositories {
        let text = glob.glob().glob();
        if !is_pattern(text) {
            let repo = repository(text)?;
            repos.insert(repo.full(), Chosen { repo, listed: false });
            continue;
        }
        let Some((host, _)) = text.split_once('/').filter(|(host, _)| !is_pattern(host)) else {
            let cause = format!("{} names no registry whose repositories could be listed", Safe::new(text));
            return Err(usage(cause, "name the repositories after the file"));
        };
        if !catalogs.contains_key(host) {
            let (found, complete) = catalog(session, host).await?;
            whole &= complete;
            catalogs.insert(host.to_owned(), found);
        }
        let fit = catalogs.get(host).into_iter().flatten().filter(|repo| glob.is_match(repo.full()));
        for repo in fit {
            repos.entry(repo.full()).or_insert_with(|| Chosen { repo: repo.clone(), listed: true });
        }
    }
    Ok((repos.into_values().collect(), whole))
}

/// The repositories of a registry, and whether these are all; where not, that is said.
pub(super) async fn catalog(session: &Session, host: &str) -> Result<(Vec<Repo>, bool), Problem> {
    let client = session.client()?;
    let mut names = Vec::new();
    let mut each = |rows: Vec<RepoRow>| names.extend(rows.into_iter().filter(|row| row.fit).map(|row| row.name.raw().to_owned()));
    let listed = session.run("list the repositories", |_| client.repositories(host, &mut each)).await?;
    if let Completeness::Incomplete(why) = &listed.completeness {
        session.printer.say(format_args!("lighterman: the list of the repositories of {} may not be complete: {why}", Safe::new(host)));
    }
    let repos = names.iter().map(|name| Repo::at(host, name)).collect::<Result<_, _>>()?;
    Ok((repos, listed.is_complete()))
}

/// What `policy run` prints.
#[derive(Serialize)]
struct Ran {
    /// Of the run in the journal; null where nothing was begun.
    id: Option<RunId>,
    dry_run: bool,
    /// Lines.
    done: usize,
    trouble: Option<String>,
    repositories: Vec<InRepository>,
    lines: Vec<apply::Line>,
}

/// Tags of a repository; null where nothing could be decided.
#[derive(Default, Serialize)]
struct InRepository {
    repository: String,
    kept: Option<usize>,
    /// With `dry_run`, those that could go.
    dropped: Option<usize>,
    /// Those that the policy lets go, and that are still there.
    failed: Option<usize>,
    /// Bytes that no manifest needs any more, by what was done; with `dry_run`, by what could be.
    freed_at_least: Option<u64>,
    freed_at_most: Option<u64>,
    problem: Option<String>,
}

impl InRepository {
    fn new(repo: &Repo, retained: &Result<Retained, Problem>, report: Option<&work::Report>, dry_run: bool) -> Self {
        let full = repo.full();
        let retained = match retained {
            Ok(retained) => retained,
            Err(problem) => {
                let problem = Some(problem.to_string());
                return Self { repository: full, problem, ..Self::default() };
            }
        };
        let went = |state: &LineState| is_fit(state, dry_run);
        let of_this = |line: &Operation| {
            let (repository, tag) = line.target.name()?.split();
            (repository == full).then_some(tag?).filter(|tag| retained.going.contains(*tag)).map(str::to_owned)
        };
        let lines = report.into_iter().flat_map(|report| report.plan.operations.iter().zip(&report.states));
        let gone: BTreeSet<String> = lines.filter(|(_, state)| went(state)).filter_map(|(line, _)| of_this(line)).collect();
        let (dropped, failed) = (gone.len(), retained.going.len() - gone.len());
        let (least, most) = retained.freed(&full, report, dry_run);
        Self {
            repository: full,
            kept: Some(retained.kept),
            dropped: Some(dropped),
            failed: Some(failed),
            freed_at_least: Some(least),
            freed_at_most: Some(most),
            problem: None,
        }
    }

    fn sample(&self) -> Sample {
        let tags = self.kept.zip(self.dropped).zip(self.failed).map(|((kept, dropped), failed)| [kept, dropped, failed]);
        let freed = self.freed_at_least.zip(self.freed_at_most);
        Sample { repository: self.repository.clone(), tags, freed, success: self.failed == Some(0) }
    }
}

pub(super) async fn run(session: &Session, args: &PolicyRunArgs) -> Verdict {
    let (policy, repositories) = policy::named(args.rule.as_deref(), args.file.as_deref(), &args.repositories)?;
    let (repos, whole) = named(session, &policy, &repositories).await?;
    let retaining = Retaining::new(session, &policy, &args.confirm, nothing())?;
    let (mut decided, mut lines) = (Vec::new(), Vec::new());
    for Chosen { repo, listed } in repos {
        let mut retained = retaining.retained(&repo).await;
        match &mut retained {
            Ok(retained) => {
                say_moved(session, &repo, retained.moved);
                lines.append(&mut retained.lines);
            }
            Err(problem) if problem.is_cancelled() => return Err(problem.clone()),
            // A registry goes on listing what lost its last tag.
            Err(problem) if listed && problem.kind == ProblemKind::NotFound => continue,
            Err(problem) => session.printer.problem(problem),
        }
        decided.push((repo, retained));
    }
    if decided.is_empty() {
        session.printer.say(format_args!("lighterman: there is no repository that the policy names"));
    }
    let answer = if lines.is_empty() { Ok(None) } else { carried(session, args, ordered(lines)).await.map(Some) };
    let (report, mut trouble) = match answer {
        Ok(report) => (report, None),
        // Nobody was there to agree.
        Err(problem) if problem.kind == ProblemKind::Usage || problem.is_cancelled() => return Err(problem),
        Err(problem) => (None, Some(problem)),
    };
    trouble = trouble.or_else(|| report.as_ref().and_then(|report| report.trouble.clone()));
    let found: Vec<InRepository> =
        decided.iter().map(|(repo, retained)| InRepository::new(repo, retained, report.as_ref(), args.dry_run)).collect();
    if let Some(file) = &args.metrics {
        let samples: Vec<Sample> = found.iter().map(InRepository::sample).collect();
        metrics::write(file, &samples, now().as_second())?;
    }
    told(session, args, Outcome { report, trouble, found, whole })
}

async fn carried(session: &Session, args: &PolicyRunArgs, lines: Vec<Operation>) -> Result<work::Report, Problem> {
    let plan = apply::planned(PlanKind::Retain, lines);
    if args.dry_run {
        return apply::with(session, "look at what would be done", async |applier| applier.dry_run(plan).await).await;
    }
    apply::recover(session).await?;
    let doing = format!("take away what the policy lets go, in {}", counted(plan.operations.len(), "line"));
    let what = apply::said(&plan, false);
    ask::agreed(Question { doing: &doing, what: &what, ask: "Apply" }, args.yes, &session.printer, &session.cancel).await?;
    apply::with(session, &doing, async |applier| applier.apply(plan, false).await).await
}

/// How a run ended.
struct Outcome {
    report: Option<work::Report>,
    trouble: Option<Problem>,
    found: Vec<InRepository>,
    /// All repositories that the policy names are known.
    whole: bool,
}

/// Whether a line was done, or could be where that alone was asked.
fn is_fit(state: &LineState, dry_run: bool) -> bool {
    state.is_done() || (dry_run && *state == LineState::Waiting)
}

fn told(session: &Session, args: &PolicyRunArgs, outcome: Outcome) -> Verdict {
    let Outcome { report, trouble, found, whole } = outcome;
    let (id, done) = report.as_ref().map_or((None, 0), |report| (report.id, report.done()));
    // Lines that are not about tags count too.
    let lines_fit = report.as_ref().is_none_or(|report| report.states.iter().all(|state| is_fit(state, args.dry_run)));
    let good = found.iter().filter(|one| one.failed == Some(0)).count();
    let all = trouble.is_none() && whole && lines_fit && good == found.len();
    if session.printer.json {
        let lines = report.as_ref().map(apply::documented).unwrap_or_default();
        let trouble = trouble.as_ref().map(ToString::to_string);
        session.printer.document(&Ran { id, dry_run: args.dry_run, done, trouble, repositories: found, lines })?;
    } else {
        if let Some(report) = &report {
            session.printer.table(&apply::table(report))?;
        }
        for InRepository { repository, kept, dropped, failed, .. } in &found {
            let (Some(kept), Some(dropped), Some(failed)) = (kept, dropped, failed) else { continue };
            let went = if args.dry_run { "would go" } else { "went" };
            session.printer.say(format_args!("lighterman: {}: {kept} stay, {dropped} {went}, {failed} failed", Safe::ascii(repository)));
        }
        if let Some(id) = id.filter(|_| done > 0) {
            session.printer.say(format_args!("`lighterman undo {id}` takes it back"));
        }
    }
    match trouble {
        Some(problem) if problem.is_cancelled() => return Err(problem),
        Some(problem) => session.printer.problem(&problem),
        None => {}
    }
    Ok(if all {
        Done::All
    } else if done > 0 || good > 0 {
        Done::Part
    } else {
        Done::Failed
    })
}
