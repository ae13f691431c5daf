//! The content of one file in a layer: its beginning for the eye, or all of it into a file of its own. Either is held against what the layer's index
//! has of it, so that nothing else is ever taken for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::run::Env;
use crate::flow::{JobOutput, Shared};
use crate::layer::tree::{Lies, Place};
use crate::layer::{ContentHasher, Peek};
use crate::model::{Image, Problem, ProblemKind, SourceId, Transfer};
use crate::source::sink::AtomicFile;
use crate::source::{Ctx, Part, Sink, Source, blocking, copy_part, peek};

/// Bytes that are shown.
const SHOWN: u64 = 1 << 20;
/// Bytes of a file that is read whole to be checked, though only its beginning is shown.
const CHECKED: u64 = 32 << 20;

/// Reads the beginning of a file, laid out for that many columns.
///
/// # Errors
/// What the source said, and bytes that are not those that were indexed.
pub(super) async fn peek(
    env: &Env,
    source: &SourceId,
    image: &Arc<Image>,
    lies: Lies,
    columns: u16,
    ctx: &Ctx,
) -> Result<JobOutput, Problem> {
    let source = env.table.get(source).await?;
    let whole = lies.length <= CHECKED;
    let length = if whole { lies.length } else { SHOWN };
    let head = copy(&*source, ctx, image, &lies, length, || Ok(Head::default())).await?;
    if whole && is_other(&head.hasher, &lies) {
        return Err(other(&format!("read a file in layer {}", lies.layer)));
    }
    let made = blocking("lay the file out", move || Ok(Peek::new(head.bytes, lies.length, whole, columns))).await?;
    Ok(JobOutput::Peeked(Shared::new(made)))
}

/// Hands the first `length` bytes of a file to a sink.
async fn copy<S: Sink>(
    source: &dyn Source,
    ctx: &Ctx,
    image: &Image,
    lies: &Lies,
    length: u64,
    make: impl Fn() -> Result<S, Problem> + Send + Sync + 'static,
) -> Result<S, Problem> {
    match &lies.at {
        Place::Tar { offset, .. } => copy_part(source, ctx, image, lies.layer, Part { offset: *offset, length }, make).await,
        Place::Pieces { packing, pieces } => {
            let pieces = peek::Alone { place: lies.layer, packing: *packing, pieces, length };
            peek::copy_pieces(source, ctx, image, pieces, make).await
        }
    }
}

/// Whether the bytes that a hasher got, all of the file's, are not those that were indexed. Pieces were held against their digests.
fn is_other(hasher: &ContentHasher, lies: &Lies) -> bool {
    matches!(lies.at, Place::Tar { content, .. } if content != hasher.finish())
}

fn other(doing: &str) -> Problem {
    Problem::new(ProblemKind::Corrupt, doing, "it is not what it was when the layer was indexed").hint("read the layers again")
}

/// The first bytes, and the fingerprint of all that came.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    hasher: ContentHasher,
}

impl Sink for Head {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.hasher.update(bytes);
        let room = usize::try_from(SHOWN).unwrap_or(usize::MAX).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        Ok(())
    }
}

/// For the deck: [`save`] from a source of the table.
pub(super) async fn save_from(
    env: &Env,
    source: &SourceId,
    image: &Arc<Image>,
    lies: Lies,
    file: PathBuf,
    ctx: &Ctx,
) -> Result<JobOutput, Problem> {
    save(&*env.table.get(source).await?, image, &lies, &file, ctx).await?;
    Ok(JobOutput::Exported { file, transfer: Transfer { bytes_transferred: lies.length, ..Transfer::default() } })
}

/// Writes a file of a layer into a new one: private, whole or not at all, and never over anything that is there.
///
/// # Errors
/// What the source and the file system said, a target that is there, and bytes that are not those that were indexed.
pub async fn save(source: &dyn Source, image: &Image, lies: &Lies, to: &Path, ctx: &Ctx) -> Result<(), Problem> {
    // Before anything is read, so that nobody waits for a refusal.
    let (target, first) = (to.to_owned(), to.to_owned());
    blocking("look at the file", move || start(&first).map(drop)).await?;
    let make = move || Ok(Writing { file: start(&target)?, hasher: ContentHasher::new() });
    let written = copy(source, ctx, image, lies, lies.length, make).await?;
    let doing = format!("write {}", to.display());
    if is_other(&written.hasher, lies) {
        return Err(other(&doing));
    }
    // A cancelled job is not waited for: the last look at its mark is right before the file gets its name.
    let ctx = ctx.clone();
    blocking(&doing.clone(), move || {
        let mut file = written.file;
        file.sync()?;
        ctx.check(&doing)?;
        file.commit(false).map_err(plainly)
    })
    .await
}

fn start(target: &Path) -> Result<AtomicFile, Problem> {
    AtomicFile::create(target, false).map_err(plainly)
}

/// Nothing is ever replaced here, so that is not offered.
fn plainly(problem: Problem) -> Problem {
    if problem.kind == ProblemKind::Conflict { problem.hint("choose another name: nothing is replaced") } else { problem }
}

struct Writing {
    file: AtomicFile,
    hasher: ContentHasher,
}

impl Sink for Writing {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        use std::io::Write as _;
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| self.file.problem(&error))
    }
}
