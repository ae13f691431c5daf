//! Everything known of one image, as lines to scroll through: what it is, and its family among the images of this machine.

use std::sync::Arc;

use crate::curate::words::counted;
use crate::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput, Loadable, Shared};
use crate::model::{Digest, Drift, Family, Foreign, Image, ImageKey, ImageList, LocalTag, Name, Problem, Safe, SourceId, size};
use crate::pane::PaneId;

use super::super::jobs::answer;
use super::super::state::State;
use super::super::{chains, jobs};
use super::Overlay;

/// One line of the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InspectLine {
    Heading(&'static str),
    Field { name: Safe, value: Safe },
    Item(Safe),
    Blank,
}

#[derive(Debug, Default)]
pub struct Inspect {
    pub key: Option<(SourceId, ImageKey)>,
    pub title: Safe,
    pub image: Loadable<Arc<Image>>,
    pub lines: Vec<InspectLine>,
    /// Its family as far as it is known, and the list it was found in.
    pub family: Option<(Box<Family>, Shared<ImageList>)>,
    looking: Option<JobId>,
    /// How its base's tag stands in its registry, where that was asked.
    standing: Option<Standing>,
    /// The key that asks.
    asks: Safe,
    pub scroll: usize,
    /// Rows that fit, set by the layout.
    pub height: usize,
    pub shift: u16,
}

/// What a registry says of the tag that an image was built on.
#[derive(Debug, Clone, PartialEq)]
enum Standing {
    Asked(JobId),
    Told(Result<Drift, Problem>),
}

/// Opens the view of the selected image. It shares the Layers pane's answer: one fetch for both.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    let Some(key) = state.selected_key() else {
        return Vec::new();
    };
    let title = match (state.lead, state.images.selected()) {
        (PaneId::Images, Some((image, name))) => name.map_or_else(|| Safe::new(image.id.short()), Name::safe),
        _ => Safe::new(&key.1.to_string()),
    };
    let key = Some(key);
    state.layers.follow(key.clone());
    let mut effects = if state.layers.image.is_loading() { Vec::new() } else { jobs::inspect_selected(state) };
    let asks = state.settings.keymap.keys(Action::Drift).first().map(|key| Safe::from(key.to_string())).unwrap_or_default();
    state.overlays.push(Overlay::Inspect(Inspect { key, title, asks, ..Inspect::default() }));
    if let (Some(source), Some(list)) = (state.sources.current.clone(), state.images.list.value.clone()) {
        effects.extend(chains::want(state, &source, &list));
    }
    effects.extend(arrived(state));
    effects
}

/// Takes over what the Layers pane has, where a view is about the same image, and has what is known of its family by now looked up.
pub(in crate::app) fn arrived(state: &mut State) -> Vec<Effect> {
    let layers = &state.layers;
    let mut about = None;
    for overlay in &mut state.overlays {
        if let Overlay::Inspect(inspect) = overlay
            && inspect.key.is_some()
            && inspect.key == layers.key
        {
            inspect.image = layers.image.clone();
            inspect.tell();
            about.clone_from(&inspect.image.value);
        }
    }
    let known = state.images.list.value.clone().zip(state.sources.current.as_ref().map(|source| state.chains.shared(source)));
    let Some((image, (list, layers))) = about.zip(known) else { return Vec::new() };
    let (id, effect) = jobs::start(state, Job::Family { image: image.into(), list: list.into(), layers: layers.into() });
    for overlay in &mut state.overlays {
        if let Overlay::Inspect(inspect) = overlay
            && inspect.key.is_some()
            && inspect.key == state.layers.key
        {
            inspect.looking = Some(id);
        }
    }
    vec![effect]
}

/// Takes the family that was found among the images of `list`.
pub(in crate::app) fn found(state: &mut State, id: JobId, list: Shared<ImageList>, event: JobEvent) -> Vec<Effect> {
    let Ok(JobOutput::Family(family)) = answer(event, "look for the family") else { return Vec::new() };
    for overlay in &mut state.overlays {
        if let Overlay::Inspect(inspect) = overlay
            && inspect.looking == Some(id)
        {
            inspect.family = Some((family, list));
            inspect.tell();
            break;
        }
    }
    Vec::new()
}

/// Asks the registry of the base how its tag stands there. `None` where no base is known by a digest there, or somebody is asked already.
pub(super) fn ask_about_base(state: &mut State, inspect: &mut Inspect) -> Option<Effect> {
    let tag = inspect.base().filter(|_| !matches!(inspect.standing, Some(Standing::Asked(_))))?;
    // Of tags asked about in the Images pane no answer will come any more.
    state.images.drifting = None;
    let (id, effect) = jobs::start(state, Job::Drift { tags: vec![tag] });
    inspect.standing = Some(Standing::Asked(id));
    inspect.tell();
    Some(effect)
}

