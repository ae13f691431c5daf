//! What the Registries pane asks for and does: going deeper and back, what is fetched for the rows that are seen, and the changes, each by
//! way of a dialog that says what it will do.

use crate::curate::plan::Wish;
use crate::curate::words::counted;
use crate::curate::{self, Tone};
use crate::flow::{Action, Chord, Effect, Job, JobEvent, JobId, JobOutput};
use crate::model::{
    Change, Completeness, Copy, CopyFrom, Digest, Locator, Name, PlanKind, Platform, RepositoryView, Safe, SourceId, Transport, remote,
};
use crate::pane::PaneId;
use crate::pane::registries::{Level, Registries};

use super::actions::ask;
use super::jobs::{self, answer};
use super::login;
use super::overlay::{self, Agreed, Ask, Confirm, Overlay};
use super::plan;
use super::state::State;
use super::toast::ToastKind;
use super::what_if;

/// Whether an action has something to act on at this level.
///
/// # Errors
/// Why not.
pub(super) fn available(state: &State, action: Action) -> Result<(), &'static str> {
    let registries = &state.registries;
    let tags = registries.level == Level::Tags;
    match action {
        Action::Mark
        | Action::Range
        | Action::InvertMarks
        | Action::ClearMarks
        | Action::SortName
        | Action::SortSize
        | Action::SortCreated
        | Action::GroupDigests
            if !tags =>
        {
            Err("only among tags")
        }
        Action::Delete | Action::BatchRetag if !tags || registries.tags.chosen().is_empty() => Err("there is no tag to do that with"),
        Action::CopyTo if copied(state).is_none() => Err("there is nothing to copy here, or it is not known yet"),
        Action::Retag | Action::Pull if !tags || registries.tags.selected_details().is_none() => {
            Err("there is no tag to do that with, or it is not known yet")
        }
        Action::Filter if registries.filter().is_none() => Err("there is nothing to filter here"),
        Action::Policy if !tags => Err("only among tags"),
        Action::Tree if registries.level != Level::Repositories => Err("only among repositories"),
        Action::Inspect | Action::Quarantine if registries.selected_key().is_none() => Err("there is no image here"),
        Action::LogIn | Action::LogOut if registries.source().is_none() => Err("there is no registry here"),
        Action::Copy if registries.level == Level::Hosts => Err("there is nothing to copy here"),
        _ => Ok(()),
    }
}

/// Does what this pane does in its own way; `None` leaves it to the deck.
pub(super) fn act(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::Open => open(state),
        Action::Back => {
            let now = state.now;
            if state.zoomed && state.registries.level == Level::Hosts || !state.registries.back(now) {
                return None;
            }
            Vec::new()
        }
        Action::AddRegistry => {
            let text = if state.registries.level == Level::Hosts { String::new() } else { format!("{}/", state.registries.host()) };
            ask(state, Ask::Registry, "Open a registry", Some(Safe::new("HOST or HOST/REPOSITORY")), text, "Enter open · Esc cancel");
            Vec::new()
        }
        Action::Refresh => refresh(state),
        Action::Retag => {
            let (tag, digest) = selected(state)?;
            let about = state.registries.name(&tag).safe();
            let what = Ask::RetagRemote { from: tag.clone(), digest };
            ask(state, what, "Give it another tag", Some(about), tag, "Enter tag · Esc cancel");
            Vec::new()
        }
        Action::CopyTo => {
            let (tag, digest, platforms) = copied(state)?;
            let from = state.registries.name(&tag);
            let text = from.raw().to_owned();
            let about = Safe::from(format!("{}{}", from.safe(), platforms.first().map_or_else(String::new, |one| format!(", only {one}"))));
            ask(state, Ask::CopyTo { from, digest, platforms }, "Copy to", Some(about), text, "Enter look what is there · Esc cancel");
            Vec::new()
        }
        Action::Pull => {
            let (tag, _) = selected(state)?;
            let text = state.registries.name(&tag).raw().to_owned();
            let to = state.sources.info().map(|info| Safe::from(format!("into {}", info.name)));
            ask(state, Ask::Pull, "Pull this tag", to, text, "Enter pull · Esc cancel");
            Vec::new()
        }
        Action::Delete => delete(state),
        Action::Policy => {
            what_if::open(state);
            Vec::new()
        }
        Action::LogIn => {
            login::open(state);
            Vec::new()
        }
        Action::LogOut => login::out(state),
        _ => return None,
    })
}

