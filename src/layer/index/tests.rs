use std::io::{self, Read, Write as _};

use proptest::prelude::*;

use super::*;
use crate::layer::sample::{index, tar};
use crate::layer::{Compression, Kind};
use crate::model::{Digest, ProblemKind};

fn known(bytes: &[u8]) -> Known {
    Known { digest: Some(Digest::sha256(bytes)), size: Some(bytes.len() as u64), diff_id: None }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn paths(index: &Index) -> Vec<(String, String)> {
    index.members().map(|(_, member)| (text(&member.told()), text(&member.path()))).collect()
}

const SAMPLE: &[(char, &str, &str)] = &[
    ('d', "./", ""),
    ('d', "./usr/", ""),
    ('f', "./usr/tool", "some text"),
    ('h', "./usr/same", "usr/tool"),
    ('h', "./usr/again", "./usr/../usr/same"),
    ('l', "./bin", "usr/bin"),
    ('c', "./dev/zero", ""),
    ('f', "./usr/.wh.gone", ""),
    ('f', "./opt/.wh..wh..opq", ""),
    ('h', "./elsewhere", "not/here"),
];

#[test]
fn what_headers_say_is_kept() {
    let index = index(SAMPLE);
    assert_eq!(index.problem(), None);
    let all: Vec<_> = index.members().map(|(_, member)| member).collect();
    let kinds: Vec<Kind> = all.iter().map(Member::kind).collect();
    assert_eq!(kinds[..4], [Kind::Directory, Kind::Directory, Kind::File, Kind::Hardlink]);
    assert_eq!((all[2].size(), all[2].mode(), all[2].uid(), all[2].mtime()), (9, Some(0o644), Some(0), Some(1_700_000_000)));
    assert_eq!(all[2].content(), Some(ContentHash::of(b"some text")));
    assert_eq!((all[3].link(), all[3].linked()), (Some(&b"usr/tool"[..]), Some(MemberId(2))));
    assert_eq!(all[4].linked(), Some(MemberId(2)), "a link to a link is to the file");
    assert_eq!((all[5].link(), all[5].linked(), all[5].content()), (Some(&b"usr/bin"[..]), None, None));
    assert_eq!((all[6].device(), all[2].device()), (Some((1, 5)), None));
    assert_eq!((all[7].whiteout(), all[8].whiteout()), (Some(Whiteout::Name(b"gone")), Some(Whiteout::Opaque)));
    assert_eq!((all[9].linked(), all[2].whiteout()), (None, None));
    assert_eq!(index.digests().unwrap().compression, Compression::None);
    let bytes = tar(SAMPLE);
    let start = usize::try_from(all[2].offset()).unwrap();
    assert_eq!(&bytes[start..start + 9], b"some text");
}

#[test]
fn hostile_names_are_kept_as_told_and_never_lead_out() {
    let names = [
        ("/etc/passwd", "etc/passwd"),
        ("../../etc/shadow", "etc/shadow"),
        ("a/../../b", "b"),
        ("a//b/./c", "a/b/c"),
        ("./", ""),
        ("/", ""),
        (".", ""),
        ("..", ""),
        ("", ""),
        ("//x", "x"),
        ("x//", "x"),
        ("./y/", "y"),
        ("././z", "z"),
        ("con\u{1b}[2Jtrol", "con\u{1b}[2Jtrol"),
        ("etc/passwd", "etc/passwd"),
        ("etc/passwd/below", "etc/passwd/below"),
        (".wh...", ".wh..."),
    ];
    let members: Vec<_> = names.iter().map(|(told, _)| ('f', *told, "x")).collect();
    let index = index(&members);
    assert_eq!(index.problem(), None);
    let expected: Vec<_> = names.iter().map(|(told, path)| ((*told).to_owned(), (*path).to_owned())).collect();
    assert_eq!(paths(&index), expected);
    let last = index.members().last().unwrap().1;
    assert_eq!(last.whiteout(), Some(Whiteout::Other), "`..` is nothing to take away");
}

#[test]
fn a_name_is_stored_once() {
    let long = "d".repeat(40);
    let members: Vec<String> = (0..100).map(|n| format!("{long}/{long}/f{n}")).collect();
    let index = index(&members.iter().map(|path| ('f', path.as_str(), "")).collect::<Vec<_>>());
    assert_eq!((index.len(), index.path_count()), (100, 103));
    assert_eq!(index.names.len(), 80 + 10 * 2 + 90 * 3);
}

#[test]
fn a_member_takes_less_than_64_bytes_beyond_its_name() {
    assert!(size_of::<Record>() + size_of::<PathRecord>() < 64, "{} + {}", size_of::<Record>(), size_of::<PathRecord>());
    let members: Vec<String> = (0..1000).map(|n| format!("file-{n:04}")).collect();
    let index = index(&members.iter().map(|path| ('f', path.as_str(), "")).collect::<Vec<_>>());
    assert!(index.memory() < 1000 * (64 + 9), "{}", index.memory());
}

fn packed(bytes: &[u8]) -> [Vec<u8>; 3] {
    let halves = bytes.split_at(bytes.len() / 2);
    let gzip = |bytes: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    [bytes.to_vec(), [gzip(halves.0), gzip(halves.1)].concat(), [zstd(halves.0), zstd(halves.1)].concat()]
}

#[test]
fn every_compression_gives_the_same_members_and_both_digests() {
    let plain = tar(SAMPLE);
    let [one, ..] = packed(&plain).map(|stored| {
        let index = read(&stored[..], &Known { diff_id: Some(Digest::sha256(&plain)), ..known(&stored) });
        assert_eq!(index.problem(), None);
        assert_eq!(index.digests().unwrap().diff_id, Digest::sha256(&plain));
        (paths(&index), index.members)
    });
    for stored in packed(&plain) {
        let index = read(&stored[..], &known(&stored));
        assert_eq!((paths(&index), index.members), one);
    }
}

#[test]
fn a_layer_that_is_not_the_one_asked_for_is_told_apart() {
    let plain = tar(SAMPLE);
    for stored in packed(&plain) {
        let right = known(&stored);
        let other = Some(Digest::sha256(b"other"));
        let wrong = [
            (Known { digest: other.clone(), ..right.clone() }, "its digest"),
            (Known { diff_id: other.clone(), ..right.clone() }, "its diff ID"),
            (Known { size: Some(1), ..right.clone() }, "its size"),
        ];
        for (known, word) in wrong {
            let index = read(&stored[..], &known);
            let problem = index.problem().unwrap();
            assert_eq!((index.len(), problem.kind), (SAMPLE.len(), ProblemKind::Corrupt));
            assert!(problem.cause.as_str().contains(word), "{problem}");
            assert_eq!(index.to_bytes(), None, "nothing of it is kept");
        }
    }
}

#[test]
fn a_layer_cut_anywhere_gives_what_was_readable_and_says_so() {
    let plain = tar(SAMPLE);
    let whole = index(SAMPLE);
    for stored in packed(&plain) {
        for cut in (0..stored.len()).step_by(7) {
            let index = read(&stored[..cut], &known(&stored));
            assert!(index.problem().is_some(), "cut at {cut}");
            assert!(paths(&whole).starts_with(&paths(&index)), "cut at {cut}");
        }
    }
    let cut = read(&plain[..plain.len() - 1024], &Known::default());
    assert_eq!((cut.len(), cut.problem().is_some()), (SAMPLE.len(), true), "the end marker is missing");
    let more = read(&[&plain[..], b"more"].concat()[..], &Known::default());
    assert_eq!((more.len(), more.problem().is_some()), (SAMPLE.len(), true), "bytes after the end");
    assert!(more.digests().is_some());
}

/// Fails once and then goes on as if nothing had been.
struct Fails<'a>(&'a [u8], Option<io::Error>);