/// What the registry said of a base, where somebody here asked.
pub(in crate::app) fn told_of_base(state: &mut State, id: JobId, event: &JobEvent) {
    for overlay in &mut state.overlays {
        if let Overlay::Inspect(inspect) = overlay
            && inspect.standing == Some(Standing::Asked(id))
        {
            inspect.standing = match event {
                JobEvent::Chunk(JobOutput::Drift(answers)) => answers.first().map(|(_, answer)| Standing::Told(answer.clone())),
                JobEvent::Failed(problem) => Some(Standing::Told(Err(problem.clone()))),
                _ => None,
            };
            return inspect.tell();
        }
    }
}

impl Inspect {
    /// A view of something in an image, of which nothing more is awaited: it is about no image as such, so that nothing that is told of one later
    /// is taken for it.
    pub(in crate::app) fn of(title: Safe, image: Arc<Image>, lines: Vec<InspectLine>) -> Self {
        Self { title, image: Loadable { value: Some(image), job: None, problem: None }, lines, ..Self::default() }
    }

    fn tell(&mut self) {
        let family = self.family.as_ref().map(|(family, list)| (&**family, &**list));
        let Some(image) = &self.image.value else { return self.lines.clear() };
        self.lines = lines(image, family);
        let Some(base) = self.base() else { return };
        let line = InspectLine::Field { name: Safe::new("that tag now"), value: self.standing(&base) };
        let after =
            |line: &InspectLine| matches!(line, InspectLine::Field { name, .. } if name.as_str() == TOLD_BASE || name.as_str() == BASE);
        if let Some(at) = self.lines.iter().rposition(after) {
            self.lines.insert(at + 1, line);
        }
    }

    /// The tag that it was built on, with what that was at then, or is at here.
    fn base(&self) -> Option<LocalTag> {
        let (family, list) = self.family.as_ref()?;
        if let Some(told) = &family.told {
            let digest = told.digest.clone()?;
            let at = Name::new(&format!("{}@{digest}", told.name.split().0));
            return Some(LocalTag { name: told.name.clone(), id: digest, repo_digests: vec![at] });
        }
        let base = family.base.as_ref()?;
        let image = list.images.iter().find(|image| image.id == base.image && !image.repo_digests.is_empty())?;
        Some(LocalTag { name: image.tags.first()?.clone(), id: image.id.clone(), repo_digests: image.repo_digests.clone() })
    }

    fn standing(&self, base: &LocalTag) -> Safe {
        let name = base.name.safe();
        Safe::from(match &self.standing {
            None if self.asks.as_str().is_empty() => "its registry was not asked".to_owned(),
            None => format!("its registry was not asked: {} asks", self.asks),
            Some(Standing::Asked(_)) => "its registry is being asked".to_owned(),
            Some(Standing::Told(Ok(Drift::Same))) => "it has not moved".to_owned(),
            Some(Standing::Told(Ok(Drift::Moved(to)))) => format!("it has moved: {name} is at {} now", to.short()),
            Some(Standing::Told(Ok(Drift::Gone))) => format!("its registry has no {name} any more"),
            Some(Standing::Told(Ok(Drift::OnlyHere))) => format!("its registry has no {name}"),
            Some(Standing::Told(Err(problem))) => format!("not known: {}", problem.cause),
        })
    }
}

/// Names of the lines on what an image was built on.
const TOLD_BASE: &str = "says its base is";
const BASE: &str = "built on";

/// The view's lines, with the family of the image and the list it was found in. Pure, so that it can be read in tests.
#[must_use]
pub fn lines(image: &Image, family: Option<(&Family, &ImageList)>) -> Vec<InspectLine> {
    let mut view = View(Vec::new());
    view.identity(image);
    if let Some((family, list)) = family {
        view.family(family, list);
    }
    view.config(image);
    view.layers(image, family.map(|(family, _)| family.shared.as_slice()).unwrap_or_default());
    view.0
}

/// Names of a family that are told; the others are counted.
const MOST_NAMES: usize = 8;

struct View(Vec<InspectLine>);

impl View {
    fn heading(&mut self, text: &'static str) {
        if !self.0.is_empty() {
            self.0.push(InspectLine::Blank);
        }
        self.0.push(InspectLine::Heading(text));
    }

