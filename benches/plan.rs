//! What the journal costs: 500 retags by plan beside the same requests without one, both eight at a time; and 500 deletes of an engine's images
//! by plan, with every look before and after, beside the bare calls. Run by `benches/plan.sh`, which starts a private registry or engine;
//! without it this does nothing.
#![allow(
    clippy::allow_attributes,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what it measured, and fails by panicking"
)]

#[path = "../tests/common/images.rs"]
#[allow(dead_code, unreachable_pub, reason = "a benchmark uses its own part")]
mod images;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use lighterman::curate::plan::{self, Wish};
use lighterman::model::{Digest, Foreign, Name, Operation, Plan, PlanKind, SourceId, Target, Verb};
use lighterman::source::content::Descriptor;
use lighterman::source::credentials::Credentials;
use lighterman::source::engine::{Endpoint, EngineSource};
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, Feed, RegistrySettings, RegistrySource, Repo};
use lighterman::source::{Answer, Ctx, Source};
use lighterman::work::apply::{Applier, Places};
use lighterman::work::journal::Journal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RETAGS: usize = 500;
const IMAGES: usize = 50;
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;
const DELETES: usize = 500;
const DELETE_ROUNDS: usize = 3;

struct Small(Vec<u8>);

impl Feed for Small {
    fn pour(&self, out: &mut dyn std::io::Write) -> Result<(), lighterman::model::Problem> {
        out.write_all(&self.0)
            .map_err(|error| lighterman::model::Problem::new(lighterman::model::ProblemKind::Other, "feed", error.to_string()))
    }
}

struct One(Arc<dyn Source>);

impl Places for One {
    fn place<'a>(&'a self, _id: &'a SourceId) -> Answer<'a, Arc<dyn Source>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }
}

/// An image without layers.
async fn put_image(client: &Client, repo: &Repo, seed: usize) -> Digest {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": [seed.to_string()]}, "rootfs": {"type": "layers", "diff_ids": []}});
    let config = config.to_string().into_bytes();
    let blob = Descriptor {
        media_type: media::OCI_CONFIG.into(),
        digest: Digest::sha256(&config),
        size: config.len() as u64,
        platform: None,
        annotations: std::collections::BTreeMap::new(),
    };
    client.push_blob(&Ctx::default(), repo, &blob, Arc::new(Small(config)), None, 0).await.unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "layers": [],
        "config": {"mediaType": media::OCI_CONFIG, "digest": blob.digest, "size": blob.size}
    });
    client.put_manifest(repo, &format!("d{seed}"), media::OCI_MANIFEST, Bytes::from(manifest.to_string())).await.unwrap()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// The images that a tag is on, before and after a round: the same for both ways.
fn ends(digests: &[Digest], n: usize, round: usize) -> (Option<&Digest>, &Digest) {
    let at = |round: usize| &digests[(n + round) % IMAGES];
    (round.checked_sub(1).map(at), at(round))
}

