//! The embedded store: against a real registry and skopeo, and through kills, corruption and hostile servers.
#![allow(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, measures time and starts processes"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use lighterman::model::{
    ArchiveFormat, Digest, ImageKey, ImageList, ImageSummary, Name, Platform, Problem, ProblemKind, Reference, Removal, StepState,
};
use lighterman::source::content::Content as _;
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{RegistrySettings, Timers};
use lighterman::source::store::{StoreSource, demo};
use lighterman::source::{Ctx, Curator, ExportTo, Source as _, Watcher as _};
use serde_json::json;

mod common;
#[path = "common/scripted.rs"]
mod scripted;
#[path = "store/untagged.rs"]
mod untagged;

use scripted::{Reply, Server};

const STABLE: &str = "registry.example.com/acme/api:stable";
const MULTI: &str = "registry.example.com/acme/web:2.2.0";

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn world() -> (tempfile::TempDir, StoreSource) {
    let dir = tempfile::tempdir().unwrap();
    let store = demo::build(dir.path(), now()).unwrap();
    (dir, store)
}

fn empty() -> (tempfile::TempDir, StoreSource) {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreSource::open(dir.path()).unwrap();
    (dir, store)
}

fn curator(store: &StoreSource) -> &dyn Curator {
    store.curator().unwrap()
}

fn named(text: &str) -> Reference {
    Name::new(text).reference().unwrap()
}

async fn list(store: &StoreSource) -> ImageList {
    store.list(&Ctx::default()).await.unwrap()
}

async fn row(store: &StoreSource, tag: &str) -> Option<ImageSummary> {
    list(store).await.images.into_iter().find(|image| image.tags.iter().any(|known| known.raw() == tag))
}

async fn id(store: &StoreSource, tag: &str) -> Digest {
    row(store, tag).await.unwrap().id
}

/// Every blob of every image, read to its end; the files of the blobs.
fn verify(dir: &Path) -> BTreeSet<PathBuf> {
    let store = StoreSource::open(dir).unwrap();
    let content = store.content(&[]).unwrap();
    for image in content.images() {
        for blob in image.root.iter().chain(&image.manifest).chain([&image.config]).chain(&image.layers) {
            content.open(blob).unwrap().read_to_end(&mut Vec::new()).unwrap();
        }
    }
    files(dir)
}

fn files(dir: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(dir.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn leftovers(dir: &Path) -> usize {
    let count = |dir: &Path| {
        fs::read_dir(dir).unwrap().filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".lighterman-")).count()
    };
    count(dir) + count(&dir.join("blobs/sha256"))
}

async fn remove(store: &StoreSource, tag: &str) -> Result<(), String> {
    let expected = row(store, tag).await.map_or_else(|| Digest::sha256(b""), |row| row.id);
    let items = [Removal::Tag { name: Name::new(tag), expected }];
    let (removed, kept) = curator(store).remove(&Ctx::default(), &items).await.unwrap();
    assert_eq!(removed.len() + kept.len(), 1);
    kept.into_iter().next().map_or(Ok(()), |kept| Err(kept.why.to_string()))
}

#[tokio::test]
async fn the_demo_world_is_rich_sound_and_always_the_same() {
    let (dir, store) = world();
    let list = list(&store).await;
    assert!(list.gaps.is_empty(), "{:?}", list.gaps);
    assert!(list.images.len() >= 8);
    assert!(list.images.iter().map(|image| image.tags.len()).sum::<usize>() >= 12);
    assert_eq!(list.images.iter().filter(|image| image.is_dangling()).count(), 2);
    let multi: Vec<_> = list.images.iter().filter(|image| image.tags.contains(&Name::new(MULTI))).collect();
    assert_eq!(multi.len(), 2);
    assert_ne!(multi[0].platform, multi[1].platform);
    let created: Vec<Timestamp> = list.images.iter().map(|image| image.created.unwrap()).collect();
    assert!(created.iter().all(|at| *at <= now()));
    let span = created.iter().max().unwrap().duration_since(*created.iter().min().unwrap());
    assert!(span.as_hours() > 24 * 365 * 5 / 2);
    let api = store.inspect(&Ctx::default(), &ImageKey::Name(named(STABLE))).await.unwrap();
    assert!(api.history.as_ref().unwrap().iter().any(|step| step.empty_layer && step.layer_digest.is_none()));
    let run = api.config.unwrap();
    assert!(!run.env.is_empty() && run.cmd.is_some() && !run.labels.is_empty());
    assert!(api.unique_size.unwrap() > 0 && api.unique_size < api.size, "it shares its base");
    verify(dir.path());
    let (again, _) = world();
    let short = |dir: &Path| files(dir).iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(short(dir.path()), short(again.path()));
    assert_eq!(fs::read(dir.path().join("index.json")).unwrap(), fs::read(again.path().join("index.json")).unwrap());
}

