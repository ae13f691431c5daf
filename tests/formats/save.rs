//! Save streams as an engine sends them: whole, cut, with an error in the tail, with parts missing or wrong.

use std::fs;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use lighterman::model::{ArchiveFormat, ImageKey, Problem, ProblemKind, Transfer};
use lighterman::source::{Ctx, export};
use serde_json::{Value, json};

use crate::common::images::{Pack, build, docker_archive, oci_archive, tar};
use crate::{check, listing, names, sample, second, to};

const FORMATS: [ArchiveFormat; 2] = [ArchiveFormat::Docker, ArchiveFormat::Oci];

fn pieces(bytes: &[u8], size: usize) -> impl Stream<Item = Result<Bytes, Problem>> + Send + Unpin + use<> {
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

fn key(name: &str) -> ImageKey {
    ImageKey::Name(name.parse().unwrap())
}

async fn save(bytes: &[u8], size: usize, wanted: &[ImageKey], file: &std::path::Path, format: ArchiveFormat) -> Result<Transfer, Problem> {
    export::from_save(pieces(bytes, size), wanted, None, &to(file, format), &Ctx::default()).await
}

/// Nothing may be left of a refused save; gives the words.
async fn refused(bytes: &[u8], format: ArchiveFormat) -> String {
    let folder = tempfile::tempdir().unwrap();
    let problem = save(bytes, 4096, &[key("acme/api:v1")], &folder.path().join("out"), format).await.unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new());
    problem.to_string()
}

#[tokio::test]
async fn a_sound_save_becomes_either_archive_whatever_its_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.tar");
    let classic = docker_archive(&[sample(), second()]);
    let source = folder.path().join("source.tar");
    fs::write(&source, &classic).unwrap();
    let expected = listing(check(&source).unwrap().as_ref());
    let id = ImageKey::Id(build(&second(), Pack::None).config_digest);
    for size in [1, 7, 512, 5000, 1 << 20] {
        for format in FORMATS {
            let moved = save(&classic, size, &[key("acme/api:v1"), key("acme/web:latest"), id.clone()], &file, format).await.unwrap();
            assert_eq!(moved.bytes_transferred, fs::metadata(&file).unwrap().len());
            assert_eq!(listing(check(&file).unwrap().as_ref()), expected, "{format:?} in pieces of {size}");
            if format == ArchiveFormat::Docker {
                assert!(fs::read(&file).unwrap() == classic);
            }
            fs::remove_file(&file).unwrap();
        }
    }
}

#[tokio::test]
async fn a_save_that_is_a_layout_keeps_its_digests() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.tar");
    for pack in [Pack::None, Pack::Gzip, Pack::Zstd] {
        let bytes = oci_archive(&[sample()], pack);
        save(&bytes, 1000, &[key("acme/api:v1")], &file, ArchiveFormat::Oci).await.unwrap();
        let content = check(&file).unwrap();
        assert_eq!(content.images()[0].manifest.as_ref().unwrap().digest, build(&sample(), pack).manifest_digest);
        fs::remove_file(&file).unwrap();
        assert!(refused(&bytes, ArchiveFormat::Docker).await.contains("manifest.json"));
    }
}

#[tokio::test]
async fn a_save_cut_at_any_block_is_refused() {
    let bytes = docker_archive(&[sample()]);
    for cut in (0..bytes.len()).step_by(512).chain([1, bytes.len() - 1]) {
        for format in FORMATS {
            refused(&bytes[..cut], format).await;
        }
    }
}

#[tokio::test]
async fn an_error_in_the_tail_is_told_in_the_engines_words() {
    let bytes = docker_archive(&[sample()]);
    let error = br#"{"message":"open /var/lib/docker/x: no such file"}"#;
    let cuts = [0, 512, 1024, bytes.len() - 1024, bytes.len()];
    for cut in cuts {
        for format in FORMATS {
            let words = refused(&[&bytes[..cut], error, b"\n"].concat(), format).await;
            assert!(words.contains("no such file"), "cut at {cut}: {words}");
        }
    }
    for tail in [&b"x"[..], &[1; 2000]] {
        for format in FORMATS {
            assert!(refused(&[&bytes, tail].concat(), format).await.contains("after its end marker"));
        }
    }
}

