//! The command line's registry commands: their documents and exit codes against a registry in memory, and the same against a real one
//! beside what skopeo says.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::process::Command;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive};
use common::program::{Program, assert_tame};
use fake::{Deletes, Fake};
use lighterman::model::Platform;
use scripted::{Reply, Server};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn repositories_and_tags_are_listed_as_promised() {
    let registry = Fake::new();
    let digest = registry.image("team/app", Some("v1"), "arm64", "one");
    registry.image("library/base", Some("latest"), "amd64", "two");
    let (program, host) = (Program::without_engine(), registry.host());
    assert_eq!(program.json(&["repos", &host]), json!(["library/base", "team/app"]));
    assert_eq!(program.run(&["repos", &host]).ended(0).stdout, "library/base\nteam/app\n");
    let bare = json!({"tag": "v1", "digest": null, "media_type": null, "size": null, "created": null, "platforms": null});
    registry.forget();
    assert_eq!(program.json(&["tags", &format!("{host}/team/app")]), json!({"complete": true, "tags": [bare]}));
    assert_eq!(registry.server.seen().len(), 1, "one request a page");
    let all = program.json(&["tags", &format!("docker://{host}/team/app"), "--details"]);
    assert_eq!(keys(&all["tags"][0]), ["created", "digest", "media_type", "platforms", "size", "tag"]);
    assert_eq!(
        all["tags"][0],
        json!({"tag": "v1", "digest": digest, "media_type": "application/vnd.oci.image.manifest.v1+json", "size": 9,
               "created": "2025-05-05T05:05:05Z", "platforms": ["linux/arm64"]})
    );
    registry.forget();
    assert_eq!(program.json(&["tags", &format!("{host}/team/app"), "--details"]), all);
    assert_eq!((registry.count("HEAD", ""), registry.count("GET", "manifests"), registry.count("GET", "blobs")), (1, 0, 0), "cached");
    let table = program.run(&["tags", &format!("{host}/team/app"), "--details"]).ended(0).stdout;
    assert!(table.starts_with("TAG") && table.contains("linux/arm64"), "{table}");
    program.run(&["tags", &format!("{host}/team/app:v1")]).ended(2);
    program.run(&["tags", &format!("{host}/none"), "--details"]).ended(0);
}

#[test]
fn a_list_that_may_not_be_whole_is_told_by_document_and_exit_code() {
    let server = Server::new(|_| {
        Reply::body(json!({"tags": ["v1", "\u{1b}[31mred", null]}).to_string()).with("Link", "<https://elsewhere.example/>; rel=\"next\"")
    });
    let program = Program::without_engine();
    let ran = program.run(&["tags", &format!("{}/team/app", server.host()), "--json"]).ended(3);
    assert_eq!(ran.document()["complete"], false);
    assert_eq!(ran.document()["tags"].as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("may not be complete") && ran.stderr.contains("left out 2"), "{}", ran.stderr);
    assert_tame(&ran.stderr);
}

