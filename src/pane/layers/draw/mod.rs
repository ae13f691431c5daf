//! The picture of the Layers pane: the image in a line, then its build steps with what each cost, or the Dockerfile that can be read out of them.
//!
//! A drawing file: may use `ui` and ratatui. Only the visible rows are looked at.

mod costs;
mod files;

use ratatui::layout::Rect;

use crate::flow::Action;
use crate::model::dockerfile::{self, LineKind};
use crate::model::{HistoryEntry, Image, Safe, size, time};
use crate::pane::draw::{Face, age_role, position, size_role};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, code, text, widgets};

use super::Layers;

/// Columns of a size and of an age.
const SIZE: u16 = 7;
const AGE: u16 = 4;
/// The longest keyword that is aligned.
const KEYWORD: u16 = 10;
/// From this width on there is room for bars and aligned keywords.
const ROOMY: u16 = 60;

/// Draws the pane. `chosen` is whether an image is under the cursor of the Images pane at all.
pub fn draw(canvas: &mut Canvas<'_>, layers: &Layers, chosen: bool, face: &Face<'_>) {
    if let Some(files) = &layers.files {
        return self::files::draw(canvas, layers, files, face);
    }
    let title = match (&layers.dockerfile, layers.hide_empty) {
        (Some(_), _) => Safe::new("Dockerfile"),
        (None, true) => Safe::new("without empty layers"),
        (None, false) => Safe::default(),
    };
    face.frame(canvas, &title, &layers.cursor, &position(&layers.cursor));
    let Some(image) = &layers.image.value else {
        return nothing(canvas, layers, chosen, face);
    };
    about(canvas, image, layers, face);
    if let Some(lines) = &layers.dockerfile {
        for at in layers.cursor.visible() {
            let Some(line) = lines.get(at) else { break };
            let mut pen = face.row(canvas, &layers.cursor, at);
            if let Some(step) = line.step.filter(|_| line.kind == LineKind::Step) {
                step_cost(&mut pen, layers, step);
            }
            dockerfile_line(pen, line, at, layers.shift);
        }
        let step = lines.get(layers.cursor.at).and_then(|line| line.step);
        return detail(canvas, image, layers, step, face);
    }
    let largest = layers.largest();
    for at in layers.cursor.visible() {
        let Some((number, step)) = layers.steps.get(at).and_then(|&n| Some((n, layers.history().get(n)?))) else { break };
        let mut pen = face.row(canvas, &layers.cursor, at);
        numbers(&mut pen, step, number, layers);
        step_line(pen, step, largest, layers.shift, face);
    }
    if layers.steps.is_empty() {
        let words = if layers.history().is_empty() { "This image has no history" } else { "Every step is an empty layer" };
        widgets::card(canvas, face.rows, &[(Role::Muted, words.into())]);
    }
    detail(canvas, image, layers, layers.steps.get(layers.cursor.at).copied(), face);
}

/// The two heading lines: the image, and the columns.
fn about(canvas: &mut Canvas<'_>, image: &Image, layers: &Layers, face: &Face<'_>) {
    let dot = canvas.signs.separator;
    let heading = face.heading;
    let spinner = layers.image.is_loading().then(|| canvas.signs.spin(face.spin));
    let mut pen = canvas.pen(heading, heading.y);
    pen.gap(1);
    if let Some(spinner) = spinner {
        pen.put(spinner, Role::Info).put(" ", Role::Text);
    }
    let mut first = true;
    let mut part = |pen: &mut Pen<'_, '_>, words: Safe, role: Role| {
        if !first {
            pen.put(" ", Role::Muted).put(dot, Role::Muted).put(" ", Role::Muted);
        }
        first = false;
        pen.put(&words, role);
    };
    if let Some(bytes) = image.size {
        part(&mut pen, text::bytes(bytes), size_role(bytes));
    }
    let count = image.layers.as_ref().map_or_else(|| layers.history().iter().filter(|step| !step.empty_layer).count(), Vec::len);
    part(&mut pen, words!("{count} layer{}", if count == 1 { "" } else { "s" }), Role::Text);
    if let Some(reckoned) = &layers.reckoned {
        let (score, role) = costs::scored(&reckoned.cost);
        part(&mut pen, score, role);
    }
    if let Some(platform) = &image.platform {
        part(&mut pen, words!("{platform}"), Role::Text);
    }
    if let Some(then) = image.created {
        part(&mut pen, words!("{} old", time::age(then, face.now)), Role::Text);
    }
    part(&mut pen, words!("{}", image.id.short()), Role::Digest);
    if let Some(problem) = &layers.image.problem {
        part(&mut pen, words!("not fresh: {}", problem.cause), Role::Warning);
    }
    let mut pen = canvas.pen(heading, heading.y.saturating_add(1));
    if layers.dockerfile.is_some() {
        if layers.reckoned.is_some() && pen.room() > ROOMY {
            pen.right("    Files   Wasted ", Role::Heading);
        }
        pen.gap(5);
        pen.put("What the history tells; not what was copied, nor from which base", Role::Heading);
        return;
    }
    pen.gap(1);
    pen.cell(3, Align::Right, "#", Role::Heading).gap(2);
    pen.cell(SIZE, Align::Right, "Size", Role::Heading).gap(2);
    if layers.reckoned.is_some() {
        pen.cell(SIZE, Align::Right, "Wasted", Role::Heading).gap(2);
    }
    if heading.width >= ROOMY {
        pen.gap(bar_width(heading.width) + 2);
    }
    pen.cell(AGE, Align::Right, "Age", Role::Heading).gap(2);
    pen.put("Step", Role::Heading);
}

