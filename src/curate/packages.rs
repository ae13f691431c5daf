//! Installed packages, as the files say in which dpkg and apk keep them, and what differs between two lists of them.
//!
//! May use model. Pure. Facts: deb-control(5) and dpkg's `status`; apk's `installed` database.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Packages of one kind that are believed.
const MOST: usize = 200_000;

/// Which files of an image list packages, by their paths without a slash before them.
pub const DPKG: &str = "var/lib/dpkg/status";
/// A directory with a file a package, as images without a package manager have it.
pub const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
pub const APK: &str = "lib/apk/db/installed";
/// Where systems that moved all of `lib` have it.
pub const APK_MOVED: &str = "usr/lib/apk/db/installed";

/// What kind of package and its name; several architectures of one are several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    pub kind: &'static str,
    pub name: String,
    pub architecture: String,
}

/// Installed packages with their versions.
pub type Packages = BTreeMap<Package, String>;

/// A package that two images don't have alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    pub name: String,
    /// `deb` or `apk`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its version; `None` where it is not installed.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What differs, by kind and name.
#[must_use]
pub fn compare(before: &Packages, after: &Packages) -> Vec<PackageChange> {
    let all: BTreeSet<&Package> = before.keys().chain(after.keys()).collect();
    let differs = |package: &&Package| before.get(*package) != after.get(*package);
    let change = |package: &Package| PackageChange {
        name: package.name.clone(),
        kind: package.kind,
        before: before.get(package).cloned(),
        after: after.get(package).cloned(),
    };
    all.into_iter().filter(differs).map(change).collect()
}

/// Takes in what dpkg's `status` lists as installed, or one file of its parts.
pub fn dpkg(bytes: &[u8], into: &mut Packages) {
    let text = String::from_utf8_lossy(bytes);
    for stanza in text.split("\n\n").take(MOST) {
        let field = |name: &str| stanza.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()));
        // A package that was removed and left its settings is listed too; the parts have no such line.
        let is_there = field("Status").is_none_or(|status| status.ends_with(" installed"));
        let (Some(name), Some(version), true) = (field("Package"), field("Version"), is_there) else { continue };
        put(into, "deb", name, version, field("Architecture"));
    }
}

/// Takes in what apk's `installed` lists.
pub fn apk(bytes: &[u8], into: &mut Packages) {
    let text = String::from_utf8_lossy(bytes);
    for stanza in text.split("\n\n").take(MOST) {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        let (Some(name), Some(version)) = (field("P:"), field("V:")) else { continue };
        put(into, "apk", name, version, field("A:"));
    }
}

fn put(into: &mut Packages, kind: &'static str, name: &str, version: &str, architecture: Option<&str>) {
    let architecture = architecture.unwrap_or_default().to_owned();
    into.insert(Package { kind, name: name.to_owned(), architecture }, version.to_owned());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nDescription: shell\n Package: not\n\n\
        Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36\n\
        Architecture: amd64\n\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36\nArchitecture: i386\n";
    const INSTALLED: &str = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\nR:libc.so\n\nP:busybox\nV:1.36.1-r5\nA:x86_64\n\n";

    #[test]
    fn installed_packages_are_read_and_others_are_not() {
        let mut found = Packages::new();
        dpkg(STATUS.as_bytes(), &mut found);
        apk(INSTALLED.as_bytes(), &mut found);
        let told: Vec<String> = found.iter().map(|(one, version)| format!("{} {} {version}", one.kind, one.name)).collect();
        assert_eq!(told, ["apk busybox 1.36.1-r5", "apk musl 1.2.4-r2", "deb bash 5.2-1", "deb libc6 2.36", "deb libc6 2.36"]);
        let mut part = Packages::new();
        dpkg(b"Package: tzdata\nVersion: 2024a-0\n", &mut part);
        assert_eq!(part.len(), 1, "a part has no word on its state");
    }

    #[test]
    fn what_differs_is_told_with_both_versions() {
        let (mut before, mut after) = (Packages::new(), Packages::new());
        apk(INSTALLED.as_bytes(), &mut before);
        apk(INSTALLED.replace("1.2.4-r2", "1.2.5-r0").replace("P:busybox", "P:toybox").as_bytes(), &mut after);
        let told: Vec<_> = compare(&before, &after).into_iter().map(|one| (one.name, one.before, one.after)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("busybox".to_owned(), some("1.36.1-r5"), None),
                ("musl".to_owned(), some("1.2.4-r2"), some("1.2.5-r0")),
                ("toybox".to_owned(), None, some("1.36.1-r5")),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut found = Packages::new();
            dpkg(&bytes, &mut found);
            apk(&bytes, &mut found);
        }
    }
}
