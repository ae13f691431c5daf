//! The overlays that are read page by page: help, and everything known of one image.

use ratatui::layout::Rect;

use crate::app::overlay::{Help, HelpRow, Inspect, InspectLine};
use crate::app::state::State;
use crate::model::Safe;
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Role, Shown, text, widgets};

/// Columns of a help entry's keys.
const KEYS: u16 = 16;

/// From this width of the screen on, help stands in two columns.
const TWO: u16 = 150;

/// The keys of this pane and what they do.
pub(super) fn help(canvas: &mut Canvas<'_>, screen: Rect, most: Rect, it: &Help) {
    let title = words!("Keys in {}", it.title);
    if screen.width >= TWO
        && let Some(split) = split(it, usize::from(most.height.saturating_sub(2)))
    {
        let size = (screen.width - 10, text::cols(split.max(it.rows.len() - split)) + 2);
        let inside = widgets::dialog(canvas, screen, size, &title);
        let half = Rect { width: inside.width / 2 - 1, ..inside };
        help_rows(canvas, half, it.rows.get(..split).unwrap_or_default());
        help_rows(canvas, Rect { x: half.right() + 2, ..half }, it.rows.get(split..).unwrap_or_default());
        return footer(canvas, screen, size, 0, it.rows.len(), it.rows.len());
    }
    let size = (most.width, text::cols(it.rows.len() + 2).min(most.height));
    let inside = widgets::dialog(canvas, most, size, &title);
    let height = usize::from(inside.height);
    let first = it.scroll.min(it.rows.len().saturating_sub(height));
    help_rows(canvas, inside, it.rows.get(first..).unwrap_or_default());
    footer(canvas, most, size, first, height, it.rows.len());
}

/// The heading at which two columns are nearest to equal, when both fit.
fn split(it: &Help, height: usize) -> Option<usize> {
    let len = it.rows.len();
    let headings = it.rows.iter().enumerate().skip(1).filter(|(_, row)| matches!(row, HelpRow::Heading(_)));
    headings.map(|(at, _)| at).filter(|at| (*at).max(len - at) <= height).min_by_key(|at| (*at).max(len - at))
}

fn help_rows(canvas: &mut Canvas<'_>, area: Rect, rows: &[HelpRow]) {
    for (y, row) in (area.top()..area.bottom()).zip(rows) {
        let mut pen = canvas.pen(area, y);
        match row {
            HelpRow::Heading(heading) => drop(pen.put(*heading, Role::DialogTitle)),
            HelpRow::Row { keys, action } => {
                let row = action.row();
                let keys = Safe::new(keys);
                pen.gap(1);
                pen.cell(KEYS.min(area.width / 3), Align::Left, &keys, Role::DialogKey).gap(1);
                pen.put(row.help, Role::Dialog);
                if row.mutates && pen.room() > 16 {
                    pen.put("  changes images", Role::DialogMuted);
                }
            }
        }
    }
}

/// Everything known of one image.
pub(super) fn inspect(canvas: &mut Canvas<'_>, area: Rect, it: &Inspect, state: &State) {
    let title = words!("Inspect {}", it.title);
    let size = (area.width, area.height);
    let inside = widgets::dialog(canvas, area, size, &title);
    if it.image.value.is_none() {
        if let Some(problem) = &it.image.problem {
            widgets::problem_card(canvas, inside, problem, &Safe::default());
        } else {
            let words = words!("{} Reading the image", canvas.signs.spin(state.spin));
            widgets::card(canvas, inside, &[(Role::Dialog, Shown::from(&words))]);
        }
        return;
    }
    let height = usize::from(inside.height);
    let first = it.scroll.min(it.lines.len().saturating_sub(height));
    let mut names = names(&it.lines, first, inside.width);
    for (i, line) in it.lines.iter().skip(first).take(height).enumerate() {
        let mut pen = canvas.pen(inside, inside.y.saturating_add(text::cols(i)));
        match line {
            InspectLine::Heading(heading) => {
                pen.put(*heading, Role::DialogTitle);
                names = self::names(&it.lines, first + i, inside.width);
            }
            InspectLine::Field { name, value } => {
                pen.gap(1);
                pen.cell(names, Align::Left, name, Role::DialogMuted).gap(2);
                let room = pen.room();
                pen.shifted(room, it.shift, value, Role::Dialog);
            }
            InspectLine::Item(item) => {
                pen.gap(2);
                let room = pen.room();
                pen.shifted(room, it.shift, item, Role::Dialog);
            }
            InspectLine::Blank => {}
        }
    }
    footer(canvas, area, size, first, height, it.lines.len());
}

/// Columns of the field names in the section that line `at` is in.
fn names(lines: &[InspectLine], at: usize, width: u16) -> u16 {
    let heading = |line: &InspectLine| matches!(line, InspectLine::Heading(_));
    let start = lines.iter().take(at + 1).rposition(heading).unwrap_or(0);
    let section = lines.iter().skip(start + 1).take_while(|line| !heading(line));
    let widths = section.filter_map(|line| if let InspectLine::Field { name, .. } = line { Some(Shown::from(name).width()) } else { None });
    widths.max().unwrap_or(0).clamp(12, (width / 2).max(12))
}

/// How far one has read, on the frame's lower line, and its scrollbar.
fn footer(canvas: &mut Canvas<'_>, around: Rect, size: (u16, u16), first: usize, height: usize, len: usize) {
    let area = Rect { x: around.x, y: around.y + (around.height - size.1) / 2, width: size.0, height: size.1 };
    if area.height < 3 {
        return;
    }
    let mut pen = widgets::on_line(canvas, area, area.bottom() - 1);
    if len > height {
        pen.right(" ", Role::DialogMuted);
        pen.right(&words!("{}-{} of {len}", first + 1, (first + height).min(len)), Role::DialogMuted);
        pen.right(" ", Role::DialogMuted);
    }
    pen.put(" Esc", Role::DialogKey).put(" closes ", Role::DialogMuted);
    let track = Rect { x: area.right() - 1, y: area.y + 1, width: 1, height: area.height - 2 };
    widgets::scrollbar(canvas, track, first, len);
}
