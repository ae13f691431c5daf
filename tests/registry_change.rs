//! Tags moved, deleted and copied in registries: what is taken along, what is refused, and what a lost answer or a third writer does.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lighterman::model::{Change, Copy, CopyFrom, Digest, Kept, Locator, Name, Platform, Problem, ProblemKind, Removal, Transfer};
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource, Timers};
use lighterman::source::{Ctx, Source as _};
use lighterman::work;
use serde_json::json;

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use fake::{Deletes, Fake};
use scripted::Reply;

const REPO: &str = "team/app";

fn source(host: &str) -> RegistrySource {
    let timers = Timers {
        header: Duration::from_millis(900),
        no_progress: Duration::from_millis(500),
        tries: 3,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    RegistrySource::new(Client::new(RegistrySettings { timers, ..RegistrySettings::default() }, Credentials::none()).unwrap(), host)
}

fn name(host: &str, target: &str) -> Name {
    let colon = if target.contains(':') { '@' } else { ':' };
    Name::new(&format!("{host}/{REPO}{colon}{target}"))
}

async fn apply(source: &RegistrySource, change: Change) -> Result<Transfer, Problem> {
    work::change::apply(&change, source.curator().unwrap(), &Ctx::default()).await
}

/// Deletes targets seen at `digest`: what went, and what was kept and why.
async fn delete(source: &RegistrySource, targets: &[(&str, &Digest)]) -> (Vec<String>, Vec<Kept>) {
    let host = source.host().to_owned();
    let items: Vec<Removal> =
        targets.iter().map(|(target, digest)| Removal::Tag { name: name(&host, target), expected: (*digest).clone() }).collect();
    let (removed, kept) = source.curator().unwrap().remove(&Ctx::default(), &items).await.unwrap();
    (removed.iter().map(|one| one.reference.split_once(REPO).unwrap().1.split_at(1).1.to_owned()).collect(), kept)
}

async fn retag(source: &RegistrySource, digest: &Digest, tag: &str, replaces: Option<&Digest>) -> Result<(), Problem> {
    let to = name(source.host(), tag).reference().unwrap();
    source.curator().unwrap().tag(&Ctx::default(), digest, &to, replaces).await
}

/// Two tags on one digest, a third on another.
fn shared(registry: &Fake) -> (Digest, Digest) {
    let digest = registry.image(REPO, Some("a"), "amd64", "one");
    registry.state.lock().unwrap().tags.insert((REPO.into(), "b".into()), digest.clone());
    (digest, registry.image(REPO, Some("other"), "amd64", "two"))
}

#[tokio::test]
async fn a_registry_that_can_deletes_the_tag_alone() {
    let registry = Fake::new();
    let (digest, _) = shared(&registry);
    let (gone, kept) = delete(&source(&registry.host()), &[("a", &digest)]).await;
    assert_eq!((gone, kept), (vec!["a".to_owned()], vec![]));
    assert_eq!(registry.tags(REPO), ["b", "other"]);
    assert_eq!((registry.count("HEAD", ""), registry.count("DELETE", ""), registry.server.seen().len()), (2, 1, 3));
}

#[tokio::test]
async fn a_shared_digest_is_refused_unless_all_its_tags_are_named() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let (digest, other) = shared(&registry);
    let source = source(&registry.host());
    let (gone, kept) = delete(&source, &[("a", &digest)]).await;
    assert!(gone.is_empty() && kept[0].why.to_string().contains("it has others: b"), "{kept:?}");
    assert_eq!(registry.count("DELETE", &digest.to_string()), 0);
    let (gone, kept) = delete(&source, &[("a", &digest), ("b", &digest)]).await;
    assert_eq!((gone, kept), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    assert_eq!(registry.tags(REPO), ["other"]);
    assert!(registry.has(REPO, &other));
    assert_eq!(registry.count("DELETE", ""), 2, "by tag is not tried again where it was refused");
}

#[tokio::test]
async fn a_manifest_by_its_digest_goes_only_without_tags() {
    let registry = Fake::new();
    let (digest, _) = shared(&registry);
    let bare = registry.image(REPO, None, "amd64", "three");
    let source = source(&registry.host());
    let (gone, kept) = delete(&source, &[(digest.as_str(), &digest), (bare.as_str(), &bare)]).await;
    assert_eq!(gone, [bare.to_string()]);
    assert!(kept[0].why.to_string().contains("a, b"), "{kept:?}");
}

#[tokio::test]
async fn what_moved_or_is_gone_is_left_alone() {
    let registry = Fake::new();
    let (digest, other) = shared(&registry);
    let source = source(&registry.host());
    let (gone, kept) = delete(&source, &[("a", &other), ("absent", &other)]).await;
    assert!(gone.is_empty());
    assert!(kept[0].why.to_string().contains(digest.short()), "{kept:?}");
    assert_eq!(kept[1].why.to_string(), "already gone");
    assert_eq!(registry.count("DELETE", ""), 0);
}

#[tokio::test]
async fn a_platform_of_an_index_and_what_is_signed_are_kept() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let child = registry.image(REPO, Some("child"), "amd64", "one");
    let index = registry.index(REPO, Some("multi"), &[(&child, "amd64")]);
    let signed = registry.image(REPO, Some("signed"), "amd64", "two");
    let mark = format!("sha256-{}.sig", signed.hex());
    let signature = registry.referrer(REPO, Some(&mark), &signed, "x/sig");
    let source = source(&registry.host());
    let survey = source.survey(&Ctx::default(), REPO, &child).await.unwrap();
    assert_eq!((survey.tags, survey.parents, survey.referrers.len()), (vec!["child".to_owned()], vec!["multi".to_owned()], 0));
    let (gone, kept) = delete(&source, &[("child", &child), ("signed", &signed)]).await;
    assert!(gone.is_empty());
    assert!(kept.iter().any(|kept| kept.why.to_string().contains("part of the index at multi")), "{kept:?}");
    assert!(kept.iter().any(|kept| kept.why.to_string().contains(&mark)), "{kept:?}");
    let all = [("child", &child), ("multi", &index), ("signed", &signed), (mark.as_str(), &signature)];
    let (gone, kept) = delete(&source, &all).await;
    assert_eq!((gone.len(), kept), (4, vec![]), "all of them named, all of them go");
    assert!(registry.tags(REPO).is_empty());
}

