//! Which answers are worth another try, and how long to wait: exponential with full jitter, or what the registry asked for.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use super::Timers;

/// A number above this in `Retry-After` is a moment in Unix time, not a count of seconds.
const UNIX_TIME: u64 = 1_000_000_000;

/// Whether the same request may succeed later. 499 and 522 come from proxies in front of registries.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The wait before try number `tried + 1`: drawn evenly from nothing to `backoff × 2^(tried-1)`, capped.
pub(super) fn backoff(timers: &Timers, tried: u32) -> Duration {
    let most = timers.backoff.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1))).min(timers.longest_wait);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random() % most.saturating_add(1))
}

/// Random enough to keep clients apart: the standard library's hasher keys.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// What `Retry-After` asks for: seconds, an HTTP date, or a moment in Unix time. A moment in the past or nonsense is `None`.
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).ok().filter(|wait| !wait.is_zero());
    if let Ok(number) = text.parse::<u64>() {
        if number > UNIX_TIME {
            return until(Timestamp::from_second(i64::try_from(number).ok()?).ok()?);
        }
        return Some(Duration::from_secs(number));
    }
    until(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

/// The moment `wait` from now as `HH:MM`, in the user's zone, with the date when it is another day.
pub(super) fn moment(now: Timestamp, wait: Duration) -> String {
    let zone = jiff::tz::TimeZone::system();
    let Some(then) = jiff::SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()) else {
        return "a far-off time".to_owned();
    };
    let (now, then) = (now.to_zoned(zone.clone()), then.to_zoned(zone));
    let form = if now.date() == then.date() { "%H:%M" } else { "%H:%M on %F" };
    then.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asks(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        // 2023-11-14 22:13:20 UTC
        asked(&headers, Timestamp::from_second(1_700_000_000).unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_comes_in_three_forms() {
        assert_eq!(asks("2"), Some(2));
        assert_eq!(asks("86400"), Some(86_400));
        assert_eq!(asks("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(asks("Tue, 14 Nov 2023 22:13:10 GMT"), None);
        assert_eq!(asks("1700000007"), Some(7));
        assert_eq!(asks("1600000000"), None);
        assert_eq!(asks("abc"), None);
        assert_eq!(asks("-5"), None);
        assert_eq!(asks("18446744073709551615"), None);
    }

    #[test]
    fn backoff_stays_under_its_doubling_bound() {
        let timers = Timers { backoff: Duration::from_millis(100), ..Timers::default() };
        for tried in 1..=64 {
            let bound = 100_u64.saturating_mul(2_u64.saturating_pow(tried - 1)).min(60_000);
            assert!(backoff(&timers, tried) <= Duration::from_millis(bound));
        }
        let drawn: std::collections::HashSet<_> = (0..32).map(|_| backoff(&timers, 8)).collect();
        assert!(drawn.len() > 8, "waits are drawn, not fixed");
    }

    #[test]
    fn only_answers_that_can_change_are_tried_again() {
        for status in [408, 425, 429, 499, 500, 502, 503, 504, 522] {
            assert!(is_transient(StatusCode::from_u16(status).unwrap()));
        }
        for status in [200, 400, 401, 403, 404, 405, 416, 501] {
            assert!(!is_transient(StatusCode::from_u16(status).unwrap()));
        }
    }
}
