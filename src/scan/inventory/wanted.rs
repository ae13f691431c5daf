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

/// A file as a kind looks at it: by its path and whether it may be run. The path is that of a node, or told.
pub(super) struct Candidate<'a> {
    at: At<'a>,
    pub(super) is_executable: bool,
}

#[derive(Clone, Copy)]
enum At<'a> {
    Node(&'a Tree, NodeId),
    /// Normalised; never that of the root.
    Path(&'a [u8]),
}

impl<'a> At<'a> {
    fn name(self) -> &'a [u8] {
        match self {
            Self::Node(tree, id) => tree.name(id),
            Self::Path(path) => split(path).1,
        }
    }

    fn above(self) -> Option<Self> {
        match self {
            Self::Node(tree, id) => Some(tree.parent(id)).filter(|&above| above != NodeId::ROOT).map(|above| Self::Node(tree, above)),
            Self::Path(path) => Some(split(path).0).filter(|dir| !dir.is_empty()).map(Self::Path),
        }
    }
}

impl<'a> Candidate<'a> {
    /// One by its normalised path.
    pub(super) const fn told(path: &'a [u8], is_executable: bool) -> Self {
        Self { at: At::Path(path), is_executable }
    }

    /// Its name in its directory.
    pub(super) fn name(&self) -> &'a [u8] {
        self.at.name()
    }

    /// The name of the directory it lies in.
    pub(super) fn dir(&self) -> &'a [u8] {
        self.dirs().next().unwrap_or_default()
    }

    /// The names of the directories above it, the nearest first.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        std::iter::successors(self.at.above(), |at| at.above()).map(At::name)
    }

    /// Whether it has that path.
    pub(super) fn is(&self, path: &[u8]) -> bool {
        let (dir, name) = split(path);
        self.name() == name && self.is_in(dir)
    }

    /// Whether it lies right in the directory of that path.
    pub(super) fn is_in(&self, dir: &[u8]) -> bool {
        self.dirs().eq(dir.rsplit(|&byte| byte == b'/').filter(|part| !part.is_empty()))
    }
}

