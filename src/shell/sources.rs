//! Which sources there are, the one to show first at the head: what the user named, the engine the docker command would use, any engine
//! whose socket is there, and the embedded store, which comes first where there is no engine.
//!
//! Reads the docker configuration and touches sockets; asks no engine anything.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Locator, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind, Transport};
use crate::source::credentials::Credentials;
use crate::source::engine::endpoint::Host;
use crate::source::engine::{Candidate, Disk, Endpoint, EngineSource, Surroundings, Wish, discover};
use crate::source::registry::RegistrySettings;
use crate::source::store::StoreSource;
use crate::source::{Answer, Source};
use crate::work::{Found, Table, files};

use super::config::Config;

/// `--host store`: the embedded store even where there is an engine.
const STORE: &str = "store";

/// What was asked for, and where to look.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// An endpoint, a context's name, or "store".
    pub host: Option<String>,
    pub read_only: bool,
    pub config: Config,
    pub home: Option<PathBuf>,
    /// The embedded store's directory.
    pub store: PathBuf,
    /// Layouts and archives to open; the first is shown first.
    pub open: Vec<Locator>,
    /// The source looked at last, preferred to an engine that nobody named.
    pub last: Option<SourceId>,
    /// A world of its own: no engine is looked for.
    pub only_store: bool,
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Where a row stands in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Opened,
    /// The user named it.
    Wanted,
    Last,
    /// An engine that may well answer.
    There,
    /// The store, where no engine is.
    Instead,
    Other,
}

impl Search {
    /// The table of what this finds.
    ///
    /// # Errors
    /// Something to open that can't be opened in the deck.
    pub(super) fn table(self) -> Result<Table, Problem> {
        for locator in self.open.iter().filter(|locator| is_file(locator)) {
            files::found(locator, "")?;
        }
        if let Some(other) = self.open.iter().find(|locator| !is_file(locator) && locator.transport == Transport::Registry) {
            let name = other.name.as_ref().map(|name| name.safe().to_string()).unwrap_or_default();
            return Err(Problem::new(ProblemKind::Unsupported, format!("open {name}"), "registries can't be browsed in the deck yet")
                .hint("`lighterman inspect` reads an image in a registry"));
        }
        Ok(Table::new(Arc::new(move || self.find())))
    }

    fn find(&self) -> Vec<Found> {
        let mut found: Vec<(Rank, Found)> = Vec::new();
        let opened = self.open.iter().filter_map(|locator| files::found(locator, "opened").ok());
        found.extend(opened.map(|found| (Rank::Opened, found)));
        if !self.only_store {
            found.extend(self.engines());
        }
        let alone = !found.iter().any(|(rank, _)| *rank <= Rank::There);
        found.push(self.store(alone));
        for (rank, found) in &mut found {
            if *rank > Rank::Last && self.last.as_ref() == Some(&found.info.id) {
                *rank = Rank::Last;
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, found)| found).collect()
    }

    fn candidates(&self, insecure: bool) -> Vec<Candidate> {
        let around = Surroundings { variable: &variable, home: self.home.clone(), files: &Disk };
        discover(&around, &Wish { host: self.host.clone().filter(|host| host != STORE), insecure })
    }

    fn engines(&self) -> Vec<(Rank, Found)> {
        let mut insecure = self.candidates(true).into_iter();
        self.candidates(false)
            .into_iter()
            .map(|candidate| {
                // The same search with plain TCP allowed has the same rows in the same order.
                let allowed = insecure.next().filter(|other| other.name == candidate.name && other.why == candidate.why);
                self.engine(candidate, allowed)
            })
            .collect()
    }

    fn engine(&self, candidate: Candidate, allowed: Option<Candidate>) -> (Rank, Found) {
        let Candidate { name, why, endpoint, wanted } = candidate;
        let endpoint = match (endpoint, allowed.and_then(|allowed| allowed.endpoint.ok())) {
            (Err(_), Some(plain)) if self.config.host(name.as_str(), &plain.address()).insecure => Ok(plain),
            (endpoint, _) => endpoint,
        };
        let address = endpoint.as_ref().map(Endpoint::address).unwrap_or_default();
        let host = self.config.host(name.as_str(), &address);
        let rank = match &endpoint {
            _ if wanted && self.host.as_deref() != Some(STORE) => Rank::Wanted,
            Ok(endpoint) if why.as_str() != "context" && is_there(endpoint) => Rank::There,
            _ => Rank::Other,
        };
        let info = SourceInfo {
            id: endpoint.as_ref().map_or_else(|_| SourceId(format!("engine:{name}")), |endpoint| endpoint.id.clone()),
            kind: SourceKind::Engine,
            name: host.label.as_deref().map_or(name, Safe::new),
            place: Safe::new(&address),
            why,
            powers: Powers::ALL,
            read_only: self.read_only || host.read_only,
        };
        let make = move || {
            let made = endpoint
                .clone()
                .map(|endpoint| Arc::new(EngineSource::new(endpoint, Credentials::from_environment(&variable))) as Arc<dyn Source>);
            Box::pin(async move { made }) as Answer<'static, _>
        };
        (rank, Found { info, make: Arc::new(make) })
    }

    /// The embedded store; `alone` where there is no engine.
    fn store(&self, alone: bool) -> (Rank, Found) {
        let asked = self.host.as_deref() == Some(STORE) || self.open.iter().any(|locator| locator.transport == Transport::Store);
        let (rank, why) = match (asked, alone, self.only_store) {
            (_, _, true) => (Rank::Instead, "sample world"),
            (true, ..) => (Rank::Wanted, "asked for"),
            (_, true, _) => (Rank::Instead, "no engine found"),
            _ => (Rank::Other, "embedded store"),
        };
        let dir = self.store.clone();
        let info = SourceInfo {
            id: SourceId(format!("store:{}", dir.display())),
            kind: SourceKind::Store,
            name: if rank == Rank::Instead && !self.only_store { Safe::new("store: no engine found") } else { Safe::new("store") },
            place: if self.only_store { Safe::new("a folder that goes when this ends") } else { Safe::new(&dir.display().to_string()) },
            why: Safe::new(why),
            powers: Powers::ALL,
            read_only: self.read_only || self.config.host(STORE, "").read_only,
        };
        let insecure = self.config.insecure_registries();
        let make = move || {
            let (dir, insecure) = (dir.clone(), insecure.clone());
            let open = move || {
                let registries = RegistrySettings { insecure, ..RegistrySettings::default() };
                let store = StoreSource::open(&dir)?.with_registries(registries, Credentials::from_environment(&variable));
                Ok(Arc::new(store) as Arc<dyn Source>)
            };
            let opened = tokio::task::spawn_blocking(open);
            Box::pin(async move { opened.await.map_err(|error| Problem::new(ProblemKind::Other, "open the store", error.to_string()))? })
                as Answer<'static, _>
        };
        (rank, Found { info, make: Arc::new(make) })
    }
}

const fn is_file(locator: &Locator) -> bool {
    matches!(locator.transport, Transport::Layout | Transport::OciArchive | Transport::DockerArchive)
}

/// Whether somebody may answer there: a socket that was left behind by an engine that is gone refuses at once. One that we may not
/// open is there: its problem is worth seeing.
pub(crate) fn is_there(endpoint: &Endpoint) -> bool {
    match &endpoint.host {
        Host::Unix(path) => UnixStream::connect(path)
            .map_or_else(|error| !matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound), |_| true),
        _ => true,
    }
}
