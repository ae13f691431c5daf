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

/// A login typed into the deck: right or wrong, with and without a credential helper.
#[tokio::test]
async fn a_login_holds_when_the_registry_takes_it_and_changes_nothing_when_not() {
    use lighterman::model::{LoggedIn, LoggedOut, Login, Secret};
    use lighterman::source::credentials::Credentials;
    use lighterman::source::registry::{Client, HostSettings, RegistrySettings, Repo};
    let test = "a_login_holds_when_the_registry_takes_it_and_changes_nothing_when_not";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let login = |password: &str| Login { username: "anna".into(), secret: Secret::new(password.into()) };
    for registry in [Registry::guarded(&binary), Registry::with_tokens(&binary)] {
        let dir = tempfile::tempdir().unwrap();
        let host = registry.host();
        let hosts = if registry.tokens.is_none() {
            [(host.clone(), HostSettings { ca: Some(registry.ca()), ..HostSettings::default() })].into()
        } else {
            std::collections::BTreeMap::new()
        };
        let settings = RegistrySettings { hosts, ..RegistrySettings::default() };
        let config = dir.path().join("config.json");
        std::fs::write(&config, "{}").unwrap();
        let credentials = Credentials::new(vec![config.clone()], dir.path().into());
        let client = Client::new(settings, credentials.clone()).unwrap();
        let repositories = async || client.repositories(&host, &mut |_| {}).await;
        assert!(repositories().await.is_err(), "nobody is let in");
        let refused = client.log_in(&host, &login("wrong")).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("wrong\"") && credentials.for_registry(&host).await.unwrap().is_none(), "{refused:?}");
        assert_eq!(client.log_in(&host, &login("haven-4711")).await.unwrap(), LoggedIn::ForThisRun);
        assert_eq!(repositories().await.unwrap().count, 0);
        let repo = Repo::at(&host, "none").unwrap();
        assert!(client.tags(&repo, &mut |_| {}).await.is_err_and(|problem| problem.kind == lighterman::model::ProblemKind::NotFound));
        assert_eq!(client.log_out(&host).await.unwrap(), LoggedOut::Nothing);
        assert!(repositories().await.is_err(), "out is out");
        // A helper of the docker configuration keeps it; a file is never written.
        let helper = dir.path().join("docker-credential-keeps");
        std::fs::write(&helper, format!("#!/bin/sh\ncase $1 in store|erase) /bin/cat >> {}/$1;; *) exit 1;; esac\n", dir.path().display()))
            .unwrap();
        std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let text = json!({"credHelpers": {host.as_str(): "keeps"}}).to_string();
        std::fs::write(&config, &text).unwrap();
        assert_eq!(client.log_in(&host, &login("haven-4711")).await.unwrap(), LoggedIn::Stored("docker-credential-keeps".into()));
        let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("store")).unwrap()).unwrap();
        assert_eq!(stored, json!({"ServerURL": host, "Username": "anna", "Secret": "haven-4711"}));
        assert!(repositories().await.is_ok());
        assert_eq!(client.log_out(&host).await.unwrap(), LoggedOut::Erased("docker-credential-keeps".into()));
        assert_eq!(std::fs::read_to_string(dir.path().join("erase")).unwrap(), host);
        assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
        assert!(repositories().await.is_err());
    }
    let open = Registry::open(&binary);
    let client = Client::new(RegistrySettings::default(), Credentials::none()).unwrap();
    let problem = client.log_in(&open.host(), &login("any")).await.unwrap_err();
    assert!(problem.cause.as_str().contains("asks for no login"), "{problem}");
}

