//! What the screen knows of a place where images live.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::safe::Safe;

/// A stable name for a source: `engine:unix:///run/docker.sock`, `store`, `oci:/some/dir`. Also the key of its cached list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceId(pub String);

/// How the id of a registry begins.
const REGISTRY: &str = "registry:";

impl SourceId {
    /// The registry `host`.
    #[must_use]
    pub fn registry(host: &str) -> Self {
        Self(format!("{REGISTRY}{host}"))
    }

    /// The host, where this is a registry.
    #[must_use]
    pub fn registry_host(&self) -> Option<&str> {
        self.0.strip_prefix(REGISTRY)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    Engine,
    Store,
    Layout,
    Archive,
    Registry,
}

/// What a source can do beyond listing and reading. Screens grey out the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Powers {
    pub tag: bool,
    pub remove: bool,
    pub prune: bool,
    pub pull: bool,
    pub push: bool,
    pub import: bool,
    pub export: bool,
    pub watch: bool,
}

impl Powers {
    /// A source that can only be read.
    pub const READ_ONLY: Self =
        Self { tag: false, remove: false, prune: false, pull: false, push: false, import: false, export: true, watch: false };
    /// What a registry's images can be done to without a transfer.
    pub const REGISTRY: Self = Self { tag: true, remove: true, export: false, ..Self::READ_ONLY };
    pub const ALL: Self = Self { tag: true, remove: true, prune: true, pull: true, push: true, import: true, export: true, watch: true };
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourceStatus {
    /// Not asked yet.
    #[default]
    Unknown,
    Connecting,
    Ready {
        /// Such as "Docker 28.2.2, API 1.50".
        version: Safe,
    },
    Down(Problem),
}

/// One row of the source switcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    pub id: SourceId,
    pub kind: SourceKind,
    /// Short name for the header, such as a context's name or "store".
    pub name: Safe,
    /// The endpoint or path.
    pub place: Safe,
    /// Why it was chosen or listed: "DOCKER_HOST", "current context", "no engine found".
    pub why: Safe,
    pub powers: Powers,
    /// Whether the configuration forbids changes here.
    pub read_only: bool,
}
