//! The last line: what the keys do here and now, or the filter being typed.

use ratatui::layout::Rect;

use crate::app::actions;
use crate::app::draw::key;
use crate::app::state::State;
use crate::flow::Action;
use crate::model::Safe;
use crate::pane::PaneId;
use crate::pane::layers::Listing;
use crate::pane::registries::WhatIf;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown};

/// What is worth a hint in each pane, most wanted first. The words and keys come from the table of actions and the keymap.
const IMAGES: &[Action] = &[
    Action::Filter,
    Action::Mark,
    Action::Delete,
    Action::Retag,
    Action::BatchRetag,
    Action::Pull,
    Action::Push,
    Action::Scan,
    Action::Export,
    Action::Import,
    Action::Copy,
    Action::Inspect,
    Action::Drift,
    Action::CleanUp,
    Action::Space,
    Action::Sources,
    Action::Refresh,
    Action::Zoom,
];
const REGISTRIES: &[Action] = &[
    Action::Open,
    Action::Filter,
    Action::Mark,
    Action::Delete,
    Action::Retag,
    Action::BatchRetag,
    Action::Pull,
    Action::Scan,
    Action::CopyTo,
    Action::Copy,
    Action::GroupDigests,
    Action::Policy,
    Action::Tree,
    Action::AddRegistry,
    Action::LogIn,
    Action::Inspect,
    Action::Refresh,
    Action::Zoom,
];
const LAYERS: &[Action] = &[
    Action::Open,
    Action::Waste,
    Action::Scan,
    Action::Dockerfile,
    Action::ShowEmpty,
    Action::Copy,
    Action::Zoom,
    Action::NextPane,
    Action::Back,
    Action::Refresh,
    Action::Sources,
];
const FILES: &[Action] = &[
    Action::Open,
    Action::FindFiles,
    Action::NextListing,
    Action::SaveFile,
    Action::WholeTree,
    Action::LayerBelow,
    Action::LayerAbove,
    Action::InspectPath,
    Action::FilesBySize,
    Action::FilesByName,
    Action::Back,
    Action::Refresh,
    Action::Zoom,
];
const FINDINGS: &[Action] = &[
    Action::Scan,
    Action::Open,
    Action::FindFindings,
    Action::GroupFindings,
    Action::FixableFindings,
    Action::IgnoreFinding,
    Action::AboutScan,
    Action::SaveFindings,
    Action::ImportReport,
    Action::ShowIgnored,
    Action::Zoom,
    Action::Back,
];
/// What is carried for nothing, as lists.
const LISTINGS: &[Action] = &[Action::Open, Action::NextListing, Action::InspectPath, Action::Back, Action::Refresh, Action::Zoom];
const TASKS: &[Action] = &[
    Action::Open,
    Action::CancelTask,
    Action::PauseTask,
    Action::RetryTask,
    Action::TaskSooner,
    Action::TaskLater,
    Action::PauseAll,
    Action::ForgetTasks,
    Action::FocusTasks,
    Action::Zoom,
];
const PLAN: &[Action] = &[
    Action::RunPlan,
    Action::DropLine,
    Action::Open,
    Action::DryRun,
    Action::Override,
    Action::TagAlone,
    Action::AllOrNothing,
    Action::Backup,
    Action::SavePlan,
    Action::LineSooner,
    Action::LineLater,
    Action::ClearPlan,
    Action::FocusPlan,
    Action::Zoom,
];
const LOG: &[Action] = &[Action::Open, Action::Undo, Action::Resume, Action::Redo, Action::Refresh, Action::FocusLog, Action::Zoom];
/// Always there, at the right.
const ALWAYS: &[Action] = &[Action::Help, Action::Palette, Action::Quit];

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    if state.filter_input().is_some() {
        return filter(canvas, area, state);
    }
    if let Some(what_if) = state.typed_policy() {
        return policy(canvas, area, what_if);
    }
    let mut pen = canvas.pen(area, area.y);
    pen.gap(1);
    for action in ALWAYS {
        let (key, label) = (key(state, *action), action.row().label);
        if key.is_empty() || pen.room() < 24 {
            continue;
        }
        pen.right(" ", Role::Label);
        pen.right(label, Role::Label);
        pen.right(" ", Role::Label);
        pen.right(&key, Role::Key);
        pen.right(" ", Role::Label);
    }
    let here = match state.focus {
        PaneId::Images => IMAGES,
        PaneId::Registries => REGISTRIES,
        PaneId::Layers if state.layers.files.as_ref().is_some_and(|files| files.listing != Listing::Tree) => LISTINGS,
        PaneId::Layers if state.layers.files.is_some() => FILES,
        PaneId::Layers => LAYERS,
        PaneId::Findings => FINDINGS,
        PaneId::Plan => PLAN,
        PaneId::Tasks => TASKS,
        PaneId::Log => LOG,
    };
    for action in here.iter().filter(|action| actions::available(state, **action).is_ok()) {
        if !hint(&mut pen, &key(state, *action), action.row().label) {
            break;
        }
    }
}

