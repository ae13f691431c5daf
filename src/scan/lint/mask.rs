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
        // More words than are shown are of no use.
        let words: Vec<&str> = rest.split_whitespace().take(LONGEST).collect();
        let fed = fed(&words);
        for (word, is_fed) in words.iter().zip(fed) {
            if out.len() > LONGEST {
                break;
            }
            if !out.is_empty() {
                out.push(' ');
            }
            let shown = self.word(word, is_fed, &mut state);
            out.push_str(&shown);
        }
        // A credential that has blanks in it.
        if (self.has_secret)(&out) { MASK.to_owned() } else { out }
    }

    fn word(&self, word: &str, is_fed: bool, state: &mut State) -> String {
        let bare = word.trim_matches(['"', '\'', '[', ']', '(', ')', ',']);
        let hidden = state.hides(word, bare) || is_fed;
        state.see(word, bare);
        if word.chars().count() > LONGEST_WORD {
            return "…".to_owned();
        }
        if hidden || (self.has_secret)(word) {
            return MASK.to_owned();
        }
        let shown = of_login(&of_names(&of_address(word)));
        // What goes on in the next word is of the same value.
        if shown != word && shown.ends_with(MASK) && state.quote.is_none() {
            state.quote = open(word);
        }
        shown
    }
}

/// Whether that word ends a command.
fn is_end(word: &str) -> bool {
    matches!(word, "&&" | "||" | "|" | ";" | "&") || word.ends_with(';')
}

/// Which words are what a command writes to one that reads a password.
fn fed(words: &[&str]) -> Vec<bool> {
    let mut fed = vec![false; words.len()];
    let mut from = None;
    for (at, word) in words.iter().enumerate() {
        let bare = word.trim_start_matches(['"', '\'', '(', '{', '[']);
        // `echo me:it|chpasswd`: only what follows the last pipe is a command.
        let command = bare.rsplit('|').next().unwrap_or_default().trim_end_matches(['"', '\'', ')', ';', ']']);
        let reads = matches!(command.rsplit('/').next(), Some("chpasswd")) || command == "passwd" || command.ends_with("-stdin");
        if let (true, Some(from)) = (reads, from) {
            let until = if bare.contains('|') { at + 1 } else { at };
            let told = fed.get_mut(from..until).unwrap_or_default().iter_mut();
            // From the first pipe on there are commands.
            let count = words.get(from..until).unwrap_or_default().iter().take_while(|word| **word != "|").count();
            told.take(count).for_each(|word| *word = true);
        }
        if matches!(bare, "echo" | "printf") {
            from = Some(at + 1);
        } else if matches!(*word, "&&" | "||" | ";") || word.ends_with(';') {
            from = None;
        }
    }
    fed
}

/// The quote that a word opens and does not close.
fn open(word: &str) -> Option<char> {
    let first = word.find(['"', '\'']).and_then(|at| word.get(at..)?.chars().next())?;
    (quotes(word, first) % 2 == 1).then_some(first)
}

/// How many of those quotes a word has, without those that are escaped.
fn quotes(word: &str, quote: char) -> usize {
    word.match_indices(quote).filter(|&(at, _)| !word.get(..at).unwrap_or_default().ends_with('\\')).count()
}

/// What stands last in a word of what may be in a name.
fn last_name(word: &str) -> &str {
    let word = word.trim_end_matches(['"', '\'', '\\']);
    let from = word.char_indices().rev().take_while(|&(_, c)| is_of_name(c)).last().map_or(word.len(), |(at, _)| at);
    word.get(from..).unwrap_or_default()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// What the words before say of the next one.
#[derive(Default)]
struct State {
    /// So many words are hidden.
    next: u8,
    /// All is hidden up to where that one closes.
    quote: Option<char>,
    /// The next one is hidden where it has a password after a name.
    is_login: bool,
    /// The word was a telling name, whose value may follow after a sign of its own.
    was_name: bool,
    /// The command takes its password right after `-p`.
    takes_password: bool,
    /// It reads names with their passwords.
    reads_logins: bool,
}

impl State {
    fn hides(&mut self, word: &str, bare: &str) -> bool {
        if let Some(quote) = self.quote {
            if quotes(word, quote) > 0 {
                self.quote = None;
            }
            self.next = self.next.saturating_sub(1);
            return true;
        }
        let is_login = std::mem::take(&mut self.is_login) && bare.contains(':') || self.reads_logins && is_pair(bare);
        let is_password = self.takes_password && bare.len() > 2 && bare.starts_with("-p") && !bare.starts_with("-p=");
        let is_value = self.was_name && bare.len() > 1 && bare.starts_with(['=', ':']);
        let ends = bare.starts_with("--") || bare.starts_with("http");
        let is_next = self.next > 0 && !ends;
        self.next = if ends { 0 } else { self.next.saturating_sub(1) };
        let is_hidden = is_next || is_login || is_password || is_value;
        // It may have blanks in it.
        if is_hidden && word.starts_with(['"', '\'']) {
            self.quote = open(word);
        }
        is_hidden
    }

    fn see(&mut self, word: &str, bare: &str) {
        if is_end(word) {
            (self.takes_password, self.reads_logins) = (false, false);
        }
        self.takes_password |= matches!(bare, "mysql" | "mysqladmin" | "mysqldump" | "mariadb" | "sshpass" | "useradd" | "usermod");
        self.reads_logins |= bare.ends_with("chpasswd");
        // Of several letters together only the last has a value.
        let letters = bare.strip_prefix('-').filter(|letters| letters.bytes().all(|byte| byte.is_ascii_alphabetic()));
        self.is_login = matches!(bare, "--user" | "--proxy-user") || letters.is_some_and(|letters| letters.ends_with(['u', 'U']));
        let named =
            bare.strip_prefix("--").filter(|name| !name.contains(['=', ':'])).or_else(|| bare.strip_suffix([':', '=']).map(last_name));
        let is_sign = matches!(bare, ":" | "=");
        let scheme = last_name(bare).to_ascii_lowercase();
        let is_before_secret = matches!(scheme.as_str(), "bearer" | "basic")
            || (self.takes_password && bare == "-p")
            || (is_sign && self.was_name)
            || named.is_some_and(hides);
        self.was_name = !is_sign && hides(last_name(bare));
        if bare.to_ascii_lowercase().ends_with("authorization:") {
            self.next = 2;
        } else if is_before_secret {
            self.next = 1;
        } else {
            return;
        }
        if self.quote.is_none() {
            self.quote = open(word);
        }
    }
}

/// Whether it is a name and a password, rather than an address.
fn is_pair(word: &str) -> bool {
    word.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty() && !password.starts_with("//"))
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
    for (at, _) in word.match_indices(['=', ':']) {
        let (before, value) = word.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_matches(['"', '\'', '\\']);
        // A variable's name gives nothing away.
        if hides(last_name(before)) && !value.is_empty() && !value.starts_with('$') && !value.starts_with("//") {
            return word.get(..=at).map(|shown| format!("{shown}{MASK}")).unwrap_or_default();
        }
    }
    word.to_owned()
}

