//! Registries over HTTP: what the embedded store pulls and pushes with, and `docker://` on the command line.
//!
//! Types and the reference grammar come from `oci_distribution`; its client is not used for any verb, because (measured on
//! loopback) it panics on hostile headers, sends credentials to foreign realms, and has neither timeouts nor retries. A file each:
//!
//! | file | what it holds |
//! |---|---|
//! | `clients` | certificate authorities, client certificates and proxies by registry |
//! | `http` | the one way a request leaves: redirects, timeouts, cancel, authorization, retries |
//! | `auth`, `challenge` | Basic, Bearer and identity tokens; where credentials may go |
//! | `retry`, `quota` | which answers are tried again, and when; how much a registry still gives |
//! | `body`, `errors` | bounded, stall-proof reading; a registry's errors in words |
//! | `manifests`, `blobs`, `upload` | the verbs |
//! | `api` | what a registry's server tells beyond the specification |
//! | `partial` | what arrived of interrupted blobs, for the next run |
//! | `paging`, `names` | lists of repositories and tags, page by page and parsed while they arrive |
//! | `details`, `held`, `cache` | what tags point at, and what that holds; each digest read once |
//! | `referrers` | signatures and other things about a manifest, by API or by tag |
//! | `write`, `delete`, `survey` | tags that are put and deleted, and what would go with them |
//! | `copy`, `companions`, `relay` | images from one repository to another, and in from files |
//! | `save` | images into a layout on disk |
//! | `open` | layers to whoever reads them, without the disk |
//! | `keep` | what is kept of a repository before it is changed, and brought back after |
//! | `source`, `curator` | [`RegistrySource`]: one registry as a [`crate::source::Source`] |
//!
//! May use model and the formats of `source`; must not name a screen. Everything a registry says is hostile: sizes are bounded,
//! digests checked, names parsed before they reach a URL.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::model::remote::{companion_of, is_repository};
use crate::model::{Digest, Name, Platform, Problem, ProblemKind, Quota, Reference};
use crate::source::credentials::Credentials;

mod api;
mod auth;
mod blobs;
mod body;
mod cache;
mod challenge;
mod clients;
mod companions;
mod copy;
mod curator;
mod delete;
mod details;
mod errors;
mod held;
mod http;
mod keep;
mod labels;
mod manifests;
mod names;
mod open;
mod paging;
mod partial;
mod quota;
mod referrers;
mod relay;
mod retry;
mod save;
mod source;
mod stretch;
mod survey;
mod upload;
mod write;

pub use api::{OwnAnswer, OwnAsk};
pub use blobs::Fetched;
pub use delete::stand_in_digest;
pub use manifests::{RemoteManifest, Stat};
pub use partial::Partials;
pub use source::RegistrySource;
pub(crate) use source::{is_runnable, no_platform};
pub use survey::Survey;
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
    /// What holds for one registry, by `name:port` or `name`.
    pub hosts: BTreeMap<String, HostSettings>,
    /// Where manifests and configurations are kept by digest, for the next visit.
    pub cache: Option<PathBuf>,
    /// Where blobs that were interrupted are kept; without it they start over.
    pub partials: Option<Partials>,
    /// The clock, for `Retry-After` dates.
    pub now: fn() -> Timestamp,
}

/// What holds for one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// Blobs on their way at a time.
    pub transfers: usize,
    /// Requests about manifests and tags at a time.
    pub requests: usize,
    /// A PEM file of certificate authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate we show, and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// A proxy's address, or `none` for none; the environment's when absent.
    pub proxy: Option<String>,
    /// Hosts that are asked first for what is named by its digest, and so can't be stale or wrong.
    pub mirrors: Vec<String>,
}

impl HostSettings {
    fn needs_clients(&self) -> bool {
        self.ca.is_some() || self.client.is_some() || self.proxy.is_some()
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        Self { transfers: 4, requests: 8, ca: None, client: None, proxy: None, mirrors: Vec::new() }
    }
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
            hosts: BTreeMap::new(),
            cache: None,
            partials: None,
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
    /// For plain HTTP, and trusting nobody: made at once.
    plain: reqwest::Client,
    /// For TLS, and whether the system's certificates could be loaded. Reading them takes a while, so it is made when it is first needed.
    tls: OnceLock<(reqwest::Client, bool)>,
    /// Clients of registries with settings of their own.
    own: Mutex<HashMap<String, clients::Own>>,
    auth: auth::Authority,
    /// Until when a host asked to be left alone.
    quiet: Mutex<HashMap<String, tokio::time::Instant>>,
    /// What each host said last of how much it still gives.
    quotas: Mutex<HashMap<String, Quota>>,
    /// Turns for requests about manifests, by host.
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
    documents: cache::Documents,
    /// Whether old parts of blobs were taken away.
    swept: AtomicBool,
    known: details::Known,
    /// Digests that a signature's tag was seen for, by repository.
    signatures: Mutex<HashMap<Repo, HashSet<Digest>>>,
    /// Whether the referrers API is there, by repository.
    referrers: Mutex<HashMap<Repo, bool>>,
    /// Whether a tag can be deleted alone, by repository.
    tag_deletes: Mutex<HashMap<Repo, bool>>,
}

