//! Plain data of the field, without IO, async or a terminal: what an image is, how it is named, what can go wrong.
//!
//! Foreign text is kept as [`Foreign`] (raw, for JSON and requests) and becomes [`Safe`] before anybody sees it.

pub mod change;
pub mod comparison;
pub mod digest;
pub mod dockerfile;
pub mod family;
pub mod filter;
pub mod finding;
pub mod finding_filter;
pub mod findings;
pub mod history;
pub mod image;
pub mod locator;
pub mod name;
pub mod package;
pub mod plan;
pub mod platform;
pub mod problem;
pub mod progress;
pub mod remote;
pub mod report;
pub mod safe;
pub mod secret;
pub mod sightings;
pub mod signature;
pub mod size;
pub mod source_info;
pub mod space;
pub mod stack;
pub mod time;
pub mod uses;
pub mod version;
pub mod vex;

pub use change::{ArchiveFormat, Change, Copy, CopyFrom, ImportPreview, ImportTag, Kept, Removal, Removed, Transfer, Why};
pub use digest::{Digest, DigestError, Hasher};
pub use family::Family;
pub use finding::{Finding, FindingKind, Severity};
pub use findings::Scan;
pub use history::HistoryEntry;
pub use image::{BaseSaid, ContainerUse, Image, ImageConfig, ImageKey, ImageList, ImageSummary, LayerInfo, Layers};
pub use locator::{Locator, Transport};
pub use name::Name;
pub use package::{Inventory, Package, PackageChange, PackageKind, PackagePlace, Packages};
pub use plan::{Freed, LineState, LoggedLine, LoggedRun, Operation, Plan, PlanKind, RunEnd, Target, UndoClass, Verb};
pub use platform::Platform;
pub use problem::{Problem, ProblemKind};
pub use progress::{Progress, Step, StepState};
pub use remote::{
    Completeness, Drift, Labels, Listed, LocalTag, LoggedIn, LoggedOut, Login, Quota, Referrer, Referrers, RemoteChild, RemoteKind,
    RepoRow, RepositoryView, TagDetails, TagRow,
};
pub use report::{Report, Summary};
pub use safe::{Foreign, Safe};
pub use secret::Secret;
pub use sightings::Sightings;
pub use signature::{Signature, SignatureKind, SignatureState, Verified};
pub use source_info::{Powers, SourceId, SourceInfo, SourceKind, SourceStatus};
pub use space::{ImageSpace, RepositorySpace, Space};
pub use stack::{Found, Stack};
pub use uses::Uses;
pub use vex::{Vex, VexStatement};

/// A parsed image reference: registry, repository and tag or digest, in their canonical spelling.
pub use oci_distribution::Reference;
