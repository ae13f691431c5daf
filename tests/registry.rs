//! The registry client against a real registry, and against scripted servers for what a real one never does.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use lighterman::model::{Digest, ImageKey, Name, Platform, Problem, ProblemKind, StepState};
use lighterman::source::content::Descriptor;
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::{Manifest, media};
use lighterman::source::registry::{Client, Feed, RegistrySettings, RegistrySource, Repo, Timers, Uploaded};
use lighterman::source::{Ctx, Source as _};
use serde_json::json;

mod common;
#[path = "common/scripted.rs"]
mod scripted;

use scripted::{Reply, Request, Server};

/// Timers so short that a test of a stall takes a moment only.
fn quick() -> RegistrySettings {
    let timers = Timers {
        connect: Duration::from_secs(2),
        header: Duration::from_millis(700),
        no_progress: Duration::from_millis(400),
        tries: 3,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    RegistrySettings { timers, ..RegistrySettings::default() }
}

fn client() -> Client {
    Client::new(quick(), Credentials::none()).unwrap()
}

/// A client that has a login for `host`, from a config file as docker writes it.
fn logged_in(dir: &Path, host: &str, entry: &serde_json::Value) -> Client {
    let file = dir.join("config.json");
    std::fs::write(&file, json!({"auths": {host: entry}}).to_string()).unwrap();
    Client::new(quick(), Credentials::new(vec![file], "".into())).unwrap()
}

fn password(dir: &Path, host: &str) -> Client {
    let auth = base64::engine::general_purpose::STANDARD.encode("anna:haven-4711");
    logged_in(dir, host, &json!({"auth": auth}))
}

fn repo(host: &str) -> Repo {
    Repo::of(&Name::new(&format!("{host}/team/app:v1")).reference().unwrap()).unwrap()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media::OCI_LAYER.to_owned(),
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
    }
}

async fn fetch(client: &Client, host: &str, blob: &Descriptor) -> Result<Vec<u8>, Problem> {
    let ctx = Ctx::default();
    let step = ctx.meter.step("blob".into(), Some(blob.size));
    client.blob(&ctx, &repo(host), blob, step, || Ok(Vec::new())).await.map(|fetched| fetched.out)
}

struct Bytesful(Vec<u8>);

impl Feed for Bytesful {
    fn pour(&self, out: &mut dyn std::io::Write) -> Result<(), Problem> {
        out.write_all(&self.0).map_err(|error| Problem::new(ProblemKind::Other, "feed", error.to_string()))
    }
}

async fn send(client: &Client, host: &str, bytes: &[u8]) -> Result<Uploaded, Problem> {
    let ctx = Ctx::default();
    let step = ctx.meter.step("blob".into(), Some(bytes.len() as u64));
    client.push_blob(&ctx, &repo(host), &descriptor(bytes), Arc::new(Bytesful(bytes.to_vec())), None, step).await
}

/// Bytes that differ everywhere.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn manifest() -> String {
    let blob = |kind: &str, c: &str| json!({"mediaType": kind, "digest": format!("sha256:{}", c.repeat(64)), "size": 7});
    json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob(media::OCI_CONFIG, "a"), "layers": [blob(media::OCI_LAYER, "b")]})
        .to_string()
}

fn served(body: impl Into<Vec<u8>>) -> Reply {
    Reply::body(body).with("Content-Type", media::OCI_MANIFEST)
}

#[tokio::test]
async fn a_blob_of_other_bytes_is_refused() {
    let server = Server::new(|_| Reply::body(vec![1; 1000]));
    let problem = fetch(&client(), &server.host(), &descriptor(&[2; 1000])).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt);
    assert_eq!(server.seen().len(), 1, "wrong from the start is not tried again");
}

#[tokio::test]
async fn a_blob_of_another_size_is_refused_before_it_is_read() {
    let server = Server::new(|_| Reply::body(vec![1; 1001]));
    let problem = fetch(&client(), &server.host(), &descriptor(&[1; 1000])).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt);
    let endless = Server::new(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![1; 4096]));
    let problem = fetch(&client(), &endless.host(), &descriptor(&[1; 10_000])).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem}");
}

/// Answers the whole with its first part only, and a Range as `ranged` says.
fn breaking(whole: Vec<u8>, cut: usize, ranged: impl Fn(&[u8], usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::new(move |request| {
        if let Some(from) = request.range() {
            return ranged(&whole, from);
        }
        let mut raw = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len()).into_bytes();
        raw.extend_from_slice(&whole[..cut]);
        Reply::Raw(raw)
    })
}

