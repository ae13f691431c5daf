//! Crates that went into Rust programs which were built to tell. Facts: the format of `cargo auditable`: a section of JSON, deflated by zlib.

use std::io::Read as _;

use serde::Deserialize;

use super::listed::{Listed, Unreadable};
use super::program;
use crate::model::PackageKind;

const SECTION: &str = ".dep-v0";
/// Largest JSON, as the format bounds it.
const MOST: u64 = 8 << 20;

#[derive(Deserialize)]
struct Told {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// `runtime` where it isn't told.
    #[serde(default)]
    kind: Option<String>,
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let Some(file) = program::open(bytes) else { return Ok(()) };
    let Some(section) = program::section(&file, SECTION)? else { return Ok(()) };
    let mut json = Vec::new();
    let read = flate2::read::ZlibDecoder::new(section).take(MOST + 1).read_to_end(&mut json);
    if read.is_err() || json.len() as u64 > MOST {
        return Err(Unreadable("what it says of the crates in it can't be unpacked"));
    }
    let told: Told =
        serde_json::from_slice(&json).map_err(|_unreadable| Unreadable("what it says of the crates in it is not of a known form"))?;
    // What only helped to build it is not in it.
    for one in told.packages.iter().filter(|one| one.kind.as_deref() != Some("build")) {
        into.put(PackageKind::Cargo, &one.name, &one.version, "", None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::listed::tests::told;
    use super::super::program::sample::elf;
    use super::*;

    fn packed(json: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(json).unwrap();
        out.finish().unwrap()
    }

    const JSON: &[u8] = br#"{"packages":[{"name":"app","version":"0.1.0","source":"local","dependencies":[1,2],"root":true},
        {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},{"name":"libc","version":"0.2.150","source":"crates.io"}]}"#;

    #[test]
    fn crates_are_read_but_not_those_that_only_built_it() {
        assert_eq!(told(parse, &elf(&[(".text", b"x"), (SECTION, &packed(JSON))])), ["cargo app 0.1.0", "cargo libc 0.2.150"]);
        assert_eq!(told(parse, &elf(&[(".text", b"x")])), [""; 0]);
        for bad in [b"no zlib".to_vec(), packed(b"[]"), packed(&vec![b' '; 9 << 20])] {
            assert!(parse(&elf(&[(SECTION, &bad)]), &mut Listed::default()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, &mut Listed::default());
            let _ = parse(&elf(&[(SECTION, &bytes)]), &mut Listed::default());
            let _ = parse(&elf(&[(SECTION, &packed(&bytes))]), &mut Listed::default());
        }
    }
}
