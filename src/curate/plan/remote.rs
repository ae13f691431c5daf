//! Plans for a repository of a registry. A registry that deletes whole manifests takes all their tags along, so a tag whose digest others
//! share is taken alone away, and a manifest goes only when nothing that stays needs it; what is about it, such as a signature, goes along.

use std::collections::{BTreeMap, BTreeSet};

use super::{Protection, Wish, counted_names, distinct, keepers, ordered, some};
use crate::model::remote::companion_of;
use crate::model::{Completeness, Digest, Foreign, Name, Operation, RepositoryView, Target, UndoClass, Verb};

impl RepositoryView {
    fn name_of(&self, tag: &str) -> Name {
        Name::new(&format!("{}:{tag}", self.name))
    }

    fn manifest(&self, digest: &Digest) -> Target {
        Target::Manifest { repository: Name::new(&self.name), digest: digest.clone() }
    }

    /// The tag of a name of this repository.
    fn tag_of(&self, name: &Name) -> Option<String> {
        let reference = name.reference().ok()?;
        let full = format!("{}/{}", reference.registry(), reference.repository());
        (full == self.name).then(|| reference.tag().unwrap_or("latest").to_owned())
    }

    fn at(&self, tag: &str) -> Option<&Digest> {
        self.tags.get(tag).map(|(digest, _)| digest)
    }
}

/// What goes of a repository.
#[derive(Default)]
struct Going {
    tags: BTreeSet<String>,
    /// Tags that go alone, whatever they are at.
    alone: BTreeSet<String>,
    manifests: BTreeSet<Digest>,
}

/// How the repository will be.
struct After<'a> {
    view: &'a RepositoryView,
    /// Tags by what they will be at.
    tags: BTreeMap<Digest, Vec<String>>,
    /// Manifests that go.
    gone: BTreeSet<Digest>,
    /// The indexes that list a manifest.
    parents: BTreeMap<&'a Digest, Vec<&'a Digest>>,
}

impl<'a> After<'a> {
    fn new(view: &'a RepositoryView, given: &BTreeMap<String, Digest>, going: &Going) -> Self {
        let mut tags: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let stays = |tag: &String| !going.tags.contains(tag) && !going.alone.contains(tag) && !given.contains_key(tag);
        let staying = view.tags.iter().filter(|(tag, _)| stays(tag)).map(|(tag, (digest, _))| (tag, digest));
        for (tag, digest) in staying.chain(given) {
            tags.entry(digest.clone()).or_default().push(tag.clone());
        }
        let untagged = going.tags.iter().filter_map(|tag| view.at(tag)).filter(|digest| !tags.contains_key(*digest));
        let gone = untagged.chain(&going.manifests).cloned().collect();
        let mut parents: BTreeMap<&Digest, Vec<&Digest>> = BTreeMap::new();
        for (index, children) in &view.indexes {
            for child in children {
                parents.entry(child).or_default().push(index);
            }
        }
        Self { view, tags, gone, parents }
    }

    /// Tags that will be at `digest`.
    fn sharing(&self, digest: &Digest) -> Vec<Foreign> {
        some(self.tags.get(digest).into_iter().flatten().map(|tag| Foreign::new(tag)))
    }

    /// Indexes that list `digest` and stay.
    fn parents(&self, digest: &Digest) -> Vec<Foreign> {
        let parents = self.parents.get(digest).into_iter().flatten();
        let staying = parents.filter(|index| **index != digest && !self.gone.contains(**index));
        some(staying.map(|index| {
            let tag = self.view.tags.iter().find(|(_, (at, _))| at == *index).map(|(tag, _)| tag.as_str());
            Foreign::new(tag.unwrap_or(index.as_str()))
        }))
    }
}

