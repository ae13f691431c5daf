//! Carries out actions: the ones of the deck here, the panes' own in the panes, and those that change something by way of a dialog.

use tui_input::Input;

use crate::curate::words::counted;
use crate::flow::{Action, Effect, Job, Place};
use crate::model::{ArchiveFormat, ImageKey, Name, Powers, Safe};
use crate::pane::PaneId;
use crate::pane::images::RowKey;

use super::drift;
use super::files;
use super::filter;
use super::findings;
use super::jobs;
use super::log;
use super::overlay::{self, Agreed, Ask, Confirm, Overlay, Prompt};
use super::plan;
use super::registries;
use super::state::State;
use super::tasks;
use super::toast::ToastKind;
use super::update::places;

/// Whether an action can be done here and now; if not, why, in a sentence for footer, palette and toast.
///
/// # Errors
/// The reason.
pub fn available(state: &State, action: Action) -> Result<(), &'static str> {
    let row = action.row();
    if !places(state).contains(&row.place) {
        return Err("not in this pane");
    }
    if row.mutates && state.settings.read_only {
        return Err("read-only: nothing can be changed here");
    }
    // What is pulled comes to the images of this machine, wherever one stands.
    let source = if action == Action::Pull { state.sources.info() } else { state.here() };
    if row.mutates && source.is_some_and(|info| info.read_only) {
        return Err("read-only: nothing can be changed there");
    }
    let powers = source.map_or(Powers::ALL, |info| info.powers);
    let able = match action {
        Action::Retag | Action::BatchRetag => powers.tag,
        Action::Delete => powers.remove,
        Action::Pull => powers.pull,
        Action::Push => powers.push,
        Action::Import => powers.import,
        Action::Export => powers.export,
        _ => true,
    };
    if !able {
        return Err("this source can't do that");
    }
    if state.focus == PaneId::Registries {
        return registries::available(state, action);
    }
    // A plan about a run goes as that run went.
    if state.plan.about().is_some()
        && matches!(
            action,
            Action::AllOrNothing | Action::Backup | Action::Override | Action::TagAlone | Action::LineSooner | Action::LineLater
        )
    {
        return Err("not in a plan about a run");
    }
    findings::available(state, action)?;
    let nothing = state.images.selected().is_none() && state.images.marks.is_empty();
    match action {
        Action::Retag
        | Action::BatchRetag
        | Action::Delete
        | Action::Push
        | Action::Export
        | Action::Inspect
        | Action::Copy
        | Action::Quarantine
            if row.place != Place::Tasks && nothing =>
        {
            Err("there is no image to do that with")
        }
        _ => Ok(()),
    }
}

