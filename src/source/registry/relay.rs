//! A blob on its way from one registry to another: it is hashed as it passes and never touches the disk. Its last piece is held back until
//! the digest is right, so a registry is never given the whole of a wrong blob.

use bytes::Bytes;
use std::io;
use tokio::sync::mpsc;

use super::blobs::{Spill, Stream};
use super::upload::Fed;
use super::{Inner, Repo};
use crate::model::{Digest, Problem, ProblemKind};
use crate::source::content::Descriptor;
use crate::source::{Ctx, Meter};

/// Pieces that wait for the slower side.
const WAITING: usize = 2;

/// Where a blob is fetched from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relay<'a> {
    pub inner: &'a Inner,
    pub from: &'a Repo,
}

impl Relay<'_> {
    /// Fetches `blob` and hands its bytes on; a connection that breaks is taken up where it broke.
    pub(super) async fn pour(&self, ctx: &Ctx, blob: &Descriptor, out: mpsc::Sender<io::Result<Bytes>>) -> Result<(), Fed> {
        let (pieces, arriving) = mpsc::channel(WAITING);
        // What is fetched is counted when it is sent on.
        let unseen = Ctx { meter: Meter::default(), cancel: ctx.cancel.clone() };
        let fetching = async {
            let mut moved = 0;
            let mut stream = Stream::new(self.inner, &unseen, self.from, blob, pieces, &mut moved);
            stream.run().await.map(|()| stream.is_stitched())
        };
        let (fetched, passed) = futures_util::future::join(fetching, pass(arriving, &out, &blob.digest)).await;
        let Ok((digest, last)) = passed else { return Err(Fed::Unwanted) };
        let end = match fetched {
            Err(Spill::Final(problem)) => Fed::Problem(problem),
            Err(Spill::Again(problem)) => Fed::Again(problem),
            Ok(_) if digest == blob.digest => {
                return match last {
                    Some(last) => out.send(Ok(last)).await.map_err(|_gone| Fed::Unwanted),
                    None => Ok(()),
                };
            }
            Ok(stitched) => {
                let doing = format!("copy {} of {}", blob.digest.short(), self.from.full());
                let problem = Problem::new(ProblemKind::Corrupt, doing, format!("{} sent bytes of digest {digest}", self.from.host()));
                if stitched { Fed::Again(problem) } else { Fed::Problem(problem) }
            }
        };
        // Breaks the request off, so that what was sent of it is thrown away.
        let _ = out.send(Err(io::Error::other("the blob can't be fetched"))).await;
        Err(end)
    }
}

/// Hands on all pieces but the last, and hashes all.
async fn pass(
    mut arriving: mpsc::Receiver<Bytes>,
    out: &mpsc::Sender<io::Result<Bytes>>,
    like: &Digest,
) -> Result<(Digest, Option<Bytes>), ()> {
    let mut hasher = like.hasher();
    let mut held: Option<Bytes> = None;
    while let Some(piece) = arriving.recv().await {
        hasher.update(&piece);
        if let Some(before) = held.replace(piece) {
            out.send(Ok(before)).await.map_err(|_gone| ())?;
        }
    }
    Ok((hasher.finish(), held))
}
