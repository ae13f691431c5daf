//! The picture of the Log drawer: when, what, how it ended and who; below an opened run its lines, and whether each could be taken back.
//!
//! A drawing file: may use `ui` and ratatui.

use crate::flow::Action;
use crate::model::{LineState, LoggedLine, LoggedRun, RunEnd, Safe, time};
use crate::pane::draw::{Face, position};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{Log, LogRow};

/// Draws the drawer.
pub fn draw(canvas: &mut Canvas<'_>, log: &Log, face: &Face<'_>) {
    face.frame(canvas, &Safe::default(), &log.cursor, &position(&log.cursor));
    if log.rows.is_empty() {
        return nothing(canvas, log, face);
    }
    for at in log.cursor.visible() {
        let Some(&row) = log.rows.get(at) else { break };
        let mut pen = face.row(canvas, &log.cursor, at);
        match row {
            LogRow::Run(n) => {
                if let Some(one) = log.all().get(n) {
                    run(&mut pen, one, log.is_unfolded(one), face);
                }
            }
            LogRow::Line(n, l) => {
                if let Some(one) = log.all().get(n).and_then(|run| run.lines.get(l)) {
                    line(&mut pen, one, face);
                }
            }
        }
    }
}

fn nothing(canvas: &mut Canvas<'_>, log: &Log, face: &Face<'_>) {
    match &log.runs.problem {
        Some(problem) => widgets::problem_card(canvas, face.inside(), problem, &face.hint(Action::Refresh, "to try again")),
        None if log.runs.value.is_none() => face.waiting(canvas, "Reading the journal"),
        None => {
            let lines = [
                (Role::Text, Shown::from("Nothing was changed yet")),
                (Role::Muted, Shown::from("Every plan that runs is written down here before it does anything.")),
            ];
            widgets::card(canvas, face.inside(), &lines);
        }
    }
}

fn run(pen: &mut Pen<'_, '_>, run: &LoggedRun, unfolded: bool, face: &Face<'_>) {
    let signs = pen.signs();
    let done = run.lines.iter().filter(|line| line.state.is_done()).count();
    let back = run.lines.iter().filter(|line| line.state == LineState::TakenBack).count();
    let (sign, role, word) = match run.end {
        _ if run.damaged => (signs.warning, Role::Warning, "its file is damaged"),
        RunEnd::Running => (signs.spin(face.spin), Role::Info, "running"),
        RunEnd::CutShort => (signs.warning, Role::Warning, "cut short"),
        RunEnd::Stopped => (signs.cancelled, Role::Warning, "stopped"),
        RunEnd::Whole if back > 0 && done == 0 => (signs.skipped, Role::Muted, "taken back"),
        RunEnd::Whole if done == run.lines.len() => (signs.good, Role::Good, ""),
        RunEnd::Whole => (signs.warning, Role::Warning, "in part"),
    };
    pen.gap(1);
    pen.put(if unfolded { signs.unfolded } else { signs.folded }, Role::Muted).gap(1);
    pen.put(sign, role).gap(1);
    let age = words!("{} ago", time::age(run.at, face.now));
    pen.cell(9, Align::Right, &age, Role::Muted).gap(2);
    if face.rows.width >= 100 {
        pen.right(" ", Role::Muted);
        pen.right(&run.actor.safe(), Role::Muted);
        pen.right("  ", Role::Muted);
    }
    pen.cell(9, Align::Left, run.kind.word(), Role::Repository).gap(1);
    let lines = words!("{} of {} done", text::count(done), text::count(run.lines.len()));
    pen.put(&lines, Role::Text).gap(2);
    pen.put(word, role).gap(1);
    if let Some(first) = run.lines.first() {
        pen.put(&first.operation.target.safe(), Role::Muted);
        if run.lines.len() > 1 {
            pen.put(&words!(" and {} more", text::count(run.lines.len() - 1)), Role::Muted);
        }
    }
}

fn line(pen: &mut Pen<'_, '_>, line: &LoggedLine, face: &Face<'_>) {
    let signs = pen.signs();
    let (sign, role) = match &line.state {
        LineState::Done { .. } => (signs.good, Role::Good),
        LineState::Running => (signs.spin(face.spin), Role::Info),
        LineState::Conflict { .. } => (signs.warning, Role::Warning),
        LineState::Failed(_) => (signs.bad, Role::Bad),
        LineState::Waiting => (signs.waiting, Role::Muted),
        LineState::Skipped(_) | LineState::TakenBack => (signs.skipped, Role::Muted),
    };
    pen.gap(5);
    pen.put(sign, role).gap(1);
    let restorable = match &line.restorable {
        None => (words!("{}", line.operation.undo.words()), Role::Muted),
        Some(None) => (words!("can be taken back"), Role::Good),
        Some(Some(why)) => (words!("can't be taken back: {why}"), Role::Bad),
    };
    if line.state.is_done() && face.rows.width >= 90 {
        pen.right(" ", Role::Muted);
        pen.right(&restorable.0, restorable.1);
        pen.right("  ", Role::Muted);
    }
    pen.cell(15, Align::Left, line.operation.verb.word(), Role::Text).gap(1);
    let target = line.operation.target.safe();
    let width = Shown::from(&target).width().min(pen.room() / 2);
    pen.middle(width, &target, Role::Repository).gap(2);
    let at = |digest: Option<&crate::model::Digest>| digest.map_or("nothing".to_owned(), |digest| digest.short().to_owned());
    let (before, after) = (at(line.operation.before.as_ref()), at(line.operation.after.as_ref()));
    pen.put(&words!("{before} {} {after}", signs.arrow), Role::Digest).gap(2);
    if let Some(why) = line.state.why() {
        pen.put(&why, role);
    } else if line.state == LineState::TakenBack {
        pen.put("taken back", Role::Muted);
    }
}
