//! What differs between two images, wherever they are: what their documents say at once, and what is in their layers once those are read.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::curation;
use super::layer_index::{self, Depth, Indexed};
use super::run::{Chunks, Env};
use super::scan;
use crate::curate::findings::difference::difference;
use crate::curate::{compare, packages};
use crate::flow::{JobOutput, Shared};
use crate::layer::compare::{Differs, Finished};
use crate::layer::{Member, NodeId, Tree};
use crate::model::comparison::{Changed, ComparedFile, Comparison, FileChange, Section};
use crate::model::{FindingKind, Foreign, Image, ImageKey, Inventory, Problem, ProblemKind, Safe, Scan, SourceId};
use crate::scan::inventory::{self, Wanted};
use crate::source::{Ctx, Source, blocking};

const DOING: &str = "compare two images";
const REPORT: &str = "write the report";
const PACKAGES: &str = "read the packages";

/// An image whose layers were read.
#[derive(Clone, Copy)]
pub struct Read<'a> {
    pub source: &'a dyn Source,
    pub image: &'a Image,
    pub layers: &'a [Indexed],
    /// What is wrong with it, and what is installed in it, where that was looked at.
    pub scan: Option<&'a Scan>,
}

impl std::fmt::Debug for Read<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("image", &self.image.id).finish_non_exhaustive()
    }
}

/// What the documents of two images say of their difference.
#[must_use]
pub fn documents(before: &Image, after: &Image) -> Comparison {
    Comparison { config: compare::config(before, after), layers: compare::layers(before, after), ..Comparison::default() }
}

/// What differs between two images, and why some of it is not known.
///
/// # Errors
/// The wish to stop; layers that are more than can be held.
pub async fn all(ctx: &Ctx, before: Read<'_>, after: Read<'_>) -> Result<(Comparison, Vec<Problem>), Problem> {
    let mut found = documents(before.image, after.image);
    let mut problems: Vec<Problem> = before.layers.iter().chain(after.layers).filter_map(|layer| layer.problem.clone()).collect();
    // Of a part of an image nobody can say what is missing in it.
    if !problems.is_empty() {
        return Ok((found, problems));
    }
    ctx.meter.phase("comparing the files");
    let indexes = |read: &Read<'_>| read.layers.iter().map(|layer| Arc::clone(&layer.index)).collect::<Vec<_>>();
    let (one, other) = (indexes(&before), indexes(&after));
    let (files, lists) = blocking(DOING, move || {
        let (one, other) = (Tree::new(one)?, Tree::new(other)?);
        let (ours, theirs) = (Finished::new(&one), Finished::new(&other));
        let pairs = crate::layer::compare::compare(&ours, &theirs);
        let files = pairs.into_iter().map(|pair| file_change(&ours, &theirs, pair)).collect();
        Ok((files, [inventory::wanted(&ours), inventory::wanted(&theirs)]))
    })
    .await?;
    found.files = Some(files);
    found.packages = packages_of(ctx, [before, after], lists, &mut problems).await?;
    found.findings = match (before.scan, after.scan) {
        (Some(ours), Some(theirs)) => {
            let both: BTreeSet<FindingKind> = looked_for(ours).intersection(&looked_for(theirs)).copied().collect();
            let mut changes = difference(&ours.findings, &theirs.findings);
            // What nobody looked for in one of them is no difference.
            changes.retain(|change| both.contains(&change.finding.kind));
            found.not_compared = FindingKind::ALL.into_iter().filter(|kind| !both.contains(kind)).collect();
            Some(changes)
        }
        _ => None,
    };
    Ok((found, problems))
}

fn looked_for(scan: &Scan) -> BTreeSet<FindingKind> {
    scan.reports.iter().flat_map(|report| report.looked_for.iter().copied()).collect()
}

