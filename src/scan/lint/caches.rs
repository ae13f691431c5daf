//! What package managers leave behind, with the bytes that it costs.

use super::{Around, Step, Told, place};
use crate::model::finding::Evidence;
use crate::model::{Finding, FindingKind, Image, Severity, size};

/// Under that nobody minds.
const LITTLE: u64 = 64 << 10;

/// Whose cache it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CacheKind {
    AptLists,
    AptArchives,
    Apk,
    Dnf,
    Pip,
    Npm,
    Other,
}

/// What one layer has of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// From the bottom.
    pub layer: usize,
    pub kind: CacheKind,
    pub bytes: u64,
    pub files: u64,
}

/// Directories of caches, the nearer ones first.
const DIRS: [(&str, CacheKind); 12] = [
    ("var/lib/apt/lists/", CacheKind::AptLists),
    ("var/cache/apt/", CacheKind::AptArchives),
    ("var/cache/apk/", CacheKind::Apk),
    ("etc/apk/cache/", CacheKind::Apk),
    ("var/cache/dnf/", CacheKind::Dnf),
    ("var/cache/yum/", CacheKind::Dnf),
    ("var/cache/libdnf5/", CacheKind::Dnf),
    ("root/.cache/pip/", CacheKind::Pip),
    ("root/.npm/", CacheKind::Npm),
    ("root/.cache/yarn/", CacheKind::Npm),
    ("usr/local/share/.cache/", CacheKind::Npm),
    ("root/.cache/", CacheKind::Other),
];

/// Whose cache a file lies in, by its normalised path.
#[must_use]
pub fn cache_of(path: &[u8]) -> Option<CacheKind> {
    DIRS.iter().find(|(dir, _)| path.starts_with(dir.as_bytes())).map(|(_, kind)| *kind)
}

impl CacheKind {
    const fn told(self) -> Told {
        let (id, title, advice, aliases): (_, _, _, &[&str]) = match self {
            Self::AptLists => (
                "apt-lists-kept",
                "apt's lists are left in the image",
                "Remove /var/lib/apt/lists/* in the step that updates them: later it is too late.",
                &["DKL-DI-0005"],
            ),
            Self::AptArchives => {
                ("apt-cache-kept", "apt's cache is left in the image", "Run apt-get clean in the step that installs.", &["DS-0019"])
            }
            Self::Apk => {
                ("apk-cache-kept", "apk's cache is left in the image", "Install with apk add --no-cache.", &["DKL-DI-0004", "DS-0025"])
            }
            Self::Dnf => {
                ("dnf-cache-kept", "dnf's cache is left in the image", "Run dnf clean all in the step that installs.", &["DS-0015"])
            }
            Self::Pip => ("pip-cache-kept", "pip's cache is left in the image", "Install with pip install --no-cache-dir.", &["DL3042"]),
            Self::Npm => (
                "npm-cache-kept",
                "npm's cache is left in the image",
                "Run npm cache clean --force in the step that installs, or mount the cache.",
                &[],
            ),
            Self::Other => {
                ("cache-kept", "A cache is left in the image", "Remove /root/.cache in the step that fills it, or mount it.", &[])
            }
        };
        Told { id, kind: FindingKind::Lint, severity: Severity::Low, title, advice, aliases, link: "" }
    }
}

pub(super) fn lint(steps: &[Step<'_>], image: &Image, around: &Around<'_>) -> Vec<Finding> {
    let Some(caches) = around.caches else { return Vec::new() };
    let mut found = Vec::new();
    for cache in caches.iter().filter(|cache| cache.bytes >= LITTLE) {
        let told = cache.kind.told();
        let files = if cache.files == 1 { "one file".to_owned() } else { format!("{} files", cache.files) };
        let words = format!("{} in {files}", size::human(cache.bytes));
        let step = steps.iter().find(|step| step.layer == Some(cache.layer));
        // A layer's number moves; so it is told apart by how many there were before it.
        let before = found.iter().filter(|one: &&Finding| one.id.raw() == told.id).count();
        let rest = if before == 0 { String::new() } else { before.to_string() };
        let mut finding = told.finding(&rest, Some(Evidence::plain(&words)));
        // What came with a whole system is no step's doing.
        if step.is_none_or(|step| step.keyword != "RUN") {
            finding.severity = Severity::Negligible;
            finding.said = vec![super::said(told.id, finding.severity)];
        }
        match step {
            Some(step) => place(&mut finding, step, image, around.base),
            None => finding.layer = Some(super::layer(image, cache.layer)),
        }
        found.push(finding);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_known_by_where_they_lie() {
        for (path, wanted) in [
            ("var/lib/apt/lists/deb.acme.test_InRelease", Some(CacheKind::AptLists)),
            ("var/cache/apt/archives/a.deb", Some(CacheKind::AptArchives)),
            ("root/.cache/pip/http/a", Some(CacheKind::Pip)),
            ("root/.cache/go-build/a", Some(CacheKind::Other)),
            ("home/me/.cache/a", None),
            ("srv/var/cache/apt/a", None),
        ] {
            assert_eq!(cache_of(path.as_bytes()), wanted, "{path}");
        }
    }
}
