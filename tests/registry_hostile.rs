//! More faults by their row in the table of faults: slow drips (N11), registries that are killed (N13, N14), redirects that must not be followed
//! (N19) and certificates that don't fit (N35). Each ends in bounded time, says what is wrong, and no credential goes where it shouldn't.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use lighterman::model::{Digest, Problem, ProblemKind};
use lighterman::source::content::Descriptor;
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, HostSettings, RegistrySettings, RegistrySource, Repo, Timers};
use lighterman::source::{Ctx, Source as _};
use serde_json::json;

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/gate.rs"]
mod gate;
#[path = "common/registries.rs"]
mod registries;
#[path = "common/scripted.rs"]
mod scripted;

use certificates::{certificates, certificates_for, self_signed};
use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use gate::Gate;
use registries::{LOGIN, Registry, login};
use scripted::{Reply, Server};

const REPO: &str = "team/app";

fn quick() -> RegistrySettings {
    let timers = Timers {
        connect: Duration::from_millis(800),
        header: Duration::from_millis(500),
        no_progress: Duration::from_millis(400),
        tries: 2,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    RegistrySettings { timers, ..RegistrySettings::default() }
}

/// With the login of `anna` for `host`.
fn anna(settings: RegistrySettings, dir: &Path, host: &str) -> Client {
    Client::new(settings, Credentials::new(vec![login(dir, host)], "".into())).unwrap()
}

fn repo(host: &str) -> Repo {
    Repo::at(host, REPO).unwrap()
}

fn secret() -> String {
    base64::engine::general_purpose::STANDARD.encode(LOGIN)
}

/// Answers of which a byte comes every 20 ms: never a whole head, or never a whole body.
fn drips() -> [(&'static str, Reply); 3] {
    let pace = Duration::from_millis(20);
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}").into_bytes();
    let index = format!("Content-Type: {}\r\n", media::OCI_INDEX);
    [
        ("head", Reply::Trickle(head("200 OK", "X-Slow: "), pace)),
        ("body", Reply::Trickle(head("200 OK", &format!("{index}Content-Length: 100000\r\n\r\n")), pace)),
        ("error", Reply::Trickle(head("500 Oh", "Content-Length: 100000\r\n\r\n"), pace)),
    ]
}

/// N11: one byte at a time is no progress, wherever it drips.
#[tokio::test]
async fn n11_a_slow_drip_ends_in_bounded_time_everywhere() {
    for (what, reply) in drips() {
        let server = Server::new(move |_| reply.clone());
        let host = server.host();
        let client = Client::new(quick(), Credentials::none()).unwrap();
        let source = RegistrySource::new(client.clone(), &host);
        let (ctx, repo) = (Ctx::default(), repo(&host));
        let blob = Descriptor {
            media_type: media::OCI_LAYER.to_owned(),
            digest: Digest::sha256(b"x"),
            size: 100_000,
            platform: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let dripped = |verb: &str, began: Instant, outcome: Option<Problem>| {
            assert!(began.elapsed() < Duration::from_secs(4), "{what}, {verb}: {:?}", began.elapsed());
            let problem = outcome.unwrap_or_else(|| panic!("{what}, {verb}: it went well"));
            assert!(problem.to_string().contains(&host), "{what}, {verb}: {problem}");
            let words = ["nothing moved", "did not answer", "500"];
            assert!(words.iter().any(|words| problem.cause.as_str().contains(words)), "{what}, {verb}: {problem}");
        };
        let began = Instant::now();
        dripped("manifest", began, client.manifest(&repo, "v1").await.err());
        let began = Instant::now();
        dripped("blob", began, client.blob(&ctx, &repo, &blob, 0, || Ok(Vec::new())).await.err());
        let began = Instant::now();
        dripped("tags", began, source.catalog().unwrap().tags(&ctx, REPO, &mut |_| {}).await.err());
        let began = Instant::now();
        dripped("repositories", began, source.catalog().unwrap().repositories(&ctx, &mut |_| {}).await.err());
        let began = Instant::now();
        dripped("referrers", began, client.referrers(&repo, &blob.digest, None).await.err());
        let began = Instant::now();
        dripped("put", began, client.put_manifest(&repo, "v1", media::OCI_MANIFEST, "{}".into()).await.err());
    }
}

/// N11: the same of a server that gives tokens.
#[tokio::test]
async fn n11_a_token_that_drips_ends_in_bounded_time() {
    for (what, reply) in drips() {
        let issuer = Server::new(move |_| reply.clone());
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", issuer.host());
        let registry = Server::new(move |_| Reply::status(401).with("WWW-Authenticate", realm.clone()));
        let began = Instant::now();
        let problem = Client::new(quick(), Credentials::none()).unwrap().manifest(&repo(&registry.host()), "v1").await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(4), "{what}: {:?}", began.elapsed());
        assert!(problem.to_string().contains("token") || problem.to_string().contains(&issuer.host()), "{what}: {problem}");
    }
}

/// N11: whoever waits for a drip can stop waiting at once.
#[tokio::test]
async fn n11_a_drip_is_left_as_soon_as_it_is_cancelled() {
    let patient = Timers { header: Duration::from_secs(60), no_progress: Duration::from_secs(60), ..Timers::default() };
    for (what, reply) in drips() {
        let server = Server::new(move |_| reply.clone());
        let settings = RegistrySettings { timers: patient.clone(), ..RegistrySettings::default() };
        let source = RegistrySource::new(Client::new(settings, Credentials::none()).unwrap(), &server.host());
        let ctx = Ctx::default();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            ctx.cancel.cancel();
            Instant::now()
        };
        let mut each = |_| {};
        let (outcome, stopped) = tokio::join!(source.catalog().unwrap().tags(&ctx, REPO, &mut each), stop);
        assert!(outcome.unwrap_err().is_cancelled(), "{what}");
        assert!(stopped.elapsed() < Duration::from_millis(100), "{what}: {:?}", stopped.elapsed());
    }
}

