//! One line to type: a new name, a reference to pull, a file to write or read. What the text means, or why it can't be taken, is said
//! while it is typed.

use std::path::PathBuf;
use std::sync::Arc;

use tui_input::Input;

use crate::curate::describe;
use crate::flow::{Chord, Effect, Job, Key};
use crate::layer::tree::{Lies, Wanted};
use crate::model::{ArchiveFormat, Change, Digest, Finding, Image, ImageKey, Locator, Name, Platform, Safe, Secret, SourceId, Transport};

use super::super::actions;
use super::super::files;
use super::super::findings;
use super::super::jobs;
use super::super::login;
use super::super::plan;
use super::super::registries;
use super::super::state::State;
use super::super::update::edit;
use super::super::what_if;
use super::{Agreed, Confirm, FileAt, Overlay};

/// What is asked for, with what the answer applies to.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Retag {
        id: Digest,
        from: Option<Name>,
    },
    Pull,
    Export {
        keys: Vec<ImageKey>,
        format: ArchiveFormat,
    },
    Import,
    OpenFile,
    /// Another tag for what a tag of a registry points at.
    RetagRemote {
        from: String,
        digest: Digest,
    },
    /// Somewhere else for what a tag of a registry points at; of an index all platforms, or these.
    CopyTo {
        from: Name,
        digest: Digest,
        platforms: Vec<Platform>,
    },
    /// A registry, or one of its repositories.
    Registry,
    /// Why a protected line runs.
    Override,
    /// Which of an image's files are to be seen.
    FindFiles,
    /// Where a file of an image is to be written.
    SaveFile {
        source: SourceId,
        image: Arc<Image>,
        lies: Lies,
    },
    SavePlan,
    /// What contains something polluted, for others.
    SaveReport,
    /// What differs between two images, for others.
    SaveComparison,
    /// Which rows of a comparison are to be seen.
    FindDifference,
    /// Why a finding doesn't count.
    Ignore {
        finding: Box<Finding>,
    },
    /// Another scanner's report.
    ImportReport,
    /// Where findings are to be written.
    SaveFindings,
    /// Into which file.
    SavePolicy {
        toml: String,
    },
    /// That so much of this repository may go.
    PolicyName {
        repository: String,
    },
    LogInName {
        source: SourceId,
    },
    LogInSecret {
        source: SourceId,
        username: String,
    },
}

impl Ask {
    /// Whether it can be answered where no source is there yet.
    const fn is_about_no_source(&self) -> bool {
        matches!(
            self,
            Self::LogInName { .. }
                | Self::LogInSecret { .. }
                | Self::Override
                | Self::FindFiles
                | Self::SaveFile { .. }
                | Self::SavePlan
                | Self::SaveReport
                | Self::SaveComparison
                | Self::FindDifference
                | Self::Ignore { .. }
                | Self::ImportReport
                | Self::SaveFindings
                | Self::SavePolicy { .. }
                | Self::PolicyName { .. }
        )
    }
}

impl Ask {
    /// Whether what is typed must not be seen.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::LogInSecret { .. })
    }
}

#[derive(Debug, Clone)]
pub struct Prompt {
    pub ask: Ask,
    pub title: Safe,
    /// What it is about, above the line.
    pub about: Option<Safe>,
    pub input: Input,
    /// Live: why the text can't be taken as it is, or what it means.
    pub note: Result<Option<Safe>, Safe>,
    /// What the keys do here.
    pub keys: &'static str,
}

impl Prompt {
    pub(super) fn key(mut self, state: &mut State, chord: Chord) -> Vec<Effect> {
        match chord.key {
            Key::Esc => return Vec::new(),
            Key::Enter => {
                check(state, &mut self);
                if self.note.is_ok() && !self.input.value().trim().is_empty() {
                    return self.submit(state, chord);
                }
            }
            Key::Tab => {
                if let Ask::Export { format, .. } = &mut self.ask {
                    let (now, suffix) = match format {
                        ArchiveFormat::Docker => (ArchiveFormat::Oci, ".oci.tar"),
                        ArchiveFormat::Oci => (ArchiveFormat::Docker, ".tar"),
                    };
                    *format = now;
                    let text = self.input.value();
                    let stem = text.strip_suffix(".oci.tar").or_else(|| text.strip_suffix(".tar")).unwrap_or(text);
                    self.input = Input::new(format!("{stem}{suffix}"));
                }
            }
            _ => {
                if let Some(request) = edit(chord) {
                    self.input.handle(request);
                }
            }
        }
        check(state, &mut self);
        state.overlays.push(Overlay::Prompt(self));
        Vec::new()
    }

