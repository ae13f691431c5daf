//! Versions of Python packages. Facts: PEP 440, by the crate `pep440_rs`; before it every text was a version, and such still turn up: they are
//! all before those that PEP 440 allows, among themselves as setuptools has always had them.

use std::cmp::Ordering;
use std::str::FromStr as _;

use super::{digits, split};

#[derive(Debug, Clone)]
pub(super) enum Version {
    /// From before PEP 440.
    Old(Vec<String>),
    New(pep440_rs::Version),
}

/// What ends an old version; words before it in the alphabet are of what is not released yet.
const END: &str = "*final";

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        pep440_rs::Version::from_str(text).map_or_else(|_| Self::Old(old(text)), Self::New)
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Old(one), Self::Old(two)) => one.cmp(two),
            (Self::New(one), Self::New(two)) => one.cmp(two),
            (Self::Old(_), Self::New(_)) => Ordering::Less,
            (Self::New(_), Self::Old(_)) => Ordering::Greater,
        }
    }
}

/// Parts that are in the right order as texts.
fn old(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let (part, after) = match first {
            '0'..='9' => digits(rest),
            'a'..='z' => split(rest, |c| c.is_ascii_lowercase()),
            _ if matches!(first, '.' | '-') => rest.split_at(1),
            _ => split(rest, |c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-')),
        };
        rest = after;
        let word = match part {
            "." => continue,
            "pre" | "preview" | "rc" => "c",
            "-" => "final-",
            "dev" => "@",
            other => other,
        };
        if first.is_ascii_digit() {
            // As many digits as no real number has, so that the texts stand as the numbers do.
            parts.push(format!("{word:0>16}"));
            continue;
        }
        let word = format!("*{word}");
        if *word < *END {
            while parts.last().is_some_and(|last| last == "*final-") {
                parts.pop();
            }
        }
        while parts.last().is_some_and(|last| last.bytes().all(|byte| byte == b'0')) {
            parts.pop();
        }
        parts.push(word);
    }
    parts.push(END.to_owned());
    parts
}
