//! Reports in Markdown, whose foreign text stays text.
//!
//! May use model. Pure.

use std::fmt::Write as _;

use crate::model::Safe;

/// A heading and a table below it, where there are rows.
pub(super) fn table<const N: usize>(out: &mut String, title: &str, heads: [&str; N], rows: impl Iterator<Item = [Safe; N]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    _ = writeln!(out, "\n## {title}\n\n| {} |\n|{}", heads.join(" | "), "---|".repeat(N));
    for row in rows {
        _ = writeln!(out, "| {} |", row.map(|cell| plain(&cell)).join(" | "));
    }
}

/// Text that Markdown takes for nothing but text.
pub(super) fn plain(text: &Safe) -> String {
    let mut out = String::with_capacity(text.as_str().len());
    for c in text.as_str().chars() {
        if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '-' | '/' | ':') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
