//! What refers to a manifest: signatures, SBOMs, attestations. The referrers API where there is one, else the tags that stand in for it:
//! `sha256-<hex>` as the specification has it, and cosign's `.sig`, `.att` and `.sbom`.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use http::header::{ACCEPT, LINK};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::errors::Refusal;
use super::http::Ask;
use super::manifests::pull_scope;
use super::paging::{Next, next_page};
use super::{Client, Inner, Repo, Stat, body};
use crate::model::remote::companion_tags;
use crate::model::{Completeness, Digest, Foreign, Problem, ProblemKind, Referrer, Referrers, Safe};
use crate::source::oci::{self, LARGEST, Manifest, media};

const MOST_PAGES: usize = 100;
const MOST_REFERRERS: usize = 10_000;
const CREATED: &str = "org.opencontainers.image.created";

impl Client {
    /// What refers to `subject`; with `artifact_type` only what is of that type.
    ///
    /// # Errors
    /// What the registry answered, other than that it has no such API.
    pub async fn referrers(&self, repo: &Repo, subject: &Digest, artifact_type: Option<&str>) -> Result<Referrers, Problem> {
        self.referrers_by(repo, subject, artifact_type, None).await
    }

    /// What refers to `subject` in a repository whose tags are known: those that are not there are not asked for.
    pub(super) async fn referrers_among(&self, repo: &Repo, subject: &Digest, tags: &BTreeMap<String, Stat>) -> Result<Referrers, Problem> {
        self.referrers_by(repo, subject, None, Some(tags)).await
    }

    async fn referrers_by(
        &self,
        repo: &Repo,
        subject: &Digest,
        artifact_type: Option<&str>,
        tags: Option<&BTreeMap<String, Stat>>,
    ) -> Result<Referrers, Problem> {
        let inner = &*self.0;
        let doing = format!("look for what refers to {} in {}", subject.short(), repo.full());
        let asked = Asked { inner, repo, subject, artifact_type, tags, doing };
        let by_api = if inner.has_referrers(repo) == Some(false) { None } else { asked.by_api().await? };
        inner.note_referrers(repo, by_api.is_some());
        let mut found = match by_api {
            Some(found) => found,
            None => asked.by_tag().await?,
        };
        for tagged in asked.by_cosign_tags().await? {
            match found.referrers.iter_mut().find(|known| known.digest == tagged.digest) {
                Some(known) => known.tag = tagged.tag,
                None => found.referrers.push(tagged),
            }
        }
        let mut seen = HashSet::new();
        let wanted = |one: &Referrer| artifact_type.is_none() || one.artifact_type.as_ref().map(Foreign::raw) == artifact_type;
        found.referrers.retain(|one| wanted(one) && seen.insert(one.digest.clone()));
        Ok(found)
    }
}

struct Asked<'a> {
    inner: &'a Inner,
    repo: &'a Repo,
    subject: &'a Digest,
    artifact_type: Option<&'a str>,
    /// Every tag there is, where that is known.
    tags: Option<&'a BTreeMap<String, Stat>>,
    doing: String,
}

