//! One line of a journal file: JSON, its length and its checksum, each as eight hex digits. JSON has no line break of its own, so lines can
//! be told apart whatever happened to one of them.

use serde::Serialize;

use crate::work::checksum::crc32;

/// ` llllllll cccccccc`
const TRAILER: usize = 18;

/// The line of `entry`, with its line break.
pub(super) fn write<T: Serialize>(entry: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(entry)?;
    let trailer = format!(" {:08x} {:08x}\n", line.len(), crc32(&line));
    line.extend_from_slice(trailer.as_bytes());
    Ok(line)
}

/// The JSON of a line without its line break; `None` when it is not what was written.
pub(super) fn read(line: &[u8]) -> Option<&[u8]> {
    let (json, trailer) = line.split_at_checked(line.len().checked_sub(TRAILER)?)?;
    let mut parts = std::str::from_utf8(trailer).ok()?.strip_prefix(' ')?.split(' ');
    let mut number = || parts.next().filter(|part| part.len() == 8).and_then(|part| u32::from_str_radix(part, 16).ok());
    (number()? as usize == json.len() && number()? == crc32(json)).then_some(json)
}

/// What a file says: its whole lines, how many bytes they take, and whether one in the middle is damaged. A last line that was not
/// written to its end is left out: nothing was done on the strength of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines<'a> {
    pub whole: Vec<&'a [u8]>,
    pub length: usize,
    pub damaged: bool,
}

pub(super) fn all(bytes: &[u8]) -> Lines<'_> {
    let mut found = Lines { whole: Vec::new(), length: 0, damaged: false };
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
        let Some(json) = read(line) else {
            // Something whole after it: this was no torn end.
            found.damaged = after.split(|byte| *byte == b'\n').any(|line| read(line).is_some());
            return found;
        };
        found.whole.push(json);
        found.length += end + 1;
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_torn_end_is_dropped_and_a_damaged_middle_is_told() {
        let (one, two) = (write(&"one").unwrap(), write(&"two\n").unwrap());
        let file = [one.clone(), two.clone()].concat();
        assert_eq!(all(&file), Lines { whole: vec![b"\"one\"", b"\"two\\n\""], length: file.len(), damaged: false });
        for cut in 0..two.len() {
            let torn = all(&file[..one.len() + cut]);
            assert_eq!((torn.whole.len(), torn.length, torn.damaged), (1, one.len(), false), "{cut}");
        }
        let mut flipped = file.clone();
        flipped[2] ^= 1;
        assert!(all(&flipped).damaged && all(&flipped).whole.is_empty());
        let mut last = file;
        let at = last.len() - 3;
        last[at] ^= 1;
        assert!(!all(&last).damaged);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_always_noticed(text in ".{0,40}", at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut line = write(&text).unwrap();
            line.pop();
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(read(&line), Some(json.as_slice()));
            let at = at.index(line.len());
            line[at] ^= 1 << bit;
            // Hex digits are read in either case, which changes nothing of what they say.
            prop_assume!(!(bit == 5 && at >= line.len() - TRAILER));
            prop_assert_eq!(read(&line), None);
        }
    }
}
