//! Blobs: streamed, counted against their descriptor's size, then hashed against its digest.
//!
//! A connection that breaks is taken up again with one Range. Only a 206 whose Content-Range starts where the bytes end and ends at
//! the blob's size is appended; a 200 is read from its beginning and the known part passed over. Whatever was stitched is still
//! hashed as a whole, and starts over once when the digest is wrong. The same holds for what an earlier run left on the disk (`partial`).

use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;

use super::body::{Broken, Reader};
use super::errors::Refusal;
use super::http::Ask;
use super::manifests::pull_scope;
use super::partial::Landing;
use super::{Client, Inner, Repo};
use crate::model::{Digest, Hasher, Problem, ProblemKind};
use crate::source::content::Descriptor;
use crate::source::{Ctx, blocking};

/// Progress that earns a connection its full number of tries again.
const WORTH: u64 = 1 << 20;

/// A blob that was fetched and verified.
#[derive(Debug)]
pub struct Fetched<W> {
    /// What the bytes were written to, complete.
    pub out: W,
    /// Bytes that came over the network, repeats included.
    pub transferred: u64,
}

/// A blob that was brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Landed {
    /// Bytes that came over the network, repeats included.
    pub transferred: u64,
    /// Bytes that an earlier run had left.
    pub kept: u64,
}

/// How pouring a blob ended badly.
pub(super) enum Spill {
    /// Stitched or oddly ranged: worth one more time from the start.
    Again(Problem),
    Final(Problem),
}

/// What the writing thread found.
enum Sunk {
    Problem(Problem),
    Mismatch(Digest),
}

impl Client {
    /// Fetches a blob into what `make` opens; `make` and the writing run on a blocking thread. Progress goes to `step`.
    ///
    /// # Errors
    /// What the registry answered; bytes of another size or digest; a failure to write, as `make`'s writer gave it.
    pub async fn blob<W, M>(&self, ctx: &Ctx, repo: &Repo, blob: &Descriptor, step: usize, make: M) -> Result<Fetched<W>, Problem>
    where
        W: Write + Send + 'static,
        M: Fn() -> Result<W, Problem> + Clone + Send + 'static,
    {
        let mut transferred = 0;
        let begin = |make: M| {
            let digest = blob.digest.clone();
            move || Ok((make()?, digest.hasher()))
        };
        let reject = drop::<W>;
        match self.0.pour(ctx, repo, blob, step, Start { begin: begin(make.clone()), offset: 0, reject }, &mut transferred).await {
            Ok(out) => Ok(Fetched { out, transferred }),
            Err(Spill::Final(problem)) => Err(problem),
            Err(Spill::Again(_)) => {
                ctx.meter.edit(step, |step| step.done = 0);
                match self.0.pour(ctx, repo, blob, step, Start { begin: begin(make), offset: 0, reject }, &mut transferred).await {
                    Ok(out) => Ok(Fetched { out, transferred }),
                    Err(Spill::Final(problem) | Spill::Again(problem)) => Err(problem),
                }
            }
        }
    }

    /// Brings a blob to the disk as `target`, whose folder is there. What an earlier run left of it is not fetched again; what arrives is kept for a
    /// later run when this one is stopped. Progress goes to `step`.
    ///
    /// # Errors
    /// As [`Client::blob`].
    pub(crate) async fn land(&self, ctx: &Ctx, repo: &Repo, blob: &Descriptor, step: usize, target: &Path) -> Result<Landed, Problem> {
        let mut landed = Landed { transferred: 0, kept: 0 };
        let mut fresh = false;
        let landing = loop {
            let (landing, hasher, known) = self.start_landing(ctx, blob, target, fresh).await?;
            ctx.meter.edit(step, |step| step.done = known);
            landed.kept = known;
            let start = Start { begin: move || Ok((landing, hasher)), offset: known, reject: Landing::reject };
            match self.0.pour(ctx, repo, blob, step, start, &mut landed.transferred).await {
                Ok(landing) => break landing,
                Err(Spill::Again(_)) if !fresh => fresh = true,
                Err(Spill::Final(problem) | Spill::Again(problem)) => return Err(problem),
            }
        };
        blocking("store a blob", move || landing.commit()).await?;
        Ok(landed)
    }

    async fn start_landing(&self, ctx: &Ctx, blob: &Descriptor, target: &Path, fresh: bool) -> Result<(Landing, Hasher, u64), Problem> {
        let (client, ctx, blob, target) = (self.clone(), ctx.clone(), blob.clone(), target.to_owned());
        blocking("go on with a blob", move || {
            let settings = &client.0.settings;
            if let Some(partials) = &settings.partials
                && !client.0.swept.swap(true, Ordering::Relaxed)
            {
                partials.sweep((settings.now)());
            }
            Landing::open(&ctx, settings.partials.as_ref(), &blob, &target, fresh)
        })
        .await
    }

