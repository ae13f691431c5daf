//! Layers opened from sources that break off, lie, leave parts out or are left in the middle: each layer is settled with what is true of it,
//! and the others are none the worse.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what fails here fails the test")]

mod common;
#[path = "engine/scripted.rs"]
mod engine;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::images::{Built, ImageSpec, Pack, build, docker_archive, noise, oci_layout, tar};
use engine::{Reply as Said, Scripted, chunked};
use fake::Fake;
use lighterman::layer::LayerReader;
use lighterman::model::{Digest, Image, ImageKey, Locator, Problem, ProblemKind, Reference};
use lighterman::source::credentials::Credentials;
use lighterman::source::files::FileSource;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource, Timers};
use lighterman::source::{Ctx, Opened, Part, Sink, Source, copy_part, read_layers, verify};
use scripted::{Reply, Request};
use serde_json::json;

fn spec() -> ImageSpec {
    ImageSpec::new("acme/app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/app", &noise(3_000_000))]).layer(&[("last", b"z")])
}

/// What became of one layer: its digests in short, how many bytes of tar were seen, or why not.
type Told = (usize, Result<Digest, Problem>, Option<usize>);

/// Opens `wanted` and reads each to its end.
async fn open(source: &dyn Source, ctx: &Ctx, image: &Image, wanted: &[usize]) -> Result<Vec<Told>, Problem> {
    let told: Arc<Mutex<Vec<Told>>> = Arc::default();
    let list = Arc::clone(&told);
    let read = |opened: Opened<'_>| {
        let mut tar = Vec::new();
        let found = opened.reader().and_then(|mut reader| {
            reader.read_to_end(&mut tar)?;
            reader.finish()
        });
        (found, tar.len())
    };
    let each = move |read: lighterman::source::ReadLayer<usize>| {
        list.lock().unwrap().push((read.layer, read.found.map(|found| found.diff_id), read.made.map(|made| *made)));
    };
    read_layers(source, ctx, image, wanted, read, each).await?;
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort_by_key(|(layer, ..)| *layer);
    Ok(told)
}

fn outcomes(told: &[Told]) -> Vec<Option<ProblemKind>> {
    told.iter().map(|(_, found, _)| found.as_ref().err().map(|problem| problem.kind)).collect()
}

