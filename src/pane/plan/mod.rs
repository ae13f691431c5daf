//! The Plan drawer: what will be changed, line by line, before anything is. What is wanted is kept as wishes; the lines are thought
//! through anew from them and from what was last looked at, so that each says what is true with all the others.

pub mod draw;
mod order;
mod rules;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::curate::plan::{self, Clash, Protection, Wish};
use crate::flow::job::About;
use crate::flow::{Action, JobId};
use crate::model::{
    Completeness, Digest, Foreign, ImageList, Layers, LineState, Operation, PlanKind, RepositoryView, Safe, SourceId, Target, UndoClass,
    Verb,
};

use super::ListCursor;
use stock::Stocks;

pub use rules::{Ruled, Verdict};

/// One line, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub operation: Operation,
    pub state: LineState,
    /// What it stands under: its source, and of a registry the repository.
    pub place: String,
}

/// A row of the drawer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanRow {
    /// Of the source of this line.
    Source(usize),
    Line(usize),
    /// A sentence about a line.
    Note(usize, usize),
}

/// A repository that lines are about: its registry, and its name there.
pub type Repository = (SourceId, String);

#[derive(Debug, Default)]
pub struct PlanPane {
    wishes: BTreeSet<(SourceId, Wish)>,
    /// The lists that wishes about this machine's images are thought through against.
    lists: BTreeMap<SourceId, Arc<ImageList>>,
    /// The same for repositories, with the wishes that each look was for: what refers to a manifest is known of these only.
    views: BTreeMap<Repository, (RepositoryView, BTreeSet<Wish>)>,
    stocks: Stocks,
    /// Repositories that are being looked at, and for which wishes.
    looking: BTreeMap<JobId, (Repository, BTreeSet<Wish>)>,
    /// Lines that were not thought up here: the way back of a run. They can't be changed, only dropped.
    fixed: Option<Fixed>,
    /// What policies said of repositories that lines are about.
    ruled: BTreeMap<Repository, Ruled>,
    /// Why lines run although something protects them.
    reasons: BTreeMap<(SourceId, String), Foreign>,
    pub protection: Protection,
    pub lines: Vec<Line>,
    pub clashes: Vec<Clash>,
    pub rows: Vec<PlanRow>,
    pub cursor: ListCursor,
    unfolded: BTreeSet<usize>,
    /// The lines in the order that the user gave them, as far as he did.
    order: Vec<Key>,
    /// What the lines under each place come to.
    groups: BTreeMap<String, Totals>,
    /// How each line was found when it was last looked whether it could run, and the look that is under way.
    pub tried: BTreeMap<usize, LineState>,
    pub trying: Option<JobId>,
    pub all_or_nothing: bool,
    pub backup: bool,
    pub running: Option<JobId>,
    /// It has run: what is wanted next begins a new plan.
    pub ended: bool,
}

/// What tells a line from the others, however often it is thought through.
type Key = (SourceId, Verb, String);

/// A plan about a run.
#[derive(Debug, Clone)]
struct Fixed {
    kind: PlanKind,
    lines: Vec<Operation>,
    /// Which line of the run each of the lines is about.
    about: About,
}

/// What a plan comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub runs: usize,
    pub refused: usize,
    pub freed_at_least: u64,
    pub freed_at_most: u64,
    /// The worst among the lines that run.
    pub undo: Option<UndoClass>,
}

impl Totals {
    fn add(&mut self, line: &Operation) {
        if line.refused().is_some() {
            self.refused += 1;
            return;
        }
        self.runs += 1;
        self.undo = self.undo.max(Some(line.undo));
        if let Some(freed) = &line.freed {
            self.freed_at_least = self.freed_at_least.saturating_add(freed.at_least);
            self.freed_at_most = self.freed_at_most.saturating_add(freed.at_most);
        }
    }
}

