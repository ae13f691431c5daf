//! Words that several dialogs and messages share.

use crate::model::size;

/// How many bytes a removal frees, as exactly as is known.
#[must_use]
pub fn freed(at_least: Option<u64>, at_most: u64) -> String {
    match at_least {
        Some(least) if least == at_most => format!("frees {}", size::human(least)),
        Some(0) => format!("frees at most {}", size::human(at_most)),
        Some(least) => format!("frees between {} and {}", size::human(least), size::human(at_most)),
        None => format!("frees at most {}, less what other images share", size::human(at_most)),
    }
}

/// `1 image`, `2 images`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
