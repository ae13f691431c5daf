//! How an image stands to two published lists: section 4 of the CIS Docker Benchmark, and the risks of images in NIST SP 800-190, section 4.1.
//!
//! A line passes only where somebody looked. Pure.

use std::collections::BTreeSet;

use super::settings::is_name;
use crate::model::report::{Check, NotLooked, Outcome};
use crate::model::{Finding, FindingKind, Image, Safe, Severity};

/// What is known of an image when all was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub image: &'a Image,
    /// Of all kinds; what is suppressed doesn't count.
    pub findings: &'a [Finding],
    pub looked_for: &'a BTreeSet<FindingKind>,
    /// Where nobody looked, though elsewhere somebody did.
    pub not_looked_for: &'a [NotLooked],
    /// How many packages are installed; `None` where nobody looked.
    pub packages: Option<usize>,
    /// Whether a signature was checked and is good; `None` where none was looked for.
    pub signed: Option<bool>,
    /// Whether the modes and contents of all files were looked at.
    pub layers_read: bool,
}

impl Known<'_> {
    fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }

    fn looked(&self, kind: FindingKind) -> bool {
        self.looked_for.contains(&kind)
    }

    fn count(&self, is: impl Fn(&Finding) -> bool) -> usize {
        self.open().filter(|finding| is(finding)).count()
    }

    /// How many go by one of those ids.
    fn of_ids(&self, ids: &[&str]) -> usize {
        self.count(|finding| ids.contains(&finding.id.raw()))
    }

    fn weaknesses(&self, from: Severity) -> usize {
        self.count(|finding| finding.kind == FindingKind::Vulnerability && finding.severity >= from)
    }

    fn has_history(&self) -> bool {
        self.looked(FindingKind::Lint)
    }
}

type Verdict = (Outcome, String);

fn not(why: impl Into<String>) -> Verdict {
    (Outcome::NotEvaluated, why.into())
}

fn pass(why: impl Into<String>) -> Verdict {
    (Outcome::Pass, why.into())
}