#[test]
fn what_a_registry_still_gives_is_said_when_asked_to_say_more() {
    let architecture = Platform::host().architecture;
    let registry = Fake::bent(|request, state| {
        let limited = request.path.contains("/manifests/").then(|| state.answer(request));
        limited.map(|reply| reply.with("RateLimit-Limit", "100;w=21600").with("RateLimit-Remaining", "\t7;w=21600"))
    });
    registry.image("team/app", Some("v1"), &architecture, "one");
    let (program, at) = (Program::without_engine(), format!("{}/team/app:v1", registry.host()));
    let said = format!("{}: 7 of 100 requests left, counted over 6 h\n", registry.host());
    for args in [&["pull", &at][..], &["inspect", &format!("docker://{at}")]] {
        assert!(!program.run(args).ended(0).stderr.contains("requests left"));
        let ran = program.run(&[args, &["--verbose"]].concat()).ended(0);
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
}

#[test]
fn a_registry_without_a_catalog_is_named_with_what_to_do() {
    let server = Server::new(|_| Reply::status(404));
    let ran = Program::without_engine().run(&["repos", &server.host()]).ended(1);
    assert!(ran.stderr.contains("does not list its repositories") && ran.stderr.contains("name the repository"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn tags_are_moved_within_a_registry_without_a_blob() {
    let registry = Fake::new();
    let digest = registry.image("team/app", Some("v1"), "amd64", "one");
    let host = registry.host();
    let at = |rest: &str| format!("docker://{host}/{rest}");
    let program = Program::without_engine();
    assert_eq!(program.json(&["tag", &at("team/app:v1"), &at("team/app:v2"), &at("team/app:latest")]), json!({"digest": digest}));
    assert_eq!(registry.tag("team/app", "latest"), Some(digest.clone()));
    assert_eq!(registry.count("", "/blobs/"), 0);
    program.json(&["tag", &at(&format!("team/app@{digest}")), &at("other/app:v1")]);
    assert_eq!(registry.tag("other/app", "v1"), Some(digest));
    assert_eq!(registry.count("GET", "/blobs/"), 0, "mounted, not sent");
    program.run(&["tag", &at("team/app:none"), &at("team/app:x")]).ended(1);
    program.run(&["tag", &at("team/app:v1"), "docker://localhost:1/team/app:x"]).ended(2);
    let locked = program.run(&["--read-only", "tag", &at("team/app:v1"), &at("team/app:x")]).ended(1);
    assert!(locked.stderr.contains("read-only"), "{}", locked.stderr);
}

#[test]
fn a_shared_digest_is_kept_unless_all_tags_are_meant() {
    let registry = Fake::new();
    registry.state.lock().unwrap().deletes = Deletes::DigestOnly;
    let digest = registry.image("team/app", Some("a"), "amd64", "one");
    for tag in ["b", "c"] {
        registry.state.lock().unwrap().tags.insert(("team/app".into(), tag.into()), digest.clone());
    }
    let host = registry.host();
    let at = |tag: &str| format!("docker://{host}/team/app:{tag}");
    let program = Program::without_engine();
    let asked = program.run(&["delete", &at("a")]).ended(2);
    assert!(asked.stderr.contains("--yes") && asked.stderr.contains(digest.short()), "{}", asked.stderr);
    let kept = program.run(&["delete", &at("a"), "--yes", "--json"]).ended(3);
    let document = kept.document();
    assert_eq!(document["removed"], json!([]));
    assert_eq!(keys(&document["kept"][0]), ["digest", "reference", "why"]);
    assert_eq!(document["kept"][0]["reference"], format!("{host}/team/app:a"));
    assert!(document["kept"][0]["why"].as_str().unwrap().contains("b, c"), "{document}");
    assert!(kept.stderr.contains("--all-tags"), "{}", kept.stderr);
    let one = program.json(&["delete", &at("a"), "--tag-only", "--yes"]);
    assert_eq!(one, json!({"removed": [{"reference": format!("{host}/team/app:a"), "digest": digest}], "kept": []}));
    assert_eq!(registry.tags("team/app"), ["b", "c"]);
    let all = program.json(&["delete", &at("b"), "--all-tags", "--yes"]);
    assert_eq!(all["removed"].as_array().unwrap().len(), 2, "{all}");
    assert!(registry.tags("team/app").is_empty());
    program.run(&["delete", &at("b"), "--yes"]).ended(1);
    program.run(&["delete", &at("b"), "app:1", "--yes"]).ended(2);
}

#[test]
fn images_are_copied_between_registries_files_and_the_store() {
    let (one, two) = (Fake::new(), Fake::new());
    let architecture = Platform::host().architecture;
    let children = [one.image("team/app", None, &architecture, "a"), one.image("team/app", None, "riscv64", "b")];
    let index = one.index("team/app", Some("v1"), &[(&children[0], &architecture), (&children[1], "riscv64")]);
    let (host, there) = (one.host(), two.host());
    let from = format!("docker://{host}/team/app:v1");
    let program = Program::without_engine();
    let moved = program.json(&["copy", &from, &format!("docker://{there}/team/app:v1")]);
    assert_eq!(keys(&moved), ["bytes_skipped", "bytes_transferred", "digest"]);
    assert_eq!(moved["digest"], json!(index));
    let again = program.json(&["copy", &from, &format!("docker://{there}/team/app:v1")]);
    assert_eq!((&again["bytes_transferred"], &again["bytes_skipped"]), (&json!(0), &moved["bytes_transferred"]));

    let layout = program.json(&["copy", &from, "oci:out:v1"]);
    assert_eq!(layout["digest"], json!(index));
    assert_eq!(program.json(&["copy", &from, "oci:out:v1"])["bytes_transferred"], 0, "what is there is not fetched again");
    program.run(&["copy", &from, "oci:out:again"]).ended(0);
    let back = program.json(&["copy", "oci:out:v1", &format!("docker://{there}/back/app:v1")]);
    assert_eq!(back["digest"], json!(index), "the same bytes come back");
    assert!(two.has("back/app", &children[1]));
    std::fs::create_dir(program.home().join("taken")).unwrap();
    std::fs::write(program.home().join("taken/file"), "x").unwrap();
    program.run(&["copy", &from, "oci:taken"]).ended(1);

    // Layers that say they are tars and are none can't be unpacked, but they are copied all the same.
    program.run(&["copy", &from, "docker-archive:made.tar", "--referrers"]).ended(2);
    assert_eq!(program.json(&["copy", "oci:out:v1", "oci:other"])["digest"], json!(index));
    assert_eq!(program.json(&["copy", "oci:out:v1", "store:x"])["digest"], json!(index));
}

#[test]
fn archives_and_the_store_go_in_and_out_of_a_registry() {
    let registry = Fake::new();
    let host = registry.host();
    let program = Program::without_engine();
    let spec = ImageSpec::new("app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/x", &[7; 5000])]);
    std::fs::write(program.home().join("a.tar"), docker_archive(std::slice::from_ref(&spec))).unwrap();
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
    let docker = program.json(&["copy", "docker-archive:a.tar", &format!("docker://{host}/team/docker:1")]);
    assert_eq!(json!(registry.tag("team/docker", "1")), docker["digest"]);
    let oci = program.json(&["copy", "oci-archive:a.oci.tar", &format!("docker://{host}/team/oci:1")]);
    let id = |reference: &str| program.json(&["inspect", reference])[0]["id"].clone();
    assert_eq!(id(&format!("docker://{host}/team/docker:1")), id("docker-archive:a.tar"));
    for (out, transport) in [("b.oci.tar", "oci-archive"), ("b.tar", "docker-archive")] {
        let out = format!("{transport}:{out}");
        program.run(&["copy", &format!("docker://{host}/team/oci:1"), &out]).ended(0);
        let verified = program.json(&["inspect", "--verify", &out]);
        assert!(verified[0]["layers"].as_array().unwrap().iter().all(|layer| layer["verified"] == true), "{verified}");
    }
    let left: Vec<_> = std::fs::read_dir(program.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("copy-")), "{left:?}");
    // Into the store under another name, and out of it again.
    program.run(&["copy", &format!("docker://{host}/team/oci:1"), "store:mine:2"]).ended(0);
    let tags: Vec<Value> =
        program.json(&["images"]).as_array().unwrap().iter().flat_map(|image| image["tags"].as_array().unwrap().clone()).collect();
    assert_eq!(tags, [json!("docker.io/library/mine:2")], "the name it came with was for the way only");
    let pushed = program.json(&["copy", "store:mine:2", &format!("docker://{host}/team/pushed:1")]);
    assert_eq!(pushed["digest"], oci["digest"]);
    assert_eq!(program.json(&["images"]).as_array().unwrap().len(), 1);
}

/// What another program prints, or `None` where it isn't installed.
fn other(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_real_registry_says_the_same_to_skopeo() {
    let Some(host) = common::registry("a_real_registry_says_the_same_to_skopeo") else { return };
    let program = Program::without_engine();
    let repo = format!("{host}/cli-{}/app", std::process::id());
    let at = |tag: &str| format!("docker://{repo}:{tag}");
    let spec = ImageSpec::new("app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/x", &vec![7; 50_000])]);
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
    let sent = program.json(&["copy", "oci-archive:a.oci.tar", &at("v1")]);
    assert!(sent["bytes_transferred"].as_u64().unwrap() > 300, "{sent}");
    program.run(&["tag", &at("v1"), &at("v2"), &at("v3")]).ended(0);
    let mut tags: Vec<String> = program.run(&["tags", &repo]).ended(0).stdout.lines().map(str::to_owned).collect();
    tags.sort();
    assert_eq!(tags, ["v1", "v2", "v3"]);
    let raw = other("skopeo", &["inspect", "--tls-verify=false", "--raw", &at("v3")]).unwrap();
    assert_eq!(json!(lighterman::model::Digest::sha256(raw.as_bytes())), sent["digest"]);
    let theirs: Value =
        serde_json::from_str(&other("skopeo", &["list-tags", "--tls-verify=false", &format!("docker://{repo}")]).unwrap()).unwrap();
    assert_eq!(theirs["Tags"].as_array().unwrap().len(), 3);
    let details = program.json(&["tags", &repo, "--details"]);
    let theirs: Value = serde_json::from_str(&other("skopeo", &["inspect", "--tls-verify=false", &at("v1")]).unwrap()).unwrap();
    assert_eq!(details["tags"][0]["digest"], theirs["Digest"]);
    assert_eq!(
        details["tags"][0]["platforms"][0],
        format!("{}/{}", theirs["Os"].as_str().unwrap(), theirs["Architecture"].as_str().unwrap())
    );

    let copied = program.json(&["copy", &at("v1"), &format!("docker://{repo}-copy:v1")]);
    assert_eq!((&copied["digest"], &copied["bytes_transferred"]), (&sent["digest"], &json!(0)), "mounted");
    program.run(&["copy", &at("v1"), "oci:layout:v1"]).ended(0);
    let layout = format!("oci:{}:v1", program.home().join("layout").display());
    let theirs = other("skopeo", &["inspect", "--raw", &layout]).unwrap();
    assert_eq!(json!(lighterman::model::Digest::sha256(theirs.as_bytes())), sent["digest"]);

    // Debian's registry deletes manifests only.
    let kept = program.run(&["delete", &at("v1"), "--yes", "--json"]).ended(3).document();
    assert!(kept["kept"][0]["why"].as_str().unwrap().contains("v2, v3"), "{kept}");
    program.run(&["delete", &at("v1"), "--tag-only", "--yes"]).ended(0);
    assert_eq!(program.json(&["tags", &repo])["tags"].as_array().unwrap().len(), 2);
    let gone = program.json(&["delete", &at("v2"), "--all-tags", "--yes"]);
    assert_eq!(gone["removed"].as_array().unwrap().len(), 2, "{gone}");
    assert_eq!(program.json(&["tags", &repo]), json!({"complete": true, "tags": []}));
    assert!(program.json(&["repos", &host]).as_array().unwrap().iter().any(|name| repo.ends_with(name.as_str().unwrap())));
}
