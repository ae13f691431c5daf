//! The picture of what an image carries for nothing: a line that sums it up, and the lists of hidden paths, of copies and of hints.

use std::fmt::Write as _;

use crate::curate::words::counted;
use crate::flow::Action;
use crate::layer::hints::Hint;
use crate::layer::waste::LayerWaste;
use crate::layer::{Cost, NodeId, Tree};
use crate::model::{Safe, size};
use crate::pane::draw::{Face, position, size_role};
use crate::pane::layers::{Files, Layers, Listing, Reckoned};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::files::reading;

const SIZE: u16 = 8;
/// Columns of how a path came to be hidden, and of how often.
const HOW: u16 = 11;
const TIMES: u16 = 5;
/// Below this score an image is worth a second look.
const GOOD: f64 = 0.9;

/// A score and the bytes behind it, in a few words.
pub(super) fn scored(cost: &Cost) -> (Safe, Role) {
    let score = cost.efficiency.score;
    let role = if score < GOOD { Role::Warning } else { Role::Good };
    // 99.96 % is not all.
    let percent = (score * 1000.0).floor() / 10.0;
    (words!("{percent:.1}% efficient, {} wasted", size::human(cost.wasted)), role)
}

pub(super) fn score(pen: &mut Pen<'_, '_>, cost: &Cost) {
    let dot = pen.signs().separator;
    let (words, role) = scored(cost);
    pen.put(&words!("  {dot} "), Role::Muted).put(&words, role);
}

/// Wasted bytes in a column; nothing where there are none.
pub(super) fn wasted(bytes: u64) -> Safe {
    if bytes > 0 { text::bytes(bytes) } else { Safe::default() }
}

/// What a layer brought and hid, on the line over its command.
pub(super) fn layer(pen: &mut Pen<'_, '_>, waste: LayerWaste) {
    let mut said = format!("{} of files ", size::human(waste.written));
    if waste.hidden > 0 {
        let _ = write!(said, "· {} hidden later ", size::human(waste.hidden));
    }
    if waste.hides > 0 {
        let _ = write!(said, "· hides {} ", size::human(waste.hides));
    }
    let said = Safe::from(said);
    if Shown::from(&said).width() + 2 < pen.room() {
        pen.put(&said, if waste.hidden > 0 { Role::Warning } else { Role::Muted });
    }
}

pub(super) fn draw(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    let title = match files.listing {
        Listing::Tree | Listing::Wasted => "hidden files",
        Listing::Copies => "copies",
        Listing::Hints => "hints",
    };
    face.frame(canvas, &Safe::new(title), &files.listed, &position(&files.listed));
    about(canvas, layers, files, face);
    let Some(reckoned) = &layers.reckoned else { return pending(canvas, layers, files, face) };
    if files.listed.len == 0 {
        return nothing(canvas, files.listing, reckoned.by_table(), face);
    }
    for at in files.listed.visible() {
        let mut pen = face.row(canvas, &files.listed, at);
        pen.gap(1);
        match files.listing {
            Listing::Tree | Listing::Wasted => hidden(pen, reckoned, at, files.shift),
            Listing::Copies => copy(pen, reckoned, at, files.shift),
            Listing::Hints => hint(pen, reckoned, at, files.shift),
        }
    }
}

/// Words where a list is empty. What nobody has read is not cleared.
fn nothing(canvas: &mut Canvas<'_>, listing: Listing, by_table: usize, face: &Face<'_>) {
    let (role, words) = match listing {
        Listing::Tree | Listing::Wasted => (Role::Good, "Nothing is hidden: every byte of a file is seen in the end"),
        Listing::Copies if by_table > 0 => (Role::Warning, "Not known: the contents of files were not read"),
        Listing::Copies => (Role::Good, "No content is there twice"),
        Listing::Hints if by_table > 0 => (Role::Muted, "Nothing stands out by names and sizes"),
        Listing::Hints => (Role::Good, "Nothing stands out"),
    };
    let layers = counted(by_table, "layer");
    let why = words!("{layers} known only by {} own table", its(by_table));
    let mut lines = vec![(role, Shown::from(words))];
    if by_table > 0 && listing != Listing::Wasted {
        lines.push((Role::Muted, Shown::from(&why)));
    }
    widgets::card(canvas, face.rows, &lines);
}

/// The two heading lines: what it comes to, and the columns.
fn about(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    let heading = face.heading;
    let mut pen = canvas.pen(heading, heading.y);
    pen.gap(1);
    reading(&mut pen, layers, files, face);
    if let Some(reckoned) = &layers.reckoned {
        let (words, role) = scored(&reckoned.cost);
        pen.put(&words, role);
        pen.put(&words!(" of {} of files", size::human(reckoned.cost.waste.written())), Role::Text);
        let by_table = reckoned.by_table();
        if by_table > 0 {
            let dot = pen.signs().separator;
            pen.put(&words!("  {dot} {} by {} own table", counted(by_table, "layer"), its(by_table)), Role::Warning);
        }
    }
    let mut pen = canvas.pen(heading, heading.y.saturating_add(1));
    pen.gap(1);
    match files.listing {
        Listing::Tree | Listing::Wasted => {
            pen.cell(SIZE, Align::Right, "Wasted", Role::HeadingSorted).gap(2);
            pen.cell(HOW, Align::Left, "By being", Role::Heading).gap(1);
            pen.cell(TIMES, Align::Right, "Times", Role::Heading).gap(2);
            pen.put("Path", Role::Heading);
        }
        Listing::Copies => {
            pen.cell(SIZE, Align::Right, "Saves", Role::HeadingSorted).gap(2);
            pen.cell(TIMES + 1, Align::Right, "Copies", Role::Heading).gap(2);
            pen.cell(SIZE, Align::Right, "Each", Role::Heading).gap(2);
            pen.put("Path", Role::Heading);
        }
        Listing::Hints => {
            pen.cell(SIZE, Align::Right, "Saves", Role::HeadingSorted).gap(2);
            pen.put("Hint", Role::Heading);
        }
    }
}

