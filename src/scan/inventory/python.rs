//! Packages of Python. Facts: the packaging guide's core metadata, which starts as a message does; `*.dist-info` of wheels and `*.egg-info` before
//! them, a directory or a file.

use super::Candidate;
use super::listed::{Listed, Unreadable, field, text};
use crate::model::PackageKind;

pub(super) fn wants(file: &Candidate<'_>) -> bool {
    match file.name() {
        b"METADATA" => file.dir().ends_with(b".dist-info"),
        b"PKG-INFO" => file.dir().ends_with(b".egg-info"),
        name => name.ends_with(b".egg-info"),
    }
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let text = text(bytes)?.replace("\r\n", "\n");
    // What comes after is the description.
    let head = text.split("\n\n").next().unwrap_or_default();
    let (Some(name), Some(version)) = (field(head, "Name"), field(head, "Version")) else {
        return Err(Unreadable("it says no name or no version"));
    };
    into.put(PackageKind::Pypi, name, version, "", None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::listed::tests::told;
    use super::*;

    const METADATA: &str =
        "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.1\nClassifier: A :: B\n\n# About\n\nName: other\nVersion: 9\n";

    #[test]
    fn only_the_head_counts() {
        assert_eq!(told(parse, METADATA.as_bytes()), ["pypi PyYAML 6.0.1"]);
        assert_eq!(told(parse, METADATA.replace('\n', "\r\n").as_bytes()), ["pypi PyYAML 6.0.1"]);
        for bad in ["Name: a\n\nVersion: 1\n", "", "\0"] {
            assert!(parse(bad.as_bytes(), &mut Listed::default()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..METADATA.len()) {
            let _ = parse(&bytes, &mut Listed::default());
            let mut damaged = METADATA.as_bytes().to_vec();
            damaged.splice(at..at, bytes);
            let _ = parse(&damaged, &mut Listed::default());
        }
    }
}
