//! What could be done better in how an image is built, as far as its files show it.
//!
//! Facts: where package managers keep what they download, by their documentation: apt(8), apk(8), dnf(8), pacman(8), pip, npm, Yarn, Go, Cargo,
//! Composer and Maven; and where programs look for keys and passwords.

use super::header::Kind;
use super::index::Member;
use super::tree::{Event, NodeId, Tree, What};

/// One hint. Bytes are those of files in the layers, as stored in the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The finished tree has what a package manager downloaded or can download again.
    Cache { manager: &'static str, dir: NodeId, files: u64, bytes: u64 },
    /// A file that looks like a secret went, but whoever has the image has the layer that it is in.
    Secret { node: NodeId, written: usize, removed: usize },
    /// A layer carries files again with the same content and another mode or owner.
    Rights { layer: usize, files: u64, bytes: u64 },
}

impl Hint {
    /// What heeding it would save.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Cache { bytes, .. } | Self::Rights { bytes, .. } => *bytes,
            Self::Secret { .. } => 0,
        }
    }
}

/// Directories of package managers, from the root or from a user's home, and the ends of the names that count in them.
const CACHES: &[(&str, &str, &[&str])] = &[
    ("apt", "var/lib/apt/lists", &[]),
    ("apt", "var/cache/apt", &[]),
    ("apk", "var/cache/apk", &[]),
    ("apk", "etc/apk/cache", &[]),
    ("dnf", "var/cache/dnf", &[]),
    ("dnf", "var/cache/libdnf5", &[]),
    ("yum", "var/cache/yum", &[]),
    ("zypper", "var/cache/zypp", &[]),
    ("pacman", "var/cache/pacman/pkg", &[]),
    ("pip", "~/.cache/pip", &[]),
    ("uv", "~/.cache/uv", &[]),
    ("poetry", "~/.cache/pypoetry", &[]),
    ("conda", "opt/conda/pkgs", &[".conda", ".tar.bz2"]),
    ("npm", "~/.npm/_cacache", &[]),
    ("yarn", "~/.cache/yarn", &[]),
    ("yarn", "usr/local/share/.cache/yarn", &[]),
    ("go", "~/.cache/go-build", &[]),
    ("go", "~/go/pkg/mod/cache", &[]),
    ("go", "go/pkg/mod/cache", &[]),
    ("cargo", "~/.cargo/registry", &[]),
    ("cargo", "usr/local/cargo/registry", &[]),
    ("composer", "~/.composer/cache", &[]),
    ("composer", "~/.cache/composer", &[]),
    ("maven", "~/.m2/repository", &[]),
    ("gradle", "~/.gradle/caches", &[]),
    ("bundler", "usr/local/bundle/cache", &[]),
];

/// All hints, by what they would save, secrets first.
#[must_use]
pub fn hints(tree: &Tree) -> Vec<Hint> {
    let mut hints = caches(tree);
    hints.extend(rights(tree));
    hints.sort_by_key(|hint| std::cmp::Reverse(hint.bytes()));
    let mut all = secrets(tree);
    all.extend(hints);
    all
}

fn caches(tree: &Tree) -> Vec<Hint> {
    let homes = tree.child(NodeId::ROOT, b"home").into_iter().flat_map(|home| tree.children(home));
    let homes: Vec<NodeId> = tree.child(NodeId::ROOT, b"root").into_iter().chain(homes).collect();
    let mut found = Vec::new();
    for (manager, dir, ends) in CACHES {
        let places = match dir.strip_prefix("~/") {
            Some(below) => homes.iter().filter_map(|&home| descend(tree, home, below)).collect(),
            None => Vec::from_iter(descend(tree, NodeId::ROOT, dir)),
        };
        for dir in places {
            let (files, bytes) = weigh(tree, dir, ends);
            if bytes > 0 {
                found.push(Hint::Cache { manager, dir, files, bytes });
            }
        }
    }
    found
}

fn descend(tree: &Tree, from: NodeId, path: &str) -> Option<NodeId> {
    path.split('/').try_fold(from, |at, name| tree.child(at, name.as_bytes()))
}

/// Files of the finished tree below a directory whose names end like that, and their bytes.
fn weigh(tree: &Tree, dir: NodeId, ends: &[&str]) -> (u64, u64) {
    let (mut files, mut bytes, mut left) = (0, 0_u64, vec![dir]);
    while let Some(node) = left.pop() {
        left.extend(tree.children(node));
        let wanted = ends.is_empty() || ends.iter().any(|end| tree.name(node).ends_with(end.as_bytes()));
        let member = tree.events(node).last().and_then(|event| tree.written(event)).filter(|member| wanted && is_file(member));
        // Lock files and the like weigh nothing.
        if let Some(member) = member.filter(|member| member.stored() > 0) {
            files += 1;
            bytes = bytes.saturating_add(member.stored());
        }
    }
    (files, bytes)
}

fn rights(tree: &Tree) -> Vec<Hint> {
    let mut layers = vec![(0_u64, 0_u64); tree.layers().len()];
    for node in tree.nodes() {
        for pair in tree.events(node).windows(2) {
            let [before, after] = pair else { continue };
            let Some((old, new)) = tree.written(before).zip(tree.written(after)) else { continue };
            let again = before.layer < after.layer && is_file(&new) && new.stored() > 0 && new.has_same_content(&old) && !new.is_same(&old);
            if let Some((files, bytes)) = layers.get_mut(usize::from(after.layer)).filter(|_| again) {
                *files += 1;
                *bytes = bytes.saturating_add(new.stored());
            }
        }
    }
    let hint = |(layer, (files, bytes))| Hint::Rights { layer, files, bytes };
    layers.into_iter().enumerate().filter(|(_, (files, _))| *files > 0).map(hint).collect()
}

