//! What a Harbor registry knows of an image's weaknesses: asked live, with the login that its images are read with. Its scanner can be set to work.
//!
//! May use model and source. Facts: Harbor's API 2.0; a repository's name within a project is encoded twice, or its slashes would part the path.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::import;
use crate::model::{Digest, Foreign, Problem, ProblemKind, Report, Severity};
use crate::source::registry::{Client, OwnAnswer, OwnAsk, Repo};
use crate::source::{Ctx, blocking};

/// Both forms of its report; the newer one is preferred.
const FORMS: (&str, &str) = (
    "x-accept-vulnerabilities",
    "application/vnd.security.vulnerability.report; version=1.1, application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0",
);
/// Most bytes of an answer that is no report.
const SMALL: usize = 1 << 20;

/// How far a scan is, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// In Harbor's words: "Success", "Running", "Pending", "Error", "Not Scanned".
    pub status: Foreign,
    pub percent: Option<u8>,
    pub severity: Severity,
    pub total: u64,
    pub fixable: u64,
    pub scanner: Foreign,
    /// When it ended.
    pub made: Option<Timestamp>,
}

impl Overview {
    /// Whether the report is there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.status.raw() == "Success"
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Artifact {
    scan_overview: Option<BTreeMap<String, Scan>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scan {
    #[serde(rename = "scan_status")]
    status: String,
    severity: Option<String>,
    complete_percent: Option<f64>,
    end_time: Option<String>,
    summary: Option<Sum>,
    scanner: Option<Program>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sum {
    total: Option<u64>,
    fixable: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Program {
    name: String,
    version: Option<String>,
}

/// Whether the registry is a Harbor: it says so itself.
///
/// # Errors
/// Nobody answers there; the caller's wish to stop.
pub async fn is_harbor(client: &Client, ctx: &Ctx, host: &str) -> Result<bool, Problem> {
    #[derive(Deserialize)]
    struct System {
        auth_mode: Option<String>,
        harbor_version: Option<String>,
    }
    let doing = format!("ask {host} whether it is a Harbor");
    let path = ["api", "v2.0", "systeminfo"];
    let ask = OwnAsk { host, is_post: false, path: &path, query: &[], headers: &[], most: SMALL, doing: &doing };
    match stoppable(ctx, &doing, client.ask_own(&ask)).await {
        Ok(OwnAnswer::Body(bytes)) => {
            Ok(serde_json::from_slice::<System>(&bytes).is_ok_and(|told| told.auth_mode.is_some() || told.harbor_version.is_some()))
        }
        Err(problem) if matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Cancelled) => Err(problem),
        Ok(OwnAnswer::NotFound) | Err(_) => Ok(false),
    }
}

/// The report that Harbor has of an image.
///
/// # Errors
/// What Harbor answered; there is no such image; it was not scanned yet.
pub async fn report(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest) -> Result<Report, Problem> {
    let doing = format!("ask {} for its report on {}", repo.host(), image.short());
    let place = Place::of(repo, &doing)?;
    let path = place.path(image, &["additions", "vulnerabilities"]);
    let ask =
        OwnAsk { host: repo.host(), is_post: false, path: &path, query: &[], headers: &[FORMS], most: import::LARGEST, doing: &doing };
    let OwnAnswer::Body(bytes) = stoppable(ctx, &doing, client.ask_own(&ask)).await? else { return Err(missing(&doing)) };
    let bare: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(5).collect();
    if bytes.is_empty() || bare == b"{}" || bare == b"null" {
        return Err(
            Problem::new(ProblemKind::NotFound, doing, "the image was not scanned there yet").hint("its scanner can be set to work")
        );
    }
    let mut report = blocking(&doing, move || import::report(&bytes)).await?;
    if !report.digests.contains(image) {
        report.digests.insert(0, image.clone());
    }
    report.image = Foreign::from(format!("{}@{image}", repo.full()));
    Ok(report)
}

/// How far Harbor's scan of an image is; `None` where there was none.
///
/// # Errors
/// What Harbor answered; there is no such image.
pub async fn overview(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest) -> Result<Option<Overview>, Problem> {
    let doing = format!("ask {} for its scan of {}", repo.host(), image.short());
    let place = Place::of(repo, &doing)?;
    let path = place.path(image, &[]);
    let query = [("with_scan_overview", "true"), ("with_tag", "false"), ("with_label", "false")];
    let ask = OwnAsk { host: repo.host(), is_post: false, path: &path, query: &query, headers: &[FORMS], most: SMALL, doing: &doing };
    let OwnAnswer::Body(bytes) = stoppable(ctx, &doing, client.ask_own(&ask)).await? else { return Err(missing(&doing)) };
    let artifact: Artifact = serde_json::from_slice(&bytes)
        .map_err(|_not_shown| Problem::new(ProblemKind::Corrupt, &doing, "it did not answer with what an image is"))?;
    let all = artifact.scan_overview.unwrap_or_default();
    let newest = all.into_iter().max_by_key(|(form, _)| form.contains("vnd.security.vulnerability.report"));
    Ok(newest.map(|(_, scan)| read(scan)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 100")]
fn read(scan: Scan) -> Overview {
    let sum = scan.summary.unwrap_or_default();
    let scanner = scan.scanner.unwrap_or_default();
    let version = scanner.version.map(|version| format!(" {}", version.trim_start_matches('v'))).unwrap_or_default();
    Overview {
        status: scan.status.into(),
        percent: scan.complete_percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent as u8),
        severity: Severity::from_word(&scan.severity.unwrap_or_default()),
        total: sum.total.unwrap_or_default(),
        fixable: sum.fixable.unwrap_or_default(),
        scanner: format!("{}{version}", scanner.name).into(),
        made: scan.end_time.and_then(|time| time.parse().ok()).filter(|time| *time > Timestamp::UNIX_EPOCH),
    }
}

/// Sets Harbor's scanner to work on an image; it goes on there whatever happens here.
///
/// # Errors
/// What Harbor answered: no right to, no scanner, a scan that is under way already; there is no such image.
pub async fn start(client: &Client, ctx: &Ctx, repo: &Repo, image: &Digest) -> Result<(), Problem> {
    let doing = format!("have {} scan {}", repo.host(), image.short());
    let place = Place::of(repo, &doing)?;
    let path = place.path(image, &["scan"]);
    let ask = OwnAsk { host: repo.host(), is_post: true, path: &path, query: &[], headers: &[], most: SMALL, doing: &doing };
    match stoppable(ctx, &doing, client.ask_own(&ask)).await? {
        OwnAnswer::Body(_) => Ok(()),
        OwnAnswer::NotFound => Err(missing(&doing)),
    }
}

fn missing(doing: &str) -> Problem {
    let problem = Problem::new(ProblemKind::NotFound, doing, "there is no such image, or the registry is no Harbor");
    problem.hint("a login may be needed: docker login")
}

/// A repository as Harbor parts its name.
struct Place {
    project: String,
    repository: String,
}

impl Place {
    fn of(repo: &Repo, doing: &str) -> Result<Self, Problem> {
        let parts = repo.name().split_once('/');
        let (project, repository) =
            parts.ok_or_else(|| Problem::new(ProblemKind::Usage, doing, "in a Harbor every repository lies in a project"))?;
        Ok(Self { project: project.to_owned(), repository: repository.replace('/', "%2F") })
    }

    fn path<'a>(&'a self, image: &'a Digest, rest: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["api", "v2.0", "projects", &self.project, "repositories", &self.repository, "artifacts", image.as_str()];
        fixed.into_iter().chain(rest.iter().copied()).collect()
    }
}

async fn stoppable<T>(ctx: &Ctx, doing: &str, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::select! {
        done = work => done,
        () = ctx.cancel.cancelled() => Err(Problem::cancelled(doing)),
    }
}
