//! The way out to the terminal: one thread that writes whole frames, so that a terminal that reads slowly, or not at all, never holds
//! up keys, signals or jobs. One frame is on its way at most; the next is drawn when it is out, from what the state is then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// Whether a frame is being written, for whoever must write after it.
static WRITING: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

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
                set_writing(true);
                let result = write_all(terminal.as_fd(), &frame);
                set_writing(false);
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
            self.busy = self.frames.try_send(frame).is_ok();
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

fn set_writing(now: bool) {
    *WRITING.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    WRITING.1.notify_all();
}

/// Writes from outside the thread, after the frame on its way. Gives up when the terminal takes nothing for `patience`.
pub(super) fn write_last(bytes: &[u8], patience: Duration) -> io::Result<()> {
    let (writing, changed) = &WRITING;
    let guard = writing.lock().unwrap_or_else(PoisonError::into_inner);
    let (guard, _) = changed.wait_timeout_while(guard, patience, |writing| *writing).unwrap_or_else(PoisonError::into_inner);
    if *guard {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    drop(guard);
    let terminal: OwnedFd = rustix::io::dup(rustix::stdio::stdout())?;
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut ready = [PollFd::new(&terminal, PollFlags::OUT)];
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    write_all(terminal.as_fd(), bytes)
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
