//! Debian's registry in three ways (open, with a password behind TLS of a private authority, with tokens), and what its death does to a
//! copy. skopeo is the witness.
#![allow(clippy::allow_attributes, unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests measure time and start servers")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;
#[path = "common/registries.rs"]
mod registries;
#[path = "common/scripted.rs"]
mod scripted;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::Program;
use lighterman::model::Digest;
use registries::{LOGIN, Registry, login};
use serde_json::json;

/// A program whose home has these registry settings and the login.
fn program(registry: &Registry, settings: &str) -> Program {
    let program = Program::without_engine();
    let config = program.home().join(".config/lighterman");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), format!("[registries.\"{}\"]\n{settings}", registry.host())).unwrap();
    std::fs::create_dir_all(program.home().join(".docker")).unwrap();
    login(&program.home().join(".docker"), &registry.host());
    program
}

fn image(program: &Program) -> String {
    let spec = ImageSpec::new("app:1").layer(&[("etc/motd", b"hello")]).layer(&[("bin/x", &vec![7; 3_000_000])]);
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::None)).unwrap();
    "oci-archive:a.oci.tar".to_owned()
}

fn skopeo(program: &Program, args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).env("HOME", program.home()).output().unwrap();
    assert!(output.status.success(), "skopeo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that is done in a registry, as `anna`.
fn round(program: &Program, registry: &Registry, verify: &[&str]) {
    let at = |rest: &str| format!("docker://{}/{rest}", registry.host());
    let sent = program.json(&["copy", &image(program), &at("team/app:v1")]);
    let digest = sent["digest"].as_str().unwrap().to_owned();
    program.run(&["tag", &at("team/app:v1"), &at("team/app:v2")]).ended(0);
    assert_eq!(program.json(&["repos", &registry.host()]), json!(["team/app"]));
    let details = program.json(&["tags", &at("team/app"), "--details"]);
    assert_eq!(details["tags"].as_array().unwrap().len(), 2);
    assert_eq!(details["tags"][0]["digest"], digest.as_str());
    let raw = skopeo(program, &[&["inspect", "--raw", "--creds", LOGIN], verify, &[&at("team/app:v2")]].concat());
    assert_eq!(Digest::sha256(raw.as_bytes()).to_string(), digest);
    let mounted = program.json(&["copy", &at("team/app:v1"), &at("other/app:v1")]);
    assert_eq!((mounted["digest"].as_str(), mounted["bytes_transferred"].as_u64()), (Some(digest.as_str()), Some(0)));
    program.run(&["copy", &at("team/app:v1"), "oci:out:v1"]).ended(0);
    program.run(&["pull", &at("team/app:v1")]).ended(0);
    program.run(&["delete", &at("team/app:v1"), "--yes"]).ended(3);
    program.run(&["delete", &at("team/app:v1"), "--tag-only", "--yes"]).ended(0);
    assert_eq!(program.run(&["tags", &at("team/app")]).ended(0).stdout, "v2\n");
    program.run(&["delete", &at("team/app:v2"), "--all-tags", "--yes"]).ended(0);
    assert_eq!(program.run(&["tags", &at("team/app")]).ended(0).stdout, "");
    assert_eq!(program.run(&["tags", &at("other/app")]).ended(0).stdout, "v1\n");
}

#[test]
fn an_open_registry_does_every_verb() {
    let Some(binary) = common::require("an_open_registry_does_every_verb", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = Registry::open(&binary);
    round(&program(&registry, ""), &registry, &["--tls-verify=false"]);
}

#[test]
fn a_registry_behind_tls_of_a_private_authority_does_every_verb() {
    let test = "a_registry_behind_tls_of_a_private_authority_does_every_verb";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = Registry::guarded(&binary);
    let with_ca = program(&registry, &format!("ca = {:?}\n", registry.ca()));
    round(&with_ca, &registry, &["--cert-dir", registry.dir.path().join("none").to_str().unwrap(), "--tls-verify=false"]);
    // Without the authority it is not trusted, with another one neither, and with a wrong password nothing is done.
    let at = format!("{}/other/app", registry.host());
    let other = Registry::guarded(&binary);
    let foreign = program(&registry, &format!("ca = {:?}\n", other.ca()));
    let ran = foreign.run(&["tags", &at]).ended(1);
    assert!(ran.stderr.contains("certificate") && ran.stderr.contains("not trusted"), "{}", ran.stderr);
    let missing = program(&registry, "ca = \"/nowhere/ca.pem\"\n").run(&["tags", &at]).ended(1);
    assert!(missing.stderr.contains("/nowhere/ca.pem"), "{}", missing.stderr);
    let stranger = Program::without_engine();
    let config = format!("[registries.{:?}]\nca = {:?}\n", registry.host(), registry.ca());
    std::fs::create_dir_all(stranger.home().join(".config/lighterman")).unwrap();
    std::fs::write(stranger.home().join(".config/lighterman/config.toml"), config).unwrap();
    let ran = stranger.run(&["tags", &at]).ended(1);
    assert!(ran.stderr.contains("docker login"), "{}", ran.stderr);
    // Plain HTTP on a TLS port is told apart.
    let plain = program(&registry, "").run(&["tags", &at]).ended(1);
    assert!(plain.stderr.contains("400") || plain.stderr.contains("HTTP"), "{}", plain.stderr);
}

#[test]
fn certificates_that_do_not_fit_are_refused_and_ours_is_shown() {
    let test = "certificates_that_do_not_fit_are_refused_and_ours_is_shown";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let elsewhere = Registry::behind_tls(&binary, "DNS:elsewhere.example", false);
    let at = |registry: &Registry| format!("{}/team/app", registry.host());
    let wrong = program(&elsewhere, &format!("ca = {:?}\n", elsewhere.ca())).run(&["tags", &at(&elsewhere)]).ended(1);
    assert!(wrong.stderr.contains("certificate") && wrong.stderr.contains("elsewhere.example"), "{}", wrong.stderr);
    let asking = Registry::behind_tls(&binary, "IP:127.0.0.1", true);
    let bare = program(&asking, &format!("ca = {:?}\n", asking.ca())).run(&["tags", &at(&asking)]).ended(1);
    assert!(bare.stderr.contains(&asking.host()), "{}", bare.stderr);
    let file = |name: &str| asking.dir.path().join(name);
    let shown = format!("ca = {:?}\nclient_cert = {:?}\nclient_key = {:?}\n", asking.ca(), file("client.pem"), file("client.key"));
    let ran = program(&asking, &shown).run(&["repos", &asking.host()]).ended(0);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_registry_with_tokens_does_every_verb() {
    let Some(binary) = common::require("a_registry_with_tokens_does_every_verb", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let registry = Registry::with_tokens(&binary);
    let anna = program(&registry, "");
    round(&anna, &registry, &["--tls-verify=false"]);
    let stranger = Program::without_engine();
    let at = |rest: &str| format!("docker://{}/{rest}", registry.host());
    stranger.run(&["inspect", &at("other/app:v1")]).ended(0);
    let refused = stranger.run(&["tag", &at("other/app:v1"), &at("other/app:v2")]).ended(1);
    assert!(refused.stderr.contains("login") || refused.stderr.contains("right"), "{}", refused.stderr);
    assert_eq!(stranger.run(&["tags", &at("other/app")]).ended(0).stdout, "v1\n");
    // One token a scope, not one a request.
    let tokens = registry.tokens.as_ref().unwrap();
    tokens.given.store(0, Ordering::SeqCst);
    anna.run(&["tags", &at("other/app"), "--details"]).ended(0);
    assert_eq!(tokens.given.load(Ordering::SeqCst), 1);
}

#[test]
fn a_copy_survives_the_death_of_its_target() {
    let Some(binary) = common::require("a_copy_survives_the_death_of_its_target", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let source = Registry::open(&binary);
    let target = Registry::open(&binary);
    let program = program(&source, "");
    let spec = ImageSpec::new("app:1").layer(&[("bin/x", &vec![7; 30_000_000])]).layer(&[("bin/y", &vec![8; 30_000_000])]);
    std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::None)).unwrap();
    let from = format!("docker://{}/team/app:v1", source.host());
    let sent = program.json(&["copy", "oci-archive:a.oci.tar", &from]);
    // Killed as soon as the first bytes of a layer are on its disk, and started again without what it knew of uploads.
    let (host, uploads) = (target.host(), target.dir.path().join("data/docker/registry/v2/repositories/team/app/_uploads"));
    let target = Arc::new(std::sync::Mutex::new(target));
    let killer = std::thread::spawn({
        let target = Arc::clone(&target);
        move || {
            while !std::fs::read_dir(&uploads).is_ok_and(|mut entries| entries.next().is_some()) {
                std::thread::yield_now();
            }
            target.lock().unwrap().restart();
        }
    });
    let copied = program.json(&["copy", &from, &format!("docker://{host}/team/app:v1")]);
    killer.join().unwrap();
    assert_eq!(copied["digest"], sent["digest"]);
    let raw = skopeo(&program, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{host}/team/app:v1")]);
    assert_eq!(json!(Digest::sha256(raw.as_bytes())), sent["digest"]);
    program.run(&["inspect", "--verify", &format!("docker://{host}/team/app:v1")]).ended(0);
}
