//! Where something polluted is: everything known that contains an image or a layer, and the containers made from it.
//!
//! May use model only. The suspect is any digest: of an image's configuration or manifest, of a layer as stored, or of its uncompressed tar
//! (diff ID). A layer is looked for under every digest it is known by. An image pollutes what is built on it: what begins with all of its layers,
//! and not what merely shares a base with it. What could not be looked into is counted, so that "nothing found" never means "not looked".

mod gather;
mod looked;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;

pub use gather::{PREFIX, layers, manifests, put_away};
pub use looked::{InRepository, Looked, Search};

use super::markdown::table;
use super::words::counted;
use crate::model::{ContainerUse, Digest, ImageSummary, Name, Safe};

/// A layer, by the digests it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer {
    /// Of the stored bytes.
    pub digest: Option<Digest>,
    pub diff_id: Option<Digest>,
}

/// An image on this machine.
#[derive(Debug, Clone)]
pub struct Local<'a> {
    pub image: &'a ImageSummary,
    /// Oldest first; `None` where they were not read.
    pub layers: Option<Vec<Layer>>,
}

/// A manifest in a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    pub name: Name,
    pub digest: Digest,
    pub config: Option<Digest>,
    /// Oldest first; `None` where they were not read, and for an index.
    pub layers: Option<Vec<Layer>>,
    /// The manifests of an index; `None` for an image.
    pub children: Option<Vec<Digest>>,
}

/// How something is concerned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is the suspect itself.
    Itself,
    /// It has the layer, as the nth from 0.
    Layer(usize),
    /// It begins with all layers of the suspect.
    BuiltOnIt,
    /// It is an index with something concerned in it.
    Index,
}

/// What of the suspect was found, in the shape of a JSON document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub suspect: Digest,
    /// Every digest under which it was looked for.
    pub also: Vec<Digest>,
    pub local: Vec<LocalHit>,
    pub remote: Vec<RemoteHit>,
    pub containers: Vec<ContainerHit>,
    /// The repositories that were looked through, and how far.
    pub repositories: Vec<InRepository>,
    pub not_looked_into: NotLooked,
    /// What every name is at, so that nothing that was put away loses its name to something else.
    #[serde(skip)]
    held: Held,
}

/// By canonical name.
#[derive(Debug, Clone, PartialEq, Default)]
struct Held {
    here: HashMap<String, Digest>,
    there: HashMap<String, Digest>,
}

