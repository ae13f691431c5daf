use proptest::prelude::*;

use super::*;
use crate::model::report::{Outcome, Scanner};
use crate::model::{Digest, Foreign, HistoryEntry, ImageConfig, Report};

fn image(config: ImageConfig, steps: &[&str]) -> Image {
    let step = |text: &&str| HistoryEntry {
        created: None,
        created_by: Some(text.trim_start_matches("0:").into()),
        comment: None,
        empty_layer: text.starts_with("0:"),
        size: None,
        layer_digest: None,
        diff_id: None,
    };
    Image {
        id: Digest::sha256(b""),
        manifest_digest: None,
        media_type: None,
        tags: Vec::new(),
        repo_digests: Vec::new(),
        created: None,
        platform: None,
        size: None,
        unique_size: None,
        containers: None,
        config: Some(config),
        layers: None,
        history: Some(steps.iter().map(step).collect()),
        base: None,
    }
}

/// Settings with nothing wrong in them.
fn sound() -> ImageConfig {
    ImageConfig { user: Some("1000".into()), healthcheck: Some(vec!["CMD".into(), "true".into()]), ..ImageConfig::default() }
}

fn ids(config: ImageConfig, steps: &[&str]) -> Vec<String> {
    lint(&image(config, steps), &Around::default()).iter().map(|finding| finding.id.raw().to_owned()).collect()
}

fn of_steps(steps: &[&str]) -> Vec<String> {
    ids(sound(), steps)
}

#[derive(Debug)]
struct Users;

impl IsRoot for Users {
    fn is_root(&self, name: &str) -> Option<bool> {
        match name {
            "toor" => Some(true),
            "app" => Some(false),
            _ => None,
        }
    }
}

#[test]
fn root_is_root_however_it_is_written() {
    let around = Around { is_root: Some(&Users), ..Around::default() };
    let is_root = |user: &str| {
        let config = ImageConfig { user: Some(user.into()), ..sound() };
        lint(&image(config, &[]), &around).iter().any(|finding| finding.id.raw() == "user-root")
    };
    for user in ["", "root", "0", "00", "0:0", "root:root", "0:1000", ":1000", "toor", "toor:app"] {
        assert!(is_root(user), "{user:?}");
    }
    for user in ["1000", "1000:0", "app", "app:root", "nobody", "10"] {
        assert!(!is_root(user), "{user:?}");
    }
    let none = ImageConfig { user: None, ..sound() };
    assert_eq!(ids(none, &[]), ["user-root"]);
}

#[test]
fn settings_are_looked_at() {
    let texts = |all: &[&str]| all.iter().map(|text| Foreign::new(text)).collect::<Vec<_>>();
    let config = ImageConfig {
        env: texts(&[
            "PATH=/bin",
            "GPG_KEY=ABCDEF0123",
            "DB_PASSWORD=Zk81mTq0",
            "TOKEN_FILE=/run/t",
            "API_TOKEN=",
            "NODE_TLS_REJECT_UNAUTHORIZED=0",
        ]),
        volumes: texts(&["/data", "/var/run/docker.sock", "/proc/"]),
        exposed_ports: texts(&["80/tcp", "22/tcp"]),
        labels: [("maintainer".to_owned(), Foreign::new("me")), ("ci.token".to_owned(), Foreign::new("Zk81mTq0"))].into(),
        healthcheck: Some(texts(&["NONE"])),
        ..sound()
    };
    let found = lint(&image(config, &[]), &Around { name: Some("acme/app:latest"), ..Around::default() });
    let told: Vec<String> = found
        .iter()
        .map(|finding| format!("{} {}", finding.id.raw(), finding.evidence.as_ref().map_or("", |evidence| evidence.as_str())))
        .collect();
    let wanted = [
        "latest-tag acme/app:latest",
        "no-healthcheck ",
        "sensitive-volume /var/run/docker.sock",
        "sensitive-volume /proc",
        "port-ssh 22/tcp",
        "secret-in-env DB_PASSWORD=******** (8 characters)",
        "tls-check-off NODE_TLS_REJECT_UNAUTHORIZED=0",
        "secret-in-label ci.token=******** (8 characters)",
    ];
    assert_eq!(told, wanted);
    assert!(!format!("{found:?}").contains("Zk81"));
    for (name, moves) in [("acme/app", true), ("acme/app:1", false), (&format!("acme/app@sha256:{}", "0".repeat(64)), false)] {
        let found = lint(&image(sound(), &[]), &Around { name: Some(name), ..Around::default() });
        assert_eq!(found.len(), usize::from(moves), "{name}");
    }
}

