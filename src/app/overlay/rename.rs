//! Batch retag: one rule for all chosen tags, with the new names beside the old ones while it is typed; or all of them as text.
//! What comes of it is a plan.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tui_input::Input;

use crate::curate::plan;
use crate::curate::rename::{self, Answer, Case, Mark, Names, Pattern, Preset, Row, Rows, Rule, Template};
use crate::curate::words::counted;
use crate::flow::{Chord, Effect, Key};
use crate::model::{Digest, ImageList, Name, Safe, SourceId, TagDetails};
use crate::pane::images::RowKey;
use crate::pane::registries::Tags;
use crate::pane::registries::tags::BUDGET;
use crate::pane::{ListCursor, PaneId};

use super::super::plan as planning;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::super::update::edit;
use super::preview::look_before_pushes;
use super::{Overlay, move_cursor};

pub use text::RenameText;

/// Where the tags are.
#[derive(Debug, Clone)]
enum Place {
    Local(SourceId, Arc<ImageList>),
    Remote(SourceId, String),
}

/// How a new name stands to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing to do: it is there already, or the rule leaves it alone.
    Same,
    New,
    /// It is taken from another image.
    Moves,
    /// The old name is taken away.
    Goes,
    /// It can't be given.
    Refused,
}

/// How a name comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a tag of the same place.
    Tag,
    /// As a tag of this machine, which is pushed then.
    Push,
    /// By a copy into another repository of a registry.
    Copy,
    /// Not at all: nothing may be changed there.
    ReadOnly,
}

/// What all lines come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub given: usize,
    /// Of these, names taken from another image.
    pub moved: usize,
    /// Old names taken away.
    pub gone: usize,
    pub refused: usize,
}

impl Counts {
    fn add(&mut self, standing: Standing) {
        self.given += usize::from(matches!(standing, Standing::New | Standing::Moves));
        self.moved += usize::from(standing == Standing::Moves);
        self.gone += usize::from(standing == Standing::Goes);
        self.refused += usize::from(standing == Standing::Refused);
    }
}

/// One line of the preview.
#[derive(Debug, Clone, PartialEq)]
pub struct RenameLine {
    pub from: Safe,
    /// The new name, or why there is none.
    pub to: Safe,
    pub standing: Standing,
}

#[derive(Debug, Clone)]
pub struct Rename {
    place: Place,
    rows: Vec<Row>,
    names: Names,
    wishes: Vec<rename::Wish>,
    /// Names that the text takes away.
    untag: Vec<(Name, Digest)>,
    /// What is given here is pushed too: a mirror of images of this machine.
    pushes: bool,
    pub counts: Counts,
    pub input: Input,
    /// All as text, in the place of the rule.
    pub text: Option<RenameText>,
    /// A text that was left, with the rule it began from.
    kept: Option<(String, RenameText)>,
    /// What the user's editor has now.
    sent: Option<String>,
    pub lines: Vec<RenameLine>,
    /// Why the text is no rule.
    pub mistake: Option<Safe>,
    /// Rows whose labels the rule looks at and that are not read yet.
    pub unlabelled: usize,
    pub cursor: ListCursor,
}

/// What can be typed, in a line.
pub const HELP: &str = "{major}.{minor}   s/REGEX/NEW/   promote:latest   deprecate   prefix:X   suffix:X   mirror:HOST/NAMESPACE";

/// Opens the dialog over the chosen tags.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    state.registries.tags.retry_labels();
    let gathered = if state.focus == PaneId::Registries { remote(state) } else { local(state) };
    let Some((place, rows, names)) = gathered.filter(|(_, rows, _)| !rows.is_empty()) else {
        return vec![state.toasts.show(ToastKind::Info, "There is no tag to do that with, or it is not known yet", None)];
    };
    let mut rename = Rename {
        place,
        rows,
        names,
        wishes: Vec::new(),
        untag: Vec::new(),
        pushes: false,
        counts: Counts::default(),
        input: Input::default(),
        text: None,
        kept: None,
        sent: None,
        lines: Vec::new(),
        mistake: None,
        unlabelled: 0,
        cursor: ListCursor::default(),
    };
    rename.think(state);
    let left_out = chosen(state).saturating_sub(rename.rows.len());
    state.overlays.push(Overlay::Rename(Box::new(rename)));
    if left_out == 0 {
        return Vec::new();
    }
    let words = format!("{} left out: without a tag, or what it points at is not known yet", counted(left_out, "row"));
    vec![state.toasts.show(ToastKind::Warning, words, None)]
}

