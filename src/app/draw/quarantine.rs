//! The report on where something polluted is, and what can be done about all of it at once.

use ratatui::layout::Rect;

use crate::app::overlay::{Overlay, Quarantine, QuarantineRow};
use crate::app::state::State;
use crate::flow::Action;
use crate::pane::Area;
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Role, Shown, widgets};

use super::key;
use super::overlay::list;

/// Columns of how something is concerned.
const HOW: u16 = 22;
/// Columns of how many tags were looked at.
const LOOKED: u16 = 30;

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, it: &Quarantine, state: &State) {
    let most = Overlay::frame(screen);
    let title = words!("What contains {}", it.about);
    let inside = widgets::dialog(canvas, Rect::from(screen), (most.width, most.height), &title);
    let rows = Rect { height: inside.height.saturating_sub(3), ..inside };
    if let Some(progress) = it.progress() {
        let line = words!("{} {progress}", canvas.signs.spin(state.spin));
        let mut pen = canvas.pen(rows, rows.y);
        pen.put(&line, Role::Dialog);
        let mut pen = canvas.pen(rows, rows.y.saturating_add(2));
        let part = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (read, of) = it.read();
        pen.bar(rows.width.min(50), part(read), part(of), Role::DialogGood);
        if let Some(repositories) = it.repositories() {
            canvas.text(rows, rows.y.saturating_add(4), &repositories, Role::DialogMuted);
        }
    } else {
        lines(canvas, rows, it);
    }
    if let Some(why) = it.warning() {
        let why = words!("{} {why}", canvas.signs.warning);
        canvas.text(inside, rows.bottom(), &why, Role::DialogWarning);
    }
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    let reading = [(key(state, Action::Back), "stop, and show what is known")];
    let read = [
        (key(state, Action::Retag), "put away"),
        (key(state, Action::Delete), "delete"),
        (key(state, Action::Export), "write a list"),
        (key(state, Action::Mark), "mark in the panes"),
        (key(state, Action::Back), "close"),
    ];
    let keys: &[_] = if it.job.is_some() { &reading } else { &read };
    for (key, does) in keys.iter().filter(|(key, _)| !key.is_empty()) {
        pen.put(key, Role::DialogKey).gap(1);
        pen.put(*does, Role::DialogMuted).gap(2);
    }
}

fn lines(canvas: &mut Canvas<'_>, rows: Rect, it: &Quarantine) {
    list(canvas, rows, &it.cursor, &it.rows, |pen, row| match row {
        QuarantineRow::Heading(title) => drop(pen.put(title, Role::DialogTitle)),
        QuarantineRow::Hit(what, how) => {
            pen.gap(2);
            let width = pen.room().saturating_sub(HOW + 1);
            pen.middle(width, what, Role::Dialog).gap(1);
            pen.cell(HOW, Align::Left, Shown::from(how), Role::DialogWarning);
        }
        QuarantineRow::Part(what, how) => {
            pen.gap(2);
            // Why it is not whole is what one looks for, and a name is known by its ends.
            let words = Shown::from(how).width().min(pen.room().saturating_mul(2) / 3);
            let width = pen.room().saturating_sub(words + 1).min(Shown::from(what).width());
            pen.middle(width, what, Role::Dialog).gap(1);
            pen.put(how, Role::DialogWarning);
        }
        QuarantineRow::Looked(what, how) => {
            pen.gap(2);
            let width = pen.room().saturating_sub(LOOKED + 1);
            pen.middle(width, what, Role::DialogMuted).gap(1);
            pen.cell(LOOKED, Align::Left, Shown::from(how), Role::DialogMuted);
        }
        QuarantineRow::Dark(words) => {
            pen.gap(2);
            pen.put(words, Role::DialogMuted);
        }
    });
}
