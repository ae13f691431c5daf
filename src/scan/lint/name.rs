//! Whether a variable, an argument or a label holds a secret, by its name and by what it certainly doesn't look like.
//!
//! Names are read by their parts: `MONKEY` has no `KEY` in it. What only points to a secret, says how long it lives or tells whether there is one
//! is none. Pure. Facts: the names that common images and services document for their settings.

/// Parts of a name that are a secret's.
const SECRET: [&str; 14] = [
    "pass",
    "passwd",
    "password",
    "passwords",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "credentials",
];
/// What makes a `KEY` a secret.
const KEYS: [&str; 12] =
    ["api", "access", "private", "secret", "encryption", "signing", "master", "auth", "account", "app", "deploy", "storage"];
/// Parts that may follow, of a name that is still a secret's.
const TAILS: [&str; 24] = [
    "key",
    "base",
    "value",
    "default",
    "prod",
    "production",
    "dev",
    "staging",
    "test",
    "root",
    "admin",
    "user",
    "db",
    "database",
    "github",
    "gitlab",
    "npm",
    "api",
    "access",
    "auth",
    "plain",
    "string",
    "base64",
    "b64",
];
/// Parts before it that make a name something else.
const NEVER: [&str; 12] =
    ["public", "gpg", "pgp", "allow", "enable", "disable", "require", "skip", "random", "generate", "oldpwd", "keyring"];

/// Values that stand for one that is to come, or for none.
const PLACEHOLDERS: [&str; 24] = [
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "replace",
    "example",
    "placeholder",
    "dummy",
    "fake",
    "todo",
    "tbd",
    "none",
    "null",
    "nil",
    "unset",
    "undefined",
    "na",
    "notset",
    "notused",
    "unused",
    "redacted",
    "masked",
    "empty",
    "notasecret",
];

/// The parts of a name, in small letters: at what is no letter or digit, and where a capital follows a small one.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_small = false;
    for c in name.chars().take(200) {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_small) {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            last.push(c.to_ascii_lowercase());
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where the part of a name stands that says that it is a secret's: the last such.
fn telling(parts: &[String]) -> Option<usize> {
    parts.iter().enumerate().rev().find_map(|(at, part)| {
        let is_key = part == "key" && at > 0 && parts.get(at - 1).is_some_and(|before| KEYS.contains(&before.as_str()));
        (is_key || SECRET.contains(&part.as_str())).then_some(at)
    })
}

/// Whether the value of that name should not be shown: rather too often than too seldom.
pub(super) fn hides(name: &str) -> bool {
    let parts = parts(name);
    telling(&parts).is_some()
        || parts.iter().any(|part| matches!(part.as_str(), "authorization" | "cookie" | "credential" | "key" | "auth"))
}

/// Whether that variable holds a secret.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    let parts = parts(name);
    let Some(at) = telling(&parts) else { return false };
    let is_only_pwd = parts.len() == 1 && parts.first().is_some_and(|part| part == "pwd");
    let is_other = parts.iter().any(|part| NEVER.contains(&part.as_str())) || is_only_pwd;
    let is_last = parts.iter().skip(at + 1).all(|part| TAILS.contains(&part.as_str()) || part.bytes().all(|byte| byte.is_ascii_digit()));
    let is_word = parts.get(at).is_some_and(|part| part.starts_with("pass") || part == "pwd");
    !is_other && is_last && is_value(value, is_word)
}