async fn layout(at: &Path) -> (FileSource, Image) {
    let source = FileSource::open(&Locator::parse(&format!("oci:{}", at.display())).unwrap()).await.unwrap();
    let image = source.inspect_all(&Ctx::default()).await.unwrap().remove(0);
    (source, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_of_a_file_that_is_cut_wrong_or_missing_is_told_and_the_others_come() {
    let folder = tempfile::tempdir().unwrap();
    let built = build(&spec(), Pack::Gzip);
    let stored = built.layers[1].stored.clone();
    let mut flipped = stored.clone();
    flipped[2_000_000] ^= 1;
    // Sound gzip of another tar: only the digests tell.
    let other = Pack::Gzip.pack(&tar(&[("other".to_owned(), vec![1; 10])]));
    let cases = [
        ("cut", Some(stored[..2_000_000].to_vec()), ProblemKind::Corrupt),
        ("flipped", Some(flipped), ProblemKind::Corrupt),
        ("other", Some(other), ProblemKind::Corrupt),
        ("longer", Some([&stored[..], b"x"].concat()), ProblemKind::Corrupt),
        ("missing", None, ProblemKind::NotFound),
    ];
    for (case, bytes, kind) in cases {
        let at = folder.path().join(case);
        oci_layout(&at, &[spec()], Pack::Gzip);
        let (source, image) = layout(&at).await;
        let blob = at.join("blobs/sha256").join(built.layers[1].digest.hex());
        match bytes {
            Some(bytes) => std::fs::write(&blob, bytes).unwrap(),
            None => std::fs::remove_file(&blob).unwrap(),
        }
        let told = open(&source, &Ctx::default(), &image, &[0, 1, 2]).await.unwrap();
        assert_eq!(outcomes(&told), [None, Some(kind), None], "{case}: {told:?}");
        let words = told[1].1.as_ref().unwrap_err().to_string();
        assert!(words.contains(built.layers[1].digest.as_str()), "{case}: {words}");
        let image = verify(&source, &Ctx::default(), image).await.unwrap();
        let verified: Vec<_> = image.layers.unwrap().iter().map(|layer| layer.verified).collect();
        assert_eq!(verified, [Some(true), Some(false), Some(true)], "{case}");
    }
}

/// A manifest may name a blob whose digest is right, and that unpacks to something else than the configuration says.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_unpacks_to_something_else_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("layout");
    oci_layout(&at, &[spec()], Pack::Gzip);
    let (source, mut image) = layout(&at).await;
    image.layers.as_mut().unwrap()[0].diff_id = Some(Digest::sha256(b"something else"));
    image.layers.as_mut().unwrap()[2].diff_id = None;
    let told = open(&source, &Ctx::default(), &image, &[0, 1, 2]).await.unwrap();
    assert_eq!(outcomes(&told), [Some(ProblemKind::Corrupt), None, Some(ProblemKind::Corrupt)]);
    let words = told[0].1.as_ref().unwrap_err().to_string();
    assert!(words.contains("should unpack to") && words.contains(Digest::sha256(b"something else").as_str()), "{words}");
    assert!(told[0].2.unwrap() > 1000, "what could be read of it is there all the same");
    assert!(told[2].1.as_ref().unwrap_err().to_string().contains("does not say"), "{:?}", told[2].1);
}

/// Cancels from within the first read, so that the middle is certain.
async fn cancelled_in_the_middle(source: &dyn Source, image: &Image) {
    let ctx = Ctx::default();
    let cancel = ctx.cancel.clone();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let read = move |opened: Opened<'_>| {
        let found = opened.reader().and_then(|mut reader: LayerReader<_>| {
            let mut first = [0; 4096];
            reader.read_exact(&mut first)?;
            cancel.cancel();
            reader.finish()
        });
        if found.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
        (found, ())
    };
    let settled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&settled);
    let each = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let problem = read_layers(source, &ctx, image, &[1], read, each).await.unwrap_err();
    assert!(problem.is_cancelled(), "{problem}");
    assert_eq!((seen.load(Ordering::SeqCst), settled.load(Ordering::SeqCst)), (0, 0), "nothing was read to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_left_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("layout");
    oci_layout(&at, &[spec()], Pack::None);
    let (source, image) = layout(&at).await;
    cancelled_in_the_middle(&source, &image).await;
}