    /// What has nothing to do with the source that is shown.
    fn answer(self, state: &mut State) -> Vec<Effect> {
        let text = self.input.value().trim();
        match self.ask {
            Ask::LogInName { source } => {
                login::named(state, &source, text.to_owned());
                Vec::new()
            }
            Ask::LogInSecret { source, username } => login::submit(state, source, username, Secret::new(self.input.value().to_owned())),
            Ask::Override => {
                state.plan.override_selected(text);
                Vec::new()
            }
            Ask::FindFiles => files::find(state, text),
            Ask::SaveFile { source, image, lies } => {
                let file = path(state, text);
                jobs::task(state, Job::SaveFile { source, image, lies, file })
            }
            Ask::SavePlan => {
                let file = path(state, text);
                plan::save_to(state, file)
            }
            Ask::SavePolicy { toml } => {
                let file = path(state, text);
                what_if::save_to(state, toml, file)
            }
            Ask::PolicyName { .. } => what_if::named(state),
            Ask::SaveReport => super::quarantine::save_to(state, text),
            Ask::SaveComparison => super::compare::save_to(state, text),
            Ask::FindDifference => super::compare::find(state, text),
            Ask::Ignore { finding } => findings::ignored(state, finding, text),
            Ask::ImportReport => findings::import(state, text),
            Ask::SaveFindings => findings::save_to(state, text),
            _ => Vec::new(),
        }
    }

    fn submit(self, state: &mut State, chord: Chord) -> Vec<Effect> {
        if self.ask.is_about_no_source() {
            return self.answer(state);
        }
        let text = self.input.value().trim().to_owned();
        let Some(source) = state.sources.current.clone() else {
            return Vec::new();
        };
        match self.ask {
            Ask::Retag { id, .. } => {
                let to = Name::new(&text);
                let Some(list) = state.images.list.value.clone() else { return Vec::new() };
                let replaces = describe::holder(&list, &to).map(|image| image.id.clone());
                let Some(lines) = describe::tag(&list, &id, &to, state.now) else { return Vec::new() };
                let title = Safe::from(format!("Move {}", to.safe()));
                let Some(job) = plan::tag_image(state, &source, &list, &id, &to) else { return Vec::new() };
                if replaces.is_none() {
                    return jobs::task(state, job);
                }
                let mut confirm = Confirm::new(title, lines, "Move", Agreed::Start(vec![job]));
                confirm.opened_by = Some(chord);
                state.overlays.push(Overlay::Confirm(confirm));
                Vec::new()
            }
            Ask::Pull => jobs::task(state, Job::Change(Change::Pull { source, name: Name::new(&text), platform: None })),
            Ask::Export { keys, format } => {
                let file = path(state, &text);
                jobs::task(state, Job::Export { source, keys, file, format, overwrite: false })
            }
            Ask::Import => {
                let file = path(state, &text);
                super::wait(state, "reading the archive", |source| Job::PreviewImport { source, file })
            }
            Ask::RetagRemote { from, digest } => registries::retag(state, &from, &digest, &text, chord),
            Ask::CopyTo { from, digest, platforms } => registries::copy_to(state, from, digest, platforms, &text),
            Ask::Registry => registries::add(state, &text),
            Ask::OpenFile => match Locator::parse(&text) {
                Ok(mut locator) => {
                    locator.path = locator.path.map(|file| path(state, &file.to_string_lossy()));
                    let (_, effect) = jobs::start(state, Job::Open(locator));
                    vec![effect]
                }
                Err(problem) => vec![state.toasts.problem(&problem)],
            },
            _ => Vec::new(),
        }
    }
}

/// Says what the text means as it stands.
pub(in crate::app) fn check(state: &State, prompt: &mut Prompt) {
    let text = prompt.input.value().trim();
    prompt.note = if text.is_empty() { Ok(None) } else { meaning(state, &prompt.ask, text) };
}

