//! `files` and `ci`: the same tree from every kind of source, numbers that were counted by hand, and what is wrong said while the rest is shown.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::io::Read as _;
use std::process::Command;

use common::images::{ImageSpec, Pack, build, oci_layout, tar};
use common::program::{Program, assert_tame};
use fake::Fake;
use lighterman::model::Digest;
use serde_json::{Value, json};

/// What a layer's tar is made of.
enum Part<'a> {
    Dir(&'a str, u32),
    File(&'a str, u32, &'a [u8]),
    Symlink(&'a str, &'a str),
    Hardlink(&'a str, &'a str),
    Fifo(&'a str),
}

fn layer(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(1_700_000_000);
        header.set_mode(0o644);
        let mut put = |kind: tar::EntryType, path: &str, link: &str, bytes: &[u8]| {
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            if link.is_empty() {
                out.append_data(&mut header, path, bytes).unwrap();
            } else {
                out.append_link(&mut header, path, link).unwrap();
            }
        };
        match *part {
            Part::Dir(path, mode) | Part::File(path, mode, _) => {
                let mut header = tar::Header::new_gnu();
                header.set_mtime(1_700_000_000);
                header.set_mode(mode);
                let bytes = if let Part::File(_, _, bytes) = *part { bytes } else { &[] };
                let is_dir = matches!(part, Part::Dir(..));
                header.set_entry_type(if is_dir { tar::EntryType::Directory } else { tar::EntryType::Regular });
                header.set_size(bytes.len() as u64);
                out.append_data(&mut header, path, bytes).unwrap();
            }
            Part::Symlink(path, to) => put(tar::EntryType::Symlink, path, to, &[]),
            Part::Hardlink(path, to) => put(tar::EntryType::Link, path, to, &[]),
            Part::Fifo(path) => put(tar::EntryType::Fifo, path, "", &[]),
        }
    }
    out.into_inner().unwrap()
}

/// The name that every engine takes as it is.
const NAME: &str = "localhost/acme/tree:1";

/// A docker-archive of these layers under that name.
fn archive(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::sha256(layer)).collect();
    let history: Vec<Value> = diff_ids.iter().map(|_| json!({"created": "2026-01-02T03:04:05Z", "created_by": "COPY"})).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history})
    .to_string()
    .into_bytes();
    let mut files: Vec<(String, Vec<u8>)> =
        layers.iter().zip(&diff_ids).map(|(layer, id)| (format!("{}/layer.tar", id.hex()), layer.clone())).collect();
    let paths: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
    let name = format!("{}.json", Digest::sha256(&config).hex());
    let listed = json!([{"Config": name, "RepoTags": [NAME], "Layers": paths}]);
    files.extend([(name, config), ("manifest.json".to_owned(), listed.to_string().into_bytes())]);
    tar(&files)
}

/// Overwritten, removed, hidden by an opaque directory, linked and linked to.
fn sample() -> Vec<u8> {
    archive(&[
        layer(&[
            Part::Dir("etc/", 0o755),
            Part::File("etc/motd", 0o644, b"hello"),
            Part::File("etc/passwd", 0o600, b"root"),
            Part::Symlink("etc/issue", "motd"),
            Part::File("var/lib/data/one", 0o644, &[1; 1000]),
            Part::File("var/lib/data/two", 0o644, &[2; 2000]),
            Part::File("tool", 0o4755, &[3; 300]),
            Part::Hardlink("tool.old", "tool"),
        ]),
        layer(&[
            Part::File("etc/motd", 0o644, b"good evening"),
            Part::File("etc/.wh.passwd", 0o644, b""),
            Part::File("var/lib/data/.wh..wh..opq", 0o644, b""),
            Part::File("var/lib/data/three", 0o644, &[4; 30]),
            Part::Fifo("run"),
        ]),
        layer(&[Part::File("tool", 0o755, &[3; 300]), Part::File(".wh.tool.old", 0o644, b"")]),
    ])
}

fn row(path: &str, kind: &str, size: u64, mode: Option<&str>, link: Option<&str>, layer: usize, change: Option<&str>) -> Value {
    json!({"path": path, "kind": kind, "size": size, "mode": mode, "link": link, "layer": layer, "change": change})
}

