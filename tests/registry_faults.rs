//! Faults of networks and registries that the other files don't have, by their row in the table of faults (N1, N2, …): each ends in bounded
//! time, with words that name host and cause, and nothing half done.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lighterman::model::{Copy, CopyFrom, Digest, Name, Problem, ProblemKind, Transfer};
use lighterman::source::content::Descriptor;
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, HostSettings, RegistrySettings, Repo, Timers};
use lighterman::source::{Ctx, Source as _, registry::RegistrySource};
use serde_json::json;

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/registries.rs"]
mod registries;
#[path = "common/scripted.rs"]
mod scripted;

use fake::Fake;
use scripted::{Reply, Server};

const REPO: &str = "team/app";

fn quick() -> RegistrySettings {
    let timers = Timers {
        connect: Duration::from_millis(800),
        header: Duration::from_millis(600),
        no_progress: Duration::from_millis(300),
        tries: 3,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    RegistrySettings { timers, ..RegistrySettings::default() }
}

fn client() -> Client {
    with(quick())
}

fn with(settings: RegistrySettings) -> Client {
    Client::new(settings, Credentials::none()).unwrap()
}

fn repo(host: &str) -> Repo {
    Repo::at(host, REPO).unwrap()
}

fn manifest() -> String {
    let blob = |kind: &str, c: &str| json!({"mediaType": kind, "digest": format!("sha256:{}", c.repeat(64)), "size": 7});
    json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob(media::OCI_CONFIG, "a"), "layers": [blob(media::OCI_LAYER, "b")]})
        .to_string()
}

fn served(body: impl Into<Vec<u8>>) -> Reply {
    Reply::body(body).with("Content-Type", media::OCI_MANIFEST)
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
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

async fn copy(client: Client, from: &str, to: &str, tag: &str) -> Result<Transfer, Problem> {
    let target = Name::new(&format!("{to}/{REPO}:{tag}"));
    let copy = Copy {
        from: CopyFrom::Registry(Name::new(&format!("{from}/{REPO}:v1"))),
        expected: None,
        to: target,
        replaces: None,
        platforms: vec![],
        referrers: false,
    };
    RegistrySource::new(client, to).curator().unwrap().copy(&Ctx::default(), &copy).await
}

/// N2: what breaks again and again is given up after bounded tries, unless it gets on.
#[tokio::test]
async fn n02_a_connection_that_breaks_every_64_kib_ends_in_bounded_tries() {
    let whole = noise(5_000_000);
    let bytes = whole.clone();
    let piece = Arc::new(AtomicUsize::new(64 << 10));
    let step = Arc::clone(&piece);
    let server = Server::new(move |request| {
        let from = request.range().unwrap_or(0);
        let until = (from + step.load(Ordering::SeqCst)).min(bytes.len());
        let head = if from == 0 {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())
        } else {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            format!("HTTP/1.1 206 X\r\nContent-Length: {}\r\nContent-Range: {range}\r\n\r\n", bytes.len() - from)
        };
        Reply::Raw([head.as_bytes(), &bytes[from..until]].concat())
    });
    let problem = fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap_err();
    assert_eq!((problem.kind, server.seen().len()), (ProblemKind::Unreachable, 3), "{problem}");
    // One MiB a time is progress, and earns it its tries again.
    piece.store(1 << 20, Ordering::SeqCst);
    server.forget();
    assert_eq!(fetch(&client(), &server.host(), &descriptor(&whole)).await.unwrap(), whole);
    assert_eq!(server.seen().len(), 5);
}

