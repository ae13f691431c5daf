//! The index of a layer from the table of contents that it has in itself, without reading the layer.
//!
//! What such a table tells is what a tar's headers tell, and where each file lies in the stored bytes. The table is hostile: it is read entry by
//! entry and within the bounds of every index.
//!
//! May use model. Facts: the eStargz specification (a table as in CRFS), and zstd:chunked as `containers/storage` writes it, which adds where a
//! file ends and which pieces are zeros.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::build::Builder;
use super::pieces::{Packing, Piece, Pieces};
use super::{ContentHash, Index};
use crate::layer::{Entry, Kind};
use crate::model::Digest;

/// Why a table of contents can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTable(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    /// Of a further piece it may be left out.
    #[serde(default)]
    name: String,
    #[serde(default)]
    size: u64,
    /// Numbers that are not told are zero.
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    uid: u64,
    #[serde(default)]
    gid: u64,
    #[serde(default)]
    modtime: Option<String>,
    #[serde(default)]
    link_name: String,
    #[serde(default)]
    dev_major: u32,
    #[serde(default)]
    dev_minor: u32,
    #[serde(default)]
    xattrs: Option<BTreeMap<String, String>>,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    end_offset: u64,
    #[serde(default)]
    chunk_offset: u64,
    #[serde(default)]
    chunk_size: u64,
    #[serde(default)]
    chunk_digest: String,
    #[serde(default)]
    chunk_type: String,
    #[serde(default)]
    inner_offset: u64,
}

/// Makes an index of a table in JSON. `end` is where the stored bytes that it is about end; `last` a member that the tar has after all that the
/// table tells of, as eStargz has the table itself.
///
/// # Errors
/// [`BadTable`].
pub fn from_table(json: &[u8], packing: Packing, end: u64, last: Option<(Entry, Piece)>) -> Result<Index, BadTable> {
    let mut making = Making { builder: Builder::new(), packing, end, pieces: Vec::new(), files: Vec::new(), current: None };
    let mut from = serde_json::Deserializer::from_slice(json);
    Table(&mut making).deserialize(&mut from).and_then(|()| from.end()).map_err(|error| BadTable(error.to_string()))?;
    making.finish(last).map_err(|why| BadTable(why.to_owned()))
}

/// A file whose pieces are still being told.
struct Current {
    name: String,
    size: u64,
    end: u64,
    first: usize,
    member: u32,
    /// Bytes of its pieces so far.
    told: u64,
    digest: Option<Digest>,
}

struct Making {
    builder: Builder,
    packing: Packing,
    end: u64,
    /// Their lengths are not known before all are told.
    pieces: Vec<Piece>,
    files: Vec<(u32, u32, u32)>,
    current: Option<Current>,
}

const SHORT: &str = "the pieces of a file don't make it up";
const FULL: &str = "it tells of more than an index can hold";

