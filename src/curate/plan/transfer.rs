//! Transfers as lines of a plan: the names they give, so that what had those names before is written down and can be had back.
//!
//! May use model only. What a name is at is looked at by whoever carries the transfer out ([`looked_at`]), where nobody confirmed it before.

use crate::model::{
    Change, Copy, CopyFrom, Digest, Foreign, ImportTag, Locator, Name, Operation, SourceId, Target, Transport, UndoClass, Verb,
};

/// Where to look, before a transfer, for what it takes its name from. `None` where that was confirmed, or no name is given.
#[must_use]
pub fn looked_at(change: &Change) -> Option<(SourceId, Target)> {
    match change {
        Change::Pull { source, name, .. } => Some((source.clone(), Target::Tag(tag(name)?))),
        Change::Push { name, .. } => {
            let tag = tag(name)?;
            let registry = SourceId::registry(tag.reference().ok()?.registry());
            Some((registry, Target::Tag(tag)))
        }
        Change::Copy { .. } | Change::Import { .. } => None,
    }
}

/// A line for every name that a transfer gives; `held` is what was found where [`looked_at`] says. A pull by digest gives none.
#[must_use]
pub fn transfer(change: &Change, held: Option<&Digest>) -> Vec<Operation> {
    match change {
        Change::Pull { source, name, platform } => {
            let line = tag(name).map(|tag| Operation::new(Verb::Pull, source.clone(), Target::Tag(tag), held.cloned(), None));
            line.map(|line| Operation { platforms: platform.iter().cloned().collect(), ..line }).map(described).into_iter().collect()
        }
        Change::Push { source, name, .. } => {
            let Some((registry, target)) = looked_at(change) else { return Vec::new() };
            let from = format!("{}{}", prefix(source), name.raw());
            let line = Operation::new(Verb::Copy, registry, target, held.cloned(), None);
            vec![described(Operation { from: Some(Name::new(&from)), ..line })]
        }
        Change::Copy { source, copy } => copied(source, copy).map(described).into_iter().collect(),
        Change::Import { source, file, tags } => {
            // Of a name that an archive has twice, the last is what stays.
            let last = |at: usize, tag: &ImportTag| !tags.iter().skip(at + 1).any(|other| other.name == tag.name);
            let kept = tags.iter().enumerate().filter(|(at, tag)| last(*at, tag)).map(|(_, tag)| tag);
            kept.filter_map(|tag| imported(source, &file.to_string_lossy(), tag)).map(described).collect()
        }
    }
}

/// A push whose registry can't be looked at from here: written down, and not to be taken back.
#[must_use]
pub fn blind_push(source: &SourceId, name: &Name, id: &Digest) -> Vec<Operation> {
    let line = tag(name).map(|tag| Operation::new(Verb::Push, source.clone(), Target::Tag(tag), None, Some(id.clone())));
    let said = |line| Operation {
        undo: UndoClass::Irreversible,
        effects: vec![Foreign::new("what the tag was at in the registry could not be looked at")],
        ..line
    };
    line.map(said).into_iter().collect()
}

fn copied(source: &SourceId, copy: &Copy) -> Option<Operation> {
    let from = match &copy.from {
        CopyFrom::Registry(name) => format!("docker://{}", name.raw()),
        CopyFrom::File(locator) => written(locator),
    };
    // Only whole copies keep their digest.
    let after = copy.expected.clone().filter(|_| copy.platforms.is_empty());
    let verb = if source.registry_host().is_some() { Verb::Copy } else { Verb::Pull };
    let line = Operation::new(verb, source.clone(), Target::Tag(tag(&copy.to)?), copy.replaces.clone(), after);
    Some(Operation { from: Some(Name::new(&from)), platforms: copy.platforms.clone(), with_referrers: copy.referrers, ..line })
}

fn imported(source: &SourceId, file: &str, tag: &ImportTag) -> Option<Operation> {
    let from = Name::new(&format!("docker-archive:{file}:{}", tag.name.raw()));
    let target = Target::Tag(self::tag(&tag.name)?);
    let line = Operation::new(Verb::Pull, source.clone(), target, tag.holder.clone(), Some(tag.id.clone()));
    Some(Operation { from: Some(from), ..line })
}

