//! Which engines there may be, the one to use first: a pure function of what surrounds the program (environment, home, files).
//!
//! The order is the docker command's: an address that was asked for, a context that was asked for, `DOCKER_HOST`, `DOCKER_CONTEXT`, the
//! config's `currentContext`; then the other contexts, and the sockets that are there. Facts: docker/cli `cli/command/cli.go`,
//! `cli/context/store`; podman-system-service(1).

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::contexts::Contexts;
use super::endpoint::{Endpoint, Host, Tls};
use crate::model::{Problem, ProblemKind, Safe};

/// Longest file and most directory entries that are read.
pub(super) const LONGEST_FILE: u64 = 1 << 20;
const MOST_ENTRIES: usize = 1000;
/// The docker command's context without a file of its own, and where its engine listens.
const DEFAULT: &str = "default";
const SOCKET: &str = "/var/run/docker.sock";

/// The files around us, as far as discovery looks at them.
pub trait Files {
    /// A whole file of at most 1 MiB.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// Names in a directory, at most a thousand.
    fn list(&self, path: &Path) -> Vec<PathBuf>;
    /// Whether something is there (also when we may not look closer).
    fn exists(&self, path: &Path) -> bool;
}

/// The real file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        use std::io::{Error, ErrorKind};
        if !std::fs::metadata(path)?.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST_FILE {
            return Err(Error::new(ErrorKind::FileTooLarge, "longer than 1 MiB"));
        }
        Ok(bytes)
    }

    fn list(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).take(MOST_ENTRIES).collect();
        paths.sort();
        paths
    }

    fn exists(&self, path: &Path) -> bool {
        std::fs::metadata(path).map_or_else(|error| error.kind() != std::io::ErrorKind::NotFound, |_| true)
    }
}

/// What discovery may look at.
pub struct Surroundings<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub home: Option<PathBuf>,
    pub files: &'a dyn Files,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Surroundings<'_> {
    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
    }

    fn docker_dir(&self) -> Option<PathBuf> {
        self.variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `--host`: an address, or the name of a context.
    pub host: Option<String>,
    /// `--context`: the name of a context, and nothing else. Holds over `host`.
    pub context: Option<String>,
    /// Plain TCP to other machines is allowed.
    pub insecure: bool,
}

/// One row of what was found. Where the endpoint can't be used, the problem says why; others are not touched by that.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub name: Safe,
    pub why: Safe,
    pub endpoint: Result<Endpoint, Problem>,
    pub standing: Standing,
}

/// What speaks for using an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The user named it (on the command line, in the environment, as the current context), so it is wanted even when nobody answers.
    Wanted,
    /// Nobody named it, but its socket is where engines listen: it is used when it answers.
    Found,
    /// Another context, which is used only when it is asked for.
    Offered,
}

impl Candidate {
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.standing == Standing::Wanted
    }

    /// Whether it may be used without being asked for by name now.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.standing != Standing::Offered
    }
}

/// Everything that may be an engine; the current one first. No engine is asked and nothing is connected.
#[must_use]
pub fn discover(around: &Surroundings<'_>, wish: &Wish) -> Vec<Candidate> {
    let mut found =
        Search { around, insecure: wish.insecure, contexts: Contexts::new(around.docker_dir(), around.files), found: Vec::new() };
    found.current(wish);
    found.container_host();
    found.other_contexts();
    found.sockets();
    found.found
}

struct Search<'a> {
    around: &'a Surroundings<'a>,
    insecure: bool,
    contexts: Contexts<'a>,
    found: Vec<Candidate>,
}

