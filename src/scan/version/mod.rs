//! The orders of versions: every ecosystem has its own, and a wrong one is a finding too many or too few.
//!
//! A text that is no version there is refused, never guessed at; what was parsed in one order can't be compared with what was in another.
//! Numbers are kept as their digits, so none is too large.
//!
//! May use nothing of ours. Facts: each order's own file says where its are from.

use std::cmp::Ordering;

mod alpine;
mod debian;
mod maven;
mod plain;
mod python;
mod rpm;
mod semver;
#[cfg(test)]
mod tests;

/// Longest text that is taken for a version, in bytes.
const LONGEST: usize = 512;

/// Which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    Alpine,
    /// Also Ubuntu's.
    Debian,
    Maven,
    /// Of ecosystems without a rule that is known here: numbers as numbers, words as words.
    Plain,
    Python,
    Rpm,
    /// Semantic versions: npm, crates.io and Go.
    Semver,
}

impl Order {
    /// The order of an ecosystem as OSV names it; what comes after a colon there counts for nothing.
    #[must_use]
    pub fn of_ecosystem(name: &str) -> Self {
        match name.split(':').next().unwrap_or_default() {
            "Alpine" | "Alpaquita" | "BellSoft Hardened Containers" | "Chainguard" | "MinimOS" | "Wolfi" => Self::Alpine,
            "Debian" | "Ubuntu" => Self::Debian,
            "AlmaLinux" | "Azure Linux" | "Mageia" | "Photon OS" | "Red Hat" | "Rocky Linux" | "SUSE" | "openEuler" | "openSUSE" => {
                Self::Rpm
            }
            "Maven" => Self::Maven,
            "PyPI" => Self::Python,
            "Go" | "crates.io" | "npm" => Self::Semver,
            _ => Self::Plain,
        }
    }

    /// `None` for what is no version in this order.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Version> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        Some(Version(match self {
            Self::Alpine => Parsed::Alpine(alpine::Version::parse(text)?),
            Self::Debian => Parsed::Debian(debian::Version::parse(text)?),
            Self::Maven => Parsed::Maven(maven::Version::parse(text)),
            Self::Plain => Parsed::Plain(plain::Version::parse(text)),
            Self::Python => Parsed::Python(Box::new(python::Version::parse(text))),
            Self::Rpm => Parsed::Rpm(rpm::Version::parse(text)),
            Self::Semver => Parsed::Semver(semver::Version::parse(text)?),
        }))
    }
}

/// A version in some order. Of two orders there is no first.
#[derive(Debug, Clone)]
pub struct Version(Parsed);

#[derive(Debug, Clone)]
enum Parsed {
    Alpine(alpine::Version),
    Debian(debian::Version),
    Maven(maven::Version),
    Plain(plain::Version),
    Python(Box<python::Version>),
    Rpm(rpm::Version),
    Semver(semver::Version),
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (&self.0, &other.0) {
            (Parsed::Alpine(one), Parsed::Alpine(two)) => Some(one.order(two)),
            (Parsed::Debian(one), Parsed::Debian(two)) => Some(one.order(two)),
            (Parsed::Maven(one), Parsed::Maven(two)) => Some(one.order(two)),
            (Parsed::Plain(one), Parsed::Plain(two)) => Some(one.order(two)),
            (Parsed::Python(one), Parsed::Python(two)) => Some(one.order(two)),
            (Parsed::Rpm(one), Parsed::Rpm(two)) => Some(one.order(two)),
            (Parsed::Semver(one), Parsed::Semver(two)) => Some(one.order(two)),
            _ => None,
        }
    }
}

/// As the order has it: `1.0` and `1.0.0` are one in some.
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

/// Two numbers of any length, by their digits.
fn numbers(one: &str, two: &str) -> Ordering {
    let (one, two) = (one.trim_start_matches('0'), two.trim_start_matches('0'));
    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
}

/// The longest beginning whose characters are all of that kind, and the rest.
fn split(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()))
}

/// The digits that it begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    split(text, |c| c.is_ascii_digit())
}
