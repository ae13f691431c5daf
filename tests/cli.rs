//! The command line without any peer: the real program in a home of its own.
#![allow(clippy::allow_attributes, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "engine/scripted.rs"]
mod scripted;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use common::images::{ImageSpec, Pack, docker_archive, oci_archive, oci_layout};
use common::program::{Program, Ran, assert_tame};
use serde_json::{Value, json};

fn spec(name: &str) -> ImageSpec {
    ImageSpec::new(name).layer(&[("etc/motd", b"hello")]).layer(&[("bin/app", &[7; 5000])]).label("a", "b")
}

/// An archive in the program's home, and its path.
fn archive(program: &Program, name: &str, bytes: &[u8]) -> String {
    let path = program.home().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The files in the program's home, for "nothing was left behind".
fn files(program: &Program) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(program.home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn wrong_usage_is_exit_code_2_with_nothing_on_standard_output() {
    let program = Program::without_engine();
    let calls: &[&[&str]] = &[
        &["inspect"],
        &["images", "--filter", "size:>many"],
        &["images", "--no-such-option"],
        &["frobnicate"],
        &["completions", "no-such-shell"],
        &["images", "--context", "x"],
        &["inspect", "oci:"],
        &["pull", "app", "--platform", "arm"],
        &["export", "app", "oci-archive:"],
        &["tag", "app:1"],
        &["delete"],
    ];
    for call in calls {
        let ran = program.run(call).ended(2);
        assert_eq!(ran.stdout, "", "{call:?}");
        assert_ne!(ran.stderr, "", "{call:?}");
    }
}

#[test]
fn without_a_terminal_the_deck_is_refused_in_words() {
    for call in [&[][..], &["app:1"], &["demo"]] {
        let ran = Program::with(&[]).run(call).ended(1);
        assert!(ran.stderr.contains("not a terminal") && ran.stderr.contains("--help"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn help_version_completions_and_manual_are_there() {
    let program = Program::with(&[]);
    assert_eq!(program.run(&["--version"]).ended(0).stdout, concat!("lighterman ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = program.run(&["--help"]).ended(0).stdout;
    for word in ["images", "inspect", "docker-archive:", "Exit codes"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = program.run(&["completions", shell]).ended(0).stdout;
        assert!(script.contains("lighterman") && script.contains("inspect"), "{shell}");
    }
    let manual = program.run(&["man"]).ended(0).stdout;
    assert!(manual.contains(".TH lighterman 1") && manual.contains("COMMAND INSPECT"), "{manual}");
}

#[test]
fn the_doctor_tells_what_is_there_and_where_settings_come_from() {
    let program = Program::with(&[]);
    let file = program.home().join("mine.toml");
    std::fs::write(&file, "mouse = false\ncolor = 1\n[registries.\"localhost:5000\"]\ninsecure = true\n").unwrap();
    let socket = program.home().join("none.sock");
    let host = format!("unix://{}", socket.display());
    let report = program.json(&["doctor", "--host", &host, "--config", file.to_str().unwrap()]);
    let engine = &report["engines"][0];
    assert_eq!(engine["endpoint"], host);
    assert_eq!((&engine["current"], &engine["reachable"]), (&true.into(), &false.into()));
    assert!(engine["problem"].as_str().unwrap().contains("none.sock"), "{engine}");
    let setting = |name: &str| report["settings"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!((&setting("mouse")["value"], &setting("mouse")["origin"]), (&"false".into(), &"config".into()));
    assert_eq!(setting("ascii")["origin"], "default");
    assert!(report["config"]["mistakes"][0].as_str().unwrap().contains("mine.toml:2:1"), "{report}");
    assert_eq!(report["registries"][0]["host"], "localhost:5000");
    assert_eq!(report["store"]["exists"], false);
    assert!(report["store"]["path"].as_str().unwrap().starts_with(program.home().to_str().unwrap()));
    assert!(report["terminal"]["problem"].as_str().unwrap().contains("not a terminal"));
    let text = program.run(&["doctor"]).ended(0).stdout;
    assert_tame(&text);
    assert!(text.contains("Engines") && text.contains("Settings"), "{text}");
}

#[test]
fn an_engine_that_was_asked_for_and_is_absent_is_a_failure_not_the_store() {
    let program = Program::with_engine("unix:///nonexistent/docker.sock");
    for call in [&["images"][..], &["inspect", "app:1"], &["history", "app:1"]] {
        let ran = program.run(call).ended(1);
        assert!(ran.stderr.contains("/nonexistent/docker.sock"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let ran = program.run(&["inspect", "app:1", "--json"]).ended(1);
    assert_eq!(ran.document(), serde_json::json!([]), "one document, whatever happens");
}

/// A socket that nobody may open. Root may all the same, so as root the program runs without that power.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_may_not_be_opened_is_said_with_what_to_try() {
    use std::os::unix::fs::PermissionsExt as _;

    let program = Program::with(&[]);
    let private = program.home().join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o000)).unwrap();
    let host = format!("unix://{}", private.display());
    let run = |args: &[&str]| {
        let mut command = program.command(args);
        if rustix::process::geteuid().is_root() {
            let mut weaker = std::process::Command::new("setpriv");
            weaker.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(env!("CARGO_BIN_EXE_lighterman")).args(args);
            weaker.env_clear().env("HOME", program.home()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
            weaker.current_dir(program.home()).stdin(Stdio::null());
            command = weaker;
        }
        Ran::from(command.env("XDG_RUNTIME_DIR", program.home()).output().unwrap())
    };
    let helps = |words: &str| {
        for word in ["permission denied", "docker.sock", "docker) and log in again", "sudo", "--host"] {
            assert!(words.contains(word), "{word}: {words}");
        }
    };
    helps(&run(&["--host", &host, "images"]).ended(1).stderr);
    let report = run(&["doctor", "--json"]).ended(0).document();
    let rows = report["engines"].as_array().unwrap();
    let row = rows.iter().find(|row| row["endpoint"] == host.as_str()).unwrap_or_else(|| panic!("{report}"));
    helps(row["problem"].as_str().unwrap());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let program = Program::with(&[]);
    let mut child = program.command(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(words, "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_a_failure() {
    let program = Program::with(&[]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = program.command(&["man"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
}

/// An engine that takes the connection and says nothing: Ctrl-C gets through at once.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_waiting_with_130_and_sigterm_with_143() {
    use std::os::unix::net::UnixListener;
    let program = Program::with(&[]);
    let socket = program.home().join("hung.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let host = format!("unix://{}", socket.display());
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let child = program.command(&["--host", &host, "images"]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Connected: it is waiting now.
        let (_connection, _) = listener.accept().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn documents_have_the_promised_shape() {
    let program = Program::without_engine();
    let layout = program.home().join("layout");
    oci_layout(&layout, &[spec("v1"), spec("v2").layer(&[("x", b"y")])], Pack::Gzip);
    let everything = format!("oci:{}", layout.display());
    let images = program.json(&["inspect", &everything]);
    assert_eq!(images.as_array().unwrap().len(), 2, "every image of a layout");
    let one = program.json(&["inspect", &format!("{everything}:v1")]);
    assert_eq!(one.as_array().unwrap().len(), 1);
    let image = &one[0];
    let wanted = "config containers created history id layers manifest_digest media_type platform repo_digests size tags unique_size";
    assert_eq!(keys(image).join(" "), wanted);
    let wanted = "cmd entrypoint env exposed_ports healthcheck labels stop_signal user volumes working_dir";
    assert_eq!(keys(&image["config"]).join(" "), wanted);
    let wanted = "compression created_by diff_id digest index media_type size uncompressed_size verified";
    assert_eq!(keys(&image["layers"][0]).join(" "), wanted);
    assert_eq!(image["created"], "2026-01-02T03:04:05Z");
    assert_eq!(image["platform"], "linux/amd64");
    assert_eq!(image["containers"], Value::Null, "a layout knows no containers");
    assert_eq!((&image["layers"][0]["verified"], &image["layers"][0]["uncompressed_size"]), (&Value::Null, &Value::Null));
    let sum: u64 = image["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
    assert_eq!(image["size"], sum);

    let verified = program.json(&["inspect", &format!("{everything}:v1"), "--verify"]);
    assert_eq!((&verified[0]["layers"][0]["verified"], &verified[0]["layers"][0]["compression"]), (&json!(true), &json!("gzip")));
    assert!(verified[0]["layers"][1]["uncompressed_size"].as_u64().unwrap() > 5000);

    let history = program.json(&["history", &format!("{everything}:v1")]);
    assert_eq!(keys(&history[0]).join(" "), "comment created created_by diff_id empty_layer layer_digest size");
    assert_eq!(history[0]["layer_digest"], image["layers"][0]["digest"], "oldest first");
    assert_eq!(history[2]["empty_layer"], true);
}

#[test]
fn one_missing_image_does_not_hide_the_others() {
    let program = Program::without_engine();
    let file = archive(&program, "app.tar", &docker_archive(&[spec("acme/app:1")]));
    let good = format!("docker-archive:{file}:acme/app:1");
    let ran = program.run(&["inspect", "docker-archive:/nowhere.tar", &good, "acme/none:1", "--json"]).ended(3);
    assert_eq!(ran.document().as_array().unwrap().len(), 1);
    assert!(ran.stderr.contains("/nowhere.tar") && ran.stderr.contains("acme/none:1"), "{}", ran.stderr);
    program.run(&["inspect", &good, "docker-archive:/nowhere.tar"]).ended(3);
    program.run(&["inspect", "docker-archive:/nowhere.tar", "acme/none:1"]).ended(1);
}

#[test]
fn a_file_with_an_unreadable_image_is_done_in_part() {
    let program = Program::without_engine();
    let layout = program.home().join("layout");
    oci_layout(&layout, &[spec("v1"), spec("v2").layer(&[("x", b"y")])], Pack::Gzip);
    let everything = format!("oci:{}", layout.display());
    let image = &program.json(&["inspect", &everything])[1];
    let manifest = image["manifest_digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    std::fs::remove_file(layout.join("blobs/sha256").join(manifest)).unwrap();
    for args in [&["inspect", &everything, "--json"][..], &["inspect", &everything, "--verify", "--json"]] {
        let ran = program.run(args).ended(3);
        assert_eq!(ran.document().as_array().unwrap().len(), 1);
        assert!(ran.stderr.contains(manifest), "{}", ran.stderr);
    }
    let ran = program.run(&["export", &everything, "out.tar", "--json"]).ended(3);
    assert!(ran.stderr.contains(manifest) && ran.document()["bytes_transferred"].as_u64() > Some(0), "{}", ran.stderr);
    assert_eq!(program.json(&["inspect", "docker-archive:out.tar"]).as_array().unwrap().len(), 1);
    // What was named is whole.
    program.run(&["inspect", &format!("{everything}:v1")]).ended(0);
    program.run(&["export", &format!("{everything}:v1"), "one.tar"]).ended(0);
}

#[test]
fn the_store_takes_an_archive_in_and_gives_it_out_again() {
    let program = Program::without_engine();
    let file = archive(&program, "in.tar", &docker_archive(&[spec("acme/app:1").name("acme/app:latest"), spec("").layer(&[("u", b"u")])]));
    let moved = program.json(&["import", &file]);
    assert_eq!(keys(&moved).join(" "), "bytes_skipped bytes_transferred digest");
    let images = program.json(&["images"]);
    assert_eq!(images.as_array().unwrap().len(), 2, "one object for each image");
    let tagged = images.as_array().unwrap().iter().find(|image| image["tags"] != json!([])).unwrap();
    assert_eq!(tagged["tags"].as_array().unwrap().len(), 2);
    let filtered = program.json(&["images", "--filter", "tagged repo:*app"]);
    assert_eq!(filtered.as_array().unwrap().len(), 1);
    let rows = program.run(&["images"]).ended(0).stdout;
    assert_eq!(rows.lines().count(), 4, "a row for each reference, and one for the dangling image: {rows}");
    assert!(rows.starts_with("REPOSITORY") && rows.contains("USED BY"), "{rows}");

    let id = tagged["id"].as_str().unwrap();
    let by_prefix = program.json(&["inspect", id.get(7..19).unwrap()]);
    assert_eq!(by_prefix[0]["id"], id);

    for (file, transport) in [("out.tar", "docker-archive"), ("out.oci.tar", "oci-archive")] {
        program.json(&["export", "acme/app:1", file]);
        let back = program.json(&["inspect", &format!("{transport}:{file}"), "--verify"]);
        assert_eq!(back[0]["id"], id, "{file}");
        assert_eq!(back[0]["layers"][1]["verified"], true);
        let again = program.run(&["export", "acme/app:1", file]).ended(1);
        assert!(again.stderr.contains(file), "an existing file is not lost: {}", again.stderr);
        program.run(&["export", "acme/app:1", file, "--force"]).ended(0);
    }
}

#[test]
fn tags_are_given_moved_and_taken_away() {
    let program = Program::without_engine();
    let file = archive(&program, "in.tar", &docker_archive(&[spec("acme/app:1"), spec("acme/app:2").layer(&[("x", b"y")])]));
    program.run(&["import", &file]).ended(0);
    let one = program.json(&["inspect", "acme/app:1"])[0]["id"].clone();
    assert_eq!(program.json(&["tag", "acme/app:1", "acme/app:stable", "other:3"]), json!({"digest": one}));
    let moved = program.run(&["tag", "acme/app:2", "acme/app:stable"]).ended(0);
    assert!(moved.stderr.contains("moved from"), "{}", moved.stderr);
    assert_ne!(program.json(&["inspect", "acme/app:stable"])[0]["id"], one);

    let ran = program.run(&["delete", "other:3"]).ended(2);
    assert!(ran.stderr.contains("--yes"), "nobody can be asked: {}", ran.stderr);
    let gone = program.json(&["delete", "other:3", "--yes"]);
    assert_eq!(keys(&gone).join(" "), "kept removed");
    assert_eq!(gone["removed"][0]["digest"], one);
    assert_eq!(gone["kept"], json!([]));
    // By its ID, an image that still has two names stays.
    program.run(&["tag", "acme/app:1", "acme/app:too"]).ended(0);
    let kept = program.run(&["delete", one.as_str().unwrap(), "--yes", "--json"]).ended(3).document();
    assert!(kept["kept"][0]["why"].as_str().unwrap().contains("acme/app:too"), "{kept}");
    program.run(&["delete", "acme/none:1", "--yes"]).ended(1);
    program.run(&["delete", "acme/none:1", "acme/app:too", "--yes"]).ended(3);
}

#[test]
fn an_import_that_moves_tags_wants_to_be_told_so() {
    let program = Program::without_engine();
    let old = archive(&program, "old.tar", &docker_archive(&[spec("acme/app:1")]));
    let new = archive(&program, "new.tar", &oci_archive(&[spec("acme/app:1").layer(&[("x", b"y")])], Pack::Zstd));
    program.run(&["import", &old]).ended(0);
    let before = program.json(&["inspect", "acme/app:1"]);
    let ran = program.run(&["import", &new]).ended(2);
    assert!(ran.stderr.contains("acme/app:1 moves from") && ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert_eq!(program.json(&["inspect", "acme/app:1"]), before, "nothing was changed");
    program.run(&["import", &old]).ended(0);
    program.run(&["import", &new, "--yes"]).ended(0);
    assert_ne!(program.json(&["inspect", "acme/app:1"])[0]["id"], before[0]["id"]);
}

#[test]
fn read_only_means_read_only() {
    let program = Program::without_engine();
    let file = archive(&program, "in.tar", &docker_archive(&[spec("acme/app:1")]));
    program.run(&["import", &file]).ended(0);
    let calls: &[&[&str]] = &[
        &["pull", "acme/app:2"],
        &["push", "acme/app:1"],
        &["tag", "acme/app:1", "acme/app:3"],
        &["delete", "acme/app:1", "--yes"],
        &["import", &file],
    ];
    let config = program.home().join(".config/lighterman/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    for (option, setting) in [(Some("--read-only"), ""), (None, "read_only = true\n"), (None, "[hosts.store]\nread_only = true\n")] {
        std::fs::write(&config, setting).unwrap();
        for call in calls {
            let args: Vec<&str> = call.iter().copied().chain(option).collect();
            let ran = program.run(&args).ended(1);
            assert!(ran.stderr.contains("read-only"), "{}", ran.stderr);
        }
        assert_eq!(program.json(&["images"])[0]["tags"].as_array().unwrap().len(), 1);
        program.run(&["export", "acme/app:1", "out.tar", "--force"]).ended(0);
    }
}

#[test]
fn hostile_words_never_reach_the_terminal() {
    let program = Program::without_engine();
    let evil = "a\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}x\u{200b}\u{e0041}\r\n\u{7f}";
    let image = spec("acme/app:1").label(evil, evil).label("plain", evil);
    let file = archive(&program, "evil.tar", &docker_archive(&[image]));
    let place = format!("docker-archive:{file}");
    for args in [&["inspect", &place][..], &["inspect", &place, "--json"], &["history", &place], &["history", &place, "--json"]] {
        let ran = program.run(args).ended(0);
        assert_tame(&ran.stdout);
        assert_tame(&ran.stderr);
    }
    let labels = &program.json(&["inspect", &place])[0]["config"]["labels"];
    assert_eq!(labels["plain"], evil, "a document keeps the very text");
    let ran = program.run(&["inspect", &format!("{place}:{evil}")]).ended(1);
    assert_tame(&ran.stderr);
}

#[test]
fn a_broken_archive_is_named_and_changes_nothing() {
    let program = Program::without_engine();
    let whole = docker_archive(&[spec("acme/app:1")]);
    let mut flipped = whole.clone();
    let at = flipped.windows(64).position(|bytes| bytes.iter().all(|&byte| byte == 7)).unwrap();
    flipped[at] = 8;
    let cut = whole.get(..whole.len() / 2).unwrap();
    for (name, bytes) in [("flipped.tar", flipped.as_slice()), ("cut.tar", cut), ("empty.tar", &[]), ("words.tar", b"not an archive")] {
        let file = archive(&program, name, bytes);
        let ran = program.run(&["import", &file]).ended(1);
        assert!(ran.stderr.contains(name) || ran.stderr.contains("sha256:"), "{name}: {}", ran.stderr);
        let before = files(&program);
        let ran = program.run(&["export", &format!("docker-archive:{file}"), "out.tar"]).ended(1);
        assert_ne!(ran.stderr, "");
        assert_eq!(files(&program), before, "{name}: nothing was written");
    }
    assert_eq!(program.json(&["images"]), json!([]));
    let file = archive(&program, "flipped.tar", &flipped);
    let ran = program.run(&["inspect", &format!("docker-archive:{file}"), "--verify", "--json"]).ended(1);
    let verified: Vec<Value> = ran.document()[0]["layers"].as_array().unwrap().iter().map(|layer| layer["verified"].clone()).collect();
    assert_eq!(verified, [json!(true), json!(false)]);
}

#[cfg(unix)]
#[test]
fn all_images_are_asked_of_the_engine_only_when_they_are_wanted() {
    let engine = scripted::Scripted::docker(|_| None);
    let program = Program::with(&["--host", &engine.address()]);
    assert_eq!(program.json(&["images"]), json!([]));
    assert_eq!((engine.asked("/images/json "), engine.asked("/images/json?all=true ")), (1, 0));
    assert_eq!(program.json(&["images", "--all"]), json!([]));
    assert_eq!((engine.asked("/images/json "), engine.asked("/images/json?all=true ")), (1, 1));
    let store = Program::without_engine();
    let file = archive(&store, "in.tar", &docker_archive(&[spec("acme/app:1"), spec("").layer(&[("u", b"u")])]));
    store.run(&["import", &file]).ended(0);
    assert_eq!(store.json(&["images", "--all"]), store.json(&["images"]), "a store has nothing to leave out");
}

#[cfg(unix)]
#[test]
fn a_context_is_found_by_its_name() {
    let engine = scripted::Scripted::docker(|_| None);
    let program = Program::with(&[]);
    let id = lighterman::model::Digest::sha256(b"store");
    let meta = program.home().join(".docker/contexts/meta").join(id.hex());
    std::fs::create_dir_all(&meta).unwrap();
    let document = json!({"Name": "store", "Metadata": {}, "Endpoints": {"docker": {"Host": engine.address(), "SkipTLSVerify": false}}});
    std::fs::write(meta.join("meta.json"), document.to_string()).unwrap();
    assert_eq!(program.json(&["--context", "store", "images"]), json!([]));
    assert_eq!(engine.asked("/images/json"), 1, "the context, not the embedded store");
    let ran = program.run(&["--context", "gone", "images"]).ended(1);
    assert!(ran.stderr.contains("gone") && ran.stderr.contains("docker context ls"), "{}", ran.stderr);
    program.run(&["--context", "unix:///x.sock", "images"]).ended(2);
    let report = program.json(&["--context", "store", "doctor"]);
    let row = &report["engines"][0];
    assert_eq!((&row["name"], &row["current"], &row["why"]), (&json!("store"), &json!(true), &json!("--context")), "{row}");
}

/// The engine reaches the registry all the same.
#[cfg(unix)]
#[test]
fn a_push_whose_registry_cant_be_looked_at_says_that_it_cant_be_undone() {
    const NAME: &str = "127.0.0.1:1/app:1";
    let id = lighterman::model::Digest::sha256(b"app");
    let engine = scripted::Scripted::docker(move |request| {
        let row = || json!({"Id": id, "RepoTags": [NAME], "RepoDigests": []});
        if request.starts_with("POST /images/127.0.0.1:1/app/push") {
            return Some(scripted::json(&json!({"aux": {"Tag": "1", "Digest": id, "Size": 7}}).to_string()));
        }
        match request {
            "GET /images/json" => Some(scripted::json(&json!([row()]).to_string())),
            _ if request.ends_with("/history") => Some(scripted::json("[]")),
            _ if request.starts_with("GET /images/") => Some(scripted::json(&row().to_string())),
            _ => None,
        }
    });
    let program = Program::with(&["--host", &engine.address()]);
    let ran = program.run(&["push", NAME]).ended(0);
    assert!(ran.stderr.contains("warning: what 127.0.0.1:1/app:1 was at could not be looked at"), "{}", ran.stderr);
    let run = program.json(&["log"])[0].clone();
    let line = program.json(&["log", run["id"].as_str().unwrap()])["operations"][0].clone();
    assert_eq!((&line["state"], &line["hindrance"]), (&json!("done"), &json!("irreversible")), "{line}");
    program.run(&["undo"]).ended(1);
}

/// Images of [`engine_of_many`], and how many of them a run removes at a time.
#[cfg(unix)]
const MANY: usize = 20;
#[cfg(unix)]
const AT_ONCE: usize = 12;

/// An engine with the images `e:1` to `e:20`. `deleting` is called, and waited for, before it answers a removal.
#[cfg(unix)]
fn engine_of_many(deleting: impl Fn() + Send + Sync + 'static) -> scripted::Scripted {
    let gone = std::sync::Mutex::new(std::collections::HashSet::new());
    let id = |tag: usize| lighterman::model::Digest::sha256(&tag.to_le_bytes());
    scripted::Scripted::docker(move |request| {
        if let Some(tag) = request.strip_prefix("DELETE /images/docker.io/library/e:") {
            deleting();
            gone.lock().unwrap().insert(tag.to_owned());
            return Some(scripted::json(r#"[{"Untagged":"e"}]"#));
        }
        let row = |tag: usize| json!({"Id": id(tag), "RepoTags": [format!("e:{tag}")], "RepoDigests": []});
        if request == "GET /images/json" {
            return Some(scripted::json(&json!((1..=MANY).map(row).collect::<Vec<_>>()).to_string()));
        }
        let asked = request.strip_prefix("GET /images/")?;
        let tag = (1..=MANY).find(|tag| asked.contains(&format!("e:{tag}/")) || asked.contains(id(*tag).as_str()))?;
        if gone.lock().unwrap().contains(&tag.to_string()) {
            return None;
        }
        Some(scripted::json(&if asked.ends_with("/history") { json!([]) } else { row(tag) }.to_string()))
    })
}

/// Removals that are under way are waited for and told; nothing goes that was not sent before the signal.
#[cfg(unix)]
#[test]
fn ctrl_c_during_a_delete_still_tells_what_went() {
    use std::sync::mpsc::channel;
    use std::sync::{Condvar, Mutex};

    for as_json in [true, false] {
        let (asked, wait_for_delete) = channel();
        let (asked, gate) = (Mutex::new(asked), std::sync::Arc::new((Mutex::new(false), Condvar::new())));
        let held = std::sync::Arc::clone(&gate);
        let engine = engine_of_many(move || {
            asked.lock().unwrap().send(()).unwrap();
            let closed = held.0.lock().unwrap();
            drop(held.1.wait_while(closed, |open| !*open).unwrap());
        });
        let program = Program::with(&["--host", &engine.address()]);
        let file = archive(&program, "in.tar", &docker_archive(&[spec("acme/app:1")]));
        program.command(&["import", &file]).arg("--host=store").output().map(Ran::from).unwrap();
        let mut command = program.command(&["delete"]);
        command.args((1..=MANY).map(|tag| format!("e:{tag}"))).args(["store:acme/app:1", "--yes"]);
        command.args(as_json.then_some("--json")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        for _ in 0..AT_ONCE {
            wait_for_delete.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        // Once it says that it stops, the engine may answer.
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.contains("stopping") {
            assert_ne!(words.read_line(&mut heard).unwrap(), 0, "{heard}");
        }
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        words.read_to_string(&mut heard).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap()).ended(130);
        assert_eq!(engine.asked("DELETE"), AT_ONCE, "nothing is sent after the signal");
        if as_json {
            let told = ran.document();
            let (removed, kept) = (told["removed"].as_array().unwrap(), told["kept"].as_array().unwrap());
            assert_eq!((removed.len(), kept.len()), (AT_ONCE, MANY - AT_ONCE + 1), "{told}");
            assert!(kept.iter().any(|row| row["reference"].as_str().unwrap().ends_with("acme/app:1")), "{told}");
        } else {
            assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("removed")).count(), AT_ONCE, "{}", ran.stdout);
            let kept = |line: &&str| line.contains("kept");
            assert_eq!(heard.lines().filter(kept).count(), MANY - AT_ONCE + 1, "{heard}");
        }
        assert_eq!(program.run(&["inspect", "store:acme/app:1"]).code, Some(0), "what was not reached is still there");
    }
}

/// The folder is watched until the export has begun to write; then it is interrupted.
#[cfg(unix)]
#[test]
fn ctrl_c_during_an_export_leaves_nothing_behind() {
    let program = Program::without_engine();
    let big: Vec<u8> = (0..60_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let file = archive(&program, "big.tar", &docker_archive(&[ImageSpec::new("acme/big:1").layer(&[("big", &big)])]));
    let out = program.home().join("out");
    std::fs::create_dir(&out).unwrap();
    let target = out.join("big.oci.tar");
    let args = ["export", &format!("docker-archive:{file}"), target.to_str().unwrap()];
    let mut child = program.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    // The temporary file is there: it is writing.
    while std::fs::read_dir(&out).unwrap().next().is_none() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it could be interrupted");
        std::thread::yield_now();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "no partial file");
}
