//! The picture of the Registries pane: hosts, repositories, tags with what each points at, and what is behind one.
//!
//! A drawing file: may use `ui` and ratatui. Only the visible rows are looked at.

use crate::flow::Action;
use crate::model::findings::Gist;
use crate::model::{Completeness, Digest, Listed, Platform, Problem, ProblemKind, RemoteKind, Safe, TagDetails, TagRow, time};
use crate::pane::draw::{Face, MARGIN, age_role, pointer, position, size_role};
use crate::pane::images::draw::found;
use crate::ui::canvas::Align;
use crate::ui::table::{Column, GAP, arrange, name_parts};
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::parts::PartRow;
use super::repositories::RepoLine;
use super::tags::{TagColumn, TagSort};
use super::what_if::{Decision, WhatIf};
use super::{Level, Parts, Registries, Repositories, Tags};

const TAGS: [Column; 9] = [
    Column { title: "Tag", least: 14, ideal: 24, grow: 2, priority: 0 },
    Column { title: "Size", least: 7, ideal: 7, grow: 0, priority: 1 },
    Column { title: "Age", least: 5, ideal: 5, grow: 0, priority: 2 },
    Column { title: "Same", least: 4, ideal: 4, grow: 0, priority: 4 },
    Column { title: "Digest", least: 12, ideal: 12, grow: 0, priority: 3 },
    Column { title: "Platforms", least: 11, ideal: 20, grow: 1, priority: 5 },
    Column { title: "Signed", least: 6, ideal: 6, grow: 0, priority: 6 },
    Column { title: "Type", least: 8, ideal: 10, grow: 0, priority: 7 },
    Column { title: "Found", least: 8, ideal: 8, grow: 0, priority: 2 },
];
/// While a policy is typed, what it says stands where else what is less asked for then does.
/// The column of what scans came to.
const FOUND: usize = 8;
const DECIDED: [Column; 6] = [
    Column { ideal: 16, grow: 1, ..TAGS[0] },
    Column { priority: 4, ..TAGS[1] },
    TAGS[2],
    Column { priority: 5, ..TAGS[3] },
    Column { priority: 6, ..TAGS[4] },
    Column { title: "Policy", least: 24, ideal: 60, grow: 4, priority: 1 },
];
const PARTS: [Column; 4] = [
    Column { title: "Part", least: 14, ideal: 24, grow: 2, priority: 0 },
    Column { title: "Digest", least: 12, ideal: 19, grow: 0, priority: 1 },
    Column { title: "Size", least: 8, ideal: 8, grow: 0, priority: 2 },
    Column { title: "About", least: 12, ideal: 12, grow: 0, priority: 3 },
];

/// Draws the pane.
pub fn draw(canvas: &mut Canvas<'_>, registries: &Registries, face: &Face<'_>) {
    let cursor = registries.cursor();
    let (shown, all) = registries.counts();
    let at = position(cursor);
    let place = if shown == all || at.is_empty() { at } else { words!("{at} of {}", text::count(all)) };
    face.frame(canvas, &trail(registries), cursor, &place);
    state(canvas, registries, face);
    match registries.level {
        Level::Hosts => hosts(canvas, registries, face),
        Level::Repositories => repositories(canvas, registries, face),
        Level::Tags => tags(canvas, registries, face),
        Level::Parts => parts(canvas, &registries.parts, face),
    }
}

/// Where one is: `registry.example.com / acme/web : 1.4  /filter`.
fn trail(registries: &Registries) -> Safe {
    let mut trail = match registries.level {
        Level::Hosts => return Safe::default(),
        Level::Repositories => Safe::new(registries.host()).to_string(),
        Level::Tags | Level::Parts => Safe::new(&registries.repository().unwrap_or_default()).to_string(),
    };
    if registries.level == Level::Parts
        && let Some(of) = &registries.parts.of
    {
        trail = format!("{trail}:{}", Safe::ascii(&of.tag));
    }
    if let Some(filter) = registries.filter().filter(|filter| !filter.is_empty()) {
        trail = format!("{trail}  /{}", Safe::new(filter.text()));
    }
    Safe::from(trail)
}

