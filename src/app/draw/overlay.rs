//! The dialogs over the panes: questions, lines to type, lists to choose from, and the card that waits. What is read page by page is in
//! [`super::reader`].

use ratatui::layout::Rect;
use tui_input::Input;

use crate::app::overlay::{Confirm, Menu, Overlay, Palette, Prompt};
use crate::app::state::State;
use crate::curate::Tone;
use crate::model::Safe;
use crate::pane::{Area, ListCursor};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{key, reader};

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Area, overlay: &Overlay, state: &State) {
    match overlay {
        Overlay::Confirm(it) => confirm(canvas, screen.into(), it),
        Overlay::Prompt(it) => prompt(canvas, screen.into(), it),
        Overlay::Menu(it) => menu(canvas, screen, it),
        Overlay::Palette(it) => palette(canvas, screen, it, state),
        Overlay::Rename(it) => super::rename::draw(canvas, screen, it, state.settings.editor.as_ref()),
        Overlay::CleanUp(it) => super::cleanup::draw(canvas, screen, it, state),
        Overlay::Compare(it) => super::compare::draw(canvas, screen, it, state),
        Overlay::Quarantine(it) => super::quarantine::draw(canvas, screen, it, state),
        Overlay::File(it) => super::file::draw(canvas, Overlay::frame(screen).into(), it, state),
        Overlay::Space(it) => super::space::draw(canvas, Overlay::frame(screen).into(), it, state),
        Overlay::Help(it) => reader::help(canvas, screen.into(), Overlay::frame(screen).into(), it),
        Overlay::Inspect(it) => reader::inspect(canvas, Overlay::frame(screen).into(), it, state),
        Overlay::Waiting { what, .. } => waiting(canvas, screen.into(), what, state),
    }
}

/// The rows of a list that show in `height`, with the cursor among them.
pub(super) fn window(cursor: &ListCursor, height: u16) -> std::ops::Range<usize> {
    let mut cursor = *cursor;
    cursor.set_height(usize::from(height));
    cursor.visible()
}

/// A list in a dialog: the rows that show, with the cursor among them, each put on its line by `draw`, and beside them how far it is scrolled.
pub(super) fn list<T>(canvas: &mut Canvas<'_>, rows: Rect, cursor: &ListCursor, items: &[T], mut draw: impl FnMut(&mut Pen<'_, '_>, &T)) {
    let shown = window(cursor, rows.height.max(1));
    let first = shown.start;
    for (line, item) in items.get(shown.clone()).unwrap_or_default().iter().enumerate() {
        let mut pen = canvas.pen(rows, rows.y.saturating_add(text::cols(line)));
        if first + line == cursor.at {
            pen.under_cursor(Role::DialogCursor);
        }
        draw(&mut pen, item);
    }
    widgets::scrollbar(canvas, Rect { x: rows.right() + 1, width: 1, ..rows }, first, items.len());
}

/// A line being typed: what it holds around its cursor, and the terminal's cursor there.
pub(super) fn typed(pen: &mut Pen<'_, '_>, input: &Input, role: Role) {
    let at = input.value().char_indices().nth(input.cursor()).map_or(input.value().len(), |(at, _)| at);
    let (before, after) = input.value().split_at_checked(at).unwrap_or((input.value(), ""));
    let (before, after) = (Safe::new(before), Safe::new(after));
    let room = pen.room().saturating_sub(1);
    let head = Shown::from(&before);
    let start = pen.x();
    if head.width() > room {
        let sign = pen.signs().ellipsis;
        pen.put(sign, Role::Muted).put(head.tail(room.saturating_sub(1)), role);
    } else {
        pen.put(head, role);
    }
    let caret = pen.x().max(start);
    pen.put(&after, role);
    pen.go(caret);
    pen.caret();
}

/// Columns of a dialog's last line without its verb: the keys, a gap, the other button and the frames of both.
const KEYS_AND_BUTTONS: u16 = 42;

