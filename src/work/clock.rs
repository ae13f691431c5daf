//! The one clock. Everybody else is told the time.

use jiff::Timestamp;

/// The wall clock. In debug builds `LIGHTERMAN_TEST_NOW` (RFC 3339) fixes it, so that pictures of the screen can be compared.
#[must_use]
pub fn now() -> Timestamp {
    #[cfg(debug_assertions)]
    if let Some(fixed) = std::env::var("LIGHTERMAN_TEST_NOW").ok().and_then(|text| text.parse().ok()) {
        return fixed;
    }
    #[expect(clippy::disallowed_methods, reason = "this is the clock the others are told from")]
    Timestamp::now()
}
