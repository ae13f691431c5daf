//! The bytes a plan says it frees, held against what registries, engines and the store really lose.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::Program;
use fake::Fake;
use lighterman::model::Digest;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One request by hand; status and body.
fn asked(mut wire: impl Read + Write, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {MANIFEST}\r\nAccept: {INDEX}\r\nContent-Type: {INDEX}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    wire.write_all(head.as_bytes()).unwrap();
    wire.write_all(body).unwrap();
    let mut answer = Vec::new();
    wire.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn at(host: &str) -> TcpStream {
    TcpStream::connect(host).unwrap()
}

/// Blobs and manifests below the tags of a repository with their bytes, by reading every raw manifest.
fn held(host: &str, repository: &str) -> BTreeMap<String, u64> {
    let (_, list) = asked(at(host), "GET", &format!("/v2/{repository}/tags/list"), b"");
    let list: Value = serde_json::from_slice(&list).unwrap();
    let mut open: Vec<String> = list["tags"].as_array().into_iter().flatten().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    let mut held = BTreeMap::new();
    while let Some(target) = open.pop() {
        let (status, bytes) = asked(at(host), "GET", &format!("/v2/{repository}/manifests/{target}"), b"");
        assert_eq!(status, 200, "{target}");
        held.insert(Digest::sha256(&bytes).to_string(), bytes.len() as u64);
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        open.extend(manifest["manifests"].as_array().into_iter().flatten().map(|child| child["digest"].as_str().unwrap().to_owned()));
        for blob in std::iter::once(&manifest["config"]).chain(manifest["layers"].as_array().into_iter().flatten()) {
            if let Some(digest) = blob["digest"].as_str() {
                held.insert(digest.to_owned(), blob["size"].as_u64().unwrap());
            }
        }
    }
    held
}

/// What all lines of a plan free, each figure being exact.
fn freed(plan: &Value) -> u64 {
    let lines = plan["operations"].as_array().unwrap();
    lines
        .iter()
        .filter_map(|line| line["freed"].as_object())
        .map(|freed| {
            assert_eq!(freed["at_least"], freed["at_most"], "{plan:#}");
            freed["at_most"].as_u64().unwrap()
        })
        .sum()
}

/// A layer that does not shrink.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|n| Digest::sha256(format!("{seed}{n}").as_bytes()).hex().as_bytes().to_vec()).take(length).collect()
}

