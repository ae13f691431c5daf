//! `pull`, `push`, `export` and `import`: verbs that move bytes, show how far they are, and end in one line.

use std::path::{Path, PathBuf};

use super::args::{ExportArgs, ImportArgs, PullArgs, PushArgs};
use super::ask::{self, Question};
use super::find;
use super::print::Printer;
use super::session::Session;
use super::{Done, Tally, Verdict};
use crate::model::{ArchiveFormat, Change, ImportPreview, ImportTag, Problem, ProblemKind, Safe, SourceId, Transfer, size};
use crate::source::ExportTo;

pub(super) async fn pull(session: &Session, args: &PullArgs) -> Verdict {
    let doing = format!("pull {}", args.reference);
    let place = session.target(&args.reference).await?;
    place.may_change(&doing)?;
    let name = place.named(&doing)?.clone();
    name.reference()?;
    let change = Change::Pull { source: place.source.id().clone(), name: name.clone(), platform: args.platform.clone() };
    let moved = session.transfer(&place, &change).await?;
    finished(&moved, &format!("pulled {} into {}", name.safe(), shown(place.source.id())), &session.printer)
}

pub(super) async fn push(session: &Session, args: &PushArgs) -> Verdict {
    let doing = format!("push {}", args.reference);
    let place = session.target(&args.reference).await?;
    place.may_change(&doing)?;
    let found = session
        .run("find the image", |ctx| async move {
            find::find(place.source.as_ref(), &ctx, place.name.as_ref()).await.map(|found| (found, place))
        })
        .await;
    let (found, place) = found?;
    let Some((name, expected)) = found.first().and_then(|image| Some((image.name.clone()?, image.id.clone()))) else {
        return Err(Problem::new(ProblemKind::Usage, doing, "an ID names no registry")
            .hint("give it the name it shall have there first: lighterman tag ID HOST/REPOSITORY:TAG"));
    };
    let change = Change::Push { source: place.source.id().clone(), name: name.clone(), expected, seen: None };
    let moved = session.transfer(&place, &change).await?;
    finished(&moved, &format!("pushed {}", name.safe()), &session.printer)
}

pub(super) async fn export(session: &Session, args: &ExportArgs) -> Verdict {
    let (file, format) = target_file(args)?;
    let place = session.place(&args.reference).await?;
    let gaps = place.gaps();
    let to = ExportTo { file, format, overwrite: args.force };
    let file = to.file.clone();
    let transfer = session
        .run("export", |ctx| async move {
            let found = find::find(place.source.as_ref(), &ctx, place.name.as_ref()).await?;
            let mut keys: Vec<_> = found.into_iter().map(|image| image.key).collect();
            keys.dedup();
            place.source.export(&ctx, &keys, &to).await
        })
        .await?;
    finished(&transfer, &format!("exported to {}", Safe::new(&file.to_string_lossy())), &session.printer)?;
    let mut tally = Tally { done: 1, ..Tally::default() };
    for gap in &gaps {
        tally.failed(gap, &session.printer);
    }
    Ok(tally.verdict())
}

/// The file, and its format as asked for, as its transport says, or as its name suggests.
fn target_file(args: &ExportArgs) -> Result<(PathBuf, ArchiveFormat), Problem> {
    let asked = args.format.map(ArchiveFormat::from);
    let (path, said) = if let Some(path) = args.file.strip_prefix("oci-archive:") {
        (path, Some(ArchiveFormat::Oci))
    } else if let Some(path) = args.file.strip_prefix("docker-archive:") {
        (path, Some(ArchiveFormat::Docker))
    } else {
        (args.file.as_str(), None)
    };
    let usage = |cause: &str| Err(Problem::new(ProblemKind::Usage, format!("export to {}", args.file), cause));
    if path.is_empty() {
        return usage("the file's name is missing");
    }
    if let (Some(asked), Some(said)) = (asked, said)
        && asked != said
    {
        return usage("--format and the transport in front of the file contradict each other");
    }
    let by_name = if path.to_ascii_lowercase().ends_with(".oci.tar") { ArchiveFormat::Oci } else { ArchiveFormat::Docker };
    Ok((PathBuf::from(path), asked.or(said).unwrap_or(by_name)))
}

