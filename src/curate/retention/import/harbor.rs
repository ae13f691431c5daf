//! Tag retention rules of Harbor.
//!
//! Facts: Harbor's `src/pkg/retention` (policy, rule templates, retain action) and its guide. The rules are joined by "or": what at least one of
//! them retains stays, and everything else in the repository goes, whether or not a rule's selectors match it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Imported, Writer, parse, quoted};
use crate::model::{Problem, ProblemKind};

const DOING: &str = "take over the Harbor retention rules";

#[derive(Deserialize)]
struct Policy {
    #[serde(default)]
    algorithm: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    action: Option<String>,
    template: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    #[serde(default)]
    tag_selectors: Vec<Selector>,
    #[serde(default)]
    scope_selectors: BTreeMap<String, Vec<Selector>>,
}

#[derive(Deserialize)]
struct Selector {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    decoration: String,
    pattern: String,
    #[serde(default)]
    extras: Option<String>,
}

/// Takes retention rules over: the JSON of `GET /api/v2.0/retentions/ID`.
///
/// # Errors
/// What is no such policy.
pub fn harbor(text: &str) -> Result<Imported, Problem> {
    let policy: Policy = parse(text, DOING)?;
    let mut writer = Writer::default();
    let mut whole = policy.algorithm.as_deref().is_none_or(|algorithm| algorithm == "or");
    if !whole {
        writer.note("the policy", "there is no equivalent for an algorithm other than \"or\"", false);
    }
    let mut scopes: Vec<Option<String>> = Vec::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let at = format!("rule {}", at + 1);
        if rule.disabled {
            writer.note(&at, "it is disabled", true);
            continue;
        }
        scopes.push(scope(rule));
        if let Err(words) = one(&mut writer, rule, &at) {
            whole = false;
            writer.note(&at, &words, true);
        }
    }
    if writer.rules.is_empty() {
        return Err(Problem::new(ProblemKind::Unsupported, DOING, "none of its rules has an equivalent here"));
    }
    match scopes.first() {
        Some(Some(first)) if scopes.iter().all(|scope| scope.as_deref() == Some(first)) => {
            // Harbor's patterns are of a repository in its project; here they are of the whole name.
            writer.repositories = if first == "**" { Vec::new() } else { vec![format!("**/{first}")] };
        }
        _ => {
            whole = false;
            writer.note(
                "the repositories",
                "the rules are for different repositories, or exclude some: name them in a file for each",
                false,
            );
        }
    }
    if whole {
        writer.rule("what no rule retains", &["match = { all = true }".to_owned(), "action = \"drop\"".to_owned()]);
    } else {
        let words =
            "Harbor drops what no rule retains; the rules that do so are left out here, since they would drop what could not be taken over";
        writer.note("the end", words, true);
    }
    writer.note(
        "all rules",
        "Harbor puts each rule to all tags; here a tag that one rule keeps doesn't count for the next, so more may stay",
        false,
    );
    writer.note("all rules", "Harbor counts from pushes and pulls; here it is when an image was made, and pulls are not known", false);
    Ok(writer.finish("Harbor retention rules"))
}

/// The one pattern of repositories that a rule is for; `None` where it can't be said so simply.
fn scope(rule: &Rule) -> Option<String> {
    match rule.scope_selectors.get("repository").map(Vec::as_slice) {
        None | Some([]) => Some("**".to_owned()),
        Some([Selector { kind, decoration, pattern, .. }]) if kind == "doublestar" && decoration == "repoMatches" => Some(pattern.clone()),
        _ => None,
    }
}

fn one(writer: &mut Writer, rule: &Rule, at: &str) -> Result<(), String> {
    if let Some(action) = rule.action.as_ref().filter(|action| *action != "retain") {
        return Err(format!("there is no equivalent for the action {action:?}"));
    }
    let Selected { mut condition, mut untagged } = selected(rule)?;
    if untagged && condition == format!("tag = {}", quoted("*")) {
        (condition, untagged) = ("all = true".to_owned(), false);
    }
    let number = || {
        let number = rule.params.get(&rule.template).and_then(|number| number.as_u64().or_else(|| number.as_str()?.parse().ok()));
        number.filter(|number| *number > 0).ok_or_else(|| format!("its number {:?} is missing", rule.template))
    };
    let (more, last): (String, Vec<String>) = match rule.template.as_str() {
        "always" => (String::new(), vec!["action = \"keep\"".to_owned()]),
        "latestPushedK" => (String::new(), vec![format!("keep_last = {}", number()?), "by = \"created\"".to_owned()]),
        "nDaysSinceLastPush" => (format!(", newer_than = \"{}d\"", number()?), vec!["action = \"keep\"".to_owned()]),
        other => return Err(format!("there is no equivalent for the template {other:?}")),
    };
    let counted = rule.template == "latestPushedK";
    if untagged && counted {
        writer.note(at, "artifacts without a tag are not counted together with tags here: as many of them stay besides", false);
    }
    let conditions = std::iter::once(condition).chain(untagged.then(|| "untagged = true".to_owned()));
    for condition in conditions {
        let lines: Vec<String> = std::iter::once(format!("match = {{ {condition}{more} }}")).chain(last.iter().cloned()).collect();
        writer.rule(&format!("{at}: {}", rule.template), &lines);
    }
    Ok(())
}

struct Selected {
    condition: String,
    /// Whether artifacts without a tag are meant too.
    untagged: bool,
}

fn selected(rule: &Rule) -> Result<Selected, String> {
    let [selector] = rule.tag_selectors.as_slice() else {
        return Err("it has not exactly one selector of tags".to_owned());
    };
    if selector.kind != "doublestar" {
        return Err(format!("there is no equivalent for selectors of the kind {:?}", selector.kind));
    }
    // A tag has no slash, so that two stars are one.
    let glob = selector.pattern.replace("**", "*");
    let condition = match selector.decoration.as_str() {
        "matches" => format!("tag = {}", quoted(&glob)),
        "excludes" => format!("tag = {}, except = {}", quoted("*"), quoted(&glob)),
        other => return Err(format!("there is no equivalent for the decoration {other:?}")),
    };
    let extras = selector.extras.as_deref().unwrap_or_default();
    let untagged = serde_json::from_str::<Value>(extras).ok().and_then(|extras| extras.get("untagged").and_then(Value::as_bool));
    Ok(Selected { condition, untagged: untagged.unwrap_or(false) })
}