/// N5: a body that is cut short is an error, however its end is marked.
#[tokio::test]
async fn n05_every_kind_of_cut_body_is_an_error() {
    let whole = manifest();
    let half = &whole.as_bytes()[..whole.len() / 2];
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let raw = |more: String, body: &[u8]| Reply::Raw([head.as_bytes(), more.as_bytes(), body].concat());
    let chunk = format!("{:x}\r\n{}\r\n", half.len(), String::from_utf8_lossy(half));
    for (what, reply) in [
        ("length", raw(format!("Content-Length: {}\r\n\r\n", whole.len()), half)),
        ("chunked", raw("Transfer-Encoding: chunked\r\n\r\n".into(), chunk.as_bytes())),
        ("closed", raw("\r\n".into(), half)),
    ] {
        let server = Server::new(move |_| reply.clone());
        let problem = client().manifest(&repo(&server.host()), "v1").await.unwrap_err();
        assert!(matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Corrupt), "{what}: {problem}");
        assert!(server.seen().len() <= 3, "{what}");
    }
}

/// N6: lengths that can't be are refused before anything is written.
#[tokio::test]
async fn n06_impossible_lengths_are_refused_before_writing() {
    let whole = noise(1000);
    for length in ["999", "1001", "9223372036854775807", "-1", "1000\r\nContent-Length: 1001", "x"] {
        let body = whole.clone();
        let server =
            Server::new(move |_| Reply::Raw([format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), &body].concat()));
        let opened = Arc::new(AtomicUsize::new(0));
        let (client, repo, ctx) = (client(), repo(&server.host()), Ctx::default());
        let counted = Arc::clone(&opened);
        let make = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Counting(Arc::clone(&counted)))
        };
        let fetched = client.blob(&ctx, &repo, &descriptor(&whole), 0, make).await;
        assert!(fetched.is_err(), "{length}");
        assert!(opened.load(Ordering::SeqCst) < 1000, "{length}: nothing was written");
    }
}

/// Counts a thousand for each write.
struct Counting(Arc<AtomicUsize>);

impl std::io::Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(1000, Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// N7: one flipped byte in a manifest, a configuration or a layer tags nothing and leaves no file.
#[tokio::test]
async fn n07_one_flipped_byte_leaves_nothing_behind() {
    for part in ["/manifests/sha256", "config", "layer"] {
        let registry = Fake::bent(move |request, state| {
            let reply = state.answer(request);
            let Reply::Plain(200, headers, mut body) = reply else { return Some(reply) };
            let is_config = body.starts_with(b"{\"architecture");
            let hit = match part {
                "config" => request.path.contains("/blobs/") && is_config,
                "layer" => request.path.contains("/blobs/") && !is_config,
                part => request.path.contains(part),
            };
            if hit && request.method == "GET" {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            Some(Reply::Plain(200, headers, body))
        });
        let target = Fake::new();
        let child = registry.image(REPO, None, "amd64", "a");
        registry.index(REPO, Some("v1"), &[(&child, "amd64")]);
        let problem = copy(client(), &registry.host(), &target.host(), "v1").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Corrupt, "{part}: {problem}");
        assert!(target.tags(REPO).is_empty() && target.state.lock().unwrap().manifests.is_empty(), "{part}");
        let dir = tempfile::tempdir().unwrap();
        let saved = client()
            .save(
                &Ctx::default(),
                &CopyFrom::Registry(Name::new(&format!("{}/{REPO}:v1", registry.host()))),
                &dir.path().join("out"),
                None,
                &[],
            )
            .await;
        assert_eq!(saved.unwrap_err().kind, ProblemKind::Corrupt, "{part}");
        assert!(!dir.path().join("out/index.json").exists(), "{part}: the layout names nothing");
        let began = Instant::now();
        while partials(dir.path()) > 0 {
            assert!(began.elapsed() < Duration::from_secs(5), "{part}: no part of a blob is left");
            tokio::task::yield_now().await;
        }
    }
}

/// Temporary files below a folder.
fn partials(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.path().is_dir() {
                partials(&entry.path())
            } else {
                usize::from(entry.file_name().to_string_lossy().contains("partial"))
            }
        })
        .sum()
}

