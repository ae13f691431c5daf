//! Columns of a table: which of them there is room for, and how wide each is.

use super::text::Shown;

/// What a column wants. `priority` 0 always stays; the highest number goes first when room is short.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    pub least: u16,
    pub ideal: u16,
    /// Share of what is left over; 0 for none.
    pub grow: u16,
    pub priority: u8,
}

/// Columns between two columns.
pub const GAP: u16 = 2;

/// The width of each column, in order; 0 for one that is left out.
#[must_use]
pub fn arrange(columns: &[Column], width: u16) -> Vec<u16> {
    let mut shown: Vec<bool> = columns.iter().map(|_| true).collect();
    let need = |shown: &[bool]| {
        let stay = columns.iter().zip(shown).filter(|(_, shown)| **shown);
        let (count, sum) = stay.fold((0_u32, 0_u32), |(count, sum), (column, _)| (count + 1, sum + u32::from(column.least)));
        sum + count.saturating_sub(1) * u32::from(GAP)
    };
    while need(&shown) > u32::from(width) {
        let last =
            columns.iter().zip(&shown).enumerate().filter(|(_, (c, shown))| **shown && c.priority > 0).max_by_key(|(_, (c, _))| c.priority);
        let Some((at, _)) = last else { break };
        if let Some(shown) = shown.get_mut(at) {
            *shown = false;
        }
    }
    let mut left = u16::try_from(u32::from(width).saturating_sub(need(&shown))).unwrap_or(0);
    let mut widths: Vec<u16> = columns.iter().zip(&shown).map(|(column, shown)| if *shown { column.least } else { 0 }).collect();
    for (width, column) in widths.iter_mut().zip(columns) {
        if *width > 0 {
            let more = column.ideal.saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    let shares: u16 = columns.iter().zip(&shown).filter(|(_, shown)| **shown).map(|(column, _)| column.grow).sum();
    let all = left;
    for (width, column) in widths.iter_mut().zip(columns) {
        if *width > 0 {
            let more = (all.checked_div(shares).unwrap_or(0)) * column.grow;
            *width += more;
            left -= more;
        }
    }
    if let Some((width, _)) = widths.iter_mut().zip(columns).find(|(width, column)| **width > 0 && column.grow > 0) {
        *width += left;
    }
    widths
}

/// A path-like text in two: everything up to its last slash, and the name after it.
#[must_use]
pub fn name_parts(text: Shown<'_>) -> (Option<Shown<'_>>, Shown<'_>) {
    match text.break_after_last('/') {
        Some((path, name)) => (Some(path), name),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column { title: "name", least: 10, ideal: 30, grow: 2, priority: 0 },
        Column { title: "size", least: 8, ideal: 8, grow: 0, priority: 1 },
        Column { title: "id", least: 12, ideal: 12, grow: 0, priority: 2 },
    ];

    #[test]
    fn the_least_wanted_column_goes_first() {
        assert_eq!(arrange(COLUMNS, 60), [36, 8, 12]);
        assert_eq!(arrange(COLUMNS, 34), [10, 8, 12]);
        assert_eq!(arrange(COLUMNS, 33), [23, 8, 0]);
        assert_eq!(arrange(COLUMNS, 12), [12, 0, 0]);
    }

    proptest! {
        #[test]
        fn columns_fill_the_width_and_no_more(width in 10_u16..600) {
            let widths = arrange(COLUMNS, width);
            let count = widths.iter().filter(|w| **w > 0).count();
            let used = widths.iter().sum::<u16>() + GAP * u16::try_from(count - 1).unwrap();
            prop_assert_eq!(used, width);
        }
    }
}
