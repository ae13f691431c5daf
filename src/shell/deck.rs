//! What the deck starts from: the command line's options over the configuration over what was remembered, the sources that are there,
//! and the last known list of the first of them. All of it is read before the first frame, and none of it waits for anybody.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::app::settings::Settings;
use crate::app::toast::ToastKind;
use crate::app::{self, State};
use crate::model::filter::Filter;
use crate::model::{Locator, Problem, ProblemKind, Safe, Transport};
use crate::source::store::demo;
use crate::ui::theme::DEFAULT;
use crate::work::gists::Gists;
use crate::work::journal::Journal;
use crate::work::layer_cache::{self, LayerCache};
use crate::work::{Env, KnownLists, Ledgers, Worker, clock, leftovers};

use super::config::Config;
use super::editor::Editor;
use super::look::{Look, Themes};
use super::paths::Paths;
use super::registries::Registries;
use super::remembered::{Keeper, Remembered};
use super::run::{self, Deck};
use super::scanning::scanning;
use super::sources::Search;
use super::term::{self, Modes};
use super::{log, surroundings};

/// How the deck was asked for on the command line.
#[derive(Debug, Clone, Default)]
pub struct DeckOptions {
    /// An engine's endpoint: `--host`.
    pub host: Option<String>,
    /// A docker context by name: `--context`.
    pub context: Option<String>,
    /// A configuration file instead of the user's: `--config`.
    pub config: Option<PathBuf>,
    pub read_only: bool,
    /// The embedded store's directory instead of the user's: `--store`.
    pub store: Option<PathBuf>,
    /// Registries and engines that may be spoken to without TLS in this run: `--insecure`.
    pub insecure: Vec<String>,
    /// Show a sample world in a temporary folder, and touch nothing of the user's.
    pub demo: bool,
    /// Files and layouts to open.
    pub open: Vec<Locator>,
}

/// A word of hexadecimal digits is taken for the beginning of an image ID from this length on.
const SHORTEST_ID: usize = 6;

/// How long blocking threads may go on after the loop has ended.
const GRACE: Duration = Duration::from_secs(2);

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Opens the deck and stays until the user leaves.
///
/// # Errors
/// No terminal to draw on, or an option that can't be followed: nothing was drawn then.
pub fn run(options: &DeckOptions) -> Result<ExitCode, Problem> {
    term::check(variable("TERM").as_deref())?;
    if options.demo {
        // Removed when this goes, after everything that uses it.
        let world = tempfile::Builder::new()
            .prefix("lighterman-demo-")
            .tempdir()
            .map_err(|error| Problem::disk("make the sample world", &std::env::temp_dir(), &error))?;
        let paths = Paths::under(world.path());
        drop(demo::build(&paths.store(), clock::now())?);
        return open(options, &paths);
    }
    open(options, &Paths::find()?)
}

fn open(options: &DeckOptions, paths: &Paths) -> Result<ExitCode, Problem> {
    let mut config = Config::load(paths, options.config.as_deref())?;
    config.allow_insecure(&options.insecure);
    let unlogged = log::start(&paths.logs()).err();
    let remembered = Remembered::read(&paths.remembered());
    let search = Search {
        host: options.host.clone(),
        context: options.context.clone(),
        read_only: options.read_only || config.read_only,
        config: config.clone(),
        home: paths.home.clone(),
        store: options.store.clone().filter(|_| !options.demo).unwrap_or_else(|| paths.store()),
        open: options.open.clone(),
        last: remembered.source.clone(),
        only_store: options.demo,
        registries: Arc::new(Registries::new(
            config.clone(),
            options.read_only || config.read_only,
            paths.clone(),
            remembered.registries.clone(),
        )),
    };
    let env = Env::new(search.table()?, KnownLists::new(paths.lists()), Journal::new(&paths.state)).noting(Ledgers::new(paths.uses()));
    let env = env.keeping(LayerCache::new(paths.layers(), layer_cache::USUAL));
    let scanning = scanning(&config.scan, paths);
    let env = Arc::new(env.scanning(scanning, Gists::new(paths.gists())));
    let filter = wanted(&options.open)?;
    let themes = Themes::new(paths.themes());
    let mut state = State::new(settings(options, &config, &remembered, paths, &themes), clock::now());
    state.images.filter = filter;
    (state.width, state.height) = crossterm::terminal::size().unwrap_or((80, 24));
    let mut effects: Vec<_> = config.mistakes.iter().take(3).map(|mistake| warn(&mut state, &mistake.brief())).collect();
    effects.extend(unlogged.map(|problem| state.toasts.problem(&problem)));
    show_what_is_known(&mut state, &env);
    effects.extend(app::update::start(&mut state));
    let registry = options.open.iter().find(|locator| locator.transport == Transport::Registry).and_then(|locator| locator.name.as_ref());
    effects.extend(registry.map(|name| app::browse(&mut state, name.raw())).unwrap_or_default());

    let modes = Modes { mouse: config.mouse, keyboard: term::speaks_kitty(variable) };
    let runtime = Runtime::new()?;
    let inside = runtime.enter();
    sweep(&runtime, paths, &config);
    let (worker, messages) = Worker::new(env);
    let deck = Deck {
        state,
        worker,
        messages,
        modes,
        look: Look::new(themes),
        keeper: Keeper::new(paths.remembered()),
        editor: Editor::find(variable),
        drafts: paths.drafts(),
        lasts: !options.demo,
    };
    term::install_panic_hook();
    let guard = term::Guard::enter(modes).map_err(|error| Problem::new(ProblemKind::Other, "take over the terminal", error.to_string()))?;
    let code = runtime.block_on(run::run(deck, effects))?;
    drop(guard);
    drop(inside);
    Ok(ExitCode::from(code))
}