const fn bar_width(width: u16) -> u16 {
    if width >= 100 { 14 } else { 8 }
}

/// A step's number, what it cost, and what of that nobody sees once that is known.
fn numbers(pen: &mut Pen<'_, '_>, step: &HistoryEntry, number: usize, layers: &Layers) {
    let unknown = pen.signs().unknown;
    let empty = step.empty_layer;
    pen.gap(1);
    pen.cell(3, Align::Right, &words!("{}", number + 1), Role::LineNumber).gap(2);
    match step.size {
        Some(bytes) if !empty => pen.cell(SIZE, Align::Right, &text::bytes(bytes), size_role(bytes)),
        _ => pen.cell(SIZE, Align::Right, if empty { "" } else { unknown }, Role::Muted),
    };
    pen.gap(2);
    if layers.reckoned.is_some() {
        let wasted = layers.waste(number).map_or(0, |waste| waste.hidden);
        pen.cell(SIZE, Align::Right, &costs::wasted(wasted), Role::Warning).gap(2);
    }
}

fn step_line(mut pen: Pen<'_, '_>, step: &HistoryEntry, largest: u64, shift: u16, face: &Face<'_>) {
    let width = face.rows.width;
    let empty = step.empty_layer;
    if width >= ROOMY {
        let bytes = step.size.filter(|_| !empty).unwrap_or(0);
        let role = if bytes.saturating_mul(2) >= largest && bytes > 0 { Role::BarLarge } else { Role::Bar };
        pen.bar(bar_width(width), bytes, largest, role);
        pen.gap(2);
    }
    match step.created {
        Some(then) => {
            let role = if empty { Role::Muted } else { age_role(then, face.now) };
            pen.cell(AGE, Align::Right, &words!("{}", time::age(then, face.now)), role)
        }
        None => pen.cell(AGE, Align::Right, "", Role::Muted),
    };
    pen.gap(2);
    command(pen, step, shift, width >= ROOMY);
}

/// As much of a command as can be seen when it is scrolled by `shift`: a command can be thousands of characters long, a line shows a hundred.
fn within_reach(text: &str, shift: u16, room: u16) -> Safe {
    // Twice the room, so that the scrolling stops where the text does, give or take; a character makes at least one column but for the few marks.
    let most = (usize::from(shift) + usize::from(room)) * 2 + 16;
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    Safe::new(text.get(..end).unwrap_or(text))
}

/// The instruction as a person would have written it.
fn command(mut pen: Pen<'_, '_>, step: &HistoryEntry, shift: u16, aligned: bool) {
    let raw = step.created_by.as_ref().map_or("", |by| by.raw());
    let (keyword, rest) = dockerfile::instruction(raw);
    pen.keep(1);
    if !keyword.is_empty() {
        let role = if step.empty_layer { Role::Muted } else { Role::Keyword };
        let columns = if aligned { KEYWORD } else { 0 };
        let columns = text::cols(keyword.len()).max(columns);
        pen.cell(columns, Align::Left, keyword, role).gap(1);
    }
    let rest = if raw.is_empty() { step.comment.as_ref().map_or("", |comment| comment.raw()) } else { rest };
    let rest = within_reach(rest, shift, pen.room());
    let shown = Shown::from(&rest);
    let room = pen.room();
    if step.empty_layer {
        pen.shifted(room, shift, shown, Role::Muted);
    } else {
        code::line(&mut pen, shown, shift);
    }
}