impl Client {
    /// # Errors
    /// When no HTTP client can be set up at all.
    pub fn new(settings: RegistrySettings, credentials: Credentials) -> Result<Self, Problem> {
        // A second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = clients::builder(&settings.timers)
            .tls_certs_only(Vec::new())
            .build()
            .map_err(|error| Problem::new(ProblemKind::Other, "set up the registry client", errors::chain(&error.without_url())))?;
        let documents = cache::Documents::new(settings.cache.as_deref(), cache::MOST);
        Ok(Self(Arc::new(Inner {
            auth: auth::Authority::new(credentials),
            settings,
            plain,
            tls: OnceLock::new(),
            own: Mutex::default(),
            quiet: Mutex::default(),
            quotas: Mutex::default(),
            turns: Mutex::default(),
            documents,
            swept: AtomicBool::new(false),
            known: details::Known::default(),
            signatures: Mutex::default(),
            referrers: Mutex::default(),
            tag_deletes: Mutex::default(),
        })))
    }

    /// Whether a host is spoken to without TLS.
    #[must_use]
    pub fn is_plain(&self, host: &str) -> bool {
        self.0.base(host).is_ok_and(|address| address.scheme() == "http")
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
    /// A repository by its name within a registry.
    ///
    /// # Errors
    /// Names that don't fit a URL.
    pub fn at(host: &str, name: &str) -> Result<Self, Problem> {
        let bad = |cause: &str| Problem::new(ProblemKind::Usage, format!("use {host}/{name}"), cause);
        check_host(host).map_err(bad)?;
        if !is_repository(name) {
            return Err(bad("the repository's name is outside the grammar"));
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned() })
    }

    /// A repository as it is typed, `HOST/NAME` or a name of Docker Hub's. A host that is plainly one spares the reference's grammar, which
    /// takes longer to set up than a registry to answer.
    ///
    /// # Errors
    /// What is no repository.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if let Some((host, name)) = text.split_once('/')
            && (host.contains(['.', ':']) || host == "localhost")
            && !host.ends_with("docker.io")
            && is_repository(name)
        {
            return Self::at(host, name);
        }
        Self::of(&Name::new(text).reference()?)
    }

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

/// A host without its port.
fn bare(host: &str) -> &str {
    host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name)
}

impl Inner {
    fn timers(&self) -> &Timers {
        &self.settings.timers
    }

    /// What holds for `host`.
    fn host(&self, host: &str) -> HostSettings {
        self.settings.hosts.get(host).or_else(|| self.settings.hosts.get(bare(host))).cloned().unwrap_or_default()
    }

    /// Waits for the turn of a request about manifests; only `None` when nobody gives turns any more.
    async fn turn(&self, host: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.host(host).requests.max(1)))))
        };
        turns.acquire_owned().await.ok()
    }

    /// Notes the signature that a tag stands for, if it does.
    fn note_signature(&self, repo: &Repo, tag: &str) {
        if let Some((digest, "sig")) = companion_of(tag) {
            let mut all = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(repo.clone()).or_default().insert(digest);
        }
    }

    /// Whether a signature was seen. That none was seen says nothing: it may be known by the referrers API only.
    fn signed(&self, repo: &Repo, digest: &Digest) -> Option<bool> {
        let all = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(repo)?.contains(digest).then_some(true)
    }

    /// Whether `host` (with or without its port) is named insecure.
    fn is_insecure(&self, host: &str) -> bool {
        self.settings.insecure.iter().any(|named| named == host || named == bare(host))
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
        let settings = self.host(host);
        let secured = settings.ca.is_some() || settings.client.is_some();
        let plain = self.is_insecure(host) || (!secured && http::is_loopback(&https) && https.port().is_some_and(|port| port != 443));
        if plain { parse("http") } else { Ok(https) }
    }
}