fn merged() -> Value {
    json!([
        row("etc", "dir", 0, Some("0755"), None, 0, None),
        row("etc/issue", "symlink", 0, Some("0644"), Some("motd"), 0, None),
        row("etc/motd", "file", 12, Some("0644"), None, 1, None),
        row("run", "fifo", 0, Some("0644"), None, 1, None),
        row("tool", "file", 300, Some("0755"), None, 2, None),
        row("var", "dir", 0, None, None, 0, None),
        row("var/lib", "dir", 0, None, None, 0, None),
        row("var/lib/data", "dir", 0, None, None, 0, None),
        row("var/lib/data/three", "file", 30, Some("0644"), None, 1, None),
    ])
}

fn second() -> Value {
    json!([
        row("etc/motd", "file", 12, Some("0644"), None, 1, Some("modified")),
        row("etc/passwd", "file", 4, Some("0600"), None, 1, Some("removed")),
        row("run", "fifo", 0, Some("0644"), None, 1, Some("added")),
        row("var/lib/data/one", "file", 1000, Some("0644"), None, 1, Some("removed")),
        row("var/lib/data/three", "file", 30, Some("0644"), None, 1, Some("added")),
        row("var/lib/data/two", "file", 2000, Some("0644"), None, 1, Some("removed")),
    ])
}

fn shows(program: &Program, reference: &str) {
    assert_eq!(program.json(&["files", reference]), merged(), "{reference}");
    assert_eq!(program.json(&["files", reference, "--layer", "1"]), second(), "{reference}");
    let first = program.json(&["files", reference, "--layer", "0"]);
    assert!(first.as_array().unwrap().iter().all(|row| row["change"] == "added" && row["layer"] == 0), "{reference}: {first}");
    let link = first.as_array().unwrap().iter().find(|row| row["path"] == "tool.old").unwrap();
    assert_eq!((&link["kind"], &link["link"]), (&json!("hardlink"), &json!("tool")), "{reference}");
    let third = program.json(&["files", reference, "--layer", "2"]);
    let told: Vec<_> =
        third.as_array().unwrap().iter().map(|row| (row["path"].as_str().unwrap(), row["change"].as_str().unwrap())).collect();
    assert_eq!(told, [("tool", "modified"), ("tool.old", "removed")], "{reference}");
    let ran = program.run(&["files", reference, "--layer", "3"]).ended(2);
    assert!(ran.stderr.contains("0 to 2"), "{}", ran.stderr);
}

fn write(program: &Program, name: &str, bytes: &[u8]) -> String {
    let path = program.home().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn files_of_archives_layouts_and_the_store_are_the_same() {
    let program = Program::without_engine();
    let file = write(&program, "image.tar", &sample());
    let archived = format!("docker-archive:{file}");
    shows(&program, &archived);
    for to in ["oci:layout", "oci-archive:image.oci.tar"] {
        program.run(&["copy", &archived, to]).ended(0);
        shows(&program, to);
    }
    program.run(&["import", &file]).ended(0);
    shows(&program, NAME);
    let table = program.run(&["files", NAME, "--layer", "1"]).ended(0).stdout;
    let line = |path: &str| table.lines().find(|line| line.ends_with(path)).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line("etc/motd"), ["~", "-0644", "12", "B", "1", "etc/motd"]);
    assert_eq!(line("etc/passwd"), ["-", "-0600", "4", "B", "1", "etc/passwd"]);
    let table = program.run(&["files", NAME]).ended(0).stdout;
    assert!(table.contains("etc/issue -> motd") && table.contains("var/lib/"), "{table}");
}

#[test]
fn files_of_a_registry_are_the_same() {
    let Some(host) = common::registry("files_of_a_registry_are_the_same") else { return };
    let program = Program::without_engine();
    let file = write(&program, "image.tar", &sample());
    let there = format!("docker://{host}/files/tree-{}:1", std::process::id());
    program.run(&["copy", &format!("docker-archive:{file}"), &there]).ended(0);
    shows(&program, &there);
}

fn of_engine(host: &str) {
    let program = Program::with_engine(host);
    let file = write(&program, "image.tar", &sample());
    program.run(&["import", &file, "--yes"]).ended(0);
    shows(&program, NAME);
    // From what is kept, and without it.
    shows(&program, NAME);
    std::fs::remove_dir_all(program.home().join(".cache")).unwrap();
    shows(&program, NAME);
    program.run(&["delete", NAME, "--yes"]).ended(0);
}

#[test]
fn files_of_docker_are_the_same() {
    let Some(host) = common::docker("files_of_docker_are_the_same") else { return };
    of_engine(&host);
}

#[test]
fn files_of_podman_are_the_same() {
    let Some(host) = common::podman("files_of_podman_are_the_same") else { return };
    of_engine(&host);
}