/// On the lower frame: what is under way, what a list lacks, how many are marked.
fn state(canvas: &mut Canvas<'_>, registries: &Registries, face: &Face<'_>) {
    if face.area.height < 2 || face.area.width < 30 {
        return;
    }
    let signs = canvas.signs;
    let (loading, problem, listed) = match registries.level {
        Level::Repositories => (registries.repositories.job.is_some(), &registries.repositories.problem, &registries.repositories.listed),
        Level::Tags => {
            (registries.tags.job.is_some() || registries.tags.asked.is_some(), &registries.tags.problem, &registries.tags.listed)
        }
        Level::Parts => (registries.parts.referrers.is_loading(), &registries.parts.referrers.problem, &None),
        Level::Hosts => return,
    };
    let has_rows = registries.cursor().len > 0;
    let mut pen = widgets::on_line(canvas, face.area, face.area.bottom() - 1);
    pen.keep(14);
    if let Some(what_if) = registries.what_if() {
        policy(&mut pen, what_if, registries.tags.job.is_some());
    }
    if registries.level == Level::Tags && !registries.tags.marks.is_empty() {
        pen.put(&words!(" {} {} marked ", signs.mark, text::count(registries.tags.marks.len())), Role::Mark);
    }
    match (problem, listed) {
        (Some(problem), _) if has_rows => drop(pen.put(&words!(" {} as last seen: {} ", signs.warning, problem.cause), Role::Warning)),
        (None, Some(listed)) => incomplete(&mut pen, listed),
        _ => {}
    }
    if let Some(quota) = registries.source().and_then(|source| registries.quotas.get(source)) {
        // A tenth is little: most registries then refuse everything for hours.
        let little = quota.limit.is_some_and(|limit| quota.remaining.saturating_mul(10) <= limit);
        pen.put(&words!(" {quota} "), if little { Role::Warning } else { Role::Muted });
    }
    if loading && has_rows {
        pen.put(&words!(" {} ", signs.spin(face.spin)), Role::Info);
    }
}

/// Why a list may not be all there is.
fn incomplete(pen: &mut Pen<'_, '_>, listed: &Listed) {
    let sign = pen.signs().warning;
    if let Completeness::Incomplete(why) = &listed.completeness {
        pen.put(&words!(" {sign} may not be all: {why} "), Role::Warning);
    } else if listed.odd > 0 {
        pen.put(&words!(" {sign} {} entries are no names ", text::count(listed.odd)), Role::Warning);
    }
}

fn hosts(canvas: &mut Canvas<'_>, registries: &Registries, face: &Face<'_>) {
    if registries.hosts.rows.is_empty() {
        let add = face.hint(Action::AddRegistry, "adds one");
        if face.inside().height < 5 {
            let here = if face.focused { Safe::default() } else { words!("{} then ", (face.key)(Action::FocusRegistries)) };
            let line = words!("No registry yet: {here}{add}");
            return widgets::card(canvas, face.inside(), &[(Role::Muted, Shown::from(&line))]);
        }
        let lines = [
            (Role::Text, Shown::from("No registry yet")),
            (Role::Muted, Shown::from("Those you are logged in to, and those in the configuration, show here.")),
            (Role::Muted, Shown::from(&add)),
        ];
        return widgets::card(canvas, face.inside(), &lines);
    }
    heading(canvas, face, &[("Registry", Align::Left, 0)]);
    for at in registries.hosts.cursor.visible() {
        let Some(row) = registries.hosts.rows.get(at) else { break };
        let mut pen = face.row(canvas, &registries.hosts.cursor, at);
        pointer(&mut pen, at == registries.hosts.cursor.at, false, false);
        if row.read_only {
            pen.right(" read-only ", Role::Muted);
        }
        let why = Shown::from(&row.why);
        if pen.room() > why.width() + 24 {
            pen.right(" ", Role::Muted);
            pen.right(why, Role::Muted);
        }
        pen.put(&row.name, Role::Repository);
    }
}

