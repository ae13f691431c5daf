//! `diff` by packages: every way in which images list them, from every kind of source, and what is said of lists that can't be read.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/elf.rs"]
mod elf;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::io::Write as _;

use common::images::{ImageSpec, Pack, build, docker_archive, oci_archive, oci_layout};
use common::program::Program;
use serde_json::{Value, json};

const RPMDB: &[u8] = include_bytes!("packages/rpmdb.sqlite");
const HASHED: &[u8] = include_bytes!("packages/Packages");

fn rust(version: &str) -> Vec<u8> {
    let told = json!({"packages": [{"name": "app", "version": version, "root": true}, {"name": "libc", "version": "0.2.150"}]});
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(told.to_string().as_bytes()).unwrap();
    // Sparse enough to be larger than what is read ahead.
    elf::elf(&[(".text", &vec![0x90; 300_000]), (".dep-v0", &packed.finish().unwrap())])
}

fn go(net: &str) -> Vec<u8> {
    let lines = format!("path\texample.com/app\nmod\texample.com/app\t(devel)\ndep\tgolang.org/x/net\t{net}\th1:x=\n");
    elf::elf(&[(".go.buildinfo", &elf::go_info("go1.22.1", &lines))])
}

/// An image with a list of every kind, each but that of RPM in this version.
fn image(name: &str, version: &str, rpm: (&str, &[u8])) -> ImageSpec {
    let deb = format!("Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}-1\nSource: shell\n");
    let apk = format!("P:musl\nV:{version}-r0\nA:x86_64\n\n");
    let wheel = format!("Metadata-Version: 2.1\nName: Requests\nVersion: {version}\n\nBody\n");
    let module = json!({"name": "@acme/left", "version": version}).to_string();
    let nested = json!({"name": "not-installed", "version": "9"}).to_string();
    ImageSpec::new(name)
        .layer(&[("etc/motd", b"hello"), ("var/lib/dpkg/status", b"Package: old\nStatus: install ok installed\nVersion: 0\n")])
        .layer(&[
            ("var/lib/dpkg/status", deb.as_bytes()),
            ("lib/apk/db/installed", apk.as_bytes()),
            ("usr/bin/goer", &go(&format!("v{version}"))),
            (rpm.0, rpm.1),
        ])
        .layer(&[
            ("usr/lib/python3/site-packages/requests-1.dist-info/METADATA", wheel.as_bytes()),
            ("app/node_modules/@acme/left/package.json", module.as_bytes()),
            ("app/node_modules/@acme/left/test/package.json", nested.as_bytes()),
            ("usr/bin/ruster", &rust(version)),
            ("usr/share/ruster", &rust("7.7.7")),
        ])
        .program("usr/bin/goer")
        .program("usr/bin/ruster")
}

/// What `diff` says of the two: a row each, as `[type, name, before, after]`.
fn rows(found: &Value) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = found["packages"].as_array().unwrap();
    for row in rows {
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["after", "before", "name", "type"]);
    }
    rows.iter().map(|row| [text(&row["type"]), text(&row["name"]), text(&row["before"]), text(&row["after"])]).collect()
}

fn wanted() -> Vec<[String; 4]> {
    [
        ["apk", "musl", "1.0-r0", "1.1-r0"],
        ["cargo", "app", "1.0", "1.1"],
        ["deb", "bash", "1.0-1", "1.1-1"],
        ["golang", "golang.org/x/net", "v1.0", "v1.1"],
        ["npm", "@acme/left", "1.0", "1.1"],
        ["pypi", "Requests", "1.0", "1.1"],
    ]
    .map(|row| row.map(str::to_owned))
    .to_vec()
}

fn write(program: &Program, name: &str, bytes: &[u8]) {
    std::fs::write(program.home().join(name), bytes).unwrap();
}

#[test]
fn packages_of_every_kind_are_compared() {
    let program = Program::without_engine();
    // The same packages of RPM in two of its databases.
    let one = image("acme/app:1", "1.0", ("var/lib/rpm/Packages", HASHED));
    let two = image("acme/app:2", "1.1", ("usr/lib/sysimage/rpm/rpmdb.sqlite", RPMDB));
    oci_layout(&program.home().join("one"), std::slice::from_ref(&one), Pack::Gzip);
    write(&program, "two.tar", &oci_archive(std::slice::from_ref(&two), Pack::Zstd));
    assert_eq!(rows(&program.json(&["diff", "oci:one", "oci-archive:two.tar"])), wanted());
    assert_eq!(rows(&program.json(&["diff", "oci:one", "oci:one"])), [[""; 4]; 0]);
    write(&program, "one.docker.tar", &docker_archive(&[one]));
    write(&program, "two.docker.tar", &docker_archive(&[two]));
    assert_eq!(rows(&program.json(&["diff", "docker-archive:one.docker.tar", "docker-archive:two.docker.tar"])), wanted());
    let text = program.run(&["diff", "oci:one", "oci-archive:two.tar"]).ended(0).stdout;
    let line = text.lines().find(|line| line.contains("Requests")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["Requests", "pypi", "1.0", "1.1"]);
}

