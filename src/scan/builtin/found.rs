//! Findings out of the facts of layers: credentials and files that don't belong there, and what became of them in later layers.

use std::collections::HashMap;

use super::documents::{layer, said};
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

/// Findings of one layer; `fate` tells what became of a path that was written at an offset of the layer's tar.
pub(super) fn of_layer(
    image: &Image,
    index: usize,
    facts: &LayerFacts,
    base: Option<usize>,
    fate: impl Fn((&[u8], u64)) -> Fate,
) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for seen in &facts.seen {
        if let Some(mut finding) = of_seen(seen) {
            tell(&mut finding, index, fate((&seen.path, seen.offset)));
            found.push(finding);
        }
    }
    for file in &facts.system {
        if let Some(mut finding) = of_system(file) {
            tell(&mut finding, index, fate((&file.path, file.offset)));
            found.push(finding);
        }
    }
    for finding in &mut found {
        finding.layer = Some(layer(image, index));
        finding.origin = origin(index, base);
    }
    found
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
        What::Secret { rule, nth, lines, evidence, severity, note } => {
            let rule = SECRETS.get(usize::from(*rule))?;
            // Neither its line nor the secret itself: what comes before it may change.
            let rest = if *nth == 0 { String::new() } else { nth.to_string() };
            let severity = *Severity::ALL.get(usize::from(*severity))?;
            let mut finding = by_rule(FindingKind::Secret, rule.id, rule.title, severity, &path, &rest);
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

/// Makes one of findings that are the same but for their layer: the topmost stays and names the others.
pub(super) fn fold(findings: &mut Vec<Finding>) {
    let mut last: HashMap<FindingKey, (usize, Vec<usize>)> = HashMap::new();
    for (at, finding) in findings.iter().enumerate() {
        let index = finding.layer.as_ref().and_then(|layer| layer.index);
        match last.get_mut(&finding.key) {
            Some((top, below)) => {
                let before = findings.get(*top).and_then(|before| before.layer.as_ref()).and_then(|layer| layer.index);
                below.extend(before.into_iter().filter(|before| Some(*before) != index));
                *top = at;
            }
            None => {
                last.insert(finding.key, (at, Vec::new()));
            }
        }
    }
    let mut at = 0;
    findings.retain_mut(|finding| {
        let here = at;
        at += 1;
        let Some((_, below)) = last.get(&finding.key).filter(|(top, _)| *top == here) else { return false };
        if !below.is_empty() {
            let layers: Vec<String> = below.iter().map(|index| (index + 1).to_string()).collect();
            let words = format!("The same is in layer {} too, counted from the lowest.", layers.join(", "));
            let before = finding.description.raw();
            finding.description = if before.is_empty() { words.into() } else { format!("{before}\n{words}").into() };
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::FindingLayer;

    #[test]
    fn the_same_in_several_layers_is_one_finding() {
        let of = |id: &str, index: usize| {
            let layer = Some(FindingLayer { index: Some(index), ..FindingLayer::default() });
            Finding { layer, ..by_rule(FindingKind::Secret, id, "Title", Severity::High, "a", "") }
        };
        let mut all = vec![of("one", 0), of("other", 0), of("one", 2), of("one", 5), of("other", 0)];
        fold(&mut all);
        let told: Vec<_> = all.iter().map(|one| (one.id.raw(), one.layer.as_ref().unwrap().index, one.description.raw())).collect();
        assert_eq!(told, [("one", Some(5), "The same is in layer 1, 3 too, counted from the lowest."), ("other", Some(0), "")]);
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
