//! What package managers keep for the next time, which an image has no use for: where it lies, and what it costs.
//!
//! Pure. Facts: where the package managers document that they keep it.

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CacheKind {
    AptLists,
    AptArchives,
    Apk,
    /// Of dnf, yum and zypper.
    Dnf,
    Pip,
    /// Of npm and Yarn.
    Npm,
}

impl CacheKind {
    pub const ALL: [Self; 6] = [Self::AptLists, Self::AptArchives, Self::Apk, Self::Dnf, Self::Pip, Self::Npm];

    /// Where it mostly lies, without a slash before it.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::AptLists => "var/lib/apt/lists",
            Self::AptArchives => "var/cache/apt",
            Self::Apk => "var/cache/apk",
            Self::Dnf => "var/cache/dnf",
            Self::Pip => "root/.cache/pip",
            Self::Npm => "root/.npm/_cacache",
        }
    }

    /// Whose cache a file is part of, by its path, which has no slash before it.
    #[must_use]
    pub fn of(path: &[u8]) -> Option<Self> {
        let at = |places: &[&str]| {
            places.iter().any(|place| path.strip_prefix(place.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/') && rest.len() > 1))
        };
        // Of any user's home.
        let holds = |place: &str| path.windows(place.len()).any(|part| part == place.as_bytes());
        if at(&["var/lib/apt/lists"]) {
            Some(Self::AptLists)
        } else if at(&["var/cache/apt"]) {
            Some(Self::AptArchives)
        } else if at(&["var/cache/apk", "etc/apk/cache"]) {
            Some(Self::Apk)
        } else if at(&["var/cache/dnf", "var/cache/yum", "var/cache/libdnf5", "var/cache/zypp"]) {
            Some(Self::Dnf)
        } else if holds("/.cache/pip/") {
            Some(Self::Pip)
        } else if holds("/.npm/_cacache/") || holds("/.cache/yarn/") {
            Some(Self::Npm)
        } else {
            None
        }
    }
}

/// What lies in one layer of one kind, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// From the bottom.
    pub layer: usize,
    pub kind: CacheKind,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_known_by_their_paths() {
        for kind in CacheKind::ALL {
            assert_eq!(CacheKind::of(format!("{}/x", kind.place()).as_bytes()), Some(kind));
            assert_eq!(CacheKind::of(kind.place().as_bytes()), None);
        }
        assert_eq!(CacheKind::of(b"home/app/.cache/pip/http/a"), Some(CacheKind::Pip));
        assert_eq!(CacheKind::of(b"var/cache/yum/x86_64/a.rpm"), Some(CacheKind::Dnf));
        for other in [&b"var/lib/apt/listsx/a"[..], b"srv/var/lib/apt/lists/a", b"var/cache/ldconfig/aux-cache", b""] {
            assert_eq!(CacheKind::of(other), None);
        }
    }
}
