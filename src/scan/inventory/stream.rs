//! Programs that are too large to be kept whole: what they say of the Go modules in them is found as they pass.
//!
//! May use model.

use std::sync::Arc;

use super::go;
use super::listed::{Listed, Room};
use super::passing::FileList;

/// Longest blob that is kept.
const LONGEST: usize = 2 << 20;
/// The name of the section in which a Rust program tells of its crates: where that is can't be told from its beginning.
const RUST: &[u8] = b".dep-v0\0";

/// A large program that goes by.
#[derive(Debug, Default)]
pub(in crate::scan) struct Stream {
    /// The last bytes, which may be the beginning of something; once it is found, the blob.
    kept: Vec<u8>,
    /// Where in the program `kept` begins.
    place: u64,
    is_found: bool,
    is_rust: bool,
}

impl Stream {
    pub(in crate::scan) fn push(&mut self, piece: &[u8]) {
        if self.is_found {
            let room = LONGEST.saturating_sub(self.kept.len()).min(piece.len());
            self.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
            return;
        }
        self.kept.extend_from_slice(piece);
        self.is_rust |= memchr::memmem::find(&self.kept, RUST).is_some();
        let (gone, is_found) = match go::find_inline(&self.kept, self.place) {
            Some(at) => (at, true),
            None => (self.kept.len().saturating_sub(go::HEAD - 1), false),
        };
        self.kept.drain(..gone);
        self.place += gone as u64;
        self.is_found = is_found;
    }

    /// What it lists; `None` where it says nothing.
    pub(in crate::scan) fn end(self, offset: u64, room: &Arc<Room>) -> Option<FileList> {
        let mut listed = Listed::within(room);
        let mut why_not = self.is_rust.then(|| "it is too large to look for the crates in it".to_owned());
        if self.is_found
            && let Err(why) = go::parse_blob(&self.kept, &mut listed)
        {
            why_not = Some(why.0.to_owned());
        }
        (self.is_found || self.is_rust).then_some(FileList { offset, packages: listed.packages, cut: listed.cut, why_not })
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::sample::go_info;
    use super::*;

    #[test]
    fn what_is_in_a_large_program_is_found_wherever_pieces_meet() {
        let blob = go_info("go1.22.1", "path\tx\nmod\tacme.test/app\tv1.0.0\th1:a=\n");
        let program = [vec![0x90; 4096], blob, vec![0; 3000]].concat();
        for size in [1, 7, 31, 32, 33, 1000, 4096, 9000] {
            let mut stream = Stream::default();
            program.chunks(size).for_each(|piece| stream.push(piece));
            let found = stream.end(512, &Arc::default()).unwrap();
            assert_eq!((found.offset, found.packages.len(), found.why_not), (512, 2, None), "{size}");
        }
        let mut stream = Stream::default();
        vec![0x90; 100_000].chunks(999).for_each(|piece| stream.push(piece));
        assert_eq!(stream.end(0, &Arc::default()), None);
        let mut stream = Stream::default();
        stream.push(b"names: .text\0.dep-v0\0");
        assert!(stream.end(0, &Arc::default()).unwrap().why_not.is_some());
    }
}
