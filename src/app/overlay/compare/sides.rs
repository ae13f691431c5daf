//! Which two images are compared: what is marked, wherever, and with one mark alone also what the cursor is on.
//!
//! Nothing that is marked is left out, be it hidden by a filter or not read yet: then it is said why there is nothing to compare.

use crate::app::state::State;
use crate::model::{ImageKey, Name, Safe};
use crate::pane::PaneId;
use crate::pane::images::RowKey;
use crate::pane::registries::Level;

use super::Compared;

/// Why there are no two, and what to do about it.
type Why = (Safe, Safe);

fn why(what: impl Into<Safe>) -> Why {
    (what.into(), Safe::new("two are compared, here or in a registry"))
}

/// What is marked, in the order of the panes. Marks are counted before anything is made of them: they may be very many.
pub(super) fn sides(state: &State) -> Result<[Compared; 2], Why> {
    let marked = state.images.few_marked(2).zip(state.registries.tags.few_marked(2));
    let Some((images, tags)) = marked.filter(|(images, tags)| images.len() + tags.len() <= 2) else {
        return Err(why("More than two images are marked"));
    };
    let mut sides = Vec::with_capacity(2);
    for row in &images {
        sides.push(here(state, row).ok_or_else(|| why("No source is chosen"))?);
    }
    for tag in &tags {
        sides.push(there(state, tag)?);
    }
    if sides.len() == 1 {
        let selected = match state.focus {
            PaneId::Registries => selected_there(state)?,
            _ => selected_here(state),
        };
        sides.extend(selected.filter(|selected| !sides.contains(selected)));
    }
    sides.try_into().map_err(|_fewer| why("Mark the image to compare this one with"))
}

fn here(state: &State, row: &RowKey) -> Option<Compared> {
    let at = (state.sources.current.clone()?, ImageKey::Id(row.id.clone()));
    Some(Compared { at, name: row.name.as_ref().map_or_else(|| Safe::new(row.id.short()), |name| Safe::ascii(name.familiar())) })
}

fn selected_here(state: &State) -> Option<Compared> {
    let (image, name) = state.images.selected()?;
    here(state, &RowKey { id: image.id.clone(), name: name.cloned() })
}

/// What a tag points at, which only its details tell.
fn there(state: &State, tag: &str) -> Result<Compared, Why> {
    let tags = &state.registries.tags;
    let source = tags.source.clone().ok_or_else(|| why("No registry is chosen"))?;
    // The host that the cursor is on may be another one by now.
    let host = source.registry_host().unwrap_or_default();
    let name = Name::new(&format!("{host}/{}:{tag}", tags.repository));
    let details = match tags.details.get(tag) {
        Some(Ok(details)) if details.is_readable() => details,
        Some(Ok(_)) => return Err(why(format!("{} is no image", name.safe()))),
        Some(Err(problem)) => return Err((Safe::from(format!("It can't be told what {} is", name.safe())), problem.cause.clone())),
        None => {
            let to_do = Safe::new("it is read when it is seen: go to it and wait");
            return Err((Safe::from(format!("It is not known yet what {} is", name.safe())), to_do));
        }
    };
    let reference = Name::new(&format!("{host}/{}@{}", tags.repository, details.digest)).reference();
    let key = ImageKey::Name(reference.map_err(|problem| why(problem.cause))?);
    Ok(Compared { at: (source, key), name: name.safe() })
}

fn selected_there(state: &State) -> Result<Option<Compared>, Why> {
    if state.registries.level == Level::Tags {
        return state.registries.tags.selected().map(|row| there(state, row.tag.raw())).transpose();
    }
    let Some((source, key)) = state.registries.selected_key() else { return Ok(None) };
    let name = Safe::new(&key.to_string());
    Ok(Some(Compared { at: (source, key), name }))
}
