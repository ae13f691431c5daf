//! Extended headers: PAX records (`LENGTH KEY=VALUE\n`), and GNU's long names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::error::TarError;

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) sparse: bool,
    /// Size of a sparse file with its holes.
    pub(super) content_size: Option<u64>,
    pub(super) capability: Option<Vec<u8>>,
    /// Other extended attributes, as the two families of writers have them; some writers tell all of them twice.
    xattrs: u16,
    encoded_xattrs: u16,
    /// GNU's long name and long link, from records of their own.
    pub(super) long_path: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    pub(super) has_pax: bool,
}

/// Longest path or link target, as the kernel has it.
pub(super) const LONGEST_NAME: usize = 4096;
/// Longest value kept as a capability; the kernel's have 24 bytes at most.
const LONGEST_CAPABILITY: usize = 64;
const XATTR: &[u8] = b"SCHILY.xattr.";
const ENCODED_XATTR: &[u8] = b"LIBARCHIVE.xattr.";

impl Extra {
    pub(super) fn is_empty(&self) -> bool {
        !self.has_pax && self.long_path.is_none() && self.long_link.is_none()
    }

    /// Takes in a PAX header for one entry.
    pub(super) fn take_pax(&mut self, bytes: &[u8], offset: u64) -> Result<(), TarError> {
        if self.has_pax {
            return Err(TarError::Extended { offset, why: "follows another one for the same entry" });
        }
        self.has_pax = true;
        for record in records(bytes) {
            let (key, value) = record.map_err(|why| TarError::Extended { offset, why })?;
            match key {
                b"path" | b"GNU.sparse.name" if !value.is_empty() => self.path = Some(name(value, offset)?),
                b"linkpath" if !value.is_empty() => self.link = Some(name(value, offset)?),
                b"size" if !value.is_empty() => self.size = Some(decimal(value).ok_or(TarError::Number { offset, field: "size" })?),
                b"uid" => self.uid = decimal(value),
                b"gid" => self.gid = decimal(value),
                b"mtime" => self.mtime = seconds(value),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    self.sparse = true;
                    self.content_size = Some(decimal(value).ok_or(TarError::Number { offset, field: "size" })?);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => self.take_xattr(key, value),
            }
        }
        Ok(())
    }

    fn take_xattr(&mut self, key: &[u8], value: &[u8]) {
        if let Some(name) = key.strip_prefix(XATTR) {
            if name == b"security.capability" && value.len() <= LONGEST_CAPABILITY {
                self.capability = Some(value.to_vec());
            } else {
                self.xattrs = self.xattrs.saturating_add(1);
            }
        } else if let Some(name) = key.strip_prefix(ENCODED_XATTR) {
            let decoded = (name == b"security.capability").then(|| STANDARD_NO_PAD.decode(unpadded(value)).ok()).flatten();
            match decoded.filter(|value| value.len() <= LONGEST_CAPABILITY) {
                Some(value) if self.capability.is_none() => self.capability = Some(value),
                Some(_) => {}
                None => self.encoded_xattrs = self.encoded_xattrs.saturating_add(1),
            }
        }
    }

    /// Extended attributes other than a capability.
    pub(super) fn other_xattrs(&self) -> u16 {
        self.xattrs.max(self.encoded_xattrs)
    }

    /// The path the entry gets: PAX, then GNU, must agree when both are there.
    pub(super) fn settle(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>, offset: u64, what: &'static str) -> Result<Option<Vec<u8>>, TarError> {
        match (pax, gnu) {
            (Some(pax), Some(gnu)) if pax != gnu => Err(TarError::Ambiguous { offset, what }),
            (Some(name), _) | (None, Some(name)) => Ok(Some(name)),
            (None, None) => Ok(None),
        }
    }
}

/// A global header may carry comments; one that would rename or resize entries is refused, since the engines ignore it and others
/// don't.
pub(super) fn check_global(bytes: &[u8], offset: u64) -> Result<(), TarError> {
    for record in records(bytes) {
        let (key, _) = record.map_err(|why| TarError::Extended { offset, why })?;
        if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
            return Err(TarError::Extended { offset, why: "would rename or resize every entry" });
        }
    }
    Ok(())
}

/// A GNU long name: up to its first NUL.
pub(super) fn long_name(bytes: &[u8], offset: u64) -> Result<Vec<u8>, TarError> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    name(bytes.get(..end).unwrap_or_default(), offset)
}

