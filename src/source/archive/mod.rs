//! Image archives: docker-archives (of engines before and after 25, Podman, BuildKit and other builders) and oci-archives, plain or
//! packed with gzip or zstd. Read only: the archive's headers are walked once, and its files are then read where they lie.
//!
//! Where a `manifest.json` and an `index.json` stand side by side, the index is believed (it has the digests) and must have every image
//! that the other lists; the names are the `manifest.json`'s.

mod docker;
mod spool;
mod table;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::collection::Collection;
use super::content::{Content, Descriptor, Packed};
use super::layout::{Layout, blob_path, check_version, refuse_if_only_gaps, wrong_size};
use super::oci::{self, Collected, LARGEST};
use crate::layer::{Compression, Hashing, Walker};
use crate::model::{Digest, Hasher, Problem, ProblemKind, Safe};

pub(super) use docker::{DockerImage, Files, LayerFile, images as docker_images};
pub(super) use table::{Table, entry_path};

/// Opens an archive, or a layout when `path` is a directory.
///
/// # Errors
/// What can't be read or understood, with the part of it named.
pub fn open(path: &Path) -> Result<Box<dyn Content>, Problem> {
    open_until(path, &CancellationToken::new())
}

/// The same, stopping when `cancel` is set: a packed archive has to be unpacked first, to an unnamed temporary file.
///
/// # Errors
/// As [`open`].
pub fn open_until(path: &Path, cancel: &CancellationToken) -> Result<Box<dyn Content>, Problem> {
    if path.is_dir() {
        return Ok(Box::new(Layout::open(path)?));
    }
    Ok(Box::new(Archive::open(path, cancel)?))
}

/// A stretch of the archive's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    offset: u64,
    size: u64,
}

/// An opened archive.
#[derive(Debug)]
pub struct Archive {
    file: File,
    doing: String,
    table: Table<Region>,
    /// What `manifest.json` lists, by digest; the rest is found by its path.
    blobs: HashMap<Digest, Region>,
    found: Collected,
}

impl Archive {
    /// Walks the archive's headers and reads its documents; layers are not read.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(path: &Path, cancel: &CancellationToken) -> Result<Self, Problem> {
        let doing = format!("read the archive {}", path.display());
        let file = spool::plain_file(path, &doing, cancel)?;
        let table = walk(&file, &doing)?;
        let mut archive = Self { file, doing, table, blobs: HashMap::new(), found: Collected::default() };
        archive.find()?;
        refuse_if_only_gaps(&archive.found)?;
        if archive.found.images.is_empty() {
            return Err(Problem::new(ProblemKind::NotFound, &archive.doing, "there is no image in it"));
        }
        Ok(archive)
    }

    fn find(&mut self) -> Result<(), Problem> {
        let (docker, index) = (self.table.get("manifest.json").is_some(), self.table.get("index.json").is_some());
        if !docker && !index {
            let problem = Problem::new(ProblemKind::Corrupt, &self.doing, "it has neither a manifest.json nor an index.json");
            return Err(problem.hint("an image archive comes from docker save, podman save, skopeo copy or lighterman export"));
        }
        if index {
            if self.table.get("oci-layout").is_some() {
                check_version(&Files::document(self, "oci-layout")?, &self.doing)?;
            }
            let bytes = Files::document(self, "index.json")?;
            let index = oci::parse_index(&bytes).map_err(|error| error.problem(format!("{} (index.json)", self.doing)))?;
            self.found = oci::collect(&index, &self.doing, self)?;
        }
        if docker {
            let listed = docker_images(&Files::document(self, "manifest.json")?, self, &self.doing)?;
            for image in &listed {
                self.know(image);
            }
            merge(&mut self.found, listed.into_iter().map(|image| image.packed), &self.doing)?;
        }
        Ok(())
    }

    /// Remembers where the parts of an image are.
    fn know(&mut self, image: &DockerImage) {
        let parts = image.packed.layers.iter().zip(&image.layer_paths);
        for (blob, path) in parts.chain(std::iter::once((&image.packed.config, &image.config_path))) {
            if let Some(region) = self.table.get(path) {
                self.blobs.entry(blob.digest.clone()).or_insert(*region);
            }
        }
    }

    fn region(&self, path: &str) -> Result<Region, Problem> {
        let missing = || Problem::new(ProblemKind::NotFound, &self.doing, format!("{} is not in it", Safe::new(path)));
        self.table.get(path).copied().ok_or_else(missing)
    }

    const fn stretch(&self, region: Region) -> Stretch<'_> {
        Stretch { file: &self.file, at: region.offset, left: region.size }
    }
}