/// The tag under the cursor and what it points at.
fn selected(state: &State) -> Option<(String, Digest)> {
    let details = state.registries.tags.selected_details()?;
    Some((details.tag.clone(), details.digest.clone()))
}

/// What would be copied: the tag under the cursor, or of its index the platform under the cursor.
fn copied(state: &State) -> Option<(String, Digest, Vec<Platform>)> {
    let registries = &state.registries;
    if registries.level == Level::Parts {
        let (of, platform) = (registries.parts.of.as_ref()?, registries.parts.selected_platform()?);
        return Some((of.tag.clone(), of.digest.clone(), vec![platform.clone()]));
    }
    let (tag, digest) = selected(state).filter(|_| registries.level == Level::Tags)?;
    Some((tag, digest, Vec::new()))
}

/// Enter: into the registry, the repository, what is behind the tag; from there to the image's steps.
fn open(state: &mut State) -> Vec<Effect> {
    let registries = &mut state.registries;
    match registries.level {
        Level::Hosts => match registries.hosts.selected().map(|row| row.id.clone()) {
            Some(host) => enter_host(state, &host),
            None => Vec::new(),
        },
        Level::Repositories => {
            if registries.repositories.fold(None, state.now) {
                return Vec::new();
            }
            match registries.repositories.selected() {
                Some(row) if row.fit => {
                    let name = row.name.raw().to_owned();
                    enter_repository(state, &name)
                }
                Some(_) => vec![state.toasts.show(ToastKind::Warning, "Its name is outside the grammar, so it can't be asked for", None)],
                None => Vec::new(),
            }
        }
        Level::Tags => behind(state),
        Level::Parts => {
            if registries.selected_key().is_some() {
                state.focus = PaneId::Layers;
            }
            Vec::new()
        }
    }
}

/// What the catalog told last stays when one comes back to a registry.
fn enter_host(state: &mut State, host: &SourceId) -> Vec<Effect> {
    let same = state.registries.hosts.entered.as_ref() == Some(host);
    state.registries.enter(host);
    state.registries.level = Level::Repositories;
    let known = state.registries.repositories.listed.is_some() || state.registries.repositories.job.is_some();
    if same && known { Vec::new() } else { list_repositories(state) }
}

fn list_repositories(state: &mut State) -> Vec<Effect> {
    let Some(source) = state.registries.hosts.entered.clone() else { return Vec::new() };
    let (id, effect) = jobs::start(state, Job::Repositories { source });
    state.registries.repositories.begin(id);
    vec![effect]
}

fn enter_repository(state: &mut State, repository: &str) -> Vec<Effect> {
    let Some(source) = state.registries.hosts.entered.clone() else { return Vec::new() };
    state.registries.level = Level::Tags;
    state.registries.enter_repository(repository);
    let (id, effect) = jobs::start(state, Job::Tags { source: source.clone(), repository: repository.to_owned() });
    state.registries.tags.begin(source, repository, id);
    vec![effect]
}

/// The images of an index, and what refers to it.
fn behind(state: &mut State) -> Vec<Effect> {
    let registries = &mut state.registries;
    let (Some(details), Some(source)) = (registries.tags.selected_details().cloned(), registries.hosts.entered.clone()) else {
        return Vec::new();
    };
    let (repository, subject) = (registries.tags.repository.clone(), details.digest.clone());
    registries.parts.begin(details);
    registries.level = Level::Parts;
    let (id, effect) = jobs::start(state, Job::Referrers { source, repository, subject });
    state.registries.parts.referrers.start(id);
    vec![effect]
}

fn refresh(state: &mut State) -> Vec<Effect> {
    match state.registries.level {
        Level::Hosts => jobs::discover(state),
        Level::Repositories => list_repositories(state),
        Level::Tags => {
            let repository = state.registries.tags.repository.clone();
            enter_repository(state, &repository)
        }
        Level::Parts => {
            state.registries.level = Level::Tags;
            behind(state)
        }
    }
}

/// Whoever we are there has changed: what one looks at is asked for again.
pub(super) fn ask_again(state: &mut State, source: &SourceId) -> Vec<Effect> {
    if state.registries.hosts.entered.as_ref() != Some(source) || state.registries.level == Level::Hosts {
        return Vec::new();
    }
    refresh(state)
}

/// Whether rows are seen whose details are not known.
pub(super) fn lacks(state: &State) -> bool {
    state.registries.level == Level::Tags && state.lead == PaneId::Registries && state.registries.tags.is_wanting()
}

