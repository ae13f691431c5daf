//! Reads images to their end: every manifest, configuration and layer against its digest, every unpacked layer against its diff ID.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};

use super::tarout::{CopyError, copy};
use crate::layer::{Compression, Decompress, Digests};
use crate::model::{Digest, Hasher, Problem, ProblemKind, Safe, StepState};
use crate::source::Ctx;
use crate::source::content::{Content, Descriptor, Packed, read_document, read_problem};
use crate::source::oci::{self, Config};
use crate::source::opened::Metered;

/// What reading everything found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Bytes of all blobs as stored, each once.
    pub bytes: u64,
    /// By diff ID.
    pub layers: HashMap<Digest, Digests>,
}

/// Checks every image of a collection, and that none is missing.
///
/// # Errors
/// The first thing that is missing or not what its digest says, named. `doing` should name the collection.
pub fn check(content: &dyn Content, ctx: &Ctx, doing: &str) -> Result<Checked, Problem> {
    if let Some(gap) = content.gaps().first() {
        return Err(gap.clone());
    }
    check_images(content, content.images(), ctx, doing)
}

/// Checks some images of a collection.
///
/// # Errors
/// As [`check`].
pub fn check_images(content: &dyn Content, images: &[Packed], ctx: &Ctx, doing: &str) -> Result<Checked, Problem> {
    ctx.meter.phase("checking");
    let mut checked = Checked::default();
    let mut seen = HashSet::new();
    for image in images {
        let config = read_config(content, image, doing)?;
        for blob in image.root.iter().chain(&image.manifest).chain([&image.config]).chain(&image.layers) {
            if seen.insert(blob.digest.clone()) {
                checked.bytes = checked.bytes.saturating_add(blob.size);
            }
        }
        for document in image.root.iter().chain(&image.manifest) {
            read_document(content, document, doing)?;
        }
        for (layer, diff_id) in image.layers.iter().zip(&config.diff_ids) {
            // Two stored forms may unpack to one layer; each is read.
            let known = checked.layers.get(diff_id).is_some_and(|known| known.digest == layer.digest);
            if !known {
                let found = copy_layer(content, layer, diff_id, ctx, doing, &mut Discard)?;
                checked.layers.insert(diff_id.clone(), found);
            }
        }
    }
    Ok(checked)
}

/// An image's configuration, which must have a diff ID for each layer.
///
/// # Errors
/// As [`check`].
pub fn read_config(content: &dyn Content, image: &Packed, doing: &str) -> Result<Config, Problem> {
    let bytes = read_document(content, &image.config, doing)?;
    let of_config = || format!("{doing} (the configuration {})", image.config.digest);
    let config = oci::parse_config(&bytes).map_err(|error| error.problem(of_config()))?;
    match config.contradiction(image.layers.len()) {
        Some(cause) => Err(Problem::new(ProblemKind::Corrupt, of_config(), cause)),
        None => Ok(config),
    }
}

/// What a failed write to the other side is called.
pub(super) trait Sink: Write {
    fn failed(&self, error: io::Error) -> Problem;
}

/// Takes anything and keeps nothing.
#[derive(Debug)]
pub(super) struct Discard;

impl Write for Discard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Discard {
    fn failed(&self, error: io::Error) -> Problem {
        Problem::new(ProblemKind::Other, "read a layer", error.to_string())
    }
}

impl Sink for crate::source::sink::AtomicFile {
    fn failed(&self, error: io::Error) -> Problem {
        self.problem(&error)
    }
}

/// Unpacks a layer into `out` and checks both its digests. `out` has got everything when the diff ID turns out wrong: then the whole
/// is to be thrown away.
pub(super) fn copy_layer(
    content: &dyn Content,
    layer: &Descriptor,
    diff_id: &Digest,
    ctx: &Ctx,
    doing: &str,
    out: &mut dyn Sink,
) -> Result<Digests, Problem> {
    let bad = |error: io::Error| read_problem(doing, &layer.digest, &error);
    let step = step(ctx, layer);
    let stored = Metered { inner: content.open(layer)?, ctx, step };
    let mut tar = Decompress::new(stored).map_err(bad)?;
    let compression = tar.compression();
    // The stored bytes are hashed by the content's reader; a plain tar needs no second time.
    let plain = compression == Compression::None && layer.digest.algorithm() == diff_id.algorithm();
    let mut hasher = (!plain).then(|| diff_id.hasher());
    let mut from = Hashed { inner: &mut tar, hasher: hasher.as_mut() };
    let copied = copy(&mut from, out, &mut |_| !ctx.cancel.is_cancelled());
    let uncompressed_size = copied.map_err(|error| copy_problem(error, doing, &layer.digest, out))?;
    ctx.meter.finish(step, StepState::Done);
    let actual = hasher.map_or_else(|| layer.digest.clone(), Hasher::finish);
    if actual != *diff_id {
        return Err(wrong_diff_id(layer, diff_id, &actual, doing));
    }
    Ok(Digests { compression, digest: layer.digest.clone(), size: layer.size, diff_id: actual, uncompressed_size })
}

