//! Plans for a repository of a registry. A registry that deletes whole manifests takes all their tags along, so a tag whose digest others
//! share is taken alone away, and a manifest goes only when nothing that stays needs it; what is about it, such as a signature, goes along.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        name.tag_in(&self.name)
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

/// What is asked of a repository for every line, so that ten thousand lines don't look through ten thousand tags each.
struct Known<'a> {
    view: &'a RepositoryView,
    /// Tags by what they are at, in their order.
    tags: HashMap<&'a Digest, Vec<&'a str>>,
    /// Tags that are about a manifest by their own name, by the manifest.
    companions: HashMap<Digest, Vec<&'a str>>,
    /// What a manifest refers to.
    subjects: HashMap<&'a Digest, Vec<&'a Digest>>,
    /// The indexes that list a manifest.
    parents: HashMap<&'a Digest, Vec<&'a Digest>>,
}

impl<'a> Known<'a> {
    fn new(view: &'a RepositoryView) -> Self {
        let (mut tags, mut companions): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = (HashMap::new(), HashMap::new());
        for (tag, (digest, _)) in &view.tags {
            tags.entry(digest).or_default().push(tag.as_str());
            if let Some((subject, _)) = companion_of(tag) {
                companions.entry(subject).or_default().push(tag.as_str());
            }
        }
        let (mut subjects, mut parents): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = (HashMap::new(), HashMap::new());
        for (subject, about) in &view.referrers {
            for (referrer, _) in about {
                subjects.entry(referrer).or_default().push(subject);
            }
        }
        for (index, children) in &view.indexes {
            for child in children {
                parents.entry(child).or_default().push(index);
            }
        }
        Self { view, tags, companions, subjects, parents }
    }

    /// The first tag at `digest`.
    fn tag(&self, digest: &Digest) -> Option<&'a str> {
        self.tags.get(digest).and_then(|tags| tags.first().copied())
    }

    fn media_type(&self, digest: &Digest) -> Option<Foreign> {
        self.view.tags.get(self.tag(digest)?).map(|(_, kind)| kind.clone())
    }

    fn subjects(&self, referrer: &Digest) -> &[&'a Digest] {
        self.subjects.get(referrer).map_or(&[], Vec::as_slice)
    }
}

/// How the repository will be.
struct After<'a> {
    view: &'a RepositoryView,
    known: &'a Known<'a>,
    /// Tags by what they will be at.
    tags: BTreeMap<Digest, Vec<String>>,
    /// Manifests that go.
    gone: BTreeSet<Digest>,
    /// Tags that go with their manifest, by what they are at.
    together: HashMap<&'a Digest, Vec<&'a str>>,
}

impl<'a> After<'a> {
    fn new(known: &'a Known<'a>, given: &BTreeMap<String, Digest>, going: &Going) -> Self {
        let view = known.view;
        let mut tags: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let stays = |tag: &String| !going.tags.contains(tag) && !going.alone.contains(tag) && !given.contains_key(tag);
        let staying = view.tags.iter().filter(|(tag, _)| stays(tag)).map(|(tag, (digest, _))| (tag, digest));
        for (tag, digest) in staying.chain(given) {
            tags.entry(digest.clone()).or_default().push(tag.clone());
        }
        let untagged = going.tags.iter().filter_map(|tag| view.at(tag)).filter(|digest| !tags.contains_key(*digest));
        let gone = untagged.chain(&going.manifests).cloned().collect();
        let mut together: HashMap<&Digest, Vec<&str>> = HashMap::new();
        for (tag, (digest, _)) in going.tags.iter().filter_map(|tag| view.tags.get_key_value(tag)) {
            together.entry(digest).or_default().push(tag);
        }
        Self { view, known, tags, gone, together }
    }

    /// Tags that will be at `digest`.
    fn sharing(&self, digest: &Digest) -> Vec<Foreign> {
        some(self.tags.get(digest).into_iter().flatten().map(|tag| Foreign::new(tag)))
    }

    /// Indexes that list `digest` and stay.
    fn parents(&self, digest: &Digest) -> Vec<Foreign> {
        let parents = self.known.parents.get(digest).into_iter().flatten();
        let staying = parents.filter(|index| **index != digest && !self.gone.contains(**index));
        some(staying.map(|index| Foreign::new(self.known.tag(index).unwrap_or(index.as_str()))))
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
            // What is pushed is of this machine.
            Wish::Push { .. } => {}
            Wish::Untag(name) => going.alone.extend(view.tag_of(name).filter(|tag| view.tags.contains_key(tag))),
            Wish::Delete(Target::Tag(name)) => going.tags.extend(view.tag_of(name).filter(|tag| view.tags.contains_key(tag))),
            Wish::Delete(Target::Manifest { digest, .. } | Target::Image(digest)) => {
                going.manifests.insert(digest.clone());
            }
        }
    }
    going.tags.retain(|tag| !going.alone.contains(tag));
    let known = Known::new(view);
    follow(&known, &given, &mut going);
    let after = After::new(&known, &given, &going);
    let mut lines: Vec<Operation> = Vec::new();
    for wish in &wishes {
        match wish {
            Wish::Tag { id, to } => lines.extend(tag(&after, id, to)),
            Wish::Copy { from, id, to } => lines.extend(copy(&after, from, id, to)),
            Wish::Delete(_) | Wish::Untag(_) | Wish::Push { .. } => {}
        }
    }
    lines.extend(going.tags.iter().chain(&going.alone).filter_map(|tag| delete_tag(&after, tag, going.alone.contains(tag))));
    lines.extend(going.manifests.iter().map(|digest| delete_manifest(&after, digest)));
    for line in &mut lines {
        if line.protected.is_none() && line.takes_away() {
            line.protected = line.target.name().and_then(|name| protection.of(name));
        }
    }
    keep_companions(&known, &mut lines);
    ordered(lines)
}