/// Does what was asked for.
pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    if let Err(why) = available(state, action) {
        return vec![state.toasts.show(ToastKind::Info, format!("{}: {why}", action.row().label), None)];
    }
    if let Some(effects) = files::act(state, action).or_else(|| findings::act(state, action)).or_else(|| pane(state, action).then(Vec::new))
    {
        return effects;
    }
    if state.focus == PaneId::Registries
        && let Some(effects) = registries::act(state, action)
    {
        return effects;
    }
    match action {
        Action::FocusImages => focus(state, PaneId::Images),
        Action::FocusRegistries => focus(state, PaneId::Registries),
        Action::FocusLayers => focus(state, PaneId::Layers),
        Action::FocusFindings => focus(state, PaneId::Findings),
        Action::FocusPlan => toggle(state, PaneId::Plan),
        Action::FocusTasks => toggle(state, PaneId::Tasks),
        Action::FocusLog => return show_log(state),
        Action::RunPlan | Action::DryRun | Action::LineSooner | Action::LineLater | Action::Override | Action::SavePlan => {
            return plan::act(state, action);
        }
        Action::Undo | Action::Redo | Action::Resume => return log::act(state, action),
        Action::NextPane => step_focus(state, 1),
        Action::PreviousPane => step_focus(state, -1),
        Action::Zoom => state.zoomed = !state.zoomed,
        Action::Open => return open(state),
        Action::Back => back(state),
        Action::Filter | Action::FindFindings => filter::open(state),
        Action::Inspect | Action::InspectLayers => return overlay::inspect::open(state),
        Action::Waste => return files::waste(state),
        Action::Copy => overlay::menu::copy(state),
        Action::Retag => retag(state),
        Action::BatchRetag => return overlay::rename::open(state),
        Action::Delete => return plan::delete_images(state),
        Action::Space => return overlay::space::open(state),
        Action::CleanUp => return overlay::cleanup::open(state),
        Action::Compare => return overlay::compare::open(state),
        Action::Quarantine | Action::QuarantineLayer => return overlay::quarantine::open(state),
        Action::Pull => ask(state, Ask::Pull, "Pull an image", None, String::new(), "Enter pull · Esc cancel"),
        Action::Push => return push(state),
        Action::Drift => return drift::ask(state),
        Action::Export => return export(state),
        Action::Import => ask(state, Ask::Import, "Import an archive", None, String::new(), "Enter read it · Esc cancel"),
        Action::OpenFile => ask(state, Ask::OpenFile, "Open an archive or layout", None, String::new(), "Enter open · Esc cancel"),
        Action::CancelTask | Action::RetryTask | Action::PauseTask | Action::PauseAll | Action::TaskSooner | Action::TaskLater => {
            return tasks::act(state, action);
        }
        Action::Refresh => return refresh(state),
        Action::Sources => return overlay::menu::sources(state),
        Action::Themes => overlay::menu::themes(state),
        Action::Palette => overlay::palette::open(state),
        Action::Help => overlay::help::open(state),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Quit => return quit(state),
        _ => {}
    }
    Vec::new()
}

/// Offers the action to the focused pane.
fn pane(state: &mut State, action: Action) -> bool {
    match state.focus {
        PaneId::Images => state.images.act(action, state.now),
        PaneId::Registries => state.registries.act(action, state.now),
        PaneId::Layers => state.layers.act(action),
        // It acts where what it comes to is laid out.
        PaneId::Findings => false,
        PaneId::Plan => state.plan.act(action),
        PaneId::Tasks => state.tasks.act(action),
        PaneId::Log => state.log.act(action),
    }
}

fn focus(state: &mut State, pane: PaneId) {
    state.focus = pane;
}

fn show_log(state: &mut State) -> Vec<Effect> {
    toggle(state, PaneId::Log);
    log::refresh(state)
}

/// Opens a drawer and goes there; from there, closes it.
pub(super) fn toggle(state: &mut State, drawer: PaneId) {
    let close = state.drawer == Some(drawer) && state.focus == drawer;
    state.drawer = (!close).then_some(drawer);
    state.focus = if close { state.lead } else { drawer };
}

fn step_focus(state: &mut State, step: isize) {
    let open: Vec<PaneId> = PaneId::ALL.into_iter().filter(|pane| !pane.is_drawer() || state.drawer == Some(*pane)).collect();
    let at = open.iter().position(|pane| *pane == state.focus).unwrap_or(0);
    let next = (at + open.len()).saturating_add_signed(step) % open.len().max(1);
    if let Some(pane) = open.get(next) {
        state.focus = *pane;
    }
}

/// Enter drills: from an image to its layers, from a layer to its files.
fn open(state: &mut State) -> Vec<Effect> {
    match state.focus {
        PaneId::Images if state.images.selected().is_some() => focus(state, PaneId::Layers),
        PaneId::Layers => return files::open(state),
        _ => {}
    }
    Vec::new()
}

/// One step back: a range, a filter, the marks, the zoom, the drill. Never out of the program.
fn back(state: &mut State) {
    if state.focus == PaneId::Images && state.images.range_from.is_some() {
        state.images.range_from = None;
    } else if state.focus == PaneId::Images && !state.images.filter.is_empty() {
        filter::set(state, "");
    } else if state.focus == PaneId::Images && !state.images.marks.is_empty() {
        state.images.marks.clear();
    } else if state.zoomed {
        state.zoomed = false;
    } else if state.focus.is_drawer() {
        toggle(state, state.focus);
    } else if matches!(state.focus, PaneId::Layers | PaneId::Findings) {
        state.focus = state.lead;
    } else {
        state.focus = PaneId::Images;
    }
}

