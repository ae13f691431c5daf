//! Reports of other scanners: every format in its variants, counted by hand.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use lighterman::model::finding::{Evidence, FixState, Origin};
use lighterman::model::report::Report;
use lighterman::model::{Digest, Finding, FindingKind, Foreign, Severity, Vex, VexStatement};
use lighterman::scan::import::{self, Imported};

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/reports/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn report(name: &str) -> Report {
    import::report(&sample(name)).unwrap()
}

fn statements() -> Vec<VexStatement> {
    match import::import(&sample("openvex")).unwrap() {
        Imported::Statements(all) => all,
        Imported::Report(_) => panic!("it is no report"),
    }
}

fn find<'a>(report: &'a Report, id: &str) -> &'a Finding {
    report.findings.iter().find(|finding| finding.id.raw() == id).unwrap_or_else(|| panic!("{id} is not there"))
}

fn digest(letter: &str) -> Digest {
    format!("sha256:{}", letter.repeat(64)).parse().unwrap()
}

/// What a sample says, as counted by hand: all, ids, packages, then critical, high, medium, low, negligible, unknown, then fixable and suppressed,
/// and what could not be read.
type Row = (&'static str, &'static str, [usize; 3], [usize; 6], [usize; 3]);

const COUNTED: [Row; 18] = [
    ("trivy-2", "Trivy 0.70.1", [10, 9, 5], [3, 3, 1, 1, 0, 2], [4, 2, 1]),
    ("trivy-1", "Trivy", [3, 3, 2], [0, 1, 1, 1, 0, 0], [2, 0, 0]),
    ("grype-new", "Grype 0.110.0", [4, 4, 4], [1, 1, 0, 0, 1, 1], [2, 2, 0]),
    ("grype-0.7", "Grype 0.7.0", [2, 2, 1], [0, 0, 1, 0, 0, 1], [1, 0, 0]),
    ("clair", "Clair 4", [3, 3, 3], [0, 1, 2, 0, 0, 0], [1, 1, 2]),
    ("harbor-1.1", "Trivy 0.60.0", [2, 2, 2], [1, 0, 0, 0, 1, 0], [1, 0, 0]),
    ("harbor-1.0", "Clair 2.x", [1, 1, 1], [0, 1, 0, 0, 0, 0], [1, 0, 0]),
    ("harbor-clean", "Harbor", [0, 0, 0], [0; 6], [0, 0, 0]),
    ("sarif-trivy", "Trivy 0.60.0", [3, 2, 2], [2, 1, 0, 0, 0, 0], [1, 1, 0]),
    ("sarif-grype", "grype 0.110.0", [2, 2, 2], [0, 0, 2, 0, 0, 0], [0, 0, 0]),
    ("sarif-scout", "docker scout 1.15.0", [2, 2, 2], [0, 1, 0, 1, 0, 0], [1, 0, 0]),
    ("sarif-dockle", "Dockle", [2, 2, 0], [0, 1, 0, 1, 0, 0], [0, 0, 0]),
    ("cyclonedx", "trivy 0.70.0", [3, 2, 2], [0, 0, 0, 2, 0, 1], [2, 1, 0]),
    ("cyclonedx-bom", "syft 1.0", [0, 0, 0], [0; 6], [0, 0, 0]),
    ("osv-scanner", "osv-scanner", [3, 3, 2], [1, 0, 1, 0, 0, 1], [1, 0, 0]),
    ("dockle", "Dockle", [3, 3, 0], [1, 0, 1, 0, 1, 0], [0, 1, 0]),
    ("hadolint", "Hadolint", [5, 4, 0], [0, 1, 2, 0, 2, 0], [0, 0, 0]),
    ("gitleaks", "gitleaks", [1, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0]),
];

