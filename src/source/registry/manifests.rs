//! Manifests: fetched and sent as exact bytes, known by the digest of those bytes and nothing else.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::errors::Refusal;
use super::http::Ask;
use super::{Client, Inner, Repo, body};
use crate::model::remote::is_tag;
use crate::model::{Digest, Problem, ProblemKind, Safe};
use crate::source::oci::{self, LARGEST, Manifest, media};

/// Without all of these a registry converts to schema 1, whose digest is not the stored one.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json";

/// A manifest as a registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteManifest {
    pub bytes: Bytes,
    /// Of `bytes`: computed here, never taken from a header.
    pub digest: Digest,
    pub media_type: String,
    pub manifest: Manifest,
}

/// What a HEAD tells of a manifest: the registry's word, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

impl Client {
    /// Fetches a manifest by tag or digest and verifies it.
    ///
    /// # Errors
    /// What the registry answered; a body over 4 MiB, of another digest than asked for, or that two readers could read differently.
    pub async fn manifest(&self, repo: &Repo, target: &str) -> Result<RemoteManifest, Problem> {
        self.0.manifest(repo, target).await
    }

    /// Asks what a tag or digest is; `None` when it isn't there. A registry without HEAD is asked by GET.
    ///
    /// # Errors
    /// What the registry answered otherwise.
    pub async fn stat(&self, repo: &Repo, target: &str) -> Result<Option<Stat>, Problem> {
        self.0.stat(repo, target).await
    }

    /// Stores a manifest under a tag or its digest and gives its digest. Repeating it is harmless.
    ///
    /// # Errors
    /// What the registry answered; a registry that claims success but doesn't serve these bytes.
    pub async fn put_manifest(&self, repo: &Repo, target: &str, media_type: &str, bytes: Bytes) -> Result<Digest, Problem> {
        self.0.put_manifest(repo, target, media_type, bytes).await
    }
}

fn named(repo: &Repo, target: &str) -> String {
    let colon = if target.contains(':') { '@' } else { ':' };
    format!("{}{colon}{target}", repo.full())
}

/// Tags and digests that are fit for a URL.
pub(super) fn checked(repo: &Repo, target: &str) -> Result<(), Problem> {
    if is_tag(target) || target.parse::<Digest>().is_ok() {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Usage, format!("use {}", named(repo, target)), "that is neither a tag nor a digest"))
}

pub(super) fn pull_scope(repo: &Repo) -> Vec<String> {
    vec![format!("repository:{}:pull", repo.name())]
}

