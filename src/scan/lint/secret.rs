//! Rules about secrets in variables, build arguments, labels and commands: by their names, by their forms, and as passwords in addresses.
//!
//! A value is never shown, nor is it part of a key; a variable's name is.

use std::collections::{BTreeMap, BTreeSet};

use super::name::is_secret;
use super::step::pairs;
use super::{Found, Scene};
use crate::model::finding::Evidence;

/// Values that are hidden wherever they stand.
const MOST_VALUES: usize = 500;
/// Longest text that is searched for secrets by their forms, in bytes.
const LONGEST: usize = 1 << 20;

/// A name with its value, and the layer of the step that set it.
struct Set {
    name: String,
    value: String,
    layer: Option<usize>,
}

/// Variables as containers get them, then as steps set them.
fn variables(scene: &Scene<'_>) -> Vec<Set> {
    let steps = || scene.steps.iter().filter(|step| step.keyword == "ENV");
    let mut sets = Vec::new();
    let mut layers = BTreeMap::new();
    for step in steps() {
        for (name, value) in pairs(&step.text) {
            layers.insert(name.clone(), step.layer);
            sets.push(Set { name, value, layer: step.layer });
        }
    }
    let now = scene.config.env.iter().filter_map(|variable| variable.raw().split_once('='));
    let mut all: Vec<Set> = now
        .map(|(name, value)| Set { name: name.to_owned(), value: value.to_owned(), layer: layers.get(name).copied().flatten() })
        .collect();
    all.extend(sets);
    all
}

/// Build arguments by what they default to and what they were given.
fn arguments(scene: &Scene<'_>) -> Vec<Set> {
    let mut all = Vec::new();
    for step in &scene.steps {
        let said = if step.keyword == "ARG" { pairs(&step.text) } else { Vec::new() };
        all.extend(step.given.iter().cloned().chain(said).map(|(name, value)| Set { name, value, layer: step.layer }));
    }
    all
}

fn labels(scene: &Scene<'_>) -> Vec<Set> {
    scene.config.labels.iter().map(|(name, value)| Set { name: name.clone(), value: value.raw().to_owned(), layer: None }).collect()
}

/// What comes before a password in an address, and the password.
fn login(text: &str) -> Option<(&str, &str)> {
    text.match_indices("://").find_map(|(at, _)| {
        let from = at + "://".len();
        let rest = text.get(from..)?;
        let authority = rest.get(..rest.find(['/', '?', '#', ' ', '"', '\'']).unwrap_or(rest.len()))?;
        let (login, _) = authority.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        is_secret("password", password).then_some((text.get(..from + user.len() + 1)?, password))
    })
}

/// Values that must not be seen anywhere.
pub(super) fn values(scene: &Scene<'_>) -> Vec<String> {
    let mut all: Vec<String> = variables(scene)
        .into_iter()
        .chain(arguments(scene))
        .chain(labels(scene))
        .chain(scene.commands().flat_map(|(step, command)| {
            command.sets.iter().map(|(name, value)| Set { name: name.clone(), value: value.clone(), layer: step.layer })
        }))
        .filter_map(|set| {
            if is_secret(&set.name, &set.value) {
                return Some(set.value);
            }
            login(&set.value).map(|(_, password)| password.to_owned())
        })
        // Short ones are words of their own too often: what has a telling name is hidden by it.
        .filter(|value| value.len() >= 6)
        .take(MOST_VALUES)
        .collect();
    // The longest first, so that no rest of one is left where another is part of it.
    all.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

/// Adds a finding for each that is or has a secret, once a name.
fn judge(scene: &Scene<'_>, found: &mut Found<'_>, sets: Vec<Set>, place: &str) {
    let mut seen = BTreeSet::new();
    for set in sets {
        let Set { name, value, layer } = set;
        if seen.contains(&name) || value.len() > LONGEST {
            continue;
        }
        let hit = scene.facts.secret_in.and_then(|find| find(&format!("{name}={value}")));
        let finding = if let Some(hit) = hit {
            let finding = found.add_as(hit.rule, layer, &format!("{place} {name}"), Some(hit.evidence));
            finding.map(|finding| (finding, hit.title.to_owned(), Some(hit.severity)))
        } else if let Some((before, password)) = login(&value) {
            let evidence = Evidence::masked(&format!("{name}={before}"), password);
            found.add(layer, &name, Some(evidence)).map(|finding| (finding, "Password in an address".to_owned(), None))
        } else if is_secret(&name, &value) {
            let evidence = Evidence::masked(&format!("{name}="), &value);
            found.add(layer, &name, Some(evidence)).map(|finding| (finding, "Secret".to_owned(), None))
        } else {
            continue;
        };
        if let Some((finding, what, severity)) = finding {
            let shown: String = name.chars().take(100).collect();
            finding.title = format!("{what} in {place} {shown}").into();
            finding.severity = severity.unwrap_or(finding.severity);
        }
        seen.insert(name);
    }
}

pub(super) fn env(scene: &Scene<'_>, found: &mut Found<'_>) {
    judge(scene, found, variables(scene), "the environment variable");
}

pub(super) fn arg(scene: &Scene<'_>, found: &mut Found<'_>) {
    judge(scene, found, arguments(scene), "the build argument");
}

pub(super) fn label(scene: &Scene<'_>, found: &mut Found<'_>) {
    judge(scene, found, labels(scene), "the label");
}

/// Of commands: what they set, whom they log in as, and what has a form that only secrets have.
pub(super) fn step(scene: &Scene<'_>, found: &mut Found<'_>) {
    for step in &scene.steps {
        if !matches!(step.keyword, "RUN" | "CMD" | "ENTRYPOINT" | "HEALTHCHECK") {
            continue;
        }
        if let Some(hit) = scene.facts.secret_in.filter(|_| step.text.len() <= LONGEST).and_then(|find| find(&step.text)) {
            let rest = format!("{} {}", step.keyword, hit.evidence.as_str());
            if let Some(finding) = found.add_as(hit.rule, step.layer, &rest, Some(hit.evidence)) {
                finding.severity = hit.severity;
                finding.title = format!("{} in a step of the build", hit.title).into();
            }
            continue;
        }
        for command in &step.commands {
            let words = command.words.iter().map(|word| word.text.as_str());
            if let Some((name, value)) = command.sets.iter().find(|(name, value)| is_secret(name, value)) {
                found.add(step.layer, name, Some(Evidence::masked(&format!("{name}="), value)));
            } else if let Some((before, password)) = words.filter(|word| word.len() <= 4096).find_map(login) {
                let before = scene.masked(before.get(before.rfind(char::is_whitespace).unwrap_or_default()..).unwrap_or_default());
                let evidence = Evidence::masked(&format!("{} … {before}", command.name()), password);
                let rest = evidence.as_str().to_owned();
                found.add(step.layer, &rest, Some(evidence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_one() {
        assert_eq!(login("postgres://app:pw1@db/x"), Some(("postgres://app:", "pw1")));
        assert_eq!(login("see https://a and ftp://u:p2@h"), Some(("see https://a and ftp://u:", "p2")));
        for other in
            ["https://h/x@y:z", "https://user@h", "https://u:$PASSWORD@h", "https://u:${P}@h", "https://[::1]:80/", "u:p@h", "://", ""]
        {
            assert_eq!(login(other), None, "{other}");
        }
    }
}
