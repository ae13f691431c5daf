//! How an image stands to what is published about images: section 4 of the CIS Docker Benchmark and the image risks of NIST SP 800-190.
//!
//! What nobody can tell from an image is said to be so, and why; a line passes only where what it asks for was looked at.
//!
//! Pure. Facts: CIS Docker Benchmark 1.6, section 4; NIST SP 800-190, sections 3.1 and 4.1.

use crate::model::finding::{FindingKind, Severity};
use crate::model::report::{Check, Outcome};
use crate::model::{Finding, Image, Report, Safe};

/// What is known of an image's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// One was verified by a key that is trusted.
    Verified,
    /// There is one, which nobody could verify, or which is not right.
    Unverified,
    None,
}

/// What the card goes by, besides the image and the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given {
    /// `None` where nobody looked.
    pub signed: Option<Signed>,
    /// All layers were read.
    pub is_whole: bool,
    /// The base image is known, with its layers.
    pub has_base: bool,
}

/// Both lists, line by line.
#[must_use]
pub fn card(image: &Image, report: &Report, given: Given) -> Vec<Check> {
    let look = Look { image, report, given };
    let mut lines = look.cis();
    lines.extend(look.nist());
    lines
}

struct Look<'a> {
    image: &'a Image,
    report: &'a Report,
    given: Given,
}

fn check(id: &'static str, title: &'static str, outcome: Outcome, why: impl Into<Safe>) -> Check {
    Check { id, title, outcome, why: why.into() }
}

