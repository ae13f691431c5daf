//! `diff`: what differs between two images, wherever they are: settings, layers, files, packages, findings.

use super::inspect::one_image;
use super::layer_args::DiffArgs;
use super::print::{Align, Printer, Table, or_dash};
use super::session::{Place, Session};
use super::{Tally, Verdict};
use crate::curate::compare;
use crate::model::comparison::{Comparison, FileChange, FindingChange};
use crate::model::{Foreign, Image, PackageChange, Problem, Safe, Scan, size};
use crate::source::Ctx;
use crate::work::compare::{Read, all};
use crate::work::layer_index::{self, Depth, Indexed};
use crate::work::scan::alone;

/// An image with all that was read of it.
struct Side {
    place: Place,
    image: Image,
    scan: Scan,
    layers: Vec<Indexed>,
}

impl Side {
    fn read(&self) -> Read<'_> {
        Read { source: self.place.source.as_ref(), image: &self.image, layers: &self.layers, scan: Some(&self.scan) }
    }
}

/// Reads each layer of an image once: for what it holds and for what is wrong with it.
async fn side(session: &Session, reference: &str, args: &DiffArgs) -> Result<Side, Problem> {
    let place = session.place(reference).await?;
    let (at, cache, scanning) = (&place, &session.layer_cache(), &session.scanning());
    let work = |ctx: Ctx| {
        Box::pin(async move {
            let image = one_image(at, &ctx, args.platform.as_ref()).await?;
            let scan = alone(at.source.as_ref(), &image, scanning, cache, &ctx).await?;
            let all: Vec<usize> = (0..image.layers.as_ref().map_or(0, Vec::len)).collect();
            let layers = layer_index::read(at.source.as_ref(), &ctx, cache, &image, &all, Depth::Whole, None).await?;
            Ok((image, scan, layers))
        })
    };
    let (image, scan, layers) = session.run("read the layers", work).await?;
    Ok(Side { place, image, scan, layers })
}

pub(super) async fn run(session: &Session, args: &DiffArgs) -> Verdict {
    let (before, after) = (side(session, &args.before, args).await?, side(session, &args.after, args).await?);
    let (ours, theirs) = (before.read(), after.read());
    let found = session.run("compare two images", |ctx| Box::pin(async move { all(&ctx, ours, theirs).await })).await;
    let (found, problems) = found?;
    let mut tally = Tally { done: 1, failed: None };
    for problem in &problems {
        tally.failed(problem, &session.printer);
    }
    if session.printer.json {
        session.printer.document(&found)?;
    } else if args.markdown {
        session.printer.text(&compare::markdown(&found, &Safe::new(&args.before), &Safe::new(&args.after)))?;
    } else {
        session.printer.text(&words(&found, &session.printer))?;
    }
    Ok(tally.verdict())
}

fn words(found: &Comparison, printer: &Printer) -> String {
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
    for change in &found.config {
        table.row(vec![Safe::new(&change.field), compare::value(change.before.as_ref()), compare::value(change.after.as_ref())]);
    }
    part("Configuration", (!found.config.is_empty()).then_some(table), true);
    let mut table = Table::new(&[("", Left), ("SIZE", Right), ("LAYER", Left), ("CREATED BY", Left)]).indented(2);
    for layer in &found.layers {
        table.row(vec![
            layer.change.sign().into(),
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
    let findings = found.findings.as_ref();
    let table = findings.filter(|findings| !findings.is_empty()).map(|findings| findings_table(findings));
    part("Findings", table, findings.is_some());
    if let Some(words) = compare::not_compared(found) {
        out.push_str("  ");
        out.push_str(&words);
        out.push('\n');
    }
    out
}

fn files_table(files: &[FileChange]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[("", Left), ("BEFORE", Right), ("AFTER", Right), ("PATH", Left)]).indented(2);
    for one in files {
        let (before, after) = (compare::file(one.before.as_ref()), compare::file(one.after.as_ref()));
        table.row(vec![one.change.sign().into(), before, after, one.path.safe()]);
    }
    table
}

fn findings_table(findings: &[FindingChange]) -> Table {
    use Align::Left;
    let mut table = Table::new(&[("", Left), ("FINDING", Left), ("WHAT", Left)]).indented(2);
    for one in findings {
        table.row(vec![one.change.sign().into(), compare::finding(one), one.finding.title.safe()]);
    }
    table
}

fn packages_table(packages: &[PackageChange]) -> Table {
    use Align::Left;
    let mut table = Table::new(&[("PACKAGE", Left), ("TYPE", Left), ("BEFORE", Left), ("AFTER", Left)]).indented(2);
    for one in packages {
        table.row(vec![
            one.name.safe(),
            one.kind.name().into(),
            compare::version(one.before.as_ref()),
            compare::version(one.after.as_ref()),
        ]);
    }
    table
}
