//! `policy`: what a retention policy would keep and drop in a repository, a policy to start from, and the policies of others as ours.
//! Nothing is changed here; `policy run` is `retain`'s.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::args::{PolicyCheckArgs, PolicyCommand, PolicyImportArgs, PolicyKind};
use super::print::{Align, Table, or_dash};
use super::session::Session;
use super::{Done, Verdict, images, retain};
use crate::curate::mistake::Mistake;
use crate::curate::retention::{EXAMPLE, Listing, Policy, Reason, Report, Row, import, phrase};
use crate::curate::words::counted;
use crate::model::findings::Gist;
use crate::model::{Digest, Name, Problem, ProblemKind, Safe, Sightings, SourceId, TagDetails, TagRow, time};
use crate::shell::paths::read_bounded;
use crate::source::registry::{Client, Repo};
use crate::source::{TagAnswer, blocking};
use crate::work::Sights;
use crate::work::clock::now;
use crate::work::gists::Gists;

/// Longest file that is read, in bytes.
const LONGEST: u64 = 4 << 20;
/// Labels looked up at once; how many requests a host gets at a time is the client's to say.
const AT_ONCE: usize = 16;

pub(super) async fn run(session: &Session, command: &PolicyCommand) -> Verdict {
    match command {
        PolicyCommand::Check(args) => check(session, args).await,
        PolicyCommand::Run(args) => retain::run(session, args).await,
        PolicyCommand::Example => example(session),
        PolicyCommand::Import(args) => imported(session, args),
    }
}

fn read(file: &Path, doing: &str) -> Result<String, Problem> {
    let bytes = read_bounded(file, LONGEST).map_err(|error| Problem::disk(doing, file, &error))?;
    String::from_utf8(bytes).map_err(|error| Problem::new(ProblemKind::Usage, doing, format!("{}: {error}", file.display())))
}

/// A policy as text, in the shape of `--json`.
#[derive(Serialize)]
struct Text<'a> {
    policy: &'a str,
    notes: Vec<Noted>,
}

#[derive(Serialize)]
struct Noted {
    at: String,
    words: String,
    left_out: bool,
}

fn example(session: &Session) -> Verdict {
    if session.printer.json {
        session.printer.document(&Text { policy: EXAMPLE, notes: Vec::new() })?;
    } else {
        session.printer.text(EXAMPLE)?;
    }
    Ok(Done::All)
}

fn imported(session: &Session, args: &PolicyImportArgs) -> Verdict {
    let text = read(&args.file, "read the policy to take over")?;
    let imported = match args.kind {
        PolicyKind::Ecr => import::ecr(&text)?,
        PolicyKind::Harbor => import::harbor(&text)?,
    };
    let left_out = imported.notes.iter().any(|note| note.left_out);
    if session.printer.json {
        let noted = |note: &import::Note| Noted { at: note.at.clone(), words: note.words.to_string(), left_out: note.left_out };
        session.printer.document(&Text { policy: &imported.toml, notes: imported.notes.iter().map(noted).collect() })?;
    } else {
        // What was written by others stands in it: no line of it may command a terminal.
        let lines: Vec<String> = imported.toml.lines().map(|line| Safe::new(line).to_string()).collect();
        session.printer.text(&(lines.join("\n") + "\n"))?;
        for note in &imported.notes {
            let what = if note.left_out { "left out: " } else { "" };
            session.printer.say(format_args!("lighterman: {}: {what}{}", Safe::new(&note.at), note.words));
        }
    }
    Ok(if left_out { Done::Part } else { Done::All })
}

/// Decisions on a repository, in the shape of `--json`.
#[derive(Serialize)]
struct Told<'a> {
    repository: &'a str,
    complete: bool,
    decisions: Vec<Line<'a>>,
    /// Tags that stand for themselves: not signatures and the like.
    of: usize,
    dropped: usize,
    /// Percent.
    share: usize,
    most_dropped: u8,
    needs_name: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    tag: Option<&'a str>,
    digest: Option<&'a Digest>,
    created: Option<Timestamp>,
    decision: &'static str,
    /// From 1, in the order of the file.
    rule: Option<usize>,
    why: String,
}

/// The policy of a file.
///
/// # Errors
/// `Usage` with every mistake in it.
pub(super) fn parsed(file: &Path) -> Result<Policy, Problem> {
    let text = read(file, "read the policy")?;
    let doing = format!("read the policy {}", file.display());
    Policy::parse(&text)
        .map_err(|mistakes| Mistake::problem(&mistakes, &doing).hint("`lighterman policy example` prints one with everything explained"))
}

