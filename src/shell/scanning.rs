//! What images are looked at by, as the configuration says, for the deck and the command line alike.

use super::config::ScanConfig;
use super::paths::Paths;
use crate::scan::facts::FactsCache;
use crate::scan::tool::{Environment, Tool};
use crate::work::scan::Scanning;

/// The scanners of the configuration, with the files of a user.
#[must_use]
pub fn scanning(config: &ScanConfig, paths: &Paths) -> Scanning {
    let is_asked = |name: &str| config.scanners.iter().any(|asked| asked == name);
    Scanning {
        ignore: Some(config.ignores(&paths.config)),
        ignores: Vec::new(),
        advisories: Some(paths.advisories()),
        advisory_caches: paths.advisory_caches(),
        facts: FactsCache::new(paths.facts(), FactsCache::USUAL),
        builtin: is_asked("builtin"),
        tools: Tool::ALL.into_iter().filter(|tool| is_asked(tool.program())).collect(),
        environment: Environment::new(std::env::vars_os()),
        named: false,
        beside: is_asked("registry"),
        start: false,
    }
}