/// Whether a value may be a secret. A number may be a password, and nothing else.
fn is_value(value: &str, is_password: bool) -> bool {
    let value = value.trim().trim_matches(['"', '\'']).trim();
    let lower = value.to_ascii_lowercase();
    let bare: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let is_switch = matches!(bare.as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "0" | "1" | "");
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let is_variable = value.starts_with(['$', '<', '%', '[']) || value.contains("{{") || value.contains("${");
    let is_same = bare.chars().all(|c| c == 'x') || value.chars().all(|c| c == '*' || c == '.');
    let is_placeholder = PLACEHOLDERS.contains(&bare.as_str())
        || ["changeme", "changethis", "replacewith", "replaceme", "your", "insert", "enteryour", "placeholder"]
            .iter()
            .any(|start| bare.starts_with(start));
    let is_public =
        value.starts_with("ssh-") || value.starts_with("ecdsa-") || lower.contains("begin public") || lower.contains("begin certificate");
    !(is_switch || (is_number && !is_password) || is_variable || is_same || is_placeholder || is_public || is_place(value))
}

/// A path or an address without a login: where something lies.
fn is_place(value: &str) -> bool {
    if let Some((_, rest)) = value.split_once("://") {
        return !rest.split(['/', '?']).next().unwrap_or_default().contains('@') && !rest.contains('=');
    }
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '~');
    let is_rooted = value.starts_with('/') || value.starts_with("./") || value.starts_with("~/");
    // What is coded in base 64 may begin so too, and has no directories of a few small letters.
    is_rooted
        && value.chars().all(is_of_path)
        && value.trim_start_matches(['/', '.', '~']).split('/').all(|part| part.len() <= 40)
        && !value.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_whole_parts_of_names() {
        for (name, value) in [
            ("PASSWORD", "hunter2"),
            ("POSTGRES_PASSWORD", "postgres"),
            ("MYSQL_ROOT_PASSWORD", "123456"),
            ("MYSQL_PWD", "abc"),
            ("dbPassword", "abc"),
            ("db.password", "abc"),
            ("GITHUB_TOKEN", "abc"),
            ("API_KEY", "abc"),
            ("STRIPE_APIKEY", "abc"),
            ("AWS_SECRET_ACCESS_KEY", "abc/def+x="),
            ("SECRET_KEY_BASE", "abc"),
            ("PRIVATE_KEY", "abc"),
            ("TOKEN_2", "/9j4AAQSkZ"),
            ("DATABASE_PASS", "secret"),
        ] {
            assert!(is_secret(name, value), "{name}={value}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_is_none() {
        for (name, value) in [
            ("KEYBOARD", "us"),
            ("MONKEY", "george"),
            ("PASSENGER_APP_ENV", "production"),
            ("GPG_KEY", "0D96DF4D4110E5C43FBFB17F2D347EA6AA65421D"),
            ("GPG_KEYS", "A B"),
            ("RABBITMQ_PGP_KEY_ID", "0x0A9AF2115F4687BD29803A206B73A36E6026DFCA"),
            ("SSH_PUBLIC_KEY", "ssh-ed25519 AAAA"),
            ("JWT_PUBLIC_KEY", "abc"),
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/pg"),
            ("SECRETS_DIR", "/run/secrets"),
            ("DB_PASSWORD", "/run/secrets/db-password"),
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD", "\"\""),
            ("DB_PASSWORD", "${DB_PASSWORD}"),
            ("DB_PASSWORD", "$OTHER"),
            ("DB_PASSWORD", "<your password>"),
            ("DB_PASSWORD", "change-me"),
            ("DB_PASSWORD", "changeme123"),
            ("DB_PASSWORD", "xxxxxxxx"),
            ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes"),
            ("MYSQL_RANDOM_ROOT_PASSWORD", "1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("TOKEN_URL", "https://h.example/token"),
            ("OAUTH_TOKEN", "https://h.example/token"),
            ("TOKEN_TTL", "3600"),
            ("SESSION_TOKEN", "3600"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("MAX_TOKENS", "4096"),
            ("PWD", "/app"),
            ("OLDPWD", "/app"),
            ("COMPASS", "north"),
            ("BYPASS", "abc"),
            ("PATH", "/usr/bin"),
            ("PASS_MIN_DAYS", "abc"),
        ] {
            assert!(!is_secret(name, value), "{name}={value}");
        }
    }
}
