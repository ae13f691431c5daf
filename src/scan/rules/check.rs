//! What a pattern can't tell: whether what looks like a credential is one. Cheap, and asked only where a pattern fits.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::content;
use crate::model::Severity;

/// What a pattern fits.
pub(super) struct Fit<'a> {
    /// From its first byte on, and what follows.
    pub(super) rest: &'a [u8],
    /// What stands before it.
    pub(super) before: &'a [u8],
    pub(super) length: usize,
    pub(super) secret: &'a [u8],
}

/// What is thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Other than the rule's.
    pub(super) severity: Option<Severity>,
    pub(super) note: &'static str,
    /// Characters of what must not be shown.
    pub(super) secret: usize,
    /// Bytes that it takes.
    pub(super) length: usize,
}

pub(super) type Check = fn(&Fit<'_>) -> Option<Verdict>;

impl Fit<'_> {
    fn is(&self) -> Verdict {
        Verdict { severity: None, note: "", secret: self.secret.len(), length: self.length }
    }

    fn after(&self) -> Option<u8> {
        self.rest.get(self.length).copied()
    }

    /// Neither a part of a longer word nor made up.
    fn is_sound(&self) -> bool {
        let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // A break of the line may be written as `\n`.
        let escaped = self.before.ends_with(b"\\n") || self.before.ends_with(b"\\t") || self.before.ends_with(b"\\r");
        let begins = escaped || !is_word(self.rest.first().copied()) || !is_word(self.before.last().copied());
        begins && !is_word(self.after()) && !is_made_up(self.secret)
    }
}

