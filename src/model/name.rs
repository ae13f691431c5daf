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
        if let Some(plain) = plain(&self.0) {
            return Ok(plain.reference());
        }
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

    /// The same text for every spelling of the same reference; outside the grammar the name as it is.
    #[must_use]
    pub fn canonical(&self) -> String {
        match plain(&self.0) {
            Some(plain) => format!("{}:{}", plain.full(), plain.tag),
            None => self.reference().map_or_else(|_| self.0.to_string(), |reference| reference.whole()),
        }
    }

    /// The tag that it names in the repository `full`, which is written with its registry; `None` for a name of another repository.
    #[must_use]
    pub fn tag_in(&self, full: &str) -> Option<String> {
        if let Some(plain) = plain(&self.0) {
            return (plain.full() == full).then(|| plain.tag.to_owned());
        }
        let reference = self.reference().ok()?;
        let here = format!("{}/{}", reference.registry(), reference.repository()) == full;
        here.then(|| reference.tag().unwrap_or("latest").to_owned())
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

/// The reference of a name in the form that nearly all have: `host:port/repository:tag` or shorter, with single separators and without a digest. It
/// is what the parser makes of it, whose regular expression takes ten times as long; a plan of ten thousand lines reads each name several
/// times. `None` for every other form, of which the parser has the last word.
fn plain(raw: &str) -> Option<Plain<'_>> {
    let (name, tag) = split(raw);
    let tag = tag.unwrap_or("latest");
    let mut bytes = tag.bytes();
    let in_tag = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if raw.contains('@') || tag.len() > 128 || !bytes.next().is_some_and(in_tag) || !bytes.all(|b| in_tag(b) || b == b'.' || b == b'-') {
        return None;
    }
    let (registry, repository) = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => ("docker.io", name),
    };
    let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let fits = host.split('.').all(|label| is_plain(label, b"-"))
        && port.is_none_or(is_port)
        && repository.split('/').all(|part| is_plain(part, b"._-"))
        && repository.len() <= 200
        && registry != "index.docker.io";
    let official = registry == "docker.io" && !repository.contains('/');
    fits.then_some(Plain { registry, official, repository, tag })
}

/// The parts of a name in its usual form.
struct Plain<'a> {
    registry: &'a str,
    /// It stands under `library`, which nobody writes.
    official: bool,
    repository: &'a str,
    tag: &'a str,
}

impl Plain<'_> {
    fn reference(&self) -> Reference {
        let repository = if self.official { format!("library/{}", self.repository) } else { self.repository.to_owned() };
        Reference::with_tag(self.registry.to_owned(), repository, self.tag.to_owned())
    }

    /// The repository with its registry.
    fn full(&self) -> String {
        [self.registry, if self.official { "/library/" } else { "/" }, self.repository].concat()
    }
}

/// Lower-case letters and digits, with one separator at a time between them.
fn is_plain(part: &str, separators: &[u8]) -> bool {
    let mut after = false;
    for b in part.bytes() {
        match b {
            b'a'..=b'z' | b'0'..=b'9' => after = true,
            b if after && separators.contains(&b) => after = false,
            _ => return false,
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn a_plain_name_is_read_as_the_parser_reads_it(
            raw in "(([a-z]{1,3}|localhost|docker\\.io|index\\.docker\\.io|[A-Z]|-a|a-|a--b|a_b|é|[a-z]\\.[a-z-]{1,3})(:[0-9a]{0,4})?/)?([a-z0-9._/:-]{0,8}|[a-zA-Z0-9._/:@é -]{0,8})(:[\\w.-]{0,4})?",
        ) {
            if let Some(plain) = plain(&raw) {
                let parsed = raw.parse::<Reference>().unwrap();
                prop_assert_eq!(Name::new(&raw).canonical(), parsed.whole());
                let full = format!("{}/{}", parsed.registry(), parsed.repository());
                prop_assert_eq!(Name::new(&raw).tag_in(&full), parsed.tag().map(str::to_owned));
                prop_assert_eq!(plain.reference(), parsed);
            }
        }
    }

    #[test]
    fn names_as_registries_and_engines_have_them_are_plain() {
        for name in [
            "app",
            "app:1",
            "acme/app:v1.2-rc_3",
            "docker.io/library/app:1",
            "localhost/a/b",
            "localhost:5000/a:1",
            "h.example.org:443/a/b_c.d-e:L",
        ] {
            assert_eq!(plain(name).map(|plain| plain.reference()), name.parse().ok(), "{name}");
            assert!(plain(name).is_some(), "{name}");
        }
        for other in
            ["", "a__b", "a--b/c", "UPPER/x:1", "a@sha256:aa", "index.docker.io/a", "h.example:/a", "a:", "a/:1", "/a", "a//b", "é"]
        {
            assert!(plain(other).is_none(), "{other}");
        }
        let long = format!("{}:1", "a".repeat(256));
        assert!(plain(&long).is_none() && long.parse::<Reference>().is_err());
    }

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
