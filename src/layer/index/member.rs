//! One member of a layer as its header told it.

use super::{ContentHash, Index, Kind, MemberId, PathId, Record, flag};
use crate::layer::BLOCK;

/// A look at one member.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub(super) index: &'a Index,
    pub(super) record: &'a Record,
    pub(super) at: u32,
}

/// What a member says about the layers below, instead of being a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteout<'a> {
    /// That name in the same directory is no more.
    Name(&'a [u8]),
    /// Nothing that lower layers have in the same directory is seen any more.
    Opaque,
    /// A mark that means nothing in an image: it is neither a file nor takes one away.
    Other,
}

const MARK: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const SPECIAL: &[u8] = b".wh..wh.";

/// What a name marks; `None` for the name of a file.
pub(in crate::layer) fn whiteout(name: &[u8]) -> Option<Whiteout<'_>> {
    let hidden = name.strip_prefix(MARK)?;
    Some(match hidden {
        _ if name == OPAQUE => Whiteout::Opaque,
        b"" | b"." | b".." => Whiteout::Other,
        _ if name.starts_with(SPECIAL) => Whiteout::Other,
        _ => Whiteout::Name(hidden),
    })
}

impl<'a> Member<'a> {
    /// Its normalised path.
    #[must_use]
    pub const fn path_id(&self) -> PathId {
        PathId(self.record.path)
    }

    /// Its normalised path; see [`Index::path`].
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.index.path(self.path_id())
    }

    /// Its path byte for byte as the tar has it: hostile, and only to be shown escaped.
    #[must_use]
    pub fn told(&self) -> Vec<u8> {
        if self.has(flag::TOLD) {
            let side = &self.index.told;
            let found = side.binary_search_by_key(&self.at, |(member, _)| *member).ok().and_then(|at| side.get(at));
            return found.map(|(_, span)| self.index.text(*span).to_vec()).unwrap_or_default();
        }
        let lead: &[u8] = match self.record.flags & (flag::DOT | flag::SLASH) {
            flag::DOT => b"./",
            flag::SLASH => b"/",
            _ => b"",
        };
        let trail: &[u8] = if self.has(flag::TRAILING) { b"/" } else { b"" };
        [lead, &self.path(), trail].concat()
    }

    /// The last part of its path; nothing for the root.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.index.name(self.path_id())
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::of(self.record.kind)
    }

    /// Whether it is a mark about lower layers.
    #[must_use]
    pub fn whiteout(&self) -> Option<Whiteout<'a>> {
        whiteout(self.name())
    }

    /// Bytes of its content when unpacked, a sparse file's holes included; 0 for what has none.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.record.size
    }

    /// Bytes of it in the tar, headers and padding left aside.
    #[must_use]
    pub fn stored(&self) -> u64 {
        if !self.has(flag::STORED) {
            return self.size();
        }
        let side = &self.index.stored;
        let found = side.binary_search_by_key(&self.at, |(member, _)| *member).ok().and_then(|at| side.get(at));
        found.map_or(0, |(_, bytes)| *bytes)
    }

    /// Where its data starts in the uncompressed tar, in bytes.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.record.block as u64 * BLOCK
    }

    /// Permission bits and above as written; `None` when unreadable.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        self.owner().and_then(|owner| owner.mode)
    }

    /// The mode in octal, as `0755`; `None` when unreadable.
    #[must_use]
    pub fn octal_mode(&self) -> Option<String> {
        self.mode().map(|mode| format!("{:04o}", mode & 0o7777))
    }

    /// `None` when unreadable, or beyond what a system can have.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.owner().and_then(|owner| owner.uid)
    }

    /// As [`Member::uid`].
    #[must_use]
    pub fn gid(&self) -> Option<u32> {
        self.owner().and_then(|owner| owner.gid)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn mtime(&self) -> Option<i64> {
        self.has(flag::MTIME).then_some(self.record.mtime)
    }

    /// Target of a symbolic or hard link, as told.
    #[must_use]
    pub fn link(&self) -> Option<&'a [u8]> {
        matches!(self.kind(), Kind::Symlink | Kind::Hardlink).then(|| self.index.text(self.record.link()))
    }

    /// The member whose content a hard link is another name of: one that came before it in this layer. `None` for what is no hard link, and
    /// for one to a file that this layer doesn't have.
    #[must_use]
    pub fn linked(&self) -> Option<MemberId> {
        self.record.target()
    }

    /// Major and minor number of a device.
    #[must_use]
    pub fn device(&self) -> Option<(u32, u32)> {
        let [major, minor] = self.record.body;
        let part = |number: u64| u32::try_from(number).unwrap_or_default();
        matches!(self.kind(), Kind::Char | Kind::Block).then(|| (part(major), part(minor)))
    }

    /// The fingerprint of a regular file's content; `None` where it was not read.
    #[must_use]
    pub fn content(&self) -> Option<ContentHash> {
        let [low, high] = self.record.body;
        (self.kind() == Kind::File && !self.has(flag::UNREAD)).then_some(ContentHash(u128::from(high) << 64 | u128::from(low)))
    }

    /// The value of `security.capability`.
    #[must_use]
    pub fn capability(&self) -> Option<&'a [u8]> {
        let side = self.attributes()?;
        (side.capability.length > 0).then(|| self.index.text(side.capability))
    }

    /// How many other extended attributes it has.
    #[must_use]
    pub fn other_xattrs(&self) -> u16 {
        self.attributes().map_or(0, |side| side.others)
    }

    /// Whether all that is told of the two is the same: what they are, their content, rights, owners and attributes. Times are left aside, since
    /// every build gives new ones. Two files with holes are never known to be the same.
    #[must_use]
    pub fn is_same(&self, other: &Member<'_>) -> bool {
        self.has_same_content(other)
            && (self.mode(), self.uid(), self.gid()) == (other.mode(), other.uid(), other.gid())
            && (self.capability(), self.other_xattrs()) == (other.capability(), other.other_xattrs())
    }

    /// The same without rights, owners and attributes. A hard link has the content of the file that it is another name of.
    #[must_use]
    pub fn has_same_content(&self, other: &Member<'_>) -> bool {
        let (one, two) = (self.file(), other.file());
        one.record.kind == two.record.kind
            && one.size() == two.size()
            && match one.kind() {
                // Of what nobody has read it is not known whether it is the same.
                Kind::File => one.content().is_some() && one.content() == two.content(),
                // To a file of another layer: of that it is not known whether it stayed.
                Kind::Symlink | Kind::Hardlink => one.link() == two.link(),
                Kind::Char | Kind::Block => one.device() == two.device(),
                Kind::Directory | Kind::Fifo => true,
                Kind::Sparse | Kind::Other(_) => false,
            }
    }

    /// What a hard link is another name of; itself for anything else, and where its layer doesn't have that.
    fn file(&self) -> Self {
        self.linked().and_then(|id| self.index.member(id)).unwrap_or(*self)
    }

    const fn has(&self, bit: u8) -> bool {
        self.record.flags & bit != 0
    }

    fn owner(&self) -> Option<&super::Owner> {
        self.index.owners.get(self.record.owner as usize)
    }

    fn attributes(&self) -> Option<&'a super::Attributes> {
        let side = &self.index.xattrs;
        let at = self.has(flag::XATTRS).then(|| side.binary_search_by_key(&self.at, |side| side.member).ok()).flatten()?;
        side.get(at)
    }
}
