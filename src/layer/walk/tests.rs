use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn header(path: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn sample() -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    let long = format!("{}/file", "directory/".repeat(40));
    for (path, body) in [("short", &b"hello"[..]), (long.as_str(), &[7; 1000]), ("empty", b"")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o600);
        out.append_data(&mut header, path, body).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    out.append_link(&mut link, "link", format!("../{}", "x".repeat(200))).unwrap();
    out.into_inner().unwrap()
}

fn walk<R: Advance>(mut walker: Walker<R>, data: bool) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut out = Vec::new();
    while let Some(entry) = walker.next_entry()? {
        let mut body = Vec::new();
        if data {
            let name = Safe::new(&String::from_utf8_lossy(&entry.path));
            walker.read_to_end(&mut body).map_err(|_short| TarError::CutEntry { entry: name, missing: 0 })?;
        }
        out.push((entry, body));
    }
    walker.finish()?;
    Ok(out)
}

fn names(bytes: &[u8]) -> Result<Vec<(String, Kind, u64)>, TarError> {
    let all = walk(Walker::streaming(bytes), true)?;
    Ok(all.into_iter().map(|(entry, _)| (String::from_utf8_lossy(&entry.path).into_owned(), entry.kind, entry.size)).collect())
}

fn block(header: &tar::Header) -> Vec<u8> {
    header.as_bytes().to_vec()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out.resize(bytes.len().next_multiple_of(512), 0);
    out
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[test]
fn entries_are_read_with_long_names_and_links() {
    let bytes = sample();
    let streamed = walk(Walker::streaming(&bytes[..]), true).unwrap();
    assert_eq!(streamed.len(), 4);
    assert_eq!(streamed[0].1, b"hello");
    assert_eq!((streamed[1].0.path.len(), streamed[1].1.len()), (405, 1000));
    assert_eq!(streamed[3].0.link.as_ref().unwrap().len(), 203);
    let sought = walk(Walker::seeking(Cursor::new(&bytes)).unwrap(), false).unwrap();
    let skipped = walk(Walker::streaming(&bytes[..]), false).unwrap();
    assert_eq!(walk(Walker::buffered(&bytes[..]), true).unwrap(), streamed);
    assert_eq!(walk(Walker::buffered(&bytes[..]), false).unwrap(), skipped);
    for ((a, b), c) in streamed.iter().zip(&sought).zip(&skipped) {
        assert_eq!((&a.0, &a.0), (&b.0, &c.0));
        let start = usize::try_from(a.0.data_offset).unwrap();
        assert_eq!(bytes[start..start + a.1.len()], a.1[..]);
    }
}

#[test]
fn a_tar_cut_anywhere_is_refused() {
    let bytes = sample();
    for cut in 0..bytes.len() {
        assert!(walk(Walker::streaming(&bytes[..cut]), true).is_err(), "stream cut at {cut}");
        assert!(walk(Walker::buffered(&bytes[..cut]), false).is_err(), "stream read ahead cut at {cut}");
        assert!(walk(Walker::seeking(Cursor::new(&bytes[..cut])).unwrap(), false).is_err(), "file cut at {cut}");
    }
}

#[test]
fn what_follows_the_end_is_refused_unless_it_is_zeros() {
    let bytes = sample();
    assert!(names(&[&bytes[..], &[0; 9000]].concat()).is_ok());
    let error = names(&[&bytes[..], &[0; 100], b"{\"error\":1}"].concat()).unwrap_err();
    assert!(matches!(error, TarError::Trailing { offset } if offset == bytes.len() as u64 + 100), "{error}");
    let error = names(&[&bytes[..bytes.len() - 512], &block(&header("more", tar::EntryType::Regular, 0)), &end()].concat()).unwrap_err();
    assert!(matches!(error, TarError::Trailing { .. }), "{error}");
}

#[test]
fn pax_names_and_sizes_win() {
    let records = b"14 path=a/b/c\n10 size=3\n";
    let mut pax = header("pax", tar::EntryType::XHeader, records.len() as u64);
    pax.set_cksum();
    let file = header("wrong", tar::EntryType::Regular, 0);
    let bytes = [block(&pax), padded(records), block(&file), padded(b"abc"), end()].concat();
    assert_eq!(names(&bytes).unwrap(), [("a/b/c".to_owned(), Kind::File, 3)]);
}

#[test]
fn sparse_files_are_passed_over_and_named() {
    let mut sparse = header("holes", tar::EntryType::GNUSparse, 512);
    sparse.as_gnu_mut().unwrap().set_is_extended(true);
    sparse.as_gnu_mut().unwrap().set_real_size(1 << 40);
    sparse.set_cksum();
    let mut more = [0; 512];
    more[504] = 1;
    let after = header("after", tar::EntryType::Regular, 3);
    let bytes = [block(&sparse), more.to_vec(), vec![0; 512], vec![9; 512], block(&after), padded(b"abc"), end()].concat();
    let found = names(&bytes).unwrap();
    assert_eq!(found, [("holes".to_owned(), Kind::Sparse, 512), ("after".to_owned(), Kind::File, 3)]);
    assert_eq!(Walker::streaming(&bytes[..]).next_entry().unwrap().unwrap().content_size, 1 << 40);
}

#[test]
fn data_is_looked_at_where_it_lies() {
    let bytes = sample();
    let mut walker = Walker::buffered(&bytes[..]);
    let mut found = Vec::new();
    while let Some(entry) = walker.next_entry().unwrap() {
        let mut body = Vec::new();
        loop {
            let piece = walker.fill_buf().unwrap();
            if piece.is_empty() {
                break;
            }
            // Not all of it at once, so that what is left is counted.
            let some = piece.len().min(300);
            body.extend_from_slice(&piece[..some]);
            walker.consume(some);
        }
        found.push((entry, body));
    }
    assert_eq!(found, walk(Walker::streaming(&bytes[..]), true).unwrap());
}

#[test]
fn devices_owners_and_times_are_told() {
    let mut device = header("dev/null", tar::EntryType::Char, 0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_uid(5);
    device.set_mtime(7);
    device.set_cksum();
    let records = b"11 uid=700\n15 mtime=12.75\n";
    let pax = header("pax", tar::EntryType::XHeader, records.len() as u64);
    let bytes = [block(&device), block(&pax), padded(records), block(&device), end()].concat();
    let found = walk(Walker::streaming(&bytes[..]), false).unwrap();
    let told: Vec<_> = found.iter().map(|(entry, _)| (entry.device, entry.uid, entry.mtime)).collect();
    assert_eq!(told, [(Some((1, 3)), Some(5), Some(7)), (Some((1, 3)), Some(700), Some(12))]);
}

#[test]
fn headers_only_kinds_have_no_data() {
    let mut directory = header("d/", tar::EntryType::Directory, 4096);
    directory.set_cksum();
    let bytes = [block(&directory), block(&header("f", tar::EntryType::Regular, 0)), end()].concat();
    assert_eq!(names(&bytes).unwrap(), [("d/".to_owned(), Kind::Directory, 0), ("f".to_owned(), Kind::File, 0)]);
}

/// Gives a header and then zeros for ever, without having them.
struct Endless {
    start: Cursor<Vec<u8>>,
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.start.read(buffer)? {
            0 => {
                buffer.fill(b'a');
                buffer.len()
            }
            read => read,
        };
        self.given += read as u64;
        Ok(read)
    }
}

#[test]
fn a_huge_extended_header_is_refused_without_reading_it() {
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader, tar::EntryType::XGlobalHeader] {
        let start = Cursor::new(block(&header("x", kind, 600 << 20)));
        let mut source = Endless { start, given: 0 };
        let error = Walker::streaming(&mut source).next_entry().unwrap_err();
        assert!(matches!(error, TarError::TooLarge { size: 629_145_600, .. }), "{error}");
        assert_eq!(source.given, 512);
    }
}