/// At the right end of a line of the Dockerfile: the files that its layer brought, and what of them nobody sees.
fn step_cost(pen: &mut Pen<'_, '_>, layers: &Layers, step: usize) {
    let Some(waste) = layers.waste(step) else { return };
    let bytes = |bytes: u64| if bytes > 0 { size::human(bytes) } else { String::new() };
    if pen.room() > ROOMY {
        pen.right(&words!("{:>9} ", bytes(waste.hidden)), Role::Warning);
        pen.right(&words!("{:>9}", bytes(waste.written)), Role::Muted);
    }
}

fn dockerfile_line(mut pen: Pen<'_, '_>, line: &dockerfile::Line, at: usize, shift: u16) {
    pen.cell(4, Align::Right, &words!("{}", at + 1), Role::LineNumber).gap(2);
    pen.keep(1);
    match line.kind {
        LineKind::Comment => {
            let room = pen.room();
            pen.shifted(room, shift, &line.rest, Role::Comment);
        }
        LineKind::Step | LineKind::Setting | LineKind::Continued => {
            if !line.keyword.is_empty() {
                pen.put(line.keyword, Role::Keyword).gap(1);
            }
            code::line(&mut pen, Shown::from(&line.rest), shift);
        }
    }
}

/// The box at the bottom: the whole command of the step under the cursor, and the layer it made.
fn detail(canvas: &mut Canvas<'_>, image: &Image, layers: &Layers, step: Option<usize>, face: &Face<'_>) {
    let area = face.detail;
    let Some((number, entry)) = step.and_then(|n| Some((n, image.history.as_ref()?.get(n)?))) else { return };
    if area.height < 2 || area.width < 12 {
        return;
    }
    let line = canvas.signs.frame.horizontal;
    let mut pen = canvas.pen(area, area.y);
    pen.repeat(line, 1, Role::Border);
    pen.put(&words!(" Step {} ", number + 1), Role::Title);
    if let Some(waste) = layers.waste(number) {
        costs::layer(&mut pen, waste);
    }
    let rest = pen.room();
    pen.repeat(line, rest, Role::Border);
    let inside = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 1 };
    let raw = entry.created_by.as_ref().map_or("", |by| by.raw());
    let (keyword, rest) = dockerfile::instruction(raw);
    let whole = Safe::new(rest);
    let lead = if keyword.is_empty() { 0 } else { text::cols(keyword.len()) + 1 };
    let layer = entry.layer_digest.as_ref().or(entry.diff_id.as_ref());
    let most = usize::from(inside.height) - usize::from(layer.is_some() && inside.height > 1);
    let lines = Shown::from(&whole).wrapped(inside.width.saturating_sub(lead), most + 1);
    let cut = lines.len() > most;
    for (i, line) in lines.iter().take(most).enumerate() {
        let mut pen = canvas.pen(inside, inside.y.saturating_add(text::cols(i)));
        if i == 0 {
            pen.put(keyword, if entry.empty_layer { Role::Muted } else { Role::Keyword });
            pen.go(inside.x);
        }
        pen.gap(lead);
        if cut && i + 1 == most {
            pen.keep(2);
        }
        code::line(&mut pen, *line, 0);
        if cut && i + 1 == most {
            let more = pen.signs().ellipsis;
            pen.put(" ", Role::Muted);
            let mut pen = canvas.pen(inside, inside.y.saturating_add(text::cols(i)));
            pen.right(more, Role::Muted);
        }
    }
    if let Some(digest) = layer.filter(|_| inside.height > 1) {
        let mut pen = canvas.pen(inside, inside.bottom() - 1);
        let word = if entry.layer_digest.is_some() { "layer " } else { "diff ID " };
        pen.put(word, Role::Muted);
        let room = pen.room();
        pen.middle(room, &words!("{digest}"), Role::Digest);
    }
}

/// Words where there is no image to show.
fn nothing(canvas: &mut Canvas<'_>, layers: &Layers, chosen: bool, face: &Face<'_>) {
    match &layers.image.problem {
        Some(problem) if chosen => {
            let again = face.hint(Action::Refresh, "to try again");
            widgets::problem_card(canvas, face.inside(), problem, &again);
        }
        _ if chosen => face.waiting(canvas, "Reading the image"),
        _ => widgets::card(canvas, face.inside(), &[(Role::Muted, "No image selected".into())]),
    }
}
