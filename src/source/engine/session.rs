//! What is known of an engine once it has answered: Docker or Podman, its version, and the API version to speak.

use bollard::ClientVersion;
use bollard::Docker;

use super::client::{Ask, Client, Failure, LONGEST};
use super::wire::Version;
use crate::model::{Problem, ProblemKind, Safe};

/// The newest API whose answers this program knows, and the oldest it can use (Docker 1.12).
const NEWEST: Api = Api { major: 1, minor: 51 };
const OLDEST: Api = Api { major: 1, minor: 24 };

/// An API version; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Api {
    pub major: usize,
    pub minor: usize,
}

impl Api {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Podman,
}

/// An engine that has answered.
#[derive(Debug)]
pub(super) struct Session {
    pub kind: Kind,
    /// What to put in front of paths.
    pub api: String,
    pub version: Api,
    /// Such as "Docker 20.10.24, API 1.41".
    pub words: Safe,
    /// For the verbs that bollard speaks well.
    pub docker: Docker,
}

/// Asks who is there and agrees on an API version.
pub(super) async fn open(client: &Client, doing: &str) -> Result<Session, Problem> {
    let answer = client.fetch(None, Ask::get("/version", doing), LONGEST).await;
    let bytes = match answer {
        Ok(bytes) => bytes,
        Err(Failure::Said(status, _)) if status.is_client_error() || status.is_redirection() => return Err(client.garbage(doing)),
        Err(failure) => return Err(failure.into_problem(doing)),
    };
    let Ok(version) = serde_json::from_slice::<Version<'_>>(&bytes) else { return Err(client.garbage(doing)) };
    let Some(theirs) = Api::parse(&version.api.0) else { return Err(client.garbage(doing)) };
    let podman = version.components.0.iter().any(|component| component.name.0.starts_with("Podman"));
    let kind = if podman { Kind::Podman } else { Kind::Docker };
    let number = version.number.0.split('+').next().unwrap_or_default();
    let name = if podman { "Podman" } else { "Docker" };
    let oldest = Api::parse(&version.oldest_api.0).unwrap_or(OLDEST);
    let agreed = theirs.min(NEWEST);
    if agreed < OLDEST || agreed < oldest {
        let what = if agreed < OLDEST { "too old" } else { "too new" };
        return Err(Problem::new(
            ProblemKind::Unsupported,
            doing,
            format!("{name} {number} is {what}: it speaks API {oldest} to {theirs}, and this program {OLDEST} to {NEWEST}"),
        ));
    }
    Ok(Session {
        kind,
        api: agreed.to_string(),
        version: agreed,
        words: Safe::new(&format!("{name} {number}, API {agreed}")),
        docker: bollard(client, agreed).map_err(|error| Problem::new(ProblemKind::Other, doing, error.to_string()))?,
    })
}

/// Bollard over our own transport.
fn bollard(client: &Client, api: Api) -> Result<Docker, bollard::errors::Error> {
    let http = client.http().clone();
    let transport = move |request: bollard::BollardRequest| {
        let http = http.clone();
        async move { http.request(request).await.map_err(bollard::errors::Error::from) }
    };
    let version = ClientVersion { major_version: api.major, minor_version: api.minor };
    let address = format!("http://{}", client.authority());
    Docker::connect_with_custom_transport(transport, Some(address), super::client::HEAD.as_secs(), &version)
}

/// What a failure of bollard's comes to.
pub(super) fn failure(client: &Client, error: bollard::errors::Error, doing: &str) -> Failure {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            Failure::Said(http::StatusCode::from_u16(status_code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR), message)
        }
        Error::RequestTimeoutError => Failure::Problem(client.silent(doing, super::client::HEAD)),
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::StrParseError { .. } => Failure::Problem(client.garbage(doing)),
        error => Failure::Problem(client.lost(doing, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(Api::parse("1.9").unwrap() < Api::parse("1.24").unwrap());
        assert_eq!(Api::parse("1.41").unwrap().to_string(), "1.41");
        assert_eq!(Api::parse("x"), None);
        assert_eq!(Api::parse("1"), None);
    }
}
