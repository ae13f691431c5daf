//! What is wrong with how an image is set and how it was built, by its configuration and its history alone; and the lists of what an image should be
//! like that are published ([`card()`]).
//!
//! Ids are of our own, readable and stable; those of Dockle and Trivy for the same stand beside them. From a history alone nobody can tell what
//! other stages did, so only what the image itself has is looked at.
//!
//! May use model. Pure. Facts: the CIS Docker Benchmark, section 4; NIST SP 800-190; the Dockerfile reference.

mod caches;
mod card;
mod names;
mod settings;
mod shell;
mod steps;

pub use caches::{CacheKind, CacheUse, cache_of};
pub use card::{Given, Signed, card};

use crate::model::dockerfile::instruction;
use crate::model::finding::{Evidence, FindingLayer, Origin, Said};
use crate::model::{Finding, FindingKind, Image, Severity};

/// Steps of a history that are looked at.
const MOST_STEPS: usize = 5_000;

/// What is known besides the image's own documents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Whether a user of that name has the number 0; `None` where nobody knows.
    pub is_root: Option<&'a dyn IsRoot>,
    /// What package managers left in layers; `None` where layers were not read.
    pub caches: Option<&'a [CacheUse]>,
    /// How many of the layers are of the base image.
    pub base: Option<usize>,
    /// The name that the image was asked for by.
    pub name: Option<&'a str>,
}

/// Who knows the users of an image.
pub trait IsRoot: std::fmt::Debug {
    /// `None` where there is no such user.
    fn is_root(&self, name: &str) -> Option<bool>;
}

/// What is wrong, in the order of the settings and then of the steps.
#[must_use]
pub fn lint(image: &Image, around: &Around<'_>) -> Vec<Finding> {
    let mut found = settings::lint(image, around);
    let steps = steps(image);
    found.extend(steps::lint(&steps, image, around));
    found.extend(caches::lint(&steps, image, around));
    // The same may be said in several ways, as of a variable and of the step that set it.
    let mut known = std::collections::HashSet::new();
    found.retain(|finding| known.insert(finding.key));
    found
}

/// A step of the build as its history tells.
#[derive(Debug, Clone)]
struct Step<'a> {
    keyword: &'static str,
    /// What follows, without the builder's own words.
    rest: &'a str,
    /// Arguments that BuildKit tells before the command.
    arguments: Vec<(&'a str, &'a str)>,
    /// The layer that it made.
    layer: Option<usize>,
    /// Layers below it.
    below: usize,
}

fn steps(image: &Image) -> Vec<Step<'_>> {
    let mut layers = 0;
    let mut found = Vec::new();
    for entry in image.history.iter().flatten().take(MOST_STEPS) {
        let text = entry.created_by.as_ref().map_or("", |by| by.raw());
        let (keyword, rest) = instruction(text);
        let (arguments, rest) = arguments(text, rest);
        let (layer, below) = ((!entry.empty_layer).then_some(layers), layers);
        layers += usize::from(layer.is_some());
        found.push(Step { keyword, rest, arguments, layer, below });
    }
    found
}

/// `|2 A=1 B=2 /bin/sh -c make` as its arguments and the command; values may have blanks in them.
fn arguments<'a>(text: &'a str, rest: &'a str) -> (Vec<(&'a str, &'a str)>, &'a str) {
    let text = text.strip_prefix("RUN ").unwrap_or(text).trim_start();
    let Some((count, told)) = text.strip_prefix('|').and_then(|text| text.split_once(' ')) else { return (Vec::new(), rest) };
    let Some((told, command)) = told.split_once("/bin/sh -c ") else { return (Vec::new(), rest) };
    let Ok(count) = count.parse::<usize>() else { return (Vec::new(), rest) };
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut left = told.trim_end();
    // From the right, where each begins with a name: what has no name belongs to the value before it.
    while found.len() < count.min(256) && !left.is_empty() {
        let begins = |at: usize| left.get(at..).and_then(|part| part.split_once('=')).is_some_and(|(name, _)| is_name(name));
        let blanks = left.char_indices().rev().filter(|(_, c)| *c == ' ').map(|(at, _)| at + 1);
        let Some(at) = blanks.chain([0]).find(|&at| begins(at)) else { break };
        let Some((name, value)) = left.get(at..).and_then(|part| part.split_once('=')) else { break };
        found.push((name, value));
        left = left.get(..at).unwrap_or_default().trim_end();
    }
    found.reverse();
    (found, command.trim_end().strip_suffix("# buildkit").unwrap_or(command).trim())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A rule about settings or steps.
#[derive(Debug, Clone, Copy)]
struct Told {
    id: &'static str,
    kind: FindingKind,
    severity: Severity,
    title: &'static str,
    /// What to do about it.
    advice: &'static str,
    /// Ids of others for the same.
    aliases: &'static [&'static str],
    link: &'static str,
}

impl Told {
    /// What is found by it; `rest` tells it apart from others of the kind.
    fn finding(&self, rest: &str, evidence: Option<Evidence>) -> Finding {
        let mut finding = Finding::new(self.kind, self.id, None, None, rest);
        finding.aliases = self.aliases.iter().map(|alias| (*alias).into()).collect();
        finding.severity = self.severity;
        finding.severity_source = "rule".into();
        finding.title = self.title.into();
        finding.description = self.advice.into();
        finding.links = [self.link].iter().filter(|link| !link.is_empty()).map(|link| (*link).into()).collect();
        finding.evidence = evidence;
        finding.said = vec![said(self.id, self.severity)];
        finding
    }
}

/// Our own word on a finding.
pub(in crate::scan) fn said(id: &str, severity: Severity) -> Said {
    Said { by: concat!("Lighterman ", env!("CARGO_PKG_VERSION")).into(), id: id.into(), severity }
}

/// Says of a finding which step it is of.
fn place(finding: &mut Finding, step: &Step<'_>, image: &Image, base: Option<usize>) {
    finding.layer = step.layer.map(|index| layer(image, index));
    finding.origin = match (base, step.layer) {
        (Some(base), Some(layer)) if layer < base => Origin::Base,
        (Some(_), Some(_)) => Origin::App,
        (Some(base), None) if step.below < base => Origin::Base,
        (Some(base), None) if step.below > base => Origin::App,
        // Between the two nobody can tell whose setting it is.
        (None, _) | (Some(_), None) => Origin::Unknown,
    };
}

/// What is told of a layer beside a finding.
pub(in crate::scan) fn layer(image: &Image, index: usize) -> FindingLayer {
    let info = image.layers.iter().flatten().nth(index);
    FindingLayer {
        digest: info.and_then(|info| info.digest.clone()),
        diff_id: info.and_then(|info| info.diff_id.clone()),
        index: Some(index),
    }
}

#[cfg(test)]
mod tests;