#[test]
fn all_packages_of_an_image_are_new_beside_one_that_has_none() {
    let program = Program::without_engine();
    let bare = ImageSpec::new("acme/bare:1").layer(&[("etc/motd", b"hello")]);
    oci_layout(&program.home().join("bare"), std::slice::from_ref(&bare), Pack::Gzip);
    oci_layout(&program.home().join("full"), &[image("acme/app:1", "1.0", ("var/lib/rpm/Packages", HASHED))], Pack::Gzip);
    let all = rows(&program.json(&["diff", "oci:bare", "oci:full"]));
    let of = |kind: &str| all.iter().filter(|row| row[0] == kind && row[2] == "-").count();
    let found: Vec<usize> = ["apk", "cargo", "deb", "golang", "npm", "pypi", "rpm"].into_iter().map(of).collect();
    assert_eq!((found, all.len()), (vec![1, 2, 1, 3, 1, 1, 24], 33));
    let none = program.json(&["diff", "oci:bare", "oci:bare"]);
    assert_eq!(none["packages"], Value::Null, "where nothing lists packages, nothing is known of them");
}

#[test]
fn lists_that_cannot_be_read_are_named_and_the_others_are_compared() {
    let program = Program::without_engine();
    let of = |rpm: &[u8], npm: &[u8]| {
        ImageSpec::new("acme/app:1").layer(&[
            ("var/lib/rpm/Packages", rpm),
            ("node_modules/bad/package.json", npm),
            ("node_modules/good/package.json", br#"{"name": "good", "version": "1"}"#),
        ])
    };
    oci_layout(&program.home().join("one"), &[of(b"no database", b"{")], Pack::Gzip);
    oci_layout(&program.home().join("two"), &[of(HASHED, br#"{"name": "bad", "version": "2"}"#)], Pack::Gzip);
    let ran = program.run(&["diff", "oci:one", "oci:two", "--json"]).ended(3);
    let found = rows(&ran.document());
    assert_eq!((found.len(), found[0][1].as_str()), (25, "bad"));
    for told in ["var/lib/rpm/Packages", "node_modules/bad/package.json"] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
}

/// Layers that both images have are fetched once, to be listed and for their packages.
#[test]
fn packages_of_shared_layers_are_read_once() {
    let registry = fake::Fake::new();
    let base = ("var/lib/dpkg/status", &b"Package: bash\nStatus: install ok installed\nVersion: 5\n"[..]);
    for (tag, version) in [("1", "1.0"), ("2", "2.0")] {
        let module = json!({"name": "left", "version": version}).to_string();
        let spec = ImageSpec::new("acme/app").layer(&[base]).layer(&[("node_modules/left/package.json", module.as_bytes())]);
        let built = build(&spec, Pack::Gzip);
        for blob in built.layers.iter().map(|layer| &layer.stored).chain([&built.config]) {
            registry.blob("acme/app", blob);
        }
        registry.put_bytes("acme/app", Some(tag), "application/vnd.oci.image.manifest.v1+json", built.manifest);
    }
    let program = Program::without_engine();
    let at = |tag: &str| format!("docker://{}/acme/app:{tag}", registry.host());
    let wanted = ["npm", "left", "1.0", "2.0"].map(str::to_owned);
    assert_eq!(rows(&program.json(&["diff", &at("1"), &at("2")])), [wanted]);
    let shared = build(&ImageSpec::new("acme/app").layer(&[base]), Pack::Gzip).layers[0].digest.clone();
    assert_eq!(registry.count("GET", shared.as_str()), 1);
}

#[test]
fn packages_come_out_of_engines_and_registries_alike() {
    let test = "packages_come_out_of_engines_and_registries_alike";
    let name = "localhost/acme/packages:1";
    let spec = image(name, "1.0", ("var/lib/rpm/Packages", HASHED));
    let other = image("acme/app:2", "1.1", ("var/lib/rpm/Packages", HASHED));
    let prepared = |program: &Program| {
        write(program, "one.tar", &docker_archive(std::slice::from_ref(&spec)));
        oci_layout(&program.home().join("two"), std::slice::from_ref(&other), Pack::Zstd);
    };
    if let Some(host) = common::registry(test) {
        let program = Program::without_engine();
        prepared(&program);
        let there = format!("docker://{host}/packages/sample-{}:1", std::process::id());
        program.run(&["copy", "docker-archive:one.tar", &there]).ended(0);
        assert_eq!(rows(&program.json(&["diff", &there, "oci:two"])), wanted());
    }
    for host in [common::docker(test), common::podman(test)].into_iter().flatten() {
        let program = Program::with_engine(&host);
        prepared(&program);
        program.run(&["import", "one.tar", "--yes"]).ended(0);
        assert_eq!(rows(&program.json(&["diff", name, "oci:two"])), wanted(), "{host}");
        program.run(&["delete", name, "--yes"]).ended(0);
    }
}
