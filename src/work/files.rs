//! Layouts and archives that a user names, as sources of the table.

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
