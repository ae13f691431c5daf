//! What is done in a registry: `repos` and `tags` list, `tag docker://…` and `delete docker://…` change names there. Every change goes
//! through `work::apply` and its journal, and is said first where it takes something away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::args::{DeleteArgs, ReposArgs, TagArgs, TagsArgs};
use super::ask::{self, Question};
use super::change::{self, Deleted};
use super::print::{Align, Table, or_dash};
use super::session::{Chosen, Place, Reader, Session};
use super::{Done, Tally, Verdict, policy};
use crate::model::{
    Completeness, Digest, Foreign, Listed, Name, Operation, Problem, ProblemKind, RepoRow, Safe, TagDetails, TagRow, Target, UndoClass,
    Verb, size, time,
};
use crate::source::registry::{Repo, target};
use crate::source::{Ctx, TagAnswer};
use crate::work::clock::now;

const SCHEME: &str = "docker://";

/// Whether a reference is of a registry.
pub(super) fn is_remote(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// A reference in a registry, and its repository.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) name: Name,
    pub(super) repo: Repo,
    /// A tag or a digest.
    pub(super) target: String,
}

/// # Errors
/// What is no reference of a registry.
pub(super) fn parse(text: &str) -> Result<Remote, Problem> {
    let name = Name::new(text.strip_prefix(SCHEME).unwrap_or(text));
    let reference = name.reference()?;
    Ok(Remote { repo: Repo::of(&reference)?, target: target(&reference).to_owned(), name })
}

/// The registry of a reference, as a place where things are changed.
pub(super) fn place(session: &Session, name: &Name) -> Result<Place, Problem> {
    let Chosen { source, reader, locked } = session.registry(name)?;
    Ok(Place { source, reader, name: Some(name.clone()), locked })
}

pub(super) async fn repos(session: &Session, args: &ReposArgs) -> Verdict {
    let host = args.host.strip_prefix(SCHEME).unwrap_or(&args.host).trim_end_matches('/');
    let client = session.client()?;
    let mut names = Vec::new();
    let mut odd = Vec::new();
    let mut each = |rows: Vec<RepoRow>| {
        let (fit, other): (Vec<RepoRow>, Vec<RepoRow>) = rows.into_iter().partition(|row| row.fit);
        odd.extend(other.into_iter().map(|row| row.name));
        if !session.printer.json {
            let _ = session.printer.text(&lines(fit.iter().map(|row| &row.name)));
        }
        names.extend(fit.into_iter().map(|row| row.name));
    };
    let listed = session.run("list the repositories", |_| client.repositories(host, &mut each)).await?;
    if session.printer.json {
        session.printer.document(&names)?;
    }
    Ok(ended(session, &listed, &odd))
}

fn lines<'a>(names: impl Iterator<Item = &'a Foreign>) -> String {
    names.fold(String::new(), |all, name| all + name.safe().as_str() + "\n")
}

/// Says what the list left out and whether it is whole.
fn ended(session: &Session, listed: &Listed, odd: &[Foreign]) -> Done {
    if !odd.is_empty() || listed.odd > 0 {
        let named: Vec<String> = odd.iter().take(5).map(|name| name.safe().to_string()).collect();
        let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        session.printer.say(format_args!("lighterman: left out {} that are no names{named}", odd.len() + listed.odd));
    }
    match &listed.completeness {
        Completeness::Complete => Done::All,
        Completeness::Incomplete(why) => {
            session.printer.say(format_args!("lighterman: the list may not be complete: {why}"));
            Done::Part
        }
    }
}

/// What `tags` prints.
#[derive(Serialize)]
struct Tags {
    complete: bool,
    tags: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    tag: Foreign,
    digest: Option<Digest>,
    media_type: Option<Foreign>,
    size: Option<u64>,
    created: Option<Timestamp>,
    platforms: Option<Vec<String>>,
}

impl Row {
    fn new(tag: Foreign, details: Option<TagDetails>) -> Self {
        let Some(details) = details else {
            return Self { tag, digest: None, media_type: None, size: None, created: None, platforms: None };
        };
        Self {
            tag,
            digest: Some(details.digest),
            media_type: Some(details.media_type),
            size: details.size,
            created: details.created,
            platforms: Some(details.platforms.iter().map(ToString::to_string).collect()),
        }
    }
}

