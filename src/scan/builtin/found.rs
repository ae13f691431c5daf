//! Findings out of the facts of layers: credentials and files that don't belong there, and what became of them in later layers.

use std::collections::{HashMap, HashSet};

use super::documents::{layer, said};
use crate::layer::{ContentHash, Index};
use crate::model::finding::{Evidence, FindingKey, Origin, Suppression};
use crate::model::{Finding, FindingKind, Foreign, Image, Severity};
use crate::scan::facts::{LayerFacts, Password, Seen, System, SystemFile, What};
use crate::scan::rules::{FILES, Place, SECRETS, place};

/// What became of a file after its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there in the end.
    Stays,
    /// A later layer took it away.
    Removed,
    /// That layer has another in its place.
    Replaced(usize),
    /// Nobody knows yet.
    Unknown,
}

/// A finding of one layer, before the layers are put together.
pub(super) struct Found {
    pub(super) finding: Finding,
    /// What its key is made of beside its rule and file.
    rest: String,
    /// Of the file; `None` where it is not known.
    content: Option<ContentHash>,
}

/// Findings of one layer; `fate` tells what became of a path that was written at an offset of the layer's tar, `contents` what the file there was.
pub(super) fn of_layer(
    image: &Image,
    index: usize,
    facts: &LayerFacts,
    contents: &Index,
    base: Option<usize>,
    fate: impl Fn((&[u8], u64)) -> Fate,
) -> Vec<Found> {
    let seen = facts.seen.iter().filter_map(|seen| Some((of_seen(seen)?, rest(&seen.what), seen.path.as_slice(), seen.offset)));
    let system = facts.system.iter().filter_map(|file| Some((of_system(file)?, String::new(), file.path.as_slice(), file.offset)));
    let all: Vec<(Finding, String, &[u8], u64)> = seen.chain(system).collect();
    let offsets: HashSet<u64> = all.iter().map(|(.., offset)| *offset).collect();
    let members = contents.members().map(|(_, member)| member).filter(|member| offsets.contains(&member.offset()));
    let contents: HashMap<u64, ContentHash> = members.filter_map(|member| Some((member.offset(), member.content()?))).collect();
    let found = |(mut finding, rest, path, offset): (Finding, String, &[u8], u64)| {
        tell(&mut finding, index, fate((path, offset)));
        finding.layer = Some(layer(image, index));
        finding.origin = origin(index, base);
        Found { finding, rest, content: contents.get(&offset).copied() }
    };
    all.into_iter().map(found).collect()
}

/// Neither its line nor the secret itself: what comes before it may change.
fn rest(what: &What) -> String {
    match what {
        What::Secret { nth, .. } if *nth > 0 => nth.to_string(),
        What::Secret { .. } | What::File { .. } => String::new(),
    }
}

/// Whether what is in a layer came with the base image.
pub(super) fn origin(index: usize, base: Option<usize>) -> Origin {
    match base {
        None => Origin::Unknown,
        Some(base) if index < base => Origin::Base,
        Some(_) => Origin::App,
    }
}

fn of_seen(seen: &Seen) -> Option<Finding> {
    let path = String::from_utf8_lossy(&seen.path);
    let place = place(&seen.path);
    match &seen.what {
        What::Secret { rule, nth: _, lines, evidence, severity, note } => {
            let rule = SECRETS.get(usize::from(*rule))?;
            let severity = *Severity::ALL.get(usize::from(*severity))?;
            let mut finding = by_rule(FindingKind::Secret, rule.id, rule.title, severity, &path, &rest(&seen.what));
            finding.lines = Some(*lines);
            finding.evidence = Some(Evidence::plain(evidence));
            finding.description = note.as_str().into();
            if let Err(why) = rule.counts(place) {
                set_aside(&mut finding, why);
            }
            Some(finding)
        }
        What::File { rule } => {
            let rule = FILES.get(usize::from(*rule))?;
            let mut finding = by_rule(FindingKind::SensitiveFile, rule.id, rule.title, rule.severity, &path, "");
            if place != Place::Ordinary {
                set_aside(&mut finding, "it came with installed software");
            }
            Some(finding)
        }
    }
}

