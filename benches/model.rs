//! What every row of a list pays: making foreign text safe, splitting names, checking digests.

use divan::{Bencher, black_box, counter::ItemsCount};
use lighterman::model::{Digest, Name, Safe};

fn main() {
    divan::main();
}

/// Names as an engine lists them.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("registry.example.org:5000/dock/harbour-{}:{}.{}.{n}", n % 400, n % 9, n % 37)).collect()
}

#[divan::bench(args = [10_000])]
fn safe_names(bencher: Bencher, count: usize) {
    let names = names(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| names.iter().map(|name| Safe::new(black_box(name))).collect::<Vec<_>>());
}

/// Text that needs escaping in every field.
#[divan::bench(args = [10_000])]
fn safe_hostile_names(bencher: Bencher, count: usize) {
    let names: Vec<String> = names(count).into_iter().map(|name| format!("\u{1b}[2J{name}\u{202e}\u{9b}1m\nÅ中")).collect();
    bencher.counter(ItemsCount::new(count)).bench_local(|| names.iter().map(|name| Safe::new(black_box(name))).collect::<Vec<_>>());
}

#[divan::bench(args = [10_000])]
fn split_names(bencher: Bencher, count: usize) {
    let names: Vec<Name> = names(count).iter().map(|name| Name::new(name)).collect();
    bencher.counter(ItemsCount::new(count)).bench_local(|| names.iter().filter(|name| black_box(name).split().1.is_some()).count());
}

#[divan::bench(args = [10_000])]
fn parse_digests(bencher: Bencher, count: usize) {
    let digests: Vec<String> = (0..count).map(|n| Digest::sha256(&n.to_le_bytes()).to_string()).collect();
    bencher.counter(ItemsCount::new(count)).bench_local(|| digests.iter().filter(|text| black_box(text).parse::<Digest>().is_ok()).count());
}

/// The rate at which everything read is verified.
#[divan::bench(args = [1 << 20])]
fn sha256(bencher: Bencher, size: usize) {
    let bytes = vec![7_u8; size];
    bencher.counter(divan::counter::BytesCount::new(size)).bench_local(|| Digest::sha256(black_box(&bytes)));
}
