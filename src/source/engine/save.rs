//! The bytes of a save, as the engine sends them: a docker-archive, to be verified by whoever writes it down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::EngineSource;
use super::change::held;
use super::client::STALL;
use super::inspect::name;
use crate::model::{ImageKey, Problem, ProblemKind, Transfer};
use crate::source::export::from_save;
use crate::source::{Ctx, ExportTo};

/// Until the first byte. dockerd before 25 first writes the whole archive to its own disk.
const HEAD: Duration = Duration::from_secs(3600);
/// How much of the end of a save is kept, for an error that the engine writes there.
const TAIL: usize = 4096;

/// Asks the engine for images in one archive. The stream ends with a problem when the connection breaks or stands still; it can also end
/// early without one, or with an error written into the archive, so its bytes are worth nothing until they were verified.
pub(super) async fn save_stream(
    source: &EngineSource,
    keys: &[ImageKey],
    doing: &str,
) -> Result<BoxStream<'static, Result<Bytes, Problem>>, Problem> {
    let session = source.session(doing).await?;
    let names: Vec<String> = keys.iter().map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = session.docker.clone().with_timeout(HEAD).export_images(&names).boxed();
    let (client, doing) = (source.client.clone(), doing.to_owned());
    Ok(stream::unfold((Some(bytes), true), move |(bytes, first)| {
        let (client, doing) = (client.clone(), doing.clone());
        async move {
            let mut bytes = bytes?;
            let patience = if first { HEAD } else { STALL };
            match tokio::time::timeout(patience, bytes.next()).await {
                Err(_elapsed) => Some((Err(client.silent(&doing, patience)), (None, false))),
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), (Some(bytes), false))),
                Ok(Some(Err(error))) => {
                    let problem = super::session::failure(&client, error, &doing).into_problem(&doing);
                    Some((Err(problem), (None, false)))
                }
            }
        }
    })
    .boxed())
}

/// Saves into a file by way of the room for exports, which verifies every byte before the file gets its name.
pub(super) async fn export(source: &EngineSource, ctx: &Ctx, keys: &[ImageKey], to: &ExportTo, doing: &str) -> Result<Transfer, Problem> {
    if keys.is_empty() {
        return Err(Problem::new(ProblemKind::Usage, doing, "there is no image to export"));
    }
    let session = source.session(doing).await?;
    let mut expected = 0_u64;
    for key in keys {
        let held = held(source, &session, key, doing).await?;
        let held = held.ok_or_else(|| Problem::new(ProblemKind::NotFound, doing, format!("the engine has no image {key}")))?;
        expected = expected.saturating_add(held.size.unwrap_or(0));
    }
    ctx.meter.phase("waiting for the engine");
    let tail = Arc::new(Mutex::new(BytesMut::new()));
    let heard = Arc::clone(&tail);
    let stream = save_stream(source, keys, doing).await?.inspect(move |piece| {
        if let Ok(piece) = piece {
            let mut tail = heard.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(piece.get(piece.len().saturating_sub(TAIL)..).unwrap_or_default());
            let excess = tail.len().saturating_sub(TAIL);
            tail.advance(excess);
        }
    });
    let outcome = from_save(stream, keys, Some(expected).filter(|&bytes| bytes > 0), to, ctx).await;
    outcome.map_err(|problem| match last_words(&tail.lock().unwrap_or_else(PoisonError::into_inner)) {
        Some(words) if problem.kind == ProblemKind::Corrupt => {
            Problem::new(ProblemKind::Other, doing, format!("the engine failed while sending: {words}")).detail(problem.cause.as_str())
        }
        _ => problem,
    })
}

/// The engine's own words, when a stream ends with its error document.
fn last_words(tail: &[u8]) -> Option<String> {
    let starts = tail.iter().enumerate().filter(|(_, byte)| **byte == b'{').map(|(at, _)| at);
    starts.take(64).find_map(|start| {
        let said: serde_json::Value = serde_json::from_slice(tail.get(start..)?).ok()?;
        Some(said.get("message")?.as_str()?.to_owned())
    })
}
