//! The documents an image is made of: manifests, indexes and configurations, read strictly, and the one way from them to the
//! [`Image`](crate::model::Image) that is shown. Used by every source that reads OCI or Docker documents itself (layouts, archives,
//! the store, registries). No IO here.
//!
//! Facts: the OCI image specification, and Docker's "image manifest version 2, schema 2". Bounds are those of the large peers
//! (4 MiB a document); a document that two readers could understand differently is refused, not guessed at.

mod collect;
mod config;
mod image;
mod json;
mod manifest;
pub mod media;

pub use collect::{Blobs, Collected, collect};
pub use config::{Config, Step, parse_config};
pub use image::{image_from, summary_from};
pub use json::{LARGEST, Malformed, parse_strict, parse_strict_of};
pub use manifest::{ImageManifest, Index, Manifest, descriptor_json, parse_index, parse_manifest};
