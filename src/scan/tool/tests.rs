//! Scanners are stood in for by small programs that print a report, hang, fail, say nothing or too much, or ignore being asked to end.

use std::process::Command;
use tokio::time::Instant;

use super::*;
use crate::model::Severity;

const REPORT: &str = r#"{"SchemaVersion":2,"ArtifactName":"crane:3","Results":[{"Target":"x","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2026-0001","PkgName":"tar","InstalledVersion":"1","Severity":"HIGH"}]}]}"#;

/// A program called `name` in a folder of its own, and the environment that finds it.
fn stub(name: &str, script: &str) -> (tempfile::TempDir, Environment) {
    let dir = tempfile::tempdir().unwrap();
    let (text, program) = (dir.path().join("text"), dir.path().join(name));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    // Another process makes it, so that no copy of this one has it open for writing while it is run.
    assert!(Command::new("install").args(["-m", "755"]).args([&text, &program]).status().unwrap().success());
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let variables = [("PATH", path.as_str()), ("HOME", "/nowhere"), ("GITHUB_TOKEN", "s3cret"), ("TRIVY_SEVERITY", "LOW")];
    let environment = Environment::new(variables.map(|(name, value)| (name.into(), value.into())));
    (dir, environment)
}

fn target() -> Target {
    Target::Engine { reference: "crane:3".to_owned(), is_podman: false, host: Some("unix:///run/x.sock".to_owned()) }
}

const QUICK: Limits = Limits { time: Duration::from_secs(20), output: 1 << 20, grace: Duration::from_millis(300) };

async fn run(script: &str, limits: Limits) -> Result<Report, Problem> {
    let (dir, environment) = stub("trivy", script);
    let found = Found { tool: Tool::Trivy, path: dir.path().join("trivy"), version: Some("0.70.0".into()), db_date: None };
    scan(&Ctx::default(), &found, &target(), &environment, limits).await
}

fn is_alive(pid: &str) -> bool {
    // A process that nobody has waited for yet is over, too.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
}

#[tokio::test]
async fn a_report_is_read_with_what_was_asked_for() {
    let report = run(&format!("echo working >&2; cat <<'E'\n{REPORT}\nE"), QUICK).await.unwrap();
    assert_eq!(report.findings[0].severity, Severity::High);
    assert_eq!(report.scanner.version.unwrap().raw(), "0.70.0");
    let asked: Vec<_> = report.looked_for.iter().copied().collect();
    assert_eq!(asked, Tool::Trivy.looks_for());
    assert!(report.not_looked_for.is_empty(), "{:?}", report.not_looked_for);
    // One that ends with a code because it found something.
    assert!(run(&format!("echo '{REPORT}'; exit 7"), QUICK).await.is_ok());
}

