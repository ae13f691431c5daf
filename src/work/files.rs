//! Layouts and archives that a user names, as sources of the table; and new files that are written whole or not at all.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::model::{Locator, Powers, Problem, ProblemKind, Safe, SourceId, SourceInfo, SourceKind, Transport};
use crate::source::files::FileSource;
use crate::source::{Answer, Source};

use super::table::Found;

/// The source a file locator names. Nothing is opened yet.
///
/// # Errors
/// A locator of another transport.
pub fn found(locator: &Locator, why: &str) -> Result<Found, Problem> {
    let (prefix, kind) = match locator.transport {
        Transport::Layout => ("oci", SourceKind::Layout),
        Transport::OciArchive => ("oci-archive", SourceKind::Archive),
        Transport::DockerArchive => ("docker-archive", SourceKind::Archive),
        Transport::Current | Transport::Engine | Transport::Store | Transport::Registry => {
            return Err(Problem::new(ProblemKind::Usage, "open it in the deck", "only layouts and archives can be opened")
                .hint("write oci:DIR, oci-archive:FILE or docker-archive:FILE"));
        }
    };
    let path = locator.path.clone().unwrap_or_default();
    let whole = std::path::absolute(&path).unwrap_or_else(|_unchanged| path.clone());
    let part = locator.name.as_ref().map(|name| format!(":{}", name.raw())).unwrap_or_default();
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let info = SourceInfo {
        id: SourceId(format!("{prefix}:{}{part}", whole.display())),
        kind,
        name: Safe::new(&name),
        place: Safe::new(&format!("{prefix}:{}{part}", path.display())),
        why: Safe::new(why),
        powers: Powers::READ_ONLY,
        read_only: true,
    };
    let locator = locator.clone();
    let make = move || {
        let locator = locator.clone();
        Box::pin(async move { Ok(Arc::new(FileSource::open(&locator).await?) as Arc<dyn Source>) }) as Answer<'static, _>
    };
    Ok(Found { info, make: Arc::new(make) })
}

/// Writes a text into a new file; one that is there is left alone.
///
/// # Errors
/// What the file system said.
pub fn write_new(doing: &str, text: &str, file: &Path) -> Result<(), Problem> {
    let disk = |error: &std::io::Error| Problem::disk(doing, file, error);
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut temp = tempfile::Builder::new().prefix(".lighterman-").tempfile_in(dir).map_err(|error| disk(&error))?;
    temp.write_all(text.as_bytes()).and_then(|()| temp.as_file().sync_data()).map_err(|error| disk(&error))?;
    temp.persist_noclobber(file).map_err(|error| disk(&error.error))?;
    Ok(())
}