/// Copies a layer to `out` as it is stored and, in the same pass, checks what it unpacks to. `out` has got everything when the diff ID
/// turns out wrong. Bytes that are their own diff ID are not compressed, and need no second look.
pub(super) fn copy_stored(
    content: &dyn Content,
    layer: &Descriptor,
    diff_id: Option<&Digest>,
    ctx: &Ctx,
    doing: &str,
    out: &mut dyn Sink,
) -> Result<(), Problem> {
    let step = step(ctx, layer);
    let mut from = Metered { inner: content.open(layer)?, ctx, step };
    match diff_id.filter(|diff_id| **diff_id != layer.digest) {
        None => {
            let copied = copy(&mut from, out, &mut |_| !ctx.cancel.is_cancelled());
            copied.map_err(|error| copy_problem(error, doing, &layer.digest, out))?;
        }
        Some(diff_id) => {
            let mut failed = None;
            let unpacked = unpack_through(Tee { inner: from, out, failed: &mut failed }, diff_id.hasher(), ctx);
            if let Some(error) = failed {
                return Err(out.failed(error));
            }
            let actual = unpacked.map_err(|error| copy_problem(error, doing, &layer.digest, out))?;
            if actual != *diff_id {
                return Err(wrong_diff_id(layer, diff_id, &actual, doing));
            }
        }
    }
    ctx.meter.finish(step, StepState::Done);
    Ok(())
}

/// Reads `stored` to its end and gives the digest of what it unpacks to.
fn unpack_through(stored: impl Read, hasher: Hasher, ctx: &Ctx) -> Result<Digest, CopyError> {
    let mut hasher = hasher;
    let mut tar = Decompress::new(stored).map_err(CopyError::Read)?;
    let mut from = Hashed { inner: &mut tar, hasher: Some(&mut hasher) };
    copy(&mut from, &mut Discard, &mut |_| !ctx.cancel.is_cancelled())?;
    // A decoder may leave the very end unread.
    copy(&mut tar.into_inner(), &mut Discard, &mut |_| !ctx.cancel.is_cancelled())?;
    Ok(hasher.finish())
}

/// Writes on what is read through it.
struct Tee<'a, R> {
    inner: R,
    out: &'a mut dyn Sink,
    /// Why a write failed: what reads may call it something else.
    failed: &'a mut Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.out.write_all(buffer.get(..read).unwrap_or_default()).map_err(|error| {
            *self.failed = Some(error);
            io::Error::other("what was read can't be written")
        })?;
        Ok(read)
    }
}

fn wrong_diff_id(layer: &Descriptor, expected: &Digest, actual: &Digest, doing: &str) -> Problem {
    let cause = format!("the layer {} should unpack to {expected}, but unpacks to {actual}", layer.digest);
    Problem::new(ProblemKind::Corrupt, doing, cause)
}

fn copy_problem(error: CopyError, doing: &str, blob: &Digest, out: &dyn Sink) -> Problem {
    match error {
        CopyError::Read(error) => read_problem(doing, blob, &error),
        CopyError::Write(error) => out.failed(error),
        CopyError::Stopped => Problem::cancelled(doing),
    }
}

/// The meter's step for a layer.
fn step(ctx: &Ctx, layer: &Descriptor) -> usize {
    let step = ctx.meter.step_named(&Safe::new(layer.digest.short()));
    ctx.meter.edit(step, |step| {
        step.state = StepState::Running;
        step.done = 0;
        step.total = Some(layer.size);
    });
    step
}

struct Hashed<'a, R> {
    inner: R,
    hasher: Option<&'a mut Hasher>,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}
