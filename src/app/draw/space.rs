//! The view of what takes the space: a bar of everything, and below it a bar for each repository and image. What one alone holds is solid, what is
//! shared is light, in other signs as well as other colours.

use ratatui::layout::Rect;

use crate::app::overlay::{SpaceRow, SpaceView};
use crate::app::state::State;
use crate::curate::words::counted;
use crate::flow::Action;
use crate::model::space::Bytes;
use crate::model::{Safe, Space, size};
use crate::ui::canvas::Align;
use crate::ui::text::words;
use crate::ui::{Canvas, Pen, Role, Shown, text, widgets};

use super::key;
use super::overlay::list;

const SIZE: u16 = 8;
/// Columns between which a name gets its share of the width.
const NAME: (u16, u16) = (14, 44);

pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, it: &SpaceView, state: &State) {
    let inside = widgets::dialog(canvas, area, (area.width, area.height), "What takes the space");
    keys(canvas, inside, state);
    let Some(space) = &it.space else {
        let words = words!("{} Reckoning it up", canvas.signs.spin(state.spin));
        return widgets::card(canvas, inside, &[(Role::Dialog, Shown::from(&words))]);
    };
    // What was not looked at is not nothing.
    if matches!(space.based_on, (0, 1..)) {
        let spinner = canvas.signs.spin(state.spin);
        let words =
            if it.is_reading { words!("{spinner} Reading what the images hold") } else { words!("What images share is not known here") };
        return widgets::card(canvas, inside, &[(Role::Dialog, Shown::from(&words))]);
    }
    sums(canvas, inside, it, space, state);
    whole(canvas, Rect { y: inside.y + 1, height: 1, ..inside }.intersection(inside), it, space);
    let name = (inside.width / 3).clamp(NAME.0, NAME.1);
    let mut pen = canvas.pen(inside, inside.y.saturating_add(3));
    pen.gap(2);
    pen.cell(name, Align::Left, "Repository", Role::DialogMuted).gap(1);
    pen.cell(SIZE, Align::Right, "Own", Role::DialogMuted).gap(1);
    pen.cell(SIZE, Align::Right, "Shared", Role::DialogMuted);
    let rows = Rect { y: inside.y + 4, height: inside.height.saturating_sub(6), ..inside };
    if it.rows.is_empty() {
        return widgets::card(canvas, rows, &[(Role::DialogMuted, "There are no images".into())]);
    }
    let largest = space.repositories.iter().map(|repository| repository.bytes.all()).max().unwrap_or(0);
    list(canvas, rows, &it.cursor, &it.rows, |pen, row| line(pen, it, *row, name, largest));
}

/// What all of it comes to, and how much of that is known.
fn sums(canvas: &mut Canvas<'_>, inside: Rect, it: &SpaceView, space: &Space, state: &State) {
    let mut pen = canvas.pen(inside, inside.y);
    let dot = pen.signs().separator;
    pen.put(&words!("{} stored", size::human(space.stored)), Role::DialogTitle);
    pen.put(&words!(" {dot} {} in one repository alone", size::human(space.bytes.own)), Role::Dialog);
    pen.put(&words!(" {dot} {} shared", size::human(space.bytes.shared)), Role::Dialog);
    let (known, all) = space.based_on;
    let spinner = if it.is_reading { pen.signs().spin(state.spin) } else { pen.signs().warning };
    if known < all {
        let mut pen = canvas.pen(inside, inside.y.saturating_add(2));
        pen.put(&words!("{spinner} based on {known} of {}", counted(all, "image")), Role::DialogWarning);
    }
}

