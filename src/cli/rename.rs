//! `plan retag` by a rule: every tag of the named repositories is put to it. What a rule can't name is said, and where two tags would have one
//! name, or a name is none, there is no plan at all.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};

use super::args::PlanRetagArgs;
use super::plan::Wishes;
use super::remote;
use super::session::{Place, Session};
use crate::curate::mistake::Mistake;
use crate::curate::plan::{self, holder};
use crate::curate::rename::{Answer, Case, Mark, Names, Pattern, Preset, Row, Rows, Rule, Template, Why, Wish, check, wished as wishes_of};
use crate::curate::words::counted;
use crate::model::remote::companion_of;
use crate::model::{Completeness, Locator, Name, Problem, ProblemKind, Safe, TagDetails, Target, Transport};
use crate::source::TagAnswer;
use crate::source::registry::Repo;
use crate::work::clock::now;

const DOING: &str = "plan new names";
/// Tags that are told of one by one; of the others only the number is.
const MOST_TOLD: usize = 20;
/// Labels looked up at once; how many requests a host gets at a time is the client's to say.
const AT_ONCE: usize = 16;

/// The rule as it was typed.
///
/// # Errors
/// `Usage` for one that can't be understood.
pub(super) fn rule(args: &PlanRetagArgs) -> Result<Option<Rule>, Problem> {
    let bad = |mistake: Mistake| Mistake::problem(&[mistake], "understand the rule");
    if let (Some(find), Some(to)) = (&args.find, &args.to) {
        return Pattern::new(find, to, false, Case::AsIs).map(|pattern| Some(Rule::Pattern(pattern))).map_err(bad);
    }
    if let Some(template) = &args.template {
        return Template::parse(template).map(|template| Some(Rule::Template(template))).map_err(bad);
    }
    let preset = args.preset.as_deref().map(Preset::parse).transpose();
    let preset = preset.map_err(|words| Problem::new(ProblemKind::Usage, "understand the rule", words))?;
    Ok(preset.map(Rule::Preset))
}

/// Where the tags are that a rule is put to.
enum Origin {
    Registry,
    Here(Place),
}

/// The tags of one repository.
struct Gathered {
    origin: Origin,
    rows: Vec<Row>,
    names: Names,
}

/// Adds what a rule makes of every tag of `repositories`; comes back with the number of tags that it could not name.
///
/// # Errors
/// A repository that can't be read as a whole; names that are none, or that two tags would have.
pub(super) async fn wished(session: &Session, repositories: &[String], rule: &Rule, wishes: &mut Wishes) -> Result<usize, Problem> {
    let (mut found, mut names): (Vec<(usize, Wish)>, [Names; 2]) = (Vec::new(), [Names::new(), Names::new()]);
    let (mut wrong, mut left_out) = (Vec::new(), Vec::new());
    let mut origins = Vec::new();
    for text in repositories {
        let Gathered { origin, rows, names: known } = gathered(session, text, rule, wishes).await?;
        let answers = rule.answers(&Rows { rows: &rows, names: &known, now: now() });
        for (row, answer) in rows.iter().zip(&answers) {
            if let Answer::Not(why) = answer {
                let words = format!("{}: {}", row.name.safe(), why.words());
                match weight(rule, why) {
                    Weight::Wrong => wrong.push(words),
                    Weight::LeftOut => left_out.push(words),
                    Weight::Nothing => {}
                }
            }
        }
        found.extend(wishes_of(&rows, answers).into_iter().map(|wish| (origins.len(), wish)));
        let [remote, local] = &mut names;
        if matches!(origin, Origin::Registry) { remote } else { local }.extend(known);
        origins.push(origin);
    }
    for (remote, names) in [true, false].into_iter().zip(&names) {
        let is = |at: &usize| origins.get(*at).is_some_and(|origin| matches!(origin, Origin::Registry) == remote);
        let of: Vec<Wish> = found.iter().filter(|(at, _)| is(at)).map(|(_, wish)| wish.clone()).collect();
        wrong.extend(of.iter().zip(check(&of, names)).filter_map(|(wish, mark)| mistaken(wish, &mark, &of)));
    }
    told(session, &wrong, "");
    if !wrong.is_empty() {
        let cause = format!("{} can't have the names that the rule makes", counted(wrong.len(), "tag"));
        return Err(Problem::new(ProblemKind::Conflict, DOING, cause).hint("narrow the rule, or give these names one by one"));
    }
    told(session, &left_out, "left out: ");
    for (at, wish) in found {
        match origins.get(at) {
            Some(Origin::Registry) => {
                let (from, to) = (remote::parse(wish.from.raw())?, remote::parse(wish.to.raw())?);
                wishes.give(session, &from, &to, wish.digest)?;
            }
            Some(Origin::Here(place)) => wishes.at(place, plan::Wish::Tag { id: wish.digest, to: wish.to }),
            None => {}
        }
    }
    Ok(left_out.len())
}

