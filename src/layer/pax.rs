//! Extended headers: PAX records (`LENGTH KEY=VALUE\n`), and GNU's long names.

use super::error::TarError;

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse: bool,
    /// GNU's long name and long link, from records of their own.
    pub(super) long_path: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    pub(super) has_pax: bool,
}

/// Longest path or link target, as the kernel has it.
pub(super) const LONGEST_NAME: usize = 4096;

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
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
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
