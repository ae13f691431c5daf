//! The screen: two buffers, of which only what differs goes to the terminal, as one synchronized update.
//!
//! The frame is drawn into memory and written by [`Output`]; nothing here waits, and nothing asks the terminal anything.

use std::io;

use base64::Engine as _;
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::output::Output;

/// Largest screen that is drawn; a terminal that claims more shows it in its corner.
const LARGEST: (u16, u16) = (1000, 1000);
/// Longest text that is put on the clipboard, in bytes.
const LONGEST_COPY: usize = 100 * 1024;

#[derive(Debug)]
pub(super) struct Screen {
    output: Output,
    /// What the terminal shows.
    shown: Buffer,
    next: Buffer,
    caret: Option<(u16, u16)>,
    /// The terminal's content is not known: draw all of it.
    whole: bool,
    /// To be written before the next frame.
    before: Vec<u8>,
}

impl Screen {
    /// # Errors
    /// As [`Output::start`].
    pub(super) fn new((width, height): (u16, u16)) -> io::Result<Self> {
        let area = Rect::new(0, 0, width, height);
        Ok(Self {
            output: Output::start()?,
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            caret: None,
            whole: true,
            before: Vec::new(),
        })
    }

    /// A size within bounds.
    pub(super) fn bounded(width: u16, height: u16) -> (u16, u16) {
        (width.min(LARGEST.0), height.min(LARGEST.1))
    }

    pub(super) fn resize(&mut self, (width, height): (u16, u16)) {
        let area = Rect::new(0, 0, width, height);
        self.shown.resize(area);
        self.next.resize(area);
        self.whole = true;
    }

    /// Draws everything anew next time.
    pub(super) const fn forget(&mut self) {
        self.whole = true;
    }

    /// Whether a frame is still on its way to the terminal.
    pub(super) const fn is_busy(&self) -> bool {
        self.output.is_busy()
    }

    /// As [`Output::written`].
    pub(super) async fn written(&mut self) -> io::Result<()> {
        self.output.written().await
    }

    /// Puts text on the terminal's clipboard with the next frame (OSC 52). `false` when it is too long.
    pub(super) fn copy(&mut self, text: &str) -> bool {
        if text.len() > LONGEST_COPY {
            return false;
        }
        let coded = base64::engine::general_purpose::STANDARD.encode(text);
        self.before = format!("\x1b]52;c;{coded}\x1b\\").into_bytes();
        true
    }

    /// Sends the picture that `draw` makes; it gives the place of the cursor while something is typed. Only when not busy.
    ///
    /// # Errors
    /// Never in practice: the frame is made in memory.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Buffer) -> Option<(u16, u16)>) -> io::Result<()> {
        self.next.reset();
        let caret = draw(&mut self.next);
        let mut frame = self.output.buffer();
        frame.append(&mut self.before);
        let prefix = frame.len();
        frame.extend_from_slice(b"\x1b[?2026h");
        if self.whole {
            frame.extend_from_slice(b"\x1b[0m\x1b[2J");
            self.shown.reset();
        }
        let start = frame.len();
        {
            let mut backend = CrosstermBackend::new(&mut frame);
            let changed = self.shown.diff(&self.next);
            if !changed.is_empty() {
                backend.draw(changed.into_iter())?;
            }
            if caret != self.caret || (caret.is_some() && start > 0) {
                match caret {
                    Some((x, y)) => {
                        backend.set_cursor_position(Position::new(x, y))?;
                        backend.show_cursor()?;
                    }
                    None => backend.hide_cursor()?,
                }
            }
        }
        if frame.len() == start && !self.whole {
            frame.truncate(prefix);
        } else {
            frame.extend_from_slice(b"\x1b[?2026l");
        }
        self.whole = false;
        self.caret = caret;
        std::mem::swap(&mut self.shown, &mut self.next);
        self.output.send(frame);
        Ok(())
    }
}
