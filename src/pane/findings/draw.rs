//! The picture of the Findings pane: what the findings come to, what was not looked for, the findings in groups, and a box about the one under the cursor.
//!
//! A drawing file: may use `ui` and ratatui. Only the visible rows are looked at.

use ratatui::layout::Rect;

use crate::flow::Action;
use crate::model::findings::{Group, Reach, Row};
use crate::model::report::NotLooked;
use crate::model::{Finding, FindingKind, Image, Safe, Scan, Severity, Summary, time};
use crate::pane::draw::{Face, position};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::{Findings, explain};

/// Columns of a severity, and of an id.
const SEVERITY: u16 = 4;
const ID: u16 = 17;
const WIDE_ID: u16 = 24;
/// From this width on ids and packages have room.
const ROOMY: u16 = 76;

/// Draws the pane. `image` is what the Layers pane shows.
pub fn draw(canvas: &mut Canvas<'_>, findings: &Findings, image: Option<&Image>, face: &Face<'_>) {
    let title = match (&findings.scan, findings.look.filter.is_empty()) {
        (None, _) => Safe::default(),
        (Some(_), true) => words!("by {}", findings.look.grouping.word()),
        (Some(_), false) => words!("by {} /{}", findings.look.grouping.word(), Safe::new(findings.look.filter.text())),
    };
    face.frame(canvas, &title, &findings.cursor, &position(&findings.cursor));
    let Some((scan, _, arranged)) = &findings.shown else {
        return nothing(canvas, findings, face);
    };
    heading(canvas, findings, scan, &arranged.summary, face);
    for at in findings.cursor.visible() {
        let Some(row) = arranged.rows.get(at) else { break };
        let pen = face.row(canvas, &findings.cursor, at);
        match row {
            Row::Group(at) => drop(arranged.groups.get(*at).map(|one| group(pen, one))),
            Row::Finding(at) => drop(scan.findings.get(*at).map(|one| line(pen, one, findings.shift))),
        }
    }
    if arranged.rows.is_empty() {
        empty(canvas, findings, scan, face);
    }
    if let Some(finding) = findings.selected() {
        detail(canvas, finding, image, face);
    }
}

/// The role of a severity; the word beside it says the same.
#[must_use]
pub const fn severity_role(severity: Severity) -> Role {
    match severity {
        Severity::Critical => Role::Bad,
        Severity::High => Role::Warning,
        Severity::Medium => Role::Changed,
        Severity::Low => Role::Info,
        Severity::Negligible | Severity::Unknown => Role::Muted,
    }
}

/// A severity in four letters.
#[must_use]
pub const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "CRIT",
        Severity::High => "HIGH",
        Severity::Medium => "MED",
        Severity::Low => "LOW",
        Severity::Negligible => "NEGL",
        Severity::Unknown => "?",
    }
}

/// Two lines: what there is, and how far one may trust that it is all.
fn heading(canvas: &mut Canvas<'_>, findings: &Findings, scan: &Scan, summary: &Summary, face: &Face<'_>) {
    let dot = canvas.signs.separator;
    let area = face.heading;
    let spinner = findings.job.is_some().then(|| canvas.signs.spin(face.spin));
    let mut pen = canvas.pen(area, area.y);
    pen.gap(1);
    if let Some(spinner) = spinner {
        pen.put(spinner, Role::Info).gap(1);
    }
    let mut counts = vec![words!("{} finding{}", text::count(summary.total), if summary.total == 1 { "" } else { "s" })];
    if summary.ids < summary.total {
        counts.push(words!("{} ids", text::count(summary.ids)));
    }
    if summary.packages > 0 {
        counts.push(words!("{} package{}", text::count(summary.packages), if summary.packages == 1 { "" } else { "s" }));
    }
    if summary.fixable > 0 {
        counts.push(words!("{} fixable", text::count(summary.fixable)));
    }
    if summary.suppressed > 0 {
        counts.push(words!("{} ignored", text::count(summary.suppressed)));
    }
    for (n, count) in counts.iter().enumerate() {
        if n > 0 {
            pen.gap(1);
            pen.put(dot, Role::Muted).gap(1);
        }
        pen.put(count, if n == 0 { Role::Text } else { Role::Muted });
    }
    let mut pen = canvas.pen(area, area.y.saturating_add(1));
    pen.gap(1);
    if let Some(problem) = findings.problem.as_ref().or(scan.problems.first()) {
        let sign = pen.signs().warning;
        pen.put(sign, Role::Warning).gap(1);
        pen.put(&words!("{} ({})", problem.cause, problem.doing), Role::Warning);
        return;
    }
    state(&mut pen, findings, scan, face);
}

