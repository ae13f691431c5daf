//! Versions of which no rule is known: runs of digits as numbers, runs of letters as words that stand before the end, as in `1.0rc` and `1.0`.

use std::cmp::Ordering;

use super::{digits, numbers, split};

#[derive(Debug, Clone)]
pub(super) struct Version(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Number(String),
    Word(String),
}

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(text);
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
            let (number, after) = digits(rest);
            let (word, after) = split(after, |c| c.is_alphanumeric() && !c.is_ascii_digit());
            parts.extend((!number.is_empty()).then(|| Part::Number(number.to_owned())));
            if !word.is_empty() {
                without_zeros(&mut parts);
                parts.push(Part::Word(word.to_lowercase()));
            }
            rest = after;
        }
        without_zeros(&mut parts);
        Self(parts)
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let (mut one, mut two) = (self.0.iter(), other.0.iter());
        let weight = |part: Option<&Part>| match part {
            Some(Part::Word(_)) => 0,
            None => 1,
            Some(Part::Number(_)) => 2,
        };
        loop {
            let (part, its_part) = (one.next(), two.next());
            let order = weight(part).cmp(&weight(its_part)).then_with(|| match (part, its_part) {
                (Some(Part::Number(one)), Some(Part::Number(two))) => numbers(one, two),
                (Some(Part::Word(one)), Some(Part::Word(two))) => one.cmp(two),
                _ => Ordering::Equal,
            });
            if order.is_ne() || part.is_none() {
                return order;
            }
        }
    }
}

/// Without the zeros at the end, which say nothing.
fn without_zeros(parts: &mut Vec<Part>) {
    while matches!(parts.last(), Some(Part::Number(number)) if number.bytes().all(|byte| byte == b'0')) {
        parts.pop();
    }
}
