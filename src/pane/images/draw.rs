//! The picture of the Images pane: one line a reference, columns by the room there is, and words where there is nothing to list.
//!
//! A drawing file: may use `ui` and ratatui. Only the visible rows are looked at.

use crate::flow::Action;
use crate::model::findings::Gist;
use crate::model::{ContainerUse, Drift, ImageSummary, Name, Safe, time};
use crate::pane::draw::{Face, MARGIN, age_role, pointer, size_role};
use crate::pane::findings::draw::{severity_role, severity_word};
use crate::ui::canvas::Align;
use crate::ui::table::{Column, GAP, arrange, name_parts};
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{Images, Row, Sort, SortColumn};

const COLUMNS: [Column; 13] = [
    Column { title: "Repository", least: 18, ideal: 26, grow: 3, priority: 0 },
    Column { title: "Tag", least: 12, ideal: 18, grow: 1, priority: 1 },
    Column { title: "Size", least: 7, ideal: 7, grow: 0, priority: 2 },
    Column { title: "Age", least: 5, ideal: 5, grow: 0, priority: 3 },
    Column { title: "Used", least: 6, ideal: 6, grow: 0, priority: 4 },
    Column { title: "ID", least: 12, ideal: 12, grow: 0, priority: 5 },
    Column { title: "Platform", least: 11, ideal: 14, grow: 0, priority: 6 },
    Column { title: "Unique", least: 8, ideal: 8, grow: 0, priority: 7 },
    Column { title: "Containers", least: 14, ideal: 22, grow: 1, priority: 8 },
    Column { title: "Version", least: 8, ideal: 14, grow: 0, priority: 9 },
    Column { title: "Digest", least: 15, ideal: 19, grow: 0, priority: 10 },
    Column { title: "Drift", least: 6, ideal: 6, grow: 0, priority: 1 },
    Column { title: "Found", least: 8, ideal: 8, grow: 0, priority: 2 },
];
/// The column that shows once registries were asked.
const DRIFT: usize = 11;
/// The column that shows once an image was scanned.
const FOUND: usize = 12;
/// Columns that show before a pane is zoomed.
const NARROW: usize = 6;
/// From this width within the frame on, the further columns show.
const WIDE: u16 = 130;

const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// What the pane needs to know of its source.
#[derive(Debug)]
pub struct Source<'a> {
    /// Its name, for words.
    pub name: &'a Safe,
    /// Why nothing answers there.
    pub down: Option<&'a crate::model::Problem>,
    /// Whether images can come in here: pulled, imported.
    pub pulls: bool,
    pub imports: bool,
}

/// Draws the pane.
pub fn draw(canvas: &mut Canvas<'_>, images: &Images, source: &Source<'_>, face: &Face<'_>) {
    let filter = if images.filter.is_empty() { Safe::default() } else { words!("/{}", images.filter.text()) };
    face.frame(canvas, &filter, &images.cursor, &position(images));
    marks(canvas, images, face);
    if images.rows.is_empty() {
        return nothing(canvas, images, source, face);
    }
    let room = face.rows.width.saturating_sub(MARGIN + 1);
    let shown = if room >= WIDE { DRIFT } else { NARROW };
    let drift = (!images.drift.is_empty() || images.drifting.is_some()).then_some(DRIFT);
    let found = (!images.gists.is_empty()).then_some(FOUND);
    let ids: Vec<usize> = (0..shown).chain(drift).chain(found).collect();
    let columns: Vec<Column> = ids.iter().filter_map(|id| COLUMNS.get(*id).copied()).collect();
    let widths: Vec<(usize, u16)> = ids.into_iter().zip(arrange(&columns, room)).filter(|(_, width)| *width > 0).collect();
    heading(canvas, images.sort, &widths, face);
    let range = images.range_rows();
    let mut above = None;
    for at in images.cursor.visible() {
        let Some(&row) = images.rows.get(at) else { break };
        let pen = face.row(canvas, &images.cursor, at);
        let line =
            Line { images, face, row, cursor: at == images.cursor.at, in_range: range.as_ref().is_some_and(|r| r.contains(&at)), above };
        line.draw(pen, &widths);
        above = Some(row);
    }
}