async fn without(client: &Client, repo: &Repo, digests: &[Digest], round: usize) {
    // What a tag was on is read, as it is for the journal; from the cache, where it was read before.
    let one = |n: usize| async move {
        let (before, after) = ends(digests, n, round);
        client.retag(repo, after, &format!("without-{n}"), before).await.unwrap();
    };
    stream::iter(0..RETAGS).map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

async fn with(client: &Client, repo: &Repo, digests: &[Digest], round: usize, journal: &Journal) {
    let source = SourceId::registry(repo.host());
    let line = |n: usize| {
        let (before, after) = ends(digests, n, round);
        let verb = if before.is_some() { Verb::MoveTag } else { Verb::Tag };
        let target = Target::Tag(Name::new(&format!("{}:with-{n}", repo.full())));
        Operation::new(verb, source.clone(), target, before.cloned(), Some(after.clone()))
    };
    let plan = Plan {
        version: 1,
        kind: PlanKind::Retag,
        made_at: Timestamp::UNIX_EPOCH,
        made_by: Foreign::new("bench"),
        all_or_nothing: false,
        operations: (0..RETAGS).map(line).collect(),
    };
    let places = One(Arc::new(RegistrySource::new(client.clone(), repo.host())));
    let ctx = Ctx::default();
    let applier = Applier { journal, places: &places, ctx: &ctx, each: &|_, _| {} };
    let report = applier.apply(plan, false).await.unwrap();
    assert_eq!(report.done(), RETAGS);
}

/// Images of one small layer each, on one that all share.
fn archive() -> Vec<u8> {
    let spec = |n: usize| {
        let name = n.to_string();
        images::ImageSpec::new(&format!("bench-delete/app:{n}")).layer(&[("base", b"base")]).layer(&[("own", name.as_bytes())])
    };
    images::docker_archive(&(0..DELETES).map(spec).collect::<Vec<_>>())
}

/// Sends one removal and reads its answer.
async fn removed(socket: &str, n: usize) {
    let mut wire = tokio::net::UnixStream::connect(socket).await.unwrap();
    let head = format!("DELETE /v1.41/images/bench-delete/app:{n} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    wire.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    wire.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// What [`DELETES`] images cost to delete: in bare calls, and by plan.
async fn deletes(address: &str, dir: &std::path::Path) {
    let endpoint = Endpoint::parse(address, "bench", "bench", None, false).unwrap();
    let source: Arc<dyn Source> = Arc::new(EngineSource::new(endpoint, Credentials::none()));
    let (file, journal) = (dir.join("images.tar"), Journal::new(&dir.join("state")));
    std::fs::write(&file, archive()).unwrap();
    let (ctx, places) = (Ctx::default(), One(Arc::clone(&source)));
    let filled = || async { source.curator().unwrap().import(&Ctx::default(), &file, &[]).await.unwrap() };
    let (mut bare, mut planned) = (Vec::new(), Vec::new());
    for _ in 0..DELETE_ROUNDS {
        filled().await;
        let began = Instant::now();
        let socket = address.trim_start_matches("unix://");
        stream::iter(0..DELETES).map(|n| removed(socket, n)).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        bare.push(began.elapsed());
        filled().await;
        let list = source.list(&ctx).await.unwrap();
        let wishes: Vec<Wish> = (0..DELETES).map(|n| Wish::Delete(Target::Tag(Name::new(&format!("bench-delete/app:{n}"))))).collect();
        let lines = plan::local(source.id(), &list, &wishes, &plan::nothing());
        let applier = Applier { journal: &journal, places: &places, ctx: &ctx, each: &|_, _| {} };
        let began = Instant::now();
        let report = applier.apply(Plan::new(PlanKind::Delete, Timestamp::UNIX_EPOCH, lines), false).await.unwrap();
        planned.push(began.elapsed());
        assert_eq!(report.done(), DELETES, "{:?}", report.states.iter().find(|state| !state.is_done()));
        // Filling the engine takes long.
        println!("round {}: {:.2?} and {:.2?}", bare.len(), bare.last().unwrap(), planned.last().unwrap());
    }
    let (bare, planned) = (median(&mut bare), median(&mut planned));
    println!(
        "{DELETES} images deleted in bare calls, {AT_ONCE} at a time: {bare:.0} ms; by plan, with a journal and every look: {planned:.0} ms; ratio {:.2}",
        planned / bare
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if let Ok(address) = std::env::var("LIGHTERMAN_BENCH_ENGINE") {
        let dir = std::env::var("LIGHTERMAN_BENCH_STATE").map_or_else(|_| tempfile::tempdir(), tempfile::tempdir_in).unwrap();
        return deletes(&address, dir.path()).await;
    }
    let Ok(host) = std::env::var("LIGHTERMAN_BENCH_REGISTRY") else {
        println!("left out: run benches/plan.sh");
        return;
    };
    let dir = std::env::var("LIGHTERMAN_BENCH_STATE").map_or_else(|_| tempfile::tempdir(), tempfile::tempdir_in).unwrap();
    let settings = RegistrySettings { cache: Some(dir.path().join("cache")), ..RegistrySettings::default() };
    let client = Client::new(settings, Credentials::none()).unwrap();
    let repo = Repo::at(&host, "bench/plan").unwrap();
    let mut digests = Vec::new();
    for seed in 0..IMAGES {
        digests.push(put_image(&client, &repo, seed).await);
    }
    let journal = Journal::new(&dir.path().join("state"));
    let (mut plain, mut written) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let began = Instant::now();
        without(&client, &repo, &digests, round).await;
        let middle = Instant::now();
        with(&client, &repo, &digests, round, &journal).await;
        // The first round gives the names; those that follow move them.
        if round > 0 {
            plain.push(middle - began);
            written.push(middle.elapsed());
        }
    }
    let (plain, written) = (median(&mut plain), median(&mut written));
    println!(
        "{RETAGS} tags moved, {AT_ONCE} at a time: {plain:.0} ms; by plan, with a journal: {written:.0} ms; ratio {:.2}",
        written / plain
    );
}
