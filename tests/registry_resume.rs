//! Downloads that were stopped: the program is killed in the middle, and the next run asks for the rest alone. Whatever is wrong with what was kept
//! costs time, never a wrong image.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lighterman::model::{Digest, Platform, Problem, ProblemKind, Reference, Transfer};
use lighterman::source::credentials::Credentials;
use lighterman::source::oci::media;
use lighterman::source::registry::{Partials, RegistrySettings, Timers};
use lighterman::source::store::StoreSource;
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

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use gate::Gate;
use registries::Registry;
use scripted::{Reply, Request, Server};

const SIZE: usize = 4 << 20;

fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A registry with one image of one layer of noise; `layer` answers for the layer.
fn image(layer: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> Server {
    let bytes = noise(SIZE);
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
            layer(request, &bytes)
        }
    })
}

/// The whole, or the part that was asked for.
fn ranged(request: &Request, bytes: &[u8]) -> Reply {
    match request.range() {
        Some(from) => {
            Reply::Plain(206, vec![("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))], bytes[from..].to_vec())
        }
        None => Reply::body(bytes),
    }
}

struct World {
    dir: tempfile::TempDir,
    server: Server,
    partials: Partials,
}

impl World {
    fn new(layer: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let partials = Partials::new(dir.path().join("cache/partial"));
        Self { server: image(layer), partials, dir }
    }

    /// What was kept of the layer.
    fn part(&self) -> PathBuf {
        self.partials.folder.join(format!("sha256-{}", Digest::sha256(&noise(SIZE)).hex()))
    }

    fn leave(&self, bytes: &[u8]) {
        std::fs::create_dir_all(&self.partials.folder).unwrap();
        std::fs::write(self.part(), bytes).unwrap();
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("store/blobs/sha256").join(Digest::sha256(&noise(SIZE)).hex())
    }

    async fn pull(&self) -> Result<Transfer, Problem> {
        self.pull_with(&Ctx::default()).await
    }

    async fn pull_with(&self, ctx: &Ctx) -> Result<Transfer, Problem> {
        let timers = Timers { no_progress: Duration::from_millis(400), tries: 2, backoff: Duration::from_millis(5), ..Timers::default() };
        let settings = RegistrySettings { timers, partials: Some(self.partials.clone()), ..RegistrySettings::default() };
        let store = StoreSource::open(&self.dir.path().join("store")).unwrap().with_registries(settings, Credentials::none());
        let reference = Reference::try_from(format!("{}/team/app:v1", self.server.host())).unwrap();
        store.curator().unwrap().pull(ctx, &reference, None).await
    }

    /// Where the requests for the layer began.
    fn asked(&self) -> Vec<Option<usize>> {
        let hex = Digest::sha256(&noise(SIZE)).hex().to_owned();
        self.server.seen().iter().filter(|request| request.path.contains(&hex)).map(Request::range).collect()
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(std::fs::read(self.layer()).unwrap(), noise(SIZE));
        assert_eq!(std::fs::metadata(self.layer()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!self.part().exists(), "the part became the blob");
    }
}

#[tokio::test]
async fn what_a_broken_network_left_is_gone_on_with() {
    let world = World::new(|request, bytes| {
        let reply = ranged(request, bytes);
        match (request.range(), reply) {
            (None, Reply::Plain(..)) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                Reply::Raw([head.as_bytes(), &bytes[..SIZE / 2]].concat())
            }
            // The registry is gone until it is asked with a fresh client.
            (Some(from), _) if from == SIZE / 2 => Reply::status(404),
            (_, reply) => reply,
        }
    });
    let problem = world.pull().await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NotFound, "{problem}");
    let part = world.part();
    assert_eq!(std::fs::read(&part).unwrap(), noise(SIZE)[..SIZE / 2]);
    assert_eq!(std::fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
    // One byte less is another range, which is answered.
    std::fs::File::options().write(true).open(&part).unwrap().set_len(SIZE as u64 / 2 - 1).unwrap();
    world.server.forget();
    let pulled = world.pull().await.unwrap();
    assert_eq!(world.asked(), [Some(SIZE / 2 - 1)]);
    assert!(pulled.bytes_transferred < SIZE as u64 / 2 + 10_000, "{pulled:?}");
    assert!(pulled.bytes_skipped >= SIZE as u64 / 2 - 1, "{pulled:?}");
    world.is_whole();
}

#[tokio::test]
async fn a_tampered_part_is_thrown_away_and_the_blob_comes_anew() {
    let world = World::new(ranged);
    let mut part = noise(SIZE)[..SIZE / 2].to_vec();
    part[1000] ^= 1;
    world.leave(&part);
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [Some(SIZE / 2), None]);
    world.is_whole();
}

#[tokio::test]
async fn a_part_longer_than_the_blob_is_not_looked_at() {
    let world = World::new(ranged);
    world.leave(&[noise(SIZE), b"more".to_vec()].concat());
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [None]);
    world.is_whole();
}

#[tokio::test]
async fn a_part_that_is_whole_needs_no_request() {
    let world = World::new(ranged);
    world.leave(&noise(SIZE));
    world.pull().await.unwrap();
    assert_eq!(world.asked(), []);
    world.is_whole();
    // One that has the length but not the bytes comes anew.
    let world = World::new(ranged);
    world.leave(&vec![7; SIZE]);
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [None]);
    world.is_whole();
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_sends_the_whole_and_it_fits() {
    let world = World::new(|_, bytes| Reply::body(bytes));
    world.leave(&noise(SIZE)[..SIZE / 3]);
    let pulled = world.pull().await.unwrap();
    assert_eq!(world.asked(), [Some(SIZE / 3)]);
    assert!(pulled.bytes_transferred >= SIZE as u64);
    world.is_whole();
}

#[tokio::test]
async fn a_registry_that_lies_leaves_no_part() {
    let world = World::new(|_, bytes| Reply::body(vec![9; bytes.len()]));
    assert_eq!(world.pull().await.unwrap_err().kind, ProblemKind::Corrupt);
    assert!(!world.part().exists() && !world.layer().exists());
    world.leave(&noise(SIZE)[..SIZE / 3]);
    assert_eq!(world.pull().await.unwrap_err().kind, ProblemKind::Corrupt);
    assert!(!world.part().exists() && !world.layer().exists());
}

#[tokio::test]
async fn links_and_pipes_in_the_cache_are_not_written_to() {
    let world = World::new(ranged);
    let elsewhere = world.dir.path().join("elsewhere");
    std::fs::write(&elsewhere, "mine").unwrap();
    std::fs::create_dir_all(&world.partials.folder).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.part()).unwrap();
    world.pull().await.unwrap();
    assert_eq!(std::fs::read(world.layer()).unwrap(), noise(SIZE));
    for kind in ["hard link", "pipe"] {
        std::fs::remove_file(world.part()).unwrap_or_default();
        std::fs::remove_file(world.layer()).unwrap();
        if kind == "pipe" {
            rustix::fs::mkfifoat(rustix::fs::CWD, world.part(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        } else {
            std::fs::hard_link(&elsewhere, world.part()).unwrap();
        }
        world.pull().await.unwrap();
        assert_eq!(std::fs::read(world.layer()).unwrap(), noise(SIZE), "{kind}");
    }
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"mine");
}

#[tokio::test]
async fn of_two_at_once_one_goes_without_the_part() {
    let world = World::new(ranged);
    world.leave(&noise(SIZE)[..SIZE / 2]);
    let held = std::fs::File::open(world.part()).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [None]);
    assert_eq!(std::fs::metadata(world.part()).unwrap().len(), SIZE as u64 / 2, "the other's part is as it was");
    assert_eq!(std::fs::read(world.layer()).unwrap(), noise(SIZE));
    // Both at the same moment: whoever is first, both end well.
    std::fs::remove_file(world.layer()).unwrap();
    drop(held);
    let (one, two) = tokio::join!(world.pull(), world.pull());
    assert_eq!(one.unwrap().digest, two.unwrap().digest);
    world.is_whole();
}

