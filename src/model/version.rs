//! The order of tags: by version where they are versions, so that `1.10` is newer than `1.9`, and a release newer than its candidates.

use std::cmp::Ordering;

/// One piece of a tag, in the order of rank: a suffix that makes it older than the end (`-rc1`), the end, a word, a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Before,
    End,
    Word(&'a str),
    /// Length without leading zeros, and the digits: compares as the number, however large.
    Number(usize, &'a str),
}

/// Compares two tags, the older first. Words come before numbers; equal versions in different spelling by their text.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (Pieces::new(a), Pieces::new(b));
    loop {
        let (one, other) = (left.take(), right.take());
        match one.cmp(&other) {
            Ordering::Equal if one == Piece::End => return a.cmp(b),
            Ordering::Equal => {}
            order => return order,
        }
    }
}

struct Pieces<'a> {
    rest: &'a str,
    /// A [`Piece::Before`] was given for the word that comes.
    announced: bool,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str) -> Self {
        let bare = text.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        Self { rest: bare.unwrap_or(text), announced: true }
    }

    fn take(&mut self) -> Piece<'a> {
        let separator = |c: char| !c.is_alphanumeric();
        let text = self.rest.trim_start_matches(separator);
        let Some(first) = text.chars().next() else { return Piece::End };
        let is_number = first.is_ascii_digit();
        if !is_number && !self.announced && self.rest.starts_with(['-', '~']) {
            self.announced = true;
            return Piece::Before;
        }
        let ends = |c: char| separator(c) || c.is_ascii_digit() != is_number;
        let (piece, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        self.rest = rest;
        self.announced = false;
        if is_number {
            let digits = piece.trim_start_matches('0');
            return Piece::Number(digits.len(), digits);
        }
        Piece::Word(piece)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_stand_in_the_order_they_were_made() {
        let oldest_first = [
            "edge",
            "latest",
            "1.2.9",
            "1.4-alpine",
            "1.4.0-alpha",
            "1.4.0-rc2",
            "1.4.0-rc10",
            "1.4.0",
            "1.4.1",
            "v1.10.0",
            "2.0",
            "2024.01",
            "2024.01.15",
            "99999999999999999999999999",
        ];
        let mut sorted = oldest_first.to_vec();
        sorted.reverse();
        sorted.sort_by(|a, b| compare(a, b));
        assert_eq!(sorted, oldest_first);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[v0-9a-c.~_-]{0,8}", b in "[v0-9a-c.~_-]{0,8}", c in "[v0-9a-c.~_-]{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
