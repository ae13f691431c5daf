//! Registries over HTTP: what the embedded store pulls and pushes with, and `docker://` on the command line.
//!
//! Types and the reference grammar come from `oci_distribution`; its client is not used for any verb, because (measured on
//! loopback) it panics on hostile headers, sends credentials to foreign realms, and has neither timeouts nor retries. A file each:
//!
//! | file | what it holds |
//! |---|---|
//! | `http` | the one way a request leaves: redirects, timeouts, cancel, authorization, retries |
//! | `auth`, `challenge` | Basic, Bearer and identity tokens; where credentials may go |
//! | `retry` | which answers are tried again, and when |
//! | `body`, `errors` | bounded, stall-proof reading; a registry's errors in words |
//! | `manifests`, `blobs`, `upload` | the verbs |
//! | `paging`, `names` | lists of repositories and tags, page by page and parsed while they arrive |
//! | `source` | [`RegistrySource`]: one registry as a [`crate::source::Source`] |
//!
//! May use model and the formats of `source`; must not name a screen. Everything a registry says is hostile: sizes are bounded,
//! digests checked, names parsed before they reach a URL.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::model::{Platform, Problem, ProblemKind, Reference};
use crate::source::credentials::Credentials;

mod auth;
mod blobs;
mod body;
mod challenge;
mod errors;
mod http;
mod manifests;
mod names;
mod paging;
mod retry;
mod source;
mod upload;

pub use blobs::Fetched;
pub use manifests::{RemoteManifest, Stat};
pub use source::RegistrySource;
pub(crate) use source::{is_runnable, no_platform};
pub use upload::{Feed, Uploaded};

/// How long a registry may take over what. There is no limit on a whole transfer, only on standing still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    pub connect: Duration,
    /// From the request's last byte to the answer's first.
    pub header: Duration,
    /// Within this time at least [`Timers::least`] bytes have to move.
    pub no_progress: Duration,
    pub least: u64,
    /// Tries of one request, the first included.
    pub tries: u32,
    /// The first wait between tries, doubled each time and drawn from zero to that.
    pub backoff: Duration,
    /// A longer wait asked for by `Retry-After` ends in a problem that says when to come back.
    pub longest_wait: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            header: Duration::from_secs(60),
            no_progress: Duration::from_secs(30),
            least: 1024,
            tries: 5,
            backoff: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// What the configuration says about registries.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Hosts (`name` or `name:port`) that are spoken to in plain HTTP. Loopback hosts with a port always are.
    pub insecure: Vec<String>,
    /// Pairs of registry host and realm host which may get that registry's credentials although the names differ.
    pub trusted_realms: Vec<(String, String)>,
    pub timers: Timers,
    /// The clock, for `Retry-After` dates.
    pub now: fn() -> Timestamp,
}

#[expect(clippy::disallowed_methods, reason = "the default clock; whoever has another one sets it")]
fn system_clock() -> Timestamp {
    Timestamp::now()
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            trusted_realms: vec![
                ("docker.io".to_owned(), "auth.docker.io".to_owned()),
                ("registry.gitlab.com".to_owned(), "gitlab.com".to_owned()),
            ],
            timers: Timers::default(),
            now: system_clock,
        }
    }
}

/// A client for any number of registries, cheap to clone. Tokens and back-off are shared by all clones.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: RegistrySettings,
    http: reqwest::Client,
    /// Whether the system's certificates could be loaded; without them only plain HTTP works.
    has_roots: bool,
    auth: auth::Authority,
    /// Until when a host asked to be left alone.
    quiet: Mutex<HashMap<String, tokio::time::Instant>>,
}

impl Client {
    /// # Errors
    /// When no HTTP client can be set up at all.
    pub fn new(settings: RegistrySettings, credentials: Credentials) -> Result<Self, Problem> {
        // A second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("lighterman/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(settings.timers.connect)
                .pool_idle_timeout(Duration::from_secs(30))
                .tcp_keepalive(Duration::from_secs(30))
        };
        let (http, has_roots) = match builder().build() {
            Ok(client) => (client, true),
            Err(_no_certificates) => {
                let client = builder()
                    .tls_certs_only(Vec::new())
                    .build()
                    .map_err(|error| Problem::new(ProblemKind::Other, "set up the registry client", errors::chain(&error.without_url())))?;
                (client, false)
            }
        };
        Ok(Self(Arc::new(Inner { auth: auth::Authority::new(credentials), settings, http, has_roots, quiet: Mutex::default() })))
    }

    pub fn settings(&self) -> &RegistrySettings {
        &self.0.settings
    }
}

/// A repository of a registry, its name checked against the grammar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repo {
    /// As in a reference: `docker.io`, `localhost:5000`.
    host: String,
    name: String,
}

impl Repo {
    /// # Errors
    /// A reference whose parts don't fit a URL.
    pub fn of(reference: &Reference) -> Result<Self, Problem> {
        let bad = |cause: &str| Problem::new(ProblemKind::Usage, format!("use {reference}"), cause);
        let (host, name) = (reference.registry(), reference.repository());
        let named = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b));
        if !named || name.is_empty() || name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(bad("the repository's name is outside the grammar"));
        }
        check_host(host).map_err(bad)?;
        Ok(Self { host: host.to_owned(), name: name.to_owned() })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `host/name`, for words.
    pub fn full(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }
}

/// Whether a registry's name is fit for a URL.
fn check_host(host: &str) -> Result<(), &'static str> {
    let fit = !host.is_empty() && host.len() <= 260 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    if fit { Ok(()) } else { Err("the registry's name is not a host") }
}

/// What a reference points at within its repository: the digest where it has one, else the tag.
pub fn target(reference: &Reference) -> &str {
    reference.digest().or_else(|| reference.tag()).unwrap_or("latest")
}

/// Picks the platform of an index to work with: `wanted`, exactly or in any variant; no silent second choice.
pub fn pick<'a, T>(children: &'a [T], platform: impl Fn(&T) -> Option<&Platform>, wanted: &Platform) -> Option<&'a T> {
    let serves = |child: &&T| platform(child).is_some_and(|p| p.serves(wanted));
    let exact = |child: &&T| platform(child) == Some(wanted);
    // amd64 and the first variant of arm64 are often spelled without their variant.
    children
        .iter()
        .find(exact)
        .or_else(|| children.iter().filter(serves).find(|c| platform(c).is_some_and(|p| p.variant.is_none())))
        .or_else(|| children.iter().find(serves))
}

impl Inner {
    fn timers(&self) -> &Timers {
        &self.settings.timers
    }

    /// Whether `host` (with or without its port) is named insecure.
    fn is_insecure(&self, host: &str) -> bool {
        let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
        self.settings.insecure.iter().any(|named| named == host || named == bare)
    }

    /// The base URL of `host`'s API.
    fn base(&self, host: &str) -> Result<Url, Problem> {
        let doing = || format!("reach the registry {host}");
        let real = if host == "docker.io" || host == "index.docker.io" { "registry-1.docker.io" } else { host };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{real}/v2/"))
                .map_err(|error| Problem::new(ProblemKind::Usage, doing(), format!("the host's name is not valid: {error}")))
        };
        let https = parse("https")?;
        let plain = self.is_insecure(host) || (http::is_loopback(&https) && https.port().is_some_and(|port| port != 443));
        if plain { parse("http") } else { Ok(https) }
    }
}