#[test]
fn every_format_says_what_was_counted_by_hand() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports")).unwrap().count();
    assert_eq!(files, COUNTED.len() + 1, "every sample is counted, and the one of VEX has no findings");
    for (name, by, counts, severities, [fixable, suppressed, unread]) in COUNTED {
        let report = report(name);
        let summary = report.summary();
        assert_eq!([summary.total, summary.ids, summary.packages], counts, "{name}: all, ids, packages");
        assert_eq!(Severity::ALL.map(|severity| summary.of_severity(severity)), severities, "{name}");
        assert_eq!([summary.fixable, summary.suppressed], [fixable, suppressed], "{name}: fixable, suppressed");
        let left = report.not_looked_for.iter().find(|left| left.what.as_str() == "items of the report");
        assert_eq!(left.map_or("0", |left| left.why.as_str().split(' ').next().unwrap()), unread.to_string(), "{name}");
        let version = report.scanner.version.as_ref().map_or_else(String::new, |version| format!(" {}", version.raw()));
        let scanner = if name == "clair" { "Clair 4".to_owned() } else { format!("{}{version}", report.scanner.name.raw()) };
        assert_eq!(scanner, by, "{name}");
        for finding in &report.findings {
            assert_eq!(finding.said[0].by.raw(), by, "{name}: who says so");
            assert!(report.looked_for.contains(&finding.kind), "{name}: {} was found and not looked for", finding.kind.word());
        }
        let keys: std::collections::HashSet<_> = report.findings.iter().map(|finding| finding.key).collect();
        assert_eq!(keys.len(), report.findings.len(), "{name}: a key for each");
    }
}

#[test]
fn no_secret_of_a_report_is_kept() {
    for (name, ..) in COUNTED {
        let report = report(name);
        assert!(!format!("{report:?}").contains("rawsecret"), "{name}");
        assert!(!serde_json::to_string(&report).unwrap().contains("rawsecret"), "{name}");
    }
    let evidence = |name, id| find(&report(name), id).evidence.as_ref().map(Evidence::as_str).unwrap_or_default().to_owned();
    assert_eq!(evidence("trivy-2", "aws-access-key-id"), "AWS_ACCESS_KEY_ID=******** (20 characters)");
    assert_eq!(evidence("gitleaks", "stripe-access-token"), "stripe_key: ******** (18 characters)");
}

#[test]
fn trivy_is_read_with_all_that_it_knows() {
    let report = report("trivy-2");
    assert_eq!((report.image.raw(), report.digests.as_slice()), ("quay.example/harbour/crane:3", &[digest("2"), digest("1")][..]));
    assert_eq!(report.made.unwrap().to_string(), "2026-03-04T09:11:12.123456789Z");
    assert!(report.may_be_filtered);
    assert_eq!(report.packages, Some(2));
    let one = find(&report, "CVE-2026-0001");
    let package = one.package.as_ref().unwrap();
    assert_eq!((package.kind.raw(), package.source_name.as_ref().unwrap().raw()), ("deb", "openssl"));
    let layer = one.layer.as_ref().unwrap();
    assert_eq!((layer.index, &layer.digest, &layer.diff_id), (Some(1), &Some(digest("c")), &Some(digest("b"))));
    assert_eq!((one.severity_source.raw(), one.score().unwrap().to_string().as_str()), ("debian", "9.8"));
    assert_eq!(one.title.safe().as_str(), "openssl: a\\x1b[31m red title");
    assert_eq!(one.links.len(), 2);
    assert_eq!(find(&report, "CVE-2026-0002").fix_state, FixState::WontFix);
    assert_eq!(find(&report, "CVE-2026-0003").fix_state, FixState::Fixed, "fixed, in no version that is told");
    assert_eq!(find(&report, "CVE-2026-0004").fix_state, FixState::EndOfLife);
    let python = find(&report, "CVE-2026-0005");
    assert_eq!(python.aliases[0].raw(), "GHSA-q2x7-8rv6-6q7h");
    assert_eq!(python.fixed_versions.iter().map(Foreign::raw).collect::<Vec<_>>(), ["3.1.6", "2.11.9"]);
    assert!(python.path.as_ref().unwrap().raw().ends_with("METADATA"));
    let go = find(&report, "CVE-2026-0006");
    assert_eq!((go.path.as_ref().unwrap().raw(), go.package.as_ref().unwrap().version.raw()), ("usr/bin/hoist", "1.22.1"));
    let check = find(&report, "DS-0002");
    assert_eq!((check.kind, check.lines, check.aliases.len()), (FindingKind::Misconfiguration, Some((4, 5)), 2));
    let secrets: Vec<&Finding> = report.findings.iter().filter(|finding| finding.kind == FindingKind::Secret).collect();
    assert_eq!(secrets[0].path.as_ref().unwrap().raw(), "srv/app/.env");
    assert_ne!(secrets[0].key, secrets[1].key);
    let ignored = find(&report, "CVE-2026-0007").suppressed.as_ref().unwrap();
    assert_eq!((ignored.by.raw(), ignored.status.raw(), ignored.reason.raw()), (".trivyignore.yaml", "ignored", "not reached"));
}

