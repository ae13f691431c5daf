use proptest::prelude::*;

use super::*;
use crate::layer::index::{Known, read_tapping};
use crate::scan::facts::{Files, Password, System};
use crate::scan::rules::{FILES, SECRETS};

fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (path, mode, body) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(body.len() as u64);
        out.append_data(&mut header, path, *body).unwrap();
    }
    out.into_inner().unwrap()
}

fn facts(tar: &[u8]) -> LayerFacts {
    let mut look = Looks::default().look();
    read_tapping(tar, &Known::default(), &mut |_| {}, &mut look);
    look.finish()
}

fn seen(facts: &LayerFacts) -> Vec<String> {
    let line = |seen: &Seen| {
        let id = match &seen.what {
            What::Secret { rule, lines, .. } => format!("{} {}", SECRETS[usize::from(*rule)].id, lines.0),
            What::File { rule } => FILES[usize::from(*rule)].id.to_owned(),
        };
        format!("{}: {id}", String::from_utf8_lossy(&seen.path))
    };
    facts.seen.iter().map(line).collect()
}

/// Put together here, so that it stands in no file.
fn token(seed: u8) -> String {
    let letters: String = (0..20_u8).map(|at| char::from(b'a' + (at.wrapping_mul(7) ^ seed) % 26)).collect();
    format!("glpat-{letters}")
}

#[test]
fn a_layer_tells_what_is_in_it() {
    let text = format!("first\ntoken: {}\n", token(1));
    let binary = format!("\0\0{text}");
    let program = [b"\x7fELF", &[0; 2000][..]].concat();
    let found = facts(&tar(&[
        ("app/settings.yml", 0o644, text.as_bytes()),
        ("app/cache.pyc", 0o644, binary.as_bytes()),
        ("app/data.bin", 0o644, binary.as_bytes()),
        ("app/.env", 0o644, b"KEY=value\n"),
        ("app/none", 0o644, b""),
        ("app/.wh.old", 0o644, b"glpat-"),
        ("./var/lib/dpkg/status", 0o644, b"Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n"),
        ("usr/bin/tool", 0o755, &program),
        ("usr/bin/script", 0o755, b"#!/bin/sh\n"),
        ("usr/lib/os-release", 0o644, b"ID=acme\nVERSION_ID=1\n"),
        ("etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\n"),
    ]));
    assert_eq!(seen(&found), ["app/settings.yml: gitlab-token 2", "app/cache.pyc: gitlab-token 2", "app/.env: env-file"]);
    assert_eq!((found.passed.binary, found.passed.large.count), (2, 0));
    let lists: Vec<usize> = found.lists.iter().map(|list| list.packages.len()).collect();
    assert_eq!(lists, [2], "a program that tells nothing is not noted");
    let system: Vec<&str> = found.system.iter().map(|file| std::str::from_utf8(&file.path).unwrap()).collect();
    assert_eq!(system, ["usr/lib/os-release", "etc/passwd"]);
    let System::Users(users) = &found.system[1].system else { panic!() };
    assert_eq!((users[0].uid, users[0].password), (Some(0), Password::None));
    let kept = postcard::to_stdvec(&found).unwrap();
    let secret = token(1).into_bytes();
    assert!(!kept.windows(8).any(|part| part == &secret[6..14]), "facts hold no secret");
    assert_eq!(postcard::from_bytes::<LayerFacts>(&kept).unwrap(), found);
}

#[test]
fn what_is_larger_than_what_is_read_ahead_is_looked_at_too() {
    let mut text = "words and words\n".repeat(60_000);
    text.push_str(&token(2));
    let line = |at: usize| format!("Package: p{at}\nVersion: 1\nDescription: {}\n\n", "x".repeat(60));
    let status = (0..20_000).map(line).collect::<Vec<_>>().concat();
    let mut tool = b"#!/bin/sh\n".to_vec();
    tool.resize(3 << 20, b'#');
    let found =
        facts(&tar(&[("log", 0o644, text.as_bytes()), ("var/lib/dpkg/status", 0o644, status.as_bytes()), ("bin/tool", 0o755, &tool)]));
    assert_eq!(seen(&found), ["log: gitlab-token 60001"]);
    assert_eq!((found.lists.len(), found.lists[0].packages.len()), (1, 20_000));
}