#[tokio::test]
async fn a_list_that_may_not_be_whole_decides_nothing() {
    let registry = Fake::bent(|request, state| {
        let reply = state.answer(request);
        let link = "<https://elsewhere.example/list>; rel=\"next\"";
        Some(if request.path.contains("/tags/list") { reply.with("Link", link) } else { reply })
    });
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let (_, other) = shared(&registry);
    let (gone, kept) = delete(&source(&registry.host()), &[("other", &other)]).await;
    assert!(gone.is_empty() && kept[0].why.to_string().contains("can't be proved"), "{kept:?}");
    assert!(registry.has(REPO, &other));
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_says_so() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::Disabled;
    let (_, other) = shared(&registry);
    let (gone, kept) = delete(&source(&registry.host()), &[("other", &other)]).await;
    assert!(gone.is_empty() && kept[0].why.to_string().contains("does not allow deleting"), "{kept:?}");
}

/// Each answer to the first DELETE, whether it was carried out, and what is to come of it.
#[tokio::test]
async fn every_answer_to_a_delete_is_decided_by_what_is_there_then() {
    let cases: [(u16, bool, Result<(), &str>); 12] = [
        (200, true, Ok(())),
        (202, true, Ok(())),
        (204, true, Ok(())),
        (202, false, Err("still serves it")),
        (403, false, Err("403")),
        (404, true, Ok(())),
        (409, false, Err("409")),
        (500, true, Ok(())),
        (500, false, Ok(())),
        (502, true, Ok(())),
        (429, false, Ok(())),
        (405, false, Ok(())),
    ];
    for (status, applied, end) in cases {
        let count = AtomicUsize::new(0);
        let registry = Fake::bent(move |request, state| {
            if request.method != "DELETE" || count.fetch_add(1, Ordering::SeqCst) > 0 {
                return None;
            }
            if applied {
                state.answer(request);
            }
            Some(Reply::status(status))
        });
        let (_, other) = shared(&registry);
        let (gone, kept) = delete(&source(&registry.host()), &[("other", &other)]).await;
        match end {
            Ok(()) => assert_eq!((gone.len(), kept.len()), (1, 0), "{status} {applied}: {kept:?}"),
            Err(words) => assert!(gone.is_empty() && kept[0].why.to_string().contains(words), "{status} {applied}: {kept:?}"),
        }
        assert!(registry.count("DELETE", "") <= 3);
    }
}

