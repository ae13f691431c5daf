//! Findings beside the screen: laid out, written down, and noted as of no account.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::run::Env;
use super::told::Told;
use super::{clock, curation};
use crate::curate::findings::ignore::Ignores;
use crate::curate::findings::{arrange, fold, ignore, markdown, sarif};
use crate::flow::{Job, JobOutput, Shared};
use crate::model::findings::Look;
use crate::model::report::{NotLooked, Scanner};
use crate::model::safe::escape_json;
use crate::model::{Digest, Finding, Problem, ProblemKind, Report, Safe, Scan};
use crate::source::blocking;

const DOING: &str = "lay out the findings";
const SAVE: &str = "write the findings";
const IGNORE: &str = "note that a finding doesn't count";

/// Runs a job about findings that are known already.
pub(super) async fn run(job: Job, env: &Env) -> Result<JobOutput, Problem> {
    match job {
        Job::ArrangeFindings { scan, look } => arrange(env, scan, look).await,
        Job::SaveFindings { scan, look, image, file } => save(scan, look, image, file).await,
        Job::Ignore { finding, statement, expired_at, with } => ignore(env, finding, statement, expired_at, with).await,
        Job::ImportReport { file, image, with } => import(file, image, with).await,
        _ => Ok(JobOutput::Told),
    }
}

/// Lays findings out as they are to be seen.
///
/// # Errors
/// None that a caller could cause.
async fn arrange(env: &Env, scan: Shared<Scan>, look: Look) -> Result<JobOutput, Problem> {
    // Nobody closes it, so it is only waited for; what was replaced meanwhile never begins.
    let turn = Arc::clone(&env.looking).acquire_owned().await.ok();
    blocking(DOING, move || {
        let _turn = turn;
        let arranged = arrange::arrange(&scan.findings, &look);
        Ok(JobOutput::FindingsArranged { scan, look, arranged })
    })
    .await
}

/// All that is known of an image as one report, with the findings that are let through.
#[must_use]
pub fn report(scan: &Scan, look: &Look, image: &str) -> Report {
    let shows_ignored = look.ignored || look.filter.is_about_ignored();
    let seen = |finding: &&Finding| (shows_ignored || finding.suppressed.is_none()) && look.filter.matches(finding);
    let first = scan.reports.first();
    let scanner = first.map_or_else(|| Scanner { name: "".into(), version: None, db_date: None }, |report| report.scanner.clone());
    let mut whole = Report::new(image.into(), scanner);
    whole.findings = scan.findings.iter().filter(seen).cloned().collect();
    whole.looked_for = scan.reports.iter().flat_map(|report| report.looked_for.iter().copied()).collect();
    whole.not_looked_for = missed(scan);
    whole.scanner.db_date = scan.reports.iter().filter_map(|report| report.scanner.db_date).max();
    whole.packages = scan.reports.iter().filter_map(|report| report.packages).max();
    whole.made = first.and_then(|report| report.made);
    whole.digests = first.map(|report| report.digests.clone()).unwrap_or_default();
    whole.card = first.map(|report| report.card.clone()).unwrap_or_default();
    whole
}

/// What none of the scanners looked for, and what went wrong with looking.
fn missed(scan: &Scan) -> Vec<NotLooked> {
    let told = scan.reports.iter().flat_map(|report| &report.not_looked_for);
    let others = |one: &NotLooked| {
        let whole_kind = |report: &Report| report.looked_for.iter().any(|kind| kind.word() == one.what.as_str());
        !scan.reports.iter().any(whole_kind)
    };
    let mut all: Vec<NotLooked> = told.filter(|one| others(one)).cloned().collect();
    all.extend(scan.problems.iter().map(|problem| NotLooked::new(problem.doing.clone(), problem.cause.clone())));
    all.dedup();
    all
}

/// Writes findings into a new file, in the form that its name says.
async fn save(scan: Shared<Scan>, look: Look, image: Safe, file: PathBuf) -> Result<JobOutput, Problem> {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let text = blocking(SAVE, move || {
        let report = report(&scan, &look, image.as_str());
        let json = match ending.as_str() {
            "json" => serde_json::to_string_pretty(&report),
            "sarif" => serde_json::to_string_pretty(&sarif::sarif(&report)),
            _ => return Ok(markdown::document(&report)),
        };
        let text = json.map_err(|error| Problem::new(ProblemKind::Other, SAVE, error.to_string()))?;
        Ok(escape_json(&text) + "\n")
    });
    curation::save_text(SAVE, text.await?, file).await
}

