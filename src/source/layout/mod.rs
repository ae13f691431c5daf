//! An OCI image layout: a directory with `oci-layout`, `index.json` and `blobs/ALGORITHM/HEX`. Read only; nothing in it is trusted,
//! and links instead of blobs are not followed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use super::collection::Collection;
use super::content::Descriptor;
use super::oci::{self, Collected, LARGEST};
use crate::model::{Digest, Problem, ProblemKind};

/// An opened layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    doing: String,
    found: Collected,
}

impl Layout {
    /// Reads the index and every manifest of `folder`.
    ///
    /// # Errors
    /// No layout, or one that can't be understood; also when no image in it can be read.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let doing = format!("read the image layout {}", folder.display());
        let mut layout = Self { folder: folder.to_owned(), doing, found: Collected::default() };
        let marker = layout.file("oci-layout").map_err(|problem| problem.hint("oci: takes a directory with oci-layout and index.json"))?;
        check_version(&marker, &layout.doing)?;
        let index =
            oci::parse_index(&layout.file("index.json")?).map_err(|error| error.problem(format!("{} (index.json)", layout.doing)))?;
        layout.found = oci::collect(&index, &layout.doing, &layout)?;
        refuse_if_only_gaps(&layout.found)?;
        Ok(layout)
    }

    /// The layout's directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let (file, size) = self.regular(&self.folder.join(name), name)?;
        if size > LARGEST {
            let cause = format!("{name} has {size} bytes; at most {LARGEST} are read");
            return Err(Problem::new(ProblemKind::Limit, &self.doing, cause));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map_err(|error| Problem::disk(&self.doing, &self.folder.join(name), &error))?;
        Ok(bytes)
    }

    fn regular(&self, path: &Path, what: &str) -> Result<(File, u64), Problem> {
        // Not blocking, since a named pipe in the place of a blob would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let odd = || Problem::new(ProblemKind::Corrupt, &self.doing, format!("{what} is not a regular file"));
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP) => return Err(odd()),
            Err(rustix::io::Errno::NOENT) => {
                return Err(Problem::new(ProblemKind::NotFound, &self.doing, format!("{what} is not there")));
            }
            Err(error) => return Err(Problem::disk(&self.doing, path, &error.into())),
        };
        let metadata = file.metadata().map_err(|error| Problem::disk(&self.doing, path, &error))?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(odd()) }
    }
}

impl Collection for Layout {
    fn doing(&self) -> &str {
        &self.doing
    }

    fn found(&self) -> &Collected {
        &self.found
    }

    fn blob<'a>(&'a self, blob: &Descriptor) -> Result<impl Read + Send + 'a, Problem> {
        let (file, size) = self.regular(&self.folder.join(blob_path(&blob.digest)), &format!("the blob {}", blob.digest))?;
        if size != blob.size {
            return Err(wrong_size(&self.doing, blob, size));
        }
        Ok(file)
    }
}

/// Where a layout keeps a blob, from its top.
#[must_use]
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Checks the `oci-layout` file.
///
/// # Errors
/// Another version than 1.
pub(super) fn check_version(bytes: &[u8], doing: &str) -> Result<(), Problem> {
    let document = oci::parse_strict(bytes).map_err(|error| error.problem(format!("{doing} (oci-layout)")))?;
    match document.get("imageLayoutVersion").and_then(Value::as_str) {
        Some(version) if version.starts_with("1.") => Ok(()),
        Some(version) => Err(Problem::new(ProblemKind::Unsupported, doing, format!("it is a layout of version {version}; 1 is known"))),
        None => Err(Problem::new(ProblemKind::Corrupt, doing, "its oci-layout file names no version")),
    }
}

pub(super) fn refuse_if_only_gaps(found: &Collected) -> Result<(), Problem> {
    match found.gaps.first() {
        Some(gap) if found.images.is_empty() => Err(gap.clone()),
        _ => Ok(()),
    }
}

pub(super) fn wrong_size(doing: &str, blob: &Descriptor, size: u64) -> Problem {
    Problem::new(ProblemKind::Corrupt, doing, format!("the blob {} should have {} bytes, but has {size}", blob.digest, blob.size))
}
