//! Batch retag: one rule for all chosen tags, with the new names beside the old ones while it is typed. What comes of it is a plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use tui_input::Input;

use crate::curate::plan;
use crate::curate::rename::{self, Answer, Case, Mark, Names, Pattern, Preset, Row, Rows, Rule, Template};
use crate::flow::{Chord, Effect, Key};
use crate::model::{ImageList, Name, Safe, SourceId};
use crate::pane::images::RowKey;
use crate::pane::{ListCursor, PaneId};

use super::super::plan as planning;
use super::super::state::State;
use super::super::toast::ToastKind;
use super::super::update::edit;
use super::{Overlay, move_cursor};

/// Where the tags are.
#[derive(Debug, Clone)]
enum Place {
    Local(SourceId, Arc<ImageList>),
    Remote(SourceId, String),
}

/// How a new name stands to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    New,
    /// It is taken from another image.
    Moves,
    /// Nothing to do: it is there already, or the rule leaves it alone.
    Same,
    /// It can't be given.
    Refused,
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
    pub input: Input,
    pub lines: Vec<RenameLine>,
    /// Why the text is no rule.
    pub mistake: Option<Safe>,
    pub cursor: ListCursor,
}

/// What can be typed, in a line.
pub const HELP: &str = "{major}.{minor}   s/REGEX/NEW/   promote:latest   deprecate   prefix:X   suffix:X";

/// Opens the dialog over the chosen tags.
pub(in crate::app) fn open(state: &mut State) -> Vec<Effect> {
    let gathered = if state.focus == PaneId::Registries { remote(state) } else { local(state) };
    let Some((place, rows, names)) = gathered.filter(|(_, rows, _)| !rows.is_empty()) else {
        return vec![state.toasts.show(ToastKind::Info, "There is no tag to do that with, or it is not known yet", None)];
    };
    let mut rename = Rename {
        place,
        rows,
        names,
        wishes: Vec::new(),
        input: Input::default(),
        lines: Vec::new(),
        mistake: None,
        cursor: ListCursor::default(),
    };
    rename.think(state);
    state.overlays.push(Overlay::Rename(Box::new(rename)));
    Vec::new()
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
        Some(Row { name: registries.name(tag), digest: details.digest.clone(), created: details.created, labels: None })
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
    /// Puts the rule as typed to every row.
    pub(in crate::app) fn think(&mut self, state: &State) {
        self.wishes.clear();
        self.lines.clear();
        self.mistake = None;
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
        self.cursor.set_len(self.lines.len());
    }

    fn answer(&mut self, rule: &Rule, state: &State) {
        let answers = rule.answers(&Rows { rows: &self.rows, names: &self.names, now: state.now });
        self.wishes = rename::wished(&self.rows, answers.clone());
        let elsewhere = |wish: &rename::Wish| wish.to.split().0 != wish.from.split().0;
        if self.wishes.iter().any(elsewhere) {
            self.wishes.clear();
            self.mistake = Some(Safe::new("that is another repository: copy there instead"));
        }
        let marks = rename::check(&self.wishes, &self.names);
        let mut marks = self.wishes.iter().zip(&marks);
        for (row, answer) in self.rows.iter().zip(answers) {
            let from = shown(&row.name);
            match answer {
                Answer::Unchanged => self.lines.push(RenameLine { from, to: Safe::new("as it is"), standing: Standing::Same }),
                Answer::Not(why) => self.lines.push(RenameLine { from, to: why.words(), standing: Standing::Refused }),
                Answer::Names(names) => {
                    let named = marks.by_ref().take(names.len());
                    self.lines.extend(named.map(|(wish, mark)| line(from.clone(), &wish.to, mark)));
                }
            }
        }
    }

    /// How many names would be given, how many of them taken from another image, and how many can't be.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |standing| self.lines.iter().filter(|line| line.standing == standing).count();
        let moves = count(Standing::Moves);
        (count(Standing::New) + moves, moves, count(Standing::Refused))
    }

    pub(super) fn key(mut self, state: &mut State, chord: Chord) -> Vec<Effect> {
        match chord.key {
            Key::Esc => return Vec::new(),
            Key::Enter if self.mistake.is_none() && self.counts().0 > 0 => return self.plan(state),
            Key::Enter => {}
            _ => {
                if !move_cursor(state, &mut self.cursor, chord, true)
                    && let Some(request) = edit(chord)
                {
                    self.input.handle(request);
                    self.think(state);
                }
            }
        }
        state.overlays.push(Overlay::Rename(Box::new(self)));
        Vec::new()
    }

    /// What can be given goes into the plan; what collides or is no name stays out.
    fn plan(self, state: &mut State) -> Vec<Effect> {
        let marks = rename::check(&self.wishes, &self.names);
        let good = |mark: &Mark| matches!(mark, Mark::New | Mark::Overwrites(_));
        let wishes = self.wishes.into_iter().zip(marks).filter(|(_, mark)| good(mark));
        let wishes: Vec<plan::Wish> = wishes.map(|(wish, _)| plan::Wish::Tag { id: wish.digest, to: wish.to }).collect();
        match self.place {
            Place::Local(source, list) => planning::want_local(state, &source, list, wishes),
            Place::Remote(source, repository) => planning::want_remote(state, &source, &repository, wishes),
        }
    }
}

/// The tag alone: its repository is the same for all, or stands in the title.
fn shown(name: &Name) -> Safe {
    Safe::ascii(name.familiar())
}

fn line(from: Safe, to: &Name, mark: &Mark) -> RenameLine {
    let tag = Safe::ascii(to.split().1.unwrap_or_default());
    let (words, standing) = match mark {
        Mark::New => (tag, Standing::New),
        Mark::Same => (Safe::from(format!("{tag} is there already")), Standing::Same),
        Mark::Overwrites(holder) => (Safe::from(format!("{tag}, taken from {}", holder.short())), Standing::Moves),
        Mark::Collides(_) => (Safe::from(format!("{tag} is wanted for two different images")), Standing::Refused),
        Mark::Invalid => (Safe::from(format!("{tag} is no tag")), Standing::Refused),
    };
    RenameLine { from, to: words, standing }
}
