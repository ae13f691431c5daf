//! `copy` between any two places: registries, layouts, archives, the store and real engines. An image keeps its ID on every way, and its digest
//! wherever the formats allow; skopeo is the witness.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::process::Command;

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use fake::Fake;
use lighterman::model::{Digest, Platform};
use lighterman::source::oci::media;
use serde_json::{Value, json};

/// The image that goes round.
fn spec() -> ImageSpec {
    ImageSpec::new("app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/x", &[7; 5000])])
}

fn id(program: &Program, reference: &str) -> Value {
    let images = program.json(&["inspect", "--verify", reference]);
    let all = images.as_array().unwrap();
    assert_eq!(all.len(), 1, "{reference}: {images}");
    assert!(all[0]["layers"].as_array().unwrap().iter().all(|layer| layer["verified"] == true), "{reference}: {images}");
    all[0]["id"].clone()
}

/// Copies from each of `places` to each, `{}` in a place being a number of its own, and expects the ID everywhere.
fn every_pair(program: &Program, places: &[&str]) -> Vec<String> {
    std::fs::write(program.home().join("first.tar"), oci_archive(&[spec()], Pack::Gzip)).unwrap();
    let first = id(program, "oci-archive:first.tar");
    let mut made = Vec::new();
    let mut count = 0;
    let mut next = |place: &str| {
        count += 1;
        place.replace("{}", &count.to_string())
    };
    for from in places {
        let source = next(from);
        let copied = program.json(&["copy", "oci-archive:first.tar", &source]);
        assert!(copied["digest"].is_string(), "first.tar to {source}: {copied}");
        for to in places {
            let target = next(to);
            let copied = program.json(&["copy", &source, &target]);
            assert_eq!(copied.as_object().unwrap().len(), 3, "{copied}");
            assert_eq!(id(program, &target), first, "{source} to {target}");
            made.push(target);
        }
        // Neither another name for the way nor a file stays behind.
        let left = |folder: &str| {
            let entries = std::fs::read_dir(program.home().join(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).find(|name| name.contains("-copy-"))
        };
        assert_eq!((left("."), left(".cache/lighterman")), (None, None));
    }
    made
}

#[test]
fn without_an_engine_every_pair_is_copied() {
    let (registry, program) = (Fake::new(), Program::without_engine());
    let remote = format!("docker://{}/team/app:v{{}}", registry.host());
    every_pair(&program, &[&remote, "oci:layout{}:v1", "oci-archive:oci{}.tar", "docker-archive:docker{}.tar:app:2", "store:app:s{}"]);
    let tags: Vec<Value> =
        program.json(&["images"]).as_array().unwrap().iter().flat_map(|image| image["tags"].as_array().unwrap().clone()).collect();
    assert!(tags.iter().all(|tag| tag.as_str().unwrap().starts_with("docker.io/library/app:s")), "{tags:?}");
}

/// An index of two platforms and what is known about one of them, in a registry.
fn index(registry: &Fake) -> Digest {
    let blobs = |architecture: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_cksum();
        tar.append_data(&mut header, format!("etc/{architecture}"), &b"hello"[..]).unwrap();
        let layer = tar.into_inner().unwrap();
        let config =
            json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer)]}});
        (config.to_string().into_bytes(), layer)
    };
    let children = [Platform::host().architecture.as_str(), "riscv64"].map(|architecture| {
        let (config, layer) = blobs(architecture);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": {"mediaType": media::OCI_CONFIG, "digest": registry.blob("team/app", &config), "size": config.len()},
            "layers": [{"mediaType": media::OCI_LAYER, "digest": registry.blob("team/app", &layer), "size": layer.len()}]
        });
        let digest = registry.put("team/app", None, &manifest);
        json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": manifest.to_string().len(),
               "platform": {"os": "linux", "architecture": architecture}})
    });
    let note = registry.blob("team/app", b"{}");
    let attestation = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": {"mediaType": media::OCI_CONFIG, "digest": note, "size": 2},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": note, "size": 2}]
    });
    let about = json!({"mediaType": media::OCI_MANIFEST, "digest": registry.put("team/app", None, &attestation),
        "size": attestation.to_string().len(), "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": children[0]["digest"]}});
    let manifests = [&children[..], &[about]].concat();
    registry.put("team/app", Some("v1"), &json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests}))
}

