//! The files of the image that the Layers pane is on: opened at a step, read layer by layer, and looked at from one layer or another.

use std::fmt::Write as _;

use crate::flow::{Action, Effect, Job, JobEvent, JobId, JobOutput, Place, Shared};
use crate::layer::Tree;
use crate::layer::tree::{Change, Held, Wanted};
use crate::model::{Image, Safe, size};
use crate::pane::PaneId;
use crate::pane::layers::{Files, Layers, Listing, Reckoned};

use super::actions::ask;
use super::jobs::{self, answer};
use super::overlay::{Ask, FileAt, file, path, prompt};
use super::state::State;
use super::toast::ToastKind;

/// Whether keys go to the files of the Layers pane.
#[must_use]
pub fn has_keys(state: &State) -> bool {
    state.focus == PaneId::Layers && state.layers.files.is_some()
}

/// Opens the files of the layer that the step under the cursor made; of a step that made none, all that was there then.
pub(super) fn open(state: &mut State) -> Vec<Effect> {
    let Some(((source, _), image)) = state.layers.key.clone().zip(state.layers.image.value.clone()) else { return Vec::new() };
    if image.layers.as_ref().is_none_or(Vec::is_empty) {
        return vec![state.toasts.show(ToastKind::Info, "There are no layers to look into", None)];
    }
    let (layer, made) = layer_of(&state.layers, &image);
    state.layers.files = Some(Box::new(Files::new(source, image, layer, !made)));
    look(state)
}

/// Opens the files at the list of what is carried for nothing.
pub(super) fn waste(state: &mut State) -> Vec<Effect> {
    let mut effects = open(state);
    let reckoned = state.layers.reckoned.clone();
    if let Some(files) = &mut state.layers.files {
        files.list(Listing::Wasted, reckoned.as_ref());
        effects.extend(look(state));
    }
    effects
}

/// The layer of the step under the cursor, and whether that step made it; else the last one before it.
fn layer_of(layers: &Layers, image: &Image) -> (usize, bool) {
    let history = layers.history();
    let last = image.layers.as_ref().map_or(0, |layers| layers.len().saturating_sub(1));
    let step = match &layers.dockerfile {
        Some(lines) => lines.get(layers.cursor.at).and_then(|line| line.step),
        None => layers.steps.get(layers.cursor.at).copied(),
    };
    let Some(step) = step else { return (last, false) };
    let before = history.iter().take(step).filter(|entry| !entry.empty_layer).count();
    if history.get(step).is_some_and(|entry| !entry.empty_layer) {
        (before.min(last), true)
    } else {
        (before.saturating_sub(1).min(last), false)
    }
}

/// Does what was asked for; `None` when it is nothing of the files'.
pub(super) fn act(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    if !has_keys(state) {
        return None;
    }
    let files = state.layers.files.as_mut()?;
    if files.listing != Listing::Tree {
        return in_list(state, action);
    }
    match action {
        Action::NextListing | Action::Refresh => return listed(state, action),
        Action::InspectPath => {
            path::open(state);
            return Some(Vec::new());
        }
        Action::Back if files.filter.is_some() => files.filter = None,
        Action::Back => state.layers.files = None,
        Action::LayerBelow => files.layer = files.layer.saturating_sub(1),
        Action::LayerAbove => files.layer = (files.layer + 1).min(files.count().saturating_sub(1)),
        Action::WholeTree => files.merged = !files.merged,
        Action::FilesByName => files.order = crate::layer::tree::Order::Name,
        Action::FilesBySize => files.order = crate::layer::tree::Order::Size,
        Action::FindFiles => {
            let text = files.filter.as_ref().map_or_else(String::new, |filter| filter.text().to_owned());
            let about = Some(Safe::new("part of a name or /path, size:>1MB, change:removed"));
            ask(state, Ask::FindFiles, "Find files", about, text, "Enter find · Esc cancel");
            return Some(Vec::new());
        }
        // Enter folds what has something in it, and shows what else there is.
        Action::Open if files.act(action) => return Some(Vec::new()),
        Action::Open | Action::ViewFile => return Some(view(state)),
        Action::SaveFile => {
            match at(state) {
                Some(at) if at.lies().is_some() => prompt::save_file(state, at),
                Some(at) => return Some(vec![nothing(state, &at)]),
                None => {}
            }
            return Some(Vec::new());
        }
        _ => return files.act(action).then(Vec::new),
    }
    Some(look(state))
}

