//! The store's blobs: files named by their digest, written whole or not at all, verified whenever they are read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::layer::Verified;
use crate::model::{Digest, Problem, ProblemKind};
use crate::source::content::Descriptor;
use crate::source::oci::LARGEST;
use crate::source::sink::AtomicFile;

/// Where the blobs are.
#[derive(Debug, Clone)]
pub(super) struct Blobs(PathBuf);

impl Blobs {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.join("blobs"))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// A digest is made of its algorithm and hex digits only, so this stays inside.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.algorithm()).join(digest.hex())
    }

    /// Whether a regular file of that size is there. Its bytes are checked when they are read.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        fs::symlink_metadata(self.path(&blob.digest)).is_ok_and(|found| found.is_file() && found.len() == blob.size)
    }

    /// Where a blob goes, in a folder that is there.
    pub(super) fn prepare(&self, digest: &Digest) -> Result<PathBuf, Problem> {
        let path = self.path(digest);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Problem::disk("write to the store", folder, &error))?;
        }
        Ok(path)
    }

    /// Starts a blob; [`AtomicFile::commit`] with `overwrite` gives it its name once it was verified.
    pub(super) fn create(&self, digest: &Digest) -> Result<AtomicFile, Problem> {
        AtomicFile::create(&self.prepare(digest)?, true)
    }

    /// Writes a small blob, unless it is there.
    pub(super) fn put(&self, bytes: &[u8], digest: &Digest) -> Result<(), Problem> {
        if fs::symlink_metadata(self.path(digest)).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64) {
            return Ok(());
        }
        let mut file = self.create(digest)?;
        let written = file.write_all(bytes);
        written.map_err(|error| file.problem(&error))?;
        file.commit(true)
    }

    /// Opens a blob for reading to its end: the bytes are right when the end is reached without an error.
    pub(super) fn open(&self, blob: &Descriptor) -> Result<Verified<File>, Problem> {
        let file = self.file(&blob.digest)?;
        Ok(Verified::new(file, blob.digest.clone(), blob.size))
    }

    /// Opens a blob's bytes as they lie.
    pub(super) fn stored(&self, blob: &Descriptor) -> Result<File, Problem> {
        self.file(&blob.digest)
    }

    /// Only regular files are opened: a link or a pipe in the store is somebody's trick.
    fn file(&self, digest: &Digest) -> Result<File, Problem> {
        let path = self.path(digest);
        let doing = format!("read {} of the store", digest.short());
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Problem::new(ProblemKind::NotFound, &doing, format!("the blob {digest} is missing")),
            _ => Problem::disk(&doing, &path, &error),
        })?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(file),
            _ => Err(Problem::new(ProblemKind::Corrupt, doing, format!("{} is not a regular file", path.display()))),
        }
    }

    /// A manifest or configuration, whole and verified.
    pub(super) fn document(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let doing = || format!("read {} of the store", digest.short());
        let file = self.file(digest)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| Problem::disk(doing(), &self.path(digest), &error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing(), "it is larger than 4 MiB"));
        }
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        let found = hasher.finish();
        if found != *digest {
            let problem = Problem::new(ProblemKind::Corrupt, doing(), format!("its bytes have the digest {found}"));
            return Err(problem.hint("remove the image and pull it again"));
        }
        Ok(bytes)
    }

    /// All blobs there are: digest, size, when written. Files with other names are none of ours.
    pub(super) fn all(&self) -> Vec<(Digest, fs::Metadata)> {
        let algorithms = ["sha256", "sha512"];
        let files = algorithms.iter().filter_map(|algorithm| Some((*algorithm, fs::read_dir(self.0.join(algorithm)).ok()?)));
        let named = files.flat_map(|(algorithm, files)| {
            files.filter_map(Result::ok).filter_map(move |file| {
                let digest = format!("{algorithm}:{}", file.file_name().to_str()?).parse().ok()?;
                Some((digest, file.metadata().ok()?))
            })
        });
        named.collect()
    }
}