/// Of a registry's image only the layers that are needed are fetched, and nothing of them is left on the disk but what is known of them.
#[test]
fn only_the_layers_that_are_needed_are_fetched() {
    let registry = Fake::new();
    let spec = ImageSpec::new("acme/app:1").layer(&[("a", &vec![1; 70_000])]).layer(&[("b", &vec![2; 70_000])]);
    let built = build(&spec, Pack::Gzip);
    for blob in built.layers.iter().map(|layer| &layer.stored).chain([&built.config]) {
        registry.blob("acme/app", blob);
    }
    registry.put_bytes("acme/app", Some("1"), "application/vnd.oci.image.manifest.v1+json", built.manifest.clone());
    let program = Program::without_engine();
    let there = format!("docker://{}/acme/app:1", registry.host());
    let rows = program.json(&["files", &there, "--layer", "0"]);
    assert_eq!(rows, json!([row("a", "file", 70_000, Some("0644"), None, 0, Some("added"))]));
    let fetched = |layer: usize| registry.count("GET", built.layers[layer].digest.as_str());
    assert_eq!((fetched(0), fetched(1)), (1, 0));
    let all = program.json(&["files", &there]);
    assert_eq!((fetched(0), fetched(1)), (1, 1), "what was read once is known");
    registry.forget();
    assert_eq!(program.json(&["files", &there]), all);
    assert_eq!((fetched(0), fetched(1)), (0, 0));
    // What is kept and damaged is read again.
    let kept = program.home().join(".cache/lighterman/layers");
    for entry in std::fs::read_dir(&kept).unwrap() {
        std::fs::write(entry.unwrap().path(), b"damaged").unwrap();
    }
    assert_eq!(program.json(&["files", &there]), all);
    assert_eq!((fetched(0), fetched(1)), (1, 1));
}

#[test]
fn the_platform_that_is_asked_for_is_shown() {
    let program = Program::without_engine();
    let dir = program.home().join("layout");
    let of = |architecture: &str| ImageSpec::new("acme/app:1").architecture(architecture).layer(&[(architecture, b"x")]);
    oci_layout(&dir, &[of("amd64"), of("arm64")], Pack::Gzip);
    for architecture in ["amd64", "arm64"] {
        let rows = program.json(&["files", "oci:layout", "--platform", &format!("linux/{architecture}")]);
        assert_eq!(rows[0]["path"], architecture);
    }
    let ran = program.run(&["files", "oci:layout", "--platform", "linux/s390x"]).ended(1);
    assert!(ran.stderr.contains("linux/arm64"), "{}", ran.stderr);
}

#[test]
fn a_layer_that_is_cut_is_told_and_the_rest_is_shown() {
    let program = Program::without_engine();
    let dir = program.home().join("layout");
    let spec = ImageSpec::new("acme/app:1").layer(&[("a", b"x")]).layer(&[("first", b"y"), ("second", &vec![7; 50_000])]);
    oci_layout(&dir, std::slice::from_ref(&spec), Pack::None);
    let digest = build(&spec, Pack::None).layers[1].digest.clone();
    let blob = dir.join("blobs/sha256").join(digest.hex());
    let mut bytes = Vec::new();
    std::fs::File::open(&blob).unwrap().take(20_000).read_to_end(&mut bytes).unwrap();
    std::fs::write(&blob, bytes).unwrap();
    // A layout's own check of sizes is passed by: the file is as long as it should be, but not what it should be.
    let whole = std::fs::OpenOptions::new().write(true).open(&blob).unwrap();
    whole.set_len(build(&spec, Pack::None).layers[1].stored.len() as u64).unwrap();
    let ran = program.run(&["files", "oci:layout", "--json"]).ended(3);
    let rows = ran.document();
    let paths: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"a") && paths.contains(&"first"), "{paths:?}");
    assert!(ran.stderr.contains(digest.short()), "{}", ran.stderr);
    let ran = program.run(&["ci", "oci:layout", "--json"]).ended(1);
    assert_eq!(ran.stdout, "", "a part says nothing of the whole");
    assert!(ran.stderr.contains(digest.short()), "{}", ran.stderr);
}