fn position(images: &Images) -> Safe {
    let words = crate::pane::draw::position(&images.cursor);
    if images.filter.is_empty() || words.is_empty() { words } else { words!("{words} of {}", text::count(images.total_rows)) }
}

/// How many rows are marked, on the frame.
fn marks(canvas: &mut Canvas<'_>, images: &Images, face: &Face<'_>) {
    if (images.marks.is_empty() && images.range_from.is_none()) || face.area.height < 2 || face.area.width < 30 {
        return;
    }
    let sign = canvas.signs.mark;
    let words = match &images.range_from {
        Some(_) => words!(" {} range: move, then {} ", canvas.signs.range, (face.key)(Action::Range)),
        None => words!(" {sign} {} marked ", text::count(images.marks.len())),
    };
    widgets::on_line(canvas, face.area, face.area.bottom() - 1).put(&words, Role::Mark);
}

fn heading(canvas: &mut Canvas<'_>, sort: Sort, widths: &[(usize, u16)], face: &Face<'_>) {
    let signs = canvas.signs;
    let mut pen = canvas.pen(face.heading, face.heading.y);
    pen.gap(MARGIN);
    for (i, width) in widths {
        let (i, Some(column)) = (*i, COLUMNS.get(*i)) else { continue };
        let sorted = match (i, sort.column) {
            (0, SortColumn::Name) | (5, SortColumn::Id) | (3, SortColumn::Created) => Some(!sort.reversed),
            (2, SortColumn::Size) | (4, SortColumn::Use) => Some(sort.reversed),
            _ => None,
        };
        let align = if matches!(i, 2 | 3 | 7) { Align::Right } else { Align::Left };
        match sorted {
            Some(ascending) => {
                let arrow = if ascending { signs.ascending } else { signs.descending };
                let title = words!("{} {arrow}", column.title);
                pen.cell(*width, align, &title, Role::HeadingSorted)
            }
            None => pen.cell(*width, align, column.title, Role::Heading),
        };
        pen.gap(GAP);
    }
}

struct Line<'a> {
    images: &'a Images,
    face: &'a Face<'a>,
    row: Row,
    cursor: bool,
    in_range: bool,
    /// The row drawn above this one.
    above: Option<Row>,
}