/// N8: the registry's word on a digest is a hint; ours counts.
#[tokio::test]
async fn n08_our_own_hash_counts_whatever_the_header_says() {
    let ours = Digest::sha256(manifest().as_bytes());
    for header in
        [None, Some("sha256:../../x".to_owned()), Some(Digest::sha256(b"other").to_string()), Some(format!("sha512:{}", "a".repeat(128)))]
    {
        let server = Server::new(move |_| match &header {
            Some(value) => served(manifest()).with("Docker-Content-Digest", value.clone()),
            None => served(manifest()),
        });
        let client = client();
        assert_eq!(client.manifest(&repo(&server.host()), "v1").await.unwrap().digest, ours);
        let asked = Digest::sha256(b"asked for");
        let problem = client.manifest(&repo(&server.host()), asked.as_str()).await.unwrap_err();
        assert!(problem.kind == ProblemKind::Corrupt && problem.cause.as_str().contains(asked.as_str()), "{problem}");
        assert_eq!(client.manifest(&repo(&server.host()), ours.as_str()).await.unwrap().digest, ours);
    }
}

/// N9, N10: trouble is waited out within bounds, and what `Retry-After` asks is understood in each form.
#[tokio::test]
async fn n10_retry_after_is_understood_in_every_form() {
    fn now() -> jiff::Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }
    // Form, the least and the most that is waited, tries.
    let soon = "Thu, 01 Jan 2026 00:00:01 GMT";
    for (form, least, tries) in
        [("1", 1, 2), (soon, 1, 2), ("1767225601", 1, 2), ("Wed, 31 Dec 2025 00:00:00 GMT", 0, 2), ("abc", 0, 2), ("-5", 0, 2), ("0", 0, 2)]
    {
        let count = AtomicUsize::new(0);
        let server = Server::new(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) == 0 { Reply::status(429).with("Retry-After", form) } else { served(manifest()) }
        });
        let began = Instant::now();
        with(RegistrySettings { now, ..quick() }).manifest(&repo(&server.host()), "v1").await.unwrap();
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(least * 990) && waited < Duration::from_secs(least + 2), "{form}: {waited:?}");
        assert_eq!(server.seen().len(), tries, "{form}");
    }
    for form in ["86400", "Fri, 02 Jan 2026 00:00:00 GMT", "1767312000"] {
        let server = Server::new(move |_| Reply::status(429).with("Retry-After", form));
        let problem = with(RegistrySettings { now, ..quick() }).manifest(&repo(&server.host()), "v1").await.unwrap_err();
        assert!(problem.hint.unwrap().as_str().contains("retry at") && server.seen().len() == 1, "{form}");
    }
}

/// N12: who is not there is told apart from who says nothing.
#[tokio::test]
async fn n12_absent_silent_and_unknown_hosts_are_told_apart() {
    let silent = Server::new(|_| Reply::Silent);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut words = Vec::new();
    for host in [silent.host(), gone, "no-such-host.invalid".to_owned()] {
        let began = Instant::now();
        let problem = client().manifest(&repo(&host), "v1").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unreachable, "{problem}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(problem.cause.as_str().contains(host.split(':').next().unwrap()), "{problem}");
        words.push(problem.cause.to_string().replace(&host, ""));
    }
    words.dedup();
    assert_eq!(words.len(), 3, "{words:?}");
}

/// N15: a chunk whose answer was lost makes its session stale, and the blob starts again from POST.
#[tokio::test]
async fn n15_a_lost_answer_to_a_chunk_starts_the_blob_again() {
    let (posts, patches, kept) = (AtomicUsize::new(0), AtomicUsize::new(0), Arc::new(std::sync::Mutex::new(Vec::new())));
    let received = Arc::clone(&kept);
    let server = Server::new(move |request| {
        let mut kept = received.lock().unwrap();
        match request.method.as_str() {
            "POST" => {
                kept.clear();
                Reply::status(202).with("Location", format!("/upload/{}-0", posts.fetch_add(1, Ordering::SeqCst)))
            }
            // One piece is refused, so chunks it is.
            "PUT" if request.body.len() > 1 => Reply::status(413),
            "PUT" if request.path.contains("/upload/2-") => Reply::status(201),
            "PATCH" => {
                kept.extend_from_slice(&request.body);
                if patches.fetch_add(1, Ordering::SeqCst) == 1 {
                    // Applied, and the answer lost.
                    return Reply::Raw(vec![]);
                }
                let session = request.path.split('-').next().unwrap().to_owned();
                Reply::status(202).with("Location", format!("{session}-{}", kept.len())).with("Range", format!("0-{}", kept.len() - 1))
            }
            _ => Reply::status(404),
        }
    });
    let whole = noise(10_000_000);
    let source = Fake::new();
    let blob = descriptor(&whole);
    source.blob(REPO, &whole);
    let ctx = Ctx::default();
    let step = ctx.meter.step("blob".into(), None);
    client().copy_blob(&ctx, &repo(&source.host()), &repo(&server.host()), &blob, step).await.unwrap();
    assert_eq!(*kept.lock().unwrap(), whole);
    assert_eq!(server.count("POST", ""), 3);
}

