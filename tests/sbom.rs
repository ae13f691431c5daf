//! `sbom`: both documents list exactly the packages of an image.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::images::{ImageSpec, Pack, docker_archive, oci_layout};
use common::program::{Program, assert_tame};
use serde_json::Value;

const WHEEL: &[u8] = b"Metadata-Version: 2.1\nName: Requests\nVersion: 2.31.0\n\nBody\n";
const STATUS: &[u8] = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n\n\
    Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nSource: glibc\n\n\
    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";

fn image() -> ImageSpec {
    ImageSpec::new("acme/app:1")
        .layer(&[("var/lib/dpkg/status", STATUS), ("node_modules/left/package.json", br#"{"name": "left", "version": "0.9"}"#)])
        .layer(&[
            ("usr/lib/python3/requests-2.31.0.dist-info/METADATA", WHEEL),
            ("node_modules/left/package.json", br#"{"name": "left", "version": "1.0"}"#),
        ])
}

const PLANTED: [&str; 4] = [
    "pkg:deb/bash@5.2-1?arch=amd64",
    "pkg:deb/libc6@2.36-9?arch=amd64&upstream=glibc%402.36-9",
    "pkg:npm/left@1.0",
    "pkg:pypi/requests@2.31.0",
];

fn sorted<'a>(found: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut found: Vec<String> = found.map(|one| one.as_str().unwrap().to_owned()).collect();
    found.sort();
    found
}

#[test]
fn both_documents_list_exactly_what_was_planted() {
    let program = Program::without_engine();
    oci_layout(&program.home().join("one"), &[image()], Pack::Gzip);
    let ran = program.run(&["sbom", "oci:one"]).ended(0);
    let bom = ran.document();
    assert_eq!((bom["bomFormat"].as_str(), bom["specVersion"].as_str()), (Some("CycloneDX"), Some("1.6")));
    let components = bom["components"].as_array().unwrap();
    assert_eq!(sorted(components.iter().map(|one| &one["purl"])), PLANTED);
    assert_eq!(bom["metadata"]["component"]["type"], "container");
    let left = components.iter().find(|one| one["name"] == "left").unwrap();
    assert_eq!(left["evidence"]["occurrences"][0]["location"], "node_modules/left/package.json");
    let told = |name: &str| left["properties"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["value"].clone();
    assert_eq!(told("lighterman:layer:index"), "1");
    let built = common::images::build(&image(), Pack::Gzip);
    assert_eq!(told("lighterman:layer:diff_id"), built.layers[1].diff_id.as_str());
    assert_eq!(program.run(&["sbom", "oci:one"]).ended(0).stdout, ran.stdout, "the same for the same");

    let list = program.run(&["sbom", "oci:one", "--format", "spdx"]).ended(0).document();
    assert_eq!(list["spdxVersion"], "SPDX-2.3");
    let packages = list["packages"].as_array().unwrap();
    let purls = packages.iter().filter(|one| one["SPDXID"] != "SPDXRef-Image").map(|one| &one["externalRefs"][0]["referenceLocator"]);
    assert_eq!(sorted(purls), PLANTED);
    assert_eq!(list["creationInfo"]["created"], "2026-01-02T03:04:05Z");
    assert_eq!(list["relationships"].as_array().unwrap().len(), 5);
    program.run(&["sbom", "oci:one", "--format", "other"]).ended(2);
}

#[test]
fn an_archive_lists_the_same_and_what_cannot_be_read_is_said() {
    let program = Program::without_engine();
    std::fs::write(program.home().join("one.tar"), docker_archive(&[image()])).unwrap();
    let bom = program.json(&["sbom", "docker-archive:one.tar"]);
    assert_eq!(sorted(bom["components"].as_array().unwrap().iter().map(|one| &one["purl"])), PLANTED);
    let broken = image().layer(&[
        ("node_modules/bad\u{1b}[31m/package.json", b"{"),
        ("node_modules/odd/package.json", br#"{"name": "o\u001b[2J", "version": "1"}"#),
    ]);
    std::fs::write(program.home().join("two.tar"), docker_archive(&[broken])).unwrap();
    let ran = program.run(&["sbom", "docker-archive:two.tar"]).ended(3);
    assert!(ran.stderr.contains("package.json"), "{}", ran.stderr);
    assert_tame(&ran.stdout);
    assert_tame(&ran.stderr);
    let bom = ran.document();
    assert_eq!((bom["components"].as_array().unwrap().len(), &bom["compositions"][0]["aggregate"]), (5, &"incomplete".into()));
}