fn changed(change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let image = build(&sample(), Pack::None);
    let config = format!("{}.json", image.config_digest.hex());
    let listed = json!([{"Config": config, "RepoTags": ["acme/api:v1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]).to_string();
    let files = [
        ("0/layer.tar".to_owned(), image.layers[0].tar.clone()),
        ("1/layer.tar".to_owned(), image.layers[1].tar.clone()),
        (config, image.config),
        ("manifest.json".to_owned(), listed.into_bytes()),
    ];
    let files: Vec<_> = files.into_iter().filter_map(|(path, bytes)| change(&path, bytes).map(|bytes| (path, bytes))).collect();
    tar(&files)
}

#[tokio::test]
async fn missing_and_wrong_parts_are_named() {
    for format in FORMATS {
        let without = |gone: &'static str| changed(move |path, bytes| (!path.ends_with(gone)).then_some(bytes));
        assert!(refused(&without("1/layer.tar"), format).await.contains("1/layer.tar"));
        assert!(refused(&without("manifest.json"), format).await.contains("manifest.json"));
        let config = build(&sample(), Pack::None).config_digest;
        let no_config = changed(|path, bytes| (path == "manifest.json" || path.ends_with("/layer.tar")).then_some(bytes));
        assert!(refused(&no_config, format).await.contains(config.hex()));
        let flipped = changed(|path, mut bytes| {
            if path == "1/layer.tar" {
                bytes[5] ^= 1;
            }
            Some(bytes)
        });
        assert!(refused(&flipped, format).await.contains("1/layer.tar should be"));
        let renamed = changed(|path, bytes| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("acme/api:v1", "acme/api:v2").into_bytes();
            Some(if path == "manifest.json" { text(bytes) } else { bytes })
        });
        assert!(refused(&renamed, format).await.contains("acme/api:v1"));
        let fewer = changed(|path, bytes| {
            let mut value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if path == "manifest.json" {
                value[0]["Layers"].as_array_mut().unwrap().pop();
            }
            Some(if path == "manifest.json" { value.to_string().into_bytes() } else { bytes })
        });
        assert!(refused(&fewer, format).await.contains("2 diff IDs"));
    }
}

#[tokio::test]
async fn a_broken_stream_and_a_cancelled_one_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = docker_archive(&[sample()]);
    for format in FORMATS {
        let lost = Problem::new(ProblemKind::Unreachable, "save", "the engine is gone");
        let broken = pieces(&bytes[..3000], 700).chain(stream::iter([Err(lost.clone())]));
        let file = folder.path().join("out");
        assert_eq!(export::from_save(broken, &[], None, &to(&file, format), &Ctx::default()).await, Err(lost));
        assert_eq!(names(folder.path()), Vec::<String>::new());
        let ctx = Ctx::default();
        let cancel = ctx.cancel.clone();
        let endless =
            pieces(&bytes[..3000], 700).chain(stream::once(async move { cancel.cancel() }).flat_map(|()| stream::pending()).boxed());
        assert!(export::from_save(endless, &[], None, &to(&file, format), &ctx).await.unwrap_err().is_cancelled());
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_dropped_save_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = docker_archive(&[sample()]);
    let endless = pieces(&bytes[..3000], 700).chain(stream::pending());
    let target = to(&folder.path().join("out"), ArchiveFormat::Docker);
    let ctx = Ctx::default();
    let mut saving = Box::pin(export::from_save(endless, &[], None, &target, &ctx));
    // Polled until the temporary file is there, and then dropped.
    while names(folder.path()).is_empty() {
        assert!((&mut saving).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(saving);
    while !names(folder.path()).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_target_in_the_way_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    fs::write(&file, "old").unwrap();
    for format in FORMATS {
        let problem = save(&docker_archive(&[sample()]), 1000, &[], &file, format).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict);
    }
    assert_eq!((names(folder.path()).len(), fs::read(&file).unwrap()), (1, b"old".to_vec()));
}
