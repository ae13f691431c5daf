//! `policy`: decisions on a registry in memory and on a real one, what is refused, and policies of others.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "common/fake.rs"]
mod fake;
#[path = "common/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;

use common::images::{ImageSpec, Pack, oci_archive};
use common::program::{Program, Ran, assert_tame};
use fake::Fake;
use lighterman::model::Digest;
use lighterman::source::oci::media;
use scripted::{Reply, Server};
use serde_json::{Value, json};

const POLICY: &str = "\
[[rule]]
name = \"by hand\"
match = { label = \"retention=keep\" }
action = \"keep\"

[[rule]]
match = { semver = \"*\" }
keep_last = 1
per = \"minor\"
rest = \"drop\"

[[rule]]
match = { tag = \"pr-*\", older_than = \"14d\" }
action = \"drop\"
";

fn write(program: &Program, name: &str, text: &str) {
    std::fs::write(program.home().join(name), text).unwrap();
}

fn policy(program: &Program, text: &str) {
    write(program, "policy.toml", text);
}

/// An image with a label.
fn labelled(registry: &Fake, tag: &str, label: &str) -> Digest {
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2025-05-05T05:05:05Z", "config": {"Labels": {"retention": label}},
        "rootfs": {"type": "layers", "diff_ids": []}
    });
    let config = config.to_string().into_bytes();
    let digest = registry.blob("team/app", &config);
    let body = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "layers": [],
        "config": {"mediaType": media::OCI_CONFIG, "digest": digest, "size": config.len()}
    });
    registry.put("team/app", Some(tag), &body)
}

fn by_tag(document: &Value) -> BTreeMap<&str, &Value> {
    document["decisions"].as_array().unwrap().iter().map(|row| (row["tag"].as_str().unwrap(), row)).collect()
}

fn dropped(document: &Value) -> Vec<&str> {
    by_tag(document).into_iter().filter(|(_, row)| row["decision"] == "drop").map(|(tag, _)| tag).collect()
}

#[test]
fn every_tag_has_its_decision_and_the_rule_that_made_it() {
    let registry = Fake::new();
    for tag in ["1.0.0", "1.0.1", "1.1.0", "pr-1", "latest"] {
        registry.image("team/app", Some(tag), "amd64", tag);
    }
    labelled(&registry, "1.0.0-kept", "keep");
    labelled(&registry, "pr-2", "no");
    // A signature of what goes, one of what stays, and an index that stays over a tag that would go.
    let gone = registry.tag("team/app", "1.0.0").unwrap();
    let stays = registry.tag("team/app", "1.0.1").unwrap();
    for subject in [&gone, &stays] {
        registry.referrer("team/app", Some(&format!("sha256-{}.sig", subject.hex())), subject, "application/vnd.test");
    }
    let part = registry.image("team/app", Some("1.1.0-0-arm"), "arm64", "arm");
    registry.index("team/app", Some("multi"), &[(&part, "arm64")]);
    let program = Program::without_engine();
    policy(&program, POLICY);
    let repo = format!("{}/team/app", registry.host());
    let before = registry.tags("team/app");
    let document = program.json(&["policy", "check", "policy.toml", &format!("docker://{repo}")]);
    let sig_gone = format!("sha256-{}.sig", gone.hex());
    assert_eq!(dropped(&document), ["1.0.0", "1.1.0", "pr-1", "pr-2", &*sig_gone], "{document:#}");
    let rows = by_tag(&document);
    assert_eq!(
        *rows["1.0.0"],
        json!({"tag": "1.0.0", "digest": gone, "created": "2025-05-05T05:05:05Z", "decision": "drop", "rule": 2,
               "why": "rule 2: keep the last 1 per minor of semver *; only the 2nd newest of its group"})
    );
    assert_eq!((&rows["1.0.0-kept"]["rule"], &rows["1.0.0-kept"]["why"]), (&json!(1), &json!("rule 1: by hand")));
    assert_eq!((&rows["latest"]["rule"], &rows["latest"]["why"]), (&Value::Null, &json!("no rule decides")));
    assert_eq!(rows[&*sig_gone]["why"], "it belongs to 1.0.0, which goes");
    assert_eq!((&document["of"], &document["dropped"], &document["share"]), (&json!(9), &json!(4), &json!(45)));
    assert_eq!((&document["needs_name"], &document["complete"], &document["repository"]), (&json!(false), &json!(true), &json!(repo)));
    assert_eq!((registry.tags("team/app"), registry.count("DELETE", ""), registry.count("PUT", "")), (before, 0, 0), "only looked at");
    let ran = program.run(&["policy", "check", "policy.toml", &repo]).ended(0);
    assert!(ran.stdout.starts_with("TAG") && ran.stdout.contains("drop") && ran.stderr.contains("4 of 9 tags would go, 45 %"), "{ran:?}");
    // A part of an index that stays is no junk, whatever a rule says of its tag.
    policy(&program, "most_dropped = 20\n[[rule]]\nmatch = { tag = \"1.*\" }\naction = \"drop\"");
    let ran = program.run(&["policy", "check", "policy.toml", &repo, "--json"]).ended(0);
    let document = ran.document();
    assert_eq!(by_tag(&document)["1.1.0-0-arm"]["why"], "it is a part of multi, which stays");
    assert_eq!(document["needs_name"], true);
}

