//! Layers with a table of contents of their own, as builders write them: eStargz and zstd:chunked.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, clippy::unwrap_used, reason = "each test uses its own part")]

use std::io::Write as _;
use std::path::Path;

use lighterman::model::Digest;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Estargz,
    Chunked,
}

/// What goes into a layer.
#[derive(Debug, Clone)]
pub enum Put {
    Dir(&'static str),
    File(&'static str, Vec<u8>),
    Symlink(&'static str, &'static str),
    Hardlink(&'static str, &'static str),
}

/// A layer, and what the manifest that lists it says of it.
#[derive(Debug, Clone)]
pub struct Layer {
    pub stored: Vec<u8>,
    pub tar: Vec<u8>,
    pub annotations: Value,
    /// Where files' pieces start.
    pub pieces: Vec<usize>,
}

/// Files are cut into pieces of so many bytes.
pub const PIECE: usize = 100_000;

struct Making {
    form: Form,
    stored: Vec<u8>,
    tar: Vec<u8>,
    /// Of the tar, and not yet packed.
    waiting: Vec<u8>,
    entries: Vec<Value>,
    pieces: Vec<usize>,
}

impl Making {
    fn pack(&mut self, bytes: &[u8]) {
        self.tar.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.stored.extend(packed(self.form, bytes));
        }
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.pack(&waiting);
    }

    fn put(&mut self, put: &Put) {
        let (kind, path, link, body): (_, _, _, &[u8]) = match put {
            Put::Dir(path) => ("dir", path, "", &[]),
            Put::File(path, body) => ("reg", path, "", body),
            Put::Symlink(path, link) => ("symlink", path, link, &[]),
            Put::Hardlink(path, link) => ("hardlink", path, link, &[]),
        };
        let types = [("dir", tar::EntryType::Directory), ("reg", tar::EntryType::Regular), ("symlink", tar::EntryType::Symlink)];
        let kind_of = types.iter().find(|(name, _)| *name == kind).map_or(tar::EntryType::Link, |(_, of)| *of);
        self.waiting.extend(header(path, kind_of, link, body.len()));
        let mut entry = json!({"name": path, "type": kind, "mode": 0o644, "uid": 0, "gid": 0, "modtime": "2023-11-14T22:13:20Z"});
        if !link.is_empty() {
            entry["linkName"] = json!(link);
        }
        if body.is_empty() {
            self.entries.push(entry);
            return;
        }
        self.flush();
        entry["size"] = json!(body.len());
        entry["digest"] = json!(Digest::sha256(body));
        let many = body.len() > PIECE;
        let first = self.entries.len();
        for (at, piece) in body.chunks(PIECE).enumerate() {
            let mut told = if at == 0 { entry.clone() } else { json!({"name": path, "type": "chunk"}) };
            self.pieces.push(self.stored.len());
            told["offset"] = json!(self.stored.len());
            if many || self.form == Form::Estargz {
                told["chunkDigest"] = json!(Digest::sha256(piece));
            }
            if many {
                told["chunkSize"] = json!(piece.len());
                told["chunkOffset"] = json!(at * PIECE);
                if self.form == Form::Chunked && piece.iter().all(|&byte| byte == 0) {
                    told["chunkType"] = json!("zeros");
                }
            }
            self.pack(piece);
            self.entries.push(told);
        }
        if self.form == Form::Chunked {
            self.entries[first]["endOffset"] = json!(self.stored.len());
        }
        self.waiting.resize(padding(body.len()), 0);
    }
}

fn packed(form: Form, bytes: &[u8]) -> Vec<u8> {
    match form {
        Form::Estargz => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        Form::Chunked => zstd::encode_all(bytes, 1).unwrap(),
    }
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(512) - length
}

fn header(path: &str, kind: tar::EntryType, link: &str, size: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).unwrap();
    header.set_entry_type(kind);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
    }
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Makes a layer; `spoil` may change the table before it is written.
pub fn layer(form: Form, puts: &[Put], spoil: impl FnOnce(&mut Value)) -> Layer {
    let mut making = Making { form, stored: Vec::new(), tar: Vec::new(), waiting: Vec::new(), entries: Vec::new(), pieces: Vec::new() };
    for put in puts {
        making.put(put);
    }
    let mut table = json!({"version": 1, "entries": making.entries});
    spoil(&mut table);
    let json = serde_json::to_vec(&table).unwrap();
    let annotations = match form {
        Form::Estargz => {
            making.flush();
            let at = making.stored.len();
            let own = header("stargz.index.json", tar::EntryType::Regular, "", json.len());
            making.pack(&[&own, &json[..], &vec![0; padding(json.len()) + 1024]].concat());
            let footer = format!("{at:016x}STARGZ");
            let head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0";
            making.stored.extend([head, footer.as_bytes(), b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0"].concat());
            json!({"containerd.io/snapshot/stargz/toc.digest": Digest::sha256(&json)})
        }
        Form::Chunked => {
            making.waiting.extend([0; 1024]);
            making.flush();
            let packed = packed(form, &json);
            let at = making.stored.len() + 8;
            making.stored.extend(skipped(&packed));
            let places = [at, packed.len(), json.len(), 1];
            let last: Vec<u8> = places.iter().flat_map(|place| (*place as u64).to_le_bytes()).collect();
            making.stored.extend(skipped(&[&last, &b"GNUlInUx"[..]].concat()));
            json!({
                "io.github.containers.zstd-chunked.manifest-checksum": Digest::sha256(&packed),
                "io.github.containers.zstd-chunked.manifest-position": places.map(|place| place.to_string()).join(":"),
            })
        }
    };
    Layer { stored: making.stored, tar: making.tar, annotations, pieces: making.pieces }
}

/// A frame that is no data.
fn skipped(bytes: &[u8]) -> Vec<u8> {
    [&b"\x50\x2a\x4d\x18"[..], &u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// The configuration and the manifest of an image of that layer.
pub fn documents(form: Form, layer: &Layer) -> (Vec<u8>, Vec<u8>) {
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer.tar)]},
        "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "COPY"}]})
    .to_string()
    .into_bytes();
    let packing = if form == Form::Estargz { "gzip" } else { "zstd" };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::sha256(&config), "size": config.len()},
        "layers": [{"mediaType": format!("application/vnd.oci.image.layer.v1.tar+{packing}"), "digest": Digest::sha256(&layer.stored),
            "size": layer.stored.len(), "annotations": layer.annotations}],
    });
    (config, manifest.to_string().into_bytes())
}

/// Writes a layout of an image of that layer.
pub fn layout(dir: &Path, form: Form, layer: &Layer) {
    let (config, manifest) = documents(form, layer);
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    for blob in [&config, &manifest, &layer.stored] {
        std::fs::write(dir.join("blobs/sha256").join(Digest::sha256(blob).hex()), blob).unwrap();
    }
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::sha256(&manifest), "size": manifest.len(), "annotations": {"org.opencontainers.image.ref.name": "1"}}]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