#[tokio::test]
async fn it_gets_its_arguments_and_no_more_of_the_environment_than_it_needs() {
    let script = "[ \"$1 $2 $3\" = 'image --format json' ] && [ \"$DOCKER_HOST\" = unix:///run/x.sock ] && [ -z \"$GITHUB_TOKEN$TRIVY_SEVERITY\" ] \
                  && [ \"$HOME\" = /nowhere ] && [ \"$(pwd)\" = / ] && ! read line || exit 9\n";
    run(&format!("{script}echo '{REPORT}'"), QUICK).await.unwrap();
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let said = async |script: &str| run(script, QUICK).await.unwrap_err().to_string();
    let failed = said("echo 'FATAL no such image https://anna:s3cret@h/' >&2; exit 1").await;
    assert!(failed.contains("exit status: 1") && failed.contains("no such image") && !failed.contains("s3cret"), "{failed}");
    assert!(said("exit 0").await.contains("it said nothing"));
    assert!(said("echo garbage").await.contains("no JSON"));
    assert!(said("echo garbage; echo why >&2; exit 3").await.contains("exit status: 3: why"));
    assert!(said("echo '{\"matches\":[],\"descriptor\":{}}'").await.contains("report of Grype"));
    assert!(said("kill -9 $$").await.contains("signal: 9"));
    let found = Found { tool: Tool::Trivy, path: "/nowhere/trivy".into(), version: None, db_date: None };
    let gone = scan(&Ctx::default(), &found, &target(), &Environment::default(), QUICK).await.unwrap_err();
    assert_eq!(gone.kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn one_that_says_too_much_is_stopped() {
    let began = Instant::now();
    let problem = run("yes 0123456789 | head -c 1000000000", QUICK).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert!(problem.to_string().contains("more than"), "{problem}");
    // And one that complains without end costs nothing.
    let loud = "i=0; yes why 2>/dev/null | head -c 20000000 >&2; echo last >&2; exit 1";
    let problem = run(loud, QUICK).await.unwrap_err().to_string();
    assert!(problem.contains("last"), "{problem}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn one_that_hangs_ends_with_all_it_started_even_if_it_does_not_want_to() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!("trap '' TERM; sleep 300 & echo $! >> {0}; echo $$ >> {0}; while :; do sleep 300; done", pids.display());
    let limits = Limits { time: Duration::from_secs(2), ..QUICK };
    let problem = run(&script, limits).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert!(problem.to_string().contains("longer than 2 s"), "{problem}");
    let all = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(all.lines().count(), 2);
    for pid in all.lines() {
        assert!(!is_alive(pid), "{pid} is left");
    }
}

#[tokio::test]
async fn it_stops_when_the_caller_wishes_or_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let (dir, environment) = stub("trivy", &format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 300", pids.display()));
    let found = Found { tool: Tool::Trivy, path: dir.path().join("trivy"), version: None, db_date: None };
    for leaves in [false, true] {
        let ctx = Ctx::default();
        let target = target();
        let scan = scan(&ctx, &found, &target, &environment, QUICK);
        let started = async {
            while !pids.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if leaves {
                Some(())
            } else {
                ctx.cancel.cancel();
                std::future::pending().await
            }
        };
        let ended = tokio::select! { ended = scan => Some(ended), _ = started => None };
        if let Some(ended) = ended {
            assert!(ended.unwrap_err().is_cancelled());
        }
        let pid = std::fs::read_to_string(&pids).unwrap();
        let began = Instant::now();
        while is_alive(pid.trim()) {
            assert!(began.elapsed() < Duration::from_secs(10), "{pid} is left");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_file(&pids).unwrap();
    }
}

#[tokio::test]
async fn what_it_left_behind_does_not_hold_up_the_report() {
    let began = Instant::now();
    run(&format!("sleep 100 & echo '{REPORT}'"), QUICK).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn scanners_are_found_and_say_who_they_are() {
    let ctx = Ctx::default();
    let (_dir, environment) =
        stub("trivy", r#"echo '{"Version":"0.70.1","VulnerabilityDB":{"Version":2,"UpdatedAt":"2026-03-01T06:00:00Z"}}'"#);
    let trivy = probe(&ctx, Tool::Trivy, &environment).await.unwrap().unwrap();
    assert_eq!((trivy.version.unwrap().raw(), trivy.db_date.unwrap().to_string().as_str()), ("0.70.1", "2026-03-01T06:00:00Z"));
    assert_eq!(probe(&ctx, Tool::Grype, &environment).await.unwrap(), None);
    let script =
        r#"if [ "$1" = version ]; then echo '{"version":"0.110.0"}'; else echo '{"built":"2026-03-02T06:00:00Z","valid":true}'; fi"#;
    let (_dir, environment) = stub("grype", script);
    let grype = probe(&ctx, Tool::Grype, &environment).await.unwrap().unwrap();
    assert_eq!((grype.version.unwrap().raw(), grype.db_date.is_some()), ("0.110.0", true));
    let (_dir, environment) = stub("grype", r#"[ "$1" = version ] && echo garbage"#);
    let odd = probe(&ctx, Tool::Grype, &environment).await.unwrap().unwrap();
    assert_eq!((odd.version, odd.db_date), (None, None), "it is there, and has no database");
    let (_dir, environment) = stub("trivy", "exit 1");
    assert!(probe(&ctx, Tool::Trivy, &environment).await.is_err());
}

#[test]
fn commands_are_those_that_anybody_would_type() {
    let typed = |tool, target: &Target| {
        let all = command(tool, target).unwrap();
        all.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let trivy = "trivy image --format json --quiet --scanners vuln,secret,license --image-config-scanners misconfig,secret --list-all-pkgs";
    let registry = Target::Registry { reference: "h:5000/a@sha256:00".to_owned(), is_plain: true };
    assert_eq!(typed(Tool::Trivy, &target()), format!("{trivy} --image-src docker crane:3"));
    assert_eq!(typed(Tool::Trivy, &registry), format!("{trivy} --image-src remote h:5000/a@sha256:00"));
    assert_eq!(typed(Tool::Trivy, &Target::Layout("/x/y".into())), format!("{trivy} --input /x/y"));
    assert_eq!(typed(Tool::Grype, &target()), "grype -o json -q docker:crane:3");
    assert_eq!(typed(Tool::Grype, &registry), "grype -o json -q registry:h:5000/a@sha256:00");
    assert_eq!(typed(Tool::Grype, &Target::OciArchive("/x.tar".into())), "grype -o json -q oci-archive:/x.tar");
    assert!(typed(Tool::Grype, &Target::DockerArchive("x.tar".into())).contains("docker-archive:/"), "made absolute");
    for bad in ["", "-rf", "--output=/x", "a b", "a\nb", "$(x)", "a;b"] {
        for tool in Tool::ALL {
            assert!(command(tool, &Target::Registry { reference: bad.to_owned(), is_plain: false }).is_err(), "{bad}");
        }
    }
    assert_eq!(extra(Tool::Trivy, &registry)[0].0, "TRIVY_NON_SSL");
}
