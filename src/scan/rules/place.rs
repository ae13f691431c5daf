//! Where a file lies, as far as that says whether a credential in it is one: installed software shows many in its documents and tests.
//!
//! Few rules, on purpose: what they keep aside is still told, with the reason.

/// Where a file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Ordinary,
    /// The code of software that a package manager put there.
    Package,
    /// Documents, tests and examples of such software.
    Example,
    /// A key that a package makes for itself on each installation, known to be of no use for anything else.
    Generated,
}

/// Directories under which only installed software lies, by path.
const SYSTEM: [&str; 14] = [
    "usr/share/",
    "usr/lib/python",
    "usr/lib/node_modules/",
    "usr/lib/ruby/",
    "usr/lib/jvm/",
    "usr/lib/go",
    "usr/local/go/",
    "usr/local/lib/python",
    "usr/local/lib/ruby/",
    "usr/local/lib/node_modules/",
    "usr/local/include/",
    "usr/include/",
    "usr/src/",
    "usr/lib/perl",
];

/// Directories of languages' packages, wherever they are, by name.
const PACKAGES: [&[u8]; 9] = [
    b"site-packages",
    b"dist-packages",
    b"node_modules",
    b"gems",
    b"vendor_ruby",
    b"perl5",
    b"python-wheels",
    // Of Go's modules and Cargo's crates.
    b"mod",
    b"registry",
];

/// Directories of what only shows how something is done, by name.
const SHOWING: [&[u8]; 20] = [
    b"doc",
    b"docs",
    b"man",
    b"info",
    b"help",
    b"locale",
    b"test",
    b"tests",
    b"testing",
    b"testdata",
    b"test-data",
    b"test_data",
    b"__tests__",
    b"spec",
    b"fixtures",
    b"example",
    b"examples",
    b"sample",
    b"samples",
    b"demo",
];

/// Endings of documents and tests.
const SHOWN: [&[u8]; 9] = [b".md", b".rst", b".adoc", b"_test.go", b"_test.py", b".test.js", b".spec.js", b".d.ts", b".pod"];

/// The key of the certificate that Debian's `ssl-cert` makes for trying things out.
const GENERATED: [&[u8]; 1] = [b"etc/ssl/private/ssl-cert-snakeoil.key"];

/// Where a file lies, by its normalised path.
#[must_use]
pub fn place(path: &[u8]) -> Place {
    if GENERATED.contains(&path) {
        return Place::Generated;
    }
    if !is_installed(path) {
        return Place::Ordinary;
    }
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    let is_example =
        SHOWN.iter().any(|ending| name.ends_with(ending)) || name.starts_with(b"test_") || parts.any(|part| SHOWING.contains(&part));
    if is_example { Place::Example } else { Place::Package }
}

fn is_installed(path: &[u8]) -> bool {
    if SYSTEM.iter().any(|dir| path.starts_with(dir.as_bytes())) {
        return true;
    }
    let mut above: [&[u8]; 2] = [b"", b""];
    let mut parts = path.split(|&byte| byte == b'/').peekable();
    while let Some(part) = parts.next() {
        // The file itself is no directory.
        if parts.peek().is_none() {
            return false;
        }
        let is = match part {
            b"mod" => above[1] == b"pkg",
            b"registry" => above[1] == b".cargo" || above[1] == b"cargo",
            // Of an interpreter that was built in a directory of its own.
            _ if part.starts_with(b"python") => above[1] == b"lib" || above[1] == b"lib64",
            part => PACKAGES.contains(&part),
        };
        if is {
            return true;
        }
        above = [above[1], part];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_software_shows_how_it_is_done() {
        for (path, wanted) in [
            ("app/config/key.pem", Place::Ordinary),
            ("app/tests/key.pem", Place::Ordinary),
            ("root/.ssh/id_rsa", Place::Ordinary),
            ("usr/local/etc/app.conf", Place::Ordinary),
            ("srv/mod/registry/key", Place::Ordinary),
            ("usr/lib/python3.11/ssl.py", Place::Package),
            ("usr/lib/python3.11/test/keycert.pem", Place::Example),
            ("app/node_modules/jws/readme.md", Place::Example),
            ("app/node_modules/jws/index.js", Place::Package),
            ("app/node_modules", Place::Ordinary),
            ("opt/venv/lib/python3.12/site-packages/tornado/test/test.key", Place::Example),
            ("root/.pyenv/versions/3.12/lib/python3.12/test/a.pem", Place::Example),
            ("root/go/pkg/mod/example.com/a@v1/key.go", Place::Package),
            ("usr/local/go/src/crypto/tls/testdata/key.pem", Place::Example),
            ("usr/local/go/src/crypto/x509/x509_test.go", Place::Example),
            ("root/.cargo/registry/src/a/tests/key.pem", Place::Example),
            ("usr/share/doc/openssl/README", Place::Example),
            ("etc/ssl/private/ssl-cert-snakeoil.key", Place::Generated),
            ("etc/ssl/private/other.key", Place::Ordinary),
            ("", Place::Ordinary),
        ] {
            assert_eq!(place(path.as_bytes()), wanted, "{path}");
        }
    }
}
