//! Packages of npm and its kin, by the `package.json` of each that is installed. Facts: the npm documentation on `package.json` and on folders: a
//! package lies in `node_modules/NAME` or `node_modules/@SCOPE/NAME`; what lies deeper in it is its own matter.

use serde::Deserialize;

use super::Candidate;
use super::listed::{Listed, Unreadable};
use crate::model::PackageKind;

pub(super) fn wants(file: &Candidate<'_>) -> bool {
    if file.name() != b"package.json" {
        return false;
    }
    let mut above = file.dirs();
    match (above.next(), above.next(), above.next()) {
        (Some(_), Some(b"node_modules"), _) => true,
        (Some(_), Some(scope), Some(b"node_modules")) => scope.starts_with(b"@"),
        _ => false,
    }
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    // Some editors leave a mark of the byte order.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let told: Package = serde_json::from_slice(bytes).map_err(|_unreadable| Unreadable("it is not the JSON of a package"))?;
    into.put(PackageKind::Npm, &told.name, &told.version, "", None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::listed::tests::told;
    use super::*;

    #[test]
    fn name_and_version_are_read() {
        let whole = br#"{"name": "@babel/core", "version": "7.24.0", "dependencies": {"debug": "^4"}}"#;
        assert_eq!(told(parse, whole), ["npm @babel/core 7.24.0"]);
        assert_eq!(told(parse, &[&b"\xef\xbb\xbf"[..], whole].concat()), ["npm @babel/core 7.24.0"]);
        assert_eq!(told(parse, br#"{"type": "module"}"#), [""; 0]);
        for bad in ["", "7", r#"{"name": 1}"#, "{"] {
            assert!(parse(bad.as_bytes(), &mut Listed::default()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, &mut Listed::default());
            let _ = parse(&[br#"{"name": ""#, &bytes[..]].concat(), &mut Listed::default());
        }
    }
}
