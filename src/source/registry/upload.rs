//! Sending blobs: asked for first, mounted where the registry has them elsewhere, then sent in one piece, and in chunks where one
//! piece is refused.
//!
//! An upload session can't be trusted to survive anything (its URL carries the offset; a restarted registry forgets it), so every
//! failure on the way starts again from a new session. The registry's own digest check at the end is the commit.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, join};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use super::errors::Refusal;
use super::http::{Ask, Failure, redirect, same_origin};
use super::manifests::push_scope;
use super::relay::Relay;
use super::{Client, Inner, Repo, auth, challenge, retry};
use crate::model::{Problem, ProblemKind};
use crate::source::Ctx;
use crate::source::content::Descriptor;

/// A chunk, unless the registry wants larger ones.
const CHUNK: usize = 4 << 20;
/// The largest chunk a registry may demand.
const LARGEST_CHUNK: usize = 64 << 20;
const PIECE: usize = 64 << 10;

/// Where a blob's bytes come from. Read again from the start for every try, on a blocking thread.
pub trait Feed: Send + Sync {
    /// Writes the whole blob; a failing `out` means that nobody wants it any more.
    ///
    /// # Errors
    /// A blob that can't be read or is not what its digest says.
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem>;
}

/// A blob in memory.
pub(super) struct Small(pub(super) Vec<u8>);

impl Feed for Small {
    fn pour(&self, out: &mut dyn Write) -> Result<(), Problem> {
        out.write_all(&self.0).map_err(|error| Problem::new(ProblemKind::Other, "send a blob", error.to_string()))
    }
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    Sent,
}

/// How one way of sending ended.
enum Missed {
    /// Try again from a new session.
    Restart(Problem),
    /// Not as one piece; perhaps in chunks.
    Refused(Problem),
    Final(Problem),
}

impl Client {
    /// Whether the repository has the blob.
    ///
    /// # Errors
    /// What the registry answered, other than yes and no.
    pub async fn has_blob(&self, repo: &Repo, blob: &Descriptor) -> Result<bool, Problem> {
        self.0.has_blob(repo, blob).await
    }

    /// Sends a blob unless it is there. `known_in` is a repository of the same registry that has it. Progress goes to `step`.
    ///
    /// # Errors
    /// What the registry answered; `feed`'s own problem.
    pub async fn push_blob(
        &self,
        ctx: &Ctx,
        repo: &Repo,
        blob: &Descriptor,
        feed: Arc<dyn Feed>,
        known_in: Option<&Repo>,
        step: usize,
    ) -> Result<Uploaded, Problem> {
        let upload = Upload { inner: &self.0, ctx, repo, blob, from: From::Feed(feed), step };
        upload.run(known_in.filter(|from| from.host() == repo.host() && *from != repo)).await
    }

    /// Copies a blob from another repository, of this registry or another, unless it is there. Progress goes to `step`.
    ///
    /// # Errors
    /// What either registry answered; bytes of another size or digest.
    pub async fn copy_blob(&self, ctx: &Ctx, from: &Repo, to: &Repo, blob: &Descriptor, step: usize) -> Result<Uploaded, Problem> {
        let relay = From::Relay(Relay { inner: &self.0, from });
        let upload = Upload { inner: &self.0, ctx, repo: to, blob, from: relay, step };
        upload.run(Some(from).filter(|from| from.host() == to.host() && *from != to)).await
    }
}

impl Inner {
    pub(super) async fn has_blob(&self, repo: &Repo, blob: &Descriptor) -> Result<bool, Problem> {
        let doing = format!("look for {} in {}", blob.digest.short(), repo.full());
        let ask = Ask {
            host: repo.host(),
            method: Method::HEAD,
            url: self.url(repo, &format!("blobs/{}", blob.digest))?,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scope: push_scope(repo),
            doing: doing.clone(),
            mirrored: false,
        };
        let reply = self.send(&ask).await?;
        match reply.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(Refusal::read(reply, &self.settings.timers).await.problem(&doing, repo.host())),
        }
    }
}

struct Upload<'a> {
    inner: &'a Inner,
    ctx: &'a Ctx,
    repo: &'a Repo,
    blob: &'a Descriptor,
    from: From<'a>,
    step: usize,
}

/// Where the bytes come from.
enum From<'a> {
    Feed(Arc<dyn Feed>),
    Relay(Relay<'a>),
}