fn rest(whole: &[u8], from: usize) -> Reply {
    let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
    Reply::Plain(206, vec![("Content-Range", range)], whole[from..].to_vec())
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_where_it_broke() {
    let whole = noise(100_000);
    for cut in [1, 50_000, 99_999] {
        let server = breaking(whole.clone(), cut, rest);
        assert_eq!(fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap(), whole);
        assert_eq!(server.seen().last().unwrap().range(), Some(cut));
    }
}

#[tokio::test]
async fn a_range_answered_with_the_whole_is_not_appended() {
    let whole = noise(100_000);
    let server = breaking(whole.clone(), 30_000, |whole, _| Reply::body(whole));
    assert_eq!(fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap(), whole);
}

#[tokio::test]
async fn a_wrong_content_range_is_never_stitched() {
    let whole = noise(100_000);
    for range in ["bytes 0-69999/100000", "bytes 30000-99998/100000", "bytes 30000-99999/*", "nonsense"] {
        let server = breaking(whole.clone(), 30_000, move |whole, from| {
            Reply::Plain(206, vec![("Content-Range", range.to_owned())], whole[from..].to_vec())
        });
        let problem = fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Corrupt);
        assert_eq!(server.seen().len(), 4, "once more from the start, and no more");
    }
}

#[tokio::test]
async fn a_connection_that_always_breaks_ends_in_a_problem() {
    let whole = noise(100_000);
    let server = breaking(whole.clone(), 10, |whole, from| {
        let head = format!("HTTP/1.1 206 X\r\nContent-Length: {}\r\nContent-Range: bytes {from}-99999/100000\r\n\r\n", whole.len() - from);
        Reply::Raw([head.as_bytes(), &whole[from..from + 10]].concat())
    });
    let problem = fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unreachable);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn trickles_and_silence_end_in_time() {
    let began = Instant::now();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    let slow = Server::new(move |_| Reply::Trickle(head.clone(), Duration::from_millis(20)));
    let problem = fetch(&client(), &slow.host(), &descriptor(&noise(100_000))).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unreachable);
    assert!(problem.cause.as_str().contains("nothing moved"), "{problem}");
    let silent = Server::new(|_| Reply::Silent);
    let problem = client().manifest(&repo(&silent.host()), "v1").await.unwrap_err();
    assert!(problem.cause.as_str().contains("did not answer"), "{problem}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_manifest_is_verified_and_bounded() {
    let server = Server::new(|request| {
        let most = 4 << 20;
        match request.path.rsplit('/').next().unwrap() {
            "huge" => served(vec![b' '; most + 1]),
            "long" => Reply::Endless(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_vec(), vec![b' '; 65536]),
            "twice" => served(manifest().replacen("{\"config\"", "{\"layers\":[],\"config\"", 1)),
            "wrong-type" => Reply::body(manifest()).with("Content-Type", media::OCI_INDEX),
            _ => served(manifest()),
        }
    });
    let (client, repo) = (client(), repo(&server.host()));
    let good = client.manifest(&repo, "good").await.unwrap();
    assert_eq!(good.digest, Digest::sha256(manifest().as_bytes()));
    assert!(matches!(good.manifest, Manifest::Image(_)));
    let accept = server.seen()[0].header("accept").unwrap().to_owned();
    assert_eq!(accept.split(", ").count(), 6);
    assert!(server.seen()[0].header("user-agent").unwrap().starts_with("lighterman/"));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(client.manifest(&repo, "huge").await.unwrap_err().kind, ProblemKind::Limit);
    assert_eq!(client.manifest(&repo, "long").await.unwrap_err().kind, ProblemKind::Limit);
    let twice = client.manifest(&repo, "twice").await.unwrap_err();
    assert!(twice.kind == ProblemKind::Corrupt && twice.cause.as_str().contains("layers"), "{twice}");
    assert_eq!(client.manifest(&repo, "wrong-type").await.unwrap_err().kind, ProblemKind::Corrupt);
    let asked = Digest::sha256(b"something else");
    assert_eq!(client.manifest(&repo, asked.as_str()).await.unwrap_err().kind, ProblemKind::Corrupt);
}

