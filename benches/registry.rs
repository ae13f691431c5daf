//! What a registry's answers cost us beside a bare client that sends the same requests: lists, details, retags, copies. Run by
//! `benches/registry.sh`, which starts two private registries; without them it does nothing.
#![allow(
    clippy::allow_attributes,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what it measured, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lighterman::model::{Copy, CopyFrom, Digest, Name, Problem, ProblemKind};
use lighterman::source::content::Descriptor;
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Client, Feed, RegistrySettings, RegistrySource, Repo};
use lighterman::source::{Ctx, Source as _};
use serde_json::json;

const TAGS: usize = 10_000;
const DETAILS: usize = 1_000;
const RETAGS: usize = 500;
const ROUNDS: usize = 5;
const AT_ONCE: usize = 8;
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json";

struct Noise {
    seed: u64,
    length: usize,
}

impl Feed for Noise {
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem> {
        let mut state = self.seed | 1;
        let mut left = self.length;
        let mut buffer = vec![0_u8; 1 << 16];
        while left > 0 {
            for word in buffer.chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let part = left.min(buffer.len());
            out.write_all(&buffer[..part]).map_err(|error| Problem::new(ProblemKind::Other, "feed", error.to_string()))?;
            left -= part;
        }
        Ok(())
    }
}

fn client(cache: Option<&std::path::Path>) -> Client {
    let settings = RegistrySettings { cache: cache.map(Into::into), ..RegistrySettings::default() };
    Client::new(settings, Credentials::none()).unwrap()
}

fn descriptor(digest: Digest, size: usize) -> Descriptor {
    Descriptor { media_type: media::OCI_LAYER.into(), digest, size: size as u64, platform: None, annotations: BTreeMap::new() }
}

async fn put_blob(client: &Client, repo: &Repo, feed: Noise) -> Descriptor {
    let mut bytes = Vec::new();
    feed.pour(&mut bytes).unwrap();
    let blob = descriptor(Digest::sha256(&bytes), bytes.len());
    drop(bytes);
    client.push_blob(&Ctx::default(), repo, &blob, Arc::new(feed), None, 0).await.unwrap();
    blob
}

struct Small(Vec<u8>);

impl Feed for Small {
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem> {
        out.write_all(&self.0).map_err(|error| Problem::new(ProblemKind::Other, "feed", error.to_string()))
    }
}

/// An image with a configuration of its own over a layer that is there.
async fn put_image(client: &Client, repo: &Repo, tag: &str, layers: &[Descriptor], seed: usize) -> Digest {
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {"Cmd": [seed.to_string()], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>()}
    });
    let config = config.to_string().into_bytes();
    let blob = descriptor(Digest::sha256(&config), config.len());
    client.push_blob(&Ctx::default(), repo, &blob, Arc::new(Small(config)), None, 0).await.unwrap();
    let entries: Vec<_> =
        layers.iter().map(|layer| json!({"mediaType": media::OCI_LAYER, "digest": layer.digest, "size": layer.size})).collect();
    let body = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "layers": entries,
        "config": {"mediaType": media::OCI_CONFIG, "digest": blob.digest, "size": blob.size}
    });
    client.put_manifest(repo, tag, media::OCI_MANIFEST, Bytes::from(body.to_string())).await.unwrap()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// The medians of several verbs, measured in turns so that all meet the same machine.
