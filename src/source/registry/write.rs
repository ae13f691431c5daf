//! Writes that must not be repeated blindly: a tag that is put or deleted. No registry compares before it swaps, so the tag is read right
//! before each try and once after the last; an answer that got lost is decided by what is there then. That is a check, not a lock.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::errors::Refusal;
use super::http::{Ask, Failure};
use super::manifests::{ACCEPTED, push_scope};
use super::{Inner, Repo, retry};
use crate::model::{Digest, Problem, ProblemKind, Safe};
use crate::source::oci::LARGEST;

/// How one try ended.
pub(super) enum Tried {
    Done,
    /// The registry's answer.
    Refused(Refusal),
    /// Nothing is known of it: it may have been done.
    Unknown(Problem, Option<std::time::Duration>),
}

/// A manifest to be put under a tag.
pub(super) struct Put<'a> {
    pub repo: &'a Repo,
    pub tag: &'a str,
    pub media_type: &'a str,
    pub bytes: &'a Bytes,
    pub digest: &'a Digest,
    /// What the tag may hold before.
    pub before: Option<&'a Digest>,
}

/// The conflict of a tag that is not where it was seen.
pub(super) fn moved(doing: &str, tag: &str, now: Option<&Digest>) -> Problem {
    let cause = match now {
        Some(now) => format!("{tag} points at {} now", now.short()),
        None => format!("{tag} is gone"),
    };
    Problem::new(ProblemKind::Conflict, doing, cause).hint("look again: it moved since it was shown")
}

impl Inner {
    /// Points a tag at a manifest whose parts are there.
    pub(super) async fn put_tag(&self, put: &Put<'_>) -> Result<(), Problem> {
        let doing = format!("point {}:{} at {}", put.repo.full(), put.tag, put.digest.short());
        if put.bytes.len() as u64 > LARGEST {
            return Err(Problem::new(ProblemKind::Limit, doing, "the manifest is larger than 4 MiB"));
        }
        let kind = HeaderValue::from_str(put.media_type).map_err(|_not_a_header| {
            Problem::new(ProblemKind::Corrupt, &doing, format!("its media type is odd: {}", Safe::new(put.media_type)))
        })?;
        let mut tried = 1;
        loop {
            let now = self.digest_at(put.repo, put.tag).await?;
            if now.as_ref() == Some(put.digest) {
                return Ok(());
            }
            if now.as_ref() != put.before {
                return Err(moved(&doing, put.tag, now.as_ref()));
            }
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.clone());
            let ask = self.write(put.repo, Method::PUT, put.tag, headers, put.bytes.clone(), push_scope(put.repo), &doing)?;
            match self.once(&ask).await? {
                Tried::Done => break,
                Tried::Refused(refusal) => return Err(refusal.problem(&doing, put.repo.host())),
                Tried::Unknown(problem, wait) => self.pause(put.repo.host(), &mut tried, problem, wait).await?,
            }
        }
        match self.digest_at(put.repo, put.tag).await? {
            Some(now) if now == *put.digest => Ok(()),
            Some(now) => Err(moved(&doing, put.tag, Some(&now))),
            None => {
                let cause = format!("{} says that it is done, but does not serve it", put.repo.host());
                Err(Problem::new(ProblemKind::Corrupt, doing, cause))
            }
        }
    }

    pub(super) async fn digest_at(&self, repo: &Repo, target: &str) -> Result<Option<Digest>, Problem> {
        Ok(self.stat(repo, target).await?.map(|stat| stat.digest))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    pub(super) fn write<'a>(
        &self,
        repo: &'a Repo,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Bytes,
        scope: Vec<String>,
        doing: &str,
    ) -> Result<Ask<'a>, Problem> {
        super::manifests::checked(repo, target)?;
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let url = self.url(repo, &format!("manifests/{target}"))?;
        Ok(Ask { host: repo.host(), method, url, headers, body, scope, doing: doing.to_owned(), mirrored: false })
    }

    /// Sends once, apart from a token that ran out.
    pub(super) async fn once(&self, ask: &Ask<'_>) -> Result<Tried, Problem> {
        self.keep_quiet(ask.host).await;
        let reply = match self.attempt(ask).await {
            Ok(reply) => reply,
            Err(Failure::Final(problem)) => return Err(problem),
            Err(Failure::Again(problem, wait)) => return Ok(Tried::Unknown(problem, wait)),
        };
        let status = reply.status();
        if status.is_success() {
            return Ok(Tried::Done);
        }
        let wait = retry::asked(reply.headers(), (self.settings.now)());
        let refusal = Refusal::read(reply, self.timers()).await;
        if retry::is_transient(status) {
            // Debian's registry answers 500 with a reason for what it will never take.
            if status == StatusCode::INTERNAL_SERVER_ERROR && refusal.has("MANIFEST_BLOB_UNKNOWN") {
                return Ok(Tried::Refused(refusal));
            }
            return Ok(Tried::Unknown(refusal.problem(&ask.doing, ask.host), wait));
        }
        Ok(Tried::Refused(refusal))
    }
}