async fn packages_of(
    ctx: &Ctx,
    reads: [Read<'_>; 2],
    lists: [Wanted; 2],
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<crate::model::PackageChange>>, Problem> {
    let (mut known, mut reader): (Vec<Inventory>, _) = (Vec::with_capacity(2), inventory::Reader::default());
    for (read, wanted) in reads.into_iter().zip(lists) {
        let read = match read.scan.and_then(|scan| scan.inventory.clone()) {
            Some(known) => Ok(known),
            None => reader.read(read.source, ctx, read.image, wanted).await,
        };
        match read {
            Ok(read) => {
                problems.extend(skipped(&read));
                known.push(read);
            }
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => problems.push(problem),
        }
    }
    match <[Inventory; 2]>::try_from(known) {
        // Where nothing lists any, nobody knows what was put in.
        Ok([before, after]) if before.lists + after.lists > 0 => {
            blocking(DOING, move || Ok(Some(packages::compare(&before.packages, &after.packages)))).await
        }
        _ => Ok(None),
    }
}

/// What is not known of packages, and why.
fn skipped(inventory: &Inventory) -> Vec<Problem> {
    let mut told: Vec<Problem> = inventory
        .skipped
        .iter()
        .map(|one| Problem::new(ProblemKind::Limit, format!("{PACKAGES} in {}", one.place.path.safe()), one.why.as_str()))
        .collect();
    let more = inventory.skipped_count.saturating_sub(told.len());
    if more > 0 {
        told.push(Problem::new(ProblemKind::Limit, PACKAGES, format!("{more} more files were left out")));
    }
    told
}

fn file_change(before: &Finished<'_>, after: &Finished<'_>, pair: Differs) -> FileChange {
    let path = match (pair.before, pair.after) {
        (Some(id), _) => before.tree.path(id),
        (None, id) => after.tree.path(id.unwrap_or(NodeId::ROOT)),
    };
    FileChange {
        path: Foreign::lossy(&path),
        change: Changed::between(pair.before.is_some(), pair.after.is_some()),
        before: pair.before.map(|id| file(before, id)),
        after: pair.after.map(|id| file(after, id)),
    }
}

fn file(side: &Finished<'_>, id: NodeId) -> ComparedFile {
    let member = side.member(id);
    let member = member.as_ref();
    ComparedFile {
        kind: member.map_or("dir", |member| member.kind().word()),
        size: member.map_or(0, Member::size),
        mode: member.and_then(Member::octal_mode),
        link: member.and_then(Member::link).map(Foreign::lossy),
    }
}

/// Compares two images of the deck: tells first what their documents say.
///
/// # Errors
/// What the sources said, where they don't answer; the wish to stop.
pub(super) async fn run(env: &Env, [before, after]: &[(SourceId, ImageKey); 2], ctx: &Ctx, chunks: &Chunks) -> Result<JobOutput, Problem> {
    ctx.meter.phase("looking at the images");
    let (one, other) = (env.table.get(&before.0).await?, env.table.get(&after.0).await?);
    let (ours, theirs) = (one.inspect(ctx, &before.1).await?, other.inspect(ctx, &after.1).await?);
    chunks.send(JobOutput::Compared(Arc::new(documents(&ours, &theirs)), Vec::new())).await;
    let mut read = Vec::with_capacity(2);
    for (source, image) in [(&one, &ours), (&other, &theirs)] {
        let scan = scan::alone(source.as_ref(), image, &env.scanning, &env.layers, ctx).await?;
        let all: Vec<usize> = (0..image.layers.as_ref().map_or(0, Vec::len)).collect();
        read.push((scan, layer_index::read(source.as_ref(), ctx, &env.layers, image, &all, Depth::Whole, None).await?));
    }
    let [first, second] = read.as_slice() else { return Ok(JobOutput::Told) };
    let ours = Read { source: one.as_ref(), image: &ours, layers: &first.1, scan: Some(&first.0) };
    let theirs = Read { source: other.as_ref(), image: &theirs, layers: &second.1, scan: Some(&second.0) };
    let (found, problems) = all(ctx, ours, theirs).await?;
    Ok(JobOutput::Compared(Arc::new(found), problems))
}

/// Finds the rows that have these parts in their names.
///
/// # Errors
/// None that a caller could cause.
pub(super) async fn sift(env: &Env, found: Shared<Comparison>, section: Section, filter: String) -> Result<JobOutput, Problem> {
    // Nobody closes it, so it is only waited for; what was replaced meanwhile never begins.
    let turn = Arc::clone(&env.looking).acquire_owned().await.ok();
    blocking("find what differs", move || {
        let _turn = turn;
        Ok(JobOutput::Sifted(compare::sift(&found, section, &filter)))
    })
    .await
}

/// Writes what differs; a file that is there is left alone.
///
/// # Errors
/// A file that is there or can't be written.
pub(super) async fn save(found: Shared<Comparison>, names: Box<[Safe; 2]>, file: PathBuf) -> Result<JobOutput, Problem> {
    let json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = blocking(REPORT, move || {
        let [before, after] = &*names;
        if !json {
            return Ok(compare::markdown(&found, before, after));
        }
        let text = serde_json::to_string_pretty(&*found);
        text.map(|text| text + "\n").map_err(|error| Problem::new(ProblemKind::Other, REPORT, error.to_string()))
    });
    curation::save_text(REPORT, text.await?, file).await
}
