//! Known weaknesses of packages: databases of advisories that are kept on this machine, and which of an image's packages they are about.
//!
//! Nothing here asks the network but what was called for by name. What others publish, in OSV's form or Alpine's, is taken in once ([`import`])
//! and kept in a form of which a scan reads no more than it needs ([`Databases::matches`]); packages of systems are looked up by the source they
//! were built from. What is not looked for is said as such, beside what is found.
//!
//! May use model and source, and `scan::version`. Facts: OSV's schema 1.7; <https://secdb.alpinelinux.org>.

mod compiled;
mod distribution;
mod import;
mod matching;
mod osv;
mod record;
mod remote;
mod secdb;
mod status;
#[cfg(test)]
mod tests;
mod told;

pub use import::{BrokenDocument, Imported, Renewed, import};
pub use matching::Matched;
pub use remote::{PUBLIC, Updated, client, ecosystem, tidy, update};
pub use status::{Databases, Status, refresh};