#[tokio::test]
async fn unique_sizes_are_what_removing_frees() {
    let (dir, store) = world();
    let row = row(&store, "registry.example.com/acme/worker:nightly").await.unwrap();
    let bytes = |dir: &Path| files(dir).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let before = bytes(dir.path());
    remove(&store, "registry.example.com/acme/worker:nightly").await.unwrap();
    let freed = before - bytes(dir.path());
    let unique = row.unique_size.unwrap();
    // Configuration and manifest go too.
    assert!(freed > unique && freed < unique + 10_000, "{freed} {unique}");
}

#[tokio::test]
async fn tags_move_only_as_agreed() {
    let (dir, store) = world();
    let ctx = Ctx::default();
    let (stable, old) = (id(&store, STABLE).await, id(&store, "registry.example.com/acme/api:1.3.2").await);
    let free = named("app:new");
    curator(&store).tag(&ctx, &stable, &free, None).await.unwrap();
    assert_eq!(id(&store, "docker.io/library/app:new").await, stable);
    // Again is no conflict; another image is.
    curator(&store).tag(&ctx, &stable, &free, None).await.unwrap();
    let conflict = curator(&store).tag(&ctx, &old, &free, None).await.unwrap_err();
    assert_eq!(conflict.kind, ProblemKind::Conflict);
    let wrong = Digest::sha256(b"another");
    assert_eq!(curator(&store).tag(&ctx, &old, &free, Some(&wrong)).await.unwrap_err().kind, ProblemKind::Conflict);
    curator(&store).tag(&ctx, &old, &free, Some(&stable)).await.unwrap();
    assert_eq!(id(&store, "docker.io/library/app:new").await, old);
    assert_eq!(id(&store, STABLE).await, stable, "its other names stay");
    let absent = curator(&store).tag(&ctx, &wrong, &free, None).await.unwrap_err();
    assert_eq!(absent.kind, ProblemKind::NotFound);
    verify(dir.path());
}

#[tokio::test]
async fn a_moved_last_tag_leaves_an_image_to_prune() {
    let (dir, store) = world();
    let ctx = Ctx::default();
    let (stable, old) = (id(&store, STABLE).await, id(&store, "registry.example.com/acme/api:1.3.2").await);
    curator(&store).tag(&ctx, &stable, &named("registry.example.com/acme/api:1.3.2"), Some(&old)).await.unwrap();
    let prunable = curator(&store).prunable(&ctx).await.unwrap();
    assert_eq!(prunable.images.len(), 3);
    assert!(prunable.images.iter().any(|image| image.id == old && image.unique_size.is_some()));
    let tagged = Removal::Untagged { id: stable.clone() };
    let items: Vec<Removal> = prunable.images.iter().map(|image| Removal::Untagged { id: image.id.clone() }).chain([tagged]).collect();
    let (removed, kept) = curator(&store).remove(&ctx, &items).await.unwrap();
    assert_eq!((removed.len(), kept.len()), (3, 1));
    assert!(kept[0].why.to_string().contains("tag"));
    assert!(curator(&store).prunable(&ctx).await.unwrap().images.is_empty());
    verify(dir.path());
}

