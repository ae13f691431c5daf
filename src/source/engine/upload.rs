//! Sending an archive into a load request, with the last bytes held back until all of it was verified.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderValue, Method};
use tokio::sync::{mpsc, oneshot};

use super::EngineSource;
use super::client::{Ask, STALL};
use super::load::Bringing;
use super::progress::Told;
use super::session::Session;
use crate::layer::Walker;
use crate::model::{Problem, ProblemKind, StepState};
use crate::source::{Ctx, export};

const PIECE: usize = 256 << 10;
const IN_FLIGHT: usize = 16;
/// The least that is held back, and how far the end of a file is searched for its padding.
const HELD_BACK: u64 = 64 << 10;
const LONGEST_PADDING: u64 = 64 << 20;
/// How long the engine may work in silence on what it got.
const SILENT: Duration = Duration::from_secs(1800);

/// How an archive goes to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    AsItIs,
    Converted,
}

/// Whether engines of every age can load the file as it is: an uncompressed tar with a `manifest.json`.
pub(super) fn is_docker_archive(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let Ok(mut walker) = Walker::seeking(&file) else { return false };
    while let Ok(Some(entry)) = walker.next_entry() {
        if entry.path == b"manifest.json" || entry.path == b"./manifest.json" {
            return true;
        }
    }
    false
}

type Piece = io::Result<Bytes>;
type Why = Arc<Mutex<Option<Problem>>>;

/// Sends it, hears the engine out, and fails where the engine, the archive or the disk does.
pub(super) async fn send(
    source: &EngineSource,
    session: &Session,
    ctx: &Ctx,
    file: &Path,
    bringing: &Bringing,
    doing: &str,
) -> Result<(), Problem> {
    let (sender, receiver) = mpsc::channel::<Piece>(IN_FLIGHT);
    let why: Why = Arc::default();
    let step = ctx.meter.step("to the engine".into(), (bringing.form == Form::AsItIs).then_some(bringing.bytes));
    match bringing.form {
        Form::AsItIs => send_file(ctx, file, bringing, sender, &why, doing),
        Form::Converted => send_converted(ctx, bringing, sender, &why, doing),
    }
    let sent = Arc::new(AtomicU64::new(0));
    let (meter, counter) = (ctx.meter.clone(), Arc::clone(&sent));
    let pieces = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).inspect(move |piece| {
        if let Ok(bytes) = piece {
            meter.add(step, bytes.len() as u64);
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    });
    let mut ask =
        Ask { body: bollard::body_try_stream(pieces), head: SILENT * 48, ..Ask::new(Method::POST, "/images/load?quiet=0", doing) };
    ask.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    let outcome = listen(source, session, ctx, ask, &sent, doing).await;
    let ours = why.lock().unwrap_or_else(PoisonError::into_inner).take();
    ctx.meter.finish(step, if outcome.is_ok() && ours.is_none() { StepState::Done } else { StepState::Failed });
    match ours {
        Some(problem) => Err(problem),
        None => outcome,
    }
}

async fn listen(source: &EngineSource, session: &Session, ctx: &Ctx, ask: Ask<'_>, sent: &AtomicU64, doing: &str) -> Result<(), Problem> {
    let mut request = std::pin::pin!(source.client.send(Some(&session.api), ask));
    let (mut seen, mut waited) = (0, Duration::ZERO);
    let answer = loop {
        match tokio::time::timeout(STALL, &mut request).await {
            Ok(answer) => break answer.map_err(|failure| failure.into_problem(doing))?,
            Err(_elapsed) => {
                let now = sent.load(Ordering::Relaxed);
                waited = if now == seen { waited + STALL } else { Duration::ZERO };
                seen = now;
                if waited >= SILENT {
                    return Err(source.client.silent(doing, waited));
                }
            }
        }
    };
    ctx.meter.phase("the engine unpacks");
    let mut told = Told::default();
    let mut lines = std::pin::pin!(source.client.lines(answer, SILENT, doing));
    while let Some(line) = lines.next().await {
        told.take(&line?, &ctx.meter);
    }
    match told.failure {
        Some(words) => Err(Problem::new(ProblemKind::Other, doing, format!("the engine refuses it: {words}"))),
        None => Ok(()),
    }
}