fn confirm(canvas: &mut Canvas<'_>, screen: Rect, it: &Confirm) {
    let longest = it.lines.iter().map(|(_, line)| Shown::from(line).width()).max().unwrap_or(0);
    // The title is on the frame; the last line has the keys on its left and both buttons on its right.
    let longest = longest.max(Shown::from(&it.title).width()).max(KEYS_AND_BUTTONS + text::cols(it.verb.len()));
    let width = (longest + 6).clamp(44, 92).min(screen.width.saturating_sub(4));
    let columns = width.saturating_sub(6).max(1);
    let lines: Vec<(Tone, usize, Shown<'_>)> = it
        .lines
        .iter()
        .enumerate()
        .skip(it.scroll)
        .flat_map(|(n, (tone, line))| {
            let mut wrapped = Shown::from(line).wrapped(columns, 6);
            if wrapped.is_empty() {
                wrapped.push(Shown::from(line));
            }
            wrapped.into_iter().enumerate().map(move |(i, part)| (*tone, if i == 0 { n } else { usize::MAX }, part))
        })
        .collect();
    let most = screen.height.saturating_sub(8).max(1);
    let fits = text::cols(lines.len()).min(most);
    let inside = widgets::dialog(canvas, screen, (width, fits + 6), &it.title);
    let signs = canvas.signs;
    for (i, (tone, first, line)) in lines.iter().take(usize::from(fits)).enumerate() {
        let (sign, role) = match tone {
            Tone::Plain => (" ", Role::Dialog),
            Tone::Quiet => (" ", Role::DialogMuted),
            Tone::Warning => (signs.warning, Role::DialogWarning),
            Tone::Loss => (signs.bad, Role::DialogLoss),
        };
        let mut pen = canvas.pen(inside, inside.y.saturating_add(1).saturating_add(text::cols(i)));
        pen.put(if *first == usize::MAX { " " } else { sign }, role).gap(1);
        pen.put(*line, role);
    }
    let buttons = inside.bottom().saturating_sub(2);
    let hidden = lines.len() > usize::from(fits) || it.scroll > 0;
    if hidden {
        let words = words!("{}-{} of {} lines", it.scroll + 1, (it.scroll + usize::from(fits)).min(it.lines.len()), it.lines.len());
        let mut pen = canvas.pen(inside, buttons.saturating_sub(1));
        pen.right(&words, Role::DialogMuted);
    }
    let loses = it.lines.iter().any(|(tone, _)| *tone == Tone::Loss);
    let mut pen = canvas.pen(inside, buttons);
    let verb = button(it.verb, it.on_verb);
    let cancel = button("Cancel", !it.on_verb);
    let agreed = match (it.on_verb, loses) {
        (true, true) => Role::ButtonLoss,
        (true, false) => Role::ButtonFocused,
        (false, _) => Role::Button,
    };
    pen.right(&verb, agreed);
    pen.right("  ", Role::Dialog);
    pen.right(&cancel, if it.on_verb { Role::Button } else { Role::ButtonFocused });
    pen.put("Tab", Role::DialogKey).put(" choose  ", Role::DialogMuted);
    pen.put("y", Role::DialogKey).put(" yes  ", Role::DialogMuted).put("Esc", Role::DialogKey).put(" no", Role::DialogMuted);
}

/// A button's words: the one with the focus is told by more than its colour.
fn button(word: &str, focused: bool) -> Safe {
    if focused { words!("[ {word} ]") } else { words!("  {word}  ") }
}

fn prompt(canvas: &mut Canvas<'_>, screen: Rect, it: &Prompt) {
    let width = screen.width.saturating_sub(4).min(84);
    let about = it.about.as_ref().map(|about| Shown::from(about).wrapped(width.saturating_sub(4), 3)).unwrap_or_default();
    let height = text::cols(about.len()) + 6 + u16::from(!about.is_empty());
    let inside = widgets::dialog(canvas, screen, (width, height), &it.title);
    let mut y = inside.y;
    for line in &about {
        canvas.text(inside, y, *line, Role::DialogMuted);
        y = y.saturating_add(1);
    }
    y = y.saturating_add(u16::from(!about.is_empty()));
    let field = Rect { y, height: 1, ..inside }.intersection(inside);
    canvas.clear(field, Role::Input);
    let mut pen = canvas.pen(field, y);
    pen.gap(1);
    if it.ask.is_secret() {
        let hidden: String = it.input.value().chars().map(|_| '•').collect();
        typed(&mut pen, &tui_input::Input::new(hidden).with_cursor(it.input.cursor()), Role::Input);
    } else {
        typed(&mut pen, &it.input, Role::Input);
    }
    let sign = canvas.signs.bad;
    let mut pen = canvas.pen(inside, y.saturating_add(1));
    match &it.note {
        Ok(Some(note)) => drop(pen.put(note, Role::DialogGood)),
        Ok(None) => {}
        Err(problem) if it.input.value().is_empty() => drop(pen.put(problem, Role::DialogMuted)),
        Err(problem) => drop(pen.put(sign, Role::DialogLoss).put(" ", Role::Dialog).put(problem, Role::DialogLoss)),
    }
    let mut pen = canvas.pen(inside, y.saturating_add(3));
    for part in it.keys.split(" · ") {
        let (key, does) = part.split_once(' ').unwrap_or((part, ""));
        pen.put(key, Role::DialogKey).gap(1);
        pen.put(does, Role::DialogMuted).gap(2);
    }
}

fn menu(canvas: &mut Canvas<'_>, screen: Area, it: &Menu) {
    let most = Overlay::frame(screen);
    let label = it.items.iter().map(|item| Shown::from(&item.label).width()).max().unwrap_or(0).min(40);
    let detail = it.items.iter().map(|item| Shown::from(&item.detail).width()).max().unwrap_or(0);
    let width = (label + detail + 12).max(36).min(most.width);
    let rows = text::cols(it.items.len().max(1)).min(most.height.saturating_sub(2));
    let inside = widgets::dialog(canvas, Rect::from(screen), (width, rows + 2), &it.title);
    if it.items.is_empty() {
        canvas.text(inside, inside.y, "Nothing to choose from", Role::DialogMuted);
    }
    let signs = canvas.signs;
    list(canvas, Rect { height: rows, ..inside }, &it.cursor, &it.items, |pen, item| {
        pen.gap(1);
        let key = item.key.map(|key| words!("{key}")).unwrap_or_default();
        pen.cell(2, Align::Left, &key, Role::DialogKey);
        pen.cell(2, Align::Left, if item.current { signs.running } else { " " }, Role::DialogGood);
        pen.cell(label, Align::Left, &item.label, Role::Dialog).gap(2);
        let room = pen.room().saturating_sub(1);
        let role = if item.warning { Role::DialogWarning } else { Role::DialogMuted };
        pen.middle(room.min(Shown::from(&item.detail).width()), &item.detail, role);
    });
}

fn palette(canvas: &mut Canvas<'_>, screen: Area, it: &Palette, state: &State) {
    let most = Overlay::frame(screen);
    let width = most.width.min(76);
    let rows = most.height.saturating_sub(4).clamp(1, 16);
    let inside = widgets::dialog(canvas, Rect::from(screen), (width, rows + 4), "Actions");
    let mut pen = canvas.pen(inside, inside.y);
    pen.put(": ", Role::DialogKey);
    typed(&mut pen, &it.input, Role::Dialog);
    let line = canvas.signs.frame.horizontal;
    canvas.pen(inside, inside.y.saturating_add(1)).repeat(line, inside.width, Role::Border);
    if it.matches.is_empty() {
        canvas.text(inside, inside.y.saturating_add(2), "No action has that in its name", Role::DialogMuted);
    }
    let below = Rect { y: inside.y.saturating_add(2), height: rows, ..inside };
    list(canvas, below, &it.cursor, &it.matches, |pen, (action, able)| {
        let row = action.row();
        pen.gap(1);
        pen.keep(1);
        let keys = key(state, *action);
        pen.cell(16, Align::Left, row.name, if *able { Role::Dialog } else { Role::DialogMuted }).gap(1);
        pen.right(&keys, if *able { Role::DialogKey } else { Role::DialogMuted });
        pen.right(" ", Role::Dialog);
        match crate::app::actions::available(state, *action) {
            Err(why) if !able => pen.put(why, Role::DialogMuted),
            _ => pen.put(row.help, Role::DialogMuted),
        };
    });
}

fn waiting(canvas: &mut Canvas<'_>, screen: Rect, what: &Safe, state: &State) {
    let words = words!("{} {what}", canvas.signs.spin(state.spin));
    let width = (Shown::from(&words).width() + 8).max(32);
    let inside = widgets::dialog(canvas, screen, (width, 5), "");
    widgets::centred(canvas, inside, inside.y, &words, Role::Dialog);
    widgets::centred(canvas, inside, inside.y.saturating_add(2), "Esc cancels", Role::DialogMuted);
}
