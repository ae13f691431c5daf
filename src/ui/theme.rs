//! Themes: every colour on the screen has a role, and a theme file gives each role its colours.
//!
//! A file is TOML: `name`, optionally `inherits` (another theme's name), `[palette]` (names for colours) and `[roles]`, each a colour (the foreground)
//! or a table with `fg`, `bg`, `bold`, `dim`, `italic`, `underline`, `reverse`. A colour is `#rrggbb`, a palette name, one of the terminal's sixteen
//! (`red`, `bright-red`, …) or `terminal`. A child's palette also recolours the roles it inherits.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::colour::{Colour, Rgb};

/// The themes in the program, by file name.
pub const BUILTIN: &[(&str, &str)] = &[
    ("lighterman-dark", include_str!("../../themes/lighterman-dark.toml")),
    ("lighterman-light", include_str!("../../themes/lighterman-light.toml")),
    ("catppuccin-mocha", include_str!("../../themes/catppuccin-mocha.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("dracula", include_str!("../../themes/dracula.toml")),
    ("gruvbox-dark", include_str!("../../themes/gruvbox-dark.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("nord", include_str!("../../themes/nord.toml")),
    ("sixteen", include_str!("../../themes/sixteen.toml")),
    ("solarized-light", include_str!("../../themes/solarized-light.toml")),
];

/// The theme that is used when none is named.
pub const DEFAULT: &str = "lighterman-dark";

/// How deep `inherits` may go.
const DEEPEST: usize = 8;

/// What a role's colour is for: which contrast it must have, and on what it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Text on the page that also stands in rows, under the cursor.
    Row,
    /// Text on the page, or on a background of its own.
    Text,
    /// Text on a dialog.
    Dialog,
    /// Lines, bars and shades.
    Shape,
}

macro_rules! roles {
    ($( $variant:ident $name:literal $use:ident [$($modifier:ident)|*]; )*) => {
        /// What a piece of the screen means. In brackets: what tells it apart where there is no colour.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Role { $( #[doc = concat!("`", $name, "` in a theme file.")] $variant, )* }

        impl Role {
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// Its name in a theme file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            #[must_use]
            pub const fn usage(self) -> Use {
                match self { $( Self::$variant => Use::$use, )* }
            }

            const fn without_colour(self) -> Modifier {
                match self { $( Self::$variant => Modifier::empty()$(.union(Modifier::$modifier))*, )* }
            }
        }
    };
}

roles! {
    // The page
    Text "text" Row [];
    Muted "muted" Row [DIM];
    Accent "accent" Row [BOLD];
    Border "border" Shape [DIM];
    BorderFocused "border-focused" Shape [BOLD];
    Title "title" Text [];
    TitleFocused "title-focused" Text [BOLD];
    Heading "heading" Text [UNDERLINED];
    HeadingSorted "heading-sorted" Text [UNDERLINED | BOLD];
    Scrollbar "scrollbar" Shape [];
    // Header, tabs and footer
    Brand "brand" Text [REVERSED | BOLD];
    Source "source" Text [BOLD];
    Badge "badge" Text [REVERSED | BOLD];
    Tab "tab" Text [];
    TabActive "tab-active" Text [REVERSED];
    Key "key" Text [BOLD];
    Label "label" Text [];
    // Rows
    Cursor "cursor" Text [REVERSED];
    CursorUnfocused "cursor-unfocused" Text [UNDERLINED];
    Mark "mark" Row [BOLD];
    Range "range" Row [BOLD | UNDERLINED];
    Repository "repository" Row [BOLD];
    Registry "registry" Row [];
    Tag "tag" Row [];
    Digest "digest" Row [];
    Untagged "untagged" Row [DIM];
    SizeSmall "size-small" Row [];
    SizeMedium "size-medium" Row [];
    SizeLarge "size-large" Row [BOLD];
    SizeHuge "size-huge" Row [BOLD];
    AgeFresh "age-fresh" Row [];
    AgeOld "age-old" Row [DIM];
    Running "running" Row [BOLD];
    Stopped "stopped" Row [];
    // Meanings
    Good "good" Row [];
    Warning "warning" Row [BOLD];
    Bad "bad" Row [BOLD];
    Info "info" Row [];
    Added "added" Row [];
    Changed "changed" Row [];
    Removed "removed" Row [UNDERLINED];
    // Code
    Keyword "keyword" Row [BOLD];
    Comment "comment" Row [DIM];
    String "string" Row [];
    Variable "variable" Row [UNDERLINED];
    Flag "flag" Row [];
    LineNumber "line-number" Row [DIM];
    // Bars
    Bar "bar" Shape [];
    BarLarge "bar-large" Shape [BOLD];
    Gauge "gauge" Shape [BOLD];
    GaugeTrack "gauge-track" Shape [DIM];
    // Dialogs
    Dialog "dialog" Dialog [];
    DialogMuted "dialog-muted" Dialog [DIM];
    DialogBorder "dialog-border" Shape [BOLD];
    DialogTitle "dialog-title" Dialog [BOLD];
    DialogKey "dialog-key" Dialog [BOLD];
    DialogWarning "dialog-warning" Dialog [BOLD];
    DialogLoss "dialog-loss" Dialog [BOLD | UNDERLINED];
    DialogGood "dialog-good" Dialog [];
    DialogCursor "dialog-cursor" Text [REVERSED];
    Input "input" Text [UNDERLINED];
    Button "button" Text [];
    ButtonFocused "button-focused" Text [REVERSED | BOLD];
    ButtonLoss "button-loss" Text [REVERSED | BOLD];
    Scrim "scrim" Shape [DIM];
}

/// How much colour the terminal takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// None: every meaning by bold, underline, reverse and signs.
    None,
    Sixteen,
    Indexed,
    #[default]
    True,
}

/// A role's colours as a theme gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    pub fg: Option<Colour>,
    pub bg: Option<Colour>,
    pub modifiers: Modifier,
}

/// A theme ready for drawing.
#[derive(Debug, Clone)]
pub struct Theme {
    pub name: String,
    looks: Vec<Look>,
    styles: Vec<Style>,
    depth: Depth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    inherits: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, Spec>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Spec {
    Colour(String),
    Table(Table),
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Table {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    bold: bool,
    #[serde(default)]
    dim: bool,
    #[serde(default)]
    italic: bool,
    #[serde(default)]
    underline: bool,
    #[serde(default)]
    reverse: bool,
}

impl Theme {
    /// Reads a theme file; `resolve` gives the text of a theme that is inherited from, by its name.
    ///
    /// # Errors
    /// A sentence on what is wrong, with line and column where the TOML is.
    pub fn load(text: &str, resolve: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let name = std::mem::take(&mut file.name);
        let (mut palette, mut roles) = (BTreeMap::new(), BTreeMap::new());
        for depth in 0.. {
            let parent = file.inherits.take();
            for (key, value) in file.palette {
                palette.entry(key).or_insert(value);
            }
            for (key, value) in file.roles {
                roles.entry(key).or_insert(value);
            }
            let Some(parent) = parent else { break };
            if depth == DEEPEST {
                return Err(format!("the themes inherit from each other in a circle, or more than {DEEPEST} deep"));
            }
            let text = resolve(&parent).ok_or_else(|| format!("there is no theme {parent:?} to inherit from"))?;
            file = toml::from_str(&text).map_err(|error| format!("in {parent}: {error}"))?;
        }
        if let Some(unknown) = roles.keys().find(|key| Role::ALL.iter().all(|role| role.name() != *key)) {
            return Err(format!("there is no role {unknown:?}"));
        }
        let looks = Role::ALL
            .iter()
            .map(|role| match roles.get(role.name()) {
                Some(spec) => spec.look(&palette).map_err(|error| format!("role {}: {error}", role.name())),
                None => Err(format!("role {} has no colour", role.name())),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut theme = Self { name, looks, styles: Vec::new(), depth: Depth::True };
        theme.resolve();
        Ok(theme)
    }

    /// One of the themes in the program, in full colour.
    ///
    /// # Errors
    /// An unknown name, with the names there are.
    pub fn builtin(name: &str) -> Result<Self, String> {
        let find = |name: &str| BUILTIN.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
        let names = || BUILTIN.iter().map(|(file, _)| *file).collect::<Vec<_>>().join(", ");
        let text = find(name).ok_or_else(|| format!("there is no theme {name:?}; there are {}", names()))?;
        Self::load(&text, find)
    }

    /// The same theme for a terminal with that much colour.
    #[must_use]
    pub fn at(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self.resolve();
        self
    }

    #[must_use]
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn look(&self, role: Role) -> Look {
        self.looks.get(role as usize).copied().unwrap_or_default()
    }

    /// Whether a row under the cursor has one colour for all its text, rather than each text its own.
    #[must_use]
    pub fn is_flat(&self, cursor: Role) -> bool {
        let look = self.look(cursor);
        self.depth != Depth::True && self.depth != Depth::Indexed || look.fg.is_some() || look.modifiers.contains(Modifier::REVERSED)
    }

    fn resolve(&mut self) {
        let page = self.look(Role::Text).bg;
        let dialog = self.look(Role::Dialog).bg;
        self.styles = Role::ALL.iter().map(|role| self.resolved(*role, page, dialog)).collect();
    }

    fn resolved(&self, role: Role, page: Option<Colour>, dialog: Option<Colour>) -> Style {
        let look = self.look(role);
        let style = Style { add_modifier: look.modifiers, ..Style::default() };
        match self.depth {
            Depth::True => Style { fg: look.fg.map(Colour::exact), bg: look.bg.map(Colour::exact), ..style },
            Depth::Indexed => {
                let mut taken = Vec::new();
                if role != Role::Text && look.bg != page {
                    taken.extend(page.map(|page| page.indexed(&[])));
                }
                if role == Role::CursorUnfocused
                    && let Some(cursor) = self.look(Role::Cursor).bg
                {
                    taken.push(cursor.indexed(&taken));
                }
                Style { fg: look.fg.map(|fg| fg.indexed(&[])), bg: look.bg.map(|bg| bg.indexed(&taken)), ..style }
            }
            Depth::Sixteen => {
                let under = if role.usage() == Use::Dialog { dialog.or(page) } else { page };
                // Few colours fall together: bold keeps apart what it can.
                sixteen(look, role, page, under, style.add_modifier(role.without_colour().intersection(Modifier::BOLD)))
            }
            Depth::None => Style { fg: None, bg: None, ..Style::default().add_modifier(role.without_colour()) },
        }
    }
}

/// A role in the sixteen: a page is black or white, so that what is read on it is known; a background that would not differ from it is shown by
/// turning the colours round.
fn sixteen(look: Look, role: Role, page: Option<Colour>, under: Option<Colour>, style: Style) -> Style {
    let page = page.map(Colour::page);
    if matches!(role, Role::Text | Role::Dialog) {
        let on = look.bg.map(Colour::page);
        return Style { fg: look.fg.map(|fg| fg.sixteen(on.and_then(Colour::rgb))), bg: on.map(Colour::exact), ..style };
    }
    let Some(bg) = look.bg else {
        let on = under.map(Colour::page).and_then(Colour::rgb);
        return Style { fg: look.fg.map(|fg| fg.sixteen(on)), ..style };
    };
    if !matches!(bg, Colour::Exact(_)) {
        return Style { fg: look.fg.map(Colour::exact), bg: Some(bg.exact()), ..style };
    }
    let nearest = bg.sixteen(None);
    let taken = [page.map(Colour::exact), Some(Color::Black), Some(Color::White), Some(Color::DarkGray)];
    if role == Role::Cursor || taken.contains(&Some(nearest)) {
        return style.add_modifier(if role == Role::CursorUnfocused || role == Role::Input {
            Modifier::UNDERLINED
        } else {
            Modifier::REVERSED
        });
    }
    let on = (0..16).map(Colour::Ansi).find(|c| c.exact() == nearest).and_then(Colour::rgb).unwrap_or(Rgb(0, 0, 0));
    let ink = if super::colour::luminance(on) > 0.2 { Color::Black } else { Color::White };
    Style { fg: Some(ink), bg: Some(nearest), ..style }
}

impl Spec {
    fn look(&self, palette: &BTreeMap<String, String>) -> Result<Look, String> {
        let colour = |text: &String| {
            let text = palette.get(text).unwrap_or(text);
            Colour::parse(text).ok_or_else(|| format!("{text:?} is neither a colour nor in the palette"))
        };
        match self {
            Self::Colour(fg) => Ok(Look { fg: Some(colour(fg)?), ..Look::default() }),
            Self::Table(table) => {
                let mut modifiers = Modifier::empty();
                modifiers.set(Modifier::BOLD, table.bold);
                modifiers.set(Modifier::DIM, table.dim);
                modifiers.set(Modifier::ITALIC, table.italic);
                modifiers.set(Modifier::UNDERLINED, table.underline);
                modifiers.set(Modifier::REVERSED, table.reverse);
                Ok(Look { fg: table.fg.as_ref().map(colour).transpose()?, bg: table.bg.as_ref().map(colour).transpose()?, modifiers })
            }
        }
    }
}
