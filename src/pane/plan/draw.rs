//! The picture of the Plan drawer: lines under their source, each with what it does, what that means and how it stands; and what the whole
//! comes to, on the frame.
//!
//! A drawing file: may use `ui` and ratatui.

use crate::curate::freed::Total;
use crate::flow::Action;
use crate::flow::job::Way;
use crate::model::{Foreign, LineState, Operation, Safe, UndoClass, Verb};
use crate::pane::draw::{Face, position};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{Line, PlanPane, PlanRow, Totals};

/// Columns of a verb.
const VERB: u16 = 15;

/// Draws the drawer.
pub fn draw(canvas: &mut Canvas<'_>, plan: &PlanPane, face: &Face<'_>) {
    face.frame(canvas, &title(plan), &plan.cursor, &position(&plan.cursor));
    totals(canvas, plan, face);
    if plan.rows.is_empty() {
        return empty(canvas, plan, face);
    }
    let seen = plan.cursor.visible().filter_map(|at| match plan.rows.get(at)? {
        PlanRow::Line(n) => plan.lines.get(*n),
        _ => None,
    });
    let targets = seen.map(|line| Shown::from(&target(&line.operation)).width()).max().unwrap_or(0);
    for at in plan.cursor.visible() {
        let Some(&row) = plan.rows.get(at) else { break };
        let mut pen = face.row(canvas, &plan.cursor, at);
        match row {
            PlanRow::Source(n) => {
                if let Some(line) = plan.lines.get(n) {
                    pen.gap(1);
                    let place = Safe::ascii(&line.place);
                    group(&mut pen, &place, &plan.group(&line.place), plan.freed(&line.place));
                    pen.put(&place, Role::Registry);
                }
            }
            PlanRow::Line(n) => {
                line(&mut pen, plan, n, targets, face);
            }
            PlanRow::Note(n, note) => {
                pen.gap(7);
                pen.put(plan.notes(n).get(note).unwrap_or(&Safe::default()), Role::Muted);
            }
        }
    }
}

fn title(plan: &PlanPane) -> Safe {
    match plan.about().map(|about| (about.way, short(&about.run))) {
        Some((Way::Undo, run)) => words!("takes back run {run}"),
        Some((Way::Redo, run)) => words!("does run {run} again"),
        Some((Way::Resume, run)) => words!("goes on with run {run}"),
        None if plan.is_running() => words!("running"),
        None if plan.ended => words!("has run"),
        None => Safe::default(),
    }
}

/// The end of a run's name: its beginning is the time, which many share.
fn short(run: &str) -> Safe {
    Safe::ascii(&run.chars().skip(run.len().saturating_sub(6)).collect::<String>())
}

fn empty(canvas: &mut Canvas<'_>, plan: &PlanPane, face: &Face<'_>) {
    if plan.is_looking() {
        return face.waiting(canvas, "Looking at what needs these tags");
    }
    let add = words!("Nothing is planned: {} on images or tags puts their removal here", (face.key)(Action::Delete));
    let run = words!(
        "Nothing is changed before {} runs the plan, and {} takes a run back",
        (face.key)(Action::RunPlan),
        (face.key)(Action::Undo)
    );
    widgets::card(canvas, face.inside(), &[(Role::Text, Shown::from(&add)), (Role::Muted, Shown::from(&run))]);
}

/// What the lines of a place come to, at the right of its name: as much of it as leaves the name whole.
fn group(pen: &mut Pen<'_, '_>, place: &Safe, totals: &Totals, total: Option<&Total>) {
    let Some(worst) = totals.undo else { return };
    let (back, role) = undo(worst);
    let lines = format!("{} {}", text::count(totals.runs), if totals.runs == 1 { "line" } else { "lines" });
    let refused = if totals.refused == 0 { String::new() } else { format!(", {} refused", text::count(totals.refused)) };
    let frees = match total.filter(|total| total.at_most > 0) {
        Some(total) => format!(", {}", freed(total)),
        // A plan about a run says what that one said.
        None if totals.freed_at_most > 0 => format!(", frees {}", range(totals.freed_at_least, totals.freed_at_most)),
        None => String::new(),
    };
    let room = pen.room().saturating_sub(Shown::from(place).width() + Shown::from(back).width() + 5);
    let said = [format!("{lines}{refused}{frees}"), format!("{lines}{frees}"), lines];
    let Some(said) = said.into_iter().map(Safe::from).find(|said| Shown::from(said).width() <= room) else { return };
    pen.right(" ", Role::Muted);
    pen.right(back, role);
    pen.right("  ", Role::Muted);
    pen.right(&said, Role::Muted);
}