#[tokio::test]
async fn removing_the_last_tag_removes_the_image_and_nothing_shared() {
    let (dir, store) = world();
    let before = verify(dir.path());
    let stable = row(&store, STABLE).await.unwrap();
    for tag in &stable.tags {
        let left = files(dir.path()).len();
        assert_eq!(left, before.len(), "nothing goes before the last tag");
        remove(&store, tag.raw()).await.unwrap();
    }
    assert!(list(&store).await.images.iter().all(|image| image.id != stable.id));
    let after = verify(dir.path());
    assert_eq!(before.len() - after.len(), 3, "configuration, manifest and its own layer");
    assert!(remove(&store, STABLE).await.unwrap_err().contains("gone"));
    // A removal confirmed for another image is kept.
    let items = [Removal::Tag { name: Name::new(MULTI), expected: stable.id }];
    let (_, kept) = curator(&store).remove(&Ctx::default(), &items).await.unwrap();
    assert!(kept[0].why.to_string().contains("another image"));
}

#[tokio::test]
async fn hostile_entries_are_gaps_and_stop_the_collector() {
    let (dir, store) = world();
    let before = list(&store).await.images.len();
    let path = dir.path().join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let missing = json!({"mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(b"missing"), "size": 7, "annotations": {"org.opencontainers.image.ref.name": "h/gone:1"}});
    let traversal = json!({"mediaType": media::OCI_MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 7});
    index["manifests"].as_array_mut().unwrap().extend([missing, traversal, json!("text")]);
    fs::write(&path, index.to_string()).unwrap();
    let seen = list(&store).await;
    assert_eq!((seen.images.len(), seen.gaps.len()), (before, 3), "{:?}", seen.gaps);
    assert!(seen.gaps.iter().any(|gap| gap.raw().contains("h/gone:1")));
    let blobs = files(dir.path());
    remove(&store, "docker.io/library/alpine:3.20").await.unwrap();
    assert_eq!(files(dir.path()), blobs, "what is not understood may need anything");
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(kept["manifests"].as_array().unwrap().contains(&json!("text")));
    fs::write(&path, "[").unwrap();
    assert_eq!(store.list(&Ctx::default()).await.unwrap_err().kind, ProblemKind::Corrupt);
}

#[tokio::test]
async fn corrupt_blobs_are_noticed_when_read() {
    let (dir, _) = world();
    let manifest = StoreSource::open(dir.path()).unwrap().content(&[]).unwrap().images()[0].clone();
    let path = |digest: &Digest| dir.path().join("blobs/sha256").join(digest.hex());
    let flip = |digest: &Digest| {
        let mut bytes = fs::read(path(digest)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path(digest), bytes).unwrap();
    };
    flip(&manifest.layers[0].digest);
    let store = StoreSource::open(dir.path()).unwrap();
    let content = store.content(&[]).unwrap();
    let read = content.open(&manifest.layers[0]).unwrap().read_to_end(&mut Vec::new());
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    flip(&manifest.config.digest);
    let store = StoreSource::open(dir.path()).unwrap();
    assert_eq!(list(&store).await.gaps.len(), manifest.names.len());
    // A link in a blob's place is not followed.
    fs::remove_file(path(&manifest.config.digest)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path(&manifest.config.digest)).unwrap();
    let store = StoreSource::open(dir.path()).unwrap();
    assert_eq!(list(&store).await.gaps.len(), manifest.names.len());
}

#[tokio::test]
async fn other_directories_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "x").unwrap();
    assert_eq!(StoreSource::open(dir.path()).unwrap_err().kind, ProblemKind::Usage);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn two_writers_lose_nothing() {
    let (dir, one) = world();
    let two = StoreSource::open(dir.path()).unwrap();
    let stable = id(&one, STABLE).await;
    let names: Vec<Reference> = (0..40).map(|nth| named(&format!("h.example/many:{nth}"))).collect();
    let ctx = Ctx::default();
    let tagging = names.iter().enumerate().map(|(nth, name)| {
        let store = if nth % 2 == 0 { &one } else { &two };
        curator(store).tag(&ctx, &stable, name, None)
    });
    for tagged in futures_util::future::join_all(tagging).await {
        tagged.unwrap();
    }
    assert_eq!(row(&two, STABLE).await.unwrap().tags.len(), 44);
}

#[tokio::test]
async fn changes_are_told() {
    let (_dir, store) = world();
    let ctx = Ctx::default();
    let mut changes = store.watch(&ctx).await.unwrap();
    changes.next().await.unwrap().unwrap();
    remove(&store, MULTI).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), changes.next()).await.unwrap().unwrap().unwrap();
}

