//! Packages of Debian and its kin. Facts: deb-control(5), dpkg's `status`; images without a package manager have a directory with a file a package.

use super::Candidate;
use super::listed::{Listed, Unreadable, field, text};
use crate::model::PackageKind;

const STATUS: &[u8] = b"var/lib/dpkg/status";
const PARTS: &[u8] = b"var/lib/dpkg/status.d";

pub(super) fn wants(file: &Candidate<'_>) -> bool {
    file.is(STATUS) || (file.is_in(PARTS) && !file.name().ends_with(b".md5sums"))
}

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let text = text(bytes)?;
    for stanza in text.split("\n\n") {
        // A package that was removed and left its settings is listed too; the parts have no such line.
        let is_there = field(stanza, "Status").is_none_or(|status| status.ends_with(" installed"));
        let (Some(name), Some(version), true) = (field(stanza, "Package"), field(stanza, "Version"), is_there) else { continue };
        let source = field(stanza, "Source").map(|source| match source.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end_matches(')').trim()),
            None => (source, version),
        });
        into.put(PackageKind::Deb, name, version, field(stanza, "Architecture").unwrap_or_default(), source);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::listed::tests::told;
    use super::*;

    const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nDescription: shell\n Package: not\n\n\
        Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36\n\
        Source: glibc\nArchitecture: amd64\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: i386\n\
        Source: glibc (2.36-0)\n";

    #[test]
    fn installed_packages_are_read_and_others_are_not() {
        let wanted = ["deb bash 5.2-1 amd64", "deb libc6 2.36 amd64 [glibc 2.36]", "deb libc6 2.36 i386 [glibc 2.36-0]"];
        assert_eq!(told(parse, STATUS.as_bytes()), wanted);
        assert_eq!(told(parse, b"Package: tzdata\nVersion: 2024a-0\n"), ["deb tzdata 2024a-0"], "a part has no word on its state");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
            let _ = parse(&bytes, &mut Listed::default());
            let mut damaged = STATUS.as_bytes().to_vec();
            damaged.splice(at..at, bytes);
            let _ = parse(&damaged, &mut Listed::default());
        }
    }
}
