//! Packages of Alpine and its kin. Facts: apk's `installed` database, a letter a field.

use super::Candidate;
use super::listed::{Listed, Unreadable, text};
use crate::model::PackageKind;

/// The second is where systems that moved all of `lib` have it.
const INSTALLED: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];

pub(super) fn wants(file: &Candidate<'_>) -> bool {
    INSTALLED.iter().any(|path| file.is(path))
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let text = text(bytes)?;
    for stanza in text.split("\n\n") {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        let (Some(name), Some(version)) = (field("P:"), field("V:")) else { continue };
        into.put(PackageKind::Apk, name, version, field("A:").unwrap_or_default(), field("o:").map(|origin| (origin, version)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::listed::tests::told;
    use super::*;

    #[test]
    fn installed_packages_are_read() {
        let installed = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:libc.so\n\nP:libcrypto3\nV:3.1.4-r5\nA:x86_64\no:openssl\n\n";
        assert_eq!(told(parse, installed.as_bytes()), ["apk musl 1.2.4-r2 x86_64", "apk libcrypto3 3.1.4-r5 x86_64 [openssl 3.1.4-r5]"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, &mut Listed::default());
        }
    }
}