/// A name at the registry that nothing else uses.
fn fresh(host: &str, tag: &str) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let nth = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{host}/store-{}-{nth}-{at}/app:{tag}", std::process::id())
}

async fn push(store: &StoreSource, from: &str, to: &str) -> (Digest, lighterman::model::Transfer) {
    let ctx = Ctx::default();
    let image = id(store, from).await;
    curator(store).tag(&ctx, &image, &named(to), None).await.unwrap();
    let moved = curator(store).push(&ctx, &named(to), &image).await.unwrap();
    (image, moved)
}

#[tokio::test]
async fn an_image_goes_to_a_registry_and_comes_back() {
    let Some(host) = common::registry("an_image_goes_to_a_registry_and_comes_back") else { return };
    let (_dir, store) = world();
    let to = fresh(&host, "v1");
    let (image, sent) = push(&store, STABLE, &to).await;
    assert!(sent.bytes_transferred > 100_000 && sent.bytes_skipped == 0);
    let ctx = Ctx::default();
    let again = curator(&store).push(&ctx, &named(&to), &image).await.unwrap();
    assert_eq!((again.bytes_transferred, again.bytes_skipped), (0, sent.bytes_transferred));
    assert!(ctx.meter.snapshot().steps.iter().all(|step| step.state == StepState::Skipped));
    // A second repository takes its blobs from the first.
    let (_, mounted) = push(&store, STABLE, &fresh(&host, "v1")).await;
    assert_eq!(mounted.bytes_transferred, 0);

    let (dir, other) = empty();
    let ctx = Ctx::default();
    let pulled = curator(&other).pull(&ctx, &named(&to), None).await.unwrap();
    assert_eq!((pulled.digest, pulled.bytes_transferred), (sent.digest.clone(), sent.bytes_transferred));
    let steps = ctx.meter.snapshot().steps;
    assert!(steps.iter().all(|step| step.state == StepState::Done && Some(step.done) == step.total));
    let row = row(&other, &to).await.unwrap();
    assert_eq!(row.id, image);
    let origin = format!("{}@{}", to.strip_suffix(":v1").unwrap(), sent.digest.unwrap());
    assert_eq!(row.repo_digests, [Name::new(&origin)]);
    verify(dir.path());
    let ctx = Ctx::default();
    let again = curator(&other).pull(&ctx, &named(&to), None).await.unwrap();
    assert_eq!((again.bytes_transferred, again.bytes_skipped), (0, sent.bytes_transferred));
    assert!(ctx.meter.snapshot().steps.iter().all(|step| step.state == StepState::Skipped));
    // By digest: no name, but it is there and can be found so.
    remove(&other, &to).await.unwrap();
    curator(&other).pull(&Ctx::default(), &named(&origin), None).await.unwrap();
    assert_eq!(other.inspect(&Ctx::default(), &ImageKey::Name(named(&origin))).await.unwrap().tags, []);
    assert_eq!(leftovers(dir.path()), 0);
}

#[tokio::test]
async fn a_push_or_pull_of_the_wrong_thing_changes_nothing() {
    let Some(host) = common::registry("a_push_or_pull_of_the_wrong_thing_changes_nothing") else { return };
    let (dir, store) = world();
    let before = fs::read(dir.path().join("index.json")).unwrap();
    let ctx = Ctx::default();
    let absent = curator(&store).pull(&ctx, &named(&fresh(&host, "none")), None).await.unwrap_err();
    assert_eq!(absent.kind, ProblemKind::NotFound);
    let moved = curator(&store).push(&ctx, &named(STABLE), &Digest::sha256(b"other")).await.unwrap_err();
    assert_eq!(moved.kind, ProblemKind::Conflict);
    assert_eq!(fs::read(dir.path().join("index.json")).unwrap(), before);
}