    /// A small blob such as a configuration, whole; at most `most` bytes.
    ///
    /// # Errors
    /// As [`Client::blob`], and a blob larger than `most`.
    pub async fn small_blob(&self, ctx: &Ctx, repo: &Repo, blob: &Descriptor, most: u64) -> Result<Bytes, Problem> {
        if blob.size > most {
            let cause = format!("it is said to have {} bytes; at most {most} are read", blob.size);
            return Err(Problem::new(ProblemKind::Limit, doing(repo, blob), cause));
        }
        let unseen = Ctx { meter: crate::source::Meter::default(), cancel: ctx.cancel.clone() };
        let fetched = self.blob(&unseen, repo, blob, 0, || Ok(Vec::new())).await?;
        Ok(fetched.out.into())
    }
}

fn doing(repo: &Repo, blob: &Descriptor) -> String {
    format!("fetch {} of {}", blob.digest.short(), repo.full())
}

/// How pouring begins.
struct Start<B, W> {
    /// Opens what is written to, on a blocking thread, and gives a hasher that has seen the first `offset` bytes.
    begin: B,
    offset: u64,
    /// Takes what turned out wrong.
    reject: fn(W),
}

impl Inner {
    async fn pour<W, B>(
        &self,
        ctx: &Ctx,
        repo: &Repo,
        blob: &Descriptor,
        step: usize,
        start: Start<B, W>,
        moved: &mut u64,
    ) -> Result<W, Spill>
    where
        W: Write + Send + 'static,
        B: FnOnce() -> Result<(W, Hasher), Problem> + Send + 'static,
    {
        let (pieces, arriving) = mpsc::channel(8);
        let (digest, words, offset) = (blob.digest.clone(), doing(repo, blob), start.offset);
        let writer = tokio::task::spawn_blocking(move || sink(arriving, start, &digest, &words));
        let mut stream = Stream { inner: self, ctx, repo, blob, step, pieces, offset, resumed: offset > 0, moved };
        // There is no range after the last byte.
        let streamed = if offset > 0 && offset == blob.size { Ok(()) } else { stream.run().await };
        let resumed = stream.resumed;
        drop(stream);
        let ended = writer.await.map_err(|error| Spill::Final(Problem::new(ProblemKind::Other, doing(repo, blob), error.to_string())))?;
        match (streamed, ended) {
            // The writer's own failure is the cause of a closed channel.
            (_, Err(Sunk::Problem(problem))) => Err(Spill::Final(problem)),
            (Err(spill), _) => Err(spill),
            (Ok(()), Ok(out)) => Ok(out),
            (Ok(()), Err(Sunk::Mismatch(found))) => {
                let cause = format!("{} sent bytes of digest {found}", repo.host());
                let problem = Problem::new(ProblemKind::Corrupt, doing(repo, blob), cause);
                Err(if resumed { Spill::Again(problem) } else { Spill::Final(problem) })
            }
        }
    }
}

/// The blocking end: writes and hashes until the channel closes.
fn sink<W, B>(mut arriving: mpsc::Receiver<Bytes>, start: Start<B, W>, digest: &Digest, doing: &str) -> Result<W, Sunk>
where
    W: Write,
    B: FnOnce() -> Result<(W, Hasher), Problem>,
{
    let (mut out, mut hasher) = (start.begin)().map_err(Sunk::Problem)?;
    while let Some(piece) = arriving.blocking_recv() {
        hasher.update(&piece);
        out.write_all(&piece).map_err(|error| Sunk::Problem(written(doing, &error)))?;
    }
    out.flush().map_err(|error| Sunk::Problem(written(doing, &error)))?;
    let found = hasher.finish();
    if found == *digest {
        return Ok(out);
    }
    (start.reject)(out);
    Err(Sunk::Mismatch(found))
}

fn written(doing: &str, error: &std::io::Error) -> Problem {
    let problem = Problem::new(ProblemKind::Disk, doing, format!("the bytes can't be written: {error}"));
    if error.kind() == std::io::ErrorKind::StorageFull { problem.hint("free some space on that file system") } else { problem }
}

/// One blob on its way.
pub(super) struct Stream<'a> {
    inner: &'a Inner,
    ctx: &'a Ctx,
    repo: &'a Repo,
    blob: &'a Descriptor,
    step: usize,
    pieces: mpsc::Sender<Bytes>,
    offset: u64,
    resumed: bool,
    moved: &'a mut u64,
}

impl<'a> Stream<'a> {
    /// For whoever hashes the pieces himself.
    pub(super) fn new(
        inner: &'a Inner,
        ctx: &'a Ctx,
        repo: &'a Repo,
        blob: &'a Descriptor,
        pieces: mpsc::Sender<Bytes>,
        moved: &'a mut u64,
    ) -> Self {
        Self { inner, ctx, repo, blob, step: 0, pieces, offset: 0, resumed: false, moved }
    }

    /// Tells the meter's `step` of the bytes.
    pub(super) const fn counting(mut self, step: usize) -> Self {
        self.step = step;
        self
    }

    /// Whether the bytes were put together from more than one answer.
    pub(super) const fn is_stitched(&self) -> bool {
        self.resumed
    }