fn meaning(state: &State, ask: &Ask, text: &str) -> Result<Option<Safe>, Safe> {
    match ask {
        Ask::Retag { id, from } => {
            let to = Name::new(text);
            to.reference().map_err(|problem| problem.cause)?;
            if from.as_ref() == Some(&to) {
                return Ok(Some(Safe::new("type the new name")));
            }
            if text.contains('@') {
                return Err(Safe::new("a digest can't be given as a name"));
            }
            let Some(list) = &state.images.list.value else { return Ok(None) };
            match describe::tag(list, id, &to, state.now) {
                None => Err(Safe::new("it has that name already")),
                Some(lines) => Ok(lines.get(1).or(lines.first()).map(|(_, text)| text.clone())),
            }
        }
        Ask::Pull => {
            let reference = Name::new(text).reference().map_err(|problem| problem.cause)?;
            Ok(Some(Safe::from(format!("pulls {reference}"))))
        }
        Ask::Export { format, .. } => Ok(Some(Safe::new(match format {
            ArchiveFormat::Docker => "a docker-archive, as docker load and podman load read it",
            ArchiveFormat::Oci => "an oci-archive, as podman, skopeo and newer engines read it",
        }))),
        Ask::RetagRemote { from, digest } => registries::retag_meaning(state, from, digest, text),
        Ask::CopyTo { .. } => {
            let reference = Name::new(text).reference().map_err(|problem| problem.cause)?;
            if reference.digest().is_some() {
                return Err(Safe::new("write a tag: a digest can't be chosen"));
            }
            Ok(Some(Safe::from(format!("copies to {reference}; what is there already is not sent again"))))
        }
        Ask::Registry => registries::address(text).map(|(host, repository)| {
            let what = repository.map_or_else(String::new, |repository| format!(", its repository {repository}"));
            Some(Safe::from(format!("opens {host}{what}")))
        }),
        Ask::LogInName { .. } if text.contains(':') => Err(Safe::new("a user name has no colon")),
        Ask::Override => plan::reason(text),
        Ask::Ignore { .. } => findings::until(state, text),
        Ask::FindFiles => Wanted::parse(text).map(|_| None).map_err(Safe::from),
        Ask::SaveFile { .. } => Ok(Some(Safe::new("a new file that only you may read; nothing is replaced"))),
        Ask::PolicyName { repository } if text == repository => Ok(None),
        Ask::PolicyName { .. } => Err(Safe::new("that is another name")),
        Ask::SavePlan
        | Ask::SaveReport
        | Ask::SaveComparison
        | Ask::FindDifference
        | Ask::ImportReport
        | Ask::SaveFindings
        | Ask::SavePolicy { .. }
        | Ask::LogInName { .. }
        | Ask::LogInSecret { .. } => Ok(None),
        Ask::Import => Ok(Some(Safe::new("read to its end first; says which tags would move"))),
        Ask::OpenFile => file(text),
    }
}

/// Whether a text names a file that can be opened.
fn file(text: &str) -> Result<Option<Safe>, Safe> {
    match Locator::parse(text).map_err(|problem| problem.cause)?.transport {
        Transport::Layout | Transport::OciArchive | Transport::DockerArchive => Ok(None),
        _ => Err(Safe::new("write oci:DIR, oci-archive:FILE or docker-archive:FILE")),
    }
}

/// Asks where a file of an image is to be written.
pub(in crate::app) fn save_file(state: &mut State, at: FileAt) {
    let Some(lies) = at.lies() else { return };
    let text = in_export_dir(state, &own_name(&at.name));
    let about = Some(Safe::from(format!("{}, {}", at.path, at.about)));
    let what = Ask::SaveFile { source: at.source, image: at.image, lies };
    actions::ask(state, what, "Save a file", about, text, "Enter write · Esc cancel");
}

/// Longest name that is made of a foreign one, in bytes: file systems take 255, and endings may follow.
const LONGEST: usize = 200;

/// A name from an image as one of our own: nothing in it that moves, hides or leads elsewhere, and short enough for a file system.
fn own_name(name: &str) -> String {
    let tame = |c: char| if c.is_alphanumeric() || " ._-+@,=~%#()[]{}!$&';".contains(c) { c } else { '_' };
    let mut left = LONGEST;
    let fits = |c: &char| left.checked_sub(c.len_utf8()).map(|less| left = less).is_some();
    let clean: String = name.chars().map(tame).take_while(fits).collect();
    match clean.trim() {
        "" | "." | ".." => "file".to_owned(),
        // Else it would mean the home directory.
        clean => clean.strip_prefix('~').map_or_else(|| clean.to_owned(), |rest| format!("_{rest}")),
    }
}

/// A file's name in the directory that exports go to.
pub(in crate::app) fn in_export_dir(state: &State, name: &str) -> String {
    let dir = state.settings.export_dir.trim_end_matches('/');
    if dir.is_empty() || dir == "." { name.to_owned() } else { format!("{dir}/{name}") }
}

/// A typed path, with `~` for the home directory.
pub(in crate::app) fn path(state: &State, text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), &state.settings.home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::own_name;

    #[test]
    fn a_name_from_an_image_leads_nowhere_and_steers_nothing() {
        for (told, own) in [
            ("passwd", "passwd"),
            (".bashrc", ".bashrc"),
            ("..", "file"),
            ("", "file"),
            ("a/../b", "a_.._b"),
            ("~", "_"),
            ("~root", "_root"),
            ("e\u{1b}[2J\u{202e}x\n", "e_[2J_x_"),
            ("日本語 (1).txt", "日本語 (1).txt"),
        ] {
            assert_eq!(own_name(told), own);
        }
        assert_eq!(own_name(&"x".repeat(5000)).len(), 200);
        // File systems count bytes: 66 of three each, and no part of one more.
        assert_eq!(own_name(&"語".repeat(5000)), "語".repeat(66));
        assert_eq!(own_name(&format!("a{}", "𠀀".repeat(120))), format!("a{}", "𠀀".repeat(49)));
    }
}