impl Held {
    fn new(local: &[Local<'_>], remote: &[Remote]) -> Self {
        let here = local.iter().flat_map(|one| one.image.tags.iter().map(|tag| (tag.canonical(), one.image.id.clone())));
        Self { here: here.collect(), there: remote.iter().map(|one| (one.name.canonical(), one.digest.clone())).collect() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LocalHit {
    pub id: Digest,
    pub tags: Vec<Name>,
    pub how: How,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoteHit {
    pub name: Name,
    pub digest: Digest,
    pub how: How,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerHit {
    #[serde(flatten)]
    pub container: ContainerUse,
    /// The image it was made from.
    pub image: Digest,
}

/// What may contain the suspect without our knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NotLooked {
    /// Local images whose layers were not read.
    pub local: usize,
    /// Manifests whose layers were not read, and tags of which it is not known where they point.
    pub remote: usize,
    /// Repositories that were not looked through as a whole.
    pub repositories: usize,
    /// Local images of which it is not known which containers use them, among those found.
    pub containers: usize,
}

/// Looks for a suspect among all that is known.
#[must_use]
pub fn trace(suspect: &Digest, local: &[Local<'_>], remote: &[Remote]) -> Report {
    Report { held: Held::new(local, remote), ..traced(suspect, local, remote) }
}

fn traced(suspect: &Digest, local: &[Local<'_>], remote: &[Remote]) -> Report {
    let layers = || local.iter().filter_map(|one| one.layers.as_deref()).chain(remote.iter().filter_map(|one| one.layers.as_deref()));
    let same = Same::new(layers().flatten());
    let suspects = same.all_of(suspect);
    let base = base(suspect, local, remote).map(|base| same.keys(base));
    let how = |itself: bool, layers: Option<&[Layer]>| {
        if itself {
            return Some(How::Itself);
        }
        let keys = same.keys(layers?);
        let at = layers?.iter().position(|layer| layer.digests().any(|digest| suspects.contains(digest)));
        at.map(How::Layer)
            .or_else(|| base.as_ref().is_some_and(|base| !base.is_empty() && keys.starts_with(base)).then_some(How::BuiltOnIt))
    };
    let mut report = Report {
        suspect: suspect.clone(),
        also: suspects.iter().filter(|digest| *digest != suspect).cloned().collect(),
        local: Vec::new(),
        remote: Vec::new(),
        containers: Vec::new(),
        repositories: Vec::new(),
        not_looked_into: NotLooked::default(),
        held: Held::default(),
    };
    for one in local {
        match how(is_local(suspect, one), one.layers.as_deref()) {
            Some(how) => report.add_local(one.image, how),
            None => report.not_looked_into.local += usize::from(one.layers.is_none()),
        }
    }
    let mut found: Vec<Option<How>> = remote.iter().map(|one| how(is_remote(suspect, one), one.layers.as_deref())).collect();
    spread(remote, &mut found);
    let known: HashSet<&Digest> = remote.iter().map(|one| &one.digest).collect();
    for (one, how) in remote.iter().zip(found) {
        match how {
            Some(how) => report.remote.push(RemoteHit { name: one.name.clone(), digest: one.digest.clone(), how }),
            None => report.not_looked_into.remote += usize::from(is_dark(one, &known)),
        }
    }
    report
}

/// Looks for several suspects that are one thing, such as an index and the images in it, the first giving it its name. What is found more than
/// once is reported as it was found first.
#[must_use]
pub fn trace_all(suspects: &[Digest], local: &[Local<'_>], remote: &[Remote]) -> Option<Report> {
    let mut reports = suspects.iter().map(|suspect| traced(suspect, local, remote));
    let mut all = Report { held: Held::new(local, remote), ..reports.next()? };
    for more in reports {
        all.local.extend(more.local);
        all.remote.extend(more.remote);
        all.containers.extend(more.containers);
        all.also.extend(more.also);
        let (one, other) = (&mut all.not_looked_into, more.not_looked_into);
        // What one of them found was looked into.
        (one.local, one.remote) = (one.local.min(other.local), one.remote.min(other.remote));
        one.containers = one.containers.max(other.containers);
    }
    let (mut images, mut manifests, mut users, mut also) = (HashSet::new(), HashSet::new(), HashSet::new(), HashSet::new());
    all.local.retain(|hit| images.insert(hit.id.clone()));
    all.remote.retain(|hit| manifests.insert((hit.name.clone(), hit.digest.clone())));
    all.containers.retain(|hit| users.insert((hit.container.id.clone(), hit.image.clone())));
    all.also.retain(|digest| also.insert(digest.clone()));
    Some(all)
}

fn is_local(suspect: &Digest, one: &Local<'_>) -> bool {
    let by_digest = |name: &Name| name.split().1 == Some(suspect.as_str());
    one.image.id == *suspect || one.image.repo_digests.iter().any(by_digest)
}

fn is_remote(suspect: &Digest, one: &Remote) -> bool {
    one.digest == *suspect || one.config.as_ref() == Some(suspect)
}

/// The layers of the suspect, where it is an image.
fn base<'a>(suspect: &Digest, local: &'a [Local<'_>], remote: &'a [Remote]) -> Option<&'a [Layer]> {
    let here = local.iter().filter(|one| is_local(suspect, one)).find_map(|one| one.layers.as_deref());
    here.or_else(|| remote.iter().filter(|one| is_remote(suspect, one)).find_map(|one| one.layers.as_deref()))
}

/// An index is concerned by what is in it, over however many steps.
fn spread(remote: &[Remote], found: &mut [Option<How>]) {
    loop {
        let bad: BTreeSet<&Digest> = remote.iter().zip(found.iter()).filter(|(_, how)| how.is_some()).map(|(one, _)| &one.digest).collect();
        let holds = |one: &Remote| one.children.iter().flatten().any(|child| bad.contains(child));
        let news: Vec<usize> = (0..remote.len()).filter(|at| found.get(*at) == Some(&None) && remote.get(*at).is_some_and(holds)).collect();
        if news.is_empty() {
            return;
        }
        for at in news {
            if let Some(how) = found.get_mut(at) {
                *how = Some(How::Index);
            }
        }
    }
}

/// Whether a manifest may hold something that was not seen: an image without its layers, an index with a manifest that is not known.
fn is_dark(one: &Remote, known: &HashSet<&Digest>) -> bool {
    match &one.children {
        Some(children) => children.iter().any(|child| !known.contains(child)),
        None => one.layers.is_none(),
    }
}

impl Layer {
    fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.digest.iter().chain(&self.diff_id)
    }
}

/// Which digests are of one layer: the same tar may be stored compressed in several ways.
struct Same<'a> {
    /// The diff ID of stored bytes.
    diff_ids: HashMap<&'a Digest, &'a Digest>,
    /// The digests of stored bytes with that diff ID.
    stored: HashMap<&'a Digest, BTreeSet<&'a Digest>>,
}

impl<'a> Same<'a> {
    fn new(layers: impl Iterator<Item = &'a Layer>) -> Self {
        let (mut diff_ids, mut stored): (HashMap<_, _>, HashMap<_, BTreeSet<_>>) = (HashMap::new(), HashMap::new());
        for layer in layers {
            if let Layer { digest: Some(digest), diff_id: Some(diff_id) } = layer {
                diff_ids.insert(digest, diff_id);
                stored.entry(diff_id).or_default().insert(digest);
            }
        }
        Self { diff_ids, stored }
    }

    /// Every digest of the layer that one digest is of, itself among them.
    fn all_of(&self, digest: &Digest) -> BTreeSet<Digest> {
        let diff_id = self.diff_ids.get(digest).copied().unwrap_or(digest);
        let stored = self.stored.get(diff_id).into_iter().flatten().copied();
        stored.chain([diff_id, digest]).cloned().collect()
    }

    /// Layers by what tells them apart: the diff ID where it is known anywhere.
    fn keys(&self, layers: &'a [Layer]) -> Vec<Option<&Digest>> {
        let key = |layer: &'a Layer| {
            layer.diff_id.as_ref().or_else(|| layer.digest.as_ref().map(|digest| self.diff_ids.get(digest).copied().unwrap_or(digest)))
        };
        layers.iter().map(key).collect()
    }
}

impl How {
    /// For a person.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Itself => "is it".to_owned(),
            Self::Layer(at) => format!("has it as layer {}", at + 1),
            Self::BuiltOnIt => "is built on it".to_owned(),
            Self::Index => "is an index with it".to_owned(),
        }
    }
}

impl Report {
    fn add_local(&mut self, image: &ImageSummary, how: How) {
        self.local.push(LocalHit { id: image.id.clone(), tags: image.tags.clone(), how });
        match &image.containers {
            Some(users) => {
                let hit = |container: &ContainerUse| ContainerHit { container: container.clone(), image: image.id.clone() };
                self.containers.extend(users.iter().map(hit));
            }
            None => self.not_looked_into.containers += 1,
        }
    }

    /// The same for a person, as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("# Where {} is\n\n`{}`\n", self.suspect.short(), self.suspect);
        for also in &self.also {
            _ = writeln!(out, "\nthe same layer as `{also}`");
        }
        let running = self.containers.iter().filter(|hit| hit.container.running).count();
        _ = writeln!(
            out,
            "\n{}, {} in registries, {} ({running} running).",
            counted(self.local.len(), "local image"),
            counted(self.remote.len(), "manifest"),
            counted(self.containers.len(), "container")
        );
        if self.not_looked_into != NotLooked::default() {
            let NotLooked { local, remote, repositories, containers } = self.not_looked_into;
            _ = writeln!(
                out,
                "\n**Not all was looked into:** the layers of {local} local images and {remote} manifests are not known, nor all of \
                 {repositories} repositories, nor the containers of {containers} images."
            );
        }
        table(
            &mut out,
            "Containers",
            ["Container", "State", "Image"],
            self.containers.iter().map(|hit| [hit.container.name.safe(), hit.container.state.safe(), Safe::new(hit.image.short())]),
        );
        table(
            &mut out,
            "Local images",
            ["Image", "Tags", "How"],
            self.local.iter().map(|hit| {
                let tags: Vec<String> = hit.tags.iter().map(|tag| tag.safe().to_string()).collect();
                [Safe::new(hit.id.short()), Safe::from(tags.join(", ")), Safe::from(hit.how.words())]
            }),
        );
        table(
            &mut out,
            "In registries",
            ["Name", "Digest", "How"],
            self.remote.iter().map(|hit| [hit.name.safe(), Safe::new(hit.digest.short()), Safe::from(hit.how.words())]),
        );
        let tags = |one: &InRepository| Safe::from(one.tags.map_or_else(|| "?".to_owned(), |tags| tags.to_string()));
        table(
            &mut out,
            "Looked through",
            ["Repository", "Tags", "Looked at"],
            self.repositories.iter().map(|one| [Safe::new(&one.name), tags(one), one.words()]),
        );
        out
    }
}

#[cfg(test)]
mod tests;