#[test]
fn of_very_many_findings_the_first_are_kept_and_the_others_are_counted() {
    let one = format!("{}\n", token(3)).repeat(90);
    let paths: Vec<String> = (0..60).map(|at| format!("a/{at}")).collect();
    let files: Vec<(&str, u32, &[u8])> = paths.iter().map(|path| (path.as_str(), 0o644, one.as_bytes())).collect();
    let found = facts(&tar(&files));
    assert_eq!((found.seen.len(), found.passed.beyond, found.passed.aside), (MOST_SEEN, 400, 0));
    let shown = "usr/share/doc/a/README";
    let key = format!("{}\n", token(4)).repeat(90);
    let files: Vec<(&str, u32, &[u8])> =
        std::iter::repeat_n((shown, 0o644, key.as_bytes()), 6).chain([("b", 0o644, one.as_bytes())]).collect();
    let found = facts(&tar(&files));
    assert_eq!((found.seen.len(), found.passed.beyond, found.passed.aside), (MOST_ASIDE + 90, 0, 40));
}

/// What one layer lists must not be missing from another, which may be the base of many images.
#[test]
fn a_layer_whose_packages_find_no_room_for_those_of_others_says_so() {
    let looks = Looks { room: Arc::new(Room::of(3, 1 << 20)), ..Looks::default() };
    let bytes = tar(&[("var/lib/dpkg/status", 0o644, b"Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n")]);
    let told = || {
        let mut look = looks.look();
        read_tapping(&bytes[..], &Known::default(), &mut |_| {}, &mut look);
        let facts = look.finish();
        (facts.lists[0].packages.len(), facts.lists[0].cut, facts.cut_by_others)
    };
    assert_eq!([told(), told()], [(2, false, false), (1, true, true)]);
}

#[test]
fn what_is_not_looked_at_is_counted() {
    let many = (0..=10_000).map(|at| format!("u{at}:x:1:1\n")).collect::<Vec<_>>().concat();
    let large = "#".repeat((1 << 20) + 1);
    let mut bytes =
        tar(&[("etc/passwd", 0o644, many.as_bytes()), ("etc/shadow", 0o600, large.as_bytes()), ("etc/group", 0o644, b"a:x:1:\n")]);
    let passed = facts(&bytes).passed;
    let named = |files: &Files| files.first.iter().map(|file| file.raw().to_owned()).collect::<Vec<_>>();
    assert_eq!((named(&passed.system), passed.sparse.count), (vec!["etc/passwd".to_owned(), "etc/shadow".to_owned()], 0));
    let mut holes = tar::Header::new_gnu();
    holes.set_path("var/disk").unwrap();
    holes.set_entry_type(tar::EntryType::GNUSparse);
    holes.as_gnu_mut().unwrap().set_real_size(4096);
    holes.set_size(0);
    holes.set_cksum();
    bytes.splice(0..0, holes.as_bytes().iter().copied());
    assert_eq!(named(&facts(&bytes).passed.sparse), ["var/disk"]);
}

#[test]
fn a_layer_that_is_cut_tells_what_was_whole() {
    let bytes = tar(&[("a", 0o644, token(5).as_bytes()), ("b", 0o644, &[b' '; 4000]), ("c", 0o644, token(6).as_bytes())]);
    assert_eq!(seen(&facts(&bytes[..3000])), ["a: gitlab-token 1"]);
    assert_eq!(seen(&facts(&bytes)).len(), 2);
}

#[test]
fn paths_are_as_an_index_has_them() {
    for (told, wanted) in [("./a//b/", "a/b"), ("../../etc/x", "etc/x"), ("a/../../b", "b"), ("/", ""), ("a/./b/../c", "a/c")] {
        let mut path = Vec::new();
        normalise(told.as_bytes(), &mut path);
        assert_eq!(path, wanted.as_bytes(), "{told}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0..4096_usize, path in "[a-z./]{0,20}") {
        facts(&bytes);
        let mut whole = tar(&[("etc/shadow", 0o644, &bytes), ("usr/bin/a", 0o755, &bytes), ("var/lib/rpm/Packages", 0o644, &bytes)]);
        let at = at % whole.len();
        for (slot, byte) in whole[at..].iter_mut().zip(&bytes) {
            *slot ^= byte;
        }
        facts(&whole);
        let mut normal = Vec::new();
        normalise(path.as_bytes(), &mut normal);
        prop_assert!(!normal.starts_with(b"/") && !normal.ends_with(b"/") && !normal.windows(2).any(|part| part == b"//"));
    }
}