/// A line of column titles; a width of 0 takes what is left.
fn heading(canvas: &mut Canvas<'_>, face: &Face<'_>, titles: &[(&'static str, Align, u16)]) {
    let mut pen = canvas.pen(face.heading, face.heading.y);
    pen.gap(MARGIN);
    for (title, align, width) in titles {
        let width = if *width == 0 { pen.room() } else { *width };
        pen.cell(width, *align, *title, Role::Heading);
        pen.gap(GAP);
    }
}

/// Words where a list has no rows: under way, failed, empty, or all filtered away.
fn nothing(canvas: &mut Canvas<'_>, face: &Face<'_>, what: &str, loading: bool, problem: Option<&Problem>, filtered: bool) {
    let again = face.hint(Action::Refresh, "to try again");
    match problem {
        Some(problem) => {
            let typed = face.hint(Action::AddRegistry, "to type a repository");
            let denied = problem.kind == ProblemKind::Denied;
            let log_in = if denied { face.hint(Action::LogIn, "to log in") } else { Safe::default() };
            let hints = [log_in, again, typed].iter().filter(|hint| !hint.is_empty()).map(Safe::as_str).collect::<Vec<_>>().join("   ");
            widgets::problem_card(canvas, face.inside(), problem, &Safe::from(hints));
        }
        None if loading => face.waiting(canvas, &words!("Asking for the {what}")),
        None if filtered => {
            let clear = face.hint(Action::Back, "clears the filter");
            let words = words!("No {what} that the filter lets through");
            widgets::card(canvas, face.inside(), &[(Role::Text, Shown::from(&words)), (Role::Muted, Shown::from(&clear))]);
        }
        None => {
            let words = words!("There are no {what} here");
            widgets::card(canvas, face.inside(), &[(Role::Muted, Shown::from(&words))]);
        }
    }
}

fn repositories(canvas: &mut Canvas<'_>, registries: &Registries, face: &Face<'_>) {
    let repositories = &registries.repositories;
    if repositories.rows.is_empty() {
        let filtered = !repositories.filter.is_empty();
        return nothing(canvas, face, "repositories", repositories.job.is_some(), repositories.problem.as_ref(), filtered);
    }
    heading(canvas, face, &[("Repository", Align::Left, 0)]);
    for at in repositories.cursor.visible() {
        let Some(line) = repositories.rows.get(at) else { break };
        let mut pen = face.row(canvas, &repositories.cursor, at);
        pointer(&mut pen, at == repositories.cursor.at, false, false);
        repository(&mut pen, repositories, line);
    }
}

fn repository(pen: &mut Pen<'_, '_>, repositories: &Repositories, line: &RepoLine) {
    let signs = pen.signs();
    match line {
        RepoLine::Group { name, count, open } => {
            pen.right(" ", Role::Muted);
            pen.right(&text::count(*count), Role::Muted);
            let sign = if *open { signs.unfolded } else { signs.folded };
            pen.put(&words!("{sign} "), Role::Accent).put(&words!("{}/", Safe::ascii(name)), Role::Registry);
        }
        RepoLine::Repository { at, inside } => {
            let Some(row) = repositories.list.get(*at) else { return };
            let name = Safe::ascii(row.name.raw());
            let (path, base) = name_parts(Shown::from(&name));
            if *inside {
                pen.gap(4);
            } else if let Some(path) = path {
                pen.gap(if repositories.tree { 2 } else { 0 });
                pen.put(path, Role::Registry);
            } else if repositories.tree {
                pen.gap(2);
            }
            pen.put(base, if row.fit { Role::Repository } else { Role::Untagged });
        }
    }
}

fn tags(canvas: &mut Canvas<'_>, registries: &Registries, face: &Face<'_>) {
    let tags = &registries.tags;
    if tags.rows.is_empty() {
        return nothing(canvas, face, "tags", tags.job.is_some(), tags.problem.as_ref(), !tags.filter.is_empty());
    }
    let decided = tags.what_if.as_ref().filter(|what_if| what_if.report().is_some());
    // What was found is told once something was looked at.
    let shown = if tags.gists.is_empty() { TAGS.len() - 1 } else { TAGS.len() };
    let columns: &'static [Column] = if decided.is_some() { &DECIDED } else { TAGS.get(..shown).unwrap_or(&TAGS) };
    let widths = arrange(columns, face.rows.width.saturating_sub(MARGIN + 1));
    tag_heading(canvas, tags.sort, columns, &widths, face);
    let range = tags.range_rows();
    let mut above: Option<&Digest> = None;
    for at in tags.cursor.visible() {
        let Some(row) = tags.tag(at) else { break };
        let mut pen = face.row(canvas, &tags.cursor, at);
        let marked = tags.marks.contains(row.tag.raw());
        let in_range = range.as_ref().is_some_and(|range| range.contains(&at));
        pointer(&mut pen, at == tags.cursor.at, marked, in_range);
        let digest = tags.of(row.tag.raw()).map(|details| &details.digest);
        let decision = decided.and_then(|what_if| what_if.decision(row.tag.raw()));
        let line = TagLine { tags, row, face, decision, marked, same: at != tags.cursor.at && digest.is_some() && digest == above };
        line.draw(&mut pen, &widths);
        above = digest;
    }
}

fn tag_heading(canvas: &mut Canvas<'_>, sort: TagSort, columns: &'static [Column], widths: &[u16], face: &Face<'_>) {
    let signs = canvas.signs;
    let mut pen = canvas.pen(face.heading, face.heading.y);
    pen.gap(MARGIN);
    for (i, (column, width)) in columns.iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0) {
        let sorted = matches!((i, sort.column), (0, TagColumn::Name) | (1, TagColumn::Size) | (2, TagColumn::Created));
        let align = if matches!(i, 1..=3) { Align::Right } else { Align::Left };
        if sorted {
            let arrow = if sort.reversed { signs.ascending } else { signs.descending };
            pen.cell(*width, align, &words!("{} {arrow}", column.title), Role::HeadingSorted);
        } else {
            pen.cell(*width, align, column.title, Role::Heading);
        }
        pen.gap(GAP);
    }
}

struct TagLine<'a> {
    tags: &'a Tags,
    row: &'a TagRow,
    face: &'a Face<'a>,
    /// What the policy that is typed says.
    decision: Option<(Decision, Safe)>,
    marked: bool,
    /// The row above is the same digest: what is the same is said once.
    same: bool,
}

