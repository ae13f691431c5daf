//! What tests share: the real peers that `tests/run` starts, named by environment variables.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "each test binary uses its own part; left-out tests say so; a sample that can't be made fails its test"
)]

pub mod images;
pub mod program;
pub mod pty;
pub mod remote;

/// The value of `variable`, or a word that `test` is left out. With `CI=true` a left-out test fails.
///
/// # Panics
/// With `CI=true` and the variable unset.
#[must_use]
pub fn require(test: &str, variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} was left out: {variable} is not set");
        eprintln!("left out: {test} (needs {variable}; run tests/run)");
    }
    value
}

/// The private Docker engine, as `unix://…`.
#[must_use]
pub fn docker(test: &str) -> Option<String> {
    require(test, "LIGHTERMAN_TEST_DOCKER")
}

/// The private Podman API socket, as `unix://…`.
#[must_use]
pub fn podman(test: &str) -> Option<String> {
    require(test, "LIGHTERMAN_TEST_PODMAN")
}

/// The private registry (plain HTTP, deletes enabled), as `127.0.0.1:PORT`.
#[must_use]
pub fn registry(test: &str) -> Option<String> {
    require(test, "LIGHTERMAN_TEST_REGISTRY")
}
