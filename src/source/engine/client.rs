//! Talking to one engine: sends a request, bounds the answer in bytes and time, and turns every failure into a [`Problem`] with words
//! for it. Knows no verb.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use serde_json::Value;

use super::endpoint::{Endpoint, Host};
use super::transport::{self, Body, ConnectError, Http};
use crate::model::{Problem, ProblemKind};

/// How long an answer's head may take, and a body stand still, for requests that the engine answers from memory.
pub(super) const HEAD: Duration = Duration::from_secs(60);
pub(super) const STALL: Duration = Duration::from_secs(60);
/// Longest JSON answers: a list, and anything else. Ten thousand images are about 6 MB.
pub(super) const LONGEST_LIST: usize = 512 << 20;
pub(super) const LONGEST: usize = 32 << 20;
/// What to try when certificates don't fit.
const CERTIFICATES: &str = "check DOCKER_CERT_PATH or the context's certificates";
const LONGEST_ERROR: usize = 64 << 10;
const LONGEST_LINE: usize = 1 << 20;

/// What was asked of the engine, and how long it may think about it.
pub(super) struct Ask<'a> {
    pub method: Method,
    /// From the first slash, with the query; without the API version.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Body,
    pub head: Duration,
    /// For the problem: "list the images of …".
    pub doing: &'a str,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, path: impl Into<String>, doing: &'a str) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Either::Left(Full::new(Bytes::new())), head: HEAD, doing }
    }

    pub(super) fn get(path: impl Into<String>, doing: &'a str) -> Self {
        Self::new(Method::GET, path, doing)
    }
}

/// A request that didn't come to an answer of use.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine said no: status and its words.
    Said(StatusCode, String),
    Problem(Problem),
}

