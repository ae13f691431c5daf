//! Looks what is wrong with an image: our own scanner, others that are here, reports that are there already, and what the user says doesn't count, put
//! together again and again while it comes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::clock;
use super::findings;
use super::gists::Gists;
use super::layer_cache::LayerCache;
use super::run::{Chunks, Env};
use crate::curate::findings::fold;
use crate::curate::findings::ignore::Ignores;
use crate::flow::{JobEvent, JobOutput, Msg, Shared};
use crate::model::findings::{Gist, Reach};
use crate::model::{Digest, Image, ImageKey, Inventory, Problem, ProblemKind, Report, Scan, SourceId, VexStatement};
use crate::scan::import::{self, Imported};
use crate::source::{Ctx, Source, blocking};

const LOOK: &str = "look what is wrong with the image";
const IMPORT: &str = "read the report";

/// What images are looked at by.
#[derive(Debug, Clone, Default)]
pub struct Scanning {
    /// The user's file of what doesn't count, whether it is there or not.
    pub ignore: Option<PathBuf>,
    /// More such files, that are there.
    pub ignores: Vec<PathBuf>,
}

/// What was said so far.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Our own first.
    pub reports: Vec<Report>,
    pub statements: Vec<VexStatement>,
    pub ignores: Vec<Ignores>,
    pub inventory: Option<Inventory>,
    pub problems: Vec<Problem>,
}

impl Told {
    /// All of it put together, for the image of these digests.
    #[must_use]
    pub fn scan(&self, image: &[Digest], reach: Reach) -> Scan {
        let mut findings = fold(self.reports.iter().flat_map(|report| report.findings.iter().cloned()));
        let today = clock::now().to_zoned(TimeZone::UTC).date();
        for ignores in &self.ignores {
            ignores.apply(&mut findings, today);
        }
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none()) {
            finding.suppressed = self.statements.iter().find_map(|statement| statement.suppresses(finding, image));
        }
        let heads = self.reports.iter().map(|report| Report { findings: Vec::new(), ..report.clone() });
        Scan { findings, reports: heads.collect(), inventory: self.inventory.clone(), problems: self.problems.clone(), reach }
    }

    /// Takes in what the user's file says doesn't count. Blocking.
    pub fn ignore(&mut self, file: &Path) {
        match findings::ignores(file) {
            Ok(ignores) => self.ignores.extend(ignores),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes in a report or VEX document. Blocking.
    pub fn import(&mut self, file: &Path, image: &[Digest]) {
        match read(file) {
            Ok(Imported::Report(report)) => {
                if !image.is_empty() && !report.digests.is_empty() && !report.digests.iter().any(|digest| image.contains(digest)) {
                    let doing = format!("match {} with the image", file.display());
                    let cause = format!("it is about another one: {}", report.image.safe());
                    self.problems.push(Problem::new(ProblemKind::Conflict, doing, cause));
                }
                self.reports.push(report);
            }
            Ok(Imported::Statements(statements)) => self.statements.extend(statements),
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// Reads a report from a file.
fn read(file: &Path) -> Result<Imported, Problem> {
    let disk = |error: &std::io::Error| Problem::disk(IMPORT, file, error);
    // A pipe would keep this waiting.
    if !std::fs::metadata(file).map_err(|error| disk(&error))?.is_file() {
        return Err(Problem::new(ProblemKind::Usage, format!("{IMPORT} {}", file.display()), "that is no file"));
    }
    let mut bytes = Vec::new();
    File::open(file).and_then(|opened| opened.take(import::LARGEST as u64 + 1).read_to_end(&mut bytes)).map_err(|error| disk(&error))?;
    import::import(&bytes).map_err(|mut problem| {
        problem.doing = format!("{} {}", problem.doing, file.display()).into();
        problem
    })
}

/// An image that is to be looked at, and by what.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// In the words of who asks.
    pub name: &'a str,
    pub source: &'a dyn Source,
    pub image: &'a Image,
    pub reach: Reach,
    /// Files with reports.
    pub imports: &'a [PathBuf],
    pub scanning: &'a Scanning,
    pub layers: &'a LayerCache,
    /// Where it is noted what it came to.
    pub gists: &'a Gists,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("name", &self.name).field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// Who is told of what is known on the way.
pub type Each = Arc<dyn Fn(Scan) + Send + Sync>;

/// Looks at an image as far as is asked for.
///
/// # Errors
/// The wish to stop. What else goes wrong is said in the scan.
pub async fn look(asked: Asked<'_>, ctx: &Ctx, each: Option<Each>) -> Result<Scan, Problem> {
    let image: Vec<Digest> = asked.image.digests().cloned().collect();
    let mut told = imported(asked, &image).await?;
    let _ = each;
    let scan = told.scan(&image, asked.reach);
    if scan.reach == Reach::Whole {
        let (gists, gist) = (asked.gists.clone(), Gist::of(&scan.findings, clock::now()));
        blocking(LOOK, move || {
            gists.note(&image, gist);
            Ok(())
        })
        .await?;
    }
    Ok(scan)
}

/// What is there already: reports in files, and what the user says doesn't count.
async fn imported(asked: Asked<'_>, image: &[Digest]) -> Result<Told, Problem> {
    let (imports, image) = (asked.imports.to_vec(), image.to_vec());
    let ignores: Vec<PathBuf> = asked.scanning.ignore.iter().chain(&asked.scanning.ignores).cloned().collect();
    blocking(IMPORT, move || {
        let mut told = Told::default();
        for file in &imports {
            told.import(file, &image);
        }
        for file in &ignores {
            told.ignore(file);
        }
        Ok(told)
    })
    .await
}

/// Looks at an image of the deck, and tells what is known again and again.
///
/// # Errors
/// A source that is not there; the wish to stop.
pub(super) async fn run(
    env: &Env,
    source: &SourceId,
    (key, image): (&ImageKey, &Image),
    reach: Reach,
    imports: Vec<PathBuf>,
    ctx: &Ctx,
    chunks: &Chunks,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let asked = Asked {
        name: &key.to_string(),
        source: source.as_ref(),
        image,
        reach,
        imports: &imports,
        scanning: &env.scanning,
        layers: &env.layers,
        gists: &env.gists,
    };
    let inbox = chunks.inbox.clone();
    let id = chunks.id;
    let each: Each = Arc::new(move |scan| {
        // What is lost to a full inbox comes again with the next, and all of it in the end.
        let _ = inbox.try_send(Msg::Job(id, JobEvent::Chunk(JobOutput::Scanned(Shared::new(scan)))));
    });
    Ok(JobOutput::Scanned(Shared::new(look(asked, ctx, Some(each)).await?)))
}