/// A path's directory and its last part.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// What a file may be read as, a bit for each of [`KINDS`], and the largest that is read as one of them.
pub(super) fn kinds(file: &Candidate<'_>) -> (u32, u64) {
    let (mut kinds, mut most) = (0, 0);
    for (bit, kind) in KINDS.iter().enumerate() {
        if (kind.wants)(file) {
            kinds |= 1 << bit;
            most = most.max(kind.most);
        }
    }
    (kinds, most)
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
    let (kinds, most) = kinds(&Candidate { at: At::Node(tree, id), is_executable });
    if kinds == 0 || !side.has(id) {
        return None;
    }
    let path = Foreign::lossy(&tree.path(id));
    let (offset, size) = (member.offset(), member.size());
    Some((List { place: PackagePlace { layer, path }, offset, size, content: member.content(), kinds }, most))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layer::Index;
    use crate::layer::index::{Known, Packing, from_table, read};

    /// Paths of files that may be run or not, with the bytes they have; one that leads to another is a hard link.
    fn layer(files: &[(&str, u32, usize)]) -> Arc<Index> {
        let mut out = tar::Builder::new(Vec::new());
        for &(path, mode, size) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            if let Some((path, target)) = path.split_once(" = ") {
                header.set_entry_type(tar::EntryType::Link);
                header.set_size(0);
                out.append_link(&mut header, path, target).unwrap();
            } else {
                header.set_size(size as u64);
                out.append_data(&mut header, path, vec![0; size].as_slice()).unwrap();
            }
        }
        Arc::new(read(&out.into_inner().unwrap()[..], &Known::default()))
    }

    fn found(layers: Vec<Arc<Index>>) -> (Vec<String>, Vec<String>) {
        let tree = Tree::new(layers).unwrap();
        let found = wanted(&Finished::new(&tree));
        let mut lists: Vec<String> = found.lists.iter().map(|list| format!("{}:{}", list.place.layer, list.place.path.raw())).collect();
        lists.sort_unstable();
        (lists, found.skipped.iter().map(|one| format!("{}: {}", one.place.path.raw(), one.why)).collect())
    }

    #[test]
    fn only_files_that_list_packages_are_wanted() {
        let all = [
            "a/node_modules/@s/p/package.json",
            "a/node_modules/p/package.json",
            "bin/tool",
            "lib/apk/db/installed",
            "py/a.dist-info/METADATA",
            "py/b.egg-info/PKG-INFO",
            "py/c.egg-info",
            "usr/lib/sysimage/rpm/Packages.db",
            "var/lib/dpkg/status",
            "var/lib/dpkg/status.d/tzdata",
            "win/tool.exe",
        ];
        let others = [
            "a/node_modules/p/lib/package.json",
            "a/node_modules/p/package.json/x",
            "node_modules/package.json",
            "package.json",
            "py/METADATA",
            "py/a.dist-info/sub/METADATA",
            "srv/var/lib/dpkg/status",
            "var/lib/dpkg/status.d/tzdata.md5sums",
            "var/lib/dpkg/status.d/x/y",
            "var/lib/rpm/Name",
        ];
        let mode = |path: &str| if path == "bin/tool" { 0o755 } else { 0o644 };
        let files: Vec<_> =
            all.iter().chain(&others).map(|path| (*path, mode(path), 3)).filter(|(path, ..)| !path.ends_with("/x")).collect();
        let (lists, skipped) = found(vec![layer(&files)]);
        assert_eq!(lists, all.map(|path| format!("0:{path}")));
        assert_eq!(skipped, [""; 0]);
    }

    #[test]
    fn a_path_alone_says_the_same_as_a_tree() {
        let paths =
            ["var/lib/dpkg/status", "lib/apk/db/installed", "srv/lib/apk/db/installed", "a/node_modules/@s/p/package.json", "METADATA"];
        let files: Vec<_> = paths.iter().map(|path| (*path, 0o644, 1)).collect();
        let tree = Tree::new(vec![layer(&files)]).unwrap();
        let of = |path: &str| {
            let id = tree.find(path.as_bytes()).unwrap();
            (kinds(&Candidate { at: At::Node(&tree, id), is_executable: false }), kinds(&Candidate::told(path.as_bytes(), false)))
        };
        let found: Vec<u32> = paths.iter().map(|path| of(path)).map(|(node, told)| (assert_eq!(node, told), told.0).1).collect();
        assert_eq!(found, [1, 2, 0, 16, 0]);
    }

    #[test]
    fn what_is_gone_or_covered_is_not_wanted_and_what_is_too_large_is_named() {
        let base = layer(&[
            ("var/lib/dpkg/status", 0o644, 3),
            ("lib/apk/db/installed", 0o644, 3),
            ("node_modules/p/package.json", 0o644, 5_000_000),
        ]);
        let next = layer(&[
            ("var/lib/dpkg/status", 0o644, 4),
            ("lib/apk/db/.wh.installed", 0o644, 0),
            ("bin/a", 0o755, 9),
            ("bin/b = bin/a", 0, 0),
        ]);
        let library = layer(&[("lib/a.so", 0o755, 9), ("lib/a.so.1", 0o755, 9), ("bin/c.py", 0o755, 9)]);
        let (lists, skipped) = found(vec![base, next, library]);
        assert_eq!(lists, ["1:bin/a", "1:bin/b", "1:var/lib/dpkg/status", "2:bin/c.py"]);
        assert_eq!(skipped, ["node_modules/p/package.json: it is larger than 4.19 MB"]);
        let table = br#"{"version": 1, "entries": [{"name": "var/lib/dpkg/status", "type": "reg", "size": 9, "offset": 1}]}"#;
        let (lists, skipped) = found(vec![Arc::new(from_table(table, Packing::Gzip, 99, None).unwrap())]);
        assert_eq!(
            (lists.len(), skipped.as_slice()),
            (0, &["var/lib/dpkg/status: of its layer only the table of contents was read".to_owned()][..])
        );
    }
}