pub(super) fn ask(state: &mut State, what: Ask, title: &str, about: Option<Safe>, text: String, keys: &'static str) {
    let mut prompt = Prompt { ask: what, title: Safe::new(title), about, input: Input::new(text), note: Ok(None), keys };
    overlay::prompt::check(state, &mut prompt);
    state.overlays.push(Overlay::Prompt(prompt));
}

fn retag(state: &mut State) {
    let Some((image, name)) = state.images.selected() else { return };
    let (id, from) = (image.id.clone(), name.cloned());
    let about = from.as_ref().map_or_else(|| Safe::from(format!("untagged image {}", id.short())), Name::safe);
    let text = from.as_ref().map_or_else(String::new, |name| name.raw().to_owned());
    ask(state, Ask::Retag { id, from }, "Give another name", Some(about), text, "Enter tag · Esc cancel");
}

fn push(state: &mut State) -> Vec<Effect> {
    let (Some(source), Some((image, Some(name)))) = (state.sources.current.clone(), state.images.selected()) else {
        return vec![state.toasts.show(ToastKind::Warning, "An untagged image can't be pushed", Some(Safe::new("give it a name first")))];
    };
    if let Err(problem) = name.reference() {
        let effect = state.toasts.problem(&problem);
        return vec![effect];
    }
    let (name, id) = (name.clone(), image.id.clone());
    overlay::wait(state, "looking at what is there", |_| Job::PreviewPush { source, pushes: vec![(name, id)] })
}

fn export(state: &mut State) -> Vec<Effect> {
    let chosen = state.images.chosen();
    let first = chosen.first().map_or_else(String::new, |RowKey { id, name }| {
        name.as_ref()
            .map_or_else(|| id.short().to_owned(), |name| name.raw().rsplit('/').next().unwrap_or_default().replace([':', '@'], "-"))
    });
    let mut keys = Vec::with_capacity(chosen.len());
    for RowKey { id, name } in chosen {
        keys.push(match name.map(|name| name.reference()) {
            Some(Ok(reference)) => ImageKey::Name(reference),
            Some(Err(problem)) => {
                let effect = state.toasts.problem(&problem);
                return vec![effect];
            }
            None => ImageKey::Id(id),
        });
    }
    let about = Safe::from(counted(keys.len(), "image"));
    let clean: String = first.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let stem = if keys.len() > 1 { "images".to_owned() } else { clean };
    let text = overlay::prompt::in_export_dir(state, &format!("{stem}.tar"));
    let what = Ask::Export { keys, format: ArchiveFormat::Docker };
    ask(state, what, "Export to a file", Some(about), text, "Enter write · Tab format · Esc cancel");
    Vec::new()
}

fn refresh(state: &mut State) -> Vec<Effect> {
    if matches!(state.sources.status, crate::model::SourceStatus::Down(_)) {
        state.sources.tries = 0;
    }
    state.layers.forget();
    let mut effects = jobs::list(state);
    if state.layers.key.is_some() {
        state.layers.image.value = None;
        effects.extend(jobs::inspect_selected(state));
    }
    effects
}

fn quit(state: &mut State) -> Vec<Effect> {
    let (running, waiting) = (state.tasks.running(), state.tasks.waiting());
    if running + waiting == 0 {
        return vec![Effect::Quit];
    }
    let title = match waiting {
        0 => format!("{} running", counted(running, "task")),
        _ => format!("{} running, {waiting} in line", counted(running, "task")),
    };
    let lines = state
        .tasks
        .tasks
        .iter()
        .filter(|task| !task.state.has_ended())
        .map(|task| (crate::curate::Tone::Plain, task.title.clone()))
        .chain([(crate::curate::Tone::Warning, Safe::new("Quitting cancels them; what they wrote so far is cleaned up."))])
        .collect();
    state.overlays.push(Overlay::Confirm(Confirm::new(Safe::from(title), lines, "Quit", Agreed::Quit)));
    Vec::new()
}
