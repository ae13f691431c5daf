//! Sound archives and layouts of every shape, and round trips through our own exports.

use std::fs;

use lighterman::model::{ArchiveFormat, Digest, ImageKey, Locator};
use lighterman::source::content::Content;
use lighterman::source::files::FileSource;
use lighterman::source::{Ctx, Source, archive, export, verify};
use serde_json::{Value, json};

use crate::common::images::{ImageSpec, Pack, build, docker_archive, oci_archive, oci_files, oci_layout, tar};
use crate::{check, listing, names, sample, second, to};

#[test]
fn the_sample_images_are_always_the_same_bytes() {
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        assert_eq!(oci_archive(&[sample()], pack), oci_archive(&[sample()], pack));
    }
    assert_eq!(docker_archive(&[sample()]), docker_archive(&[sample()]));
}

#[test]
fn every_shape_holds_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let specs = [sample(), second(), ImageSpec::new("").layer(&[("only", b"x")])];
    let file = folder.path().join("it");
    fs::write(&file, docker_archive(&specs)).unwrap();
    let expected = listing(check(&file).unwrap().as_ref());
    assert_eq!(expected.len(), 3);
    assert_eq!(expected[1].0.len() + expected[0].0.len() + expected[2].0.len(), 3);
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        fs::write(&file, oci_archive(&specs, pack)).unwrap();
        let mut found = listing(check(&file).unwrap().as_ref());
        found.sort();
        assert_eq!(found, expected);
        let layout = folder.path().join(format!("layout-{pack:?}"));
        oci_layout(&layout, &specs, pack);
        assert_eq!(listing(check(&layout).unwrap().as_ref()), expected);
        for outside in [Pack::Gzip, Pack::Zstd] {
            fs::write(&file, outside.pack(&oci_archive(&specs, pack))).unwrap();
            assert_eq!(listing(check(&file).unwrap().as_ref()), expected);
        }
    }
}

/// As engines from 25 on write it: a layout and a manifest.json over the same blobs.
fn hybrid(spec: &ImageSpec, manifests_null: bool) -> Vec<u8> {
    let mut files = oci_files(std::slice::from_ref(spec), Pack::None);
    let image = build(spec, Pack::None);
    for (path, bytes) in &mut files {
        if path == "index.json" {
            let mut index: Value = serde_json::from_slice(bytes).unwrap();
            index["manifests"][0]["annotations"] =
                json!({"io.containerd.image.name": "docker.io/acme/api:v1", "org.opencontainers.image.ref.name": "v1"});
            if manifests_null {
                index["manifests"] = Value::Null;
            }
            *bytes = index.to_string().into_bytes();
        }
    }
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<_> = image.layers.iter().map(|layer| blob(&layer.digest)).collect();
    let listed = json!([{"Config": blob(&image.config_digest), "RepoTags": spec.names, "Layers": layers}]);
    files.push(("manifest.json".to_owned(), listed.to_string().into_bytes()));
    tar(&files)
}

#[test]
fn hybrids_are_read_by_their_index_where_it_has_images() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.tar");
    let image = build(&sample(), Pack::None);
    for null in [false, true] {
        fs::write(&file, hybrid(&sample(), null)).unwrap();
        let content = check(&file).unwrap();
        assert_eq!(content.images().len(), 1);
        let manifest = content.images()[0].manifest.as_ref().map(|manifest| manifest.digest.clone());
        assert_eq!(manifest, (!null).then(|| image.manifest_digest.clone()));
        assert_eq!(content.images()[0].names[0].raw(), "acme/api:v1");
    }
}

