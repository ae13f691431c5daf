//! `diff`: what differs between two images, wherever they are: settings, layers, files, packages.

use serde::Serialize;
use serde_json::Value;

use super::files::{Look, kind, look, text};
use super::layer_args::DiffArgs;
use super::print::{Align, Printer, Table, or_dash};
use super::session::Session;
use super::{Tally, Verdict};
use crate::curate::compare::{self, ConfigChange, LayerChange, Side};
use crate::curate::packages;
use crate::layer::compare::{Differs, Finished};
use crate::layer::{Member, NodeId};
use crate::model::{Foreign, Inventory, PackageChange, Problem, ProblemKind, Safe, size};
use crate::scan::inventory;
use crate::work::layer_index::Depth;

const PACKAGES: &str = "read the packages";

/// What `--json` prints; `None` is not known.
#[derive(Debug, Serialize)]
struct Difference {
    config: Vec<ConfigChange>,
    layers: Vec<LayerChange>,
    files: Option<Vec<FileChange>>,
    packages: Option<Vec<PackageChange>>,
    /// Nothing looks for findings in both images yet.
    findings: Option<Vec<Value>>,
}

#[derive(Debug, Serialize)]
struct FileChange {
    path: Foreign,
    /// `added`, `modified` or `removed`.
    change: &'static str,
    before: Option<File>,
    after: Option<File>,
}

#[derive(Debug, Serialize)]
struct File {
    kind: &'static str,
    size: u64,
    mode: Option<String>,
    link: Option<Foreign>,
}

pub(super) async fn run(session: &Session, args: &DiffArgs) -> Verdict {
    let mut looks = Vec::with_capacity(2);
    for reference in [&args.before, &args.after] {
        looks.push(look(session, reference, args.platform.as_ref(), None, Depth::Whole).await?);
    }
    let [before, after] = looks.as_slice() else {
        return Err(Problem::new(ProblemKind::Other, "compare two images", "one of them is missing"));
    };
    let mut tally = Tally { done: 1, failed: None };
    for problem in before.problems().chain(after.problems()) {
        tally.failed(problem, &session.printer);
    }
    // Of a part of an image nobody can say what is missing in it.
    let whole = before.problems().chain(after.problems()).next().is_none();
    let (files, packages) = if whole { contents(session, before, after, &mut tally).await? } else { (None, None) };
    let difference = Difference {
        config: compare::config(&before.image, &after.image),
        layers: compare::layers(&before.image, &after.image),
        files,
        packages,
        findings: None,
    };
    if session.printer.json {
        session.printer.document(&difference)?;
    } else {
        session.printer.text(&words(&difference, &session.printer))?;
    }
    Ok(tally.verdict())
}

type Contents = (Option<Vec<FileChange>>, Option<Vec<PackageChange>>);

async fn contents(session: &Session, before: &Look, after: &Look, tally: &mut Tally) -> Result<Contents, Problem> {
    let (one, other) = (before.tree()?, after.tree()?);
    let (ours, theirs) = (Finished::new(&one), Finished::new(&other));
    let found = crate::layer::compare::compare(&ours, &theirs);
    let files = found.into_iter().map(|pair| file_change(&ours, &theirs, pair)).collect();
    let (mut known, mut reader) = (Vec::with_capacity(2), inventory::Reader::default());
    for (look, side) in [(before, &ours), (after, &theirs)] {
        let (source, reader) = (look.place.source.as_ref(), &mut reader);
        let read = session
            .run(PACKAGES, |ctx| Box::pin(async move { reader.read(source, &ctx, &look.image, inventory::wanted(side)).await }))
            .await;
        match read {
            Ok(read) => {
                for problem in skipped(&read) {
                    tally.failed(&problem, &session.printer);
                }
                known.push(read);
            }
            Err(problem) if problem.is_cancelled() => return Err(problem),
            Err(problem) => tally.failed(&problem, &session.printer),
        }
    }
    let packages = match known.as_slice() {
        // Where nothing lists any, nobody knows what was put in.
        [before, after] if before.lists + after.lists > 0 => Some(packages::compare(&before.packages, &after.packages)),
        _ => None,
    };
    Ok((Some(files), packages))
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
        path: text(&path),
        change: match (pair.before, pair.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "modified",
        },
        before: pair.before.map(|id| file(before, id)),
        after: pair.after.map(|id| file(after, id)),
    }
}

fn file(side: &Finished<'_>, id: NodeId) -> File {
    let member = side.member(id);
    let member = member.as_ref();
    File {
        kind: member.map_or("dir", kind),
        size: member.map_or(0, Member::size),
        mode: member.and_then(Member::mode).map(|mode| format!("{:04o}", mode & 0o7777)),
        link: member.and_then(Member::link).map(text),
    }
}

fn words(found: &Difference, printer: &Printer) -> String {
    use Align::{Left, Right};
    let mut out = String::new();
    let mut part = |name: &str, table: Option<Table>, known: bool| {
        out.push_str(&printer.heading(&Safe::new(name)));
        out.push_str(&match table {
            Some(table) => table.render(false),
            None if known => "  no difference\n".to_owned(),
            None => "  not known\n".to_owned(),
        });
    };
    let mut table = Table::new(&[("", Left), ("BEFORE", Left), ("AFTER", Left)]).indented(2);
    let value = |value: &Option<Value>| or_dash(value.as_ref().map(|value| Safe::from(value.to_string())));
    for change in &found.config {
        table.row(vec![Safe::new(&change.field), value(&change.before), value(&change.after)]);
    }
    part("Configuration", (!found.config.is_empty()).then_some(table), true);
    let mut table = Table::new(&[("", Left), ("SIZE", Right), ("LAYER", Left), ("CREATED BY", Left)]).indented(2);
    for layer in &found.layers {
        let sign = match layer.change {
            Side::Shared => "=",
            Side::Removed => "-",
            Side::Added => "+",
        };
        table.row(vec![
            sign.into(),
            or_dash(layer.size.map(|bytes| size::human(bytes).into())),
            or_dash(layer.diff_id.as_ref().map(|id| id.short().into())),
            or_dash(layer.created_by.as_ref().map(Foreign::safe)),
        ]);
    }
    part("Layers", (!found.layers.is_empty()).then_some(table), true);
    let files = found.files.as_ref();
    part("Files", files.filter(|files| !files.is_empty()).map(|files| files_table(files)), files.is_some());
    let packages = found.packages.as_ref();
    let table = packages.filter(|packages| !packages.is_empty()).map(|packages| packages_table(packages));
    part("Packages", table, packages.is_some());
    out
}

fn files_table(files: &[FileChange]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("", Left), ("BEFORE", Right), ("AFTER", Right), ("PATH", Left)]).indented(2);
    let told = |file: &Option<File>| {
        or_dash(file.as_ref().map(|file| if file.kind == "file" { size::human(file.size) } else { file.kind.to_owned() }.into()))
    };
    for file in files {
        let sign = match file.change {
            "added" => "+",
            "removed" => "-",
            _ => "~",
        };
        table.row(vec![sign.into(), told(&file.before), told(&file.after), file.path.safe()]);
    }
    table
}

fn packages_table(packages: &[PackageChange]) -> Table {
    use Align::Left;
    let mut table = Table::new(&[("PACKAGE", Left), ("TYPE", Left), ("BEFORE", Left), ("AFTER", Left)]).indented(2);
    let version = |version: &Option<Foreign>| or_dash(version.as_ref().map(Foreign::safe));
    for one in packages {
        table.row(vec![one.name.safe(), one.kind.name().into(), version(&one.before), version(&one.after)]);
    }
    table
}