impl Search<'_> {
    /// The one the docker command would use, if anything names it.
    fn current(&mut self, wish: &Wish) {
        if let Some(name) = &wish.context {
            if name == DEFAULT {
                self.default_context("--context");
            } else {
                self.context(name, "--context");
            }
            return;
        }
        if let Some(host) = &wish.host {
            if host.contains("://") {
                self.address(host, host, "--host");
            } else {
                self.context(host, "--host");
            }
            return;
        }
        if let Some(host) = self.around.variable("DOCKER_HOST") {
            self.address(&host, "docker", "DOCKER_HOST");
            return;
        }
        if let Some(name) = self.around.variable("DOCKER_CONTEXT") {
            self.context(&name, "DOCKER_CONTEXT");
            return;
        }
        match self.contexts.current() {
            Ok(Some(name)) => self.context(&name, "current context"),
            Ok(None) => {}
            Err(problem) => self.push("docker config", "current context", Err(problem), Standing::Wanted),
        }
    }

    /// The docker command's own context, which no file describes: `DOCKER_HOST`, else the usual socket.
    fn default_context(&mut self, why: &str) {
        let host = self.around.variable("DOCKER_HOST").unwrap_or_else(|| format!("unix://{SOCKET}"));
        self.address(&host, DEFAULT, why);
    }

    fn address(&mut self, address: &str, name: &str, why: &str) {
        let tls = self.tls();
        let endpoint = tls.and_then(|tls| Endpoint::parse(address, name, why, tls, self.insecure));
        self.push(name, why, endpoint, Standing::Wanted);
    }

    /// TLS material of the environment.
    fn tls(&self) -> Result<Option<Tls>, Problem> {
        if self.around.variable("DOCKER_TLS_VERIFY").is_none() {
            return match self.around.variable("DOCKER_TLS") {
                None => Ok(None),
                Some(_) => Err(Problem::new(ProblemKind::Unsupported, "use DOCKER_TLS", "it asks for TLS that checks no certificate")
                    .hint("set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH instead")),
            };
        }
        let dir = self.around.variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| self.around.docker_dir());
        Ok(Some(dir.map(|dir| Tls::in_dir(&dir, &|file| self.around.files.exists(file))).unwrap_or_default()))
    }

    fn context(&mut self, name: &str, why: &str) {
        if name == DEFAULT {
            return;
        }
        let endpoint = self.contexts.named(name, why, self.insecure);
        self.push(name, why, endpoint, Standing::Wanted);
    }

    /// Podman's own variable: as good a wish as docker's, which goes before it.
    fn container_host(&mut self) {
        if let Some(host) = self.around.variable("CONTAINER_HOST") {
            let mut endpoint = Endpoint::parse(&host, "podman", "CONTAINER_HOST", None, self.insecure);
            if let Ok(Endpoint { host: Host::Ssh(ssh), .. }) = &mut endpoint {
                ssh.podman = true;
            }
            self.push("podman", "CONTAINER_HOST", endpoint, Standing::Wanted);
        }
    }

    fn other_contexts(&mut self) {
        for (name, endpoint) in self.contexts.all(self.insecure) {
            self.push(&name, "context", endpoint, Standing::Offered);
        }
    }

    fn sockets(&mut self) {
        let home = self.around.home.clone();
        let runtime = self.around.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        let below = |dir: &Option<PathBuf>, rest: &str| dir.as_ref().map(|dir| dir.join(rest));
        let places = [
            (Some(PathBuf::from(SOCKET)), "docker", "default socket"),
            (below(&runtime, "docker.sock"), "rootless", "rootless socket"),
            (below(&home, ".docker/run/docker.sock"), "docker", "socket in the home directory"),
            (below(&home, ".docker/desktop/docker.sock"), "desktop", "Docker Desktop's socket"),
            (below(&runtime, "podman/podman.sock"), "podman", "Podman's socket of this user"),
            (Some(PathBuf::from("/run/podman/podman.sock")), "podman (root)", "Podman's socket"),
        ];
        for (path, name, why) in places {
            if let Some(path) = path.filter(|path| path.is_absolute() && self.around.files.exists(path)) {
                let endpoint = Endpoint::parse(&format!("unix://{}", path.display()), name, why, None, false);
                self.push(name, why, endpoint, Standing::Found);
            }
        }
    }

    /// Adds a row, unless the same engine or the same broken context is there already.
    fn push(&mut self, name: &str, why: &str, endpoint: Result<Endpoint, Problem>, standing: Standing) {
        let name = Safe::new(name);
        let known = self.found.iter().any(|other| match (&other.endpoint, &endpoint) {
            (Ok(one), Ok(two)) => plain(&one.id.0) == plain(&two.id.0),
            (Err(_), Err(_)) => other.name == name,
            _ => false,
        });
        if !known {
            self.found.push(Candidate { name, why: Safe::new(why), endpoint, standing });
        }
    }
}

/// `/var/run` is `/run` on every system that has both.
fn plain(id: &str) -> String {
    id.replacen("unix:///var/run/", "unix:///run/", 1)
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
