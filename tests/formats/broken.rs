//! Archives and layouts that are cut, forged, swollen or lie. Each is refused with the object named, and nothing is written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use lighterman::model::{ArchiveFormat, Digest, ProblemKind};
use lighterman::source::{Ctx, archive, export};
use serde_json::{Value, json};

use crate::common::images::{Pack, build, docker_archive, oci_archive, oci_files, oci_layout, tar};
use crate::{check, names, sample, second, to};

/// Checks, and exports to see that nothing gets written; gives the problem's words.
fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.tar");
    fs::write(&file, bytes).unwrap();
    refused_at(&file, folder.path())
}

fn refused_at(source: &Path, folder: &Path) -> String {
    let before = names(folder);
    let problem = check(source).map(|content| content.images().to_vec()).unwrap_err();
    if let Ok(content) = archive::open(source) {
        for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
            export::write(content.as_ref(), content.images(), &to(&folder.join("out.tar"), format), &Ctx::default()).unwrap_err();
        }
    }
    assert_eq!(names(folder), before);
    problem.to_string()
}

/// A layout's files with one changed.
fn with(path: &str, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let files = oci_files(&[sample()], Pack::Gzip).into_iter();
    let changed: Vec<_> =
        files.filter_map(|(name, bytes)| if name == path { change(&bytes).map(|b| (name, b)) } else { Some((name, bytes)) }).collect();
    tar(&changed)
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[test]
fn what_is_no_image_archive_is_refused() {
    assert!(refused(b"").contains("empty"));
    assert!(refused(b"hello, this is no tar").contains("header"));
    assert!(refused(&tar(&[("a", "b")])).contains("neither a manifest.json nor an index.json"));
    assert!(refused(&[b"\xfd7zXZ\0".as_slice(), &[0; 600]].concat()).contains("xz"));
}

#[test]
fn missing_and_wrong_blobs_are_named() {
    let image = build(&sample(), Pack::Gzip);
    for digest in [&image.layers[1].digest, &image.config_digest, &image.manifest_digest] {
        assert!(refused(&with(&blob(digest), |_| None)).contains(digest.as_str()));
        let longer = |bytes: &[u8]| Some([bytes, b" "].concat());
        assert!(refused(&with(&blob(digest), longer)).contains(digest.as_str()));
        let other = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[20] ^= 1;
            Some(bytes)
        };
        assert!(refused(&with(&blob(digest), other)).contains(digest.as_str()));
    }
}

#[test]
fn a_layer_that_is_not_its_diff_id_is_named() {
    let mut spec = sample();
    let right = build(&spec, Pack::Gzip);
    spec.layers[1] = vec![("data".to_owned(), b"other".to_vec())];
    let wrong = build(&spec, Pack::Gzip);
    // A manifest, sound in itself, with the other image's configuration.
    let text = String::from_utf8(right.manifest.clone()).unwrap();
    let text = text.replace(right.config_digest.as_str(), wrong.config_digest.as_str());
    let text = text.replace(&format!("\"size\":{}", right.config.len()), &format!("\"size\":{}", wrong.config.len()));
    let manifest = text.into_bytes();
    let digest = Digest::sha256(&manifest);
    let entry = |digest: &Digest, bytes: &[u8]| json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": bytes.len()});
    // Alone, and behind an image that has the same layer and is right about it.
    for entries in [vec![entry(&digest, &manifest)], vec![entry(&right.manifest_digest, &right.manifest), entry(&digest, &manifest)]] {
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), json!({"manifests": entries}).to_string().into_bytes()),
            (blob(&digest), manifest.clone()),
            (blob(&wrong.config_digest), wrong.config.clone()),
            (blob(&right.manifest_digest), right.manifest.clone()),
            (blob(&right.config_digest), right.config.clone()),
        ];
        files.extend(right.layers.iter().map(|layer| (blob(&layer.digest), layer.stored.clone())));
        let words = refused(&tar(&files));
        assert!(words.contains(right.layers[1].digest.as_str()) && words.contains(wrong.layers[1].diff_id.as_str()), "{words}");
    }
}