#[test]
fn what_can_t_be_proved_is_refused() {
    let program = Program::without_engine();
    policy(&program, POLICY);
    let check = |host: &str| -> Ran { program.run(&["policy", "check", "policy.toml", &format!("{host}/team/app"), "--json"]) };
    let part = Server::new(|request| {
        if !request.path.contains("tags/list") {
            return Reply::status(404);
        }
        Reply::body(json!({"tags": ["v1"]}).to_string()).with("Link", "<https://elsewhere.example/>; rel=\"next\"")
    });
    let ran = check(&part.host()).ended(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("may not be complete"), "{}", ran.stderr);
    // A tag whose manifest can't be understood may be an index that needs what would go.
    let registry = Fake::new();
    registry.image("team/app", Some("1.0.0"), "amd64", "one");
    registry.put_bytes("team/app", Some("odd"), media::OCI_INDEX, b"{\"manifests\": 7}".to_vec());
    let ran = check(&registry.host()).ended(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("what odd points at is not known"), "{}", ran.stderr);
    program.run(&["policy", "check", "policy.toml", &format!("{}/team/app:v1", registry.host())]).ended(2);
    // An engine that doesn't answer may run anything.
    let registry = Fake::new();
    registry.image("team/app", Some("1.0.0"), "amd64", "one");
    let silent = Program::with_engine("unix:///nowhere/docker.sock");
    let repo = format!("{}/team/app", registry.host());
    policy(&silent, POLICY);
    let ran = silent.run(&["policy", "check", "policy.toml", &repo]).ended(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("keep_in_use = false"), "{}", ran.stderr);
    policy(&silent, &format!("keep_in_use = false\n{POLICY}"));
    silent.run(&["policy", "check", "policy.toml", &repo]).ended(0);
    program.run(&["policy", "check", "absent.toml", &format!("{}/team/app", registry.host())]).ended(1);
}

#[test]
fn a_mistake_in_a_policy_is_told_before_anything_is_asked() {
    let registry = Fake::new();
    let program = Program::without_engine();
    policy(&program, "[[rule]]\nmatch = { tga = \"\u{1b}[2J\" }\naction = \"drop\"\n");
    let ran = program.run(&["policy", "check", "policy.toml", &format!("{}/team/app", registry.host())]).ended(2);
    assert_eq!(registry.count("", ""), 0);
    policy(&program, "[[rule]]\nmatch = { tga = \"x\u{9b}\u{202e}\" }\naction = \"drop\"\n");
    let told = program.run(&["policy", "check", "policy.toml", &format!("{}/team/app", registry.host())]).ended(2);
    assert!(told.stderr.contains("line 2, column 11: there is no \"tga\" here (did you mean tag?)"), "{}", told.stderr);
    assert_tame(&ran.stderr);
    assert_tame(&told.stderr);
}

#[test]
fn a_policy_to_start_from_is_printed_and_is_good() {
    let program = Program::without_engine();
    let text = program.run(&["policy", "example"]).ended(0).stdout;
    assert_eq!(program.json(&["policy", "example"])["policy"], text.as_str());
    policy(&program, &text);
    let registry = Fake::new();
    registry.image("team/app", Some("v1.0.0"), "amd64", "one");
    let ran = program.run(&["policy", "check", "policy.toml", &format!("{}/team/app", registry.host())]).ended(0);
    assert!(ran.stderr.contains("names other repositories"), "{}", ran.stderr);
}

#[test]
fn the_policies_of_others_are_taken_over_as_far_as_they_go() {
    let program = Program::without_engine();
    let rule = |action: &str| {
        json!({"rules": [
            {"rulePriority": 1, "description": "old \u{1b}[2J ones", "action": {"type": "expire"},
             "selection": {"tagStatus": "tagged", "tagPrefixList": ["pr-"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}},
            {"rulePriority": 2, "action": {"type": action}, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}}
        ]})
        .to_string()
    };
    write(&program, "whole.json", &rule("expire"));
    let ran = program.run(&["policy", "import", "ecr", "whole.json"]).ended(0);
    assert_tame(&ran.stdout);
    policy(&program, &ran.stdout);
    let registry = Fake::new();
    for n in 0..7 {
        registry.image("team/app", Some(&format!("t{n}")), "amd64", &n.to_string());
    }
    registry.image("team/app", Some("pr-1"), "amd64", "pr");
    let document = program.json(&["policy", "check", "policy.toml", &format!("{}/team/app", registry.host())]);
    assert_eq!(dropped(&document), ["pr-1", "t0", "t1"]);
    write(&program, "part.json", &rule("transition"));
    let part = program.run(&["policy", "import", "ecr", "part.json", "--json"]).ended(3).document();
    assert!(part["notes"].as_array().unwrap().iter().any(|note| note["at"] == "rule 2" && note["left_out"] == true), "{part:#}");
    program.run(&["policy", "import", "harbor", "whole.json"]).ended(2);
    program.run(&["policy", "import", "nexus", "whole.json"]).ended(2);
}

