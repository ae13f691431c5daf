//! A save as it is read: every file hashed once on its way, documents kept, layers passed on. At its end everything that is named must
//! have been there.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};

use super::oci::{Named, describe, finish, make_manifest, start};
use super::save::Incoming;
use super::{publish, tarout};
use crate::layer::{Compression, Digests, Entry, Kind, LayerReader, Walker};
use crate::model::{ArchiveFormat, Digest, ImageKey, Problem, ProblemKind, Safe, Transfer};
use crate::source::archive::{DockerImage, Files, LayerFile, Table, docker_images, entry_path, merge};
use crate::source::content::{Descriptor, Packed};
use crate::source::layout::{blob_path, check_version, refuse_if_only_gaps};
use crate::source::oci::{self as documents, Blobs, Collected, LARGEST, parse_config};
use crate::source::sink::AtomicFile;
use crate::source::{Ctx, ExportTo};

/// Bytes of all documents together.
pub(in crate::source) const MOST_DOCUMENTS: u64 = 512 << 20;

/// Reads the save to its end and writes the archive.
pub(super) fn export(mut incoming: Incoming, wanted: &[ImageKey], to: &ExportTo, ctx: &Ctx) -> Result<Transfer, Problem> {
    let doing = format!("export to {}", to.file.display());
    let mut saved = Saved { table: Table::default(), doing: doing.clone(), kept: 0, blobs: HashSet::new(), out: None };
    let out = AtomicFile::create(&to.file, to.overwrite)?;
    match to.format {
        ArchiveFormat::Docker => incoming.tee = Some(out),
        ArchiveFormat::Oci => {
            let out = saved.out.insert(out);
            start(out).map_err(|error| out.problem(&error))?;
        }
    }
    ctx.meter.phase("writing");
    if let Err(problem) = saved.walk(&mut incoming, ctx) {
        return Err(incoming.explain(problem));
    }
    let found = saved.resolve(to.format)?;
    refuse_missing(&found, wanted, &doing)?;
    let named = match saved.out.take() {
        Some(mut out) => {
            let named = saved.documents(&found, &mut out)?;
            finish(&mut out, &named).map_err(|error| out.problem(&error))?;
            incoming.tee = Some(out);
            named
        }
        None => Vec::new(),
    };
    let out = incoming.tee.take().ok_or_else(|| Problem::new(ProblemKind::Other, &doing, "its file is gone"))?;
    let digest = match (found.images.as_slice(), named.as_slice()) {
        ([_], [named]) => Some(named.at.digest.clone()),
        ([image], _) => Some(image.manifest.as_ref().map_or_else(|| image.config.digest.clone(), |at| at.digest.clone())),
        _ => None,
    };
    Ok(Transfer { digest, bytes_transferred: publish(out, to, ctx, &doing)?, bytes_skipped: 0 })
}

/// What a file of a save may be.
pub(in crate::source) enum Part {
    /// Read whole.
    Document(Vec<u8>),
    /// Perhaps a layer, read whole.
    Small(Vec<u8>),
    /// Perhaps a layer, not read yet.
    Layer,
    /// Something that no image needs, not read.
    Other,
}

/// Tells the files of a save apart, by name, and those that are named by their digest by how they begin.
pub(in crate::source) fn part(path: &str, size: u64, data: &mut dyn Read) -> io::Result<Part> {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let is_blob = path.starts_with("blobs/");
    if size <= LARGEST && (is_blob || extension == "json" || path == "oci-layout") {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        let is_document = !is_blob || matches!(bytes.first(), Some(b'{' | b'['));
        return Ok(if is_document { Part::Document(bytes) } else { Part::Small(bytes) });
    }
    Ok(if is_blob || matches!(extension, "tar" | "gz" | "tgz" | "zst") { Part::Layer } else { Part::Other })
}

/// A file of the save.
struct SavedFile {
    found: Digests,
    document: Option<Vec<u8>>,
}

