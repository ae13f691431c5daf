//! What curating costs while a user types or marks: ten thousand rows have to answer within a keystroke.

use divan::{Bencher, black_box, counter::ItemsCount};
use lighterman::curate::reclaim::Holdings;
use lighterman::model::Digest;

fn main() {
    divan::main();
}

/// Layers of `count` manifests, twenty each: half of them of some base, half its own or a neighbour's.
fn layers(count: usize) -> Vec<Vec<(Digest, u64)>> {
    let blob = |n: usize| (Digest::sha256(&n.to_le_bytes()), 1_000 + n as u64);
    let bases: Vec<(Digest, u64)> = (0..500).map(blob).collect();
    let own: Vec<(Digest, u64)> = (1_000..1_000 + count * 5).map(blob).collect();
    let base = |n: usize| (0..10).map(move |layer| (n % 50) * 10 + layer);
    let of = |n: usize| base(n).map(|at| bases[at].clone()).chain((0..10).map(|layer| own[(n * 5 + layer) % own.len()].clone())).collect();
    (0..count).map(of).collect()
}

fn holdings(layers: &[Vec<(Digest, u64)>]) -> Holdings {
    let mut all = Holdings::default();
    for blobs in layers {
        all.add(blobs.iter().map(|(digest, size)| (digest, *size)));
    }
    all
}

/// From digests to bytes: interning 200,000 references, and weighing half of the manifests.
#[divan::bench(args = [10_000])]
fn reclaim_from_digests(bencher: Bencher, count: usize) {
    let layers = layers(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| holdings(black_box(&layers)).free((0..count).step_by(2)));
}

/// As marks change: the blobs are interned already.
#[divan::bench(args = [10_000])]
fn reclaim_of_marks(bencher: Bencher, count: usize) {
    let all = holdings(&layers(count));
    bencher.counter(ItemsCount::new(count)).bench_local(|| black_box(&all).free((0..count).step_by(2)));
}