/// A registry with the image, where `bend` may answer first; retries are quick.
async fn registry(
    pack: Pack,
    bend: impl Fn(&Request, &mut fake::State) -> Option<Reply> + Send + Sync + 'static,
) -> (Fake, RegistrySource, Image) {
    let registry = Fake::bent(bend);
    let built = build(&spec(), pack);
    for blob in built.layers.iter().map(|layer| &layer.stored).chain([&built.config]) {
        registry.blob("acme/app", blob);
    }
    registry.put_bytes("acme/app", Some("1"), "application/vnd.oci.image.manifest.v1+json", built.manifest);
    let timers = Timers {
        tries: 3,
        backoff: std::time::Duration::from_millis(2),
        no_progress: std::time::Duration::from_millis(500),
        ..Timers::default()
    };
    let client = Client::new(RegistrySettings { timers, ..RegistrySettings::default() }, Credentials::none()).unwrap();
    let source = RegistrySource::new(client, &registry.host());
    let reference: Reference = format!("{}/acme/app:1", registry.host()).parse().unwrap();
    let image = source.inspect(&Ctx::default(), &ImageKey::Name(reference)).await.unwrap();
    registry.forget();
    (registry, source, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_layer_that_is_opened_is_fetched() {
    let (registry, source, image) = registry(Pack::Gzip, |_, _| None).await;
    let built = build(&spec(), Pack::Gzip);
    let told = open(&source, &Ctx::default(), &image, &[2]).await.unwrap();
    assert_eq!(told[0].1.as_ref().unwrap(), &built.layers[2].diff_id);
    assert_eq!(registry.count("GET", ""), 1, "one request in all");
    assert_eq!(registry.count("GET", built.layers[2].digest.as_str()), 1);
}

fn is_blob(request: &Request, built: &Built) -> bool {
    request.method == "GET" && request.path.contains(built.layers[1].digest.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_breaks_off_is_taken_up_where_it_broke() {
    let built = build(&spec(), Pack::Gzip);
    let (shape, asked) = (built.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let (_registry, source, image) = registry(Pack::Gzip, move |request, _| {
        if !is_blob(request, &shape) {
            return None;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let whole = &shape.layers[1].stored;
        let Some(from) = request.range() else {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
            return Some(Reply::Raw([head.as_bytes(), &whole[..1_500_000]].concat()));
        };
        let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
        Some(Reply::Plain(206, vec![("Content-Range", range)], whole[from..].to_vec()))
    })
    .await;
    let told = open(&source, &Ctx::default(), &image, &[0, 1, 2]).await.unwrap();
    assert_eq!(outcomes(&told), [None, None, None], "{told:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// What is put together of two answers that don't belong together is taken again, once, from the start.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_put_together_wrongly_are_fetched_once_more() {
    for heals in [true, false] {
        let built = build(&spec(), Pack::None);
        let (shape, asked) = (built.clone(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let (_registry, source, image) = registry(Pack::None, move |request, _| {
            if !is_blob(request, &shape) {
                return None;
            }
            let turn = count.fetch_add(1, Ordering::SeqCst);
            let whole = &shape.layers[1].stored;
            match request.range() {
                None if heals && turn > 0 => None,
                None => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
                    Some(Reply::Raw([head.as_bytes(), &whole[..1_500_000]].concat()))
                }
                Some(from) => {
                    let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
                    Some(Reply::Plain(206, vec![("Content-Range", range)], vec![9; whole.len() - from]))
                }
            }
        })
        .await;
        let told = open(&source, &Ctx::default(), &image, &[1]).await.unwrap();
        assert_eq!(outcomes(&told), [if heals { None } else { Some(ProblemKind::Corrupt) }], "{told:?}");
        assert_eq!(asked.load(Ordering::SeqCst), if heals { 3 } else { 4 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_sends_wrong_bytes_none_or_too_few_is_told() {
    let built = build(&spec(), Pack::Gzip);
    let wrong = Pack::Gzip.pack(&tar(&[("other".to_owned(), vec![1; 10])]));
    for (case, kind, words) in [
        ("wrong", ProblemKind::Corrupt, "sha256:"),
        ("missing", ProblemKind::NotFound, ""),
        ("cut", ProblemKind::Unreachable, "broke"),
        ("longer", ProblemKind::Corrupt, "announces"),
    ] {
        let (shape, wrong) = (built.clone(), wrong.clone());
        let (_registry, source, image) = registry(Pack::Gzip, move |request, _| {
            let whole = &shape.layers[1].stored;
            is_blob(request, &shape).then(|| match case {
                // As long as it should be.
                "wrong" => Reply::body([&wrong[..], &vec![0; whole.len() - wrong.len()]].concat()),
                "missing" => Reply::status(404),
                "cut" => Reply::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nx", whole.len()).into_bytes()),
                _ => Reply::body([&whole[..], b"x"].concat()),
            })
        })
        .await;
        let told = open(&source, &Ctx::default(), &image, &[0, 1, 2]).await.unwrap();
        assert_eq!(outcomes(&told), [None, Some(kind), None], "{case}: {told:?}");
        let said = told[1].1.as_ref().unwrap_err().to_string();
        assert!(said.contains(words), "{case}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_left_in_the_middle() {
    let built = build(&spec(), Pack::None);
    let (_registry, source, image) = registry(Pack::None, move |request, _| {
        let whole = &built.layers[1].stored;
        is_blob(request, &built).then(|| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
            // The rest never comes.
            Reply::Trickle([head.as_bytes(), &whole[..1_000_000]].concat(), std::time::Duration::from_millis(1))
        })
    })
    .await;
    cancelled_in_the_middle(&source, &image).await;
}

/// An engine that answers a save with `body`, and the image as an engine tells of it.
fn saving(body: Vec<u8>, whole: bool) -> (Scripted, Image) {
    let built = build(&spec(), Pack::None);
    let id = built.config_digest.clone();
    let diff_ids: Vec<_> = built.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let engine = Scripted::docker(move |request| (request == "GET /images/get").then(|| Said::Raw(chunked(&body, whole))));
    let layers = diff_ids.iter().enumerate().map(|(index, diff_id)| lighterman::model::LayerInfo {
        index,
        digest: None,
        diff_id: Some(diff_id.clone()),
        size: Some(10),
        uncompressed_size: None,
        media_type: None,
        compression: None,
        created_by: None,
        verified: None,
        contents: None,
    });
    let image = Image {
        id,
        manifest_digest: None,
        media_type: None,
        tags: Vec::new(),
        repo_digests: Vec::new(),
        created: None,
        platform: None,
        size: Some(3_000_000),
        unique_size: None,
        containers: None,
        config: None,
        layers: Some(layers.collect()),
        history: None,
        base: None,
    };
    (engine, image)
}

/// The files of a save as engines before 25 write it, the layers named after nothing that is known, each changed by `edit`.
fn save(edit: impl Fn(usize, &mut Option<Vec<u8>>)) -> Vec<u8> {
    let built = build(&spec(), Pack::None);
    let (mut files, mut paths) = (Vec::new(), Vec::new());
    for (at, layer) in built.layers.iter().enumerate() {
        let path = format!("{}/layer.tar", Digest::sha256(&[u8::try_from(at).unwrap()]).hex());
        let mut bytes = Some(layer.tar.clone());
        edit(at, &mut bytes);
        files.extend(bytes.map(|bytes| (path.clone(), bytes)));
        files.push((path.replace("layer.tar", "VERSION"), b"1.0".to_vec()));
        paths.push(path);
    }
    let config = format!("{}.json", built.config_digest.hex());
    let listed = json!([{"Config": config, "RepoTags": ["acme/app:1"], "Layers": paths}]);
    files.extend([(config, built.config), ("manifest.json".to_owned(), listed.to_string().into_bytes())]);
    tar(&files)
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_a_save_are_known_by_what_they_unpack_to() {
    for body in [save(|_, _| {}), docker_archive(&[spec()])] {
        let built = build(&spec(), Pack::None);
        let (engine, image) = saving(body, true);
        for wanted in [&[0, 1, 2][..], &[2], &[1, 0]] {
            let told = open(&engine.source, &Ctx::default(), &image, wanted).await.unwrap();
            assert_eq!(told.len(), wanted.len());
            for (layer, found, made) in told {
                assert_eq!(found.unwrap(), built.layers[layer].diff_id);
                assert_eq!(made.unwrap(), built.layers[layer].tar.len());
            }
        }
        assert_eq!(engine.asked("/images/get"), 3, "each in one pass");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_with_a_wrong_or_missing_layer_is_told_and_the_others_come() {
    let other = tar(&[("other".to_owned(), vec![1; 10])]);
    let packed = Pack::Gzip.pack(&vec![5; 100_000]);
    let cut = packed[..packed.len() - 5].to_vec();
    for (case, bytes, kind, made) in [
        ("other", Some(other), ProblemKind::Corrupt, true),
        ("broken", Some(cut), ProblemKind::Corrupt, true),
        ("missing", None, ProblemKind::NotFound, false),
    ] {
        let body = save(|at, layer| {
            if at == 1 {
                layer.clone_from(&bytes);
            }
        });
        let (engine, image) = saving(body, true);
        let told = open(&engine.source, &Ctx::default(), &image, &[0, 1, 2]).await.unwrap();
        assert_eq!(outcomes(&told), [None, Some(kind), None], "{case}: {told:?}");
        assert_eq!(told[1].2.is_some(), made, "{case}: what was readable of it");
    }
}

/// A save that breaks off is a problem of the whole, but a layer that was there before stays good; one that has all it needs is not awaited.
#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_breaks_off_is_told_unless_all_that_was_wanted_had_come() {
    let body = save(|_, _| {});
    let half = body[..2_000_000].to_vec();
    let (engine, image) = saving(half, false);
    let problem = open(&engine.source, &Ctx::default(), &image, &[0, 1]).await.unwrap_err();
    assert!(matches!(problem.kind, ProblemKind::Unreachable | ProblemKind::Corrupt), "{problem}");
    let told = open(&engine.source, &Ctx::default(), &image, &[0]).await.unwrap();
    assert_eq!(outcomes(&told), [None]);
    // The engine says in the archive that it failed.
    let said = [&body[..body.len() - 4096], br#"{"message":"the disk is gone"}"#].concat();
    let (engine, image) = saving(said[..2_000_000].iter().chain(br#"{"message":"the disk is gone"}"#).copied().collect(), true);
    let problem = open(&engine.source, &Ctx::default(), &image, &[1]).await.unwrap_err();
    assert!(problem.cause.as_str().contains("the disk is gone"), "{problem}");
    let (engine, mut image) = saving(body, true);
    image.id = Digest::sha256(b"gone");
    drop(engine);
    let gone = Scripted::docker(|_| None);
    assert_eq!(open(&gone.source, &Ctx::default(), &image, &[0]).await.unwrap_err().kind, ProblemKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_left_in_the_middle() {
    let (engine, image) = saving(save(|_, _| {}), true);
    let ctx = Ctx::default();
    let cancel = ctx.cancel.clone();
    let read = move |_: Opened<'_>| {
        cancel.cancel();
        (Err(io::Error::other("left")), ())
    };
    let problem = read_layers(&engine.source, &ctx, &image, &[1], read, |_| panic!("nothing was settled")).await.unwrap_err();
    assert!(problem.is_cancelled(), "{problem}");
}

/// A file that stands early is there before the rest of its layer has come, which here it never does.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_layer_is_there_before_the_rest_of_it() {
    let built = build(&spec(), Pack::Gzip);
    let tar = built.layers[1].tar.clone();
    let (_registry, source, image) = registry(Pack::Gzip, move |request, _| {
        let whole = &built.layers[1].stored;
        is_blob(request, &built).then(|| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
            Reply::Trickle([head.as_bytes(), &whole[..1_000_000]].concat(), std::time::Duration::from_millis(1))
        })
    })
    .await;
    for (offset, length) in [(100_000, 7), (512, 1000)] {
        let part = Part { offset, length };
        let read = copy_part(&source, &Ctx::default(), &image, 1, part, || Ok(Kept::default())).await.unwrap();
        assert_eq!(read.0, tar[usize::try_from(offset).unwrap()..][..usize::try_from(length).unwrap()]);
    }
}

/// Keeps what it gets, until it is full.
#[derive(Default)]
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if self.0.len() + bytes.len() > 4 << 20 {
            return Err(Problem::new(ProblemKind::Disk, "keep it", "it is full"));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_the_bytes_of_the_tar_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("layout");
    oci_layout(&at, &[spec()], Pack::Zstd);
    let (file, of_file) = layout(&at).await;
    let (engine, of_engine) = saving(save(|_, _| {}), true);
    let tar = build(&spec(), Pack::None).layers[1].tar.clone();
    let sources: [(&dyn Source, &Image); 2] = [(&file, &of_file), (&engine.source, &of_engine)];
    for (source, image) in sources {
        let read = async |at: usize, part: Part| copy_part(source, &Ctx::default(), image, at, part, || Ok(Kept::default())).await;
        let refused = async |at: usize, part: Part| read(at, part).await.err().unwrap().kind;
        let end = Part { offset: tar.len() as u64 - 10, length: 10 };
        assert_eq!(read(1, end).await.unwrap().0, &tar[tar.len() - 10..]);
        assert!(read(1, Part { length: 0, ..end }).await.unwrap().0.is_empty());
        let whole = Part { offset: 0, length: tar.len() as u64 };
        assert_eq!(read(1, whole).await.unwrap().0, tar);
        for beyond in [Part { length: 11, ..end }, Part { offset: u64::MAX, length: 1 }, Part { offset: 0, length: u64::MAX }] {
            assert_eq!(refused(1, beyond).await, ProblemKind::Corrupt, "{beyond:?}");
        }
        assert_eq!(refused(9, end).await, ProblemKind::NotFound);
        let full = || Ok(Kept(vec![0; 2 << 20]));
        assert_eq!(copy_part(source, &Ctx::default(), image, 1, whole, full).await.err().unwrap().kind, ProblemKind::Disk);
    }
}
