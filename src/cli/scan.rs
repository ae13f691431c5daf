//! `scan`: what is wrong with an image, by our own scanner, others that are here, and reports that are there already.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::inspect::one_image;
use super::print::{Align, Table, or_dash};
use super::session::Session;
use super::{Done, Verdict};
use crate::curate::findings::sarif;
use crate::model::finding_filter::FindingFilter;
use crate::model::findings::{Look, Reach};
use crate::model::{Finding, Platform, Problem, ProblemKind, Report, Safe, Scan, Severity, Summary};
use crate::scan::tool::Tool;
use crate::shell::scanning::scanning;
use crate::source::blocking;
use crate::work::findings;
use crate::work::gists::Gists;
use crate::work::scan::{Asked, Scanning, look};
use crate::work::told::Told;

#[derive(Debug, Args)]
#[command(
    long_about = "Say what is wrong with an image\n\nNothing else needs to be installed: settings and build steps, sensitive files and secrets in any layer, and packages against the advisories that `lighterman db` keeps here. Reports of other scanners are put together with that.\n\nExit code 4 says that something is at least as severe as --fail-on."
)]
pub(super) struct ScanArgs {
    /// The image; one in a registry is read without being pulled
    #[arg(value_name = "REF", value_hint = ValueHint::AnyPath, required_unless_present = "import")]
    reference: Option<String>,

    /// A report of another scanner, or a VEX document, to put together with the rest; alone, to show; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    import: Vec<PathBuf>,

    /// End with 4 when a finding that is not ignored is at least as severe
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Level>,

    /// Only findings that this lets through, as in the deck: "severity:high fixable", "kind:secret", words; --fail-on goes by these too
    #[arg(long, value_name = "FILTER", value_parser = FindingFilter::parse)]
    filter: Option<FindingFilter>,

    /// Only these scanners, instead of those of the configuration; may be repeated
    #[arg(long, value_name = "NAME", value_parser = crate::shell::config::SCANNERS)]
    scanner: Vec<String>,

    /// Have the registry's own scanner look first, and wait for it, where it is a Harbor
    #[arg(long, requires = "reference")]
    start: bool,

    /// How findings are printed
    #[arg(long, value_name = "FORMAT", default_value = "table", conflicts_with = "json")]
    format: Form,

    /// A file of what doesn't count, in the shape of .trivyignore or .trivyignore.yaml, besides your own; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ignore_file: Vec<PathBuf>,

    /// Print what is ignored too
    #[arg(long)]
    show_ignored: bool,

    /// Of a multi-platform image, this one: os/architecture[/variant]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Sarif,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Critical,
    High,
    Medium,
    Low,
    Negligible,
    Unknown,
}

impl Level {
    const fn severity(self) -> Severity {
        match self {
            Self::Critical => Severity::Critical,
            Self::High => Severity::High,
            Self::Medium => Severity::Medium,
            Self::Low => Severity::Low,
            Self::Negligible => Severity::Negligible,
            Self::Unknown => Severity::Unknown,
        }
    }
}

pub(super) async fn run(session: &Session, args: &ScanArgs) -> Verdict {
    let scan = match &args.reference {
        Some(reference) => scanned(session, args, reference).await?,
        None => imported(session, args).await?,
    };
    for problem in &scan.problems {
        session.printer.problem(problem);
    }
    let view = Look { filter: args.filter.clone().unwrap_or_default(), ignored: true, ..Look::default() };
    let mut report = findings::report(&scan, &view, args.reference.as_deref().unwrap_or_default());
    if args.reference.is_none()
        && let Some(first) = scan.reports.first()
    {
        report.image = first.image.clone();
    }
    let fails = args.fail_on.is_some_and(|level| at_least(&report.findings, level.severity()));
    print(session, args, &report)?;
    Ok(match (fails, scan.problems.is_empty()) {
        (true, _) => Done::Found,
        (false, true) => Done::All,
        (false, false) => Done::Part,
    })
}

