//! Versions of Alpine and its kin. Facts: apk-package(5): `NUMBER{.NUMBER}[LETTER]{_SUFFIX[NUMBER]}[~HASH][-rNUMBER]`.

use std::cmp::Ordering;

use super::{digits, numbers, split};

/// In the order in which they follow each other; [`RELEASED`] of them stand for something before the version itself.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const RELEASED: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Version(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Number { digits: String, is_first: bool },
    Letter(char),
    Suffix(usize, String),
    Hash(String),
    Revision(String),
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (number, after) = digits(rest);
            if number.is_empty() {
                return None;
            }
            parts.push(Part::Number { digits: number.to_owned(), is_first: parts.is_empty() });
            rest = after;
            let Some(next) = after.strip_prefix('.') else { break };
            rest = next;
        }
        if let Some(letter) = rest.chars().next().filter(char::is_ascii_lowercase) {
            parts.push(Part::Letter(letter));
            let (number, after) = digits(rest.get(1..)?);
            // Packages are there that have it so, `6.6.2p1`, whatever the rule says.
            parts.extend((!number.is_empty()).then(|| Part::Number { digits: number.to_owned(), is_first: false }));
            rest = after;
        }
        while let Some(after) = rest.strip_prefix('_') {
            let (name, after) = split(after, |c| c.is_ascii_lowercase());
            let (number, after) = digits(after);
            parts.push(Part::Suffix(SUFFIXES.iter().position(|suffix| *suffix == name)?, number.to_owned()));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('~') {
            let (hash, after) = split(after, |c| c.is_ascii_digit() || ('a'..='f').contains(&c));
            if hash.is_empty() {
                return None;
            }
            parts.push(Part::Hash(hash.to_owned()));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix("-r") {
            let (number, after) = digits(after);
            parts.push(Part::Revision(number.to_owned()));
            rest = after;
        }
        rest.is_empty().then_some(Self(parts))
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let (mut one, mut two) = (self.0.iter(), other.0.iter());
        loop {
            let (part, its_part) = (one.next(), two.next());
            let order = weight(part).cmp(&weight(its_part)).then_with(|| match (part, its_part) {
                (Some(part), Some(its_part)) => part.order(its_part),
                _ => Ordering::Equal,
            });
            if order.is_ne() || part.is_none() {
                return order;
            }
        }
    }
}

/// What may come next, the least first: a suffix of what is not released yet, nothing, a revision, a hash, another suffix, a letter, a number.
fn weight(part: Option<&Part>) -> usize {
    match part {
        Some(Part::Suffix(which, _)) if *which < RELEASED => 0,
        None => 1,
        Some(Part::Revision(_)) => 2,
        Some(Part::Hash(_)) => 3,
        Some(Part::Suffix(..)) => 4,
        Some(Part::Letter(_)) => 5,
        Some(Part::Number { .. }) => 6,
    }
}

impl Part {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number { digits, is_first }, Self::Number { digits: its, .. }) => {
                // After a zero the digits are a fraction's.
                let is_fraction = !is_first && (digits.starts_with('0') || its.starts_with('0'));
                if is_fraction { digits.cmp(its) } else { numbers(digits, its) }
            }
            (Self::Letter(one), Self::Letter(two)) => one.cmp(two),
            (Self::Suffix(which, number), Self::Suffix(its, its_number)) => which.cmp(its).then_with(|| numbers(number, its_number)),
            (Self::Hash(one), Self::Hash(two)) => one.cmp(two),
            (Self::Revision(one), Self::Revision(two)) => numbers(one, two),
            _ => Ordering::Equal,
        }
    }
}