impl Upload<'_> {
    fn doing(&self) -> String {
        format!("push {} to {}", self.blob.digest.short(), self.repo.full())
    }

    fn problem(&self, kind: ProblemKind, cause: impl AsRef<str>) -> Problem {
        Problem::new(kind, self.doing(), cause)
    }

    async fn run(&self, known_in: Option<&Repo>) -> Result<Uploaded, Problem> {
        if self.inner.has_blob(self.repo, self.blob).await? {
            return Ok(Uploaded::Present);
        }
        let mut session = match known_in {
            Some(from) => match self.mount(from).await? {
                Mount::Done => return Ok(Uploaded::Mounted),
                Mount::Session(session) => Some(session),
                Mount::Nothing => None,
            },
            None => None,
        };
        let mut tried = 1;
        let mut chunked = false;
        let mut renewed = false;
        loop {
            let opened = match session.take() {
                Some(session) => session,
                None => self.open().await?,
            };
            self.ctx.meter.edit(self.step, |step| step.done = 0);
            let sent = if chunked { self.chunks(opened).await } else { self.whole(opened, &mut renewed).await };
            match sent {
                Ok(()) => return Ok(Uploaded::Sent),
                Err(Missed::Final(problem)) => return Err(problem),
                Err(Missed::Refused(problem)) if chunked => return Err(problem),
                Err(Missed::Refused(_)) => chunked = true,
                Err(Missed::Restart(problem)) => self.inner.pause(self.repo.host(), &mut tried, problem, None).await?,
            }
        }
    }

    fn ask(&self, url: Url, scope: Vec<String>) -> Ask<'_> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ask { host: self.repo.host(), method: Method::POST, url, headers, body: Bytes::new(), scope, doing: self.doing(), mirrored: false }
    }

    /// A new session.
    async fn open(&self) -> Result<Session, Problem> {
        let ask = self.ask(self.inner.url(self.repo, "blobs/uploads/")?, push_scope(self.repo));
        let reply = self.inner.send(&ask).await?;
        if reply.status() != StatusCode::ACCEPTED {
            return Err(Refusal::read(reply, &self.inner.settings.timers).await.problem(&self.doing(), self.repo.host()));
        }
        self.session(&reply)
    }

    fn session(&self, reply: &reqwest::Response) -> Result<Session, Problem> {
        let url = redirect(reply.url(), reply.headers()).map_err(|cause| self.problem(ProblemKind::Denied, cause))?;
        let least = reply.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        Ok(Session { url, chunk: least.unwrap_or(0).clamp(CHUNK, LARGEST_CHUNK) })
    }

    async fn mount(&self, from: &Repo) -> Result<Mount, Problem> {
        let mut url = self.inner.url(self.repo, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", self.blob.digest.as_str()).append_pair("from", from.name());
        let mut scope = push_scope(self.repo);
        scope.push(format!("repository:{}:pull", from.name()));
        let Ok(reply) = self.inner.send(&self.ask(url, scope)).await else { return Ok(Mount::Nothing) };
        match reply.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => self.session(&reply).map(Mount::Session),
            _ => Ok(Mount::Nothing),
        }
    }

    /// What to send to `url`: nothing off the registry's own origin.
    async fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, Problem> {
        let home = self.inner.base(self.repo.host())?;
        if !same_origin(&home, url) {
            return Ok(None);
        }
        Ok(self.inner.auth.cached(self.repo.host(), &push_scope(self.repo)).await)
    }

    /// The URL that ends the session.
    fn last(&self, session: &Session) -> Url {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", self.blob.digest.as_str());
        url
    }

    /// All bytes with one PUT.
    async fn whole(&self, session: Session, renewed: &mut bool) -> Result<(), Missed> {
        let url = self.last(&session);
        let authorization = self.authorization(&url).await.map_err(Missed::Final)?;
        let reply = self.stream(&url, authorization.as_ref()).await?;
        match reply.status().as_u16() {
            201 => Ok(()),
            200 | 202 | 204 => self.look().await,
            401 if !*renewed && same_origin(&url, reply.url()) => {
                *renewed = true;
                let challenges = challenge::challenges(reply.headers());
                drop(reply);
                let scope = push_scope(self.repo);
                let fresh = self.inner.answer(self.repo.host(), &scope, &challenges, authorization.as_ref()).await;
                match fresh {
                    Ok(_) => Err(Missed::Restart(self.problem(ProblemKind::Denied, "the token ran out"))),
                    Err(failure) => Err(Missed::Final(failure.problem())),
                }
            }
            _ => Err(self.refused(reply).await),
        }
    }

    async fn refused(&self, reply: reqwest::Response) -> Missed {
        let refusal = Refusal::read(reply, &self.inner.settings.timers).await;
        let problem = refusal.problem(&self.doing(), self.repo.host());
        match refusal.status.as_u16() {
            // A lost session.
            404 => Missed::Restart(problem),
            _ if retry::is_transient(refusal.status) => Missed::Restart(problem),
            401 | 403 => Missed::Final(problem),
            _ if refusal.has("DIGEST_INVALID") || refusal.has("DENIED") => Missed::Final(problem),
            _ => Missed::Refused(problem),
        }
    }

    /// Success in other words than the specification's is believed only when the blob is there.
    async fn look(&self) -> Result<(), Missed> {
        match self.inner.has_blob(self.repo, self.blob).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Missed::Refused(self.problem(ProblemKind::Corrupt, "the registry claims to have it, but does not"))),
            Err(problem) => Err(Missed::Final(problem)),
        }
    }

    /// The PUT itself: bytes from a blocking thread, watched for standing still.
    async fn stream(&self, url: &Url, authorization: Option<&HeaderValue>) -> Result<reqwest::Response, Missed> {
        let moved = Arc::new(AtomicU64::new(0));
        let (feeding, mut pieces) = self.start_feed();
        let (meter, step, counted) = (self.ctx.meter.clone(), self.step, Arc::clone(&moved));
        let body = futures_util::stream::poll_fn(move |cx| {
            pieces.poll_recv(cx).map(|piece| {
                if let Some(Ok(piece)) = &piece {
                    counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    meter.add(step, piece.len() as u64);
                }
                piece
            })
        });
        let request = self.inner.request(self.repo.host(), Method::PUT, url).map_err(Missed::Final)?;
        let mut request = request.body(reqwest::Body::wrap_stream(body));
        request = request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, self.blob.size);
        if let Some(authorization) = authorization {
            request = request.header(auth::HEADER, authorization.clone());
        }
        // The channel's other end goes with the request, and then the feeding ends too.
        let (answer, fed) = join(self.watched(request.send(), &moved), feeding).await;
        match answer {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) if let Err(Fed::Problem(problem)) = fed => Err(Missed::Final(problem)),
            Ok(Err(_)) if let Err(Fed::Again(problem)) = fed => Err(Missed::Restart(problem)),
            Ok(Err(error)) => match self.inner.broken(error, url, &self.doing()) {
                Failure::Again(problem, _) => Err(Missed::Restart(problem)),
                Failure::Final(problem) => Err(Missed::Final(problem)),
            },
            Err(problem) => Err(Missed::Restart(problem)),
        }
    }

    /// Waits for an answer as long as bytes move, and after the last one as long as a header may take.
    async fn watched<T>(&self, sending: impl Future<Output = T>, moved: &AtomicU64) -> Result<T, Problem> {
        let timers = &self.inner.settings.timers;
        let mut sending = std::pin::pin!(sending);
        let mut before = 0;
        loop {
            if before >= self.blob.size {
                return tokio::time::timeout(timers.header, sending).await.map_err(|_elapsed| {
                    let cause = format!("no answer within {} s after the last byte", timers.header.as_secs_f32());
                    self.problem(ProblemKind::Unreachable, cause)
                });
            }
            if let Ok(answer) = tokio::time::timeout(timers.no_progress, &mut sending).await {
                return Ok(answer);
            }
            let now = moved.load(Ordering::Relaxed);
            if now.saturating_sub(before) < timers.least && now < self.blob.size {
                let cause = format!("nothing moved for {} s", timers.no_progress.as_secs_f32());
                return Err(self.problem(ProblemKind::Unreachable, cause));
            }
            before = now;
        }
    }

    /// Starts handing out the bytes; nothing comes unless the future is polled too.
    fn start_feed(&self) -> (BoxFuture<'_, Result<(), Fed>>, mpsc::Receiver<io::Result<Bytes>>) {
        let (sender, pieces) = mpsc::channel(4);
        let feed = match &self.from {
            From::Feed(feed) => Arc::clone(feed),
            From::Relay(relay) => return (Box::pin(relay.pour(self.ctx, self.blob, sender)), pieces),
        };
        let thread = tokio::task::spawn_blocking(move || {
            let mut out = Pipe { sender, buffer: BytesMut::with_capacity(PIECE), closed: false };
            let poured = feed
                .pour(&mut out)
                .and_then(|()| out.flush().map_err(|error| Problem::new(ProblemKind::Other, "send a blob", error.to_string())));
            match poured {
                Ok(()) => Ok(()),
                Err(_) if out.closed => Err(Fed::Unwanted),
                Err(problem) => {
                    // Breaks the request off, so that a half blob is never taken for a whole.
                    let _ = out.sender.blocking_send(Err(io::Error::other("the blob can't be read")));
                    Err(Fed::Problem(problem))
                }
            }
        });
        let ended =
            async move { thread.await.unwrap_or_else(|error| Err(Fed::Problem(self.problem(ProblemKind::Other, error.to_string())))) };
        (Box::pin(ended), pieces)
    }

    /// Bytes in chunks with PATCH, and a PUT that ends the session.
    async fn chunks(&self, session: Session) -> Result<(), Missed> {
        let (feeding, pieces) = self.start_feed();
        let (sent, fed) = join(self.send_chunks(session, pieces), feeding).await;
        let session = match (sent, fed) {
            (_, Err(Fed::Problem(problem))) => return Err(Missed::Final(problem)),
            (_, Err(Fed::Again(problem))) => return Err(Missed::Restart(problem)),
            (Err(missed), _) => return Err(missed),
            (Ok(_), Err(Fed::Unwanted)) => {
                return Err(Missed::Final(self.problem(ProblemKind::Other, "the blob was not read to its end")));
            }
            (Ok(session), Ok(())) => session,
        };
        let reply = self.step(Method::PUT, &self.last(&session), HeaderMap::new(), Bytes::new()).await?;
        match reply.status().as_u16() {
            201 => Ok(()),
            200 | 202 | 204 => self.look().await,
            _ => Err(self.refused(reply).await),
        }
    }

    async fn send_chunks(&self, mut session: Session, mut pieces: mpsc::Receiver<io::Result<Bytes>>) -> Result<Session, Missed> {
        let mut offset = 0_u64;
        let mut chunk = BytesMut::new();
        loop {
            let piece = pieces.recv().await;
            let last = piece.is_none();
            match piece {
                Some(Ok(piece)) => chunk.extend_from_slice(&piece),
                // Whoever fed it says why.
                Some(Err(_)) => return Ok(session),
                None => {}
            }
            if chunk.len() >= session.chunk || (last && !chunk.is_empty()) {
                let bytes = chunk.split().freeze();
                let length = bytes.len() as u64;
                session = self.chunk(session, offset, bytes).await?;
                offset = offset.saturating_add(length);
                self.ctx.meter.add(self.step, length);
            }
            if last {
                return Ok(session);
            }
        }
    }

    async fn chunk(&self, session: Session, offset: u64, bytes: Bytes) -> Result<Session, Missed> {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        if let Ok(range) = HeaderValue::from_str(&format!("{offset}-{}", end.saturating_sub(1))) {
            headers.insert(CONTENT_RANGE, range);
        }
        let reply = self.step(Method::PATCH, &session.url, headers, bytes).await?;
        if reply.status() != StatusCode::ACCEPTED && reply.status() != StatusCode::NO_CONTENT {
            return Err(self.refused(reply).await);
        }
        // What the registry says it has is the truth.
        let has = reply.headers().get(RANGE).and_then(|value| value.to_str().ok()?.rsplit_once('-')?.1.parse::<u64>().ok());
        if has.is_some_and(|last| last.saturating_add(1) != end) {
            return Err(Missed::Restart(self.problem(ProblemKind::Corrupt, "the registry has other bytes of it than were sent")));
        }
        self.session(&reply).map(|next| Session { chunk: session.chunk, ..next }).map_err(Missed::Final)
    }

    /// One request within a session: never repeated, because its URL is good once only.
    async fn step(&self, method: Method, url: &Url, headers: HeaderMap, body: Bytes) -> Result<reqwest::Response, Missed> {
        let authorization = self.authorization(url).await.map_err(Missed::Final)?;
        let sent = self.inner.follow(self.repo.host(), &method, url, &headers, body, authorization.as_ref(), &self.doing()).await;
        sent.map_err(|failure| match failure {
            Failure::Again(problem, _) => Missed::Restart(problem),
            Failure::Final(problem) => Missed::Final(problem),
        })
    }
}

struct Session {
    url: Url,
    /// Bytes of one chunk.
    chunk: usize,
}

enum Mount {
    Done,
    /// Not mounted, but a session is open: it is used.
    Session(Session),
    Nothing,
}

/// How feeding ended.
pub(super) enum Fed {
    Unwanted,
    Problem(Problem),
    /// Put together from parts that don't fit: worth another time from the start.
    Again(Problem),
}

/// A writer whose bytes go to a channel in even pieces.
struct Pipe {
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    buffer: BytesMut,
    closed: bool,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.buffer.len()).min(bytes.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(PIECE)).freeze();
        self.sender.blocking_send(Ok(piece)).map_err(|_closed| {
            self.closed = true;
            io::Error::from(io::ErrorKind::BrokenPipe)
        })
    }
}