/// By hand. `dive`'s efficiency: a path's least size over its layers, by all its sizes. Wasted: what a later layer hides.
#[test]
fn the_score_is_counted_as_dive_counts_it_and_waste_by_what_is_hidden() {
    let program = Program::without_engine();
    let image = archive(&[
        layer(&[Part::File("a", 0o644, &[1; 1000]), Part::File("b", 0o644, &[1; 1000]), Part::File("c", 0o644, &[2; 2000])]),
        layer(&[Part::File("a", 0o644, &[3; 500]), Part::File(".wh.b", 0o644, b"")]),
    ]);
    let reference = format!("docker-archive:{}", write(&program, "image.tar", &image));
    let score = |args: &[&str], code: i32| {
        let ran = program.run(&[&["ci", &reference, "--json"], args].concat()).ended(code);
        let said = ran.document();
        assert_eq!(said["pass"], code == 0);
        assert_eq!(said.as_object().unwrap().keys().collect::<Vec<_>>(), ["efficiency", "pass", "wasted_bytes"]);
        (said["efficiency"].as_f64().unwrap(), said["wasted_bytes"].as_u64().unwrap())
    };
    let (efficiency, wasted) = score(&[], 1);
    assert!((efficiency - 2500.0 / 4500.0).abs() < 1e-12, "{efficiency}");
    assert_eq!(wasted, 2000);
    for (args, code) in [
        (&["--min-efficiency", "0.5"][..], 0),
        (&["--min-efficiency", "0.56"], 1),
        (&["--max-wasted", "2000"], 0),
        (&["--max-wasted", "1.9kB"], 1),
        (&["--min-efficiency", "0.5", "--max-wasted", "3kB"], 0),
        (&["--min-efficiency", "0.95", "--max-wasted", "3kB"], 1),
    ] {
        score(args, code);
    }
    for bad in [&["--min-efficiency", "1.5"][..], &["--min-efficiency", "much"], &["--max-wasted", "-1"]] {
        program.run(&[&["ci", &reference], bad].concat()).ended(2);
    }
    let text = program.run(&["ci", &reference, "--max-wasted", "1kB"]).ended(1).stdout;
    assert!(text.contains("FAILS") && text.contains("2.00 kB") && text.lines().any(|line| line.ends_with(" a")), "{text}");
    let clean = format!("docker-archive:{}", write(&program, "clean.tar", &archive(&[layer(&[Part::File("a", 0o644, b"x")])])));
    let said = program.json(&["ci", &clean]);
    assert_eq!((&said["efficiency"], &said["wasted_bytes"]), (&json!(1.0), &json!(0)));
}

#[test]
fn hostile_names_are_shown_and_command_nothing() {
    let program = Program::without_engine();
    let names = ["a\u{1b}[31mred", "line\nbreak", "\u{202e}txt.exe"];
    let files = |body: &'static [u8]| layer(&names.map(|name| Part::File(name, 0o644, body)));
    let image = archive(&[files(b"x"), files(b"y")]);
    let reference = format!("docker-archive:{}", write(&program, "image.tar", &image));
    for args in [&["files", &reference][..], &["files", &reference, "--json"], &["ci", &reference]] {
        let ran = program.run(args);
        assert_tame(&ran.stdout);
        assert_tame(&ran.stderr);
    }
    let rows = program.json(&["files", &reference]);
    let mut told: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect();
    told.sort_unstable();
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(told, names);
}

const STATUS: &[u8] = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n";
const NEWER: &[u8] = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-2\n";

#[test]
fn two_images_are_compared_wherever_they_are() {
    let program = Program::without_engine();
    let base = ("etc/motd", &b"hello"[..]);
    let one = ImageSpec::new("acme/app:1")
        .layer(&[base])
        .layer(&[("var/lib/dpkg/status", STATUS), ("a", b"1"), ("gone", b"x")])
        .label("tier", "web");
    let two = ImageSpec::new("acme/app:2").layer(&[base]).layer(&[("var/lib/dpkg/status", NEWER), ("a", b"22"), ("new", b"y")]);
    let file = write(&program, "one.tar", &common::images::docker_archive(&[one]));
    oci_layout(&program.home().join("two"), &[two], Pack::Zstd);
    program.run(&["import", &file]).ended(0);
    let found = program.json(&["diff", "acme/app:1", "oci:two"]);
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["config", "files", "findings", "layers", "packages"]);
    assert_eq!(found["config"], json!([{"field": "labels.tier", "before": "web", "after": null}]));
    let layers: Vec<&str> = found["layers"].as_array().unwrap().iter().map(|layer| layer["change"].as_str().unwrap()).collect();
    assert_eq!(layers, ["shared", "removed", "added"]);
    let rows = found["files"].as_array().unwrap();
    let files: Vec<_> = rows.iter().map(|row| (row["path"].as_str().unwrap(), row["change"].as_str().unwrap())).collect();
    assert_eq!(files, [("a", "modified"), ("gone", "removed"), ("new", "added"), ("var/lib/dpkg/status", "modified")]);
    assert_eq!((&rows[0]["before"]["size"], &rows[0]["after"]["size"], &rows[2]["before"]), (&json!(1), &json!(2), &Value::Null));
    assert_eq!(found["packages"], json!([{"name": "bash", "type": "deb", "before": "5.2-1", "after": "5.2-2"}]));
    // The same is wrong with both.
    assert_eq!(found["findings"], json!([]));
    let text = program.run(&["diff", "acme/app:1", "oci:two"]).ended(0).stdout;
    assert!(text.contains("5.2-2") && text.contains("labels.tier") && text.lines().any(|line| line.ends_with(" gone")), "{text}");
    let report = program.run(&["diff", "acme/app:1", "oci:two", "--markdown"]).ended(0).stdout;
    assert!(report.starts_with("# acme/app:1 and oci:two\n") && report.contains("| bash | deb | 5.2-1 | 5.2-2 |"), "{report}");
    let same = program.json(&["diff", "acme/app:1", &format!("docker-archive:{file}")]);
    assert_eq!((&same["config"], &same["files"], &same["packages"]), (&json!([]), &json!([]), &json!([])));
}