fn secrets(tree: &Tree) -> Vec<Hint> {
    let mut found = Vec::new();
    for node in tree.nodes() {
        let events = tree.events(node);
        let Some(gone) = events.last().filter(|event| matches!(event.what, What::Removed(_))) else { continue };
        let written = |event: &&Event| tree.written(event).is_some_and(|member| is_file(&member) && member.size() > 0);
        if let Some(last) = events.iter().rev().find(written)
            && is_secret(tree, node)
        {
            found.push(Hint::Secret { node, written: usize::from(last.layer), removed: usize::from(gone.layer) });
        }
    }
    found
}

const fn is_file(member: &Member<'_>) -> bool {
    matches!(member.kind(), Kind::File | Kind::Sparse)
}

/// Whether a file's name and place say that it holds a key or a password.
fn is_secret(tree: &Tree, node: NodeId) -> bool {
    const NAMES: &[&[u8]] = &[
        b"id_rsa",
        b"id_dsa",
        b"id_ecdsa",
        b"id_ed25519",
        b".netrc",
        b"_netrc",
        b".npmrc",
        b".pypirc",
        b".git-credentials",
        b".pgpass",
        b".my.cnf",
        b".vault-token",
        b".htpasswd",
        b".env",
        b"kubeconfig",
    ];
    const PLACES: &[(&[u8], &[u8])] = &[
        (b".aws", b"credentials"),
        (b".docker", b"config.json"),
        (b".kube", b"config"),
        (b".cargo", b"credentials.toml"),
        (b".config/gcloud", b"application_default_credentials.json"),
        (b".m2", b"settings.xml"),
        (b"run/secrets", b""),
    ];
    const ENDS: &[&[u8]] = &[b".key", b".p12", b".pfx", b".jks", b".kdbx", b"-key.pem"];
    let (name, dir) = (tree.name(node), tree.path(tree.parent(node)));
    let is_in =
        |place: &[u8]| dir == place || (dir.ends_with(place) && dir.get(..dir.len() - place.len()).is_some_and(|up| up.ends_with(b"/")));
    NAMES.contains(&name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || name.starts_with(b".env.")
        || PLACES.iter().any(|(place, file)| is_in(place) && (file.is_empty() || *file == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::sample::{node, tree};

    #[test]
    fn caches_that_were_left_are_told_with_what_they_weigh() {
        let tree = tree(&[&[
            ('f', "var/lib/apt/lists/a_Packages", "12345"),
            ('f', "var/lib/apt/lists/lock", ""),
            ('f', "home/me/.npm/_cacache/x/y", "123"),
            ('f', "root/.cache/pip/z", "1234567"),
            ('f', "opt/conda/pkgs/a.conda", "12"),
            ('f', "opt/conda/pkgs/a/lib.so", "not counted: it is in use"),
            ('f', "usr/share/.cache/pip/z", "nobody's home"),
        ]]);
        let cache = |manager, dir, bytes| Hint::Cache { manager, dir: node(&tree, dir), files: 1, bytes };
        let expected = [
            cache("pip", "root/.cache/pip", 7),
            cache("apt", "var/lib/apt/lists", 5),
            cache("npm", "home/me/.npm/_cacache", 3),
            cache("conda", "opt/conda/pkgs", 2),
        ];
        assert_eq!(hints(&tree), expected);
    }

    #[test]
    fn a_cache_that_went_again_is_no_hint() {
        let tree = tree(&[&[('f', "var/cache/apt/a.deb", "1")], &[('f', "var/cache/apt/.wh.a.deb", "")]]);
        assert_eq!(hints(&tree), []);
    }

    #[test]
    fn secrets_that_went_are_told_with_where_they_still_are() {
        let tree = tree(&[
            &[
                ('f', "root/.ssh/id_rsa", "k"),
                ('f', "app/.aws/credentials", "k"),
                ('f', "kept/id_rsa", "k"),
                ('f', "x.aws/credentials", "k"),
            ],
            &[('f', "srv/tls.key", "k"), ('f', "srv/empty.key", "")],
            &[('f', "root/.wh..ssh", ""), ('f', "app/.aws/.wh..wh..opq", ""), ('f', ".wh.srv", ""), ('f', ".wh.x.aws", "")],
        ]);
        let mut found = hints(&tree);
        found.sort_by_key(|hint| if let Hint::Secret { node, .. } = hint { tree.path(*node) } else { Vec::new() });
        let secret = |path, written| Hint::Secret { node: node(&tree, path), written, removed: 2 };
        assert_eq!(found, [secret("app/.aws/credentials", 0), secret("root/.ssh/id_rsa", 0), secret("srv/tls.key", 1)]);
    }

    #[test]
    fn files_written_again_for_their_mode_alone_are_told_by_layer() {
        let tree = tree(&[
            &[('f', "a", "11"), ('f', "b", "22"), ('f', "c", "33"), ('f', "empty", "")],
            &[('x', "a", "11"), ('x', "b", "other"), ('f', "c", "33"), ('x', "empty", "")],
        ]);
        assert_eq!(hints(&tree), [Hint::Rights { layer: 1, files: 1, bytes: 2 }]);
    }
}
