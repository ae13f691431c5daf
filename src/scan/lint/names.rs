//! Names under which credentials are kept, in settings and arguments.
//!
//! Pure.

use crate::scan::rules::{Hit, Search};

/// Parts of names that say that there is a secret.
const SECRET: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "AUTH_KEY",
    "SECRET_KEY",
];
/// Whole words in names.
const WORDS: [&str; 3] = ["PASS", "PWD", "PW"];
/// Endings of names that tell of something else than the secret itself.
const OTHER: [&str; 18] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_URL",
    "_URI",
    "_ID",
    "_NAME",
    "_TTL",
    "_EXPIRY",
    "_EXPIRES_IN",
    "_LENGTH",
    "_TYPE",
    "_ENABLED",
    "_HEADER",
    "_ALGORITHM",
    "_REQUIRED",
    "_VERSION",
    "_ENDPOINT",
];
/// Names that are known to hold nothing secret: keys by which what is fetched is verified, and the shell's own directories.
const KNOWN: [&str; 6] = ["GPG_KEY", "GPG_KEYS", "PWD", "OLDPWD", "PUBLIC_KEY", "MYSQL_ALLOW_EMPTY_PASSWORD"];
/// Values that are none.
const NONE: [&str; 15] =
    ["", "true", "false", "yes", "no", "0", "1", "none", "null", "nil", "undefined", "changeme", "required", "optional", "disabled"];

/// Whether a name says that its value is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    if KNOWN.contains(&name.as_str()) || OTHER.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    SECRET.iter().any(|part| name.contains(part)) || name.split('_').any(|word| WORDS.contains(&word))
}

/// Whether a value may be a secret: neither empty, nor a switch, nor taken from elsewhere.
pub(super) fn is_value(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let is_reference = value.starts_with(['$', '/', '<', '{']) || value.starts_with("file:") || value.chars().all(|c| c == '*' || c == 'x');
    !is_reference && !NONE.iter().any(|none| value.eq_ignore_ascii_case(none))
}

/// The first credential in a text that is one by its form.
pub(super) fn known_form(text: &str) -> Option<Hit> {
    let mut search = Search::default();
    search.begin(b"");
    search.whole(text.as_bytes());
    search.end().0.first().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_secret() {
        for name in [
            "DB_PASSWORD",
            "db.password",
            "SECRET",
            "API_KEY",
            "NPM_TOKEN",
            "MYSQL_ROOT_PASSWORD",
            "DB_PASS",
            "AWS_SECRET_ACCESS_KEY",
            "rails-secret-key-base",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "PATH",
            "GPG_KEY",
            "PASSENGER_APP",
            "COMPASS",
            "PWD",
            "TOKEN_URL",
            "PASSWORD_FILE",
            "KEY",
            "KEYBOARD",
            "AWS_ACCESS_KEY_ID",
            "SECRET_NAME",
        ] {
            assert!(!is_secret(name), "{name}");
        }
        for value in ["", "true", "$OTHER", "${OTHER}", "/run/secrets/a", "\"\"", "changeme", "****"] {
            assert!(!is_value(value), "{value}");
        }
        assert!(is_value("Zk81") && is_value("'Zk81'"));
    }
}
