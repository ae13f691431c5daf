//! The signs and lines of the screen, in Unicode and in plain ASCII. Each means the same in both, so that nothing hangs on a font.

/// Lines of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    pub horizontal: &'static str,
    pub vertical: &'static str,
    pub top_left: &'static str,
    pub top_right: &'static str,
    pub bottom_left: &'static str,
    pub bottom_right: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub struct Signs {
    pub ascii: bool,
    pub frame: Lines,
    pub thumb: &'static str,
    pub ellipsis: &'static str,
    pub ascending: &'static str,
    pub descending: &'static str,
    pub mark: &'static str,
    pub range: &'static str,
    pub cursor: &'static str,
    pub running: &'static str,
    pub stopped: &'static str,
    pub same: &'static str,
    pub unknown: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
    pub warning: &'static str,
    pub info: &'static str,
    pub waiting: &'static str,
    pub skipped: &'static str,
    pub cancelled: &'static str,
    pub folded: &'static str,
    pub unfolded: &'static str,
    pub separator: &'static str,
    pub at_most: &'static str,
    /// Filled and empty part of a gauge.
    pub gauge: &'static str,
    pub gauge_track: &'static str,
    /// Eighths of a bar's last cell, from none to whole.
    pub eighths: &'static [&'static str],
    pub spinner: &'static [&'static str],
    pub untagged: &'static str,
    pub branch: &'static str,
    pub last_branch: &'static str,
    /// From one state to the next.
    pub arrow: &'static str,
}

pub const UNICODE: Signs = Signs {
    ascii: false,
    frame: Lines { horizontal: "─", vertical: "│", top_left: "╭", top_right: "╮", bottom_left: "╰", bottom_right: "╯" },
    thumb: "┃",
    ellipsis: "…",
    ascending: "▲",
    descending: "▼",
    mark: "◆",
    range: "┆",
    cursor: "▌",
    running: "●",
    stopped: "○",
    same: "″",
    unknown: "–",
    good: "✓",
    bad: "✗",
    warning: "▲",
    info: "•",
    waiting: "·",
    skipped: "=",
    cancelled: "■",
    folded: "▸",
    unfolded: "▾",
    separator: "·",
    at_most: "≤",
    gauge: "━",
    gauge_track: "─",
    eighths: &["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    untagged: "‹untagged›",
    branch: "├",
    last_branch: "└",
    arrow: "→",
};

pub const ASCII: Signs = Signs {
    ascii: true,
    frame: Lines { horizontal: "-", vertical: "|", top_left: "+", top_right: "+", bottom_left: "+", bottom_right: "+" },
    thumb: "#",
    ellipsis: "~",
    ascending: "^",
    descending: "v",
    mark: "*",
    range: ":",
    cursor: ">",
    running: "@",
    stopped: "o",
    same: "\"",
    unknown: "-",
    good: "+",
    bad: "x",
    warning: "!",
    info: "*",
    waiting: ".",
    skipped: "=",
    cancelled: "#",
    folded: ">",
    unfolded: "v",
    separator: "-",
    at_most: "<=",
    gauge: "#",
    gauge_track: ".",
    eighths: &["", "", "", "", "", "", "", "", "#"],
    spinner: &["|", "/", "-", "\\"],
    untagged: "<untagged>",
    branch: "|",
    last_branch: "`",
    arrow: "->",
};

impl Signs {
    #[must_use]
    pub const fn of(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &UNICODE }
    }

    /// The picture of a spinner at its `n`th turn.
    #[must_use]
    pub fn spin(&self, n: usize) -> &'static str {
        self.spinner.get(n.checked_rem(self.spinner.len()).unwrap_or(0)).copied().unwrap_or("*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_is_ascii_and_frames_are_one_wide() {
        let all = format!("{ASCII:?}");
        assert!(all.is_ascii());
        for lines in [UNICODE.frame, ASCII.frame] {
            for line in [lines.horizontal, lines.vertical, lines.top_left, lines.top_right, lines.bottom_left, lines.bottom_right] {
                assert_eq!(unicode_width::UnicodeWidthStr::width(line), 1);
            }
        }
        assert_eq!(UNICODE.spin(usize::MAX).chars().count(), 1);
    }
}
