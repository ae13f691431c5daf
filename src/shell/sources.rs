//! Which sources there are, the one to show first at the head: what the user named, the engine the docker command would use, any engine
//! whose socket is there, and the embedded store, which comes first where there is no engine.
//!
//! Reads the docker configuration and touches sockets; asks no engine anything.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::net::UnixStream;
use tokio::runtime;

use crate::model::{Locator, Powers, Problem, Safe, SourceId, SourceInfo, SourceKind, Transport};
use crate::source::engine::endpoint::Host;
use crate::source::engine::{Candidate, Disk, Endpoint, EngineSource, Surroundings, Wish, discover};
use crate::source::store::StoreSource;
use crate::source::{Answer, Source, blocking};
use crate::work::{Found, Table, files};

use super::config::Config;
use super::registries::Registries;

/// `--host store`: the embedded store even where there is an engine.
const STORE: &str = "store";

/// What was asked for, and where to look.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// An endpoint, a context's name, or "store".
    pub host: Option<String>,
    /// A docker context by name.
    pub context: Option<String>,
    pub read_only: bool,
    pub config: Config,
    pub home: Option<PathBuf>,
    /// The embedded store's directory.
    pub store: PathBuf,
    /// Layouts and archives to open; the first is shown first.
    pub open: Vec<Locator>,
    /// The source looked at last, preferred to an engine that nobody named.
    pub last: Option<SourceId>,
    /// A world of its own: no engine and no registry is looked for.
    pub only_store: bool,
    pub registries: Arc<Registries>,
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
        let registries = Arc::clone(&self.registries);
        let open = move |locator: &Locator| match locator.transport {
            Transport::Registry => registries.open(locator),
            _ => files::found(locator, "opened"),
        };
        Ok(Table::new(Arc::new(move || self.find()), Arc::new(open)))
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
        let registries = if self.only_store { Vec::new() } else { self.registries.all() };
        found.into_iter().map(|(_, found)| found).chain(registries).collect()
    }

    fn candidates(&self, insecure: bool) -> Vec<Candidate> {
        let around = Surroundings { variable: &variable, home: self.home.clone(), files: &Disk };
        let (host, context) = (self.host.clone().filter(|host| host != STORE), self.context.clone());
        discover(&around, &Wish { host, context, insecure })
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
        let (wanted, automatic) = (candidate.is_wanted(), candidate.is_automatic());
        let Candidate { name, why, endpoint, .. } = candidate;
        let endpoint = match (endpoint, allowed.and_then(|allowed| allowed.endpoint.ok())) {
            (Err(_), Some(plain)) if self.config.host(name.as_str(), &plain.address()).insecure => Ok(plain),
            (endpoint, _) => endpoint,
        };
        let address = endpoint.as_ref().map(Endpoint::address).unwrap_or_default();
        let host = self.config.host(name.as_str(), &address);
        let rank = match &endpoint {
            _ if wanted && self.host.as_deref() != Some(STORE) => Rank::Wanted,
            Ok(endpoint) if automatic && is_there(endpoint) => Rank::There,
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
        let credentials = self.registries.credentials.clone();
        let make = move || {
            let made = endpoint.clone().map(|endpoint| Arc::new(EngineSource::new(endpoint, credentials.clone())) as Arc<dyn Source>);
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
        let registries = Arc::clone(&self.registries);
        let make = move || {
            let (dir, registries) = (dir.clone(), Arc::clone(&registries));
            let open = move || {
                let store = StoreSource::open(&dir)?.with_client(registries.client()?);
                Ok(Arc::new(store) as Arc<dyn Source>)
            };
            Box::pin(blocking("open the store", open)) as Answer<'static, _>
        };
        (rank, Found { info, make: Arc::new(make) })
    }
}

const fn is_file(locator: &Locator) -> bool {
    matches!(locator.transport, Transport::Layout | Transport::OciArchive | Transport::DockerArchive)
}

/// Whether somebody may answer there: a socket that was left behind by an engine that is gone refuses at once. One that we may not
/// open, or whose queue is full, is there: its problem is worth seeing. Never waits.
pub(crate) fn is_there(endpoint: &Endpoint) -> bool {
    match &endpoint.host {
        Host::Unix(path) => listens(path),
        _ => true,
    }
}

/// Tries a connection that blocks on nothing; the plain one of the standard library waits for room in the listener's queue.
fn listens(path: &Path) -> bool {
    // The first frame is made before the deck's runtime is.
    let spare = runtime::Handle::try_current().is_err().then(|| runtime::Builder::new_current_thread().enable_io().build());
    let _inside = match &spare {
        Some(Ok(runtime)) => Some(runtime.enter()),
        Some(Err(_)) => return true,
        None => None,
    };
    let refused = |error: &std::io::Error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
    // Not yet decided is decided for us: a dead socket refuses in the call itself.
    !UnixStream::connect(path).now_or_never().is_some_and(|tried| tried.is_err_and(|error| refused(&error)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shell::paths::Paths;

    /// Asked on a thread of its own, so that an answer that never comes fails the test instead of holding it up.
    fn answer(path: &Path) -> bool {
        let endpoint = Endpoint::parse(&format!("unix://{}", path.display()), "", "", None, false).unwrap();
        let (sender, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(is_there(&endpoint)));
        answer.recv_timeout(Duration::from_secs(10)).expect("it must not wait")
    }

    /// A home with a docker context of that name.
    fn home_with_context(name: &str, address: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let id = crate::model::Digest::sha256(name.as_bytes());
        let (meta, tls) =
            (home.path().join(".docker/contexts/meta").join(id.hex()), home.path().join(".docker/contexts/tls").join(id.hex()));
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::create_dir_all(tls.join("docker")).unwrap();
        let text = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{address}","SkipTLSVerify":false}}}}}}"#);
        std::fs::write(meta.join("meta.json"), text).unwrap();
        std::fs::write(tls.join("docker/ca.pem"), "").unwrap();
        home
    }

    #[test]
    fn a_context_is_shown_first_even_when_it_is_named_like_the_store() {
        let home = home_with_context(STORE, "tcp://far.example:2376");
        let search = |host: Option<&str>, context: Option<&str>| Search {
            host: host.map(str::to_owned),
            context: context.map(str::to_owned),
            read_only: false,
            config: Config::default_at(home.path().join("config.toml")),
            home: Some(home.path().to_owned()),
            store: home.path().join("store"),
            open: Vec::new(),
            last: None,
            only_store: false,
            registries: Arc::new(Registries::new(
                Config::default_at(PathBuf::new()),
                false,
                Paths::under(Path::new("/nowhere")),
                Vec::new(),
            )),
        };
        let first = |search: &Search| search.find().into_iter().next().unwrap().info;
        // It has its own CA: plain TCP to another machine would have been refused.
        let found = first(&search(None, Some(STORE)));
        assert_eq!((found.kind, found.place.as_str()), (SourceKind::Engine, "tcp://far.example:2376"));
        assert_eq!(found.why.as_str(), "--context");
        assert_eq!(first(&search(Some(STORE), None)).kind, SourceKind::Store);
        let gone = first(&search(None, Some("gone")));
        assert_eq!((gone.kind, gone.name.as_str()), (SourceKind::Engine, "gone"), "and says so when it is opened");
    }

    #[tokio::test]
    async fn a_socket_with_a_full_queue_is_there_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(1).unwrap();
        assert!(answer(&path), "with room in the queue");
        let mut waiting = Vec::new();
        loop {
            match UnixStream::connect(&path).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(waiting.len() < 100, "the queue must become full");
        }
        assert!(answer(&path), "from outside of a runtime");
        assert!(is_there(&Endpoint::parse(&format!("unix://{}", path.display()), "", "", None, false).unwrap()), "from inside of one");
        drop(listener);
        assert!(!answer(&path), "left behind");
        assert!(!answer(&dir.path().join("none.sock")));
    }
}