impl Failure {
    pub(super) fn into_problem(self, doing: &str) -> Problem {
        let (status, message) = match self {
            Self::Problem(problem) => return problem,
            Self::Said(status, message) => (status, message),
        };
        let kind = match status {
            StatusCode::NOT_FOUND => ProblemKind::NotFound,
            StatusCode::CONFLICT => ProblemKind::Conflict,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProblemKind::Denied,
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => ProblemKind::Unsupported,
            _ => ProblemKind::Other,
        };
        let message = if message.is_empty() { format!("the engine answered {}", status.as_u16()) } else { message };
        Problem::new(kind, doing, message).detail(format!("HTTP status {}", status.as_u16()))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The wire to one engine. Cheap; connects with each request.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: Http,
    /// Goes into the `Host` header.
    authority: String,
    /// The address, for problems.
    place: String,
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let authority = match &endpoint.host {
            Host::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Host::Tcp { host, port } => format!("{host}:{port}"),
            Host::Unix(_) | Host::Npipe(_) | Host::Ssh(_) => "docker".to_owned(),
        };
        Self { http: transport::http(endpoint.clone()), authority, place: endpoint.address() }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends it; the head of a successful answer, with its body still to come. `api` is the version to ask in, such as "1.41".
    pub(super) async fn send(&self, api: Option<&str>, ask: Ask<'_>) -> Result<http::Response<Incoming>, Failure> {
        let version = api.map(|api| format!("/v{api}")).unwrap_or_default();
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("http://{}{version}{}", self.authority, ask.path))
            .body(ask.body)
            .map_err(|error| Problem::new(ProblemKind::Usage, ask.doing, error.to_string()))?;
        *request.headers_mut() = ask.headers;
        request.headers_mut().insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("lighterman/", env!("CARGO_PKG_VERSION"))));
        let answer = tokio::time::timeout(ask.head, self.http.request(request)).await;
        let answer = answer.map_err(|_elapsed| self.silent(ask.doing, ask.head))?.map_err(|error| self.lost(ask.doing, &error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = self.collect(answer, LONGEST_ERROR, ask.doing).await?;
        let said = serde_json::from_slice::<Value>(&body).ok();
        let message = said.as_ref().and_then(|said| said.get("message").or_else(|| said.get("cause"))).and_then(Value::as_str);
        let message = message.map_or_else(|| String::from_utf8_lossy(&body).chars().take(300).collect(), str::to_owned);
        Err(Failure::Said(status, message.trim().to_owned()))
    }

    /// A whole answer of at most `longest` bytes.
    pub(super) async fn fetch(&self, api: Option<&str>, ask: Ask<'_>, longest: usize) -> Result<Vec<u8>, Failure> {
        let doing = ask.doing;
        let answer = self.send(api, ask).await?;
        Ok(self.collect(answer, longest, doing).await?)
    }

    async fn collect(&self, answer: http::Response<Incoming>, longest: usize, doing: &str) -> Result<Vec<u8>, Problem> {
        let expected = answer.headers().get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let mut bytes = Vec::with_capacity(expected.unwrap_or(0).min(longest).min(1 << 20));
        let mut body = self.body(answer, STALL, doing);
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if bytes.len() + piece.len() > longest {
                return Err(Problem::new(ProblemKind::Limit, doing, format!("the engine answers with more than {} MiB", longest >> 20)));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The bytes of an answer. It ends with a problem when the connection breaks or nothing comes for `stall`.
    pub(super) fn body(
        &self,
        answer: http::Response<Incoming>,
        stall: Duration,
        doing: &str,
    ) -> BoxStream<'static, Result<Bytes, Problem>> {
        let (client, doing) = (self.clone(), doing.to_owned());
        stream::unfold(Some(answer.into_body()), move |body| {
            let (client, doing) = (client.clone(), doing.clone());
            async move {
                let mut body = body?;
                loop {
                    match tokio::time::timeout(stall, body.frame()).await {
                        Err(_elapsed) => return Some((Err(client.silent(&doing, stall)), None)),
                        Ok(None) => return None,
                        Ok(Some(Err(error))) => return Some((Err(client.lost(&doing, &error)), None)),
                        Ok(Some(Ok(frame))) => {
                            if let Ok(bytes) = frame.into_data() {
                                return Some((Ok(bytes), Some(body)));
                            }
                        }
                    }
                }
            }
        })
        .boxed()
    }

    /// The lines of an answer that tells of progress; each a JSON document of at most 1 MiB.
    pub(super) fn lines(
        &self,
        answer: http::Response<Incoming>,
        stall: Duration,
        doing: &str,
    ) -> impl Stream<Item = Result<Bytes, Problem>> + Send + use<> {
        let body = self.body(answer, stall, doing);
        let doing = doing.to_owned();
        stream::unfold((body, BytesMut::new(), false), move |(mut body, mut rest, ended)| {
            let doing = doing.clone();
            async move {
                let mut searched = 0;
                loop {
                    if let Some(end) =
                        rest.get(searched..).and_then(|new| new.iter().position(|&byte| byte == b'\n')).map(|at| searched + at)
                    {
                        return Some((Ok(rest.split_to(end + 1).freeze()), (body, rest, ended)));
                    }
                    searched = rest.len();
                    if ended {
                        return (!rest.is_empty()).then(|| (Ok(rest.split().freeze()), (body, rest, true)));
                    }
                    match body.next().await {
                        Some(Ok(bytes)) if rest.len() + bytes.len() > LONGEST_LINE + (64 << 10) && !bytes.contains(&b'\n') => {
                            let problem = Problem::new(ProblemKind::Limit, &doing, "the engine answers with a line of more than 1 MiB");
                            return Some((Err(problem), (stream::empty().boxed(), BytesMut::new(), true)));
                        }
                        Some(Ok(bytes)) => rest.extend_from_slice(&bytes),
                        Some(Err(problem)) => return Some((Err(problem), (stream::empty().boxed(), BytesMut::new(), true))),
                        None => return (!rest.is_empty()).then(|| (Ok(rest.split().freeze()), (body, rest, true))),
                    }
                }
            }
        })
    }

    /// Nothing came for so long.
    pub(super) fn silent(&self, doing: &str, waited: Duration) -> Problem {
        Problem::new(
            ProblemKind::Unreachable,
            doing,
            format!("the engine at {} did not answer for {} seconds", self.place, waited.as_secs()),
        )
        .hint("it may be busy or hang: try again, or restart it")
    }

    /// The connection failed or broke.
    pub(super) fn lost(&self, doing: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
        let mut cause = Some(error);
        let mut garbage = false;
        while let Some(error) = cause {
            if let Some(connect) = error.downcast_ref::<ConnectError>() {
                return connect_problem(doing, connect);
            }
            // An io::Error hands out the source of what it wraps, not what it wraps.
            if let Some(connect) = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()?.downcast_ref::<ConnectError>())
            {
                return connect_problem(doing, connect);
            }
            // With TLS 1.3 an engine tells only after the handshake that it wants another certificate, or one at all.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()?.downcast_ref());
            if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref().or(wrapped) {
                let cause = format!("the engine at {} refused our certificate, or asks for one ({alert:?})", self.place);
                return Problem::new(ProblemKind::Denied, doing, cause).hint(CERTIFICATES);
            }
            garbage |= error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
            cause = error.source();
        }
        if garbage {
            return self.garbage(doing);
        }
        Problem::new(ProblemKind::Unreachable, doing, format!("the engine at {} closed the connection", self.place)).detail(chain(error))
    }

    /// What answers is no engine.
    pub(super) fn garbage(&self, doing: &str) -> Problem {
        Problem::new(ProblemKind::Corrupt, doing, format!("what answers at {} is neither Docker nor Podman", self.place))
            .hint("check the address")
    }
}

fn connect_problem(doing: &str, error: &ConnectError) -> Problem {
    let problem = |kind| Problem::new(kind, doing, error.to_string());
    match error {
        ConnectError::Absent(_) => problem(ProblemKind::Unreachable).hint("start the engine, or name another with --host"),
        ConnectError::Denied(_) => problem(ProblemKind::Denied)
            .hint("join the group that owns the socket (usually docker) and log in again, use sudo, or name another engine with --host"),
        ConnectError::NotASocket(_) => problem(ProblemKind::Usage).hint("name the engine's socket with --host"),
        ConnectError::Refused(_) => problem(ProblemKind::Unreachable).hint("the engine is not running: start it"),
        ConnectError::Timeout(..) | ConnectError::Other(..) => problem(ProblemKind::Unreachable),
        ConnectError::Tls(_) => problem(ProblemKind::Denied).hint(CERTIFICATES),
        ConnectError::Ssh(_) => problem(ProblemKind::Unreachable).hint("try it by hand; logging in must work without a question"),
    }
}

/// An error and what is behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
