use serde_json::{Value, json};

use super::*;

fn digest(seed: &str) -> Digest {
    Digest::sha256(seed.as_bytes())
}

fn document() -> Value {
    json!({
        "version": 1, "kind": "retag", "made_at": "2026-01-02T03:04:05Z", "made_by": "lighterman 0.1.0",
        "operations": [
            {"verb": "move_tag", "source": "registry:localhost:5000", "target": "localhost:5000/app:v1",
             "before": digest("a"), "after": digest("b"), "undo": "until_garbage_collection"}
        ]
    })
}

fn parse(document: &Value) -> Result<Plan, Problem> {
    Plan::parse(document.to_string().as_bytes(), "read the plan")
}

#[test]
fn a_document_comes_back_as_it_was() {
    let plan = parse(&document()).unwrap();
    assert_eq!(plan.operations[0].verb, Verb::MoveTag);
    assert_eq!(Plan::parse(plan.to_json().unwrap().as_bytes(), "read").unwrap(), plan);
    let targets = ["localhost:5000/app:v1".to_owned(), format!("localhost:5000/app@{}", digest("a")), digest("a").to_string()];
    for target in targets {
        assert_eq!(Target::try_from(target.clone()).unwrap().to_string(), target);
    }
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let problem = parse(&json!({"version": 2, "steps": [[[]]]})).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unsupported);
    assert!(problem.cause.as_str().contains("version 2"), "{problem}");
}

#[test]
fn what_does_not_fit_is_refused_with_its_line() {
    let bent = |pointer: &str, value: Value| {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = value;
        parse(&document).unwrap_err()
    };
    let verb = bent("/operations/0/verb", json!("obliterate"));
    assert!(verb.cause.as_str().contains("obliterate"), "{verb}");
    for (pointer, value) in [
        ("/operations/0/target", json!("localhost:5000/../../x:v1")),
        ("/operations/0/target", json!("other.example/app:v1")),
        ("/operations/0/target", json!("localhost:5000/app:v 1")),
        ("/operations/0/target", json!(digest("a"))),
        ("/operations/0/target", json!("x".repeat(5000))),
        ("/operations/0/before", Value::Null),
        ("/operations/0/after", json!(digest("a"))),
        ("/operations/0/after", json!("sha256:../../etc/passwd")),
        ("/operations/0/source", json!("registry:localhost:5000?token=x")),
        ("/operations/0/source", json!("")),
        ("/operations/0/verb", json!("delete_image")),
        ("/operations/0/verb", json!("copy")),
    ] {
        let problem = bent(pointer, value.clone());
        assert_eq!(problem.kind, ProblemKind::Usage, "{pointer} {value}: {problem}");
    }
    let mut more = document();
    more["surprise"] = json!(true);
    assert!(parse(&more).is_err(), "what is not understood may be a condition");
    for bytes in [&b""[..], b"[]", b"{", b"\xff", b"{\"version\":1}"] {
        assert!(Plan::parse(bytes, "read").is_err());
    }
    let twice = document().to_string().replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
    assert!(Plan::parse(twice.as_bytes(), "read").is_err());
}

#[test]
fn too_much_is_refused() {
    let mut document = document();
    document["operations"][0]["effects"] = json!(["x".repeat(5000)]);
    assert!(parse(&document).is_err());
    document["operations"][0]["effects"] = json!(vec!["x"; 20_000]);
    assert!(parse(&document).is_err());
    assert_eq!(Plan::parse(&vec![b' '; LARGEST + 1], "read").unwrap_err().kind, ProblemKind::Limit);
}

#[test]
fn only_a_reason_overrides_a_protection() {
    let mut line = parse(&document()).unwrap().operations.remove(0);
    assert_eq!(line.refused(), None);
    line.protected = Some("used by container web".into());
    line.override_reason = Some("  ".into());
    assert!(line.refused().is_some());
    line.override_reason = Some("it is mine".into());
    assert_eq!(line.refused(), None);
}

#[test]
fn spellings_of_one_tag_are_one_target() {
    let canonical = |text: &str| Target::try_from(text.to_owned()).unwrap().canonical();
    assert_eq!(canonical("app"), canonical("docker.io/library/app:latest"));
    assert_ne!(canonical("app"), canonical("app:2"));
}
