//! What is wrong with the image that the Findings pane follows: looked for, laid out, explained, ignored, imported and written down.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput, Shared};
use crate::model::finding_filter::FindingFilter;
use crate::model::findings::{Gist, Reach};
use crate::model::{Finding, Progress, Safe, Scan};
use crate::pane::PaneId;
use crate::pane::findings::explain;

use super::actions::ask;
use super::jobs::{self, answer};
use super::overlay::{Ask, Inspect, InspectLine, Overlay, prompt};
use super::state::State;
use super::toast::ToastKind;

const DOING: &str = "look what is wrong with the image";

/// Does what was asked for; `None` when it is nothing of the findings'.
pub(super) fn act(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    if action == Action::Scan {
        return Some(scan(state));
    }
    if state.focus != PaneId::Findings {
        return None;
    }
    match action {
        Action::Refresh => return Some(scan(state)),
        Action::Back if state.findings.job.is_some() && state.findings.reach() != Reach::Whole => return Some(stop(state)),
        Action::Back if !state.findings.look.filter.is_empty() => state.findings.look.filter = FindingFilter::default(),
        Action::AboutScan => about(state),
        Action::Open if state.findings.selected().is_some() => explain(state),
        Action::ExplainFinding => explain(state),
        Action::IgnoreFinding => ignore(state),
        Action::ImportReport if state.findings.scan.is_some() => {
            let about = Some(Safe::new("of Trivy, Grype, Clair, Harbor, osv-scanner, Dockle or Hadolint; SARIF, CycloneDX or OpenVEX"));
            ask(state, Ask::ImportReport, "Import a report", about, String::new(), "Enter read it · Esc cancel");
        }
        Action::SaveFindings if state.findings.scan.is_some() => {
            let text = prompt::in_export_dir(state, "findings.sarif");
            let about = Some(Safe::new(".sarif or .json for other programs, else a table; what the filter lets through"));
            ask(state, Ask::SaveFindings, "Write the findings", about, text, "Enter write · Esc cancel");
        }
        _ if state.findings.act(action) => {}
        _ => return None,
    }
    Some(arrange(state).into_iter().collect())
}

/// Whether it can be done; if not, why.
pub(super) fn available(state: &State, action: Action) -> Result<(), &'static str> {
    let findings = &state.findings;
    match action {
        Action::Scan if state.layers.image.value.is_none() => Err("there is no image to look at"),
        Action::IgnoreFinding | Action::ExplainFinding if findings.selected().is_none() => Err("there is no finding under the cursor"),
        Action::IgnoreFinding if findings.selected().is_some_and(|finding| finding.suppressed.is_some()) => Err("it is ignored already"),
        Action::ImportReport | Action::SaveFindings | Action::AboutScan | Action::FindFindings if findings.scan.is_none() => {
            Err("nothing is known of this image yet")
        }
        _ => Ok(()),
    }
}

/// Turns to the image that the Layers pane shows, and has told what can be told without reading a layer.
pub(super) fn settle(state: &mut State) -> Vec<Effect> {
    let key = state.layers.key.clone();
    let before = state.findings.job;
    if !state.findings.follow(key) {
        return match before {
            // What it was asked for is not looked at any more.
            Some(id) if state.findings.job.is_none() && state.jobs.remove(&id).is_some() => {
                let mut effects = vec![Effect::Cancel(id)];
                effects.extend(arrange(state));
                effects
            }
            _ => known(state),
        };
    }
    let mut effects: Vec<Effect> = before.filter(|id| state.jobs.remove(id).is_some()).map(Effect::Cancel).into_iter().collect();
    effects.extend(known(state));
    effects
}

/// Starts the first look, once the image is there.
fn known(state: &mut State) -> Vec<Effect> {
    let findings = &state.findings;
    if findings.scan.is_some() {
        return arrange(state).into_iter().collect();
    }
    if findings.job.is_some() || findings.problem.is_some() {
        return Vec::new();
    }
    start(state, Reach::Known)
}

fn start(state: &mut State, reach: Reach) -> Vec<Effect> {
    let (Some((source, key)), Some(image)) = (state.layers.key.clone(), state.layers.image.value.clone()) else { return Vec::new() };
    let imports = state.findings.imports_of(&(source.clone(), key.clone()));
    let (id, effect) = jobs::start(state, Job::Scan { source, key, image, reach, imports });
    let findings = &mut state.findings;
    (findings.job, findings.progress, findings.problem) = (Some(id), None, None);
    vec![effect]
}

/// Looks into the layers, and asks other scanners.
fn scan(state: &mut State) -> Vec<Effect> {
    if state.focus != PaneId::Findings && state.layers.image.value.is_some() {
        state.focus = PaneId::Findings;
    }
    start(state, Reach::Whole)
}

/// Gives the look up; what it told stays.
fn stop(state: &mut State) -> Vec<Effect> {
    let Some(id) = state.findings.job.take() else { return Vec::new() };
    state.findings.progress = None;
    state.jobs.remove(&id);
    vec![Effect::Cancel(id), state.toasts.show(ToastKind::Info, "Stopped looking; what was found so far stays", None)]
}

