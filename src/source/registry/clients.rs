//! The HTTP clients: one for every registry without settings of its own, and for one with a certificate authority, a client certificate or a
//! proxy two of its own, because what proves who we are to it is shown to no other host.
//!
//! A setting that can't be used is a problem at the first request: it is never passed over, least of all a certificate authority.

use std::io::Read as _;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use http::Method;
use url::Url;

use super::errors::chain;
use super::{HostSettings, Inner, Timers, bare};
use crate::model::{Problem, ProblemKind};

/// Longest file of certificates or keys.
const LONGEST: u64 = 1 << 20;
/// Instead of a proxy's address: none, whatever the environment says.
const NONE: &str = "none";

/// The clients of one registry.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// For its own host.
    home: reqwest::Client,
    /// For hosts it sends us to.
    away: reqwest::Client,
}

pub(super) fn builder(timers: &Timers) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("lighterman/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(timers.connect)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_keepalive(Duration::from_secs(30))
}

impl Inner {
    /// The client for TLS; without the system's certificates one that trusts nobody.
    pub(super) fn tls(&self) -> &(reqwest::Client, bool) {
        self.tls.get_or_init(|| builder(self.timers()).build().map_or_else(|_| (self.plain.clone(), false), |client| (client, true)))
    }

    /// A request to `url` on behalf of the registry `host`.
    pub(super) fn request(&self, host: &str, method: Method, url: &Url) -> Result<reqwest::RequestBuilder, Problem> {
        let settings = self.host(host);
        if !settings.needs_clients() {
            let shared = if url.scheme() == "http" { &self.plain } else { &self.tls().0 };
            return Ok(shared.request(method, url.clone()));
        }
        let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = if let Some(own) = all.get(host) {
            own.clone()
        } else {
            let own = make(&settings, host, self.timers())?;
            all.insert(host.to_owned(), own.clone());
            own
        };
        drop(all);
        let home = url.host_str().is_some_and(|name| name == bare(host) || name == host);
        Ok(if home { own.home } else { own.away }.request(method, url.clone()))
    }
}

fn make(settings: &HostSettings, host: &str, timers: &Timers) -> Result<Own, Problem> {
    let doing = format!("reach the registry {host}");
    let usage = |what: &str, error: &dyn std::error::Error| {
        Problem::new(ProblemKind::Usage, &doing, format!("{what}: {}", chain(error)))
            .hint("it is set under [registries] in the configuration")
    };
    let authorities = match &settings.ca {
        Some(path) => {
            let pem = read(path, &doing)?;
            let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| usage(&path.display().to_string(), &error))?;
            if found.is_empty() {
                let problem = Problem::new(ProblemKind::Usage, &doing, format!("{} holds no certificate", path.display()));
                return Err(problem.hint("the file of a certificate authority is PEM text"));
            }
            found
        }
        None => Vec::new(),
    };
    let identity = match &settings.client {
        Some((certificate, key)) => {
            let mut pem = read(certificate, &doing)?;
            pem.push(b'\n');
            pem.extend(read(key, &doing)?);
            Some(reqwest::Identity::from_pem(&pem).map_err(|error| usage(&certificate.display().to_string(), &error))?)
        }
        None => None,
    };
    let build = |identity: Option<reqwest::Identity>, alone: bool| {
        let mut builder = builder(timers);
        if !authorities.is_empty() {
            builder = if alone { builder.tls_certs_only(authorities.clone()) } else { builder.tls_certs_merge(authorities.clone()) };
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        builder = match settings.proxy.as_deref() {
            None => builder,
            Some(NONE) => builder.no_proxy(),
            Some(address) => builder.no_proxy().proxy(reqwest::Proxy::all(address)?),
        };
        builder.build()
    };
    // On a machine without authorities of its own, the given one is enough.
    let built = |identity: Option<reqwest::Identity>| match build(identity.clone(), false) {
        Err(_) if !authorities.is_empty() => build(identity, true),
        built => built,
    };
    let failed = |error: reqwest::Error| usage("its settings can't be used", &error.without_url());
    let away = built(None).map_err(failed)?;
    let home = match identity {
        Some(identity) => built(Some(identity)).map_err(failed)?,
        None => away.clone(),
    };
    Ok(Own { home, away })
}

fn read(path: &Path, doing: &str) -> Result<Vec<u8>, Problem> {
    let disk = |error: &std::io::Error| Problem::disk(doing, path, error);
    if !std::fs::metadata(path).map_err(|error| disk(&error))?.is_file() {
        return Err(Problem::new(ProblemKind::Usage, doing, format!("{} is not a regular file", path.display())));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| disk(&error))?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| disk(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Problem::new(ProblemKind::Limit, doing, format!("{} is larger than 1 MiB", path.display())));
    }
    Ok(bytes)
}
