//! What an image is: the row of a list ([`ImageSummary`]) and the whole ([`Image`]), in the shape the command line prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Reference;
use super::digest::Digest;
use super::history::HistoryEntry;
use super::name::Name;
use super::platform::Platform;
use super::safe::Foreign;

/// How an action addresses an image within a source.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageKey {
    Id(Digest),
    Name(Reference),
}

impl std::fmt::Display for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(digest) => write!(f, "{digest}"),
            Self::Name(reference) => write!(f, "{reference}"),
        }
    }
}

/// A container made from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUse {
    pub id: Foreign,
    pub name: Foreign,
    /// Running or paused; a created or exited container is not.
    pub running: bool,
    /// The engine's own word: `running`, `exited`, `created`, …
    pub state: Foreign,
}

/// One image of a list. Sizes are bytes; what the source didn't say is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageSummary {
    pub id: Digest,
    /// Every tag; empty for a dangling image.
    pub tags: Vec<Name>,
    /// `repository@digest`, as the source knows them.
    pub repo_digests: Vec<Name>,
    pub created: Option<Timestamp>,
    pub size: Option<u64>,
    /// Bytes no other image shares; known only where the source was asked for it.
    pub unique_size: Option<u64>,
    pub platform: Option<Platform>,
    /// Containers made from this image, stopped ones too; `None` where the source knows no containers or did not say.
    pub containers: Option<Vec<ContainerUse>>,
    pub labels: BTreeMap<Box<str>, Foreign>,
}

impl ImageSummary {
    #[must_use]
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }

    /// Whether no container, running or stopped, was made from it. `None` where that is not known.
    #[must_use]
    pub fn is_unused(&self) -> Option<bool> {
        self.containers.as_ref().map(Vec::is_empty)
    }
}

/// What images hold that others may hold too, with the bytes of each, by image: layers by chain ID on an engine, blobs by digest in a store.
pub type Layers = BTreeMap<Digest, Vec<(Digest, u64)>>;

/// An image by its ID, and what it holds: layers by chain ID, or blobs by digest, with the bytes of each.
pub type LayersOf = (Digest, Option<Vec<(Digest, u64)>>);

/// The chain IDs of an image's layers, as the OCI image specification derives them from its diff IDs, oldest first: an engine stores a
/// layer once for each chain that leads to it.
#[must_use]
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = chain.last().map_or_else(|| diff_id.clone(), |below| Digest::sha256(format!("{below} {diff_id}").as_bytes()));
        chain.push(next);
    }
    chain
}

/// All images of a source at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageList {
    pub images: Vec<ImageSummary>,
    /// When the source answered.
    pub at: Timestamp,
    /// What could not be read of it, such as "containers: permission denied": the rest is still shown.
    #[serde(default)]
    pub gaps: Vec<Foreign>,
}

impl ImageList {
    /// Every image that has the tag `name`, with the tag as the source spells it: under that very spelling, else under another one of the
    /// same reference, as `docker.io/library/app:latest` is of `app`.
    #[must_use]
    pub fn tagged(&self, name: &Name) -> Vec<(&ImageSummary, &Name)> {
        let with = |same: &dyn Fn(&Name) -> bool| -> Vec<_> {
            self.images.iter().filter_map(|image| Some((image, image.tags.iter().find(|tag| same(tag))?))).collect()
        };
        let exact = with(&|tag| tag.raw() == name.raw());
        if !exact.is_empty() {
            return exact;
        }
        let Ok(wanted) = name.reference() else { return Vec::new() };
        // Parsing ten thousand names takes a while; every spelling has this part.
        let repository = wanted.repository().rsplit('/').next().unwrap_or_default();
        with(&|tag| tag.raw().contains(repository) && tag.reference().is_ok_and(|tag| tag == wanted))
    }
}

/// The configuration part that runs a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ImageConfig {
    pub user: Option<Foreign>,
    pub entrypoint: Option<Vec<Foreign>>,
    pub cmd: Option<Vec<Foreign>>,
    pub env: Vec<Foreign>,
    pub working_dir: Option<Foreign>,
    pub exposed_ports: Vec<Foreign>,
    pub volumes: Vec<Foreign>,
    pub labels: BTreeMap<String, Foreign>,
    pub healthcheck: Option<Vec<Foreign>>,
    pub stop_signal: Option<Foreign>,
}

/// One layer, oldest first. `digest` is of the stored bytes, `diff_id` of the uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerInfo {
    pub index: usize,
    pub digest: Option<Digest>,
    pub diff_id: Option<Digest>,
    /// Bytes as stored.
    pub size: Option<u64>,
    /// Bytes of the tar; `None` until read.
    pub uncompressed_size: Option<u64>,
    pub media_type: Option<Foreign>,
    /// `gzip`, `zstd`, `none`; `None` where unknown.
    pub compression: Option<&'static str>,
    pub created_by: Option<Foreign>,
    /// Whether its bytes were read and agree with `digest` and `diff_id`; `None` until read.
    pub verified: Option<bool>,
    /// Where it says itself what is in it, for whoever can read it in pieces.
    #[serde(skip)]
    pub contents: Option<ContentsAt>,
}

/// A table of contents in a layer's stored bytes, as the manifest that lists the layer tells of it: what vouches for the manifest vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentsAt {
    /// eStargz: the last bytes say where it starts. The digest is of the table as JSON.
    Estargz { digest: Digest },
    /// zstd:chunked: it lies there, packed; the digest is of the packed bytes.
    Chunked { offset: u64, length: u64, unpacked: u64, digest: Digest },
}

/// What an image was built on, as whoever built it says: the `org.opencontainers.image.base.*` keys of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSaid {
    pub name: Name,
    pub digest: Option<Digest>,
}

impl BaseSaid {
    /// What annotations or labels say of it, where that is the name of an image.
    #[must_use]
    pub fn among(said: &BTreeMap<String, Foreign>) -> Option<Self> {
        let name = Name::new(said.get("org.opencontainers.image.base.name")?.raw());
        name.reference().ok()?;
        Some(Self { name, digest: said.get("org.opencontainers.image.base.digest").and_then(|digest| digest.raw().parse().ok()) })
    }
}

/// Everything known of one image, in the shape `inspect --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Image {
    /// Digest of the configuration.
    pub id: Digest,
    pub manifest_digest: Option<Digest>,
    pub media_type: Option<Foreign>,
    pub tags: Vec<Name>,
    pub repo_digests: Vec<Name>,
    pub created: Option<Timestamp>,
    pub platform: Option<Platform>,
    /// Sum of the layers as stored where they were read, in bytes.
    pub size: Option<u64>,
    pub unique_size: Option<u64>,
    pub containers: Option<Vec<ContainerUse>>,
    pub config: Option<ImageConfig>,
    pub layers: Option<Vec<LayerInfo>>,
    pub history: Option<Vec<HistoryEntry>>,
    /// Of its manifest's annotations; labels may say it too.
    #[serde(skip)]
    pub base: Option<BaseSaid>,
}

impl Image {
    /// The digests that it is known by: of its configuration, and of its manifest.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.id).chain(&self.manifest_digest)
    }
}
