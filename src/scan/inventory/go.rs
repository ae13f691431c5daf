//! Modules that went into Go programs, and the Go that made them. Facts: the Go packages `debug/buildinfo` and `runtime/debug`: a blob behind a
//! magic that lies at a multiple of 16 in a section of its own or in what is written to; since Go 1.18 with its two texts in it, before with
//! the addresses of where they are.

use object::read::File;

use super::listed::{Listed, Unreadable};
use super::program;
use crate::model::PackageKind;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Sections that hold it.
const SECTION: &str = ".go.buildinfo";
/// How much of a part without a name is searched.
const SEARCHED: usize = 1 << 20;
const ALIGNED: usize = 16;
/// Where the texts start that are in it.
const TEXTS: usize = 32;
/// Longest text.
const LONGEST: u64 = 16 << 20;

pub(super) fn parse(bytes: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let Some(file) = program::open(bytes) else { return Ok(()) };
    let Some(blob) = blob(&file)? else { return Ok(()) };
    let broken = Unreadable("what it says of the modules in it is cut");
    let (go, modules) = texts(&file, blob).ok_or(broken)?;
    tell(&go, &modules, into);
    Ok(())
}

fn tell(go: &str, modules: &str, into: &mut Listed) {
    let go = go.split_whitespace().next().unwrap_or_default();
    into.put(PackageKind::Golang, "stdlib", go.strip_prefix("go").unwrap_or(go), "", None);
    put(modules, into);
}

/// The same from the blob alone, where its two texts are in it. Of others nothing is known without the program around it.
pub(super) fn parse_blob(blob: &[u8], into: &mut Listed) -> Result<(), Unreadable> {
    let (go, modules) = blob.get(TEXTS..).and_then(inline).ok_or(Unreadable("what it says of the modules in it is cut"))?;
    tell(&String::from_utf8_lossy(go), &lines(modules), into);
    Ok(())
}

/// Where in a piece of a program a blob begins that has its texts in it; `place` says where in the program the piece lies. As many of the last bytes
/// as a head has are to be looked at again with what follows.
pub(super) fn find_inline(piece: &[u8], place: u64) -> Option<usize> {
    let aligned = (place.wrapping_neg() % ALIGNED as u64).try_into().unwrap_or_default();
    let heads = memchr::memmem::find_iter(piece, MAGIC).filter(|at: &usize| *at >= aligned && (at - aligned).is_multiple_of(ALIGNED));
    // A program that looks into others has the magic too, but no head after it.
    let is_head = |at: &usize| {
        let head = piece.get(at + MAGIC.len()..at + TEXTS);
        head.is_some_and(|head| matches!(head, [_, 2 | 3, rest @ ..] if rest.iter().all(|&byte| byte == 0)))
    };
    heads.into_iter().find(is_head)
}

/// Bytes of a blob's head.
pub(super) const HEAD: usize = TEXTS;

fn blob<'a>(file: &File<'a>) -> Result<Option<&'a [u8]>, Unreadable> {
    if let Some(section) = program::section(file, SECTION)? {
        return Ok(find(section));
    }
    Ok(program::written(file).find_map(find))
}

fn find(part: &[u8]) -> Option<&[u8]> {
    let searched = part.get(..part.len().min(SEARCHED)).unwrap_or_default();
    let at = searched.chunks(ALIGNED).position(|chunk| chunk.starts_with(MAGIC))?;
    part.get(at * ALIGNED..)
}

/// The version of Go, and the lines on modules.
fn texts(file: &File<'_>, blob: &[u8]) -> Option<(String, String)> {
    let (&width, &flags) = (blob.get(MAGIC.len())?, blob.get(MAGIC.len() + 1)?);
    let (go, modules) = if flags & 2 != 0 {
        inline(blob.get(TEXTS..)?)?
    } else {
        let word = Word { width: u64::from(width), is_big: flags & 1 != 0 };
        (word.text(file, word.read(blob.get(16..)?)?)?, word.text(file, word.read(blob.get(16 + usize::from(width)..)?)?)?)
    };
    Some((String::from_utf8_lossy(go).into_owned(), lines(modules).into_owned()))
}