#[test]
fn documents_that_could_be_read_in_two_ways_are_refused() {
    let double = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Some(text.replacen('{', r#"{"manifests":[],"#, 1).into_bytes())
    };
    assert!(refused(&with("index.json", double)).contains("twice"));
    let both = |bytes: &[u8]| {
        let mut index: Value = serde_json::from_slice(bytes).unwrap();
        index["layers"] = json!([]);
        Some(index.to_string().into_bytes())
    };
    assert!(refused(&with("index.json", both)).contains("both manifests and layers"));
    assert!(refused(&with("oci-layout", |_| Some(br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec()))).contains("2.0.0"));
    // Two files of one name.
    let mut files = oci_files(&[sample()], Pack::Gzip);
    files.push(("index.json".to_owned(), files.last().unwrap().1.clone()));
    assert!(refused(&tar(&files)).contains("index.json is in it twice"));
    // A manifest.json that lists another image than the index.
    let mut files = oci_files(&[sample()], Pack::None);
    let image = build(&second(), Pack::None);
    let layers: Vec<_> = image.layers.iter().map(|layer| blob(&layer.digest)).collect();
    files.extend(image.layers.iter().skip(1).map(|layer| (blob(&layer.digest), layer.tar.clone())));
    files.push((blob(&image.config_digest), image.config.clone()));
    let listed = json!([{"Config": blob(&image.config_digest), "RepoTags": [], "Layers": layers}]);
    files.push(("manifest.json".to_owned(), listed.to_string().into_bytes()));
    assert!(refused(&tar(&files)).contains(image.config_digest.as_str()));
}

#[test]
fn an_index_that_names_itself_is_refused() {
    let own = Digest::sha256(b"self");
    let body = json!({"manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": own, "size": 1}]}).to_string();
    let size =
        json!({"manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": own, "size": body.len()}]}).to_string();
    let files = [("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", size.as_str()), (&blob(&own), body.as_str())];
    assert!(refused(&tar(&files)).contains(own.as_str()));
}

#[test]
fn names_and_links_that_lead_outside_are_refused() {
    let mut files = oci_files(&[sample()], Pack::Gzip);
    files.push(("evil".to_owned(), b"x".to_vec()));
    let good = tar(&files);
    for name in ["../../etc/evil", "/etc/evil"] {
        let mut bytes = good.clone();
        let at = bytes.windows(5).position(|window| window == b"evil\0").unwrap();
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        let mut header = ::tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&bytes[at..at + 512]);
        header.set_cksum();
        bytes[at..at + 512].copy_from_slice(header.as_bytes());
        assert!(refused(&bytes).contains(name));
    }
    let image = build(&sample(), Pack::None);
    let config = format!("{}.json", image.config_digest.hex());
    for path in ["../../../etc/hostname", "/etc/hostname", "gone/layer.tar"] {
        let listed = json!([{"Config": config, "RepoTags": ["a:1"], "Layers": [path, path]}]).to_string();
        let words = refused(&tar(&[("manifest.json", listed.as_bytes()), (&config, &image.config)]));
        assert!(words.contains(path), "{words}");
        let listed = json!([{"Config": path, "RepoTags": ["a:1"], "Layers": []}]).to_string();
        assert!(refused(&tar(&[("manifest.json", listed)])).contains(path));
    }
}

#[test]
fn a_layouts_links_pipes_and_directories_are_no_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    oci_layout(&layout, &[sample()], Pack::Gzip);
    let layer = build(&sample(), Pack::Gzip).layers[1].clone();
    let at = layout.join(blob(&layer.digest));
    fs::rename(&at, folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), &at).unwrap();
    assert!(refused_at(&layout, folder.path()).contains(layer.digest.as_str()));
    fs::remove_file(&at).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &at, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert!(refused_at(&layout, folder.path()).contains("not a regular file"));
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    assert!(refused_at(&layout, folder.path()).contains("not a regular file"));
}

#[test]
fn one_broken_image_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    oci_layout(&layout, &[sample(), second()], Pack::Gzip);
    let layer = build(&second(), Pack::Gzip).layers[1].clone();
    fs::remove_file(layout.join(blob(&layer.digest))).unwrap();
    let content = archive::open(&layout).unwrap();
    assert_eq!(content.images().len(), 1);
    assert!(!content.gaps().is_empty() && content.gaps().iter().all(|gap| gap.cause.as_str().contains(layer.digest.as_str())));
    assert!(export::check(content.as_ref(), &Ctx::default(), "read it").is_err());
}

