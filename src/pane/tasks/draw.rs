//! The picture of the Tasks drawer, and of the one line that stands for it while it is closed.
//!
//! A drawing file: may use `ui` and ratatui.

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::flow::Action;
use crate::model::{Safe, Step, StepState};
use crate::pane::draw::{Face, position};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, Signs, text, widgets};

use super::{Task, TaskRow, TaskState, Tasks};

/// Draws the drawer.
pub fn draw(canvas: &mut Canvas<'_>, tasks: &Tasks, face: &Face<'_>) {
    let running = tasks.running();
    let title = match (running, tasks.waiting()) {
        (0, 0) => Safe::default(),
        (_, 0) => words!("{running} running"),
        (_, waiting) if tasks.held => words!("{running} running, {waiting} in line: all paused"),
        (_, waiting) => words!("{running} running, {waiting} in line"),
    };
    face.frame(canvas, &title, &tasks.cursor, &position(&tasks.cursor));
    if tasks.rows.is_empty() {
        let lines = [
            (Role::Text, "No tasks in this session".into()),
            (Role::Muted, "Pulls, pushes, exports, imports and removals are listed here while they run and after.".into()),
        ];
        return widgets::card(canvas, face.inside(), &lines);
    }
    for at in tasks.cursor.visible() {
        let Some(&row) = tasks.rows.get(at) else { break };
        let pen = face.row(canvas, &tasks.cursor, at);
        match row {
            TaskRow::Task(n) => {
                if let Some(task) = tasks.tasks.get(n) {
                    let place = tasks.line.iter().position(|id| *id == task.id).map_or(0, |at| at + 1);
                    task_line(pen, task, place, face);
                }
            }
            TaskRow::Step(n, s) => {
                if let Some((task, step)) = tasks.tasks.get(n).and_then(|task| Some((task, task.progress.steps.get(s)?))) {
                    step_line(pen, step, s + 1 == task.progress.steps.len(), face);
                }
            }
        }
    }
    trouble(canvas, tasks, face);
}

/// The sign of a task's state, and its colour.
fn sign(signs: &'static Signs, state: &TaskState, spin: usize) -> (&'static str, Role) {
    match state {
        TaskState::Waiting | TaskState::Paused => (signs.waiting, Role::Muted),
        TaskState::Running => (signs.spin(spin), Role::Info),
        TaskState::Stopping | TaskState::Pausing => (signs.spin(spin), Role::Warning),
        TaskState::Done(_) => (signs.good, Role::Good),
        TaskState::Partial(_) => (signs.warning, Role::Warning),
        TaskState::Failed(_) => (signs.bad, Role::Bad),
        TaskState::Cancelled => (signs.cancelled, Role::Muted),
    }
}

/// `place` counts from one in the line.
fn task_line(mut pen: Pen<'_, '_>, task: &Task, place: usize, face: &Face<'_>) {
    let signs = pen.signs();
    let fold = match (task.progress.steps.is_empty(), task.unfolded) {
        (true, _) => " ",
        (false, true) => signs.unfolded,
        (false, false) => signs.folded,
    };
    pen.gap(1);
    pen.put(fold, Role::Muted).gap(1);
    let (state, role) = sign(signs, &task.state, face.spin);
    pen.put(state, role).gap(1);
    if !task.state.is_in_line() {
        let elapsed = words!("{:>6} ", clock(task.started, task.ended.unwrap_or(face.now)));
        pen.right(&elapsed, Role::Muted);
    }
    let title = Shown::from(&task.title);
    match &task.state {
        TaskState::Waiting | TaskState::Paused => {
            pen.cell(title_width(face), Align::Left, title, Role::Muted).gap(2);
            let place = if task.state == TaskState::Paused { words!("paused") } else { words!("in line: {}", ordinal(place)) };
            pen.put(&place, Role::Muted);
        }
        TaskState::Running | TaskState::Stopping | TaskState::Pausing => {
            pen.cell(title_width(face), Align::Left, title, Role::Text).gap(2);
            let phase = match task.state {
                TaskState::Stopping => words!("stopping"),
                TaskState::Pausing => words!("pausing"),
                _ => task.progress.phase.clone(),
            };
            progress(&mut pen, task, &phase, gauge_width(face.rows.width));
        }
        TaskState::Done(word) => drop(pen.put(title, Role::Text).put("  ", Role::Text).put(word, Role::Good)),
        TaskState::Partial(word) => drop(pen.put(title, Role::Text).put("  ", Role::Text).put(word, Role::Warning)),
        TaskState::Failed(problem) => {
            let width = pen.room();
            pen.cell(title.width().min(width / 2), Align::Left, title, Role::Text).gap(2);
            pen.put(&problem.cause, Role::Bad);
        }
        TaskState::Cancelled => drop(pen.put(title, Role::Muted).put("  cancelled", Role::Muted)),
    }
}

