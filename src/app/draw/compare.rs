//! Two images side by side. Both columns scroll together; the row under the cursor has its values in full below the list.

use ratatui::layout::Rect;

use crate::app::overlay::compare::{AROUND, Compare, CompareRow};
use crate::app::state::State;
use crate::flow::Action;
use crate::model::comparison::Section;
use crate::model::{Safe, size};
use crate::pane::Area;
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::key;
use super::overlay::window;

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, it: &Compare, state: &State) {
    let width = screen.width.saturating_sub(2).min(180);
    let height = screen.height.saturating_sub(2);
    let inside = widgets::dialog(canvas, Rect::from(screen), (width, height), "Compare");
    let rows = Rect { y: inside.y + 3, height: inside.height.saturating_sub(text::cols(AROUND) - 1), ..inside };
    sections(canvas, inside, it);
    let columns = Columns::of(rows.width);
    let mut pen = canvas.pen(inside, inside.y + 2);
    pen.gap(2 + columns.what + 1);
    pen.middle(columns.value, &it.before.name, Role::DialogTitle).gap(1);
    pen.middle(columns.value, &it.after.name, Role::DialogTitle);
    if it.is_empty() {
        nothing(canvas, rows, it, state);
    } else {
        list(canvas, rows, it, &columns);
        values(canvas, Rect { y: rows.bottom() + 1, height: 3, ..inside }, it);
    }
    if let Some(why) = it.problems.first() {
        let more = if it.problems.len() > 1 { words!(" and {} more", it.problems.len() - 1) } else { Safe::default() };
        let why = words!("{} not all is known: {}{more}", canvas.signs.warning, why.cause);
        canvas.text(inside, rows.bottom(), &why, Role::DialogWarning);
    }
    footer(canvas, inside, it, state);
}

struct Columns {
    what: u16,
    value: u16,
}

impl Columns {
    /// The name has two fifths, each value half of the rest.
    fn of(width: u16) -> Self {
        let room = width.saturating_sub(4);
        let value = room * 3 / 10;
        Self { what: room.saturating_sub(2 * value), value }
    }
}

/// The sections with how much differs in each.
fn sections(canvas: &mut Canvas<'_>, inside: Rect, it: &Compare) {
    let mut pen = canvas.pen(inside, inside.y);
    for (n, section) in Section::ALL.into_iter().enumerate() {
        let role = if section == it.section { Role::DialogTitle } else { Role::DialogMuted };
        let mark = if section == it.section { pen.signs().cursor } else { " " };
        let count = match it.rows_of(section) {
            Some(count) => text::count(count),
            None if it.job.is_some() => Safe::new("…"),
            None => Safe::new("?"),
        };
        pen.put(mark, role);
        pen.put(&words!("{}", n + 1), Role::DialogKey).gap(1);
        pen.put(section.title(), role).gap(1);
        pen.put(&count, role).gap(2);
    }
    if !it.filter.is_empty() {
        pen.right(&words!("/{} ", Safe::new(&it.filter)), Role::DialogWarning);
    }
}

/// Why there are no rows.
fn nothing(canvas: &mut Canvas<'_>, rows: Rect, it: &Compare, state: &State) {
    let at = rows.y + rows.height / 3;
    if it.job.is_some() && it.rows_of(it.section).is_none() {
        let what = if it.progress.phase.as_str().is_empty() { Safe::new("reading the layers") } else { it.progress.phase.clone() };
        let line = words!("{} {what}", canvas.signs.spin(state.spin));
        widgets::centred(canvas, rows, at, &line, Role::Dialog);
        if let (done, Some(all)) = it.progress.totals() {
            let far = words!("{} of {}", size::human(done), size::human(all));
            widgets::centred(canvas, rows, at + 1, &far, Role::DialogMuted);
            let width = rows.width.min(50);
            let mut pen = canvas.pen(rows, at + 2);
            pen.gap((rows.width - width) / 2);
            pen.bar(width, done, all, Role::DialogGood);
        }
        return;
    }
    let words = match it.rows_of(it.section) {
        Some(0) => "No difference",
        Some(_) if it.sifting.is_some() => "Finding them",
        Some(_) => "Nothing like that differs",
        None => "Not known",
    };
    widgets::centred(canvas, rows, at, words, Role::DialogMuted);
}

fn list(canvas: &mut Canvas<'_>, rows: Rect, it: &Compare, columns: &Columns) {
    let shown = window(&it.cursor, rows.height.max(1));
    let first = shown.start;
    for (y, at) in (rows.y..rows.bottom()).zip(shown) {
        let Some(row) = it.row(at) else { break };
        let mut pen = canvas.pen(rows, y);
        if at == it.cursor.at {
            pen.under_cursor(Role::DialogCursor);
        }
        line(&mut pen, &row, columns);
    }
    widgets::scrollbar(canvas, Rect { x: rows.right() + 1, width: 1, ..rows }, first, it.len());
}

fn line(pen: &mut Pen<'_, '_>, row: &CompareRow, columns: &Columns) {
    let role = role(row.sign);
    pen.put(row.sign, role).gap(1);
    pen.middle(columns.what, &row.what, role).gap(1);
    pen.cell(columns.value, Align::Left, Shown::from(&row.before), Role::Dialog).gap(1);
    pen.cell(columns.value, Align::Left, Shown::from(&row.after), Role::Dialog);
}

fn role(sign: &str) -> Role {
    match sign {
        "+" => Role::DialogGood,
        "-" => Role::DialogLoss,
        "~" => Role::DialogWarning,
        _ => Role::DialogMuted,
    }
}

/// The row under the cursor: its name and both values, as wide as the dialog.
fn values(canvas: &mut Canvas<'_>, area: Rect, it: &Compare) {
    let Some(row) = it.row(it.cursor.at) else { return };
    for (y, (sign, value)) in (area.y..).zip([(" ", &row.what), ("-", &row.before), ("+", &row.after)]) {
        let mut pen = canvas.pen(area, y);
        pen.put(sign, role(sign)).gap(1);
        let room = pen.room();
        pen.shifted(room, it.shift, value, Role::Dialog);
    }
}

fn footer(canvas: &mut Canvas<'_>, inside: Rect, it: &Compare, state: &State) {
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    let closes = match (it.filter.is_empty(), it.job.is_some()) {
        (false, _) => "all rows",
        (_, true) => "stop reading",
        _ => "close",
    };
    let keys = [
        (Safe::new("Tab"), "section"),
        (key(state, Action::Filter), "find"),
        (key(state, Action::Export), "write a report"),
        (key(state, Action::Compare), "swap"),
        (Safe::new("Esc"), closes),
    ];
    for (key, does) in keys.iter().filter(|(key, _)| !key.as_str().is_empty()) {
        pen.put(key, Role::DialogKey).gap(1);
        pen.put(*does, Role::DialogMuted).gap(2);
    }
    let (at, all) = (it.cursor.at + 1, it.len());
    if all > 0 {
        pen.right(&words!("{} of {}", text::count(at), text::count(all)), Role::DialogMuted);
    }
}
