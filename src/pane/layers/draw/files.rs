//! The picture of an image's files: what each layer did in colours, sizes summed up, and the story of the path under the cursor.

use ratatui::layout::Rect;

use crate::flow::Action;
use crate::layer::tree::{Cause, Change, Deed, Order, Row, Scope, Step};
use crate::layer::{Kind, Member, NodeId};
use crate::model::{Safe, dockerfile, size};
use crate::pane::draw::{Face, position, size_role};
use crate::pane::layers::{Files, Layers, Listing, Seen};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::costs;

/// Columns of a size and of the rights.
const SIZE: u16 = 7;
const RIGHTS: u16 = 10;
/// From this width on there is room for the rights.
const ROOMY: u16 = 64;

pub(super) fn draw(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    if files.listing != Listing::Tree {
        costs::draw(canvas, layers, files, face);
        return detail(canvas, layers, files, face);
    }
    let what = if files.merged { "all after" } else { "done by" };
    let title = words!("files {what} layer {} of {}", files.layer + 1, files.count());
    face.frame(canvas, &title, &files.cursor, &position(&files.cursor));
    about(canvas, layers, files, face);
    if let Some(seen) = &files.shown {
        rows(canvas, files, seen, face);
    } else if let Some(problem) = &files.problem {
        widgets::problem_card(canvas, face.rows, problem, &face.hint(Action::Refresh, "to try again"));
    } else {
        let words = words!("{} Reading the layer", canvas.signs.spin(face.spin));
        widgets::card(canvas, face.rows, &[(Role::Info, Shown::from(&words))]);
    }
    detail(canvas, layers, files, face);
}

/// The two heading lines: what the layer did and how far reading is, and the columns.
fn about(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    let heading = face.heading;
    let (dot, warning) = (canvas.signs.separator, canvas.signs.warning);
    let mut pen = canvas.pen(heading, heading.y);
    pen.gap(1);
    reading(&mut pen, layers, files, face);
    if let Some((layer, problem)) = files.broken() {
        let which = if layer == files.layer { Safe::default() } else { words!("layer {}: ", layer + 1) };
        pen.put(&words!("{warning} {which}{}  ", problem.cause), Role::Warning);
    } else if let Some(problem) = &files.problem {
        pen.put(&words!("{warning} {}  ", problem.cause), Role::Warning);
    }
    if let Some(seen) = &files.shown {
        let counts = seen.view.counts();
        pen.put(&text::bytes(seen.view.bytes(NodeId::ROOT)), Role::Text).gap(1);
        for (sign, count, role) in [
            ("+", counts.added, Role::Added),
            ("~", counts.modified, Role::Changed),
            ("-", counts.removed, Role::Removed),
            ("=", counts.repeated, Role::Muted),
        ] {
            if count > 0 {
                pen.gap(1);
                pen.put(&words!("{sign}{}", text::count(usize::try_from(count).unwrap_or(usize::MAX))), role);
            }
        }
    }
    if files.shown.as_ref().is_some_and(|seen| seen.tree.layers().get(files.layer).is_some_and(|index| index.pieces().is_some())) {
        pen.put(&words!("  {dot} by its own table"), Role::Muted);
    }
    if (0..files.layer).any(|below| !files.read.contains_key(&below)) {
        pen.put(&words!("  {dot} layers below are not read"), Role::Muted);
    }
    if let Some(filter) = &files.filter {
        pen.put(&words!("  only {}", filter.text()), Role::Accent);
    }
    if let Some(reckoned) = &layers.reckoned {
        costs::score(&mut pen, &reckoned.cost);
    }
    let mut pen = canvas.pen(heading, heading.y.saturating_add(1));
    pen.gap(3);
    let sorted = |order| if files.order == order { Role::HeadingSorted } else { Role::Heading };
    pen.cell(SIZE, Align::Right, "Size", sorted(Order::Size)).gap(2);
    if heading.width >= ROOMY {
        pen.cell(RIGHTS, Align::Left, "Rights", Role::Heading).gap(2);
    }
    pen.put("Path", sorted(Order::Name));
}