/// Adds what is about a manifest that goes: signatures are no use without it.
fn follow(known: &Known<'_>, given: &BTreeMap<String, Digest>, going: &mut Going) {
    let view = known.view;
    let first = After::new(known, given, going);
    let mut staying: HashMap<Digest, usize> = first.tags.iter().map(|(digest, tags)| (digest.clone(), tags.len())).collect();
    let mut gone: Vec<Digest> = first.gone.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(digest) = gone.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        // A fallback index of referrers goes with its subject.
        let mut along: Vec<&str> = known.companions.get(&digest).into_iter().flatten().copied().collect();
        for (referrer, tag) in view.referrers.get(&digest).into_iter().flatten() {
            match tag.as_ref().filter(|tag| view.tags.contains_key(*tag)) {
                Some(tag) => along.push(tag),
                None if known.tag(referrer).is_none() => {
                    going.manifests.insert(referrer.clone());
                    gone.push(referrer.clone());
                }
                None => {}
            }
        }
        for tag in along {
            let Some(at) = view.at(tag).filter(|_| going.tags.insert(tag.to_owned())) else { continue };
            let left = staying.entry(at.clone()).or_default();
            // Those that go alone, or are given to another manifest, were not counted.
            if !going.alone.contains(tag) && !given.contains_key(tag) {
                *left = left.saturating_sub(1);
            }
            if *left == 0 {
                gone.push(at.clone());
            }
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
    line.media_type = after.known.media_type(digest);
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

/// `alone` says that a user wants the tag alone to go.
fn delete_tag(after: &After<'_>, tag: &str, alone: bool) -> Option<Operation> {
    let view = after.view;
    let (digest, media_type) = view.tags.get(tag)?;
    let (shares, parents) = (after.sharing(digest), after.parents(digest));
    let alone = alone || !shares.is_empty() || !parents.is_empty();
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
        let together: Vec<Foreign> = some(after.together.get(digest).into_iter().flatten().map(|tag| Foreign::new(tag)));
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
        && after.known.tag(&subject).is_some()
        && !after.gone.contains(&subject)
    {
        line.protected = Some(Foreign::from(format!("it is about {}, which stays", subject.short())));
    }
    Some(line)
}

fn delete_manifest(after: &After<'_>, digest: &Digest) -> Operation {
    let view = after.view;
    let mut line = Operation::new(Verb::DeleteManifest, view.source.clone(), view.manifest(digest), Some(digest.clone()), None);
    line.media_type = after.known.media_type(digest);
    line.undo = UndoClass::UntilGarbageCollection;
    line.shares = after.sharing(digest);
    line.parents = after.parents(digest);
    line.referrers = referrers(view, digest);
    line.effects.push(Foreign::from(format!("deletes the manifest {}", digest.short())));
    let subject = after.known.subjects(digest).first();
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
fn keep_companions(known: &Known<'_>, lines: &mut [Operation]) {
    let companion = |line: &Operation| companion_of(&known.view.tag_of(line.target.name()?)?).map(|(subject, _)| subject);
    // By what they are about.
    let mut about: HashMap<Digest, Vec<usize>> = HashMap::new();
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.protected.is_none()) {
        let Some(digest) = line.before.as_ref().filter(|_| !matches!(line.verb, Verb::MoveTag | Verb::Copy)) else { continue };
        let subjects = known.subjects(digest).iter().map(|subject| (*subject).clone());
        for subject in subjects.chain(companion(line)) {
            about.entry(subject).or_default().push(n);
        }
    }
    let mut kept = BTreeSet::new();
    let mut new: BTreeSet<Digest> = lines.iter().filter(|line| line.refused().is_some()).filter_map(|line| line.before.clone()).collect();
    // Each round keeps what is about what the one before it kept.
    while !new.is_empty() {
        let mut next = BTreeSet::new();
        for n in new.iter().filter_map(|digest| about.remove(digest)).flatten() {
            let Some(line) = lines.get_mut(n).filter(|line| line.protected.is_none()) else { continue };
            let Some(digest) = line.before.clone() else { continue };
            let subject = known.subjects(&digest).iter().find(|subject| new.contains(**subject)).map(|subject| (*subject).clone());
            if let Some(subject) = subject.or_else(|| companion(line)) {
                line.protected = Some(Foreign::from(format!("it is about {}, which stays", subject.short())));
                next.insert(digest);
            }
        }
        kept.append(&mut new);
        new = next.into_iter().filter(|digest| !kept.contains(digest)).collect();
    }
}
