//! What was said of an image so far, by whomever, and how it is put together.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::findings;
use crate::curate::findings::fold;
use crate::curate::findings::ignore::Ignores;
use crate::model::findings::Reach;
use crate::model::{Digest, Finding, Inventory, Problem, ProblemKind, Report, Scan, Vex, VexStatement};
use crate::scan::import::{self, Imported};

const IMPORT: &str = "read the report";

/// Reports, and what says of their findings that they don't count.
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
        self.excuse(&mut findings, image);
        let heads = self.reports.iter().map(|report| Report { findings: Vec::new(), ..report.clone() });
        Scan { findings, reports: heads.collect(), inventory: self.inventory.clone(), problems: self.problems.clone(), reach }
    }

    /// Suppresses what is said not to count.
    pub fn excuse(&self, findings: &mut [Finding], image: &[Digest]) {
        for ignores in &self.ignores {
            ignores.apply(findings, findings::today());
        }
        let vex = Vex::of(&self.statements, image);
        for finding in findings.iter_mut().filter(|finding| finding.suppressed.is_none()) {
            finding.suppressed = vex.suppression(finding);
        }
    }

    /// Takes in what a file says doesn't count. Blocking.
    pub fn ignore(&mut self, file: &Path) {
        match findings::ignores(file) {
            Ok(ignores) => self.ignores.extend(ignores),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes in a report or VEX document. Blocking.
    pub fn import(&mut self, file: &Path, image: &[Digest]) {
        match read(file) {
            Ok(Imported::Report(report)) => match mismatch(&report, image, &file.display().to_string()) {
                Some(problem) => self.problems.push(problem),
                None => self.reports.push(*report),
            },
            Ok(Imported::Statements(statements)) => self.statements.extend(statements),
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// That a report is about another image, where it says so.
#[must_use]
pub fn mismatch(report: &Report, image: &[Digest], whose: &str) -> Option<Problem> {
    let is_other = !image.is_empty() && !report.digests.is_empty() && !report.digests.iter().any(|digest| image.contains(digest));
    let cause = format!("it is about another one: {}", report.image.safe());
    is_other.then(|| Problem::new(ProblemKind::Conflict, format!("match {whose} with the image"), cause))
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