fn archive(program: &Program) -> &'static str {
    let spec = ImageSpec::new("app:1").layer(&[("bin/x", &vec![7; 12_000_000])]).layer(&[("bin/y", &vec![8; 12_000_000])]);
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::None)).unwrap();
    "oci-archive:a.oci.tar"
}

fn raw(program: &Program, reference: &str) -> Digest {
    let args = ["inspect", "--raw", "--tls-verify=false", reference];
    let output = Command::new("skopeo").args(args).env("HOME", program.home()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Digest::sha256(&output.stdout)
}

fn ended(child: Child, within: Duration) -> common::program::Ran {
    let began = Instant::now();
    let ran = common::program::Ran::from(child.wait_with_output().unwrap());
    assert!(began.elapsed() < within, "{:?}: {}", began.elapsed(), ran.stderr);
    ran
}

fn start(program: &Program, args: &[&str]) -> Child {
    program.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// N13, N14: the target or the source of a copy is killed (SIGKILL) early, in the middle and late, and started again, knowing its uploads or not.
#[test]
fn n13_n14_a_copy_survives_the_death_of_either_side() {
    let Some(binary) = common::require("n13_n14_a_copy_survives_the_death_of_either_side", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    for (knows, at) in [(true, 1_000_000), (false, 13_000_000), (true, 23_000_000), (false, 200_000)] {
        let open = if knows { Registry::with_secret } else { Registry::open };
        let (mut source, mut target) = (open(&binary), open(&binary));
        let (from, to) = (Gate::new(source.port), Gate::new(target.port));
        let program = Program::without_engine();
        let sent = program.json(&["copy", archive(&program), &format!("docker://{}/{REPO}:v1", source.host())]);
        let remote = |gate: &Gate, tag: &str| format!("docker://{}/{REPO}:{tag}", gate.host());
        for side in ["target", "source"] {
            let way = if side == "target" { &to.up } else { &from.down };
            way.allow(at);
            // Each time into a repository of its own, so that everything is sent.
            let there = format!("docker://{}/{side}/app:v1", to.host());
            let child = start(&program, &["copy", &remote(&from, "v1"), &there, "--json"]);
            way.stands();
            if side == "target" {
                target.restart();
            } else {
                source.restart();
            }
            way.allow(u64::MAX);
            let copied = ended(child, Duration::from_secs(60)).ended(0).document();
            assert_eq!(copied["digest"], sent["digest"], "{side} {knows} {at}");
            let direct = format!("docker://{}/{side}/app:v1", target.host());
            assert_eq!(json!(raw(&program, &direct)), sent["digest"]);
            program.run(&["inspect", "--verify", &direct]).ended(0);
        }
    }
}

/// N13: one that stays away is given up in bounded time, and nothing is named there.
#[test]
fn n13_a_target_that_stays_dead_is_named() {
    let Some(binary) = common::require("n13_a_target_that_stays_dead_is_named", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let mut target = Registry::open(&binary);
    let to = Gate::new(target.port);
    let program = Program::without_engine();
    to.up.allow(5_000_000);
    let child = start(&program, &["copy", archive(&program), &format!("docker://{}/{REPO}:v1", to.host())]);
    to.up.stands();
    target.kill();
    to.up.allow(u64::MAX);
    let ran = ended(child, Duration::from_secs(90)).ended(1);
    assert!(ran.stderr.contains(&to.host()), "{}", ran.stderr);
    target.restart();
    assert_eq!(program.run(&["tags", &format!("{}/{REPO}", target.host())]).stdout, "");
}

/// A server that wants the login of `anna`, and sends whoever has it to `there`.
fn sender(there: String) -> Server {
    Server::new(move |request| match request.header("authorization") {
        None => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => Reply::status(307).with("Location", there.clone()),
    })
}

/// N19: a public registry sends nobody to this machine or its network, and nothing is asked there.
#[tokio::test]
async fn n19_a_public_name_leads_to_no_private_address() {
    let dir = tempfile::tempdir().unwrap();
    let private = Server::new(|_| Reply::body("secret"));
    let port = private.port();
    for there in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://192.168.1.1/".to_owned(),
    ] {
        // The public name is reached by way of a proxy, which is this server.
        let public = sender(there.clone());
        let own = HostSettings { proxy: Some(format!("http://{}", public.host())), ..HostSettings::default() };
        let hosts = [("registry.test".to_owned(), own)].into();
        let client = anna(RegistrySettings { hosts, insecure: vec!["registry.test".into()], ..quick() }, dir.path(), "registry.test");
        let began = Instant::now();
        let problem = client.manifest(&repo("registry.test"), "v1").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Denied, "{there}: {problem}");
        assert!(problem.cause.as_str().contains("registry.test redirects to the private address"), "{there}: {problem}");
        assert!(began.elapsed() < Duration::from_secs(2), "{there}");
        assert!(public.seen().iter().all(|request| request.path.starts_with("http://registry.test/")), "{there}: {:?}", public.seen());
    }
    assert!(private.seen().is_empty(), "nothing was asked there");
}

/// N19: loops between two hosts end, and the login stays with its host.
#[tokio::test]
async fn n19_a_loop_between_hosts_ends_and_the_login_stays_at_home() {
    let dir = tempfile::tempdir().unwrap();
    let home = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let back = std::sync::Arc::clone(&home);
    let away = Server::new(move |request| Reply::status(307).with("Location", format!("http://{}{}", back.lock().unwrap(), request.path)));
    let registry = sender(format!("http://{}/v2/x/blobs/y", away.host()));
    *home.lock().unwrap() = registry.host();
    let client = anna(quick(), dir.path(), &registry.host());
    let began = Instant::now();
    let problem = client.manifest(&repo(&registry.host()), "v1").await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(matches!(problem.kind, ProblemKind::Limit | ProblemKind::Denied), "{problem}");
    assert!(registry.seen().len() + away.seen().len() <= 24, "{} {}", registry.seen().len(), away.seen().len());
    assert!(!away.seen().is_empty());
    for request in away.seen() {
        assert!(!format!("{request:?}").contains(&secret()) && request.header("authorization").is_none(), "{request:?}");
    }
}

/// `openssl s_server` in `dir`, which answers with the files below `dir/v2`, heads and all.
struct Tls(Child, u16);

impl Tls {
    fn new(dir: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = port.to_string();
        let args = ["s_server", "-quiet", "-accept", &at, "-cert", "server.pem", "-key", "server.key", "-HTTP"];
        let child = Command::new("openssl").args(args).current_dir(dir).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        Self(child, port)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// N19: nobody is led from TLS to plain text.
#[tokio::test]
async fn n19_tls_leads_to_no_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), "IP:127.0.0.1");
    let plain = Server::new(|_| Reply::body("{}"));
    let folder = dir.path().join("v2").join(REPO).join("manifests");
    std::fs::create_dir_all(&folder).unwrap();
    let answer = format!("HTTP/1.0 307 Away\r\nLocation: http://{}/v2/\r\nContent-Length: 0\r\n\r\n", plain.host());
    std::fs::write(folder.join("v1"), answer).unwrap();
    let server = Tls::new(dir.path());
    let host = format!("127.0.0.1:{}", server.1);
    let own = HostSettings { ca: Some(dir.path().join("ca.pem")), ..HostSettings::default() };
    let client = anna(RegistrySettings { hosts: [(host.clone(), own)].into(), ..quick() }, dir.path(), &host);
    let problem = client.manifest(&repo(&host), "v1").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Denied, "{problem}");
    assert!(problem.cause.as_str().contains("without encryption"), "{problem}");
    assert!(plain.seen().is_empty());
}

