//! What a command works with: the options and the configuration, the sources that references name, and the one way to change them.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::args::Globals;
use super::print::Printer;
use super::progress;
use crate::model::{Change, Locator, Name, Problem, ProblemKind, Transfer, Transport};
use crate::shell::config::Config;
use crate::shell::paths::Paths;
use crate::source::files::FileSource;
use crate::source::registry::{Client, RegistrySource};
use crate::source::store::StoreSource;
use crate::source::{Ctx, Curator, Source};
use crate::work::layer_cache::{self, LayerCache};

/// `--host store`: the embedded store even where there is an engine.
pub(super) const STORE: &str = "store";

#[derive(Debug)]
pub(super) struct Session {
    pub(super) printer: Printer,
    pub(super) cancel: CancellationToken,
    pub(super) options: Globals,
    pub(super) paths: Paths,
    pub(super) config: Config,
    pub(super) current: OnceCell<Chosen>,
    pub(super) store_opened: OnceCell<Arc<StoreSource>>,
    /// One for all registries, so that tokens and what was read are shared.
    pub(super) registries: std::sync::OnceLock<Client>,
}

/// A source, how its layers are read, and why nothing may be changed there.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) source: Arc<dyn Source>,
    pub(super) reader: Reader,
    pub(super) locked: Option<String>,
}

/// The way to an image's layers, which differs from source to source.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    Engine,
    Store,
    File(FileSource),
    Registry(Arc<RegistrySource>),
}

/// Where a reference points.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) source: Arc<dyn Source>,
    pub(super) reader: Reader,
    /// What to look for; `None` means everything there.
    pub(super) name: Option<Name>,
    pub(super) locked: Option<String>,
}

impl Place {
    /// The power to change images there.
    pub(super) fn curator(&self, doing: &str) -> Result<&dyn Curator, Problem> {
        self.source.curator().ok_or_else(|| Problem::new(ProblemKind::Unsupported, doing, format!("{} can only be read", self.source.id())))
    }

    /// # Errors
    /// Where the command line or the configuration forbids changes.
    pub(super) fn may_change(&self, doing: &str) -> Result<(), Problem> {
        match &self.locked {
            Some(why) => Err(Problem::new(ProblemKind::Denied, doing, format!("{} is read-only: {why}", self.source.id()))),
            None => Ok(()),
        }
    }

    /// What a file that was named as a whole holds but can't be read.
    pub(super) fn gaps(&self) -> Vec<Problem> {
        match (&self.reader, &self.name) {
            (Reader::File(source), None) if source.is_whole() => source.content().gaps().to_vec(),
            _ => Vec::new(),
        }
    }

    pub(super) fn named(&self, doing: &str) -> Result<&Name, Problem> {
        self.name.as_ref().ok_or_else(|| Problem::new(ProblemKind::Usage, doing, "the reference is missing"))
    }
}

impl Session {
    /// Reads the configuration; connects nothing.
    pub(super) fn new(options: Globals, printer: Printer, cancel: CancellationToken) -> Result<Self, Problem> {
        // clap can't see this when one stands before and the other after the command.
        if let (Some(host), Some(context)) = (&options.host, &options.context) {
            let both = format!("use the engine {host} and the context {context}");
            return Err(Problem::new(ProblemKind::Usage, both, "only one of --host and --context can hold"));
        }
        let paths = Paths::find()?;
        let config = Config::load(&paths, options.config.as_deref())?;
        for mistake in &config.mistakes {
            printer.say(format_args!("lighterman: {}", crate::model::Safe::new(&mistake.to_string())));
        }
        Ok(Self {
            printer,
            cancel,
            options,
            paths,
            config,
            current: OnceCell::new(),
            store_opened: OnceCell::new(),
            registries: std::sync::OnceLock::new(),
        })
    }

    /// What is kept of layers that were read before.
    pub(super) fn layer_cache(&self) -> LayerCache {
        LayerCache::new(self.paths.layers(), layer_cache::USUAL)
    }

    /// Runs a verb with progress on standard error.
    pub(super) async fn run<T, F: Future<Output = Result<T, Problem>>>(
        &self,
        doing: &str,
        verb: impl FnOnce(Ctx) -> F,
    ) -> Result<T, Problem> {
        let ctx = Ctx { cancel: self.cancel.clone(), ..Ctx::default() };
        ctx.check(doing)?;
        let meter = ctx.meter.clone();
        progress::shown(verb(ctx), &meter, &self.printer).await
    }

    /// Carries a transfer out, by way of the journal.
    pub(super) async fn transfer(&self, place: &Place, change: &Change) -> Result<Transfer, Problem> {
        super::apply::with(self, "move images", async |applier| applier.transfer(&place.source, change).await).await
    }

    /// With `--verbose`, what the registries that were asked still give.
    pub(super) fn tell_quotas(&self) {
        let asked = self.registries.get().filter(|_| self.printer.verbose);
        for (host, quota) in asked.map(Client::quotas).unwrap_or_default() {
            self.printer.say(format_args!("{}: {quota}", crate::model::Safe::new(&host)));
        }
    }

    /// The current engine or the store.
    pub(super) async fn current(&self) -> Result<Arc<dyn Source>, Problem> {
        Ok(Arc::clone(&self.chosen().await?.source))
    }

    pub(super) async fn current_place(&self) -> Result<Place, Problem> {
        let Chosen { source, reader, locked } = self.chosen().await?.clone();
        Ok(Place { source, reader, name: None, locked })
    }

    /// Where an image is that a reference of any transport names.
    pub(super) async fn place(&self, text: &str) -> Result<Place, Problem> {
        let locator = Locator::parse(text)?;
        let (chosen, name) = match (locator.transport, &locator.name) {
            (Transport::Current, _) => (self.chosen().await?.clone(), locator.name),
            (Transport::Engine, _) => (self.engine().await?, locator.name),
            (Transport::Store, _) => (self.store().await?, locator.name),
            (Transport::Registry, Some(name)) => (self.registry(name)?, locator.name),
            _ => self.file(locator).await?,
        };
        let Chosen { source, reader, locked } = chosen;
        Ok(Place { source, reader, name, locked })
    }

    /// Where an image is to go or to come from by way of its registry: `docker://` in front of its name changes nothing.
    pub(super) async fn target(&self, text: &str) -> Result<Place, Problem> {
        self.place(text.strip_prefix("docker://").unwrap_or(text)).await
    }

    /// A name that is to be given at the source of `at`.
    pub(super) async fn name_at(&self, at: &Place, text: &str) -> Result<Name, Problem> {
        let locator = Locator::parse(text)?;
        let doing = format!("tag as {text}");
        if locator.transport != Transport::Current && self.place(text).await?.source.id() != at.source.id() {
            return Err(Problem::new(ProblemKind::Usage, doing, "a tag stays where its image is")
                .hint("write both references with the same transport"));
        }
        locator.name.ok_or_else(|| Problem::new(ProblemKind::Usage, doing, "the reference is missing"))
    }
}