/// `1st`, `2nd`, `3rd`, `11th`.
fn ordinal(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (1, last) if last != 11 => "st",
        (2, last) if last != 12 => "nd",
        (3, last) if last != 13 => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// Columns of a running task's title, so that gauges stand under each other.
fn title_width(face: &Face<'_>) -> u16 {
    (face.rows.width / 3).clamp(16, 56)
}

const fn gauge_width(width: u16) -> u16 {
    if width >= 130 { 24 } else { 12 }
}

/// Gauge, percent, bytes, speed, time left, phase: as much as there is room for.
fn progress(pen: &mut Pen<'_, '_>, task: &Task, phase: &Safe, gauge: u16) {
    let (done, total) = task.progress.totals();
    let room = pen.room();
    if let Some(total) = total {
        if room >= 30 {
            pen.gauge(gauge, done, total, Role::Gauge);
            pen.gap(1);
        }
        let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
        pen.cell(4, Align::Right, &words!("{percent}%"), Role::Text).gap(2);
    }
    if room >= 45 && done > 0 {
        let of = total.map(|total| format!(" of {}", text::bytes(total))).unwrap_or_default();
        pen.cell(if total.is_some() { 18 } else { 7 }, Align::Right, &words!("{}{of}", text::bytes(done)), Role::Muted).gap(2);
    }
    if let Some(rate) = task.rate.filter(|_| room >= 60) {
        pen.cell(9, Align::Right, &words!("{}/s", text::bytes(rate)), Role::Text).gap(2);
    }
    if let Some(eta) = task.eta().filter(|_| room >= 70) {
        pen.cell(10, Align::Left, &words!("{} left", span(eta)), Role::Muted).gap(2);
    }
    pen.put(phase, Role::Muted);
}

fn step_line(mut pen: Pen<'_, '_>, step: &Step, last: bool, face: &Face<'_>) {
    let signs = pen.signs();
    pen.gap(3);
    pen.put(if last { signs.last_branch } else { signs.branch }, Role::Muted).gap(1);
    let (sign, role, words) = match step.state {
        StepState::Waiting => (signs.waiting, Role::Muted, "waiting"),
        StepState::Running => (signs.spin(face.spin), Role::Info, ""),
        StepState::Done => (signs.good, Role::Good, ""),
        StepState::Skipped => (signs.skipped, Role::Muted, "already there"),
        StepState::Failed => (signs.bad, Role::Bad, "failed"),
    };
    pen.put(sign, role).gap(1);
    let label = title_width(face) - 2;
    let quiet = matches!(step.state, StepState::Waiting | StepState::Skipped);
    pen.cell(label, Align::Left, &step.label, if quiet { Role::Muted } else { Role::Text }).gap(2);
    match (step.state, step.total) {
        (StepState::Running | StepState::Failed, Some(total)) if total > 0 => {
            pen.gauge(gauge_width(face.rows.width), step.done, total, Role::Gauge);
            pen.gap(2);
            pen.put(&words!("{} of {}", text::bytes(step.done), text::bytes(total)), Role::Muted);
        }
        (StepState::Running, _) if step.done > 0 => drop(pen.put(&text::bytes(step.done), Role::Muted)),
        (StepState::Done, _) if step.done > 0 => drop(pen.put(&text::bytes(step.total.unwrap_or(step.done)), Role::Muted)),
        _ => drop(pen.put(words, Role::Muted)),
    }
}

/// What went wrong with the failed task under the cursor, in the room below the rows.
fn trouble(canvas: &mut Canvas<'_>, tasks: &Tasks, face: &Face<'_>) {
    let Some(Task { state: TaskState::Failed(problem), .. }) = tasks.selected() else { return };
    let used = u16::try_from(tasks.cursor.visible().len()).unwrap_or(u16::MAX);
    let left = face.rows.height.saturating_sub(used.saturating_add(1));
    let area = Rect {
        x: face.rows.x + 5,
        y: face.rows.y + used.min(face.rows.height),
        width: face.rows.width.saturating_sub(7),
        height: face.rows.height,
    };
    let again = face.hint(Action::RetryTask, "to try again");
    let what = words!("Can't {}: {}", problem.doing, problem.cause);
    let mut lines: Vec<(Role, Shown<'_>)> =
        Shown::from(&what).wrapped(area.width, usize::from(left.min(3))).into_iter().map(|line| (Role::Bad, line)).collect();
    if let Some(hint) = &problem.hint {
        lines.extend(Shown::from(hint).wrapped(area.width, 2).into_iter().map(|line| (Role::Text, line)));
    }
    lines.push((Role::Muted, Shown::from(&again)));
    for (y, (role, line)) in (0..left).zip(lines) {
        canvas.text(Rect { height: left + 1, ..area }, area.y.saturating_add(y).saturating_add(u16::from(left > 3)), line, role);
    }
}

/// The line that stands for the drawer: the newest running task, and how many more there are.
pub fn strip(canvas: &mut Canvas<'_>, tasks: &Tasks, area: Rect, spin: usize, key: &Safe) {
    let mut pen = canvas.pen(area, area.y);
    let Some(task) = tasks.tasks.iter().find(|task| task.state.is_running()) else { return };
    let signs = pen.signs();
    pen.gap(1);
    if pen.room() > 50 && !key.is_empty() && pen.right(" tasks ", Role::Label) {
        pen.right(key, Role::Key);
        pen.right("  ", Role::Label);
    }
    let more = tasks.running().saturating_sub(1);
    if more > 0 && pen.room() > 40 {
        pen.right(&words!("  +{more} more"), Role::Muted);
    }
    let (state, role) = sign(signs, &task.state, spin);
    pen.put(state, role).gap(1);
    let title = Shown::from(&task.title);
    let width = pen.room();
    pen.cell(title.width().min(width / 2), Align::Left, title, Role::Text).gap(2);
    progress(&mut pen, task, &task.progress.phase, gauge_width(area.width));
}

/// Time between two moments: `0:07`, `12:30`, `1:02:03`.
fn clock(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A span in a word: `45s`, `3m`, `2h`.
fn span(seconds: u64) -> String {
    match seconds {
        ..100 => format!("{seconds}s"),
        100..6000 => format!("{}m", seconds.div_ceil(60)),
        6000..360_000 => format!("{}h", seconds.div_ceil(3600)),
        _ => "days".to_owned(),
    }
}