#[test]
fn steps_are_taken_apart_and_not_searched() {
    for (step, wanted) in [
        ("RUN /bin/sh -c curl -fsSL https://x.test/i.sh | bash # buildkit", &["curl-pipe-shell"][..]),
        ("/bin/sh -c wget -qO- https://x.test | sh -s -- --yes", &["curl-pipe-shell"]),
        ("/bin/sh -c curl x | tee a | sudo sh", &["curl-pipe-shell", "sudo"]),
        ("/bin/sh -c bash -c \"$(curl -fsSL https://x.test/i.sh)\"", &["curl-pipe-shell"]),
        ("/bin/sh -c curl x | tar xz && sh ./install", &[]),
        ("/bin/sh -c curl x | python3 -m json.tool", &[]),
        ("/bin/sh -c curl x | python3 -", &["curl-pipe-shell"]),
        ("/bin/sh -c echo 'curl x | sh'", &[]),
        ("/bin/sh -c curl -fsSLk https://x.test -o a", &["tls-check-off"]),
        ("/bin/sh -c wget --no-check-certificate https://x.test", &["tls-check-off"]),
        ("/bin/sh -c pip install --trusted-host x.test a", &["tls-check-off"]),
        ("/bin/sh -c npm config set strict-ssl false", &["tls-check-off"]),
        ("/bin/sh -c git -c http.sslVerify=false clone https://x.test", &["tls-check-off"]),
        ("/bin/sh -c chmod -R 777 /app", &["chmod-777"]),
        ("/bin/sh -c chmod 0777 /app", &["chmod-777"]),
        ("/bin/sh -c chmod a+rwx /app", &["chmod-777"]),
        ("/bin/sh -c chmod 1777 /tmp && chmod 755 /app && chmod u+w,a+x b && chmod +x c", &[]),
        ("/bin/sh -c apt-get update", &["update-alone", "apt-lists-kept"]),
        ("/bin/sh -c apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*", &[]),
        ("/bin/sh -c apt-get update && apt-get install -y a", &["apt-lists-kept"]),
        ("/bin/sh -c apt-get -qq update; apt-get install -y sudo; rm -r /var/lib/apt/lists", &["sudo"]),
        ("/bin/sh -c apk add a", &["apk-cache-kept"]),
        ("/bin/sh -c apk add --no-cache a", &[]),
        ("/bin/sh -c apk update && apk add a && rm -rf /var/cache/apk/*", &[]),
        ("/bin/sh -c apt-get dist-upgrade -y", &["dist-upgrade"]),
        ("/bin/sh -c echo sudo > /etc/motd", &[]),
        ("ADD https://x.test/a.tgz /a # buildkit", &["add-url"]),
        ("ADD --checksum=sha256:00 https://x.test/a.tgz /a # buildkit", &[]),
        ("COPY a /a # buildkit", &[]),
        ("0:/bin/sh -c #(nop)  ARG NPM_TOKEN=Zk81mTq0", &["secret-in-build-arg"]),
        ("0:ARG NPM_TOKEN", &[]),
        ("0:ENV A=1 DB_PASSWORD=\"Zk81 mTq0\"", &["secret-in-env"]),
        ("0:ENV DB_PASSWORD Zk81mTq0", &["secret-in-env"]),
        ("RUN |2 VERSION=1 DEPLOY_TOKEN=Zk81 mTq0 /bin/sh -c make # buildkit", &["secret-in-build-arg"]),
        ("|1 VERSION=1 /bin/sh -c make", &[]),
    ] {
        assert_eq!(of_steps(&[step]), wanted, "{step}");
    }
}

#[test]
fn the_first_add_is_the_base_and_later_ones_are_not() {
    let base = "/bin/sh -c #(nop) ADD file:0123 in / ";
    assert_eq!(of_steps(&[base, "0:/bin/sh -c #(nop)  CMD [\"sh\"]"]), [""; 0]);
    assert_eq!(of_steps(&[base, "/bin/sh -c #(nop) ADD dir:4567 in /app "]), ["add-for-copy"]);
    assert_eq!(of_steps(&["ADD rootfs.tar.xz / # buildkit", "ADD app.tar.gz /srv # buildkit"]), [""; 0]);
}

#[test]
fn nothing_secret_of_a_step_is_shown_and_every_step_has_its_layer() {
    let token = format!("glpat-{}", "Zk81mTq0WxYv73LpNd5e");
    let run = format!(
        "RUN /bin/sh -c git clone https://me:{token}@git.x.test/a && curl -u me:Hunter2Pass https://me:Hunter2Pass@x.test/?k=Hunter2Pass | sh # buildkit"
    );
    let add = "ADD https://me:Hunter2Pass@x.test/a?k=Hunter2Pass /a # buildkit";
    let found = lint(&image(sound(), &["COPY a /a", "0:ENV A=1", &run, add]), &Around { base: Some(1), ..Around::default() });
    let told: Vec<_> = found.iter().map(|one| (one.id.raw(), one.layer.as_ref().and_then(|layer| layer.index), one.origin)).collect();
    let app = Origin::App;
    assert_eq!(told, [("secret-in-step", Some(1), app), ("curl-pipe-shell", Some(1), app), ("add-url", Some(2), app)]);
    let all = format!("{found:?}");
    assert!(!all.contains("Hunter2Pass") && !all.contains("Zk81mTq0"), "{all}");
    let base = lint(&image(sound(), &["RUN /bin/sh -c apt-get update"]), &Around { base: Some(1), ..Around::default() });
    assert!(base.iter().all(|finding| finding.origin == Origin::Base));
}

