//! Registry credentials, from where people keep them: Docker's `config.json` (`auths`, `credHelpers`, `credsStore`) and Podman's
//! `auth.json`. No file is ever written: what a user logs in with here goes to a credential helper, where one is set, or is forgotten when
//! the program ends.
//!
//! The rules, each with a reason: a credential is looked up by exact host and port, because one that goes to another host is stolen;
//! an entry that can't be used (a helper that fails, broken base64) is an error and never a reason to try another entry; a helper's
//! name is held to a small alphabet, since it comes from a file and names a program. The crate `docker_credential` keeps none of
//! these (it drops paths of keys, waits for a helper without end and reads its output without bound, and one odd entry spoils the
//! file), so this is our own. Facts: docker/cli `cli/config`, docker-credential-helpers' protocol, containers-auth.json(5).
//!
//! May use model; async only for the file and the helper.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use zeroize::Zeroizing;

use crate::model::{LoggedIn, LoggedOut, Login, Problem, ProblemKind, Secret};

mod file;
mod helper;

/// Docker Hub's key, in files and for helpers.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What a registry wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Password {
        username: String,
        password: Secret,
    },
    /// A refresh token of the registry's token server.
    IdentityToken(Secret),
    /// A bearer token to be sent as it is.
    RegistryToken(Secret),
}

impl Credential {
    /// The value of the engines' `X-Registry-Auth` header: URL-safe base64 of a JSON document. `server` is the registry's host.
    #[must_use]
    pub fn engine_header(&self, server: &str) -> Secret {
        let server = if is_hub(server) { HUB_KEY } else { server };
        let document = match self {
            Self::Password { username, password } => {
                serde_json::json!({"username": username, "password": password.reveal(), "serveraddress": server})
            }
            Self::IdentityToken(token) => serde_json::json!({"identitytoken": token.reveal(), "serveraddress": server}),
            Self::RegistryToken(token) => serde_json::json!({"registrytoken": token.reveal(), "serveraddress": server}),
        };
        let document = Zeroizing::new(document.to_string());
        Secret::new(base64::engine::general_purpose::URL_SAFE.encode(document.as_bytes()))
    }
}

/// What a user did about a registry in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    LoggedIn(Credential),
    /// Whatever a file may hold is not used.
    LoggedOut,
}

/// Where credentials are looked for, in order. Clones share what was logged in to in this run.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
    /// `PATH`, where helpers are.
    path: OsString,
    /// By host.
    run: Arc<Mutex<HashMap<String, Session>>>,
}