fn told(session: &Session, words: &[String], before: &str) {
    for words in words.iter().take(MOST_TOLD) {
        session.printer.say(format_args!("lighterman: {before}{words}"));
    }
    if let Some(more) = words.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        session.printer.say(format_args!("lighterman: {before}and {more} more"));
    }
}

/// What it means that a tag gets no name.
enum Weight {
    /// The rule is about it, and would make a name of it that is none.
    Wrong,
    LeftOut,
    /// The rule isn't about it.
    Nothing,
}

const fn weight(rule: &Rule, why: &Why) -> Weight {
    match (why, rule) {
        (Why::MissingCapture(_) | Why::InvalidTag(_) | Why::InvalidRepository(_), _) => Weight::Wrong,
        (Why::NoCandidate | Why::Superseded(_), _) | (Why::NoVersion, Rule::Preset(_)) => Weight::Nothing,
        _ => Weight::LeftOut,
    }
}

/// Why a wish can't be carried out, in words.
fn mistaken(wish: &Wish, mark: &Mark, all: &[Wish]) -> Option<String> {
    match mark {
        Mark::New | Mark::Same | Mark::Overwrites(_) => None,
        Mark::Invalid => Some(format!("{}: {} is no name", wish.from.safe(), wish.to.safe())),
        Mark::Collides(other) => {
            let other = all.get(*other).map_or_else(|| Safe::new("another tag"), |other| other.from.safe());
            Some(format!("{} and {other} would both become {}, and are not the same", wish.from.safe(), wish.to.safe()))
        }
    }
}

async fn gathered(session: &Session, text: &str, rule: &Rule, wishes: &mut Wishes) -> Result<Gathered, Problem> {
    let locator = Locator::parse(text)?;
    let usage = |cause: &str, hint: &str| Problem::new(ProblemKind::Usage, format!("look at {}", Safe::new(text)), cause).hint(hint);
    let Some(name) = &locator.name else {
        return Err(usage("no repository is named", "write HOST/REPO, store:REPO or docker-daemon:REPO"));
    };
    if name.split().1.is_some() {
        return Err(usage("that is one tag, and not a repository", "write HOST/REPO"));
    }
    let hosted = name.raw().split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    match locator.transport {
        Transport::Registry => remote_rows(session, name, rule, wishes).await,
        Transport::Current if hosted => remote_rows(session, name, rule, wishes).await,
        Transport::Current | Transport::Engine | Transport::Store => local_rows(session, text, name).await,
        _ => Err(usage("a rule gives names in registries, engines and the store", "write HOST/REPO, store:REPO or docker-daemon:REPO")),
    }
}