impl TagLine<'_> {
    fn draw(&self, pen: &mut Pen<'_, '_>, widths: &[u16]) {
        let answer = self.tags.details.get(self.row.tag.raw());
        for (i, &width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
            match (i, answer) {
                (0, _) => self.tag(pen, width),
                (5, _) if self.decision.is_some() => self.decided(pen, width),
                (_, Some(Ok(details))) => self.fact(pen, i, width, details),
                // Why it is not known stands where it would be.
                (1, Some(Err(problem))) => {
                    let room = pen.room();
                    pen.cell(room, Align::Left, &words!("{} {}", pen.signs().bad, problem.cause), Role::Bad);
                    return;
                }
                _ => drop(pen.cell(width, Align::Left, " ", Role::Muted)),
            }
            pen.gap(GAP);
        }
    }

    fn tag(&self, pen: &mut Pen<'_, '_>, width: u16) {
        let role = match (self.marked, self.row.fit, &self.decision) {
            (true, ..) => Role::Mark,
            (_, true, Some((decision, _))) => decision_role(*decision),
            (_, true, None) => Role::Tag,
            _ => Role::Untagged,
        };
        pen.shifted(width, self.tags.shift, &Safe::ascii(self.row.tag.raw()), role);
    }

    /// What the policy says, in a word and by its rule.
    fn decided(&self, pen: &mut Pen<'_, '_>, width: u16) {
        let Some((decision, why)) = &self.decision else { return };
        let start = pen.x();
        pen.cell(8.min(width), Align::Left, decision.word(), decision_role(*decision));
        let left = width.saturating_sub(8);
        pen.cell(left, Align::Left, why, Role::Muted);
        pen.go(start.saturating_add(width));
    }

    fn fact(&self, pen: &mut Pen<'_, '_>, column: usize, width: u16, details: &TagDetails) {
        if column == FOUND {
            return found(pen, width, Gist::of_tag(&self.tags.gists, details));
        }
        let signs = pen.signs();
        let quiet = |role| if self.same { Role::Muted } else { role };
        match column {
            1 => match details.size {
                Some(bytes) => pen.cell(width, Align::Right, &text::bytes(bytes), quiet(size_role(bytes))),
                None => pen.cell(width, Align::Right, signs.unknown, Role::Muted),
            },
            2 => match details.created {
                Some(then) => {
                    let age = words!("{}", time::age(then, self.face.now));
                    pen.cell(width, Align::Right, &age, quiet(age_role(then, self.face.now)))
                }
                None => pen.cell(width, Align::Right, signs.unknown, Role::Muted),
            },
            3 => match self.tags.same.get(&details.digest) {
                Some(count) if *count > 1 => pen.cell(width, Align::Right, &text::count(*count), Role::Accent),
                _ => pen.cell(width, Align::Right, " ", Role::Muted),
            },
            4 if self.same => pen.cell(width, Align::Left, signs.same, Role::Muted),
            4 => pen.cell(width, Align::Left, &words!("{}", details.digest.short()), Role::Digest),
            5 => pen.cell(width, Align::Left, &platforms(&details.platforms), quiet(Role::Text)),
            6 => match details.signed {
                Some(true) => pen.cell(width, Align::Left, &words!("{} yes", signs.good), Role::Good),
                Some(false) => pen.cell(width, Align::Left, "no", Role::Muted),
                None => pen.cell(width, Align::Left, signs.unknown, Role::Muted),
            },
            _ => pen.cell(width, Align::Left, kind(details), Role::Muted),
        };
    }
}

