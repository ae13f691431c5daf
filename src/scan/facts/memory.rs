//! Memory that all who look at layers at a time share: a large file is kept whole only while there is room for it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes that large files may take together.
const ALL: u64 = 64 << 20;

/// Room for large files.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<(Mutex<u64>, Condvar)>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new((Mutex::new(ALL), Condvar::new())))
    }
}

impl Memory {
    /// Largest file that is kept whole.
    pub(super) const MOST: u64 = ALL;

    /// Waits for room for so many bytes. Who has some must not ask for more, or nobody would go on.
    pub(super) fn take(&self, bytes: u64) -> Taken {
        let bytes = bytes.min(ALL);
        let (left, changed) = &*self.0;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left < bytes {
            left = changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= bytes;
        Taken { memory: self.clone(), bytes }
    }
}

/// Room that was taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    memory: Memory,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (left, changed) = &*self.memory.0;
        *left.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_waits_for_it() {
        let memory = Memory::default();
        let first = memory.take(ALL - 10);
        let other = memory.clone();
        let waiting = std::thread::spawn(move || drop(other.take(ALL * 2)));
        let small = memory.take(10);
        drop((first, small));
        waiting.join().unwrap();
        assert_eq!(*memory.0.0.lock().unwrap(), ALL);
    }
}