    pub(super) async fn run(&mut self) -> Result<(), Spill> {
        let mut tried = 1;
        let mut began = 0;
        loop {
            let Some(problem) = self.once().await? else { return Ok(()) };
            if self.offset.saturating_sub(began) >= WORTH {
                tried = 1;
            }
            began = self.offset;
            self.resumed |= self.offset > 0;
            self.inner.pause(self.repo.host(), &mut tried, problem, None).await.map_err(Spill::Final)?;
        }
    }

    fn problem(&self, kind: ProblemKind, cause: impl AsRef<str>) -> Problem {
        Problem::new(kind, doing(self.repo, self.blob), cause)
    }

    /// One request and its body. `None` when all is there, a problem when the connection broke and may be taken up again.
    async fn once(&mut self) -> Result<Option<Problem>, Spill> {
        let reply = self.request().await?;
        let announced = length(reply.headers());
        let mut skip = 0;
        match reply.status() {
            StatusCode::PARTIAL_CONTENT if self.offset > 0 => {
                if range(reply.headers()) != Some((self.offset, self.blob.size.saturating_sub(1), self.blob.size)) {
                    let cause = format!("{} answered with another part than was asked for", self.repo.host());
                    return Err(Spill::Again(self.problem(ProblemKind::Corrupt, cause)));
                }
            }
            StatusCode::OK => skip = self.offset,
            // Its body may be announced longer than it is: not read.
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(Spill::Again(self.problem(ProblemKind::Corrupt, "the registry refuses to continue where it broke off")));
            }
            _ => {
                let refusal = Refusal::read(reply, self.inner.timers()).await;
                return Err(Spill::Final(refusal.problem(&doing(self.repo, self.blob), self.repo.host())));
            }
        }
        let expected = self.blob.size.saturating_sub(self.offset).saturating_add(skip);
        if let Some(announced) = announced.filter(|announced| *announced != expected) {
            let cause = format!("{} announces {announced} bytes where the manifest says {expected}", self.repo.host());
            return Err(Spill::Final(self.problem(ProblemKind::Corrupt, cause)));
        }
        self.read(Reader::new(reply, self.inner.timers()), skip).await
    }

    async fn request(&self) -> Result<reqwest::Response, Spill> {
        let url = self.inner.url(self.repo, &format!("blobs/{}", self.blob.digest)).map_err(Spill::Final)?;
        let mut headers = HeaderMap::new();
        if self.offset > 0
            && let Ok(value) = HeaderValue::from_str(&format!("bytes={}-", self.offset))
        {
            headers.insert(RANGE, value);
        }
        let ask = Ask {
            host: self.repo.host(),
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
            scope: pull_scope(self.repo),
            doing: doing(self.repo, self.blob),
            mirrored: true,
        };
        self.inner.send(&ask).await.map_err(Spill::Final)
    }

    async fn read(&mut self, mut reader: Reader, mut skip: u64) -> Result<Option<Problem>, Spill> {
        loop {
            let mut piece = match reader.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) if self.offset == self.blob.size => return Ok(None),
                Ok(None) => return Ok(Some(self.broken(&Broken::Cut(format!("{} of {} bytes came", self.offset, self.blob.size))))),
                // All is there: how the connection ends is of no interest.
                Err(_) if self.offset == self.blob.size && self.blob.size > 0 => return Ok(None),
                Err(broken) => return Ok(Some(self.broken(&broken))),
            };
            *self.moved = self.moved.saturating_add(piece.len() as u64);
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            piece.advance(known);
            skip = skip.saturating_sub(known as u64);
            let length = piece.len() as u64;
            if length > self.blob.size.saturating_sub(self.offset) {
                let cause = format!("{} sent more than the {} bytes the manifest says", self.repo.host(), self.blob.size);
                return Err(Spill::Final(self.problem(ProblemKind::Corrupt, cause)));
            }
            if length == 0 {
                continue;
            }
            self.offset = self.offset.saturating_add(length);
            self.ctx.meter.add(self.step, length);
            let piece = match self.pieces.try_send(piece) {
                Ok(()) => continue,
                Err(mpsc::error::TrySendError::Full(piece) | mpsc::error::TrySendError::Closed(piece)) => piece,
            };
            // The disk is the slower one: its time is not the registry's.
            if self.pieces.send(piece).await.is_err() {
                return Err(Spill::Final(self.problem(ProblemKind::Disk, "the bytes can't be written")));
            }
            reader.restart_clock();
        }
    }

    fn broken(&self, broken: &Broken) -> Problem {
        self.problem(ProblemKind::Unreachable, broken.words(self.inner.timers()))
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// `bytes FIRST-LAST/TOTAL`.
pub(super) fn range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (part, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((digits(first)?, digits(last)?, digits(total)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_content_range_counts() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_str(text).unwrap());
            range(&headers)
        };
        assert_eq!(read("bytes 10-97/98"), Some((10, 97, 98)));
        for bad in ["bytes 10-97/*", "bytes */98", "10-97/98", "bytes 10-/98", "bytes +1-2/3", "bytes 1-2", "bytes a-b/c", ""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
