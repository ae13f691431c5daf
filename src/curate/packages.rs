//! What differs between the packages of two images.
//!
//! May use model. Pure. Facts: the Python packaging guide on when two names are the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Foreign, Package, PackageChange, PackageKind, Packages};

/// A package's versions in one image, with the name as it is told there.
#[derive(Default)]
struct Side<'a> {
    name: Option<&'a Foreign>,
    /// With their architectures, which come first.
    versions: BTreeSet<(&'a Foreign, &'a Foreign)>,
}

/// What differs, by kind and name. Of a package that is there in several versions, those that both images have are left aside, and where one
/// version of it is in the place of one other, it is one change.
#[must_use]
pub fn compare(before: &Packages, after: &Packages) -> Vec<PackageChange> {
    let mut all: BTreeMap<(PackageKind, Cow<'_, str>), (Side<'_>, Side<'_>)> = BTreeMap::new();
    for package in before.keys() {
        all.entry(key(package)).or_default().0.take(package);
    }
    for package in after.keys() {
        all.entry(key(package)).or_default().1.take(package);
    }
    let mut found = Vec::new();
    for ((kind, _), (one, other)) in all {
        let Some(name) = other.name.or(one.name) else { continue };
        let mut tell = |before: Option<&Foreign>, after: Option<&Foreign>| {
            found.push(PackageChange { name: name.clone(), kind, before: before.cloned(), after: after.cloned() });
        };
        let mut gone: Vec<_> = one.versions.difference(&other.versions).copied().collect();
        let mut new: Vec<_> = other.versions.difference(&one.versions).copied().collect();
        for (before, after) in pairs(&mut gone, &mut new) {
            // Built for something else, it is the same version.
            if before != after {
                tell(Some(before), Some(after));
            }
        }
        for (_, version) in gone {
            tell(Some(version), None);
        }
        for (_, version) in new {
            tell(None, Some(version));
        }
    }
    found
}

impl<'a> Side<'a> {
    fn take(&mut self, package: &'a Package) {
        self.name.get_or_insert(&package.name);
        self.versions.insert((&package.architecture, &package.version));
    }
}

/// By which names are held against each other.
fn key(package: &Package) -> (PackageKind, Cow<'_, str>) {
    let name = package.name.raw();
    (package.kind, if package.kind == PackageKind::Pypi { Cow::Owned(normal(name)) } else { Cow::Borrowed(name) })
}

/// A Python name in small letters, with one `-` for each run of `-`, `_` and `.`.
fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            letter => out.extend(letter.to_lowercase()),
        }
    }
    out
}

/// Takes out what came in the place of what: the one version of an architecture for the one that was, else the only one for the only one.
fn pairs<'a>(gone: &mut Vec<(&'a Foreign, &'a Foreign)>, new: &mut Vec<(&'a Foreign, &'a Foreign)>) -> Vec<(&'a Foreign, &'a Foreign)> {
    let mut all: BTreeMap<&Foreign, (Only<'a>, Only<'a>)> = BTreeMap::new();
    for (architecture, version) in gone.iter() {
        all.entry(architecture).or_default().0.take(version);
    }
    for (architecture, version) in new.iter() {
        all.entry(architecture).or_default().1.take(version);
    }
    all.retain(|_, sides| matches!(sides, (Only::One(_), Only::One(_))));
    for list in [&mut *gone, &mut *new] {
        list.retain(|(architecture, _)| !all.contains_key(architecture));
    }
    let both = |sides| if let (Only::One(before), Only::One(after)) = sides { Some((before, after)) } else { None };
    let mut found: Vec<_> = all.into_values().filter_map(both).collect();
    if let ([(_, before)], [(_, after)]) = (gone.as_slice(), new.as_slice()) {
        found.push((before, after));
        gone.clear();
        new.clear();
    }
    found
}

/// The version of an architecture, if it has just one.
#[derive(Default)]
enum Only<'a> {
    #[default]
    None,
    One(&'a Foreign),
    Several,
}

