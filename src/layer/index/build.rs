//! Puts members into an index one by one, each name once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::{Attributes, ContentHash, Index, MOST_NAMES, MOST_PATHS, MOST_TEXTS, MemberId, Owner, PathId, PathRecord, Record, Span, flag};
use crate::layer::{BLOCK, Entry, Kind};

/// Which bound of ours a layer goes beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("its names have more than {} MiB", MOST_NAMES >> 20)]
    Names,
    #[error("its links have more than {} MiB", MOST_TEXTS >> 20)]
    Texts,
    #[error("it has more than {MOST_PATHS} paths")]
    Paths,
    #[error("it is larger than 2 TiB")]
    Tar,
}

#[derive(Debug)]
pub(super) struct Builder {
    pub(super) index: Index,
    /// Paths by parent and name.
    table: HashTable<u32>,
    hasher: RandomState,
    /// The last member of each path, plus one.
    latest: Vec<u32>,
    owners: HashMap<Owner, u32>,
    /// The directory of the member before, as told: most members stand beside another one.
    dir: Option<(Vec<u8>, Place)>,
}

/// Where a told path leads, and whether it is told in the plain way.
#[derive(Debug, Clone, Copy)]
struct Place {
    path: u32,
    plain: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            index: Index::default(),
            table: HashTable::new(),
            hasher: RandomState::new(),
            latest: vec![0],
            owners: HashMap::new(),
            dir: None,
        }
    }

    /// Adds a member; `content` is the fingerprint of a regular file.
    pub(super) fn add(&mut self, entry: &Entry, content: Option<ContentHash>) -> Result<MemberId, Full> {
        let at = u32::try_from(self.index.members.len()).map_err(|_too_many| Full::Paths)?;
        let (path, mut flags) = self.place(&entry.path)?;
        if flags & flag::TOLD != 0 {
            let span = self.keep(&entry.path)?;
            self.index.told.push((at, span));
        }
        if entry.mtime.is_some() {
            flags |= flag::MTIME;
        }
        if entry.capability.is_some() || entry.xattrs > 0 {
            flags |= flag::XATTRS;
            let capability = entry.capability.as_deref().map_or(Ok(Span::NONE), |value| self.keep(value))?;
            self.index.xattrs.push(Attributes { member: at, capability, others: entry.xattrs });
        }
        if entry.kind == Kind::File && content.is_none() {
            flags |= flag::UNREAD;
        }
        if entry.size != entry.content_size {
            flags |= flag::STORED;
            self.index.stored.push((at, entry.size));
        }
        let body = self.body(entry, content)?;
        let owner = self.owner(entry);
        let block = u32::try_from(entry.data_offset / BLOCK).map_err(|_too_far| Full::Tar)?;
        self.index.members.push(Record {
            size: entry.content_size,
            mtime: entry.mtime.unwrap_or_default(),
            body,
            path,
            block,
            owner,
            kind: code(entry.kind),
            flags,
        });
        if let Some(latest) = self.latest.get_mut(path as usize) {
            *latest = at + 1;
        }
        Ok(MemberId(at))
    }

    /// The index of what was added, with no more memory than it needs.
    pub(super) fn finish(self) -> Index {
        let mut index = self.index;
        drop((self.table, self.latest));
        index.names.shrink_to_fit();
        index.texts.shrink_to_fit();
        index.paths.shrink_to_fit();
        index.members.shrink_to_fit();
        index
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a fingerprint")]
    fn body(&mut self, entry: &Entry, content: Option<ContentHash>) -> Result<[u64; 2], Full> {
        if let Some(ContentHash(hash)) = content {
            return Ok([hash as u64, (hash >> 64) as u64]);
        }
        if let Some((major, minor)) = entry.device {
            return Ok([major.into(), minor.into()]);
        }
        let Some(link) = &entry.link else { return Ok([0, 0]) };
        let target = if entry.kind == Kind::Hardlink { self.target(link) } else { 0 };
        Ok([self.keep(link)?.packed(), target.into()])
    }

    /// The member that a hard link is to, plus one; 0 for none. One to another link is to what that one is to.
    fn target(&self, link: &[u8]) -> u32 {
        let mut path = Some(0);
        for part in link.split(|&byte| byte == b'/') {
            path = match (part, path) {
                (b"" | b".", _) | (_, None) => path,
                (b"..", Some(path)) => Some(self.index.parent(PathId(path)).0),
                (name, Some(path)) => self.find(path, name),
            };
        }
        let latest = path.and_then(|path| self.latest.get(path as usize)).copied().unwrap_or_default();
        let Some(member) = latest.checked_sub(1).and_then(|at| self.index.members.get(at as usize)) else { return 0 };
        match member.kind {
            b'0' | b'S' => latest,
            b'1' => member.target().map_or(0, |target| target.0 + 1),
            _ => 0,
        }
    }

    fn owner(&mut self, entry: &Entry) -> u32 {
        let number = |id: Option<u64>| id.and_then(|id| u32::try_from(id).ok());
        let owner = Owner { mode: entry.mode, uid: number(entry.uid), gid: number(entry.gid) };
        let owners = &mut self.index.owners;
        *self.owners.entry(owner).or_insert_with(|| {
            owners.push(owner);
            // No more than there are members.
            u32::try_from(owners.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Keeps a text of at most 4,096 bytes.
    fn keep(&mut self, text: &[u8]) -> Result<Span, Full> {
        let texts = &mut self.index.texts;
        let start = u32::try_from(texts.len()).map_err(|_too_long| Full::Texts)?;
        let length = u16::try_from(text.len()).map_err(|_too_long| Full::Texts)?;
        if texts.len() + text.len() > MOST_TEXTS {
            return Err(Full::Texts);
        }
        texts.extend_from_slice(text);
        Ok(Span { start, length })
    }

    /// Where a told path leads, and the flags by which it can be told again.
    fn place(&mut self, told: &[u8]) -> Result<(u32, u8), Full> {
        let (mut flags, rest) = match told {
            [b'.', b'/', rest @ ..] => (flag::DOT, rest),
            [b'/', rest @ ..] => (flag::SLASH, rest),
            rest => (0, rest),
        };
        let (rest, trailing) = rest.strip_suffix(b"/").map_or((rest, 0), |rest| (rest, flag::TRAILING));
        flags |= trailing;
        let (dir, name) = match rest.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (Some(rest.get(..at).unwrap_or_default()), rest.get(at + 1..).unwrap_or_default()),
            None => (None, rest),
        };
        let mut place = match dir {
            Some(dir) => self.directory(dir)?,
            None => Place { path: 0, plain: true },
        };
        // Nothing but what stands before the root.
        if dir.is_some() || !name.is_empty() {
            place = self.step(place, name)?;
        }
        Ok((place.path, if place.plain { flags } else { flag::TOLD }))
    }

    fn directory(&mut self, told: &[u8]) -> Result<Place, Full> {
        if let Some((dir, place)) = &self.dir
            && dir == told
        {
            return Ok(*place);
        }
        let mut place = Place { path: 0, plain: true };
        for name in told.split(|&byte| byte == b'/') {
            place = self.step(place, name)?;
        }
        let (dir, at) = self.dir.get_or_insert_with(|| (Vec::new(), place));
        dir.clear();
        dir.extend_from_slice(told);
        *at = place;
        Ok(place)
    }

    fn step(&mut self, from: Place, name: &[u8]) -> Result<Place, Full> {
        Ok(match name {
            b"" | b"." => Place { plain: false, ..from },
            b".." => Place { path: self.index.parent(PathId(from.path)).0, plain: false },
            _ => Place { path: self.child(from.path, name)?, plain: from.plain },
        })
    }

    fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one((parent, name));
        self.table.find(hash, |&path| is(&self.index, path, parent, name)).copied()
    }

    fn child(&mut self, parent: u32, name: &[u8]) -> Result<u32, Full> {
        let hash = self.hasher.hash_one((parent, name));
        if let Some(path) = self.table.find(hash, |&path| is(&self.index, path, parent, name)) {
            return Ok(*path);
        }
        let index = &mut self.index;
        if index.paths.len() >= MOST_PATHS {
            return Err(Full::Paths);
        }
        if index.names.len() + name.len() > MOST_NAMES {
            return Err(Full::Names);
        }
        let path = u32::try_from(index.paths.len()).map_err(|_too_many| Full::Paths)?;
        index.names.extend_from_slice(name);
        index.paths.push(PathRecord { parent, end: u32::try_from(index.names.len()).map_err(|_too_many| Full::Names)? });
        self.latest.push(0);
        let (index, hasher) = (&self.index, &self.hasher);
        self.table.insert_unique(hash, path, |&path| hasher.hash_one((index.parent(PathId(path)).0, index.name(PathId(path)))));
        Ok(path)
    }
}

fn is(index: &Index, path: u32, parent: u32, name: &[u8]) -> bool {
    index.parent(PathId(path)).0 == parent && index.name(PathId(path)) == name
}

/// The kind as a tar writes it.
const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
        Kind::Sparse => b'S',
        Kind::Other(other) => other,
    }
}