#[tokio::test]
async fn a_platform_is_chosen_and_the_index_kept() {
    let Some(host) = common::registry("a_platform_is_chosen_and_the_index_kept") else { return };
    let (_dir, store) = world();
    let to = fresh(&host, "multi");
    let (_, sent) = push(&store, MULTI, &to).await;
    let (dir, other) = empty();
    let arm: Platform = "linux/arm64".parse().unwrap();
    let ctx = Ctx::default();
    let pulled = curator(&other).pull(&ctx, &named(&to), Some(&arm)).await.unwrap();
    assert_eq!(pulled.digest, sent.digest, "the index's own digest");
    let rows = list(&other).await;
    assert_eq!((rows.images.len(), rows.gaps.len()), (1, 0), "{:?}", rows.gaps);
    assert_eq!(rows.images[0].platform.as_ref().unwrap().to_string(), "linux/arm64/v8");
    let mips: Platform = "linux/mips64le".parse().unwrap();
    let none = curator(&other).pull(&ctx, &named(&to), Some(&mips)).await.unwrap_err();
    assert!(none.hint.unwrap().as_str().contains("linux/arm64/v8"));
    // Where the registry has the other platforms, the index goes as it is; elsewhere only this platform can go.
    let arm_id = rows.images[0].id.clone();
    assert_eq!(curator(&other).push(&ctx, &named(&to), &arm_id).await.unwrap().digest, sent.digest);
    let elsewhere = fresh(&host, "single");
    curator(&other).tag(&ctx, &arm_id, &named(&elsewhere), None).await.unwrap();
    let alone = curator(&other).push(&ctx, &named(&elsewhere), &arm_id).await.unwrap();
    assert_ne!(alone.digest, sent.digest);
    curator(&other).pull(&ctx, &named(&to), None).await.unwrap();
    assert_eq!(list(&other).await.images.len(), 2);
    verify(dir.path());
}

fn skopeo(test: &str) -> bool {
    let there = Command::new("skopeo").arg("--version").output().is_ok_and(|done| done.status.success());
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} was left out: there is no skopeo");
        eprintln!("left out: {test} (needs skopeo)");
    }
    there
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn skopeo_reads_the_store_and_what_was_pushed() {
    if !skopeo("skopeo_reads_the_store_and_what_was_pushed") {
        return;
    }
    let (dir, store) = world();
    let seen = run(Command::new("skopeo").args(["inspect", &format!("oci:{}:{STABLE}", dir.path().display())]));
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    let image = store.inspect(&Ctx::default(), &ImageKey::Name(named(STABLE))).await.unwrap();
    assert_eq!(seen["Digest"], json!(image.manifest_digest));
    assert_eq!(seen["Layers"].as_array().unwrap().len(), image.layers.unwrap().len());
    let Some(host) = common::registry("skopeo_reads_the_store_and_what_was_pushed") else { return };
    let there = fresh(&host, "all");
    let from = format!("oci:{}:{MULTI}", dir.path().display());
    run(Command::new("skopeo").args([
        "copy",
        "--all",
        "--insecure-policy",
        "--dest-tls-verify=false",
        &from,
        &format!("docker://{there}"),
    ]));
    let (other, pulled) = empty();
    curator(&pulled).pull(&Ctx::default(), &named(&there), None).await.unwrap();
    let raw = run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{there}")]));
    let root = pulled.content(&[]).unwrap().images()[0].root.clone().unwrap();
    assert_eq!(Digest::sha256(raw.as_bytes()), root.digest);
    // Only this platform is there, and skopeo finds it.
    run(Command::new("skopeo").args(["inspect", &format!("oci:{}:{there}", other.path().display())]));
    let (_, sent) = push(&pulled, &there, &fresh(&host, "back")).await;
    assert!(sent.digest.is_some());
}

fn impatient() -> RegistrySettings {
    let timers = Timers {
        header: Duration::from_millis(500),
        no_progress: Duration::from_millis(500),
        tries: 2,
        backoff: Duration::from_millis(5),
        ..Timers::default()
    };
    RegistrySettings { timers, ..RegistrySettings::default() }
}

