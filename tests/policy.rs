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
    // Rules as they are said need no file.
    let rules = "keep only last 1 of {semver} per minor except *-kept, drop pr-*";
    let said = program.json(&["policy", "check", "--rule", rules, &repo]);
    assert_eq!(dropped(&said), dropped(&document), "{said:#}");
    assert_eq!(by_tag(&said)["pr-1"]["why"], "rule 2: drop pr-*");
    let wrong = program.run(&["policy", "check", "--rule", "drop pr-* elder than 3d", &repo]).ended(2);
    assert!(wrong.stderr.contains("line 1, column 11: that is no condition here"), "{}", wrong.stderr);
    program.run(&["policy", "check", "--rule", rules]).ended(2);
    program.run(&["policy", "check", "policy.toml"]).ended(2);
    program.run(&["policy", "run", "--rule", rules]).ended(2);
    let ran = program.json(&["policy", "run", "--rule", rules, &repo, "--dry-run"]);
    assert_eq!(ran["repositories"][0]["dropped"], 5, "{ran:#}");
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

/// What the program says at another time.
fn json_at(program: &Program, now: &str, args: &[&str]) -> Value {
    let ran = Ran::from(program.command(args).arg("--json").env("LIGHTERMAN_TEST_NOW", now).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.document()
}

#[test]
fn a_tag_is_as_old_as_the_first_sight_of_it_where_a_rule_asks_for_that() {
    let registry = Fake::new();
    for tag in ["pr-1", "pr-2", "pr-gone", "1.0"] {
        registry.image("team/app", Some(tag), "amd64", tag);
    }
    let program = Program::without_engine();
    let repo = format!("{}/team/app", registry.host());
    let rule = "drop pr-* older than 14d since first seen";
    let at = |now: &str| json_at(&program, now, &["policy", "check", "--rule", rule, &repo]);
    let first = at("2026-03-01T00:00:00Z");
    assert!(dropped(&first).is_empty(), "made in 2025, and seen for the first time now: {first:#}");
    // One moves, one comes, one goes and comes back.
    registry.image("team/app", Some("pr-2"), "amd64", "moved");
    registry.image("team/app", Some("pr-3"), "amd64", "new");
    let gone = registry.tag("team/app", "pr-gone").unwrap();
    program.run(&["delete", &format!("docker://{repo}:pr-gone"), "--yes"]).ended(0);
    assert!(dropped(&at("2026-03-10T00:00:00Z")).is_empty());
    assert_eq!(registry.image("team/app", Some("pr-gone"), "amd64", "pr-gone"), gone);
    assert_eq!(dropped(&at("2026-03-16T00:00:00Z")), ["pr-1"]);
    assert_eq!(dropped(&at("2026-03-25T00:00:00Z")), ["pr-1", "pr-2", "pr-3"]);
    assert_eq!(dropped(&at("2026-04-25T00:00:00Z")), ["pr-1", "pr-2", "pr-3", "pr-gone"]);
    // A clock that was set back makes nothing older, and a ledger that is damaged makes all new.
    assert!(dropped(&at("1970-01-02T00:00:00Z")).is_empty());
    assert_eq!(dropped(&at("2026-04-25T00:00:00Z")), ["pr-1", "pr-2", "pr-3", "pr-gone"]);
    let ledgers = program.home().join(".local/state/lighterman/uses");
    let files = std::fs::read_dir(&ledgers).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "seen")).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    assert!(dropped(&at("2026-04-26T00:00:00Z")).is_empty());
    assert_eq!(dropped(&at("2026-05-26T00:00:00Z")), ["pr-1", "pr-2", "pr-3", "pr-gone"]);
}