#[tokio::test]
async fn head_falls_back_to_get() {
    let server = Server::new(|request| match (request.method.as_str(), request.path.rsplit('/').next().unwrap()) {
        ("HEAD", "refused") => Reply::status(405),
        ("HEAD", "mute") => Reply::status(200),
        ("HEAD", _) => Reply::status(404),
        _ => served(manifest()),
    });
    let (client, repo) = (client(), repo(&server.host()));
    for tag in ["refused", "mute"] {
        let stat = client.stat(&repo, tag).await.unwrap().unwrap();
        assert_eq!(stat.digest, Digest::sha256(manifest().as_bytes()));
    }
    assert_eq!(client.stat(&repo, "absent").await.unwrap(), None);
}

#[tokio::test]
async fn trouble_is_waited_out_and_bounded() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let server = Server::new(move |request| {
        let nth = seen.fetch_add(1, Ordering::SeqCst);
        match request.path.rsplit('/').next().unwrap() {
            "recovers" if nth < 2 => Reply::status(503),
            "down" => Reply::status(500),
            "later" => Reply::status(429).with("Retry-After", "86400"),
            "soon" if nth == 0 => Reply::status(429).with("Retry-After", "1"),
            _ => served(manifest()),
        }
    });
    let repo = repo(&server.host());
    assert!(client().manifest(&repo, "recovers").await.is_ok());
    let problem = client().manifest(&repo, "down").await.unwrap_err();
    assert!(problem.cause.as_str().contains("500"), "{problem}");
    assert_eq!(server.count("GET", "down"), 3);
    let later = client().manifest(&repo, "later").await.unwrap_err();
    assert!(later.hint.unwrap().as_str().contains("retry at"));
    assert_eq!(server.count("GET", "later"), 1);
    count.store(0, Ordering::SeqCst);
    let began = Instant::now();
    assert!(client().manifest(&repo, "soon").await.is_ok());
    assert!(began.elapsed() >= Duration::from_millis(990));
}

#[tokio::test]
async fn redirects_carry_no_login_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let whole = noise(5000);
    let bytes = whole.clone();
    let store = Server::new(move |_| Reply::body(bytes.clone()));
    let there = format!("http://{}/cdn?signature=secret", store.host());
    let registry = Server::new(move |request| match request.header("authorization") {
        None => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => Reply::status(307).with("Location", there.clone()),
    });
    let client = password(dir.path(), &registry.host());
    assert_eq!(fetch(&client, &registry.host(), &descriptor(&whole)).await.unwrap(), whole);
    assert!(registry.seen()[1].header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(store.seen().len(), 1);
    assert_eq!(store.seen()[0].header("authorization"), None);
    // A failure there names the place, not the signed part of its address.
    drop(store);
    let problem = fetch(&client, &registry.host(), &descriptor(&whole)).await.unwrap_err();
    assert!(!format!("{problem} {problem:?}").contains("signature"), "{problem:?}");
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::new(|_| Reply::status(302).with("Location", "/v2/again"));
    let problem = client().manifest(&repo(&server.host()), "v1").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit);
    assert_eq!(server.seen().len(), 11);
    for bad in ["", "file:///etc/passwd", "http://u:p@127.0.0.1/"] {
        let server = Server::new(move |_| Reply::status(302).with("Location", bad));
        assert_eq!(client().manifest(&repo(&server.host()), "v1").await.unwrap_err().kind, ProblemKind::Denied, "{bad}");
    }
}

/// A registry that wants `Bearer good`, and says where to get it.
fn bearer(realm: String) -> Server {
    Server::new(move |request| match request.header("authorization") {
        Some("Bearer good") => served(manifest()),
        _ => Reply::status(401)
            .with("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:team/app:pull\"")),
    })
}

fn token(text: &str) -> Reply {
    Reply::body(json!({"token": text, "expires_in": 300}).to_string())
}

#[tokio::test]
async fn tokens_are_fetched_with_the_login_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Server::new(|_| token("good"));
    let registry = bearer(format!("http://{}/token", issuer.host()));
    let client = password(dir.path(), &registry.host());
    let repo = repo(&registry.host());
    client.manifest(&repo, "v1").await.unwrap();
    client.manifest(&repo, "v2").await.unwrap();
    let asked = issuer.seen();
    assert_eq!(asked.len(), 1, "one token serves both");
    assert!(asked[0].path.contains("scope=repository%3Ateam%2Fapp%3Apull"), "{}", asked[0].path);
    let basic = base64::engine::general_purpose::STANDARD.encode("anna:haven-4711");
    assert_eq!(asked[0].header("authorization"), Some(format!("Basic {basic}").as_str()));
    assert_eq!(registry.seen().len(), 3);
}

