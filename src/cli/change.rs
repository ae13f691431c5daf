//! `tag` and `delete`: changes of names. Everything is done by `work::apply`, written down in the journal first, and said first where it takes
//! something away.

use serde::Serialize;

use super::apply;
use super::args::{DeleteArgs, TagArgs};
use super::ask::{self, Question};
use super::find::{self, Found};
use super::print::Printer;
use super::session::{Place, Session};
use super::{Done, Tally, Verdict};
use crate::curate::plan::{self, Wish};
use crate::model::{Digest, Kept, LineState, Name, Operation, PlanKind, Problem, ProblemKind, Removal, Removed, Target, Verb};
use crate::source::Ctx;

#[derive(Serialize)]
pub(super) struct Tagged {
    pub(super) digest: Digest,
}

pub(super) async fn tag(session: &Session, args: &TagArgs) -> Verdict {
    let doing = format!("tag {}", args.from);
    let from = session.place(&args.from).await?;
    from.may_change(&doing)?;
    let targets = targets(session, &from, &args.to).await?;
    let image = session.run("find the image", |ctx| one(&from, ctx)).await?;
    let mut operations = Vec::new();
    for to in targets {
        let holder = session.run("see what holds the name", |ctx| holder(&from, ctx, &to)).await?;
        operations.push(name(&from, &image.id, to, holder));
    }
    named(session, operations, &image.id).await
}

/// The line that gives `to` to the image.
pub(super) fn name(place: &Place, id: &Digest, to: Name, holder: Option<Digest>) -> Operation {
    let verb = if holder.is_some() { Verb::MoveTag } else { Verb::Tag };
    Operation::new(verb, place.source.id().clone(), Target::Tag(to), holder, Some(id.clone()))
}

/// Gives the names, and says of each what it was before.
pub(super) async fn named(session: &Session, operations: Vec<Operation>, digest: &Digest) -> Verdict {
    let (same, operations): (Vec<_>, Vec<_>) = operations.into_iter().partition(|line| line.before == line.after);
    let mut tally = Tally { done: same.len(), ..Tally::default() };
    let chatty = !session.printer.json || session.printer.verbose;
    let said = |line: &Operation| match line.before.as_ref().filter(|before| *before != digest) {
        _ if !chatty => {}
        Some(old) => session.printer.say(format_args!("{} moved from {} to {}", line.target.safe(), old.short(), digest.short())),
        None => session.printer.say(format_args!("{} is now {}", line.target.safe(), digest.short())),
    };
    same.iter().for_each(said);
    if !operations.is_empty() {
        let report = apply::lines(session, PlanKind::Retag, operations).await?;
        for (operation, state) in report.plan.operations.iter().zip(&report.states) {
            if state.is_done() {
                tally.done += 1;
                said(operation);
            } else if report.trouble.as_ref().is_some_and(Problem::is_cancelled) {
                return Err(Problem::cancelled(operation.doing()));
            } else {
                tally.failed(&apply::undone(operation, state), &session.printer);
            }
        }
    }
    if tally.done > 0 && session.printer.json {
        session.printer.document(&Tagged { digest: digest.clone() })?;
    }
    Ok(tally.verdict())
}

async fn one(place: &Place, ctx: Ctx) -> Result<Found, Problem> {
    find::find_one(place.source.as_ref(), &ctx, place.name.as_ref()).await
}

/// The new names: all at the source of the image.
async fn targets(session: &Session, from: &Place, texts: &[String]) -> Result<Vec<Name>, Problem> {
    let mut names = Vec::new();
    for text in texts {
        let name = session.name_at(from, text).await?;
        let reference = name.reference()?;
        if reference.digest().is_some() {
            return Err(Problem::new(ProblemKind::Usage, format!("tag as {text}"), "a digest can't be given to an image")
                .hint("write REPOSITORY:TAG"));
        }
        names.push(name);
    }
    Ok(names)
}

