//! Writing images into archives, and checking what was written. Everything is hashed on its way through, the finished file's headers
//! are walked to the end marker, and only then does it get its name.

mod check;
mod docker;
mod oci;
mod save;
mod saved;
mod tarout;

use std::io::Seek;

use super::content::{Content, Packed};
use super::sink::AtomicFile;
use super::{Ctx, ExportTo};
use crate::layer::Walker;
use crate::model::{ArchiveFormat, Problem, ProblemKind, Transfer};

pub use check::{Checked, check, check_images, read_config};
pub use docker::docker_stream;
pub use save::from_save;
pub(super) use save::{Incoming, fed};
pub(super) use saved::{MOST_DOCUMENTS, Part, part};

/// Writes `images` of `content` into one archive. Blocking.
///
/// # Errors
/// What can't be read or is not what its digest says, the disk, or the caller's wish to stop. The target is then as it was.
pub fn write(content: &dyn Content, images: &[Packed], to: &ExportTo, ctx: &Ctx) -> Result<Transfer, Problem> {
    let doing = format!("export to {}", to.file.display());
    if images.is_empty() {
        return Err(Problem::new(ProblemKind::NotFound, doing, "there is no image to export"));
    }
    let mut out = AtomicFile::create(&to.file, to.overwrite)?;
    ctx.meter.phase("writing");
    match to.format {
        ArchiveFormat::Docker => docker::write(content, images, &mut out, ctx, &doing)?,
        ArchiveFormat::Oci => oci::write(content, images, &mut out, ctx, &doing)?,
    }
    let digest = match images {
        [one] => Some(one.manifest.as_ref().map_or_else(|| one.config.digest.clone(), |manifest| manifest.digest.clone())),
        _ => None,
    };
    let bytes_transferred = publish(out, to, ctx, &doing)?;
    Ok(Transfer { digest, bytes_transferred, bytes_skipped: 0 })
}

/// Walks the finished archive's headers, brings it to the disk and gives it its name; answers its size.
fn publish(mut out: AtomicFile, to: &ExportTo, ctx: &Ctx, doing: &str) -> Result<u64, Problem> {
    ctx.check(doing)?;
    let length = out.stream_position().map_err(|error| out.problem(&error))?;
    let walker = Walker::seeking(&mut out).map_err(|error| Problem::disk(doing, &to.file, &error))?;
    walker.finish().map_err(|error| error.problem(doing))?;
    ctx.meter.phase("bringing it to the disk");
    out.commit(to.overwrite)?;
    Ok(length)
}