#[tokio::test]
async fn an_identity_token_is_sent_as_a_form() {
    let dir = tempfile::tempdir().unwrap();
    let issuer =
        Server::new(|request| if request.method == "POST" { Reply::body("{\"access_token\":\"good\"}") } else { Reply::status(400) });
    let registry = bearer(format!("http://{}/token", issuer.host()));
    let client = logged_in(dir.path(), &registry.host(), &json!({"auth": "PHRva2VuPjo=", "identitytoken": "ref resh"}));
    client.manifest(&repo(&registry.host()), "v1").await.unwrap();
    let form = String::from_utf8(issuer.seen()[0].body.clone()).unwrap();
    assert!(
        form.contains("grant_type=refresh_token") && form.contains("refresh_token=ref+resh") && form.contains("scope=repository"),
        "{form}"
    );
}

#[tokio::test]
async fn a_realm_elsewhere_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let thief = Server::new(|_| token("good"));
    for realm in [format!("http://localhost:{}/token", thief.port()), "file:///etc/passwd".into(), "http://169.254.169.254/".into()] {
        let registry = bearer(realm);
        let problem = password(dir.path(), &registry.host()).manifest(&repo(&registry.host()), "v1").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Denied);
    }
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let replies = [
        ("characters", token("go\nod")),
        ("64 KiB", token(&"a".repeat(10 << 20))),
        ("no token", Reply::body("{}")),
        ("did not answer with a token", Reply::body("<html>")),
        ("403", Reply::status(403)),
        ("500", Reply::status(500)),
    ];
    for (words, reply) in replies {
        let issuer = Server::new(move |_| reply.clone());
        let registry = bearer(format!("http://{}/token", issuer.host()));
        let problem = client().manifest(&repo(&registry.host()), "v1").await.unwrap_err();
        assert!(problem.cause.as_str().contains(words), "{words}: {problem}");
        assert!(issuer.seen().len() <= 3);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let issuer = Server::new(|_| token("stale"));
    let registry = bearer(format!("http://{}/token", issuer.host()));
    let problem = client().manifest(&repo(&registry.host()), "v1").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Denied);
    assert!(registry.seen().len() <= 2 && issuer.seen().len() == 1);
}

#[tokio::test]
async fn a_token_that_runs_out_is_renewed() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let issuer = Server::new(move |_| token(&format!("t{}", count.fetch_add(1, Ordering::SeqCst))));
    let realm = format!("http://{}/token", issuer.host());
    let good = Arc::clone(&given);
    let registry = Server::new(move |request| {
        // Each token is good for one request only: the newest that was not used yet.
        let newest = format!("Bearer t{}", good.load(Ordering::SeqCst).wrapping_sub(1));
        if request.path.ends_with("v2") && good.load(Ordering::SeqCst) < 2 || request.header("authorization") != Some(newest.as_str()) {
            return Reply::status(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\""));
        }
        served(manifest())
    });
    let (client, repo) = (client(), repo(&registry.host()));
    client.manifest(&repo, "v1").await.unwrap();
    client.manifest(&repo, "v2").await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

/// An upload server that keeps what it gets; `location` is what POST answers.
fn uploads(location: impl Fn(&Request) -> String + Send + Sync + 'static) -> Server {
    Server::new(move |request| match request.method.as_str() {
        "HEAD" => Reply::status(404),
        "POST" => Reply::status(202).with("Location", location(request)),
        "PUT" => Reply::status(201),
        _ => Reply::status(400),
    })
}

#[tokio::test]
async fn an_upload_location_is_joined_by_the_rules_of_urls() {
    let bytes = noise(200_000);
    let server = uploads(|_| "session-1?_state=a%2Fb#frag".into());
    assert_eq!(send(&client(), &server.host(), &bytes).await.unwrap(), Uploaded::Sent);
    let put = server.seen().into_iter().find(|request| request.method == "PUT").unwrap();
    assert!(put.path.starts_with("/v2/team/app/blobs/uploads/session-1?_state=a%2Fb&digest=sha256%3A"), "{}", put.path);
    assert_eq!(put.body, bytes);
}

