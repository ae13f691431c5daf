//! Package lists that are read as they pass, in whatever pass over a layer somebody makes: by paths alone, before a tree is known.
//!
//! May use model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::listed::{Listed, Room};
use super::read::{of, put};
use super::wanted::{Candidate, Wanted, kinds};
use crate::model::package::{Inventory, Package, Packages, SourcePackage};

/// What a file may list packages as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) struct Ask {
    kinds: u32,
    /// Largest that is read.
    pub(in crate::scan) most: u64,
    /// Its name says that it lists packages; else its first bytes have to.
    pub(in crate::scan) is_named: bool,
}

/// What one file of a layer lists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::scan) struct FileList {
    /// Where its data starts in its layer's tar.
    pub(in crate::scan) offset: u64,
    pub(in crate::scan) packages: Vec<(Package, Option<SourcePackage>)>,
    /// Some of its packages were left out.
    pub(in crate::scan) cut: bool,
    /// Why it could not be understood, or was not read; what it lists until there stays.
    pub(in crate::scan) why_not: Option<String>,
}

/// What a file may list packages as, by its normalised path; `None` for most files.
pub(in crate::scan) fn ask(path: &[u8], is_executable: bool) -> Option<Ask> {
    let (kinds, most) = kinds(&Candidate::told(path, is_executable));
    (kinds != 0).then(|| Ask { kinds, most, is_named: of(kinds).any(|kind| kind.begins.is_none()) })
}

/// The same once its first bytes are known; all of a file that has fewer than four.
impl Ask {
    pub(in crate::scan) fn begins(self, head: &[u8]) -> Option<Self> {
        let head = head.get(..head.len().min(super::HEAD)).unwrap_or_default();
        let fits = self.kinds != 0 && of(self.kinds).any(|kind| kind.begins.is_none_or(|begins| begins(head)));
        fits.then_some(self)
    }
}

/// Reads a whole file.
pub(in crate::scan) fn parse(ask: Ask, offset: u64, bytes: &[u8], room: &Arc<Room>) -> FileList {
    let mut listed = Listed::within(room);
    let head = bytes.get(..bytes.len().min(super::HEAD)).unwrap_or_default();
    let mut why_not = None;
    for kind in of(ask.kinds).filter(|kind| kind.begins.is_none_or(|begins| begins(head))) {
        why_not = (kind.parse)(bytes, &mut listed).err().map(|why| why.0.to_owned()).or(why_not);
    }
    FileList { offset, packages: listed.packages, cut: listed.cut, why_not }
}

/// Puts together what the files of a finished tree list. `find` gives what was read of the file that starts at an offset of a layer's tar; a file
/// that nobody read is named among those left out.
pub(in crate::scan) fn gather<'a>(mut wanted: Wanted, find: impl Fn(usize, u64) -> Option<&'a FileList>) -> Inventory {
    let (mut packages, mut lists, room) = (Packages::new(), 0, Room::default());
    for list in std::mem::take(&mut wanted.lists) {
        let is_named = of(list.kinds).any(|kind| kind.begins.is_none());
        let Some(found) = find(list.place.layer, list.offset) else {
            // Of what may be a program, nothing is kept where it is none.
            if is_named {
                lists += 1;
                wanted.skip(list.place, "it goes by another name in its layer, and was not read");
            }
            continue;
        };
        lists += usize::from(is_named || !found.packages.is_empty());
        let full = !put(&mut packages, &list, &found.packages, &room);
        if let Some(why) = &found.why_not {
            wanted.skip(list.place, why);
        } else if full || found.cut {
            wanted.skip(list.place, "it lists more than is believed: only a part was taken in");
        }
    }
    Inventory { packages, distribution: None, lists, skipped: wanted.skipped, skipped_count: wanted.skipped_count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_known_by_its_path_or_by_its_first_bytes() {
        let status = ask(b"var/lib/dpkg/status", false).unwrap();
        assert!(status.is_named && status.begins(b"Pack").is_some());
        let program = ask(b"usr/bin/tool", true).unwrap();
        assert!(!program.is_named && program.begins(b"\x7fELF and more").is_some());
        assert_eq!((program.begins(b"#!/b"), program.begins(b"\x7f"), ask(b"usr/bin/tool", false)), (None, None, None));
        let found = parse(status, 512, b"Package: a\nVersion: 1\n", &Arc::default());
        assert_eq!((found.offset, found.packages.len(), found.why_not), (512, 1, None));
        let broken = parse(ask(b"a/node_modules/b/package.json", false).unwrap(), 0, b"{", &Arc::default());
        assert!(broken.why_not.is_some());
    }
}