#[tokio::test]
async fn a_tag_that_moves_while_an_answer_is_lost_is_not_deleted() {
    let newer = Digest::sha256(b"newer");
    let wanted = newer.clone();
    let registry = Fake::bent(move |request, state| {
        if request.method != "DELETE" {
            return None;
        }
        // The answer is lost, and another writer comes in between.
        let manifest = state.manifests.values().next().unwrap().clone();
        state.manifests.insert((REPO.into(), wanted.clone()), manifest);
        state.tags.insert((REPO.into(), "other".into()), wanted.clone());
        Some(Reply::status(503))
    });
    let (_, other) = shared(&registry);
    let (gone, kept) = delete(&source(&registry.host()), &[("other", &other)]).await;
    assert!(gone.is_empty() && kept[0].why.to_string().contains(newer.short()), "{kept:?}");
    assert_eq!(registry.count("DELETE", ""), 1, "not sent again");
}

#[tokio::test]
async fn an_empty_manifest_takes_one_of_several_tags_away() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let (digest, _) = shared(&registry);
    let source = source(&registry.host());
    let untag = async |tag: &str| {
        let items = [(name(source.host(), tag), digest.clone())];
        source.curator().unwrap().untag(&Ctx::default(), &items).await.unwrap()
    };
    let (removed, kept) = untag("a").await;
    assert_eq!((removed.len(), kept), (1, vec![]));
    assert_eq!(registry.tags(REPO), ["b", "other"]);
    assert!(registry.has(REPO, &digest));
    // Where nothing is ever deleted the tag comes back.
    registry.state.lock().unwrap().deletes = Deletes::Disabled;
    let (removed, kept) = untag("b").await;
    assert!(removed.is_empty() && kept[0].why.to_string().contains("put back"), "{kept:?}");
    assert_eq!(registry.tag(REPO, "b"), Some(digest));
}