/// A file of users that has hashes of passwords in it.
fn of_system(file: &SystemFile) -> Option<Finding> {
    let names: Vec<&str> = match &file.system {
        System::Users(users) => users.iter().filter(|user| user.password == Password::Hash).map(|user| user.name.raw()).collect(),
        System::Shadow { hashed, .. } => hashed.iter().map(Foreign::raw).collect(),
        System::Release(_) | System::Groups(_) => Vec::new(),
    };
    if names.is_empty() {
        return None;
    }
    let path = String::from_utf8_lossy(&file.path);
    let mut finding = by_rule(FindingKind::SensitiveFile, "password-hash", "Hashes of passwords", Severity::High, &path, "");
    finding.evidence = Some(Evidence::plain(&format!("of {}", names.join(", "))));
    finding.description =
        "Whoever has the image can try passwords against them. Lock the accounts, or set passwords when the container starts.".into();
    Some(finding)
}

/// A finding by a rule of ours, in a file.
pub(super) fn by_rule(kind: FindingKind, id: &str, title: &str, severity: Severity, path: &str, rest: &str) -> Finding {
    let mut finding = Finding::new(kind, id, None, Some(path), rest);
    finding.title = title.into();
    finding.severity = severity;
    finding.severity_source = "rule".into();
    finding.said = vec![said(id, severity)];
    finding
}

/// What is known to be no finding is still told, and doesn't count.
fn set_aside(finding: &mut Finding, why: &'static str) {
    finding.severity = Severity::Negligible;
    finding.suppressed = Some(Suppression { by: "Lighterman".into(), status: "example".into(), reason: why.into(), until: None });
}

/// Says what became of it.
fn tell(finding: &mut Finding, index: usize, fate: Fate) {
    let words = match fate {
        Fate::Stays | Fate::Unknown => return,
        Fate::Removed => "still in its layer, removed by a later one",
        Fate::Replaced(later) if later == index => "still in its layer, which has it twice",
        Fate::Replaced(_) => "still in its layer, replaced by a later one",
    };
    finding.title = format!("{} ({words})", finding.title.raw()).into();
    let before = finding.description.raw();
    let more = "It is not in the finished image, but whoever has the image has that layer too.";
    finding.description = if before.is_empty() { more.into() } else { format!("{before}\n{more}").into() };
}

/// Makes one of findings that are the same in the same file but for their layer: the topmost stays and names the others. Where the file was another
/// one, so may be what was found in it: then each stays, and all but the topmost go by the layer too.
pub(super) fn fold(found: Vec<Found>) -> Vec<Finding> {
    // Where it is not known what the file was, each is one of its own.
    let same = |at: usize, one: &Found| (one.finding.key, one.content, if one.content.is_some() { 0 } else { at });
    let mut last: HashMap<_, (usize, Vec<usize>)> = HashMap::new();
    let mut tops: HashMap<FindingKey, usize> = HashMap::new();
    let index = |one: &Found| one.finding.layer.as_ref().and_then(|layer| layer.index);
    for (at, one) in found.iter().enumerate() {
        tops.insert(one.finding.key, at);
        let (top, below) = last.entry(same(at, one)).or_insert_with(|| (at, Vec::new()));
        if *top != at {
            let before = found.get(*top).and_then(index);
            below.extend(before.filter(|before| Some(*before) != index(one)));
            *top = at;
        }
    }
    let mut counts: HashMap<FindingKey, usize> = HashMap::new();
    let mut findings = Vec::with_capacity(last.len());
    for (at, one) in found.into_iter().enumerate() {
        let Some((_, below)) = last.get(&same(at, &one)).filter(|(top, _)| *top == at) else { continue };
        let is_top = tops.get(&one.finding.key) == Some(&at);
        let Found { mut finding, rest, .. } = one;
        if !is_top {
            let count = |key| {
                let count = counts.entry(key).or_default();
                *count += 1;
                *count
            };
            finding.key = key_in_layer(&finding, &rest, count);
        }
        if !below.is_empty() {
            let layers: Vec<String> = below.iter().map(|index| (index + 1).to_string()).collect();
            let words = format!("The same is in layer {} too, counted from the lowest.", layers.join(", "));
            let before = finding.description.raw();
            finding.description = if before.is_empty() { words.into() } else { format!("{before}\n{words}").into() };
        }
        findings.push(finding);
    }
    findings
}

