//! Where an image is, as typed: a reference with one of the transports skopeo's users know.
//!
//! `docker://HOST/REPO[:TAG|@DIGEST]`, `docker-daemon:REF`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
//! `docker-archive:FILE[:REF]`, `store:REF`; a bare reference means the current engine, or the store where there is none.

use std::path::PathBuf;

use super::name::Name;
use super::problem::{Problem, ProblemKind};

/// The part before the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// No transport: the current engine, or the store.
    Current,
    Registry,
    Engine,
    Store,
    Layout,
    OciArchive,
    DockerArchive,
}

/// A typed place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locator {
    pub transport: Transport,
    /// The directory or file of the transports that have one.
    pub path: Option<PathBuf>,
    /// Reference, tag or image ID; `None` means everything in the file.
    pub name: Option<Name>,
}

impl Locator {
    /// Parses what a user typed. A file transport's path ends at its first colon, as with skopeo: `oci:dir:tag`,
    /// `docker-archive:file.tar:repo/app:tag`.
    ///
    /// # Errors
    /// An empty path or reference.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let usage = |cause: &str| {
            Problem::new(ProblemKind::Usage, format!("understand {text}"), cause)
                .hint("write a reference, or one of docker://, docker-daemon:, store:, oci:, oci-archive:, docker-archive:")
        };
        let named = |transport, rest: &str| {
            if rest.is_empty() {
                Err(usage("the reference is missing"))
            } else {
                Ok(Self { transport, path: None, name: Some(Name::new(rest)) })
            }
        };
        let filed = |transport, rest: &str| {
            let (path, name) = match rest.split_once(':') {
                Some((path, name)) if !name.is_empty() => (path, Some(Name::new(name))),
                Some((path, _)) => (path, None),
                None => (rest, None),
            };
            if path.is_empty() { Err(usage("the path is missing")) } else { Ok(Self { transport, path: Some(PathBuf::from(path)), name }) }
        };
        if let Some(rest) = text.strip_prefix("docker://") {
            named(Transport::Registry, rest)
        } else if let Some(rest) = text.strip_prefix("docker-daemon:") {
            named(Transport::Engine, rest)
        } else if let Some(rest) = text.strip_prefix("store:") {
            named(Transport::Store, rest)
        } else if let Some(rest) = text.strip_prefix("oci:") {
            filed(Transport::Layout, rest)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            filed(Transport::OciArchive, rest)
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            filed(Transport::DockerArchive, rest)
        } else {
            named(Transport::Current, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_those_of_skopeo() {
        let file = Locator::parse("docker-archive:/tmp/a.tar:localhost:5000/app:v1").unwrap();
        assert_eq!(file.path.unwrap(), PathBuf::from("/tmp/a.tar"));
        assert_eq!(file.name.unwrap().raw(), "localhost:5000/app:v1");
        assert_eq!(Locator::parse("oci:dir").unwrap().name, None);
        assert_eq!(Locator::parse("docker://h/app@sha256:aa").unwrap().transport, Transport::Registry);
        assert_eq!(Locator::parse("app:1").unwrap().transport, Transport::Current);
        assert!(Locator::parse("oci:").is_err());
        assert!(Locator::parse("").is_err());
    }
}