#[tokio::test]
async fn a_retag_puts_the_manifest_and_moves_no_blob() {
    let registry = Fake::new();
    let (digest, other) = shared(&registry);
    let source = source(&registry.host());
    retag(&source, &digest, "new", None).await.unwrap();
    retag(&source, &digest, "other", Some(&other)).await.unwrap();
    assert_eq!((registry.tag(REPO, "new"), registry.tag(REPO, "other")), (Some(digest.clone()), Some(digest.clone())));
    assert_eq!(registry.count("", "/blobs/"), 0);
    assert_eq!((registry.count("PUT", ""), registry.count("HEAD", "")), (2, 4), "read again before and after each");
    // Already there: nothing is written.
    retag(&source, &digest, "new", None).await.unwrap();
    assert_eq!(registry.count("PUT", ""), 2);
    let conflict = retag(&source, &other, "new", None).await.unwrap_err();
    assert!(conflict.kind == ProblemKind::Conflict && conflict.cause.as_str().contains(digest.short()), "{conflict}");
    assert_eq!(retag(&source, &other, "new", Some(&other)).await.unwrap_err().kind, ProblemKind::Conflict);
    let absent = retag(&source, &Digest::sha256(b"absent"), "new", Some(&digest)).await.unwrap_err();
    assert_eq!(absent.kind, ProblemKind::NotFound);
    assert_eq!(registry.tag(REPO, "new"), Some(digest));
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_looked_after() {
    for applied in [true, false] {
        let count = AtomicUsize::new(0);
        let registry = Fake::bent(move |request, state| {
            if request.method != "PUT" || count.fetch_add(1, Ordering::SeqCst) > 0 {
                return None;
            }
            if applied {
                state.answer(request);
            }
            Some(Reply::Raw(vec![]))
        });
        let (digest, _) = shared(&registry);
        retag(&source(&registry.host()), &digest, "new", None).await.unwrap();
        assert_eq!(registry.count("PUT", ""), if applied { 1 } else { 2 });
        assert_eq!(registry.tag(REPO, "new"), Some(digest));
    }
}

#[tokio::test]
async fn a_registry_that_takes_nothing_stops_it() {
    for status in [403, 405, 413, 507] {
        let registry = Fake::bent(move |request, _| (request.method == "PUT").then(|| Reply::status(status)));
        let (digest, _) = shared(&registry);
        let problem = retag(&source(&registry.host()), &digest, "new", None).await.unwrap_err();
        assert!(problem.cause.as_str().contains(&status.to_string()), "{problem}");
        assert_eq!(registry.count("PUT", ""), 1);
    }
}

fn copy_of(from: &str, to: &str) -> Copy {
    Copy {
        from: CopyFrom::Registry(Name::new(from)),
        expected: None,
        to: Name::new(to),
        replaces: None,
        platforms: vec![],
        referrers: false,
    }
}

async fn run(copy: Copy) -> Result<Transfer, Problem> {
    let source = source(copy.to.reference().unwrap().registry());
    apply(&source, Change::Copy { source: source.id().clone(), copy }).await
}

#[tokio::test]
async fn a_copy_to_another_registry_keeps_every_digest_and_a_second_one_moves_nothing() {
    let (one, two) = (Fake::new(), Fake::new());
    let children = [one.image(REPO, None, "amd64", "a"), one.image(REPO, None, "arm64", "b")];
    let index = one.index(REPO, Some("v1"), &[(&children[0], "amd64"), (&children[1], "arm64")]);
    let (from, to) = (format!("{}/{REPO}:v1", one.host()), format!("{}/copy/app:v2", two.host()));
    let moved = run(copy_of(&from, &to)).await.unwrap();
    assert_eq!(moved.digest, Some(index.clone()));
    assert!(moved.bytes_transferred > 300 && moved.bytes_skipped == 0, "{moved:?}");
    assert_eq!(two.tag("copy/app", "v2"), Some(index.clone()));
    let blobs = |registry: &Fake, repo: &str| -> Vec<Digest> {
        let state = registry.state.lock().unwrap();
        state.blobs.keys().filter(|(r, _)| r == repo).map(|(_, digest)| digest.clone()).collect()
    };
    assert_eq!(blobs(&two, "copy/app"), blobs(&one, REPO));
    assert!(children.iter().all(|child| two.has("copy/app", child)));
    two.forget();
    let again = run(copy_of(&from, &format!("{}/copy/app:v3", two.host()))).await.unwrap();
    assert_eq!((again.bytes_transferred, again.bytes_skipped), (0, moved.bytes_transferred));
    assert_eq!((two.count("", "/blobs/"), two.count("PUT", "")), (0, 1));
    // A blob that is there is not sent, even for a new manifest.
    let third = run(copy_of(&from, &format!("{}/other/app:v1", two.host()))).await.unwrap();
    assert_eq!(third.bytes_transferred, moved.bytes_transferred, "another repository has none of them");
}

#[tokio::test]
async fn within_a_registry_blobs_are_mounted() {
    for no_mounts in [false, true] {
        let registry = Fake::new();
        registry.state.lock().unwrap().no_mounts = no_mounts;
        let digest = registry.image(REPO, Some("v1"), "amd64", "a");
        let host = registry.host();
        let moved = run(copy_of(&format!("{host}/{REPO}:v1"), &format!("{host}/copy/app:v1"))).await.unwrap();
        assert_eq!(registry.tag("copy/app", "v1"), Some(digest));
        assert_eq!(moved.bytes_transferred == 0, !no_mounts, "{moved:?}");
        assert_eq!(registry.count("GET", "/blobs/"), if no_mounts { 2 } else { 0 });
        assert_eq!(registry.count("POST", ""), 2, "the session of a mount that was refused is used");
    }
}

#[tokio::test]
async fn chosen_platforms_go_with_what_is_about_them() {
    let (one, two) = (Fake::new(), Fake::new());
    let (amd, arm) = (one.image(REPO, None, "amd64", "a"), one.image(REPO, None, "arm64", "b"));
    let note = |about: &Digest| one.referrer(REPO, None, about, "note");
    let (about_amd, about_arm) = (note(&amd), note(&arm));
    let entry = |digest: &Digest, architecture: &str| json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 7, "platform": {"os": "linux", "architecture": architecture}, "x-own": 1});
    let attestation = |digest: &Digest, about: &Digest| {
        json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 7, "platform": {"os": "unknown", "architecture": "unknown"},
               "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about}})
    };
    let manifests = json!([entry(&amd, "amd64"), entry(&arm, "arm64"), attestation(&about_amd, &amd), attestation(&about_arm, &arm)]);
    let index =
        one.put(REPO, Some("v1"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests, "x-kept": true}));
    let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
    copy.platforms = vec![Platform::new("linux", "arm64", None)];
    let moved = run(copy.clone()).await.unwrap();
    let digest = moved.digest.unwrap();
    assert_ne!(digest, index);
    let (_, bytes) = two.state.lock().unwrap().manifests[&(REPO.to_owned(), digest)].clone();
    let kept: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(kept["manifests"], json!([entry(&arm, "arm64"), attestation(&about_arm, &arm)]));
    assert_eq!(kept["x-kept"], true);
    assert!(two.has(REPO, &arm) && two.has(REPO, &about_arm) && !two.has(REPO, &amd));
    copy.platforms = vec![Platform::new("plan9", "mips", None)];
    copy.to = name(&two.host(), "v2");
    let problem = run(copy).await.unwrap_err();
    assert!(problem.hint.unwrap().as_str().contains("linux/amd64, linux/arm64"));
}

