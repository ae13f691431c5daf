//! The dialog of what can go: a line for each group with what it frees, its images where it is unfolded, and what all picks come to.

use ratatui::layout::Rect;

use crate::app::overlay::{CleanRow, CleanUp, Overlay};
use crate::app::state::State;
use crate::curate::cleanup::{Bytes, Kind};
use crate::curate::words::counted;
use crate::flow::Action;
use crate::model::{Safe, time};
use crate::pane::Area;
use crate::ui::canvas::Align;
use crate::ui::text::{self, words};
use crate::ui::{Canvas, Pen, Role, widgets};

use super::key;
use super::overlay::list;

/// Columns of the number of images, of the bytes in words, and of an image's facts.
const IMAGES: u16 = 13;
const BYTES: u16 = 21;
const FACT: u16 = 10;

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, it: &CleanUp, state: &State) {
    let most = Overlay::frame(screen);
    // As high as ever: the groups must not jump when one is unfolded.
    let inside = widgets::dialog(canvas, Rect::from(screen), (most.width, most.height), "What can go");
    let rows = Rect { height: inside.height.saturating_sub(5), ..inside };
    list(canvas, rows, &it.cursor, &it.rows, |pen, row| match row {
        CleanRow::Group(n) => group(pen, it, *n),
        CleanRow::Image(n, at) => image(pen, it, *n, *at, state),
    });
    let below = rows.bottom();
    canvas.text(inside, below.saturating_add(1), &it.note(), Role::DialogMuted);
    let mut pen = canvas.pen(inside, below.saturating_add(2));
    if it.picks() == 0 {
        pen.put("Nothing is picked yet", Role::DialogMuted);
    } else {
        let (images, bytes) = it.total;
        let picked = counted(it.picks(), "row");
        pen.put(&words!("{picked} picked: {} altogether, frees {}", goes(images), bytes.words()), Role::DialogWarning);
    }
    keys(canvas, inside, state);
}

fn goes(images: usize) -> String {
    if images == 1 { "1 image goes".to_owned() } else { format!("{images} images go") }
}

fn group(pen: &mut Pen<'_, '_>, it: &CleanUp, n: usize) {
    let (Some(group), Some(picked)) = (it.groups.get(n), it.picked.get(n)) else { return };
    let (signs, empty) = (pen.signs(), group.chosen.is_empty());
    let role = if empty { Role::DialogMuted } else { Role::Dialog };
    pen.put(if it.is_unfolded(n) { signs.unfolded } else { signs.folded }, role).gap(1);
    let (sign, of) = match (*picked, group.chosen.len()) {
        (0, _) => (" ", Role::DialogMuted),
        (picked, all) if picked == all => (signs.mark, Role::Mark),
        _ => (signs.range, Role::Mark),
    };
    pen.cell(2, Align::Left, sign, of);
    let asking = matches!(group.kind, Kind::Pullable) && it.asked.job.is_some();
    let bytes = match (empty, asking) {
        (true, true) => words!("asking"),
        (true, false) => words!("none"),
        (false, _) => short(group.bytes),
    };
    let images = if empty { Safe::default() } else { Safe::from(counted(group.images, "image")) };
    // From the right, so that what it frees always stands.
    let rest = BYTES.min(pen.room() / 2);
    let name = pen.room().saturating_sub(rest + IMAGES + 2);
    pen.cell(name, Align::Left, &group.kind.words(), role).gap(1);
    pen.cell(IMAGES, Align::Right, &images, Role::DialogMuted).gap(1);
    pen.cell(rest, Align::Right, &bytes, role);
}

/// What a group frees, in few columns.
fn short(bytes: Bytes) -> Safe {
    match bytes {
        Bytes::Between { at_least: Some(least), at_most } if least != at_most => {
            words!("{} to {}", text::bytes(least), text::bytes(at_most))
        }
        Bytes::Between { at_least: None, at_most } => words!("up to {}", text::bytes(at_most)),
        Bytes::Exact(bytes) | Bytes::Between { at_most: bytes, .. } => text::bytes(bytes),
    }
}

fn image(pen: &mut Pen<'_, '_>, it: &CleanUp, n: usize, at: usize, state: &State) {
    let Some((image, name, idle, picked)) = it.row(n, at) else { return };
    let signs = pen.signs();
    pen.gap(2);
    pen.cell(2, Align::Left, if picked { signs.mark } else { " " }, Role::Mark).gap(1);
    let title = match (name, image.repo_digests.first()) {
        (Some(name), _) => Safe::ascii(name.familiar()),
        (None, Some(from)) => words!("{} of {}", image.id.short(), Safe::ascii(from.split().0)),
        (None, None) => words!("{}", image.id.short()),
    };
    let width = pen.room().saturating_sub(2 * (FACT + 1));
    pen.middle(width, &title, Role::Dialog).gap(1);
    let idle = idle.map(|since| words!("idle {}", time::age(since, state.now))).unwrap_or_default();
    pen.cell(FACT, Align::Right, &idle, Role::DialogMuted).gap(1);
    let size = image.size.map(text::bytes).unwrap_or_default();
    pen.cell(FACT, Align::Right, &size, Role::DialogMuted);
}

fn keys(canvas: &mut Canvas<'_>, inside: Rect, state: &State) {
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    let plus = words!("+ -");
    let all = [
        (key(state, Action::Mark), "pick"),
        (key(state, Action::Right), "unfold"),
        (plus, "limit"),
        (key(state, Action::Delete), "into the plan"),
        (key(state, Action::Back), "close"),
        (key(state, Action::ClearMarks), "none"),
    ];
    for (key, does) in &all {
        if key.is_empty() {
            continue;
        }
        pen.put(key, Role::DialogKey).gap(1);
        pen.put(*does, Role::DialogMuted).gap(2);
    }
}