impl Line<'_> {
    fn draw(&self, mut pen: Pen<'_, '_>, widths: &[(usize, u16)]) {
        let Some((image, name)) = self.images.at(self.row) else { return };
        let marked = self.images.is_marked(self.row);
        pointer(&mut pen, self.cursor, marked, self.in_range);
        let highlight = if marked { Some(Role::Mark) } else { self.in_range.then_some(Role::Range) };
        for &(i, width) in widths {
            match i {
                0 => self.repository(&mut pen, width, name, highlight),
                1 => self.tag(&mut pen, width, name, highlight),
                DRIFT => self.drift(&mut pen, width, image, name),
                FOUND => found(&mut pen, width, self.images.gists.get(&image.id)),
                _ => self.fact(&mut pen, i, width, image),
            }
            pen.gap(GAP);
        }
    }

    fn repository(&self, pen: &mut Pen<'_, '_>, width: u16, name: Option<&Name>, highlight: Option<Role>) {
        let Some(name) = name else {
            let sign = pen.signs().untagged;
            pen.cell(width, Align::Left, sign, highlight.unwrap_or(Role::Untagged));
            return;
        };
        let familiar = Name::new(name.familiar());
        let (repository, _) = familiar.split();
        if repository.is_empty() {
            pen.cell(width, Align::Left, "(no name)", Role::Untagged);
            return;
        }
        let repository = Safe::ascii(repository);
        let (path, base) = name_parts(Shown::from(&repository));
        let bright = highlight.unwrap_or(Role::Repository);
        let end = pen.x().saturating_add(width.min(pen.room()));
        let shift = self.images.shift;
        match path {
            // A path gives way to the name: its end is cut away first.
            Some(path) if Shown::from(&repository).width() <= width => {
                pen.put(path, Role::Registry).put(base, bright);
            }
            Some(path) if shift == 0 && base.width() + 4 <= width => {
                pen.middle(width - base.width(), path, Role::Registry).put(base, bright);
            }
            _ => {
                pen.shifted(width, shift, &repository, bright);
            }
        }
        pen.go(end);
    }

    fn tag(&self, pen: &mut Pen<'_, '_>, width: u16, name: Option<&Name>, highlight: Option<Role>) {
        let tag = name.and_then(|name| name.split().1).map(Safe::ascii).unwrap_or_default();
        let role = highlight.unwrap_or(Role::Tag);
        if tag.as_str().starts_with("sha256:") {
            pen.middle(width, &tag, Role::Digest);
        } else {
            pen.shifted(width, self.images.shift, &tag, role);
        }
    }

    /// How the tag stands to its registry, in a word.
    fn drift(&self, pen: &mut Pen<'_, '_>, width: u16, image: &ImageSummary, name: Option<&Name>) {
        let (word, role) = match self.images.drift_of(image, name) {
            Some(Ok(drift)) => (drift.word(), drift_role(drift)),
            Some(Err(_)) => (pen.signs().unknown, Role::Warning),
            None => ("", Role::Muted),
        };
        pen.cell(width, Align::Left, word, role);
    }

    /// Whether this row is another name of the image right above it: what is the same is then said once.
    fn same(&self) -> bool {
        !self.cursor && self.above.is_some_and(|above| above.image == self.row.image)
    }

    fn fact(&self, pen: &mut Pen<'_, '_>, column: usize, width: u16, image: &ImageSummary) {
        let unknown = pen.signs().unknown;
        let same = self.same();
        let quiet = |role| if same { Role::Muted } else { role };
        match column {
            4 => return used(pen, width, image.containers.as_deref()),
            8 => return names(pen, width, image.containers.as_deref().unwrap_or_default()),
            _ => {}
        }
        match column {
            2 | 7 => match if column == 2 { image.size } else { image.unique_size } {
                Some(bytes) => pen.cell(width, Align::Right, &text::bytes(bytes), quiet(size_role(bytes))),
                None => pen.cell(width, Align::Right, unknown, Role::Muted),
            },
            3 => match image.created {
                Some(then) => {
                    let age = words!("{}", time::age(then, self.face.now));
                    pen.cell(width, Align::Right, &age, quiet(age_role(then, self.face.now)))
                }
                None => pen.cell(width, Align::Right, unknown, Role::Muted),
            },
            5 if same => {
                let sign = pen.signs().same;
                pen.cell(width, Align::Left, sign, Role::Muted)
            }
            5 => pen.cell(width, Align::Left, &words!("{}", image.id.short()), Role::Digest),
            6 => {
                let platform = image.platform.as_ref().map(|platform| words!("{platform}")).unwrap_or_default();
                pen.cell(width, Align::Left, &platform, Role::Muted)
            }
            9 => {
                let version = image.labels.get(VERSION_LABEL).map(crate::model::Foreign::safe).unwrap_or_default();
                pen.cell(width, Align::Left, &version, Role::Text)
            }
            _ => {
                let digest = image.repo_digests.first().and_then(|name| name.split().1).map(Safe::ascii).unwrap_or_default();
                pen.middle(width, &digest, Role::Digest)
            }
        };
    }
}

/// The worst that was found, and how much of it all can be mended: `CRIT 3`.
pub(in crate::pane) fn found(pen: &mut Pen<'_, '_>, width: u16, gist: Option<&Gist>) {
    let end = pen.x().saturating_add(width.min(pen.room()));
    match gist {
        None => {}
        Some(Gist { worst: None, .. }) => drop(pen.put("none", Role::Good)),
        Some(Gist { worst: Some(worst), fixable, .. }) => {
            pen.cell(4.min(width), Align::Left, severity_word(*worst), severity_role(*worst)).gap(1);
            if *fixable > 0 {
                let room = end.saturating_sub(pen.x());
                pen.cell(room, Align::Left, &words!("{fixable}"), Role::Muted);
            }
        }
    }
    pen.go(end);
}