/// Lays out what is known as it is to be seen, where that is not on the screen.
pub(super) fn arrange(state: &mut State) -> Option<Effect> {
    if state.findings.is_settled() {
        return None;
    }
    let (scan, look) = (state.findings.scan.clone()?, state.findings.look.clone());
    let same = |job: &Job| matches!(job, Job::ArrangeFindings { scan: of, look: other } if *of == scan && *other == look);
    if state.findings.arranging.is_some_and(|id| state.jobs.get(&id).is_some_and(same)) {
        return None;
    }
    let (id, effect) = jobs::start(state, Job::ArrangeFindings { scan, look });
    state.findings.arranging = Some(id);
    Some(effect)
}

/// How far the look is.
pub(super) fn progressed(state: &mut State, id: JobId, progress: &Progress) {
    if state.findings.job == Some(id) {
        state.findings.progress = Some(progress.clone());
    }
}

/// Takes what a job of the findings brought.
pub(super) fn event(state: &mut State, id: JobId, job: &Job, event: JobEvent) -> Vec<Effect> {
    match job {
        Job::Scan { reach, .. } => scanned(state, id, *reach, event),
        Job::ArrangeFindings { .. } => {
            if let Ok(JobOutput::FindingsArranged { scan, look, arranged }) = answer(event, DOING) {
                state.findings.arranged(scan, look, arranged);
            }
            Vec::new()
        }
        Job::Ignore { finding, with, .. } => match answer(event, "note that it doesn't count") {
            Ok(JobOutput::Ignored { scan, file }) => {
                let text = format!("{} is ignored: noted in {}", finding.id.safe(), file.display());
                let toast = state.toasts.show(ToastKind::Good, text, None);
                // What is known of other images may have it too: it is put together anew when they are looked at.
                state.findings.recent.clear();
                replaced(state, with, scan).into_iter().chain([toast]).collect()
            }
            Ok(_) => Vec::new(),
            Err(problem) => vec![state.toasts.problem(&problem)],
        },
        Job::ImportReport { file, with, .. } => match answer(event, "read the report") {
            Ok(JobOutput::Scanned(scan)) => {
                let whose = scan.reports.last().map_or_else(String::new, |report| format!(" of {}", report.scanner.name.safe()));
                let toast = state.toasts.show(ToastKind::Good, format!("The report{whose} is put together with what was known"), None);
                if let Some(key) = state.findings.key.clone().filter(|_| state.findings.scan.as_ref() == Some(with)) {
                    // When this image is looked at again, so is the report.
                    state.findings.import(key, file.clone());
                }
                replaced(state, with, scan).into_iter().chain([toast]).collect()
            }
            Ok(_) => Vec::new(),
            Err(problem) => vec![state.toasts.problem(&problem)],
        },
        _ => match answer(event, "write the findings") {
            Ok(JobOutput::Saved(file)) => vec![state.toasts.show(ToastKind::Good, format!("{} written", file.display()), None)],
            Ok(_) => Vec::new(),
            Err(problem) => vec![state.toasts.problem(&problem)],
        },
    }
}

/// Takes what came of `before`, where that is still what is known.
fn replaced(state: &mut State, before: &Shared<Scan>, scan: Shared<Scan>) -> Option<Effect> {
    if state.findings.scan.as_ref() == Some(before) {
        took(state, scan);
    }
    arrange(state)
}

fn scanned(state: &mut State, id: JobId, reach: Reach, event: JobEvent) -> Vec<Effect> {
    if state.findings.job != Some(id) {
        return Vec::new();
    }
    let ended = !matches!(event, JobEvent::Chunk(_));
    match answer(event, DOING) {
        // While all is looked at again, what is known already is more than what comes first.
        Ok(JobOutput::Scanned(scan)) if scan.reach == Reach::Partly && state.findings.reach() == Reach::Whole => {}
        Ok(JobOutput::Scanned(scan)) => took(state, scan),
        Ok(_) => {}
        Err(problem) => {
            let kept = state.findings.scan.is_some();
            state.findings.problem = (!problem.is_cancelled()).then(|| problem.clone());
            if kept && reach == Reach::Whole && !problem.is_cancelled() {
                (state.findings.job, state.findings.progress) = (None, None);
                return vec![state.toasts.problem(&problem)];
            }
        }
    }
    if ended {
        (state.findings.job, state.findings.progress) = (None, None);
    }
    arrange(state).into_iter().collect()
}

fn took(state: &mut State, scan: Shared<Scan>) {
    // Of a part of an image nobody knows what is wrong with it.
    if scan.inventory.is_some()
        && let Some(image) = &state.layers.image.value
    {
        let gist = Gist::of(&scan.findings, state.now);
        let gists = Arc::make_mut(&mut state.images.gists);
        gists.extend(image.digests().map(|digest| (digest.clone(), gist)));
        state.registries.tags.gists = Arc::clone(&state.images.gists);
        state.images.rebuild(state.now);
    }
    state.findings.take(scan);
}