/// Asks for what the tags on the screen point at, and then for the rest within the budget.
pub(super) fn details(state: &mut State) -> Vec<Effect> {
    if !lacks(state) {
        return Vec::new();
    }
    let tags = state.registries.tags.wanted();
    let Some(source) = state.registries.hosts.entered.clone() else { return Vec::new() };
    let repository = state.registries.tags.repository.clone();
    let (id, effect) = jobs::start(state, Job::Details { source, repository, tags: tags.clone() });
    state.registries.tags.asked = Some((id, tags));
    vec![effect]
}

/// Takes what a registry told.
pub(super) fn event(state: &mut State, id: JobId, job: &Job, event: JobEvent) -> Vec<Effect> {
    if let (JobEvent::Chunk(JobOutput::Quota(quota)), Some(source)) = (&event, state.registries.hosts.entered.clone()) {
        state.registries.quotas.insert(source, *quota);
        return Vec::new();
    }
    match job {
        Job::Repositories { .. } => repositories(state, id, event),
        Job::Tags { .. } => tags(state, id, event),
        Job::Details { .. } => detailed(state, id, event),
        _ => {
            let found = match answer(event, "look for referrers") {
                Ok(JobOutput::Referrers(found)) => Ok(found),
                Ok(_) => return Vec::new(),
                Err(problem) => Err(problem),
            };
            state.registries.parts.referrers.finish(id, found);
            state.registries.parts.rebuild();
            Vec::new()
        }
    }
}

fn repositories(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let now = state.now;
    let repositories = &mut state.registries.repositories;
    if repositories.job != Some(id) {
        return Vec::new();
    }
    match answer(event, "list the repositories") {
        Ok(JobOutput::KnownRepositories(before)) => repositories.remembered(before, now),
        Ok(JobOutput::Repositories(more)) => repositories.arrived(more, now),
        Ok(JobOutput::Listed(listed)) => {
            repositories.job = None;
            repositories.ended(listed, now);
        }
        Ok(_) => {}
        Err(problem) => {
            repositories.job = None;
            repositories.problem = Some(problem);
        }
    }
    Vec::new()
}

fn tags(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let now = state.now;
    let tags = &mut state.registries.tags;
    if tags.job != Some(id) {
        return Vec::new();
    }
    match answer(event, "list the tags") {
        Ok(JobOutput::KnownTags(before)) => tags.remembered(before, now),
        Ok(JobOutput::Tags(more)) => tags.arrived(more, now),
        Ok(JobOutput::Listed(listed)) => {
            tags.job = None;
            tags.ended(listed, now);
            tags.decide(false, now);
        }
        Ok(_) => {}
        Err(problem) => {
            tags.job = None;
            tags.problem = Some(problem);
        }
    }
    Vec::new()
}

fn detailed(state: &mut State, id: JobId, event: JobEvent) -> Vec<Effect> {
    let now = state.now;
    let tags = &mut state.registries.tags;
    if tags.asked.as_ref().is_none_or(|(asked, _)| *asked != id) {
        return Vec::new();
    }
    match answer(event, "read what the tags point at") {
        Ok(JobOutput::Details(answers)) => tags.detailed(answers, now),
        Ok(JobOutput::FirstSeen(seen)) => tags.sighted(seen),
        Ok(_) => {
            tags.asked = None;
            tags.decide(false, now);
        }
        Err(problem) => {
            // What was not told counts as told, or it would be asked for without end; a refresh asks again.
            if let Some((_, asked)) = tags.asked.take() {
                tags.fresh.extend(asked);
            }
            if !problem.is_cancelled() {
                tags.problem = Some(problem);
            }
        }
    }
    Vec::new()
}

/// A registry that was typed is there now: go to it.
pub(super) fn added(state: &mut State, id: &SourceId) -> Vec<Effect> {
    state.registries.hosts.take(state.sources.all.value.as_deref().unwrap_or_default());
    state.focus = PaneId::Registries;
    if let Some(at) = state.registries.hosts.at(id) {
        state.registries.hosts.cursor.go(at);
    }
    let wanted = state.registries.wanted.take_if(|(host, _)| id.registry_host() == Some(host));
    let mut effects = match wanted.and_then(|(_, repository)| repository) {
        Some(repository) => {
            state.registries.enter(id);
            let mut effects = list_repositories(state);
            effects.extend(enter_repository(state, &repository));
            effects
        }
        None => enter_host(state, id),
    };
    effects.push(Effect::Remember);
    effects
}

