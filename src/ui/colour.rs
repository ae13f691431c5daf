//! Colours of a theme, their contrast, and how they come down to what a terminal has.
//!
//! Contrast is WCAG 2's ratio; nearness is Euclidean distance in OKLab. The sixteen are taken as xterm shows them.

use std::sync::LazyLock;

use ratatui::style::Color;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// A colour as a theme names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own foreground or background.
    Terminal,
    /// One of the sixteen that the terminal's user chose.
    Ansi(u8),
    Exact(Rgb),
}

/// The sixteen as xterm shows them.
const SIXTEEN: [Rgb; 16] = [
    Rgb(0, 0, 0),
    Rgb(205, 0, 0),
    Rgb(0, 205, 0),
    Rgb(205, 205, 0),
    Rgb(0, 0, 238),
    Rgb(205, 0, 205),
    Rgb(0, 205, 205),
    Rgb(229, 229, 229),
    Rgb(127, 127, 127),
    Rgb(255, 0, 0),
    Rgb(0, 255, 0),
    Rgb(255, 255, 0),
    Rgb(92, 92, 255),
    Rgb(255, 0, 255),
    Rgb(0, 255, 255),
    Rgb(255, 255, 255),
];

/// The 240 that are the same on every terminal, in OKLab.
static FIXED: LazyLock<Vec<(u8, [f32; 3])>> = LazyLock::new(|| (16..=255).map(|n| (n, oklab(of_index(n)))).collect());

const ANSI_NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

impl Colour {
    /// `#rrggbb`, one of the sixteen by name, or `terminal`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "terminal" {
            return Some(Self::Terminal);
        }
        if let Some(hex) = text.strip_prefix('#') {
            let value = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6)?;
            let [_, r, g, b] = value.to_be_bytes();
            return Some(Self::Exact(Rgb(r, g, b)));
        }
        let at = ANSI_NAMES.iter().position(|name| *name == text)?;
        u8::try_from(at).ok().map(Self::Ansi)
    }

    /// As light and colour, where that is known.
    #[must_use]
    pub fn rgb(self) -> Option<Rgb> {
        match self {
            Self::Terminal => None,
            Self::Ansi(n) => SIXTEEN.get(usize::from(n)).copied(),
            Self::Exact(rgb) => Some(rgb),
        }
    }

    /// In full colour.
    #[must_use]
    pub const fn exact(self) -> Color {
        match self {
            Self::Terminal => Color::Reset,
            Self::Ansi(n) => ansi(n),
            Self::Exact(Rgb(r, g, b)) => Color::Rgb(r, g, b),
        }
    }

    /// The nearest of the 240 fixed ones, but none of those `taken`: two backgrounds of a theme stay two.
    #[must_use]
    pub fn indexed(self, taken: &[Color]) -> Color {
        let Self::Exact(rgb) = self else { return self.exact() };
        let lab = oklab(rgb);
        FIXED
            .iter()
            .filter(|(n, _)| !taken.contains(&Color::Indexed(*n)))
            .min_by(|a, b| distance(lab, a.1).total_cmp(&distance(lab, b.1)))
            .map_or(Color::Reset, |(n, _)| Color::Indexed(*n))
    }

    /// The nearest of the sixteen that can still be read on `on`.
    #[must_use]
    pub fn sixteen(self, on: Option<Rgb>) -> Color {
        let Self::Exact(rgb) = self else { return self.exact() };
        let lab = oklab(rgb);
        let readable = |candidate: Rgb| on.is_none_or(|on| contrast(candidate, on) >= 3.0);
        let best = (0_u8..16)
            .filter_map(|n| SIXTEEN.get(usize::from(n)).map(|&candidate| (n, candidate)))
            .filter(|&(_, candidate)| readable(candidate))
            .min_by(|a, b| distance(lab, oklab(a.1)).total_cmp(&distance(lab, oklab(b.1))));
        best.map_or(Color::Reset, |(n, _)| ansi(n))
    }

    /// Black or white, for a page that has a colour of its own.
    #[must_use]
    pub fn page(self) -> Self {
        match self {
            Self::Exact(rgb) if luminance(rgb) > 0.3 => Self::Ansi(15),
            Self::Exact(_) => Self::Ansi(0),
            other => other,
        }
    }
}

const fn ansi(n: u8) -> Color {
    match n {
        0 => Color::Black,
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        6 => Color::Cyan,
        7 => Color::Gray,
        8 => Color::DarkGray,
        9 => Color::LightRed,
        10 => Color::LightGreen,
        11 => Color::LightYellow,
        12 => Color::LightBlue,
        13 => Color::LightMagenta,
        14 => Color::LightCyan,
        _ => Color::White,
    }
}

/// The colour behind a fixed index of the 256.
#[must_use]
pub fn of_index(n: u8) -> Rgb {
    match n {
        0..16 => SIXTEEN.get(usize::from(n)).copied().unwrap_or(Rgb(0, 0, 0)),
        16..232 => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let n = n - 16;
            Rgb(level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232.. => {
            let grey = 8 + 10 * (n - 232);
            Rgb(grey, grey, grey)
        }
    }
}

/// WCAG's relative luminance, 0 to 1.
#[must_use]
pub fn luminance(Rgb(r, g, b): Rgb) -> f32 {
    0.2126f32.mul_add(linear(r), 0.7152f32.mul_add(linear(g), 0.0722 * linear(b)))
}

/// WCAG's contrast ratio, 1 to 21.
#[must_use]
pub fn contrast(a: Rgb, b: Rgb) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn linear(channel: u8) -> f32 {
    let c = f32::from(channel) / 255.0;
    if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

fn oklab(Rgb(r, g, b): Rgb) -> [f32; 3] {
    let rgb = [linear(r), linear(g), linear(b)];
    let dot = |row: [f32; 3], with: [f32; 3]| row.iter().zip(with).map(|(x, y)| x * y).sum::<f32>();
    let lms =
        [[0.412_221_46, 0.536_332_55, 0.051_445_995], [0.211_903_5, 0.680_699_5, 0.107_396_96], [0.088_302_46, 0.281_718_85, 0.629_978_7]]
            .map(|row| dot(row, rgb).cbrt());
    [[0.210_454_26, 0.793_617_8, -0.004_072_047], [1.977_998_5, -2.428_592_2, 0.450_593_7], [0.025_904_037, 0.782_771_77, -0.808_675_77]]
        .map(|row| dot(row, lms))
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_wcags() {
        assert!((contrast(Rgb(0, 0, 0), Rgb(255, 255, 255)) - 21.0).abs() < 0.01);
        assert!((contrast(Rgb(119, 119, 119), Rgb(255, 255, 255)) - 4.48).abs() < 0.01);
    }

    #[test]
    fn colours_come_down_to_their_neighbours() {
        assert_eq!(Colour::parse("#ff0000").unwrap().indexed(&[]), Color::Indexed(196));
        assert_eq!(Colour::parse("#00ff00").unwrap().sixteen(Some(Rgb(0, 0, 0))), Color::LightGreen);
        assert_eq!(Colour::parse("bright-red"), Some(Colour::Ansi(9)));
        assert_eq!(Colour::parse("#12345"), None);
        assert_eq!(Colour::parse("mauve"), None);
        let page = Colour::parse("#0b1622").unwrap();
        let taken = page.indexed(&[]);
        assert_ne!(Colour::parse("#0c1723").unwrap().indexed(&[taken]), taken, "backgrounds stay apart");
        assert_eq!(page.page(), Colour::Ansi(0));
    }
}
