//! Names of runs: 26 letters and digits that sort by time, as a ULID's do. One is always later than the last, wherever the clock stands.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Without letters that are taken for digits.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;
/// Bits of chance below the milliseconds.
const CHANCE: u32 = 80;

/// A run's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId(u128);

impl RunId {
    /// A new one: of `now`, or just after `last` where that is later.
    pub(super) fn new(now: Timestamp, last: Option<Self>) -> Self {
        let hasher = std::collections::hash_map::RandomState::new();
        let random =
            (u128::from(hasher.build_hasher().finish()) << 16) | u128::from(u16::try_from(std::process::id() & 0xffff).unwrap_or(0));
        let ms = u128::try_from(now.as_millisecond()).unwrap_or(0) & ((1 << 48) - 1);
        let id = (ms << CHANCE) | (random & ((1 << CHANCE) - 1));
        Self(id.max(last.map_or(0, |last| last.0.saturating_add(1))))
    }

    /// When it was made, as the clock was then.
    #[must_use]
    pub fn at(self) -> Timestamp {
        i64::try_from(self.0 >> CHANCE).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..LENGTH).rev().try_for_each(|at| {
            let digit = usize::try_from((self.0 >> (5 * at)) & 31).unwrap_or(0);
            write!(f, "{}", char::from(DIGITS.get(digit).copied().unwrap_or(b'0')))
        })
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

impl FromStr for RunId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a run is named by 26 digits and letters";
        if text.len() != LENGTH || text.bytes().next().is_none_or(|first| first > b'7') {
            return Err(WRONG);
        }
        text.bytes()
            .try_fold(0_u128, |id, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte).ok_or(WRONG)?;
                Ok((id << 5) | digit as u128)
            })
            .map(Self)
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_read_back() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let early = RunId::new(at(1_700_000_000), None);
        let late = RunId::new(at(1_700_000_001), Some(early));
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(late.to_string().parse::<RunId>(), Ok(late));
        assert_eq!(early.at(), at(1_700_000_000));
        let back = RunId::new(at(1_600_000_000), Some(late));
        assert!(late < back, "whatever the clock says");
        for bad in ["", "../../etc/passwd", &"z".repeat(26), &"0".repeat(25), "0123456789abcdefghjkmnpqrl"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
