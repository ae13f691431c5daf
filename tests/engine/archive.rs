//! Archives out of an engine and into it.

use std::path::Path;

use lighterman::model::{ArchiveFormat, ImageKey, Name, ProblemKind};
use lighterman::source::{Ctx, ExportTo, Source as _};
use serde_json::json;

use crate::peer::{Made, Peer, noise, peers, tagged};

fn to(dir: &Path, file: &str, format: ArchiveFormat) -> ExportTo {
    ExportTo { file: dir.join(file), format, overwrite: false }
}

/// What the engine lists with this test's names.
async fn names(peer: &Peer, prefix: &str) -> Vec<String> {
    let list = peer.source.list(&Ctx::default()).await.unwrap();
    let names = list.images.iter().flat_map(|image| &image.tags).map(|name| name.raw().to_owned());
    let mut names: Vec<String> = names.filter(|name| name.contains(prefix)).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_export_can_be_imported_again() {
    for peer in peers("an_export_can_be_imported_again") {
        let prefix = peer.prefix("roundtrip");
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Made::with(&prefix, &[noise(&prefix, 2_000_000), b"x".to_vec()]), Made::new(&format!("{prefix}-two"), 1));
        let (first, second) = (tagged(&peer, &prefix, "one"), tagged(&peer, &prefix, "two"));
        for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
            peer.load(&one, &[&first]).await;
            peer.load(&two, &[&second]).await;
            let keys = [&first, &second].map(|name| ImageKey::Name(Name::new(name).reference().unwrap()));
            let to = to(dir.path(), &format!("{format:?}.tar"), format);
            let ctx = Ctx::default();
            let saved = peer.source.export(&ctx, &keys, &to).await.unwrap();
            assert_eq!(saved.bytes_transferred, std::fs::metadata(&to.file).unwrap().len());
            peer.clear(&[&first, &second], None).await;
            let curator = peer.source.curator().unwrap();
            let preview = curator.preview_import(&ctx, &to.file).await.unwrap();
            assert_eq!(preview.tags.len(), 2, "{preview:?}");
            assert!(preview.tags.iter().all(|tag| tag.holder.is_none()));
            curator.import(&ctx, &to.file, &[]).await.unwrap();
            assert_eq!(peer.holder(&first).await, Some(one.id.clone()));
            assert_eq!(peer.holder(&second).await, Some(two.id.clone()));
            assert_eq!(names(&peer, &prefix).await, [first.clone(), second.clone()]);
        }
        peer.clear(&[&first, &second], None).await;
    }
}

#[tokio::test]
async fn an_import_moves_only_the_tags_that_were_agreed_to() {
    for peer in peers("an_import_moves_only_the_tags_that_were_agreed_to") {
        let prefix = peer.prefix("moves");
        let dir = tempfile::tempdir().unwrap();
        let (here, coming) = (Made::new(&format!("{prefix}-here"), 1), Made::new(&format!("{prefix}-coming"), 1));
        let name = tagged(&peer, &prefix, "1");
        peer.load(&here, &[&name]).await;
        let file = dir.path().join("coming.tar");
        std::fs::write(&file, coming.archive(&[&name])).unwrap();
        let (ctx, curator) = (Ctx::default(), peer.source.curator().unwrap());
        let preview = curator.preview_import(&ctx, &file).await.unwrap();
        assert_eq!((&preview.tags[0].id, preview.tags[0].holder.as_ref()), (&coming.id, Some(&here.id)));
        let conflict = curator.import(&ctx, &file, &[]).await.unwrap_err();
        assert_eq!(conflict.kind, ProblemKind::Conflict, "{conflict:?}");
        assert_eq!(peer.holder(&name).await, Some(here.id.clone()));
        assert_eq!(peer.holder(coming.id.as_str()).await, None);
        curator.import(&ctx, &file, &[(Name::new(&name), here.id.clone())]).await.unwrap();
        assert_eq!(peer.holder(&name).await, Some(coming.id.clone()));
        peer.clear(&[&name, here.id.as_str()], None).await;
    }
}