#[test]
fn the_labels_of_an_index_are_its_image_s_and_referrers_with_a_tag_follow() {
    let registry = Fake::new();
    let host = lighterman::model::Platform::host();
    let child = labelled(&registry, "part", "keep");
    registry.index("team/app", Some("multi"), &[(&child, &host.architecture)]);
    let other = registry.image("team/app", None, &host.architecture, "plain");
    registry.index("team/app", Some("plain"), &[(&other, &host.architecture)]);
    let gone = registry.tag("team/app", "plain").unwrap();
    registry.referrer("team/app", Some("lost"), &Digest::sha256(b"elsewhere"), "application/vnd.test");
    registry.referrer("team/app", Some("scan-of-plain"), &gone, "application/vnd.test");
    registry.referrer("team/app", Some("scan-of-multi"), &registry.tag("team/app", "multi").unwrap(), "application/vnd.test");
    let program = Program::without_engine();
    policy(
        &program,
        "[[rule]]\nmatch = { label = \"retention=keep\" }\naction = \"keep\"\n[[rule]]\nmatch = { all = true }\naction = \"drop\"",
    );
    let check = || program.json(&["policy", "check", "policy.toml", &format!("{}/team/app", registry.host())]);
    assert_eq!(dropped(&check()), ["plain", "scan-of-plain"], "what has a tag of its own and is about something goes with it");
    registry.forget();
    check();
    assert_eq!(registry.count("GET", "/blobs/"), 0, "labels are kept with what is known of a digest");
}

#[test]
fn what_a_container_uses_stays() {
    let test = "what_a_container_uses_stays";
    let (Some(engine), Some(host)) = (common::docker(test), common::registry(test)) else { return };
    let program = Program::with_engine(&engine);
    let repo = format!("{host}/policy-used-{}/app", std::process::id());
    for tag in ["used", "idle"] {
        let spec = ImageSpec::new("app:1").layer(&[("etc/motd", tag.as_bytes())]);
        std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.run(&["copy", "oci-archive:a.oci.tar", &format!("docker://{repo}:{tag}")]).ended(0);
        program.run(&["pull", &format!("{repo}:{tag}")]).ended(0);
    }
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(["-H", &engine]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let container = docker(&["create", &format!("{repo}:used"), "/bin/app"]);
    policy(&program, "[[rule]]\nmatch = { all = true }\naction = \"drop\"");
    let check = || program.json(&["policy", "check", "policy.toml", &repo]);
    let document = check();
    assert_eq!(dropped(&document), ["idle"], "{document:#}");
    assert_eq!(by_tag(&document)["used"]["why"], "a container uses it");
    docker(&["rm", &container]);
    assert_eq!(dropped(&check()), ["idle", "used"]);
    for tag in ["used", "idle"] {
        program.run(&["delete", &format!("{repo}:{tag}"), "--yes"]).ended(0);
    }
}

#[test]
fn a_real_registry_is_decided_over() {
    let Some(host) = common::registry("a_real_registry_is_decided_over") else { return };
    let program = Program::without_engine();
    let repo = format!("{host}/policy-{}/app", std::process::id());
    for (tag, created, label) in [
        ("1.4.0", "2026-01-01T00:00:00Z", "no"),
        ("1.4.1", "2026-01-02T00:00:00Z", "no"),
        ("1.4.0-kept", "2025-01-02T00:00:00Z", "keep"),
        ("pr-7", "2025-01-02T00:00:00Z", "no"),
    ] {
        let spec = ImageSpec::new("app:1").layer(&[("etc/motd", tag.as_bytes())]).created(created).label("retention", label);
        std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.run(&["copy", "oci-archive:a.oci.tar", &format!("docker://{repo}:{tag}")]).ended(0);
    }
    program.run(&["tag", &format!("docker://{repo}:1.4.1"), &format!("docker://{repo}:1.4")]).ended(0);
    policy(&program, POLICY);
    let document = program.json(&["policy", "check", "policy.toml", &repo]);
    assert_eq!(dropped(&document), ["1.4.0", "pr-7"], "{document:#}");
    assert_eq!(by_tag(&document)["1.4"]["why"], "rule 2: keep the last 1 per minor of semver *; another name of one of these");
    assert_eq!(by_tag(&document)["1.4.0-kept"]["why"], "rule 1: by hand");
}