/// Both texts, one after the other.
fn inline(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (go, rest) = told(bytes)?;
    Some((go, told(rest)?.0))
}

/// The lines stand between two marks of 16 bytes.
fn lines(modules: &[u8]) -> std::borrow::Cow<'_, str> {
    let lines = modules.get(16..modules.len().saturating_sub(16)).filter(|lines| lines.ends_with(b"\n"));
    String::from_utf8_lossy(lines.unwrap_or_default())
}

/// A text with its length before it, seven bits a byte, and what comes after.
fn told(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    for (at, &byte) in bytes.iter().enumerate().take(9) {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return bytes.get(at + 1..)?.split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

/// Numbers as the program's machine has them.
struct Word {
    width: u64,
    is_big: bool,
}

impl Word {
    fn read(&self, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes.get(..usize::try_from(self.width).ok()?)?;
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match (self.width, self.is_big) {
            (4 | 8, true) => Some(bytes.iter().fold(0, fold)),
            (4 | 8, false) => Some(bytes.iter().rev().fold(0, fold)),
            _ => None,
        }
    }

    /// The text whose address and length are at `address`.
    fn text<'a>(&self, file: &File<'a>, address: u64) -> Option<&'a [u8]> {
        // A program without modules has no such text.
        if address == 0 {
            return Some(&[]);
        }
        let head = program::at(file, address, 2 * self.width)?;
        let length = self.read(head.get(usize::try_from(self.width).ok()?..)?)?;
        if length == 0 {
            return Some(&[]);
        }
        program::at(file, self.read(head)?, length).filter(|_| length <= LONGEST)
    }
}