#[test]
fn linked_packed_and_dotted_layers_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.tar");
    let image = build(&sample(), Pack::Gzip);
    let config = format!("{}.json", image.config_digest.hex());
    let mut out = ::tar::Builder::new(Vec::new());
    let mut put = |path: &str, bytes: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, path, bytes).unwrap();
    };
    put("./real/layer.tar", &image.layers[0].tar);
    put("./second.tar.gz", &image.layers[1].stored);
    put(&config, &image.config);
    put(
        "manifest.json",
        json!([{"Config": config, "RepoTags": null, "Layers": ["old/layer.tar", "second.tar.gz"]}]).to_string().as_bytes(),
    );
    let mut link = ::tar::Header::new_gnu();
    link.set_entry_type(::tar::EntryType::Symlink);
    link.set_size(0);
    out.append_link(&mut link, "old/layer.tar", "../real/layer.tar").unwrap();
    fs::write(&file, out.into_inner().unwrap()).unwrap();
    let content = check(&file).unwrap();
    let layers = &content.images()[0].layers;
    assert_eq!((&layers[0].digest, &layers[1].digest), (&image.layers[0].diff_id, &image.layers[1].digest));
    assert!(layers[1].media_type.ends_with("+gzip"));
}

#[test]
fn our_exports_hold_the_same_images_and_are_always_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let specs = [sample(), second()];
    let layout = folder.path().join("layout");
    oci_layout(&layout, &specs, Pack::Zstd);
    let docker = folder.path().join("source.tar");
    fs::write(&docker, docker_archive(&specs)).unwrap();
    for source in [layout, docker] {
        let content = archive::open(&source).unwrap();
        let expected = listing(content.as_ref());
        for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
            let mut before = None;
            for turn in 0..2 {
                let file = folder.path().join(format!("{turn}-{format:?}"));
                let moved = export::write(content.as_ref(), content.images(), &to(&file, format), &Ctx::default()).unwrap();
                assert_eq!(moved.bytes_transferred, fs::metadata(&file).unwrap().len());
                let exported = check(&file).unwrap();
                assert_eq!(listing(exported.as_ref()), expected, "{format:?}");
                if format == ArchiveFormat::Oci && content.images()[0].manifest.is_some() {
                    let digests =
                        |content: &dyn Content| -> Vec<_> { content.images().iter().map(|i| i.manifest.clone().unwrap().digest).collect() };
                    assert_eq!(digests(exported.as_ref()), digests(content.as_ref()));
                }
                let bytes = fs::read(&file).unwrap();
                assert!(before.replace(bytes.clone()).is_none_or(|before| before == bytes));
                fs::remove_file(&file).unwrap();
            }
        }
    }
}

#[test]
fn a_stream_for_an_engine_is_the_same_docker_archive() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    oci_layout(&layout, &[sample(), second()], Pack::Gzip);
    let content = archive::open(&layout).unwrap();
    let checked = export::check(content.as_ref(), &Ctx::default(), "read it").unwrap();
    let mut stream = Vec::new();
    let failed = |error: std::io::Error| panic!("{error}");
    export::docker_stream(content.as_ref(), content.images(), &checked, &mut stream, &failed, &Ctx::default(), "send it").unwrap();
    let file = folder.path().join("it.tar");
    export::write(content.as_ref(), content.images(), &to(&file, ArchiveFormat::Docker), &Ctx::default()).unwrap();
    assert!(stream == fs::read(&file).unwrap());
}