/// The same while a list of what is carried for nothing shows.
fn in_list(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    let reckoned = state.layers.reckoned.as_ref();
    let files = state.layers.files.as_mut()?;
    match action {
        Action::NextListing | Action::Refresh => return listed(state, action),
        Action::InspectPath => {
            path::open(state);
            return Some(Vec::new());
        }
        Action::Back => files.list(Listing::Tree, reckoned),
        Action::Open if reckoned.is_some_and(|reckoned| files.go_to_row(reckoned)) => {}
        // What else is about files is about a tree, which is not on the screen.
        Action::Open => return Some(Vec::new()),
        action if action.row().place == Place::Files => return Some(Vec::new()),
        _ => return files.act(action).then(Vec::new),
    }
    Some(look(state))
}

/// Goes on to the next list, or has all of it read again.
fn listed(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    let files = state.layers.files.as_mut()?;
    let listing = if action == Action::Refresh { files.listing } else { files.listing.next() };
    if action == Action::Refresh {
        files.forget();
        state.layers.reckoned = None;
    }
    files.list(listing, state.layers.reckoned.as_ref());
    Some(look(state))
}

/// Shows what the path under the cursor holds.
fn view(state: &mut State) -> Vec<Effect> {
    match at(state) {
        Some(at) if matches!(at.held, Held::Nothing(_)) => vec![nothing(state, &at)],
        Some(at) => file::open(state, at),
        None => Vec::new(),
    }
}

fn nothing(state: &mut State, at: &FileAt) -> Effect {
    let why = match at.held {
        Held::Nothing(why) => why,
        Held::Link(_) => "a link has no content of its own",
        Held::File(_) => "",
    };
    state.toasts.show(ToastKind::Info, format!("{}: {why}", at.path), None)
}

/// The path under the cursor, and where what it holds is.
fn at(state: &State) -> Option<FileAt> {
    let files = state.layers.files.as_ref()?;
    let (seen, row) = (files.shown.as_ref()?, files.selected()?);
    let (tree, held) = (&*seen.tree, seen.view.held(&seen.tree, row.node));
    let name = String::from_utf8_lossy(tree.name(row.node)).into_owned();
    let from = seen.view.origin(tree, row.node).map_or(files.layer, |(layer, _)| layer);
    let mut about = format!("layer {} of {}", from + 1, files.count());
    if let Held::File(lies) = &held {
        about = format!("{}, {about}", size::human(lies.length));
    }
    if seen.view.change(row.node) == Some(Change::Removed) {
        let _ = write!(about, ", removed by layer {}", files.layer + 1);
    }
    let leads = match &held {
        Held::Link(target) => {
            let to = tree.leads(row.node, target, files.layer);
            Some((Safe::from(format!("/{}", String::from_utf8_lossy(&to.0))), to.1))
        }
        Held::File(_) | Held::Nothing(_) => None,
    };
    let path = Safe::from(format!("/{}", String::from_utf8_lossy(&tree.path(row.node))));
    Some(FileAt { source: files.source.clone(), image: files.image.clone(), path, name, about: Safe::from(about), held, leads })
}

/// What was typed to find files by.
pub(super) fn find(state: &mut State, text: &str) -> Vec<Effect> {
    let (Some(files), Ok(wanted)) = (&mut state.layers.files, Wanted::parse(text)) else { return Vec::new() };
    files.filter = Some(wanted);
    look(state)
}

