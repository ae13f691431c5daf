//! A retention policy that is typed over the tags of a repository: the line and its keys, files that are read and written, and the way into
//! the plan. A policy never decides over a part of a repository, and more than its share goes only where the repository's name was typed.

use std::collections::HashMap;

use tui_input::InputRequest;

use crate::curate::plan::Wish;
use crate::curate::retention::{Listing, Policy, Report};
use crate::curate::words::counted;
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobOutput, Key};
use crate::model::{Completeness, Foreign, Safe, Target};
use crate::pane::PaneId;
use crate::pane::plan::{Ruled, Verdict};
use crate::pane::registries::WhatIf;
use crate::pane::registries::what_if::Used;

use super::actions::ask;
use super::jobs::{self, answer};
use super::overlay::Ask;
use super::plan;
use super::state::State;
use super::toast::ToastKind;
use super::update::edit;

/// What a file's name begins with.
const FILE: char = '@';
/// Characters of a rule's words that a line of the plan repeats.
const MOST_WORDS: usize = 300;

impl State {
    /// The policy that is being typed, where keys go to it.
    #[must_use]
    pub fn typed_policy(&self) -> Option<&WhatIf> {
        self.registries.what_if().filter(|_| self.focus == PaneId::Registries)
    }
}

/// The digests that containers of the current engine use, stopped ones too, and when its images were used last.
fn used(state: &State) -> Used {
    let images = &state.images;
    let Some(list) = images.list.value.as_ref().filter(|_| !images.remembered && images.list.problem.is_none()) else {
        return Used::Unknown("the images of this machine are not listed yet");
    };
    if !list.gaps.is_empty() {
        return Used::Unknown("not all images of this machine could be read");
    }
    let used = list.images.iter().filter(|image| image.is_unused() == Some(false));
    let now = used.flat_map(|image| &image.repo_digests).filter_map(|name| name.split().1?.parse().ok()).collect();
    Used::Known { now, last: images.uses.by_manifest(list) }
}

/// Opens the line.
pub(super) fn open(state: &mut State) {
    let used = used(state);
    state.registries.tags.try_policy(used);
}

/// The images of this machine are listed anew: what containers use may be another.
pub(super) fn listed(state: &mut State) {
    if state.registries.tags.what_if.is_some() {
        let used = used(state);
        if let Some(what_if) = &mut state.registries.tags.what_if {
            what_if.use_known(used);
        }
        state.registries.tags.decide(false, state.now);
    }
}

/// Decides over what came meanwhile.
pub(super) fn settle(state: &mut State) {
    state.registries.tags.decide(false, state.now);
}

/// Enter goes into the plan, Esc closes the line.
pub(super) fn key(state: &mut State, chord: Chord) -> Vec<Effect> {
    let now = state.now;
    let mut step = |action| _ = state.registries.act(action, now);
    match chord.key {
        Key::Esc => state.registries.tags.what_if = None,
        Key::Enter => return enter(state),
        Key::Up => step(Action::Up),
        Key::Down => step(Action::Down),
        Key::PageUp => step(Action::PageUp),
        Key::PageDown => step(Action::PageDown),
        _ if chord == Chord::ctrl('s') => return save(state),
        _ => {
            if let (Some(request), Some(what_if)) = (edit(chord), &mut state.registries.tags.what_if) {
                what_if.input.handle(request);
                state.registries.tags.decide(true, now);
            }
        }
    }
    Vec::new()
}

/// Types pasted characters, if the line is open.
pub(super) fn paste(state: &mut State, text: &[char]) {
    if let Some(what_if) = &mut state.registries.tags.what_if {
        for c in text {
            what_if.input.handle(InputRequest::InsertChar(*c));
        }
        state.registries.tags.decide(true, state.now);
    }
}

fn no(state: &mut State, why: impl Into<Safe>, hint: Option<Safe>) -> Vec<Effect> {
    vec![state.toasts.show(ToastKind::Warning, why, hint)]
}

