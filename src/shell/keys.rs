//! Reads the terminal on a thread of its own, which sleeps in the kernel until there is something. It can be told to leave the terminal
//! alone, for the time that another program has it: two readers of one terminal would each get half of what is typed.

use std::io;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Events that wait before the terminal is read no further.
const WAITING: usize = 256;

/// What came from the terminal, and when it was read. The loop's own time would not do: drawing a frame between two keys of a paste makes
/// them look typed.
pub(super) type Read = io::Result<(Event, std::time::Instant)>;

/// The reader, as the loop has it.
#[derive(Debug)]
pub(super) struct Keys {
    events: mpsc::Receiver<Read>,
    wanted: watch::Sender<bool>,
    reads: watch::Receiver<bool>,
}

impl Keys {
    /// Begins to read. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system gave no thread.
    pub(super) fn new() -> io::Result<Self> {
        let (send, events) = mpsc::channel(WAITING);
        let (wanted, wants) = watch::channel(true);
        let (say, reads) = watch::channel(true);
        let runtime = Handle::current();
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&runtime, &send, wants, &say))?;
        Ok(Self { events, wanted, reads })
    }

    /// What was read; `None` when nothing will come any more.
    pub(super) async fn next(&mut self) -> Option<Read> {
        self.events.recv().await
    }

    /// What was read already.
    pub(super) fn waiting(&mut self) -> Option<Read> {
        self.events.try_recv().ok()
    }

    /// Stops reading: what is awaited ends once the terminal is left alone. What was typed ahead is forgotten, because it was typed for
    /// whoever gets the terminal now.
    pub(super) fn pause(&mut self) -> impl Future<Output = ()> + Send + use<> {
        self.wanted.send_replace(false);
        while self.waiting().is_some() {}
        let mut reads = self.reads.clone();
        async move {
            // The thread is gone only where there is no terminal either.
            let _ = reads.wait_for(|reads| !reads).await;
        }
    }

    /// Reads again. What the reader had in its hand when it was told to stop came after the others were forgotten, and is forgotten here.
    pub(super) fn resume(&mut self) {
        while self.waiting().is_some() {}
        self.wanted.send_replace(true);
    }
}

/// The thread. Each event carries the time at which it was read here.
fn read(runtime: &Handle, send: &mpsc::Sender<Read>, mut wants: watch::Receiver<bool>, say: &watch::Sender<bool>) {
    loop {
        if runtime.block_on(wants.wait_for(|wanted| *wanted)).is_err() {
            return;
        }
        say.send_replace(true);
        let mut stream = EventStream::new();
        loop {
            let event = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = wants.wait_for(|wanted| !wanted) => None,
                    event = stream.next() => event,
                }
            });
            let Some(event) = event else { break };
            #[expect(clippy::disallowed_methods, reason = "the shell has the clock")]
            let event = event.map(|event| (event, std::time::Instant::now()));
            let failed = event.is_err();
            if send.blocking_send(event).is_err() || failed {
                return;
            }
        }
        drop(stream);
        say.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;

    #[test]
    fn what_the_reader_had_in_its_hand_is_forgotten_too() {
        let (send, events) = mpsc::channel(WAITING);
        let (wanted, wants) = watch::channel(true);
        let (say, reads) = watch::channel(true);
        let mut keys = Keys { events, wanted, reads };
        #[expect(clippy::disallowed_methods, reason = "an event carries its time")]
        let typed = |key: char| send.try_send(Ok((Event::Key(KeyCode::Char(key).into()), std::time::Instant::now()))).unwrap();
        typed('a');
        let alone = keys.pause();
        assert!(keys.waiting().is_none() && !*wants.borrow());
        typed('b');
        say.send_replace(false);
        drop(alone);
        keys.resume();
        assert!(keys.waiting().is_none() && *wants.borrow());
        typed('c');
        assert!(keys.waiting().is_some());
    }
}
