//! Dockle's JSON. Facts: its `types` and `report`. What it was alarmed by may quote a step of the build with the secret in it: values are hidden.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::draft::{Draft, rated, suppression};
use super::json::{Few, Later, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Finding, FindingKind};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    image: Text,
    #[serde(borrow)]
    details: Later<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    code: Text,
    title: Text,
    level: Text,
    alerts: Few<Text>,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut draft = Draft::new("Dockle", "");
    draft.report.image = words::name(&document.image);
    draft.report.may_be_filtered = true;
    for kind in [FindingKind::Lint, FindingKind::Misconfiguration, FindingKind::SensitiveFile, FindingKind::Secret] {
        draft.looked_for(kind);
    }
    let wrong = each(document.details, |detail: Detail| {
        if matches!(detail.level.to_ascii_uppercase().as_str(), "PASS" | "SKIP") {
            return;
        }
        let code = words::name(&detail.code);
        let kind = kind(code.raw());
        let mut finding = Finding::new(kind, code.raw(), None, None, "");
        rated(&mut finding, &detail.level, "rule");
        finding.title = words::name(&detail.title);
        let alerts: Vec<String> = words::texts(&detail.alerts).map(|alert| hidden(alert, kind)).collect();
        finding.description = words::text(&alerts.join("\n"));
        if detail.level.eq_ignore_ascii_case("ignore") {
            finding.suppressed = Some(suppression("Dockle", "ignored", ""));
        }
        draft.put(finding, &detail.code);
    });
    draft.wrong(wrong);
    Ok(Imported::Report(draft.done().into()))
}

/// What its checks are about.
pub(super) fn kind(code: &str) -> FindingKind {
    match code {
        "CIS-DI-0001" | "CIS-DI-0005" | "CIS-DI-0006" | "DKL-DI-0002" => FindingKind::Misconfiguration,
        "CIS-DI-0008" | "DKL-LI-0001" | "DKL-LI-0002" | "DKL-LI-0003" => FindingKind::SensitiveFile,
        "CIS-DI-0010" => FindingKind::Secret,
        _ => FindingKind::Lint,
    }
}

/// An alert without values. Of an alarm about secrets only what stands before the quoted step is kept.
pub(super) fn hidden(alert: &str, kind: FindingKind) -> String {
    static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"=("[^"]*"|'[^']*'|\S+)"#).ok());
    let alert = if kind == FindingKind::Secret { alert.split(" on ").next().unwrap_or_default() } else { alert };
    VALUE.as_ref().map_or_else(String::new, |value| value.replace_all(alert, "=********").into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_steps_lose_their_values() {
        let seen = hidden("Suspicious ENV key found : DB_PASSWORD on ENV DB_PASSWORD=hunter2", FindingKind::Secret);
        assert_eq!(seen, "Suspicious ENV key found : DB_PASSWORD");
        let seen = hidden("Use COPY : RUN curl --token='a b' X=\"c d\" y", FindingKind::Lint);
        assert_eq!(seen, "Use COPY : RUN curl --token=******** X=******** y");
    }
}