const fn its(count: usize) -> &'static str {
    if count == 1 { "its" } else { "their" }
}

/// Words where nothing is reckoned yet, or can't be.
fn pending(canvas: &mut Canvas<'_>, layers: &Layers, files: &Files, face: &Face<'_>) {
    if let Some(problem) = &files.problem {
        return widgets::problem_card(canvas, face.rows, problem, &face.hint(Action::Refresh, "to try again"));
    }
    if layers.reading.is_none()
        && layers.reckoning.is_none()
        && let Some((layer, problem)) = files.read.iter().find_map(|(layer, problem)| Some((layer, problem.as_ref()?)))
    {
        let words = words!("Layer {} could not be read whole: {}", layer + 1, problem.cause);
        return widgets::card(canvas, face.rows, &[(Role::Warning, Shown::from(&words))]);
    }
    let what = if layers.reckoning.is_some() { "Reckoning it up" } else { "Reading the layers" };
    let words = words!("{} {what}", canvas.signs.spin(face.spin));
    widgets::card(canvas, face.rows, &[(Role::Info, Shown::from(&words))]);
}

fn path(pen: &mut Pen<'_, '_>, tree: &Tree, node: NodeId, shift: u16, role: Role) {
    pen.keep(1);
    let path = Safe::from(format!("/{}", String::from_utf8_lossy(&tree.path(node))));
    let room = pen.room();
    // Both ends of a path tell something; scrolled, the rest is seen.
    if shift == 0 {
        pen.middle(room, &path, role)
    } else {
        pen.shifted(room, shift, &path, role)
    };
}

fn hidden(mut pen: Pen<'_, '_>, reckoned: &Reckoned, at: usize, shift: u16) {
    let Some(wasted) = reckoned.cost.waste.paths.get(at) else { return };
    pen.cell(SIZE, Align::Right, &text::bytes(wasted.bytes()), size_role(wasted.bytes())).gap(2);
    let (how, role) = match (wasted.overwritten, wasted.removed) {
        (0, _) => ("removed", Role::Removed),
        (_, 0) => ("overwritten", Role::Changed),
        _ => ("both", Role::Changed),
    };
    pen.cell(HOW, Align::Left, how, role).gap(1);
    pen.cell(TIMES, Align::Right, &text::count(wasted.times as usize), Role::Muted).gap(2);
    path(&mut pen, &reckoned.tree, wasted.node, shift, Role::Text);
}

fn copy(mut pen: Pen<'_, '_>, reckoned: &Reckoned, at: usize, shift: u16) {
    let Some((duplicate, which, node)) = reckoned.cost.copy(at) else { return };
    if which > 0 {
        pen.gap(SIZE + 2 + TIMES + 1 + 2 + SIZE + 2);
        return path(&mut pen, &reckoned.tree, node, shift, Role::Muted);
    }
    pen.cell(SIZE, Align::Right, &text::bytes(duplicate.bytes()), size_role(duplicate.bytes())).gap(2);
    pen.cell(TIMES + 1, Align::Right, &text::count(duplicate.nodes.len()), Role::Text).gap(2);
    pen.cell(SIZE, Align::Right, &text::bytes(duplicate.size), Role::Text).gap(2);
    path(&mut pen, &reckoned.tree, node, shift, Role::Text);
}

fn hint(mut pen: Pen<'_, '_>, reckoned: &Reckoned, at: usize, shift: u16) {
    let Some(hint) = reckoned.cost.hints.get(at) else { return };
    pen.cell(SIZE, Align::Right, &wasted(hint.bytes()), size_role(hint.bytes())).gap(2);
    let path = |node| format!("/{}", String::from_utf8_lossy(&reckoned.tree.path(node)));
    let files = |count: &u64| counted(usize::try_from(*count).unwrap_or(usize::MAX), "file");
    let (words, role) = match hint {
        Hint::Cache { manager, dir, files: count, .. } => (format!("{manager} left {} in {}", files(count), path(*dir)), Role::Text),
        Hint::Secret { node, written, removed } => {
            let words = format!("secret left in layer {}: {}, which layer {} only hides", written + 1, path(*node), removed + 1);
            (words, Role::Warning)
        }
        Hint::Rights { layer, files: count, .. } => {
            (format!("layer {} has {} again only for another mode or owner", layer + 1, files(count)), Role::Text)
        }
    };
    pen.keep(1);
    let room = pen.room();
    pen.shifted(room, shift, &Safe::from(words), role);
}
