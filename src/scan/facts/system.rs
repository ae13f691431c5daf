//! Files that say which system an image is of, and who may log in to it.
//!
//! Facts: os-release(5), passwd(5), shadow(5), group(5), crypt(5).

use serde::{Deserialize, Serialize};

use crate::model::Foreign;
use crate::model::package::Distribution;

/// Users or groups of one file that are looked at.
const MOST: usize = 10_000;
/// Fewest fields of a line that tells a user, a password, a group.
const USER: usize = 4;
const SHADOW: usize = 2;
const GROUP: usize = 3;
/// Longest name.
const LONGEST: usize = 256;

/// What such a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) enum System {
    Release(Distribution),
    Users(Vec<User>),
    /// Who has a hash of a password, and who gets in without one.
    Shadow {
        hashed: Vec<Foreign>,
        empty: Vec<Foreign>,
    },
    /// Groups with their numbers.
    Groups(Vec<(Foreign, u32)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) struct User {
    pub(in crate::scan) name: Foreign,
    /// `None` where it is no number.
    pub(in crate::scan) uid: Option<u32>,
    pub(in crate::scan) password: Password,
}

/// What stands where a password may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::scan) enum Password {
    /// Elsewhere, or nobody gets in by one.
    None,
    Empty,
    Hash,
}

type Parse = fn(&[u8]) -> Option<System>;

/// How a file is read, by its path.
pub(super) fn parser(path: &[u8]) -> Option<Parse> {
    match path {
        b"etc/os-release" | b"usr/lib/os-release" => Some(release),
        b"etc/alpine-release" => Some(|bytes| plain(bytes, "alpine", "Alpine Linux")),
        b"etc/debian_version" => Some(|bytes| plain(bytes, "debian", "Debian GNU/Linux")),
        b"etc/passwd" | b"etc/passwd-" => Some(|bytes| Some(users(bytes))),
        b"etc/shadow" | b"etc/shadow-" | b"etc/master.passwd" => Some(|bytes| Some(shadow(bytes))),
        b"etc/group" => Some(|bytes| Some(groups(bytes))),
        _ => None,
    }
}

fn release(bytes: &[u8]) -> Option<System> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Distribution::default();
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once('=') else { continue };
        let value: String = value.trim_matches(['"', '\'']).chars().take(LONGEST).collect();
        match name {
            "ID" => found.id = value.into(),
            "ID_LIKE" => found.like = value.split_whitespace().map(Foreign::new).collect(),
            "VERSION_ID" => found.version = value.into(),
            "PRETTY_NAME" => found.name = value.into(),
            _ => {}
        }
    }
    (!found.id.is_empty()).then_some(System::Release(found))
}

/// A file of a version and nothing else.
fn plain(bytes: &[u8], id: &str, name: &str) -> Option<System> {
    let text = String::from_utf8_lossy(bytes);
    let version: String = text.lines().next()?.trim().chars().take(LONGEST).collect();
    let name = format!("{name} {version}").into();
    (!version.is_empty()).then(|| System::Release(Distribution { id: id.into(), like: Vec::new(), version: version.into(), name }))
}

/// Whether a file has more users or groups than are looked at.
pub(super) fn is_beyond(path: &[u8], bytes: &[u8]) -> bool {
    let fields = match path {
        b"etc/passwd" | b"etc/passwd-" => USER,
        b"etc/shadow" | b"etc/shadow-" | b"etc/master.passwd" => SHADOW,
        b"etc/group" => GROUP,
        _ => return false,
    };
    all_rows(bytes, fields).nth(MOST).is_some()
}

/// Lines of fields, those too short for `fields` left aside.
fn rows(bytes: &[u8], fields: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    all_rows(bytes, fields).take(MOST)
}

fn all_rows(bytes: &[u8], fields: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.starts_with(b"#"));
    let rows = lines.map(|line| line.split(|&byte| byte == b':').collect::<Vec<_>>());
    rows.filter(move |row| row.len() >= fields && row.first().is_some_and(|name| !name.is_empty() && name.len() <= LONGEST))
}

fn number(field: Option<&&[u8]>) -> Option<u32> {
    std::str::from_utf8(field?).ok()?.parse().ok()
}