const fn decision_role(decision: Decision) -> Role {
    match decision {
        Decision::Keep => Role::Good,
        Decision::Drop => Role::Removed,
        Decision::Protect => Role::Info,
        Decision::Undecided => Role::Muted,
        Decision::Unknown => Role::Warning,
    }
}

/// What the policy that is typed comes to, as far as the tags are known.
fn policy(pen: &mut Pen<'_, '_>, what_if: &WhatIf, listing: bool) {
    if let Some(report) = what_if.report() {
        let role = if report.needs_name { Role::Warning } else { Role::Accent };
        let (drop, keep) = (text::count(report.dropped), text::count(report.of.saturating_sub(report.dropped)));
        pen.put(&words!(" drops {drop}, keeps {keep} ({} %) ", report.share()), role);
        if listing {
            pen.put(" still listing ", Role::Warning);
        } else if what_if.unread() > 0 {
            pen.put(&words!(" {} not read yet ", text::count(what_if.unread())), Role::Warning);
        }
        if what_if.unlabelled() > 0 {
            pen.put(&words!(" labels of {} not read yet ", text::count(what_if.unlabelled())), Role::Warning);
        } else if let Some(fact) = what_if.lacks() {
            pen.put(&words!(" {fact} not known here: what hangs on it stays "), Role::Warning);
        }
    }
}