/// A registry with one image of one layer of `size` bytes; `layer` answers for the layer.
fn scripted_image(size: usize, layer: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Server {
    let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
    let config = json!({"architecture": Platform::host().architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&bytes)]}}).to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": Digest::sha256(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": media::OCI_LAYER, "digest": Digest::sha256(&bytes), "size": bytes.len()}]
    })
    .to_string();
    let config_path = format!("blobs/{}", Digest::sha256(config.as_bytes()));
    Server::new(move |request| {
        if request.path.contains("/manifests/") {
            Reply::body(manifest.clone()).with("Content-Type", media::OCI_MANIFEST)
        } else if request.path.ends_with(&config_path) {
            Reply::body(config.clone())
        } else {
            layer(&bytes)
        }
    })
}

#[tokio::test]
async fn a_lying_registry_leaves_nothing() {
    for lie in 0..3 {
        let server = scripted_image(100_000, move |bytes| match lie {
            0 => Reply::body(vec![7; bytes.len()]),
            1 => Reply::body(bytes[1..].to_vec()),
            _ => Reply::status(404),
        });
        let dir = tempfile::tempdir().unwrap();
        let store = StoreSource::open(dir.path()).unwrap().with_registries(impatient(), Credentials::none());
        let problem = curator(&store).pull(&Ctx::default(), &named(&format!("{}/a/b:1", server.host())), None).await.unwrap_err();
        let kind = if lie == 2 { ProblemKind::NotFound } else { ProblemKind::Corrupt };
        assert_eq!(problem.kind, kind, "{problem}");
        assert!(list(&store).await.images.is_empty());
        // The other blob's writer ends by itself.
        until(|| leftovers(dir.path()) == 0).await;
    }
}