impl Credentials {
    /// No credentials at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks in these files, in this order; helpers are found in `path`, which is written like the variable `PATH`.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, path: OsString) -> Self {
        Self { files, path, run: Arc::default() }
    }

    /// The places the environment names: Docker's config (`DOCKER_CONFIG` or `~/.docker`), then Podman's (`REGISTRY_AUTH_FILE`, or
    /// `$XDG_RUNTIME_DIR/containers/auth.json` and `~/.config/containers/auth.json`).
    #[must_use]
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = set("HOME").map(PathBuf::from);
        let mut files = Vec::new();
        files.extend(
            set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".docker"))).map(|dir| dir.join("config.json")),
        );
        if let Some(file) = set("REGISTRY_AUTH_FILE") {
            files.push(file.into());
        } else {
            files.extend(set("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("containers/auth.json")));
            let config = set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".config")));
            files.extend(config.map(|dir| dir.join("containers/auth.json")));
        }
        Self::new(files, set("PATH").unwrap_or_default())
    }

    /// The registries this user is logged in to, by name, each once. Reads files, asks no helper, and can block.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.files.iter().flat_map(|path| file::hosts(path)).filter(|host| is_host(host)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// What this user presents to the registry `host` (`name`, `name:port` or `[ipv6]:port`), if anything.
    ///
    /// # Errors
    /// A host that isn't one; an entry for exactly this host that can't be used, or whose helper fails or takes more than ten
    /// seconds; a file that can't be understood, when no other holds the host.
    pub async fn for_registry(&self, host: &str) -> Result<Option<Credential>, Problem> {
        let doing = doing(host);
        if !is_host(host) {
            return Err(Problem::new(ProblemKind::Usage, &doing, "that is not the name of a registry"));
        }
        match self.session(host) {
            Some(Session::LoggedIn(credential)) => return Ok(Some(credential)),
            Some(Session::LoggedOut) => return Ok(None),
            None => {}
        }
        let mut broken = None;
        for path in &self.files {
            let found = match file::read(path, &doing).await {
                Ok(Some(file)) => file.find(host, &doing)?,
                Ok(None) => continue,
                Err(problem) => {
                    broken.get_or_insert(problem);
                    continue;
                }
            };
            let credential = match found {
                file::Found::Nothing => None,
                file::Found::Credential(credential) => Some(credential),
                file::Found::Helper(name) => helper::get(&name, server(host), &self.path, &doing).await?,
            };
            if credential.is_some() {
                return Ok(credential);
            }
        }
        broken.map_or(Ok(None), Err)
    }

    fn session(&self, host: &str) -> Option<Session> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).get(run_key(host)).cloned()
    }

    /// Uses a login from now on, in this run only; with what was used in this run before, to be put back where it is refused.
    pub(crate) fn try_out(&self, host: &str, login: &Login) -> Option<Session> {
        let credential = Credential::Password { username: login.username.clone(), password: login.secret.clone() };
        self.run.lock().unwrap_or_else(PoisonError::into_inner).insert(run_key(host).to_owned(), Session::LoggedIn(credential))
    }

    pub(crate) fn put_back(&self, host: &str, before: Option<Session>) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        match before {
            Some(before) => drop(run.insert(run_key(host).to_owned(), before)),
            None => drop(run.remove(run_key(host))),
        }
    }

    /// Stores a login that was tried out, where the docker configuration names a helper for the registry. A file is never written.
    ///
    /// # Errors
    /// A helper that fails: the login holds for this run all the same.
    pub async fn store(&self, host: &str, login: &Login) -> Result<LoggedIn, Problem> {
        let doing = format!("store the login to {host}");
        let Some(name) = self.helper(host, &doing).await else { return Ok(LoggedIn::ForThisRun) };
        helper::store(&name, server(host), login, &self.path, &doing).await?;
        Ok(LoggedIn::Stored(helper::program(&name)))
    }

    /// Forgets a login: that of this run, and what the registry's helper keeps.
    ///
    /// # Errors
    /// A helper that fails: the login is not used in this run all the same.
    pub async fn forget(&self, host: &str) -> Result<LoggedOut, Problem> {
        let doing = format!("log out of {host}");
        self.put_back(host, Some(Session::LoggedOut));
        if let Some(name) = self.helper(host, &doing).await {
            helper::erase(&name, server(host), &self.path, &doing).await?;
            return Ok(LoggedOut::Erased(helper::program(&name)));
        }
        for path in &self.files {
            if let Ok(Some(file)) = file::read(path, &doing).await
                && !matches!(file.find(host, &doing), Ok(file::Found::Nothing))
            {
                return Ok(LoggedOut::InFile(path.display().to_string()));
            }
        }
        Ok(LoggedOut::Nothing)
    }

    /// The helper that the first file with a word on it names for a registry.
    async fn helper(&self, host: &str, doing: &str) -> Option<String> {
        for path in &self.files {
            if let Ok(Some(file)) = file::read(path, doing).await
                && let Ok(file::Found::Helper(name)) = file.find(host, doing)
            {
                return Some(name);
            }
        }
        None
    }
}

/// A registry as helpers know it.
fn server(host: &str) -> &str {
    if is_hub(host) { HUB_KEY } else { host }
}

/// Docker Hub goes by several names.
fn run_key(host: &str) -> &str {
    if is_hub(host) { "docker.io" } else { host }
}

fn doing(host: &str) -> String {
    format!("find the credentials for {host}")
}

fn is_hub(host: &str) -> bool {
    HUB_HOSTS.iter().any(|hub| hub.eq_ignore_ascii_case(host))
}

/// Whether `text` is a host name or address with an optional port, and nothing else.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                ("v6", rest.strip_prefix(':').or(rest.is_empty().then_some("0")))
            }
            _ => return false,
        },
        None => text.split_once(':').map_or((text, Some("0")), |(name, port)| (name, Some(port))),
    };
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