/// The key of what a layer has under a name that another one has something else under. `count` says how many had a key before, with this one.
fn key_in_layer(finding: &Finding, rest: &str, count: impl FnOnce(FindingKey) -> usize) -> FindingKey {
    let layer = finding.layer.as_ref().and_then(|layer| layer.diff_id.as_ref().or(layer.digest.as_ref()));
    let layer = layer.map_or("", |digest| digest.as_str());
    let key = |rest: &str| FindingKey::new(finding.kind, finding.id.raw(), None, finding.path.as_ref().map(Foreign::raw), rest);
    let own = key(&format!("{rest} in {layer}"));
    match count(own) {
        1 => own,
        // A layer may have a file twice.
        count => key(&format!("{rest} in {layer} {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use crate::model::finding::FindingLayer;

    fn found(id: &str, index: usize, content: Option<&str>) -> Found {
        let diff_id = Some(Digest::sha256(&[u8::try_from(index).unwrap()]));
        let layer = Some(FindingLayer { index: Some(index), diff_id, ..FindingLayer::default() });
        let finding = Finding { layer, ..by_rule(FindingKind::Secret, id, "Title", Severity::High, "a", "") };
        Found { finding, rest: String::new(), content: content.map(|text| ContentHash::of(text.as_bytes())) }
    }

    #[test]
    fn the_same_in_several_layers_is_one_finding() {
        let of = |id: &str, index: usize| found(id, index, Some("same"));
        let all = fold(vec![of("one", 0), of("other", 0), of("one", 2), of("one", 5), of("other", 0)]);
        let told: Vec<_> = all.iter().map(|one| (one.id.raw(), one.layer.as_ref().unwrap().index, one.description.raw())).collect();
        assert_eq!(told, [("one", Some(5), "The same is in layer 1, 3 too, counted from the lowest."), ("other", Some(0), "")]);
    }

    #[test]
    fn another_secret_of_the_same_rule_and_name_is_a_finding_of_its_own() {
        let all =
            fold(vec![found("one", 0, Some("a")), found("one", 1, Some("b")), found("one", 2, Some("a")), found("one", 3, Some("c"))]);
        let told: Vec<_> = all.iter().map(|one| (one.layer.as_ref().unwrap().index.unwrap(), one.description.raw())).collect();
        assert_eq!(told, [(1, ""), (2, "The same is in layer 1 too, counted from the lowest."), (3, "")]);
        let keys: HashSet<_> = all.iter().map(|one| one.key).collect();
        assert_eq!(keys.len(), 3);
        assert_eq!(all[2].key, found("one", 3, None).finding.key, "the topmost is known as before");
        // The same layer on another base is the same layer.
        let again = fold(vec![found("one", 1, Some("b")), found("one", 3, Some("c"))]);
        assert_eq!(again[0].key, all[0].key);
        let unknown = fold(vec![found("one", 0, None), found("one", 0, None), found("one", 0, None)]);
        assert_eq!(unknown.iter().map(|one| one.key).collect::<HashSet<_>>().len(), 3, "nobody knows whether they are the same");
    }

    #[test]
    fn what_became_of_it_is_told() {
        let mut one = by_rule(FindingKind::Secret, "a", "Token", Severity::High, "a", "");
        let key = one.key;
        tell(&mut one, 3, Fate::Removed);
        assert_eq!((one.title.raw(), one.key), ("Token (still in its layer, removed by a later one)", key));
        tell(&mut one, 3, Fate::Stays);
        assert!(one.title.raw().ends_with("one)"));
    }
}
