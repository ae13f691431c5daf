//! Colours for a line of a Dockerfile or a shell command: strings, variables, flags and the signs that join commands. A light reader, not a parser:
//! whatever it takes a text for, it only colours it.

use super::canvas::Pen;
use super::text::Shown;
use super::theme::Role;

/// Writes as much of a line as there is room for, scrolled `shift` columns to the right (as far as there is something to see).
pub fn line(pen: &mut Pen<'_, '_>, text: Shown<'_>, shift: u16) {
    let room = pen.room();
    let ellipsis = pen.signs().ellipsis;
    let shift = shift.min(text.width().saturating_sub(room));
    let mut rest = text;
    if shift > 0 {
        pen.put(ellipsis, Role::Muted);
        rest = text.skip(shift.saturating_add(1));
    }
    let (head, tail) = rest.split(pen.room());
    let (head, cut) = if tail.is_empty() { (head, false) } else { (rest.split(pen.room().saturating_sub(1)).0, true) };
    let mut left = head;
    while !left.is_empty() {
        let (len, role) = token(left.as_str());
        let (token, rest) = left.bytes(len.max(1));
        pen.put(token, role);
        if rest.as_str().len() >= left.as_str().len() {
            break;
        }
        left = rest;
    }
    if cut {
        pen.put(ellipsis, Role::Muted);
    }
}

/// The first token of a text: its length in bytes, and what it is.
fn token(text: &str) -> (usize, Role) {
    let until = |test: fn(char) -> bool| text.char_indices().skip(1).find(|(_, c)| test(*c)).map_or(text.len(), |(at, _)| at);
    let first = text.chars().next().unwrap_or(' ');
    match first {
        '"' | '\'' | '`' => (string(text, first), Role::String),
        '$' => match text.chars().nth(1) {
            Some('{') => (text.find('}').map_or(text.len(), |at| at + 1), Role::Variable),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => (until(|c| !(c.is_ascii_alphanumeric() || c == '_')), Role::Variable),
            _ => (1, Role::Text),
        },
        '&' | '|' | ';' | '\\' => (until(|c| !matches!(c, '&' | '|' | ';' | '\\')), Role::Muted),
        '⏎' | '⇥' => (first.len_utf8(), Role::Muted),
        ' ' => {
            let blanks = until(|c| c != ' ');
            let next = text.get(blanks..).unwrap_or_default();
            if next.starts_with('-') {
                let flag = next.find([' ', '=', '"', '\'', '⏎']).unwrap_or(next.len());
                (blanks + flag, Role::Flag)
            } else {
                (blanks, Role::Text)
            }
        }
        '-' if text.starts_with("--") => (until(|c| matches!(c, ' ' | '=')), Role::Flag),
        _ => (until(|c| matches!(c, ' ' | '"' | '\'' | '`' | '$' | '&' | '|' | ';' | '\\' | '⏎' | '⇥')), Role::Text),
    }
}

/// A quoted text's length, to its closing quote or the end.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '\'' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_moves_on_and_known_ones_are_known() {
        let mut rest = "apt-get install -y \"a b\" && echo $HOME ${X:-1} --from=x 'q";
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let (len, role) = token(rest);
            assert!(len > 0);
            let (token, tail) = rest.split_at(len);
            seen.push((token, role));
            rest = tail;
        }
        for wanted in [
            (" -y", Role::Flag),
            ("\"a b\"", Role::String),
            ("&&", Role::Muted),
            ("$HOME", Role::Variable),
            ("${X:-1}", Role::Variable),
            ("'q", Role::String),
        ] {
            assert!(seen.contains(&wanted), "{wanted:?} in {seen:?}");
        }
    }
}
