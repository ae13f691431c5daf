//! What of the environment a scanner gets: where things are, how to reach the network, and its own settings, without those by which it would leave
//! something out or write elsewhere.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Variables that are passed on as they are.
const NAMES: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CONTAINER_HOST",
    "REGISTRY_AUTH_FILE",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];
/// A scanner's own settings that it may have: where it keeps things and which advisories it loads from where, who it is to a registry, and how it
/// trusts one. Any other may leave findings out unseen, or send the report elsewhere, and new ones come with every version.
const OWN: [&str; 45] = [
    "TRIVY_CACHE_DIR",
    "TRIVY_CACHE_BACKEND",
    "TRIVY_DB_REPOSITORY",
    "TRIVY_JAVA_DB_REPOSITORY",
    "TRIVY_CHECKS_BUNDLE_REPOSITORY",
    "TRIVY_SKIP_DB_UPDATE",
    "TRIVY_SKIP_JAVA_DB_UPDATE",
    "TRIVY_SKIP_CHECK_UPDATE",
    "TRIVY_SKIP_VERSION_CHECK",
    "TRIVY_DISABLE_TELEMETRY",
    "TRIVY_TIMEOUT",
    "TRIVY_PARALLEL",
    "TRIVY_USERNAME",
    "TRIVY_PASSWORD",
    "TRIVY_REGISTRY_TOKEN",
    "TRIVY_AUTH_URL",
    "TRIVY_INSECURE",
    "TRIVY_NON_SSL",
    "TRIVY_CACERT",
    "GRYPE_DB_CACHE_DIR",
    "GRYPE_DB_UPDATE_URL",
    "GRYPE_DB_CA_CERT",
    "GRYPE_DB_AUTO_UPDATE",
    "GRYPE_DB_VALIDATE_AGE",
    "GRYPE_DB_VALIDATE_BY_HASH_ON_START",
    "GRYPE_DB_MAX_ALLOWED_BUILT_AGE",
    "GRYPE_DB_REQUIRE_UPDATE_CHECK",
    "GRYPE_DB_UPDATE_AVAILABLE_TIMEOUT",
    "GRYPE_DB_UPDATE_DOWNLOAD_TIMEOUT",
    "GRYPE_CHECK_FOR_APP_UPDATE",
    "GRYPE_REGISTRY_INSECURE_SKIP_TLS_VERIFY",
    "GRYPE_REGISTRY_INSECURE_USE_HTTP",
    "GRYPE_REGISTRY_CA_CERT",
    "GRYPE_REGISTRY_AUTH_AUTHORITY",
    "GRYPE_REGISTRY_AUTH_USERNAME",
    "GRYPE_REGISTRY_AUTH_PASSWORD",
    "GRYPE_REGISTRY_AUTH_TOKEN",
    "GRYPE_REGISTRY_AUTH_TLS_CERT",
    "GRYPE_REGISTRY_AUTH_TLS_KEY",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
];

/// The variables of whoever starts a scanner, as far as it may have them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Environment {
    variables: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Takes what a scanner may have of these.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let fit = |name: &OsStr| {
            let Some(name) = name.to_str() else { return false };
            NAMES.contains(&name) || OWN.contains(&name)
        };
        Self { variables: variables.into_iter().filter(|(name, _)| fit(name)).collect() }
    }

    pub(super) fn variables(&self) -> &[(OsString, OsString)] {
        &self.variables
    }

    /// The program in the first absolute directory of `PATH` that holds it.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        let (_, path) = self.variables.iter().find(|(name, _)| name == "PATH")?;
        std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(program)).find(|file| file.is_file())
    }
}

impl std::fmt::Debug for Environment {
    /// The names alone: a proxy's address may have a password in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_scanner_needs_is_passed_on() {
        let all =
            ["PATH", "HOME", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "TRIVY_CACHE_DIR", "TRIVY_SEVERITY", "https_proxy", "LD_PRELOAD"];
        let environment = Environment::new(all.map(|name| (OsString::from(name), OsString::from("x"))));
        let kept: Vec<&OsString> = environment.variables().iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["PATH", "HOME", "TRIVY_CACHE_DIR", "https_proxy"]);
        assert!(!format!("{environment:?}").contains("\"x\""));
        assert_eq!(environment.find("sh"), None, "PATH has no absolute directory");
    }

    #[test]
    fn no_setting_that_leaves_findings_out_is_passed_on() {
        let all = [
            "TRIVY_SKIP_DIRS",
            "TRIVY_SKIP_FILES",
            "TRIVY_PKG_TYPES",
            "TRIVY_PKG_RELATIONSHIPS",
            "TRIVY_VULN_TYPE",
            "TRIVY_VEX",
            "TRIVY_CONFIG",
            "TRIVY_SECRET_CONFIG",
            "TRIVY_SCANNERS",
            "TRIVY_OUTPUT",
            "TRIVY_SERVER",
            "GRYPE_CONFIG",
            "GRYPE_EXCLUDE",
            "GRYPE_IGNORE",
            "GRYPE_IGNORE_STATES",
            "GRYPE_VEX_DOCUMENTS",
            "GRYPE_FILE",
            "SYFT_EXCLUDE",
        ];
        let environment = Environment::new(all.map(|name| (OsString::from(name), OsString::from("x"))));
        assert_eq!(environment.variables(), []);
    }
}
