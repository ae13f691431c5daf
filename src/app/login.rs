//! Logging in to a registry and out of it: a name, a password that is never shown, and what came of it.

use tui_input::Input;

use crate::flow::{Effect, Job, JobEvent, JobOutput};
use crate::model::{LoggedIn, LoggedOut, Login, Safe, Secret, SourceId};

use super::jobs::{self, answer};
use super::overlay::{Ask, Overlay, Prompt};
use super::registries;
use super::state::State;
use super::toast::ToastKind;

fn prompt(state: &mut State, ask: Ask, source: &SourceId, about: &str, keys: &'static str) {
    let host = Safe::new(source.registry_host().unwrap_or_default());
    let title = Safe::from(format!("Log in to {host}"));
    let prompt = Prompt { ask, title, about: Some(Safe::new(about)), input: Input::default(), note: Ok(None), keys };
    state.overlays.push(Overlay::Prompt(prompt));
}

/// Asks for the name.
pub(super) fn open(state: &mut State) {
    let Some(source) = state.registries.source().cloned() else { return };
    prompt(state, Ask::LogInName { source: source.clone() }, &source, "User name", "Enter next · Esc cancel");
}

/// Asks for the password.
pub(super) fn named(state: &mut State, source: &SourceId, username: String) {
    let about = format!("Password or access token of {}", Safe::new(&username));
    let ask = Ask::LogInSecret { source: source.clone(), username };
    prompt(state, ask, source, &about, "Enter log in · Esc cancel");
}

pub(super) fn submit(state: &mut State, source: SourceId, username: String, secret: Secret) -> Vec<Effect> {
    let (_, effect) = jobs::start(state, Job::LogIn { source, login: Login { username, secret } });
    vec![effect]
}

pub(super) fn out(state: &mut State) -> Vec<Effect> {
    let Some(source) = state.registries.source().cloned() else { return Vec::new() };
    let (_, effect) = jobs::start(state, Job::LogOut { source });
    vec![effect]
}

/// Says what came of it; what was refused before is asked for again.
pub(super) fn ended(state: &mut State, source: &SourceId, event: JobEvent) -> Vec<Effect> {
    let host = Safe::new(source.registry_host().unwrap_or_default());
    let (text, hint) = match answer(event, "log in") {
        Ok(JobOutput::LoggedIn(how)) => {
            state.registries.hosts.logged(source, true);
            let hint = match how {
                LoggedIn::Stored(helper) => format!("{} keeps it", Safe::new(&helper)),
                LoggedIn::ForThisRun => "until the program ends: docker's configuration names no credential helper for it".to_owned(),
            };
            (format!("Logged in to {host}"), Some(Safe::from(hint)))
        }
        Ok(JobOutput::LoggedOut(what)) => {
            state.registries.hosts.logged(source, false);
            let hint = match what {
                LoggedOut::Nothing => None,
                LoggedOut::Erased(helper) => Some(format!("{} has forgotten it", Safe::new(&helper))),
                LoggedOut::InFile(file) => Some(format!("not used in this run; {} still holds it: docker logout", Safe::new(&file))),
            };
            (format!("Logged out of {host}"), hint.map(Safe::from))
        }
        Ok(_) => return Vec::new(),
        Err(problem) => return vec![state.toasts.problem(&problem)],
    };
    let mut effects = vec![state.toasts.show(ToastKind::Good, text, hint)];
    effects.extend(registries::ask_again(state, source));
    effects
}