/// One key and its word; false when there is no room for it.
fn hint(pen: &mut Pen<'_, '_>, key: &Safe, label: &'static str) -> bool {
    if key.is_empty() {
        return true;
    }
    let width = Shown::from(key).width() + Shown::from(label).width() + 1;
    if pen.room() < width {
        return false;
    }
    pen.put(key, Role::Key).gap(1);
    pen.put(label, Role::Label).gap(2);
    true
}

/// The policy as it is typed: what is wrong with it, or what the keys do.
fn policy(canvas: &mut Canvas<'_>, area: Rect, what_if: &WhatIf) {
    let mut pen = canvas.pen(area, area.y);
    pen.put(" what if: ", Role::Key);
    let (words, role) = match &what_if.mistake {
        Some(mistake) => (words!("  {} {mistake} ", pen.signs().bad), Role::Bad),
        None if what_if.policy().is_some() => (words!("  Enter into the plan  Ctrl-s save  Esc close "), Role::Label),
        None => (words!("  drop pr-* older than 14d, keep only last 3 of v{{semver}} per minor, or @FILE "), Role::Muted),
    };
    let room = pen.room();
    let typed = Shown::from(&Safe::new(what_if.input.value())).width();
    if Shown::from(&words).width().saturating_add(typed.min(room / 2)) < room {
        pen.right(&words, role);
    } else if what_if.mistake.is_some() {
        // Half of the line tells what is wrong, the other half has what is typed.
        pen.right(Shown::from(&words).split(room / 2).0, role);
    }
    super::overlay::typed(&mut pen, &what_if.input, Role::Text);
}

/// What can be typed into a filter.
const fn terms(pane: PaneId) -> &'static str {
    match pane {
        PaneId::Findings => "words  =exact  severity:high  fixable  kind:secret  origin:app  package:ssl*  layer:2  !not",
        _ => "words  =exact  re:…  size:>500MB  age:>30d  tag:v1.*  unused  dangling  !not",
    }
}

/// The filter as it is typed, and what is wrong with it as it stands.
fn filter(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let Some(input) = state.filter_input() else { return };
    let mut pen = canvas.pen(area, area.y);
    pen.put(" /", Role::Key);
    let (rows, all) = state.filtered();
    let shown = words!("{} of {} ", crate::ui::text::count(rows), crate::ui::text::count(all));
    match state.filter_problem() {
        Some(problem) => {
            let words = words!("  {} {problem} ", pen.signs().bad);
            if Shown::from(&words).width() + 12 < pen.room() {
                pen.right(&words, Role::Bad);
            }
        }
        None if pen.room() > 60 => {
            pen.right(&words!("  {shown}"), Role::Accent);
            if input.value().is_empty() {
                pen.right(terms(state.focus), Role::Muted);
            }
        }
        None => {}
    }
    super::overlay::typed(&mut pen, input, Role::Text);
}