impl<'a> Only<'a> {
    const fn take(&mut self, version: &'a Foreign) {
        *self = if matches!(self, Self::None) { Self::One(version) } else { Self::Several };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(PackageKind, &str, &str, &str)]) -> Packages {
        let package = |&(kind, name, version, architecture): &(PackageKind, &str, &str, &str)| Package {
            kind,
            name: name.into(),
            version: version.into(),
            architecture: architecture.into(),
        };
        list.iter().map(|one| (package(one), crate::model::package::Installed::default())).collect()
    }

    fn told(before: &[(PackageKind, &str, &str, &str)], after: &[(PackageKind, &str, &str, &str)]) -> Vec<String> {
        let version = |version: Option<Foreign>| version.map_or_else(|| "-".to_owned(), |version| version.raw().to_owned());
        compare(&packages(before), &packages(after))
            .into_iter()
            .map(|one| format!("{} {} {} {}", one.kind.name(), one.name.raw(), version(one.before), version(one.after)))
            .collect()
    }

    #[test]
    fn what_differs_is_told_with_both_versions() {
        use PackageKind::{Apk, Deb};
        let before = [(Deb, "bash", "5.1", "amd64"), (Apk, "musl", "1.2.4", "x86_64"), (Apk, "busybox", "1.36", "x86_64")];
        let after = [(Deb, "bash", "5.1", "amd64"), (Apk, "musl", "1.2.5", "x86_64"), (Apk, "toybox", "1.36", "x86_64")];
        assert_eq!(told(&before, &after), ["apk busybox 1.36 -", "apk musl 1.2.4 1.2.5", "apk toybox - 1.36"]);
        assert_eq!(told(&before, &before), [""; 0]);
        assert_eq!(told(&[], &after).len(), 3);
    }

    #[test]
    fn of_several_versions_only_those_that_differ_are_told() {
        use PackageKind::Npm;
        let of = |versions: &[&'static str]| versions.iter().map(|version| (Npm, "ms", *version, "")).collect::<Vec<_>>();
        assert_eq!(told(&of(&["1", "2"]), &of(&["2", "3"])), ["npm ms 1 3"]);
        assert_eq!(told(&of(&["1", "2"]), &of(&["3"])), ["npm ms 1 -", "npm ms 2 -", "npm ms - 3"]);
        assert_eq!(told(&of(&["1", "2"]), &of(&["1"])), ["npm ms 2 -"]);
    }

    #[test]
    fn architectures_are_held_against_their_own() {
        use PackageKind::Deb;
        let before = [(Deb, "libc6", "2.36", "amd64"), (Deb, "libc6", "2.36", "i386")];
        let after = [(Deb, "libc6", "2.37", "amd64"), (Deb, "libc6", "2.37", "i386")];
        assert_eq!(told(&before, &after), ["deb libc6 2.36 2.37", "deb libc6 2.36 2.37"]);
        let arm = [(Deb, "libc6", "2.37", "arm64")];
        assert_eq!(told(&before[..1], &arm), ["deb libc6 2.36 2.37"]);
        assert_eq!(told(&after[..1], &arm), [""; 0], "the same version for another machine");
    }

    /// A list may claim as many architectures as it has packages: with a look at all of them for each this would take very long.
    #[test]
    fn a_package_of_very_many_architectures_is_compared_as_well() {
        let of = |version: &'static str| {
            let package = |at: usize| Package {
                kind: PackageKind::Deb,
                name: "libc6".into(),
                version: version.into(),
                architecture: format!("machine{at:06}").into(),
            };
            (0..100_000).map(|at| (package(at), crate::model::package::Installed::default())).collect::<Packages>()
        };
        let (before, after) = (of("1"), of("2"));
        assert_eq!(compare(&before, &after).len(), 100_000);
    }

    #[test]
    fn names_of_python_are_the_same_in_many_spellings() {
        use PackageKind::Pypi;
        assert_eq!(told(&[(Pypi, "Zope._Interface", "5", "")], &[(Pypi, "zope-interface", "6", "")]), ["pypi zope-interface 5 6"]);
    }
}