/// A word up to where a login begins that is given with its option.
fn of_login(word: &str) -> String {
    let shown = |option: &str, value: &str| {
        let is_login = value.trim_matches(['"', '\'']).contains(':');
        is_login.then(|| format!("{option}{MASK}"))
    };
    for option in ["--user=", "--proxy-user="] {
        if let Some(found) = word.find(option).and_then(|at| word.split_at_checked(at + option.len())) {
            return shown(found.0, found.1).unwrap_or_else(|| word.to_owned());
        }
    }
    let option = word.trim_start_matches(['"', '\'']);
    if !option.starts_with('-') || option.starts_with("--") {
        return word.to_owned();
    }
    // Before it there may be other letters, which have no values.
    let letters = word.find(['u', 'U']).filter(|&at| option.bytes().take(at).skip(1).all(|byte| byte.is_ascii_alphabetic()));
    let found = letters.and_then(|at| word.split_at_checked(at + 1)).and_then(|(option, value)| shown(option, value));
    found.unwrap_or_else(|| word.to_owned())
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
            ("curl -ujoe:pw1 -sSujoe:pw2 -sU joe:pw3 https://h", "curl -u******** -sSu******** -sU ******** https://h"),
            ("curl --user=joe:pw1 --proxy-user='joe:pw2' https://h", "curl --user=******** --proxy-user=******** https://h"),
            ("curl --header='X-Api-Key: pw1' --header=X-Token:pw2 x", "curl --header='X-Api-Key: ******** --header=X-Token:******** x"),
            ("curl -H Authorization:Bearer pw1 x", "curl -H Authorization:******** ******** x"),
            ("curl -H 'Cookie: a=pw1; b=pw2' x", "curl -H 'Cookie: ******** ******** x"),
            ("curl -d '{\"password\":\"pw1\"}' x", "curl -d '{\"password\":******** x"),
            ("curl -d '{\"user\":\"joe\",\"password\": \"pw1\"}' x", "curl -d '{\"user\":\"joe\",\"password\": ******** x"),
            ("curl -d '{\"password\" : \"pw1\"}' x", "curl -d '{\"password\" : ******** x"),
            ("curl -d \"{\\\"password\\\":\\\"pw1\\\"}\" x", "curl -d \"{\\\"password\\\":******** x"),
            ("curl -d \"{\\\"token\\\": \\\"pw1 pw2\\\"}\" x", "curl -d \"{\\\"token\\\": ******** ******** x"),
            ("curl --user 'joe:pw1 pw2' x --password \"pw3 pw4\" y", "curl --user ******** ******** x --password ******** ******** y"),
            ("PASSWORD=\"pw1 and pw2\" ./go", "PASSWORD=******** ******** ******** ./go"),
            ("echo root:pw1 | chpasswd && id", "echo ******** | chpasswd && id"),
            ("echo 'root:pw1'|chpasswd; echo done", "echo ******** echo done"),
            ("echo \"root:pw1 pw2\" | /usr/sbin/chpasswd", "echo ******** ******** | /usr/sbin/chpasswd"),
            ("chpasswd <<< root:pw1", "chpasswd <<< ********"),
            (
                "echo hi && echo pw1 | docker login -u joe --password-stdin",
                "echo hi && echo ******** | docker login -u joe --password-stdin",
            ),
            ("useradd -p pw1 joe && mkdir -p /a", "useradd -p ******** joe && mkdir -p /a"),
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