impl Read for Fails<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty()
            && let Some(error) = self.1.take()
        {
            return Err(error);
        }
        self.0.read(buffer)
    }
}

#[test]
fn a_source_that_fails_says_why_in_its_own_words() {
    let plain = tar(SAMPLE);
    let stop = Problem::cancelled("look into a layer");
    let failing = Fails(&plain[..3000], Some(io::Error::other(stop.clone())));
    let index = read(failing, &Known::default());
    assert_eq!((index.problem(), index.digests()), (Some(&stop), None));
    assert!(!index.is_empty());
    let index = read(Fails(b"", Some(io::Error::other(stop.clone()))), &Known::default());
    assert_eq!((index.problem(), index.len()), (Some(&stop), 0));
}

#[test]
fn members_are_there_while_the_rest_still_comes_in() {
    let plain = tar(SAMPLE);
    let mut indexer = Indexer::new(&plain[..], known(&plain)).unwrap();
    let mut seen = 0;
    while let Some(id) = indexer.step() {
        seen += 1;
        assert_eq!(indexer.so_far().len(), seen);
        assert!(indexer.so_far().member(id).is_some());
    }
    assert_eq!(seen, SAMPLE.len());
    assert_eq!(indexer.finish(), index(SAMPLE));
}

#[test]
fn an_index_comes_back_from_its_bytes() {
    for members in [SAMPLE, &[], &[('f', "", "x"), ('f', "a//b", "x")]] {
        let index = index(members);
        assert_eq!(Index::from_bytes(&index.to_bytes().unwrap()), Ok(index));
    }
}