/// Shows all that is told of the finding under the cursor.
fn explain(state: &mut State) {
    let (Some(finding), Some(image)) = (state.findings.selected(), state.layers.image.value.clone()) else { return };
    let mut lines = Vec::new();
    if !finding.title.is_empty() {
        lines.extend([InspectLine::Item(finding.title.safe()), InspectLine::Blank]);
    }
    lines.push(InspectLine::Heading("What it is in, and what mends it"));
    lines.extend(explain::finding(finding, Some(&image)).into_iter().map(field));
    if !finding.description.is_empty() {
        lines.extend([InspectLine::Blank, InspectLine::Heading("In the words of who found it")]);
        lines.extend(finding.description.raw().lines().take(200).flat_map(wrapped).map(InspectLine::Item));
    }
    let view = Inspect::of(Safe::from(format!("{} {}", finding.kind.word(), finding.id.safe())), image, lines);
    state.overlays.push(Overlay::Inspect(view));
}

/// Shows who looked, for what, and what was not looked for.
fn about(state: &mut State) {
    let (Some(scan), Some(image)) = (state.findings.scan.clone(), state.layers.image.value.clone()) else { return };
    let mut lines = Vec::new();
    for (heading, part) in explain::scan(&scan) {
        if !lines.is_empty() {
            lines.push(InspectLine::Blank);
        }
        lines.push(InspectLine::Heading(heading));
        lines.extend(part.into_iter().map(field));
    }
    state.overlays.push(Overlay::Inspect(Inspect::of(Safe::new("the scan"), image, lines)));
}

fn field((name, value): explain::Line) -> InspectLine {
    if name.is_empty() { InspectLine::Item(value) } else { InspectLine::Field { name: Safe::new(name), value } }
}

/// A paragraph in lines that can be read.
fn wrapped(paragraph: &str) -> Vec<Safe> {
    const COLUMNS: usize = 96;
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > COLUMNS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter().map(Safe::from).collect()
}

/// Asks why a finding doesn't count.
fn ignore(state: &mut State) {
    let Some(finding) = state.findings.selected().cloned() else { return };
    let about = Safe::from(format!("{} {}", finding.id.safe(), finding.title.safe()));
    let what = Ask::Ignore { finding: Box::new(finding) };
    ask(state, what, "Ignore: why?", Some(about), String::new(), "Enter note it · Esc cancel");
}

/// The reason that was typed, and the last word of it as a day where it is one.
pub(super) fn reason(state: &State, text: &str) -> Result<(String, Option<Date>), Safe> {
    let today = state.now.to_zoned(TimeZone::UTC).date();
    let Some((words, day)) = text.rsplit_once("until ") else { return Ok((text.to_owned(), None)) };
    match day.trim().parse::<Date>() {
        Ok(day) if day < today => Err(Safe::new("that day is over")),
        // A file says on which day it doesn't hold any more.
        Ok(day) => Ok((words.trim().to_owned(), day.tomorrow().ok())),
        Err(_) => Ok((text.to_owned(), None)),
    }
}

/// What the reason that is typed means.
pub(super) fn until(state: &State, text: &str) -> Result<Option<Safe>, Safe> {
    let (_, until) = reason(state, text)?;
    let words = "noted in your ignore file; end with \"until 2030-01-31\" to be reminded";
    Ok(Some(until.map_or_else(|| Safe::new(words), |day| Safe::from(format!("counts again from {day} on")))))
}

/// Notes it.
pub(super) fn ignored(state: &mut State, finding: Box<Finding>, text: &str) -> Vec<Effect> {
    let (Ok((statement, expired_at)), Some(with)) = (reason(state, text), state.findings.scan.clone()) else { return Vec::new() };
    let (_, effect) = jobs::start(state, Job::Ignore { finding, statement, expired_at, with });
    vec![effect]
}

/// Has a report put together with what is known.
pub(super) fn import(state: &mut State, text: &str) -> Vec<Effect> {
    let (Some(with), Some(image)) = (state.findings.scan.clone(), &state.layers.image.value) else { return Vec::new() };
    let image = image.digests().cloned().collect();
    let file = prompt::path(state, text);
    let (_, effect) = jobs::start(state, Job::ImportReport { file, image, with });
    vec![effect]
}

/// Writes the findings.
pub(super) fn save_to(state: &mut State, text: &str) -> Vec<Effect> {
    let Some(scan) = state.findings.scan.clone() else { return Vec::new() };
    let (file, look) = (prompt::path(state, text), state.findings.look.clone());
    let image = state.selected_key().map(|(_, key)| Safe::new(&key.to_string())).unwrap_or_default();
    let (_, effect) = jobs::start(state, Job::SaveFindings { scan, look, image, file });
    vec![effect]
}