/// What a user's file says doesn't count; nothing where there is no file. Blocking.
///
/// # Errors
/// A file that can't be read, or isn't such a file.
pub fn ignores(file: &Path) -> Result<Option<Ignores>, Problem> {
    let Some(text) = text_of(file)? else { return Ok(None) };
    let name = file.to_string_lossy();
    let wrong = |why: String| Problem::new(ProblemKind::Usage, format!("read {name}"), why).hint("nothing that it names is ignored");
    Ignores::parse(&text, &name).map(Some).map_err(wrong)
}

fn text_of(file: &Path) -> Result<Option<String>, Problem> {
    let disk = |error: &io::Error| Problem::disk("read what is ignored", file, error);
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk(&error)),
    };
    // A pipe would keep this waiting.
    if !opened.metadata().map_err(|error| disk(&error))?.is_file() {
        return Err(Problem::new(ProblemKind::Usage, format!("read {}", file.display()), "that is no file"));
    }
    let mut text = String::new();
    opened.take(ignore::LARGEST as u64 + 1).read_to_string(&mut text).map_err(|error| disk(&error))?;
    Ok(Some(text))
}

/// Notes in the user's file that a finding doesn't count.
async fn ignore(
    env: &Env,
    finding: Box<Finding>,
    statement: String,
    expired_at: Option<Date>,
    with: Shared<Scan>,
) -> Result<JobOutput, Problem> {
    let Some(file) = env.scanning.ignore.clone() else {
        return Err(
            Problem::new(ProblemKind::Usage, IGNORE, "there is no file for it").hint("set ignore_file in [scan] of the configuration")
        );
    };
    blocking(IGNORE, move || {
        let form = ignore::Form::of(&file.to_string_lossy());
        // Where it is a link into a folder of settings, that stays one.
        let file = file.canonicalize().unwrap_or(file);
        let before = text_of(&file)?;
        let entry = ignore::entry(form, &finding, &statement, expired_at);
        let refused = |why: String| Problem::new(ProblemKind::Conflict, format!("add to {}", file.display()), why);
        let text = ignore::added(form, before.as_deref().unwrap_or_default(), finding.kind, &entry).map_err(refused)?;
        replace(&file, &text, || {
            let same = text_of(&file)? == before;
            if same { Ok(()) } else { Err(refused("somebody else changed it at the same time".to_owned()).hint("try again")) }
        })?;
        let mut scan = with.take();
        if let Some(ignores) = ignores(&file)? {
            ignores.apply(&mut scan.findings, today());
        }
        Ok(JobOutput::Ignored { scan: Shared::new(scan), file })
    })
    .await
}

/// Puts a report in a file together with what is known of an image.
async fn import(file: PathBuf, image: Vec<Digest>, with: Shared<Scan>) -> Result<JobOutput, Problem> {
    blocking("read the report", move || {
        let mut told = Told::default();
        told.import(&file, &image);
        if let Some(problem) = told.problems.pop() {
            return Err(problem);
        }
        let mut scan = with.take();
        let more = told.scan(&image, scan.reach);
        scan.findings = fold(scan.findings.into_iter().chain(more.findings));
        told.excuse(&mut scan.findings, &image);
        scan.reports.extend(more.reports);
        Ok(JobOutput::Scanned(Shared::new(scan)))
    })
    .await
}

/// By which what is ignored for a while is ignored.
pub(super) fn today() -> Date {
    clock::now().to_zoned(TimeZone::UTC).date()
}

/// Puts a text in the place of a file, whole or not at all, once `check` agrees. Who may read it stays.
fn replace(file: &Path, text: &str, check: impl FnOnce() -> Result<(), Problem>) -> Result<(), Problem> {
    let disk = |error: &io::Error| Problem::disk(IGNORE, file, error);
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(dir).map_err(|error| disk(&error))?;
    let mut temp = tempfile::Builder::new().prefix(".lighterman-").tempfile_in(dir).map_err(|error| disk(&error))?;
    if let Ok(metadata) = std::fs::metadata(file) {
        temp.as_file().set_permissions(metadata.permissions()).map_err(|error| disk(&error))?;
    }
    temp.write_all(text.as_bytes()).and_then(|()| temp.as_file().sync_data()).map_err(|error| disk(&error))?;
    check()?;
    temp.persist(file).map_err(|error| disk(&error.error))?;
    Ok(())
}