/// How far reading is, while it is under way.
pub(super) fn reading(pen: &mut Pen<'_, '_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    if layers.reading.is_none() {
        return;
    }
    let spinner = pen.signs().spin(face.spin);
    pen.put(spinner, Role::Info).gap(1);
    let read = files.wanted.iter().filter(|at| files.read.contains_key(at)).count();
    pen.put(&words!("{read} of {} layers read  ", files.wanted.len()), Role::Info);
}

fn rows(canvas: &mut Canvas<'_>, files: &Files, seen: &Seen, face: &Face<'_>) {
    if seen.rows.is_empty() {
        let words = match (files.read.get(&files.layer), &files.filter, seen.view.scope()) {
            (None, ..) => "This layer is not read yet",
            (Some(Some(problem)), ..) => {
                return widgets::problem_card(canvas, face.rows, problem, &face.hint(Action::Refresh, "to try again"));
            }
            (Some(None), Some(_), _) => "Nothing here is like that",
            (Some(None), None, Scope::Layer(_)) => "This layer changes no file",
            (Some(None), None, Scope::Merged(_)) => "There are no files",
        };
        return widgets::card(canvas, face.rows, &[(Role::Muted, words.into())]);
    }
    for at in files.cursor.visible() {
        let Some(row) = seen.rows.get(at) else { break };
        line(face.row(canvas, &files.cursor, at), seen, row, files.shift);
    }
}

const fn sign(change: Option<Change>, below: bool) -> (&'static str, Role) {
    match change {
        Some(Change::Added) => ("+", Role::Added),
        Some(Change::Modified) => ("~", Role::Changed),
        Some(Change::Removed) => ("-", Role::Removed),
        Some(Change::Repeated) => ("=", Role::Muted),
        None if below => ("·", Role::Changed),
        None => (" ", Role::Text),
    }
}

fn line(mut pen: Pen<'_, '_>, seen: &Seen, row: Row, shift: u16) {
    let (tree, view) = (&*seen.tree, &*seen.view);
    let width = pen.room();
    let signs = pen.signs();
    let (mark, role) = sign(view.change(row.node), view.changes_below(row.node));
    pen.gap(1);
    pen.cell(1, Align::Left, if signs.ascii && mark == "·" { "." } else { mark }, role).gap(1);
    let member = view.member(tree, row.node);
    let bytes = view.bytes(row.node);
    let is_directory = view.is_directory(tree, row.node);
    let sized = is_directory || member.as_ref().is_some_and(|member| matches!(member.kind(), Kind::File | Kind::Sparse));
    let size = if sized { text::bytes(bytes) } else { Safe::default() };
    pen.cell(SIZE, Align::Right, &size, size_role(bytes)).gap(2);
    if width >= ROOMY {
        pen.cell(RIGHTS, Align::Left, &rights(member.as_ref(), is_directory), Role::Muted).gap(2);
    }
    pen.gap(row.depth.saturating_mul(2).min(width / 2));
    let fold = match (is_directory, row.open) {
        (true, true) => signs.unfolded,
        (true, false) => signs.folded,
        (false, _) => " ",
    };
    pen.put(fold, Role::Muted).gap(1);
    let shown = Safe::from(String::from_utf8_lossy(tree.name(row.node)).into_owned());
    let role = match (view.change(row.node), is_directory) {
        (Some(_), _) => role,
        (None, true) => Role::Repository,
        (None, false) => Role::Text,
    };
    let tail = tail(member.as_ref(), is_directory);
    pen.keep(1);
    let room = pen.room().min(Shown::from(&shown).width().saturating_sub(shift).max(1));
    pen.shifted(room, shift, &shown, role);
    pen.put(&tail, Role::Muted);
}

/// What stands behind a name: a slash, where a link leads, what kind of device it is.
fn tail(member: Option<&Member<'_>>, is_directory: bool) -> Safe {
    if is_directory {
        return Safe::new("/");
    }
    let Some(member) = member else { return Safe::default() };
    let link = member.link().map(|link| String::from_utf8_lossy(link).into_owned()).unwrap_or_default();
    match member.kind() {
        Kind::Symlink => Safe::from(format!(" -> {link}")),
        Kind::Hardlink => Safe::from(format!(" is {link}")),
        Kind::Char => Safe::new(" (character device)"),
        Kind::Block => Safe::new(" (block device)"),
        Kind::Fifo => Safe::new(" (pipe)"),
        _ => Safe::default(),
    }
}

