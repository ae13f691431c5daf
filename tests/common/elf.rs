//! Small programs for tests: ELF files that have the sections they are asked for, and run nowhere.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, clippy::unwrap_used, reason = "each test uses its own part")]

/// Where the whole file is loaded.
pub const LOADED: u64 = 0x10000;

/// A 64-bit ELF file with these sections, loaded as one piece that is only read.
pub fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut out = vec![0; 120];
    let mut headers = vec![[0_u8; 64]];
    let mut header = |name: usize, kind: u32, offset: usize, size: usize| {
        let mut one = [0; 64];
        one[..4].copy_from_slice(&u32::try_from(name).unwrap().to_le_bytes());
        one[4..8].copy_from_slice(&kind.to_le_bytes());
        one[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        one[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        headers.push(one);
    };
    for (name, bytes) in sections {
        out.resize(out.len().next_multiple_of(16), 0);
        header(names.len(), 1, out.len(), bytes.len());
        names.extend(name.bytes().chain([0]));
        out.extend_from_slice(bytes);
    }
    let own = names.len();
    names.extend(b".shstrtab\0");
    header(own, 3, out.len(), names.len());
    out.extend(names);
    let table = out.len() as u64;
    let count = u16::try_from(headers.len()).unwrap();
    out.extend(headers.concat());
    let length = out.len() as u64;
    out[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    out[20..24].copy_from_slice(&1_u32.to_le_bytes());
    out[32..40].copy_from_slice(&64_u64.to_le_bytes());
    out[40..48].copy_from_slice(&table.to_le_bytes());
    for (at, value) in [(52, 64), (54, 56), (56, 1), (58, 64), (60, count), (62, count - 1)] {
        out[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
    }
    out[64..72].copy_from_slice(b"\x01\0\0\0\x04\0\0\0");
    for (at, value) in [(80, LOADED), (88, LOADED), (96, length), (104, length), (112, 16)] {
        out[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    out
}

/// Where the first section of [`elf`] starts.
pub const FIRST: u64 = 128;

/// Makes what is loaded writable too.
pub fn writable(mut elf: Vec<u8>) -> Vec<u8> {
    elf[68] = 6;
    elf
}

/// What Go writes into programs since 1.18: its version, and lines on modules.
pub fn go_info(go: &str, lines: &str) -> Vec<u8> {
    let mut out = [&b"\xff Go buildinf:\x08\x02"[..], &[0; 16]].concat();
    let marked = [&[b'0'; 16], lines.as_bytes(), &[b'1'; 16]].concat();
    for text in [go.as_bytes(), &marked] {
        let mut length = text.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend_from_slice(text);
    }
    out
}
