//! Shows a command without the secrets in it: passwords in addresses, what options and headers with telling names are given, and whatever else
//! is known to be one.
//!
//! What can't be told from a secret is hidden rather than shown: evidence is for people who know the build. Pure.

use super::name::hides;

/// Longest text that is looked at, in bytes: more than evidence shows.
const LONGEST: usize = 4096;
/// Longest word that is shown.
const LONGEST_WORD: usize = 160;
const MASK: &str = "********";

/// What is known to be secret.
pub(super) struct Mask<'a> {
    /// Whether a text has a credential in it.
    pub(super) has_secret: &'a dyn Fn(&str) -> bool,
    /// Values that must not be seen.
    pub(super) values: &'a [String],
}

impl Mask<'_> {
    /// The text, in which every white space is one blank.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut out = String::new();
        let mut state = State::default();
        let mut rest = text.to_owned();
        for value in self.values.iter().filter(|value| value.len() >= 4) {
            rest = rest.replace(value.as_str(), MASK);
        }
        for word in rest.split_whitespace() {
            if out.len() > LONGEST {
                break;
            }
            if !out.is_empty() {
                out.push(' ');
            }
            let shown = self.word(word, &mut state);
            out.push_str(&shown);
        }
        // A credential that has blanks in it.
        if (self.has_secret)(&out) { MASK.to_owned() } else { out }
    }

    fn word(&self, word: &str, state: &mut State) -> String {
        if word.chars().count() > LONGEST_WORD {
            return "…".to_owned();
        }
        let bare = word.trim_matches(['"', '\'']);
        let hidden = state.hides(bare);
        state.see(bare);
        if hidden || (self.has_secret)(word) {
            return MASK.to_owned();
        }
        of_names(&of_address(word))
    }
}

/// What the words before say of the next one.
#[derive(Default)]
struct State {
    /// So many words are hidden.
    next: u8,
    /// The next one is hidden where it has a password after a name.
    is_login: bool,
    /// The command takes its password right after `-p`.
    takes_password: bool,
}

impl State {
    fn hides(&mut self, word: &str) -> bool {
        let is_login = std::mem::take(&mut self.is_login) && word.contains(':');
        let is_password = self.takes_password && word.len() > 2 && word.starts_with("-p") && !word.starts_with("-p=");
        if self.next == 0 {
            return is_login || is_password;
        }
        self.next -= 1;
        let ends = word.starts_with("--") || word.starts_with("http");
        if ends {
            self.next = 0;
        }
        !ends
    }

    fn see(&mut self, word: &str) {
        self.takes_password |= matches!(word, "mysql" | "mysqladmin" | "mysqldump" | "mariadb" | "sshpass");
        self.is_login = matches!(word, "-u" | "--user" | "--proxy-user" | "-U");
        let lower = word.to_ascii_lowercase();
        let named = word.strip_prefix("--").or_else(|| word.strip_suffix(':')).filter(|name| !name.contains(['=', ':']));
        let is_before_secret =
            matches!(lower.as_str(), "bearer" | "basic") || (self.takes_password && word == "-p") || named.is_some_and(hides);
        if lower.ends_with("authorization:") {
            self.next = 2;
        } else if is_before_secret {
            self.next = 1;
        }
    }
}

/// An address without who logs in there.
fn of_address(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let host = after.find(['/', '?', '#', '"', '\'']).unwrap_or(after.len());
        let (authority, path) = after.split_at(host);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(MASK);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = path;
    }
    out.push_str(rest);
    out
}

/// A word up to where the value of a telling name begins.
fn of_names(word: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    for (at, _) in word.match_indices(['=', ':']) {
        let (before, value) = word.split_at(at);
        let from = before.char_indices().rev().take_while(|&(_, c)| is_of_name(c)).last().map_or(before.len(), |(at, _)| at);
        let name = before.get(from..).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_matches(['"', '\'']);
        // A variable's name gives nothing away.
        if hides(name) && !value.is_empty() && !value.starts_with('$') && !value.starts_with("//") {
            return word.get(..=at).map(|shown| format!("{shown}{MASK}")).unwrap_or_default();
        }
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hide(text: &str) -> String {
        Mask { has_secret: &|text| text.contains("tkn_"), values: &["correct-horse".to_owned()] }.hide(text)
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, shown) in [
            ("curl -k https://joe:pw1@h.example/x", "curl -k https://********@h.example/x"),
            ("curl -u joe:pw1 -k https://h", "curl -u ******** -k https://h"),
            ("curl --header 'X-Api-Key: pw1' https://h", "curl --header 'X-Api-Key: ******** https://h"),
            ("curl -H \"Authorization: Bearer pw1\" https://h", "curl -H \"Authorization: ******** ******** https://h"),
            ("curl https://h/?a=1&token=pw1&b=2", "curl https://h/?a=1&token=********"),
            ("DB_PASSWORD=pw1 ./go --password pw2 --token=pw3", "DB_PASSWORD=******** ./go --password ******** --token=********"),
            ("mysql -ppw1 -p pw2", "mysql ******** -p ********"),
            ("login tkn_abc correct-horse", "login ******** ********"),
            ("mkdir -p /a && sudo -u joe make KEYBOARD=us", "mkdir -p /a && sudo -u joe make KEYBOARD=us"),
            ("curl -H \"X-Token: $TOKEN\" --token=$TOKEN", "curl -H \"X-Token: ******** --token=$TOKEN"),
        ] {
            assert_eq!(hide(text), shown, "{text}");
        }
        assert_eq!(hide(&"x".repeat(10_000)), "…");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,200}", glued in "[-:=/@?a-zé tokenpass]{0,80}") {
            let _ = (hide(&text), hide(&glued));
        }
    }
}