/// N16: a token that runs out in the middle of a copy is renewed once, and nothing loops.
#[tokio::test]
async fn n16_a_token_that_runs_out_in_the_middle_of_a_copy_is_renewed() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let issuer = Server::new(move |_| Reply::body(json!({"token": format!("t{}", count.fetch_add(1, Ordering::SeqCst))}).to_string()));
    let realm = format!("http://{}/token", issuer.host());
    // Each token is good for fifteen requests.
    let uses = std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new());
    let target = Fake::bent(move |request, _| {
        let bearer = request.header("authorization").unwrap_or_default().to_owned();
        let mut uses = uses.lock().unwrap();
        let used = uses.entry(bearer.clone()).or_default();
        *used += 1;
        let bad = bearer.is_empty() || *used > 15;
        bad.then(|| Reply::status(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\"")))
    });
    let source = Fake::new();
    let children: Vec<Digest> = (0..4).map(|n| source.image(REPO, None, "amd64", &format!("layer {n}"))).collect();
    let entries: Vec<(&Digest, &str)> = children.iter().map(|digest| (digest, "amd64")).collect();
    let index = source.index(REPO, Some("v1"), &entries);
    copy(client(), &source.host(), &target.host(), "v1").await.unwrap();
    assert_eq!(target.tag(REPO, "v1"), Some(index));
    assert!((2..20).contains(&given.load(Ordering::SeqCst)), "{given:?}");
}

/// N23: a mount that is refused in whatever words falls back to an upload.
#[tokio::test]
async fn n23_a_refused_mount_falls_back_to_an_upload() {
    for status in [400, 403, 404, 405] {
        let registry = Fake::bent(move |request, _| request.path.contains("mount=").then(|| Reply::status(status)));
        let digest = registry.image(REPO, Some("v1"), "amd64", "a");
        let to = format!("{}/copy/app:v1", registry.host());
        let wish = Copy {
            from: CopyFrom::Registry(Name::new(&format!("{}/{REPO}:v1", registry.host()))),
            expected: None,
            to: Name::new(&to),
            replaces: None,
            platforms: vec![],
            referrers: false,
        };
        let moved = RegistrySource::new(client(), &registry.host()).curator().unwrap().copy(&Ctx::default(), &wish).await.unwrap();
        assert_eq!((registry.tag("copy/app", "v1"), moved.bytes_skipped), (Some(digest), 0), "{status}");
    }
}

/// N28: a hundred thousand tags.
#[tokio::test]
async fn n28_a_hundred_thousand_tags_come_in_pieces() {
    let tags: Vec<String> = (0..100_000).map(|n| format!("release-{n:06}")).collect();
    let body = json!({"name": REPO, "tags": tags}).to_string();
    let server = Server::new(move |_| Reply::body(body.clone()));
    let (mut pieces, mut count, mut largest) = (0, 0, 0);
    let mut each = |rows: Vec<lighterman::model::TagRow>| {
        pieces += 1;
        count += rows.len();
        largest = largest.max(rows.len());
    };
    let listed = client().tags(&repo(&server.host()), &mut each).await.unwrap();
    assert!(listed.is_complete() && count == 100_000 && pieces > 10, "{count} in {pieces}");
    assert!(largest < 60_000, "{largest}");
}

