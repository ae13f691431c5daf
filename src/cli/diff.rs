//! `diff`: what differs between two images, wherever they are: settings, layers, files, packages.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::files::{Look, kind, look, text};
use super::layer_args::DiffArgs;
use super::print::{Align, Printer, Table, or_dash};
use super::session::Session;
use super::{Tally, Verdict};
use crate::curate::compare::{self, ConfigChange, LayerChange, Side};
use crate::curate::packages::{self, PackageChange, Packages};
use crate::layer::compare::{Differs, Finished};
use crate::layer::{ContentHash, Kind, Member, NodeId};
use crate::model::{Foreign, Problem, ProblemKind, Safe, size};
use crate::source::{Ctx, Part, read_parts};

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
        looks.push(look(session, reference, args.platform.as_ref(), None).await?);
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
    let mut known = Vec::with_capacity(2);
    for (look, side) in [(before, &ours), (after, &theirs)] {
        let read = session.run("read the packages", |ctx| Box::pin(async move { packages_of(&ctx, look, side).await })).await;
        known.push(read.or_else(|problem| {
            if problem.is_cancelled() {
                return Err(problem);
            }
            tally.failed(&problem, &session.printer);
            Ok(None)
        })?);
    }
    let packages = match known.as_slice() {
        [Some(before), Some(after)] => Some(packages::compare(before, after)),
        _ => None,
    };
    Ok((Some(files), packages))
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

/// The installed packages; `None` where no list of them is known.
async fn packages_of(ctx: &Ctx, look: &Look, side: &Finished<'_>) -> Result<Option<Packages>, Problem> {
    type Reads = fn(&[u8], &mut Packages);
    let mut lists: Vec<(NodeId, Reads)> = Vec::new();
    let whole: [(&str, Reads); 3] =
        [(packages::DPKG, packages::dpkg), (packages::APK, packages::apk), (packages::APK_MOVED, packages::apk)];
    for (path, reads) in whole {
        lists.extend(side.tree.find(path.as_bytes()).map(|id| (id, reads)));
    }
    if let Some(dir) = side.tree.find(packages::DPKG_PARTS.as_bytes()) {
        let is_list = |id: &NodeId| !side.tree.name(*id).ends_with(b".md5sums");
        lists.extend(side.tree.children(dir).filter(is_list).map(|id| (id, packages::dpkg as Reads)));
    }
    let mut by_layer: BTreeMap<usize, Vec<(Part, ContentHash, Reads)>> = BTreeMap::new();
    for (id, reads) in lists.into_iter().filter(|(id, _)| side.has(*id)) {
        let Some(((layer, _), member)) = side.origin(id).zip(side.member(id)) else { continue };
        if let (Kind::File, Some(content)) = (member.kind(), member.content()) {
            let part = Part { offset: member.offset(), length: member.size() };
            by_layer.entry(layer).or_default().push((part, content, reads));
        }
    }
    if by_layer.is_empty() {
        return Ok(None);
    }
    let mut found = Packages::new();
    for (layer, wanted) in by_layer {
        let parts: Vec<Part> = wanted.iter().map(|(part, ..)| *part).collect();
        let read = read_parts(look.place.source.as_ref(), ctx, &look.image, layer, &parts).await?;
        for (bytes, (_, content, reads)) in read.iter().zip(&wanted) {
            if ContentHash::of(bytes) != *content {
                let doing = format!("read the packages in layer {layer}");
                return Err(Problem::new(ProblemKind::Corrupt, doing, "it is not what it was when the layer was read"));
            }
            reads(bytes, &mut found);
        }
    }
    Ok(Some(found))
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
    part("Packages of dpkg and apk", table, packages.is_some());
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
    let mut table = Table::new(&[("PACKAGE", Left), ("BEFORE", Left), ("AFTER", Left)]).indented(2);
    let version = |version: &Option<String>| or_dash(version.as_ref().map(|text| Safe::new(text)));
    for one in packages {
        table.row(vec![Safe::new(&one.name), version(&one.before), version(&one.after)]);
    }
    table
}
