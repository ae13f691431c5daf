//! The bytes that planned lines free: what the images or manifests of a place hold is read as far as that is worth its requests, and the
//! figures say what they rest on.

use super::print::Printer;
use super::session::{Place, Session};
use crate::curate::freed::{Stock, sums, unread};
use crate::model::{Digest, ImageList, Layers, Operation, Problem, RepositoryView, Verb};
use crate::source::registry::Repo;
use crate::work::{KnownLists, layers};

/// Images that are asked about at one time; what was read is kept for the next.
const MOST: usize = 2000;

/// Fills in what lines about images of this machine free.
///
/// # Errors
/// Only when a user stops it: a figure that can't be had stops no plan.
pub(super) async fn images(session: &Session, place: &Place, list: &ImageList, lines: &mut [Operation]) -> Result<(), Problem> {
    let mut held = Layers::new();
    let goes = |line: &&Operation| line.verb == Verb::DeleteImage;
    if lines.iter().any(|line| goes(&line)) {
        let mut images: Vec<Digest> = lines.iter().filter(goes).filter_map(|line| line.before.clone()).collect();
        images.extend(list.images.iter().map(|image| image.id.clone()));
        let mut seen = std::collections::HashSet::new();
        images.retain(|id| seen.insert(id.clone()));
        let known = KnownLists::new(session.paths.lists());
        let (images, held) = (&images, &mut held);
        let read = session.run("read the layers of the images", |ctx| async move {
            let mut each = |(id, layers): crate::source::LayersOf| held.extend(layers.map(|layers| (id, layers)));
            layers::read(&known, place.source.as_ref(), images, MOST, &ctx, &mut each).await
        });
        forgiven(read.await)?;
    }
    Stock::of_images(list, &held).fill(lines.iter_mut());
    Ok(())
}

/// Fills in what lines about a repository free, and gives what that was weighed with.
///
/// # Errors
/// As [`images`].
pub(super) async fn repository(
    session: &Session,
    place: &Place,
    repo: &Repo,
    view: &mut RepositoryView,
    lines: &mut [Operation],
) -> Result<Stock, Problem> {
    let unread = unread(view, lines);
    if let Some(catalog) = place.source.catalog().filter(|_| !unread.is_empty()) {
        let digests = &unread;
        let read = session.run("read what the manifests hold", |ctx| async move { catalog.held(&ctx, repo.name(), digests).await });
        view.held.extend(forgiven(read.await)?.unwrap_or_default());
    }
    let stock = Stock::of_repository(view);
    stock.fill(lines.iter_mut());
    Ok(stock)
}

fn forgiven<T>(read: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match read {
        Err(problem) if problem.is_cancelled() => Err(problem),
        Err(problem) => {
            tracing::debug!(cause = %problem.cause, "what a plan frees can't be told exactly");
            Ok(None)
        }
        Ok(read) => Ok(Some(read)),
    }
}

/// Says what a plan frees, place by place.
pub(super) fn say(printer: &Printer, lines: &[Operation]) {
    for sum in sums(lines) {
        printer.say(format_args!("lighterman: {}", sum.words()));
    }
}
