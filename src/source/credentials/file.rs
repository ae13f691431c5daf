//! Reading one `config.json` or `auth.json`, which may hold anything, and finding the entry of one host in it.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Credential, HUB_KEY, is_hub};
use crate::model::{Problem, ProblemKind, Secret};

/// Longest file read. Docker's own are a few kilobytes.
const LONGEST: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What a file says of one host.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Credential(Credential),
    /// Ask `docker-credential-NAME`.
    Helper(String),
}

/// A parsed file; values are of any type until they are asked for.
#[derive(Debug)]
pub(super) struct File(Map<String, Value>);

/// Reads a file; `None` where there is none.
pub(super) async fn read(path: &Path, doing: &str) -> Result<Option<File>, Problem> {
    let (owned, shown) = (path.to_owned(), path.display().to_string());
    let read = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || read_bytes(&owned))).await;
    let bytes = match read {
        Ok(Ok(Ok(bytes))) => bytes,
        Ok(Ok(Err(error))) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(Ok(Err(error))) => return Err(Problem::disk(doing, path, &error)),
        Ok(Err(_)) | Err(_) => return Err(Problem::new(ProblemKind::Disk, doing, format!("{shown} can't be read in time"))),
    };
    let Some(bytes) = bytes else {
        return Err(Problem::new(ProblemKind::Limit, doing, format!("{shown} is longer than 4 MiB")));
    };
    // Serde's messages quote a few characters of what they didn't expect, which may be a secret: only the place is passed on.
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(map)) => Ok(Some(File(map))),
        Ok(_) => Err(Problem::new(ProblemKind::Usage, doing, format!("{shown} is not a JSON object"))),
        Err(error) => Err(Problem::new(
            ProblemKind::Usage,
            doing,
            format!("{shown} is not valid JSON (line {}, column {})", error.line(), error.column()),
        )),
    }
}

/// `None` when it is too long. Only a regular file is opened: a pipe would hold the thread for ever.
fn read_bytes(path: &Path) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LONGEST).then_some(bytes))
}

/// The hosts that a file has an entry or a helper for; none where it can't be read.
pub(super) fn hosts(path: &Path) -> Vec<String> {
    let bytes = read_bytes(path).ok().flatten();
    let Some(Value::Object(map)) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) else { return Vec::new() };
    let file = File(map);
    let keys = ["auths", "credHelpers"].into_iter().filter_map(|section| file.section(section)).flat_map(Map::keys);
    keys.filter_map(|key| key_host(key)).map(|host| if is_hub(host) { "docker.io".to_owned() } else { host.to_owned() }).collect()
}

impl File {
    /// The host's own helper, else its entry in the file, else the helper for all hosts.
    pub(super) fn find(&self, host: &str, doing: &str) -> Result<Found, Problem> {
        let wrong = |what: &str| Problem::new(ProblemKind::Usage, doing, format!("the docker config's {what}"));
        if let Some(helper) = self.section("credHelpers").and_then(|helpers| entry(helpers, host)) {
            return match helper {
                Value::String(name) if !name.is_empty() => Ok(Found::Helper(name.clone())),
                Value::String(_) => Ok(Found::Nothing),
                _ => Err(wrong("credHelpers names no helper for this host")),
            };
        }
        let own = self.section("auths").and_then(|auths| entry(auths, host));
        let own = own.map(|entry| credential(entry).map_err(wrong)).transpose()?.flatten();
        match (own, self.0.get("credsStore")) {
            (None, Some(Value::String(store))) if !store.is_empty() => Ok(Found::Helper(store.clone())),
            (None, _) => Ok(Found::Nothing),
            (Some(credential), _) => Ok(Found::Credential(credential)),
        }
    }

    fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name).and_then(Value::as_object)
    }
}

/// The entry whose key is `host`, or an older spelling of it. An exact key comes first.
fn entry<'a>(section: &'a Map<String, Value>, host: &str) -> Option<&'a Value> {
    let hub = is_hub(host);
    if hub && let Some(value) = section.get(HUB_KEY) {
        return Some(value);
    }
    if !hub && let Some(value) = section.get(host) {
        return Some(value);
    }
    section
        .iter()
        .find(|(key, _)| key_host(key).is_some_and(|key| key.eq_ignore_ascii_case(host) || (hub && is_hub(key))))
        .map(|(_, value)| value)
}

/// The host of a key such as `https://host:5000/v1/`; `None` for a key with a real path, which is for one namespace only.
fn key_host(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    matches!(path.trim_end_matches('/'), "" | "v1" | "v2").then_some(host)
}

/// An entry's credential; an empty entry marks a login kept elsewhere and is none.
fn credential(entry: &Value) -> Result<Option<Credential>, &'static str> {
    let Value::Object(entry) = entry else { return Err("entry for this host is not an object") };
    let text = |name: &str| match entry.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err("entry for this host holds something that is not text"),
    };
    if let Some(token) = text("identitytoken")? {
        return Ok(Some(Credential::IdentityToken(Secret::new(token.to_owned()))));
    }
    if let Some(token) = text("registrytoken")? {
        return Ok(Some(Credential::RegistryToken(Secret::new(token.to_owned()))));
    }
    if let Some(auth) = text("auth")? {
        return decode(auth).map(Some);
    }
    match (text("username")?, text("password")?) {
        (Some(username), Some(password)) => password_of(username, password).map(Some),
        _ => Ok(None),
    }
}

/// `auth` is base64 of `user:password`, with or without padding; Docker pads passwords with NUL in some old versions.
fn decode(auth: &str) -> Result<Credential, &'static str> {
    let engine = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let bad = "entry for this host has an auth that is not base64 of user:password";
    let Ok(bytes) = engine.decode(auth.trim()).map(Zeroizing::new) else { return Err(bad) };
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.split_once(':'));
    let (username, password) = text.ok_or(bad)?;
    password_of(username, password.trim_end_matches('\0'))
}

/// A user name has no control characters; a password may (Google's is a JSON document of several lines).
fn password_of(username: &str, password: &str) -> Result<Credential, &'static str> {
    if username.is_empty() || username.chars().any(char::is_control) {
        return Err("entry for this host has an empty or broken user name");
    }
    Ok(Credential::Password { username: username.to_owned(), password: Secret::new(password.to_owned()) })
}