/// Thinks `wishes` through. What isn't there any more, or is so already, makes no line.
#[must_use]
pub fn remote(view: &RepositoryView, wishes: &[Wish], protection: &Protection) -> Vec<Operation> {
    let mut given: BTreeMap<String, Digest> = BTreeMap::new();
    let mut going = Going::default();
    let wishes = distinct(wishes);
    for wish in &wishes {
        match wish {
            // What is so already is no wish.
            Wish::Tag { id, to } | Wish::Copy { id, to, .. } => {
                given.extend(view.tag_of(to).filter(|tag| view.at(tag) != Some(id)).map(|tag| (tag, id.clone())));
            }
            Wish::Untag(name) => going.alone.extend(view.tag_of(name).filter(|tag| view.tags.contains_key(tag))),
            Wish::Delete(Target::Tag(name)) => going.tags.extend(view.tag_of(name).filter(|tag| view.tags.contains_key(tag))),
            Wish::Delete(Target::Manifest { digest, .. } | Target::Image(digest)) => {
                going.manifests.insert(digest.clone());
            }
        }
    }
    going.tags.retain(|tag| !going.alone.contains(tag));
    follow(view, &given, &mut going);
    let after = After::new(view, &given, &going);
    let mut lines: Vec<Operation> = Vec::new();
    for wish in &wishes {
        match wish {
            Wish::Tag { id, to } => lines.extend(tag(&after, id, to)),
            Wish::Copy { from, id, to } => lines.extend(copy(&after, from, id, to)),
            Wish::Delete(_) | Wish::Untag(_) => {}
        }
    }
    lines.extend(going.tags.iter().chain(&going.alone).filter_map(|tag| delete_tag(&after, tag, &going)));
    lines.extend(going.manifests.iter().map(|digest| delete_manifest(&after, digest)));
    for line in &mut lines {
        let replaces = line.verb == Verb::Copy && line.before.is_some();
        if line.protected.is_none() && (line.verb.takes_away() || replaces) {
            line.protected = line.target.name().and_then(|name| protection.of(name));
        }
    }
    keep_companions(view, &mut lines);
    ordered(lines)
}

/// Adds what is about a manifest that goes: signatures are no use without it.
fn follow(view: &RepositoryView, given: &BTreeMap<String, Digest>, going: &mut Going) {
    let mut seen = BTreeSet::new();
    loop {
        let new: Vec<Digest> = After::new(view, given, going).gone.into_iter().filter(|digest| seen.insert(digest.clone())).collect();
        if new.is_empty() {
            return;
        }
        for digest in new {
            for (referrer, tag) in view.referrers.get(&digest).into_iter().flatten() {
                let tags: Vec<String> = view.tags.iter().filter(|(_, (at, _))| at == referrer).map(|(tag, _)| tag.clone()).collect();
                match tag.as_ref().filter(|tag| view.tags.contains_key(*tag)) {
                    Some(tag) => drop(going.tags.insert(tag.clone())),
                    None if tags.is_empty() => drop(going.manifests.insert(referrer.clone())),
                    None => {}
                }
            }
            // A fallback index of referrers goes with its subject.
            let companions = view.tags.keys().filter(|tag| companion_of(tag).is_some_and(|(about, _)| about == digest));
            let companions: Vec<String> = companions.cloned().collect();
            going.tags.extend(companions);
        }
    }
}

fn tag(after: &After<'_>, digest: &Digest, to: &Name) -> Option<Operation> {
    given(after, digest, to, |before| if before.is_some() { Verb::MoveTag } else { Verb::Tag })
}

fn copy(after: &After<'_>, from: &Name, digest: &Digest, to: &Name) -> Option<Operation> {
    let mut line = given(after, digest, to, |_| Verb::Copy)?;
    line.from = Some(from.clone());
    Some(line)
}

/// A line that makes `to` be `digest`; none where it is that already.
fn given(after: &After<'_>, digest: &Digest, to: &Name, verb: impl FnOnce(Option<&Digest>) -> Verb) -> Option<Operation> {
    let view = after.view;
    let tag = view.tag_of(to)?;
    let before = view.at(&tag);
    if before == Some(digest) {
        return None;
    }
    let verb = verb(before);
    let mut line = Operation::new(verb, view.source.clone(), Target::Tag(view.name_of(&tag)), before.cloned(), Some(digest.clone()));
    line.media_type = view.tags.values().find(|(at, _)| at == digest).map(|(_, kind)| kind.clone());
    line.effects.push(Foreign::from(match verb {
        Verb::Copy => format!("brings {} and what the repository lacks of its layers", digest.short()),
        _ => format!("points at {}; no layer moves", digest.short()),
    }));
    if let Some(before) = before {
        line.shares = after.sharing(before);
        if line.shares.is_empty() {
            line.undo = UndoClass::UntilGarbageCollection;
            line.effects.push(Foreign::from(format!("{} is left without a tag", before.short())));
        } else {
            line.effects.push(Foreign::from(keepers(&line.shares, "tag", before.short())));
        }
    }
    Some(line)
}