const fn drift_role(drift: &Drift) -> Role {
    match drift {
        Drift::Same => Role::Good,
        Drift::Moved(_) => Role::Warning,
        Drift::OnlyHere => Role::Muted,
        Drift::Gone => Role::Bad,
    }
}

/// How many containers run and stand still: `●2 ○1`.
fn used(pen: &mut Pen<'_, '_>, width: u16, containers: Option<&[ContainerUse]>) {
    let signs = pen.signs();
    let end = pen.x().saturating_add(width.min(pen.room()));
    match containers {
        None => drop(pen.put(signs.unknown, Role::Muted)),
        Some(all) => {
            let running = all.iter().filter(|container| container.running).count();
            let stopped = all.len() - running;
            if running > 0 {
                pen.put(&words!("{}{running} ", signs.running), Role::Running);
            }
            if stopped > 0 && pen.x() < end {
                pen.cell(end - pen.x(), Align::Left, &words!("{}{stopped}", signs.stopped), Role::Stopped);
            }
        }
    }
    pen.go(end);
}

/// The containers' names, the running ones first.
fn names(pen: &mut Pen<'_, '_>, width: u16, containers: &[ContainerUse]) {
    let end = pen.x().saturating_add(width.min(pen.room()));
    let ordered = containers.iter().filter(|c| c.running).chain(containers.iter().filter(|c| !c.running));
    for container in ordered {
        let room = end.saturating_sub(pen.x());
        if room < 3 {
            break;
        }
        let name = words!("{} ", container.name.safe());
        let shown = Shown::from(&name);
        let role = if container.running { Role::Running } else { Role::Stopped };
        pen.cell(shown.width().min(room), Align::Left, shown, role);
    }
    pen.go(end);
}

/// Words where there are no rows: not asked yet, failed, empty, or all filtered away.
fn nothing(canvas: &mut Canvas<'_>, images: &Images, source: &Source<'_>, face: &Face<'_>) {
    let area = face.inside();
    let again = face.hint(Action::Refresh, "to try again");
    if images.list.value.is_none() {
        let problem = images.list.problem.as_ref().or(source.down);
        match problem {
            Some(problem) => {
                let others = face.hint(Action::Sources, "to choose another source");
                let hints = [again, others].iter().filter(|h| !h.is_empty()).map(Safe::as_str).collect::<Vec<_>>().join("   ");
                widgets::problem_card(canvas, area, problem, &Safe::from(hints));
            }
            None if source.name.is_empty() => face.waiting(canvas, "Looking for engines, stores and files"),
            None => face.waiting(canvas, &words!("Asking {} for its images", source.name)),
        }
        return;
    }
    if !images.filter.is_empty() {
        let what = words!("Nothing matches {}", images.filter.text());
        let of = words!("{} images are hidden by the filter", text::count(images.total_rows));
        let clear = face.hint(Action::Back, "clears the filter");
        let edit = face.hint(Action::Filter, "changes it");
        let keys = words!("{clear}   {edit}");
        let lines =
            [(Role::Text, Shown::from(&what)), (Role::Muted, Shown::from(&of)), (Role::Text, "".into()), (Role::Muted, Shown::from(&keys))];
        return widgets::card(canvas, area, &lines);
    }
    let what = words!("No images yet in {}", source.name);
    let mut keys = Vec::new();
    if source.pulls {
        keys.push(face.hint(Action::Pull, "pull one from a registry"));
    }
    if source.imports {
        keys.push(face.hint(Action::Import, "import an archive"));
    }
    keys.push(face.hint(Action::Sources, "choose another source"));
    let mut lines = vec![(Role::Text, Shown::from(&what)), (Role::Text, "".into())];
    lines.extend(keys.iter().map(|key| (Role::Muted, Shown::from(key))));
    widgets::card(canvas, area, &lines);
}