#[test]
fn bytes_that_are_no_index_are_refused() {
    let bytes = index(SAMPLE).to_bytes().unwrap();
    for cut in 0..bytes.len() {
        assert!(Index::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert!(Index::from_bytes(&bytes).is_err(), "changed at {at}");
    }
    let mut newer = bytes.clone();
    newer[4..8].copy_from_slice(&(FORMAT + 1).to_le_bytes());
    assert_eq!(Index::from_bytes(&newer), Err(Broken::Version(FORMAT + 1)));
}

/// The bytes of an index whose columns somebody changed, with the checksum made right again.
fn forged(index: &Index, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let bytes = index.to_bytes().unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[24..32].try_into().unwrap())).unwrap();
    let mut raw = zstd::bulk::decompress(&bytes[32..], length).unwrap();
    change(&mut raw);
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    let sum = ContentHash::of(&packed).0.to_le_bytes();
    [&bytes[..8], &sum, &(raw.len() as u64).to_le_bytes(), &packed].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_forged_is_refused_or_sound(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let index = index(SAMPLE);
        let bytes = forged(&index, |raw| {
            let at = at.index(raw.len());
            raw[at] = with;
        });
        if let Ok(read) = Index::from_bytes(&bytes) {
            for (_, member) in read.members() {
                let _ = (member.told(), member.path(), member.link(), member.linked(), member.capability(), member.stored(), member.uid());
            }
            prop_assert!(read.is_sound());
        }
    }

    #[test]
    fn any_names_come_back_as_told(names in proptest::collection::vec("[ab./]{0,9}", 0..20)) {
        let members: Vec<_> = names.iter().map(|name| ('f', name.as_str(), "")).collect();
        let index = index(&members);
        // A name that ends with a slash is a directory's in the oldest headers only, so all of these are files.
        prop_assert_eq!(index.members().map(|(_, member)| text(&member.told())).collect::<Vec<_>>(), names);
        for (_, member) in index.members() {
            let path = text(&member.path());
            prop_assert!(!path.split('/').any(|part| part == ".." || part == ".") && !path.starts_with('/') && !path.contains("//"));
        }
        prop_assert_eq!(Index::from_bytes(&index.to_bytes().unwrap()), Ok(index));
    }
}

/// What a tap was told: a line a member, with its content and in how many pieces that came.
#[derive(Default)]
struct Told {
    lines: Vec<(String, Vec<u8>, usize)>,
    ended: usize,
}

impl Tap for Told {
    fn begin(&mut self, entry: &crate::layer::Entry) {
        self.lines.push((text(&entry.path), Vec::new(), 0));
    }

    fn piece(&mut self, bytes: &[u8]) {
        let (_, content, pieces) = self.lines.last_mut().unwrap();
        content.extend_from_slice(bytes);
        *pieces += 1;
    }

    fn end(&mut self) {
        self.ended += 1;
    }
}

#[test]
fn a_tap_sees_every_member_and_all_content_in_the_same_pass() {
    let large = "0123456789abcdef".repeat(40_000);
    let bytes =
        tar(&[('d', "./usr/", ""), ('f', "./usr/tool", "some text"), ('f', "none", ""), ('f', "large", &large), ('l', "link", "usr")]);
    let mut told = Told::default();
    let index = read_tapping(&bytes[..], &Known::default(), &mut |_| {}, &mut told);
    assert_eq!(index, read(&bytes[..], &Known::default()), "who looks changes nothing");
    let lines: Vec<(&str, &str)> =
        told.lines.iter().map(|(path, content, _)| (path.as_str(), std::str::from_utf8(content).unwrap())).collect();
    assert_eq!(lines, [("./usr/", ""), ("./usr/tool", "some text"), ("none", ""), ("large", large.as_str()), ("link", "")]);
    assert_eq!((told.ended, told.lines[2].2), (5, 0));
    assert!(told.lines[3].2 > 1, "it is larger than what is read ahead");
    let mut told = Told::default();
    let index = read_tapping(&bytes[..3000], &Known::default(), &mut |_| {}, &mut told);
    assert!(index.problem().is_some());
    assert_eq!((told.lines.len(), told.ended), (4, 3), "what is cut has no end");
}