#[tokio::test]
async fn signatures_go_along_when_asked_for() {
    for (from_api, to_api) in [(true, true), (true, false), (false, false), (false, true)] {
        let (one, two) = (Fake::new(), Fake::new());
        one.state.lock().unwrap().referrers_api = from_api;
        two.state.lock().unwrap().referrers_api = to_api;
        let digest = one.image(REPO, Some("v1"), "amd64", "a");
        let sbom = one.referrer(REPO, None, &digest, "application/spdx+json");
        let mark = format!("sha256-{}.sig", digest.hex());
        let signature = one.referrer(REPO, Some(&mark), &digest, "x/sig");
        if !from_api {
            let entry = json!({"mediaType": media::OCI_MANIFEST, "digest": sbom, "size": 7, "artifactType": "application/spdx+json"});
            let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]});
            one.put(REPO, Some(&format!("sha256-{}", digest.hex())), &body);
        }
        let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
        run(copy.clone()).await.unwrap();
        assert!(!two.has(REPO, &sbom) && !two.has(REPO, &signature), "not unless asked for");
        copy.referrers = true;
        run(copy.clone()).await.unwrap();
        assert_eq!(two.tag(REPO, &mark), Some(signature), "{from_api} {to_api}");
        assert!(two.has(REPO, &sbom));
        let found = source(&two.host()).client().clone();
        let repo = lighterman::source::registry::Repo::at(&two.host(), REPO).unwrap();
        let found = found.referrers(&repo, &digest, Some("application/spdx+json")).await.unwrap();
        assert_eq!(found.referrers.iter().map(|one| &one.digest).collect::<Vec<_>>(), [&sbom], "{from_api} {to_api}");
        run(copy).await.unwrap();
    }
}

#[tokio::test]
async fn what_refers_to_a_referrer_goes_along_to_any_depth() {
    for (from_api, to_api) in [(true, true), (true, false), (false, true)] {
        let (one, two) = (Fake::new(), Fake::new());
        one.state.lock().unwrap().referrers_api = true;
        two.state.lock().unwrap().referrers_api = to_api;
        let digest = one.image(REPO, Some("v1"), "amd64", "a");
        let mut chain = vec![digest.clone()];
        for depth in 0..12 {
            let next = one.referrer(REPO, None, chain.last().unwrap(), &format!("x/depth-{depth}"));
            chain.push(next);
        }
        // The last but one is signed by a tag, too.
        let mark = format!("sha256-{}.sig", chain[11].hex());
        let signature = one.referrer(REPO, Some(&mark), &chain[11], "x/sig");
        if !from_api {
            for pair in chain.windows(2) {
                let entry = json!({"mediaType": media::OCI_MANIFEST, "digest": pair[1], "size": 7});
                let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]});
                one.put(REPO, Some(&format!("sha256-{}", pair[0].hex())), &body);
            }
            one.state.lock().unwrap().referrers_api = false;
        }
        let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
        copy.referrers = true;
        run(copy.clone()).await.unwrap();
        assert!(chain.iter().all(|digest| two.has(REPO, digest)), "{from_api} {to_api}");
        assert_eq!(two.tag(REPO, &mark), Some(signature));
        let (client, repo) = (source(&two.host()).client().clone(), lighterman::source::registry::Repo::at(&two.host(), REPO).unwrap());
        for pair in chain.windows(2) {
            let found = client.referrers(&repo, &pair[0], None).await.unwrap();
            assert!(found.referrers.iter().any(|one| one.digest == pair[1]), "{from_api} {to_api}");
        }
        let again = run(copy).await.unwrap();
        assert_eq!(again.bytes_transferred, 0);
    }
}

