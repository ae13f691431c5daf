//! Which source a reference means, and opening it: engines as the docker command would find them, the store, files, registries.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::find;
use super::session::{Chosen, Reader, STORE, Session};
use crate::model::{Locator, Name, Problem, ProblemKind};
use crate::shell::is_there;
use crate::source::credentials::Credentials;
use crate::source::engine::{Candidate, Disk, EngineSource, Surroundings, Wish, discover};
use crate::source::files::FileSource;
use crate::source::registry::{Client, RegistrySettings, RegistrySource};
use crate::source::store::StoreSource;
use crate::source::{Ctx, Source};

/// How long an engine that nobody asked for may take to answer before it counts as absent.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

pub(super) fn credentials() -> Credentials {
    Credentials::from_environment(&variable)
}

impl Session {
    /// Everything that may be an engine, the current one first.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let around = Surroundings { variable: &variable, home: self.paths.home.clone(), files: &Disk };
        let (host, context) = (self.options.host.clone().filter(|host| host != STORE), self.options.context.clone());
        // The context "default" is what the environment says.
        let insecure = self.is_insecure(host.as_deref().or(context.as_deref().filter(|name| *name != "default")));
        discover(&around, &Wish { host, context, insecure })
    }

    /// Whether plain TCP to the engine that was asked for is allowed, by option or configuration.
    fn is_insecure(&self, host: Option<&str>) -> bool {
        let address = host.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok()).unwrap_or_default();
        let bare = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest).trim_end_matches('/');
        let name = bare.rsplit_once(':').map_or(bare, |(name, _)| name);
        let named = self.options.insecure.iter().any(|host| !host.is_empty() && (host == bare || host == name));
        named || self.config.host(host.unwrap_or_default(), &address).insecure
    }

    /// The engine that was asked for or that answers, else the store.
    pub(super) async fn chosen(&self) -> Result<&Chosen, Problem> {
        let choose = async || {
            if self.options.host.as_deref() == Some(STORE) {
                return self.store().await;
            }
            if let Some(engine) = self.find_engine().await? {
                return Ok(engine);
            }
            self.printer.say(format_args!("store: no engine found"));
            self.store().await
        };
        self.current.get_or_try_init(choose).await
    }

    /// The engine, for a reference that says so.
    pub(super) async fn engine(&self) -> Result<Chosen, Problem> {
        if self.options.host.as_deref() != Some(STORE)
            && let Some(engine) = self.find_engine().await?
        {
            return Ok(engine);
        }
        Err(Problem::new(ProblemKind::Unreachable, "find an engine", "none answers").hint("`lighterman doctor` shows where was looked"))
    }

    async fn find_engine(&self) -> Result<Option<Chosen>, Problem> {
        // An engine that is there but can't be used is said, and not passed over for the store.
        let mut refused = None;
        for candidate in self.candidates().into_iter().filter(Candidate::is_automatic) {
            let wanted = candidate.is_wanted();
            let Candidate { name, endpoint, .. } = candidate;
            let endpoint = match endpoint {
                Ok(endpoint) => endpoint,
                Err(problem) if wanted => return Err(problem),
                Err(_) => continue,
            };
            let locked = self.locked(name.as_str(), &endpoint.address());
            let there = wanted || is_there(&endpoint);
            let source = EngineSource::new(endpoint, credentials());
            // One that was asked for answers for itself.
            let trouble = if wanted { None } else { self.trouble(&source).await? };
            match trouble {
                None => return Ok(Some(Chosen { source: Arc::new(source), reader: Reader::Engine, locked })),
                Some(problem) if there => drop(refused.get_or_insert(problem)),
                Some(_) => {}
            }
        }
        let advised = |problem: Problem| if problem.hint.is_some() { problem } else { problem.hint("or use the store: --host store") };
        refused.map_or(Ok(None), |problem| Err(advised(problem)))
    }

    /// Why an engine does not answer, if it doesn't.
    async fn trouble(&self, source: &EngineSource) -> Result<Option<Problem>, Problem> {
        let ctx = Ctx { cancel: self.cancel.clone(), ..Ctx::default() };
        let answer = tokio::time::timeout(PATIENCE, source.version(&ctx)).await;
        ctx.check("find an engine")?;
        let silent = || Problem::new(ProblemKind::Unreachable, "ask the engine", format!("no answer within {} s", PATIENCE.as_secs()));
        Ok(answer.map_or_else(|_| Some(silent()), Result::err))
    }

    /// Why nothing may be changed at an engine of that name and address.
    pub(super) fn locked(&self, name: &str, address: &str) -> Option<String> {
        if self.options.read_only {
            Some("--read-only was given".to_owned())
        } else if self.config.read_only {
            Some(format!("read_only is set in {}", self.config.file.display()))
        } else if self.config.host(name, address).read_only {
            Some(format!("it is set read_only in {}", self.config.file.display()))
        } else {
            None
        }
    }

    pub(super) fn store_dir(&self) -> PathBuf {
        self.options.store.clone().unwrap_or_else(|| self.paths.store())
    }

    /// The embedded store, made when there is none yet.
    pub(super) async fn store(&self) -> Result<Chosen, Problem> {
        let opened = self.store_opened.get_or_try_init(async || self.open_store(&self.store_dir()).map(Arc::new)).await?;
        let source: Arc<dyn Source> = Arc::clone(opened) as _;
        Ok(self.other(source, Reader::Store))
    }

    /// A store in any directory, with what this user may do at registries.
    pub(super) fn open_store(&self, dir: &Path) -> Result<StoreSource, Problem> {
        Ok(StoreSource::open(dir)?.with_client(self.client()?))
    }

    fn registry_settings(&self) -> RegistrySettings {
        self.config.registry_settings(&self.options.insecure, Some(&self.paths))
    }

    /// The client for every registry.
    pub(super) fn client(&self) -> Result<Client, Problem> {
        if let Some(client) = self.registries.get() {
            return Ok(client.clone());
        }
        let client = Client::new(self.registry_settings(), credentials())?;
        Ok(self.registries.get_or_init(|| client).clone())
    }

    /// A layout or an archive: opened for the name in it, or whole when that name is rather the beginning of an ID.
    pub(super) async fn file(&self, locator: Locator) -> Result<(Chosen, Option<Name>), Problem> {
        let opened = |source: FileSource| self.other(Arc::new(source.clone()), Reader::File(source));
        match FileSource::open(&locator).await {
            Err(problem) if problem.kind == ProblemKind::NotFound && locator.name.as_ref().is_some_and(find::may_be_id) => {
                let whole = Locator { name: None, ..locator.clone() };
                FileSource::open(&whole).await.map_or(Err(problem), |source| Ok((opened(source), locator.name)))
            }
            source => Ok((opened(source?), None)),
        }
    }

    /// The registry of a reference.
    pub(super) fn registry(&self, name: &Name) -> Result<Chosen, Problem> {
        let source = Arc::new(RegistrySource::new(self.client()?, name.reference()?.registry()));
        let mut chosen = self.other(Arc::clone(&source) as _, Reader::Registry(Arc::clone(&source)));
        if chosen.locked.is_none() && self.config.registries.get(source.host()).is_some_and(|registry| registry.read_only) {
            chosen.locked = Some(format!("it is set read_only in {}", self.config.file.display()));
        }
        Ok(chosen)
    }

    fn other(&self, source: Arc<dyn Source>, reader: Reader) -> Chosen {
        // The store's name in the configuration, as in the deck.
        let name = if matches!(reader, Reader::Store) { STORE } else { "" };
        let locked = self.locked(name, &source.id().0);
        Chosen { source, reader, locked }
    }
}
