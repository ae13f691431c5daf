//! What looking into layers costs: the index of a large image beside the bare SHA-256 of the same bytes, of gzipped layers beside their bare
//! decompression, from what is kept, in memory, and a key in a tree of a million entries. `cargo bench --bench layers`.
//!
//! It makes its own image of about 1 GB with 100,000 files in 7 layers, below `target/`; `LIGHTERMAN_BENCH_ARCHIVE` names a docker-archive to be
//! measured instead. Ratios are of medians over rounds in which all take turns.
#![allow(
    clippy::allow_attributes,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what it measured, and fails by panicking"
)]

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lighterman::layer::index::{self, Index, Known};
use lighterman::layer::tree::{Order, Rows, Scope};
use lighterman::layer::{Efficiency, NodeId, Tree, View, Walker, Waste};
use lighterman::model::Hasher;

const ROUNDS: usize = 5;
/// Says which of the parts that run in a process of their own this is: `FORM COUNT`.
const PART: &str = "LIGHTERMAN_BENCH_PART";

/// A layer in a file.
#[derive(Clone)]
struct Stored {
    file: PathBuf,
    start: u64,
    size: u64,
}

impl Stored {
    fn open(&self) -> impl Read + use<> {
        let mut file = File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.start)).unwrap();
        file.take(self.size)
    }
}

fn main() {
    if let Ok(part) = std::env::var(PART) {
        let (form, count) = part.split_once(' ').unwrap();
        return alone(form, count.parse().unwrap());
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-layers");
    std::fs::create_dir_all(&dir).unwrap();
    let archive = std::env::var_os("LIGHTERMAN_BENCH_ARCHIVE").map_or_else(|| made(&dir), PathBuf::from);
    let layers = layers(&archive);
    let bytes: u64 = layers.iter().map(|layer| layer.size).sum();
    println!("{}: {} layers, {} MB", archive.display(), layers.len(), bytes / 1_000_000);
    plain(&archive, &layers);
    gzipped(&dir, &layers);
    kept(&layers);
    for (form, count) in [("deep", 100_000), ("deep", 1_000_000), ("flat", 100_000), ("flat", 1_000_000)] {
        let run = Command::new(std::env::current_exe().unwrap()).env(PART, format!("{form} {count}")).status().unwrap();
        assert!(run.success());
    }
}

/// The image of the measurements.
fn made(dir: &Path) -> PathBuf {
    let archive = dir.join("image.tar");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    // Half noise, half words, as binaries and sources are.
    let noise: Vec<u8> = (0..4 << 20).flat_map(|_| next().to_le_bytes()).collect();
    let words: Vec<u8> =
        (0..4 << 20).flat_map(|_| [b"the ", b"of a", b"name", b"\n  i"][usize::try_from(next() % 4).unwrap()].to_vec()).collect();
    let mut out = tar::Builder::new(BufWriter::new(File::create(&archive).unwrap()));
    for layer in 0..7 {
        let mut inner = tar::Builder::new(Vec::new());
        for n in 0..14_300_u64 {
            let size = usize::try_from(if n % 100 == 0 { next() % 700_000 } else { next() % 7_000 }).unwrap();
            let from = if n % 2 == 0 { &noise } else { &words };
            let at = usize::try_from(next()).unwrap_or_default() % (from.len() - size);
            // The upper layers write some of the lower ones' files again, and take some away.
            let of = if layer > 3 && n % 5 == 0 { layer - 3 } else { layer };
            let mark = if layer > 4 && n % 50 == 1 { ".wh." } else { "" };
            let path = format!("usr/lib/layer-{of}/package-{}/{mark}file-{n}.so", n % 397);
            let mut header = tar::Header::new_gnu();
            let body = if mark.is_empty() { from.get(at..at + size).unwrap() } else { &[] };
            header.set_size(body.len() as u64);
            header.set_mode(0o644);
            inner.append_data(&mut header, path, body).unwrap();
        }
        let bytes = inner.into_inner().unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, format!("{layer}/layer.tar"), &bytes[..]).unwrap();
    }
    out.into_inner().unwrap().flush().unwrap();
    archive
}