/// The policy that a command names, in a file or in its words, and the repositories behind it: with words, the first stands where else the
/// file does.
///
/// # Errors
/// `Usage` with every mistake in it.
pub(super) fn named(rule: Option<&str>, file: Option<&Path>, repositories: &[String]) -> Result<(Policy, Vec<String>), Problem> {
    match (rule, file) {
        (None, Some(file)) => Ok((parsed(file)?, repositories.to_vec())),
        (Some(rule), first) => {
            let said = phrase::policy(rule).map_err(|mistakes| Mistake::problem(&mistakes, "understand the rules"))?;
            let first = first.map(|first| first.to_string_lossy().into_owned());
            Ok((said.policy, first.into_iter().chain(repositories.iter().cloned()).collect()))
        }
        (None, None) => Err(Problem::new(ProblemKind::Usage, "read the policy", "none is named").hint("name a file, or say --rule")),
    }
}

/// A repository as typed.
///
/// # Errors
/// `Usage` for what is none.
pub(super) fn repository(text: &str) -> Result<Repo, Problem> {
    let typed = text.strip_prefix("docker://").unwrap_or(text);
    let name = Name::new(typed);
    if name.split().1.is_some() {
        let problem =
            Problem::new(ProblemKind::Usage, format!("check the tags of {}", name.safe()), "that is one tag, and not a repository");
        return Err(problem.hint("write HOST/REPOSITORY"));
    }
    Repo::parse(typed)
}

async fn check(session: &Session, args: &PolicyCheckArgs) -> Verdict {
    let behind: Vec<String> = args.repository.iter().cloned().collect();
    let (policy, repositories) = named(args.rule.as_deref(), args.file.as_deref(), &behind)?;
    let [one] = repositories.as_slice() else {
        let cause = if repositories.is_empty() { "no repository is named" } else { "more than one repository is named" };
        return Err(Problem::new(ProblemKind::Usage, "check the tags of a repository", cause).hint("write HOST/REPOSITORY"));
    };
    let repo = repository(one)?;
    let repository = repo.full();
    if !policy.is_for(&repository) {
        session.printer.say(format_args!(
            "lighterman: the policy names other repositories than {}; it is put to it all the same",
            Safe::ascii(&repository)
        ));
    }
    let Seen { rows, completeness } = seen(session, &repo, &policy).await?;
    let now = now();
    let report = policy.check(Listing { repository: &repository, rows: &rows, completeness: &completeness }, now)?;
    told(session, &policy, &repository, &rows, &report, now)?;
    Ok(Done::All)
}

fn told<'a>(
    session: &Session,
    policy: &Policy,
    repository: &'a str,
    rows: &'a [Row],
    report: &Report,
    now: Timestamp,
) -> Result<(), Problem> {
    let word = |reason: Reason| if reason.drops() { "drop" } else { "keep" };
    if session.printer.json {
        let decision = |row: &'a Row, reason: Reason| Line {
            tag: row.tag.as_deref(),
            digest: row.digest.as_ref(),
            created: row.created,
            decision: word(reason),
            rule: reason.rule().map(|rule| rule + 1),
            why: policy.words(reason, rows).to_string(),
        };
        return session.printer.document(&Told {
            repository,
            complete: true,
            decisions: rows.iter().zip(&report.reasons).map(|(row, reason)| decision(row, *reason)).collect(),
            of: report.of,
            dropped: report.dropped,
            share: report.share(),
            most_dropped: policy.most_dropped,
            needs_name: report.needs_name,
        });
    }
    let mut table =
        Table::new(&[("TAG", Align::Left), ("DIGEST", Align::Left), ("CREATED", Align::Right), ("", Align::Left), ("WHY", Align::Left)]);
    for (row, reason) in rows.iter().zip(&report.reasons) {
        table.row(vec![
            row.shown(),
            or_dash(row.digest.as_ref().map(|digest| digest.short().into())),
            or_dash(row.created.map(|then| time::age(then, now).into())),
            word(*reason).into(),
            policy.words(*reason, rows),
        ]);
    }
    session.printer.table(&table)?;
    session.printer.say(format_args!("lighterman: {} of {} would go, {} %", report.dropped, counted(report.of, "tag"), report.share()));
    if report.needs_name {
        session.printer.say(format_args!(
            "lighterman: that is more than the {} % the policy allows at once: a run asks for the repository's name",
            policy.most_dropped
        ));
    }
    Ok(())
}

/// A repository as far as it could be seen.
pub(super) struct Seen {
    pub(super) rows: Vec<Row>,
    pub(super) completeness: crate::model::Completeness,
}

