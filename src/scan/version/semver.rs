//! Semantic versions, as npm, crates.io and Go have them, and what is nearly one: with a `v` before it, with fewer than three numbers, or with
//! more, of which only three count. Facts: <https://semver.org> §11; Go's way of writing its own, `1.21rc2`.

use std::cmp::Ordering;

use super::{digits, numbers};

#[derive(Debug, Clone)]
pub(super) struct Version {
    numbers: [String; 3],
    /// What comes before the version itself; empty for that.
    before: Vec<String>,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = text.split('+').next()?;
        let mut found = Self { numbers: Default::default(), before: Vec::new() };
        let mut rest = text;
        for at in 0.. {
            let (number, after) = digits(rest);
            if number.is_empty() {
                return None;
            }
            if let Some(place) = found.numbers.get_mut(at) {
                number.clone_into(place);
            }
            rest = after;
            let Some(next) = after.strip_prefix('.') else { break };
            rest = next;
        }
        if rest.is_empty() {
            return Some(found);
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let before = rest.strip_prefix('-').unwrap_or(rest);
        found.before = before.split('.').map(str::to_owned).collect();
        let is_version = before.chars().all(is_allowed) && found.before.iter().all(|part| !part.is_empty());
        is_version.then_some(found)
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let each = self.numbers.iter().zip(&other.numbers).map(|(one, two)| numbers(one, two)).find(|order| order.is_ne());
        each.unwrap_or_else(|| match (self.before.is_empty(), other.before.is_empty()) {
            (false, false) => parts(&self.before, &other.before),
            (one, two) => one.cmp(&two),
        })
    }
}

fn parts(one: &[String], two: &[String]) -> Ordering {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let order = |(one, two): (&String, &String)| match (is_number(one), is_number(two)) {
        (true, true) => numbers(one, two),
        (false, false) => one.cmp(two),
        // A number is before a word.
        (one, two) => two.cmp(&one),
    };
    one.iter().zip(two).map(order).find(|order| order.is_ne()).unwrap_or_else(|| one.len().cmp(&two.len()))
}