#[test]
fn an_index_keeps_its_digest_and_all_its_platforms_on_every_way() {
    let (one, two) = (Fake::new(), Fake::new());
    let digest = json!(index(&one));
    let program = Program::without_engine();
    let (from, back) = (format!("docker://{}/team/app:v1", one.host()), format!("docker://{}/team/back", two.host()));
    let copy = |from: &str, to: &str| program.json(&["copy", from, to]);
    let count = |reference: &str| program.json(&["inspect", reference]).as_array().unwrap().len();
    assert_eq!(copy(&from, "oci-archive:a.tar")["digest"], digest);
    assert_eq!(count("oci-archive:a.tar"), 2);
    assert_eq!(copy("oci-archive:a.tar", "store:app:1")["digest"], digest);
    assert_eq!(copy("store:app:1", "oci:layout:v1")["digest"], digest);
    let again = copy("store:app:1", "oci:layout:v2");
    assert_eq!((&again["digest"], &again["bytes_transferred"]), (&digest, &json!(0)), "{again}");
    program.run(&["copy", "oci:layout:v1", "oci-archive:b.tar:v1"]).ended(0);
    assert_eq!(copy("store:app:1", &format!("{back}:store"))["digest"], digest, "with what is known about it");
    assert_eq!(copy("oci:layout:v1", &format!("{back}:layout"))["digest"], digest);
    assert_eq!(copy("oci-archive:a.tar", &format!("{back}:archive"))["digest"], digest);
    assert_eq!(copy("oci-archive:b.tar:v1", &format!("{back}:named"))["digest"], digest, "with what is known about it");
    // One platform has an index, or a digest, of its own.
    let wanted = ["--platform", "linux/riscv64"];
    let one_of = |from: &str, to: &str| program.json(&[&["copy", from, to][..], &wanted].concat());
    one_of(&from, "oci-archive:c.tar");
    assert_eq!(program.json(&["inspect", "oci-archive:c.tar"])[0]["platform"], "linux/riscv64");
    one_of("oci:layout:v1", "store:risc:1");
    one_of("oci:layout:v1", "docker-archive:d.tar:risc:2");
    assert_eq!(id(&program, "docker-archive:d.tar"), id(&program, "store:risc:1"));
    // A store that has one platform of an index gives what it has.
    program.run(&["pull", &format!("{}/team/app:v1", one.host())]).ended(0);
    assert_eq!(copy(&format!("store:{}/team/app:v1", one.host()), "oci:part:v1")["digest"], digest);
    program.run(&["copy", "oci:layout:v1", "store:risc:2", "--platform", "linux/mips"]).ended(1);
    program.run(&[&["copy", "oci:layout:v1", "store:x"][..], &wanted, &["--platform", "linux/amd64"]].concat()).ended(2);
}

#[test]
fn nothing_is_overwritten_that_was_not_meant() {
    let program = Program::without_engine();
    let archive = oci_archive(&[spec(), ImageSpec::new("other:1").layer(&[("a", b"b")])], Pack::None);
    std::fs::write(program.home().join("two.tar"), archive).unwrap();
    let many = program.run(&["copy", "oci-archive:two.tar", "store:x"]).ended(2);
    assert!(many.stderr.contains("several images") && many.stderr.contains("FILE:NAME"), "{}", many.stderr);
    program.run(&["copy", "oci-archive:two.tar:app:1", "store:x:1"]).ended(0);
    let before = id(&program, "store:x:1");
    // A copy is told where to go: what has the name gives it up, as with skopeo.
    program.run(&["copy", "oci-archive:two.tar:other:1", "store:x:1"]).ended(0);
    assert_ne!(id(&program, "store:x:1"), before);
    std::fs::write(program.home().join("there.tar"), "mine").unwrap();
    for from in ["store:x:1", "oci-archive:two.tar:app:1"] {
        for to in ["oci-archive:there.tar", "docker-archive:there.tar:y:1"] {
            program.run(&["copy", from, to]).ended(1);
        }
    }
    assert_eq!(std::fs::read(program.home().join("there.tar")).unwrap(), b"mine");
    program.run(&["copy", "store:x:1", &format!("store:x@{}", Digest::sha256(b""))]).ended(2);
    program.run(&["copy", "store:none", "oci:out"]).ended(1);
    assert!(program.run(&["--read-only", "copy", "oci-archive:two.tar:app:1", "store:x:2"]).ended(1).stderr.contains("read-only"));
}

