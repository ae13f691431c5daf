//! From what was read of images to what is looked through, and from what was found to what is wanted of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Layer, Remote, Report};
use crate::curate::plan::Wish;
use crate::model::remote::is_tag;
use crate::model::{Digest, Name, RemoteKind, Stack, TagDetails, Target};

/// What a name is put away under.
pub const PREFIX: &str = "quarantine-";

/// The layers of an image that was read.
#[must_use]
pub fn layers(stack: &Stack) -> Option<Vec<Layer>> {
    let layers = stack.layers.as_ref().ok()?.iter();
    Some(layers.map(|(digest, diff_id)| Layer { digest: digest.clone(), diff_id: diff_id.clone() }).collect())
}

/// The manifests of the repository `name`: those of tags, and those that only an index leads to, with what was `read` of them. Signatures and their
/// like are no images, and left out.
#[must_use]
pub fn manifests<'a>(name: &str, tags: impl IntoIterator<Item = &'a TagDetails>, read: &BTreeMap<Digest, Stack>) -> Vec<Remote> {
    let images: Vec<&TagDetails> = tags.into_iter().filter(|details| details.kind != RemoteKind::Artifact).collect();
    let made = |digest: &Digest| {
        let stack = read.get(digest);
        (stack.and_then(|stack| stack.config.clone()), stack.and_then(layers))
    };
    let mut all = Vec::new();
    for details in &images {
        let index = details.kind == RemoteKind::Index;
        let (config, layers) = if index { (None, None) } else { made(&details.digest) };
        let children = index.then(|| details.images());
        all.push(Remote { name: Name::new(&format!("{name}:{}", details.tag)), digest: details.digest.clone(), config, layers, children });
    }
    let tagged: BTreeSet<&Digest> = images.iter().map(|details| &details.digest).collect();
    let parts: BTreeSet<Digest> = images.iter().flat_map(|details| details.images()).filter(|digest| !tagged.contains(digest)).collect();
    all.extend(parts.into_iter().map(|digest| {
        let (config, layers) = made(&digest);
        Remote { name: Name::new(&format!("{name}@{digest}")), digest, config, layers, children: None }
    }));
    all
}

/// The tag under which a polluted image is put away: `quarantine-TAG`; `None` where it is away already, or the name would be too long.
#[must_use]
pub fn put_away(name: &Name, prefix: &str) -> Option<Name> {
    let (repository, tag) = name.split();
    let tag = tag.filter(|tag| is_tag(tag) && !tag.starts_with(prefix))?;
    let away = format!("{prefix}{tag}");
    is_tag(&away).then(|| Name::new(&format!("{repository}:{away}")))
}

impl Report {
    /// The names found here, with their images.
    #[must_use]
    pub fn names_here(&self) -> Vec<(Digest, Name)> {
        self.local.iter().flat_map(|hit| hit.tags.iter().map(|tag| (hit.id.clone(), tag.clone()))).collect()
    }

    /// The tags found in registries, with what they are at.
    #[must_use]
    pub fn tags_there(&self) -> Vec<(Digest, Name)> {
        let is_tag = |name: &Name| name.reference().is_ok_and(|name| name.digest().is_none());
        self.remote.iter().filter(|hit| is_tag(&hit.name)).map(|hit| (hit.digest.clone(), hit.name.clone())).collect()
    }

    /// Images here without a name.
    #[must_use]
    pub fn untagged_here(&self) -> Vec<Digest> {
        self.local.iter().filter(|hit| hit.tags.is_empty()).map(|hit| hit.id.clone()).collect()
    }

    /// What is wanted of the images here: to be put away under a name with this prefix, or to be deleted.
    #[must_use]
    pub fn wishes_here(&self, away: Option<&str>) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = self.names_here().iter().flat_map(|named| wishes(named, away, &self.held.here)).collect();
        if away.is_none() {
            wishes.extend(self.untagged_here().into_iter().map(|id| Wish::Delete(Target::Image(id))));
        }
        wishes
    }

    /// The same of the tags in registries, each with its name.
    #[must_use]
    pub fn wishes_there(&self, away: Option<&str>) -> Vec<(Name, Vec<Wish>)> {
        let wished = |named: &(Digest, Name)| (named.1.clone(), wishes(named, away, &self.held.there));
        self.tags_there().iter().map(wished).filter(|(_, wishes)| !wishes.is_empty()).collect()
    }
}

fn wishes((digest, name): &(Digest, Name), away: Option<&str>, held: &HashMap<String, Digest>) -> Vec<Wish> {
    let Some(prefix) = away else { return vec![Wish::Delete(Target::Tag(name.clone()))] };
    let to = put_away(name, prefix).and_then(|to| free(to, digest, held));
    to.map_or_else(Vec::new, |to| vec![Wish::Tag { id: digest.clone(), to }, Wish::Untag(name.clone())])
}

/// The name, with the beginning of the digest behind it where something else has it: that may have no other.
fn free(name: Name, digest: &Digest, held: &HashMap<String, Digest>) -> Option<Name> {
    let is_free = |name: &Name| held.get(&name.canonical()).is_none_or(|holder| holder == digest);
    if is_free(&name) {
        return Some(name);
    }
    let (repository, tag) = name.split();
    let tag = format!("{}-{}", tag?, digest.short());
    Some(Name::new(&format!("{repository}:{tag}"))).filter(|name| is_tag(&tag) && is_free(name))
}