/// N29: four MiB are read to the last byte, and not one more.
#[tokio::test]
async fn n29_four_mebibytes_are_the_bound() {
    let padded = |length: usize| {
        let mut body = manifest().into_bytes();
        body.resize(length, b' ');
        body
    };
    let server = Server::new(move |request| served(padded((4 << 20) + usize::from(request.path.ends_with("over")))));
    let client = client();
    assert_eq!(client.manifest(&repo(&server.host()), "just").await.unwrap().bytes.len(), 4 << 20);
    assert_eq!(client.manifest(&repo(&server.host()), "over").await.unwrap_err().kind, ProblemKind::Limit);
}

/// N20: where an upload is sent to: whatever is odd is refused, and nothing is sent anywhere.
#[tokio::test]
async fn n20_odd_upload_locations_are_refused() {
    let long = format!("/{}", "a".repeat(9000));
    for location in ["", "file:///etc/passwd", "http://u:p@127.0.0.1/x", "http://[", long.as_str(), "missing"] {
        let value = location.to_owned();
        let server = Server::new(move |request| match (request.method.as_str(), value.as_str()) {
            ("POST", "missing") => Reply::status(202),
            ("POST", value) => Reply::status(202).with("Location", value),
            _ => Reply::status(404),
        });
        let source = Fake::new();
        let blob = descriptor(b"hello");
        source.blob(REPO, b"hello");
        let sent = client().copy_blob(&Ctx::default(), &repo(&source.host()), &repo(&server.host()), &blob, 0).await.unwrap_err();
        assert_eq!(sent.kind, ProblemKind::Denied, "{location}: {sent}");
        assert_eq!((server.count("PUT", ""), source.count("GET", "")), (0, 0), "{location}");
    }
}

/// N30: documents that two readers could read differently.
#[tokio::test]
async fn n30_ambiguous_documents_are_refused() {
    let m = manifest();
    let (open, close) = m.split_at(1);
    let layers = "\"layers\":[]";
    for (what, body) in [
        ("a key twice", format!("{open}{layers},{close}")),
        ("an index too", format!("{open}\"manifests\":[],{close}")),
        ("schema 1 too", format!("{open}\"fsLayers\":[],{close}")),
        ("too deep", format!("{open}\"x\":{}{},{close}", "[".repeat(10_000), "]".repeat(10_000))),
        ("a float", m.replace(":7", ":7.0")),
        ("2^64", m.replace(":7", ":18446744073709551616")),
        ("negative", m.replace(":7", ":-7")),
        ("not a number", m.replace(":7", ":NaN")),
        ("a byte order mark", format!("\u{feff}{m}")),
        ("more after it", format!("{m}{m}")),
    ] {
        let server = Server::new(move |_| served(body.clone()));
        let problem = client().manifest(&repo(&server.host()), "v1").await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Corrupt, "{what}: {problem}");
    }
    let bytes = [m.replace("config", "con\u{0}fig").replace('\u{0}', "").as_bytes(), &[0xff]].concat();
    let server = Server::new(move |_| served(bytes.clone()));
    assert_eq!(client().manifest(&repo(&server.host()), "v1").await.unwrap_err().kind, ProblemKind::Corrupt);
}

/// N31: an index that leads back to itself is copied once, not for ever.
#[tokio::test]
async fn n31_indexes_too_deep_and_children_twice() {
    let (source, target) = (Fake::new(), Fake::new());
    let child = source.image(REPO, None, "amd64", "a");
    let twice = source.index(REPO, Some("v1"), &[(&child, "amd64"), (&child, "arm64")]);
    copy(client(), &source.host(), &target.host(), "v1").await.unwrap();
    assert_eq!(target.tag(REPO, "v1"), Some(twice.clone()));
    assert_eq!(source.count("GET", child.as_str()), 1, "fetched once");
    let mut deep = twice;
    for _ in 0..6 {
        let entry = json!({"mediaType": media::OCI_INDEX, "digest": deep, "size": 7});
        deep = source.put(REPO, Some("v1"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]}));
    }
    let problem = copy(client(), &source.host(), &target.host(), "v2").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
    assert_eq!(target.tag(REPO, "v2"), None);
}

