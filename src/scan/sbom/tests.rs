use serde_json::Value;

use super::*;
use crate::model::LayerInfo;
use crate::model::package::{Distribution, PackageKind, PackagePlace, SkippedList};

fn inventory() -> Inventory {
    let mut found = Inventory::default();
    let mut put = |kind, name: &str, version: &str, layer| {
        let package = Package { kind, name: name.into(), version: version.into(), architecture: "".into() };
        let place = PackagePlace { layer, path: format!("srv/{name}").as_str().into() };
        found.packages.insert(package, Installed { source: None, places: vec![place] });
    };
    put(PackageKind::Npm, "left", "1.0.0", 0);
    put(PackageKind::Pypi, "Acme_Tools", "2.0", 1);
    put(PackageKind::Pypi, "acme-tools", "2.0", 1);
    put(PackageKind::Deb, "bad\u{1b}[31m\u{202e}", "1:1.0", 0);
    found.distribution = Some(Distribution { id: "debian".into(), version: "12".into(), ..Distribution::default() });
    found
}

fn image() -> Image {
    let layer = |(index, bytes): (usize, &[u8; 3])| LayerInfo {
        index,
        digest: None,
        diff_id: Some(Digest::sha256(bytes)),
        size: None,
        uncompressed_size: None,
        media_type: None,
        compression: None,
        created_by: None,
        verified: None,
        contents: None,
    };
    Image {
        id: Digest::sha256(b"config"),
        manifest_digest: Some(Digest::sha256(b"manifest")),
        media_type: None,
        tags: Vec::new(),
        repo_digests: Vec::new(),
        created: Some("2026-01-02T03:04:05.678Z".parse().unwrap()),
        platform: Some("linux/amd64".parse().unwrap()),
        size: None,
        unique_size: None,
        containers: None,
        config: None,
        layers: Some([b"one", b"two"].into_iter().enumerate().map(layer).collect()),
        history: None,
        base: None,
    }
}

fn read(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

#[test]
fn documents_are_the_same_for_the_same_and_name_every_package_once() {
    let (inventory, image) = (inventory(), image());
    let subject = Subject { name: "acme/app:1", image: &image };
    for write in [cyclonedx, spdx] {
        let text = write(&inventory, &subject);
        assert_eq!(text, write(&inventory, &subject));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        assert_ne!(text, write(&inventory, &Subject { name: "acme/app:2", ..subject }));
    }
    let bom = read(&cyclonedx(&inventory, &subject));
    let references: HashSet<&str> = bom["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(references.len(), 5, "the system and four packages, two of which have one package URL");
    assert_eq!(bom["dependencies"][0]["dependsOn"].as_array().unwrap().len(), 5);
    assert!(bom["components"].as_array().unwrap().iter().any(|one| one["name"] == "bad\u{1b}[31m\u{202e}"));
    let layers: Vec<&Value> =
        bom["components"].as_array().unwrap().iter().filter_map(|one| one["properties"].as_array()).flatten().collect();
    assert!(layers.iter().any(|one| one["value"] == Digest::sha256(b"two").as_str()), "{layers:?}");
    let list = read(&spdx(&inventory, &subject));
    assert_eq!(list["creationInfo"]["created"], "2026-01-02T03:04:05Z");
    assert_eq!(list["packages"][0]["checksums"][0]["checksumValue"], Digest::sha256(b"manifest").hex());
    let ids: HashSet<&str> = list["packages"].as_array().unwrap().iter().map(|one| one["SPDXID"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), list["relationships"].as_array().unwrap().len()), (6, 6));
}

#[test]
fn what_could_not_be_read_is_said() {
    let (mut inventory, image) = (inventory(), image());
    let subject = Subject { name: "acme/app:1", image: &image };
    assert_eq!(read(&cyclonedx(&inventory, &subject))["compositions"][0]["aggregate"], "unknown");
    inventory.skipped = vec![SkippedList { place: PackagePlace { layer: 0, path: "x".into() }, why: "it is cut".into() }];
    inventory.skipped_count = 1;
    assert_eq!(read(&cyclonedx(&inventory, &subject))["compositions"][0]["aggregate"], "incomplete");
    assert!(read(&spdx(&inventory, &subject))["creationInfo"]["comment"].as_str().unwrap().starts_with("1 files"));
}