#[tokio::test]
async fn a_file_source_lists_inspects_verifies_and_exports() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    oci_layout(&layout, &[sample(), second()], Pack::Gzip);
    let ctx = Ctx::default();
    let all = FileSource::open(&Locator::parse(&format!("oci:{}", layout.display())).unwrap()).await.unwrap();
    let list = all.list(&ctx).await.unwrap();
    assert_eq!((list.images.len(), list.gaps.len()), (2, 0));
    assert_eq!(list.images[1].tags.len(), 2);
    let id = build(&second(), Pack::Gzip).config_digest;
    for key in [ImageKey::Id(id.clone()), ImageKey::Name("acme/web:latest".parse().unwrap())] {
        assert_eq!(all.inspect(&ctx, &key).await.unwrap().id, id);
    }
    let image = all.inspect(&ctx, &ImageKey::Id(id.clone())).await.unwrap();
    assert_eq!(image.history.as_ref().unwrap()[2].size, Some(0));
    assert!(image.layers.unwrap().iter().all(|layer| layer.verified.is_none() && layer.uncompressed_size.is_none()));
    for image in all.inspect_all(&ctx).await.unwrap() {
        let sizes = verify(&all, &ctx, image).await.unwrap().layers.unwrap();
        assert!(sizes.iter().all(|layer| layer.verified == Some(true) && layer.compression == Some("gzip")));
        assert!(sizes.iter().all(|layer| layer.uncompressed_size.unwrap() >= 1024));
    }
    let missing = all.inspect(&ctx, &ImageKey::Name("acme/none:v1".parse().unwrap())).await.unwrap_err();
    assert!(missing.hint.unwrap().as_str().contains("acme/api:v1"));
    // By whole name, by tag alone; and a tag that is not there.
    for name in ["acme/web:v2", "v2"] {
        let one = FileSource::open(&Locator::parse(&format!("oci:{}:{name}", layout.display())).unwrap()).await.unwrap();
        let images = one.inspect_all(&ctx).await.unwrap();
        assert_eq!((images.len(), &images[0].id, images[0].tags.len()), (1, &id, 1));
        let file = folder.path().join("one.tar");
        one.export(&ctx, &[ImageKey::Id(id.clone())], &to(&file, ArchiveFormat::Oci)).await.unwrap();
        assert_eq!(listing(check(&file).unwrap().as_ref())[0].0, ["docker.io/acme/web:v2"]);
        fs::remove_file(file).unwrap();
    }
    assert!(FileSource::open(&Locator::parse(&format!("oci:{}:nothing", layout.display())).unwrap()).await.is_err());
    assert_eq!(names(folder.path()), ["layout"]);
}

#[tokio::test]
async fn verifying_marks_the_layer_that_is_not_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    oci_layout(&layout, &[sample()], Pack::Gzip);
    let layer = build(&sample(), Pack::Gzip).layers[1].clone();
    let blob = layout.join(format!("blobs/sha256/{}", layer.digest.hex()));
    let mut bytes = layer.stored.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(blob, bytes).unwrap();
    let source = FileSource::open(&Locator::parse(&format!("oci:{}", layout.display())).unwrap()).await.unwrap();
    let image = source.inspect_all(&Ctx::default()).await.unwrap().remove(0);
    let image = verify(&source, &Ctx::default(), image).await.unwrap();
    let verified: Vec<_> = image.layers.as_ref().unwrap().iter().map(|layer| layer.verified).collect();
    assert_eq!(verified, [Some(true), Some(false)]);
}

#[test]
fn a_multi_platform_index_keeps_its_digest_when_all_of_it_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let specs = [sample(), sample().architecture("arm64")];
    oci_layout(&layout, &specs, Pack::Gzip);
    let mut top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    for child in top["manifests"].as_array_mut().unwrap() {
        child.as_object_mut().unwrap().remove("annotations");
    }
    // One platform that isn't there, as engines save it.
    let gone = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::sha256(b"gone"), "size": 4,
        "platform": {"os": "linux", "architecture": "s390x"}});
    top["manifests"].as_array_mut().unwrap().push(gone);
    let inner = top.to_string().into_bytes();
    let digest = Digest::sha256(&inner);
    fs::write(layout.join(format!("blobs/sha256/{}", digest.hex())), &inner).unwrap();
    let outer = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest,
        "size": inner.len(), "annotations": {"org.opencontainers.image.ref.name": "acme/api:v1"}}]});
    fs::write(layout.join("index.json"), outer.to_string()).unwrap();
    let content = check(&layout).unwrap();
    assert_eq!(content.images().len(), 2);
    let file = folder.path().join("all.tar");
    export::write(content.as_ref(), content.images(), &to(&file, ArchiveFormat::Oci), &Ctx::default()).unwrap();
    let exported = check(&file).unwrap();
    assert!(exported.images().iter().all(|image| image.root.as_ref().unwrap().digest == digest));
    let file = folder.path().join("one.tar");
    export::write(content.as_ref(), &content.images()[1..], &to(&file, ArchiveFormat::Oci), &Ctx::default()).unwrap();
    let exported = check(&file).unwrap();
    assert_eq!(exported.images()[0].manifest, exported.images()[0].root);
    assert_eq!(exported.images()[0].manifest.as_ref().unwrap().platform.as_ref().unwrap().architecture, "arm64");
}
