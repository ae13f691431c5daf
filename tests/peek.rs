//! Layers that tell themselves what is in them: listed by their tables of contents, and single files of them read, with no more fetched than that;
//! and tables that lie.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/gate.rs"]
mod gate;
#[path = "common/scripted.rs"]
mod scripted;
#[path = "common/tables.rs"]
mod tables;

use std::sync::Arc;

use common::images::noise;
use common::program::Program;
use fake::Fake;
use gate::Gate;
use lighterman::layer::tree::{Held, Lies, Place, Scope};
use lighterman::layer::{Index, Tree, View};
use lighterman::model::{Digest, Image, ImageKey, Problem, ProblemKind, Reference};
use lighterman::source::credentials::Credentials;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource};
use lighterman::source::{Ctx, Sink, Source as _, peek};
use lighterman::work::content::save;
use scripted::{Reply, Request};
use serde_json::{Value, json};
use tables::{Form, Layer, PIECE, Put, documents, layer, layout};

const FORMS: [Form; 2] = [Form::Estargz, Form::Chunked];
const RELEASE: &[u8] = b"ID=sample\nVERSION_ID=12\n";

/// Half noise, half zeros, and of more than two pieces.
fn mixed() -> Vec<u8> {
    [noise(PIECE), vec![0; PIECE], noise(1234)].concat()
}

fn sample(bulk: usize) -> Vec<Put> {
    vec![
        Put::Dir("etc/"),
        Put::File("bin/bulk", noise(bulk)),
        Put::File("etc/os-release", RELEASE.to_vec()),
        Put::Symlink("etc/release", "os-release"),
        Put::Hardlink("usr/os-release", "etc/os-release"),
        Put::File("etc/empty", Vec::new()),
        Put::File("var/mixed", mixed()),
        Put::File("last", b"z".to_vec()),
    ]
}

async fn source(host: &str, repository: &str) -> (RegistrySource, Image) {
    let client = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
    let source = RegistrySource::new(client, host);
    let reference: Reference = format!("{host}/{repository}:1").parse().unwrap();
    let image = source.inspect(&Ctx::default(), &ImageKey::Name(reference)).await.unwrap();
    (source, image)
}

fn fake(form: Form, layer: &Layer, bend: impl Fn(&Request, &mut fake::State) -> Option<Reply> + Send + Sync + 'static) -> Fake {
    let registry = Fake::bent(bend);
    let (config, manifest) = documents(form, layer);
    registry.blob("acme/app", &config);
    registry.blob("acme/app", &layer.stored);
    registry.put_bytes("acme/app", Some("1"), "application/vnd.oci.image.manifest.v1+json", manifest);
    registry
}