impl PlanPane {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.looking.is_empty()
    }

    #[must_use]
    pub fn is_looking(&self) -> bool {
        !self.looking.is_empty()
    }

    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What the plan is, as its document says.
    #[must_use]
    pub fn kind(&self) -> PlanKind {
        if let Some(fixed) = &self.fixed {
            return fixed.kind;
        }
        let tags = |line: &Line| matches!(line.operation.verb, Verb::Tag | Verb::MoveTag);
        match (self.lines.iter().all(tags), self.lines.iter().any(tags)) {
            (true, _) => PlanKind::Retag,
            (false, true) => PlanKind::Mixed,
            (false, false) => PlanKind::Delete,
        }
    }

    /// The run that the plan is about, and which of its lines.
    #[must_use]
    pub fn about(&self) -> Option<&About> {
        self.fixed.as_ref().map(|fixed| &fixed.about)
    }

    /// What is to run, in its order.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.lines.iter().map(|line| line.operation.clone()).collect()
    }

    /// Forgets all, but not how plans are run.
    pub fn clear(&mut self) {
        let (all_or_nothing, backup, height) = (self.all_or_nothing, self.backup, self.cursor.height);
        let protection = std::mem::take(&mut self.protection);
        *self = Self { protection, all_or_nothing, backup, ..Self::default() };
        self.cursor.set_height(height);
    }

    /// Adds what is wanted of images of this machine, of which `layers` are known.
    pub fn want_local(&mut self, source: &SourceId, list: Arc<ImageList>, layers: &Layers, wishes: impl IntoIterator<Item = Wish>) {
        self.begin();
        self.stock_images(source, &list, layers);
        self.lists.insert(source.clone(), list);
        for wish in wishes {
            // What was seen of a push's tag before counts no more.
            if let Wish::Push { id, name, .. } = &wish {
                let same = |other: &Wish| matches!(other, Wish::Push { id: at, name: by, .. } if at == id && by == name);
                self.wishes.retain(|(of, other)| of != source || !same(other));
            }
            self.wishes.insert((source.clone(), wish));
        }
        self.think();
    }

    /// The lists that lines were thought up against.
    pub fn lists(&self) -> impl Iterator<Item = (&SourceId, &Arc<ImageList>)> {
        self.lists.iter()
    }

    /// Adds what is wanted in a repository. It has to be looked at before there are lines.
    pub fn want_remote(&mut self, repository: &Repository, wishes: impl IntoIterator<Item = Wish>) {
        self.begin();
        self.wishes.extend(wishes.into_iter().map(|wish| (repository.0.clone(), wish)));
        self.think();
    }

    /// Tags and manifests of a repository that lines are about: what refers to them matters.
    #[must_use]
    pub fn asked_of(&self, repository: &Repository) -> (Vec<String>, Vec<Digest>) {
        let mut tags = BTreeSet::new();
        let mut digests = BTreeSet::new();
        for wish in self.wished(repository) {
            match target(wish) {
                Target::Tag(name) => {
                    let tag = name.reference().ok().and_then(|reference| reference.tag().map(str::to_owned));
                    tags.insert(tag.unwrap_or_else(|| "latest".to_owned()));
                }
                Target::Manifest { digest, .. } | Target::Image(digest) => {
                    digests.insert(digest);
                }
            }
        }
        (tags.into_iter().collect(), digests.into_iter().collect())
    }

    /// A repository is being looked at, for all that is wanted there.
    pub fn look(&mut self, job: JobId, repository: Repository) {
        let wishes = self.wished(&repository).cloned().collect();
        self.looking.insert(job, (repository, wishes));
    }

    fn wished<'a>(&'a self, repository: &'a Repository) -> impl Iterator<Item = &'a Wish> {
        let here =
            |(source, wish): &&(SourceId, Wish)| *source == repository.0 && repository_of(&target(wish)).as_ref() == Some(&repository.1);
        self.wishes.iter().filter(here).map(|(_, wish)| wish)
    }

    /// A repository was looked at. An older look knows less than one that is still under way, or was faster.
    pub fn viewed(&mut self, job: JobId, mut view: RepositoryView) {
        let Some((repository, wishes)) = self.looking.remove(&job) else { return };
        if self.views.get(&repository).is_none_or(|(_, known)| known.is_subset(&wishes)) {
            if let Some((older, _)) = self.views.remove(&repository) {
                view.held.extend(older.held);
            }
            self.views.insert(repository.clone(), (view, wishes));
            self.stock_repository(&repository);
        }
        self.think();
    }

    /// A repository isn't there, which is as it should be where something is copied into it: it begins with the first that is. `false` where
    /// nothing is.
    pub fn begins(&mut self, job: JobId) -> bool {
        let Some((repository, wishes)) = self.looking.get(&job) else { return false };
        if !wishes.iter().any(|wish| matches!(wish, Wish::Copy { .. })) {
            return false;
        }
        let (source, path) = repository.clone();
        let name = format!("{}/{path}", source.registry_host().unwrap_or_default());
        let (tags, indexes, referrers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.viewed(
            job,
            RepositoryView { source, name, tags, indexes, referrers, held: BTreeMap::new(), completeness: Completeness::Complete },
        );
        true
    }

    /// A repository could not be looked at: what was wanted there since the last look is dropped.
    pub fn not_viewed(&mut self, job: JobId) {
        let Some((repository, _)) = self.looking.remove(&job) else { return };
        let known = self.views.get(&repository).map(|(_, known)| known.clone()).unwrap_or_default();
        let pending: BTreeSet<Wish> =
            self.looking.values().filter(|(other, _)| *other == repository).flat_map(|(_, wishes)| wishes).cloned().collect();
        let gone: Vec<Wish> = self.wished(&repository).filter(|wish| !known.contains(*wish) && !pending.contains(*wish)).cloned().collect();
        self.wishes.retain(|(source, wish)| *source != repository.0 || !gone.contains(wish));
        self.think();
    }

    /// Puts lines here that were thought up elsewhere, in the place of what is here.
    pub fn load(&mut self, kind: PlanKind, lines: Vec<Operation>, about: About) {
        self.clear();
        (self.all_or_nothing, self.backup) = (false, false);
        self.fixed = Some(Fixed { kind, lines, about });
        self.think();
    }

    /// What ran is over: what is wanted next stands alone.
    fn begin(&mut self) {
        if self.ended || self.fixed.is_some() {
            self.clear();
        }
    }

    /// Thinks all wishes through.
    fn think(&mut self) {
        let kept = self.selected().map(|line| key(&line.operation));
        let mut operations = match &self.fixed {
            Some(fixed) => fixed.lines.clone(),
            None => self.in_order(self.thought()),
        };
        self.tried.clear();
        self.trying = None;
        for operation in operations.iter_mut().filter(|_| !self.reasons.is_empty()) {
            let key = (operation.source.clone(), operation.target.canonical());
            operation.override_reason = self.reasons.get(&key).cloned().or(operation.override_reason.take());
        }
        self.clashes = plan::clashes(&operations);
        let line = |operation: Operation| Line { state: LineState::Waiting, place: place(&operation), operation };
        self.lines = operations.into_iter().map(line).collect();
        self.weigh();
        self.unfolded.clear();
        self.rebuild();
        let at = kept.and_then(|kept| {
            let n = self.lines.iter().position(|line| line.operation.source == kept.0 && key(&line.operation) == kept)?;
            self.rows.iter().position(|row| *row == PlanRow::Line(n))
        });
        // The first row names the source.
        self.cursor.go(at.unwrap_or(usize::from(self.rows.len() > 1)));
    }

    fn thought(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (source, list) in &self.lists {
            let wishes: Vec<Wish> = self.wishes.iter().filter(|(of, _)| of == source).map(|(_, wish)| wish.clone()).collect();
            operations.extend(plan::local(source, list, &wishes, &self.protection));
        }
        for (repository, (view, known)) in &self.views {
            // What was not looked at for is not thought through yet.
            let wishes: Vec<Wish> = self.wished(repository).filter(|wish| known.contains(*wish)).cloned().collect();
            let mut lines = plan::remote(view, &wishes, &self.protection);
            self.follow_rules(repository, &mut lines);
            operations.extend(lines);
        }
        plan::ordered(operations)
    }

    /// What the lines of a place come to.
    #[must_use]
    pub fn group(&self, place: &str) -> Totals {
        self.groups.get(place).copied().unwrap_or_default()
    }

    /// The line of the row under the cursor.
    #[must_use]
    pub fn selected(&self) -> Option<&Line> {
        self.lines.get(self.selected_at()?)
    }

    fn selected_at(&self) -> Option<usize> {
        match *self.rows.get(self.cursor.at)? {
            PlanRow::Line(n) | PlanRow::Note(n, _) => Some(n),
            PlanRow::Source(_) => None,
        }
    }

    /// Lets the line under the cursor run in spite of what protects it.
    pub fn override_selected(&mut self, reason: &str) {
        let Some(line) = self.selected() else { return };
        let key = (line.operation.source.clone(), line.operation.target.canonical());
        self.reasons.insert(key, Foreign::new(reason));
        self.think();
    }

    /// A line stands differently.
    pub fn told(&mut self, n: usize, state: LineState) {
        if let Some(line) = self.lines.get_mut(n) {
            line.state = state;
        }
    }

    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.lines.iter().for_each(|line| totals.add(&line.operation));
        totals
    }

    /// Lines that lie in each other's way, as the line they name.
    #[must_use]
    pub fn clash(&self, n: usize) -> Option<&Safe> {
        self.clashes.iter().find(|clash| clash.lines.0 == n || clash.lines.1 == n).map(|clash| &clash.why)
    }

    /// Sentences about a line, for below it.
    #[must_use]
    pub fn notes(&self, n: usize) -> Vec<Safe> {
        let Some(line) = self.lines.get(n) else { return Vec::new() };
        let operation = &line.operation;
        let mut notes: Vec<Safe> = operation.effects.iter().map(Foreign::safe).collect();
        let named = |what: &str, list: &[Foreign]| {
            let names: Vec<String> = list.iter().take(8).map(|name| name.safe().to_string()).collect();
            let more = list.len().saturating_sub(8);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            (!list.is_empty()).then(|| Safe::from(format!("{what}: {}{more}", names.join(", "))))
        };
        notes.extend(named("also at this digest", &operation.shares));
        notes.extend(named("used by", &operation.used_by));
        notes.extend(named("part of", &operation.parents));
        notes.extend(named("referred to by", &operation.referrers));
        if let Some(reason) = &operation.override_reason {
            notes.push(Safe::from(format!("runs although protected: {}", reason.safe())));
        }
        notes.push(Safe::from(format!("can be taken back: {}", operation.undo.words())));
        notes
    }

    /// Moves, folds and edits; `false` when the action is not this drawer's own.
    pub fn act(&mut self, action: Action) -> bool {
        if self.cursor.act(action) {
            return true;
        }
        match action {
            Action::Left | Action::Right | Action::Open => self.fold(action),
            Action::AllOrNothing if !self.is_running() => self.all_or_nothing = !self.all_or_nothing,
            Action::Backup if !self.is_running() => self.backup = !self.backup,
            Action::DropLine if !self.is_running() => self.drop_selected(),
            Action::TagAlone if !self.is_running() => self.tag_alone(),
            Action::ClearPlan if !self.is_running() => self.clear(),
            _ => return false,
        }
        true
    }

    fn fold(&mut self, action: Action) {
        let Some(n) = self.selected_at() else { return };
        let open = match action {
            Action::Left => false,
            Action::Right => true,
            _ => !self.unfolded.contains(&n),
        };
        if open {
            self.unfolded.insert(n);
        } else {
            self.unfolded.remove(&n);
        }
        self.rebuild();
        if let Some(at) = self.rows.iter().position(|row| *row == PlanRow::Line(n)) {
            self.cursor.go(at);
        }
    }

    /// Takes the line under the cursor out of the plan, with whatever was wanted for it.
    fn drop_selected(&mut self) {
        let Some(line) = self.selected() else { return };
        let (source, gone, image) = (line.operation.source.clone(), line.operation.target.canonical(), line.operation.before.clone());
        let push = line.operation.verb == Verb::Push;
        let at = self.cursor.at;
        if let Some(fixed) = &mut self.fixed {
            // As of what is wanted: a push goes alone, and with its name.
            let goes = |line: &Operation| line.source == source && line.target.canonical() == gone && (!push || line.verb == Verb::Push);
            let stays: Vec<bool> = fixed.lines.iter().map(|line| !goes(line)).collect();
            let (mut line, mut about) = (stays.iter(), stays.iter());
            fixed.lines.retain(|_| line.next().is_none_or(|stays| *stays));
            fixed.about.lines.retain(|_| about.next().is_none_or(|stays| *stays));
        } else {
            let before = self.wishes.len();
            // Without its push a name is still given; a name that isn't given can't be pushed.
            let goes = |wish: &Wish| !push || matches!(wish, Wish::Push { .. });
            self.wishes.retain(|(of, wish)| *of != source || target(wish).canonical() != gone || !goes(wish));
            // An image that was named by its ID has lines for its names.
            if self.wishes.len() == before
                && let Some(id) = image
            {
                self.wishes.retain(|(of, wish)| *of != source || target(wish) != Target::Image(id.clone()));
            }
        }
        self.think();
        self.cursor.go(at);
    }

    /// Wants the tag under the cursor taken alone away, or the other way round.
    fn tag_alone(&mut self) {
        let Some(name) = self.selected().and_then(|line| line.operation.target.name().cloned()) else { return };
        let Some(source) = self.selected().map(|line| line.operation.source.clone()) else { return };
        let (alone, whole) = ((source.clone(), Wish::Untag(name.clone())), (source, Wish::Delete(Target::Tag(name))));
        let (from, to) = if self.wishes.contains(&whole) { (whole, alone) } else { (alone, whole) };
        if self.wishes.remove(&from) {
            // The same tag: what was looked at for the one holds for the other.
            for (_, known) in self.views.values_mut() {
                if known.remove(&from.1) {
                    known.insert(to.1.clone());
                }
            }
            self.wishes.insert(to);
        }
        self.think();
    }

    fn rebuild(&mut self) {
        self.rows.clear();
        self.groups.clear();
        for line in &self.lines {
            match self.groups.get_mut(&line.place) {
                Some(totals) => totals.add(&line.operation),
                None => self.groups.entry(line.place.clone()).or_default().add(&line.operation),
            }
        }
        let mut order: Vec<(&str, usize)> = self.lines.iter().enumerate().map(|(n, line)| (line.place.as_str(), n)).collect();
        order.sort_unstable();
        let mut source = None;
        for (here, n) in order {
            if source != Some(here) {
                source = Some(here);
                self.rows.push(PlanRow::Source(n));
            }
            self.rows.push(PlanRow::Line(n));
            if self.unfolded.contains(&n) {
                self.rows.extend((0..self.notes(n).len()).map(|note| PlanRow::Note(n, note)));
            }
        }
        self.cursor.set_len(self.rows.len());
    }
}

/// Parses a name, so it is found out once a line.
fn place(operation: &Operation) -> String {
    match (operation.source.registry_host(), operation.target.repository()) {
        (Some(_), Some(repository)) => repository,
        (Some(host), None) => host.to_owned(),
        (None, _) if operation.source.0.starts_with("store:") => "store".to_owned(),
        (None, _) => operation.source.0.trim_start_matches("engine:").to_owned(),
    }
}

fn key(line: &Operation) -> Key {
    (line.source.clone(), line.verb, line.target.canonical())
}

fn target(wish: &Wish) -> Target {
    match wish {
        Wish::Tag { to, .. } | Wish::Copy { to, .. } | Wish::Push { name: to, .. } | Wish::Untag(to) => Target::Tag(to.clone()),
        Wish::Delete(target) => target.clone(),
    }
}

/// The repository of a target within its registry.
fn repository_of(target: &Target) -> Option<String> {
    target.repository()?.split_once('/').map(|(_, repository)| repository.to_owned())
}
