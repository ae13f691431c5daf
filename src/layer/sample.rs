//! Layers for the tests of this room, made as they are told, hostile or not.

use std::sync::Arc;

use super::index::{Index, Known, read};
use super::tree::{NodeId, Tree};
use crate::model::Digest;

/// A tar of members: kind (`f` file, `x` file with mode 0755, `d` directory, `l` and `h` links, `c` device), path as told, and content or target.
pub(super) fn tar(members: &[(char, &str, &str)]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (kind, path, more) in members {
        let mut header = tar::Header::new_gnu();
        let mode = if matches!(kind, 'd' | 'x') { 0o755 } else { 0o644 };
        let kind = match kind {
            'd' => tar::EntryType::Directory,
            'l' => tar::EntryType::Symlink,
            'h' => tar::EntryType::Link,
            'c' => tar::EntryType::Char,
            _ => tar::EntryType::Regular,
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        // Written as they are: the writer would refuse half of the names these tests are about.
        let name = path.as_bytes();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        let body = if kind == tar::EntryType::Regular { more.as_bytes() } else { b"" };
        if kind.is_symlink() || kind.is_hard_link() {
            header.as_gnu_mut().unwrap().linkname[..more.len()].copy_from_slice(more.as_bytes());
        }
        if kind == tar::EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(5).unwrap();
        }
        header.set_size(body.len() as u64);
        header.set_cksum();
        out.append(&header, body).unwrap();
    }
    out.into_inner().unwrap()
}

/// The index of a layer that is all right.
pub(super) fn index(members: &[(char, &str, &str)]) -> Index {
    let bytes = tar(members);
    let index = read(&bytes[..], &Known { digest: Some(Digest::sha256(&bytes)), size: Some(bytes.len() as u64), diff_id: None });
    assert_eq!(index.problem(), None);
    index
}

/// Layers on top of each other, the lowest first.
pub(super) fn tree(layers: &[&[(char, &str, &str)]]) -> Tree {
    Tree::new(layers.iter().map(|members| Arc::new(index(members))).collect()).unwrap()
}

pub(super) fn path(tree: &Tree, id: NodeId) -> String {
    String::from_utf8_lossy(&tree.path(id)).into_owned()
}

pub(super) fn node(tree: &Tree, path: &str) -> NodeId {
    tree.find(path.as_bytes()).unwrap()
}
