//! Other scanners that are installed here: Trivy and Grype, as they are found on `PATH`.
//!
//! They are run as anybody would run them, by a command that can be shown and copied: without a shell, with no more of the environment than they
//! need, in a process group of their own that ends with the scan, and within bounds of time and output. They are asked for everything they can
//! look for: what is of no interest is filtered here, where it can be seen. Facts: their command lines and what they print of their versions.
//!
//! May use model and source.

mod environment;
mod run;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

pub use environment::Environment;

use super::import;
use crate::model::{FindingKind, Foreign, Problem, ProblemKind, Report};
use crate::source::{Ctx, blocking};
use run::{Ended, Run};

/// A scanner that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    Trivy,
    Grype,
}

impl Tool {
    pub const ALL: [Self; 2] = [Self::Trivy, Self::Grype];

    /// As people know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trivy => "Trivy",
            Self::Grype => "Grype",
        }
    }

    /// The program's file.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Trivy => "trivy",
            Self::Grype => "grype",
        }
    }

    /// What it looks for when it is run by [`command`].
    #[must_use]
    pub const fn looks_for(self) -> &'static [FindingKind] {
        match self {
            Self::Trivy => &[FindingKind::Vulnerability, FindingKind::Misconfiguration, FindingKind::Secret, FindingKind::Licence],
            Self::Grype => &[FindingKind::Vulnerability],
        }
    }
}

/// Which image to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Of an engine of this machine. `host` as in `DOCKER_HOST`; `None` for the usual one.
    Engine { reference: String, is_podman: bool, host: Option<String> },
    /// `docker save`'s archive.
    DockerArchive(PathBuf),
    /// An OCI layout in an archive.
    OciArchive(PathBuf),
    /// An OCI layout's folder.
    Layout(PathBuf),
    /// In a registry, with its host. `is_plain` where that one speaks no TLS.
    Registry { reference: String, is_plain: bool },
}

/// A scanner that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub tool: Tool,
    pub path: PathBuf,
    /// `None` where it didn't say.
    pub version: Option<Foreign>,
    /// Of when its advisories are; `None` where it has none yet, or didn't say.
    pub db_date: Option<Timestamp>,
}

/// How long a scanner may take, and how much it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub time: Duration,
    /// Bytes of its report.
    pub output: usize,
    /// How long it may take to end when it is asked to.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(15 * 60), output: import::LARGEST, grace: Duration::from_secs(3) }
    }
}

/// How long one may take to say its version.
const PATIENCE: Limits = Limits { time: Duration::from_secs(10), output: 64 << 10, grace: Duration::from_millis(200) };