/// A name with a tag and without a digest; `None` for any other.
fn tag(name: &Name) -> Option<Name> {
    let reference = name.reference().ok().filter(|reference| reference.digest().is_none())?;
    let whole = format!("{}/{}:{}", reference.registry(), reference.repository(), reference.tag().unwrap_or("latest"));
    Some(Name::new(Name::new(&whole).familiar()))
}

/// The transport that names a source of this machine.
fn prefix(source: &SourceId) -> &'static str {
    if source.0.starts_with("store") { "store:" } else { "docker-daemon:" }
}

fn written(locator: &Locator) -> String {
    let transport = match locator.transport {
        Transport::Layout => "oci:",
        Transport::OciArchive => "oci-archive:",
        Transport::DockerArchive => "docker-archive:",
        Transport::Registry => "docker://",
        Transport::Engine => "docker-daemon:",
        Transport::Store => "store:",
        Transport::Current => "",
    };
    let path = locator.path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let parts: Vec<&str> = path.as_deref().into_iter().chain(locator.name.as_ref().map(Name::raw)).collect();
    format!("{transport}{}", parts.join(":"))
}

/// Says what becomes of what had the name.
fn described(mut line: Operation) -> Operation {
    let remote = line.source.registry_host().is_some();
    let effect = match &line.before {
        None => "a new tag".to_owned(),
        Some(before) if line.after.as_ref() == Some(before) => "it is there already".to_owned(),
        Some(before) => format!("takes the tag from {}", before.short()),
    };
    if remote && line.takes_away() {
        line.undo = UndoClass::UntilGarbageCollection;
    }
    line.effects.push(Foreign::from(effect));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curate::plan::inverse;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    #[test]
    fn a_pull_names_what_it_gives_and_one_by_digest_names_nothing() {
        let source = SourceId("engine".into());
        let pull = |name: &str| Change::Pull { source: source.clone(), name: Name::new(name), platform: None };
        assert_eq!(looked_at(&pull("app")).unwrap().1, Target::Tag(Name::new("app:latest")));
        let lines = transfer(&pull("app"), Some(&digest("old")));
        assert_eq!((lines[0].verb, lines[0].before.clone()), (Verb::Pull, Some(digest("old"))));
        assert!(lines[0].takes_away());
        let by_digest = pull(&format!("app@{}", digest("x")));
        assert_eq!((looked_at(&by_digest), transfer(&by_digest, None)), (None, Vec::new()));
    }

    #[test]
    fn a_push_is_a_line_of_the_registry_it_goes_to() {
        let push =
            Change::Push { source: SourceId("engine".into()), name: Name::new("localhost:5000/app"), expected: digest("id"), seen: None };
        let line = transfer(&push, Some(&digest("old"))).remove(0);
        assert_eq!(line.source, SourceId::registry("localhost:5000"));
        assert_eq!((line.verb, line.undo), (Verb::Copy, UndoClass::UntilGarbageCollection));
        assert_eq!(line.from.unwrap().raw(), "docker-daemon:localhost:5000/app");
    }

    #[test]
    fn what_an_import_moves_goes_back_to_what_had_the_name_and_what_it_brings_goes() {
        let tag =
            |name: &str, id: &str, holder: Option<&str>| ImportTag { name: Name::new(name), id: digest(id), holder: holder.map(digest) };
        let tags = vec![tag("a:1", "x", None), tag("a:2", "y", Some("old")), tag("a:3", "z", Some("z")), tag("a:1", "w", None)];
        let import = Change::Import { source: SourceId("engine".into()), file: "/f.tar".into(), tags };
        let lines = transfer(&import, None);
        assert_eq!(lines.len(), 3, "a name twice is one line");
        let back: Vec<_> = lines.iter().map(|line| inverse(line, false).map(|back| (back.verb, back.before, back.after))).collect();
        assert_eq!(back[0], Some((Verb::MoveTag, Some(digest("y")), Some(digest("old")))));
        assert_eq!(back[1], None, "it was there already");
        assert_eq!(back[2], Some((Verb::DeleteImage, Some(digest("w")), None)));
    }
}