impl Asked<'_> {
    /// `None` where the registry has no such API.
    async fn by_api(&self) -> Result<Option<Referrers>, Problem> {
        let mut url = self.inner.url(self.repo, &format!("referrers/{}", self.subject))?;
        if let Some(kind) = self.artifact_type {
            url.query_pairs_mut().append_pair("artifactType", kind);
        }
        let first = url.clone();
        let mut all = Vec::new();
        let mut visited = HashSet::new();
        let ended = |referrers, completeness| Ok(Some(Referrers { referrers, completeness, api: true }));
        let incomplete = |why: &str| Completeness::Incomplete(Safe::new(why));
        while visited.insert(url.clone()) {
            if visited.len() > MOST_PAGES || all.len() > MOST_REFERRERS {
                return ended(all, incomplete("there are more than can be listed"));
            }
            let page = match self.page(&url).await {
                Ok(Some(page)) => page,
                Ok(None) if all.is_empty() && visited.len() == 1 => return Ok(None),
                Ok(None) => return ended(all, incomplete("a later page is no list")),
                Err(problem) if visited.len() > 1 => return ended(all, incomplete(problem.cause.as_str())),
                Err(problem) => return Err(problem),
            };
            all.extend(page.0);
            url = match page.1 {
                Next::None => return ended(all, Completeness::Complete),
                Next::Unusable(why) => return ended(all, incomplete(&why)),
                Next::Url(next) if super::http::same_origin(&next, &first) => next,
                Next::Url(_) => return ended(all, incomplete("its next page is elsewhere")),
            };
        }
        ended(all, incomplete("its pages lead round in a circle"))
    }

    async fn page(&self, url: &Url) -> Result<Option<(Vec<Referrer>, Next)>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(media::OCI_INDEX));
        let ask = Ask {
            host: self.repo.host(),
            method: Method::GET,
            url: url.clone(),
            headers,
            body: Bytes::new(),
            scope: pull_scope(self.repo),
            doing: self.doing.clone(),
            mirrored: false,
        };
        let mut tried = 1;
        loop {
            let reply = self.inner.send(&ask).await?;
            match reply.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED => {
                    return Ok(None);
                }
                _ => return Err(Refusal::read(reply, self.inner.timers()).await.problem(&self.doing, self.repo.host())),
            }
            let kind = reply.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            if !kind.starts_with(media::OCI_INDEX) {
                return Ok(None);
            }
            let next = next_page(self.repo.host(), url, reply.url(), &reply.headers().get_all(LINK));
            match body::whole(reply, usize::try_from(LARGEST).unwrap_or(usize::MAX), self.inner.timers()).await {
                Ok(bytes) => return self.read(&bytes).map(|found| Some((found, next))),
                Err(body::Broken::TooLong) => {
                    return Err(Problem::new(ProblemKind::Limit, &self.doing, "the list is larger than 4 MiB"));
                }
                Err(broken) => {
                    let problem = Problem::new(ProblemKind::Unreachable, &self.doing, broken.words(self.inner.timers()));
                    self.inner.pause(self.repo.host(), &mut tried, problem, None).await?;
                }
            }
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<Referrer>, Problem> {
        let malformed = |malformed: oci::Malformed| malformed.problem(&self.doing);
        let index = oci::parse_index(bytes).map_err(malformed)?;
        // What a descriptor says of its artifact is no part of our descriptors.
        let document = oci::parse_strict(bytes).map_err(malformed)?;
        let kinds = document.get("manifests").and_then(|list| list.as_array()).into_iter().flatten();
        let kinds = kinds.map(|entry| entry.get("artifactType").and_then(|kind| kind.as_str()).map(Foreign::new));
        let one = |(entry, artifact_type): (crate::source::content::Descriptor, Option<Foreign>)| Referrer {
            created: entry.annotations.get(CREATED).and_then(|text| text.raw().parse().ok()),
            annotations: entry.annotations.into_iter().map(|(key, value)| (Foreign::from(key), value)).collect(),
            digest: entry.digest,
            media_type: Foreign::from(entry.media_type),
            size: entry.size,
            artifact_type,
            tag: None,
        };
        Ok(index.manifests.into_iter().zip(kinds).map(one).collect())
    }

    /// The index under the tag that stands in for the API.
    async fn by_tag(&self) -> Result<Referrers, Problem> {
        let [tag, ..] = companion_tags(self.subject);
        if self.tags.is_some_and(|tags| !tags.contains_key(&tag)) {
            return Ok(Referrers { referrers: Vec::new(), completeness: Completeness::Complete, api: false });
        }
        let referrers = match self.inner.manifest(self.repo, &tag).await {
            Ok(found) if matches!(found.manifest, Manifest::Index(_)) => self.read(&found.bytes)?,
            Ok(_) => Vec::new(),
            Err(problem) if problem.kind == ProblemKind::NotFound => Vec::new(),
            Err(problem) => return Err(problem),
        };
        Ok(Referrers { referrers, completeness: Completeness::Complete, api: false })
    }

    /// Cosign's own tags.
    async fn by_cosign_tags(&self) -> Result<Vec<Referrer>, Problem> {
        let mut found = Vec::new();
        for tag in companion_tags(self.subject).into_iter().skip(1) {
            let stat = match self.tags {
                Some(tags) => tags.get(&tag).cloned(),
                None => self.inner.stat(self.repo, &tag).await?,
            };
            let Some(stat) = stat else { continue };
            let kind = match tag.rsplit('.').next() {
                Some("sig") => "application/vnd.dev.cosign.simplesigning.v1+json",
                Some("att") => "application/vnd.dsse.envelope.v1+json",
                _ => "application/vnd.dev.cosign.sbom",
            };
            found.push(Referrer {
                digest: stat.digest,
                media_type: Foreign::from(stat.media_type),
                size: stat.size,
                artifact_type: Some(Foreign::new(kind)),
                created: None,
                annotations: Vec::new(),
                tag: Some(tag),
            });
        }
        Ok(found)
    }
}

impl Inner {
    /// Whether the repository's registry has the API, where it was asked before.
    fn has_referrers(&self, repo: &Repo) -> Option<bool> {
        self.referrers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(repo).copied()
    }

    fn note_referrers(&self, repo: &Repo, has: bool) {
        self.referrers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(repo.clone(), has);
    }
}
