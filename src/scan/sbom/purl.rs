//! The package URL of a package: how tools name it to each other.

use packageurl::PackageUrl;

use crate::model::package::{Distribution, Installed, Package};

/// The package URL, with what advisories are looked up by; `None` for a package whose name can't be in one.
#[must_use]
pub fn purl(package: &Package, installed: &Installed, distribution: Option<&Distribution>) -> Option<String> {
    let kind = package.kind.name();
    let (namespace, name) = named(kind, package.name.raw(), distribution);
    let mut url = PackageUrl::new(kind, name).ok()?;
    if !namespace.is_empty() {
        url.with_namespace(namespace).ok()?;
    }
    let is_of_system = matches!(kind, "apk" | "deb" | "rpm");
    let (epoch, version) = match package.version.raw().split_once(':') {
        // Of RPM's versions it stands apart.
        Some((epoch, version)) if kind == "rpm" => (Some(epoch), version),
        _ => (None, package.version.raw()),
    };
    url.with_version(version).ok()?;
    if is_of_system {
        let architecture = package.architecture.raw();
        if !architecture.is_empty() {
            url.add_qualifier("arch", architecture).ok()?;
        }
        if let Some(distribution) = distribution.filter(|distribution| !distribution.id.is_empty()) {
            let version = distribution.version.raw();
            let dash = if version.is_empty() { "" } else { "-" };
            url.add_qualifier("distro", format!("{}{dash}{version}", distribution.id.raw())).ok()?;
        }
        if let Some(epoch) = epoch {
            url.add_qualifier("epoch", epoch.to_owned()).ok()?;
        }
        if let Some(source) = &installed.source {
            url.add_qualifier("upstream", format!("{}@{}", source.name.raw(), source.version.raw())).ok()?;
        }
    }
    Some(url.to_string())
}

/// What stands before the name, and the name.
fn named(kind: &str, name: &str, distribution: Option<&Distribution>) -> (String, String) {
    let parted = |mark: char| {
        name.rsplit_once(mark).map_or_else(|| (String::new(), name.to_owned()), |(space, name)| (space.to_owned(), name.to_owned()))
    };
    match kind {
        "golang" | "npm" => parted('/'),
        "maven" => parted(':'),
        "pypi" => (String::new(), name.to_lowercase().replace('_', "-")),
        "apk" | "deb" | "rpm" => {
            let system = distribution.map(|distribution| distribution.id.raw().to_owned()).unwrap_or_default();
            (system, name.to_owned())
        }
        _ => (String::new(), name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::package::{PackageKind, SourcePackage};

    fn of(kind: PackageKind, name: &str, version: &str, source: Option<(&str, &str)>) -> String {
        let package = Package { kind, name: name.into(), version: version.into(), architecture: "amd64".into() };
        let source = source.map(|(name, version)| SourcePackage { name: name.into(), version: version.into() });
        let installed = Installed { source, places: Vec::new() };
        let system = Distribution { id: "debian".into(), version: "12".into(), ..Distribution::default() };
        purl(&package, &installed, Some(&system)).unwrap()
    }

    #[test]
    fn every_kind_has_its_form() {
        use PackageKind::{Apk, Cargo, Deb, Golang, Npm, Pypi, Rpm};
        assert_eq!(
            of(Deb, "libc6", "1:2.36-9+deb12u3", Some(("glibc", "2.36-9"))),
            "pkg:deb/debian/libc6@1:2.36-9%2Bdeb12u3?arch=amd64&distro=debian-12&upstream=glibc%402.36-9"
        );
        assert_eq!(of(Rpm, "dbus", "1:1.12-8.el9", None), "pkg:rpm/debian/dbus@1.12-8.el9?arch=amd64&distro=debian-12&epoch=1");
        assert_eq!(of(Apk, "musl", "1.2.4-r2", None), "pkg:apk/debian/musl@1.2.4-r2?arch=amd64&distro=debian-12");
        assert_eq!(of(Golang, "golang.org/x/net", "v0.17.0", None), "pkg:golang/golang.org/x/net@v0.17.0");
        assert_eq!(of(Golang, "stdlib", "1.22.1", None), "pkg:golang/stdlib@1.22.1");
        assert_eq!(of(Npm, "@acme/left", "1.0.0", None), "pkg:npm/%40acme/left@1.0.0");
        assert_eq!(of(Pypi, "Typing_Extensions", "4.9", None), "pkg:pypi/typing-extensions@4.9");
        assert_eq!(of(Cargo, "serde", "1.0.200", None), "pkg:cargo/serde@1.0.200");
    }
}
