//! `files`: what is in an image, or in one of its layers.

use std::sync::Arc;

use serde::Serialize;

use super::inspect::one_image;
use super::layer_args::FilesArgs;
use super::print::{Align, Table};
use super::session::Session;
use super::{Tally, Verdict};
use crate::layer::tree::{Change, Scope};
use crate::layer::{Member, NodeId, Tree, View};
use crate::model::{Foreign, Platform, Problem, ProblemKind, Safe, size};
use crate::work::layer_index::{self, Depth, Indexed};

/// A file as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    /// Without a slash before it.
    path: Foreign,
    kind: &'static str,
    size: u64,
    /// In octal, as `0755`; `None` where the layer doesn't say.
    mode: Option<String>,
    link: Option<Foreign>,
    /// The layer it is of, from the bottom.
    layer: usize,
    /// Only of one layer: `added`, `modified` or `removed`.
    change: Option<&'static str>,
}

/// An image whose layers were read.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) layers: Vec<Indexed>,
}

impl Look {
    /// Why layers are not known whole.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.layers.iter().filter_map(|layer| layer.problem.as_ref())
    }

    pub(super) fn tree(&self) -> Result<Tree, Problem> {
        Tree::new(self.layers.iter().map(|layer| Arc::clone(&layer.index)).collect())
    }
}

pub(super) async fn run(session: &Session, args: &FilesArgs) -> Verdict {
    let look = look(session, &args.reference, args.platform.as_ref(), args.layer, Depth::Contents).await?;
    let mut tally = Tally::default();
    for layer in look.layers.iter().filter(|layer| layer.index.pieces().is_some()) {
        session.printer.say(format_args!("layer {}: by its own table of contents, not read and verified as a whole", layer.layer));
    }
    for problem in look.problems() {
        tally.failed(problem, &session.printer);
    }
    let rows = rows(&look.tree()?, args.layer);
    tally.done = rows.len();
    if session.printer.json {
        session.printer.document(&rows)?;
    } else {
        session.printer.table(&table(&rows))?;
    }
    Ok(tally.verdict())
}

/// Reads the layers of an image from the lowest up to `highest`, or all of them.
pub(super) async fn look(
    session: &Session,
    reference: &str,
    platform: Option<&Platform>,
    highest: Option<usize>,
    depth: Depth,
) -> Result<Look, Problem> {
    let place = session.place(reference).await?;
    let (place, cache) = (&place, &session.layer_cache());
    let layers = session
        .run("read the layers", |ctx| {
            Box::pin(async move {
                let image = one_image(place, &ctx, platform).await?;
                let count = image.layers.as_ref().map_or(0, Vec::len);
                let end = match highest {
                    None => count,
                    Some(layer) if layer < count => layer + 1,
                    Some(layer) => return Err(no_layer(reference, layer, count)),
                };
                let wanted: Vec<usize> = (0..end).collect();
                let layers = layer_index::read(place.source.as_ref(), &ctx, cache, &image, &wanted, depth, None).await?;
                Ok(layers)
            })
        })
        .await?;
    Ok(Look { layers })
}

fn no_layer(reference: &str, layer: usize, count: usize) -> Problem {
    let problem = Problem::new(ProblemKind::Usage, format!("list the files of layer {layer} of {reference}"), "there is no such layer");
    problem.hint(match count {
        0 => "it has none".to_owned(),
        count => format!("its layers are 0 to {}", count - 1),
    })
}

/// What is there in the end, or what one layer does; by path.
fn rows(tree: &Tree, layer: Option<usize>) -> Vec<Row> {
    let scope = layer.map_or_else(|| Scope::Merged(tree.layers().len().saturating_sub(1)), Scope::Layer);
    let view = View::new(tree, scope);
    let of_interest = |id: &NodeId| match layer {
        None => view.change(*id) != Some(Change::Removed),
        Some(_) => view.change(*id).is_some(),
    };
    view.all(tree).filter(of_interest).map(|id| row(tree, &view, id, layer)).collect()
}

fn row(tree: &Tree, view: &View, id: NodeId, layer: Option<usize>) -> Row {
    let member = view.member(tree, id);
    let change = view.change(id).filter(|_| layer.is_some()).map(|change| match change {
        Change::Added => "added",
        // Written again just as it was, it takes its bytes again.
        Change::Modified | Change::Repeated => "modified",
        Change::Removed => "removed",
    });
    Row {
        path: Foreign::lossy(&tree.path(id)),
        kind: member.as_ref().map_or("dir", |member| member.kind().word()),
        size: member.as_ref().map_or(0, Member::size),
        mode: member.as_ref().and_then(Member::octal_mode),
        link: member.as_ref().and_then(Member::link).map(Foreign::lossy),
        layer: layer.or_else(|| view.origin(tree, id).map(|(layer, _)| layer)).unwrap_or_else(|| first_seen(tree, id)),
        change,
    }
}

/// The layer that made a directory which none tells of.
fn first_seen(tree: &Tree, id: NodeId) -> usize {
    tree.history(id).last().map_or(0, |step| step.layer)
}

fn table(rows: &[Row]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("", Left), ("MODE", Right), ("SIZE", Right), ("LAYER", Right), ("PATH", Left)]);
    for row in rows {
        let sign = match row.change {
            Some("added") => "+",
            Some("modified") => "~",
            Some("removed") => "-",
            _ => "",
        };
        table.row(vec![
            sign.into(),
            format!("{}{}", letter(row.kind), row.mode.as_deref().unwrap_or("?")).into(),
            if row.kind == "dir" { "".into() } else { size::human(row.size).into() },
            row.layer.to_string().into(),
            named(row),
        ]);
    }
    table
}

fn named(row: &Row) -> Safe {
    let path = row.path.raw();
    match (&row.link, row.kind) {
        (Some(link), "symlink") => Safe::new(&format!("{path} -> {}", link.raw())),
        (Some(link), _) => Safe::new(&format!("{path} = {}", link.raw())),
        (None, "dir") => Safe::new(&format!("{path}/")),
        (None, _) => Safe::new(path),
    }
}

/// As `ls -l` begins a line.
fn letter(kind: &str) -> char {
    match kind {
        "dir" => 'd',
        "symlink" => 'l',
        "char" => 'c',
        "block" => 'b',
        "fifo" => 'p',
        _ => '-',
    }
}
