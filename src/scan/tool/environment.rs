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
const STARTS: [&str; 4] = ["TRIVY_", "GRYPE_", "SYFT_", "DOCKER_"];
/// Settings by which findings would be left out unseen, or the report go elsewhere.
const NEVER: [&str; 16] = [
    "TRIVY_SEVERITY",
    "TRIVY_IGNORE_UNFIXED",
    "TRIVY_IGNORE_STATUS",
    "TRIVY_IGNORE_POLICY",
    "TRIVY_IGNOREFILE",
    "TRIVY_OUTPUT",
    "TRIVY_TEMPLATE",
    "TRIVY_EXIT_CODE",
    "TRIVY_EXIT_ON_EOL",
    "TRIVY_DEBUG",
    "GRYPE_ONLY_FIXED",
    "GRYPE_ONLY_NOTFIXED",
    "GRYPE_FAIL_ON_SEVERITY",
    "GRYPE_OUTPUT",
    "GRYPE_FILE",
    "GRYPE_LOG_LEVEL",
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
            !NEVER.contains(&name) && (NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start)))
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
}