/// `amd64 arm64/v8`: without the system where all have the usual one.
fn platforms(platforms: &[Platform]) -> Safe {
    let short = |platform: &Platform| {
        let whole = platform.to_string();
        whole.strip_prefix("linux/").map_or(whole.clone(), str::to_owned)
    };
    Safe::new(&platforms.iter().map(short).collect::<Vec<_>>().join(" "))
}

const fn kind(details: &TagDetails) -> &'static str {
    match details.kind {
        RemoteKind::Image => "image",
        RemoteKind::Index => "index",
        RemoteKind::Artifact => "artifact",
        RemoteKind::Schema1 => "schema 1",
    }
}

fn parts(canvas: &mut Canvas<'_>, parts: &Parts, face: &Face<'_>) {
    if parts.rows.is_empty() {
        return nothing(canvas, face, "platforms or referrers", parts.referrers.is_loading(), parts.referrers.problem.as_ref(), false);
    }
    let widths = arrange(&PARTS, face.rows.width.saturating_sub(MARGIN + 1));
    let titles: Vec<_> = PARTS
        .iter()
        .zip(&widths)
        .enumerate()
        .filter(|(_, (_, width))| **width > 0)
        .map(|(i, (column, width))| (column.title, if i == 2 { Align::Right } else { Align::Left }, *width))
        .collect();
    heading(canvas, face, &titles);
    for at in parts.cursor.visible() {
        let Some(row) = parts.rows.get(at) else { break };
        let mut pen = face.row(canvas, &parts.cursor, at);
        pointer(&mut pen, at == parts.cursor.at, false, false);
        part(&mut pen, parts, *row, &widths);
    }
}

fn part(pen: &mut Pen<'_, '_>, parts: &Parts, row: PartRow, widths: &[u16]) {
    let (name, role, digest, size, about) = match row {
        PartRow::Itself => {
            let Some(of) = &parts.of else { return };
            (platforms(&of.platforms), Role::Repository, &of.digest, of.size.unwrap_or(0), None)
        }
        PartRow::Child(at) => {
            let Some(child) = parts.child(at) else { return };
            match (&child.about, &child.platform) {
                (Some(about), _) => (Safe::new("attestation"), Role::Muted, &child.digest, child.size, Some(about)),
                (None, Some(platform)) => (words!("{platform}"), Role::Repository, &child.digest, child.size, None),
                (None, None) => (child.media_type.safe(), Role::Text, &child.digest, child.size, None),
            }
        }
        PartRow::Referrer(at) => {
            let Some(referrer) = parts.referrer(at) else { return };
            let subject = parts.of.as_ref().map(|of| &of.digest);
            let kind = referrer.artifact_type.as_ref().unwrap_or(&referrer.media_type);
            (words!("{}", referrer_word(kind.raw())), Role::Accent, &referrer.digest, referrer.size, subject)
        }
    };
    for (i, &width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
        match i {
            0 => drop(pen.cell(width, Align::Left, &name, role)),
            1 => drop(pen.middle(width, &Safe::new(digest.as_str()), Role::Digest)),
            2 => drop(pen.cell(width, Align::Right, &text::bytes(size), Role::Muted)),
            _ => drop(pen.cell(width, Align::Left, &about.map(|about| words!("{}", about.short())).unwrap_or_default(), Role::Muted)),
        }
        pen.gap(GAP);
    }
}

/// What an artifact's type means, where it is a usual one.
fn referrer_word(kind: &str) -> Safe {
    let has = |part: &str| kind.contains(part);
    if has("cosign") || has("simplesigning") || has("notary") || has("signature") || has("sigstore") {
        words!("signature  {}", Safe::new(kind))
    } else if has("spdx") || has("cyclonedx") || has("syft") {
        words!("SBOM  {}", Safe::new(kind))
    } else if has("in-toto") {
        words!("attestation  {}", Safe::new(kind))
    } else {
        Safe::new(kind)
    }
}