#[tokio::test]
async fn referrers_in_a_circle_and_without_end_are_bounded() {
    // An index whose child's subject is the index itself, by way of what the registry says.
    let circle = Arc::new(std::sync::Mutex::new((None, None)));
    let said = Arc::clone(&circle);
    let one = Fake::bent(move |request, state| {
        let (_, subject) = request.path.split_once("/referrers/")?;
        let (a, b): (Option<Digest>, Option<Digest>) = said.lock().unwrap().clone();
        let (a, b) = (a?, b?);
        let next = if subject == a.as_str() { b } else { a };
        let size = state.manifests.get(&(REPO.to_owned(), next.clone())).map_or(7, |(_, bytes)| bytes.len());
        let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX,
            "manifests": [{"mediaType": media::OCI_MANIFEST, "digest": next, "size": size}]});
        Some(Reply::body(body.to_string()).with("Content-Type", media::OCI_INDEX))
    });
    let two = Fake::new();
    let digest = one.image(REPO, Some("v1"), "amd64", "a");
    let other = one.referrer(REPO, None, &digest, "x/loop");
    *circle.lock().unwrap() = (Some(digest.clone()), Some(other.clone()));
    let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
    copy.referrers = true;
    run(copy.clone()).await.unwrap();
    assert!(two.has(REPO, &other));
    assert!(one.count("GET", "/referrers/") <= 4, "each is looked at once");

    // A new referrer for every one that is asked for.
    let endless = Fake::bent(|request, state| {
        let (_, subject) = request.path.split_once("/referrers/")?;
        let empty = Digest::sha256(b"{}");
        state.blobs.insert((REPO.to_owned(), empty.clone()), b"{}".to_vec());
        let manifest = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "subject": {"mediaType": media::OCI_MANIFEST, "digest": subject, "size": 7},
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2}, "layers": []}).to_string().into_bytes();
        let (digest, size) = (Digest::sha256(&manifest), manifest.len());
        state.manifests.insert((REPO.to_owned(), digest.clone()), (media::OCI_MANIFEST.to_owned(), manifest));
        let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX,
            "manifests": [{"mediaType": media::OCI_MANIFEST, "digest": digest, "size": size}]});
        Some(Reply::body(body.to_string()).with("Content-Type", media::OCI_INDEX))
    });
    endless.image(REPO, Some("v1"), "amd64", "a");
    two.state.lock().unwrap().referrers_api = true;
    copy.from = CopyFrom::Registry(Name::new(&format!("{}/{REPO}:v1", endless.host())));
    copy.to = Name::new(&format!("{}/{REPO}:endless", two.host()));
    let problem = run(copy).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
    assert!(problem.cause.as_str().contains("more than 500"), "{problem}");
}

#[tokio::test]
async fn a_list_of_referrers_that_is_not_whole_is_said() {
    let one = Fake::bent(|request, state| {
        let reply = request.path.contains("/referrers/").then(|| state.answer(request))?;
        Some(reply.with("Link", "<https://elsewhere.example/>; rel=\"next\""))
    });
    let two = Fake::new();
    one.state.lock().unwrap().referrers_api = true;
    let digest = one.image(REPO, Some("v1"), "amd64", "a");
    let sbom = one.referrer(REPO, None, &digest, "x/sbom");
    let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
    copy.referrers = true;
    let problem = run(copy).await.unwrap_err();
    assert!(problem.hint.unwrap().as_str().contains("the image is there"));
    assert!(two.has(REPO, &sbom) && two.tag(REPO, "v1") == Some(digest));
}

