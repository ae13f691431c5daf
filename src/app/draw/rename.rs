//! The dialog of the batch retag: the rule as it is typed, each old name with its new one, and what it comes to; or all of it as text.

use ratatui::layout::Rect;

use crate::app::overlay::rename::{Counts, HELP};
use crate::app::overlay::{Overlay, Rename, RenameText, Standing};
use crate::model::Safe;
use crate::pane::Area;
use crate::ui::canvas::Align;
use crate::ui::signs::Signs;
use crate::ui::text::{self, words};
use crate::ui::{Canvas, Pen, Role, Shown, widgets};

use super::overlay::{list, typed, window};

/// `editor` is the user's own, by name.
pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, it: &Rename, editor: Option<&Safe>) {
    let most = Overlay::frame(screen);
    if let Some(text) = &it.text {
        return as_text(canvas, screen, it, text, editor);
    }
    let height = text::cols(it.lines.len()).saturating_add(7).min(most.height);
    let title = words!("Batch retag of {}", text::count(it.lines.len()));
    let inside = widgets::dialog(canvas, Rect::from(screen), (most.width, height), &title);
    let field = Rect { y: inside.y, height: 1, ..inside }.intersection(inside);
    canvas.clear(field, Role::Input);
    let mut pen = canvas.pen(field, field.y);
    pen.gap(1);
    typed(&mut pen, &it.input, Role::Input);
    let bad = canvas.signs.bad;
    let mut pen = canvas.pen(inside, inside.y.saturating_add(1));
    match &it.mistake {
        Some(mistake) => drop(pen.put(bad, Role::DialogLoss).put(" ", Role::Dialog).put(mistake, Role::DialogLoss)),
        None if it.unlabelled > 0 => {
            let tags = if it.unlabelled == 1 { "tag" } else { "tags" };
            pen.put(&words!("The labels of {} {tags} are being read", text::count(it.unlabelled)), Role::DialogWarning);
        }
        None => drop(pen.put(HELP, Role::DialogMuted)),
    }
    let rows = Rect { y: inside.y.saturating_add(3), height: inside.height.saturating_sub(5), ..inside };
    lines(canvas, rows, it);
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    counts(&mut pen, it);
    pen.put("Enter", Role::DialogKey).put(" into the plan  ", Role::DialogMuted);
    pen.put("Tab", Role::DialogKey).put(" as text  ", Role::DialogMuted);
    pen.put("Esc", Role::DialogKey).put(" cancel", Role::DialogMuted);
}

fn counts(pen: &mut Pen<'_, '_>, it: &Rename) {
    let Counts { given, moved, gone, refused } = it.counts;
    let gone = if gone == 0 { Safe::default() } else { words!("{} taken away, ", text::count(gone)) };
    let counts = words!("{} to give, {} of them moved, {gone}{} refused", text::count(given), text::count(moved), text::count(refused));
    pen.right(&counts, Role::DialogMuted);
}

/// Columns of a line's number.
const NUMBER: u16 = 6;

/// The lines as they are edited, and beside each what it comes to.
fn as_text(canvas: &mut Canvas<'_>, screen: Area, it: &Rename, edited: &RenameText, own: Option<&Safe>) {
    let most = Overlay::frame(screen);
    let title = words!("Batch retag of {}, as text", text::count(it.rows()));
    let inside = widgets::dialog(canvas, Rect::from(screen), (most.width, most.height), &title);
    let rows = Rect { height: inside.height.saturating_sub(2), ..inside };
    let (row, column) = edited.editor.cursor();
    let width = rows.width.saturating_sub(NUMBER) * 3 / 5;
    let seen = edited.editor.visible();
    let first = seen.start;
    for at in seen {
        let Some(line) = edited.editor.lines().get(at) else { break };
        let y = rows.y.saturating_add(text::cols(at - first));
        let mut pen = canvas.pen(rows, y);
        if at == row {
            pen.under_cursor(Role::DialogCursor);
        }
        pen.cell(NUMBER - 1, Align::Right, &words!("{}", at + 1), Role::DialogMuted).gap(1);
        let caret = (at == row).then_some(column);
        written(&mut pen, line, width, caret);
        pen.gap(1);
        if let Some((standing, note)) = edited.notes.get(&at) {
            let (sign, role) = sign(*standing, pen.signs());
            pen.cell(2, Align::Left, sign, role);
            pen.put(note, role);
        }
        if let Some(column) = caret {
            let mut pen = canvas.pen(rows, y);
            pen.gap(NUMBER + shift(line, column, width).1);
            pen.caret();
        }
    }
    widgets::scrollbar(canvas, Rect { x: rows.right() + 1, width: 1, ..rows }, first, edited.editor.lines().len());
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    if edited.mistakes > 0 {
        let mistakes = words!("{} {} to put right", pen.signs().bad, text::count(edited.mistakes));
        pen.right(&mistakes, Role::DialogLoss);
    } else {
        counts(&mut pen, it);
    }
    pen.put("Ctrl-s", Role::DialogKey).put(" into the plan  ", Role::DialogMuted);
    if let Some(own) = own {
        pen.put("Ctrl-o", Role::DialogKey).put(&words!(" in {own}  "), Role::DialogMuted);
    }
    pen.put("Esc", Role::DialogKey).put(" back to the rule", Role::DialogMuted);
}

/// How far a line is scrolled so that its cursor shows, and the column of the cursor then.
fn shift(line: &str, column: usize, width: u16) -> (u16, u16) {
    let head: String = line.chars().take(column).collect();
    let at = Shown::from(&Safe::new(&head)).width();
    let shift = at.saturating_sub(width.saturating_sub(1));
    (shift, at - shift)
}

/// A line of the text: its source, its names and its comment apart.
fn written(pen: &mut Pen<'_, '_>, line: &str, width: u16, caret: Option<usize>) {
    let start = pen.x();
    let shift = caret.map_or(0, |column| shift(line, column, width).0);
    let role = if line.trim_start().starts_with('#') { Role::DialogMuted } else { Role::Dialog };
    pen.shifted(width, shift, &Safe::new(line), role);
    pen.go(start.saturating_add(width));
}

const fn sign(standing: Standing, signs: &'static Signs) -> (&'static str, Role) {
    match standing {
        Standing::New => (signs.arrow, Role::DialogGood),
        Standing::Moves => (signs.arrow, Role::DialogWarning),
        Standing::Goes => (signs.skipped, Role::DialogWarning),
        Standing::Same => (" ", Role::DialogMuted),
        Standing::Refused => (signs.bad, Role::DialogLoss),
    }
}

fn lines(canvas: &mut Canvas<'_>, rows: Rect, it: &Rename) {
    let seen = it.lines.get(window(&it.cursor, rows.height.max(1))).unwrap_or_default();
    let widest = seen.iter().map(|line| Shown::from(&line.from).width()).max().unwrap_or(0);
    list(canvas, rows, &it.cursor, &it.lines, |pen, line| {
        let signs = pen.signs();
        pen.gap(1);
        pen.middle(widest.min(rows.width / 2), &line.from, Role::Dialog).gap(1);
        let (sign, role) = sign(line.standing, signs);
        pen.cell(2, Align::Left, sign, role).gap(1);
        pen.put(&line.to, role);
    });
}
