use proptest::prelude::*;

use super::super::listed::tests::{lines, told};
use super::*;

/// Made by SQLite and by Berkeley DB of 24 headers of three sizes, with pages of 1,024 bytes.
const SQLITE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/rpmdb.sqlite"));
const HASH: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/Packages"));

/// A header with these tags.
fn header(tags: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, value) in tags {
        let place = u32::try_from(data.len()).unwrap();
        index.extend([*tag, *kind, place, 1].map(u32::to_be_bytes).concat());
        data.extend_from_slice(value);
    }
    let counts = [tags.len(), data.len()].map(|count| u32::try_from(count).unwrap().to_be_bytes());
    [counts.concat(), index, data].concat()
}

fn sample(name: &str, epoch: Option<u32>) -> Vec<u8> {
    let name = format!("{name}\0");
    let epoch = epoch.map(u32::to_be_bytes);
    let mut tags: Vec<(u32, u32, &[u8])> = vec![(1000, 6, name.as_bytes()), (1001, 6, b"2.5\0"), (1002, 6, b"3.el9\0")];
    tags.extend(epoch.as_ref().map(|epoch| (1003, 4, &epoch[..])));
    tags.extend([(1022, 6, &b"noarch\0"[..]), (1044, 6, b"a-b-2.5-3.el9.src.rpm\0")]);
    header(&tags)
}

/// A database of SUSE's kind.
fn slots(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    out[..4].copy_from_slice(b"RpmP");
    out[12..16].copy_from_slice(&1_u32.to_le_bytes());
    for (at, slot) in out.chunks_exact_mut(16).enumerate().skip(2) {
        slot[..4].copy_from_slice(b"Slot");
        assert!(headers.len() < 200, "{at}");
    }
    for (at, header) in headers.iter().enumerate() {
        let number = u32::try_from(at + 1).unwrap().to_le_bytes();
        let place = u32::try_from(out.len() / 16).unwrap().to_le_bytes();
        let slot = (2 + 3 * at) * 16;
        out[slot + 4..slot + 8].copy_from_slice(&number);
        out[slot + 8..slot + 12].copy_from_slice(&place);
        out.extend([&b"BlbS"[..], &number, &[0; 4], &u32::try_from(header.len()).unwrap().to_le_bytes(), header].concat());
        out.resize(out.len().next_multiple_of(16), 0);
    }
    out
}

#[test]
fn all_databases_give_their_packages() {
    for database in [SQLITE, HASH] {
        let mut found = told(parse, database);
        found.sort_unstable();
        assert_eq!(found.len(), 24);
        assert_eq!(found[0], "rpm pkg00 1.0-0.el9 x86_64 [src-pkg 1.0-0.el9]");
        assert_eq!(found[1], "rpm pkg01 1:1.1-1.el9 x86_64 [src-pkg 1.1-1.el9]");
        assert_eq!(found[23], "rpm pkg23 2:1.23-23.el9 x86_64 [src-pkg 1.23-23.el9]");
    }
    let ours = slots(&[sample("one", None), sample("two", Some(4))]);
    assert_eq!(told(parse, &ours), ["rpm one 2.5-3.el9 noarch [a-b 2.5-3.el9]", "rpm two 4:2.5-3.el9 noarch [a-b 2.5-3.el9]"]);
    assert_eq!(told(parse, b""), [""; 0]);
}

#[test]
fn a_broken_package_is_told_and_the_others_are_read() {
    let mut listed = Listed::default();
    let nameless = header(&[(1001, 6, b"1\0"), (1002, 6, b"1\0")]);
    let endless = header(&[(1001, 6, b"1\0"), (1002, 6, b"1\0"), (1000, 6, b"no end")]);
    let database = slots(&[nameless, sample("one", Some(0)), b"\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), endless]);
    assert!(parse(&database, &mut listed).is_err());
    assert_eq!(lines(&listed), ["rpm one 2.5-3.el9 noarch [a-b 2.5-3.el9]"]);
    assert!(parse(b"something else", &mut Listed::default()).is_err());
}

#[test]
fn rows_that_overlap_or_go_round_come_to_an_end() {
    let mut ours = slots(&[vec![0; 8000], sample("one", None)]);
    let first: Vec<u8> = ours[32..48].to_vec();
    for slot in ours[..4096].chunks_exact_mut(16).skip(2) {
        slot.copy_from_slice(&first);
    }
    assert_eq!(parse(&ours, &mut Listed::default()), Err(Unreadable("its slots overlap")));
    // Every page of pages leads to the first one.
    let mut looped = SQLITE.to_vec();
    for page in 1..looped.len() / 1024 {
        looped[page * 1024] = 5;
        looped[page * 1024 + 3..page * 1024 + 5].copy_from_slice(&0_u16.to_be_bytes());
        looped[page * 1024 + 8..page * 1024 + 12].copy_from_slice(&2_u32.to_be_bytes());
    }
    assert!(parse(&looped, &mut Listed::default()).is_err());
    let mut chained = HASH.to_vec();
    for page in chained.chunks_exact_mut(1024).skip(1).filter(|page| page[25] == 7) {
        page[22..24].copy_from_slice(&0_u16.to_le_bytes());
    }
    assert!(parse(&chained, &mut Listed::default()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..3_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let ours = slots(&[sample("one", None), sample("two", Some(4))]);
        let whole = [SQLITE, HASH, &ours][which];
        let mut damaged = whole.to_vec();
        for (at, byte) in &damage {
            let at = at.index(damaged.len());
            damaged[at] = *byte;
        }
        let mut listed = Listed::default();
        let _ = parse(&damaged, &mut listed);
        prop_assert!(listed.packages.len() < 5000);
        let _ = parse(&damaged[..cut.index(damaged.len())], &mut Listed::default());
    }

    #[test]
    fn no_head_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for magic in [&b"SQLite format 3\0\x02\0"[..], b"RpmP", b"\0\0\0\0\0\0\0\0\0\0\0\0\x61\x15\x06\0\0\0\0\0\0\x02\0\0"] {
            let _ = parse(&[magic, &bytes].concat(), &mut Listed::default());
        }
        let _ = package(&bytes, &mut Listed::default());
    }
}
