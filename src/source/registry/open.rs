//! Layers straight out of a registry: each one's blob is streamed to whoever takes it, and touches no disk. A connection that breaks is taken up
//! where it broke, as for every blob; only bytes that were put together wrongly are fetched once more, from the start.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};
use tokio::sync::mpsc;

use super::blobs::{Spill, Stream};
use super::{Client, Repo};
use crate::layer::Digests;
use crate::model::{Image, LayerInfo, Name, Problem, ProblemKind, Safe, StepState};
use crate::source::Ctx;
use crate::source::content::{Descriptor, read_problem};
use crate::source::opened::{self, Opened, Taker, Ticket, Tickets};

/// Pieces between the connection and the reading thread.
const IN_FLIGHT: usize = 8;

/// Where the layers of an image are.
#[derive(Clone)]
struct Opening {
    client: Client,
    ctx: Ctx,
    repo: Repo,
    image: Arc<Image>,
    taker: Arc<dyn Taker>,
    tickets: Arc<Tickets>,
}

impl Client {
    /// Opens layers of an image that was inspected in its repository; several at a time, as many as may be transferred from that host.
    ///
    /// # Errors
    /// An image that is of no repository. What is wrong with a layer is settled with the taker.
    pub(super) async fn open_layers(&self, ctx: &Ctx, image: &Image, places: &[usize], taker: Arc<dyn Taker>) -> Result<(), Problem> {
        let repo = repository(image)?;
        let at_once = self.0.host(repo.host()).transfers.max(1);
        let wanted = opened::wanted(image, places, &*taker);
        let opening =
            Opening { client: self.clone(), ctx: ctx.clone(), repo, image: Arc::new(image.clone()), taker, tickets: Arc::default() };
        let opening = &opening;
        let opened = stream::iter(wanted).map(|same| async move {
            let (ticket, found) = match opening.layer(&same.info).await {
                Ok((ticket, found)) => (Some(ticket), found),
                Err(problem) => (None, Err(problem)),
            };
            opening.ctx.check("open a layer")?;
            same.settle(&*opening.taker, ticket, &found);
            Ok(())
        });
        opened.buffer_unordered(at_once).try_collect().await
    }
}

/// The repository that an image was read from: its first digest names it.
pub(super) fn repository(image: &Image) -> Result<Repo, Problem> {
    let none = || Problem::new(ProblemKind::Usage, "open the layers of an image", "it was not read from a repository");
    Repo::of(&image.repo_digests.first().map(Name::reference).ok_or_else(none)??)
}

impl Opening {
    /// Fetches one layer, at most twice.
    async fn layer(&self, info: &LayerInfo) -> Result<(Ticket, Result<Digests, Problem>), Problem> {
        let doing = format!("read layer {} of {}", info.index, self.repo.full());
        let blob = opened::blob(info, &doing)?;
        let step = self.ctx.meter.step(Safe::new(blob.digest.short()), Some(blob.size));
        let mut fresh = false;
        let (ticket, found) = loop {
            let ticket = self.tickets.next();
            match self.once(info, &blob, step, ticket, &doing).await {
                Err(Spill::Again(_)) if !fresh => {
                    self.taker.forget(ticket);
                    self.ctx.meter.edit(step, |step| step.done = 0);
                    fresh = true;
                }
                Err(Spill::Final(problem) | Spill::Again(problem)) => break (ticket, Err(problem)),
                Ok(found) => break (ticket, Ok(found)),
            }
        };
        self.ctx.meter.finish(step, if found.is_ok() { StepState::Done } else { StepState::Failed });
        Ok((ticket, found))
    }

    async fn once(&self, info: &LayerInfo, blob: &Descriptor, step: usize, ticket: Ticket, doing: &str) -> Result<Digests, Spill> {
        let (pieces, receiver) = mpsc::channel(IN_FLIGHT);
        let mut arriving = Arriving { receiver, current: Bytes::new(), left: blob.size, broken: false };
        let (taker, image, info) = (Arc::clone(&self.taker), Arc::clone(&self.image), info.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let taken = taker.take(Opened::new(ticket, Some(&info), &image, &mut arriving));
            (taken, arriving.broken, info)
        });
        let mut moved = 0;
        let mut stream = Stream::new(&self.client.0, &self.ctx, &self.repo, blob, pieces, &mut moved).counting(step);
        let streamed = stream.run().await;
        let stitched = stream.is_stitched();
        drop(stream);
        let lost = |error: tokio::task::JoinError| Spill::Final(Problem::new(ProblemKind::Other, doing, error.to_string()));
        let (taken, broken, info) = reading.await.map_err(lost)?;
        match (taken, streamed) {
            // The reader was left without bytes: why is known here.
            (Err(_), Err(spill)) if broken => Err(spill),
            (Err(error), _) if error.kind() == io::ErrorKind::InvalidData && stitched => {
                Err(Spill::Again(read_problem(doing, &blob.digest, &error)))
            }
            (Err(error), _) => Err(Spill::Final(read_problem(doing, &blob.digest, &error))),
            (Ok(found), _) => opened::verdict(&info, found, doing).map_err(if stitched { Spill::Again } else { Spill::Final }),
        }
    }
}

/// What arrives of a blob, as a blocking reader.
struct Arriving {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    /// Bytes still to come.
    left: u64,
    /// It ended before all had come.
    broken: bool,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            if self.left == 0 {
                return Ok(0);
            }
            let Some(piece) = self.receiver.blocking_recv() else {
                self.broken = true;
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the answer broke off"));
            };
            self.left = self.left.saturating_sub(piece.len() as u64);
            self.current = piece;
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