/// What is going on, what was not looked for, or by whom and when it was looked at.
fn state(pen: &mut Pen<'_, '_>, findings: &Findings, scan: &Scan, face: &Face<'_>) {
    if let Some(progress) = findings.progress.as_ref().filter(|_| findings.job.is_some()) {
        let (done, total) = progress.totals();
        let percent = total.map(|total| done.saturating_mul(100) / total);
        let share = percent.map_or_else(String::new, |percent| format!(" {}%", percent.min(100)));
        pen.put(&words!("{}{share}", progress.phase), Role::Info);
        return;
    }
    if scan.reach == Reach::Known {
        let hint = face.hint(Action::Scan, "looks into them");
        pen.put("the layers were not looked into", Role::Muted);
        if !hint.is_empty() {
            pen.put(&words!(": {hint}"), Role::Muted);
        }
        return;
    }
    let mut parts: Vec<Safe> = Vec::new();
    let missed: usize = scan.reports.iter().map(|report| report.not_looked_for.len()).sum();
    // What weighs most is told first.
    let is_vulnerability = |one: &&NotLooked| !one.what.as_str().starts_with(FindingKind::Vulnerability.word());
    if let Some(first) = scan.reports.iter().flat_map(|report| &report.not_looked_for).min_by_key(is_vulnerability) {
        let more = if missed > 1 { format!(" (and {} more)", missed - 1) } else { String::new() };
        parts.push(words!("not looked for: {}, {}{more}", first.what, first.why));
    }
    if let Some(date) = scan.reports.iter().filter_map(|report| report.scanner.db_date).min() {
        parts.push(words!("advisories {} old", time::age(date, face.now)));
    }
    let others: Vec<String> = scan.reports.iter().skip(1).map(|report| report.scanner.name.safe().to_string()).collect();
    if !others.is_empty() {
        parts.push(words!("with {}", others.join(", ")));
    }
    let text: Vec<&str> = parts.iter().map(Safe::as_str).collect();
    let dot = pen.signs().separator;
    pen.put(&words!("{}", text.join(&format!(" {dot} "))), Role::Muted);
}

fn group(mut pen: Pen<'_, '_>, group: &Group) {
    let signs = pen.signs();
    pen.gap(1);
    pen.put(if group.folded { signs.folded } else { signs.unfolded }, Role::Muted).gap(1);
    let fixable = if group.fixable > 0 { format!(" {} {} fixable", signs.separator, text::count(group.fixable)) } else { String::new() };
    let tail = words!(" {}{fixable}", text::count(group.count));
    pen.keep(Shown::from(&tail).width());
    pen.put(&group.name, severity_role(group.worst));
    pen.keep(0);
    pen.put(&tail, Role::Muted);
}

/// One finding: how bad, its id, and then what it is in and what mends that, or where it is.
fn line(mut pen: Pen<'_, '_>, finding: &Finding, shift: u16) {
    let roomy = pen.room() >= ROOMY;
    let quiet = finding.suppressed.is_some();
    let role = |role| if quiet { Role::Muted } else { role };
    pen.gap(3);
    pen.cell(SEVERITY, Align::Left, severity_word(finding.severity), role(severity_role(finding.severity))).gap(1);
    pen.cell(if roomy { WIDE_ID } else { ID }, Align::Left, &finding.id.safe(), role(Role::Tag)).gap(1);
    let arrow = pen.signs().arrow;
    let mut words: Vec<(Safe, Role)> = Vec::new();
    if let Some(package) = &finding.package {
        words.push((package.name.safe(), Role::Repository));
        words.push((package.version.safe(), Role::Muted));
        if let Some(fixed) = finding.fixed_versions.first() {
            words.push((words!("{arrow} {}", fixed.safe()), Role::Good));
        }
    }
    if let Some(path) = finding.path.as_ref().filter(|_| finding.package.is_none()) {
        words.push((words!("/{}", path.safe()), Role::Text));
    }
    if !finding.title.is_empty() && (roomy || finding.path.is_none()) {
        words.push((finding.title.safe(), Role::Muted));
    }
    let mut skip = shift;
    for (word, kind) in words {
        let shown = Shown::from(&word);
        let width = shown.width();
        if skip >= width {
            skip -= width;
            continue;
        }
        pen.put(shown.skip(skip), role(kind)).gap(1);
        skip = 0;
    }
}