struct Saved {
    table: Table<SavedFile>,
    doing: String,
    /// Bytes of documents kept.
    kept: u64,
    /// Stored digests of the blobs written so far.
    blobs: HashSet<Digest>,
    /// The oci-archive being written; a docker-archive is written by the reader.
    out: Option<AtomicFile>,
}

impl Saved {
    fn walk(&mut self, incoming: &mut Incoming, ctx: &Ctx) -> Result<(), Problem> {
        let mut walker = Walker::streaming(incoming);
        while let Some(entry) = walker.next_entry().map_err(|error| error.problem(&self.doing))? {
            ctx.check(&self.doing)?;
            if entry.kind == Kind::File {
                let file = self.take(&entry, &mut walker)?;
                self.table.add(&entry, || file, &self.doing)?;
            } else {
                let never = || SavedFile { found: digests(b""), document: None };
                self.table.add(&entry, never, &self.doing)?;
            }
        }
        walker.finish().map_err(|error| error.problem(&self.doing))
    }

    /// Reads one file; what may be a layer goes into the oci-archive at once.
    fn take(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<SavedFile, Problem> {
        let path = entry_path(entry, &self.doing)?;
        match part(&path, entry.size, data).map_err(|error| self.unreadable(&path, &error))? {
            Part::Document(bytes) => {
                self.kept += entry.size;
                if self.kept > MOST_DOCUMENTS {
                    return Err(Problem::new(ProblemKind::Limit, &self.doing, "its documents together are too large"));
                }
                Ok(SavedFile { found: digests(&bytes), document: Some(bytes) })
            }
            Part::Small(bytes) => self.layer(&path, &mut bytes.as_slice()),
            Part::Layer => self.layer(&path, data),
            Part::Other => {
                let found = read_layer(data, None).map_err(|error| self.unreadable(&path, &error))?;
                Ok(SavedFile { found, document: None })
            }
        }
    }

    fn layer(&mut self, path: &str, data: &mut dyn Read) -> Result<SavedFile, Problem> {
        let unreadable = |doing: &str, error: &io::Error| unreadable(doing, path, error);
        let Some(out) = &mut self.out else {
            let found = read_layer(data, None).map_err(|error| unreadable(&self.doing, &error))?;
            return Ok(SavedFile { found, document: None });
        };
        let open = tarout::open(out).map_err(|error| out.problem(&error))?;
        let mut failed = None;
        let found = read_layer(data, Some((out, &mut failed)));
        let found = found.map_err(|error| failed.unwrap_or_else(|| unreadable(&self.doing, &error)))?;
        let closed = if self.blobs.insert(found.digest.clone()) {
            tarout::close(out, open, &blob_path(&found.digest), found.size)
        } else {
            out.take_back(open.at)
        };
        closed.map_err(|error| out.problem(&error))?;
        Ok(SavedFile { found, document: None })
    }

    fn unreadable(&self, path: &str, error: &io::Error) -> Problem {
        unreadable(&self.doing, path, error)
    }

    fn corrupt(&self, cause: impl AsRef<str>) -> Problem {
        Problem::new(ProblemKind::Corrupt, &self.doing, cause)
    }

    /// The images of the save, each checked against what was read.
    fn resolve(&self, format: ArchiveFormat) -> Result<Collected, Problem> {
        let mut found = Collected::default();
        if self.table.get("index.json").is_some() {
            if self.table.get("oci-layout").is_some() {
                check_version(&Files::document(self, "oci-layout")?, &self.doing)?;
            }
            let index = documents::parse_index(&Files::document(self, "index.json")?);
            let index = index.map_err(|error| error.problem(format!("{} (index.json)", self.doing)))?;
            found = documents::collect(&index, &self.doing, self)?;
        }
        if self.table.get("manifest.json").is_some() {
            let listed = docker_images(&Files::document(self, "manifest.json")?, self, &self.doing)?;
            listed.iter().try_for_each(|image| self.check_listed(image))?;
            merge(&mut found, listed.into_iter().map(|image| image.packed), &self.doing)?;
        } else if format == ArchiveFormat::Docker || found.images.is_empty() {
            return Err(self.corrupt("what the engine sent has no manifest.json"));
        }
        refuse_if_only_gaps(&found)?;
        if let Some(gap) = found.gaps.first() {
            return Err(gap.clone());
        }
        let files: HashMap<&Digest, &SavedFile> = self.table.files().map(|(_, file)| (&file.found.digest, file)).collect();
        for image in &found.images {
            self.check_image(image, &files)?;
        }
        Ok(found)
    }

    fn check_listed(&self, image: &DockerImage) -> Result<(), Problem> {
        let config = self.config(&Files::document(self, &image.config_path)?, &image.packed)?;
        for (path, diff_id) in image.layer_paths.iter().zip(&config.diff_ids) {
            let actual = self.table.get(path).map(|file| &file.found.diff_id);
            if diff_id.algorithm() == "sha256" && actual != Some(diff_id) {
                let actual = actual.map_or_else(|| "missing".to_owned(), ToString::to_string);
                return Err(self.corrupt(format!("the layer {} should be {diff_id}, but is {actual}", Safe::new(path))));
            }
        }
        Ok(())
    }

    fn check_image(&self, image: &Packed, files: &HashMap<&Digest, &SavedFile>) -> Result<(), Problem> {
        let part = |digest: &Digest| files.get(digest).ok_or_else(|| self.corrupt(format!("the blob {digest} is not in it")));
        let bytes = part(&image.config.digest)?.document.as_deref();
        let bytes = bytes.ok_or_else(|| self.corrupt(format!("the configuration {} is no document", image.config.digest)))?;
        let config = self.config(bytes, image)?;
        for (layer, diff_id) in image.layers.iter().zip(&config.diff_ids) {
            let actual = &part(&layer.digest)?.found.diff_id;
            if actual != diff_id {
                return Err(self.corrupt(format!("the layer {} should unpack to {diff_id}, but unpacks to {actual}", layer.digest)));
            }
        }
        Ok(())
    }

    fn config(&self, bytes: &[u8], image: &Packed) -> Result<documents::Config, Problem> {
        let doing = || format!("{} (the configuration {})", self.doing, image.config.digest);
        let config = parse_config(bytes).map_err(|error| error.problem(doing()))?;
        match config.contradiction(image.layers.len()) {
            Some(cause) => Err(Problem::new(ProblemKind::Corrupt, doing(), cause)),
            None => Ok(config),
        }
    }

    /// Writes the documents after the layers, and says what the index is to name.
    fn documents(&self, found: &Collected, out: &mut AtomicFile) -> Result<Vec<Named>, Problem> {
        let mut written = self.blobs.clone();
        let mut put = |digest: &Digest, bytes: &[u8]| {
            if !written.insert(digest.clone()) {
                return Ok(());
            }
            tarout::file(out, &blob_path(digest), bytes).map_err(|error| out.problem(&error))
        };
        let mut kept: Vec<_> = self.table.files().filter(|(path, _)| path.starts_with("blobs/")).collect();
        kept.sort_unstable_by_key(|(path, _)| *path);
        for (_, file) in kept {
            if let Some(bytes) = &file.document {
                put(&file.found.digest, bytes)?;
            }
        }
        let files: HashMap<&Digest, &SavedFile> = self.table.files().map(|(_, file)| (&file.found.digest, file)).collect();
        let mut named: Vec<Named> = Vec::new();
        for image in &found.images {
            for blob in image.layers.iter().chain([&image.config]) {
                if let Some(bytes) = files.get(&blob.digest).and_then(|file| file.document.as_deref()) {
                    put(&blob.digest, bytes)?;
                }
            }
            let at = if let Some(root) = &image.root {
                root.clone()
            } else {
                let manifest = make_manifest(image);
                let at = describe(&manifest, image.config.platform.clone());
                put(&at.digest, &manifest)?;
                at
            };
            Named::join(&mut named, at, &image.names);
        }
        Ok(named)
    }
}

fn unreadable(doing: &str, path: &str, error: &io::Error) -> Problem {
    let path = Safe::new(path);
    let cause = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("what the engine sent ends in the middle of {path}"),
        _ => format!("{path} can't be read: {error}"),
    };
    Problem::new(ProblemKind::Corrupt, doing, cause)
}

