//! Ways for tests to make the real program fail where it never does by itself. Debug builds only.

/// Panics where `LIGHTERMAN_TEST_PANIC` says so.
///
/// # Panics
/// When asked to.
pub fn panic_if(place: &str) {
    let asked = std::env::var("LIGHTERMAN_TEST_PANIC").is_ok_and(|asked| asked == place);
    assert!(!asked, "asked to panic in {place}");
}

/// Kills the process, as `SIGKILL` does, the `LIGHTERMAN_TEST_KILL`th time it comes by.
pub fn point() {
    static PASSED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let Some(wanted) = std::env::var("LIGHTERMAN_TEST_KILL").ok().and_then(|wanted| wanted.parse::<u64>().ok()) else { return };
    if PASSED.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == wanted {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
