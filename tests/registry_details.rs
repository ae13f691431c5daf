//! What tags point at: how few requests it takes, what is kept for the next visit, and what odd images come to.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lighterman::model::{Digest, Platform, Problem, ProblemKind, RemoteKind, TagDetails};
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource, Repo, Timers};
use lighterman::source::{Ctx, Source as _};
use serde_json::json;

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use fake::Fake;
use scripted::{Reply, Server};

fn client(cache: Option<&Path>) -> Client {
    let timers = Timers { header: Duration::from_secs(2), tries: 2, backoff: Duration::from_millis(5), ..Timers::default() };
    let settings = RegistrySettings { timers, cache: cache.map(Path::to_owned), ..RegistrySettings::default() };
    Client::new(settings, Credentials::none()).unwrap()
}

fn repo(host: &str) -> Repo {
    Repo::at(host, "team/app").unwrap()
}

async fn details(client: &Client, host: &str, tags: &[&str]) -> BTreeMap<String, Result<TagDetails, Problem>> {
    let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
    let mut all = BTreeMap::new();
    client.details(&repo(host), &tags, &mut |(tag, answer)| drop(all.insert(tag, answer))).await.unwrap();
    assert_eq!(all.len(), tags.len());
    all
}

async fn one(client: &Client, host: &str, tag: &str) -> TagDetails {
    details(client, host, &[tag]).await.remove(tag).unwrap().unwrap()
}

#[tokio::test]
async fn tags_that_share_a_digest_cost_one_head_each_and_nothing_more() {
    let registry = Fake::new();
    let digest = registry.image("team/app", Some("a"), "arm64", "one");
    for tag in ["b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        registry.state.lock().unwrap().tags.insert(("team/app".into(), tag.into()), digest.clone());
    }
    let client = client(None);
    let all = details(&client, &registry.host(), &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).await;
    assert!(all.values().all(|answer| answer.as_ref().unwrap().digest == digest));
    let a = all["a"].as_ref().unwrap();
    assert_eq!((a.kind, a.size, a.media_type.raw()), (RemoteKind::Image, Some(9), media::OCI_MANIFEST));
    assert_eq!(a.created.unwrap().to_string(), "2025-05-05T05:05:05Z");
    assert_eq!(a.platforms, [Platform::new("linux", "arm64", None)]);
    assert_eq!((registry.count("HEAD", ""), registry.count("GET", "manifests"), registry.count("GET", "blobs")), (10, 1, 1));
    assert_eq!(registry.server.seen().len(), 12, "nothing else, not even a ping");
}

#[tokio::test]
async fn a_second_visit_needs_only_heads() {
    let registry = Fake::new();
    let cache = tempfile::tempdir().unwrap();
    registry.image("team/app", Some("a"), "amd64", "one");
    let child = registry.image("team/app", None, &Platform::host().architecture, "two");
    registry.index("team/app", Some("b"), &[(&child, &Platform::host().architecture)]);
    let first = details(&client(Some(cache.path())), &registry.host(), &["a", "b"]).await;
    assert_eq!(registry.count("GET", ""), 5);
    registry.forget();
    let second = details(&client(Some(cache.path())), &registry.host(), &["a", "b"]).await;
    assert_eq!(first, second);
    assert_eq!((registry.count("HEAD", ""), registry.count("GET", "")), (2, 0));
    // What was tampered with is fetched again.
    for file in std::fs::read_dir(cache.path()).unwrap() {
        std::fs::write(file.unwrap().path(), "{}").unwrap();
    }
    registry.forget();
    assert_eq!(details(&client(Some(cache.path())), &registry.host(), &["a", "b"]).await, first);
    assert_eq!(registry.count("GET", ""), 5);
}

#[tokio::test]
async fn an_index_tells_its_platforms_and_children() {
    let registry = Fake::new();
    let host = Platform::host().architecture;
    let (here, there) = (registry.image("team/app", None, &host, "here"), registry.image("team/app", None, "riscv64", "elsewhere"));
    let entry = |digest: &Digest, architecture: &str| json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 7, "platform": {"os": "linux", "architecture": architecture}});
    let attestation = json!({
        "mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(b"att"), "size": 7, "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": here}
    });
    let manifests = json!([entry(&there, "riscv64"), entry(&here, &host), attestation]);
    registry.put("team/app", Some("multi"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests}));
    let found = one(&client(None), &registry.host(), "multi").await;
    assert_eq!(found.kind, RemoteKind::Index);
    assert_eq!(found.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/riscv64".to_owned(), format!("linux/{host}")]);
    assert_eq!(found.size, Some("layer here".len() as u64), "that of the image for this machine");
    assert!(found.created.is_some() && found.gap.is_none());
    assert_eq!(found.children.len(), 3);
    assert_eq!((found.children[2].about.as_ref(), found.children[2].platform.as_ref()), (Some(&here), None));
    assert_eq!(registry.count("GET", "manifests"), 2, "the other child is not read");
}