fn users(bytes: &[u8]) -> System {
    let user = |row: Vec<&[u8]>| User {
        name: Foreign::lossy(row.first().copied().unwrap_or_default()),
        uid: number(row.get(2)),
        password: password(row.get(1).copied().unwrap_or_default()),
    };
    System::Users(rows(bytes, USER).map(user).collect())
}

fn shadow(bytes: &[u8]) -> System {
    let (mut hashed, mut empty) = (Vec::new(), Vec::new());
    for row in rows(bytes, SHADOW) {
        let name = Foreign::lossy(row.first().copied().unwrap_or_default());
        match password(row.get(1).copied().unwrap_or_default()) {
            Password::Hash => hashed.push(name),
            Password::Empty => empty.push(name),
            Password::None => {}
        }
    }
    System::Shadow { hashed, empty }
}

fn groups(bytes: &[u8]) -> System {
    let group = |row: Vec<&[u8]>| Some((Foreign::lossy(row.first()?), number(row.get(2))?));
    System::Groups(rows(bytes, GROUP).filter_map(group).collect())
}

fn password(field: &[u8]) -> Password {
    // A locked account may still tell its hash.
    let bare = field.iter().position(|&byte| byte != b'!').and_then(|at| field.get(at..)).unwrap_or_default();
    let is_des = bare.len() == 13 && bare.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
    match field {
        b"" => Password::Empty,
        _ if bare.starts_with(b"$") && bare.len() > 8 || bare.starts_with(b"_") && bare.len() == 20 || is_des => Password::Hash,
        _ => Password::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str, text: &str) -> Option<System> {
        parser(path.as_bytes())?(text.as_bytes())
    }

    #[test]
    fn a_system_says_what_it_is() {
        let text = "# told\nPRETTY_NAME=\"Acme Linux 9 (Nine)\"\nID=\"acme\"\nID_LIKE='rhel fedora'\nVERSION_ID=9.2\nVERSION=9\n";
        let Some(System::Release(found)) = read("usr/lib/os-release", text) else { panic!() };
        let like: Vec<&str> = found.like.iter().map(Foreign::raw).collect();
        assert_eq!(
            (found.id.raw(), found.version.raw(), found.name.raw(), like),
            ("acme", "9.2", "Acme Linux 9 (Nine)", vec!["rhel", "fedora"])
        );
        assert_eq!(read("etc/os-release", "VERSION_ID=9\n"), None);
        let Some(System::Release(found)) = read("etc/alpine-release", "3.20.1\n") else { panic!() };
        assert_eq!((found.id.raw(), found.version.raw()), ("alpine", "3.20.1"));
        assert_eq!(read("etc/debian_version", "\n"), None);
        assert!(read("srv/etc/os-release", text).is_none());
    }

    #[test]
    fn only_hashes_and_empty_passwords_are_passwords() {
        for (field, wanted) in [
            ("", Password::Empty),
            ("x", Password::None),
            ("*", Password::None),
            ("!", Password::None),
            ("!!", Password::None),
            ("!*", Password::None),
            ("!locked", Password::None),
            ("$6$salt$hashhash", Password::Hash),
            ("!$6$salt$hashhash", Password::Hash),
            ("$y$j9T$a$b", Password::Hash),
            ("ab01FAX.bQRSU", Password::Hash),
        ] {
            assert_eq!(password(field.as_bytes()), wanted, "{field}");
        }
        let Some(System::Shadow { hashed, empty }) =
            read("etc/shadow", "root:$6$salt$hashhash:1::::::\nbin:!::0:::::\nme::1::::::\n\n:x:\n")
        else {
            panic!()
        };
        assert_eq!((hashed, empty), (vec!["root".into()], vec!["me".into()]));
        let Some(System::Users(users)) = read("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbad\nme::x:0::/:\n") else { panic!() };
        let users: Vec<_> = users.iter().map(|user| (user.name.raw(), user.uid, user.password)).collect();
        assert_eq!(users, [("root", Some(0), Password::None), ("me", None, Password::Empty)]);
        assert_eq!(
            read("etc/group", "root:x:0:\nwheel:x:10:me\nbad:x:y:\n"),
            Some(System::Groups(vec![("root".into(), 0), ("wheel".into(), 10)]))
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for path in ["etc/os-release", "etc/alpine-release", "etc/passwd", "etc/shadow", "etc/group"] {
                let _ = parser(path.as_bytes()).unwrap()(&bytes);
            }
        }
    }
}
