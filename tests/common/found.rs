//! What scanners say of the images that scenes show, and the jobs about it carried out.

use lighterman::app::{State, update};
use lighterman::curate::findings::arrange::arrange;
use lighterman::curate::findings::fold;
use lighterman::flow::{Job, JobEvent, JobOutput, Msg, Shared};
use lighterman::model::finding::{Cvss, Evidence, FindingLayer, FindingPackage, FixState, Origin, Said, Score, Suppression};
use lighterman::model::findings::Reach;
use lighterman::model::report::{Check, NotLooked, Outcome, Scanner};
use lighterman::model::{Finding, FindingKind, Inventory, Report, Scan, Severity};

use super::now;

fn ours() -> Report {
    Report::new("quay-api:2.14.1".into(), Scanner { name: "lighterman".into(), version: Some("0.1.0".into()), db_date: None })
}

fn rule(kind: FindingKind, id: &str, severity: Severity, title: &str, path: Option<&str>) -> Finding {
    let said = vec![Said { by: "lighterman 0.1.0".into(), id: id.into(), severity }];
    Finding { severity, severity_source: "its rule".into(), title: title.into(), said, ..Finding::new(kind, id, None, path, "0") }
}

fn layer(index: usize, origin: Origin, finding: Finding) -> Finding {
    Finding { layer: Some(FindingLayer { index: Some(index), ..FindingLayer::default() }), origin, ..finding }
}

fn vulnerability(id: &str, package: (&str, &str, &str), fixed: Option<&str>, severity: Severity, title: &str) -> Finding {
    let (name, version, kind) = package;
    let package = FindingPackage { name: name.into(), version: version.into(), kind: kind.into(), ..FindingPackage::default() };
    let said = ["lighterman 0.1.0", "Trivy 0.74.0"].map(|by| Said { by: by.into(), id: id.into(), severity });
    Finding {
        severity,
        severity_source: "nvd CVSS 3.1".into(),
        title: title.into(),
        fixed_versions: fixed.map(Into::into).into_iter().collect(),
        fix_state: if fixed.is_some() { FixState::Fixed } else { FixState::NotFixed },
        cvss: vec![Cvss { score: Some(Score(75)), vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H".into(), source: "nvd".into() }],
        said: said.into(),
        links: vec![format!("https://nvd.nist.gov/vuln/detail/{id}").into()],
        ..Finding::new(FindingKind::Vulnerability, id, Some(package), None, "")
    }
}

fn known_findings() -> Vec<Finding> {
    use FindingKind::{Lint, Misconfiguration};
    vec![
        rule(Misconfiguration, "user-root", Severity::Medium, "Its processes run as root", None),
        rule(Misconfiguration, "no-healthcheck", Severity::Negligible, "Nothing says how to tell whether it is well", None),
        layer(3, Origin::App, rule(Lint, "curl-pipe-shell", Severity::High, "What is downloaded is run without a look at it", None)),
    ]
}

/// What can be told without reading a layer.
pub fn known() -> Scan {
    let mut report = ours();
    report.looked_for = [FindingKind::Misconfiguration, FindingKind::Lint].into();
    Scan { findings: fold(known_findings()), reports: vec![report], ..Scan::default() }
}

/// What is told once all layers were read, by two scanners.
pub fn whole() -> Scan {
    use FindingKind::{Secret, SensitiveFile};
    let mut found = known_findings();
    let mut token = rule(Secret, "github-token", Severity::Critical, "A token of GitHub", Some("srv/app/.git/config"));
    (token.evidence, token.lines) = (Some(Evidence::masked("url = https://ghp_", &"x".repeat(36))), Some((7, 7)));
    found.push(layer(4, Origin::App, token));
    found.push(layer(
        0,
        Origin::Base,
        rule(SensitiveFile, "setuid", Severity::Low, "Runs with its owner's rights", Some("usr/bin/passwd")),
    ));
    let zlib = ("zlib1g", "1:1.2.13.dfsg-1", "deb");
    found.push(layer(0, Origin::Base, vulnerability("CVE-2023-45853", zlib, None, Severity::Critical, "Integer overflow in a zip header")));
    let openssl = ("libssl3", "3.0.11-1~deb12u1", "deb");
    let fixed = Some("3.0.13-1~deb12u1");
    found.push(layer(0, Origin::Base, vulnerability("CVE-2023-5678", openssl, fixed, Severity::Medium, "Slow checks of long X9.42 keys")));
    found.push(layer(
        0,
        Origin::Base,
        vulnerability("CVE-2024-0727", openssl, fixed, Severity::High, "A broken PKCS12 file ends the process"),
    ));
    let jinja = ("jinja2", "3.1.2", "pypi");
    found.push(layer(3, Origin::App, vulnerability("CVE-2024-22195", jinja, Some("3.1.3"), Severity::Medium, "Attributes let scripts in")));
    let mut hidden = vulnerability("CVE-2011-3374", ("apt", "2.6.1", "deb"), None, Severity::Low, "Its keys are not checked");
    hidden.suppressed =
        Some(Suppression { by: "ignore.yaml".into(), status: "ignored".into(), reason: "nobody runs apt-key".into(), until: None });
    found.push(layer(0, Origin::Base, hidden));
    let mut report = ours();
    report.looked_for =
        FindingKind::ALL.into_iter().filter(|kind| *kind != FindingKind::Signature && *kind != FindingKind::Licence).collect();
    report.not_looked_for = vec![NotLooked::new("signature", "the image is of an engine, which keeps none")];
    report.packages = Some(342);
    report.card = vec![
        Check { id: "4.1", title: "A user for the container", outcome: Outcome::Fail, why: "it runs as root".into() },
        Check { id: "4.2", title: "Trusted base images", outcome: Outcome::NotEvaluated, why: "that is for people to say".into() },
        Check { id: "4.6", title: "HEALTHCHECK", outcome: Outcome::Fail, why: "there is none".into() },
        Check { id: "4.7", title: "No update alone", outcome: Outcome::Pass, why: "no step does it".into() },
    ];
    report.scanner.db_date = Some(now() - jiff::SignedDuration::from_hours(72));
    let mut trivy = Report::new("quay-api:2.14.1".into(), Scanner { name: "Trivy".into(), version: Some("0.74.0".into()), db_date: None });
    trivy.looked_for = [FindingKind::Vulnerability].into();
    Scan {
        findings: fold(found),
        reports: vec![report, trivy],
        reach: Reach::Whole,
        inventory: Some(Inventory::default()),
        ..Scan::default()
    }
}

/// Carries out what the deck asks about findings, until it asks for nothing.
pub fn settle(state: &mut State) {
    let kinds = |job: &Job| matches!(job, Job::Scan { .. } | Job::ArrangeFindings { .. });
    while let Some((id, job)) = state.jobs.iter().find(|(_, job)| kinds(job)).map(|(id, job)| (*id, job.clone())) {
        let done = match job {
            Job::Scan { reach: Reach::Known, .. } => JobOutput::Scanned(Shared::new(known())),
            Job::Scan { .. } => JobOutput::Scanned(Shared::new(whole())),
            Job::ArrangeFindings { scan, look } => {
                let arranged = arrange(&scan.findings, &look);
                JobOutput::FindingsArranged { scan, look, arranged }
            }
            _ => return,
        };
        let _ = update(state, Msg::Job(id, JobEvent::Done(done)));
    }
}