/// Layers of zeros, packed a thousandfold and more, are refused without being unpacked whole.
#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 16 << 20];
    let mut best = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    best.write_all(&zeros).unwrap();
    for (pack, kind, one) in [(Pack::Gzip, "gzip", best.finish().unwrap()), (Pack::Zstd, "zstd", Pack::Zstd.pack(&zeros))] {
        let bomb = one.repeat(40);
        let mut spec = sample();
        spec.layers.truncate(1);
        let image = build(&spec, pack);
        let text = String::from_utf8(image.manifest.clone()).unwrap();
        let layer = &image.layers[0];
        let text = text.replace(layer.digest.as_str(), Digest::sha256(&bomb).as_str());
        let text = text.replace(&format!("\"size\":{}", layer.stored.len()), &format!("\"size\":{}", bomb.len()));
        let digest = Digest::sha256(text.as_bytes());
        let index =
            json!({"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": text.len()}]});
        let files = [
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
            (blob(&digest), text.into_bytes()),
            (blob(&image.config_digest), image.config.clone()),
            (blob(&Digest::sha256(&bomb)), bomb.clone()),
        ];
        let words = refused(&tar(&files));
        assert!(words.contains("bomb") && words.contains(Digest::sha256(&bomb).as_str()), "{kind}: {words}");
        // The same around the archive.
        let words = refused(&bomb);
        assert!(words.contains("bomb"), "{kind}: {words}");
    }
}

#[test]
fn a_layer_of_several_members_is_read_whole_and_one_with_a_tail_is_not() {
    let image = build(&sample(), Pack::None);
    let half = image.layers[0].tar.len() / 2;
    let (first, rest) = image.layers[0].tar.split_at(half);
    let packed = [Pack::Gzip.pack(first), Pack::Gzip.pack(rest)].concat();
    for (tail, is_sound) in [(&b""[..], true), (b"tail", false), (b"\x1f\x8b", false)] {
        let stored = [&packed[..], tail].concat();
        let config = format!("{}.json", image.config_digest.hex());
        let listed = json!([{"Config": config, "RepoTags": ["a:1"], "Layers": ["0.tar.gz", "1.tar"]}]).to_string();
        let files =
            [("0.tar.gz", &stored[..]), ("1.tar", &image.layers[1].tar), (&config, &image.config), ("manifest.json", listed.as_bytes())];
        if is_sound {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("it.tar"), tar(&files)).unwrap();
            check(&folder.path().join("it.tar")).unwrap();
        } else {
            assert!(refused(&tar(&files)).contains(Digest::sha256(&stored).as_str()));
        }
    }
}

#[test]
fn an_archive_cut_at_any_block_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.tar");
    for bytes in [docker_archive(&[sample()]), oci_archive(&[sample()], Pack::Gzip)] {
        for cut in (0..bytes.len()).step_by(512).chain([bytes.len() - 1, bytes.len() - 511]) {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert!(check(&file).is_err(), "cut at {cut} of {}", bytes.len());
        }
        for packed in [Pack::Gzip.pack(&bytes), Pack::Zstd.pack(&bytes)] {
            for cut in (0..packed.len()).step_by(64) {
                fs::write(&file, &packed[..cut]).unwrap();
                assert!(check(&file).is_err(), "packed, cut at {cut}");
            }
        }
    }
}

#[test]
fn a_huge_long_name_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.tar");
    let mut header = ::tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(::tar::EntryType::GNULongName);
    header.set_size(600 << 20);
    header.set_cksum();
    let mut out = fs::File::create(&file).unwrap();
    out.write_all(header.as_bytes()).unwrap();
    // A hole: 600 MB that take no space.
    out.set_len(512 + (600 << 20) + 1024).unwrap();
    let problem = check(&file).map(|content| content.images().to_vec()).unwrap_err();
    assert!(problem.kind == ProblemKind::Limit && problem.cause.as_str().contains("629145600"), "{problem}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn no_changed_byte_passes_as_another_image(position in 0..100_000_usize, with in 1..=255_u8) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it.tar");
        let mut bytes = oci_archive(&[sample()], Pack::Gzip);
        fs::write(&file, &bytes).unwrap();
        let expected = crate::listing(check(&file).unwrap().as_ref());
        let position = position % bytes.len();
        bytes[position] ^= with;
        fs::write(&file, &bytes).unwrap();
        if let Ok(content) = check(&file) {
            let found = crate::listing(content.as_ref());
            // Only the name, in the index that nothing signs, can have changed.
            proptest::prop_assert!(found.iter().map(|image| &image.1).eq(expected.iter().map(|image| &image.1)));
        }
    }
}
