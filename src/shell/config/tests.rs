//! The configuration file: examples, mistakes and their places.

use super::*;
use crate::flow::{Action, Chord, Place};

fn parse(text: &str) -> Config {
    Config::parse(PathBuf::from("config.toml"), text)
}

#[test]
fn the_example_is_the_default_and_has_no_mistake() {
    let config = parse(EXAMPLE);
    assert_eq!(config.mistakes, Vec::new());
    assert!(config == Config { found: true, ..Config::default_at("config.toml".into()) });
}

#[test]
fn the_commented_lines_of_the_example_are_settings_too() {
    let all: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.starts_with('[') || setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => setting,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let config = parse(&all);
    assert_eq!(config.mistakes, Vec::new());
    assert_eq!(config.theme.as_deref(), Some("lighterman-light"));
    assert!(config.host("ssh-prod", "").read_only);
    assert!(config.host("", "tcp://10.0.0.5:2375").insecure);
    assert_eq!(config.insecure_registries(), ["registry.lan:5000"]);
    let registries = config.registry_settings(&["other.lan".to_owned()], None);
    assert_eq!(registries.insecure, ["other.lan", "registry.lan:5000"]);
    let host = &registries.hosts["registry.lan:5000"];
    assert_eq!((host.transfers, host.requests, host.mirrors.as_slice()), (4, 8, ["mirror.lan:5000".to_owned()].as_slice()));
    assert_eq!(host.client, Some(("me.pem".into(), "me.key".into())));
    assert_eq!(config.keymap.keys_text(Action::Delete), "Delete");
    let lost = |action: &&crate::flow::ActionRow| config.keymap.keys(action.action).is_empty();
    assert_eq!(crate::flow::ACTIONS.iter().find(lost), None, "no example takes another action's last key");
    for (key, _) in config.settings() {
        let last = key.rsplit('.').next().unwrap();
        assert!(EXAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{last} ="))), "{key} is in the example");
    }
}

#[test]
fn a_mistake_has_a_place_and_leaves_the_rest_in_force() {
    let config = parse(
        "mouse = \"yes\"\ncolours = \"256\"\n\n[sort]\ncolumn = 'weight'\nreversed = true\n[keys]\nfly = [\"x\"]\ndelete = [\"Hyper-q\"]\nquit = [\"Q\"]\n",
    );
    let places: Vec<_> = config.mistakes.iter().map(|m| (m.line, m.column)).collect();
    assert_eq!(places, [(1, 9), (5, 10), (8, 1), (9, 10)], "{:#?}", config.mistakes);
    assert!(config.mouse);
    assert_eq!(config.colours, Some(ColourDepth::Indexed));
    assert_eq!(config.sort, Some(Sort { column: SortColumn::Name, reversed: true }));
    assert_eq!(config.keymap.action(Chord::char('Q'), &[Place::Deck]), Some(Action::Quit));
    assert_eq!(config.mistakes[0].to_string(), "config.toml:1:9: expected true or false, found string");
}

#[test]
fn unknown_settings_and_broken_syntax_are_named() {
    let config = parse("colors = \"auto\"\nread_only = true\n[hosts.a]\nread_only = true\ncolour = 1\n");
    assert_eq!(config.mistakes.iter().map(|m| (m.line, m.column)).collect::<Vec<_>>(), [(1, 1), (5, 1)]);
    assert!(config.read_only && config.host("a", "").read_only);
    let config = parse("mouse = false\ntheme = \"day\nclipboard = true\n");
    assert_eq!(config.mistakes.first().map(|m| m.line), Some(2), "{:?}", config.mistakes);
    assert!(!config.mouse && config.clipboard);
}

#[test]
fn mistakes_in_a_registry_are_named_and_a_path_starts_beside_the_file() {
    let text = "[registries.\"a:1\"]\nca = \"ca.pem\"\nrequests = 0\ntransfers = \"4\"\nmirrors = \"m\"\nclient_key = \"k\"\nspeed = 1\n";
    let config = Config::parse(PathBuf::from("/etc/lm/config.toml"), text);
    assert_eq!(config.mistakes.iter().map(|m| (m.line, m.column)).collect::<Vec<_>>(), [(3, 12), (4, 13), (5, 11), (6, 1), (7, 1)]);
    let settings = config.registry_settings(&[], None);
    let host = &settings.hosts["a:1"];
    assert_eq!((host.ca.as_deref(), host.requests), (Some(std::path::Path::new("/etc/lm/ca.pem")), 8));
    assert_eq!(host.client, None);
}

#[test]
fn the_preset_comes_before_the_keys_wherever_it_stands() {
    let config = parse("keys.delete = \"D\"\nkeymap = \"vim\"\n");
    assert_eq!(config.mistakes, Vec::new());
    assert_eq!(config.keymap.keys(Action::Delete), [Chord::char('D')]);
    assert_eq!(config.preset, "vim");
}

#[test]
fn the_users_keys_are_told_as_settings() {
    let config = parse("[keys]\nrefresh = [\"F5\", \"Ctrl-r\"]\nquit = []\nfly = \"x\"\n");
    let mut keys: Vec<_> = config.settings().into_iter().filter(|(name, _)| name.starts_with("keys.")).collect();
    keys.sort();
    assert_eq!(keys, [("keys.quit".to_owned(), String::new()), ("keys.refresh".to_owned(), "F5, Ctrl-r".to_owned())]);
}

#[test]
fn name_and_endpoint_of_an_engine_hold_together() {
    let mut config = parse("[hosts.prod]\nlabel = \"PROD\"\n[hosts.\"tcp://far:2376\"]\nread_only = true\nlabel = \"far\"\n");
    let expected = Host { read_only: true, insecure: false, label: Some("PROD".into()) };
    assert_eq!(config.host("prod", "tcp://far:2376"), expected);
    assert_eq!(config.host("other", "tcp://far:2376").label.as_deref(), Some("far"));
    config.allow_insecure(&["prod".to_owned()]);
    assert_eq!(config.host("prod", "tcp://far:2376"), Host { insecure: true, ..expected });
    assert_eq!(config.host("", ""), Host::default());
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_unless_it_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::under(dir.path());
    assert_eq!(Config::load(&paths, None).unwrap().mistakes, Vec::new());
    std::fs::create_dir_all(paths.config_file()).unwrap();
    assert_eq!(Config::load(&paths, None).unwrap().mistakes.len(), 1);
    assert!(Config::load(&paths, Some(&dir.path().join("none.toml"))).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_gives_a_configuration(text in "(?s).{0,200}") {
        let config = parse(&text);
        proptest::prop_assert!(config.mistakes.iter().all(|m| m.line >= 1 && m.column >= 1));
    }
}

#[test]
fn a_mistyped_protection_protects() {
    let config = parse("read_only = \"yes\"\n[hosts.prod]\nread_only = 1\n[registries.\"r.lan\"]\nread_only = \"true\"\n");
    assert_eq!(config.mistakes.len(), 3);
    assert!(config.read_only && config.host("prod", "").read_only && config.registries["r.lan"].read_only);
}

#[test]
fn what_is_kept_of_downloads_is_set_in_days_and_gib() {
    let paths = Paths::under(std::path::Path::new("/home/u"));
    let partials = |text: &str| parse(text).registry_settings(&[], Some(&paths)).partials.unwrap();
    let plain = partials("");
    assert_eq!(plain, crate::source::registry::Partials::new(paths.partials()));
    let set = partials("[downloads]\nkeep_days = 1\nkeep_gib = 2\n");
    assert_eq!((set.longest.as_secs(), set.most), (24 * 3600, 2 << 30));
    let config = parse("[downloads]\nkeep_days = -1\nkeep_gib = 100_001\nkeep = 1\n");
    assert_eq!(config.mistakes.iter().map(|m| (m.line, m.column)).collect::<Vec<_>>(), [(2, 13), (3, 12), (4, 1)]);
    assert_eq!(config.downloads, Downloads::default());
}

#[test]
fn protected_patterns_are_read_and_one_that_is_none_is_named() {
    let config = parse("protect = [\"*:stable\", \"[\"]\n");
    assert_eq!(config.protect, ["*:stable"]);
    assert!(config.mistakes.iter().any(|mistake| mistake.message.contains("is no pattern")), "{:?}", config.mistakes);
    assert!(parse("").protect.is_empty());
}
