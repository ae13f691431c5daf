//! Hadolint's JSON: a list of what is wrong with lines of a Dockerfile. Facts: its formatters.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::{Draft, rated, suppression};
use super::json::{Number, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Finding, FindingKind};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    line: Number,
    code: Text,
    message: Text,
    file: Text,
    level: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let list: &RawValue = serde_json::from_str(text)?;
    let mut draft = Draft::new("Hadolint", "");
    draft.report.may_be_filtered = true;
    draft.looked_for(FindingKind::Lint);
    let wrong = each(Some(list), |item: Item| {
        let (code, path) = (words::name(&item.code), words::told(&item.file));
        let path = path.as_ref().map(crate::model::Foreign::raw);
        let rest = draft.nth(FindingKind::Lint, code.raw(), path.unwrap_or_default());
        let mut finding = Finding::new(FindingKind::Lint, code.raw(), None, path, &rest);
        rated(&mut finding, &item.level, "rule");
        let message = words::masked(&item.message);
        finding.title = words::name(&message);
        finding.description = words::text(&message);
        finding.lines = words::lines(item.line, Number(None));
        if item.level.eq_ignore_ascii_case("ignore") {
            finding.suppressed = Some(suppression("Hadolint", "ignored", ""));
        }
        draft.put(finding, &item.code);
    });
    draft.wrong(wrong);
    Ok(Imported::Report(draft.done().into()))
}