/// A worker for which every registry is a source.
fn worker_over_registries(lists: &std::path::Path) -> (lighterman::work::Worker, tokio::sync::mpsc::Receiver<lighterman::flow::Msg>) {
    use lighterman::model::{Locator, Powers, Safe, SourceId, SourceInfo, SourceKind};
    use lighterman::source::Source;
    use lighterman::source::credentials::Credentials;
    use lighterman::source::registry::{Client, RegistrySettings, RegistrySource, Timers};
    use lighterman::work::journal::Journal;
    use lighterman::work::{Env, Found, KnownLists, Table, Worker};
    let timers = Timers { tries: 1, ..Timers::default() };
    let client = Client::new(RegistrySettings { timers, ..RegistrySettings::default() }, Credentials::none()).unwrap();
    let open = move |locator: &Locator| {
        let host = locator.name.as_ref().unwrap().raw().to_owned();
        let info = SourceInfo {
            id: SourceId::registry(&host),
            kind: SourceKind::Registry,
            name: Safe::new(&host),
            place: Safe::new(&host),
            why: Safe::new("named"),
            powers: Powers::REGISTRY,
            read_only: false,
        };
        let source: Arc<dyn Source> = Arc::new(RegistrySource::new(client.clone(), &host));
        Ok(Found {
            info,
            make: Arc::new(move || {
                let source = Arc::clone(&source);
                Box::pin(async move { Ok(source) })
            }),
        })
    };
    let table = Table::new(Arc::new(Vec::new), Arc::new(open));
    Worker::new(Arc::new(Env::new(table, KnownLists::new(lists.to_owned()), Journal::new(lists))))
}