/// Something was changed in a registry: read its tags again.
pub(super) fn changed(state: &mut State, source: &SourceId) -> Vec<Effect> {
    let Registries { level, hosts, tags, .. } = &state.registries;
    let seen = matches!(level, Level::Tags | Level::Parts) && hosts.entered.as_ref() == Some(source);
    if !seen {
        return Vec::new();
    }
    let (repository, level) = (tags.repository.clone(), *level);
    let effects = enter_repository(state, &repository);
    state.registries.level = level;
    effects
}

/// A host and perhaps a repository, as typed: `registry.example.com:5000/acme/web`.
pub(super) fn address(text: &str) -> Result<(String, Option<String>), Safe> {
    let text = text.strip_prefix("docker://").unwrap_or(text).trim_end_matches('/');
    let (host, rest) = text.split_once('/').map_or((text, None), |(host, rest)| (host, Some(rest)));
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    if !is_host || !(host.contains(['.', ':']) || host == "localhost") {
        return Err(Safe::new("write the registry's host first, such as registry.example.com or localhost:5000"));
    }
    match rest {
        Some(repository) if !remote::is_repository(repository) => Err(Safe::new("that is no name of a repository")),
        rest => Ok((host.to_owned(), rest.map(str::to_owned))),
    }
}

/// Goes to a registry, a repository or a tag named on the command line: `host[/repository[:tag]]`.
pub fn browse(state: &mut State, name: &str) -> Vec<Effect> {
    let repository = match name.split_once('/') {
        Some((host, rest)) => format!("{host}/{}", Name::new(rest).split().0),
        None => name.to_owned(),
    };
    match address(&repository) {
        Ok(_) => add(state, &repository),
        Err(why) => vec![state.toasts.show(ToastKind::Warning, format!("{} can't be opened", Safe::new(name)), Some(why))],
    }
}

/// Opens what was typed.
pub(super) fn add(state: &mut State, text: &str) -> Vec<Effect> {
    let Ok((host, repository)) = address(text) else { return Vec::new() };
    let locator = Locator { transport: Transport::Registry, path: None, name: Some(Name::new(&host)) };
    state.registries.wanted = Some((host, repository));
    let (_, effect) = jobs::start(state, Job::Open(locator));
    vec![effect]
}

/// What giving a tag would do.
pub(super) fn retag_meaning(state: &State, from: &str, digest: &Digest, to: &str) -> Result<Option<Safe>, Safe> {
    let tags = &state.registries.tags;
    if to == from {
        return Ok(Some(Safe::new("type the new tag")));
    }
    if !remote::is_tag(to) {
        return Err(Safe::new("a tag has letters, digits, '.', '_' and '-', 128 at most"));
    }
    if !tags.list.iter().any(|row| row.tag.raw() == to) {
        return Ok(Some(Safe::from(format!("a new tag for {}; no layer is sent", digest.short()))));
    }
    match tags.of(to) {
        Some(there) if there.digest == *digest => Err(Safe::new("it points there already")),
        Some(there) => Ok(Some(Safe::from(format!("moves it from {} to {}", there.digest.short(), digest.short())))),
        None => Err(Safe::new("what it points at now is not known yet")),
    }
}

pub(super) fn retag(state: &mut State, from: &str, digest: &Digest, to: &str, chord: Chord) -> Vec<Effect> {
    let (Some(source), true) = (state.registries.source().cloned(), to != from) else { return Vec::new() };
    let replaces = state.registries.tags.of(to).map(|there| there.digest.clone());
    let name = state.registries.name(to);
    let title = Safe::from(format!("Move {}", name.safe()));
    let wish = Wish::Tag { id: digest.clone(), to: name };
    let lines = curate::plan::remote(&as_known(state, source), &[wish], &state.plan.protection);
    let job = plan::quick(state, PlanKind::Retag, lines);
    let Some(old) = replaces else {
        return jobs::task(state, job);
    };
    let mut lines = vec![(Tone::Plain, Safe::from(format!("{to} points at {} now, and will point at {}", old.short(), digest.short())))];
    let others = state.registries.tags.same.get(&old).copied().unwrap_or(1).saturating_sub(1);
    lines.push(if others == 0 {
        (Tone::Warning, Safe::from(format!("No other tag known here keeps {}: it can be lost to garbage collection", old.short())))
    } else {
        (Tone::Quiet, Safe::from(format!("{} keep {}", counted(others, "other tag"), old.short())))
    });
    let mut confirm = Confirm::new(title, lines, "Move", Agreed::Start(vec![job]));
    confirm.opened_by = Some(chord);
    state.overlays.push(Overlay::Confirm(confirm));
    Vec::new()
}