/// The box at the bottom: what the finding under the cursor is, and what to do about it.
fn detail(canvas: &mut Canvas<'_>, finding: &Finding, image: Option<&Image>, face: &Face<'_>) {
    let area = face.detail;
    if area.height < 2 || area.width < 12 {
        return;
    }
    let line = canvas.signs.frame.horizontal;
    let mut pen = canvas.pen(area, area.y);
    pen.repeat(line, 1, Role::Border);
    pen.put(&words!(" {} ", finding.id.safe()), Role::Title);
    let rest = pen.room();
    pen.repeat(line, rest, Role::Border);
    let inside = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 1 };
    let title = if finding.title.is_empty() { finding.description.safe() } else { finding.title.safe() };
    let head = Shown::from(&title).wrapped(inside.width, 2);
    for (n, part) in head.iter().enumerate() {
        canvas.text(inside, inside.y.saturating_add(text::cols(n)), *part, Role::Text);
    }
    let lines = explain::finding(finding, image);
    for (n, (name, value)) in lines.iter().enumerate() {
        let y = inside.y.saturating_add(text::cols(head.len() + n));
        if y >= inside.bottom() {
            break;
        }
        let mut pen = canvas.pen(inside, y);
        pen.cell(10, Align::Right, *name, Role::Muted).gap(1);
        pen.put(value, if *name == "fix" && finding.is_fixable() { Role::Good } else { Role::Text });
    }
}

/// Words where there are no rows: found nothing, or nothing that the filter lets through.
fn empty(canvas: &mut Canvas<'_>, findings: &Findings, scan: &Scan, face: &Face<'_>) {
    if !findings.look.filter.is_empty() {
        let what = words!("Nothing matches {}", Safe::new(findings.look.filter.text()));
        let hint = face.hint(Action::Back, "clears the filter");
        return widgets::card(canvas, face.rows, &[(Role::Text, Shown::from(&what)), (Role::Muted, Shown::from(&hint))]);
    }
    let looked = |kind: &FindingKind| scan.reports.iter().any(|report| report.looked_for.contains(kind));
    let kinds: Vec<&str> = FindingKind::ALL.iter().filter(|kind| looked(kind)).map(|kind| kind.plural()).collect();
    let what = match kinds.as_slice() {
        [] => words!("Nothing was looked for"),
        kinds => words!("Nothing found among {}", kinds.join(", ")),
    };
    let hint = if scan.reach == Reach::Known {
        face.hint(Action::Scan, "looks into the layers")
    } else {
        face.hint(Action::AboutScan, "shows what was not looked for")
    };
    widgets::card(canvas, face.rows, &[(Role::Text, Shown::from(&what)), (Role::Muted, Shown::from(&hint))]);
}

/// Words where nothing is known yet.
fn nothing(canvas: &mut Canvas<'_>, findings: &Findings, face: &Face<'_>) {
    match &findings.problem {
        Some(problem) => {
            let again = face.hint(Action::Scan, "to try again");
            widgets::problem_card(canvas, face.inside(), problem, &again);
        }
        None if findings.key.is_none() => widgets::card(canvas, face.inside(), &[(Role::Muted, "No image selected".into())]),
        None if findings.job.is_some() || findings.arranging.is_some() => face.waiting(canvas, "Looking at the image"),
        None => {
            let hint = face.hint(Action::Scan, "looks what is wrong with this image");
            widgets::card(canvas, face.inside(), &[(Role::Muted, Shown::from(&hint))]);
        }
    }
}