#[derive(Deserialize, Default)]
#[serde(default)]
struct TrivyVersion {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<TrivyDatabase>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TrivyDatabase {
    #[serde(rename = "UpdatedAt")]
    updated: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GrypeVersion {
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GrypeDatabase {
    built: String,
}

/// Looks for a scanner, and asks it who it is; `None` where it is not installed.
///
/// # Errors
/// It is there, and can't be run or doesn't answer in time; the caller's wish to stop.
pub async fn probe(ctx: &Ctx, tool: Tool, environment: &Environment) -> Result<Option<Found>, Problem> {
    let Some(path) = environment.find(tool.program()) else { return Ok(None) };
    let ask = async |arguments: &[&str]| {
        let arguments = arguments.iter().map(OsString::from).collect();
        let doing = format!("ask {} for its version", tool.name());
        Run { program: &path, arguments, environment, extra: Vec::new(), limits: PATIENCE, doing }.output(ctx).await
    };
    let (version, date) = match tool {
        Tool::Trivy => {
            let told: TrivyVersion = read(&ask(&["version", "--format", "json"]).await?);
            (told.version, told.database.unwrap_or_default().updated)
        }
        Tool::Grype => {
            let told: GrypeVersion = read(&ask(&["version", "-o", "json"]).await?);
            // Without a database it fails, and that is an answer too.
            let state = match ask(&["db", "status", "-o", "json"]).await {
                Ok(ended) => read(&ended),
                Err(problem) if problem.is_cancelled() => return Err(problem),
                Err(_) => GrypeDatabase::default(),
            };
            (told.version, state.built)
        }
    };
    let version = Some(version.trim().to_owned()).filter(|version| !version.is_empty() && version.len() < 100).map(Foreign::from);
    let db_date = date.parse().ok().filter(|date: &Timestamp| *date > Timestamp::UNIX_EPOCH);
    Ok(Some(Found { tool, path, version, db_date }))
}

fn read<T: for<'de> Deserialize<'de> + Default>(ended: &Ended) -> T {
    serde_json::from_slice(&ended.output).unwrap_or_default()
}

/// The command that scans `target`: the program and its arguments, as they could be typed.
///
/// # Errors
/// A reference that an argument can't be made of, or that would be taken for an option.
pub fn command(tool: Tool, target: &Target) -> Result<Vec<OsString>, Problem> {
    let mut all = vec![OsString::from(tool.program())];
    match tool {
        Tool::Trivy => {
            let fixed = ["image", "--format", "json", "--quiet", "--scanners", "vuln,secret,license"];
            all.extend(fixed.map(OsString::from));
            all.extend(["--image-config-scanners", "misconfig,secret", "--list-all-pkgs"].map(OsString::from));
            trivy_target(&mut all, target)?;
        }
        Tool::Grype => {
            all.extend(["-o", "json", "-q"].map(OsString::from));
            all.push(grype_target(target)?);
        }
    }
    Ok(all)
}

fn trivy_target(all: &mut Vec<OsString>, target: &Target) -> Result<(), Problem> {
    match target {
        Target::Engine { reference, is_podman, .. } => {
            all.extend(["--image-src", if *is_podman { "podman" } else { "docker" }].map(OsString::from));
            all.push(checked(reference)?.into());
        }
        Target::Registry { reference, .. } => {
            all.extend(["--image-src", "remote"].map(OsString::from));
            all.push(checked(reference)?.into());
        }
        Target::DockerArchive(path) | Target::OciArchive(path) | Target::Layout(path) => {
            all.push("--input".into());
            all.push(absolute(path)?.into());
        }
    }
    Ok(())
}

fn grype_target(target: &Target) -> Result<OsString, Problem> {
    let with = |scheme: &str, rest: &OsStr| {
        let mut all = OsString::from(scheme);
        all.push(":");
        all.push(rest);
        all
    };
    Ok(match target {
        Target::Engine { reference, is_podman, .. } => with(if *is_podman { "podman" } else { "docker" }, OsStr::new(checked(reference)?)),
        Target::Registry { reference, .. } => with("registry", OsStr::new(checked(reference)?)),
        Target::DockerArchive(path) => with("docker-archive", absolute(path)?.as_os_str()),
        Target::OciArchive(path) => with("oci-archive", absolute(path)?.as_os_str()),
        Target::Layout(path) => with("oci-dir", absolute(path)?.as_os_str()),
    })
}

/// A reference that can't be taken for anything else.
fn checked(reference: &str) -> Result<&str, Problem> {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    let is_fit =
        reference.len() <= 1024 && reference.bytes().all(fit) && reference.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if is_fit {
        return Ok(reference);
    }
    Err(Problem::new(ProblemKind::Usage, format!("hand {reference} to a scanner"), "it is not the reference of an image"))
}

/// Scanners run in a folder of their own, so that no file beside the user changes what they say.
fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(|error| Problem::disk("hand a file to a scanner", path, &error))
}

/// Scans an image and reads the report. Ends the scanner when the caller wishes to stop, or stops listening.
///
/// # Errors
/// It can't be run, says that it failed, takes too long, says too much, or something that is no report of its own.
pub async fn scan(ctx: &Ctx, found: &Found, target: &Target, environment: &Environment, limits: Limits) -> Result<Report, Problem> {
    let tool = found.tool;
    let doing = format!("scan with {}", tool.name());
    let arguments = command(tool, target)?.into_iter().skip(1).collect();
    ctx.meter.phase(&format!("{} is looking", tool.name()));
    let run = Run { program: &found.path, arguments, environment, extra: extra(tool, target), limits, doing: doing.clone() };
    let ended = run.run(ctx).await?;
    if ended.output.iter().all(u8::is_ascii_whitespace) {
        return Err(if ended.is_success { ended.problem(&doing, "it said nothing") } else { ended.failed(&doing) });
    }
    let (is_success, failed) = (ended.is_success, ended.failed(&doing));
    let report = blocking(&doing, move || import::report(&ended.output)).await;
    // Some are set up to end with a code of their own when they found something: a whole report is one.
    let mut report = match report {
        Ok(report) => report,
        Err(_) if !is_success => return Err(failed),
        Err(problem) => return Err(problem.hint(format!("this is what {} printed; is it one that is known?", tool.name()))),
    };
    if !report.scanner.name.raw().eq_ignore_ascii_case(tool.name()) {
        let cause = format!("what it printed is a report of {}", report.scanner.name.safe());
        return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
    }
    complete(&mut report, found);
    Ok(report)
}

/// Adds what is known from having asked for it.
fn complete(report: &mut Report, found: &Found) {
    let asked = found.tool.looks_for();
    report.looked_for.extend(asked);
    report.not_looked_for.retain(|left| !asked.iter().any(|kind| kind.word() == left.what.as_str()));
    report.scanner.version = report.scanner.version.take().or_else(|| found.version.clone());
    report.scanner.db_date = report.scanner.db_date.or(found.db_date);
}

/// Settings that have no option on the command line of every version.
fn extra(tool: Tool, target: &Target) -> Vec<(OsString, OsString)> {
    let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    match (tool, target) {
        (_, Target::Engine { host: Some(host), is_podman: false, .. }) => vec![pair("DOCKER_HOST", host)],
        (_, Target::Engine { host: Some(host), is_podman: true, .. }) => vec![pair("CONTAINER_HOST", host), pair("DOCKER_HOST", host)],
        (Tool::Trivy, Target::Registry { is_plain: true, .. }) => vec![pair("TRIVY_NON_SSL", "true")],
        (Tool::Grype, Target::Registry { is_plain: true, .. }) => {
            vec![pair("GRYPE_REGISTRY_INSECURE_USE_HTTP", "true"), pair("SYFT_REGISTRY_INSECURE_USE_HTTP", "true")]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