/// A file as the deck saves it.
async fn read(source: &RegistrySource, image: &Image, index: &Index, path: &str) -> Result<Vec<u8>, Problem> {
    let tree = Tree::new(vec![Arc::new(index.clone())]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("saved");
    save(source, image, &lies(&tree, path), &to, &Ctx::default()).await?;
    Ok(std::fs::read(to).unwrap())
}

/// Where a file lies, as the deck finds it.
fn lies(tree: &Tree, path: &str) -> Lies {
    let held = View::new(tree, Scope::Merged(0)).held(tree, tree.find(path.as_bytes()).unwrap_or_else(|| panic!("no {path}")));
    if let Held::File(lies) = held { lies } else { panic!("{path} is no file") }
}

/// What was asked of a layer's bytes, in all.
fn fetched(registry: &Fake, layer: &Layer) -> usize {
    let whole = layer.stored.len();
    let digest = Digest::sha256(&layer.stored);
    let of = |request: &Request| request.stretch().map_or(whole, |(first, last)| last + 1 - first);
    registry.server.seen().iter().filter(|request| request.method == "GET" && request.path.contains(digest.as_str())).map(of).sum()
}

/// From a real registry, through a gate that counts.
#[test]
fn a_large_layer_is_listed_without_being_fetched() {
    let Some(host) = common::registry("a_large_layer_is_listed_without_being_fetched") else { return };
    for form in FORMS {
        let program = Program::without_engine();
        let made = layer(form, &sample(30_000_000), |_| {});
        assert!(made.stored.len() > 30_000_000);
        layout(&program.home().join("layout"), form, &made);
        let repository = format!("peek/{form:?}-{}", std::process::id()).to_lowercase();
        program.run(&["copy", "oci:layout", &format!("docker://{host}/{repository}:1")]).ended(0);
        let gate = Gate::new(host.rsplit(':').next().unwrap().parse().unwrap());
        let there = format!("docker://{}/{repository}:1", gate.host());
        let ran = program.run(&["files", &there, "--json", "--layer", "0"]).ended(0);
        assert!(gate.down.passed() < 100_000, "{form:?}: {} bytes", gate.down.passed());
        assert!(ran.stderr.contains("table of contents"), "{}", ran.stderr);
        assert_eq!(ran.document(), program.json(&["files", "oci:layout", "--layer", "0"]), "{form:?}");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (source, image) = source(&gate.host(), &repository).await;
            let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
            assert_eq!(read(&source, &image, &index, "etc/os-release").await.unwrap(), RELEASE);
        });
        assert!(gate.down.passed() < 200_000, "{form:?}: {} bytes", gate.down.passed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_read_by_its_pieces_alone() {
    for form in FORMS {
        let made = layer(form, &sample(3_000_000), |_| {});
        let registry = fake(form, &made, |_, _| None);
        let (source, image) = source(&registry.host(), "acme/app").await;
        let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
        assert!(index.problem().is_none() && index.digests().is_none() && index.to_bytes().is_none());
        assert!(fetched(&registry, &made) < 40_000, "{form:?}");
        registry.forget();
        assert_eq!(read(&source, &image, &index, "usr/os-release").await.unwrap(), RELEASE, "{form:?}: a hard link");
        assert!(fetched(&registry, &made) < 1000, "{form:?}: {}", fetched(&registry, &made));
        registry.forget();
        assert_eq!(read(&source, &image, &index, "var/mixed").await.unwrap(), mixed(), "{form:?}");
        assert!(fetched(&registry, &made) < PIECE + 10_000, "{form:?}");
        for (path, body) in [("bin/bulk", noise(3_000_000)), ("last", b"z".to_vec()), ("etc/empty", Vec::new())] {
            assert_eq!(read(&source, &image, &index, path).await.unwrap(), body, "{form:?}: {path}");
        }
        if form == Form::Estargz {
            let table: Value = serde_json::from_slice(&read(&source, &image, &index, "stargz.index.json").await.unwrap()).unwrap();
            assert_eq!(table["version"], 1);
        }
    }
}

/// As the engines' own tools write it.
#[tokio::test(flavor = "multi_thread")]
async fn layers_of_skopeo_are_read_by_their_tables() {
    let run = |args: &[&str]| std::process::Command::new("skopeo").args(args).output();
    if run(&["--version"]).is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "skopeo is needed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = Put::File("etc/zeros", [noise(5000), vec![0; 300_000], b"end".to_vec()].concat());
    let puts = [sample(2_000_000), vec![plain]].concat();
    // Packed as anything else, and without a table.
    let ours = Layer { annotations: json!({}), ..layer(Form::Chunked, &puts, |_| {}) };
    layout(&folder.path().join("ours"), Form::Chunked, &ours);
    let at = |name: &str| format!("oci:{}:1", folder.path().join(name).display());
    let args = ["--insecure-policy", "copy", "--dest-decompress", &at("ours"), &format!("dir:{}", folder.path().join("plain").display())];
    let done = run(&args).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let from = format!("dir:{}", folder.path().join("plain").display());
    let done =
        run(&["--insecure-policy", "copy", "--dest-compress", "--dest-compress-format", "zstd:chunked", &from, &at("theirs")]).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let blobs = folder.path().join("theirs/blobs/sha256");
    let read_json = |path: &std::path::Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let index = read_json(&folder.path().join("theirs/index.json"));
    let hex = |value: &Value| value["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let manifest = std::fs::read(blobs.join(hex(&index["manifests"][0]))).unwrap();
    let told: Value = serde_json::from_slice(&manifest).unwrap();
    let stored = std::fs::read(blobs.join(hex(&told["layers"][0]))).unwrap();
    let registry = Fake::new();
    registry.blob("acme/app", &std::fs::read(blobs.join(hex(&told["config"]))).unwrap());
    registry.blob("acme/app", &stored);
    registry.put_bytes("acme/app", Some("1"), "application/vnd.oci.image.manifest.v1+json", manifest);

    let (source, image) = source(&registry.host(), "acme/app").await;
    let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
    let whole = lighterman::layer::index::read(&stored[..], &lighterman::layer::index::Known::default());
    assert!(whole.problem().is_none() && whole.len() == puts.len());
    let row = |member: lighterman::layer::Member<'_>| {
        let owner = (member.mode(), member.uid(), member.gid(), member.mtime());
        (member.told(), member.kind(), member.size(), owner, member.link().map(<[u8]>::to_vec), member.linked())
    };
    let rows = |index: &Index| index.members().map(|(_, member)| row(member)).collect::<Vec<_>>();
    assert_eq!(rows(&index), rows(&whole));
    for put in &puts {
        if let Put::File(path, body) = put {
            assert_eq!(read(&source, &image, &index, path).await.unwrap(), *body, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_beginning_no_more_is_fetched_than_it_takes() {
    for form in FORMS {
        let made = layer(form, &sample(9_000_000), |_| {});
        let registry = fake(form, &made, |_, _| None);
        let (source, image) = source(&registry.host(), "acme/app").await;
        let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
        let tree = Tree::new(vec![Arc::new(index)]).unwrap();
        let lies = lies(&tree, "bin/bulk");
        registry.forget();
        assert!(begun(&source, &image, &lies, 150_000).await.unwrap() == noise(9_000_000)[..150_000]);
        assert!(fetched(&registry, &made) < 250_000, "{form:?}: {}", fetched(&registry, &made));
        let problem = begun(&source, &image, &lies, 9_000_001).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Corrupt, "{problem}");
    }
}

/// A layer with a file that begins with a hole of that size.
fn with_hole(hole: u64, zeros: &Digest) -> Layer {
    layer(Form::Chunked, &[Put::File("var/hole", b"tail".to_vec())], |table| {
        let entries = table["entries"].as_array_mut().unwrap();
        let (end, at) = (entries[0]["endOffset"].clone(), entries[0]["offset"].clone());
        entries
            .push(json!({"name": "var/hole", "type": "chunk", "offset": at, "chunkOffset": hole, "chunkDigest": Digest::sha256(b"tail")}));
        entries[0] = json!({"name": "var/hole", "type": "reg", "size": hole + 4, "offset": at, "endOffset": end, "chunkSize": hole,
            "chunkDigest": zeros, "chunkType": "zeros"});
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_of_any_size_is_shown_and_saved() {
    const HOLE: u64 = 300 << 20;
    let mut hasher = Digest::sha256(b"").hasher();
    let stretch = vec![0; 1 << 20];
    (0..HOLE >> 20).for_each(|_| hasher.update(&stretch));
    let zeros = hasher.finish();
    for (hole, digest) in [(HOLE, &zeros), (1 << 50, &zeros), (HOLE, &Digest::sha256(b"other"))] {
        let registry = fake(Form::Chunked, &with_hole(hole, digest), |_, _| None);
        let (source, image) = source(&registry.host(), "acme/app").await;
        let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
        let tree = Tree::new(vec![Arc::new(index.clone())]).unwrap();
        let lies = lies(&tree, "var/hole");
        assert!(begun(&source, &image, &lies, 1 << 20).await.unwrap() == vec![0; 1 << 20]);
        if hole != HOLE {
            continue;
        }
        match read(&source, &image, &index, "var/hole").await {
            Ok(saved) => {
                assert!(*digest == zeros && saved.len() as u64 == HOLE + 4 && saved.ends_with(b"\0\0tail"));
            }
            Err(problem) => assert!(*digest != zeros && problem.kind == ProblemKind::Corrupt, "{problem}"),
        }
    }
}

/// The first bytes of a file that lies in pieces.
async fn begun(source: &RegistrySource, image: &Image, lies: &Lies, length: u64) -> Result<Vec<u8>, Problem> {
    let Place::Pieces { packing, pieces } = &lies.at else { panic!("it lies in no pieces") };
    let alone = peek::Alone { place: 0, packing: *packing, pieces, length };
    peek::copy_pieces(source, &Ctx::default(), image, alone, || Ok(Begun(Vec::new()))).await.map(|begun| begun.0)
}

struct Begun(Vec<u8>);

impl Sink for Begun {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is read whole gives the same files by another way.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_layer_without_a_table_is_read_from_its_start() {
    let made = Layer { annotations: json!({}), ..layer(Form::Estargz, &sample(300_000), |_| {}) };
    let registry = fake(Form::Estargz, &made, |_, _| None);
    let (source, image) = source(&registry.host(), "acme/app").await;
    assert!(peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().is_none());
    let index = lighterman::layer::index::read(&made.stored[..], &lighterman::layer::index::Known::default());
    assert_eq!(read(&source, &image, &index, "etc/os-release").await.unwrap(), RELEASE);
    let other = layer(Form::Estargz, &[Put::File("etc/os-release", b"other".to_vec())], |_| {});
    let wrong = lighterman::layer::index::read(&other.stored[..], &lighterman::layer::index::Known::default());
    assert_eq!(read(&source, &image, &wrong, "etc/os-release").await.unwrap_err().kind, ProblemKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_what_their_digests_say_are_refused() {
    for form in FORMS {
        let made = layer(form, &sample(300_000), |_| {});
        let at = made.pieces[made.pieces.len() - 2];
        let whole = Digest::sha256(&made.stored);
        // As a proxy would that gives another blob's bytes.
        let registry = fake(form, &made, move |request, state| {
            let (first, last) = request.stretch().filter(|_| request.path.contains(whole.as_str()))?;
            let mut bytes = state.blobs.get(&("acme/app".to_owned(), whole.clone()))?.clone();
            bytes[at + 200..at + 210].fill(0);
            let range = format!("bytes {first}-{last}/{}", bytes.len());
            Some(Reply::Plain(206, vec![("Content-Range", range)], bytes[first..=last].to_vec()))
        });
        let (source, image) = source(&registry.host(), "acme/app").await;
        let index = peek::index(&source, &Ctx::default(), &image, 0).await.unwrap().unwrap();
        assert_eq!(read(&source, &image, &index, "var/mixed").await.unwrap_err().kind, ProblemKind::Corrupt, "{form:?}");
        assert_eq!(read(&source, &image, &index, "etc/os-release").await.unwrap(), RELEASE);
    }
}

/// A table that is not the right one, or can't be had: the layer is read whole, and the same is told.
#[test]
fn where_the_table_is_of_no_use_the_layer_is_read_whole() {
    for form in FORMS {
        let program = Program::without_engine();
        let good = layer(form, &sample(300_000), |_| {});
        layout(&program.home().join("layout"), form, &good);
        let wanted = program.json(&["files", "oci:layout", "--layer", "0"]);
        let other = layer(form, &[Put::File("other", b"x".to_vec())], |_| {});
        let lying = Layer { annotations: other.annotations, ..good.clone() };
        let whole_only = |request: &Request, state: &mut fake::State| {
            request.stretch()?;
            let blob = state.blobs.iter().find(|((_, digest), _)| request.path.contains(digest.as_str()))?;
            Some(Reply::body(blob.1.clone()))
        };
        for registry in [fake(form, &lying, |_, _| None), fake(form, &good, whole_only)] {
            let program = Program::without_engine();
            let there = format!("docker://{}/acme/app:1", registry.host());
            let ran = program.run(&["files", &there, "--layer", "0", "--json"]).ended(0);
            assert_eq!(ran.document(), wanted, "{form:?}");
            assert!(!ran.stderr.contains("table of contents"), "{}", ran.stderr);
        }
    }
}

/// Comparing two images needs what is in their files.
#[test]
fn a_comparison_reads_layers_whole() {
    let program = Program::without_engine();
    let status = b"Package: bash\nStatus: install ok installed\nVersion: 5\n";
    let made = layer(Form::Estargz, &[Put::File("var/lib/dpkg/status", status.to_vec())], |_| {});
    layout(&program.home().join("layout"), Form::Estargz, &made);
    let registry = fake(Form::Estargz, &made, |_, _| None);
    let there = format!("docker://{}/acme/app:1", registry.host());
    program.run(&["files", &there]).ended(0);
    let found = program.json(&["diff", &there, "oci:layout"]);
    assert_eq!((&found["files"], &found["packages"]), (&json!([]), &json!([])));
}
