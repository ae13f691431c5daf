//! The build history of an image, oldest step first.

use jiff::Timestamp;
use serde::Serialize;

use super::digest::Digest;
use super::safe::Foreign;

/// One step. `size` is the bytes its layer takes where it is stored; a step without a layer has `empty_layer` and no digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    pub created: Option<Timestamp>,
    pub created_by: Option<Foreign>,
    pub comment: Option<Foreign>,
    pub empty_layer: bool,
    pub size: Option<u64>,
    pub layer_digest: Option<Digest>,
    pub diff_id: Option<Digest>,
}
