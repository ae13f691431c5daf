//! Discovery over injected surroundings: no environment, home or socket of the machine is seen.

use std::collections::BTreeMap;

use super::*;
use crate::model::Digest;

/// A small world: files by path, and variables.
#[derive(Default)]
struct World {
    files: BTreeMap<PathBuf, Vec<u8>>,
    variables: BTreeMap<String, String>,
}

impl Files for World {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(std::io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > LONGEST_FILE { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.clone()) }
    }

    fn list(&self, path: &Path) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            self.files.keys().filter_map(|file| Some(path.join(file.strip_prefix(path).ok()?.components().next()?))).collect();
        found.dedup();
        found
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }
}

impl World {
    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    fn context(self, name: &str, meta: &str) -> Self {
        let id = Digest::sha256(name.as_bytes());
        self.file(&format!("/h/.docker/contexts/meta/{}/meta.json", id.hex()), meta)
    }

    fn engine(self, name: &str, address: &str) -> Self {
        self.context(
            name,
            &format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{address}","SkipTLSVerify":false}}}}}}"#),
        )
    }

    fn discover(&self, wish: &Wish) -> Vec<Candidate> {
        let variable = |name: &str| self.variables.get(name).map(OsString::from);
        discover(&Surroundings { variable: &variable, home: Some("/h".into()), files: self }, wish)
    }

    fn rows(&self) -> Vec<String> {
        self.discover(&Wish::default()).iter().map(row).collect()
    }
}

fn row(candidate: &Candidate) -> String {
    let what = candidate.endpoint.as_ref().map_or_else(|problem| format!("{:?}", problem.kind), Endpoint::address);
    format!("{} | {what} | {}", candidate.name, candidate.why)
}

#[test]
fn nothing_there_is_nothing_found() {
    assert!(World::default().rows().is_empty());
}

#[test]
fn the_sockets_that_are_there_are_found_in_order() {
    let world = World::default()
        .set("XDG_RUNTIME_DIR", "/run/user/1000")
        .file("/run/podman/podman.sock", "")
        .file("/var/run/docker.sock", "")
        .file("/run/user/1000/podman/podman.sock", "")
        .file("/h/.docker/desktop/docker.sock", "");
    assert_eq!(
        world.rows(),
        [
            "docker | unix:///var/run/docker.sock | default socket",
            "desktop | unix:///h/.docker/desktop/docker.sock | Docker Desktop's socket",
            "podman | unix:///run/user/1000/podman/podman.sock | Podman's socket of this user",
            "podman (root) | unix:///run/podman/podman.sock | Podman's socket",
        ]
    );
}