fn name(value: &[u8], offset: u64) -> Result<Vec<u8>, TarError> {
    if value.len() > LONGEST_NAME {
        return Err(TarError::TooLarge { offset, what: "name", size: value.len() as u64, most: LONGEST_NAME as u64 });
    }
    if value.contains(&0) {
        return Err(TarError::Extended { offset, why: "has a name with a zero byte in it" });
    }
    Ok(value.to_vec())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Base 64 without the signs that fill it up, which not every writer puts there.
fn unpadded(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|&byte| byte != b'=').map_or(0, |at| at + 1);
    value.get(..end).unwrap_or_default()
}

/// Whole seconds of a time such as `1700000000.25`; before 1970 they are rounded down too.
fn seconds(value: &[u8]) -> Option<i64> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let (whole, rest) = value.split_at_checked(point)?;
    let fraction = rest.get(1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let whole = i64::try_from(decimal(whole)?).ok()?;
    let more = fraction.iter().any(|&byte| byte != b'0');
    if negative { whole.checked_neg()?.checked_sub(i64::from(more)) } else { Some(whole) }
}

type Record<'a> = Result<(&'a [u8], &'a [u8]), &'static str>;

fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = split_record(rest);
        rest = record.map_or(&[], |(_, _, after)| after);
        Some(record.map(|(key, value, _)| (key, value)).ok_or("is not made of sound records"))
    })
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..blank)?)?).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&b| b == b'=')?;
    let (key, value) = (body.get(..equals)?, body.get(equals + 1..)?);
    (!key.is_empty()).then_some((key, value, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pax(bytes: &[u8]) -> Result<Extra, TarError> {
        let mut extra = Extra::default();
        extra.take_pax(bytes, 0).map(|()| extra)
    }

    #[test]
    fn records_are_read() {
        assert!(pax(b"18 GNU.sparse.x=1\n").unwrap().sparse);
        let extra = pax(b"12 path=a b\n11 size=42\n11 path=a\n\n").unwrap();
        assert_eq!((extra.path.as_deref(), extra.size), (Some(&b"a\n"[..]), Some(42)));
        assert_eq!(pax(b"8 path=\n").unwrap().path, None);
    }

    #[test]
    fn owners_times_and_attributes_are_read() {
        let record = |key: &str, value: &[u8]| {
            let tail = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
            let mut length = tail.len() + 1;
            while length != tail.len() + length.to_string().len() {
                length += 1;
            }
            [length.to_string().as_bytes(), &tail].concat()
        };
        let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let encoded = STANDARD_NO_PAD.encode(capability);
        let both = [
            record("uid", b"3000000000"),
            record("gid", b"x"),
            record("mtime", b"-1.5"),
            record("SCHILY.xattr.security.capability", capability),
            record("LIBARCHIVE.xattr.security.capability", encoded.as_bytes()),
            record("SCHILY.xattr.user.a", b"1"),
            record("LIBARCHIVE.xattr.user.a", b"MQ=="),
            record("GNU.sparse.realsize", b"4096"),
        ];
        let extra = pax(&both.concat()).unwrap();
        assert_eq!((extra.uid, extra.gid, extra.mtime), (Some(3_000_000_000), None, Some(-2)));
        assert_eq!((extra.capability.as_deref(), extra.other_xattrs()), (Some(&capability[..]), 1));
        assert_eq!((extra.sparse, extra.content_size), (true, Some(4096)));
        let alone = pax(&record("LIBARCHIVE.xattr.security.capability", format!("{encoded}=").as_bytes())).unwrap();
        assert_eq!(alone.capability.as_deref(), Some(&capability[..]));
        for (text, found) in [("5", Some(5)), ("5.9", Some(5)), ("-5.0", Some(-5)), ("", None), ("1e9", None), ("1.x", None)] {
            assert_eq!(seconds(text.as_bytes()), found, "{text}");
        }
    }

    #[test]
    fn unsound_records_are_refused() {
        for bytes in [&b"99 path=a\n"[..], b"x path=a\n", b"9 path=a", b"0 \n", b"6 =ab\n", b"12 size=-123\n", b"11 path=\0a\n", b"5 a\n"] {
            assert!(pax(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(check_global(b"10 path=ab\n", 0).is_err());
        assert!(check_global(b"13 comment=x\n", 0).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = pax(&bytes);
        }

        #[test]
        fn what_was_written_is_read(key in "[a-z]{1,10}", value in "[^\0]{0,40}") {
            let tail = format!(" {key}={value}\n");
            let mut length = tail.len() + 1;
            while length != tail.len() + length.to_string().len() { length += 1; }
            let text = format!("{length}{tail}");
            let all: Vec<_> = records(text.as_bytes()).collect();
            prop_assert_eq!(all, vec![Ok((key.as_bytes(), value.as_bytes()))]);
        }
    }
}