/// Tags that share layers in several ways, and an index; every set of them is said to free what is then gone.
fn a_repository_is_weighed(host: &str, repository: &str) {
    let program = Program::without_engine();
    let name = |tag: &str| format!("docker://{host}/{repository}:{tag}");
    let (base, middle) = (noise("base", 40_000), noise("middle", 9_000));
    for (tag, with_middle) in [("a", true), ("b", true), ("c", false), ("part", false)] {
        let mut spec = ImageSpec::new(&format!("freed/{tag}:1")).layer(&[("base", &base)]);
        if with_middle {
            spec = spec.layer(&[("middle", &middle)]);
        }
        let spec = spec.layer(&[("own", &noise(tag, 3_000))]);
        std::fs::write(program.home().join("a.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.json(&["copy", "oci-archive:a.tar", &name(tag)]);
    }
    let entry = |tag: &str| {
        let (_, bytes) = asked(at(host), "GET", &format!("/v2/{repository}/manifests/{tag}"), b"");
        json!({"mediaType": MANIFEST, "digest": Digest::sha256(&bytes), "size": bytes.len(), "platform": {"os": "linux", "architecture": tag}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry("a"), entry("part")]}).to_string();
    assert_eq!(asked(at(host), "PUT", &format!("/v2/{repository}/manifests/multi"), index.as_bytes()).0, 201);
    program.json(&["tag", &name("b"), &name("b-too")]);
    for tags in [
        &["a"][..],
        &["b"],
        &["b", "b-too"],
        &["multi"],
        &["a", "multi"],
        &["a", "part", "multi"],
        &["a", "b", "b-too", "c", "part", "multi"],
    ] {
        let names: Vec<String> = tags.iter().map(|tag| name(tag)).collect();
        let before = held(host, repository);
        let mut args = vec!["plan", "delete", "-o", "p"];
        args.extend(names.iter().map(String::as_str));
        let plan = program.json(&args);
        let applied = program.json(&["apply", "p", "--yes"]);
        assert_eq!(applied["done"], tags.len(), "{applied:#}");
        let after = held(host, repository);
        let lost: u64 = before.iter().filter(|(digest, _)| !after.contains_key(*digest)).map(|(_, size)| size).sum();
        assert_eq!(freed(&plan), lost, "{tags:?}: {plan:#}");
        program.json(&["undo"]);
        assert_eq!(held(host, repository), before);
    }
    // For a person.
    std::fs::remove_file(program.home().join("p")).unwrap();
    let ran = program.run(&["plan", "delete", &name("b"), &name("b-too")]).ended(0);
    assert!(ran.stdout.contains("; frees ") && ran.stderr.contains(&format!(" of {host}/{repository}")), "{ran:?}");
    let alone = program.run(&["plan", "delete", &name("b")]).ended(0);
    assert!(!alone.stdout.contains("frees") && !alone.stderr.contains("frees"), "{alone:?}");
}

#[test]
fn a_plan_frees_what_no_manifest_holds_that_stays() {
    a_repository_is_weighed(&Fake::new().host(), "team/freed");
}

#[test]
fn a_real_registry_is_left_without_what_a_plan_frees() {
    let Some(host) = common::registry("a_real_registry_is_left_without_what_a_plan_frees") else { return };
    a_repository_is_weighed(&host, "freed/app");
}

#[test]
fn a_manifest_that_can_not_be_read_makes_a_figure_rough_and_stops_no_plan() {
    let registry = Fake::bent(|request, state| {
        let hidden = state.tags.get(&("team/app".to_owned(), "odd".to_owned()))?;
        (request.method == "GET" && request.path.ends_with(hidden.as_str())).then(|| scripted::Reply::status(500))
    });
    for tag in ["one", "two", "odd"] {
        registry.image("team/app", Some(tag), "amd64", tag);
    }
    let program = Program::without_engine();
    let name = format!("docker://{}/team/app:one", registry.host());
    let plan = program.json(&["plan", "delete", &name]);
    let freed = &plan["operations"][0]["freed"];
    assert_eq!((&freed["at_least"], &freed["basis"]), (&json!(0), &json!("2 of 3 manifests")));
    assert!(freed["at_most"].as_u64().unwrap() > 100, "{plan:#}");
    let ran = program.run(&["plan", "delete", &name]).ended(0);
    assert!(ran.stderr.contains("frees at most ") && ran.stderr.contains("based on 2 of 3 manifests"), "{}", ran.stderr);
    // What was read is read once: the second look asked for the odd one alone.
    let read = |requests: usize| registry.count("GET", "/manifests/sha256:") - requests;
    let before = read(0);
    program.json(&["plan", "delete", &name]);
    assert!(read(before) <= 6, "{}", read(before));
}

#[test]
fn a_repository_of_very_many_tags_is_not_read_for_a_figure() {
    let registry = Fake::new();
    for n in 0..1_100 {
        registry.image("team/app", Some(&format!("build-{n}")), "amd64", &n.to_string());
    }
    let program = Program::without_engine();
    let plan = program.json(&["plan", "delete", &format!("docker://{}/team/app:build-1099", registry.host())]);
    let freed = &plan["operations"][0]["freed"];
    assert_eq!((&freed["basis"], &freed["at_least"]), (&json!("1000 of 1100 manifests"), &json!(0)));
    assert!(freed["at_most"].as_u64().unwrap() > 100, "what goes was read first");
    assert!(registry.count("GET", "/manifests/sha256:") <= 1_001);
}

/// Bytes of all layers that an engine has, by its own count.
fn layers_size(host: &str) -> u64 {
    let wire = UnixStream::connect(host.strip_prefix("unix://").unwrap()).unwrap();
    let (_, usage) = asked(wire, "GET", "/system/df", b"");
    serde_json::from_slice::<Value>(&usage).unwrap()["LayersSize"].as_u64().unwrap()
}

#[test]
fn an_engine_loses_the_bytes_that_a_plan_says() {
    let Some(host) = common::docker("an_engine_loses_the_bytes_that_a_plan_says") else { return };
    let program = Program::with_engine(&host);
    let (base, other) = (noise("engine base", 50_000), noise("engine other", 20_000));
    let spec = |name: &str, base: &[u8]| {
        ImageSpec::new(&format!("freed-engine/{name}:1"))
            .layer(&[("base", base)])
            .layer(&[("shared", b"the same files elsewhere")])
            .layer(&[("own", &noise(name, 4_000))])
    };
    let specs = [spec("a", &base), spec("b", &base), spec("c", &base), spec("d", &other)];
    std::fs::write(program.home().join("in.tar"), docker_archive(&specs)).unwrap();
    for names in [&["a"][..], &["a", "b"], &["a", "b", "d"], &["a", "b", "c", "d"]] {
        program.json(&["import", "in.tar"]);
        let names: Vec<String> = names.iter().map(|name| format!("freed-engine/{name}:1")).collect();
        let mut args = vec!["plan", "delete", "-o", "p"];
        args.extend(names.iter().map(String::as_str));
        let plan = program.json(&args);
        let before = layers_size(&host);
        let applied = program.json(&["apply", "p", "--yes"]);
        assert_eq!(applied["done"], names.len(), "{applied:#}");
        assert_eq!(freed(&plan), before - layers_size(&host), "{names:?}: {plan:#}");
        assert!(freed(&plan) >= 4_000 * names.len() as u64);
    }
    // Names alone, and images whose layers are in use elsewhere: nothing.
    program.json(&["import", "in.tar"]);
    program.json(&["tag", "freed-engine/a:1", "freed-engine/a:2"]);
    let before = layers_size(&host);
    let plan = program.json(&["plan", "delete", "freed-engine/a:2", "-o", "p"]);
    program.json(&["apply", "p", "--yes"]);
    assert_eq!((freed(&plan), layers_size(&host)), (0, before));
    // Without tags, as a prune takes them.
    let names = ["a", "b", "c", "d"].map(|name| format!("freed-engine/{name}:1"));
    let mut args = vec!["delete", "--yes"];
    args.extend(names.iter().map(String::as_str));
    program.json(&args);
}

/// Podman does not say how much all its layers take, so the figure is held against what went into them.
#[test]
fn podman_s_layers_are_weighed_too() {
    let Some(host) = common::podman("podman_s_layers_are_weighed_too") else { return };
    let program = Program::with_engine(&host);
    let base = noise("podman base", 50_000);
    let spec = |name: &str| {
        ImageSpec::new(&format!("localhost/freed-podman/{name}:1")).layer(&[("base", &base)]).layer(&[("own", &noise(name, 4_000))])
    };
    std::fs::write(program.home().join("in.tar"), docker_archive(&[spec("a"), spec("b")])).unwrap();
    program.json(&["import", "in.tar"]);
    let names = ["a", "b"].map(|name| format!("localhost/freed-podman/{name}:1"));
    let one = freed(&program.json(&["plan", "delete", &names[0]]));
    let both = freed(&program.json(&["plan", "delete", &names[0], &names[1]]));
    assert!((4_000..20_000).contains(&one) && (58_000..90_000).contains(&both), "{one} {both}");
    program.json(&["delete", "--yes", &names[0], &names[1]]);
}

#[test]
fn the_store_loses_the_bytes_that_a_plan_says() {
    let program = Program::without_engine();
    let base = noise("store base", 50_000);
    let spec =
        |name: &str| ImageSpec::new(&format!("freed-store/{name}:1")).layer(&[("base", &base)]).layer(&[("own", &noise(name, 4_000))]);
    std::fs::write(program.home().join("in.tar"), docker_archive(&[spec("a"), spec("b"), spec("c")])).unwrap();
    program.json(&["import", "in.tar"]);
    let blobs = || -> u64 {
        let mut open = vec![program.home().to_owned()];
        let mut sum = 0;
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => open.push(entry.path()),
                    _ if entry.path().parent().unwrap().ends_with("blobs/sha256")
                        && !entry.path().to_str().unwrap().contains("journal") =>
                    {
                        sum += entry.metadata().unwrap().len();
                    }
                    _ => {}
                }
            }
        }
        sum
    };
    for names in [&["a"][..], &["b", "c"]] {
        let names: Vec<String> = names.iter().map(|name| format!("freed-store/{name}:1")).collect();
        let mut args = vec!["plan", "delete", "-o", "p"];
        args.extend(names.iter().map(String::as_str));
        let plan = program.json(&args);
        let before = blobs();
        program.json(&["apply", "p", "--yes"]);
        assert_eq!(freed(&plan), before - blobs(), "{plan:#}");
        assert!(freed(&plan) > 4_000 * names.len() as u64);
    }
}
