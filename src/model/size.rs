//! Sizes in words and back: decimal units, as registries and engines print them.

use humansize::{DECIMAL, FormatSizeOptions};

/// A size in at most seven columns, three digits and a unit: `1234567` is `1.23 MB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    let mut unit = 1_u64;
    while bytes / unit >= 1000 {
        unit *= 1000;
    }
    // In thousandths of the unit, so that the number of places is chosen for the figure as it will be rounded.
    let places = match u128::from(bytes) * 1000 / u128::from(unit) {
        _ if unit == 1 => 0,
        0..9_995 => 2,
        9_995..99_950 => 1,
        99_950..999_500 => 0,
        _ => return human(unit.saturating_mul(1000)),
    };
    humansize::format_size(bytes, FormatSizeOptions::from(DECIMAL).decimal_places(places).decimal_zeroes(places))
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
    }

    #[test]
    fn sizes_have_three_digits() {
        for (size, words) in [
            (0, "0 B"),
            (93, "93 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_124_900_000, "1.12 GB"),
            (9_996_000, "10.0 MB"),
            (74_811_392, "74.8 MB"),
            (412_600_000, "413 MB"),
            (999_499_999, "999 MB"),
            (999_600_000, "1.00 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(human(size), words, "{size}");
        }
    }
}