fn digests(bytes: &[u8]) -> Digests {
    let (digest, size) = (Digest::sha256(bytes), bytes.len() as u64);
    Digests { compression: Compression::None, digest: digest.clone(), size, diff_id: digest, uncompressed_size: size }
}

/// Reads a file to its end for both its digests, and passes its stored bytes on.
fn read_layer(data: &mut dyn Read, out: Option<(&mut AtomicFile, &mut Option<Problem>)>) -> io::Result<Digests> {
    let any = Digest::sha256(b"");
    LayerReader::new(PassOn { data, out }, &any, &any)?.finish()
}

struct PassOn<'a> {
    data: &'a mut dyn Read,
    out: Option<(&'a mut AtomicFile, &'a mut Option<Problem>)>,
}

impl Read for PassOn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.data.read(buffer)?;
        if let Some((out, failed)) = &mut self.out
            && let Err(error) = out.write_all(buffer.get(..read).unwrap_or_default())
        {
            **failed = Some(out.problem(&error));
            return Err(error);
        }
        Ok(read)
    }
}

impl Files for Saved {
    fn document(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let file = self.table.get(path).ok_or_else(|| self.corrupt(format!("{} is not in it", Safe::new(path))))?;
        file.document.clone().ok_or_else(|| self.corrupt(format!("{} is no document, or larger than {LARGEST} bytes", Safe::new(path))))
    }