fn fail(why: impl Into<String>) -> Verdict {
    (Outcome::Fail, why.into())
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

struct Line {
    id: &'static str,
    title: &'static str,
    judge: fn(&Known<'_>) -> Verdict,
}

const LINES: [Line; 17] = [
    Line { id: "CIS 4.1", title: "Runs as a user of its own", judge: user },
    Line { id: "CIS 4.2", title: "Built on a trusted base image", judge: |_| not("An image does not tell whom you trust") },
    Line { id: "CIS 4.3", title: "No packages beyond what it needs", judge: needed },
    Line { id: "CIS 4.4", title: "Scanned and rebuilt with security fixes", judge: scanned },
    Line { id: "CIS 4.5", title: "Content trust is on", judge: |_| not("It is a setting of whoever pulls, and not of the image") },
    Line { id: "CIS 4.6", title: "Has a HEALTHCHECK", judge: health },
    Line { id: "CIS 4.7", title: "No package lists updated in a step of their own", judge: |known| steps(known, &["update-alone"]) },
    Line { id: "CIS 4.8", title: "No files with setuid or setgid", judge: set_ids },
    Line { id: "CIS 4.9", title: "COPY rather than ADD", judge: |known| steps(known, &["add-url", "add-not-copy"]) },
    Line { id: "CIS 4.10", title: "No secrets in the build", judge: secrets },
    Line { id: "CIS 4.11", title: "Only verified packages are installed", judge: verified },
    Line { id: "CIS 4.12", title: "Signed, and the signature checked", judge: signed },
    Line { id: "NIST 4.1.1", title: "No known vulnerabilities", judge: vulnerabilities },
    Line { id: "NIST 4.1.2", title: "No defects of configuration", judge: configuration },
    Line { id: "NIST 4.1.3", title: "No malware", judge: |_| not("Nothing here looks for malware") },
    Line { id: "NIST 4.1.4", title: "No secrets as plain text", judge: secrets },
    Line { id: "NIST 4.1.5", title: "Comes from a trusted source", judge: signed },
];

/// Every line of both lists, in their order.
#[must_use]
pub fn card(known: &Known<'_>) -> Vec<Check> {
    LINES
        .iter()
        .map(|line| {
            let (outcome, why) = (line.judge)(known);
            Check { id: line.id, title: line.title, outcome, why: Safe::new(&why) }
        })
        .collect()
}

fn user(known: &Known<'_>) -> Verdict {
    let Some(config) = &known.image.config else { return not("The source tells nothing of the image's settings") };
    if !known.looked(FindingKind::Misconfiguration) {
        return not("Settings were not looked at");
    }
    if known.image.platform.as_ref().is_some_and(|platform| platform.os.eq_ignore_ascii_case("windows")) {
        return not("On Windows no user is root");
    }
    let user = config.user.as_ref().map_or("", |user| user.raw());
    if known.of_ids(&["user-root"]) > 0 {
        return fail(if user.is_empty() {
            "There is no USER, so it runs as root".to_owned()
        } else {
            format!("It runs as root: USER {user}")
        });
    }
    if is_name(user) && !known.layers_read {
        return not(format!("USER {user} may be root by another name: /etc/passwd was not read"));
    }
    pass(format!("USER {user}"))
}

fn needed(known: &Known<'_>) -> Verdict {
    match known.packages {
        Some(count) => {
            not(format!("{} installed; which of them are needed is yours to tell", counted(count, "package is", "packages are")))
        }
        None => not("Packages were not looked for"),
    }
}

/// What a scan by advisories says, from that severity up.
fn weak(known: &Known<'_>, from: Severity, words: &str) -> Verdict {
    if !known.looked(FindingKind::Vulnerability) {
        return not("No vulnerabilities were looked for: there is no database of advisories");
    }
    let found = known.weaknesses(from);
    if found > 0 {
        return fail(counted(found, &format!("{words}vulnerability"), &format!("{words}vulnerabilities")));
    }
    if !known.layers_read {
        return not(format!("No {words}vulnerability is known of what was read, and some layers were not"));
    }
    match known.not_looked_for.iter().find(|gap| gap.what.as_str().starts_with(FindingKind::Vulnerability.word())) {
        Some(gap) => not(format!("No {words}vulnerability is known, but not looked for: {}", gap.what.as_str())),
        None => pass(format!("No {words}vulnerability is known")),
    }
}

fn scanned(known: &Known<'_>) -> Verdict {
    weak(known, Severity::Critical, "critical ")
}

fn vulnerabilities(known: &Known<'_>) -> Verdict {
    weak(known, Severity::Unknown, "")
}

fn health(known: &Known<'_>) -> Verdict {
    if !known.looked(FindingKind::Misconfiguration) || known.image.config.is_none() {
        return not("Settings were not looked at");
    }
    if known.of_ids(&["no-healthcheck"]) == 0 {
        return pass("There is a HEALTHCHECK");
    }
    let is_oci = known.image.media_type.as_ref().is_some_and(|kind| kind.raw().starts_with("application/vnd.oci."));
    if is_oci { not("There is none, and an image in OCI format need not be able to hold one") } else { fail("There is no HEALTHCHECK") }
}

/// What steps of the build say of those rules.
fn steps(known: &Known<'_>, ids: &[&str]) -> Verdict {
    if !known.has_history() {
        return not("The image has no build history");
    }
    match known.of_ids(ids) {
        0 => pass("No step does it"),
        count => fail(counted(count, "step does it", "steps do it")),
    }
}

fn set_ids(known: &Known<'_>) -> Verdict {
    let is = |finding: &Finding| {
        let id = finding.id.raw();
        id.starts_with("setuid") || id.starts_with("setgid") || finding.aliases.iter().any(|alias| alias.raw() == "CIS-DI-0008")
    };
    match known.count(is) {
        1.. => fail(counted(known.count(is), "such file", "such files")),
        0 if !known.layers_read || !known.looked(FindingKind::SensitiveFile) => not("The modes of some files were not looked at"),
        0 => pass("There is no such file"),
    }
}

fn secrets(known: &Known<'_>) -> Verdict {
    let found = known.count(|finding| finding.kind == FindingKind::Secret && finding.severity > Severity::Negligible);
    if found > 0 {
        return fail(counted(found, "secret", "secrets"));
    }
    if !known.looked(FindingKind::Secret) || !known.layers_read {
        return not("None is in the settings; files were not looked at");
    }
    if !known.looked(FindingKind::Misconfiguration) || !known.has_history() {
        return not("None is in files; settings or history could not be looked at");
    }
    pass("None was found in settings, history and files")
}

fn verified(known: &Known<'_>) -> Verdict {
    match known.of_ids(&["tls-check-off", "curl-pipe-shell", "add-url"]) {
        0 => not("A history does not tell all that a build trusts"),
        count => fail(format!("{} without checking what comes", counted(count, "step loads", "steps load"))),
    }
}

fn signed(known: &Known<'_>) -> Verdict {
    match known.signed {
        Some(true) => pass("A signature was checked and is good"),
        Some(false) => fail("No signature is good"),
        None => not("No signature was checked: a key is needed for it"),
    }
}

fn configuration(known: &Known<'_>) -> Verdict {
    let found = known.count(|finding| finding.kind == FindingKind::Misconfiguration && finding.severity >= Severity::Medium);
    match found {
        0 if !known.looked(FindingKind::Misconfiguration) => not("Settings were not looked at"),
        0 if !known.layers_read => not("Nothing is wrong with the settings; files were not looked at"),
        0 => pass("No setting is of medium weight or worse"),
        count => fail(counted(count, "setting is of medium weight or worse", "settings are of medium weight or worse")),
    }
}
