//! Versions of RPM: `[EPOCH:]VERSION[-RELEASE]`. Facts: rpm-version(7): runs of letters or digits, with `~` before the end and `^` right after it;
//! whatever else stands between only parts them.

use std::cmp::Ordering;

use super::{numbers, split};

#[derive(Debug, Clone)]
pub(super) struct Version {
    epoch: String,
    upstream: String,
    /// One that is not told is before one that is empty.
    release: Option<String>,
}

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        let is_number = |epoch: &str| epoch.bytes().all(|byte| byte.is_ascii_digit());
        let (epoch, rest) = text.split_once(':').filter(|(epoch, _)| is_number(epoch)).unwrap_or(("0", text));
        let (upstream, release) = match rest.split_once('-') {
            Some((upstream, release)) => (upstream, Some(release.to_owned())),
            None => (rest, None),
        };
        Self { epoch: epoch.to_owned(), upstream: upstream.to_owned(), release }
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let releases = || match (&self.release, &other.release) {
            (Some(one), Some(two)) => parts(one, two),
            (one, two) => one.is_some().cmp(&two.is_some()),
        };
        numbers(&self.epoch, &other.epoch).then_with(|| parts(&self.upstream, &other.upstream)).then_with(releases)
    }
}

fn parts(mut one: &str, mut two: &str) -> Ordering {
    let is_sign = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '~' | '^');
    loop {
        (one, two) = (one.trim_start_matches(is_sign), two.trim_start_matches(is_sign));
        let (first, its_first) = (one.bytes().next(), two.bytes().next());
        // What comes next: a tilde, nothing, a caret, a word, a number.
        let weight = |byte: Option<u8>| match byte {
            Some(b'~') => 0,
            None => 1,
            Some(b'^') => 2,
            Some(byte) if byte.is_ascii_alphabetic() => 3,
            Some(_) => 4,
        };
        let order = weight(first).cmp(&weight(its_first));
        let Some(first) = first.filter(|_| order.is_eq()) else { return order };
        if matches!(first, b'~' | b'^') {
            (one, two) = (one.get(1..).unwrap_or_default(), two.get(1..).unwrap_or_default());
            continue;
        }
        let is_digit = first.is_ascii_digit();
        let is_of_run = |c: char| if is_digit { c.is_ascii_digit() } else { c.is_ascii_alphabetic() };
        let ((part, rest), (its_part, its_rest)) = (split(one, is_of_run), split(two, is_of_run));
        let order = if is_digit { numbers(part, its_part) } else { part.cmp(its_part) };
        if order.is_ne() {
            return order;
        }
        (one, two) = (rest, its_rest);
    }
}
