//! Sound bytes, damaged: flipped, cut, doubled, and with numbers changed where the formats have them. Whatever comes of it must be an answer or an
//! error in bounded time and memory; each test goes on for a bounded time and names the seed of what made it fail.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lighterman::layer::efficiency::Efficiency;
use lighterman::layer::hints::hints;
use lighterman::layer::index::{self, Index, Known};
use lighterman::layer::tree::{Rows, Scope};
use lighterman::layer::{Tree, View, Waste};
use lighterman::source::oci::{parse_config, parse_index, parse_manifest};
use serde_json::json;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Damages `bytes` in a few places.
fn damaged(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(out.len());
        let end = (at + random.below(600)).min(out.len());
        match random.below(6) {
            0 => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
            1 => out.truncate(at.max(1)),
            2 => {
                let piece = out[at..end].to_vec();
                let to = random.below(out.len());
                out.splice(to..to, piece);
            }
            3 => drop(out.drain(at..end)),
            4 => {
                let value = random.next().to_le_bytes();
                let many = random.below(9);
                out.iter_mut().skip(at).zip(value).take(many).for_each(|(byte, with)| *byte = with);
            }
            // Digits, where tars and JSON have their numbers.
            _ => out.iter_mut().skip(at).take(40).filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'7'),
        }
        if out.is_empty() {
            return vec![0];
        }
    }
    out
}

/// Makes the checksums of a tar's headers right again where they can be found, so that what lies behind them is reached.
fn mended(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    tar
}

fn rounds(mut one: impl FnMut(&mut Random)) {
    let seconds = std::env::var("LIGHTERMAN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let (start, mut seed) = (Instant::now(), 0_u64);
    while seed < 20 || start.elapsed() < Duration::from_secs(seconds) {
        seed += 1;
        let said = Said(seed);
        one(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        drop(said);
    }
}

/// Names the seed when what it stands for panics.
struct Said(u64);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

/// A tar with all that a walker knows: long names and links, PAX records, links, a device, marks, a hole.
fn sample() -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, link: Option<&str>, body: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        match link {
            Some(link) => out.append_link(&mut header, path, link).unwrap(),
            None => out.append_data(&mut header, path, body).unwrap(),
        }
    };
    add("usr/bin/tool", tar::EntryType::Regular, None, &[7; 700]);
    add(&format!("{}/deep", "long/".repeat(40)), tar::EntryType::Regular, None, b"deep");
    add("usr/bin/other", tar::EntryType::Link, Some("usr/bin/tool"), b"");
    add("lib", tar::EntryType::Symlink, Some(&"../x".repeat(60)), b"");
    add("usr/.wh.gone", tar::EntryType::Regular, None, b"");
    add("opt/.wh..wh..opq", tar::EntryType::Regular, None, b"");
    add("dev/null", tar::EntryType::Char, None, b"");
    add("pax", tar::EntryType::XHeader, None, b"19 path=from/a/pax\n30 SCHILY.xattr.user.note=abc\n15 mtime=12.75\n");
    add("usr", tar::EntryType::Directory, None, b"");
    add("holes", tar::EntryType::GNUSparse, None, &[1; 300]);
    out.into_inner().unwrap()
}

/// Everything that can be asked of a layer.
fn asked(bytes: &[u8], below: &Arc<Index>) {
    let index = Arc::new(index::read(bytes, &Known::default()));
    for (_, member) in index.members() {
        let _ = (member.told(), member.linked(), member.capability(), member.stored(), member.mode());
        assert!(!member.path().split(|&byte| byte == b'/').any(|part| part == b".."));
    }
    if let Some(bytes) = index.to_bytes() {
        assert_eq!(Index::from_bytes(&bytes).as_ref(), Ok(&*index));
    }
    let tree = Tree::new(vec![Arc::clone(below), Arc::clone(&index), index]).unwrap();
    for layer in 0..3 {
        for scope in [Scope::Merged(layer), Scope::Layer(layer)] {
            let view = View::new(&tree, scope);
            let mut rows = Rows::new(&tree, &view);
            rows.open_all(&tree, &view);
            assert_eq!(rows.len(), view.all(&tree).count());
        }
    }
    let (waste, efficiency) = (Waste::new(&tree), Efficiency::new(&tree));
    assert!(waste.bytes() <= waste.written());
    assert!((0.0..=1.0).contains(&efficiency.score));
    let _ = hints(&tree);
}

#[test]
fn damaged_tars() {
    let sample = sample();
    let below = Arc::new(index::read(&sample[..], &Known::default()));
    assert_eq!((below.len(), below.problem()), (9, None));
    rounds(|random| {
        let bytes = damaged(&sample, random);
        asked(&if random.below(4) > 0 { mended(bytes) } else { bytes }, &below);
    });
}

#[test]
fn damaged_gzips_and_zstds() {
    let sample = sample();
    let below = Arc::new(index::read(&sample[..], &Known::default()));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&sample).unwrap();
    let packed = [gzip.finish().unwrap(), zstd::encode_all(&sample[..], 1).unwrap()];
    rounds(|random| asked(&damaged(&packed[random.below(2)], random), &below));
}

#[test]
fn damaged_kept_indexes() {
    let kept = index::read(&sample()[..], &Known::default()).to_bytes().unwrap();
    rounds(|random| {
        let bytes = damaged(&kept, random);
        assert!(bytes == kept || Index::from_bytes(&bytes).is_err());
    });
}

#[test]
fn damaged_manifests_indexes_and_configs() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let descriptor =
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 12_345, "annotations": {"a": "b"}});
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 7},
        "layers": [descriptor, descriptor], "subject": descriptor, "annotations": {"org.opencontainers.image.base.name": "x"}});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]});
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2025-01-02T03:04:05Z",
        "config": {"Env": ["A=b"], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "Healthcheck": {"Test": ["NONE"], "Interval": 30}},
        "rootfs": {"type": "layers", "diff_ids": [digest, digest]},
        "history": [{"created": "2025-01-02T03:04:05Z", "created_by": "x"}, {"empty_layer": true}]});
    let all = [manifest, index, config].map(|value| value.to_string().into_bytes());
    assert!(parse_manifest(&all[0], None).is_ok() && parse_index(&all[1]).is_ok() && parse_config(&all[2]).is_ok());
    rounds(|random| {
        let bytes = damaged(&all[random.below(3)], random);
        let _ = (parse_manifest(&bytes, None), parse_index(&bytes), parse_config(&bytes));
    });
}