/// The image that has exactly this name now.
async fn holder(place: &Place, ctx: Ctx, name: &Name) -> Result<Option<Digest>, Problem> {
    match find::find_one(place.source.as_ref(), &ctx, Some(name)).await {
        Ok(found) if found.name.is_some() => Ok(Some(found.id)),
        Ok(_) => Ok(None),
        Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What `delete` prints.
#[derive(Debug, Default, Serialize)]
pub(super) struct Deleted {
    pub(super) removed: Vec<Removed>,
    pub(super) kept: Vec<Kept>,
}

/// What is to go from one source.
struct Batch {
    place: Place,
    items: Vec<Removal>,
}

pub(super) async fn delete(session: &Session, args: &DeleteArgs) -> Verdict {
    let doing = format!("delete {}", args.references.join(" "));
    let mut batches: Vec<Batch> = Vec::new();
    let (mut result, mut what, mut tally) = (Deleted::default(), Vec::new(), Tally::default());
    for text in &args.references {
        match session.place(text).await {
            Ok(place) => {
                place.may_change(&doing)?;
                match session.run("find the image", |ctx| one(&place, ctx)).await {
                    Ok(found) => choose(&found, text, place, &mut batches, &mut result.kept),
                    Err(problem) if problem.is_cancelled() => return Err(problem),
                    Err(problem) => tally.failed(&problem, &session.printer),
                }
            }
            Err(problem) => tally.failed(&problem, &session.printer),
        }
    }
    for batch in &batches {
        session.run("see what goes", |ctx| describe(batch, ctx, &mut what)).await?;
    }
    if batches.iter().any(|batch| !batch.items.is_empty()) {
        let question = Question { doing: &doing, what: &what, ask: "Delete" };
        ask::agreed(question, args.yes, &session.printer, &session.cancel).await?;
    }
    let mut operations = Vec::new();
    for batch in batches.iter().filter(|batch| !batch.items.is_empty()) {
        operations.extend(session.run("see what goes", |ctx| lines(batch, ctx)).await?);
    }
    if !operations.is_empty() {
        result.carry_out(session, operations).await?;
    }
    result.told(session, tally, doing)
}

/// The lines of one source. Whether a container needs an image is the engine's to say.
async fn lines(batch: &Batch, ctx: Ctx) -> Result<Vec<Operation>, Problem> {
    let list = batch.place.source.list(&ctx).await?;
    let wish = |item: &Removal| match item {
        Removal::Tag { name, .. } => Wish::Delete(Target::Tag(name.clone())),
        Removal::Untagged { id } => Wish::Delete(Target::Image(id.clone())),
    };
    let wishes: Vec<Wish> = batch.items.iter().map(wish).collect();
    let mut lines = plan::local(batch.place.source.id(), &list, &wishes, &plan::nothing());
    for line in &mut lines {
        line.protected = None;
    }
    Ok(lines)
}

impl Deleted {
    /// Carries lines out and notes what went and what stayed.
    pub(super) async fn carry_out(&mut self, session: &Session, operations: Vec<Operation>) -> Result<(), Problem> {
        let report = apply::lines(session, PlanKind::Delete, operations).await?;
        for (operation, state) in report.plan.operations.iter().zip(&report.states) {
            let Some(digest) = operation.before.clone() else { continue };
            let reference = operation.target.to_string();
            if state.is_done() {
                self.removed.push(Removed { reference, digest });
            } else {
                let why = match state {
                    LineState::Conflict { observed: None } => "already gone".to_owned(),
                    LineState::Conflict { observed: Some(now) } => format!("meanwhile it points at {}", now.short()),
                    _ => state.why().unwrap_or_default().to_string(),
                };
                self.kept.push(Kept { reference, digest, why });
            }
        }
        Ok(())
    }

    /// Prints what went and what stayed, and says how that ended.
    pub(super) fn told(&self, session: &Session, mut tally: Tally, doing: String) -> Verdict {
        print(self, &session.printer)?;
        if session.cancel.is_cancelled() && !self.kept.is_empty() {
            return Err(Problem::cancelled(doing));
        }
        tally.done = self.removed.len();
        // What was kept for a reason is no failure, but not all either.
        Ok(if self.kept.is_empty() || tally.verdict() != Done::All { tally.verdict() } else { Done::Part })
    }
}

/// Adds what `text` means to its source's batch: a tag where one was named, or the only name of an image that was given by ID.
fn choose(found: &Found, text: &str, place: Place, batches: &mut Vec<Batch>, kept: &mut Vec<Kept>) {
    let removal = match (&found.name, found.tags.as_slice()) {
        (Some(name), _) | (None, [name]) => Removal::Tag { name: name.clone(), expected: found.id.clone() },
        (None, []) => Removal::Untagged { id: found.id.clone() },
        (None, tags) => {
            let names = tags.iter().map(Name::raw).collect::<Vec<_>>().join(", ");
            let why = format!("it has {} names: {names}; name those that shall go", tags.len());
            kept.push(Kept { reference: text.to_owned(), digest: found.id.clone(), why });
            return;
        }
    };
    match batches.iter_mut().find(|batch| batch.place.source.id() == place.source.id()) {
        Some(batch) if batch.items.contains(&removal) => {}
        Some(batch) => batch.items.push(removal),
        None => batches.push(Batch { place, items: vec![removal] }),
    }
}

/// Says for each removal what will be true afterwards.
async fn describe(batch: &Batch, ctx: Ctx, what: &mut Vec<String>) -> Result<(), Problem> {
    let list = batch.place.source.list(&ctx).await?;
    let goes = |id: &Digest, tag: &Name| {
        batch.items.iter().any(|item| matches!(item, Removal::Tag { name, expected } if expected == id && name == tag))
    };
    for item in &batch.items {
        what.push(match item {
            Removal::Untagged { id } => format!("delete {} (it has no name)", id.short()),
            Removal::Tag { name, expected } => {
                let tags = list.images.iter().find(|image| image.id == *expected).map_or(&[][..], |image| &image.tags);
                match tags.iter().filter(|tag| !goes(expected, tag)).count() {
                    0 => format!("delete {} and with it the image {}, which has no other name", name.safe(), expected.short()),
                    more => format!("untag {}: {more} other {} keep the image {}", name.safe(), plural(more), expected.short()),
                }
            }
        });
    }
    Ok(())
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "name" } else { "names" }
}

fn print(result: &Deleted, printer: &Printer) -> Result<(), Problem> {
    use crate::model::Safe;
    for kept in &result.kept {
        printer.say(format_args!("lighterman: kept {}: {}", Safe::new(&kept.reference), Safe::new(&kept.why)));
    }
    if printer.json {
        return printer.document(result);
    }
    let line = |removed: &Removed| {
        if removed.reference == removed.digest.as_str() {
            format!("removed {}\n", removed.digest)
        } else {
            format!("removed {} ({})\n", Safe::new(&removed.reference), removed.digest.short())
        }
    };
    printer.text(&result.removed.iter().map(line).collect::<String>())
}