#[test]
fn doubled_contradicting_or_lonely_extended_headers_are_refused() {
    let long = |name: &str| [block(&header("L", tar::EntryType::GNULongName, name.len() as u64)), padded(name.as_bytes())].concat();
    let file = block(&header("f", tar::EntryType::Regular, 0));
    assert!(names(&[long("a"), long("b"), file.clone(), end()].concat()).is_err());
    assert!(names(&[long("a"), end()].concat()).is_err());
    let pax = [block(&header("x", tar::EntryType::XHeader, 10)), padded(b"10 path=b\n")].concat();
    let error = names(&[long("a"), pax.clone(), file.clone(), end()].concat()).unwrap_err();
    assert!(matches!(error, TarError::Ambiguous { .. } | TarError::Extended { .. }), "{error}");
    assert!(names(&[long(&"n".repeat(4097)), file.clone(), end()].concat()).is_err());
    assert_eq!(names(&[long(&"n".repeat(4096)), file, end()].concat()).unwrap()[0].0.len(), 4096);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for size in [[0xff_u8; 12], *b"99999999999\0", *b"-0000000001\0", [0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let mut header = header("f", tar::EntryType::Regular, 0);
        header.as_old_mut().size = size;
        header.set_cksum();
        assert!(matches!(names(&[block(&header), end()].concat()), Err(TarError::Number { .. })), "{size:?}");
    }
    let mut header = header("f", tar::EntryType::Regular, 0);
    header.as_old_mut().size = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    header.set_cksum();
    assert!(names(&[block(&header), end()].concat()).is_err());
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = sample();
    bytes[0] ^= 1;
    assert!(matches!(names(&bytes), Err(TarError::Header { offset: 0 })));
}

proptest! {
    #[test]
    fn no_change_to_a_tar_makes_it_panic(position in 0..4096_usize, with in any::<u8>()) {
        let mut bytes = sample();
        let position = position % bytes.len();
        bytes[position] = with;
        let _ = names(&bytes);
        let _ = walk(Walker::seeking(Cursor::new(&bytes)).unwrap(), false);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = names(&bytes);
    }
}