/// Waits until `done`, which something else brings about.
async fn until(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited too long");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_running_pull_keeps_its_blobs_from_the_collector() {
    let server = scripted_image(100_000, |_| Reply::Silent);
    let dir = tempfile::tempdir().unwrap();
    demo::build(dir.path(), now()).unwrap();
    let mut settings = impatient();
    settings.timers.header = Duration::from_secs(60);
    let puller = Arc::new(StoreSource::open(dir.path()).unwrap().with_registries(settings, Credentials::none()));
    let before = files(dir.path());
    let ctx = Ctx::default();
    let reference = named(&format!("{}/a/b:1", server.host()));
    let collected = async {
        until(|| files(dir.path()).difference(&before).any(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'))).await;
        let config: Vec<PathBuf> = files(dir.path()).difference(&before).cloned().collect();
        let other = StoreSource::open(dir.path()).unwrap();
        remove(&other, "docker.io/library/redis:7.4").await.unwrap();
        assert!(files(dir.path()).len() < before.len() + config.len(), "the removed image's own blobs went");
        assert!(config.iter().all(|path| path.exists()), "what the pull brought stayed");
        ctx.cancel.cancel();
        config
    };
    let (pulled, config) = tokio::join!(curator(puller.as_ref()).pull(&ctx, &reference, None), collected);
    assert!(pulled.unwrap_err().is_cancelled());
    until(|| leftovers(dir.path()) == 0).await;
    remove(&puller, "registry.example.com/acme/api:1.3.2").await.unwrap();
    assert!(config.iter().all(|path| !path.exists()), "and goes once nobody pulls");
}

/// Not a test of its own: what the kill tests start and kill. Works on the store it is told, for ever.
#[tokio::test]
async fn child_of_the_kill_tests() {
    let Ok(dir) = std::env::var("LIGHTERMAN_TEST_CHILD_STORE") else { return };
    let work = std::env::var("LIGHTERMAN_TEST_CHILD_WORK").unwrap();
    let store = StoreSource::open(Path::new(&dir)).unwrap();
    let ctx = Ctx::default();
    let (verb, name) = work.split_once(' ').unwrap();
    loop {
        match verb {
            "pull" => {
                curator(&store).pull(&ctx, &named(name), None).await.unwrap();
                remove(&store, name).await.unwrap();
            }
            "push" => {
                let image = id(&store, name).await;
                curator(&store).push(&ctx, &named(name), &image).await.unwrap();
            }
            _ => {
                let image = id(&store, name).await;
                let other = named("h.example/child:1");
                curator(&store).tag(&ctx, &image, &other, None).await.unwrap();
                remove(&store, "h.example/child:1").await.unwrap();
            }
        }
    }
}

/// Starts the child on `work` and kills it after a while.
fn kill_at(dir: &Path, work: &str, after: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_of_the_kill_tests", "--exact", "--nocapture"])
        .env("LIGHTERMAN_TEST_CHILD_STORE", dir)
        .env("LIGHTERMAN_TEST_CHILD_WORK", work)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while began.elapsed() < after {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself: {}", said(&mut child));
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn said(child: &mut std::process::Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Names and IDs.
async fn view(store: &StoreSource) -> BTreeMap<String, BTreeSet<Digest>> {
    let mut view = BTreeMap::<String, BTreeSet<Digest>>::new();
    for image in list(store).await.images {
        for tag in &image.tags {
            view.entry(tag.raw().to_owned()).or_default().insert(image.id.clone());
        }
    }
    view
}

/// Kills `work` at many moments: the store is the old or the new one each time, and clean after the next removal.
async fn survives(dir: &Path, work: &str, extra: &str, step: Duration) {
    let store = StoreSource::open(dir).unwrap();
    let old = view(&store).await;
    for nth in 1..=12_u32 {
        kill_at(dir, work, step * nth);
        let mut seen = view(&StoreSource::open(dir).unwrap()).await;
        assert!(list(&store).await.gaps.is_empty());
        seen.remove(extra);
        assert_eq!(seen, old);
        verify(dir);
    }
    let image = id(&store, old.keys().next().unwrap()).await;
    curator(&store).tag(&Ctx::default(), &image, &named("h.example/last:1"), None).await.unwrap();
    remove(&store, "h.example/last:1").await.unwrap();
    let _ = remove(&store, extra).await;
    assert_eq!(leftovers(dir), 0);
    assert_eq!(view(&store).await, old);
}

#[tokio::test]
async fn killed_while_tagging_and_removing() {
    let (dir, _store) = world();
    survives(dir.path(), &format!("tag {STABLE}"), "h.example/child:1", Duration::from_millis(9)).await;
}

#[tokio::test]
async fn killed_while_pulling() {
    let Some(host) = common::registry("killed_while_pulling") else { return };
    let (_dir, store) = world();
    let there = fresh(&host, "v1");
    push(&store, "registry.example.com/tools/ci-runner:2023.11", &there).await;
    let dir = tempfile::tempdir().unwrap();
    let other = demo::build(dir.path(), now()).unwrap();
    remove(&other, "registry.example.com/tools/ci-runner:2023.11").await.unwrap();
    let clean = files(dir.path());
    survives(dir.path(), &format!("pull {there}"), &there, Duration::from_millis(17)).await;
    assert_eq!(files(dir.path()), clean, "what killed pulls left was collected");
    curator(&other).pull(&Ctx::default(), &named(&there), None).await.unwrap();
    verify(dir.path());
}

#[tokio::test]
async fn killed_while_pushing() {
    let Some(host) = common::registry("killed_while_pushing") else { return };
    let (dir, store) = world();
    let there = fresh(&host, "v1");
    let image = id(&store, "registry.example.com/tools/ci-runner:2023.11").await;
    curator(&store).tag(&Ctx::default(), &image, &named(&there), None).await.unwrap();
    survives(dir.path(), &format!("push {there}"), "-", Duration::from_millis(17)).await;
    // The same push ends well, and what is there is what was sent.
    let sent = curator(&store).push(&Ctx::default(), &named(&there), &image).await.unwrap();
    let (_other_dir, other) = empty();
    let pulled = curator(&other).pull(&Ctx::default(), &named(&there), None).await.unwrap();
    assert_eq!((pulled.digest, id(&other, &there).await), (sent.digest, image));
}

fn export_to(file: PathBuf, format: ArchiveFormat) -> ExportTo {
    ExportTo { file, format, overwrite: false }
}

#[tokio::test]
async fn archives_go_out_and_come_back() {
    let (_dir, store) = world();
    let ctx = Ctx::default();
    let out = tempfile::tempdir().unwrap();
    let image = store.inspect(&ctx, &ImageKey::Name(named(STABLE))).await.unwrap();
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let file = out.path().join(format!("{format:?}.tar"));
        store.export(&ctx, &[ImageKey::Name(named(STABLE))], &export_to(file.clone(), format)).await.unwrap();
        let (dir, other) = empty();
        let preview = curator(&other).preview_import(&ctx, &file).await.unwrap();
        assert_eq!((preview.tags.len(), preview.untagged), (1, 0));
        assert_eq!((preview.tags[0].name.raw(), &preview.tags[0].id, &preview.tags[0].holder), (STABLE, &image.id, &None));
        assert!(list(&other).await.images.is_empty(), "a preview changes nothing");
        curator(&other).import(&ctx, &file, &[]).await.unwrap();
        assert_eq!(id(&other, STABLE).await, image.id);
        let first = fs::read(dir.path().join("index.json")).unwrap();
        verify(dir.path());
        let again = curator(&other).import(&ctx, &file, &[]).await.unwrap();
        assert_eq!(again.bytes_transferred, 0);
        let same = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(same(&fs::read(dir.path().join("index.json")).unwrap()), same(&first), "the same bytes give the same manifest");
        assert_eq!(leftovers(dir.path()), 0);
    }
}

#[tokio::test]
async fn an_import_moves_only_the_tags_agreed_on() {
    let (_dir, store) = world();
    let ctx = Ctx::default();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a.tar");
    store.export(&ctx, &[ImageKey::Name(named(STABLE))], &export_to(file.clone(), ArchiveFormat::Oci)).await.unwrap();
    let (stable, old) = (id(&store, STABLE).await, id(&store, "registry.example.com/acme/api:1.3.2").await);
    curator(&store).tag(&ctx, &old, &named(STABLE), Some(&stable)).await.unwrap();
    let preview = curator(&store).preview_import(&ctx, &file).await.unwrap();
    assert_eq!(preview.tags[0].holder, Some(old.clone()));
    assert_eq!(curator(&store).import(&ctx, &file, &[]).await.unwrap_err().kind, ProblemKind::Conflict);
    assert_eq!(id(&store, STABLE).await, old);
    curator(&store).import(&ctx, &file, &[(Name::new(STABLE), old)]).await.unwrap();
    assert_eq!(id(&store, STABLE).await, stable);
}

#[tokio::test]
async fn a_broken_archive_changes_nothing() {
    let (_dir, store) = world();
    let ctx = Ctx::default();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a.tar");
    store.export(&ctx, &[ImageKey::Name(named(STABLE))], &export_to(file.clone(), ArchiveFormat::Docker)).await.unwrap();
    let good = fs::read(&file).unwrap();
    let (dir, other) = world();
    let before = fs::read(dir.path().join("index.json")).unwrap();
    let blobs = files(dir.path());
    for damage in 0..3 {
        let mut bad = good.clone();
        match damage {
            // Inside the largest layer.
            0 => bad[good.len() / 2] ^= 0x40,
            1 => bad.truncate(good.len() / 2),
            _ => bad.clear(),
        }
        fs::write(&file, bad).unwrap();
        assert!(curator(&other).preview_import(&ctx, &file).await.is_err());
        assert!(curator(&other).import(&ctx, &file, &[]).await.is_err());
        assert_eq!(fs::read(dir.path().join("index.json")).unwrap(), before);
    }
    // Layers that came whole before the damage was found go with the next removal.
    remove(&other, "docker.io/library/alpine:3.20").await.unwrap();
    assert!(files(dir.path()).is_subset(&blobs));
}

#[tokio::test]
async fn a_layout_directory_is_imported_with_all_its_platforms() {
    let (dir, _store) = world();
    let (_other_dir, other) = empty();
    curator(&other).import(&Ctx::default(), dir.path(), &[]).await.unwrap();
    let (_again, same) = world();
    assert_eq!(view(&other).await, view(&same).await);
    assert_eq!(list(&other).await.images.len(), list(&same).await.images.len());
}

#[tokio::test]
async fn a_problem_reads_like_a_sentence() {
    let (_dir, store) = world();
    let problem: Problem = store.inspect(&Ctx::default(), &ImageKey::Name(named("absent:1"))).await.unwrap_err();
    assert_eq!(problem.to_string(), "can't inspect docker.io/library/absent:1: no such image in the store");
}
