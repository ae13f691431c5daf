//! The first line: where we are, how that place is doing, how much is shown; and the tabs of a narrow screen.

use ratatui::layout::Rect;

use crate::app::layout::Layout;
use crate::app::state::State;
use crate::model::{Safe, SourceStatus, time};
use crate::pane::Area;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, text};

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let mut pen = canvas.pen(area, area.y);
    pen.put(" lighterman ", Role::Brand).gap(1);
    if state.is_read_only() {
        pen.right(" READ-ONLY ", Role::Badge);
        pen.right(" ", Role::Text);
    }
    counts(&mut pen, state);
    source(&mut pen, state);
}

/// From the right: rows, marks, bytes. What there is no room for is left out.
fn counts(pen: &mut Pen<'_, '_>, state: &State) {
    let images = &state.images;
    if images.list.value.is_none() {
        return;
    }
    pen.right(" ", Role::Text);
    // The least wanted is tried last, and half of the line is the source's.
    let room = |pen: &Pen<'_, '_>, more: u16| pen.room() > more + 28;
    let shown = if images.filter.is_empty() {
        let count = images.images().len();
        words!("{} image{}", text::count(count), if count == 1 { "" } else { "s" })
    } else {
        words!("{} of {} shown", text::count(images.rows.len()), text::count(images.total_rows))
    };
    if room(pen, 14) {
        let role = if images.filter.is_empty() { Role::Text } else { Role::Accent };
        pen.right(&shown, role);
        pen.right("  ", Role::Text);
    }
    if !images.marks.is_empty() && room(pen, 14) {
        let sign = pen.signs().mark;
        pen.right(&words!("{sign} {} marked", text::count(images.marks.len())), Role::Mark);
        pen.right("  ", Role::Text);
    }
    if room(pen, 30) {
        // Shared layers are counted with every image that has them, so this is a bound.
        if images.total_size > 0 {
            let at_most = pen.signs().at_most;
            pen.right(&words!("{at_most} {}", text::bytes(images.total_size)), Role::Muted);
            pen.right("  ", Role::Text);
        }
    }
}

/// The source's name, place and state.
fn source(pen: &mut Pen<'_, '_>, state: &State) {
    let dot = pen.signs().separator;
    let Some(info) = state.sources.info() else {
        let words = if state.sources.all.is_loading() || state.sources.all.value.is_none() {
            words!("{} looking for engines", pen.signs().spin(state.spin))
        } else {
            words!("no source")
        };
        pen.put(&words, Role::Info);
        return;
    };
    pen.put(&info.name, Role::Source);
    let status = status(pen, state);
    let needs = status.iter().map(|(words, _)| crate::ui::Shown::from(words).width() + 3).sum::<u16>();
    let separator = |pen: &mut Pen<'_, '_>| {
        pen.put(" ", Role::Muted).put(dot, Role::Muted).put(" ", Role::Muted);
    };
    // The place gives way to the state, which is what changes.
    let room = pen.room().saturating_sub(needs + 3);
    if room >= 12 && info.place != info.name {
        separator(pen);
        let width = crate::ui::Shown::from(&info.place).width().min(room);
        pen.middle(width, &info.place, Role::Muted);
    }
    for (words, role) in &status {
        if pen.room() > 6 {
            separator(pen);
            pen.put(words, *role);
        }
    }
}

fn status(pen: &Pen<'_, '_>, state: &State) -> Vec<(Safe, Role)> {
    let signs = pen.signs();
    let images = &state.images;
    let mut parts = Vec::new();
    match &state.sources.status {
        SourceStatus::Unknown => {}
        SourceStatus::Connecting => parts.push((words!("{} connecting", signs.spin(state.spin)), Role::Info)),
        SourceStatus::Ready { version } => parts.push((version.clone(), Role::Muted)),
        SourceStatus::Down(problem) => {
            let again = if state.sources.tries > 0 { ", trying again" } else { "" };
            parts.push((words!("{} down: {}{again}", signs.bad, problem.cause), Role::Bad));
        }
    }
    if let Some(list) = &images.list.value {
        let age = time::age(list.at, state.now);
        if images.remembered {
            parts.push((words!("last known, {age} old"), Role::Warning));
        } else if matches!(state.sources.status, SourceStatus::Down(_)) {
            parts.push((words!("as of {age} ago"), Role::Warning));
        }
        if let Some(gap) = list.gaps.first() {
            parts.push((words!("{} {}", signs.warning, gap.safe()), Role::Warning));
        }
        if images.list.is_loading() && !matches!(state.sources.status, SourceStatus::Connecting) {
            parts.push((words!("{}", signs.spin(state.spin)), Role::Info));
        }
    }
    parts
}

/// The panes' names, where one shows at a time.
pub(super) fn tabs(canvas: &mut Canvas<'_>, line: Area, state: &State) {
    for (id, area) in Layout::tabs(line) {
        let active = state.focus == id;
        let mut pen = canvas.pen(area.into(), area.y);
        let words = words!(" {} {} ", id.number(), id.title());
        pen.put(&words, if active { Role::TabActive } else { Role::Tab });
    }
    let running = state.tasks.running();
    if running > 0 {
        let mut pen = canvas.pen(line.into(), line.y);
        let sign = pen.signs().spin(state.spin);
        pen.right(&words!("{sign} {running} "), Role::Info);
    }
}
