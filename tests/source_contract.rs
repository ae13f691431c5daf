//! One contract for every source: the same image, brought to an engine, the store and a file, is listed, inspected, exported, renamed and
//! removed the same way, and what is not there is said the same way.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a source that breaks the contract fails the test by panicking"
)]

mod common;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::images::{ImageSpec, Pack, build, docker_archive, oci_archive, oci_layout};
use lighterman::model::{ArchiveFormat, Copy, CopyFrom, Digest, ImageKey, Locator, Name, ProblemKind, Removal};
use lighterman::source::credentials::Credentials;
use lighterman::source::engine::{Endpoint, EngineSource};
use lighterman::source::files::FileSource;
use lighterman::source::registry::{Client, RegistrySettings, RegistrySource};
use lighterman::source::store::StoreSource;
use lighterman::source::{Ctx, ExportTo, Opened, ReadLayer, Source, archive, export, read_layers, verify};

/// One source with one image in it, under `name`.
struct Case {
    source: Box<dyn Source>,
    name: Name,
    id: Digest,
    layers: usize,
    dir: tempfile::TempDir,
}

fn spec(name: &str) -> ImageSpec {
    ImageSpec::new(name).layer(&[("etc/motd", b"hello".as_slice())]).layer(&[("bin/api", [7_u8; 5000].as_slice())]).label("tier", "web")
}

impl Case {
    /// Imports the image where that is possible; a file is the archive itself.
    async fn new(kind: &str, source: Box<dyn Source>, dir: tempfile::TempDir) -> Self {
        let name = format!("localhost/lm-contract-{kind}-{}:v1", std::process::id());
        let file = dir.path().join("image.tar");
        std::fs::write(&file, docker_archive(&[spec(&name)])).unwrap();
        let curator = source.curator().expect("it can be changed");
        let ctx = Ctx::default();
        let preview = curator.preview_import(&ctx, &file).await.unwrap();
        assert_eq!(preview.tags.len(), 1, "{kind}");
        curator.import(&ctx, &file, &[]).await.unwrap();
        Self::over(source, &name, dir)
    }

    fn over(source: Box<dyn Source>, name: &str, dir: tempfile::TempDir) -> Self {
        let built = build(&spec(name), Pack::None);
        Self { source, name: Name::new(name), id: built.config_digest, layers: 2, dir }
    }

    async fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = "localhost/lm-contract-file:v1";
        let path = dir.path().join("image.tar");
        std::fs::write(&path, docker_archive(&[spec(name)])).unwrap();
        let locator = Locator::parse(&format!("docker-archive:{}", path.display())).unwrap();
        let source = FileSource::open(&locator).await.unwrap();
        Self::over(Box::new(source), name, dir)
    }

    /// As a layout in a folder or in a tar, its layers packed.
    async fn layout(pack: Pack, tar: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, name) = (dir.path().join("image"), "localhost/lm-contract-layout:v1");
        if tar {
            std::fs::write(&path, oci_archive(&[spec(name)], pack)).unwrap();
        } else {
            oci_layout(&path, &[spec(name)], pack);
        }
        let transport = if tar { "oci-archive" } else { "oci" };
        let source = FileSource::open(&Locator::parse(&format!("{transport}:{}", path.display())).unwrap()).await.unwrap();
        let built = build(&spec(name), pack);
        Self { source: Box::new(source), name: Name::new(name), id: built.config_digest, layers: 2, dir }
    }

    /// In a registry, which is no list of images and exports none: only its layers are opened.
    async fn registry(host: &str, pack: Pack) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, name) = (dir.path().join("image.tar"), format!("{host}/lm-contract-{}-{pack:?}:v1", std::process::id()).to_lowercase());
        std::fs::write(&path, oci_archive(&[spec(&name)], pack)).unwrap();
        let client = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
        let source = RegistrySource::new(client, host);
        let copy = Copy {
            from: CopyFrom::File(Locator::parse(&format!("oci-archive:{}", path.display())).unwrap()),
            expected: None,
            to: Name::new(&name),
            replaces: None,
            platforms: vec![],
            referrers: false,
        };
        source.curator().unwrap().copy(&Ctx::default(), &copy).await.unwrap();
        let built = build(&spec(&name), pack);
        Self { source: Box::new(source), name: Name::new(&name), id: built.config_digest, layers: 2, dir }
    }

    async fn store() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = StoreSource::open(&dir.path().join("store")).unwrap();
        Self::new("store", Box::new(store), dir).await
    }

    async fn engine(kind: &str, address: &str) -> Self {
        let endpoint = Endpoint::parse(address, "peer", "test", None, false).unwrap();
        Self::new(kind, Box::new(EngineSource::new(endpoint, Credentials::none())), tempfile::tempdir().unwrap()).await
    }
}

