//! Which files of an image list packages: told from the tree alone.
//!
//! May use model and layer. Pure; millions of paths take a moment, so it belongs on a thread that may block.

use super::KINDS;
use crate::layer::compare::Finished;
use crate::layer::{ContentHash, Kind, NodeId, Tree};
use crate::model::package::{PackagePlace, SkippedList};
use crate::model::{Foreign, Safe, size};

/// Files that are read of one image.
const MOST_FILES: usize = 200_000;
/// Bytes of them together.
const MOST_BYTES: u64 = 16 << 30;
/// Files that are named among those left out.
const MOST_NAMED: usize = 100;

/// A file as a kind looks at it.
pub(super) struct Candidate<'a> {
    tree: &'a Tree,
    id: NodeId,
    /// Its name in its directory.
    name: &'a [u8],
    pub(super) is_executable: bool,
}

impl Candidate<'_> {
    pub(super) const fn name(&self) -> &[u8] {
        self.name
    }

    /// The name of the directory it lies in.
    pub(super) fn dir(&self) -> &[u8] {
        self.tree.name(self.tree.parent(self.id))
    }

    /// The names of the directories above it, the nearest first.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &[u8]> {
        let up = |id: NodeId| Some(self.tree.parent(id)).filter(|&above| above != NodeId::ROOT);
        std::iter::successors(up(self.id), move |&id| up(id)).map(|id| self.tree.name(id))
    }

    /// Whether it has that path.
    pub(super) fn is(&self, path: &[u8]) -> bool {
        let (dir, name) = split(path);
        self.name == name && self.is_in(dir)
    }

    /// Whether it lies right in the directory of that path.
    pub(super) fn is_in(&self, dir: &[u8]) -> bool {
        let mut at = self.tree.parent(self.id);
        let mut rest = dir;
        while at != NodeId::ROOT {
            let (above, name) = split(rest);
            if self.tree.name(at) != name {
                return false;
            }
            (at, rest) = (self.tree.parent(at), above);
        }
        rest.is_empty()
    }
}

/// A path's directory and its last part.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// A file that is to be read.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) place: PackagePlace,
    /// Where its data starts in its layer's tar.
    pub(super) offset: u64,
    pub(super) size: u64,
    /// `None` where nobody has read it.
    pub(super) content: Option<ContentHash>,
    /// A bit for each of [`KINDS`].
    pub(super) kinds: u32,
}

/// The files of an image that list packages.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub(super) lists: Vec<List>,
    pub(super) skipped: Vec<SkippedList>,
    pub(super) skipped_count: usize,
    bytes: u64,
}

impl Wanted {
    pub(super) fn skip(&mut self, place: PackagePlace, why: &str) {
        self.skipped_count += 1;
        if self.skipped.len() < MOST_NAMED {
            self.skipped.push(SkippedList { place, why: Safe::new(why) });
        }
    }

    fn add(&mut self, list: List, most: u64) {
        let sum = self.bytes.saturating_add(list.size);
        if list.size > most {
            self.skip(list.place, &format!("it is larger than {}", size::human(most)));
        } else if list.content.is_none() {
            self.skip(list.place, "of its layer only the table of contents was read");
        } else if self.lists.len() >= MOST_FILES {
            self.skip(list.place, &format!("there are more than {MOST_FILES} such files"));
        } else if sum > MOST_BYTES {
            self.skip(list.place, &format!("such files have more than {} together", size::human(MOST_BYTES)));
        } else {
            self.bytes = sum;
            self.lists.push(list);
        }
    }
}

/// The files of a finished tree that list packages.
#[must_use]
pub fn wanted(side: &Finished<'_>) -> Wanted {
    let mut found = Wanted::default();
    for id in side.tree.nodes() {
        if let Some((list, most)) = list(side, id) {
            found.add(list, most);
        }
    }
    found
}

fn list(side: &Finished<'_>, id: NodeId) -> Option<(List, u64)> {
    let tree = side.tree;
    let (layer, mut member) = side.origin(id).map(|(layer, _)| layer).zip(side.member(id))?;
    // Another name of a file: what is told of it is told there.
    if let Some(first) = member.linked() {
        member = tree.layers().get(layer)?.member(first)?;
    }
    if member.kind() != Kind::File {
        return None;
    }
    let is_executable = member.mode().is_some_and(|mode| mode & 0o111 != 0);
    let file = Candidate { tree, id, name: tree.name(id), is_executable };
    let mut kinds = 0;
    let mut most = 0;
    for (bit, kind) in KINDS.iter().enumerate() {
        if (kind.wants)(&file) {
            kinds |= 1 << bit;
            most = most.max(kind.most);
        }
    }
    if kinds == 0 || !side.has(id) {
        return None;
    }
    let path = Foreign::from(String::from_utf8_lossy(&tree.path(id)).into_owned());
    let (offset, size) = (member.offset(), member.size());
    Some((List { place: PackagePlace { layer, path }, offset, size, content: member.content(), kinds }, most))
}
