//! Plans for the images of this machine: an engine's, or the store's. An image goes with its last name, so a line says whether its name is
//! the last one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Protection, Wish, counted_names, distinct, keepers, ordered, some};
use crate::model::{
    ContainerUse, Digest, Foreign, Freed, ImageList, ImageSummary, Name, Operation, Platform, SourceId, Target, UndoClass, Verb,
};

/// Thinks `wishes` through against a list of the source. What isn't there any more, or is so already, makes no line.
#[must_use]
pub fn local(source: &SourceId, list: &ImageList, wishes: &[Wish], protection: &Protection) -> Vec<Operation> {
    // By image: the names that go, as the source spells them.
    let mut going: BTreeMap<&Digest, BTreeSet<&Name>> = BTreeMap::new();
    let wishes = distinct(wishes);
    let mut given: Vec<(&Digest, &Name)> = Vec::new();
    let named = Named::new(list);
    for wish in &wishes {
        match wish {
            // What is so already is no wish.
            Wish::Tag { id, to } if named.holder(to).is_some_and(|(holder, _)| holder.id == *id) => {}
            Wish::Tag { id, to } => given.push((id, to)),
            Wish::Untag(name) | Wish::Delete(Target::Tag(name)) => {
                if let Some((image, tag)) = named.holder(name) {
                    going.entry(&image.id).or_default().insert(tag);
                }
            }
            Wish::Delete(Target::Image(id)) => {
                if let Some(image) = list.images.iter().find(|image| image.id == *id) {
                    going.entry(&image.id).or_default().extend(&image.tags);
                }
            }
            // What comes from elsewhere comes to a registry; pushes follow below.
            Wish::Push { .. } | Wish::Copy { .. } | Wish::Delete(Target::Manifest { .. }) => {}
        }
    }
    let after = After::new(list, &given, &going);
    let mut lines: Vec<Operation> = given.iter().map(|(id, to)| tag(source, &named, &after, id, to)).collect();
    lines.extend(wishes.iter().filter_map(|wish| match wish {
        Wish::Push { id, name, seen } => super::push(source, name, id, seen.as_ref().map(Option::as_ref)).map(|line| sent(line, id)),
        _ => None,
    }));
    let untagged: Vec<&Name> = wishes.iter().filter_map(|wish| if let Wish::Untag(name) = wish { Some(name) } else { None }).collect();
    for image in &list.images {
        if let Some(names) = going.get(&image.id) {
            let only_untag = |name: &Name| untagged.iter().any(|untag| same(untag, name));
            lines.extend(remove(source, image, names, &after.of(&image.id), &only_untag));
        }
    }
    for line in &mut lines {
        // Nobody knows what a push takes a name from that could not be looked at.
        if line.protected.is_none() && (line.takes_away() || line.is_blind()) {
            line.protected = line.target.name().and_then(|name| protection.of(name));
        }
    }
    ordered(lines)
}

/// The image a name stands for: of several under one name, which an index has, this machine's, as sources answer for it.
#[must_use]
pub fn holder<'a>(list: &'a ImageList, name: &Name) -> Option<(&'a ImageSummary, &'a Name)> {
    of_here(&list.tagged(name))
}

fn of_here<'a>(all: &[(&'a ImageSummary, &'a Name)]) -> Option<(&'a ImageSummary, &'a Name)> {
    let here = Platform::host();
    let fits = |(image, _): &&(&ImageSummary, &Name)| image.platform.as_ref().is_some_and(|platform| platform.serves(&here));
    all.iter().find(fits).or(all.first()).copied()
}

/// A list by the names in it, as they are spelled there: ten thousand wishes don't look through ten thousand images each.
struct Named<'a> {
    list: &'a ImageList,
    exact: HashMap<&'a str, Vec<(&'a ImageSummary, &'a Name)>>,
}

impl<'a> Named<'a> {
    fn new(list: &'a ImageList) -> Self {
        let mut exact: HashMap<&str, Vec<_>> = HashMap::new();
        for image in &list.images {
            for tag in &image.tags {
                exact.entry(tag.raw()).or_default().push((image, tag));
            }
        }
        Self { list, exact }
    }

    /// As [`holder`].
    fn holder(&self, name: &Name) -> Option<(&'a ImageSummary, &'a Name)> {
        self.exact.get(name.raw()).map_or_else(|| holder(self.list, name), |all| of_here(all))
    }
}

/// The names each image will have.
struct After(BTreeMap<Digest, Vec<Foreign>>);

impl After {
    fn new(list: &ImageList, given: &[(&Digest, &Name)], going: &BTreeMap<&Digest, BTreeSet<&Name>>) -> Self {
        let mut names: BTreeMap<Digest, Vec<Foreign>> = BTreeMap::new();
        let moved: BTreeSet<String> = given.iter().map(|(_, name)| canonical(name)).collect();
        for image in &list.images {
            let gone = going.get(&image.id);
            let stays = |tag: &&Name| gone.is_none_or(|gone| !gone.contains(tag)) && (moved.is_empty() || !moved.contains(&canonical(tag)));
            names.insert(image.id.clone(), image.tags.iter().filter(stays).map(|tag| Foreign::new(tag.raw())).collect());
        }
        for (id, name) in given {
            names.entry((*id).clone()).or_default().push(Foreign::new(name.raw()));
        }
        Self(names)
    }

