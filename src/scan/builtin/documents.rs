//! What an image's own documents say of it, its settings and its build steps, with what layers tell of them: which users there are, and what package managers
//! left.

use std::collections::BTreeMap;

use super::found::origin;
use super::{Options, told};
use crate::model::finding::{FindingLayer, Said};
use crate::model::report::Check;
use crate::model::{Finding, Image, Report, Severity};
use crate::scan::lint::{self, Cache, Facts, Known, SecretHit};
use crate::scan::rules::Search;

/// What layers tell of the documents; nothing of what was not read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Around<'a> {
    /// Numbers by name.
    pub(super) users: Option<&'a BTreeMap<String, u32>>,
    pub(super) caches: Option<&'a [Cache]>,
}

/// What is wrong by the documents.
pub(super) fn look(image: &Image, options: &Options, around: Around<'_>) -> Vec<Finding> {
    let facts = facts(around);
    let mut found = lint::settings(image, tag(options), &facts);
    for finding in &mut found {
        if let Some(index) = finding.layer.as_ref().and_then(|layer| layer.index) {
            finding.origin = origin(index, options.base);
        }
        finding.said = vec![said(finding.id.raw(), finding.severity)];
    }
    found
}

/// Says in a report what of the documents was looked at.
pub(super) fn tell(report: &mut Report, image: &Image, around: Around<'_>) {
    let (kinds, not) = lint::looked_for(image, &facts(around));
    report.looked_for.extend(kinds);
    report.not_looked_for.extend(not);
}

/// How the image stands to published lists.
pub(super) fn card(image: &Image, report: &Report, signed: Option<bool>, layers_read: bool) -> Vec<Check> {
    let Report { findings, looked_for, not_looked_for, packages, .. } = report;
    lint::card(&Known { image, findings, looked_for, not_looked_for, packages: *packages, signed, layers_read })
}

fn facts(around: Around<'_>) -> Facts<'_> {
    Facts { users: around.users, caches: around.caches, secret_in: Some(&secret_in) }
}

/// The tag that the image was asked for by; without one it is `latest`, but only where the name is one of a registry.
fn tag(options: &Options) -> Option<&str> {
    let name = told(&options.name)?;
    let bare = name.split('@').next().unwrap_or(name);
    let last = bare.rsplit('/').next().unwrap_or(bare);
    last.split_once(':').map(|(_, tag)| tag)
}

/// A credential by its form.
fn secret_in(text: &str) -> Option<SecretHit> {
    let mut search = Search::default();
    search.begin(b"");
    search.whole(text.as_bytes());
    let hit = search.end().0.first().cloned()?;
    let rule = hit.rule()?;
    Some(SecretHit { rule: rule.id, title: rule.title, severity: hit.severity, evidence: hit.evidence })
}

/// Our own word on a finding.
pub(super) fn said(id: &str, severity: Severity) -> Said {
    Said { by: concat!("Lighterman ", env!("CARGO_PKG_VERSION")).into(), id: id.into(), severity }
}

/// What is told of a layer beside a finding.
pub(super) fn layer(image: &Image, index: usize) -> FindingLayer {
    let info = image.layers.iter().flatten().nth(index);
    FindingLayer {
        digest: info.and_then(|info| info.digest.clone()),
        diff_id: info.and_then(|info| info.diff_id.clone()),
        index: Some(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_stands_after_the_name() {
        let options = |name: &str| Options { name: name.into(), ..Options::default() };
        assert_eq!(tag(&options("localhost:5000/app:latest")), Some("latest"));
        assert_eq!(tag(&options("localhost:5000/app")), None);
        assert_eq!(tag(&options("app@sha256:00")), None);
        assert_eq!(tag(&options("")), None);
    }

    #[test]
    fn what_a_credential_is_told_by_never_holds_it() {
        let token = format!("https://user:ghp_{}@host", "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5o".get(..36).unwrap());
        let hit = secret_in(&token).unwrap();
        assert!(!hit.evidence.as_str().contains("aB3dE5"), "{}", hit.evidence.as_str());
        assert!(secret_in("nothing of the kind").is_none());
    }
}
