//! The registries there are: those of the configuration, those the user is logged in to, and those typed into the deck. One client serves
//! all, so that tokens, back-off and what was read are shared.

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use crate::model::{Locator, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind};
use crate::source::credentials::Credentials;
use crate::source::registry::{Client, RegistrySource};
use crate::source::{Answer, Source};
use crate::work::Found;

use super::config::Config;
use super::paths::Paths;

/// Why a registry that was typed is listed; it is remembered by this.
pub(super) const TYPED: &str = "typed";

#[derive(Debug)]
pub(super) struct Registries {
    config: Config,
    read_only: bool,
    /// Where manifests, configurations and interrupted downloads are kept.
    paths: Paths,
    /// Typed in an earlier run.
    typed: Vec<String>,
    client: OnceLock<Client>,
    /// For every source, so that a login holds for all.
    pub(super) credentials: Credentials,
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl Registries {
    pub(super) fn new(config: Config, read_only: bool, paths: Paths, typed: Vec<String>) -> Self {
        let credentials = Credentials::from_environment(&variable);
        Self { config, read_only, paths, typed, client: OnceLock::new(), credentials }
    }

    /// Every registry known without asking anybody, each once.
    pub(super) fn all(self: &Arc<Self>) -> Vec<Found> {
        let configured = self.config.registries.keys().map(|host| (host.clone(), "configuration"));
        let logged_in = self.credentials.hosts().into_iter().map(|host| (host, "logged in"));
        let typed = self.typed.iter().map(|host| (host.clone(), TYPED));
        let mut seen = std::collections::BTreeSet::new();
        let each = configured.chain(logged_in).chain(typed).filter(|(host, _)| seen.insert(host.clone()));
        each.map(|(host, why)| self.found(&host, why)).collect()
    }

    /// The registry that a locator such as `docker://HOST` names.
    ///
    /// # Errors
    /// A locator without a host.
    pub(super) fn open(self: &Arc<Self>, locator: &Locator) -> Result<Found, Problem> {
        let host = locator.name.as_ref().and_then(|name| name.raw().split('/').next()).filter(|host| !host.is_empty());
        match host {
            Some(host) => Ok(self.found(host, TYPED)),
            None => Err(Problem::new(ProblemKind::Usage, "open a registry", "no host is named")),
        }
    }

    fn found(self: &Arc<Self>, host: &str, why: &str) -> Found {
        let info = SourceInfo {
            id: SourceId::registry(host),
            kind: SourceKind::Registry,
            name: Safe::new(host),
            place: Safe::new(host),
            why: Safe::new(why),
            powers: Powers::REGISTRY,
            read_only: self.read_only || self.config.registries.get(host).is_some_and(|registry| registry.read_only),
        };
        let (registries, host) = (Arc::clone(self), host.to_owned());
        let make = move || {
            let (registries, host) = (Arc::clone(&registries), host.clone());
            Box::pin(async move { Ok(Arc::new(RegistrySource::new(registries.client()?, &host)) as Arc<dyn Source>) }) as Answer<'static, _>
        };
        Found { info, make: Arc::new(make) }
    }

    /// The one client.
    ///
    /// # Errors
    /// When no HTTP client can be set up at all.
    pub(super) fn client(&self) -> Result<Client, Problem> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = Client::new(self.config.registry_settings(&[], Some(&self.paths)), self.credentials.clone())?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}