/// How many rows were chosen.
fn chosen(state: &State) -> usize {
    if state.focus == PaneId::Registries { state.registries.tags.chosen().len() } else { state.images.chosen().len() }
}

fn local(state: &State) -> Option<(Place, Vec<Row>, Names)> {
    let (source, list) = (state.sources.current.clone()?, state.images.list.value.clone()?);
    let by_id: std::collections::HashMap<_, _> = list.images.iter().map(|image| (&image.id, image)).collect();
    let row = |RowKey { id, name }: RowKey| {
        let image = by_id.get(&id)?;
        Some(Row { name: name?, digest: id, created: image.created, labels: Some(image.labels.clone()) })
    };
    let images = &state.images;
    let shown = images.rows.iter().filter_map(|row| images.key(*row));
    let rows = in_order(images.chosen(), shown).into_iter().filter_map(row).collect();
    let names = list.images.iter().flat_map(|image| image.tags.iter().map(|tag| (tag.clone(), image.id.clone()))).collect();
    Some((Place::Local(source, Arc::clone(&list)), rows, names))
}

/// What was chosen, in the order of the list; what a filter hides comes last.
fn in_order<T: Ord + Clone>(chosen: Vec<T>, shown: impl Iterator<Item = T>) -> Vec<T> {
    let mut left: BTreeSet<T> = chosen.into_iter().collect();
    let mut ordered: Vec<T> = shown.filter(|key| left.remove(key)).collect();
    ordered.extend(left);
    ordered
}

fn remote(state: &State) -> Option<(Place, Vec<Row>, Names)> {
    let registries = &state.registries;
    let source = registries.source()?.clone();
    let row = |tag: &String| {
        let details = registries.tags.of(tag)?;
        let labels = registries.tags.labels_of(&details.digest).flatten().cloned();
        Some(Row { name: registries.name(tag), digest: details.digest.clone(), created: details.created, labels })
    };
    let tags = &registries.tags;
    let shown = tags.rows.iter().filter_map(|at| Some(tags.list.get(*at)?.tag.raw().to_owned()));
    let rows = in_order(tags.chosen(), shown).iter().filter_map(row).collect();
    let known = registries.tags.details.values().flatten();
    let names = known.map(|details| (registries.name(&details.tag), details.digest.clone())).collect();
    Some((Place::Remote(source, registries.tags.repository.clone()), rows, names))
}

/// A rule as typed: `s/REGEX/NEW/`, a preset's name, or a template.
fn parse(text: &str) -> Result<Rule, Safe> {
    if let Some(rest) = text.strip_prefix("s/") {
        let (find, replace) = rest.strip_suffix('/').unwrap_or(rest).split_once('/').ok_or_else(|| Safe::new("write s/REGEX/NEW/"))?;
        let pattern = Pattern::new(find, replace, false, Case::default());
        return pattern.map(Rule::Pattern).map_err(|mistake| Safe::new(&mistake.to_string()));
    }
    if text.contains(['{', '}']) {
        return Template::parse(text).map(Rule::Template).map_err(|mistake| Safe::new(&mistake.to_string()));
    }
    Preset::parse(text).map(Rule::Preset).map_err(|words| Safe::new(&words))
}

impl Rename {
    /// Takes the room that there is, in rows.
    pub fn fit(&mut self, height: usize) {
        self.cursor.set_height(height.saturating_sub(7));
        if let Some(text) = &mut self.text {
            text.editor.set_height(height.saturating_sub(4));
        }
    }

    pub fn scroll(&mut self, rows: isize) {
        match &mut self.text {
            Some(text) => text.editor.scroll(rows),
            None => self.cursor.go(self.cursor.at.saturating_add_signed(rows)),
        }
    }

    /// Puts the rule as typed to every row, or reads the text.
    pub(in crate::app) fn think(&mut self, state: &State) {
        self.wishes.clear();
        self.untag.clear();
        self.lines.clear();
        (self.mistake, self.pushes, self.counts, self.unlabelled) = (None, false, Counts::default(), 0);
        if let Some(text) = self.text.take() {
            return self.think_text(state, text);
        }
        let text = self.input.value().trim().to_owned();
        let rule = if text.is_empty() { None } else { Some(parse(&text)) };
        match rule {
            Some(Ok(rule)) => self.answer(&rule, state),
            other => {
                self.mistake = other.and_then(Result::err);
                let shown = |row: &Row| RenameLine { from: shown(&row.name), to: Safe::default(), standing: Standing::Same };
                self.lines = self.rows.iter().map(shown).collect();
            }
        }
        for line in &self.lines {
            self.counts.add(line.standing);
        }
        self.cursor.set_len(self.lines.len());
    }