#[tokio::test]
async fn a_broken_archive_changes_nothing() {
    for peer in peers("a_broken_archive_changes_nothing") {
        let prefix = peer.prefix("broken");
        let dir = tempfile::tempdir().unwrap();
        let made = Made::with(&prefix, &[noise(&prefix, 1_000_000), noise("more", 300_000)]);
        let other = Made::new(&format!("{prefix}-other"), 1);
        let name = tagged(&peer, &prefix, "1");
        let good = made.archive(&[&name]);
        let mut flipped = good.clone();
        flipped[700_000] ^= 1;
        let at = good.windows(6).rposition(|part| part == b"Layers").unwrap();
        let mut no_layer = good.clone();
        no_layer[at..at + 6].copy_from_slice(b"Slayer");
        let mut padded = flipped.clone();
        padded.extend(std::iter::repeat_n(0, 3 << 20));
        let images = |names: [&str; 2]| {
            let mut files = made.files();
            files.extend(other.files());
            files.push((
                "manifest.json".to_owned(),
                serde_json::to_vec(&json!([made.entry(&[names[0]]), other.entry(&[names[1]])])).unwrap(),
            ));
            crate::peer::tar_of(&files)
        };
        let cases = [
            ("flipped", flipped),
            ("flipped and padded", padded),
            ("cut", good[..good.len() - 500_000].to_vec()),
            ("cut in the padding of its last file", good[..good.len() - 1300].to_vec()),
            ("no layers", no_layer),
            ("no manifest", crate::peer::tar_of(&made.files())),
            ("null manifest", crate::peer::tar_of(&[("manifest.json".to_owned(), b"null".to_vec())])),
            ("bad second tag", images([&name, "UPPER:case"])),
            ("one tag for two", images([&name, &name])),
            ("empty", Vec::new()),
            ("text", b"hello".repeat(1000)),
        ];
        for (case, bytes) in cases {
            let file = dir.path().join("broken.tar");
            std::fs::write(&file, bytes).unwrap();
            let problem = peer.source.curator().unwrap().import(&Ctx::default(), &file, &[]).await.expect_err(case);
            assert!(matches!(problem.kind, ProblemKind::Corrupt | ProblemKind::NotFound), "{case}: {problem:?}");
            assert_eq!(peer.holder(made.id.as_str()).await, None, "{case}: {problem}");
            assert_eq!(names(&peer, &prefix).await, Vec::<String>::new(), "{case}");
        }
        let file = dir.path().join("good.tar");
        std::fs::write(&file, good).unwrap();
        peer.source.curator().unwrap().import(&Ctx::default(), &file, &[]).await.unwrap();
        assert_eq!(peer.holder(&name).await, Some(made.id.clone()));
        peer.clear(&[&name], None).await;
    }
}

#[tokio::test]
async fn an_untagged_image_comes_and_goes() {
    for peer in peers("an_untagged_image_comes_and_goes") {
        let prefix = peer.prefix("untagged");
        let dir = tempfile::tempdir().unwrap();
        let made = Made::new(&prefix, 2);
        let file = dir.path().join("in.tar");
        std::fs::write(&file, made.archive(&[])).unwrap();
        let (ctx, curator) = (Ctx::default(), peer.source.curator().unwrap());
        assert_eq!(curator.preview_import(&ctx, &file).await.unwrap().untagged, 1);
        curator.import(&ctx, &file, &[]).await.unwrap();
        assert_eq!(peer.holder(made.id.as_str()).await, Some(made.id.clone()));
        let to = to(dir.path(), "out.tar", ArchiveFormat::Docker);
        peer.source.export(&ctx, &[ImageKey::Id(made.id.clone())], &to).await.unwrap();
        peer.clear(&[made.id.as_str()], None).await;
        curator.import(&ctx, &to.file, &[]).await.unwrap();
        assert_eq!(peer.holder(made.id.as_str()).await, Some(made.id.clone()));
        peer.clear(&[made.id.as_str()], None).await;
    }
}