/// Two threads: one verifies the archive, one sends it up to a point before its end, and the rest when the first found all well.
fn send_file(ctx: &Ctx, file: &Path, bringing: &Bringing, sender: mpsc::Sender<Piece>, why: &Why, doing: &str) {
    let (verdict, well) = oneshot::channel();
    let (content, images) = (Arc::clone(&bringing.content), bringing.images.clone());
    let (words, ctx_check, why_check) = (doing.to_owned(), ctx.clone(), Arc::clone(why));
    tokio::task::spawn_blocking(move || {
        let checked = export::check_images(&*content, &images, &ctx_check, &words);
        let good = checked.is_ok();
        if let Err(problem) = checked {
            why_check.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
        }
        // Nobody waits any more when the import was cancelled.
        let _ = verdict.send(good);
    });
    let (path, why, doing) = (file.to_owned(), Arc::clone(why), doing.to_owned());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = pour(&path, &sender, well) {
            // When the engine hung up first, it has the better reason.
            if error.kind() != io::ErrorKind::BrokenPipe {
                why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Problem::disk(&doing, &path, &error));
            }
            let _ = sender.blocking_send(Err(io::Error::other("the archive is refused")));
        }
    });
}

fn pour(path: &Path, sender: &mpsc::Sender<Piece>, well: oneshot::Receiver<bool>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    let length = before.len();
    let hold = held_from(&mut file, length)?;
    file.seek(SeekFrom::Start(0))?;
    copy(&mut file, sender, hold)?;
    if !well.blocking_recv().unwrap_or(false) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not verified"));
    }
    if !same(&before, &std::fs::metadata(path)?) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file changed while it was read"));
    }
    copy(&mut file, sender, length - hold)
}

/// Where to stop and wait: at least 64 KiB before the end, and before the last byte that isn't padding, because a tar is complete for
/// its reader once the padding begins.
fn held_from(file: &mut File, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut end = length;
    while end > 0 && length - end < LONGEST_PADDING {
        let start = end.saturating_sub(buffer.len() as u64);
        let size = usize::try_from(end - start).unwrap_or(buffer.len());
        let part = buffer.get_mut(..size).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|&byte| byte != 0) {
            return Ok((start + last as u64).min(length.saturating_sub(HELD_BACK)));
        }
        end = start;
    }
    Ok(0)
}

fn same(one: &Metadata, two: &Metadata) -> bool {
    let identity = |meta: &Metadata| {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            (meta.dev(), meta.ino())
        }
        #[cfg(not(unix))]
        (0_u64, 0_u64)
    };
    one.len() == two.len() && identity(one) == identity(two) && one.modified().ok() == two.modified().ok()
}

fn copy(file: &mut File, sender: &mpsc::Sender<Piece>, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::zeroed(size);
        file.read_exact(&mut piece)?;
        sender.blocking_send(Ok(piece.freeze())).map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
        left -= size as u64;
    }
    Ok(())
}

/// Verifies first, since a docker-archive must say each layer's size before its bytes; then sends, verifying again on the way.
fn send_converted(ctx: &Ctx, bringing: &Bringing, sender: mpsc::Sender<Piece>, why: &Why, doing: &str) {
    let (content, images) = (Arc::clone(&bringing.content), bringing.images.clone());
    let (ctx, why, doing) = (ctx.clone(), Arc::clone(why), doing.to_owned());
    tokio::task::spawn_blocking(move || {
        let failed = |error: io::Error| Problem::new(ProblemKind::Unreachable, &doing, format!("the engine takes no more: {error}"));
        let mut pipe = Pipe { sender, piece: BytesMut::new() };
        let outcome = export::check_images(&*content, &images, &ctx, &doing).and_then(|checked| {
            ctx.meter.phase("sending");
            export::docker_stream(&*content, &images, &checked, &mut pipe, &failed, &ctx, &doing)
        });
        if let Err(problem) = outcome {
            // When the engine hung up first, it has the better reason.
            if !pipe.sender.is_closed() {
                why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
            }
            let _ = pipe.sender.blocking_send(Err(io::Error::other("the archive is refused")));
        }
    });
}

/// Writes into the request's body.
struct Pipe {
    sender: mpsc::Sender<Piece>,
    piece: BytesMut,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = self.piece.split().freeze();
        self.sender.blocking_send(Ok(piece)).map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
