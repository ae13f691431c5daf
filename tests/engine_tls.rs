//! A real engine behind TLS, which asks for a certificate.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::allow_attributes, reason = "helpers of tests; it waits within a time")]

#[path = "common/certificates.rs"]
mod certificates;
mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::images::{ImageSpec, docker_archive};
use common::program::{Program, Ran};
use rustix::process::{Pid, Signal, kill_process};

/// A dockerd of this test's own, ended with its containerd.
struct Engine {
    dir: tempfile::TempDir,
    child: Child,
    address: String,
}

impl Engine {
    /// On a free port of loopback, with `ca.pem`, `cert.pem` and `key.pem` for a client in its folder.
    fn start(program: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("lmt").tempdir().unwrap();
        certificates::certificates(dir.path(), "IP:127.0.0.1");
        std::fs::rename(dir.path().join("client.pem"), dir.path().join("cert.pem")).unwrap();
        std::fs::rename(dir.path().join("client.key"), dir.path().join("key.pem")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("tcp://127.0.0.1:{port}");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new(program)
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-p", &at("pid"), "-H", &address])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--tlsverify", "--tlscacert", &at("ca.pem"), "--tlscert", &at("server.pem"), "--tlskey", &at("server.key")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut engine = Self { dir, child, address };
        let until = Instant::now() + Duration::from_secs(60);
        while engine.run(engine.dir.path(), &["images"]).code != Some(0) {
            let ended = engine.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{}", std::fs::read_to_string(engine.dir.path().join("log")).unwrap());
        }
        engine
    }

    /// The program with the certificates in `from`.
    fn run(&self, from: &Path, args: &[&str]) -> Ran {
        let program = Program::with(&[]);
        let mut command = program.command(args);
        command.env("DOCKER_HOST", &self.address).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", from);
        command.output().unwrap().into()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        let pid = std::fs::read_to_string(file).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn an_engine_behind_tls_is_used_with_our_certificate_and_not_without() {
    let test = "an_engine_behind_tls_is_used_with_our_certificate_and_not_without";
    let Some(program) = common::require(test, "LIGHTERMAN_TEST_DOCKERD_BIN") else { return };
    let engine = Engine::start(&program);
    let ours = engine.dir.path().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar").display().to_string();
    std::fs::write(&file, docker_archive(&[ImageSpec::new("behind-tls:1").layer(&[("a", b"b")])])).unwrap();
    engine.run(&ours, &["import", &file, "--yes"]).ended(0);
    assert!(engine.run(&ours, &["images"]).ended(0).stdout.contains("behind-tls"));
    let out = folder.path().join("out.tar").display().to_string();
    engine.run(&ours, &["export", "behind-tls:1", &out]).ended(0);
    engine.run(&ours, &["delete", "behind-tls:1", "--yes"]).ended(0);
    assert!(!engine.run(&ours, &["images"]).ended(0).stdout.contains("behind-tls"));

    // Without a certificate the engine refuses us; with another authority we refuse the engine.
    let bare = tempfile::tempdir().unwrap();
    std::fs::copy(ours.join("ca.pem"), bare.path().join("ca.pem")).unwrap();
    let refused = engine.run(bare.path(), &["images"]).ended(1);
    // Of TLS 1.3 the engine says so after the handshake: whether its word or the end of the connection is seen first is not ours to say.
    let is_refused = ["certificate", "closed the connection"].iter().any(|words| refused.stderr.contains(words));
    assert!(is_refused, "{}", refused.stderr);
    let strange = tempfile::tempdir().unwrap();
    certificates::certificates(strange.path(), "IP:127.0.0.1");
    std::fs::copy(ours.join("cert.pem"), strange.path().join("cert.pem")).unwrap();
    std::fs::copy(ours.join("key.pem"), strange.path().join("key.pem")).unwrap();
    let refused = engine.run(strange.path(), &["images"]).ended(1);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}
