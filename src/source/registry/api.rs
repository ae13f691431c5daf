//! What the server of a registry tells beyond the distribution specification, such as Harbor's own API: asked on the registry's own origin alone,
//! with its login as Basic, since its tokens are good for images only. Nothing that answers from elsewhere is taken.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::errors::Refusal;
use super::http::same_origin;
use super::{Client, body};
use crate::model::{Problem, ProblemKind};

/// A question to a registry's server.
#[derive(Debug, Clone, Copy)]
pub struct OwnAsk<'a> {
    /// As in a reference.
    pub host: &'a str,
    /// `POST` without a body; else `GET`.
    pub is_post: bool,
    /// Parts of the path, each encoded here whatever is in it.
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub headers: &'a [(&'static str, &'static str)],
    /// Most bytes of an answer.
    pub most: usize,
    /// For problems.
    pub doing: &'a str,
}

/// What it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnAnswer {
    /// With success.
    Body(Bytes),
    /// It has nothing like that.
    NotFound,
}

impl Client {
    /// Asks once: whoever asks again is somebody at a screen.
    ///
    /// # Errors
    /// What the server answered; an answer from elsewhere, or longer than it may be.
    pub async fn ask_own(&self, ask: &OwnAsk<'_>) -> Result<OwnAnswer, Problem> {
        let inner = &*self.0;
        let doing = ask.doing;
        let mut url = inner.base(ask.host)?;
        match url.path_segments_mut() {
            Ok(mut path) => drop(path.clear().extend(ask.path)),
            Err(()) => return Err(Problem::new(ProblemKind::Usage, doing, "that host has no paths")),
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in ask.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        inner.keep_quiet(ask.host).await;
        let login = inner.auth.basic(ask.host).await?;
        let method = if ask.is_post { Method::POST } else { Method::GET };
        let reply = inner.follow(ask.host, &method, &url, &headers, Bytes::new(), login.as_ref(), doing).await;
        let reply = reply.map_err(super::http::Failure::problem)?;
        if !same_origin(reply.url(), &url) {
            return Err(Problem::new(ProblemKind::Denied, doing, format!("{} answers from another place", ask.host)));
        }
        match reply.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(OwnAnswer::NotFound),
            _ => return Err(Refusal::read(reply, inner.timers()).await.problem(doing, ask.host)),
        }
        match body::whole(reply, ask.most, inner.timers()).await {
            Ok(bytes) => Ok(OwnAnswer::Body(bytes)),
            Err(body::Broken::TooLong) => Err(Problem::new(ProblemKind::Limit, doing, "the answer is longer than it may be")),
            Err(broken) => Err(Problem::new(ProblemKind::Unreachable, doing, broken.words(inner.timers()))),
        }
    }
}