/// Looks at the image itself.
async fn scanned(session: &Session, args: &ScanArgs, reference: &str) -> Result<Scan, Problem> {
    let place = session.place(reference).await?;
    let (place, layers, mut scanning) = (&place, &session.layer_cache(), session.scanning());
    scanning.ignores.extend(args.ignore_file.iter().cloned());
    if !args.scanner.is_empty() {
        let is_asked = |name: &str| args.scanner.iter().any(|asked| asked == name);
        scanning.builtin = is_asked("builtin");
        scanning.tools = Tool::ALL.into_iter().filter(|tool| is_asked(tool.program())).collect();
        scanning.beside = is_asked("registry");
        scanning.named = true;
    }
    scanning.start = args.start;
    scanning.beside |= args.start;
    let (scanning, gists) = (&scanning, &Gists::new(session.paths.gists()));
    let work = |ctx: crate::source::Ctx| {
        Box::pin(async move {
            let image = one_image(place, &ctx, args.platform.as_ref()).await?;
            let source = place.source.as_ref();
            let asked =
                Asked { name: reference, source, image: &image, reach: Reach::Whole, imports: &args.import, scanning, layers, gists };
            look(asked, &ctx, None).await
        })
    };
    session.run("look what is wrong with the image", work).await
}

/// Reads reports alone.
async fn imported(session: &Session, args: &ScanArgs) -> Result<Scan, Problem> {
    let Scanning { ignore, mut ignores, .. } = session.scanning();
    ignores.extend(args.ignore_file.iter().cloned());
    let imports = args.import.clone();
    blocking("read the reports", move || {
        let mut told = Told::default();
        for file in &imports {
            told.import(file, &[]);
        }
        for file in ignore.iter().chain(&ignores) {
            told.ignore(file);
        }
        match told.problems.first() {
            // Of nothing nobody can say that it is fine.
            Some(problem) if told.reports.is_empty() => Err(problem.clone()),
            _ if told.reports.is_empty() => {
                Err(Problem::new(ProblemKind::Usage, "read the reports", "they say what doesn't count, and find nothing"))
            }
            _ => Ok(told.scan(&[], Reach::Whole)),
        }
    })
    .await
}

fn at_least(findings: &[Finding], severity: Severity) -> bool {
    findings.iter().any(|finding| finding.suppressed.is_none() && finding.severity >= severity)
}

fn print(session: &Session, args: &ScanArgs, report: &Report) -> Result<(), Problem> {
    match args.format {
        Form::Sarif => session.printer.document(&sarif::sarif(report)),
        Form::Json => session.printer.document(report),
        Form::Table if session.printer.json => session.printer.document(report),
        Form::Table => {
            session.printer.table(&table(&report.findings, args.show_ignored))?;
            session.printer.text(&words(report))
        }
    }
}

fn table(findings: &[Finding], ignored: bool) -> Table {
    use Align::Left;
    let mut table = Table::new(&[("SEVERITY", Left), ("KIND", Left), ("ID", Left), ("IN", Left), ("FIXED IN", Left), ("WHAT", Left)]);
    for finding in findings.iter().filter(|finding| ignored || finding.suppressed.is_none()) {
        let fixed = finding.fixed_versions.iter().map(|version| version.safe().to_string()).collect::<Vec<_>>().join(", ");
        let mark = if finding.suppressed.is_some() { " (ignored)" } else { "" };
        table.row(vec![
            Safe::from(format!("{}{mark}", finding.severity.word())),
            finding.kind.word().into(),
            finding.id.safe(),
            or_dash(finding.place()),
            or_dash(Some(fixed.into())),
            what(finding),
        ]);
    }
    table
}

fn what(finding: &Finding) -> Safe {
    match &finding.evidence {
        Some(evidence) if !finding.title.is_empty() => Safe::from(format!("{}: {}", finding.title.safe(), evidence.as_str())),
        Some(evidence) => Safe::new(evidence.as_str()),
        None => finding.title.safe(),
    }
}

/// What it all comes to, and what was not looked for.
fn words(report: &Report) -> String {
    let Summary { total, ids, packages, fixable, suppressed, .. } = report.summary();
    let mut out = format!("\n{total} findings, {ids} ids, {packages} packages, {fixable} fixable, {suppressed} ignored\n");
    for one in &report.not_looked_for {
        _ = writeln!(out, "not looked for: {}, {}", one.what, one.why);
    }
    out
}

impl Session {
    /// What images are looked at by.
    pub(super) fn scanning(&self) -> Scanning {
        scanning(&self.config.scan, &self.paths)
    }
}
