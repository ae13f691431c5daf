//! gitleaks' JSON: a list of secrets, each with the secret in it. It is hidden here and kept nowhere. Facts: its `report` package.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::draft::Draft;
use super::json::{Number, Text, each};
use super::{Imported, Unreadable, words};
use crate::model::finding::{Evidence, Finding, FindingKind};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct Item {
    #[serde(rename = "RuleID")]
    rule: Text,
    description: Text,
    start_line: Number,
    end_line: Number,
    #[serde(rename = "Match")]
    line: Text,
    secret: Text,
    file: Text,
}

pub(super) fn read(text: &str) -> Result<Imported, Unreadable> {
    let list: &RawValue = serde_json::from_str(text)?;
    let mut draft = Draft::new("gitleaks", "");
    draft.report.may_be_filtered = true;
    draft.looked_for(FindingKind::Secret);
    let wrong = each(Some(list), |mut item: Item| {
        let (line, secret) = (Zeroizing::new(item.line.0), Zeroizing::new(item.secret.0));
        (item.line, item.secret) = (Text::default(), Text::default());
        let (rule, path) = (words::name(&item.rule), words::name(&item.file));
        let rest = draft.nth(FindingKind::Secret, rule.raw(), path.raw());
        let mut finding = Finding::new(FindingKind::Secret, rule.raw(), None, Some(path.raw()), &rest);
        finding.title = words::name(&item.description);
        finding.lines = words::lines(item.start_line, item.end_line);
        let hidden = if secret.is_empty() { &line } else { &secret };
        finding.evidence = Some(Evidence::masked(words::before_secret(&line, &secret), hidden));
        draft.put(finding, &item.rule);
    });
    draft.wrong(wrong);
    Ok(Imported::Report(draft.done().into()))
}