/// Has read what is looked at and was not read, and summed up what is there.
fn look(state: &mut State) -> Vec<Effect> {
    let Some(files) = &mut state.layers.files else { return Vec::new() };
    let mut effects = Vec::new();
    let needed = files.needed();
    if !needed.is_subset(&files.wanted) {
        // What was passed by before it was read is not wanted any more.
        files.wanted.retain(|at| files.read.contains_key(at));
        files.wanted.extend(needed);
        let layers = files.wanted.iter().copied().collect();
        let (source, image) = (files.source.clone(), files.image.clone());
        let (id, effect) = jobs::start(state, Job::Files { source, image, layers });
        state.layers.reading = Some(id);
        effects.push(effect);
    }
    effects.extend(arrange(state));
    effects
}

/// Sums up the newest tree as it is to be seen, where that is not on the screen.
fn arrange(state: &mut State) -> Option<Effect> {
    let files = state.layers.files.as_ref()?;
    if files.is_settled() {
        return None;
    }
    let (tree, look) = (files.tree.clone()?, files.look());
    // The same key again, or a layer that is the last one already, asks for nothing new.
    let same = |job: &Job| matches!(job, Job::Arrange { tree: of, look: other, .. } if *of == tree && *other == look);
    if files.arranging.is_some_and(|id| state.jobs.get(&id).is_some_and(same)) {
        return None;
    }
    let open = files.open();
    let (id, effect) = jobs::start(state, Job::Arrange { tree, look, open });
    if let Some(files) = &mut state.layers.files {
        files.ask(id);
    }
    Some(effect)
}

/// Takes what was read or summed up.
pub(super) fn event(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let reading = state.layers.reading == Some(id);
    let ours = reading || state.layers.files.as_ref().is_some_and(|files| files.arranging == Some(id));
    let Some(files) = state.layers.files.as_mut().filter(|_| ours) else { return Vec::new() };
    match answer(event, "read the layers") {
        Ok(JobOutput::Files { tree, read }) => {
            files.tree = Some(tree);
            files.read.extend(read);
        }
        Ok(JobOutput::Arranged { tree, look, view, rows }) => files.arranged(tree, look, view, rows.take()),
        Ok(_) => {
            state.layers.reading = None;
            let mut effects = Vec::from_iter(reckon(state));
            effects.extend(arrange(state));
            return effects;
        }
        Err(problem) => {
            files.problem = (!problem.is_cancelled()).then_some(problem);
            if !reading {
                // Trying the same again would end as it did.
                files.arranging = None;
                return Vec::new();
            }
            state.layers.reading = None;
        }
    }
    arrange(state).into_iter().collect()
}

/// Has reckoned up what the layers carry for nothing, once all of them are there.
fn reckon(state: &mut State) -> Option<Effect> {
    let files = state.layers.files.as_ref().filter(|files| files.is_whole())?;
    let tree = files.tree.clone()?;
    if state.layers.reckoned.as_ref().is_some_and(|reckoned| reckoned.tree == tree) {
        return None;
    }
    let (id, effect) = jobs::start(state, Job::Cost(tree));
    state.layers.reckoning = Some(id);
    Some(effect)
}

/// Takes what was reckoned.
pub(super) fn reckoned(state: &mut State, id: JobId, tree: Shared<Tree>, event: JobEvent) -> Vec<Effect> {
    if state.layers.reckoning != Some(id) {
        return Vec::new();
    }
    state.layers.reckoning = None;
    match answer(event, "reckon up the waste") {
        Ok(JobOutput::Cost(cost)) => state.layers.reckoned = Some(Reckoned { tree, cost }),
        Ok(_) => {}
        Err(problem) => {
            if let Some(files) = &mut state.layers.files {
                files.problem = (!problem.is_cancelled()).then_some(problem);
            }
        }
    }
    if let Some(files) = &mut state.layers.files {
        files.relist(state.layers.reckoned.as_ref());
    }
    Vec::new()
}

/// What is read for files that nobody looks at any more is not read any further.
pub(super) fn settle(state: &mut State) -> Option<Effect> {
    if state.layers.files.is_some() {
        return None;
    }
    let id = state.layers.reading.take()?;
    state.jobs.remove(&id).map(|_| Effect::Cancel(id))
}