pub(super) fn push_scope(repo: &Repo) -> Vec<String> {
    vec![format!("repository:{}:pull,push", repo.name())]
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Inner {
    fn ask<'a>(&self, repo: &'a Repo, method: Method, target: &str, doing: String) -> Result<Ask<'a>, Problem> {
        checked(repo, target)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let url = self.url(repo, &format!("manifests/{target}"))?;
        Ok(Ask { host: repo.host(), method, url, headers, body: Bytes::new(), scope: pull_scope(repo), doing, mirrored: false })
    }

    pub(super) async fn manifest(&self, repo: &Repo, target: &str) -> Result<RemoteManifest, Problem> {
        self.read(repo, target, true).await
    }

    /// As [`Inner::manifest`]; `mirrored` where a mirror may answer.
    async fn read(&self, repo: &Repo, target: &str, mirrored: bool) -> Result<RemoteManifest, Problem> {
        let doing = format!("read the manifest of {}", named(repo, target));
        let ask = Ask { mirrored, ..self.ask(repo, Method::GET, target, doing.clone())? };
        let mut tried = 1;
        let (bytes, content_type) = loop {
            let reply = self.send(&ask).await?;
            if reply.status() != StatusCode::OK {
                return Err(Refusal::read(reply, self.timers()).await.problem(&doing, repo.host()));
            }
            let content_type = text(reply.headers(), "content-type").unwrap_or_default().to_owned();
            match body::whole(reply, usize::try_from(LARGEST).unwrap_or(usize::MAX), self.timers()).await {
                Ok(bytes) => break (bytes, content_type),
                Err(body::Broken::TooLong) => {
                    return Err(Problem::new(ProblemKind::Limit, doing, "it is larger than 4 MiB"));
                }
                Err(broken) => {
                    let problem = Problem::new(ProblemKind::Unreachable, &doing, broken.words(self.timers()));
                    self.pause(repo.host(), &mut tried, problem, None).await?;
                }
            }
        };
        let asked = target.parse::<Digest>().ok();
        let digest = asked.as_ref().map_or_else(|| Digest::sha256(&bytes), |asked| digest_as(asked, &bytes));
        if let Some(asked) = asked.filter(|asked| *asked != digest) {
            let cause = format!("{} sent bytes of digest {digest} for {asked}", repo.host());
            return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
        }
        let manifest = oci::parse_manifest(&bytes, Some(&content_type)).map_err(|malformed| malformed.problem(&doing))?;
        let media_type = match &manifest {
            Manifest::Index(index) => index.media_type.clone(),
            Manifest::Image(image) => image.media_type.clone(),
        };
        Ok(RemoteManifest { bytes, digest, media_type, manifest })
    }

    pub(super) async fn stat(&self, repo: &Repo, target: &str) -> Result<Option<Stat>, Problem> {
        Ok(self.look(repo, target).await?.map(|(stat, _)| stat))
    }

    /// As [`Inner::stat`], and the manifest where it had to be read for that.
    pub(super) async fn look(&self, repo: &Repo, target: &str) -> Result<Option<(Stat, Option<RemoteManifest>)>, Problem> {
        let doing = format!("look for {}", named(repo, target));
        let ask = self.ask(repo, Method::HEAD, target, doing.clone())?;
        let reply = self.send(&ask).await?;
        match reply.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return self.look_by_get(repo, target).await,
            _ => return Err(Refusal::read(reply, self.timers()).await.problem(&doing, repo.host())),
        }
        let headers = reply.headers();
        let digest = text(headers, "docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let size = text(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        let media_type = text(headers, "content-type").map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        match (digest, size, media_type) {
            (Some(digest), Some(size), Some(media_type)) if known(&media_type) => Ok(Some((Stat { digest, size, media_type }, None))),
            _ => self.look_by_get(repo, target).await,
        }
    }

    async fn look_by_get(&self, repo: &Repo, target: &str) -> Result<Option<(Stat, Option<RemoteManifest>)>, Problem> {
        match self.read(repo, target, false).await {
            Ok(found) => {
                let stat = Stat { digest: found.digest.clone(), size: found.bytes.len() as u64, media_type: found.media_type.clone() };
                Ok(Some((stat, Some(found))))
            }
            Err(problem) if problem.kind == ProblemKind::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    pub(super) async fn put_manifest(&self, repo: &Repo, target: &str, media_type: &str, bytes: Bytes) -> Result<Digest, Problem> {
        let doing = format!("push the manifest of {}", named(repo, target));
        let digest = target.parse::<Digest>().map_or_else(|_tag| Digest::sha256(&bytes), |asked| digest_as(&asked, &bytes));
        if bytes.len() as u64 > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing, "it is larger than 4 MiB"));
        }
        let mut ask = self.ask(repo, Method::PUT, target, doing.clone())?;
        let kind = HeaderValue::from_str(media_type).map_err(|_not_a_header| {
            Problem::new(ProblemKind::Corrupt, &doing, format!("its media type is odd: {}", Safe::new(media_type)))
        })?;
        ask.headers.insert(CONTENT_TYPE, kind);
        ask.scope = push_scope(repo);
        ask.body = bytes;
        let reply = self.send(&ask).await?;
        let status = reply.status();
        if !status.is_success() {
            return Err(Refusal::read(reply, self.timers()).await.problem(&doing, repo.host()));
        }
        // Success without the registry's own digest may be any web server: look.
        let told = text(reply.headers(), "docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        drop(reply);
        if told.as_ref() != Some(&digest) {
            let served = self.stat(repo, target).await?.map(|stat| stat.digest);
            if served.as_ref() != Some(&digest) {
                let cause = format!("{} answered {} but does not serve what was sent", repo.host(), status.as_u16());
                return Err(Problem::new(ProblemKind::Corrupt, doing, cause));
            }
        }
        Ok(digest)
    }
}

/// The digest of `bytes` in the algorithm of `like`.
fn digest_as(like: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = like.hasher();
    hasher.update(bytes);
    hasher.finish()
}

fn known(media_type: &str) -> bool {
    media::is_index(media_type) || media::is_manifest(media_type) || media::is_schema1(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_and_digests_reach_a_url() {
        let repo = Repo { host: "h".into(), name: "a".into() };
        for good in ["latest", "v1.2_3-x", "_x", &Digest::sha256(b"").to_string()] {
            assert!(checked(&repo, good).is_ok(), "{good}");
        }
        for bad in ["", ".x", "-x", "a/b", "../x", "a b", "sha256:../../x", "a?b", "é", &"a".repeat(129)] {
            assert!(checked(&repo, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_kind_of_manifest_is_accepted() {
        for kind in [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST, media::DOCKER_SCHEMA1] {
            assert!(ACCEPTED.contains(kind));
        }
        assert!(ACCEPTED.contains(media::DOCKER_SCHEMA1_SIGNED));
    }
}