/// N32: what is odd but whole is copied as it is.
#[tokio::test]
async fn n32_odd_images_are_copied_as_they_are() {
    let (source, target) = (Fake::new(), Fake::new());
    let config = source.blob(REPO, b"{}");
    let none = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": 2}, "layers": []});
    let digest = source.put(REPO, Some("v1"), &none);
    assert_eq!(copy(client(), &source.host(), &target.host(), "none").await.unwrap().digest, Some(digest));
    let old = br#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.to_vec();
    source.put_bytes(REPO, Some("v1"), media::DOCKER_SCHEMA1_SIGNED, old);
    let problem = copy(client(), &source.host(), &target.host(), "old").await.unwrap_err();
    assert!(problem.kind == ProblemKind::Unsupported && problem.cause.as_str().contains("schema 1"), "{problem}");
}

/// N34: every request about a manifest accepts every kind, so that no registry converts one.
#[tokio::test]
async fn n34_deletes_use_only_digests_got_with_every_kind_accepted() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = fake::Deletes::DigestOnly;
    let digest = registry.image(REPO, Some("v1"), "amd64", "a");
    let items = [lighterman::model::Removal::Tag { name: Name::new(&format!("{}/{REPO}:v1", registry.host())), expected: digest }];
    let (removed, kept) = client().remove(&Ctx::default(), &items).await.unwrap();
    assert_eq!((removed.len(), kept.len()), (1, 0), "{kept:?}");
    let about: Vec<_> = registry.server.seen().into_iter().filter(|request| request.path.contains("/manifests/")).collect();
    assert!(about.len() > 4 && about.iter().all(|request| request.header("accept").unwrap().split(", ").count() == 6));
}

/// N35: plain HTTP where TLS is spoken, TLS where it is not, and certificates that don't fit.
#[tokio::test]
async fn n35_what_is_not_trusted_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    // Answers whatever comes in plain text, as web servers do.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = plain.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n"));
        }
    });
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, SOME_AUTHORITY).unwrap();
    let settings = |path: &Path| {
        let own = HostSettings { ca: Some(path.to_owned()), ..HostSettings::default() };
        RegistrySettings { hosts: [(host.clone(), own)].into(), ..quick() }
    };
    let problem = with(settings(&ca)).manifest(&repo(&host), "v1").await.unwrap_err();
    assert!(problem.cause.as_str().contains("does not speak TLS"), "{problem}");
    for (text, words) in [("", "no certificate"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "")] {
        std::fs::write(&ca, text).unwrap();
        let problem = with(settings(&ca)).manifest(&repo(&host), "v1").await.unwrap_err();
        assert!(matches!(problem.kind, ProblemKind::Usage | ProblemKind::Denied) && problem.cause.as_str().contains(words), "{problem}");
    }
    let problem = with(settings(dir.path())).manifest(&repo(&host), "v1").await.unwrap_err();
    assert!(problem.cause.as_str().contains("not a regular file"), "{problem}");
}

/// A self-signed authority for nobody.
const SOME_AUTHORITY: &str = include_str!("common/authority.pem");

/// N36: a third writer between looking and writing is a conflict, and nothing is overwritten.
#[tokio::test]
async fn n36_a_third_writer_in_between_is_a_conflict() {
    let theirs = Arc::new(std::sync::Mutex::new(None));
    let heads = AtomicUsize::new(0);
    let other = Arc::clone(&theirs);
    let target = Fake::bent(move |request, state| {
        // Between the last blob and the tag somebody else writes it.
        if request.method == "HEAD" && request.path.ends_with("/manifests/v1") && heads.fetch_add(1, Ordering::SeqCst) == 1 {
            let digest: Digest = other.lock().unwrap().clone().unwrap();
            state.tags.insert((REPO.into(), "v1".into()), digest);
        }
        None
    });
    *theirs.lock().unwrap() = Some(target.image(REPO, None, "amd64", "theirs"));
    let source = Fake::new();
    source.image(REPO, Some("v1"), "amd64", "ours");
    let problem = copy(client(), &source.host(), &target.host(), "v1").await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict, "{problem}");
    assert_eq!(target.tag(REPO, "v1"), theirs.lock().unwrap().clone());
}