impl Making {
    fn take(&mut self, told: &Told) -> Result<(), &'static str> {
        if told.kind == "chunk" {
            let mut current = self
                .current
                .take()
                .filter(|current| told.name.is_empty() || current.name == told.name)
                .ok_or("it has a piece of no file")?;
            self.piece(&mut current, told)?;
            self.current = Some(current);
            return Ok(());
        }
        self.close()?;
        let kind = match told.kind.as_str() {
            "reg" => Kind::File,
            "dir" => Kind::Directory,
            "symlink" => Kind::Symlink,
            "hardlink" => Kind::Hardlink,
            "char" => Kind::Char,
            "block" => Kind::Block,
            "fifo" => Kind::Fifo,
            _ => return Err("it has an entry of a kind that there is not"),
        };
        let size = if kind == Kind::File { told.size } else { 0 };
        if size > i64::MAX as u64 {
            return Err("it has a file of an impossible size");
        }
        let content = (kind == Kind::File && size == 0).then(|| ContentHash::of(b""));
        let member = self.builder.add(&entry(told, kind, size), content).map_err(|_full| FULL)?;
        if size > 0 {
            let digest = digest(&told.digest)?;
            let first = self.pieces.len();
            let mut current = Current { name: told.name.clone(), size, end: told.end_offset, first, member: member.0, told: 0, digest };
            self.piece(&mut current, told)?;
            self.current = Some(current);
        }
        Ok(())
    }

    fn piece(&mut self, current: &mut Current, told: &Told) -> Result<(), &'static str> {
        let left = current.size.checked_sub(current.told).filter(|&left| left > 0 && told.chunk_offset == current.told).ok_or(SHORT)?;
        // What is left of the file, where it isn't told.
        let size = if told.chunk_size == 0 { left } else { told.chunk_size };
        if size > left {
            return Err(SHORT);
        }
        if told.offset >= self.end {
            return Err("a piece of a file lies outside of the layer");
        }
        current.told += size;
        self.pieces.push(Piece {
            offset: told.offset,
            length: 0,
            skip: told.inner_offset,
            size,
            digest: digest(&told.chunk_digest)?,
            is_zeros: told.chunk_type == "zeros",
        });
        Ok(())
    }

    /// Ends the file whose pieces were told.
    fn close(&mut self) -> Result<(), &'static str> {
        let Some(current) = self.current.take() else { return Ok(()) };
        if current.told != current.size {
            return Err(SHORT);
        }
        let place = |at: usize| u32::try_from(at).map_err(|_too_many| FULL);
        let (first, end) = (place(current.first)?, place(self.pieces.len())?);
        let mut rest = self.pieces.get_mut(current.first..).unwrap_or_default();
        if let [only] = rest {
            only.digest = only.digest.take().or(current.digest);
        }
        // Where the next one starts, this one ends.
        while let [piece, after @ ..] = rest {
            let until = after.first().map_or(current.end, |next| next.offset);
            piece.length = until.saturating_sub(piece.offset);
            rest = after;
        }
        self.files.push((current.member, first, end));
        Ok(())
    }

    fn finish(mut self, last: Option<(Entry, Piece)>) -> Result<Index, &'static str> {
        self.close()?;
        let mut starts: Vec<u64> = self.pieces.iter().map(|piece| piece.offset).collect();
        starts.sort_unstable();
        starts.dedup();
        for piece in &mut self.pieces {
            // Several may share what was packed together: all of them lie before the next one that doesn't.
            let next = starts.get(starts.partition_point(|&start| start <= piece.offset)).map_or(self.end, |&next| next.min(self.end));
            let most = next.saturating_sub(piece.offset);
            piece.length = if piece.length == 0 { most } else { piece.length.min(self.end.saturating_sub(piece.offset)) };
        }
        // It lies behind all of those.
        if let Some((entry, piece)) = last {
            let member = self.builder.add(&entry, None).map_err(|_full| FULL)?;
            let at = u32::try_from(self.pieces.len()).map_err(|_too_many| FULL)?;
            self.files.push((member.0, at, at + 1));
            self.pieces.push(piece);
        }
        let mut index = self.builder.finish();
        self.pieces.shrink_to_fit();
        index.pieces = Some(Pieces { packing: self.packing, all: self.pieces, files: self.files });
        Ok(index)
    }
}

fn digest(told: &str) -> Result<Option<Digest>, &'static str> {
    if told.is_empty() { Ok(None) } else { told.parse().map(Some).map_err(|_none| "it has a digest that is none") }
}

fn entry(told: &Told, kind: Kind, size: u64) -> Entry {
    let attributes = told.xattrs.iter().flatten();
    let capability = told.xattrs.as_ref().and_then(|all| all.get("security.capability"));
    let capability = capability.and_then(|value| base64::engine::general_purpose::STANDARD.decode(value).ok());
    let others = attributes.count() - usize::from(capability.is_some());
    Entry {
        path: told.name.as_bytes().to_vec(),
        link: matches!(kind, Kind::Symlink | Kind::Hardlink).then(|| told.link_name.as_bytes().to_vec()),
        kind,
        size,
        content_size: size,
        data_offset: 0,
        mode: Some(told.mode),
        uid: Some(told.uid),
        gid: Some(told.gid),
        mtime: told.modtime.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_second),
        device: matches!(kind, Kind::Char | Kind::Block).then_some((told.dev_major, told.dev_minor)),
        capability,
        xattrs: u16::try_from(others).unwrap_or(u16::MAX),
    }
}

/// Reads the table without ever having all of it.
struct Table<'a>(&'a mut Making);
struct Entries<'a>(&'a mut Making);