    /// How many tags it is about.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows.len()
    }

    fn put(&self, rule: &Rule, state: &State) -> Vec<Answer> {
        rule.answers(&Rows { rows: &self.rows, names: &self.names, now: state.now })
    }

    /// What the rule as typed says of every row, where it is one.
    fn answers(&self, state: &State) -> Option<Vec<Answer>> {
        let rule = parse(self.input.value().trim()).ok()?;
        Some(self.put(&rule, state))
    }

    /// The tags whose labels are still to be read for the rule as typed; none where it looks at none.
    #[must_use]
    pub fn unlabelled(&self, tags: &Tags) -> Vec<TagDetails> {
        if self.unlabelled == 0 { Vec::new() } else { self.unread(tags).take(BUDGET).cloned().collect() }
    }

    /// Rows whose labels were not read. Of a tag that moved meanwhile they can't be: what it is on now is not what was chosen.
    fn unread<'a>(&'a self, tags: &'a Tags) -> impl Iterator<Item = &'a TagDetails> {
        let unread = self.rows.iter().filter(|row| tags.labels_of(&row.digest).is_none());
        unread.filter_map(|row| tags.of(row.name.split().1?).filter(|details| details.digest == row.digest))
    }

    /// Labels came: rows get theirs.
    pub(in crate::app) fn labelled(&mut self, state: &State) {
        if matches!(self.place, Place::Remote(..)) {
            let tags = &state.registries.tags;
            for row in self.rows.iter_mut().filter(|row| row.labels.is_none()) {
                row.labels = tags.labels_of(&row.digest).flatten().cloned();
            }
        }
        if self.text.is_none() {
            self.think(state);
        }
    }

    fn answer(&mut self, rule: &Rule, state: &State) {
        if matches!((rule, &self.place), (Rule::Template(template), Place::Remote(..)) if template.needs_labels()) {
            self.unlabelled = self.unread(&state.registries.tags).count();
        }
        let answers = self.put(rule, state);
        self.wishes = rename::wished(&self.rows, answers.clone());
        let pushes = state.sources.info().is_none_or(|info| info.powers.push);
        self.pushes = matches!((rule, &self.place), (Rule::Preset(Preset::Mirror { .. }), Place::Local(..))) && pushes;
        let marks = rename::check(&self.wishes, &self.names);
        let mut marks = self.wishes.iter().zip(&marks);
        for (row, answer) in self.rows.iter().zip(answers) {
            let from = shown(&row.name);
            match answer {
                Answer::Unchanged => self.lines.push(RenameLine { from, to: Safe::new("as it is"), standing: Standing::Same }),
                Answer::Not(why) => self.lines.push(RenameLine { from, to: why.words(), standing: Standing::Refused }),
                Answer::Names(names) => {
                    for (wish, mark) in marks.by_ref().take(names.len()) {
                        let (to, standing) = shown_as(wish, mark, self.way(state, wish));
                        self.lines.push(RenameLine { from: from.clone(), to, standing });
                    }
                }
            }
        }
    }

    /// How what is wished can come to be.
    fn way(&self, state: &State, wish: &rename::Wish) -> Way {
        match &self.place {
            Place::Local(..) if self.pushes => {
                let there = destination(&wish.to).map(|(there, _)| there);
                let is_locked = there.and_then(|there| state.sources.get(&there)).is_some_and(|info| info.read_only);
                if is_locked { Way::ReadOnly } else { Way::Push }
            }
            Place::Local(..) => Way::Tag,
            Place::Remote(source, repository) => match destination(&wish.to) {
                Some((there, path)) if there == *source && path == *repository => Way::Tag,
                Some((there, _)) if state.sources.get(&there).is_some_and(|info| info.read_only) => Way::ReadOnly,
                _ => Way::Copy,
            },
        }
    }

    fn can_be_planned(&self) -> bool {
        let mistakes = self.text.as_ref().map_or(0, |text| text.mistakes);
        self.mistake.is_none() && self.unlabelled == 0 && mistakes == 0 && self.counts.given + self.counts.gone > 0
    }

    pub(super) fn key(mut self: Box<Self>, state: &mut State, chord: Chord) -> Vec<Effect> {
        if self.text.is_some() {
            return self.text_key(state, chord);
        }
        match chord.key {
            Key::Esc => return Vec::new(),
            Key::Enter if self.can_be_planned() => return self.plan(state),
            Key::Enter => {}
            // A text would be written from half of what the rule says.
            Key::Tab if self.unlabelled > 0 => {}
            Key::Tab => {
                let kept = self.kept.take().filter(|(rule, _)| rule == self.input.value());
                self.text = kept.map(|(_, text)| text);
                let effects = self.as_text(state, !chord.mods.shift);
                state.overlays.push(Overlay::Rename(self));
                return effects;
            }
            _ => {
                if !move_cursor(state, &mut self.cursor, chord, true)
                    && let Some(request) = edit(chord)
                {
                    self.input.handle(request);
                    self.think(state);
                }
            }
        }
        state.overlays.push(Overlay::Rename(self));
        Vec::new()
    }

    /// What can be given goes into the plan; what collides or is no name stays out.
    fn plan(self: Box<Self>, state: &mut State) -> Vec<Effect> {
        if self.pushes {
            // What was typed is there still where a registry can't be looked at.
            state.overlays.push(Overlay::Rename(self.clone()));
        }
        let marks = rename::check(&self.wishes, &self.names);
        let ways: Vec<Way> = self.wishes.iter().map(|wish| self.way(state, wish)).collect();
        let good = |(mark, way): (&Mark, &Way)| matches!(mark, Mark::New | Mark::Overwrites(_)) && *way != Way::ReadOnly;
        let chosen = self.wishes.into_iter().zip(marks.iter().zip(&ways)).filter(|(_, how)| good(*how));
        let untag = self.untag.into_iter().map(|(name, _)| plan::Wish::Untag(name));
        match self.place {
            Place::Local(source, list) => {
                let given = chosen.flat_map(|(wish, (_, way))| {
                    let push = (*way == Way::Push).then(|| plan::Wish::Push { id: wish.digest.clone(), name: wish.to.clone(), seen: None });
                    [Some(plan::Wish::Tag { id: wish.digest, to: wish.to }), push].into_iter().flatten()
                });
                let wishes = given.chain(untag).collect();
                if self.pushes { look_before_pushes(state, source, wishes) } else { planning::want_local(state, &source, &list, wishes) }
            }
            Place::Remote(source, repository) => {
                let mut wanted: BTreeMap<(SourceId, String), Vec<plan::Wish>> = BTreeMap::new();
                for (wish, (_, way)) in chosen {
                    let (to, id) = (wish.to.clone(), wish.digest);
                    let (there, wish) = match destination(&to).filter(|_| *way == Way::Copy) {
                        None => ((source.clone(), repository.clone()), plan::Wish::Tag { id, to }),
                        Some(there) => {
                            let from = Name::new(&format!("docker://{}", wish.from.raw()));
                            (there, plan::Wish::Copy { from, id, to })
                        }
                    };
                    wanted.entry(there).or_default().push(wish);
                }
                let here = wanted.entry((source, repository)).or_default();
                here.extend(untag);
                wanted.retain(|_, wishes| !wishes.is_empty());
                planning::want_in_registries(state, wanted)
            }
        }
    }
}

