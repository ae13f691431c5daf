//! Where the bytes of what is seen lie: the member that holds them, found through hard links, in the layer that wrote what is looked at.

use std::sync::Arc;

use super::{NodeId, Tree, View, What};
use crate::layer::Kind;
use crate::layer::content::ContentHash;
use crate::layer::index::{Index, Member, MemberId, Packing, Piece};

/// Hard links that are followed: every one of them to an earlier member or a lower layer, so more are a puzzle and no file.
const MOST_LINKS: usize = 64;

/// A file's bytes in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lies {
    /// The layer, counted from 0, the lowest.
    pub layer: usize,
    pub length: u64,
    pub at: Place,
}

/// Where bytes lie, and what vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the uncompressed tar, which was read once: they have the same fingerprint still.
    Tar { offset: u64, content: ContentHash },
    /// In pieces of the stored layer, by its own table of contents; each piece has its digest.
    Pieces { packing: Packing, pieces: Arc<[Piece]> },
}

/// What there is to read of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    File(Lies),
    /// A symbolic link, with its target as told.
    Link(Vec<u8>),
    /// Why there is nothing to read.
    Nothing(&'static str),
}

impl View {
    /// What there is to read of a path as it is seen: what is there, or what went.
    #[must_use]
    pub fn held(&self, tree: &Tree, id: NodeId) -> Held {
        if self.is_directory(tree, id) {
            return Held::Nothing("a folder has no content of its own");
        }
        let Some((layer, member)) = self.origin(tree, id) else { return Held::Nothing("nothing is known of it") };
        tree.held(layer, member)
    }
}

impl Tree {
    /// The same of a member of a layer.
    fn held(&self, layer: usize, member: MemberId) -> Held {
        let (mut layer, mut at) = (layer, member);
        for _ in 0..MOST_LINKS {
            let Some(index) = self.layers().get(layer) else { break };
            let Some(member) = index.member(at) else { break };
            match member.kind() {
                Kind::File => {
                    let found = place(index, at, &member).map(|at| Held::File(Lies { layer, length: member.size(), at }));
                    return found.unwrap_or(Held::Nothing("nothing is known of it"));
                }
                Kind::Symlink => return Held::Link(member.link().unwrap_or_default().to_vec()),
                Kind::Hardlink => match member.linked().map(|id| (layer, id)).or_else(|| self.before(layer, member.link()?)) {
                    Some(to) => (layer, at) = to,
                    None => return Held::Nothing("it is another name of a file that no layer has"),
                },
                Kind::Sparse => return Held::Nothing("a file with holes is kept without them, and can't be put together again here"),
                Kind::Char | Kind::Block => return Held::Nothing("a device has no content"),
                Kind::Fifo => return Held::Nothing("a pipe has no content"),
                Kind::Directory | Kind::Other(_) => break,
            }
        }
        Held::Nothing("nothing is known of it")
    }