/// Lines of tabs: what they are about, a module, its version, its sum.
fn put(lines: &str, into: &mut Listed) {
    let mut last: Option<(&str, &str)> = None;
    let mut tell = |module: Option<(&str, &str)>| {
        if let Some((name, version)) = module {
            into.put(PackageKind::Golang, name, version, "", None);
        }
    };
    for line in lines.lines() {
        let mut words = line.split('\t');
        let what = words.next().unwrap_or_default();
        let mut module = || Some((words.next()?, words.next()?));
        match what {
            "mod" | "dep" => tell(std::mem::replace(&mut last, module())),
            // Built from this in the place of the line before.
            "=>" => last = module().or(last),
            _ => {}
        }
    }
    tell(last);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::listed::tests::told as list;
    use super::super::program::sample::{FIRST, LOADED, elf, go_info as inline, writable};
    use super::*;

    const LINES: &str = "path\texample.com/app\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/net\tv0.17.0\th1:a=\n\
        dep\texample.com/old\tv1.0.0\n=>\texample.com/fork\tv1.0.1\th1:b=\nbuild\tCGO_ENABLED=0\n";

    #[test]
    fn modules_are_read_with_what_replaced_them() {
        let program = elf(&[(".text", &[0x90; 100]), (SECTION, &[vec![0; 16], inline("go1.21.3", LINES)].concat())]);
        let wanted =
            ["golang stdlib 1.21.3", "golang example.com/app (devel)", "golang golang.org/x/net v0.17.0", "golang example.com/fork v1.0.1"];
        assert_eq!(list(parse, &program), wanted);
        assert_eq!(list(parse, &elf(&[(SECTION, &inline("devel +abc", ""))])), ["golang stdlib devel"]);
    }

    #[test]
    fn before_118_addresses_lead_to_the_texts() {
        for width in [4_usize, 8] {
            let marked = [&[b'0'; 16], LINES.as_bytes(), &[b'1'; 16]].concat();
            let number = |value: u64| value.to_le_bytes()[..width].to_vec();
            let place = |at: usize| number(LOADED + FIRST + at as u64);
            let (heads, texts) = (16 + 2 * width, 16 + 6 * width);
            let mut blob = [MAGIC, &[u8::try_from(width).unwrap(), 0]].concat();
            blob.extend([place(heads), place(heads + 2 * width)].concat());
            blob.extend([place(texts), number(6), place(texts + 6), number(marked.len() as u64)].concat());
            blob.extend([b"go1.15", &marked[..]].concat());
            let found = list(parse, &elf(&[(SECTION, &blob)]));
            assert_eq!((found.len(), found[0].as_str(), found[3].as_str()), (4, "golang stdlib 1.15", "golang example.com/fork v1.0.1"));
            // The texts' own lengths are not believed.
            let at = heads + width;
            blob[at..at + width].fill(0xff);
            assert!(parse(&elf(&[(SECTION, &blob)]), &mut Listed::default()).is_err());
        }
    }

    #[test]
    fn a_blob_is_found_in_pieces_of_a_program() {
        let blob = [inline("go1.21.3", LINES), vec![0; 10]].concat();
        for (place, before, found) in [(0_u64, 32, true), (0, 33, false), (7, 9, true), (7, 16, false)] {
            let piece = [vec![0x90; before], blob.clone()].concat();
            assert_eq!(find_inline(&piece, place), found.then_some(before), "{place} {before}");
        }
        assert_eq!(find_inline(&blob[..HEAD - 1], 0), None);
        assert_eq!(find_inline(&[MAGIC, &[8, 2], &[1; 16]].concat(), 0), None, "only the magic");
        let mut listed = Listed::default();
        parse_blob(&blob, &mut listed).unwrap();
        assert_eq!(listed.packages.len(), 4);
        assert!(parse_blob(&blob[..50], &mut Listed::default()).is_err());
    }

    #[test]
    fn without_its_section_it_is_found_in_what_is_written_to() {
        let program = elf(&[(".data", &inline("go1.21.3", LINES))]);
        assert_eq!(list(parse, &program), [""; 0], "the magic alone is in many programs");
        assert_eq!(list(parse, &writable(program)).len(), 4);
    }

    #[test]
    fn a_program_that_is_made_to_be_slow_to_read_is_passed_over() {
        let blob = inline("go1.21.3", LINES);
        let endless = "x".repeat(2 << 20);
        assert_eq!(list(parse, &elf(&[(&endless, b""), (SECTION, &blob)])), [""; 0]);
        let many: Vec<(&str, &[u8])> = vec![("", b""); 5000];
        assert_eq!(list(parse, &elf(&[&many[..], &[(SECTION, &blob)]].concat())), [""; 0]);
        assert_eq!(list(parse, &elf(&[&many[..100], &[(SECTION, &blob)]].concat())).len(), 4);
    }

    #[test]
    fn other_programs_list_nothing_and_cut_ones_are_told() {
        assert_eq!(list(parse, &elf(&[(".text", &[0x90; 100])])), [""; 0]);
        assert_eq!(list(parse, b"\x7fELF and no more"), [""; 0]);
        let whole = inline("go1.21.3", LINES);
        for cut in [15, 20, 33, whole.len() - 1] {
            assert!(parse(&elf(&[(SECTION, &whole[..cut])]), &mut Listed::default()).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..900_usize, flags in 0_u8..4) {
            let _ = parse(&bytes, &mut Listed::default());
            let blob = [MAGIC, &[8, flags], &bytes[..]].concat();
            let mut program = elf(&[(SECTION, &blob)]);
            let _ = parse(&program, &mut Listed::default());
            let at = at % program.len();
            for (slot, byte) in program[at..].iter_mut().zip(&bytes[..bytes.len().min(16)]) {
                *slot = *byte;
            }
            let _ = parse(&program, &mut Listed::default());
        }
    }
}
