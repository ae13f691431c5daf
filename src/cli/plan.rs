//! `plan retag`, `plan delete` and `plan prune`: look at what is there, and write down what would be changed. Nothing is changed.
//! New names by a rule are `rename`'s, what a policy lets go is `retain`'s.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read as _;
use std::path::Path;

use super::args::{PlanArgs, PlanCommand, PlanDeleteArgs, PlanRetagArgs};
use super::find::{self, Found};
use super::print::{Align, Table, or_dash};
use super::remote::{self, Remote, is_remote};
use super::session::{Place, Session};
use super::{Done, Verdict, apply, quarantine, rename, retain, weigh};
use crate::curate::plan::{self, Protection, Wish, clashes, ordered};
use crate::curate::words::freed;
use crate::model::{
    Completeness, Digest, Foreign, Name, Operation, Plan, PlanKind, Problem, ProblemKind, RepositoryView, Safe, SourceKind, Target,
    plan as document,
};
use crate::shell::paths::{read_bounded, write_whole};
use crate::source::Ctx;
use crate::source::registry::Repo;

pub(super) async fn run(session: &Session, command: PlanCommand) -> Verdict {
    match command {
        PlanCommand::Retag(args) => retag(session, &args).await,
        PlanCommand::Delete(args) => delete(session, &args).await,
        PlanCommand::Prune { how } => prune(session, &how).await,
        PlanCommand::Retain(args) => retain::plan(session, &args).await,
        PlanCommand::Quarantine(args) => quarantine::plan(session, &args).await,
    }
}