#[tokio::test]
async fn an_upload_to_another_host_carries_no_login() {
    let dir = tempfile::tempdir().unwrap();
    let other = uploads(|_| String::new());
    let there = format!("//{}/bucket?x=1", other.host());
    let registry = Server::new(move |request| match (request.method.as_str(), request.header("authorization")) {
        (_, None) => Reply::status(401).with("WWW-Authenticate", "Basic realm=x"),
        ("POST", _) => Reply::status(202).with("Location", there.clone()),
        _ => Reply::status(404),
    });
    let client = password(dir.path(), &registry.host());
    assert_eq!(send(&client, &registry.host(), b"hello").await.unwrap(), Uploaded::Sent);
    assert_eq!(other.seen()[0].header("authorization"), None);
    assert_eq!(other.seen()[0].body, b"hello");
}

#[tokio::test]
async fn a_lost_session_starts_again_from_post() {
    let puts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&puts);
    let server = Server::new(move |request| match request.method.as_str() {
        "POST" => Reply::status(202).with("Location", "/upload/1"),
        "PUT" if count.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(404),
        "PUT" => Reply::status(201),
        _ => Reply::status(404),
    });
    assert_eq!(send(&client(), &server.host(), &noise(300_000)).await.unwrap(), Uploaded::Sent);
    assert_eq!((server.count("POST", ""), server.count("PUT", "")), (2, 2));
}

#[tokio::test]
async fn chunks_are_sent_where_one_piece_is_refused() {
    let whole = noise(10_000_000);
    let received = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (kept, first) = (Arc::clone(&received), AtomicUsize::new(0));
    let server = Server::new(move |request| match request.method.as_str() {
        "POST" => Reply::status(202).with("Location", "/upload/a"),
        "PUT" if first.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(413),
        "PUT" => Reply::status(201),
        "PATCH" => {
            let mut kept = kept.lock().unwrap();
            assert_eq!(request.header("content-range").unwrap().split('-').next().unwrap(), kept.len().to_string());
            kept.extend_from_slice(&request.body);
            Reply::status(202).with("Location", format!("/upload/{}", kept.len())).with("Range", format!("0-{}", kept.len() - 1))
        }
        _ => Reply::status(404),
    });
    assert_eq!(send(&client(), &server.host(), &whole).await.unwrap(), Uploaded::Sent);
    assert_eq!(*received.lock().unwrap(), whole);
    assert!(server.seen().last().unwrap().path.starts_with("/upload/10000000?digest="));
}

#[tokio::test]
async fn a_web_server_that_says_yes_to_everything_is_no_registry() {
    let server = Server::new(|_| Reply::body("<html>welcome</html>"));
    let bytes = Bytes::from(manifest());
    let problem = client().put_manifest(&repo(&server.host()), "v1", media::OCI_MANIFEST, bytes).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem}");
}

#[tokio::test]
async fn what_a_registry_still_gives_is_its_newest_word_and_nobody_elses() {
    let elsewhere = Server::new(|_| served(manifest()).with("ratelimit-limit", "5;w=60").with("ratelimit-remaining", "1;w=60"));
    let (there, left) = (elsewhere.host(), AtomicUsize::new(97));
    let server = Server::new(move |request| {
        if request.path.ends_with("/silent") {
            return served(manifest());
        }
        if request.path.ends_with("/moved") {
            return Reply::status(307).with("Location", format!("http://{there}{}", request.path));
        }
        let status = if request.path.ends_with("/none") { Reply::status(404) } else { served(manifest()) };
        let left = left.fetch_sub(1, Ordering::SeqCst) - 1;
        status.with("RateLimit-Limit", "100;w=21600").with("RateLimit-Remaining", format!("{left};w=21600"))
    });
    let source = RegistrySource::new(client(), &server.host());
    let quota = || source.catalog().unwrap().quota().map(|quota| quota.to_string());
    assert_eq!(quota(), None);
    let read = async |tag: &str| source.client().manifest(&repo(&server.host()), tag).await.map(drop);
    read("v1").await.unwrap();
    assert_eq!(quota().as_deref(), Some("96 of 100 requests left, counted over 6 h"));
    read("silent").await.unwrap();
    read("moved").await.unwrap();
    assert_eq!(quota().as_deref(), Some("96 of 100 requests left, counted over 6 h"));
    read("none").await.unwrap_err();
    assert_eq!(quota().as_deref(), Some("95 of 100 requests left, counted over 6 h"));
    assert_eq!(source.client().quota(&elsewhere.host()), None);
    assert_eq!(source.client().quotas().len(), 1);
}