/// N37: a registry that takes no more stops the copy with its words.
#[tokio::test]
async fn n37_quota_and_read_only_stop_the_copy() {
    for status in [403, 413, 507, 405] {
        let target = Fake::bent(move |request, _| {
            let body = br#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#.to_vec();
            (request.method == "POST" || request.method == "PUT").then(|| Reply::Plain(status, vec![], body))
        });
        let source = Fake::new();
        source.image(REPO, Some("v1"), "amd64", "a");
        let problem = copy(client(), &source.host(), &target.host(), "v1").await.unwrap_err();
        assert!(problem.cause.as_str().contains("quota exceeded") && problem.cause.as_str().contains(&target.host()), "{problem}");
        assert!(
            target.server.seen().iter().filter(|request| request.method == "POST").count() <= 4,
            "{status}: it is not tried again and again"
        );
    }
}

/// A mirror is asked first for what is named by its digest, never for a tag or for what is written, and may be down or wrong.
#[tokio::test]
async fn mirrors_are_asked_for_digests_only_and_may_be_down() {
    let (registry, mirror) = (Fake::new(), Fake::new());
    let digest = registry.image(REPO, Some("v1"), "amd64", "a");
    mirror.image(REPO, Some("v1"), "amd64", "a");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let own = HostSettings { mirrors: vec![gone, mirror.host()], ..HostSettings::default() };
    let client = with(RegistrySettings { hosts: [(registry.host(), own)].into(), ..quick() });
    let repo = repo(&registry.host());
    let details = client.detail(&repo, "v1").await.unwrap();
    assert_eq!((details.digest.clone(), details.platforms.len()), (digest.clone(), 1));
    assert_eq!((registry.count("HEAD", ""), registry.count("GET", "")), (1, 0), "the tag here, what it points at there");
    assert_eq!((mirror.count("GET", "manifests/sha256"), mirror.count("GET", "blobs"), mirror.server.seen().len()), (1, 1, 2));
    // What only the registry has comes from there.
    let own = registry.image(REPO, Some("v2"), "amd64", "b");
    assert_eq!(client.detail(&repo, "v2").await.unwrap().digest, own);
    assert_eq!(registry.count("GET", ""), 2);
}

/// A proxy gets the requests of the registry it is set for, and of no other.
#[tokio::test]
async fn a_proxy_is_used_for_its_registry_only() {
    let proxy = Server::new(|_| served(manifest()));
    let direct = Server::new(|_| served(manifest()));
    let own = HostSettings { proxy: Some(format!("http://{}", proxy.host())), ..HostSettings::default() };
    let settings =
        RegistrySettings { hosts: [("registry.test".to_owned(), own)].into(), insecure: vec!["registry.test".into()], ..quick() };
    let client = with(settings);
    client.manifest(&repo("registry.test"), "v1").await.unwrap();
    client.manifest(&repo(&direct.host()), "v1").await.unwrap();
    assert!(proxy.seen()[0].path.starts_with("http://registry.test/v2/team/app/manifests/v1"), "{}", proxy.seen()[0].path);
    assert_eq!((proxy.seen().len(), direct.seen().len()), (1, 1));
    let bad = HostSettings { proxy: Some("no address at all".into()), ..HostSettings::default() };
    let client = with(RegistrySettings { hosts: [(direct.host(), bad)].into(), ..quick() });
    assert_eq!(client.manifest(&repo(&direct.host()), "v1").await.unwrap_err().kind, ProblemKind::Usage);
}