/// Makes certificates in a folder.
type Make = fn(&Path);

/// N35: a certificate that has run out, that is another's, that nobody has signed or that an unknown authority has: each is refused at once with its
/// own reason, and the login is not sent.
#[test]
fn n35_each_certificate_that_does_not_fit_is_refused_with_its_reason() {
    let test = "n35_each_certificate_that_does_not_fit_is_refused_with_its_reason";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let other = tempfile::tempdir().unwrap();
    certificates(other.path(), "IP:127.0.0.1");
    let cases: [(&str, Make, bool, &[&str]); 4] = [
        ("expired", |dir| certificates_for(dir, "IP:127.0.0.1", -1), true, &["has expired", "clock"]),
        ("another name", |dir| certificates(dir, "DNS:elsewhere.example"), true, &["elsewhere.example", "another name"]),
        ("self-signed", |dir| self_signed(dir, "IP:127.0.0.1"), false, &["not trusted", "ca"]),
        ("unknown authority", |dir| certificates(dir, "IP:127.0.0.1"), false, &["not trusted", "ca"]),
    ];
    for (what, make, own, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let ca = if own { dir.path().join("ca.pem") } else { other.path().join("ca.pem") };
        let registry = Registry::behind(&binary, dir);
        let gate = Gate::new(registry.port);
        let program = Program::without_engine();
        let config = program.home().join(".config/lighterman");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("config.toml"), format!("[registries.{:?}]\nca = {ca:?}\n", gate.host())).unwrap();
        std::fs::create_dir_all(program.home().join(".docker")).unwrap();
        login(&program.home().join(".docker"), &gate.host());
        let began = Instant::now();
        for args in [&["tags", &format!("{}/{REPO}", gate.host())][..], &["pull", &format!("{}/{REPO}:v1", gate.host())]] {
            let ran = program.run(args).ended(1);
            assert!(ran.stderr.contains(&gate.host()) && ran.stderr.contains("certificate"), "{what}: {}", ran.stderr);
            assert!(words.iter().all(|words| ran.stderr.contains(words)), "{what}: {}", ran.stderr);
        }
        // No second try would mend it: a hello and an alert each time, too little for a request with a login.
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
        assert!(gate.up.passed() < 2 * 1200, "{what}: {} bytes", gate.up.passed());
    }
}

