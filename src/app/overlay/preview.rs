//! Dialogs that need something read first: what an archive holds, what a prune would remove, a file that stands in the way.

use crate::curate::removal::{counted, freed};
use crate::curate::{Statement, Tone, describe};
use crate::flow::job::PrunePreview;
use crate::flow::{Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{Change, ImportPreview, Problem, ProblemKind, Removal, Safe, SourceId, size, time};

use super::super::jobs;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::{Agreed, Confirm, Overlay};

/// Most gaps of a list that a dialog names.
const MOST_GAPS: usize = 3;

/// Starts reading and shows that it does; Esc cancels.
pub(in crate::app) fn wait(state: &mut State, what: &str, job: impl FnOnce(SourceId) -> Job) -> Vec<Effect> {
    let Some(source) = state.sources.current.clone() else {
        return Vec::new();
    };
    let (id, effect) = jobs::start(state, job(source));
    state.overlays.push(Overlay::Waiting { what: Safe::new(what), job: id });
    vec![effect]
}

/// Takes what was read and asks.
pub(in crate::app) fn previewed(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    state.overlays.retain(|overlay| !matches!(overlay, Overlay::Waiting { job, .. } if *job == id));
    let Some(source) = state.sources.current.clone() else {
        return Vec::new();
    };
    match event {
        JobEvent::Done(JobOutput::ImportPreview(preview)) => import(state, source, preview),
        JobEvent::Done(JobOutput::PrunePreview(preview)) => prune(state, source, &preview),
        JobEvent::Done(JobOutput::CopyPreview(copy)) => super::super::registries::copy_previewed(state, *copy),
        JobEvent::Failed(problem) => vec![state.toasts.problem(&problem)],
        _ => Vec::new(),
    }
}

fn import(state: &mut State, source: SourceId, preview: ImportPreview) -> Vec<Effect> {
    let lines = describe::import(&preview);
    let moves = preview
        .tags
        .into_iter()
        .filter_map(|tag| tag.holder.filter(|holder| *holder != tag.id).map(|holder| (tag.name, holder)))
        .collect::<Vec<_>>();
    let title = if moves.is_empty() { Safe::new("Import") } else { Safe::from(format!("Import, moving {}", counted(moves.len(), "tag"))) };
    let job = Job::Change(Change::Import { source, file: preview.file, moves });
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Import", Agreed::Start(vec![job]))));
    Vec::new()
}

fn prune(state: &mut State, source: SourceId, preview: &PrunePreview) -> Vec<Effect> {
    let mut lines = kept(preview, if preview.items.is_empty() { "untagged image" } else { "other" });
    if preview.items.is_empty() {
        let kind = if preview.kept_unknown > 0 { ToastKind::Warning } else { ToastKind::Good };
        let why = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("; ");
        let why = Some(Safe::from(why)).filter(|why| !why.as_str().is_empty());
        return vec![state.toasts.show(kind, "Nothing to prune", why)];
    }
    let bytes = freed(Some(preview.freed_at_least), preview.freed_at_most);
    let title = Safe::from(format!("Prune {}, {bytes}", counted(preview.items.len(), "untagged image")));
    lines.extend(preview.items.iter().map(|item| {
        let bytes = item.size.map_or_else(String::new, |bytes| format!("  {}", size::human(bytes)));
        let age = item.created.map_or_else(String::new, |then| format!("  {}", time::age(then, state.now)));
        (Tone::Loss, Safe::from(format!("{}{bytes}{age}", item.id.short())))
    }));
    let items = preview.items.iter().map(|item| Removal::Untagged { id: item.id.clone() }).collect();
    let job = Job::Change(Change::Remove { source, items });
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Prune", Agreed::Start(vec![job]))));
    Vec::new()
}

/// What stays and why, and what is not known.
fn kept(preview: &PrunePreview, noun: &str) -> Vec<Statement> {
    let mut lines = Vec::new();
    let mut say = |tone, text: String| lines.push((tone, Safe::from(text)));
    if preview.kept_in_use > 0 {
        say(Tone::Quiet, format!("{} stay: containers use them", counted(preview.kept_in_use, noun)));
    }
    if preview.kept_unknown > 0 {
        say(Tone::Warning, format!("{} stay: whether containers use them is not known", counted(preview.kept_unknown, noun)));
    }
    for gap in preview.gaps.iter().take(MOST_GAPS) {
        say(Tone::Warning, format!("not known: {}", gap.safe()));
    }
    lines
}

/// An export that found its file there asks whether to replace it. False when that was not the trouble.
pub(in crate::app) fn offer_overwrite(state: &mut State, job: &Job, problem: &Problem) -> bool {
    let Job::Export { source, keys, file, format, overwrite: false } = job else {
        return false;
    };
    if problem.kind != ProblemKind::Conflict {
        return false;
    }
    let again = Job::Export { source: source.clone(), keys: keys.clone(), file: file.clone(), format: *format, overwrite: true };
    let lines = vec![
        (Tone::Loss, Safe::from(format!("{} is there already and will be replaced", file.display()))),
        (Tone::Quiet, Safe::new("It is kept until the new file is whole and verified.")),
    ];
    state.overlays.push(Overlay::Confirm(Confirm::new(Safe::new("Replace the file?"), lines, "Replace", Agreed::Start(vec![again]))));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prune_says_what_it_does_not_know() {
        let preview =
            PrunePreview { kept_in_use: 1, kept_unknown: 2, gaps: vec!["containers: denied\u{1b}[2J".into()], ..PrunePreview::default() };
        let lines = kept(&preview, "other");
        assert_eq!(lines.iter().map(|(tone, _)| *tone).collect::<Vec<_>>(), [Tone::Quiet, Tone::Warning, Tone::Warning]);
        assert!(lines[1].1.as_str().contains("2 others stay: whether containers use them is not known"));
        assert!(lines[2].1.as_str().contains("containers: denied") && !lines[2].1.as_str().contains('\u{1b}'));
        assert!(kept(&PrunePreview::default(), "other").is_empty());
    }
}
