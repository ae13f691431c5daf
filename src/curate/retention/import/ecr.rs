//! Lifecycle policies of Amazon ECR.
//!
//! Facts: the lifecycle policy parameters and evaluation rules of the ECR user guide. Rules are applied by priority, the lowest number first; an
//! image that matches the tags of one rule is not expired by a rule of a higher number; several prefixes or patterns select images that have
//! all of them.

use serde::Deserialize;

use super::{Imported, Writer, parse, quoted, quoted_list};
use crate::model::{Problem, ProblemKind};

const DOING: &str = "take over the ECR lifecycle policy";

#[derive(Deserialize)]
struct Lifecycle {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "rulePriority")]
    priority: i64,
    #[serde(default)]
    description: Option<String>,
    selection: Selection,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    tag_status: String,
    #[serde(default)]
    tag_prefix_list: Vec<String>,
    #[serde(default)]
    tag_pattern_list: Vec<String>,
    #[serde(default)]
    storage_class: Option<String>,
    count_type: String,
    #[serde(default)]
    count_unit: Option<String>,
    count_number: u64,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

/// Takes a lifecycle policy over: the JSON that `aws ecr get-lifecycle-policy` has as `lifecyclePolicyText`.
///
/// # Errors
/// What is no such policy.
pub fn ecr(text: &str) -> Result<Imported, Problem> {
    let mut policy: Lifecycle = parse(text, DOING)?;
    policy.rules.sort_by_key(|rule| rule.priority);
    let mut writer = Writer::default();
    for rule in &policy.rules {
        one(&mut writer, rule);
    }
    if writer.rules.is_empty() {
        return Err(Problem::new(ProblemKind::Unsupported, DOING, "none of its rules has an equivalent here"));
    }
    if policy.rules.iter().any(|rule| rule.selection.count_type.starts_with("sinceImagePushed") || rule.selection.count_type == MORE_THAN) {
        writer.note(
            "all rules",
            "ECR counts from the time of the push, which registries don't tell: here it is when the image was made",
            false,
        );
    }
    writer.note("all rules", "ECR deletes an image with all its tags; here each tag is decided by itself", false);
    Ok(writer.finish("an ECR lifecycle policy"))
}

const MORE_THAN: &str = "imageCountMoreThan";

fn one(writer: &mut Writer, rule: &Rule) {
    let at = format!("rule {}", rule.priority);
    let name = rule.description.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| at.clone());
    let selection = &rule.selection;
    let Some(condition) = condition(selection) else {
        return writer.note(&at, &format!("there is no equivalent for tagStatus {:?}", selection.tag_status), true);
    };
    let several = selection.tag_prefix_list.len() + selection.tag_pattern_list.len() > 1;
    let odd = if rule.action.kind != "expire" {
        Some(format!("there is no equivalent for the action {:?}", rule.action.kind))
    } else if several {
        Some("several prefixes or patterns select images that have all of them; here tags are decided one by one".to_owned())
    } else if let Some(class) = selection.storage_class.as_ref().filter(|class| *class != "standard") {
        Some(format!("there is no equivalent for the storage class {class:?}"))
    } else {
        expire(writer, rule, &name, &condition).err()
    };
    if let Some(words) = odd {
        // What a rule selects is out of reach of the rules after it, whether or not it can be taken over.
        writer.note(&at, &format!("{words}; what it selects stays"), true);
        let lines = [format!("match = {{ {condition} }}"), "action = \"keep\"".to_owned()];
        writer.rule(&format!("{name}, which has no equivalent"), &lines);
    }
}

/// What a selection is about.
fn condition(selection: &Selection) -> Option<String> {
    let globs: Vec<String> = selection.tag_prefix_list.iter().map(|prefix| format!("{}*", globset::escape(prefix))).collect();
    let patterns = selection.tag_pattern_list.iter().map(|pattern| pattern.split('*').map(globset::escape).collect::<Vec<_>>().join("*"));
    let globs: Vec<String> = globs.into_iter().chain(patterns).collect();
    match selection.tag_status.as_str() {
        "tagged" if globs.is_empty() => Some(format!("tag = {}", quoted("*"))),
        "tagged" => Some(format!("tag = {}", quoted_list(&globs))),
        "untagged" => Some("untagged = true".to_owned()),
        "any" => Some("all = true".to_owned()),
        _ => None,
    }
}

fn expire(writer: &mut Writer, rule: &Rule, name: &str, condition: &str) -> Result<(), String> {
    let Selection { count_type, count_unit, count_number, .. } = &rule.selection;
    let keep = format!("match = {{ {condition} }}");
    match (count_type.as_str(), count_unit.as_deref()) {
        (MORE_THAN, _) if *count_number > 0 => {
            writer.rule(name, &[keep, format!("keep_last = {count_number}"), "by = \"created\"".to_owned(), "rest = \"drop\"".to_owned()]);
            Ok(())
        }
        ("sinceImagePushed", Some("days")) => {
            let older = format!("match = {{ {condition}, older_than = \"{count_number}d\" }}");
            writer.rule(name, &[older, "action = \"drop\"".to_owned()]);
            writer.rule(&format!("{name}: the younger ones"), &[keep, "action = \"keep\"".to_owned()]);
            Ok(())
        }
        (kind, unit) => Err(format!("there is no equivalent for {kind} {}", unit.unwrap_or_default()).trim_end().to_owned()),
    }
}
