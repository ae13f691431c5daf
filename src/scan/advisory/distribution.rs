//! Which ecosystem the packages of a system belong to, by what its `os-release` says.
//!
//! Only what is known to be the same is: a distribution made from another has packages of its own. May use model. Facts: OSV's list of ecosystems.

use crate::model::package::{Distribution, PackageKind};

/// A distribution as advisories name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct System {
    /// Such as "Debian".
    pub(super) base: &'static str,
    /// What may stand behind the colon.
    releases: Vec<String>,
    /// Something may follow after another colon.
    goes_on: bool,
    pub(super) kind: PackageKind,
}

impl System {
    /// `None` for one without published advisories in a form that is read here, or that doesn't say its release.
    pub(super) fn of(distribution: &Distribution) -> Option<Self> {
        use PackageKind::{Apk, Deb, Rpm};
        let version = distribution.version.raw();
        let major = version.split('.').next().unwrap_or_default();
        let minor = || version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let is_edge = version.contains('_');
        let (base, kind, releases) = match distribution.id.raw() {
            "debian" => ("Debian", Deb, vec![major.to_owned()]),
            "ubuntu" => ("Ubuntu", Deb, vec![version.to_owned(), format!("{version}:LTS")]),
            "alpine" if is_edge => ("Alpine", Apk, vec!["edge".to_owned()]),
            "alpine" => ("Alpine", Apk, vec![format!("v{}", minor())]),
            // They have no releases.
            "wolfi" => ("Wolfi", Apk, Vec::new()),
            "chainguard" => ("Chainguard", Apk, Vec::new()),
            "almalinux" => ("AlmaLinux", Rpm, vec![major.to_owned()]),
            "rocky" => ("Rocky Linux", Rpm, vec![major.to_owned()]),
            "rhel" => ("Red Hat", Rpm, vec![format!("enterprise_linux:{major}")]),
            "mageia" => ("Mageia", Rpm, vec![major.to_owned()]),
            "azurelinux" | "mariner" => ("Azure Linux", Rpm, vec![major.to_owned()]),
            "photon" => ("Photon OS", Rpm, vec![version.to_owned()]),
            "opensuse-leap" => ("openSUSE", Rpm, vec![format!("Leap {version}")]),
            "opensuse-tumbleweed" => ("openSUSE", Rpm, vec!["Tumbleweed".to_owned()]),
            _ => return None,
        };
        let needs_version = !releases.is_empty() && base != "openSUSE";
        (!needs_version || !version.is_empty()).then_some(Self { base, releases, goes_on: base == "Red Hat", kind })
    }

    /// Whether what is told of that ecosystem is told of this.
    pub(super) fn is(&self, ecosystem: &str) -> bool {
        let Some(rest) = ecosystem.strip_prefix(self.base) else { return false };
        let Some(release) = rest.strip_prefix(':') else { return rest.is_empty() };
        let follows = |told: &String| release.strip_prefix(told.as_str()).is_some_and(|rest| rest.starts_with(':'));
        self.releases.iter().any(|told| told == release || (self.goes_on && follows(told)))
    }

    /// As it is named for people.
    pub(super) fn name(&self) -> String {
        match self.releases.first() {
            Some(release) => format!("{}:{release}", self.base),
            None => self.base.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(id: &str, version: &str) -> Option<System> {
        System::of(&Distribution { id: id.into(), version: version.into(), ..Distribution::default() })
    }

    #[test]
    fn systems_are_named_as_advisories_name_them() {
        for (id, version, yes, no) in [
            ("debian", "12", "Debian:12", "Debian:11"),
            ("debian", "12", "Debian", "Debian:12:x"),
            ("ubuntu", "22.04", "Ubuntu:22.04:LTS", "Ubuntu:Pro:22.04:LTS"),
            ("ubuntu", "23.10", "Ubuntu:23.10", "Ubuntu:23.1"),
            ("alpine", "3.19.1", "Alpine:v3.19", "Alpine:v3.1"),
            ("alpine", "3.20_alpha20231219", "Alpine:edge", "Alpine:v3.20"),
            ("almalinux", "9.3", "AlmaLinux:9", "AlmaLinux:8"),
            ("rocky", "8.10", "Rocky Linux:8", "Rocky Linux:8.10"),
            ("rhel", "9.4", "Red Hat:enterprise_linux:9::baseos", "Red Hat:enterprise_linux:90::baseos"),
            ("rhel", "9.4", "Red Hat:enterprise_linux:9", "Red Hat:rhel_eus:9.4::baseos"),
            ("wolfi", "20230201", "Wolfi", "Wolfish"),
            ("opensuse-leap", "15.5", "openSUSE:Leap 15.5", "openSUSE:Leap 15.50"),
        ] {
            let system = system(id, version).unwrap();
            assert!(system.is(yes), "{yes}");
            assert!(!system.is(no), "{no}");
        }
        for (id, version) in [("debian", ""), ("raspbian", "12"), ("fedora", "40"), ("", "")] {
            assert_eq!(system(id, version), None, "{id}");
        }
    }
}