pub(super) async fn seen(session: &Session, repo: &Repo, policy: &Policy) -> Result<Seen, Problem> {
    let client = session.client()?;
    let doing = format!("list the tags of {}", repo.full());
    let mut tags = Vec::new();
    let mut each = |rows: Vec<TagRow>| tags.extend(rows.into_iter().filter(|row| row.fit).map(|row| row.tag.raw().to_owned()));
    let listed = session.run(&doing, |_| client.tags(repo, &mut each)).await?;
    let mut details: BTreeMap<String, TagDetails> = BTreeMap::new();
    let mut vanished = HashSet::new();
    let mut each = |(tag, answer): TagAnswer| match answer {
        Ok(found) => _ = details.insert(tag, found),
        // Gone since it was listed, or broken: there is nothing that could need anything.
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            session.printer.problem(&problem);
            vanished.insert(tag);
        }
        Err(problem) => session.printer.problem(&problem),
    };
    session.run(&doing, |_| client.details(repo, &tags, &mut each)).await?;
    tags.retain(|tag| !vanished.contains(tag));
    let mut rows: Vec<Row> = tags.iter().map(|tag| details.get(tag).map_or_else(|| Row::unread(tag), Row::remote)).collect();
    let at = rows.iter().filter_map(|row| row.tag.clone().zip(row.digest.clone())).collect();
    let known = sighted(session, repo, at, listed.is_complete().then(|| tags.clone())).await?;
    let gists = Gists::new(session.paths.gists()).read();
    for row in &mut rows {
        row.first_seen = row.tag.as_ref().zip(row.digest.as_ref()).and_then(|(tag, digest)| known.first_seen(tag, digest));
        row.found = row.tag.as_ref().and_then(|tag| Gist::of_tag(&gists, details.get(tag)?)).copied();
    }
    let labels = policy.needs_labels();
    session.run("read what tags are about", |_| async { completed(session, &client, repo, &details, &mut rows, labels).await }).await?;
    if policy.keep_in_use || policy.rules.iter().any(|rule| rule.matches.in_use.is_some() || rule.matches.unused_for.is_some()) {
        let (now, last) = used(session).await?;
        for row in &mut rows {
            row.note_use(&now, &last);
        }
    }
    Ok(Seen { rows, completeness: listed.completeness })
}

/// Notes what tags of a repository point at now, as the deck does, and gives what is known of when they were first seen. `all`: the names of all
/// tags there are, where that is known.
pub(super) async fn sighted(
    session: &Session,
    repo: &Repo,
    tags: Vec<(String, Digest)>,
    all: Option<Vec<String>>,
) -> Result<Sightings, Problem> {
    let (sights, source, name) = (Sights::new(session.paths.uses()), SourceId::registry(repo.host()), repo.name().to_owned());
    blocking("note when tags were first seen", move || {
        let all: Option<HashSet<&str>> = all.as_ref().map(|all| all.iter().map(String::as_str).collect());
        Ok(sights.noted((&source, &name), &tags, all.as_ref(), now()))
    })
    .await
}

/// Adds what the details of a tag don't tell: what it is about, and its labels where they are asked for.
async fn completed(
    session: &Session,
    client: &Client,
    repo: &Repo,
    details: &BTreeMap<String, TagDetails>,
    rows: &mut [Row],
    labels: bool,
) -> Result<(), Problem> {
    let asked = stream::iter(rows.iter_mut()).map(|row| async move {
        let Some(found) = details.get(row.tag.as_deref().unwrap_or_default()) else { return Ok(()) };
        if row.subject.is_none() {
            // What may belong to something is not judged by itself: nothing is decided over a list with such a row.
            row.subject = client.subject(repo, found).await.inspect_err(|_| row.digest = None)?;
        }
        if labels {
            row.labels = Some(client.labels(repo, found).await?);
        }
        Ok::<(), Problem>(())
    });
    let mut answers = std::pin::pin!(asked.buffer_unordered(AT_ONCE));
    while let Some(answer) = answers.next().await {
        match answer {
            Err(problem) if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Denied) => return Err(problem),
            // What is not known stays.
            Err(problem) => session.printer.problem(&problem),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The digests that containers of the current engine use, stopped ones too; and when its images were used last, as far as that was noted.
async fn used(session: &Session) -> Result<(HashSet<Digest>, HashMap<Digest, Timestamp>), Problem> {
    let doing = "see what containers use";
    let hint = "with keep_in_use = false in the policy, or with --host store, no container is asked about";
    let list = async {
        let source = session.current().await?;
        let id = source.id().clone();
        Ok((id, session.run(doing, |ctx| async move { source.list_with_uses(&ctx).await }).await?))
    };
    let (id, (list, used)) = list.await.map_err(|problem: Problem| problem.hint(hint))?;
    let list = Arc::new(list);
    let uses = images::noted(session, id, &list, Some(used)).await?;
    // What is not known may be in use.
    if let Some(gap) = list.gaps.first() {
        return Err(Problem::new(ProblemKind::Conflict, doing, format!("not all could be read: {}", gap.safe())).hint(hint));
    }
    let used = list.images.iter().filter(|image| image.is_unused() == Some(false));
    let now = used.flat_map(|image| &image.repo_digests).filter_map(|name| name.split().1?.parse().ok()).collect();
    Ok((now, uses.by_manifest(&list)))
}
