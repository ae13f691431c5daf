//! Software that is installed in an image: packages by kind, name and version, where they were found, and what differs between two images.
//!
//! Plain data. Kinds are named as package URLs name their types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::safe::{Foreign, Safe};

/// Who keeps a package: the system, or a language's own tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    Apk,
    /// A crate that went into a Rust program.
    Cargo,
    /// One that dpkg installed.
    Deb,
    /// A module that went into a Go program.
    Golang,
    Npm,
    Pypi,
    Rpm,
}

impl PackageKind {
    /// The type in a package URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Deb => "deb",
            Self::Golang => "golang",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Rpm => "rpm",
        }
    }
}

/// One version of a package. The order is by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    #[serde(rename = "type")]
    pub kind: PackageKind,
    pub name: Foreign,
    pub version: Foreign,
    /// As the kind writes it; empty where it has none.
    pub architecture: Foreign,
}

/// What is told of a package besides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Installed {
    /// The package that it was built from, where that is told and has another name or version.
    pub source: Option<SourcePackage>,
    /// The files that list it, each once.
    pub places: Vec<PackagePlace>,
}

/// What a distribution builds packages from: advisories are about these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePackage {
    pub name: Foreign,
    pub version: Foreign,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PackagePlace {
    /// From the bottom.
    pub layer: usize,
    /// Without a slash before it.
    pub path: Foreign,
}

pub type Packages = BTreeMap<Package, Installed>;

/// Which system an image is of, as `os-release` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// Such as "debian".
    pub id: Foreign,
    /// What it is made from, the nearest first: "rhel", "fedora".
    pub like: Vec<Foreign>,
    /// Such as "12"; empty where it has none.
    pub version: Foreign,
    /// As people know it.
    pub name: Foreign,
}

/// The packages of an image, and what could not be looked at for them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Inventory {
    pub packages: Packages,
    /// `None` where no file says.
    pub distribution: Option<Distribution>,
    /// Files that were read and list packages, or could.
    pub lists: usize,
    /// Files that were left out, with the reason; the first ones.
    pub skipped: Vec<SkippedList>,
    /// How many there were of them.
    pub skipped_count: usize,
}

/// A file that may list packages, and was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedList {
    pub place: PackagePlace,
    pub why: Safe,
}

impl Serialize for SkippedList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("SkippedList", 3)?;
        fields.serialize_field("layer", &self.place.layer)?;
        fields.serialize_field("path", &self.place.path)?;
        fields.serialize_field("why", self.why.as_str())?;
        fields.end()
    }
}

/// A package that two images don't have alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    pub name: Foreign,
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// Its version; `None` where it is not installed.
    pub before: Option<Foreign>,
    pub after: Option<Foreign>,
}