#[test]
fn nothing_found_and_not_looked_are_told_apart() {
    let clean = import::report(br#"{"SchemaVersion": 2, "ArtifactName": "x"}"#).unwrap();
    assert!(clean.looked_for.is_empty() && clean.not_looked_for.len() == 4);
    let null = import::report(b"null").unwrap();
    assert!(null.looked_for.is_empty() && null.findings.is_empty());
    assert_eq!(report("trivy-1").looked_for.len(), 1);
    assert!(report("harbor-clean").looked_for.contains(&FindingKind::Vulnerability));
    let bom = report("cyclonedx-bom");
    assert!(bom.looked_for.is_empty() && bom.packages == Some(2));
    assert!(bom.not_looked_for[0].why.as_str().contains("lists none"));
    let empty = import::report(br#"{"runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": []}]}"#).unwrap();
    assert!(empty.looked_for.is_empty() && empty.not_looked_for[0].what.as_str() == "all kinds");
}

#[test]
fn grype_of_today_and_of_old_is_read() {
    let report = report("grype-new");
    assert_eq!(report.digests, [digest("2"), digest("1")]);
    assert_eq!(report.scanner.db_date.unwrap().to_string(), "2026-03-01T00:00:00Z");
    assert!(!report.may_be_filtered, "its configuration says that nothing was left out");
    let log4j = find(&report, "CVE-2026-1001");
    assert_eq!((log4j.epss, log4j.known_exploited), (Some(944), true));
    assert_eq!(log4j.package.as_ref().unwrap().name.raw(), "org.apache.logging.log4j:log4j-core");
    assert_eq!(log4j.layer.as_ref().unwrap().index, Some(1));
    assert_eq!(log4j.said[0].id.raw(), "GHSA-aaaa-bbbb-cccc");
    let tiff = find(&report, "CVE-2026-1002");
    assert_eq!((tiff.severity_source.raw(), tiff.fix_state), ("debian:distro:debian:12", FixState::WontFix));
    assert_eq!((tiff.score().unwrap().0, tiff.package.as_ref().unwrap().source_name.as_ref().unwrap().raw()), (75, "tiff"));
    assert_eq!(find(&report, "ELSA-2026-1").aliases.len(), 0, "an advisory on several keeps its own id, and is none of them");
    let vex = find(&report, "CVE-2026-1006").suppressed.as_ref().unwrap();
    assert_eq!((vex.by.raw(), vex.status.raw(), vex.reason.raw()), ("VEX", "not_affected", "vulnerable_code_not_present"));
    let old = self::report("grype-0.7");
    assert_eq!((old.image.raw(), old.may_be_filtered, old.scanner.db_date.is_some()), ("/srv/app", true, true));
    assert_eq!(find(&old, "CVE-2020-1001").fixed_versions[0].raw(), "1.2.3-r1");
}

#[test]
fn the_tables_of_clair_are_followed_and_folded() {
    let report = report("clair");
    assert_eq!((report.digests.as_slice(), report.packages), (&[digest("2")][..], Some(4)));
    let glibc = find(&report, "CVE-2026-2001");
    assert_eq!((glibc.severity, glibc.severity_source.raw()), (Severity::Medium, "nvd CVSS"));
    assert_eq!((glibc.fix_state, glibc.package.as_ref().unwrap().kind.raw(), glibc.links.len()), (FixState::NotFixed, "deb", 2));
    assert_eq!(glibc.layer.as_ref().unwrap().digest, Some(digest("c")));
    let ladder = find(&report, "CVE-2026-2002");
    assert_eq!((ladder.fixed_versions[0].raw(), ladder.path.as_ref().unwrap().raw()), ("1.9.2", "opt/ladder.jar"));
    assert_eq!((ladder.package.as_ref().unwrap().kind.raw(), ladder.score().unwrap().0), ("maven", 75));
    let requests = find(&report, "RHSA-2026:0892");
    assert_eq!((requests.fix_state, requests.package.as_ref().unwrap().kind.raw()), (FixState::Unknown, "pypi"));
    assert_eq!(find(&report, "CVE-2026-2003").suppressed.as_ref().unwrap().status.raw(), "not_affected");
}

#[test]
fn harbor_sarif_cyclonedx_and_osv_are_read_with_what_they_know() {
    let harbor = report("harbor-1.1");
    let one = find(&harbor, "CVE-2026-3001");
    assert_eq!((harbor.digests.as_slice(), one.fixed_versions.len(), one.title.raw()), (&[digest("2")][..], 2, "first line"));
    assert_eq!(find(&harbor, "CVE-2026-3002").fix_state, FixState::Deferred);
    let sarif = report("sarif-trivy");
    assert_eq!((sarif.image.raw(), sarif.digests.len()), ("library/alpine:3.10", 2));
    let musl = find(&sarif, "CVE-2026-4001");
    assert_eq!((musl.path.as_ref(), musl.fixed_versions[0].raw(), musl.severity_source.raw()), (None, "1.1.20-r5", "rule"));
    let key = find(&sarif, "private-key");
    assert_eq!((key.kind, key.path.as_ref().unwrap().raw(), key.lines), (FindingKind::Secret, "etc/k.pem", Some((2, 7))));
    let grype = report("sarif-grype");
    let zlib = find(&grype, "CVE-2026-4101");
    assert_eq!((zlib.path.as_ref().unwrap().raw(), &zlib.layer.as_ref().unwrap().digest), ("var/lib/dpkg/status", &Some(digest("a"))));
    assert_eq!(find(&grype, "GHSA-gggg-hhhh-jjjj").package.as_ref().unwrap().name.raw(), "left-pad");
    let scout = report("sarif-scout");
    assert_eq!(find(&scout, "CVE-2026-4201").package.as_ref().unwrap().kind.raw(), "npm");
    assert_eq!(find(&scout, "CVE-2026-4202").fix_state, FixState::NotFixed);
    let bom = report("cyclonedx");
    assert_eq!((bom.image.raw(), bom.digests.as_slice()), ("crane:3", &[digest("2"), digest("1")][..]));
    let two: Vec<&Finding> = bom.findings.iter().filter(|finding| finding.id.raw() == "CVE-2026-5001").collect();
    let fixed: Vec<&str> = two.iter().map(|finding| finding.fixed_versions[0].raw()).collect();
    assert_eq!((fixed.as_slice(), two[0].epss, two[0].layer.as_ref().unwrap().index), (&["1.2.14", "1.1"][..], Some(500), Some(1)));
    assert_eq!(two[1].path.as_ref().unwrap().raw(), "opt/app.jar");
    let osv = report("osv-scanner");
    let jinja = find(&osv, "CVE-2026-6001");
    let fixed: Vec<&str> = jinja.fixed_versions.iter().map(Foreign::raw).collect();
    assert_eq!((fixed.as_slice(), jinja.origin, jinja.score().unwrap().0), (&["3.1.6"][..], Origin::App, 98));
    let glibc = find(&osv, "CVE-2026-6002");
    assert_eq!((glibc.origin, glibc.fix_state, glibc.package.as_ref().unwrap().kind.raw()), (Origin::Base, FixState::NotFixed, "deb"));
}

#[test]
fn statements_say_which_findings_do_not_count() {
    let all = statements();
    assert_eq!(all.len(), 2, "one without a weakness is none");
    let report = report("trivy-2");
    let libssl = find(&report, "CVE-2026-0001");
    let vex = Vex::of(&all, &report.digests);
    let why = vex.suppression(libssl).unwrap();
    assert_eq!((why.by.raw(), why.reason.raw()), ("VEX of Harbour Security", "never called"));
    assert_eq!(Vex::of(&all, &[digest("9")]).suppression(libssl), None, "another image");
    assert_eq!(vex.suppression(find(&report, "CVE-2026-0002")), None, "another weakness, of which nobody knows yet");
}

#[test]
fn two_scanners_mean_the_same_finding_by_the_same_key() {
    let one = br#"{"matches":[{"vulnerability":{"id":"CVE-2026-0002"},"artifact":{"name":"tar","version":"1.34","type":"deb","locations":[{"path":"/var/lib/dpkg/status"}]}}]}"#;
    let grype = import::report(one).unwrap();
    assert_eq!(grype.findings[0].key, find(&report("trivy-2"), "CVE-2026-0002").key);
    let harbor =
        import::report(br#"{"generated_at":"","scanner":{},"vulnerabilities":[{"id":"CVE-2026-0002","package":"tar","version":"1.34"}]}"#);
    assert_eq!(harbor.unwrap().findings[0].key, grype.findings[0].key);
}

/// Whatever becomes of a byte of a whole report, the answer is a report or an error.
#[test]
fn changed_bytes_of_whole_reports_are_survived() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for (name, ..) in COUNTED {
        let whole = sample(name);
        let mut refused = 0;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                bytes[at] = if next(2) == 0 { b"\"[]{},:0nt\\ "[next(12)] } else { u8::try_from(next(256)).unwrap() };
            }
            if next(4) == 0 {
                bytes.truncate(next(bytes.len()));
            }
            refused += usize::from(import::import(&bytes).is_err());
        }
        assert!(refused > 0, "{name}: nothing was changed");
    }
}

/// Room and time have bounds, whatever a report repeats.
#[test]
fn a_hundred_megabytes_are_read_and_cut_with_a_word() {
    let filler = "x".repeat(420);
    let mut text = String::from(r#"{"SchemaVersion":2,"Results":[{"Class":"os-pkgs","Vulnerabilities":["#);
    for n in 0..200_007 {
        write!(text, r#"{{"VulnerabilityID":"CVE-2026-{n:07}","PkgName":"p","InstalledVersion":"1","Filler":"{filler}"}},"#).unwrap();
    }
    text.push_str("{}]}]}");
    assert!(text.len() > 100_000_000);
    let report = import::report(text.as_bytes()).unwrap();
    assert_eq!(report.findings.len(), 200_000);
    let left = report.not_looked_for.iter().find(|left| left.what.as_str() == "all items of the report").unwrap();
    assert_eq!(left.why.as_str(), "7 more were left out: too many for one report");
    // Items that come to nothing take no room.
    let many = format!("[{}{{}}]", "{},".repeat(200_000));
    let report = import::report(format!(r#"{{"matches":{many}}}"#).as_bytes()).unwrap();
    assert!(report.findings.is_empty());
}
