//! The content of a file: its lines with their numbers, or its bytes as numbers and as letters.

use std::fmt::Write as _;

use ratatui::layout::Rect;

use crate::app::draw::key;
use crate::app::overlay::FileView;
use crate::app::overlay::file::NUMBERS;
use crate::app::state::State;
use crate::flow::Action;
use crate::layer::Peek;
use crate::layer::tree::Held;
use crate::model::{Safe, size};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

/// Columns of a row of numbers: its place, sixteen bytes, and their letters.
const PLACE: u16 = 6;
const BYTES: u16 = 48;
const LETTERS: u16 = 16;

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, it: &FileView, state: &State) {
    let inside = widgets::dialog(canvas, area, (area.width, area.height), &it.at.path);
    if let Held::Link(target) = &it.at.held {
        link(canvas, inside, it, target);
    } else if let Some(peek) = &it.content.value {
        content(canvas, inside, it, peek);
    } else if let Some(problem) = &it.content.problem {
        widgets::problem_card(canvas, inside, problem, &Safe::default());
    } else {
        waiting(canvas, inside, it, state);
    }
    footer(canvas, area, it, state);
}

fn link(canvas: &mut Canvas<'_>, inside: Rect, it: &FileView, target: &[u8]) {
    let target = Safe::from(String::from_utf8_lossy(target).into_owned());
    let mut lines = vec![(Role::DialogMuted, Shown::from("A symbolic link to")), (Role::Dialog, Shown::from(&target))];
    let leads = it.at.leads.as_ref().map(|(path, there)| match there {
        true => (Role::DialogGood, words!("{path} is there")),
        false => (Role::DialogWarning, words!("{path} is not there in this layer or below")),
    });
    if let Some((role, words)) = &leads {
        lines.push((*role, Shown::from(words)));
    }
    widgets::card(canvas, inside, &lines);
}

fn waiting(canvas: &mut Canvas<'_>, inside: Rect, it: &FileView, state: &State) {
    let words = words!("{} Reading the file", canvas.signs.spin(state.spin));
    if !it.takes_long(state.now) {
        return widgets::card(canvas, inside, &[(Role::Dialog, Shown::from(&words))]);
    }
    let far = match it.progress.totals() {
        (done, Some(all)) => words!("{} of at most {} of the layer read", size::human(done), size::human(all)),
        (done, None) if done > 0 => words!("{} read", size::human(done)),
        _ => it.progress.phase.clone(),
    };
    widgets::card(canvas, inside, &[(Role::Dialog, Shown::from(&words)), (Role::DialogMuted, Shown::from(&far))]);
}

fn content(canvas: &mut Canvas<'_>, inside: Rect, it: &FileView, peek: &Peek) {
    let mut pen = canvas.pen(inside, inside.y);
    pen.put(&it.at.about, Role::DialogMuted);
    let form = match (peek.is_text(), it.as_bytes) {
        _ if peek.is_empty() => words!(", empty"),
        (true, false) => words!(", {} line{}", text::count(peek.lines() as usize), if peek.lines() == 1 { "" } else { "s" }),
        (true, true) => words!(", text as bytes"),
        (false, _) => words!(", not text"),
    };
    pen.put(&form, Role::DialogMuted);
    if peek.is_cut() {
        let sign = pen.signs().warning;
        let checked = if peek.is_checked() { "" } else { ", not checked" };
        pen.put(&words!("  {sign} only the first {}{checked}", size::human(peek.len() as u64)), Role::DialogWarning);
    }
    let rows = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    for (y, at) in (rows.top()..rows.bottom()).zip(it.scroll..) {
        let pen = canvas.pen(rows, y);
        let drawn = if it.as_bytes || !peek.is_text() { bytes(pen, peek, at, it.shift) } else { line(pen, peek, at, it.shift) };
        if drawn.is_none() {
            break;
        }
    }
}

fn line(mut pen: Pen<'_, '_>, peek: &Peek, at: usize, shift: u16) -> Option<()> {
    let (number, text) = peek.text_row(at)?;
    let number = number.map(|number| words!("{number}")).unwrap_or_default();
    pen.cell(NUMBERS - 2, Align::Right, &number, Role::DialogMuted).gap(2);
    let room = pen.room();
    pen.shifted(room, shift, &Safe::from(text), Role::Dialog);
    Some(())
}

fn bytes(mut pen: Pen<'_, '_>, peek: &Peek, at: usize, shift: u16) -> Option<()> {
    let (place, bytes) = peek.byte_row(at)?;
    let (mut numbers, mut letters) = (String::with_capacity(usize::from(BYTES)), String::with_capacity(usize::from(LETTERS)));
    for (at, byte) in bytes.iter().enumerate() {
        let _ = write!(numbers, "{byte:02x} ");
        // What reads like an escape of ours would be written longer.
        let escapes = *byte == b'\\' && matches!(bytes.get(at + 1), Some(b'x' | b'u'));
        letters.push(if (b' '..=b'~').contains(byte) && !escapes { char::from(*byte) } else { '.' });
    }
    let place = words!("{place:06x}");
    if pen.room() < PLACE + 1 + BYTES + 1 + LETTERS {
        let room = pen.room();
        pen.shifted(room, shift, &words!("{place} {numbers:<48} {letters}"), Role::Dialog);
        return Some(());
    }
    pen.cell(PLACE, Align::Right, &place, Role::DialogMuted).gap(1);
    pen.cell(BYTES, Align::Left, &Safe::from(numbers), Role::Dialog).gap(1);
    pen.cell(LETTERS, Align::Left, &Safe::from(letters), Role::DialogTitle);
    Some(())
}

/// What the keys do, and how far one has read.
fn footer(canvas: &mut Canvas<'_>, area: Rect, it: &FileView, state: &State) {
    if area.height < 3 {
        return;
    }
    let mut pen = widgets::on_line(canvas, area, area.bottom() - 1);
    let (rows, height) = (it.rows(), it.height);
    if rows > height {
        let last = (it.scroll + height).min(rows);
        pen.right(" ", Role::DialogMuted);
        pen.right(&words!("{}-{} of {}", text::count(it.scroll + 1), text::count(last), text::count(rows)), Role::DialogMuted);
        pen.right(" ", Role::DialogMuted);
    }
    pen.put(" Esc", Role::DialogKey).put(" closes ", Role::DialogMuted);
    if it.content.value.as_ref().is_some_and(|peek| peek.is_text() && !peek.is_empty()) {
        pen.put(" Tab", Role::DialogKey).put(if it.as_bytes { " text " } else { " bytes " }, Role::DialogMuted);
    }
    let save = key(state, Action::SaveFile);
    if it.at.lies().is_some() && !save.is_empty() {
        pen.put(" ", Role::DialogMuted).put(&save, Role::DialogKey).put(" saves ", Role::DialogMuted);
    }
    let track = Rect { x: area.right() - 1, y: area.y + 2, width: 1, height: area.height - 3 };
    widgets::scrollbar(canvas, track, it.scroll, rows);
}
