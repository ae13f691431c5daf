//! The dialog of the batch retag: the rule as it is typed, each old name with its new one, and what it comes to.

use ratatui::layout::Rect;

use crate::app::overlay::rename::HELP;
use crate::app::overlay::{Overlay, Rename, Standing};
use crate::pane::Area;
use crate::ui::canvas::Align;
use crate::ui::text::{self, words};
use crate::ui::{Canvas, Role, Shown, widgets};

use super::overlay::{typed, window};

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, it: &Rename) {
    let most = Overlay::frame(screen);
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
        None => drop(pen.put(HELP, Role::DialogMuted)),
    }
    let rows = Rect { y: inside.y.saturating_add(3), height: inside.height.saturating_sub(5), ..inside };
    lines(canvas, rows, it);
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    let (given, moved, refused) = it.counts();
    let counts = words!("{} to give, {} of them moved, {} refused", text::count(given), text::count(moved), text::count(refused));
    pen.right(&counts, Role::DialogMuted);
    pen.put("Enter", Role::DialogKey).put(" into the plan  ", Role::DialogMuted);
    pen.put("Esc", Role::DialogKey).put(" cancel", Role::DialogMuted);
}

fn lines(canvas: &mut Canvas<'_>, rows: Rect, it: &Rename) {
    let shown = window(&it.cursor, rows.height.max(1));
    let first = shown.start;
    let seen = it.lines.get(shown.clone()).unwrap_or_default();
    let widest = seen.iter().map(|line| Shown::from(&line.from).width()).max().unwrap_or(0);
    for at in shown {
        let Some(line) = it.lines.get(at) else { break };
        let mut pen = canvas.pen(rows, rows.y.saturating_add(text::cols(at - first)));
        if at == it.cursor.at {
            pen.under_cursor(Role::DialogCursor);
        }
        let signs = pen.signs();
        pen.gap(1);
        pen.middle(widest.min(rows.width / 2), &line.from, Role::Dialog).gap(1);
        let (sign, role) = match line.standing {
            Standing::New => (signs.arrow, Role::DialogGood),
            Standing::Moves => (signs.arrow, Role::DialogWarning),
            Standing::Same => (" ", Role::DialogMuted),
            Standing::Refused => (signs.bad, Role::DialogLoss),
        };
        pen.cell(2, Align::Left, sign, role).gap(1);
        pen.put(&line.to, role);
    }
    widgets::scrollbar(canvas, Rect { x: rows.right() + 1, width: 1, ..rows }, first, it.lines.len());
}
