//! Taking away the blobs that nothing reaches. It runs under the write lock, after the index was written; what it leaves (because
//! a transfer may still want it, or because it was killed) goes the next time.

use std::collections::HashSet;
use std::time::SystemTime;

use super::blobs::Blobs;
use super::index::Index;
use crate::model::{Digest, Problem, ProblemKind};
use crate::source::oci::{self, Manifest};
use crate::source::sink;

/// Everything the index reaches.
///
/// # Errors
/// A document that is there but can't be understood: what it reaches is unknown, so nothing may go.
pub(super) fn reachable(blobs: &Blobs, index: &Index) -> Result<HashSet<Digest>, Problem> {
    let mut reached = HashSet::new();
    let mut open: Vec<Digest> = index.entries().map(|entry| entry.digest.clone()).collect();
    if index.gaps().next().is_some() {
        let cause = "index.json has entries that can't be understood, so it is unknown what they need";
        return Err(Problem::new(ProblemKind::Corrupt, "collect garbage in the store", cause));
    }
    while let Some(digest) = open.pop() {
        if !reached.insert(digest.clone()) {
            continue;
        }
        let bytes = match blobs.document(&digest) {
            Ok(bytes) => bytes,
            // A platform that was never pulled.
            Err(problem) if problem.kind == ProblemKind::NotFound => continue,
            Err(problem) => return Err(problem),
        };
        let doing = format!("read the manifest {}", digest.short());
        match oci::parse_manifest(&bytes, None).map_err(|malformed| malformed.problem(doing))? {
            Manifest::Index(index) => {
                open.extend(index.manifests.into_iter().map(|child| child.digest));
                open.extend(index.subject.map(|subject| subject.digest));
            }
            Manifest::Image(image) => {
                reached.insert(image.config.digest);
                reached.extend(image.layers.into_iter().map(|layer| layer.digest));
                open.extend(image.subject.map(|subject| subject.digest));
            }
        }
    }
    Ok(reached)
}

/// Removes what is not in `reached` and was written before `floor` (everything, without one). Gives the bytes freed.
pub(super) fn collect(blobs: &Blobs, reached: &HashSet<Digest>, floor: Option<SystemTime>) -> u64 {
    let mut freed = 0_u64;
    for (digest, metadata) in blobs.all() {
        let old = floor.is_none_or(|floor| metadata.modified().is_ok_and(|written| written < floor));
        if old && metadata.is_file() && !reached.contains(&digest) && std::fs::remove_file(blobs.path(&digest)).is_ok() {
            freed = freed.saturating_add(metadata.len());
        }
    }
    freed
}

/// Removes the partial files of dead processes.
pub(super) fn sweep(blobs: &Blobs, root: &std::path::Path) {
    for folder in [root.to_owned(), blobs.folder().join("sha256"), blobs.folder().join("sha512")] {
        sink::sweep(&folder);
    }
}