#[test]
fn what_was_asked_for_comes_first_and_once() {
    let world = World::default()
        .file("/var/run/docker.sock", "")
        .file("/h/.docker/config.json", r#"{"currentContext":"work"}"#)
        .engine("work", "unix:///run/docker.sock")
        .engine("lab", "ssh://me@lab");
    assert_eq!(world.rows(), ["work | unix:///run/docker.sock | current context", "lab | ssh://me@lab | context"]);
    let by_context = world.set("DOCKER_CONTEXT", "lab");
    assert_eq!(by_context.rows(), ["lab | ssh://me@lab | DOCKER_CONTEXT", "work | unix:///run/docker.sock | context"]);
    let by_host = by_context.set("DOCKER_HOST", "unix:///mine.sock");
    assert_eq!(by_host.rows()[0], "docker | unix:///mine.sock | DOCKER_HOST");
    let wish = Wish { host: Some("tcp://127.0.0.1:9".into()), ..Wish::default() };
    assert_eq!(row(&by_host.discover(&wish)[0]), "tcp://127.0.0.1:9 | tcp://127.0.0.1:9 | --host");
    let wish = Wish { host: Some("lab".into()), ..Wish::default() };
    assert_eq!(row(&by_host.discover(&wish)[0]), "lab | ssh://me@lab | --host");
    assert!(by_host.discover(&wish)[0].is_wanted());
}

#[test]
fn a_context_that_is_asked_for_is_a_context_and_nothing_else() {
    let id = Digest::sha256(b"store");
    let tls = |file: &str| format!("/h/.docker/contexts/tls/{}/docker/{file}", id.hex());
    // What the environment says of other engines must not get in.
    let world = World::default()
        .set("DOCKER_HOST", "unix:///mine.sock")
        .set("DOCKER_TLS_VERIFY", "1")
        .set("DOCKER_CERT_PATH", "/certs")
        .file("/certs/ca.pem", "")
        .engine("store", "tcp://far:2376")
        .file(&tls("ca.pem"), "")
        .file(&tls("cert.pem"), "")
        .file(&tls("key.pem"), "");
    let asked = |name: &str| world.discover(&Wish { context: Some(name.into()), ..Wish::default() });
    let found = asked("store");
    assert_eq!((row(&found[0]).as_str(), found[0].standing), ("store | tcp://far:2376 | --context", Standing::Wanted));
    let material = found[0].endpoint.clone().unwrap().tls.unwrap();
    assert_eq!(material, Tls { ca: Some(tls("ca.pem").into()), cert: Some(tls("cert.pem").into()), key: Some(tls("key.pem").into()) });
    for (name, kind) in [("gone", ProblemKind::NotFound), ("unix:///x.sock", ProblemKind::Usage), ("../store", ProblemKind::Usage)] {
        assert_eq!(asked(name)[0].endpoint.as_ref().unwrap_err().kind, kind, "{name}");
        assert!(asked(name)[0].is_wanted());
    }
    assert_eq!(row(&asked("default")[0]), "default | unix:///mine.sock | --context");
    let plain = World::default().file("/h/.docker/config.json", r#"{"currentContext":"work"}"#).engine("work", "unix:///work.sock");
    let found = plain.discover(&Wish { context: Some("default".into()), ..Wish::default() });
    assert_eq!(row(&found[0]), "default | unix:///var/run/docker.sock | --context");
    assert_eq!((row(&found[1]).as_str(), found[1].is_automatic()), ("work | unix:///work.sock | context", false));
}

#[test]
fn a_broken_config_or_context_is_one_row_and_spoils_no_other() {
    let huge = format!("{{\"auths\":\"{}\"}}", "x".repeat(10 << 20));
    for (config, kind) in
        [("{", "Usage"), (r#"{"currentContext":7}"#, "Usage"), (huge.as_str(), "Limit"), (r#"{"currentContext":"../x"}"#, "Usage")]
    {
        let world =
            World::default().file("/h/.docker/config.json", config).file("/var/run/docker.sock", "").engine("ok", "unix:///ok.sock");
        let rows = world.rows();
        assert!(rows[0].ends_with("current context") && rows[0].contains(kind), "{rows:?}");
        assert_eq!(rows[1..], ["ok | unix:///ok.sock | context", "docker | unix:///var/run/docker.sock | default socket"]);
    }
    let world = World::default()
        .context("bad1", "[]")
        .context("bad2", r#"{"Name":"bad2","Endpoints":{"docker":{"Host":5}}}"#)
        .context("bad3", r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///x.sock"}}}"#)
        .context("bad4", r#"{"Name":"bad4","Endpoints":{"docker":{"Host":"tcp://far:1","SkipTLSVerify":true}}}"#)
        .engine("fine", "unix:///fine.sock");
    let rows = world.discover(&Wish::default());
    assert_eq!(rows.len(), 5);
    assert_eq!(rows.iter().filter(|row| row.endpoint.is_ok()).count(), 1);
}

#[test]
fn an_absent_context_is_named() {
    let rows = World::default().set("DOCKER_CONTEXT", "gone").discover(&Wish::default());
    assert_eq!(rows[0].endpoint.as_ref().unwrap_err().kind, ProblemKind::NotFound);
}

#[test]
fn tls_material_comes_from_where_docker_keeps_it() {
    let world = World::default().set("DOCKER_HOST", "tcp://far:2376").set("DOCKER_TLS_VERIFY", "1").set("DOCKER_CERT_PATH", "/certs");
    let world = world.file("/certs/ca.pem", "").file("/certs/cert.pem", "").file("/certs/key.pem", "");
    let tls = world.discover(&Wish::default())[0].endpoint.clone().unwrap().tls.unwrap();
    assert_eq!(tls.key, Some("/certs/key.pem".into()));
    let plain = World::default().set("DOCKER_HOST", "tcp://far:2376");
    assert_eq!(plain.discover(&Wish::default())[0].endpoint.as_ref().unwrap_err().kind, ProblemKind::Denied);
    let id = Digest::sha256(b"tls");
    let world = World::default().engine("tls", "tcp://far:2376").file(&format!("/h/.docker/contexts/tls/{}/docker/ca.pem", id.hex()), "");
    let tls = world.discover(&Wish::default())[0].endpoint.clone().unwrap().tls.unwrap();
    assert!(tls.ca.is_some() && tls.cert.is_none());
}

#[test]
fn podmans_own_variable_is_heard() {
    let rows = World::default().set("CONTAINER_HOST", "ssh://me@far/run/podman/podman.sock").discover(&Wish::default());
    assert!(matches!(&rows[0].endpoint.as_ref().unwrap().host, Host::Ssh(ssh) if ssh.podman));
    // Named by the user, it goes before what is merely there, and after what docker would use.
    let world = World::default().set("CONTAINER_HOST", "unix:///p.sock").file("/var/run/docker.sock", "").engine("lab", "ssh://me@lab");
    assert_eq!(
        world.rows(),
        [
            "podman | unix:///p.sock | CONTAINER_HOST",
            "lab | ssh://me@lab | context",
            "docker | unix:///var/run/docker.sock | default socket",
        ]
    );
    assert_eq!(
        world.set("DOCKER_CONTEXT", "lab").rows()[..2],
        ["lab | ssh://me@lab | DOCKER_CONTEXT", "podman | unix:///p.sock | CONTAINER_HOST"]
    );
}
