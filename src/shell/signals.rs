//! What the system tells the process: end, stop, go on; and that the terminal is gone.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The exit code of a terminal that went away, as a shell gives it for SIGHUP.
pub(super) const HANGUP: u8 = 129;
/// Those of SIGINT and SIGQUIT, which a terminal sends for keys.
pub(super) const INTERRUPT: u8 = 130;
pub(super) const QUIT: u8 = 131;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// To end, with this exit code.
    End(u8),
    /// To stop until continued (SIGTSTP).
    Stop,
    /// That we were continued.
    Continue,
}

/// The signals that concern a full-screen program.
#[derive(Debug)]
pub(super) struct Signals {
    term: Signal,
    hup: Signal,
    int: Signal,
    quit: Signal,
    stop: Signal,
    cont: Signal,
    gone: Option<oneshot::Receiver<()>>,
}

impl Signals {
    /// Must be made inside a tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            gone: watch_terminal(),
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Told {
        let gone = async {
            match self.gone.as_mut() {
                Some(gone) => gone.await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(()) = self.term.recv() => Told::End(143),
            Some(()) = self.hup.recv() => Told::End(HANGUP),
            Some(()) = self.int.recv() => Told::End(INTERRUPT),
            Some(()) = self.quit.recv() => Told::End(QUIT),
            Some(()) = self.stop.recv() => Told::Stop,
            Some(()) = self.cont.recv() => Told::Continue,
            hung_up = gone => {
                self.gone = None;
                if hung_up { Told::End(HANGUP) } else { std::future::pending().await }
            }
        }
    }
}

/// Waits, on a thread that sleeps in the kernel, until the other end of the terminal is closed. The input library would not tell: it
/// goes on reading a closed terminal.
fn watch_terminal() -> Option<oneshot::Receiver<()>> {
    let terminal = rustix::io::dup(rustix::stdio::stdin()).ok()?;
    let (tell, gone) = oneshot::channel();
    let watch = move || {
        loop {
            let mut waited = [PollFd::new(&terminal, PollFlags::empty())];
            match poll(&mut waited, None) {
                Err(Errno::INTR) => {}
                Ok(_) if waited.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR)) => {
                    let _ = tell.send(());
                    return;
                }
                // A system that can't watch a terminal this way: SIGHUP and failing writes have to do.
                Ok(_) | Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("hangup".to_owned()).spawn(watch).ok()?;
    Some(gone)
}

/// Waits until the shell has made this job the one its terminal listens to. Touching the terminal before would stop the job again.
pub(super) async fn foreground() {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let ours = rustix::process::getpgid(None).ok();
        match rustix::termios::tcgetpgrp(rustix::stdio::stdin()) {
            Ok(theirs) if Some(theirs) != ours => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            _ => return,
        }
    }
}

/// Stops the whole job, as the shell's Ctrl-z does, and returns before or after it is continued: SIGCONT tells. `false` when there is no shell to continue it:
/// then nothing was stopped.
pub(super) fn stop_job() -> bool {
    use rustix::process::{Signal, getpgid, getppid, getsid, kill_current_process_group};
    let has_shell = || -> Option<bool> {
        let parent = getppid()?;
        Some(getsid(Some(parent)).ok()? == getsid(None).ok()? && getpgid(Some(parent)).ok()? != getpgid(None).ok()?)
    };
    has_shell() == Some(true) && kill_current_process_group(Signal::STOP).is_ok()
}
