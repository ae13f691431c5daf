//! A screen buffer as an SVG picture: one text run per style and row, on the theme's background, in a window's frame.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "each test binary uses its own part"
)]

use std::fmt::Write as _;

use lighterman::ui::colour::{Colour, Rgb, of_index};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Pixels of a cell, and round the screen.
const CELL: (f32, f32) = (8.4, 18.0);
const PAD: f32 = 14.0;
const BAR: f32 = 30.0;

/// What the terminal's own colours are in the picture.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    pub fg: Rgb,
    pub bg: Rgb,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { fg: Rgb(213, 223, 232), bg: Rgb(14, 23, 32) }
    }
}

fn rgb(color: Color, or: Rgb) -> Rgb {
    match color {
        Color::Rgb(r, g, b) => Rgb(r, g, b),
        Color::Indexed(n) => of_index(n),
        Color::Reset => or,
        other => (0..16).map(Colour::Ansi).find(|c| c.exact() == other).and_then(Colour::rgb).unwrap_or(or),
    }
}

fn hex(Rgb(r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn mix(Rgb(r, g, b): Rgb, with: Rgb) -> Rgb {
    let half = |a: u8, b: u8| u8::midpoint(a, b);
    Rgb(half(r, with.0), half(g, with.1), half(b, with.2))
}

/// Foreground, background and modifiers as they are seen.
fn seen(cell: &Cell, terminal: Terminal) -> (Rgb, Rgb, Modifier) {
    let (mut fg, mut bg) = (rgb(cell.fg, terminal.fg), rgb(cell.bg, terminal.bg));
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut fg, &mut bg);
    }
    if cell.modifier.contains(Modifier::DIM) {
        fg = mix(fg, bg);
    }
    (fg, bg, cell.modifier & (Modifier::BOLD | Modifier::ITALIC | Modifier::UNDERLINED))
}

