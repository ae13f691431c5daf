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
        Change::Push { source, name, expected, .. } => push(source, name, expected, Some(held)).into_iter().collect(),
        Change::Copy { source, copy } => copied(source, copy).map(described).into_iter().collect(),
        Change::Import { source, file, tags } => {
            // Of a name that an archive has twice, the last is what stays.
            let last = |at: usize, tag: &ImportTag| !tags.iter().skip(at + 1).any(|other| other.name == tag.name);
            let kept = tags.iter().enumerate().filter(|(at, tag)| last(*at, tag)).map(|(_, tag)| tag);
            kept.filter_map(|tag| imported(source, &file.to_string_lossy(), tag)).map(described).collect()
        }
    }
}

/// The line of a push; `held` is what was found where [`looked_at`] says, `None` where that can't be looked at from here: then it is not to be
/// taken back. A name with a digest gives none.
#[must_use]
pub fn push(source: &SourceId, name: &Name, id: &Digest, held: Option<Option<&Digest>>) -> Option<Operation> {
    let target = Target::Tag(tag(name)?);
    let line = Operation::new(Verb::Push, source.clone(), target, held.flatten().cloned(), Some(id.clone()));
    if held.is_some() {
        return Some(described(line));
    }
    let effects = vec![Foreign::new("what the tag is at in the registry could not be looked at")];
    Some(Operation { undo: UndoClass::Irreversible, effects, ..line })
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
    let remote = line.place().registry_host().is_some();
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
    fn a_push_is_taken_back_in_the_registry_it_went_to() {
        let push =
            Change::Push { source: SourceId("engine".into()), name: Name::new("localhost:5000/app"), expected: digest("id"), seen: None };
        let mut line = transfer(&push, Some(&digest("old"))).remove(0);
        assert_eq!((&line.source, line.place().into_owned()), (&SourceId("engine".into()), SourceId::registry("localhost:5000")));
        assert_eq!((line.verb, line.undo, line.takes_away()), (Verb::Push, UndoClass::UntilGarbageCollection, true));
        // The manifest that it left.
        line.after = Some(digest("new"));
        let back = inverse(&line, false).unwrap();
        assert_eq!((back.verb, back.source), (Verb::MoveTag, SourceId::registry("localhost:5000")));
        assert_eq!((back.before, back.after), (Some(digest("new")), Some(digest("old"))));
        line.before = None;
        assert_eq!(inverse(&line, false).unwrap().verb, Verb::Untag);
    }

    #[test]
    fn a_push_that_nobody_could_look_at_has_no_way_back() {
        let mut line = super::push(&SourceId("engine".into()), &Name::new("localhost:5000/app:1"), &digest("id"), None).unwrap();
        assert!(line.is_blind() && !line.takes_away());
        line.after = Some(digest("new"));
        assert_eq!(inverse(&line, false), None);
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
