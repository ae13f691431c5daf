//! Takes in what an engine's save sends, byte by byte as it comes, on a blocking thread of its own.
//!
//! An engine answers "200 OK" before it knows that it can deliver: a later error is a broken body, or JSON where a tar header should
//! be. So the end of the stream says nothing, and only an archive read whole counts.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::saved;
use crate::model::{ImageKey, Problem, ProblemKind, Safe, StepState, Transfer};
use crate::source::sink::AtomicFile;
use crate::source::{Ctx, ExportTo};

/// Pieces in flight between the connection and the writing thread.
const IN_FLIGHT: usize = 64;
/// How much of a broken answer is looked through for the engine's own words.
const MOST_WORDS: usize = 64 * 1024;

enum Piece {
    Bytes(Bytes),
    /// The body ended as it should. A channel that closes without it was cut.
    End,
}

/// Writes a save stream as an archive: as it is for a docker-archive, turned into a layout in the same pass for an oci-archive. Every
/// layer is checked against its diff ID, every part that is named must be there, and so must every image of `wanted`. `expected` is
/// about how many bytes will come, for the progress.
///
/// # Errors
/// The stream's own problem, an archive that is not whole or not sound, the disk, or the caller's wish to stop. The target is then as
/// it was, and no temporary file is left.
pub async fn from_save<S>(stream: S, wanted: &[ImageKey], expected: Option<u64>, to: &ExportTo, ctx: &Ctx) -> Result<Transfer, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + Unpin,
{
    let doing = format!("export to {}", to.file.display());
    let (wanted, to, inner) = (wanted.to_vec(), to.clone(), ctx.clone());
    fed(stream, expected, ctx, &doing, move |incoming| saved::export(incoming, &wanted, &to, &inner)).await
}

/// Runs `work` on a blocking thread, on what the stream brings. It may stop before the end, and the stream is then left alone.
///
/// # Errors
/// The stream's own problem, that of `work`, or the caller's wish to stop.
pub(in crate::source) async fn fed<S, T>(
    mut stream: S,
    expected: Option<u64>,
    ctx: &Ctx,
    doing: &str,
    work: impl FnOnce(Incoming) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + Unpin,
    T: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let step = ctx.meter.step(Safe::from("from the engine"), expected.filter(|&bytes| bytes > 0));
    let incoming = Incoming::new(receiver, ctx.clone(), step);
    let worker = tokio::task::spawn_blocking(move || work(incoming));
    let fed = async {
        loop {
            let piece = tokio::select! {
                biased;
                () = ctx.cancel.cancelled() => return Err(Problem::cancelled(doing)),
                piece = stream.next() => piece,
            };
            let (piece, last) = match piece {
                Some(Ok(bytes)) => (Piece::Bytes(bytes), false),
                Some(Err(problem)) => return Err(problem),
                None => (Piece::End, true),
            };
            // The worker stops listening when it has all it needs, or found something wrong, which it then tells.
            if sender.send(piece).await.is_err() || last {
                return Ok(());
            }
        }
    }
    .await;
    drop(sender);
    let done = worker.await.unwrap_or_else(|error| Err(Problem::new(ProblemKind::Other, doing, error.to_string())));
    ctx.meter.finish(step, if fed.is_ok() && done.is_ok() { StepState::Done } else { StepState::Failed });
    fed.and(done)
}

/// The stream as a blocking reader, which also passes everything on to a file.
pub(in crate::source) struct Incoming {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    /// The last pieces, in case the engine said in them what went wrong.
    tail: VecDeque<Bytes>,
    tail_length: usize,
    ended: bool,
    pub(super) tee: Option<AtomicFile>,
    /// What went wrong on our side, in better words than an `io::Error` has.
    failed: Option<Problem>,
    ctx: Ctx,
    step: usize,
}

impl Incoming {
    fn new(receiver: mpsc::Receiver<Piece>, ctx: Ctx, step: usize) -> Self {
        Self { receiver, current: Bytes::new(), tail: VecDeque::new(), tail_length: 0, ended: false, tee: None, failed: None, ctx, step }
    }

    /// Why the archive is refused: what failed here, or what the engine said, or `otherwise`.
    pub(in crate::source) fn explain(&mut self, otherwise: Problem) -> Problem {
        if let Some(problem) = self.failed.take() {
            return problem;
        }
        self.tee = None;
        // What fails to be read on is no news.
        let _ = io::copy(&mut Read::by_ref(self).take(MOST_WORDS as u64), &mut io::sink());
        let words: Vec<u8> = self.tail.iter().flatten().copied().collect();
        match engine_words(words.get(words.len().saturating_sub(MOST_WORDS)..).unwrap_or_default()) {
            Some(said) => Problem::new(ProblemKind::Other, otherwise.doing.as_str(), format!("the engine failed while sending: {said}"))
                .detail(otherwise.cause.as_str()),
            None => otherwise.hint("the engine's answer broke off or is damaged; nothing was written"),
        }
    }

    fn remember(&mut self, bytes: &Bytes) {
        self.tail_length += bytes.len();
        self.tail.push_back(bytes.clone());
        while let Some(first) = self.tail.front().map(Bytes::len).filter(|first| self.tail_length - first >= MOST_WORDS) {
            self.tail_length -= first;
            self.tail.pop_front();
        }
    }

    /// Waits for the next piece; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(false);
            }
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(bytes)) => {
                    self.ctx.meter.add(self.step, bytes.len() as u64);
                    if let Some(tee) = &mut self.tee
                        && let Err(error) = tee.write_all(&bytes)
                    {
                        self.failed = Some(tee.problem(&error));
                        return Err(error);
                    }
                    self.remember(&bytes);
                    self.current = bytes;
                }
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the answer broke off")),
            }
        }
        Ok(true)
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill()? {
            return Ok(0);
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The engine's message, where JSON like `{"message":"…"}` ends the bytes.
fn engine_words(bytes: &[u8]) -> Option<Safe> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at);
    starts.rev().take(64).find_map(|start| {
        let value = serde_json::from_slice::<serde_json::Value>(bytes.get(start..)?).ok()?;
        let said = value.get("message").or_else(|| value.get("error")).or_else(|| value.get("cause"))?.as_str()?;
        Some(Safe::new(said))
    })
}