async fn cases() -> Vec<Case> {
    let mut cases =
        vec![Case::file().await, Case::store().await, Case::layout(Pack::Gzip, false).await, Case::layout(Pack::Zstd, true).await];
    for (kind, address) in [("docker", common::docker("the source contract")), ("podman", common::podman("the source contract"))] {
        if let Some(address) = address {
            cases.push(Case::engine(kind, &address).await);
        }
    }
    cases
}

fn key(name: &Name) -> ImageKey {
    ImageKey::Name(name.reference().unwrap())
}

async fn reads(case: &Case) {
    let (ctx, source) = (Ctx::default(), case.source.as_ref());
    let who = source.id().to_string();
    assert!(!source.version(&ctx).await.unwrap().is_empty(), "{who}");
    let list = source.list(&ctx).await.unwrap();
    let listed = list.images.iter().find(|image| image.id == case.id).unwrap_or_else(|| panic!("{who}: not listed"));
    assert!(listed.tags.iter().any(|tag| tag.reference().ok() == case.name.reference().ok()), "{who}: {:?}", listed.tags);
    for key in [ImageKey::Id(case.id.clone()), key(&case.name)] {
        let image = source.inspect(&ctx, &key).await.unwrap();
        assert_eq!(image.id, case.id, "{who}");
        let layers = image.layers.expect("layers");
        assert_eq!(layers.len(), case.layers, "{who}");
        assert!(layers.iter().enumerate().all(|(i, layer)| layer.index == i && layer.diff_id.is_some()), "{who}");
        let steps = image.history.expect("history");
        assert_eq!(steps.iter().filter(|step| !step.empty_layer).count(), case.layers, "{who}");
        assert_eq!(image.config.expect("config").labels.get("tier").map(lighterman::model::Foreign::raw), Some("web"), "{who}");
    }
    let nobody = ImageKey::Name(Name::new("localhost/lm-nobody:none").reference().unwrap());
    assert_eq!(source.inspect(&ctx, &nobody).await.unwrap_err().kind, ProblemKind::NotFound, "{who}");
}

/// Every layer that was asked for comes, and no other; its bytes unpack to its diff ID, and nothing is left anywhere.
async fn opens(case: &Case) {
    let (ctx, source) = (Ctx::default(), case.source.as_ref());
    let who = source.id().to_string();
    let image = source.inspect(&ctx, &key(&case.name)).await.unwrap();
    let diff_ids: Vec<Digest> = image.layers.as_ref().unwrap().iter().map(|layer| layer.diff_id.clone().unwrap()).collect();
    for wanted in [&[0, 1][..], &[1], &[0], &[1, 1, 0, 7], &[]] {
        let told: Arc<Mutex<Vec<ReadLayer<Vec<u8>>>>> = Arc::default();
        let list = Arc::clone(&told);
        let read = |opened: Opened<'_>| {
            let mut tar = Vec::new();
            let found = opened.reader().and_then(|mut reader| {
                reader.read_to_end(&mut tar)?;
                reader.finish()
            });
            (found, tar)
        };
        read_layers(source, &ctx, &image, wanted, read, move |read| list.lock().unwrap().push(read)).await.unwrap();
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        told.sort_by_key(|read| read.layer);
        let mut places = wanted.to_vec();
        places.sort_unstable();
        places.dedup();
        assert_eq!(told.iter().map(|read| read.layer).collect::<Vec<_>>(), places, "{who}: each once");
        for read in told {
            let Some(diff_id) = diff_ids.get(read.layer) else {
                assert_eq!(read.found.unwrap_err().kind, ProblemKind::NotFound, "{who}");
                continue;
            };
            let (found, tar) = (read.found.unwrap(), read.made.unwrap());
            assert_eq!((&found.diff_id, &Digest::sha256(&tar)), (diff_id, diff_id), "{who}");
            assert_eq!(found.uncompressed_size, tar.len() as u64, "{who}");
        }
    }
    let verified = verify(source, &ctx, image).await.unwrap();
    assert!(verified.layers.unwrap().iter().all(|layer| layer.verified == Some(true)), "{who}");
    let stopped = Ctx::default();
    stopped.cancel.cancel();
    let image = source.inspect(&ctx, &key(&case.name)).await.unwrap();
    assert!(verify(source, &stopped, image).await.unwrap_err().is_cancelled(), "{who}");
}