/// What skopeo says the configuration of `reference` is.
fn witness(program: &Program, reference: &str) -> Option<Value> {
    let mut command = Command::new("skopeo");
    command.current_dir(program.home()).args(["inspect", "--raw", "--config", "--tls-verify=false", reference]);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{reference}: {}", String::from_utf8_lossy(&output.stderr));
    Some(json!(Digest::sha256(&output.stdout)))
}

fn round(engine: &str, registry: &str) {
    let program = Program::with_engine(engine);
    let unique = format!("copy{}", std::process::id());
    let remote = format!("docker://{registry}/{unique}/app:v{{}}");
    let daemon = format!("docker-daemon:localhost/{unique}:e{{}}");
    let made = every_pair(
        &program,
        &[&remote, "oci:layout{}:v1", "oci-archive:oci{}.tar", "docker-archive:docker{}.tar:app:2", "store:app:s{}", &daemon],
    );
    std::fs::write(program.home().join("first.tar"), oci_archive(&[spec()], Pack::Gzip)).unwrap();
    let first = id(&program, "oci-archive:first.tar");
    for reference in made.iter().filter(|made| !made.starts_with("store:") && !made.starts_with("docker-daemon:")) {
        // skopeo reads an archive of one image without its name.
        let reference = reference.strip_suffix(".tar:app:2").map_or_else(|| reference.clone(), |file| format!("{file}.tar"));
        assert!(witness(&program, &reference).is_none_or(|seen| seen == first), "{reference}");
    }
    for reference in made.iter().filter(|made| made.starts_with("docker-daemon:")) {
        program.run(&["delete", reference, "--yes"]);
    }
}

#[test]
fn with_docker_every_pair_is_copied() {
    let name = "with_docker_every_pair_is_copied";
    let (Some(engine), Some(registry)) = (common::docker(name), common::registry(name)) else { return };
    round(&engine, &registry);
}

#[test]
fn with_podman_every_pair_is_copied() {
    let name = "with_podman_every_pair_is_copied";
    let (Some(engine), Some(registry)) = (common::podman(name), common::registry(name)) else { return };
    round(&engine, &registry);
}

/// The name an image is pushed under is only for the way, however the push ends.
#[cfg(unix)]
#[test]
fn a_push_that_does_not_succeed_leaves_no_name_behind() {
    use std::process::Stdio;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    for stopped in [true, false] {
        let (asked, wait_for_push) = channel();
        let asked = Mutex::new(asked);
        let registry = Fake::bent(move |request, _| {
            if !matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
                return None;
            }
            let _ = asked.lock().unwrap().send(());
            Some(if stopped { scripted::Reply::Silent } else { scripted::Reply::status(403) })
        });
        let program = Program::without_engine();
        std::fs::write(program.home().join("in.tar"), oci_archive(&[spec()], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:in.tar", "store:app:1"]);
        let names = || -> Vec<Value> {
            program.json(&["images"]).as_array().unwrap().iter().flat_map(|image| image["tags"].as_array().unwrap().clone()).collect()
        };
        let before = names();
        let mut command = program.command(&["copy", "store:app:1", &format!("docker://{}/team/app:1", registry.host())]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_push.recv_timeout(Duration::from_secs(60)).unwrap();
        if stopped {
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        }
        let ran = common::program::Ran::from(child.wait_with_output().unwrap()).ended(if stopped { 130 } else { 1 });
        assert!(stopped || ran.stderr.contains("push"), "it says what went wrong first: {}", ran.stderr);
        assert_eq!(names(), before, "{stopped}: {}", ran.stderr);
    }
}