/// One bar of everything: each repository's own bytes in turn, the one under the cursor told apart, and what is shared at its end.
fn whole(canvas: &mut Canvas<'_>, area: Rect, it: &SpaceView, space: &Space) {
    let (solid, light) = marks(canvas.signs.ascii);
    let here = it.here();
    let mut pen = canvas.pen(area, area.y);
    let columns = |bytes: u64| {
        let columns = u128::from(area.width) * u128::from(bytes) / u128::from(space.stored.max(1));
        u16::try_from(columns).unwrap_or(area.width)
    };
    let (mut before, mut drawn) = (0_u64, 0_u16);
    for (n, repository) in space.repositories.iter().enumerate() {
        before = before.saturating_add(repository.bytes.own);
        let end = columns(before);
        let role = match (here == Some(n), n % 2) {
            (true, _) => Role::DialogKey,
            (false, 0) => Role::BarLarge,
            (false, _) => Role::Bar,
        };
        // What is told apart has a sign of its own, for screens without colours.
        let sign = match (here == Some(n), pen.signs().ascii) {
            (true, false) => "▒",
            (true, true) => "=",
            (false, _) => solid,
        };
        pen.repeat(sign, end.saturating_sub(drawn), role);
        drawn = drawn.max(end);
        if drawn >= area.width {
            break;
        }
    }
    let end = columns(space.stored);
    pen.repeat(light, end.saturating_sub(drawn), Role::DialogMuted);
}

/// The signs of what is one's own and of what is shared.
const fn marks(ascii: bool) -> (&'static str, &'static str) {
    if ascii { ("#", ".") } else { ("█", "░") }
}

fn line(pen: &mut Pen<'_, '_>, it: &SpaceView, row: SpaceRow, name: u16, largest: u64) {
    let signs = pen.signs();
    let (title, bytes, indent, fold) = match row {
        SpaceRow::Repository(n) => {
            let Some(repository) = it.repository(n) else { return };
            let title = repository.name.as_ref().map_or_else(|| Safe::new("without a tag"), |name| Safe::ascii(name.familiar()));
            let is_known = repository.images.iter().any(|image| image.bytes.is_some());
            (title, is_known.then_some(repository.bytes), 0, if it.is_unfolded(n) { signs.unfolded } else { signs.folded })
        }
        SpaceRow::Image(n, at) => {
            let Some(image) = it.image(n, at) else { return };
            let tag = image.name.as_ref().and_then(|name| name.split().1).map_or_else(|| words!("{}", image.id.short()), Safe::ascii);
            let title = if image.more > 0 { words!("{tag} +{}", image.more) } else { tag };
            (title, image.bytes, 2, " ")
        }
    };
    pen.put(fold, Role::DialogMuted).gap(1 + indent);
    pen.middle(name.saturating_sub(indent), &title, if indent == 0 { Role::Dialog } else { Role::DialogMuted }).gap(1);
    let Some(bytes) = bytes else {
        pen.cell(SIZE, Align::Right, signs.unknown, Role::DialogMuted).gap(1);
        pen.cell(SIZE, Align::Right, signs.unknown, Role::DialogMuted);
        return;
    };
    pen.cell(SIZE, Align::Right, &text::bytes(bytes.own), Role::Dialog).gap(1);
    pen.cell(SIZE, Align::Right, &text::bytes(bytes.shared), Role::DialogMuted).gap(2);
    bar(pen, bytes, largest, indent == 0);
}

/// One's own and what is shared, against the largest.
fn bar(pen: &mut Pen<'_, '_>, bytes: Bytes, largest: u64, strong: bool) {
    let width = pen.room();
    let columns = |bytes: u64| u16::try_from(u128::from(width) * u128::from(bytes) / u128::from(largest.max(1))).unwrap_or(width);
    // A byte that is there is seen.
    let own = columns(bytes.own).max(u16::from(bytes.own > 0));
    let all = columns(bytes.all()).max(own);
    let (solid, light) = marks(pen.signs().ascii);
    pen.repeat(solid, own, if strong { Role::BarLarge } else { Role::Bar });
    pen.repeat(light, all.saturating_sub(own), Role::DialogMuted);
}

fn keys(canvas: &mut Canvas<'_>, inside: Rect, state: &State) {
    let mut pen = canvas.pen(inside, inside.bottom().saturating_sub(1));
    for (action, does) in [(Action::Right, "unfold"), (Action::Open, "to its rows"), (Action::Back, "close")] {
        let key = key(state, action);
        if !key.is_empty() {
            pen.put(&key, Role::DialogKey).gap(1);
            pen.put(does, Role::DialogMuted).gap(2);
        }
    }
    let (solid, light) = marks(pen.signs().ascii);
    let legend = "  own  ";
    if pen.room() > 24 {
        pen.right(" shared", Role::DialogMuted);
        pen.right(light, Role::DialogMuted);
        pen.right(legend, Role::DialogMuted);
        pen.right(solid, Role::BarLarge);
    }
}