fn layers(archive: &Path) -> Vec<Stored> {
    let mut walker = Walker::seeking(File::open(archive).unwrap()).unwrap();
    let mut layers = Vec::new();
    while let Some(entry) = walker.next_entry().unwrap() {
        if entry.path.ends_with(b"layer.tar") {
            layers.push(Stored { file: archive.to_owned(), start: entry.data_offset, size: entry.size });
        }
    }
    layers
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let out = run();
    (start.elapsed(), out)
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap()
}

fn indexed(layer: &Stored) -> Arc<Index> {
    let index = index::read(layer.open(), &Known::default());
    assert_eq!(index.problem(), None);
    Arc::new(index)
}

fn indexes(layers: &[Stored], threads: usize) -> Vec<Arc<Index>> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut own = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = layers.get(at) else { return own };
            own.push((at, indexed(layer)));
        }
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, index)| index).collect()
}

/// All that a first look wants to know.
fn looked(layers: &[Stored], threads: usize) -> (Tree, u64) {
    let tree = Tree::new(indexes(layers, threads)).unwrap();
    let efficiency = Efficiency::new(&tree);
    let waste = Waste::new(&tree).bytes();
    assert!(efficiency.score > 0.0);
    (tree, waste)
}

fn plain(archive: &Path, layers: &[Stored]) {
    let mut times: [Vec<Duration>; 5] = Default::default();
    let mut wasted = 0;
    for _ in 0..ROUNDS {
        times[0].push(timed(|| io::copy(&mut File::open(archive).unwrap(), &mut io::sink()).unwrap()).0);
        times[1].push(timed(|| Command::new("openssl").args(["dgst", "-sha256"]).arg(archive).output().unwrap()).0);
        times[2].push(timed(|| bare(layers)).0);
        times[3].push(timed(|| wasted = looked(layers, 1).1).0);
        times[4].push(timed(|| looked(layers, 2)).0);
    }
    let names = ["copy to nowhere", "openssl dgst -sha256", "our SHA-256 alone", "index, tree, waste; 1 thread", "the same; 2 threads"];
    let floor = median(&times[1]);
    for (name, times) in names.iter().zip(&times) {
        println!("plain    {name:32} {:>8.1?}  {:.2} x openssl", median(times), median(times).as_secs_f64() / floor.as_secs_f64());
    }
    println!("plain    hidden bytes: {wasted}");
}

/// Only the hash that verifies the layers.
fn bare(layers: &[Stored]) {
    let mut buffer = vec![0; 128 * 1024];
    for layer in layers {
        let (mut reader, mut hasher) = (layer.open(), Hasher::sha256());
        loop {
            let read = reader.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        std::hint::black_box(hasher.finish());
    }
}

fn gzipped(dir: &Path, layers: &[Stored]) {
    let packed: Vec<Stored> = (0..)
        .zip(layers)
        .map(|(at, layer): (usize, _)| {
            let file = dir.join(format!("layer-{at}.tar.gz"));
            let mut out = flate2::write::GzEncoder::new(File::create(&file).unwrap(), flate2::Compression::default());
            io::copy(&mut layer.open(), &mut out).unwrap();
            let size = out.finish().unwrap().metadata().unwrap().len();
            Stored { file, start: 0, size }
        })
        .collect();
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(timed(|| packed.iter().for_each(unpacked)).0);
        times[1].push(timed(|| looked(&packed, 1)).0);
        times[2].push(timed(|| looked(&packed, 2)).0);
    }
    let floor = median(&times[0]);
    for (name, times) in ["zlib-rs alone; 1 thread", "index, tree, waste; 1 layer at once", "the same; 2 at once"].iter().zip(&times) {
        println!("gzipped  {name:32} {:>8.1?}  {:.2} x zlib-rs", median(times), median(times).as_secs_f64() / floor.as_secs_f64());
    }
}

fn unpacked(layer: &Stored) {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(128 * 1024, layer.open()));
    let mut buffer = vec![0; 128 * 1024];
    while decoder.read(&mut buffer).unwrap() > 0 {}
}