    /// The path that a symbolic link with this target leads to, as far as its words say, and whether something is there after `layer`. Links on the
    /// way are not followed.
    #[must_use]
    pub fn leads(&self, link: NodeId, target: &[u8], layer: usize) -> (Vec<u8>, bool) {
        let mut parts: Vec<&[u8]> = Vec::new();
        let dir = self.path(self.parent(link));
        let from: &[u8] = if target.starts_with(b"/") { b"" } else { &dir };
        for part in from.split(|&byte| byte == b'/').chain(target.split(|&byte| byte == b'/')) {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let path = parts.join(&b'/');
        let there = |id: NodeId| {
            let event = self.events(id).iter().rev().find(|event| usize::from(event.layer) <= layer);
            id == NodeId::ROOT || event.is_some_and(|event| !matches!(event.what, What::Removed(_)))
        };
        let found = self.find(&path).is_some_and(there);
        (path, found)
    }

    /// What a path was before a layer came.
    fn before(&self, layer: usize, path: &[u8]) -> Option<(usize, MemberId)> {
        let event = self.events(self.find(path)?).iter().rev().find(|event| usize::from(event.layer) < layer)?;
        match event.what {
            What::Wrote(member) => Some((usize::from(event.layer), member)),
            What::Implied | What::Removed(_) => None,
        }
    }
}

fn place(index: &Index, id: MemberId, member: &Member<'_>) -> Option<Place> {
    match index.pieces() {
        Some(pieces) => Some(Place::Pieces { packing: pieces.packing(), pieces: pieces.of(id).into() }),
        None => Some(Place::Tar { offset: member.offset(), content: member.content()? }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;
    use crate::layer::sample::{node, tar, tree};

    #[test]
    fn what_is_looked_at_is_found_in_the_layer_that_wrote_it() {
        let low: &[(char, &str, &str)] = &[('f', "a", "first"), ('f', "b", "gone"), ('l', "s", "a"), ('d', "d/", ""), ('c', "null", "")];
        let high: &[(char, &str, &str)] = &[('f', "a", "second one"), ('f', ".wh.b", ""), ('h', "again", "a"), ('h', "lost", "nowhere")];
        let top: &[(char, &str, &str)] = &[('h', "far", "a")];
        let tree = tree(&[low, high, top]);
        let tars = [tar(low), tar(high), tar(top)];
        let read = |scope, path: &str| match View::new(&tree, scope).held(&tree, node(&tree, path)) {
            Held::File(lies) => {
                let Place::Tar { offset, content } = lies.at else { unreachable!() };
                let from = usize::try_from(offset).unwrap();
                let bytes = &tars[lies.layer][from..from + usize::try_from(lies.length).unwrap()];
                assert_eq!(ContentHash::of(bytes), content);
                format!("{} {}", lies.layer, String::from_utf8_lossy(bytes))
            }
            Held::Link(to) => format!("-> {}", String::from_utf8_lossy(&to)),
            Held::Nothing(why) => why.to_owned(),
        };
        assert_eq!(read(Scope::Layer(0), "a"), "0 first");
        assert_eq!(read(Scope::Layer(1), "a"), "1 second one");
        assert_eq!(read(Scope::Merged(0), "a"), "0 first");
        assert_eq!(read(Scope::Merged(2), "a"), "1 second one");
        assert_eq!(read(Scope::Layer(1), "b"), "0 gone", "the one that went");
        assert_eq!(read(Scope::Merged(1), "again"), "1 second one", "through a link within the layer");
        assert_eq!(read(Scope::Merged(2), "far"), "1 second one", "and through one to a layer below");
        assert_eq!(read(Scope::Merged(0), "s"), "-> a");
        assert!(read(Scope::Merged(2), "lost").contains("no layer has"));
        assert!(read(Scope::Merged(0), "d").contains("folder") && read(Scope::Merged(0), "null").contains("device"));
    }

    #[test]
    fn where_a_link_leads_is_told_by_its_words() {
        let tree = tree(&[&[('f', "etc/motd", "x"), ('l', "etc/issue", "motd"), ('f', "gone", "x")], &[('f', ".wh.gone", "")]]);
        let issue = node(&tree, "etc/issue");
        let leads = |target: &[u8], layer| {
            let (path, there) = tree.leads(issue, target, layer);
            (String::from_utf8(path).unwrap(), there)
        };
        assert_eq!(leads(b"motd", 1), ("etc/motd".to_owned(), true));
        assert_eq!(leads(b"../../../gone", 0), ("gone".to_owned(), true));
        assert_eq!(leads(b"/gone", 1), ("gone".to_owned(), false));
        assert_eq!(leads(b"/", 1), (String::new(), true));
        assert_eq!(leads(b"./../etc//nowhere", 1), ("etc/nowhere".to_owned(), false));
    }

    #[test]
    fn a_link_to_itself_is_no_file() {
        let tree = tree(&[&[('h', "a", "b"), ('h', "b", "a"), ('h', "c", "c")], &[('h', "a", "b"), ('h', "b", "a")]]);
        for path in ["a", "b", "c"] {
            assert!(matches!(View::new(&tree, Scope::Merged(1)).held(&tree, node(&tree, path)), Held::Nothing(_)), "{path}");
        }
    }
}
