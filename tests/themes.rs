//! Every theme reads, names every role, can be read (contrast of text at least 4.5:1), and is in the program.

use std::fs;
use std::path::Path;

use lighterman::ui::colour::{Colour, contrast};
use lighterman::ui::theme::{BUILTIN, DEFAULT, Depth, Role, Theme, Use};
use ratatui::style::{Color, Modifier, Style};

/// WCAG 2's level AA.
const LEAST: f32 = 4.5;

fn all() -> impl Iterator<Item = (&'static str, Theme)> {
    BUILTIN.iter().map(|(file, _)| (*file, Theme::builtin(file).unwrap_or_else(|error| panic!("{file}: {error}"))))
}

#[test]
fn every_file_is_in_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("themes");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    files.sort();
    let mut built_in: Vec<_> = BUILTIN.iter().map(|(file, _)| (*file).to_owned()).collect();
    built_in.sort();
    assert_eq!(files, built_in);
    assert!(files.len() >= 8 && files.contains(&DEFAULT.to_owned()));
}

#[test]
fn every_theme_reads_and_names_are_unique() {
    let mut names: Vec<_> = all().map(|(_, theme)| theme.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_text_can_be_read() {
    let mut poor = Vec::new();
    for (file, theme) in all() {
        let look = |role| theme.look(role);
        let page = look(Role::Text).bg;
        let mut check = |what: &str, fg: Option<Colour>, bg: Option<Colour>| {
            // The terminal's own colours are its user's choice.
            if let (Some(fg), Some(bg)) = (fg.and_then(Colour::rgb), bg.and_then(Colour::rgb))
                && contrast(fg, bg) < LEAST
            {
                poor.push(format!("{file}: {what} {:.2}", contrast(fg, bg)));
            }
        };
        for &role in Role::ALL {
            let own = look(role);
            let ground = match role.usage() {
                Use::Shape => continue,
                Use::Dialog => own.bg.or(look(Role::Dialog).bg),
                Use::Row | Use::Text => own.bg.or(page),
            };
            check(role.name(), own.fg, ground);
            if role.usage() == Use::Row {
                for cursor in [Role::Cursor, Role::CursorUnfocused] {
                    if !theme.is_flat(cursor) {
                        check(&format!("{} on {}", role.name(), cursor.name()), own.fg, look(cursor).bg);
                    }
                }
            }
        }
    }
    assert!(poor.is_empty(), "below {LEAST}:1:\n{}", poor.join("\n"));
}

/// What must not look alike, at any depth of colour.
const APART: &[(Role, Role)] = &[
    (Role::Text, Role::Cursor),
    (Role::Text, Role::CursorUnfocused),
    (Role::Cursor, Role::CursorUnfocused),
    (Role::Tab, Role::TabActive),
    (Role::Dialog, Role::DialogCursor),
    (Role::Button, Role::ButtonFocused),
    (Role::Button, Role::ButtonLoss),
    (Role::Border, Role::BorderFocused),
    (Role::Title, Role::TitleFocused),
    (Role::Repository, Role::Untagged),
    (Role::Text, Role::Bad),
    (Role::Text, Role::Mark),
];

#[test]
fn what_differs_looks_different_at_every_depth() {
    for (file, theme) in all() {
        for depth in [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True] {
            let theme = theme.clone().at(depth);
            for (a, b) in APART {
                assert_ne!(theme.style(*a), theme.style(*b), "{file} at {depth:?}: {a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn without_colour_there_is_none_and_with_few_there_are_few() {
    for (file, theme) in all() {
        let plain = theme.clone().at(Depth::None);
        let sixteen = theme.clone().at(Depth::Sixteen);
        let indexed = theme.at(Depth::Indexed);
        for &role in Role::ALL {
            let Style { fg, bg, .. } = plain.style(role);
            assert_eq!((fg, bg), (None, None), "{file}: {role:?}");
            for style in [sixteen.style(role), indexed.style(role)] {
                assert!(![style.fg, style.bg].iter().any(|c| matches!(c, Some(Color::Rgb(..)))), "{file}: {role:?}");
            }
            let Style { fg, bg, .. } = sixteen.style(role);
            assert!(![fg, bg].iter().any(|c| matches!(c, Some(Color::Indexed(_)))), "{file}: {role:?}");
        }
        assert!(plain.style(Role::Cursor).add_modifier.contains(Modifier::REVERSED));
    }
}

/// In the sixteen, text keeps its distance from the black or white page it is put on.
#[test]
fn sixteen_colours_can_be_read_too() {
    let rgb = |color: Option<Color>| (0..16).map(Colour::Ansi).find(|c| Some(c.exact()) == color).and_then(Colour::rgb);
    for (file, theme) in all() {
        let theme = theme.at(Depth::Sixteen);
        let page = rgb(theme.style(Role::Text).bg);
        for &role in Role::ALL.iter().filter(|role| role.usage() == Use::Row) {
            if let (Some(fg), Some(bg)) = (rgb(theme.style(role).fg), page) {
                assert!(contrast(fg, bg) >= 3.0, "{file}: {role:?} {:.2}", contrast(fg, bg));
            }
        }
    }
}

#[test]
fn a_theme_of_a_users_own_inherits_and_mistakes_are_told() {
    let find = |name: &str| BUILTIN.iter().find(|(file, _)| *file == name).map(|(_, text)| (*text).to_owned());
    let own = "name = \"Mine\"\ninherits = \"nord\"\n[palette]\nred = \"#ff0000\"\n[roles]\ntag = { fg = \"red\", underline = true }\n";
    let mine = Theme::load(own, find).unwrap();
    assert_eq!(mine.style(Role::Bad).fg, Some(Color::Rgb(255, 0, 0)), "a palette recolours what is inherited");
    assert!(mine.style(Role::Tag).add_modifier.contains(Modifier::UNDERLINED));
    assert_eq!(mine.style(Role::Good), Theme::builtin("nord").unwrap().style(Role::Good));
    for (text, word) in [
        ("name = \"x\"\n[roles]\ntext = \"ink\"\n", "ink"),
        ("name = \"x\"\ninherits = \"nord\"\n[roles]\ntexd = \"red\"\n", "texd"),
        ("name = \"x\"\ninherits = \"nowhere\"\n", "nowhere"),
        ("name = \"x\"\n[roles]\n", "text"),
        ("name = \"x\"\ncolour = 1\n", "colour"),
        ("name = ", "line 1"),
    ] {
        let error = Theme::load(text, find).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    let circle = |_: &str| Some("name = \"x\"\ninherits = \"x\"\n".to_owned());
    assert!(Theme::load("name = \"x\"\ninherits = \"x\"\n", circle).unwrap_err().contains("circle"));
    assert!(Theme::builtin("pink").unwrap_err().contains("nord"));
}
