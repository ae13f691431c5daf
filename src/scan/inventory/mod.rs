//! The packages installed in an image: of the system (dpkg, apk, rpm), of languages (Python, npm), and those that went into programs (Go, Rust).
//!
//! [`wanted()`] says by names, kinds and sizes which files of a finished tree list packages, reading none; [`read()`] reads those out of their
//! layers, one pass a layer and one large file at a time. `KINDS` has a line for each way of listing packages: a kind is one file here and one
//! line there. Every file is hostile: bounded in size and number, and one that can't be understood is named in the result.
//!
//! May use model, layer and source.

mod apk;
mod dpkg;
mod go;
mod listed;
mod npm;
mod passing;
mod program;
mod python;
mod read;
mod rpm;
mod rust;
mod wanted;

pub(in crate::scan) use listed::Room;
pub(in crate::scan) use passing::{Ask, FileList, ask, gather, parse};
pub use read::{Reader, read};
pub use wanted::{Wanted, wanted};

use listed::{Listed, Unreadable};
use wanted::Candidate;

/// A way in which packages are listed in files.
struct Reads {
    /// Whether a file is one of those, by what its layer's header tells.
    wants: fn(&Candidate<'_>) -> bool,
    /// Largest file that is read.
    most: u64,
    /// Whether it may be one by its first [`HEAD`] bytes, for files that can't be told by their names.
    begins: Option<fn(&[u8]) -> bool>,
    parse: fn(&[u8], &mut Listed) -> Result<(), Unreadable>,
}

/// First bytes of a file that tell what it is.
const HEAD: usize = 4;

const LIST: u64 = 64 << 20;
const DATABASE: u64 = 512 << 20;
const DOCUMENT: u64 = 4 << 20;
const PROGRAM: u64 = 256 << 20;

/// Every kind; at most 32.
const KINDS: [Reads; 7] = [
    Reads { wants: dpkg::wants, most: LIST, begins: None, parse: dpkg::parse },
    Reads { wants: apk::wants, most: LIST, begins: None, parse: apk::parse },
    Reads { wants: rpm::wants, most: DATABASE, begins: None, parse: rpm::parse },
    Reads { wants: python::wants, most: DOCUMENT, begins: None, parse: python::parse },
    Reads { wants: npm::wants, most: DOCUMENT, begins: None, parse: npm::parse },
    Reads { wants: program::wants, most: PROGRAM, begins: Some(program::begins), parse: go::parse },
    Reads { wants: program::wants, most: PROGRAM, begins: Some(program::begins), parse: rust::parse },
];
