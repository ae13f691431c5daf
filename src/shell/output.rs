//! The way out to the terminal: one thread that writes whole frames, so that a terminal that reads slowly, or not at all, never holds
//! up keys, signals or jobs. One frame is on its way at most; the next is drawn when it is out, from what the state is then.
//!
//! Whoever gives the terminal back writes after that thread, by [`write_last`], which cuts short the frame on its way.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// How the frame on its way fares.
static FRAME: (Mutex<Progress>, Condvar) = (Mutex::new(Progress { busy: false, pieces: 0, unwanted: false }), Condvar::new());

/// Bytes written at once: about what a terminal's line holds, so that a slow one shows progress.
const PIECE: usize = 4096;

struct Progress {
    /// A frame was sent on its way and is not out.
    busy: bool,
    /// Counts up with each piece the terminal took.
    pieces: u64,
    /// Somebody waits to write last: what is left of the frame is not to be written.
    unwanted: bool,
}

/// The writing thread as the loop sees it.
#[derive(Debug)]
pub(super) struct Output {
    frames: SyncSender<Vec<u8>>,
    written: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// The buffer of the last frame, for the next.
    spare: Vec<u8>,
    busy: bool,
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread, or no standard output.
    pub(super) fn start() -> io::Result<Self> {
        let terminal = rustix::io::dup(rustix::stdio::stdout())?;
        let (frames, work) = sync_channel::<Vec<u8>>(1);
        let (report, written) = mpsc::channel(1);
        std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
            while let Ok(frame) = work.recv() {
                let result = write_frame(terminal.as_fd(), &frame);
                note(|progress| progress.busy = false);
                let failed = result.is_err();
                if report.blocking_send(result.map(|()| frame)).is_err() || failed {
                    break;
                }
            }
        })?;
        Ok(Self { frames, written, spare: Vec::new(), busy: false })
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// An empty buffer to draw into.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        buffer
    }

    /// Sends a frame on its way. Only when none is.
    pub(super) fn send(&mut self, frame: Vec<u8>) {
        if frame.is_empty() {
            self.spare = frame;
        } else {
            // Before the thread can take it, so that nobody writes between.
            note(|progress| progress.busy = true);
            self.busy = self.frames.try_send(frame).is_ok();
            if !self.busy {
                note(|progress| progress.busy = false);
            }
        }
    }

    /// Waits until the frame on its way is out; for ever when there is none.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        if !self.busy {
            return std::future::pending().await;
        }
        let result = self.written.recv().await;
        self.busy = false;
        match result {
            Some(Ok(buffer)) => {
                self.spare = buffer;
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    }
}

fn lock() -> MutexGuard<'static, Progress> {
    FRAME.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(what: impl FnOnce(&mut Progress)) {
    what(&mut lock());
    FRAME.1.notify_all();
}

/// Writes a frame, or the beginning of it when somebody else has the last word meanwhile: the terminal is not ours then, and all of
/// it is drawn when it is again.
fn write_frame(terminal: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    for piece in frame.chunks(PIECE) {
        if lock().unwanted {
            break;
        }
        write_all(terminal, piece)?;
        note(|progress| progress.pieces = progress.pieces.wrapping_add(1));
    }
    Ok(())
}

/// Writes from outside the thread, after the piece on its way. Gives up when the terminal takes nothing for `patience`.
///
/// # Errors
/// `TimedOut`, or that the terminal is gone.
pub(super) fn write_last(bytes: &[u8], patience: Duration) -> io::Result<()> {
    let mut progress = lock();
    progress.unwanted = true;
    let mut stuck = false;
    while progress.busy && !stuck {
        let seen = progress.pieces;
        let still = |now: &mut Progress| now.busy && now.pieces == seen;
        let (woken, waited) = FRAME.1.wait_timeout_while(progress, patience, still).unwrap_or_else(PoisonError::into_inner);
        (progress, stuck) = (woken, waited.timed_out());
    }
    progress.unwanted = false;
    drop(progress);
    if stuck {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let terminal: OwnedFd = rustix::io::dup(rustix::stdio::stdout())?;
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    // A terminal that is ready takes one byte; whether it takes two is not known, and waiting for it could be for ever.
    for byte in bytes.chunks(1) {
        let ready = loop {
            match poll(&mut [PollFd::new(&terminal, PollFlags::OUT)], Some(&patience)) {
                Err(Errno::INTR) => {}
                ready => break ready?,
            }
        };
        if ready == 0 {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        write_all(terminal.as_fd(), byte)?;
    }
    Ok(())
}

fn write_all(terminal: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(terminal, bytes) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody who shares the terminal made it non-blocking.
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&terminal, PollFlags::OUT)], None)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