/// `targets` is the width of the widest target that is seen.
fn line(pen: &mut Pen<'_, '_>, plan: &PlanPane, n: usize, targets: u16, face: &Face<'_>) {
    let Some(line) = plan.lines.get(n) else { return };
    let operation = &line.operation;
    let refused = operation.refused().is_some();
    let clash = plan.clash(n);
    let signs = pen.signs();
    pen.gap(3);
    let (sign, role) = match &line.state {
        LineState::Running => (signs.spin(face.spin), Role::Info),
        LineState::Done { .. } => (signs.good, Role::Good),
        LineState::Conflict { .. } => (signs.warning, Role::Warning),
        LineState::Failed(_) => (signs.bad, Role::Bad),
        LineState::Skipped(_) | LineState::TakenBack => (signs.skipped, Role::Muted),
        LineState::Waiting if refused || clash.is_some() => (signs.bad, Role::Bad),
        LineState::Waiting if plan.tried.contains_key(&n) => match plan.tried.get(&n) {
            Some(LineState::Conflict { .. }) => (signs.warning, Role::Warning),
            Some(LineState::Failed(_)) => (signs.bad, Role::Bad),
            _ => (signs.waiting, Role::Good),
        },
        LineState::Waiting if plan.trying.is_some() => (signs.spin(face.spin), Role::Info),
        LineState::Waiting => (signs.waiting, Role::Muted),
    };
    pen.put(sign, role).gap(1);
    let verb_role = if refused { Role::Muted } else { verb_role(operation.verb) };
    pen.cell(VERB, Align::Left, operation.verb.word(), verb_role).gap(1);
    let (undo, undo_role) = undo(operation.undo);
    if face.rows.width >= 90 {
        pen.right(" ", Role::Muted);
        pen.right(undo, undo_role);
        pen.right("  ", Role::Muted);
    }
    pen.middle(targets.min(pen.room() / 2), &target(operation), if refused { Role::Muted } else { Role::Repository }).gap(2);
    let (words, role) = meaning(line, clash, plan.tried.get(&n).filter(|_| line.state == LineState::Waiting));
    pen.put(&words, role);
}

/// What is seen of the target under its source: a tag alone in a repository, else its whole name.
fn target(operation: &Operation) -> Safe {
    let remote = operation.source.registry_host().is_some();
    match operation.target.name().and_then(|name| name.split().1) {
        Some(tag) if remote => Safe::ascii(tag),
        _ => match &operation.target {
            crate::model::Target::Manifest { digest, .. } | crate::model::Target::Image(digest) => words!("{}", digest.short()),
            crate::model::Target::Tag(name) => Safe::ascii(name.familiar()),
        },
    }
}

const fn verb_role(verb: Verb) -> Role {
    match verb {
        Verb::DeleteTag | Verb::DeleteManifest | Verb::DeleteImage => Role::Bad,
        Verb::MoveTag | Verb::Untag => Role::Warning,
        _ => Role::Good,
    }
}

const fn undo(class: UndoClass) -> (&'static str, Role) {
    match class {
        UndoClass::ReversibleNow => ("undo", Role::Good),
        UndoClass::UntilGarbageCollection => ("undo until GC", Role::Info),
        UndoClass::OnlyFromBackup => ("undo with backup", Role::Warning),
        UndoClass::Irreversible => ("no undo", Role::Bad),
    }
}

/// The most important thing there is to say: what went wrong, what is in the way, what will be.
/// `tried` is how it was found when it was last looked whether it could run.
fn meaning(line: &Line, clash: Option<&Safe>, tried: Option<&LineState>) -> (Safe, Role) {
    if let Some(why) = line.state.why() {
        let role = if matches!(line.state, LineState::Failed(_)) { Role::Bad } else { Role::Warning };
        return (words!("{}: {why}", line.state.word()), role);
    }
    if let Some(why) = clash {
        return (why.clone(), Role::Bad);
    }
    if let Some(why) = line.operation.refused() {
        return (words!("refused: {}", why.safe()), Role::Warning);
    }
    match tried {
        Some(LineState::Conflict { .. }) => {
            let why = tried.and_then(LineState::why).unwrap_or_default();
            return (words!("would be left alone: {why}"), Role::Warning);
        }
        Some(LineState::Failed(problem)) => return (words!("can't be looked at: {}", problem.cause), Role::Bad),
        _ => {}
    }
    let could = if matches!(tried, Some(LineState::Waiting)) { "could run now: " } else { "" };
    let freed = line.operation.freed.as_ref().filter(|freed| freed.at_most > 0);
    let freed = freed.map(|freed| format!(", frees {}", range(freed.at_least, freed.at_most))).unwrap_or_default();
    let effect = line.operation.effects.first().map(Foreign::safe).unwrap_or_default();
    (words!("{could}{effect}{freed}"), Role::Text)
}

fn range(least: u64, most: u64) -> String {
    match least {
        _ if least == most => text::bytes(most).to_string(),
        0 => format!("at most {}", text::bytes(most)),
        _ => format!("{} to {}", text::bytes(least), text::bytes(most)),
    }
}

/// What all lines of a place free, and on what that rests.
fn freed(total: &Total) -> String {
    let basis = total.basis().map(|basis| format!(", {basis}")).unwrap_or_default();
    format!("frees {}{basis}", range(total.at_least, total.at_most))
}

/// What the whole comes to, on the lower frame.
fn totals(canvas: &mut Canvas<'_>, plan: &PlanPane, face: &Face<'_>) {
    if plan.lines.is_empty() || face.area.height < 2 {
        return;
    }
    let totals = plan.totals();
    let done = plan.lines.iter().filter(|line| line.state.is_done()).count();
    let mut parts = vec![if plan.ended || plan.is_running() {
        format!("{} of {} done", text::count(done), text::count(totals.runs))
    } else {
        format!("{} to run", text::count(totals.runs))
    }];
    if totals.refused > 0 {
        parts.push(format!("{} refused", text::count(totals.refused)));
    }
    if !plan.clashes.is_empty() {
        parts.push(format!("{} in each other's way", text::count(plan.clashes.len())));
    }
    if totals.freed_at_most > 0 {
        parts.push(format!("frees {}", range(totals.freed_at_least, totals.freed_at_most)));
        parts.extend(plan.basis());
    }
    if plan.all_or_nothing {
        parts.push("all or nothing".to_owned());
    }
    if plan.backup {
        parts.push("with backup".to_owned());
    }
    let role = if plan.clashes.is_empty() { Role::Accent } else { Role::Bad };
    widgets::on_line(canvas, face.area, face.area.bottom() - 1).put(&words!(" {} ", parts.join(", ")), role);
}
