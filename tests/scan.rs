//! Our own scanner over whole images: what was planted is found, and nothing else; what can't be read is named; what was read is not read again.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::images::{Pack, noise};
use lighterman::model::finding::Origin;
use lighterman::model::report::Outcome;
use lighterman::model::{Digest, Finding, FindingKind, Image, Locator, Problem, ProblemKind, Report, Severity};
use lighterman::scan::advisory::Matched;
use lighterman::scan::builtin::{Options, Scanned, scan};
use lighterman::scan::facts::FactsCache;
use lighterman::source::Ctx;
use lighterman::source::files::FileSource;
use lighterman::work::LayerCache;
use serde_json::{Value, json};

/// A file, or what else a tar may hold.
enum Planted {
    File(&'static str, u32, Vec<u8>),
    Dir(&'static str, u32),
    Link(&'static str, &'static str),
    /// With a value of `security.capability`.
    Capable(&'static str, Vec<u8>),
}

use Planted::{Capable, Dir, File, Link};

fn tar(planted: &[Planted]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    let header = |mode: u32, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(size as u64);
        header
    };
    for one in planted {
        match one {
            File(path, mode, body) => out.append_data(&mut header(*mode, body.len()), path, body.as_slice()).unwrap(),
            Dir(path, mode) => {
                let mut header = header(*mode, 0);
                header.set_entry_type(tar::EntryType::Directory);
                out.append_data(&mut header, path, &[][..]).unwrap();
            }
            Link(path, target) => {
                let mut header = header(0o777, 0);
                header.set_entry_type(tar::EntryType::Symlink);
                out.append_link(&mut header, path, target).unwrap();
            }
            Capable(path, value) => {
                out.append_pax_extensions([("SCHILY.xattr.security.capability", value.as_slice())]).unwrap();
                out.append_data(&mut header(0o755, 4), path, &b"\x7fELF"[..]).unwrap();
            }
        }
    }
    out.into_inner().unwrap()
}

/// An image as a layout: a layer each, the configuration and the steps of its history, of which those with `#` before them made no layer.
fn layout(at: &Path, layers: &[Vec<Planted>], config: &Value, steps: &[&str]) {
    let mut blobs: Vec<Vec<u8>> = Vec::new();
    let (mut diff_ids, mut listed) = (Vec::new(), Vec::new());
    for planted in layers {
        let tar = tar(planted);
        let stored = Pack::Gzip.pack(&tar);
        diff_ids.push(Digest::sha256(&tar));
        listed.push(json!({"mediaType": Pack::Gzip.media_type(), "digest": Digest::sha256(&stored), "size": stored.len()}));
        blobs.push(stored);
    }
    let history: Vec<Value> =
        steps.iter().map(|step| json!({"created_by": step.trim_start_matches('#'), "empty_layer": step.starts_with('#')})).collect();
    let document = json!({"architecture": "amd64", "os": "linux", "config": config, "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let document = serde_json::to_vec(&document).unwrap();
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": listed,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256(&document), "size": document.len()}});
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::sha256(&manifest), "size": manifest.len(), "platform": {"os": "linux", "architecture": "amd64"}}]});
    std::fs::create_dir_all(at.join("blobs/sha256")).unwrap();
    blobs.extend([document, manifest]);
    for blob in blobs {
        std::fs::write(at.join("blobs/sha256").join(Digest::sha256(&blob).hex()), blob).unwrap();
    }
    std::fs::write(at.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    std::fs::write(at.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

async fn open(at: &Path) -> (FileSource, Image) {
    let source = FileSource::open(&Locator::parse(&format!("oci:{}", at.display())).unwrap()).await.unwrap();
    let image = source.inspect_all(&Ctx::default()).await.unwrap().remove(0);
    (source, image)
}

/// Keeps what it reads in `dir`.
fn options(dir: &Path) -> Options {
    Options {
        facts: FactsCache::new(dir.join("facts"), FactsCache::USUAL),
        indexes: Arc::new(LayerCache::new(dir.join("layers"), 64 << 20)),
        base: Some(1),
        name: "acme/app:1".into(),
        signed: None,
        matcher: None,
    }
}

async fn scanned(at: &Path, options: &Options) -> Scanned {
    let (source, image) = open(at).await;
    scan(&source, &Ctx::default(), &image, options, None).await.unwrap()
}

/// What is found, as `SEVERITY ID PATH@LAYER`.
fn told(report: &Report) -> BTreeSet<String> {
    let line = |finding: &Finding| {
        let layer = finding.layer.as_ref().and_then(|layer| layer.index).map_or(String::new(), |layer| format!("@{layer}"));
        let path = finding.path.as_ref().map_or("", |path| path.raw());
        format!("{} {} {path}{layer}", finding.severity.word(), finding.id.raw())
    };
    report.findings.iter().filter(|finding| finding.suppressed.is_none()).map(line).collect()
}

/// Letters that follow no pattern, put together here so that no file of ours has a token in it.
fn letters(seed: u64, length: usize) -> String {
    noise(length + usize::try_from(seed).unwrap()).iter().rev().take(length).map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn token(seed: u64) -> String {
    format!("glpat-{}", letters(seed, 20))
}

/// A key of no use.
fn key() -> String {
    use base64::Engine as _;
    let der: Vec<u8> = [0x30, 0x82, 1, 0x22].into_iter().chain(noise(290)).collect();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn file(path: &'static str, text: &str) -> Planted {
    File(path, 0o644, text.as_bytes().to_vec())
}

/// A base layer as systems have it, with nothing wrong in it.
fn system() -> Vec<Planted> {
    vec![
        Dir("tmp", 0o1777),
        file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
        file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\nboss:x:0:5::/:/bin/sh\n"),
        file("etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"),
        file("etc/group", "root:x:0:\nstaff:x:50:\n"),
        file("var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n"),
        File("usr/bin/passwd", 0o4755, b"\x7fELF\0\0".to_vec()),
        Link("bin", "usr/bin"),
        file("usr/share/doc/tool/README", &format!("for example: {}\n", token(90))),
        file("usr/lib/python3/dist-packages/acme/tests/key.pem", &key()),
        file("etc/ssl/private/ssl-cert-snakeoil.key", &key()),
        file("etc/ssl/certs/ca.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
    ]
}

/// What is planted above the base, and what is to be found of it.
fn planted() -> (Vec<Vec<Planted>>, Vec<&'static str>) {
    let capability = [&[1, 0, 0, 2][..], &(1_u32 << 21).to_le_bytes(), &[0; 12]].concat();
    let layers = vec![
        system(),
        vec![
            file("app/settings.yml", &format!("name: app\ntoken: {}\n", token(1))),
            file("root/.ssh/id_rsa", &key()),
            file("app/.env", "DATABASE=app\n"),
            file("app/old.txt", &format!("{}\n", token(2))),
            file("app/changed.txt", &format!("{}\n", token(3))),
            file("app/gone/.netrc", "machine git.acme.test login me password Zk81\n"),
            File("opt/tool", 0o4755, b"\x7fELF\0\0".to_vec()),
            File("opt/was-setuid", 0o4755, b"\x7fELF\0\0".to_vec()),
            File("opt/open.txt", 0o666, b"text".to_vec()),
            Dir("opt/open", 0o777),
            Dir("opt/sticky", 0o1777),
            Capable("opt/capable", capability),
            file("var/lib/apt/lists/acme_Packages", &"Package: x\n".repeat(20_000)),
        ],
        vec![
            file("app/.wh.old.txt", ""),
            file("app/changed.txt", "nothing\n"),
            file("app/gone/.wh..wh..opq", ""),
            File("opt/was-setuid", 0o755, b"\x7fELF\0\0".to_vec()),
            file("etc/shadow", "root:$6$saltsalt$hashhashhash:19000:0:99999:7:::\nguest::19000:0:99999:7:::\n"),
            file("etc/group", "root:x:0:\nstaff:x:50:\npeople:x:50:\n"),
        ],
    ];
    let wanted = vec![
        "critical gitlab-token app/settings.yml@1",
        "high private-key root/.ssh/id_rsa@1",
        "medium env-file app/.env@1",
        "critical gitlab-token app/old.txt@1",
        "critical gitlab-token app/changed.txt@1",
        "high netrc app/gone/.netrc@1",
        "medium setuid-file opt/tool@1",
        "medium world-writable-file opt/open.txt@1",
        "medium world-writable-directory opt/open@1",
        "medium file-capability opt/capable@1",
        "negligible setuid-file usr/bin/passwd@0",
        "high duplicate-uid etc/passwd@0",
        "high password-hash etc/shadow@2",
        "high empty-password etc/shadow@2",
        "low duplicate-gid etc/group@2",
        "low apt-lists-kept @1",
        "medium user-root @2",
        "negligible no-healthcheck ",
        "high env-secret ",
        "medium curl-pipe-shell @2",
    ];
    (layers, wanted)
}

const STEPS: [&str; 5] = [
    "/bin/sh -c #(nop) ADD file:0123456789 in / ",
    "#/bin/sh -c #(nop)  CMD [\"bash\"]",
    "RUN /bin/sh -c apt-get update && apt-get install -y tool # buildkit",
    "RUN /bin/sh -c curl -fsSL https://acme.test/install.sh | sh # buildkit",
    "#USER boss",
];

fn config() -> Value {
    json!({"User": "boss", "Env": ["PATH=/bin", "GPG_KEY=0123456789ABCDEF", "DB_PASSWORD=Zk81mTq0"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planted_is_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (layers, wanted) = planted();
    layout(&dir.path().join("image"), &layers, &config(), &STEPS);
    let Scanned { report, inventory, .. } = scanned(&dir.path().join("image"), &options(dir.path())).await;
    let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
    assert_eq!(told(&report), wanted);
    let find = |id: &str, path: &str| {
        let is = |finding: &&Finding| finding.id.raw() == id && finding.path.as_ref().is_some_and(|found| found.raw() == path);
        report.findings.iter().find(is).unwrap()
    };
    let title = |id, path| find(id, path).title.raw().to_owned();
    assert_eq!(title("gitlab-token", "app/old.txt"), "GitLab token (still in its layer, removed by a later one)");
    assert_eq!(title("gitlab-token", "app/changed.txt"), "GitLab token (still in its layer, replaced by a later one)");
    assert_eq!(title("netrc", "app/gone/.netrc"), "Logins of machines (still in its layer, removed by a later one)");
    assert_eq!(title("gitlab-token", "app/settings.yml"), "GitLab token");
    let found = find("gitlab-token", "app/settings.yml");
    assert_eq!((found.lines, found.origin, found.kind), (Some((2, 2)), Origin::App, FindingKind::Secret));
    assert_eq!(found.evidence.as_ref().unwrap().as_str(), "glpat-******** (20 characters)");
    assert_eq!(find("duplicate-uid", "etc/passwd").origin, Origin::Base);
    assert!(find("gitlab-token", "usr/share/doc/tool/README").suppressed.is_some());
    let aside = report.findings.iter().filter(|finding| finding.suppressed.is_some());
    assert!(aside.clone().all(|finding| finding.severity == Severity::Negligible));
    assert_eq!(aside.count(), 3);
    let json = serde_json::to_string(&report).unwrap();
    for secret in [&letters(1, 20), &letters(2, 20), "hashhash", "Zk81", key().lines().nth(2).unwrap()] {
        assert!(!json.contains(secret), "{secret}");
    }
    let system = inventory.distribution.unwrap();
    assert_eq!((system.id.raw(), system.version.raw(), inventory.packages.len(), report.packages), ("debian", "12", 1, Some(1)));
    let why: Vec<&str> = report.not_looked_for.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(
        why,
        ["licence", "signature", "vulnerability", "secret in files that are no text", "vulnerability of Java, Ruby, PHP and .NET packages"]
    );
    let fails = |id: &str| report.card.iter().find(|line| line.id == id).unwrap().outcome;
    assert_eq!(["CIS 4.1", "CIS 4.8", "CIS 4.10", "NIST 4.1.4"].map(fails), [Outcome::Fail; 4]);
    assert_eq!(
        ["CIS 4.4", "CIS 4.6", "CIS 4.7", "CIS 4.9"].map(fails),
        [Outcome::NotEvaluated, Outcome::NotEvaluated, Outcome::Pass, Outcome::Pass]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_once_is_not_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (layers, _) = planted();
    let at = dir.path().join("image");
    layout(&at, &layers, &config(), &STEPS);
    let options = options(dir.path());
    let first = scanned(&at, &options).await;
    let (source, image) = open(&at).await;
    for layer in image.layers.as_ref().unwrap() {
        std::fs::remove_file(at.join("blobs/sha256").join(layer.digest.as_ref().unwrap().hex())).unwrap();
    }
    let matched = |inventory: &lighterman::model::Inventory| {
        let package = inventory.packages.keys().next().unwrap();
        let mut finding = Finding::new(FindingKind::Vulnerability, "CVE-2099-0001", None, None, package.name.raw());
        finding.severity = Severity::Critical;
        Ok(Matched { findings: vec![finding], looked_for: [FindingKind::Vulnerability].into(), ..Matched::default() })
    };
    let options = Options { matcher: Some(Arc::new(matched)), ..options };
    let again = scan(&source, &Ctx::default(), &image, &options, None).await.unwrap();
    assert_eq!(again.inventory, first.inventory);
    let mut wanted = told(&first.report);
    wanted.insert("critical CVE-2099-0001 ".to_owned());
    assert_eq!(told(&again.report), wanted);
    assert!(again.report.looked_for.contains(&FindingKind::Vulnerability));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_cannot_be_read_is_named_and_the_rest_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (layers, _) = planted();
    let at = dir.path().join("image");
    layout(&at, &layers, &config(), &STEPS);
    let (source, image) = open(&at).await;
    let top = image.layers.as_ref().unwrap()[2].digest.clone().unwrap();
    std::fs::write(at.join("blobs/sha256").join(top.hex()), b"not what it was").unwrap();
    let found = scan(&source, &Ctx::default(), &image, &options(dir.path()), None).await.unwrap().report;
    assert!(found.not_looked_for.iter().any(|one| one.what.as_str() == "layer 3 of 3"));
    let lines = told(&found);
    assert!(lines.contains("critical gitlab-token app/settings.yml@1") && !lines.iter().any(|line| line.ends_with("etc/shadow@2")));
    assert_eq!(found.card.iter().find(|line| line.id == "CIS 4.8").unwrap().outcome, Outcome::Fail);
    assert!(found.looked_for.contains(&FindingKind::Secret));
    for layer in image.layers.iter().flatten() {
        std::fs::write(at.join("blobs/sha256").join(layer.digest.as_ref().unwrap().hex()), b"not what it was").unwrap();
    }
    let none = scan(&source, &Ctx::default(), &image, &options(&dir.path().join("none")), None).await.unwrap().report;
    assert!(!none.looked_for.contains(&FindingKind::Secret) && !none.looked_for.contains(&FindingKind::SensitiveFile));
    let ctx = Ctx::default();
    ctx.cancel.cancel();
    let problem: Problem = scan(&source, &ctx, &image, &options(&dir.path().join("none")), None).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_come_with_the_layers() {
    let dir = tempfile::tempdir().unwrap();
    let (layers, _) = planted();
    layout(&dir.path().join("image"), &layers, &config(), &STEPS);
    let (source, image) = open(&dir.path().join("image")).await;
    let counts: Arc<Mutex<Vec<usize>>> = Arc::default();
    let list = Arc::clone(&counts);
    let each = move |report: &Report| list.lock().unwrap().push(told(report).len());
    let whole = scan(&source, &Ctx::default(), &image, &options(dir.path()), Some(Arc::new(each))).await.unwrap();
    let counts = counts.lock().unwrap().clone();
    assert_eq!(counts.len(), 4, "the documents, then each layer");
    assert!(counts.is_sorted() && counts[0] >= 3 && counts[3] > counts[0] && counts[3] <= told(&whole.report).len(), "{counts:?}");
}
