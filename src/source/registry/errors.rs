//! What a registry says when it says no, in words: the specification's `errors` list, or the bare text of a proxy.

use std::error::Error;

use http::StatusCode;
use serde::Deserialize;

use super::Timers;
use crate::model::{Problem, ProblemKind, Safe};

/// Longest error body that is looked at.
const LONGEST: usize = 64 * 1024;
/// Longest part of it that is shown.
const SHOWN: usize = 300;

/// An error and its causes on one line, without repeating what the outer one says already.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        next = cause.source();
    }
    words
}

/// A refusal, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// The specification's codes, such as `MANIFEST_UNKNOWN`, in upper case.
    pub codes: Vec<String>,
    pub words: Safe,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "errors")]
    list: Option<Vec<One>>,
    /// Token servers answer in other shapes.
    error: Option<serde_json::Value>,
    #[serde(alias = "error_description", alias = "message")]
    details: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct One {
    code: Option<serde_json::Value>,
    message: Option<serde_json::Value>,
}

fn text(value: Option<&serde_json::Value>) -> String {
    match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

impl Refusal {
    /// Reads the body of a refusal, within bounds; what can't be read leaves the status alone.
    pub(super) async fn read(response: reqwest::Response, timers: &Timers) -> Self {
        let status = response.status();
        let body = super::body::beginning(response, LONGEST, timers).await;
        Self::parse(status, &body)
    }

    pub(super) fn parse(status: StatusCode, body: &[u8]) -> Self {
        let mut codes = Vec::new();
        let mut words = Vec::new();
        if let Ok(errors) = serde_json::from_slice::<Answer>(body) {
            for one in errors.list.iter().flatten().take(8) {
                let code = text(one.code.as_ref()).to_ascii_uppercase();
                let message = text(one.message.as_ref());
                words.push([code.as_str(), message.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "));
                codes.push(code);
            }
            words.extend([text(errors.error.as_ref()), text(errors.details.as_ref())]);
        } else {
            let plain = String::from_utf8_lossy(body);
            let plain = plain.trim();
            if !plain.starts_with('<') {
                words.push(plain.to_owned());
            }
        }
        words.retain(|part| !part.is_empty());
        let shown: String = words.join("; ").chars().take(SHOWN).collect();
        Self { status, codes, words: Safe::new(&shown) }
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|one| one == code)
    }

    /// The refusal as a problem.
    pub(super) fn problem(&self, doing: &str, host: &str) -> Problem {
        let status = self.status;
        let named = status.canonical_reason().map_or_else(|| status.as_u16().to_string(), |reason| format!("{} {reason}", status.as_u16()));
        let cause =
            if self.words.is_empty() { format!("{host} answered {named}") } else { format!("{host} answered {named}: {}", self.words) };
        let (kind, hint) = match status.as_u16() {
            401 => (ProblemKind::Denied, Some(format!("log in with: docker login {host}"))),
            403 => (ProblemKind::Denied, Some("the account may not have the right to do this".to_owned())),
            404 => (ProblemKind::NotFound, Some("check the name; a private repository may also look absent without a login".to_owned())),
            405 | 501 => (ProblemKind::Unsupported, None),
            409 | 412 => (ProblemKind::Conflict, None),
            413 | 507 => (ProblemKind::Denied, Some("the registry has no room for it".to_owned())),
            429 => (ProblemKind::Unreachable, Some("too many requests: try again later, or log in for a larger quota".to_owned())),
            500..=599 | 408 | 425 | 499 => (ProblemKind::Unreachable, Some("the registry is in trouble: try again later".to_owned())),
            _ => (ProblemKind::Other, None),
        };
        let problem = Problem::new(kind, doing, cause);
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(body: &str) -> String {
        Refusal::parse(StatusCode::NOT_FOUND, body.as_bytes()).words.to_string()
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        let two = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"a":1}},{"code":"x"}]}"#;
        assert_eq!(words(two), "MANIFEST_UNKNOWN: manifest unknown; X");
        assert!(Refusal::parse(StatusCode::NOT_FOUND, two.as_bytes()).has("MANIFEST_UNKNOWN"));
        assert_eq!(words(r#"{"details":"incorrect username or password"}"#), "incorrect username or password");
        assert_eq!(words("<html><body>nginx</body></html>"), "");
        assert_eq!(words("404 page not found\n"), "404 page not found");
        assert_eq!(words(r#"{"errors":null}"#), "");
        assert_eq!(words("\u{1b}[2J"), "\\x1b[2J");
        assert!(words(&"a".repeat(100_000)).len() <= SHOWN);
    }
}