#[test]
fn what_was_not_used_here_for_long_may_go_and_what_is_not_known_to_be_unused_stays() {
    let test = "what_was_not_used_here_for_long_may_go_and_what_is_not_known_to_be_unused_stays";
    let (Some(engine), Some(host)) = (common::docker(test), common::registry(test)) else { return };
    let program = Program::with_engine(&engine);
    let repo = format!("{host}/policy-unused-{}/app", std::process::id());
    for tag in ["used", "here", "never"] {
        let spec = ImageSpec::new("app:1").layer(&[("etc/motd", format!("unused {tag}").as_bytes())]);
        std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.run(&["copy", "oci-archive:a.oci.tar", &format!("docker://{repo}:{tag}")]).ended(0);
    }
    for tag in ["used", "here"] {
        program.run(&["pull", &format!("{repo}:{tag}")]).ended(0);
    }
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(["-H", &engine]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let container = docker(&["create", &format!("{repo}:used"), "/bin/app"]);
    let check = ["policy", "check", "--rule", "drop all unused for 14d", &repo];
    let document = program.json(&check);
    assert!(dropped(&document).is_empty() && by_tag(&document)["used"]["why"] == "a container uses it", "{document:#}");
    docker(&["rm", &container]);
    assert!(dropped(&program.json(&check)).is_empty(), "it was used just now");
    let later = (lighterman::work::clock::now() + jiff::SignedDuration::from_hours(24 * 20)).to_string();
    let document = json_at(&program, &later, &check);
    assert_eq!(dropped(&document), ["used"], "{document:#}");
    // One is here and was never seen used, the other is not here at all.
    for tag in ["here", "never"] {
        let why = by_tag(&document)[tag]["why"].as_str().unwrap();
        assert!(why.ends_with("when it was last used is not known, so it stays"), "{tag}: {why}");
    }
    for tag in ["used", "here"] {
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

/// Three versions of one line, of which a policy lets two go, each signed; `kept` names one of these two as well.
fn versions(registry: &Fake, repository: &str) -> Vec<Digest> {
    let digests: Vec<Digest> = ["1.0.0", "1.0.1", "1.0.2"]
        .iter()
        .map(|tag| registry.image(repository, Some(tag), "amd64", &format!("{repository}{tag}")))
        .collect();
    for digest in &digests {
        registry.referrer(repository, Some(&format!("sha256-{}.sig", digest.hex())), digest, "application/vnd.test");
    }
    registry.state.lock().unwrap().tags.insert((repository.into(), "kept".into()), digests[1].clone());
    digests
}

const LAST: &str = "[[rule]]\nmatch = { semver = \"*\" }\nkeep_last = 1\nrest = \"drop\"\n";

fn verbs(plan: &Value) -> BTreeMap<String, String> {
    let tag = |line: &Value| line["target"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    plan["operations"].as_array().unwrap().iter().map(|line| (tag(line), line["verb"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_plan_takes_away_what_check_lets_go_and_nothing_else() {
    let registry = Fake::new();
    let digests = versions(&registry, "team/app");
    let program = Program::without_engine();
    let repo = format!("{}/team/app", registry.host());
    let all = || -> BTreeMap<String, Digest> {
        registry.tags("team/app").into_iter().map(|tag| (tag.clone(), registry.tag("team/app", &tag).unwrap())).collect()
    };
    let before = all();
    policy(&program, LAST);
    let checked = program.json(&["policy", "check", "policy.toml", &repo]);
    let signature = format!("sha256-{}.sig", digests[0].hex());
    assert_eq!(dropped(&checked), ["1.0.0", "1.0.1", &*signature]);
    let plan = program.json(&["plan", "retain", "policy.toml", &repo, &format!("docker://{repo}"), "-o", "p"]);
    assert_eq!((&plan["kind"], plan["operations"].as_array().unwrap().len()), (&json!("retain"), 3), "a repository named twice is one");
    let expected = [("1.0.0", "delete_tag"), ("1.0.1", "untag"), (&*signature, "delete_tag")];
    assert_eq!(verbs(&plan), expected.map(|(tag, verb)| (tag.to_owned(), verb.to_owned())).into(), "another tag keeps the digest of 1.0.1");
    let effects = plan["operations"].as_array().unwrap().iter().map(|line| line["effects"].to_string()).collect::<String>();
    assert!(effects.contains("rule 1: keep the last 1 of semver *; only the 3rd newest of its group"), "{effects}");
    assert_eq!(all(), before, "a plan changes nothing");
    program.json(&["apply", "p", "--yes"]);
    let left: Vec<&str> = dropped(&checked);
    let after: BTreeMap<String, Digest> =
        before.iter().filter(|(tag, _)| !left.contains(&tag.as_str())).map(|(a, b)| (a.clone(), b.clone())).collect();
    assert_eq!(all(), after);
    program.json(&["undo"]);
    assert_eq!(all(), before, "bit for bit");
    // What a rule protects stays, though what it is about goes; and so does what the command line protects.
    policy(&program, &format!("{LAST}[[rule]]\nmatch = {{ tag = \"{signature}\" }}\naction = \"protect\"\n"));
    let ran = program.run(&["plan", "retain", "policy.toml", &repo, "--protect", "**:1.0.1", "-o", "p", "--json"]).ended(0);
    assert!(ran.stderr.contains("2 of 3 lines are protected"), "{}", ran.stderr);
    assert!(ran.stdout.contains("the policy keeps it: rule 2"), "{}", ran.stdout);
    program.run(&["apply", "p", "--yes"]).ended(3);
    assert_eq!(all().len(), before.len() - 1);
    assert_eq!((registry.tag("team/app", "1.0.0"), registry.tag("team/app", &signature)), (None, before.get(&signature).cloned()));
}

#[test]
fn more_than_the_share_goes_only_where_the_name_was_typed() {
    let registry = Fake::new();
    versions(&registry, "team/app");
    let program = Program::without_engine();
    let repo = format!("{}/team/app", registry.host());
    policy(&program, &format!("most_dropped = 40\n{LAST}"));
    let before = registry.tags("team/app");
    for verb in [&["plan", "retain"][..], &["policy", "run"]] {
        let with = |more: &[&str]| program.run(&[verb, &["policy.toml", &repo], more].concat());
        let ran = with(&["--json"]).ended(1);
        assert!(ran.stderr.contains("2 of 4 tags would go, 50 %, and the policy lets 40 % go at once"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--confirm {repo}")), "{}", ran.stderr);
        with(&["--confirm", &format!("{}/team/other", registry.host())]).ended(1);
        with(&["--confirm", &format!("{repo}:x")]).ended(2);
    }
    assert_eq!((registry.tags("team/app"), registry.count("DELETE", "")), (before, 0));
    program.json(&["plan", "retain", "policy.toml", &repo, "--confirm", &repo]);
    let ran = program.json(&["policy", "run", "policy.toml", &repo, "--confirm", &repo, "--yes"]);
    assert_eq!(ran["repositories"][0]["dropped"], 3, "{ran:#}");
    // A part of a list is no ground for a decision.
    let part = Server::new(|request| {
        if !request.path.contains("tags/list") {
            return Reply::status(404);
        }
        Reply::body(json!({"tags": ["1.0.0"]}).to_string()).with("Link", "<https://elsewhere.example/>; rel=\"next\"")
    });
    let repo = format!("{}/a", part.host());
    for verb in [&["plan", "retain"][..], &["policy", "run"]] {
        let ran = program.run(&[verb, &["policy.toml", &repo, "--confirm", &repo]].concat()).ended(1);
        assert!(ran.stderr.contains("may not be complete"), "{}", ran.stderr);
    }
}

#[test]
fn a_run_goes_over_every_repository_that_the_policy_names() {
    let registry = Fake::bent(|request, _| (request.method == "DELETE" && request.path.contains("/bad/")).then(|| Reply::status(403)));
    for repository in ["team/one", "team/two", "team/bad/x", "other/three"] {
        versions(&registry, repository);
    }
    let program = Program::without_engine();
    let host = registry.host();
    let metrics = || std::fs::read_to_string(program.home().join("policy.prom")).unwrap();
    policy(&program, &format!("repositories = [\"{host}/team/*\", \"{host}/team/one\"]\n{LAST}"));
    // Looked at only.
    let dry = program.run(&["policy", "run", "policy.toml", "--dry-run", "--json"]).ended(0).document();
    assert_eq!((&dry["dry_run"], &dry["id"], &dry["done"]), (&json!(true), &Value::Null, &json!(0)));
    let freed = dry["repositories"][0]["freed_at_least"].as_u64().unwrap();
    assert_eq!(
        dry["repositories"][0],
        json!({"repository": format!("{host}/team/one"), "kept": 4, "dropped": 3, "failed": 0, "problem": null,
               "freed_at_least": freed, "freed_at_most": freed})
    );
    assert!(freed > 100);
    assert_eq!(registry.count("DELETE", "") + registry.count("PUT", ""), 0);
    program.run(&["policy", "run", "policy.toml", "--metrics", "policy.prom"]).ended(2);
    assert!(!program.home().join("policy.prom").exists(), "nobody agreed, and nothing ran");
    let ran = program.json(&["policy", "run", "policy.toml", "--yes", "--metrics", "policy.prom"]);
    assert_eq!(registry.tags("team/one").len(), 4);
    assert_eq!(registry.tags("team/two").len(), 4);
    assert_eq!(registry.tags("other/three").len(), 7, "not named");
    assert_eq!(registry.tags("team/bad/x").len(), 7, "a star is no slash");
    let one = format!("lighterman_policy_tags{{repository=\"{host}/team/one\",decision=\"dropped\"}} 3");
    assert!(metrics().lines().any(|line| line == one), "{}", metrics());
    let bytes = |repository: &str| -> u64 {
        let start = format!("lighterman_policy_freed_bytes{{repository=\"{host}/{repository}\",bound=\"at_most\"}} ");
        metrics().lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    };
    assert_eq!(bytes("team/one"), freed);
    let success = |metrics: &str, repository: &str| -> Option<String> {
        let start = format!("lighterman_policy_last_success_timestamp_seconds{{repository=\"{host}/{repository}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    assert!(success(&metrics(), "team/two").unwrap().parse::<i64>().unwrap() > 1_700_000_000);
    // Again there is nothing to do, and that is good.
    let again = program.json(&["policy", "run", "policy.toml", "--yes"]);
    assert_eq!((&again["id"], &again["lines"]), (&Value::Null, &json!([])));
    program.json(&["undo", ran["id"].as_str().unwrap()]);
    assert_eq!((registry.tags("team/one").len(), registry.tags("team/two").len()), (7, 7));
    // What fails is told, and doesn't keep the rest.
    policy(&program, &format!("repositories = [\"{host}/team/**\"]\n{LAST}"));
    let before = metrics();
    let part = program.run(&["policy", "run", "policy.toml", "--yes", "--json", "--metrics", "policy.prom"]).ended(3).document();
    let bad = part["repositories"].as_array().unwrap().iter().find(|one| one["repository"].as_str().unwrap().ends_with("bad/x")).unwrap();
    assert!(bad["failed"].as_u64().unwrap() >= 1, "{part:#}");
    assert_eq!((registry.tags("team/one").len(), success(&metrics(), "team/bad/x")), (4, None));
    assert_eq!((bytes("team/one"), bytes("team/bad/x")), (freed, 0), "of what was really done");
    assert!(success(&metrics(), "team/one") >= success(&before, "team/one"));
    let ran = program.run(&["policy", "run", "policy.toml", &format!("{host}/team/bad/x"), "--yes"]).ended(1);
    assert!(ran.stdout.contains("403") && ran.stderr.contains("0 went, 3 failed"), "{ran:?}");
    // A policy says itself what it is for.
    program.run(&["policy", "run", "policy.toml", &format!("{host}/other/three"), "--yes"]).ended(2);
    policy(&program, LAST);
    program.run(&["policy", "run", "policy.toml", "--yes"]).ended(2);
    policy(&program, &format!("repositories = [\"*/app\"]\n{LAST}"));
    program.run(&["policy", "run", "policy.toml", "--yes"]).ended(2);
    assert_eq!(registry.tags("other/three").len(), 7);
    let empty = Server::new(|_| Reply::status(404));
    policy(&program, &format!("repositories = [\"{}/team/absent\"]\n{LAST}", empty.host()));
    program.run(&["policy", "run", "policy.toml", "--yes"]).ended(1);
}

#[test]
fn a_real_registry_is_cleaned_up_and_put_back() {
    let Some(host) = common::registry("a_real_registry_is_cleaned_up_and_put_back") else { return };
    let program = Program::without_engine();
    let repo = format!("{host}/policy-run-{}/app", std::process::id());
    for tag in ["1.4.0", "1.4.1"] {
        let spec = ImageSpec::new("app:1").layer(&[("etc/motd", tag.as_bytes())]);
        std::fs::write(program.home().join("a.oci.tar"), oci_archive(&[spec], Pack::Gzip)).unwrap();
        program.run(&["copy", "oci-archive:a.oci.tar", &format!("docker://{repo}:{tag}")]).ended(0);
    }
    program.run(&["tag", &format!("docker://{repo}:1.4.0"), &format!("docker://{repo}:first")]).ended(0);
    let tags = || -> Vec<(String, String)> {
        let document = program.json(&["tags", &repo, "--details"]);
        let rows = document["tags"].as_array().unwrap().iter();
        let row = |row: &Value| (row["tag"].as_str().unwrap().to_owned(), row["digest"].as_str().unwrap().to_owned());
        let mut tags: Vec<_> = rows.map(row).collect();
        tags.sort();
        tags
    };
    let before = tags();
    policy(&program, &format!("repositories = [\"{host}/policy-run-{}/*\"]\n{LAST}", std::process::id()));
    let ran = program.json(&["policy", "run", "policy.toml", "--yes", "--metrics", "policy.prom"]);
    assert_eq!(
        ran["repositories"],
        json!([{"repository": repo, "kept": 2, "dropped": 1, "failed": 0, "problem": null, "freed_at_least": 0, "freed_at_most": 0}]),
        "the digest of 1.4.0 has another tag, which stays: {ran:#}"
    );
    let names = |tags: &[(String, String)]| tags.iter().map(|(tag, _)| tag.clone()).collect::<Vec<_>>();
    assert_eq!(names(&tags()), ["1.4.1", "first"]);
    program.json(&["undo"]);
    assert_eq!(tags(), before, "bit for bit");
    // A retag into another repository is a copy, and goes again.
    let plan = program.json(&["plan", "retag", "--repo", &repo, "--preset", &format!("mirror:{host}/mirrored"), "-o", "p"]);
    assert!(plan["operations"].as_array().unwrap().iter().all(|line| line["verb"] == "copy"), "{plan:#}");
    program.json(&["apply", "p", "--yes"]);
    let mirrored = program.json(&["tags", &repo.replacen(&host, &format!("{host}/mirrored"), 1)]);
    assert_eq!(mirrored["tags"].as_array().unwrap().len(), 3, "{mirrored:#}");
    program.json(&["undo"]);
}