fn walk(file: &File, doing: &str) -> Result<Table<Region>, Problem> {
    let mut table = Table::default();
    let mut walker = Walker::seeking(file).map_err(|error| Problem::disk(doing, Path::new("the archive"), &error))?;
    while let Some(entry) = walker.next_entry().map_err(|error| error.problem(doing))? {
        table.add(&entry, || Region { offset: entry.data_offset, size: entry.size }, doing)?;
    }
    walker.finish().map_err(|error| error.problem(doing))?;
    Ok(table)
}

/// Joins what a `manifest.json` lists to what an index gave.
///
/// # Errors
/// An index that gave images, but not all that are listed.
pub(super) fn merge(found: &mut Collected, listed: impl IntoIterator<Item = Packed>, doing: &str) -> Result<(), Problem> {
    let alone = found.images.is_empty() && found.gaps.is_empty();
    for image in listed {
        if alone {
            // The same image may be listed once for each of its names.
            match found.images.iter_mut().find(|known| known.config.digest == image.config.digest && known.layers == image.layers) {
                Some(known) => known.names.extend(image.names),
                None => found.images.push(image),
            }
            continue;
        }
        let mut known = found.images.iter_mut().filter(|known| known.config.digest == image.config.digest).peekable();
        if known.peek().is_none() && found.gaps.is_empty() {
            let cause = format!("its manifest.json lists the image {}, but its index.json doesn't lead to it", image.config.digest);
            return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
        }
        if let Some(known) = known.next().filter(|_| !image.names.is_empty()) {
            known.names = image.names;
        }
    }
    Ok(())
}

impl Files for Archive {
    fn document(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let region = self.region(path)?;
        if region.size > LARGEST {
            let cause = format!("{} has {} bytes; at most {LARGEST} are read of a document", Safe::new(path), region.size);
            return Err(Problem::new(ProblemKind::Limit, &self.doing, cause));
        }
        let mut bytes = Vec::new();
        self.stretch(region).read_to_end(&mut bytes).map_err(|error| Problem::disk(&self.doing, Path::new(path), &error))?;
        Ok(bytes)
    }

    fn layer(&self, path: &str) -> Result<LayerFile, Problem> {
        let region = self.region(path)?;
        let failed = |error: io::Error| Problem::disk(&self.doing, Path::new(path), &error);
        let mut start = Vec::new();
        self.stretch(region).take(4).read_to_end(&mut start).map_err(failed)?;
        let compression = Compression::sniff(&start);
        let digest = if compression == Compression::None {
            None
        } else if let Some(digest) = blob_digest(path) {
            Some(digest)
        } else {
            let mut hashing = Hashing::new(self.stretch(region), Hasher::sha256());
            io::copy(&mut hashing, &mut io::sink()).map_err(failed)?;
            Some(hashing.finish().0)
        };
        Ok(LayerFile { size: region.size, compression, digest })
    }
}

/// The digest a path of a layout stands for.
pub(super) fn blob_digest(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

impl Collection for Archive {
    fn doing(&self) -> &str {
        &self.doing
    }

    fn found(&self) -> &Collected {
        &self.found
    }

    fn blob<'a>(&'a self, blob: &Descriptor) -> Result<impl Read + Send + 'a, Problem> {
        let known = self.blobs.get(&blob.digest).or_else(|| self.table.get(&blob_path(&blob.digest))).copied();
        let missing = || Problem::new(ProblemKind::NotFound, &self.doing, format!("the blob {} is not in it", blob.digest));
        let region = known.ok_or_else(missing)?;
        if region.size != blob.size {
            return Err(wrong_size(&self.doing, blob, region.size));
        }
        Ok(self.stretch(region))
    }
}

/// Reads a stretch of a file without moving its position, so that several can be read at once.
#[derive(Debug)]
struct Stretch<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
