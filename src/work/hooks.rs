//! Ways for tests to make the real program fail where it never does by itself. Debug builds only.

/// Panics where `LIGHTERMAN_TEST_PANIC` says so.
///
/// # Panics
/// When asked to.
pub fn panic_if(place: &str) {
    let asked = std::env::var("LIGHTERMAN_TEST_PANIC").is_ok_and(|asked| asked == place);
    assert!(!asked, "asked to panic in {place}");
}
