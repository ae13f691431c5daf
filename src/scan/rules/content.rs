//! What files are by what is in them: keys between marks, and stores of keys.
//!
//! Facts: RFC 7468 (text forms of keys), RFC 1421 (their older heads), OpenSSH's and RFC 7292's own forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A key as text.
pub(super) struct Key {
    /// Of the base64.
    pub(super) characters: usize,
    /// Bytes up to its end, as it stands there.
    pub(super) length: usize,
    pub(super) is_encrypted: bool,
}

/// Shortest key: of curve 25519, without any attribute.
const SHORTEST: usize = 60;
/// How far it is followed; longer ones are met, but what they are is known by then.
const MOST: usize = 6000;
/// Heads before the base64, as old forms and PGP's have them.
const HEADS: usize = 12;

/// The key that follows its first mark; `None` where none does, as in code that only knows the mark.
pub(super) fn key(bytes: &[u8]) -> Option<Key> {
    let bytes = bytes.get(..bytes.len().min(MOST))?;
    let (mut at, mut is_encrypted) = (blank(bytes, 0), false);
    for _ in 0..HEADS {
        let line = bytes.get(at..)?;
        let end = end_of_line(line);
        let text = line.get(..end)?;
        // The names of heads are short.
        if !text.iter().take(30).any(|&byte| byte == b':') {
            break;
        }
        is_encrypted |= text.windows(9).any(|part| part == b"ENCRYPTED");
        at = blank(bytes, at + end);
    }
    let mut body = Vec::with_capacity(128);
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=') {
            body.push(byte);
            at += 1;
            continue;
        }
        let next = blank(bytes, at);
        if next == at {
            break;
        }
        at = next;
    }
    let is_key = body.len() >= SHORTEST && is_known(&body, is_encrypted);
    is_key.then(|| Key { characters: body.len(), length: at, is_encrypted: is_encrypted || is_locked(&body) })
}

/// Where a line ends, be its break real or written as `\n`.
fn end_of_line(bytes: &[u8]) -> usize {
    let real = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    bytes.windows(2).take(real).position(|pair| pair == b"\\n").unwrap_or(real)
}

/// Passes over blanks, breaks of lines, real or written, and what code puts around lines of a text.
fn blank(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\\'), Some(b'n' | b'r' | b't')) => at += 2,
            (Some(b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'\\' | b',' | b'+'), _) if !is_body(bytes, at) => at += 1,
            _ => return at,
        }
    }
}

/// A plus may be a part of base64 or put lines of code together.
fn is_body(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'+') && bytes.get(at + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// Whether the first bytes are those of a key: a DER sequence, OpenSSH's own form, or a packet of PGP. Of an encrypted one they may be any.
fn is_known(body: &[u8], is_encrypted: bool) -> bool {
    let decoded = body.get(..24).and_then(|head| STANDARD_NO_PAD.decode(head).ok());
    let Some(head) = decoded else { return false };
    is_encrypted
        || head.starts_with(b"openssh-key-v1\0")
        || matches!(head.as_slice(), [0x30, 0x81 | 0x82, ..])
        || matches!(head.as_slice(), [0x30, 0x2e..=0x7f, 0x02, ..])
        || head.first().is_some_and(|tag| matches!(tag, 0x94..=0x97 | 0xc5))
        || head.starts_with(b"SSH2")
}

/// Whether a key of OpenSSH's form needs a passphrase: it names its cipher.
fn is_locked(body: &[u8]) -> bool {
    let head = body.get(..40).and_then(|head| STANDARD_NO_PAD.decode(head).ok()).unwrap_or_default();
    head.strip_prefix(b"openssh-key-v1\0").and_then(|rest| rest.get(4..8)).is_some_and(|cipher| cipher != b"none")
}

/// The id of data as PKCS#7 has it, which every PKCS#12 begins with.
const PKCS7_DATA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// Whether a file begins as a store of keys: PKCS#12, or one of Java's own two forms.
pub(super) fn is_key_store(head: &[u8]) -> bool {
    let is_pkcs12 = head.starts_with(&[0x30])
        && head.get(..64.min(head.len())).is_some_and(|head| {
            head.windows(3).take(8).any(|part| part == [0x02, 0x01, 0x03]) && head.windows(PKCS7_DATA.len()).any(|part| part == PKCS7_DATA)
        });
    is_pkcs12 || matches!(head, [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..])
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Of no use: a sequence of DER with zeros and ones in it.
    fn body(length: u16) -> String {
        let [high, low] = length.to_be_bytes();
        let der: Vec<u8> =
            [0x30, 0x82, high, low, 2, 1, 0].into_iter().chain((0..length).map(|at| u8::try_from(at % 251).unwrap())).collect();
        STANDARD.encode(der)
    }

    #[test]
    fn a_key_is_known_by_what_follows_its_mark() {
        let body = body(300);
        let lines: Vec<String> = body.as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        for text in [
            format!("\n{}\n-----END", lines.join("\n")),
            format!("\r\n{}\r\n-----END", lines.join("\r\n")),
            format!("\\n{}\\n-----END", lines.join("\\n")),
            format!("\\n\" +\n  \"{}\\n\" +\n  \"-----END", lines.join("\\n\" +\n  \"")),
        ] {
            let key = key(text.as_bytes()).unwrap();
            assert_eq!((key.characters, key.is_encrypted), (body.len(), false), "{text}");
            assert!(text.as_bytes()[key.length..].starts_with(b"-----END"), "{text}");
        }
        let locked = format!("\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n{}\n-----END", lines.join("\n"));
        assert!(key(locked.as_bytes()).unwrap().is_encrypted);
        for not in ["", "\n-----END", "\" in text", "\nbase64 of the key\n-----END", &format!("\n{}\n-----END", "A".repeat(64))] {
            assert!(key(not.as_bytes()).is_none(), "{not}");
        }
    }

    #[test]
    fn a_key_of_openssh_says_whether_it_is_locked() {
        let with = |cipher: &str| {
            let length = u32::try_from(cipher.len()).unwrap().to_be_bytes();
            let bytes = [b"openssh-key-v1\0", &length[..], cipher.as_bytes(), &[7; 100]].concat();
            key(format!("\n{}\n-----END", STANDARD.encode(bytes)).as_bytes()).unwrap().is_encrypted
        };
        assert_eq!([with("none"), with("aes256-ctr")], [false, true]);
    }

    #[test]
    fn a_store_of_keys_is_known_by_its_first_bytes() {
        let pkcs12 = [&[0x30, 0x82, 9, 0, 2, 1, 3, 0x30, 0x82, 8, 0][..], PKCS7_DATA].concat();
        assert!(is_key_store(&pkcs12) && is_key_store(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]));
        assert!(!is_key_store(&pkcs12[..9]) && !is_key_store(b"") && !is_key_store(b"0 text"));
    }
}