pub(super) async fn tags(session: &Session, args: &TagsArgs) -> Verdict {
    let text = args.repository.strip_prefix(SCHEME).unwrap_or(&args.repository);
    let name = Name::new(text);
    let doing = format!("list the tags of {}", name.safe());
    if name.split().1.is_some() {
        let problem = Problem::new(ProblemKind::Usage, doing, "that is one tag, and not a repository");
        return Err(problem.hint("write HOST/REPOSITORY"));
    }
    let repo = Repo::parse(text)?;
    let client = session.client()?;
    let streamed = !args.details && !session.printer.json;
    let (mut tags, mut odd) = (Vec::new(), Vec::new());
    let mut each = |rows: Vec<TagRow>| {
        let (fit, other): (Vec<TagRow>, Vec<TagRow>) = rows.into_iter().partition(|row| row.fit);
        odd.extend(other.into_iter().map(|row| row.tag));
        if streamed {
            let _ = session.printer.text(&lines(fit.iter().map(|row| &row.tag)));
        }
        tags.extend(fit.into_iter().map(|row| row.tag));
    };
    let listed = session.run(&doing, |_| client.tags(&repo, &mut each)).await?;
    let mut details = BTreeMap::new();
    let mut failed = 0;
    if args.details {
        let asked: Vec<String> = tags.iter().map(|tag| tag.raw().to_owned()).collect();
        let mut each = |(tag, answer): TagAnswer| match answer {
            Ok(found) => {
                if let Some(gap) = &found.gap {
                    session.printer.problem(gap);
                    failed += 1;
                }
                details.insert(tag, found);
            }
            Err(problem) => {
                session.printer.problem(&problem);
                failed += 1;
            }
        };
        session.run(&doing, |_| client.details(&repo, &asked, &mut each)).await?;
        let seen = details.iter().map(|(tag, found)| (tag.clone(), found.digest.clone())).collect();
        drop(policy::sighted(session, &repo, seen, listed.is_complete().then_some(asked)).await?);
    }
    let rows = tags.into_iter().map(|tag| {
        let found = details.remove(tag.raw());
        Row::new(tag, found)
    });
    if session.printer.json {
        session.printer.document(&Tags { complete: listed.is_complete(), tags: rows.collect() })?;
    } else if args.details {
        session.printer.table(&table(rows, now()))?;
    }
    let end = ended(session, &listed, &odd);
    Ok(if failed > 0 { Done::Part } else { end })
}

fn table(rows: impl Iterator<Item = Row>, now: Timestamp) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("TAG", Left), ("DIGEST", Left), ("SIZE", Right), ("CREATED", Right), ("PLATFORMS", Left)]);
    for row in rows {
        table.row(vec![
            row.tag.safe(),
            or_dash(row.digest.as_ref().map(|digest| digest.short().into())),
            or_dash(row.size.map(|bytes| size::human(bytes).into())),
            or_dash(row.created.map(|then| time::age(then, now).into())),
            or_dash(row.platforms.map(|platforms| Safe::from(platforms.join(", ")))),
        ]);
    }
    table
}

/// What a tag or digest is at now.
pub(super) async fn seen(session: &Session, remote: &Remote) -> Result<Option<Digest>, Problem> {
    let client = session.client()?;
    let doing = format!("look for {}", remote.name.safe());
    let stat = session.run(&doing, |_| async { client.stat(&remote.repo, &remote.target).await }).await?;
    Ok(stat.map(|stat| stat.digest))
}

fn absent(remote: &Remote) -> Problem {
    Problem::new(ProblemKind::NotFound, format!("find {}", remote.name.safe()), "there is no such tag or manifest")
        .hint(format!("`lighterman tags {}` lists the tags", remote.repo.full()))
}

pub(super) async fn tag(session: &Session, args: &TagArgs) -> Verdict {
    let from = parse(&args.from)?;
    let place = place(session, &from.name)?;
    place.may_change(&format!("tag {}", args.from))?;
    let targets: Vec<Remote> = args.to.iter().map(|text| tag_target(&from, text)).collect::<Result<_, _>>()?;
    let digest = seen(session, &from).await?.ok_or_else(|| absent(&from))?;
    let mut operations = Vec::new();
    for to in targets {
        operations.push(line(session, &place, &from, &digest, &to).await?);
    }
    change::named(session, operations, &digest).await
}

/// A new tag: in the registry of the image.
fn tag_target(from: &Remote, text: &str) -> Result<Remote, Problem> {
    let usage = |cause: &str, hint: &str| Problem::new(ProblemKind::Usage, format!("tag as {text}"), cause).hint(hint);
    let to = parse(text)?;
    if to.target.contains(':') {
        return Err(usage("a digest can't be given to an image", "write docker://HOST/REPOSITORY:TAG"));
    }
    if to.repo.host() != from.repo.host() {
        return Err(usage("that is another registry", "`lighterman copy` copies from one registry to another"));
    }
    Ok(to)
}

