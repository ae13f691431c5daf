//! Everything known of one image, as lines to scroll through.

use std::sync::Arc;

use crate::flow::{Effect, Loadable};
use crate::model::{Foreign, Image, ImageKey, Name, Safe, SourceId, size};
use crate::pane::PaneId;
use crate::pane::layers::Layers;

use super::super::jobs;
use super::super::state::State;
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
    pub scroll: usize,
    /// Rows that fit, set by the layout.
    pub height: usize,
    pub shift: u16,
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
    let effects = if state.layers.image.is_loading() { Vec::new() } else { jobs::inspect_selected(state) };
    let mut inspect = Inspect { key, title, ..Inspect::default() };
    inspect.arrived(&state.layers);
    state.overlays.push(Overlay::Inspect(inspect));
    effects
}

impl Inspect {
    /// Takes over what the Layers pane has, when it is about the same image.
    pub(in crate::app) fn arrived(&mut self, layers: &Layers) {
        if self.key == layers.key {
            self.image = layers.image.clone();
            self.lines = self.image.value.as_ref().map(|image| lines(image)).unwrap_or_default();
        }
    }
}

/// The view's lines. Pure, so that it can be read in tests.
#[must_use]
pub fn lines(image: &Image) -> Vec<InspectLine> {
    let mut view = View(Vec::new());
    view.identity(image);
    view.config(image);
    view.layers(image);
    view.0
}

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

    fn layers(&mut self, image: &Image) {
        let Some(layers) = &image.layers else { return };
        self.heading("Layers");
        for layer in layers {
            let digest = layer.digest.as_ref().or(layer.diff_id.as_ref()).map_or("unknown", crate::model::Digest::as_str);
            let bytes = layer.size.map_or_else(String::new, |bytes| format!("  {}", size::human(bytes)));
            self.field(&layer.index.to_string(), Some(format!("{digest}{bytes}")));
        }
    }
}