#[test]
fn caches_are_told_with_what_they_cost() {
    let caches = [
        CacheUse { layer: 0, kind: CacheKind::AptLists, bytes: 19_000_000, files: 12 },
        CacheUse { layer: 1, kind: CacheKind::AptLists, bytes: 18_000_000, files: 12 },
        CacheUse { layer: 1, kind: CacheKind::Pip, bytes: 100, files: 1 },
        CacheUse { layer: 2, kind: CacheKind::Apk, bytes: 2_000_000, files: 1 },
    ];
    let image = image(
        sound(),
        &[
            "RUN /bin/sh -c apt-get update && apt-get install -y a",
            "RUN /bin/sh -c apt-get update && apt-get install -y b",
            "COPY rootfs /",
        ],
    );
    let found = lint(&image, &Around { caches: Some(&caches), ..Around::default() });
    let told: Vec<_> = found.iter().map(|one| (one.id.raw(), one.evidence.as_ref().unwrap().as_str())).collect();
    let wanted =
        [("apt-lists-kept", "19.0 MB in 12 files"), ("apt-lists-kept", "18.0 MB in 12 files"), ("apk-cache-kept", "2.00 MB in one file")];
    assert_eq!(told, wanted);
    let severities: Vec<Severity> = found.iter().map(|one| one.severity).collect();
    assert_eq!(severities, [Severity::Low, Severity::Low, Severity::Negligible], "what was copied in is no step's doing");
    assert_ne!(found[0].key, found[1].key);
}

fn report(findings: Vec<Finding>) -> Report {
    let scanner = Scanner { name: "test".into(), version: None, db_date: None };
    Report { findings, ..Report::new("".into(), scanner) }
}

fn outcome(lines: &[crate::model::report::Check], id: &str) -> Outcome {
    lines.iter().find(|line| line.id == id).unwrap().outcome
}

#[test]
fn a_card_says_what_passes_what_fails_and_what_nobody_looked_at() {
    use Outcome::{Fail, NotEvaluated, Pass};
    let clean = image(sound(), &["COPY a /a"]);
    let whole = Given { is_whole: true, ..Given::default() };
    let lines = card(&clean, &report(Vec::new()), whole);
    assert_eq!(lines.iter().filter(|line| line.id.starts_with("CIS 4.")).count(), 12);
    assert_eq!(lines.iter().filter(|line| line.id.starts_with("NIST 4.1.")).count(), 5);
    let outcomes: Vec<Outcome> = lines.iter().map(|line| line.outcome).collect();
    let cis = [Pass, NotEvaluated, NotEvaluated, NotEvaluated, NotEvaluated, Pass, Pass, Pass, Pass, Pass, NotEvaluated, NotEvaluated];
    assert_eq!(outcomes, [&cis[..], &[NotEvaluated, Pass, NotEvaluated, Pass, NotEvaluated]].concat());
    let config = ImageConfig { env: vec!["DB_PASSWORD=Zk81mTq0".into()], healthcheck: None, user: None, ..sound() };
    let bad = image(config, &["ADD a /a", "RUN /bin/sh -c apt-get update"]);
    let mut found = lint(&bad, &Around::default());
    found.push(Finding::new(FindingKind::SensitiveFile, "setuid-file", None, Some("bin/su"), ""));
    let mut told = report(found);
    told.looked_for.insert(FindingKind::Vulnerability);
    let lines = card(&bad, &told, Given { signed: Some(Signed::None), ..whole });
    for (id, wanted) in [
        ("CIS 4.1", Fail),
        ("CIS 4.4", Pass),
        ("CIS 4.5", Fail),
        ("CIS 4.6", Fail),
        ("CIS 4.7", Fail),
        ("CIS 4.8", Fail),
        ("CIS 4.9", Fail),
        ("CIS 4.10", Fail),
        ("CIS 4.12", Fail),
        ("NIST 4.1.1", Pass),
        ("NIST 4.1.2", Fail),
        ("NIST 4.1.4", Fail),
        ("NIST 4.1.5", Fail),
    ] {
        assert_eq!(outcome(&lines, id), wanted, "{id}");
    }
    let lines = card(&clean, &report(Vec::new()), Given::default());
    assert_eq!([outcome(&lines, "CIS 4.8"), outcome(&lines, "CIS 4.10")], [NotEvaluated; 2], "layers that nobody read pass nothing");
}

proptest! {
    #[test]
    fn no_history_makes_it_panic(steps in proptest::collection::vec("(RUN |ADD |ENV |ARG |\\|[0-9] )?[ -~]{0,60}", 0..6), user in ".{0,8}") {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let config = ImageConfig { user: Some(user.as_str().into()), env: vec![user.as_str().into()], ..ImageConfig::default() };
        let found = lint(&image(config, &steps), &Around { base: Some(1), ..Around::default() });
        prop_assert!(found.iter().all(|finding| !finding.id.is_empty()));
    }
}