/// N35: plain text on a port where TLS is expected hears no login.
#[tokio::test]
async fn n35_plain_text_where_tls_is_expected_hears_no_login() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), "IP:127.0.0.1");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let ear = std::sync::Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 8192]);
            let read = std::io::Read::read(&mut stream, &mut buffer).unwrap_or(0);
            ear.lock().unwrap().extend_from_slice(&buffer[..read]);
            let challenge = b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            let _ = std::io::Write::write_all(&mut stream, challenge);
        }
    });
    let own = HostSettings { ca: Some(dir.path().join("ca.pem")), ..HostSettings::default() };
    let client = anna(RegistrySettings { hosts: [(host.clone(), own)].into(), ..quick() }, dir.path(), &host);
    let began = Instant::now();
    let problem = client.manifest(&repo(&host), "v1").await.unwrap_err();
    assert!(problem.cause.as_str().contains("does not speak TLS"), "{problem}");
    assert!(problem.hint.unwrap().as_str().contains("insecure"));
    assert!(began.elapsed() < Duration::from_secs(2));
    let heard = heard.lock().unwrap().clone();
    assert!(!heard.is_empty() && !String::from_utf8_lossy(&heard).contains("HTTP/1.1"), "no request went out");
    assert!(!String::from_utf8_lossy(&heard).contains(&secret()));
}