async fn remote_rows(session: &Session, name: &Name, rule: &Rule, wishes: &mut Wishes) -> Result<Gathered, Problem> {
    let repo = Repo::parse(name.raw())?;
    let view = wishes.looked_at(session, &repo).await?;
    if let Completeness::Incomplete(why) = &view.completeness {
        let problem = Problem::new(ProblemKind::Conflict, DOING, format!("the list of tags may not be complete: {why}"));
        return Err(problem.hint("a rule is never put to a part of a repository; try again, or name pairs"));
    }
    // A signature is known by its tag: another name would part it from what it is about. A mirror keeps the tag.
    let mirror = matches!(rule, Rule::Preset(Preset::Mirror { .. }));
    let row = |tag: &String, digest: &crate::model::Digest| {
        let name = Name::new(&format!("{}:{tag}", repo.full()));
        Row { name, digest: digest.clone(), created: None, labels: None }
    };
    let fit = view.tags.iter().filter(|(tag, _)| mirror || companion_of(tag).is_none());
    let mut rows: Vec<Row> = fit.map(|(tag, (digest, _))| row(tag, digest)).collect();
    let names = rows.iter().map(|row| (row.name.clone(), row.digest.clone())).collect();
    if let Rule::Template(template) = rule
        && (template.needs_date() || template.needs_labels())
    {
        described(session, &repo, &mut rows, template.needs_labels()).await?;
    }
    Ok(Gathered { origin: Origin::Registry, rows, names })
}

/// Reads when the images were made, and with `labels` their labels; what can't be read is said, and stays unknown.
async fn described(session: &Session, repo: &Repo, rows: &mut [Row], labels: bool) -> Result<(), Problem> {
    let client = session.client()?;
    let doing = format!("read the images of {}", repo.full());
    let tags: Vec<String> = rows.iter().filter_map(|row| row.name.split().1.map(str::to_owned)).collect();
    let mut details: BTreeMap<String, TagDetails> = BTreeMap::new();
    let mut each = |(tag, answer): TagAnswer| match answer {
        Ok(found) => _ = details.insert(tag, found),
        Err(problem) => session.printer.problem(&problem),
    };
    session.run(&doing, |_| client.details(repo, &tags, &mut each)).await?;
    let (client, details) = (&client, &details);
    let asked = stream::iter(rows.iter_mut()).map(|row| async move {
        // A tag that moved meanwhile is another image.
        let found = row.name.split().1.and_then(|tag| details.get(tag)).filter(|found| found.digest == row.digest);
        let Some(found) = found else { return Ok(()) };
        row.created = found.created;
        if labels {
            row.labels = Some(client.labels(repo, found).await?);
        }
        Ok::<(), Problem>(())
    });
    let read = async {
        let mut answers = std::pin::pin!(asked.buffer_unordered(AT_ONCE));
        while let Some(answer) = answers.next().await {
            match answer {
                Err(problem) if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Denied) => return Err(problem),
                Err(problem) => session.printer.problem(&problem),
                Ok(()) => {}
            }
        }
        Ok(())
    };
    session.run(&doing, |_| read).await
}

async fn local_rows(session: &Session, text: &str, name: &Name) -> Result<Gathered, Problem> {
    let place = session.place(text).await?;
    let source = std::sync::Arc::clone(&place.source);
    let list = session.run("list the images", |ctx| async move { source.list(&ctx).await }).await?;
    let repository = Target::Tag(name.clone()).repository();
    let of = |tag: &&Name| tag.split().0 == name.raw() || (repository.is_some() && Target::Tag((*tag).clone()).repository() == repository);
    let tags: std::collections::BTreeSet<&Name> = list.images.iter().flat_map(|image| &image.tags).filter(of).collect();
    let row = |tag: &Name| {
        let (image, _) = holder(&list, tag)?;
        let labels = Some(image.labels.clone());
        Some(Row { name: tag.clone(), digest: image.id.clone(), created: image.created, labels })
    };
    let rows: Vec<Row> = tags.into_iter().filter_map(row).collect();
    if rows.is_empty() {
        let cause = format!("{} has no tag of it", place.source.id());
        return Err(Problem::new(ProblemKind::NotFound, format!("look at {}", name.safe()), cause));
    }
    let names = rows.iter().map(|row| (row.name.clone(), row.digest.clone())).collect();
    Ok(Gathered { origin: Origin::Here(place), rows, names })
}