fn enter(state: &mut State) -> Vec<Effect> {
    let Some(what_if) = state.typed_policy() else { return Vec::new() };
    let text = what_if.input.value().trim().to_owned();
    if let (Some(file), true) = (text.strip_prefix(FILE), what_if.mistake.is_some()) {
        let file = super::overlay::prompt::path(state, file.trim());
        let (_, effect) = jobs::start(state, Job::ReadPolicy { file });
        return vec![effect];
    }
    if let Some(mistake) = what_if.mistake.clone() {
        return no(state, "That is no policy yet", Some(mistake));
    }
    match decided(state) {
        Err(effects) => effects,
        Ok(None) => Vec::new(),
        Ok(Some(report)) if report.needs_name => {
            let name = state.registries.repository().unwrap_or_default();
            let of = counted(report.of, "tag");
            let most = state.typed_policy().and_then(WhatIf::policy).map_or(0, |policy| policy.most_dropped);
            let about =
                format!("{} of {of} would go, {} %: more than {most} %. Type {}", report.dropped, report.share(), Safe::ascii(&name));
            let keys = "Enter into the plan · Esc cancel";
            ask(
                state,
                Ask::PolicyName { repository: name },
                "That is much of this repository",
                Some(Safe::from(about)),
                String::new(),
                keys,
            );
            Vec::new()
        }
        Ok(Some(report)) => agreed(state, &report),
    }
}

/// The repository's name was typed.
pub(super) fn named(state: &mut State) -> Vec<Effect> {
    match decided(state) {
        Err(effects) => effects,
        Ok(report) => report.map(|report| agreed(state, &report)).unwrap_or_default(),
    }
}

/// What the policy says, once it may be acted on; `None` where there is no policy.
fn decided(state: &mut State) -> Result<Option<Report>, Vec<Effect>> {
    if state.is_read_only() {
        return Err(no(state, "Read-only: nothing can be changed here", None));
    }
    state.registries.tags.decide(false, state.now);
    let tags = &state.registries.tags;
    let (Some(what_if), Some(repository)) = (state.typed_policy(), state.registries.repository()) else { return Ok(None) };
    let Some(policy) = what_if.policy() else { return Ok(None) };
    let again = || Some(Safe::new("a policy never decides over a part of a repository"));
    let completeness = match &tags.listed {
        _ if tags.job.is_some() => return Err(no(state, "The tags are still being listed", again())),
        None => return Err(no(state, "The tags could not be listed", again())),
        Some(listed) => listed.completeness.clone(),
    };
    if let Completeness::Incomplete(why) = &completeness {
        let why = Safe::from(format!("The list of tags may not be complete: {why}"));
        return Err(no(state, why, again()));
    }
    if what_if.unread() > 0 {
        let unread = counted(what_if.unread(), "tag");
        return Err(no(state, format!("{unread} not read yet"), Some(Safe::new("they are being read; a policy decides over all of them"))));
    }
    if what_if.unlabelled() > 0 {
        let unread = counted(what_if.unlabelled(), "tag");
        return Err(no(state, format!("The labels of {unread} are not read yet"), Some(Safe::new("they are being read"))));
    }
    if let (Used::Unknown(why), true) = (what_if.used(), what_if.asks_for_use()) {
        let why = Safe::from(format!("What containers use is not known: {why}"));
        return Err(no(state, why, Some(Safe::new("what they use stays, before any rule is asked"))));
    }
    let listing = Listing { repository: &repository, rows: what_if.rows(), completeness: &completeness };
    match policy.check(listing, state.now) {
        Err(problem) => Err(vec![state.toasts.problem(&problem)]),
        Ok(report) if report.dropped == 0 => Err(vec![state.toasts.show(ToastKind::Info, "Nothing would go", None)]),
        Ok(report) => Ok(Some(report)),
    }
}