async fn exports(case: &Case) {
    let (ctx, source) = (Ctx::default(), case.source.as_ref());
    for (format, file) in [(ArchiveFormat::Docker, "out.tar"), (ArchiveFormat::Oci, "out.oci.tar")] {
        let file: PathBuf = case.dir.path().join(file);
        let to = ExportTo { file: file.clone(), format, overwrite: false };
        source.export(&ctx, &[key(&case.name)], &to).await.unwrap();
        let content = archive::open(&file).unwrap();
        export::check(content.as_ref(), &ctx, "read it back").unwrap();
        assert_eq!(content.images().iter().map(|image| &image.config.digest).collect::<Vec<_>>(), [&case.id], "{}", source.id());
        let again = source.export(&ctx, &[key(&case.name)], &to).await.unwrap_err();
        assert_eq!(again.kind, ProblemKind::Conflict, "{}: an existing file is not replaced unasked", source.id());
    }
}

async fn changes(case: &Case) {
    let (ctx, source) = (Ctx::default(), case.source.as_ref());
    let who = source.id().to_string();
    let powers = source.powers();
    let Some(curator) = source.curator() else {
        assert!(!(powers.tag || powers.remove || powers.import || powers.prune || powers.pull || powers.push), "{who} has no curator");
        return;
    };
    assert!(powers.tag && powers.remove && powers.import, "{who}");
    let other = Name::new(&case.name.raw().replace(":v1", ":v2"));
    curator.tag(&ctx, &case.id, &other.reference().unwrap(), None).await.unwrap();
    assert_eq!(source.inspect(&ctx, &key(&other)).await.unwrap().id, case.id, "{who}");
    let moved = Removal::Tag { name: other.clone(), expected: Digest::sha256(b"another image") };
    let (removed, kept) = curator.remove(&ctx, &[moved]).await.unwrap();
    assert!(removed.is_empty() && kept.len() == 1, "{who}: what moved is kept");
    let both = [&other, &case.name].map(|name| Removal::Tag { name: name.clone(), expected: case.id.clone() });
    let (removed, kept) = curator.remove(&ctx, &both).await.unwrap();
    assert_eq!((removed.len(), kept.len()), (2, 0), "{who}: {kept:?}");
    assert_eq!(source.inspect(&ctx, &key(&case.name)).await.unwrap_err().kind, ProblemKind::NotFound, "{who}");
    let (removed, kept) = curator.remove(&ctx, &both).await.unwrap();
    assert_eq!((removed.len(), kept.len()), (0, 2), "{who}: what is gone already is said, not an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_keeps_the_contract() {
    for case in cases().await {
        reads(&case).await;
        opens(&case).await;
        exports(&case).await;
        changes(&case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_opens_layers_as_every_source_does() {
    let Some(host) = common::registry("the source contract") else { return };
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        opens(&Case::registry(&host, pack).await).await;
    }
}