/// Takes away what earlier runs left behind, while the deck begins.
fn sweep(runtime: &Runtime, paths: &Paths, config: &Config) {
    let (lists, partials, cache, drafts) = (paths.lists(), config.downloads.partials(paths), paths.cache.clone(), paths.drafts());
    let ledgers = paths.uses();
    runtime.spawn_blocking(move || {
        leftovers::sweep_lists(&lists);
        leftovers::sweep_ledgers(&ledgers);
        leftovers::sweep_copies(&cache);
        leftovers::sweep_drafts(&drafts);
        partials.sweep(clock::now());
    });
}

/// The filter that shows the image named on the command line: by name, or by the beginning of its ID. Files are sources of their own.
///
/// # Errors
/// More than one image is named, or a name that is none.
fn wanted(open: &[Locator]) -> Result<Filter, Problem> {
    let local = |locator: &&Locator| matches!(locator.transport, Transport::Current | Transport::Engine | Transport::Store);
    let mut names = open.iter().filter(local).filter_map(|locator| locator.name.as_ref());
    let Some(name) = names.next() else { return Ok(Filter::default()) };
    if let Some(other) = names.next() {
        let (doing, cause) = (format!("open {} as well", other.safe()), "the deck opens at one image; archives and layouts may be several");
        return Err(Problem::new(ProblemKind::Usage, doing, cause).hint("`lighterman inspect` takes any number of images"));
    }
    let is_id = name.raw().len() >= SHORTEST_ID && name.raw().bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        name.reference()?;
    }
    let text = format!("{}{}", if is_id { "id:" } else { "=" }, name.raw());
    Filter::parse(&text).map_err(|cause| Problem::new(ProblemKind::Usage, format!("open {}", name.safe()), cause))
}

fn warn(state: &mut State, text: &str) -> crate::flow::Effect {
    state.toasts.show(ToastKind::Warning, text, Some("the default holds".into()))
}

/// Finds the sources and the last known list of the first, so that the first frame has them.
fn show_what_is_known(state: &mut State, env: &Env) {
    let sources = env.table.discover_now();
    state.sources.current = sources.first().map(|info| info.id.clone());
    state.registries.hosts.take(&sources);
    state.images.gists = Arc::new(env.gists.read());
    state.registries.tags.gists = Arc::clone(&state.images.gists);
    state.sources.all.value = Some(sources);
    if let Some(list) = state.sources.current.as_ref().and_then(|id| env.first_list(id)) {
        state.images.list.value = Some(Arc::new(list));
        state.images.remembered = true;
        state.images.rebuild(state.now);
    }
}

/// A runtime that does not wait for ever for its blocking threads when it goes.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    fn new() -> Result<Self, Problem> {
        let made = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        made.map(|runtime| Self(Some(runtime)))
            .map_err(|error| Problem::new(ProblemKind::Other, "start", format!("the system gives no threads: {error}")))
    }
}

impl std::ops::Deref for Runtime {
    type Target = tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        #[expect(clippy::expect_used, reason = "it is taken only when this is dropped")]
        self.0.as_ref().expect("a runtime")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(GRACE);
        }
    }
}

/// The settings for the pure rooms: options over configuration over what was remembered.
fn settings(options: &DeckOptions, config: &Config, remembered: &Remembered, paths: &Paths, themes: &Themes) -> Settings {
    let theme = config.theme.clone().or_else(|| remembered.theme.clone());
    Settings {
        theme: theme.unwrap_or_else(|| DEFAULT.to_owned()),
        themes: themes.names(),
        colours: config.colours.unwrap_or_else(|| surroundings::colours(variable)),
        ascii: config.ascii.unwrap_or_else(|| surroundings::is_ascii(variable)),
        mouse: config.mouse,
        read_only: options.read_only || config.read_only,
        keymap: config.keymap.clone(),
        sort: config.sort.or_else(|| remembered.sort()).unwrap_or_default(),
        export_dir: config.export_dir.clone(),
        home: paths.home.as_ref().map(|home| home.display().to_string()),
        clipboard: config.clipboard,
        protect: config.protect.clone(),
        clean_up: remembered.clean_up(),
        editor: Editor::find(variable).map(|editor| Safe::new(&editor.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(references: &[&str]) -> Result<String, Problem> {
        let open: Vec<_> = references.iter().map(|text| Locator::parse(text).unwrap()).collect();
        wanted(&open).map(|filter| filter.text().to_owned())
    }

    #[test]
    fn an_image_that_was_named_is_what_shows() {
        assert_eq!(filter(&["app:1.2"]).unwrap(), "=app:1.2");
        assert_eq!(filter(&["store:acme/api"]).unwrap(), "=acme/api");
        assert_eq!(filter(&["docker-daemon:0123abcdef"]).unwrap(), "id:0123abcdef");
        assert_eq!(filter(&["cafe"]).unwrap(), "=cafe");
        assert_eq!(filter(&[]).unwrap(), "");
        assert_eq!(filter(&["oci:dir:tag", "docker-archive:a.tar"]).unwrap(), "", "a file is a source of its own");
        assert_eq!(filter(&["oci:dir", "app"]).unwrap(), "=app");
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        for references in [&["app:1", "app:2"][..], &["Not a name"], &["../up"]] {
            assert_eq!(filter(references).unwrap_err().kind, ProblemKind::Usage, "{references:?}");
        }
    }
}