/// Puts what goes into the plan, each tag with the rule that says so.
fn agreed(state: &mut State, report: &Report) -> Vec<Effect> {
    let registries = &state.registries;
    let (Some(what_if), Some(source)) = (registries.what_if(), registries.source().cloned()) else { return Vec::new() };
    let Some(policy) = what_if.policy() else { return Vec::new() };
    let (mut wishes, mut ruled) = (Vec::new(), HashMap::new());
    for (row, reason) in what_if.rows().iter().zip(&report.reasons) {
        let Some(tag) = &row.tag else { continue };
        let why = cut(&policy.words(*reason, what_if.rows()));
        let verdict = match (&row.digest, reason.drops()) {
            (Some(digest), true) => {
                wishes.push(Wish::Delete(Target::Tag(registries.name(tag))));
                Verdict::Drop(digest.clone(), why)
            }
            _ => Verdict::Keep(why),
        };
        ruled.insert(tag.clone(), verdict);
    }
    // Signatures and the like are no rows here; what protects them is asked for all the same.
    for tag in registries.tags.told.iter().map(Foreign::raw).filter(|tag| crate::model::remote::companion_of(tag).is_some()) {
        if let Some(why) = protected(policy, tag, state.now) {
            ruled.insert(tag.to_owned(), Verdict::Keep(why));
        }
    }
    if let Some(busy) = plan::busy(state) {
        return vec![busy];
    }
    let repository = state.registries.tags.repository.clone();
    state.plan.rule((source.clone(), repository.clone()), Ruled(ruled));
    state.registries.tags.what_if = None;
    plan::want_remote(state, &source, &repository, wishes)
}

fn protected(policy: &Policy, tag: &str, now: jiff::Timestamp) -> Option<Foreign> {
    policy.protects(tag, now).map(|why| cut(&why))
}

fn cut(words: &Safe) -> Foreign {
    Foreign::from(words.as_str().chars().take(MOST_WORDS).collect::<String>())
}

/// Asks for a file to keep the policy in.
fn save(state: &mut State) -> Vec<Effect> {
    let Some(what_if) = state.typed_policy() else { return Vec::new() };
    if what_if.policy().is_none() || what_if.mistake.is_some() {
        return no(state, "That is no policy yet", None);
    }
    let toml = what_if.toml().to_owned();
    let about = toml.lines().filter(|line| line.starts_with("name")).count();
    let about = Some(Safe::from(format!("{}, as `lighterman policy` reads them", counted(about, "rule"))));
    ask(state, Ask::SavePolicy { toml }, "Write the policy into a file", about, "retention.toml".to_owned(), "Enter write · Esc cancel");
    Vec::new()
}

pub(super) fn save_to(state: &mut State, text: String, file: std::path::PathBuf) -> Vec<Effect> {
    let (_, effect) = jobs::start(state, Job::SavePolicy { text, file });
    vec![effect]
}

/// A policy file was read, or written.
pub(super) fn event(state: &mut State, job: &Job, event: JobEvent) -> Vec<Effect> {
    match (job, answer(event, "read the policy")) {
        (_, Err(problem)) => vec![state.toasts.problem(&problem)],
        (Job::SavePolicy { .. }, Ok(JobOutput::Saved(file))) => {
            let hint = Some(Safe::from(format!("lighterman policy check {} HOST/REPO", file.display())));
            vec![state.toasts.show(ToastKind::Good, "The policy is written", hint)]
        }
        (Job::ReadPolicy { .. }, Ok(JobOutput::Text(text))) => read(state, text),
        _ => Vec::new(),
    }
}

fn read(state: &mut State, text: String) -> Vec<Effect> {
    match Policy::parse(&text) {
        Err(mistakes) => {
            let problem = crate::curate::mistake::Mistake::problem(&mistakes, "read the policy");
            vec![state.toasts.problem(&problem)]
        }
        Ok(policy) => {
            let repository = state.registries.repository().unwrap_or_default();
            let named = policy.is_for(&repository);
            if let Some(what_if) = &mut state.registries.tags.what_if {
                what_if.load(policy, text);
            }
            state.registries.tags.decide(false, state.now);
            let words = format!("The policy names other repositories than {}; it is put to it all the same", Safe::ascii(&repository));
            if named { Vec::new() } else { vec![state.toasts.show(ToastKind::Warning, words, None)] }
        }
    }
}
