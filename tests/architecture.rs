//! Holds `src/` to the table in `src/lib.rs`: who may import whom, which outside names a room must not know, how files are kept;
//! and the tree of crates to staying lean.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/rules.rs"]
mod rules;

/// Crates in the lock file, ours included. A new dependency that passes this is a decision, not an accident.
const MOST_CRATES: usize = 462;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` with this ending, sorted.
fn files(folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn every_file_keeps_to_its_room() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    let sources = files(&src, "rs").unwrap();
    for file in &sources {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap();
        wrong.extend(rules::check(path, &fs::read_to_string(file).unwrap()));
    }
    assert!(sources.len() > 20, "only {} files read", sources.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_table_has_every_room_of_the_crate() {
    let crate_root = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut declared: Vec<&str> =
        crate_root.lines().filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod "))?.strip_suffix(';')).collect();
    let mut known: Vec<&str> = rules::ROOMS.iter().map(|room| room.name).collect();
    declared.sort_unstable();
    known.sort_unstable();
    assert_eq!(declared, known);
}

#[test]
fn every_theme_is_embedded() {
    let Ok(themes) = files(&root().join("themes"), "toml") else { return };
    let sources: String = files(&root().join("src"), "rs").unwrap().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for theme in themes {
        let name = theme.file_name().unwrap().to_str().unwrap();
        assert!(sources.contains(&format!("themes/{name}\"")), "themes/{name} is in no include_str!");
    }
}

/// What is committed must build and read the same everywhere.
#[test]
fn nothing_names_the_folder_it_was_written_in() {
    let here = root();
    let mut texts = files(&here.join("src"), "rs").unwrap();
    texts.extend(["Cargo.toml", "Cargo.lock", "README.md", "CHANGELOG.md"].iter().map(|name| here.join(name)).filter(|file| file.exists()));
    for file in texts {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(here.to_str().unwrap()), "{} names its own checkout", file.display());
    }
}

#[test]
fn the_tree_of_crates_stays_lean() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    for unwanted in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert!(!names.contains(&unwanted), "{unwanted} came in: one TLS provider, ring (cargo tree -i {unwanted})");
    }
    assert!(names.contains(&"ring"));
    assert!(names.len() <= MOST_CRATES, "{} crates, at most {MOST_CRATES}: is the new one worth it?", names.len());
    for source in lock.lines().filter_map(|line| line.strip_prefix("source = \"")) {
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index\"", "a crate from elsewhere");
    }
}