async fn line(session: &Session, place: &Place, from: &Remote, digest: &Digest, to: &Remote) -> Result<Operation, Problem> {
    let replaces = seen(session, to).await?;
    if to.repo == from.repo {
        return Ok(change::name(place, digest, to.name.clone(), replaces));
    }
    // Another repository of the registry takes the layers by mounting them.
    let (source, target) = (place.source.id().clone(), Target::Tag(to.name.clone()));
    let mut line = Operation::new(Verb::Copy, source, target, replaces, Some(digest.clone()));
    if line.takes_away() {
        line.undo = UndoClass::UntilGarbageCollection;
    }
    line.from = Some(Name::new(&format!("{SCHEME}{}", from.name.raw())));
    Ok(line)
}

/// What is to go from one registry.
struct Batch {
    place: Place,
    items: Vec<(Name, Digest)>,
}

pub(super) async fn delete(session: &Session, args: &DeleteArgs) -> Verdict {
    let doing = format!("delete {}", args.references.join(" "));
    if let Some(local) = args.references.iter().find(|text| !is_remote(text)) {
        let cause = format!("{} is not in a registry, and the others are", Safe::new(local));
        return Err(Problem::new(ProblemKind::Usage, doing, cause).hint("delete them with two commands"));
    }
    let (mut batches, mut what, mut tally): (Vec<Batch>, Vec<String>, _) = (Vec::new(), Vec::new(), Tally::default());
    for text in &args.references {
        let chosen = choose(session, args, text, &doing, &mut batches, &mut what).await;
        match chosen {
            Ok(()) => {}
            Err(problem) if problem.is_cancelled() || problem.kind == ProblemKind::Denied => return Err(problem),
            Err(problem) => tally.failed(&problem, &session.printer),
        }
    }
    if !batches.is_empty() {
        let question = Question { doing: &doing, what: &what, ask: "Delete" };
        ask::agreed(question, args.yes, &session.printer, &session.cancel).await?;
    }
    let mut result = Deleted::default();
    let operations: Vec<Operation> = batches.iter().flat_map(|batch| planned(batch, args.tag_only)).collect();
    if !operations.is_empty() {
        result.carry_out(session, operations).await?;
    }
    if !args.all_tags && !args.tag_only && result.kept.iter().any(|kept| kept.why.to_string().contains("it has others")) {
        session.printer.say(format_args!("lighterman: --all-tags deletes all of them, --tag-only takes one tag alone away"));
    }
    result.told(session, tally, doing)
}

/// A line for each of a batch.
fn planned(batch: &Batch, alone: bool) -> Vec<Operation> {
    let line = |(name, digest): &(Name, Digest)| {
        let (verb, target) = match name.split() {
            (repository, Some(text)) if text.parse::<Digest>().is_ok() => {
                (Verb::DeleteManifest, Target::Manifest { repository: Name::new(repository), digest: digest.clone() })
            }
            _ if alone => (Verb::Untag, Target::Tag(name.clone())),
            _ => (Verb::DeleteTag, Target::Tag(name.clone())),
        };
        Operation::new(verb, batch.place.source.id().clone(), target, Some(digest.clone()), None)
    };
    batch.items.iter().map(line).collect()
}

/// Adds what `text` means to its registry's batch: it alone, or every tag of its digest.
async fn choose(
    session: &Session,
    args: &DeleteArgs,
    text: &str,
    doing: &str,
    batches: &mut Vec<Batch>,
    what: &mut Vec<String>,
) -> Result<(), Problem> {
    let remote = parse(text)?;
    let place = place(session, &remote.name)?;
    place.may_change(doing)?;
    let digest = seen(session, &remote).await?.ok_or_else(|| absent(&remote))?;
    let mut names = vec![remote.name.clone()];
    if args.all_tags {
        let Reader::Registry(source) = &place.reader else {
            return Err(Problem::new(ProblemKind::Other, doing, "that is no registry"));
        };
        let (repo, digest) = (remote.repo.name(), &digest);
        let survey = session.run("see what shares the digest", |ctx: Ctx| async move { source.survey(&ctx, repo, digest).await }).await?;
        if let Completeness::Incomplete(why) = survey.completeness {
            return Err(Problem::new(ProblemKind::Conflict, doing, format!("which tags share the digest can't be proved: {why}")));
        }
        let others = survey.tags.iter().filter(|tag| **tag != remote.target);
        names.extend(others.map(|tag| Name::new(&format!("{}:{tag}", remote.repo.full()))));
    }
    for name in names {
        what.push(format!("delete {} ({})", name.safe(), digest.short()));
        match batches.iter_mut().find(|batch| batch.place.source.id() == place.source.id()) {
            Some(batch) if batch.items.iter().any(|(known, _)| known == &name) => {}
            Some(batch) => batch.items.push((name, digest.clone())),
            None => batches.push(Batch { place: place.clone(), items: vec![(name, digest.clone())] }),
        }
    }
    Ok(())
}