    fn field(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.0.push(InspectLine::Field { name: Safe::new(name), value: Safe::new(value.as_ref()) });
        }
    }

    fn items<'a>(&mut self, heading: &'static str, items: impl IntoIterator<Item = &'a str>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.heading(heading);
            self.0.extend(items.map(|item| InspectLine::Item(Safe::new(item))));
        }
    }

    fn identity(&mut self, image: &Image) {
        self.heading("Image");
        self.field("ID", Some(image.id.as_str()));
        self.field("manifest", image.manifest_digest.as_ref().map(crate::model::Digest::as_str));
        self.field("media type", image.media_type.as_ref().map(Foreign::raw));
        self.field("platform", image.platform.as_ref().map(ToString::to_string));
        self.field("created", image.created.as_ref().map(ToString::to_string));
        self.field("size", image.size.map(|bytes| format!("{} ({bytes} bytes)", size::human(bytes))));
        self.field("unique", image.unique_size.map(size::human));
        self.items("Tags", image.tags.iter().map(crate::model::Name::raw));
        self.items("Repository digests", image.repo_digests.iter().map(crate::model::Name::raw));
        if let Some(users) = image.containers.as_ref().filter(|users| !users.is_empty()) {
            self.heading("Used by containers");
            for user in users {
                let state = if user.state.is_empty() { if user.running { "running" } else { "stopped" } } else { user.state.raw() };
                self.0.push(InspectLine::Field { name: user.name.safe(), value: Safe::new(state) });
            }
        }
    }

    fn config(&mut self, image: &Image) {
        let Some(config) = &image.config else { return };
        let words = |words: &Option<Vec<Foreign>>| {
            words.as_ref().map(|words| words.iter().map(|word| format!("{:?}", word.raw())).collect::<Vec<_>>().join(" "))
        };
        self.heading("Configuration");
        self.field("entrypoint", words(&config.entrypoint));
        self.field("command", words(&config.cmd));
        self.field("user", config.user.as_ref().map(Foreign::raw));
        self.field("directory", config.working_dir.as_ref().map(Foreign::raw));
        self.field("stop signal", config.stop_signal.as_ref().map(Foreign::raw));
        self.field("health check", words(&config.healthcheck));
        self.items("Environment", config.env.iter().map(Foreign::raw));
        self.items("Exposed ports", config.exposed_ports.iter().map(Foreign::raw));
        self.items("Volumes", config.volumes.iter().map(Foreign::raw));
        if !config.labels.is_empty() {
            self.heading("Labels");
            for (name, value) in &config.labels {
                self.field(name, Some(value.raw()));
            }
        }
    }

    fn family(&mut self, family: &Family, list: &ImageList) {
        let name = |id: &Digest| {
            let tags = list.images.iter().find(|image| image.id == *id).and_then(|image| image.tags.first());
            tags.map_or_else(|| id.short().to_owned(), |name| name.raw().to_owned())
        };
        let names = |ids: &[Digest]| {
            let told: Vec<String> = ids.iter().take(MOST_NAMES).map(name).collect();
            let more = ids.len().saturating_sub(MOST_NAMES);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!ids.is_empty()).then(|| format!("{}{rest}", told.join(", ")))
        };
        self.heading("Family");
        self.field(
            TOLD_BASE,
            family.told.as_ref().map(|told| {
                let digest = told.digest.as_ref().map_or_else(String::new, |digest| format!(" at {}", digest.short()));
                let now = match told.moved {
                    Some(true) => ", and here that name has another digest",
                    Some(false) => ", as it is here",
                    None => "",
                };
                format!("{}{digest}{now}", told.name.raw())
            }),
        );
        self.field(
            BASE,
            family
                .base
                .as_ref()
                .map(|base| format!("{}: its first {} are all of that image's", name(&base.image), counted(base.layers, "layer"))),
        );
        self.field("base, a guess", family.guess.as_ref().map(|guess| format!("{guess}, by its labels")));
        self.field("same layers", names(&family.twins));
        self.field("built on it", names(&family.built_on_it));
        let ((own, shared), (known, all)) = (family.bytes, family.based_on);
        let most = if known < all { "at most " } else { "" };
        let bytes = format!("{most}{} in no other image here, {} in others too", size::human(own), size::human(shared));
        self.field("bytes", (known > 0 || all == 0).then_some(bytes));
        self.field("based on", (known < all).then(|| format!("{known} of {all} other images read")));
    }

    fn layers(&mut self, image: &Image, shared: &[usize]) {
        let Some(layers) = &image.layers else { return };
        self.heading("Layers");
        for (at, layer) in layers.iter().enumerate() {
            let others = shared.get(at).filter(|others| **others > 0);
            let others = others.map_or_else(String::new, |others| format!("  in {}", counted(*others, "other image")));
            let digest = layer.digest.as_ref().or(layer.diff_id.as_ref()).map_or("unknown", crate::model::Digest::as_str);
            let bytes = layer.size.map_or_else(String::new, |bytes| format!("  {}", size::human(bytes)));
            self.field(&layer.index.to_string(), Some(format!("{digest}{bytes}{others}")));
        }
    }
}