#[tokio::test]
async fn broken_indexes_show_what_is_there() {
    let registry = Fake::new();
    let host = Platform::host().architecture;
    let missing = Digest::sha256(b"missing");
    registry.index("team/app", Some("missing"), &[(&missing, &host)]);
    let inner = registry.index("team/app", None, &[(&missing, &host)]);
    let nested = json!({"mediaType": media::OCI_INDEX, "digest": inner, "size": 7});
    registry.put("team/app", Some("nested"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [nested, nested]}));
    registry.put("team/app", Some("empty"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []}));
    let many: Vec<_> =
        (0..10_000).map(|n| json!({"mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(&i32::to_le_bytes(n)), "size": n})).collect();
    registry.put("team/app", Some("many"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": many}));
    let client = client(None);
    let missing = one(&client, &registry.host(), "missing").await;
    assert_eq!(missing.gap.unwrap().kind, ProblemKind::NotFound);
    assert_eq!((missing.platforms.len(), missing.size), (1, None));
    let nested = one(&client, &registry.host(), "nested").await;
    assert!(nested.gap.unwrap().cause.as_str().contains("another index"));
    assert_eq!(nested.children.len(), 2);
    let empty = one(&client, &registry.host(), "empty").await;
    assert!(empty.gap.is_none() && empty.size.is_none());
    let many = one(&client, &registry.host(), "many").await;
    assert_eq!(many.children.len(), 10_000);
    assert!(registry.server.seen().len() < 20);
}

#[tokio::test]
async fn what_is_no_image_is_shown_as_what_it_is() {
    let registry = Fake::new();
    let subject = registry.image("team/app", Some("v1"), "amd64", "one");
    registry.referrer("team/app", Some("sbom"), &subject, "application/spdx+json");
    registry.put_bytes(
        "team/app",
        Some("old"),
        media::DOCKER_SCHEMA1_SIGNED,
        br#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#.to_vec(),
    );
    registry.put_bytes(
        "team/app",
        Some("twice"),
        media::OCI_MANIFEST,
        br#"{"schemaVersion":2,"layers":[],"layers":[],"config":{}}"#.to_vec(),
    );
    let blob = json!({"mediaType": media::OCI_CONFIG, "digest": Digest::sha256(b"gone"), "size": 4});
    let bare = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob, "layers": []});
    registry.put("team/app", Some("no-config"), &bare);
    let client = client(None);
    let mut all = details(&client, &registry.host(), &["v1", "sbom", "old", "twice", "no-config", "absent"]).await;
    let sbom = all.remove("sbom").unwrap().unwrap();
    assert_eq!((sbom.kind, sbom.artifact_type.unwrap().raw(), sbom.platforms.len()), (RemoteKind::Artifact, "application/spdx+json", 0));
    let old = all.remove("old").unwrap().unwrap();
    assert_eq!((old.kind, old.size, old.created), (RemoteKind::Schema1, None, None));
    assert_eq!(all.remove("twice").unwrap().unwrap_err().kind, ProblemKind::Corrupt);
    let none = all.remove("no-config").unwrap().unwrap();
    assert_eq!((none.size, none.gap.unwrap().kind), (Some(0), ProblemKind::NotFound));
    assert_eq!(all.remove("absent").unwrap().unwrap_err().kind, ProblemKind::NotFound);
    assert_eq!(registry.count("GET", "blobs"), 2, "an artifact has no configuration to read");
}

#[tokio::test]
async fn a_head_that_lies_is_found_out() {
    let wrong = Digest::sha256(b"something else").to_string();
    let lie = wrong.clone();
    let registry = Fake::bent(move |request, state| {
        let reply = state.answer(request);
        match (request.method.as_str(), reply) {
            ("HEAD", Reply::Plain(status, headers, body)) => {
                let headers = headers.into_iter().filter(|(name, _)| *name != "Docker-Content-Digest").collect();
                let reply = Reply::Plain(status, headers, body);
                Some(match request.path.rsplit('/').next().unwrap() {
                    "mute" => reply,
                    "junk" => reply.with("Docker-Content-Digest", "sha256:../../x"),
                    _ => reply.with("Docker-Content-Digest", lie.clone()),
                })
            }
            (_, reply) => Some(reply),
        }
    });
    let digest = registry.image("team/app", Some("liar"), "amd64", "one");
    for tag in ["mute", "junk"] {
        registry.state.lock().unwrap().tags.insert(("team/app".into(), tag.into()), digest.clone());
    }
    let client = client(None);
    let mut all = details(&client, &registry.host(), &["liar", "mute", "junk"]).await;
    let lied = all.remove("liar").unwrap().unwrap_err();
    assert!(lied.kind == ProblemKind::Corrupt && lied.cause.as_str().contains(&wrong), "{lied}");
    for tag in ["mute", "junk"] {
        assert_eq!(all.remove(tag).unwrap().unwrap().digest, digest, "our own hash counts");
    }
}

#[tokio::test]
async fn eight_requests_go_at_a_time_and_no_more() {
    // Now in flight, the most there ever were; each waits a moment for the others.
    let state = Arc::new((Mutex::new((0_usize, 0_usize)), Condvar::new()));
    let shared = Arc::clone(&state);
    let server = Server::new(move |_| {
        let (lock, changed) = &*shared;
        let mut counts = lock.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        changed.notify_all();
        let (mut counts, _) = changed.wait_timeout_while(counts, Duration::from_millis(300), |counts| counts.1 < 9).unwrap();
        counts.0 -= 1;
        Reply::status(404)
    });
    let client = client(None);
    let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let tags: Vec<&str> = names.iter().map(String::as_str).collect();
    let host = server.host();
    // Two askers share the turns of the host.
    let (one, two) = tokio::join!(details(&client, &host, &tags[..20]), details(&client, &host, &tags[20..]));
    assert!(one.values().chain(two.values()).all(|answer| answer.as_ref().is_err_and(|problem| problem.kind == ProblemKind::NotFound)));
    assert_eq!(state.0.lock().unwrap().1, 8);
}

#[tokio::test]
async fn a_registry_that_goes_down_ends_the_batch() {
    let server = Server::new(|_| Reply::status(503));
    let tags: Vec<String> = (0..500).map(|n| format!("t{n}")).collect();
    let problem = client(None).details(&repo(&server.host()), &tags, &mut |_| panic!("nothing came")).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unreachable);
    assert!(server.seen().len() < 40, "{}", server.seen().len());
}

#[tokio::test]
async fn signatures_are_marked_from_the_list_of_tags() {
    let registry = Fake::new();
    let signed = registry.image("team/app", Some("v1"), "amd64", "one");
    registry.image("team/app", Some("v2"), "amd64", "two");
    registry.referrer("team/app", Some(&format!("sha256-{}.sig", signed.hex())), &signed, "x/sig");
    let source = RegistrySource::new(client(None), &registry.host());
    let catalog = source.catalog().unwrap();
    let mut tags = Vec::new();
    assert!(catalog.tags(&Ctx::default(), "team/app", &mut |rows| tags.extend(rows)).await.unwrap().is_complete());
    assert_eq!(tags.len(), 3);
    let mut marks = BTreeMap::new();
    let asked = ["v1".to_owned(), "v2".to_owned()];
    let mut each = |(tag, answer): (String, Result<TagDetails, Problem>)| {
        marks.insert(tag, answer.unwrap().signed);
    };
    catalog.details(&Ctx::default(), "team/app", &asked, &mut each).await.unwrap();
    assert_eq!(marks, BTreeMap::from([("v1".to_owned(), Some(true)), ("v2".to_owned(), None)]));
}

#[tokio::test]
async fn referrers_come_by_api_or_by_tag() {
    for api in [true, false] {
        let registry = Fake::new();
        registry.state.lock().unwrap().referrers_api = api;
        let subject = registry.image("team/app", Some("v1"), "amd64", "one");
        let sbom = registry.referrer("team/app", None, &subject, "application/spdx+json");
        let note = registry.referrer("team/app", None, &subject, "x/note");
        let cosign = registry.referrer("team/app", Some(&format!("sha256-{}.sig", subject.hex())), &Digest::sha256(b"-"), "x/sig");
        if !api {
            let entry =
                |digest: &Digest, kind: &str| json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 7, "artifactType": kind});
            let list = json!([entry(&sbom, "application/spdx+json"), entry(&note, "x/note")]);
            let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": list});
            registry.put("team/app", Some(&format!("sha256-{}", subject.hex())), &index);
        }
        let client = client(None);
        let all = client.referrers(&repo(&registry.host()), &subject, None).await.unwrap();
        let mut digests: Vec<&Digest> = all.referrers.iter().map(|one| &one.digest).collect();
        let mut wanted = vec![&sbom, &note, &cosign];
        digests.sort();
        wanted.sort();
        assert_eq!((digests, all.api), (wanted, api));
        let some = client.referrers(&repo(&registry.host()), &subject, Some("x/note")).await.unwrap();
        assert_eq!(some.referrers.len(), 1, "the server does not filter, we do");
        assert_eq!(some.referrers[0].digest, note);
        assert!(registry.count("GET", "/referrers/") <= if api { 2 } else { 1 }, "a missing API is found out once");
    }
}

#[tokio::test]
async fn referrers_that_lead_round_in_a_circle_end() {
    let entry = json!({"mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(b"r"), "size": 7});
    let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]}).to_string();
    let server = Server::new(move |request| {
        if !request.path.contains("/referrers/") {
            return Reply::status(404);
        }
        Reply::body(body.clone()).with("Content-Type", media::OCI_INDEX).with("Link", format!("<{}>; rel=\"next\"", request.path))
    });
    let found = client(None).referrers(&repo(&server.host()), &Digest::sha256(b"s"), None).await.unwrap();
    assert_eq!(found.referrers.len(), 1);
    assert_ne!(found.completeness, lighterman::model::Completeness::Complete);
}