#[tokio::test]
async fn a_cancelled_pull_keeps_what_came() {
    let world = World::new(|request, bytes| match request.range() {
        None => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
            Reply::Trickle([head.as_bytes(), &bytes[..SIZE / 2]].concat(), Duration::from_secs(20))
        }
        _ => ranged(request, bytes),
    });
    let ctx = Ctx::default();
    let cancel = async {
        while ctx.meter.snapshot().steps.iter().all(|step| step.done < SIZE as u64 / 2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ctx.cancel.cancel();
    };
    let (pulled, ()) = tokio::join!(world.pull_with(&ctx), cancel);
    assert!(pulled.unwrap_err().is_cancelled());
    let began = Instant::now();
    while std::fs::metadata(world.part()).unwrap().len() < SIZE as u64 / 2 {
        assert!(began.elapsed() < Duration::from_secs(10), "the writer brings what came to the file");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [None, Some(SIZE / 2)]);
    world.is_whole();
}

#[tokio::test]
async fn a_cache_on_another_file_system_serves_too() {
    use std::os::unix::fs::MetadataExt as _;
    let mut world = World::new(ranged);
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(world.dir.path()) {
        return;
    }
    world.partials.folder = elsewhere.path().join("partial");
    world.leave(&noise(SIZE)[..SIZE / 2]);
    world.pull().await.unwrap();
    assert_eq!(world.asked(), [Some(SIZE / 2)]);
    world.is_whole();
}