impl<'de> DeserializeSeed<'de> for Table<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Table<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of contents")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "entries" if seen => return Err(de::Error::custom("it has two lists of entries")),
                "entries" => {
                    map.next_value_seed(Entries(self.0))?;
                    seen = true;
                }
                "version" if map.next_value::<u64>()? != 1 => return Err(de::Error::custom("it is of an unknown version")),
                "version" => {}
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if seen { Ok(()) } else { Err(de::Error::custom("it has no entries")) }
    }
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(told) = seq.next_element::<Told>()? {
            self.0.take(&told).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{MemberId, Unpacker};
    use super::*;

    fn of(entries: &Value) -> Result<Index, BadTable> {
        from_table(json!({"version": 1, "entries": entries}).to_string().as_bytes(), Packing::Zstd, 1000, None)
    }

    fn digest(of: &[u8]) -> Digest {
        Digest::sha256(of)
    }

    #[test]
    fn what_headers_tell_is_taken_over_and_pieces_end_where_the_next_ones_start() {
        let index = of(&json!([
            {"name": "etc/", "type": "dir", "mode": 0o755, "uid": 1, "gid": 2, "modtime": "2023-11-14T22:13:20.5Z"},
            {"name": "bin/ping", "type": "reg", "mode": 0o4755, "size": 10, "offset": 100, "endOffset": 130, "digest": digest(b"x"),
                "xattrs": {"security.capability": "AQI=", "user.a": "eA=="}},
            {"name": "./big", "type": "reg", "size": 30, "offset": 200, "chunkSize": 20, "chunkDigest": digest(b"1"), "digest": digest(b"12")},
            {"name": "./big", "type": "chunk", "offset": 260, "chunkOffset": 20, "chunkDigest": digest(b"2"), "chunkType": "zeros"},
            {"name": "one", "type": "reg", "size": 3, "offset": 500, "digest": digest(b"3")},
            {"name": "two", "type": "reg", "size": 4, "offset": 500, "innerOffset": 3, "digest": digest(b"4")},
            {"name": "link", "type": "hardlink", "linkName": "one"},
            {"name": "soft", "type": "symlink", "linkName": "../x"},
            {"name": "null", "type": "char", "devMajor": 1, "devMinor": 3},
            {"name": "empty", "type": "reg"},
            {"name": ".wh.gone", "type": "reg", "size": 0},
        ]))
        .unwrap();
        let all: Vec<_> = index.members().map(|(_, member)| member).collect();
        assert_eq!((all[0].kind(), all[0].mode(), all[0].uid(), all[0].gid()), (Kind::Directory, Some(0o755), Some(1), Some(2)));
        assert_eq!((all[0].mtime(), all[0].told()), (Some(1_700_000_000), b"etc/".to_vec()));
        assert_eq!((all[1].capability(), all[1].other_xattrs(), all[1].content()), (Some(&[1, 2][..]), 1, None));
        assert_eq!((all[2].path(), all[2].size()), (b"big".to_vec(), 30));
        assert_eq!((all[5].linked(), all[6].link(), all[7].device()), (Some(MemberId(3)), Some(&b"../x"[..]), Some((1, 3))));
        assert_eq!(all[8].content(), Some(ContentHash::of(b"")));
        assert!(all[9].whiteout().is_some());
        assert!(!all[1].has_same_content(&all[1]), "nobody has read it");
        let pieces = |member: u32| {
            let pieces = index.pieces().unwrap().of(MemberId(member));
            pieces.iter().map(|piece| (piece.offset, piece.length, piece.skip, piece.size, piece.is_zeros)).collect::<Vec<_>>()
        };
        assert_eq!(pieces(1), [(100, 30, 0, 10, false)]);
        assert_eq!(pieces(2), [(200, 60, 0, 20, false), (260, 240, 0, 10, true)]);
        assert_eq!((pieces(3), pieces(4)), (vec![(500, 500, 0, 3, false)], vec![(500, 500, 3, 4, false)]));
        assert_eq!((pieces(0), pieces(8), pieces(77)), (vec![], vec![], vec![]));
    }

    #[test]
    fn tables_that_contradict_themselves_are_refused() {
        let file = json!({"name": "a", "type": "reg", "size": 10, "offset": 1, "chunkSize": 5});
        let chunk = |change: Value| {
            let mut chunk = json!({"name": "a", "type": "chunk", "offset": 2, "chunkOffset": 5});
            chunk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            chunk
        };
        assert!(of(&json!([file, chunk(json!({}))])).is_ok());
        for bad in [
            json!([file]),
            json!([file, chunk(json!({"name": "b"}))]),
            json!([file, chunk(json!({"chunkOffset": 4}))]),
            json!([file, chunk(json!({"chunkSize": 6}))]),
            json!([file, chunk(json!({"chunkSize": 4}))]),
            json!([file, chunk(json!({})), chunk(json!({"chunkOffset": 10}))]),
            json!([file, chunk(json!({"offset": 1000}))]),
            json!([file, chunk(json!({"chunkDigest": "sha256:no"}))]),
            json!([chunk(json!({}))]),
            json!([{"name": "a", "type": "socket"}]),
            json!([{"name": "a", "type": "reg", "size": u64::MAX, "offset": 1}]),
            json!({}),
        ] {
            assert!(of(&bad).is_err(), "{bad}");
        }
        for bad in ["", "[]", "{}", r#"{"version": 2, "entries": []}"#, r#"{"entries": [], "entries": []}"#, r#"{"entries": []} x"#] {
            assert!(from_table(bad.as_bytes(), Packing::Gzip, 9, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_piece_is_cut_out_and_held_against_its_digest() {
        let stored = zstd::encode_all(&b"before and after"[..], 1).unwrap();
        let piece = |skip, size, of: &[u8]| Piece { offset: 0, length: 99, skip, size, digest: Some(digest(of)), is_zeros: false };
        let unpack = |piece: &Piece, stored: &[u8]| Unpacker::new(Packing::Zstd, stored, 0).unpack(piece).ok();
        assert_eq!(unpack(&piece(7, 3, b"and"), &stored), Some(b"and".to_vec()));
        assert_eq!(unpack(&piece(7, 3, b"AND"), &stored), None);
        assert_eq!(unpack(&piece(7, 99, b"and after"), &stored), None, "it ends too early");
        assert_eq!(unpack(&piece(99, 1, b"x"), &stored), None);
        assert_eq!(unpack(&Piece { digest: None, ..piece(7, 3, b"and") }, &stored), None);
        assert_eq!(unpack(&piece(0, 1, b"x"), b"not packed"), None);
    }

    #[test]
    fn what_was_packed_together_is_unpacked_once() {
        let stored = [b"####".to_vec(), zstd::encode_all(&b"one two three"[..], 1).unwrap()].concat();
        let piece = |skip, of: &[u8]| {
            let digest = Some(digest(of));
            Piece { offset: 1004, length: 99, skip, size: of.len() as u64, digest, is_zeros: false }
        };
        let mut unpacker = Unpacker::new(Packing::Zstd, &stored, 1000);
        let mut told = Vec::new();
        for (skip, of) in [(0, &b"one"[..]), (4, b"two"), (8, b"three"), (4, b"two three"), (14, b""), (99, b"x")] {
            let piece = piece(skip, of);
            let skipped = unpacker.skipped(&piece);
            told.push((skipped, unpacker.unpack(&piece).is_ok_and(|out| out == of)));
        }
        assert_eq!(told, [(0, true), (1, true), (1, true), (4, true), (1, true), (86, false)]);
        assert_eq!(unpacker.skipped(&piece(4, b"two")), 4, "after what can't be read it is begun anew");
        assert!(unpacker.unpack(&piece(4, b"two")).is_ok());
    }

    fn entries() -> impl Strategy<Value = Vec<Value>> {
        let name = prop::sample::select(vec!["a", "b/", "../c", "/etc/passwd", "", "a/b/.wh.c", "\u{1b}[31m"]);
        let kind = prop::sample::select(vec!["reg", "chunk", "dir", "hardlink", "symlink", "char", "odd"]);
        let number = || prop_oneof![0..40_u64, Just(u64::MAX), Just(i64::MAX as u64)];
        let entry = (name, kind, number(), number(), number(), number()).prop_map(|(name, kind, size, offset, chunk, inner)| {
            json!({"name": name, "type": kind, "size": size, "offset": offset, "chunkSize": chunk, "chunkOffset": size, "innerOffset": inner,
                "endOffset": chunk, "linkName": name})
        });
        prop::collection::vec(entry, 0..12)
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>(), packed in prop::collection::vec(any::<u8>(), 0..99)) {
            let mut bytes = json!({"version": 1, "entries": entries}).to_string().into_bytes();
            for json in [bytes.clone(), { let at = at.index(bytes.len()); bytes[at] = byte; bytes }] {
                let Ok(index) = from_table(&json, Packing::Gzip, 50, None) else { continue };
                for (id, _) in index.members() {
                    for piece in index.pieces().unwrap().of(id) {
                        prop_assert!(piece.offset + piece.length <= 50);
                        let piece = Piece { size: piece.size.min(1000), ..piece.clone() };
                        let _ = Unpacker::new(Packing::Gzip, &packed, 0).unpack(&piece);
                        let _ = Unpacker::new(Packing::Zstd, &packed, 0).unpack(&piece);
                    }
                }
            }
        }
    }
}