#[tokio::test]
async fn a_copy_never_overwrites_what_was_not_seen() {
    let (one, two) = (Fake::new(), Fake::new());
    let digest = one.image(REPO, Some("v1"), "amd64", "a");
    let held = two.image(REPO, Some("v1"), "amd64", "held");
    let mut copy = copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()));
    assert_eq!(run(copy.clone()).await.unwrap_err().kind, ProblemKind::Conflict);
    assert_eq!(two.count("POST", "") + two.count("PUT", ""), 0, "found before anything is sent");
    copy.replaces = Some(held);
    copy.expected = Some(Digest::sha256(b"what was seen"));
    let problem = run(copy.clone()).await.unwrap_err();
    assert!(problem.kind == ProblemKind::Conflict && problem.cause.as_str().contains(digest.short()), "{problem}");
    copy.expected = Some(digest.clone());
    run(copy).await.unwrap();
    assert_eq!(two.tag(REPO, "v1"), Some(digest));
}

#[tokio::test]
async fn a_wrong_blob_never_arrives_whole() {
    let one = Fake::bent(|request, state| match state.answer(request) {
        Reply::Plain(200, headers, mut body) if request.method == "GET" && request.path.contains("/blobs/") => {
            let last = body.len() - 1;
            body[last] ^= 1;
            Some(Reply::Plain(200, headers, body))
        }
        reply => Some(reply),
    });
    let two = Fake::new();
    one.image(REPO, Some("v1"), "amd64", "a");
    let problem = run(copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()))).await.unwrap_err();
    assert!(problem.kind == ProblemKind::Corrupt && problem.cause.as_str().contains("bytes of digest"), "{problem}");
    assert!(two.tags(REPO).is_empty() && two.state.lock().unwrap().blobs.is_empty());
}

#[tokio::test]
async fn a_source_that_breaks_is_taken_up_where_it_broke() {
    let layer: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (wanted, cut) = (layer.clone(), 1_700_000);
    let one = Fake::bent(move |request, _| {
        let hit = request.method == "GET" && request.path.ends_with(Digest::sha256(&wanted).as_str()) && request.range().is_none();
        hit.then(|| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", wanted.len());
            Reply::Raw([head.as_bytes(), &wanted[..cut]].concat())
        })
    });
    let two = Fake::new();
    let config = one.blob(REPO, b"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
    let digest = one.blob(REPO, &layer);
    let body = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": 42},
        "layers": [{"mediaType": media::OCI_LAYER, "digest": digest, "size": layer.len()}]
    });
    one.put(REPO, Some("v1"), &body);
    run(copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()))).await.unwrap();
    assert_eq!(two.state.lock().unwrap().blobs[&(REPO.to_owned(), digest)], layer);
    let ranges: Vec<usize> = one.server.seen().iter().filter_map(scripted::Request::range).collect();
    assert_eq!(ranges, [cut]);
}

