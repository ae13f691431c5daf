//! Short messages in the lower right corner, the newest at the bottom.

use ratatui::layout::Rect;

use crate::app::state::State;
use crate::app::toast::ToastKind;
use crate::ui::{Canvas, Role, Shown, text, widgets};

pub(super) fn draw(canvas: &mut Canvas<'_>, screen: Rect, state: &State) {
    let mut bottom = screen.bottom().saturating_sub(1);
    let width = screen.width.saturating_sub(4).min(64);
    for toast in state.toasts.list.iter().rev() {
        let (sign, role) = match toast.kind {
            ToastKind::Info => (canvas.signs.info, Role::Info),
            ToastKind::Good => (canvas.signs.good, Role::Good),
            ToastKind::Warning => (canvas.signs.warning, Role::Warning),
            ToastKind::Bad => (canvas.signs.bad, Role::Bad),
        };
        let inside = width.saturating_sub(6);
        let mut lines: Vec<(Role, Shown<'_>)> =
            Shown::from(&toast.text).wrapped(inside, 4).into_iter().map(|line| (Role::Dialog, line)).collect();
        if let Some(hint) = &toast.hint {
            lines.extend(Shown::from(hint).wrapped(inside, 2).into_iter().map(|line| (Role::DialogMuted, line)));
        }
        let longest = lines.iter().map(|(_, line)| line.width()).max().unwrap_or(0);
        let size = (longest + 6, text::cols(lines.len()) + 2);
        let Some(top) = bottom.checked_sub(size.1).filter(|top| *top > screen.y) else { break };
        let area = Rect::new(screen.right().saturating_sub(size.0 + 1), top, size.0, size.1);
        canvas.clear(area, Role::Dialog);
        widgets::frame(canvas, area, role);
        let inner = widgets::inner(area);
        canvas.text(Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner }, inner.y, sign, role);
        for (i, (role, line)) in lines.into_iter().enumerate() {
            let inside = Rect { x: inner.x + 3, width: inner.width.saturating_sub(3), ..inner };
            canvas.text(inside, inside.y.saturating_add(text::cols(i)), line, role);
        }
        bottom = top;
    }
}