    fn layer(&self, path: &str) -> Result<LayerFile, Problem> {
        let file = self.table.get(path).ok_or_else(|| self.corrupt(format!("the layer {} is not in it", Safe::new(path))))?;
        let Digests { size, compression, digest, .. } = file.found.clone();
        Ok(LayerFile { size, compression, digest: Some(digest) })
    }
}

impl Blobs for Saved {
    fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Problem> {
        self.present(blob)?;
        Files::document(self, &blob_path(&blob.digest))
    }

    fn present(&self, blob: &Descriptor) -> Result<(), Problem> {
        let missing = || Problem::new(ProblemKind::NotFound, &self.doing, format!("the blob {} is not in it", blob.digest));
        let file = self.table.get(&blob_path(&blob.digest)).ok_or_else(missing)?;
        if file.found.digest != blob.digest || file.found.size != blob.size {
            return Err(self.corrupt(format!("the blob {} is really {}, {} bytes", blob.digest, file.found.digest, file.found.size)));
        }
        Ok(())
    }
}

/// Every image that was asked for must have come.
fn refuse_missing(found: &Collected, wanted: &[ImageKey], doing: &str) -> Result<(), Problem> {
    for key in wanted {
        let is_here = match key {
            ImageKey::Id(id) => found.images.iter().any(|image| {
                let points = [image.root.as_ref(), image.manifest.as_ref(), Some(&image.config)];
                points.into_iter().flatten().any(|at| at.digest == *id)
            }),
            // Saved by digest, an image comes without a name.
            ImageKey::Name(reference) if reference.digest().is_some() => !found.images.is_empty(),
            ImageKey::Name(reference) => {
                let mut names = found.images.iter().flat_map(|image| &image.names);
                names.any(|name| name.reference().is_ok_and(|name| name.whole() == reference.whole()))
            }
        };
        if !is_here {
            let cause = format!("the engine sent an archive without {}", Safe::new(&key.to_string()));
            return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
        }
    }
    Ok(())
}
