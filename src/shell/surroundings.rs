//! What the environment says of the terminal: how much colour it takes, and whether it shows more than ASCII.

use crate::app::settings::ColourDepth;

/// Colours from `NO_COLOR`, `COLORTERM` and `TERM` (<https://no-color.org>; the terminfo names of common terminals).
pub(super) fn colours(variable: impl Fn(&str) -> Option<String>) -> ColourDepth {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return ColourDepth::None;
    }
    let term = value("TERM").unwrap_or_default();
    let says_true = value("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
    if says_true
        || term.ends_with("-direct")
        || ["xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm"].iter().any(|t| term.starts_with(t))
    {
        ColourDepth::True
    } else if term.contains("256color") || value("TERM_PROGRAM").is_some() {
        ColourDepth::Indexed
    } else if term.starts_with("vt") || term.ends_with("-mono") || term.ends_with("-m") {
        ColourDepth::None
    } else {
        ColourDepth::Sixteen
    }
}

/// Whether only ASCII may be drawn: the locale is C or POSIX, or says a character set that isn't UTF-8.
pub(super) fn is_ascii(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    match locale.as_deref() {
        None | Some("C" | "POSIX") => true,
        Some(locale) => match locale.split_once('.') {
            Some((_, charset)) => {
                let charset = charset.to_ascii_lowercase();
                !(charset.starts_with("utf-8") || charset.starts_with("utf8"))
            }
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colours_are_what_the_terminal_and_the_user_say() {
        assert_eq!(colours(with(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")])), ColourDepth::None);
        assert_eq!(colours(with(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")])), ColourDepth::True);
        assert_eq!(colours(with(&[("TERM", "xterm-256color")])), ColourDepth::Indexed);
        assert_eq!(colours(with(&[("TERM", "xterm")])), ColourDepth::Sixteen);
        assert_eq!(colours(with(&[("TERM", "linux")])), ColourDepth::Sixteen);
        assert_eq!(colours(with(&[("TERM", "vt100")])), ColourDepth::None);
    }

    #[test]
    fn a_plain_locale_means_ascii() {
        assert!(is_ascii(with(&[("LANG", "C")])));
        assert!(is_ascii(with(&[])));
        assert!(is_ascii(with(&[("LC_ALL", "POSIX"), ("LANG", "en_US.UTF-8")])));
        assert!(is_ascii(with(&[("LANG", "de_DE.ISO-8859-1")])));
        assert!(!is_ascii(with(&[("LANG", "C.UTF-8")])));
        assert!(!is_ascii(with(&[("LANG", "en_GB.utf8")])));
    }
}
