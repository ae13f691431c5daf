//! Reading what a registry sends: never more than a bound, never standing still.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::Timers;
use super::errors::chain;

/// Why reading stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The connection ended, or the body is shorter than announced.
    Cut(String),
    /// Less than the least number of bytes in one window.
    Stalled,
    /// More than the bound.
    TooLong,
}

impl Broken {
    pub(super) fn words(&self, timers: &Timers) -> String {
        match self {
            Self::Cut(cause) => format!("the connection broke: {cause}"),
            Self::Stalled => format!("nothing moved for {} s", timers.no_progress.as_secs_f32()),
            Self::TooLong => "the answer is longer than it may be".to_owned(),
        }
    }
}

/// Reads a body piece by piece and notices when it stalls.
#[derive(Debug)]
pub(super) struct Reader {
    response: reqwest::Response,
    window: Duration,
    least: u64,
    ends: Instant,
    seen: u64,
}

impl Reader {
    pub(super) fn new(response: reqwest::Response, timers: &Timers) -> Self {
        let window = timers.no_progress;
        Self { response, window, least: timers.least, ends: Instant::now() + window, seen: 0 }
    }

    /// The next piece; `None` at the proper end. Slow trickle counts as standing still, unless the body ends in that window.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let Ok(piece) = tokio::time::timeout_at(self.ends, self.response.chunk()).await else {
            return Err(Broken::Stalled);
        };
        let piece = piece.map_err(|error| Broken::Cut(chain(&error.without_url())))?;
        if let Some(piece) = &piece {
            self.seen = self.seen.saturating_add(piece.len() as u64);
            if self.seen >= self.least {
                self.seen = 0;
                self.ends = Instant::now() + self.window;
            }
        }
        Ok(piece)
    }

    /// The time the consumer took is not the sender's.
    pub(super) fn restart_clock(&mut self) {
        self.ends = Instant::now() + self.window;
    }
}

/// The whole body, at most `most` bytes.
pub(super) async fn whole(response: reqwest::Response, most: usize, timers: &Timers) -> Result<Bytes, Broken> {
    if response.content_length().is_some_and(|announced| announced > most as u64) {
        return Err(Broken::TooLong);
    }
    let mut reader = Reader::new(response, timers);
    let mut all = BytesMut::new();
    while let Some(piece) = reader.next().await? {
        if all.len().saturating_add(piece.len()) > most {
            return Err(Broken::TooLong);
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// The first `most` bytes, for an error's text: whatever could be had.
pub(super) async fn beginning(response: reqwest::Response, most: usize, timers: &Timers) -> Bytes {
    let mut reader = Reader::new(response, timers);
    let mut all = BytesMut::new();
    while let Ok(Some(piece)) = reader.next().await {
        let room = most.saturating_sub(all.len());
        all.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        if all.len() >= most {
            break;
        }
    }
    all.freeze()
}
