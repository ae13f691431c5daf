//! How much a registry still gives before it refuses: `ratelimit-limit` and `ratelimit-remaining`, as Docker Hub sends them with manifests
//! (`100;w=21600`) and as the first drafts of RateLimit fields have them (`10, 10;w=1, 50;w=60`). A hint: nothing is refused because of it.
//!
//! May use model. Headers are foreign: what is not plainly a number is no answer.

use std::sync::PoisonError;
use std::time::Duration;

use http::HeaderMap;

use super::{Client, Inner};
use crate::model::Quota;

/// Longest header that is looked at.
const LONGEST: usize = 256;
/// Most requests and longest window (a year) that are believed.
const MOST: u64 = 1_000_000_000;
const LONGEST_WINDOW: u64 = 366 * 24 * 3600;

impl Client {
    /// What `host` said last of how much it still gives.
    #[must_use]
    pub fn quota(&self, host: &str) -> Option<Quota> {
        self.0.quotas.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// What all hosts that were asked said last, by host.
    #[must_use]
    pub fn quotas(&self) -> Vec<(String, Quota)> {
        let quotas = self.0.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = quotas.iter().map(|(host, quota)| (host.clone(), *quota)).collect();
        all.sort_by(|(one, _), (two, _)| one.cmp(two));
        all
    }
}

impl Inner {
    /// Keeps what an answer of `host` says; one that says nothing leaves what is known.
    pub(super) fn note_quota(&self, host: &str, headers: &HeaderMap) {
        if let Some(quota) = read(headers) {
            self.quotas.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), quota);
        }
    }
}

fn read(headers: &HeaderMap) -> Option<Quota> {
    let field = |name: &str| headers.get(name)?.to_str().ok().filter(|text| text.len() <= LONGEST);
    let left = field("ratelimit-remaining")?;
    let (remaining, left_window) = first(left)?;
    let limits = field("ratelimit-limit");
    let limit = limits.and_then(first);
    // A list says which of its windows the first number is about by repeating it.
    let listed = || {
        let (limit, _) = limit?;
        limits?.split(',').filter_map(item).find_map(|(number, window)| window.filter(|_| number == limit))
    };
    let window = left_window.or_else(|| limit?.1).or_else(listed);
    Some(Quota { limit: limit.map(|(limit, _)| limit), remaining, window: window.map(Duration::from_secs) })
}

fn first(text: &str) -> Option<(u64, Option<u64>)> {
    item(text.split(',').next()?)
}

/// `NUMBER` or `NUMBER;w=SECONDS`, other parameters passed over.
fn item(text: &str) -> Option<(u64, Option<u64>)> {
    let mut parts = text.split(';').map(str::trim);
    let value = number(parts.next()?).filter(|number| *number <= MOST)?;
    let window = parts.find_map(|part| number(part.strip_prefix("w=")?)).filter(|window| (1..=LONGEST_WINDOW).contains(window));
    Some((value, window))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn quota(limit: &str, remaining: &str) -> Option<Quota> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("ratelimit-limit", limit), ("ratelimit-remaining", remaining)] {
            if !value.is_empty() {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
            }
        }
        read(&headers)
    }

    #[test]
    fn every_form_that_is_sent_is_read() {
        let window = |seconds: u64| Some(Duration::from_secs(seconds));
        let is = |limit: Option<u64>, remaining: u64, window: Option<Duration>| Some(Quota { limit, remaining, window });
        assert_eq!(quota("100;w=21600", "96;w=21600"), is(Some(100), 96, window(21600)));
        assert_eq!(quota("100;w=21600", "0"), is(Some(100), 0, window(21600)));
        assert_eq!(quota("100", " 7 "), is(Some(100), 7, None));
        assert_eq!(quota("", "7 ; w=60"), is(None, 7, window(60)));
        assert_eq!(quota("50, 10;w=1, 50;w=60", "3"), is(Some(50), 3, window(60)));
        assert_eq!(quota("10;burst=5;w=1", "3"), is(Some(10), 3, window(1)));
        assert_eq!(quota("many", "3"), is(None, 3, None));
        assert_eq!(quota("100;w=0", "3;w=99999999999"), is(Some(100), 3, None));
    }

    #[test]
    fn what_is_no_number_is_no_answer() {
        for bad in ["", "-1", "+1", "1e9", "1.5", "x", ";w=5", "99999999999999999999", "1000000001", &"1".repeat(300), "\u{661}"] {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-remaining", HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            assert_eq!(read(&headers), None, "{bad}");
        }
        assert_eq!(quota("100;w=60", ""), None);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(limit in "[ -~]{0,300}", remaining in "[0-9;w=, ]{0,40}") {
            if let Some(quota) = quota(&limit, &remaining) {
                prop_assert!(quota.remaining <= MOST && quota.window.is_none_or(|window| window.as_secs() <= LONGEST_WINDOW));
            }
        }
    }
}
