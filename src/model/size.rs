//! Sizes in words and back: decimal units, as registries and engines print them.

use humansize::{DECIMAL, FormatSizeOptions};

/// `1234567` as `1.23 MB`; at most eight columns.
#[must_use]
pub fn human(bytes: u64) -> String {
    humansize::format_size(bytes, FormatSizeOptions::from(DECIMAL).decimal_places(2))
}

/// Parses `500MB`, `1.5 GiB`, `42`: a number with an optional decimal (kB, MB, …) or binary (KiB, MiB, …) unit, in any case.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: f64 = number.parse().ok()?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range-checked: 0 to 2^63")]
    (0.0..9.2e18).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(parse("500MB"), Some(500_000_000));
        assert_eq!(parse(" 1.5 GiB "), Some(1_610_612_736));
        assert_eq!(parse("42"), Some(42));
        assert_eq!(parse("many"), None);
        assert_eq!(parse("1 parsec"), None);
        assert_eq!(human(1_234_567), "1.23 MB");
    }
}