async fn measure<F: Future<Output = ()>>(name: &str, verbs: &[(&str, &dyn Fn(usize) -> F)], rounds: usize) {
    let mut times = vec![Vec::new(); verbs.len()];
    for round in 0..rounds {
        for (at, (_, verb)) in verbs.iter().enumerate() {
            let began = Instant::now();
            verb(round).await;
            times[at].push(began.elapsed());
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for ((what, _), time) in verbs.iter().zip(&medians) {
        println!("{name:<42} {what:<34} {time:>9.1} ms   {:>5.2} x", time / medians[0]);
    }
}

type Verb = std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn process(program: &str, args: &[&str]) -> bool {
    let ran = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

async fn raw(client: &reqwest::Client, method: &str, url: String) -> reqwest::Response {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    client.request(method, url).header("accept", ACCEPT).send().await.unwrap().error_for_status().unwrap()
}

fn bare() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().unwrap()
}

async fn lists(host: &str) {
    let repo = Repo::at(host, "bench/many").unwrap();
    let url = format!("http://{host}/v2/bench/many/tags/list");
    let floor = |_| -> Verb {
        let url = url.clone();
        Box::pin(async move { assert!(raw(&bare(), "GET", url).await.bytes().await.unwrap().len() > TAGS) })
    };
    let ours = |_| -> Verb {
        let repo = repo.clone();
        Box::pin(async move {
            let mut count = 0;
            client(None).tags(&repo, &mut |rows| count += rows.len()).await.unwrap();
            assert_eq!(count, TAGS);
        })
    };
    measure("list 10,000 tags, in the process", &[("the raw request", &floor), ("ours", &ours)], 15).await;
    let (program, at) = (env!("CARGO_BIN_EXE_lighterman"), format!("{host}/bench/many"));
    let ours = |_| -> Verb {
        let at = at.clone();
        Box::pin(async move { assert!(process(program, &["tags", &at])) })
    };
    let skopeo = |_| -> Verb {
        let at = format!("docker://{at}");
        Box::pin(async move { assert!(process("skopeo", &["list-tags", "--tls-verify=false", &at])) })
    };
    let curl = |_| -> Verb {
        let url = url.clone();
        Box::pin(async move { assert!(process("curl", &["-s", &url])) })
    };
    measure("list 10,000 tags, as a command", &[("curl", &curl), ("lighterman tags", &ours), ("skopeo list-tags", &skopeo)], 9).await;
}

async fn details(host: &str, tags: &[String]) {
    let repo = Repo::at(host, "bench/distinct").unwrap();
    let base = format!("http://{host}/v2/bench/distinct");
    let floor = |heads_only: bool| {
        let (base, tags) = (base.clone(), tags.to_vec());
        move || -> Verb {
            let (base, tags, client) = (base.clone(), tags.clone(), bare());
            let one = move |tag: String| {
                let (base, client) = (base.clone(), client.clone());
                async move {
                    let head = raw(&client, "HEAD", format!("{base}/manifests/{tag}")).await;
                    if heads_only {
                        return;
                    }
                    let digest = head.headers()["docker-content-digest"].to_str().unwrap().to_owned();
                    let body = raw(&client, "GET", format!("{base}/manifests/{digest}")).await.bytes().await.unwrap();
                    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    let config = body["config"]["digest"].as_str().unwrap();
                    raw(&client, "GET", format!("{base}/blobs/{config}")).await.bytes().await.unwrap();
                }
            };
            Box::pin(async move { stream::iter(tags).map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await.clear() })
        }
    };
    let ours = |cache: Option<std::path::PathBuf>| {
        let (repo, tags) = (repo.clone(), tags.to_vec());
        move |_: usize| -> Verb {
            let (repo, tags, client) = (repo.clone(), tags.clone(), client(cache.as_deref()));
            Box::pin(async move {
                let mut count = 0;
                client.details(&repo, &tags, &mut |(_, answer)| count += usize::from(answer.unwrap().created.is_some())).await.unwrap();
                assert_eq!(count, DETAILS);
            })
        }
    };
    let (cold_floor, warm_floor) = (floor(false), floor(true));
    let (cold_floor, warm_floor) = (|_: usize| cold_floor(), |_: usize| warm_floor());
    let (cold, kept) = (ours(None), tempfile::tempdir().unwrap());
    measure("details of 1,000 distinct tags, cold", &[("the same requests, raw", &cold_floor), ("ours", &cold)], ROUNDS).await;
    // A new folder each time; taking it away again is not what is measured.
    let folders: Vec<_> = (0..ROUNDS).map(|_| tempfile::tempdir().unwrap()).collect();
    let writing = |round: usize| -> Verb { ours(Some(folders[round].path().join("documents")))(round) };
    measure("details of 1,000 tags, cold, cache filled", &[("the same requests, raw", &cold_floor), ("ours", &writing)], ROUNDS).await;
    let warm = ours(Some(kept.path().to_owned()));
    warm(0).await;
    measure("details of 1,000 tags, warm", &[("the same HEADs, raw", &warm_floor), ("ours", &warm)], ROUNDS).await;
}

async fn retags(host: &str, digests: &[Digest]) {
    let repo = Repo::at(host, "bench/distinct").unwrap();
    let base = format!("http://{host}/v2/bench/distinct/manifests");
    let floor = |round: usize| -> Verb {
        let (base, client, digests) = (base.clone(), bare(), digests[..RETAGS].to_vec());
        let one = move |(n, digest): (usize, Digest)| {
            let (client, base, url) = (client.clone(), base.clone(), format!("{base}/floor-{round}-{n}"));
            async move {
                client.head(&url).header("accept", ACCEPT).send().await.unwrap();
                let body = raw(&client, "GET", format!("{base}/{digest}")).await.bytes().await.unwrap();
                client.put(&url).header("content-type", ACCEPT).body(body).send().await.unwrap().error_for_status().unwrap();
                raw(&client, "HEAD", url).await;
            }
        };
        Box::pin(async move { stream::iter(digests).enumerate().map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await.clear() })
    };
    let ours = |round: usize| -> Verb {
        let (repo, client, digests) = (repo.clone(), client(None), digests[..RETAGS].to_vec());
        let one = move |(n, digest): (usize, Digest)| {
            let (repo, client) = (repo.clone(), client.clone());
            async move { client.retag(&repo, &digest, &format!("ours-{round}-{n}"), None).await.unwrap() }
        };
        Box::pin(async move { stream::iter(digests).enumerate().map(one).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await.clear() })
    };
    measure("retag of 500, read before and after", &[("the same requests, raw", &floor), ("ours", &ours)], ROUNDS).await;
}

async fn copies(one: &str, two: &str) {
    let from = format!("{one}/bench/large:v1");
    let skopeo = |round: usize| -> Verb {
        let (from, to) = (format!("docker://{from}"), format!("docker://{two}/skopeo-{round}/large:v1"));
        Box::pin(async move {
            assert!(process("skopeo", &["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests", &from, &to]));
        })
    };
    let ours = |round: usize| -> Verb {
        let to = format!("{two}/ours-{round}/large:v1");
        let copy = Copy {
            from: CopyFrom::Registry(Name::new(&from)),
            expected: None,
            to: Name::new(&to),
            replaces: None,
            platforms: vec![],
            referrers: false,
        };
        let source = RegistrySource::new(client(None), two);
        Box::pin(async move {
            let moved = source.curator().unwrap().copy(&Ctx::default(), &copy).await.unwrap();
            assert!(moved.bytes_transferred > 900_000_000);
        })
    };
    // Once: the second time skopeo mounts what it remembers to have sent the first time.
    measure("copy of 1 GB to another registry", &[("skopeo copy", &skopeo), ("ours", &ours)], 1).await;
    let saving = |_: usize| -> Verb {
        let (from, dir) = (CopyFrom::Registry(Name::new(&format!("{one}/bench/large:v1"))), tempfile::tempdir().unwrap());
        Box::pin(async move { drop(client(None).save(&Ctx::default(), &from, dir.path(), Some("v1"), &[]).await.unwrap()) })
    };
    let skopeo = |_: usize| -> Verb {
        let (from, dir) = (format!("docker://{from}"), tempfile::tempdir().unwrap());
        let to = format!("oci:{}:v1", dir.path().join("out").display());
        Box::pin(async move {
            assert!(process("skopeo", &["copy", "--src-tls-verify=false", &from, &to]));
            drop(dir);
        })
    };
    measure("1 GB into a layout", &[("skopeo copy", &skopeo), ("ours, brought to the disk", &saving)], 3).await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let hosts = (std::env::var("LIGHTERMAN_BENCH_REGISTRY"), std::env::var("LIGHTERMAN_BENCH_REGISTRY_2"));
    let (Ok(one), Ok(two)) = hosts else {
        println!("left out: run benches/registry.sh");
        return;
    };
    // Only one part of it, such as `details`.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let client = client(None);
    let many = Repo::at(&one, "bench/many").unwrap();
    let layer = put_blob(&client, &many, Noise { seed: 1, length: 1000 }).await;
    put_image(&client, &many, "v00000", std::slice::from_ref(&layer), 0).await;
    let first = client.manifest(&many, "v00000").await.unwrap();
    let tagging = (1..if wanted("lists") { TAGS } else { 1 }).map(|n| {
        let (client, many, bytes) = (&client, &many, first.bytes.clone());
        async move { client.put_manifest(many, &format!("v{n:05}"), media::OCI_MANIFEST, bytes).await }
    });
    stream::iter(tagging.collect::<Vec<_>>()).buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await.unwrap();
    let distinct = Repo::at(&one, "bench/distinct").unwrap();
    let layer = put_blob(&client, &distinct, Noise { seed: 1, length: 1000 }).await;
    let tags: Vec<String> = (0..DETAILS).map(|n| format!("d{n:04}")).collect();
    let putting = tags.iter().enumerate().map(|(n, tag)| {
        let (client, distinct, layer) = (&client, &distinct, layer.clone());
        async move { put_image(client, distinct, tag, &[layer], n).await }
    });
    let digests: Vec<Digest> = stream::iter(putting.collect::<Vec<_>>()).buffered(16).collect().await;
    if wanted("lists") {
        lists(&one).await;
    }
    if wanted("details") {
        details(&one, &tags).await;
    }
    if wanted("retags") {
        retags(&one, &digests).await;
    }
    if !wanted("copies") {
        return;
    }
    let large = Repo::at(&one, "bench/large").unwrap();
    let mut layers = Vec::new();
    for seed in 1..=6 {
        layers.push(put_blob(&client, &large, Noise { seed: seed * 77, length: 170_000_000 }).await);
    }
    put_image(&client, &large, "v1", &layers, 0).await;
    copies(&one, &two).await;
}