pub(super) async fn import(session: &Session, args: &ImportArgs) -> Verdict {
    let doing = format!("import {}", args.file);
    let path = ["oci-archive:", "docker-archive:"].iter().find_map(|transport| args.file.strip_prefix(transport));
    let file = PathBuf::from(path.unwrap_or(&args.file));
    let place = session.current_place().await?;
    place.may_change(&doing)?;
    let curator = place.curator(&doing)?;
    let preview = session
        .run("read the archive", |ctx| {
            let (curator, file) = (&curator, &file);
            async move { curator.preview_import(&ctx, file).await }
        })
        .await?;
    let what: Vec<String> = preview.tags.iter().filter_map(moves).collect();
    if !what.is_empty() {
        let question = Question { doing: &doing, what: &what, ask: "Import and move these tags" };
        ask::agreed(question, args.yes, &session.printer, &session.cancel).await?;
    }
    let change = Change::Import { source: place.source.id().clone(), file: file.clone(), tags: preview.tags.clone() };
    let moved = session.transfer(&place, &change).await?;
    finished(&moved, &format!("imported {} into {}", brought(&preview, &file), shown(place.source.id())), &session.printer)
}

/// What an import takes a tag from.
fn moves(tag: &ImportTag) -> Option<String> {
    let holder = tag.taken_from()?;
    Some(format!("{} moves from {} to {}", tag.name.safe(), holder.short(), tag.id.short()))
}

fn brought(preview: &ImportPreview, file: &Path) -> String {
    let mut names: Vec<String> = preview.tags.iter().map(|tag| tag.name.safe().to_string()).collect();
    if preview.untagged > 0 {
        names.push(format!("{} without a name", preview.untagged));
    }
    if names.is_empty() { Safe::new(&file.to_string_lossy()).to_string() } else { names.join(", ") }
}

/// A source's short name.
fn shown(id: &SourceId) -> Safe {
    Safe::new(if id.0 == "store" { "the store" } else { &id.0 })
}

pub(super) fn finished(transfer: &Transfer, what: &str, printer: &Printer) -> Verdict {
    if printer.json {
        printer.document(transfer)?;
    } else {
        printer.text(&summary(what, transfer))?;
    }
    Ok(Done::All)
}

fn summary(what: &str, transfer: &Transfer) -> String {
    let digest = transfer.digest.as_ref().map(|digest| format!(": {digest}")).unwrap_or_default();
    let (moved, there) = (size::human(transfer.bytes_transferred), size::human(transfer.bytes_skipped));
    format!("{what}{digest} ({moved} transferred, {there} already there)\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Format;

    fn target(file: &str, format: Option<Format>) -> Result<(PathBuf, ArchiveFormat), Problem> {
        target_file(&ExportArgs { reference: "app".into(), file: file.into(), format, force: false })
    }

    #[test]
    fn the_format_is_asked_for_or_told_by_the_name() {
        assert_eq!(target("a.tar", None).unwrap(), ("a.tar".into(), ArchiveFormat::Docker));
        assert_eq!(target("a.OCI.tar", None).unwrap().1, ArchiveFormat::Oci);
        assert_eq!(target("a.tar", Some(Format::Oci)).unwrap().1, ArchiveFormat::Oci);
        assert_eq!(target("oci-archive:a.tar", None).unwrap(), ("a.tar".into(), ArchiveFormat::Oci));
        assert_eq!(target("docker-archive:a.oci.tar", None).unwrap().1, ArchiveFormat::Docker);
        assert!(target("oci-archive:a.tar", Some(Format::Docker)).is_err());
        assert!(target("oci-archive:", None).is_err());
    }
}