#[tokio::test]
async fn blobs_that_were_collected_as_garbage_are_sent_once_more() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let two = Fake::bent(move |request, state| {
        if request.method == "PUT" && request.path.contains("/manifests/v1") && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            state.blobs.clear();
            return Some(Reply::Plain(400, vec![], br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#.to_vec()));
        }
        None
    });
    let one = Fake::new();
    let digest = one.image(REPO, Some("v1"), "amd64", "a");
    run(copy_of(&format!("{}/{REPO}:v1", one.host()), &format!("{}/{REPO}:v1", two.host()))).await.unwrap();
    assert_eq!(two.tag(REPO, "v1"), Some(digest));
    assert_eq!((two.state.lock().unwrap().blobs.len(), count.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn what_can_not_be_copied_whole_is_refused_by_name() {
    let (one, two) = (Fake::new(), Fake::new());
    let missing = Digest::sha256(b"missing");
    one.index(REPO, Some("sparse"), &[(&missing, "s390x")]);
    let config = one.blob(REPO, b"{}");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let layers = json!([{"mediaType": foreign, "digest": missing, "size": 5, "urls": ["http://169.254.169.254/x"]}]);
    let body = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": {"mediaType": media::OCI_CONFIG, "digest": config, "size": 2}, "layers": layers});
    one.put(REPO, Some("foreign"), &body);
    let to = |tag: &str| format!("{}/{REPO}:{tag}", two.host());
    let sparse = run(copy_of(&format!("{}/{REPO}:sparse", one.host()), &to("a"))).await.unwrap_err();
    assert!(sparse.kind == ProblemKind::NotFound && sparse.cause.as_str().contains("(linux/s390x), which is missing"), "{sparse}");
    let foreign = run(copy_of(&format!("{}/{REPO}:foreign", one.host()), &to("b"))).await.unwrap_err();
    assert!(foreign.kind == ProblemKind::Unsupported && foreign.cause.as_str().contains("lives elsewhere"), "{foreign}");
    let digest = format!("{}/{REPO}@{missing}", two.host());
    assert_eq!(run(copy_of(&format!("{}/{REPO}:sparse", one.host()), &digest)).await.unwrap_err().kind, ProblemKind::Usage);
    assert_eq!(two.count("POST", "") + two.count("PUT", ""), 0);
}

#[tokio::test]
async fn files_are_copied_in_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ImageSpec::new("app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/x", &[7; 5000])]);
    std::fs::write(dir.path().join("a.oci.tar"), oci_archive(std::slice::from_ref(&spec), Pack::Gzip)).unwrap();
    std::fs::write(dir.path().join("a.tar"), docker_archive(std::slice::from_ref(&spec))).unwrap();
    std::fs::write(dir.path().join("two.tar"), docker_archive(&[spec.clone(), ImageSpec::new("b:1").layer(&[("b", b"b")])])).unwrap();
    let registry = Fake::new();
    let copy = |file: &str, tag: &str| Copy {
        from: CopyFrom::File(Locator::parse(&file.replace("DIR", dir.path().to_str().unwrap())).unwrap()),
        ..copy_of("unused", &format!("{}/{REPO}:{tag}", registry.host()))
    };
    let oci = run(copy("oci-archive:DIR/a.oci.tar", "oci")).await.unwrap();
    assert_eq!(registry.tag(REPO, "oci"), oci.digest);
    assert!(oci.bytes_transferred > 0);
    let docker = run(copy("docker-archive:DIR/a.tar", "docker")).await.unwrap();
    assert_eq!(registry.tag(REPO, "docker"), docker.digest);
    assert!(docker.bytes_transferred > 5000, "layers as they are in the archive: {docker:?}");
    assert_eq!(run(copy("docker-archive:DIR/two.tar", "x")).await.unwrap_err().kind, ProblemKind::Usage);
    run(copy("docker-archive:DIR/two.tar:b:1", "b")).await.unwrap();
    assert_eq!(run(copy("docker-archive:DIR/none.tar", "x")).await.unwrap_err().kind, ProblemKind::NotFound);
}

#[tokio::test]
async fn a_part_of_an_index_that_had_to_stay_stays_too() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let child = registry.image(REPO, Some("child"), "amd64", "one");
    let index = registry.index(REPO, Some("multi"), &[(&child, "amd64")]);
    registry.state.lock().unwrap().tags.insert((REPO.into(), "latest".into()), index.clone());
    let (gone, kept) = delete(&source(&registry.host()), &[("child", &child), ("multi", &index)]).await;
    assert!(gone.is_empty(), "{gone:?}");
    assert!(kept.iter().any(|kept| kept.why.to_string().contains("it has others: latest")), "{kept:?}");
    assert!(kept.iter().any(|kept| kept.why.to_string().contains("part of the index at latest, multi")), "{kept:?}");
}

#[tokio::test]
async fn a_batch_asks_for_nothing_twice() {
    let registry = Fake::new();
    let digests: Vec<Digest> = (0..40).map(|n| registry.image(REPO, Some(&format!("t{n}")), "amd64", &n.to_string())).collect();
    let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    let all: Vec<(&str, &Digest)> = names.iter().map(String::as_str).zip(&digests).collect();
    let (gone, kept) = delete(&source(&registry.host()), &all[..20]).await;
    assert_eq!((gone, kept), (names[..20].to_vec(), vec![]), "in the order they were named");
    assert_eq!(registry.server.seen().len(), 60, "read, delete, read: nothing more");
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    registry.forget();
    let (gone, kept) = delete(&source(&registry.host()), &all[20..]).await;
    assert_eq!((gone.len(), kept.len()), (20, 0));
    assert_eq!(registry.count("GET", "/referrers/"), 1, "that there is no such API is found out once");
    assert_eq!(registry.count("GET", "/manifests/"), 0);
    assert_eq!(registry.count("DELETE", "/manifests/t"), 1, "that tags can't be deleted alone is found out once");
}
