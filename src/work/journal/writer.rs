//! Writes a run's file. Steps that run at the same time share one flush to the disk: whatever was handed over while the last one was under
//! way goes with the next.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::audit::Audit;
use super::entry::Entry;
use super::line;
use crate::model::{Problem, ProblemKind};

/// Entries that wait before their steps have to.
const WAITING: usize = 1024;
const DOING: &str = "write the journal";

struct Item {
    line: Vec<u8>,
    audit: Option<Vec<u8>>,
    /// Wants to know when it is on the disk.
    durable: Option<oneshot::Sender<Result<(), Problem>>>,
}

/// Hands entries to the thread that writes them. The thread ends with it.
#[derive(Debug)]
pub struct Writer {
    items: mpsc::Sender<Item>,
    broken: Arc<Mutex<Option<Problem>>>,
    thread: tokio::task::JoinHandle<()>,
}

impl Writer {
    /// For a file that ends at `length`.
    pub(super) fn new(file: File, path: PathBuf, length: u64, audit: Audit) -> Self {
        let (items, receiver) = mpsc::channel(WAITING);
        let broken = Arc::new(Mutex::new(None));
        let mut thread = Thread { file, path, length, audit, broken: Arc::clone(&broken), receiver };
        Self { items, broken, thread: tokio::task::spawn_blocking(move || thread.run()) }
    }

    /// Comes back when the entry is on the disk.
    ///
    /// # Errors
    /// The disk, now or before: then nothing more may be begun.
    pub async fn write(&self, entry: &Entry) -> Result<(), Problem> {
        let (sender, done) = oneshot::channel();
        self.send(entry, None, Some(sender)).await?;
        done.await.unwrap_or_else(|_| Err(self.broken()))
    }

    /// Hands an entry over, to be on the disk before the next one that is waited for. What was done must be told even where nobody can
    /// write it down: a failure is met by the next [`Writer::write`].
    pub async fn note(&self, entry: &Entry, audit: Option<Vec<u8>>) {
        let _ = self.send(entry, audit, None).await;
    }

    async fn send(
        &self,
        entry: &Entry,
        audit: Option<Vec<u8>>,
        durable: Option<oneshot::Sender<Result<(), Problem>>>,
    ) -> Result<(), Problem> {
        let line = line::write(entry).map_err(|error| Problem::new(ProblemKind::Other, DOING, error.to_string()))?;
        self.items.send(Item { line, audit, durable }).await.map_err(|_closed| self.broken())
    }

    fn broken(&self) -> Problem {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        broken.unwrap_or_else(|| Problem::new(ProblemKind::Other, DOING, "the writer ended"))
    }

    /// Writes what is left and ends.
    ///
    /// # Errors
    /// The disk, now or before.
    pub async fn close(self, last: &Entry) -> Result<(), Problem> {
        let written = self.write(last).await;
        drop(self.items);
        let _ = self.thread.await;
        written
    }
}

struct Thread {
    file: File,
    path: PathBuf,
    length: u64,
    audit: Audit,
    broken: Arc<Mutex<Option<Problem>>>,
    receiver: mpsc::Receiver<Item>,
}

impl Thread {
    fn run(&mut self) {
        while let Some(first) = self.receiver.blocking_recv() {
            let mut items = vec![first];
            while let Ok(more) = self.receiver.try_recv() {
                items.push(more);
            }
            let done = self.write(&items);
            if let Err(problem) = &done {
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem.clone());
            }
            for durable in items.into_iter().filter_map(|item| item.durable) {
                let _ = durable.send(done.clone());
            }
        }
    }

    fn write(&mut self, items: &[Item]) -> Result<(), Problem> {
        if let Some(problem) = self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(problem);
        }
        let bytes: Vec<u8> = items.iter().flat_map(|item| &item.line).copied().collect();
        let audit: Vec<u8> = items.iter().filter_map(|item| item.audit.as_deref()).flatten().copied().collect();
        let written = self
            .file
            .write_all(&bytes)
            .and_then(|()| if items.iter().any(|item| item.durable.is_some()) { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Not half a line in front of what may come later.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(unwritable(&Problem::disk(DOING, &self.path, &error)));
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.audit.append(&audit)
    }
}

/// Why nothing is done without a journal.
pub(super) fn unwritable(problem: &Problem) -> Problem {
    let cause = format!("{}; nothing is changed that can't be written down first", problem.cause);
    let new = Problem::new(problem.kind, problem.doing.as_str(), cause);
    match &problem.hint {
        Some(hint) => new.hint(hint.as_str()),
        None => new,
    }
}