fn delete_tag(after: &After<'_>, tag: &str, going: &Going) -> Option<Operation> {
    let view = after.view;
    let (digest, media_type) = view.tags.get(tag)?;
    let (shares, parents) = (after.sharing(digest), after.parents(digest));
    let alone = going.alone.contains(tag) || !shares.is_empty() || !parents.is_empty();
    let verb = if alone { Verb::Untag } else { Verb::DeleteTag };
    let mut line = Operation::new(verb, view.source.clone(), Target::Tag(view.name_of(tag)), Some(digest.clone()), None);
    line.media_type = Some(media_type.clone());
    line.referrers = referrers(view, digest);
    if !shares.is_empty() {
        line.effects.push(Foreign::from(format!("untag only, {}", keepers(&shares, "other tag", "this digest"))));
    } else if !parents.is_empty() {
        line.effects.push(Foreign::from(format!("untag only, {}", keepers(&parents, "index", "this digest"))));
    } else if alone {
        line.effects.push(Foreign::from(format!("untag only, {} stays without a tag", digest.short())));
        line.undo = UndoClass::UntilGarbageCollection;
    } else {
        let together: Vec<Foreign> = some(going.tags.iter().filter(|other| view.at(other) == Some(digest)).map(|tag| Foreign::new(tag)));
        line.effects.push(Foreign::from(format!("removes {}", counted_names(&together, "tag"))));
        line.undo = UndoClass::UntilGarbageCollection;
    }
    if verb == Verb::DeleteTag
        && let Completeness::Incomplete(why) = &view.completeness
    {
        line.protected = Some(Foreign::from(format!("which tags share its digest can't be proved: {why}")));
    }
    line.shares = shares;
    line.parents = parents;
    if let Some((subject, _)) = companion_of(tag)
        && view.tags.values().any(|(at, _)| *at == subject)
        && !after.gone.contains(&subject)
    {
        line.protected = Some(Foreign::from(format!("it is about {}, which stays", subject.short())));
    }
    Some(line)
}

fn delete_manifest(after: &After<'_>, digest: &Digest) -> Operation {
    let view = after.view;
    let mut line = Operation::new(Verb::DeleteManifest, view.source.clone(), view.manifest(digest), Some(digest.clone()), None);
    line.media_type = view.tags.values().find(|(at, _)| at == digest).map(|(_, kind)| kind.clone());
    line.undo = UndoClass::UntilGarbageCollection;
    line.shares = after.sharing(digest);
    line.parents = after.parents(digest);
    line.referrers = referrers(view, digest);
    line.effects.push(Foreign::from(format!("deletes the manifest {}", digest.short())));
    let subject = view.referrers.iter().find(|(_, about)| about.iter().any(|(referrer, _)| referrer == digest)).map(|(subject, _)| subject);
    line.protected = if !line.shares.is_empty() {
        Some(Foreign::from(format!("it has {}", counted_names(&line.shares, "tag"))))
    } else if !line.parents.is_empty() {
        Some(Foreign::from(format!("child of {}", counted_names(&line.parents, "index"))))
    } else if let Some(subject) = subject.filter(|subject| !after.gone.contains(*subject)) {
        Some(Foreign::from(format!("it is about {}, which stays", subject.short())))
    } else if let Completeness::Incomplete(why) = &view.completeness {
        Some(Foreign::from(format!("what needs it can't be proved: {why}")))
    } else {
        None
    };
    line
}

fn referrers(view: &RepositoryView, digest: &Digest) -> Vec<Foreign> {
    let found = view.referrers.get(digest).into_iter().flatten();
    some(found.map(|(referrer, tag)| Foreign::new(tag.as_deref().unwrap_or(referrer.as_str()))))
}

/// What is about a manifest whose own line may not run stays with it.
fn keep_companions(view: &RepositoryView, lines: &mut [Operation]) {
    loop {
        let kept: BTreeMap<Digest, Foreign> =
            lines.iter().filter_map(|line| Some((line.before.clone()?, line.refused()?.clone()))).collect();
        let mut changed = false;
        for line in lines.iter_mut().filter(|line| line.refused().is_none() && line.protected.is_none()) {
            let Some(digest) = line.before.as_ref().filter(|_| !matches!(line.verb, Verb::MoveTag | Verb::Copy)) else { continue };
            let about = view
                .referrers
                .iter()
                .find(|(subject, about)| kept.contains_key(*subject) && about.iter().any(|(referrer, _)| referrer == digest));
            let tag = line.target.name().and_then(|name| view.tag_of(name));
            let subject = about.map(|(subject, _)| subject.clone()).or_else(|| {
                tag.and_then(|tag| companion_of(&tag).map(|(subject, _)| subject)).filter(|subject| kept.contains_key(subject))
            });
            if let Some(subject) = subject {
                line.protected = Some(Foreign::from(format!("it is about {}, which stays", subject.short())));
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}