/// Whether it only stands for a secret: few different characters, rows of them, or words that say so.
pub(super) fn is_made_up(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in secret {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    let lower = secret.to_ascii_lowercase();
    let has = |part: &[u8]| lower.windows(part.len()).any(|window| window == part);
    different < (secret.len() / 4).clamp(2, 8) || MADE_UP.iter().any(|part| has(part.as_bytes()))
}

/// Parts of what is written where a secret would stand.
const MADE_UP: [&str; 10] =
    ["example", "xxxxx", "placeholder", "redacted", "abcdefgh", "12345678901234567890", "*****", "changeme", "00000000", "aaaaaaaa"];

/// One word of that very form.
pub(super) fn token(fit: &Fit<'_>) -> Option<Verdict> {
    fit.is_sound().then(|| fit.is())
}

/// The same with both digits and letters.
pub(super) fn mixed(fit: &Fit<'_>) -> Option<Verdict> {
    let (digits, letters) = (fit.secret.iter().any(u8::is_ascii_digit), fit.secret.iter().any(u8::is_ascii_alphabetic));
    (digits && letters).then(|| token(fit)).flatten()
}

/// Base64 that stands alone.
pub(super) fn base64(fit: &Fit<'_>) -> Option<Verdict> {
    let goes_on = fit.after().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let cases = fit.secret.iter().any(u8::is_ascii_lowercase) && fit.secret.iter().any(u8::is_ascii_uppercase);
    // The key that every storage emulator has.
    let is_known = fit.secret.starts_with(b"Eby8vdM02xNO");
    (!goes_on && cases && !is_known && !is_made_up(fit.secret)).then(|| fit.is())
}

/// A word with six characters at its end that are a checksum: CRC-32 in digits, capital and small letters.
pub(super) fn summed(fit: &Fit<'_>) -> Option<Verdict> {
    let mut verdict = token(fit)?;
    let (body, told) = fit.secret.split_last_chunk::<6>()?;
    if base62(crc(body)) != *told {
        verdict.severity = Some(Severity::Low);
        verdict.note = "Its checksum is wrong: it may be made up, or cut.";
    }
    Some(verdict)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn base62(number: u32) -> [u8; 6] {
    let (mut out, mut left) = ([b'0'; 6], number);
    for slot in out.iter_mut().rev() {
        // Less than 62.
        let digit = u8::try_from(left % 62).unwrap_or_default();
        *slot = match digit {
            0..=9 => b'0' + digit,
            10..=35 => b'A' + digit - 10,
            _ => b'a' + digit - 36,
        };
        left /= 62;
    }
    out
}

/// A key between its marks, by its first bytes.
pub(super) fn private_key(fit: &Fit<'_>) -> Option<Verdict> {
    let key = content::key(fit.rest.get(fit.length..)?)?;
    let head = fit.rest.get(..fit.length)?;
    let mut verdict = Verdict { severity: None, note: "", secret: key.characters, length: fit.length + key.length };
    if key.is_encrypted || head.windows(9).any(|part| part == b"ENCRYPTED") {
        verdict.severity = Some(Severity::Medium);
        verdict.note = "It is encrypted: who has it still needs its passphrase.";
    }
    Some(verdict)
}

/// The same where a document of Google's says that it is the key of an account.
pub(super) fn account_key(fit: &Fit<'_>) -> Option<Verdict> {
    let near = |bytes: &[u8]| bytes.windows(15).any(|part| part == b"service_account");
    let key = content::key(fit.rest.get(fit.length..)?)?;
    let after = fit.rest.get(..fit.rest.len().min(6000)).unwrap_or_default();
    (near(fit.before) || near(after)).then(|| Verdict { severity: None, note: "", secret: key.characters, length: fit.length + key.length })
}

/// Three parts of which the first two are JSON.
pub(super) fn jwt(fit: &Fit<'_>) -> Option<Verdict> {
    let mut parts = fit.secret.split(|&byte| byte == b'.');
    let mut json = || URL_SAFE_NO_PAD.decode(parts.next()?).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let (head, claims) = (json()?, json()?);
    // The one that every introduction shows.
    let is_shown = claims.get("sub").and_then(Value::as_str) == Some("1234567890");
    (head.get("alg").is_some() && claims.is_object() && !is_shown).then(|| fit.is())
}

/// `user:password` in base64.
pub(super) fn login(fit: &Fit<'_>) -> Option<Verdict> {
    let text = String::from_utf8(STANDARD.decode(fit.secret).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let is_text = text.chars().all(|c| !c.is_control());
    (is_text && !user.is_empty() && password.len() >= 4 && !is_made_up(password.as_bytes())).then(|| fit.is())
}

/// What is written where a password would stand.
const STAND_INS: [&str; 26] = [
    "password",
    "passwd",
    "pass",
    "secret",
    "changeme",
    "example",
    "user",
    "root",
    "admin",
    "guest",
    "test",
    "tiger",
    "pwd",
    "mypassword",
    "yourpassword",
    "your_password",
    "postgres",
    "mysql",
    "token",
    "mypass",
    "foobar",
    "passw0rd",
    "repopwd",
    "somepassphrase",
    "hunter2",
    "letmein",
];

/// A password that somebody chose: neither a word that stands for one nor a variable's name.
pub(super) fn password(fit: &Fit<'_>) -> Option<Verdict> {
    let lower = fit.secret.to_ascii_lowercase();
    let is_variable = fit.secret.iter().any(|byte| matches!(byte, b'$' | b'{' | b'}' | b'<' | b'>' | b'%' | b'[' | b']' | b'*' | b'\\'));
    let is_stand_in = STAND_INS.iter().any(|word| lower == word.as_bytes());
    let is_upper = fit.secret.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    (!is_variable && !is_stand_in && !is_upper && !is_made_up(fit.secret)).then(|| fit.is())
}

/// A password in an address, unless it leads to a machine that is only named as an example.
pub(super) fn address(fit: &Fit<'_>) -> Option<Verdict> {
    let host = fit.rest.get(fit.length..)?.strip_prefix(b"@")?;
    let end = host.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))).unwrap_or(host.len());
    let host = host.get(..end)?;
    let is_example = [&b"example.com"[..], b"example.org", b"example.net", b"host", b"hostname", b"server", b"localhost", b"127.0.0.1"];
    if host.is_empty() || is_example.iter().any(|name| host == *name || host.ends_with(name)) {
        return None;
    }
    password(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(secret: &[u8]) -> Fit<'_> {
        Fit { rest: secret, before: b"", length: secret.len(), secret }
    }

    #[test]
    fn a_checksum_tells_what_is_made_up() {
        // Told in public as an example of the form.
        let verdict = summed(&fit(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17")).unwrap();
        assert_eq!((verdict.severity, verdict.secret), (None, 36));
        assert_eq!(summed(&fit(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18")).unwrap().severity, Some(Severity::Low));
        assert_eq!(summed(&fit(b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")), None);
        assert_eq!(base62(0), *b"000000");
    }

    #[test]
    fn what_stands_for_a_secret_is_none() {
        for made_up in ["aaaabbbbaaaabbbb", "IOSFODNN7EXAMPLE", "XXXXXXXXXXXXYYY", "1234567890123456789012"] {
            assert!(is_made_up(made_up.as_bytes()), "{made_up}");
        }
        assert!(!is_made_up(b"Qm7vT2pLk9RwXzN4"));
        assert!(
            password(&fit(b"changeme")).is_none()
                && password(&fit(b"${DB_PASSWORD}")).is_none()
                && password(&fit(b"DB_PASSWORD")).is_none()
        );
        assert!(password(&fit(b"t7-kWp.q2")).is_some());
    }

    #[test]
    fn a_login_is_a_name_and_a_password() {
        let packed = |text: &str| STANDARD.encode(text);
        assert!(login(&fit(packed("robot:Zq81kd-x").as_bytes())).is_some());
        for not in ["robot", "robot:", ":Zq81kd-x", "\u{1}robot:Zq81kd-x"] {
            assert!(login(&fit(packed(not).as_bytes())).is_none(), "{not:?}");
        }
        assert!(login(&fit(b"not base64!")).is_none());
    }
}
