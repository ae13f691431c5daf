//! What layers are made of and what is in them: readers for tar and compression, and for digests; an index of each layer ([`index`]), the tree that
//! layers come to ([`tree`]), what they carry for nothing ([`waste`], [`efficiency`]) and what could be better ([`hints`]).
//!
//! Everything here works over `impl Read` with nothing else of the program around it, so it can be fuzzed and benched. Input is
//! hostile: memory stays bounded whatever a header claims, every sum of sizes is checked, and nothing is ever unpacked to disk.
//! May use model; must not name tokio, the screen, or a client library.

pub mod compare;
mod content;
pub mod cost;
mod decompress;
pub mod efficiency;
mod error;
mod header;
pub mod hints;
pub mod index;
mod pax;
pub mod peek;
#[cfg(test)]
mod sample;
pub mod tree;
mod verify;
mod walk;
pub mod waste;

pub use content::{ContentHash, ContentHasher};
pub use cost::Cost;
pub use decompress::{Compression, Decompress, Limits};
pub use efficiency::Efficiency;
pub use error::TarError;
pub use header::{BLOCK, Entry, Kind};
pub use index::{Index, Member, MemberId, PathId, Whiteout};
pub use peek::Peek;
pub use tree::{NodeId, Tree, View};
pub use verify::{Digests, Hashing, LayerReader, Verified};
pub use walk::{Advance, Buffered, Seeking, Streaming, Walker};
pub use waste::Waste;