/// Bytes of what a user hands over: a plan, or a list of pairs; - is standard input.
pub(super) fn read_input(file: &Path, doing: &str) -> Result<Vec<u8>, Problem> {
    if file.as_os_str() != "-" {
        return read_bounded(file, document::LARGEST as u64).map_err(|error| Problem::disk(doing, file, &error));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(document::LARGEST as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Problem::new(ProblemKind::Disk, doing, error.to_string()))?;
    if bytes.len() > document::LARGEST {
        return Err(Problem::new(ProblemKind::Limit, doing, format!("more than {} MiB came in", document::LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Wishes by the place they are about.
#[derive(Default)]
pub(super) struct Wishes {
    local: Vec<(Place, Vec<Wish>)>,
    /// By repository.
    remote: BTreeMap<String, InRepository>,
}

/// Wishes about one repository.
struct InRepository {
    place: Place,
    repo: Repo,
    /// As it was looked at already.
    view: Option<RepositoryView>,
    wishes: Vec<Wish>,
    /// What they name.
    tags: Vec<String>,
    digests: Vec<Digest>,
}

impl Wishes {
    pub(super) fn at(&mut self, place: &Place, wish: Wish) {
        match self.local.iter_mut().find(|(other, _)| other.source.id() == place.source.id()) {
            Some((_, wishes)) => wishes.push(wish),
            None => self.local.push((place.clone(), vec![wish])),
        }
    }

    fn repository(&mut self, session: &Session, repo: &Repo) -> Result<&mut InRepository, Problem> {
        Ok(match self.remote.entry(repo.full()) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => {
                let place = remote::place(session, &Name::new(&repo.full()))?;
                let (wishes, tags, digests) = (Vec::new(), Vec::new(), Vec::new());
                free.insert(InRepository { place, repo: repo.clone(), view: None, wishes, tags, digests })
            }
        })
    }

    /// A look at a repository that serves for the wishes about it too.
    pub(super) async fn looked_at(&mut self, session: &Session, repo: &Repo) -> Result<&RepositoryView, Problem> {
        let there = self.repository(session, repo)?;
        let seen = view(session, there).await?;
        Ok(there.view.insert(seen))
    }

    /// `to` shall be what `from` is at: another tag in its repository, a copy elsewhere.
    pub(super) fn give(&mut self, session: &Session, from: &Remote, to: &Remote, digest: Digest) -> Result<(), Problem> {
        let wish = if to.repo == from.repo {
            Wish::Tag { id: digest, to: to.name.clone() }
        } else {
            Wish::Copy { from: Name::new(&format!("docker://{}", from.name.raw())), id: digest, to: to.name.clone() }
        };
        self.in_registry(session, to, wish)
    }

    pub(super) fn in_registry(&mut self, session: &Session, remote: &Remote, wish: Wish) -> Result<(), Problem> {
        let there = self.repository(session, &remote.repo)?;
        there.wishes.push(wish);
        match remote.target.parse() {
            Ok(digest) => there.digests.push(digest),
            Err(_) => there.tags.push(remote.target.clone()),
        }
        Ok(())
    }

    async fn lines(self, session: &Session, how: &PlanArgs) -> Result<Vec<Operation>, Problem> {
        let protection = Protection::new(&[session.config.protect.as_slice(), &how.protect].concat())?;
        let mut lines = Vec::new();
        for (place, wishes) in self.local {
            let list = session.run("list the images", |ctx| listed(&place, ctx)).await?;
            let mut its = plan::local(place.source.id(), &list, &wishes, &protection);
            overridden(&mut its, how);
            weigh::images(session, &place, &list, &mut its).await?;
            lines.extend(its);
        }
        for mut there in self.remote.into_values().filter(|there| !there.wishes.is_empty()) {
            let mut view = match there.view.take() {
                Some(view) => view,
                None => view(session, &there).await?,
            };
            let mut its = plan::remote(&view, &there.wishes, &protection);
            overridden(&mut its, how);
            weigh::repository(session, &there.place, &there.repo, &mut view, &mut its).await?;
            lines.extend(its);
        }
        Ok(ordered(lines))
    }
}

async fn found(session: &Session, place: &Place) -> Result<Found, Problem> {
    session.run("find the image", |ctx| async move { find::find_one(place.source.as_ref(), &ctx, place.name.as_ref()).await }).await
}

async fn listed(place: &Place, ctx: Ctx) -> Result<crate::model::ImageList, Problem> {
    place.source.list(&ctx).await
}

async fn view(session: &Session, there: &InRepository) -> Result<RepositoryView, Problem> {
    let InRepository { place, repo, wishes, tags, digests, .. } = there;
    let doing = format!("look at {}", repo.full());
    let catalog = place.source.catalog().ok_or_else(|| Problem::new(ProblemKind::Unsupported, &doing, "it can't be browsed"))?;
    match session.run(&doing, |ctx| async move { catalog.view(&ctx, repo.name(), tags, digests).await }).await {
        // A repository begins with the first that is copied into it.
        Err(problem) if problem.kind == ProblemKind::NotFound && wishes.iter().any(|wish| matches!(wish, Wish::Copy { .. })) => {
            Ok(RepositoryView {
                source: place.source.id().clone(),
                name: repo.full(),
                tags: BTreeMap::new(),
                indexes: BTreeMap::new(),
                referrers: BTreeMap::new(),
                held: BTreeMap::new(),
                completeness: Completeness::Complete,
            })
        }
        answer => answer,
    }
}

async fn delete(session: &Session, args: &PlanDeleteArgs) -> Verdict {
    let mut wishes = Wishes::default();
    for text in &args.references {
        if is_remote(text) {
            let remote = remote::parse(text)?;
            if remote::seen(session, &remote).await?.is_none() {
                let doing = format!("find {}", remote.name.safe());
                return Err(Problem::new(ProblemKind::NotFound, doing, "there is no such tag or manifest"));
            }
            let wish = match remote.target.parse() {
                Ok(digest) => Wish::Delete(Target::Manifest { repository: Name::new(&remote.repo.full()), digest }),
                Err(_) if args.untag => Wish::Untag(remote.name.clone()),
                Err(_) => Wish::Delete(Target::Tag(remote.name.clone())),
            };
            wishes.in_registry(session, &remote, wish)?;
            continue;
        }
        let place = session.place(text).await?;
        let found = found(session, &place).await?;
        let wish = match found.name {
            Some(name) if args.untag => Wish::Untag(name),
            Some(name) => Wish::Delete(Target::Tag(name)),
            None => Wish::Delete(Target::Image(found.id)),
        };
        wishes.at(&place, wish);
    }
    made(session, &args.how, PlanKind::Delete, wishes).await
}

async fn prune(session: &Session, how: &PlanArgs) -> Verdict {
    if !how.protect.is_empty() {
        let cause = "--protect is for references, and what is pruned has none";
        return Err(Problem::new(ProblemKind::Usage, "plan a prune", cause).hint("give what shall stay a tag"));
    }
    let place = session.current_place().await?;
    let curator = place.curator("prune images")?;
    let list = session.run("look for images without a tag", |ctx| async move { curator.prunable(&ctx).await }).await?;
    let mut lines = plan::prune(place.source.id(), &list, place.source.kind() == SourceKind::Engine);
    if !lines.is_empty() {
        overridden(&mut lines, how);
        let mut all = session.run("list the images", |ctx| listed(&place, ctx)).await?;
        // What was read just now says more of these than the list does.
        all.images.retain(|image| !list.images.iter().any(|other| other.id == image.id));
        all.images.extend(list.images);
        weigh::images(session, &place, &all, &mut lines).await?;
    }
    written(session, how, PlanKind::Prune, lines)
}

/// `source -> target` lines; empty ones and those that begin with # say nothing.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let usage = |line: &str| {
        let doing = format!("understand {}", Safe::new(line));
        Problem::new(ProblemKind::Usage, doing, "it is no pair of names").hint("write SRC=DST, or in a file: source -> target")
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (from, to) =
            line.split_once("->").or_else(|| line.split_once('→')).or_else(|| line.split_once('=')).ok_or_else(|| usage(line))?;
        let (from, to) = (from.trim(), to.trim());
        if from.is_empty() || to.is_empty() { Err(usage(line)) } else { Ok((from.to_owned(), to.to_owned())) }
    };
    lines.map(pair).collect()
}

async fn retag(session: &Session, args: &PlanRetagArgs) -> Verdict {
    let mut wanted = pairs(&args.pairs.join("\n"))?;
    if let Some(file) = &args.from {
        let bytes = read_input(file, "read the pairs")?;
        let text = String::from_utf8(bytes).map_err(|error| Problem::new(ProblemKind::Usage, "read the pairs", error.to_string()))?;
        wanted.extend(pairs(&text)?);
    }
    let rule = rename::rule(args)?;
    if wanted.is_empty() && rule.is_none() {
        let problem = Problem::new(ProblemKind::Usage, "plan new names", "no pair is named");
        return Err(problem.hint("write SRC=DST, --from FILE, or --repo HOST/REPO with a rule"));
    }
    let mut wishes = Wishes::default();
    let left_out = match &rule {
        Some(rule) => rename::wished(session, &args.repositories, rule, &mut wishes).await?,
        None => 0,
    };
    // One look at a repository serves all its pairs.
    let mut seen: BTreeMap<String, Digest> = BTreeMap::new();
    for (from, to) in &wanted {
        if is_remote(from) {
            let source = remote::parse(from)?;
            let target = target_of(&source, to)?;
            let digest = match seen.get(from) {
                Some(digest) => digest.clone(),
                None => remote::seen(session, &source).await?.ok_or_else(|| {
                    Problem::new(ProblemKind::NotFound, format!("find {}", source.name.safe()), "there is no such tag or manifest")
                })?,
            };
            seen.insert(from.clone(), digest.clone());
            // What refers to the source is not asked for: it stays where it is.
            wishes.give(session, &source, &target, digest)?;
            continue;
        }
        let place = session.place(from).await?;
        let found = found(session, &place).await?;
        // `:TAG` alone stays in the repository.
        let to = if to.starts_with(':') { format!("{}{to}", Name::new(from).split().0) } else { to.clone() };
        let name = session.name_at(&place, &to).await?;
        wishes.at(&place, Wish::Tag { id: found.id, to: name });
    }
    let done = made(session, &args.how, PlanKind::Retag, wishes).await?;
    Ok(if left_out > 0 { Done::Part } else { done })
}

/// The new name: `:TAG` alone is in the repository of the source.
fn target_of(source: &Remote, text: &str) -> Result<Remote, Problem> {
    let target = match text.strip_prefix(':') {
        Some(tag) => remote::parse(&format!("{}:{tag}", source.repo.full()))?,
        None => remote::parse(text)?,
    };
    let doing = format!("retag {} as {}", source.name.safe(), target.name.safe());
    if target.target.contains(':') {
        return Err(Problem::new(ProblemKind::Usage, doing, "a digest can't be given to an image").hint("write HOST/REPOSITORY:TAG"));
    }
    Ok(target)
}

pub(super) async fn made(session: &Session, how: &PlanArgs, kind: PlanKind, wishes: Wishes) -> Verdict {
    let lines = wishes.lines(session, how).await?;
    written(session, how, kind, lines)
}

/// Lets protected lines run, where a reason was given.
pub(super) fn overridden(lines: &mut [Operation], how: &PlanArgs) {
    let Some(reason) = &how.override_reason else { return };
    for line in lines.iter_mut().filter(|line| line.protected.is_some()) {
        line.override_reason = Some(Foreign::new(reason));
    }
}

pub(super) fn written(session: &Session, how: &PlanArgs, kind: PlanKind, mut lines: Vec<Operation>) -> Verdict {
    if let Some(clash) = clashes(&lines).first() {
        let target = |n: usize| lines.get(n).map_or_else(String::new, Operation::doing);
        let cause = format!("{} and {} get into each other's way: {}", target(clash.lines.0), target(clash.lines.1), clash.why);
        return Err(Problem::new(ProblemKind::Conflict, format!("plan a {}", kind.word()), cause));
    }
    overridden(&mut lines, how);
    let plan = Plan { all_or_nothing: how.all_or_nothing, ..apply::planned(kind, lines) };
    plan.check(&format!("plan a {}", kind.word()))?;
    if let Some(file) = &how.output {
        let text = plan.to_json()? + "\n";
        write_whole(file, text.as_bytes()).map_err(|error| Problem::disk("write the plan", file, &error))?;
    }
    if session.printer.json {
        session.printer.document(&plan)?;
    } else {
        session.printer.table(&table(&plan.operations))?;
    }
    let refused = plan.operations.iter().filter(|line| line.refused().is_some()).count();
    weigh::say(&session.printer, &plan.operations);
    if refused > 0 {
        session.printer.say(format_args!("lighterman: {refused} of {} lines are protected and would not run", plan.operations.len()));
    }
    if plan.operations.is_empty() {
        session.printer.say(format_args!("lighterman: there is nothing to do"));
    }
    Ok(Done::All)
}

/// The lines of a plan, numbered from one.
pub(super) fn table(lines: &[Operation]) -> Table {
    use Align::{Left, Right};
    let columns = [("LINE", Right), ("WHAT", Left), ("TARGET", Left), ("BEFORE", Left), ("AFTER", Left), ("UNDO", Left), ("THEN", Left)];
    let mut table = Table::new(&columns);
    let short = |digest: &Option<Digest>| or_dash(digest.as_ref().map(|digest| digest.short().into()));
    for (n, line) in lines.iter().enumerate() {
        // Where it comes from is as much part of what is agreed to as where it goes.
        let from = line.from.as_ref().map(|from| format!("from {}", from.safe()));
        let refused = line.refused().map(|why| format!("refused: {}", why.safe()));
        let effects = line.effects.iter().map(|effect| effect.safe().to_string());
        let bytes = line.freed.as_ref().filter(|bytes| bytes.at_most > 0).map(|bytes| freed(Some(bytes.at_least), bytes.at_most));
        let then = refused.unwrap_or_else(|| from.into_iter().chain(effects).chain(bytes).collect::<Vec<_>>().join("; "));
        let target =
            if line.source.registry_host().is_some() { Safe::from(format!("docker://{}", line.target.safe())) } else { line.target.safe() };
        table.row(vec![
            Safe::from((n + 1).to_string()),
            line.verb.word().into(),
            target,
            short(&line.before),
            short(&line.after),
            line.undo.words().into(),
            Safe::from(then),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_from_arguments_and_lines() {
        let found = pairs("a:1=a:2\n# no\n\n docker://h:5000/a:1 -> :2 \nx → y").unwrap();
        let expected = [("a:1", "a:2"), ("docker://h:5000/a:1", ":2"), ("x", "y")];
        assert_eq!(found, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
        for bad in ["a", "=b", "a ->"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }
}
