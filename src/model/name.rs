//! A reference as some source spelled it. It may be hostile or outside the grammar: it is shown escaped, and only a name that
//! parses can be acted on.

use serde::{Deserialize, Serialize};

use super::Reference;
use super::problem::{Problem, ProblemKind};
use super::safe::Safe;

/// A name such as `acme/api:v1`, as read. Parsing is lazy, because lists hold ten thousand of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Box<str>);

impl Name {
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self(raw.into())
    }

    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// For display. The grammar of names is ASCII, so a look-alike letter is escaped.
    #[must_use]
    pub fn safe(&self) -> Safe {
        Safe::ascii(&self.0)
    }

    /// The name as people write it: without the part that stands for Docker Hub.
    #[must_use]
    pub fn familiar(&self) -> &str {
        familiar(&self.0)
    }

    /// Splits into repository and tag at the last colon after the last slash; a name with a digest has the digest as its tag.
    #[must_use]
    pub fn split(&self) -> (&str, Option<&str>) {
        split(&self.0)
    }

    /// The canonical reference.
    ///
    /// # Errors
    /// A name outside the reference grammar can't be acted on; the problem says so.
    pub fn reference(&self) -> Result<Reference, Problem> {
        let bad = |cause: String| {
            Problem::new(ProblemKind::Usage, format!("use the name {}", self.safe()), cause)
                .hint("a reference is written [registry/]repository[:tag][@digest], in lower case")
        };
        let reference = self.0.parse::<Reference>().map_err(|error| bad(error.to_string()))?;
        // The parser takes an upper-case first component for a host, and then for a part of the repository after all.
        if !reference.repository().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b)) {
            return Err(bad("a repository is written in lower case".to_owned()));
        }
        if let Some(digest) = reference.digest() {
            digest.parse::<super::Digest>().map_err(|error| bad(error.to_string()))?;
        }
        Ok(reference)
    }
}

/// As [`Name::familiar`], of any text.
pub(super) fn familiar(text: &str) -> &str {
    let short = text.strip_prefix("docker.io/").unwrap_or(text);
    short.strip_prefix("library/").filter(|_| short.len() < text.len()).unwrap_or(short)
}

/// As [`Name::split`], of any text.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((repository, digest)) = text.split_once('@') {
        return (repository, Some(digest));
    }
    let after_slash = text.rfind('/').map_or(0, |slash| slash + 1);
    match text.get(after_slash..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => (text.get(..after_slash + colon).unwrap_or_default(), text.get(after_slash + colon + 1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_goes_without_saying() {
        assert_eq!(Name::new("docker.io/library/alpine:3").familiar(), "alpine:3");
        assert_eq!(Name::new("docker.io/acme/api:1").familiar(), "acme/api:1");
        assert_eq!(Name::new("library/alpine").familiar(), "library/alpine");
    }

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(Name::new("localhost:5000/app:v1").split(), ("localhost:5000/app", Some("v1")));
        assert_eq!(Name::new("localhost:5000/app").split(), ("localhost:5000/app", None));
        assert_eq!(Name::new("app@sha256:aa").split(), ("app", Some("sha256:aa")));
    }

    #[test]
    fn names_outside_the_grammar_cannot_be_acted_on() {
        assert!(Name::new("UPPER/x:1").reference().is_err());
        assert!(Name::new("../../etc/passwd").reference().is_err());
        assert!(Name::new("a b").reference().is_err());
        assert_eq!(Name::new("app").reference().map(|r| r.whole()).ok().as_deref(), Some("docker.io/library/app:latest"));
    }
}
