//! Versions of Debian and its kin. Facts: deb-version(7): `[EPOCH:]UPSTREAM[-REVISION]`, words and numbers in turn, a tilde before everything.

use std::cmp::Ordering;

use super::{digits, numbers, split};

#[derive(Debug, Clone)]
pub(super) struct Version {
    epoch: String,
    upstream: String,
    revision: String,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        let is_number = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':' | '_');
        let is_version = is_number && !upstream.is_empty() && rest.chars().all(is_allowed);
        is_version.then(|| Self { epoch: epoch.to_owned(), upstream: upstream.to_owned(), revision: revision.to_owned() })
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let epochs = numbers(&self.epoch, &other.epoch);
        epochs.then_with(|| parts(&self.upstream, &other.upstream)).then_with(|| parts(&self.revision, &other.revision))
    }
}

fn parts(mut one: &str, mut two: &str) -> Ordering {
    while !one.is_empty() || !two.is_empty() {
        let ((word, after), (its_word, its_after)) = (split(one, |c| !c.is_ascii_digit()), split(two, |c| !c.is_ascii_digit()));
        let ((number, rest), (its_number, its_rest)) = (digits(after), digits(its_after));
        let order = words(word, its_word).then_with(|| numbers(number, its_number));
        if order.is_ne() {
            return order;
        }
        (one, two) = (rest, its_rest);
    }
    Ordering::Equal
}

fn words(one: &str, two: &str) -> Ordering {
    // The end stands after a tilde and before every letter; letters stand before all signs.
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(byte) if byte.is_ascii_alphabetic() => (2, byte),
        Some(byte) => (3, byte),
    };
    let (mut one, mut two) = (one.bytes(), two.bytes());
    loop {
        let (byte, its_byte) = (one.next(), two.next());
        let order = weight(byte).cmp(&weight(its_byte));
        if order.is_ne() || (byte.is_none() && its_byte.is_none()) {
            return order;
        }
    }
}