#[tokio::test]
async fn a_cancelled_inspect_ends_at_once() {
    let server = Server::new(|_| Reply::Silent);
    let mut settings = quick();
    settings.timers.header = Duration::from_secs(60);
    let source = RegistrySource::new(Client::new(settings, Credentials::none()).unwrap(), &server.host());
    let key = ImageKey::Name(Name::new(&format!("{}/team/app:v1", server.host())).reference().unwrap());
    let ctx = Ctx::default();
    let cancel = ctx.cancel.clone();
    let canceller = std::thread::spawn({
        let seen = Instant::now();
        move || {
            while seen.elapsed() < Duration::from_millis(50) {
                std::thread::yield_now();
            }
            cancel.cancel();
        }
    });
    let began = Instant::now();
    assert!(source.inspect(&ctx, &key).await.unwrap_err().is_cancelled());
    assert!(began.elapsed() < Duration::from_secs(5));
    canceller.join().unwrap();
}

/// Pushes a one-layer image of `platform` and gives its manifest's descriptor.
async fn push_image(client: &Client, host: &str, architecture: &str) -> Descriptor {
    let ctx = Ctx::default();
    let repo = repo(host);
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_cksum();
    layer.append_data(&mut header, format!("etc/{architecture}"), &b"hello"[..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let config = json!({
        "architecture": architecture, "os": "linux", "created": "2025-05-05T05:05:05Z", "config": {"Env": ["A=1"], "Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]},
        "history": [{"created_by": "ENV A=1", "empty_layer": true}, {"created_by": "COPY x /"}]
    })
    .to_string()
    .into_bytes();
    let mut config_blob = descriptor(&config);
    config_blob.media_type = media::OCI_CONFIG.into();
    for bytes in [&layer, &config] {
        let step = ctx.meter.step("x".into(), None);
        client.push_blob(&ctx, &repo, &descriptor(bytes), Arc::new(Bytesful(bytes.clone())), None, step).await.unwrap();
    }
    let body = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": config_blob.digest, "size": config_blob.size},
        "layers": [{"mediaType": media::OCI_LAYER, "digest": Digest::sha256(&layer), "size": layer.len()}]
    })
    .to_string();
    let digest = client.put_manifest(&repo, architecture, media::OCI_MANIFEST, Bytes::from(body.clone())).await.unwrap();
    let mut at = descriptor(body.as_bytes());
    assert_eq!(at.digest, digest);
    at.media_type = media::OCI_MANIFEST.into();
    at.platform = Some(Platform::new("linux", architecture, None));
    at
}

#[tokio::test]
async fn a_real_registry_takes_and_gives_images_and_indexes() {
    let Some(host) = common::registry("a_real_registry_takes_and_gives_images_and_indexes") else { return };
    let client = client();
    let repo = repo(&host);
    let mut children = Vec::new();
    for architecture in [Platform::host().architecture.as_str(), "riscv64"] {
        let at = push_image(&client, &host, architecture).await;
        children.push(lighterman::source::oci::descriptor_json(&at));
    }
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children}).to_string();
    let digest = client.put_manifest(&repo, "multi", media::OCI_INDEX, Bytes::from(index)).await.unwrap();
    let stat = client.stat(&repo, "multi").await.unwrap().unwrap();
    assert_eq!((stat.digest, stat.media_type.as_str()), (digest.clone(), media::OCI_INDEX));
    let source = RegistrySource::new(client.clone(), &host);
    let reference = Name::new(&format!("{host}/team/app:multi")).reference().unwrap();
    let all = source.inspect_all(&Ctx::default(), &reference).await.unwrap();
    assert_eq!(all.len(), 2);
    let one = source.inspect(&Ctx::default(), &ImageKey::Name(reference.clone())).await.unwrap();
    assert_eq!(one.platform, Some(Platform::host()));
    assert_eq!(one.repo_digests[0].raw(), format!("{host}/team/app@{digest}"));
    assert_eq!(one.history.unwrap().len(), 2);
    let none = source.inspect_platform(&Ctx::default(), &reference, &Platform::new("plan9", "mips", None)).await.unwrap_err();
    assert!(none.hint.unwrap().as_str().contains("linux/riscv64"));
    assert_eq!(client.stat(&repo, "absent").await.unwrap(), None);
    let absent = client.manifest(&repo, "absent").await.unwrap_err();
    assert!(absent.kind == ProblemKind::NotFound && absent.cause.as_str().contains("MANIFEST_UNKNOWN"), "{absent}");
    let list = source.list(&Ctx::default()).await.unwrap_err();
    assert_eq!(list.kind, ProblemKind::Unsupported);
}