fn kept(layers: &[Stored]) {
    let indexes = indexes(layers, 2);
    let members: usize = indexes.iter().map(|index| index.len()).sum();
    let files: Vec<Vec<u8>> = indexes.iter().map(|index| index.to_bytes().unwrap()).collect();
    let size: usize = files.iter().map(Vec::len).sum();
    let (mut read, mut tree) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (time, indexes) = timed(|| files.iter().map(|bytes| Arc::new(Index::from_bytes(bytes).unwrap())).collect::<Vec<_>>());
        read.push(time);
        let (time, _) = timed(|| {
            let tree = Tree::new(indexes).unwrap();
            let view = View::new(&tree, Scope::Merged(usize::MAX));
            Rows::new(&tree, &view).len()
        });
        tree.push(time);
    }
    println!("kept     {members} members in {} KB: read {:.1?}, tree and first rows {:.1?}", size / 1000, median(&read), median(&tree));
}

/// A tar of so many empty files that is never anywhere as a whole.
struct Many {
    flat: bool,
    left: usize,
    at: usize,
    block: [u8; 512],
    given: usize,
}

impl Many {
    fn new(form: &str, count: usize) -> Self {
        Self { flat: form == "flat", left: count, at: 0, block: [0; 512], given: 512 }
    }

    fn next(&mut self) {
        self.block = [0; 512];
        if self.at < self.left {
            let n = self.at;
            let path = if self.flat {
                format!("data/file-{:08x}", n.wrapping_mul(0x9e37_79b1) & 0xffff_ffff)
            } else {
                format!("usr/lib/a{:03}/b{:02}/file-{n}", n % 500, n / 500 % 40)
            };
            let mut header = tar::Header::new_gnu();
            header.set_path(path).unwrap();
            header.set_size(0);
            header.set_mode(0o644);
            header.set_mtime(n as u64);
            header.set_cksum();
            self.block = *header.as_bytes();
        }
        self.at += 1;
        self.given = 0;
    }
}

impl Read for Many {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == 512 {
            if self.at == self.left + 2 {
                return Ok(0);
            }
            self.next();
        }
        let count = buffer.len().min(512 - self.given);
        buffer[..count].copy_from_slice(&self.block[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// In a process of its own, so that its memory is its own.
fn alone(form: &str, count: usize) {
    let before = peak();
    let (indexing, index) = timed(|| Arc::new(index::read(Many::new(form, count), &Known::default())));
    assert_eq!((index.len(), index.problem()), (count, None));
    let indexed = peak();
    let per = index.memory() as f64 / count as f64;
    let (building, tree) = timed(|| Tree::new(vec![index]).unwrap());
    let (viewing, mut view) = timed(|| View::new(&tree, Scope::Merged(0)));
    let (ordering, ()) = timed(|| view.set_order(&tree, Order::Size));
    view.set_order(&tree, Order::Name);
    let mut rows = Rows::new(&tree, &view);
    let (opening, ()) = timed(|| rows.open_all(&tree, &view));
    let total = rows.len();
    // The dearest keys there are: folding the first row, which all others are below, and opening the largest directory.
    let (folding, _) = timed(|| rows.close(0));
    let (unfolding, _) = timed(|| rows.open(&tree, &view, 0));
    rows.open_all(&tree, &view);
    let moved = timed(|| {
        (0..1000).map(|n| rows.window(n * (total / 1000), 50).iter().map(|row| tree.name(row.node).len()).sum::<usize>()).sum::<usize>()
    })
    .0;
    let (finding, found) = timed(|| tree.find(&tree.path(NodeId::ROOT)));
    assert!(found.is_some());
    println!(
        "{form} {count:>7}: index {indexing:.1?}, {per:.0} bytes each with its name; tree {building:.1?}; view {viewing:.1?}, by size {ordering:.1?}; \
         open all {opening:.1?}, fold {folding:.1?}, unfold {unfolding:.1?}, a screen of rows {:.1?}, find {finding:.1?}",
        moved / 1000
    );
    println!(
        "{form} {count:>7}: peak memory {} MB indexed, {} MB with tree, view and rows; {} MB of it before",
        indexed / 1000,
        peak() / 1000,
        before / 1000
    );
}

/// The most memory that this process ever had, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
}
