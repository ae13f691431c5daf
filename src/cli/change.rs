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
use crate::model::{
    Digest, ImageList, Kept, LineState, Name, Operation, PlanKind, Problem, ProblemKind, Removal, Removed, SourceId, Target, Verb, Why,
};
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
    /// How it goes, thought through against the list that it is described by.
    lines: Vec<Operation>,
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
    for batch in &mut batches {
        let place = &batch.place;
        let list = session.run("see what goes", |ctx| async move { place.source.list(&ctx).await }).await?;
        (batch.lines, batch.items) = settle(place.source.id(), &list, std::mem::take(&mut batch.items), &mut result.kept);
        describe(&batch.items, &list, &mut what);
    }
    // Nothing is looked up again after the question: what moves while it stands is found by the digest each line expects.
    let operations: Vec<Operation> = batches.into_iter().flat_map(|batch| batch.lines).collect();
    if !operations.is_empty() {
        let question = Question { doing: &doing, what: &what, ask: "Delete" };
        ask::agreed(question, args.yes, &session.printer, &session.cancel).await?;
        result.carry_out(session, operations).await?;
    }
    result.told(session, tally, doing)
}

/// The lines of one source, and the items they are about; what is not as it was found is kept. Whether a container needs an image is the
/// engine's to say.
fn settle(source: &SourceId, list: &ImageList, items: Vec<Removal>, kept: &mut Vec<Kept>) -> (Vec<Operation>, Vec<Removal>) {
    let target = |item: &Removal| match item {
        Removal::Tag { name, .. } => Target::Tag(name.clone()),
        Removal::Untagged { id } => Target::Image(id.clone()),
    };
    let wishes: Vec<Wish> = items.iter().map(|item| Wish::Delete(target(item))).collect();
    let planned = plan::local(source, list, &wishes, &plan::nothing());
    let (mut lines, mut stay) = (Vec::new(), Vec::new());
    for item in items {
        let (Removal::Tag { expected: digest, .. } | Removal::Untagged { id: digest }) = &item;
        let target = target(&item).canonical();
        let line = planned.iter().find(|line| line.target.canonical() == target);
        match line.and_then(|line| line.before.as_ref()) {
            Some(before) if before == digest => {
                lines.extend(line.map(|line| Operation { protected: None, ..line.clone() }));
                stay.push(item);
            }
            Some(now) => kept.push(Kept { reference: item.reference(), digest: digest.clone(), why: moved(now).into() }),
            None => {
                let image = list.images.iter().find(|image| image.id == *digest);
                let named = image.and_then(|image| image.tags.first()).filter(|_| matches!(item, Removal::Untagged { .. }));
                let why = named.map_or(Why::Gone, |name| format!("meanwhile it has the name {}", name.raw()).into());
                kept.push(Kept { reference: item.reference(), digest: digest.clone(), why });
            }
        }
    }
    (lines, stay)
}

fn moved(now: &Digest) -> String {
    format!("meanwhile it points at {}", now.short())
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
                    LineState::Conflict { observed: None } => Why::Gone,
                    LineState::Conflict { observed: Some(now) } => moved(now).into(),
                    _ => state.why().unwrap_or_default().to_string().into(),
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
            kept.push(Kept { reference: text.to_owned(), digest: found.id.clone(), why: why.into() });
            return;
        }
    };
    match batches.iter_mut().find(|batch| batch.place.source.id() == place.source.id()) {
        Some(batch) if batch.items.contains(&removal) => {}
        Some(batch) => batch.items.push(removal),
        None => batches.push(Batch { place, items: vec![removal], lines: Vec::new() }),
    }
}

/// Says for each removal what will be true afterwards.
fn describe(items: &[Removal], list: &ImageList, what: &mut Vec<String>) {
    let goes =
        |id: &Digest, tag: &Name| items.iter().any(|item| matches!(item, Removal::Tag { name, expected } if expected == id && name == tag));
    for item in items {
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
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "name" } else { "names" }
}

fn print(result: &Deleted, printer: &Printer) -> Result<(), Problem> {
    use crate::model::Safe;
    for kept in &result.kept {
        printer.say(format_args!("lighterman: kept {}: {}", Safe::new(&kept.reference), Safe::from(kept.why.to_string())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ImageSummary;

    fn image(seed: &str, tags: &[&str]) -> ImageSummary {
        ImageSummary {
            id: Digest::sha256(seed.as_bytes()),
            tags: tags.iter().map(|tag| Name::new(tag)).collect(),
            repo_digests: vec![],
            created: None,
            size: None,
            unique_size: None,
            platform: None,
            containers: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_not_as_it_was_found_is_kept() {
        let id = |seed: &str| Digest::sha256(seed.as_bytes());
        let tag = |name: &str, seed: &str| Removal::Tag { name: Name::new(name), expected: id(seed) };
        let images = vec![image("one", &["app:1"]), image("two", &["app:moved", "app:2"]), image("named", &["new:1"]), image("none", &[])];
        let list = ImageList { images, at: jiff::Timestamp::UNIX_EPOCH, gaps: vec![] };
        let untagged = |seed: &str| Removal::Untagged { id: id(seed) };
        let items = vec![tag("app:1", "one"), tag("app:moved", "one"), tag("app:gone", "one"), untagged("named"), untagged("none")];
        let mut kept = Vec::new();
        let (lines, items) = settle(&SourceId("store:/s".to_owned()), &list, items, &mut kept);
        assert_eq!(items, [tag("app:1", "one"), untagged("none")]);
        let gone: Vec<_> = lines.iter().map(|line| (line.target.to_string(), line.before.clone())).collect();
        assert_eq!(gone, [("app:1".to_owned(), Some(id("one"))), (id("none").to_string(), Some(id("none")))]);
        let why: Vec<String> = kept.iter().map(|kept| kept.why.to_string()).collect();
        assert_eq!(why, [moved(&id("two")), "already gone".to_owned(), "meanwhile it has the name new:1".to_owned()]);
    }
}
