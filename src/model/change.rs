//! Transfers, and what they leave behind, as data. There is one function that carries a [`Change`] out (`work::change`), and one that says what
//! it will do (`curate::describe`). What is taken away or given a name is a [`super::plan::Plan`].

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::digest::Digest;
use super::locator::Locator;
use super::name::Name;
use super::platform::Platform;
use super::source_info::SourceId;

/// File formats an image is exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    Docker,
    Oci,
}

/// What one removal takes away. `expected` is what was seen when it was confirmed; if it moved since, it is a conflict.
#[derive(Debug, Clone, PartialEq)]
pub enum Removal {
    /// Take this tag away; the image goes too if it was its last one (and nothing uses it).
    Tag { name: Name, expected: Digest },
    /// Take away an image that has no tag.
    Untagged { id: Digest },
}

impl Removal {
    /// The tag, or the image's digest when it has none.
    #[must_use]
    pub fn reference(&self) -> String {
        match self {
            Self::Tag { name, .. } => name.raw().to_owned(),
            Self::Untagged { id } => id.to_string(),
        }
    }

    /// The image it was confirmed for.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        match self {
            Self::Tag { expected, .. } => expected,
            Self::Untagged { id } => id,
        }
    }

    /// It was done.
    #[must_use]
    pub fn removed(&self) -> Removed {
        Removed { reference: self.reference(), digest: self.digest().clone() }
    }

    /// It was not done.
    #[must_use]
    pub fn kept(&self, why: impl Into<Why>) -> Kept {
        Kept { reference: self.reference(), digest: self.digest().clone(), why: why.into() }
    }
}

/// One transfer into or out of a source, as it was confirmed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Pull {
        source: SourceId,
        name: Name,
        platform: Option<Platform>,
    },
    Push {
        source: SourceId,
        name: Name,
        expected: Digest,
        /// What the tag was at in its registry when that was agreed to: another digest now is a conflict. `None` where nobody looked.
        seen: Option<Option<Digest>>,
    },
    /// Copies into the registry `source`.
    Copy {
        source: SourceId,
        copy: Copy,
    },
    /// `tags` are those of the archive, with what held them when the import was confirmed.
    Import {
        source: SourceId,
        file: PathBuf,
        tags: Vec<ImportTag>,
    },
}

/// What a copy takes, and where it puts it.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    pub from: CopyFrom,
    /// What `from` was seen at; if it moved since, it is a conflict.
    pub expected: Option<Digest>,
    /// A tag in the registry, the engine or the store.
    pub to: Name,
    /// What held the tag when the copy was confirmed.
    pub replaces: Option<Digest>,
    /// Of an index, these platforms only; all when empty. In a registry a copy of some has an index, and so a digest, of its own; an engine and
    /// a store take one at most, which goes without the index.
    pub platforms: Vec<Platform>,
    /// Also signatures and whatever else refers to it.
    pub referrers: bool,
}

/// Where a copy comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CopyFrom {
    /// A tag or digest in a registry, the same or another.
    Registry(Name),
    /// A layout or an archive on this machine.
    File(Locator),
}

impl Change {
    #[must_use]
    pub const fn source(&self) -> &SourceId {
        match self {
            Self::Pull { source, .. } | Self::Push { source, .. } | Self::Copy { source, .. } | Self::Import { source, .. } => source,
        }
    }
}

/// What a removal came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removed {
    /// The tag, or the image's digest when it had none.
    pub reference: String,
    pub digest: Digest,
}

/// What was left, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub reference: String,
    pub digest: Digest,
    pub why: Why,
}

/// Why a removal was kept. What a run goes by has a variant of its own; everything else is words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There was nothing to take away.
    Gone,
    /// The user stopped before its turn.
    NotTried,
    /// The user stopped while the engine was at it, and it did not end soon after: it may have gone.
    UnderWay,
    /// Other images are built on it, says the engine in these words.
    HasChildren(String),
    Said(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("already gone"),
            Self::NotTried => f.write_str("not tried: cancelled"),
            Self::UnderWay => f.write_str("cancelled while the engine was at it: it may have gone"),
            Self::HasChildren(words) | Self::Said(words) => f.write_str(words),
        }
    }
}

impl From<String> for Why {
    fn from(words: String) -> Self {
        Self::Said(words)
    }
}

impl From<&str> for Why {
    fn from(words: &str) -> Self {
        Self::Said(words.to_owned())
    }
}

impl Serialize for Why {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The final line of a transfer, in the shape the command line prints.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Transfer {
    /// Manifest digest where the peer speaks of manifests, else the image ID; `None` when several images moved.
    pub digest: Option<Digest>,
    pub bytes_transferred: u64,
    pub bytes_skipped: u64,
}

/// What an archive would bring, read before anything is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportPreview {
    pub file: PathBuf,
    /// Name and image ID of each tag in the archive, and the image that holds the name in the target now.
    pub tags: Vec<ImportTag>,
    /// Images without a tag.
    pub untagged: usize,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ImportTag {
    pub name: Name,
    pub id: Digest,
    pub holder: Option<Digest>,
}

impl ImportTag {
    /// The other image that the tag is taken from.
    #[must_use]
    pub fn taken_from(&self) -> Option<&Digest> {
        self.holder.as_ref().filter(|holder| **holder != self.id)
    }
}
