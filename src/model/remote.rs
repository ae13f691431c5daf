//! What a registry tells of itself: repositories, tags, what a tag points at, and what was found out about deleting there.
//!
//! Lists come in pieces while they arrive, and end with a word on whether they are all there is: a list that can't be proved complete must
//! not decide what is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::digest::Digest;
use super::name::Name;
use super::platform::Platform;
use super::problem::Problem;
use super::safe::{Foreign, Safe};
use super::secret::Secret;
use super::source_info::SourceId;

/// A repository as a catalog spelled it, without the registry's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoRow {
    pub name: Foreign,
    /// Whether it keeps to the grammar: what doesn't is shown escaped and can't be acted on.
    pub fit: bool,
}

/// A tag as a registry spelled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub tag: Foreign,
    /// As [`RepoRow::fit`].
    pub fit: bool,
}

/// Whether a list is all there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    Complete,
    /// Why it can't be proved.
    Incomplete(Safe),
}

/// How a list ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Names handed over.
    pub count: usize,
    /// Entries that are no names: `null`, digests, numbers, names beyond 4096 bytes. Repeated names are not counted at all.
    pub odd: usize,
    pub completeness: Completeness,
}

impl Listed {
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completeness == Completeness::Complete
    }
}

/// How much a registry still gives before it refuses, as it said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests it gives in one window, where it tells.
    pub limit: Option<u64>,
    /// Requests left.
    pub remaining: u64,
    /// How long a window is, where it tells.
    pub window: Option<Duration>,
}

/// Such as "96 of 100 requests left, counted over 6 h".
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "{} of {limit} requests left", self.remaining)?,
            None => write!(f, "{} requests left", self.remaining)?,
        }
        let Some(window) = self.window else { return Ok(()) };
        let seconds = window.as_secs();
        match (seconds % 3600, seconds % 60) {
            (0, _) => write!(f, ", counted over {} h", seconds / 3600),
            (_, 0) => write!(f, ", counted over {} min", seconds / 60),
            _ => write!(f, ", counted over {seconds} s"),
        }
    }
}

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteKind {
    Image,
    /// Several images, one a platform.
    Index,
    /// Something else in an image's clothes: a signature, an SBOM, a chart.
    Artifact,
    /// The format before 2016: shown, never read or changed.
    Schema1,
}

/// One manifest of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteChild {
    pub digest: Digest,
    pub media_type: Foreign,
    /// Bytes of the manifest.
    pub size: u64,
    pub platform: Option<Platform>,
    /// Not to be run: an attestation, which names what it is about.
    pub about: Option<Digest>,
}

/// Labels of an image.
pub type Labels = BTreeMap<Box<str>, Foreign>;

/// What a tag points at. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagDetails {
    pub tag: String,
    pub digest: Digest,
    pub media_type: Foreign,
    pub kind: RemoteKind,
    pub artifact_type: Option<Foreign>,
    /// Bytes of the layers as stored; of an index, those of the image for this machine, or of its first.
    pub size: Option<u64>,
    /// Of an index, that of the same image as the size.
    pub created: Option<Timestamp>,
    /// Of the image, or of the images in the index.
    pub platforms: Vec<Platform>,
    pub children: Vec<RemoteChild>,
    /// What it says it is about: of a signature or another referrer that has a tag of its own.
    pub subject: Option<Digest>,
    /// Whether a signature was seen beside it; `None` where nothing was seen but not everything was looked at.
    pub signed: Option<bool>,
    /// Why some of this is missing, such as a child of the index that is gone.
    pub gap: Option<Problem>,
}

impl TagDetails {
    /// The images it leads to: its own, or those of its index.
    #[must_use]
    pub fn images(&self) -> Vec<Digest> {
        match self.kind {
            RemoteKind::Index => self.children.iter().filter(|child| child.about.is_none()).map(|child| child.digest.clone()).collect(),
            RemoteKind::Image => vec![self.digest.clone()],
            RemoteKind::Artifact | RemoteKind::Schema1 => Vec::new(),
        }
    }

    /// Whether it leads to an image whose configuration can be read.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        matches!(self.kind, RemoteKind::Image | RemoteKind::Index)
    }
}

/// A manifest that says it is about another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    pub digest: Digest,
    pub media_type: Foreign,
    /// Bytes of the manifest.
    pub size: u64,
    pub artifact_type: Option<Foreign>,
    pub created: Option<Timestamp>,
    pub annotations: Vec<(Foreign, Foreign)>,
    /// The tag it was found under, for those that are known by their tag only (`sha256-….sig`).
    pub tag: Option<String>,
}

/// What refers to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    pub referrers: Vec<Referrer>,
    pub completeness: Completeness,
    /// Whether the registry has the referrers API; otherwise tags stand in for it.
    pub api: bool,
}

/// What a manifest of a repository holds, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Bytes of the manifest itself.
    pub size: u64,
    /// Its configuration and layers with their bytes; `None` where it was not read.
    pub blobs: Option<Vec<(Digest, u64)>>,
    /// The manifests of an index.
    pub children: Vec<Digest>,
}