/// The registry and the repository of a name.
fn destination(name: &Name) -> Option<(SourceId, String)> {
    let reference = name.reference().ok()?;
    Some((SourceId::registry(reference.registry()), reference.repository().to_owned()))
}

/// The tag alone: its repository is the same for all, or stands in the title.
fn shown(name: &Name) -> Safe {
    Safe::ascii(name.familiar())
}

fn shown_as(wish: &rename::Wish, mark: &Mark, way: Way) -> (Safe, Standing) {
    let to = &wish.to;
    let same = to.split().0 == wish.from.split().0;
    let tag = if same { Safe::ascii(to.split().1.unwrap_or_default()) } else { to.safe() };
    match (mark, way) {
        (Mark::Collides(_), _) => (Safe::from(format!("{tag} is wanted for two different images")), Standing::Refused),
        (Mark::Invalid, _) => (Safe::from(format!("{tag} is no tag")), Standing::Refused),
        (_, Way::ReadOnly) => (Safe::from(format!("{tag} is in a registry where nothing may be changed")), Standing::Refused),
        // What is there is looked at before there are lines.
        (_, Way::Copy) => {
            let whole = to.reference().map_or_else(|_| to.safe(), |reference| Safe::from(reference.whole()));
            (Safe::from(format!("{whole}, copied there")), Standing::New)
        }
        (Mark::New, Way::Push) => (Safe::from(format!("{tag}, tagged and pushed")), Standing::New),
        (Mark::New, Way::Tag) => (tag, Standing::New),
        (Mark::Same, _) => (Safe::from(format!("{tag} is there already")), Standing::Same),
        (Mark::Overwrites(holder), _) => (Safe::from(format!("{tag}, taken from {}", holder.short())), Standing::Moves),
    }
}
