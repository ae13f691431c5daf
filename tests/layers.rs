//! Layers against a second opinion: members, trees, changes, sizes and waste as `tests/oracle/layers.py` works them out, equal to the byte; and
//! against bytes that somebody damaged on purpose, for a bounded time (`LIGHTERMAN_FUZZ_SECONDS` for each kind, 2 where it is not set).
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests are not inside test functions; what fails to be made fails its test; left-out tests say so; a bound needs a clock"
)]

#[path = "layers/fuzz.rs"]
mod fuzz;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lighterman::layer::efficiency::Efficiency;
use lighterman::layer::index::{self, Index, Known, Member};
use lighterman::layer::tree::{Change, Scope};
use lighterman::layer::{Kind, NodeId, Tree, View, Waste};
use serde_json::{Map, Value, json};

const SEEDS: u32 = 100;

/// The second opinion, where it can be asked. What stands for python in a user's home may not do so elsewhere.
fn python() -> Option<&'static str> {
    let works = |python: &&str| Command::new(python).arg("--version").output().is_ok_and(|out| out.status.success());
    let found = ["python3", "/usr/bin/python3"].into_iter().find(works);
    assert!(found.is_some() || std::env::var("CI").as_deref() != Ok("true"), "python3 is needed");
    if found.is_none() {
        eprintln!("left out: what a second opinion says (needs python3)");
    }
    found
}

fn oracle(python: &str, arguments: &[&str]) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/layers.py");
    let out = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File | Kind::Sparse => "file",
        Kind::Directory => "dir",
        Kind::Symlink => "symlink",
        Kind::Hardlink => "hardlink",
        Kind::Char => "char",
        Kind::Block => "block",
        Kind::Fifo => "fifo",
        Kind::Other(_) => "other",
    }
}

fn member(member: &Member<'_>) -> Value {
    json!([
        text(&member.path()),
        kind(member.kind()),
        member.mode(),
        member.uid(),
        member.gid(),
        member.size(),
        member.stored(),
        member.link().map(text),
        member.device().map(|(major, minor)| [major, minor]),
        member.other_xattrs()
    ])
}

fn changes(tree: &Tree, view: &View) -> Map<String, Value> {
    let word = |change| match change {
        Change::Added => "added",
        Change::Modified => "modified",
        Change::Removed => "removed",
        Change::Repeated => "repeated",
    };
    view.all(tree).filter_map(|id| Some((text(&tree.path(id)), word(view.change(id)?).into()))).collect()
}

/// What is there after a layer, the root included.
fn there<'a>(tree: &'a Tree, view: &'a View) -> impl Iterator<Item = NodeId> + 'a {
    std::iter::once(NodeId::ROOT).chain(view.all(tree)).filter(|&id| view.change(id) != Some(Change::Removed))
}

fn told(indexes: &[Arc<Index>]) -> Value {
    let tree = Tree::new(indexes.to_vec()).unwrap();
    let path = |id| text(&tree.path(id));
    let layer = |(at, index): (usize, &Arc<Index>)| {
        let view = View::new(&tree, Scope::Merged(at));
        let sizes: Map<String, Value> = there(&tree, &view).map(|id| (path(id), view.bytes(id).into())).collect();
        json!({
            "members": index.members().map(|(_, one)| member(&one)).collect::<Vec<_>>(),
            "changes": changes(&tree, &view),
            // An empty tree has no sizes there.
            "sizes": if sizes.len() > 1 { sizes } else { Map::new() },
        })
    };
    let last = View::new(&tree, Scope::Merged(usize::MAX));
    let origin = |id| {
        let from = last.origin(&tree, id).zip(last.member(&tree, id));
        from.map_or(Value::Null, |((layer, _), member)| json!([layer, kind(member.kind()), member.size()]))
    };
    let waste = Waste::new(&tree);
    let wasted: Map<String, Value> =
        waste.paths.iter().map(|one| (path(one.node), json!({"overwritten": one.overwritten, "removed": one.removed}))).collect();
    let mut duplicates: Vec<Vec<String>> = waste.duplicates.iter().map(|one| one.nodes.iter().map(|&id| path(id)).collect()).collect();
    for paths in &mut duplicates {
        paths.sort();
    }
    duplicates.sort();
    json!({
        "layers": indexes.iter().enumerate().map(layer).collect::<Vec<_>>(),
        "tree": last.all(&tree).map(|id| (path(id), origin(id))).collect::<Map<_, _>>(),
        "wasted": wasted,
        "duplicates": duplicates,
    })
}

/// What differs, and where, so that a failure can be read.
fn assert_same(at: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                assert_same(&format!("{at}/{key}"), a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                assert_same(&format!("{at}/{n}"), a, b);
            }
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The layer as a registry might have it.
fn stored(bytes: &[u8], seed: u32) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    match seed % 3 {
        0 => bytes.to_vec(),
        1 => {
            let member = |bytes| {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            };
            [member(first), member(second)].concat()
        }
        _ => [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat(),
    }
}

#[test]
fn a_second_opinion_agrees_to_the_byte() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    oracle(python, &["make", place, &SEEDS.to_string()]);
    let all: Value = serde_json::from_slice(&oracle(python, &["tell", place])).unwrap();
    for seed in 0..SEEDS {
        let files = files(&dir.path().join(seed.to_string()));
        let theirs = &all[seed.to_string()];
        let index = |file: &PathBuf| {
            let stored = stored(&fs::read(file).unwrap(), seed);
            let index = index::read(&stored[..], &Known::default());
            assert_eq!(index.problem(), None, "seed {seed}, {}", file.display());
            // What was kept counts as what was read.
            Arc::new(Index::from_bytes(&index.to_bytes().unwrap()).unwrap())
        };
        let indexes: Vec<_> = files.iter().map(index).collect();
        let ours = told(&indexes);
        for part in ["layers", "tree", "wasted", "duplicates"] {
            assert_same(&format!("seed {seed}: {part}"), &ours[part], &theirs[part]);
        }
        efficiency(seed, &indexes, &theirs["efficiency"]);
    }
}

fn efficiency(seed: u32, indexes: &[Arc<Index>], theirs: &Value) {
    let tree = Tree::new(indexes.to_vec()).unwrap();
    let ours = Efficiency::new(&tree);
    let number = |key: &str| theirs[key].as_u64().unwrap();
    let paths: Map<String, Value> = ours.paths.iter().map(|one| (text(&tree.path(one.node)), json!([one.bytes, one.times]))).collect();
    assert_same(&format!("seed {seed}: efficiency"), &Value::Object(paths), &theirs["paths"]);
    assert_eq!(ours.wasted_bytes, number("wasted"), "seed {seed}");
    #[expect(clippy::cast_precision_loss, reason = "as the other side has it")]
    let score = if number("total") == 0 { 1.0 } else { number("least") as f64 / number("total") as f64 };
    assert!((ours.score - score).abs() < 1e-12, "seed {seed}: {} and {score}", ours.score);
}
