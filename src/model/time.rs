//! Ages in words and back. The clock comes from outside: a [`Timestamp`] called `now`.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The age of `then` in at most four columns: `12s`, `5m`, `3h`, `14d`, `7w`, `11mo`, `3y`; `new` for a moment in the future.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        i64::MIN..0 => "new".to_owned(),
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        _ => match seconds / DAY {
            days @ ..21 => format!("{days}d"),
            days @ 21..60 => format!("{}w", days / 7),
            days @ 60..730 => format!("{}mo", days / 30),
            days => format!("{}y", days / 365),
        },
    }
}

/// Parses a span such as `30d`, `12h`, `2w`, `6mo`, `1y` into seconds.
#[must_use]
pub fn parse_span(text: &str) -> Option<i64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let number: i64 = number.parse().ok()?;
    let unit = match unit {
        "s" => 1,
        "m" | "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        "mo" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_and_spans_read_back() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let ago = |s: i64| age(Timestamp::from_second(1_700_000_000 - s).unwrap(), now);
        assert_eq!(ago(-5), "new");
        assert_eq!(ago(59), "59s");
        assert_eq!(ago(3 * HOUR), "3h");
        assert_eq!(ago(20 * DAY), "20d");
        assert_eq!(ago(30 * DAY), "4w");
        assert_eq!(ago(100 * DAY), "3mo");
        assert_eq!(ago(3 * 365 * DAY), "3y");
        assert_eq!(parse_span("30d"), Some(30 * DAY));
        assert_eq!(parse_span("6mo"), Some(180 * DAY));
        assert_eq!(parse_span("d"), None);
        assert_eq!(parse_span("99999999999999999y"), None);
    }
}