/// `drwxr-xr-x`, as `ls` writes it.
fn rights(member: Option<&Member<'_>>, is_directory: bool) -> Safe {
    let Some(mode) = member.and_then(Member::mode) else { return Safe::default() };
    let kind = match member.map(Member::kind) {
        _ if is_directory => 'd',
        Some(Kind::Symlink) => 'l',
        Some(Kind::Char) => 'c',
        Some(Kind::Block) => 'b',
        Some(Kind::Fifo) => 'p',
        _ => '-',
    };
    let bit = |shift: u32, sign: char| if mode >> shift & 1 == 1 { sign } else { '-' };
    let run = |execute: u32, special: u32, sign: char| match (mode >> execute & 1, mode >> special & 1) {
        (0, 0) => '-',
        (_, 0) => 'x',
        (0, _) => sign.to_ascii_uppercase(),
        _ => sign,
    };
    let (user, group, all) = (run(6, 11, 's'), run(3, 10, 's'), run(0, 9, 't'));
    let text: String =
        [kind, bit(8, 'r'), bit(7, 'w'), user, bit(5, 'r'), bit(4, 'w'), group, bit(2, 'r'), bit(1, 'w'), all].iter().collect();
    Safe::from(text)
}

/// The box at the bottom: the path under the cursor, what it cost in all, and what each layer did to it.
fn detail(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    let area = face.detail;
    let Some((tree, node)) = files.looked_at(layers.reckoned.as_ref()) else { return };
    if area.height < 2 || area.width < 12 {
        return;
    }
    let inside = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 1 };
    let story = tree.history(node);
    // The newest are the ones that are asked for; of earlier ones it is said that they are there.
    let room = usize::from(inside.height);
    let skipped = if story.len() > room { story.len() - room + 1 } else { 0 };
    let rule = canvas.signs.frame.horizontal;
    let mut pen = canvas.pen(area, area.y);
    pen.repeat(rule, 1, Role::Border);
    let cost = tree.cost(node);
    if story.len() > 1 && cost > 0 {
        pen.right(rule, Role::Border);
        pen.right(&words!(" {} in all ", size::human(cost)), Role::Title);
    }
    let path = Safe::from(format!(" /{} ", String::from_utf8_lossy(&tree.path(node))));
    let width = pen.room().saturating_sub(1).min(Shown::from(&path).width());
    pen.middle(width, &path, Role::Title);
    let rest = pen.room();
    pen.repeat(rule, rest, Role::Border);
    if skipped > 0 {
        canvas.text(inside, inside.y, &words!("{skipped} times before that"), Role::Muted);
    }
    for (n, step) in story.iter().skip(skipped).enumerate() {
        let mut pen = canvas.pen(inside, inside.y.saturating_add(text::cols(n + usize::from(skipped > 0))));
        deed(&mut pen, layers, step);
    }
}

/// One step of a path's story: what was done, how, what it cost, and by which layer.
fn deed(pen: &mut Pen<'_, '_>, layers: &Layers, step: &Step) {
    let (word, role) = match step.deed {
        Deed::Added => ("added", Role::Added),
        Deed::Modified => ("modified", Role::Changed),
        Deed::Repeated => ("repeated", Role::Muted),
        Deed::Removed(_) => ("removed", Role::Removed),
    };
    pen.cell(8, Align::Left, word, role).gap(1);
    let cost = if step.bytes > 0 { size::human(step.bytes) } else { String::new() };
    pen.cell(SIZE, Align::Right, &Safe::from(cost), Role::Text).gap(2);
    pen.cell(3, Align::Right, &words!("{}", step.layer + 1), Role::LineNumber).gap(1);
    let how = match step.deed {
        Deed::Removed(Cause::Opaque) => "with all of its folder: ",
        Deed::Removed(Cause::Replaced) => "for something else in its place: ",
        _ => "",
    };
    pen.put(how, Role::Muted);
    let by = layers.history().iter().filter(|entry| !entry.empty_layer).nth(step.layer).and_then(|entry| entry.created_by.as_ref());
    let (keyword, rest) = dockerfile::instruction(by.map_or("", |by| by.raw()));
    pen.put(keyword, Role::Keyword).gap(1);
    let most: String = rest.chars().take(400).collect();
    pen.put(&Safe::from(most), Role::Muted);
}
