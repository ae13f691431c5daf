//! Docker contexts: named engines in `contexts/meta/<sha256 of the name>/meta.json`, with TLS material under `contexts/tls`.
//!
//! Every file may hold anything: a broken one is a problem of its own row, and others still work.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::discover::Files;
use super::endpoint::{Endpoint, Tls};
use crate::model::{Digest, Problem, ProblemKind, Safe};

/// The contexts of one docker config directory.
pub(super) struct Contexts<'a> {
    dir: Option<PathBuf>,
    files: &'a dyn Files,
}

impl<'a> Contexts<'a> {
    pub(super) fn new(dir: Option<PathBuf>, files: &'a dyn Files) -> Self {
        Self { dir, files }
    }

    /// `currentContext` of the config file.
    pub(super) fn current(&self) -> Result<Option<String>, Problem> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join("config.json")) else { return Ok(None) };
        let doing = "read which docker context is current";
        match self.json(&path, doing)? {
            None => Ok(None),
            Some(config) => match config.get("currentContext") {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(name)) => Ok(Some(name.clone()).filter(|name| !name.is_empty())),
                Some(_) => Err(Problem::new(ProblemKind::Usage, doing, format!("currentContext in {} is not text", path.display()))),
            },
        }
    }

    /// The context of that name.
    pub(super) fn named(&self, name: &str, why: &str, insecure: bool) -> Result<Endpoint, Problem> {
        let doing = format!("use the docker context {}", Safe::new(name));
        if !is_name(name) {
            return Err(Problem::new(ProblemKind::Usage, doing, "that is not the name of a context"));
        }
        let absent =
            || Problem::new(ProblemKind::NotFound, &doing, "there is no such context").hint("docker context ls shows those that there are");
        let dir = self.dir.as_ref().ok_or_else(absent)?;
        let key = Digest::sha256(name.as_bytes());
        let meta = self.json(&dir.join("contexts/meta").join(key.hex()).join("meta.json"), &doing)?.ok_or_else(absent)?;
        self.endpoint(dir, key.hex(), name, why, &meta, insecure, &doing)
    }

    /// Every context there is, by name.
    pub(super) fn all(&self, insecure: bool) -> Vec<(String, Result<Endpoint, Problem>)> {
        let Some(dir) = &self.dir else { return Vec::new() };
        let mut found: Vec<_> =
            self.files.list(&dir.join("contexts/meta")).iter().filter_map(|folder| self.listed(dir, folder, insecure)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn listed(&self, dir: &Path, folder: &Path, insecure: bool) -> Option<(String, Result<Endpoint, Problem>)> {
        let id = folder.file_name()?.to_str()?;
        let short = id.get(..12).unwrap_or(id);
        let doing = format!("use the docker context {}", Safe::new(short));
        let broken = |cause: String| Some((short.to_owned(), Err(Problem::new(ProblemKind::Usage, &doing, cause))));
        let meta = match self.json(&folder.join("meta.json"), &doing) {
            Ok(meta) => meta?,
            Err(problem) => return Some((short.to_owned(), Err(problem))),
        };
        let Some(name) = meta.get("Name").and_then(Value::as_str).filter(|name| is_name(name)) else {
            return broken(format!("{} names no context", folder.display()));
        };
        if Digest::sha256(name.as_bytes()).hex() != id {
            return broken(format!("{} holds a context of another name", folder.display()));
        }
        let doing = format!("use the docker context {name}");
        Some((name.to_owned(), self.endpoint(dir, id, name, "context", &meta, insecure, &doing)))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one row, used twice")]
    fn endpoint(
        &self,
        dir: &Path,
        id: &str,
        name: &str,
        why: &str,
        meta: &Value,
        insecure: bool,
        doing: &str,
    ) -> Result<Endpoint, Problem> {
        let docker = meta.pointer("/Endpoints/docker").and_then(Value::as_object);
        let Some(address) = docker.and_then(|docker| docker.get("Host")).and_then(Value::as_str) else {
            return Err(Problem::new(ProblemKind::Usage, doing, "it names no docker engine"));
        };
        if docker.and_then(|docker| docker.get("SkipTLSVerify")).and_then(Value::as_bool) == Some(true) {
            return Err(Problem::new(ProblemKind::Unsupported, doing, "it asks for TLS that checks no certificate")
                .hint("give the context the engine's CA instead: docker context update --docker host=…,ca=FILE"));
        }
        let material = Tls::in_dir(&dir.join("contexts/tls").join(id).join("docker"), &|file| self.files.exists(file));
        let tls = (material != Tls::default()).then_some(material);
        Endpoint::parse(address, name, why, tls, insecure)
    }

    /// A JSON file; `None` where there is none.
    fn json(&self, path: &Path, doing: &str) -> Result<Option<Value>, Problem> {
        match self.files.read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                let place = format!("{} is not valid JSON (line {}, column {})", path.display(), error.line(), error.column());
                Problem::new(ProblemKind::Usage, doing, place)
            }),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                Err(Problem::new(ProblemKind::Limit, doing, format!("{} is longer than 1 MiB", path.display())))
            }
            Err(error) => Err(Problem::disk(doing, path, &error)),
        }
    }
}

/// The docker command's grammar for context names.
fn is_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-'))
}