#[tokio::test]
async fn with_a_zero_nothing_is_kept() {
    let mut world = World::new(|_, bytes| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
        Reply::Raw([head.as_bytes(), &bytes[..SIZE / 2]].concat())
    });
    world.leave(&noise(SIZE)[..10]);
    world.partials.most = 0;
    assert_eq!(world.pull().await.unwrap_err().kind, ProblemKind::Unreachable);
    assert!(!world.part().exists(), "what was kept before goes too");
}

fn length(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len())).max().unwrap_or(0)
}

/// Runs the program with `args`, kills it (SIGKILL) once a good part of the layer is there, runs it again, and gives what the second run said and how
/// many bytes it took from the registry.
fn killed_and_run_again(program: &Program, gate: &Gate, whole: u64, args: &[&str]) -> (serde_json::Value, u64) {
    let partials = program.home().join(".cache/lighterman/partial");
    gate.down.allow(whole * 2 / 3);
    let mut child = program.command(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while length(&partials) < whole / 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} bytes", length(&partials));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = length(&partials);
    // What was held back goes nowhere, and is not counted.
    gate.down.allow(u64::MAX);
    std::thread::sleep(Duration::from_millis(50));
    gate.down.allow(u64::MAX);
    let said = program.json(args);
    let came = gate.down.passed();
    assert!(came < whole - kept + 100_000, "{came} bytes came for {kept} of {whole} kept");
    assert_eq!(length(&partials), 0, "nothing is left over");
    (said, came)
}

#[test]
fn a_killed_pull_or_copy_goes_on_where_it_was() {
    let Some(binary) = common::require("a_killed_pull_or_copy_goes_on_where_it_was", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = Registry::open(&binary);
    let gate = Gate::new(registry.port);
    let program = Program::without_engine();
    let spec = ImageSpec::new("app:1").layer(&[("bin/x", &noise(24_000_000))]);
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::None)).unwrap();
    let sent = program.json(&["copy", "oci-archive:a.oci.tar", &format!("docker://{}/team/app:v1", registry.host())]);
    let at = format!("{}/team/app:v1", gate.host());
    let remote = format!("docker://{at}");
    for args in [&["pull", at.as_str()][..], &["copy", &remote, "oci:layout"], &["copy", &remote, "oci-archive:b.oci.tar"]] {
        let (said, came) = killed_and_run_again(&program, &gate, 24_000_000, args);
        assert_eq!(said["digest"], sent["digest"], "{args:?}");
        assert!(said["bytes_transferred"].as_u64().unwrap() <= came, "{said}");
    }
    for what in [at.as_str(), "oci:layout", "oci-archive:b.oci.tar"] {
        program.run(&["inspect", "--verify", what]).ended(0);
    }
}