/// A repository as it was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct RepositoryView {
    pub source: SourceId,
    /// With the registry's host: `localhost:5000/team/app`.
    pub name: String,
    /// What each tag points at: digest and media type.
    pub tags: BTreeMap<String, (Digest, Foreign)>,
    /// What the indexes among them list, by the index's digest.
    pub indexes: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What refers to the manifests that were asked about: digest, and tag where it is known by one.
    pub referrers: BTreeMap<Digest, Vec<(Digest, Option<String>)>>,
    /// What the manifests hold, as far as they were read: those of tags and what is in them, those that were asked about, and what refers to
    /// these. For sums of bytes only; what may go is decided without it.
    pub held: BTreeMap<Digest, Held>,
    /// Whether these are all tags there are.
    pub completeness: Completeness,
}

/// A name and a password for a registry, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub secret: Secret,
}

/// How far a login reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedIn {
    /// Until this program ends: no credential helper is set for the registry, and nothing is written into a file.
    ForThisRun,
    /// A credential helper, by its program's name, keeps it.
    Stored(String),
}

/// What is left of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedOut {
    Nothing,
    /// The helper of that name has forgotten it.
    Erased(String),
    /// A file of docker's or Podman's holds it still; it is not used any more in this run.
    InFile(String),
}

/// A tag of an image on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTag {
    pub name: Name,
    /// The image it is on.
    pub id: Digest,
    /// The image's `repository@digest` names.
    pub repo_digests: Vec<Name>,
}

/// How a local image stands to the tag it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    Same,
    /// The tag points at this now.
    Moved(Digest),
    /// It never was there, as far as is known.
    OnlyHere,
    /// It was there, and the tag is gone.
    Gone,
}

impl Drift {
    /// In a word, as filters know it too.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved(_) => "moved",
            Self::OnlyHere => "local",
            Self::Gone => "gone",
        }
    }

    /// Compares a local image's `repository@digest` names with what the registry has under its tag now. `repository` is as in those names.
    #[must_use]
    pub fn of(repo_digests: &[Name], repository: &str, there: Option<&Digest>) -> Self {
        let full = |name: &str| Name::new(name).reference().map(|found| format!("{}/{}", found.registry(), found.repository())).ok();
        let wanted = full(repository);
        let known: Vec<&str> = repo_digests
            .iter()
            .filter_map(|name| match name.split() {
                (repo, Some(digest)) if repo == repository || (wanted.is_some() && full(repo) == wanted) => Some(digest),
                _ => None,
            })
            .collect();
        match there {
            Some(there) if known.contains(&there.as_str()) => Self::Same,
            Some(there) => Self::Moved(there.clone()),
            None if known.is_empty() => Self::OnlyHere,
            None => Self::Gone,
        }
    }
}

/// The tags by which cosign and registries without the referrers API mark what is about `digest`: `sha256-<hex>` and its kin.
#[must_use]
pub fn companion_tags(digest: &Digest) -> [String; 4] {
    let base = format!("{}-{}", digest.algorithm(), digest.hex());
    [base.clone(), format!("{base}.sig"), format!("{base}.att"), format!("{base}.sbom")]
}

/// The digest a companion tag is about, and its ending (empty for the referrers fallback).
#[must_use]
pub fn companion_of(tag: &str) -> Option<(Digest, &str)> {
    let (algorithm, rest) = tag.split_once('-')?;
    let (hex, ending) = rest.split_once('.').map_or((rest, ""), |(hex, ending)| (hex, ending));
    Some((format!("{algorithm}:{hex}").parse().ok()?, ending))
}

/// Whether a tag is fit for a URL: the grammar of the distribution specification.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether a repository's name is fit for a URL.
#[must_use]
pub fn is_repository(text: &str) -> bool {
    text.len() <= 255
        && text.split('/').all(|part| {
            let mut bytes = part.bytes();
            let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            bytes.clone().all(|b| edge(b) || b"._-".contains(&b)) && bytes.next().is_some_and(edge) && part.bytes().last().is_some_and(edge)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_compares_the_digest_that_came_from_there() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let local = [Name::new(&format!("docker.io/library/app@{a}")), Name::new(&format!("other/app@{b}"))];
        assert_eq!(Drift::of(&local, "app", Some(&a)), Drift::Same);
        assert_eq!(Drift::of(&local, "app", Some(&b)), Drift::Moved(b.clone()));
        assert_eq!(Drift::of(&local, "app", None), Drift::Gone);
        assert_eq!(Drift::of(&local, "app2", None), Drift::OnlyHere);
        assert_eq!(Drift::of(&[], "app", Some(&b)), Drift::Moved(b));
    }

    #[test]
    fn companions_are_told_from_tags() {
        let digest = Digest::sha256(b"a");
        for (tag, ending) in companion_tags(&digest).iter().zip(["", "sig", "att", "sbom"]) {
            assert_eq!(companion_of(tag), Some((digest.clone(), ending)));
        }
        for tag in ["latest", "sha256-abc", "v1-2.sig", ""] {
            assert_eq!(companion_of(tag), None, "{tag}");
        }
    }

    #[test]
    fn only_names_within_the_grammar_are_fit() {
        for good in ["latest", "v1.2_3-x", "_x", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".x", "-x", "a/b", "../x", "a b", "sha256:x", "é", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
        for good in ["app", "team/app", "a.b/c_d/e--f", "0/1"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "UPPER/x", "../a", "a/..", "-a", "a?b", "a b"] {
            assert!(!is_repository(bad), "{bad}");
        }
    }
}