/// What the deck's key for it does: each local tag against its registry, and one that is down keeps no other from answering.
#[tokio::test]
async fn local_tags_are_compared_with_every_registry_they_name() {
    use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
    use lighterman::model::{Drift, LocalTag, Name, ProblemKind};
    let test = "local_tags_are_compared_with_every_registry_they_name";
    let Some(binary) = common::require(test, "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let (registry, mut dead) = (Registry::open(&binary), Registry::open(&binary));
    let program = program(&registry, "");
    let at = |rest: &str| format!("docker://{}/{rest}", registry.host());
    let digest: Digest = program.json(&["copy", &image(&program), &at("team/app:same")])["digest"].as_str().unwrap().parse().unwrap();
    program.run(&["tag", &at("team/app:same"), &at("team/app:moved")]).ended(0);
    dead.kill();
    let (mut worker, mut messages) = worker_over_registries(&program.home().join("lists"));
    let tag = |host: &str, tag: &str, digests: &[&Digest]| {
        let names = digests.iter().map(|digest| Name::new(&format!("{host}/team/app@{digest}"))).collect();
        LocalTag { name: Name::new(&format!("{host}/team/app:{tag}")), id: Digest::sha256(tag.as_bytes()), repo_digests: names }
    };
    let (here, old) = (registry.host(), Digest::sha256(b"old"));
    let tags = vec![
        tag(&here, "same", &[&old, &digest]),
        tag(&here, "moved", &[&old]),
        tag(&here, "gone", &[&digest]),
        tag(&here, "local", &[]),
        tag(&dead.host(), "any", &[]),
        LocalTag { name: Name::new("Not A Name"), id: old.clone(), repo_digests: Vec::new() },
    ];
    worker.start(JobId(1), Job::Drift { tags: tags.clone() });
    let mut found = std::collections::BTreeMap::new();
    loop {
        match messages.recv().await.unwrap() {
            Msg::Job(_, JobEvent::Chunk(JobOutput::Drift(answers))) => found.extend(answers),
            Msg::Job(_, JobEvent::Done(JobOutput::Told)) => break,
            Msg::Job(_, JobEvent::Progress(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let of = |n: usize| found.get(&tags[n]).unwrap().clone();
    assert_eq!((of(0), of(1), of(2), of(3)), (Ok(Drift::Same), Ok(Drift::Moved(digest)), Ok(Drift::Gone), Ok(Drift::OnlyHere)),);
    assert_eq!(of(4).unwrap_err().kind, ProblemKind::Unreachable);
    assert!(of(5).is_err());
}

/// What the clean-up asks: an image can be pulled again where one registry has the very digest, whatever became of its tag.
#[tokio::test]
async fn images_that_can_be_pulled_again_are_found_by_digest() {
    use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
    use lighterman::model::{Name, ProblemKind};
    let Some(binary) = common::require("images_that_can_be_pulled_again_are_found_by_digest", "LIGHTERMAN_TEST_REGISTRY_BIN") else {
        return;
    };
    let (registry, mut dead) = (Registry::open(&binary), Registry::open(&binary));
    let program = program(&registry, "");
    let to = format!("docker://{}/team/app:v1", registry.host());
    let there: Digest = program.json(&["copy", &image(&program), &to])["digest"].as_str().unwrap().parse().unwrap();
    dead.kill();
    let (mut worker, mut messages) = worker_over_registries(&program.home().join("lists"));
    let (gone, id) = (Digest::sha256(b"gone"), |n: u8| Digest::sha256(&[n]));
    let name = |host: &str, digest: &Digest| Name::new(&format!("{host}/team/app@{digest}"));
    let (here, down) = (registry.host(), dead.host());
    let images = vec![
        (id(0), vec![name(&here, &there)]),
        (id(1), vec![name(&here, &gone)]),
        (id(2), vec![name(&down, &there), name(&here, &there)]),
        (id(3), vec![name(&down, &there), name(&here, &gone)]),
    ];
    worker.start(JobId(1), Job::Pullable { images });
    let mut found = std::collections::BTreeMap::new();
    loop {
        match messages.recv().await.unwrap() {
            Msg::Job(_, JobEvent::Chunk(JobOutput::Pullable(answers))) => found.extend(answers),
            Msg::Job(_, JobEvent::Done(JobOutput::Told)) => break,
            Msg::Job(_, JobEvent::Progress(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let of = |n: u8| found[&id(n)].clone();
    assert_eq!((of(0), of(1), of(2)), (Ok(true), Ok(false), Ok(true)));
    assert_eq!(of(3).unwrap_err().kind, ProblemKind::Unreachable, "not told is not gone");
}

/// What a quarantine reads: where the tags of a repository lead, and of each image there the layers by both of their digests.
#[tokio::test]
async fn the_layers_of_a_repository_are_read_by_every_digest_they_have() {
    use lighterman::flow::job::InRepository;
    use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
    use lighterman::model::{Completeness, Found, ProblemKind, SourceId};
    let Some(binary) = common::require("the_layers_of_a_repository_are_read_by_every_digest_they_have", "LIGHTERMAN_TEST_REGISTRY_BIN")
    else {
        return;
    };
    let registry = Registry::open(&binary);
    let program = program(&registry, "");
    let at = |rest: &str| format!("docker://{}/{rest}", registry.host());
    let digest: Digest = program.json(&["copy", &image(&program), &at("team/app:v1")])["digest"].as_str().unwrap().parse().unwrap();
    program.run(&["tag", &at("team/app:v1"), &at("team/app:v2")]).ended(0);
    let (mut worker, mut messages) = worker_over_registries(&program.home().join("lists"));
    let gone = Digest::sha256(b"gone");
    let remote = InRepository {
        source: SourceId::registry(&registry.host()),
        repository: "team/app".into(),
        tags: Some(vec!["v1".into(), "v2".into()]),
        digests: vec![gone.clone()],
    };
    // The same image again under another roof, whose tags are not known yet; and a repository that is not there.
    program.run(&["copy", &at("team/app:v1"), &at("other/app:v1")]).ended(0);
    let other = |name: &str| InRepository { repository: name.into(), tags: None, digests: vec![], ..remote.clone() };
    let all = vec![remote.clone(), other("other/app"), other("no/such")];
    worker.start(JobId(1), Job::Trace { local: None, remote: all });
    let (mut tags, mut found, mut reads, mut ended) = (Vec::new(), std::collections::BTreeMap::new(), 0, std::collections::BTreeMap::new());
    let mut elsewhere = Vec::new();
    loop {
        match messages.recv().await.unwrap() {
            Msg::Job(_, JobEvent::Chunk(JobOutput::Found(all))) => {
                for (at, piece) in all {
                    match piece {
                        Found::Tags(told) => {
                            let told = told.into_iter().map(|(tag, details)| (tag, details.unwrap().digest));
                            if at == 0 { tags.extend(told) } else { elsewhere.extend(told) }
                        }
                        Found::Stacks(stacks) => {
                            reads += stacks.len();
                            found.extend(stacks.into_iter().map(|stack| (stack.digest.clone(), stack)));
                        }
                        Found::Listed { tags, completeness } => assert_eq!((at, tags, completeness), (1, 1, Completeness::Complete)),
                        Found::Ended(how) => assert_eq!(ended.insert(at, how), None, "it ends once"),
                    }
                }
            }
            Msg::Job(_, JobEvent::Done(JobOutput::Told)) => break,
            Msg::Job(_, JobEvent::Progress(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    tags.sort();
    assert_eq!(tags, [("v1".to_owned(), digest.clone()), ("v2".to_owned(), digest.clone())]);
    assert_eq!(elsewhere, [("v1".to_owned(), digest.clone())]);
    assert!(ended[&0].is_ok() && ended[&1].is_ok());
    assert_eq!(ended[&2].as_ref().unwrap_err().kind, ProblemKind::NotFound, "and kept no other from being read");
    assert!(found.len() == 2 && reads <= 3, "each digest is read once in each repository at most: {reads}");
    assert!(found[&gone].layers.is_err(), "what is gone keeps nothing else from being read");
    let layers = found[&digest].layers.clone().unwrap();
    assert!(!layers.is_empty() && layers.iter().all(|(stored, tar)| stored.is_some() && tar.is_some()), "{layers:?}");
}

/// The next run shows what this one saw, also where the registry is gone meanwhile.
#[tokio::test]
async fn names_are_kept_for_the_next_run() {
    use lighterman::flow::{Job, JobEvent, JobId, JobOutput, Msg};
    use lighterman::model::SourceId;
    let Some(binary) = common::require("names_are_kept_for_the_next_run", "LIGHTERMAN_TEST_REGISTRY_BIN") else { return };
    let mut registry = Registry::open(&binary);
    let program = program(&registry, "");
    program.run(&["copy", &image(&program), &format!("docker://{}/team/app:v1", registry.host())]).ended(0);
    let (lists, source) = (program.home().join("lists"), SourceId::registry(&registry.host()));
    let jobs = [Job::Repositories { source: source.clone() }, Job::Tags { source, repository: "team/app".into() }];
    for (n, job) in jobs.iter().enumerate() {
        let (mut worker, mut messages) = worker_over_registries(&lists);
        worker.start(JobId(n as u64), job.clone());
        while !matches!(messages.recv().await.unwrap(), Msg::Job(_, JobEvent::Done(JobOutput::Listed(_)))) {}
        assert!(worker.stop(messages, std::time::Duration::from_secs(5)).await);
    }
    let written =
        || std::fs::read_dir(&lists).map_or(0, |files| files.filter(|file| file.as_ref().unwrap().path().extension().is_some()).count());
    while written() < 2 {
        tokio::task::yield_now().await;
    }
    registry.kill();
    for job in jobs {
        let (mut worker, mut messages) = worker_over_registries(&lists);
        worker.start(JobId(9), job);
        match messages.recv().await.unwrap() {
            Msg::Job(_, JobEvent::Chunk(JobOutput::KnownRepositories(rows))) => assert_eq!(rows[0].name.raw(), "team/app"),
            Msg::Job(_, JobEvent::Chunk(JobOutput::KnownTags(rows))) => assert_eq!(rows[0].tag.raw(), "v1"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(messages.recv().await.unwrap(), Msg::Job(_, JobEvent::Failed(_))));
    }
}