/// The picture. `caret` is the terminal's cursor, drawn as a block behind its cell.
pub fn svg(buffer: &Buffer, caret: Option<(u16, u16)>, terminal: Terminal, title: &str) -> String {
    let area = buffer.area;
    let (wide, high) = (f32::from(area.width) * CELL.0 + 2.0 * PAD, f32::from(area.height) * CELL.1 + BAR + PAD);
    let page = buffer.cell((area.x, area.y + area.height / 2)).map_or(terminal.bg, |cell| rgb(cell.bg, terminal.bg));
    let dark = lighterman::ui::colour::luminance(page) < 0.4;
    let edge = mix(page, if dark { Rgb(90, 100, 110) } else { Rgb(190, 190, 185) });
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.1} {high:.1}\" \
         font-family=\"'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\">\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.1}\" height=\"{:.1}\" rx=\"9\" fill=\"{}\" stroke=\"{}\"/>\n",
        wide - 1.0,
        high - 1.0,
        hex(page),
        hex(edge)
    );
    for (n, fill) in ["#e0695e", "#e0b25c", "#6fbf73"].iter().enumerate() {
        let _ = writeln!(out, "<circle cx=\"{}\" cy=\"15\" r=\"5.5\" fill=\"{fill}\"/>", 20 + n * 19);
    }
    let faint = hex(mix(page, if dark { Rgb(220, 225, 230) } else { Rgb(40, 45, 50) }));
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"20\" text-anchor=\"middle\" font-size=\"12\" fill=\"{faint}\">{}</text>",
        wide / 2.0,
        escape(title)
    );
    for y in area.top()..area.bottom() {
        row(&mut out, buffer, y, caret.filter(|caret| caret.1 == y).map(|caret| caret.0), terminal, page);
    }
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, buffer: &Buffer, y: u16, caret: Option<u16>, terminal: Terminal, page: Rgb) {
    let area = buffer.area;
    let top = BAR + f32::from(y - area.y) * CELL.1;
    let left = |x: u16| PAD + f32::from(x - area.x) * CELL.0;
    let look = |x: u16| {
        let (fg, bg, modifier) = buffer.cell((x, y)).map_or((page, page, Modifier::empty()), |cell| seen(cell, terminal));
        if caret == Some(x) { (bg, fg, modifier) } else { (fg, bg, modifier) }
    };
    let (mut x, mut shapes) = (area.left(), String::new());
    while x < area.right() {
        let (fg, bg, modifier) = look(x);
        let (start, mut text) = (x, String::new());
        while x < area.right() && look(x) == (fg, bg, modifier) {
            let symbol = buffer.cell((x, y)).map_or(" ", Cell::symbol);
            if let Some(shape) = shape(symbol, left(x), top, &hex(fg)) {
                shapes.push_str(&shape);
                text.push(' ');
                x += 1;
                continue;
            }
            let width = u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).unwrap_or(1).max(1);
            // What a font may draw wider than its cell is placed by itself.
            if !symbol.is_ascii() && !text.is_empty() && width > 1 {
                break;
            }
            text.push_str(symbol);
            x += width;
            if width > 1 {
                break;
            }
        }
        let (at, width) = (left(start), left(x.min(area.right())) - left(start));
        if bg != page {
            let _ =
                writeln!(out, "<rect x=\"{at:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>", CELL.1, hex(bg));
        }
        let shown = text.trim_end_matches(' ');
        if shown.is_empty() && !modifier.contains(Modifier::UNDERLINED) {
            continue;
        }
        let lead = shown.len() - shown.trim_start_matches(' ').len();
        let text = if modifier.contains(Modifier::UNDERLINED) { text.as_str() } else { shown.get(lead..).unwrap_or_default() };
        let lead = if modifier.contains(Modifier::UNDERLINED) { 0 } else { lead };
        let columns = unicode_width::UnicodeWidthStr::width(text);
        #[expect(clippy::cast_precision_loss, reason = "columns of a screen")]
        let (at, length) = (at + lead as f32 * CELL.0, columns as f32 * CELL.0);
        let mut style = String::new();
        if modifier.contains(Modifier::BOLD) {
            style.push_str(" font-weight=\"bold\"");
        }
        if modifier.contains(Modifier::ITALIC) {
            style.push_str(" font-style=\"italic\"");
        }
        if modifier.contains(Modifier::UNDERLINED) {
            style.push_str(" text-decoration=\"underline\"");
        }
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" textLength=\"{length:.1}\" xml:space=\"preserve\" fill=\"{}\"{style}>{}</text>",
            top + 13.5,
            hex(fg),
            escape(text)
        );
    }
    out.push_str(&shapes);
}

/// Lines and blocks are drawn, not written, so that they meet whatever the font.
fn shape(symbol: &str, x: f32, y: f32, fill: &str) -> Option<String> {
    let (w, h) = CELL;
    let (mx, my, right, bottom) = (x + w / 2.0, y + h / 2.0, x + w, y + h);
    let stroke =
        |path: String, width: f32| Some(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{fill}\" stroke-width=\"{width}\"/>\n"));
    let r = 4.0;
    match symbol {
        "─" => stroke(format!("M{x:.1} {my:.1}H{right:.1}"), 1.1),
        "━" => stroke(format!("M{x:.1} {my:.1}H{right:.1}"), 3.0),
        "│" => stroke(format!("M{mx:.1} {y:.1}V{bottom:.1}"), 1.1),
        "┃" => stroke(format!("M{mx:.1} {y:.1}V{bottom:.1}"), 3.0),
        "╭" => stroke(format!("M{mx:.1} {bottom:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{right:.1}", my + r, mx + r), 1.1),
        "╮" => stroke(format!("M{mx:.1} {bottom:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{x:.1}", my + r, mx - r), 1.1),
        "╰" => stroke(format!("M{mx:.1} {y:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{right:.1}", my - r, mx + r), 1.1),
        "╯" => stroke(format!("M{mx:.1} {y:.1}V{:.1}Q{mx:.1} {my:.1} {:.1} {my:.1}H{x:.1}", my - r, mx - r), 1.1),
        _ => {
            let eighths = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"].iter().position(|block| *block == symbol)? + 1;
            let width = w * f32::from(u8::try_from(eighths).ok()?) / 8.0;
            Some(format!("<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>\n", y + 4.0, h - 8.0))
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