#[tokio::test]
async fn a_real_registry_mounts_and_skips() {
    let Some(host) = common::registry("a_real_registry_mounts_and_skips") else { return };
    let client = client();
    let bytes = noise(3_000_000);
    let ctx = Ctx::default();
    let feed = || Arc::new(Bytesful(noise(3_000_000)));
    let unique = format!("t{}-{:?}", std::process::id(), Instant::now()).replace(|c: char| !c.is_ascii_digit(), "");
    let at = |name: &str| Repo::of(&Name::new(&format!("{host}/m{unique}/{name}:x")).reference().unwrap()).unwrap();
    let step = ctx.meter.step("blob".into(), Some(3_000_000));
    let blob = descriptor(&bytes);
    assert_eq!(client.push_blob(&ctx, &at("a"), &blob, feed(), None, step).await.unwrap(), Uploaded::Sent);
    assert_eq!(ctx.meter.snapshot().steps[step].done, 3_000_000);
    assert_eq!(ctx.meter.snapshot().steps[step].state, StepState::Running);
    assert_eq!(client.push_blob(&ctx, &at("a"), &blob, feed(), None, step).await.unwrap(), Uploaded::Present);
    assert_eq!(client.push_blob(&ctx, &at("b"), &blob, feed(), Some(&at("a")), step).await.unwrap(), Uploaded::Mounted);
    assert_eq!(client.push_blob(&ctx, &at("c"), &blob, feed(), Some(&at("none")), step).await.unwrap(), Uploaded::Sent);
    assert_eq!(client.blob(&ctx, &at("c"), &blob, step, || Ok(Vec::new())).await.unwrap().out, bytes);
}

/// A registry of the test's own, with a password; stopped when dropped.
struct Guarded {
    child: std::process::Child,
    host: String,
    _dir: tempfile::TempDir,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn guarded(binary: &str) -> Guarded {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // bcrypt of haven-4711, cost 5
    let line = "anna:$2y$05$abcdefghijklmnopqrstuue3tyuU6i5NYdJfDhJ/mX9owk7IeSUKG\n";
    std::fs::write(dir.path().join("users"), line).unwrap();
    let root = dir.path().display();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}', secret: s}}\n\
         auth: {{htpasswd: {{realm: haven, path: {root}/users}}}}\n"
    );
    std::fs::File::create(dir.path().join("config.yml")).unwrap().write_all(config.as_bytes()).unwrap();
    let mut command = std::process::Command::new(binary);
    command.arg("serve").arg(dir.path().join("config.yml"));
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the registry did not start");
        std::thread::yield_now();
    }
    Guarded { child, host: format!("127.0.0.1:{port}"), _dir: dir }
}

#[tokio::test]
async fn a_real_registry_with_a_password_wants_it() {
    let Some(binary) = common::require("a_real_registry_with_a_password_wants_it", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = guarded(&binary);
    let dir = tempfile::tempdir().unwrap();
    let good = password(dir.path(), &registry.host);
    assert_eq!(send(&good, &registry.host, &noise(2_000_000)).await.unwrap(), Uploaded::Sent);
    assert_eq!(fetch(&good, &registry.host, &descriptor(&noise(2_000_000))).await.unwrap(), noise(2_000_000));
    let nobody = send(&client(), &registry.host, b"x").await.unwrap_err();
    assert!(nobody.kind == ProblemKind::Denied && nobody.hint.as_ref().unwrap().as_str().contains("docker login"), "{nobody}");
    let other = tempfile::tempdir().unwrap();
    let wrong = logged_in(other.path(), &registry.host, &json!({"auth": base64::engine::general_purpose::STANDARD.encode("anna:no")}));
    assert_eq!(send(&wrong, &registry.host, b"x").await.unwrap_err().kind, ProblemKind::Denied);
}