    fn of(&self, id: &Digest) -> Vec<Foreign> {
        some(self.0.get(id).into_iter().flatten().cloned())
    }
}

fn canonical(name: &Name) -> String {
    Target::Tag(name.clone()).canonical()
}

fn same(one: &Name, other: &Name) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// Every image without a name that nothing uses; with `knows_containers` also only where that nothing uses it is known.
#[must_use]
pub fn prune(source: &SourceId, list: &ImageList, knows_containers: bool) -> Vec<Operation> {
    let nothing = BTreeSet::new();
    let unused = |image: &&ImageSummary| match image.is_unused() {
        Some(unused) => unused,
        None => !knows_containers,
    };
    let dangling = list.images.iter().filter(|image| image.is_dangling()).filter(unused);
    ordered(dangling.flat_map(|image| remove(source, image, &nothing, &[], &|_| false)).collect())
}

fn tag(source: &SourceId, named: &Named<'_>, after: &After, id: &Digest, to: &Name) -> Operation {
    let holder = named.holder(to).map(|(image, _)| image);
    let verb = if holder.is_some() { Verb::MoveTag } else { Verb::Tag };
    // As the source spells it, where it has it.
    let spelled = holder.and_then(|holder| holder.tags.iter().find(|tag| same(tag, to))).unwrap_or(to);
    let before = holder.map(|holder| holder.id.clone());
    let mut line = Operation::new(verb, source.clone(), Target::Tag(spelled.clone()), before, Some(id.clone()));
    line.effects.push(Foreign::from(format!("names image {}", id.short())));
    if let Some(holder) = holder {
        line.shares = after.of(&holder.id);
        line.effects.push(Foreign::from(if line.shares.is_empty() {
            format!("image {} is left without a tag: a prune would delete it", holder.id.short())
        } else {
            format!("image {} keeps {}", holder.id.short(), counted_names(&line.shares, "tag"))
        }));
    }
    line
}

/// Says which image a push sends. What it changes comes first: a narrow screen shows the beginning.
fn sent(mut line: Operation, id: &Digest) -> Operation {
    let found = line.effects.first().map(|found| format!("{}; ", found.safe())).unwrap_or_default();
    line.effects = vec![Foreign::from(format!("{found}sends image {}", id.short()))];
    line
}

fn users(image: &ImageSummary) -> Vec<Foreign> {
    some(image.containers.iter().flatten().map(|user: &ContainerUse| user.name.clone()))
}

/// `staying` are the names the image will have.
fn remove(
    source: &SourceId,
    image: &ImageSummary,
    going: &BTreeSet<&Name>,
    staying: &[Foreign],
    only_untag: &dyn Fn(&Name) -> bool,
) -> Vec<Operation> {
    let line = |verb, target| Operation::new(verb, source.clone(), target, Some(image.id.clone()), None);
    let mut lines = Vec::new();
    let last = if staying.is_empty() { going.iter().next_back().copied() } else { None };
    for name in going {
        if Some(*name) == last {
            continue;
        }
        let mut untag = line(Verb::Untag, Target::Tag((*name).clone()));
        untag.effects.push(Foreign::from(if staying.is_empty() {
            format!("untags: image {} goes with its last tag", image.id.short())
        } else {
            format!("untag only, {}", keepers(staying, "other tag", "this image"))
        }));
        untag.shares = staying.to_vec();
        if staying.is_empty() {
            protect(&mut untag, image);
        }
        lines.push(untag);
    }
    if !staying.is_empty() {
        return lines;
    }
    let mut delete = line(Verb::DeleteImage, last.map_or_else(|| Target::Image(image.id.clone()), |name| Target::Tag(name.clone())));
    delete.effects.push(Foreign::from(match last {
        Some(_) if going.len() > 1 => format!("image {} goes with all its {} tags", image.id.short(), going.len()),
        Some(_) => format!("its only tag, so image {} goes too", image.id.short()),
        None => format!("image {} has no tag, and goes", image.id.short()),
    }));
    if let Some(origin) = image.repo_digests.first() {
        delete.effects.push(Foreign::from(format!("it may be pulled again: {}", origin.safe())));
        delete.effects.push(Foreign::new("a backup brings it back with its ID and name, but without its digest in a registry"));
    }
    delete.undo = UndoClass::OnlyFromBackup;
    delete.freed = image.size.map(|size| Freed {
        at_least: image.unique_size.unwrap_or(0).min(size),
        at_most: size,
        basis: Foreign::new("this image alone"),
    });
    protect(&mut delete, image);
    if delete.protected.is_none() && last.is_some_and(only_untag) {
        delete.protected = Some(Foreign::new("it is the last tag of its image, which would go too"));
    }
    lines.push(delete);
    lines
}

/// What a container uses stays.
fn protect(line: &mut Operation, image: &ImageSummary) {
    line.used_by = users(image);
    if let Some(user) = image.containers.iter().flatten().next() {
        let more = line.used_by.len().saturating_sub(1);
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        let state = if user.running { "running" } else { "stopped" };
        line.protected = Some(Foreign::from(format!("used by {state} container {}{others}", user.name.safe())));
    }
}
