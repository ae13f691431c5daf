//! Versions of Maven. Facts: "Version Order Specification" of Maven's POM reference: tokens parted by dots, hyphens and by where digits meet
//! letters, without those at the end that say nothing; seven words have an order of their own. By that text `1.0.alpha` is before `1`, which
//! is before `1-x`, which is before `1.0.alpha`: so it is here too.

use std::cmp::Ordering;

use super::{digits, numbers, split};

#[derive(Debug, Clone)]
pub(super) struct Version(Vec<Token>);

#[derive(Debug, Clone)]
struct Token {
    /// It stands after a hyphen, or where digits and letters meet.
    is_hyphen: bool,
    text: String,
}

impl Token {
    fn is_number(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit())
    }

    /// It says no more than if it weren't there.
    fn is_null(&self) -> bool {
        self.text.is_empty() || self.text.bytes().all(|byte| byte == b'0')
    }
}

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.to_lowercase();
        let mut tokens = Vec::new();
        let (mut rest, mut is_hyphen) = (text.as_str(), false);
        loop {
            let (number, after) = digits(rest);
            let (token, after) = if number.is_empty() { split(rest, |c| !c.is_ascii_digit() && !is_mark(c)) } else { (number, after) };
            let meets_digit = after.starts_with(|c: char| c.is_ascii_digit());
            tokens.push(Token { is_hyphen, text: word(token, meets_digit) });
            rest = after;
            match rest.chars().next() {
                None => break,
                Some(mark) if is_mark(mark) => {
                    is_hyphen = mark == '-';
                    rest = rest.get(1..).unwrap_or_default();
                }
                Some(_) => is_hyphen = true,
            }
        }
        trim(&mut tokens);
        Self(tokens)
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let (mut one, mut two) = (self.0.iter(), other.0.iter());
        loop {
            let order = match (one.next(), two.next()) {
                (Some(one), Some(two)) => tokens(one, two),
                (Some(one), None) => tokens(one, &padding(one)),
                (None, Some(two)) => tokens(&padding(two), two),
                (None, None) => return Ordering::Equal,
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

const fn is_mark(c: char) -> bool {
    matches!(c, '.' | '-')
}

/// What stands for a missing token beside `other`.
fn padding(other: &Token) -> Token {
    Token { is_hyphen: other.is_hyphen, text: if other.is_number() { "0".to_owned() } else { String::new() } }
}

fn word(token: &str, meets_digit: bool) -> String {
    match token {
        "" => "0",
        "a" if meets_digit => "alpha",
        "b" if meets_digit => "beta",
        "m" if meets_digit => "milestone",
        "cr" => "rc",
        "final" | "ga" | "release" => "",
        other => other,
    }
    .to_owned()
}

/// Takes away what says nothing, at the end and before each hyphen.
fn trim(tokens: &mut Vec<Token>) {
    let mut at = tokens.len();
    // Whether nothing, or a hyphen, comes after it.
    let mut is_end = true;
    while at > 1 {
        at -= 1;
        let Some(token) = tokens.get(at) else { return };
        let is_hyphen = token.is_hyphen;
        if is_end && token.is_null() {
            tokens.remove(at);
            continue;
        }
        is_end = is_hyphen;
    }
}

fn tokens(one: &Token, two: &Token) -> Ordering {
    // A word of what is not released yet before the end, all else after it; then by their marks, of words a dot before a hyphen, of numbers a
    // hyphen before a dot.
    let weight = |token: &Token| match (token.is_number(), rank(&token.text).0.cmp(&RELEASED)) {
        (false, tier) => (0, tier, token.is_hyphen),
        (true, _) => (1, Ordering::Equal, !token.is_hyphen),
    };
    weight(one)
        .cmp(&weight(two))
        .then_with(|| if one.is_number() { numbers(&one.text, &two.text) } else { rank(&one.text).cmp(&rank(&two.text)) })
}

const WORDS: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];
/// The one among them that says nothing.
const RELEASED: usize = 5;

fn rank(word: &str) -> (usize, &str) {
    WORDS.iter().position(|known| *known == word).map_or((WORDS.len(), word), |at| (at, ""))
}