/// The repository as far as it is known: enough to give a tag, not to take anything away.
fn as_known(state: &State, source: SourceId) -> RepositoryView {
    let tags = &state.registries.tags;
    let known = tags.details.values().flatten().map(|details| (details.tag.clone(), (details.digest.clone(), details.media_type.clone())));
    RepositoryView {
        source,
        name: state.registries.repository().unwrap_or_default(),
        tags: known.collect(),
        indexes: std::collections::BTreeMap::new(),
        referrers: std::collections::BTreeMap::new(),
        held: std::collections::BTreeMap::new(),
        completeness: Completeness::Incomplete(Safe::new("only what is on the screen was looked at")),
    }
}

/// Looks at what a copy would replace, then asks.
pub(super) fn copy_to(state: &mut State, from: Name, digest: Digest, platforms: Vec<Platform>, to: &str) -> Vec<Effect> {
    let Ok(reference) = Name::new(to).reference() else { return Vec::new() };
    let to = Name::new(&format!("{}/{}:{}", reference.registry(), reference.repository(), reference.tag().unwrap_or("latest")));
    let source = SourceId::registry(reference.registry());
    let copy = Copy { from: CopyFrom::Registry(from), expected: Some(digest), to, replaces: None, platforms, referrers: true };
    overlay::wait(state, "looking at what is there", |_| Job::PreviewCopy { source, copy: Box::new(copy) })
}

pub(super) fn copy_previewed(state: &mut State, copy: Copy) -> Vec<Effect> {
    let Ok(reference) = copy.to.reference() else { return Vec::new() };
    if copy.replaces.is_some() && copy.replaces == copy.expected && copy.platforms.is_empty() {
        return vec![state.toasts.show(ToastKind::Good, "It is there already", Some(copy.to.safe()))];
    }
    let source = SourceId::registry(reference.registry());
    let mut lines = match &copy.from {
        CopyFrom::Registry(from) => vec![(Tone::Plain, Safe::from(format!("from {}", from.safe())))],
        CopyFrom::File(_) => Vec::new(),
    };
    lines.push(match &copy.replaces {
        Some(old) => (Tone::Warning, Safe::from(format!("The tag is there and points at {}: it will be moved", old.short()))),
        None => (Tone::Plain, Safe::new("The tag is new there")),
    });
    let which = match copy.platforms.first() {
        Some(only) => format!("Only {only}, in an index of its own, so with a digest of its own; what is there is not sent."),
        None => "All platforms, with signatures and other referrers; digests stay, and what is there is not sent.".to_owned(),
    };
    lines.push((Tone::Quiet, Safe::from(which)));
    let title = Safe::from(format!("Copy to {}", copy.to.safe()));
    let job = Job::Change(Change::Copy { source, copy });
    state.overlays.push(Overlay::Confirm(Confirm::new(title, lines, "Copy", Agreed::Start(vec![job]))));
    Vec::new()
}

/// Puts the removal of the chosen tags into the plan.
fn delete(state: &mut State) -> Vec<Effect> {
    let registries = &state.registries;
    let Some(source) = registries.source().cloned() else { return Vec::new() };
    let repository = registries.tags.repository.clone();
    let names: Vec<Name> = registries.tags.chosen().iter().map(|tag| registries.name(tag)).collect();
    plan::delete_tags(state, &source, &repository, names)
}

/// What can be put on the clipboard: key, label, text. Only what is in the grammar.
pub(super) fn copies(state: &State) -> Vec<(char, &'static str, String)> {
    let registries = &state.registries;
    let Some(repository) = registries.repository().or_else(|| {
        let row = registries.repositories.selected().filter(|row| row.fit)?;
        Some(format!("{}/{}", registries.host(), row.name.raw()))
    }) else {
        return Vec::new();
    };
    let mut items = Vec::new();
    if let (Level::Tags, Some(row)) = (registries.level, registries.tags.selected().filter(|row| row.fit)) {
        let name = format!("{repository}:{}", row.tag.raw());
        items.push(('r', "reference", name.clone()));
        if let Some(details) = registries.tags.selected_details() {
            items.push(('d', "by digest", format!("{repository}@{}", details.digest)));
        }
        items.push(('p', "pull command", format!("docker pull '{name}'")));
        items.push(('l', "lighterman command", format!("lighterman inspect 'docker://{name}'")));
    }
    if let Some((_, key)) = registries.selected_key().filter(|_| registries.level == Level::Parts) {
        items.push(('d', "by digest", key.to_string()));
    }
    items.push(('n', "repository", repository.clone()));
    items.push(('t', "list its tags", format!("lighterman tags '{repository}'")));
    items
}