/// The second opinion, where it can be asked: what stands for python in a user's home may not do so elsewhere.
fn python() -> Option<&'static str> {
    let works = |python: &&str| Command::new(python).arg("--version").output().is_ok_and(|out| out.status.success());
    let found = ["python3", "/usr/bin/python3"].into_iter().find(works);
    assert!(found.is_some() || std::env::var("CI").as_deref() != Ok("true"), "python3 is needed");
    found
}

fn oracle(python: &str, args: &[&str]) -> Vec<u8> {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/layers.py");
    let out = Command::new(python).arg(script).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Layers that contradict each other in every way there is, worked out a second time in another language.
#[test]
fn a_second_opinion_agrees_with_what_is_printed() {
    let Some(python) = python() else { return };
    let program = Program::without_engine();
    let made = program.home().join("made");
    oracle(python, &["make", made.to_str().unwrap(), "6"]);
    let all: Value = serde_json::from_slice(&oracle(python, &["tell", made.to_str().unwrap()])).unwrap();
    for seed in 0..6 {
        let theirs = &all[seed.to_string()];
        let mut paths: Vec<_> = std::fs::read_dir(made.join(seed.to_string())).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let layers: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        let archived = format!("docker-archive:{}", write(&program, &format!("{seed}.tar"), &archive(&layers)));
        let layout = format!("oci:layout-{seed}");
        program.run(&["copy", &archived, &layout]).ended(0);
        for reference in [archived.as_str(), &layout] {
            let rows = program.json(&["files", reference]);
            let all = rows.as_array().unwrap();
            assert_eq!(all.len(), theirs["tree"].as_object().unwrap().len(), "seed {seed}");
            for row in all {
                let wanted = &theirs["tree"][row["path"].as_str().unwrap()];
                // A directory that no layer tells of.
                let ours = if wanted.is_null() { json!([row["kind"]]) } else { json!([row["layer"], row["kind"], row["size"]]) };
                assert_eq!(ours, if wanted.is_null() { json!(["dir"]) } else { wanted.clone() }, "seed {seed}: {row}");
            }
            for layer in 0..layers.len() {
                let rows = program.json(&["files", reference, "--layer", &layer.to_string()]);
                let ours: serde_json::Map<String, Value> =
                    rows.as_array().unwrap().iter().map(|row| (row["path"].as_str().unwrap().to_owned(), row["change"].clone())).collect();
                let mut wanted = theirs["layers"][layer]["changes"].as_object().unwrap().clone();
                // Written again just as it was.
                wanted.values_mut().filter(|change| **change == "repeated").for_each(|change| *change = json!("modified"));
                assert_eq!(ours, wanted, "seed {seed}, layer {layer}");
            }
            let said = program.run(&["ci", reference, "--json"]).document();
            let wasted: u64 = theirs["wasted"]
                .as_object()
                .unwrap()
                .values()
                .map(|path| path["overwritten"].as_u64().unwrap() + path["removed"].as_u64().unwrap())
                .sum();
            assert_eq!(said["wasted_bytes"], wasted, "seed {seed}");
            let (least, total) = (&theirs["efficiency"]["least"], &theirs["efficiency"]["total"]);
            let score = if *total == 0 { 1.0 } else { least.as_f64().unwrap() / total.as_f64().unwrap() };
            assert!((said["efficiency"].as_f64().unwrap() - score).abs() < 1e-12, "seed {seed}: {said}");
        }
    }
}