impl Look<'_> {
    fn cis(&self) -> Vec<Check> {
        let manual = Outcome::NotEvaluated;
        let packages = self.report.packages.map_or_else(
            || "which of its packages are needed, only a person can tell".to_owned(),
            |count| format!("{count} packages are installed; which of them are needed, only a person can tell"),
        );
        vec![
            self.settings("CIS 4.1", "A user for the container is made", &["user-root"], "it runs as another user than root"),
            check("CIS 4.2", "Only trusted base images are used", manual, self.base()),
            check("CIS 4.3", "No unnecessary packages are installed", manual, packages),
            self.vulnerabilities("CIS 4.4", "Images are scanned and rebuilt with security patches"),
            self.signature("CIS 4.5", "Content trust is on"),
            self.settings("CIS 4.6", "HEALTHCHECK instructions are there", &["no-healthcheck"], "it has one"),
            self.steps("CIS 4.7", "Update instructions are not used alone", &["update-alone"], "no step updates and installs nothing"),
            self.modes("CIS 4.8", "setuid and setgid rights are removed", &["setuid-file", "setgid-file"]),
            self.steps("CIS 4.9", "COPY is used instead of ADD", &["add-url", "add-for-copy"], "no step adds what could be copied"),
            self.secrets("CIS 4.10", "No secrets are stored"),
            check("CIS 4.11", "Only verified packages are installed", manual, "where packages came from is not in an image"),
            self.signature("CIS 4.12", "Signed artifacts are validated"),
        ]
    }

    fn nist(&self) -> Vec<Check> {
        vec![
            self.vulnerabilities("NIST 4.1.1", "Image vulnerabilities"),
            self.settings(
                "NIST 4.1.2",
                "Image configuration defects",
                &["user-root", "sensitive-volume", "port-ssh", "tls-check-off"],
                "no setting is known to be a defect",
            ),
            check("NIST 4.1.3", "Embedded malware", Outcome::NotEvaluated, "this scanner knows no malware"),
            self.secrets("NIST 4.1.4", "Embedded clear-text secrets"),
            self.signature("NIST 4.1.5", "Use of untrusted images"),
        ]
    }

    fn counting(&self) -> impl Iterator<Item = &Finding> {
        self.report.findings.iter().filter(|finding| finding.suppressed.is_none())
    }

    fn with(&self, ids: &[&str]) -> Vec<&Finding> {
        self.counting().filter(|finding| ids.contains(&finding.id.raw())).collect()
    }

    /// A line that fails by any of these findings.
    fn settings(&self, id: &'static str, title: &'static str, ids: &[&str], passes: &str) -> Check {
        let Some(first) = self.with(ids).into_iter().next() else {
            return if self.image.config.is_some() {
                check(id, title, Outcome::Pass, passes)
            } else {
                check(id, title, Outcome::NotEvaluated, "its configuration is not known")
            };
        };
        check(id, title, Outcome::Fail, told(first))
    }

    fn steps(&self, id: &'static str, title: &'static str, ids: &[&str], passes: &str) -> Check {
        let found = self.with(ids);
        match (found.first(), self.image.history.as_deref().unwrap_or_default().is_empty()) {
            (Some(first), _) => check(id, title, Outcome::Fail, told(first)),
            (None, true) => check(id, title, Outcome::NotEvaluated, "it has no history"),
            (None, false) => check(id, title, Outcome::Pass, passes),
        }
    }

    fn modes(&self, id: &'static str, title: &'static str, ids: &[&str]) -> Check {
        let count = self.with(ids).len();
        match count {
            0 if self.given.is_whole => check(id, title, Outcome::Pass, "no file has them"),
            0 => check(id, title, Outcome::NotEvaluated, "not all of its layers could be read"),
            _ => check(id, title, Outcome::Fail, format!("{count} files have them")),
        }
    }

    fn secrets(&self, id: &'static str, title: &'static str) -> Check {
        let is_one = |finding: &&Finding| {
            let is_file = finding.kind == FindingKind::SensitiveFile && finding.severity >= Severity::Medium && !is_mode(finding);
            finding.kind == FindingKind::Secret || is_file
        };
        let found: Vec<&Finding> = self.counting().filter(is_one).collect();
        match found.first() {
            Some(first) if found.len() == 1 => check(id, title, Outcome::Fail, told(first)),
            Some(first) => check(id, title, Outcome::Fail, format!("{} and {} more", told(first), found.len() - 1)),
            None if self.given.is_whole => check(id, title, Outcome::Pass, "none of a known form was found"),
            None => check(id, title, Outcome::NotEvaluated, "not all of its layers could be read"),
        }
    }

    fn vulnerabilities(&self, id: &'static str, title: &'static str) -> Check {
        if !self.report.looked_for.contains(&FindingKind::Vulnerability) {
            return check(id, title, Outcome::NotEvaluated, "there is no advisory database to go by");
        }
        let is_bad = |finding: &&Finding| finding.kind == FindingKind::Vulnerability && finding.severity == Severity::Critical;
        let count = self.counting().filter(is_bad).count();
        match count {
            0 => check(id, title, Outcome::Pass, "no critical one is known"),
            1 => check(id, title, Outcome::Fail, "a critical one is known"),
            _ => check(id, title, Outcome::Fail, format!("{count} critical ones are known")),
        }
    }

    fn signature(&self, id: &'static str, title: &'static str) -> Check {
        match self.given.signed {
            Some(Signed::Verified) => check(id, title, Outcome::Pass, "its signature was verified"),
            Some(Signed::Unverified) => check(id, title, Outcome::Fail, "its signature could not be verified"),
            Some(Signed::None) => check(id, title, Outcome::Fail, "it is not signed"),
            None => check(id, title, Outcome::NotEvaluated, "nobody looked for signatures"),
        }
    }

    fn base(&self) -> &'static str {
        if self.given.has_base {
            "its base image is known; whether to trust it, only a person can tell"
        } else {
            "what it is based on is not known"
        }
    }
}

/// Whether a finding is about the rights of a file, and not about what is in it.
fn is_mode(finding: &Finding) -> bool {
    ["setuid-file", "setgid-file", "world-writable-file", "world-writable-directory", "file-capability"].contains(&finding.id.raw())
}

fn told(finding: &Finding) -> String {
    match &finding.path {
        Some(path) => format!("{}: {}", finding.title.raw(), path.raw()),
        None => finding
            .evidence
            .as_ref()
            .map_or_else(|| finding.title.raw().to_owned(), |evidence| format!("{}: {}", finding.title.raw(), evidence.as_str())),
    }
}
